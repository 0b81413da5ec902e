package datagen

import (
	"context"
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

func config(cols []connector.Column, options ...string) connector.Config {
	c := connector.Config{Name: "s", Columns: cols, Options: map[string]string{"connector": "datagen"}}
	for i := 0; i < len(options); i += 2 {
		c.Options[options[i]] = options[i+1]
	}
	return c
}

func source(t testing.TB, cols []connector.Column, options ...string) connector.Source {
	t.Helper()
	s, err := connector.NewSource(config(cols, options...))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func one(t types.Type) []connector.Column { return []connector.Column{{Name: "c", Type: t}} }

func read(t testing.TB, s connector.Source, from, until connector.Positions, maxRows int) []string {
	t.Helper()
	r, err := s.Open(t.Context(), from, until)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	at := from[0]
	for {
		fs, err := r.Fetch(t.Context(), maxRows)
		if err == io.EOF {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		b := fs[0].Batch
		if at += int64(b.N); fs[0].Next != at || b.N > maxRows {
			t.Fatalf("%d rows to %d, not %d", b.N, fs[0].Next, at)
		}
		for i := range b.N {
			var cells []string
			for _, v := range b.Cols {
				if v.N != b.N {
					t.Fatalf("%d values in %d rows", v.N, b.N)
				}
				if v.Null(i) {
					cells = append(cells, "NULL")
				} else {
					cells = append(cells, string(types.FormatText(nil, v.T, v.Datum(i))))
				}
			}
			out = append(out, strings.Join(cells, "|"))
		}
	}
}

func numeric(precision, scale int) types.Type {
	return types.Type{ID: types.Numeric, Mod: int32(precision<<16 | scale + 1)}
}

// TestRanges reads 20,000 values of each column; all are in the range and, where
// the range is small, all of the range are there.
func TestRanges(t *testing.T) {
	for _, c := range []struct {
		t        types.Type
		opts     []string
		min, max string
		distinct int // 0: at least 15,000
	}{
		{types.Of(types.Int4), []string{"fields.c.min", "-3", "fields.c.max", "3"}, "-3", "3", 7},
		{types.Of(types.Int8), nil, "-9223372036854775808", "9223372036854775807", 0},
		{types.Of(types.Int2), []string{"fields.c.min", "5", "fields.c.max", "5"}, "5", "5", 1},
		{types.Of(types.Bool), nil, "f", "t", 2},
		{types.Of(types.Float8), nil, "0", "1", 0},
		{types.Of(types.Float4), []string{"fields.c.min", "-2.5", "fields.c.max", "7"}, "-2.5", "7", 0},
		{types.Of(types.Numeric), []string{"fields.c.max", "0.10"}, "0.00", "0.10", 11},
		{numeric(3, 1), []string{"fields.c.min", "-1"}, "-1.0", "99.9", 1010},
		{types.Of(types.Date), []string{"fields.c.min", "2020-02-28", "fields.c.max", "2020-03-01"}, "2020-02-28", "2020-03-01", 3},
		{types.Of(types.Time), nil, "00:00:00", "23:59:59.999999", 0},
		{types.Type{ID: types.Timestamp, Mod: 1}, []string{"fields.c.min", "2020-01-01", "fields.c.max", "2020-01-01 00:00:09"}, "2020-01-01 00:00:00", "2020-01-01 00:00:09", 10},
		{types.Of(types.Timestamptz), nil, "2000-01-01 00:00:00+00", "2029-12-31 23:59:59.999999+00", 0},
		{types.Of(types.UUID), nil, "00000000-0000-4000-8000-000000000000", "ffffffff-ffff-4fff-bfff-ffffffffffff", 0},
		{types.Of(types.Text), []string{"fields.c.length", "1"}, "0", "z", 36},
		{types.Type{ID: types.Varchar, Mod: 4}, nil, "0000", "zzzz", 0},
		{types.Type{ID: types.Bpchar, Mod: 3}, []string{"fields.c.length", "1"}, "0  ", "z  ", 36},
		{types.Of(types.Bytea), []string{"fields.c.length", "1"}, `\x00`, `\xff`, 256},
	} {
		rows := read(t, source(t, one(c.t), append(c.opts, "number-of-rows", "20000")...), nil, nil, 4096)
		if len(rows) != 20_000 {
			t.Fatalf("%s: %d rows", c.t, len(rows))
		}
		seen := map[string]bool{}
		for _, row := range rows {
			seen[row] = true
			v, err := types.ParseText(c.t, row)
			if err != nil {
				t.Fatalf("%s: %v", c.t, err)
			}
			lo, _ := types.ParseText(c.t, c.min)
			hi, _ := types.ParseText(c.t, c.max)
			k := types.AppendKey(nil, c.t, v, false)
			if string(k) < string(types.AppendKey(nil, c.t, lo, false)) || string(k) > string(types.AppendKey(nil, c.t, hi, false)) {
				t.Fatalf("%s: %s is not from %s to %s", c.t, row, c.min, c.max)
			}
		}
		if c.distinct > 0 && len(seen) != c.distinct || len(seen) < 15_000 && c.distinct == 0 {
			t.Errorf("%s: %d distinct values, want %d", c.t, len(seen), c.distinct)
		}
	}
}

func TestSequences(t *testing.T) {
	for _, c := range []struct {
		t    types.Type
		opts []string
		want string
	}{
		{types.Of(types.Int8), []string{"start", "5", "end", "8"}, "5 6 7 8"},
		{types.Of(types.Int2), []string{"start", "32765", "end", "32767"}, "32765 32766 32767"},
		{types.Of(types.Int4), []string{"start", "-1", "end", "10", "step", "4"}, "-1 3 7"},
		{types.Of(types.Text), []string{"start", "9", "end", "11"}, "9 10 11"},
		{types.Of(types.Date), []string{"start", "2024-02-28", "end", "2024-03-01"}, "2024-02-28 2024-02-29 2024-03-01"},
		{types.Of(types.Timestamp), []string{"start", "2024-01-01T00:00:00", "end", "2024-01-01T00:00:01", "step", "500 milliseconds"},
			"2024-01-01 00:00:00 2024-01-01 00:00:00.5 2024-01-01 00:00:01"},
	} {
		opts := []string{"fields.c.kind", "sequence"}
		for i := 0; i < len(c.opts); i += 2 {
			opts = append(opts, "fields.c."+c.opts[i], c.opts[i+1])
		}
		s := source(t, one(c.t), opts...)
		if got := strings.Join(read(t, s, nil, nil, 2), " "); got != c.want {
			t.Errorf("%s: %s, want %s", c.t, got, c.want)
		}
		if end, err := s.End(t.Context()); err != nil || end[0] != int64(len(read(t, s, nil, nil, 9))) {
			t.Errorf("%s: end %v %v", c.t, end, err)
		}
	}
}

var mixed = []connector.Column{
	{Name: "id", Type: types.Of(types.Int8)}, {Name: "Name", Type: types.Of(types.Text)},
	{Name: "price", Type: types.Of(types.Numeric)}, {Name: "n", Type: types.Of(types.Int8), Meta: "offset"},
}

var mixedOptions = []string{"fields.id.kind", "sequence", "fields.name.length", "5", "fields.Name.null-rate", "0.25", "number-of-rows", "5000", "seed", "7"}

func TestSameRowsAnyWay(t *testing.T) {
	s := source(t, mixed, mixedOptions...)
	want := read(t, s, nil, nil, 4096)
	nulls := 0
	for i, row := range want {
		if p := strings.Split(row, "|"); p[0] != fmt.Sprint(i) || p[3] != p[0] {
			t.Fatalf("row %d: %s", i, row)
		} else if p[1] == "NULL" {
			nulls++
		} else if len(p[1]) != 5 {
			t.Fatalf("row %d: %s", i, row)
		}
	}
	if nulls < 1100 || nulls > 1400 {
		t.Errorf("%d of 5000 are NULL, want 1250", nulls)
	}
	for _, cut := range []int64{0, 1, 333, 4999, 5000} {
		a := read(t, s, nil, connector.Positions{0: cut}, 100)
		b := read(t, s, connector.Positions{0: cut}, connector.Positions{0: 6000}, 100)
		if !slices.Equal(append(a, b...), want) {
			t.Errorf("cut at %d: %d + %d rows differ", cut, len(a), len(b))
		}
	}
	if got := read(t, source(t, mixed, append(mixedOptions, "seed", "8")...), nil, nil, 4096); slices.Equal(got, want) {
		t.Error("the seed changes nothing")
	}
	// A column does not depend on the others.
	alone := read(t, source(t, mixed[1:2], mixedOptions[2:]...), nil, nil, 4096)
	for i, row := range want {
		if strings.Split(row, "|")[1] != alone[i] {
			t.Fatalf("row %d: %s alone is %s", i, row, alone[i])
		}
	}
}

func TestRate(t *testing.T) {
	s := source(t, one(types.Of(types.Int4)), "rows-per-second", "1000")
	r, err := s.Open(t.Context(), connector.Positions{0: 1_000_000}, nil)
	if err != nil {
		t.Fatal(err)
	}
	start, n := time.Now(), int64(0)
	for time.Since(start) < 200*time.Millisecond {
		fs, err := r.Fetch(t.Context(), 4096)
		if err != nil || !fs[0].AtEnd {
			t.Fatal(err, fs)
		}
		n = fs[0].Next - 1_000_000
		if most := time.Since(start).Seconds()*1000 + 2; float64(n) > most {
			t.Fatalf("%d rows, when %.0f were due", n, most)
		}
	}
	if n < 150 {
		t.Errorf("%d rows in 0.2 s, want 200", n)
	}
	if _, err := s.End(t.Context()); err == nil {
		t.Error("an endless source has an end")
	}
	slow := source(t, one(types.Of(types.Int4)), "rows-per-second", "0.01")
	r, _ = slow.Open(t.Context(), nil, nil)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	for range 2 {
		_, err = r.Fetch(ctx, 1)
	}
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
}

func TestErrors(t *testing.T) {
	for _, c := range []struct {
		t    types.Type
		opts []string
		want string
	}{
		{types.Of(types.Int4), []string{"fields.d.kind", "random"}, `there is no column "d"`},
		{types.Of(types.Int4), []string{"fields.c.kind", "x"}, `"x" is neither`},
		{types.Of(types.Int4), []string{"fields.c.length", "1"}, `option fields.c.length: a column of type integer and this kind has no such option`},
		{types.Of(types.Int4), []string{"fields.c.min", "3", "fields.c.max", "2"}, `2 is below min, 3`},
		{types.Of(types.Int2), []string{"fields.c.max", "32768"}, `option fields.c.max: value "32768" is out of range`},
		{types.Of(types.Int4), []string{"fields.c.kind", "sequence", "fields.c.start", "3", "fields.c.end", "2"}, `below the start`},
		{types.Type{ID: types.Varchar, Mod: 2}, []string{"fields.c.kind", "sequence", "fields.c.end", "100"}, `above what type character varying(2) can hold`},
		{types.Of(types.Bool), []string{"fields.c.kind", "sequence"}, `no sequence of type boolean`},
		{types.Of(types.Interval), nil, `cannot make values of type interval`},
		{types.Of(types.Int4), []string{"fields.c.null-rate", "1.5"}, `no number from 0 to 1`},
		{types.Of(types.Int4), []string{"rows-per-second", "0"}, `rows-per-second`},
		{types.Of(types.Int4), []string{"fields.c", "0"}, `fields.COLUMN.NAME`},
		{numeric(5, 2), []string{"fields.c.max", "1000"}, `numeric field overflow`},
		{types.Type{ID: types.Varchar, Mod: 2}, []string{"fields.c.length", "3"}, `no length of a value`},
		{types.Of(types.Timestamp), []string{"fields.c.kind", "sequence", "fields.c.step", "1 month"}, `no step forward`},
		{types.Of(types.Timestamp), []string{"fields.c.max", "infinity"}, `infinity is no bound`},
	} {
		if _, err := New(config(one(c.t), c.opts...)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s %v: %v", c.t, c.opts, err)
		}
	}
}

func BenchmarkRows(b *testing.B) {
	s := source(b, mixed, append(mixedOptions, "number-of-rows", "1000000000000")...)
	r, err := s.Open(b.Context(), nil, nil)
	if err != nil {
		b.Fatal(err)
	}
	n := 0
	for b.Loop() {
		fs, err := r.Fetch(b.Context(), delta.MaxRows)
		if err != nil {
			b.Fatal(err)
		}
		n += fs[0].Batch.N
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds()/1e6, "Mrows/s")
}
