package types

import (
	"math"
	"math/big"
	"math/rand"
	"testing"
)

// TestSmallNumerics compares the arithmetic of 64-bit coefficients with the same
// in big integers.
func TestSmallNumerics(t *testing.T) {
	rng := rand.New(rand.NewSource(5))
	edge := []int64{0, 1, -1, 5, 9, 10, -10, 49, 50, 99, 100, 9999, 10000, math.MaxInt64, math.MinInt64, math.MaxInt64 - 1,
		1e18, -1e18, 5e17, math.MaxInt32, math.MinInt32}
	pick := func() int64 {
		if rng.Intn(3) == 0 {
			return edge[rng.Intn(len(edge))]
		}
		x := rng.Int63() >> uint(rng.Intn(63))
		return x - rng.Int63()>>uint(rng.Intn(63))
	}
	scaled := func(x int64, s, to int) *big.Int { return roundTo(big.NewInt(x), s, to) }
	for range 30_000 {
		x, y := pick(), pick()
		sx, sy := rng.Intn(24), rng.Intn(24)
		a, b := appendSmall(nil, x, sx), appendSmall(nil, y, sy)
		s := max(sx, sy)
		if got, want := NumericCmp(a, b), scaled(x, sx, s).Cmp(scaled(y, sy, s)); got != want {
			t.Fatalf("cmp(%d e-%d, %d e-%d) = %d, want %d", x, sx, y, sy, got, want)
		}
		check := func(what string, got []byte, coef *big.Int, scale int) {
			t.Helper()
			if want := NumericOf(coef, scale); string(got) != string(want) {
				t.Fatalf("%s of %d e-%d, %d e-%d: % x, want % x", what, x, sx, y, sy, got, want)
			}
		}
		check("sum", NumericAdd(nil, a, b, false), new(big.Int).Add(scaled(x, sx, s), scaled(y, sy, s)), s)
		check("difference", NumericAdd(nil, a, b, true), new(big.Int).Sub(scaled(x, sx, s), scaled(y, sy, s)), s)
		to := rng.Intn(24)
		check("round", NumericRound(nil, a, to, false), scaled(x, sx, to), to)
		if to < sx {
			check("trunc", NumericRound(nil, a, to, true), new(big.Int).Quo(big.NewInt(x), pow10(sx-to)), to)
		}
		if i, ok := NumericInt(a); !ok || i != scaled(x, sx, 0).Int64() {
			t.Fatalf("int(%d e-%d) = %d, %v", x, sx, i, ok)
		}
		floor := new(big.Int).Div(big.NewInt(x), pow10(sx)) // Euclid's, as the divisor is positive
		check("floor", NumericFloor(nil, a), floor, 0)
		p := 1 + rng.Intn(25)
		typ := Type{ID: Numeric, Mod: int32(p<<16 | min(to, p) + 1)}
		got, err := NumericApply(nil, typ, a)
		coef := scaled(x, sx, min(to, p))
		if fits := new(big.Int).Abs(coef).Cmp(pow10(p)) < 0; fits != (err == nil) {
			t.Fatalf("%d e-%d as %s: %v", x, sx, typ, err)
		} else if fits {
			check(typ.String(), got, coef, min(to, p))
		}
		if y != 0 {
			bx, by := big.NewInt(x), big.NewInt(y)
			ds := divScale(bx, sx, by, sy)
			num, den := bx, by
			if k := ds - sx + sy; k >= 0 {
				num = new(big.Int).Mul(bx, pow10(k))
			} else {
				den = new(big.Int).Mul(by, pow10(-k))
			}
			q, r := new(big.Int).QuoRem(num, den, new(big.Int))
			if r.Abs(r).Lsh(r, 1).CmpAbs(den) >= 0 {
				q.Add(q, big.NewInt(int64(num.Sign()*den.Sign())))
			}
			got, err := NumericDiv(nil, a, b)
			if err != nil {
				t.Fatal(err)
			}
			check("quotient", got, q, ds)
		}
		text := string(appendNumericText(nil, a))
		back, err := parseNumeric(Of(Numeric), text)
		if err != nil || string(back) != string(a) {
			t.Fatalf("%d e-%d prints as %s", x, sx, text)
		}
	}
}
