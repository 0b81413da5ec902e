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

// windowPlan is a count by window_end, with a filter of windows between or not.
func windowPlan(spec plan.WindowSpec, filter bool) *plan.Node {
	cols := []plan.Column{column("ts", types.Timestamptz), column("id", types.Int8)}
	scan := scanOf(9, cols...)
	scan.Time, scan.AppendOnly = 1, false
	ends := []plan.Column{column("window_start", types.Timestamptz), column("window_end", types.Timestamptz), column("window_time", types.Timestamptz)}
	w := &plan.Node{ID: 10, Op: plan.Window, Inputs: []*plan.Node{scan}, Window: &spec, Out: append(append([]plan.Column{}, cols...), ends...), Time: 4, TimeEnd: true}
	m := &plan.Node{ID: 11, Op: plan.Map, Inputs: []*plan.Node{w}, Exprs: []*expr.Expr{colExpr(w, 3)}, Out: []plan.Column{w.Out[3]}, Time: 1, TimeEnd: true}
	if filter { // windows that end before time 5
		m.Filter = &expr.Expr{Kind: expr.Call, Type: types.Of(types.Bool), Fn: "<(timestamp with time zone,timestamp with time zone)",
			Args: []*expr.Expr{colExpr(w, 3), {Kind: expr.Const, Type: types.Of(types.Timestamptz), Value: intD(5)}}}
	}
	a := aggNode(m, []int{0}, aggCall("count()", types.Int8))
	a.Time, a.TimeEnd = 1, true
	return a
}

// TestWindowLate: of each row's windows the closed ones are counted with the late
// row, the others get it.
func TestWindowLate(t *testing.T) {
	for _, spec := range []plan.WindowSpec{
		{Kind: "tumble", Size: 7, Offset: 2},
		{Kind: "hop", Size: 12, Slide: 4, Offset: 1},
		{Kind: "hop", Size: 10, Slide: 4}, // a row is in two or three
		{Kind: "hop", Size: 3, Slide: 5},  // or in none
		{Kind: "cumulate", Size: 12, Slide: 3, Offset: -5},
	} {
		for _, filter := range []bool{false, true} {
			rng := rand.New(rand.NewSource(1))
			got := map[int64]int64{}  // by window's end
			want := map[int64]int64{} // of all rows
			missed := map[int64]int64{}
			root := windowPlan(spec, filter)
			var wm int64
			d, err := Build(root, Options{Env: &expr.Env{}, Workers: 1 + rng.Intn(2), Output: func(b *delta.Batch) error {
				for i := range b.N {
					got[b.Cols[0].I[i]] += b.Weight(i) * b.Cols[1].I[i]
				}
				return nil
			}, Late: func(l LateRows) error {
				if l.Node != 10 {
					t.Errorf("operator %d judges", l.Node)
				}
				for i := range l.Rows.N {
					ts, n := l.Rows.Cols[0].I[i], int32(0)
					for _, end := range endsOf(spec, ts) {
						if end <= wm && (!filter || end < 5) {
							missed[end] += l.Rows.Weight(i)
							n++
						}
					}
					if n != l.Windows[i] || n == 0 || l.Watermark != wm {
						t.Errorf("%v: row of time %d missed %d windows at %d, not %d", spec, ts, n, l.Watermark, l.Windows[i])
					}
				}
				return nil
			}})
			if err != nil {
				t.Fatal(err)
			}
			wm = NoWatermark
			for step := range 30 {
				d.Begin(&expr.Context{})
				b := &delta.Batch{Cols: []*delta.Vec{delta.NewVec(types.Of(types.Timestamptz), 4), delta.NewVec(types.Of(types.Int8), 4)}}
				for range rng.Intn(20) {
					ts := int64(step) + rng.Int63n(30) - 25
					w := 1 + rng.Int63n(2)
					b.Cols[0].AppendInt(ts)
					b.Cols[1].AppendInt(rng.Int63n(5))
					b.W = append(b.W, w)
					b.N++
					for _, end := range endsOf(spec, ts) {
						if !filter || end < 5 {
							want[end] += w
						}
					}
				}
				if err := d.Push(d.Scans()[0], b); err != nil {
					t.Fatal(err)
				}
				d.Advance(d.Scans()[0], int64(step)-8)
				if err := d.Finish(); err != nil {
					t.Fatal(err)
				}
				d.Commit()
				wm = int64(step) - 8
			}
			late := int64(0)
			for end, n := range want {
				if got[end]+missed[end] != n {
					t.Errorf("%v, filter %v: window to %d has %d rows, %d missed it, of %d", spec, filter, end, got[end], missed[end], n)
				}
				late += missed[end]
			}
			if late == 0 {
				t.Errorf("%v: nothing was late", spec)
			}
		}
	}
}

// endsOf are the ends of the windows of time t, one by one.
func endsOf(s plan.WindowSpec, t int64) (out []int64) {
	for from := int64(-200); from < 200; from++ {
		switch d := from - s.Offset; s.Kind {
		case "tumble":
			if d%s.Size == 0 && from <= t && t < from+s.Size {
				out = append(out, from+s.Size)
			}
		case "hop":
			if d%s.Slide == 0 && from <= t && t < from+s.Size {
				out = append(out, from+s.Size)
			}
		case "cumulate":
			if d%s.Size == 0 {
				for end := from + s.Slide; end <= from+s.Size; end += s.Slide {
					if from <= t && t < end {
						out = append(out, end)
					}
				}
			}
		}
	}
	return out
}

// BenchmarkWindowLate: what judging late rows costs a TUMBLE, with times that are
// out of order within the bound.
func BenchmarkWindowLate(b *testing.B) {
	for _, wm := range []int64{NoWatermark, 1 << 20} {
		b.Run(fmt.Sprint("watermark ", wm != NoWatermark), func(b *testing.B) {
			d, err := Build(windowPlan(plan.WindowSpec{Kind: "tumble", Size: 1 << 20}, false), Options{Env: &expr.Env{}, Workers: 1, Output: func(*delta.Batch) error { return nil }})
			if err != nil {
				b.Fatal(err)
			}
			rng := rand.New(rand.NewSource(1))
			in := &delta.Batch{N: delta.MaxRows, Cols: []*delta.Vec{delta.NewVec(types.Of(types.Timestamptz), 4), delta.NewVec(types.Of(types.Int8), 4)}}
			for range in.N {
				in.Cols[0].AppendInt(1<<20 + rng.Int63n(1<<22))
				in.Cols[1].AppendInt(1)
			}
			var w *window
			for _, x := range d.workers[0].insts {
				if op, ok := x.op.(*window); ok {
					w = op
				}
			}
			w.late.wm = wm
			for b.Loop() {
				if err := w.Apply(0, in, func(*delta.Batch) error { return nil }); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(in.N), "ns/row")
		})
	}
}
