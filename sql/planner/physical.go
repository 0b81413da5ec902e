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
	times  []timeCol // the columns that obey the watermark; nil: n.Time alone
}

// physical turns logical relations into nodes.
type physical struct {
	b   *binder
	pos []int // scratch: position plus one of each column number
	ad  bool  // ad-hoc: scans may look into indexes
	// wanted are the columns whose watermark is of use above, by how much.
	wanted map[int]int
	wins   int // windows numbered so far
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
	case opAsOf:
		return y.asOf(r)
	case opAgg:
		return y.agg(r)
	case opDistinct:
		in := y.build(r.in[0])
		in = y.exchange(in, alongside(in, in.out))
		p := y.node(plan.Distinct, in.out, in)
		p.parts, p.single = in.parts, in.single
		p.n.AppendOnly = in.n.AppendOnly
		timed(p, first(timesOf(in), timeID(in)))
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
		timed(p, first(timesOf(in), timeID(in)))
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
	y.scanTimes(p, r)
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
	if clock, rest := y.b.temporals(r.conds); len(clock) > 0 {
		in = y.where(in, rest)
		return y.temporal(in, y.condition(clock, in.out))
	}
	return y.where(in, r.conds)
}

// where filters the rows of in.
func (y *physical) where(in *phys, conds []*expr.Expr) *phys {
	if len(conds) == 0 {
		return in
	}
	f := y.condition(conds, in.out)
	if y.replays(in, f) {
		in = y.kept(in)
		p := y.node(plan.Map, in.out, in)
		p.n.Filter, p.n.Keep = f, true
		y.passOn(p, in)
		return p
	}
	if in.n.Op == plan.Map && in.n.Exprs == nil && !in.n.Keep && in.n.Lag == 0 && !in.n.Clock {
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
	timed(p, first(timesOf(in), timeID(in)))
}

func (y *physical) project(r *rel) *phys {
	y.wantOf(r)
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
	if clock, _ := y.b.temporals(src.conds); src.op == opFilter && len(clock) == 0 {
		if src.in[0].op == opScan && y.ad {
			y.lookup(src.in[0], src.conds)
		}
		in = y.build(src.in[0])
		cond = y.condition(src.conds, in.out)
	} else {
		in = y.build(src)
		if in.n.Op == plan.Map && in.n.Exprs == nil && !in.n.Keep && in.n.Lag == 0 && !in.n.Clock {
			// Filter and projection are one operator.
			cond, in = in.n.Filter, &phys{n: in.n.Inputs[0], out: in.out, parts: in.parts, single: in.single, times: timesOf(in)}
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
			q.times = mappedTimes(in, r.out, xs)
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
	timedMap(p, mappedTimes(in, r.out, xs))
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
	timed(p, first(timesOf(in), timeID(in)))
	if len(keys) == 0 {
		p.single = true
	} else {
		p.parts = [][]int{slices.Clone(keys)}
	}
	return p
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
	for _, k := range r.keys {
		y.want(k, 2)
	}
	in := y.build(r.in[0])
	keys := alongside(in, r.keys)
	in = y.exchange(y.keyTime(in, keys), keys)
	out := append(slices.Clone(keys), r.out[len(r.keys):]...)
	p := y.node(plan.Agg, out, in)
	p.n.Keys = y.positions(keys, in.out)
	p.n.Aggs = y.aggCalls(r.aggs, in.out)
	if p.single = len(keys) == 0; !p.single {
		p.parts = [][]int{slices.Clone(keys)}
	}
	keyedTime(p, in, keys)
	return p
}

func (y *physical) topN(r *rel) *phys {
	in := y.build(r.in[0])
	keys := alongside(in, r.keys)
	in = y.exchange(y.keyTime(in, keys), keys)
	out := append(slices.Clone(in.out), r.added()...)
	p := y.node(plan.TopN, out, in)
	p.n.Keys, p.n.Order = y.positions(keys, in.out), y.orders(r.order, in.out)
	p.n.Limit, p.n.Offset, p.n.Ties, p.n.Rank = r.limit, r.offset, r.ties, r.rank
	p.parts, p.single = in.parts, in.single
	keyedTime(p, in, keys)
	return p
}

func (y *physical) over(r *rel) *phys {
	in := y.build(r.in[0])
	keys := alongside(in, r.keys)
	in = y.exchange(y.keyTime(in, keys), keys)
	out := append(slices.Clone(in.out), r.added()...)
	p := y.node(plan.Over, out, in)
	p.n.Keys, p.n.Order = y.positions(keys, in.out), y.orders(r.order, in.out)
	p.n.Aggs = y.aggCalls(r.aggs, in.out)
	p.parts, p.single = in.parts, in.single
	if keyedTime(p, in, keys); p.n.Time == 0 {
		orderTime(p, in)
	}
	return p
}

func (y *physical) window(r *rel) *phys {
	y.want(r.win.TimeCol, 3)
	in := y.build(r.in[0])
	var t *timeCol
	for _, c := range timesOf(in) {
		if c.id != r.win.TimeCol {
			continue
		}
		in, t = y.retimed(in, c), &c
		break
	}
	session := r.isSession()
	if session {
		in = y.exchange(in, alongside(in, r.keys))
	}
	out := append(slices.Clone(in.out), r.made...)
	p := y.node(plan.Window, out, in)
	spec := r.win
	spec.TimeCol = y.positions([]int{r.win.TimeCol}, in.out)[0]
	p.n.Window = &spec
	p.n.Keys = y.positions(r.keys, in.out)
	p.parts, p.single = in.parts, in.single
	p.n.AppendOnly = in.n.AppendOnly && !session
	y.windowTimes(p, in, r.made, t)
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
	timedMap(p, mappedTimes(in, cols, p.n.Exprs))
	return p
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
	y.sameTime(p, ins)
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
	y.sameTime(p, ins)
	return p
}
