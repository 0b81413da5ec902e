package engine

import (
	"cmp"
	"slices"
	"time"

	"github.com/streamsql/streamsql/sql/sqlerr"
	"github.com/streamsql/streamsql/state"
)

// checkMemory looks at the tables every now and then and keeps the state within
// the memory limit. With a data directory clean entries are evicted, the largest
// tables first; what is dirty has to be made durable before. Without one the
// largest job has to end.
func (e *Engine) checkMemory() {
	start := time.Now()
	if e.grown == 0 || e.grown < 1<<15 && start.Sub(e.lastMemory) < max(20*time.Millisecond, 10*e.memoryTook) {
		return
	}
	e.grown = 0
	defer func() { e.lastMemory, e.memoryTook = time.Now(), time.Since(start) }()
	used, dirty := int64(0), int64(0)
	e.eachTable(func(_ uint32, t state.Table) {
		used += t.Bytes()
		dirty += t.Dirty()
	})
	pinned := int64(0)
	for _, r := range e.relations {
		for _, a := range r.all() {
			pinned += a.tree.Pinned()
		}
	}
	e.limitPins(pinned, e.opts.MemoryLimit/4)
	used += pinned
	e.used, e.dirty = used, dirty
	if e.store == nil {
		if used > e.opts.MemoryLimit {
			e.endLargest()
		}
		return
	}
	if dirty > e.opts.MemoryLimit/4 {
		e.urgent = true
	}
	if used <= e.opts.MemoryLimit {
		return
	}
	e.grown = 1 // look again soon
	if time.Since(e.lastEvict) < 50*time.Millisecond {
		return
	}
	e.lastEvict = time.Now()
	var tables []state.Table
	e.eachTable(func(_ uint32, t state.Table) { tables = append(tables, t) })
	slices.SortFunc(tables, func(a, b state.Table) int { return cmp.Compare(b.Bytes(), a.Bytes()) })
	need := used - e.opts.MemoryLimit/10*9
	for _, t := range tables {
		if need <= 0 {
			break
		}
		need -= t.Evict(min(need, t.Bytes()))
	}
	if need > 0 && dirty > 0 {
		e.urgent = true
	}
}

// budget bounds what one job adds to the memory in one step: with a data
// directory half of the limit, as nothing can be evicted before the step's end.
type budget struct {
	limit  int64
	before int64 // of the job's tables
	out    int64 // bytes of its output so far
	next   int64 // of out: when to look at the tables again
	alone  bool  // one worker: while it puts rows out, nobody writes the tables
}

func (e *Engine) newBudget(j *job) budget {
	b := budget{limit: max(e.opts.MemoryLimit/2, leastBudget), before: j.bytes(), alone: e.opts.Workers == 1}
	if e.store == nil {
		b.limit = max(e.opts.MemoryLimit-e.used, e.opts.MemoryLimit/8)
	}
	return b
}

const (
	budgetStep  = 1 << 20  // bytes
	leastBudget = 32 << 20 // bytes that a step may take under any limit
)

// spend counts output; 53200 when the step has become too large.
func (b *budget) spend(j *job, n int64) error {
	if b.out += n; b.out < b.next {
		return nil
	}
	b.next = b.out + budgetStep
	return b.look(j)
}

// look compares what the step has taken with what it may take.
func (b *budget) look(j *job) error {
	var grown int64
	if b.alone {
		grown = j.bytes() - b.before
	}
	if grown+b.out <= b.limit {
		return nil
	}
	return sqlerr.New(sqlerr.OutOfMemory, "out of memory").
		WithDetail("A step of %s %q came to %d bytes of rows and %d bytes of state; it may take %d.", j.obj.Kind, j.obj.Name, b.out, grown, b.limit).
		WithHint("A join with too few conditions multiplies its inputs. --memory sets the limit.")
}

// bytes is the memory of a job's tables and its view's rows.
func (j *job) bytes() int64 {
	n := j.tables.bytes()
	if j.rel != nil {
		for _, a := range j.rel.all() {
			n += a.tree.Bytes()
		}
	}
	return n
}

// stepsHeld tells whether sources have to wait: for a checkpoint, as too much
// state is dirty, or for a sink that is behind.
func (e *Engine) stepsHeld() bool {
	if e.store != nil && e.dirty > e.opts.MemoryLimit/2 && (e.ck != nil || e.urgent) {
		return true
	}
	for _, j := range e.order {
		if j.sink != nil && j.active() && j.sink.full() {
			return true
		}
	}
	return false
}

// endLargest fails the job that holds the most memory, and lets its operators'
// state go. Its view stays readable.
func (e *Engine) endLargest() {
	var largest *job
	var size int64
	for _, j := range e.order {
		if n := j.tables.bytes(); j.active() && n > size {
			largest, size = j, n
		}
	}
	if largest == nil {
		return
	}
	e.fail(largest, sqlerr.New(sqlerr.OutOfMemory, "out of memory").
		WithDetail("The state takes %d bytes, of which this job's operators hold %d; the limit is %d.", e.used, size, e.opts.MemoryLimit).
		WithHint("With a data directory (--data) state that does not fit goes to disk."))
}
