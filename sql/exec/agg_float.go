package exec

import (
	"encoding/binary"
	"math"
	"math/big"
	"math/bits"

	"github.com/streamsql/streamsql/sql/delta"
	"github.com/streamsql/streamsql/sql/sqlerr"
)

// floatSumAcc is sum and avg of floats, exact until the answer is rounded, once:
// it depends neither on the order of the rows nor on what was taken back. In
// words it holds how many rows there are and a window of 192 bits into the full
// fixed-point number (Kulisch's long accumulator; Neal, "Fast exact summation
// using small and large superaccumulators", 2015). What does not fit the window,
// and NaN and the infinities, move the sum to the slot.
type floatSumAcc struct {
	wordAcc
	a           *agg
	avg, single bool
	open        []*dyadic
}

// The word of the window: 0 none yet, else the weight of its lowest bit, as a
// power of two, plus windowBias; or wide.
const windowBias = 1 << 14

func (a *floatSumAcc) words() int { return 5 }

// splitFloat returns m and e with |x| = m·2^e, m < 2^53, of a finite x.
func splitFloat(x float64) (m uint64, e int) {
	u := math.Float64bits(x)
	e = int(u >> 52 & 0x7ff)
	m = u & (1<<52 - 1)
	if e == 0 {
		return m, -1074
	}
	return m | 1<<52, e - 1075
}

func (a *floatSumAcc) apply(f *feed) error {
	x := f.args[0].F
	for _, i := range f.sel {
		w := a.t.Words(f.rows[i])[a.at : a.at+5 : a.at+5]
		n, v := f.w[i], x[i]
		w[0] += uint64(n)
		if v == 0 {
			continue
		}
		m, e := splitFloat(v)
		neg := v < 0
		k := uint64(1)
		if n != 1 {
			if n < 0 {
				neg = !neg
				k = uint64(-n)
			} else {
				k = uint64(n)
			}
		}
		if w[1] == 0 {
			w[1] = uint64(e - 64 + windowBias)
		}
		p := uint(e + windowBias - int(w[1]))
		if p > 127 || w[1]&wide != 0 || k > 1<<10 || math.Float64bits(v)&(0x7ff<<52) == 0x7ff<<52 || w[4]+1<<62 >= 1<<63 {
			if err := a.addWide(f.rows[i], w, v, n); err != nil {
				return err
			}
			continue
		}
		m *= k
		var l [4]uint64
		s := p & 63
		l[p>>6] = m << s
		l[p>>6+1] = m >> (64 - s) // 0 if s is 0
		var c uint64
		if neg {
			w[2], c = bits.Sub64(w[2], l[0], 0)
			w[3], c = bits.Sub64(w[3], l[1], c)
			w[4], _ = bits.Sub64(w[4], l[2], c)
		} else {
			w[2], c = bits.Add64(w[2], l[0], 0)
			w[3], c = bits.Add64(w[3], l[1], c)
			w[4], _ = bits.Add64(w[4], l[2], c)
		}
	}
	return nil
}

func (a *floatSumAcc) addWide(row int32, w []uint64, v float64, n int64) error {
	o, err := a.a.open(row)
	if err != nil {
		return err
	}
	d := a.open[o]
	if w[1]&wide == 0 {
		d.add(windowInt(w), int(w[1])-windowBias)
		w[1], w[2], w[3], w[4] = wide, 0, 0, 0
	}
	d.addFloat(v, n)
	return nil
}

func windowInt(w []uint64) *big.Int {
	x := big128(w[3], w[4])
	x.Lsh(x, 64)
	return x.Add(x, new(big.Int).SetUint64(w[2]))
}

func (a *floatSumAcc) results(gs *entrySet, out *delta.Vec) error {
	for g, w := range gs.words {
		w = w[a.at : a.at+5]
		if w[0] == 0 {
			out.AppendNull()
			continue
		}
		var r float64
		inf := false
		switch {
		case w[1] == 0:
		case w[1]&wide != 0:
			var d dyadic
			d.decode(gs.slot[g])
			r, inf = d.float(a.single)
		default:
			r = roundWindow(w[2], w[3], w[4], int(w[1])-windowBias, a.single)
		}
		if a.avg {
			r /= float64(int64(w[0]))
		}
		if math.IsInf(r, 0) && !inf {
			return sqlerr.New(sqlerr.NumericOutOfRange, "value out of range: overflow")
		}
		out.AppendFloat(r)
	}
	return nil
}

func (a *floatSumAcc) load(b []byte) error {
	d := &dyadic{}
	d.decode(b)
	a.open = append(a.open, d)
	return nil
}

func (a *floatSumAcc) save(i int, dst []byte) ([]byte, error) { return a.open[i].encode(dst), nil }
func (a *floatSumAcc) reset()                                 { clear(a.open); a.open = a.open[:0] }

// roundWindow rounds (l2 l1 l0)·2^e, two's complement, to the nearest float.
func roundWindow(l0, l1, l2 uint64, e int, single bool) float64 {
	neg := int64(l2) < 0
	if neg {
		var c uint64
		l0, c = bits.Sub64(0, l0, 0)
		l1, c = bits.Sub64(0, l1, c)
		l2, _ = bits.Sub64(0, l2, c)
	}
	for range 2 {
		if l2 == 0 {
			l2, l1, l0 = l1, l0, 0
			e -= 64
		}
	}
	if l2 == 0 {
		return 0
	}
	s := uint(bits.LeadingZeros64(l2))
	top := l2<<s | l1>>(64-s)
	return roundBits(neg, top, l1<<s|l0 != 0, e+128-int(s), single)
}

// roundBits rounds m·2^e, whose top bit is bit 63 of m, and of which sticky tells
// whether there is more below, to the nearest float64, or float32 with single;
// ties go to even.
func roundBits(neg bool, m uint64, sticky bool, e int, single bool) float64 {
	drop, least := 11, -1074
	if single {
		drop, least = 40, -149
	}
	drop = max(drop, least-e)
	var q uint64
	switch {
	case drop > 64:
		return 0
	case drop == 64:
		if m > 1<<63 || m == 1<<63 && sticky {
			q = 1
		}
	default:
		q = m >> drop
		rest, half := m&(1<<drop-1), uint64(1)<<(drop-1)
		if rest > half || rest == half && (sticky || q&1 != 0) {
			q++
		}
	}
	r := math.Ldexp(float64(q), e+drop)
	if single && r > math.MaxFloat32 {
		r = math.Inf(1)
	}
	if neg {
		return -r
	}
	return r
}

// dyadic is an exact sum of floats: m·2^e, and how often the special values occur.
type dyadic struct {
	special [3]int64 // NaN, Infinity, -Infinity
	e       int
	m       big.Int
}

// add adds x·2^e. It may change x.
func (d *dyadic) add(x *big.Int, e int) {
	switch {
	case x.Sign() == 0:
		return
	case d.m.Sign() == 0:
		d.e = e
	case e > d.e:
		x.Lsh(x, uint(e-d.e))
	case e < d.e:
		d.m.Lsh(&d.m, uint(d.e-e))
		d.e = e
	}
	d.m.Add(&d.m, x)
}

// addFloat adds n times v.
func (d *dyadic) addFloat(v float64, n int64) {
	switch {
	case v != v:
		d.special[0] += n
	case math.IsInf(v, 1):
		d.special[1] += n
	case math.IsInf(v, -1):
		d.special[2] += n
	default:
		m, e := splitFloat(v)
		x := new(big.Int).SetUint64(m)
		if v < 0 {
			x.Neg(x)
		}
		if n != 1 {
			x.Mul(x, big.NewInt(n))
		}
		d.add(x, e)
	}
}

// addSquare adds n times v², of a finite v.
func (d *dyadic) addSquare(v float64, n int64) {
	m, e := splitFloat(v)
	x := new(big.Int).SetUint64(m)
	x.Mul(x, x)
	d.add(x.Mul(x, big.NewInt(n)), 2*e)
}

// float rounds the sum, and tells whether it is infinite because a value is.
func (d *dyadic) float(single bool) (r float64, inf bool) {
	switch nan, pos, neg := d.special[0], d.special[1], d.special[2]; {
	case nan > 0 || pos > 0 && neg > 0:
		return math.NaN(), false
	case pos > 0:
		return math.Inf(1), true
	case neg > 0:
		return math.Inf(-1), true
	}
	return roundBig(&d.m, d.e, single), false
}

// roundBig rounds m·2^e to the nearest float.
func roundBig(m *big.Int, e int, single bool) float64 {
	n := m.BitLen()
	if n == 0 {
		return 0
	}
	var top big.Int
	top.Abs(m)
	sticky := false
	if n > 64 {
		sticky = int(m.TrailingZeroBits()) < n-64
		top.Rsh(&top, uint(n-64))
	} else {
		top.Lsh(&top, uint(64-n))
	}
	return roundBits(m.Sign() < 0, top.Uint64(), sticky, e+n-64, single)
}

func (d *dyadic) encode(dst []byte) []byte {
	if d.m.Sign() == 0 && d.special == [3]int64{} {
		return dst
	}
	return d.encodeFull(dst)
}

// encodeFull is encode, but also of nothing not empty.
func (d *dyadic) encodeFull(dst []byte) []byte {
	for _, n := range d.special {
		dst = binary.AppendVarint(dst, n)
	}
	// The shortest form: without the zeros at the end.
	z := d.m.TrailingZeroBits()
	var m big.Int
	m.Rsh(&d.m, z)
	dst = binary.AppendVarint(dst, int64(d.e)+int64(z))
	return appendBig(dst, &m)
}

// decode reads what encode wrote and returns what follows it.
func (d *dyadic) decode(b []byte) []byte {
	if len(b) == 0 {
		return b
	}
	for i := range d.special {
		d.special[i], b = takeVarint(b)
	}
	e, b := takeVarint(b)
	d.e = int(e)
	m, b := takeBig(b)
	d.m.Set(m)
	return b
}
