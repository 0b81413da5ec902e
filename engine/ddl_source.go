package engine

import (
	"maps"
	"slices"
	"strings"

	"github.com/streamsql/streamsql/connector"
	"github.com/streamsql/streamsql/sql/ast"
	"github.com/streamsql/streamsql/sql/catalog"
	"github.com/streamsql/streamsql/sql/sqlerr"
)

// alterSource is ALTER SOURCE … SET, RESET and ADD COLUMN: how a source's records are read
// and decoded from here on. What was read stays as it is; REPLAY DEAD LETTERS
// gives the records that did not decode another chance.
func (x *ddlRun) alterSource(s *ast.Alter) error {
	o, err := x.dropRelation(s.Kind, s.Name)
	if err != nil {
		return err
	}
	n := *o
	n.Options = maps.Clone(o.Options)
	decodes := s.Column != nil
	if decodes {
		if err := x.addColumn(&n, s.Column); err != nil {
			return err
		}
	}
	for _, op := range s.Options {
		if !engineOption(op.Name) {
			decodes = true
			if src := x.e.sourceConn(x, o.ID); src == nil || !src.Alterable(op.Name) {
				return sqlerr.New(sqlerr.InvalidParameter, `option "%s" of a source cannot be altered`, op.Name).At(op.Offset()).
					WithHint("What says which records a source has is fixed: make a new source.")
			}
		}
		if s.Action == ast.ResetOptions {
			delete(n.Options, op.Name)
			continue
		}
		if op.Value == nil {
			return sqlerr.New(sqlerr.Syntax, `option "%s" needs a value`, op.Name).At(op.Offset())
		}
		n.Options[op.Name] = op.Value.Text
	}
	k, err := newKept(n.Options)
	if err != nil {
		return err
	}
	if _, err := readLate(n.Options); err != nil {
		return err
	}
	n.SQL = alteredText(o.SQL, x.d.Text)
	fresh, err := newSource(&n, true)
	if err != nil {
		return err
	}
	err = x.onLoop(func() error {
		e := x.e
		src := e.sources[o.ID]
		if src == nil || src.obj != o {
			return sqlerr.New(sqlerr.UndefinedTable, `"%s" does not exist`, o.Name)
		}
		if err := e.settled(src); err != nil {
			return err
		}
		if decodes {
			n.Altered = e.clock.now()
		}
		reads, old := src.feed != nil, src.conn
		src.halt()
		src.obj, src.conn = &n, fresh.conn
		src.idleTimeout, src.maxDrift, src.group = fresh.idleTimeout, fresh.maxDrift, fresh.group
		src.dead.kept.age, src.dead.kept.max = k.age, k.max
		e.change([]*catalog.Object{&n}, nil, nil)
		if reads {
			src.start(e)
		}
		e.background(func() { _ = old.Close() })
		return nil
	})
	if err != nil {
		_ = fresh.conn.Close()
	}
	return err
}

// addColumn gives a source one more field to decode. It stands behind the others,
// so that the plans of views still find theirs; a plain view, which is planned
// anew where it is used, may not.
func (x *ddlRun) addColumn(o *catalog.Object, c *ast.ColumnDef) error {
	if c.Type == nil || c.NotNull || c.Default != nil || c.Generated != nil || c.PrimaryKey {
		return sqlerr.New(sqlerr.FeatureNotSupported, "a column added to a source is a nullable field of its records").At(c.Offset())
	}
	if o.Column(c.Name) >= 0 {
		return sqlerr.New(sqlerr.DuplicateColumn, `column "%s" of relation "%s" already exists`, c.Name, o.Name).At(c.Offset())
	}
	var alone catalog.Object
	if err := x.planner().Columns(&ast.TableDef{Columns: []*ast.ColumnDef{c}}, &alone); err != nil {
		return err
	}
	for _, d := range x.cat.Dependants(o.ID) {
		if d.Kind == catalog.View {
			return sqlerr.New(sqlerr.DependentObjects, "cannot add a column to source %s because view %s depends on it", o.Name, d.Name).At(c.Offset()).
				WithHint("Drop the view, add the column, and make the view again.")
		}
	}
	o.Columns = append(slices.Clone(o.Columns), alone.Columns[0])
	return nil
}

// alteredText is what makes an object as it is now.
func alteredText(made, altered string) string {
	return strings.TrimRight(made, "; \n") + ";\n" + altered
}

// engineOption tells whether an option of a source is the engine's own.
func engineOption(name string) bool { return slices.Contains(engineOptions, name) }

// sourceConn is the connector of a source, if its options may change.
func (e *Engine) sourceConn(x *ddlRun, id uint64) connector.Alterable {
	var a connector.Alterable
	_ = x.onLoop(func() error {
		if s := e.sources[id]; s != nil {
			a, _ = s.conn.(connector.Alterable)
		}
		return nil
	})
	return a
}

// settled tells whether no job reads the history of a source at the moment.
func (e *Engine) settled(s *source) error {
	for _, j := range e.order {
		if j.state == Backfilling && j.input(s.obj.ID) != nil {
			return sqlerr.New(sqlerr.ObjectNotInState, "%s %q reads the history of source %q at the moment", j.obj.Kind, j.obj.Name, s.obj.Name).
				WithHint("Wait until it is RUNNING: SHOW JOBS tells how far it is.")
		}
	}
	return nil
}
