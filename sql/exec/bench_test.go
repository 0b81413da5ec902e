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

// drive pushes each of bs to scan in a step of its own and reports the time a
// row.
func drive(b *testing.B, root *plan.Node, workers int, steps func(push func(scan *plan.Node, bs ...*delta.Batch))) {
	b.Helper()
	rows, out := 0, 0
	for range b.N {
		d, err := Build(root, Options{Env: &expr.Env{}, Workers: workers, Output: func(x *delta.Batch) error { out += x.N; return nil }})
		if err != nil {
			b.Fatal(err)
		}
		steps(func(scan *plan.Node, bs ...*delta.Batch) {
			d.Begin(nil)
			for _, x := range bs {
				rows += x.N
				if err := d.Push(scan, x); err != nil {
					b.Fatal(err)
				}
			}
			if err := d.Finish(); err != nil {
				b.Fatal(err)
			}
			d.Commit()
		})
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(rows), "ns/row")
	b.ReportMetric(float64(out)/float64(rows), "out/row")
	b.ReportMetric(0, "ns/op")
}

// cpu is the processor time of the process beyond since, ns.
func cpu(since float64) float64 {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return float64(u.Utime.Nano()+u.Stime.Nano()) - since
}

// ints makes n columns of rows from to to; f gives column c of row i.
func intCols(from, to, n int, f func(i, c int) int64) *delta.Batch {
	b := &delta.Batch{N: to - from}
	for c := range n {
		v := delta.NewVec(types.Of(types.Int8), b.N)
		for i := from; i < to; i++ {
			v.AppendInt(f(i, c))
		}
		b.Cols = append(b.Cols, v)
	}
	return b
}

func intColumns(n int) (out []plan.Column) {
	for c := range n {
		out = append(out, column(fmt.Sprint("c", c), types.Int8))
	}
	return out
}

// BenchmarkMap filters half of the rows of 7 columns and projects 4 of them.
func BenchmarkMap(b *testing.B) {
	scan := scanOf(1, intColumns(7)...)
	root := &plan.Node{ID: 2, Op: plan.Map, Inputs: []*plan.Node{scan}, Out: intColumns(4),
		Filter: less(colExpr(scan, 0), constInt(500)),
		Exprs: []*expr.Expr{colExpr(scan, 1), colExpr(scan, 2), colExpr(scan, 3),
			callExpr("+(bigint,bigint)", types.Int8, colExpr(scan, 4), colExpr(scan, 5))}}
	rng := rand.New(rand.NewSource(1))
	in := intCols(0, delta.MaxRows, 7, func(i, c int) int64 { return int64(rng.Intn(1000)) })
	drive(b, root, 1, func(push func(*plan.Node, ...*delta.Batch)) {
		for range 20 {
			push(scan, in, in, in, in, in)
		}
	})
}

func BenchmarkExchange(b *testing.B) {
	scan := scanOf(1, append(intColumns(3), column("s", types.Text))...)
	root := exchangeOf(2, scan, 0)
	rng := rand.New(rand.NewSource(1))
	in := intCols(0, delta.MaxRows, 3, func(i, c int) int64 { return int64(rng.Intn(1000)) })
	v := delta.NewVec(types.Of(types.Text), in.N)
	for range in.N {
		v.AppendBytes([]byte("sixteen letters."))
	}
	in.Cols = append(in.Cols, v)
	drive(b, root, 2, func(push func(*plan.Node, ...*delta.Batch)) {
		for range 20 {
			push(scan, in, in, in, in, in, in)
		}
	})
}

// BenchmarkJoin inserts rows with one match each: n keys on either side, in
// random order.
func BenchmarkJoin(b *testing.B) {
	for _, n := range []int{100_000, 1_000_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			l, r := scanOf(1, intColumns(3)...), scanOf(2, intColumns(3)...)
			root := &plan.Node{ID: 3, Op: plan.Join, Kind: plan.Inner, LeftKey: []int{0}, RightKey: []int{0},
				Inputs: []*plan.Node{l, r}, Out: intColumns(6)}
			perm := rand.New(rand.NewSource(1)).Perm(n)
			drive(b, root, 1, func(push func(*plan.Node, ...*delta.Batch)) {
				for from := 0; from+delta.MaxRows <= n; from += delta.MaxRows {
					in := intCols(from, from+delta.MaxRows, 3, func(i, c int) int64 {
						if c == 0 {
							return int64(perm[i])
						}
						return int64(i + c)
					})
					push(l, in)
					push(r, in)
				}
			})
		})
	}
}

func textVec(n int, f func(i int) string) *delta.Vec {
	v := delta.NewVec(types.Of(types.Text), n)
	for i := range n {
		v.AppendBytes([]byte(f(i)))
	}
	return v
}

// BenchmarkQ3 is Nexmark's q3: auctions of one category with their sellers,
// persons of three states. Few rows reach the join.
func BenchmarkQ3(b *testing.B) {
	auction := scanOf(1, column("id", types.Int8), column("seller", types.Int8), column("category", types.Int8))
	person := scanOf(2, column("id", types.Int8), column("name", types.Text), column("city", types.Text), column("state", types.Int8))
	a := &plan.Node{ID: 3, Op: plan.Map, Inputs: []*plan.Node{auction}, Out: auction.Out[:2],
		Filter: less(colExpr(auction, 2), constInt(1)), Exprs: []*expr.Expr{colExpr(auction, 0), colExpr(auction, 1)}}
	p := &plan.Node{ID: 4, Op: plan.Map, Inputs: []*plan.Node{person}, Out: person.Out, Filter: less(colExpr(person, 3), constInt(1))}
	root := &plan.Node{ID: 5, Op: plan.Join, Kind: plan.Inner, LeftKey: []int{1}, RightKey: []int{0}, Inputs: []*plan.Node{a, p},
		Out: append(append([]plan.Column{}, a.Out...), p.Out...)}
	const steps = 40
	var as, ps []*delta.Batch
	rng := rand.New(rand.NewSource(1))
	for k := range steps {
		as = append(as, intCols(0, delta.MaxRows, 3, func(i, c int) int64 {
			return []int64{int64(k*delta.MaxRows + i), int64(rng.Intn(1 + k*delta.MaxRows/3)), int64(rng.Intn(10))}[c]
		}))
		n := delta.MaxRows / 3
		x := intCols(0, n, 1, func(i, c int) int64 { return int64(k*n + i) })
		x.Cols = append(x.Cols, textVec(n, func(i int) string { return "peter jones" }), textVec(n, func(i int) string { return "san francisco" }),
			intCols(0, n, 1, func(i, c int) int64 { return int64(rng.Intn(6)) }).Cols[0])
		ps = append(ps, x)
	}
	drive(b, root, 1, func(push func(*plan.Node, ...*delta.Batch)) {
		for k := range steps {
			push(auction, as[k])
			push(person, ps[k])
		}
	})
}

// BenchmarkQ8 is Nexmark's q8 in its shape: persons and auctions of a window
// by person, every row stored.
func BenchmarkQ8(b *testing.B) {
	auction := scanOf(1, column("seller", types.Int8), column("window", types.Int8))
	person := scanOf(2, column("id", types.Int8), column("name", types.Text), column("window", types.Int8))
	root := &plan.Node{ID: 3, Op: plan.Join, Kind: plan.Inner, LeftKey: []int{0, 1}, RightKey: []int{0, 2},
		Inputs: []*plan.Node{auction, person}, Out: append(append([]plan.Column{}, auction.Out...), person.Out...)}
	const steps = 60
	var as, ps []*delta.Batch
	rng := rand.New(rand.NewSource(1))
	n := delta.MaxRows / 3
	for k := range steps {
		ps = append(ps, &delta.Batch{N: n, Cols: []*delta.Vec{
			intCols(0, n, 1, func(i, _ int) int64 { return int64(k*n + i) }).Cols[0],
			textVec(n, func(i int) string { return "peter jones" }),
			intCols(0, n, 1, func(i, _ int) int64 { return int64(k / 10) }).Cols[0]}})
		as = append(as, intCols(0, delta.MaxRows, 2, func(i, c int) int64 {
			if c == 0 {
				return int64((k+1)*n - 1 - rng.Intn(min((k+1)*n, 10*n)))
			}
			return int64(k / 10)
		}))
	}
	drive(b, root, 1, func(push func(*plan.Node, ...*delta.Batch)) {
		for k := range steps {
			push(person, ps[k])
			push(auction, as[k])
		}
	})
}

func BenchmarkDistinct(b *testing.B) {
	for _, n := range []int{10_000, 1_000_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			scan := scanOf(1, intColumns(2)...)
			root := &plan.Node{ID: 2, Op: plan.Distinct, Inputs: []*plan.Node{scan}, Out: scan.Out}
			rng := rand.New(rand.NewSource(1))
			var in []*delta.Batch
			for range 256 {
				in = append(in, intCols(0, delta.MaxRows, 2, func(i, c int) int64 {
					if c == 0 {
						return int64(rng.Intn(n))
					}
					return 1
				}))
			}
			drive(b, root, 1, func(push func(*plan.Node, ...*delta.Batch)) {
				for _, x := range in {
					push(scan, x)
				}
			})
		})
	}
}

// BenchmarkJoinUpdate replaces rows that have one match each: a delete and an
// insert of the same key, of 1 M keys on either side.
func BenchmarkJoinUpdate(b *testing.B) {
	const n, steps = 1 << 20, 64
	l, r := scanOf(1, intColumns(3)...), scanOf(2, intColumns(3)...)
	root := &plan.Node{ID: 3, Op: plan.Join, Kind: plan.Inner, LeftKey: []int{0}, RightKey: []int{0},
		Inputs: []*plan.Node{l, r}, Out: intColumns(6)}
	d, err := Build(root, Options{Env: &expr.Env{}, Workers: 1})
	if err != nil {
		b.Fatal(err)
	}
	step := func(scan *plan.Node, x *delta.Batch) {
		d.Begin(nil)
		if err := d.Push(scan, x); err != nil {
			b.Fatal(err)
		}
		if err := d.Finish(); err != nil {
			b.Fatal(err)
		}
		d.Commit()
	}
	for from := 0; from < n; from += delta.MaxRows {
		in := intCols(from, from+delta.MaxRows, 3, func(i, c int) int64 { return int64(i) * int64(1-c) })
		step(l, in)
		step(r, in)
	}
	rng := rand.New(rand.NewSource(1))
	perm := rng.Perm(n)
	b.ResetTimer()
	for k := range b.N {
		for s := range steps {
			b.StopTimer()
			x := intCols(0, delta.MaxRows, 3, func(i, c int) int64 {
				key := int64(perm[s*delta.MaxRows/2+i/2])
				switch c {
				case 0:
					return key
				case 1:
					return 0
				}
				if k == 0 && i%2 == 0 {
					return -key
				}
				return int64(k + i%2)
			})
			x.W = make([]int64, x.N)
			for i := range x.W {
				x.W[i] = int64(i%2)*2 - 1
			}
			b.StartTimer()
			step(l, x)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*steps*delta.MaxRows/2), "ns/update")
	b.ReportMetric(0, "ns/op")
}

// BenchmarkJoinInterval inserts rows with one match each within a second, under
// watermarks: n keys, rows in order of time.
func BenchmarkJoinInterval(b *testing.B) {
	for _, keys := range []int{1, 1000, 100_000} {
		b.Run(fmt.Sprint(keys), func(b *testing.B) {
			cols := []plan.Column{column("k", types.Int8), column("ts", types.Timestamptz), column("v", types.Int8)}
			l, r := scanOf(1, cols...), scanOf(2, cols...)
			l.Time, r.Time = 2, 2
			root := &plan.Node{ID: 3, Op: plan.Join, Kind: plan.Inner, LeftKey: []int{0}, RightKey: []int{0},
				Inputs: []*plan.Node{l, r}, Out: append(cols[:3:3], cols...), Bounds: &plan.TimeBounds{Left: 1, Right: 1, Lo: -5, Hi: 5}}
			col := func(i int) *expr.Expr { return &expr.Expr{Kind: expr.Col, Index: i, Type: types.Of(types.Int8)} }
			root.Residual = less(col(1), callExpr("+(bigint,bigint)", types.Int8, col(4), constInt(6)))
			d, err := Build(root, Options{Env: &expr.Env{}, Output: func(x *delta.Batch) error { return nil }})
			if err != nil {
				b.Fatal(err)
			}
			const n = 1 << 20
			start := cpu(0)
			for range b.N {
				for from := 0; from < n; from += delta.MaxRows {
					d.Begin(nil)
					for _, s := range []*plan.Node{l, r} {
						in := intCols(from, from+delta.MaxRows, 3, func(i, c int) int64 {
							if c == 0 {
								return int64(i*7919) % int64(keys)
							}
							return int64(i) * 10
						})
						in.Cols[1].T = types.Of(types.Timestamptz)
						if err := d.Push(s, in); err != nil {
							b.Fatal(err)
						}
						d.Advance(s, int64(from)*10-1000)
					}
					if err := d.Finish(); err != nil {
						b.Fatal(err)
					}
					d.Commit()
				}
			}
			b.ReportMetric(cpu(start)/float64(2*n*b.N), "cpu-ns/row")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// BenchmarkTemporal is a filter of the last hour at a constant rate: each row
// comes once, and goes once.
func BenchmarkTemporal(b *testing.B) {
	scan, root := betweenPlan()
	d, err := Build(root, Options{Env: &expr.Env{}, Workers: 1, Output: func(*delta.Batch) error { return nil }})
	if err != nil {
		b.Fatal(err)
	}
	const per = 4096
	b.ReportAllocs()
	for i := range b.N {
		now := int64(i) * 1e6
		bt := &delta.Batch{N: per, Cols: newCols(scan.Out, per)}
		for k := range int64(per) {
			bt.Cols[0].AppendDatum(types.Datum{I: now - k})
			bt.Cols[1].AppendDatum(types.Datum{I: now + 100e6 + k%1000})
			bt.Cols[2].AppendDatum(types.Datum{S: []byte("some text of a row")})
		}
		d.Begin(&expr.Context{Now: now})
		if err := d.Push(scan, bt); err != nil {
			b.Fatal(err)
		}
		if err := d.Finish(); err != nil {
			b.Fatal(err)
		}
		d.Commit()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*per), "ns/row")
}

// BenchmarkJoinAsOf joins rows with the last of 1,000 keys' versions: steps of
// 4,096 rows of the left side and 400 of the right.
func BenchmarkJoinAsOf(b *testing.B) {
	for _, kind := range []string{"asof", "versions", "proc", "proc, kept"} {
		b.Run(kind, func(b *testing.B) {
			cols := []plan.Column{column("k", types.Int8), column("ts", types.Timestamptz), column("v", types.Int8)}
			l, r := scanOf(1, cols...), scanOf(2, cols...)
			l.Time, r.Time = 2, 2
			l.AppendOnly = kind != "proc, kept"
			root := &plan.Node{ID: 3, Op: plan.Join, Kind: plan.Left, LeftKey: []int{0}, RightKey: []int{0},
				Inputs: []*plan.Node{l, r}, Out: append(cols[:3:3], cols...)}
			switch kind {
			case "asof":
				root.AsOf = &plan.AsOf{Kind: "asof", LeftTime: 1, RightTime: 1}
			case "versions":
				root.AsOf = &plan.AsOf{Kind: "event", LeftTime: 1, RightTime: 1, Versions: true}
			default:
				root.AsOf = &plan.AsOf{Kind: "proc", LeftTime: -1, RightTime: -1}
			}
			const n = 1 << 19
			out := 0
			start := cpu(0)
			for range b.N {
				d, err := Build(root, Options{Env: &expr.Env{}, Output: func(x *delta.Batch) error { out += x.N; return nil }})
				if err != nil {
					b.Fatal(err)
				}
				for from := 0; from < n; from += delta.MaxRows {
					d.Begin(nil)
					for s, scan := range []*plan.Node{l, r} {
						rows := []int{delta.MaxRows, 400}[s]
						if s == 1 && root.AsOf.Kind == "proc" { // a table, there from the start
							if rows = 1000; from > 0 {
								continue
							}
						}
						in := intCols(from, from+rows, 3, func(i, c int) int64 {
							if c == 0 {
								return int64(i*7919) % 1000
							}
							return int64(i) * 10
						})
						in.Cols[1].T = types.Of(types.Timestamptz)
						if err := d.Push(scan, in); err != nil {
							b.Fatal(err)
						}
						d.Advance(scan, int64(from)*10-1000)
					}
					if err := d.Finish(); err != nil {
						b.Fatal(err)
					}
					d.Commit()
				}
			}
			b.ReportMetric(cpu(start)/float64(n*b.N), "cpu-ns/row")
			b.ReportMetric(float64(out)/float64(n*b.N), "out/row")
			b.ReportMetric(0, "ns/op")
		})
	}
}
