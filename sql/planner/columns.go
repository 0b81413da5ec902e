package planner

import (
	"math"
	"slices"
	"strings"

	"github.com/streamsql/streamsql/sql/ast"
	"github.com/streamsql/streamsql/sql/catalog"
	"github.com/streamsql/streamsql/sql/expr"
	"github.com/streamsql/streamsql/sql/sqlerr"
	"github.com/streamsql/streamsql/sql/types"
)

// Columns binds the columns, key and watermark of CREATE TABLE or CREATE SOURCE
// into o.
func (p *Planner) Columns(def *ast.TableDef, o *catalog.Object) (err error) {
	defer catch(&err)
	b := p.binder()
	checkColumns(len(def.Columns), def.Name.Offset())
	o.Columns, o.PrimaryKey, o.Watermark = nil, nil, nil
	o.AppendOnly = o.AppendOnly || def.AppendOnly
	add := func(c catalog.Column, pos int) {
		if o.Column(c.Name) >= 0 {
			panic(sqlerr.New(sqlerr.DuplicateColumn, `column "%s" specified more than once`, c.Name).At(pos))
		}
		o.Columns = append(o.Columns, c)
	}
	v := &rangeVar{name: def.Name.Base()}
	var later []*ast.ColumnDef // generated columns, which may name any other
	for _, d := range def.Columns {
		c := catalog.Column{Name: d.Name, NotNull: d.NotNull}
		if d.Type != nil {
			c.Type = b.typeOf(d.Type)
			switch c.Type.ID {
			case types.Void, types.Record:
				panic(sqlerr.New("42P16", `column "%s" has pseudo-type %s`, d.Name, c.Type).At(d.Offset()))
			}
		}
		if d.Generated != nil {
			later = append(later, d)
		}
		add(c, d.Offset())
		v.cols = append(v.cols, nameCol{c.Name, b.newCol(c.Name, c.Type)})
	}
	for _, in := range def.Includes {
		c := b.include(in)
		add(c, in.Offset())
		v.cols = append(v.cols, nameCol{c.Name, b.newCol(c.Name, c.Type)})
	}
	for i, d := range def.Columns {
		if d.Default != nil {
			b.defaultOf(d, &o.Columns[i])
		}
	}
	for _, d := range later {
		b.generatedColumn(d, o, v, later)
	}
	b.primaryKey(def, o)
	if def.Watermark != nil {
		b.watermark(def.Watermark, o)
	}
	return nil
}

func (b *binder) defaultOf(d *ast.ColumnDef, c *catalog.Column) {
	pos := d.Default.Offset()
	ctx := &exprCtx{b: b, sc: &scope{}, clause: "DEFAULT expressions", noSubs: "a DEFAULT"}
	if refs := columnRefs(d.Default); len(refs) > 0 {
		panic(sqlerr.New("0A000", "cannot use column reference in DEFAULT expression").At(refs[0].Offset()))
	}
	x := ctx.bind(d.Default)
	if x.Type.ID != types.Unknown && !b.env.CanCast(x.Type, c.Type, expr.Assignment) {
		panic(sqlerr.New(sqlerr.DatatypeMismatch, `column "%s" is of type %s but default expression is of type %s`,
			c.Name, types.Bare(c.Type), types.Bare(x.Type)).At(pos).
			WithHint("You will need to rewrite or cast the expression."))
	}
	c.Default = b.fold(b.cast(x, c.Type, expr.Assignment, pos))
	if !refs(c.Default).empty() || len(b.params) > 0 {
		panic(sqlerr.New(sqlerr.FeatureNotSupported, "cannot use column reference in DEFAULT expression").At(pos))
	}
	c.DefaultText = expr.String(c.Default, func(int) string { return "?" })
}

func (b *binder) generatedColumn(d *ast.ColumnDef, o *catalog.Object, v *rangeVar, all []*ast.ColumnDef) {
	pos := d.Generated.Offset()
	if d.Default != nil {
		panic(sqlerr.New(sqlerr.Syntax, `both default and generation expression specified for column "%s" of table "%s"`, d.Name, o.Name).At(d.Offset()))
	}
	ctx := &exprCtx{b: b, sc: &scope{star: v.cols, vars: []*rangeVar{v}}, clause: "column generation expressions", noSubs: "a column's generation expression"}
	x := b.known(ctx.bind(d.Generated))
	if isStamp(x) && o.Kind == catalog.Source {
		// The time at which a row is taken in.
	} else if isStamp(x) {
		panic(unsupported(pos, "a column of a table AS proctime()").
			WithHint("Add it where it is read: SELECT *, proctime() AS %s FROM %s.", d.Name, o.Name))
	} else if expr.VolatilityOf(b.env, x) == expr.Volatile {
		panic(sqlerr.New("42P17", "generation expression is not immutable").At(pos))
	}
	at := o.Column(d.Name)
	c := &o.Columns[at]
	if d.Type == nil {
		c.Type = types.Type{ID: x.Type.ID, Elem: x.Type.Elem}
		b.cols[v.cols[at].id].typ = c.Type
	}
	used := refs(x)
	for _, g := range all {
		if i := o.Column(g.Name); used.has(v.cols[i].id) {
			panic(sqlerr.New("42P17", `cannot use generated column "%s" in column generation expression`, g.Name).At(pos).
				WithDetail("A generated column cannot reference another generated column."))
		}
	}
	ids := make([]int, len(v.cols))
	for i, n := range v.cols {
		ids[i] = n.id
	}
	c.Generated = b.toPositions(b.assign(x, c, pos), ids)
	c.GeneratedText = expr.String(c.Generated, func(i int) string { return o.Columns[i].Name })
}

// include binds a metadata column; the connector checks that it has such a field.
func (b *binder) include(in *ast.Include) catalog.Column {
	defaults := map[string]types.Type{
		"key": types.Of(types.Bytea), "timestamp": types.Of(types.Timestamptz), "partition": types.Of(types.Int4),
		"offset": types.Of(types.Int8), "header": types.Of(types.Bytea), "headers": types.Of(types.JSONB), "payload": types.Of(types.Bytea),
	}
	t, ok := defaults[in.Field]
	if !ok {
		panic(sqlerr.New(sqlerr.FeatureNotSupported, `there is no metadata column "%s"`, in.Field).At(in.Offset()).
			WithHint("There are key, timestamp, partition, offset, header and payload."))
	}
	c := catalog.Column{Name: in.As, Meta: in.Field}
	if in.Field == "header" {
		if in.Inner != "" {
			c.Meta = "header:" + in.Inner
		} else {
			c.Meta, t = "headers", defaults["headers"]
		}
	}
	if in.Type != nil {
		t = b.typeOf(in.Type)
	}
	c.Type = t
	if c.Name == "" {
		c.Name = "_kafka_" + in.Field
		if in.Inner != "" {
			c.Name += "_" + in.Inner
		}
	}
	return c
}

func (b *binder) primaryKey(def *ast.TableDef, o *catalog.Object) {
	for _, d := range def.Columns {
		if !d.PrimaryKey {
			continue
		}
		if len(o.PrimaryKey) > 0 || len(def.PrimaryKey) > 0 {
			panic(sqlerr.New("42P16", `multiple primary keys for table "%s" are not allowed`, o.Name).At(d.Offset()))
		}
		o.PrimaryKey = []int{o.Column(d.Name)}
	}
	for _, n := range def.PrimaryKey {
		i := o.Column(n)
		if i < 0 {
			panic(sqlerr.New(sqlerr.UndefinedColumn, `column "%s" named in key does not exist`, n).At(def.Name.Offset()))
		}
		if slices.Contains(o.PrimaryKey, i) {
			panic(sqlerr.New(sqlerr.DuplicateColumn, `column "%s" appears twice in primary key constraint`, n).At(def.Name.Offset()))
		}
		o.PrimaryKey = append(o.PrimaryKey, i)
	}
	for _, i := range o.PrimaryKey {
		c := &o.Columns[i]
		b.comparable(c.Type, def.Name.Offset())
		c.NotNull = true
	}
}

// watermark reads WATERMARK FOR c AS c (times that rise strictly), c - INTERVAL
// '…' (bounded disorder), or adaptive_watermark(c, factor, n, INTERVAL '…').
func (b *binder) watermark(w *ast.Watermark, o *catalog.Object) {
	i := o.Column(w.Column)
	if i < 0 {
		panic(sqlerr.New(sqlerr.UndefinedColumn, `column "%s" does not exist`, w.Column).At(w.Offset()))
	}
	if t := o.Columns[i].Type; t.ID != types.Timestamp && t.ID != types.Timestamptz {
		panic(sqlerr.New(sqlerr.DatatypeMismatch, `the watermark's column "%s" must be a timestamp, not %s`, w.Column, types.Bare(t)).At(w.Offset()))
	}
	o.Watermark = &catalog.Watermark{Col: i}
	self := func(x ast.Expr) bool {
		r, ok := x.(*ast.ColumnRef)
		return ok && !r.Star && r.Parts[len(r.Parts)-1] == w.Column
	}
	if self(w.Expr) {
		o.Watermark.Ascending = true
		return
	}
	if f, ok := w.Expr.(*ast.Call); ok && strings.EqualFold(f.Name.Base(), "adaptive_watermark") {
		if len(f.Args) != 4 || !self(f.Args[0]) {
			panic(sqlerr.New(sqlerr.UndefinedFunction, "adaptive_watermark takes the column %s, a factor, a number of rows and an interval", w.Column).
				At(f.Offset()).WithHint("adaptive_watermark(%s, 1.5, 100, INTERVAL '60 seconds')", w.Column))
		}
		o.Watermark.Adaptive = b.adaptive(f)
		return
	}
	if m, ok := w.Expr.(*ast.Binary); ok && m.Op == "-" && self(m.L) {
		c := &exprCtx{b: b, sc: &scope{}, clause: "WATERMARK", noSubs: "a watermark"}
		d := b.duration(c.bind(m.R), m.R.Offset())
		if d < 0 {
			panic(sqlerr.New(sqlerr.InvalidParameter, "the delay of a watermark must not be negative").At(m.R.Offset()))
		}
		o.Watermark.Delay = d
		return
	}
	panic(unsupported(w.Expr.Offset(), "this form of a watermark").
		WithHint("Write WATERMARK FOR %s AS %s - INTERVAL '5 seconds'.", w.Column, w.Column))
}

// maxAdaptive is the most rows that an adaptive watermark looks back over.
const maxAdaptive = 1_000_000

// adaptive binds the arguments of adaptive_watermark behind its column.
func (b *binder) adaptive(f *ast.Call) *catalog.Adaptive {
	c := &exprCtx{b: b, sc: &scope{}, clause: "WATERMARK", noSubs: "a watermark"}
	number := func(i int, what string) float64 {
		pos := f.Args[i].Offset()
		x := b.fold(b.cast(c.bind(f.Args[i]), types.Of(types.Float8), expr.Implicit, pos))
		v := types.NullDatum
		if isConst(x) {
			v = x.Value
		}
		if v.Null || math.IsNaN(v.F) || math.IsInf(v.F, 0) || v.F <= 0 {
			panic(sqlerr.New(sqlerr.InvalidParameter, "the %s of adaptive_watermark must be a positive number", what).At(f.Args[i].Offset()))
		}
		return v.F
	}
	a := &catalog.Adaptive{Factor: number(1, "factor")}
	n := number(2, "number of rows")
	if n != math.Trunc(n) || n > maxAdaptive {
		panic(sqlerr.New(sqlerr.InvalidParameter, "the number of rows of adaptive_watermark must be a whole number up to %d", maxAdaptive).At(f.Args[2].Offset()))
	}
	a.N = int(n)
	if a.Min = b.duration(c.bind(f.Args[3]), f.Args[3].Offset()); a.Min < 0 {
		panic(sqlerr.New(sqlerr.InvalidParameter, "the least lag of adaptive_watermark must not be negative").At(f.Args[3].Offset()))
	}
	return a
}
