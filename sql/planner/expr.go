package planner

import (
	"strconv"
	"strings"

	"github.com/streamsql/streamsql/sql/ast"
	"github.com/streamsql/streamsql/sql/expr"
	"github.com/streamsql/streamsql/sql/sqlerr"
	"github.com/streamsql/streamsql/sql/types"
)

// exprCtx is where an expression stands.
type exprCtx struct {
	b      *binder
	sc     *scope
	clause string // for messages: "WHERE", "GROUP BY" …
	// subs takes the subqueries: each has exactly one row per row of the relation
	// that the expression is over, and is to be joined to it before the expression
	// is computed. nil: subqueries cannot stand here.
	subs *[]*rel
	aggs *aggList    // nil: aggregates cannot stand here
	wins *winList    // nil: window functions cannot stand here
	sets *[]*setBind // nil: set-returning functions cannot stand here
	// inAgg is set inside the arguments of an aggregate.
	inAgg  bool
	noSubs string // what to say of a subquery, when subs is nil
}

// bindAll binds a list.
func (c *exprCtx) bindAll(xs []ast.Expr) []*expr.Expr {
	out := make([]*expr.Expr, len(xs))
	for i, x := range xs {
		out[i] = c.bind(x)
	}
	return out
}

// cond binds a condition.
func (c *exprCtx) cond(x ast.Expr) *expr.Expr {
	return c.b.boolOf(c.bind(x), c.clause, x.Offset())
}

// logic binds an operand of AND, OR or NOT.
func (c *exprCtx) logic(x ast.Expr, op string) *expr.Expr {
	return c.b.boolOf(c.bind(x), op, x.Offset())
}

func (c *exprCtx) bind(x ast.Expr) *expr.Expr {
	e := c.bind1(x)
	if e.Pos < 0 {
		e.Pos = x.Offset()
	}
	return e
}

func (c *exprCtx) bind1(x ast.Expr) *expr.Expr {
	b, pos := c.b, x.Offset()
	switch x := x.(type) {
	case *ast.ColumnRef:
		if x.Star {
			panic(sqlerr.New(sqlerr.Syntax, "row expansion via \"*\" is not supported here").At(pos))
		}
		return b.column(c.sc, x)
	case *ast.Literal:
		return literal(x)
	case *ast.TypedLiteral:
		return c.typedLiteral(x)
	case *ast.Param:
		return b.param(x.N, pos)
	case *ast.Unary:
		return c.unary(x)
	case *ast.Binary:
		return c.binary(x)
	case *ast.Cast:
		return c.castTo(x)
	case *ast.Call:
		return c.call(x)
	case *ast.Case:
		return c.caseOf(x)
	case *ast.In:
		return c.in(x)
	case *ast.Exists:
		return c.exists(x)
	case *ast.ScalarSubquery:
		return c.scalar(x)
	case *ast.ArraySubquery:
		return c.arrayOf(x)
	case *ast.Quantified:
		return c.quantified(x)
	case *ast.Between:
		return c.between(x)
	case *ast.IsNull:
		return c.isNull(x)
	case *ast.IsBool:
		return c.isBool(x)
	case *ast.IsDistinct:
		return c.isDistinct(x)
	case *ast.Like:
		return c.like(x)
	case *ast.Array:
		return c.array(x)
	case *ast.Index:
		return c.index(x)
	case *ast.AtTimeZone:
		return b.call("timezone", pos, c.bind(x.Zone), c.bind(x.X))
	case *ast.Extract:
		f := constant(types.Text, types.Datum{S: []byte(x.Field)})
		return b.call("extract", pos, f, c.bind(x.X))
	case *ast.Collate:
		switch strings.ToLower(x.Name.Base()) {
		case "default", "c", "posix", "ucs_basic":
			return c.bind(x.X)
		}
		panic(sqlerr.New(sqlerr.UndefinedObject, `collation "%s" for encoding "UTF8" does not exist`, x.Name.Base()).At(pos))
	case *ast.Row:
		panic(unsupported(pos, "a row as a value"))
	case *ast.Field:
		panic(unsupported(pos, "selecting a field of a composite value"))
	case *ast.Default:
		panic(sqlerr.New(sqlerr.Syntax, "DEFAULT is not allowed in this context").At(pos))
	case *ast.GroupingSet:
		panic(sqlerr.New(sqlerr.Syntax, "grouping sets are not allowed here").At(pos))
	case *ast.NamedArg:
		panic(unsupported(pos, "a named argument"))
	}
	panic(unsupported(pos, "this expression"))
}

func literal(x *ast.Literal) *expr.Expr {
	e := &expr.Expr{Kind: expr.Const, Pos: x.Offset()}
	switch x.Kind {
	case ast.IntLiteral:
		v, err := strconv.ParseInt(x.Text, 10, 64)
		if err != nil {
			return number(e, x)
		}
		e.Value.I, e.Type.ID = v, types.Int8
		if v == int64(int32(v)) {
			e.Type.ID = types.Int4
		}
	case ast.NumLiteral:
		return number(e, x)
	case ast.StringLiteral:
		e.Value.S = []byte(x.Text)
	case ast.BoolLiteral:
		e.Type.ID = types.Bool
		if x.Text == "true" {
			e.Value.I = 1
		}
	case ast.NullLiteral:
		e.Value.Null = true
	default:
		panic(unsupported(x.Offset(), "a bit string"))
	}
	return e
}

func number(e *expr.Expr, x *ast.Literal) *expr.Expr {
	d, err := types.ParseText(types.Of(types.Numeric), x.Text)
	must(err, x.Offset())
	e.Type.ID, e.Value = types.Numeric, d
	return e
}

func (c *exprCtx) typedLiteral(x *ast.TypedLiteral) *expr.Expr {
	t := c.b.typeOf(x.Type)
	text := x.Text
	if f := x.Type.Fields; t.ID == types.Interval && f != "" {
		text = withUnit(text, f)
	}
	if t.ID == types.Timestamptz { // in the session's zone
		lit := &expr.Expr{Kind: expr.Const, Type: types.Of(types.Unknown), Value: types.Datum{S: []byte(text)}, Pos: x.Offset()}
		e, err := c.b.env.Cast(lit, t, expr.Explicit)
		must(err, x.Offset())
		return e
	}
	d, err := types.ParseText(t, text)
	must(err, x.Offset())
	return &expr.Expr{Kind: expr.Const, Type: t, Value: d, Pos: x.Offset()}
}

// withUnit gives a plain number the last of an interval's fields as its unit.
func withUnit(text, fields string) string {
	s := strings.TrimSpace(text)
	if _, err := strconv.ParseFloat(s, 64); err != nil {
		return text
	}
	return s + " " + fields[strings.LastIndexByte(fields, ' ')+1:]
}

func checkOperatorSchema(schema, op string, pos int) {
	if schema != "" && schema != "pg_catalog" {
		panic(sqlerr.New(sqlerr.UndefinedFunction, "operator does not exist: %s.%s", schema, op).At(pos))
	}
}

func (c *exprCtx) unary(x *ast.Unary) *expr.Expr {
	if strings.EqualFold(x.Op, "not") {
		return not(c.logic(x.X, "NOT"))
	}
	checkOperatorSchema(x.Schema, x.Op, x.Offset())
	return c.b.call(x.Op, x.Offset(), c.bind(x.X))
}

func (c *exprCtx) binary(x *ast.Binary) *expr.Expr {
	switch strings.ToLower(x.Op) {
	case "and":
		return c.chain(x, "and", expr.And, "AND")
	case "or":
		return c.chain(x, "or", expr.Or, "OR")
	}
	checkOperatorSchema(x.Schema, x.Op, x.Offset())
	if l, ok := x.L.(*ast.Row); ok {
		switch r := x.R.(type) {
		case *ast.Row:
			return c.rows(x.Op, c.bindAll(l.Items), c.bindAll(r.Items), x.Offset())
		case *ast.ScalarSubquery:
			return c.rows(x.Op, c.bindAll(l.Items), c.rowSubquery(r), x.Offset())
		}
	}
	return c.b.call(x.Op, x.Offset(), c.bind(x.L), c.bind(x.R))
}

// chain binds a AND b AND c … as one node.
func (c *exprCtx) chain(x *ast.Binary, op string, k expr.Kind, name string) *expr.Expr {
	var operands []ast.Expr
	var left ast.Expr = x
	for {
		y, ok := left.(*ast.Binary)
		if !ok || !strings.EqualFold(y.Op, op) {
			break
		}
		operands = append(operands, y.R)
		left = y.L
	}
	args := make([]*expr.Expr, 0, len(operands)+1)
	args = append(args, c.logic(left, name))
	for i := len(operands) - 1; i >= 0; i-- {
		args = append(args, c.logic(operands[i], name))
	}
	e := node(k, args...)
	e.Pos = x.Offset()
	return e
}

// rows compares two rows.
func (c *exprCtx) rows(op string, l, r []*expr.Expr, pos int) *expr.Expr {
	b := c.b
	if len(l) != len(r) {
		panic(sqlerr.New(sqlerr.Syntax, "unequal number of entries in row expressions").At(pos))
	}
	if len(l) == 0 {
		panic(sqlerr.New(sqlerr.FeatureNotSupported, "cannot compare rows of zero length").At(pos))
	}
	switch op {
	case "=", "<>":
		var eq []*expr.Expr
		for i := range l {
			eq = append(eq, b.call("=", pos, l[i], r[i]))
		}
		if op == "<>" {
			return not(and(eq...))
		}
		return and(eq...)
	case "<", "<=", ">", ">=":
		// a < x OR a = x AND (b < y OR …)
		strict := op[:1]
		e := b.call(op, pos, l[len(l)-1], r[len(r)-1])
		for i := len(l) - 2; i >= 0; i-- {
			e = node(expr.Or, b.call(strict, pos, l[i], r[i]), and(b.call("=", pos, l[i], r[i]), e))
		}
		return e
	}
	panic(unsupported(pos, "the operator %s between rows", op))
}

func (c *exprCtx) castTo(x *ast.Cast) *expr.Expr {
	t := c.b.typeOf(x.Type)
	if arr, ok := x.X.(*ast.Array); ok && t.ID == types.Array {
		// ARRAY[…]::t[] gives its elements the type.
		elems := make([]*expr.Expr, len(arr.Items))
		for i, it := range arr.Items {
			elems[i] = c.b.cast(c.bind(it), types.Of(t.Elem), expr.Explicit, it.Offset())
		}
		return c.b.arrayFrom(elems, types.Of(t.Elem), x.Offset())
	}
	if lit, ok := x.X.(*ast.Literal); ok && t.ID == types.Interval && x.Type.Fields != "" && lit.Kind == ast.StringLiteral {
		d, err := types.ParseText(t, withUnit(lit.Text, x.Type.Fields))
		must(err, lit.Offset())
		return &expr.Expr{Kind: expr.Const, Type: t, Value: d, Pos: x.Offset()}
	}
	return c.b.cast(c.bind(x.X), t, expr.Explicit, x.Offset())
}

func (c *exprCtx) caseOf(x *ast.Case) *expr.Expr {
	b := c.b
	var operand *expr.Expr
	if x.Operand != nil {
		operand = b.known(c.bind(x.Operand))
	}
	var conds, vals []*expr.Expr
	for _, w := range x.Whens {
		if operand == nil {
			conds = append(conds, b.boolOf(c.bind(w.Cond), "CASE/WHEN", w.Cond.Offset()))
		} else {
			conds = append(conds, b.call("=", w.Cond.Offset(), operand, c.bind(w.Cond)))
		}
		vals = append(vals, c.bind(w.Result))
	}
	if x.Else != nil {
		vals = append(vals, c.bind(x.Else))
	} else {
		vals = append(vals, null(types.Type{}))
	}
	t := b.common(vals, "CASE", x.Offset())
	e := &expr.Expr{Kind: expr.Case, Type: t, Pos: x.Offset()}
	for i, w := range conds {
		e.Args = append(e.Args, w, vals[i])
	}
	e.Args = append(e.Args, vals[len(vals)-1])
	return e
}

// in binds x IN (list); the form with a query is in subquery.go.
func (c *exprCtx) in(x *ast.In) *expr.Expr {
	if x.Query != nil {
		return c.inQuery(x)
	}
	e := c.inList(x)
	if x.Not {
		return not(e)
	}
	return e
}

func (c *exprCtx) inList(x *ast.In) *expr.Expr {
	b, pos := c.b, x.Offset()
	if l, ok := x.X.(*ast.Row); ok {
		var alts []*expr.Expr
		left := c.bindAll(l.Items)
		for _, it := range x.List {
			r, ok := it.(*ast.Row)
			if !ok {
				panic(unsupported(it.Offset(), "a row compared with this expression"))
			}
			alts = append(alts, c.rows("=", left, c.bindAll(r.Items), pos))
		}
		return or(alts)
	}
	args := append([]*expr.Expr{c.bind(x.X)}, c.bindAll(x.List)...)
	if len(args) == 2 {
		return b.call("=", pos, args...)
	}
	t, err := b.env.Common(args, "IN")
	if err != nil {
		// No type holds them all: each on its own.
		var alts []*expr.Expr
		for _, a := range args[1:] {
			alts = append(alts, b.call("=", pos, args[0], a))
		}
		return or(alts)
	}
	if t.ID == types.Unknown {
		t = types.Of(types.Text)
	}
	for i, a := range args {
		args[i] = b.cast(a, t, expr.Implicit, max(a.Pos, pos))
	}
	b.call("=", pos, args[0], args[1]) // the type must have an equality
	return &expr.Expr{Kind: expr.In, Type: types.Of(types.Bool), Args: args, Pos: pos}
}

func or(alts []*expr.Expr) *expr.Expr {
	if len(alts) == 1 {
		return alts[0]
	}
	return node(expr.Or, alts...)
}

func (c *exprCtx) between(x *ast.Between) *expr.Expr {
	b, pos := c.b, x.Offset()
	v, lo, hi := c.bind(x.X), c.bind(x.Lo), c.bind(x.Hi)
	e := and(b.call(">=", pos, v, lo), b.call("<=", pos, v, hi))
	if x.Symmetric {
		e = node(expr.Or, e, and(b.call(">=", pos, v, hi), b.call("<=", pos, v, lo)))
	}
	if x.Not {
		return not(e)
	}
	return e
}

func (c *exprCtx) isNull(x *ast.IsNull) *expr.Expr {
	if r, ok := x.X.(*ast.Row); ok {
		var all []*expr.Expr
		for _, it := range r.Items {
			e := isNull(c.b.known(c.bind(it)))
			if x.Not {
				e = not(e)
			}
			all = append(all, e)
		}
		return and(all...)
	}
	e := isNull(c.b.known(c.bind(x.X)))
	if x.Not {
		return not(e)
	}
	return e
}

func (c *exprCtx) isBool(x *ast.IsBool) *expr.Expr {
	v := c.b.boolOf(c.bind(x.X), "IS "+strings.ToUpper(string(x.Want)), x.X.Offset())
	var e *expr.Expr
	switch x.Want {
	case ast.True:
		e = not(c.b.call(isDistinctFrom, x.Offset(), v, boolean(true)))
	case ast.False:
		e = not(c.b.call(isDistinctFrom, x.Offset(), v, boolean(false)))
	default:
		e = isNull(v)
	}
	if x.Not {
		return not(e)
	}
	return e
}

func (c *exprCtx) isDistinct(x *ast.IsDistinct) *expr.Expr {
	if l, ok := x.L.(*ast.Row); ok {
		r, ok := x.R.(*ast.Row)
		if !ok || len(l.Items) != len(r.Items) {
			panic(sqlerr.New(sqlerr.Syntax, "unequal number of entries in row expressions").At(x.Offset()))
		}
		var eq []*expr.Expr
		for i := range l.Items {
			eq = append(eq, not(c.b.call(isDistinctFrom, x.Offset(), c.bind(l.Items[i]), c.bind(r.Items[i]))))
		}
		if x.Not {
			return and(eq...)
		}
		return not(and(eq...))
	}
	l, r := c.bind(x.L), c.bind(x.R)
	if nullLiteral(r) && !nullLiteral(l) {
		l = c.b.known(l)
		if x.Not {
			return isNull(l)
		}
		return not(isNull(l))
	}
	e := c.b.call(isDistinctFrom, x.Offset(), l, r)
	if x.Not {
		return not(e)
	}
	return e
}

const isDistinctFrom = "is distinct from"

func nullLiteral(x *expr.Expr) bool {
	return x.Kind == expr.Const && x.Value.Null && x.Type.ID == types.Unknown
}

func (c *exprCtx) like(x *ast.Like) *expr.Expr {
	b, pos := c.b, x.Offset()
	v, p := c.bind(x.X), c.bind(x.Pattern)
	var e *expr.Expr
	if x.Kind == ast.SimilarTo {
		args := []*expr.Expr{p}
		if x.Escape != nil {
			args = append(args, c.bind(x.Escape))
		}
		e = b.call("~", pos, v, b.call("similar_to_escape", pos, args...))
	} else {
		if x.Escape != nil {
			p = b.call("like_escape", pos, p, c.bind(x.Escape))
		}
		op := "~~"
		if x.Kind == ast.ILike {
			op = "~~*"
		}
		if x.Not {
			return b.call("!"+op, pos, v, p)
		}
		e = b.call(op, pos, v, p)
	}
	if x.Not {
		return not(e)
	}
	return e
}

func (c *exprCtx) array(x *ast.Array) *expr.Expr {
	if len(x.Items) == 0 {
		panic(sqlerr.New("42P18", "cannot determine type of empty array").At(x.Offset()).
			WithHint("Explicitly cast to the desired type, for example ARRAY[]::integer[]."))
	}
	for _, it := range x.Items {
		if _, nested := it.(*ast.Array); nested {
			panic(unsupported(it.Offset(), "an array of more than one dimension"))
		}
	}
	elems := c.bindAll(x.Items)
	t := c.b.common(elems, "ARRAY", x.Offset())
	return c.b.arrayFrom(elems, t, x.Offset())
}

// arrayFrom builds an array of elements of type t.
func (b *binder) arrayFrom(elems []*expr.Expr, t types.Type, pos int) *expr.Expr {
	at := types.ArrayOf(t.ID)
	if t.ID == types.Array || at.OID() == 0 {
		panic(unsupported(pos, "an array of %s", t))
	}
	fixed := true
	for _, x := range elems {
		fixed = fixed && isConst(x)
	}
	if fixed {
		var buf []byte
		for _, x := range elems {
			buf = types.AppendElem(buf, t.ID, x.Value)
		}
		return &expr.Expr{Kind: expr.Const, Type: at, Value: types.Datum{S: buf}, Pos: pos}
	}
	return b.call("array", pos, elems...)
}

func (c *exprCtx) index(x *ast.Index) *expr.Expr {
	b, pos := c.b, x.Offset()
	v := c.bind(x.X)
	bound := func(e ast.Expr) *expr.Expr {
		if e == nil {
			return null(types.Of(types.Int4))
		}
		return c.bind(e)
	}
	if x.Slice {
		return b.call("slice", pos, v, bound(x.Lo), bound(x.Hi))
	}
	return b.call("subscript", pos, v, bound(x.Lo))
}
