package planner

import (
	"github.com/streamsql/streamsql/sql/ast"
	"github.com/streamsql/streamsql/sql/expr"
	"github.com/streamsql/streamsql/sql/sqlerr"
	"github.com/streamsql/streamsql/sql/types"
)

// output is a bound query: its relation, the columns that it shows, and the order
// and limit that are to be applied to it.
type output struct {
	r    *rel
	cols []nameCol
	sort []sortKey // over r.out

	limit, skip *expr.Expr
	ties        bool
	pos         int
	// raw says that columns of literals may still be of type unknown.
	raw bool
}

// query binds a query with everything in it; its columns are typed.
func (b *binder) query(q *ast.Query, parent *scope) *output {
	o := b.rawQuery(q, parent)
	b.settleOutput(o)
	return o
}

// settleOutput gives columns of unknown type the type text.
func (b *binder) settleOutput(o *output) {
	for i := range o.cols {
		b.coerceOut(o, i, types.Of(types.Text))
	}
}

// coerceOut gives column i of o the type t if it is unknown as yet.
func (b *binder) coerceOut(o *output, i int, t types.Type) {
	b.coerceCol(o.r, o.cols[i].id, t)
}

func (b *binder) coerceCol(r *rel, id int, t types.Type) {
	if b.cols[id].typ.ID != types.Unknown {
		return
	}
	switch r.op {
	case opProject:
		for i, c := range r.out {
			if c != id {
				continue
			}
			x := r.exprs[i]
			if x.Kind == expr.Col {
				b.coerceCol(r.in[0], x.Index, t)
				d := *x
				d.Type = b.cols[x.Index].typ
				r.exprs[i] = &d
			} else {
				r.exprs[i] = b.cast(x, t, expr.Implicit, x.Pos)
			}
		}
	case opValues:
		for i, c := range r.out {
			if c == id {
				for _, row := range r.rows {
					row[i] = b.cast(row[i], t, expr.Implicit, row[i].Pos)
				}
			}
		}
	case opUnion, opSetOp:
		for i, c := range r.out {
			if c == id {
				for j, in := range r.in {
					b.coerceCol(in, r.cols[j][i], t)
				}
			}
		}
	default:
		for _, in := range r.in {
			b.coerceCol(in, id, t)
		}
	}
	b.cols[id].typ = t
}

// maxQueries bounds the SELECTs of a statement, those of views and WITH queries
// counted each time that they are read.
const maxQueries = 20_000

// rawQuery binds a query whose literals may still be of unknown type.
func (b *binder) rawQuery(q *ast.Query, parent *scope) *output {
	b.checkEmit(q)
	if b.queries++; b.queries > maxQueries {
		panic(sqlerr.New(sqlerr.TooComplex, "the statement reads too many views or WITH queries").At(q.Offset()))
	}
	if q.With != nil {
		saved := b.ctes
		defer func() { b.ctes = saved }()
		b.with(q.With)
	}
	o := b.body(q.Body, parent, q.OrderBy)
	if q.With != nil {
		// What is never read must be right all the same.
		c := b.ctes
		for range q.With.CTEs {
			if !c.used {
				b.cte(c)
			}
			c = c.up
		}
	}
	o.pos = q.Offset()
	if q.WithTies && len(q.OrderBy) == 0 {
		panic(sqlerr.New(sqlerr.Syntax, "WITH TIES cannot be specified without ORDER BY clause").At(q.Offset()))
	}
	o.ties = q.WithTies
	lc := &exprCtx{b: b, sc: nil, clause: "LIMIT", noSubs: "LIMIT"}
	bind := func(x ast.Expr, what string) *expr.Expr {
		if x == nil {
			return nil
		}
		lc.clause = what
		if len(columnRefs(x)) > 0 {
			panic(sqlerr.New(sqlerr.InvalidColumnRef, "argument of %s must not contain variables", what).At(x.Offset()))
		}
		e := b.fold(b.cast(lc.bind(x), types.Of(types.Int8), expr.Assignment, x.Offset()))
		if isConst(e) {
			if e.Value.Null {
				return nil
			}
			if e.Value.I < 0 {
				code := map[string]string{"LIMIT": "2201W", "OFFSET": "2201X"}[what]
				panic(sqlerr.New(code, "%s must not be negative", what).At(x.Offset()))
			}
		}
		return e
	}
	o.limit, o.skip = bind(q.Limit, "LIMIT"), bind(q.Skip, "OFFSET")
	return o
}

// columnRefs finds the columns that an expression of constants must not name.
func columnRefs(x ast.Expr) []*ast.ColumnRef {
	switch x := x.(type) {
	case *ast.ColumnRef:
		return []*ast.ColumnRef{x}
	case *ast.Unary:
		return columnRefs(x.X)
	case *ast.Cast:
		return columnRefs(x.X)
	case *ast.Binary:
		return append(columnRefs(x.L), columnRefs(x.R)...)
	}
	return nil
}

// body binds what stands before ORDER BY, and the ORDER BY.
func (b *binder) body(body ast.QueryBody, parent *scope, order []*ast.OrderItem) *output {
	switch q := body.(type) {
	case *ast.Select:
		return b.selectBody(q, parent, order)
	case *ast.Values:
		o := b.values(q, parent)
		b.orderOutput(o, order)
		return o
	case *ast.SetOp:
		o := b.setOp(q, parent)
		b.orderOutput(o, order)
		return o
	case *ast.Query:
		o := b.rawQuery(q, parent)
		if len(order) == 0 && o.limit == nil && o.skip == nil {
			return o
		}
		n := &output{r: b.closed(o), cols: o.cols, raw: o.raw, sort: o.sort}
		if len(order) > 0 {
			n.sort = nil
			b.orderOutput(n, order)
		}
		return n
	}
	panic(unsupported(body.Offset(), "this query"))
}

// closed applies the limit of a query inside another, where its order means
// nothing otherwise.
func (b *binder) closed(o *output) *rel {
	if o.limit == nil && o.skip == nil {
		return o.r
	}
	t := &rel{op: opTopN, in: []*rel{o.r}, out: o.r.out, order: o.sort, limit: -1, ties: o.ties}
	constOf := func(x *expr.Expr, what string) int64 {
		if !isConst(x) {
			panic(unsupported(max(x.Pos, o.pos), "%s with anything but a constant here", what))
		}
		return x.Value.I
	}
	if o.limit != nil {
		t.limit = constOf(o.limit, "LIMIT")
	}
	if o.skip != nil {
		t.offset = constOf(o.skip, "OFFSET")
	}
	if t.limit < 0 && t.offset == 0 {
		return o.r
	}
	return t
}

// with makes the queries of WITH visible.
func (b *binder) with(w *ast.With) {
	if w.Recursive {
		for _, c := range w.CTEs {
			if mentions(c.Query, c.Name) {
				panic(unsupported(c.Offset(), "WITH RECURSIVE"))
			}
		}
	}
	seen := map[string]bool{}
	for _, c := range w.CTEs {
		if seen[c.Name] {
			panic(sqlerr.New("42712", `WITH query name "%s" specified more than once`, c.Name).At(c.Offset()))
		}
		seen[c.Name] = true
		b.ctes = &cteScope{up: b.ctes, name: c.Name, query: c.Query, columns: c.Columns, env: b.ctes, pos: c.Offset()}
	}
}

// mentions tells whether a query reads a relation of that name.
func mentions(q *ast.Query, name string) bool {
	var body func(ast.QueryBody) bool
	var table func(ast.TableRef) bool
	table = func(t ast.TableRef) bool {
		switch t := t.(type) {
		case *ast.Table:
			return len(t.Name.Parts) == 1 && t.Name.Parts[0] == name
		case *ast.Join:
			return table(t.Left) || table(t.Right)
		case *ast.Subquery:
			return mentions(t.Query, name)
		}
		return false
	}
	body = func(x ast.QueryBody) bool {
		switch x := x.(type) {
		case *ast.Select:
			for _, t := range x.From {
				if table(t) {
					return true
				}
			}
		case *ast.SetOp:
			return body(x.Left) || body(x.Right)
		case *ast.Query:
			return mentions(x, name)
		}
		return false
	}
	return body(q.Body)
}

// values binds VALUES.
func (b *binder) values(q *ast.Values, parent *scope) *output {
	if len(q.Rows) == 0 {
		panic(internal("VALUES without rows"))
	}
	n := len(q.Rows[0])
	var subs []*rel
	c := &exprCtx{b: b, sc: parent, clause: "VALUES", subs: &subs}
	rows := make([][]*expr.Expr, len(q.Rows))
	for i, row := range q.Rows {
		if len(row) != n {
			panic(sqlerr.New(sqlerr.Syntax, "VALUES lists must all be the same length").At(row[0].Offset()))
		}
		rows[i] = c.bindAll(row)
	}
	o := &output{raw: true}
	for i := range n {
		col := make([]*expr.Expr, len(rows))
		unknown := true
		for j := range rows {
			col[j] = rows[j][i]
			unknown = unknown && col[j].Type.ID == types.Unknown
		}
		t := types.Type{}
		if !unknown {
			t = b.common(col, "VALUES", q.Rows[0][i].Offset())
		}
		for j := range rows {
			rows[j][i] = col[j]
		}
		name := columnN(i)
		o.cols = append(o.cols, nameCol{name, b.newCol(name, t)})
	}
	ids := make([]int, n)
	for i, c := range o.cols {
		ids[i] = c.id
	}
	if len(subs) == 0 {
		o.r = &rel{op: opValues, rows: rows, out: ids}
		return o
	}
	// Subqueries: a projection for each row, over them.
	if len(rows) > 1 {
		panic(unsupported(q.Offset(), "a subquery in VALUES of several rows"))
	}
	r := oneRow()
	for _, s := range subs {
		r = b.apply("inner", r, s, nil)
	}
	o.r = project(r, ids, rows[0])
	return o
}

func columnN(i int) string {
	const digits = "0123456789"
	n := i + 1
	if n < 10 {
		return "column" + digits[n:n+1]
	}
	s := ""
	for ; n > 0; n /= 10 {
		s = digits[n%10:n%10+1] + s
	}
	return "column" + s
}

// setOp binds UNION, INTERSECT and EXCEPT. A chain of UNIONs becomes one operator.
func (b *binder) setOp(q *ast.SetOp, parent *scope) *output {
	branch := func(x ast.QueryBody) *output {
		o := b.body(x, parent, nil)
		return &output{r: b.closed(o), cols: o.cols, raw: o.raw}
	}
	var parts []*output
	if q.Op == ast.Union {
		// a UNION ALL b UNION ALL c leans to the left.
		var left ast.QueryBody = q
		var right []ast.QueryBody
		for {
			s, ok := left.(*ast.SetOp)
			if !ok || s.Op != ast.Union || s.All != q.All {
				break
			}
			right = append(right, s.Right)
			left = s.Left
		}
		parts = append(parts, branch(left))
		for i := len(right) - 1; i >= 0; i-- {
			parts = append(parts, branch(right[i]))
		}
	} else {
		parts = []*output{branch(q.Left), branch(q.Right)}
	}
	word := map[ast.SetOpKind]string{ast.Union: "UNION", ast.Intersect: "INTERSECT", ast.Except: "EXCEPT"}[q.Op]
	n := len(parts[0].cols)
	for _, p := range parts {
		if len(p.cols) != n {
			panic(sqlerr.New(sqlerr.Syntax, "each %s query must have the same number of columns", word).At(q.Offset()))
		}
	}
	u := &rel{op: opUnion}
	if q.Op != ast.Union {
		u.op, u.set, u.all = opSetOp, string(q.Op), q.All
	}
	o := &output{r: u}
	casts := make([][]*expr.Expr, len(parts))
	for i := range n {
		xs := make([]*expr.Expr, len(parts))
		for j, p := range parts {
			xs[j] = b.literalOf(p.r, p.cols[i].id)
		}
		t, err := b.env.Common(xs, word)
		must(err, q.Offset())
		if t.ID == types.Unknown {
			t = types.Of(types.Text)
		}
		if q.Op != ast.Union || !q.All {
			b.comparable(t, q.Offset())
		}
		for j, p := range parts {
			b.coerceOut(p, i, t)
			casts[j] = append(casts[j], b.cast(b.col(p.cols[i].id), t, expr.Implicit, q.Offset()))
		}
		name := parts[0].cols[i].name
		id := b.newCol(name, t)
		u.out = append(u.out, id)
		o.cols = append(o.cols, nameCol{name, id})
	}
	for j, p := range parts {
		in, ids := b.extend(p.r, casts[j])
		u.in, u.cols = append(u.in, in), append(u.cols, ids)
	}
	if q.Op == ast.Union && !q.All {
		o.r = distinct(u)
	}
	return o
}

// literalOf is the expression of a column that is a literal of unknown type, so
// that its type can be found; any other column.
func (b *binder) literalOf(r *rel, id int) *expr.Expr {
	if b.cols[id].typ.ID == types.Unknown {
		for ; r != nil && r.op == opProject; r = r.in[0] {
			for i, c := range r.out {
				if c == id {
					return r.exprs[i]
				}
			}
		}
		return null(types.Type{})
	}
	return b.col(id)
}

// orderOutput binds an ORDER BY that can name output columns alone.
func (b *binder) orderOutput(o *output, order []*ast.OrderItem) {
	for _, it := range order {
		id := -1
		if n, ok := ordinal(it.Expr); ok {
			if n < 1 || n > len(o.cols) {
				panic(badOrdinal("ORDER BY", n, it.Expr.Offset()))
			}
			id = o.cols[n-1].id
		} else if ref, ok := it.Expr.(*ast.ColumnRef); ok && len(ref.Parts) == 1 && !ref.Star {
			for _, c := range o.cols {
				if c.name == ref.Parts[0] {
					if id >= 0 && id != c.id {
						panic(sqlerr.New(sqlerr.AmbiguousColumn, `ORDER BY "%s" is ambiguous`, c.name).At(ref.Offset()))
					}
					id = c.id
				}
			}
			if id < 0 {
				panic(sqlerr.New(sqlerr.UndefinedColumn, `column "%s" does not exist`, ref.Parts[0]).At(ref.Offset()))
			}
		}
		if id < 0 {
			// An expression over the output columns: for VALUES and a set operation
			// Postgres allows names alone.
			panic(sqlerr.New(sqlerr.FeatureNotSupported, "invalid UNION/INTERSECT/EXCEPT ORDER BY clause").At(it.Expr.Offset()).
				WithDetail("Only result column names can be used, not expressions or functions."))
		}
		b.coerceCol(o.r, id, types.Of(types.Text))
		b.sortable(b.col(id), it.Offset())
		o.sort = append(o.sort, sortKey{id, it.Desc, nullsFirst(it)})
	}
}

func ordinal(x ast.Expr) (int, bool) {
	l, ok := x.(*ast.Literal)
	if !ok || l.Kind != ast.IntLiteral {
		return 0, false
	}
	n := 0
	for i, c := range l.Text {
		if c < '0' || c > '9' {
			return -1, i == 0 && c == '-'
		}
		if n = n*10 + int(c-'0'); n > 1<<20 {
			break
		}
	}
	return n, true
}

func badOrdinal(clause string, n, pos int) *sqlerr.Error {
	return sqlerr.New(sqlerr.InvalidColumnRef, "%s position %d is not in select list", clause, n).At(pos)
}
