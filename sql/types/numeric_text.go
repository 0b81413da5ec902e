package types

import (
	"math/big"
	"slices"
	"strconv"
	"strings"

	"github.com/streamsql/streamsql/sql/sqlerr"
)

// maxScale is the most digits after the decimal point that a numeric keeps;
// more are rounded away. PostgreSQL keeps 16,383.
const maxScale = 252

// NumericOf returns the bytes of coef × 10^-scale.
func NumericOf(coef *big.Int, scale int) []byte {
	out := []byte{byte(scale)}
	switch coef.Sign() {
	case 0:
		return out
	case 1:
		be := coef.Bytes()
		slices.Reverse(be)
		out = append(out, be...)
		if be[len(be)-1]&0x80 != 0 {
			out = append(out, 0)
		}
		return out
	}
	// Two's complement of the shortest length that keeps the sign bit.
	n := new(big.Int).Not(coef).BitLen()/8 + 1
	be := new(big.Int).Add(coef, new(big.Int).Lsh(big.NewInt(1), uint(8*n))).FillBytes(make([]byte, n))
	slices.Reverse(be)
	return append(out, be...)
}

func appendNumericText(dst, b []byte) []byte {
	if len(b) == 0 {
		return append(dst, '0')
	}
	switch b[0] {
	case NumericNaN:
		return append(dst, "NaN"...)
	case NumericPosInf:
		return append(dst, "Infinity"...)
	case NumericNegInf:
		return append(dst, "-Infinity"...)
	}
	if x, s, ok := small(b); ok {
		return appendSmallText(dst, x, s)
	}
	x, scale := numericCoefficient(b), int(b[0])
	if x.Sign() < 0 {
		dst = append(dst, '-')
		x.Neg(x)
	}
	digits := x.Append(nil, 10)
	if pad := scale + 1 - len(digits); pad > 0 {
		digits = append([]byte(strings.Repeat("0", pad)), digits...)
	}
	dst = append(dst, digits[:len(digits)-scale]...)
	if scale > 0 {
		dst = append(append(dst, '.'), digits[len(digits)-scale:]...)
	}
	return dst
}

// roundTo brings coef × 10^-scale to another scale, half away from zero.
func roundTo(coef *big.Int, scale, to int) *big.Int {
	if to >= scale {
		return new(big.Int).Mul(coef, pow10(to-scale))
	}
	p := pow10(scale - to)
	q, r := new(big.Int).QuoRem(coef, p, new(big.Int))
	if r.Abs(r).Lsh(r, 1).Cmp(p) >= 0 {
		q.Add(q, big.NewInt(int64(coef.Sign())))
	}
	return q
}

func pow10(n int) *big.Int {
	return new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(n)), nil)
}

// parseNumeric reads a numeric and brings it to the precision and scale of t.
func parseNumeric(t Type, s string) ([]byte, error) {
	v := strings.TrimSpace(s)
	switch strings.ToLower(v) {
	case "nan":
		return []byte{NumericNaN}, nil
	case "inf", "infinity", "+inf", "+infinity":
		if t.Mod != 0 {
			return nil, infiniteOverflow(t)
		}
		return []byte{NumericPosInf}, nil
	case "-inf", "-infinity":
		if t.Mod != 0 {
			return nil, infiniteOverflow(t)
		}
		return []byte{NumericNegInf}, nil
	}
	exp := 0
	if i := strings.IndexAny(v, "eE"); i >= 0 {
		e, err := strconv.Atoi(v[i+1:])
		if err != nil {
			return nil, invalidText(t, s)
		}
		if e > 131_071 || e < -131_071 {
			return nil, sqlerr.New(sqlerr.NumericOutOfRange, "value overflows numeric format")
		}
		v, exp = v[:i], e
	}
	whole, frac, _ := strings.Cut(v, ".")
	digits := strings.TrimLeft(whole, "+-") + frac
	if len(whole)-len(strings.TrimLeft(whole, "+-")) > 1 || digits == "" ||
		strings.Trim(digits, "0123456789") != "" {
		return nil, invalidText(t, s)
	}
	coef, _ := new(big.Int).SetString(digits, 10)
	if strings.HasPrefix(v, "-") {
		coef.Neg(coef)
	}
	scale := len(frac) - exp
	if scale < 0 {
		coef, scale = roundTo(coef, 0, -scale), 0
	}
	if scale > maxScale {
		coef, scale = roundTo(coef, scale, maxScale), maxScale
	}
	if t.Mod != 0 {
		precision, to := int(t.Mod>>16), int(t.Mod&0xFFFF)-1
		coef, scale = roundTo(coef, scale, to), to
		if new(big.Int).Abs(coef).Cmp(pow10(precision)) >= 0 {
			return nil, fieldOverflow(precision, to)
		}
	}
	return NumericOf(coef, scale), nil
}
