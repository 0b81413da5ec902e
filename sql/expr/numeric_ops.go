package expr

import (
	"math"
	"math/big"
	"slices"

	"github.com/streamsql/streamsql/sql/types"
)

func numericNaN(b []byte) bool { return len(b) > 0 && b[0] == types.NumericNaN }
func numericInf(b []byte) int {
	if len(b) > 0 {
		switch b[0] {
		case types.NumericPosInf:
			return 1
		case types.NumericNegInf:
			return -1
		}
	}
	return 0
}

func numericScale(b []byte) int {
	if len(b) == 0 || b[0] >= types.NumericNaN {
		return 0
	}
	return int(b[0])
}

// numericBig returns a finite numeric's coefficient and scale.
func numericBig(b []byte) (*big.Int, int) {
	x := new(big.Int)
	if len(b) < 2 {
		return x, numericScale(b)
	}
	be := slices.Clone(b[1:])
	slices.Reverse(be)
	x.SetBytes(be)
	if be[0]&0x80 != 0 {
		x.Sub(x, new(big.Int).Lsh(big.NewInt(1), uint(8*len(be))))
	}
	return x, int(b[0])
}

func tenTo(n int) *big.Int { return new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(n)), nil) }

// numericDiv gives a / b cut to an integer.
func numericDiv(dst, a, b []byte) ([]byte, error) {
	switch {
	case numericNaN(a) || numericNaN(b):
		return append(dst, types.NumericNaN), nil
	case numericInf(a) != 0 && numericInf(b) != 0:
		return append(dst, types.NumericNaN), nil
	}
	x, sx := numericBig(a)
	y, sy := numericBig(b)
	if y.Sign() == 0 && numericInf(b) == 0 {
		return nil, errDivZero()
	}
	if s := numericInf(a); s != 0 {
		return types.NumericMul(dst, a, types.AppendNumericInt(nil, int64(y.Sign()))), nil
	}
	if numericInf(b) != 0 {
		return types.AppendNumericInt(dst, 0), nil
	}
	s := max(sx, sy)
	x.Mul(x, tenTo(s-sx))
	y.Mul(y, tenTo(s-sy))
	return append(dst, types.NumericOf(x.Quo(x, y), 0)...), nil
}

// weight10 is the decimal exponent of the first digit.
func weight10(x *big.Int, scale int) int {
	if x.Sign() == 0 {
		return 0
	}
	return len(new(big.Int).Abs(x).String()) - scale - 1
}

// weight4 is PostgreSQL's weight, in digits of base 10,000.
func weight4(x *big.Int, scale int) int { return int(floorDiv(int64(weight10(x, scale)), 4)) }

// bigFloat gives a numeric as a float of prec bits.
func bigFloat(b []byte, prec uint) *big.Float {
	x, s := numericBig(b)
	f := new(big.Float).SetPrec(prec).SetInt(x)
	return f.Quo(f, new(big.Float).SetPrec(prec).SetInt(tenTo(s)))
}

// fromBig rounds a float to a numeric of the scale given.
func fromBig(dst []byte, f *big.Float, scale int) ([]byte, error) {
	scale = min(max(scale, 0), maxScale)
	d, err := types.ParseText(types.Of(types.Numeric), f.Text('f', scale+2))
	if err != nil {
		return nil, err
	}
	return types.NumericRound(dst, d.S, scale, false), nil
}

// bigExp computes e^x by halving the argument and Taylor's series.
func bigExp(x *big.Float, prec uint) *big.Float {
	p := prec + 64
	n := 0
	y := new(big.Float).SetPrec(p).Set(x)
	if e := y.MantExp(nil); e > -8 {
		n = e + 8
		y.SetMantExp(y, -n)
	}
	sum, term := big.NewFloat(1).SetPrec(p), big.NewFloat(1).SetPrec(p)
	for k := int64(1); ; k++ {
		term.Mul(term, y)
		term.Quo(term, new(big.Float).SetPrec(p).SetInt64(k))
		if term.Sign() == 0 || term.MantExp(nil) < -int(p) {
			break
		}
		sum.Add(sum, term)
	}
	for range n {
		sum.Mul(sum, sum)
	}
	return sum
}

// bigLn computes ln x, x > 0, by Newton's iteration over bigExp.
func bigLn(x *big.Float, prec uint) *big.Float {
	p := prec + 64
	mant := new(big.Float).SetPrec(p)
	e := x.MantExp(mant) // x = mant·2^e, mant in [½, 1)
	m, _ := mant.Float64()
	y := new(big.Float).SetPrec(p).SetFloat64(math.Log(m))
	// Each step doubles the digits: y += 2 (m - e^y) / (m + e^y) is cubic.
	for digits := uint(50); ; digits *= 3 {
		ey := bigExp(y, p)
		num := new(big.Float).SetPrec(p).Sub(mant, ey)
		den := new(big.Float).SetPrec(p).Add(mant, ey)
		num.Mul(num.Quo(num, den), big.NewFloat(2))
		y.Add(y, num)
		if digits > p {
			break
		}
	}
	return y.Add(y, new(big.Float).SetPrec(p).Mul(ln2(p), new(big.Float).SetInt64(int64(e))))
}

// ln2 = 18 atanh(1/26) − 2 atanh(1/4801) + 8 atanh(1/8749).
func ln2(prec uint) *big.Float {
	atanh := func(k int64) *big.Float {
		x := new(big.Float).SetPrec(prec+16).Quo(big.NewFloat(1).SetPrec(prec+16), new(big.Float).SetInt64(k))
		xx := new(big.Float).SetPrec(prec+16).Mul(x, x)
		sum, pow := new(big.Float).SetPrec(prec+16).Set(x), new(big.Float).SetPrec(prec+16).Set(x)
		for n := int64(3); ; n += 2 {
			pow.Mul(pow, xx)
			t := new(big.Float).SetPrec(prec+16).Quo(pow, new(big.Float).SetInt64(n))
			if t.MantExp(nil) < -int(prec)-8 {
				return sum
			}
			sum.Add(sum, t)
		}
	}
	out := atanh(26)
	out.Mul(out, new(big.Float).SetInt64(18))
	t := atanh(4801)
	out.Sub(out, t.Mul(t, new(big.Float).SetInt64(2)))
	t = atanh(8749)
	return out.Add(out, t.Mul(t, new(big.Float).SetInt64(8)))
}

// bitsFor is the precision for so many decimal digits.
func bitsFor(digits int) uint { return uint(float64(max(digits, 20))*3.33) + 64 }
