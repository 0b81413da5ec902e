package expr

import (
	"math"
	"math/bits"

	"github.com/streamsql/streamsql/sql/sqlerr"
	"github.com/streamsql/streamsql/sql/types"
)

func errDivZero() error { return sqlerr.New(sqlerr.DivisionByZero, "division by zero") }

type intRange struct {
	id     types.ID
	lo, hi int64
}

var intRanges = []intRange{
	{types.Int2, math.MinInt16, math.MaxInt16},
	{types.Int4, math.MinInt32, math.MaxInt32},
	{types.Int8, math.MinInt64, math.MaxInt64},
}

func (r intRange) overflow() error { return outOfRange(types.Of(r.id).String()) }

// firstBad returns the error of the first row for which bad is true and no
// argument is NULL; fast loops look for overflow in all rows, NULLs included.
func (c *Batch) firstBad(bad func(i int) bool, err func() error) error {
	for i := range c.N {
		if !c.Skip(i) && bad(i) {
			return rowError(i, err())
		}
	}
	return nil
}

func init() {
	for _, r := range intRanges {
		two := typs(r.id, r.id)
		t := types.Of(r.id)
		op := func(name string, eval func(*Batch, intRange) error) {
			register(&Func{Name: name, Args: two, Ret: t, MayFail: true, Eval: func(c *Batch) error { return eval(c, r) }})
		}
		op("+", addInts)
		op("-", subInts)
		op("*", mulInts)
		op("/", divInts)
		op("%", modInts)
		register(
			&Func{Name: "mod", Args: two, Ret: t, MayFail: true, Eval: func(c *Batch) error { return modInts(c, r) }},
			&Func{Name: "-", Args: typs(r.id), Ret: t, MayFail: true, Eval: ints(func(c *Batch, i int) (int64, error) {
				x := c.Int(0, i)
				if x == r.lo {
					return 0, r.overflow()
				}
				return -x, nil
			})},
			&Func{Name: "+", Args: typs(r.id), Ret: t, Eval: ints(func(c *Batch, i int) (int64, error) { return c.Int(0, i), nil })},
			&Func{Name: "&", Args: two, Ret: t, Eval: ints(func(c *Batch, i int) (int64, error) { return c.Int(0, i) & c.Int(1, i), nil })},
			&Func{Name: "|", Args: two, Ret: t, Eval: ints(func(c *Batch, i int) (int64, error) { return c.Int(0, i) | c.Int(1, i), nil })},
			&Func{Name: "#", Args: two, Ret: t, Eval: ints(func(c *Batch, i int) (int64, error) { return c.Int(0, i) ^ c.Int(1, i), nil })},
			&Func{Name: "~", Args: typs(r.id), Ret: t, Eval: ints(func(c *Batch, i int) (int64, error) { return ^c.Int(0, i), nil })},
			&Func{Name: "<<", Args: typs(r.id, types.Int4), Ret: t, Eval: ints(func(c *Batch, i int) (int64, error) { return r.shift(c.Int(0, i), c.Int(1, i)), nil })},
			&Func{Name: ">>", Args: typs(r.id, types.Int4), Ret: t, Eval: ints(func(c *Batch, i int) (int64, error) {
				return c.Int(0, i) >> (uint(c.Int(1, i)) & r.shiftMask()), nil
			})},
		)
	}
	for _, a := range []types.ID{types.Float4, types.Float8} {
		for _, b := range []types.ID{types.Float4, types.Float8} {
			ret := types.Float8
			if a == types.Float4 && b == types.Float4 {
				ret = types.Float4
			}
			op := func(name string, eval func(*Batch, bool) error) {
				register(&Func{Name: name, Args: typs(a, b), Ret: types.Of(ret), MayFail: true,
					Eval: func(c *Batch) error { return eval(c, ret == types.Float4) }})
			}
			op("+", addFloats)
			op("-", subFloats)
			op("*", mulFloats)
			op("/", divFloats)
		}
		register(&Func{Name: "-", Args: typs(a), Ret: types.Of(a), Eval: floats(func(c *Batch, i int) (float64, error) { return -c.Float(0, i), nil })},
			&Func{Name: "+", Args: typs(a), Ret: types.Of(a), Eval: floats(func(c *Batch, i int) (float64, error) { return c.Float(0, i), nil })})
	}
	num := types.Of(types.Numeric)
	two := typs(types.Numeric, types.Numeric)
	numOp := func(name string, fails bool, f func(c *Batch, i int, dst []byte) ([]byte, error)) {
		register(&Func{Name: name, Args: two, Ret: num, MayFail: fails, Eval: bytesOf(f)})
	}
	numOp("+", false, func(c *Batch, i int, dst []byte) ([]byte, error) {
		return types.NumericAdd(dst, c.Bytes(0, i), c.Bytes(1, i), false), nil
	})
	numOp("-", false, func(c *Batch, i int, dst []byte) ([]byte, error) {
		return types.NumericAdd(dst, c.Bytes(0, i), c.Bytes(1, i), true), nil
	})
	numOp("*", false, func(c *Batch, i int, dst []byte) ([]byte, error) {
		return types.NumericMul(dst, c.Bytes(0, i), c.Bytes(1, i)), nil
	})
	for _, n := range []string{"/", "%", "mod"} {
		f := types.NumericMod
		if n == "/" {
			f = types.NumericDiv
		}
		numOp(n, true, func(c *Batch, i int, dst []byte) ([]byte, error) { return f(dst, c.Bytes(0, i), c.Bytes(1, i)) })
	}
	register(&Func{Name: "-", Args: typs(types.Numeric), Ret: num, Eval: bytesOf(func(c *Batch, i int, dst []byte) ([]byte, error) {
		return types.NumericNeg(dst, c.Bytes(0, i)), nil
	})}, &Func{Name: "+", Args: typs(types.Numeric), Ret: num, Eval: bytesOf(func(c *Batch, i int, dst []byte) ([]byte, error) {
		return append(dst, c.Bytes(0, i)...), nil
	})})
}

func (r intRange) shiftMask() uint {
	if r.id == types.Int8 {
		return 63
	}
	return 31
}

// shift shifts left within the type's width, as C does.
func (r intRange) shift(x, by int64) int64 {
	x <<= uint(by) & r.shiftMask()
	switch r.id {
	case types.Int2:
		return int64(int16(x))
	case types.Int4:
		return int64(int32(x))
	}
	return x
}

func addInts(c *Batch, r intRange) error {
	a, b := c.Args[0], c.Args[1]
	if a.Mask == 0 {
		a, b = b, a
	}
	out := c.Out.I[:c.N]
	var bad int64
	switch {
	case a.Mask == 0:
		out[0] = a.V.I[0] + b.V.I[0]
		bad = r.sumOverflow(a.V.I[0], b.V.I[0], out[0])
	case b.Mask == 0:
		x, k := a.V.I[:len(out)], b.V.I[0]
		for i := range out {
			s := x[i] + k
			bad |= (x[i] ^ s) & (k ^ s)
			out[i] = s
		}
		if r.id != types.Int8 {
			bad |= r.anyOutside(out)
		}
	default:
		x, y := a.V.I[:len(out)], b.V.I[:len(out)]
		for i := range out {
			s := x[i] + y[i]
			bad |= (x[i] ^ s) & (y[i] ^ s)
			out[i] = s
		}
		if r.id != types.Int8 {
			bad |= r.anyOutside(out)
		}
	}
	if bad >= 0 {
		return nil
	}
	return c.firstBad(func(i int) bool {
		x, y := c.Int(0, i), c.Int(1, i)
		return r.sumOverflow(x, y, x+y) < 0
	}, r.overflow)
}

// sumOverflow is negative when s = x + y left the range.
func (r intRange) sumOverflow(x, y, s int64) int64 {
	bad := (x ^ s) & (y ^ s)
	if r.id != types.Int8 && (s < r.lo || s > r.hi) {
		bad = -1
	}
	return bad
}

// anyOutside is negative when a value is not in the range of a type below bigint.
func (r intRange) anyOutside(xs []int64) int64 {
	var bad int64
	for _, x := range xs {
		bad |= (x - r.lo) | (r.hi - x)
	}
	return bad
}

func subInts(c *Batch, r intRange) error {
	a, b := c.Args[0], c.Args[1]
	out := c.Out.I[:c.N]
	var bad int64
	if a.Mask != 0 && b.Mask == 0 {
		x, k := a.V.I[:len(out)], b.V.I[0]
		for i := range out {
			s := x[i] - k
			bad |= (x[i] ^ k) & (x[i] ^ s)
			out[i] = s
		}
	} else {
		x, y := a.V.I, b.V.I
		for i := range out {
			p, q := x[i&a.Mask], y[i&b.Mask]
			s := p - q
			bad |= (p ^ q) & (p ^ s)
			out[i] = s
		}
	}
	if r.id != types.Int8 {
		bad |= r.anyOutside(out)
	}
	if bad >= 0 {
		return nil
	}
	return c.firstBad(func(i int) bool {
		x, y := c.Int(0, i), c.Int(1, i)
		s := x - y
		return (x^y)&(x^s) < 0 || s < r.lo || s > r.hi
	}, r.overflow)
}

func mulInts(c *Batch, r intRange) error {
	a, b := c.Args[0], c.Args[1]
	out := c.Out.I[:c.N]
	x, y := a.V.I, b.V.I
	if r.id != types.Int8 {
		for i := range out {
			out[i] = x[i&a.Mask] * y[i&b.Mask]
		}
		if r.anyOutside(out) >= 0 {
			return nil
		}
		return c.firstBad(func(i int) bool { return out[i] < r.lo || out[i] > r.hi }, r.overflow)
	}
	bad := false
	for i := range out {
		p, q := x[i&a.Mask], y[i&b.Mask]
		if int64(int32(p)) == p && int64(int32(q)) == q {
			out[i] = p * q
			continue
		}
		v, ok := mul64(p, q)
		bad = bad || !ok
		out[i] = v
	}
	if !bad {
		return nil
	}
	return c.firstBad(func(i int) bool { _, ok := mul64(c.Int(0, i), c.Int(1, i)); return !ok }, r.overflow)
}

// mul64 multiplies; false on overflow.
func mul64(a, b int64) (int64, bool) {
	hi, lo := bits.Mul64(uint64(a), uint64(b))
	h := int64(hi) - a>>63&b - b>>63&a
	return int64(lo), h == int64(lo)>>63
}

func divInts(c *Batch, r intRange) error {
	a, b := c.Args[0], c.Args[1]
	out := c.Out.I[:c.N]
	if b.Mask == 0 && b.V.I[0] > 0 && a.Mask != 0 {
		k := b.V.I[0]
		for i, x := range a.V.I[:len(out)] {
			out[i] = x / k
		}
		return nil
	}
	for i := range out {
		x, y := a.V.I[i&a.Mask], b.V.I[i&b.Mask]
		switch {
		case c.Skip(i):
			out[i] = 0
		case y == 0:
			return rowError(i, errDivZero())
		case y == -1:
			if x == r.lo {
				return rowError(i, r.overflow())
			}
			out[i] = -x
		default:
			out[i] = x / y
		}
	}
	return nil
}

func modInts(c *Batch, _ intRange) error {
	a, b := c.Args[0], c.Args[1]
	out := c.Out.I[:c.N]
	if b.Mask == 0 && b.V.I[0] > 0 && a.Mask != 0 {
		k := b.V.I[0]
		for i, x := range a.V.I[:len(out)] {
			out[i] = x % k
		}
		return nil
	}
	for i := range out {
		x, y := a.V.I[i&a.Mask], b.V.I[i&b.Mask]
		switch {
		case c.Skip(i), y == -1:
			out[i] = 0
		case y == 0:
			return rowError(i, errDivZero())
		default:
			out[i] = x % y
		}
	}
	return nil
}
