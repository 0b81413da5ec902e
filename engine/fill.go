package engine

import (
	"bytes"
	"context"
	"slices"
	"time"

	"github.com/streamsql/streamsql/connector"
	"github.com/streamsql/streamsql/sql/delta"
	"github.com/streamsql/streamsql/sql/sqlerr"
)

// fill is the backfill of a job: it reads what its inputs hold already, in
// chunks between the steps of the others, and joins the steps when it has
// everything: no row is missed, none comes twice.
type fill struct {
	started bool // a first chunk has run, which also delivers what needs no input
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

	// A source is read a second time, from its start to where the live reader
	// stands, in rounds; for the last the live reader is held back.
	src   *source
	feed  *feed
	at    connector.Positions // behind what the job has
	until connector.Positions
	round int
	held  bool
}

const (
	chunkRows  = 256     // of a first chunk
	chunkMax   = 1 << 16 // rows
	chunkGoal  = 20      // ms that a chunk should take
	joinGap    = 1 << 14 // records: so few more are read while the live reader is held
	joinRounds = 3
)

// startFill begins a job's backfill.
func (e *Engine) startFill(j *job) {
	j.state = Backfilling
	if j.fill == nil {
		e.filling = append(e.filling, j)
	}
	j.fill = &fill{rows: chunkRows}
	for _, in := range j.inputs {
		f := &inputFill{in: in}
		if !in.source {
			in.fill = f
			f.waits = true
			continue
		}
		s := e.sources[in.relation]
		if s == nil {
			continue
		}
		s.start(e)
		if !s.read() {
			continue // the job is there from the first record on
		}
		in.fill = f
		f.src, f.total = s, -1
		f.open(e, s.firsts())
	}
	j.fillOrder()
}

// read tells whether the live reader has taken any record.
func (s *source) read() bool {
	for _, p := range s.parts {
		if p.next != p.first {
			return true
		}
	}
	return false
}

// firsts are the positions where the live reader started.
func (s *source) firsts() connector.Positions {
	out := connector.Positions{}
	for p, x := range s.parts {
		out[p] = x.first
	}
	return out
}

// open starts a round: from there to where the live reader stands now.
func (f *inputFill) open(e *Engine, from connector.Positions) {
	f.until = f.src.positions()
	for p, x := range f.src.parts {
		if _, ok := from[p]; !ok {
			from[p] = x.first
		}
	}
	f.total = max(f.total, 0) + gap(from, f.until)
	f.read(e, from)
}

// read starts a reader up to the end of the round.
func (f *inputFill) read(e *Engine, from connector.Positions) {
	f.at = from.Clone()
	f.feed = newFeed(e)
	fd, conn, until := f.feed, f.src.conn, f.until.Clone()
	if h, ok := conn.(connector.History); ok {
		conn = historySource{conn, h}
	}
	cv, err := newConverter(f.src.obj, e.currentCatalog().Env, &e.clock)
	if err != nil {
		fd.finish(false, err)
		return
	}
	e.background(func() { fd.run(conn, cv, from, until) })
}

// historySource opens readers that pass over what has expired; Reset tells.
type historySource struct {
	connector.Source
	history connector.History
}

func (s historySource) Open(ctx context.Context, from, until connector.Positions) (connector.Reader, error) {
	return s.history.OpenHistory(ctx, from, until)
}

// gap is the number of records between two positions.
func gap(from, to connector.Positions) int64 {
	var n int64
	for p, at := range to {
		n += max(0, at-from[p])
	}
	return n
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
}

// passed returns the part of a live change that the backfill does not meet.
func (f *inputFill) passed(c *change) *change {
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
	if !j.fill.started {
		return true
	}
	waiting := false
	for _, in := range j.inputs {
		f := in.fill
		switch {
		case f == nil:
		case f.isBehind():
			waiting = true
		case f.src != nil:
			if f.feed.ready() {
				return true
			}
			waiting = true
		case f.waits:
			if e.upstreamReady(in) {
				return true
			}
			waiting = true
		default:
			return true
		}
	}
	return !waiting
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

// fillSome runs one chunk of each backfill that can go on.
func (e *Engine) fillSome() {
	for _, j := range e.filling {
		if e.canFill(j) {
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

	taken *feed               // where it came from, if from a source
	at    connector.Positions // of that source, behind it
	after func()              // to do when the chunk is done
}

// undo puts back what was taken.
func (p *chunk) undo() {
	if p.taken != nil {
		p.taken.unget()
	}
}

// fillChunk runs the job alone over a piece of its history. A chunk that outgrows
// the memory, or takes long, is undone and made smaller.
func (e *Engine) fillChunk(j *job) {
	start := time.Now()
	var parts []*chunk
	whole := true
	for _, in := range j.inputs {
		if in.fill == nil {
			continue
		}
		if in.fill.isBehind() {
			whole = false
			continue
		}
		p, err := e.readChunk(j, in.fill)
		if err != nil {
			e.fail(j, err)
			return
		}
		if p == nil {
			whole = false
			continue
		}
		whole = whole && p.last
		parts = append(parts, p)
	}
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
		if whole {
			// From here on the job decides as all others do which rows are late.
			for _, in := range j.inputs {
				j.advance(in, e.inputWatermark(j, in))
			}
			j.advanceClock(ctx.Now)
		}
		return nil
	})
	if err != nil {
		for _, p := range parts {
			p.undo()
		}
		e.chunkFailed(j, parts, rows, err)
		return
	}
	j.commit()
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
		if p.last {
			p.f.close()
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
func (e *Engine) chunkFailed(j *job, parts []*chunk, rows int, err error) {
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
	default: // the engine ends
		return
	}
	for _, p := range parts {
		if f := p.f; f.src != nil && f.feed.larger(j.fill.rows) {
			e.fetchRows.Store(int64(j.fill.rows))
			f.reopen(e)
		}
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
func (e *Engine) readChunk(j *job, f *inputFill) (*chunk, error) {
	if f.src != nil {
		return e.readSourceChunk(j, f)
	}
	if f.waits {
		if !e.upstreamReady(f.in) {
			return nil, nil
		}
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

// readSourceChunk takes what the second reader of a source has, and ends the
// round when it has everything.
func (e *Engine) readSourceChunk(j *job, f *inputFill) (*chunk, error) {
	if !f.feed.ready() {
		return nil, nil
	}
	items, end, err := f.feed.take(j.fill.rows)
	if err != nil {
		return nil, err
	}
	p := &chunk{f: f, c: &change{}, taken: f.feed}
	var resets []fetched
	at := f.at.Clone()
	for _, it := range items {
		if it.reset != "" && j.replays != nil {
			return nil, errHistoryGone(f.src.obj, it.part, it.reset)
		}
		if it.reset != "" {
			resets = append(resets, it)
		}
		if !it.started {
			at[it.part] = it.next
		}
		if it, err = f.src.without(it); err != nil {
			return nil, err
		}
		p.c.add(f.src.stamp(it.batch, e.clock.now()))
		p.read += int64(it.rows + len(it.dead))
	}
	left := int64(-1)
	if end {
		left = gap(f.until, f.src.positions())
		p.last = left == 0
	}
	p.after = func() {
		f.at = at
		for _, it := range resets {
			j.notices = append(j.notices, Notice{"NOTICE", sqlerr.New("00000",
				"source %q: history is gone: partition %d: %s", f.src.obj.Name, it.part, it.reset)})
		}
		if left <= 0 {
			return
		}
		f.round++
		if !f.held && (left <= joinGap || f.round >= joinRounds) {
			f.held = true
			f.src.hold++
		}
		from := f.until
		f.feed.close()
		f.open(e, from)
	}
	return p, nil
}

// reopen reads anew from where the backfill stands, in smaller pieces.
func (f *inputFill) reopen(e *Engine) {
	f.feed.close()
	f.read(e, f.at.Clone())
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
