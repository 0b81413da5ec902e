package engine

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"maps"
	"slices"
	"time"

	"github.com/streamsql/streamsql/checkpoint"
	"github.com/streamsql/streamsql/sql/catalog"
	"github.com/streamsql/streamsql/sql/sqlerr"
	"github.com/streamsql/streamsql/state"
)

// meta is what a checkpoint holds beside the state and the catalog. It is written
// as JSON, so fields are only ever added.
type meta struct {
	Epoch   uint64                 `json:"epoch"`
	Clock   int64                  `json:"clock"`
	Manual  bool                   `json:"manual,omitempty"`
	NextID  uint64                 `json:"next_id"`
	NextOp  uint32                 `json:"next_op"`
	Log     uint64                 `json:"log"` // the last record of the write-ahead log that the state has
	Sources map[uint64]*sourceMeta `json:"sources,omitempty"`
	Jobs    map[uint64]*jobMeta    `json:"jobs,omitempty"`
	Tables  map[uint64]*markerMeta `json:"tables,omitempty"` // those with a watermark
	// Keys are the numbers of keys of the trees, by state operator and worker.
	Keys   map[uint32][]int `json:"keys,omitempty"`
	Errors []JobError       `json:"errors,omitempty"`
	// Replays are ranges of state operators of replays under way, which a restart
	// does not go on with.
	Replays [][2]uint32 `json:"replays,omitempty"`
}

type sourceMeta struct {
	Parts     map[int32]partMeta `json:"parts,omitempty"`
	Watermark int64              `json:"watermark"`
	Moved     int64              `json:"moved,omitempty"`
	Ended     bool               `json:"ended,omitempty"`
}

type partMeta struct {
	First   int64 `json:"first"`
	Next    int64 `json:"next"`
	MaxTime int64 `json:"max_time"`
	// Moved is since when the watermark stands, of the engine's clock.
	Moved  int64       `json:"moved,omitempty"`
	Marker *markerMeta `json:"marker,omitempty"`
}

type jobMeta struct {
	State      JobState          `json:"state"`
	Epoch      uint64            `json:"epoch,omitempty"`
	Watermark  int64             `json:"watermark"`
	Watermarks map[int]int64     `json:"watermarks,omitempty"`
	Error      *sqlerr.Error     `json:"error,omitempty"`
	ErrorRow   string            `json:"error_row,omitempty"`
	ErrorTime  int64             `json:"error_time,omitempty"`
	Sink       json.RawMessage   `json:"-"`
	SinkState  []byte            `json:"sink,omitempty"`
	LateOps    map[int]LateCount `json:"late_ops,omitempty"`
	Missed     int64             `json:"missed,omitempty"`
}

const keptCheckpoints = 100 // entries of streamsql.checkpoints

// catalogOp is the state operator of the catalog: objects by ID, as JSON.
const catalogOp = 0

func objectKey(id uint64) []byte { return binary.BigEndian.AppendUint64(nil, id) }

// checkpointRun is a checkpoint under way.
type checkpointRun struct {
	info    CheckpointInfo
	begun   time.Time
	version uint64 // of the catalog
	dirty   int64  // bytes to write, about
	meta    *meta
	parts   []capturePart
	objects map[uint64]*catalog.Object // nil: dropped
	drops   [][2]uint32                // ranges of operators
	sinks   map[uint64]chan []byte
	filling map[uint64]bool // sinks whose rows are not to be released yet
	waiters []chan error
	result  chan error
}

type capturePart struct {
	op uint32
	c  state.Capture
}

// eachTable calls fn with every durable state table.
func (e *Engine) eachTable(fn func(op uint32, t state.Table)) {
	for _, r := range e.relations {
		for _, a := range r.all() {
			fn(a.op, a.tree)
		}
	}
	for _, s := range e.sources {
		if s.cuts != nil {
			fn(s.cuts.op, s.cuts.tree)
		}
	}
	for _, j := range e.order {
		for _, t := range j.tables.tables {
			fn(t.op, t.Table)
		}
	}
}

// checkpointDue is when the next checkpoint is to begin.
func (e *Engine) checkpointDue() (time.Duration, bool) {
	if e.store == nil || e.ck != nil || e.Err() != nil {
		return 0, false
	}
	if e.urgent {
		return 0, true
	}
	if !e.changed {
		return 0, false
	}
	return max(0, time.Until(e.lastCheckpoint.Add(e.opts.CheckpointInterval))), true
}

// beginCheckpoint captures what changed and has it written beside the loop.
func (e *Engine) beginCheckpoint() {
	if len(e.dml.changes) > 0 {
		e.step() // else those who read what changed would never see it
	}
	start := time.Now()
	if e.epoch <= e.store.Epoch() {
		e.epoch = e.store.Epoch() + 1 // nothing stepped, but the catalog changed
	}
	run := &checkpointRun{
		begun: start, version: e.version, drops: e.drops, waiters: e.ckWaiters, result: make(chan error, 1),
		sinks: map[uint64]chan []byte{}, filling: map[uint64]bool{}, objects: map[uint64]*catalog.Object{},
		info: CheckpointInfo{Epoch: e.epoch, Started: start.UnixMicro()},
	}
	e.eachTable(func(_ uint32, t state.Table) { run.dirty += t.Dirty() })
	run.meta = e.makeMeta()
	for id := range e.dirtyObjects {
		run.objects[id] = e.currentCatalog().ByID(id)
	}
	e.eachTable(func(op uint32, t state.Table) {
		run.parts = append(run.parts, capturePart{op, t.Capture()})
	})
	for _, j := range e.order {
		if j.sink != nil {
			run.sinks[j.obj.ID] = j.sink.barrier()
			run.filling[j.obj.ID] = j.state == Backfilling
		}
	}
	e.drops, e.ckWaiters, e.dirtyObjects = nil, nil, nil
	e.changed, e.urgent = false, false
	e.ck = run
	run.info.Pause = time.Since(start).Microseconds()
	e.background(func() { run.result <- e.writeCheckpoint(run); e.poke() })
}

// makeMeta describes the moment, on the loop.
func (e *Engine) makeMeta() *meta {
	m := &meta{
		Epoch: e.epoch, NextID: e.nextID, NextOp: e.nextOp, Log: e.logSeq,
		Sources: map[uint64]*sourceMeta{}, Jobs: map[uint64]*jobMeta{}, Keys: map[uint32][]int{}, Tables: map[uint64]*markerMeta{},
		Errors: slices.Clone(e.jobErrors),
	}
	m.Clock, m.Manual = e.clock.read()
	for id, s := range e.sources {
		sm := &sourceMeta{Watermark: s.wm, Moved: s.moved, Ended: s.ended, Parts: map[int32]partMeta{}}
		for p, x := range s.parts {
			sm.Parts[p] = partMeta{First: x.first, Next: x.next, MaxTime: x.marker.max, Moved: x.moved, Marker: x.marker.meta()}
		}
		m.Sources[id] = sm
	}
	for id, r := range e.relations {
		if r.marker != nil {
			m.Tables[id] = r.marker.meta()
		}
	}
	m.Replays = e.replayOps()
	for _, j := range e.order {
		if j.replays != nil {
			continue
		}
		jm := &jobMeta{State: j.state, Epoch: j.epoch, Watermark: j.wm, Error: j.err, ErrorRow: j.errRow, ErrorTime: j.errTime, LateOps: maps.Clone(j.lateOps), Missed: j.missed}
		if j.state == Running {
			jm.Watermarks = j.df.Watermarks()
		}
		m.Jobs[j.obj.ID] = jm
	}
	e.eachTable(func(op uint32, t state.Table) {
		if _, ok := t.(*state.Tree); ok {
			m.Keys[op] = append(m.Keys[op], t.Len())
		}
	})
	return m
}

// writeCheckpoint makes a checkpoint durable, beside the loop, and then cuts the
// log that it covers.
func (e *Engine) writeCheckpoint(run *checkpointRun) error {
	for id, c := range run.sinks {
		select {
		case run.meta.Jobs[id].SinkState = <-c:
		case <-e.sinkCtx.Done():
			return closedError()
		}
	}
	b, err := json.Marshal(run.meta)
	if err != nil {
		return err
	}
	// The log never ends before the checkpoint: after a crash its numbers would
	// be given out again, and replay would pass over them.
	if err := e.log.Sync(); err != nil {
		return err
	}
	run.info.Bytes, err = e.store.Commit(run.info.Epoch, b, func(w *checkpoint.Writer) error {
		for _, r := range run.drops {
			w.DeleteRange(r[0], r[1]-1)
		}
		for id, o := range run.objects {
			if o == nil {
				w.Delete(catalogOp, objectKey(id))
				continue
			}
			v, err := json.Marshal(o)
			if err != nil {
				return err
			}
			w.Set(catalogOp, objectKey(id), v)
		}
		for _, p := range run.parts {
			p.c.Write(w.Table(p.op))
		}
		return nil
	})
	if err != nil {
		return err
	}
	if err := e.log.Truncate(run.meta.Log); err != nil {
		e.opts.Log.Warn("the log could not be cut; it will be tried again", "error", err)
	}
	return nil
}

// pollCheckpoint ends a checkpoint that has been written.
func (e *Engine) pollCheckpoint() {
	if e.ck == nil {
		return
	}
	select {
	case err := <-e.ck.result:
		e.endCheckpoint(err)
	default:
	}
}

func (e *Engine) endCheckpoint(err error) {
	run := e.ck
	e.ck = nil
	e.lastCheckpoint = time.Now()
	e.grown, e.lastMemory = max(e.grown, 1), time.Time{} // there is more to evict
	for _, p := range run.parts {
		p.c.Done(err == nil)
	}
	run.info.Duration = time.Since(run.begun).Microseconds()
	if err != nil {
		run.info.Error = err.Error()
	}
	e.history = append(e.history, run.info)
	if n := len(e.history); n > keptCheckpoints {
		e.history = slices.Clone(e.history[n-keptCheckpoints:])
	}
	for _, w := range run.waiters {
		w <- err
	}
	if err != nil {
		se := *sqlerr.From(err)
		se.Message = "the checkpoint failed: " + se.Message
		e.lose(&se)
		return
	}
	e.setDurable(run.version)
	for id := range run.sinks {
		if j := e.jobsByID[id]; j != nil && j.sink != nil && !run.filling[id] {
			j.sink.put(sinkOp{release: true, epoch: run.info.Epoch})
		}
	}
}

// checkpointNow waits for a checkpoint that begins after the call.
func (e *Engine) checkpointNow(ctx context.Context) error {
	return e.awaitCheckpoint(ctx, func(done chan error) {
		e.urgent = true
		e.ckWaiters = append(e.ckWaiters, done)
	})
}

// durable waits until a version of the catalog is.
func (e *Engine) durable(ctx context.Context, version uint64) error {
	return e.awaitCheckpoint(ctx, func(done chan error) {
		switch {
		case e.durableVersion() >= version:
			done <- nil
		case e.ck != nil && e.ck.version >= version:
			e.ck.waiters = append(e.ck.waiters, done)
		default:
			e.urgent = true
			e.ckWaiters = append(e.ckWaiters, done)
		}
	})
}

// awaitCheckpoint has ask register a waiter, on the loop, and waits for its answer.
func (e *Engine) awaitCheckpoint(ctx context.Context, ask func(done chan error)) error {
	if e.store == nil {
		return e.Err()
	}
	done := make(chan error, 1)
	err := e.do(ctx, func() {
		if err := e.Err(); err != nil {
			done <- err
			return
		}
		ask(done)
	})
	if err != nil {
		return err
	}
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctxError(ctx)
	case <-e.lost:
		return e.Err()
	case <-e.stopped:
		return closedError()
	}
}

// dropOps has the state of an object removed at the next checkpoint.
func (e *Engine) dropOps(o *catalog.Object) {
	e.drops = append(e.drops, [2]uint32{o.OpBase, o.OpBase + allOps(o)})
}

// dirtyJobs notes that the state of a job changed, which the next checkpoint
// writes, and that readers may have become idle.
func (e *Engine) dirtyJobs() { e.changed, e.unread = true, true }

// maintain does what is to be done between steps: checkpoints, memory, sinks.
func (e *Engine) maintain() {
	e.pollCheckpoint()
	if e.Err() != nil {
		return
	}
	e.checkSinks()
	e.releaseInMemory()
	e.expireKept()
	e.restartDue()
	if e.unread {
		e.unread = false
		e.haltUnread()
	}
	e.checkMemory()
	e.trimCuts()
	if d, ok := e.checkpointDue(); ok && d == 0 {
		e.beginCheckpoint()
	}
	now, held := e.clock.now(), e.stepsHeld()
	for _, s := range e.sources {
		if d, ok := s.idleDue(now); ok && d <= 0 && !held {
			e.tick = true
		}
	}
}

// shutdown ends the loop: a last checkpoint, then the readers and the sinks.
func (e *Engine) shutdown() (err error) {
	for _, s := range e.sources {
		s.halt()
	}
	time.AfterFunc(10*time.Second, e.stopSinks)
	if e.store != nil && e.Err() == nil {
		if e.ck != nil {
			e.endCheckpoint(<-e.ck.result)
		}
		if e.Err() == nil && (e.changed || e.urgent) {
			e.beginCheckpoint()
			e.endCheckpoint(<-e.ck.result)
		}
	}
	err = e.Err()
	for _, j := range e.order {
		if j.sink != nil {
			j.sink.close(true)
		}
	}
	for _, s := range e.sources {
		if s.conn != nil {
			conn := s.conn
			e.background(func() { _ = conn.Close() })
		}
	}
	e.stop()
	return err
}
