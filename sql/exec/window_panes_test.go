package exec

import (
	"fmt"
	"math/big"
	"math/rand"
	"testing"

	"github.com/streamsql/streamsql/sql/delta"
	"github.com/streamsql/streamsql/sql/expr"
	"github.com/streamsql/streamsql/sql/plan"
	"github.com/streamsql/streamsql/sql/types"
)

// TestPanes: rows that are added up before their windows give the same
// aggregates as rows that are not: a second map keeps them from it.
func TestPanes(t *testing.T) {
	cols := []plan.Column{column("k", types.Int8), column("f", types.Float8), column("ts", types.Timestamptz), column("s", types.Text), column("n", types.Numeric)}
	ends := []plan.Column{column("window_start", types.Timestamptz), column("window_end", types.Timestamptz), column("window_time", types.Timestamptz)}
	for _, spec := range []plan.WindowSpec{
		{Kind: "hop", Size: 12, Slide: 4, Offset: 1},
		{Kind: "hop", Size: 10, Slide: 4}, // panes are not whole
		{Kind: "cumulate", Size: 12, Slide: 3, Offset: -5},
		{Kind: "tumble", Size: 8},
	} {
		spec.TimeCol = 2
		for _, read := range [][]int{{0}, {0, 1}, {0, 3}, {0, 1, 3, 4}, {0, 2}} {
			build := func(maps int) *plan.Node {
				n := &plan.Node{ID: 10, Op: plan.Window, Inputs: []*plan.Node{scanOf(9, cols...)}, Window: &spec,
					Out: append(append([]plan.Column{}, cols...), ends...)}
				at := append(append([]int{}, read...), 5, 6)
				for range maps {
					m := &plan.Node{ID: n.ID + 1, Op: plan.Map, Inputs: []*plan.Node{n}}
					for k, c := range at {
						m.Exprs = append(m.Exprs, colExpr(n, c))
						m.Out = append(m.Out, n.Out[c])
						at[k] = k
					}
					n = m
				}
				// The first column and the window are the keys; the others are counted.
				calls := []plan.AggCall{aggCall("count()", types.Int8)}
				for k := 1; k < len(read); k++ {
					calls = append(calls, distinctly(aggCall("count(any)", types.Int8, k)), aggCall("count(any)", types.Int8, k))
				}
				return aggNode(n, []int{0, len(read), len(read) + 1}, calls...)
			}
			added, plain := build(1), build(2)
			for seed := range int64(3) {
				name := fmt.Sprintf("%v, columns %v, seed %d", spec, read, seed)
				rng := rand.New(rand.NewSource(seed))
				da, oa := collect(t, added, 1+int(seed)%2, false)
				dp, op := collect(t, plain, 1, false)
				want := spec.Kind != "tumble" && spec.Size%spec.Slide == 0 && read[len(read)-1] != 2
				for _, x := range da.workers[0].insts {
					if w, ok := x.op.(*window); ok && (w.panes != nil) != want {
						t.Fatalf("%s: rows are added up: %v", name, w.panes != nil)
					}
				}
				in := newZset()
				for step := range 8 {
					var cs []change
					for range rng.Intn(60) {
						cs = append(cs, change{[]types.Datum{maybeNull(rng, intD(rng.Int63n(2))), maybeNull(rng, types.Datum{F: float64(rng.Intn(2))}),
							maybeNull(rng, intD(rng.Int63n(20)-10)), maybeNull(rng, textD([]string{"", "a"}[rng.Intn(2)])),
							{S: types.NumericOf(big.NewInt(rng.Int63n(2)), 0)}}, 1 + rng.Int63n(2)})
					}
					in.each(func(row []types.Datum, w int64) {
						if rng.Intn(4) == 0 {
							cs = append(cs, change{row, -w})
						}
					})
					for _, c := range cs {
						in.add(cols, c.row, c.w)
					}
					bs := batches(rng, cols, cs)
					for _, d := range []*Dataflow{da, dp} {
						d.Begin(&expr.Context{})
						for _, b := range bs {
							if err := d.Push(d.Scans()[0], b); err != nil {
								t.Fatal(err)
							}
						}
						if err := d.Finish(); err != nil {
							t.Fatal(err)
						}
						d.Commit()
					}
					if s := diff(added.Out, oa, op); s != "" {
						t.Fatalf("%s, step %d:\n%s", name, step, s)
					}
				}
			}
		}
	}
}

// TestPanesPay: where no two rows are alike they are left as they are, for a
// while.
func TestPanesPay(t *testing.T) {
	p := &panes{spec: plan.WindowSpec{Kind: "hop", Size: 10, Slide: 5}, cols: []int{0}}
	cols := []plan.Column{column("k", types.Int8), column("ts", types.Timestamptz)}
	p.spec.TimeCol = 1
	b := func(kinds int) *delta.Batch {
		b := &delta.Batch{N: 1000, Cols: newCols(cols, 1000)}
		for i := range b.N {
			b.Cols[0].AppendInt(int64(i % kinds))
			b.Cols[1].AppendInt(3)
		}
		return b
	}
	if !p.add(b(10)) || len(p.rows) != 10 || p.w[3] != 100 || !p.add(b(1000)) || len(p.rows) != 1000 {
		t.Fatalf("%d rows", len(p.rows))
	}
	for range panesRest {
		if p.add(b(10)) {
			t.Fatal("it tries again too early")
		}
	}
	if !p.add(b(10)) {
		t.Fatal("it does not try again")
	}
}
