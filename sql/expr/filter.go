package expr

import (
	"slices"

	"github.com/streamsql/streamsql/sql/delta"
)

// conjunct is one term of a condition's AND. A hot one narrows a selection by
// itself; the others are evaluated for the rows that are left.
type conjunct struct {
	hot hotFilter
	p   part
}

// hotFilter keeps the rows of sel for which it is true, in place. With nil sel it
// appends the rows of the whole batch to dst.
type hotFilter interface {
	filter(in *delta.Batch, sel []int32, all bool) []int32
}

// conjuncts takes an AND apart. Hot terms come first: they cannot fail, and a
// condition's terms may be evaluated in any order.
func (c *compiler) conjuncts(x *Expr) ([]conjunct, error) {
	terms := []*Expr{x}
	if x.Kind == And {
		terms = x.Args
	}
	var out []conjunct
	for _, t := range terms {
		if t.Kind == And {
			more, err := c.conjuncts(t)
			if err != nil {
				return nil, err
			}
			out = append(out, more...)
			continue
		}
		if h := c.hotFilter(t); h != nil {
			out = append(out, conjunct{hot: h})
			continue
		}
		p, err := c.part(t)
		if err != nil {
			return nil, err
		}
		out = append(out, conjunct{p: p})
	}
	slices.SortStableFunc(out, func(a, b conjunct) int { return int(b2i(a.hot == nil) - b2i(b.hot == nil)) })
	return out, nil
}

// Filter appends to sel[:0] the rows of in for which the expression, a boolean,
// is true. An error is an *EvalError with the row.
func (p *Program) Filter(ctx *Context, in *delta.Batch, sel []int32) ([]int32, error) {
	sel = sel[:0]
	if in.N == 0 {
		return sel, nil
	}
	all := true
	for k := range p.conjs {
		c := &p.conjs[k]
		if c.hot != nil {
			if all {
				sel = sized(sel, in.N)
			}
			sel = c.hot.filter(in, sel, all)
			all = false
			continue
		}
		if all {
			sel = allRows(sel, in.N)
			all = false
		}
		if len(sel) == 0 {
			break
		}
		a, dense, err := c.p.evalSel(ctx, in, sel)
		if err != nil {
			return nil, asEvalError(err)
		}
		sel = keepTrue(a, dense, sel)
	}
	return sel, nil
}

// keepTrue keeps the rows of sel whose value in a is true.
func keepTrue(a Arg, dense bool, sel []int32) []int32 {
	v := a.V
	if a.Mask == 0 {
		if v.I[0] != 0 && !v.Null(0) {
			return sel
		}
		return sel[:0]
	}
	n := 0
	switch {
	case v.Nulls == nil && dense:
		for _, i := range sel {
			sel[n] = i
			n += int(v.I[i])
		}
	case v.Nulls == nil:
		for j, i := range sel {
			sel[n] = i
			n += int(v.I[j])
		}
	default:
		for j, i := range sel {
			if dense {
				j = int(i)
			}
			if v.I[j] != 0 && !v.Null(j) {
				sel[n] = i
				n++
			}
		}
	}
	return sel[:n]
}
