package engine

import (
	"context"
	"slices"
	"sort"

	"github.com/streamsql/streamsql/connector"
	"github.com/streamsql/streamsql/sql/delta"
	"github.com/streamsql/streamsql/sql/sqlerr"
)

// A source is read a second time, from its start to where the live reader stands,
// in rounds; for the last the live readers of all sources of the job are held
// back. What is read is handed to the job up to one cut of the past after the
// other, at which its watermark moves as it did then. Of several sources the one
// whose next cut is of the earliest epoch goes on; the others wait.

// sourceFill is where the backfill stands in a source.
type sourceFill struct {
	src     *source
	feed    *feed
	at      connector.Positions // behind what the job has
	until   connector.Positions // of the round
	round   int
	reached bool // it was read to the end, about: what waits for it may go on
	held    bool // the live reader is

	judged bool       // it follows the cuts
	passed uint64     // the epoch of the last cut that it has come to
	cut    *sourceCut // the next; nil: not looked up, or there is none

	items  []unpushed // read, in order
	rows   int        // in items
	bytes  int64      // that items hold
	ended  bool       // nothing more comes in this round
	hungry bool       // with items alone it cannot go on
	hold   []int32    // partitions that the reader leaves unread, as they are ahead
	told   map[int32]bool
	gone   connector.Positions // where partitions begin whose first records are gone
}

// unpushed is a fetch of which the job has the rows before lo.
type unpushed struct {
	fetched
	lo int
}

const (
	joinGap    = 1 << 14 // records: so few more are read while the live reader is held
	joinRounds = 3
	aheadRows  = 1 << 16 // that wait for other partitions before no more of theirs is read
)

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
	if f.feed != nil {
		f.feed.close()
	}
	f.until, f.ended, f.hungry, f.hold = f.src.positions(), false, true, nil
	for p, x := range f.src.parts {
		if _, ok := from[p]; !ok {
			from[p] = x.first
		}
	}
	f.total = max(f.total, 0) + gap(from, f.until)
	f.at = from.Clone()
	f.feed = newFeed(e)
	fd, conn, until := f.feed, historyOf(f.src.conn), f.until.Clone()
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

// historyOf is a source whose readers read what was read before.
func historyOf(s connector.Source) connector.Source {
	if h, ok := s.(connector.History); ok {
		return historySource{s, h}
	}
	return s
}

// gap is the number of records between two positions.
func gap(from, to connector.Positions) int64 {
	var n int64
	for p, at := range to {
		n += max(0, at-from[p])
	}
	return n
}

// drained tells whether the job has everything of the round.
func (f *inputFill) drained() bool { return f.ended && len(f.items) == 0 }

// left is how many records the job does not have.
func (f *inputFill) left() int64 { return gap(f.at, f.src.positions()) }

// near tells whether a last round is worth holding the live readers for: nothing
// but that is left to do.
func (j *job) near() bool {
	for _, in := range j.inputs {
		f := in.fill
		if f != nil && (f.src == nil || f.left() > joinGap && f.round < joinRounds) {
			return false
		}
	}
	return true
}

// turnRounds begins another round of the sources that ended one and have not
// everything. It tells whether anything changed.
func (e *Engine) turnRounds(j *job) (turned bool) {
	for _, in := range j.inputs {
		f := in.fill
		if f == nil || f.src == nil || !f.drained() {
			continue
		}
		if !f.reached && (f.left() <= joinGap || f.round >= joinRounds) {
			f.reached, turned = true, true
		}
		if f.left() == 0 {
			continue
		}
		near := j.near()
		if near {
			for _, in := range j.inputs {
				if f := in.fill; f != nil && !f.held {
					f.held = true
					f.src.hold++
				}
			}
		}
		// Without need the others' few new records are left to gather.
		if near || f.cut != nil || f.left() > joinGap {
			f.round++
			f.open(e, f.at)
			turned = true
		}
	}
	return turned
}

// nextCut looks up the next cut of each source, and returns the epoch of the
// earliest; 0: there is none.
func (j *job) nextCut() (epoch uint64, err error) {
	for _, in := range j.inputs {
		f := in.fill
		if f == nil || !f.judged || f.isBehind() {
			continue
		}
		if f.cut == nil {
			if f.cut, err = f.src.cuts.next(f.passed); err != nil {
				return 0, err
			}
		}
		if f.cut != nil && (epoch == 0 || f.cut.epoch < epoch) {
			epoch = f.cut.epoch
		}
	}
	return epoch, nil
}

// readSourceChunk takes what the second reader of a source has of the rows up to
// its next cut, if that is of the given epoch. nil: there is nothing to do with the
// source at the moment.
func (e *Engine) readSourceChunk(j *job, f *inputFill, epoch uint64) (*chunk, error) {
	if f.judged && epoch != 0 && (f.cut == nil || f.cut.epoch != epoch) {
		f.hungry = false
		return nil, nil // others have to go on first
	}
	var p *chunk
	for {
		var full bool
		if p, full = f.collect(j.fill.rows, e.clock.now()); full || p.arrived || f.ended || !f.feed.ready() {
			f.hungry = !full && !p.arrived && !f.ended
			break
		}
		items, end, err := f.feed.take(max(j.fill.rows-p.c.rows, 1))
		if err != nil {
			return nil, err
		}
		f.feed.accept()
		f.ended = end
		for _, it := range items {
			if it.reset != "" && j.replays != nil && !j.anew {
				return nil, errHistoryGone(f.src.obj, it.part, it.reset)
			}
			if it.reset != "" {
				f.jumped(j, &it)
			}
			if it, err = f.src.without(it); err != nil {
				return nil, err
			}
			if !it.started {
				f.items = append(f.items, unpushed{fetched: it})
				f.rows += it.rows
				f.bytes += it.size()
			}
		}
	}
	f.pause()
	if p.last {
		p.last = f.left() == 0 && f.cut == nil
	}
	if p.c.rows == 0 && p.after == nil && !p.arrived && !p.last {
		return nil, nil
	}
	return p, nil
}

// jumped notes that history is gone, and tells the client where it begins, once.
func (f *inputFill) jumped(j *job, it *fetched) {
	if f.told[it.part] {
		return
	}
	if f.told == nil {
		f.told, f.gone = map[int32]bool{}, f.src.firsts()
	}
	f.told[it.part] = true
	f.gone[it.part] = max(it.next, it.resumes)
	j.notices = append(j.notices, Notice{"NOTICE", sqlerr.New("00000",
		"source %q: history is gone: partition %d begins at %d", f.src.obj.Name, it.part, f.gone[it.part]).WithDetail("%s", it.reset)})
	f.feed.e.forgetCuts(f.src, f.gone, f.in)
}

// pause has the reader leave those partitions unread of which much is there that
// has to wait for others.
func (f *inputFill) pause() {
	var hold []int32
	if (f.rows > aheadRows || f.bytes > f.feed.max) && f.hungry && f.cut != nil {
		for _, it := range f.items {
			if !slices.Contains(hold, it.part) {
				hold = append(hold, it.part)
			}
		}
		slices.Sort(hold)
	}
	if !slices.Equal(hold, f.hold) {
		f.hold = hold
		f.feed.holdParts(hold)
	}
}

// collect makes a chunk of about most of the rows read, up to the next cut. It
// changes nothing; the chunk's after does. full: it has as many as it may.
func (f *inputFill) collect(most int, now int64) (p *chunk, full bool) {
	p = &chunk{f: f, c: &change{}}
	at := f.at.Clone()
	stuck := map[int32]bool{} // partitions of which something was left
	var left []unpushed
	rows, bytes := 0, int64(0)
	for k := range f.items {
		it := &f.items[k]
		if full || stuck[it.part] {
			left = append(left, *it)
			rows, bytes = rows+it.rows-it.lo, bytes+it.size()
			full = full || p.c.rows >= most
			continue
		}
		hi, next := it.rows, it.next
		if f.cut != nil {
			limit := f.cut.at[it.part] // none: it is not of this cut
			if next > limit {
				next = limit
				hi = max(it.lo, sort.Search(it.rows, func(i int) bool { return it.offset(i) >= limit }))
			}
		}
		if n := most - p.c.rows; hi-it.lo > n {
			hi, full = it.lo+n, true
			next = it.offset(hi)
		}
		if next > at[it.part] {
			at[it.part] = next
		}
		if hi > it.lo {
			p.c.add(f.src.stamp(it.between(hi), now))
			p.read += int64(hi - it.lo)
		}
		if next == it.next && hi == it.rows {
			p.read += int64(len(it.dead))
			continue
		}
		stuck[it.part] = true
		left = append(left, unpushed{it.fetched, hi})
		rows, bytes = rows+it.rows-hi, bytes+it.size()
	}
	if f.ended {
		for part, n := range f.until {
			if !stuck[part] && n > at[part] {
				at[part] = n // nothing is there
			}
		}
		p.last = len(left) == 0
	}
	full = full || p.c.rows >= most && len(left) > 0
	p.arrived = !full && f.cut != nil && f.cut.within(at)
	if len(left) != len(f.items) || rows != f.rows || !sameAt(at, f.at) {
		p.after = func() {
			f.items, f.rows, f.bytes, f.at = left, rows, bytes, at
		}
	}
	return p, full
}

func sameAt(a, b connector.Positions) bool {
	for p, n := range a {
		if b[p] != n {
			return false
		}
	}
	return len(a) == len(b)
}

// between is the rows from lo to before hi.
func (x *unpushed) between(hi int) *delta.Batch {
	if x.lo == 0 && hi == x.rows {
		return x.batch
	}
	return slice(x.batch, x.lo, hi)
}

// slice is the rows of a batch from lo to before hi.
func slice(b *delta.Batch, lo, hi int) *delta.Batch {
	sel := make([]int32, hi-lo)
	for i := range sel {
		sel[i] = int32(lo + i)
	}
	return b.Gather(sel)
}
