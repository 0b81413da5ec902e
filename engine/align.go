package engine

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"sort"

	"github.com/streamsql/streamsql/connector"
	"github.com/streamsql/streamsql/sql/exec"
	"github.com/streamsql/streamsql/sql/sqlerr"
)

// Alignment: no partition of a source with max_drift is read further ahead, in
// event time, than that from the slowest one that is not idle, of the source or of
// all sources with its watermark_group. What a partition brought beyond stays in
// the feed, and its reader is asked to leave it unread meanwhile.

// drift is what a source may take in one step.
type drift struct {
	s      *source
	others int64 // the least event time of the group's other sources; MaxInt64: none
	at     map[int32]int64
	held   map[int32]bool
}

// alignOptions reads max_drift and watermark_group.
func (s *source) alignOptions() error {
	d, err := durationOption(s.obj.Options, optMaxDrift, -1)
	if err != nil {
		return err
	}
	group, grouped := s.obj.Options[optGroup]
	if (d >= 0 || grouped) && s.obj.Watermark == nil {
		name := optMaxDrift
		if d < 0 {
			name = optGroup
		}
		return sqlerr.New(sqlerr.InvalidParameter, "option %s needs a WATERMARK", name)
	}
	s.maxDrift, s.group = -1, group
	if d >= 0 {
		s.maxDrift = d.Microseconds()
	}
	return nil
}

// slowest is the least of the greatest event times of the partitions that are not
// idle; MaxInt64 when there is none.
func (s *source) slowest() int64 {
	least := int64(math.MaxInt64)
	if s.feed == nil || s.ended {
		return least
	}
	if len(s.parts) == 0 && s.feed.troubleText() == "" {
		return exec.NoWatermark // it is about to tell what it has
	}
	for _, x := range s.parts {
		if !x.idle {
			least = min(least, x.marker.max)
		}
	}
	return least
}

// othersSlowest is slowest over the other sources of s's group.
func (e *Engine) othersSlowest(s *source) int64 {
	least := int64(math.MaxInt64)
	for _, o := range e.sources {
		if o != s && s.group != "" && o.group == s.group {
			least = min(least, o.slowest())
		}
	}
	return least
}

// drift returns what source s may take now; nil: anything.
func (e *Engine) drift(s *source, now int64) *drift {
	if s.maxDrift < 0 {
		return nil
	}
	s.rest(now)
	d := &drift{s: s, at: map[int32]int64{}, held: map[int32]bool{}}
	d.others = e.othersSlowest(s)
	for p, x := range s.parts {
		d.at[p] = x.marker.max
	}
	return d
}

// ok tells whether the step may take a fetch; if not, it takes nothing more of
// its partition.
func (d *drift) ok(it *fetched) bool {
	if d.held[it.part] {
		return false
	}
	at, known := d.at[it.part]
	if !known {
		at = exec.NoWatermark
		d.at[it.part] = at
	}
	if it.maxTime == exec.NoWatermark {
		return true
	}
	least := d.others
	for p, seen := range d.at {
		if x := d.s.parts[p]; x == nil || !x.idle || p == it.part {
			least = min(least, seen)
		}
	}
	// The slowest always goes on, be its next rows as far ahead as they may.
	if at > least && it.maxTime > minus(least, -d.s.maxDrift) {
		d.held[it.part] = true
		return false
	}
	d.at[it.part] = max(at, it.maxTime)
	return true
}

// keep holds the partitions of which more came than may be taken, and lets the
// others go. It tells whether any is held.
func (d *drift) keep(now int64, took int) bool {
	s, changed := d.s, false
	for p, x := range s.parts {
		if x.held != d.held[p] {
			x.held, changed = d.held[p], true
			x.since = now
		}
	}
	if s.feed == nil {
		return false
	}
	if changed {
		s.feed.holdParts(slices.Sorted(maps.Keys(d.held)))
	}
	if took == 0 && len(d.held) > 0 && len(d.held) < len(s.parts) {
		s.feed.widen() // what the others wait for may be behind it
	}
	return len(d.held) > 0
}

// holdParts tells the reader which partitions to leave unread.
func (f *feed) holdParts(parts []int32) {
	f.mu.Lock()
	h := f.holder
	f.holding = parts
	if len(parts) == 0 {
		f.wideRows, f.wideBytes = 0, 0
	}
	f.mu.Unlock()
	if h != nil {
		h.Hold(parts)
	}
}

// setReader takes what a reader can do beside reading.
func (f *feed) setReader(r connector.Reader) {
	f.mu.Lock()
	f.trouble = r.Trouble
	f.holder, _ = r.(connector.Holder)
	h, parts := f.holder, f.holding
	f.mu.Unlock()
	if h != nil && len(parts) > 0 {
		h.Hold(parts)
	}
}

// driftPieces is how many pieces a stretch of max_drift is taken in: the slowest
// partition is let go on a piece at a time, and so gets ahead by one at most.
const driftPieces = 8

// pieces cuts a fetch where its event time, in column col, goes on by more than
// step, µs. What did not decode stays before the row that it stood before.
func (x *fetched) pieces(col int, step int64) []fetched {
	if x.rows < 2 || x.maxTime == exec.NoWatermark || minus(x.maxTime, x.minTime) <= step {
		return []fetched{*x}
	}
	var out []fetched
	dead := slices.Clone(x.dead)
	slices.SortStableFunc(dead, func(a, b deadRow) int { return cmp.Compare(a.offset, b.offset) })
	piece := func(lo, hi int) {
		y := fetched{part: x.part, next: x.next, batch: slice(x.batch, lo, hi), rows: hi - lo, dead: dead, atEnd: x.atEnd}
		for i := lo; i < hi; i++ {
			y.offsets = append(y.offsets, x.offset(i))
		}
		if lo == 0 {
			y.first, y.reset, y.resumes = x.first, x.reset, x.resumes
		}
		if hi < x.rows {
			y.next, y.atEnd = x.offset(hi-1)+1, false
			n := sort.Search(len(dead), func(i int) bool { return dead[i].offset >= y.next })
			y.dead, dead = dead[:n:n], dead[n:]
		}
		y.maxTime, y.minTime = latest(y.batch.Cols[col], y.batch.W), earliest(y.batch.Cols[col])
		out = append(out, y)
	}
	lo, base := 0, int64(exec.NoWatermark)
	v := x.batch.Cols[col]
	for i, t := range v.I[:x.rows] {
		if v.Null(i) || t == math.MaxInt64 || t == math.MinInt64 {
			continue
		}
		switch {
		case base == exec.NoWatermark:
			base = t
		case t > base && minus(t, base) > step:
			piece(lo, i)
			lo, base = i, t
		}
	}
	piece(lo, x.rows)
	return out
}

// widen lets a reader go on whose queue is full of what must wait.
func (f *feed) widen() {
	f.mu.Lock()
	if f.full() {
		f.wideRows, f.wideBytes = f.rows+feedRows, f.bytes+f.max
	}
	f.mu.Unlock()
	select {
	case f.space <- struct{}{}:
	default:
	}
}
