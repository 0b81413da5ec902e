package kafka

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/streamsql/streamsql/connector"
	"github.com/streamsql/streamsql/connector/kafka/broker"
	"github.com/streamsql/streamsql/sql/sqlerr"
	"github.com/streamsql/streamsql/sql/types"
)

var rowCols = []connector.Column{
	{Name: "n", Type: types.Of(types.Int8)},
	{Name: "part", Type: types.Of(types.Int4), Meta: "partition"},
	{Name: "off", Type: types.Of(types.Int8), Meta: "offset"},
}

func startBroker(t testing.TB, topics ...broker.Topic) *broker.Broker {
	t.Helper()
	b, err := broker.Start("127.0.0.1:0", "", topics...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	return b
}

func producer(t testing.TB, b *broker.Broker, opts ...kgo.Opt) *broker.Producer {
	t.Helper()
	p, err := broker.NewProducer(b.Addr(), opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

// send sends {"n":from} … {"n":to-1} to a partition.
func send(t testing.TB, p *broker.Producer, part int32, from, to int) {
	t.Helper()
	for i := from; i < to; i++ {
		p.Send("t", part, nil, fmt.Appendf(nil, `{"n":%d}`, i))
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := p.Flush(ctx); err != nil {
		t.Fatal(err)
	}
}

func config(b *broker.Broker, cols []connector.Column, kv ...string) connector.Config {
	cfg := connector.Config{Name: "s", Columns: cols, Options: map[string]string{
		"connector": "kafka", "topic": "t", "properties.bootstrap.server": b.Addr(),
		"scan.topic-partition-discovery.interval": "200ms",
	}}
	for i := 0; i < len(kv); i += 2 {
		cfg.Options[kv[i]] = kv[i+1]
	}
	return cfg
}

func source(t testing.TB, cfg connector.Config) connector.Source {
	t.Helper()
	s, err := connector.NewSource(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// got is what a reader returned.
type got struct {
	t       testing.TB
	r       connector.Reader
	rows    map[int32][]int64 // n of each partition
	offsets map[int32][]int64
	next    connector.Positions
	atEnd   map[int32]bool
	dead    []connector.DeadLetter
	resets  []string
	err     error
}

func open(t testing.TB, s connector.Source, from, until connector.Positions) *got {
	t.Helper()
	r, err := s.Open(t.Context(), from, until)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return &got{t: t, r: r, rows: map[int32][]int64{}, offsets: map[int32][]int64{}, next: connector.Positions{}, atEnd: map[int32]bool{}}
}

func (g *got) count() (n int) {
	for _, r := range g.rows {
		n += len(r)
	}
	return n
}

// until fetches until done says so, or an error came.
func (g *got) until(what string, done func() bool) {
	g.t.Helper()
	ctx, cancel := context.WithTimeout(g.t.Context(), time.Minute)
	defer cancel()
	for g.err == nil && !done() {
		fs, err := g.r.Fetch(ctx, 1000)
		if ctx.Err() != nil {
			g.t.Fatalf("waiting for %s: %d rows, next %v, dead %d, trouble %v", what, g.count(), g.next, len(g.dead), g.r.Trouble())
		}
		if g.err = err; err != nil {
			return
		}
		for _, f := range fs {
			g.take(f)
		}
	}
}

func (g *got) take(f connector.Fetch) {
	p := f.Partition
	if f.Batch != nil {
		for i := range f.Batch.N {
			if at := f.Batch.Cols[1].I[i]; at != int64(p) {
				g.t.Errorf("a row of partition %d came with partition %d", at, p)
			}
			g.rows[p] = append(g.rows[p], f.Batch.Cols[0].I[i])
			if at := f.Batch.Cols[2].I[i]; f.Offset(i) != at {
				g.t.Errorf("the row of offset %d came with offset %d", at, f.Offset(i))
			}
			g.offsets[p] = append(g.offsets[p], f.Batch.Cols[2].I[i])
		}
	}
	if f.Reset != "" {
		g.resets = append(g.resets, f.Reset)
	} else if f.Next < g.next[p] {
		g.t.Errorf("partition %d went from %d back to %d without a reset", p, g.next[p], f.Next)
	}
	g.next[p], g.atEnd[p] = f.Next, f.AtEnd
	g.dead = append(g.dead, f.Dead...)
}

func (g *got) rowsUntil(n int) {
	g.t.Helper()
	g.until(fmt.Sprintf("%d rows", n), func() bool { return g.count() >= n })
	if g.err != nil || g.count() != n {
		g.t.Fatalf("%d rows instead of %d (error %v)", g.count(), n, g.err)
	}
}

func (g *got) eof() {
	g.t.Helper()
	g.until("the end", func() bool { return false })
	if !errors.Is(g.err, io.EOF) {
		g.t.Fatalf("a bounded read ended with %v", g.err)
	}
}

func (g *got) fails(code, text string) {
	g.t.Helper()
	g.until("an error with "+text, func() bool { return false })
	if e := sqlerr.From(g.err); e.Code != code || !strings.Contains(e.Message, text) {
		g.t.Fatalf("the error is %s %q", e.Code, e.Message)
	}
}

func ints(from, to int64) (out []int64) {
	for i := from; i < to; i++ {
		out = append(out, i)
	}
	return out
}

func (g *got) want(rows map[int32][]int64) {
	g.t.Helper()
	if !maps.EqualFunc(g.rows, rows, slices.Equal) {
		g.t.Fatalf("rows %v\nwanted %v", g.rows, rows)
	}
}

func TestReadResumeAndBound(t *testing.T) {
	b := startBroker(t, broker.Topic{Name: "t", Partitions: 3})
	p := producer(t, b)
	send(t, p, 0, 0, 5000)
	send(t, p, 1, 0, 10)
	s := source(t, config(b, rowCols))
	g := open(t, s, nil, nil)
	g.rowsUntil(5010)
	g.until("the ends", func() bool { return g.atEnd[0] && g.atEnd[1] && g.atEnd[2] })
	g.want(map[int32][]int64{0: ints(0, 5000), 1: ints(0, 10)})
	if want := (connector.Positions{0: 5000, 1: 10, 2: 0}); !maps.Equal(g.next, want) {
		t.Fatalf("positions %v, not %v", g.next, want)
	}
	if err := g.r.Trouble(); err != nil {
		t.Fatal(err)
	}
	g.r.Close()

	// From positions: what comes after them, once. Unnamed partitions are new.
	send(t, p, 0, 5000, 5003)
	send(t, p, 2, 0, 2)
	g = open(t, s, connector.Positions{0: 4999, 1: 10}, nil)
	g.rowsUntil(6)
	g.want(map[int32][]int64{0: ints(4999, 5003), 2: ints(0, 2)})
	if !slices.Equal(g.offsets[0], ints(4999, 5003)) {
		t.Fatalf("offsets %v", g.offsets[0])
	}
	g.r.Close()

	// Bounded: no partition beyond its bound, and no other one.
	end, err := s.End(t.Context())
	if want := (connector.Positions{0: 5003, 1: 10, 2: 2}); err != nil || !maps.Equal(end, want) {
		t.Fatalf("the end is %v (%v), not %v", end, err, want)
	}
	g = open(t, s, connector.Positions{0: 4990}, connector.Positions{0: 4995, 1: 0, 2: 2})
	g.eof()
	g.want(map[int32][]int64{0: ints(4990, 4995), 2: ints(0, 2)})
	if _, err := g.r.Fetch(t.Context(), 10); !errors.Is(err, io.EOF) {
		t.Fatalf("after the end comes %v", err)
	}
}
