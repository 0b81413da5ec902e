package exec

import (
	"bytes"
	"fmt"
	"math/rand"
	"slices"
	"strings"
	"testing"

	"github.com/streamsql/streamsql/sql/expr"
	"github.com/streamsql/streamsql/sql/plan"
	"github.com/streamsql/streamsql/sql/types"
)

// inFrame tells the plain way whether row j is in the frame of row i.
func inFrame(n *plan.Node, f *plan.Frame, rs [][]types.Datum, group []int, i, j int) bool {
	if f == nil {
		return group[j] <= group[i]
	}
	within := func(bound *int64, end bool, dist func() (int64, bool)) bool {
		if bound == nil {
			return true
		}
		d, ok := dist()
		if !ok { // NULLs: peers alone
			return group[i] == group[j]
		}
		if end {
			return d <= *bound
		}
		return d >= *bound
	}
	dist := func() (int64, bool) {
		switch f.Unit {
		case "rows":
			return int64(j - i), true
		case "groups":
			return int64(group[j] - group[i]), true
		}
		if len(n.Order) != 1 {
			return int64(group[j] - group[i]), true
		}
		o := n.Order[0]
		a, b := rs[i][o.Col], rs[j][o.Col]
		if a.Null || b.Null {
			return 0, false
		}
		if o.Desc {
			return a.I - b.I, true
		}
		return b.I - a.I, true
	}
	if f.Unit == "range" && len(n.Order) == 1 {
		// A side that is unbounded takes NULLs on that side.
		o := n.Order[0]
		a, b := rs[i][o.Col], rs[j][o.Col]
		if a.Null != b.Null {
			if j < i {
				return f.Start == nil && (f.End == nil || j <= i)
			}
			return f.End == nil
		}
	}
	return within(f.Start, false, dist) && within(f.End, true, dist)
}

func overModel(n *plan.Node) func(in []*zset) *zset {
	cols := n.Inputs[0].Out
	env := &expr.Env{}
	return func(in []*zset) *zset {
		out := newZset()
		for _, rs := range sortedParts(cols, in[0], n.Keys, n.Order) {
			rows := len(rs)
			group := make([]int, rows)
			first := make([]int, rows)
			for i := 1; i < rows; i++ {
				group[i], first[i] = group[i-1], first[i-1]
				if !bytes.Equal(orderKeyOf(cols, rs[i], n.Order), orderKeyOf(cols, rs[i-1], n.Order)) {
					group[i], first[i] = group[i]+1, i
				}
			}
			for i, r := range rs {
				row := slices.Clone(r)
				for _, c := range n.Aggs {
					var frame modelRows
					for j := range rs {
						if inFrame(n, c.Frame, rs, group, i, j) {
							frame = append(frame, rs[j])
						}
					}
					row = append(row, modelWindow(env, n, c, rs, frame, group, first, i))
				}
				out.add(n.Out, row, 1)
			}
		}
		return out
	}
}

func modelWindow(env *expr.Env, n *plan.Node, c plan.AggCall, rs [][]types.Datum, frame modelRows, group, first []int, i int) types.Datum {
	rows := len(rs)
	at := func(j int) types.Datum {
		if j < 0 || j >= rows {
			if len(c.Args) > 2 {
				return rs[i][c.Args[2]]
			}
			return types.NullDatum
		}
		return rs[j][c.Args[0]]
	}
	switch name, _, _ := strings.Cut(c.Fn, "("); name {
	case "row_number":
		return intD(int64(i + 1))
	case "rank":
		return intD(int64(first[i] + 1))
	case "dense_rank":
		return intD(int64(group[i] + 1))
	case "percent_rank":
		if rows == 1 {
			return types.Datum{}
		}
		return types.Datum{F: float64(first[i]) / float64(rows-1)}
	case "cume_dist":
		k := 0
		for _, g := range group {
			if g <= group[i] {
				k++
			}
		}
		return types.Datum{F: float64(k) / float64(rows)}
	case "ntile":
		k := int(rs[0][c.Args[0]].I)
		// PostgreSQL's definition: fill buckets one by one.
		bucket, left := 0, 0
		for j := 0; j <= i; j++ {
			if left == 0 {
				bucket++
				left = rows / k
				if bucket <= rows%k {
					left++
				}
			}
			left--
		}
		return intD(int64(bucket))
	case "lag", "lead":
		by := 1
		if len(c.Args) > 1 {
			if rs[i][c.Args[1]].Null {
				return types.NullDatum
			}
			by = int(rs[i][c.Args[1]].I)
		}
		if name == "lag" {
			by = -by
		}
		return at(i + by)
	case "first_value", "last_value", "nth_value":
		k := 0
		if name == "last_value" {
			k = len(frame) - 1
		}
		if name == "nth_value" {
			k = int(rs[i][c.Args[1]].I) - 1
		}
		if k < 0 || k >= len(frame) {
			return types.NullDatum
		}
		return frame[k][c.Args[0]]
	}
	fn, _ := env.Agg(c.Fn)
	if fn.Kind == expr.AggString {
		c.Order = n.Order
	}
	return modelAgg(c, fn, frame)
}

func TestOver(t *testing.T) {
	gen := func(rng *rand.Rand, scan int) []types.Datum {
		row := aggRow(rng, scan)
		row[0], row[3] = intD(int64(1+rng.Intn(3))), maybeNull(rng, intD(int64(rng.Intn(12))))
		return row
	}
	b := func(v int64) *int64 { return &v }
	frames := []*plan.Frame{
		nil,
		{Unit: "rows", Start: b(-1), End: b(1)},
		{Unit: "rows", End: b(-1)},
		{Unit: "rows", Start: b(1)},
		{Unit: "rows", Start: b(2), End: b(-2)},
		{Unit: "groups", Start: b(-1), End: b(0)},
		{Unit: "groups", Start: b(1), End: b(2)},
		{Unit: "range", Start: b(0), End: b(0)},
		{Unit: "range"},
		{Unit: "range", Start: b(-3), End: b(2)},
		{Unit: "range", End: b(-1)},
		{Unit: "range", Start: b(1), End: b(1 << 62)},
		{Unit: "rows", Start: b(-1 << 62), End: b(1<<63 - 1)},
	}
	orders := [][]plan.Order{{{Col: 3}}, {{Col: 3, Desc: true, NullsFirst: true}}, {{Col: 3, NullsFirst: true}}, {{Col: 3, Desc: true}}}
	framed := func(f *plan.Frame, c plan.AggCall) plan.AggCall { c.Frame = f; return c }
	for i, f := range frames {
		for k, order := range orders {
			if (i+k)%2 == 1 && k > 1 {
				continue
			}
			t.Run(fmt.Sprint(i, k), func(t *testing.T) {
				in := scanOf(1, aggInput...)
				keys := []int{1}
				if i == 0 {
					keys = nil
				}
				x := exchangeOf(2, in, keys...)
				n := &plan.Node{ID: 3, Op: plan.Over, Inputs: []*plan.Node{x}, Keys: keys, Order: order, Out: slices.Clone(aggInput)}
				calls := []plan.AggCall{
					framed(f, aggCall("count()", types.Int8)), framed(f, aggCall("sum(integer)", types.Int8, 2)), framed(f, aggCall("max(text)", types.Text, 7)),
					framed(f, withFilter(aggCall("avg(integer)", types.Numeric, 2))), framed(f, aggCall("first_value", types.Text, 7)),
					framed(f, aggCall("last_value", types.Int4, 2)), framed(f, aggCall("nth_value", types.Text, 7, 0)),
					framed(f, aggCall("string_agg(text,text)", types.Text, 7, 1)), framed(nil, aggCall("sum(numeric)", types.Numeric, 4)),
				}
				if i < 4 {
					calls = append(calls, aggCall("row_number", types.Int8), aggCall("rank", types.Int8), aggCall("dense_rank", types.Int8),
						aggCall("percent_rank", types.Float8), aggCall("cume_dist", types.Float8), aggCall("ntile", types.Int4, 0),
						aggCall("lag", types.Text, 7), aggCall("lead", types.Text, 7, 0), aggCall("lag", types.Int4, 2, 2, 10))
					calls[len(calls)-1].Args[2] = 2
				}
				n.Aggs = calls
				for _, c := range calls {
					n.Out = append(n.Out, plan.Column{Name: c.Fn, Type: c.Type})
				}
				trial{root: n, gen: gen, model: overModel(n), steps: 8, rows: 10}.run(t, int64(i*10+k))
			})
		}
	}
}
