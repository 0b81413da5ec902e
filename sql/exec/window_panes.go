package exec

import (
	"math"
	"math/bits"

	"github.com/streamsql/streamsql/sql/delta"
	"github.com/streamsql/streamsql/sql/expr"
	"github.com/streamsql/streamsql/sql/plan"
	"github.com/streamsql/streamsql/sql/types"
)

// panes adds up the rows of a batch that are alike before a window multiplies
// them: rows of one pane, the stretch of time between two slides, are in the same
// windows, and where nothing but an aggregate reads the windows, and not the
// rows' own time, rows that agree in what is read are one row with a weight.
type panes struct {
	spec plan.WindowSpec
	cols []int  // columns of the input that are read, without the time
	used []bool // columns of the output that are read

	rows  []int32 // the first row of each kind
	w     []int64 // and the weight of all
	pane  []int64 // by row of the batch
	hash  []uint64
	slots []uint16 // one more than the place in rows; 0: empty
	skip  int      // batches to leave as they are
}

// panesRest is how many batches are left alone after one where adding up did not
// pay.
const panesRest = 31

// newPanes returns nil where rows cannot be added up.
func newPanes(n *plan.Node, b *builder) *panes {
	s := n.Window
	if s.Kind == "tumble" || s.Size%s.Slide != 0 {
		return nil
	}
	p := &panes{spec: *s, used: make([]bool, len(n.Out))}
	readers := b.readers(n)
	if len(readers) == 0 {
		return nil
	}
	for _, m := range readers {
		if m.Op != plan.Map || m.Filter != nil || m.Exprs == nil || !b.aggregated(m) {
			return nil
		}
		for _, x := range m.Exprs {
			if x.Kind != expr.Col || x.Index == s.TimeCol {
				return nil
			}
			p.used[x.Index] = true
		}
	}
	for c := range n.Inputs[0].Out {
		if p.used[c] {
			p.cols = append(p.cols, c)
		}
	}
	return p
}

// readers returns the nodes that read n.
func (b *builder) readers(n *plan.Node) []*plan.Node {
	var out []*plan.Node
	for _, m := range b.d.nodes {
		for _, in := range m.Inputs {
			if in.ID == n.ID {
				out = append(out, m)
			}
		}
	}
	return out
}

// usedColumns tells which columns of n's output are read; nil: all, perhaps.
func (b *builder) usedColumns(n *plan.Node) []bool {
	used := make([]bool, len(n.Out))
	rs := b.readers(n)
	for _, m := range rs {
		if m.Op != plan.Map || m.Exprs == nil {
			return nil
		}
		for _, x := range append([]*expr.Expr{m.Filter}, m.Exprs...) {
			if x == nil {
				continue
			}
			for _, c := range expr.Columns(x) {
				used[c] = true
			}
		}
	}
	if len(rs) == 0 {
		return nil
	}
	return used
}

// aggregated tells whether nothing but aggregates read n, through exchanges.
func (b *builder) aggregated(n *plan.Node) bool {
	rs := b.readers(n)
	for _, m := range rs {
		if m.Op != plan.Agg && (m.Op != plan.Exchange || !b.aggregated(m)) {
			return false
		}
	}
	return len(rs) > 0
}

// add adds up the rows of b. It returns false if they are to be taken as they
// are, else rows and w are what is left.
func (p *panes) add(b *delta.Batch) bool {
	if p == nil {
		return false
	}
	if p.skip > 0 {
		p.skip--
		return false
	}
	p.hashRows(b)
	size := 1 << bits.Len(uint(2*b.N-1))
	if cap(p.slots) < size {
		p.slots = make([]uint16, size)
	}
	p.slots = p.slots[:size]
	clear(p.slots)
	p.rows, p.w = p.rows[:0], p.w[:0]
	shift := 64 - bits.TrailingZeros(uint(size))
	mask := uint64(size - 1)
	for i := range int32(b.N) {
		h := p.hash[i]
		at := h >> shift
		w := b.Weight(int(i))
		for {
			s := p.slots[at]
			if s == 0 {
				p.rows = append(p.rows, i)
				p.w = append(p.w, w)
				p.slots[at] = uint16(len(p.rows))
				break
			}
			if r := p.rows[s-1]; p.hash[r] == h && p.alike(b, int(r), int(i)) {
				p.w[s-1] += w
				break
			}
			at = (at + 1) & mask
		}
	}
	if len(p.rows) > b.N-b.N/8 {
		p.skip = panesRest
	}
	return true
}

func (p *panes) hashRows(b *delta.Batch) {
	if cap(p.hash) < b.N {
		p.hash, p.pane = make([]uint64, delta.MaxRows), make([]int64, delta.MaxRows)
	}
	p.hash, p.pane = p.hash[:b.N], p.pane[:b.N]
	times := b.Cols[p.spec.TimeCol]
	from, to := int64(0), int64(0) // the pane of the row before
	for i, t := range times.I[:b.N] {
		if t < from || t >= to {
			from = p.start(t)
			to = from + p.spec.Slide
		}
		p.pane[i] = from
		p.hash[i] = uint64(from) ^ hashP0
	}
	for _, c := range p.cols {
		v := b.Cols[c]
		phys := v.T.Phys()
		for i, h := range p.hash {
			var x uint64
			switch {
			case v.Nulls != nil && v.Null(i):
				x = hashP0
			case phys == types.PhysInt:
				x = uint64(v.I[i])
			case phys == types.PhysFloat:
				x = math.Float64bits(v.F[i])
			default:
				x = hashKey(v.Bytes(i))
			}
			p.hash[i] = mum(h^hashP1, x^hashP2)
		}
	}
	// The top bits place a row: mix them once more.
	for i, h := range p.hash {
		p.hash[i] = h * hashP1
	}
}

// start returns the start of the pane of time t. Times that are in no window, and
// near the ends of the time line, are each a pane of its own.
func (p *panes) start(t int64) int64 {
	if !inWindows(t, p.spec.Size) {
		return t
	}
	if p.spec.Kind == "hop" {
		return floorTo(t, p.spec.Slide, p.spec.Offset)
	}
	s := floorTo(t, p.spec.Size, p.spec.Offset)
	return s + (t-s)/p.spec.Slide*p.spec.Slide
}

// alike tells whether rows i and j are the same in what is read.
func (p *panes) alike(b *delta.Batch, i, j int) bool {
	if p.pane[i] != p.pane[j] || b.Cols[p.spec.TimeCol].Null(i) != b.Cols[p.spec.TimeCol].Null(j) {
		return false
	}
	for _, c := range p.cols {
		v := b.Cols[c]
		if v.Nulls != nil {
			if ni, nj := v.Null(i), v.Null(j); ni || nj {
				if ni != nj {
					return false
				}
				continue
			}
		}
		switch v.T.Phys() {
		case types.PhysInt:
			if v.I[i] != v.I[j] {
				return false
			}
		case types.PhysFloat:
			if math.Float64bits(v.F[i]) != math.Float64bits(v.F[j]) {
				return false
			}
		default:
			if string(v.Bytes(i)) != string(v.Bytes(j)) {
				return false
			}
		}
	}
	return true
}
