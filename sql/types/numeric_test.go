package types

import (
	"math/big"
	"math/rand"
	"testing"
)

func num(t *testing.T, s string) []byte {
	t.Helper()
	b, err := parseNumeric(Of(Numeric), s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// The expected texts are PostgreSQL 15's.
func TestNumericArithmetic(t *testing.T) {
	for _, c := range []struct{ a, op, b, want string }{
		{"1.5", "+", "2.25", "3.75"}, {"1.50", "-", "1.5", "0.00"},
		{"9223372036854775807", "+", "1", "9223372036854775808"},
		{"-9223372036854775808", "-", "1", "-9223372036854775809"},
		{"0", "-", "-9223372036854775808", "9223372036854775808"},
		{"0.908", "*", "12345", "11209.260"}, {"9223372036854775807", "*", "10", "92233720368547758070"},
		{"10", "/", "4", "2.5000000000000000"}, {"1", "/", "3", "0.33333333333333333333"},
		{"2", "/", "3", "0.66666666666666666667"}, {"100000", "/", "7", "14285.714285714286"},
		{"-7", "/", "2", "-3.5000000000000000"}, {"0", "/", "5", "0.00000000000000000000"},
		{"1.00", "/", "3.0", "0.33333333333333333333"},
		{"7", "%", "3", "1"}, {"-7.5", "%", "2", "-1.5"},
		{"NaN", "+", "1", "NaN"}, {"Infinity", "-", "Infinity", "NaN"}, {"Infinity", "*", "-2", "-Infinity"},
		{"1", "/", "Infinity", "0"}, {"5", "%", "Infinity", "5"},
	} {
		a, b := num(t, c.a), num(t, c.b)
		var got []byte
		var err error
		switch c.op {
		case "+":
			got = NumericAdd(nil, a, b, false)
		case "-":
			got = NumericAdd(nil, a, b, true)
		case "*":
			got = NumericMul(nil, a, b)
		case "/":
			got, err = NumericDiv(nil, a, b)
		case "%":
			got, err = NumericMod(nil, a, b)
		}
		if s := string(appendNumericText(nil, got)); err != nil || s != c.want {
			t.Errorf("%s %s %s = %s, %v, want %s", c.a, c.op, c.b, s, err, c.want)
		}
	}
	if _, err := NumericDiv(nil, num(t, "1"), num(t, "0.00")); err != errDivZero {
		t.Errorf("division by zero: %v", err)
	}
}

// TestNumericFastPath compares the 64-bit paths with plain big integers.
func TestNumericFastPath(t *testing.T) {
	r := rand.New(rand.NewSource(5))
	draw := func() (int64, int) {
		return int64(r.Uint64()) >> uint(r.Intn(64)), r.Intn(4)
	}
	for range 50_000 {
		x, sx := draw()
		y, sy := draw()
		a, b := NumericOf(big.NewInt(x), sx), NumericOf(big.NewInt(y), sy)
		if got := appendSmall(nil, x, sx); string(got) != string(a) {
			t.Fatalf("%d: bytes %x, want %x", x, got, a)
		}
		if c, s, ok := small(a); !ok || c != x || s != sx {
			t.Fatalf("%d came back as %d", x, c)
		}
		s := max(sx, sy)
		bx, by := roundTo(big.NewInt(x), sx, s), roundTo(big.NewInt(y), sy, s)
		for _, c := range []struct {
			got  []byte
			want *big.Int
			s    int
		}{
			{NumericAdd(nil, a, b, false), new(big.Int).Add(bx, by), s},
			{NumericAdd(nil, a, b, true), new(big.Int).Sub(bx, by), s},
			{NumericMul(nil, a, b), new(big.Int).Mul(big.NewInt(x), big.NewInt(y)), sx + sy},
		} {
			if string(c.got) != string(NumericOf(c.want, c.s)) {
				t.Fatalf("%d×10^-%d and %d×10^-%d: %x, want %s", x, sx, y, sy, c.got, c.want)
			}
		}
		if NumericCmp(a, b) != bx.Cmp(by) {
			t.Fatalf("%d×10^-%d and %d×10^-%d compare as %d", x, sx, y, sy, NumericCmp(a, b))
		}
	}
}

func TestNumericRounding(t *testing.T) {
	for _, c := range []struct {
		a     string
		scale int
		trunc bool
		want  string
	}{
		{"2.5", 0, false, "3"}, {"-2.5", 0, false, "-3"}, {"2.45", 1, false, "2.5"}, {"1250", -2, false, "1300"},
		{"2.59", 1, true, "2.5"}, {"-1299", -2, true, "-1200"}, {"1", 2, false, "1.00"}, {"NaN", 1, false, "NaN"},
	} {
		if got := string(appendNumericText(nil, NumericRound(nil, num(t, c.a), c.scale, c.trunc))); got != c.want {
			t.Errorf("%s to %d, cut %v: %s, want %s", c.a, c.scale, c.trunc, got, c.want)
		}
	}
	for _, c := range [][3]string{{"2.1", "2", "3"}, {"-2.1", "-3", "-2"}, {"4.00", "4", "4"}, {"-0.5", "-1", "0"}} {
		f, ce := NumericFloor(nil, num(t, c[0])), NumericCeil(nil, num(t, c[0]))
		if string(appendNumericText(nil, f)) != c[1] || string(appendNumericText(nil, ce)) != c[2] {
			t.Errorf("floor and ceil of %s: %s and %s", c[0], appendNumericText(nil, f), appendNumericText(nil, ce))
		}
	}
	if v, ok := NumericInt(num(t, "1.5")); !ok || v != 2 {
		t.Errorf("1.5 as an integer: %d, %v", v, ok)
	}
	if _, ok := NumericInt(num(t, "9223372036854775808")); ok {
		t.Error("2^63 fits an integer")
	}
	if f := NumericFloat(num(t, "0.1")); f != 0.1 {
		t.Errorf("0.1 as a float: %v", f)
	}
	if got := string(appendNumericText(nil, NumericFromFloat(nil, 0.1+0.2, 64))); got != "0.3" {
		t.Errorf("0.1+0.2 as a numeric: %s", got)
	}
}
