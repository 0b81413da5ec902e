package engine

import (
	"maps"
	"slices"

	"github.com/streamsql/streamsql/sql/ast"
	"github.com/streamsql/streamsql/sql/catalog"
	"github.com/streamsql/streamsql/sql/sqlerr"
)

// lateOption tells whether an option of a view or sink is about late rows.
func lateOption(name string) bool {
	return name == optAllowedLateness || slices.Contains(lateDefaults, name)
}

// alterLate is ALTER MATERIALIZED VIEW | SINK … SET and RESET: what becomes of late
// rows from here on.
func (x *ddlRun) alterLate(s *ast.Alter) error {
	o, err := x.dropRelation(s.Kind, s.Name)
	if err != nil {
		return err
	}
	n := *o
	if n.Options = maps.Clone(o.Options); n.Options == nil {
		n.Options = map[string]string{}
	}
	for _, op := range s.Options {
		switch {
		case !lateOption(op.Name) && !slices.Contains(restartOptions, op.Name):
			return sqlerr.New(sqlerr.InvalidParameter, `option "%s" of a %s cannot be altered`, op.Name, o.Kind).At(op.Offset()).
				WithHint("What becomes of late rows can: late, late_retention, late_max_size, late_max_rate, allowed_lateness; and restart with its options.")
		case s.Action == ast.ResetOptions:
			delete(n.Options, op.Name)
		case op.Value == nil:
			return sqlerr.New(sqlerr.Syntax, `option "%s" needs a value`, op.Name).At(op.Offset())
		default:
			n.Options[op.Name] = op.Value.Text
		}
	}
	was, err := readLate(o.Options)
	if err != nil {
		return err
	}
	now, err := readLate(n.Options)
	if err != nil {
		return err
	}
	if _, err := readRestart(n.Options); err != nil {
		return err
	}
	if (was.policy == lateUpdate) != (now.policy == lateUpdate) {
		return sqlerr.New(sqlerr.FeatureNotSupported, "late = 'update' cannot be changed in the life of a %s", o.Kind).At(s.Offset()).
			WithHint("It decides what state is kept: make a new one.")
	}
	return x.onLoop(func() error {
		e := x.e
		j := e.jobsByID[o.ID]
		if j == nil || j.obj.ID != o.ID {
			return sqlerr.New(sqlerr.UndefinedTable, `"%s" does not exist`, o.Name)
		}
		if j.replay != nil {
			return sqlerr.New(sqlerr.ObjectNotInState, "the late rows of %q are being replayed", o.Name).WithHint("Try again when that has ended.")
		}
		// The state operators may have changed since: the rest of the object is as
		// it is now.
		cur := *j.obj
		cur.Options, cur.SQL = n.Options, alteredText(o.SQL, x.d.Text)
		j.obj, j.rules = &cur, now
		if j.rulesOfRestart(); j.state == Failed || j.state == Stale && j.sink != nil {
			e.planRestart(j)
		}
		if j.rel != nil {
			j.rel.obj, j.rel.main.obj = &cur, &cur
		}
		if j.late != nil {
			j.late.kept.age, j.late.kept.max = now.kept.age, now.kept.max
		}
		e.change([]*catalog.Object{&cur}, nil, nil)
		return nil
	})
}
