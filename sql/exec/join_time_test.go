package exec

import (
	"fmt"
	"math/rand"
	"testing"

	"github.com/streamsql/streamsql/sql/delta"
	"github.com/streamsql/streamsql/sql/expr"
	"github.com/streamsql/streamsql/sql/plan"
	"github.com/streamsql/streamsql/sql/types"
	"github.com/streamsql/streamsql/state"
)

// TestJoinTime joins two streams by the end of a window. What comes in time
// joins as if nothing was ever dropped, what comes late is handed out, and the
// state stays small.
func TestJoinTime(t *testing.T) {
	for _, kind := range []plan.JoinKind{plan.Inner, plan.Left, plan.Anti} {
		for _, residual := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/residual=%v", kind, residual), func(t *testing.T) {
				workers := 1
				if residual {
					workers = 3
				}
				testJoinTime(t, kind, residual, workers)
			})
		}
	}
}

func testJoinTime(t *testing.T, kind plan.JoinKind, residual bool, workers int) {
	defer func(n int) { spillTail = n }(spillTail)
	spillTail = 60
	defer func(n int) { sweepMin = n }(sweepMin)
	sweepMin = 20
	// (n, v, end) with (v, end, n), by (n, end)
	l := scanOf(1, column("n", types.Numeric), column("v", types.Int8), column("end", types.Timestamptz))
	r := scanOf(2, column("v", types.Int8), column("end", types.Timestamptz), column("n", types.Numeric))
	l.Time, l.TimeEnd, r.Time, r.TimeEnd = 3, true, 2, true
	lx, rx := exchangeOf(3, l, 0, 2), exchangeOf(4, r, 2, 1)
	lx.Time, lx.TimeEnd, rx.Time, rx.TimeEnd = 3, true, 2, true
	n := &plan.Node{ID: 5, Op: plan.Join, Kind: kind, LeftKey: []int{0, 2}, RightKey: []int{2, 1}, Inputs: []*plan.Node{lx, rx},
		Time: 3, TimeEnd: true}
	n.Out = append(n.Out, l.Out...)
	if kind != plan.Anti {
		n.Out = append(n.Out, r.Out...)
	}
	if residual {
		n.Residual = joinPlan(kind, 1, false, true).Residual // l.v < r.v
	}
	out, late := newZset(), [2]*zset{newZset(), newZset()}
	d, err := Build(n, Options{Workers: workers,
		Output: func(b *delta.Batch) error { out.addBatch(n.Out, b); return nil },
		Late: func(x LateRows) error {
			s := 0
			if len(x.Columns) > 0 && x.Columns[0].Name == "v" {
				s = 1
			}
			if want := []int{2, 1}[s]; x.TimeCol != want || x.Node != 5 {
				return fmt.Errorf("late rows of node %d, time in column %d", x.Node, x.TimeCol)
			}
			for i := range x.Rows.N {
				if ts := x.Rows.Cols[x.TimeCol].I[i]; ts > x.Watermark {
					return fmt.Errorf("time %d is late at %d", ts, x.Watermark)
				}
			}
			late[s].addBatch(x.Columns, x.Rows)
			return nil
		}})
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewSource(1))
	num := func() types.Datum {
		v, err := types.ParseText(types.Of(types.Numeric), []string{"1", "1.0", "-23.5"}[rng.Intn(3)])
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	in := [2]*zset{newZset(), newZset()}
	wm, lateRows, most, all := int64(NoWatermark), 0, 0, 0
	for step := range int64(80) {
		if step%5 == 3 { // a step that is undone does not move the watermark
			d.Begin(nil)
			d.Advance(l, step+100)
			d.Advance(r, step+100)
			if err := d.Finish(); err != nil {
				t.Fatal(err)
			}
			d.Rollback()
		}
		d.Begin(nil)
		for s, scan := range []*plan.Node{l, r} {
			var cs []change
			for range 6 {
				end := step + int64(rng.Intn(6)) - 1
				v := intD(int64(rng.Intn(100)))
				row := []types.Datum{num(), v, intD(end)}
				if s == 1 {
					row = []types.Datum{v, intD(end), num()}
				}
				cs = append(cs, change{row, 1})
				if end > wm {
					in[s].add(scan.Out, row, 1)
				} else {
					lateRows++
				}
			}
			for _, b := range batches(rng, scan.Out, cs) {
				if err := d.Push(scan, b); err != nil {
					t.Fatal(err)
				}
			}
		}
		d.Advance(l, step)
		d.Advance(r, step+1)
		if err := d.Finish(); err != nil {
			t.Fatal(err)
		}
		d.Commit()
		wm = step
		rows := 0
		for _, s := range d.Stats() {
			rows += int(s.StateRows)
		}
		most = max(most, rows)
		all += 12
	}
	got := 0
	for _, z := range late {
		z.each(func(_ []types.Datum, w int64) { got += int(w) })
	}
	if got != lateRows || lateRows == 0 {
		t.Fatalf("%d late rows, want %d", got, lateRows)
	}
	if s := diff(n.Out, out, joinModel(n)([]*zset{in[0], in[1]})); s != "" {
		t.Fatal(s)
	}
	if most > 500 {
		t.Fatalf("%d entries of state, of %d rows", most, all)
	}
}

// TestJoinTimeEvicted: what is closed goes, be it on disk alone.
func TestJoinTimeEvicted(t *testing.T) {
	defer func(n int) { sweepMin = n }(sweepMin)
	sweepMin = 20
	n := timeJoin(plan.Left, true, [2]bool{true, true})
	n.LeftKey, n.RightKey = []int{0, 1}, []int{2, 0}
	for s, x := range n.Inputs {
		x.Keys = [][]int{n.LeftKey, n.RightKey}[s]
	}
	p := newPipeline(t, n, &expr.Env{})
	rng := rand.New(rand.NewSource(1))
	in := [2]*zset{newZset(), newZset()}
	most := 0
	for step := range int64(150) {
		cs := make([][]change, 2)
		for s := range cs {
			for range 5 {
				row := timedRow(rng, s, step+rng.Int63n(5))
				row[timeOf[s]] = intD(step + rng.Int63n(5))
				cs[s] = append(cs[s], change{row, 1})
				in[s].add(n.Inputs[s].Out, row, 1)
			}
		}
		p.stepAll(rng, cs, []int64{step, step + 1}, false)
		p.states.checkpoint()
		p.states.each(func(x state.Table) { x.Evict(1 << 40) })
		most = max(most, p.rows())
	}
	want := pairModel(n, in, func(l, r []types.Datum) bool {
		return !l[0].Null && !r[2].Null && string(l[0].S) == string(r[2].S) && l[1].I == r[0].I
	})
	if s := diff(n.Out, p.out, want); s != "" {
		t.Fatal(s)
	}
	if most > 400 {
		t.Fatalf("%d entries of state", most)
	}
}
