package exec

import (
	"bytes"
	"fmt"
	"math/rand"
	"slices"
	"testing"

	"github.com/streamsql/streamsql/sql/plan"
	"github.com/streamsql/streamsql/sql/types"
)

// orderKeyOf encodes the order of a row of the model.
func orderKeyOf(cols []plan.Column, row []types.Datum, os []plan.Order) (k []byte) {
	for _, o := range os {
		switch null := row[o.Col].Null; {
		case null && o.NullsFirst:
			k = append(k, 0)
		case null:
			k = append(k, 2)
		default:
			k = types.AppendKey(append(k, 1), cols[o.Col].Type, row[o.Col], o.Desc)
		}
	}
	return k
}

// sortedParts returns the copies of rows by partition, each in order, ties by the
// whole row.
func sortedParts(cols []plan.Column, in *zset, keys []int, os []plan.Order) map[string][][]types.Datum {
	parts := map[string][][]types.Datum{}
	in.each(func(row []types.Datum, w int64) {
		var k []byte
		for _, c := range keys {
			k = types.AppendEq(k, cols[c].Type, row[c])
		}
		for range w {
			parts[string(k)] = append(parts[string(k)], row)
		}
	})
	whole := func(r []types.Datum) []byte {
		k := orderKeyOf(cols, r, os)
		for c, d := range r {
			k = types.AppendKey(k, cols[c].Type, d, false)
		}
		return k
	}
	for _, rs := range parts {
		slices.SortStableFunc(rs, func(a, b []types.Datum) int { return bytes.Compare(whole(a), whole(b)) })
	}
	return parts
}

func topModel(n *plan.Node) func(in []*zset) *zset {
	cols := n.Inputs[0].Out
	return func(in []*zset) *zset {
		out := newZset()
		for _, rs := range sortedParts(cols, in[0], n.Keys, n.Order) {
			same := func(i, j int) bool {
				return bytes.Equal(orderKeyOf(cols, rs[i], n.Order), orderKeyOf(cols, rs[j], n.Order))
			}
			rank, dense := 0, 0
			for i, r := range rs {
				if i == 0 || !same(i, i-1) {
					rank = i + 1
					dense++
				}
				pos := map[string]int{"": i + 1, "row_number": i + 1, "rank": rank, "dense_rank": dense}[n.Rank]
				end := int(n.Offset + n.Limit)
				ok := pos > int(n.Offset) && (n.Limit < 0 || pos <= end)
				if n.Ties && n.Limit > 0 && pos > end && end <= len(rs) && same(i, end-1) {
					ok = true
				}
				if !ok {
					continue
				}
				if n.Rank != "" {
					r = append(slices.Clone(r), intD(int64(pos)))
				}
				out.add(n.Out, r, 1)
			}
		}
		return out
	}
}

var topInput = []plan.Column{column("k", types.Int8), column("x", types.Int4), column("s", types.Text), column("n", types.Numeric)}

func topRow(rng *rand.Rand, _ int) []types.Datum {
	return []types.Datum{
		intD(int64(rng.Intn(3))), maybeNull(rng, intD(int64(rng.Intn(5)))), maybeNull(rng, textD(pickOf(rng, "a", "b", "", "c\x00"))),
		numD(pickOf(rng, "1", "1.0", "-3.5", "20")),
	}
}

func TestTopN(t *testing.T) {
	asc := []plan.Order{{Col: 1}}
	desc := []plan.Order{{Col: 3, Desc: true, NullsFirst: true}, {Col: 2, NullsFirst: true}}
	descLast := []plan.Order{{Col: 1, Desc: true}}
	tests := []plan.Node{
		{Limit: 3, Order: asc},
		{Limit: 2, Offset: 2, Order: desc, Keys: []int{0}},
		{Limit: 1, Order: descLast, Keys: []int{0, 2}},
		{Limit: -1, Offset: 4, Order: asc},
		{Limit: 0, Order: asc},
		{Limit: 3, Order: asc, Ties: true},
		{Limit: 2, Offset: 1, Order: descLast, Ties: true, Keys: []int{3}},
		{Limit: 3, Order: asc, Rank: "row_number", Keys: []int{0}},
		{Limit: -1, Order: desc, Rank: "row_number"},
		{Limit: 3, Order: descLast, Rank: "rank", Keys: []int{0}},
		{Limit: 2, Offset: 1, Order: asc, Rank: "dense_rank"},
		{Limit: -1, Order: asc, Rank: "dense_rank", Keys: []int{2}},
		{Limit: 5},
	}
	for i, n := range tests {
		for _, grows := range []bool{false, true} {
			t.Run(fmt.Sprint(i, grows), func(t *testing.T) {
				in := scanOf(1, topInput...)
				in.AppendOnly = grows
				x := exchangeOf(2, in, n.Keys...)
				x.AppendOnly = grows
				n := n
				n.ID, n.Op, n.Inputs, n.Out = 3, plan.TopN, []*plan.Node{x}, topInput
				if n.Rank != "" {
					n.Out = append(slices.Clone(topInput), column("r", types.Int8))
				}
				for seed := range int64(4) {
					trial{root: &n, gen: topRow, model: topModel(&n), appendOnly: grows}.run(t, seed)
				}
			})
		}
	}
}
