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

// alterSource is ALTER SOURCE … SET and RESET: how a source's records are read
// and decoded from here on. What was read stays as it is; REPLAY DEAD LETTERS
// gives the records that did not decode another chance.
func (x *ddlRun) alterSource(s *ast.Alter) error {
	o, err := x.dropRelation(s.Kind, s.Name)
	if err != nil {
		return err
	}
	n := *o
	n.Options = maps.Clone(o.Options)
	decodes := false
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
