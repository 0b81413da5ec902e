package expr

import (
	"errors"

	"github.com/streamsql/streamsql/sql/delta"
	"github.com/streamsql/streamsql/sql/sqlerr"
	"github.com/streamsql/streamsql/sql/types"
)

// Program is an expression ready to run over batches. It keeps buffers between
// evaluations: one goroutine uses it at a time.
type Program struct {
	root  node
	typ   types.Type
	conjs []conjunct
}

// node is one compiled operation.
type node interface {
	// eval returns a column of in.N rows, or a constant. What it returns is valid
	// until the next evaluation, unless the node was compiled to let it escape.
	eval(ctx *Context, in *delta.Batch) (Arg, error)
}

// compiler builds nodes.
type compiler struct{ env *Env }

// Compile makes a program of x. Errors are internal: an expression that was
// resolved compiles.
func Compile(e *Env, x *Expr) (*Program, error) {
	if e == nil {
		e = &Env{}
	}
	c := &compiler{env: e}
	root, err := c.node(x, true)
	if err != nil {
		return nil, err
	}
	p := &Program{root: root, typ: x.Type}
	if x.Type.ID == types.Bool {
		if p.conjs, err = c.conjuncts(x); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// Type returns the type of the result.
func (p *Program) Type() types.Type { return p.typ }

// Eval returns the values of the expression for the rows of in; it may be a
// column of in itself. An error is an *EvalError with the row.
func (p *Program) Eval(ctx *Context, in *delta.Batch) (*delta.Vec, error) {
	if in.N == 0 {
		return delta.NewVec(p.typ, 0), nil
	}
	a, err := p.root.eval(ctx, in)
	if err != nil {
		return nil, asEvalError(err)
	}
	if a.Mask == 0 {
		return broadcast(a.V, p.typ, in.N)
	}
	return a.V, nil
}

func asEvalError(err error) error {
	var ee *EvalError
	if errors.As(err, &ee) {
		return err
	}
	return &EvalError{Err: err}
}

// EvalConst evaluates an expression without columns.
func EvalConst(e *Env, x *Expr, ctx *Context) (types.Datum, error) {
	if x.Kind == Const {
		return x.Value, nil
	}
	c := &compiler{env: e}
	if e == nil {
		c.env = &Env{}
	}
	n, err := c.node(x, true)
	if err != nil {
		return types.Datum{}, err
	}
	a, err := n.eval(ctx, &delta.Batch{N: 1})
	if err != nil {
		var ee *EvalError
		if errors.As(err, &ee) {
			err = ee.Err
		}
		return types.Datum{}, err
	}
	return a.V.Datum(0), nil
}

// broadcast makes a column of n rows of a constant.
func broadcast(v *delta.Vec, t types.Type, n int) (*delta.Vec, error) {
	out := delta.NewVec(t, n)
	out.N = n
	switch t.Phys() {
	case types.PhysInt:
		out.I = out.I[:n]
		if x := v.I[0]; x != 0 {
			for i := range out.I {
				out.I[i] = x
			}
		}
	case types.PhysFloat:
		out.F = out.F[:n]
		if x := v.F[0]; x != 0 {
			for i := range out.F {
				out.F[i] = x
			}
		}
	default:
		b := v.Bytes(0)
		if len(b)*n > maxColumn {
			return nil, rowError(0, errTooMuch())
		}
		out.Off = out.Off[:n+1]
		out.Buf = make([]byte, 0, len(b)*n)
		for i := range n {
			out.Buf = append(out.Buf, b...)
			out.Off[i+1] = int32(len(out.Buf))
		}
	}
	if v.Null(0) {
		out.Nulls = allNull(n)
	}
	return out, nil
}

func words(n int) int { return (n + 63) >> 6 }

func allNull(n int) []uint64 {
	w := make([]uint64, words(n))
	setAll(w, n)
	return w
}

func setAll(w []uint64, n int) {
	for i := range w {
		w[i] = ^uint64(0)
	}
	if r := uint(n) & 63; r != 0 {
		w[len(w)-1] = 1<<r - 1
	}
}

// constVec makes the column of one row behind a constant.
func constVec(t types.Type, d types.Datum) *delta.Vec {
	v := delta.NewVec(t, 1)
	v.AppendDatum(d)
	return v
}

// buffer is the output column of a node, kept between evaluations unless it
// escapes.
type buffer struct {
	escapes bool
	v       delta.Vec
	nulls   []uint64
}

// out returns a column to fill: n values, or for bytes none yet.
func (b *buffer) out(t types.Type, n int) *delta.Vec {
	v := &b.v
	if b.escapes {
		v = &delta.Vec{}
	}
	v.T, v.N, v.Nulls = t, n, nil
	switch t.Phys() {
	case types.PhysInt:
		v.I = sized(v.I, n)
	case types.PhysFloat:
		v.F = sized(v.F, n)
	default:
		if cap(v.Off) < n+1 {
			v.Off = make([]int32, 0, n+1)
		}
		v.Off = append(v.Off[:0], 0)
		v.Buf = v.Buf[:0]
	}
	return v
}

// bitmap returns a bitmap for n rows with unspecified content.
func (b *buffer) bitmap(n int) []uint64 {
	if b.escapes {
		return make([]uint64, words(n))
	}
	b.nulls = sized(b.nulls, words(n))
	return b.nulls
}

func sized[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n)
	}
	return s[:n]
}

// node compiles x. With escapes the result must outlive the next evaluation.
func (c *compiler) node(x *Expr, escapes bool) (node, error) {
	switch x.Kind {
	case Col:
		return &colNode{index: x.Index}, nil
	case Const:
		return &constNode{a: Arg{V: constVec(x.Type, x.Value)}}, nil
	case Call:
		f, ok := c.env.Func(x.Fn)
		if !ok {
			return nil, sqlerr.New(sqlerr.Internal, "no function %s", x.Fn)
		}
		return c.call(f, x, escapes)
	case Cast:
		from := x.Args[0].Type
		if relabels(from, x.Type) {
			n, err := c.node(x.Args[0], escapes)
			if err != nil {
				return nil, err
			}
			return &relabelNode{t: x.Type, arg: n, escapes: escapes}, nil
		}
		f := castFunc(from, x.Type, x.Explicit)
		if f == nil {
			return nil, sqlerr.New(sqlerr.Internal, "no cast from %s to %s", from, x.Type)
		}
		return c.call(f, x, escapes)
	case And, Or:
		return c.logic(x, escapes)
	case Not:
		n, err := c.node(x.Args[0], false)
		return &notNode{arg: n, buf: buffer{escapes: escapes}}, err
	case Null:
		n, err := c.node(x.Args[0], false)
		return &isNullNode{arg: n, buf: buffer{escapes: escapes}}, err
	case Case:
		return c.caseNode(x, escapes)
	case Coal:
		return c.coalesce(x, escapes)
	case In:
		return c.in(x, escapes)
	case Param:
		return nil, sqlerr.New("42P02", "there is no parameter $%d", x.Index)
	}
	return nil, sqlerr.New(sqlerr.Internal, "expression of kind %q", x.Kind)
}

func (c *compiler) nodes(xs []*Expr) ([]node, error) {
	out := make([]node, len(xs))
	for i, x := range xs {
		var err error
		if out[i], err = c.node(x, false); err != nil {
			return nil, err
		}
	}
	return out, nil
}

type colNode struct{ index int }

func (n *colNode) eval(_ *Context, in *delta.Batch) (Arg, error) {
	return Arg{V: in.Cols[n.index], Mask: -1}, nil
}

type constNode struct{ a Arg }

func (n *constNode) eval(*Context, *delta.Batch) (Arg, error) { return n.a, nil }

// relabelNode gives the same values another type.
type relabelNode struct {
	t       types.Type
	arg     node
	escapes bool
	v       delta.Vec
}

func (n *relabelNode) eval(ctx *Context, in *delta.Batch) (Arg, error) {
	a, err := n.arg.eval(ctx, in)
	if err != nil || a.V.T == n.t {
		return a, err
	}
	v := &n.v
	if n.escapes {
		v = &delta.Vec{}
	}
	*v = *a.V
	v.T = n.t
	return Arg{V: v, Mask: a.Mask}, nil
}

// callNode calls a function.
type callNode struct {
	f    *Func
	t    types.Type
	args []node
	null Arg // NULL of type t
	buf  buffer
	b    Batch
	or   []uint64
}

func (c *compiler) call(f *Func, x *Expr, escapes bool) (node, error) {
	if n, err := c.mulNode(x, escapes); n != nil || err != nil {
		return n, err
	}
	args, err := c.nodes(x.Args)
	if err != nil {
		return nil, err
	}
	return &callNode{
		f: f, t: x.Type, args: args, null: Arg{V: constVec(x.Type, types.NullDatum)},
		buf: buffer{escapes: escapes}, b: Batch{Args: make([]Arg, len(args)), cache: map[string]any{}},
	}, nil
}

func (n *callNode) eval(ctx *Context, in *delta.Batch) (Arg, error) {
	b := &n.b
	b.Ctx, b.N, b.nulls = ctx, in.N, nil
	constant := n.f.Vol != Volatile
	for i, a := range n.args {
		v, err := a.eval(ctx, in)
		if err != nil {
			return Arg{}, err
		}
		b.Args[i] = v
		if v.Mask != 0 {
			constant = false
		}
	}
	if constant {
		b.N = 1
	}
	if !n.f.NotNull {
		only := true
		for _, a := range b.Args {
			switch {
			case a.V.Nulls == nil:
			case a.Mask == 0:
				if a.V.Null(0) {
					return n.null, nil
				}
			case b.nulls == nil:
				b.nulls = a.V.Nulls[:words(b.N)]
			default:
				if only {
					n.or = append(n.or[:0], b.nulls...)
					b.nulls, only = n.or, false
				}
				for w, x := range a.V.Nulls[:len(b.nulls)] {
					b.nulls[w] |= x
				}
			}
		}
	}
	out := n.buf.out(n.t, b.N)
	b.Out = out
	if err := n.f.Eval(b); err != nil {
		return Arg{}, err
	}
	out.T, out.N = n.t, b.N
	if b.nulls != nil {
		own := out.Nulls
		out.Nulls = append(n.buf.bitmap(b.N)[:0], b.nulls...)
		for w, x := range own {
			if w < len(out.Nulls) {
				out.Nulls[w] |= x
			}
		}
		zeroNulls(out)
	}
	if constant {
		return Arg{V: out}, nil
	}
	return Arg{V: out, Mask: -1}, nil
}

// zeroNulls puts zeros beneath NULLs, so that equal rows have equal columns.
func zeroNulls(v *delta.Vec) {
	for w, bits := range v.Nulls {
		if bits == 0 {
			continue
		}
		for i := w << 6; i < min(w<<6+64, v.N); i++ {
			if bits&(1<<(uint(i)&63)) == 0 {
				continue
			}
			if v.I != nil {
				v.I[i] = 0
			} else if v.F != nil {
				v.F[i] = 0
			}
		}
	}
}
