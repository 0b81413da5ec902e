package engine

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/streamsql/streamsql/sql/delta"
	"github.com/streamsql/streamsql/sql/expr"
	"github.com/streamsql/streamsql/sql/plan"
	"github.com/streamsql/streamsql/sql/sqlerr"
	"github.com/streamsql/streamsql/state"
)

// pin holds stored relations at one finished epoch.
type pin struct {
	Epoch   uint64
	Notices []Notice // a view that stands at an older epoch (FAILED, STALE, PAUSED)

	eng       *Engine
	env       *expr.Env
	ctx       *expr.Context
	relations map[uint64]*pinned
	pos       []PositionInfo // of all sources, as of Epoch

	mu   sync.Mutex
	busy int           // scans that read the snapshots
	dead *sqlerr.Error // it was cancelled
	gone bool          // the snapshots are released
}

// pinned is one relation's arrangements.
type pinned struct {
	rel   *relation // its arrangements are not to be touched
	snaps []*state.Snapshot
}

// pin takes hold of relations, between two steps. 55000 for a view that is
// still BACKFILLING (with its progress in the detail).
func (e *Engine) pin(ctx context.Context, ids []uint64) (*pin, error) {
	var p *pin
	var err error
	if derr := e.do(ctx, func() { p, err = e.takePin(ids) }); derr != nil {
		return nil, derr
	}
	return p, err
}

func (e *Engine) takePin(ids []uint64) (*pin, error) {
	p := &pin{
		eng: e, Epoch: e.epoch, relations: map[uint64]*pinned{}, pos: e.positionInfos(),
		env: e.currentCatalog().Env, ctx: e.stepContext(),
	}
	for _, id := range ids {
		if p.relations[id] != nil {
			continue
		}
		r := e.relations[id]
		if r == nil {
			p.release()
			return nil, sqlerr.New(sqlerr.UndefinedTable, "a relation of the statement was dropped")
		}
		if j := e.jobsByID[id]; j != nil && j.state != Running && j.state != Finished {
			if j.state == Backfilling || j.state == Created {
				p.release()
				return nil, backfillingError(j)
			}
			p.Notices = append(p.Notices, staleNotice(j, e.epoch))
		}
		h := &pinned{rel: &relation{obj: r.obj, types: r.types, main: r.main, index: append([]*arrangement(nil), r.index...)}}
		for _, a := range h.rel.all() {
			h.snaps = append(h.snaps, a.tree.Snapshot())
		}
		p.relations[id] = h
	}
	e.pinMu.Lock()
	e.pins = append(e.pins, p)
	e.pinMu.Unlock()
	return p, nil
}

// limitPins cancels the reader that has held its epoch for the longest when the
// pages that are kept for readers alone take more than max bytes.
func (e *Engine) limitPins(pinned, max int64) {
	if pinned <= max {
		return
	}
	e.pinMu.Lock()
	defer e.pinMu.Unlock()
	for _, p := range e.pins {
		if p.cancel(sqlerr.New("72000", "snapshot too old").
			WithDetail("Readers hold %d bytes of older rows; they may hold %d.", pinned, max).
			WithHint("End long transactions and cursors, or give the server more memory.")) {
			return
		}
	}
}

// cancel ends a pin that holds something; false: it does not.
func (p *pin) cancel(err *sqlerr.Error) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.dead != nil || p.gone || len(p.relations) == 0 {
		return false
	}
	p.dead = err
	if p.busy == 0 {
		p.drop()
	}
	return true
}

// enter and leave stand around a scan.
func (p *pin) enter() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.dead != nil {
		return p.dead
	}
	if p.gone {
		return sqlerr.New(sqlerr.Internal, "a scan of rows that were let go")
	}
	p.busy++
	return nil
}

func (p *pin) leave() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.busy--; p.busy == 0 && p.dead != nil {
		p.drop()
	}
}

// drop releases the snapshots; p.mu is held.
func (p *pin) drop() {
	if p.gone {
		return
	}
	p.gone = true
	for _, h := range p.relations {
		for _, s := range h.snaps {
			s.Release()
		}
	}
}

func backfillingError(j *job) error {
	done, total := j.progress()
	of := "an unknown number"
	if total >= 0 {
		of = fmt.Sprint(total)
	}
	return sqlerr.New(sqlerr.ObjectNotInState, "materialized view %q is still being backfilled", j.obj.Name).
		WithDetail("It has read %d of %s rows.", done, of).
		WithHint("streamsql.jobs shows its progress.")
}

func staleNotice(j *job, epoch uint64) Notice {
	e := sqlerr.New("01000", "materialized view %q is %s and stands at epoch %d, not %d", j.obj.Name, j.state, j.epoch, epoch)
	if j.err != nil {
		e = e.WithDetail("%s", j.err.Message)
	}
	switch j.state {
	case Paused:
		e = e.WithHint("ALTER MATERIALIZED VIEW %s RESUME lets it go on.", j.obj.Name)
	case Failed:
		e = e.WithHint("streamsql.job_errors tells more; ALTER MATERIALIZED VIEW %s RESUME makes it anew.", j.obj.Name)
	case Stale:
		e = e.WithHint("A view that it reads does not go on: streamsql.jobs shows which.")
	}
	return Notice{Severity: "WARNING", Err: e}
}

// scan calls fn with the pinned rows of a Scan node's relation, as insert-only
// batches (weights above 1 as so many rows) of the node's columns.
// A Scan with Lookup reads the range of the index or key alone.
func (p *pin) scan(ctx context.Context, n *plan.Node, fn func(b *delta.Batch) error) error {
	h := p.relations[n.Relation]
	if h == nil {
		return sqlerr.New(sqlerr.Internal, "relation %d was not pinned", n.Relation)
	}
	a, l, err := h.rel.access(n, p.env, p.ctx)
	if err != nil {
		return err
	}
	for i, x := range h.rel.all() {
		if x == a {
			if err := p.enter(); err != nil {
				return err
			}
			defer p.leave()
			err := h.rel.scan(h.snaps[i].Cursor(), a, l, n.Columns, func(b *delta.Batch) error {
				if ctx.Err() != nil {
					return ctxError(ctx)
				}
				p.mu.Lock()
				dead := p.dead
				p.mu.Unlock()
				if dead != nil {
					return dead
				}
				return fn(b)
			})
			if rerr := h.snaps[i].Err(); rerr != nil {
				return rerr
			}
			return err
		}
	}
	return sqlerr.New(sqlerr.Internal, "no arrangement of relation %d", n.Relation)
}

// release lets the pinned rows go. A second call does nothing.
func (p *pin) release() {
	p.mu.Lock()
	p.drop()
	p.mu.Unlock()
	p.eng.pinMu.Lock()
	p.eng.pins = slices.DeleteFunc(p.eng.pins, func(x *pin) bool { return x == p })
	p.eng.pinMu.Unlock()
}

// positions are those of all sources as of the pinned epoch.
func (p *pin) positions() []PositionInfo { return p.pos }
