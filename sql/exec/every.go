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
	mark  everyMark
	was   everyMark // at the last commit
}

// everyMark is a watermark that the rows which wait are not behind: that of the
// input before the first of them came.
type everyMark struct {
	wm    int64 // of the input, at the end of the last step
	at    int64 // when the interval of that step ends
	bound int64
}

var (
	_ Operator = (*every)(nil)
	_ Ticker   = (*every)(nil)
	_ Stepper  = (*every)(nil)
	_ Restorer = (*every)(nil)
)

func newEvery(n *plan.Node, b *builder, worker int) (Operator, error) {
	if n.Interval <= 0 {
		return nil, sqlerr.New(sqlerr.InvalidParameter, "the interval of EMIT EVERY must be positive")
	}
	e := &every{n: n, step: b.step}
	e.mark = everyMark{wm: NoWatermark, at: math.MinInt64, bound: NoWatermark}
	e.was = e.mark
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

// release is when a change of time now is let through: at the first multiple of
// the interval behind it, whatever else waits. So all workers let through what came
// before one moment, and nothing of what came since.
func (e *every) release(now int64) int64 {
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
	for rows := 0; e.step.ticks == 0 || rows < e.step.ticks; {
		ok, err := e.q.take(now, e.n.Out, &e.taken)
		if err != nil || !ok {
			return err
		}
		b := e.taken.b
		rows += b.N
		if allOnes(b.W) {
			b.W = nil
		}
		if err := out(b); err != nil {
			return err
		}
	}
	return nil
}

// Due is when what waits is let through.
func (e *every) Due() int64 {
	if e.q == nil {
		return never
	}
	return e.q.due()
}

// Advance moves the watermark of the output to what that of the input was when the
// first of the waiting rows came.
func (e *every) Advance(wm []int64, _ Emit) (int64, error) {
	in := inputTime(e.n, wm)
	if e.q == nil {
		return in, nil
	}
	m := &e.mark
	if at := e.release(e.step.ctx.Now); at > m.at {
		m.bound, m.at = m.wm, at
	}
	if m.wm = in; e.q.due() == never {
		return in, e.q.t.Err()
	}
	return m.bound, e.q.t.Err()
}

// Restore takes the watermark up after a restart.
func (e *every) Restore(wm []int64) {
	e.mark = everyMark{wm: inputTime(e.n, wm), at: math.MinInt64, bound: NoWatermark}
	if e.q != nil && e.q.due() != never {
		e.mark.at = e.q.due()
	}
	e.was = e.mark
}

// Commit and Rollback end a step.
func (e *every) Commit() { e.was = e.mark }

// Rollback undoes it.
func (e *every) Rollback() {
	if e.mark = e.was; e.q != nil {
		e.q.rollback()
	}
}
