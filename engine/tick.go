package engine

import (
	"context"
	"math"
	"time"
)

// Steps that only the clock asks for come at most every tickGap while the clock
// runs: what falls due meanwhile shares one.
const tickGap = 20 * time.Millisecond

// maxTicks bounds the steps of one ADVANCE CLOCK. What is due beyond them happens
// in the last one.
const maxTicks = 10_000

// nextTick is the time of the clock, µs, at which something wants the next step;
// math.MaxInt64: nothing does.
func (e *Engine) nextTick() int64 { return min(e.jobsDue(), e.nextMove()) }

// jobsDue is when a job wants the next step. Jobs that do not go on want none.
func (e *Engine) jobsDue() int64 {
	t := int64(math.MaxInt64)
	for _, j := range e.order {
		if j.active() {
			t = min(t, j.df.Due())
		}
	}
	return t
}

// tickAt is nextTick as the loop goes by: not too soon after the last step, unless
// that has left something.
func (e *Engine) tickAt() int64 {
	due := e.nextTick()
	if e.moreTicks {
		return due
	}
	if _, manual := e.clock.read(); !manual && due != math.MaxInt64 {
		due = max(due, e.lastStep+tickGap.Microseconds())
	}
	return due
}

// ticksDue tells whether the clock asks for a step. It waits where sources have to.
func (e *Engine) ticksDue() bool {
	due := e.tickAt()
	if due == math.MaxInt64 || e.stepsHeld() {
		return false
	}
	return due <= e.clock.now() && (e.clock.now() > e.lastStep || e.moreTicks)
}

// lessTicks has the steps that follow take less of what is due: some of it has
// outgrown the memory. false: nothing is due, or there is no less.
func (e *Engine) lessTicks(now int64) bool {
	if e.store == nil || e.jobsDue() > now || e.tickRows == leastTicks {
		return false
	}
	if e.tickRows == 0 {
		e.tickRows = 16 * mostTicks
	}
	e.tickRows = max(e.tickRows/16, leastTicks)
	return true
}

// How many due rows an operator takes in a step, when it cannot be all.
const (
	mostTicks  = 1 << 20
	leastTicks = 1 // it takes a batch
)

// keepTicks finds out whether the step that stands has left something.
func (e *Engine) keepTicks() {
	if e.moreTicks = e.tickRows != 0 && e.jobsDue() <= e.lastStep; !e.moreTicks {
		e.tickRows = 0
	}
}

// untilTick is how long the clock runs until it asks for a step.
func (e *Engine) untilTick() (time.Duration, bool) {
	now, manual := e.clock.read()
	due := e.tickAt()
	if manual || due == math.MaxInt64 || e.stepsHeld() {
		return 0, false
	}
	if due-now > time.Hour.Microseconds() {
		return time.Hour, true
	}
	return time.Duration(due-now) * time.Microsecond, true
}

// advanceClock moves a held clock to t. What is due on the way happens at its own
// moment and in order, a step for each; then a step is made at t, also when
// nothing is due.
func (e *Engine) advanceClock(ctx context.Context, t int64) error {
	var err error
	if derr := e.do(ctx, func() {
		if err = e.moveClock(t, false); err != nil {
			return
		}
		for n := 0; n < maxTicks && ctx.Err() == nil && e.Err() == nil && e.tickBefore(t); n++ {
		}
		if err = e.moveClock(t, true); err == nil && e.Err() == nil {
			e.step()
			for e.moreTicks && e.Err() == nil {
				e.step()
			}
			e.expireKept()
		}
	}); derr != nil {
		return derr
	}
	return err
}

// ticksBefore makes the steps that are due before the clock reaches t.
func (e *Engine) ticksBefore(t int64) {
	for n := 0; n < maxTicks && e.Err() == nil && e.tickBefore(t); n++ {
	}
}

// tickBefore makes the first step that is due before the clock reaches t, at its
// time; false: there is none.
func (e *Engine) tickBefore(t int64) bool {
	now, _ := e.clock.read()
	due := e.nextTick()
	for _, s := range e.sources {
		if d, ok := s.idleDue(now); ok && d > 0 {
			due = min(due, now+d.Microseconds())
		}
	}
	if due >= t || due <= now && e.lastStep == now && !e.moreTicks {
		return false // what a step at this moment did not settle, the last one has to
	}
	e.clock.restore(max(due, now), true)
	e.step()
	return true
}

// advanceClock moves the watermarks of the inputs that carry processing time.
func (j *job) advanceClock(now int64) {
	for _, in := range j.inputs {
		for _, n := range in.scans {
			if n.Clock {
				j.df.Advance(n, now)
			}
		}
	}
}
