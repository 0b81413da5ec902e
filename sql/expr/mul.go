package expr

import (
	"strings"

	"github.com/streamsql/streamsql/sql/delta"
	"github.com/streamsql/streamsql/sql/types"
)

// mulNode is an integer column times a numeric constant, as in price * 0.908,
// without making a numeric of each integer first.
type mulNode struct {
	arg   node
	k     int64
	scale int
	kb    []byte
	t     types.Type
	buf   buffer
}

// mulNode returns nil for what is not such a product.
func (c *compiler) mulNode(x *Expr, escapes bool) (node, error) {
	if x.Kind != Call || !strings.HasPrefix(x.Fn, "*(numeric,numeric)") || c.env.Funcs["*"] != nil {
		return nil, nil
	}
	a, k := x.Args[0], x.Args[1]
	if a.Kind == Const {
		a, k = k, a
	}
	if k.Kind != Const || k.Value.Null || a.Kind != Cast || a.Type.Mod != 0 || !isInt(a.Args[0].Type) {
		return nil, nil
	}
	b := k.Value.S
	if numericNaN(b) || numericInf(b) != 0 {
		return nil, nil
	}
	coef, scale := numericBig(b)
	if !coef.IsInt64() {
		return nil, nil
	}
	arg, err := c.node(a.Args[0], false)
	if err != nil {
		return nil, err
	}
	return &mulNode{arg: arg, k: coef.Int64(), scale: scale, kb: b, t: x.Type, buf: buffer{escapes: escapes}}, nil
}

func (n *mulNode) eval(ctx *Context, in *delta.Batch) (Arg, error) {
	a, err := n.arg.eval(ctx, in)
	if err != nil {
		return a, err
	}
	rows := in.N
	if a.Mask == 0 {
		rows = 1
	}
	out := n.buf.out(n.t, rows)
	buf := out.Buf
	for i, v := range a.V.I[:rows] {
		if a.V.Null(i) {
			out.Off = append(out.Off, int32(len(buf)))
			continue
		}
		start := len(buf)
		if p, ok := mul64(v, n.k); ok {
			buf = types.AppendNumericInt(buf, p)
			buf[start] = byte(n.scale)
		} else {
			buf = types.NumericMul(buf, types.AppendNumericInt(nil, v), n.kb)
		}
		out.Off = append(out.Off, int32(len(buf)))
	}
	out.Buf = buf
	if a.V.Nulls != nil {
		out.Nulls = append(n.buf.bitmap(rows)[:0], a.V.Nulls[:words(rows)]...)
	}
	return Arg{V: out, Mask: a.Mask}, nil
}
