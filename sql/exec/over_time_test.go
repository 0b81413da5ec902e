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

// overTimePlan is window functions over aggInput in the order of column 10, the
// time.
func overTimePlan(keys []int, order []plan.Order, calls ...plan.AggCall) *plan.Node {
	cols := slices.Clone(aggInput)
	cols[10].Type = types.Of(types.Timestamptz)
	in := scanOf(1, cols...)
	in.Time, in.AppendOnly = 11, true
	x := exchangeOf(2, in, keys...)
	x.Time, x.AppendOnly = 11, true
	n := &plan.Node{ID: 3, Op: plan.Over, Inputs: []*plan.Node{x}, Keys: keys, Order: order, Out: slices.Clone(cols), Time: 11, Aggs: calls}
	for _, c := range calls {
		n.Out = append(n.Out, plan.Column{Name: c.Fn, Type: c.Type})
	}
	return n
}

// TestOverTime: functions that look back in event time have the answers they have
// over all rows that were not late, and keep no more than their frames reach.
func TestOverTime(t *testing.T) {
	b := func(v int64) *int64 { return &v }
	framed := func(f *plan.Frame, calls ...plan.AggCall) []plan.AggCall {
		calls = slices.Clone(calls)
		for i := range calls {
			calls[i].Frame = f
		}
		return calls
	}
	some := []plan.AggCall{aggCall("count()", types.Int8), aggCall("sum(integer)", types.Int8, 2), aggCall("max(text)", types.Text, 7), aggCall("min(bigint)", types.Int8, 3),
		withFilter(aggCall("avg(numeric)", types.Numeric, 4)), aggCall("sum(real)", types.Float4, 6), aggCall("first_value", types.Text, 7), aggCall("last_value", types.Int4, 2)}
	for i, c := range []struct {
		calls []plan.AggCall
		keep  int64 // rows a partition keeps of those that are final, or
		reach int64 // µs
		all   bool  // it is not bounded
	}{
		{calls: framed(nil, some...)},
		{calls: framed(&plan.Frame{Unit: "rows", Start: b(-2), End: b(0)}, some...), keep: 2},
		{calls: framed(&plan.Frame{Unit: "rows", Start: b(-4), End: b(-1)}, some...), keep: 4},
		{calls: framed(&plan.Frame{Unit: "range", Start: b(-3), End: b(0)}, some...), reach: 3},
		{calls: framed(&plan.Frame{Unit: "range", Start: b(-5), End: b(-2)}, some...), reach: 5},
		{calls: framed(&plan.Frame{Unit: "groups", Start: b(-1), End: b(0)}, some...), keep: 12},
		{calls: framed(&plan.Frame{Unit: "rows", End: b(0)}, some...)},
		{calls: []plan.AggCall{aggCall("row_number", types.Int8), aggCall("rank", types.Int8), aggCall("dense_rank", types.Int8), aggCall("lag", types.Text, 7)}, keep: 1},
		{calls: append(framed(nil, some[0], some[4]), framed(&plan.Frame{Unit: "range", Start: b(-2), End: b(0)}, some[1], some[6])...), reach: 2},
		{calls: framed(&plan.Frame{Unit: "rows", Start: b(-2), End: b(1)}, some...), all: true},
		{calls: []plan.AggCall{aggCall("lead", types.Text, 7)}, all: true},
		{calls: framed(nil, aggCall("string_agg(text,text)", types.Text, 7, 1)), all: true},
		{calls: framed(nil, distinctly(aggCall("count(any)", types.Int8, 2))), all: true},
	} {
		for _, keys := range [][]int{nil, {1}} {
			t.Run(fmt.Sprint(i, keys), func(t *testing.T) {
				order := []plan.Order{{Col: 10}}
				if i%2 == 1 && c.reach == 0 {
					order = append(order, plan.Order{Col: 0, Desc: true})
				}
				n := overTimePlan(keys, order, c.calls...)
				rng := rand.New(rand.NewSource(int64(i)))
				p := newPipeline(t, n, &expr.Env{})
				for _, x := range p.d.workers[0].insts {
					if o, ok := x.op.(*over); ok && o.time.on == c.all {
						t.Fatalf("bounded: %v", o.time.on)
					}
				}
				in, late := newZset(), newZset()
				wm := int64(NoWatermark)
				for step := range 16 {
					var cs []change
					now := int64(step)
					for range rng.Intn(6) {
						row := aggRow(rng, 0)
						row[5].F = 0
						if rng.Intn(100) > 0 {
							row[10] = intD(now + rng.Int63n(5) - 3)
							if rng.Intn(12) == 0 {
								row[10].I -= 5
							}
						}
						cs = append(cs, change{row, 1 + rng.Int63n(2)})
					}
					next := max(wm, now-rng.Int63n(5))
					undo := rng.Intn(5) == 0
					if err := p.step(rng, cs, next, undo); err != nil {
						t.Fatal(err)
					}
					if !undo {
						for _, ch := range cs {
							if !c.all && !ch.row[10].Null && ch.row[10].I < wm {
								late.add(aggInput, ch.row, ch.w)
							} else {
								in.add(aggInput, ch.row, ch.w)
							}
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
					if s := diff(n.Out, p.out, overModel(n)([]*zset{in})); s != "" {
						t.Fatalf("step %d, watermark %d:\n%s", step, wm, s)
					}
					if s := diff(aggInput, p.late, late); s != "" {
						t.Fatalf("step %d: late:\n%s", step, s)
					}
				}
				if c.all {
					return
				}
				if err := p.step(rng, nil, 1000, false); err != nil {
					t.Fatal(err)
				}
				// What is left: rows without a time, the tail, and two entries a partition.
				timeless := 0
				in.each(func(row []types.Datum, _ int64) {
					if row[10].Null {
						timeless++
					}
				})
				if got := p.rows(); got > timeless+2*int(c.keep+2) {
					t.Fatalf("%d entries of state are left", got)
				}
			})
		}
	}
}

// TestNumberedTime: so is the number of a row among those of its key.
func TestNumberedTime(t *testing.T) {
	for i, rank := range []string{"row_number", "rank", "dense_rank"} {
		n := overTimePlan([]int{1}, []plan.Order{{Col: 10}}, aggCall(rank, types.Int8))
		n.Op, n.Rank, n.Limit, n.Aggs, n.Time = plan.TopN, rank, -1, nil, 0
		model := *n
		model.Aggs = []plan.AggCall{aggCall(rank, types.Int8)}
		rng := rand.New(rand.NewSource(int64(i)))
		p := newPipeline(t, n, &expr.Env{})
		in := newZset()
		for step := range int64(30) {
			var cs []change
			for range rng.Intn(8) {
				row := aggRow(rng, 0)
				row[10] = intD(step + rng.Int63n(4))
				cs = append(cs, change{row, 1})
				in.add(aggInput, row, 1)
			}
			if err := p.step(rng, cs, step, false); err != nil {
				t.Fatal(err)
			}
			if s := diff(n.Out, p.out, overModel(&model)([]*zset{in})); s != "" {
				t.Fatalf("%s, step %d:\n%s", rank, step, s)
			}
			if got := p.rows(); got > 50 {
				t.Fatalf("%d entries of state", got)
			}
		}
	}
}
