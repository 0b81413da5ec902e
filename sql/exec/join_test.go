package exec

import (
	"fmt"
	"math/rand"
	"strings"
	"testing"

	"github.com/streamsql/streamsql/sql/delta"
	"github.com/streamsql/streamsql/sql/expr"
	"github.com/streamsql/streamsql/sql/plan"
	"github.com/streamsql/streamsql/sql/types"
)

var joinKinds = []plan.JoinKind{plan.Inner, plan.Left, plan.Right, plan.Full, plan.Semi, plan.Anti}

// joinPlan joins (k, v, s) with (v, k) on nkeys of k; the residual is l.v < r.v.
func joinPlan(kind plan.JoinKind, nkeys int, nullSafe, residual bool) *plan.Node {
	l := scanOf(1, column("k", types.Int8), column("v", types.Int8), column("s", types.Text))
	r := scanOf(2, column("v", types.Int8), column("k", types.Int8), column("s", types.Text))
	lk, rk := []int{0, 2}[:nkeys], []int{1, 2}[:nkeys]
	n := &plan.Node{ID: 5, Op: plan.Join, Kind: kind, LeftKey: lk, RightKey: rk, NullSafe: nullSafe,
		Inputs: []*plan.Node{exchangeOf(3, l, lk...), exchangeOf(4, r, rk...)}}
	n.Out = append(n.Out, l.Out...)
	if kind != plan.Semi && kind != plan.Anti {
		n.Out = append(n.Out, r.Out...)
	}
	if residual {
		n.Residual = less(&expr.Expr{Kind: expr.Col, Index: 1, Type: types.Of(types.Int8)},
			&expr.Expr{Kind: expr.Col, Index: 3, Type: types.Of(types.Int8)})
	}
	return n
}

// joinModel is nested loops.
func joinModel(n *plan.Node) func(in []*zset) *zset {
	lt := n.Inputs[0].Out
	match := func(l, r []types.Datum) bool {
		for i := range n.LeftKey {
			a, b := l[n.LeftKey[i]], r[n.RightKey[i]]
			if a.Null || b.Null {
				if !n.NullSafe || a.Null != b.Null {
					return false
				}
				continue
			}
			t := lt[n.LeftKey[i]].Type
			if string(types.AppendEq(nil, t, a)) != string(types.AppendEq(nil, t, b)) {
				return false
			}
		}
		if n.Residual != nil {
			return !l[1].Null && !r[0].Null && l[1].I < r[0].I
		}
		return true
	}
	return func(in []*zset) *zset { return pairModel(n, [2]*zset{in[0], in[1]}, match) }
}

func joinRow(rng *rand.Rand, scan int) []types.Datum {
	k := maybeNull(rng, intD(int64(rng.Intn(4))))
	v := maybeNull(rng, intD(int64(rng.Intn(4))))
	s := maybeNull(rng, textD([]string{"a", "b\x00c"}[rng.Intn(2)]))
	if scan == 0 {
		return []types.Datum{k, v, s}
	}
	return []types.Datum{v, k, s}
}

func TestJoin(t *testing.T) { testJoin(t, 4) }

// TestJoinSpill has the rows of a key move to the tree and back.
func TestJoinSpill(t *testing.T) {
	defer func(n int) { spillTail = n }(spillTail)
	spillTail = 40
	testJoin(t, 2)
}

func testJoin(t *testing.T, seeds int64) {
	for _, kind := range joinKinds {
		for nkeys := 0; nkeys <= 2; nkeys++ {
			for _, nullSafe := range []bool{false, true} {
				for _, residual := range []bool{false, true} {
					t.Run(fmt.Sprintf("%s/%d/nullsafe=%v/residual=%v", kind, nkeys, nullSafe, residual), func(t *testing.T) {
						p := joinPlan(kind, nkeys, nullSafe, residual)
						for seed := range seeds {
							trial{root: p, gen: joinRow, model: joinModel(p)}.run(t, seed)
						}
					})
				}
			}
		}
	}
}

// TestJoinSettled: rows that found their match in what never goes are not kept,
// and nothing of the answer is missing.
func TestJoinSettled(t *testing.T) {
	for _, kind := range []plan.JoinKind{plan.Inner, plan.Left, plan.Right, plan.Semi, plan.Anti} {
		t.Run(string(kind), func(t *testing.T) {
			p := joinPlan(kind, 1, false, false)
			stays := 1 // the input whose rows never go
			p.Settled = 1
			if kind == plan.Right {
				stays, p.Settled = 0, 2
			}
			for seed := range int64(6) {
				taken := map[int64]bool{}
				gen := func(rng *rand.Rand, scan int) []types.Datum {
					row := joinRow(rng, scan)
					k := &row[p.LeftKey[0]]
					if scan == 1 {
						k = &row[p.RightKey[0]]
					}
					// In its input each key comes once, or, where one match is as good as
					// many, at times again.
					if scan == stays && (kind == plan.Semi || kind == plan.Anti || !k.Null) {
						*k = intD(rng.Int63n(40))
						if kind != plan.Semi && kind != plan.Anti {
							for taken[k.I] {
								k.I++
							}
							taken[k.I] = true
						}
					} else if !k.Null {
						*k = intD(rng.Int63n(60))
					}
					return row
				}
				trial{root: p, gen: gen, model: joinModel(p), keeps: stays + 1}.run(t, seed)
			}
		})
	}
}

// TestJoinSettledState: a stream that is joined with a table leaves nothing behind.
func TestJoinSettledState(t *testing.T) {
	for settled, want := range []int64{1002, 1} {
		p := joinPlan(plan.Inner, 1, false, false)
		p.Settled = settled
		d, out := collect(t, p, 1, false)
		scans := d.Scans()
		rng := rand.New(rand.NewSource(1))
		var left []change
		for i := range int64(1000) {
			left = append(left, change{[]types.Datum{intD(7), intD(i), textD("a")}, 1})
		}
		for s, cs := range [][]change{1: {{[]types.Datum{intD(0), intD(7), textD("b")}, 1}}, 2: nil} {
			if s == 2 {
				s, cs = 0, left
			}
			d.Begin(&expr.Context{})
			for _, b := range batches(rng, scans[s].Out, cs) {
				if err := d.Push(scans[s], b); err != nil {
					t.Fatal(err)
				}
			}
			if err := d.Finish(); err != nil {
				t.Fatal(err)
			}
			d.Commit()
		}
		rows := int64(0)
		for _, s := range d.Stats() {
			rows += s.StateRows
		}
		if len(out.w) != 1000 || rows != want {
			t.Errorf("settled %d: %d rows of the answer, %d of state, want %d", settled, len(out.w), rows, want)
		}
	}
}

// TestLongRows: what multiplies long rows cuts its batches by their bytes.
func TestLongRows(t *testing.T) {
	cols := []plan.Column{column("k", types.Int8), column("ts", types.Timestamptz), column("s", types.Text)}
	l, r := scanOf(1, cols...), scanOf(2, column("k", types.Int8))
	join := &plan.Node{ID: 3, Op: plan.Join, Kind: plan.Inner, LeftKey: []int{0}, RightKey: []int{0}, Inputs: []*plan.Node{l, r},
		Out: append(cols[:3:3], r.Out...)}
	hop := &plan.Node{ID: 4, Op: plan.Window, Inputs: []*plan.Node{l}, Window: &plan.WindowSpec{Kind: "hop", TimeCol: 1, Size: 1000, Slide: 1},
		Out: append(cols[:3:3], column("f", types.Timestamptz), column("e", types.Timestamptz), column("t", types.Timestamptz))}
	long := &delta.Batch{N: 1, Cols: append(intCols(0, 1, 2, func(_, _ int) int64 { return 5 }).Cols,
		textVec(1, func(int) string { return strings.Repeat("x", 1<<16) }))}
	for _, root := range []*plan.Node{join, hop} {
		for _, batch := range []bool{false, true} {
			rows, most := 0, 0
			d, err := Build(root, Options{Batch: batch, Output: func(b *delta.Batch) error {
				rows += b.N
				most = max(most, len(b.Cols[2].Buf))
				return nil
			}})
			if err != nil {
				t.Fatal(err)
			}
			d.Begin(nil)
			if root == join {
				if err := d.Push(r, intCols(0, 1000, 1, func(_, _ int) int64 { return 5 })); err != nil {
					t.Fatal(err)
				}
			}
			if err := d.Push(l, long); err != nil {
				t.Fatal(err)
			}
			if err := d.Finish(); err != nil {
				t.Fatal(err)
			}
			if most > maxBuf+1<<17 {
				t.Errorf("%s, batch %v: a column of %d bytes in a batch", root.Op, batch, most)
			}
			if root == hop && rows != 1000 {
				t.Errorf("%d rows", rows)
			}
		}
	}
}
