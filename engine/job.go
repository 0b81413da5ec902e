package engine

import (
	"errors"
	"fmt"
	"math"
	"runtime/debug"
	"slices"
	"time"

	"github.com/streamsql/streamsql/connector"
	"github.com/streamsql/streamsql/sql/catalog"
	"github.com/streamsql/streamsql/sql/delta"
	"github.com/streamsql/streamsql/sql/exec"
	"github.com/streamsql/streamsql/sql/expr"
	"github.com/streamsql/streamsql/sql/plan"
	"github.com/streamsql/streamsql/sql/sqlerr"
)

// job keeps a materialized view true, or feeds a sink.
type job struct {
	obj     *catalog.Object
	rel     *relation      // of a view
	sink    *sinkRun       // of a sink
	conn    connector.Sink // of a sink to be restarted after recovery
	late    *relation      // takes late rows; nil: the plan has none
	df      *exec.Dataflow
	tables  *jobStates
	inputs  []*input
	state   JobState
	epoch   uint64 // the last that it shows, when it does not go on
	wm      int64
	fill    *fill    // while BACKFILLING
	notices []Notice // of the backfill, for the client that waits

	restarts restarts

	err     *sqlerr.Error // why it FAILED
	errRow  string
	errTime int64

	// of the running step
	budget   *budget
	out      change
	lateRows []exec.LateRows
	saved    jobCounts // what it was before
	counted  func()    // at the commit: counts its late rows

	rules   *lateRules
	lateOps map[int]LateCount // by node of the plan
	missed  int64             // late rows that no replay has taken in

	replay   *job  // computes the view anew, to take this one's place
	replays  *job  // the job whose place this one is to take
	anew     bool  // by another definition
	replayed int64 // late rows that it took in

	rowsIn, rowsOut, nanos int64
}

// jobCounts is what a step changes in a job beside its tables, in order to put it
// back.
type jobCounts struct {
	wm              int64
	inputs          []int64 // their watermarks
	rowsIn, rowsOut int64
	kept            kept // of its late rows
}

func (j *job) save() {
	s := jobCounts{wm: j.wm, rowsIn: j.rowsIn, rowsOut: j.rowsOut}
	for _, in := range j.inputs {
		s.inputs = append(s.inputs, in.wm)
	}
	if j.late != nil && j.late.kept != nil {
		s.kept = *j.late.kept
	}
	j.saved = s
}

func (j *job) putBack() {
	s := &j.saved
	j.wm, j.rowsIn, j.rowsOut = s.wm, s.rowsIn, s.rowsOut
	for i, in := range j.inputs {
		in.wm = s.inputs[i]
	}
	if j.late != nil && j.late.kept != nil {
		*j.late.kept = s.kept
	}
}

// input is a relation that a job reads, with the Scan nodes that read it.
type input struct {
	relation uint64
	rel      *relation // a stored one
	source   bool
	scans    []*plan.Node
	wm       int64
	fill     *inputFill // nil: changes are passed on as they come
}

// newJob builds the dataflow of a view or sink.
func (e *Engine) newJob(o *catalog.Object) (*job, error) {
	j := &job{obj: o, wm: exec.NoWatermark, lateOps: map[int]LateCount{}}
	var err error
	if j.rules, err = readLate(o.Options); err != nil {
		return nil, err
	}
	j.rulesOfRestart()
	j.tables = &jobStates{base: o.OpBase, e: e, restore: e.meta}
	df, err := exec.Build(o.Plan, exec.Options{
		Env:     e.currentCatalog().Env,
		Workers: e.opts.Workers,
		States:  j.tables,
		Output: func(b *delta.Batch) error {
			j.out.add(b)
			return j.budget.spend(batchBytes(b))
		},
		Stop:  func() error { return j.budget.stopped() },
		Check: func(grown int64) error { return j.budget.look(grown) },
		Late:  func(l exec.LateRows) error { j.lateRows = append(j.lateRows, l); return nil },
	})
	if err != nil {
		return nil, err
	}
	if j.tables.failed != nil {
		return nil, j.tables.failed
	}
	j.df = df
	j.findInputs(e.currentCatalog())
	return j, nil
}

// findInputs lists what the plan reads.
func (j *job) findInputs(cat *catalog.Catalog) {
	seen := map[int]bool{}
	j.obj.Plan.Visit(func(n *plan.Node) {
		if n.Op != plan.Scan || seen[n.ID] {
			return
		}
		seen[n.ID] = true
		i := slices.IndexFunc(j.inputs, func(in *input) bool { return in.relation == n.Relation })
		if i < 0 {
			i = len(j.inputs)
			src := cat.ByID(n.Relation)
			j.inputs = append(j.inputs, &input{relation: n.Relation, source: src != nil && src.Kind == catalog.Source, wm: exec.NoWatermark})
		}
		j.inputs[i].scans = append(j.inputs[i].scans, n)
	})
}

func (j *job) input(relation uint64) *input {
	for _, in := range j.inputs {
		if in.relation == relation {
			return in
		}
	}
	return nil
}

// active tells whether the job takes part in steps.
func (j *job) active() bool { return j.state == Running || j.state == Backfilling }

// push hands a change of an input to the dataflow.
func (j *job) push(in *input, c *change) error {
	for _, b := range c.batches {
		for _, n := range in.scans {
			if err := j.df.Push(n, project(b, n.Columns)); err != nil {
				return err
			}
			j.relieve()
		}
		j.rowsIn += int64(b.N)
	}
	return nil
}

var relieveAll bool // tests have all that is clean evicted in the middle of steps

// relieve evicts what was read back in the middle of a step, while no operator is
// at work: a step may ask for more than fits.
func (j *job) relieve() {
	for _, t := range j.tables.tables {
		if relieveAll {
			t.Evict(1 << 40)
		} else if n := t.ReadBack(); n > max(j.budget.limit/8, 1<<20) {
			t.Evict(n)
		}
	}
}

// inputWatermark is the watermark of an input as the job has it: as late as the
// job's allowed lateness.
func (e *Engine) inputWatermark(j *job, in *input) int64 {
	return j.delayed(e.watermark(in.relation))
}

// delayed is an input's watermark as late as the job's allowed lateness.
func (j *job) delayed(wm int64) int64 {
	if wm == exec.NoWatermark || wm == math.MaxInt64 {
		return wm
	}
	return minus(wm, j.rules.allowed)
}

// outWatermark is that of the job's own rows. A plan that never closes anything
// has none, but what reads the view may close by it.
func (e *Engine) outWatermark(j *job) int64 {
	if j.rules.policy != lateUpdate || j.obj.Time == 0 {
		return j.df.Watermark()
	}
	wm, timed := int64(math.MaxInt64), false
	for _, in := range j.inputs {
		if o := e.currentCatalog().ByID(in.relation); o != nil && (o.Watermark != nil || o.Time > 0) {
			wm, timed = min(wm, in.wm), true
		}
	}
	lag := int64(0)
	j.obj.Plan.Visit(func(n *plan.Node) {
		if lag += n.Lag; n.Window != nil && n.Window.Kind == "session" {
			lag++
		}
		timed = timed && n.Bounds == nil && n.AsOf == nil // these have their own ways
	})
	if !timed || wm == exec.NoWatermark {
		return exec.NoWatermark
	}
	return minus(wm, lag)
}

// reached is the watermark up to which the view has taken its inputs in. That of
// its rows is behind when they show the start of a window alone.
func (j *job) reached() int64 {
	if j.wm == exec.NoWatermark || j.obj.Plan == nil {
		return j.wm
	}
	return j.wm + j.obj.Plan.Lag
}

// advance moves the watermark of an input.
func (j *job) advance(in *input, wm int64) {
	if wm <= in.wm {
		return
	}
	in.wm = wm
	for _, n := range in.scans {
		j.df.Advance(n, wm)
	}
}

// begin, commit and rollback are those of the job's part of a step.
func (j *job) begin() {
	j.save()
	j.counted = nil
	j.out, j.lateRows = change{}, nil
	j.tables.begin()
	if j.rel != nil {
		j.rel.begin()
	}
	if j.late != nil {
		j.late.begin()
	}
}

func (j *job) commit() {
	j.df.Commit()
	j.tables.commit()
	if j.rel != nil {
		j.rel.commit()
	}
	if j.late != nil {
		j.late.commit()
	}
	if j.counted != nil {
		j.counted()
	}
}

func (j *job) rollback() {
	j.df.Rollback()
	j.tables.rollback()
	if j.rel != nil {
		j.rel.rollback()
	}
	if j.late != nil {
		j.late.rollback()
	}
	j.putBack()
}

// run is the job's part of a step, or a chunk of its backfill: feed pushes its
// input. What it changed is to be committed or rolled back by the caller; after an
// error nothing is changed. The step has grown by grown bytes so far. An error of
// type *stop says that nothing is wrong with the job itself.
func (e *Engine) run(j *job, ctx *expr.Context, grown int64, feed func() error) (out, late *change, err error) {
	start := time.Now()
	j.budget = e.newBudget(j, grown)
	j.begin()
	e.open = append(e.open, j)
	defer func() {
		if r := recover(); r != nil {
			e.opts.Log.Error("panic in a job", "job", j.obj.Name, "panic", fmt.Sprint(r), "stack", string(debug.Stack()))
			err = sqlerr.New(sqlerr.Internal, "internal error: %v", r)
		}
		e.open = e.open[:len(e.open)-1]
		if err != nil {
			j.rollback()
			out, late = nil, nil
			if why := j.budget.why.Load(); why != nil {
				err = why
			}
		}
		j.out, j.lateRows = change{}, nil
		j.nanos += time.Since(start).Nanoseconds()
	}()
	j.df.Filling(j.state == Backfilling)
	j.df.TickRows(e.tickRows)
	j.df.Begin(ctx)
	before := j.rowsIn
	defer func() { e.grown += 1 + int(j.rowsIn-before) }()
	if err = feed(); err != nil {
		return nil, nil, err
	}
	if err = j.df.Finish(); err != nil {
		return nil, nil, err
	}
	if err = j.tables.err(); err != nil {
		return nil, nil, err
	}
	all := j.out
	if out = all.consolidate(); out.over {
		return nil, nil, sqlerr.New(sqlerr.NumericOutOfRange, "bigint out of range").
			WithDetail("A row would be there more often than a 64-bit number can say.")
	}
	if j.rel != nil {
		for _, b := range out.batches { // what it becomes in the view counts too
			if err = j.rel.apply(&change{batches: []*delta.Batch{b}, rows: b.N}); err == nil {
				err = j.budget.look(j.tables.grown())
			}
			if err != nil {
				return nil, nil, err
			}
		}
	}
	late, count, err := e.keepLate(j, ctx.Now)
	if err != nil {
		return nil, nil, err
	}
	j.counted = count
	j.rowsOut += int64(out.rows)
	e.grown += out.rows
	j.wm = max(j.wm, e.outWatermark(j))
	return out, late, nil
}

const keptErrors = 1000 // entries of streamsql.job_errors

// fail freezes a job at its last epoch, and what depends on it.
func (e *Engine) fail(j *job, err error) {
	se := sqlerr.From(err)
	var re *exec.RowError
	row := ""
	if errors.As(err, &re) {
		row = re.Row
	}
	j.err, j.errRow, j.errTime = se, row, e.clock.now()
	e.freeze(j, Failed)
	e.noteError(j, se, row)
	e.opts.Log.Warn("a job has failed", "job", j.obj.Name, "code", se.Code, "error", se.Message, "detail", se.Detail)
	e.planRestart(j)
	e.dirtyJobs()
}

// noteError adds to streamsql.job_errors.
func (e *Engine) noteError(j *job, se *sqlerr.Error, row string) {
	e.jobErrors = append(e.jobErrors, JobError{
		Job: j.obj.ID, Name: j.obj.Name, Epoch: e.epoch + 1, Time: e.clock.now(),
		Code: se.Code, Message: se.Message, Detail: se.Detail, Row: row,
	})
	if n := len(e.jobErrors); n > keptErrors {
		e.jobErrors = slices.Clone(e.jobErrors[n-keptErrors:])
	}
}

// freeze takes a job out of the steps; what reads its relation becomes STALE.
func (e *Engine) freeze(j *job, s JobState) {
	if j.active() {
		j.epoch = e.epoch
	}
	if j.replay != nil && !j.replay.anew {
		e.dropReplay(j.replay)
	}
	wasFilling := j.state == Backfilling
	j.state = s
	if wasFilling {
		e.endFill(j)
	}
	// It will be made anew: what its operators held is of no use any more.
	j.tables = &jobStates{}
	if j.rel == nil {
		return
	}
	for _, d := range e.order {
		if d.input(j.obj.ID) != nil && d.active() {
			e.freeze(d, Stale)
			if d.sink != nil { // a view is made anew with what it reads
				e.planRestart(d)
			}
		}
	}
}

// dependants returns the jobs that read job j, directly or not, by ID.
func (e *Engine) dependants(j *job) []*job {
	in := map[uint64]bool{j.obj.ID: true}
	var out []*job
	for _, d := range e.order {
		for _, i := range d.inputs {
			if in[i.relation] && !in[d.obj.ID] {
				in[d.obj.ID] = true
				out = append(out, d)
			}
		}
	}
	return out
}
