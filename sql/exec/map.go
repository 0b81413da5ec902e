package exec

import (
	"errors"

	"github.com/streamsql/streamsql/sql/delta"
	"github.com/streamsql/streamsql/sql/expr"
	"github.com/streamsql/streamsql/sql/plan"
)

// mapOp keeps the rows for which the filter is true and projects them. Columns
// that an expression only names are shared, not copied, as long as no row was
// dropped.
type mapOp struct {
	n      *plan.Node
	in     []plan.Column
	step   *stepInfo
	filter *expr.Program
	exprs  []mapExpr
	needed []int // input columns that exprs read; unused if there is no filter
	sel    []int32
}

// mapExpr is an output column: a program, or the input column col.
type mapExpr struct {
	p   *expr.Program
	col int
}

var _ Operator = (*mapOp)(nil)

func newMap(n *plan.Node, b *builder, worker int) (Operator, error) {
	m := &mapOp{n: n, in: n.Inputs[0].Out, step: b.step}
	var err error
	if n.Filter != nil {
		if m.filter, err = b.compile(n.Filter); err != nil {
			return nil, err
		}
	}
	used := make([]bool, len(m.in))
	if n.Exprs == nil {
		for c := range m.in {
			m.exprs = append(m.exprs, mapExpr{col: c})
			used[c] = true
		}
	}
	for _, x := range n.Exprs {
		e := mapExpr{col: x.Index}
		if x.Kind != expr.Col {
			if e.p, err = b.compile(x); err != nil {
				return nil, err
			}
		}
		m.exprs = append(m.exprs, e)
		markColumns(x, used)
	}
	for c, u := range used {
		if u {
			m.needed = append(m.needed, c)
		}
	}
	if n.Keep && !b.opts.Batch && !n.Inputs[0].AppendOnly {
		return newMapKeep(m, b, worker), nil
	}
	return m, nil
}

// markColumns marks the input columns that x reads.
func markColumns(x *expr.Expr, used []bool) {
	if x.Kind == expr.Col && x.Index < len(used) {
		used[x.Index] = true
	}
	for _, a := range x.Args {
		markColumns(a, used)
	}
}

func (m *mapOp) Apply(_ int, b *delta.Batch, out Emit) error {
	o, _, err := m.project(b)
	if err != nil || o == nil {
		return err
	}
	return out(o)
}

// project returns the output of b, nil if no row is left, and the rows of b that
// it stands for, in order; nil: all.
func (m *mapOp) project(b *delta.Batch) (*delta.Batch, []int32, error) {
	in := b
	var sel []int32
	if m.filter != nil {
		kept, err := m.filter.Filter(m.step.ctx, b, m.sel)
		if err != nil {
			return nil, nil, rowError(err, m.n, b, m.in)
		}
		m.sel = kept
		switch len(kept) {
		case 0:
			return nil, nil, nil
		case b.N:
		default:
			sel = kept
			in = &delta.Batch{N: len(sel), Cols: make([]*delta.Vec, len(b.Cols)), W: gatherWeights(b.W, sel)}
			for _, c := range m.needed {
				in.Cols[c] = b.Cols[c].Gather(sel)
			}
		}
	}
	o := &delta.Batch{N: in.N, W: in.W, Cols: make([]*delta.Vec, len(m.exprs))}
	for i, e := range m.exprs {
		if e.p == nil {
			o.Cols[i] = in.Cols[e.col]
			continue
		}
		v, err := e.p.Eval(m.step.ctx, in)
		if err != nil {
			var ev *expr.EvalError
			if in != b && errors.As(err, &ev) && ev.Row >= 0 && ev.Row < in.N {
				err = &expr.EvalError{Row: int(m.sel[ev.Row]), Err: ev.Err}
			}
			return nil, nil, rowError(err, m.n, b, m.in)
		}
		o.Cols[i] = v
	}
	return o, sel, nil
}

func gatherWeights(w []int64, sel []int32) []int64 {
	if w == nil {
		return nil
	}
	o := make([]int64, len(sel))
	for k, i := range sel {
		o[k] = w[i]
	}
	return o
}

func (m *mapOp) Finish(Emit) error { return nil }

// Advance passes the watermark on; that of a window's start lags by its size.
func (m *mapOp) Advance(wm []int64, _ Emit) (int64, error) {
	t := inputTime(m.n, wm)
	if t > NoWatermark+m.n.Lag {
		t -= m.n.Lag
	}
	return t, nil
}
