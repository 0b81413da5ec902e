package exec

import (
	"math/rand"
	"testing"

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
		c := newClosing(t, n, in)
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
			c.all.each(func(row []types.Datum, w int64) {
				if rng.Intn(5) == 0 {
					cs = append(cs, change{row, -1})
				}
			})
			c.step(rng, cs, now)
			if rng.Intn(6) == 0 {
				c.p.restart(1 + rng.Intn(4))
			}
			want, seen, open := newZset(), map[string]bool{}, c.open()
			c.all.each(func(row []types.Datum, _ int64) { // the least form first
				var k []byte
				for c, d := range row {
					k = types.AppendEq(k, cols[c].Type, d)
				}
				if !seen[string(k)] {
					seen[string(k)] = true
					want.add(cols, row, 1)
				}
			})
			if s := diff(cols, c.p.out, want); s != "" {
				t.Fatalf("seed %d, step %d:\n%s", seed, step, s)
			}
			if s := diff(cols, c.p.late, c.late); s != "" {
				t.Fatalf("seed %d, step %d: late:\n%s", seed, step, s)
			}
			if got := c.p.rows(); got > 2*open {
				t.Fatalf("seed %d, step %d: %d entries of state for %d open rows", seed, step, got, open)
			}
		}
	}
}
