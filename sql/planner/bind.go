package planner

import (
	"fmt"
	"runtime"
	"slices"

	"github.com/streamsql/streamsql/sql/ast"
	"github.com/streamsql/streamsql/sql/catalog"
	"github.com/streamsql/streamsql/sql/expr"
	"github.com/streamsql/streamsql/sql/sqlerr"
	"github.com/streamsql/streamsql/sql/types"
)

// binder turns the syntax of one statement into logical relations. Its methods
// report errors by panicking with an *sqlerr.Error, which catch returns.
type binder struct {
	p       *Planner
	env     *expr.Env
	cat     *catalog.Catalog
	path    []string
	cols    []colInfo
	deps    []uint64
	params  []*expr.Expr // of $1 …; one node each, so that its type is found once for all uses
	view    bool         // the plan is maintained
	plain   bool         // the query of a plain view, or of a table
	emitter *ast.Query   // the query whose EMIT is the statement's
	ctes    *cteScope
	views   []uint64 // being expanded
	cloned  int      // operators that clone copied
	queries int      // SELECTs bound
}

func (p *Planner) binder() *binder {
	b := &binder{p: p, env: p.Catalog.Env.In(p.Context), cat: p.Catalog, path: p.Path}
	for i := range p.Params {
		b.param(i+1, -1)
	}
	return b
}

// catch makes the error of a panic of this package the result of its caller.
func catch(err *error) {
	switch x := recover().(type) {
	case nil:
	case *sqlerr.Error:
		*err = x
	case runtime.Error:
		// A bug here must not take the process down.
		var buf [2048]byte
		*err = sqlerr.New(sqlerr.Internal, "planner: %v", x).WithDetail("%s", buf[:runtime.Stack(buf[:], false)])
	default:
		panic(x)
	}
}

func internal(format string, args ...any) *sqlerr.Error {
	return sqlerr.New(sqlerr.Internal, "planner: %s", fmt.Sprintf(format, args...))
}

// must panics with err if there is one, placed at pos.
func must(err error, pos int) {
	if err != nil {
		panic(sqlerr.From(err).At(pos))
	}
}

func unsupported(pos int, format string, args ...any) *sqlerr.Error {
	return sqlerr.New(sqlerr.FeatureNotSupported, "%s", fmt.Sprintf(format, args...)+" is not supported").At(pos)
}

func (b *binder) depend(id uint64) {
	if !slices.Contains(b.deps, id) {
		b.deps = append(b.deps, id)
	}
}

// param returns the node of $n.
func (b *binder) param(n, pos int) *expr.Expr {
	if n < 1 || n > 65535 {
		panic(sqlerr.New("42P02", "there is no parameter $%d", n).At(pos))
	}
	if b.view {
		panic(sqlerr.New("42P02", "there is no parameter $%d", n).At(pos).
			WithHint("A view cannot have parameters."))
	}
	for len(b.params) < n {
		x := &expr.Expr{Kind: expr.Param, Index: len(b.params) + 1, Pos: -1}
		if i := len(b.params); i < len(b.p.Params) {
			x.Type = b.p.Params[i]
		}
		b.params = append(b.params, x)
	}
	x := b.params[n-1]
	if x.Pos < 0 {
		x.Pos = pos
	}
	return x
}

// paramTypes returns the types that were found; 42P18 for one that was not.
func (b *binder) paramTypes() []types.Type {
	out := make([]types.Type, len(b.params))
	for i, x := range b.params {
		if x.Type.ID == types.Unknown {
			panic(sqlerr.New("42P18", "could not determine data type of parameter $%d", i+1).At(x.Pos))
		}
		out[i] = x.Type
	}
	b.p.Params = out
	return out
}

// settle gives the parameters among x's arguments the types that a coercion found.
func (b *binder) settle(x *expr.Expr) *expr.Expr {
	if len(b.params) == 0 {
		return x
	}
	for i, a := range x.Args {
		if a.Kind == expr.Cast && len(a.Args) == 1 && a.Args[0].Kind == expr.Param {
			b.settle(a)
			continue
		}
		if a.Kind != expr.Param {
			continue
		}
		p := b.params[a.Index-1]
		if p.Type.ID == types.Unknown {
			p.Type = a.Type
		}
		if p.Type == a.Type {
			x.Args[i] = p
		}
	}
	return x
}

func isParam(x *expr.Expr) bool {
	return x.Kind == expr.Param && x.Type.ID == types.Unknown
}

// call resolves a function or operator.
func (b *binder) call(name string, pos int, args ...*expr.Expr) *expr.Expr {
	x, err := b.env.Call(name, args, pos)
	must(err, pos)
	if x.Pos < 0 || x.Pos == 0 {
		x.Pos = pos
	}
	return b.settle(x)
}

// cast coerces x.
func (b *binder) cast(x *expr.Expr, to types.Type, c expr.CastContext, pos int) *expr.Expr {
	if isParam(x) {
		x.Type = types.Bare(to)
		if x.Type == to {
			return x
		}
	}
	y, err := b.env.Cast(x, to, c)
	must(err, pos)
	return y
}

// common brings xs to one type.
func (b *binder) common(xs []*expr.Expr, what string, pos int) types.Type {
	t, err := b.env.Common(xs, what)
	must(err, pos)
	if t.ID == types.Unknown {
		t = types.Of(types.Text)
	}
	for i, x := range xs {
		xs[i] = b.cast(x, t, expr.Implicit, max(x.Pos, pos))
	}
	return t
}

// known gives a literal or parameter that no context typed the type text.
func (b *binder) known(x *expr.Expr) *expr.Expr {
	if x.Type.ID == types.Unknown {
		return b.cast(x, types.Of(types.Text), expr.Implicit, x.Pos)
	}
	return x
}

// boolOf coerces a condition.
func (b *binder) boolOf(x *expr.Expr, clause string, pos int) *expr.Expr {
	if x.Type.ID == types.Bool {
		return x
	}
	if x.Type.ID == types.Unknown {
		return b.cast(x, types.Of(types.Bool), expr.Implicit, pos)
	}
	panic(sqlerr.New(sqlerr.DatatypeMismatch, "argument of %s must be type boolean, not type %s", clause, types.Bare(x.Type)).At(pos))
}

// fold computes what is constant ahead of time.
func (b *binder) fold(x *expr.Expr) *expr.Expr {
	ctx := b.p.Context
	if ctx == nil {
		ctx = &expr.Context{}
	}
	return expr.Fold(b.env, x, ctx)
}

// scope is what names mean in one query.
type scope struct {
	parent *scope
	star   []nameCol   // what * stands for and plain names are looked for in
	vars   []*rangeVar // what t in t.c can be
}

type nameCol struct {
	name string
	id   int
}

// rangeVar is an item of FROM under its name.
type rangeVar struct {
	name   string
	schema string // "": it cannot be qualified
	cols   []nameCol
	obj    *catalog.Object // its columns are cols in order; nil: not a stored or virtual relation
}

// cteScope is a chain of visible WITH queries.
type cteScope struct {
	up      *cteScope
	name    string
	query   *ast.Query
	columns []string
	env     *cteScope // what the query itself sees
	pos     int
	used    bool
}

// column resolves a, t.a or s.t.a.
func (b *binder) column(sc *scope, ref *ast.ColumnRef) *expr.Expr {
	parts, pos := ref.Parts, ref.Offset()
	name := parts[len(parts)-1]
	if len(parts) == 1 {
		for s := sc; s != nil; s = s.parent {
			id, n := -1, 0
			for _, c := range s.star {
				if c.name == name {
					id, n = c.id, n+1
				}
			}
			switch {
			case n > 1:
				panic(sqlerr.New(sqlerr.AmbiguousColumn, `column reference "%s" is ambiguous`, name).At(pos))
			case n == 1:
				return b.colAt(id, pos)
			}
		}
		for s := sc; s != nil; s = s.parent {
			for _, v := range s.vars {
				if v.name == name {
					panic(unsupported(pos, `a whole row (of "%s") as a value`, name))
				}
			}
		}
		panic(b.noColumn(sc, "", name, pos))
	}
	v, _ := b.rangeVarOf(sc, parts[:len(parts)-1], pos)
	id := -1
	for _, c := range v.cols {
		if c.name == name {
			if id >= 0 {
				panic(sqlerr.New(sqlerr.AmbiguousColumn, `column reference "%s" is ambiguous`, name).At(pos))
			}
			id = c.id
		}
	}
	if id < 0 {
		panic(b.noColumn(sc, v.name, name, pos))
	}
	return b.colAt(id, pos)
}

func (b *binder) colAt(id, pos int) *expr.Expr {
	return &expr.Expr{Kind: expr.Col, Index: id, Type: b.cols[id].typ, Pos: pos}
}

// rangeVarOf finds the item of FROM that t or s.t names, and its scope.
func (b *binder) rangeVarOf(sc *scope, parts []string, pos int) (*rangeVar, *scope) {
	name := parts[len(parts)-1]
	for s := sc; s != nil; s = s.parent {
		var found *rangeVar
		for _, v := range s.vars {
			if v.name != name || len(parts) > 1 && v.schema != parts[len(parts)-2] {
				continue
			}
			if found != nil {
				panic(sqlerr.New("42P09", `table reference "%s" is ambiguous`, name).At(pos))
			}
			found = v
		}
		if found != nil {
			return found, s
		}
	}
	e := sqlerr.New(sqlerr.UndefinedTable, `missing FROM-clause entry for table "%s"`, name).At(pos)
	for s := sc; s != nil; s = s.parent {
		for _, v := range s.vars {
			if v.obj != nil && v.obj.Name == name && v.name != name {
				e = sqlerr.New(sqlerr.UndefinedTable, `invalid reference to FROM-clause entry for table "%s"`, name).At(pos).
					WithHint(`Perhaps you meant to reference the table alias "%s".`, v.name)
			}
		}
	}
	panic(e)
}

func (b *binder) noColumn(sc *scope, table, name string, pos int) *sqlerr.Error {
	var e *sqlerr.Error
	if table == "" {
		e = sqlerr.New(sqlerr.UndefinedColumn, `column "%s" does not exist`, name).At(pos)
	} else {
		e = sqlerr.New(sqlerr.UndefinedColumn, "column %s.%s does not exist", table, name).At(pos)
	}
	best, bestD := "", 3
	for s := sc; s != nil; s = s.parent {
		for _, v := range s.vars {
			if table != "" && v.name != table {
				// The same name in another relation is the better guess.
				for _, c := range v.cols {
					if c.name == name && bestD > 0 {
						best, bestD = v.name+"."+c.name, 0
					}
				}
				continue
			}
			for _, c := range v.cols {
				if d := catalog.Distance(name, c.name); d < bestD && d*2 <= len(name) {
					best, bestD = v.name+"."+c.name, d
				}
			}
		}
	}
	if best != "" {
		return e.WithHint(`Perhaps you meant to reference the column "%s".`, best)
	}
	return e
}
