package engine

import (
	"slices"
	"time"

	"github.com/streamsql/streamsql/sql/delta"
	"github.com/streamsql/streamsql/sql/expr"
	"github.com/streamsql/streamsql/sql/sqlerr"
)

// A step is an attempt: nothing of it is kept before all jobs have done their
// part, so that it can be undone as a whole and made again with less, when it
// outgrows the memory, when a statement in it is cancelled, or when the engine is
// to end.

// stepInput is what a step is to take.
type stepInput struct {
	pending map[uint64]*change // what arose between the steps
	writes  []*pendingWrite    // transactions, in the order in which the tables have them
	redo    bool               // writes is one transaction that was undone and is to be carried out again
	rows    int                // of each source, about; 0: none
	failing map[*job]error     // jobs that cannot do this step
	slow    bool               // it was made smaller as it took long
}

// attempt is a step under way.
type attempt struct {
	e       *Engine
	in      *stepInput
	ctx     *expr.Context
	changes map[uint64]*change
	seq     uint64     // of the last record in the log
	rows    int        // the most taken of one source
	grown   int64      // bytes, by the jobs that are done
	begun   []undoable // what takes part, in order
	done    []jobPart
	failed  []jobPart
	down    map[uint64]bool    // relations of jobs that do not go on
	kept    map[*relation]kept // what was kept of internal relations before
	before  []func()           // puts the sources back
	after   []func()           // to do when the step stands
}

// jobPart is what a job did.
type jobPart struct {
	j   *job
	out *change
	err error
}

// rollback undoes all of it.
func (a *attempt) rollback() {
	for i := len(a.begun) - 1; i >= 0; i-- {
		a.begun[i].rollback()
	}
	for i := len(a.before) - 1; i >= 0; i-- {
		a.before[i]()
	}
	a.begun, a.before = nil, nil
}

// commit keeps the tables of all of it.
func (a *attempt) commit() {
	for _, u := range a.begun {
		u.commit()
	}
	a.begun, a.before = nil, nil
}

// join has a relation that no job owns take part.
func (a *attempt) join(r *relation) {
	for _, u := range a.begun {
		if u == undoable(r) {
			return
		}
	}
	r.begin()
	a.begun = append(a.begun, r)
	if k := r.kept; k != nil {
		was := *k
		a.kept[r] = was
		a.before = append(a.before, func() { *k = was })
	}
}

// add adds to the change of a relation.
func (a *attempt) add(id uint64, c *change) {
	have := a.changes[id]
	if have == nil {
		a.changes[id] = c
		return
	}
	for _, b := range c.batches {
		have.add(b)
	}
}

// leave takes a relation out again, which stays as it was.
func (a *attempt) leave(r *relation) {
	for i, u := range a.begun {
		if u == undoable(r) {
			r.rollback()
			if was, ok := a.kept[r]; ok {
				*r.kept = was
			}
			a.begun = slices.Delete(a.begun, i, i+1)
			return
		}
	}
}

// step takes what the sources and the writers brought, runs it through every
// dataflow once, and leaves all views at the next epoch.
func (e *Engine) step() {
	e.tick = false
	d := e.dml
	e.dml = &pendingDML{}
	e.inflight = d.writes
	todo := []*stepInput{{pending: d.changes, writes: d.writes, rows: e.cutRows}}
	for len(todo) > 0 {
		in := todo[0]
		todo = append(e.stepWith(in), todo[1:]...)
	}
	e.inflight = nil
}

// stepWith makes one step; it returns what is left to be done in others, at once.
func (e *Engine) stepWith(in *stepInput) []*stepInput {
	if in.redo {
		p := in.writes[0]
		if err := e.applyWrite(p); err != nil {
			p.finish(err)
			return nil
		}
	}
	for {
		start := time.Now()
		a := &attempt{e: e, in: in, ctx: e.stepContext(), changes: in.changes(), down: map[uint64]bool{}, kept: map[*relation]kept{}}
		e.open = append(e.open[:0], a)
		e.running.Store(a)
		why := a.run()
		e.running.Store(nil)
		if why == nil {
			var err error
			if err = e.logAll(a); err == nil {
				a.keep()
				e.open = e.open[:0]
				e.fitCut(a.rows, time.Since(start), a.grown)
				return nil
			}
			why = &stop{kind: stopLog, err: sqlerr.From(err)}
		}
		a.rollback()
		e.open = e.open[:0]
		if rest, again := e.lessen(a, why); !again {
			return rest
		}
	}
}

// changes is the input of a step but for the sources.
func (in *stepInput) changes() map[uint64]*change {
	out := map[uint64]*change{}
	add := func(id uint64, bs []*delta.Batch) {
		c := out[id]
		if c == nil {
			c = &change{}
			out[id] = c
		}
		for _, b := range bs {
			c.add(b)
		}
	}
	for id, c := range in.pending {
		add(id, c.batches)
	}
	for _, p := range in.writes {
		for _, part := range p.parts {
			add(part.rel.obj.ID, part.batches)
		}
	}
	return out
}

// run takes the input and has every job do its part. It returns why the step
// cannot stand.
func (a *attempt) run() *stop {
	e := a.e
	for _, r := range e.relations {
		if r.marker != nil && (r.rest != nil || a.changes[r.obj.ID] != nil) {
			a.before = append(a.before, r.saveMark())
		}
	}
	e.markTables(a.changes, a.ctx.Now)
	if a.in.rows > 0 {
		for _, s := range e.sources {
			a.before = append(a.before, s.save())
		}
		a.rows = e.cut(a, a.in.rows)
	}
	if e.most = 0; len(a.in.writes) == 0 && a.rows > 4*leastRows && !a.in.slow {
		e.most = longCut
	}
	for _, j := range e.order {
		if !j.active() {
			continue
		}
		if why := e.stepJob(a, j); why != nil {
			return why
		}
	}
	return nil
}

// keep makes the step stand: its changes of the tables, what the sinks get, the
// jobs that failed, the epoch.
func (a *attempt) keep() {
	e := a.e
	a.commit()
	e.taken += a.grown
	for _, p := range a.done {
		if p.j.sink != nil && p.out.rows > 0 {
			if err := p.j.sink.write(e.epoch+1, p.out); err != nil {
				e.fail(p.j, err)
			}
		}
	}
	for _, p := range a.failed {
		e.endPart(p.j, p.err)
	}
	for _, fn := range a.after {
		fn()
	}
	e.epoch++
	e.lastStep = a.ctx.Now
	e.keepTicks()
	e.changed = true
	if len(a.in.writes) > 0 {
		d := &pendingDML{writes: a.in.writes, seq: a.seq, stepped: closedChan}
		for _, p := range d.writes {
			d.version = max(d.version, p.version)
		}
		e.acks.put(d)
	}
}

var closedChan = func() chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()

// endPart fails a job, or pauses it where that is what was asked for.
func (e *Engine) endPart(j *job, err error) {
	if s, ok := err.(*stop); ok && s.kind == stopJob {
		e.freeze(j, Paused)
		e.unread = true
		e.change(nil, nil, nil)
		return
	}
	if j.active() {
		e.fail(j, err)
	}
}

// lessen makes less of the input of a step that could not stand. again: it is to
// be tried once more; rest is to be done otherwise.
func (e *Engine) lessen(a *attempt, why *stop) (rest []*stepInput, again bool) {
	in := a.in
	left := func() ([]*stepInput, bool) {
		if len(in.pending) == 0 {
			return rest, false
		}
		return append([]*stepInput{{pending: in.pending}}, rest...), false
	}
	apart := func() { // each transaction by itself
		for _, p := range in.writes {
			rest = append(rest, &stepInput{writes: []*pendingWrite{p}, redo: true})
		}
	}
	if why.kind == stopSlow {
		in.slow = true
		e.takeLess(in, max(leastRows, a.rows/16))
		return nil, true
	}
	if why.kind != stopMemory {
		if !e.undoWrites(in.writes) {
			return nil, false
		}
		switch {
		case why.kind == stopLog && why.err.Code == "54000" && len(in.writes) > 1:
			apart() // too large a record harms nothing but itself
		case why.kind == stopWrite:
			apart()
		default:
			for _, p := range in.writes {
				p.finish(why.err)
			}
		}
		return left()
	}
	switch {
	case e.lessTicks(a.ctx.Now):
		return nil, true
	case len(in.writes) > 0 && in.rows > 0:
		in.rows = 0 // the next step takes from the sources
		return nil, true
	case len(in.writes) > 1:
		if !e.undoWrites(in.writes) {
			return nil, false
		}
		apart()
		return left()
	case len(in.writes) == 1:
		if !e.undoWrites(in.writes) {
			return nil, false
		}
		in.writes[0].finish(why.err)
		return left()
	case in.rows > 0 && a.rows > 1 && e.store != nil:
		e.takeLess(in, max(1, min(in.rows, a.rows)/2))
		return nil, true
	case in.rows == 0 && len(in.pending) > 0 && e.store != nil:
		if pieces := in.pieces(); len(pieces) > 1 {
			return pieces, false
		}
	}
	if in.failing == nil {
		in.failing = map[*job]error{}
	}
	in.failing[why.job] = why.err
	return nil, true
}

// takeLess has the step, and those that follow, take fewer rows of the sources.
func (e *Engine) takeLess(in *stepInput, rows int) {
	in.rows, e.cutRows = rows, rows
	e.fetchRows.Store(int64(rows))
	e.reread(rows)
}

// pieces cuts what is pending into its batches.
func (in *stepInput) pieces() (out []*stepInput) {
	for id, c := range in.pending {
		for _, b := range c.batches {
			out = append(out, &stepInput{pending: map[uint64]*change{id: {batches: []*delta.Batch{b}, rows: b.N}}})
		}
	}
	return out
}

// reread has the readers go back to where the steps stand and fetch no more than
// rows at a time, where what they have read comes in larger pieces.
func (e *Engine) reread(rows int) {
	for _, s := range e.sources {
		if s.feed != nil && s.hold == 0 && s.feed.larger(rows) {
			s.halt()
			s.start(e)
		}
	}
}

// undoWrites takes transactions out of their tables again, which no view shows.
func (e *Engine) undoWrites(ws []*pendingWrite) bool {
	for i := len(ws) - 1; i >= 0; i-- {
		p := ws[i]
		for k := len(p.parts) - 1; k >= 0; k-- {
			if err := p.parts[k].undo(); err != nil {
				e.lose(err)
				for _, w := range ws {
					w.finish(err)
				}
				return false
			}
		}
		p.parts, p.results, p.failed, p.record = nil, nil, nil, nil
	}
	return true
}
