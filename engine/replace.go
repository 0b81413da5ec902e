package engine

import (
	"slices"

	"github.com/streamsql/streamsql/sql/ast"
	"github.com/streamsql/streamsql/sql/catalog"
	"github.com/streamsql/streamsql/sql/plan"
	"github.com/streamsql/streamsql/sql/sqlerr"
)

// CREATE OR REPLACE MATERIALIZED VIEW: the new query is computed beside the view,
// which goes on and is read as ever. When it has caught up it takes the view's
// place, with its late rows, and those who read the view get the difference of the
// two, all in one epoch. Until then a crash, or an end of the statement, leaves
// everything as it was. See replay.go, which does the same with the same query.

// replaced is the materialized view that CREATE OR REPLACE is for; nil: none has
// the name.
func (x *ddlRun) replaced(s *ast.CreateView) (*catalog.Object, error) {
	if !s.OrReplace {
		return nil, nil
	}
	old := x.cat.Lookup(s.Name.Parts, []string{catalog.Public})
	if old != nil && old.Kind != catalog.MatView {
		return nil, sqlerr.New(sqlerr.WrongObjectType, `"%s" is not a materialized view`, s.Name.Base()).At(s.Name.Offset())
	}
	return old, nil
}

// hasLateRelation tells whether a view has a relation for late rows, be it from an
// earlier query.
func (x *ddlRun) hasLateRelation(view *catalog.Object) bool {
	l := x.cat.Lookup([]string{view.Schema, lateObject(view).Name}, nil)
	return l != nil && l.Owner == view.ID
}

// replaceMatView has o take the place of the view old.
func (x *ddlRun) replaceMatView(old, o *catalog.Object) error {
	done := make(chan error, 1)
	var n *job
	err := x.onLoop(func() error {
		j := x.e.jobsByID[old.ID]
		switch {
		case j == nil:
			return sqlerr.New(sqlerr.UndefinedTable, `"%s" does not exist`, old.Name)
		case j.state == Backfilling:
			return sqlerr.New(sqlerr.ObjectNotInState, "materialized view %q is %s", old.Name, j.state).WithHint("Wait until it is RUNNING, or DROP it.")
		case j.replay != nil:
			return sqlerr.New(sqlerr.ObjectNotInState, "materialized view %q is being replaced or replayed already", old.Name)
		}
		if err := x.e.readable(o.Plan); err != nil {
			return err
		}
		err := x.e.fits(j.obj, o)
		if err != nil {
			return err
		}
		if n, err = x.e.startBeside(j, o, " (new)", true); err == nil {
			n.fill.waiters = append(n.fill.waiters, done)
		}
		return err
	})
	if err != nil {
		return err
	}
	x.after = append(x.after, func() error {
		err := x.awaitReplay(n, done)
		x.tell(n)
		return err
	})
	return nil
}

// fits tells whether o may take the place of old, as those see it who read that.
func (e *Engine) fits(old, o *catalog.Object) error {
	cat := e.currentCatalog()
	for _, id := range o.Depends {
		if cat.ByID(id) == nil {
			return sqlerr.New(sqlerr.UndefinedTable, "something that the new query of %q uses was dropped", old.Name)
		}
	}
	deps := cat.Dependants(old.ID)
	if len(deps) > 0 {
		if err := replaceable(old, o, cat); err != nil {
			return sqlerr.From(err).WithHint("%s; without it the columns may be any.", readBy(deps))
		}
	}
	var err error
	o.Plan.Visit(func(n *plan.Node) {
		if n.Op != plan.Scan || err != nil {
			return
		}
		id := n.Relation
		r := cat.ByID(id)
		if r != nil && r.Owner != 0 {
			id = r.Owner
		}
		switch j := e.jobsByID[id]; {
		case id == old.ID:
			err = sqlerr.New("42P17", `materialized view "%s" cannot read itself`, old.Name)
		case j != nil && j.rel != nil && id > old.ID:
			err = sqlerr.New(sqlerr.FeatureNotSupported, `materialized view "%s" cannot come to read "%s", which was made after it`, old.Name, j.obj.Name).
				WithHint("DROP and CREATE it.")
		}
	})
	if err != nil {
		return err
	}
	reader := ""
	for _, d := range deps {
		if d.Plan != nil {
			reader = d.Name
		}
	}
	if reader == "" {
		return nil
	}
	switch {
	case len(o.Columns) > len(old.Columns):
		return sqlerr.New(sqlerr.FeatureNotSupported, `materialized view "%s" cannot get another column: "%s" reads it`, old.Name, reader).
			WithHint("DROP … CASCADE and create both.")
	case old.AppendOnly:
		return sqlerr.New(sqlerr.ObjectNotInState, `the rows of "%s" are final, and "%s" counts on that`, old.Name, reader).
			WithDetail("Its query only ever adds rows; another one would take some back.").WithHint("DROP … CASCADE and create both.")
	case !slices.Equal(old.PrimaryKey, o.PrimaryKey):
		return sqlerr.New(sqlerr.FeatureNotSupported, `the key of "%s" would be another one, and "%s" counts on it`, old.Name, reader).
			WithHint("DROP … CASCADE and create both.")
	case old.Time != o.Time || old.TimeEnd != o.TimeEnd || old.Plan.Clock != o.Plan.Clock:
		return sqlerr.New(sqlerr.FeatureNotSupported, `the column of "%s" with its watermark would be another one, and "%s" counts on it`, old.Name, reader).
			WithHint("DROP … CASCADE and create both.")
	}
	return nil
}

func readBy(deps []*catalog.Object) string {
	name := deps[0].Name
	if len(deps) > 1 {
		return `"` + name + `" and others depend on it`
	}
	return `"` + name + `" depends on it`
}

// newLate makes the late rows' relation of a job that is computed beside another.
// Like the job it is in no catalog until it takes the other's place.
func (e *Engine) newLate(j, n *job) {
	if !hasLate(n.obj.Plan) {
		return
	}
	l := lateObject(n.obj)
	if j.late != nil { // a data directory may be older than a column
		l.Columns = j.late.obj.Columns
	}
	n.late = e.addKept(l, n.obj.Options)
}

// forgetLate drops it.
func (e *Engine) forgetLate(n *job) {
	if n.anew && n.late != nil {
		delete(e.relations, n.late.obj.ID)
		e.dropOps(n.late.obj)
	}
}

// lateChange is the change of the relation of late rows when n takes the place of j.
func lateChange(j, n *job) (*change, error) {
	switch {
	case j.late == nil:
		return &change{}, nil
	case n.late == nil:
		return j.late.clear()
	}
	return difference(j.late, n.late)
}

// takeLate puts n's late rows in the place of j's. It returns what the catalog
// gets; nil: nothing.
func (e *Engine) takeLate(j, n *job, view *catalog.Object) *catalog.Object {
	if n.late == nil {
		n.late = j.late // which is empty, and stays for those who read it
		return nil
	}
	l := *n.late.obj
	l.Owner, l.Name = view.ID, lateObject(view).Name
	delete(e.relations, l.ID)
	if j.late != nil {
		l.ID = j.late.obj.ID
		e.dropOps(j.late.obj)
	}
	n.late.obj, n.late.main.obj = &l, &l
	e.relations[l.ID] = n.late
	for _, d := range e.order {
		if in := d.input(l.ID); in != nil && in.rel != nil {
			in.rel = n.late
		}
	}
	return &l
}

// restartStale has the views that stood still because j did come back.
func (e *Engine) restartStale(j *job) error {
	for _, d := range e.dependants(j) {
		if d.state == Stale && d.sink == nil && d.replays == nil && e.readable(d.obj.Plan) == nil {
			if err := e.restart(d, nil); err != nil {
				return err
			}
		}
	}
	return nil
}
