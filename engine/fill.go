package engine

import (
	"bytes"
	"slices"
	"time"

	"github.com/streamsql/streamsql/sql/delta"
	"github.com/streamsql/streamsql/sql/sqlerr"
)

// fill is the backfill of a job: it reads what its inputs hold already, in
// chunks between the steps of the others, and joins the steps when it has
// everything: no row is missed, none comes twice.
type fill struct {
	started bool // a first chunk has run, which also delivers what needs no input
	idle    bool // there was nothing to do, and will not be before more is read
	rows    int  // of the next chunk
	waiters []chan error
}

// inputFill is where the backfill stands in one input.
type inputFill struct {
	in    *input
	done  int64
	total int64 // -1: unknown

	// A stored relation is read in the order of its key. A change of a row up to
	// pos is passed on as it comes; the others will be met by the scan.
	waits  bool     // the view to read is still backfilled itself
	behind []*input // these are read before
	pos    []byte

	sourceFill
}

const (
	chunkRows = 256     // of a first chunk
	chunkMax  = 1 << 16 // rows
	chunkGoal = 20      // ms that a chunk should take
)

// startFill begins a job's backfill.
func (e *Engine) startFill(j *job) {
	j.state = Backfilling
	if j.fill == nil {
		e.filling = append(e.filling, j)
	}
	j.fill = &fill{rows: chunkRows}
	history := false
	for _, in := range j.inputs {
		s := e.sources[in.relation]
		if s != nil {
			s.start(e)
		}
		history = history || !in.source || s != nil && s.read()
	}
	if !history {
		return // the job is there from the first record on
	}
	for _, in := range j.inputs {
		f := &inputFill{in: in}
		if !in.source {
			in.fill = f
			f.waits = true
			continue
		}
		if s := e.sources[in.relation]; s != nil {
			in.fill = f
			f.src, f.total = s, -1
			f.judged = s.cuts != nil && (j.replays == nil || j.anew) && hasLate(j.obj.Plan)
			f.open(e, s.firsts())
		}
	}
	j.fillOrder()
	// What has no cuts has no place among those of others. It is read before: else
	// a join with it would give rows behind the watermark.
	for _, in := range j.inputs {
		for _, other := range j.inputs {
			if f, o := in.fill, other.fill; f != nil && o != nil && f.judged && !o.judged && !o.waitsFor(in) {
				f.behind = append(f.behind, other)
			}
		}
	}
}

// endFill lets go of what the backfill holds; the waiters are told.
func (e *Engine) endFill(j *job) {
	for _, in := range j.inputs {
		f := in.fill
		if f == nil {
			continue
		}
		f.close()
		in.fill = nil
	}
	if j.fill == nil {
		return
	}
	var err error
	if j.state != Running {
		err = sqlerr.New(sqlerr.ObjectNotInState, "%s %q is %s", j.obj.Kind, j.obj.Name, j.state)
		if j.err != nil {
			err = j.err
		}
	}
	for _, w := range j.fill.waiters {
		w <- err
	}
	j.fill = nil
	e.filling = slices.DeleteFunc(slices.Clone(e.filling), func(x *job) bool { return x == j })
}

func (f *inputFill) close() {
	if f.feed != nil {
		f.feed.close()
		f.feed = nil
	}
	if f.held {
		f.held = false
		f.src.hold--
	}
	f.items = nil
}

// met returns the part of a live change that the backfill does not meet.
func (f *inputFill) met(c *change) *change {
	if f.src != nil || f.waits || f.pos == nil {
		return nil
	}
	rel := f.in.rel
	out := &change{}
	var key []byte
	for _, b := range c.batches {
		var sel []int32
		for i := range b.N {
			key = appendRow(key[:0], b, i, rel.main.order)
			if bytes.Compare(key, f.pos) <= 0 {
				sel = append(sel, int32(i))
			}
		}
		switch len(sel) {
		case 0:
		case b.N:
			out.add(b)
		default:
			out.add(b.Gather(sel))
		}
	}
	return out
}

// fillDue tells whether a backfill can go on now.
func (e *Engine) fillDue() bool {
	for _, j := range e.filling {
		if e.canFill(j) {
			return true
		}
	}
	return false
}

func (e *Engine) canFill(j *job) bool {
	if j.state != Backfilling || j.fill == nil || e.full() {
		return false
	}
	if !j.fill.started || !j.fill.idle {
		return true
	}
	for _, in := range j.inputs {
		f := in.fill
		switch {
		case f == nil || f.isBehind():
		case f.src != nil:
			if f.hungry && f.feed.ready() {
				return true
			}
		case e.storedReady(f):
			return true
		}
	}
	return false
}

// upstreamReady tells whether a stored input can be read.
func (e *Engine) upstreamReady(in *input) bool {
	r := e.relations[in.relation]
	if r == nil {
		return false
	}
	id := in.relation
	if r.obj.Owner != 0 {
		id = r.obj.Owner
	}
	j := e.jobsByID[id]
	return j == nil || j.state == Running
}

// storedReady tells whether more of a stored input can be read now. Not while the
// next step will tell of rows that are there already.
func (e *Engine) storedReady(f *inputFill) bool {
	return e.dml.changes[f.in.relation] == nil && (!f.waits || e.upstreamReady(f.in))
}

// fillSome gives each backfill that can go on about the time of a chunk.
func (e *Engine) fillSome() {
	for _, j := range e.filling {
		for start := time.Now(); e.canFill(j) && time.Since(start) < chunkGoal*time.Millisecond/2; {
			e.fillChunk(j)
		}
	}
}

// chunk is what one input gives to a chunk.
type chunk struct {
	f    *inputFill
	c    *change
	pos  []byte
	last bool // the input is read
	read int64

	arrived bool   // a source's rows up to its next cut are all there
	after   func() // to do when the chunk is done
}

// fillChunk runs the job alone over a piece of its history. A chunk that outgrows
// the memory, or takes long, is undone and made smaller.
func (e *Engine) fillChunk(j *job) {
	start := time.Now()
	e.turnRounds(j)
	epoch, err := j.nextCut()
	if err != nil {
		e.fail(j, err)
		return
	}
	var parts []*chunk
	whole, work, arrived := epoch == 0, !j.fill.started, true
	for _, in := range j.inputs {
		if in.fill == nil {
			continue
		}
		if in.fill.isBehind() {
			whole = false
			continue
		}
		p, err := e.readChunk(j, in.fill, epoch)
		if err != nil {
			e.fail(j, err)
			return
		}
		if p == nil {
			whole = false
			continue
		}
		whole = whole && p.last
		work = work || p.c.rows > 0 || p.after != nil || p.last && p.f.src == nil
		if c := p.f.cut; c != nil && c.epoch == epoch {
			arrived = arrived && p.arrived
		}
		parts = append(parts, p)
	}
	arrived = arrived && epoch != 0
	if !whole && !arrived && !work {
		j.fill.idle = !e.turnRounds(j)
		return
	}
	j.fill.idle = false
	rows := 0
	for _, p := range parts {
		rows = max(rows, p.c.rows)
	}
	if e.most = 0; rows > 1 {
		e.most = longChunk
	}
	ctx := e.stepContext()
	out, late, err := e.run(j, ctx, 0, func() error {
		for _, p := range parts {
			if err := j.push(p.f.in, p.c); err != nil {
				return err
			}
		}
		switch {
		case whole:
			// From here on the job decides as all others do which rows are late.
			for _, in := range j.inputs {
				j.advance(in, e.inputWatermark(j, in))
			}
			j.advanceClock(ctx.Now)
		case arrived:
			for _, p := range parts {
				if c := p.f.cut; c != nil && c.epoch == epoch {
					j.advance(p.f.in, j.delayed(c.wm))
				}
			}
		}
		return nil
	})
	if err != nil {
		e.chunkFailed(j, rows, err)
		return
	}
	j.commit()
	e.taken += j.budget.spent()
	j.fill.started = true
	e.changed = true
	for _, p := range parts {
		p.f.done += p.read
		if p.pos != nil {
			p.f.pos = p.pos
		}
		if p.after != nil {
			p.after()
		}
		if arrived && p.f.cut != nil && p.f.cut.epoch == epoch {
			p.f.passed = epoch
			p.f.cut = nil
		}
		if p.last && p.f.src == nil {
			p.f.in.fill = nil
		}
	}
	if j.sink != nil && out.rows > 0 {
		if err := j.sink.write(e.epoch+1, out); err != nil {
			e.fail(j, err)
			return
		}
	}
	if late != nil && late.rows > 0 {
		e.pending(j.late.obj.ID, late)
	}
	j.fill.fit(time.Since(start).Milliseconds(), j.budget.spent() < e.stepBudget()/4)
	if whole {
		j.state = Running
		if j.replays != nil {
			e.joinReplay(j)
			return
		}
		e.endFill(j)
		e.dirtyJobs()
		e.poke()
	}
}

// fit sets how many rows the next chunk has.
func (f *fill) fit(ms int64, small bool) {
	switch {
	case ms > 2*chunkGoal:
		f.rows = max(f.rows/2, 1)
		if ms > 10*chunkGoal {
			f.rows = max(int(int64(f.rows)*2*chunkGoal/ms), 1)
		}
	case ms < chunkGoal/2 && small:
		f.rows = min(f.rows*2, chunkMax)
	}
}

// chunkFailed ends the job whose chunk could not be done, or makes the next one
// smaller. The chunk was undone.
func (e *Engine) chunkFailed(j *job, rows int, err error) {
	s, ok := err.(*stop)
	if !ok || s.kind == stopJob {
		e.endPart(j, err)
		return
	}
	switch s.kind {
	case stopMemory:
		if rows <= 1 || e.store == nil {
			e.endPart(j, s.err)
			return
		}
		j.fill.rows = max(1, min(j.fill.rows, rows)/2)
	case stopSlow:
		j.fill.rows = max(1, rows/50)
	}
}

// pending puts a change that arose between two steps into the next one.
func (e *Engine) pending(id uint64, c *change) {
	if e.dml.changes == nil {
		e.dml.changes = map[uint64]*change{}
	}
	if have := e.dml.changes[id]; have != nil {
		for _, b := range c.batches {
			have.add(b)
		}
	} else {
		e.dml.changes[id] = c
	}
	e.tick = true
}

// readChunk reads the next piece of an input; nil: there is none at the moment.
func (e *Engine) readChunk(j *job, f *inputFill, epoch uint64) (*chunk, error) {
	if f.src != nil {
		return e.readSourceChunk(j, f, epoch)
	}
	if !e.storedReady(f) {
		return nil, nil
	}
	if f.waits {
		f.waits = false
		f.in.rel = e.relations[f.in.relation]
		f.total = int64(f.in.rel.main.tree.Len())
	}
	rel := f.in.rel
	cols := make([]int, len(rel.types))
	for c := range cols {
		cols[c] = c
	}
	rr := newRowReader(rel, rel.main, cols)
	p := &chunk{f: f, c: &change{}, last: true}
	cur := rel.main.tree.Cursor()
	ok := cur.Seek(f.pos)
	if ok && f.pos != nil && bytes.Equal(cur.Key(), f.pos) {
		ok = cur.Next()
	}
	var ws []int64
	ones := true
	flush := func() {
		if b := rr.take(); b != nil {
			if !ones {
				b.W = ws
			}
			ws, ones = nil, true
			p.c.add(b)
		}
	}
	for ; ok; ok = cur.Next() {
		if p.c.rows+rr.n >= j.fill.rows {
			p.last = false
			break
		}
		if err := rr.add(cur.Key()); err != nil {
			return nil, err
		}
		w := cur.Weight()
		ws, ones = append(ws, w), ones && w == 1
		p.pos = append(p.pos[:0], cur.Key()...)
		p.read++
		if rr.n == delta.MaxRows {
			flush()
		}
	}
	flush()
	return p, rel.err()
}

// takeNotices returns what the backfill has to say to its client, once.
func (j *job) takeNotices() []Notice {
	n := j.notices
	j.notices = nil
	return n
}

// progress is how much of its history a job has read; total -1: unknown.
func (j *job) progress() (done, total int64) {
	for _, in := range j.inputs {
		if f := in.fill; f != nil {
			done += f.done
			if f.total < 0 || total < 0 {
				total = -1
			} else {
				total += f.total
			}
		}
	}
	return done, total
}
