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
	groupTime
}

var (
	_ Operator = (*distinct)(nil)
	_ Stepper  = (*distinct)(nil)
	_ Restorer = (*distinct)(nil)
	_ Waiter   = (*distinct)(nil)
)

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
	d.initTime(n, b, allColumns(n))
	d.openTime(n, b, 2, worker)
	return d, nil
}

func (d *distinct) Apply(_ int, b *delta.Batch, out Emit) error {
	b, err := d.dropLate(b)
	if err != nil || b.N == 0 {
		return err
	}
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
		if d.closing && (len(d.before) == 0) != (len(d.after) == 0) {
			d.there(b, int(i), eq, len(d.after) > 0)
		}
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
		return d.t.Err()
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

// Advance drops the rows that the watermark has closed.
func (d *distinct) Advance(wm []int64, _ Emit) (int64, error) {
	return d.advanceParts(inputTime(d.n, wm), d.t, d.cur)
}

// Commit and Rollback end a step.
func (d *distinct) Commit() { d.commitTime() }
func (d *distinct) Rollback() {
	d.out.b = nil
	d.rollbackTime()
}

// Restore takes the watermark up after a restart.
func (d *distinct) Restore(wm []int64) { d.restoreTime(inputTime(d.n, wm)) }

// NextClose returns the watermark at which a row is closed next.
func (d *distinct) NextClose() int64 { return d.nextPart() }

func allColumns(n *plan.Node) []int {
	cols := make([]int, len(n.Inputs[0].Out))
	for c := range cols {
		cols[c] = c
	}
	return cols
}

// there notes that the group of row i, key, has come or is gone.
func (g *groupTime) there(b *delta.Batch, i int, key []byte, is bool) {
	if v := b.Cols[g.timeCol]; !v.Null(i) {
		g.closeIdx.add(key, v.I[i], sign(is))
	}
}
