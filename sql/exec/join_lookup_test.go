package exec

import (
	"fmt"
	"math/rand"
	"testing"

	"github.com/streamsql/streamsql/sql/expr"
	"github.com/streamsql/streamsql/sql/plan"
	"github.com/streamsql/streamsql/sql/types"
)

// TestJoinLookup compares lookup joins with a model that keeps what each left row
// was joined with when it came.
func TestJoinLookup(t *testing.T) {
	for _, kind := range []plan.JoinKind{plan.Inner, plan.Left} {
		for _, keys := range []bool{true, false} {
			for _, appendOnly := range []bool{true, false} {
				t.Run(fmt.Sprint(kind, keys, appendOnly), func(t *testing.T) {
					for seed := range int64(4) {
						testJoinLookup(t, kind, keys, appendOnly, seed)
					}
				})
			}
		}
	}
}

func testJoinLookup(t *testing.T, kind plan.JoinKind, keys, appendOnly bool, seed int64) {
	defer func(n int) { spillTail = n }(spillTail)
	spillTail = 60
	rng := rand.New(rand.NewSource(seed))
	n := timeJoin(kind, keys, [2]bool{true, true})
	n.AsOf = &plan.AsOf{Kind: "proc", LeftTime: -1, RightTime: -1}
	n.Time = 2
	n.Inputs[0].AppendOnly = appendOnly
	p := newPipeline(t, n, &expr.Env{})
	encoded := func(row []types.Datum) string {
		var k []byte
		for i, d := range row {
			k = types.AppendKey(k, n.Inputs[0].Out[i].Type, d, false)
		}
		return string(k)
	}
	right := newZset()
	want := newZset()
	made := map[string][]*zset{} // of each copy of a left row, what it was joined with
	left := [][]types.Datum{}
	wm := int64(NoWatermark)
	for step := range 60 {
		undo := rng.Intn(6) == 0
		cs := make([][]change, 2)
		for range rng.Intn(6) {
			ch := change{timedRow(rng, 1, int64(rng.Intn(5))), 1 + int64(rng.Intn(2))}
			if len(right.w) > 0 && rng.Intn(2) == 0 {
				k := rng.Intn(len(right.w))
				right.each(func(row []types.Datum, w int64) {
					if k--; k == -1 {
						ch = change{row, -w}
					}
				})
			}
			cs[1] = append(cs[1], ch)
			if !undo {
				right.add(n.Inputs[1].Out, ch.row, ch.w)
			}
		}
		net := newZset()
		taken := map[int]bool{}
		for range rng.Intn(6) {
			ch := change{timedRow(rng, 0, int64(rng.Intn(2))), 1 + int64(rng.Intn(2))}
			if !appendOnly && len(left) > 0 && rng.Intn(2) == 0 {
				k := rng.Intn(len(left))
				if taken[k] {
					continue
				}
				taken[k] = true
				ch = change{left[k], -1}
			}
			cs[0] = append(cs[0], ch)
			net.add(n.Inputs[0].Out, ch.row, ch.w)
		}
		rng.Shuffle(len(cs[0]), func(i, j int) { cs[0][i], cs[0][j] = cs[0][j], cs[0][i] })
		if !undo {
			net.each(func(row []types.Datum, w int64) {
				k := encoded(row)
				for ; w > 0; w-- {
					z := pairModel(n, [2]*zset{one(n.Inputs[0].Out, row), right}, func(l, r []types.Datum) bool {
						return !keys || !l[0].Null && !r[2].Null && string(l[0].S) == string(r[2].S)
					})
					made[k] = append(made[k], z)
					z.each(func(row []types.Datum, w int64) { want.add(n.Out, row, w) })
					left = append(left, row)
				}
				for ; w < 0; w++ {
					last := len(made[k]) - 1
					made[k][last].each(func(row []types.Datum, w int64) { want.add(n.Out, row, -w) })
					made[k] = made[k][:last]
					for i := range left {
						if encoded(left[i]) == k {
							left = append(left[:i], left[i+1:]...)
							break
						}
					}
				}
			})
		}
		p.stepAll(rng, cs, []int64{int64(step), NoWatermark}, undo)
		if undo {
			continue
		}
		wm = int64(step)
		if s := diff(n.Out, p.out, want); s != "" {
			t.Fatalf("seed %d, step %d:\n%s", seed, step, s)
		}
		if p.d.Watermark() != wm {
			t.Fatalf("watermark %d, want %d", p.d.Watermark(), wm)
		}
		if rng.Intn(8) == 0 {
			p.restart(1 + rng.Intn(4))
		}
	}
}

func one(cols []plan.Column, row []types.Datum) *zset {
	z := newZset()
	z.add(cols, row, 1)
	return z
}
