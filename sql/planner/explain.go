package planner

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/streamsql/streamsql/sql/expr"
	"github.com/streamsql/streamsql/sql/plan"
	"github.com/streamsql/streamsql/sql/types"
)

// Explain prints a plan as a tree, a line an operator: what it does, and in
// brackets the state that it keeps, the column with the watermark, and whether
// its output is append-only. An operator with several readers is shown once, with
// its number.
func Explain(root *plan.Node, name func(relation uint64) string) []string {
	var out []string
	readers := map[int]int{}
	var count func(n *plan.Node)
	count = func(n *plan.Node) {
		if readers[n.ID]++; readers[n.ID] == 1 {
			for _, in := range n.Inputs {
				count(in)
			}
		}
	}
	count(root)
	shown := map[int]bool{}
	var walk func(n *plan.Node, depth int)
	walk = func(n *plan.Node, depth int) {
		prefix := ""
		if depth > 0 {
			prefix = strings.Repeat("  ", depth-1) + "-> "
		}
		if readers[n.ID] > 1 {
			prefix += fmt.Sprintf("#%d ", n.ID)
			if shown[n.ID] {
				out = append(out, prefix+"(shown above)")
				return
			}
			shown[n.ID] = true
		}
		out = append(out, prefix+describe(n, name))
		for _, in := range n.Inputs {
			walk(in, depth+1)
		}
	}
	walk(root, 0)
	return out
}

func describe(n *plan.Node, name func(uint64) string) string {
	var b strings.Builder
	col := func(i int) string { return columnOf(n, i) }
	list := func(ids []int) string {
		s := make([]string, len(ids))
		for i, c := range ids {
			s[i] = col(c)
		}
		return strings.Join(s, ", ")
	}
	order := func(os []plan.Order) string {
		s := make([]string, len(os))
		for i, o := range os {
			s[i] = col(o.Col)
			if o.Desc {
				s[i] += " DESC"
			}
			if o.NullsFirst != o.Desc {
				s[i] += map[bool]string{true: " NULLS FIRST", false: " NULLS LAST"}[o.NullsFirst]
			}
		}
		return strings.Join(s, ", ")
	}
	aggs := func() string {
		s := make([]string, len(n.Aggs))
		for i := range n.Aggs {
			s[i] = describeAgg(&n.Aggs[i], col, order)
		}
		return strings.Join(s, ", ")
	}
	state := ""
	switch n.Op {
	case plan.Scan:
		fmt.Fprintf(&b, "Scan %s (%s)", name(n.Relation), outNames(n))
		if n.Lookup != nil {
			s := make([]string, len(n.Lookup))
			for i, x := range n.Lookup {
				s[i] = strconv.Itoa(n.Index[i]) + " = " + expr.String(x, col)
			}
			fmt.Fprintf(&b, " lookup index columns %s", strings.Join(s, ", "))
		}
	case plan.Values:
		fmt.Fprintf(&b, "Values %d rows", max(len(n.Rows), len(n.Cells)))
	case plan.Map:
		b.WriteString("Map")
		if n.Exprs != nil {
			s := make([]string, len(n.Exprs))
			for i, x := range n.Exprs {
				s[i] = expr.String(x, col)
				if x.Kind != expr.Col || col(x.Index) != n.Out[i].Name {
					s[i] += " AS " + n.Out[i].Name
				}
			}
			b.WriteString(" " + strings.Join(s, ", "))
		}
		if n.Filter != nil {
			b.WriteString(" WHERE " + expr.String(n.Filter, col))
		}
		if n.Keep {
			state = "outputs"
		}
	case plan.Join:
		b.WriteString(joinName(n))
		op := " = "
		if n.NullSafe {
			op = " IS NOT DISTINCT FROM "
		}
		for i, k := range n.LeftKey {
			sep := " ON "
			if i > 0 {
				sep = " AND "
			}
			b.WriteString(sep + n.Inputs[0].Out[k].Name + op + n.Inputs[1].Out[n.RightKey[i]].Name)
		}
		if n.AsOf != nil {
			b.WriteString(describeAsOf(n, n.AsOf))
		}
		if n.Residual != nil {
			b.WriteString(" residual " + expr.String(n.Residual, col))
		}
		state = "rows of both sides"
		if a := n.AsOf; a != nil && a.Kind == "proc" {
			state = "rows of the right side"
			if !n.Inputs[0].AppendOnly {
				state += ", outputs"
			}
		}
		if t := n.Bounds; t != nil {
			b.WriteString(describeBounds(n, t))
		}
	case plan.Agg:
		b.WriteString("Aggregate")
		if len(n.Aggs) > 0 {
			b.WriteString(" " + aggs())
		}
		if len(n.Keys) > 0 {
			b.WriteString(" BY " + list(n.Keys))
		}
		state = "groups"
		if n.Final {
			b.WriteString(" EMIT ON WINDOW CLOSE")
			state = "open groups"
		}
	case plan.Distinct:
		b.WriteString("Distinct")
		state = "rows"
	case plan.Union:
		b.WriteString("Union all")
	case plan.Except:
		b.WriteString(strings.ToUpper(n.SetOp[:1]) + n.SetOp[1:])
		if n.All {
			b.WriteString(" all")
		}
		state = "rows of both sides"
	case plan.TopN:
		b.WriteString("Top")
		if n.Limit >= 0 {
			fmt.Fprintf(&b, " %d", n.Limit)
		}
		if n.Ties {
			b.WriteString(" with ties")
		}
		if n.Offset > 0 {
			fmt.Fprintf(&b, " offset %d", n.Offset)
		}
		if len(n.Keys) > 0 {
			b.WriteString(" per " + list(n.Keys))
		}
		if len(n.Order) > 0 {
			b.WriteString(" ORDER BY " + order(n.Order))
		}
		if n.Rank != "" {
			b.WriteString(" with " + n.Rank)
		}
		state = "rows"
	case plan.Over:
		b.WriteString("Over " + aggs())
		if len(n.Keys) > 0 {
			b.WriteString(" PARTITION BY " + list(n.Keys))
		}
		if len(n.Order) > 0 {
			b.WriteString(" ORDER BY " + order(n.Order))
		}
		state = "rows"
	case plan.Window:
		w := n.Window
		kind, of, size := strings.ToUpper(w.Kind[:1])+w.Kind[1:], col(w.TimeCol), "size"
		if w.Proc {
			of = "processing time " + of
		}
		if w.Kind == "session" {
			size, state = "gap", "rows of open sessions"
		}
		fmt.Fprintf(&b, "%s of %s, %s %s", kind, of, size, duration(w.Size))
		if len(n.Keys) > 0 {
			b.WriteString(" PARTITION BY " + list(n.Keys))
		}
		if w.Slide != 0 {
			fmt.Fprintf(&b, ", slide %s", duration(w.Slide))
		}
		if w.Offset != 0 {
			fmt.Fprintf(&b, ", offset %s", duration(w.Offset))
		}
	case plan.Close:
		b.WriteString("Hold until the window closes")
		state = "rows of open windows"
	case plan.Every:
		b.WriteString("Emit every " + duration(n.Interval))
		state = "changes not yet emitted"
	case plan.Temporal:
		b.WriteString("Temporal filter WHERE " + expr.String(n.Filter, col))
		state = "rows that the clock will change"
	case plan.Exchange:
		b.WriteString("Exchange")
		if len(n.Keys) > 0 {
			b.WriteString(" by " + list(n.Keys))
		} else {
			b.WriteString(" to one worker")
		}
	case plan.Unnest:
		s := make([]string, len(n.Exprs))
		for i, x := range n.Exprs {
			s[i] = expr.String(x, col)
		}
		fn := n.SetFn
		if i := strings.IndexByte(fn, '('); i >= 0 {
			fn = fn[:i]
		}
		fmt.Fprintf(&b, "Unnest %s(%s)", fn, strings.Join(s, ", "))
		if n.Ordinality {
			b.WriteString(" with ordinality")
		}
	default:
		b.WriteString(string(n.Op))
	}
	var notes []string
	if state != "" {
		notes = append(notes, "state: "+state)
	}
	if t := n.TimeCol(); t >= 0 {
		kind := "watermark: "
		if n.TimeEnd {
			kind = "watermark, end of window: "
		}
		if n.Clock {
			kind = strings.Replace(kind, "watermark", "the clock", 1)
		}
		note := kind + n.Out[t].Name
		if n.Lag > 0 {
			note += ", " + duration(n.Lag) + " behind"
		}
		notes = append(notes, note)
	}
	if n.Settled > 0 {
		notes = append(notes, "keeps no matched rows of its "+[]string{"left", "right"}[n.Settled-1])
	}
	if n.AppendOnly {
		notes = append(notes, "append-only")
	}
	if len(notes) > 0 {
		b.WriteString("  [" + strings.Join(notes, "; ") + "]")
	}
	return b.String()
}

// describeBounds says how the times of a join's rows are bound to each other.
func describeBounds(n *plan.Node, t *plan.TimeBounds) string {
	s := " within " + n.Inputs[0].Out[t.Left].Name + " - " + n.Inputs[1].Out[t.Right].Name
	switch {
	case t.Lo == math.MinInt64:
		return s + " <= " + duration(t.Hi)
	case t.Hi == math.MaxInt64:
		return s + " >= " + duration(t.Lo)
	}
	return s + " " + duration(t.Lo) + ".." + duration(t.Hi)
}

// joinName is the kind of a join.
func joinName(n *plan.Node) string {
	name := strings.ToUpper(string(n.Kind[:1])) + string(n.Kind[1:])
	switch {
	case n.AsOf == nil:
		return name + " join"
	case n.AsOf.Kind == "proc":
		return name + " lookup join"
	case n.AsOf.Kind == "event":
		return name + " temporal join"
	}
	return name + " ASOF join"
}

// describeAsOf says which row of its right side a join takes.
func describeAsOf(n *plan.Node, a *plan.AsOf) string {
	if a.Kind == "proc" || a.LeftTime < 0 || a.RightTime < 0 {
		return " as it stands"
	}
	which, than := "last", "not after"
	if a.Next {
		which, than = "first", "not before"
	}
	if a.Strict {
		than = map[bool]string{false: "before", true: "after"}[a.Next]
	}
	return fmt.Sprintf(", the %s %s %s %s", which, n.Inputs[1].Out[a.RightTime].Name, than, n.Inputs[0].Out[a.LeftTime].Name)
}

// columnOf names column i of n's input: of a join, of both.
func columnOf(n *plan.Node, i int) string {
	for _, in := range n.Inputs {
		if i < len(in.Out) {
			return in.Out[i].Name
		}
		i -= len(in.Out)
	}
	return "?"
}

func outNames(n *plan.Node) string {
	s := make([]string, len(n.Out))
	for i, c := range n.Out {
		s[i] = c.Name
	}
	return strings.Join(s, ", ")
}

func describeAgg(a *plan.AggCall, col func(int) string, order func([]plan.Order) string) string {
	var b strings.Builder
	fn := a.Fn
	if i := strings.IndexByte(fn, '('); i >= 0 {
		fn = fn[:i]
	}
	b.WriteString(fn + "(")
	if a.Distinct {
		b.WriteString("DISTINCT ")
	}
	for i, c := range a.Args {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(col(c))
	}
	if len(a.Args) == 0 && fn == "count" {
		b.WriteString("*")
	}
	if len(a.Order) > 0 {
		b.WriteString(" ORDER BY " + order(a.Order))
	}
	b.WriteString(")")
	if a.Filter >= 0 {
		b.WriteString(" FILTER (WHERE " + col(a.Filter) + ")")
	}
	if f := a.Frame; f != nil {
		fmt.Fprintf(&b, " %s %s..%s", f.Unit, bound(f.Start), bound(f.End))
	}
	return b.String()
}

func bound(v *int64) string {
	if v == nil {
		return "unbounded"
	}
	return strconv.FormatInt(*v, 10)
}

func duration(us int64) string {
	return string(types.FormatText(nil, types.Of(types.Interval), types.Datum{S: types.IntervalOf(us, 0, 0)}))
}
