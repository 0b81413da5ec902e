package planner

import (
	"slices"

	"github.com/streamsql/streamsql/sql/expr"
	"github.com/streamsql/streamsql/sql/plan"
)

// winCols are the columns of a relation that bound the windows of one window
// function; -1: it is not among them. window_time determines the others, and so
// does window_start where all windows are of one size, or in a session with its
// keys. Groups by one of them can so be groups by window_end, which the watermark
// closes.
type winCols struct {
	start, end, time int
	size             int64 // 0: it varies
	session          bool
	keys             []int
}

// determined tells whether columns of the set fix the window.
func (w *winCols) determined(s set) bool {
	in := func(c int) bool { return c >= 0 && s.has(c) }
	return in(w.end) || in(w.time) || in(w.start) && (w.size > 0 || w.session && setOf(w.keys).within(s))
}

// renamed gives the columns new numbers; to returns -1 for one that is dropped.
func (w winCols) renamed(to func(int) int) (winCols, bool) {
	old := func(c int) int {
		if c < 0 {
			return -1
		}
		return to(c)
	}
	n := w
	n.start, n.end, n.time, n.keys = old(w.start), old(w.end), old(w.time), nil
	for _, k := range w.keys {
		if k = old(k); k < 0 {
			n.session = false
			break
		}
		n.keys = append(n.keys, k)
	}
	return n, n.start >= 0 || n.end >= 0 || n.time >= 0
}

// winCols finds the bounds of windows among the columns of r.
func (b *binder) winCols(r *rel) []winCols {
	var out []winCols
	add := func(ws []winCols, to func(int) int) {
		for _, w := range ws {
			if n, ok := w.renamed(to); ok {
				out = append(out, n)
			}
		}
	}
	within := func(ids []int) func(int) int {
		s := setOf(ids)
		return func(c int) int {
			if s.has(c) {
				return c
			}
			return -1
		}
	}
	switch r.op {
	case opScan:
		if p := r.obj.Plan; p != nil {
			for _, w := range p.Windows {
				n := winCols{w.Start, w.End, w.Time, w.Size, w.Session, w.Keys}
				add([]winCols{n}, func(a int) int {
					if i := slices.Index(r.attrs, a); i >= 0 {
						return r.out[i]
					}
					return -1
				})
			}
		}
	case opWindow:
		w := ownCols(r)
		return append(b.winCols(r.in[0]), w)
	case opProject:
		add(b.winCols(r.in[0]), func(c int) int { return projected(r, c) })
	case opFilter, opTopN, opOver, opUnnest, opDistinct:
		return b.winCols(r.in[0])
	case opAgg:
		add(b.winCols(r.in[0]), within(r.keys))
	case opJoin:
		for _, in := range r.in {
			add(b.winCols(in), within(r.out))
		}
	case opUnion, opSetOp:
		for i, in := range r.in {
			var mine []winCols
			for _, w := range b.winCols(in) {
				n, ok := w.renamed(func(c int) int {
					if at := slices.Index(r.cols[i], c); at >= 0 {
						return r.out[at]
					}
					return -1
				})
				if ok {
					n.session = false // the keys are of one input alone
					mine = append(mine, n)
				}
			}
			if i == 0 {
				out = mine
				continue
			}
			out = slices.DeleteFunc(out, func(w winCols) bool {
				return !slices.ContainsFunc(mine, func(m winCols) bool {
					return w.start == m.start && w.end == m.end && w.time == m.time && w.size == m.size
				})
			})
		}
	}
	return out
}

// ownCols are the columns that a window function adds.
func ownCols(r *rel) winCols {
	w := winCols{start: r.made[0], end: r.made[1], time: r.made[2]}
	switch r.win.Kind {
	case "tumble", "hop":
		w.size = r.win.Size
	case "session":
		w.session, w.keys = true, r.keys
	}
	return w
}

// projected is the column of a projection that is column c of its input, or -1.
func projected(r *rel, c int) int {
	for i, x := range r.exprs {
		if isCol(x, c) {
			return r.out[i]
		}
	}
	return -1
}

// withEnds finds the ends of windows that keys determine and that are not among
// them. It returns r, with these columns if they were not there. Nothing closes in
// a query that runs once.
func (b *binder) withEnds(r *rel, keys []int) (*rel, []int) {
	if len(keys) == 0 || !b.view {
		return r, nil
	}
	return b.exposeEnds(r, setOf(keys))
}

func (b *binder) exposeEnds(r *rel, keys set) (*rel, []int) {
	keys = keys.and(setOf(r.out))
	if keys.empty() {
		return r, nil
	}
	var ends []int
	add := func(c int) {
		if c >= 0 && !keys.has(c) && !slices.Contains(ends, c) {
			ends = append(ends, c)
		}
	}
	// over is r above another input, whose columns it has.
	over := func(in *rel) *rel {
		n := *r
		n.known, n.in = false, []*rel{in}
		n.out = append(slices.Clone(in.out), r.added()...)
		return &n
	}
	switch r.op {
	case opScan, opUnion, opSetOp:
		for _, w := range b.winCols(r) {
			if w.determined(keys) {
				add(w.end)
			}
		}
	case opWindow:
		in, es := b.exposeEnds(r.in[0], keys)
		if in != r.in[0] {
			r = over(in)
		}
		for _, e := range es {
			add(e)
		}
		if w := ownCols(r); w.determined(keys) {
			add(w.end)
		}
	case opFilter, opTopN, opOver, opUnnest, opDistinct:
		in, es := b.exposeEnds(r.in[0], keys)
		for _, e := range es {
			add(e)
		}
		if in != r.in[0] {
			r = over(in)
		}
	case opProject:
		var inner set
		for i, c := range r.out {
			if x := r.exprs[i]; keys.has(c) && isAnyCol(x) {
				inner.add(x.Index)
			}
		}
		in, es := b.exposeEnds(r.in[0], inner)
		if len(es) == 0 {
			return r, nil
		}
		out, exprs := slices.Clone(r.out), slices.Clone(r.exprs)
		for _, e := range es {
			c := projected(r, e)
			if c < 0 {
				c = e
				out, exprs = append(out, e), append(exprs, b.col(e))
			}
			add(c)
		}
		if len(out) > len(r.out) {
			r = project(in, out, exprs)
		}
	case opJoin:
		var ins []*rel
		changed := false
		for _, in := range r.in {
			if len(ins) == 0 || r.kind != plan.Semi && r.kind != plan.Anti {
				n, es := b.exposeEnds(in, keys)
				changed = changed || n != in
				in = n
				for _, e := range es {
					add(e)
				}
			}
			ins = append(ins, in)
		}
		if changed {
			n := *r
			n.known, n.in = false, ins
			n.out = outOf(&n)
			r = &n
		}
	case opAgg:
		in, es := b.exposeEnds(r.in[0], keys.and(setOf(r.keys)))
		more := slices.Clone(r.keys)
		for _, e := range es {
			add(e)
			if !slices.Contains(more, e) {
				more = append(more, e)
			}
		}
		if len(more) > len(r.keys) {
			r = aggregate(in, more, r.aggs)
		}
	}
	return r, ends
}

func isAnyCol(x *expr.Expr) bool { return x.Kind == expr.Col }

func isCol(x *expr.Expr, c int) bool { return isAnyCol(x) && x.Index == c }
