package expr

import (
	"math"
	"math/big"
	"strings"

	"github.com/streamsql/streamsql/sql/sqlerr"
	"github.com/streamsql/streamsql/sql/types"
)

// Scales of results, as numeric.c of PostgreSQL chooses them.
const (
	minSigDigits = 16
	maxScale     = 252 // of this project's numeric
)

func numericSqrt(dst, a []byte) ([]byte, error) {
	neg := sqlerr.New("2201F", "cannot take square root of a negative number")
	switch {
	case numericNaN(a) || numericInf(a) > 0:
		return append(dst, a...), nil
	case numericInf(a) < 0:
		return nil, neg
	}
	x, s := numericBig(a)
	if x.Sign() < 0 {
		return nil, neg
	}
	sweight := weight4(x, s)*2 + 1 // of the result (sqrt_numeric)
	rscale := min(max(minSigDigits-sweight, s, 0), maxScale)
	// floor(sqrt(x·10^(2(rscale+1)-s))) has one digit more than wanted.
	k := 2*(rscale+1) - s
	if k >= 0 {
		x.Mul(x, tenTo(k))
	} else {
		x.Quo(x, tenTo(-k))
	}
	return types.NumericRound(dst, types.NumericOf(x.Sqrt(x), rscale+1), rscale, false), nil
}

func numericExp(dst, a []byte) ([]byte, error) {
	switch {
	case numericNaN(a) || numericInf(a) > 0:
		return append(dst, a...), nil
	case numericInf(a) < 0:
		return types.AppendNumericInt(dst, 0), nil
	}
	v := types.NumericFloat(a) * 0.434294481903252
	v = min(max(v, -2000), 2000)
	if v > 1000 { // beyond what any use needs; PostgreSQL ends at 131,072 digits
		return nil, sqlerr.New(sqlerr.NumericOutOfRange, "value overflows numeric format")
	}
	rscale := max(minSigDigits-int(v), numericScale(a), 0)
	if v < -1000 {
		return types.NumericRound(dst, types.AppendNumericInt(nil, 0), maxScale, false), nil
	}
	f := bigExp(bigFloat(a, bitsFor(rscale+int(v)+20)), bitsFor(rscale+int(math.Abs(v))+20))
	return fromBig(dst, f, min(rscale, maxScale))
}

func logError(a []byte) error {
	switch {
	case numericInf(a) < 0:
		return sqlerr.New("2201E", "cannot take logarithm of a negative number")
	case numericInf(a) > 0 || numericNaN(a):
		return nil
	}
	switch x, _ := numericBig(a); x.Sign() {
	case 0:
		return sqlerr.New("2201E", "cannot take logarithm of zero")
	case -1:
		return sqlerr.New("2201E", "cannot take logarithm of a negative number")
	}
	return nil
}

// lnWeight estimates the decimal weight of ln(a) (estimate_ln_dweight).
func lnWeight(a []byte) int {
	f := types.NumericFloat(a)
	if f > 0.9 && f < 1.1 {
		x := types.NumericAdd(nil, a, types.AppendNumericInt(nil, 1), true)
		b, s := numericBig(x)
		if b.Sign() == 0 {
			return 0
		}
		return weight10(b, s)
	}
	b, s := numericBig(a)
	ln := float64(weight10(b, s))*math.Ln10 + math.Log(math.Max(leading(b), 1))
	return int(math.Log10(math.Abs(ln)))
}

// leading is the first digit and what follows, between 1 and 10.
func leading(x *big.Int) float64 {
	s := new(big.Int).Abs(x).String()
	if len(s) > 17 {
		s = s[:17]
	}
	f := 0.0
	for _, c := range s {
		f = f*10 + float64(c-'0')
	}
	return f / math.Pow10(len(s)-1)
}

func numericLn(dst, a []byte) ([]byte, error) {
	if err := logError(a); err != nil {
		return nil, err
	}
	if numericNaN(a) || numericInf(a) > 0 {
		return append(dst, a...), nil
	}
	rscale := min(max(minSigDigits-lnWeight(a), numericScale(a), 0), maxScale)
	p := bitsFor(rscale + 40)
	return fromBig(dst, bigLn(bigFloat(a, p), p), rscale)
}

// numericLog gives the logarithm of a to base.
func numericLog(dst, base, a []byte) ([]byte, error) {
	for _, b := range [][]byte{base, a} {
		if err := logError(b); err != nil {
			return nil, err
		}
	}
	if numericNaN(base) || numericNaN(a) {
		return append(dst, types.NumericNaN), nil
	}
	if numericInf(base) != 0 || numericInf(a) != 0 {
		switch {
		case numericInf(base) != 0 && numericInf(a) != 0:
			return append(dst, types.NumericNaN), nil
		case numericInf(a) != 0:
			return append(dst, a...), nil
		}
		return types.AppendNumericInt(dst, 0), nil
	}
	wb, wa := lnWeight(base), lnWeight(a)
	rscale := min(max(minSigDigits-(wa-wb), numericScale(base), numericScale(a), 0), maxScale)
	p := bitsFor(rscale + 60)
	lb := bigLn(bigFloat(base, p), p)
	if lb.Sign() == 0 {
		return nil, errDivZero()
	}
	q := bigLn(bigFloat(a, p), p)
	return fromBig(dst, q.Quo(q, lb), rscale)
}

func numericPower(dst, a, b []byte) ([]byte, error) {
	one := types.AppendNumericInt(nil, 1)
	switch {
	case types.NumericCmp(a, one) == 0, !numericNaN(b) && numericInf(b) == 0 && isZero(b):
		if numericNaN(a) || numericNaN(b) || numericInf(a) != 0 || numericInf(b) != 0 {
			return append(dst, one...), nil
		}
	case numericNaN(a) || numericNaN(b):
		return append(dst, types.NumericNaN), nil
	}
	if numericInf(a) != 0 || numericInf(b) != 0 {
		f, err := floatPower(types.NumericFloat(a), types.NumericFloat(b))
		if err != nil {
			return nil, err
		}
		switch {
		case math.IsInf(f, 1):
			return append(dst, types.NumericPosInf), nil
		case math.IsInf(f, -1):
			return append(dst, types.NumericNegInf), nil
		}
		return types.NumericFromFloat(dst, f, 64), nil
	}
	x, sx := numericBig(a)
	y, sy := numericBig(b)
	whole := new(big.Int).Rem(y, tenTo(sy)).Sign() == 0
	switch {
	case x.Sign() == 0 && y.Sign() < 0:
		return nil, sqlerr.New("2201F", "zero raised to a negative power is undefined")
	case x.Sign() < 0 && !whole:
		return nil, sqlerr.New("2201F", "a negative number raised to a non-integer power yields a complex result")
	case x.Sign() == 0:
		// PostgreSQL gives 16 digits of nothing.
		if y.Sign() == 0 {
			return types.NumericRound(dst, one, max(minSigDigits, sx, sy), false), nil
		}
		return types.NumericRound(dst, types.AppendNumericInt(nil, 0), max(minSigDigits, sx, sy), false), nil
	}
	absA := types.NumericOf(new(big.Int).Abs(x), sx)
	// log10 of the result tells how many digits it has before the point.
	p := bitsFor(100)
	lnF, _ := bigLn(bigFloat(absA, p), p).Float64()
	v := lnF * types.NumericFloat(b) * 0.434294481903252
	if v > 1000 {
		return nil, sqlerr.New(sqlerr.NumericOutOfRange, "value overflows numeric format")
	}
	if v < -1000 {
		return types.NumericRound(dst, types.AppendNumericInt(nil, 0), maxScale, false), nil
	}
	rscale := min(max(minSigDigits-int(v), sx, sy, 0), maxScale)
	neg := false
	var f *big.Float
	if exp := new(big.Int).Quo(y, tenTo(sy)); whole && exp.IsInt64() && exp.Int64() > -(1<<20) && exp.Int64() < 1<<20 {
		n := exp.Int64()
		neg = x.Sign() < 0 && n%2 != 0
		q := bitsFor(rscale + int(math.Abs(v)) + 60)
		f = new(big.Float).SetPrec(q).SetInt64(1)
		base := bigFloat(absA, q)
		for k := max(n, -n); k > 0; k >>= 1 {
			if k&1 != 0 {
				f.Mul(f, base)
			}
			base.Mul(base, base)
		}
		if n < 0 {
			f.Quo(new(big.Float).SetPrec(q).SetInt64(1), f)
		}
	} else {
		neg = x.Sign() < 0 && new(big.Int).Quo(y, tenTo(sy)).Bit(0) == 1
		q := bitsFor(rscale + int(math.Abs(v)) + 80)
		ln := bigLn(bigFloat(absA, q), q)
		f = bigExp(ln.Mul(ln, bigFloat(b, q)), q)
	}
	if neg {
		f.Neg(f)
	}
	return fromBig(dst, f, rscale)
}

func isZero(b []byte) bool {
	x, _ := numericBig(b)
	return x.Sign() == 0
}

func init() {
	const num, i4 = types.Numeric, types.Int4
	arg := func(c *Batch, i int) []byte { return c.Bytes(0, i) }
	for _, n := range []string{"abs", "@"} {
		textFn(n, num, func(c *Batch, i int, dst []byte) []byte {
			a := arg(c, i)
			if numericInf(a) < 0 {
				return append(dst, types.NumericPosInf)
			}
			if numericNaN(a) || len(a) < 2 || a[len(a)-1]&0x80 == 0 || numericInf(a) > 0 {
				return append(dst, a...)
			}
			return types.NumericNeg(dst, a)
		}, num)
	}
	for _, n := range []string{"ceil", "ceiling"} {
		textFn(n, num, func(c *Batch, i int, dst []byte) []byte { return types.NumericCeil(dst, arg(c, i)) }, num)
	}
	textFn("floor", num, func(c *Batch, i int, dst []byte) []byte { return types.NumericFloor(dst, arg(c, i)) }, num)
	for _, trunc := range []bool{false, true} {
		name := map[bool]string{false: "round", true: "trunc"}[trunc]
		textFn(name, num, func(c *Batch, i int, dst []byte) []byte { return types.NumericRound(dst, arg(c, i), 0, trunc) }, num)
		textFn(name, num, func(c *Batch, i int, dst []byte) []byte {
			return types.NumericRound(dst, arg(c, i), int(min(max(c.Int(1, i), -2000), 2000)), trunc)
		}, num, i4)
	}
	textFn("sign", num, func(c *Batch, i int, dst []byte) []byte {
		a := arg(c, i)
		switch {
		case numericNaN(a):
			return append(dst, a...)
		case numericInf(a) != 0:
			return types.AppendNumericInt(dst, int64(numericInf(a)))
		}
		x, _ := numericBig(a)
		return types.AppendNumericInt(dst, int64(x.Sign()))
	}, num)
	textErr("sqrt", num, func(c *Batch, i int, dst []byte) ([]byte, error) { return numericSqrt(dst, arg(c, i)) }, num)
	textErr("exp", num, func(c *Batch, i int, dst []byte) ([]byte, error) { return numericExp(dst, arg(c, i)) }, num)
	textErr("ln", num, func(c *Batch, i int, dst []byte) ([]byte, error) { return numericLn(dst, arg(c, i)) }, num)
	ten := types.AppendNumericInt(nil, 10)
	for _, n := range []string{"log", "log10"} {
		textErr(n, num, func(c *Batch, i int, dst []byte) ([]byte, error) { return numericLog(dst, ten, arg(c, i)) }, num)
	}
	textErr("log", num, func(c *Batch, i int, dst []byte) ([]byte, error) { return numericLog(dst, arg(c, i), c.Bytes(1, i)) }, num, num)
	for _, n := range []string{"power", "pow", "^"} {
		textErr(n, num, func(c *Batch, i int, dst []byte) ([]byte, error) { return numericPower(dst, arg(c, i), c.Bytes(1, i)) }, num, num)
	}
	intFn("scale", func(c *Batch, i int) int64 { return int64(numericScale(arg(c, i))) }, num)
	intFn("min_scale", func(c *Batch, i int) int64 { return int64(numericScale(trimScale(arg(c, i)))) }, num)
	textFn("trim_scale", num, func(c *Batch, i int, dst []byte) []byte { return append(dst, trimScale(arg(c, i))...) }, num)
	for _, lcm := range []bool{false, true} {
		name := map[bool]string{false: "gcd", true: "lcm"}[lcm]
		textFn(name, num, func(c *Batch, i int, dst []byte) []byte { return numericGCD(dst, arg(c, i), c.Bytes(1, i), lcm) }, num, num)
	}
	textErr("factorial", num, func(c *Batch, i int, dst []byte) ([]byte, error) {
		n := c.Int(0, i)
		switch {
		case n < 0:
			return nil, sqlerr.New(sqlerr.NumericOutOfRange, "factorial of a negative number is undefined")
		case n > 32177:
			return nil, sqlerr.New(sqlerr.NumericOutOfRange, "value overflows numeric format")
		}
		return append(dst, types.NumericOf(new(big.Int).MulRange(1, max(n, 1)), 0)...), nil
	}, types.Int8)
}

func trimScale(a []byte) []byte {
	if len(a) == 0 || a[0] >= types.NumericNaN {
		return a
	}
	s := string(types.FormatText(nil, types.Of(types.Numeric), types.Datum{S: a}))
	if !strings.Contains(s, ".") {
		return a
	}
	d, err := types.ParseText(types.Of(types.Numeric), strings.TrimRight(strings.TrimRight(s, "0"), "."))
	if err != nil {
		return a
	}
	return d.S
}

func numericGCD(dst, a, b []byte, lcm bool) []byte {
	if numericNaN(a) || numericNaN(b) || numericInf(a) != 0 || numericInf(b) != 0 {
		return append(dst, types.NumericNaN)
	}
	x, sx := numericBig(a)
	y, sy := numericBig(b)
	s := max(sx, sy)
	x.Mul(x.Abs(x), tenTo(s-sx))
	y.Mul(y.Abs(y), tenTo(s-sy))
	g := new(big.Int).GCD(nil, nil, x, y)
	if lcm && g.Sign() != 0 {
		g.Mul(x.Quo(x, g), y)
	}
	return append(dst, types.NumericOf(g, s)...)
}
