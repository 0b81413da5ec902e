package engine

import (
	"context"
	"time"

	"github.com/streamsql/streamsql/connector"
)

// waiter is a WAIT: what has to be in the views before it returns.
type waiter struct {
	start time.Time
	ends  map[uint64]connector.Positions // by source
	there time.Time                      // when all of it was; zero: not yet
	done  chan struct{}
}

// await returns when no view is backfilled any more and what the sources held
// when it was called is in every view that reads them. A bounded source that has
// nothing more has then ended.
func (e *Engine) await(ctx context.Context) error {
	w := &waiter{start: time.Now(), ends: map[uint64]connector.Positions{}, done: make(chan struct{})}
	conns := map[uint64]connector.Source{}
	if err := e.do(ctx, func() {
		for id, s := range e.sources {
			if s.feed != nil && !s.ended {
				conns[id] = s.conn
			}
		}
	}); err != nil {
		return err
	}
	for id, c := range conns {
		end, err := c.End(ctx)
		if err != nil {
			return err
		}
		w.ends[id] = end
	}
	if err := e.do(ctx, func() { e.waiters = append(e.waiters, w) }); err != nil {
		return err
	}
	// The readers speak of an end in their own time: the loop is asked to look.
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	for {
		select {
		case <-w.done:
			return nil
		case <-ctx.Done():
			_ = e.do(context.WithoutCancel(ctx), func() { e.dropWaiter(w) })
			return ctxError(ctx)
		case <-e.stopped:
			return closedError()
		case <-look.C:
			e.poke()
		}
	}
}

func (e *Engine) dropWaiter(w *waiter) {
	for i, x := range e.waiters {
		if x == w {
			e.waiters = append(e.waiters[:i:i], e.waiters[i+1:]...)
			return
		}
	}
}

// answerWaiters ends the WAITs for which all is there. It runs between two steps.
func (e *Engine) answerWaiters() {
	for i := 0; i < len(e.waiters); i++ {
		if w := e.waiters[i]; e.arrived(w) {
			close(w.done)
			e.dropWaiter(w)
			i--
		}
	}
}

func (e *Engine) arrived(w *waiter) bool {
	for _, j := range e.filling {
		if j.state == Backfilling {
			return false
		}
	}
	settled := true // it is known that there is no more, for the time being
	for id, end := range w.ends {
		s := e.sources[id]
		if s == nil || s.ended || s.feed == nil {
			continue
		}
		if s.feed.ready() {
			return false
		}
		for p, n := range end {
			quiet, heard := s.feed.nothing(p)
			settled = settled && quiet
			if x := s.parts[p]; (x == nil || x.next < n) && !(quiet && heard.After(w.start.Add(connector.QuietEvery))) {
				return false // not read, and it is not that the rest holds no records
			}
		}
	}
	if w.there.IsZero() {
		w.there = time.Now()
	}
	// A reader that says nothing of an end has more, later.
	return settled || time.Since(w.there) > connector.QuietEvery
}
