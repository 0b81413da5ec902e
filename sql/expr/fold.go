package expr

import (
	"slices"
	"strings"

	"github.com/streamsql/streamsql/sql/types"
)

// Fold replaces immutable calls over constants by their values. What fails to
// evaluate is left as it is, so that CASE and AND go on protecting it.
func Fold(e *Env, x *Expr, ctx *Context) *Expr {
	if x == nil || len(x.Args) == 0 && x.Kind != Call {
		return x
	}
	args := slices.Clone(x.Args)
	changed, all := false, true
	for i, a := range args {
		args[i] = Fold(e, a, ctx)
		changed = changed || args[i] != a
		all = all && args[i].Kind == Const
	}
	if changed {
		y := *x
		y.Args = args
		x = &y
	}
	switch x.Kind {
	case Call, Cast:
		strictNull := false
		if x.Kind == Call {
			f, ok := e.Func(x.Fn)
			if !ok || f.Vol != Immutable {
				return x
			}
			strictNull = !f.NotNull
			if y := anyToIn(x); y != nil {
				return Fold(e, y, ctx)
			}
		} else if f := castFunc(x.Args[0].Type, x.Type, x.Explicit); f == nil || f.Vol != Immutable {
			return x
		}
		if strictNull {
			for _, a := range x.Args {
				if a.Kind == Const && a.Value.Null {
					return constant(x, types.NullDatum)
				}
			}
		}
	case And, Or:
		return foldLogic(x)
	case Case:
		return foldCase(x)
	case Coal:
		return foldCoalesce(x)
	}
	if !all {
		return x
	}
	d, err := EvalConst(e, x, ctx)
	if err != nil {
		return x
	}
	return constant(x, d)
}

func constant(x *Expr, d types.Datum) *Expr {
	return &Expr{Kind: Const, Type: x.Type, Value: d, Pos: x.Pos}
}

func isTrue(x *Expr) bool  { return x.Kind == Const && !x.Value.Null && x.Value.I != 0 }
func isFalse(x *Expr) bool { return x.Kind == Const && !x.Value.Null && x.Value.I == 0 }

// foldLogic drops what does not matter, flattens, and ends at what decides.
func foldLogic(x *Expr) *Expr {
	decides, neutral := isFalse, isTrue
	if x.Kind == Or {
		decides, neutral = isTrue, isFalse
	}
	var args []*Expr
	for _, a := range x.Args {
		switch {
		case neutral(a):
		case decides(a):
			if len(args) == 0 {
				return a
			}
			// What stands before it may fail, but need not be evaluated: PostgreSQL
			// folds in the same way.
			return constant(x, a.Value)
		case a.Kind == x.Kind:
			args = append(args, a.Args...)
		default:
			args = append(args, a)
		}
	}
	switch len(args) {
	case 0:
		return constant(x, types.Datum{I: b2i(x.Kind == And)})
	case 1:
		return args[0]
	}
	y := *x
	y.Args = args
	return &y
}

func foldCase(x *Expr) *Expr {
	var args []*Expr
	n := len(x.Args)
	for i := 0; i+1 < n; i += 2 {
		c, v := x.Args[i], x.Args[i+1]
		if c.Kind == Const && !isTrue(c) {
			continue
		}
		if isTrue(c) {
			if len(args) == 0 {
				return v
			}
			y := *x
			y.Args = append(args, v)
			return &y
		}
		args = append(args, c, v)
	}
	if len(args) == 0 {
		return x.Args[n-1]
	}
	y := *x
	y.Args = append(args, x.Args[n-1])
	return &y
}

func foldCoalesce(x *Expr) *Expr {
	var args []*Expr
	for _, a := range x.Args {
		if a.Kind == Const && a.Value.Null {
			continue
		}
		args = append(args, a)
		if a.Kind == Const {
			break
		}
	}
	switch len(args) {
	case 0:
		return constant(x, types.NullDatum)
	case 1:
		return args[0]
	}
	y := *x
	y.Args = args
	return &y
}

// anyToIn turns x = ANY (constant array) into x IN (its elements), which is
// looked up instead of compared one by one.
func anyToIn(x *Expr) *Expr {
	if !strings.HasPrefix(x.Fn, "any(=)(") || x.Args[1].Kind != Const || x.Args[1].Value.Null {
		return nil
	}
	elem := types.Of(x.Args[1].Type.Elem)
	if types.Bare(x.Args[0].Type) != elem {
		return nil
	}
	in := &Expr{Kind: In, Type: x.Type, Args: []*Expr{x.Args[0]}, Pos: x.Pos}
	for _, d := range types.Elems(x.Args[1].Value.S, elem.ID) {
		in.Args = append(in.Args, &Expr{Kind: Const, Type: elem, Value: d, Pos: x.Args[1].Pos})
	}
	if len(in.Args) == 1 {
		return constant(x, types.Datum{}) // nothing equals one of none, not even NULL
	}
	return in
}
