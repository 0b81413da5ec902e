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

func (c *chosen) finish(n int) (Arg, error) {
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
			if len(out.Buf) > maxColumn {
				return Arg{}, rowError(i, errTooMuch())
			}
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
	return Arg{V: out, Mask: -1}, nil
}

// caseNode evaluates each condition for the rows that no earlier one took, and
// each value for the rows that its condition took.
type caseNode struct {
	parts  []part // condition, value, …, else
	choice chosen
	// flat: nothing can fail, so that all is evaluated for all rows and then chosen
	// from, without selections.
	flat bool
}

func (c *compiler) caseNode(x *Expr, escapes bool) (node, error) {
	// Beyond a few branches most of the work would be in vain.
	n := &caseNode{choice: chosen{t: x.Type, buf: buffer{escapes: escapes}}, flat: len(x.Args) <= 9}
	for _, a := range x.Args {
		p, err := c.part(a)
		if err != nil {
			return nil, err
		}
		n.parts = append(n.parts, p)
		n.flat = n.flat && p.eager
	}
	return n, nil
}

func (n *caseNode) eval(ctx *Context, in *delta.Batch) (Arg, error) {
	if n.flat {
		return n.evalFlat(ctx, in)
	}
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
	return c.finish(in.N)
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

// evalFlat goes from the last branch to the first, each overriding those behind it.
func (n *caseNode) evalFlat(ctx *Context, in *delta.Batch) (Arg, error) {
	c := &n.choice
	c.args = sized(c.args, len(n.parts))
	last := len(n.parts) - 1
	nulls := false
	for k := range n.parts {
		a, err := n.parts[k].n.eval(ctx, in)
		if err != nil {
			return Arg{}, err
		}
		c.args[k] = a
		nulls = nulls || a.V.Nulls != nil
	}
	if !nulls && c.t.Phys() != types.PhysBytes {
		out := c.buf.out(c.t, in.N)
		if c.t.Phys() == types.PhysInt {
			fill(out.I, c.args[last].V.I, c.args[last].Mask)
			for k := last - 2; k >= 0; k -= 2 {
				override(out.I, c.args[k], c.args[k+1].V.I, c.args[k+1].Mask)
			}
		} else {
			fill(out.F, c.args[last].V.F, c.args[last].Mask)
			for k := last - 2; k >= 0; k -= 2 {
				override(out.F, c.args[k], c.args[k+1].V.F, c.args[k+1].Mask)
			}
		}
		return Arg{V: out, Mask: -1}, nil
	}
	c.which, c.at = sized(c.which, in.N), sized(c.at, in.N)
	for i := range c.which {
		c.which[i], c.at[i] = int32(last), int32(i&c.args[last].Mask)
	}
	for k := last - 2; k >= 0; k -= 2 {
		cond, mask := c.args[k], c.args[k+1].Mask
		v := cond.V
		for i := range c.which {
			if j := i & cond.Mask; v.I[j] != 0 && !v.Null(j) {
				c.which[i], c.at[i] = int32(k+1), int32(i&mask)
			}
		}
	}
	for k := 0; k < last; k += 2 {
		c.args[k] = Arg{} // conditions are no results
	}
	return c.finish(in.N)
}

func fill[T int64 | float64](out, v []T, mask int) {
	if mask != 0 {
		copy(out, v)
		return
	}
	k := v[0]
	for i := range out {
		out[i] = k
	}
}

// override sets the rows for which cond, without NULLs, is true.
func override[T int64 | float64](out []T, cond Arg, v []T, mask int) {
	if cond.Mask == 0 {
		if cond.V.I[0] != 0 {
			fill(out, v, mask)
		}
		return
	}
	when := cond.V.I[:len(out)]
	if mask == 0 {
		k := v[0]
		for i, w := range when {
			x := out[i]
			if w != 0 {
				x = k
			}
			out[i] = x
		}
		return
	}
	v = v[:len(out)]
	for i, w := range when {
		x := out[i]
		if w != 0 {
			x = v[i]
		}
		out[i] = x
	}
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
	if last := n.parts[len(n.parts)-1]; len(n.parts) == 2 && last.eager && c.t.Phys() != types.PhysBytes {
		return n.evalTwo(ctx, in)
	}
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
	return c.finish(in.N)
}

// evalTwo is coalesce(a, b) of numbers where b cannot fail.
func (n *coalesceNode) evalTwo(ctx *Context, in *delta.Batch) (Arg, error) {
	c := &n.choice
	a, err := n.parts[0].n.eval(ctx, in)
	if err != nil {
		return Arg{}, err
	}
	b, err := n.parts[1].n.eval(ctx, in)
	if err != nil {
		return Arg{}, err
	}
	out := c.buf.out(c.t, in.N)
	isInt := c.t.Phys() == types.PhysInt
	if isInt {
		fill(out.I, a.V.I, a.Mask)
	} else {
		fill(out.F, a.V.F, a.Mask)
	}
	if a.V.Nulls == nil {
		return Arg{V: out, Mask: -1}, nil
	}
	for i := range in.N {
		if !a.V.Null(i & a.Mask) {
			continue
		}
		if isInt {
			out.I[i] = b.V.I[i&b.Mask]
		} else {
			out.F[i] = b.V.F[i&b.Mask]
		}
	}
	if b.V.Nulls != nil {
		nulls, any := c.buf.bitmap(in.N), uint64(0)
		clear(nulls)
		for i := range in.N {
			if a.V.Null(i&a.Mask) && b.V.Null(i&b.Mask) {
				nulls[i>>6] |= 1 << (uint(i) & 63)
				any = 1
			}
		}
		if any != 0 {
			out.Nulls = nulls
			zeroNulls(out)
		}
	}
	return Arg{V: out, Mask: -1}, nil
}
