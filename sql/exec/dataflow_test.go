package exec

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/streamsql/streamsql/sql/delta"
	"github.com/streamsql/streamsql/sql/plan"
	"github.com/streamsql/streamsql/sql/sqlerr"
	"github.com/streamsql/streamsql/sql/types"
)

func intBatch(n int, f func(i int) int64) *delta.Batch {
	v := delta.NewVec(types.Of(types.Int8), n)
	for i := range n {
		v.AppendInt(f(i))
	}
	return &delta.Batch{N: n, Cols: []*delta.Vec{v}}
}

// crossPlan is the product of a relation with itself.
func crossPlan() *plan.Node {
	s := scanOf(1, column("a", types.Int8))
	x := exchangeOf(2, s)
	return &plan.Node{ID: 3, Op: plan.Join, Kind: plan.Inner, Inputs: []*plan.Node{x, x},
		Out: []plan.Column{s.Out[0], s.Out[0]}}
}

func TestDone(t *testing.T) {
	for _, workers := range []int{1, 2} {
		n := 0
		d, err := Build(crossPlan(), Options{Workers: workers, Batch: true, Output: func(b *delta.Batch) error {
			if n += b.N; n > 10_000 {
				return ErrDone
			}
			return nil
		}})
		if err != nil {
			t.Fatal(err)
		}
		d.Begin(nil)
		if err = d.Push(d.Scans()[0], intBatch(4000, func(i int) int64 { return int64(i) })); err == nil {
			err = d.Finish()
		}
		if err != ErrDone {
			t.Fatal(err)
		}
		if n > 20_000 {
			t.Fatalf("%d rows after the end", n)
		}
	}
}

func TestCancel(t *testing.T) {
	done := make(chan struct{})
	n := 0
	d, err := Build(crossPlan(), Options{Batch: true, Done: done, Output: func(b *delta.Batch) error {
		if n++; n == 3 {
			close(done)
		}
		return nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	d.Begin(nil)
	if err = d.Push(d.Scans()[0], intBatch(4000, func(i int) int64 { return int64(i) })); err == nil {
		err = d.Finish()
	}
	if sqlerr.From(err) == nil || sqlerr.From(err).Code != sqlerr.QueryCanceled {
		t.Fatal(err)
	}
}

// TestCancelFruitless cancels a join whose condition no pair satisfies.
func TestCancelFruitless(t *testing.T) {
	p := joinPlan(plan.Inner, 0, false, true)
	for _, batch := range []bool{false, true} {
		done := make(chan struct{})
		d, err := Build(p, Options{Batch: batch, Done: done})
		if err != nil {
			t.Fatal(err)
		}
		d.Begin(nil)
		rows := func(at int, v int64) *delta.Batch {
			b := intCols(0, 4000, 2, func(i, c int) int64 {
				if c == at {
					return v
				}
				return int64(i)
			})
			b.Cols = append(b.Cols, textVec(b.N, func(int) string { return "" }))
			return b
		}
		l, r := d.Scans()[0], d.Scans()[1]
		for range 5 {
			if err := d.Push(l, rows(1, 2)); err != nil {
				t.Fatal(err)
			}
		}
		time.AfterFunc(20*time.Millisecond, func() { close(done) })
		start := time.Now()
		for range 5 {
			if err = d.Push(r, rows(0, 1)); err != nil {
				break
			}
		}
		if err == nil {
			err = d.Finish()
		}
		if e := sqlerr.From(err); e == nil || e.Code != sqlerr.QueryCanceled {
			t.Fatalf("batch %v: %v after %v", batch, err, time.Since(start))
		}
		if batch == false && time.Since(start) > 5*time.Second {
			t.Fatalf("cancelled after %v", time.Since(start))
		}
	}
}

func TestLimit(t *testing.T) {
	s := scanOf(1, column("a", types.Int8))
	distinct := &plan.Node{ID: 3, Op: plan.Distinct, Inputs: []*plan.Node{exchangeOf(2, s, 0)}, Out: s.Out}
	for _, workers := range []int{1, 2} {
		d, err := Build(distinct, Options{Workers: workers, Batch: true, Limit: 1 << 20})
		if err != nil {
			t.Fatal(err)
		}
		d.Begin(nil)
		for k := 0; k < 100 && err == nil; k++ {
			err = d.Push(s, intBatch(4000, func(i int) int64 { return int64(i + 4000*k) }))
		}
		if err == nil {
			err = d.Finish()
		}
		if e := sqlerr.From(err); e == nil || e.Code != sqlerr.OutOfMemory || e.Hint == "" {
			t.Fatalf("%d workers: %v", workers, err)
		}
	}
}

// TestPanic wants a panic beneath an operator to be the step's error.
func TestPanic(t *testing.T) {
	s := scanOf(1, column("a", types.Int8))
	for _, workers := range []int{1, 4} {
		d, err := Build(exchangeOf(2, s, 0), Options{Workers: workers, Output: func(*delta.Batch) error { panic("ouch") }})
		if err != nil {
			t.Fatal(err)
		}
		d.Begin(nil)
		for range 8 {
			if err = d.Push(s, intBatch(4000, func(i int) int64 { return int64(i) })); err != nil {
				break
			}
		}
		if err == nil {
			err = d.Finish()
		}
		e := sqlerr.From(err)
		if e == nil || e.Code != sqlerr.Internal || !strings.Contains(e.Message, "ouch") || !strings.Contains(e.Detail, "goroutine") {
			t.Fatalf("%d workers: %+v", workers, e)
		}
		d.Rollback()
	}
}

func TestWatermarks(t *testing.T) {
	a := scanOf(1, column("ts", types.Timestamptz))
	b := scanOf(2, column("ts", types.Timestamptz))
	table := scanOf(3, column("ts", types.Timestamptz))
	a.Time, b.Time = 1, 1
	union := &plan.Node{ID: 5, Op: plan.Union, Inputs: []*plan.Node{exchangeOf(4, a, 0), b, table}, Out: a.Out, Time: 1}
	union.Inputs[0].Time = 1
	for _, workers := range []int{1, 3} {
		d, err := Build(union, Options{Workers: workers})
		if err != nil {
			t.Fatal(err)
		}
		step := func(wa, wb int64, end func(), want int64) {
			t.Helper()
			d.Begin(nil)
			d.Advance(a, wa)
			d.Advance(b, wb)
			if err := d.Finish(); err != nil {
				t.Fatal(err)
			}
			end()
			if d.Watermark() != want {
				t.Fatalf("watermark %d, want %d", d.Watermark(), want)
			}
		}
		step(5, NoWatermark, d.Commit, NoWatermark)
		step(7, 6, d.Commit, 6)
		step(4, 9, d.Commit, 7)
		step(20, 20, d.Rollback, 7)
		step(8, 9, d.Commit, 8)
		e, err := Build(union, Options{Workers: workers})
		if err != nil {
			t.Fatal(err)
		}
		e.Restore(d.Watermarks())
		if e.Watermark() != 8 {
			t.Fatalf("restored watermark %d", e.Watermark())
		}
		e.Begin(nil)
		if err := e.Finish(); err != nil || e.Watermark() != 8 {
			t.Fatal(err, e.Watermark())
		}
	}
}

func TestBuildErrors(t *testing.T) {
	s := scanOf(1, column("a", types.Int8))
	for name, n := range map[string]*plan.Node{
		"same number":      {ID: 1, Op: plan.Distinct, Inputs: []*plan.Node{s}, Out: s.Out},
		"unknown operator": {ID: 2, Op: "sieve", Inputs: []*plan.Node{s}, Out: s.Out},
		"malformed":        {ID: 2, Op: plan.Distinct, Inputs: []*plan.Node{{ID: 3, Op: plan.Map}}},
	} {
		_, err := Build(n, Options{})
		var e *sqlerr.Error
		if name != "malformed" && !errors.As(err, &e) {
			t.Errorf("%s: %v", name, err)
		}
		if err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestStats(t *testing.T) {
	s := scanOf(1, column("a", types.Int8))
	root := &plan.Node{ID: 3, Op: plan.Distinct, Inputs: []*plan.Node{exchangeOf(2, s, 0)}, Out: s.Out}
	for _, workers := range []int{1, 3} {
		d, _ := collect(t, root, workers, false)
		d.Begin(nil)
		for range 2 {
			if err := d.Push(s, intBatch(4000, func(i int) int64 { return int64(i % 1000) })); err != nil {
				t.Fatal(err)
			}
		}
		if err := d.Finish(); err != nil {
			t.Fatal(err)
		}
		st := d.Stats()
		if len(st) != 3 || st[0].RowsIn != 8000 || st[1].RowsOut != 8000 && workers == 1 || st[2].RowsIn != 8000 ||
			st[2].RowsOut != 1000 || st[2].StateRows != 1000 || st[2].StateBytes < 9000 || st[2].Nanos <= 0 || st[2].Name != "Distinct" {
			t.Fatalf("%+v", st)
		}
	}
}

// TestParallel has steps large enough for goroutines, with more input than is
// held back, and wants the answer of one worker.
func TestParallel(t *testing.T) {
	cols := []plan.Column{column("k", types.Int8), column("v", types.Int8), column("s", types.Text)}
	l, r := scanOf(1, cols...), scanOf(2, cols...)
	join := &plan.Node{ID: 5, Op: plan.Join, Kind: plan.Full, LeftKey: []int{0}, RightKey: []int{0},
		Inputs: []*plan.Node{exchangeOf(3, l, 0), exchangeOf(4, r, 0)}, Out: append(append([]plan.Column{}, cols...), cols...)}
	distinct := &plan.Node{ID: 7, Op: plan.Distinct, Inputs: []*plan.Node{exchangeOf(6, join, 0, 1, 2, 3, 4, 5)}, Out: join.Out}
	pad := strings.Repeat("x", 500)
	run := func(workers int, batch bool) *zset {
		d, out := collect(t, distinct, workers, batch)
		for step := range 3 {
			if !batch || step == 0 {
				d.Begin(nil)
			}
			for k := range 4 {
				for _, s := range []*plan.Node{l, r} {
					n := 1500
					if s == r {
						n = 1200
					}
					b := intCols(0, n, 2, func(i, c int) int64 { return int64((i*7+k*n+step*991)%3000) * int64(1-c) })
					b.Cols = append(b.Cols, textVec(n, func(int) string { return pad }))
					if step > 0 && k == 0 && !batch {
						b.W = make([]int64, n) // what came in the step before at k == 0, taken back
						for i := range b.W {
							b.W[i] = -1
						}
						b.Cols[0] = intCols(0, n, 1, func(i, c int) int64 { return int64((i*7 + (step-1)*991) % 3000) }).Cols[0]
						if step == 2 {
							continue
						}
					}
					if err := d.Push(s, b); err != nil {
						t.Fatal(err)
					}
				}
			}
			if batch && step < 2 {
				continue
			}
			if err := d.Finish(); err != nil {
				t.Fatal(err)
			}
			d.Commit()
		}
		return out
	}
	for _, batch := range []bool{false, true} {
		want := run(1, batch)
		if len(want.w) < 1000 {
			t.Fatalf("%d rows", len(want.w))
		}
		for _, workers := range []int{3} {
			if s := diff(distinct.Out, run(workers, batch), want); s != "" {
				t.Fatalf("%d workers: %.500s", workers, s)
			}
		}
	}
}
