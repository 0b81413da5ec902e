package engine

import (
	"cmp"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/streamsql/streamsql/sql/delta"
	"github.com/streamsql/streamsql/sql/plan"
	"github.com/streamsql/streamsql/sql/sqlerr"
	"github.com/streamsql/streamsql/sql/types"
)

type abRow struct{ a, b int64 } // a < 0: NULL

func abBatch(rows []abRow) *delta.Batch {
	b := &delta.Batch{N: len(rows), Cols: []*delta.Vec{delta.NewVec(types.Of(types.Int8), 0), delta.NewVec(types.Of(types.Int8), 0)}}
	for _, r := range rows {
		if r.a < 0 {
			b.Cols[0].AppendNull()
		} else {
			b.Cols[0].AppendInt(r.a)
		}
		b.Cols[1].AppendInt(r.b)
	}
	return b
}

// TestSorter holds the sorter to a plain sort of everything.
func TestSorter(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for i := range 60 {
		o := plan.Order{Col: 0, Desc: i%2 == 1, NullsFirst: i/2%2 == 1}
		ties := i%3 == 0
		limit, offset := int64(rnd.IntN(30)), int64(rnd.IntN(10))
		if i%5 == 0 {
			limit = -1
		}
		var all []abRow
		s := newSorter(&plan.Query{Sort: []plan.Order{o}, Ties: ties}, limit, offset, 0)
		for range rnd.IntN(20) {
			var part []abRow
			for range rnd.IntN(3000) {
				part = append(part, abRow{int64(rnd.IntN(50)) - 5, int64(rnd.IntN(1000))})
			}
			all = append(all, part...)
			if err := s.add(abBatch(part)); err != nil {
				t.Fatal(err)
			}
		}
		slices.SortFunc(all, func(x, y abRow) int {
			if xn, yn := x.a < 0, y.a < 0; xn != yn {
				return map[bool]int{true: -1, false: 1}[xn == o.NullsFirst]
			} else if !xn && x.a != y.a {
				return cmp.Compare(x.a, y.a) * map[bool]int{true: -1, false: 1}[o.Desc]
			}
			return cmp.Compare(x.b, y.b)
		})
		for i := range all {
			all[i].a = max(all[i].a, -1)
		}
		want := all
		if limit >= 0 {
			end := min(int(limit+offset), len(all))
			for ties && end > 0 && end < len(all) && all[end].a == all[end-1].a {
				end++
			}
			want = all[:end]
		}
		want = want[min(int(offset), len(want)):]
		var got []abRow
		err := s.emit(func(b *delta.Batch) error {
			for i := range b.N {
				r := abRow{-1, b.Cols[1].I[i]}
				if !b.Cols[0].Null(i) {
					r.a = b.Cols[0].I[i]
				}
				got = append(got, r)
			}
			return nil
		})
		if err != nil || !slices.Equal(got, want) {
			t.Fatalf("run %d %+v limit %d offset %d ties %v: %d rows, want %d, %v\n%v\n%v", i, o, limit, offset, ties, len(got), len(want), err,
				got[:min(20, len(got))], want[:min(20, len(want))])
		}
	}
}

// TestSorterNumerics: numbers that SQL calls equal do not decide the order.
func TestSorterNumerics(t *testing.T) {
	num := types.Of(types.Numeric)
	b := &delta.Batch{N: 3, Cols: []*delta.Vec{delta.NewVec(num, 0), delta.NewVec(types.Of(types.Int8), 0)}}
	for i, n := range []string{"1.00", "1.0", "0.5"} {
		d, err := types.ParseText(num, n)
		if err != nil {
			t.Fatal(err)
		}
		b.Cols[0].AppendDatum(d)
		b.Cols[1].AppendInt(int64(i))
	}
	s := newSorter(&plan.Query{Sort: []plan.Order{{Col: 0}, {Col: 1, Desc: true, NullsFirst: true}}}, -1, 0, 0)
	if err := s.add(b); err != nil {
		t.Fatal(err)
	}
	got := ""
	if err := s.emit(func(b *delta.Batch) error { got = fmt.Sprint(b.Cols[1].I); return nil }); err != nil || got != "[2 1 0]" {
		t.Errorf("%s, %v", got, err)
	}
}

func TestSorterMemory(t *testing.T) {
	for _, limit := range []int64{-1, 10} {
		s := newSorter(&plan.Query{Sort: []plan.Order{{Col: 0}}}, limit, 0, 200_000)
		var err error
		for range 50 {
			if err = s.add(abBatch(make([]abRow, 1000))); err != nil {
				break
			}
		}
		var e *sqlerr.Error
		if limit < 0 && (!errors.As(err, &e) || e.Code != sqlerr.OutOfMemory) || limit >= 0 && err != nil {
			t.Errorf("limit %d: %v", limit, err)
		}
	}
}
