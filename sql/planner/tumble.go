package planner

import (
	"slices"

	"github.com/streamsql/streamsql/sql/ast"
	"github.com/streamsql/streamsql/sql/expr"
	"github.com/streamsql/streamsql/sql/plan"
	"github.com/streamsql/streamsql/sql/sqlerr"
	"github.com/streamsql/streamsql/sql/types"
)

// Window table functions. Two spellings:
//
//	tumble(t, ts, size [, offset])            hop(t, ts, slide, size [, offset])
//	TABLE(TUMBLE(TABLE t, DESCRIPTOR(ts), size [, offset]))
//	TABLE(HOP(TABLE t, DESCRIPTOR(ts), slide, size [, offset]))
//
// and with Flink's argument names. CUMULATE takes (step, max size). A session ends
// when nothing has come for the gap; its rows may be parted by keys:
//
//	session(t [PARTITION BY k, …], ts, gap)
//	TABLE(SESSION(TABLE t [PARTITION BY (k, …)], DESCRIPTOR(ts), gap))
//
// The time column may be proctime(): rows have the time at which they are handled.

// windowArgs are the arguments of a window function by what they are.
type windowArgs struct {
	data    ast.Expr
	time    ast.Expr
	keys    []ast.Expr // PARTITION BY
	lengths []ast.Expr // size, or slide and size, or gap
	offset  ast.Expr
}

func readWindowArgs(call *ast.Call, kind string) *windowArgs {
	w := &windowArgs{}
	want := 1
	if kind == "hop" || kind == "cumulate" {
		want = 2
	}
	w.lengths = make([]ast.Expr, want)
	for i, a := range call.Args {
		n, ok := a.(*ast.NamedArg)
		if !ok {
			switch {
			case i == 0:
				w.data = a
			case i == 1:
				w.time = a
			case i-2 < want:
				w.lengths[i-2] = a
			case i-2 == want && kind != "session":
				w.offset = a
			default:
				panic(sqlerr.New(sqlerr.UndefinedFunction, "too many arguments for %s", kind).At(a.Offset()))
			}
			continue
		}
		switch {
		case n.Name == "data":
			w.data = n.X
		case n.Name == "timecol":
			w.time = n.X
		case n.Name == "gap" && kind == "session":
			w.lengths[0] = n.X
		case n.Name == "size" && kind != "session":
			w.lengths[want-1] = n.X
		case (n.Name == "slide" || n.Name == "step") && want == 2:
			w.lengths[0] = n.X
		case n.Name == "offset" && kind != "session":
			w.offset = n.X
		default:
			panic(sqlerr.New(sqlerr.UndefinedFunction, `%s has no argument "%s"`, kind, n.Name).At(n.Offset()))
		}
	}
	if p, ok := w.data.(*ast.Partitioned); ok {
		if kind != "session" {
			panic(unsupported(p.Keys[0].Offset(), "PARTITION BY of %s", kind).
				WithHint("Group by the columns above the window; only a SESSION is one for each key."))
		}
		w.data, w.keys = p.Data, p.Keys
	}
	if w.data == nil || w.time == nil || slices.Contains(w.lengths, nil) {
		usage := map[string]string{"tumble": "relation, time column, size", "hop": "relation, time column, slide, size",
			"cumulate": "relation, time column, step, size", "session": "relation [PARTITION BY …], time column, gap"}[kind]
		panic(sqlerr.New(sqlerr.UndefinedFunction, "%s needs the arguments (%s)", kind, usage).At(call.Offset()))
	}
	return w
}

func (b *binder) windowFunc(t *ast.TableFunc, kind string, parent, left *scope) (*rel, *scope) {
	pos := t.Call.Offset()
	if t.Ordinality {
		panic(unsupported(pos, "WITH ORDINALITY of %s", kind))
	}
	w := readWindowArgs(t.Call, kind)
	r, v := b.windowInput(w.data, parent, left)
	timeCol := w.time
	if d, ok := timeCol.(*ast.Descriptor); ok {
		if len(d.Columns) != 1 {
			panic(sqlerr.New(sqlerr.Syntax, "DESCRIPTOR must name one column").At(d.Offset()))
		}
		timeCol = &ast.ColumnRef{Pos: d.Pos, Parts: d.Columns}
	}
	here := &scope{star: v.cols, vars: []*rangeVar{v}}
	r, tc := b.windowTime(r, here, timeCol, kind)
	c := &exprCtx{b: b, clause: "window functions"}
	spec := plan.WindowSpec{Kind: kind, TimeCol: tc.Index}
	length := func(x ast.Expr, what string) int64 {
		d := b.duration(c.bind(x), x.Offset())
		if d <= 0 {
			panic(sqlerr.New(sqlerr.InvalidParameter, "the %s of a window must be positive", what).At(x.Offset()))
		}
		return d
	}
	what := "size"
	if kind == "session" {
		what = "gap"
	}
	spec.Size = length(w.lengths[len(w.lengths)-1], what)
	if len(w.lengths) == 2 {
		spec.Slide = length(w.lengths[0], "slide")
		if kind == "cumulate" && (spec.Slide > spec.Size || spec.Size%spec.Slide != 0) {
			panic(sqlerr.New(sqlerr.InvalidParameter, "the size of CUMULATE must be a multiple of its step").At(w.lengths[1].Offset()))
		}
		if n := spec.Size / spec.Slide; n > 10_000 {
			panic(sqlerr.New(sqlerr.InvalidParameter, "a row would be in %d windows", n).At(w.lengths[0].Offset()).
				WithHint("Choose a longer slide, or a shorter size."))
		}
	}
	if w.offset != nil {
		spec.Offset = b.duration(c.bind(w.offset), w.offset.Offset())
	}
	wt := types.Type{ID: tc.Type.ID}
	var keys []int
	for _, k := range w.keys {
		ref, ok := k.(*ast.ColumnRef)
		if !ok || ref.Star {
			panic(unsupported(k.Offset(), "PARTITION BY an expression").WithHint("Name a column, of a subquery if need be."))
		}
		x := b.column(here, ref)
		b.comparable(x.Type, k.Offset())
		keys = append(keys, x.Index)
	}
	n := &rel{op: opWindow, in: []*rel{r}, win: spec, keys: uniqueIDs(keys), out: slices.Clone(r.out)}
	names := []string{"window_start", "window_end", "window_time"}
	// Of a view with windows of its own, the new ones are meant.
	cols := slices.DeleteFunc(slices.Clone(v.cols), func(c nameCol) bool { return slices.Contains(names, c.name) })
	for _, name := range names {
		id := b.newCol(name, wt)
		n.out, n.made = append(n.out, id), append(n.made, id)
		cols = append(cols, nameCol{name, id})
	}
	nv := &rangeVar{name: kind, cols: cols}
	if v.name != "" {
		nv.name = v.name
	}
	return n, b.scopeOf(nv, t.Alias, t.Offset())
}

// windowTime binds the time column of a window: a column, or proctime(), which
// each row then gets.
func (b *binder) windowTime(r *rel, here *scope, x ast.Expr, kind string) (*rel, *expr.Expr) {
	if call, ok := x.(*ast.Call); ok && functionName(call.Name) == "proctime" && call.Over == nil {
		c := &exprCtx{b: b, sc: &scope{}, clause: "window functions"}
		r, ids := b.extend(r, []*expr.Expr{c.bind(call)})
		b.cols[ids[0]].name = "proctime"
		return r, b.col(ids[0])
	}
	ref, ok := x.(*ast.ColumnRef)
	if !ok || ref.Star {
		panic(sqlerr.New(sqlerr.DatatypeMismatch, "the time column of %s must be a column of the relation, or proctime()", kind).At(x.Offset()))
	}
	tc := b.column(here, ref)
	if !isTime(tc.Type) {
		panic(sqlerr.New(sqlerr.DatatypeMismatch, "the time column of %s must be a timestamp, not %s", kind, types.Bare(tc.Type)).At(ref.Offset()))
	}
	return r, tc
}

// windowInput is the relation that a window function reads.
func (b *binder) windowInput(x ast.Expr, parent, left *scope) (*rel, *rangeVar) {
	switch x := x.(type) {
	case *ast.ColumnRef:
		if !x.Star {
			return b.table(&ast.Table{Pos: x.Pos, Name: ast.Name{Pos: x.Pos, Parts: x.Parts}})
		}
	case *ast.TableArg:
		return b.table(&ast.Table{Pos: x.Pos, Name: x.Name})
	case *ast.ScalarSubquery:
		o := b.query(x.Query, lateral(left, parent))
		return b.closed(o), &rangeVar{cols: slices.Clone(o.cols)}
	}
	panic(sqlerr.New(sqlerr.DatatypeMismatch, "the first argument of a window function must be a relation").At(x.Offset()))
}
