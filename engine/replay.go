package engine

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/streamsql/streamsql/sql/ast"
	"github.com/streamsql/streamsql/sql/catalog"
	"github.com/streamsql/streamsql/sql/delta"
	"github.com/streamsql/streamsql/sql/expr"
	"github.com/streamsql/streamsql/sql/plan"
	"github.com/streamsql/streamsql/sql/sqlerr"
)

// REPLAY LATE: the late rows of a view become part of its answer. The state that
// they would have to meet is gone, so the view is computed a second time beside
// the first, from the history of what it reads and with the watermark standing
// still: nothing is late. The first goes on meanwhile. When the second has caught
// up it takes the first's place, and those who read the view get the difference
// of the two, all in one epoch. A crash before a checkpoint has that epoch leaves
// everything as it was.

// replay is REPLAY LATE FROM and REPLAY DEAD LETTERS FROM.
func (x *ddlRun) replay(s *ast.Replay) (string, error) {
	if s.What == ast.ReplayDeadLetters {
		return x.replayDead(s)
	}
	o, err := x.cat.Relation(s.Name.Parts, x.d.Path, s.Name.Offset())
	if err != nil {
		return "", err
	}
	if o.Kind != catalog.MatView {
		return "", sqlerr.New(sqlerr.WrongObjectType, `"%s" is not a materialized view`, o.Name).At(s.Name.Offset())
	}
	if err := replayable(o, x.cat.Env); err != nil {
		return "", sqlerr.From(err).At(s.Name.Offset())
	}
	done := make(chan error, 1)
	var n *job
	err = x.onLoop(func() error {
		j := x.e.jobsByID[o.ID]
		switch {
		case j == nil:
			return sqlerr.New(sqlerr.UndefinedTable, `"%s" does not exist`, o.Name)
		case j.state != Running:
			return sqlerr.New(sqlerr.ObjectNotInState, "materialized view %q is %s", o.Name, j.state)
		case j.replay != nil:
			return sqlerr.New(sqlerr.ObjectNotInState, "the late rows of %q are being replayed already", o.Name)
		case j.missed == 0:
			return nil
		}
		if err := x.e.readable(j.obj.Plan); err != nil {
			return err
		}
		if n, err = x.e.startReplay(j); err == nil {
			n.fill.waiters = append(n.fill.waiters, done)
		}
		return err
	})
	if err != nil || n == nil {
		return "REPLAY LATE 0", err
	}
	tag := "REPLAY LATE 0"
	x.after = append(x.after, func() error {
		err := x.awaitReplay(n, done)
		x.tag = fmt.Sprintf("REPLAY LATE %d", n.replayed)
		return err
	})
	return tag, nil
}

// awaitReplay waits until a job that is computed beside another took its place. If
// the client goes away it never will.
func (x *ddlRun) awaitReplay(n *job, done chan error) error {
	var err error
	select {
	case err = <-done:
	case <-x.e.lost:
		return x.e.Err()
	case <-x.e.stopped:
		return closedError()
	case <-x.ctx.Done():
		err = ctxError(x.ctx)
	}
	_ = x.e.do(x.e.ctx, func() {
		if n.replays != nil { // it did not come to its end
			x.e.dropReplay(n)
		}
		x.version = x.e.version
	})
	return err
}

// replayable tells whether a view computed anew has the same answer, but for the
// late rows.
func replayable(o *catalog.Object, env *expr.Env) error {
	if o.AppendOnly {
		return sqlerr.New(sqlerr.ObjectNotInState, "the rows of %q are final: late rows cannot change them", o.Name).
			WithDetail("A view that EMITs ON WINDOW CLOSE only ever adds rows, and what reads it counts on that.").
			WithHint("%s holds the late rows. A view without EMIT ON WINDOW CLOSE can take them in; allowed_lateness has this one wait longer.", quoteName([]string{lateObject(o).Name}))
	}
	why := ""
	o.Plan.Visit(func(n *plan.Node) {
		switch {
		case n.Final || n.Op == plan.Close:
			why = "EMIT ON WINDOW CLOSE"
		case n.Clock, n.Window != nil && n.Window.Proc:
			why = "processing time"
		case n.AsOf != nil && (n.AsOf.Kind == "proc" || n.AsOf.Versions):
			why = "FOR SYSTEM_TIME AS OF"
		case n.Keep:
			why = "a volatile function"
		}
		for _, x := range append([]*expr.Expr{n.Filter, n.Residual}, n.Exprs...) {
			if x != nil && n.Op != plan.Temporal && expr.VolatilityOf(env, x) == expr.Volatile {
				why = "a volatile function"
			}
		}
	})
	if why == "" {
		return nil
	}
	return sqlerr.New(sqlerr.FeatureNotSupported, "the late rows of %q cannot be replayed", o.Name).
		WithDetail("To take them in the view is computed anew, but its answer depends on when its rows came: %s.", why)
}

// startReplay begins to compute a view beside itself.
func (e *Engine) startReplay(j *job) (*job, error) {
	return e.startBeside(j, j.obj, " (replay)", false)
}

// startBeside begins to compute what is to take the place of a job. The second job
// has an identity of its own, which is in no catalog, until then. anew: it is by
// another definition, and has late rows of its own.
func (e *Engine) startBeside(j *job, as *catalog.Object, suffix string, anew bool) (*job, error) {
	o := *as
	o.ID, o.Name = 0, o.Name+suffix
	e.assign(&o)
	n, err := e.newJob(&o)
	if err != nil {
		return nil, err
	}
	n.rel = newRelation(&o)
	e.attach(n.rel.main)
	n.replays, j.replay, n.anew = j, n, anew
	if anew {
		e.newLate(j, n)
	}
	e.relations[o.ID] = n.rel
	e.jobsByID[o.ID] = n
	e.order = append(e.order, n) // the ID is the greatest so far
	e.startFill(n)
	return n, nil
}

// dropReplay lets go of a job that does not take the place of the one it replays.
func (e *Engine) dropReplay(n *job) {
	if n.replays == nil {
		return
	}
	n.replays.replay, n.replays = nil, nil
	if n.state == Backfilling {
		n.state, n.err = Finished, sqlerr.New(sqlerr.ObjectNotInState, "the replay was ended")
		e.endFill(n)
	}
	n.tables = &jobStates{}
	e.forgetLate(n)
	e.forget(n)
	e.dropOps(n.obj)
	e.changed = true
	e.haltUnread()
}

// forget takes a job's own identity out.
func (e *Engine) forget(n *job) {
	delete(e.relations, n.obj.ID)
	delete(e.jobsByID, n.obj.ID)
	e.order = slices.DeleteFunc(slices.Clone(e.order), func(x *job) bool { return x == n })
}

// errHistoryGone is why a view cannot be computed a second time.
func errHistoryGone(src *catalog.Object, part int32, why string) error {
	return sqlerr.New(sqlerr.ObjectNotInState, "the history of source %q is not complete any more", src.Name).
		WithDetail("Partition %d: %s", part, why).
		WithHint("Nothing was changed. A view computed from what is left would lack the rows that are gone; read the late rows where they are, and combine them in a query.")
}

// joinReplay ends a replay that has caught up, in an epoch of its own.
func (e *Engine) joinReplay(n *job) {
	if err := e.endReplay(n); err != nil {
		n.state = Backfilling
		e.fail(n, err)
		return
	}
	e.endFill(n)
	e.step()
	if err := e.restartStale(n); err != nil {
		e.opts.Log.Error("what reads a view could not be computed anew", "view", n.obj.Name, "error", err)
	}
}

// endReplay puts n, which has everything, in the place of the job that it replays,
// and has a step hand the difference to those who read the view.
func (e *Engine) endReplay(n *job) error {
	j := n.replays
	o := *n.obj
	o.ID, o.Name = j.obj.ID, j.obj.Name
	read := slices.ContainsFunc(e.order, func(d *job) bool { return d.input(o.ID) != nil })
	if n.anew {
		if err := e.fits(j.obj, &o); err != nil {
			return err
		}
	}
	diff := &change{}
	if read {
		var err error
		if diff, err = difference(j.rel, n.rel); err != nil {
			return err
		}
	}
	put := []*catalog.Object{&o}
	var index []*arrangement
	for _, a := range j.rel.index {
		io := *a.obj
		e.assign(&io)
		ia := newArrangement(&io, io.Keys, len(n.rel.types))
		e.attach(ia)
		ia.tree.Begin()
		err := n.rel.fillIndex(ia, func() error { return nil })
		ia.tree.Commit()
		if err != nil {
			return err
		}
		index, put = append(index, ia), append(put, &io)
	}
	var gone *change
	var err error
	if n.anew {
		gone, err = lateChange(j, n)
	} else {
		gone, err = j.late.clear()
	}
	if err != nil {
		return err
	}
	// Nothing fails from here on.
	for _, b := range gone.batches {
		for i := range b.N {
			w := b.Weight(i)
			n.replayed += max(w, -w)
		}
	}
	e.forget(n)
	n.replays, j.replay = nil, nil
	e.dropOps(j.obj)
	for _, a := range j.rel.index {
		e.dropOps(a.obj)
	}
	n.obj, n.rel.obj, n.rel.main.obj, n.rel.index = &o, &o, &o, index
	if !n.anew {
		n.late, n.lateOps = j.late, j.lateOps
	} else if l := e.takeLate(j, n, &o); l != nil {
		put = append(put, l)
	}
	n.rowsIn, n.rowsOut, n.nanos = n.rowsIn+j.rowsIn, n.rowsOut+j.rowsOut, n.nanos+j.nanos
	if read || !n.anew {
		n.wm = max(n.wm, j.wm) // they have closed what is behind it
	}
	e.order[slices.Index(e.order, j)] = n
	e.jobsByID[o.ID], e.relations[o.ID] = n, n.rel
	for _, d := range e.order {
		if in := d.input(o.ID); in != nil && in.rel != nil {
			in.rel = n.rel
		}
	}
	j.state, j.tables = Finished, &jobStates{}
	e.change(put, nil, nil)
	e.dirtyJobs()
	if diff.rows > 0 {
		e.pending(o.ID, diff)
	}
	if gone.rows > 0 {
		e.pending(n.late.obj.ID, gone)
	}
	return nil
}

// difference is the change that makes the rows of one relation those of another
// with the same columns and order.
func difference(from, to *relation) (*change, error) {
	all := make([]int, len(from.types))
	for i := range all {
		all[i] = i
	}
	c := &change{}
	rr := newRowReader(from, from.main, all)
	var ws []int64
	flush := func() {
		if b := rr.take(); b != nil {
			b.W, ws = ws, nil
			c.add(b)
		}
	}
	add := func(key []byte, w int64) error {
		if err := rr.add(key); err != nil {
			return err
		}
		if ws = append(ws, w); rr.n == delta.MaxRows {
			flush()
		}
		return nil
	}
	a, b := from.main.tree.Cursor(), to.main.tree.Cursor()
	okA, okB := a.Seek(nil), b.Seek(nil)
	for okA || okB {
		order := 0
		switch {
		case !okB:
			order = -1
		case !okA:
			order = 1
		default:
			order = bytes.Compare(a.Key(), b.Key())
		}
		var err error
		switch {
		case order < 0:
			err = add(a.Key(), -a.Weight())
		case order > 0:
			err = add(b.Key(), b.Weight())
		case a.Weight() != b.Weight():
			err = add(a.Key(), b.Weight()-a.Weight())
		}
		if err != nil {
			return nil, err
		}
		if order <= 0 {
			okA = a.Next()
		}
		if order >= 0 {
			okB = b.Next()
		}
	}
	flush()
	if err := from.err(); err != nil {
		return nil, err
	}
	return c, to.err()
}

// clear takes all rows out of an internal relation.
func (r *relation) clear() (*change, error) {
	c, err := difference(r, newRelation(r.obj))
	if err != nil {
		return nil, err
	}
	r.begin()
	if err := r.apply(c); err != nil {
		r.rollback()
		return nil, err
	}
	r.commit()
	r.kept.bytes = 0
	return c, nil
}

// replayOps are the state operators of jobs that are in no catalog: a restart
// drops them.
func (e *Engine) replayOps() [][2]uint32 {
	var out [][2]uint32
	for _, j := range e.order {
		if j.replays != nil {
			out = append(out, [2]uint32{j.obj.OpBase, j.obj.OpBase + allOps(j.obj)})
			if j.anew && j.late != nil {
				out = append(out, [2]uint32{j.late.obj.OpBase, j.late.obj.OpBase + allOps(j.late.obj)})
			}
		}
	}
	return out
}
