package planner

import (
	"math"
	"slices"

	"github.com/streamsql/streamsql/sql/expr"
	"github.com/streamsql/streamsql/sql/plan"
	"github.com/streamsql/streamsql/sql/types"
)

// timeRange is how far the time of the left column may be from that of the right
// one, µs.
type timeRange struct {
	left, right int
	lo, hi      int64
}

// timeTerm is a column plus something between lo and hi µs.
type timeTerm struct {
	col    int
	lo, hi int64
}

// timeBounds finds the columns of both sides whose times the conditions of a join
// bind to each other, preferring those of times, which obey watermarks. The ranges that it gives may be wider than the conditions, never narrower.
func (b *binder) timeBounds(conds []*expr.Expr, ls, rs set, times [2]map[int]timeCol) (timeRange, bool) {
	var all []timeRange
	for _, c := range conds {
		d, ok := b.timeDifference(c, ls, rs)
		if !ok {
			continue
		}
		i := slices.IndexFunc(all, func(o timeRange) bool { return o.left == d.left && o.right == d.right })
		if i < 0 {
			all = append(all, d)
			continue
		}
		all[i].lo, all[i].hi = max(all[i].lo, d.lo), min(all[i].hi, d.hi)
	}
	best, most := timeRange{}, 0
	for _, d := range all {
		score := 1
		for s, id := range []int{d.left, d.right} {
			if t, ok := times[s][id]; ok {
				score += 4
				if t.plain() {
					score += 4
				}
			}
		}
		if d.lo != math.MinInt64 && d.hi != math.MaxInt64 {
			score += 2
		}
		if d.lo <= d.hi && score > most {
			best, most = d, score
		}
	}
	return best, most > 0
}

// timeDifference reads a comparison as bounds of left time - right time.
func (b *binder) timeDifference(c *expr.Expr, ls, rs set) (timeRange, bool) {
	d := timeRange{lo: math.MinInt64, hi: math.MaxInt64}
	if c.Kind != expr.Call || len(c.Args) != 2 {
		return d, false
	}
	fn := fnName(c.Fn)
	if !slices.Contains([]string{"<", "<=", ">", ">=", "="}, fn) {
		return d, false
	}
	l, r, lo, hi, ok := b.difference(c.Args[0], c.Args[1])
	if !ok {
		return d, false
	}
	// l - r fn something between lo and hi
	if rs.has(l) && ls.has(r) {
		l, r, lo, hi = r, l, -hi, -lo
		fn = map[string]string{"<": ">", "<=": ">=", ">": "<", ">=": "<=", "=": "="}[fn]
	}
	if !ls.has(l) || !rs.has(r) {
		return d, false
	}
	d.left, d.right = l, r
	switch fn {
	case "<":
		d.hi = hi - 1
	case "<=":
		d.hi = hi
	case ">":
		d.lo = lo + 1
	case ">=":
		d.lo = lo
	case "=":
		d.lo, d.hi = lo, hi
	}
	return d, true
}

// difference reads the comparison of x and z as that of l - r with something
// between lo and hi.
func (b *binder) difference(x, z *expr.Expr) (l, r int, lo, hi int64, ok bool) {
	if s, okS := b.timeTerm(x); okS {
		if t, okT := b.timeTerm(z); okT && b.cols[s.col].typ.ID == b.cols[t.col].typ.ID {
			// l + s compared with r + t
			return s.col, t.col, t.lo - s.hi, t.hi - s.lo, true
		}
		return
	}
	// ts1 - ts2 compared with an interval, of which a month has 30 days here.
	swapped := false
	if isConst(b.fold(x)) {
		x, z, swapped = z, x, true
	}
	z = b.fold(z)
	if x.Kind != expr.Call || fnName(x.Fn) != "-" || len(x.Args) != 2 || !isConst(z) || z.Value.Null || z.Type.ID != types.Interval {
		return
	}
	s, okS := b.timeTerm(x.Args[0])
	t, okT := b.timeTerm(x.Args[1])
	us, days, months := types.IntervalParts(z.Value.S)
	if !okS || !okT || !smallInterval(us, days, months) || b.cols[s.col].typ.ID != b.cols[t.col].typ.ID {
		return
	}
	v := us + int64(days)*dayMicros + int64(months)*30*dayMicros
	// l + s - (r + t) compared with v
	if swapped {
		return t.col, s.col, -v + s.lo - t.hi, -v + s.hi - t.lo, true
	}
	return s.col, t.col, v + t.lo - s.hi, v + t.hi - s.lo, true
}

const dayMicros = 86_400_000_000

// smallInterval tells whether an interval is short enough to reckon with.
func smallInterval(us int64, days, months int32) bool {
	const most = 1 << 58
	return us < most && us > -most && days > -3_000_000 && days < 3_000_000 && months > -100_000 && months < 100_000
}

// timeTerm reads x as a timestamp column with constant intervals added to it.
// Months vary in length, and so do days in a time zone.
func (b *binder) timeTerm(x *expr.Expr) (timeTerm, bool) {
	x = withoutRelabel(x)
	if x.Kind == expr.Col {
		id := b.cols[x.Index].typ.ID
		return timeTerm{col: x.Index}, id == types.Timestamp || id == types.Timestamptz
	}
	if x.Kind != expr.Call || len(x.Args) != 2 {
		return timeTerm{}, false
	}
	fn, a, v := fnName(x.Fn), x.Args[0], x.Args[1]
	if fn == "+" && a.Type.ID == types.Interval {
		a, v = v, a
	}
	if fn != "+" && fn != "-" || v.Type.ID != types.Interval || x.Type.ID != a.Type.ID {
		return timeTerm{}, false
	}
	v = b.fold(v)
	if !isConst(v) || v.Value.Null {
		return timeTerm{}, false
	}
	t, ok := b.timeTerm(a)
	us, days, months := types.IntervalParts(v.Value.S)
	if !ok || !smallInterval(us, days, months) {
		return timeTerm{}, false
	}
	lo := us + int64(days)*dayMicros
	hi := lo
	if days != 0 && x.Type.ID == types.Timestamptz {
		lo, hi = lo-26*dayMicros/24, hi+26*dayMicros/24
	}
	if m := int64(months); m != 0 {
		lo += min(m*28, m*31)*dayMicros - 2*dayMicros
		hi += max(m*28, m*31)*dayMicros + 2*dayMicros
	}
	if fn == "-" {
		lo, hi = -hi, -lo
	}
	return timeTerm{t.col, t.lo + lo, t.hi + hi}, true
}

// shifted tells whether x and z are times but for an interval added to one, and
// one of them is the time of its relation, lt or rt.
func (b *binder) shifted(x, z *expr.Expr, lt, rt int) bool {
	s, okS := b.timeTerm(x)
	t, okT := b.timeTerm(z)
	if !okS || !okT || withoutRelabel(x).Kind == expr.Col && withoutRelabel(z).Kind == expr.Col {
		return false
	}
	return s.col == lt || t.col == rt
}

// boundTimes finds how the conditions of a join of l and r bind times that obey
// watermarks, and makes them those by which l and r are known. ok tells whether
// there is such a pair, or another that is all that narrows the join.
func (y *physical) boundTimes(l, r *phys, keyed bool, residual []*expr.Expr) (*phys, *phys, timeRange, bool) {
	if len(residual) == 0 {
		return l, r, timeRange{}, false
	}
	sides := [2]*phys{l, r}
	times := [2]map[int]timeCol{{}, {}}
	for s, in := range sides {
		for _, t := range timesOf(in) {
			if _, have := times[s][t.id]; !have && y.b.view || t.id == timeID(in) {
				times[s][t.id] = t
			}
		}
	}
	d, ok := y.b.timeBounds(residual, setOf(l.out), setOf(r.out), times)
	if !ok {
		return l, r, d, false
	}
	any := false
	for s, id := range []int{d.left, d.right} {
		if t, has := times[s][id]; has {
			any = true
			sides[s] = y.retimed(sides[s], t)
		}
	}
	return sides[0], sides[1], d, any || !keyed
}

// intervalJoin makes p, a join of l and r, one whose condition binds times.
func (y *physical) intervalJoin(p, l, r *phys, d timeRange) {
	n := p.n
	n.Bounds = &plan.TimeBounds{Left: y.positions([]int{d.left}, l.out)[0], Right: y.positions([]int{d.right}, r.out)[0], Lo: d.lo, Hi: d.hi}
	if timeID(l) != d.left || timeID(r) != d.right {
		return
	}
	// Either time carries a watermark: see exec. A row that waits for a partner at
	// any later time has none.
	var ts []timeCol
	lt, rt := timeCol{id: d.left}, timeCol{id: d.right}
	left := d.lo != math.MinInt64 && n.Kind != plan.Right && n.Kind != plan.Full
	right := d.hi != math.MaxInt64 && (n.Kind == plan.Inner || n.Kind == plan.Right)
	// The other time of a pair is within the bounds of that.
	switch {
	case right && (!left || y.wanted[rt.id] > y.wanted[lt.id]):
		ts = append(ts, rt)
		if left {
			lt.lag = max(0, -d.lo)
			ts = append(ts, lt)
		}
	case left:
		ts = append(ts, lt)
		if right {
			rt.lag = max(0, d.hi)
			ts = append(ts, rt)
		}
	}
	timed(p, ts)
}

// want remembers that the watermark of column id is of use above: more to the
// degree that it is.
func (y *physical) want(id, degree int) {
	if y.wanted == nil {
		y.wanted = map[int]int{}
	}
	y.wanted[id] = max(y.wanted[id], degree)
}

// wantOf passes on what is wanted of a projection's output to its input.
func (y *physical) wantOf(r *rel) {
	for i, x := range r.exprs {
		if x.Kind == expr.Col {
			y.want(x.Index, max(1, y.wanted[r.out[i]]))
		}
	}
}
