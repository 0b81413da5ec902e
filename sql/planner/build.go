package planner

import (
	"github.com/streamsql/streamsql/sql/expr"
	"github.com/streamsql/streamsql/sql/plan"
	"github.com/streamsql/streamsql/sql/types"
)

// colInfo is what is known of a column number.
type colInfo struct {
	name string
	typ  types.Type
	rv   *rangeVar // of the relation in FROM that it is a column of, or nil
}

func (b *binder) newCol(name string, t types.Type) int {
	b.cols = append(b.cols, colInfo{name: name, typ: t})
	return len(b.cols) - 1
}

func (b *binder) copyCol(c int) int {
	b.cols = append(b.cols, b.cols[c])
	return len(b.cols) - 1
}

func (b *binder) col(id int) *expr.Expr {
	return &expr.Expr{Kind: expr.Col, Index: id, Type: b.cols[id].typ, Pos: -1}
}

// oneRow is the relation of one row without columns.
func oneRow() *rel { return &rel{op: opValues, rows: [][]*expr.Expr{{}}} }

func filter(in *rel, conds ...*expr.Expr) *rel {
	if len(conds) == 0 {
		return in
	}
	return &rel{op: opFilter, in: []*rel{in}, out: in.out, conds: conds}
}

func isOneRow(r *rel) bool { return r.op == opValues && len(r.rows) == 1 && len(r.out) == 0 }

func join(kind plan.JoinKind, l, r *rel, conds []*expr.Expr) *rel {
	if kind == plan.Inner {
		switch {
		case isOneRow(l):
			return filter(r, conds...)
		case isOneRow(r):
			return filter(l, conds...)
		}
	}
	j := &rel{op: opJoin, kind: kind, in: []*rel{l, r}, conds: conds}
	if kind == plan.Semi || kind == plan.Anti {
		j.out = l.out
	} else {
		j.out = append(append(make([]int, 0, len(l.out)+len(r.out)), l.out...), r.out...)
	}
	return j
}

// project computes exprs, one for each of ids.
func project(in *rel, ids []int, exprs []*expr.Expr) *rel {
	return &rel{op: opProject, in: []*rel{in}, out: ids, exprs: exprs}
}

// pick keeps the columns ids alone.
func (b *binder) pick(in *rel, ids []int) *rel {
	exprs := make([]*expr.Expr, len(ids))
	for i, c := range ids {
		exprs[i] = b.col(c)
	}
	return project(in, ids, exprs)
}

// extend adds computed columns to those of in. An expression that is a column of
// in already is not computed again. It returns a column for each expression.
func (b *binder) extend(in *rel, xs []*expr.Expr) (*rel, []int) {
	ids := make([]int, len(xs))
	var out []int
	var exprs []*expr.Expr
	var have set
	for i, x := range xs {
		if x.Kind == expr.Col {
			if have == nil {
				have = setOf(in.out)
			}
			if have.has(x.Index) {
				ids[i] = x.Index
				continue
			}
		}
		found := -1
		for j, y := range exprs {
			if j >= len(in.out) && same(x, y) && expr.VolatilityOf(b.env, x) != expr.Volatile {
				found = out[j]
				break
			}
		}
		if found >= 0 {
			ids[i] = found
			continue
		}
		if out == nil {
			out = append(make([]int, 0, len(in.out)+len(xs)), in.out...)
			for _, c := range in.out {
				exprs = append(exprs, b.col(c))
			}
		}
		ids[i] = b.newCol(b.nameOf(x), x.Type)
		out = append(out, ids[i])
		exprs = append(exprs, x)
	}
	if out == nil {
		return in, ids
	}
	return project(in, out, exprs), ids
}

// nameOf names a column after the expression that computes it.
func (b *binder) nameOf(x *expr.Expr) string {
	if x.Kind == expr.Col {
		return b.cols[x.Index].name
	}
	return "?column?"
}

func aggregate(in *rel, keys []int, aggs []aggCall) *rel {
	r := &rel{op: opAgg, in: []*rel{in}, keys: keys, aggs: aggs}
	r.out = append([]int(nil), keys...)
	for i := range aggs {
		r.out = append(r.out, aggs[i].id)
	}
	return r
}

func distinct(in *rel) *rel { return &rel{op: opDistinct, in: []*rel{in}, out: in.out} }

// single reports the aggregates of the catalogue that the planner itself calls.
func (b *binder) aggOf(name string, arg int) aggCall {
	var args []*expr.Expr
	var ids []int
	if arg >= 0 {
		args, ids = []*expr.Expr{b.col(arg)}, []int{arg}
	}
	f, _, err := b.env.Aggregate(name, args, -1)
	if err != nil || f == nil {
		panic(internal("no aggregate %s: %v", name, err))
	}
	t := f.Ret
	if f.Kind == expr.AggSingle || f.Kind == expr.AggAnyValue || f.Kind == expr.AggMin || f.Kind == expr.AggMax {
		t = b.cols[arg].typ
	}
	if f.Kind == expr.AggArray {
		t = types.ArrayOf(b.cols[arg].typ.ID)
	}
	return aggCall{id: b.newCol(name, t), fn: f.Key(), kind: f.Kind, args: ids, filter: -1, typ: t}
}

// same tells whether two bound expressions are the same one.
func same(x, y *expr.Expr) bool {
	if x == y {
		return true
	}
	if x == nil || y == nil || x.Kind != y.Kind || x.Type != y.Type || x.Fn != y.Fn || x.Index != y.Index ||
		len(x.Args) != len(y.Args) || !sameDatum(x.Value, y.Value) {
		return false
	}
	for i := range x.Args {
		if !same(x.Args[i], y.Args[i]) {
			return false
		}
	}
	return true
}

func sameDatum(a, b types.Datum) bool {
	return a.Null == b.Null && a.I == b.I && a.F == b.F && string(a.S) == string(b.S)
}

func constant(t types.ID, d types.Datum) *expr.Expr {
	return &expr.Expr{Kind: expr.Const, Type: types.Of(t), Value: d, Pos: -1}
}

func boolean(v bool) *expr.Expr {
	d := types.Datum{}
	if v {
		d.I = 1
	}
	return constant(types.Bool, d)
}

func null(t types.Type) *expr.Expr {
	return &expr.Expr{Kind: expr.Const, Type: t, Value: types.NullDatum, Pos: -1}
}

// isTrue tells whether x is the constant TRUE.
func isTrue(x *expr.Expr) bool {
	return x.Kind == expr.Const && !x.Value.Null && x.Value.I != 0
}

func isConst(x *expr.Expr) bool { return x.Kind == expr.Const }

func node(k expr.Kind, args ...*expr.Expr) *expr.Expr {
	return &expr.Expr{Kind: k, Type: types.Of(types.Bool), Args: args, Pos: -1}
}

func not(x *expr.Expr) *expr.Expr { return node(expr.Not, x) }

func isNull(x *expr.Expr) *expr.Expr { return node(expr.Null, x) }

// and joins conditions; TRUE for none.
func and(xs ...*expr.Expr) *expr.Expr {
	switch len(xs) {
	case 0:
		return boolean(true)
	case 1:
		return xs[0]
	}
	return node(expr.And, xs...)
}

// conjuncts splits x at its ANDs.
func conjuncts(dst []*expr.Expr, x *expr.Expr) []*expr.Expr {
	if x == nil {
		return dst
	}
	if x.Kind != expr.And {
		return append(dst, x)
	}
	for _, a := range x.Args {
		dst = conjuncts(dst, a)
	}
	return dst
}

// mustCall is a call of the catalogue that cannot fail for the types given.
func (b *binder) mustCall(name string, args ...*expr.Expr) *expr.Expr {
	x, err := b.env.Call(name, args, -1)
	if err != nil {
		panic(internal("%s: %v", name, err))
	}
	return x
}

func (b *binder) int8(v int64) *expr.Expr { return constant(types.Int8, types.Datum{I: v}) }
