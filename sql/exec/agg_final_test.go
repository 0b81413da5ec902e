package exec

import (
	"fmt"
	"maps"
	"math"
	"math/rand"
	"slices"
	"testing"

	"github.com/streamsql/streamsql/sql/expr"
	"github.com/streamsql/streamsql/sql/plan"
	"github.com/streamsql/streamsql/sql/types"
	"github.com/streamsql/streamsql/state"
)

// finalPlan is an aggregate of aggInput, of which column 10 is the time, by
// windows, that emits on window close. Column 10 of the aggregate's input is the
// window's end.
func finalPlan(spec plan.WindowSpec, grows bool, keys []int, calls ...plan.AggCall) *plan.Node {
	cols := slices.Clone(aggInput)
	cols[10].Type = types.Of(types.Timestamptz)
	in := scanOf(1, cols...)
	in.Time, in.AppendOnly = 11, grows
	spec.TimeCol = 10
	w := &plan.Node{ID: 4, Op: plan.Window, Inputs: []*plan.Node{in}, Window: &spec, Out: append(slices.Clone(cols), windowEnds...),
		Time: 13, TimeEnd: true, AppendOnly: grows}
	m := &plan.Node{ID: 5, Op: plan.Map, Inputs: []*plan.Node{w}, Out: cols, Time: 11, TimeEnd: true, AppendOnly: grows}
	for c := range cols {
		m.Exprs = append(m.Exprs, colExpr(w, c))
	}
	m.Exprs[10] = colExpr(w, 12)
	n := aggNode(m, append(slices.Clone(keys), 10), calls...)
	n.Final, n.AppendOnly, n.Time, n.TimeEnd = true, true, len(keys)+1, true
	return n
}

// windowsOf returns the ends of a row's windows.
func windowsOf(s *plan.WindowSpec, t int64) (ends []int64) {
	switch s.Kind {
	case "tumble":
		return []int64{floorTo(t, s.Size, s.Offset) + s.Size}
	case "hop":
		for e := t - s.Size - s.Slide; e <= t+2*s.Size; e++ {
			if floorTo(e-s.Size, s.Slide, s.Offset) == e-s.Size && e-s.Size <= t && t < e {
				ends = append(ends, e)
			}
		}
	case "cumulate":
		from := floorTo(t, s.Size, s.Offset)
		for e := from + s.Slide; e <= from+s.Size; e += s.Slide {
			if t < e {
				ends = append(ends, e)
			}
		}
	}
	return ends
}

// TestAggFinal: an aggregate under EMIT ON WINDOW CLOSE has emitted, at any time,
// the groups of closed windows, once and for good; rows that miss a closed window
// are handed out, and are in those that are open.
func TestAggFinal(t *testing.T) {
	defer func(n int) { panePack = n }(panePack)
	panePack = 1
	for s, spec := range []plan.WindowSpec{
		{Kind: "tumble", Size: 4, Offset: 1},
		{Kind: "hop", Size: 12, Slide: 3, Offset: -1},
		{Kind: "hop", Size: 7, Slide: 3}, // panes are not whole
		{Kind: "cumulate", Size: 9, Slide: 3, Offset: 2},
		{Kind: "hop", Size: 2, Slide: 5}, // gaps
	} {
		trials := maps.Clone(aggTrials)
		trials["moments"] = []plan.AggCall{aggCall("var_samp(double precision)", types.Float8, 6), aggCall("stddev_pop(double precision)", types.Float8, 6)}
		trials["firsts"] = []plan.AggCall{orderBy(aggCall("first_value(anyelement)", types.Int4, 2), plan.Order{Col: 3, NullsFirst: true}),
			withFilter(orderBy(aggCall("last_value(anyelement)", types.Text, 7), plan.Order{Col: 3, Desc: true}))}
		trials["floats"] = []plan.AggCall{aggCall("sum(double precision)", types.Float8, 5), aggCall("avg(double precision)", types.Float8, 6)}
		for k, name := range slices.Sorted(maps.Keys(trials)) {
			calls := trials[name]
			if s%2 == 1 { // without DISTINCT, panes are merged
				calls = slices.DeleteFunc(slices.Clone(calls), func(c plan.AggCall) bool { return c.Distinct })
			}
			for i, keys := range [][]int{{}, {0}, {4, 1}, {7, 9, 0}} {
				if i%2 != (k+s)%2 {
					continue
				}
				for _, grows := range []bool{false, true} {
					if grows != ((s+k+i/2)%2 == 0) {
						continue
					}
					seed := int64(i)
					if grows {
						seed += 10
					}
					t.Run(fmt.Sprint(spec.Kind, spec.Size, name, keys, grows), func(t *testing.T) {
						testAggFinal(t, finalPlan(spec, grows, keys, calls...), seed)
					})
				}
			}
		}
	}
}

func testAggFinal(t *testing.T, n *plan.Node, seed int64) {
	rng := rand.New(rand.NewSource(seed))
	spec := n.Inputs[0].Inputs[0].Inputs[0].Window
	grows := n.Inputs[0].AppendOnly
	p := newPipeline(t, n, &expr.Env{})
	fuses := spec.Kind != "tumble" && spec.Size%spec.Slide == 0
	for _, c := range n.Aggs {
		fn, _ := p.env.Agg(c.Fn)
		fuses = fuses && merges(fn, c.Distinct)
	}
	for _, x := range p.d.workers[0].insts {
		if a, ok := x.op.(*agg); ok && (a.panes != nil) != fuses {
			t.Fatalf("works by panes: %v", a.panes != nil)
		}
	}
	in, late := newZset(), newZset()
	rows := newZset() // of the input, whatever became of them
	wm := int64(NoWatermark)
	for step := range 20 {
		var cs []change
		now := int64(step)
		for range rng.Intn(8) {
			row := aggRow(rng, 0)
			if math.Abs(row[5].F) > 1e300 { // or their sum would overflow
				row[5].F = math.Ldexp(rng.NormFloat64(), rng.Intn(1500)-900)
			}
			if !row[10].Null {
				row[10] = intD(now + rng.Int63n(6) - 3)
				if rng.Intn(8) == 0 {
					row[10].I -= rng.Int63n(12)
				}
			}
			cs = append(cs, change{row, 1 + rng.Int63n(2)})
		}
		if !grows {
			rows.each(func(row []types.Datum, w int64) {
				if rng.Intn(8) == 0 && (row[10].Null || !p.anyLate(row, wm, spec)) {
					cs = append(cs, change{row, -w})
				}
			})
		}
		next := max(wm, now-rng.Int63n(5))
		undo := rng.Intn(5) == 0
		before := len(p.out.w)
		if err := p.step(rng, cs, next, undo); err != nil {
			t.Fatal(err)
		}
		if undo {
			if len(p.out.w) != before {
				t.Fatal("a step that was undone")
			}
			continue
		}
		for _, c := range cs {
			rows.add(aggInput, c.row, c.w)
			if c.row[10].Null {
				continue
			}
			missed := false
			for _, e := range windowsOf(spec, c.row[10].I) {
				if e <= wm {
					missed = true
					continue
				}
				row := slices.Clone(c.row)
				row[10] = intD(e)
				in.add(aggInput, row, c.w)
			}
			if missed {
				late.add(aggInput, c.row, c.w)
			}
		}
		wm = next
		closed := newZset()
		in.each(func(row []types.Datum, w int64) {
			if row[10].I <= wm {
				closed.add(aggInput, row, w)
			}
		})
		if s := diff(n.Out, p.out, aggModel(n)([]*zset{closed})); s != "" {
			t.Fatalf("step %d, watermark %d:\n%s", step, wm, s)
		}
		if s := diff(aggInput, p.late, late); s != "" {
			t.Fatalf("step %d, watermark %d: late:\n%s", step, wm, s)
		}
		switch rng.Intn(8) {
		case 0:
			p.restart(1 + rng.Intn(4))
		case 1:
			p.states.checkpoint()
			p.states.each(func(t state.Table) { t.Evict(1 << 30) })
		}
	}
	if len(p.out.w) == 0 {
		t.Fatal("nothing was emitted")
	}
	// At the end of time nothing is left.
	if err := p.step(rng, nil, 1<<63-1, false); err != nil {
		t.Fatal(err)
	}
	if s := diff(n.Out, p.out, aggModel(n)([]*zset{in})); s != "" {
		t.Fatalf("at the end:\n%s", s)
	}
	if got := p.rows(); got != 0 {
		t.Fatalf("%d entries of state are left", got)
	}
}

// anyLate tells whether a row has missed a window, or would.
func (p *pipeline) anyLate(row []types.Datum, wm int64, s *plan.WindowSpec) bool {
	ends := windowsOf(s, row[10].I)
	return wm != NoWatermark && len(ends) > 0 && slices.Min(ends) <= wm
}

// TestClose: rows are emitted once, when the watermark closes their time.
func TestClose(t *testing.T) {
	for seed := range int64(10) {
		in := scanOf(1, eventInput...)
		in.Time, in.TimeEnd = 3, seed%2 == 0
		x := exchangeOf(2, in, 0, 1, 2)
		x.Time, x.TimeEnd = in.Time, in.TimeEnd
		n := &plan.Node{ID: 3, Op: plan.Close, Inputs: []*plan.Node{x}, Out: eventInput, AppendOnly: true, Time: 3, TimeEnd: in.TimeEnd}
		rng := rand.New(rand.NewSource(seed))
		c := newClosing(t, n, in)
		for step := range 40 {
			var cs []change
			now := int64(step)
			for range rng.Intn(12) {
				cs = append(cs, change{[]types.Datum{intD(rng.Int63n(2)), maybeNull(rng, intD(rng.Int63n(10))), maybeNull(rng, intD(now+rng.Int63n(8)-2))}, 1 + rng.Int63n(2)})
			}
			c.all.each(func(row []types.Datum, w int64) {
				if rng.Intn(4) == 0 && !c.closed(row) {
					cs = append(cs, change{row, -1})
				}
			})
			c.step(rng, cs, now)
			if rng.Intn(6) == 0 {
				c.p.restart(1 + rng.Intn(4))
			}
			want := newZset()
			c.all.each(func(row []types.Datum, w int64) {
				if c.closed(row) {
					want.add(eventInput, row, w)
				}
			})
			if s := diff(n.Out, c.p.out, want); s != "" {
				t.Fatalf("seed %d, step %d:\n%s", seed, step, s)
			}
			if s := diff(eventInput, c.p.late, c.late); s != "" {
				t.Fatalf("seed %d, step %d: late:\n%s", seed, step, s)
			}
			if got := c.p.rows(); got > len(c.all.w)-len(want.w) {
				t.Fatalf("seed %d, step %d: %d entries of state for %d open rows", seed, step, got, len(c.all.w)-len(want.w))
			}
		}
	}
}
