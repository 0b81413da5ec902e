package types

import (
	"bytes"
	"math"
	"math/big"
	"strconv"

	"github.com/streamsql/streamsql/sql/sqlerr"
)

// minDivDigits is the least number of significant digits that a quotient keeps
// (NUMERIC_MIN_SIG_DIGITS of PostgreSQL).
const minDivDigits = 16

func numericSpecial(b []byte) bool { return len(b) > 0 && b[0] >= NumericNaN }

// small reads a numeric whose coefficient fits 64 bits.
func small(b []byte) (coef int64, scale int, ok bool) {
	if len(b) == 0 || len(b) > 9 || b[0] >= NumericNaN {
		return 0, 0, false
	}
	for i := len(b) - 1; i > 0; i-- {
		if i == len(b)-1 {
			coef = int64(int8(b[i]))
			continue
		}
		coef = coef<<8 | int64(b[i])
	}
	return coef, int(b[0]), true
}

// appendSmall appends the bytes of coef × 10^-scale.
func appendSmall(dst []byte, coef int64, scale int) []byte {
	dst = append(dst, byte(scale))
	if coef == 0 {
		return dst
	}
	for {
		dst = append(dst, byte(coef))
		last := int8(coef)
		coef >>= 8
		if coef == 0 && last >= 0 || coef == -1 && last < 0 {
			return dst
		}
	}
}

// AppendNumericInt appends the numeric of an integer.
func AppendNumericInt(dst []byte, v int64) []byte { return appendSmall(dst, v, 0) }

func parts(b []byte) (*big.Int, int) {
	if len(b) == 0 {
		return new(big.Int), 0
	}
	return numericCoefficient(b), int(b[0])
}

// special computes with NaN and the infinities by way of floats, where the
// rules are the same.
func special(dst, a, b []byte, op func(x, y float64) float64) []byte {
	f := op(specialFloat(a), specialFloat(b))
	switch {
	case f != f:
		return append(dst, NumericNaN)
	case math.IsInf(f, 1):
		return append(dst, NumericPosInf)
	case math.IsInf(f, -1):
		return append(dst, NumericNegInf)
	}
	return append(dst, 0)
}

// specialFloat is the value for specials, and only the sign for the others.
func specialFloat(b []byte) float64 {
	if len(b) > 0 {
		switch b[0] {
		case NumericNaN:
			return math.NaN()
		case NumericPosInf:
			return math.Inf(1)
		case NumericNegInf:
			return math.Inf(-1)
		}
	}
	x, _ := parts(b)
	return float64(x.Sign())
}

// NumericAdd appends a + b, or a - b with neg.
func NumericAdd(dst, a, b []byte, neg bool) []byte {
	if x, sx, ok := small(a); ok {
		y, sy, ok := small(b)
		if ok {
			x, y, sx, ok = align(x, sx, y, sy)
		}
		if ok {
			if neg {
				if d := x - y; (x >= y) == (d >= 0) && y != math.MinInt64 {
					return appendSmall(dst, d, sx)
				}
			} else if s := x + y; (s > x) == (y > 0) {
				return appendSmall(dst, s, sx)
			}
		}
	}
	if numericSpecial(a) || numericSpecial(b) {
		return special(dst, a, b, func(x, y float64) float64 {
			if neg {
				return x - y
			}
			return x + y
		})
	}
	x, sx := parts(a)
	y, sy := parts(b)
	s := max(sx, sy)
	x, y = roundTo(x, sx, s), roundTo(y, sy, s)
	if neg {
		x.Sub(x, y)
	} else {
		x.Add(x, y)
	}
	return append(dst, NumericOf(x, s)...)
}

// NumericMul appends a × b.
func NumericMul(dst, a, b []byte) []byte {
	if x, sx, ok := small(a); ok {
		if y, sy, ok := small(b); ok && sx+sy <= maxScale {
			if p := x * y; x == 0 || (p/x == y && !(x == -1 && y == math.MinInt64)) {
				return appendSmall(dst, p, sx+sy)
			}
		}
	}
	if numericSpecial(a) || numericSpecial(b) {
		return special(dst, a, b, func(x, y float64) float64 { return x * y })
	}
	x, sx := parts(a)
	y, sy := parts(b)
	x.Mul(x, y)
	s := sx + sy
	if s > maxScale {
		x, s = roundTo(x, s, maxScale), maxScale
	}
	return append(dst, NumericOf(x, s)...)
}

var errDivZero = sqlerr.New(sqlerr.DivisionByZero, "division by zero")

// numericZero relies on the coefficient of zero having no bytes.
func numericZero(b []byte) bool { return len(b) == 0 || len(b) == 1 && !numericSpecial(b) }

// weight returns PostgreSQL's weight of a numeric, the power of 10,000 of its
// first digit, and that digit.
func weight(x *big.Int, scale int) (int, int) {
	if x.Sign() == 0 {
		return 0, 0
	}
	digits := new(big.Int).Abs(x).String()
	e := len(digits) - scale // digits before the point
	w := (e+3)>>2 - 1        // floor((e-1)/4)
	lead := e - 4*w          // decimal digits in the first base-10,000 digit
	for len(digits) < lead {
		digits += "0"
	}
	n, _ := strconv.Atoi(digits[:lead])
	return w, n
}

// divScale is the result scale of a division (select_div_scale of PostgreSQL).
func divScale(x *big.Int, sx int, y *big.Int, sy int) int {
	wx, fx := weight(x, sx)
	wy, fy := weight(y, sy)
	q := wx - wy
	if fx <= fy {
		q--
	}
	return min(max(minDivDigits-4*q, sx, sy, 0), maxScale)
}

// NumericDiv appends a / b, rounded to PostgreSQL's result scale; 22012 for zero.
func NumericDiv(dst, a, b []byte) ([]byte, error) {
	if numericZero(b) && !(len(a) > 0 && a[0] == NumericNaN) {
		return nil, errDivZero
	}
	if numericSpecial(a) || numericSpecial(b) {
		if numericSpecial(b) && !numericSpecial(a) && b[0] != NumericNaN {
			return append(dst, 0), nil
		}
		return special(dst, a, b, func(x, y float64) float64 { return x / y }), nil
	}
	if x, sx, ok := small(a); ok {
		if y, sy, ok := small(b); ok {
			if out, ok := divSmall(dst, x, sx, y, sy); ok {
				return out, nil
			}
		}
	}
	x, sx := parts(a)
	y, sy := parts(b)
	s := divScale(x, sx, y, sy)
	// x·10^-sx / y·10^-sy at scale s: x·10^(s-sx+sy) / y, half away from zero.
	if k := s - sx + sy; k >= 0 {
		x = new(big.Int).Mul(x, pow10(k))
	} else {
		y = new(big.Int).Mul(y, pow10(-k))
	}
	sign := int64(x.Sign() * y.Sign())
	q, r := new(big.Int).QuoRem(x, y, new(big.Int))
	if r.Abs(r).Lsh(r, 1).CmpAbs(y) >= 0 {
		q.Add(q, big.NewInt(sign))
	}
	return append(dst, NumericOf(q, s)...), nil
}

// NumericMod appends the remainder of a / b truncated; 22012 for zero.
func NumericMod(dst, a, b []byte) ([]byte, error) {
	if numericZero(b) && !(len(a) > 0 && a[0] == NumericNaN) {
		return nil, errDivZero
	}
	if numericSpecial(a) || numericSpecial(b) {
		if !numericSpecial(a) && b[0] != NumericNaN {
			return append(dst, a...), nil
		}
		return append(dst, NumericNaN), nil
	}
	x, sx := parts(a)
	y, sy := parts(b)
	s := max(sx, sy)
	x, y = roundTo(x, sx, s), roundTo(y, sy, s)
	return append(dst, NumericOf(x.Rem(x, y), s)...), nil
}

// NumericNeg appends -a.
func NumericNeg(dst, a []byte) []byte { return NumericAdd(dst, []byte{scaleOf(a)}, a, true) }

func scaleOf(b []byte) byte {
	if len(b) == 0 || numericSpecial(b) {
		return 0
	}
	return b[0]
}

// NumericCmp compares by value: -1, 0 or 1. NaN is the greatest.
func NumericCmp(a, b []byte) int {
	if x, sx, ok := small(a); ok {
		if y, sy, ok := small(b); ok {
			return cmpSmall(x, sx, y, sy)
		}
	}
	var x, y [64]byte
	return bytes.Compare(appendNumericOrder(x[:0], a), appendNumericOrder(y[:0], b))
}

// NumericRound appends a brought to scale digits after the point, half away from
// zero; a negative scale rounds before the point. With trunc it cuts instead.
func NumericRound(dst, a []byte, scale int, trunc bool) []byte {
	if numericSpecial(a) {
		return append(dst, a...)
	}
	scale = min(max(scale, -1000), maxScale)
	if x, s, ok := small(a); ok && scale >= 0 {
		if y, ok := roundSmall(x, s, scale, trunc); ok {
			return appendSmall(dst, y, scale)
		}
	}
	x, s := parts(a)
	switch {
	case scale >= s:
		x = roundTo(x, s, scale)
	case trunc:
		x = new(big.Int).Quo(x, pow10(s-scale))
	default:
		x = roundTo(x, s, scale)
	}
	if scale < 0 {
		x, scale = x.Mul(x, pow10(-scale)), 0
	}
	return append(dst, NumericOf(x, scale)...)
}

// NumericFloor appends the greatest integer that is not above a; NumericCeil is
// its mirror image.
func NumericFloor(dst, a []byte) []byte {
	if numericSpecial(a) {
		return append(dst, a...)
	}
	if x, s, ok := small(a); ok && s <= 18 {
		p := int64(pow10s[s])
		q := x / p
		if x%p < 0 {
			q--
		}
		return appendSmall(dst, q, 0)
	}
	x, s := parts(a)
	q, r := new(big.Int).QuoRem(x, pow10(s), new(big.Int))
	if r.Sign() < 0 {
		q.Sub(q, big.NewInt(1))
	}
	return append(dst, NumericOf(q, 0)...)
}

// NumericCeil appends the least integer that is not below a.
func NumericCeil(dst, a []byte) []byte {
	return NumericNeg(dst, NumericFloor(nil, NumericNeg(nil, a)))
}

// NumericInt returns a rounded to an integer; false when it does not fit.
func NumericInt(a []byte) (int64, bool) {
	if x, s, ok := small(a); ok {
		return roundSmall(x, s, 0, false)
	}
	if numericSpecial(a) {
		return 0, false
	}
	x, s := parts(a)
	x = roundTo(x, s, 0)
	return x.Int64(), x.IsInt64()
}

// NumericFloat returns the nearest float64.
func NumericFloat(a []byte) float64 {
	if x, s, ok := small(a); ok && s <= 22 && x > -1<<53 && x < 1<<53 {
		return float64(x) / math.Pow10(s) // both exact, so the quotient is rounded once
	}
	if numericSpecial(a) {
		return specialFloat(a)
	}
	f, _ := strconv.ParseFloat(string(appendNumericText(nil, a)), 64)
	return f
}

// NumericFromFloat appends f with the digits that PostgreSQL keeps: 15 for
// double precision (bits 64), 6 for real.
func NumericFromFloat(dst []byte, f float64, bits int) []byte {
	prec := 15
	if bits == 32 {
		prec = 6
	}
	b, err := parseNumeric(Of(Numeric), strconv.FormatFloat(f, 'g', prec, 64))
	if err != nil {
		b = []byte{NumericNaN}
	}
	return append(dst, b...)
}

// NumericApply appends a brought to the precision and scale of t; 22003 when it
// does not fit.
func NumericApply(dst []byte, t Type, a []byte) ([]byte, error) {
	if t.Mod == 0 || len(a) > 0 && a[0] == NumericNaN {
		return append(dst, a...), nil
	}
	if numericSpecial(a) {
		return dst, infiniteOverflow(t)
	}
	if x, s, ok := small(a); ok {
		if out, ok, err := applySmall(dst, t, x, s); ok {
			return out, err
		}
	}
	b, err := parseNumeric(t, string(appendNumericText(nil, a)))
	return append(dst, b...), err
}
