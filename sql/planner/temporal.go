package planner

import (
	"math"
	"slices"
	"strings"

	"github.com/streamsql/streamsql/sql/expr"
	"github.com/streamsql/streamsql/sql/plan"
	"github.com/streamsql/streamsql/sql/sqlerr"
	"github.com/streamsql/streamsql/sql/types"
)

// Temporal filters: conditions of a materialized view that compare the clock with
// something of the row. The operator evaluates them whenever they may change. When
// that is, is found by solving each comparison for now(): a function of the clock
// made of now(), intervals, date_trunc and casts is undone from the outside.

// namesClock tells whether x calls a function that shows the time of the
// statement.
func namesClock(x *expr.Expr) bool { return clockCall(x) != nil }

// clockCall returns the first such call in x.
func clockCall(x *expr.Expr) *expr.Expr {
	var found *expr.Expr
	expr.Walk(x, func(n *expr.Expr) bool {
		if found == nil && n.Kind == expr.Call && clockFunctions[fnName(n.Fn)] {
			found = n
		}
		return found == nil
	})
	return found
}

// temporal tells whether x is a condition of the clock, which is kept above what
// would have to be computed anew for it.
func (b *binder) temporal(x *expr.Expr) bool { return b.view && namesClock(x) }

// errClock refuses a call of the clock.
func (b *binder) errClock(x *expr.Expr) *sqlerr.Error {
	call := clockCall(x)
	name := fnName(call.Fn)
	if !strings.HasPrefix(name, "current_") && !strings.HasPrefix(name, "local") {
		name += "()"
	}
	return sqlerr.New(sqlerr.FeatureNotSupported, "%s in a materialized view is only supported in conditions that compare it with a row", name).At(call.Pos).
		WithHint("Its answer would change all the time. Write ts > now() - INTERVAL '1 hour' in WHERE or HAVING, or use now() where the view is read.")
}

// checkClock refuses the clock wherever it is not in a temporal filter.
func (b *binder) checkClock(root *plan.Node) {
	root.Visit(func(n *plan.Node) {
		xs := append([]*expr.Expr{n.Residual}, n.Lookup...)
		if n.Op != plan.Temporal {
			xs = append(append(xs, n.Filter), n.Exprs...)
		}
		for _, row := range n.Cells {
			xs = append(xs, row...)
		}
		for _, x := range xs {
			if x != nil && namesClock(x) {
				panic(b.errClock(x))
			}
		}
	})
}

// temporals splits the conditions of the clock off.
func (b *binder) temporals(conds []*expr.Expr) (clock, rest []*expr.Expr) {
	for _, c := range conds {
		if b.temporal(c) {
			clock = append(clock, c)
		} else {
			rest = append(rest, c)
		}
	}
	return clock, rest
}

// timed tells whether a join ties the times of side, columns of one of ins, to those
// of another, and both have watermarks: then it drops what they have passed, which
// it could not behind a temporal filter.
func (b *binder) timed(conds []*expr.Expr, side set, ins ...*rel) bool {
	marked := set{}
	for _, in := range ins {
		if b.marked(in) {
			marked.addAll(in.out)
		}
	}
	return slices.ContainsFunc(conds, func(c *expr.Expr) bool {
		if c.Kind != expr.Call || len(c.Args) != 2 || mirrored[fnName(c.Fn)] == "" || !isMoment(c.Args[0].Type.ID) && c.Args[0].Type.ID != types.Interval || b.temporal(c) {
			return false
		}
		mine, others := refs(c).and(side), refs(c)
		for _, i := range mine.list() {
			others.del(i)
		}
		return mine.meets(marked) && others.meets(marked)
	})
}

// marked tells whether r reads something that has a watermark.
func (b *binder) marked(r *rel) bool {
	if r.op == opScan {
		return r.obj.Watermark != nil || r.obj.Time != 0
	}
	return slices.ContainsFunc(r.in, b.marked)
}

// temporal puts the filter f, over positions, above in.
func (y *physical) temporal(in *phys, f *expr.Expr) *phys {
	if expr.VolatilityOf(y.b.env, f) == expr.Volatile {
		panic(unsupported(f.Pos, "a volatile function in a condition with %s", fnName(clockCall(f).Fn)))
	}
	p := y.node(plan.Temporal, in.out, in)
	p.parts, p.single = in.parts, in.single
	s := &solver{b: y.b, grows: true}
	s.condition(f)
	p.n.Filter, p.n.Exprs = f, s.when
	// The output has no watermark: rows come late on purpose, and go again.
	p.n.AppendOnly = in.n.AppendOnly && s.grows
	return p
}

// solver finds when a condition may change.
type solver struct {
	b     *binder
	when  []*expr.Expr
	grows bool // it only ever becomes true
}

// condition solves all comparisons with the clock in f.
func (s *solver) condition(f *expr.Expr) {
	if !namesClock(f) {
		return
	}
	switch f.Kind {
	case expr.And:
		for _, a := range f.Args {
			s.condition(a)
		}
		return
	case expr.Or:
		for _, a := range f.Args {
			s.condition(a)
		}
		return
	case expr.Not, expr.Null, expr.Case, expr.Coal:
		s.grows = false
		for _, a := range f.Args {
			s.condition(a)
		}
		return
	case expr.Call:
		if len(f.Args) == 2 && s.compare(f) {
			return
		}
		if !slices.ContainsFunc(f.Args, func(a *expr.Expr) bool { return a.Type.ID != types.Bool }) { // IS TRUE
			s.grows = false
			for _, a := range f.Args {
				s.condition(a)
			}
			return
		}
	}
	panic(s.b.errClock(f))
}

var mirrored = map[string]string{"<": ">", ">": "<", "<=": ">=", ">=": "<=", "=": "=", "<>": "<>", isDistinctFrom: isDistinctFrom}

// compare solves a comparison.
func (s *solver) compare(f *expr.Expr) bool {
	op := fnName(f.Fn)
	l, r := f.Args[0], f.Args[1]
	if mirrored[op] == "" {
		return false
	}
	if !namesClock(l) {
		l, r, op = r, l, mirrored[op]
	}
	if namesClock(r) {
		return false
	}
	l, r, op, ok := s.difference(l, r, op)
	if !ok || !isMoment(r.Type.ID) {
		return false
	}
	r = s.timestamptz(r)
	// l reaches r: it is not below r from then on; it passes r: it is not below
	// what follows r.
	reach, pass := true, true
	switch op {
	case "<", ">=":
		pass = false
	case "<=", ">":
		reach = false
	}
	s.grows = s.grows && (op == ">" || op == ">=")
	if reach && !s.undo(l, r) {
		return false
	}
	return !pass || s.undo(l, s.shift(r, 1))
}

// difference brings now() - ts < interval to now() < ts + interval.
func (s *solver) difference(l, r *expr.Expr, op string) (*expr.Expr, *expr.Expr, string, bool) {
	if l.Type.ID != types.Interval {
		return l, r, op, true
	}
	if l.Kind != expr.Call || fnName(l.Fn) != "-" || len(l.Args) != 2 || !isMoment(l.Args[0].Type.ID) || !isMoment(l.Args[1].Type.ID) {
		return l, r, op, false
	}
	r = s.b.fold(r)
	if !isConst(r) || r.Value.Null || r.Type.ID != types.Interval {
		return l, r, op, false
	}
	us, ok := span(r.Value.S)
	x, z := l.Args[0], l.Args[1]
	switch {
	case !ok || namesClock(x) == namesClock(z):
		return l, r, op, false
	case namesClock(x): // x - z op r
		return x, s.shift(s.timestamptz(z), us), op, true
	}
	return z, s.shift(s.timestamptz(x), -us), mirrored[op], true // x - z op r
}

// span is the length by which intervals compare.
func span(iv []byte) (int64, bool) {
	us, days, months := types.IntervalParts(iv)
	d := float64(us) + (float64(days)+30*float64(months))*86_400e6
	if math.Abs(d) > 9e18 {
		return 0, false
	}
	return us + (int64(days)+30*int64(months))*86_400_000_000, true
}

func isMoment(t types.ID) bool {
	return t == types.Timestamptz || t == types.Timestamp || t == types.Date
}

func (s *solver) timestamptz(x *expr.Expr) *expr.Expr {
	if x.Type.ID == types.Timestamptz {
		return x
	}
	return s.b.cast(x, types.Of(types.Timestamptz), expr.Explicit, x.Pos)
}

func (s *solver) shift(x *expr.Expr, us int64) *expr.Expr {
	if us == 0 {
		return x
	}
	return s.b.mustCall("clock_shift", x, s.b.int8(us))
}

// undo notes when f, a function of the clock, reaches to; false: nobody knows.
func (s *solver) undo(f, to *expr.Expr) bool {
	months := false // the last step undone were months: what follows has to be whole months
	for {
		switch {
		case f.Kind == expr.Cast && isMoment(f.Type.ID) && isMoment(f.Args[0].Type.ID):
			if f.Type.ID == types.Date && f.Args[0].Type.ID != types.Date {
				if months {
					return false
				}
				to = s.ceil(to, "day")
			}
			f = f.Args[0]
			continue
		case f.Kind != expr.Call:
			return false
		}
		switch name := fnName(f.Fn); {
		case len(f.Args) == 0 && !months:
			switch name {
			case "current_date":
				to = s.ceil(to, "day")
			case "now", "current_timestamp", "transaction_timestamp", "statement_timestamp", "localtimestamp":
			default:
				return false
			}
			s.when = append(s.when, to)
			return true
		case name == "timezone" && len(f.Args) == 2 && !months && f.Type.ID == types.Timestamp:
			zone := s.b.fold(f.Args[0])
			if !isConst(zone) || zone.Value.Null || zone.Type.Phys() != types.PhysBytes || zone.Type.ID == types.Interval || !plainNow(f.Args[1]) {
				return false
			}
			s.when = append(s.when, s.b.mustCall("clock_zone", to, constant(types.Text, zone.Value)))
			return true
		case name == "date_trunc" && len(f.Args) == 2:
			unit := s.b.fold(f.Args[0])
			if !isConst(unit) || unit.Value.Null {
				return false
			}
			if whole, ok := expr.TruncUnit(string(unit.Value.S)); !ok || months && !whole {
				return false
			}
			months = false
			to = s.ceil(to, string(unit.Value.S))
			f = f.Args[1]
		case (name == "+" || name == "-") && len(f.Args) == 2 && !months:
			x, by := f.Args[0], f.Args[1]
			if name == "+" && namesClock(by) {
				x, by = by, x
			}
			if namesClock(by) || !isMoment(x.Type.ID) {
				return false
			}
			var ok bool
			if x, to, months, ok = s.undoSum(x, by, name, to); !ok {
				return false
			}
			if x == nil {
				s.when = append(s.when, to)
				return true
			}
			f = x
		default:
			return false
		}
	}
}

// undoSum undoes x + by or x - by. What is left is x, nil: nothing; months: to is
// by whole months away from when x reaches it.
func (s *solver) undoSum(x, by *expr.Expr, op string, to *expr.Expr) (*expr.Expr, *expr.Expr, bool, bool) {
	by = s.b.fold(by)
	if integer(by.Type.ID) || by.Kind == expr.Cast && integer(by.Args[0].Type.ID) { // days
		if !isConst(by) || by.Value.Null {
			return nil, nil, false, false
		}
		days := by.Value.I
		if op == "+" {
			days = -days
		}
		if days > 1e7 || days < -1e7 {
			return nil, nil, false, false
		}
		return x, s.shift(to, days*86_400_000_000), false, true
	}
	if by.Type.ID != types.Interval {
		return nil, nil, false, false
	}
	if op == "-" {
		by = s.b.fold(s.b.mustCall("-", by))
	}
	if dayOfNow(x) {
		return nil, s.ceil(s.b.mustCall("clock_undo", to, by), "day"), false, true
	}
	if isConst(by) && !by.Value.Null {
		us, days, months := types.IntervalParts(by.Value.S)
		if back := -(us + int64(days)*86_400_000_000); us < 1e17 && us > -1e17 && days < 1_000_000 && days > -1_000_000 {
			switch {
			case months == 0:
				return x, s.shift(to, back), false, true
			case !plainNow(x): // over date_trunc('month', …)
				iv := constant(types.Interval, types.Datum{S: types.IntervalOf(0, 0, months)})
				return x, s.monthsBack(s.shift(to, back), iv), true, true
			}
		}
	}
	if !plainNow(x) {
		return nil, nil, false, false
	}
	return nil, s.b.mustCall("clock_undo", to, by), false, true
}

// monthsBack is to - iv, of months: now() may cross it on some days behind, but the
// first of a month only once.
func (s *solver) monthsBack(to, iv *expr.Expr) *expr.Expr {
	return s.b.mustCall("clock_months", to, iv)
}

// plainNow tells whether x is the clock itself.
func plainNow(x *expr.Expr) bool {
	for x.Kind == expr.Cast && (x.Type.ID == types.Timestamp || x.Type.ID == types.Timestamptz) && x.Args[0].Type.ID != types.Date {
		x = x.Args[0]
	}
	return x.Kind == expr.Call && len(x.Args) == 0 && fnName(x.Fn) != "current_date"
}

// dayOfNow tells whether x is the beginning of the current day.
func dayOfNow(x *expr.Expr) bool {
	for x.Kind == expr.Cast && isMoment(x.Type.ID) && x.Args[0].Type.ID == types.Date {
		x = x.Args[0]
	}
	switch {
	case x.Kind == expr.Cast && x.Type.ID == types.Date:
		return plainNow(x.Args[0])
	case x.Kind != expr.Call:
		return false
	case len(x.Args) == 0:
		return fnName(x.Fn) == "current_date"
	}
	return fnName(x.Fn) == "date_trunc" && len(x.Args) == 2 && isConst(x.Args[0]) && string(x.Args[0].Value.S) == "day" && plainNow(x.Args[1])
}

func (s *solver) ceil(to *expr.Expr, unit string) *expr.Expr {
	return s.b.mustCall("clock_ceil", to, constant(types.Text, types.Datum{S: []byte(unit)}))
}
