package parser

import (
	"strings"

	tast "github.com/pingcap/tidb/pkg/parser/ast"

	"github.com/streamsql/streamsql/sql/ast"
)

// call raises a function call: one of the encoding's own, or the user's.
func (r *raiser) call(n *tast.FuncCallExpr, pos ast.Pos) ast.Expr {
	a := n.Args
	if n.Schema.O == "" {
		switch n.FnName.O {
		case "__op":
			return r.op(r.text(a[0]), a[1:], pos)
		case "__quant":
			return r.quantified(a, pos)
		case "__cast":
			return &ast.Cast{Pos: pos, X: r.expr(a[0]), Type: r.typ(a[1])}
		case "__typed":
			return &ast.TypedLiteral{Pos: pos, Type: r.typ(a[1]), Text: r.text(a[0])}
		case "__num":
			return numberOf(r.text(a[0]), pos)
		case "__bit":
			return &ast.Literal{Pos: pos, Kind: ast.BitLiteral, Text: r.text(a[0])}
		case "__param":
			return &ast.Param{Pos: pos, N: r.int(a[0])}
		case "__default":
			return &ast.Default{Pos: pos}
		case "__star":
			return &ast.ColumnRef{Pos: pos, Parts: r.texts(a), Star: true}
		case "__column":
			return &ast.ColumnRef{Pos: pos, Parts: r.texts(a)}
		case "__row":
			return &ast.Row{Pos: pos, Items: r.exprs(a)}
		case "__array":
			return &ast.Array{Pos: pos, Items: r.exprs(a)}
		case "__array_query":
			return &ast.ArraySubquery{Pos: pos, Query: r.subquery(a[0])}
		case "__index":
			return &ast.Index{Pos: pos, X: r.expr(a[0]), Lo: r.expr(a[1])}
		case "__slice":
			return &ast.Index{Pos: pos, X: r.expr(a[0]), Lo: r.optional(a[1]), Hi: r.optional(a[2]), Slice: true}
		case "__field":
			f := &ast.Field{Pos: pos, X: r.expr(a[0]), Star: len(a) == 1}
			if !f.Star {
				f.Name = r.text(a[1])
			}
			return f
		case "__collate":
			name := ast.Name{Parts: r.texts(a[1:]), Pos: r.pos(a[1])}
			return &ast.Collate{Pos: pos, X: r.expr(a[0]), Name: name}
		case "__extract":
			return &ast.Extract{Pos: pos, Field: r.text(a[0]), X: r.expr(a[1])}
		case "__keyword":
			c := &ast.Call{Pos: pos, Keyword: true, Args: r.exprs(a[1:])}
			c.Name = ast.Name{Pos: pos, Parts: []string{r.text(a[0])}}
			return c
		case "__named":
			return &ast.NamedArg{Pos: pos, Name: r.text(a[0]), X: r.expr(a[1])}
		case "__table":
			return &ast.TableArg{Pos: pos, Name: ast.Name{Pos: r.pos(a[0]), Parts: r.texts(a)}}
		case "__partitioned":
			return &ast.Partitioned{Pos: pos, Data: r.expr(a[0]), Keys: r.exprs(a[1:])}
		case "__descriptor":
			return &ast.Descriptor{Pos: pos, Columns: r.texts(a)}
		case "__grouping":
			return &ast.GroupingSet{Pos: pos, Kind: ast.GroupingKind(r.text(a[0])), Items: r.exprs(a[1:])}
		case "__filter":
			c := r.callOf(a[0])
			c.Filter = r.expr(a[1])
			return c
		case "__within_group":
			c := r.callOf(a[0])
			c.WithinGroup = true
			c.OrderBy = r.callOrder(a[1:])
			return c
		}
	}
	return r.plainCall(n, pos)
}

// callOf raises what must be a call.
func (r *raiser) callOf(n tast.ExprNode) *ast.Call {
	f, ok := n.(*tast.FuncCallExpr)
	if !ok {
		r.bad(n)
	}
	c, ok := r.call(f, r.pos(f)).(*ast.Call)
	if !ok {
		r.bad(n)
	}
	return c
}

// optional raises an argument that may be missing.
func (r *raiser) optional(n tast.ExprNode) ast.Expr {
	if _, ok := isMarker(n, "__none"); ok {
		return nil
	}
	return r.expr(n)
}

func (r *raiser) int(n tast.ExprNode) int {
	if v, ok := n.(*value); ok {
		if i, ok := v.v.(int64); ok {
			return int(i)
		}
	}
	r.bad(n)
	return 0
}

// plainCall raises a call of the user's. What MySQL's calls do not have comes
// as markers among the arguments.
func (r *raiser) plainCall(n *tast.FuncCallExpr, pos ast.Pos) ast.Expr {
	c := &ast.Call{Pos: pos, Name: ast.Name{Pos: pos}}
	if n.Schema.O != "" {
		c.Name.Parts = append(c.Name.Parts, n.Schema.O)
	}
	c.Name.Parts = append(c.Name.Parts, n.FnName.O)
	for i, arg := range n.Args {
		f, ok := arg.(*tast.FuncCallExpr)
		if !ok || f.Schema.O != "" {
			c.Args = append(c.Args, r.expr(arg))
			continue
		}
		switch f.FnName.O {
		case "__star":
			if len(f.Args) > 0 {
				c.Args = append(c.Args, r.expr(arg)) // f(t.*)
			} else {
				c.Star = true
			}
		case "__distinct":
			c.Distinct = true
		case "__variadic":
			c.Variadic = true
			c.Args = append(c.Args, r.expr(f.Args[0]))
		case "__order":
			c.OrderBy = r.callOrder(n.Args[i:])
			return c
		default:
			c.Args = append(c.Args, r.expr(arg))
		}
	}
	return c
}

// callOrder raises the keys of an ORDER BY inside a call.
func (r *raiser) callOrder(ns []tast.ExprNode) []*ast.OrderItem {
	var out []*ast.OrderItem
	for _, n := range ns {
		a, ok := isMarker(n, "__order")
		if !ok {
			r.bad(n)
		}
		out = append(out, r.orderItem(a[1], r.text(a[0]) == "desc"))
	}
	return out
}

// orderItem raises a sort key.
func (r *raiser) orderItem(n tast.ExprNode, desc bool) *ast.OrderItem {
	o := &ast.OrderItem{Desc: desc}
	if a, ok := isMarker(n, "__nulls"); ok {
		o.Nulls, n = ast.NullsOrder(r.text(a[0])), a[1]
	}
	o.Expr = r.expr(n)
	o.Pos = first(o.Expr)
	return o
}

// over raises a call with OVER, which stands as the argument of FIRST_VALUE.
func (r *raiser) over(n *tast.WindowFuncExpr) ast.Expr {
	c := r.callOf(n.Args[0])
	c.Over = r.window(&n.Spec)
	return c
}

// window completes the entry of a window.
func (r *raiser) window(spec *tast.WindowSpec) *ast.Window {
	w := entryOf[*ast.Window](r, spec.Ref.O)
	if spec.PartitionBy != nil {
		for _, it := range spec.PartitionBy.Items {
			w.PartitionBy = append(w.PartitionBy, r.expr(it.Expr))
		}
	}
	if spec.OrderBy == nil {
		return w
	}
	for _, it := range spec.OrderBy.Items {
		if a, ok := isMarker(it.Expr, "__frame"); ok {
			w.Frame = &ast.Frame{
				Pos: r.pos(it.Expr), Mode: ast.FrameMode(r.text(a[0])),
				Start:   ast.FrameBound{Kind: ast.BoundKind(r.text(a[1])), Offset: r.optional(a[4])},
				End:     ast.FrameBound{Kind: ast.BoundKind(r.text(a[2])), Offset: r.optional(a[5])},
				Exclude: ast.FrameExclude(r.text(a[3])),
			}
			continue
		}
		w.OrderBy = append(w.OrderBy, r.orderItem(it.Expr, it.Desc))
	}
	return w
}

// op raises an operator that MySQL does not have or reads in its own way.
func (r *raiser) op(name string, a []tast.ExprNode, pos ast.Pos) ast.Expr {
	bare, not := strings.CutPrefix(name, "not ")
	switch bare {
	case "like", "ilike", "similar to":
		l := &ast.Like{Pos: pos, Kind: ast.LikeKind(bare), Not: not, X: r.expr(a[0]), Pattern: r.expr(a[1])}
		if len(a) > 2 {
			l.Escape = r.expr(a[2])
		}
		return l
	case "between symmetric":
		return &ast.Between{Pos: pos, X: r.expr(a[0]), Lo: r.expr(a[1]), Hi: r.expr(a[2]), Not: not, Symmetric: true}
	case "at time zone":
		return &ast.AtTimeZone{Pos: pos, X: r.expr(a[0]), Zone: r.expr(a[1])}
	case "is distinct from", "is not distinct from":
		return &ast.IsDistinct{Pos: pos, L: r.expr(a[0]), R: r.expr(a[1]), Not: bare != "is distinct from"}
	case "is unknown", "is not unknown":
		return &ast.IsBool{Pos: pos, X: r.expr(a[0]), Not: bare != "is unknown", Want: ast.Unknown}
	}
	schema, op := splitOperator(name)
	if len(a) == 1 {
		return &ast.Unary{Pos: pos, Op: op, Schema: schema, X: r.expr(a[0])}
	}
	return &ast.Binary{Pos: pos, Op: op, Schema: schema, L: r.expr(a[0]), R: r.expr(a[1])}
}

// splitOperator takes schema.op apart.
func splitOperator(name string) (schema, op string) {
	if i := strings.LastIndexByte(name, '.'); i >= 0 {
		return name[:i], name[i+1:]
	}
	return "", name
}

func (r *raiser) quantified(a []tast.ExprNode, pos ast.Pos) ast.Expr {
	q := &ast.Quantified{Pos: pos, X: r.expr(a[2])}
	q.Schema, q.Op = splitOperator(r.text(a[0]))
	kind, query := strings.CutSuffix(r.text(a[1]), " query")
	q.All = kind == "all"
	if query {
		q.Query = r.subquery(a[3])
	} else {
		q.Array = r.expr(a[3])
	}
	return q
}
