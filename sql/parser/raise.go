package parser

import (
	"fmt"
	"strconv"
	"strings"

	tast "github.com/pingcap/tidb/pkg/parser/ast"
	"github.com/pingcap/tidb/pkg/parser/opcode"

	"github.com/streamsql/streamsql/sql/ast"
	"github.com/streamsql/streamsql/sql/sqlerr"
)

// raiser turns TiDB's tree of an encoded text into the project's.
type raiser struct {
	encoded
	sides []ast.Node
}

// bad says that TiDB's tree holds what the encoding does not print.
func (r *raiser) bad(n any) {
	panic(sqlerr.New(sqlerr.Internal, "the parser did not expect %T", n))
}

// pos returns the user's offset of an expression.
func (r *raiser) pos(n tast.ExprNode) ast.Pos {
	m, ok := r.at(n.OriginTextPosition())
	if !ok {
		r.bad(n)
	}
	return ast.Pos(m.pos)
}

// expr raises an expression.
func (r *raiser) expr(n tast.ExprNode) ast.Expr {
	if par, ok := n.(*tast.ParenthesesExpr); ok {
		// An operator's parentheses bear its position.
		return r.operator(par.Expr, r.pos(par))
	}
	return r.operator(n, r.pos(n))
}

// operator raises an expression that stands at pos.
func (r *raiser) operator(n tast.ExprNode, pos ast.Pos) ast.Expr {
	switch n := n.(type) {
	case *value:
		return literal(n, pos)
	case *tast.ColumnNameExpr:
		return column(n.Name, pos)
	case *tast.BinaryOperationExpr:
		return &ast.Binary{Pos: pos, Op: binaryOps[n.Op], L: r.expr(n.L), R: r.expr(n.R)}
	case *tast.UnaryOperationExpr:
		return r.unary(n, pos)
	case *tast.IsNullExpr:
		return &ast.IsNull{Pos: pos, X: r.expr(n.Expr), Not: n.Not}
	case *tast.IsTruthExpr:
		want := ast.False
		if n.True != 0 {
			want = ast.True
		}
		return &ast.IsBool{Pos: pos, X: r.expr(n.Expr), Not: n.Not, Want: want}
	case *tast.BetweenExpr:
		return &ast.Between{Pos: pos, X: r.expr(n.Expr), Lo: r.expr(n.Left), Hi: r.expr(n.Right), Not: n.Not}
	case *tast.PatternInExpr:
		in := &ast.In{Pos: pos, X: r.expr(n.Expr), Not: n.Not}
		if n.Sel != nil {
			in.Query = r.subquery(n.Sel)
		} else {
			in.List = r.exprs(n.List)
		}
		return in
	case *tast.ExistsSubqueryExpr:
		return r.exists(n, pos)
	case *tast.SubqueryExpr:
		return &ast.ScalarSubquery{Pos: pos, Query: r.subquery(n)}
	case *tast.CaseExpr:
		return r.caseExpr(n, pos)
	case *tast.WindowFuncExpr:
		return r.over(n)
	case *tast.FuncCallExpr:
		return r.call(n, pos)
	case *tast.ParenthesesExpr:
		return r.expr(n)
	}
	r.bad(n)
	return nil
}

func (r *raiser) exprs(ns []tast.ExprNode) []ast.Expr {
	if len(ns) == 0 {
		return nil
	}
	out := make([]ast.Expr, len(ns))
	for i, n := range ns {
		out[i] = r.expr(n)
	}
	return out
}

var binaryOps = map[opcode.Op]string{
	opcode.LogicAnd: "AND", opcode.LogicOr: "OR",
	opcode.EQ: "=", opcode.NE: "<>", opcode.LT: "<", opcode.LE: "<=", opcode.GT: ">", opcode.GE: ">=",
	opcode.Plus: "+", opcode.Minus: "-", opcode.Mul: "*", opcode.Div: "/", opcode.Mod: "%",
}

func literal(n *value, pos ast.Pos) ast.Expr {
	l := &ast.Literal{Pos: pos}
	switch v := n.v.(type) {
	case nil:
		l.Kind = ast.NullLiteral
	case bool:
		l.Kind, l.Text = ast.BoolLiteral, strconv.FormatBool(v)
	case int64:
		l.Kind, l.Text = ast.IntLiteral, strconv.FormatInt(v, 10)
	case string:
		l.Kind, l.Text = ast.StringLiteral, v
	}
	return l
}

func column(n *tast.ColumnName, pos ast.Pos) *ast.ColumnRef {
	c := &ast.ColumnRef{Pos: pos}
	for _, s := range []string{n.Schema.O, n.Table.O, n.Name.O} {
		if s != "" {
			c.Parts = append(c.Parts, s)
		}
	}
	return c
}

// unary raises NOT, + and -. As in PostgreSQL the sign of a number is its own.
func (r *raiser) unary(n *tast.UnaryOperationExpr, pos ast.Pos) ast.Expr {
	x := r.expr(n.V)
	switch n.Op {
	case opcode.Not, opcode.Not2:
		return &ast.Unary{Pos: pos, Op: "NOT", X: x}
	case opcode.Plus:
		return &ast.Unary{Pos: pos, Op: "+", X: x}
	case opcode.Minus:
		if l, ok := x.(*ast.Literal); ok && (l.Kind == ast.IntLiteral || l.Kind == ast.NumLiteral) {
			return numberOf(negated(l.Text), pos)
		}
		return &ast.Unary{Pos: pos, Op: "-", X: x}
	}
	r.bad(n)
	return nil
}

func negated(s string) string {
	switch {
	case s == "0":
		return s
	case s[0] == '-':
		return s[1:]
	}
	return "-" + s
}

// numberOf is the literal of a number: an integer when it is one of 64 bits.
func numberOf(text string, pos ast.Pos) *ast.Literal {
	l := &ast.Literal{Pos: pos, Kind: ast.NumLiteral, Text: text}
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		l.Kind, l.Text = ast.IntLiteral, strconv.FormatInt(n, 10)
	}
	return l
}

// exists raises EXISTS, into which TiDB takes a NOT before it.
func (r *raiser) exists(n *tast.ExistsSubqueryExpr, pos ast.Pos) ast.Expr {
	e := &ast.Exists{Pos: pos, Query: r.subquery(n.Sel)}
	if !n.Not {
		return e
	}
	m, ok := r.at(n.OriginTextPosition() + len("NOT "))
	if !ok {
		r.bad(n)
	}
	e.Pos = ast.Pos(m.pos)
	return &ast.Unary{Pos: pos, Op: "NOT", X: e}
}

func (r *raiser) caseExpr(n *tast.CaseExpr, pos ast.Pos) ast.Expr {
	c := &ast.Case{Pos: pos}
	if n.Value != nil {
		c.Operand = r.expr(n.Value)
	}
	for _, w := range n.WhenClauses {
		when := &ast.When{Cond: r.expr(w.Expr), Result: r.expr(w.Result)}
		m, ok := r.at(w.Expr.OriginTextPosition() - len("WHEN "))
		if !ok {
			r.bad(w)
		}
		when.Pos = ast.Pos(m.pos)
		c.Whens = append(c.Whens, when)
	}
	if n.ElseClause != nil {
		c.Else = r.expr(n.ElseClause)
	}
	return c
}

// text returns the value of a string argument.
func (r *raiser) text(n tast.ExprNode) string {
	v, ok := n.(*value)
	if !ok {
		r.bad(n)
	}
	s, ok := v.v.(string)
	if !ok {
		r.bad(n)
	}
	return s
}

func (r *raiser) texts(ns []tast.ExprNode) []string {
	out := make([]string, len(ns))
	for i, n := range ns {
		out[i] = r.text(n)
	}
	return out
}

// typ returns the type that stands as an argument.
func (r *raiser) typ(n tast.ExprNode) *ast.TypeName {
	m, ok := r.at(n.OriginTextPosition())
	if !ok || m.typ == nil {
		r.bad(n)
	}
	return m.typ
}

// entry returns the entry of the side table that a name stands for.
func (r *raiser) entry(name string) ast.Node {
	if num, ok := strings.CutPrefix(name, "#"); ok {
		if i, err := strconv.Atoi(num); err == nil && i < len(r.sides) {
			return r.sides[i]
		}
	}
	panic(sqlerr.New(sqlerr.Internal, "the parser did not expect the name %s", name))
}

// entryOf is entry with the type that the node must have.
func entryOf[T ast.Node](r *raiser, name string) T {
	n := r.entry(name)
	e, ok := n.(T)
	if !ok {
		panic(sqlerr.New(sqlerr.Internal, "the parser did not expect %s", fmt.Sprintf("%T", n)))
	}
	return e
}

// isMarker returns the arguments when n is a call of one of the encoding's own
// functions with this name.
func isMarker(n tast.ExprNode, name string) ([]tast.ExprNode, bool) {
	f, ok := n.(*tast.FuncCallExpr)
	if !ok || f.Schema.O != "" || f.FnName.O != name {
		return nil, false
	}
	return f.Args, true
}
