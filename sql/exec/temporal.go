package exec

import (
	"github.com/streamsql/streamsql/sql/delta"
	"github.com/streamsql/streamsql/sql/expr"
	"github.com/streamsql/streamsql/sql/plan"
	"github.com/streamsql/streamsql/sql/types"
)

// temporal is a filter that names the clock. It keeps each row until the clock
// reaches the next time at which the filter may change for it, and looks again
// then; a row for which there is no such time is not kept, whether it is in or
// out. What a row is at a clock depends on the row and the clock alone, so the
// operator is linear: a retraction meets its row, wherever that stands, by
// going the same way.
type temporal struct {
	n      *plan.Node
	step   *stepInfo
	filter *expr.Program
	next   []*expr.Program
	q      *dueQueue // nil in Batch
	sel    []int32
	in     []bool
	taken  dueRows
}

var (
	_ Operator = (*temporal)(nil)
	_ Ticker   = (*temporal)(nil)
	_ Stepper  = (*temporal)(nil)
)

func newTemporal(n *plan.Node, b *builder, worker int) (Operator, error) {
	t := &temporal{n: n, step: b.step}
	var err error
	if t.filter, err = b.compile(n.Filter); err != nil {
		return nil, err
	}
	if b.opts.Batch {
		return t, nil
	}
	for _, x := range n.Exprs {
		p, err := b.compile(x)
		if err != nil {
			return nil, err
		}
		t.next = append(t.next, p)
	}
	t.q = newDueQueue(b, n, worker)
	return t, nil
}

func (t *temporal) Apply(_ int, b *delta.Batch, out Emit) error {
	if err := t.look(b); err != nil {
		return err
	}
	if t.q != nil {
		if err := t.wait(b); err != nil {
			return err
		}
	}
	switch len(t.sel) {
	case 0:
		return nil
	case b.N:
		return out(b)
	}
	return out(gather(b, t.sel))
}

// look evaluates the filter.
func (t *temporal) look(b *delta.Batch) error {
	sel, err := t.filter.Filter(t.step.ctx, b, t.sel)
	if err != nil {
		return rowError(err, t.n, b, t.n.Inputs[0].Out)
	}
	t.sel = sel
	if cap(t.in) < b.N {
		t.in = make([]bool, b.N)
	}
	t.in = t.in[:b.N]
	clear(t.in)
	for _, i := range sel {
		t.in[i] = true
	}
	return nil
}

// wait puts the rows of b where the clock will find them.
func (t *temporal) wait(b *delta.Batch) error {
	now := t.step.ctx.Now
	at := make([]int64, b.N) // 0: never; no change is due at or before now
	for _, p := range t.next {
		v, err := p.Eval(t.step.ctx, b)
		if err != nil {
			return rowError(err, t.n, b, t.n.Inputs[0].Out)
		}
		for i, x := range v.I[:b.N] {
			if x > now && (at[i] == 0 || x < at[i]) && !v.Null(i) && !types.Infinite(x) {
				at[i] = x
			}
		}
	}
	for i, x := range at {
		if x > now {
			flag := byte(0)
			if t.in[i] {
				flag = 1
			}
			t.q.add(x, flag, b.Cols, i, b.Weight(i))
		}
	}
	return nil
}

func (t *temporal) Finish(Emit) error { return nil }

// Tick looks again at the rows whose time has come.
func (t *temporal) Tick(now int64, out Emit) error {
	if t.q == nil {
		return nil
	}
	for rows := 0; t.step.ticks == 0 || rows < t.step.ticks; {
		ok, err := t.q.take(now, t.n.Out, &t.taken)
		if err != nil || !ok {
			return err
		}
		b := t.taken.b
		rows += b.N
		if err := t.look(b); err != nil {
			return err
		}
		if err := t.wait(b); err != nil {
			return err
		}
		o := t.sel[:0]
		w := make([]int64, 0, b.N)
		for i, in := range t.in {
			if was := t.taken.flags[i] == 1; was == in {
				continue
			}
			x := b.W[i]
			if !in {
				x = -x
			}
			o, w = append(o, int32(i)), append(w, x)
		}
		t.sel = o
		if len(o) == 0 {
			continue
		}
		g := gather(b, o)
		if g.W = w; allOnes(w) {
			g.W = nil
		}
		if err := out(g); err != nil {
			return err
		}
	}
	return nil
}

// Due is the time of the next row.
func (t *temporal) Due() int64 {
	if t.q == nil {
		return never
	}
	return t.q.due()
}

// Advance passes the watermark on. The planner gives the operator no time when
// what it lets through late, or takes back, would be behind it.
func (t *temporal) Advance(wm []int64, _ Emit) (int64, error) { return inputTime(t.n, wm), nil }

// Commit and Rollback end a step.
func (t *temporal) Commit() {}

// Rollback undoes it.
func (t *temporal) Rollback() {
	if t.q != nil {
		t.q.rollback()
	}
}
