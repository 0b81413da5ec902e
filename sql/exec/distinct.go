package exec

import (
	"bytes"

	"github.com/streamsql/streamsql/sql/delta"
	"github.com/streamsql/streamsql/sql/plan"
	"github.com/streamsql/streamsql/sql/sqlerr"
	"github.com/streamsql/streamsql/sql/types"
	"github.com/streamsql/streamsql/state"
)

// rowSet encodes the rows of a batch for a table of rows: key group, AppendEq
// of all columns and, if there are types of which equal values can differ
// (1.0 and 1.00), AppendKey of all columns behind it.
type rowSet struct {
	keys  Keys
	eqLen []int32 // of each key: how much of it equal rows share
	order keyOrder
	plain bool // AppendEq is AppendKey for all columns
	cols  []plan.Column
}

func newRowSet(cols []plan.Column) rowSet {
	s := rowSet{cols: cols, plain: true}
	for _, c := range cols {
		s.plain = s.plain && plainType(c.Type)
	}
	return s
}

// plainType tells whether equal values of t are the same value.
func plainType(t types.Type) bool { return t.ID != types.Numeric && t.ID != types.Interval }

// encode makes the keys of b and returns their order.
func (s *rowSet) encode(b *delta.Batch) []sortKey {
	s.keys.Reset()
	s.eqLen = s.eqLen[:0]
	for i := range b.N {
		start := len(s.keys.Buf)
		s.keys.Buf = AppendRowEq(append(s.keys.Buf, 0), b.Cols, i)
		s.keys.Buf[start] = KeyGroup(s.keys.Buf[start+1:])
		s.eqLen = append(s.eqLen, int32(len(s.keys.Buf)-start))
		if !s.plain {
			s.keys.Buf = AppendRowKey(s.keys.Buf, b.Cols, i, nil)
		}
		s.keys.End()
	}
	return s.order.sort(&s.keys)
}

// eq returns the part of key i that equal rows share.
func (s *rowSet) eq(i int32) []byte {
	k := s.keys.At(int(i))
	return k[:s.eqLen[i]:s.eqLen[i]]
}

// row appends the row of a key of the set, whose shared part has eqLen bytes,
// to cols.
func (s *rowSet) row(key []byte, eqLen int, cols []*delta.Vec) error {
	if s.plain {
		key = key[1:]
	} else {
		key = key[eqLen:]
	}
	_, err := DecodeRow(key, nil, cols)
	return err
}

// run returns the end of the run of equal keys that starts at order[from], and
// their weights' sum.
func (s *rowSet) run(b *delta.Batch, order []sortKey, from int) (to int, w int64) {
	k := s.keys.At(int(order[from].i))
	for to = from; to < len(order); to++ {
		if to > from && (order[to].head != order[from].head || !bytes.Equal(s.keys.At(int(order[to].i)), k)) {
			break
		}
		w += b.Weight(int(order[to].i))
	}
	return to, w
}

// distinct emits each row once, as long as its weight is above zero. Equal rows
// can differ in form here (see distinctHash): it shows the least.
type distinct struct {
	n   *plan.Node
	set rowSet
	t   *state.Tree
	cur *state.Cursor
	out rowsOut

	before, after []byte
}

var _ Operator = (*distinct)(nil)

func newDistinct(n *plan.Node, b *builder, worker int) (Operator, error) {
	set := newRowSet(n.Out)
	if set.plain {
		return newDistinctHash(n, b, worker), nil
	}
	t := b.tree(n, 0, worker)
	return &distinct{n: n, set: set, t: t, cur: t.Cursor(), out: rowsOut{cols: n.Out}}, nil
}

func (d *distinct) Apply(_ int, b *delta.Batch, out Emit) error {
	order := d.set.encode(b)
	for at := 0; at < len(order); {
		i := order[at].i
		next, w := d.set.run(b, order, at)
		at = next
		if w == 0 {
			continue
		}
		key := d.set.keys.At(int(i))
		eq := d.set.eq(i)
		d.before = d.shown(d.before, eq)
		d.t.Add(key, w)
		d.after = d.shown(d.after, eq)
		if bytes.Equal(d.before, d.after) {
			continue
		}
		if len(d.before) > 0 {
			if err := d.emit(d.before, len(eq), -1, out); err != nil {
				return err
			}
		}
		if len(d.after) > 0 {
			if err := d.emit(d.after, len(eq), 1, out); err != nil {
				return err
			}
		}
	}
	return d.out.flush(out)
}

// shown returns the key of the row that stands for those equal to eq, none if
// there is no row.
func (d *distinct) shown(dst, eq []byte) []byte {
	return firstShown(dst, d.cur, eq)
}

func firstShown(dst []byte, cur *state.Cursor, eq []byte) []byte {
	dst = dst[:0]
	for ok := cur.Seek(eq); ok && bytes.HasPrefix(cur.Key(), eq); ok = cur.Next() {
		if cur.Weight() > 0 {
			return append(dst, cur.Key()...)
		}
	}
	return dst
}

func (d *distinct) emit(key []byte, eqLen int, w int64, out Emit) error {
	if err := d.set.row(key, eqLen, d.out.row(w)); err != nil {
		return err
	}
	return d.out.done(out)
}

func sign(plus bool) int64 {
	if plus {
		return 1
	}
	return -1
}

func (d *distinct) Finish(Emit) error { return nil }

func (d *distinct) Advance(wm []int64, _ Emit) (int64, error) { return inputTime(d.n, wm), nil }

// except is EXCEPT and INTERSECT, each with and without ALL. It keeps how often
// each row is in either input.
type except struct {
	n         *plan.Node
	intersect bool
	set       rowSet
	t         [2]*state.Tree
	cur       [2]*state.Cursor
	out       rowsOut

	before, after []counted
	arena         []byte
}

// counted is a row of the answer and its weight.
type counted struct {
	from, to int // of the arena
	w        int64
}

var _ Operator = (*except)(nil)

func newExcept(n *plan.Node, b *builder, worker int) (Operator, error) {
	if len(n.Inputs) != 2 {
		return nil, sqlerr.New(sqlerr.Internal, "node %d has %d inputs, not 2", n.ID, len(n.Inputs))
	}
	e := &except{n: n, set: newRowSet(n.Out), out: rowsOut{cols: n.Out}}
	switch n.SetOp {
	case "except":
	case "intersect":
		e.intersect = true
	default:
		return nil, sqlerr.New(sqlerr.FeatureNotSupported, "set operation %q is not supported", n.SetOp)
	}
	for i := range e.t {
		e.t[i] = b.tree(n, i, worker)
		e.cur[i] = e.t[i].Cursor()
	}
	return e, nil
}

func (e *except) Apply(in int, b *delta.Batch, out Emit) error {
	order := e.set.encode(b)
	for at := 0; at < len(order); {
		i := order[at].i
		next, w := e.set.run(b, order, at)
		at = next
		if w == 0 {
			continue
		}
		eq := e.set.eq(i)
		e.arena = e.arena[:0]
		e.before = e.answer(e.before[:0], eq)
		e.t[in].Add(e.set.keys.At(int(i)), w)
		e.after = e.answer(e.after[:0], eq)
		if err := e.change(len(eq), out); err != nil {
			return err
		}
	}
	return e.out.flush(out)
}

// answer appends the rows equal to eq that are in the answer, in their order.
// The counts of either side are of all equal rows; of the left rows the first
// ones are shown.
func (e *except) answer(dst []counted, eq []byte) []counted {
	var count [2]int64
	for s, cur := range e.cur {
		for ok := cur.Seek(eq); ok && bytes.HasPrefix(cur.Key(), eq); ok = cur.Next() {
			count[s] += cur.Weight()
		}
	}
	var n int64
	switch {
	case e.n.All && e.intersect:
		n = min(count[0], count[1])
	case e.n.All:
		n = count[0] - max(count[1], 0)
	case e.intersect == (count[1] > 0) && count[0] > 0:
		n = 1
	}
	cur := e.cur[0]
	for ok := n > 0 && cur.Seek(eq); ok && bytes.HasPrefix(cur.Key(), eq) && n > 0; ok = cur.Next() {
		w := min(cur.Weight(), n)
		if w <= 0 {
			continue
		}
		n -= w
		from := len(e.arena)
		e.arena = append(e.arena, cur.Key()...)
		dst = append(dst, counted{from, len(e.arena), w})
	}
	return dst
}

// change emits what leads from before to after, both in the order of keys.
func (e *except) change(eqLen int, out Emit) error {
	i, j := 0, 0
	for i < len(e.before) || j < len(e.after) {
		var c int
		switch {
		case i == len(e.before):
			c = 1
		case j == len(e.after):
			c = -1
		default:
			c = bytes.Compare(e.key(e.before[i]), e.key(e.after[j]))
		}
		var at counted
		var w int64
		if c <= 0 {
			at = e.before[i]
			w -= at.w
			i++
		}
		if c >= 0 {
			at = e.after[j]
			w += at.w
			j++
		}
		if w == 0 {
			continue
		}
		if err := e.set.row(e.key(at), eqLen, e.out.row(w)); err != nil {
			return err
		}
		if err := e.out.done(out); err != nil {
			return err
		}
	}
	return nil
}

func (e *except) key(c counted) []byte { return e.arena[c.from:c.to] }

func (e *except) Finish(Emit) error { return nil }

func (e *except) Advance(wm []int64, _ Emit) (int64, error) { return inputTime(e.n, wm), nil }
