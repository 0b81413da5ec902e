package engine

import (
	"maps"
	"math"
	"slices"

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
	if !known || it.maxTime == exec.NoWatermark {
		return true
	}
	least := d.others
	for p, x := range d.s.parts {
		if !x.idle || p == it.part {
			least = min(least, d.at[p])
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
