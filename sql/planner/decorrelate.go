package planner

import (
	"slices"

	"github.com/streamsql/streamsql/sql/expr"
	"github.com/streamsql/streamsql/sql/plan"
	"github.com/streamsql/streamsql/sql/types"
)

// Decorrelation. A relation r that names columns of l, to be evaluated for each
// row of l, becomes a join. Two ways:
//
//   - Pull: what correlates r are conditions, which move up out of r and become
//     those of the join. Where an aggregate or a limit stands above them, they
//     must be equalities: the inner side becomes a key of it.
//   - Push (Neumann, Kemper: Unnesting Arbitrary Queries, BTW 2015): r is joined
//     with the distinct values of the columns of l that it names, and carries
//     them along to its top, where l is joined with it.
//
// A query is bound inside out, so r itself holds no correlation with anything
// between it and l any more; what it names beyond l stays.

// apply joins each row of l with the rows of r for it for which conds hold.
func (b *binder) apply(kind plan.JoinKind, l, r *rel, conds []*expr.Expr) *rel {
	if kind == plan.Semi || kind == plan.Anti {
		for r.op == opProject {
			conds = inline(conds, r)
			r = r.in[0]
		}
	}
	lout := setOf(l.out)
	free := r.outer().and(lout)
	if free.empty() {
		return join(kind, l, r, conds)
	}
	if kind == plan.Left && len(conds) == 0 && exactlyOne(r) {
		kind = plan.Inner
	}
	if in, pulled, ok := b.pull(r, free, false); ok {
		return join(kind, l, in, append(pulled, conds...))
	}
	if kind == plan.Inner {
		if j := b.applyAbove(l, r, conds); j != nil {
			return j
		}
	}
	return b.carryOver(kind, l, r, free, conds)
}

// inline replaces the columns that p, a projection, computes by their expressions.
func inline(xs []*expr.Expr, p *rel) []*expr.Expr {
	m := make(map[int]*expr.Expr, len(p.out))
	for i, c := range p.out {
		m[c] = p.exprs[i]
	}
	out := make([]*expr.Expr, len(xs))
	for i, x := range xs {
		out[i] = substitute(x, m)
	}
	return out
}

func substitute(x *expr.Expr, m map[int]*expr.Expr) *expr.Expr {
	return rewrite(x, func(c *expr.Expr) *expr.Expr {
		if c.Kind == expr.Col {
			return m[c.Index]
		}
		return nil
	})
}

// applyAbove moves the operators of r above the join, where they may name l's
// columns, so that what is joined is less. A scalar aggregate, whose row for an
// empty input must not get lost, is grouped.
func (b *binder) applyAbove(l, r *rel, conds []*expr.Expr) *rel {
	above := func(more []*expr.Expr) []*expr.Expr { return append(slices.Clone(more), conds...) }
	switch r.op {
	case opProject:
		j := b.apply(plan.Inner, l, r.in[0], nil)
		out, exprs := slices.Clone(l.out), b.colsOf(l.out)
		have := setOf(out)
		for i, c := range r.out {
			if !have.has(c) {
				out, exprs = append(out, c), append(exprs, r.exprs[i])
			}
		}
		return filter(project(j, out, exprs), conds...)
	case opFilter:
		return filter(b.apply(plan.Inner, l, r.in[0], nil), above(r.conds)...)
	case opAgg:
		if len(r.keys) == 0 {
			return b.applyScalar(l, r, conds)
		}
	case opWindow, opUnnest:
		if r.isSession() {
			return nil // each row of l has sessions of its own
		}
		j := b.apply(plan.Inner, l, r.in[0], nil)
		n := *r
		n.known = false
		n.in = []*rel{j}
		n.out = append(slices.Clone(j.out), r.made...)
		return filter(&n, conds...)
	case opJoin:
		x, y := r.in[0], r.in[1]
		if r.kind == plan.Left && len(r.conds) == 0 && exactlyOne(y) || r.kind == plan.Inner {
			lout := setOf(l.out)
			if !x.outer().meets(lout) {
				x, y = y, x
			}
			j := b.apply(plan.Inner, b.apply(plan.Inner, l, x, nil), y, nil)
			return filter(j, above(r.conds)...)
		}
		if r.kind == plan.Left || r.kind == plan.Semi || r.kind == plan.Anti {
			j := b.apply(plan.Inner, l, x, nil)
			return filter(b.apply(r.kind, j, y, r.conds), conds...)
		}
	}
	return nil
}

// applyScalar joins l with an aggregate without keys: the aggregate is grouped by
// what correlates it, and a row of l without a group gets the values of an empty one.
func (b *binder) applyScalar(l, r *rel, conds []*expr.Expr) *rel {
	free := r.outer().and(setOf(l.out))
	in, pulled, ok := b.pull(r.in[0], free, true)
	if !ok {
		return nil
	}
	in, keys, pulled, ok := b.equalities(in, free, pulled)
	if !ok {
		return nil
	}
	for i := range r.aggs {
		// More than one row is an error where l has a row for it, and only there.
		if k, unique := b.uniqueKey(in); r.aggs[i].kind == expr.AggSingle && !(unique && setOf(k).within(setOf(keys))) {
			return nil
		}
	}
	g := *r
	g.known = false
	g.in, g.keys = []*rel{in}, keys
	g.out = append(append([]int(nil), keys...), r.out...)
	j, m := b.orEmpty(&g)
	return filter(b.withEmpty(join(plan.Left, l, j, pulled), l.out, m), conds...)
}

// orEmpty renames the counts of a grouped aggregate, whose value for an empty
// group is not NULL. It returns the new names.
func (b *binder) orEmpty(g *rel) (*rel, []counted) {
	var m []counted
	n := *g
	n.aggs = append([]aggCall(nil), g.aggs...)
	n.out = append([]int(nil), g.keys...)
	for i := range n.aggs {
		a := &n.aggs[i]
		c := counted{id: a.id, from: a.id}
		if a.kind == expr.AggCount || a.kind == expr.AggCountStar {
			c.from = b.copyCol(a.id)
			a.id = c.from
		}
		n.out = append(n.out, a.id)
		m = append(m, c)
	}
	return &n, m
}

// counted is an aggregate's column id, and the one that it is computed from.
type counted struct{ id, from int }

// withEmpty gives the counts their value for an empty group.
func (b *binder) withEmpty(j *rel, keep []int, m []counted) *rel {
	out, exprs := append([]int(nil), keep...), make([]*expr.Expr, 0, len(keep)+len(m))
	for _, c := range keep {
		exprs = append(exprs, b.col(c))
	}
	for _, c := range m {
		x := b.col(c.from)
		if c.from != c.id {
			x = &expr.Expr{Kind: expr.Coal, Type: x.Type, Args: []*expr.Expr{x, constant(x.Type.ID, types.Datum{})}, Pos: -1}
		}
		out, exprs = append(out, c.id), append(exprs, x)
	}
	return project(j, out, exprs)
}

// split parts conds into those that name columns of s and the others.
func split(conds []*expr.Expr, s set) (with, without []*expr.Expr) {
	for _, c := range conds {
		if refersTo(c, s) {
			with = append(with, c)
		} else {
			without = append(without, c)
		}
	}
	return with, without
}

// pull moves the conditions of r that name columns of free up. The relation that
// it returns has at least the columns of r, those that the conditions name, and
// nothing of free. eq says that only equalities will do, for an early answer.
func (b *binder) pull(r *rel, free set, eq bool) (*rel, []*expr.Expr, bool) {
	if !r.outer().meets(free) {
		return r, nil, true
	}
	switch r.op {
	case opFilter:
		in, up, ok := b.pull(r.in[0], free, eq)
		if !ok {
			return nil, nil, false
		}
		with, without := split(r.conds, free)
		if eq {
			for _, c := range with {
				if _, _, _, ok := equality(c, setOf(in.out)); !ok && refersTo(c, setOf(in.out)) {
					return nil, nil, false
				}
			}
		}
		return filter(in, without...), append(up, with...), true
	case opProject:
		for _, x := range r.exprs {
			if refersTo(x, free) {
				return nil, nil, false
			}
		}
		in, up, ok := b.pull(r.in[0], free, eq)
		if !ok {
			return nil, nil, false
		}
		p := *r
		p.known = false
		p.in = []*rel{in}
		b.carry(&p, in, up)
		return &p, up, true
	case opJoin:
		return b.pullJoin(r, free, eq)
	case opWindow, opUnnest:
		for _, x := range r.exprs {
			if refersTo(x, free) {
				return nil, nil, false
			}
		}
		if r.isSession() {
			return b.pullKeyed(r, free)
		}
		in, up, ok := b.pull(r.in[0], free, eq)
		if !ok {
			return nil, nil, false
		}
		p := *r
		p.known = false
		p.in = []*rel{in}
		p.out = append(append([]int(nil), in.out...), r.added()...)
		return &p, up, true
	case opAgg, opDistinct, opTopN, opOver:
		if r.op == opAgg && len(r.keys) == 0 {
			return nil, nil, false
		}
		return b.pullKeyed(r, free)
	}
	return nil, nil, false
}

// pullKeyed pulls conditions from beneath an operator that works by keys: they
// must be equalities, whose inner sides become further keys.
func (b *binder) pullKeyed(r *rel, free set) (*rel, []*expr.Expr, bool) {
	var own set
	r.uses(&own)
	if own.meets(free) {
		return nil, nil, false
	}
	in, up, ok := b.pull(r.in[0], free, true)
	if !ok {
		return nil, nil, false
	}
	in, keys, up, ok := b.equalities(in, free, up)
	if !ok {
		return nil, nil, false
	}
	return b.keyed(r, in, keys), up, true
}

// keyed is r over in with more keys.
func (b *binder) keyed(r, in *rel, keys []int) *rel {
	p := *r
	p.known = false
	have := setOf(r.keys)
	p.keys = append([]int(nil), r.keys...)
	for _, k := range keys {
		if !have.has(k) {
			have.add(k)
			p.keys = append(p.keys, k)
		}
	}
	switch r.op {
	case opAgg:
		p.in = []*rel{in}
		p.out = append([]int(nil), p.keys...)
		for i := range r.aggs {
			p.out = append(p.out, r.aggs[i].id)
		}
	case opDistinct:
		// Each row once for each of the keys.
		p.keys = nil
		want := append([]int(nil), r.out...)
		have := setOf(want)
		for _, k := range keys {
			if !have.has(k) {
				have.add(k)
				want = append(want, k)
			}
		}
		in = b.pick(in, want)
		p.in, p.out = []*rel{in}, want
	default:
		p.in = []*rel{in}
		p.out = append(append([]int(nil), in.out...), r.added()...)
	}
	return &p
}

// carry adds to a projection the columns of its input that up names.
func (b *binder) carry(p, in *rel, up []*expr.Expr) {
	have, inner := setOf(p.out), setOf(in.out)
	p.out = append([]int(nil), p.out...)
	p.exprs = append([]*expr.Expr(nil), p.exprs...)
	for _, c := range refs(up...).list() {
		if inner.has(c) && !have.has(c) {
			p.out = append(p.out, c)
			p.exprs = append(p.exprs, b.col(c))
		}
	}
}

func (b *binder) pullJoin(r *rel, free set, eq bool) (*rel, []*expr.Expr, bool) {
	switch r.kind {
	case plan.Inner:
		l, up, ok := b.pull(r.in[0], free, eq)
		if !ok {
			return nil, nil, false
		}
		rr, up2, ok := b.pull(r.in[1], free, eq)
		if !ok {
			return nil, nil, false
		}
		with, without := split(r.conds, free)
		return join(plan.Inner, l, rr, without), append(append(up, up2...), with...), true
	case plan.Left, plan.Semi, plan.Anti:
		if with, _ := split(r.conds, free); len(with) > 0 || r.in[1].outer().meets(free) {
			return nil, nil, false
		}
		l, up, ok := b.pull(r.in[0], free, eq)
		if !ok {
			return nil, nil, false
		}
		return join(r.kind, l, r.in[1], r.conds), up, true
	}
	return nil, nil, false
}

// equality reads c as inner = outer, where inner names columns of in alone and
// outer none of them.
func equality(c *expr.Expr, in set) (inner, outer *expr.Expr, swap, ok bool) {
	if c.Kind != expr.Call || len(c.Args) != 2 || fnName(c.Fn) != "=" {
		return nil, nil, false, false
	}
	l, r := c.Args[0], c.Args[1]
	switch ls, rs := refs(l), refs(r); {
	case !ls.empty() && ls.within(in) && !rs.meets(in):
		return l, r, false, true
	case !rs.empty() && rs.within(in) && !ls.meets(in):
		return r, l, true, true
	}
	return nil, nil, false, false
}

// equalities turns conditions into keys: each must be an equality, or not be
// about in at all. It returns in with the inner sides as columns, those, and the
// conditions over them.
func (b *binder) equalities(in *rel, free set, conds []*expr.Expr) (*rel, []int, []*expr.Expr, bool) {
	inner := setOf(in.out)
	var sides []*expr.Expr
	for _, c := range conds {
		x, _, _, ok := equality(c, inner)
		if !ok {
			// A condition on the outer row alone would leave the group out.
			return nil, nil, nil, false
		}
		sides = append(sides, x)
	}
	in, keys := b.extend(in, sides)
	out := make([]*expr.Expr, len(conds))
	for i, c := range conds {
		_, _, swap, _ := equality(c, inner)
		n := *c
		n.Args = append([]*expr.Expr(nil), c.Args...)
		at := 0
		if swap {
			at = 1
		}
		k := b.col(keys[i])
		k.Pos = c.Args[at].Pos
		n.Args[at] = k
		out[i] = &n
	}
	var unique []int
	var have set
	for _, k := range keys {
		if !have.has(k) {
			have.add(k)
			unique = append(unique, k)
		}
	}
	return in, unique, out, true
}
