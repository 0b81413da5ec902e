package engine

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"math"
	"runtime/debug"
	"slices"

	"github.com/streamsql/streamsql/sql/catalog"
	"github.com/streamsql/streamsql/sql/exec"
	"github.com/streamsql/streamsql/sql/sqlerr"
)

// timeReport is how far event time is everywhere, between two steps: what EXPLAIN
// WATERMARK, streamsql.watermarks and streamsql.windows_open show. Watermarks are
// exec.NoWatermark where there is none; other times are 0.
type timeReport struct {
	now     int64
	sources map[uint64]*sourceTime
	tables  map[uint64]*tableTime
	jobs    []*jobTime // by ID
}

type sourceTime struct {
	id        uint64
	name      string
	marked    bool // it declares a watermark
	wm        int64
	moved     int64 // since when wm stands
	trouble   string
	read      bool // a job reads it
	ended     bool
	allIdle   int64 // since when all partitions are idle; 0: they are not
	timeout   int64 // idle_timeout
	maxDrift  int64 // -1: none
	group     string
	parts     []partTime
	heldBy    []int32 // the partitions that hold it back
	deadCount int64   // rows of <source>_dead_letters
}

type partTime struct {
	part       int32
	next       int64 // offset
	mark, max  int64
	moved      int64
	idle, held bool
	heldSince  int64
	quiet      int64 // since when nothing has come; 0: something has, or nobody knows
}

type tableTime struct {
	id       uint64
	name     string
	rows     int64
	mark     int64
	max      int64
	moved    int64
	restFrom int64 // when it goes on by itself; 0: it does not
}

type jobTime struct {
	id       uint64
	name     string
	kind     catalog.Kind
	state    JobState
	failure  string
	rows     int64
	wm       int64
	allowed  int64
	late     LateCount
	lateOps  map[int]LateCount
	lateName string
	expired  int64 // late rows that were dropped before their age, since the engine started
	done     int64 // of the backfill
	total    int64
	ops      []exec.OpTime
	inputs   map[int]uint64 // of Scan nodes: the relation
	windows  []openWindow
}

// openWindow is what one watermark closes in an operator.
type openWindow struct {
	node  int
	at, n int64
}

// timeReport gathers the report on the loop. What waits in the operators is only
// looked for in jobs for which want returns true: that reads their indexes.
func (e *Engine) timeReport(ctx context.Context, want func(job uint64) bool) (*timeReport, error) {
	r := &timeReport{sources: map[uint64]*sourceTime{}, tables: map[uint64]*tableTime{}}
	var failed error
	err := e.do(ctx, func() {
		defer func() { // a report changes nothing: one that fails ends nothing else
			if p := recover(); p != nil {
				e.opts.Log.Error("panic in a report on watermarks", "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
				failed = sqlerr.New(sqlerr.Internal, "internal error: %v", p)
			}
		}()
		r.now = e.clock.now()
		for id, s := range e.sources {
			r.sources[id] = e.sourceTime(s, r.now)
		}
		for id, rel := range e.relations {
			if rel.marker == nil {
				continue
			}
			t := &tableTime{id: id, name: rel.obj.Name, rows: int64(rel.main.tree.Len()), mark: rel.marker.mark, max: rel.marker.max, moved: rel.moved}
			if rel.rest != nil && rel.rest.wrote != 0 {
				t.restFrom = rel.rest.wrote + rel.rest.timeout
			}
			r.tables[id] = t
		}
		for _, j := range e.order {
			x := e.jobTime(j)
			r.jobs = append(r.jobs, x)
			if !want(x.id) {
				continue
			}
			for i := range x.ops {
				if x.ops[i].Waits {
					x.findOpen(j.df, x.ops[i].Node)
				}
			}
		}
	})
	return r, cmp.Or(err, failed)
}

func (e *Engine) sourceTime(s *source, now int64) *sourceTime {
	t := &sourceTime{
		id: s.obj.ID, name: s.obj.Name, marked: s.obj.Watermark != nil, wm: s.wm, moved: s.moved, read: s.feed != nil,
		ended: s.ended, allIdle: s.allIdle, timeout: s.idleTimeout, maxDrift: s.maxDrift, group: s.group,
	}
	if s.feed != nil {
		t.trouble = s.feed.troubleText()
	}
	if s.dead != nil {
		t.deadCount = int64(s.dead.main.tree.Len())
	}
	least := int64(math.MaxInt64)
	for _, p := range slices.Sorted(maps.Keys(s.parts)) {
		x := s.parts[p]
		pt := partTime{part: p, next: x.next, mark: x.marker.mark, max: x.marker.max, moved: x.moved, idle: x.idle, held: x.held, heldSince: x.since}
		if s.feed != nil {
			if since, _, ok := s.feed.quietOf(p, now); ok {
				pt.quiet = since
			}
		}
		t.parts = append(t.parts, pt)
		if !x.idle {
			least = min(least, x.marker.mark)
		}
	}
	for _, p := range t.parts {
		if t.marked && !p.idle && p.mark == least {
			t.heldBy = append(t.heldBy, p.part)
		}
	}
	return t
}

func (e *Engine) jobTime(j *job) *jobTime {
	info := e.jobInfo(j)
	t := &jobTime{
		id: j.obj.ID, name: j.obj.Name, kind: j.obj.Kind, state: info.State, failure: info.Error, rows: info.Rows, wm: j.reached(),
		allowed: j.rules.allowed, lateOps: maps.Clone(j.lateOps), done: info.BackfillDone, total: info.BackfillTotal, inputs: map[int]uint64{},
	}
	for _, l := range j.lateOps {
		t.late = t.late.plus(l)
	}
	if j.late != nil {
		t.lateName = j.late.obj.Name
		if k := j.late.kept; k != nil {
			t.expired = k.dropped
		}
	}
	if j.df != nil {
		t.ops = j.df.Times()
	}
	for _, in := range j.inputs {
		for _, n := range in.scans {
			t.inputs[n.ID] = in.relation
		}
	}
	return t
}

// findOpen lists what waits in an operator, by the watermark that closes it.
func (j *jobTime) findOpen(df *exec.Dataflow, node int) {
	at := map[int64]int64{}
	df.Open(node, func(t, n int64) { at[t] += n })
	for _, t := range slices.Sorted(maps.Keys(at)) {
		j.windows = append(j.windows, openWindow{node, t, at[t]})
	}
}

// job returns the job of a relation; nil: it has none.
func (r *timeReport) job(id uint64) *jobTime {
	i, ok := slices.BinarySearchFunc(r.jobs, id, func(j *jobTime, id uint64) int { return cmp.Compare(j.id, id) })
	if !ok {
		return nil
	}
	return r.jobs[i]
}

// mark is the watermark of a relation and since when it stands.
func (r *timeReport) mark(id uint64) (wm, since int64) {
	if s := r.sources[id]; s != nil {
		return s.wm, s.moved
	}
	if t := r.tables[id]; t != nil {
		return t.mark, t.moved
	}
	if j := r.job(id); j != nil {
		_, leaf := r.leaf(j)
		_, since = r.mark(leaf)
		return j.wm, since
	}
	return exec.NoWatermark, 0
}

// leaf returns the Scan node of a job that holds its watermark back, and its
// relation: of those that carry one, the least. 0: none does.
func (r *timeReport) leaf(j *jobTime) (node int, relation uint64) {
	least := int64(math.MaxInt64)
	for i := range j.ops {
		o := &j.ops[i]
		id, ok := j.inputs[o.Node]
		if !ok || o.Plan.Time == 0 {
			continue
		}
		if relation == 0 || o.Watermark < least {
			node, relation, least = o.Node, id, o.Watermark
		}
	}
	return node, relation
}

// op returns a job's operator.
func (j *jobTime) op(node int) *exec.OpTime {
	for i := range j.ops {
		if j.ops[i].Node == node {
			return &j.ops[i]
		}
	}
	return nil
}
