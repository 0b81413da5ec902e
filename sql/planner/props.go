package planner

import (
	"slices"

	"github.com/streamsql/streamsql/sql/expr"
	"github.com/streamsql/streamsql/sql/plan"
)

// nonNull tells whether column id of r is never NULL.
func (b *binder) nonNull(r *rel, id int) bool {
	switch r.op {
	case opScan:
		for i, c := range r.out {
			if c == id {
				a := r.attrs[i]
				return r.obj.Columns[a].NotNull || slices.Contains(r.obj.PrimaryKey, a)
			}
		}
	case opValues:
		i := slices.Index(r.out, id)
		if i < 0 {
			return false
		}
		for _, row := range r.rows {
			if !isConst(row[i]) || row[i].Value.Null {
				return false
			}
		}
		return true
	case opFilter:
		for _, c := range r.conds {
			if b.rejects(c, set(nil).with(id)) {
				return true
			}
		}
		return b.nonNull(r.in[0], id)
	case opProject:
		i := slices.Index(r.out, id)
		return i >= 0 && b.exprNonNull(r.exprs[i], r.in[0])
	case opJoin, opAsOf:
		for _, in := range r.in {
			if !slices.Contains(in.out, id) {
				continue
			}
			left := in == r.in[0]
			if r.kind == plan.Full || r.kind == plan.Left && !left || r.kind == plan.Right && left {
				return false
			}
			return b.nonNull(in, id)
		}
	case opAgg:
		for i := range r.aggs {
			if a := &r.aggs[i]; a.id == id {
				return a.kind == expr.AggCount || a.kind == expr.AggCountStar
			}
		}
		return slices.Contains(r.keys, id) && b.nonNull(r.in[0], id)
	case opDistinct, opTopN, opOver, opWindow, opUnnest:
		if slices.Contains(r.in[0].out, id) {
			return b.nonNull(r.in[0], id)
		}
		return r.op == opTopN || r.op == opWindow && slices.Contains(r.out, id)
	case opUnion, opSetOp:
		i := slices.Index(r.out, id)
		if i < 0 {
			return false
		}
		for j, in := range r.in {
			if !b.nonNull(in, r.cols[j][i]) {
				return false
			}
		}
		return true
	}
	return false
}

func (b *binder) exprNonNull(x *expr.Expr, in *rel) bool {
	switch x.Kind {
	case expr.Const:
		return !x.Value.Null
	case expr.Col:
		return b.nonNull(in, x.Index)
	case expr.Null:
		return true
	case expr.Cast:
		return b.exprNonNull(x.Args[0], in)
	case expr.Coal:
		for _, a := range x.Args {
			if b.exprNonNull(a, in) {
				return true
			}
		}
	}
	return false
}

func (s set) with(id int) set {
	t := s.clone()
	t.add(id)
	return t
}

// rejects tells whether cond is not TRUE when all columns of s are NULL.
func (b *binder) rejects(cond *expr.Expr, s set) bool {
	switch cond.Kind {
	case expr.And:
		for _, a := range cond.Args {
			if b.rejects(a, s) {
				return true
			}
		}
		return false
	case expr.Or:
		for _, a := range cond.Args {
			if !b.rejects(a, s) {
				return false
			}
		}
		return true
	case expr.Const:
		return cond.Value.Null || cond.Value.I == 0
	case expr.Not:
		if n := cond.Args[0]; n.Kind == expr.Null {
			return b.nullWith(n.Args[0], s)
		}
	}
	return b.nullWith(cond, s)
}

// nullWith tells whether x is NULL when all columns of s are.
func (b *binder) nullWith(x *expr.Expr, s set) bool {
	switch x.Kind {
	case expr.Col:
		return s.has(x.Index)
	case expr.Const:
		return x.Value.Null
	case expr.Cast, expr.Not:
		return b.nullWith(x.Args[0], s)
	case expr.In:
		return b.nullWith(x.Args[0], s)
	case expr.Call:
		f, ok := b.env.Func(x.Fn)
		if !ok || f.NotNull {
			return false
		}
		for _, a := range x.Args {
			if b.nullWith(a, s) {
				return true
			}
		}
	case expr.And, expr.Or:
		for _, a := range x.Args {
			if !b.nullWith(a, s) {
				return false
			}
		}
		return len(x.Args) > 0
	}
	return false
}

// uniqueKey returns columns of r that together are different for each row; false
// when none are known.
func (b *binder) uniqueKey(r *rel) ([]int, bool) {
	switch r.op {
	case opScan:
		if len(r.obj.PrimaryKey) == 0 {
			return nil, false
		}
		var ids []int
		for _, a := range r.obj.PrimaryKey {
			i := slices.Index(r.attrs, a)
			if i < 0 {
				return nil, false
			}
			ids = append(ids, r.out[i])
		}
		return ids, true
	case opValues:
		return nil, len(r.rows) <= 1
	case opFilter:
		return b.uniqueKey(r.in[0])
	case opProject:
		k, ok := b.uniqueKey(r.in[0])
		if !ok {
			return nil, false
		}
		ids := make([]int, len(k))
		for i, c := range k {
			at := slices.IndexFunc(r.exprs, func(x *expr.Expr) bool { return x.Kind == expr.Col && x.Index == c })
			if at < 0 {
				return nil, false
			}
			ids[i] = r.out[at]
		}
		return ids, true
	case opAgg:
		return r.keys, true
	case opDistinct:
		if k, ok := b.uniqueKey(r.in[0]); ok {
			return k, true
		}
		return r.out, true
	case opTopN:
		if r.limit == 1 && !r.ties && (r.rank == "" || r.rank == "row_number") {
			return r.keys, true
		}
		if k, ok := b.uniqueKey(r.in[0]); ok {
			return k, true
		}
		if r.rank == "row_number" {
			return append(slices.Clone(r.keys), r.out[len(r.out)-1]), true
		}
	case opOver:
		return b.uniqueKey(r.in[0])
	case opSetOp:
		if !r.all {
			return r.out, true
		}
	case opJoin:
		return b.joinKey(r)
	case opAsOf:
		if r.asof.kind == "proc" {
			k, ok := b.uniqueKey(r.in[1])
			if !ok || !setOf(k).within(b.joinedBy(r)) {
				return nil, false
			}
		}
		return b.uniqueKey(r.in[0])
	case opWindow:
		k, ok := b.uniqueKey(r.in[0])
		if !ok {
			return nil, false
		}
		return append(slices.Clone(k), r.made[1]), true // the windows of CUMULATE share their start
	}
	return nil, false
}

func (b *binder) joinKey(r *rel) ([]int, bool) {
	l, lok := b.uniqueKey(r.in[0])
	if r.kind == plan.Semi || r.kind == plan.Anti {
		return l, lok
	}
	k, rok := b.uniqueKey(r.in[1])
	if !lok || !rok || r.kind == plan.Full {
		return nil, false
	}
	// A side whose key the condition fixes adds no rows.
	fixed := func(key []int, mine *rel) bool {
		have := set{}
		out := setOf(mine.out)
		for _, c := range r.conds {
			if x, _, _, ok := equality(c, out); ok && x.Kind == expr.Col {
				have.add(x.Index)
			}
		}
		return setOf(key).within(have)
	}
	switch {
	case r.kind != plan.Right && fixed(k, r.in[1]):
		return l, true
	case r.kind != plan.Left && fixed(l, r.in[0]):
		return k, true
	}
	return append(slices.Clone(l), k...), true
}
