package exec

import (
	"github.com/streamsql/streamsql/sql/delta"
	"github.com/streamsql/streamsql/sql/expr"
	"github.com/streamsql/streamsql/sql/plan"
	"github.com/streamsql/streamsql/sql/sqlerr"
	"github.com/streamsql/streamsql/sql/types"
)

// unnest joins each row with the rows of a set-returning function of it, in
// batches of bounded size however large the set is.
type unnest struct {
	n     *plan.Node
	in    []plan.Column
	step  *stepInfo
	args  []*expr.Program
	types []types.Type
	out   rowsOut
}

var _ Operator = (*unnest)(nil)

func newUnnest(n *plan.Node, b *builder, _ int) (Operator, error) {
	u := &unnest{n: n, step: b.step, out: rowsOut{cols: n.Out, step: b.step}}
	if len(n.Inputs) > 0 {
		u.in = n.Inputs[0].Out
	}
	for _, x := range n.Exprs {
		p, err := b.compile(x)
		if err != nil {
			return nil, err
		}
		u.args = append(u.args, p)
		u.types = append(u.types, x.Type)
	}
	if len(n.Out) < len(u.in) {
		return nil, sqlerr.New(sqlerr.Internal, "node %d has fewer columns than its input", n.ID)
	}
	if len(n.Inputs) == 0 {
		return unnestOnce{u}, nil
	}
	return u, nil
}

func (u *unnest) Apply(_ int, b *delta.Batch, out Emit) error {
	vecs := make([]*delta.Vec, len(u.args))
	for a, p := range u.args {
		v, err := p.Eval(u.step.ctx, b)
		if err != nil {
			return rowError(err, u.n, b, u.in)
		}
		vecs[a] = v
	}
	args := make([]types.Datum, len(vecs))
	for i := range b.N {
		for a, v := range vecs {
			args[a] = v.Datum(i)
		}
		if err := u.set(b, i, args, out); err != nil {
			return err
		}
	}
	return u.out.flush(out)
}

// set emits row i of b with each row of its set.
func (u *unnest) set(b *delta.Batch, i int, args []types.Datum, out Emit) error {
	w, ord := b.Weight(i), int64(0)
	width := len(u.n.Out) - len(b.Cols)
	if u.n.Ordinality {
		width--
	}
	for row, err := range expr.EvalSet(u.n.SetFn, u.step.ctx, args, u.types) {
		if err != nil {
			return rowError(&expr.EvalError{Row: i, Err: err}, u.n, b, u.in)
		}
		if len(row) != width {
			return sqlerr.New(sqlerr.Internal, "%s gave %d columns, not %d", u.n.SetFn, len(row), width)
		}
		cols := u.out.row(w)
		for c, v := range b.Cols {
			cols[c].AppendFrom(v, i)
		}
		for c, d := range row {
			cols[len(b.Cols)+c].AppendDatum(d)
		}
		if u.n.Ordinality {
			ord++
			cols[len(cols)-1].AppendInt(ord)
		}
		if err := u.out.done(out); err != nil {
			return err
		}
	}
	return nil
}

func (u *unnest) Finish(Emit) error { return nil }

func (u *unnest) Advance(wm []int64, _ Emit) (int64, error) { return inputTime(u.n, wm), nil }

// unnestOnce is a set-returning function of constants.
type unnestOnce struct{ *unnest }

var _ Starter = unnestOnce{}

func (u unnestOnce) Start(out Emit) error {
	return u.Apply(0, &delta.Batch{N: 1}, out)
}
