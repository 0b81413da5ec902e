package exec

import (
	"fmt"
	"math/rand"
	"syscall"
	"testing"

	"github.com/streamsql/streamsql/sql/delta"
	"github.com/streamsql/streamsql/sql/expr"
	"github.com/streamsql/streamsql/sql/plan"
	"github.com/streamsql/streamsql/sql/types"
)

// cpuTime is the time the process has had, in ns: on a busy machine it says more
// than the clock.
func cpuTime() int64 {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return u.Utime.Nano() + u.Stime.Nano()
}

// BenchmarkAgg groups a stream by random keys, a step of 16 batches at a time,
// after all keys are there.
func BenchmarkAgg(b *testing.B) {
	cols := intColumns(3)
	cols[2].Type = types.Of(types.Float8)
	for _, c := range []struct {
		name  string
		keys  []int
		grows bool
		calls []plan.AggCall
	}{
		{"count", []int{0}, true, []plan.AggCall{aggCall("count()", types.Int8)}},
		{"count2", []int{0, 1}, true, []plan.AggCall{aggCall("count()", types.Int8)}},
		{"countsummax", []int{0}, true, []plan.AggCall{aggCall("count()", types.Int8), aggCall("sum(bigint)", types.Numeric, 1), aggCall("max(bigint)", types.Int8, 1)}},
		{"avgfloat", []int{0}, true, []plan.AggCall{aggCall("avg(double precision)", types.Float8, 2)}},
		{"avgint", []int{0}, true, []plan.AggCall{aggCall("avg(bigint)", types.Numeric, 1)}},
		{"maxretract", []int{0}, false, []plan.AggCall{aggCall("max(bigint)", types.Int8, 1)}},
		{"distinct", []int{0}, false, []plan.AggCall{distinctly(aggCall("count(any)", types.Int8, 1))}},
	} {
		for _, n := range []int{1000, 100_000, 1_000_000} {
			b.Run(fmt.Sprint(c.name, "/", n), func(b *testing.B) {
				in := scanOf(1, cols...)
				in.AppendOnly = c.grows
				out := 0
				d, err := Build(aggNode(in, c.keys, c.calls...), Options{Env: &expr.Env{}, Output: func(x *delta.Batch) error { out += x.N; return nil }})
				if err != nil {
					b.Fatal(err)
				}
				rng := rand.New(rand.NewSource(1))
				batch := func(key func(i int) int64) *delta.Batch {
					x := &delta.Batch{N: delta.MaxRows, Cols: newCols(cols, delta.MaxRows)}
					for i := range x.N {
						k := key(i)
						x.Cols[0].AppendInt(k)
						x.Cols[1].AppendInt(k % 10)
						x.Cols[2].AppendFloat(float64(rng.Intn(100000)) / 100)
					}
					return x
				}
				step := func(bs []*delta.Batch) {
					d.Begin(nil)
					for _, x := range bs {
						if err := d.Push(d.Scans()[0], x); err != nil {
							b.Fatal(err)
						}
					}
					if err := d.Finish(); err != nil {
						b.Fatal(err)
					}
					d.Commit()
				}
				for at := 0; at < n; at += delta.MaxRows {
					step([]*delta.Batch{batch(func(i int) int64 { return int64((at + i) % n) })})
				}
				var bs []*delta.Batch
				for range 128 {
					bs = append(bs, batch(func(int) int64 { return rng.Int63n(int64(n)) }))
				}
				b.ResetTimer()
				start, rows := cpuTime(), 0
				for i := 0; rows < b.N; i++ {
					step(bs[i%8*16 : i%8*16+16])
					rows += 16 * delta.MaxRows
				}
				b.ReportMetric(float64(cpuTime()-start)/float64(rows), "cpu-ns/row")
				b.ReportMetric(0, "ns/op")
			})
		}
	}
}

// BenchmarkFold is a user's aggregate in event-time order, closed by a watermark
// two steps behind.
func BenchmarkFold(b *testing.B) {
	for _, n := range []int{1000, 100_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			in := scanOf(1, eventInput...)
			in.AppendOnly, in.Time = true, 3
			root := aggNode(in, []int{0}, orderBy(aggCall("summed(integer)", types.Int8, 1), plan.Order{Col: 2}), aggCall("count()", types.Int8))
			d, err := Build(root, Options{Env: userEnv, Output: func(x *delta.Batch) error { return nil }})
			if err != nil {
				b.Fatal(err)
			}
			rng := rand.New(rand.NewSource(1))
			const batch = 4096
			start, rows := cpuTime(), 0
			for now := int64(0); rows < b.N; now += batch {
				x := &delta.Batch{N: batch, Cols: newCols(eventInput, batch)}
				for i := range x.N {
					x.Cols[0].AppendInt(rng.Int63n(int64(n)))
					x.Cols[1].AppendInt(int64(i))
					x.Cols[2].AppendInt(now + int64(i))
				}
				d.Begin(nil)
				if err := d.Push(d.Scans()[0], x); err != nil {
					b.Fatal(err)
				}
				d.Advance(d.Scans()[0], now-2*batch)
				if err := d.Finish(); err != nil {
					b.Fatal(err)
				}
				d.Commit()
				rows += batch
			}
			b.ReportMetric(float64(cpuTime()-start)/float64(rows), "cpu-ns/row")
			b.ReportMetric(0, "ns/op")
		})
	}
}
