package planner

import (
	"slices"

	"github.com/streamsql/streamsql/sql/ast"
	"github.com/streamsql/streamsql/sql/catalog"
	"github.com/streamsql/streamsql/sql/expr"
	"github.com/streamsql/streamsql/sql/plan"
	"github.com/streamsql/streamsql/sql/sqlerr"
	"github.com/streamsql/streamsql/sql/types"
)

// from binds a FROM list: the product of its items.
func (b *binder) from(items []ast.TableRef, parent *scope) (*rel, *scope) {
	sc := &scope{parent: parent}
	if len(items) == 0 {
		return oneRow(), sc
	}
	var r *rel
	for i, it := range items {
		x, s := b.tableRef(it, parent, sc)
		if i == 0 {
			r = x
		} else {
			r = b.apply(plan.Inner, r, x, nil)
		}
		b.merge(sc, s, it.Offset())
	}
	return r, sc
}

// merge adds what s brings to sc.
func (b *binder) merge(sc, s *scope, pos int) {
	for _, v := range s.vars {
		for _, w := range sc.vars {
			if v.name == w.name && v.name != "" && (v.schema == w.schema || v.schema == "" || w.schema == "") {
				panic(sqlerr.New("42712", `table name "%s" specified more than once`, v.name).At(pos))
			}
		}
	}
	sc.vars = append(sc.vars, s.vars...)
	sc.star = append(sc.star, s.star...)
}

// tableRef binds an item of FROM. left is what stands before it, which LATERAL
// items and functions can name.
func (b *binder) tableRef(t ast.TableRef, parent, left *scope) (*rel, *scope) {
	switch t := t.(type) {
	case *ast.Table:
		r, v := b.table(t)
		return r, b.scopeOf(v, t.Alias, t.Offset())
	case *ast.Subquery:
		p := parent
		if t.Lateral {
			p = lateral(left, parent)
		}
		o := b.query(t.Query, p)
		v := &rangeVar{name: t.Alias.Name, cols: slices.Clone(o.cols)}
		return b.closed(o), b.scopeOf(v, t.Alias, t.Offset())
	case *ast.TableFunc:
		return b.tableFunc(t, parent, left)
	case *ast.Join:
		return b.join(t, parent, left)
	}
	panic(unsupported(t.Offset(), "this item of FROM"))
}

// lateral is a scope in which the items of FROM so far can be named.
func lateral(left, parent *scope) *scope {
	if left == nil || len(left.vars) == 0 {
		return parent
	}
	return &scope{parent: parent, star: left.star, vars: left.vars}
}

// scopeOf gives a relation its alias.
func (b *binder) scopeOf(v *rangeVar, a ast.Alias, pos int) *scope {
	if a.Name != "" {
		v.name, v.schema = a.Name, ""
	}
	if len(a.Columns) > len(v.cols) {
		panic(sqlerr.New("42P10", `table "%s" has %d columns available but %d columns specified`, v.name, len(v.cols), len(a.Columns)).At(pos))
	}
	for i, n := range a.Columns {
		v.cols[i].name = n
	}
	for _, c := range v.cols {
		if b.cols[c.id].rv == nil || a.Name != "" {
			b.cols[c.id].rv = v
		}
	}
	return &scope{star: slices.Clone(v.cols), vars: []*rangeVar{v}}
}

// table binds a name in FROM: a WITH query, a view or a relation.
func (b *binder) table(t *ast.Table) (*rel, *rangeVar) {
	if t.AsOf != nil {
		panic(unsupported(t.Offset(), "FOR SYSTEM_TIME AS OF other than at the right side of a join"))
	}
	if len(t.Name.Parts) == 1 {
		for c := b.ctes; c != nil; c = c.up {
			if c.name == t.Name.Parts[0] {
				return b.cte(c)
			}
		}
	}
	o, err := b.cat.Relation(t.Name.Parts, b.path, t.Name.Offset())
	must(err, t.Name.Offset())
	b.depend(o.ID)
	if o.Kind == catalog.View {
		return b.viewOf(o, t.Offset())
	}
	if o.Kind == catalog.Virtual && b.view {
		panic(unsupported(t.Offset(), "a materialized view over the system relation %s", o.Name))
	}
	r, cols := b.scan(o)
	return r, &rangeVar{name: o.Name, schema: o.Schema, cols: cols, obj: o}
}

func (b *binder) scan(o *catalog.Object) (*rel, []nameCol) {
	r := &rel{op: opScan, obj: o}
	cols := make([]nameCol, len(o.Columns))
	for i, c := range o.Columns {
		id := b.newCol(c.Name, c.Type)
		r.out, r.attrs = append(r.out, id), append(r.attrs, i)
		cols[i] = nameCol{c.Name, id}
	}
	return r, cols
}

func (b *binder) cte(c *cteScope) (*rel, *rangeVar) {
	c.used = true
	saved := b.ctes
	b.ctes = c.env
	defer func() { b.ctes = saved }()
	o := b.query(c.query, nil)
	v := &rangeVar{name: c.name, cols: slices.Clone(o.cols)}
	if len(c.columns) > len(v.cols) {
		panic(sqlerr.New("42P10", `WITH query "%s" has %d columns available but %d columns specified`, c.name, len(v.cols), len(c.columns)).At(c.pos))
	}
	for i, n := range c.columns {
		v.cols[i].name = n
	}
	return b.closed(o), v
}

// viewOf expands a view, whose names are looked for where the view is.
func (b *binder) viewOf(o *catalog.Object, pos int) (*rel, *rangeVar) {
	if len(b.views) > 200 || slices.Contains(b.views, o.ID) {
		panic(sqlerr.New(sqlerr.TooComplex, `views are nested too deep at "%s"`, o.Name).At(pos))
	}
	if b.p.ParseView == nil {
		panic(internal("no parser for the view %s", o.Name))
	}
	q, err := b.p.ParseView(o.Query)
	must(err, pos)
	ctes, path, view, env := b.ctes, b.path, b.view, b.env
	b.ctes, b.path, b.views = nil, viewPath(o), append(b.views, o.ID)
	if o.Zone != "" {
		b.env = b.env.InZone(o.Zone)
	}
	defer func() { b.ctes, b.path, b.view, b.env, b.views = ctes, path, view, env, b.views[:len(b.views)-1] }()
	out := b.inView(o, q, pos)
	v := &rangeVar{name: o.Name, schema: o.Schema, cols: slices.Clone(out.cols)}
	for i := range v.cols {
		if i < len(o.Columns) {
			v.cols[i].name = o.Columns[i].Name
		}
	}
	return b.closed(out), v
}

// inView binds a view's query; positions in errors are those of the view's name.
func (b *binder) inView(o *catalog.Object, q *ast.Query, pos int) (out *output) {
	defer func() {
		if e, ok := recover().(*sqlerr.Error); ok {
			e.Pos = 0
			panic(e.At(pos).WithDetail(`In the view "%s".`, o.Name))
		} else if e != nil {
			panic(e)
		}
	}()
	return b.query(q, nil)
}

// viewPath is the search path that a view is bound with.
func viewPath(o *catalog.Object) []string {
	path := []string{catalog.PgCatalog, o.Schema}
	if o.Schema != catalog.Public {
		path = append(path, catalog.Public)
	}
	return path
}

// join binds JOIN.
func (b *binder) join(t *ast.Join, parent, left *scope) (*rel, *scope) {
	l, ls := b.tableRef(t.Left, parent, left)
	// The right side sees the left one, and what stands before the join.
	seen := &scope{}
	if left != nil {
		seen.vars, seen.star = slices.Clone(left.vars), slices.Clone(left.star)
	}
	seen.vars, seen.star = append(seen.vars, ls.vars...), append(seen.star, ls.star...)
	right := t.Right
	at, table := asOfTime(t)
	if at != nil {
		right = table
	}
	r, rs := b.tableRef(right, parent, seen)
	if (t.Kind == ast.RightJoin || t.Kind == ast.FullJoin) && r.outer().meets(setOf(l.out)) {
		panic(sqlerr.New("42P10", "invalid reference to FROM-clause entry: the combining JOIN type must be INNER or LEFT for a LATERAL reference").At(t.Right.Offset()))
	}
	sc := &scope{parent: parent}
	b.merge(sc, ls, t.Offset())
	b.merge(sc, rs, t.Offset())
	kind := map[ast.JoinKind]plan.JoinKind{ast.InnerJoin: plan.Inner, ast.CrossJoin: plan.Inner, ast.LeftJoin: plan.Left,
		ast.RightJoin: plan.Right, ast.FullJoin: plan.Full}[t.Kind]
	using := t.Using
	if t.Natural {
		using = nil
		for _, c := range ls.star {
			if slices.ContainsFunc(rs.star, func(d nameCol) bool { return d.name == c.name }) && !slices.Contains(using, c.name) {
				using = append(using, c.name)
			}
		}
	}
	var j *rel
	make := b.apply
	if at != nil || t.AsOf {
		make = func(kind plan.JoinKind, l, r *rel, conds []*expr.Expr) *rel {
			return b.asOfJoin(t, at, kind, l, r, ls, conds)
		}
	}
	switch {
	case len(using) > 0:
		j = b.joinUsing(t, kind, l, r, ls, rs, using, sc, make)
	case at != nil || t.AsOf:
		var conds []*expr.Expr
		if t.On != nil {
			c := &exprCtx{b: b, sc: sc, clause: "JOIN/ON"}
			conds = conjuncts(nil, c.cond(t.On))
		}
		j = make(kind, l, r, conds)
	case t.On != nil:
		j = b.joinOn(t, kind, l, r, sc)
	default:
		j = b.apply(kind, l, r, nil)
	}
	if t.Alias.Name != "" {
		v := &rangeVar{name: t.Alias.Name, cols: slices.Clone(sc.star)}
		s := b.scopeOf(v, t.Alias, t.Offset())
		return j, s
	}
	return j, sc
}

func (b *binder) joinOn(t *ast.Join, kind plan.JoinKind, l, r *rel, sc *scope) *rel {
	if kind == plan.Inner {
		return b.where(b.apply(kind, l, r, nil), sc, t.On, "JOIN/ON")
	}
	var subs []*rel
	c := &exprCtx{b: b, sc: sc, clause: "JOIN/ON", subs: &subs}
	cond := c.cond(t.On)
	for _, s := range subs {
		// A subquery of an outer join's condition stands beside the side that it names.
		switch o := s.outer(); {
		case !o.meets(setOf(l.out)) && kind != plan.Full:
			r = b.apply(plan.Inner, r, s, nil)
		case !o.meets(setOf(r.out)) && kind != plan.Full:
			l = b.apply(plan.Inner, l, s, nil)
		default:
			panic(unsupported(t.On.Offset(), "a subquery over both sides in the condition of an outer join"))
		}
	}
	return b.apply(kind, l, r, conjuncts(nil, cond))
}

// joinUsing joins by columns of the same name, which appear once.
func (b *binder) joinUsing(t *ast.Join, kind plan.JoinKind, l, r *rel, ls, rs *scope, using []string, sc *scope,
	make func(plan.JoinKind, *rel, *rel, []*expr.Expr) *rel) *rel {
	find := func(s *scope, name, side string) int {
		id := -1
		for _, c := range s.star {
			if c.name == name {
				if id >= 0 {
					panic(sqlerr.New(sqlerr.AmbiguousColumn, `common column name "%s" appears more than once in %s table`, name, side).At(t.Offset()))
				}
				id = c.id
			}
		}
		if id < 0 {
			panic(sqlerr.New(sqlerr.UndefinedColumn, `column "%s" specified in USING clause does not exist in %s table`, name, side).At(t.Offset()))
		}
		return id
	}
	var conds []*expr.Expr
	var merged []nameCol
	var full []*expr.Expr
	drop := set{}
	for i, name := range using {
		a, c := find(ls, name, "left"), find(rs, name, "right")
		op := "="
		if t.AsOf && i == len(using)-1 {
			op = ">=" // the last one is the time
		}
		conds = append(conds, b.call(op, t.Offset(), b.col(a), b.col(c)))
		drop.add(a)
		drop.add(c)
		id := a
		switch kind {
		case plan.Right:
			id = c
		case plan.Full:
			xs := []*expr.Expr{b.col(a), b.col(c)}
			ct := b.common(xs, "JOIN/USING", t.Offset())
			full = append(full, &expr.Expr{Kind: expr.Coal, Type: ct, Args: xs, Pos: t.Offset()})
		}
		merged = append(merged, nameCol{name, id})
	}
	j := make(kind, l, r, conds)
	if kind == plan.Full {
		var ids []int
		j, ids = b.extend(j, full)
		for i := range merged {
			merged[i].id = ids[i]
			b.cols[ids[i]].name = merged[i].name
		}
	}
	for _, c := range sc.star {
		if !drop.has(c.id) {
			merged = append(merged, c)
		}
	}
	sc.star = merged
	return j
}

// tableFunc binds a function in FROM.
func (b *binder) tableFunc(t *ast.TableFunc, parent, left *scope) (*rel, *scope) {
	name := functionName(t.Call.Name)
	switch name {
	case "tumble", "hop", "cumulate", "session":
		return b.windowFunc(t, name, parent, left)
	}
	if len(t.ColumnDefs) > 0 {
		panic(unsupported(t.Offset(), "a column definition list"))
	}
	in := lateral(left, parent)
	var subs []*rel
	c := &exprCtx{b: b, sc: in, clause: "functions in FROM", subs: &subs}
	if t.Call.Over != nil || t.Call.Star || t.Call.Distinct {
		panic(sqlerr.New(sqlerr.Syntax, "this call cannot stand in FROM").At(t.Offset()))
	}
	r := oneRow()
	var args []*expr.Expr
	for _, a := range t.Call.Args {
		args = append(args, c.bind(a))
	}
	for _, s := range subs {
		r = b.apply(plan.Inner, r, s, nil)
	}
	var out []nameCol
	if !b.env.IsSet(name) {
		// A scalar function is a table of one row and column.
		x := c.call(t.Call)
		x = b.known(x)
		id := b.newCol(name, x.Type)
		r = project(r, append(append([]int(nil), r.out...), id), append(b.colsOf(r.out), x))
		out = []nameCol{{name, id}}
		if t.Ordinality {
			panic(unsupported(t.Offset(), "WITH ORDINALITY of this function"))
		}
	} else {
		key, args, cols, names, err := b.env.SetFunc(name, args, t.Call.Offset())
		must(err, t.Call.Offset())
		b.settle(&expr.Expr{Args: args})
		u := &rel{op: opUnnest, in: []*rel{r}, setF: key, exprs: args, ord: t.Ordinality, out: slices.Clone(r.out)}
		for i, ct := range cols {
			n := name
			if i < len(names) && names[i] != "" {
				n = names[i]
			}
			if len(cols) == 1 && (i >= len(names) || names[i] == "" || names[i] == name) && t.Alias.Name != "" {
				n = t.Alias.Name // a function of one column names it like itself
			}
			id := b.newCol(n, ct)
			u.out, u.made = append(u.out, id), append(u.made, id)
			out = append(out, nameCol{n, id})
		}
		if t.Ordinality {
			id := b.newCol("ordinality", types.Of(types.Int8))
			u.out, u.made = append(u.out, id), append(u.made, id)
			out = append(out, nameCol{"ordinality", id})
		}
		r = u
	}
	v := &rangeVar{name: name, cols: out}
	return r, b.scopeOf(v, t.Alias, t.Offset())
}

func (b *binder) colsOf(ids []int) []*expr.Expr {
	out := make([]*expr.Expr, len(ids))
	for i, c := range ids {
		out[i] = b.col(c)
	}
	return out
}
