package planner

import (
	"slices"

	"github.com/streamsql/streamsql/sql/ast"
	"github.com/streamsql/streamsql/sql/catalog"
	"github.com/streamsql/streamsql/sql/expr"
	"github.com/streamsql/streamsql/sql/plan"
	"github.com/streamsql/streamsql/sql/sqlerr"
)

// checkEmit allows EMIT at the end of the statement's own query alone. An ad-hoc
// query is over the rows that there are: there it says nothing.
func (b *binder) checkEmit(q *ast.Query) {
	if q.Emit == ast.EmitDefault || q.Emit == ast.EmitImmediately || q == b.emitter {
		return
	}
	e := sqlerr.New(sqlerr.FeatureNotSupported, "EMIT in a subquery is not supported")
	if b.plain {
		e = sqlerr.New(sqlerr.FeatureNotSupported, "EMIT of a query that is not maintained is not supported")
	}
	panic(e.At(int(q.EmitPos)).WithHint("Write EMIT at the end of the query of a materialized view or a sink."))
}

// emitted makes the root of a view speak when its query says.
func (y *physical) emitted(root *phys, q *ast.Query) *phys {
	switch q.Emit {
	case ast.EmitOnWindowClose:
		return y.onClose(root, q)
	case ast.EmitEvery:
		p := y.node(plan.Every, root.out, root)
		y.passOn(p, root)
		p.n.Interval = y.b.emitInterval(q)
		return p
	}
	return root
}

// emitInterval is the interval of EMIT EVERY, in µs.
func (b *binder) emitInterval(q *ast.Query) int64 {
	c := &exprCtx{b: b, sc: &scope{}, clause: "EMIT EVERY", noSubs: "EMIT EVERY"}
	us := b.duration(c.bind(q.Interval), q.Interval.Offset())
	if us <= 0 {
		panic(sqlerr.New(sqlerr.InvalidParameter, "the interval of EMIT EVERY must be positive").At(q.Interval.Offset()))
	}
	return us
}

// onClose makes the answer final: an aggregate by windows emits each group once,
// when the watermark closes it; whatever else there is waits above for its row's
// time. What stands between that and the root passes on what is final.
func (y *physical) onClose(root *phys, q *ast.Query) *phys {
	if closes(root.n) == never {
		panic(y.neverCloses(root.n, q))
	}
	return &phys{n: closed(root.n), out: root.out, times: root.times}
}

// closing is how a node's output can be made final.
type closing int

const (
	never  closing = iota
	held           // rows are held until their time
	byAggs         // the aggregates beneath it are
)

// closes finds the best way to make the output of n final.
func closes(n *plan.Node) closing {
	own := never
	if n.Time != 0 && n.Lag == 0 && !nullable(n, n.TimeCol()) {
		own = held
	}
	switch n.Op {
	case plan.Agg:
		if own == held && n.TimeEnd {
			return byAggs
		}
	case plan.Map, plan.Exchange, plan.Union:
		least := byAggs
		for _, in := range n.Inputs {
			least = min(least, closes(in))
		}
		return max(own, least)
	}
	return own
}

// closed makes the output of n final, as closes says.
func closed(n *plan.Node) *plan.Node {
	switch n.Op {
	case plan.Agg:
		if n.TimeEnd {
			n.Final, n.AppendOnly = true, true
			return n
		}
	case plan.Map, plan.Exchange, plan.Union:
		how := closes(n)
		if how == held && n.Time != 0 && n.Lag == 0 && !nullable(n, n.TimeCol()) {
			break
		}
		for i, in := range n.Inputs {
			n.Inputs[i] = closed(in)
		}
		n.AppendOnly, n.Keep = true, false
		return n
	}
	return closeNode(n)
}

// closeNode is a Close over n. A row and what takes it back must meet, and a
// worker keep what is of its key groups.
func closeNode(n *plan.Node) *plan.Node {
	x := &plan.Node{Op: plan.Exchange, Inputs: []*plan.Node{n}, Out: n.Out, AppendOnly: n.AppendOnly, Time: n.Time, TimeEnd: n.TimeEnd}
	for i := range n.Out {
		x.Keys = append(x.Keys, i)
	}
	return &plan.Node{Op: plan.Close, Inputs: []*plan.Node{x}, Out: n.Out, AppendOnly: true, Time: n.Time, TimeEnd: n.TimeEnd}
}

// nullable tells whether column c of n is NULL where a FULL JOIN has no partner.
func nullable(n *plan.Node, c int) bool {
	switch n.Op {
	case plan.Map:
		if n.Exprs != nil {
			if n.Exprs[c].Kind != expr.Col {
				return false
			}
			c = n.Exprs[c].Index
		}
	case plan.Exchange:
	case plan.Join:
		return n.Kind == plan.Full
	default:
		return false
	}
	return nullable(n.Inputs[0], c)
}

// neverCloses says why EMIT ON WINDOW CLOSE would never emit.
func (y *physical) neverCloses(root *plan.Node, q *ast.Query) *sqlerr.Error {
	const msg = "EMIT ON WINDOW CLOSE needs the end of a window in the answer or among the keys"
	marked, clocked := "", false
	var full *plan.Node
	var window, over *plan.Node
	var marks, bare *plan.Node
	root.Visit(func(n *plan.Node) {
		switch {
		case n.Op == plan.Scan:
			o := y.b.cat.ByID(n.Relation)
			if o != nil && (o.Watermark != nil || o.Time != 0) {
				marks = n
				if o.Watermark != nil {
					marked = o.Columns[o.Watermark.Col].Name
				} else {
					marked = o.Columns[o.Time-1].Name
				}
			} else if bare == nil {
				bare = n
			}
		case n.Op == plan.Window && !n.TimeEnd:
			window = n
		case n.Op == plan.Over && n.Time == 0 && n.Inputs[0].Time != 0 && !n.Inputs[0].AppendOnly:
			over = n
		case n.Op == plan.Temporal:
			clocked = true
		case n.Op == plan.Join && n.Kind == plan.Full && n.Time != 0:
			full = n
		}
	})
	pos := int(q.EmitPos)
	if clocked {
		return sqlerr.New(windowing, msg).At(pos).
			WithDetail("Behind a condition that compares now() there is no watermark: rows come and go with the clock.")
	}
	if full != nil {
		t := full.Out[full.TimeCol()].Name
		return sqlerr.New(windowing, msg).At(pos).
			WithDetail("Where a FULL JOIN has no partner the end of the window is NULL.").
			WithHint("Take it from either side: COALESCE(a.%s, b.%s).", t, t)
	}
	if over != nil {
		return sqlerr.New(windowing, msg).At(pos).
			WithDetail("Rows that are changed or deleted change what a window function gave for others, however old.").
			WithHint("Read a source or an APPEND ONLY table, or name window_end in PARTITION BY.")
	}
	name := func(n *plan.Node) string {
		if o := y.b.cat.ByID(n.Relation); o != nil {
			return o.Name
		}
		return "?"
	}
	switch {
	case marks == nil && bare == nil:
		return sqlerr.New(windowing, "EMIT ON WINDOW CLOSE needs a watermark, but the query reads no relation that could have one").At(pos)
	case marks == nil:
		e := sqlerr.New(windowing, `EMIT ON WINDOW CLOSE needs a watermark, and "%s" has none`, name(bare)).At(pos)
		hint := "Declare one where the relation is created, such as WATERMARK FOR ts AS ts - INTERVAL '10 seconds' among its columns."
		if o := y.b.cat.ByID(bare.Relation); o != nil {
			ts := slices.IndexFunc(o.Columns, func(c catalog.Column) bool { return isTime(c.Type) })
			switch {
			case o.Plan != nil:
				hint = "A view has the watermark of a time column that it takes from a relation with one, or of window_end."
			case ts >= 0:
				hint = "Declare one where the relation is created: WATERMARK FOR " + o.Columns[ts].Name + " AS " + o.Columns[ts].Name + " - INTERVAL '10 seconds'."
			}
		}
		return e.WithHint("%s", hint)
	case window != nil:
		return sqlerr.New(windowing, msg).At(pos).
			WithDetail(`The window is over "%s", but the watermark of "%s" is that of "%s".`,
				window.Inputs[0].Out[window.Window.TimeCol].Name, name(marks), marked)
	}
	return sqlerr.New(windowing, msg).At(pos).
		WithHint("Group by window_start and window_end of TUMBLE(%s, %s, …), or keep %s in the answer.", name(marks), marked, marked)
}

// windowing is SQLSTATE windowing_error.
const windowing = "42P20"
