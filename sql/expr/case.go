package expr

import (
	"github.com/streamsql/streamsql/sql/delta"
	"github.com/streamsql/streamsql/sql/types"
)

// chosen collects, row by row, where a result comes from: part which[i], row
// at[i] of it. Only then is the output put together.
type chosen struct {
	t     types.Type
	which []int32
	at    []int32
	args  []Arg
	rows  []int32 // still open
	taken []int32
	buf   buffer
}

func (c *chosen) start(n, parts int) {
	c.which, c.at = sized(c.which, n), sized(c.at, n)
	c.args = sized(c.args, parts)
	c.rows = allRows(c.rows, n)
}

// take records the value of part k for the rows sel.
func (c *chosen) take(k int, a Arg, dense bool, sel []int32) {
	c.args[k] = a
	for j, i := range sel {
		if dense {
			j = int(i)
		}
		c.which[i], c.at[i] = int32(k), int32(j&a.Mask)
	}
}

func (c *chosen) finish(n int) Arg {
	out := c.buf.out(c.t, n)
	hasNulls := false
	for _, a := range c.args {
		hasNulls = hasNulls || a.V != nil && a.V.Nulls != nil
	}
	switch c.t.Phys() {
	case types.PhysInt:
		for i, k := range c.which[:n] {
			out.I[i] = c.args[k].V.I[c.at[i]]
		}
	case types.PhysFloat:
		for i, k := range c.which[:n] {
			out.F[i] = c.args[k].V.F[c.at[i]]
		}
	default:
		for i, k := range c.which[:n] {
			out.Buf = append(out.Buf, c.args[k].V.Bytes(int(c.at[i]))...)
			out.Off = append(out.Off, int32(len(out.Buf)))
		}
	}
	if hasNulls {
		nulls := c.buf.bitmap(n)
		clear(nulls)
		any := false
		for i, k := range c.which[:n] {
			if c.args[k].V.Null(int(c.at[i])) {
				nulls[i>>6] |= 1 << (uint(i) & 63)
				any = true
			}
		}
		if any {
			out.Nulls = nulls
			zeroNulls(out)
		}
	}
	return Arg{V: out, Mask: -1}
}

// caseNode evaluates each condition for the rows that no earlier one took, and
// each value for the rows that its condition took.
type caseNode struct {
	parts  []part // condition, value, …, else
	choice chosen
}

func (c *compiler) caseNode(x *Expr, escapes bool) (node, error) {
	n := &caseNode{choice: chosen{t: x.Type, buf: buffer{escapes: escapes}}}
	for _, a := range x.Args {
		p, err := c.part(a)
		if err != nil {
			return nil, err
		}
		n.parts = append(n.parts, p)
	}
	return n, nil
}

func (n *caseNode) eval(ctx *Context, in *delta.Batch) (Arg, error) {
	c := &n.choice
	c.start(in.N, len(n.parts))
	clear(c.args)
	last := len(n.parts) - 1
	for k := 0; k < last && len(c.rows) > 0; k += 2 {
		a, dense, err := n.parts[k].evalSel(ctx, in, c.rows)
		if err != nil {
			return Arg{}, err
		}
		c.taken = c.taken[:0]
		open := c.rows[:0]
		v := a.V
		for j, i := range c.rows {
			if dense {
				j = int(i)
			}
			if j &= a.Mask; v.I[j] != 0 && !v.Null(j) {
				c.taken = append(c.taken, i)
			} else {
				open = append(open, i)
			}
		}
		c.rows = open
		if err := n.value(ctx, in, k+1, c.taken); err != nil {
			return Arg{}, err
		}
	}
	if err := n.value(ctx, in, last, c.rows); err != nil {
		return Arg{}, err
	}
	return c.finish(in.N), nil
}

func (n *caseNode) value(ctx *Context, in *delta.Batch, k int, sel []int32) error {
	if len(sel) == 0 {
		return nil
	}
	a, dense, err := n.parts[k].evalSel(ctx, in, sel)
	if err != nil {
		return err
	}
	n.choice.take(k, a, dense, sel)
	return nil
}

type coalesceNode struct {
	parts  []part
	choice chosen
}

func (c *compiler) coalesce(x *Expr, escapes bool) (node, error) {
	n := &coalesceNode{choice: chosen{t: x.Type, buf: buffer{escapes: escapes}}}
	for _, a := range x.Args {
		p, err := c.part(a)
		if err != nil {
			return nil, err
		}
		n.parts = append(n.parts, p)
	}
	return n, nil
}

func (n *coalesceNode) eval(ctx *Context, in *delta.Batch) (Arg, error) {
	c := &n.choice
	c.start(in.N, len(n.parts))
	clear(c.args)
	for k := range n.parts {
		if len(c.rows) == 0 {
			break
		}
		a, dense, err := n.parts[k].evalSel(ctx, in, c.rows)
		if err != nil {
			return Arg{}, err
		}
		if k == len(n.parts)-1 || a.V.Nulls == nil {
			c.take(k, a, dense, c.rows)
			break
		}
		c.args[k] = a
		open := c.rows[:0]
		for j, i := range c.rows {
			if dense {
				j = int(i)
			}
			if j &= a.Mask; a.V.Null(j) {
				open = append(open, i)
			} else {
				c.which[i], c.at[i] = int32(k), int32(j)
			}
		}
		c.rows = open
	}
	return c.finish(in.N), nil
}
