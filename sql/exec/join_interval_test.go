package exec

import (
	"fmt"
	"math"
	"math/rand"
	"testing"

	"github.com/streamsql/streamsql/sql/expr"
	"github.com/streamsql/streamsql/sql/plan"
	"github.com/streamsql/streamsql/sql/types"
	"github.com/streamsql/streamsql/state"
)

// stepAll is step for a plan of several scans.
func (p *pipeline) stepAll(rng *rand.Rand, cs [][]change, wm []int64, undo bool) {
	p.t.Helper()
	p.d.Begin(&expr.Context{})
	p.states.each(func(t state.Table) { t.Begin() })
	p.pending = nil
	var all []func() error
	for s, scan := range p.d.Scans() {
		for _, b := range batches(rng, scan.Out, cs[s]) {
			all = append(all, func() error { return p.d.Push(scan, b) })
		}
	}
	rng.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	for _, fn := range all {
		if err := fn(); err != nil {
			p.t.Fatal(err)
		}
	}
	for s, scan := range p.d.Scans() {
		if wm[s] != NoWatermark {
			p.d.Advance(scan, wm[s])
		}
	}
	if err := p.d.Finish(); err != nil {
		p.t.Fatal(err)
	}
	p.states.each(func(t state.Table) {
		if t.Err() != nil {
			p.t.Fatal(t.Err())
		}
	})
	if undo {
		p.states.each(func(t state.Table) { t.Rollback() })
		p.d.Rollback()
		return
	}
	p.states.each(func(t state.Table) { t.Commit() })
	p.d.Commit()
	for _, fn := range p.pending {
		fn()
	}
}

// timeJoin is the plan of a join of (k, ts, v) with (ts, v, k).
func timeJoin(kind plan.JoinKind, keys bool, timed [2]bool) *plan.Node {
	l := scanOf(1, column("k", types.Text), column("ts", types.Timestamptz), column("v", types.Int8))
	r := scanOf(2, column("ts", types.Timestamptz), column("v", types.Int8), column("k", types.Text))
	var lk, rk []int
	if keys {
		lk, rk = []int{0}, []int{2}
	}
	lx, rx := exchangeOf(3, l, lk...), exchangeOf(4, r, rk...)
	if timed[0] {
		l.Time, lx.Time = 2, 2
	}
	if timed[1] {
		r.Time, rx.Time = 1, 1
	}
	n := &plan.Node{ID: 5, Op: plan.Join, Kind: kind, LeftKey: lk, RightKey: rk, Inputs: []*plan.Node{lx, rx}}
	n.Out = append(n.Out, l.Out...)
	if kind != plan.Semi && kind != plan.Anti {
		n.Out = append(n.Out, r.Out...)
	}
	return n
}

// intervalCase is an interval join and its model's data.
type intervalCase struct {
	kind   plan.JoinKind
	keys   bool
	lo, hi int64 // of the left time, from the right time
	timed  [2]bool
	time   int // the output's time: 0 none, 1 left, 2 right
}

func (c intervalCase) plan() *plan.Node {
	n := timeJoin(c.kind, c.keys, c.timed)
	n.Bounds = &plan.TimeBounds{Left: 1, Right: 0, Lo: c.lo, Hi: c.hi}
	switch c.time {
	case 1:
		n.Time = 2
	case 2:
		n.Time = 4
	}
	col := func(i int) *expr.Expr { return &expr.Expr{Kind: expr.Col, Index: i, Type: types.Of(types.Int8)} }
	var conds []*expr.Expr
	if c.lo != math.MinInt64 {
		conds = append(conds, less(callExpr("+(bigint,bigint)", types.Int8, col(3), constInt(c.lo-1)), col(1)))
	}
	if c.hi != math.MaxInt64 {
		conds = append(conds, less(col(1), callExpr("+(bigint,bigint)", types.Int8, col(3), constInt(c.hi+1))))
	}
	n.Residual = &expr.Expr{Kind: expr.And, Type: types.Of(types.Bool), Args: conds, Pos: -1}
	return n
}

func (c intervalCase) match(l, r []types.Datum) bool {
	if c.keys && (l[0].Null || r[2].Null || string(l[0].S) != string(r[2].S)) {
		return false
	}
	if l[1].Null || r[0].Null {
		return false
	}
	return (c.lo == math.MinInt64 || l[1].I >= r[0].I+c.lo) && (c.hi == math.MaxInt64 || l[1].I <= r[0].I+c.hi)
}

// late tells whether a row of input s at time t is late when the watermarks are wm.
func (c intervalCase) late(s int, t types.Datum, wm []int64) bool {
	frees := c.hi != math.MaxInt64 // the left watermark frees rows of the right
	if s == 1 {
		frees = c.lo != math.MinInt64
	}
	return c.timed[s] && frees && !t.Null && t.I < wm[s]
}

// pairModel is the nested loops of a join of kind by match.
func pairModel(n *plan.Node, in [2]*zset, match func(l, r []types.Datum) bool) *zset {
	out := newZset()
	nulls := func(cols []plan.Column) (out []types.Datum) {
		for range cols {
			out = append(out, types.NullDatum)
		}
		return out
	}
	join := func(l, r []types.Datum) []types.Datum { return append(append([]types.Datum{}, l...), r...) }
	lt, rt := n.Inputs[0].Out, n.Inputs[1].Out
	wide := n.Kind != plan.Semi && n.Kind != plan.Anti
	in[0].each(func(l []types.Datum, lw int64) {
		found := false
		in[1].each(func(r []types.Datum, rw int64) {
			if match(l, r) {
				found = true
				if wide {
					out.add(n.Out, join(l, r), lw*rw)
				}
			}
		})
		switch {
		case n.Kind == plan.Semi && found, n.Kind == plan.Anti && !found:
			out.add(n.Out, l, lw)
		case !found && (n.Kind == plan.Left || n.Kind == plan.Full):
			out.add(n.Out, join(l, nulls(rt)), lw)
		}
	})
	if n.Kind == plan.Right || n.Kind == plan.Full {
		in[1].each(func(r []types.Datum, rw int64) {
			found := false
			in[0].each(func(l []types.Datum, _ int64) { found = found || match(l, r) })
			if !found {
				out.add(n.Out, join(nulls(lt), r), rw)
			}
		})
	}
	return out
}

// timedRow makes a row of input s around time t.
func timedRow(rng *rand.Rand, s int, t int64) []types.Datum {
	ts := intD(t)
	switch rng.Intn(40) {
	case 0:
		ts = types.NullDatum
	case 1:
		ts = intD(1 << 60)
	}
	k, v := maybeNull(rng, textD([]string{"a", "b\x00", "c"}[rng.Intn(3)])), intD(rng.Int63n(2))
	if s == 0 {
		return []types.Datum{k, ts, v}
	}
	return []types.Datum{ts, v, k}
}

var timeOf = [2]int{1, 0} // the column of the time of timeJoin's inputs

const none = math.MaxInt64 // no upper bound

// TestJoinInterval compares interval joins with nested loops over the rows that
// were not late: random inserts and retractions, late ones too, two watermarks
// that move apart, steps undone, restarts with other workers.
func TestJoinInterval(t *testing.T) {
	defer func(n int) { sweepMin = n }(sweepMin)
	sweepMin = 5
	both, left, right := [2]bool{true, true}, [2]bool{true, false}, [2]bool{false, true}
	var cases []intervalCase
	for _, kind := range joinKinds {
		cases = append(cases,
			intervalCase{kind, true, -10, 10, both, 1},
			intervalCase{kind, true, -10, 10, both, 2},
			intervalCase{kind, false, 0, 25, both, 1},
			intervalCase{kind, true, 5, 5, both, 0},
			intervalCase{kind, true, -20, -5, left, 1},
			intervalCase{kind, true, 0, none, both, 1},
			intervalCase{kind, true, math.MinInt64, 3, both, 2},
			intervalCase{kind, true, -3, 7, right, 0},
			intervalCase{kind, false, -3, 7, [2]bool{}, 0})
	}
	for i, c := range cases {
		if c.time == 2 && (c.kind == plan.Semi || c.kind == plan.Anti) {
			continue
		}
		t.Run(fmt.Sprint(c), func(t *testing.T) {
			for seed := range int64(1) {
				c.run(t, int64(i)*10+seed)
			}
		})
	}
}

func (c intervalCase) run(t *testing.T, seed int64) {
	rng := rand.New(rand.NewSource(seed))
	n := c.plan()
	p := newPipeline(t, n, &expr.Env{})
	late := newZset()
	in := [2]*zset{newZset(), newZset()}
	wm := []int64{NoWatermark, NoWatermark}
	outWM := int64(NoWatermark)
	lateRows := 0
	for step := range 60 {
		now := int64(step * 4)
		undo := rng.Intn(6) == 0
		cs := make([][]change, 2)
		next := append([]int64{}, wm...)
		for s := range cs {
			cols := n.Inputs[s].Out
			for range rng.Intn(8) {
				ch := change{timedRow(rng, s, now+int64(rng.Intn(30))-20), 1}
				if len(in[s].w) > 0 && rng.Intn(3) == 0 {
					k := rng.Intn(len(in[s].w))
					in[s].each(func(row []types.Datum, _ int64) {
						if k--; k == -1 {
							ch = change{row, -1}
						}
					})
				}
				cs[s] = append(cs[s], ch)
				if undo {
					continue
				}
				if c.late(s, ch.row[timeOf[s]], wm) {
					late.add(cols, ch.row, ch.w)
					lateRows++
				} else {
					in[s].add(cols, ch.row, ch.w)
				}
			}
			if c.timed[s] && rng.Intn(3) > 0 {
				next[s] = max(next[s], now-int64(rng.Intn(30)))
			}
		}
		before := newZset()
		p.out.each(func(row []types.Datum, w int64) { before.add(n.Out, row, w) })
		p.stepAll(rng, cs, next, undo)
		if undo {
			continue
		}
		wm = next
		if s := diff(n.Out, p.out, pairModel(n, in, c.match)); s != "" {
			t.Fatalf("seed %d, step %d:\n%s", seed, step, s)
		}
		// What was below the output's watermark has not changed.
		if tc := n.TimeCol(); tc >= 0 && c.lo != math.MinInt64 && c.hi != none {
			check := func(row []types.Datum, _ int64) {
				var k []byte
				for i, d := range row {
					k = types.AppendKey(k, n.Out[i].Type, d, false)
				}
				if !row[tc].Null && row[tc].I < outWM && p.out.w[string(k)] != before.w[string(k)] && c.timed[0] == c.timed[1] {
					t.Fatalf("seed %d, step %d: a change at %d below the watermark %d", seed, step, row[tc].I, outWM)
				}
			}
			p.out.each(check)
			before.each(check)
		}
		outWM = p.d.Watermark()
		if rng.Intn(8) == 0 {
			p.restart(1 + rng.Intn(4))
			if got := p.d.Watermark(); got != outWM {
				t.Fatalf("watermark %d after the restart, was %d", got, outWM)
			}
		}
	}
	trial{root: n, model: func(in []*zset) *zset { return pairModel(n, [2]*zset{in[0], in[1]}, c.match) }}.batch(t, rng, 3, in[:])
	got := 0
	p.late.each(func(_ []types.Datum, w int64) { got += int(max(w, -w)) })
	want := 0
	late.each(func(_ []types.Datum, w int64) { want += int(max(w, -w)) })
	if got != want {
		t.Fatalf("late rows of a weight of %d, want %d", got, want)
	}
	if c.timed[0] && c.timed[1] && lateRows == 0 {
		t.Fatal("no row was late")
	}
	if c.time != 0 && outWM == NoWatermark && c.timed[0] && c.lo > math.MinInt64 && c.hi < math.MaxInt64 {
		t.Fatal("the output has no watermark")
	}
}

// TestJoinIntervalState: an hour at a constant rate leaves a state that does not grow.
func TestJoinIntervalState(t *testing.T) {
	for _, kind := range []plan.JoinKind{plan.Inner, plan.Full} {
		c := intervalCase{kind, true, -60e6, 60e6, [2]bool{true, true}, 0}
		n := c.plan()
		p := newPipeline(t, n, &expr.Env{})
		rng := rand.New(rand.NewSource(1))
		var after []int
		for sec := int64(0); sec < 3600; sec += 10 {
			cs := make([][]change, 2)
			for s := range cs {
				for range 50 {
					row := timedRow(rng, s, sec*1e6+rng.Int63n(10e6))
					row[[2]int{0, 2}[s]] = textD(fmt.Sprint(sec, rng.Intn(50)))
					cs[s] = append(cs[s], change{row, 1})
				}
			}
			p.stepAll(rng, cs, []int64{(sec - 5) * 1e6, (sec - 3) * 1e6}, false)
			if sec%600 == 590 {
				after = append(after, p.rows())
			}
		}
		// Two minutes of rows, two of what was not swept yet, and what a sweep waits for.
		tables := 2
		if kind == plan.Full {
			tables = 4
		}
		if most := tables * 2 * (4*300*2 + sweepMin); after[len(after)-1] > most || after[5] > after[1]*3/2 {
			t.Errorf("%s: entries after each ten minutes: %v, most %d", kind, after, most)
		}
	}
}
