package expr

import (
	"fmt"
	"math/rand"
	"testing"

	"github.com/streamsql/streamsql/sql/delta"
	"github.com/streamsql/streamsql/sql/types"
)

// benchBatch is a full batch: bigint a and b, integer i, float f, text s of about
// ten bytes with a comma, numeric n, timestamps t and z; c has NULLs.
func benchBatch() ([]testCol, *delta.Batch) {
	cols := []testCol{{"a", types.Of(types.Int8)}, {"b", types.Of(types.Int8)}, {"i", types.Of(types.Int4)}, {"f", types.Of(types.Float8)},
		{"s", types.Of(types.Text)}, {"n", types.Of(types.Numeric)}, {"t", types.Of(types.Timestamp)}, {"c", types.Of(types.Int8)}, {"z", types.Of(types.Timestamptz)}}
	rng := rand.New(rand.NewSource(1))
	b := &delta.Batch{N: delta.MaxRows}
	for _, c := range cols {
		v := delta.NewVec(c.t, b.N)
		for range b.N {
			switch {
			case c.name == "c" && rng.Intn(4) == 0:
				v.AppendNull()
			case c.t.ID == types.Float8:
				v.AppendFloat(rng.Float64() * 1000)
			case c.t.ID == types.Text:
				v.AppendBytes(fmt.Appendf(nil, "Item%d,x%d", rng.Intn(1000), rng.Intn(10)))
			case c.t.ID == types.Numeric:
				d, _ := types.ParseText(c.t, fmt.Sprintf("%d.%02d", rng.Intn(1000), rng.Intn(100)))
				v.AppendDatum(d)
			case c.t.ID == types.Timestamp || c.t.ID == types.Timestamptz:
				v.AppendInt(1_700_000_000_000_000 + rng.Int63n(1e12))
			default:
				v.AppendInt(int64(rng.Intn(1000)))
			}
		}
		b.Cols = append(b.Cols, v)
	}
	return cols, b
}

// BenchmarkEval gives ns per row of single expressions.
func BenchmarkEval(b *testing.B) {
	cols, in := benchBatch()
	for _, src := range []string{
		"a", "a + 1", "a + b", "a * 3", "a / 10", "a % 7", "i + 1", "f * 0.908", "f + f", "a > 500", "a = b", "s = 'Item1,x1'",
		"a > 100 AND a < 900", "a > 100 OR f < 10", "NOT (a > 100)", "c IS NULL", "c + 1",
		"CASE WHEN a > 500 THEN 1 ELSE 0 END", "CASE WHEN a > 500 THEN a / b ELSE 0 END", "CASE WHEN a < 300 THEN 'low' WHEN a < 600 THEN 'mid' ELSE 'high' END",
		"coalesce(c, 0)", "a IN (1, 2, 3)", "a IN (1, 2, 3, 4, 5, 6, 7, 8, 9, 10)", "s IN ('Item1,x1', 'Item2,x2')",
		"a::float8", "f::int8", "a::numeric", "n::float8", "n * 2", "n * a", "0.908 * a", "n + n", "a::text", "to_timestamp(f)",
		"date_trunc('hour', t)", "date_trunc('month', t)", "date_trunc('hour', z)", "extract('hour', t)", "t + '1 hour'", "lower(s)", "split_part(s, ',', 2)", "s LIKE 'Item1%'", "s LIKE '%x5'",
		"s ~ '^Item[0-9]+,x1$'", "length(s)", "substr(s, 1, 4)", "s || 'x'", "concat(s, a)", "to_char(t, 'YYYY-MM-DD')",
	} {
		b.Run(src, func(b *testing.B) {
			x, err := readExpr(&Env{}, src, cols...)
			if err != nil {
				b.Fatal(err)
			}
			x = Fold(&Env{}, x, testContext())
			p, err := Compile(&Env{}, x)
			if err != nil {
				b.Fatal(err)
			}
			ctx := testContext()
			b.ReportAllocs()
			for b.Loop() {
				if _, err := p.Eval(ctx, in); err != nil {
					if src != "CASE WHEN a > 500 THEN a / b ELSE 0 END" {
						b.Fatal(err)
					}
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(in.N), "ns/row")
		})
	}
}

// BenchmarkFilter gives ns per input row of conditions.
func BenchmarkFilter(b *testing.B) {
	cols, in := benchBatch()
	for _, src := range []string{
		"a = 7", "a > 500", "a > 500 AND b < 100", "a > 500 AND b < 100 AND f > 10", "a < b", "c > 500", "f > 500", "s = 'Item1,x1'",
		"c IS NOT NULL", "a % 123 = 0", "a IN (1, 2, 3)", "a > 900 OR b > 900", "s LIKE 'Item1%'", "a > 990 AND s LIKE '%5'", "a + b > 1000",
		"n > 500", "t >= '2023-11-16'", "a > 900 AND lower(s) = 'item1,x1'",
	} {
		b.Run(src, func(b *testing.B) {
			x, err := readExpr(&Env{}, src, cols...)
			if err != nil {
				b.Fatal(err)
			}
			x = Fold(&Env{}, x, testContext())
			p, err := Compile(&Env{}, x)
			if err != nil {
				b.Fatal(err)
			}
			var sel []int32
			for b.Loop() {
				if sel, err = p.Filter(nil, in, sel); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(in.N), "ns/row")
		})
	}
}
