package exec

import (
	"github.com/streamsql/streamsql/sql/delta"
	"github.com/streamsql/streamsql/sql/plan"
)

// exchange hands each row to the worker that owns the key group of its keys,
// and without keys all rows to worker 0. With one worker it passes them on.
// What it sorts out waits in the outbox until all workers are done with the
// level.
type exchange struct {
	n      *plan.Node
	keyAt  []int
	w      *worker
	outbox [][]*delta.Batch // by target
	keys   Keys
	cols   []*delta.Vec
	sel    [][]int32
	owner  [KeyGroups]uint8
}

var _ Operator = (*exchange)(nil)

func newExchange(n *plan.Node, b *builder, _ int) (Operator, error) {
	if b.opts.Workers == 1 {
		return &pass{n: n}, nil
	}
	e := &exchange{n: n, keyAt: n.Keys, w: b.cur.w, outbox: make([][]*delta.Batch, b.opts.Workers), sel: make([][]int32, b.opts.Workers)}
	if f := b.panes[n.ID]; f != nil {
		e.keyAt = f.exchanges[n.ID]
	}
	if f := b.sessions[n.ID]; f != nil {
		e.keyAt = f.exchanges[n.ID]
	}
	for g := range e.owner {
		e.owner[g] = uint8(GroupOwner(byte(g), b.opts.Workers))
	}
	return e, nil
}

func (e *exchange) Apply(_ int, b *delta.Batch, _ Emit) error {
	if len(e.keyAt) == 0 {
		return e.post(0, b)
	}
	e.cols = pick(e.cols, b, e.keyAt)
	e.keys.Encode(e.cols, b.N)
	for t := range e.sel {
		e.sel[t] = e.sel[t][:0]
	}
	for i := range b.N {
		t := e.owner[e.keys.Buf[e.keys.Off[i]]]
		e.sel[t] = append(e.sel[t], int32(i))
	}
	for t, sel := range e.sel {
		switch len(sel) {
		case 0:
		case b.N:
			return e.post(t, b)
		default:
			if err := e.post(t, gather(b, sel)); err != nil {
				return err
			}
		}
	}
	return nil
}

// post puts b into the outbox of worker t.
func (e *exchange) post(t int, b *delta.Batch) error {
	e.outbox[t] = append(e.outbox[t], b)
	e.w.queued += batchBytes(b)
	return e.w.check()
}

func (e *exchange) reset() {
	for t := range e.outbox {
		e.outbox[t] = nil
	}
}

func (e *exchange) Finish(Emit) error { return nil }

func (e *exchange) Advance(wm []int64, _ Emit) (int64, error) { return inputTime(e.n, wm), nil }
