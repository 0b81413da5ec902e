package planner

import (
	"github.com/streamsql/streamsql/sql/expr"
	"github.com/streamsql/streamsql/sql/types"
)

func integer(id types.ID) bool { return id == types.Int2 || id == types.Int4 || id == types.Int8 }

// keyClass is a type under which values of types that encode alike as keys are
// compared.
func keyClass(t types.Type) types.Type {
	switch t.ID {
	case types.Varchar, types.Name:
		return types.Of(types.Text)
	}
	return types.Bare(t)
}

// sameKeyType brings the two sides of an equality to one type, so that equal
// values are equal keys.
func (b *binder) sameKeyType(x, y *expr.Expr) (*expr.Expr, *expr.Expr, bool) {
	x, y = withoutRelabel(x), withoutRelabel(y)
	if keyClass(x.Type) == keyClass(y.Type) {
		return x, y, true
	}
	t, err := b.env.Common([]*expr.Expr{x, y}, "=")
	if err != nil {
		return x, y, false
	}
	u, err := b.env.Cast(x, t, expr.Implicit)
	if err != nil {
		return x, y, false
	}
	v, err := b.env.Cast(y, t, expr.Implicit)
	if err != nil {
		return x, y, false
	}
	return u, v, true
}

// withoutRelabel drops a cast that changes no byte of the key.
func withoutRelabel(x *expr.Expr) *expr.Expr {
	for x.Kind == expr.Cast && x.Type.Mod == 0 && keyClass(x.Type) == keyClass(x.Args[0].Type) {
		x = x.Args[0]
	}
	return x
}
