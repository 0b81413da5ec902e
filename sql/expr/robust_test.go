package expr

import (
	"errors"
	"fmt"
	"math"
	"math/rand"
	"slices"
	"strings"
	"testing"

	"github.com/streamsql/streamsql/sql/delta"
	"github.com/streamsql/streamsql/sql/sqlerr"
	"github.com/streamsql/streamsql/sql/types"
)

// randomDatum picks a value of a type, edges more often than not.
func randomDatum(rng *rand.Rand, t types.Type) types.Datum {
	if rng.Intn(6) == 0 {
		return types.NullDatum
	}
	text := func(ss ...string) types.Datum {
		for range 10 {
			if d, err := types.ParseText(t, ss[rng.Intn(len(ss))]); err == nil {
				return d
			}
		}
		return types.NullDatum
	}
	switch t.ID {
	case types.Bool:
		return types.Datum{I: int64(rng.Intn(2))}
	case types.Int2, types.Int4, types.Int8:
		r := rangeOf(t)
		return types.Datum{I: []int64{0, 1, -1, 2, 3, 7, 10, 100, r.lo, r.hi, r.lo + 1, int64(int16(rng.Int()))}[rng.Intn(12)]}
	case types.OID, types.Regclass, types.Regtype:
		return types.Datum{I: []int64{0, 23, 25, 1184, math.MaxUint32}[rng.Intn(5)]}
	case types.Float4, types.Float8:
		f := []float64{0, 1, -1, 0.5, 2, -2.5, 1e10, 1e300, -1e300, 5e-324, math.Inf(1), math.Inf(-1), math.NaN(), 30, 90}[rng.Intn(15)]
		if t.ID == types.Float4 {
			f = float64(float32(f))
		}
		return types.Datum{F: f}
	case types.Numeric:
		return text("0", "1", "-1", "0.00", "2.5", "-2.50", "NaN", "Infinity", "-Infinity", "1e30", "1e-30", "123456789012345678901234567890.5",
			"9223372036854775807", "-9223372036854775808", "99999999", "0.5", "10")
	case types.Text, types.Varchar, types.Name, types.Bpchar, types.Unknown:
		return text("", "a", "abc", " x ", "héllo €", "%", "a_c%", "\\", "(a|b)+", "[", "0", "42", "-7", "1.5e3", "2024-02-29", "2024-02-29 12:34:56.5+02",
			"day", "hour", "epoch", "UTC", "Europe/Paris", "+05:30", "YYYY-MM-DD HH24:MI:SS", "FM999,999.99", "Month", "i", "g", "base64", "hex", "public.t", ",", "{1,2}",
			"1 day 02:03:04", "{\"a\": [1]}", "true", "infinity", "IYYY-IW-ID", "S9V99", "%s %I %L", "%2$s", "***=x", "(?i)A", strings.Repeat("ab", 40))
	case types.Char:
		return text("", "a", "r")
	case types.Bytea:
		return text("", `\x00`, `\xdeadbeef`, `\x`)
	case types.Date:
		return text("1970-01-01", "2024-02-29", "0001-01-01", "4713-01-01 BC", "294276-12-31", "infinity", "-infinity", "2000-12-31")
	case types.Time:
		return text("00:00", "12:34:56.789", "24:00:00")
	case types.Timestamp, types.Timestamptz:
		return text("1970-01-01", "2024-02-29 12:34:56.789", "0001-01-01", "4713-01-01 BC", "294000-12-31", "infinity", "-infinity", "2024-03-31 02:30")
	case types.Interval:
		return text("0", "1 day", "-1 mon", "1 year 2 mons 3 days 04:05:06.7", "178000000 years", "-2000000000 days", "00:00:00.000001", "-00:30")
	case types.UUID:
		return text("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11")
	case types.JSON, types.JSONB:
		return text("{}", "[]", "1", "null", "\"x\"", "true", `{"a": {"b": [1, 2, {"c": null}]}, "d": "e\"f"}`, `[1, "a", [2], {"a": 1}]`, "-1.5e3", "[ ]")
	case types.Array:
		out := []byte{}
		for range rng.Intn(4) {
			out = types.AppendElem(out, t.Elem, randomDatum(rng, types.Of(t.Elem)))
		}
		return types.Datum{S: out}
	}
	return types.NullDatum
}

// TestEveryFunction calls every function of the catalogue with all kinds of
// values: none panics, every error has a SQLSTATE of its own, and a batch gives
// what its rows give one by one, whichever arguments are constant.
func TestEveryFunction(t *testing.T) {
	rng := rand.New(rand.NewSource(11))
	ctx := testContext()
	ctx.Catalog = func(fn string, args []types.Datum) (types.Datum, error) { return types.NullDatum, nil }
	keys := make([]string, 0, len(byKey))
	for k := range byKey {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	polymorphic := []types.ID{types.Int4, types.Text, types.Numeric, types.Float8, types.Timestamptz, types.Bool}
	for _, key := range keys {
		f := byKey[key]
		rounds := 3
		if slices.ContainsFunc(f.Args, func(a types.Type) bool { return a.ID >= Any }) {
			rounds = len(polymorphic)
		}
		for round := range rounds {
			elem := types.Of(polymorphic[round%len(polymorphic)])
			args := slices.Clone(f.Args)
			for f.Variadic && len(args) < len(f.Args)+rng.Intn(3) {
				args = append(args, f.Args[len(f.Args)-1])
			}
			x := &Expr{Kind: Call, Fn: key, Type: concrete(f.Ret, elem, elem)}
			b := &delta.Batch{N: 40}
			for i, a := range args {
				a = concrete(a, elem, elem)
				arg := &Expr{Kind: Col, Index: i, Type: a}
				if rng.Intn(3) == 0 {
					arg = &Expr{Kind: Const, Type: a, Value: randomDatum(rng, a)}
				}
				x.Args = append(x.Args, arg)
				v := delta.NewVec(a, b.N)
				for range b.N {
					v.AppendDatum(randomDatum(rng, a))
				}
				b.Cols = append(b.Cols, v)
			}
			checkCall(t, ctx, x, b, f)
		}
	}
}

// TestEveryCast does the same for casts between all types.
func TestEveryCast(t *testing.T) {
	rng := rand.New(rand.NewSource(12))
	ctx := testContext()
	ctx.Catalog = func(fn string, args []types.Datum) (types.Datum, error) { return types.NullDatum, nil }
	var all []types.Type
	for id := types.Bool; id < types.Array; id++ {
		all = append(all, types.Of(id))
	}
	all = append(all, types.ArrayOf(types.Int4), types.ArrayOf(types.Text), types.ArrayOf(types.Float8),
		types.Type{ID: types.Numeric, Mod: 5<<16 | 3}, types.Type{ID: types.Varchar, Mod: 3}, types.Type{ID: types.Bpchar, Mod: 4}, types.Type{ID: types.Timestamp, Mod: 3})
	n := 0
	for _, from := range all {
		for _, to := range all {
			for _, explicit := range []bool{false, true} {
				f := castFunc(from, to, explicit)
				if (f != nil) != (castNeeds(from, to) != never) {
					t.Errorf("cast from %s to %s: function %v", from, to, f != nil)
				}
				if f == nil {
					continue
				}
				n++
				v := delta.NewVec(from, 30)
				for range 30 {
					v.AppendDatum(randomDatum(rng, from))
				}
				x := &Expr{Kind: Cast, Type: to, Explicit: explicit, Args: []*Expr{{Kind: Col, Type: from}}}
				checkCall(t, ctx, x, &delta.Batch{N: 30, Cols: []*delta.Vec{v}}, f)
			}
		}
	}
	if n < 300 {
		t.Errorf("%d casts", n)
	}
}

func checkCall(t *testing.T, ctx *Context, x *Expr, b *delta.Batch, f *Func) {
	t.Helper()
	name := String(x, nil) + " of " + fmt.Sprint(f.Args)
	defer func() {
		if r := recover(); r != nil {
			t.Errorf("%s: panic: %v", name, r)
		}
	}()
	e := &Env{}
	p, err := Compile(e, x)
	if err != nil {
		t.Fatal(err)
	}
	// One by one first: what the batch must give.
	single, _ := Compile(e, x)
	want := make([]string, b.N)
	firstErr := -1
	good := []int32{}
	for i := range b.N {
		v, err := single.Eval(ctx, b.Gather([]int32{int32(i)}))
		if err != nil {
			var se *sqlerr.Error
			if !errors.As(err, &se) || se.Code == sqlerr.Internal || se.Code == "" {
				t.Errorf("%s: error without a state: %v", name, err)
			}
			if firstErr < 0 {
				firstErr = i
			}
			if !f.MayFail {
				t.Errorf("%s: fails though it must not: %v", name, err)
			}
			continue
		}
		good = append(good, int32(i))
		want[i] = show(ctx, x.Type, v.Datum(0))
	}
	v, err := p.Eval(ctx, b)
	var ee *EvalError
	if (err != nil) != (firstErr >= 0) || errors.As(err, &ee) && ee.Row != firstErr && !allConst(x) {
		t.Errorf("%s: batch fails with %v (row %v), alone first row %d", name, err, ee, firstErr)
		return
	}
	if err != nil {
		// The rows that do not fail, again as a batch.
		if b = b.Gather(good); b.N == 0 {
			return
		}
		if v, err = p.Eval(ctx, b); err != nil {
			if !allConst(x) {
				t.Errorf("%s: good rows fail: %v", name, err)
			}
			return
		}
		for k, i := range good {
			want[k] = want[i]
		}
	}
	if v.N != b.N {
		t.Errorf("%s: %d rows for %d", name, v.N, b.N)
		return
	}
	if f.Vol == Volatile {
		return
	}
	for i := range b.N {
		if got := show(ctx, x.Type, v.Datum(i)); got != want[i] {
			t.Errorf("%s: row %d of a batch is %s, alone %s", name, i, got, want[i])
			return
		}
	}
}

func allConst(x *Expr) bool {
	return !slices.ContainsFunc(x.Args, func(a *Expr) bool { return a.Kind != Const })
}
