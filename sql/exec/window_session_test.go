package exec

import (
	"math/rand"
	"slices"
	"testing"

	"github.com/streamsql/streamsql/sql/expr"
	"github.com/streamsql/streamsql/sql/plan"
	"github.com/streamsql/streamsql/sql/types"
)

var windowEnds = []plan.Column{column("window_start", types.Timestamptz), column("window_end", types.Timestamptz), column("window_time", types.Timestamptz)}

// sessionPlan is SESSION over (k, ts, v), by k if keyed.
func sessionPlan(gap int64, keyed bool) *plan.Node {
	in := scanOf(1, column("k", types.Numeric), column("ts", types.Timestamptz), column("v", types.Text))
	in.Time = 2
	var keys []int
	if keyed {
		keys = []int{0}
	}
	x := exchangeOf(2, in, keys...)
	x.Time = in.Time
	return &plan.Node{ID: 3, Op: plan.Window, Inputs: []*plan.Node{x}, Keys: keys, Window: &plan.WindowSpec{Kind: "session", TimeCol: 1, Size: gap},
		Out: append(slices.Clone(in.Out), windowEnds...), Time: 5, TimeEnd: true}
}

// sessionModel gives each row its session.
func sessionModel(n *plan.Node) func(in []*zset) *zset {
	return func(in []*zset) *zset {
		out := newZset()
		cols := n.Inputs[0].Out
		parts := map[string][][]types.Datum{}
		in[0].each(func(row []types.Datum, w int64) {
			if row[1].Null {
				return
			}
			var k []byte
			for _, c := range n.Keys {
				k = types.AppendEq(k, cols[c].Type, row[c])
			}
			parts[string(k)] = append(parts[string(k)], row)
		})
		for _, rows := range parts {
			slices.SortFunc(rows, func(a, b []types.Datum) int { return int(a[1].I - b[1].I) })
			for from := 0; from < len(rows); {
				to := from + 1
				for to < len(rows) && rows[to][1].I-rows[to-1][1].I <= n.Window.Size {
					to++
				}
				start, end := rows[from][1].I, rows[to-1][1].I+n.Window.Size
				for _, row := range rows[from:to] {
					var k []byte
					for c, d := range row {
						k = types.AppendKey(k, cols[c].Type, d, false)
					}
					out.add(n.Out, append(slices.Clone(row), intD(start), intD(end), intD(end-1)), in[0].w[string(k)])
				}
				from = to
			}
		}
		return out
	}
}

func sessionRow(rng *rand.Rand, _ int) []types.Datum {
	return []types.Datum{maybeNull(rng, numD([]string{"1", "1.0", "2"}[rng.Intn(3)])), maybeNull(rng, intD(rng.Int63n(60))), textD([]string{"", "a"}[rng.Intn(2)])}
}

func TestSession(t *testing.T) {
	for seed := range int64(12) {
		n := sessionPlan(1+seed%5, seed%3 != 0)
		trial{root: n, gen: sessionRow, model: sessionModel(n), appendOnly: seed%4 == 3}.run(t, seed)
	}
}

// TestSessionTime moves the watermark, with rows that come late and are taken
// back, steps that are undone and restarts: the answer is that over the input
// without what was handed out as late, at any time, and nothing that came within
// the bound was.
func TestSessionTime(t *testing.T) {
	lates := 0
	for seed := range int64(40) {
		gap := 1 + seed%5
		n := sessionPlan(gap, seed%3 != 0)
		in := n.Inputs[0].Out
		rng := rand.New(rand.NewSource(seed))
		bound := int64(4)
		tooLate := seed%2 == 1
		retract := seed%4 < 2
		p := newPipeline(t, n, &expr.Env{})
		all, open := newZset(), 0
		wm := int64(NoWatermark)
		for step := range 60 {
			var cs []change
			now := int64(step)
			lag := bound
			if tooLate {
				lag = bound + 4*gap
			}
			for range rng.Intn(5) {
				row := sessionRow(rng, 0)
				if !row[1].Null {
					row[1] = intD(now + rng.Int63n(3) - rng.Int63n(lag))
					if !tooLate {
						row[1].I = max(row[1].I, wm)
					}
				}
				cs = append(cs, change{row, 1 + rng.Int63n(2)})
			}
			if retract {
				all.each(func(row []types.Datum, w int64) {
					// A row that is retracted within the bound is never in a closed session.
					if rng.Intn(8) == 0 && (tooLate || row[1].Null || row[1].I >= wm) {
						cs = append(cs, change{row, -1})
					}
				})
			}
			rng.Shuffle(len(cs), func(i, j int) { cs[i], cs[j] = cs[j], cs[i] })
			next := max(wm, now-bound)
			undo := rng.Intn(5) == 0
			if err := p.step(rng, cs, next, undo); err != nil {
				t.Fatalf("seed %d, step %d: %v", seed, step, err)
			}
			if !undo {
				for _, c := range cs {
					all.add(in, c.row, c.w)
				}
				wm = next
			}
			if rng.Intn(6) == 0 {
				p.restart(1 + rng.Intn(4))
			}
			if !tooLate && len(p.late.w) > 0 {
				t.Fatalf("seed %d, step %d: late: %v", seed, step, p.late.rows)
			}
			left := newZset()
			all.each(func(row []types.Datum, w int64) { left.add(in, row, w) })
			p.late.each(func(row []types.Datum, w int64) { left.add(in, row, -w) })
			left.each(func(row []types.Datum, w int64) {
				if w < 0 {
					t.Fatalf("seed %d, step %d: %s is late %d times too often", seed, step, rowString(in, row), -w)
				}
			})
			want := sessionModel(n)([]*zset{left})
			if s := diff(n.Out, p.out, want); s != "" {
				t.Fatalf("seed %d, gap %d, step %d, watermark %d:\n%s", seed, gap, step, wm, s)
			}
			open = 0
			want.each(func(row []types.Datum, _ int64) {
				if row[4].I+gap >= wm {
					open++
				}
			})
			if got := p.rows(); got > 3*open {
				t.Fatalf("seed %d, step %d: %d entries of state for %d open rows", seed, step, got, open)
			}
		}
		lates += len(p.late.w)
	}
	if lates < 100 {
		t.Fatalf("%d rows were late", lates)
	}
}
