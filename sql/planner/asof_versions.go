package planner

import (
	"github.com/streamsql/streamsql/sql/catalog"
	"github.com/streamsql/streamsql/sql/expr"
	"github.com/streamsql/streamsql/sql/plan"
	"github.com/streamsql/streamsql/sql/types"
)

// lastRows is a relation of the last row of each key of a stream, by its time.
type lastRows struct {
	all   *rel  // the same columns, of all rows
	keys  []int // columns
	rank  int   // the column of the rank, -1: none
	first bool  // rows of rank 1 alone
}

// allVersions gives the history of a relation that holds the last row of each key
// of an append-only stream: DISTINCT ON (key) … ORDER BY key, time DESC, or
// ROW_NUMBER() … = 1. All rows of the stream are its versions.
func (b *binder) allVersions(r *rel) (*lastRows, bool) {
	switch r.op {
	case opTopN:
		in := r.in[0]
		t := b.timeOf(in)
		if t < 0 || !grows(in) || r.offset != 0 || r.ties || r.rank != "" && r.rank != "row_number" || len(r.keys) == 0 {
			return nil, false
		}
		keys := setOf(r.keys)
		for _, k := range r.order {
			if keys.has(k.col) {
				continue
			}
			if k.col != t || !k.desc {
				return nil, false
			}
			l := &lastRows{all: in, keys: r.keys, rank: -1, first: r.limit == 1}
			if r.rank != "" {
				l.rank = r.out[len(r.out)-1]
				one := &expr.Expr{Kind: expr.Const, Type: b.cols[l.rank].typ, Value: types.Datum{I: 1}, Pos: -1}
				l.all = project(in, r.out, append(b.colsOf(in.out), one))
			}
			return l, true
		}
	case opFilter:
		l, ok := b.allVersions(r.in[0])
		if !ok {
			return nil, false
		}
		for _, c := range r.conds {
			if n, exact, ok := upperBound(b.fold(c), l.rank); !ok || !exact || n != 1 {
				return nil, false
			}
			l.first = true
		}
		return l, true
	case opProject:
		l, ok := b.allVersions(r.in[0])
		if !ok {
			return nil, false
		}
		keys := make([]int, len(l.keys))
		for i, k := range l.keys {
			if keys[i] = projected(r, k); keys[i] < 0 {
				return nil, false
			}
		}
		rank := -1
		if l.rank >= 0 {
			rank = projected(r, l.rank)
		}
		return &lastRows{project(l.all, r.out, r.exprs), keys, rank, l.first}, true
	}
	return nil, false
}

// grows tells whether r is made of the rows of a stream one by one.
func grows(r *rel) bool {
	for r.op == opFilter || r.op == opProject {
		r = r.in[0]
	}
	return r.op == opScan && (r.obj.Kind == catalog.Source || r.obj.AppendOnly)
}

// withHistory puts the history of j's right side in its place, if that is what an
// allVersions has by the keys that it is joined by.
func (b *binder) withHistory(j *rel) bool {
	l, ok := b.allVersions(j.in[1])
	if !ok || !l.first {
		return false
	}
	keys, by := setOf(l.keys), b.joinedBy(&rel{in: []*rel{j.in[0], l.all}, conds: j.conds, kind: plan.Inner})
	if !keys.within(by) || !by.within(keys) {
		return false
	}
	j.in[1] = l.all
	return true
}
