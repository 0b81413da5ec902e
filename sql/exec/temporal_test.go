package exec

import (
	"fmt"
	"math/rand"
	"testing"

	"github.com/streamsql/streamsql/sql/expr"
	"github.com/streamsql/streamsql/sql/plan"
	"github.com/streamsql/streamsql/sql/types"
)

var timeCols = []plan.Column{column("from", types.Timestamptz), column("until", types.Timestamptz), column("s", types.Text)}

// betweenPlan is: from <= now() AND now() < until, with what it is fed from.
func betweenPlan() (scan, root *plan.Node) {
	scan = scanOf(1, timeCols...)
	now := callExpr("now()", types.Timestamptz)
	f := callExpr("<=(timestamp with time zone,timestamp with time zone)", types.Bool, colExpr(scan, 0), now)
	u := callExpr("<(timestamp with time zone,timestamp with time zone)", types.Bool, now, colExpr(scan, 1))
	return scan, &plan.Node{
		ID: 2, Op: plan.Temporal, Inputs: []*plan.Node{scan}, Out: scan.Out,
		Filter: &expr.Expr{Kind: expr.And, Type: types.Of(types.Bool), Args: []*expr.Expr{f, u}},
		Exprs:  []*expr.Expr{colExpr(scan, 0), colExpr(scan, 1)},
	}
}

// clockTrial runs a plan under random changes and clocks, with steps that are
// undone, and calls check after each step with the input so far.
func clockTrial(t *testing.T, scan, root *plan.Node, workers int, seed int64, check func(now int64, d *Dataflow, in, out *zset)) {
	t.Helper()
	rng := rand.New(rand.NewSource(seed))
	d, out := collect(t, root, workers, false)
	in := newZset()
	now := int64(1000)
	when := func() types.Datum {
		switch rng.Intn(12) {
		case 0:
			return types.Datum{Null: true}
		case 1:
			return types.Datum{I: types.PosInfinity}
		case 2:
			return types.Datum{I: types.NegInfinity}
		}
		return types.Datum{I: now + int64(rng.Intn(60)-20)}
	}
	for range 300 {
		if rng.Intn(3) > 0 {
			now += int64(rng.Intn(8))
		}
		var cs []change
		for range rng.Intn(6) {
			cs = append(cs, change{[]types.Datum{when(), when(), textD(fmt.Sprint(rng.Intn(3)))}, int64(1 + rng.Intn(2))})
		}
		in.each(func(row []types.Datum, w int64) {
			if rng.Intn(12) == 0 {
				cs = append(cs, change{row, -w})
			}
		})
		rng.Shuffle(len(cs), func(i, j int) { cs[i], cs[j] = cs[j], cs[i] })
		undone := rng.Intn(5) == 0
		was := newZset()
		out.each(func(row []types.Datum, w int64) { was.add(root.Out, row, w) })
		due := d.Due()
		d.Begin(&expr.Context{Now: now})
		for _, b := range batches(rng, scan.Out, cs) {
			if err := d.Push(scan, b); err != nil {
				t.Fatal(err)
			}
		}
		if err := d.Finish(); err != nil {
			t.Fatal(err)
		}
		if undone {
			d.Rollback()
			out.w, out.rows = was.w, was.rows
			if got := d.Due(); got != due {
				t.Fatalf("after Rollback due at %d, not %d", got, due)
			}
			continue
		}
		d.Commit()
		for _, c := range cs {
			in.add(scan.Out, c.row, c.w)
		}
		check(now, d, in, out)
	}
}

func TestTemporal(t *testing.T) {
	for seed := range int64(6) {
		workers := 1 + int(seed)%3
		scan, root := betweenPlan()
		clockTrial(t, scan, root, workers, seed, func(now int64, d *Dataflow, in, out *zset) {
			t.Helper()
			want := newZset()
			next := int64(never)
			kept := 0
			in.each(func(row []types.Datum, w int64) {
				at := int64(never)
				for _, x := range row[:2] {
					if !x.Null && x.I > now && !types.Infinite(x.I) {
						at = min(at, x.I)
					}
				}
				if next = min(next, at); at != never {
					kept++
				}
				if !row[0].Null && !row[1].Null && row[0].I <= now && now < row[1].I {
					want.add(root.Out, row, w)
				}
			})
			if s := diff(root.Out, out, want); s != "" {
				t.Fatalf("seed %d, at %d:\n%s", seed, now, s)
			}
			if workers > 1 {
				return // a row may stand on one worker, its retraction on another
			}
			if d.Due() != next {
				t.Fatalf("seed %d, at %d: due at %d, not %d", seed, now, d.Due(), next)
			}
			for _, s := range d.Stats() {
				if s.Node == root.ID && s.StateRows != int64(kept) {
					t.Fatalf("seed %d, at %d: %d rows are kept, not %d", seed, now, s.StateRows, kept)
				}
			}
		})
	}
}

func TestEvery(t *testing.T) {
	const interval = 10
	for seed := range int64(6) {
		workers := 1 + int(seed)%3
		scan := scanOf(1, timeCols...)
		root := &plan.Node{ID: 2, Op: plan.Every, Inputs: []*plan.Node{scan}, Out: scan.Out, Interval: interval}
		shown, last := newZset(), newZset() // what was let through; the input at the last step
		upto := int64(0)                    // what came before is let through
		copyOf := func(z *zset) *zset {
			c := newZset()
			z.each(func(row []types.Datum, w int64) { c.add(scan.Out, row, w) })
			return c
		}
		clockTrial(t, scan, root, workers, seed, func(now int64, d *Dataflow, in, out *zset) {
			t.Helper()
			if now/interval > upto {
				upto = now / interval
				shown = last
			}
			last = copyOf(in)
			if s := diff(root.Out, out, shown); s != "" {
				t.Fatalf("seed %d, at %d:\n%s", seed, now, s)
			}
			due := int64(never)
			if diff(scan.Out, in, shown) != "" {
				due = (upto + 1) * interval
			}
			if got := d.Due(); got != due && workers == 1 {
				t.Fatalf("seed %d, at %d: due at %d, not %d", seed, now, got, due)
			}
		})
	}
}

// TestEveryFilling: what is read of history is not held back.
func TestEveryFilling(t *testing.T) {
	scan := scanOf(1, timeCols[2])
	root := &plan.Node{ID: 2, Op: plan.Every, Inputs: []*plan.Node{scan}, Out: scan.Out, Interval: 10}
	d, out := collect(t, root, 1, false)
	step := func(now int64, filling bool, s string) int {
		t.Helper()
		d.Filling(filling)
		d.Begin(&expr.Context{Now: now})
		b := batches(rand.New(rand.NewSource(1)), scan.Out, []change{{[]types.Datum{textD(s)}, 1}})
		if err := d.Push(scan, b[0]); err != nil {
			t.Fatal(err)
		}
		if err := d.Finish(); err != nil {
			t.Fatal(err)
		}
		d.Commit()
		return len(out.w)
	}
	for i, want := range []int{1, 2} {
		if got := step(3, true, fmt.Sprint(i)); got != want || d.Due() != never {
			t.Fatalf("chunk %d: %d rows, due at %d", i, got, d.Due())
		}
	}
	if got := step(4, false, "x"); got != 2 || d.Due() != 10 {
		t.Fatalf("%d rows, due at %d", got, d.Due())
	}
	if got := step(10, false, "y"); got != 3 || d.Due() != 20 {
		t.Fatalf("%d rows, due at %d", got, d.Due())
	}
}
