package exec

import (
	"bytes"
	"fmt"
	"math"
	"math/big"
	"math/rand"
	"slices"
	"strings"
	"testing"

	"github.com/streamsql/streamsql/sql/expr"
	"github.com/streamsql/streamsql/sql/plan"
	"github.com/streamsql/streamsql/sql/types"
)

// aggInput is a relation with a column of every kind.
var aggInput = []plan.Column{
	column("k", types.Int8), column("t", types.Text), column("i", types.Int4), column("big", types.Int8),
	column("num", types.Numeric), column("f", types.Float8), column("f4", types.Float4), column("s", types.Text),
	column("yes", types.Bool), column("iv", types.Interval), column("ts", types.Timestamptz),
}

func numD(s string) types.Datum {
	d, err := types.ParseText(types.Of(types.Numeric), s)
	if err != nil {
		panic(err)
	}
	return d
}

func pickOf[T any](rng *rand.Rand, xs ...T) T { return xs[rng.Intn(len(xs))] }

func aggRow(rng *rand.Rand, _ int) []types.Datum {
	f := pickOf(rng, 1.5, -2.25, 1e308, 1e-300, -1e308, 0.1, 3, 5e-324, float64(rng.Intn(100)))
	if rng.Intn(20) == 0 {
		f = pickOf(rng, math.NaN(), math.Inf(1), math.Inf(-1))
	}
	big := rng.Int63n(2000) - 1000
	if rng.Intn(10) == 0 {
		big = pickOf[int64](rng, math.MaxInt64, math.MinInt64)
	}
	row := []types.Datum{
		intD(int64(rng.Intn(3))), textD(pickOf(rng, "a", "b")), intD(int64(rng.Intn(40) - 20)), intD(big),
		numD(pickOf(rng, "1", "1.0", "1.00", "-2.5", "0", "0.000", "12345678901234567890123.4", "7.25", "NaN", "Infinity", "-Infinity")),
		{F: f}, {F: float64(float32(rng.NormFloat64()))}, textD(pickOf(rng, "x", "yy", "", "z\x00z")),
		intD(int64(rng.Intn(2))),
		{S: types.IntervalOf(rng.Int63n(5)*3_600_000_000*8, int32(rng.Intn(3)), int32(rng.Intn(2)))},
		intD(int64(rng.Intn(50))),
	}
	if rng.Intn(3) > 0 {
		row[4] = numD(pickOf(rng, "1.0", "1.00", "0.5", "2"))
	}
	for c := range row {
		if c != 1 && rng.Intn(8) == 0 {
			row[c] = types.NullDatum
		}
	}
	return row
}

// modelRows is the rows of a group, with copies.
type modelRows [][]types.Datum

// arg returns the values of a call's argument in the rows it takes.
func (rs modelRows) filter(c plan.AggCall, fn *expr.AggFunc) modelRows {
	var out modelRows
	for _, r := range rs {
		if c.Filter >= 0 && (r[c.Filter].Null || r[c.Filter].I == 0) {
			continue
		}
		null := false
		for _, a := range c.Args {
			null = null || r[a].Null
		}
		if fn.Kind == expr.AggString {
			null = r[c.Args[0]].Null
		} else if fn.NullIn {
			null = false
		}
		if !null {
			out = append(out, r)
		}
	}
	key := func(r []types.Datum, eq bool) (k []byte) {
		for _, o := range c.Order {
			d := r[o.Col]
			if d.Null {
				k = append(k, byte(2))
				if o.NullsFirst {
					k[len(k)-1] = 0
				}
				continue
			}
			k = types.AppendKey(append(k, 1), aggInput[o.Col].Type, d, o.Desc)
		}
		if eq {
			k = nil
		}
		for _, a := range c.Args {
			if eq {
				k = types.AppendEq(k, aggInput[a].Type, r[a])
			} else {
				k = types.AppendKey(k, aggInput[a].Type, r[a], false)
			}
		}
		return k
	}
	slices.SortStableFunc(out, func(a, b []types.Datum) int { return bytes.Compare(key(a, false), key(b, false)) })
	if c.Distinct {
		seen := map[string]bool{}
		var once modelRows
		for _, r := range out {
			if k := string(key(r, true)); !seen[k] {
				seen[k] = true
				once = append(once, r)
			}
		}
		out = once
	}
	return out
}

func exactSum(rs modelRows, arg int) (sum *big.Float, nan, pos, neg bool) {
	sum = new(big.Float).SetPrec(5000)
	for _, r := range rs {
		switch f := r[arg].F; {
		case f != f:
			nan = true
		case math.IsInf(f, 1):
			pos = true
		case math.IsInf(f, -1):
			neg = true
		default:
			sum.Add(sum, new(big.Float).SetFloat64(f))
		}
	}
	return sum, nan || pos && neg, pos, neg
}

func ratOf(b []byte) (*big.Rat, bool) {
	s := string(types.FormatText(nil, types.Of(types.Numeric), types.Datum{S: b}))
	return new(big.Rat).SetString(s)
}

// modelAgg computes one aggregate the plain way.
func modelAgg(c plan.AggCall, fn *expr.AggFunc, all modelRows) types.Datum {
	rs := all.filter(c, fn)
	n := int64(len(rs))
	if fn.Kind == expr.AggCount || fn.Kind == expr.AggCountStar {
		return intD(n)
	}
	if n == 0 {
		return types.NullDatum
	}
	a := c.Args[0]
	count := types.AppendNumericInt(nil, n)
	div := func(x []byte) types.Datum {
		q, err := types.NumericDiv(nil, x, count)
		if err != nil {
			panic(err)
		}
		return types.Datum{S: q}
	}
	switch fn.Kind {
	case expr.AggSumInt:
		s := int64(0)
		for _, r := range rs {
			s += r[a].I
		}
		return intD(s)
	case expr.AggSumBig, expr.AggAvgInt:
		s := new(big.Int)
		for _, r := range rs {
			s.Add(s, big.NewInt(r[a].I))
		}
		if fn.Kind == expr.AggAvgInt {
			return div(types.NumericOf(s, 0))
		}
		return types.Datum{S: types.NumericOf(s, 0)}
	case expr.AggSumNum, expr.AggAvgNum:
		s := []byte{0}
		for _, r := range rs {
			s = types.NumericAdd(nil, s, r[a].S, false)
		}
		if fn.Kind == expr.AggAvgNum {
			return div(s)
		}
		return types.Datum{S: s}
	case expr.AggSumFloat, expr.AggAvgFloat:
		sum, nan, pos, neg := exactSum(rs, a)
		r, _ := sum.Float64()
		if c.Type.ID == types.Float4 {
			f, _ := sum.Float32()
			r = float64(f)
		}
		switch {
		case nan:
			r = math.NaN()
		case pos:
			r = math.Inf(1)
		case neg:
			r = math.Inf(-1)
		}
		if fn.Kind == expr.AggAvgFloat {
			r /= float64(n)
		}
		return types.Datum{F: r}
	case expr.AggSumIntv:
		var us, days, months int64
		for _, r := range rs {
			u, d, m := types.IntervalParts(r[a].S)
			us, days, months = us+u, days+int64(d), months+int64(m)
		}
		return types.Datum{S: types.IntervalOf(us, int32(days), int32(months))}
	case expr.AggBoolAnd, expr.AggBoolOr:
		yes := int64(0)
		for _, r := range rs {
			yes += r[a].I
		}
		if fn.Kind == expr.AggBoolAnd && yes == n || fn.Kind == expr.AggBoolOr && yes > 0 {
			return intD(1)
		}
		return intD(0)
	case expr.AggMin, expr.AggFirst, expr.AggAnyValue, expr.AggSingle:
		return rs[0][a]
	case expr.AggMax, expr.AggLast:
		return rs[n-1][a]
	case expr.AggString:
		var out []byte
		for i, r := range rs {
			if i > 0 {
				out = append(out, r[c.Args[1]].S...)
			}
			out = append(out, r[a].S...)
		}
		return types.Datum{S: append([]byte{}, out...)}
	case expr.AggArray:
		var out []byte
		for _, r := range rs {
			out = types.AppendElem(out, c.Type.Elem, r[a])
		}
		return types.Datum{S: out}
	case expr.AggVar:
		return modelVar(c, fn, rs, a, n)
	}
	panic("no model for " + fn.Kind)
}

func modelVar(c plan.AggCall, fn *expr.AggFunc, rs modelRows, a int, n int64) types.Datum {
	sample := !strings.HasSuffix(fn.Name, "_pop")
	if sample && n == 1 {
		return types.NullDatum
	}
	s, ss := new(big.Rat), new(big.Rat)
	for _, r := range rs {
		x := new(big.Rat)
		switch aggInput[a].Type.Phys() {
		case types.PhysInt:
			x.SetInt64(r[a].I)
		case types.PhysFloat:
			if x.SetFloat64(r[a].F) == nil {
				return types.Datum{F: math.NaN()}
			}
		default:
			var ok bool
			if x, ok = ratOf(r[a].S); !ok {
				return types.Datum{S: []byte{types.NumericNaN}}
			}
		}
		s.Add(s, x)
		ss.Add(ss, new(big.Rat).Mul(x, x))
	}
	cnt := new(big.Rat).SetInt64(n)
	num := new(big.Rat).Sub(new(big.Rat).Mul(cnt, ss), new(big.Rat).Mul(s, s))
	den := new(big.Rat).Mul(cnt, cnt)
	if sample {
		den.Mul(cnt, new(big.Rat).SetInt64(n-1))
	}
	v, _ := new(big.Rat).Quo(num, den).Float64()
	if strings.HasPrefix(fn.Name, "stddev") {
		v = math.Sqrt(v)
	}
	return types.Datum{F: v} // of numerics: compared as a float
}

// aggModel groups the plain way.
func aggModel(n *plan.Node) func(in []*zset) *zset {
	env := &expr.Env{}
	return func(in []*zset) *zset {
		groups := map[string]modelRows{}
		if len(n.Keys) == 0 {
			groups[""] = nil
		}
		in[0].each(func(row []types.Datum, w int64) {
			var k []byte
			for _, c := range n.Keys {
				k = types.AppendEq(k, aggInput[c].Type, row[c])
			}
			for range w {
				groups[string(k)] = append(groups[string(k)], row)
			}
		})
		out := newZset()
		for _, rs := range groups {
			var row []types.Datum
			// Of several forms of the keys the least is shown, which the order of
			// the encodings gives.
			var forms [][]byte
			for _, r := range rs {
				var k []byte
				for _, c := range n.Keys {
					k = types.AppendKey(k, aggInput[c].Type, r[c], false)
				}
				forms = append(forms, k)
			}
			if len(rs) > 0 {
				least := 0
				for i := range forms {
					if bytes.Compare(forms[i], forms[least]) < 0 {
						least = i
					}
				}
				for _, c := range n.Keys {
					row = append(row, rs[least][c])
				}
			}
			for _, c := range n.Aggs {
				fn, _ := env.Agg(c.Fn)
				row = append(row, modelAgg(c, fn, rs))
			}
			out.add(n.Out, row, 1)
		}
		return out
	}
}

func aggNode(in *plan.Node, keys []int, calls ...plan.AggCall) *plan.Node {
	x := exchangeOf(2, in, keys...)
	x.AppendOnly = in.AppendOnly
	x.Time, x.TimeEnd = in.Time, in.TimeEnd
	n := &plan.Node{ID: 3, Op: plan.Agg, Inputs: []*plan.Node{x}, Keys: keys, Aggs: calls}
	for _, k := range keys {
		n.Out = append(n.Out, in.Out[k])
	}
	for _, c := range calls {
		n.Out = append(n.Out, plan.Column{Name: c.Fn, Type: c.Type})
	}
	return n
}

func aggCall(fn string, ret types.ID, args ...int) plan.AggCall {
	return plan.AggCall{Fn: fn, Args: args, Filter: -1, Type: types.Of(ret)}
}

func withFilter(c plan.AggCall) plan.AggCall               { c.Filter = 8; return c }
func distinctly(c plan.AggCall) plan.AggCall               { c.Distinct = true; return c }
func orderBy(c plan.AggCall, o ...plan.Order) plan.AggCall { c.Order = o; return c }

func arrayCall(fn string, elem types.ID, arg int) plan.AggCall {
	c := aggCall(fn, types.Array, arg)
	c.Type = types.ArrayOf(elem)
	return c
}

var aggTrials = map[string][]plan.AggCall{
	"none":  {},
	"count": {aggCall("count()", types.Int8), aggCall("count(any)", types.Int8, 2), withFilter(aggCall("count()", types.Int8)), distinctly(aggCall("count(any)", types.Int8, 2)), distinctly(withFilter(aggCall("count(any)", types.Int8, 7)))},
	"ints": {aggCall("sum(integer)", types.Int8, 2), aggCall("sum(bigint)", types.Numeric, 3), aggCall("avg(integer)", types.Numeric, 2), aggCall("avg(bigint)", types.Numeric, 3),
		withFilter(aggCall("sum(integer)", types.Int8, 2)), distinctly(aggCall("sum(integer)", types.Int8, 2))},
	"numerics":  {aggCall("sum(numeric)", types.Numeric, 4), aggCall("avg(numeric)", types.Numeric, 4), distinctly(aggCall("sum(numeric)", types.Numeric, 4)), distinctly(aggCall("count(any)", types.Int8, 4))},
	"reals":     {aggCall("sum(real)", types.Float4, 6), aggCall("avg(real)", types.Float8, 6), distinctly(aggCall("sum(real)", types.Float4, 6))},
	"intervals": {aggCall("sum(interval)", types.Interval, 9), aggCall("min(interval)", types.Interval, 9), aggCall("max(interval)", types.Interval, 9), distinctly(aggCall("count(any)", types.Int8, 9))},
	"extremes": {aggCall("min(bigint)", types.Int8, 3), aggCall("max(bigint)", types.Int8, 3), aggCall("min(double precision)", types.Float8, 5), aggCall("max(double precision)", types.Float8, 5),
		aggCall("min(text)", types.Text, 7), aggCall("max(text)", types.Text, 7), aggCall("min(numeric)", types.Numeric, 4), aggCall("max(numeric)", types.Numeric, 4),
		withFilter(aggCall("max(integer)", types.Int4, 2)), aggCall("any_value(anyelement)", types.Text, 7)},
	"bools": {aggCall("bool_and(boolean)", types.Bool, 8), aggCall("bool_or(boolean)", types.Bool, 8), aggCall("every(boolean)", types.Bool, 8)},
	"ordered": {aggCall("string_agg(text,text)", types.Text, 7, 1), orderBy(aggCall("string_agg(text,text)", types.Text, 7, 1), plan.Order{Col: 2, Desc: true}, plan.Order{Col: 4}),
		orderBy(arrayCall("array_agg(anyelement)", types.Int4, 2), plan.Order{Col: 7, Desc: true, NullsFirst: true}), arrayCall("array_agg(anyelement)", types.Numeric, 4),
		distinctly(arrayCall("array_agg(anyelement)", types.Numeric, 4)), distinctly(aggCall("string_agg(text,text)", types.Text, 7, 1)),
		orderBy(aggCall("first_value(anyelement)", types.Int4, 2), plan.Order{Col: 10, NullsFirst: true}), orderBy(aggCall("last_value(anyelement)", types.Text, 7), plan.Order{Col: 10, Desc: true}),
		withFilter(orderBy(aggCall("last_value(anyelement)", types.Numeric, 4), plan.Order{Col: 2}))},
}

// TestAgg checks every aggregate under random changes against a plain
// computation, in one go with others and by several keys.
func TestAgg(t *testing.T) {
	for name, calls := range aggTrials {
		for _, keys := range [][]int{{}, {0}, {1, 0}, {4, 1}, {7, 9}} {
			for _, grows := range []bool{false, true} {
				t.Run(fmt.Sprint(name, keys, grows), func(t *testing.T) {
					in := scanOf(1, aggInput...)
					in.AppendOnly = grows
					n := aggNode(in, keys, calls...)
					for seed := range int64(2) {
						trial{root: n, gen: aggRow, model: aggModel(n), appendOnly: grows, steps: 12, rows: 15}.run(t, seed)
					}
				})
			}
		}
	}
}

// TestAggFloats: sums and averages of doubles are the exact ones, rounded once,
// whatever came and went. Overflow of the answer is an error of its own, so its
// values are kept apart.
func TestAggFloats(t *testing.T) {
	gen := func(rng *rand.Rand, scan int) []types.Datum {
		row := aggRow(rng, scan)
		if row[5].F > 1e300 {
			row[5].F = math.Ldexp(rng.NormFloat64(), rng.Intn(1500)-900)
		}
		if row[5].F < -1e300 && rng.Intn(2) == 0 {
			row[5].F = pickOf(rng, 1e16, 1, -1e16, math.SmallestNonzeroFloat64, 1e-310)
		}
		return row
	}
	in := scanOf(1, aggInput...)
	n := aggNode(in, []int{0}, aggCall("sum(double precision)", types.Float8, 5), aggCall("avg(double precision)", types.Float8, 5), withFilter(aggCall("sum(double precision)", types.Float8, 5)))
	for seed := range int64(8) {
		trial{root: n, gen: func(rng *rand.Rand, scan int) []types.Datum {
			row := gen(rng, scan)
			if row[5].F < -1e300 {
				row[5].F = 0
			}
			return row
		}, model: aggModel(n), rows: 20}.run(t, seed)
	}
}

// TestAggVariance: of floats rounded once; of numerics with PostgreSQL's scale,
// compared here as floats.
func TestAggVariance(t *testing.T) {
	in := scanOf(1, aggInput...)
	calls := []plan.AggCall{}
	for _, name := range []string{"var_samp", "var_pop", "variance", "stddev_samp", "stddev_pop", "stddev"} {
		calls = append(calls, aggCall(name+"(double precision)", types.Float8, 6), aggCall(name+"(integer)", types.Numeric, 2), aggCall(name+"(numeric)", types.Numeric, 4))
	}
	n := aggNode(in, []int{1}, calls...)
	env := &expr.Env{}
	for _, c := range n.Aggs {
		if _, ok := env.Agg(c.Fn); !ok {
			t.Fatal(c.Fn)
		}
	}
	rng := rand.New(rand.NewSource(5))
	d, out := collect(t, n, 1, false)
	model := newZset()
	for range 20 {
		var cs []change
		for range 6 {
			row := aggRow(rng, 0)
			if row[4].Null || row[4].S[0] >= types.NumericNaN {
				row[4] = numD("3.25")
			}
			cs = append(cs, change{row, 1})
			model.add(aggInput, row, 1)
		}
		model.each(func(row []types.Datum, w int64) {
			if rng.Intn(6) == 0 {
				cs = append(cs, change{row, -w})
			}
		})
		for _, c := range cs {
			if c.w < 0 {
				model.add(aggInput, c.row, c.w)
			}
		}
		d.Begin(&expr.Context{})
		for _, b := range batches(rng, aggInput, cs) {
			if err := d.Push(d.Scans()[0], b); err != nil {
				t.Fatal(err)
			}
		}
		if err := d.Finish(); err != nil {
			t.Fatal(err)
		}
		d.Commit()
		want := map[string][]types.Datum{}
		aggModel(n)([]*zset{model}).each(func(row []types.Datum, w int64) { want[string(row[0].S)] = row })
		seen := 0
		out.each(func(row []types.Datum, w int64) {
			seen++
			for i := range row[1:] {
				g, m := row[1+i], want[string(row[0].S)][1+i]
				if g.Null || m.Null {
					if g.Null != m.Null {
						t.Fatalf("%s: %v, want %v", calls[i].Fn, g, m)
					}
					continue
				}
				x := g.F
				if calls[i].Type.ID == types.Numeric {
					x = types.NumericFloat(g.S)
					if math.Abs(x-m.F) > 1e-14*math.Abs(m.F) {
						t.Fatalf("%s: %v, want %v", calls[i].Fn, x, m.F)
					}
				} else if x != m.F {
					t.Fatalf("%s: %v, want %v", calls[i].Fn, x, m.F)
				}
			}
		})
		if seen != len(want) {
			t.Fatalf("%d groups, want %d", seen, len(want))
		}
	}
}

// TestAvg64: the fast division is the slow one.
func TestAvg64(t *testing.T) {
	rng := rand.New(rand.NewSource(1))
	fast := 0
	for range 200_000 {
		x := int64(rng.Uint64()) >> rng.Intn(64)
		n := 1 + uint64(rng.Int63())>>(1+rng.Intn(62))
		want, err := types.NumericDiv(nil, types.AppendNumericInt(nil, x), types.AppendNumericInt(nil, int64(n)))
		if err != nil {
			t.Fatal(err)
		}
		got, ok := appendAvg64(nil, x, n)
		if ok && !bytes.Equal(got, want) {
			t.Fatalf("%d / %d: %x, want %x", x, n, got, want)
		}
		if ok {
			fast++
		}
	}
	if fast < 80_000 {
		t.Errorf("only %d of 200,000 were fast", fast)
	}
}
