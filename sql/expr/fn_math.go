package expr

import (
	"math"

	"github.com/streamsql/streamsql/sql/sqlerr"
	"github.com/streamsql/streamsql/sql/types"
)

func errOverflow() error {
	return sqlerr.New(sqlerr.NumericOutOfRange, "value out of range: overflow")
}

func errUnderflow() error {
	return sqlerr.New(sqlerr.NumericOutOfRange, "value out of range: underflow")
}

func errInput() error {
	return sqlerr.New(sqlerr.NumericOutOfRange, "input is out of range")
}

// floatFn registers a function of a double that cannot fail.
func floatFn(name string, f func(float64) float64) {
	register(&Func{Name: name, Args: typs(types.Float8), Ret: types.Of(types.Float8),
		Eval: floats(func(c *Batch, i int) (float64, error) { return f(c.Float(0, i)), nil })})
}

func floatErr(name string, f func(c *Batch, i int) (float64, error), args ...types.ID) {
	register(&Func{Name: name, Args: typs(args...), Ret: types.Of(types.Float8), MayFail: true, Eval: floats(f)})
}

func init() {
	const f8, num, i4 = types.Float8, types.Numeric, types.Int4
	for _, r := range intRanges {
		abs := ints(func(c *Batch, i int) (int64, error) {
			x := c.Int(0, i)
			if x == r.lo {
				return 0, r.overflow()
			}
			return max(x, -x), nil
		})
		for _, n := range []string{"abs", "@"} {
			register(&Func{Name: n, Args: typs(r.id), Ret: types.Of(r.id), MayFail: true, Eval: abs})
		}
		if r.id == types.Int2 {
			continue
		}
		register(&Func{Name: "gcd", Args: typs(r.id, r.id), Ret: types.Of(r.id), MayFail: true, Eval: ints(func(c *Batch, i int) (int64, error) {
			g := gcd(c.Int(0, i), c.Int(1, i))
			if g < 0 || g > r.hi {
				return 0, r.overflow()
			}
			return g, nil
		})}, &Func{Name: "lcm", Args: typs(r.id, r.id), Ret: types.Of(r.id), MayFail: true, Eval: ints(func(c *Batch, i int) (int64, error) {
			a, b := c.Int(0, i), c.Int(1, i)
			if a == 0 || b == 0 {
				return 0, nil
			}
			g := gcd(a, b)
			if g < 0 {
				return 0, r.overflow()
			}
			m, ok := mul64(a/g, b)
			if !ok || m == math.MinInt64 || max(m, -m) > r.hi {
				return 0, r.overflow()
			}
			return max(m, -m), nil
		})})
	}
	for _, f := range []types.ID{types.Float4, f8} {
		for _, n := range []string{"abs", "@"} {
			register(&Func{Name: n, Args: typs(f), Ret: types.Of(f), Eval: floats(func(c *Batch, i int) (float64, error) { return math.Abs(c.Float(0, i)), nil })})
		}
	}
	floatFn("ceil", math.Ceil)
	floatFn("ceiling", math.Ceil)
	floatFn("floor", math.Floor)
	floatFn("round", math.RoundToEven)
	floatFn("trunc", math.Trunc)
	floatFn("sign", func(x float64) float64 {
		switch {
		case x > 0:
			return 1
		case x < 0:
			return -1
		}
		return x
	})
	floatFn("cbrt", math.Cbrt)
	floatFn("||/", math.Cbrt)
	floatFn("degrees", func(x float64) float64 { return x * (180 / math.Pi) })
	floatFn("radians", func(x float64) float64 { return x * (math.Pi / 180) })
	floatFn("atan", math.Atan)
	floatFn("sinh", math.Sinh)
	floatFn("cosh", math.Cosh)
	floatFn("tanh", math.Tanh)
	floatFn("asinh", math.Asinh)

	noInf := func(name string, f func(float64) float64) {
		floatErr(name, func(c *Batch, i int) (float64, error) {
			x := c.Float(0, i)
			if math.IsInf(x, 0) {
				return 0, errInput()
			}
			return f(x), nil
		}, f8)
	}
	noInf("sin", math.Sin)
	noInf("cos", math.Cos)
	noInf("tan", math.Tan)
	noInf("cot", func(x float64) float64 { return 1 / math.Tan(x) })
	noInf("sind", func(x float64) float64 { return trigDegrees(x, math.Sin, 0) })
	noInf("cosd", func(x float64) float64 { return trigDegrees(x, math.Cos, 90) })
	noInf("tand", func(x float64) float64 {
		return trigDegrees(x, math.Sin, 0) / trigDegrees(x, math.Cos, 90)
	})
	within := func(name string, lo, hi float64, f func(float64) float64) {
		floatErr(name, func(c *Batch, i int) (float64, error) {
			x := c.Float(0, i)
			if x < lo || x > hi {
				return 0, errInput()
			}
			return f(x), nil
		}, f8)
	}
	within("asin", -1, 1, math.Asin)
	within("acos", -1, 1, math.Acos)
	within("acosh", 1, math.Inf(1), math.Acosh)
	within("atanh", -1, 1, math.Atanh)
	floatErr("atan2", func(c *Batch, i int) (float64, error) { return math.Atan2(c.Float(0, i), c.Float(1, i)), nil }, f8, f8)

	for _, n := range []string{"sqrt", "|/"} {
		floatErr(n, func(c *Batch, i int) (float64, error) {
			x := c.Float(0, i)
			if x < 0 {
				return 0, sqlerr.New("2201F", "cannot take square root of a negative number")
			}
			return math.Sqrt(x), nil
		}, f8)
	}
	floatErr("exp", func(c *Batch, i int) (float64, error) {
		x := c.Float(0, i)
		f := math.Exp(x)
		switch {
		case math.IsInf(f, 0) && !math.IsInf(x, 0):
			return 0, errOverflow()
		case f == 0 && !math.IsInf(x, 0):
			return 0, errUnderflow()
		}
		return f, nil
	}, f8)
	logOf := func(name string, f func(float64) float64) {
		floatErr(name, func(c *Batch, i int) (float64, error) {
			x := c.Float(0, i)
			switch {
			case x == 0:
				return 0, sqlerr.New("2201E", "cannot take logarithm of zero")
			case x < 0:
				return 0, sqlerr.New("2201E", "cannot take logarithm of a negative number")
			}
			return f(x), nil
		}, f8)
	}
	logOf("ln", math.Log)
	logOf("log", math.Log10)
	logOf("log10", math.Log10)
	for _, n := range []string{"power", "pow", "^"} {
		floatErr(n, func(c *Batch, i int) (float64, error) { return floatPower(c.Float(0, i), c.Float(1, i)) }, f8, f8)
	}
	register(&Func{Name: "pi", Ret: types.Of(f8), Eval: floats(func(*Batch, int) (float64, error) { return math.Pi, nil })})
	register(&Func{Name: "random", Ret: types.Of(f8), Vol: Volatile, Eval: floats(func(c *Batch, _ int) (float64, error) {
		if c.Ctx == nil || c.Ctx.Random == nil {
			return 0, sqlerr.New(sqlerr.FeatureNotSupported, "random() cannot be called here")
		}
		return c.Ctx.Random(), nil
	})})
	// div of integers goes to numeric, as in PostgreSQL.
	textErr("div", num, func(c *Batch, i int, dst []byte) ([]byte, error) {
		return numericDiv(dst, c.Bytes(0, i), c.Bytes(1, i))
	}, num, num)

	register(&Func{Name: "width_bucket", Args: typs(f8, f8, f8, i4), Ret: types.Of(i4), MayFail: true, Eval: ints(func(c *Batch, i int) (int64, error) {
		return widthBucket(c.Float(0, i), c.Float(1, i), c.Float(2, i), c.Int(3, i))
	})}, &Func{Name: "width_bucket", Args: typs(num, num, num, i4), Ret: types.Of(i4), MayFail: true, Eval: ints(func(c *Batch, i int) (int64, error) {
		return widthBucketNumeric(c.Bytes(0, i), c.Bytes(1, i), c.Bytes(2, i), c.Int(3, i))
	})}, &Func{Name: "width_bucket", Args: typs(AnyElement, AnyArray), Ret: types.Of(i4), MayFail: true, Eval: ints(func(c *Batch, i int) (int64, error) {
		elem := types.Of(c.Args[1].V.T.Elem)
		n := int64(0)
		for _, d := range types.Elems(c.Bytes(1, i), elem.ID) {
			if d.Null {
				return 0, sqlerr.New("22004", "thresholds array must not contain NULLs")
			}
			if Compare(elem, c.Datum(0, i), d) >= 0 {
				n++
			}
		}
		return n, nil
	})})
}

// gcd returns the greatest common divisor; negative when it is 2^63.
func gcd(a, b int64) int64 {
	for b != 0 {
		if b == -1 {
			return 1
		}
		a, b = b, a%b
	}
	return max(a, -a)
}

// trigDegrees is exact at the multiples of 30 degrees where the result is 0, ½ or 1.
func trigDegrees(x float64, f func(float64) float64, shift float64) float64 {
	// As the sine of an angle between 0 and 90.
	y := math.Mod(x+shift, 360)
	if y < 0 {
		y += 360
	}
	sign := 1.0
	if y >= 180 {
		y, sign = y-180, -1
	}
	if y > 90 {
		y = 180 - y
	}
	switch y {
	case 0:
		return 0
	case 30:
		return sign * 0.5
	case 90:
		return sign
	}
	return f(x * math.Pi / 180)
}

func floatPower(x, y float64) (float64, error) {
	switch {
	case x != x && y == 0, x == 1 && y != y:
		return 1, nil
	case x != x, y != y:
		return math.NaN(), nil
	case x == 0 && y < 0:
		return 0, sqlerr.New("2201F", "zero raised to a negative power is undefined")
	case x < 0 && y != math.Floor(y) && !math.IsInf(x, 0):
		return 0, sqlerr.New("2201F", "a negative number raised to a non-integer power yields a complex result")
	}
	f := math.Pow(x, y)
	switch {
	case math.IsInf(f, 0) && !math.IsInf(x, 0) && !math.IsInf(y, 0):
		return 0, errOverflow()
	case f == 0 && x != 0 && !math.IsInf(x, 0) && !math.IsInf(y, 0):
		return 0, errUnderflow()
	}
	return f, nil
}

func errBucket(msg string) error { return sqlerr.New("2201G", "%s", msg) }

func checkBuckets(n int64) error {
	if n <= 0 {
		return errBucket("count must be greater than zero")
	}
	return nil
}

func widthBucket(x, lo, hi float64, n int64) (int64, error) {
	if err := checkBuckets(n); err != nil {
		return 0, err
	}
	switch {
	case x != x || lo != lo || hi != hi:
		return 0, errBucket("operand, lower bound, and upper bound cannot be NaN")
	case math.IsInf(lo, 0) || math.IsInf(hi, 0):
		return 0, errBucket("lower and upper bounds must be finite")
	case lo == hi:
		return 0, errBucket("lower bound cannot equal upper bound")
	case lo > hi:
		x, lo, hi = -x, -lo, -hi
	}
	switch {
	case x < lo:
		return 0, nil
	case x >= hi:
		if n == math.MaxInt32 {
			return 0, outOfRange("integer")
		}
		return n + 1, nil
	}
	b := int64(float64(n) * ((x - lo) / (hi - lo)))
	return min(b, n-1) + 1, nil
}

func widthBucketNumeric(x, lo, hi []byte, n int64) (int64, error) {
	if err := checkBuckets(n); err != nil {
		return 0, err
	}
	for _, b := range [][]byte{x, lo, hi} {
		if len(b) > 0 && b[0] >= types.NumericNaN {
			return 0, errBucket("operand, lower bound, and upper bound cannot be NaN")
		}
	}
	c := types.NumericCmp(lo, hi)
	if c == 0 {
		return 0, errBucket("lower bound cannot equal upper bound")
	}
	if c > 0 {
		x, lo, hi = types.NumericNeg(nil, x), types.NumericNeg(nil, lo), types.NumericNeg(nil, hi)
	}
	switch {
	case types.NumericCmp(x, lo) < 0:
		return 0, nil
	case types.NumericCmp(x, hi) >= 0:
		if n == math.MaxInt32 {
			return 0, outOfRange("integer")
		}
		return n + 1, nil
	}
	num := types.NumericMul(nil, types.NumericAdd(nil, x, lo, true), types.AppendNumericInt(nil, n))
	q, err := numericDiv(nil, num, types.NumericAdd(nil, hi, lo, true))
	if err != nil {
		return 0, err
	}
	b, _ := types.NumericInt(q)
	return b + 1, nil
}
