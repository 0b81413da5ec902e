package engine

import (
	"context"
	"fmt"
	"strings"

	"github.com/streamsql/streamsql/sql/ast"
	"github.com/streamsql/streamsql/sql/catalog"
	"github.com/streamsql/streamsql/sql/delta"
	"github.com/streamsql/streamsql/sql/sqlerr"
	"github.com/streamsql/streamsql/sql/types"
)

// createIndex makes one more arrangement of a table or a materialized view. It
// belongs to the relation and holds no expression.
func (x *ddlRun) createIndex(s *ast.CreateIndex) error {
	on, err := x.cat.Relation(s.Table.Parts, x.d.Path, s.Table.Offset())
	if err != nil {
		return err
	}
	if !on.Stored() {
		return sqlerr.New(sqlerr.WrongObjectType, `cannot create index on relation "%s"`, on.Name).
			WithDetail("This operation is not supported for a %s.", on.Kind).At(s.Table.Offset())
	}
	if s.Unique && on.Kind != catalog.Table {
		return sqlerr.New(sqlerr.FeatureNotSupported, "a unique index is for tables alone").At(s.Offset())
	}
	o := &catalog.Object{Kind: catalog.Index, SQL: x.d.Text, On: on.ID, Unique: s.Unique}
	column := func(name string, pos int) (int, error) {
		c := on.Column(name)
		if c < 0 {
			return 0, sqlerr.New(sqlerr.UndefinedColumn, `column "%s" does not exist`, name).At(pos)
		}
		return c, nil
	}
	var names []string
	seen := map[int]bool{}
	for _, it := range s.Items {
		ref, ok := it.Expr.(*ast.ColumnRef)
		if !ok || ref.Star || len(ref.Parts) == 0 {
			return sqlerr.New(sqlerr.FeatureNotSupported, "an index on an expression is not supported yet").At(it.Offset())
		}
		c, err := column(ref.Parts[len(ref.Parts)-1], ref.Offset())
		if err != nil {
			return err
		}
		if !seen[c] {
			o.Keys = append(o.Keys, c)
			names = append(names, on.Columns[c].Name)
		}
		seen[c] = true
	}
	for _, n := range s.Include {
		c, err := column(n, s.Offset())
		if err != nil {
			return err
		}
		o.Include = append(o.Include, c)
	}
	name := s.Name
	if len(name.Parts) == 0 {
		base := on.Name + "_" + strings.Join(names, "_") + "_idx"
		free := base
		for i := 1; x.cat.Lookup([]string{on.Schema, free}, nil) != nil; i++ {
			free = fmt.Sprintf("%s%d", base, i)
		}
		name = ast.Name{Pos: s.Pos, Parts: []string{on.Schema, free}}
	}
	var exists bool
	if o.Schema, o.Name, exists, err = x.name(name, s.IfNotExists); err != nil || exists {
		return err
	}
	return x.onLoop(func() error { return x.e.addIndex(x.ctx, o) })
}

// addIndex fills a new arrangement, on the loop.
func (e *Engine) addIndex(ctx context.Context, o *catalog.Object) error {
	r := e.relations[o.On]
	if r == nil {
		return sqlerr.New(sqlerr.UndefinedTable, "the relation of the index was dropped")
	}
	e.assign(o)
	a := newArrangement(o, o.Keys, len(r.types))
	if o.Unique {
		a.part(r.types)
	}
	e.attach(a)
	a.tree.Begin()
	err := r.fillIndex(a, func() error {
		switch {
		case ctx.Err() != nil:
			return ctxError(ctx)
		case e.closing.Err() != nil:
			return closedError()
		}
		return nil
	})
	a.tree.Commit()
	if err != nil {
		return err
	}
	r.index = append(r.index, a)
	e.change([]*catalog.Object{o}, nil, nil)
	return nil
}

// fillIndex puts the relation's rows into a new arrangement. It asks check every
// few rows whether to go on.
func (r *relation) fillIndex(a *arrangement, check func() error) error {
	all := make([]int, len(r.types))
	for i := range all {
		all[i] = i
	}
	rr := newRowReader(r, r.main, all)
	var key []byte
	var ws []int64
	flush := func() {
		b := rr.take()
		if b == nil {
			return
		}
		for i := range b.N {
			key = appendRow(key[:0], b, i, a.order)
			a.tree.Add(key, ws[i])
		}
		ws = ws[:0]
	}
	cur := r.main.tree.Cursor()
	for ok := cur.Next(); ok; ok = cur.Next() {
		if err := rr.add(cur.Key()); err != nil {
			return err
		}
		if ws = append(ws, cur.Weight()); rr.n == delta.MaxRows {
			flush()
			if err := check(); err != nil {
				return err
			}
		}
	}
	flush()
	if a.obj.Unique {
		return r.checkIndex(a)
	}
	return r.err()
}

// checkIndex tells whether the keys of a new unique arrangement are unique.
func (r *relation) checkIndex(a *arrangement) error {
	var last []types.Datum
	var lastEq []byte
	cur := a.tree.Cursor()
	for ok := cur.Next(); ok; ok = cur.Next() {
		key := cur.Key()
		var eq []byte
		var vals []types.Datum
		null := false
		for _, c := range a.order[:a.keys] {
			d, rest, err := types.DecodeKey(key, r.types[c], false)
			if err != nil {
				return err
			}
			key = rest
			null = null || d.Null
			vals = append(vals, d)
			eq = types.AppendEq(eq, r.types[c], d)
		}
		if !null && (cur.Weight() > 1 || last != nil && string(eq) == string(lastEq)) {
			var cols, text []string
			for i, c := range a.order[:a.keys] {
				cols = append(cols, r.obj.Columns[c].Name)
				text = append(text, string(types.FormatText(nil, r.types[c], vals[i])))
			}
			return sqlerr.New(sqlerr.UniqueViolation, `could not create unique index "%s"`, a.obj.Name).
				WithDetail("Key (%s)=(%s) is duplicated.", strings.Join(cols, ", "), strings.Join(text, ", "))
		}
		last, lastEq = vals, eq
	}
	return nil
}
