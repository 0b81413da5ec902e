package exec

import (
	"encoding/binary"
	"math"
	"math/big"
	"math/bits"

	"github.com/streamsql/streamsql/sql/delta"
	"github.com/streamsql/streamsql/sql/expr"
	"github.com/streamsql/streamsql/sql/sqlerr"
	"github.com/streamsql/streamsql/sql/types"
)

// intSumAcc is sum and avg of integers: how many rows, and the sum in 128 bits,
// which no passing state overflows.
type intSumAcc struct {
	wordAcc
	kind expr.AggKind
	buf  []byte
}

func (a *intSumAcc) words() int { return 3 }

func (a *intSumAcc) apply(f *feed) error {
	t, at, x := a.t, a.at, f.args[0].I
	for _, i := range f.sel {
		w := t.Words(f.rows[i])[at : at+3 : at+3]
		n := f.w[i]
		w[0] += uint64(n)
		if n == 1 {
			var c uint64
			w[1], c = bits.Add64(w[1], uint64(x[i]), 0)
			w[2] += uint64(x[i]>>63) + c
			continue
		}
		lo, hi := mulSigned(x[i], n)
		var c uint64
		w[1], c = bits.Add64(w[1], lo, 0)
		w[2] += hi + c
	}
	return nil
}

// mulSigned returns the 128-bit product.
func mulSigned(x, y int64) (lo, hi uint64) {
	hi, lo = bits.Mul64(uint64(x), uint64(y))
	if x < 0 {
		hi -= uint64(y)
	}
	if y < 0 {
		hi -= uint64(x)
	}
	return lo, hi
}

func (a *intSumAcc) results(gs *entrySet, out *delta.Vec) error {
	for _, w := range gs.words {
		w = w[a.at : a.at+3]
		switch {
		case w[0] == 0:
			out.AppendNull()
		case a.kind == expr.AggSumInt:
			if int64(w[1])>>63 != int64(w[2]) {
				return sqlerr.New(sqlerr.NumericOutOfRange, "bigint out of range")
			}
			out.AppendInt(int64(w[1]))
		case a.kind == expr.AggSumBig:
			a.buf = appendNumeric128(a.buf[:0], w[1], w[2], 0)
			out.AppendBytes(a.buf)
		default:
			var err error
			if a.buf, err = appendAvg128(a.buf[:0], w[1], w[2], 0, int64(w[0])); err != nil {
				return err
			}
			out.AppendBytes(a.buf)
		}
	}
	return nil
}

// appendNumeric128 appends the numeric of a 128-bit coefficient.
func appendNumeric128(dst []byte, lo, hi uint64, scale int) []byte {
	dst = append(dst, byte(scale))
	if lo == 0 && hi == 0 {
		return dst
	}
	start := len(dst)
	dst = binary.LittleEndian.AppendUint64(dst, lo)
	if int64(lo)>>63 != int64(hi) {
		dst = binary.LittleEndian.AppendUint64(dst, hi)
	}
	n := len(dst)
	for n > start+1 && (dst[n-1] == 0 && dst[n-2] < 0x80 || dst[n-1] == 0xff && dst[n-2] >= 0x80) {
		n--
	}
	return dst[:n]
}

// appendAvg128 appends the numeric of a 128-bit coefficient divided by n.
func appendAvg128(dst []byte, lo, hi uint64, scale int, n int64) ([]byte, error) {
	if int64(lo)>>63 == int64(hi) && scale == 0 && n > 0 {
		if dst, ok := appendAvg64(dst, int64(lo), uint64(n)); ok {
			return dst, nil
		}
	}
	var s, d [32]byte
	return types.NumericDiv(dst, appendNumeric128(s[:0], lo, hi, scale), types.AppendNumericInt(d[:0], n))
}

var pow10s [20]uint64

func init() {
	p := uint64(1)
	for i := range pow10s {
		pow10s[i] = p
		p *= 10
	}
}

// appendAvg64 is types.NumericDiv of integers; false if 128 bits are not enough.
func appendAvg64(dst []byte, x int64, n uint64) ([]byte, bool) {
	u := uint64(x)
	if x < 0 {
		u = -u
	}
	// The result scale of PostgreSQL's select_div_scale: at least 16 significant
	// digits, counted in digits of base 10,000.
	wx, fx := base10000(u)
	wn, fn := base10000(n)
	q := wx - wn
	if fx <= fn {
		q--
	}
	scale := max(16-4*q, 0)
	if scale >= len(pow10s) {
		return dst, false
	}
	hi, lo := bits.Mul64(u, pow10s[scale])
	qhi, rest := hi/n, hi%n
	qlo, rest := bits.Div64(rest, lo, n)
	if rest >= n-rest { // half away from zero
		var c uint64
		qlo, c = bits.Add64(qlo, 1, 0)
		qhi += c
	}
	if int64(qhi) < 0 {
		return dst, false
	}
	if x < 0 {
		var c uint64
		qlo, c = bits.Sub64(0, qlo, 0)
		qhi, _ = bits.Sub64(0, qhi, c)
	}
	return appendNumeric128(dst, qlo, qhi, scale), true
}

// base10000 returns the weight and the value of the first digit of x in base
// 10,000.
func base10000(x uint64) (weight, first int) {
	for x >= 10_000 {
		x /= 10_000
		weight++
	}
	return weight, int(x)
}

// big128 returns a signed integer of 128 bits.
func big128(lo, hi uint64) *big.Int {
	x := new(big.Int).SetInt64(int64(hi))
	x.Lsh(x, 64)
	return x.Add(x, new(big.Int).SetUint64(lo))
}

// smallNumeric reads a numeric whose coefficient fits 64 bits.
func smallNumeric(b []byte) (coef int64, scale int, ok bool) {
	n := len(b)
	if n == 0 || n > 9 || b[0] >= types.NumericNaN {
		return 0, 0, false
	}
	if n == 1 {
		return 0, int(b[0]), true
	}
	coef = int64(int8(b[n-1]))
	for i := n - 2; i > 0; i-- {
		coef = coef<<8 | int64(b[i])
	}
	return coef, int(b[0]), true
}

// numericCoef reads the coefficient of a finite numeric.
func numericCoef(b []byte) *big.Int {
	x := new(big.Int)
	if len(b) < 2 {
		return x
	}
	be := make([]byte, len(b)-1)
	for i := range be {
		be[i] = b[len(b)-1-i]
	}
	x.SetBytes(be)
	if be[0]&0x80 != 0 {
		x.Sub(x, new(big.Int).Lsh(big.NewInt(1), uint(8*len(be))))
	}
	return x
}

// intervalAcc is sum and avg of intervals, whose fields are summed on their own:
// how many rows, µs in 128 bits, days, months.
type intervalAcc struct {
	wordAcc
	avg bool
}

func (a *intervalAcc) words() int { return 5 }

func (a *intervalAcc) apply(f *feed) error {
	x := f.args[0]
	for _, i := range f.sel {
		w := a.t.Words(f.rows[i])[a.at : a.at+5]
		us, days, months := types.IntervalParts(x.Bytes(int(i)))
		n := f.w[i]
		lo, hi := mulSigned(us, n)
		var c uint64
		w[0] += uint64(n)
		w[1], c = bits.Add64(w[1], lo, 0)
		w[2] += hi + c
		w[3] += uint64(int64(days) * n)
		w[4] += uint64(int64(months) * n)
	}
	return nil
}

func (a *intervalAcc) results(gs *entrySet, out *delta.Vec) error {
	for _, w := range gs.words {
		w = w[a.at : a.at+5]
		if w[0] == 0 {
			out.AppendNull()
			continue
		}
		us, days, months := int64(w[1]), int64(w[3]), int64(w[4])
		if us>>63 != int64(w[2]) || days != int64(int32(days)) || months != int64(int32(months)) {
			return sqlerr.New(sqlerr.DatetimeOverflow, "interval out of range")
		}
		if a.avg {
			us, days, months = divInterval(us, days, months, float64(int64(w[0])))
		}
		out.AppendBytes(types.IntervalOf(us, int32(days), int32(months)))
	}
	return nil
}

// divInterval is interval_div of PostgreSQL 15: what months and days do not
// divide into goes down to days and µs.
func divInterval(us, days, months int64, by float64) (int64, int64, int64) {
	const secsPerDay = 86400
	round := func(x float64) float64 { return math.RoundToEven(x*1e6) / 1e6 }
	m, d := int64(float64(months)/by), int64(float64(days)/by)
	rest := round((float64(months)/by - float64(m)) * 30)
	secs := round((float64(days)/by - float64(d) + rest - math.Trunc(rest)) * secsPerDay)
	if math.Abs(secs) >= secsPerDay {
		whole := math.Trunc(secs / secsPerDay)
		d += int64(whole)
		secs -= whole * secsPerDay
	}
	d += int64(rest)
	return int64(math.RoundToEven(float64(us)/by + secs*1e6)), d, m
}
