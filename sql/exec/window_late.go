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

	// filter is what the one reader asks of a window's rows: those that it does not
	// want miss nothing.
	filter *expr.Program
	step   *stepInfo
	pairs  *window // late rows with their closed windows
	kept   []int32
	at     []int32 // of pairs: the place in sel
}

func (w *window) initLate(b *builder) error {
	l, n := &w.late, w.n
	l.wm, l.before = NoWatermark, NoWatermark
	end := len(n.Inputs[0].Out) + 1
	if b.opts.Batch || !n.TimeEnd || n.TimeCol() != end || n.Inputs[0].TimeCol() != n.Window.TimeCol {
		return nil
	}
	if rs := b.readers(n); len(rs) == 1 && rs[0].Op == plan.Map && rs[0].Filter != nil {
		m := rs[0]
		if expr.VolatilityOf(b.opts.Env, m.Filter) == expr.Volatile {
			return nil
		}
		at := end
		if m.Exprs != nil {
			at = columnOf(m.Exprs, end)
		}
		if at < 0 || !b.closedBy(m, at) {
			return nil
		}
		var err error
		if l.filter, err = b.compile(m.Filter); err != nil {
			return err
		}
		l.step = b.step
		l.pairs = &window{n: n, spec: w.spec}
	} else if !b.closedBy(n, end) {
		return nil
	}
	l.on, l.fn = true, b.lateWindows(n, n.Window.TimeCol)
	return nil
}

// columnOf returns which of the expressions is column c alone, or -1.
func columnOf(xs []*expr.Expr, c int) int {
	return slices.IndexFunc(xs, func(x *expr.Expr) bool { return x.Kind == expr.Col && x.Index == c })
}

// closedBy tells whether everything that reads n drops what is behind the
// watermark of column col, and nothing before it drops rows for other reasons or
// has another watermark.
func (b *builder) closedBy(n *plan.Node, col int) bool {
	rs := b.readers(n)
	for _, m := range rs {
		if n.TimeCol() != col || len(m.Inputs) != 1 && m.Op != plan.Join {
			return false
		}
		switch m.Op {
		case plan.Join:
			if !joinCloses(m, n) {
				return false
			}
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
				at = columnOf(m.Exprs, col)
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

// joinCloses tells whether join m drops what is behind the watermark of its input
// n, and no later: its other input has the same watermark, as it comes of the same
// relation, such as the maximum of each window that its rows are joined with.
func joinCloses(m, n *plan.Node) bool {
	l, r := m.Inputs[0], m.Inputs[1]
	if m.NullSafe || m.AsOf != nil || m.Bounds != nil || !l.TimeEnd || !r.TimeEnd {
		return false
	}
	keyed := false
	for i := range m.LeftKey {
		keyed = keyed || m.LeftKey[i] == l.TimeCol() && m.RightKey[i] == r.TimeCol()
	}
	of := uint64(0) // the relation of both
	same := true
	for _, in := range m.Inputs {
		in.Visit(func(x *plan.Node) {
			same = same && !x.Clock
			switch x.Op {
			case plan.Scan:
				same = same && x.Time > 0 && (of == 0 || of == x.Relation)
				of = x.Relation
			case plan.Window:
				same = same && x.Window.Kind != "session" && !x.Window.Proc
			case plan.Map, plan.Exchange, plan.Agg, plan.Distinct, plan.TopN:
				same = same && x.Lag == 0
			default:
				same = false
			}
		})
	}
	return keyed && same && of != 0 && (l.ID == n.ID || r.ID == n.ID)
}

// takeLate hands out the rows of b that miss windows.
func (w *window) takeLate(b *delta.Batch) error {
	l := &w.late
	if !l.on || l.wm == NoWatermark {
		return nil
	}
	v := b.Cols[w.spec.TimeCol]
	l.sel, l.missed = l.sel[:0], l.missed[:0]
	wm := l.wm
	for i, t := range v.I[:b.N] {
		if t >= wm || v.Null(i) {
			continue
		}
		if n := w.closed(t); n > 0 {
			l.sel, l.missed = append(l.sel, int32(i)), append(l.missed, n)
		}
	}
	if l.filter != nil && len(l.sel) > 0 {
		if err := w.filterLate(b); err != nil {
			return err
		}
	}
	if len(l.sel) == 0 {
		return nil
	}
	return l.fn(b.Gather(l.sel), slices.Clone(l.missed), l.wm)
}

// filterLate counts of each late row's closed windows those that are wanted.
func (w *window) filterLate(b *delta.Batch) error {
	l, p := &w.late, w.late.pairs
	clear(l.missed)
	p.clear()
	l.at = l.at[:0]
	count := func() error {
		kept := l.kept
		err := p.flush(b, func(rows *delta.Batch) (err error) {
			kept, err = l.filter.Filter(l.step.ctx, rows, kept)
			return err
		})
		if err != nil {
			return err
		}
		for _, k := range kept {
			l.missed[l.at[k]]++
		}
		l.kept, l.at = kept[:0], l.at[:0]
		return nil
	}
	for k, i := range l.sel {
		t := b.Cols[w.spec.TimeCol].I[i]
		err := w.eachClosed(t, func(from, end int64) error {
			l.at = append(l.at, int32(k))
			if p.add(int(i), 1, from, end); len(p.sel) == delta.MaxRows {
				return count()
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	if len(p.sel) > 0 {
		if err := count(); err != nil {
			return err
		}
	}
	n := 0
	for k := range l.sel {
		if l.missed[k] > 0 {
			l.sel[n], l.missed[n] = l.sel[k], l.missed[k]
			n++
		}
	}
	l.sel, l.missed = l.sel[:n], l.missed[:n]
	return nil
}

// eachClosed calls fn with the closed windows of time t, which has some.
func (w *window) eachClosed(t int64, fn func(from, end int64) error) error {
	s := &w.spec
	switch s.Kind {
	case "hop":
		for from := floorTo(min(t, w.late.wm-s.Size), s.Slide, s.Offset); from > t-s.Size; from -= s.Slide {
			if err := fn(from, from+s.Size); err != nil {
				return err
			}
		}
	case "cumulate":
		from := floorTo(t, s.Size, s.Offset)
		for end := from + (t-from)/s.Slide*s.Slide + s.Slide; end <= min(w.late.wm, from+s.Size); end += s.Slide {
			if err := fn(from, end); err != nil {
				return err
			}
		}
	default:
		from := floorTo(t, s.Size, s.Offset)
		return fn(from, from+s.Size)
	}
	return nil
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
