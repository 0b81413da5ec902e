package exec

import (
	"math/rand"
	"testing"

	"github.com/streamsql/streamsql/sql/delta"
	"github.com/streamsql/streamsql/sql/expr"
	"github.com/streamsql/streamsql/sql/plan"
	"github.com/streamsql/streamsql/sql/types"
)

// TestMapKeep has a volatile column and a volatile filter: each row gets its
// value once, and when all rows are gone nothing is left.
func TestMapKeep(t *testing.T) {
	for _, filtered := range []bool{false, true} {
		for _, workers := range []int{1, 3} {
			for seed := range int64(5) {
				testMapKeep(t, filtered, workers, seed)
			}
		}
	}
}

func testMapKeep(t *testing.T, filtered bool, workers int, seed int64) {
	cols := []plan.Column{column("a", types.Int8), column("n", types.Numeric)}
	scan := scanOf(1, cols...)
	random := callExpr("random()", types.Float8)
	root := &plan.Node{ID: 3, Op: plan.Map, Keep: true, Inputs: []*plan.Node{exchangeOf(2, scan, 0, 1)},
		Exprs: []*expr.Expr{colExpr(scan, 0), colExpr(scan, 1), random}, Out: append(cols[:2:2], column("r", types.Float8))}
	if filtered {
		root.Filter = callExpr("<(double precision,double precision)", types.Bool, random,
			&expr.Expr{Kind: expr.Const, Type: types.Of(types.Float8), Value: types.Datum{F: 0.5}})
	}
	d, out := collect(t, root, workers, false)
	rng := rand.New(rand.NewSource(seed))
	ctx := &expr.Context{Random: rand.New(rand.NewSource(1)).Float64}
	in := newZset()
	step := func(cs []change, end func()) {
		t.Helper()
		rng.Shuffle(len(cs), func(i, j int) { cs[i], cs[j] = cs[j], cs[i] })
		d.Begin(ctx)
		for _, b := range batches(rng, cols, cs) {
			if err := d.Push(scan, b); err != nil {
				t.Fatal(err)
			}
		}
		if err := d.Finish(); err != nil {
			t.Fatal(err)
		}
		end()
	}
	seen := map[float64]bool{}
	for range 20 {
		before := *newZset()
		out.each(func(row []types.Datum, w int64) { before.add(root.Out, row, w) })
		step([]change{{numericRow(rng, 0), 1}, {numericRow(rng, 0), 3}}, d.Rollback)
		*out = before

		var cs []change
		in.each(func(row []types.Datum, w int64) {
			if rng.Intn(3) == 0 {
				cs = append(cs, change{row, -1 - rng.Int63n(w)})
			}
		})
		for range rng.Intn(10) {
			cs = append(cs, change{numericRow(rng, 0), 1 + int64(rng.Intn(3))})
		}
		for _, c := range cs {
			in.add(cols, c.row, c.w)
		}
		old := map[string]int64{}
		for k, w := range out.w {
			old[k] = w
		}
		step(cs, d.Commit)
		bare := newZset()
		out.each(func(row []types.Datum, w int64) {
			var k []byte
			for c, v := range row {
				k = types.AppendKey(k, root.Out[c].Type, v, false)
			}
			if w != 1 || seen[row[2].F] != (old[string(k)] == 1) {
				t.Fatalf("weight %d of %s, there before: %v", w, rowString(root.Out, row), seen[row[2].F])
			}
			if filtered && row[2].F == 0 {
				t.Fatal("no value")
			}
			seen[row[2].F] = true
			bare.add(cols, row[:2], w)
		})
		if s := diff(cols, bare, in); !filtered && s != "" {
			t.Fatal(s)
		}
	}
	if filtered && len(out.w) == 0 {
		t.Fatal("all rows were dropped")
	}
	var cs []change
	in.each(func(row []types.Datum, w int64) { cs = append(cs, change{row, -w}) })
	step(cs, d.Commit)
	if len(out.w) != 0 {
		t.Fatalf("%d rows are left", len(out.w))
	}
	for _, s := range d.Stats() {
		if s.StateRows != 0 {
			t.Fatalf("%d entries of state are left", s.StateRows)
		}
	}
	// A row that was never there.
	d.Begin(ctx)
	err := d.Push(scan, &delta.Batch{N: 1, W: []int64{-1}, Cols: batches(rng, cols, []change{{numericRow(rng, 0), 1}})[0].Cols})
	if err == nil {
		err = d.Finish()
	}
	if err == nil {
		t.Fatal("no error")
	}
}
