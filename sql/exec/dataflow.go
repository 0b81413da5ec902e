package exec

import (
	"errors"

	"github.com/streamsql/streamsql/sql/delta"
	"github.com/streamsql/streamsql/sql/expr"
	"github.com/streamsql/streamsql/sql/plan"
)

// ErrDone, returned by Options.Output, says that no more rows are wanted.
var ErrDone = errors.New("exec: no more rows wanted")

// Dataflow is a plan that runs. It is driven by one goroutine:
//
//	Begin, Push…, Advance…, Finish     then Commit or Rollback
//
// An error of Push or Finish ends the step: the owner rolls back the state
// tables and calls Rollback. With several workers it runs goroutines of its own
// between Push and the end of Finish only.
type Dataflow struct {
	// fields are the implementation's
}

// Build makes a dataflow. Errors are internal: a plan that the planner made can
// be built.
func Build(root *plan.Node, o Options) (*Dataflow, error) { panic("contract") }

// Scans returns the plan's Scan nodes: what Push and Advance can name.
func (d *Dataflow) Scans() []*plan.Node { panic("contract") }

// Begin starts a step. ctx holds still until its end. The first step also
// delivers the plan's Values and the answers that exist without input
// (an aggregate without keys).
func (d *Dataflow) Begin(ctx *expr.Context) { panic("contract") }

// Push hands a change of scan's relation to the dataflow: a batch of at most
// delta.MaxRows rows with the relation's columns that the Scan node names,
// in its order.
func (d *Dataflow) Push(scan *plan.Node, b *delta.Batch) error { panic("contract") }

// Advance says that the watermark of scan's relation is wm (µs, in the time
// column's unit) from the end of this step on.
func (d *Dataflow) Advance(scan *plan.Node, wm int64) { panic("contract") }

// Finish runs the step to its end: what was held back, then the watermarks.
func (d *Dataflow) Finish() error { panic("contract") }

// Commit ends a step that went well, Rollback one that is undone: what a
// dataflow keeps outside its state tables (watermarks, groups touched).
func (d *Dataflow) Commit()   { panic("contract") }
func (d *Dataflow) Rollback() { panic("contract") }

// Watermark is that of the root's output.
func (d *Dataflow) Watermark() int64 { panic("contract") }

// Watermarks gives those of all nodes by ID, to be kept in a checkpoint;
// Restore takes them back after Build, with fresh false: then the first step
// does not deliver what it did once already.
func (d *Dataflow) Watermarks() map[int]int64 { panic("contract") }
func (d *Dataflow) Restore(wm map[int]int64)  { panic("contract") }

// Stats returns what each operator did, by node ID, over all workers.
func (d *Dataflow) Stats() []OpStats { panic("contract") }
