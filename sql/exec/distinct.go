package exec

import (
	"bytes"

	"github.com/streamsql/streamsql/sql/delta"
	"github.com/streamsql/streamsql/sql/plan"
	"github.com/streamsql/streamsql/state"
)

// distinct emits each row once, as long as its weight is above zero. Equal rows
// can differ in form here (see distinctHash): it shows the least.
type distinct struct {
	n   *plan.Node
	set rowSet
	t   *state.Tree
	cur *state.Cursor
	out rowsOut
	all *touched // in Batch: rows are shown at Finish

	before, after []byte
}

var _ Operator = (*distinct)(nil)

func newDistinct(n *plan.Node, b *builder, worker int) (Operator, error) {
	set := newRowSet(n.Out)
	if set.plain {
		return newDistinctHash(n, b, worker), nil
	}
	t := b.tree(n, 0, worker)
	d := &distinct{n: n, set: set, t: t, cur: t.Cursor(), out: rowsOut{cols: n.Out, step: b.step}}
	if b.opts.Batch {
		d.all = newTouched()
	}
	return d, nil
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
		if d.all != nil {
			d.t.Add(key, w)
			d.all.add(eq)
			continue
		}
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
	dst = dst[:0]
	for ok := d.cur.Seek(eq); ok && bytes.HasPrefix(d.cur.Key(), eq); ok = d.cur.Next() {
		if d.cur.Weight() > 0 {
			return append(dst, d.cur.Key()...)
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

func (d *distinct) Finish(out Emit) error {
	if d.all == nil {
		return nil
	}
	err := d.all.each(func(eq []byte) error {
		if d.after = d.shown(d.after, eq); len(d.after) == 0 {
			return nil
		}
		return d.emit(d.after, len(eq), 1, out)
	})
	if err != nil {
		return err
	}
	return d.out.flush(out)
}

// Held implements Holder.
func (d *distinct) Held() int64 { return d.all.bytes() }
