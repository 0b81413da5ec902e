package engine

import (
	"github.com/streamsql/streamsql/sql/catalog"
	"github.com/streamsql/streamsql/sql/expr"
	"github.com/streamsql/streamsql/sql/plan"
	"github.com/streamsql/streamsql/sql/types"
)

// bindNode returns a plan with the parameters' values in it. Nodes that several
// others read stay one node; without parameters it is the plan itself.
func bindNode(n *plan.Node, args []types.Datum) *plan.Node {
	if len(args) == 0 || n == nil {
		return n
	}
	return mapNodes(n, func(c *plan.Node) *plan.Node {
		c.Filter, c.Residual = bindExpr(c.Filter, args), bindExpr(c.Residual, args)
		c.Exprs, c.Lookup = bindExprs(c.Exprs, args), bindExprs(c.Lookup, args)
		if c.Cells != nil {
			cells := make([][]*expr.Expr, len(c.Cells))
			for i, row := range c.Cells {
				cells[i] = bindExprs(row, args)
			}
			c.Cells = cells
		}
		return c
	})
}

func bindExpr(x *expr.Expr, args []types.Datum) *expr.Expr {
	if x == nil || len(args) == 0 {
		return x
	}
	return expr.Substitute(x, args)
}

func bindExprs(xs []*expr.Expr, args []types.Datum) []*expr.Expr {
	if xs == nil || len(args) == 0 {
		return xs
	}
	out := make([]*expr.Expr, len(xs))
	for i, x := range xs {
		out[i] = expr.Substitute(x, args)
	}
	return out
}

// bindWrite returns a copy of w with the parameters' values in it.
func bindWrite(w *plan.Write, args []types.Datum) (*plan.Write, error) {
	c := *w
	c.Root = bindNode(w.Root, args)
	c.ConflictSet, c.ConflictCond = bindExprs(w.ConflictSet, args), bindExpr(w.ConflictCond, args)
	c.Returning = bindExprs(w.Returning, args)
	return &c, nil
}

// mapNodes copies a plan; fn changes each copy, or returns another node for it.
func mapNodes(root *plan.Node, fn func(*plan.Node) *plan.Node) *plan.Node {
	done := map[*plan.Node]*plan.Node{}
	var walk func(n *plan.Node) *plan.Node
	walk = func(n *plan.Node) *plan.Node {
		if c := done[n]; c != nil {
			return c
		}
		c := *n
		c.Inputs = nil
		for _, in := range n.Inputs {
			c.Inputs = append(c.Inputs, walk(in))
		}
		out := fn(&c)
		done[n] = out
		return out
	}
	return walk(root)
}

// queryColumns describes a query's result, with the table and attribute of
// columns that are a table's own.
func queryColumns(cat *catalog.Catalog, q *plan.Query) []Column {
	out := make([]Column, len(q.Columns))
	for i, c := range q.Columns {
		out[i] = Column{Name: c.Name, Type: c.Type}
		if out[i].Type.ID == types.Unknown { // as PostgreSQL shows an untyped literal
			out[i].Type = types.Of(types.Text)
		}
		if o, col := origin(cat, q.Root, i); o != nil {
			out[i].Table, out[i].Attr = o.ID, int16(col+1)
		}
	}
	return out
}

// origin follows an output column down to the relation that it is a column of.
func origin(cat *catalog.Catalog, n *plan.Node, col int) (*catalog.Object, int) {
	for {
		switch n.Op {
		case plan.Scan:
			if col >= len(n.Columns) {
				return nil, 0
			}
			return cat.ByID(n.Relation), n.Columns[col]
		case plan.Map:
			if n.Exprs != nil {
				x := n.Exprs[col]
				if x.Kind != expr.Col {
					return nil, 0
				}
				col = x.Index
			}
			n = n.Inputs[0]
		case plan.Exchange, plan.Distinct:
			n = n.Inputs[0]
		case plan.TopN, plan.Over, plan.Window:
			if col >= len(n.Inputs[0].Out) {
				return nil, 0
			}
			n = n.Inputs[0]
		case plan.Join:
			left := len(n.Inputs[0].Out)
			if col >= left {
				col, n = col-left, n.Inputs[1]
			} else {
				n = n.Inputs[0]
			}
		default:
			return nil, 0
		}
	}
}
