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

// target finds the table that a statement writes to.
func (b *binder) target(t *ast.Table, verb string) *catalog.Object {
	o, err := b.cat.Relation(t.Name.Parts, b.path, t.Name.Offset())
	must(err, t.Name.Offset())
	if o.Kind != catalog.Table || o.Owner != 0 {
		kind := o.Kind
		if o.Owner != 0 {
			kind = "system table"
		}
		panic(sqlerr.New(sqlerr.WrongObjectType, `cannot %s %s "%s"`, verb, kind, o.Name).At(t.Name.Offset()).
			WithHint("Only tables can be written to."))
	}
	if verb != "insert into" {
		notAppendOnly(o, verb, t.Name.Offset())
	}
	b.depend(o.ID)
	return o
}

// notAppendOnly refuses to change rows of a table whose views count on it that
// rows stay.
func notAppendOnly(o *catalog.Object, verb string, pos int) {
	if o.AppendOnly {
		panic(sqlerr.New(sqlerr.WrongObjectType, `cannot %s append-only table "%s"`, verb, o.Name).At(pos))
	}
}

func columnAt(o *catalog.Object, name string, pos int) int {
	i := o.Column(name)
	if i < 0 {
		panic(sqlerr.New(sqlerr.UndefinedColumn, `column "%s" of relation "%s" does not exist`, name, o.Name).At(pos))
	}
	return i
}

// assign coerces a value to a column's type.
func (b *binder) assign(x *expr.Expr, c *catalog.Column, pos int) *expr.Expr {
	if x.Type.ID != types.Unknown && !b.env.CanCast(x.Type, c.Type, expr.Assignment) {
		panic(sqlerr.New(sqlerr.DatatypeMismatch, `column "%s" is of type %s but expression is of type %s`,
			c.Name, types.Bare(c.Type), types.Bare(x.Type)).At(pos).
			WithHint("You will need to rewrite or cast the expression."))
	}
	return b.cast(x, c.Type, expr.Assignment, pos)
}

// byDefault is a column's default value.
func (b *binder) byDefault(c *catalog.Column) *expr.Expr {
	if c.Default != nil {
		return c.Default
	}
	return null(c.Type)
}

func generatedError(c *catalog.Column, verb string, pos int) *sqlerr.Error {
	return sqlerr.New("428C9", map[string]string{
		"insert": `cannot insert a non-DEFAULT value into column "%s"`,
		"update": `column "%s" can only be updated to DEFAULT`}[verb], c.Name).At(pos).
		WithDetail(`Column "%s" is a generated column.`, c.Name)
}

// generated computes the generated columns among ids, the columns of o, from the
// others, and returns the columns with them.
func (b *binder) generated(r *rel, o *catalog.Object, ids []int) (*rel, []int) {
	out := slices.Clone(ids)
	exprs := b.colsOf(r.out)
	at := slices.Clone(r.out)
	any := false
	for i := range o.Columns {
		c := &o.Columns[i]
		if c.Generated == nil {
			continue
		}
		any = true
		out[i] = b.newCol(c.Name, c.Type)
		exprs = append(exprs, expr.Remap(c.Generated, func(j int) int { return ids[j] }))
		at = append(at, out[i])
	}
	if !any {
		return r, ids
	}
	return project(r, at, exprs), out
}

// Insert plans INSERT.
func (p *Planner) Insert(s *ast.Insert) (w *plan.Write, err error) {
	defer catch(&err)
	b := p.binder()
	if s.With != nil {
		b.with(s.With)
	}
	o := b.target(s.Table, "insert into")
	var cols []int
	if s.Columns == nil {
		for i := range o.Columns {
			cols = append(cols, i)
		}
	}
	for _, n := range s.Columns {
		i := columnAt(o, n, s.Table.Offset())
		if slices.Contains(cols, i) {
			panic(sqlerr.New(sqlerr.DuplicateColumn, `column "%s" specified more than once`, n).At(s.Table.Offset()))
		}
		cols = append(cols, i)
	}
	var r *rel
	ids := make([]int, len(o.Columns))
	for i, c := range o.Columns {
		ids[i] = b.newCol(c.Name, c.Type)
	}
	switch {
	case s.Query == nil:
		r = b.insertRows(o, nil, [][]ast.Expr{{}}, ids)
	default:
		v, ok := s.Query.Body.(*ast.Values)
		if ok && s.Query.With == nil && len(s.Query.OrderBy) == 0 && s.Query.Limit == nil && s.Query.Skip == nil {
			b.checkWidth(len(v.Rows[0]), len(cols), s, v.Offset())
			r = b.insertRows(o, cols, v.Rows, ids)
		} else {
			r = b.insertQuery(o, cols, s, ids)
		}
	}
	r, ids = b.generated(r, o, ids)
	w = &plan.Write{Kind: plan.Insert, Table: o.ID}
	b.inPlan(r)
	w.Root = b.root(r, ids, true)
	b.conflict(w, o, s)
	b.returning(w, o, s.Table, s.Returning, nil)
	w.Params = b.paramTypes()
	return w, nil
}

func (b *binder) checkWidth(have, want int, s *ast.Insert, pos int) {
	switch {
	case have > want:
		panic(sqlerr.New(sqlerr.Syntax, "INSERT has more expressions than target columns").At(pos))
	case have < want && s.Columns != nil:
		panic(sqlerr.New(sqlerr.Syntax, "INSERT has more target columns than expressions").At(pos))
	}
}

// insertRows binds VALUES, in which DEFAULT can stand.
func (b *binder) insertRows(o *catalog.Object, cols []int, rows [][]ast.Expr, ids []int) *rel {
	c := &exprCtx{b: b, clause: "VALUES"}
	v := &rel{op: opValues, out: ids}
	type withSubs struct {
		row  []*expr.Expr
		subs []*rel
	}
	var apart []withSubs
	for _, row := range rows {
		if len(row) != len(rows[0]) {
			panic(sqlerr.New(sqlerr.Syntax, "VALUES lists must all be the same length").At(row[0].Offset()))
		}
		var subs []*rel
		c.subs = &subs
		out := make([]*expr.Expr, len(o.Columns))
		for i, x := range row {
			col := &o.Columns[cols[i]]
			if _, ok := x.(*ast.Default); ok {
				continue
			}
			if col.Generated != nil {
				panic(generatedError(col, "insert", x.Offset()))
			}
			out[cols[i]] = b.assign(c.bind(x), col, x.Offset())
		}
		for i := range out {
			switch {
			case out[i] != nil:
			case o.Columns[i].Generated != nil:
				out[i] = null(o.Columns[i].Type)
			default:
				out[i] = b.byDefault(&o.Columns[i])
			}
		}
		if len(subs) > 0 {
			apart = append(apart, withSubs{out, subs})
			continue
		}
		v.rows = append(v.rows, out)
	}
	if apart == nil {
		return v
	}
	u := &rel{op: opUnion, out: ids}
	add := func(r *rel) { u.in, u.cols = append(u.in, r), append(u.cols, r.out) }
	copyIDs := func() []int {
		out := make([]int, len(ids))
		for i, c := range ids {
			out[i] = b.copyCol(c)
		}
		return out
	}
	if len(v.rows) > 0 {
		v.out = copyIDs()
		add(v)
	}
	for _, a := range apart {
		r := oneRow()
		for _, s := range a.subs {
			r = b.apply(plan.Inner, r, s, nil)
		}
		add(project(r, copyIDs(), a.row))
	}
	if len(u.in) == 1 {
		return project(u.in[0], ids, b.colsOf(u.cols[0]))
	}
	return u
}

func (b *binder) insertQuery(o *catalog.Object, cols []int, s *ast.Insert, ids []int) *rel {
	q := b.rawQuery(s.Query, nil)
	b.checkWidth(len(q.cols), len(cols), s, s.Query.Offset())
	exprs := make([]*expr.Expr, len(o.Columns))
	for i := range q.cols {
		c := &o.Columns[cols[i]]
		if c.Generated != nil {
			panic(generatedError(c, "insert", s.Query.Offset()))
		}
		// An unknown literal takes the column's type.
		b.coerceOut(q, i, types.Bare(c.Type))
		exprs[cols[i]] = b.assign(b.col(q.cols[i].id), c, s.Query.Offset())
	}
	r := b.closed(q)
	for i := range exprs {
		switch c := &o.Columns[i]; {
		case exprs[i] != nil:
		case c.Generated != nil:
			exprs[i] = null(c.Type)
		default:
			exprs[i] = b.byDefault(c)
		}
	}
	return project(r, ids, exprs)
}

// rowScope is a scope of a table's columns under new numbers.
func (b *binder) rowScope(o *catalog.Object, name string) (*rangeVar, []int) {
	v := &rangeVar{name: name, schema: o.Schema, obj: o}
	ids := make([]int, len(o.Columns))
	for i, c := range o.Columns {
		ids[i] = b.newCol(c.Name, c.Type)
		v.cols = append(v.cols, nameCol{c.Name, ids[i]})
		b.cols[ids[i]].rv = v
	}
	return v, ids
}

// toPositions numbers the columns ids from 0.
func (b *binder) toPositions(x *expr.Expr, ids []int) *expr.Expr {
	if x == nil {
		return nil
	}
	return expr.Remap(b.fold(x), func(c int) int {
		i := slices.Index(ids, c)
		if i < 0 {
			panic(internal("column %d is not of the row", c))
		}
		return i
	})
}

func aliasOf(t *ast.Table, o *catalog.Object) string {
	if t.Alias.Name != "" {
		return t.Alias.Name
	}
	return o.Name
}

func (b *binder) conflict(w *plan.Write, o *catalog.Object, s *ast.Insert) {
	oc := s.OnConflict
	if oc == nil {
		return
	}
	pos := oc.Offset()
	if len(oc.Columns) > 0 {
		var cols []int
		for _, n := range oc.Columns {
			cols = append(cols, columnAt(o, n, pos))
		}
		slices.Sort(cols)
		cols = slices.Compact(cols)
		if !b.uniqueOn(o, cols) {
			panic(sqlerr.New("42P10", "there is no unique or exclusion constraint matching the ON CONFLICT specification").At(pos))
		}
		w.ConflictKeys = cols
	}
	if len(oc.Set) == 0 {
		w.Conflict = "nothing"
		return
	}
	if len(oc.Columns) == 0 {
		panic(sqlerr.New(sqlerr.Syntax, "ON CONFLICT DO UPDATE requires inference specification or constraint name").At(pos).
			WithHint("For example, ON CONFLICT (column_name)."))
	}
	notAppendOnly(o, "update", s.Table.Name.Offset())
	w.Conflict = "update"
	old, oldIDs := b.rowScope(o, aliasOf(s.Table, o))
	ex, exIDs := b.rowScope(o, "excluded")
	ex.schema = ""
	all := append(slices.Clone(oldIDs), exIDs...)
	c := &exprCtx{b: b, sc: &scope{star: old.cols, vars: []*rangeVar{old, ex}}, clause: "ON CONFLICT", noSubs: "ON CONFLICT DO UPDATE"}
	set := b.colsOf(oldIDs)
	b.assignments(c, o, oc.Set, set)
	b.regenerate(o, set)
	for _, x := range set {
		w.ConflictSet = append(w.ConflictSet, b.toPositions(x, all))
	}
	if oc.Where != nil {
		c.clause = "WHERE"
		w.ConflictCond = b.toPositions(c.cond(oc.Where), all)
	}
}

// uniqueOn tells whether the primary key or a unique index of o has exactly the
// columns cols, which are sorted.
func (b *binder) uniqueOn(o *catalog.Object, cols []int) bool {
	same := func(key []int) bool {
		key = slices.Clone(key)
		slices.Sort(key)
		return len(key) > 0 && slices.Equal(key, cols)
	}
	if same(o.PrimaryKey) {
		return true
	}
	for _, d := range b.p.Catalog.Dependants(o.ID) {
		if d.Kind == catalog.Index && d.Unique && same(d.Keys) {
			return true
		}
	}
	return false
}

// assignments binds SET into vals, a value for each column.
func (b *binder) assignments(c *exprCtx, o *catalog.Object, sets []*ast.Assign, vals []*expr.Expr) {
	done := map[int]bool{}
	put := func(name string, x ast.Expr, v *expr.Expr, pos int) {
		i := columnAt(o, name, pos)
		col := &o.Columns[i]
		if done[i] {
			panic(sqlerr.New(sqlerr.Syntax, `multiple assignments to same column "%s"`, name).At(pos))
		}
		done[i] = true
		if _, ok := x.(*ast.Default); ok {
			if col.Generated == nil {
				vals[i] = b.byDefault(col)
			}
			return
		}
		if col.Generated != nil {
			panic(generatedError(col, "update", pos))
		}
		if v == nil {
			v = c.bind(x)
		}
		at := pos
		if x != nil {
			at = x.Offset()
		}
		vals[i] = b.assign(v, col, at)
	}
	for _, s := range sets {
		if len(s.Columns) == 1 {
			x := s.Value
			if r, ok := x.(*ast.Row); ok && len(r.Items) == 1 {
				x = r.Items[0]
			}
			put(s.Columns[0], x, nil, s.Offset())
			continue
		}
		switch v := s.Value.(type) {
		case *ast.Row:
			if len(v.Items) != len(s.Columns) {
				panic(sqlerr.New(sqlerr.Syntax, "number of columns does not match number of values").At(s.Offset()))
			}
			for i, n := range s.Columns {
				put(n, v.Items[i], nil, s.Offset())
			}
		case *ast.ScalarSubquery:
			xs := c.rowSubquery(v)
			if len(xs) != len(s.Columns) {
				panic(sqlerr.New(sqlerr.Syntax, "number of columns does not match number of values").At(s.Offset()))
			}
			for i, n := range s.Columns {
				put(n, nil, xs[i], s.Offset())
			}
		default:
			panic(sqlerr.New(sqlerr.FeatureNotSupported, "source for a multiple-column UPDATE item must be a sub-SELECT or ROW() expression").At(s.Value.Offset()))
		}
	}
}

// regenerate computes the generated columns from the other values.
func (b *binder) regenerate(o *catalog.Object, vals []*expr.Expr) {
	for i := range o.Columns {
		if g := o.Columns[i].Generated; g != nil {
			vals[i] = rewrite(g, func(x *expr.Expr) *expr.Expr {
				if x.Kind == expr.Col {
					return vals[x.Index]
				}
				return nil
			})
		}
	}
}

// returning binds RETURNING over the row that is written and, for UPDATE … FROM
// and DELETE … USING, what stands in from, the statement's scope; nil: nothing
// does. It returns the columns of from that it uses: they stand behind the row.
func (b *binder) returning(w *plan.Write, o *catalog.Object, t *ast.Table, ts []*ast.Target, from *scope) []int {
	if len(ts) == 0 {
		return nil
	}
	v, ids := b.rowScope(o, aliasOf(t, o))
	if t.Alias.Name != "" {
		v.schema = ""
	}
	sc := &scope{star: v.cols, vars: []*rangeVar{v}}
	if from != nil { // the table itself stands first in it
		sc.star = append(slices.Clone(v.cols), from.star[len(o.Columns):]...)
		sc.vars = append(sc.vars, from.vars[1:]...)
	}
	c := &exprCtx{b: b, sc: sc, clause: "RETURNING", noSubs: "RETURNING"}
	row := len(ids)
	for _, x := range c.targets(ts) {
		e := b.known(x.x)
		if from != nil {
			for _, n := range expr.Columns(e) {
				if !slices.Contains(ids, n) {
					ids = append(ids, n)
				}
			}
		}
		w.Returning = append(w.Returning, b.toPositions(e, ids))
		w.Columns = append(w.Columns, plan.Column{Name: x.name, Type: e.Type})
	}
	return ids[row:]
}

// tableScope scans the table that is written to.
func (b *binder) tableScope(o *catalog.Object, t *ast.Table) (*rel, *scope, []int) {
	r, cols := b.scan(o)
	v := &rangeVar{name: o.Name, schema: o.Schema, cols: cols, obj: o}
	sc := b.scopeOf(v, ast.Alias{Name: t.Alias.Name}, t.Offset())
	return r, sc, r.out
}

// Update plans UPDATE.
func (p *Planner) Update(s *ast.Update) (w *plan.Write, err error) {
	defer catch(&err)
	b := p.binder()
	if s.With != nil {
		b.with(s.With)
	}
	o := b.target(s.Table, "update")
	r, sc, old := b.tableScope(o, s.Table)
	for _, it := range s.From {
		x, xs := b.tableRef(it, nil, sc)
		r = b.apply(plan.Inner, r, x, nil)
		b.merge(sc, xs, it.Offset())
	}
	r = b.where(r, sc, s.Where, "WHERE")
	var subs []*rel
	c := &exprCtx{b: b, sc: sc, clause: "UPDATE", subs: &subs}
	vals := b.colsOf(old)
	b.assignments(c, o, s.Set, vals)
	for _, x := range subs {
		r = b.apply(plan.Inner, r, x, nil)
	}
	w = &plan.Write{Kind: plan.Update, Table: o.ID}
	more := b.returning(w, o, s.Table, s.Returning, sc)
	ids := append(slices.Clone(old), more...)
	exprs := b.colsOf(ids)
	var now []int
	for i := range o.Columns {
		id := b.newCol(o.Columns[i].Name, o.Columns[i].Type)
		now, ids, exprs = append(now, id), append(ids, id), append(exprs, vals[i])
	}
	r = project(r, ids, exprs)
	r, now = b.generated(r, o, now)
	if len(s.From) > 0 {
		r, old = b.oncePerRow(r, o, old)
	}
	b.inPlan(r)
	w.Root = b.root(r, slices.Concat(old, now, more), true)
	w.Params = b.paramTypes()
	return w, nil
}

// oncePerRow keeps one of the rows that FROM gives for each row of the table.
func (b *binder) oncePerRow(r *rel, o *catalog.Object, old []int) (*rel, []int) {
	var keys []int
	for _, k := range o.PrimaryKey {
		keys = append(keys, old[k])
	}
	if len(keys) > 0 {
		return &rel{op: opTopN, in: []*rel{r}, out: r.out, keys: keys, limit: 1}, old
	}
	// Equal rows without a key: one new row for all of them, joined back to each.
	one := &rel{op: opTopN, in: []*rel{r}, out: r.out, keys: old, limit: 1}
	all, _ := b.scan(o)
	return join(plan.Inner, all, one, b.sameRow(all.out, old)), all.out
}

func (b *binder) sameRow(l, r []int) []*expr.Expr {
	var conds []*expr.Expr
	for i := range l {
		conds = append(conds, b.sameValue(b.col(l[i]), b.col(r[i])))
	}
	return conds
}

// Delete plans DELETE.
func (p *Planner) Delete(s *ast.Delete) (w *plan.Write, err error) {
	defer catch(&err)
	b := p.binder()
	if s.With != nil {
		b.with(s.With)
	}
	o := b.target(s.Table, "delete from")
	r, sc, old := b.tableScope(o, s.Table)
	for _, it := range s.Using {
		x, xs := b.tableRef(it, nil, sc)
		r = b.apply(plan.Inner, r, x, nil)
		b.merge(sc, xs, it.Offset())
	}
	r = b.where(r, sc, s.Where, "WHERE")
	w = &plan.Write{Kind: plan.Delete, Table: o.ID}
	more := b.returning(w, o, s.Table, s.Returning, sc)
	if len(s.Using) > 0 {
		switch d := b.pick(r, append(slices.Clone(old), more...)); {
		case len(more) > 0:
			r, old = b.oncePerRow(d, o, old)
		case len(o.PrimaryKey) > 0:
			r = distinct(d)
		default:
			all, _ := b.scan(o)
			r, old = join(plan.Semi, all, d, b.sameRow(all.out, old)), all.out
		}
	}
	b.inPlan(r)
	w.Root = b.root(r, append(slices.Clone(old), more...), true)
	w.Params = b.paramTypes()
	return w, nil
}
