package engine

import (
	"math"

	"github.com/streamsql/streamsql/sql/catalog"
	"github.com/streamsql/streamsql/sql/delta"
	"github.com/streamsql/streamsql/sql/exec"
)

// marker follows the event times of one partition, or of one table, and says up
// to where they are complete. What it says depends on the order of the rows
// alone, not on how they were cut into steps.
type marker struct {
	max    int64 // the greatest event time seen; exec.NoWatermark: none
	mark   int64 // the watermark; it never goes back
	delays *delays
}

// delays are the last delays of an adaptive watermark, as sums of Size each.
type delays struct {
	Size int     `json:"size"`
	Sums []int64 `json:"sums"`           // µs; the oldest at Next, once all are there
	Next int     `json:"next"`           // the entry to fill next
	Last int64   `json:"last,omitempty"` // the sum of those that are no entry yet
	N    int     `json:"n,omitempty"`    // how many these are
	Full bool    `json:"full,omitempty"` // every entry is filled
	sum  int64   // of all entries and Last
}

// maxDelays is the number of sums kept: the mean over more rows than this lets
// the oldest go in groups.
const maxDelays = 1024

func newMarker(w *catalog.Watermark) *marker {
	m := &marker{max: exec.NoWatermark, mark: exec.NoWatermark}
	if w != nil && w.Adaptive != nil {
		n := max(1, w.Adaptive.N)
		size := (n + maxDelays - 1) / maxDelays
		m.delays = &delays{Size: size, Sums: make([]int64, (n+size-1)/size)}
	}
	return m
}

// raise notes the greatest time of some rows, for strategies that need no more.
func (m *marker) raise(w *catalog.Watermark, t int64) {
	if t <= m.max {
		return
	}
	m.max = t
	if w.Adaptive != nil {
		return
	}
	lag := w.Delay
	if w.Ascending {
		lag = -1 // rows at the greatest time are behind it
	}
	m.mark = max(m.mark, minus(t, lag))
}

// observe notes rows in the order in which they came. ws, when not nil, are their
// weights: only what is added counts.
func (m *marker) observe(w *catalog.Watermark, v *delta.Vec, ws []int64) {
	if w.Adaptive == nil {
		m.raise(w, latest(v, ws))
		return
	}
	for i, t := range v.I[:v.N] {
		if v.Null(i) || t == math.MaxInt64 || t == math.MinInt64 || ws != nil && ws[i] <= 0 {
			continue
		}
		m.max = max(m.max, t)
		m.delays.add(m.max - t)
		m.mark = max(m.mark, minus(m.max, m.lag(w.Adaptive)))
	}
}

// lag is how far an adaptive watermark stays behind.
func (m *marker) lag(a *catalog.Adaptive) int64 {
	mean := m.delays.mean() * a.Factor
	if mean >= math.MaxInt64/2 {
		return math.MaxInt64 / 2
	}
	return max(int64(math.Ceil(mean)), a.Min)
}

func (d *delays) add(x int64) {
	if x < 0 { // further apart than a number can say
		x = math.MaxInt64
	}
	x = min(x, math.MaxInt64/int64(4*d.Size*len(d.Sums))) // no sum overflows
	d.Last += x
	d.sum += x
	if d.N++; d.N < d.Size {
		return
	}
	d.sum -= d.Sums[d.Next]
	d.Sums[d.Next] = d.Last
	d.Last, d.N = 0, 0
	if d.Next++; d.Next == len(d.Sums) {
		d.Next, d.Full = 0, true
	}
}

func (d *delays) mean() float64 {
	n := d.Next
	if d.Full {
		n = len(d.Sums)
	}
	if n = n*d.Size + d.N; n == 0 {
		return 0
	}
	return float64(d.sum) / float64(n)
}

// minus is t - lag, without overflow.
func minus(t, lag int64) int64 {
	if d := t - lag; (d < t) == (lag > 0) {
		return d
	}
	if lag > 0 {
		return exec.NoWatermark + 1
	}
	return math.MaxInt64 - 1
}

// markerMeta is a marker in a checkpoint.
type markerMeta struct {
	Max    int64   `json:"max"`
	Mark   int64   `json:"mark"`
	Delays *delays `json:"delays,omitempty"`
}

func (m *marker) meta() *markerMeta {
	return &markerMeta{Max: m.max, Mark: m.mark, Delays: m.clone().delays}
}

func (m *marker) restore(x *markerMeta) {
	if x == nil {
		return
	}
	m.max, m.mark = x.Max, x.Mark
	if d := x.Delays; d != nil && m.delays != nil && d.Size == m.delays.Size && len(d.Sums) == len(m.delays.Sums) && d.Next < len(d.Sums) {
		c := *d
		c.Sums = append([]int64(nil), d.Sums...)
		c.sum = c.Last
		for _, s := range c.Sums {
			c.sum += s
		}
		m.delays = &c
	}
}

// latest is the greatest finite value of a time column among rows that are added.
func latest(v *delta.Vec, ws []int64) int64 {
	m := int64(exec.NoWatermark)
	for i, x := range v.I[:v.N] {
		if x > m && x != math.MaxInt64 && !v.Null(i) && (ws == nil || ws[i] > 0) {
			m = x
		}
	}
	return m
}

// tableRest is the idleness of a table that has an idle_timeout: then its
// watermark moves on by the time that passes.
type tableRest struct {
	timeout int64
	wrote   int64 // when the last rows came, on the engine's clock; 0: not in this run
	from    int64 // the watermark then
}

// earliest is the least value of a time column.
func earliest(v *delta.Vec) int64 {
	m := int64(math.MaxInt64)
	for i, x := range v.I[:v.N] {
		if x < m && !v.Null(i) {
			m = x
		}
	}
	return m
}

// markTables moves the watermarks of the tables that the step writes, from its
// end on: what is inserted moves them, nothing takes them back.
func (e *Engine) markTables(changes map[uint64]*change, now int64) {
	for id, c := range changes {
		r := e.relations[id]
		if r == nil || r.marker == nil {
			continue
		}
		w, before := r.obj.Watermark, r.marker.mark
		for _, b := range c.batches {
			r.marker.observe(w, b.Cols[w.Col], b.W)
		}
		if r.marker.mark != before {
			r.moved = now
		}
		if r.rest != nil {
			r.rest.wrote, r.rest.from = now, r.marker.mark
		}
	}
	for _, r := range e.relations {
		t := r.rest
		if t == nil {
			continue
		}
		if t.wrote == 0 { // a new run: the time before it does not count
			t.wrote, t.from = now, r.marker.mark
		}
		if idle := now - t.wrote - t.timeout; idle > 0 && t.from != exec.NoWatermark {
			if m := minus(t.from, -idle); m > r.marker.mark {
				r.marker.mark, r.moved = m, now
			}
		}
	}
}

// saveMark returns a function that puts the watermark of a table back.
func (r *relation) saveMark() func() {
	was, moved := r.marker.clone(), r.moved
	rest := tableRest{}
	if r.rest != nil {
		rest = *r.rest
	}
	return func() {
		r.marker, r.moved = was, moved
		if r.rest != nil {
			*r.rest = rest
		}
	}
}

// clone is a marker of its own with the same contents.
func (m *marker) clone() *marker {
	c := *m
	if d := m.delays; d != nil {
		dc := *d
		dc.Sums = append([]int64(nil), d.Sums...)
		c.delays = &dc
	}
	return &c
}
