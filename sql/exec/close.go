package exec

import (
	"github.com/streamsql/streamsql/sql/delta"
	"github.com/streamsql/streamsql/sql/plan"
)

// closer is EMIT ON WINDOW CLOSE of what is no aggregate: a row waits until the
// watermark has closed its time; then it is emitted, as often as it is there, and
// never taken back. Its input is exchanged by all columns. Rows without a time
// wait for good.
type closer struct {
	n    *plan.Node
	open timeIndex // key group, time, row → weight
	keys Keys
	out  rowsOut
	groupTime
}

var (
	_ Operator = (*closer)(nil)
	_ Stepper  = (*closer)(nil)
	_ Restorer = (*closer)(nil)
)

func newClose(n *plan.Node, b *builder, worker int) (Operator, error) {
	if b.opts.Batch {
		return &pass{n: n}, nil
	}
	c := &closer{n: n, out: rowsOut{cols: n.Out, step: b.step}}
	c.wm, c.wmBefore = NoWatermark, NoWatermark
	c.timeCol, c.ends = n.Inputs[0].TimeCol(), n.Inputs[0].TimeEnd
	if c.timeCol >= 0 {
		c.lateFn = b.late(n, c.timeCol)
	}
	c.open.init(b.tree(n, 0, worker))
	return c, nil
}

// Apply keeps the rows of b.
func (c *closer) Apply(_ int, b *delta.Batch, _ Emit) error {
	b, err := c.dropLate(b)
	if err != nil || b.N == 0 {
		return err
	}
	var times *delta.Vec
	if c.timeCol >= 0 {
		times = b.Cols[c.timeCol]
	}
	c.keys.Reset()
	for i := range b.N {
		start := len(c.keys.Buf)
		c.keys.Buf = AppendRowEq(append(c.keys.Buf, 0), b.Cols, i)
		g := KeyGroup(c.keys.Buf[start+1:])
		c.keys.Buf = AppendRowKey(append(c.keys.Buf[:start], g), b.Cols, i, nil)
		c.keys.End()
	}
	for i := range b.N {
		t := int64(never)
		if times != nil && !times.Null(i) {
			t = times.I[i]
		}
		c.open.add(c.keys.At(i), t, b.Weight(i))
	}
	return c.open.tree.Err()
}

func (c *closer) Finish(Emit) error { return nil }

// Advance emits what the watermark has closed.
func (c *closer) Advance(wm []int64, out Emit) (int64, error) {
	w := inputTime(c.n, wm)
	if w <= c.wm {
		return w, nil
	}
	c.wm = w
	err := c.open.takeAll(c.limit(), func(key []byte, _, w int64) error {
		if w < 0 {
			return errUnmatched(c.n)
		}
		if _, err := DecodeRow(key[1:], nil, c.out.row(w)); err != nil {
			return err
		}
		return c.out.done(out)
	})
	if err != nil {
		return w, err
	}
	return w, c.out.flush(out)
}

// Commit and Rollback end a step.
func (c *closer) Commit() { c.wmBefore = c.wm }
func (c *closer) Rollback() {
	c.wm = c.wmBefore
	c.out.b = nil
	c.open.forget()
}

// Restore takes the watermark up after a restart.
func (c *closer) Restore(wm []int64) {
	c.wm = inputTime(c.n, wm)
	c.wmBefore = c.wm
	c.open.forget()
}

// NextClose returns the watermark at which a row is emitted next.
func (c *closer) NextClose() int64 { return c.nextOf(&c.open) }

// nextOf returns the watermark at which the first entry of an index is closed.
func (g *groupTime) nextOf(x *timeIndex) int64 {
	t := x.next()
	if t == never {
		return t
	}
	if g.ends {
		t--
	}
	return t
}
