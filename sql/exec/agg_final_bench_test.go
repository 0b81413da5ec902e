package exec

import (
	"fmt"
	"math/rand"
	"testing"

	"github.com/streamsql/streamsql/sql/delta"
	"github.com/streamsql/streamsql/sql/expr"
	"github.com/streamsql/streamsql/sql/plan"
	"github.com/streamsql/streamsql/sql/types"
)

var finalBenchCols = []plan.Column{column("k", types.Int8), column("v", types.Int8), column("ts", types.Timestamptz)}

// finalBench counts and sums by key and window under EMIT ON WINDOW CLOSE; min and
// max besides if extremes is set.
func finalBench(spec plan.WindowSpec, extremes bool) *plan.Node {
	in := scanOf(1, finalBenchCols...)
	in.Time, in.AppendOnly = 3, true
	spec.TimeCol = 2
	w := &plan.Node{ID: 4, Op: plan.Window, Inputs: []*plan.Node{in}, Window: &spec, Out: append(append([]plan.Column{}, in.Out...), windowEnds...),
		Time: 5, TimeEnd: true, AppendOnly: true}
	m := &plan.Node{ID: 5, Op: plan.Map, Inputs: []*plan.Node{w}, Time: 4, TimeEnd: true, AppendOnly: true}
	for _, c := range []int{0, 1, 3, 4} {
		m.Exprs, m.Out = append(m.Exprs, colExpr(w, c)), append(m.Out, w.Out[c])
	}
	calls := []plan.AggCall{aggCall("count()", types.Int8), aggCall("sum(bigint)", types.Numeric, 1)}
	if extremes {
		calls = append(calls, aggCall("min(bigint)", types.Int8, 1), aggCall("max(bigint)", types.Int8, 1))
	}
	n := aggNode(m, []int{0, 2, 3}, calls...)
	n.Final, n.AppendOnly, n.Time, n.TimeEnd = true, true, 3, true
	return n
}

// BenchmarkFinal is windows under EMIT ON WINDOW CLOSE once the first hour is
// over: what a row that comes costs, and, apart, what one that is emitted costs. A
// window is emitted each second for each key that was seen in it.
func BenchmarkFinal(b *testing.B) {
	const second, hour = int64(1_000_000), int64(3_600_000_000)
	for _, load := range []struct{ keys, perSecond int }{{100, 4096}, {1000, 2048}} {
		for _, w := range []struct {
			name string
			spec plan.WindowSpec
		}{
			{"Tumble1s", plan.WindowSpec{Kind: "tumble", Size: second}},
			{"Hop1h1s", plan.WindowSpec{Kind: "hop", Size: hour, Slide: second}},
			{"Cumulate1h1s", plan.WindowSpec{Kind: "cumulate", Size: hour, Slide: second}},
		} {
			for _, extremes := range []bool{false, true} {
				name := fmt.Sprintf("%s/%dkeys", w.name, load.keys)
				if extremes {
					name += "/minmax"
				}
				b.Run(name, func(b *testing.B) {
					out := 0
					d, err := Build(finalBench(w.spec, extremes), Options{Env: &expr.Env{}, Output: func(x *delta.Batch) error { out += x.N; return nil }})
					if err != nil {
						b.Fatal(err)
					}
					rng := rand.New(rand.NewSource(1))
					step := func(x *delta.Batch, wm int64) {
						d.Begin(nil)
						if x != nil {
							if err := d.Push(d.Scans()[0], x); err != nil {
								b.Fatal(err)
							}
						} else {
							d.Advance(d.Scans()[0], wm)
						}
						if err := d.Finish(); err != nil {
							b.Fatal(err)
						}
						d.Commit()
					}
					var in, emit int64
					rows, outs := 0, 0
					for now := int64(0); rows < b.N; now += second {
						x := &delta.Batch{N: load.perSecond, Cols: newCols(finalBenchCols, load.perSecond)}
						for i := range x.N {
							x.Cols[0].AppendInt(rng.Int63n(int64(load.keys)))
							x.Cols[1].AppendInt(rng.Int63n(1000))
							x.Cols[2].AppendInt(now + int64(i)*second/int64(x.N))
						}
						out = 0
						t0 := cpuTime()
						step(x, 0)
						t1 := cpuTime()
						step(nil, now+second)
						t2 := cpuTime()
						if now < hour {
							continue
						}
						in, emit = in+t1-t0, emit+t2-t1
						rows, outs = rows+x.N, outs+out
					}
					b.ReportMetric(float64(in)/float64(rows), "cpu-ns/row")
					b.ReportMetric(float64(emit)/float64(outs), "cpu-ns/out")
					b.ReportMetric(0, "ns/op")
				})
			}
		}
	}
}

// BenchmarkSession counts and sums by key and session while the sessions grow:
// early, every second, and final.
func BenchmarkSession(b *testing.B) {
	const second = int64(1_000_000)
	for _, final := range []bool{false, true} {
		b.Run(fmt.Sprintf("final=%v", final), func(b *testing.B) {
			n := windowed(plan.WindowSpec{Kind: "session", Size: 30 * second}, true, final)
			d, err := Build(n, Options{Env: &expr.Env{}, Output: func(x *delta.Batch) error { return nil }})
			if err != nil {
				b.Fatal(err)
			}
			rng := rand.New(rand.NewSource(1))
			var in int64
			rows := 0
			for now := int64(0); rows < b.N; now += second {
				x := &delta.Batch{N: delta.MaxRows, Cols: newCols(orderCols, delta.MaxRows)}
				for i := range x.N {
					x.Cols[0].AppendInt(rng.Int63n(1000))
					x.Cols[1].AppendInt(rng.Int63n(1000))
					x.Cols[2].AppendInt(now + int64(i)*second/int64(x.N))
				}
				t0 := cpuTime()
				d.Begin(nil)
				if err := d.Push(d.Scans()[0], x); err != nil {
					b.Fatal(err)
				}
				d.Advance(d.Scans()[0], now)
				if err := d.Finish(); err != nil {
					b.Fatal(err)
				}
				d.Commit()
				in, rows = in+cpuTime()-t0, rows+x.N
			}
			b.ReportMetric(float64(in)/float64(rows), "cpu-ns/row")
			b.ReportMetric(0, "ns/op")
		})
	}
}
