package expr

import "github.com/streamsql/streamsql/sql/types"

func init() {
	two := func(a, b, ret types.ID, f func(c *Batch, i int, dst []byte) ([]byte, error)) {
		register(&Func{Name: "||", Args: typs(a, b), Ret: types.Of(ret), Eval: bytesOf(f)})
	}
	both := func(c *Batch, i int, dst []byte) ([]byte, error) {
		return append(append(dst, c.Bytes(0, i)...), c.Bytes(1, i)...), nil
	}
	two(types.Text, types.Text, types.Text, both)
	two(types.Bytea, types.Bytea, types.Bytea, both)
	two(types.Text, Any, types.Text, func(c *Batch, i int, dst []byte) ([]byte, error) {
		return castText(c, 1, i, append(dst, c.Bytes(0, i)...))
	})
	two(Any, types.Text, types.Text, func(c *Batch, i int, dst []byte) ([]byte, error) {
		dst, err := castText(c, 0, i, dst)
		return append(dst, c.Bytes(1, i)...), err
	})
}

// castText appends argument a as ::text gives it.
func castText(c *Batch, a, i int, dst []byte) ([]byte, error) {
	t := c.Args[a].V.T
	switch {
	case t.ID == types.Bool:
		if c.Int(a, i) != 0 {
			return append(dst, "true"...), nil
		}
		return append(dst, "false"...), nil
	case t.ID == types.Bpchar:
		return append(dst, trimBlanks(c.Bytes(a, i))...), nil
	case isString(t):
		return append(dst, c.Bytes(a, i)...), nil
	}
	return textOf(c.Ctx, dst, t, c.ref(a, i))
}

// outText appends argument a as its output function gives it.
func outText(c *Batch, a, i int, dst []byte) ([]byte, error) {
	t := c.Args[a].V.T
	if isString(t) || t.ID == types.Unknown {
		return append(dst, c.Bytes(a, i)...), nil
	}
	return textOf(c.Ctx, dst, t, c.ref(a, i))
}
