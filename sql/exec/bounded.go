package exec

import "math"

// bounder is an operator that can tell whether its state stays within bounds
// while rows come at a constant rate: because the watermark or the clock takes
// away what is old, or because there is but one entry. State that grows with the
// number of keys is not bounded.
type bounder interface{ stateBounded() bool }

func (g *groupTime) stateBounded() bool { return g.closing }

func (a *agg) stateBounded() bool { return a.closing || a.final || len(a.keys) == 0 && a.set == nil }

func (o *over) stateBounded() bool { return o.closing || o.time.on && len(o.n.Keys) == 0 }

func (j *join) stateBounded() bool { return j.time.key >= 0 }

func (j *joinInterval) stateBounded() bool {
	for s := range j.sides {
		if !j.sides[s].wmIn || j.lo[s] == math.MinInt64 || j.hi[s] == math.MaxInt64 {
			return false
		}
	}
	return true
}

func (j *joinAsOf) stateBounded() bool   { return false } // of each key one right row stays
func (j *joinLookup) stateBounded() bool { return false }

func (s *session) stateBounded() bool { return s.n.Inputs[0].Time > 0 }

func (c *closer) stateBounded() bool { return true }

func (e *every) stateBounded() bool { return true }

func (t *temporal) stateBounded() bool { return true } // a row waits for its moments

var (
	_ bounder = (*agg)(nil)
	_ bounder = (*topN)(nil)
	_ bounder = (*over)(nil)
	_ bounder = (*distinct)(nil)
	_ bounder = (*distinctHash)(nil)
	_ bounder = (*joinInterval)(nil)
	_ bounder = (*session)(nil)
	_ bounder = (*closer)(nil)
	_ bounder = (*every)(nil)
	_ bounder = (*temporal)(nil)
)
