package exec

import (
	"fmt"
	"math/rand"
	"slices"
	"testing"

	"github.com/streamsql/streamsql/sql/expr"
	"github.com/streamsql/streamsql/sql/plan"
	"github.com/streamsql/streamsql/sql/types"
	"github.com/streamsql/streamsql/state"
)

// TestSessionFuse: an aggregate of sessions over rows that only come merges the
// states of sessions, keeps no rows, and has the answer over all rows that were
// not late, early or final.
func TestSessionFuse(t *testing.T) {
	lates := 0
	for seed := range int64(24) {
		gap := 1 + seed%4
		keyed, final, filtered := seed%3 != 0, seed%2 == 1, seed%8 >= 6
		w := sessionPlan(gap, keyed)
		w.ID, w.Inputs[0].ID = 7, 8
		w.Inputs[0].AppendOnly, w.Inputs[0].Inputs[0].AppendOnly = true, true
		in := w.Inputs[0].Out
		// (end, v, k, start)
		m := &plan.Node{ID: 6, Op: plan.Map, Inputs: []*plan.Node{w}, Time: 1, TimeEnd: true}
		for _, c := range []int{4, 2, 0, 3} {
			m.Exprs, m.Out = append(m.Exprs, colExpr(w, c)), append(m.Out, w.Out[c])
		}
		if filtered {
			m.Filter = callExpr("=(text,text)", types.Bool, colExpr(w, 2), &expr.Expr{Kind: expr.Const, Type: types.Of(types.Text), Value: textD("a"), Pos: -1})
		}
		keys := []int{3, 0}
		if keyed {
			keys = []int{3, 2, 0}
		}
		n := aggNode(m, keys, aggCall("count()", types.Int8), aggCall("min(text)", types.Text, 1), aggCall("max(numeric)", types.Numeric, 2))
		n.Final, n.AppendOnly, n.Time, n.TimeEnd = final, final, len(keys), true
		rng := rand.New(rand.NewSource(seed))
		p := newPipeline(t, n, &expr.Env{})
		for _, x := range p.d.workers[0].insts {
			if s, ok := x.op.(*session); ok && s.agg == nil {
				t.Fatal("it is not fused")
			}
		}
		all := newZset()
		wm := int64(NoWatermark)
		for step := range 50 {
			var cs []change
			for range rng.Intn(6) {
				row := sessionRow(rng, 0)
				if !row[1].Null {
					row[1] = intD(int64(step) + rng.Int63n(3) - rng.Int63n(4+2*gap))
				}
				cs = append(cs, change{row, 1 + rng.Int63n(2)})
			}
			next := max(wm, int64(step)-4)
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
			switch rng.Intn(8) {
			case 0:
				p.restart(1 + rng.Intn(4))
			case 1:
				p.states.checkpoint()
				p.states.each(func(t state.Table) { t.Evict(1 << 30) })
			}
			left := newZset()
			all.each(func(row []types.Datum, w int64) { left.add(in, row, w) })
			p.late.each(func(row []types.Datum, w int64) { left.add(in, row, -w) })
			type group struct {
				row     []types.Datum // k, start, end
				n       int64
				v, most types.Datum
			}
			groups, open := map[string]*group{}, map[string]bool{}
			sessionModel(w)([]*zset{left}).each(func(row []types.Datum, weight int64) {
				id := fmt.Sprint(row[3].I, row[4].I)
				if keyed {
					id += string(types.AppendEq(nil, in[0].Type, row[0]))
				}
				if row[4].I >= wm {
					open[id] = true
				}
				if filtered && string(row[2].S) != "a" || final && row[4].I >= wm {
					return
				}
				g := groups[id]
				if g == nil { // the least form of k comes first
					g = &group{row: []types.Datum{row[0], row[3], row[4]}, v: row[2], most: types.NullDatum}
					groups[id] = g
				}
				g.n += weight
				if string(row[2].S) < string(g.v.S) {
					g.v = row[2]
				}
				key := func(d types.Datum) string { return string(types.AppendKey(nil, in[0].Type, d, false)) }
				if !row[0].Null && (g.most.Null || key(row[0]) > key(g.most)) {
					g.most = row[0]
				}
			})
			want := newZset()
			for _, g := range groups {
				row := []types.Datum{g.row[1], g.row[0], g.row[2], intD(g.n), g.v, g.most}
				if !keyed {
					row = slices.Delete(row, 1, 2)
				}
				want.add(n.Out, row, 1)
			}
			if s := diff(n.Out, p.out, want); s != "" {
				t.Fatalf("seed %d, gap %d, step %d, watermark %d:\n%s", seed, gap, step, wm, s)
			}
			if got := p.rows(); got > 6*(len(open)+4) {
				t.Fatalf("seed %d, step %d: %d entries of state for %d sessions", seed, step, got, len(open))
			}
		}
		lates += len(p.late.w)
	}
	if lates < 30 {
		t.Fatalf("%d rows were late", lates)
	}
}
