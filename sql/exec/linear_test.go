package exec

import (
	"errors"
	"math/rand"
	"strings"
	"testing"

	"github.com/streamsql/streamsql/sql/delta"
	"github.com/streamsql/streamsql/sql/expr"
	"github.com/streamsql/streamsql/sql/plan"
	"github.com/streamsql/streamsql/sql/sqlerr"
	"github.com/streamsql/streamsql/sql/types"
)

func TestMap(t *testing.T) {
	scan := scanOf(1, column("a", types.Int8), column("b", types.Text), column("c", types.Int8))
	sum := callExpr("+(bigint,bigint)", types.Int8, colExpr(scan, 0), colExpr(scan, 2))
	root := &plan.Node{ID: 2, Op: plan.Map, Inputs: []*plan.Node{scan},
		Filter: less(colExpr(scan, 0), colExpr(scan, 2)),
		Exprs:  []*expr.Expr{colExpr(scan, 1), sum, constInt(7), colExpr(scan, 1)},
		Out:    []plan.Column{column("b", types.Text), column("s", types.Int8), column("k", types.Int8), column("b2", types.Text)}}
	model := func(in []*zset) *zset {
		out := newZset()
		in[0].each(func(r []types.Datum, w int64) {
			if !r[0].Null && !r[2].Null && r[0].I < r[2].I {
				out.add(root.Out, []types.Datum{r[1], intD(r[0].I + r[2].I), intD(7), r[1]}, w)
			}
		})
		return out
	}
	gen := func(rng *rand.Rand, _ int) []types.Datum {
		return []types.Datum{maybeNull(rng, intD(int64(rng.Intn(5)))), maybeNull(rng, textD("x")), maybeNull(rng, intD(int64(rng.Intn(5))))}
	}
	for seed := range int64(10) {
		trial{root: root, gen: gen, model: model}.run(t, seed)
	}
}

// TestMapError wants the error of a row with the row of the unfiltered input.
func TestMapError(t *testing.T) {
	scan := scanOf(1, column("a", types.Int8), column("b", types.Int8))
	root := &plan.Node{ID: 2, Op: plan.Map, Inputs: []*plan.Node{scan},
		Filter: less(colExpr(scan, 0), constInt(10)),
		Exprs:  []*expr.Expr{callExpr("/(bigint,bigint)", types.Int8, colExpr(scan, 0), colExpr(scan, 1))},
		Out:    []plan.Column{column("q", types.Int8)}}
	d, _ := collect(t, root, 1, false)
	b := &delta.Batch{N: 3, Cols: []*delta.Vec{
		{T: types.Of(types.Int8), N: 3, I: []int64{20, 1, 2}}, {T: types.Of(types.Int8), N: 3, I: []int64{0, 1, 0}}}}
	d.Begin(&expr.Context{})
	err := d.Push(scan, b)
	var re *RowError
	if !errors.As(err, &re) || re.Node != 2 || re.Row != "(a=2, b=0)" {
		t.Fatalf("%#v", err)
	}
	e := sqlerr.From(err)
	if e.Code != sqlerr.DivisionByZero || !strings.Contains(e.Detail, "(a=2, b=0)") {
		t.Fatalf("%+v", e)
	}
}

func TestValues(t *testing.T) {
	root := &plan.Node{ID: 1, Op: plan.Values, Out: []plan.Column{column("a", types.Int8)}}
	want := newZset()
	for i := range 10 {
		root.Cells = append(root.Cells, []*expr.Expr{callExpr("+(bigint,bigint)", types.Int8, constInt(int64(i)), constInt(1))})
		want.add(root.Out, []types.Datum{intD(int64(i + 1))}, 1)
	}
	for i := range 10_000 {
		row := []types.Datum{intD(int64(i % 7000))}
		root.Rows = append(root.Rows, row)
		want.add(root.Out, row, 1)
	}
	for _, workers := range []int{1, 3} {
		d, out := collect(t, root, workers, false)
		step := func(end func()) {
			t.Helper()
			d.Begin(nil)
			if err := d.Finish(); err != nil {
				t.Fatal(err)
			}
			end()
		}
		step(d.Rollback)
		if s := diff(root.Out, out, want); s != "" {
			t.Fatal(s)
		}
		// What was rolled back is delivered again, what was committed is not.
		*out = *newZset()
		step(d.Commit)
		step(d.Commit)
		if s := diff(root.Out, out, want); s != "" {
			t.Fatal(s)
		}
		d, out = collect(t, root, workers, false)
		d.Restore(map[int]int64{1: NoWatermark})
		step(d.Commit)
		if len(out.w) != 0 {
			t.Fatal("a restored dataflow delivered its constants again")
		}
	}
}

func TestWindow(t *testing.T) {
	cols := []plan.Column{column("v", types.Int8), column("ts", types.Timestamptz)}
	ends := []plan.Column{column("window_start", types.Timestamptz), column("window_end", types.Timestamptz), column("window_time", types.Timestamptz)}
	for _, spec := range []plan.WindowSpec{
		{Kind: "tumble", Size: 10},
		{Kind: "tumble", Size: 10, Offset: 3},
		{Kind: "tumble", Size: 10, Offset: -13},
		{Kind: "hop", Size: 10, Slide: 3},
		{Kind: "hop", Size: 10, Slide: 5, Offset: 2},
		{Kind: "hop", Size: 3, Slide: 10},
		{Kind: "cumulate", Size: 12, Slide: 4},
		{Kind: "cumulate", Size: 12, Slide: 4, Offset: 5},
	} {
		spec.TimeCol = 1
		root := &plan.Node{ID: 2, Op: plan.Window, Inputs: []*plan.Node{scanOf(1, cols...)}, Window: &spec,
			Out: append(append([]plan.Column{}, cols...), ends...)}
		model := func(in []*zset) *zset {
			out := newZset()
			in[0].each(func(r []types.Datum, w int64) {
				if r[1].Null {
					return
				}
				// All windows near the row, by their definition.
				step := spec.Size
				if spec.Kind == "hop" {
					step = spec.Slide
				}
				for k := int64(-40); k < 40; k++ {
					s := spec.Offset + k*step
					widths := []int64{spec.Size}
					if spec.Kind == "cumulate" {
						widths = nil
						for x := spec.Slide; x <= spec.Size; x += spec.Slide {
							widths = append(widths, x)
						}
					}
					for _, x := range widths {
						if s <= r[1].I && r[1].I < s+x {
							out.add(root.Out, append(append([]types.Datum{}, r...), intD(s), intD(s+x), intD(s+x-1)), w)
						}
					}
				}
			})
			return out
		}
		gen := func(rng *rand.Rand, _ int) []types.Datum {
			return []types.Datum{intD(int64(rng.Intn(3))), maybeNull(rng, intD(int64(rng.Intn(80)-40)))}
		}
		for seed := range int64(5) {
			trial{root: root, gen: gen, model: model}.run(t, seed)
		}
	}
}

// TestWindowInfinity wants no panic and no window at the ends of time.
func TestWindowInfinity(t *testing.T) {
	cols := []plan.Column{column("ts", types.Timestamptz)}
	root := &plan.Node{ID: 2, Op: plan.Window, Inputs: []*plan.Node{scanOf(1, cols...)},
		Window: &plan.WindowSpec{Kind: "hop", Size: 1000, Slide: 10},
		Out:    append(cols[:1:1], column("s", types.Timestamptz), column("e", types.Timestamptz), column("t", types.Timestamptz))}
	d, out := collect(t, root, 1, false)
	d.Begin(nil)
	b := &delta.Batch{N: 2, Cols: []*delta.Vec{{T: cols[0].Type, N: 2, I: []int64{types.PosInfinity, types.NegInfinity}}}}
	if err := d.Push(d.Scans()[0], b); err != nil {
		t.Fatal(err)
	}
	if len(out.w) != 0 {
		t.Fatal("infinity is in a window")
	}
}

// TestUnnest joins rows with a series of their own, in numbered rows.
func TestUnnest(t *testing.T) {
	scan := scanOf(1, column("a", types.Int8), column("s", types.Text))
	key, args, _, _, err := (&expr.Env{}).SetFunc("generate_series", []*expr.Expr{constInt(1), colExpr(scan, 0)}, -1)
	if err != nil {
		t.Fatal(err)
	}
	root := &plan.Node{ID: 2, Op: plan.Unnest, Inputs: []*plan.Node{scan}, SetFn: key, Exprs: args, Ordinality: true,
		Out: append(scan.Out[:2:2], column("g", types.Int8), column("ordinality", types.Int8))}
	model := func(in []*zset) *zset {
		out := newZset()
		in[0].each(func(r []types.Datum, w int64) {
			for k := int64(1); !r[0].Null && k <= r[0].I; k++ {
				out.add(root.Out, []types.Datum{r[0], r[1], intD(k), intD(k)}, w)
			}
		})
		return out
	}
	gen := func(rng *rand.Rand, _ int) []types.Datum {
		return []types.Datum{maybeNull(rng, intD(int64(rng.Intn(5)-1))), textD("x")}
	}
	for seed := range int64(10) {
		trial{root: root, gen: gen, model: model}.run(t, seed)
	}

	// Without an input, and longer than a batch.
	key, args, _, _, err = (&expr.Env{}).SetFunc("generate_series", []*expr.Expr{constInt(1), constInt(10_000)}, -1)
	if err != nil {
		t.Fatal(err)
	}
	root = &plan.Node{ID: 2, Op: plan.Unnest, SetFn: key, Exprs: args, Out: []plan.Column{column("g", types.Int8)}}
	for _, workers := range []int{1, 3} {
		d, out := collect(t, root, workers, true)
		d.Begin(nil)
		if err := d.Finish(); err != nil {
			t.Fatal(err)
		}
		if len(out.w) != 10_000 {
			t.Fatalf("%d rows", len(out.w))
		}
	}
}
