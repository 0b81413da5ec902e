package planner

import (
	"slices"
	"strings"

	"github.com/streamsql/streamsql/sql/ast"
	"github.com/streamsql/streamsql/sql/catalog"
	"github.com/streamsql/streamsql/sql/expr"
	"github.com/streamsql/streamsql/sql/plan"
	"github.com/streamsql/streamsql/sql/sqlerr"
	"github.com/streamsql/streamsql/sql/types"
)

// aggList collects the aggregates of one SELECT.
type aggList struct {
	calls     []*aggBind
	subs      []*rel // subqueries in their arguments
	groupings []*groupingCall
}

// groupingCall is GROUPING(…): a bit for each argument, set where the row's
// grouping set leaves it out.
type groupingCall struct {
	id   int
	args []*expr.Expr
	pos  int
}

// aggBind is an aggregate whose arguments are expressions over the rows that
// are to be grouped.
type aggBind struct {
	id       int
	f        *expr.AggFunc
	args     []*expr.Expr
	filter   *expr.Expr
	distinct bool
	order    []orderBind
}

type orderBind struct {
	x          *expr.Expr
	desc       bool
	nullsFirst bool
}

// winList collects the window functions of one SELECT.
type winList struct {
	calls []*winBind
	named []*ast.Window
}

type winBind struct {
	id        int
	fn        string
	kind      expr.AggKind
	rank      string // row_number, rank or dense_rank
	args      []*expr.Expr
	filter    *expr.Expr
	partition []*expr.Expr
	order     []orderBind
	frame     *plan.Frame
	typ       types.Type
}

// clockFunctions show the time of the statement.
var clockFunctions = map[string]bool{
	"now": true, "current_timestamp": true, "current_date": true, "current_time": true,
	"localtimestamp": true, "localtime": true, "transaction_timestamp": true, "statement_timestamp": true,
}

// functionName checks the schema of a function's name.
func functionName(n ast.Name) string {
	name := n.Base()
	if len(n.Parts) > 1 {
		switch n.Parts[len(n.Parts)-2] {
		case catalog.PgCatalog, catalog.Public, catalog.System, catalog.Information:
		default:
			panic(sqlerr.New("3F000", `schema "%s" does not exist`, n.Parts[len(n.Parts)-2]).At(n.Offset()))
		}
	}
	return name
}

func (c *exprCtx) call(x *ast.Call) *expr.Expr {
	b, pos := c.b, x.Offset()
	name := functionName(x.Name)
	if x.Over != nil {
		return c.window(x, name)
	}
	if b.env.IsAggregate(name) {
		return c.aggregate(x, name)
	}
	switch {
	case windowFunctions[name]:
		panic(sqlerr.New("42809", "window function %s requires an OVER clause", name).At(pos))
	case x.WithinGroup && (name == "percentile_cont" || name == "percentile_disc" || name == "mode"):
		panic(unsupported(pos, "the ordered-set aggregate %s", name))
	case x.Star || x.Distinct || x.Filter != nil || x.OrderBy != nil:
		if err := b.noFunction(name, x); err != nil {
			panic(err)
		}
		panic(sqlerr.New(sqlerr.WrongObjectType, "%s is not an aggregate function", name).At(pos))
	case x.Variadic:
		panic(unsupported(pos, "VARIADIC in a call"))
	}
	args := x.Args
	if named := hasNamed(args); named {
		args = namedArgs(name, args)
	}
	switch name {
	case "grouping":
		return c.grouping(args, pos)
	case "coalesce":
		xs := c.bindAll(args)
		if len(xs) == 0 {
			break
		}
		t := b.common(xs, "COALESCE", pos)
		return &expr.Expr{Kind: expr.Coal, Type: t, Args: xs, Pos: pos}
	case "nullif":
		if len(args) == 2 {
			l, r := c.bind(args[0]), c.bind(args[1])
			eq := b.call("=", pos, l, r)
			l = b.known(l)
			return &expr.Expr{Kind: expr.Case, Type: l.Type, Args: []*expr.Expr{eq, null(l.Type), l}, Pos: pos}
		}
	case "greatest", "least":
		xs := c.bindAll(args)
		b.common(xs, strings.ToUpper(name), pos)
		return b.call(name, pos, xs...)
	}
	if b.env.IsSet(name) && b.env.Funcs[name] == nil && len(expr.Overloads(name)) == 0 {
		return c.setCall(x, name, args)
	}
	e := b.call(name, pos, c.bindAll(args)...)
	if clockFunctions[name] && len(b.views) > 0 {
		e.Pos = -1 // it is in the text of a view
	}
	b.dependFunc(name)
	return e
}

func (c *exprCtx) grouping(args []ast.Expr, pos int) *expr.Expr {
	b := c.b
	switch {
	case c.aggs == nil || c.inAgg:
		panic(sqlerr.New(sqlerr.Grouping, "grouping operations are not allowed in %s", c.clause).At(pos))
	case len(args) > 31:
		panic(sqlerr.New("54023", "GROUPING must have fewer than 32 arguments").At(pos))
	}
	inner := *c
	inner.aggs, inner.wins, inner.sets = nil, nil, nil
	g := &groupingCall{id: b.newCol("grouping", types.Of(types.Int4)), args: inner.bindAll(args), pos: pos}
	c.aggs.groupings = append(c.aggs.groupings, g)
	return b.colAt(g.id, pos)
}

// setCall binds a set-returning function in a SELECT list: each row of the query
// comes once for each row of the set.
func (c *exprCtx) setCall(x *ast.Call, name string, args []ast.Expr) *expr.Expr {
	b, pos := c.b, x.Offset()
	if c.sets == nil || c.inAgg {
		panic(sqlerr.New(sqlerr.FeatureNotSupported, "set-returning functions are not allowed in %s", c.clause).At(pos))
	}
	inner := *c
	inner.sets, inner.clause = nil, "the arguments of a set-returning function"
	key, xs, cols, _, err := b.env.SetFunc(name, inner.bindAll(args), pos)
	must(err, pos)
	b.settle(&expr.Expr{Args: xs})
	if len(cols) != 1 {
		panic(unsupported(pos, "a set of several columns in a SELECT list"))
	}
	for _, s := range *c.sets {
		if s.key == key && slices.EqualFunc(s.args, xs, same) {
			return b.colAt(s.id, pos)
		}
	}
	if len(*c.sets) > 0 {
		panic(unsupported(pos, "more than one set-returning function in a SELECT list"))
	}
	s := &setBind{id: b.newCol(name, cols[0]), key: key, args: xs}
	*c.sets = append(*c.sets, s)
	return b.colAt(s.id, pos)
}

// setBind is a set-returning function in a SELECT list.
type setBind struct {
	id   int
	key  string
	args []*expr.Expr
}

// noFunction gives the error for a function that does not exist, nil if it does.
func (b *binder) noFunction(name string, x *ast.Call) error {
	if b.env.Funcs[name] != nil || expr.Overloads(name) != nil {
		return nil
	}
	return sqlerr.New(sqlerr.UndefinedFunction, "function %s(%s) does not exist", name, map[bool]string{true: "*"}[x.Star]).At(x.Offset()).
		WithHint("No function matches the given name and argument types. You might need to add explicit type casts.")
}

// dependFunc notes a dependency on a user's function.
func (b *binder) dependFunc(name string) {
	if b.env.Funcs[name] == nil && b.env.Aggs[name] == nil {
		return
	}
	for _, o := range b.cat.All() {
		if o.Kind == catalog.Function && o.Name == name {
			b.depend(o.ID)
		}
	}
}

func hasNamed(args []ast.Expr) bool {
	for _, a := range args {
		if _, ok := a.(*ast.NamedArg); ok {
			return true
		}
	}
	return false
}

// argNames are the names of the arguments of functions that are called with names.
var argNames = map[string][]string{
	"make_interval":  {"years", "months", "weeks", "days", "hours", "mins", "secs"},
	"make_date":      {"year", "month", "day"},
	"make_time":      {"hour", "min", "sec"},
	"make_timestamp": {"year", "month", "mday", "hour", "min", "sec"},
}

// namedArgs puts named arguments in order; those left out of make_interval are 0.
func namedArgs(name string, args []ast.Expr) []ast.Expr {
	names := argNames[name]
	out := make([]ast.Expr, len(names))
	for i, a := range args {
		n, ok := a.(*ast.NamedArg)
		if !ok {
			if i >= len(out) {
				panic(unsupported(a.Offset(), "this call"))
			}
			out[i] = a
			continue
		}
		at := -1
		for j, s := range names {
			if s == n.Name {
				at = j
			}
		}
		if at < 0 || out[at] != nil {
			panic(unsupported(a.Offset(), `the argument "%s" of function %s`, n.Name, name))
		}
		out[at] = n.X
	}
	for i := range out {
		if out[i] == nil {
			out[i] = &ast.Literal{Kind: ast.IntLiteral, Text: "0"}
		}
	}
	return out
}

func (c *exprCtx) aggregate(x *ast.Call, name string) *expr.Expr {
	b, pos := c.b, x.Offset()
	switch {
	case c.inAgg:
		panic(sqlerr.New(sqlerr.Grouping, "aggregate function calls cannot be nested").At(pos))
	case c.aggs == nil:
		panic(sqlerr.New(sqlerr.Grouping, "aggregate functions are not allowed in %s", c.clause).At(pos))
	case x.WithinGroup:
		panic(unsupported(pos, "WITHIN GROUP"))
	case x.Variadic:
		panic(unsupported(pos, "VARIADIC in a call"))
	}
	inner := *c
	inner.aggs, inner.wins, inner.sets, inner.inAgg, inner.subs = nil, nil, nil, true, &c.aggs.subs
	f, args := c.aggArgs(&inner, x, name)
	a := &aggBind{f: f, args: args, distinct: x.Distinct && f.Kind != expr.AggMin && f.Kind != expr.AggMax}
	if x.Filter != nil {
		inner.clause = "FILTER"
		a.filter = inner.cond(x.Filter)
	}
	a.order = inner.orderBy(x.OrderBy)
	if x.Distinct {
		for _, o := range a.order {
			if !containsExpr(args, o.x) {
				panic(sqlerr.New("42P10", "in an aggregate with DISTINCT, ORDER BY expressions must appear in argument list").At(o.x.Pos))
			}
		}
	}
	if used := refs(args...); !used.empty() && !used.meets(c.sc.columns()) {
		panic(unsupported(pos, "an aggregate of an outer query"))
	}
	for _, o := range c.aggs.calls {
		if sameAgg(o, a) {
			return b.colAt(o.id, pos)
		}
	}
	a.id = b.newCol(name, f.Ret)
	c.aggs.calls = append(c.aggs.calls, a)
	return b.colAt(a.id, pos)
}

// columns are the columns that the scope itself, not those around it, brings.
func (s *scope) columns() set {
	var out set
	for _, c := range s.star {
		out.add(c.id)
	}
	for _, v := range s.vars {
		for _, c := range v.cols {
			out.add(c.id)
		}
	}
	return out
}

// aggArgs resolves an aggregate and its arguments.
func (c *exprCtx) aggArgs(inner *exprCtx, x *ast.Call, name string) (*expr.AggFunc, []*expr.Expr) {
	b, pos := c.b, x.Offset()
	var args []*expr.Expr
	for _, a := range x.Args {
		if r, ok := a.(*ast.Row); ok && name == "count" && len(r.Items) > 0 {
			// A row is never NULL itself; counting distinct rows counts tuples.
			panic(unsupported(a.Offset(), "an aggregate over a row"))
		}
		args = append(args, inner.bind(a))
	}
	if x.Star && name != "count" {
		panic(sqlerr.New(sqlerr.UndefinedFunction, "function %s() does not exist", name).At(pos))
	}
	if len(x.Args) == 0 && !x.Star && name == "count" {
		panic(sqlerr.New("42809", "count(*) must be used to call a parameterless aggregate function").At(pos))
	}
	f, args, err := b.env.Aggregate(name, args, pos)
	must(err, pos)
	b.settle(&expr.Expr{Args: args})
	b.dependFunc(name)
	return f, args
}

func containsExpr(xs []*expr.Expr, y *expr.Expr) bool {
	for _, x := range xs {
		if same(x, y) {
			return true
		}
	}
	return false
}

func sameAgg(a, o *aggBind) bool {
	if a.f.Key() != o.f.Key() || a.distinct != o.distinct || len(a.args) != len(o.args) || len(a.order) != len(o.order) ||
		!same(a.filter, o.filter) {
		return false
	}
	for i := range a.args {
		if !same(a.args[i], o.args[i]) {
			return false
		}
	}
	for i := range a.order {
		if a.order[i].desc != o.order[i].desc || a.order[i].nullsFirst != o.order[i].nullsFirst || !same(a.order[i].x, o.order[i].x) {
			return false
		}
	}
	return true
}

// orderBy binds sort keys that are plain expressions.
func (c *exprCtx) orderBy(items []*ast.OrderItem) []orderBind {
	var out []orderBind
	for _, it := range items {
		x := c.b.known(c.bind(it.Expr))
		c.b.sortable(x, it.Offset())
		out = append(out, orderBind{x, it.Desc, nullsFirst(it)})
	}
	return out
}

func nullsFirst(it *ast.OrderItem) bool {
	return it.Nulls == ast.NullsFirst || it.Nulls == ast.NullsDefault && it.Desc
}

// sortable checks that values of x's type have an order.
func (b *binder) sortable(x *expr.Expr, pos int) {
	if x.Type.ID == types.JSON {
		panic(sqlerr.New(sqlerr.UndefinedFunction, "could not identify an ordering operator for type json").At(pos).
			WithHint("Use an explicit ordering operator or modify the query."))
	}
}

// comparable checks that values of x's type can be told apart.
func (b *binder) comparable(t types.Type, pos int) {
	if t.ID == types.JSON {
		panic(sqlerr.New(sqlerr.UndefinedFunction, "could not identify an equality operator for type json").At(pos))
	}
}
