package planner

import (
	"slices"

	"github.com/streamsql/streamsql/sql/expr"
)

// prune returns r without the columns that are not needed, as far as they cost
// something: a relation may keep a few more, but stateful operators are given
// none that they do not need.
func (b *binder) prune(r *rel, need set) *rel {
	switch r.op {
	case opScan:
		if p := r.obj.Plan; p != nil && b.view {
			// A view's watermark is that of its window's end.
			for _, w := range p.Windows {
				s, e := slices.Index(r.attrs, w.Start), slices.Index(r.attrs, w.End)
				if s >= 0 && e >= 0 && need.has(r.out[s]) {
					need = need.clone()
					need.add(r.out[e])
				}
			}
		}
		keep := b.keepSome(r.out, need)
		out, attrs := make([]int, 0, len(keep)), make([]int, 0, len(keep))
		for _, i := range keep {
			out, attrs = append(out, r.out[i]), append(attrs, r.attrs[i])
		}
		r.out, r.attrs = out, attrs
	case opValues:
		var keep []int
		for i, c := range r.out {
			if need.has(c) {
				keep = append(keep, i)
			}
		}
		if len(keep) == len(r.out) {
			return r
		}
		var out []int
		for _, i := range keep {
			out = append(out, r.out[i])
		}
		rows := make([][]*expr.Expr, len(r.rows))
		for i, row := range r.rows {
			rows[i] = []*expr.Expr{}
			for _, k := range keep {
				rows[i] = append(rows[i], row[k])
			}
		}
		r.out, r.rows = out, rows
	case opFilter:
		down := need.clone()
		r.uses(&down)
		r.in[0] = b.prune(r.in[0], down)
		r.out = r.in[0].out
	case opProject:
		return b.pruneProject(r, need)
	case opJoin, opAsOf:
		down := need.clone()
		r.uses(&down)
		for i := range r.in {
			r.in[i] = b.narrow(b.prune(r.in[i], down), down)
		}
		r.out = outOf(r)
	case opAgg:
		r.aggs = b.neededAggs(r, need)
		if len(r.keys) == 0 && len(r.aggs) == 0 {
			a := b.aggOf("count", -1)
			r.aggs = []aggCall{a}
		}
		r.out = slices.Clone(r.keys)
		for i := range r.aggs {
			r.out = append(r.out, r.aggs[i].id)
		}
		var down set
		r.uses(&down)
		r.in[0] = b.narrow(b.prune(r.in[0], down), down)
	case opDistinct:
		down := setOf(r.out)
		if k, ok := b.uniqueKey(r.in[0]); ok && setOf(k).within(down) {
			return b.prune(r.in[0], down)
		}
		r.in[0] = b.narrow(b.prune(r.in[0], down), down)
		r.out = r.in[0].out
	case opUnion:
		keep := b.keepSome(r.out, need)
		out := make([]int, 0, len(keep))
		for _, i := range keep {
			out = append(out, r.out[i])
		}
		for j := range r.in {
			cols := make([]int, 0, len(keep))
			for _, i := range keep {
				cols = append(cols, r.cols[j][i])
			}
			r.cols[j] = cols
			r.in[j] = b.prune(r.in[j], setOf(cols))
		}
		r.out = out
	case opSetOp:
		for j := range r.in {
			r.in[j] = b.prune(r.in[j], setOf(r.cols[j]))
		}
	case opTopN:
		return b.pruneTopN(r, need)
	case opOver:
		r.aggs = b.neededAggs(r, need)
		if len(r.aggs) == 0 {
			return b.prune(r.in[0], need)
		}
		down := need.clone()
		r.uses(&down)
		r.in[0] = b.narrow(b.prune(r.in[0], down), down)
		r.out = slices.Clone(r.in[0].out)
		for i := range r.aggs {
			r.out = append(r.out, r.aggs[i].id)
		}
	case opWindow, opUnnest:
		added := r.added()
		down := need.clone()
		r.uses(&down)
		if b.view && r.op == opWindow {
			b.wholeRows(r.in[0], &down)
		}
		r.in[0] = b.prune(r.in[0], down)
		if r.op == opUnnest {
			r.in[0] = b.narrow(r.in[0], down)
		}
		r.out = append(slices.Clone(r.in[0].out), added...)
	}
	return r
}

// wholeRows adds to need what a window's late rows are kept with: all columns of
// the relation where that costs nothing, else, behind filters, what tells which
// rows they are.
func (b *binder) wholeRows(r *rel, need *set) {
	s := r
	for s.op == opFilter {
		s = s.in[0]
	}
	if s.op != opScan || s.obj.Watermark == nil {
		return
	}
	for i, c := range s.out {
		a := s.attrs[i]
		if m := s.obj.Columns[a].Meta; s == r || m == "partition" || m == "offset" || slices.Contains(s.obj.PrimaryKey, a) {
			need.add(c)
		}
	}
}

// keepSome gives the positions of the needed columns, of one when none is.
func (b *binder) keepSome(out []int, need set) []int {
	var keep []int
	for i, c := range out {
		if need.has(c) {
			keep = append(keep, i)
		}
	}
	if len(keep) == 0 && len(out) > 0 {
		// Rows without columns would do, but a fixed-width one costs no more.
		at := 0
		for i, c := range out {
			if b.cols[c].typ.Phys() == 0 {
				at = i
				break
			}
		}
		keep = []int{at}
	}
	return keep
}

func (b *binder) neededAggs(r *rel, need set) []aggCall {
	out := r.aggs[:0:0]
	for _, a := range r.aggs {
		if need.has(a.id) {
			out = append(out, a)
		}
	}
	return out
}

// narrow drops the columns of r that are not needed.
func (b *binder) narrow(r *rel, need set) *rel {
	var ids []int
	for _, c := range r.out {
		if need.has(c) {
			ids = append(ids, c)
		}
	}
	if len(ids) == len(r.out) || len(ids) == 0 {
		return r
	}
	return b.merge1(b.pick(r, ids))
}

func (b *binder) pruneProject(r *rel, need set) *rel {
	var out []int
	var exprs []*expr.Expr
	for i, c := range r.out {
		if need.has(c) {
			out, exprs = append(out, c), append(exprs, r.exprs[i])
		}
	}
	r.out, r.exprs = out, exprs
	if m := b.merge1(r); m.op != opProject {
		return b.prune(m, need)
	} else {
		r = m
	}
	var down set
	r.uses(&down)
	if b.view && !grows(r.in[0]) && slices.ContainsFunc(r.exprs, func(x *expr.Expr) bool {
		return expr.VolatilityOf(b.env, x) == expr.Volatile
	}) {
		// What was computed for a row is found again by the row when it is taken
		// back: what tells it from others must be there.
		same := r.in[0].out
		if k, ok := b.uniqueKey(r.in[0]); ok {
			same = k
		}
		for _, c := range same {
			down.add(c)
		}
	}
	r.in[0] = b.prune(r.in[0], down)
	// What could not be merged before may be trivial now.
	return b.merge1(r)
}

// merge1 joins a projection with the one beneath it, and drops one that changes
// nothing.
func (b *binder) merge1(r *rel) *rel {
	for r.in[0].op == opProject {
		in := r.in[0]
		count := map[int]int{}
		for _, x := range r.exprs {
			countRefs(x, count)
		}
		ok := true
		for i, c := range in.out {
			x := in.exprs[i]
			if x.Kind == expr.Col || x.Kind == expr.Const && count[c] > 0 {
				continue
			}
			if count[c] > 1 || expr.VolatilityOf(b.env, x) == expr.Volatile {
				ok = false
				break
			}
		}
		if !ok {
			break
		}
		exprs := inline(r.exprs, in)
		r = &rel{op: opProject, in: in.in, out: r.out, exprs: exprs}
	}
	if slices.Equal(r.out, r.in[0].out) {
		same := true
		for i, x := range r.exprs {
			same = same && x.Kind == expr.Col && x.Index == r.out[i]
		}
		if same {
			return r.in[0]
		}
	}
	return r
}

func countRefs(x *expr.Expr, n map[int]int) {
	if x.Kind == expr.Col {
		n[x.Index]++
	}
	for _, a := range x.Args {
		countRefs(a, n)
	}
}

func (b *binder) pruneTopN(r *rel, need set) *rel {
	if r.rank != "" && !need.has(r.out[len(r.out)-1]) {
		if r.limit < 0 && r.offset == 0 {
			return b.prune(r.in[0], need)
		}
		if r.rank == "row_number" {
			r.rank = ""
			r.out = r.out[:len(r.out)-1]
		}
	}
	down := need.clone()
	r.uses(&down)
	added := r.added()
	r.in[0] = b.narrow(b.prune(r.in[0], down), down)
	r.out = append(slices.Clone(r.in[0].out), added...)
	return r
}
