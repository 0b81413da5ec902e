package exec

import (
	"github.com/streamsql/streamsql/sql/delta"
	"github.com/streamsql/streamsql/sql/plan"
	"github.com/streamsql/streamsql/sql/types"
	"github.com/streamsql/streamsql/state"
)

// distinctHash is distinct for rows of which equal ones are the same: it needs
// no more than their weight.
type distinctHash struct {
	n      *plan.Node
	h      *state.Hash // key group | AppendEq of the row → weight
	keys   Keys
	ids    []int32
	groups groups
	sel    []int32
	w      []int64
	gone   []int32
	groupTime
}

var (
	_ Operator = (*distinctHash)(nil)
	_ Stepper  = (*distinctHash)(nil)
	_ Restorer = (*distinctHash)(nil)
	_ Waiter   = (*distinctHash)(nil)
)

func newDistinctHash(n *plan.Node, b *builder, worker int) Operator {
	var ts []types.Type
	for _, c := range n.Out {
		ts = append(ts, c.Type)
	}
	d := &distinctHash{n: n, h: b.hash(n, 1, worker, state.HashOptions{Words: 1, Inline: keyRoom(ts)})}
	d.initTime(n, b, allColumns(n))
	d.openTime(n, b, 2, worker)
	return d
}

func (d *distinctHash) Apply(_ int, b *delta.Batch, out Emit) error {
	b, err := d.dropLate(b)
	if err != nil || b.N == 0 {
		return err
	}
	d.keys.Encode(b.Cols, b.N)
	d.ids = d.h.Lookup(d.keys.Buf, d.keys.Off, true, d.ids[:0])
	d.groups.build(d.ids)
	d.sel, d.w, d.gone = d.sel[:0], d.w[:0], d.gone[:0]
	ones := true
	for _, g := range d.groups.list {
		w := int64(0)
		for k := g.first; k >= 0; k = d.groups.next[k] {
			w += b.Weight(int(k))
		}
		v := d.h.Words(g.id)
		old := int64(v[0])
		new := old + w
		if overflows(old, w) {
			return errWeight
		}
		if w != 0 {
			d.h.Touch(g.id)
			v[0] = uint64(new)
		}
		if d.closing && (old == 0) != (new == 0) {
			d.there(b, int(g.first), d.keys.At(int(g.first)), new != 0)
		}
		if new == 0 {
			d.gone = append(d.gone, g.id)
		}
		if (old > 0) != (new > 0) {
			d.sel = append(d.sel, g.first)
			d.w = append(d.w, sign(new > 0))
			ones = ones && new > 0
		}
	}
	for _, id := range d.gone {
		d.h.Delete(id)
	}
	if len(d.sel) == 0 {
		return nil
	}
	o := &delta.Batch{N: len(d.sel), Cols: make([]*delta.Vec, len(b.Cols))}
	for c, v := range b.Cols {
		o.Cols[c] = v.Gather(d.sel)
	}
	if !ones {
		o.W = append([]int64{}, d.w...)
	}
	return out(o)
}

func (d *distinctHash) Finish(Emit) error { return d.err() }

func (d *distinctHash) err() error {
	if !d.closing {
		return nil
	}
	return d.closeIdx.tree.Err()
}

// Advance drops the rows that the watermark has closed.
func (d *distinctHash) Advance(wm []int64, _ Emit) (int64, error) {
	w := inputTime(d.n, wm)
	if w <= d.wm || !d.closing {
		return w, nil
	}
	d.wm = w
	return w, d.closeIdx.take(d.limit(), func(key []byte) error {
		if id := d.h.Get(key, false); id >= 0 {
			d.h.Delete(id)
		}
		return d.h.Err()
	})
}

// Commit and Rollback end a step.
func (d *distinctHash) Commit()   { d.commitTime() }
func (d *distinctHash) Rollback() { d.rollbackTime() }

// Restore takes the watermark up after a restart.
func (d *distinctHash) Restore(wm []int64) { d.restoreTime(inputTime(d.n, wm)) }

// NextClose returns the watermark at which a row is closed next.
func (d *distinctHash) NextClose() int64 { return d.nextPart() }
