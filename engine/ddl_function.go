package engine

import (
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/streamsql/streamsql/sql/ast"
	"github.com/streamsql/streamsql/sql/catalog"
	"github.com/streamsql/streamsql/sql/delta"
	"github.com/streamsql/streamsql/sql/expr"
	"github.com/streamsql/streamsql/sql/sqlerr"
	"github.com/streamsql/streamsql/sql/types"
	"github.com/streamsql/streamsql/udf"
)

func (x *ddlRun) createFunction(s *ast.CreateFunction) error {
	if s.Language != "go" {
		return sqlerr.New(sqlerr.UndefinedObject, `language "%s" does not exist`, s.Language).
			WithHint("Functions are written in Go: LANGUAGE go AS 'package.Name'.").At(s.Offset())
	}
	if len(s.As) != 1 {
		return sqlerr.New("42P13", "a function needs AS 'symbol'").At(s.Offset())
	}
	if s.Returns == nil {
		return sqlerr.New("42P13", "function result type must be specified").At(s.Offset())
	}
	if len(s.Name.Parts) > 1 && s.Name.Parts[len(s.Name.Parts)-2] != catalog.Public {
		return sqlerr.New("42501", "functions are made in the schema public alone").At(s.Name.Offset())
	}
	o := &catalog.Object{
		Schema: catalog.Public, Name: s.Name.Base(), Kind: catalog.Function, SQL: x.d.Text,
		Language: s.Language, Symbol: s.As[0], Strict: s.Strict, Volatile: string(s.Volatility),
	}
	if o.Volatile == "" {
		o.Volatile = string(ast.Volatile)
	}
	var err error
	for _, a := range s.Args {
		t, err := typeOf(a.Type)
		if err != nil {
			return err
		}
		o.Args = append(o.Args, types.Bare(t))
		o.ArgNames = append(o.ArgNames, a.Name)
	}
	if o.Returns, err = typeOf(s.Returns); err != nil {
		return err
	}
	o.Returns = types.Bare(o.Returns)
	o.Aggregate = x.e.opts.Functions.IsAggregate(o.Symbol)
	if old := findFunction(x.cat, o.Name, o.Args); old != nil {
		if !s.OrReplace {
			return sqlerr.New("42723", `function "%s" already exists with same argument types`, o.Name).At(s.Name.Offset())
		}
		if old.Returns != o.Returns || old.Aggregate != o.Aggregate {
			return sqlerr.New("42P13", "cannot change return type of existing function").
				WithHint("Use DROP FUNCTION %s first.", signature(o)).At(s.Offset())
		}
		o.ID = old.ID
	}
	b, err := x.e.bind(o)
	if err != nil {
		return err
	}
	return x.onLoop(func() error {
		e := x.e
		e.assign(o)
		e.change([]*catalog.Object{o}, nil, withFunction(e.currentCatalog().Env, o, b))
		return nil
	})
}

// bound is a Go function in the form that expr knows.
type bound struct {
	fn  *expr.Func
	agg *expr.AggFunc
}

// bind binds a function object to its Go function.
func (e *Engine) bind(o *catalog.Object) (bound, error) {
	if o.Aggregate {
		a, err := e.opts.Functions.BindAggregate(o.Symbol, o.Args, o.Returns, o.Strict)
		if err != nil {
			return bound{}, err
		}
		return bound{agg: &expr.AggFunc{
			Name: o.Name, Args: o.Args, Ret: o.Returns, Kind: expr.AggUser, Retractable: a.Retractable,
			NullIn: slices.Contains(a.SkipNull, false) || len(o.Args) == 0,
			New:    func() (expr.AggState, error) { return newUserState(a) },
		}}, nil
	}
	s, err := e.opts.Functions.BindScalar(o.Symbol, o.Args, o.Returns, o.Strict)
	if err != nil {
		return bound{}, err
	}
	return bound{fn: scalarFunc(o, s.Call)}, nil
}

// missing stands for a function whose Go function is not in this program: what
// calls it fails, nothing else.
func missing(o *catalog.Object, err error) bound {
	if o.Aggregate {
		return bound{agg: &expr.AggFunc{
			Name: o.Name, Args: o.Args, Ret: o.Returns, Kind: expr.AggUser,
			New: func() (expr.AggState, error) { return nil, err },
		}}
	}
	return bound{fn: scalarFunc(o, func([]*delta.Vec, int, func() error) (*delta.Vec, error) { return nil, err })}
}

// scalarFunc makes a catalogue entry of call, which handles NULLs itself.
func scalarFunc(o *catalog.Object, call func([]*delta.Vec, int, func() error) (*delta.Vec, error)) *expr.Func {
	f := &expr.Func{Name: o.Name, Args: o.Args, Ret: o.Returns, NotNull: true, MayFail: true, Vol: expr.Volatile}
	switch o.Volatile {
	case string(ast.Immutable):
		f.Vol = expr.Immutable
	case string(ast.Stable):
		f.Vol = expr.Stable
	}
	f.Eval = func(c *expr.Batch) error {
		args := make([]*delta.Vec, len(c.Args))
		for i, a := range c.Args {
			args[i] = a.V
			if a.Mask == 0 && c.N != 1 {
				args[i] = a.V.Gather(make([]int32, c.N))
			}
		}
		var stop func() error
		if c.Ctx != nil {
			stop = c.Ctx.Stop
		}
		out, err := call(args, c.N, stop)
		if err != nil {
			var ce *udf.CallError
			if errors.As(err, &ce) {
				return &expr.EvalError{Row: ce.Row, Err: ce.Err}
			}
			return err
		}
		*c.Out = *out
		return nil
	}
	return f
}

// userState is a user's aggregate as expr knows it.
type userState struct{ *udf.State }

func newUserState(a *udf.BoundAggregate) (expr.AggState, error) {
	s, err := a.New()
	if err != nil {
		return nil, err
	}
	return userState{s}, nil
}

// withFunction returns env with one function more, in place of one with the same
// signature.
func withFunction(env *expr.Env, o *catalog.Object, b bound) *expr.Env {
	env = withoutFunction(env, o)
	if b.agg != nil {
		env.Aggs[o.Name] = append(slices.Clip(env.Aggs[o.Name]), b.agg)
	} else {
		env.Funcs[o.Name] = append(slices.Clip(env.Funcs[o.Name]), b.fn)
	}
	return env
}

// withoutFunction returns a copy of env without a function.
func withoutFunction(env *expr.Env, o *catalog.Object) *expr.Env {
	n := &expr.Env{Funcs: maps.Clone(env.Funcs), Aggs: maps.Clone(env.Aggs)}
	if n.Funcs == nil {
		n.Funcs = map[string][]*expr.Func{}
	}
	if n.Aggs == nil {
		n.Aggs = map[string][]*expr.AggFunc{}
	}
	n.Funcs[o.Name] = slices.DeleteFunc(slices.Clone(n.Funcs[o.Name]), func(f *expr.Func) bool { return slices.Equal(f.Args, o.Args) })
	n.Aggs[o.Name] = slices.DeleteFunc(slices.Clone(n.Aggs[o.Name]), func(f *expr.AggFunc) bool { return slices.Equal(f.Args, o.Args) })
	if len(n.Funcs[o.Name]) == 0 {
		delete(n.Funcs, o.Name)
	}
	if len(n.Aggs[o.Name]) == 0 {
		delete(n.Aggs, o.Name)
	}
	return n
}

// findFunction finds a function by name and argument types; nil args: any types.
func findFunction(cat *catalog.Catalog, name string, args []types.Type) *catalog.Object {
	for _, o := range cat.All() {
		if o.Kind == catalog.Function && o.Name == name && slices.Equal(o.Args, args) {
			return o
		}
	}
	return nil
}

// signature is a function as messages name it: f(integer, text).
func signature(o *catalog.Object) string {
	var args []string
	for _, a := range o.Args {
		args = append(args, a.String())
	}
	return o.Name + "(" + strings.Join(args, ", ") + ")"
}

// typeOf resolves a type of a function's signature, without its modifier.
func typeOf(t *ast.TypeName) (types.Type, error) {
	name := t.Parts[len(t.Parts)-1]
	if t.Dims > 0 {
		name += "[]"
	}
	typ, ok := expr.TypeNamed(name)
	if !ok {
		return typ, sqlerr.New(sqlerr.UndefinedObject, `type "%s" does not exist`, t).At(t.Offset())
	}
	return types.Bare(typ), nil
}
