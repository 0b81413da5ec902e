package engine

import (
	"math"
	"slices"
	"time"

	"github.com/streamsql/streamsql/sql/delta"
	"github.com/streamsql/streamsql/sql/exec"
)

// partition is one partition's place.
type partition struct {
	first int64 // where the live reader started
	next  int64 // the next record to read

	marker *marker
	moved  int64 // since when its watermark stands, on the engine's clock
	idle   bool  // it has nothing for so long that it does not hold the watermark back
	held   bool  // it waits for others, as max_drift says
	since  int64 // of held
}

// silence is how long, by the system's clock, a reader may not say that a
// partition still has nothing. Then it may be an outage, or that nobody takes what
// is read: that is not being idle, and the time before does not count.
const silence = 10 * time.Second

// observe notes the event times of what was fetched of a partition.
func (s *source) observe(x *partition, it *fetched, now int64) {
	w := s.obj.Watermark
	if w == nil {
		return
	}
	before := x.marker.mark
	if w.Adaptive != nil && it.batch != nil {
		x.marker.observe(w, it.batch.Cols[w.Col], it.batch.W)
	} else {
		x.marker.raise(w, it.maxTime)
	}
	if x.marker.mark != before {
		x.moved = now
	}
}

// rest finds out which partitions are idle. It returns since when the last of
// them is, and up to when the reader knows that it is so.
func (s *source) rest(now int64) (since, until int64) {
	until = now
	if s.feed == nil {
		for _, x := range s.parts {
			x.idle = false
		}
		return 0, until
	}
	if s.feed.troubleText() != "" { // an outage
		s.feed.unquiet()
	}
	for p, x := range s.parts {
		from, to, ok := s.feed.quietOf(p, now)
		x.idle = ok && !x.held && to-from >= s.idleTimeout
		if x.idle {
			since, until = max(since, from+s.idleTimeout), min(until, to)
		}
	}
	return since, until
}

// moveWatermark sets the watermark that holds from the end of the step on: the
// least over the partitions. Those that are idle do not count; when all are, it
// moves on by the time that passes from then on.
func (s *source) moveWatermark(now int64) {
	if s.obj.Watermark == nil || len(s.parts) == 0 {
		return
	}
	if s.moved == 0 {
		s.moved = now
	}
	since, until := s.rest(now)
	least, greatest, active := int64(math.MaxInt64), int64(exec.NoWatermark), false
	for _, x := range s.parts {
		greatest = max(greatest, x.marker.mark)
		if !x.idle {
			active = true
			least = min(least, x.marker.mark)
		}
	}
	wm := least
	if active {
		s.allIdle = 0
	} else {
		if s.allIdle == 0 { // the one that came furthest leads
			s.allIdle, s.idleFrom = since, max(s.wm, greatest)
		}
		wm = s.idleFrom
		if wm != exec.NoWatermark {
			wm = minus(wm, -max(0, until-s.allIdle))
		}
	}
	if wm > s.wm {
		s.wm, s.moved = wm, now
	}
}

// idleDue is when the next partition steps aside.
func (s *source) idleDue(now int64) (time.Duration, bool) {
	if s.obj.Watermark == nil || s.feed == nil || s.hold > 0 {
		return 0, false
	}
	d, ok := int64(math.MaxInt64), false
	for p, x := range s.parts {
		if x.idle || x.held {
			continue
		}
		if from, to, quiet := s.feed.quietOf(p, now); quiet && to == now { // else there is no use in looking
			d, ok = min(d, from+s.idleTimeout-now), true
		}
	}
	return time.Duration(d) * time.Microsecond, ok
}

// stamp gives rows that enter a step their processing time, the clock of the
// step: no later row has an earlier one.
func (s *source) stamp(b *delta.Batch, now int64) *delta.Batch {
	if len(s.stamps) == 0 || b == nil {
		return b
	}
	at := make([]int64, b.N)
	for i := range at {
		at[i] = now
	}
	o := &delta.Batch{N: b.N, W: b.W, Cols: slices.Clone(b.Cols)}
	for _, c := range s.stamps {
		o.Cols[c] = &delta.Vec{T: s.obj.Columns[c].Type, N: b.N, I: at}
	}
	return o
}

// nextMove is the time of the clock at which a watermark that moves by the time
// that passes, of an idle source or table, closes something; math.MaxInt64: none
// does.
func (e *Engine) nextMove() int64 {
	t := int64(math.MaxInt64)
	look := func(id uint64, from, wm, since int64) {
		if wm == exec.NoWatermark {
			return
		}
		if ahead := e.ahead(id); ahead < math.MaxInt64/2 {
			// At since the watermark was from; now it is wm.
			t = min(t, since+max(0, wm-from)+ahead)
		}
	}
	for id, s := range e.sources {
		if s.allIdle != 0 && s.feed != nil && s.hold == 0 {
			look(id, s.idleFrom, s.wm, s.allIdle)
		}
	}
	for id, r := range e.relations {
		if r.rest != nil && r.rest.wrote != 0 {
			look(id, r.rest.from, r.marker.mark, r.rest.wrote+r.rest.timeout)
		}
	}
	return t
}

// ahead is how far the watermark of a relation has to move until one of the jobs
// that read it, directly or not, has something to close.
func (e *Engine) ahead(id uint64) int64 {
	reads := map[uint64]bool{id: true}
	least := int64(math.MaxInt64)
	for _, j := range e.order { // by dependence
		for _, in := range j.inputs {
			if reads[in.relation] && j.state == Running {
				reads[j.obj.ID] = true
				least = min(least, j.df.Ahead())
				break
			}
		}
	}
	return least
}
