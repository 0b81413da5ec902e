package engine

import (
	"errors"

	"github.com/streamsql/streamsql/connector"
	"github.com/streamsql/streamsql/sql/ast"
	"github.com/streamsql/streamsql/sql/catalog"
	"github.com/streamsql/streamsql/sql/sqlerr"
)

// alter is ALTER … PAUSE, RESUME and RETRY of a view or a sink.
func (x *ddlRun) alter(s *ast.Alter) error {
	switch job := s.Kind == ast.KindMaterializedView || s.Kind == ast.KindSink; {
	case s.Kind == ast.KindSource && (s.Options != nil || s.Column != nil):
		return x.alterSource(s)
	case job && s.Options != nil:
		return x.alterLate(s)
	case !job:
		return sqlerr.New(sqlerr.FeatureNotSupported, "ALTER %s … %s is not supported", s.Kind, s.Action).At(s.Offset())
	}
	o, err := x.dropRelation(s.Kind, s.Name)
	if err != nil {
		return err
	}
	done := make(chan error, 1)
	var j *job
	var conn connector.Sink
	if o.Kind == catalog.Sink && s.Action != ast.Pause {
		if conn, err = x.reopenSink(o); err != nil {
			return err
		}
	}
	started := false
	if s.Action == ast.Pause {
		defer x.e.haltSoon(o.ID)()
	}
	err = x.onLoop(func() error {
		e := x.e
		if j = e.jobsByID[o.ID]; j == nil {
			return sqlerr.New(sqlerr.UndefinedTable, `"%s" does not exist`, o.Name)
		}
		if s.Action == ast.Pause {
			if j.state == Paused {
				return nil
			}
			if !j.active() {
				return sqlerr.New(sqlerr.ObjectNotInState, "%s %q is %s", o.Kind, o.Name, j.state)
			}
			e.freeze(j, Paused)
			e.haltUnread()
			e.change(nil, nil, nil) // the next checkpoint has it, and the statement waits for that
			return nil
		}
		if j.active() {
			x.d.notice("00000", "%s %q is %s", o.Kind, o.Name, j.state)
			return nil
		}
		if j.replay != nil {
			return sqlerr.New(sqlerr.ObjectNotInState, "%s %q is being replaced", o.Kind, o.Name)
		}
		if err := e.readable(o.Plan); err != nil {
			return err
		}
		started = true
		if j.restarts.at = 0; !x.d.restart {
			j.restarts.made, j.restarts.since = 0, 0
		}
		if err := e.restart(j, conn); err != nil {
			return err
		}
		j = e.jobsByID[o.ID]
		if err := e.restartStale(j); err != nil {
			return err
		}
		j.fill.waiters = append(j.fill.waiters, done)
		return nil
	})
	if !started && conn != nil {
		_ = conn.Close()
	}
	if err != nil || !started || x.d.Background {
		return err
	}
	x.after = append(x.after, func() error {
		select {
		case err := <-done:
			x.tell(j)
			return err
		case <-x.e.lost:
			return x.e.Err()
		case <-x.e.stopped:
			return closedError()
		case <-x.ctx.Done(): // it goes on without its client
			return ctxError(x.ctx)
		}
	})
	return nil
}

// reopenSink closes the connector of a sink that does not run and makes a new one.
func (x *ddlRun) reopenSink(o *catalog.Object) (connector.Sink, error) {
	var old *sinkRun
	err := x.onLoop(func() error {
		if j := x.e.jobsByID[o.ID]; j != nil && !j.active() && j.sink != nil {
			old = j.sink
			old.close(false)
		} else if j == nil || j.active() {
			return errRunning
		}
		return nil
	})
	if err == errRunning {
		return nil, nil
	}
	if err == nil && old != nil {
		err = old.closed(x.ctx)
	}
	if err != nil {
		return nil, err
	}
	return connector.NewSink(sinkConfig(o), nil)
}

var errRunning = errors.New("engine: the job runs")

// restart drops a job's state and its late rows, and begins its backfill anew:
// what it missed while it stood still is not kept anywhere.
func (e *Engine) restart(j *job, conn connector.Sink) error {
	old := j.obj
	o := *old
	e.dropOps(old)
	e.assign(&o)
	n, err := e.newJob(&o)
	if err != nil {
		return err
	}
	n.restarts.made, n.restarts.since = j.restarts.made, j.restarts.since
	put := []*catalog.Object{&o}
	if j.rel != nil {
		n.rel = newRelation(&o)
		e.attach(n.rel.main)
		for _, a := range j.rel.index {
			io := *a.obj
			e.dropOps(a.obj)
			e.assign(&io)
			ia := newArrangement(&io, io.Keys, len(n.rel.types))
			e.attach(ia)
			n.rel.index = append(n.rel.index, ia)
			put = append(put, &io)
		}
		e.relations[o.ID] = n.rel
	}
	if n.late = j.late; n.late != nil { // it decides again what is late
		gone, err := n.late.clear()
		if err != nil {
			return err
		}
		if gone.rows > 0 {
			e.pending(n.late.obj.ID, gone)
		}
	}
	if n.replay = j.replay; n.replay != nil {
		n.replay.replays = n
	}
	if j.sink != nil {
		j.sink.close(false)
	}
	if conn != nil {
		n.sink = e.newSink(&o, conn, nil)
	}
	for i := range e.order {
		if e.order[i] == j {
			e.order[i] = n
		}
	}
	e.jobsByID[o.ID] = n
	e.change(put, nil, nil)
	e.startFill(n)
	return nil
}
