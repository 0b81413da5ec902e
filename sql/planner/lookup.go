package planner

import (
	"slices"

	"github.com/streamsql/streamsql/sql/catalog"
	"github.com/streamsql/streamsql/sql/expr"
)

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
