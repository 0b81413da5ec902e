package exec

import (
	"slices"

	"github.com/streamsql/streamsql/sql/delta"
	"github.com/streamsql/streamsql/sql/expr"
	"github.com/streamsql/streamsql/sql/plan"
)

// windowLate judges at the window, where the whole row is at hand, what the
// operator behind it would judge by the window's end alone: a window whose end
// the watermark has reached takes no row any more. It is decided once per row
// and window. A row that missed windows is handed out once, with their number;
// the windows that are still open get it.
type windowLate struct {
	on         bool // all readers close what they hold by the window's end
	wm, before int64
	fn         func(rows *delta.Batch, windows []int32, wm int64) error
	sel        []int32
	missed     []int32
}

func (w *window) initLate(b *builder) {
	l, n := &w.late, w.n
	l.wm, l.before = NoWatermark, NoWatermark
	end := len(n.Inputs[0].Out) + 1
	if b.opts.Batch || !n.TimeEnd || n.TimeCol() != end || n.Inputs[0].TimeCol() != n.Window.TimeCol || !b.closedBy(n, end) {
		return
	}
	l.on, l.fn = true, b.lateWindows(n, n.Window.TimeCol)
}

// closedBy tells whether everything that reads n drops what is behind the
// watermark of column col, and nothing before it drops rows for other reasons or
// has another watermark.
func (b *builder) closedBy(n *plan.Node, col int) bool {
	rs := b.readers(n)
	for _, m := range rs {
		if n.TimeCol() != col || len(m.Inputs) != 1 {
			return false
		}
		switch m.Op {
		case plan.Agg, plan.TopN, plan.Over:
			if !slices.Contains(m.Keys, col) {
				return false
			}
		case plan.Close, plan.Distinct:
		case plan.Exchange:
			if !b.closedBy(m, col) {
				return false
			}
		case plan.Map:
			at := col
			if m.Exprs != nil {
				at = slices.IndexFunc(m.Exprs, func(x *expr.Expr) bool { return x.Kind == expr.Col && x.Index == col })
			}
			if m.Filter != nil || at < 0 || !b.closedBy(m, at) {
				return false
			}
		default:
			return false
		}
	}
	return len(rs) > 0
}

// takeLate hands out the rows of b that miss windows.
func (w *window) takeLate(b *delta.Batch) error {
	l := &w.late
	if !l.on || l.wm == NoWatermark {
		return nil
	}
	v := b.Cols[w.spec.TimeCol]
	l.sel, l.missed = l.sel[:0], l.missed[:0]
	for i, t := range v.I[:b.N] {
		if t >= l.wm || v.Null(i) {
			continue
		}
		if n := w.closed(t); n > 0 {
			l.sel, l.missed = append(l.sel, int32(i)), append(l.missed, n)
		}
	}
	if len(l.sel) == 0 {
		return nil
	}
	return l.fn(b.Gather(l.sel), slices.Clone(l.missed), l.wm)
}

// closed is the number of the windows of time t that are closed.
func (w *window) closed(t int64) int32 {
	s := &w.spec
	if !inWindows(t, s.Size) { // else no limit overflows: the watermark is above t
		return 0
	}
	switch s.Kind {
	case "hop":
		last := floorTo(t, s.Slide, s.Offset)
		if limit := w.late.wm - s.Size; limit < last {
			last = floorTo(limit, s.Slide, s.Offset)
		}
		if last <= t-s.Size {
			return 0
		}
		return int32((last-(t-s.Size)-1)/s.Slide + 1)
	case "cumulate":
		from := floorTo(t, s.Size, s.Offset)
		first := from + (t-from)/s.Slide*s.Slide + s.Slide
		limit := min(w.late.wm, from+s.Size)
		if first > limit {
			return 0
		}
		return int32((limit-first)/s.Slide + 1)
	}
	if floorTo(t, s.Size, s.Offset)+s.Size <= w.late.wm {
		return 1
	}
	return 0
}

// Commit and Rollback end a step.
func (w *window) Commit()   { w.late.before = w.late.wm }
func (w *window) Rollback() { w.late.wm = w.late.before }

// Restore takes the watermark up after a restart.
func (w *window) Restore(wm []int64) {
	w.late.wm = inputTime(w.n, wm)
	w.late.before = w.late.wm
}
