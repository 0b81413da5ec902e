package expr

import (
	"iter"

	"github.com/streamsql/streamsql/sql/sqlerr"
	"github.com/streamsql/streamsql/sql/types"
)

// Rows yields the rows of a set one by one. A row is valid until the next. An
// error is yielded alone and ends the set.
type Rows = iter.Seq2[[]types.Datum, error]

// setFunc is one overload of a set-returning function.
type setFunc struct {
	f     Func         // the signature; Ret is not used
	cols  []types.Type // of the rows; may hold AnyElement
	names []string     // of the columns; nil: one column named as the function
	rows  func(ctx *Context, args []types.Datum, ts []types.Type) Rows
}

var (
	setsByName = map[string][]*setFunc{}
	setsByKey  = map[string]*setFunc{}
)

func registerSet(fs ...*setFunc) {
	for _, f := range fs {
		k := f.f.Key()
		if setsByKey[k] != nil {
			panic("expr: set function " + k + " is registered twice")
		}
		setsByKey[k] = f
		setsByName[f.f.Name] = append(setsByName[f.f.Name], f)
	}
}

// IsSet tells whether a set-returning function has that name.
func (e *Env) IsSet(name string) bool { return len(setsByName[name]) > 0 }

// SetFunc resolves a set-returning function in FROM: its key, the arguments
// cast, and the types and names of its columns. 42883 when there is none.
func (e *Env) SetFunc(name string, args []*Expr, pos int) (key string, cast []*Expr, cols []types.Type, names []string, err error) {
	fs := setsByName[name]
	var cs []candidate
	for i, f := range fs {
		if c, ok := candidate1(f.f.Args, f.f.Variadic, i, len(args)); ok {
			cs = append(cs, c)
		}
	}
	c, found, ambiguous := choose(name, false, cs, argTypes(args))
	switch {
	case !found:
		return "", nil, nil, nil, undefined(name, args, pos)
	case ambiguous:
		return "", nil, nil, nil, notUnique(name, args, pos)
	}
	cast, elem, err := e.castArgs(c, args)
	if err != nil {
		return "", nil, nil, nil, err
	}
	f := fs[c.index]
	for _, t := range f.cols {
		cols = append(cols, concrete(t, t, elem))
	}
	if names = f.names; names == nil {
		names = []string{name}
	}
	return f.f.Key(), cast, cols, names, nil
}

// EvalSet evaluates a set-returning function for one row of arguments; the
// rows come one at a time, however many there are. NULL among the arguments
// gives no rows.
func EvalSet(key string, ctx *Context, args []types.Datum, argTypes []types.Type) Rows {
	f := setsByKey[key]
	if f == nil {
		return setError(sqlerr.New(sqlerr.Internal, "no set-returning function %s", key))
	}
	if !f.f.NotNull {
		for _, a := range args {
			if a.Null {
				return func(func([]types.Datum, error) bool) {}
			}
		}
	}
	return f.rows(ctx, args, argTypes)
}

func setError(err error) Rows {
	return func(yield func([]types.Datum, error) bool) { yield(nil, err) }
}

func init() {
	for _, t := range []types.ID{types.Int4, types.Int8} {
		r := rangeOf(types.Of(t))
		series(t, t, func(_ *Context, args []types.Datum) Rows { return intSeries(args, r) })
	}
	series(types.Numeric, types.Numeric, func(_ *Context, args []types.Datum) Rows { return numericSeries(args) })
	for _, t := range []types.ID{types.Timestamp, types.Timestamptz} {
		registerSet(&setFunc{f: Func{Name: "generate_series", Args: typs(t, t, types.Interval)}, cols: typs(t),
			rows: func(ctx *Context, args []types.Datum, _ []types.Type) Rows {
				return timeSeries(ctx, t, args)
			}})
	}
	registerSet(
		&setFunc{f: Func{Name: "unnest", Args: typs(AnyArray)}, cols: typs(AnyElement),
			rows: func(_ *Context, args []types.Datum, ts []types.Type) Rows {
				return func(yield func([]types.Datum, error) bool) {
					for _, d := range types.Elems(args[0].S, ts[0].Elem) {
						if !yield([]types.Datum{d}, nil) {
							return
						}
					}
				}
			}},
		&setFunc{f: Func{Name: "generate_subscripts", Args: typs(AnyArray, types.Int4)}, cols: typs(types.Int4),
			rows: func(_ *Context, args []types.Datum, ts []types.Type) Rows {
				n := len(types.Elems(args[0].S, ts[0].Elem))
				if args[1].I != 1 {
					n = 0
				}
				return intSeries([]types.Datum{{I: 1}, {I: int64(n)}}, rangeOf(types.Of(types.Int4)))
			}},
	)
}

// series registers generate_series with and without a step.
func series(arg, ret types.ID, rows func(ctx *Context, args []types.Datum) Rows) {
	for n := 2; n <= 3; n++ {
		registerSet(&setFunc{f: Func{Name: "generate_series", Args: typs(arg, arg, arg)[:n]}, cols: typs(ret),
			rows: func(ctx *Context, args []types.Datum, _ []types.Type) Rows { return rows(ctx, args) }})
	}
}

func errZeroStep() error {
	return sqlerr.New(sqlerr.InvalidParameter, "step size cannot equal zero")
}

func intSeries(args []types.Datum, r intRange) Rows {
	step := int64(1)
	if len(args) > 2 {
		step = args[2].I
	}
	if step == 0 {
		return setError(errZeroStep())
	}
	return func(yield func([]types.Datum, error) bool) {
		row := make([]types.Datum, 1)
		for x := args[0].I; step > 0 && x <= args[1].I || step < 0 && x >= args[1].I; {
			row[0] = types.Datum{I: x}
			if !yield(row, nil) {
				return
			}
			next := x + step
			if r.sumOverflow(x, step, next) < 0 {
				return
			}
			x = next
		}
	}
}

func numericSeries(args []types.Datum) Rows {
	step := types.AppendNumericInt(nil, 1)
	if len(args) > 2 {
		step = args[2].S
	}
	zero := types.AppendNumericInt(nil, 0)
	for i, what := range []string{"start", "stop", "step size"} {
		if i >= len(args) {
			break
		}
		if b := args[i].S; len(b) > 0 && b[0] >= types.NumericNaN {
			word := "infinity"
			if b[0] == types.NumericNaN {
				word = "NaN"
			}
			return setError(sqlerr.New(sqlerr.InvalidParameter, "%s value cannot be %s", what, word))
		}
	}
	sign := types.NumericCmp(step, zero)
	if sign == 0 {
		return setError(errZeroStep())
	}
	return func(yield func([]types.Datum, error) bool) {
		for x := args[0].S; types.NumericCmp(x, args[1].S)*sign <= 0; x = types.NumericAdd(nil, x, step, false) {
			if !yield([]types.Datum{{S: x}}, nil) {
				return
			}
		}
	}
}

func timeSeries(ctx *Context, t types.ID, args []types.Datum) Rows {
	sign := cmpInterval(args[2].S, types.IntervalOf(0, 0, 0))
	if sign == 0 {
		return setError(errZeroStep())
	}
	return func(yield func([]types.Datum, error) bool) {
		row := make([]types.Datum, 1)
		stop := args[1].I
		for x := args[0].I; sign > 0 && x <= stop || sign < 0 && x >= stop; {
			row[0] = types.Datum{I: x}
			if !yield(row, nil) {
				return
			}
			next, err := addInterval(x, args[2].S, 1, t == types.Timestamptz, ctx)
			if err != nil {
				yield(nil, err)
				return
			}
			if next == x { // infinite
				return
			}
			x = next
		}
	}
}
