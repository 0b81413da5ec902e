package exec

import (
	"math"
	"math/big"
	"strings"

	"github.com/streamsql/streamsql/sql/delta"
	"github.com/streamsql/streamsql/sql/sqlerr"
	"github.com/streamsql/streamsql/sql/types"
)

// varAcc is the variances and standard deviations: how many rows, and exactly
// the sums of x and of x².
type varAcc struct {
	wordAcc
	a       *agg
	name    string
	float   bool
	integer bool
	open    []*moments
}

type moments struct {
	x, xx   dyadic
	nx, nxx scaledSum
}

func (a *varAcc) words() int { return 1 }

func (a *varAcc) apply(f *feed) error {
	v := f.args[0]
	for _, i := range f.sel {
		row, n := f.rows[i], f.w[i]
		a.a.t.Words(row)[a.at] += uint64(n)
		o, err := a.a.open(row)
		if err != nil {
			return err
		}
		m := a.open[o]
		switch {
		case a.float:
			x := v.F[i]
			m.x.addFloat(x, n)
			if !math.IsInf(x, 0) && x == x {
				m.xx.addSquare(x, n)
			}
		case a.integer:
			x := big.NewInt(v.I[i])
			xx := new(big.Int).Mul(x, x)
			m.nxx.add(xx.Mul(xx, big.NewInt(n)), 0, n)
			m.nx.add(x.Mul(x, big.NewInt(n)), 0, n)
		default:
			b := v.Bytes(int(i))
			m.nx.addNumeric(b, n)
			if len(b) > 0 && b[0] < types.NumericNaN {
				x := numericCoef(b)
				x.Mul(x, x)
				m.nxx.add(x.Mul(x, big.NewInt(n)), 2*int(b[0]), n)
			}
		}
	}
	return nil
}

func (a *varAcc) results(gs *entrySet, out *delta.Vec) error {
	sample := !strings.HasSuffix(a.name, "_pop")
	root := strings.HasPrefix(a.name, "stddev")
	for g, w := range gs.words {
		n := int64(w[a.at])
		if n == 0 || sample && n == 1 {
			out.AppendNull()
			continue
		}
		den := big.NewInt(n)
		if sample {
			den.Mul(den, big.NewInt(n-1))
		} else {
			den.Mul(den, den)
		}
		var m moments
		a.decode(&m, gs.slot[g])
		if a.float {
			if m.x.special != [3]int64{} {
				out.AppendFloat(math.NaN())
				continue
			}
			r := m.variance(n, den)
			if math.IsInf(r, 0) {
				return sqlerr.New(sqlerr.NumericOutOfRange, "value out of range: overflow")
			}
			if root {
				r = math.Sqrt(r)
			}
			out.AppendFloat(r)
			continue
		}
		if m.nx.special != [3]int64{} {
			out.AppendBytes([]byte{types.NumericNaN})
			continue
		}
		b, err := m.numericVariance(n, den, root)
		if err != nil {
			return err
		}
		out.AppendBytes(b)
	}
	return nil
}

// variance is (n·Σx² − (Σx)²) / den, rounded once.
func (m *moments) variance(n int64, den *big.Int) float64 {
	var num dyadic
	num.e = m.xx.e
	num.m.Mul(&m.xx.m, big.NewInt(n))
	sq := new(big.Int).Mul(&m.x.m, &m.x.m)
	num.add(sq.Neg(sq), 2*m.x.e)
	if num.m.Sign() <= 0 {
		return 0
	}
	// A quotient of more than 64 bits, and below it one bit for what is left.
	s := max(0, 68+den.BitLen()-num.m.BitLen())
	q, r := new(big.Int).QuoRem(num.m.Lsh(&num.m, uint(s)), den, new(big.Int))
	q.Lsh(q, 1)
	if r.Sign() != 0 {
		q.Or(q, big.NewInt(1))
	}
	return roundBig(q, num.e-s-1, false)
}

// numericVariance has the scales of numeric_stddev_internal of PostgreSQL.
func (m *moments) numericVariance(n int64, den *big.Int, root bool) ([]byte, error) {
	const maxScale = 252
	x, s := m.nx.total()
	num, s2 := m.nxx.total()
	if s2 < 2*s {
		num.Mul(num, pow10(2*s-s2))
	}
	num.Mul(num, big.NewInt(n))
	num.Sub(num, x.Mul(x, x))
	if num.Sign() <= 0 {
		return types.NumericOf(num.SetInt64(0), 0), nil
	}
	scale := 2 * s
	if scale > maxScale {
		num.Quo(num, pow10(scale-maxScale))
		scale = maxScale
	}
	v, err := types.NumericDiv(nil, types.NumericOf(num, scale), types.NumericOf(den, 0))
	if err != nil || !root {
		return v, err
	}
	// √(c·10^-s) at scale s is √(c·10^s), rounded.
	scale = int(v[0])
	c := numericCoef(v)
	c.Mul(c, pow10(scale))
	r := new(big.Int).Sqrt(c)
	if c.Sub(c, new(big.Int).Mul(r, r)).Cmp(r) > 0 {
		r.Add(r, big.NewInt(1))
	}
	return types.NumericOf(r, scale), nil
}

func (a *varAcc) decode(m *moments, b []byte) {
	if a.float {
		if len(b) > 0 {
			m.xx.decode(m.x.decode(b))
		}
		return
	}
	if len(b) > 0 {
		n, b := takeVarint(b)
		n = min(max(n, 0), int64(len(b)))
		m.nx.decode(b[:n])
		m.nxx.decode(b[n:])
	}
}

func (a *varAcc) load(b []byte) error {
	m := &moments{}
	a.decode(m, b)
	a.open = append(a.open, m)
	return nil
}

func (a *varAcc) save(i int, dst []byte) ([]byte, error) { return a.encode(a.open[i], dst), nil }

func (a *varAcc) encode(m *moments, dst []byte) []byte {
	if a.float {
		x, xx := m.x.encode(nil), m.xx.encode(nil)
		if len(x) == 0 && len(xx) == 0 {
			return dst
		}
		// Both must be there to be told apart.
		return m.xx.encodeFull(m.x.encodeFull(dst))
	}
	x := m.nx.encode(nil)
	xx := m.nxx.encode(nil)
	if len(x)+len(xx) == 0 {
		return dst
	}
	dst = appendVarint(dst, int64(len(x)))
	return append(append(dst, x...), xx...)
}

func (a *varAcc) reset() { clear(a.open); a.open = a.open[:0] }
