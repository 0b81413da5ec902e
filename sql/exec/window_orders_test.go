package exec

import (
	"fmt"
	"math/rand"
	"slices"
	"testing"

	"github.com/streamsql/streamsql/sql/expr"
	"github.com/streamsql/streamsql/sql/plan"
	"github.com/streamsql/streamsql/sql/types"
)

var orderCols = []plan.Column{column("k", types.Int8), column("v", types.Int8), column("ts", types.Timestamptz)}

// windowed is count, sum and max by key and window over orderCols.
func windowed(spec plan.WindowSpec, grows, final bool) *plan.Node {
	in := scanOf(1, orderCols...)
	in.Time, in.AppendOnly = 3, grows
	spec.TimeCol = 2
	w := &plan.Node{ID: 4, Op: plan.Window, Window: &spec, Inputs: []*plan.Node{in}, Out: append(slices.Clone(orderCols), windowEnds...), Time: 5, TimeEnd: true, AppendOnly: grows}
	if spec.Kind == "session" {
		x := exchangeOf(7, in, 0)
		x.Time, x.AppendOnly = 3, grows
		w.Inputs[0], w.Keys, w.AppendOnly = x, []int{0}, false
	}
	m := &plan.Node{ID: 5, Op: plan.Map, Inputs: []*plan.Node{w}, Time: 4, TimeEnd: true, AppendOnly: w.AppendOnly}
	for _, c := range []int{0, 1, 3, 4} {
		m.Exprs, m.Out = append(m.Exprs, colExpr(w, c)), append(m.Out, w.Out[c])
	}
	n := aggNode(m, []int{0, 2, 3}, aggCall("count()", types.Int8), aggCall("sum(bigint)", types.Numeric, 1), aggCall("max(bigint)", types.Int8, 1))
	n.Final, n.AppendOnly, n.Time, n.TimeEnd = final, final, 3, true
	return n
}

// windowedModel computes it plainly.
func windowedModel(n *plan.Node, spec *plan.WindowSpec, rows [][]types.Datum) *zset {
	type window struct{ k, from, end int64 }
	type answer struct{ n, sum, most int64 }
	got := map[window]answer{}
	add := func(w window, v int64) {
		a := got[w]
		if a.n == 0 || v > a.most {
			a.most = v
		}
		a.n++
		a.sum += v
		got[w] = a
	}
	rows = slices.Clone(rows)
	slices.SortFunc(rows, func(a, b []types.Datum) int { return int(a[2].I - b[2].I) })
	for i, r := range rows {
		if spec.Kind != "session" {
			for _, e := range windowsOf(spec, r[2].I) {
				from := e - spec.Size
				if spec.Kind == "cumulate" {
					from = floorTo(r[2].I, spec.Size, spec.Offset)
				}
				add(window{r[0].I, from, e}, r[1].I)
			}
			continue
		}
		from, last := r[2].I, r[2].I
		for j := i - 1; j >= 0 && from-rows[j][2].I <= spec.Size; j-- {
			if rows[j][0].I == r[0].I {
				from = rows[j][2].I
			}
		}
		for j := i + 1; j < len(rows) && rows[j][2].I-last <= spec.Size; j++ {
			if rows[j][0].I == r[0].I {
				last = rows[j][2].I
			}
		}
		add(window{r[0].I, from, last + spec.Size}, r[1].I)
	}
	out := newZset()
	for w, a := range got {
		out.add(n.Out, []types.Datum{intD(w.k), intD(w.from), intD(w.end), intD(a.n), numD(fmt.Sprint(a.sum)), intD(a.most)}, 1)
	}
	return out
}

// TestWindowOrders: 1,000 orders of arrival within the bound, in batches at random
// and with restarts, rows that are taken back among them: the same windows as a
// plain computation has, early and final, and nothing is late.
func TestWindowOrders(t *testing.T) {
	const bound = 10
	specs := []plan.WindowSpec{{Kind: "tumble", Size: 7, Offset: 2}, {Kind: "hop", Size: 12, Slide: 3}, {Kind: "cumulate", Size: 8, Slide: 2}, {Kind: "session", Size: 4}}
	for seed := range int64(1000) {
		rng := rand.New(rand.NewSource(seed))
		type arrival struct {
			at int64
			change
		}
		var input []arrival
		var rows [][]types.Datum
		grows := seed%2 == 0
		for range 25 {
			ts := rng.Int63n(60)
			row := []types.Datum{intD(rng.Int63n(2)), intD(rng.Int63n(9) - 4), intD(ts)}
			at := ts + rng.Int63n(bound+1)
			input = append(input, arrival{at, change{row, 1}})
			if !grows && rng.Intn(4) == 0 { // taken back before its window can be closed
				input = append(input, arrival{at + rng.Int63n(ts+bound-at+1), change{row, -1}})
			} else {
				rows = append(rows, row)
			}
		}
		// Sorting is stable: what is taken back has come.
		slices.SortStableFunc(input, func(a, b arrival) int { return int(a.at - b.at) })
		for i := range specs {
			final := (seed/2+int64(i))%2 == 0
			n := windowed(specs[i], grows, final)
			p := newPipeline(t, n, &expr.Env{})
			wm, most := int64(NoWatermark), int64(0)
			for rest := input; len(rest) > 0; {
				k := 1 + rng.Intn(min(len(rest), 15))
				var cs []change
				for _, a := range rest[:k] {
					cs = append(cs, a.change)
					most = max(most, a.row[2].I)
				}
				rest = rest[k:]
				rng.Shuffle(k, func(i, j int) { cs[i], cs[j] = cs[j], cs[i] })
				wm = max(wm, most-bound)
				if err := p.step(rng, cs, wm, false); err != nil {
					t.Fatal(err)
				}
				if rng.Intn(30) == 0 {
					p.restart(1 + rng.Intn(3))
				}
			}
			if err := p.step(rng, nil, 1<<62, false); err != nil {
				t.Fatal(err)
			}
			if s := diff(n.Out, p.out, windowedModel(n, &specs[i], rows)); s != "" {
				t.Fatalf("seed %d, %+v, final %v:\n%s", seed, specs[i], final, s)
			}
			if len(p.late.w) > 0 {
				t.Fatalf("seed %d, %+v, final %v: late: %v", seed, specs[i], final, p.late.rows)
			}
			if left := p.rows(); left > 0 {
				t.Fatalf("seed %d, %+v, final %v: %d entries of state are left", seed, specs[i], final, left)
			}
		}
	}
}
