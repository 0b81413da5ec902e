package exec

import (
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/streamsql/streamsql/sql/delta"
	"github.com/streamsql/streamsql/sql/expr"
	"github.com/streamsql/streamsql/sql/plan"
	"github.com/streamsql/streamsql/sql/sqlerr"
	"github.com/streamsql/streamsql/state"
)

// ErrDone, returned by Options.Output, says that no more rows are wanted. Push
// and Finish return it as it is.
var ErrDone = errors.New("exec: no more rows wanted")

// pumpBytes is how much input is held back for the workers before they run.
const pumpBytes = 4 << 20

// inlineRows is the size of a step up to which starting goroutines costs more
// than it gains.
const inlineRows = 1024

// Dataflow is a plan that runs. It is driven by one goroutine:
//
//	Begin, Push…, Advance…, Finish     then Commit or Rollback
//
// An error of Push or Finish ends the step: the owner rolls back the state
// tables and calls Rollback. With several workers it runs goroutines of its own
// between Push and the end of Finish only.
type Dataflow struct {
	opts    Options
	nodes   []*plan.Node // by position: each once, inputs first
	at      map[int]int  // node ID to position
	inputs  [][]int      // positions
	level   []int        // the number of exchanges before a node
	levels  int
	workers []*worker
	step    stepInfo

	wm, committed []int64 // watermark of each node's output: of this step, of the last one
	due           []dueOp // what asks for steps of its own
	started       bool    // a first step was committed
	starting      bool    // this step has delivered what is there without input

	next     int   // worker that gets the next batch
	waiting  int64 // bytes of input held back
	stepRows int
	outMu    sync.Mutex
	lateMu   sync.Mutex
	clock    time.Time // Nanos are taken from it
}

// stepInfo is what operators know of the running step.
type stepInfo struct {
	ctx     *expr.Context
	seq     uint64 // counts the steps
	filling bool   // what is read is history: EMIT EVERY holds nothing back
	ticks   int    // rows that a Ticker takes at most, about; 0: all that are due
}

// Build makes a dataflow. Errors are internal: a plan that the planner made can
// be built. Nodes with the same ID are one node with several readers.
func Build(root *plan.Node, o Options) (d *Dataflow, err error) {
	if o.Workers < 1 {
		o.Workers = 1
	}
	if o.Workers > KeyGroups {
		o.Workers = KeyGroups
	}
	defer func() {
		if r := recover(); r != nil {
			d, err = nil, panicError(r, nil)
		}
	}()
	d = &Dataflow{opts: o, at: map[int]int{}, clock: time.Now()}
	if err := d.layout(root); err != nil {
		return nil, err
	}
	b := &builder{opts: o, d: d, step: &d.step}
	b.findPanes()
	b.findSessions()
	for id := range o.Workers {
		if err := d.addWorker(b, id); err != nil {
			return nil, err
		}
	}
	d.wm = make([]int64, len(d.nodes))
	for i := range d.wm {
		d.wm[i] = NoWatermark
	}
	d.committed = slices.Clone(d.wm)
	d.findDue()
	return d, nil
}

// layout gives every node its position and level.
func (d *Dataflow) layout(n *plan.Node) error {
	if i, ok := d.at[n.ID]; ok {
		if i < 0 {
			return sqlerr.New(sqlerr.Internal, "the plan's node %d reads itself", n.ID)
		}
		if d.nodes[i].Op != n.Op {
			return sqlerr.New(sqlerr.Internal, "two nodes of the plan have the number %d", n.ID)
		}
		return nil
	}
	d.at[n.ID] = -1
	var ins []int
	level := 0
	for _, in := range n.Inputs {
		if err := d.layout(in); err != nil {
			return err
		}
		i := d.at[in.ID]
		ins = append(ins, i)
		l := d.level[i]
		if in.Op == plan.Exchange && d.opts.Workers > 1 {
			l++
		}
		level = max(level, l)
	}
	d.at[n.ID] = len(d.nodes)
	d.nodes = append(d.nodes, n)
	d.inputs = append(d.inputs, ins)
	d.level = append(d.level, level)
	d.levels = max(d.levels, level+1)
	if n.Op == plan.Exchange && d.opts.Workers > 1 {
		d.levels = max(d.levels, level+2) // its rows arrive a level later, be it the root
	}
	return nil
}

// Scans returns the plan's Scan nodes: what Push and Advance can name.
func (d *Dataflow) Scans() []*plan.Node {
	var out []*plan.Node
	for _, n := range d.nodes {
		if n.Op == plan.Scan {
			out = append(out, n)
		}
	}
	return out
}

// Begin starts a step. ctx holds still until its end. The first step also
// delivers the plan's Values and the answers that exist without input
// (an aggregate without keys).
func (d *Dataflow) Begin(ctx *expr.Context) {
	if ctx == nil {
		ctx = &expr.Context{}
	}
	c := *ctx
	c.Stop = d.opts.stopped
	if random := ctx.Random; d.opts.Workers > 1 && random != nil {
		var mu sync.Mutex
		c.Random = func() float64 {
			mu.Lock()
			defer mu.Unlock()
			return random()
		}
	}
	ctx = &c
	d.step.ctx = ctx
	d.step.seq++
	d.stepRows = 0
	d.starting = false
	d.ownTables(state.Table.Begin)
}

// scan returns the position of a Scan node.
func (d *Dataflow) scan(n *plan.Node) (int, error) {
	if i, ok := d.at[n.ID]; ok && d.nodes[i].Op == plan.Scan {
		return i, nil
	}
	return 0, sqlerr.New(sqlerr.Internal, "node %d is not a scan of this plan", n.ID)
}

// Push hands a change of scan's relation to the dataflow: a batch of at most
// delta.MaxRows rows with the relation's columns that the Scan node names,
// in its order.
func (d *Dataflow) Push(scan *plan.Node, b *delta.Batch) error {
	i, err := d.scan(scan)
	if err != nil {
		return err
	}
	if len(b.Cols) != len(scan.Out) {
		return sqlerr.New(sqlerr.Internal, "the scan of node %d got %d columns, not %d", scan.ID, len(b.Cols), len(scan.Out))
	}
	if b.N == 0 {
		return nil
	}
	d.stepRows += b.N
	if len(d.workers) == 1 {
		w := d.workers[0]
		return w.guard(func() error { return w.insts[i].apply(0, b) })
	}
	w := d.workers[d.next]
	d.next = (d.next + 1) % len(d.workers)
	n := batchBytes(b)
	w.inbox[d.level[i]] = append(w.inbox[d.level[i]], item{to: w.insts[i], b: b, input: true})
	if d.waiting += n; d.waiting < pumpBytes {
		return nil
	}
	return d.run(false)
}

// Advance says that the watermark of scan's relation is wm (µs, in the time
// column's unit) from the end of this step on.
func (d *Dataflow) Advance(scan *plan.Node, wm int64) {
	if i, err := d.scan(scan); err == nil {
		d.wm[i] = max(d.wm[i], wm)
	}
}

// Finish runs the step to its end: what was held back, then the watermarks.
func (d *Dataflow) Finish() error {
	if !d.started && !d.starting {
		d.starting = true
		w := d.workers[0]
		err := w.guard(func() error {
			for _, x := range w.insts {
				if s, ok := x.op.(Starter); ok {
					prev := w.enter(x)
					if err := s.Start(x.emit); err != nil {
						return err
					}
					w.leave(prev)
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	if err := d.run(true); err != nil {
		return err
	}
	for i := range d.nodes {
		d.wm[i] = d.workers[0].wm[i]
		for _, w := range d.workers[1:] {
			d.wm[i] = min(d.wm[i], w.wm[i])
		}
	}
	if d.opts.States == nil {
		for _, w := range d.workers {
			if err := w.tableErr(); err != nil {
				return err
			}
		}
	}
	return nil
}

// run has the workers work off what waits, level by level; with finish they
// also finish their operators and move the watermarks.
func (d *Dataflow) run(finish bool) error {
	d.waiting = 0
	for l := range d.levels {
		var busy []*worker
		for _, w := range d.workers {
			if finish || len(w.inbox[l]) > 0 {
				busy = append(busy, w)
			}
		}
		if err := d.runLevel(busy, l, finish); err != nil {
			return err
		}
		for _, w := range d.workers {
			w.deliver()
		}
	}
	return nil
}

func (d *Dataflow) runLevel(busy []*worker, l int, finish bool) error {
	if len(busy) == 1 || d.stepRows < inlineRows {
		for _, w := range busy {
			if err := w.guard(func() error { return w.run(l, finish) }); err != nil {
				return err
			}
		}
		return nil
	}
	errs := make([]error, len(busy))
	var wg sync.WaitGroup
	for i, w := range busy {
		wg.Add(1)
		go func() {
			defer wg.Done()
			errs[i] = w.guard(func() error { return w.run(l, finish) })
		}()
	}
	wg.Wait()
	var first error
	for _, err := range errs {
		if err != nil && (first == nil || first == ErrDone) {
			first = err
		}
	}
	return first
}

// Commit ends a step that went well, Rollback one that is undone: what a
// dataflow keeps outside its state tables (watermarks, groups touched).
func (d *Dataflow) Commit() {
	d.started = true
	copy(d.committed, d.wm)
	d.ownTables(state.Table.Commit)
	for _, w := range d.workers {
		for _, x := range w.insts {
			if s, ok := x.op.(Stepper); ok {
				s.Commit()
			}
		}
	}
}

// Rollback undoes a step; see Commit.
func (d *Dataflow) Rollback() {
	copy(d.wm, d.committed)
	d.waiting = 0
	d.ownTables(state.Table.Rollback)
	for _, w := range d.workers {
		w.reset(d.wm)
		for _, x := range w.insts {
			if s, ok := x.op.(Stepper); ok {
				s.Rollback()
			}
		}
	}
}

// Watermark is that of the root's output.
func (d *Dataflow) Watermark() int64 { return d.wm[len(d.wm)-1] }

// Watermarks gives those of all nodes by ID, to be kept in a checkpoint;
// Restore takes them back after Build, with fresh false: then the first step
// does not deliver what it did once already.
func (d *Dataflow) Watermarks() map[int]int64 {
	out := make(map[int]int64, len(d.nodes))
	for i, n := range d.nodes {
		out[n.ID] = d.wm[i]
	}
	return out
}

// Restore is called between Build and the first Begin; see Watermarks.
func (d *Dataflow) Restore(wm map[int]int64) {
	for i, n := range d.nodes {
		if v, ok := wm[n.ID]; ok {
			d.wm[i] = v
		}
	}
	copy(d.committed, d.wm)
	d.started = true
	for _, w := range d.workers {
		w.reset(d.wm)
		for i, x := range w.insts {
			if r, ok := x.op.(Restorer); ok {
				in := w.inputWatermarks(i)
				if x.clocked {
					for k := range in {
						in[k] = d.wm[i]
					}
				}
				r.Restore(in)
			}
		}
	}
}

// OpStats is what an operator did so far.
type OpStats struct {
	Node            int
	Name            string // as EXPLAIN prints it
	RowsIn, RowsOut int64
	Batches         int64
	Nanos           int64 // in the operator itself, not in those it emits to
	StateBytes      int64
	StateRows       int64
	Watermark       int64
	LateRows        int64
	Stateful        bool // it has state tables
	Bounded         bool // its state does not grow for ever; see bounder
}

// Stats returns what each operator did, by node ID, over all workers.
func (d *Dataflow) Stats() []OpStats {
	out := make([]OpStats, len(d.nodes))
	for i, n := range d.nodes {
		s := OpStats{Node: n.ID, Name: opName(n), Watermark: d.wm[i], Bounded: true}
		for _, w := range d.workers {
			x := w.insts[i]
			if len(x.tables) > 0 {
				b, ok := x.op.(bounder)
				s.Stateful, s.Bounded = true, s.Bounded && ok && b.stateBounded()
			}
			s.RowsIn += x.rowsIn
			s.RowsOut += x.rowsOut
			s.Batches += x.batches
			s.Nanos += x.nanos
			s.LateRows += x.lateRows
			for _, t := range x.tables {
				s.StateBytes += t.Bytes()
				s.StateRows += int64(t.Len())
			}
			if h, ok := x.op.(Holder); ok {
				s.StateBytes += h.Held()
			}
		}
		out[i] = s
	}
	slices.SortFunc(out, func(a, b OpStats) int { return a.Node - b.Node })
	return out
}

var opNames = map[plan.Op]string{
	plan.Scan: "Scan", plan.Values: "Values", plan.Map: "Map", plan.Join: "Join", plan.Agg: "Aggregate",
	plan.Distinct: "Distinct", plan.Union: "Union", plan.Except: "Except", plan.TopN: "TopN", plan.Over: "Over",
	plan.Window: "Window", plan.Exchange: "Exchange", plan.Unnest: "Unnest",
	plan.Temporal: "Temporal Filter", plan.Every: "Emit Every", plan.Close: "Emit On Window Close",
}

// opName is a node's name in statistics and messages.
func opName(n *plan.Node) string {
	s, ok := opNames[n.Op]
	switch {
	case !ok:
		return string(n.Op)
	case n.Op == plan.Join && n.AsOf != nil:
		return joinNames[n.AsOf.Kind] + s + " (" + string(n.Kind) + ")"
	case n.Op == plan.Join && n.Bounds != nil:
		return "Interval " + s + " (" + string(n.Kind) + ")"
	case n.Op == plan.Join:
		return s + " (" + string(n.Kind) + ")"
	case n.Op == plan.Except && n.SetOp != "":
		return setOpNames[n.SetOp]
	}
	return s
}

var joinNames = map[string]string{"asof": "ASOF ", "event": "Temporal ", "proc": "Lookup "}

var setOpNames = map[string]string{"except": "Except", "intersect": "Intersect"}
