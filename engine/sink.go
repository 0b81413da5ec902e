package engine

import (
	"context"
	"fmt"
	"maps"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"github.com/streamsql/streamsql/connector"
	"github.com/streamsql/streamsql/sql/catalog"
	"github.com/streamsql/streamsql/sql/delta"
	"github.com/streamsql/streamsql/sql/sqlerr"
)

// sinkRun hands the changes of a sink's relation to its connector, on a
// goroutine of its own, in order.
type sinkRun struct {
	e    *Engine
	name string
	conn connector.Sink

	mu    sync.Mutex
	cond  *sync.Cond
	queue []sinkOp
	bytes int64
	err   error
	end   bool
	last  []byte // state at the last barrier

	unreleased bool // of an engine in memory: something was written since the last release

	gone chan struct{} // closed when the connector is
}

// sinkOp is a write, a release, or a question for the state.
type sinkOp struct {
	epoch   uint64
	batches []*delta.Batch
	release bool
	state   chan []byte
}

const sinkQueueBytes = 64 << 20

func sinkConfig(o *catalog.Object) connector.Config {
	options := maps.Clone(o.Options)
	for _, own := range slices.Concat([]string{optAllowedLateness}, lateDefaults, restartOptions) {
		delete(options, own)
	}
	c := connector.Config{Name: o.Name, Options: options, Format: o.Format, Encode: o.Encode, Retracts: !o.AppendOnly}
	for _, col := range o.Columns {
		c.Columns = append(c.Columns, connector.Column{Name: col.Name, Type: col.Type})
	}
	return c
}

func (e *Engine) newSink(o *catalog.Object, conn connector.Sink, state []byte) *sinkRun {
	s := &sinkRun{e: e, name: o.Name, conn: conn, last: state, gone: make(chan struct{})}
	s.cond = sync.NewCond(&s.mu)
	e.anySink.Store(true)
	e.background(s.run)
	return s
}

func (s *sinkRun) put(op sinkOp) {
	s.mu.Lock()
	for _, b := range op.batches {
		s.bytes += batchBytes(b)
	}
	if s.end && op.state != nil {
		op.state <- s.last // nobody is there to answer
	}
	s.queue = append(s.queue, op)
	s.mu.Unlock()
	s.cond.Signal()
}

// write queues the change of an epoch.
func (s *sinkRun) write(epoch uint64, c *change) error {
	if err := s.failure(); err != nil {
		return err
	}
	s.put(sinkOp{epoch: epoch, batches: c.batches})
	s.unreleased = true
	return nil
}

// releaseInMemory has sinks show what they got where nothing is ever durable: a
// finished epoch is all that an epoch can be there.
func (e *Engine) releaseInMemory() {
	if e.store != nil {
		return
	}
	for _, j := range e.order {
		if j.sink != nil && j.sink.unreleased && j.state == Running {
			j.sink.unreleased = false
			j.sink.put(sinkOp{release: true, epoch: e.epoch})
		}
	}
}

func (s *sinkRun) failure() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// full tells whether the connector is so far behind that steps have to wait.
func (s *sinkRun) full() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err == nil && s.bytes > sinkQueueBytes
}

// barrier asks for the state as of what was written before.
func (s *sinkRun) barrier() chan []byte {
	c := make(chan []byte, 1)
	s.put(sinkOp{state: c})
	return c
}

// close ends the goroutine when the queue is empty, or at once.
func (s *sinkRun) close(drain bool) {
	s.mu.Lock()
	s.end = true
	if !drain {
		for _, op := range s.queue {
			if op.state != nil {
				op.state <- s.last
			}
		}
		s.queue = nil
	}
	s.mu.Unlock()
	s.cond.Signal()
}

func (s *sinkRun) run() {
	defer close(s.gone)
	for {
		s.mu.Lock()
		for len(s.queue) == 0 && !s.end {
			s.cond.Wait()
		}
		if len(s.queue) == 0 {
			s.mu.Unlock()
			if err := s.guard(s.conn.Close); err != nil {
				s.e.opts.Log.Warn("a sink did not close", "sink", s.name, "error", err)
			}
			return
		}
		op := s.queue[0]
		s.queue = s.queue[1:]
		failed := s.err != nil
		s.mu.Unlock()
		var err error
		switch {
		case op.state != nil:
			if !failed {
				err = s.guard(func() error { s.last = s.conn.State(); return nil })
			}
			op.state <- s.last
		case failed:
		case op.release:
			err = s.guard(func() error { return s.conn.Release(s.ctx(), op.epoch) })
		default:
			for _, b := range op.batches {
				if err = s.guard(func() error { return s.conn.Write(s.ctx(), op.epoch, b) }); err != nil {
					break
				}
			}
		}
		s.mu.Lock()
		for _, b := range op.batches {
			s.bytes -= batchBytes(b)
		}
		if err != nil && s.err == nil {
			s.err = err
		}
		s.mu.Unlock()
		if err != nil || len(op.batches) > 0 {
			s.e.poke()
		}
	}
}

func (s *sinkRun) ctx() context.Context { return s.e.sinkCtx }

func (s *sinkRun) guard(fn func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			s.e.opts.Log.Error("panic in a sink", "sink", s.name, "panic", fmt.Sprint(r), "stack", string(debug.Stack()))
			err = sqlerr.New(sqlerr.Internal, "internal error in sink %q: %v", s.name, r)
		}
	}()
	return fn()
}

// closed waits a while for the connector to be closed, so that another can be
// made on the same file or topic.
func (s *sinkRun) closed(ctx context.Context) error {
	select {
	case <-s.gone:
		return nil
	case <-ctx.Done():
		return ctxError(ctx)
	case <-time.After(10 * time.Second):
		return sqlerr.New(sqlerr.ObjectNotInState, "sink %q does not come to its end", s.name)
	}
}

// checkSinks fails the jobs whose sinks refused.
func (e *Engine) checkSinks() {
	if !e.anySink.Load() {
		return
	}
	for _, j := range e.order {
		if j.sink == nil || !j.active() {
			continue
		}
		if err := j.sink.failure(); err != nil {
			e.fail(j, err)
		}
	}
}
