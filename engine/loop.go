package engine

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/streamsql/streamsql/sql/sqlerr"
)

// command is something that the loop does between two steps.
type command struct {
	run   func()
	write *pendingWrite // instead of run: it takes part in the next step
	state atomic.Int32  // who has it: the queue, the loop, or nobody, as its sender went away
	done  chan struct{}
}

const (
	cmdQueued = iota
	cmdTaken
	cmdGone
)

func closedError() error {
	return sqlerr.New(sqlerr.AdminShutdown, "terminating connection due to administrator command")
}

// ctxError is the error of a statement whose context has ended.
func ctxError(ctx context.Context) error {
	if c := context.Cause(ctx); c != nil {
		var se *sqlerr.Error
		if errors.As(c, &se) {
			return se
		}
	}
	return sqlerr.New(sqlerr.QueryCanceled, "canceling statement due to user request")
}

// submit queues c; an error says that it will not run.
func (e *Engine) submit(ctx context.Context, c *command) error {
	c.done = make(chan struct{})
	select {
	case e.cmds <- c:
		return nil
	case <-ctx.Done():
		return ctxError(ctx)
	case <-e.stopped:
		return closedError()
	}
}

// wait waits until c was done. When ctx ends before the loop took it, it never
// runs.
func (e *Engine) wait(ctx context.Context, c *command) error {
	select {
	case <-c.done:
		return nil
	case <-ctx.Done():
		if c.state.CompareAndSwap(cmdQueued, cmdGone) {
			return ctxError(ctx)
		}
		// The loop is at it; what it does there is short.
		select {
		case <-c.done:
			return nil
		case <-e.stopped:
			return closedError()
		}
	case <-e.stopped:
		select {
		case <-c.done:
			return nil
		default:
			return closedError()
		}
	}
}

// do runs fn on the loop, between two steps, and waits for it.
func (e *Engine) do(ctx context.Context, fn func()) error {
	c := &command{run: fn}
	if err := e.submit(ctx, c); err != nil {
		return err
	}
	return e.wait(ctx, c)
}

// loop owns the state: it takes commands and steps until the engine closes.
func (e *Engine) loop() {
	defer close(e.stopped)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for e.ctx.Err() == nil {
		if !e.busy() {
			timer.Reset(e.sleep())
			select {
			case c := <-e.cmds:
				e.guard(func() { e.take(c) })
			case <-e.wake:
			case <-timer.C:
			case <-e.ctx.Done():
			}
		}
		e.guard(e.round)
	}
}

// guard runs a part of the loop. A panic there is a bug of the engine's: what
// was begun is undone, and the engine goes on for reads alone.
func (e *Engine) guard(fn func()) {
	defer func() {
		if r := recover(); r != nil {
			e.opts.Log.Error("panic in the step loop", "panic", fmt.Sprint(r), "stack", string(debug.Stack()))
			open := e.open
			e.open = nil
			for i := len(open) - 1; i >= 0; i-- {
				func() {
					defer func() { _ = recover() }()
					open[i].rollback()
				}()
			}
			err := sqlerr.New(sqlerr.Internal, "internal error: %v", r)
			e.running.Store(nil)
			e.lose(err)
			e.answerAll(err)
		}
	}()
	fn()
}

// round takes the commands that wait, then does one piece of each kind of work.
func (e *Engine) round() {
	e.takeHeld()
	for n := 0; n < 1024 && (n == 0 || e.taken < e.opts.MemoryLimit/32); n++ {
		select {
		case c := <-e.cmds:
			e.take(c)
			continue
		default:
		}
		break
	}
	if e.Err() != nil {
		e.answerAll(e.Err())
		return
	}
	if e.stepDue() {
		e.step()
	}
	e.fillSome()
	e.answerWaiters()
	e.maintain()
}

// answerAll tells all writers that wait for the loop.
func (e *Engine) answerAll(err error) {
	for _, p := range e.inflight {
		p.finish(err)
	}
	e.dml.answer(err)
	e.inflight, e.dml = nil, &pendingDML{}
	e.takeHeld()
}

// takeHeld takes the writes that had to wait, if they no longer do.
func (e *Engine) takeHeld() {
	if len(e.held) == 0 || e.full() && e.Err() == nil {
		return
	}
	held := e.held
	e.held = nil
	for _, c := range held {
		e.take(c)
	}
}

// take does one command. Writes gather for the next step; everything else sees
// a finished epoch.
func (e *Engine) take(c *command) {
	if c.write != nil && e.full() && e.Err() == nil {
		e.held = append(e.held, c)
		return
	}
	if !c.state.CompareAndSwap(cmdQueued, cmdTaken) {
		return
	}
	if c.write != nil {
		if err := e.Err(); err != nil {
			c.write.finish(err)
		} else {
			e.apply(c.write)
		}
		close(c.done)
		return
	}
	defer close(c.done)
	if e.dml.pending() && e.Err() == nil {
		e.step()
	}
	c.run()
}

// busy tells whether the loop has work without waiting for anything.
func (e *Engine) busy() bool {
	return e.Err() == nil && (e.stepDue() || e.fillDue() || len(e.held) > 0 && !e.full())
}

// stepDue tells whether a step has something to do.
func (e *Engine) stepDue() bool {
	if e.tick || e.dml.pending() {
		return true
	}
	for _, s := range e.sources {
		if s.ready() {
			return !e.stepsHeld()
		}
	}
	return e.ticksDue()
}

// sleep is how long the loop may wait for the outside.
func (e *Engine) sleep() time.Duration {
	d := idleWait
	if t, ok := e.checkpointDue(); ok {
		d = min(d, t)
	}
	for _, s := range e.sources {
		if t, ok := s.idleDue(e.clock.now()); ok {
			d = min(d, t)
		}
	}
	if t, ok := e.untilTick(); ok {
		d = min(d, t)
	}
	if t, ok := e.untilRestart(); ok {
		d = min(d, t)
	}
	if t, ok := e.untilExpiry(); ok {
		d = min(d, t)
	}
	return max(d, time.Millisecond)
}
