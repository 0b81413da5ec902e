package exec

import (
	"github.com/streamsql/streamsql/sql/delta"
	"github.com/streamsql/streamsql/sql/expr"
	"github.com/streamsql/streamsql/sql/plan"
	"github.com/streamsql/streamsql/sql/sqlerr"
	"github.com/streamsql/streamsql/sql/types"
)

// pass hands on what it gets: a Scan, a Union.
type pass struct{ n *plan.Node }

var _ Operator = (*pass)(nil)

func (p *pass) Apply(_ int, b *delta.Batch, out Emit) error {
	for i := range p.n.Out {
		// A union's columns have its own types, of the same physical form: rows of
		// varchar come out as text.
		if i < len(b.Cols) && b.Cols[i].T != p.n.Out[i].Type {
			return out(retyped(b, p.n.Out))
		}
	}
	return out(b)
}

// retyped returns b with its columns' types set.
func retyped(b *delta.Batch, cols []plan.Column) *delta.Batch {
	o := &delta.Batch{N: b.N, W: b.W, Cols: make([]*delta.Vec, len(b.Cols))}
	for i, v := range b.Cols {
		if v.T != cols[i].Type && v.T.Phys() == cols[i].Type.Phys() {
			c := *v
			c.T = cols[i].Type
			v = &c
		}
		o.Cols[i] = v
	}
	return o
}

func (p *pass) Finish(Emit) error { return nil }

func (p *pass) Advance(wm []int64, _ Emit) (int64, error) {
	if p.n.Op == plan.Scan {
		return wm[0], nil
	}
	return inputTime(p.n, wm), nil
}

// values emits constant rows, once.
type values struct {
	n    *plan.Node
	env  *expr.Env
	step *stepInfo
	out  rowsOut
}

var _ Starter = (*values)(nil)

func newValues(n *plan.Node, b *builder, _ int) (Operator, error) {
	bad := func(width int) error {
		return sqlerr.New(sqlerr.Internal, "a row of node %d has %d columns, not %d", n.ID, width, len(n.Out))
	}
	for _, r := range n.Rows {
		if len(r) != len(n.Out) {
			return nil, bad(len(r))
		}
	}
	for _, r := range n.Cells {
		if len(r) != len(n.Out) {
			return nil, bad(len(r))
		}
	}
	return &values{n: n, env: b.opts.Env, step: b.step, out: rowsOut{cols: n.Out, step: b.step}}, nil
}

func (v *values) Start(out Emit) error {
	for _, r := range v.n.Rows {
		cols := v.out.row(1)
		for c, d := range r {
			cols[c].AppendDatum(d)
		}
		if err := v.out.done(out); err != nil {
			return err
		}
	}
	for _, r := range v.n.Cells {
		ds := make([]types.Datum, len(r))
		for c, x := range r {
			var err error
			if ds[c], err = expr.EvalConst(v.env, x, v.step.ctx); err != nil {
				return err
			}
		}
		cols := v.out.row(1)
		for c, d := range ds {
			cols[c].AppendDatum(d)
		}
		if err := v.out.done(out); err != nil {
			return err
		}
	}
	return v.out.flush(out)
}

func (v *values) Apply(int, *delta.Batch, Emit) error {
	return sqlerr.New(sqlerr.Internal, "constant rows have no input")
}
func (v *values) Finish(Emit) error                    { return nil }
func (v *values) Advance([]int64, Emit) (int64, error) { return NoWatermark, nil }
