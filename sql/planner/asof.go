package planner

import (
	"slices"

	"github.com/streamsql/streamsql/sql/ast"
	"github.com/streamsql/streamsql/sql/catalog"
	"github.com/streamsql/streamsql/sql/expr"
	"github.com/streamsql/streamsql/sql/plan"
	"github.com/streamsql/streamsql/sql/sqlerr"
	"github.com/streamsql/streamsql/sql/types"
)

// Joins of a row with what holds at its time:
//
//	a ASOF [LEFT] JOIN b ON a.k = b.k AND a.ts >= b.ts      or USING (k, ts)
//	o [LEFT] JOIN r FOR SYSTEM_TIME AS OF o.ts ON o.k = r.k
//	o [LEFT] JOIN r FOR SYSTEM_TIME AS OF PROCTIME() ON o.k = r.k

// asOf is what an opAsOf adds to a join: see plan.AsOf. Times are column numbers.
type asOf struct {
	kind         string
	left, right  int // -1: none
	strict, next bool
	versions     bool
}

// asOfTime is the AS OF of a join's right side, nil if there is none.
func asOfTime(t *ast.Join) (ast.Expr, *ast.Table) {
	if r, ok := t.Right.(*ast.Table); ok && r.AsOf != nil {
		c := *r
		c.AsOf = nil
		return r.AsOf, &c
	}
	return nil, nil
}

// asOfJoin makes an ASOF join, or with at a temporal one, of conds, all of them
// conditions of the join.
func (b *binder) asOfJoin(t *ast.Join, at ast.Expr, kind plan.JoinKind, l, r *rel, ls *scope, conds []*expr.Expr) *rel {
	name := "an ASOF join"
	if at != nil {
		name = "FOR SYSTEM_TIME AS OF"
	}
	if kind != plan.Inner && kind != plan.Left || t.Kind == ast.CrossJoin {
		panic(unsupported(t.Offset(), "%s in another join than INNER and LEFT", name))
	}
	if !l.outer().empty() || !r.outer().empty() {
		panic(unsupported(t.Offset(), "%s that names columns of an outer query", name))
	}
	j := &rel{op: opAsOf, kind: kind, in: []*rel{l, r}, asof: &asOf{left: -1, right: -1}}
	a := j.asof
	lout, rout := setOf(l.out), setOf(r.out)
	var rest []*expr.Expr
	for _, c := range conds {
		for _, c := range conjuncts(nil, b.fold(c)) {
			x, y, nullSafe, ok := equalityOf(c)
			switch {
			case isTrue(c):
			case ok && !nullSafe && (refsOf(x, lout, rout) && refsOf(y, rout, lout) || refsOf(x, rout, lout) && refsOf(y, lout, rout)):
				j.conds = append(j.conds, c)
			default:
				rest = append(rest, c)
			}
		}
	}
	var lt, rt *expr.Expr
	switch {
	case at == nil:
		a.kind = "asof"
		lt, rt, rest = b.asOfOrder(t, a, rest, lout, rout)
	case b.isProctime(at, ls, l):
		a.kind = "proc"
	default:
		a.kind = "event"
		c := &exprCtx{b: b, sc: ls, clause: "FOR SYSTEM_TIME AS OF"}
		lt = c.bind(at)
		if s := refs(lt); s.empty() {
			panic(unsupported(at.Offset(), "FOR SYSTEM_TIME AS OF a time that is no column of the left side").
				WithHint("To join a relation as it stands when a row comes: FOR SYSTEM_TIME AS OF PROCTIME()."))
		}
		id := b.timeOf(r)
		if id < 0 && b.withHistory(j) {
			r = j.in[1]
			id = b.timeOf(r)
		}
		if id < 0 {
			panic(sqlerr.New(sqlerr.FeatureNotSupported, "FOR SYSTEM_TIME AS OF needs a relation with a watermark: its time tells since when a row holds").
				At(t.Right.Offset()).WithHint("Declare WATERMARK FOR a time column of it; join the stream that it is made from, all of whose rows are versions; or join it as it stands: FOR SYSTEM_TIME AS OF PROCTIME()."))
		}
		rt = b.col(id)
		if lt.Type.ID != rt.Type.ID {
			panic(sqlerr.New(sqlerr.DatatypeMismatch, "FOR SYSTEM_TIME AS OF compares %s with the relation's time, of type %s", types.Bare(lt.Type), types.Bare(rt.Type)).At(at.Offset()))
		}
		a.versions = b.versioned(j)
	}
	if lt != nil {
		var ids []int
		j.in[0], ids = b.extend(l, []*expr.Expr{lt})
		a.left = ids[0]
		j.in[1], ids = b.extend(r, []*expr.Expr{rt})
		a.right = ids[0]
	}
	j.out = outOf(j)
	if len(rest) > 0 && (a.kind == "asof" || kind == plan.Left) {
		panic(unsupported(max(rest[0].Pos, t.Offset()), "a condition in %s that is no equality of its two sides", name).
			WithHint("Filter the rows that are joined in a subquery, or what comes out in WHERE."))
	}
	return filter(j, rest...)
}

// refsOf tells whether x names columns of mine, and none of other.
func refsOf(x *expr.Expr, mine, other set) bool {
	s := refs(x)
	return s.meets(mine) && !s.meets(other)
}

// asOfOrder finds the one condition of an ASOF join that orders the times.
func (b *binder) asOfOrder(t *ast.Join, a *asOf, conds []*expr.Expr, lout, rout set) (lt, rt *expr.Expr, rest []*expr.Expr) {
	for _, c := range conds {
		if c.Kind == expr.Call && len(c.Args) == 2 && lt == nil {
			x, y, fn := c.Args[0], c.Args[1], fnName(c.Fn)
			if refsOf(x, rout, lout) && refsOf(y, lout, rout) {
				x, y = y, x
				fn = map[string]string{"<": ">", "<=": ">=", ">": "<", ">=": "<="}[fn]
			}
			if refsOf(x, lout, rout) && refsOf(y, rout, lout) && slices.Contains([]string{"<", "<=", ">", ">="}, fn) {
				x, y = withoutRelabel(x), withoutRelabel(y)
				if x.Type.ID != y.Type.ID || x.Type.Phys() != types.PhysInt {
					panic(unsupported(c.Pos, "an ASOF join by %s and %s", types.Bare(x.Type), types.Bare(y.Type)).
						WithHint("It is joined by times or integers of one type."))
				}
				lt, rt = x, y
				a.strict, a.next = fn == ">" || fn == "<", fn == "<" || fn == "<="
				continue
			}
		}
		rest = append(rest, c)
	}
	if lt == nil {
		panic(sqlerr.New(sqlerr.Syntax, "an ASOF join needs a condition that compares the times of its two sides").
			At(t.Offset()).WithHint("Such as ON a.k = b.k AND a.ts >= b.ts, or USING (k, ts)."))
	}
	return lt, rt, rest
}

// isProctime tells whether at is the processing time: PROCTIME(), or a column of
// the left side that holds it.
func (b *binder) isProctime(at ast.Expr, ls *scope, l *rel) bool {
	switch x := at.(type) {
	case *ast.Call:
		return functionName(x.Name) == "proctime"
	case *ast.ColumnRef:
		if x.Star {
			return false
		}
		c := b.column(ls, x)
		return c.Kind == expr.Col && b.stamped(l, c.Index)
	}
	return false
}

// stamped tells whether column id of r is proctime().
func (b *binder) stamped(r *rel, id int) bool {
	is := func(x *expr.Expr) bool { return x != nil && x.Kind == expr.Call && fnName(x.Fn) == "proctime" }
	i := slices.Index(r.out, id)
	switch r.op {
	case opScan:
		return i >= 0 && is(r.obj.Columns[r.attrs[i]].Generated)
	case opProject:
		if i < 0 {
			return false
		}
		if x := r.exprs[i]; x.Kind == expr.Col {
			return b.stamped(r.in[0], x.Index)
		}
		return is(r.exprs[i])
	case opFilter, opJoin, opAsOf, opWindow, opUnnest, opOver, opTopN:
		for _, in := range r.in {
			if slices.Contains(in.out, id) {
				return b.stamped(in, id)
			}
		}
	}
	return false
}

// timeOf is the column of r that carries its watermark, or -1.
func (b *binder) timeOf(r *rel) int {
	switch r.op {
	case opScan:
		col := r.obj.Time - 1
		if r.obj.Watermark != nil {
			col = r.obj.Watermark.Col
		}
		if i := slices.Index(r.attrs, col); col >= 0 && i >= 0 {
			return r.out[i]
		}
	case opFilter:
		return b.timeOf(r.in[0])
	case opProject:
		t := b.timeOf(r.in[0])
		for i, x := range r.exprs {
			if t >= 0 && x.Kind == expr.Col && x.Index == t {
				return r.out[i]
			}
		}
	}
	return -1
}

// versioned tells whether the right side of j holds but the last version of each
// key that it is joined by.
func (b *binder) versioned(j *rel) bool {
	r := j.in[1]
	for r.op == opFilter || r.op == opProject {
		r = r.in[0]
	}
	if r.op == opScan && (r.obj.Kind == catalog.Source || r.obj.AppendOnly) {
		return false
	}
	key, ok := b.uniqueKey(j.in[1])
	return ok && setOf(key).within(b.joinedBy(j))
}

// joinedBy are the right columns that a join's equalities fix.
func (b *binder) joinedBy(j *rel) set {
	var have set
	out := setOf(j.in[1].out)
	for _, c := range j.conds {
		if x, _, _, ok := equality(c, out); ok && x.Kind == expr.Col {
			have.add(x.Index)
		}
	}
	return have
}

func (b *binder) pushAsOf(r *rel, conds []*expr.Expr) *rel {
	l, rr := setOf(r.in[0].out), setOf(r.in[1].out)
	var left, up []*expr.Expr
	for _, c := range conds {
		if s := refs(c); s.meets(l) && !s.meets(rr) && b.movable(c) {
			left = append(left, c)
		} else {
			up = append(up, c)
		}
	}
	if r.kind == plan.Left && b.anyRejects(up, rr) {
		r.kind = plan.Inner
	}
	r.in[0], r.in[1] = b.push(r.in[0], left), b.push(r.in[1], nil)
	b.joinKeys(r)
	return filter(r, up...)
}

// asOf plans a join with what holds at a row's time.
func (y *physical) asOf(r *rel) *phys {
	a := r.asof
	if a.left >= 0 {
		y.want(a.left, 2)
		y.want(a.right, 2)
	}
	l, rr := y.build(r.in[0]), y.build(r.in[1])
	ls := setOf(l.out)
	var lk, rk []int
	for _, c := range r.conds {
		x, z, _, ok := equalityOf(c)
		if ok {
			x, z = withoutRelabel(x), withoutRelabel(z)
		}
		if !ok || x.Kind != expr.Col || z.Kind != expr.Col || keyClass(x.Type) != keyClass(z.Type) {
			panic(unsupported(c.Pos, "a join with what holds at a time by values of different types"))
		}
		if !ls.has(x.Index) {
			x, z = z, x
		}
		lk, rk = append(lk, x.Index), append(rk, z.Index)
	}
	lk, rk = alongsidePairs(l, rr, lk, rk)
	if a.left >= 0 && y.b.view {
		l, rr = y.knownBy(l, a.left), y.knownBy(rr, a.right)
	}
	l, rr = y.exchange(l, lk), y.exchange(rr, rk)
	p := y.node(plan.Join, append(slices.Clone(l.out), rr.out...), l, rr)
	p.n.Kind = r.kind
	p.n.LeftKey, p.n.RightKey = y.positions(lk, l.out), y.positions(rk, rr.out)
	if p.single = len(lk) == 0; !p.single {
		p.parts = append(p.parts, lk)
		if r.kind == plan.Inner {
			p.parts = append(p.parts, rk)
		}
	}
	if a.kind == "proc" {
		// Ad hoc, the rows arrive now.
		if !y.b.view {
			return p
		}
		p.n.AsOf = &plan.AsOf{Kind: a.kind, LeftTime: -1, RightTime: -1}
		p.n.AppendOnly = l.n.AppendOnly
		timed(p, first(timesOf(l), timeID(l)))
		return p
	}
	p.n.AsOf = &plan.AsOf{Kind: a.kind, LeftTime: y.positions([]int{a.left}, l.out)[0], RightTime: y.positions([]int{a.right}, rr.out)[0],
		Strict: a.strict, Next: a.next, Versions: a.versions}
	// With the next row to come a row may wait for ever.
	if timeID(l) == a.left && !a.next {
		timed(p, []timeCol{{id: a.left, end: l.n.TimeEnd}})
	}
	return p
}

// knownBy is in known by its time id, if that is one.
func (y *physical) knownBy(in *phys, id int) *phys {
	for _, t := range timesOf(in) {
		if t.id == id {
			return y.retimed(in, t)
		}
	}
	return in
}
