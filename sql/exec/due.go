package exec

import (
	"math"

	"github.com/streamsql/streamsql/sql/plan"
)

// dueOp is an operator that asks for a step when the clock reaches a time: a
// Ticker, or a Waiter of which every watermark is the clock.
type dueOp struct {
	tick Ticker
	wait Waiter
}

// findDue lists what Due has to ask.
func (d *Dataflow) findDue() {
	clocked := make([]bool, len(d.nodes)) // the node's watermark is the clock
	for i, n := range d.nodes {
		timed, all := false, true // inputs that have a time
		for k, in := range n.Inputs {
			if in.Time != 0 {
				timed, all = true, all && clocked[d.inputs[i][k]]
			}
		}
		fed := timed && all || n.Clock && n.Op != plan.Scan
		clocked[i] = n.Clock || n.Time != 0 && fed
		for _, w := range d.workers {
			op := w.insts[i].op
			if t, ok := op.(Ticker); ok {
				d.due = append(d.due, dueOp{tick: t})
			}
			if x, ok := op.(Waiter); ok && fed {
				d.due = append(d.due, dueOp{wait: x})
			}
		}
	}
}

// Due returns the time of the clock, in µs, at which the answer may change by
// itself: the next step is wanted then, with or without input. math.MaxInt64:
// never. It is called between steps.
func (d *Dataflow) Due() int64 {
	t := int64(math.MaxInt64)
	for _, x := range d.due {
		if x.tick != nil {
			t = min(t, x.tick.Due())
		} else {
			t = min(t, x.wait.NextClose())
		}
	}
	return t
}

// Filling says whether the steps that follow read history: EMIT EVERY then lets
// everything through at once.
func (d *Dataflow) Filling(on bool) { d.step.filling = on }

// TickRows bounds how many due rows each operator takes in the steps that follow,
// about; 0: all of them. What is left is due at once: Due is not above the clock.
func (d *Dataflow) TickRows(n int) { d.step.ticks = n }

// Timed tells whether the answer depends on the clock.
func (d *Dataflow) Timed() bool {
	for _, n := range d.nodes {
		if n.Clock {
			return true
		}
	}
	return len(d.due) > 0
}
