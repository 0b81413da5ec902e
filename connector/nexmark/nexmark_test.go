package nexmark

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/streamsql/streamsql/connector"
	"github.com/streamsql/streamsql/sql/delta"
	"github.com/streamsql/streamsql/sql/types"
)

// open makes a source with options given as name, value, …, without "nexmark.".
func open(t testing.TB, table string, cols []connector.Column, options ...string) connector.Source {
	t.Helper()
	opts := map[string]string{"connector": "nexmark"}
	if table != "" {
		opts["nexmark.table.type"] = table
	}
	for i := 0; i < len(options); i += 2 {
		opts["nexmark."+options[i]] = options[i+1]
	}
	if cols == nil {
		var err error
		if cols, err = Columns(table); err != nil {
			t.Fatal(err)
		}
		cols = append(cols, connector.Column{Name: "n", Type: types.Of(types.Int8), Meta: "offset"})
	}
	s, err := connector.NewSource(connector.Config{Name: "s", Options: opts, Columns: cols})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// read returns all rows as text, sorted, and the positions after them.
func read(t testing.TB, s connector.Source, from, until connector.Positions, maxRows int) ([]string, connector.Positions) {
	t.Helper()
	r, err := s.Open(t.Context(), from, until)
	if err != nil {
		t.Fatal(err)
	}
	var rows []string
	at := from.Clone()
	for {
		fs, err := r.Fetch(t.Context(), maxRows)
		if err == io.EOF {
			slices.Sort(rows)
			return rows, at
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range fs {
			if f.Next <= at[f.Partition] {
				t.Fatalf("split %d goes from %d to %d", f.Partition, at[f.Partition], f.Next)
			}
			at[f.Partition] = f.Next
			if f.Batch != nil {
				if f.Batch.N > maxRows {
					t.Fatalf("%d rows of %d", f.Batch.N, maxRows)
				}
				rows = append(rows, lines(f.Batch)...)
			}
		}
	}
}

func lines(b *delta.Batch) []string {
	out := make([]string, b.N)
	for i := range out {
		var cells []string
		for _, v := range b.Cols {
			if v.N != b.N {
				panic("columns of different lengths")
			}
			if v.Null(i) {
				cells = append(cells, "NULL")
				continue
			}
			cells = append(cells, string(types.FormatText(nil, v.T, v.Datum(i))))
		}
		out[i] = strings.Join(cells, "|")
	}
	return out
}

// TestGolden pins the events: they are what other measurements were made with.
func TestGolden(t *testing.T) {
	for table, want := range map[string]string{
		"Person":  "400 rows 2106b9c021296226",
		"Auction": "1200 rows 4aead12c35245e8f",
		"Bid":     "18400 rows 829f932018d3eaad",
		"":        "20000 rows 96b4d41ecc674da5",
	} {
		rows, _ := read(t, open(t, table, nil, "event.num", "20000"), nil, nil, 4096)
		sum := fmt.Sprintf("%d rows %x", len(rows), sha256.Sum256([]byte(strings.Join(rows, "\n"))))
		if !strings.HasPrefix(sum, want) {
			t.Errorf("%q: %.30s, want %s; the first is %q", table, sum, want, rows[0])
		}
	}
}

func TestSameRowsAnyWay(t *testing.T) {
	for _, table := range []string{"Person", "Auction", "Bid", ""} {
		want, _ := read(t, open(t, table, nil, "event.num", "7013"), nil, nil, 4096)
		for _, splits := range []string{"1", "3", "5", "8"} {
			s := open(t, table, nil, "event.num", "7013", "split.num", splits)
			got, at := read(t, s, nil, nil, 100)
			if !slices.Equal(got, want) {
				t.Errorf("%q in %s splits: %d rows, want %d", table, splits, len(got), len(want))
			}
			end, err := s.End(t.Context())
			if err != nil || fmt.Sprint(end) != fmt.Sprint(at) {
				t.Errorf("%q in %s splits ends at %v, not %v (%v)", table, splits, at, end, err)
			}
			// In two parts, cut at any place.
			for _, cut := range []int64{0, 1, 49, 50, 777, 7012, 7013, 9999} {
				mid := connector.Positions{}
				for p := range end {
					mid[p] = cut
				}
				a, at := read(t, s, nil, mid, 4096)
				b, _ := read(t, s, at, end, 4096)
				if got := slices.Sorted(slices.Values(append(a, b...))); !slices.Equal(got, want) {
					t.Errorf("%q in %s splits cut at %d: %d + %d rows, want %d", table, splits, cut, len(a), len(b), len(want))
				}
			}
		}
	}
}

func TestUntilNamesTheSplits(t *testing.T) {
	s := open(t, "Bid", nil, "event.num", "1000", "split.num", "2")
	rows, at := read(t, s, nil, connector.Positions{1: 200}, 4096)
	if len(rows) != 2*46 || len(at) != 1 || at[1] != 200 {
		t.Errorf("%d rows, at %v", len(rows), at)
	}
}

func TestColumnsAreIndependent(t *testing.T) {
	all, _ := Columns("Bid")
	whole, _ := read(t, open(t, "Bid", all, "event.num", "500"), nil, nil, 4096)
	for i, c := range all {
		one, _ := read(t, open(t, "Bid", []connector.Column{c}, "event.num", "500"), nil, nil, 4096)
		var want []string
		for _, row := range whole {
			want = append(want, strings.Split(row, "|")[i])
		}
		if slices.Sort(want); !slices.Equal(one, want) {
			t.Errorf("%s alone differs", c.Name)
		}
	}
}

func TestCombinedHasTheSameEvents(t *testing.T) {
	for k, table := range []string{"Person", "Auction", "Bid"} {
		cols, _ := Columns(table)
		want, _ := read(t, open(t, table, cols, "event.num", "5000"), nil, nil, 4096)
		typed := append([]connector.Column{{Name: "event_type", Type: types.Of(types.Int4)}}, cols...)
		rows, _ := read(t, open(t, "", typed, "event.num", "5000"), nil, nil, 4096)
		var got []string
		for _, row := range rows {
			if rest, ok := strings.CutPrefix(row, fmt.Sprintf("%d|", k)); ok {
				got = append(got, rest)
			}
		}
		if len(rows) != 5000 || !slices.Equal(got, want) {
			t.Errorf("%s: %d of %d rows, want %d", table, len(got), len(rows), len(want))
		}
	}
}

func TestShuffledGroupsLoseNothing(t *testing.T) {
	for _, g := range []int64{1, 2, 10, 100, 954} {
		gen := generator{group: g}
		seen := map[int64]bool{}
		moved := false
		for n := range 10 * g {
			id := gen.id(n)
			if id/g != n/g || seen[id] {
				t.Fatalf("group %d: event %d is %d", g, n, id)
			}
			seen[id] = true
			moved = moved || id != n
		}
		if moved != (g > 2 && 953%g != 1) {
			t.Errorf("group %d: moved: %v", g, moved)
		}
	}
	a, _ := read(t, open(t, "Bid", nil, "event.num", "1000", "seed", "1"), nil, nil, 4096)
	b, _ := read(t, open(t, "Bid", nil, "event.num", "1000", "seed", "2"), nil, nil, 4096)
	if slices.Equal(a, b) {
		t.Error("the seed changes nothing")
	}
}

func TestPacing(t *testing.T) {
	s := open(t, "", nil, "events.per.second", "2000")
	r, err := s.Open(t.Context(), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	start, n := time.Now(), int64(0)
	for time.Since(start) < 300*time.Millisecond {
		fs, err := r.Fetch(t.Context(), 4096)
		if err != nil {
			t.Fatal(err)
		}
		n = fs[0].Next
		if most := time.Since(start).Seconds()*2000 + 2; float64(n) > most {
			t.Fatalf("%d events, when %.0f were due", n, most)
		}
		if !fs[0].AtEnd {
			t.Fatal("there is more, with time to spare")
		}
	}
	if n < 500 {
		t.Errorf("%d events in 0.3 s, want 600", n)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := r.Fetch(ctx, 1); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	if _, err := s.End(t.Context()); err == nil {
		t.Error("an endless source has an end")
	}
}
