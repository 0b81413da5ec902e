package engine

import (
	"cmp"
	"slices"
	"sync/atomic"
	"time"

	"github.com/streamsql/streamsql/checkpoint"
	"github.com/streamsql/streamsql/sql/sqlerr"
	"github.com/streamsql/streamsql/state"
)

// storeOptions are those of the store of checkpoints: its caches keep to the memory
// limit too.
func (e *Engine) storeOptions() checkpoint.StoreOptions {
	const most = 64 << 20
	return checkpoint.StoreOptions{
		FS:            e.opts.FS,
		CacheBytes:    max(16<<20, min(e.opts.MemoryLimit/16, most)), // below, even filters and indexes do not fit
		MemTableBytes: uint64(max(4<<20, min(e.opts.MemoryLimit/32, most))),
	}
}

// checkMemory looks at the tables every now and then and keeps the state within
// the memory limit. With a data directory clean entries are evicted, the largest
// tables first; what is dirty has to be made durable before. Without one the
// largest job has to end.
func (e *Engine) checkMemory() {
	start := time.Now()
	if e.grown == 0 && e.taken == 0 || e.grown < 1<<15 && e.taken < e.opts.MemoryLimit/32 && start.Sub(e.lastMemory) < max(20*time.Millisecond, 10*e.memoryTook) {
		return
	}
	e.grown, e.taken = 0, 0
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
	e.limitPins(pinned, e.readersMost())
	used += pinned
	if e.ck != nil {
		used += e.ck.dirty // the batch that is being written
	}
	e.used, e.dirty = used, dirty
	if e.store == nil {
		if used > e.opts.MemoryLimit {
			e.endLargest()
		}
		return
	}
	if dirty > e.opts.MemoryLimit/8 { // its pages and its log of changes: twice that
		e.urgent = true
	}
	// What a step takes must find room above it.
	high := e.opts.MemoryLimit / 4 * 3
	if used <= high {
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
	need := used - high/10*9
	for _, t := range tables {
		if need <= 0 {
			break
		}
		n := t.Evict(min(need, t.Bytes()))
		need -= n
		e.used -= n
	}
	if need > 0 && dirty > 0 {
		e.urgent = true
	}
	if e.used > e.opts.MemoryLimit { // perhaps for what readers hold
		for _, r := range e.relations {
			for _, a := range r.all() {
				pinned += a.tree.Kept()
			}
		}
		e.limitPins(pinned, e.readersMost())
	}
}

// budget bounds what a step adds to the memory, until it can be made durable and
// evicted: the rows on their way and the state that grows. Workers ask it.
type budget struct {
	e     *Engine
	j     *job
	limit int64 // bytes that are left to the job
	out   atomic.Int64
	told  atomic.Int64 // growth of the state, as last heard
	long  atomic.Bool  // it was said that the step takes long
	start time.Time
	most  time.Duration        // that the part may take; 0: no bound
	write bool                 // it is a step of clients' writes
	why   atomic.Pointer[stop] // it has ended the job's part
}

const (
	leastBudget = 16 << 20        // bytes that a step may take under any limit
	longStep    = 5 * time.Second // when the log is told
	longCut     = 2 * time.Second // after which a step of many rows is made smaller
	longChunk   = time.Second     // and a chunk
)

// stepShare is what a step may take.
func (e *Engine) stepShare() int64 { return max(e.opts.MemoryLimit/4, leastBudget) }

// readersMost is what may be held for readers alone: the pages that a step changes
// under one at least, but where nothing can be evicted it must not cost a job.
func (e *Engine) readersMost() int64 {
	if e.store == nil {
		return e.opts.MemoryLimit / 4
	}
	return e.stepShare()
}

// stepBudget is how many bytes a step may take. With a data directory that is what
// dirty state leaves: see checkMemory.
func (e *Engine) stepBudget() int64 {
	if e.store != nil {
		return e.stepShare()
	}
	return max(e.opts.MemoryLimit-e.used, e.opts.MemoryLimit/8)
}

func (e *Engine) newBudget(j *job, grown int64) *budget {
	a := e.running.Load()
	return &budget{e: e, j: j, limit: e.stepBudget() - grown, start: time.Now(), most: e.most, write: a != nil && len(a.in.writes) > 0}
}

// spent is what the job's part has taken.
func (b *budget) spent() int64 {
	n := b.out.Load() + b.j.tables.grown()
	if b.j.rel != nil {
		n += b.j.rel.grown()
	}
	return n
}

// spend counts output.
func (b *budget) spend(n int64) error {
	b.out.Add(n)
	return b.held()
}

// look takes the growth of the state; an error ends the job's part.
func (b *budget) look(grown int64) error {
	b.told.Store(grown)
	if err := b.stopped(); err != nil {
		return err
	}
	return b.held()
}

func (b *budget) held() error {
	out, grown := b.out.Load(), b.told.Load()
	if b.j.rel != nil {
		grown += b.j.rel.grown()
	}
	if out+grown <= b.limit {
		return nil
	}
	return b.end(&stop{kind: stopMemory, job: b.j, err: sqlerr.New(sqlerr.OutOfMemory, "out of memory").
		WithDetail("A step of %s %q came to %d bytes of rows and %d bytes of state; it may take %d.", b.j.obj.Kind, b.j.obj.Name, out, grown, b.limit).
		WithHint("A join with too few conditions multiplies its inputs. --memory sets the limit.")})
}

// stopped tells whether someone wants the job's part to end.
func (b *budget) stopped() error {
	if s := b.e.stopNow(b.j); s != nil {
		return b.end(s)
	}
	d := time.Since(b.start)
	if b.most > 0 && d > b.most {
		return b.end(&stop{kind: stopSlow, job: b.j, err: sqlerr.New(sqlerr.Internal, "the step of %q takes long", b.j.obj.Name)})
	}
	if most := b.e.opts.StepTimeout; most > 0 && d > most {
		err := sqlerr.New(sqlerr.QueryCanceled, "a step of %s %q took longer than %s", b.j.obj.Kind, b.j.obj.Name, most).
			WithHint("Everything else waits for a step. A join with too few conditions multiplies its inputs. --step-timeout sets the limit.")
		if b.write { // it is the statement that goes, as where it wants too much memory
			return b.end(&stop{kind: stopMemory, job: b.j, err: err})
		}
		return err
	}
	if d > longStep && b.long.CompareAndSwap(false, true) {
		b.e.opts.Log.Warn("a step takes long; everything else waits for it", "job", b.j.obj.Name, "seconds", d.Seconds())
	}
	return nil
}

func (b *budget) end(s *stop) error {
	b.why.CompareAndSwap(nil, s)
	return s
}

// full tells whether what makes state has to wait for a checkpoint, which lets
// dirty state be evicted: sources, backfills, writers.
func (e *Engine) full() bool {
	if e.store == nil || e.ck == nil && !e.urgent {
		return false
	}
	return e.dirty > e.opts.MemoryLimit/4 || e.used > e.opts.MemoryLimit/8*7
}

// stepsHeld tells whether sources have to wait: for a checkpoint, as too much
// state is dirty, or for a sink that is behind.
func (e *Engine) stepsHeld() bool {
	if e.full() {
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
