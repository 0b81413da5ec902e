package parser

import (
	tast "github.com/pingcap/tidb/pkg/parser/ast"

	"github.com/streamsql/streamsql/sql/ast"
)

// subquery raises a query in parentheses.
func (r *raiser) subquery(n tast.ExprNode) *ast.Query {
	s, ok := n.(*tast.SubqueryExpr)
	if !ok {
		r.bad(n)
	}
	return r.query(s.Query)
}

// query raises a query with its clauses.
func (r *raiser) query(n tast.Node) *ast.Query {
	switch n := n.(type) {
	case *tast.SelectStmt:
		q, at := r.clauses(n.With, n.OrderBy)
		q.Body = r.selectStmt(n, at)
		return q
	case *tast.SetOprStmt:
		return r.setOp(n.With, n.OrderBy, n.SelectList.Selects)
	case *tast.SetOprSelectList:
		if len(n.Selects) == 1 {
			return r.query(n.Selects[0])
		}
		return r.setOp(n.With, n.OrderBy, n.Selects)
	}
	r.bad(n)
	return nil
}

var setOprs = map[tast.SetOprType]struct {
	op  ast.SetOpKind
	all bool
}{
	tast.Union: {ast.Union, false}, tast.UnionAll: {ast.Union, true},
	tast.Intersect: {ast.Intersect, false}, tast.IntersectAll: {ast.Intersect, true},
	tast.Except: {ast.Except, false}, tast.ExceptAll: {ast.Except, true},
}

// setOp raises a set operation, of two operands as the encoding prints all.
func (r *raiser) setOp(with *tast.WithClause, order *tast.OrderByClause, sides []tast.Node) *ast.Query {
	if len(sides) != 2 {
		r.bad(sides)
	}
	q, at := r.clauses(with, order)
	right, ok := sides[1].(*tast.SetOprSelectList)
	if !ok || right.AfterSetOperator == nil {
		r.bad(sides[1])
	}
	kind := setOprs[*right.AfterSetOperator]
	q.Body = &ast.SetOp{
		Pos: at.body, Op: kind.op, All: kind.all,
		Left: r.operand(sides[0]), Right: r.operand(right),
	}
	return q
}

// operand raises an operand of a set operation; one without clauses of its own
// is its body alone.
func (r *raiser) operand(n tast.Node) ast.QueryBody {
	q := r.query(n)
	if q.With == nil && q.OrderBy == nil && q.Limit == nil && q.Skip == nil && q.Emit == ast.EmitDefault {
		return q.Body
	}
	return q
}

// where holds what a query's last sort key says of its body.
type where struct {
	body ast.Pos
	on   []ast.Expr
}

// clauses raises WITH and what stands behind the body.
func (r *raiser) clauses(with *tast.WithClause, order *tast.OrderByClause) (*ast.Query, where) {
	q, at := &ast.Query{}, where{}
	if order == nil {
		r.bad(order)
	}
	for _, it := range order.Items {
		f, ok := it.Expr.(*tast.FuncCallExpr)
		if !ok || f.Schema.O != "" {
			q.OrderBy = append(q.OrderBy, r.orderItem(it.Expr, it.Desc))
			continue
		}
		switch f.FnName.O {
		case "__on":
			at.on = r.exprs(f.Args)
		case "__limit":
			q.Limit = r.expr(f.Args[0])
		case "__offset":
			q.Skip = r.expr(f.Args[0])
		case "__ties":
			q.WithTies = true
		case "__emit":
			q.Emit, q.EmitPos = ast.Emit(r.text(f.Args[0])), r.pos(f)
			if len(f.Args) > 1 {
				q.Interval = r.expr(f.Args[1])
			}
		case "__at":
			at.body = r.pos(f)
			q.Pos = at.body
			if len(f.Args) > 0 {
				q.Pos = r.pos(f.Args[0])
			}
		default:
			q.OrderBy = append(q.OrderBy, r.orderItem(it.Expr, it.Desc))
		}
	}
	if with != nil {
		q.With = &ast.With{Pos: q.Pos, Recursive: with.IsRecursive}
		for _, c := range with.CTEs {
			e := entryOf[*ast.CTE](r, c.Name.O)
			e.Query = r.subquery(c.Query)
			q.With.CTEs = append(q.With.CTEs, e)
		}
	}
	return q, at
}

func (r *raiser) selectStmt(n *tast.SelectStmt, at where) ast.QueryBody {
	if n.Kind == tast.SelectStmtKindValues {
		v := &ast.Values{Pos: at.body}
		for _, row := range n.Lists {
			v.Rows = append(v.Rows, r.exprs(row.Values))
		}
		return v
	}
	s := &ast.Select{Pos: at.body, Distinct: n.Distinct, DistinctOn: at.on}
	for _, f := range n.Fields.Fields {
		if _, none := isMarker(f.Expr, "__none"); none {
			continue
		}
		x := r.expr(f.Expr)
		s.Targets = append(s.Targets, &ast.Target{Pos: first(x), Expr: x, Alias: f.AsName.O})
	}
	if n.From != nil {
		s.From = r.from(n.From.TableRefs)
	}
	if n.Where != nil {
		s.Where = r.expr(n.Where)
	}
	if n.GroupBy != nil {
		for _, it := range n.GroupBy.Items {
			s.GroupBy = append(s.GroupBy, r.expr(it.Expr))
		}
	}
	if n.Having != nil {
		s.Having = r.expr(n.Having.Expr)
	}
	for i := range n.WindowSpecs {
		s.Windows = append(s.Windows, r.window(&n.WindowSpecs[i]))
	}
	return s
}

// from raises the items of FROM, which TiDB gives as cross joins.
func (r *raiser) from(n tast.ResultSetNode) []ast.TableRef {
	j, ok := n.(*tast.Join)
	if !ok || j.On != nil {
		return []ast.TableRef{r.tableRef(n)}
	}
	if j.Right == nil {
		if t, ok := j.Left.(*tast.TableSource); ok {
			if name, ok := t.Source.(*tast.TableName); ok && name.Name.O == noTable {
				return nil
			}
		}
		return r.from(j.Left)
	}
	return append(r.from(j.Left), r.tableRef(j.Right))
}

// tableRef raises an item of FROM.
func (r *raiser) tableRef(n tast.ResultSetNode) ast.TableRef {
	switch n := n.(type) {
	case *tast.Join:
		return r.join(n)
	case *tast.TableSource:
		switch src := n.Source.(type) {
		case *tast.TableName:
			t := entryOf[*ast.Table](r, src.Name.O)
			if src.AsOf != nil {
				t.AsOf = r.expr(src.AsOf.TsExpr)
			}
			return t
		case *tast.SelectStmt, *tast.SetOprStmt:
			return r.derived(r.entry(n.AsName.O), src)
		}
	}
	r.bad(n)
	return nil
}

// derived raises a query in FROM, or the function that stands in one.
func (r *raiser) derived(entry ast.Node, src tast.Node) ast.TableRef {
	switch e := entry.(type) {
	case *ast.Subquery:
		e.Query = r.query(src)
		return e
	case *ast.TableFunc:
		if s, ok := src.(*tast.SelectStmt); ok && len(s.Fields.Fields) == 1 {
			x := r.expr(s.Fields.Fields[0].Expr)
			if e.Call, ok = x.(*ast.Call); ok {
				return e
			}
			// PostgreSQL's grammar takes any special form here; none but calls is a table.
			panic(unsupported(x.Offset(), "this expression in FROM"))
		}
	}
	r.bad(src)
	return nil
}

// join raises a join; its condition names its entry.
func (r *raiser) join(n *tast.Join) ast.TableRef {
	if n.On == nil {
		r.bad(n)
	}
	a, ok := isMarker(n.On.Expr, "__join")
	if !ok {
		r.bad(n.On.Expr)
	}
	name, ok := a[0].(*tast.ColumnNameExpr)
	if !ok {
		r.bad(a[0])
	}
	j := entryOf[*ast.Join](r, name.Name.Name.O)
	j.Left, j.Right = r.tableRef(n.Left), r.tableRef(n.Right)
	if len(a) > 1 {
		j.On = r.expr(a[1])
	}
	return j
}
