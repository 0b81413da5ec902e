package exec

import (
	"math/rand"
	"testing"

	"github.com/streamsql/streamsql/sql/expr"
	"github.com/streamsql/streamsql/sql/plan"
	"github.com/streamsql/streamsql/sql/types"
)

// TestDistinctClose: the watermark drops rows of a time, as it does groups; what
// was emitted of them stays.
func TestDistinctClose(t *testing.T) {
	for seed := range int64(12) {
		cols := []plan.Column{column("k", types.Int8), column("ts", types.Timestamptz)}
		if seed%2 == 1 {
			cols[0].Type = types.Of(types.Numeric) // equal values differ in form
		}
		in := scanOf(1, cols...)
		in.Time, in.TimeEnd = 2, seed%4 < 2
		x := exchangeOf(2, in, 0, 1)
		x.Time, x.TimeEnd = in.Time, in.TimeEnd
		n := &plan.Node{ID: 3, Op: plan.Distinct, Inputs: []*plan.Node{x}, Out: cols, Time: 2, TimeEnd: in.TimeEnd}
		rng := rand.New(rand.NewSource(seed))
		p := newPipeline(t, n, &expr.Env{})
		all, late := newZset(), newZset()
		wm := int64(NoWatermark)
		closed := func(row []types.Datum) bool {
			return !row[1].Null && wm != NoWatermark && (in.TimeEnd && wm >= row[1].I || wm > row[1].I)
		}
		for step := range 40 {
			var cs []change
			now := int64(step)
			for range rng.Intn(12) {
				k := intD(rng.Int63n(3))
				if seed%2 == 1 {
					k = numD([]string{"1", "1.0", "2"}[rng.Intn(3)])
				}
				cs = append(cs, change{[]types.Datum{maybeNull(rng, k), maybeNull(rng, intD(now+rng.Int63n(5)-2))}, 1 + rng.Int63n(2)})
			}
			all.each(func(row []types.Datum, w int64) {
				if rng.Intn(5) == 0 {
					cs = append(cs, change{row, -1})
				}
			})
			next := max(wm, now-rng.Int63n(3))
			undo := rng.Intn(4) == 0
			if err := p.step(rng, cs, next, undo); err != nil {
				t.Fatal(err)
			}
			if !undo {
				for _, c := range cs {
					if closed(c.row) {
						late.add(cols, c.row, c.w)
					} else {
						all.add(cols, c.row, c.w)
					}
				}
				wm = next
			}
			if rng.Intn(6) == 0 {
				p.restart(1 + rng.Intn(4))
			}
			want, seen, open := newZset(), map[string]bool{}, 0
			all.each(func(row []types.Datum, _ int64) { // the least form first
				if !closed(row) {
					open++
				}
				var k []byte
				for c, d := range row {
					k = types.AppendEq(k, cols[c].Type, d)
				}
				if !seen[string(k)] {
					seen[string(k)] = true
					want.add(cols, row, 1)
				}
			})
			if s := diff(cols, p.out, want); s != "" {
				t.Fatalf("seed %d, step %d:\n%s", seed, step, s)
			}
			if s := diff(cols, p.late, late); s != "" {
				t.Fatalf("seed %d, step %d: late:\n%s", seed, step, s)
			}
			if got := p.rows(); got > 2*open {
				t.Fatalf("seed %d, step %d: %d entries of state for %d open rows", seed, step, got, open)
			}
		}
	}
}
