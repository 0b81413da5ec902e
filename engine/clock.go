package engine

import (
	"context"
	"sync"
	"time"

	"github.com/streamsql/streamsql/sql/sqlerr"
)

// clock is the engine's: the system's, or one that is held. It never goes back,
// also over a restart.
type clock struct {
	mu     sync.Mutex
	last   int64 // µs since 1970
	manual bool
}

func (c *clock) now() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.manual {
		c.last = max(c.last, time.Now().UnixMicro())
	}
	return c.last
}

// restore puts the clock where a checkpoint left it.
func (c *clock) restore(last int64, manual bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last, c.manual = max(c.last, last), manual
}

func (c *clock) read() (last int64, manual bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.last, c.manual
}

// now is the engine's clock, µs since 1970: the system's, or the held one.
func (e *Engine) now() int64 { return e.clock.now() }

// setClock holds the clock where it stands (manual) or lets it run.
func (e *Engine) setClock(manual bool) error {
	return e.do(context.Background(), func() {
		e.clock.now()
		e.clock.mu.Lock()
		e.clock.manual = manual
		e.clock.mu.Unlock()
		e.tick = true
	})
}

// moveClock puts a held clock to t; without move it only checks that it can.
func (e *Engine) moveClock(t int64, move bool) error {
	e.clock.mu.Lock()
	defer e.clock.mu.Unlock()
	if !e.clock.manual {
		return sqlerr.New(sqlerr.ObjectNotInState, "the clock runs by itself").
			WithHint("SET streamsql.clock = 'manual' holds it.")
	}
	if t < e.clock.last {
		return sqlerr.New(sqlerr.InvalidParameter, "the clock does not go back")
	}
	if move {
		e.clock.last = t
	}
	return nil
}
