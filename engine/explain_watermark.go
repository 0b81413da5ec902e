package engine

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/streamsql/streamsql/sql/ast"
	"github.com/streamsql/streamsql/sql/catalog"
	"github.com/streamsql/streamsql/sql/exec"
	"github.com/streamsql/streamsql/sql/plan"
	"github.com/streamsql/streamsql/sql/sqlerr"
	"github.com/streamsql/streamsql/sql/types"
)

// runExplainWatermark answers "why is my view empty?": who holds the watermark
// back and since when, what waits in which operator, and when something comes
// next; then the path from each source and partition to the view.
func (s *Session) runExplainWatermark(ctx context.Context, a *ast.ExplainWatermark) (*Rows, error) {
	if err := s.flush(ctx); err != nil {
		return nil, err
	}
	o, err := s.eng.currentCatalog().Relation(a.Name.Parts, s.path(), a.Name.Offset())
	if err != nil {
		if o = s.eng.currentCatalog().Lookup(a.Name.Parts, s.path()); o == nil || o.Kind != catalog.Sink {
			return nil, err
		}
	}
	r, err := s.eng.timeReport(ctx, func(uint64) bool { return false })
	if err != nil {
		return nil, err
	}
	x := &timeText{r: r, cat: s.eng.currentCatalog()}
	switch j := r.job(o.ID); {
	case j != nil:
		x.view(j)
	case r.sources[o.ID] != nil:
		x.line(0, "Source %s  %s", o.Name, watermarkText(r.sources[o.ID].wm))
		x.why(x.sourceWhy(r.sources[o.ID]))
		x.source(1, r.sources[o.ID])
	case r.tables[o.ID] != nil:
		x.line(0, "Table %s  %s", o.Name, watermarkText(r.tables[o.ID].mark))
		x.why(x.tableWhy(r.tables[o.ID]))
	default:
		return nil, sqlerr.New(sqlerr.WrongObjectType, `"%s" is a %s without a watermark`, a.Name.Base(), o.Kind).At(a.Name.Offset()).
			WithHint("EXPLAIN WATERMARK is of a materialized view, a sink, a source, or a table with a watermark.")
	}
	return textRows("EXPLAIN", x.lines), nil
}

// timeText makes the text of a report.
type timeText struct {
	r     *timeReport
	cat   *catalog.Catalog
	lines []string
	seen  map[uint64]bool // jobs printed
}

func (x *timeText) line(depth int, format string, args ...any) {
	s := fmt.Sprintf(format, args...)
	if depth > 0 {
		s = strings.Repeat("  ", depth-1) + "-> " + s
	}
	x.lines = append(x.lines, s)
}

func (x *timeText) why(reasons []string) {
	for _, w := range reasons {
		x.lines = append(x.lines, "  "+w)
	}
}

func instant(us int64) string {
	return string(types.FormatText(nil, types.Of(types.Timestamptz), types.Datum{I: us}))
}

func span(us int64) string {
	return string(types.FormatText(nil, types.Of(types.Interval), types.Datum{S: types.IntervalOf(us, 0, 0)}))
}

func watermarkText(wm int64) string {
	switch wm {
	case exec.NoWatermark:
		return "no watermark yet"
	case math.MaxInt64:
		return "watermark: the end"
	}
	return "watermark " + instant(wm)
}

// view prints a job: why it shows what it shows, and its path.
func (x *timeText) view(j *jobTime) {
	x.seen = map[uint64]bool{}
	x.head(0, j)
	x.why(x.jobWhy(j))
	x.lines = append(x.lines, "Path:")
	x.path(1, j)
}

func (x *timeText) head(depth int, j *jobTime) {
	kind := "Materialized View"
	if j.kind == catalog.Sink {
		kind = "Sink"
	}
	text := fmt.Sprintf("%s %s", kind, j.name)
	if root := j.root(); root != nil && root.Plan.Time != 0 {
		text += "  " + watermarkText(j.wm)
	}
	text += ", " + string(j.state)
	if j.kind == catalog.MatView {
		text += ", " + count(j.rows, "row")
	}
	x.line(depth, "%s", text)
}

func (j *jobTime) root() *exec.OpTime {
	if len(j.ops) == 0 {
		return nil
	}
	return &j.ops[len(j.ops)-1]
}

func count(n int64, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// path prints a job's operators, the root first, and what they read.
func (x *timeText) path(depth int, j *jobTime) {
	x.seen[j.id] = true
	done := map[int]bool{}
	var walk func(depth, node int)
	walk = func(depth, node int) {
		o := j.op(node)
		if o == nil {
			return
		}
		if done[node] {
			x.line(depth, "#%d %s, as above", node, x.opName(j, o))
			return
		}
		done[node] = true
		x.line(depth, "%s", x.opText(j, o))
		if id, ok := j.inputs[node]; ok {
			x.relation(depth+1, id)
		}
		for _, in := range o.Inputs {
			walk(depth+1, in)
		}
	}
	if root := j.root(); root != nil {
		walk(depth, root.Node)
	}
}

func (x *timeText) opName(j *jobTime, o *exec.OpTime) string {
	name := o.Name
	if o.Plan.Op == plan.Scan {
		if r := x.cat.ByID(j.inputs[o.Node]); r != nil {
			name += " of " + r.Name
		}
	}
	if o.Plan.Op == plan.Map && o.Plan.Filter != nil {
		name += " with a condition"
	}
	return name
}

// timed tells whether a watermark reaches a node.
func timed(n *plan.Node) bool {
	return n.Time != 0 || slices.ContainsFunc(n.Inputs, func(in *plan.Node) bool { return in.Time != 0 })
}

// opText is an operator's line.
func (x *timeText) opText(j *jobTime, o *exec.OpTime) string {
	s := fmt.Sprintf("#%d %s  ", o.Node, x.opName(j, o))
	switch {
	case o.Plan.Clock:
		s += "follows the clock"
	case !timed(o.Plan):
		s += "without a watermark"
	case o.Plan.Time == 0 || o.In == o.Watermark || len(o.Inputs) == 0:
		wm := o.In
		if len(o.Inputs) == 0 {
			wm = o.Watermark
		}
		s += watermarkText(wm)
	default:
		s += fmt.Sprintf("%s, out %s", watermarkText(o.In), strings.TrimPrefix(watermarkText(o.Watermark), "watermark "))
	}
	if o.Plan.Op == plan.Scan && j.allowed > 0 {
		s += fmt.Sprintf(" (allowed lateness %s)", span(j.allowed))
	}
	s += fmt.Sprintf("; rows in %d, out %d", o.RowsIn, o.RowsOut)
	if n := o.Waiting; n > 0 {
		s += fmt.Sprintf(", %s open", count(n, unit(o)))
	} else if o.StateRows > 0 {
		s += fmt.Sprintf(", %s in state", count(o.StateRows, "row"))
	}
	if l := j.lateOps[o.Node]; l.Rows > 0 {
		s += fmt.Sprintf(", %d late", l.Rows)
	}
	if w := x.waits(o); w != "" {
		s += "; " + w
	}
	return s
}

// waits tells when an operator closes something next.
func (x *timeText) waits(o *exec.OpTime) string {
	if !o.Waits || o.Next == math.MaxInt64 {
		return ""
	}
	s := "the next closes at " + instant(o.Next)
	if o.In == exec.NoWatermark {
		return s + ", when there is a watermark"
	}
	if away := o.Next - o.In; away > 0 {
		s += ", " + span(away) + " away"
	}
	return s
}

// relation prints what a Scan reads.
func (x *timeText) relation(depth int, id uint64) {
	o := x.cat.ByID(id)
	if s := x.r.sources[id]; s != nil {
		x.line(depth, "Source %s  %s", s.name, x.sourceState(s))
		x.source(depth+1, s)
		return
	}
	if t := x.r.tables[id]; t != nil {
		s := fmt.Sprintf("Table %s  %s, %s", t.name, watermarkText(t.mark), count(t.rows, "row"))
		if t.moved != 0 {
			s += ", since " + instant(t.moved)
		}
		x.line(depth, "%s", s)
		return
	}
	if j := x.r.job(id); j != nil {
		if x.seen[id] {
			x.line(depth, "Materialized View %s, as above", j.name)
			return
		}
		x.head(depth, j)
		x.path(depth+1, j)
		return
	}
	if o != nil {
		x.line(depth, "%s %s  without a watermark", strings.ToUpper(string(o.Kind[:1]))+string(o.Kind[1:]), o.Name)
	}
}

func (x *timeText) sourceState(s *sourceTime) string {
	if !s.marked {
		return "without a watermark"
	}
	text := watermarkText(s.wm)
	if s.moved != 0 {
		text += ", since " + instant(s.moved)
	}
	switch {
	case s.ended:
		text += ", read to its end"
	case s.trouble != "":
		text += ", in trouble: " + s.trouble
	case !s.read:
		text += ", not read"
	case s.allIdle != 0:
		text += ", idle since " + instant(s.allIdle)
	case len(s.parts) > 1 && len(s.heldBy) > 0:
		text += ", held back by " + partNames(s.heldBy)
	}
	return text
}

func partNames(ps []int32) string {
	var names []string
	for i, p := range ps {
		if i == 5 {
			names = append(names, fmt.Sprintf("%d more", len(ps)-i))
			break
		}
		names = append(names, fmt.Sprint(p))
	}
	if len(names) == 1 {
		return "partition " + names[0]
	}
	return "partitions " + strings.Join(names, ", ")
}

// source prints a source's partitions.
func (x *timeText) source(depth int, s *sourceTime) {
	for _, p := range s.parts {
		text := fmt.Sprintf("partition %d", p.part)
		switch {
		case !s.marked:
		case p.max == exec.NoWatermark:
			text += "  no watermark: it has had no row"
		default:
			text += "  " + watermarkText(p.mark) + ", greatest time " + instant(p.max)
		}
		text += fmt.Sprintf(", next offset %d", p.next)
		if p.moved != 0 && s.marked {
			text += ", since " + instant(p.moved)
		}
		switch {
		case p.idle:
			text += ", idle since " + instant(p.quiet+s.timeout)
		case p.held:
			text += ", waits for slower ones since " + instant(p.heldSince)
		case p.quiet != 0:
			text += fmt.Sprintf(", nothing at its end since %s", instant(p.quiet))
		}
		if slices.Contains(s.heldBy, p.part) && len(s.parts) > 1 {
			text += ": holds the source back"
		}
		x.line(depth, "%s", text)
	}
}

// sourceWhy are the reasons that a source's watermark is where it is.
func (x *timeText) sourceWhy(s *sourceTime) []string {
	var out []string
	say := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	var any bool
	for _, p := range s.parts {
		any = any || p.max != exec.NoWatermark || !s.marked && p.next > 0
	}
	switch {
	case s.ended && s.marked:
		say("source %s was read to its end", s.name)
		return out
	case s.trouble != "":
		say("source %s cannot be read: %s", s.name, s.trouble)
	case !s.read && !s.ended:
		say("source %s is not read: no view or sink that runs needs it", s.name)
	case len(s.parts) == 0 && !s.ended:
		say("source %s has not told its partitions yet", s.name)
	}
	if len(s.parts) > 0 && !any {
		say("source %s has had no row yet", s.name)
	}
	if s.deadCount > 0 {
		say("source %s has %s that did not decode: %s_dead_letters", s.name, count(s.deadCount, "record"), s.name)
	}
	if !s.marked {
		say("source %s declares no WATERMARK: nothing is ever closed by its time", s.name)
		return out
	}
	if s.allIdle != 0 {
		if s.wm != exec.NoWatermark {
			say("all partitions of source %s are idle since %s: its watermark moves on by the time that passes", s.name, instant(s.allIdle))
		}
		return out
	}
	for i, n := range s.heldBy {
		if i == 3 {
			say("… and %d partitions more", len(s.heldBy)-i)
			break
		}
		p := s.part(n)
		text := ""
		switch {
		case p.max == exec.NoWatermark:
			text = fmt.Sprintf("source %s is held back by partition %d, which has had no row", s.name, n)
			if p.moved != 0 {
				text += fmt.Sprintf(" since it is read, %s", instant(p.moved))
			}
		case len(s.parts) > 1:
			text = fmt.Sprintf("source %s is held back by partition %d, whose watermark stands at %s since %s", s.name, n, instant(p.mark), instant(p.moved))
		default:
			text = fmt.Sprintf("the watermark of source %s stands at %s since %s", s.name, instant(p.mark), instant(p.moved))
		}
		if p.quiet != 0 && s.trouble == "" {
			text += fmt.Sprintf("; it is idle at %s (idle_timeout %s) if nothing comes", instant(p.quiet+s.timeout), span(s.timeout))
		}
		say("%s", text)
	}
	if s.wm != exec.NoWatermark && len(s.heldBy) > 0 {
		if p := s.part(s.heldBy[0]); p.mark < s.wm {
			say("it does not go back: it stood at %s already when that partition came", instant(s.wm))
		}
	}
	for _, p := range s.parts {
		if p.held {
			with := ""
			if s.group != "" {
				with = fmt.Sprintf(" of group '%s'", s.group)
			}
			say("partition %d of source %s waits for slower ones%s since %s (max_drift %s)", p.part, s.name, with, instant(p.heldSince), span(s.maxDrift))
		}
	}
	return out
}

func (s *sourceTime) part(n int32) *partTime {
	for i := range s.parts {
		if s.parts[i].part == n {
			return &s.parts[i]
		}
	}
	return &partTime{part: n, mark: exec.NoWatermark, max: exec.NoWatermark}
}

func (x *timeText) tableWhy(t *tableTime) []string {
	switch {
	case t.max == exec.NoWatermark && t.rows == 0:
		return []string{fmt.Sprintf("table %s has no row", t.name)}
	case t.max == exec.NoWatermark:
		return []string{fmt.Sprintf("table %s has had no row with a time", t.name)}
	case t.restFrom != 0 && t.restFrom <= x.r.now:
		return []string{fmt.Sprintf("table %s is idle since %s: its watermark moves on by the time that passes", t.name, instant(t.restFrom))}
	}
	s := fmt.Sprintf("the watermark of table %s stands at %s since %s: rows move it", t.name, instant(t.mark), instant(t.moved))
	if t.restFrom != 0 {
		s += fmt.Sprintf("; it is idle at %s if none is written", instant(t.restFrom))
	}
	return []string{s}
}

// jobWhy are the reasons that a view shows what it shows.
func (x *timeText) jobWhy(j *jobTime) []string { return x.reasons(j, map[uint64]bool{}) }

func (x *timeText) reasons(j *jobTime, seen map[uint64]bool) []string {
	if seen[j.id] {
		return nil
	}
	seen[j.id] = true
	var out []string
	say := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	kind := "view"
	if j.kind == catalog.Sink {
		kind = "sink"
	}
	switch j.state {
	case Running, Finished:
	case Failed:
		say("%s %s has FAILED: %s", kind, j.name, j.failure)
		return out
	case Backfilling:
		if j.total > 0 {
			say("%s %s still reads history: %d of %d", kind, j.name, j.done, j.total)
		} else {
			say("%s %s still reads history", kind, j.name)
		}
	default:
		say("%s %s is %s", kind, j.name, j.state)
	}
	leafNode, _ := x.r.leaf(j)
	for i := range j.ops {
		o := &j.ops[i]
		id, scan := j.inputs[o.Node]
		if !scan || seen[id] {
			continue
		}
		if s := x.r.sources[id]; s != nil {
			// What holds another source back does not matter here, unless it brings nothing.
			if o.Node == leafNode || o.RowsIn == 0 || s.trouble != "" || o.Plan.Time == 0 {
				seen[id] = true
				out = append(out, x.sourceWhy(s)...)
			}
			continue
		}
		if t := x.r.tables[id]; t != nil {
			if o.Node == leafNode || o.RowsIn == 0 {
				seen[id] = true
				out = append(out, x.tableWhy(t)...)
			}
			continue
		}
		if up := x.r.job(id); up != nil {
			out = append(out, x.reasons(up, seen)...)
		} else if rel := x.cat.ByID(id); rel != nil && o.RowsIn == 0 {
			seen[id] = true
			say("%s %s has brought no row", rel.Kind, rel.Name)
		}
	}
	for i := range j.ops {
		out = append(out, x.opWhy(j, &j.ops[i])...)
	}
	if j.late.Rows > 0 {
		s := fmt.Sprintf("%s came too late", count(j.late.Rows, "row"))
		if j.lateName != "" && j.late.Rows > j.late.Dropped {
			s += ": " + j.lateName
		}
		if j.late.Dropped > 0 {
			s += fmt.Sprintf(" (%d were not kept)", j.late.Dropped)
		}
		say("%s", s)
	}
	if len(out) == 0 {
		say("nothing holds %s %s back", kind, j.name)
	}
	return out
}

// opWhy tells what an operator keeps to itself.
func (x *timeText) opWhy(j *jobTime, o *exec.OpTime) []string {
	var out []string
	say := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	n := o.Plan
	switch {
	case n.Op == plan.Map && n.Filter != nil && o.RowsIn > 0 && o.RowsOut == 0:
		say("the condition at #%d lets none of its %s through", o.Node, count(o.RowsIn, "row"))
	case n.Op == plan.Temporal && o.RowsIn > 0 && o.RowsOut == 0:
		say("the temporal condition at #%d lets none of its %s through, as the clock stands", o.Node, count(o.RowsIn, "row"))
	case n.Op == plan.Join && o.RowsIn > 0 && o.RowsOut == 0 && n.AsOf == nil:
		say("no rows meet in the join at #%d, of %s", o.Node, count(o.RowsIn, "row"))
	case n.Op == plan.Every && o.RowsIn > 0 && o.StateRows > 0:
		say("EMIT EVERY at #%d holds %s back until the clock's next multiple of %s", o.Node, count(o.StateRows, "change"), span(n.Interval))
	case n.Final || n.Op == plan.Close:
		if o.Next == math.MaxInt64 {
			if o.RowsIn > 0 && o.RowsOut == 0 && o.StateRows == 0 && j.lateOps[o.Node].Rows == 0 {
				say("nothing waits in #%d %s", o.Node, o.Name)
			}
			break
		}
		say("%s in #%d %s for the watermark: %s", waiting(max(1, o.Waiting), o), o.Node, o.Name, x.waits(o))
	}
	return out
}

// unit is what waits in an operator.
func unit(o *exec.OpTime) string {
	switch {
	case o.Plan.Op == plan.Agg:
		return "group"
	case o.Plan.Op == plan.Window:
		return "session"
	case o.Plan.Op == plan.TopN || o.Plan.Op == plan.Over || o.Plan.Op == plan.Distinct:
		return "partition"
	}
	return "row"
}

func waiting(n int64, o *exec.OpTime) string {
	if n == 1 {
		return "1 " + unit(o) + " waits"
	}
	return fmt.Sprintf("%d %ss wait", n, unit(o))
}
