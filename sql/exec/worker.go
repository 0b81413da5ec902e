package exec

import (
	"fmt"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/streamsql/streamsql/sql/delta"
	"github.com/streamsql/streamsql/sql/plan"
	"github.com/streamsql/streamsql/sql/sqlerr"
	"github.com/streamsql/streamsql/state"
)

// worker is one worker's instances of all operators. Its fields are used by one
// goroutine at a time.
type worker struct {
	d      *Dataflow
	id     int
	insts  []*inst  // by node position
	inbox  [][]item // by level: what waits to be delivered
	checks int
	wm     []int64 // watermark of each node's output

	cur  *inst // the instance that runs
	last int64 // when it began to, or was returned to

	asked int64        // when Options.Check was asked
	grown atomic.Int64 // what it was told of this worker

	queued int64        // bytes in the outboxes of this worker's exchanges
	held   atomic.Int64 // bytes of state and outboxes, in Batch; else of outboxes
}

// item is a batch on its way to an instance: as the input of a scan, or as the
// output of an exchange.
type item struct {
	to    *inst
	b     *delta.Batch
	input bool
}

// inst is one worker's operator in its place.
type inst struct {
	w    *worker
	node *plan.Node
	op   Operator
	emit Emit
	outs []reader
	root bool
	wmIn []int64
	// clocked: the watermark of its inputs is the clock, whatever they say.
	clocked bool

	tables []table
	subs   uint // their numbers, as bits

	rowsIn, rowsOut, batches, nanos, lateRows int64
}

// reader is an input of an instance.
type reader struct {
	to *inst
	in int
}

// table is what exec needs to know of a state table.
type table interface {
	Len() int
	Bytes() int64
	Grown() int64
}

// ownTables calls fn with the tables that the dataflow has to step itself: those
// that no States gave it.
func (d *Dataflow) ownTables(fn func(t state.Table)) {
	if d.opts.States != nil {
		return
	}
	for _, w := range d.workers {
		for _, x := range w.insts {
			for _, t := range x.tables {
				if t, ok := t.(state.Table); ok {
					fn(t)
				}
			}
		}
	}
}

func (d *Dataflow) addWorker(b *builder, id int) error {
	w := &worker{d: d, id: id, inbox: make([][]item, d.levels+1), wm: make([]int64, len(d.nodes))}
	d.workers = append(d.workers, w)
	for i, n := range d.nodes {
		x := &inst{w: w, node: n, root: i == len(d.nodes)-1, wmIn: make([]int64, max(1, len(n.Inputs)))}
		x.clocked = n.Clock && n.Op != plan.Scan
		x.emit = x.emitBatch
		w.insts = append(w.insts, x)
		w.wm[i] = NoWatermark
		for in, p := range d.inputs[i] {
			w.insts[p].outs = append(w.insts[p].outs, reader{x, in})
		}
		b.cur = x
		op, err := newOperator(n, b, id)
		if err != nil {
			return err
		}
		x.op = op
	}
	return nil
}

// enter and leave attribute the time to the instance that runs.
func (w *worker) enter(x *inst) *inst {
	now := int64(time.Since(w.d.clock))
	prev := w.cur
	if prev != nil {
		prev.nanos += now - w.last
	}
	w.cur, w.last = x, now
	return prev
}

func (w *worker) leave(prev *inst) {
	now := int64(time.Since(w.d.clock))
	if w.cur != nil {
		w.cur.nanos += now - w.last
	}
	w.cur, w.last = prev, now
}

// guard turns a panic into an error.
func (w *worker) guard(fn func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = panicError(r, w.cur)
		}
		w.cur = nil
	}()
	return fn()
}

func panicError(r any, x *inst) error {
	where := "building the dataflow"
	if x != nil {
		where = fmt.Sprintf("operator %d, %s", x.node.ID, opName(x.node))
	}
	return sqlerr.New(sqlerr.Internal, "internal error in %s: %v", where, r).WithDetail("%s", debug.Stack())
}

// apply hands b to the instance's input in.
func (x *inst) apply(in int, b *delta.Batch) error {
	prev := x.w.enter(x)
	x.rowsIn += int64(b.N)
	x.batches++
	err := x.op.Apply(in, b, x.emit)
	x.w.leave(prev)
	return err
}

// emitBatch hands b to all that read the instance.
func (x *inst) emitBatch(b *delta.Batch) error {
	if b.N == 0 {
		return nil
	}
	if b.N > delta.MaxRows {
		for from := 0; from < b.N; from += delta.MaxRows {
			if err := x.emitBatch(sliceBatch(b, from, min(b.N, from+delta.MaxRows))); err != nil {
				return err
			}
		}
		return nil
	}
	x.rowsOut += int64(b.N)
	if err := x.w.check(); err != nil {
		return err
	}
	for _, o := range x.outs {
		if err := o.to.apply(o.in, b); err != nil {
			return err
		}
	}
	if !x.root || x.w.d.opts.Output == nil {
		return nil
	}
	prev := x.w.enter(nil)
	err := x.w.d.output(b)
	x.w.leave(prev)
	return err
}

func (d *Dataflow) output(b *delta.Batch) error {
	if len(d.workers) > 1 {
		d.outMu.Lock()
		defer d.outMu.Unlock()
	}
	return d.opts.Output(b)
}

// Options.Check is called when so many batches, or so much time, have gone by.
const (
	checkEvery = 16
	checkAfter = 10 * time.Millisecond
)

// ask calls Options.Check.
func (w *worker) ask() error {
	w.checks, w.asked = 0, w.last
	w.grown.Store(w.growth())
	n := int64(0)
	for _, v := range w.d.workers {
		n += v.grown.Load()
	}
	return w.d.opts.Check(n)
}

// growth is by how many bytes the worker's state has grown in this step, with what
// its exchanges and operators hold.
func (w *worker) growth() int64 {
	n := w.queued
	for _, x := range w.insts {
		for _, t := range x.tables {
			n += t.Grown()
		}
		if h, ok := x.op.(waiter); ok {
			n += h.waiting()
		}
	}
	return n
}

// check ends the step when it was cancelled or holds too much.
func (w *worker) check() error {
	o := &w.d.opts
	if w.checks++; o.Check != nil && !o.Batch && (w.checks >= checkEvery || w.last-w.asked > int64(checkAfter)) {
		if err := w.ask(); err != nil {
			return err
		}
	}
	if err := o.stopped(); err != nil {
		return err
	}
	if o.Limit <= 0 {
		return nil
	}
	n := w.queued
	if o.Batch {
		for _, x := range w.insts {
			for _, t := range x.tables {
				n += t.Bytes()
			}
			if h, ok := x.op.(Holder); ok {
				n += h.Held()
			}
		}
	}
	w.held.Store(n)
	total := int64(0)
	for _, v := range w.d.workers {
		total += v.held.Load()
	}
	if total <= o.Limit {
		return nil
	}
	e := sqlerr.New(sqlerr.OutOfMemory, "out of memory").
		WithDetail("The operators hold %d bytes; the limit is %d.", total, o.Limit)
	if o.Batch {
		return e.WithHint("Read less at a time, or raise the memory that a statement may use.")
	}
	return e.WithHint("Rows in flight between workers are more than the budget allows; look for a join that multiplies rows.")
}

// stopped is why a step is to end at once.
func (o *Options) stopped() error {
	if o.Done != nil {
		select {
		case <-o.Done:
			return sqlerr.New(sqlerr.QueryCanceled, "canceling statement due to user request")
		default:
		}
	}
	if o.Stop != nil {
		return o.Stop()
	}
	return nil
}

// run works off what waits at level l.
func (w *worker) run(l int, finish bool) error {
	items := w.inbox[l]
	w.inbox[l] = nil
	for i, it := range items {
		var err error
		if it.input {
			err = it.to.apply(0, it.b)
		} else {
			err = it.to.emitBatch(it.b)
		}
		if err != nil {
			return err
		}
		items[i] = item{}
	}
	if !finish {
		return nil
	}
	// An operator's watermark moves right behind its Finish: what closing its
	// groups emits then reaches the next operators before they finish.
	for i, x := range w.insts {
		if w.d.level[i] != l {
			continue
		}
		prev := w.enter(x)
		if err := x.op.Finish(x.emit); err != nil {
			return err
		}
		if t, ok := x.op.(Ticker); ok {
			if err := t.Tick(w.d.step.ctx.Now, x.emit); err != nil {
				return err
			}
		}
		in := w.inputWatermarks(i)
		if x.clocked {
			for k := range in {
				in[k] = w.d.step.ctx.Now
			}
		}
		wm, err := x.op.Advance(in, x.emit)
		if err != nil {
			return err
		}
		if x.clocked && wm == NoWatermark {
			wm = w.d.step.ctx.Now
		}
		w.wm[i] = max(w.wm[i], wm)
		w.leave(prev)
	}
	return nil
}

// inputWatermarks returns the watermarks of the inputs of the node at position
// i; a scan has one, its relation's.
func (w *worker) inputWatermarks(i int) []int64 {
	x := w.insts[i]
	for in, p := range w.d.inputs[i] {
		x.wmIn[in] = w.wm[p]
	}
	if len(w.d.inputs[i]) == 0 {
		x.wmIn[0] = w.d.wm[i]
	}
	return x.wmIn
}

// reset throws away what is on its way.
func (w *worker) reset(wm []int64) {
	for l := range w.inbox {
		w.inbox[l] = nil
	}
	for _, x := range w.insts {
		if e, ok := x.op.(*exchange); ok {
			e.reset()
		}
	}
	w.queued = 0
	w.held.Store(0)
	w.grown.Store(0)
	w.cur = nil
	copy(w.wm, wm)
}

// deliver puts what the worker's exchanges hold into the inboxes of those it is
// for. No worker runs.
func (w *worker) deliver() {
	for i, x := range w.insts {
		e, ok := x.op.(*exchange)
		if !ok {
			continue
		}
		for to, bs := range e.outbox {
			v := w.d.workers[to]
			for _, b := range bs {
				v.inbox[w.d.level[i]+1] = append(v.inbox[w.d.level[i]+1], item{to: v.insts[i], b: b})
			}
			e.outbox[to] = nil
		}
	}
	w.queued = 0
}

// tableErr returns the first failure of a table of the worker's own.
func (w *worker) tableErr() error {
	for _, x := range w.insts {
		for _, t := range x.tables {
			if t, ok := t.(state.Table); ok && t.Err() != nil {
				return t.Err()
			}
		}
	}
	return nil
}
