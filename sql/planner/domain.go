package planner

import (
	"github.com/streamsql/streamsql/sql/expr"
	"github.com/streamsql/streamsql/sql/plan"
)

// carryOver evaluates r for the distinct values of l's columns free.
func (b *binder) carryOver(kind plan.JoinKind, l, r *rel, free set, conds []*expr.Expr) *rel {
	d := &domain{b: b, free: free, cols: free.list(), l: l}
	in, m := d.carry(r)
	return join(kind, l, in, append(d.match(m, nil), conds...))
}

// domain is the set of outer bindings, made anew wherever it is needed.
type domain struct {
	b    *binder
	free set
	cols []int
	l    *rel
}

// rel returns the bindings, and the column of each of free.
func (d *domain) rel() (*rel, map[int]int) {
	m := map[int]int{}
	c := d.b.clone(d.l, m)
	for _, f := range d.cols {
		if _, ok := m[f]; !ok {
			panic(internal("column %d is not of the outer query", f))
		}
	}
	only := make(map[int]int, len(d.cols))
	ids := make([]int, len(d.cols))
	for i, f := range d.cols {
		ids[i], only[f] = m[f], m[f]
	}
	p := d.b.pick(c, ids)
	if k, ok := d.b.uniqueKey(p); ok && setOf(k).within(setOf(ids)) {
		return p, only
	}
	return distinct(p), only
}

// match compares the bindings of two relations: l's own columns when a is nil.
func (d *domain) match(m, a map[int]int) []*expr.Expr {
	var out []*expr.Expr
	for _, f := range d.cols {
		x := f
		if a != nil {
			x = a[f]
		}
		out = append(out, d.b.sameValue(d.b.col(x), d.b.col(m[f])))
	}
	return out
}

// sameValue is x IS NOT DISTINCT FROM y.
func (b *binder) sameValue(x, y *expr.Expr) *expr.Expr {
	return not(b.mustCall(isDistinctFrom, x, y))
}

func (d *domain) ids(m map[int]int) []int {
	out := make([]int, len(d.cols))
	for i, f := range d.cols {
		out[i] = m[f]
	}
	return out
}

// carry returns r for each binding, with the columns of the binding.
func (d *domain) carry(r *rel) (*rel, map[int]int) {
	b := d.b
	if !r.outer().meets(d.free) {
		dom, m := d.rel()
		return join(plan.Inner, dom, r, nil), m
	}
	switch r.op {
	case opFilter:
		in, m := d.carry(r.in[0])
		return filter(in, mapExprs(r.conds, m)...), m
	case opProject:
		in, m := d.carry(r.in[0])
		ids := d.ids(m)
		out, exprs := append([]int(nil), r.out...), mapExprs(r.exprs, m)
		for _, c := range ids {
			out, exprs = append(out, c), append(exprs, b.col(c))
		}
		return project(in, out, exprs), m
	case opJoin:
		return d.carryJoin(r)
	case opAgg:
		in, m := d.carry(r.in[0])
		g := b.keyed(r.renamed(m), in, d.ids(m))
		if len(r.keys) > 0 {
			return g, m
		}
		n, counts := b.orEmpty(g)
		dom, dm := d.rel()
		j := join(plan.Left, dom, n, d.match(m, dm))
		return b.withEmpty(j, d.ids(dm), counts), dm
	case opDistinct, opTopN, opOver:
		in, m := d.carry(r.in[0])
		n := r.renamed(m)
		n.in = r.in
		return b.keyed(n, in, d.ids(m)), m
	case opUnion, opSetOp:
		n := *r
		n.known = false
		n.in, n.cols = nil, nil
		dm := map[int]int{}
		n.out = append([]int(nil), r.out...)
		for _, f := range d.cols {
			dm[f] = b.copyCol(f)
			n.out = append(n.out, dm[f])
		}
		for i, x := range r.in {
			in, m := d.carry(x)
			n.in = append(n.in, in)
			n.cols = append(n.cols, append(mapIDs(r.cols[i], m), d.ids(m)...))
		}
		return &n, dm
	case opWindow, opUnnest:
		in, m := d.carry(r.in[0])
		n := r.renamed(m)
		if r.isSession() {
			n.in = r.in
			return b.keyed(n, in, d.ids(m)), m
		}
		n.in = []*rel{in}
		n.out = append(append([]int(nil), in.out...), r.added()...)
		return n, m
	case opValues:
		return d.carryValues(r)
	}
	panic(internal("operator %d cannot be correlated", r.op))
}

func (d *domain) carryJoin(r *rel) (*rel, map[int]int) {
	b := d.b
	lc, rc := r.in[0].outer().meets(d.free), r.in[1].outer().meets(d.free)
	leftOnly := r.kind != plan.Right && r.kind != plan.Full
	switch {
	case leftOnly && !rc:
		// The binding of the left side serves the conditions as well.
		l, m := d.carry(r.in[0])
		return join(r.kind, l, r.in[1], mapExprs(r.conds, m)), m
	case r.kind == plan.Inner && !lc, r.kind == plan.Right && !lc:
		rr, m := d.carry(r.in[1])
		return join(r.kind, r.in[0], rr, mapExprs(r.conds, m)), m
	}
	l, lm := d.carry(r.in[0])
	rr, rm := d.carry(r.in[1])
	conds := append(d.match(rm, lm), mapExprs(r.conds, lm)...)
	j := join(r.kind, l, rr, conds)
	switch r.kind {
	case plan.Right:
		return j, rm
	case plan.Full:
		// The binding is on whichever side the row is.
		m := map[int]int{}
		var xs []*expr.Expr
		for _, f := range d.cols {
			xs = append(xs, &expr.Expr{Kind: expr.Coal, Type: b.cols[f].typ, Pos: -1,
				Args: []*expr.Expr{b.col(lm[f]), b.col(rm[f])}})
		}
		p, ids := b.extend(j, xs)
		for i, f := range d.cols {
			m[f] = ids[i]
		}
		return p, m
	}
	return j, lm
}

// carryValues is a VALUES list over outer columns: a projection of the bindings
// for each row.
func (d *domain) carryValues(r *rel) (*rel, map[int]int) {
	b := d.b
	u := &rel{op: opUnion, out: append([]int(nil), r.out...)}
	um := map[int]int{}
	for _, f := range d.cols {
		um[f] = b.copyCol(f)
		u.out = append(u.out, um[f])
	}
	for _, row := range r.rows {
		dom, m := d.rel()
		var out []int
		exprs := mapExprs(row, m)
		for _, c := range r.out {
			out = append(out, b.copyCol(c))
		}
		cols := append([]int(nil), out...)
		for _, c := range d.ids(m) {
			out, exprs, cols = append(out, c), append(exprs, b.col(c)), append(cols, c)
		}
		u.in = append(u.in, project(dom, out, exprs))
		u.cols = append(u.cols, cols)
	}
	return u, um
}
