package expr

import (
	"errors"

	"github.com/streamsql/streamsql/sql/delta"
	"github.com/streamsql/streamsql/sql/types"
)

var boolType = types.Of(types.Bool)

// part is an operand that is evaluated for some rows only.
type part struct {
	n    node
	cols []int
	// eager operands cannot fail and have no effects: evaluating them for all rows
	// is no harm.
	eager bool
	// trivial ones cost nothing to evaluate.
	trivial bool
	sub     delta.Batch
	vecs    []delta.Vec
}

func (c *compiler) part(x *Expr) (part, error) {
	n, err := c.node(x, false)
	if err != nil {
		return part{}, err
	}
	return part{
		n: n, cols: Columns(x), trivial: x.Kind == Col || x.Kind == Const,
		eager: !MayFail(c.env, x) && VolatilityOf(c.env, x) != Volatile,
	}, nil
}

// evalSel evaluates the part for the rows sel of in. dense says that the result
// has in.N rows, of which only those of sel count; otherwise it has len(sel).
func (p *part) evalSel(ctx *Context, in *delta.Batch, sel []int32) (a Arg, dense bool, err error) {
	if len(sel) == in.N || p.trivial || p.eager && len(sel)*2 > in.N {
		a, err = p.n.eval(ctx, in)
		return a, true, err
	}
	a, err = p.n.eval(ctx, p.gather(in, sel))
	var ee *EvalError
	if err != nil && errors.As(err, &ee) {
		err = &EvalError{Row: int(sel[ee.Row]), Err: ee.Err}
	} else if err != nil {
		err = &EvalError{Row: int(sel[0]), Err: err}
	}
	return a, false, err
}

// gather copies the rows sel of the columns that the part reads.
func (p *part) gather(in *delta.Batch, sel []int32) *delta.Batch {
	p.sub.N = len(sel)
	if len(p.cols) == 0 {
		return &p.sub
	}
	if p.vecs == nil {
		p.vecs = make([]delta.Vec, len(p.cols))
	}
	p.sub.Cols = sized(p.sub.Cols, p.cols[len(p.cols)-1]+1)
	for k, c := range p.cols {
		gatherInto(&p.vecs[k], in.Cols[c], sel)
		p.sub.Cols[c] = &p.vecs[k]
	}
	return &p.sub
}

// gatherInto is Vec.Gather into a column whose memory is used again.
func gatherInto(out, v *delta.Vec, sel []int32) {
	out.T, out.N = v.T, len(sel)
	switch v.T.Phys() {
	case types.PhysInt:
		out.I = sized(out.I, len(sel))
		for k, i := range sel {
			out.I[k] = v.I[i]
		}
	case types.PhysFloat:
		out.F = sized(out.F, len(sel))
		for k, i := range sel {
			out.F[k] = v.F[i]
		}
	default:
		out.Off = sized(out.Off, len(sel)+1)
		out.Off[0], out.Buf = 0, out.Buf[:0]
		for k, i := range sel {
			out.Buf = append(out.Buf, v.Buf[v.Off[i]:v.Off[i+1]]...)
			out.Off[k+1] = int32(len(out.Buf))
		}
	}
	if v.Nulls == nil {
		out.Nulls = nil
		return
	}
	out.Nulls = sized(out.Nulls, words(len(sel)))
	clear(out.Nulls)
	for k, i := range sel {
		out.Nulls[k>>6] |= v.Nulls[i>>6] >> (uint(i) & 63) & 1 << (uint(k) & 63)
	}
}

// rows fills sel with 0 … n-1.
func allRows(sel []int32, n int) []int32 {
	sel = sized(sel, n)
	for i := range sel {
		sel[i] = int32(i)
	}
	return sel
}

// logicNode is AND, or OR by way of De Morgan: stop is the value that decides.
type logicNode struct {
	parts []part
	stop  int64
	buf   buffer
	sel   []int32
}

func (c *compiler) logic(x *Expr, escapes bool) (node, error) {
	n := &logicNode{stop: b2i(x.Kind == Or), buf: buffer{escapes: escapes}}
	for _, a := range x.Args {
		p, err := c.part(a)
		if err != nil {
			return nil, err
		}
		n.parts = append(n.parts, p)
	}
	return n, nil
}

func (n *logicNode) eval(ctx *Context, in *delta.Batch) (Arg, error) {
	out := n.buf.out(boolType, in.N)
	neutral := 1 - n.stop
	for i := range out.I {
		out.I[i] = neutral
	}
	var nulls []uint64
	setNull := func(i int) {
		if nulls == nil {
			nulls = n.buf.bitmap(in.N)
			clear(nulls)
		}
		nulls[i>>6] |= 1 << (uint(i) & 63)
	}
	for k := range n.parts {
		p := &n.parts[k]
		if k == 0 || p.eager {
			a, err := p.n.eval(ctx, in)
			if err != nil {
				return Arg{}, err
			}
			v := a.V
			switch {
			case v.Nulls != nil:
				for i := range out.I {
					if j := i & a.Mask; v.Null(j) {
						setNull(i)
					} else if v.I[j] == n.stop {
						out.I[i] = n.stop
					}
				}
			case a.Mask == 0:
				if v.I[0] == n.stop {
					for i := range out.I {
						out.I[i] = n.stop
					}
				}
			case n.stop == 0:
				for i, b := range v.I[:len(out.I)] {
					out.I[i] &= b
				}
			default:
				for i, b := range v.I[:len(out.I)] {
					out.I[i] |= b
				}
			}
			continue
		}
		n.sel = n.sel[:0]
		for i, b := range out.I {
			if b != n.stop {
				n.sel = append(n.sel, int32(i))
			}
		}
		if len(n.sel) == 0 {
			break
		}
		a, dense, err := p.evalSel(ctx, in, n.sel)
		if err != nil {
			return Arg{}, err
		}
		for j, i := range n.sel {
			if dense {
				j = int(i)
			}
			if j &= a.Mask; a.V.Null(j) {
				setNull(int(i))
			} else if a.V.I[j] == n.stop {
				out.I[i] = n.stop
			}
		}
	}
	if nulls != nil {
		// What was decided is not NULL; beneath NULL stands zero.
		any := uint64(0)
		for i := range out.I {
			w, bit := i>>6, uint64(1)<<(uint(i)&63)
			if nulls[w]&bit == 0 {
				continue
			}
			if out.I[i] == n.stop {
				nulls[w] &^= bit
			} else {
				out.I[i] = 0
				any = 1
			}
		}
		if any != 0 {
			out.Nulls = nulls
		}
	}
	return Arg{V: out, Mask: -1}, nil
}

type notNode struct {
	arg node
	buf buffer
}

func (n *notNode) eval(ctx *Context, in *delta.Batch) (Arg, error) {
	a, err := n.arg.eval(ctx, in)
	if err != nil {
		return a, err
	}
	rows := in.N
	if a.Mask == 0 {
		rows = 1
	}
	out := n.buf.out(boolType, rows)
	for i, b := range a.V.I[:rows] {
		out.I[i] = b ^ 1
	}
	if a.V.Nulls != nil {
		out.Nulls = append(n.buf.bitmap(rows)[:0], a.V.Nulls[:words(rows)]...)
		zeroNulls(out)
	}
	return Arg{V: out, Mask: a.Mask}, nil
}

type isNullNode struct {
	arg node
	buf buffer
}

func (n *isNullNode) eval(ctx *Context, in *delta.Batch) (Arg, error) {
	a, err := n.arg.eval(ctx, in)
	if err != nil {
		return a, err
	}
	rows := in.N
	if a.Mask == 0 {
		rows = 1
	}
	out := n.buf.out(boolType, rows)
	if a.V.Nulls == nil {
		clear(out.I)
	} else {
		for i := range out.I {
			out.I[i] = int64(a.V.Nulls[i>>6] >> (uint(i) & 63) & 1)
		}
	}
	return Arg{V: out, Mask: a.Mask}, nil
}
