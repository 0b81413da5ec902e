package planner

import (
	"slices"

	"github.com/streamsql/streamsql/sql/ast"
	"github.com/streamsql/streamsql/sql/expr"
	"github.com/streamsql/streamsql/sql/plan"
	"github.com/streamsql/streamsql/sql/sqlerr"
	"github.com/streamsql/streamsql/sql/types"
)

// where keeps the rows of r for which a condition holds. Conditions without
// subqueries come first, then those that are semi joins.
func (b *binder) where(r *rel, sc *scope, x ast.Expr, clause string) *rel {
	return b.whereCtx(r, &exprCtx{b: b, sc: sc, clause: clause}, x)
}

func (b *binder) whereCtx(r *rel, c *exprCtx, x ast.Expr) *rel {
	if x == nil {
		return r
	}
	var parts, later []ast.Expr
	splitAnd(x, &parts)
	var plain []*expr.Expr
	type pending struct {
		cond *expr.Expr
		subs []*rel
	}
	var rest []pending
	for _, p := range parts {
		if isSemi(p) {
			later = append(later, p)
			continue
		}
		var subs []*rel
		c.subs = &subs
		cond := c.cond(p)
		if len(subs) == 0 {
			plain = conjuncts(plain, cond)
		} else {
			rest = append(rest, pending{cond, subs})
		}
	}
	r = filter(r, plain...)
	for _, p := range later {
		var subs []*rel
		c.subs = &subs
		r = c.semi(r, p)
	}
	for _, p := range rest {
		for _, s := range p.subs {
			r = b.apply(plan.Inner, r, s, nil)
		}
		r = filter(r, conjuncts(nil, p.cond)...)
	}
	return r
}

func splitAnd(x ast.Expr, out *[]ast.Expr) {
	for {
		y, ok := x.(*ast.Binary)
		if !ok || y.Op != "and" && y.Op != "AND" {
			*out = append(*out, x)
			return
		}
		splitAnd(y.L, out)
		x = y.R
	}
}

// isSemi tells whether a condition is a subquery that becomes a semi join.
func isSemi(x ast.Expr) bool {
	switch x := x.(type) {
	case *ast.Unary:
		return (x.Op == "not" || x.Op == "NOT") && isSemi(x.X)
	case *ast.Exists:
		return true
	case *ast.In:
		return x.Query != nil
	case *ast.Quantified:
		return x.Query != nil
	}
	return false
}

// target is a column of a SELECT list.
type target struct {
	name string
	x    *expr.Expr
	ast  ast.Expr
}

// selectBody binds a SELECT and the ORDER BY of the query that it is the body of.
func (b *binder) selectBody(q *ast.Select, parent *scope, order []*ast.OrderItem) *output {
	r, sc := b.from(q.From, parent)
	r = b.where(r, sc, q.Where, "WHERE")

	var subs []*rel
	aggs, wins := &aggList{}, &winList{named: q.Windows}
	var unnests []*setBind
	c := &exprCtx{b: b, sc: sc, clause: "SELECT", subs: &subs, aggs: aggs, wins: wins, sets: &unnests}
	targets := c.targets(q.Targets)

	keys, sets, keySubs := c.groupBy(q.GroupBy, targets)
	hc := &exprCtx{b: b, sc: sc, clause: "HAVING", subs: &subs, aggs: aggs}
	var having *expr.Expr
	if q.Having != nil {
		having = hc.cond(q.Having)
	}
	on := c.distinctOn(q, targets)
	sort := c.orderItems(order, targets)
	if q.Distinct {
		for _, s := range sort {
			if !slices.ContainsFunc(targets, func(t target) bool { return same(t.x, s.x) }) {
				panic(sqlerr.New("42P10", "for SELECT DISTINCT, ORDER BY expressions must appear in select list").At(s.x.Pos))
			}
		}
	}
	grouped := len(q.GroupBy) > 0 || q.Having != nil || len(aggs.calls) > 0 || len(aggs.groupings) > 0
	if grouped {
		g := &grouping{b: b, in: r, aggs: aggs, keys: keys, sets: sets, keySubs: keySubs}
		g.build()
		for i := range targets {
			targets[i].x = g.replace(targets[i].x)
		}
		for i := range sort {
			sort[i].x = g.replace(sort[i].x)
		}
		for i := range on {
			on[i] = g.replace(on[i])
		}
		if having != nil {
			having = g.replace(having)
		}
		for _, w := range wins.calls {
			g.replaceWindow(w)
		}
		for _, s := range unnests {
			for i, x := range s.args {
				s.args[i] = g.replace(x)
			}
		}
		for _, s := range subs {
			g.checkSub(s)
		}
		r = g.result()
	}
	for _, s := range subs {
		r = b.apply(plan.Inner, r, s, nil)
	}
	if having != nil {
		r = filter(r, conjuncts(nil, having)...)
	}
	r = b.windows(r, wins)
	for _, s := range unnests {
		r = &rel{op: opUnnest, in: []*rel{r}, setF: s.key, exprs: s.args, made: []int{s.id}, out: append(slices.Clone(r.out), s.id)}
	}
	return b.finish(r, q, targets, on, sort)
}

// finish projects the targets and applies DISTINCT.
func (b *binder) finish(r *rel, q *ast.Select, targets []target, on []*expr.Expr, sort []orderBind) *output {
	o := &output{raw: true}
	var ids []int
	var exprs []*expr.Expr
	var used set
	add := func(name string, x *expr.Expr) int {
		id := -1
		if x.Kind == expr.Col && !used.has(x.Index) {
			id = x.Index
		} else {
			id = b.newCol(name, x.Type)
			if x.Kind == expr.Col {
				b.cols[id].rv = b.cols[x.Index].rv
			}
		}
		used.add(id)
		ids, exprs = append(ids, id), append(exprs, x)
		return id
	}
	for _, t := range targets {
		x := t.x
		if q.Distinct {
			x = b.known(x)
			b.comparable(x.Type, max(x.Pos, q.Offset()))
		}
		id := add(t.name, x)
		o.cols = append(o.cols, nameCol{t.name, id})
	}
	// Sort keys and DISTINCT ON keys that are no targets become hidden columns.
	column := func(x *expr.Expr) int {
		for i, y := range exprs {
			if same(x, y) {
				if x.Type.ID == types.Unknown {
					exprs[i] = b.known(exprs[i])
					b.cols[ids[i]].typ = exprs[i].Type
				}
				return ids[i]
			}
		}
		x = b.known(x)
		return add(b.nameOf(x), x)
	}
	for _, s := range sort {
		o.sort = append(o.sort, sortKey{column(s.x), s.desc, s.nullsFirst})
	}
	var onKeys []int
	for _, x := range on {
		onKeys = append(onKeys, column(x))
	}
	o.r = project(r, ids, exprs)
	switch {
	case q.Distinct:
		in, _ := b.withEnds(o.r, o.r.out)
		o.r = distinct(in)
	case q.DistinctOn != nil:
		b.checkDistinctOn(onKeys, o.sort, q)
		in, ends := b.withEnds(o.r, onKeys)
		o.r = &rel{op: opTopN, in: []*rel{in}, out: in.out, keys: append(onKeys, ends...), order: o.sort, limit: 1}
	}
	return o
}

// checkDistinctOn demands that the first sort keys are those of DISTINCT ON.
func (b *binder) checkDistinctOn(keys []int, sort []sortKey, q *ast.Select) {
	left := setOf(keys)
	for _, s := range sort {
		if left.empty() {
			return
		}
		if !slices.Contains(keys, s.col) {
			panic(sqlerr.New("42P10", "SELECT DISTINCT ON expressions must match initial ORDER BY expressions").At(q.DistinctOn[0].Offset()))
		}
		left.del(s.col)
	}
}

func (c *exprCtx) distinctOn(q *ast.Select, targets []target) []*expr.Expr {
	var out []*expr.Expr
	cc := *c
	cc.clause = "DISTINCT ON"
	for _, x := range q.DistinctOn {
		out = append(out, cc.sortItem(x, targets, "DISTINCT ON"))
	}
	return out
}

// targets binds a SELECT list, with * spelled out.
func (c *exprCtx) targets(ts []*ast.Target) []target {
	b := c.b
	var out []target
	for _, t := range ts {
		if ref, ok := t.Expr.(*ast.ColumnRef); ok && ref.Star {
			var cols []nameCol
			if len(ref.Parts) == 0 {
				if len(c.sc.vars) == 0 {
					panic(sqlerr.New(sqlerr.Syntax, "SELECT * with no tables specified is not valid").At(ref.Offset()))
				}
				cols = c.sc.star
			} else {
				v, _ := b.rangeVarOf(c.sc, ref.Parts, ref.Offset())
				cols = v.cols
			}
			for _, n := range cols {
				out = append(out, target{name: n.name, x: b.colAt(n.id, ref.Offset())})
			}
			continue
		}
		name := t.Alias
		if name == "" {
			name = columnName(t.Expr)
		}
		out = append(out, target{name: name, x: c.bind(t.Expr), ast: t.Expr})
	}
	if len(out) > maxTargets {
		panic(sqlerr.New("54011", "target lists can have at most %d entries", maxTargets).At(ts[0].Expr.Offset()))
	}
	return out
}

// PostgreSQL's limits, which its protocol's clients count on.
const (
	maxColumns = 1600 // of a relation
	maxTargets = 1664 // of a SELECT list
)

func checkColumns(n, pos int) {
	if n > maxColumns {
		panic(sqlerr.New("54011", "tables can have at most %d columns", maxColumns).At(pos))
	}
}

// orderItems binds ORDER BY: an ordinal, an output column, or an expression.
func (c *exprCtx) orderItems(items []*ast.OrderItem, targets []target) []orderBind {
	var out []orderBind
	cc := *c
	cc.clause = "ORDER BY"
	for _, it := range items {
		x := cc.sortItem(it.Expr, targets, "ORDER BY")
		c.b.sortable(x, it.Expr.Offset())
		// A key that is there already orders nothing more.
		if slices.ContainsFunc(out, func(o orderBind) bool { return same(o.x, x) }) {
			continue
		}
		out = append(out, orderBind{x, it.Desc, nullsFirst(it)})
	}
	return out
}

func (c *exprCtx) sortItem(x ast.Expr, targets []target, clause string) *expr.Expr {
	if n, ok := ordinal(x); ok {
		if n < 1 || n > len(targets) {
			panic(badOrdinal(clause, n, x.Offset()))
		}
		return targets[n-1].x
	}
	if l, ok := x.(*ast.Literal); ok {
		panic(sqlerr.New(sqlerr.Syntax, "non-integer constant in %s", clause).At(l.Offset()))
	}
	if ref, ok := x.(*ast.ColumnRef); ok && len(ref.Parts) == 1 && !ref.Star {
		if t := findTarget(targets, ref, clause); t != nil {
			return t.x
		}
	}
	// The same expression as a target is that target: it is computed once.
	return c.bind(x)
}

func findTarget(targets []target, ref *ast.ColumnRef, clause string) *target {
	var found *target
	for i := range targets {
		if t := &targets[i]; t.name == ref.Parts[0] {
			if found != nil && !same(found.x, t.x) {
				panic(sqlerr.New(sqlerr.AmbiguousColumn, `%s "%s" is ambiguous`, clause, t.name).At(ref.Offset()))
			}
			found = t
		}
	}
	return found
}

// windows adds the window functions, one operator for each window.
func (b *binder) windows(r *rel, wins *winList) *rel {
	done := make([]bool, len(wins.calls))
	for i, w := range wins.calls {
		if done[i] {
			continue
		}
		var xs []*expr.Expr
		xs = append(xs, w.partition...)
		for _, o := range w.order {
			xs = append(xs, o.x)
		}
		var ids []int
		r, ids = b.extend(r, xs)
		keys := ids[:len(w.partition):len(w.partition)]
		var ends []int
		r, ends = b.withEnds(r, keys)
		keys = append(keys, ends...)
		var order []sortKey
		for j, o := range w.order {
			order = append(order, sortKey{ids[len(w.partition)+j], o.desc, o.nullsFirst})
		}
		if w.rank != "" {
			done[i] = true
			r = &rel{op: opTopN, in: []*rel{r}, keys: keys, order: order, limit: -1, rank: w.rank,
				out: append(slices.Clone(r.out), w.id)}
			continue
		}
		over := &rel{op: opOver, keys: keys, order: order}
		for j := i; j < len(wins.calls); j++ {
			v := wins.calls[j]
			if done[j] || v.rank != "" || !sameWindow(w, v) {
				continue
			}
			done[j] = true
			args := slices.Clone(v.args)
			if v.filter != nil {
				args = append(args, v.filter)
			}
			var at []int
			r, at = b.extend(r, args)
			a := aggCall{id: v.id, fn: v.fn, kind: v.kind, args: at[:len(v.args):len(v.args)], filter: -1, typ: v.typ, frame: v.frame}
			if v.filter != nil {
				a.filter = at[len(v.args)]
			}
			over.aggs = append(over.aggs, a)
		}
		over.in = []*rel{r}
		over.out = slices.Clone(r.out)
		for _, a := range over.aggs {
			over.out = append(over.out, a.id)
		}
		r = over
	}
	return r
}

func sameWindow(a, c *winBind) bool {
	if len(a.partition) != len(c.partition) || len(a.order) != len(c.order) {
		return false
	}
	for i := range a.partition {
		if !same(a.partition[i], c.partition[i]) {
			return false
		}
	}
	for i := range a.order {
		x, y := a.order[i], c.order[i]
		if x.desc != y.desc || x.nullsFirst != y.nullsFirst || !same(x.x, y.x) {
			return false
		}
	}
	return true
}

// columnName is the name that Postgres gives to a column without an alias.
func columnName(x ast.Expr) string {
	if n, _ := figureName(x); n != "" {
		return n
	}
	return "?column?"
}

// figureName finds the name of an expression's column; weak: a cast around it
// gives its own.
func figureName(x ast.Expr) (name string, weak bool) {
	switch x := x.(type) {
	case *ast.ColumnRef:
		if len(x.Parts) > 0 {
			return x.Parts[len(x.Parts)-1], false
		}
	case *ast.Field:
		return x.Name, false
	case *ast.Index:
		return figureName(x.X)
	case *ast.Call:
		return x.Name.Base(), false
	case *ast.Cast:
		if n, weak := figureName(x.X); n != "" && !weak {
			return n, false
		}
		return x.Type.Parts[len(x.Type.Parts)-1], true
	case *ast.TypedLiteral:
		return x.Type.Parts[len(x.Type.Parts)-1], true
	case *ast.Collate:
		return figureName(x.X)
	case *ast.Case:
		if x.Else != nil {
			if n, weak := figureName(x.Else); n != "" && !weak {
				return n, false
			}
		}
		return "case", true
	case *ast.Exists:
		return "exists", false
	case *ast.ArraySubquery, *ast.Array:
		return "array", false
	case *ast.ScalarSubquery:
		if s, ok := firstSelect(x.Query.Body); ok && len(s.Targets) == 1 {
			if t := s.Targets[0]; t.Alias != "" {
				return t.Alias, false
			} else {
				n, _ := figureName(t.Expr)
				return n, false
			}
		}
		if _, ok := x.Query.Body.(*ast.Values); ok {
			return "column1", false
		}
	case *ast.Row:
		return "row", false
	case *ast.Extract:
		return "extract", false
	case *ast.AtTimeZone:
		return "timezone", false
	}
	return "", true
}

func firstSelect(q ast.QueryBody) (*ast.Select, bool) {
	for {
		switch x := q.(type) {
		case *ast.Select:
			return x, true
		case *ast.SetOp:
			q = x.Left
		case *ast.Query:
			q = x.Body
		default:
			return nil, false
		}
	}
}
