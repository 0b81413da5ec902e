package engine

import (
	"math/rand/v2"
	"time"

	"github.com/streamsql/streamsql/sql/exec"
	"github.com/streamsql/streamsql/sql/expr"
)

// stepContext is what the expressions of a step know. The clock is read once.
func (e *Engine) stepContext() *expr.Context {
	return &expr.Context{
		Now:      e.clock.now(),
		User:     "streamsql",
		Database: "streamsql",
		Random:   rand.Float64,
	}
}

// step takes what the sources and the writers brought, runs it through every
// dataflow once, and leaves all views at the next epoch.
func (e *Engine) step() {
	e.tick = false
	ctx := e.stepContext()
	dml := e.dml
	e.dml = &pendingDML{}
	dml.stepped = make(chan struct{})
	if dml.pending() {
		e.acks.put(dml)
	}
	changes := dml.changes
	if changes == nil {
		changes = map[uint64]*change{}
	}
	start := time.Now()
	e.markTables(changes)
	rows := e.cut(ctx.Now, changes)
	for _, j := range e.order {
		if j.active() {
			e.stepJob(j, ctx, changes)
		}
	}
	e.epoch++
	e.changed = true
	e.fitCut(rows, time.Since(start))
	close(dml.stepped)
}

// stepJob runs one job's part of the step, and adds its change to changes.
func (e *Engine) stepJob(j *job, ctx *expr.Context, changes map[uint64]*change) {
	type work struct {
		in *input
		c  *change
	}
	var todo []work
	moved := false
	for _, in := range j.inputs {
		if c := changes[in.relation]; c != nil && c.rows > 0 {
			if in.fill != nil {
				c = in.fill.passed(c)
			}
			if c != nil && c.rows > 0 {
				todo = append(todo, work{in, c})
			}
		}
		moved = moved || j.state == Running && e.inputWatermark(j, in) > in.wm
	}
	if len(todo) == 0 && !moved {
		return
	}
	out, late, err := e.run(j, ctx, func() error {
		for _, w := range todo {
			if err := j.push(w.in, w.c); err != nil {
				return err
			}
		}
		e.advanceInputs(j)
		return nil
	})
	if err != nil {
		e.fail(j, err)
		return
	}
	e.deliver(j, out, late, changes)
}

// advanceInputs moves the watermarks of a job's inputs. While it is backfilled
// they stand still: what it reads then is history.
func (e *Engine) advanceInputs(j *job) {
	if j.state != Running {
		return
	}
	for _, in := range j.inputs {
		j.advance(in, e.inputWatermark(j, in))
	}
}

// deliver hands a job's change to those who read it.
func (e *Engine) deliver(j *job, out, late *change, changes map[uint64]*change) {
	if j.sink != nil && out.rows > 0 {
		if err := j.sink.write(e.epoch+1, out); err != nil {
			e.fail(j, err)
			return
		}
	}
	if j.rel != nil && out.rows > 0 {
		changes[j.obj.ID] = out
	}
	if late != nil && late.rows > 0 {
		changes[j.late.obj.ID] = late
	}
}

// watermark is that of a relation's rows at the end of the running step.
func (e *Engine) watermark(id uint64) int64 {
	if s := e.sources[id]; s != nil {
		return s.wm
	}
	if j := e.jobsByID[id]; j != nil {
		return j.wm
	}
	if r := e.relations[id]; r != nil && r.marker != nil {
		return r.marker.mark
	}
	return exec.NoWatermark
}
