package exec

import (
	"fmt"
	"math/rand"
	"testing"

	"github.com/streamsql/streamsql/sql/plan"
	"github.com/streamsql/streamsql/sql/types"
)

// equalSets groups a relation's rows by SQL equality, least form first.
func equalSets(cols []plan.Column, z *zset) (keys []string, groups map[string][]change) {
	groups = map[string][]change{}
	z.each(func(row []types.Datum, w int64) {
		var k []byte
		for c, d := range row {
			k = types.AppendEq(k, cols[c].Type, d)
		}
		if groups[string(k)] == nil {
			keys = append(keys, string(k))
		}
		groups[string(k)] = append(groups[string(k)], change{row, w})
	})
	return keys, groups
}

func numericRow(rng *rand.Rand, _ int) []types.Datum {
	n, err := types.ParseText(types.Of(types.Numeric), []string{"1", "1.0", "1.00", "2"}[rng.Intn(4)])
	if err != nil {
		panic(err)
	}
	return []types.Datum{maybeNull(rng, intD(int64(rng.Intn(2)))), maybeNull(rng, n)}
}

func plainRow(rng *rand.Rand, _ int) []types.Datum {
	return []types.Datum{maybeNull(rng, intD(int64(rng.Intn(3)))), maybeNull(rng, textD([]string{"", "x", "\x00"}[rng.Intn(3)]))}
}

// rowKinds are the columns and rows that set operations are tried on: those of
// which equal rows are the same, and those of which they are not.
var rowKinds = []struct {
	name string
	cols []plan.Column
	gen  func(rng *rand.Rand, scan int) []types.Datum
}{
	{"plain", []plan.Column{column("a", types.Int8), column("b", types.Text)}, plainRow},
	{"numeric", []plan.Column{column("a", types.Int8), column("b", types.Numeric)}, numericRow},
}

func TestDistinct(t *testing.T) {
	for _, k := range rowKinds {
		t.Run(k.name, func(t *testing.T) {
			root := &plan.Node{ID: 3, Op: plan.Distinct, Out: k.cols,
				Inputs: []*plan.Node{exchangeOf(2, scanOf(1, k.cols...), 0, 1)}}
			model := func(in []*zset) *zset {
				out := newZset()
				keys, groups := equalSets(k.cols, in[0])
				for _, g := range keys {
					out.add(k.cols, groups[g][0].row, 1)
				}
				return out
			}
			for seed := range int64(20) {
				trial{root: root, gen: k.gen, model: model}.run(t, seed)
			}
		})
	}
}

func TestSetOps(t *testing.T) {
	for _, k := range rowKinds {
		for _, op := range []string{"except", "intersect"} {
			for _, all := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s/%s/all=%v", k.name, op, all), func(t *testing.T) {
					root := &plan.Node{ID: 5, Op: plan.Except, SetOp: op, All: all, Out: k.cols, Inputs: []*plan.Node{
						exchangeOf(3, scanOf(1, k.cols...), 0, 1), exchangeOf(4, scanOf(2, k.cols...), 0, 1)}}
					model := func(in []*zset) *zset {
						out := newZset()
						keys, left := equalSets(k.cols, in[0])
						_, right := equalSets(k.cols, in[1])
						for _, g := range keys {
							var l, r int64
							for _, c := range left[g] {
								l += c.w
							}
							for _, c := range right[g] {
								r += c.w
							}
							n := min(l, r)
							if op == "except" {
								n = l - r
							}
							if !all {
								n = 0
								if (r > 0) == (op == "intersect") {
									n = 1
								}
							}
							for _, c := range left[g] {
								if w := min(n, c.w); w > 0 {
									out.add(k.cols, c.row, w)
									n -= w
								}
							}
						}
						return out
					}
					for seed := range int64(20) {
						trial{root: root, gen: k.gen, model: model}.run(t, seed)
					}
				})
			}
		}
	}
}

// TestSharedNode reads one node twice: a union of a relation with itself, and a
// join of it with itself.
func TestSharedNode(t *testing.T) {
	k := rowKinds[0]
	scan := exchangeOf(2, scanOf(1, k.cols...), 0)
	union := &plan.Node{ID: 3, Op: plan.Union, Out: k.cols, Inputs: []*plan.Node{scan, scan}}
	self := &plan.Node{ID: 4, Op: plan.Join, Kind: plan.Inner, LeftKey: []int{0}, RightKey: []int{0}, Inputs: []*plan.Node{scan, scan}}
	self.Out = append(append(self.Out, k.cols...), k.cols...)
	for seed := range int64(10) {
		trial{root: union, gen: k.gen, model: func(in []*zset) *zset {
			out := newZset()
			in[0].each(func(row []types.Datum, w int64) { out.add(k.cols, row, 2*w) })
			return out
		}}.run(t, seed)
		trial{root: self, gen: k.gen, model: func(in []*zset) *zset {
			return joinModel(self)([]*zset{in[0], in[0]})
		}}.run(t, seed)
	}
}
