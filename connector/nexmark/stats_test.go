package nexmark

import (
	"math"
	"regexp"
	"slices"
	"testing"

	"github.com/streamsql/streamsql/connector"
	"github.com/streamsql/streamsql/sql/delta"
	"github.com/streamsql/streamsql/sql/types"
)

// batches reads a table's rows, column by column.
func batches(t testing.TB, table string, options ...string) map[string]*delta.Vec {
	t.Helper()
	cols, err := Columns(table)
	if err != nil {
		t.Fatal(err)
	}
	cols = append(cols, connector.Column{Name: "n", Type: types.Of(types.Int8), Meta: "offset"})
	r, err := open(t, table, cols, options...).Open(t.Context(), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]*delta.Vec{}
	for {
		fs, err := r.Fetch(t.Context(), 4096)
		if err != nil {
			return out
		}
		for i, c := range cols {
			if fs[0].Batch == nil {
				continue
			}
			if out[c.Name] == nil {
				out[c.Name] = delta.NewVec(c.Type, 0)
			}
			for k := range fs[0].Batch.N {
				out[c.Name].AppendFrom(fs[0].Batch.Cols[i], k)
			}
		}
	}
}

func near(t *testing.T, what string, got, want, within float64) {
	t.Helper()
	if math.Abs(got-want) > within {
		t.Errorf("%s: %.4f, want %.4f ± %.4f", what, got, want, within)
	}
}

func share(n int, is func(i int) bool) float64 {
	hits := 0
	for i := range n {
		if is(i) {
			hits++
		}
	}
	return float64(hits) / float64(n)
}

const manyEvents = "500000"

func TestBids(t *testing.T) {
	b := batches(t, "Bid", "event.num", manyEvents)
	n := b["n"].N
	if n != 460_000 {
		t.Fatalf("%d bids", n)
	}
	ids, auctions, bidders := b["n"].I, b["auction"].I, b["bidder"].I
	near(t, "hot auctions", share(n, func(i int) bool { return auctions[i] == 1000+lastAuction(ids[i])/100*100 }), 0.5+0.5/111, 0.01)
	near(t, "hot bidders", share(n, func(i int) bool { return bidders[i] == 1001+lastPerson(ids[i])/100*100 }), 0.75, 0.01)
	for i := range n {
		if a := auctions[i] - 1000; a < lastAuction(ids[i])-199 && a < lastAuction(ids[i])/100*100 || a < 0 || a > lastAuction(ids[i])+10 {
			t.Fatalf("event %d bids on auction %d", ids[i], a)
		}
		if p := bidders[i] - 1000; p < 0 || p > lastPerson(ids[i])+10 {
			t.Fatalf("event %d is of bidder %d", ids[i], p)
		}
	}
	prices := slices.Clone(b["price"].I)
	slices.Sort(prices)
	if prices[0] < 100 || prices[n-1] > 100_000_000 {
		t.Errorf("prices from %d to %d", prices[0], prices[n-1])
	}
	for _, q := range []float64{0.1, 0.5, 0.9} {
		near(t, "log of price", math.Log10(float64(prices[int(q*float64(n))])), 2+6*q, 0.03)
	}
	hot := map[string]int{}
	urls := map[string]string{}
	url := regexp.MustCompile(`^https://www\.nexmark\.com/[a-z]{5}/[a-z]{5}/[a-z]{5}/item\.htm\?query=1(&channel_id=\d+)?$`)
	withID := 0
	for i := range n {
		c, u := string(b["channel"].Bytes(i)), string(b["url"].Bytes(i))
		m := url.FindStringSubmatch(u)
		if m == nil {
			t.Fatalf("url %q", u)
		}
		if slices.Contains(hotChannels, c) {
			hot[c]++
		} else if m[1] != "" {
			withID++
		}
		if urls[c] != "" && urls[c] != u {
			t.Fatalf("channel %s has urls %s and %s", c, urls[c], u)
		}
		urls[c] = u
	}
	if len(urls) != 10_004 {
		t.Errorf("%d channels", len(urls))
	}
	for _, c := range hotChannels {
		near(t, c, float64(hot[c])/float64(n), 0.125, 0.005)
	}
	near(t, "cold urls with a channel's id", float64(withID)/float64(n), 0.45, 0.01)
	near(t, "bytes of a bid", 32+float64(len(b["extra"].Buf))/float64(n), 100, 1)
	last := b["date_time"].I[n-1]
	if want := b["date_time"].I[0] - 1000 + 50_000_000; last > want || last < want-2000 {
		t.Errorf("500k events end after %d µs", last-b["date_time"].I[0])
	}
}

func TestAuctionsAndPeople(t *testing.T) {
	a, p := batches(t, "Auction", "event.num", manyEvents), batches(t, "Person", "event.num", manyEvents)
	n := a["id"].N
	if n != 30_000 || p["id"].N != 10_000 {
		t.Fatalf("%d auctions, %d people", n, p["id"].N)
	}
	for i := range n {
		if a["id"].I[i] != int64(1000+i) {
			t.Fatalf("auction %d is %d", i, a["id"].I[i])
		}
		if a["reserve"].I[i] <= a["initial_bid"].I[i] {
			t.Fatalf("reserve %d of %d", a["reserve"].I[i], a["initial_bid"].I[i])
		}
		if us := a["expires"].I[i] - a["date_time"].I[i]; us < 1000 || us > 2*167_000 {
			t.Fatalf("auction %d lasts %d µs", i, us)
		}
	}
	counts := map[int64]int{}
	for _, c := range a["category"].I {
		counts[c]++
	}
	for c := int64(10); c < 15; c++ {
		near(t, "a category", float64(counts[c])/float64(n), 0.2, 0.01)
	}
	if len(counts) != 5 {
		t.Errorf("categories: %v", counts)
	}
	near(t, "hot sellers", share(n, func(i int) bool { return a["seller"].I[i] == 1000+lastPerson(a["n"].I[i])/100*100 }), 0.75, 0.01)
	size := 48 + float64(len(a["item_name"].Buf)+len(a["description"].Buf)+len(a["extra"].Buf))/float64(n)
	near(t, "bytes of an auction", size, 500, 3)
	size = 8.0
	for _, c := range []string{"name", "email_address", "credit_card", "city", "state", "extra"} {
		size += float64(len(p[c].Buf)) / 10_000
	}
	near(t, "bytes of a person", size, 200, 3)
	seen := map[string]int{}
	email := regexp.MustCompile(`^[a-z]{3,6}@[a-z]{3,4}\.com$`)
	card := regexp.MustCompile(`^\d{4} \d{4} \d{4} \d{4}$`)
	for i := range 10_000 {
		if p["id"].I[i] != int64(1000+i) || !email.Match(p["email_address"].Bytes(i)) || !card.Match(p["credit_card"].Bytes(i)) {
			t.Fatalf("person %d: %d %s %s", i, p["id"].I[i], p["email_address"].Bytes(i), p["credit_card"].Bytes(i))
		}
		seen["state "+string(p["state"].Bytes(i))]++
		seen["city "+string(p["city"].Bytes(i))]++
		seen["name "+string(p["name"].Bytes(i))]++
	}
	if len(seen) != 6+10+99 {
		t.Errorf("%d states, cities and names", len(seen))
	}
}

func TestOptions(t *testing.T) {
	bidder := []connector.Column{{Name: "bidder", Type: types.Of(types.Int8)}}
	for _, c := range []struct {
		cols []connector.Column
		opts map[string]string
		want string
	}{
		{nil, map[string]string{"nexmark.table.type": "Bids"}, `"Bids" is none of`},
		{nil, map[string]string{"nexmark.event.nums": "1"}, `unknown option "nexmark.event.nums"`},
		{nil, map[string]string{"nexmark.event.num": "-1"}, `"-1" is no number from 0`},
		{nil, map[string]string{"nexmark.split.num": "x"}, `"x" is no number from 1`},
		{nil, map[string]string{"nexmark.out.of.order.group.size": "953"}, `no multiple of 953`},
		{nil, map[string]string{"nexmark.events.per.second": "1", "nexmark.min.event.gap.in.ns": "1"}, `exclude each other`},
		{nil, map[string]string{"nexmark.events.per.second": "0"}, `no number from 0.001`},
		{bidder, map[string]string{"nexmark.table.type": "Person"}, `nexmark has no field "bidder"`},
		{[]connector.Column{{Name: "bidder", Type: types.Of(types.Text)}}, nil, `column "bidder" is of type text, but nexmark has bigint`},
		{[]connector.Column{{Name: "date_time", Type: types.Type{ID: types.Timestamp, Mod: 1}}}, nil, `is of type timestamp(0)`},
		{[]connector.Column{{Name: "k", Type: types.Of(types.Text), Meta: "key"}}, nil, `no metadata key`},
		{bidder, map[string]string{"nexmark.table.type": "bid", "nexmark.max.chunk.size": "256"}, ""},
		{bidder, map[string]string{"nexmark.table.type": "bid", "other": "1"}, `unknown option "other"`},
	} {
		_, err := New(connector.Config{Options: c.opts, Columns: c.cols})
		if ok := regexp.MustCompile(regexp.QuoteMeta(c.want)); err == nil != (c.want == "") || err != nil && !ok.MatchString(err.Error()) {
			t.Errorf("%v %v: %v", c.opts, c.cols, err)
		}
	}
}

func benchmark(b *testing.B, table string) {
	cols, _ := Columns(table)
	s := open(b, table, cols, "min.event.gap.in.ns", "0")
	r, err := s.Open(b.Context(), nil, nil)
	if err != nil {
		b.Fatal(err)
	}
	var events, rows, bytes int64
	for b.Loop() {
		fs, err := r.Fetch(b.Context(), 4096)
		if err != nil {
			b.Fatal(err)
		}
		events = fs[0].Next
		rows += int64(fs[0].Batch.N)
		for _, v := range fs[0].Batch.Cols {
			bytes += int64(len(v.Buf) + 8*len(v.I))
		}
	}
	b.ReportMetric(float64(events)/b.Elapsed().Seconds()/1e6, "Mevents/s")
	b.ReportMetric(float64(rows)/b.Elapsed().Seconds()/1e6, "Mrows/s")
	b.ReportMetric(float64(bytes)/b.Elapsed().Seconds()/1e6, "MB/s")
}

func BenchmarkPerson(b *testing.B)  { benchmark(b, "Person") }
func BenchmarkAuction(b *testing.B) { benchmark(b, "Auction") }
func BenchmarkBid(b *testing.B)     { benchmark(b, "Bid") }
func BenchmarkAll(b *testing.B)     { benchmark(b, "") }
