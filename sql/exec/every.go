package exec

import (
	"math"

	"github.com/streamsql/streamsql/sql/delta"
	"github.com/streamsql/streamsql/sql/plan"
	"github.com/streamsql/streamsql/sql/sqlerr"
)

// never is the time of what does not come.
const never = math.MaxInt64

// every is EMIT EVERY: it adds up the changes that come, and lets the sum through
// when the clock reaches the next multiple of the interval, counted from 1970:
// all workers, and all runs, agree on when that is. The waiting rows are state, so
// that a checkpoint holds them.
type every struct {
	n     *plan.Node
	step  *stepInfo
	q     *dueQueue // nil in Batch
	taken dueRows
}

var (
	_ Operator = (*every)(nil)
	_ Ticker   = (*every)(nil)
	_ Stepper  = (*every)(nil)
)

func newEvery(n *plan.Node, b *builder, worker int) (Operator, error) {
	if n.Interval <= 0 {
		return nil, sqlerr.New(sqlerr.InvalidParameter, "the interval of EMIT EVERY must be positive")
	}
	e := &every{n: n, step: b.step}
	if !b.opts.Batch {
		e.q = newDueQueue(b, n, worker)
	}
	return e, nil
}

func (e *every) Apply(_ int, b *delta.Batch, out Emit) error {
	if e.q == nil {
		return out(b)
	}
	at := e.release(e.step.ctx.Now)
	for i := range b.N {
		e.q.add(at, 0, b.Cols, i, b.Weight(i))
	}
	return nil
}

// release is when a change of time now is let through: with what waits already,
// or at the next multiple of the interval.
func (e *every) release(now int64) int64 {
	if due := e.q.due(); due != never {
		return due
	}
	if e.step.filling {
		return now
	}
	at := floorTo(now, e.n.Interval, 0)
	if at > math.MaxInt64-1-e.n.Interval {
		return math.MaxInt64 - 1
	}
	return at + e.n.Interval
}

func (e *every) Finish(Emit) error { return nil }

// Tick lets through what waits, once it is time.
func (e *every) Tick(now int64, out Emit) error {
	if e.q == nil {
		return nil
	}
	if e.step.filling {
		now = never - 1
	}
	for {
		ok, err := e.q.take(now, e.n.Out, &e.taken)
		if err != nil || !ok {
			return err
		}
		b := e.taken.b
		if allOnes(b.W) {
			b.W = nil
		}
		if err := out(b); err != nil {
			return err
		}
	}
}

// Due is when what waits is let through.
func (e *every) Due() int64 {
	if e.q == nil {
		return never
	}
	return e.q.due()
}

// Advance keeps the watermark of the output where it is while rows wait: they may
// be older than that of the input.
func (e *every) Advance(wm []int64, _ Emit) (int64, error) {
	if e.q != nil && e.q.due() != never {
		return NoWatermark, nil
	}
	return inputTime(e.n, wm), nil
}

// Commit and Rollback end a step.
func (e *every) Commit() {}

// Rollback undoes it.
func (e *every) Rollback() {
	if e.q != nil {
		e.q.rollback()
	}
}
