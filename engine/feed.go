package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"github.com/streamsql/streamsql/connector"
	"github.com/streamsql/streamsql/sql/catalog"
	"github.com/streamsql/streamsql/sql/delta"
	"github.com/streamsql/streamsql/sql/expr"
	"github.com/streamsql/streamsql/sql/sqlerr"
	"github.com/streamsql/streamsql/sql/types"
)

// fetched is a run of consecutive records of one partition, ready for a step.
type fetched struct {
	part    int32
	first   int64 // of started: where the partition starts
	next    int64
	batch   *delta.Batch // the relation's columns; nil: no rows
	rows    int
	offsets []int64 // of the rows; nil: they are the last before next
	dead    []deadRow
	maxTime int64
	minTime int64
	atEnd   bool
	reset   string
	resumes int64 // with reset, in a bounded read: see connector.Fetch
	started bool  // tells where the partition starts; no records
}

// offset is that of row i.
func (x *fetched) offset(i int) int64 {
	if x.offsets != nil {
		return x.offsets[i]
	}
	return x.next - int64(x.batch.N) + int64(i)
}

// deadRow is an entry of <source>_dead_letters.
type deadRow struct {
	part   int32
	offset int64
	bytes  []byte
	reason string
}

// Bounds of what a reader has read ahead of the steps.
const (
	feedRows  = 2 * stepRows
	feedBytes = 64 << 20
)

// feed is a bounded queue from a reader to the loop.
type feed struct {
	e      *Engine
	ctx    context.Context
	cancel context.CancelFunc
	space  chan struct{}
	max    int64 // bytes
	step   int64 // of event time, µs, that a fetch may go on by at once; -1: any

	mu      sync.Mutex
	parts   map[int32]*feedPart
	fresh   bool // something came that take has not looked at
	items   []fetched
	rows    int
	bytes   int64
	end     bool
	err     error
	trouble func() error
	holder  connector.Holder // nil: the reader has none
	holding []int32          // the partitions that it holds
	// Bounds in place of the usual ones while what is queued must wait.
	wideRows  int
	wideBytes int64

	// What the last take took, which unget undoes.
	taken    []fetched
	takenEnd bool
	takenErr error
}

// feedPart is what the feed knows of a partition.
type feedPart struct {
	known bool // something of it was queued
	next  int64
	queue int // items
	// quiet is since when the reader finds nothing at the partition's end, and told
	// when it said so last, on the engine's clock; heard is told by the system's.
	// quiet 0: it is not so, or nobody knows.
	quiet, told int64
	heard       time.Time
}

func newFeed(e *Engine) *feed {
	f := &feed{e: e, step: -1, parts: map[int32]*feedPart{}, space: make(chan struct{}, 1), max: min(feedBytes, e.opts.MemoryLimit/16)}
	f.ctx, f.cancel = context.WithCancel(e.ctx)
	return f
}

func (f *feed) close() { f.cancel() }

// ready tells whether take has something to say.
func (f *feed) ready() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.fresh || f.end || f.err != nil
}

// part is the entry of a partition.
func (f *feed) part(p int32) *feedPart {
	x := f.parts[p]
	if x == nil {
		x = &feedPart{}
		f.parts[p] = x
	}
	return x
}

// note takes in what x says about its partition; true: it says nothing else that
// is new.
func (f *feed) note(x *fetched) (nothing bool) {
	p := f.part(x.part)
	if x.started || x.rows > 0 || len(x.dead) > 0 || !x.atEnd {
		p.quiet = 0
	} else {
		now, real := f.e.clock.now(), time.Now()
		if p.quiet == 0 || real.Sub(p.heard) > silence {
			p.quiet = now
		}
		p.told, p.heard = now, real
		nothing = p.known && p.next == x.next && x.reset == ""
	}
	p.known, p.next = true, x.next
	return nothing
}

// quietOf tells since when a partition has had nothing, and up to when the reader
// knows that, on the engine's clock. ok false: it has something, or nobody knows.
func (f *feed) quietOf(part int32, now int64) (since, until int64, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	p := f.parts[part]
	if p == nil || p.quiet == 0 || p.queue > 0 {
		return 0, 0, false
	}
	if until = now; time.Since(p.heard) > silence {
		until = p.told
	}
	return p.quiet, until, true
}

// nothing tells whether the reader says that a partition has nothing, and when it
// said so last.
func (f *feed) nothing(part int32) (quiet bool, heard time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	p := f.parts[part]
	if p == nil {
		return false, heard
	}
	return p.quiet != 0 && p.queue == 0, p.heard
}

// unquiet has the time that partitions have nothing counted anew.
func (f *feed) unquiet() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, p := range f.parts {
		p.quiet = 0
	}
}

// take returns fetches of about max rows. end and err come once, behind the last.
func (f *feed) take(max int) (items []fetched, end bool, err error) { return f.takeIf(max, nil) }

// takeIf is take of those for which ok returns true. It is asked for each in
// turn; having said no, it says no to all of that partition.
func (f *feed) takeIf(max int, ok func(*fetched) bool) (items []fetched, end bool, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n, rows := 0, 0
	var left []fetched
	for n < len(f.items) && rows < max {
		it := &f.items[n]
		n++
		if ok != nil && !ok(it) {
			left = append(left, *it)
			continue
		}
		rows += it.rows
		f.bytes -= it.size()
		p := f.part(it.part)
		if p.queue--; p.quiet != 0 && it.rows > 0 {
			p.quiet = f.e.clock.now() // what waited here was something
		}
		if left != nil {
			items = append(items, *it)
		} else {
			items = f.items[:n:n]
		}
	}
	f.fresh = n < len(f.items)
	f.taken, f.takenEnd, f.takenErr = items, false, nil
	f.items = f.items[n:]
	if len(left) > 0 {
		f.items = append(left, f.items...)
	}
	if len(f.items) == 0 {
		f.items = nil
		end, err = f.end, f.err
		f.takenEnd, f.takenErr = end, err
		f.end, f.err = false, nil
	}
	f.rows -= rows
	select {
	case f.space <- struct{}{}:
	default:
	}
	return items, end, err
}

// accept forgets what the last take took.
func (f *feed) accept() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.taken, f.takenEnd, f.takenErr = nil, false, nil
}

// unget puts back what the last take took.
func (f *feed) unget() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range f.taken {
		f.rows += f.taken[i].rows
		f.bytes += f.taken[i].size()
		f.part(f.taken[i].part).queue++
	}
	f.fresh = f.fresh || len(f.taken) > 0
	f.items = append(slices.Clone(f.taken), f.items...)
	f.end, f.err = f.end || f.takenEnd, cmp.Or(f.err, f.takenErr)
	f.taken, f.takenEnd, f.takenErr = nil, false, nil
}

// larger tells whether the next fetch has more than some rows.
func (f *feed) larger(rows int) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.items) > 0 && f.items[0].rows > rows
}

func (x *fetched) size() int64 {
	n := int64(128)
	if x.batch != nil {
		n += batchBytes(x.batch)
	}
	for _, d := range x.dead {
		n += int64(len(d.bytes)+len(d.reason)) + 64
	}
	return n
}

// put queues a fetch and waits while the queue is full.
func (f *feed) put(x fetched) error {
	f.mu.Lock()
	if f.note(&x) {
		f.mu.Unlock()
		f.e.poke() // there is another time to wake up at
		return f.ctx.Err()
	}
	f.fresh = true
	f.part(x.part).queue++
	f.items = append(f.items, x)
	f.rows += x.rows
	f.bytes += x.size()
	full := f.full()
	f.mu.Unlock()
	f.e.poke()
	for full {
		select {
		case <-f.space:
		case <-f.ctx.Done():
			return f.ctx.Err()
		}
		f.mu.Lock()
		full = f.full()
		f.mu.Unlock()
	}
	return nil
}

// full tells whether the reader must wait.
func (f *feed) full() bool {
	return f.rows >= max(feedRows, f.wideRows) || f.bytes >= max(f.max, f.wideBytes)
}

func (f *feed) finish(end bool, err error) {
	f.mu.Lock()
	f.end, f.err = end, err
	f.mu.Unlock()
	f.e.poke()
}

// run reads from the source until it ends, fails, or the feed is closed. from
// nil: from the start that its options say.
func (f *feed) run(conn connector.Source, cv *converter, from, until connector.Positions) {
	defer func() {
		if r := recover(); r != nil {
			f.e.opts.Log.Error("panic in a source", "source", cv.obj.Name, "panic", fmt.Sprint(r), "stack", string(debug.Stack()))
			f.finish(false, sqlerr.New(sqlerr.Internal, "internal error in source %q: %v", cv.obj.Name, r))
		}
	}()
	err := f.read(conn, cv, from, until)
	switch {
	case f.ctx.Err() != nil:
	case errors.Is(err, io.EOF):
		f.finish(true, nil)
	default:
		f.finish(false, err)
	}
}

func (f *feed) read(conn connector.Source, cv *converter, from, until connector.Positions) error {
	if from == nil {
		start, err := f.startPositions(conn)
		if err != nil {
			return err
		}
		for p, at := range start {
			if err := f.put(fetched{part: p, first: at, next: at, started: true}); err != nil {
				return err
			}
		}
		from = start
	}
	r, err := conn.Open(f.ctx, from, until)
	if err != nil {
		return err
	}
	defer func() { _ = r.Close() }()
	f.setReader(r)
	for {
		fs, err := r.Fetch(f.ctx, int(min(delta.MaxRows*4, max(1, f.e.fetchRows.Load()))))
		for _, x := range fs {
			y := cv.convert(x)
			items := []fetched{y}
			if f.step >= 0 && cv.time >= 0 {
				items = y.pieces(cv.time, f.step)
			}
			for _, it := range items {
				if perr := f.put(it); perr != nil {
					return perr
				}
			}
		}
		if err != nil {
			return err
		}
	}
}

// startPositions asks until the source answers: a broker that is away may come back.
func (f *feed) startPositions(conn connector.Source) (connector.Positions, error) {
	for wait := 100 * time.Millisecond; ; wait = min(wait*2, 5*time.Second) {
		p, err := conn.Start(f.ctx)
		if err == nil {
			return p, nil
		}
		f.mu.Lock()
		f.trouble = func() error { return err }
		f.mu.Unlock()
		f.e.opts.Log.Warn("a source does not tell where it starts", "error", err)
		select {
		case <-time.After(wait):
		case <-f.ctx.Done():
			return nil, f.ctx.Err()
		}
	}
}

// troubleText is what keeps the reader from reading.
func (f *feed) troubleText() string {
	f.mu.Lock()
	fn := f.trouble
	f.mu.Unlock()
	if fn == nil {
		return ""
	}
	if err := fn(); err != nil {
		return err.Error()
	}
	return ""
}

// readBounded reads a source from its start to its end as of now. A source
// without an end is read until fn has enough.
func (e *Engine) readBounded(ctx context.Context, o *catalog.Object, conn connector.Source, fn func(*delta.Batch) error) error {
	from, err := conn.Start(ctx)
	if err != nil {
		return err
	}
	until, err := conn.End(ctx)
	if err != nil {
		if sqlerr.From(err).Code != sqlerr.ObjectNotInState {
			return err
		}
		until = nil
	}
	cv, err := newConverter(o, e.currentCatalog().Env, &e.clock)
	if err != nil {
		return err
	}
	return readRange(ctx, conn, cv, from, until, func(f *fetched) error {
		if f.batch == nil {
			return nil
		}
		return fn(f.batch)
	})
}

// readRange reads a source between two positions; until nil: to its end, if it has
// one, or until fn has enough.
func readRange(ctx context.Context, conn connector.Source, cv *converter, from, until connector.Positions, fn func(*fetched) error) error {
	r, err := conn.Open(ctx, from, until)
	if err != nil {
		return err
	}
	defer func() { _ = r.Close() }()
	for {
		fs, err := r.Fetch(ctx, delta.MaxRows)
		for _, x := range fs {
			f := cv.convert(x)
			if err := fn(&f); err != nil {
				return err
			}
		}
		if ctx.Err() != nil {
			return ctxError(ctx)
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// failedRow is the row that an evaluation failed at.
func failedRow(err error, n int) (int, bool) {
	var ee *expr.EvalError
	if errors.As(err, &ee) && ee.Row >= 0 && ee.Row < n {
		return ee.Row, true
	}
	return 0, false
}

// cloneVec copies what a program returned, which it will write over, under the
// column's own type.
func cloneVec(v *delta.Vec, c catalog.Column) *delta.Vec {
	out := delta.NewVec(c.Type, v.N)
	out.N = v.N
	out.I = append(out.I, v.I[:min(len(v.I), v.N)]...)
	out.F = append(out.F, v.F[:min(len(v.F), v.N)]...)
	if c.Type.Phys() == types.PhysBytes {
		out.Off = append(out.Off[:0], v.Off[:v.N+1]...)
		out.Buf = append(out.Buf, v.Buf...)
	}
	if v.Nulls != nil {
		out.Nulls = append(out.Nulls, v.Nulls...)
	}
	return out
}

// fieldsText is a row whose record is not at hand, as text.
func fieldsText(b *delta.Batch, i int) string {
	some := &delta.Batch{N: b.N}
	for _, v := range b.Cols {
		if v != nil {
			some.Cols = append(some.Cols, v)
		}
	}
	return rowText(some, i)
}

// parseDuration reads '1h30m' as Go does, or an interval as SQL does.
func parseDuration(s string) (time.Duration, error) {
	if d, err := time.ParseDuration(s); err == nil {
		return d, nil
	}
	v, err := types.ParseText(types.Of(types.Interval), s)
	if err != nil {
		return 0, err
	}
	us, days, months := types.IntervalParts(v.S)
	return time.Duration(us)*time.Microsecond + time.Duration(days)*24*time.Hour + time.Duration(months)*30*24*time.Hour, nil
}
