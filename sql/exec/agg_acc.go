package exec

import (
	"github.com/streamsql/streamsql/sql/delta"
	"github.com/streamsql/streamsql/sql/expr"
	"github.com/streamsql/streamsql/sql/plan"
	"github.com/streamsql/streamsql/sql/sqlerr"
	"github.com/streamsql/streamsql/sql/types"
	"github.com/streamsql/streamsql/state"
)

// feed is what an accumulator is given of a batch: the rows named by sel, with
// the group and the weight of each row of the batch.
type feed struct {
	b    *delta.Batch
	sel  []int32
	rows []int32 // by row of the batch: the group's row in the table
	w    []int64 // by row of the batch
	args []*delta.Vec
}

// acc is the accumulator of one aggregate, for all groups. Its state are words
// of the group's entry and, of a slotted one, bytes in the entry's tail.
type acc interface {
	words() int
	place(at int) // the first of its words
	apply(f *feed) error
	// finish is called when the step's input is whole, before results: answers
	// that are kept are brought up to date.
	finish() error
	// results appends the answer of each group to out.
	results(gs *entrySet, out *delta.Vec) error
}

// slotted is an acc that keeps bytes in the entry's tail. While a group is open
// in a step they are held decoded, by the group's open number: load is called
// for each in turn, save before the step ends.
type slotted interface {
	acc
	load(b []byte) error
	save(i int, dst []byte) ([]byte, error)
	reset()
}

// entrySet is entries whose answers are asked for.
type entrySet struct {
	words [][]uint64
	tails [][]byte
	slot  [][]byte // of a slotted acc: its part of each tail
}

// wordAcc is the part that accumulators with words have in common.
type wordAcc struct {
	t  *state.Hash
	at int
}

func (a *wordAcc) place(at int)  { a.at = at }
func (a *wordAcc) finish() error { return nil }

// countAcc counts rows: count(*), count(x).
type countAcc struct{ wordAcc }

func (a *countAcc) words() int { return 1 }

func (a *countAcc) apply(f *feed) error {
	t, at := a.t, a.at
	for _, i := range f.sel {
		t.Words(f.rows[i])[at] += uint64(f.w[i])
	}
	return nil
}

func (a *countAcc) results(gs *entrySet, out *delta.Vec) error {
	for _, w := range gs.words {
		out.AppendInt(int64(w[a.at]))
	}
	return nil
}

// rowsAcc is count(*) without a filter: the entry's own count.
type rowsAcc struct{ countAcc }

func (a *rowsAcc) words() int          { return 0 }
func (a *rowsAcc) place(int)           {}
func (a *rowsAcc) apply(f *feed) error { return nil }

// boolAcc is bool_and and bool_or: how many rows there are, and how many true.
type boolAcc struct {
	wordAcc
	or bool
}

func (a *boolAcc) words() int { return 2 }

func (a *boolAcc) apply(f *feed) error {
	x := f.args[0].I
	for _, i := range f.sel {
		w := a.t.Words(f.rows[i])[a.at:]
		w[0] += uint64(f.w[i])
		if x[i] != 0 {
			w[1] += uint64(f.w[i])
		}
	}
	return nil
}

func (a *boolAcc) results(gs *entrySet, out *delta.Vec) error {
	for _, w := range gs.words {
		n, yes := w[a.at], w[a.at+1]
		switch {
		case n == 0:
			out.AppendNull()
		case a.or && yes > 0, !a.or && yes == n:
			out.AppendInt(1)
		default:
			out.AppendInt(0)
		}
	}
	return nil
}

// call is an aggregate of the node with what selects its rows.
type call struct {
	plan.AggCall
	fn  *expr.AggFunc
	acc acc
	in  bool // acc takes rows of its own: not another call's, nor the group's count
	// strict arguments: rows with NULL there are left out
	strict []int
}

// newAcc makes the accumulator of call number num.
func (a *agg) newAcc(c *call, num int) (acc, error) {
	wa := wordAcc{t: a.t}
	arg := func() types.Type { return a.in[c.Args[0]].Type }
	var x acc
	switch c.fn.Kind {
	case expr.AggCountStar, expr.AggCount:
		x = &countAcc{wa}
	case expr.AggSumInt, expr.AggSumBig, expr.AggAvgInt:
		x = &intSumAcc{wordAcc: wa, kind: c.fn.Kind}
	case expr.AggSumNum, expr.AggAvgNum:
		x = &numSumAcc{wordAcc: wa, a: a, avg: c.fn.Kind == expr.AggAvgNum}
	case expr.AggSumFloat, expr.AggAvgFloat:
		x = &floatSumAcc{wordAcc: wa, a: a, avg: c.fn.Kind == expr.AggAvgFloat, single: c.Type.ID == types.Float4}
	case expr.AggSumIntv, expr.AggAvgIntv:
		x = &intervalAcc{wordAcc: wa, avg: c.fn.Kind == expr.AggAvgIntv}
	case expr.AggBoolAnd, expr.AggBoolOr:
		x = &boolAcc{wordAcc: wa, or: c.fn.Kind == expr.AggBoolOr}
	case expr.AggVar:
		return a.distinct(c, num, &varAcc{a: a, name: c.fn.Name, float: arg().Phys() == types.PhysFloat, integer: arg().Phys() == types.PhysInt}), nil
	case expr.AggMin, expr.AggMax, expr.AggAnyValue:
		if arg().Phys() != types.PhysBytes {
			return &fixedExtreme{wordAcc: wa, a: a, num: num, max: c.fn.Kind == expr.AggMax, float: arg().Phys() == types.PhysFloat}, nil
		}
		return &extreme{wordAcc: wa, a: a, num: num, max: c.fn.Kind == expr.AggMax, enc: rowEncoding{args: c.Args[:1]}, typ: a.in}, nil
	case expr.AggFirst, expr.AggLast:
		return &extreme{wordAcc: wa, a: a, num: num, max: c.fn.Kind == expr.AggLast, enc: rowEncoding{order: c.Order, args: c.Args[:1]}, typ: a.in}, nil
	case expr.AggSingle:
		return &extreme{wordAcc: wa, a: a, num: num, single: true, enc: rowEncoding{args: c.Args[:1]}, typ: a.in}, nil
	case expr.AggString, expr.AggArray:
		return &orderedAcc{a: a, c: c, num: num, enc: rowEncoding{order: c.Order, args: c.Args}}, nil
	case expr.AggUser:
		// The least form of a value may change, which takes the one before back.
		inPlace := c.fn.Retractable || a.appendOnly && !c.Distinct
		if len(c.Order) == 0 && inPlace {
			return a.distinct(c, num, &userAcc{a: a, c: c}), nil
		}
		return &orderedAcc{a: a, c: c, num: num, enc: rowEncoding{order: c.Order, args: c.Args}, fold: a.folds(c)}, nil
	default:
		return nil, sqlerr.New(sqlerr.FeatureNotSupported, "aggregate %s is not supported", c.Fn)
	}
	return a.distinct(c, num, x), nil
}

// selectRows narrows sel to the rows where the filter is true and no strict
// argument is NULL. It returns sel itself if that is all of them.
func (c *call) selectRows(b *delta.Batch, sel, buf []int32) []int32 {
	out := sel
	if c.Filter >= 0 {
		v := b.Cols[c.Filter]
		buf = buf[:0]
		for _, i := range out {
			if v.I[i] != 0 && !v.Null(int(i)) {
				buf = append(buf, i)
			}
		}
		out = buf
	}
	for _, a := range c.strict {
		v := b.Cols[a]
		if v.Nulls == nil {
			continue
		}
		keep := buf[:0]
		for _, i := range out {
			if !v.Null(int(i)) {
				keep = append(keep, i)
			}
		}
		out = keep
	}
	return out
}
