package engine

import (
	"slices"

	"github.com/streamsql/streamsql/sql/plan"
)

// fillOrder has the inputs of a job wait for others: the rows that a lookup join
// joins with what its right side holds when they come are read when that is there.
func (j *job) fillOrder() {
	if j.obj.Plan == nil {
		return
	}
	of := map[uint64]*input{}
	for _, in := range j.inputs {
		of[in.relation] = in
	}
	j.obj.Plan.Visit(func(n *plan.Node) {
		if n.AsOf == nil || n.AsOf.Kind != "proc" {
			return
		}
		right := relationsOf(n.Inputs[1])
		for _, l := range relationsOf(n.Inputs[0]) {
			if slices.Contains(right, l) || of[l] == nil || of[l].fill == nil {
				continue
			}
			for _, r := range right {
				if in := of[r]; in != nil && in.fill != nil && !in.fill.waitsFor(of[l]) {
					of[l].fill.behind = append(of[l].fill.behind, in)
				}
			}
		}
	})
}

// waitsFor tells whether f waits for in, maybe by way of others.
func (f *inputFill) waitsFor(in *input) bool {
	return slices.ContainsFunc(f.behind, func(b *input) bool {
		return b == in || b.fill != nil && b.fill.waitsFor(in)
	})
}

// isBehind tells whether an input that f waits for is still read.
func (f *inputFill) isBehind() bool {
	return slices.ContainsFunc(f.behind, func(in *input) bool { return in.fill != nil && !in.fill.reached })
}

func relationsOf(n *plan.Node) []uint64 {
	var out []uint64
	n.Visit(func(n *plan.Node) {
		if n.Op == plan.Scan {
			out = append(out, n.Relation)
		}
	})
	return out
}
