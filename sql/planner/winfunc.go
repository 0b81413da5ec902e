package planner

import (
	"strings"

	"github.com/streamsql/streamsql/sql/ast"
	"github.com/streamsql/streamsql/sql/expr"
	"github.com/streamsql/streamsql/sql/plan"
	"github.com/streamsql/streamsql/sql/sqlerr"
	"github.com/streamsql/streamsql/sql/types"
)

var windowFunctions = map[string]bool{
	"row_number": true, "rank": true, "dense_rank": true, "percent_rank": true, "cume_dist": true, "ntile": true,
	"lag": true, "lead": true, "nth_value": true,
}

func (c *exprCtx) window(x *ast.Call, name string) *expr.Expr {
	b, pos := c.b, x.Offset()
	switch {
	case c.inAgg:
		panic(sqlerr.New(sqlerr.Grouping, "aggregate function calls cannot contain window function calls").At(pos))
	case c.wins == nil:
		panic(sqlerr.New("42P20", "window functions are not allowed in %s", c.clause).At(pos))
	case x.Distinct:
		panic(unsupported(pos, "DISTINCT in a window function"))
	case len(x.OrderBy) > 0:
		panic(unsupported(pos, "an aggregate ORDER BY in a window function"))
	}
	inner := *c
	inner.wins, inner.clause = nil, "window definitions"
	w := &winBind{}
	isAgg := b.env.IsAggregate(name) && name != "first_value" && name != "last_value"
	switch {
	case isAgg:
		f, args := c.aggArgs(&inner, x, name)
		w.fn, w.kind, w.args, w.typ = f.Key(), f.Kind, args, f.Ret
		if x.Filter != nil {
			w.filter = inner.cond(x.Filter)
		}
	case windowFunctions[name] || name == "first_value" || name == "last_value":
		if x.Filter != nil {
			panic(unsupported(pos, "FILTER for non-aggregate window functions"))
		}
		w.fn = name
		c.windowArgs(w, inner.bindAll(x.Args), name, pos)
	default:
		if err := b.noFunction(name, x); err != nil {
			panic(err)
		}
		panic(sqlerr.New("42809", "OVER specified, but %s is not a window function nor an aggregate function", name).At(pos))
	}
	spec := c.resolveWindow(x.Over)
	for _, p := range spec.PartitionBy {
		e := b.known(inner.bind(p))
		b.comparable(e.Type, p.Offset())
		w.partition = append(w.partition, e)
	}
	w.order = inner.orderBy(spec.OrderBy)
	if w.rank == "" {
		w.frame = c.frame(spec.Frame, w, &inner)
	}
	w.id = b.newCol(name, w.typ)
	c.wins.calls = append(c.wins.calls, w)
	return b.colAt(w.id, pos)
}

// windowArgs types a window function that is not an aggregate.
func (c *exprCtx) windowArgs(w *winBind, args []*expr.Expr, name string, pos int) {
	b := c.b
	lo, hi := 0, 0
	switch name {
	case "row_number", "rank", "dense_rank":
		w.rank, w.typ = name, types.Of(types.Int8)
	case "percent_rank", "cume_dist":
		w.typ = types.Of(types.Float8)
	case "ntile":
		lo, hi, w.typ = 1, 1, types.Of(types.Int4)
	case "lag", "lead":
		lo, hi = 1, 3
	case "first_value", "last_value":
		lo, hi = 1, 1
	case "nth_value":
		lo, hi = 2, 2
	}
	if len(args) < lo || len(args) > hi {
		var ts []string
		for _, a := range args {
			ts = append(ts, types.Bare(a.Type).String())
		}
		panic(sqlerr.New(sqlerr.UndefinedFunction, "function %s(%s) does not exist", name, strings.Join(ts, ", ")).At(pos).
			WithHint("No function matches the given name and argument types. You might need to add explicit type casts."))
	}
	switch name {
	case "ntile":
		args[0] = b.cast(args[0], types.Of(types.Int4), expr.Implicit, pos)
	case "lag", "lead", "first_value", "last_value", "nth_value":
		if len(args) == 3 {
			pair := []*expr.Expr{args[0], args[2]}
			b.common(pair, "LAG", pos)
			args[0], args[2] = pair[0], pair[1]
		} else {
			args[0] = b.known(args[0])
		}
		if len(args) > 1 {
			args[1] = b.cast(args[1], types.Of(types.Int4), expr.Implicit, pos)
		}
		w.typ = args[0].Type
	}
	w.args = args
}

// resolveWindow merges OVER (w …) with the named window that it starts from.
func (c *exprCtx) resolveWindow(w *ast.Window) *ast.Window {
	return c.resolveNamed(w, 0)
}

func (c *exprCtx) resolveNamed(w *ast.Window, depth int) *ast.Window {
	base := w.Base
	whole := false
	if base == "" && w.Name != "" && w.PartitionBy == nil && w.OrderBy == nil && w.Frame == nil {
		base, whole = w.Name, true
	}
	if base == "" {
		return w
	}
	for i, n := range c.wins.named {
		if n.Name != base {
			continue
		}
		if n == w || depth > len(c.wins.named) {
			_ = i
			break
		}
		d := *n
		d.Name = ""
		if n.Base != "" {
			d = *c.resolveNamed(&d, depth+1)
		}
		if whole {
			return &d
		}
		switch {
		case len(w.PartitionBy) > 0:
			panic(sqlerr.New("42P20", `cannot override PARTITION BY clause of window "%s"`, base).At(w.Offset()))
		case len(w.OrderBy) > 0 && len(d.OrderBy) > 0:
			panic(sqlerr.New("42P20", `cannot override ORDER BY clause of window "%s"`, base).At(w.Offset()))
		case d.Frame != nil:
			panic(sqlerr.New("42P20", `cannot copy window "%s" because it has a frame clause`, base).At(w.Offset()))
		}
		m := *w
		m.Base, m.PartitionBy = "", d.PartitionBy
		if len(m.OrderBy) == 0 {
			m.OrderBy = d.OrderBy
		}
		return &m
	}
	panic(sqlerr.New(sqlerr.UndefinedObject, `window "%s" does not exist`, base).At(w.Offset()))
}

func (c *exprCtx) frame(f *ast.Frame, w *winBind, inner *exprCtx) *plan.Frame {
	if f == nil {
		return nil
	}
	if f.Exclude != ast.ExcludeNone {
		panic(unsupported(f.Offset(), "EXCLUDE in a frame"))
	}
	if f.Mode == "groups" && len(w.order) == 0 {
		panic(sqlerr.New("42P20", "GROUPS mode requires an ORDER BY clause").At(f.Offset()))
	}
	out := &plan.Frame{Unit: string(f.Mode)}
	bound := func(k ast.FrameBound, end bool) *int64 {
		zero := int64(0)
		switch k.Kind {
		case ast.UnboundedPreceding:
			if end {
				panic(sqlerr.New("42P20", "frame end cannot be UNBOUNDED PRECEDING").At(f.Offset()))
			}
			return nil
		case ast.UnboundedFollowing:
			if !end {
				panic(sqlerr.New("42P20", "frame start cannot be UNBOUNDED FOLLOWING").At(f.Offset()))
			}
			return nil
		case ast.CurrentRow:
			return &zero
		}
		v := c.frameOffset(f, k, w, inner)
		if k.Kind == ast.Preceding {
			v = -v
		}
		return &v
	}
	out.Start, out.End = bound(f.Start, false), bound(f.End, true)
	return out
}

// frameOffset is the distance of n PRECEDING: rows, or with RANGE the value (µs
// for times).
func (c *exprCtx) frameOffset(f *ast.Frame, k ast.FrameBound, w *winBind, inner *exprCtx) int64 {
	b, pos := c.b, k.Offset.Offset()
	x := inner.bind(k.Offset)
	if f.Mode == "range" {
		if len(w.order) != 1 {
			panic(sqlerr.New("42P20", "RANGE with offset PRECEDING/FOLLOWING requires exactly one ORDER BY column").At(f.Offset()))
		}
		switch t := w.order[0].x.Type; t.ID {
		case types.Int2, types.Int4, types.Int8:
		case types.Timestamp, types.Timestamptz:
			return b.duration(x, pos)
		default:
			panic(unsupported(f.Offset(), "RANGE with offset PRECEDING/FOLLOWING over %s", t))
		}
	}
	x = b.fold(b.cast(x, types.Of(types.Int8), expr.Implicit, pos))
	if !isConst(x) || x.Value.Null {
		panic(unsupported(pos, "a frame offset that is not a constant"))
	}
	if x.Value.I < 0 {
		panic(sqlerr.New("22013", "frame offset must not be negative").At(pos))
	}
	return x.Value.I
}

// duration is a constant interval without months, in µs.
func (b *binder) duration(x *expr.Expr, pos int) int64 {
	x = b.fold(b.cast(x, types.Of(types.Interval), expr.Implicit, pos))
	if !isConst(x) || x.Value.Null {
		panic(unsupported(pos, "an interval that is not a constant"))
	}
	us, days, months := types.IntervalParts(x.Value.S)
	if months != 0 {
		panic(unsupported(pos, "an interval of months, whose length varies,").
			WithHint("Use days or a smaller unit."))
	}
	const day = 86_400_000_000
	if d := int64(days); d > 1<<62/day || d < -(1<<62/day) {
		panic(sqlerr.New(sqlerr.DatetimeOverflow, "interval out of range").At(pos))
	}
	return us + int64(days)*day
}
