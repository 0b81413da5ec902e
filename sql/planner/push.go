package planner

import (
	"slices"

	"github.com/streamsql/streamsql/sql/expr"
	"github.com/streamsql/streamsql/sql/plan"
)

// maxPushed bounds the size of a condition that moves below the projections that
// compute its columns; beyond it each level could double it.
const maxPushed = 400

func size(x *expr.Expr) int {
	n := 1
	for _, a := range x.Args {
		if n += size(a); n > 4*maxPushed {
			break
		}
	}
	return n
}

// push returns r with conds applied, each as deep as it can be, and the same done
// to the conditions in r. What has no rows for certain becomes VALUES without any.
func (b *binder) push(r *rel, conds []*expr.Expr) *rel {
	conds, never := b.simplify(conds)
	if never {
		return empty(r.out)
	}
	out := r.out
	if r = b.pushDown(r, conds); vain(r) {
		return empty(out)
	}
	return r
}

func isEmpty(r *rel) bool { return r.op == opValues && len(r.rows) == 0 }

// vain tells whether r has no rows because an input has none.
func vain(r *rel) bool {
	switch r.op {
	case opFilter, opProject, opDistinct, opTopN, opOver, opWindow, opUnnest:
		return isEmpty(r.in[0])
	case opAgg:
		return len(r.keys) > 0 && isEmpty(r.in[0])
	case opJoin:
		l, rr := isEmpty(r.in[0]), isEmpty(r.in[1])
		switch r.kind {
		case plan.Inner, plan.Semi:
			return l || rr
		case plan.Left, plan.Anti:
			return l
		}
		return l && rr
	case opAsOf:
		return isEmpty(r.in[0]) || r.kind == plan.Inner && isEmpty(r.in[1])
	}
	return false
}

func (b *binder) pushDown(r *rel, conds []*expr.Expr) *rel {
	switch r.op {
	case opFilter:
		return b.push(r.in[0], append(slices.Clone(r.conds), conds...))
	case opProject:
		var down, up []*expr.Expr
		for _, c := range conds {
			if d := inline([]*expr.Expr{c}, r)[0]; b.movable(d) {
				down = append(down, d)
			} else {
				up = append(up, c)
			}
		}
		for i, x := range r.exprs {
			r.exprs[i] = b.fold(x)
		}
		r.in[0] = b.push(r.in[0], down)
		return filter(r, up...)
	case opJoin:
		return b.pushJoin(r, conds)
	case opAsOf:
		return b.pushAsOf(r, conds)
	case opAgg, opOver:
		if len(r.keys) == 0 {
			return b.above(r, conds)
		}
		return b.below(r, conds, setOf(r.keys))
	case opDistinct:
		clock, rest := b.temporals(conds)
		r.in[0] = b.push(r.in[0], rest)
		return filter(r, clock...)
	case opTopN:
		conds = b.rankLimit(r, conds)
		if len(r.keys) == 0 {
			return b.above(r, conds)
		}
		return b.below(r, conds, setOf(r.keys))
	case opWindow, opUnnest:
		if r.isSession() {
			// A row left out might have held a session together.
			return b.below(r, conds, setOf(r.keys))
		}
		return b.below(r, conds, setOf(r.in[0].out))
	case opUnion, opSetOp:
		var clock []*expr.Expr
		if r.op == opSetOp {
			clock, conds = b.temporals(conds)
		}
		for i, in := range r.in {
			m := make(map[int]int, len(r.out))
			for j, c := range r.out {
				m[c] = r.cols[i][j]
			}
			r.in[i] = b.push(in, mapExprs(conds, m))
		}
		return filter(r, clock...)
	}
	return filter(r, conds...)
}

// simplify folds conditions and drops those that hold always; never says that one
// never holds.
func (b *binder) simplify(conds []*expr.Expr) (out []*expr.Expr, never bool) {
	for _, c := range conds {
		for _, d := range conjuncts(nil, b.fold(c)) {
			switch {
			case isTrue(d):
			case isConst(d):
				return nil, true
			case !containsExpr(out, d) || !b.movable(d):
				out = append(out, d)
			}
		}
	}
	return out, false
}

func empty(out []int) *rel { return &rel{op: opValues, out: out} }

// movable tells whether a condition may be computed elsewhere.
func (b *binder) movable(x *expr.Expr) bool {
	return size(x) <= maxPushed && expr.VolatilityOf(b.env, x) != expr.Volatile
}

func (b *binder) above(r *rel, conds []*expr.Expr) *rel {
	r.in[0] = b.push(r.in[0], nil)
	return filter(r, conds...)
}

// below moves the conditions over the columns cols under r.
func (b *binder) below(r *rel, conds []*expr.Expr, cols set) *rel {
	var down, up []*expr.Expr
	for _, c := range conds {
		// Groups are fewer than rows, and closed by the watermark: they wait for the
		// clock at less cost.
		if refs(c).within(cols) && b.movable(c) && (r.op == opWindow || r.op == opUnnest || !b.temporal(c)) {
			down = append(down, c)
		} else {
			up = append(up, c)
		}
	}
	r.in[0] = b.push(r.in[0], down)
	for i, x := range r.exprs {
		r.exprs[i] = b.fold(x)
	}
	return filter(r, up...)
}

// rankLimit reads rn <= 10 above ROW_NUMBER() as a limit.
func (b *binder) rankLimit(r *rel, conds []*expr.Expr) []*expr.Expr {
	if r.rank == "" {
		return conds
	}
	id := r.out[len(r.out)-1]
	var out []*expr.Expr
	for _, c := range conds {
		n, exact, ok := upperBound(c, id)
		if !ok {
			out = append(out, c)
			continue
		}
		if n < 0 {
			n = 0
		}
		if r.limit < 0 || n < r.limit {
			r.limit = n
		}
		// Ranks with gaps or ties may be cut elsewhere: the condition stays.
		if !exact || r.rank != "row_number" {
			out = append(out, c)
		}
	}
	return out
}

// upperBound reads c as col <= n; exact tells that it says no more than that.
func upperBound(c *expr.Expr, id int) (n int64, exact, ok bool) {
	if c.Kind != expr.Call || len(c.Args) != 2 {
		return 0, false, false
	}
	x, y, fn := c.Args[0], c.Args[1], fnName(c.Fn)
	if y.Kind == expr.Col || y.Kind == expr.Cast {
		x, y = y, x
		fn = map[string]string{"<": ">", ">": "<", "<=": ">=", ">=": "<=", "=": "="}[fn]
	}
	if x.Kind == expr.Cast && x.Type.Phys() == 0 {
		x = x.Args[0]
	}
	if x.Kind != expr.Col || x.Index != id || !isConst(y) || y.Value.Null || !integer(y.Type.ID) {
		return 0, false, false
	}
	switch fn {
	case "<=":
		return y.Value.I, true, true
	case "<":
		return y.Value.I - 1, true, y.Value.I > -1<<62
	case "=":
		return y.Value.I, y.Value.I == 1, true
	}
	return 0, false, false
}

func (b *binder) pushJoin(r *rel, conds []*expr.Expr) *rel {
	if r.kind == plan.Right {
		r.kind = plan.Left
		r.in[0], r.in[1] = r.in[1], r.in[0]
	}
	l, rr := setOf(r.in[0].out), setOf(r.in[1].out)
	switch r.kind {
	case plan.Full:
		rejL, rejR := b.anyRejects(conds, l), b.anyRejects(conds, rr)
		switch {
		case rejL && rejR:
			r.kind = plan.Inner
		case rejL:
			r.kind = plan.Left
		case rejR:
			r.kind = plan.Left
			r.in[0], r.in[1] = r.in[1], r.in[0]
			l, rr = rr, l
		}
	case plan.Left:
		if b.anyRejects(conds, rr) {
			r.kind = plan.Inner
		}
	}
	if r.kind == plan.Inner {
		return b.inner(r, conds)
	}
	on, never := b.simplify(r.conds)
	if never {
		on = []*expr.Expr{boolean(false)}
	}
	var keep, up, left, right []*expr.Expr
	for _, c := range on {
		used := refs(c)
		switch {
		case !b.movable(c):
			keep = append(keep, c)
		case r.kind != plan.Full && !used.meets(l) && (used.meets(rr) || isConst(c)):
			right = append(right, c)
		case r.kind == plan.Semi && !used.meets(rr):
			left = append(left, c)
		default:
			keep = append(keep, c)
		}
	}
	for _, c := range conds {
		if r.kind != plan.Full && !refs(c).meets(rr) && b.movable(c) && !(b.temporal(c) && b.timed(on, l, r.in...)) {
			left = append(left, c)
		} else {
			up = append(up, c)
		}
	}
	r.conds = keep
	r.in[0], r.in[1] = b.push(r.in[0], left), b.push(r.in[1], right)
	b.joinKeys(r)
	return filter(r, up...)
}

func (b *binder) anyRejects(conds []*expr.Expr, s set) bool {
	for _, c := range conds {
		if b.rejects(c, s) {
			return true
		}
	}
	return false
}

// inner plans a cluster of inner joins: conditions go to the inputs that they are
// about, and the inputs are joined along the equalities, in the order written
// otherwise.
func (b *binder) inner(r *rel, conds []*expr.Expr) *rel {
	var inputs []*rel
	all := slices.Clone(conds)
	b.flatten(r, &inputs, &all)
	all, never := b.simplify(all)
	if never {
		return empty(r.out)
	}
	owner := map[int]int{}
	for i, in := range inputs {
		for _, c := range in.out {
			owner[c] = i
		}
	}
	local := make([][]*expr.Expr, len(inputs))
	var edges []edge
	var top []*expr.Expr
	for _, c := range all {
		var on set
		for _, id := range refs(c).list() {
			if i, ok := owner[id]; ok {
				on.add(i)
			}
		}
		members := on.list()
		switch {
		case !b.movable(c), b.temporal(c) && (len(members) > 1 || len(members) == 1 && b.timed(all, setOf(inputs[members[0]].out), inputs...)):
			top = append(top, c)
		case len(members) == 0:
			local[0] = append(local[0], c)
		case len(members) == 1:
			local[members[0]] = append(local[members[0]], c)
		default:
			edges = append(edges, edge{cond: c, on: on, eq: b.sides(c, owner)})
		}
	}
	for i, in := range inputs {
		inputs[i] = b.push(in, local[i])
	}
	j := b.order(inputs, edges)
	return filter(j, top...)
}

// edge is a condition over several inputs.
type edge struct {
	cond *expr.Expr
	on   set    // the inputs
	eq   [2]set // of an equality, those of its sides
	used bool
}

// sides gives the inputs of both sides of an equality whose sides share none.
func (b *binder) sides(c *expr.Expr, owner map[int]int) (out [2]set) {
	l, r, _, ok := equalityOf(c)
	if !ok {
		return out
	}
	for i, x := range []*expr.Expr{l, r} {
		for _, id := range refs(x).list() {
			if o, ok := owner[id]; ok {
				out[i].add(o)
			}
		}
	}
	if out[0].empty() || out[1].empty() || out[0].meets(out[1]) {
		return [2]set{}
	}
	return out
}

// equalityOf reads c as l = r or l IS NOT DISTINCT FROM r.
func equalityOf(c *expr.Expr) (l, r *expr.Expr, nullSafe, ok bool) {
	if c.Kind == expr.Not {
		if d := c.Args[0]; d.Kind == expr.Call && len(d.Args) == 2 && fnName(d.Fn) == isDistinctFrom {
			return d.Args[0], d.Args[1], true, true
		}
		return nil, nil, false, false
	}
	if c.Kind == expr.Call && len(c.Args) == 2 {
		switch fnName(c.Fn) {
		case "=":
			return c.Args[0], c.Args[1], false, true
		case "is not distinct from":
			return c.Args[0], c.Args[1], true, true
		}
	}
	return nil, nil, false, false
}

// flatten collects the inputs and conditions of nested inner joins.
func (b *binder) flatten(r *rel, inputs *[]*rel, conds *[]*expr.Expr) {
	switch {
	case r.op == opJoin && r.kind == plan.Inner:
		for _, in := range r.in {
			b.flatten(in, inputs, conds)
		}
		*conds = append(*conds, r.conds...)
	case r.op == opFilter && r.in[0].op == opJoin && (r.in[0].kind == plan.Inner || r.in[0].kind == plan.Left || r.in[0].kind == plan.Right):
		// An outer join under the filter may turn out an inner one; then its
		// inputs join the cluster as one.
		b.flatten(r.in[0], inputs, conds)
		*conds = append(*conds, r.conds...)
	default:
		*inputs = append(*inputs, r)
	}
}

// order joins the inputs: each connected group by itself, then the groups.
func (b *binder) order(inputs []*rel, edges []edge) *rel {
	done := make([]bool, len(inputs))
	var result *rel
	var have set
	for start := range inputs {
		if done[start] {
			continue
		}
		cur, in := inputs[start], set(nil).with(start)
		done[start] = true
		for {
			next := -1
			for i := range edges {
				e := &edges[i]
				if e.used || e.eq[0] == nil {
					continue
				}
				for s := range 2 {
					if other := single(e.eq[1-s]); e.eq[s].within(in) && other >= 0 && !done[other] && (next < 0 || other < next) {
						next = other
					}
				}
			}
			if next < 0 {
				break
			}
			done[next] = true
			in.add(next)
			cur = b.joinWith(cur, inputs[next], edges, in)
		}
		if result == nil {
			result, have = cur, in
		} else {
			have.or(in)
			result = b.joinWith(result, cur, edges, have)
		}
	}
	return result
}

func single(s set) int {
	if l := s.list(); len(l) == 1 {
		return l[0]
	}
	return -1
}

// joinWith joins l and r by the conditions that have become applicable.
func (b *binder) joinWith(l, r *rel, edges []edge, have set) *rel {
	var conds []*expr.Expr
	for i := range edges {
		if e := &edges[i]; !e.used && e.on.within(have) {
			e.used = true
			conds = append(conds, e.cond)
		}
	}
	j := join(plan.Inner, l, r, conds)
	b.joinKeys(j)
	return j
}

// joinKeys makes columns of what an equality between the two sides compares.
func (b *binder) joinKeys(j *rel) {
	l, r := setOf(j.in[0].out), setOf(j.in[1].out)
	var ls, rs []*expr.Expr
	var at []int
	for i, c := range j.conds {
		x, y, _, ok := equalityOf(c)
		if !ok {
			continue
		}
		xs, ys := refs(x), refs(y)
		switch {
		case xs.empty() || ys.empty():
			continue
		case xs.within(l) && ys.within(r):
		case xs.within(r) && ys.within(l):
			x, y = y, x
		default:
			continue
		}
		x, y, ok = b.sameKeyType(x, y)
		if !ok || !b.movable(x) || !b.movable(y) {
			continue
		}
		ls, rs, at = append(ls, x), append(rs, y), append(at, i)
	}
	if b.view && len(at) > 1 {
		// Times that are equal but for an interval bind the watermarks of both sides
		// to each other: see timeBounds.
		for k := len(at) - 1; k >= 0 && len(at) > 1; k-- {
			if b.shifted(ls[k], rs[k], b.timeOf(j.in[0]), b.timeOf(j.in[1])) {
				ls, rs, at = slices.Delete(ls, k, k+1), slices.Delete(rs, k, k+1), slices.Delete(at, k, k+1)
			}
		}
	}
	if len(at) == 0 {
		j.out = outOf(j)
		return
	}
	var lid, rid []int
	j.in[0], lid = b.extend(j.in[0], ls)
	j.in[1], rid = b.extend(j.in[1], rs)
	j.conds = slices.Clone(j.conds)
	for k, i := range at {
		_, _, nullSafe, _ := equalityOf(j.conds[i])
		x, y := b.col(lid[k]), b.col(rid[k])
		if nullSafe && (b.nonNull(j.in[0], lid[k]) || b.nonNull(j.in[1], rid[k])) {
			nullSafe = false
		}
		if nullSafe {
			j.conds[i] = b.sameValue(x, y)
		} else {
			j.conds[i] = b.mustCall("=", x, y)
		}
	}
	j.out = outOf(j)
}

func outOf(j *rel) []int {
	if j.kind == plan.Semi || j.kind == plan.Anti {
		return j.in[0].out
	}
	return append(slices.Clone(j.in[0].out), j.in[1].out...)
}
