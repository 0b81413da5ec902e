package exec

import (
	"github.com/streamsql/streamsql/sql/delta"
	"github.com/streamsql/streamsql/sql/expr"
	"github.com/streamsql/streamsql/sql/plan"
	"github.com/streamsql/streamsql/state"
)

// NoWatermark is the watermark of an input that has none yet.
const NoWatermark = -1 << 63

// Emit hands a batch of at most delta.MaxRows rows to what comes next. The
// batch is not changed any more. An error ends the step.
type Emit func(b *delta.Batch) error

// Operator is one worker's part of a node of the plan. Its methods are called
// by one goroutine at a time: in a step Apply any number of times, in any order
// of the inputs; then, when everything before it has finished, Finish; then
// Advance.
type Operator interface {
	// Apply takes a change of input in and emits, now or at Finish, the change of
	// the output that follows from it.
	Apply(in int, b *delta.Batch, out Emit) error
	// Finish emits what the operator held back until the step's input was whole.
	Finish(out Emit) error
	// Advance moves the watermark of the inputs: wm has one entry per input, and
	// none goes back. What it closes is emitted. It returns the watermark of the
	// output.
	Advance(wm []int64, out Emit) (int64, error)
}

// Ticker is an Operator whose answer changes with the clock alone: temporal
// filters, EMIT EVERY. Tick is called once a step, between Finish and Advance,
// and emits what the step's clock, now, has brought. Due, called between steps,
// returns when it wants the next step, in µs of the clock; math.MaxInt64: never.
type Ticker interface {
	Tick(now int64, out Emit) error
	Due() int64
}

// Waiter is an Operator with something that waits for the watermark. NextClose,
// called between steps, returns the least watermark of its inputs at which
// Advance has something to do; math.MaxInt64: nothing waits. Where the watermark
// is the clock, a step is made for it.
type Waiter interface {
	NextClose() int64
}

// Starter is an Operator with an answer before any input (VALUES, an aggregate
// without keys). Start is called in the first step of a fresh dataflow, of
// worker 0's part alone, before any Finish.
type Starter interface {
	Start(out Emit) error
}

// Stepper is an Operator that keeps something outside its state tables from one
// step to the next. Commit and Rollback end a step.
type Stepper interface {
	Commit()
	Rollback()
}

// Restorer is an Operator that remembers the watermarks of its inputs: Restore
// tells them after a restart, in place of Advance. Entries may be NoWatermark.
type Restorer interface {
	Restore(wm []int64)
}

// Holder is an Operator that holds memory outside its state tables. Held is
// called by the worker's goroutine, about once a batch.
type Holder interface {
	Held() int64 // bytes
}

// waiter is an operator that holds input back until the step's end.
type waiter interface {
	waiting() int64 // bytes
}

// States makes the state tables of a dataflow. Tables are named by their node
// and a number below plan-wide SubTables, so that they are found again after a
// restart; the owner begins, commits, captures and evicts them.
type States interface {
	// Tree and Hash return worker's part of the table sub of node. Their keys
	// begin with the key group, one byte.
	Tree(node, sub, worker int) *state.Tree
	Hash(node, sub, worker int, o state.HashOptions) *state.Hash
}

// SubTables is the number of state tables a node may have.
const SubTables = 16

// LateRows are rows that came behind the watermark of an operator that had
// closed their window.
type LateRows struct {
	Node      int          // of the plan
	Rows      *delta.Batch // of the node's input
	Columns   []plan.Column
	TimeCol   int   // of Rows: the event time, or the end of the row's window
	Watermark int64 // µs
	// Windows is how many windows each row missed; it may be in others. nil: one.
	Windows []int32
}

// Options say how a dataflow is built and what it is given.
type Options struct {
	Env     *expr.Env
	Workers int    // at least 1
	Batch   bool   // run once over a snapshot: inputs are insert-only, state is thrown away
	States  States // nil in Batch: tables of its own
	// Output takes the change of the root; it is called by one goroutine at a
	// time. In Batch it may return ErrDone to end the run.
	Output Emit
	// Late takes late rows; nil: they are dropped (Batch).
	Late func(LateRows) error
	// Limit bounds the bytes in flight between workers, and in Batch those of the
	// state; 0: no bound. Beyond it the step fails with 53200.
	Limit int64
	// Done, when closed, cancels the step with 57014. It is looked at once a
	// batch; nil: never.
	Done <-chan struct{}
	// Stop, when not nil, is asked often, by any worker, and within a batch by what may
	// take long, whether the step is to end: its error is then the step's. It must be
	// safe for several goroutines.
	Stop func() error
	// Check, when not nil, is asked every few batches, of any operator, and every few
	// milliseconds whether the step may go on; not in Batch. grown is by how many
	// bytes the state has grown in this step and what waits between workers. Any
	// worker asks: it must be safe for several goroutines.
	Check func(grown int64) error
}
