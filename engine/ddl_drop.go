package engine

import (
	"fmt"
	"slices"
	"strings"

	"github.com/streamsql/streamsql/sql/ast"
	"github.com/streamsql/streamsql/sql/catalog"
	"github.com/streamsql/streamsql/sql/expr"
	"github.com/streamsql/streamsql/sql/sqlerr"
	"github.com/streamsql/streamsql/sql/types"
)

func (x *ddlRun) drop(s *ast.Drop) error {
	var roots []*catalog.Object
	for i, n := range s.Names {
		var o *catalog.Object
		var err error
		if s.Kind == ast.KindFunction {
			var args []*ast.FuncArg
			if i < len(s.Args) {
				args = s.Args[i]
			}
			o, err = x.dropFunction(n, args)
		} else {
			o, err = x.dropRelation(s.Kind, n)
		}
		if err != nil {
			if se := sqlerr.From(err); s.IfExists && (se.Code == sqlerr.UndefinedTable || se.Code == sqlerr.UndefinedObject || se.Code == sqlerr.UndefinedFunction) {
				x.d.notice("00000", "%s, skipping", se.Message)
				continue
			}
			return err
		}
		if !slices.Contains(roots, o) {
			roots = append(roots, o)
		}
	}
	if len(roots) == 0 {
		return nil
	}
	all, why := x.e.dependantsOf(roots)
	if len(why) > 0 && !s.Cascade {
		return x.refuse(roots, why)
	}
	var ids []uint64
	for _, o := range all {
		ids = append(ids, o.ID)
	}
	defer x.e.haltSoon(ids...)()
	return x.onLoop(func() error {
		all, why := x.e.dependantsOf(roots)
		if len(why) > 0 && !s.Cascade {
			return x.refuse(roots, why)
		}
		x.cascades(why)
		for _, o := range all {
			if j := x.e.jobsByID[o.ID]; j != nil && j.sink != nil {
				x.after = append(x.after, func() error { return j.sink.closed(x.ctx) })
			}
		}
		x.e.remove(all)
		return nil
	})
}

// dependence is one reason why an object cannot be dropped alone.
type dependence struct{ o, on *catalog.Object }

func describe(o *catalog.Object) string {
	if o.Kind == catalog.Function {
		return "function " + signature(o)
	}
	return fmt.Sprintf("%s %s", o.Kind, o.Name)
}

func (x *ddlRun) refuse(roots []*catalog.Object, why []dependence) error {
	var lines []string
	for _, w := range why {
		lines = append(lines, describe(w.o)+" depends on "+describe(w.on))
	}
	what := describe(roots[0])
	if len(roots) > 1 {
		what = "desired object(s)"
	}
	return sqlerr.New(sqlerr.DependentObjects, "cannot drop %s because other objects depend on it", what).
		WithDetail("%s", strings.Join(lines, "\n")).
		WithHint("Use DROP ... CASCADE to drop the dependent objects too.")
}

func (x *ddlRun) cascades(why []dependence) {
	switch {
	case len(why) == 0 || x.d.Notify == nil:
	case len(why) == 1:
		x.d.notice("00000", "drop cascades to %s", describe(why[0].o))
	default:
		var lines []string
		for _, w := range why {
			lines = append(lines, "drop cascades to "+describe(w.o))
		}
		n := Notice{Severity: "NOTICE", Err: sqlerr.New("00000", "drop cascades to %d other objects", len(why)).
			WithDetail("%s", strings.Join(lines, "\n"))}
		x.d.Notify(n)
	}
}

var dropKinds = map[ast.ObjectKind]catalog.Kind{
	ast.KindTable: catalog.Table, ast.KindSource: catalog.Source, ast.KindView: catalog.View,
	ast.KindMaterializedView: catalog.MatView, ast.KindSink: catalog.Sink, ast.KindIndex: catalog.Index,
}

// dropRelation finds the object that DROP or ALTER names.
func (x *ddlRun) dropRelation(kind ast.ObjectKind, n ast.Name) (*catalog.Object, error) {
	o := x.cat.Lookup(n.Parts, x.d.Path)
	if o == nil {
		code := sqlerr.UndefinedTable
		if kind == ast.KindIndex || kind == ast.KindSink {
			code = sqlerr.UndefinedObject
		}
		return nil, sqlerr.New(code, `%s "%s" does not exist`, kind, n.String()).At(n.Offset())
	}
	if o.Kind == catalog.Virtual {
		return nil, sqlerr.New("42501", `permission denied: "%s" is a system catalog`, n.String()).At(n.Offset())
	}
	if o.Kind != dropKinds[kind] {
		article := "a"
		if strings.IndexByte("aeiou", kind[0]) >= 0 {
			article = "an"
		}
		return nil, sqlerr.New(sqlerr.WrongObjectType, `"%s" is not %s %s`, o.Name, article, kind).
			WithHint("Use DROP %s to remove a %s.", strings.ToUpper(string(o.Kind)), o.Kind).At(n.Offset())
	}
	if o.Owner != 0 {
		owner := x.cat.ByID(o.Owner)
		return nil, sqlerr.New(sqlerr.DependentObjects, "cannot drop %s because %s requires it", describe(o), describe(owner)).
			WithHint("You can drop %s instead.", describe(owner)).At(n.Offset())
	}
	return o, nil
}

func (x *ddlRun) dropFunction(n ast.Name, args []*ast.FuncArg) (*catalog.Object, error) {
	name := n.Base()
	if args == nil {
		var found *catalog.Object
		for _, o := range x.cat.All() {
			if o.Kind == catalog.Function && o.Name == name {
				if found != nil {
					return nil, sqlerr.New("42725", `function name "%s" is not unique`, name).
						WithHint("Specify the argument list to select the function unambiguously.").At(n.Offset())
				}
				found = o
			}
		}
		if found == nil {
			return nil, sqlerr.New(sqlerr.UndefinedFunction, `could not find a function named "%s"`, name).At(n.Offset())
		}
		return found, nil
	}
	ts := []types.Type{}
	for _, a := range args {
		t, err := typeOf(a.Type)
		if err != nil {
			return nil, err
		}
		ts = append(ts, types.Bare(t))
	}
	if len(ts) == 0 {
		ts = nil
	}
	o := findFunction(x.cat, name, ts)
	if o == nil {
		return nil, sqlerr.New(sqlerr.UndefinedFunction, "function %s does not exist", signature(&catalog.Object{Name: name, Args: ts})).At(n.Offset())
	}
	return o, nil
}

// dependantsOf returns roots and all that goes with them, and of the latter
// those that the user must have asked for: not indexes and internal relations.
func (e *Engine) dependantsOf(roots []*catalog.Object) (all []*catalog.Object, why []dependence) {
	cat := e.currentCatalog()
	in := map[uint64]bool{}
	for _, o := range roots {
		in[o.ID] = true
		all = append(all, o)
	}
	for i := 0; i < len(all); i++ {
		o := all[i]
		for _, d := range cat.Dependants(o.ID) {
			if in[d.ID] {
				continue
			}
			in[d.ID] = true
			all = append(all, d)
			if d.Kind != catalog.Index {
				why = append(why, dependence{d, o})
			}
		}
		for _, d := range cat.All() {
			if d.Owner == o.ID && !in[d.ID] {
				in[d.ID] = true
				all = append(all, d)
			}
		}
	}
	return all, why
}

// withDependants returns an object and all that depends on it.
func (e *Engine) withDependants(o *catalog.Object) []*catalog.Object {
	all, _ := e.dependantsOf([]*catalog.Object{o})
	return all
}

// remove takes objects out, on the loop: jobs, rows, readers, state.
func (e *Engine) remove(all []*catalog.Object) {
	var ids []uint64
	var env *expr.Env
	for _, o := range all {
		for _, n := range slices.Clone(e.order) { // in no catalog, it depends on what it reads all the same
			if n.replays != nil && n.input(o.ID) != nil {
				e.dropReplay(n)
			}
		}
		ids = append(ids, o.ID)
		if j := e.jobsByID[o.ID]; j != nil {
			if j.replay != nil {
				e.dropReplay(j.replay)
			}
			j.state, j.err = Finished, sqlerr.New(sqlerr.ObjectNotInState, "%s %q was dropped", o.Kind, o.Name)
			e.endFill(j)
			if j.sink != nil {
				j.sink.close(false)
			}
			delete(e.jobsByID, o.ID)
			e.order = slices.DeleteFunc(e.order, func(x *job) bool { return x == j })
		}
		if s := e.sources[o.ID]; s != nil {
			s.halt()
			conn := s.conn
			e.background(func() { _ = conn.Close() })
			delete(e.sources, o.ID)
		}
		delete(e.relations, o.ID)
		if o.Kind == catalog.Index {
			if r := e.relations[o.On]; r != nil {
				r.index = slices.DeleteFunc(slices.Clone(r.index), func(a *arrangement) bool { return a.obj.ID == o.ID })
			}
		}
		if o.Kind == catalog.Function {
			if env == nil {
				env = e.currentCatalog().Env
			}
			env = withoutFunction(env, o)
		}
		e.dropOps(o)
	}
	e.change(nil, ids, env)
	e.haltUnread()
}

// haltUnread stops the readers of sources that no job reads any more. Their
// positions stay: a later view reads the history up to there by itself.
func (e *Engine) haltUnread() {
	for id, s := range e.sources {
		read := false
		for _, j := range e.order {
			read = read || j.active() && j.input(id) != nil
		}
		if !read {
			s.halt()
		}
	}
}
