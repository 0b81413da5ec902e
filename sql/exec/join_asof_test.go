package exec

import (
	"fmt"
	"math/rand"
	"sort"
	"testing"

	"github.com/streamsql/streamsql/sql/expr"
	"github.com/streamsql/streamsql/sql/plan"
	"github.com/streamsql/streamsql/sql/types"
)

// asOfCase is an ASOF join of timeJoin's inputs.
type asOfCase struct {
	kind         plan.JoinKind
	keys         bool
	strict, next bool
	timed        [2]bool
}

func (c asOfCase) plan() *plan.Node {
	n := timeJoin(c.kind, c.keys, c.timed)
	n.AsOf = &plan.AsOf{Kind: "asof", LeftTime: 1, RightTime: 0, Strict: c.strict, Next: c.next}
	if !c.next && c.timed[0] {
		n.Time = 2
	}
	return n
}

// holds tells whether a right row may be what a left row is joined with.
func (c asOfCase) holds(l, r []types.Datum) bool {
	switch {
	case l[1].Null || r[0].Null:
		return false
	case c.keys && (l[0].Null || r[2].Null || string(l[0].S) != string(r[2].S)):
		return false
	case c.next && c.strict:
		return r[0].I > l[1].I
	case c.next:
		return r[0].I >= l[1].I
	case c.strict:
		return r[0].I < l[1].I
	}
	return r[0].I <= l[1].I
}

// model picks for each left row the one right row.
func (c asOfCase) model(n *plan.Node, in [2]*zset) *zset {
	out := newZset()
	rows := []string{}
	in[1].each(func(r []types.Datum, w int64) {
		if w > 0 {
			var k []byte
			for i, d := range r {
				k = types.AppendKey(k, n.Inputs[1].Out[i].Type, d, false)
			}
			rows = append(rows, string(k))
		}
	})
	sort.Strings(rows)
	in[0].each(func(l []types.Datum, lw int64) {
		var best []types.Datum
		for _, k := range rows {
			r := in[1].rows[k]
			if !c.holds(l, r) {
				continue
			}
			// In the order of all columns, the time being the first.
			if best == nil || !c.next || r[0].I == best[0].I {
				best = r
			}
		}
		if best != nil {
			out.add(n.Out, append(append([]types.Datum{}, l...), best...), lw)
		} else if c.kind == plan.Left {
			out.add(n.Out, append(append([]types.Datum{}, l...), types.NullDatum, types.NullDatum, types.NullDatum), lw)
		}
	})
	return out
}

func TestJoinAsOf(t *testing.T) {
	defer func(n int) { sweepMin = n }(sweepMin)
	sweepMin = 5
	for _, kind := range []plan.JoinKind{plan.Inner, plan.Left} {
		for _, keys := range []bool{true, false} {
			for i := range 4 {
				for _, timed := range [][2]bool{{}, {true, true}, {true, false}, {false, true}} {
					c := asOfCase{kind, keys, i&1 != 0, i&2 != 0, timed}
					t.Run(fmt.Sprint(c), func(t *testing.T) {
						for seed := range int64(2) {
							c.run(t, seed)
						}
					})
				}
			}
		}
	}
}

func (c asOfCase) late(s int, t types.Datum, wm []int64) bool {
	return c.timed[1] && c.timed[s] && !t.Null && t.I < wm[s]
}

func (c asOfCase) run(t *testing.T, seed int64) {
	rng := rand.New(rand.NewSource(seed))
	n := c.plan()
	p := newPipeline(t, n, &expr.Env{})
	in := [2]*zset{newZset(), newZset()}
	wm := []int64{NoWatermark, NoWatermark}
	lateRows, outWM := 0, int64(NoWatermark)
	var lates zset = *newZset()
	for step := range 50 {
		now := int64(step * 4)
		undo := rng.Intn(6) == 0
		cs := make([][]change, 2)
		next := append([]int64{}, wm...)
		for s := range cs {
			for range rng.Intn(8) {
				ch := change{timedRow(rng, s, now+int64(rng.Intn(30))-20), 1 + int64(rng.Intn(5)/4)}
				if len(in[s].w) > 0 && rng.Intn(3) == 0 {
					k := rng.Intn(len(in[s].w))
					in[s].each(func(row []types.Datum, w int64) {
						if k--; k == -1 {
							ch = change{row, -w}
						}
					})
				}
				cs[s] = append(cs[s], ch)
				switch {
				case undo:
				case c.late(s, ch.row[timeOf[s]], wm):
					lates.add(n.Inputs[s].Out, ch.row, ch.w)
					lateRows++
				default:
					in[s].add(n.Inputs[s].Out, ch.row, ch.w)
				}
			}
			if c.timed[s] && rng.Intn(3) > 0 {
				next[s] = max(next[s], now-int64(rng.Intn(30)))
			}
			rng.Shuffle(len(cs[s]), func(i, j int) { cs[s][i], cs[s][j] = cs[s][j], cs[s][i] })
		}
		before := newZset()
		p.out.each(func(row []types.Datum, w int64) { before.add(n.Out, row, w) })
		p.stepAll(rng, cs, next, undo)
		if undo {
			continue
		}
		wm = next
		if s := diff(n.Out, p.out, c.model(n, in)); s != "" {
			t.Fatalf("seed %d, step %d:\n%s", seed, step, s)
		}
		if tc := n.TimeCol(); tc >= 0 && c.timed[1] {
			check := func(row []types.Datum, _ int64) {
				var k []byte
				for i, d := range row {
					k = types.AppendKey(k, n.Out[i].Type, d, false)
				}
				if !row[tc].Null && row[tc].I < outWM && p.out.w[string(k)] != before.w[string(k)] {
					t.Fatalf("seed %d, step %d: a change at %d below the watermark %d", seed, step, row[tc].I, outWM)
				}
			}
			p.out.each(check)
			before.each(check)
		}
		outWM = p.d.Watermark()
		if rng.Intn(8) == 0 {
			p.restart(1 + rng.Intn(4))
		}
	}
	got, want := int64(0), int64(0)
	p.late.each(func(_ []types.Datum, w int64) { got += max(w, -w) })
	lates.each(func(_ []types.Datum, w int64) { want += max(w, -w) })
	if got != want {
		t.Fatalf("late rows of a weight of %d, want %d", got, want)
	}
	// Once over the whole input.
	trial{root: n, model: func(in []*zset) *zset { return c.model(n, [2]*zset{in[0], in[1]}) }}.batch(t, rng, 3, in[:])
}
