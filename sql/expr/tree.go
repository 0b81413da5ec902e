package expr

import (
	"slices"
	"strings"

	"github.com/streamsql/streamsql/sql/types"
)

// Walk calls fn with x and everything beneath it, x first. It goes no deeper
// where fn returns false.
func Walk(x *Expr, fn func(*Expr) bool) {
	if x == nil || !fn(x) {
		return
	}
	for _, a := range x.Args {
		Walk(a, fn)
	}
}

// rewrite returns a copy of x in which fn has replaced nodes; fn returns nil to
// leave a node as it is and go on beneath it.
func rewrite(x *Expr, fn func(*Expr) *Expr) *Expr {
	if y := fn(x); y != nil {
		return y
	}
	var args []*Expr
	for i, a := range x.Args {
		b := rewrite(a, fn)
		if b != a && args == nil {
			args = slices.Clone(x.Args)
		}
		if args != nil {
			args[i] = b
		}
	}
	if args == nil {
		return x
	}
	y := *x
	y.Args = args
	return &y
}

// Remap returns x with the column i renumbered to f(i).
func Remap(x *Expr, f func(int) int) *Expr {
	return rewrite(x, func(n *Expr) *Expr {
		if n.Kind != Col {
			return nil
		}
		y := *n
		y.Index = f(n.Index)
		return &y
	})
}

// Substitute returns x with constants for the parameters: Param i becomes
// params[i-1] when parameters are numbered from 1, as in $1.
func Substitute(x *Expr, params []types.Datum) *Expr {
	return rewrite(x, func(n *Expr) *Expr {
		if n.Kind != Param || n.Index < 1 || n.Index > len(params) {
			return nil
		}
		return &Expr{Kind: Const, Type: n.Type, Value: params[n.Index-1], Pos: n.Pos}
	})
}

// Columns returns the input columns that x reads, ascending.
func Columns(x *Expr) []int {
	var out []int
	Walk(x, func(n *Expr) bool {
		if n.Kind == Col && !slices.Contains(out, n.Index) {
			out = append(out, n.Index)
		}
		return true
	})
	slices.Sort(out)
	return out
}

// IsConst tells whether x is a constant.
func IsConst(x *Expr) bool { return x.Kind == Const }

// VolatilityOf returns the volatility of all that x calls.
func VolatilityOf(e *Env, x *Expr) Volatility {
	v := Immutable
	Walk(x, func(n *Expr) bool {
		switch n.Kind {
		case Call:
			if f, ok := e.Func(n.Fn); ok {
				v = max(v, f.Vol)
			} else {
				v = Volatile
			}
		case Cast:
			if f := castFunc(n.Args[0].Type, n.Type, n.Explicit); f != nil {
				v = max(v, f.Vol)
			}
		}
		return true
	})
	return v
}

// MayFail tells whether evaluating x may raise an error for some input.
func MayFail(e *Env, x *Expr) bool {
	fails := false
	Walk(x, func(n *Expr) bool {
		switch n.Kind {
		case Call:
			f, ok := e.Func(n.Fn)
			fails = fails || !ok || f.MayFail && !safeCall(f, n.Args)
		case Cast:
			f := castFunc(n.Args[0].Type, n.Type, n.Explicit)
			fails = fails || f == nil || f.MayFail
		case Param:
			fails = true
		}
		return !fails
	})
	return fails
}

// safeCall knows the calls that cannot fail because of a constant: a division
// by something that is not zero.
func safeCall(f *Func, args []*Expr) bool {
	switch f.Name {
	case "/", "%":
		if len(args) != 2 {
			return false
		}
		d := bare(args[1])
		return d.Kind == Const && !d.Value.Null && isInt(d.Type) && d.Value.I > 0
	case "~~", "!~~", "~~*", "!~~*", "~", "!~", "~*", "!~*":
		return len(args) == 2 && args[1].Kind == Const && !args[1].Value.Null && goodPattern(f.Name, args[1].Value.S)
	}
	return false
}

func goodPattern(op string, p []byte) bool {
	if strings.HasSuffix(strings.TrimSuffix(op, "*"), "~~") {
		_, err := compileLike(p, false, false)
		return err == nil
	}
	_, err := compileRegex(string(p), "")
	return err == nil
}
