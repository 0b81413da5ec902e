package exec

import (
	"fmt"
	"math/rand"
	"sort"
	"testing"

	"github.com/streamsql/streamsql/sql/delta"
	"github.com/streamsql/streamsql/sql/expr"
	"github.com/streamsql/streamsql/sql/plan"
	"github.com/streamsql/streamsql/sql/types"
)

// zset is a plain model of a relation: rows by their encoding, with weights.
type zset struct {
	w    map[string]int64
	rows map[string][]types.Datum
}

func newZset() *zset { return &zset{map[string]int64{}, map[string][]types.Datum{}} }

func (z *zset) add(cols []plan.Column, row []types.Datum, w int64) {
	var k []byte
	for c, d := range row {
		k = types.AppendKey(k, cols[c].Type, d, false)
	}
	s := string(k)
	z.w[s] += w
	z.rows[s] = row
	if z.w[s] == 0 {
		delete(z.w, s)
		delete(z.rows, s)
	}
}

// each calls fn for all rows, in a fixed order.
func (z *zset) each(fn func(row []types.Datum, w int64)) {
	keys := make([]string, 0, len(z.w))
	for k := range z.w {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	for _, k := range keys {
		fn(z.rows[k], z.w[k])
	}
}

func (z *zset) addBatch(cols []plan.Column, b *delta.Batch) {
	for i := range b.N {
		row := make([]types.Datum, len(b.Cols))
		for c, v := range b.Cols {
			row[c] = v.Datum(i)
		}
		z.add(cols, row, b.Weight(i))
	}
}

func rowString(cols []plan.Column, row []types.Datum) string {
	s := ""
	for c, d := range row {
		if d.Null {
			s += "NULL "
		} else {
			s += string(types.FormatText(nil, cols[c].Type, d)) + " "
		}
	}
	return s
}

// diff describes where two relations differ, "" if nowhere.
func diff(cols []plan.Column, got, want *zset) string {
	s := ""
	got.each(func(row []types.Datum, w int64) {
		var k []byte
		for c, d := range row {
			k = types.AppendKey(k, cols[c].Type, d, false)
		}
		if want.w[string(k)] != w {
			s += fmt.Sprintf("got %s× %d, want × %d\n", rowString(cols, row), w, want.w[string(k)])
		}
	})
	want.each(func(row []types.Datum, w int64) {
		var k []byte
		for c, d := range row {
			k = types.AppendKey(k, cols[c].Type, d, false)
		}
		if got.w[string(k)] == 0 {
			s += fmt.Sprintf("missing %s× %d\n", rowString(cols, row), w)
		}
	})
	return s
}

// change is one weighted row.
type change struct {
	row []types.Datum
	w   int64
}

// batches cuts changes at random places into batches.
func batches(rng *rand.Rand, cols []plan.Column, cs []change) []*delta.Batch {
	var out []*delta.Batch
	for len(cs) > 0 {
		n := 1 + rng.Intn(len(cs))
		b := &delta.Batch{N: n, Cols: newCols(cols, n)}
		ones := true
		for _, c := range cs[:n] {
			for i, d := range c.row {
				b.Cols[i].AppendDatum(d)
			}
			b.W = append(b.W, c.w)
			ones = ones && c.w == 1
		}
		if ones {
			b.W = nil
		}
		out = append(out, b)
		cs = cs[n:]
	}
	return out
}

// trial checks a plan against a model under random changes.
type trial struct {
	root  *plan.Node
	gen   func(rng *rand.Rand, scan int) []types.Datum
	model func(in []*zset) *zset
	steps int
	rows  int // changes a step and scan
	// appendOnly: no retractions
	appendOnly bool
	keeps      int // one more than the scan that alone is append-only, its rows of weight 1
}

func collect(t *testing.T, root *plan.Node, workers int, batch bool) (*Dataflow, *zset) {
	t.Helper()
	out := newZset()
	d, err := Build(root, Options{Env: &expr.Env{}, Workers: workers, Batch: batch, Output: func(b *delta.Batch) error {
		if b.N > delta.MaxRows || b.N == 0 {
			return fmt.Errorf("a batch of %d rows", b.N)
		}
		if len(b.Cols) != len(root.Out) {
			return fmt.Errorf("%d columns, want %d", len(b.Cols), len(root.Out))
		}
		for c, v := range b.Cols {
			if v.N != b.N || v.T != root.Out[c].Type {
				return fmt.Errorf("column %d: %d rows of %s in a batch of %d", c, v.N, v.T, b.N)
			}
		}
		for i := range b.N {
			if batch && b.Weight(i) < 1 {
				return fmt.Errorf("a row taken back in batch mode")
			}
		}
		out.addBatch(root.Out, b)
		return nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	return d, out
}

func (tr trial) run(t *testing.T, seed int64) {
	t.Helper()
	if tr.steps == 0 {
		tr.steps = 15
	}
	if tr.rows == 0 {
		tr.rows = 12
	}
	for _, workers := range []int{1, 3} {
		rng := rand.New(rand.NewSource(seed))
		d, out := collect(t, tr.root, workers, false)
		scans := d.Scans()
		in := make([]*zset, len(scans))
		for i := range in {
			in[i] = newZset()
		}
		for step := range tr.steps {
			if rng.Intn(3) == 0 {
				tr.undone(t, rng, d, out)
			}
			d.Begin(&expr.Context{})
			type pushed struct {
				scan int
				b    *delta.Batch
			}
			var all []pushed
			for s, scan := range scans {
				var cs []change
				for range rng.Intn(tr.rows + 1) {
					if !tr.appendOnly && s+1 != tr.keeps && len(in[s].w) > 0 && rng.Intn(5) < 2 {
						// Retract a row, some of the time all of its copies.
						n := rng.Intn(len(in[s].w))
						in[s].each(func(row []types.Datum, w int64) {
							if n--; n == -1 {
								if rng.Intn(2) == 0 {
									w = 1
								}
								cs = append(cs, change{row, -w})
							}
						})
					} else {
						cs = append(cs, change{tr.gen(rng, s), 1 + int64(rng.Intn(4)/3)})
						if s+1 == tr.keeps {
							cs[len(cs)-1].w = 1
						}
					}
					c := cs[len(cs)-1]
					in[s].add(scan.Out, c.row, c.w)
				}
				// Within a step changes come in any order.
				rng.Shuffle(len(cs), func(i, j int) { cs[i], cs[j] = cs[j], cs[i] })
				for _, b := range batches(rng, scan.Out, cs) {
					all = append(all, pushed{s, b})
				}
			}
			rng.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
			for _, p := range all {
				if err := d.Push(scans[p.scan], p.b); err != nil {
					t.Fatal(err)
				}
			}
			if err := d.Finish(); err != nil {
				t.Fatal(err)
			}
			d.Commit()
			if s := diff(tr.root.Out, out, tr.model(in)); s != "" {
				t.Fatalf("seed %d, %d workers, step %d:\n%s", seed, workers, step, s)
			}
		}
		tr.batch(t, rng, workers, in)
	}
}

// undone takes a step that is rolled back, in its midst or at its end.
func (tr trial) undone(t *testing.T, rng *rand.Rand, d *Dataflow, out *zset) {
	t.Helper()
	before := *newZset()
	out.each(func(row []types.Datum, w int64) { before.add(tr.root.Out, row, w) })
	d.Begin(&expr.Context{})
	for s, scan := range d.Scans() {
		var cs []change
		for range rng.Intn(tr.rows + 1) {
			cs = append(cs, change{tr.gen(rng, s), 1})
		}
		for _, b := range batches(rng, scan.Out, cs) {
			if err := d.Push(scan, b); err != nil {
				t.Fatal(err)
			}
		}
	}
	if rng.Intn(2) == 0 {
		if err := d.Finish(); err != nil {
			t.Fatal(err)
		}
	}
	d.Rollback()
	*out = before
}

// batch runs the plan once over the whole input and compares.
func (tr trial) batch(t *testing.T, rng *rand.Rand, workers int, in []*zset) {
	t.Helper()
	d, out := collect(t, tr.root, workers, true)
	d.Begin(&expr.Context{})
	for s, scan := range d.Scans() {
		var cs []change
		in[s].each(func(row []types.Datum, w int64) {
			for range w {
				cs = append(cs, change{row, 1})
			}
		})
		for _, b := range batches(rng, scan.Out, cs) {
			if err := d.Push(scan, b); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := d.Finish(); err != nil {
		t.Fatal(err)
	}
	if s := diff(tr.root.Out, out, tr.model(in)); s != "" {
		t.Fatalf("batch mode, %d workers:\n%s", workers, s)
	}
}

// Plans.

func column(name string, id types.ID) plan.Column { return plan.Column{Name: name, Type: types.Of(id)} }

func scanOf(id int, cols ...plan.Column) *plan.Node {
	return &plan.Node{ID: id, Op: plan.Scan, Out: cols, Relation: uint64(id)}
}

func exchangeOf(id int, in *plan.Node, keys ...int) *plan.Node {
	return &plan.Node{ID: id, Op: plan.Exchange, Inputs: []*plan.Node{in}, Out: in.Out, Keys: keys}
}

func colExpr(n *plan.Node, c int) *expr.Expr {
	return &expr.Expr{Kind: expr.Col, Index: c, Type: n.Out[c].Type, Pos: -1}
}

func constInt(v int64) *expr.Expr {
	return &expr.Expr{Kind: expr.Const, Type: types.Of(types.Int8), Value: types.Datum{I: v}, Pos: -1}
}

func callExpr(fn string, id types.ID, args ...*expr.Expr) *expr.Expr {
	return &expr.Expr{Kind: expr.Call, Fn: fn, Type: types.Of(id), Args: args, Pos: -1}
}

func less(a, b *expr.Expr) *expr.Expr { return callExpr("<(bigint,bigint)", types.Bool, a, b) }

func intD(v int64) types.Datum   { return types.Datum{I: v} }
func textD(s string) types.Datum { return types.Datum{S: []byte(s)} }

// maybeNull returns d, or NULL one time in four.
func maybeNull(rng *rand.Rand, d types.Datum) types.Datum {
	if rng.Intn(4) == 0 {
		return types.NullDatum
	}
	return d
}
