package expr

import (
	"maps"
	"slices"

	"github.com/streamsql/streamsql/sql/delta"
	"github.com/streamsql/streamsql/sql/sqlerr"
	"github.com/streamsql/streamsql/sql/types"
)

// linearIn is the longest list of constants that is searched item by item.
const linearIn = 8

// inNode is x IN (constants). Bytes are compared by an encoding that is equal
// for equal values.
type inNode struct {
	arg     node
	t       types.Type
	ints    []int64
	intSet  map[int64]struct{}
	strs    map[string]struct{}
	few     []string // the same, while they are few and plain
	plain   bool     // bytes are equal exactly when the values are
	hasNull bool
	buf     buffer
	key     []byte
}

// plainEq tells whether values of t are equal exactly when their bytes are.
func plainEq(t types.Type) bool {
	switch t.ID {
	case types.Text, types.Varchar, types.Name, types.Bytea, types.UUID, types.JSONB, types.Char:
		return true
	}
	return false
}

func eqKey(dst []byte, t types.Type, d types.Datum) []byte {
	if t.ID == types.Bpchar {
		n := len(d.S)
		for n > 0 && d.S[n-1] == ' ' {
			n--
		}
		d.S = d.S[:n]
	}
	return types.AppendEq(dst, t, d)
}

func (c *compiler) in(x *Expr, escapes bool) (node, error) {
	t := x.Args[0].Type
	list := x.Args[1:]
	constant := true
	for _, a := range list {
		constant = constant && a.Kind == Const && types.Bare(a.Type) == types.Bare(t)
	}
	if !constant {
		return c.inExprs(x, escapes)
	}
	arg, err := c.node(x.Args[0], false)
	if err != nil {
		return nil, err
	}
	n := &inNode{arg: arg, t: t, plain: plainEq(t), buf: buffer{escapes: escapes}}
	seen := map[int64]struct{}{}
	for _, a := range list {
		d := a.Value
		switch {
		case d.Null:
			n.hasNull = true
		case t.Phys() == types.PhysInt:
			if _, ok := seen[d.I]; !ok {
				n.ints = append(n.ints, d.I)
				seen[d.I] = struct{}{}
			}
		default:
			if n.strs == nil {
				n.strs = map[string]struct{}{}
			}
			if n.plain {
				n.strs[string(d.S)] = struct{}{}
			} else {
				n.strs[string(eqKey(nil, t, d))] = struct{}{}
			}
		}
	}
	if n.plain && len(n.strs) <= linearIn {
		n.few = slices.Sorted(maps.Keys(n.strs))
	}
	if len(n.ints) > linearIn {
		n.intSet = seen
	}
	return n, nil
}

// inExprs compiles x IN (a, b) with expressions as x = a OR x = b.
func (c *compiler) inExprs(x *Expr, escapes bool) (node, error) {
	or := &Expr{Kind: Or, Type: boolType}
	for _, a := range x.Args[1:] {
		eq, err := c.env.Call("=", []*Expr{x.Args[0], a}, x.Pos)
		if err != nil {
			return nil, sqlerr.From(err)
		}
		or.Args = append(or.Args, eq)
	}
	if len(or.Args) == 0 {
		return &constNode{a: Arg{V: constVec(boolType, types.Datum{})}}, nil
	}
	return c.node(or, escapes)
}

func (n *inNode) eval(ctx *Context, in *delta.Batch) (Arg, error) {
	a, err := n.arg.eval(ctx, in)
	if err != nil {
		return a, err
	}
	rows := in.N
	if a.Mask == 0 {
		rows = 1
	}
	out := n.buf.out(boolType, rows)
	n.match(a.V, out.I)
	switch {
	case n.hasNull:
		// Not found among others and a NULL: unknown.
		nulls := n.buf.bitmap(rows)
		clear(nulls)
		for i, b := range out.I {
			if b == 0 || a.V.Null(i) {
				nulls[i>>6] |= 1 << (uint(i) & 63)
				out.I[i] = 0
			}
		}
		out.Nulls = nulls
	case a.V.Nulls != nil:
		out.Nulls = append(n.buf.bitmap(rows)[:0], a.V.Nulls[:words(rows)]...)
		zeroNulls(out)
	}
	return Arg{V: out, Mask: a.Mask}, nil
}

// match sets out[i] to whether row i is in the list.
func (n *inNode) match(v *delta.Vec, out []int64) {
	switch {
	case n.intSet != nil:
		for i, x := range v.I[:len(out)] {
			_, ok := n.intSet[x]
			out[i] = b2i(ok)
		}
	case n.t.Phys() == types.PhysInt:
		clear(out)
		for _, k := range n.ints {
			for i, x := range v.I[:len(out)] {
				out[i] |= b2i(x == k)
			}
		}
	case n.few != nil:
		for i := range out {
			lo, hi := v.Off[i], v.Off[i+1]
			out[i] = 0
			for _, k := range n.few {
				if len(k) == int(hi-lo) && string(v.Buf[lo:hi]) == k {
					out[i] = 1
					break
				}
			}
		}
	case n.plain:
		for i := range out {
			_, ok := n.strs[string(v.Buf[v.Off[i]:v.Off[i+1]])]
			out[i] = b2i(ok)
		}
	default:
		for i := range out {
			d := types.Datum{}
			if n.t.Phys() == types.PhysFloat {
				d.F = v.F[i]
			} else {
				d.S = v.Bytes(i)
			}
			n.key = eqKey(n.key[:0], n.t, d)
			_, ok := n.strs[string(n.key)]
			out[i] = b2i(ok)
		}
	}
}
