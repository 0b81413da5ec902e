package planner

import (
	"github.com/streamsql/streamsql/sql/ast"
	"github.com/streamsql/streamsql/sql/expr"
	"github.com/streamsql/streamsql/sql/plan"
	"github.com/streamsql/streamsql/sql/sqlerr"
	"github.com/streamsql/streamsql/sql/types"
)

// Subqueries in expressions. Each becomes a relation of exactly one row (a scalar
// aggregate), which is joined to the relation around it; the expression then
// names its column. Those that are conditions of their own become semi and anti
// joins instead (semi). See decorrelate.go for the joins.

// subquery binds a query that stands in an expression.
func (c *exprCtx) subquery(q *ast.Query) *output {
	if c.subs == nil {
		if c.noSubs != "" {
			panic(unsupported(q.Offset(), "a subquery in %s", c.noSubs))
		}
		panic(sqlerr.New(sqlerr.FeatureNotSupported, "cannot use subquery in %s", c.clause).At(q.Offset()))
	}
	return c.b.query(q, c.sc)
}

// one adds a relation of exactly one row.
func (c *exprCtx) one(r *rel) { *c.subs = append(*c.subs, r) }

func (c *exprCtx) scalar(x *ast.ScalarSubquery) *expr.Expr {
	b := c.b
	o := c.subquery(x.Query)
	if len(o.cols) != 1 {
		panic(sqlerr.New(sqlerr.Syntax, "subquery must return only one column").At(x.Offset()))
	}
	r := b.closed(o)
	id := o.cols[0].id
	if !exactlyOne(r) {
		a := b.aggOf("single_value", id)
		b.cols[a.id].name = b.cols[id].name
		r, id = aggregate(r, nil, []aggCall{a}), a.id
	}
	c.one(r)
	return b.colAt(id, x.Offset())
}

// rowSubquery is a subquery of one row of several columns.
func (c *exprCtx) rowSubquery(x *ast.ScalarSubquery) []*expr.Expr {
	b := c.b
	o := c.subquery(x.Query)
	var aggs []aggCall
	var out []*expr.Expr
	for _, n := range o.cols {
		a := b.aggOf("single_value", n.id)
		aggs, out = append(aggs, a), append(out, b.colAt(a.id, x.Offset()))
	}
	c.one(aggregate(b.closed(o), nil, aggs))
	return out
}

// exactlyOne tells whether r has one row always.
func exactlyOne(r *rel) bool {
	switch r.op {
	case opProject:
		return exactlyOne(r.in[0])
	case opAgg:
		return len(r.keys) == 0
	case opValues:
		return len(r.rows) == 1
	case opJoin:
		return (r.kind == plan.Inner && len(r.conds) == 0 || r.kind == plan.Left) && exactlyOne(r.in[0]) && exactlyOne(r.in[1])
	}
	return false
}

// counted is the number of rows of r, as a scalar subquery.
func (c *exprCtx) counted(r *rel) *expr.Expr {
	a := c.b.aggOf("count", -1)
	c.one(aggregate(r, nil, []aggCall{a}))
	return c.b.col(a.id)
}

func (c *exprCtx) exists(x *ast.Exists) *expr.Expr {
	b := c.b
	r := b.bare(b.closed(c.subquery(x.Query)))
	if exactlyOne(r) {
		return boolean(true)
	}
	e := b.mustCall(">", c.counted(r), b.int8(0))
	e.Pos = x.Offset()
	return e
}

// bare strips what does not matter to whether there is a row.
func (b *binder) bare(r *rel) *rel {
	for r.op == opProject || r.op == opDistinct {
		r = r.in[0]
	}
	return r
}

func (c *exprCtx) arrayOf(x *ast.ArraySubquery) *expr.Expr {
	b := c.b
	o := c.subquery(x.Query)
	if len(o.cols) != 1 {
		panic(sqlerr.New(sqlerr.Syntax, "subquery must return only one column").At(x.Offset()))
	}
	id := o.cols[0].id
	if t := b.cols[id].typ; t.ID == types.Array || types.ArrayOf(t.ID).OID() == 0 {
		panic(unsupported(x.Offset(), "an array of %s", t))
	}
	r := b.closed(o)
	a := b.aggOf("array_agg", id)
	a.order = o.sort
	c.one(aggregate(r, nil, []aggCall{a}))
	empty := &expr.Expr{Kind: expr.Const, Type: a.typ, Value: types.Datum{S: []byte{}}, Pos: -1}
	return &expr.Expr{Kind: expr.Coal, Type: a.typ, Args: []*expr.Expr{b.col(a.id), empty}, Pos: x.Offset()}
}

// membership is x op ANY (query), bound: for each row, conds compare.
type membership struct {
	r     *rel
	left  []*expr.Expr
	conds []*expr.Expr // one per column
	pos   int
}

func (c *exprCtx) membership(x ast.Expr, op string, q *ast.Query, pos int) *membership {
	b := c.b
	m := &membership{pos: pos}
	if row, ok := x.(*ast.Row); ok {
		m.left = c.bindAll(row.Items)
	} else {
		m.left = []*expr.Expr{c.bind(x)}
	}
	o := c.subquery(q)
	switch {
	case len(o.cols) < len(m.left):
		panic(sqlerr.New(sqlerr.Syntax, "subquery has too few columns").At(pos))
	case len(o.cols) > len(m.left):
		panic(sqlerr.New(sqlerr.Syntax, "subquery has too many columns").At(pos))
	case len(m.left) > 1 && op != "=":
		panic(unsupported(pos, "the operator %s between rows of a subquery", op))
	}
	m.r = b.closed(o)
	for i, l := range m.left {
		m.conds = append(m.conds, b.boolOf(b.call(op, pos, l, b.col(o.cols[i].id)), op, pos))
	}
	return m
}

func (c *exprCtx) inQuery(x *ast.In) *expr.Expr {
	e := c.member(c.membership(x.X, "=", x.Query, x.Offset()))
	if x.Not {
		return not(e)
	}
	return e
}

// member is the value, TRUE, FALSE or NULL, of a membership: TRUE if a row
// compares TRUE, else NULL if one compares NULL, else FALSE.
func (c *exprCtx) member(m *membership) *expr.Expr {
	b := c.b
	some := func(r *rel) *expr.Expr { return b.mustCall(">", c.counted(r), b.int8(0)) }
	nullable := false
	for _, x := range m.conds {
		nullable = nullable || b.mayBeNull(x, m.r)
	}
	if !nullable {
		return some(filter(m.r, m.conds...))
	}
	var unknown []*expr.Expr
	if x := m.conds[0]; len(m.conds) == 1 && x.Kind == expr.Call && strictOperator(x.Fn) {
		// The comparison is NULL where a side is: that needs no join by rows.
		inner := setOf(m.r.out)
		for _, a := range x.Args {
			if !b.mayBeNull(a, m.r) {
				continue
			}
			ids := map[int]int{}
			copied := b.clone(m.r, ids)
			if refersTo(a, inner) {
				unknown = append(unknown, some(filter(copied, isNull(mapExpr(a, ids)))))
			} else {
				unknown = append(unknown, and(isNull(a), some(copied)))
			}
		}
	} else {
		ids := map[int]int{}
		copied := b.clone(m.r, ids)
		unknown = append(unknown, some(filter(copied, isNull(mapExpr(and(m.conds...), ids)))))
	}
	return &expr.Expr{Kind: expr.Case, Type: types.Of(types.Bool), Pos: m.pos, Args: []*expr.Expr{
		some(filter(m.r, m.conds...)), boolean(true),
		or(unknown), null(types.Of(types.Bool)),
		boolean(false)}}
}

// strictOperators give NULL for a NULL operand and for nothing else.
var strictOperators = map[string]bool{"=": true, "<>": true, "<": true, "<=": true, ">": true, ">=": true,
	"~~": true, "!~~": true, "~~*": true, "!~~*": true, "~": true, "!~": true, "~*": true, "!~*": true}

func strictOperator(fn string) bool { return strictOperators[fnName(fn)] }

// mayBeNull tells whether a comparison over a column of r can be NULL. Columns of
// the query around are taken to be nullable unless a table says otherwise.
func (b *binder) mayBeNull(x *expr.Expr, r *rel) bool {
	switch x.Kind {
	case expr.Const:
		return x.Value.Null
	case expr.Col:
		if setOf(r.out).has(x.Index) {
			return !b.nonNull(r, x.Index)
		}
		return true
	case expr.Null:
		return false
	case expr.Cast, expr.And, expr.Or, expr.Not:
	case expr.Call:
		if !strictOperator(x.Fn) {
			return true
		}
	default:
		return true
	}
	for _, a := range x.Args {
		if b.mayBeNull(a, r) {
			return true
		}
	}
	return false
}

// quantified binds x op ANY|ALL.
func (c *exprCtx) quantified(x *ast.Quantified) *expr.Expr {
	b, pos := c.b, x.Offset()
	checkOperatorSchema(x.Schema, x.Op, pos)
	if x.Query == nil {
		return c.overArray(x)
	}
	if !x.All {
		return c.member(c.membership(x.X, x.Op, x.Query, pos))
	}
	// x op ALL (q) is NOT (NOT (x op y)) for any y.
	m := c.membership(x.X, x.Op, x.Query, pos)
	if len(m.conds) > 1 {
		panic(unsupported(pos, "ALL over rows"))
	}
	m.conds[0] = b.negate(m.conds[0])
	return not(c.member(m))
}

// opposite operators, by name.
var opposites = map[string]string{"=": "<>", "<>": "=", "<": ">=", ">=": "<", ">": "<=", "<=": ">"}

// negate is NOT x, as a comparison where it can be one.
func (b *binder) negate(x *expr.Expr) *expr.Expr {
	if x.Kind == expr.Not {
		return x.Args[0]
	}
	if x.Kind == expr.Call && len(x.Args) == 2 {
		if o := opposites[fnName(x.Fn)]; o != "" {
			if y, err := b.env.Call(o, x.Args, x.Pos); err == nil {
				return y
			}
		}
	}
	return not(x)
}

// fnName is the name in a function's key.
func fnName(key string) string {
	for i := range len(key) {
		if key[i] == '(' {
			return key[:i]
		}
	}
	return key
}

func (c *exprCtx) overArray(x *ast.Quantified) *expr.Expr {
	b, pos := c.b, x.Offset()
	quant := "any"
	if x.All {
		quant = "all"
	}
	left := c.bind(x.X)
	if arr, ok := x.Array.(*ast.Array); ok {
		// ARRAY[…] of unknown literals takes the type of x.
		elems := c.bindAll(arr.Items)
		if len(elems) > 0 {
			all := append([]*expr.Expr{left}, elems...)
			if t, err := b.env.Common(all, "ARRAY"); err == nil {
				if t.ID == types.Unknown {
					t = types.Of(types.Text)
				}
				for i, e := range elems {
					elems[i] = b.cast(e, t, expr.Implicit, pos)
				}
				return b.call(quant+"("+x.Op+")", pos, left, b.arrayFrom(elems, t, pos))
			}
		}
	}
	right := c.bind(x.Array)
	if right.Type.ID == types.Unknown && left.Type.ID != types.Unknown && left.Type.ID != types.Array {
		t := types.ArrayOf(left.Type.ID)
		if t.OID() != 0 {
			right = b.cast(right, t, expr.Implicit, pos)
		}
	}
	if right.Type.ID != types.Array {
		panic(sqlerr.New(sqlerr.WrongObjectType, "op ANY/ALL (array) requires array on right side").At(pos))
	}
	return b.call(quant+"("+x.Op+")", pos, left, right)
}

// semi turns a condition that is a subquery into a semi or anti join of r. It
// returns nil when x is no such condition.
func (c *exprCtx) semi(r *rel, x ast.Expr) *rel {
	negated := false
	for {
		u, ok := x.(*ast.Unary)
		if !ok || u.Op != "not" && u.Op != "NOT" {
			break
		}
		negated, x = !negated, u.X
	}
	kind := map[bool]plan.JoinKind{false: plan.Semi, true: plan.Anti}
	b := c.b
	switch x := x.(type) {
	case *ast.Exists:
		q := b.bare(b.closed(c.subquery(x.Query)))
		if exactlyOne(q) {
			q = oneRow()
		}
		return b.apply(kind[negated], r, b.some(q), nil)
	case *ast.In:
		if x.Query == nil {
			return nil
		}
		return c.semiMember(r, c.membership(x.X, "=", x.Query, x.Offset()), negated != x.Not)
	case *ast.Quantified:
		if x.Query == nil {
			return nil
		}
		m := c.membership(x.X, x.Op, x.Query, x.Offset())
		if x.All {
			if len(m.conds) > 1 {
				panic(unsupported(x.Offset(), "ALL over rows"))
			}
			m.conds[0] = b.negate(m.conds[0])
		}
		return c.semiMember(r, m, negated != x.All)
	}
	return nil
}

// semiMember keeps the rows of r for which the membership is TRUE, or with anti
// those for which it is FALSE.
func (c *exprCtx) semiMember(r *rel, m *membership, anti bool) *rel {
	b := c.b
	for _, s := range *c.subs {
		r = b.apply(plan.Inner, r, s, nil)
	}
	*c.subs = (*c.subs)[:0]
	if !anti {
		return b.apply(plan.Semi, r, m.r, m.conds)
	}
	// The row goes if a comparison is TRUE or NULL. Comparisons that cannot be
	// NULL are the plain anti join; where they can, the rows that are NULL on a
	// side are a second one, without an equality but over few rows.
	nullCols := b.nullableSides(r, m)
	copied := map[int]int{}
	var second *rel
	if nullCols != nil {
		second = b.clone(m.r, copied)
	}
	r = b.apply(plan.Anti, r, m.r, m.conds)
	if second == nil {
		return r
	}
	if len(m.conds) > 1 {
		all := make([]*expr.Expr, len(m.conds))
		for i, x := range m.conds {
			x = mapExpr(x, copied)
			all[i] = node(expr.Or, x, isNull(x))
		}
		return b.apply(plan.Anti, r, second, all)
	}
	return c.withoutNulls(r, second, mapExpr(m.conds[0], copied), mapExprs(nullCols, copied))
}

// nullableSides gives the operands of the comparisons that may be NULL; nil: none.
func (b *binder) nullableSides(r *rel, m *membership) []*expr.Expr {
	var out []*expr.Expr
	inner := setOf(m.r.out)
	for _, x := range m.conds {
		if x.Kind != expr.Call || !strictOperator(x.Fn) {
			return []*expr.Expr{x}
		}
		for _, a := range x.Args {
			at := r
			if refersTo(a, inner) {
				at = m.r
			}
			if b.mayBeNull(a, at) {
				out = append(out, a)
			}
		}
	}
	return out
}

// withoutNulls drops the rows of r for which cond is NULL for a row of s.
func (c *exprCtx) withoutNulls(r, s *rel, cond *expr.Expr, sides []*expr.Expr) *rel {
	b := c.b
	inner := setOf(s.out)
	var left, right *expr.Expr
	for _, x := range sides {
		switch {
		case x == cond || cond.Kind != expr.Call:
			return b.apply(plan.Anti, r, s, []*expr.Expr{isNull(cond)})
		case refersTo(x, inner):
			right = x
		default:
			left = x
		}
	}
	if right != nil {
		// A NULL in the set: nothing is certainly outside it.
		n := map[int]int{}
		t := s
		if left != nil {
			t = b.clone(s, n)
		}
		r = b.apply(plan.Anti, r, b.some(filter(t, isNull(mapExpr(right, n)))), nil)
	}
	if left != nil {
		// A NULL is outside the empty set alone.
		r = b.apply(plan.Anti, r, b.some(b.bare(s)), []*expr.Expr{isNull(left)})
	}
	return r
}

// some is one row if r has rows, for joins that have no key.
func (b *binder) some(r *rel) *rel {
	if !r.outer().empty() {
		return r // joined by what correlates it
	}
	a := b.aggOf("count", -1)
	return filter(aggregate(r, nil, []aggCall{a}), b.mustCall(">", b.col(a.id), b.int8(0)))
}
