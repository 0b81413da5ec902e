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
	calls []*aggBind
	subs  []*rel // subqueries in their arguments
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
	case b.view && clockFunctions[name]:
		panic(unsupported(pos, "%s in a materialized view", name).
			WithHint("The answer would change without a change of its input. Compare with an event-time column, or call it when the view is read."))
	}
	args := x.Args
	if named := hasNamed(args); named {
		args = namedArgs(name, args)
	}
	switch name {
	case "grouping":
		panic(unsupported(pos, "GROUPING"))
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
	b.dependFunc(name)
	return e
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

var windowFunctions = map[string]bool{
	"row_number": true, "rank": true, "dense_rank": true, "percent_rank": true, "cume_dist": true, "ntile": true,
	"lag": true, "lead": true, "nth_value": true,
}

func (c *exprCtx) window(x *ast.Call, name string) *expr.Expr {
	b, pos := c.b, x.Offset()
	switch {
	case c.inAgg:
		panic(sqlerr.New(sqlerr.Grouping, "aggregate function calls cannot contain window function calls").At(pos))
	case c.wins == nil:
		panic(sqlerr.New("42P20", "window functions are not allowed in %s", c.clause).At(pos))
	case x.Distinct:
		panic(unsupported(pos, "DISTINCT in a window function"))
	case len(x.OrderBy) > 0:
		panic(unsupported(pos, "an aggregate ORDER BY in a window function"))
	}
	inner := *c
	inner.wins, inner.clause = nil, "window definitions"
	w := &winBind{}
	isAgg := b.env.IsAggregate(name) && name != "first_value" && name != "last_value"
	switch {
	case isAgg:
		f, args := c.aggArgs(&inner, x, name)
		w.fn, w.kind, w.args, w.typ = f.Key(), f.Kind, args, f.Ret
		if x.Filter != nil {
			w.filter = inner.cond(x.Filter)
		}
	case windowFunctions[name] || name == "first_value" || name == "last_value":
		if x.Filter != nil {
			panic(unsupported(pos, "FILTER for non-aggregate window functions"))
		}
		w.fn = name
		c.windowArgs(w, inner.bindAll(x.Args), name, pos)
	default:
		if err := b.noFunction(name, x); err != nil {
			panic(err)
		}
		panic(sqlerr.New("42809", "OVER specified, but %s is not a window function nor an aggregate function", name).At(pos))
	}
	spec := c.resolveWindow(x.Over)
	for _, p := range spec.PartitionBy {
		e := b.known(inner.bind(p))
		b.comparable(e.Type, p.Offset())
		w.partition = append(w.partition, e)
	}
	w.order = inner.orderBy(spec.OrderBy)
	if w.rank == "" {
		w.frame = c.frame(spec.Frame, w, &inner)
	}
	w.id = b.newCol(name, w.typ)
	c.wins.calls = append(c.wins.calls, w)
	return b.colAt(w.id, pos)
}

// windowArgs types a window function that is not an aggregate.
func (c *exprCtx) windowArgs(w *winBind, args []*expr.Expr, name string, pos int) {
	b := c.b
	lo, hi := 0, 0
	switch name {
	case "row_number", "rank", "dense_rank":
		w.rank, w.typ = name, types.Of(types.Int8)
	case "percent_rank", "cume_dist":
		w.typ = types.Of(types.Float8)
	case "ntile":
		lo, hi, w.typ = 1, 1, types.Of(types.Int4)
	case "lag", "lead":
		lo, hi = 1, 3
	case "first_value", "last_value":
		lo, hi = 1, 1
	case "nth_value":
		lo, hi = 2, 2
	}
	if len(args) < lo || len(args) > hi {
		var ts []string
		for _, a := range args {
			ts = append(ts, types.Bare(a.Type).String())
		}
		panic(sqlerr.New(sqlerr.UndefinedFunction, "function %s(%s) does not exist", name, strings.Join(ts, ", ")).At(pos).
			WithHint("No function matches the given name and argument types. You might need to add explicit type casts."))
	}
	switch name {
	case "ntile":
		args[0] = b.cast(args[0], types.Of(types.Int4), expr.Implicit, pos)
	case "lag", "lead", "first_value", "last_value", "nth_value":
		if len(args) == 3 {
			pair := []*expr.Expr{args[0], args[2]}
			b.common(pair, "LAG", pos)
			args[0], args[2] = pair[0], pair[1]
		} else {
			args[0] = b.known(args[0])
		}
		if len(args) > 1 {
			args[1] = b.cast(args[1], types.Of(types.Int4), expr.Implicit, pos)
		}
		w.typ = args[0].Type
	}
	w.args = args
}

// resolveWindow merges OVER (w …) with the named window that it starts from.
func (c *exprCtx) resolveWindow(w *ast.Window) *ast.Window {
	return c.resolveNamed(w, 0)
}

func (c *exprCtx) resolveNamed(w *ast.Window, depth int) *ast.Window {
	base := w.Base
	whole := false
	if base == "" && w.Name != "" && w.PartitionBy == nil && w.OrderBy == nil && w.Frame == nil {
		base, whole = w.Name, true
	}
	if base == "" {
		return w
	}
	for i, n := range c.wins.named {
		if n.Name != base {
			continue
		}
		if n == w || depth > len(c.wins.named) {
			_ = i
			break
		}
		d := *n
		d.Name = ""
		if n.Base != "" {
			d = *c.resolveNamed(&d, depth+1)
		}
		if whole {
			return &d
		}
		switch {
		case len(w.PartitionBy) > 0:
			panic(sqlerr.New("42P20", `cannot override PARTITION BY clause of window "%s"`, base).At(w.Offset()))
		case len(w.OrderBy) > 0 && len(d.OrderBy) > 0:
			panic(sqlerr.New("42P20", `cannot override ORDER BY clause of window "%s"`, base).At(w.Offset()))
		case d.Frame != nil:
			panic(sqlerr.New("42P20", `cannot copy window "%s" because it has a frame clause`, base).At(w.Offset()))
		}
		m := *w
		m.Base, m.PartitionBy = "", d.PartitionBy
		if len(m.OrderBy) == 0 {
			m.OrderBy = d.OrderBy
		}
		return &m
	}
	panic(sqlerr.New(sqlerr.UndefinedObject, `window "%s" does not exist`, base).At(w.Offset()))
}

func (c *exprCtx) frame(f *ast.Frame, w *winBind, inner *exprCtx) *plan.Frame {
	if f == nil {
		return nil
	}
	if f.Exclude != ast.ExcludeNone {
		panic(unsupported(f.Offset(), "EXCLUDE in a frame"))
	}
	if f.Mode == "groups" && len(w.order) == 0 {
		panic(sqlerr.New("42P20", "GROUPS mode requires an ORDER BY clause").At(f.Offset()))
	}
	out := &plan.Frame{Unit: string(f.Mode)}
	bound := func(k ast.FrameBound, end bool) *int64 {
		zero := int64(0)
		switch k.Kind {
		case ast.UnboundedPreceding:
			if end {
				panic(sqlerr.New("42P20", "frame end cannot be UNBOUNDED PRECEDING").At(f.Offset()))
			}
			return nil
		case ast.UnboundedFollowing:
			if !end {
				panic(sqlerr.New("42P20", "frame start cannot be UNBOUNDED FOLLOWING").At(f.Offset()))
			}
			return nil
		case ast.CurrentRow:
			return &zero
		}
		v := c.frameOffset(f, k, w, inner)
		if k.Kind == ast.Preceding {
			v = -v
		}
		return &v
	}
	out.Start, out.End = bound(f.Start, false), bound(f.End, true)
	return out
}

// frameOffset is the distance of n PRECEDING: rows, or with RANGE the value (µs
// for times).
func (c *exprCtx) frameOffset(f *ast.Frame, k ast.FrameBound, w *winBind, inner *exprCtx) int64 {
	b, pos := c.b, k.Offset.Offset()
	x := inner.bind(k.Offset)
	if f.Mode == "range" {
		if len(w.order) != 1 {
			panic(sqlerr.New("42P20", "RANGE with offset PRECEDING/FOLLOWING requires exactly one ORDER BY column").At(f.Offset()))
		}
		switch t := w.order[0].x.Type; t.ID {
		case types.Int2, types.Int4, types.Int8:
		case types.Timestamp, types.Timestamptz:
			return b.duration(x, pos)
		default:
			panic(unsupported(f.Offset(), "RANGE with offset PRECEDING/FOLLOWING over %s", t))
		}
	}
	x = b.fold(b.cast(x, types.Of(types.Int8), expr.Implicit, pos))
	if !isConst(x) || x.Value.Null {
		panic(unsupported(pos, "a frame offset that is not a constant"))
	}
	if x.Value.I < 0 {
		panic(sqlerr.New("22013", "frame offset must not be negative").At(pos))
	}
	return x.Value.I
}

// duration is a constant interval without months, in µs.
func (b *binder) duration(x *expr.Expr, pos int) int64 {
	x = b.fold(b.cast(x, types.Of(types.Interval), expr.Implicit, pos))
	if !isConst(x) || x.Value.Null {
		panic(unsupported(pos, "an interval that is not a constant"))
	}
	us, days, months := types.IntervalParts(x.Value.S)
	if months != 0 {
		panic(unsupported(pos, "an interval of months, whose length varies,").
			WithHint("Use days or a smaller unit."))
	}
	const day = 86_400_000_000
	if d := int64(days); d > 1<<62/day || d < -(1<<62/day) {
		panic(sqlerr.New(sqlerr.DatetimeOverflow, "interval out of range").At(pos))
	}
	return us + int64(days)*day
}
