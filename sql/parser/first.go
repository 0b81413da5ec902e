package parser

import "github.com/streamsql/streamsql/sql/ast"

// first returns the offset at which an expression starts; the node itself
// stands at its operator.
func first(x ast.Expr) ast.Pos {
	for {
		l := leftmost(x)
		if l == nil {
			return ast.Pos(x.Offset())
		}
		x = l
	}
}

// leftmost returns the operand that stands before an operator, or nil.
func leftmost(x ast.Expr) ast.Expr {
	switch x := x.(type) {
	case *ast.Binary:
		return x.L
	case *ast.IsDistinct:
		return x.L
	case *ast.Quantified:
		return x.X
	case *ast.Between:
		return x.X
	case *ast.In:
		return x.X
	case *ast.IsNull:
		return x.X
	case *ast.IsBool:
		return x.X
	case *ast.Like:
		return x.X
	case *ast.AtTimeZone:
		return x.X
	case *ast.Collate:
		return x.X
	case *ast.Index:
		return x.X
	case *ast.Field:
		return x.X
	case *ast.Cast:
		if x.X.Offset() < x.Offset() { // x::t
			return x.X
		}
	}
	return nil
}
