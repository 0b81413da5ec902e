package types

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"math"
	"math/big"
	"math/rand"
	"slices"
	"testing"
)

// makeNumeric builds a numeric's bytes from a small coefficient, the plain way.
func makeNumeric(coef int64, scale byte) []byte {
	out := []byte{scale}
	for coef != 0 {
		out = append(out, byte(coef))
		sign := int8(out[len(out)-1]) < 0
		coef >>= 8
		if coef == 0 && !sign || coef == -1 && sign {
			break
		}
	}
	return out
}

func makeInterval(us int64, days, months int32) []byte {
	b := binary.LittleEndian.AppendUint64(nil, uint64(us))
	b = binary.LittleEndian.AppendUint32(b, uint32(days))
	return binary.LittleEndian.AppendUint32(b, uint32(months))
}

func numericRat(b []byte) *big.Rat {
	den := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(b[0])), nil)
	return new(big.Rat).SetFrac(numericCoefficient(b), den)
}

func compareFloat(a, b float64) int {
	switch {
	case a != a && b != b:
		return 0
	case a != a:
		return 1
	case b != b:
		return -1
	}
	return cmp.Compare(a, b)
}

// keyCases gives for each kind of type a random value, and the comparison that
// the encoding must agree with.
var keyCases = []struct {
	typ ID
	gen func(*rand.Rand) Datum
	cmp func(a, b Datum) int
}{
	{Int8, func(r *rand.Rand) Datum {
		return Datum{I: []int64{math.MinInt64, -1, 0, 1, math.MaxInt64, r.Int63n(9) - 4, r.Int63()}[r.Intn(7)]}
	}, func(a, b Datum) int { return cmp.Compare(a.I, b.I) }},
	{Float8, func(r *rand.Rand) Datum {
		return Datum{F: []float64{math.NaN(), math.Inf(1), math.Inf(-1), 0, math.Copysign(0, -1), 5e-324, r.NormFloat64()}[r.Intn(7)]}
	}, func(a, b Datum) int { return compareFloat(a.F, b.F) }},
	{Text, func(r *rand.Rand) Datum {
		s := make([]byte, r.Intn(4))
		for i := range s {
			s[i] = []byte{0, 1, 2, 'a', 0xFE, 0xFF}[r.Intn(6)]
		}
		return Datum{S: s}
	}, func(a, b Datum) int { return bytes.Compare(a.S, b.S) }},
	{Numeric, func(r *rand.Rand) Datum {
		c := []int64{0, 1, -1, 10, 100, -100, 127, 128, -128, -129, 255, 12345, r.Int63() - 1<<62}[r.Intn(13)]
		return Datum{S: makeNumeric(c, byte(r.Intn(5)))}
	}, func(a, b Datum) int { return numericRat(a.S).Cmp(numericRat(b.S)) }},
	{Interval, func(r *rand.Rand) Datum {
		return Datum{S: makeInterval([]int64{-1, 0, 1, 86_400_000_000, -86_400_000_001}[r.Intn(5)], int32(r.Intn(64)-32), int32(r.Intn(4)-2))}
	}, func(a, b Datum) int {
		total := func(s []byte) int64 {
			d := int64(int32(binary.LittleEndian.Uint32(s[8:]))) + 30*int64(int32(binary.LittleEndian.Uint32(s[12:])))
			return d*86_400_000_000 + int64(binary.LittleEndian.Uint64(s))
		}
		return cmp.Compare(total(a.S), total(b.S))
	}},
}

func TestKeyOrder(t *testing.T) {
	r := rand.New(rand.NewSource(1))
	for _, c := range keyCases {
		typ := Of(c.typ)
		gen := func() Datum {
			if r.Intn(10) == 0 {
				return NullDatum
			}
			return c.gen(r)
		}
		for range 20_000 {
			a, b := gen(), gen()
			want := 0
			switch {
			case a.Null && b.Null:
			case a.Null:
				want = 1
			case b.Null:
				want = -1
			default:
				want = c.cmp(a, b)
			}
			ka, kb := AppendKey(nil, typ, a, false), AppendKey(nil, typ, b, false)
			got := bytes.Compare(ka, kb)
			if want != 0 && got != want {
				t.Fatalf("%s: %+v and %+v compare as %d, want %d", typ, a, b, got, want)
			}
			if d := bytes.Compare(AppendKey(nil, typ, a, true), AppendKey(nil, typ, b, true)); d != -got {
				t.Fatalf("%s: %+v and %+v compare as %d descending, %d ascending", typ, a, b, d, got)
			}
			if got != 0 && (bytes.HasPrefix(ka, kb) || bytes.HasPrefix(kb, ka)) {
				t.Fatalf("%s: one of %+v and %+v is a prefix of the other", typ, a, b)
			}
			if eq := bytes.Equal(AppendEq(nil, typ, a), AppendEq(nil, typ, b)); eq != (want == 0) {
				t.Fatalf("%s: %+v and %+v: AppendEq says %v", typ, a, b, eq)
			}
		}
	}
}

func TestKeyRoundTrip(t *testing.T) {
	r := rand.New(rand.NewSource(2))
	for _, c := range keyCases {
		typ := Of(c.typ)
		for i := range 5_000 {
			d := c.gen(r)
			desc := i%2 == 0
			k := append(AppendKey(nil, typ, d, desc), "rest"...)
			got, rest, err := DecodeKey(k, typ, desc)
			if err != nil || string(rest) != "rest" {
				t.Fatalf("%s: %+v: rest %q, error %v", typ, d, rest, err)
			}
			if got.Null || got.I != d.I || compareFloat(got.F, d.F) != 0 || !bytes.Equal(got.S, d.S) {
				t.Fatalf("%s: %+v came back as %+v", typ, d, got)
			}
		}
	}
}

func TestSkipEq(t *testing.T) {
	r := rand.New(rand.NewSource(3))
	for _, c := range keyCases {
		typ := Of(c.typ)
		for i := range 2_000 {
			d := c.gen(r)
			if i%10 == 0 {
				d = NullDatum
			}
			k := append(AppendEq(nil, typ, d), "rest"...)
			rest, err := SkipEq(k, typ)
			if err != nil || string(rest) != "rest" {
				t.Fatalf("%s: %+v: rest %q, error %v", typ, d, rest, err)
			}
			if _, err := SkipEq(k[:min(1, len(k)-5)], typ); err == nil && !d.Null {
				t.Fatalf("%s: %+v: no error for the first byte alone", typ, d)
			}
		}
	}
}

func FuzzDecodeKey(f *testing.F) {
	f.Add([]byte{keyValue, 0}, false)
	f.Add(AppendKey(nil, Of(Numeric), Datum{S: makeNumeric(-15, 1)}, true), true)
	f.Fuzz(func(t *testing.T, b []byte, desc bool) {
		for _, c := range keyCases {
			d, rest, err := DecodeKey(slices.Clone(b), Of(c.typ), desc)
			if err == nil && len(rest) > len(b) {
				t.Fatalf("%v: more is left than there was: %+v", c.typ, d)
			}
		}
	})
}

func TestTypeNames(t *testing.T) {
	for _, c := range []struct {
		typ  Type
		name string
		oid  uint32
	}{
		{Of(Int4), "integer", 23},
		{ArrayOf(Text), "text[]", 1009},
		{Type{ID: Varchar, Mod: 10}, "character varying(10)", 1043},
		{Type{ID: Numeric, Mod: 10<<16 | 3}, "numeric(10,2)", 1700},
		{Type{ID: Timestamptz, Mod: 4}, "timestamp(3) with time zone", 1184},
	} {
		if c.typ.String() != c.name || c.typ.OID() != c.oid {
			t.Errorf("%s with OID %d, want %s with %d", c.typ, c.typ.OID(), c.name, c.oid)
		}
		if back, ok := FromOID(c.oid); !ok || back.ID != c.typ.ID || back.Elem != c.typ.Elem {
			t.Errorf("OID %d gives %s", c.oid, back)
		}
	}
	if _, ok := FromOID(0); ok {
		t.Error("OID 0 is no type")
	}
}
