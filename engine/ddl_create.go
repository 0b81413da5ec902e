package engine

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/streamsql/streamsql/connector"
	"github.com/streamsql/streamsql/sql/ast"
	"github.com/streamsql/streamsql/sql/catalog"
	"github.com/streamsql/streamsql/sql/plan"
	"github.com/streamsql/streamsql/sql/sqlerr"
)

func (x *ddlRun) createTable(s *ast.CreateTable) error {
	schema, name, exists, err := x.name(s.Name, s.IfNotExists)
	if err != nil || exists {
		return err
	}
	opts, err := options(s.Options, nil)
	if err != nil {
		return err
	}
	for _, o := range s.Options {
		if o.Name != optIdleTimeout || s.Watermark == nil {
			return sqlerr.New(sqlerr.FeatureNotSupported, "a table has no option %s", o.Name).At(o.Offset()).
				WithHint("A table with a watermark has idle_timeout. CREATE SOURCE reads from a connector.")
		}
	}
	if _, err := durationOption(opts, optIdleTimeout, 0); err != nil {
		return err
	}
	if len(s.Includes) > 0 || s.Format != nil {
		return sqlerr.New(sqlerr.FeatureNotSupported, "INCLUDE and FORMAT are for sources").At(s.Offset())
	}
	o := &catalog.Object{Schema: schema, Name: name, Kind: catalog.Table, SQL: x.d.Text, AppendOnly: s.AppendOnly, Options: opts}
	if err := x.planner().Columns(&s.TableDef, o); err != nil {
		return err
	}
	return x.onLoop(func() error { x.e.addTable(o); return nil })
}

// addTable makes a new table, on the loop.
func (e *Engine) addTable(o *catalog.Object) {
	e.assign(o)
	r := newRelation(o)
	e.attach(r.main)
	e.relations[o.ID] = r
	e.change([]*catalog.Object{o}, nil, nil)
}

// createTableAs makes a table of a query's answer.
func (x *ddlRun) createTableAs(s *ast.CreateTable) (string, error) {
	schema, name, exists, err := x.name(s.Name, s.IfNotExists)
	if err != nil || exists {
		return "CREATE TABLE AS", err
	}
	root, cols, err := x.planner().TableAs(s.Query, s.ColumnNames)
	if err != nil {
		return "", err
	}
	o := &catalog.Object{Schema: schema, Name: name, Kind: catalog.Table, SQL: x.d.Text, Columns: relationColumns(cols)}
	if err := x.onLoop(func() error { x.e.addTable(o); return nil }); err != nil {
		return "", err
	}
	ws := []*boundWrite{{Write: &plan.Write{Kind: plan.Insert, Table: o.ID, Root: root}, Context: x.context()}}
	res, err := x.e.write(x.ctx, ws)
	if err != nil {
		_ = x.e.do(x.e.ctx, func() { x.e.remove([]*catalog.Object{o}) })
		return "", err
	}
	return fmt.Sprintf("SELECT %d", res[0].Count), nil
}

func relationColumns(cols []plan.Column) []catalog.Column {
	out := make([]catalog.Column, len(cols))
	for i, c := range cols {
		out[i] = catalog.Column{Name: c.Name, Type: c.Type}
	}
	return out
}

func (x *ddlRun) createSource(s *ast.CreateSource) error {
	schema, name, exists, err := x.name(s.Name, s.IfNotExists)
	if err != nil || exists {
		return err
	}
	o := &catalog.Object{Schema: schema, Name: name, Kind: catalog.Source, SQL: x.d.Text, AppendOnly: true}
	if o.Options, err = options(s.Options, nil); err != nil {
		return err
	}
	if s.Format != nil {
		o.Format, o.Encode = strings.ToLower(s.Format.Format), strings.ToLower(s.Format.Encode)
		if o.Options, err = options(s.Format.Options, o.Options); err != nil {
			return err
		}
	}
	if err := x.planner().Columns(&s.TableDef, o); err != nil {
		return err
	}
	if _, err := newKept(o.Options); err != nil {
		return err
	}
	if _, err := readLate(o.Options); err != nil {
		return err
	}
	if _, _, _, err := x.name(ast.Name{Pos: s.Name.Pos, Parts: []string{schema, deadObject(o).Name}}, false); err != nil {
		return err
	}
	src, err := newSource(o, false)
	if err != nil {
		return err
	}
	if p, ok := src.conn.(connector.Pinned); ok {
		maps.Copy(o.Options, p.Pin())
	}
	return x.onLoop(func() error { x.e.addSource(src); return nil })
}

// addSource makes a new source and its dead letters' relation, on the loop.
func (e *Engine) addSource(s *source) {
	o := s.obj
	e.assign(o)
	e.newCuts(s)
	e.sources[o.ID] = s
	put := []*catalog.Object{o}
	d := deadObject(o)
	s.dead = e.addKept(d, o.Options)
	e.change(append(put, d), nil, nil)
}

// addKept makes an internal relation.
func (e *Engine) addKept(o *catalog.Object, opts map[string]string) *relation {
	e.assign(o)
	r := newRelation(o)
	e.attach(r.main)
	r.kept = keptOf(o, opts)
	e.relations[o.ID] = r
	return r
}

func (x *ddlRun) createView(s *ast.CreateView) error {
	schema, name := catalog.Public, s.Name.Base()
	var old *catalog.Object
	if s.OrReplace {
		old = x.cat.Lookup(s.Name.Parts, []string{catalog.Public})
	}
	if old != nil && old.Kind != catalog.View {
		return sqlerr.New(sqlerr.WrongObjectType, `"%s" is not a view`, name).At(s.Name.Offset())
	}
	if old == nil {
		var exists bool
		var err error
		if schema, name, exists, err = x.name(s.Name, s.IfNotExists); err != nil || exists {
			return err
		}
	}
	if len(s.Options) > 0 {
		return sqlerr.New(sqlerr.InvalidParameter, `unrecognized parameter "%s"`, s.Options[0].Name).At(s.Options[0].Offset())
	}
	cols, deps, err := x.planner().Check(s.Query, s.Columns)
	if err != nil {
		return err
	}
	o := &catalog.Object{Schema: schema, Name: name, Kind: catalog.View, SQL: x.d.Text, Query: s.Text, Columns: relationColumns(cols), Depends: deps, Zone: x.zone()}
	if old != nil {
		if err := replaceable(old, o, x.cat); err != nil {
			return err
		}
		o.ID = old.ID
	}
	return x.onLoop(func() error {
		x.e.assign(o)
		x.e.change([]*catalog.Object{o}, nil, nil)
		return nil
	})
}

// replaceable tells whether CREATE OR REPLACE VIEW may put o in the place of old:
// the columns it had stay, and it does not come to read itself.
func replaceable(old, o *catalog.Object, cat *catalog.Catalog) error {
	if len(o.Columns) < len(old.Columns) {
		return sqlerr.New("42P16", "cannot drop columns from view")
	}
	for i, c := range old.Columns {
		n := o.Columns[i]
		if n.Name != c.Name {
			return sqlerr.New("42P16", `cannot change name of view column "%s" to "%s"`, c.Name, n.Name)
		}
		if n.Type != c.Type {
			return sqlerr.New("42P16", `cannot change data type of view column "%s" from %s to %s`, c.Name, c.Type, n.Type)
		}
	}
	seen := map[uint64]bool{}
	todo := append([]uint64(nil), o.Depends...)
	for len(todo) > 0 {
		id := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if id == old.ID {
			return sqlerr.New("42P17", `infinite recursion detected in rules for relation "%s"`, old.Name)
		}
		if d := cat.ByID(id); d != nil && !seen[id] {
			seen[id] = true
			todo = append(todo, d.Depends...)
		}
	}
	return nil
}

func (x *ddlRun) createMatView(s *ast.CreateView) error {
	old, err := x.replaced(s)
	if err != nil {
		return err
	}
	schema, name := catalog.Public, s.Name.Base()
	if old == nil {
		var exists bool
		if schema, name, exists, err = x.name(s.Name, s.IfNotExists); err != nil || exists {
			return err
		}
	}
	opts, err := options(s.Options, nil)
	if err != nil {
		return err
	}
	for _, op := range s.Options {
		if !lateOption(op.Name) && !slices.Contains(restartOptions, op.Name) {
			return sqlerr.New(sqlerr.InvalidParameter, `unrecognized parameter "%s"`, op.Name).At(op.Offset())
		}
	}
	root, cols, deps, keys, err := x.planner().View(s.Query, s.Columns)
	if err != nil {
		return err
	}
	if opts, err = x.lateRules(root, opts); err != nil {
		return err
	}
	o := &catalog.Object{
		Schema: schema, Name: name, Kind: catalog.MatView, SQL: x.d.Text, Query: s.Text, Options: opts,
		Columns: relationColumns(cols), PrimaryKey: keys, AppendOnly: root.AppendOnly,
		Plan: root, Depends: deps, Time: root.Time, TimeEnd: root.TimeEnd,
	}
	if hasLate(root) && (old == nil || !x.hasLateRelation(old)) {
		if _, _, _, err := x.name(ast.Name{Pos: s.Name.Pos, Parts: []string{schema, lateObject(o).Name}}, false); err != nil {
			return err
		}
	}
	if old != nil {
		return x.replaceMatView(old, o)
	}
	return x.install(o, nil)
}

// lateRules checks what a view's or sink's options say about late rows, and does
// to its plan what they ask for. It returns the options completed.
func (x *ddlRun) lateRules(root *plan.Node, opts map[string]string) (map[string]string, error) {
	opts, err := lateOptions(x.cat, root, opts)
	if err != nil {
		return nil, err
	}
	rules, err := readLate(opts)
	if err != nil {
		return nil, err
	}
	if _, err := readRestart(opts); err != nil {
		return nil, err
	}
	if rules.policy == lateUpdate {
		err = neverClose(root, x.cat.Env)
	}
	return opts, err
}

// install makes the job of a view or sink and begins its backfill.
func (x *ddlRun) install(o *catalog.Object, conn connector.Sink) error {
	if len(o.Plan.Out) != len(o.Columns) {
		return sqlerr.New(sqlerr.Internal, "the plan of %q has %d columns, not %d", o.Name, len(o.Plan.Out), len(o.Columns))
	}
	done := make(chan error, 1)
	var j *job
	err := x.onLoop(func() (err error) {
		e := x.e
		if err := e.readable(o.Plan); err != nil {
			return err
		}
		e.assign(o)
		if j, err = e.newJob(o); err != nil {
			return err
		}
		put := []*catalog.Object{o}
		if o.Kind == catalog.MatView {
			j.rel = newRelation(o)
			e.attach(j.rel.main)
			e.relations[o.ID] = j.rel
		} else {
			j.sink = e.newSink(o, conn, nil)
		}
		if l := lateObject(o); hasLate(o.Plan) {
			j.late = e.addKept(l, o.Options)
			put = append(put, l)
		}
		e.jobsByID[o.ID] = j
		e.order = append(e.order, j) // the ID is the greatest so far
		e.change(put, nil, nil)
		e.startFill(j)
		j.fill.waiters = append(j.fill.waiters, done)
		return nil
	})
	if err != nil {
		return err
	}
	if x.d.Background {
		return nil
	}
	x.after = append(x.after, func() error { return x.e.awaitFill(x, j, done) })
	return nil
}

// readable tells whether a new job can read what its plan reads: a view that
// does not go on would leave it without its input.
func (e *Engine) readable(root *plan.Node) error {
	var err error
	root.Visit(func(n *plan.Node) {
		if n.Op != plan.Scan || err != nil {
			return
		}
		o := e.currentCatalog().ByID(n.Relation)
		switch {
		case o == nil:
			err = sqlerr.New(sqlerr.UndefinedTable, "a relation that the query reads was dropped")
		case o.Kind == catalog.Virtual:
			err = sqlerr.New(sqlerr.FeatureNotSupported, `"%s.%s" cannot be read by a materialized view`, o.Schema, o.Name)
		}
		if j := e.jobsByID[n.Relation]; j != nil && !j.active() {
			err = sqlerr.New(sqlerr.ObjectNotInState, "materialized view %q is %s", j.obj.Name, j.state).
				WithHint("ALTER MATERIALIZED VIEW %s RESUME first.", j.obj.Name)
		}
	})
	return err
}

// awaitFill waits until a new job runs. A client that goes away takes it along.
func (e *Engine) awaitFill(x *ddlRun, j *job, done chan error) error {
	var err error
	select {
	case err = <-done:
		x.tell(j)
	case <-e.lost:
		return e.Err()
	case <-e.stopped:
		return closedError()
	case <-x.ctx.Done():
		err = ctxError(x.ctx)
	}
	if err == nil {
		return nil
	}
	paused := false
	defer e.haltSoon(j.obj.ID)()
	_ = e.do(e.ctx, func() {
		switch {
		case e.jobsByID[j.obj.ID] != j || e.Err() != nil:
		case j.state == Paused && x.ctx.Err() == nil: // someone wants it later
			paused = true
		default:
			e.remove(e.withDependants(j.obj))
		}
	})
	if paused {
		x.d.notice("00000", "%s %q is %s", j.obj.Kind, j.obj.Name, Paused)
		return nil
	}
	return err
}

// tell hands the notices of a backfill that has ended to the client.
func (x *ddlRun) tell(j *job) {
	for _, n := range j.takeNotices() {
		if x.d.Notify != nil {
			x.d.Notify(n)
		}
	}
}

func (x *ddlRun) createSink(s *ast.CreateSink) error {
	if s.Into != nil {
		return sqlerr.New(sqlerr.FeatureNotSupported, "CREATE SINK … INTO a table is not supported yet").At(s.Into.Offset())
	}
	schema, name, exists, err := x.name(s.Name, s.IfNotExists)
	if err != nil || exists {
		return err
	}
	q, text := s.Query, s.Text
	if s.From != nil {
		text = "SELECT * FROM " + quoteName(s.From.Parts)
		if _, err := x.cat.Relation(s.From.Parts, x.d.Path, s.From.Offset()); err != nil {
			return err
		}
		if q, err = parseView(text); err != nil {
			return err
		}
	}
	root, cols, deps, _, err := x.planner().View(q, nil)
	if err != nil {
		return err
	}
	o := &catalog.Object{
		Schema: schema, Name: name, Kind: catalog.Sink, SQL: x.d.Text, Query: text,
		Columns: relationColumns(cols), AppendOnly: root.AppendOnly, Plan: root, Depends: deps,
	}
	if o.Options, err = options(s.Options, nil); err != nil {
		return err
	}
	if s.Format != nil {
		o.Format, o.Encode = strings.ToLower(s.Format.Format), strings.ToLower(s.Format.Encode)
		if o.Options, err = options(s.Format.Options, o.Options); err != nil {
			return err
		}
	}
	if o.Options, err = x.lateRules(root, o.Options); err != nil {
		return err
	}
	if hasLate(root) {
		if _, _, _, err := x.name(ast.Name{Pos: s.Name.Pos, Parts: []string{schema, lateObject(o).Name}}, false); err != nil {
			return err
		}
	}
	conn, err := connector.NewSink(sinkConfig(o), nil)
	if err != nil {
		return err
	}
	if err := x.install(o, conn); err != nil {
		_ = conn.Close()
		return err
	}
	return nil
}

func quoteName(parts []string) string {
	q := make([]string, len(parts))
	for i, p := range parts {
		q[i] = `"` + strings.ReplaceAll(p, `"`, `""`) + `"`
	}
	return strings.Join(q, ".")
}
