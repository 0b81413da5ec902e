package engine

import (
	"context"
	"encoding/json"
	"errors"
	"slices"

	"github.com/streamsql/streamsql/checkpoint"
	"github.com/streamsql/streamsql/connector"
	"github.com/streamsql/streamsql/sql/catalog"
	"github.com/streamsql/streamsql/sql/exec"
	"github.com/streamsql/streamsql/sql/expr"
	"github.com/streamsql/streamsql/sql/sqlerr"
)

// recover brings back what the data directory holds: the last checkpoint, then
// the log above it; the sources go on from their positions when the loop starts.
func (e *Engine) recover(ctx context.Context) (err error) {
	if e.opts.Dir == "" {
		return nil
	}
	if e.store, err = checkpoint.OpenStore(e.opts.Dir, e.storeOptions()); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = e.closeStore()
		}
	}()
	if e.log, err = checkpoint.OpenLog(e.opts.FS, e.opts.FS.PathJoin(e.opts.Dir, "log"), checkpoint.LogOptions{}); err != nil {
		return err
	}
	m := &meta{NextID: e.nextID, NextOp: e.nextOp}
	if b := e.store.Meta(); len(b) > 0 {
		if err := json.Unmarshal(b, m); err != nil {
			return sqlerr.New("XX001", "the checkpoint's description does not decode").WithDetail("%v", err)
		}
	}
	e.epoch, e.nextID, e.nextOp, e.logSeq, e.jobErrors = max(m.Epoch, e.store.Epoch()), m.NextID, m.NextOp, m.Log, m.Errors
	if err := e.checkLog(m.Log); err != nil {
		return err
	}
	e.lateEpoch = e.epoch // whether a row came behind is not known: the last entries stay
	e.clock.restore(m.Clock, m.Manual)
	e.drops = append(e.drops, m.Replays...)
	e.meta = m
	objects, err := e.readCatalog()
	if err != nil {
		return err
	}
	for _, o := range objects {
		e.restoreRelation(o)
	}
	for _, o := range objects {
		if o.Kind == catalog.Source {
			e.restoreSource(o)
		}
	}
	for _, o := range objects {
		if o.Plan != nil {
			if err := e.restoreJob(o); err != nil {
				return err
			}
		}
	}
	if err := ctx.Err(); err != nil {
		return ctxError(ctx)
	}
	if err := e.replay(m.Log); err != nil {
		return err
	}
	e.meta = nil
	for _, j := range slices.Clone(e.order) {
		switch j.state {
		case Created: // it was being backfilled: what it had read is not kept
			if err := e.restart(j, j.conn); err != nil {
				return err
			}
		case Running:
			for _, in := range j.inputs {
				if s := e.sources[in.relation]; s != nil {
					s.start(e)
				}
			}
		}
	}
	return nil
}

// checkLog refuses a log that does not go on where the checkpoint ends: one of
// the two has lost what it had acknowledged, and going on would hide that.
func (e *Engine) checkLog(last uint64) error {
	dir := func(name string) string { return e.opts.FS.PathJoin(e.opts.Dir, name) }
	if first := e.log.FirstSeq(); first > last+1 {
		return sqlerr.New("XX001", "the state in %s is damaged: its last readable checkpoint holds record %d of the log, but the log begins at %d", dir("state"), last, first).
			WithDetail("Checkpoints that were durable are gone; the *.log files in there hold the latest.").
			WithHint("Put back a copy of the data directory.")
	}
	if next := e.log.NextSeq(); next <= last {
		return sqlerr.New("XX001", "the log in %s is damaged: it ends before record %d, but the checkpoint holds record %d", dir("log"), next, last).
			WithHint("Files of the log are missing. Put them back, or a copy of the data directory.")
	}
	return nil
}

// readCatalog reads the objects and makes them the current catalog.
func (e *Engine) readCatalog() ([]*catalog.Object, error) {
	var out []*catalog.Object
	err := e.store.Scan(catalogOp, nil, nil, func(_, v []byte) error {
		o := &catalog.Object{}
		if err := json.Unmarshal(v, o); err != nil {
			return sqlerr.New("XX001", "an entry of the catalog does not decode").WithDetail("%v", err)
		}
		out = append(out, o)
		return nil
	})
	if err != nil {
		return nil, err
	}
	env := &expr.Env{}
	for _, o := range out {
		if o.Kind != catalog.Function {
			continue
		}
		b, err := e.bind(o)
		if err != nil {
			e.opts.Log.Warn("a function is not in this program; what calls it will fail", "function", signature(o), "symbol", o.Symbol, "error", err)
			b = missing(o, err)
		}
		env = withFunction(env, o, b)
	}
	e.cat.Store(e.currentCatalog().Change(out, nil, env))
	return out, nil
}

// restoreRelation attaches the rows of a stored relation, or an index to its own.
func (e *Engine) restoreRelation(o *catalog.Object) {
	switch {
	case o.Stored():
		r := newRelation(o)
		e.attach(r.main)
		e.relations[o.ID] = r
		if r.marker != nil {
			r.marker.restore(e.meta.Tables[o.ID])
		}
		if o.Owner != 0 {
			opts := map[string]string{}
			if owner := e.currentCatalog().ByID(o.Owner); owner != nil {
				opts = owner.Options
			}
			r.kept = keptOf(o, opts)
			r.countKept()
		}
	case o.Kind == catalog.Index:
		if r := e.relations[o.On]; r != nil {
			a := newArrangement(o, o.Keys, len(r.types))
			if o.Unique {
				a.part(r.types)
			}
			e.attach(a)
			r.index = append(r.index, a)
		}
	}
}

// attach puts an arrangement on top of its durable state: new in this run, or as
// the checkpoint that is being recovered has it.
func (e *Engine) attach(a *arrangement) {
	if e.store == nil {
		return
	}
	n := 0
	if e.meta != nil {
		if k := e.meta.Keys[a.op]; len(k) == 1 {
			n = k[0]
		} else {
			n = -1
		}
	}
	a.tree.Load(e.store.Reader(a.op), nil, nil, n)
}

func (e *Engine) restoreSource(o *catalog.Object) {
	s, err := newSource(o, true)
	if err != nil {
		e.opts.Log.Error("a source cannot be opened; what reads it fails", "source", o.Name, "error", err)
		s = &source{obj: o, conn: brokenSource{err}, wm: exec.NoWatermark}
	}
	if sm := e.meta.Sources[o.ID]; sm != nil {
		s.wm, s.moved, s.ended = sm.Watermark, sm.Moved, sm.Ended
		for p, x := range sm.Parts {
			part := s.partition(p, x.First)
			part.next, part.moved = x.Next, x.Moved
			if x.Marker != nil {
				part.marker.restore(x.Marker)
			} else if o.Watermark != nil {
				part.marker.raise(o.Watermark, x.MaxTime)
			}
		}
	}
	for _, d := range e.relations {
		if d.obj.Owner == o.ID {
			s.dead = d
		}
	}
	e.newCuts(s)
	e.sources[o.ID] = s
}

// brokenSource stands for a source whose connector refuses its options.
type brokenSource struct{ err error }

func (b brokenSource) Open(context.Context, connector.Positions, connector.Positions) (connector.Reader, error) {
	return nil, b.err
}
func (b brokenSource) Start(context.Context) (connector.Positions, error) {
	return connector.Positions{}, nil
}
func (b brokenSource) End(context.Context) (connector.Positions, error) { return nil, b.err }
func (b brokenSource) Close() error                                     { return nil }

// restoreJob brings a job back as the checkpoint has it.
func (e *Engine) restoreJob(o *catalog.Object) error {
	jm := e.meta.Jobs[o.ID]
	if jm == nil {
		jm = &jobMeta{State: Backfilling, Watermark: exec.NoWatermark}
	}
	j := &job{obj: o, tables: &jobStates{}, wm: exec.NoWatermark}
	var broken error
	if jm.State == Running {
		n, err := e.newJob(o)
		if err != nil {
			broken = err
		} else {
			j = n
			j.df.Restore(jm.Watermarks)
			j.wm = jm.Watermark
		}
	}
	j.state, j.epoch, j.err, j.errRow, j.errTime = jm.State, jm.Epoch, jm.Error, jm.ErrorRow, jm.ErrorTime
	if j.lateOps = jm.LateOps; j.lateOps == nil {
		j.lateOps = map[int]LateCount{}
	}
	j.missed = jm.Missed
	if j.rules == nil { // it does not run
		j.rules = &lateRules{}
		j.rulesOfRestart()
	}
	if j.state == Failed || j.state == Stale && o.Kind == catalog.Sink {
		e.planRestart(j)
	}
	if j.inputs == nil {
		j.findInputs(e.currentCatalog())
	}
	j.rel = e.relations[o.ID]
	for _, r := range e.relations {
		if r.obj.Owner == o.ID {
			j.late = r
		}
	}
	for _, in := range j.inputs {
		in.rel = e.relations[in.relation]
	}
	if j.state == Backfilling {
		j.state = Created
	}
	if o.Kind == catalog.Sink && (j.state == Running || j.state == Created) && broken == nil {
		var state []byte
		if j.state == Running {
			state = jm.SinkState
		}
		conn, err := connector.NewSink(sinkConfig(o), state)
		switch {
		case err != nil:
			broken = err
		case j.state == Created:
			j.conn = conn
		default:
			j.sink = e.newSink(o, conn, state)
			if state != nil { // what the crash left between the checkpoint and its release
				j.sink.put(sinkOp{release: true, epoch: e.meta.Epoch})
			}
		}
	}
	if o.Kind == catalog.Sink && jm.SinkState != nil && j.state != Running && j.state != Created {
		e.releaseStanding(o, jm.SinkState)
	}
	e.jobsByID[o.ID] = j
	e.order = append(e.order, j)
	if broken != nil {
		e.fail(j, broken)
	}
	return nil
}

// releaseStanding releases the durable rows of a sink that does not go on.
func (e *Engine) releaseStanding(o *catalog.Object, state []byte) {
	conn, err := connector.NewSink(sinkConfig(o), state)
	if err == nil {
		err = errors.Join(conn.Release(e.ctx, e.meta.Epoch), conn.Close())
	}
	if err != nil {
		e.opts.Log.Warn("the last rows of a sink that stands still could not be released", "sink", o.Name, "error", err)
	}
}

// closeStore lets the data directory go.
func (e *Engine) closeStore() error {
	if e.acks != nil {
		e.acks.finish(closedError())
	}
	var err error
	if e.log != nil {
		err = e.log.Close()
	}
	if e.store != nil {
		err = errors.Join(err, e.store.Close())
	}
	return err
}
