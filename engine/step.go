package engine

import (
	"math/rand/v2"

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

// stepJob runs one job's part of the step, and adds its change to the step's. It
// returns why the whole step has to end.
func (e *Engine) stepJob(a *attempt, j *job) *stop {
	type work struct {
		in *input
		c  *change
	}
	var todo []work
	moved := false
	for _, in := range j.inputs {
		if a.down[in.relation] {
			a.down[j.obj.ID] = true // it will be STALE
			return nil
		}
		if c := a.changes[in.relation]; c != nil && c.rows > 0 {
			if in.fill != nil {
				c = in.fill.met(c)
			}
			if c != nil && c.rows > 0 {
				todo = append(todo, work{in, c})
			}
		}
		moved = moved || j.state == Running && e.inputWatermark(j, in) > in.wm
	}
	if len(todo) == 0 && !moved && j.df.Due() > a.ctx.Now {
		return nil
	}
	var out, late *change
	err := a.in.failing[j]
	if err == nil {
		out, late, err = e.run(j, a.ctx, a.grown, func() error {
			for _, w := range todo {
				if err := j.push(w.in, w.c); err != nil {
					return err
				}
			}
			e.advanceInputs(j, a.ctx.Now)
			return nil
		})
	}
	if err != nil {
		if s, ok := err.(*stop); ok && s.kind != stopJob {
			return s
		}
		a.down[j.obj.ID] = true
		a.failed = append(a.failed, jobPart{j: j, err: err})
		return nil
	}
	a.begun = append(a.begun, j)
	a.grown += j.budget.spent()
	a.done = append(a.done, jobPart{j: j, out: out})
	if j.rel != nil && out.rows > 0 {
		a.add(j.obj.ID, out) // a replay may have changed it too
	}
	if late != nil && late.rows > 0 {
		a.add(j.late.obj.ID, late)
	}
	return nil
}

// advanceInputs moves the watermarks of a job's inputs. While it is backfilled
// they stand still: what it reads then is history.
func (e *Engine) advanceInputs(j *job, now int64) {
	if j.state != Running {
		return
	}
	for _, in := range j.inputs {
		j.advance(in, e.inputWatermark(j, in))
	}
	j.advanceClock(now)
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
