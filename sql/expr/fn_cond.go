package expr

import (
	"github.com/streamsql/streamsql/sql/delta"
	"github.com/streamsql/streamsql/sql/types"
)

func init() {
	pick := func(name string, sign int) {
		register(&Func{Name: name, Args: typs(AnyElement), Ret: types.Of(AnyElement), Variadic: true, NotNull: true,
			Eval: func(c *Batch) error { return extreme(c, sign) }})
	}
	pick("greatest", 1)
	pick("least", -1)
	register(&Func{Name: "array", Args: typs(AnyElement), Ret: types.Of(AnyArray), Variadic: true, NotNull: true, Eval: func(c *Batch) error {
		for i := range c.N {
			for a := range c.Args {
				c.Out.Buf = types.AppendElem(c.Out.Buf, c.Out.T.Elem, c.ref(a, i))
			}
			c.Out.Off = append(c.Out.Off, int32(len(c.Out.Buf)))
		}
		return nil
	}})
}

// extreme gives the greatest argument that is not NULL, or with sign -1 the least.
func extreme(c *Batch, sign int) error {
	t := c.Out.T
	plain := t.Phys() == types.PhysInt
	for _, a := range c.Args {
		plain = plain && a.V.Nulls == nil
	}
	if plain {
		out := c.Out.I[:c.N]
		for i := range out {
			out[i] = c.Int(0, i)
		}
		for _, a := range c.Args[1:] {
			for i := range out {
				if x := a.V.I[i&a.Mask]; sign > 0 {
					out[i] = max(out[i], x)
				} else {
					out[i] = min(out[i], x)
				}
			}
		}
		return nil
	}
	o := delta.NewVec(t, c.N)
	for i := range c.N {
		best := types.NullDatum
		for a := range c.Args {
			if c.Null(a, i) {
				continue
			}
			if d := c.ref(a, i); best.Null || Compare(t, d, best)*sign > 0 {
				best = d
			}
		}
		o.AppendDatum(best)
	}
	*c.Out = *o
	return nil
}
