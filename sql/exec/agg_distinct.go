package exec

import (
	"bytes"

	"github.com/streamsql/streamsql/sql/delta"
	"github.com/streamsql/streamsql/sql/types"
)

// distinctAcc feeds an accumulator each value once: the values are in the node's
// multiset, and a value is fed when its weight becomes positive, and taken back
// when it no longer is. Of values that are equal but not the same (1.0, 1.00)
// the least is fed.
type distinctAcc struct {
	acc
	a      *agg
	num    int
	forms  bool // the type has values that are equal and not the same
	buf    *delta.Batch
	rows   []int32
	before []byte
}

// distinct wraps x if the call is DISTINCT.
func (a *agg) distinct(c *call, num int, x acc) acc {
	if !c.Distinct || len(c.Args) == 0 {
		return x
	}
	d := &distinctAcc{acc: x, a: a, num: num}
	for _, i := range c.Args {
		d.forms = d.forms || manyForms(a.in[i].Type)
	}
	return d
}

// manyForms tells whether equal values of t may be shown differently.
func manyForms(t types.Type) bool { return t.ID == types.Numeric || t.ID == types.Interval }

func (a *distinctAcc) apply(f *feed) error {
	a.buf = &delta.Batch{Cols: make([]*delta.Vec, len(f.args))}
	for c, v := range f.args {
		a.buf.Cols[c] = delta.NewVec(v.T, 64)
	}
	a.rows = a.rows[:0]
	for _, i := range f.sel {
		row := f.rows[i]
		p := a.a.prefix(row, a.num)
		if a.forms {
			if err := a.applyForms(f, p, row, int(i)); err != nil {
				return err
			}
			continue
		}
		k := AppendRowKey(p, f.args, int(i), nil)
		a.a.key = k
		old, now := a.a.set.Add(k, f.w[i])
		if old > 0 == (now > 0) {
			continue
		}
		w := int64(1)
		if old > 0 {
			w = -1
		}
		for c, v := range f.args {
			a.buf.Cols[c].AppendFrom(v, int(i))
		}
		a.add(row, w)
	}
	return a.feed(f)
}

func (a *distinctAcc) add(row int32, w int64) {
	a.buf.W = append(a.buf.W, w)
	a.buf.N++
	a.rows = append(a.rows, row)
}

// applyForms keeps under each value's equality encoding its forms.
func (a *distinctAcc) applyForms(f *feed, p []byte, row int32, i int) error {
	eq := AppendRowEq(p, f.args, i)
	n := len(eq)
	k := AppendRowKey(eq, f.args, i, nil)
	a.a.key = k
	was, _ := a.a.first(k[:n], false)
	a.before = append(a.before[:0], was...)
	a.a.set.Add(k, f.w[i])
	now, _ := a.a.first(k[:n], false)
	if bytes.Equal(a.before, now) {
		return nil
	}
	for s, form := range [2][]byte{a.before, now} {
		if len(form) == 0 {
			continue
		}
		if _, err := DecodeRow(form, nil, a.buf.Cols); err != nil {
			return err
		}
		a.add(row, int64(2*s-1))
	}
	return nil
}

func (a *distinctAcc) feed(f *feed) error {
	if a.buf.N == 0 {
		return a.a.set.Err()
	}
	sel := f.sel[:0:0]
	for i := range int32(a.buf.N) {
		sel = append(sel, i)
	}
	return a.acc.apply(&feed{b: a.buf, sel: sel, rows: a.rows, w: a.buf.W, args: a.buf.Cols})
}
