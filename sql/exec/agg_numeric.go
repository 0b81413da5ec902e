package exec

import (
	"encoding/binary"
	"math/big"
	"math/bits"
	"slices"

	"github.com/streamsql/streamsql/sql/delta"
	"github.com/streamsql/streamsql/sql/types"
)

// numSumAcc is sum and avg of numerics. While all values of a group have one
// scale and small coefficients, the sum is in words: how many rows, the scale
// plus one, 128 bits of coefficient. Otherwise it is in the slot, by scale: the
// scale of a sum is the greatest of the rows that are there.
type numSumAcc struct {
	wordAcc
	a    *agg
	avg  bool
	open []*scaledSum
	buf  []byte
}

// wide, in the word of the scale, says that the sum is in the slot.
const wide = 1 << 63

func (a *numSumAcc) words() int { return 4 }

func (a *numSumAcc) apply(f *feed) error {
	x := f.args[0]
	for _, i := range f.sel {
		row := f.rows[i]
		w := a.t.Words(row)[a.at : a.at+4]
		n := f.w[i]
		w[0] += uint64(n)
		v := x.Bytes(int(i))
		if c, scale, ok := smallNumeric(v); ok && (w[1] == uint64(scale)+1 || w[1] == 0) {
			lo, hi := mulSigned(c, n)
			s0, c0 := bits.Add64(w[2], lo, 0)
			s1, _ := bits.Add64(w[3], hi, c0)
			// Far from the limit, of which a single addition is at most half.
			if s1+1<<61 < 1<<62 {
				w[1], w[2], w[3] = uint64(scale)+1, s0, s1
				continue
			}
		}
		o, err := a.a.open(row)
		if err != nil {
			return err
		}
		s := a.open[o]
		if w[1]&wide == 0 {
			if w[1] != 0 {
				// The rows so far all have this scale: the call's rows less this one.
				s.add(big128(w[2], w[3]), int(w[1])-1, int64(w[0])-n)
			}
			w[1], w[2], w[3] = wide, 0, 0
		}
		s.addNumeric(v, n)
	}
	return nil
}

func (a *numSumAcc) results(gs *entrySet, out *delta.Vec) error {
	for g, w := range gs.words {
		w = w[a.at : a.at+4]
		if w[0] == 0 {
			out.AppendNull()
			continue
		}
		if w[1]&wide == 0 {
			a.buf = appendNumeric128(a.buf[:0], w[2], w[3], int(w[1])-1)
		} else {
			var s scaledSum
			s.decode(gs.slot[g])
			a.buf = s.appendTo(a.buf[:0])
		}
		v := a.buf
		if a.avg {
			var n [16]byte
			q, err := types.NumericDiv(nil, v, types.AppendNumericInt(n[:0], int64(w[0])))
			if err != nil {
				return err
			}
			v = q
		}
		out.AppendBytes(v)
	}
	return nil
}

func (a *numSumAcc) load(b []byte) error {
	s := &scaledSum{}
	s.decode(b)
	a.open = append(a.open, s)
	return nil
}

func (a *numSumAcc) save(i int, dst []byte) ([]byte, error) { return a.open[i].encode(dst), nil }
func (a *numSumAcc) reset()                                 { clear(a.open); a.open = a.open[:0] }

// scaledSum is an exact sum of numerics from which any of them can be taken
// back: the number of rows and the sum of coefficients of each scale, and how
// often the special values occur.
type scaledSum struct {
	special [3]int64 // NaN, Infinity, -Infinity
	parts   []scalePart
}

type scalePart struct {
	scale int
	n     int64
	sum   *big.Int
}

// add adds n rows of a scale whose coefficients sum up to x.
func (s *scaledSum) add(x *big.Int, scale int, n int64) {
	i, ok := slices.BinarySearchFunc(s.parts, scale, func(p scalePart, scale int) int { return p.scale - scale })
	if !ok {
		s.parts = slices.Insert(s.parts, i, scalePart{scale: scale, sum: new(big.Int)})
	}
	p := &s.parts[i]
	p.n += n
	p.sum.Add(p.sum, x)
	if p.n == 0 && p.sum.Sign() == 0 {
		s.parts = slices.Delete(s.parts, i, i+1)
	}
}

func (s *scaledSum) addNumeric(b []byte, n int64) {
	if len(b) > 0 && b[0] >= types.NumericNaN {
		s.special[b[0]-types.NumericNaN] += n
		return
	}
	scale := 0
	if len(b) > 0 {
		scale = int(b[0])
	}
	x := numericCoef(b)
	s.add(x.Mul(x, big.NewInt(n)), scale, n)
}

// total returns the sum of finite values and its scale.
func (s *scaledSum) total() (*big.Int, int) {
	sum, scale := new(big.Int), 0
	for _, p := range s.parts { // by ascending scale
		if p.scale > scale {
			sum.Mul(sum, pow10(p.scale-scale))
			scale = p.scale
		}
		sum.Add(sum, p.sum)
	}
	return sum, scale
}

func pow10(n int) *big.Int {
	return new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(n)), nil)
}

// appendTo appends the sum as a numeric.
func (s *scaledSum) appendTo(dst []byte) []byte {
	switch nan, pos, neg := s.special[0], s.special[1], s.special[2]; {
	case nan > 0 || pos > 0 && neg > 0:
		return append(dst, types.NumericNaN)
	case pos > 0:
		return append(dst, types.NumericPosInf)
	case neg > 0:
		return append(dst, types.NumericNegInf)
	}
	return append(dst, types.NumericOf(s.total())...)
}

func (s *scaledSum) encode(dst []byte) []byte {
	if len(s.parts) == 0 && s.special == [3]int64{} {
		return dst
	}
	for _, n := range s.special {
		dst = binary.AppendVarint(dst, n)
	}
	for _, p := range s.parts {
		dst = binary.AppendUvarint(dst, uint64(p.scale))
		dst = binary.AppendVarint(dst, p.n)
		dst = appendBig(dst, p.sum)
	}
	return dst
}

func (s *scaledSum) decode(b []byte) {
	if len(b) == 0 {
		return
	}
	for i := range s.special {
		s.special[i], b = takeVarint(b)
	}
	for len(b) > 0 {
		scale, w := binary.Uvarint(b)
		p := scalePart{scale: int(scale)}
		p.n, b = takeVarint(b[max(w, 1):])
		p.sum, b = takeBig(b)
		s.parts = append(s.parts, p)
	}
}

// appendBig appends an integer: the length of its magnitude times two, plus one
// if it is negative, then the magnitude.
func appendBig(dst []byte, x *big.Int) []byte {
	m := x.Bytes()
	n := uint64(len(m)) << 1
	if x.Sign() < 0 {
		n |= 1
	}
	return append(binary.AppendUvarint(dst, n), m...)
}

func takeBig(b []byte) (*big.Int, []byte) {
	n, w := binary.Uvarint(b)
	if w <= 0 || uint64(len(b)-w) < n>>1 {
		return new(big.Int), nil
	}
	b = b[w:]
	x := new(big.Int).SetBytes(b[:n>>1])
	if n&1 != 0 {
		x.Neg(x)
	}
	return x, b[n>>1:]
}

func takeVarint(b []byte) (int64, []byte) {
	n, w := binary.Varint(b)
	if w <= 0 {
		return 0, nil
	}
	return n, b[w:]
}

func appendVarint(dst []byte, n int64) []byte { return binary.AppendVarint(dst, n) }
