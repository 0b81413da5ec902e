package types

import (
	"encoding/binary"
	"math"
	"math/bits"
	"strconv"

	"github.com/streamsql/streamsql/sql/sqlerr"
)

// Most numerics have a coefficient of 64 bits. What follows does the same as
// the general code for them, without big integers; ok false sends the caller there.

// pow10s are the powers of ten of 64 bits.
var pow10s = func() (p [20]uint64) {
	p[0] = 1
	for i := 1; i < len(p); i++ {
		p[i] = 10 * p[i-1]
	}
	return p
}()

// scaleUp gives x × 10^by.
func scaleUp(x int64, by int) (int64, bool) {
	if by == 0 {
		return x, true
	}
	if by > 18 {
		return 0, x == 0
	}
	hi, lo := bits.Mul64(absU(x), pow10s[by])
	if hi != 0 || lo > math.MaxInt64 {
		return 0, false
	}
	if x < 0 {
		return -int64(lo), true
	}
	return int64(lo), true
}

func absU(x int64) uint64 {
	if x < 0 {
		return -uint64(x)
	}
	return uint64(x)
}

// align brings two coefficients to one scale.
func align(x int64, sx int, y int64, sy int) (int64, int64, int, bool) {
	ok := true
	switch {
	case sx < sy:
		x, ok = scaleUp(x, sy-sx)
	case sx > sy:
		y, ok = scaleUp(y, sx-sy)
	}
	return x, y, max(sx, sy), ok
}

// scaleDown gives x × 10^-by, half away from zero or cut.
func scaleDown(x int64, by int, trunc bool) int64 {
	if by > 18 {
		if by == 19 && !trunc && absU(x) >= pow10s[19]/2 { // only what rounds to ±1
			return int64(cmpSign(x))
		}
		return 0
	}
	p := pow10s[by]
	u := absU(x)
	q := u / p
	if !trunc && u%p >= p-u%p {
		q++
	}
	if x < 0 {
		return -int64(q)
	}
	return int64(q)
}

func cmpSign(x int64) int {
	switch {
	case x < 0:
		return -1
	case x > 0:
		return 1
	}
	return 0
}

// roundSmall is NumericRound to a scale that is not negative.
func roundSmall(x int64, s, scale int, trunc bool) (int64, bool) {
	if scale >= s {
		return scaleUp(x, scale-s)
	}
	return scaleDown(x, s-scale, trunc), true
}

// cmpSmall compares; it never needs the general code.
func cmpSmall(x int64, sx int, y int64, sy int) int {
	if sx != sy {
		if a, b, _, ok := align(x, sx, y, sy); ok {
			x, y = a, b
		} else if sx < sy {
			y = 0 // x outgrew 64 bits, so that its sign decides
		} else {
			x = 0
		}
	}
	switch {
	case x < y:
		return -1
	case x > y:
		return 1
	}
	return 0
}

// appendSmallText prints coef × 10^-scale.
func appendSmallText(dst []byte, coef int64, scale int) []byte {
	if scale == 0 {
		return strconv.AppendInt(dst, coef, 10)
	}
	if coef < 0 {
		dst = append(dst, '-')
	}
	var buf [20]byte
	d := strconv.AppendUint(buf[:0], absU(coef), 10)
	if len(d) > scale {
		dst = append(dst, d[:len(d)-scale]...)
		return append(append(dst, '.'), d[len(d)-scale:]...)
	}
	dst = append(dst, '0', '.')
	for range scale - len(d) {
		dst = append(dst, '0')
	}
	return append(dst, d...)
}

// applySmall brings a coefficient to a numeric(p,s).
func applySmall(dst []byte, t Type, x int64, s int) (out []byte, ok bool, err error) {
	precision, to := int(t.Mod>>16), int(t.Mod&0xFFFF)-1
	y, ok := roundSmall(x, s, to, false)
	if !ok {
		return dst, false, nil
	}
	if precision < len(pow10s) && absU(y) >= pow10s[precision] {
		return dst, true, fieldOverflow(precision, to)
	}
	return appendSmall(dst, y, to), true, nil
}

func fieldOverflow(precision, scale int) error {
	return sqlerr.New(sqlerr.NumericOutOfRange, "numeric field overflow").
		WithDetail("A field with precision %d, scale %d must round to an absolute value less than 10^%d.", precision, scale, precision-scale)
}

func infiniteOverflow(t Type) error {
	return sqlerr.New(sqlerr.NumericOutOfRange, "numeric field overflow").
		WithDetail("A field with precision %d, scale %d cannot hold an infinite value.", t.Mod>>16, int(t.Mod&0xFFFF)-1)
}

// digits10 is the number of decimal digits of u, at least 1.
func digits10(u uint64) int {
	n := bits.Len64(u|1) * 1233 >> 12
	if u >= pow10s[n] {
		n++
	}
	return max(n, 1)
}

// weightSmall is weight.
func weightSmall(x int64, scale int) (int, int) {
	if x == 0 {
		return 0, 0
	}
	u := absU(x)
	n := digits10(u)
	e := n - scale
	w := (e+3)>>2 - 1
	lead := e - 4*w
	if lead >= n {
		return w, int(u * pow10s[lead-n])
	}
	return w, int(u / pow10s[n-lead])
}

// divSmall is NumericDiv: a quotient of 128 bits by one of 64.
func divSmall(dst []byte, x int64, sx int, y int64, sy int) ([]byte, bool) {
	wx, fx := weightSmall(x, sx)
	wy, fy := weightSmall(y, sy)
	q := wx - wy
	if fx <= fy {
		q--
	}
	s := min(max(minDivDigits-4*q, sx, sy, 0), maxScale)
	k := s - sx + sy
	if k < 0 || k > 38 {
		return dst, false
	}
	hi, lo := bits.Mul64(absU(x), pow10s[min(k, 19)])
	if k > 19 {
		// (hi, lo) × 10^(k-19) within 128 bits.
		h1, l1 := bits.Mul64(lo, pow10s[k-19])
		h2, l2 := bits.Mul64(hi, pow10s[k-19])
		var carry uint64
		if hi, carry = bits.Add64(l2, h1, 0); h2 != 0 || carry != 0 {
			return dst, false
		}
		lo = l1
	}
	d := absU(y)
	qh, r := hi/d, hi%d
	ql, r := bits.Div64(r, lo, d)
	if r >= d-r {
		var carry uint64
		ql, carry = bits.Add64(ql, 1, 0)
		qh += carry
	}
	if qh>>63 != 0 {
		return dst, false
	}
	if (x < 0) != (y < 0) {
		var borrow uint64
		ql, borrow = bits.Sub64(0, ql, 0)
		qh, _ = bits.Sub64(0, qh, borrow)
	}
	return append128(dst, qh, ql, s), true
}

// append128 appends the bytes of a coefficient of 128 bits in two's complement.
func append128(dst []byte, hi, lo uint64, scale int) []byte {
	if int64(hi) == int64(lo)>>63 {
		return appendSmall(dst, int64(lo), scale)
	}
	dst = append(dst, byte(scale))
	dst = binary.LittleEndian.AppendUint64(dst, lo)
	for {
		dst = append(dst, byte(hi))
		last := int8(hi)
		hi = uint64(int64(hi) >> 8)
		if hi == 0 && last >= 0 || hi == math.MaxUint64 && last < 0 {
			return dst
		}
	}
}
