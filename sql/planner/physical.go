package planner

import (
	"slices"

	"github.com/streamsql/streamsql/sql/catalog"
	"github.com/streamsql/streamsql/sql/expr"
	"github.com/streamsql/streamsql/sql/plan"
	"github.com/streamsql/streamsql/sql/types"
)

// phys is a physical node with what is known of its output.
type phys struct {
	n   *plan.Node
	out []int // the column number at each position
	// parts are lists of columns: rows are on the worker that owns the hash of any
	// of them. single: all rows are on one worker.
	parts  [][]int
	single bool
}

// physical turns logical relations into nodes.
type physical struct {
	b   *binder
	pos []int // scratch: position plus one of each column number
	ad  bool  // ad-hoc: scans may look into indexes
}

// at makes column numbers positions of p's output while it runs fn.
func (y *physical) at(out []int, fn func(pos func(int) int)) {
	if len(y.pos) < len(y.b.cols) {
		y.pos = make([]int, len(y.b.cols))
	}
	for i, c := range out {
		if y.pos[c] == 0 {
			y.pos[c] = i + 1
		}
	}
	fn(func(c int) int {
		p := y.pos[c] - 1
		if p < 0 {
			panic(internal("column %d (%s) is not in the input", c, y.b.cols[c].name))
		}
		return p
	})
	for _, c := range out {
		y.pos[c] = 0
	}
}

// exprs brings expressions over column numbers to positions.
func (y *physical) exprs(xs []*expr.Expr, out []int) []*expr.Expr {
	res := make([]*expr.Expr, len(xs))
	y.at(out, func(pos func(int) int) {
		for i, x := range xs {
			res[i] = expr.Remap(y.b.fold(x), pos)
		}
	})
	return res
}

func (y *physical) positions(ids, out []int) []int {
	if len(ids) == 0 {
		return nil
	}
	res := make([]int, len(ids))
	y.at(out, func(pos func(int) int) {
		for i, c := range ids {
			res[i] = pos(c)
		}
	})
	return res
}

func (y *physical) orders(ks []sortKey, out []int) []plan.Order {
	var res []plan.Order
	y.at(out, func(pos func(int) int) {
		for _, k := range ks {
			res = append(res, plan.Order{Col: pos(k.col), Desc: k.desc, NullsFirst: k.nullsFirst})
		}
	})
	return res
}

// columns describes an output.
func (y *physical) columns(ids []int) []plan.Column {
	out := make([]plan.Column, len(ids))
	for i, c := range ids {
		info := &y.b.cols[c]
		t := info.typ
		if t.ID == types.Unknown {
			t = types.Of(types.Text)
		}
		out[i] = plan.Column{Name: info.name, Type: t}
	}
	return out
}

func (y *physical) node(op plan.Op, out []int, in ...*phys) *phys {
	n := &plan.Node{Op: op, Out: y.columns(out)}
	for _, p := range in {
		n.Inputs = append(n.Inputs, p.n)
	}
	return &phys{n: n, out: out}
}

func (y *physical) build(r *rel) *phys {
	switch r.op {
	case opScan:
		return y.scan(r)
	case opValues:
		return y.values(r)
	case opFilter:
		return y.filter(r)
	case opProject:
		return y.project(r)
	case opJoin:
		return y.join(r)
	case opAgg:
		return y.agg(r)
	case opDistinct:
		in := y.build(r.in[0])
		in = y.exchange(in, alongside(in, in.out))
		p := y.node(plan.Distinct, in.out, in)
		p.parts, p.single = in.parts, in.single
		p.n.AppendOnly = in.n.AppendOnly
		p.n.Time, p.n.TimeEnd = in.n.Time, in.n.TimeEnd
		return p
	case opUnion:
		return y.union(r)
	case opSetOp:
		return y.setOp(r)
	case opTopN:
		return y.topN(r)
	case opOver:
		return y.over(r)
	case opWindow:
		return y.window(r)
	case opUnnest:
		in := y.build(r.in[0])
		p := y.node(plan.Unnest, r.out, in)
		p.n.Exprs = y.exprs(r.exprs, in.out)
		p.n.SetFn, p.n.Ordinality = r.setF, r.ord
		p.parts, p.single = in.parts, in.single
		p.n.AppendOnly = in.n.AppendOnly
		p.n.Time, p.n.TimeEnd = in.n.Time, in.n.TimeEnd
		if y.replays(in, p.n.Exprs...) {
			panic(unsupported(p.n.Exprs[0].Pos, "a set of a volatile function in a materialized view over rows that can change"))
		}
		return p
	}
	panic(internal("operator %d", r.op))
}

func (y *physical) scan(r *rel) *phys {
	p := y.node(plan.Scan, r.out)
	o := r.obj
	p.n.Relation = o.ID
	p.n.Columns = slices.Clone(r.attrs)
	p.n.Lookup, p.n.Index = r.lookup, r.index
	p.n.AppendOnly = o.Kind == catalog.Source || o.AppendOnly
	col := o.Time - 1
	if o.Watermark != nil {
		col = o.Watermark.Col
	}
	if i := slices.Index(r.attrs, col); col >= 0 && i >= 0 {
		p.n.Time, p.n.TimeEnd = i+1, o.Watermark == nil && o.TimeEnd
	}
	return p
}

func (y *physical) values(r *rel) *phys {
	p := y.node(plan.Values, r.out)
	p.single, p.n.AppendOnly = true, true
	fixed := true
	for _, row := range r.rows {
		for i, x := range row {
			row[i] = y.b.fold(x)
			fixed = fixed && isConst(row[i])
		}
	}
	if !fixed {
		p.n.Cells = y.settled(r.rows)
		return p
	}
	p.n.Rows = make([][]types.Datum, len(r.rows))
	for i, row := range r.rows {
		p.n.Rows[i] = make([]types.Datum, len(row))
		for j, x := range row {
			p.n.Rows[i][j] = x.Value
		}
	}
	return p
}

func (y *physical) settled(rows [][]*expr.Expr) [][]*expr.Expr {
	for _, row := range rows {
		for _, x := range row {
			if s := refs(x); !s.empty() {
				panic(internal("VALUES names a column"))
			}
		}
	}
	return rows
}

// conditions splits conds and joins them again as a filter over positions.
func (y *physical) condition(conds []*expr.Expr, out []int) *expr.Expr {
	if len(conds) == 0 {
		return nil
	}
	return and(y.exprs(conds, out)...)
}

func (y *physical) filter(r *rel) *phys {
	if r.in[0].op == opScan && y.ad {
		y.lookup(r.in[0], r.conds)
	}
	in := y.build(r.in[0])
	if len(r.conds) == 0 {
		return in
	}
	f := y.condition(r.conds, in.out)
	if y.replays(in, f) {
		in = y.kept(in)
		p := y.node(plan.Map, in.out, in)
		p.n.Filter, p.n.Keep = f, true
		y.passOn(p, in)
		return p
	}
	if in.n.Op == plan.Map && in.n.Exprs == nil && !in.n.Keep {
		in.n.Filter = and(conjuncts(conjuncts(nil, in.n.Filter), f)...)
		return in
	}
	p := y.node(plan.Map, in.out, in)
	p.n.Filter = f
	y.passOn(p, in)
	return p
}

// passOn gives p, which has the columns of in, what is known of in.
func (y *physical) passOn(p, in *phys) {
	p.parts, p.single = in.parts, in.single
	p.n.AppendOnly = in.n.AppendOnly
	p.n.Time, p.n.TimeEnd = in.n.Time, in.n.TimeEnd
}

func (y *physical) project(r *rel) *phys {
	src := r.in[0]
	// A projection of one row of VALUES is VALUES.
	if src.op == opValues && len(src.rows) == 1 && len(src.out) == 0 {
		row := make([]*expr.Expr, len(r.exprs))
		for i, x := range r.exprs {
			row[i] = y.b.fold(x)
		}
		if !slices.ContainsFunc(row, func(x *expr.Expr) bool { s := refs(x); return !s.empty() }) {
			return y.values(&rel{op: opValues, out: r.out, rows: [][]*expr.Expr{row}})
		}
	}
	var in *phys
	var cond *expr.Expr
	if src.op == opFilter {
		if src.in[0].op == opScan && y.ad {
			y.lookup(src.in[0], src.conds)
		}
		in = y.build(src.in[0])
		cond = y.condition(src.conds, in.out)
	} else {
		in = y.build(src)
		if in.n.Op == plan.Map && in.n.Exprs == nil && !in.n.Keep {
			// Filter and projection are one operator.
			cond, in = in.n.Filter, &phys{n: in.n.Inputs[0], out: in.out, parts: in.parts, single: in.single}
		}
	}
	xs := y.exprs(r.exprs, in.out)
	if cond == nil && len(xs) == len(in.n.Out) {
		same := true
		for i, x := range xs {
			same = same && x.Kind == expr.Col && x.Index == i
		}
		if same {
			// Other names for the same columns.
			q := *in
			q.out = r.out
			q.parts = renameParts(in.parts, r)
			c := *in.n
			c.Out = y.columns(r.out)
			q.n = &c
			return &q
		}
	}
	keep := y.replays(in, append(slices.Clone(xs), cond)...)
	if keep {
		in = y.kept(in)
	}
	p := y.node(plan.Map, r.out, in)
	p.n.Filter, p.n.Exprs, p.n.Keep = cond, xs, keep
	p.single = in.single
	p.parts = renameParts(in.parts, r)
	p.n.AppendOnly = in.n.AppendOnly
	if t := in.n.TimeCol(); t >= 0 {
		for i, x := range xs {
			if x.Kind == expr.Col && x.Index == t {
				p.n.Time, p.n.TimeEnd = i+1, in.n.TimeEnd
				break
			}
		}
	}
	return p
}

// renameParts keeps the partitionings of which a projection keeps all columns.
func renameParts(parts [][]int, r *rel) [][]int {
	var out [][]int
next:
	for _, p := range parts {
		ids := make([]int, len(p))
		for i, c := range p {
			at := slices.IndexFunc(r.exprs, func(x *expr.Expr) bool { return x.Kind == expr.Col && x.Index == c })
			if at < 0 {
				continue next
			}
			ids[i] = r.out[at]
		}
		out = append(out, ids)
	}
	return out
}

// replays tells whether xs would be computed anew for a retraction, and so might
// not give what they gave for the row.
func (y *physical) replays(in *phys, xs ...*expr.Expr) bool {
	if !y.b.view || in.n.AppendOnly {
		return false
	}
	return slices.ContainsFunc(xs, func(x *expr.Expr) bool {
		return x != nil && expr.VolatilityOf(y.b.env, x) == expr.Volatile
	})
}

// kept prepares the input of a Map that keeps what it gave for each row: equal
// rows are to meet.
func (y *physical) kept(in *phys) *phys { return y.exchange(in, in.out) }

// exchange brings rows together that are equal in keys: all rows without keys.
func (y *physical) exchange(in *phys, keys []int) *phys {
	if in.single && len(keys) == 0 {
		return in
	}
	for _, p := range in.parts {
		if len(keys) > 0 && slices.Equal(p, keys) {
			return in
		}
	}
	p := y.node(plan.Exchange, in.out, in)
	p.n.Keys = y.positions(keys, in.out)
	p.n.AppendOnly = in.n.AppendOnly
	p.n.Time, p.n.TimeEnd = in.n.Time, in.n.TimeEnd
	if len(keys) == 0 {
		p.single = true
	} else {
		p.parts = [][]int{slices.Clone(keys)}
	}
	return p
}

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
	timed := func(t, side int) {
		p.n.Time = t + 1
		p.n.TimeEnd = []*plan.Node{l.n, rr.n}[side].TimeEnd
		if side == 1 {
			p.n.Time += len(l.out)
		}
	}
	switch {
	case lt >= 0 && rt >= 0 && r.kind != plan.Full:
		for i := range p.n.LeftKey {
			if p.n.LeftKey[i] == lt && p.n.RightKey[i] == rt && l.n.TimeEnd == rr.n.TimeEnd {
				timed(lt, 0)
				break
			}
		}
	case lt >= 0 && rt < 0 && r.kind != plan.Full && r.kind != plan.Right:
		timed(lt, 0)
	case rt >= 0 && lt < 0 && r.kind == plan.Inner:
		timed(rt, 1)
	}
	return p
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

func (y *physical) aggCalls(aggs []aggCall, out []int) []plan.AggCall {
	res := make([]plan.AggCall, len(aggs))
	for i := range aggs {
		a := &aggs[i]
		c := plan.AggCall{Fn: a.fn, Args: y.positions(a.args, out), Filter: -1, Distinct: a.distinct, Type: a.typ, Frame: a.frame}
		if len(a.order) > 0 {
			c.Order = y.orders(a.order, out)
		}
		if a.filter >= 0 {
			c.Filter = y.positions([]int{a.filter}, out)[0]
		}
		res[i] = c
	}
	return res
}

func (y *physical) agg(r *rel) *phys {
	in := y.build(r.in[0])
	keys := alongside(in, r.keys)
	in = y.exchange(in, keys)
	out := append(slices.Clone(keys), r.out[len(r.keys):]...)
	p := y.node(plan.Agg, out, in)
	p.n.Keys = y.positions(keys, in.out)
	p.n.Aggs = y.aggCalls(r.aggs, in.out)
	if p.single = len(keys) == 0; !p.single {
		p.parts = [][]int{slices.Clone(keys)}
	}
	if i := slices.Index(p.n.Keys, in.n.TimeCol()); i >= 0 {
		p.n.Time, p.n.TimeEnd = i+1, in.n.TimeEnd
	}
	return p
}

// keyedTime carries the time of in to p, whose first columns are those of in, if
// it is a key.
func keyedTime(p, in *phys) {
	if t := in.n.TimeCol(); t >= 0 && slices.Contains(p.n.Keys, t) {
		p.n.Time, p.n.TimeEnd = in.n.Time, in.n.TimeEnd
	}
}

func (y *physical) topN(r *rel) *phys {
	in := y.build(r.in[0])
	keys := alongside(in, r.keys)
	in = y.exchange(in, keys)
	out := append(slices.Clone(in.out), r.added()...)
	p := y.node(plan.TopN, out, in)
	p.n.Keys, p.n.Order = y.positions(keys, in.out), y.orders(r.order, in.out)
	p.n.Limit, p.n.Offset, p.n.Ties, p.n.Rank = r.limit, r.offset, r.ties, r.rank
	p.parts, p.single = in.parts, in.single
	keyedTime(p, in)
	return p
}

func (y *physical) over(r *rel) *phys {
	in := y.build(r.in[0])
	keys := alongside(in, r.keys)
	in = y.exchange(in, keys)
	out := append(slices.Clone(in.out), r.added()...)
	p := y.node(plan.Over, out, in)
	p.n.Keys, p.n.Order = y.positions(keys, in.out), y.orders(r.order, in.out)
	p.n.Aggs = y.aggCalls(r.aggs, in.out)
	p.parts, p.single = in.parts, in.single
	keyedTime(p, in)
	return p
}

func (y *physical) window(r *rel) *phys {
	in := y.build(r.in[0])
	out := append(slices.Clone(in.out), r.made...)
	p := y.node(plan.Window, out, in)
	spec := r.win
	spec.TimeCol = y.positions([]int{r.win.TimeCol}, in.out)[0]
	p.n.Window = &spec
	y.passOn(p, in)
	if p.n.Time = 0; in.n.Time != 0 && in.n.TimeCol() == spec.TimeCol {
		p.n.Time, p.n.TimeEnd = len(in.out)+2, true
	} else if in.n.Time != 0 {
		p.n.Time = in.n.Time
	}
	return p
}

// arranged is in with exactly the columns cols, in that order.
func (y *physical) arranged(r *rel, cols []int) *phys {
	in := y.build(r)
	if slices.Equal(in.out, cols) {
		return in
	}
	p := y.node(plan.Map, cols, in)
	at := y.positions(cols, in.out)
	p.n.Exprs = make([]*expr.Expr, len(cols))
	for i, c := range cols {
		p.n.Exprs[i] = &expr.Expr{Kind: expr.Col, Index: at[i], Type: y.b.cols[c].typ, Pos: -1}
	}
	p.single = in.single
	for _, k := range in.parts {
		if setOf(k).within(setOf(cols)) {
			p.parts = append(p.parts, k)
		}
	}
	p.n.AppendOnly = in.n.AppendOnly
	if t := slices.Index(at, in.n.TimeCol()); t >= 0 {
		p.n.Time, p.n.TimeEnd = t+1, in.n.TimeEnd
	}
	return p
}

// sameTime gives a node over inputs of the same columns their common time.
func sameTime(p *phys, ins []*phys) {
	t := ins[0].n
	for _, in := range ins[1:] {
		if in.n.Time != t.Time || in.n.TimeEnd != t.TimeEnd {
			return
		}
	}
	p.n.Time, p.n.TimeEnd = t.Time, t.TimeEnd
}

func (y *physical) union(r *rel) *phys {
	var ins []*phys
	for i, in := range r.in {
		p := y.arranged(in, r.cols[i])
		if p.n.Op == plan.Values && len(p.n.Rows) == 0 && len(p.n.Cells) == 0 && len(r.in) > 1 {
			if i+1 < len(r.in) || len(ins) > 0 {
				continue
			}
		}
		ins = append(ins, p)
	}
	p := y.node(plan.Union, r.out, ins...)
	p.n.AppendOnly, p.single = true, true
	for _, in := range ins {
		p.n.AppendOnly = p.n.AppendOnly && in.n.AppendOnly
		p.single = p.single && in.single
	}
	sameTime(p, ins)
	return p
}

func (y *physical) setOp(r *rel) *phys {
	var ins []*phys
	for i, in := range r.in {
		p := y.arranged(in, r.cols[i])
		ins = append(ins, y.exchange(p, p.out))
	}
	p := y.node(plan.Except, r.out, ins...)
	p.n.SetOp, p.n.All = r.set, r.all
	p.parts = [][]int{slices.Clone(r.out)}
	sameTime(p, ins)
	return p
}

// lookup lets a scan read the range of an index that conditions fix.
func (y *physical) lookup(r *rel, conds []*expr.Expr) {
	if r.obj == nil || !r.obj.Stored() {
		return
	}
	fixed := map[int]*expr.Expr{}
	for _, c := range conds {
		x, v, nullSafe, ok := equalityOf(c)
		if !ok || nullSafe {
			continue
		}
		if v.Kind == expr.Col {
			x, v = v, x
		}
		if x.Kind != expr.Col || v.Kind != expr.Const && v.Kind != expr.Param {
			continue
		}
		i := slices.Index(r.out, x.Index)
		if i < 0 || keyClass(x.Type) != keyClass(v.Type) || v.Kind == expr.Const && v.Value.Null {
			continue
		}
		if a := r.attrs[i]; fixed[a] == nil {
			fixed[a] = v
		}
	}
	if len(fixed) == 0 {
		return
	}
	best := 0
	try := func(keys []int) {
		n := 0
		for n < len(keys) && fixed[keys[n]] != nil {
			n++
		}
		if n > best {
			best = n
			r.index, r.lookup = keys, nil
			for _, k := range keys[:n] {
				r.lookup = append(r.lookup, fixed[k])
			}
		}
	}
	try(r.obj.PrimaryKey)
	if best == len(r.obj.PrimaryKey) && best > 0 {
		return
	}
	for _, o := range y.b.cat.Dependants(r.obj.ID) {
		if o.Kind == catalog.Index && o.On == r.obj.ID {
			try(o.Keys)
		}
	}
}
