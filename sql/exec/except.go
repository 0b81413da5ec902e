package exec

import (
	"bytes"

	"github.com/streamsql/streamsql/sql/delta"
	"github.com/streamsql/streamsql/sql/plan"
	"github.com/streamsql/streamsql/sql/sqlerr"
	"github.com/streamsql/streamsql/state"
)

// except is EXCEPT and INTERSECT, each with and without ALL. It keeps how often
// each row is in either input.
type except struct {
	n         *plan.Node
	intersect bool
	set       rowSet
	t         [2]*state.Tree
	cur       [2]*state.Cursor
	out       rowsOut
	all       *touched // in Batch: the answer is given at Finish

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
	e := &except{n: n, set: newRowSet(n.Out), out: rowsOut{cols: n.Out, step: b.step}}
	switch n.SetOp {
	case "except":
	case "intersect":
		e.intersect = true
	default:
		return nil, sqlerr.New(sqlerr.FeatureNotSupported, "set operation %q is not supported", n.SetOp)
	}
	if b.opts.Batch {
		e.all = newTouched()
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
		if e.all != nil {
			e.t[in].Add(e.set.keys.At(int(i)), w)
			e.all.add(eq)
			continue
		}
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

func (e *except) Finish(out Emit) error {
	if e.all == nil {
		return nil
	}
	e.before = e.before[:0]
	err := e.all.each(func(eq []byte) error {
		e.arena = e.arena[:0]
		e.after = e.answer(e.after[:0], eq)
		return e.change(len(eq), out)
	})
	if err != nil {
		return err
	}
	return e.out.flush(out)
}

// Held implements Holder.
func (e *except) Held() int64 { return e.all.bytes() }

func (e *except) Advance(wm []int64, _ Emit) (int64, error) { return inputTime(e.n, wm), nil }
