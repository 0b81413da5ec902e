package expr

import (
	"errors"
	"fmt"
	"math"
	"math/rand"
	"strings"
	"testing"

	"github.com/streamsql/streamsql/sql/delta"
	"github.com/streamsql/streamsql/sql/sqlerr"
	"github.com/streamsql/streamsql/sql/types"
)

var testCols = []testCol{
	{"a", types.Of(types.Int8)}, {"b", types.Of(types.Int8)}, {"i", types.Of(types.Int4)},
	{"f", types.Of(types.Float8)}, {"g", types.Of(types.Float8)}, {"s", types.Of(types.Text)}, {"u", types.Of(types.Varchar)},
	{"n", types.Of(types.Numeric)}, {"p", types.Of(types.Bool)}, {"q", types.Of(types.Bool)}, {"t", types.Of(types.Timestamp)},
}

// randomBatch fills the test columns; with nulls every third value is NULL.
func randomBatch(rng *rand.Rand, n int, nulls bool) *delta.Batch {
	b := &delta.Batch{N: n}
	for _, c := range testCols {
		v := delta.NewVec(c.t, n)
		for range n {
			if nulls && rng.Intn(3) == 0 {
				v.AppendNull()
				continue
			}
			switch c.t.ID {
			case types.Int8, types.Int4:
				v.AppendInt(int64(rng.Intn(7) - 3))
			case types.Float8:
				v.AppendFloat([]float64{math.NaN(), -1, 0, 1, 2.5, math.Inf(1)}[rng.Intn(6)])
			case types.Text, types.Varchar:
				v.AppendBytes([]byte([]string{"", "a", "b", "ab", "abc"}[rng.Intn(5)]))
			case types.Numeric:
				d, _ := types.ParseText(c.t, []string{"0", "1", "1.0", "-2.5", "NaN"}[rng.Intn(5)])
				v.AppendDatum(d)
			case types.Bool:
				v.AppendInt(int64(rng.Intn(2)))
			case types.Timestamp:
				v.AppendInt(int64(rng.Intn(5)) * usPerDay)
			}
		}
		b.Cols = append(b.Cols, v)
	}
	return b
}

// condition writes a random condition over the test columns.
func condition(rng *rand.Rand, depth int) string {
	ops := []string{"=", "<>", "<", "<=", ">", ">="}
	op := func() string { return ops[rng.Intn(len(ops))] }
	one := func(ss ...string) string { return ss[rng.Intn(len(ss))] }
	if depth > 0 {
		switch rng.Intn(7) {
		case 0, 1:
			return "(" + condition(rng, depth-1) + " AND " + condition(rng, depth-1) + ")"
		case 2:
			return "(" + condition(rng, depth-1) + " OR " + condition(rng, depth-1) + ")"
		case 3:
			return "(NOT " + condition(rng, depth-1) + ")"
		case 4:
			return "(CASE WHEN " + condition(rng, depth-1) + " THEN " + condition(rng, depth-1) + " ELSE " + condition(rng, depth-1) + " END)"
		case 5:
			return "coalesce(" + condition(rng, depth-1) + ", " + condition(rng, depth-1) + ")"
		}
	}
	switch rng.Intn(14) {
	case 0:
		return "(a " + op() + " " + one("1", "0", "-1", "null") + ")"
	case 1:
		return "(1 " + op() + " " + one("a", "i") + ")"
	case 2:
		return "(a " + op() + " " + one("b", "i") + ")"
	case 3:
		return "(f " + op() + " " + one("1", "0.5", "g", "'NaN'") + ")"
	case 4:
		return "(" + one("s", "u") + " " + op() + " " + one("'a'", "'ab'", "s", "u") + ")"
	case 5:
		return "(n " + op() + " " + one("1", "0", "-2.50", "a") + ")"
	case 6:
		return one("p", "q")
	case 7:
		return "(" + one("a", "s", "f") + " IS NULL)"
	case 8:
		return "(" + one("a", "s", "f") + " IS NOT NULL)"
	case 9:
		return "(a + b " + op() + " i * 2)"
	case 10:
		return "(" + one("a IN (1, 2)", "s IN ('a', 'b', null)", "n IN (1, 2.5)", "a NOT IN (0, 1, 2, 3, 4, 5, 6, 7, 8, 9)", "f IN (1, 'NaN')") + ")"
	case 11:
		return "(t " + op() + " '1970-01-03')"
	case 12:
		return "(a " + one("IS DISTINCT FROM", "IS NOT DISTINCT FROM") + " b)"
	}
	return "(s " + one("LIKE 'a%'", "LIKE '%b'", "LIKE '_b%'", "~ '^a'") + ")"
}

// TestFilterIsEval compares three ways to one answer: Filter, Eval of the whole
// batch, and Eval of each row by itself.
func TestFilterIsEval(t *testing.T) {
	rng := rand.New(rand.NewSource(7))
	env := &Env{}
	ctx := testContext()
	for round := range 400 {
		src := condition(rng, 3)
		x, err := readExpr(env, src, testCols...)
		if err != nil {
			t.Fatalf("%s: %v", src, err)
		}
		if round%2 == 1 {
			x = Fold(env, x, ctx)
		}
		p, err := Compile(env, x)
		if err != nil {
			t.Fatalf("%s: %v", src, err)
		}
		single, _ := Compile(env, x)
		for k := range 3 {
			b := randomBatch(rng, []int{1, 64, 200}[k], round%4 < 2)
			sel, err := p.Filter(ctx, b, nil)
			if err != nil {
				t.Fatalf("%s: filter: %v", src, err)
			}
			v, err := p.Eval(ctx, b)
			if err != nil {
				t.Fatalf("%s: eval: %v", src, err)
			}
			kept := map[int32]bool{}
			for j, i := range sel {
				if j > 0 && sel[j-1] >= i {
					t.Fatalf("%s: selection is not ascending", src)
				}
				kept[i] = true
			}
			for i := range b.N {
				w, err := single.Eval(ctx, b.Gather([]int32{int32(i)}))
				if err != nil {
					t.Fatal(err)
				}
				got, want := v.Datum(i), w.Datum(0)
				if got.Null != want.Null || got.I != want.I || kept[int32(i)] != (!want.Null && want.I != 0) {
					t.Fatalf("%s: row %d: batch %+v, alone %+v, filter %v", src, i, got, want, kept[int32(i)])
				}
			}
		}
	}
}

// TestEvalEscapes checks that a result is not changed by later evaluations.
func TestEvalEscapes(t *testing.T) {
	rng := rand.New(rand.NewSource(3))
	for _, src := range []string{"a + b", "a = b", "s || 'x'", "CASE WHEN a > 0 THEN s ELSE u END", "coalesce(a, 5)",
		"a IN (1, 2)", "p AND q", "NOT p", "a IS NULL", "f * 2", "n * 2", "lower(s)", "a::float8", "u::text", "i::int8",
		"concat(s, a)", "t + '1 day'", "date_trunc('day', t)", "coalesce(a, b, i)", "a::text || 'x'", "(a + 1)::int8"} {
		x, err := readExpr(&Env{}, src, testCols...)
		if err != nil {
			t.Fatal(err)
		}
		p, err := Compile(&Env{}, x)
		if err != nil {
			t.Fatal(err)
		}
		text := func(v *delta.Vec) string {
			var out []string
			for i := range v.N {
				out = append(out, show(nil, x.Type, v.Datum(i)))
			}
			return strings.Join(out, "|")
		}
		v, err := p.Eval(testContext(), randomBatch(rng, 100, true))
		if err != nil {
			t.Fatalf("%s: %v", src, err)
		}
		if v.N != 100 || v.T != x.Type {
			t.Errorf("%s: %d rows of %s", src, v.N, v.T)
		}
		before := text(v)
		if _, err := p.Eval(testContext(), randomBatch(rng, 90, true)); err != nil {
			t.Fatal(err)
		}
		if text(v) != before {
			t.Errorf("%s: an earlier result has changed", src)
		}
	}
}

func intBatch(cols ...[]int64) *delta.Batch {
	b := &delta.Batch{N: len(cols[0])}
	for _, c := range cols {
		b.Cols = append(b.Cols, &delta.Vec{T: types.Of(types.Int8), N: len(c), I: c})
	}
	return b
}

// TestLazy checks that what is not asked for is not evaluated, and that an error
// names its row.
func TestLazy(t *testing.T) {
	cols := []testCol{{"x", types.Of(types.Int8)}, {"y", types.Of(types.Int8)}}
	b := intBatch([]int64{0, 5, 0, 2, 1}, []int64{1, 2, 3, 0, 0})
	for src, want := range map[string]string{
		"x <> 0 AND 10 / x > 2":                                       "f f f t t",
		"x = 0 OR 10 / x > 2":                                         "t f t t t",
		"CASE WHEN x = 0 THEN -1 ELSE 10 / x END":                     "-1 2 -1 5 10",
		"coalesce(nullif(x, 0), 7 / y)":                               "7 5 2 2 1",
		"CASE WHEN x <> 0 THEN 10 / x WHEN y > 0 THEN 6 / y END":      "6 2 2 5 10",
		"CASE WHEN x <> 0 AND 10 / x > 4 THEN 'big' ELSE 'small' END": "small small small big big",
		"10 / x":                                 "! 0 22012",
		"y <> 3 AND 10 / x > 0":                  "! 0 22012",
		"y <> 1 AND 10 / x > 0":                  "! 2 22012",
		"CASE WHEN x > 0 THEN 10 / y ELSE 0 END": "! 3 22012",
		"x + 9223372036854775807":                "! 1 22003",
	} {
		x, err := readExpr(&Env{}, src, cols...)
		if err != nil {
			t.Fatalf("%s: %v", src, err)
		}
		p, err := Compile(&Env{}, x)
		if err != nil {
			t.Fatal(err)
		}
		v, err := p.Eval(nil, b)
		got := ""
		var ee *EvalError
		switch {
		case errors.As(err, &ee):
			got = fmt.Sprintf("! %d %s", ee.Row, sqlerr.From(err).Code)
		case err != nil:
			t.Fatalf("%s: %v has no row", src, err)
		default:
			var parts []string
			for i := range v.N {
				parts = append(parts, show(nil, x.Type, v.Datum(i)))
			}
			got = strings.Join(parts, " ")
		}
		if got != want {
			t.Errorf("%s: %s, want %s", src, got, want)
		}
	}
	// A filter's later terms see only the rows that are left.
	x, _ := readExpr(&Env{}, "10 / x > 2 AND x <> 0 AND y = 0", cols...)
	p, _ := Compile(&Env{}, x)
	sel, err := p.Filter(nil, b, nil)
	if err != nil || len(sel) != 2 || sel[0] != 3 {
		t.Errorf("filter: %v, %v", sel, err)
	}
	x, _ = readExpr(&Env{}, "10 / (x - 2) > 0 AND y < 1", cols...)
	p, _ = Compile(&Env{}, x)
	var ee *EvalError
	if _, err = p.Filter(nil, b, nil); !errors.As(err, &ee) || ee.Row != 3 {
		t.Errorf("filter: error %v, row %+v", err, ee)
	}
}

func TestUserFunctionsComeFirst(t *testing.T) {
	double := &Func{Name: "lower", Args: typs(types.Int8), Ret: types.Of(types.Int8), Vol: Volatile,
		Eval: ints(func(c *Batch, i int) (int64, error) { return 2 * c.Int(0, i), nil })}
	e := &Env{Funcs: map[string][]*Func{"lower": {double}},
		Aggs: map[string][]*AggFunc{"ema": {{Name: "ema", Args: typs(types.Float8), Ret: types.Of(types.Float8), Kind: AggUser}}}}
	for src, want := range map[string]string{"lower(4)": "8", "lower('ABC')": "abc"} {
		x, err := readExpr(e, src)
		if err != nil {
			t.Fatal(err)
		}
		d, err := EvalConst(e, x, nil)
		if err != nil || show(nil, x.Type, d) != want {
			t.Errorf("%s: %v %v", src, d, err)
		}
		if f := Fold(e, x, nil); (f.Kind == Const) != (src == "lower('ABC')") {
			t.Errorf("%s folded to %s", src, f.Kind)
		}
	}
	f, args, err := e.Aggregate("ema", []*Expr{{Kind: Const, Type: types.Of(types.Int4), Value: types.Datum{I: 1}}}, 0)
	if err != nil || f.Kind != AggUser || args[0].Type.ID != types.Float8 {
		t.Errorf("%+v %v %v", f, args, err)
	}
	if g, ok := e.Agg(f.Key()); !ok || g.Name != "ema" {
		t.Error("the key of a user's aggregate is not found")
	}
}

func TestAggregates(t *testing.T) {
	e := &Env{}
	for call, want := range map[string]string{
		"sum smallint": "bigint sum_int", "sum integer": "bigint sum_int", "sum bigint": "numeric sum_big", "sum real": "real sum_float",
		"sum numeric": "numeric sum_num", "sum interval": "interval sum_interval", "avg integer": "numeric avg_int",
		"avg real": "double precision avg_float", "min text": "text min", "max character varying": "text max", "max date": "date max",
		"min integer[]": "integer[] min", "count text": "bigint count", "count": "bigint count_star", "array_agg numeric": "numeric[] array_agg",
		"string_agg text unknown": "text string_agg", "bool_or boolean": "boolean bool_or", "stddev bigint": "numeric var", "var_pop real": "double precision var",
		"first_value date": "date first_value", "sum text": "! 42883 function sum(text) does not exist", "sum unknown": "! 42725 function sum(unknown) is not unique",
	} {
		words := strings.SplitN(call, " ", 2)
		var args []*Expr
		if len(words) > 1 {
			for _, n := range strings.Split(strings.ReplaceAll(words[1], "character varying", "varchar"), " ") {
				typ, ok := TypeNamed(n)
				if !ok {
					t.Fatal(n)
				}
				args = append(args, &Expr{Kind: Const, Type: typ, Value: types.NullDatum, Pos: -1})
			}
		}
		f, _, err := e.Aggregate(words[0], args, -1)
		got := ""
		if err != nil {
			got = "! " + sqlerr.From(err).Code + " " + err.Error()
		} else {
			got = f.Ret.String() + " " + string(f.Kind)
			if _, ok := e.Agg(f.Key()); !ok {
				t.Errorf("%s: key %s is not found", call, f.Key())
			}
		}
		if got != want {
			t.Errorf("%s: %s, want %s", call, got, want)
		}
	}
	if f, args, err := e.Aggregate("nosuch", nil, 0); f != nil || args != nil || err != nil || e.IsAggregate("lower") {
		t.Error("what is no aggregate is one")
	}
}

func TestSets(t *testing.T) {
	e := &Env{}
	for src, want := range map[string]string{
		"generate_series(1, 3)":                                             "generate_series: 1 2 3",
		"generate_series(3, 1, -1)":                                         "generate_series: 3 2 1",
		"generate_series(1, 3, 0)":                                          "! 22023",
		"generate_series(2147483646, 2147483647)":                           "generate_series: 2147483646 2147483647",
		"generate_series(1.5, 3)":                                           "generate_series: 1.5 2.5",
		"generate_series(null, 3)":                                          "generate_series:",
		"generate_series('2024-01-30'::timestamp, '2024-03-30', '1 month')": "generate_series: 2024-01-30 00:00:00 2024-02-29 00:00:00 2024-03-29 00:00:00",
		"unnest(ARRAY['a', null])":                                          "unnest: a NULL",
		"generate_subscripts(ARRAY[7, 8], 1)":                               "generate_subscripts: 1 2",
		"string_to_table('a,b', ',')":                                       "string_to_table: a b",
		"regexp_split_to_table('a1b2c', '[0-9]')":                           "regexp_split_to_table: a b c",
		"regexp_matches('abab', '(a)(b)', 'g')":                             "regexp_matches: {a,b} {a,b}",
		"jsonb_array_elements('[1, \"x\"]')":                                "value: 1 \"x\"",
		"jsonb_array_elements_text('[1, \"x\", null]')":                     "value: 1 x NULL",
		"jsonb_each_text('{\"a\": 1, \"b\": \"y\"}')":                       "key value: a 1 b y",
		"json_object_keys('{\"b\": 1, \"a\": 2}')":                          "json_object_keys: b a",
		"jsonb_array_elements('{}')":                                        "! 22023",
		"nosuch(1)":                                                         "! 42883",
	} {
		open := strings.IndexByte(src, '(')
		r := &reader{env: e, src: src[open+1:]}
		r.scan()
		args := r.list(")")
		key, cast, cols, names, err := e.SetFunc(src[:open], args, 0)
		got := strings.Join(names, " ") + ":"
		if err == nil {
			var ds []types.Datum
			for _, a := range cast {
				d, err := EvalConst(e, a, nil)
				if err != nil {
					t.Fatal(err)
				}
				ds = append(ds, d)
			}
			for row, rowErr := range EvalSet(key, nil, ds, argTypes(cast)) {
				if rowErr != nil {
					err = rowErr
					break
				}
				for i, d := range row {
					got += " " + show(nil, cols[i], d)
				}
			}
		}
		if err != nil {
			got = "! " + sqlerr.From(err).Code
		}
		if got != want {
			t.Errorf("%s: %s, want %s", src, got, want)
		}
	}
	// A long series is not made ahead.
	n := 0
	for range EvalSet("generate_series(bigint,bigint)", nil, []types.Datum{{I: 1}, {I: math.MaxInt64}}, nil) {
		if n++; n == 10 {
			break
		}
	}
}

func TestTrees(t *testing.T) {
	e := &Env{}
	x, err := readExpr(e, "CASE WHEN a > 1 AND s LIKE 'x%' THEN b + a ELSE i END", testCols...)
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(Columns(x)); got != "[0 1 2 5]" {
		t.Errorf("columns %s", got)
	}
	y := Remap(x, func(i int) int { return i + 10 })
	if got := fmt.Sprint(Columns(y)); got != "[10 11 12 15]" || fmt.Sprint(Columns(x)) != "[0 1 2 5]" {
		t.Errorf("remapped %s, before %v", got, Columns(x))
	}
	want := "CASE WHEN ((a > (1)::bigint) AND (s ~~ 'x%')) THEN (b + a) ELSE (i)::bigint END"
	if got := String(x, func(i int) string { return testCols[i].name }); got != want {
		t.Errorf("%s\n%s", got, want)
	}
	if f := Fold(e, x, nil); String(f, nil) != "CASE WHEN ((#0 > 1) AND (#5 ~~ 'x%')) THEN (#1 + #0) ELSE (#2)::bigint END" {
		t.Errorf("folded: %s", String(f, nil))
	}
	for src, fails := range map[string]bool{"a = b": false, "a + b": true, "a / 2": false, "a / 0": true, "s::int": true, "lower(s)": false, "f::int": true, "a::float8": false} {
		x, _ := readExpr(e, src, testCols...)
		if MayFail(e, x) != fails {
			t.Errorf("MayFail(%s) = %v", src, !fails)
		}
	}
	for src, v := range map[string]Volatility{"a + 1": Immutable, "now()": Stable, "random() + a": Volatile, "date_trunc('day', now())": Stable} {
		x, _ := readExpr(e, src, testCols...)
		if VolatilityOf(e, x) != v {
			t.Errorf("volatility of %s: %d", src, VolatilityOf(e, x))
		}
	}
	p := &Expr{Kind: Param, Index: 1, Type: types.Of(types.Unknown)}
	sum, err := e.Call("+", []*Expr{p, {Kind: Const, Type: types.Of(types.Int8), Value: types.Datum{I: 2}}}, 0)
	if err != nil || sum.Args[0].Type.ID != types.Int8 {
		t.Fatalf("%+v %v", sum, err)
	}
	if d, err := EvalConst(e, Substitute(sum, []types.Datum{{I: 40}}), nil); err != nil || d.I != 42 {
		t.Errorf("%v %v", d, err)
	}
	if p.Type.ID != types.Unknown {
		t.Error("a parameter was changed in place")
	}
}
