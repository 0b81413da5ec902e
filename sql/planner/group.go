package planner

import (
	"slices"

	"github.com/streamsql/streamsql/sql/ast"
	"github.com/streamsql/streamsql/sql/expr"
	"github.com/streamsql/streamsql/sql/plan"
	"github.com/streamsql/streamsql/sql/sqlerr"
	"github.com/streamsql/streamsql/sql/types"
)

// grouping builds the aggregate of a SELECT, and turns expressions over its rows
// into expressions over its groups.
type grouping struct {
	b       *binder
	in      *rel
	aggs    *aggList
	keys    []*expr.Expr
	sets    [][]int // grouping sets, by index into keys; nil: one of all keys
	keySubs []*rel

	rows  set // columns of the rows
	keyID []int
	isKey set
	extra []int // columns that a key determines, added as they are needed
	calls []aggCall
}

// groupBy binds GROUP BY. sets is nil without grouping sets.
func (c *exprCtx) groupBy(items []ast.Expr, targets []target) (keys []*expr.Expr, sets [][]int, subs []*rel) {
	if len(items) == 0 {
		return nil, nil, nil
	}
	gc := &exprCtx{b: c.b, sc: c.sc, clause: "GROUP BY", subs: &subs}
	key := func(x ast.Expr) int {
		e := gc.groupItem(x, targets)
		c.b.comparable(e.Type, x.Offset())
		for i, k := range keys {
			if same(k, e) {
				return i
			}
		}
		keys = append(keys, e)
		return len(keys) - 1
	}
	list := func(x ast.Expr) []int {
		if r, ok := x.(*ast.Row); ok {
			out := []int{}
			for _, it := range r.Items {
				out = append(out, key(it))
			}
			return out
		}
		return []int{key(x)}
	}
	sets = [][]int{{}}
	multi := false
	for _, it := range items {
		g, ok := it.(*ast.GroupingSet)
		if !ok {
			k := list(it)
			for i := range sets {
				sets[i] = append(slices.Clone(sets[i]), k...)
			}
			continue
		}
		multi = true
		var alts [][]int
		c.groupingSet(g, list, &alts)
		var next [][]int
		for _, s := range sets {
			for _, a := range alts {
				next = append(next, append(slices.Clone(s), a...))
			}
		}
		if sets = next; len(sets) > 4096 {
			panic(sqlerr.New("54011", "too many grouping sets present (maximum 4096)").At(g.Offset()))
		}
	}
	if !multi {
		sets = nil
	}
	return keys, sets, subs
}

func (c *exprCtx) groupingSet(g *ast.GroupingSet, list func(ast.Expr) []int, out *[][]int) {
	var items [][]int
	if g.Kind != ast.GroupingSets {
		for _, it := range g.Items {
			items = append(items, list(it))
		}
	}
	switch g.Kind {
	case ast.Rollup:
		for n := len(items); n >= 0; n-- {
			*out = append(*out, slices.Concat(append([][]int{{}}, items[:n]...)...))
		}
	case ast.Cube:
		if len(items) > 12 {
			panic(sqlerr.New("54011", "CUBE is limited to 12 elements").At(g.Offset()))
		}
		for m := 1<<len(items) - 1; m >= 0; m-- {
			s := []int{}
			for i, it := range items {
				if m&(1<<(len(items)-1-i)) != 0 {
					s = append(s, it...)
				}
			}
			*out = append(*out, s)
		}
	default:
		for _, it := range g.Items {
			if n, ok := it.(*ast.GroupingSet); ok {
				c.groupingSet(n, list, out)
			} else {
				*out = append(*out, list(it))
			}
		}
	}
}

// groupItem binds a key: an ordinal, a column of FROM, an output column, or an
// expression.
func (c *exprCtx) groupItem(x ast.Expr, targets []target) *expr.Expr {
	b := c.b
	check := func(e *expr.Expr) *expr.Expr { return b.known(e) }
	if n, ok := ordinal(x); ok {
		if n < 1 || n > len(targets) {
			panic(badOrdinal("GROUP BY", n, x.Offset()))
		}
		t := targets[n-1]
		if t.ast != nil {
			return check(c.bind(t.ast)) // again, so that an aggregate in it is an error
		}
		return check(t.x)
	}
	if l, ok := x.(*ast.Literal); ok && l.Kind != ast.BoolLiteral {
		panic(sqlerr.New(sqlerr.Syntax, "non-integer constant in GROUP BY").At(l.Offset()))
	}
	if ref, ok := x.(*ast.ColumnRef); ok && len(ref.Parts) == 1 && !ref.Star {
		here := slices.ContainsFunc(c.sc.star, func(n nameCol) bool { return n.name == ref.Parts[0] })
		if t := findTarget(targets, ref, "GROUP BY"); !here && t != nil {
			if t.ast != nil {
				return check(c.bind(t.ast))
			}
			return check(t.x)
		}
	}
	return check(c.bind(x))
}

// build computes the keys and the arguments of the aggregates under the aggregate.
func (g *grouping) build() {
	b := g.b
	g.rows = setOf(g.in.out)
	for _, s := range append(slices.Clone(g.keySubs), g.aggs.subs...) {
		g.in = b.apply(plan.Inner, g.in, s, nil)
	}
	xs := slices.Clone(g.keys)
	for _, a := range g.aggs.calls {
		xs = append(xs, a.args...)
		if a.filter != nil {
			xs = append(xs, a.filter)
		}
		for _, o := range a.order {
			xs = append(xs, o.x)
		}
	}
	in, ids := b.extend(g.in, xs)
	g.in = in
	next := func() int {
		id := ids[0]
		ids = ids[1:]
		return id
	}
	for _, k := range g.keys {
		id := next()
		if k.Kind == expr.Col && k.Index != id && !g.rows.has(k.Index) {
			// A column of an outer query is a constant here.
			b.cols[id].name = b.cols[k.Index].name
		}
		g.keyID = append(g.keyID, id)
	}
	g.isKey = setOf(g.keyID)
	for _, a := range g.aggs.calls {
		call := aggCall{id: a.id, fn: a.f.Key(), kind: a.f.Kind, filter: -1, distinct: a.distinct, typ: a.f.Ret}
		for range a.args {
			call.args = append(call.args, next())
		}
		if a.filter != nil {
			call.filter = next()
		}
		for _, o := range a.order {
			call.order = append(call.order, sortKey{next(), o.desc, o.nullsFirst})
		}
		g.calls = append(g.calls, call)
	}
}

// replace turns an expression over rows into one over groups; 42803 when it needs
// a column that differs within a group.
func (g *grouping) replace(x *expr.Expr) *expr.Expr {
	b := g.b
	return rewrite(x, func(e *expr.Expr) *expr.Expr {
		for i, k := range g.keys {
			if same(e, k) {
				c := b.col(g.keyID[i])
				c.Pos = e.Pos
				return c
			}
		}
		if e.Kind == expr.Col && g.rows.has(e.Index) && !g.isKey.has(e.Index) {
			if !g.determined(e.Index) {
				panic(sqlerr.New(sqlerr.Grouping, `column "%s" must appear in the GROUP BY clause or be used in an aggregate function`,
					b.qualified(e.Index)).At(e.Pos))
			}
			g.extra = append(g.extra, e.Index)
			g.isKey.add(e.Index)
		}
		return nil
	})
}

// qualified names a column as Postgres' messages do.
func (b *binder) qualified(id int) string {
	c := b.cols[id]
	if c.rv != nil && c.rv.name != "" {
		return c.rv.name + "." + c.name
	}
	return c.name
}

// determined tells whether a column is one for each group because the primary key
// of its table is among the keys.
func (g *grouping) determined(id int) bool {
	v := g.b.cols[id].rv
	if v == nil || v.obj == nil || len(v.obj.PrimaryKey) == 0 || g.sets != nil {
		return false
	}
	for _, k := range v.obj.PrimaryKey {
		if k >= len(v.cols) || !g.isKey.has(v.cols[k].id) {
			return false
		}
	}
	return slices.ContainsFunc(v.cols, func(c nameCol) bool { return c.id == id })
}

func (g *grouping) replaceWindow(w *winBind) {
	for i := range w.args {
		w.args[i] = g.replace(w.args[i])
	}
	for i := range w.partition {
		w.partition[i] = g.replace(w.partition[i])
	}
	for i := range w.order {
		w.order[i].x = g.replace(w.order[i].x)
	}
	if w.filter != nil {
		w.filter = g.replace(w.filter)
	}
}

// checkSub demands that a subquery names keys of the groups alone.
func (g *grouping) checkSub(s *rel) {
	for _, c := range s.outer().and(g.rows).list() {
		if g.isKey.has(c) {
			continue
		}
		if g.determined(c) {
			g.extra = append(g.extra, c)
			g.isKey.add(c)
			continue
		}
		panic(sqlerr.New(sqlerr.Grouping, `subquery uses ungrouped column "%s" from outer query`, g.b.qualified(c)))
	}
}

// result is the aggregate, with a window's end as a key beside its start.
func (g *grouping) result() *rel {
	if g.sets != nil {
		return g.union()
	}
	keys := append(slices.Clone(g.keyID), g.extra...)
	in, ends := g.b.withEnds(g.in, keys)
	r := aggregate(in, uniqueIDs(append(keys, ends...)), g.calls)
	if len(g.aggs.groupings) == 0 {
		return r
	}
	out, exprs := slices.Clone(r.out), g.b.colsOf(r.out)
	for _, c := range g.aggs.groupings {
		out, exprs = append(out, c.id), append(exprs, g.bits(c, g.all()))
	}
	return project(r, out, exprs)
}

// all are the indexes of all keys.
func (g *grouping) all() []int {
	out := make([]int, len(g.keys))
	for i := range out {
		out[i] = i
	}
	return out
}

// bits is the value of GROUPING in the rows of a grouping set.
func (g *grouping) bits(c *groupingCall, of []int) *expr.Expr {
	var v int64
	for _, a := range c.args {
		k := slices.IndexFunc(g.keys, func(x *expr.Expr) bool { return same(x, a) })
		if k < 0 {
			panic(sqlerr.New(sqlerr.Grouping, "arguments to GROUPING must be grouping expressions of the associated query level").At(a.Pos))
		}
		v <<= 1
		if !slices.Contains(of, k) {
			v |= 1
		}
	}
	return constant(types.Int4, types.Datum{I: v})
}

func uniqueIDs(ids []int) []int {
	var have set
	out := ids[:0:0]
	for _, c := range ids {
		if !have.has(c) {
			have.add(c)
			out = append(out, c)
		}
	}
	return out
}

// union is an aggregate for each grouping set, with NULL for the keys that it
// leaves out.
func (g *grouping) union() *rel {
	b := g.b
	u := &rel{op: opUnion, out: slices.Clone(g.keyID)}
	for _, c := range g.calls {
		u.out = append(u.out, c.id)
	}
	for _, c := range g.aggs.groupings {
		u.out = append(u.out, c.id)
	}
	for _, s := range g.sets {
		m := map[int]int{}
		in := b.clone(g.in, m)
		var keys []int
		for _, k := range s {
			keys = append(keys, mapID(g.keyID[k], m))
		}
		calls := slices.Clone(g.calls)
		for i := range calls {
			c := &calls[i]
			c.id, c.args, c.order = b.copyCol(c.id), mapIDs(c.args, m), mapOrder(c.order, m)
			if c.filter >= 0 {
				c.filter = mapID(c.filter, m)
			}
		}
		in, ends := b.withEnds(in, keys)
		a := aggregate(in, uniqueIDs(append(keys, ends...)), calls)
		var ids []int
		var exprs []*expr.Expr
		for i, id := range g.keyID {
			x := null(b.cols[id].typ)
			if slices.Contains(s, i) {
				x = b.col(mapID(id, m))
			}
			ids, exprs = append(ids, b.copyCol(id)), append(exprs, x)
		}
		for _, c := range calls {
			ids, exprs = append(ids, b.copyCol(c.id)), append(exprs, b.col(c.id))
		}
		for _, c := range g.aggs.groupings {
			ids, exprs = append(ids, b.copyCol(c.id)), append(exprs, g.bits(c, s))
		}
		u.in, u.cols = append(u.in, project(a, ids, exprs)), append(u.cols, ids)
	}
	return u
}
