package expr

import (
	"strings"

	"github.com/streamsql/streamsql/sql/delta"
	"github.com/streamsql/streamsql/sql/types"
)

// bare strips casts that leave every value as it is.
func bare(x *Expr) *Expr {
	for x.Kind == Cast && relabels(x.Args[0].Type, x.Type) {
		x = x.Args[0]
	}
	return x
}

// hotFilter finds the terms that have a loop of their own: comparisons of
// columns with constants and with each other, IS [NOT] NULL, boolean columns.
func (c *compiler) hotFilter(x *Expr) hotFilter {
	switch x.Kind {
	case Col:
		return &boolFilter{col: x.Index, want: 1}
	case Null:
		if a := bare(x.Args[0]); a.Kind == Col {
			return &nullFilter{col: a.Index, want: 1}
		}
	case Not:
		a := bare(x.Args[0])
		if a.Kind == Col {
			return &boolFilter{col: a.Index}
		}
		if a.Kind == Null {
			if b := bare(a.Args[0]); b.Kind == Col {
				return &nullFilter{col: b.Index}
			}
		}
	case Call:
		return c.hotCompare(x)
	}
	return nil
}

func (c *compiler) hotCompare(x *Expr) hotFilter {
	name, _, _ := strings.Cut(x.Fn, "(")
	op, ok := cmpOps[name]
	if !ok || len(x.Args) != 2 || byKey[x.Fn] == nil {
		return nil
	}
	if f, ok := c.env.Func(x.Fn); !ok || f != byKey[x.Fn] {
		return nil
	}
	l, r := bare(x.Args[0]), bare(x.Args[1])
	if l.Kind == Const {
		l, r, op = r, l, op.flip()
	}
	t := x.Args[0].Type
	if l.Kind != Col || t.Phys() != x.Args[1].Type.Phys() || l.Type.Phys() != t.Phys() || r.Type.Phys() != t.Phys() {
		return nil
	}
	switch {
	case r.Kind == Col && t.Phys() == types.PhysInt:
		return &colsFilter{a: l.Index, b: r.Index, op: op}
	case r.Kind != Const || r.Value.Null:
		return nil
	case t.Phys() == types.PhysInt:
		return &intFilter{col: l.Index, k: r.Value.I, op: op}
	case t.Phys() == types.PhysFloat && r.Value.F == r.Value.F:
		return &floatFilter{col: l.Index, k: r.Value.F, op: op}
	case plainEq(t) && op <= opNe && plainEq(x.Args[1].Type):
		return &bytesFilter{col: l.Index, k: string(r.Value.S), ne: op == opNe}
	}
	return nil
}

var cmpOps = map[string]cmpOp{"=": opEq, "<>": opNe, "!=": opNe, "<": opLt, "<=": opLe, ">": opGt, ">=": opGe}

type intFilter struct {
	col int
	k   int64
	op  cmpOp
}

func (f *intFilter) filter(in *delta.Batch, sel []int32, all bool) []int32 {
	v := in.Cols[f.col]
	if all {
		sel = selectConst(v.I[:in.N], f.k, f.op, sel)
	} else {
		sel = narrowConst(v.I, f.k, f.op, sel)
	}
	return dropNulls(v, sel)
}

type floatFilter struct {
	col int
	k   float64
	op  cmpOp
}

func (f *floatFilter) filter(in *delta.Batch, sel []int32, all bool) []int32 {
	v := in.Cols[f.col]
	if all {
		sel = selectConst(v.F[:in.N], f.k, f.op, sel)
	} else {
		sel = narrowConst(v.F, f.k, f.op, sel)
	}
	return dropNulls(v, sel)
}

// dropNulls takes the rows that are NULL in v out of sel.
func dropNulls(v *delta.Vec, sel []int32) []int32 {
	if v.Nulls == nil {
		return sel
	}
	n := 0
	for _, i := range sel {
		sel[n] = i
		n += int(v.Nulls[i>>6]>>(uint(i)&63)&1 ^ 1)
	}
	return sel[:n]
}

// selectConst writes to sel the rows for which x op k. A row is always written
// and kept if the comparison holds, so that there is no branch to mispredict.
func selectConst[T int64 | float64](x []T, k T, op cmpOp, sel []int32) []int32 {
	sel = sel[:len(x)]
	n := 0
	switch op {
	case opEq:
		for i := range x {
			sel[n] = int32(i)
			n += int(b2i(x[i] == k))
		}
	case opNe:
		for i := range x {
			sel[n] = int32(i)
			n += int(b2i(x[i] != k))
		}
	case opLt:
		for i := range x {
			sel[n] = int32(i)
			n += int(b2i(x[i] < k))
		}
	case opLe:
		for i := range x {
			sel[n] = int32(i)
			n += int(b2i(x[i] <= k))
		}
	case opGt:
		for i := range x {
			sel[n] = int32(i)
			n += int(b2i(x[i] <= k) ^ 1)
		}
	case opGe:
		for i := range x {
			sel[n] = int32(i)
			n += int(b2i(x[i] < k) ^ 1)
		}
	}
	return sel[:n]
}

func narrowConst[T int64 | float64](x []T, k T, op cmpOp, sel []int32) []int32 {
	n := 0
	switch op {
	case opEq:
		for _, i := range sel {
			sel[n] = i
			n += int(b2i(x[i] == k))
		}
	case opNe:
		for _, i := range sel {
			sel[n] = i
			n += int(b2i(x[i] != k))
		}
	case opLt:
		for _, i := range sel {
			sel[n] = i
			n += int(b2i(x[i] < k))
		}
	case opLe:
		for _, i := range sel {
			sel[n] = i
			n += int(b2i(x[i] <= k))
		}
	case opGt:
		for _, i := range sel {
			sel[n] = i
			n += int(b2i(x[i] <= k) ^ 1)
		}
	case opGe:
		for _, i := range sel {
			sel[n] = i
			n += int(b2i(x[i] < k) ^ 1)
		}
	}
	return sel[:n]
}

type colsFilter struct {
	a, b int
	op   cmpOp
}

func (f *colsFilter) filter(in *delta.Batch, sel []int32, all bool) []int32 {
	a, b := in.Cols[f.a], in.Cols[f.b]
	if all {
		sel = allRows(sel, in.N)
	}
	x, y, op := a.I, b.I, f.op
	if op == opGt || op == opGe {
		x, y, op = y, x, op.flip()
	}
	n := 0
	switch op {
	case opEq:
		for _, i := range sel {
			sel[n] = i
			n += int(b2i(x[i] == y[i]))
		}
	case opNe:
		for _, i := range sel {
			sel[n] = i
			n += int(b2i(x[i] != y[i]))
		}
	case opLt:
		for _, i := range sel {
			sel[n] = i
			n += int(b2i(x[i] < y[i]))
		}
	case opLe:
		for _, i := range sel {
			sel[n] = i
			n += int(b2i(x[i] <= y[i]))
		}
	}
	return dropNulls(b, dropNulls(a, sel[:n]))
}

type bytesFilter struct {
	col int
	k   string
	ne  bool
}

func (f *bytesFilter) filter(in *delta.Batch, sel []int32, all bool) []int32 {
	v := in.Cols[f.col]
	if all {
		sel = allRows(sel, in.N)
	}
	n := 0
	for _, i := range sel {
		lo, hi := v.Off[i], v.Off[i+1]
		sel[n] = i
		if (int(hi-lo) == len(f.k) && string(v.Buf[lo:hi]) == f.k) != f.ne {
			n++
		}
	}
	return dropNulls(v, sel[:n])
}

type boolFilter struct {
	col  int
	want int64
}

func (f *boolFilter) filter(in *delta.Batch, sel []int32, all bool) []int32 {
	v := in.Cols[f.col]
	if all {
		sel = selectConst(v.I[:in.N], f.want, opEq, sel)
	} else {
		sel = narrowConst(v.I, f.want, opEq, sel)
	}
	return dropNulls(v, sel)
}

type nullFilter struct {
	col  int
	want uint64 // 1: IS NULL
}

func (f *nullFilter) filter(in *delta.Batch, sel []int32, all bool) []int32 {
	v := in.Cols[f.col]
	if v.Nulls == nil {
		switch {
		case f.want == 1:
			return sel[:0]
		case all:
			return allRows(sel, in.N)
		}
		return sel
	}
	if all {
		sel = allRows(sel, in.N)
	}
	n := 0
	for _, i := range sel {
		sel[n] = i
		n += int(v.Nulls[i>>6]>>(uint(i)&63)&1 ^ f.want ^ 1)
	}
	return sel[:n]
}
