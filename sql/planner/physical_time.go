package planner

import (
	"slices"

	"github.com/streamsql/streamsql/sql/expr"
	"github.com/streamsql/streamsql/sql/plan"
	"github.com/streamsql/streamsql/sql/types"
)

// timeCol is a column of an operator's output that obeys the watermark: what
// changes later is not below it there.
type timeCol struct {
	id  int
	end bool  // the end of a window
	lag int64 // the column is below the watermark by this at most; 0: a time as it stands
	// clock says that the column obeys the clock, whatever the watermark is; stamp
	// that it is proctime().
	clock, stamp bool
	win          int // the number of the window that it bounds; 0: none
	// pair is one more than the column of a join's other side that is equal to this
	// one, or NULL where a row has no partner; 0: none.
	pair int
}

// plain tells whether the node's own watermark is the column's.
func (t *timeCol) plain() bool { return t.lag == 0 && !t.clock }

// timesOf are the columns of p that carry its watermark, the chosen one first.
func timesOf(p *phys) []timeCol {
	if p.times == nil && p.n.Time != 0 {
		return []timeCol{{id: p.out[p.n.TimeCol()], end: p.n.TimeEnd}}
	}
	return p.times
}

// timed gives p the first plain one of ts that it has.
func timed(p *phys, ts []timeCol) {
	p.times, p.n.Time, p.n.TimeEnd = nil, 0, false
	for _, t := range ts {
		i := slices.Index(p.out, t.id)
		if i < 0 {
			continue
		}
		p.times = append(p.times, t)
		if p.n.Time == 0 && t.plain() {
			p.n.Time, p.n.TimeEnd = i+1, t.end
		}
	}
}

// timedMap is timed for a Map, which can move the watermark to another column:
// to one that obeys the clock, or to a window's start, whose watermark lags.
func timedMap(p *phys, ts []timeCol) {
	if timed(p, ts); p.n.Time != 0 || len(p.times) == 0 {
		return
	}
	chosen := p.times[0]
	for _, t := range p.times {
		if t.clock {
			chosen = t
			break
		}
	}
	timed(p, movedTo(p, chosen, p.times))
}

// movedTo makes the Map p follow the watermark of t, one of ts, and returns what
// ts are then.
func movedTo(p *phys, t timeCol, ts []timeCol) []timeCol {
	p.n.Clock, p.n.Lag = t.clock, t.lag
	chosen := t
	chosen.clock, chosen.lag = false, 0
	out := []timeCol{chosen}
	for _, o := range ts {
		switch {
		case o.id == t.id:
		case t.clock && o.clock:
			o.clock = false
			out = append(out, o)
		case !t.clock && o.clock:
			out = append(out, o)
		case !t.clock && o.lag <= t.lag:
			o.lag = 0
			out = append(out, o)
		}
	}
	return out
}

// retimed is in with t, one of its times, as the one that it is known by.
func (y *physical) retimed(in *phys, t timeCol) *phys {
	if i := slices.Index(in.out, t.id); t.plain() && in.n.TimeCol() == i {
		return in
	}
	p := y.node(plan.Map, in.out, in)
	y.passOn(p, in)
	ts := timesOf(in)
	if t.plain() {
		ts = append([]timeCol{t}, slices.DeleteFunc(slices.Clone(ts), func(o timeCol) bool { return o.id == t.id })...)
	} else {
		ts = movedTo(p, t, ts)
	}
	timed(p, ts)
	return p
}

// keyTime is in with its time among keys, where that can be had: groups end with it.
func (y *physical) keyTime(in *phys, keys []int) *phys {
	ts := timesOf(in)
	if !y.b.view {
		return in
	}
	if t := in.n.TimeCol(); t >= 0 && slices.Contains(keys, in.out[t]) {
		return in
	}
	for _, of := range []func(timeCol) bool{
		func(t timeCol) bool { return t.plain() },
		func(t timeCol) bool { return t.clock },
		func(t timeCol) bool { return true },
	} {
		for _, t := range ts {
			if of(t) && slices.Contains(keys, t.id) {
				return y.retimed(in, t)
			}
		}
	}
	return in
}

// keyedTime gives p, whose operator works by keys of in, the time of in if it is
// a key. Whatever else bounds the same window obeys the watermark with it.
func keyedTime(p, in *phys, keys []int) {
	t := in.n.TimeCol()
	if t < 0 || !slices.Contains(keys, in.out[t]) {
		timed(p, nil)
		return
	}
	var wins set
	for _, t := range timesOf(in) {
		if t.win > 0 && t.plain() && slices.Contains(keys, t.id) {
			wins.add(t.win)
		}
	}
	var ts []timeCol
	for _, o := range timesOf(in) {
		if slices.Contains(keys, o.id) || o.win > 0 && wins.has(o.win) {
			ts = append(ts, o)
		}
	}
	timed(p, first(ts, in.out[t]))
}

// first brings the time of column id to the front.
func first(ts []timeCol, id int) []timeCol {
	i := slices.IndexFunc(ts, func(t timeCol) bool { return t.id == id })
	if i <= 0 {
		return ts
	}
	out := append([]timeCol{ts[i]}, ts[:i]...)
	return append(out, ts[i+1:]...)
}

// mappedTimes are the times of a projection of in.
func mappedTimes(in *phys, ids []int, xs []*expr.Expr) []timeCol {
	var out []timeCol
	for _, t := range first(timesOf(in), timeID(in)) {
		at := slices.Index(in.out, t.id)
		for i, x := range xs {
			if isCol(x, at) {
				o := t
				o.id = ids[i]
				out = append(out, o)
			}
		}
		if t.pair == 0 {
			continue
		}
		other := slices.Index(in.out, t.pair-1)
		for i, x := range xs {
			if x.Kind == expr.Coal && len(x.Args) == 2 && (isCol(x.Args[0], at) && isCol(x.Args[1], other) || isCol(x.Args[0], other) && isCol(x.Args[1], at)) {
				whole := t
				whole.id, whole.pair = ids[i], 0
				out = append([]timeCol{whole}, out...)
			}
		}
	}
	for i := range out { // both sides of a pair stay, or neither is one
		if p := out[i].pair; p > 0 {
			out[i].pair = 0
			for j, x := range xs {
				if isCol(x, slices.Index(in.out, p-1)) {
					out[i].pair = ids[j] + 1
				}
			}
		}
	}
	for i, x := range xs {
		if isStamp(x) {
			out = append(out, timeCol{id: ids[i], clock: true, stamp: true})
		}
	}
	return out
}

func timeID(p *phys) int {
	if t := p.n.TimeCol(); t >= 0 {
		return p.out[t]
	}
	return -1
}

func isTime(t types.Type) bool { return t.ID == types.Timestamp || t.ID == types.Timestamptz }

// isStamp tells whether x is proctime().
func isStamp(x *expr.Expr) bool {
	return x != nil && x.Kind == expr.Call && fnName(x.Fn) == "proctime"
}

// scanTimes are the times of a relation.
func (y *physical) scanTimes(p *phys, r *rel) {
	o := r.obj
	at := func(a int) int {
		if i := slices.Index(r.attrs, a); a >= 0 && i >= 0 {
			return r.out[i]
		}
		return -1
	}
	var ts []timeCol
	main, end := o.Time-1, o.TimeEnd
	if o.Watermark != nil {
		main, end = o.Watermark.Col, false
	}
	clocked := o.Plan != nil && followsClock(o.Plan)
	if main >= 0 {
		t := timeCol{id: at(main), end: end, stamp: clocked}
		if o.Plan != nil {
			for _, w := range o.Plan.Windows {
				if main != w.End && main != w.Time && main != w.Start {
					continue
				}
				t.win = y.newWindow()
				if main == w.Start { // the watermark lags behind the window's end
					ts = append(ts, timeCol{id: at(w.End), end: true, win: t.win, stamp: clocked}, timeCol{id: at(w.Time), win: t.win, stamp: clocked})
					break
				}
				ts = append(ts, timeCol{id: at(w.End), end: true, win: t.win, stamp: clocked}, timeCol{id: at(w.Time), win: t.win, stamp: clocked})
				if w.Size > 0 {
					ts = append(ts, timeCol{id: at(w.Start), lag: w.Size, win: t.win, stamp: clocked})
				}
				break
			}
		}
		ts = append([]timeCol{t}, slices.DeleteFunc(ts, func(o timeCol) bool { return o.id < 0 || o.id == t.id })...)
		if t.id < 0 {
			ts = ts[1:]
		}
	}
	for i := range o.Columns {
		if isStamp(o.Columns[i].Generated) {
			if id := at(i); id >= 0 {
				ts = append(ts, timeCol{id: id, clock: true, stamp: true})
			}
		}
	}
	if timed(p, ts); p.n.Time != 0 {
		p.n.Clock = clocked
		return
	}
	for _, t := range ts {
		if t.clock {
			timed(p, movedTo(p, t, ts))
			return
		}
	}
}

// followsClock tells whether the watermark of n is the clock.
func followsClock(n *plan.Node) bool {
	if n.Clock {
		return true
	}
	for _, in := range n.Inputs {
		if in.Time != 0 && followsClock(in) {
			return true
		}
	}
	return false
}

// newWindow numbers a window, for timeCol.
func (y *physical) newWindow() int {
	y.wins++
	return y.wins
}

// windowTimes gives a window its times: the bounds obey the watermark of the
// column that the rows are assigned by.
func (y *physical) windowTimes(p, in *phys, made []int, t *timeCol) {
	w := p.n.Window
	if t == nil {
		if timed(p, nil); w.Kind != "session" { // whose rows come again when it grows
			timed(p, timesOf(in))
		}
		return
	}
	n := y.newWindow()
	w.Proc = t.stamp
	ts := []timeCol{{id: made[1], end: true, win: n, stamp: t.stamp}, {id: made[2], win: n, stamp: t.stamp}}
	if w.Kind != "session" {
		ts = append(ts, timeCol{id: made[0], lag: w.Size, win: n, stamp: t.stamp})
	}
	for _, o := range timesOf(in) {
		if w.Kind == "session" {
			break // a row comes again when its session grows
		}
		ts = append(ts, o)
	}
	timed(p, ts)
}

// orderTime gives window functions that only look back in the order of time the
// time of in: a row that comes changes the rows at its time and behind it alone.
// They are those that judge late rows themselves, see exec; others would take a
// late row into the answers of rows that are not.
func orderTime(p, in *phys) {
	t := in.n.TimeCol()
	if t < 0 || !in.n.Settles() || len(p.n.Order) == 0 {
		return
	}
	if o := p.n.Order[0]; o.Col != t || o.Desc || o.NullsFirst {
		return
	}
	for i := range p.n.Aggs {
		a := &p.n.Aggs[i]
		growing := a.Frame == nil || a.Frame.Start == nil
		if f := a.Frame; f != nil && (f.End == nil || *f.End > 0 || f.Start == nil && *f.End < 0) {
			return
		}
		switch fnName(a.Fn) {
		case "row_number", "rank", "dense_rank", "count", "sum", "avg", "first_value", "last_value":
		case "lag", "lead", "ntile", "percent_rank", "cume_dist", "nth_value":
			if a.Fn != "lag" || len(a.Args) > 1 {
				return
			}
		default:
			if growing {
				return
			}
		}
	}
	timed(p, []timeCol{{id: in.out[t], end: in.n.TimeEnd}})
}

// sameTime gives a node over inputs of the same columns their common times.
func (y *physical) sameTime(p *phys, ins []*phys) {
	var ts []timeCol
	for i, in := range ins {
		var mine []timeCol
		for _, t := range first(timesOf(in), timeID(in)) {
			if at := slices.Index(in.out, t.id); at >= 0 && t.plain() {
				mine = append(mine, timeCol{id: p.out[at], end: t.end, stamp: t.stamp})
			}
		}
		if i == 0 {
			ts = mine
			continue
		}
		ts = slices.DeleteFunc(ts, func(t timeCol) bool { return !slices.Contains(mine, t) })
	}
	if timed(p, ts); p.n.Time == 0 {
		return
	}
	// All inputs are known by that column.
	for i, in := range ins {
		id := in.out[p.n.TimeCol()]
		for _, t := range timesOf(in) {
			if t.id == id && t.plain() {
				ins[i] = y.retimed(in, t)
				p.n.Inputs[i] = ins[i].n
				break
			}
		}
	}
}
