package exec

import (
	"math"

	"github.com/streamsql/streamsql/sql/delta"
	"github.com/streamsql/streamsql/sql/plan"
	"github.com/streamsql/streamsql/sql/sqlerr"
	"github.com/streamsql/streamsql/sql/types"
)

// window assigns rows to windows of time: TUMBLE, HOP, CUMULATE. It appends
// window_start, window_end and window_time (1 µs, the precision of timestamps, before the end). Rows without
// a time, or with an infinite one, are in no window.
type window struct {
	n    *plan.Node
	spec plan.WindowSpec
	sel  []int32
	from []int64
	end  []int64

	panes *panes // nil: rows are not added up
	added bool   // the rows of the batch are
	w     []int64

	text  []*delta.Vec // columns of the batch of variable length
	bytes int
	used  []bool // columns of the output that are read

	late  windowLate
	paned bool // see paneFusion
}

var (
	_ Operator = (*window)(nil)
	_ Stepper  = (*window)(nil)
	_ Restorer = (*window)(nil)
)

// maxWindows bounds the windows of one row.
const maxWindows = 100_000

func newWindow(n *plan.Node, b *builder, worker int) (Operator, error) {
	s := n.Window
	if s == nil || s.Size <= 0 {
		return nil, sqlerr.New(sqlerr.InvalidParameter, "the size of a window must be positive")
	}
	switch s.Kind {
	case "session":
		return newSession(n, b, worker)
	case "tumble":
	case "hop", "cumulate":
		if s.Slide <= 0 {
			return nil, sqlerr.New(sqlerr.InvalidParameter, "the slide of a window must be positive")
		}
		if s.Kind == "cumulate" && s.Size%s.Slide != 0 {
			return nil, sqlerr.New(sqlerr.InvalidParameter, "the size of a cumulating window must be a multiple of its step")
		}
		if s.Size/s.Slide > maxWindows {
			return nil, sqlerr.New(sqlerr.InvalidParameter, "a row would be in more than %d windows", maxWindows)
		}
	default:
		return nil, sqlerr.New(sqlerr.FeatureNotSupported, "window %q is not supported", s.Kind)
	}
	w := &window{n: n, spec: *s, used: b.usedColumns(n), paned: b.panes[n.ID] != nil}
	if !w.paned {
		w.panes = newPanes(n, b)
	}
	return w, w.initLate(b)
}

// floorTo returns the greatest off + k × step that is not above t.
func floorTo(t, step, off int64) int64 {
	off %= step
	r := (t - off) % step
	if r < 0 {
		r += step
	}
	return t - r
}

// inWindows tells whether there are windows for time t: near the ends of the time
// line one would not fit an int64.
func inWindows(t, size int64) bool { return t > math.MinInt64+2*size && t < math.MaxInt64-2*size }

func (w *window) Apply(_ int, b *delta.Batch, out Emit) error {
	if err := w.takeLate(b); err != nil {
		return err
	}
	w.clear()
	w.text = w.text[:0]
	for c, v := range b.Cols {
		if v.T.Phys() == types.PhysBytes && (w.used == nil || w.used[c]) {
			w.text = append(w.text, v)
		}
	}
	if w.added = w.panes.add(b); !w.added {
		for i := range b.N {
			if err := w.assign(b, i, b.Weight(i), out); err != nil {
				return err
			}
		}
		return w.flush(b, out)
	}
	for k, i := range w.panes.rows {
		if weight := w.panes.w[k]; weight != 0 {
			if err := w.assign(b, int(i), weight, out); err != nil {
				return err
			}
		}
	}
	return w.flush(b, out)
}

// assign adds row i to its windows, as far as they are open.
func (w *window) assign(b *delta.Batch, i int, weight int64, out Emit) error {
	times := b.Cols[w.spec.TimeCol]
	t, size, closed := times.I[i], w.spec.Size, int64(NoWatermark)
	if w.late.on {
		closed = w.late.wm
	}
	if times.Null(i) || !inWindows(t, size) {
		return nil
	}
	if w.paned {
		g := gridOf(&w.spec)
		if s := floorTo(t, g.slide, g.offset); g.last(s) > closed {
			w.add(i, weight, s, s+g.slide)
		}
		return nil
	}
	switch w.spec.Kind {
	case "tumble":
		if s := floorTo(t, size, w.spec.Offset); s+size > closed {
			w.add(i, weight, s, s+size)
		}
	case "hop":
		for s := floorTo(t, w.spec.Slide, w.spec.Offset); s > t-size && s+size > closed; s -= w.spec.Slide {
			w.add(i, weight, s, s+size)
			if err := w.full(b, out); err != nil {
				return err
			}
		}
	case "cumulate":
		s := floorTo(t, size, w.spec.Offset)
		for e := s + (t-s)/w.spec.Slide*w.spec.Slide + w.spec.Slide; e <= s+size; e += w.spec.Slide {
			if e <= closed {
				continue
			}
			w.add(i, weight, s, e)
			if err := w.full(b, out); err != nil {
				return err
			}
		}
	}
	return nil
}

func (w *window) add(i int, weight, from, end int64) {
	w.sel = append(w.sel, int32(i))
	w.w = append(w.w, weight)
	w.from = append(w.from, from)
	w.end = append(w.end, end)
	if w.spec.Kind != "tumble" && !w.paned {
		w.bytes += textBytes(w.text, int32(i))
	}
}

func (w *window) clear() {
	w.sel, w.w, w.from, w.end, w.bytes = w.sel[:0], w.w[:0], w.from[:0], w.end[:0], 0
}

func (w *window) full(b *delta.Batch, out Emit) error {
	if len(w.sel) < delta.MaxRows && w.bytes < maxBuf {
		return nil
	}
	return w.flush(b, out)
}

func (w *window) flush(b *delta.Batch, out Emit) error {
	n := len(w.sel)
	if n == 0 {
		return nil
	}
	o := &delta.Batch{N: n, Cols: make([]*delta.Vec, 0, len(b.Cols)+3), W: b.W}
	from, end := append([]int64{}, w.from...), append([]int64{}, w.end...)
	switch {
	case w.added:
		for c, v := range b.Cols {
			switch {
			case w.panes.used[c]:
				v = v.Gather(w.sel)
			case c == w.spec.TimeCol: // nobody looks
				v = &delta.Vec{T: v.T, N: n, I: from}
			default:
				v = nullVec(w.n.Out[c], n)
			}
			o.Cols = append(o.Cols, v)
		}
		if o.W = nil; !allOnes(w.w) {
			o.W = append([]int64{}, w.w...)
		}
	case n == b.N && (w.spec.Kind == "tumble" || w.paned):
		o.Cols = append(o.Cols, b.Cols...)
	default:
		for c, v := range b.Cols {
			if w.used == nil || w.used[c] {
				v = v.Gather(w.sel)
			} else {
				v = nullVec(w.n.Out[c], n)
			}
			o.Cols = append(o.Cols, v)
		}
		if b.W != nil {
			o.W = append([]int64{}, w.w...)
		}
	}
	last := make([]int64, n)
	for k, e := range w.end {
		last[k] = e - 1
	}
	for k, vs := range [][]int64{from, end, last} {
		o.Cols = append(o.Cols, &delta.Vec{T: w.outType(len(b.Cols) + k), N: n, I: vs})
	}
	w.clear()
	return out(o)
}

func (w *window) outType(c int) types.Type {
	if c < len(w.n.Out) {
		return w.n.Out[c].Type
	}
	return types.Of(types.Timestamptz)
}

func (w *window) Finish(Emit) error { return nil }

// Advance passes the watermark on: a window is closed when the watermark has
// reached its end.
func (w *window) Advance(wm []int64, _ Emit) (int64, error) {
	t := inputTime(w.n, wm)
	w.late.wm = max(w.late.wm, t)
	return t, nil
}
