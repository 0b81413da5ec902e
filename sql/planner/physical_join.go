package planner

import (
	"slices"

	"github.com/streamsql/streamsql/sql/expr"
	"github.com/streamsql/streamsql/sql/plan"
)

// alongside gives keys in the order of a partitioning of in by the same columns,
// if there is one, so that no exchange is needed.
func alongside(in *phys, keys []int) []int {
	want := setOf(keys)
	for _, p := range in.parts {
		if s := setOf(p); len(p) == len(keys) && s.within(want) && want.within(s) {
			return p
		}
	}
	return keys
}

// alongsidePairs does so for the keys of a join.
func alongsidePairs(l, r *phys, lk, rk []int) ([]int, []int) {
	for side, in := range []*phys{l, r} {
		mine, other := lk, rk
		if side == 1 {
			mine, other = rk, lk
		}
		order := alongside(in, mine)
		if slices.Equal(order, mine) || len(setOf(mine).list()) != len(mine) {
			continue
		}
		paired := make([]int, len(order))
		for i, c := range order {
			paired[i] = other[slices.Index(mine, c)]
		}
		if side == 1 {
			return paired, order
		}
		return order, paired
	}
	return lk, rk
}

func (y *physical) join(r *rel) *phys {
	b := y.b
	l, rr := y.build(r.in[0]), y.build(r.in[1])
	ls, rs := setOf(l.out), setOf(rr.out)
	var lk, rk, ln, rn []int
	var residual, safe []*expr.Expr
	for _, c := range r.conds {
		x, z, nullSafe, ok := equalityOf(c)
		if ok {
			x, z = withoutRelabel(x), withoutRelabel(z)
		}
		if ok && x.Kind == expr.Col && z.Kind == expr.Col && keyClass(x.Type) == keyClass(z.Type) {
			a, d := x.Index, z.Index
			if rs.has(a) && ls.has(d) {
				a, d = d, a
			}
			if ls.has(a) && rs.has(d) {
				if nullSafe {
					ln, rn, safe = append(ln, a), append(rn, d), append(safe, c)
				} else {
					lk, rk = append(lk, a), append(rk, d)
				}
				continue
			}
		}
		residual = append(residual, c)
	}
	nullSafe := false
	if len(lk) == 0 && len(ln) > 0 {
		lk, rk, nullSafe = ln, rn, true
	} else {
		residual = append(residual, safe...)
	}
	lk, rk = alongsidePairs(l, rr, lk, rk)
	l, rr = y.joinTimes(l, rr, lk, rk)
	var d timeRange
	bounded := false
	if !joinedByTime(l, rr, lk, rk) {
		l, rr, d, bounded = y.boundTimes(l, rr, len(lk) > 0, residual)
	}
	lt, rt := l.n.TimeCol(), rr.n.TimeCol()
	l, rr = y.exchange(l, lk), y.exchange(rr, rk)
	semi := r.kind == plan.Semi || r.kind == plan.Anti
	out := l.out
	both := append(slices.Clone(l.out), rr.out...)
	if !semi {
		out = both
	}
	p := y.node(plan.Join, out, l, rr)
	p.n.Kind, p.n.NullSafe = r.kind, nullSafe
	p.n.LeftKey, p.n.RightKey = y.positions(lk, l.out), y.positions(rk, rr.out)
	p.n.Residual = y.condition(residual, both)
	if b.view && p.n.Residual != nil && expr.VolatilityOf(b.env, p.n.Residual) == expr.Volatile {
		panic(unsupported(p.n.Residual.Pos, "a volatile function in the condition of a join of a materialized view"))
	}
	p.single = len(lk) == 0
	if len(lk) > 0 {
		if r.kind != plan.Right && r.kind != plan.Full {
			p.parts = append(p.parts, lk)
		}
		if r.kind == plan.Right || r.kind == plan.Inner {
			p.parts = append(p.parts, rk)
		}
	}
	if p.n.Residual == nil && y.settles(r.kind != plan.Right && r.kind != plan.Full, semi, rr, r.in[1], rk) {
		p.n.Settled = 1
	} else if p.n.Residual == nil && y.settles(r.kind == plan.Inner || r.kind == plan.Right, false, l, r.in[0], lk) {
		p.n.Settled = 2
	}
	switch r.kind {
	case plan.Inner:
		p.n.AppendOnly = l.n.AppendOnly && rr.n.AppendOnly
	case plan.Semi:
		p.n.AppendOnly = l.n.AppendOnly && rr.n.AppendOnly
	}
	// The time of a join of two streams is one that they are joined by: a row that
	// waited for its partner may be older than anything else.
	switch {
	case lt >= 0 && rt >= 0:
		for i := range p.n.LeftKey {
			if p.n.LeftKey[i] == lt && p.n.RightKey[i] == rt && l.n.TimeEnd == rr.n.TimeEnd {
				left, right := windowTimesOf(l, lt), windowTimesOf(rr, rt)
				switch r.kind {
				case plan.Full, plan.Left:
					left = paired(left, right)
				case plan.Right:
					left = paired(right, left)
				case plan.Inner:
					left = append(paired(left, right), right...)
				}
				timed(p, left)
				break
			}
		}
	case lt >= 0 && rt < 0 && r.kind != plan.Full && r.kind != plan.Right:
		timed(p, first(timesOf(l), l.out[lt]))
	case rt >= 0 && lt < 0 && r.kind == plan.Inner:
		timed(p, first(timesOf(rr), rr.out[rt]))
	}
	if bounded {
		y.intervalJoin(p, l, rr, d)
	}
	return p
}

// joinedByTime tells whether the times by which l and r are known are joined by.
func joinedByTime(l, r *phys, lk, rk []int) bool {
	for i := range lk {
		if timeID(l) == lk[i] && timeID(r) == rk[i] && l.n.TimeEnd == r.n.TimeEnd {
			return true
		}
	}
	return false
}

// paired gives times of one side of a join those of the other that they are
// equal to where both are there.
func paired(ts, others []timeCol) []timeCol {
	out := slices.Clone(ts)
	for i := range out {
		for _, o := range others {
			if out[i].end == o.end && out[i].lag == o.lag && out[i].clock == o.clock {
				out[i].pair = o.id + 1
				break
			}
		}
	}
	return out
}

// joinTimes gives the sides of a join times that they are joined by, if they have
// some.
func (y *physical) joinTimes(l, r *phys, lk, rk []int) (*phys, *phys) {
	if !y.b.view {
		return l, r
	}
	var best [2]timeCol
	found := false
	for _, a := range first(timesOf(l), timeID(l)) {
		for _, d := range first(timesOf(r), timeID(r)) {
			if a.end != d.end || a.clock != d.clock || found && a.lag+d.lag >= best[0].lag+best[1].lag {
				continue
			}
			for i := range lk {
				if lk[i] == a.id && rk[i] == d.id {
					best, found = [2]timeCol{a, d}, true
				}
			}
		}
	}
	if !found {
		return l, r
	}
	return y.retimed(l, best[0]), y.retimed(r, best[1])
}

// windowTimesOf are the times of in that bound the window that its time t bounds.
func windowTimesOf(in *phys, t int) []timeCol {
	var out []timeCol
	win := 0
	for _, o := range timesOf(in) {
		if o.id == in.out[t] {
			win = o.win
		}
	}
	for _, o := range first(timesOf(in), in.out[t]) {
		if o.id == in.out[t] || o.win == win && win > 0 {
			out = append(out, o)
		}
	}
	return out
}

// settles tells whether rows that found their match in the other input of a join,
// built from r and joined by key, have nothing more to wait for. semi: one match
// is as good as many.
func (y *physical) settles(kind, semi bool, other *phys, r *rel, key []int) bool {
	if !kind || !y.b.view || !other.n.AppendOnly || len(key) == 0 {
		return false
	}
	unique, ok := y.b.uniqueKey(r)
	if semi || !ok {
		return semi
	}
	for _, c := range unique {
		if !slices.Contains(key, c) {
			return false
		}
	}
	return true
}
