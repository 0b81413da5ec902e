package exec

import (
	"slices"

	"github.com/streamsql/streamsql/sql/expr"
	"github.com/streamsql/streamsql/sql/plan"
)

// paneFusion is a window, HOP or CUMULATE, of which nothing but a final aggregate
// is made. The two then agree on panes, the stretches of time between two slides:
// the window hands out each row once, with its pane as its window; the aggregate
// keeps its groups by pane, and puts a window together from its panes when the
// watermark closes it. All panes of a group are with one worker: exchanges
// between the two leave the window's columns out of account.
type paneFusion struct {
	window, agg *plan.Node
	// winKeys has for each of the aggregate's keys which of the window's columns it
	// is: 0 window_start, 1 window_end, 2 window_time; paneNone: none.
	winKeys   []int
	exchanges map[int][]int // node → its keys without the window's columns
}

const (
	paneNone  = -1 // not of the window's columns
	paneMixed = -2 // computed from them
)

// findPanes finds the fusions of a plan, by the nodes that take part.
func (b *builder) findPanes() {
	b.panes = map[int]*paneFusion{}
	if b.opts.Batch {
		return
	}
	for _, n := range b.d.nodes {
		if n.Op != plan.Agg || !n.Final {
			continue
		}
		if f := b.fuse(n); f != nil {
			b.panes[f.window.ID], b.panes[n.ID] = f, f
			for id := range f.exchanges {
				b.panes[id] = f
			}
		}
	}
}

func (b *builder) fuse(agg *plan.Node) *paneFusion {
	f := &paneFusion{agg: agg, exchanges: map[int][]int{}}
	var chain []*plan.Node
	n := agg.Inputs[0]
	for ; n.Op == plan.Map || n.Op == plan.Exchange; n = n.Inputs[0] {
		chain = append(chain, n)
	}
	if f.window = n; n.Op != plan.Window || n.Window.Kind != "hop" && n.Window.Kind != "cumulate" || n.Window.Size%n.Window.Slide != 0 {
		return nil
	}
	in := n.Inputs[0]
	end := len(in.Out) + 1
	if !n.TimeEnd || n.TimeCol() != end || in.TimeCol() != n.Window.TimeCol || !b.closedBy(n, end) || len(b.readers(n)) != 1 {
		return nil
	}
	kinds := make([]int, len(n.Out))
	for c := range kinds {
		kinds[c] = max(c-len(in.Out), paneNone)
	}
	for _, m := range slices.Backward(chain) {
		if len(b.readers(m)) != 1 || m.Filter != nil || m.Keep {
			return nil
		}
		if m.Op == plan.Exchange {
			keys := []int{}
			for _, k := range m.Keys {
				switch kinds[k] {
				case paneNone:
					keys = append(keys, k)
				case paneMixed:
					return nil
				}
			}
			f.exchanges[m.ID] = keys
			continue
		}
		if m.Exprs == nil {
			continue
		}
		up := make([]int, len(m.Exprs))
		for c, x := range m.Exprs {
			if up[c] = paneNone; x.Kind == expr.Col {
				up[c] = kinds[x.Index]
				continue
			}
			for _, k := range expr.Columns(x) {
				if kinds[k] != paneNone {
					up[c] = paneMixed
				}
			}
		}
		kinds = up
	}
	for _, k := range agg.Keys {
		if kinds[k] == paneMixed {
			return nil
		}
		f.winKeys = append(f.winKeys, kinds[k])
	}
	for i := range agg.Aggs {
		c := &agg.Aggs[i]
		if fn, ok := b.opts.Env.Agg(c.Fn); !ok || !merges(fn, c.Distinct) {
			return nil
		}
		for _, k := range c.Reads() {
			if kinds[k] != paneNone {
				return nil
			}
		}
	}
	return f
}

// paneGrid is where the windows and panes of a fusion are.
type paneGrid struct {
	cumulate            bool
	size, slide, offset int64
}

func gridOf(s *plan.WindowSpec) paneGrid {
	return paneGrid{cumulate: s.Kind == "cumulate", size: s.Size, slide: s.Slide, offset: s.Offset}
}

// ended returns the last end of a window that is not above t.
func (g *paneGrid) ended(t int64) int64 {
	// No row is near the ends of the time line.
	return floorTo(min(max(t, -1<<63+g.size), 1<<63-1-g.size), g.slide, g.offset)
}

// from returns the start of the window that ends at e.
func (g *paneGrid) from(e int64) int64 {
	if g.cumulate {
		return floorTo(e-1, g.size, g.offset)
	}
	return e - g.size
}

// last returns the end of the last window that has the pane that starts at t.
func (g *paneGrid) last(t int64) int64 {
	if g.cumulate {
		return floorTo(t, g.size, g.offset) + g.size
	}
	return t + g.size
}
