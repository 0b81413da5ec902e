package exec

import (
	"math"

	"github.com/streamsql/streamsql/sql/plan"
)

// Opener is a Waiter that can tell what waits: groups, partitions, sessions or
// rows. It is asked between steps.
type Opener interface {
	Waiter
	// Waiting is how many wait.
	Waiting() int64
	// Open calls fn with watermarks and how many each of them closes, in no order,
	// a watermark any number of times. It reads all of the index.
	Open(fn func(at, n int64))
}

// OpTime is how far an operator is in event time.
type OpTime struct {
	OpStats
	Plan   *plan.Node
	Inputs []int // node IDs
	// In is the watermark of the inputs together; NoWatermark: none.
	In int64
	// Waits says that something can wait for the watermark here; Next is then the
	// one that closes something next, math.MaxInt64 when nothing waits.
	Waits   bool
	Next    int64
	Waiting int64 // how many groups or rows, where the operator can tell
}

// Times returns how far each operator is, inputs before those who read them. It
// is called between steps.
func (d *Dataflow) Times() []OpTime {
	at := map[int]OpStats{}
	for _, s := range d.Stats() {
		at[s.Node] = s
	}
	out := make([]OpTime, len(d.nodes))
	for i, n := range d.nodes {
		t := OpTime{OpStats: at[n.ID], Plan: n, In: d.inputTime(i), Next: math.MaxInt64}
		for _, in := range n.Inputs {
			t.Inputs = append(t.Inputs, in.ID)
		}
		for _, w := range d.workers {
			if x, ok := w.insts[i].op.(Waiter); ok {
				t.Waits = true
				t.Next = min(t.Next, x.NextClose())
			}
			if x, ok := w.insts[i].op.(Opener); ok {
				t.Waiting += x.Waiting()
			}
		}
		out[i] = t
	}
	return out
}

// inputTime is the watermark of the inputs of the node at position i, as it
// stands; of a scan its relation's.
func (d *Dataflow) inputTime(i int) int64 {
	n := d.nodes[i]
	if len(n.Inputs) == 0 {
		return d.wm[i]
	}
	wm := make([]int64, len(n.Inputs))
	for k, p := range d.inputs[i] {
		wm[k] = d.wm[p]
	}
	return inputTime(n, wm)
}

// Open calls fn with what waits for the watermark in a node; see Opener.
func (d *Dataflow) Open(node int, fn func(at, n int64)) {
	i, ok := d.at[node]
	if !ok {
		return
	}
	for _, w := range d.workers {
		if x, ok := w.insts[i].op.(Opener); ok {
			x.Open(fn)
		}
	}
}

// Ahead is how far, in µs, the watermarks of the scans have to move until an
// operator has something to close; math.MaxInt64: nothing waits. It is called
// between steps.
func (d *Dataflow) Ahead() int64 {
	ahead := int64(math.MaxInt64)
	for i := range d.nodes {
		in, known := int64(0), false
		for _, w := range d.workers {
			x, ok := w.insts[i].op.(Waiter)
			if !ok {
				break
			}
			next := x.NextClose()
			if next == math.MaxInt64 {
				continue
			}
			if !known {
				in, known = d.inputTime(i), true
			}
			if in != NoWatermark && next > in && next-in > 0 {
				ahead = min(ahead, next-in)
			}
		}
	}
	return ahead
}

// openAt turns a time of an index into the watermark that closes it.
func (g *groupTime) openAt(t int64) int64 {
	if g.ends || t == math.MaxInt64 {
		return t
	}
	return t + 1
}

// each calls fn with the times of the index and how many entries each has.
func (x *timeIndex) each(fn func(t, n int64)) {
	t, n := int64(0), int64(0)
	for ok := x.cur.Seek(nil); ok; ok = x.cur.Next() {
		k := x.cur.Key()
		if len(k) < timeKeyLen {
			continue
		}
		if at := timeAt(k[1:]); at != t || n == 0 {
			if n > 0 {
				fn(t, n)
			}
			t, n = at, 0
		}
		n += max(1, x.cur.Weight())
	}
	if n > 0 {
		fn(t, n)
	}
}

// Waiting implements Opener.
func (a *agg) Waiting() (groups int64) {
	if a.panes != nil {
		a.Open(func(_, n int64) { groups += n })
		return groups
	}
	if a.final {
		return int64(a.finalIdx.tree.Len())
	}
	n := int64(0)
	for _, p := range a.close.at {
		n += max(0, a.close.buckets[p].n)
	}
	return n
}

// Waiting implements Opener.
func (t *topN) Waiting() int64 { return t.waitingParts() }

// Waiting implements Opener.
func (o *over) Waiting() int64 { return o.waitingParts() }

// Waiting implements Opener.
func (d *distinct) Waiting() int64 { return d.waitingParts() }

// Waiting implements Opener.
func (d *distinctHash) Waiting() int64 { return d.waitingParts() }

// Waiting implements Opener.
func (c *closer) Waiting() int64 { return int64(c.open.tree.Len()) }

// Waiting implements Opener. Bounds of closed sessions do not count.
func (s *session) Waiting() (n int64) {
	s.Open(func(_, k int64) { n += k })
	return n
}

func (g *groupTime) waitingParts() int64 {
	if !g.closing {
		return 0
	}
	return int64(g.closeIdx.tree.Len())
}

// Open implements Opener: groups.
func (a *agg) Open(fn func(at, n int64)) {
	if a.panes != nil { // by the last window that a pane is in
		for _, b := range a.panes.idx.at {
			if b.live > 0 {
				fn(a.panes.grid.last(b.start), int64(b.live))
			}
		}
		return
	}
	if a.final {
		a.finalIdx.each(func(t, n int64) { fn(a.openAt(t), n) })
		return
	}
	x := &a.close
	for id, p := range x.at {
		b := &x.buckets[p]
		if b.n <= 0 {
			continue
		}
		// A bucket is an eighth of a second: the times of windows are apart.
		seen := make(map[int32]bool, len(b.hints))
		left := b.n
		for _, h := range b.hints {
			if !seen[h.row] && left > 0 && a.rowHas(h.row, h.t) {
				seen[h.row] = true
				fn(a.openAt(h.t), 1)
				left--
			}
		}
		if left > 0 { // evicted: their times are on disk alone
			t := id << closeShift
			if b.least != math.MaxInt64 {
				t = b.least
			}
			fn(a.openAt(t), left)
		}
	}
}

// Open implements Opener: partitions.
func (t *topN) Open(fn func(at, n int64)) { t.openParts(fn) }

// Open implements Opener: partitions.
func (o *over) Open(fn func(at, n int64)) { o.openParts(fn) }

// Open implements Opener: rows.
func (c *closer) Open(fn func(at, n int64)) {
	c.open.each(func(t, n int64) {
		if t != never {
			fn(c.openAt(t), n)
		}
	})
}

// Open implements Opener: rows.
func (d *distinct) Open(fn func(at, n int64)) { d.openParts(fn) }

// Open implements Opener: rows.
func (d *distinctHash) Open(fn func(at, n int64)) { d.openParts(fn) }

func (g *groupTime) openParts(fn func(at, n int64)) {
	if g.indexed {
		g.closeIdx.each(func(t, n int64) { fn(g.openAt(t), n) })
	}
}

var (
	_ Opener = (*agg)(nil)
	_ Opener = (*topN)(nil)
	_ Opener = (*over)(nil)
	_ Opener = (*closer)(nil)
	_ Opener = (*distinct)(nil)
	_ Opener = (*distinctHash)(nil)
)

// Open implements Opener: sessions. Bounds of closed ones do not count.
func (s *session) Open(fn func(at, n int64)) {
	var key []byte
	for ok := s.idx.cur.Seek(nil); ok; ok = s.idx.cur.Next() {
		k := s.idx.cur.Key()
		if len(k) < timeKeyLen+timeCell {
			continue
		}
		at := timeAt(k[1:])
		key = append(append(key[:0], k[0]), k[timeKeyLen:]...)
		length := s.bounds.Get(key)
		if length > 0 && at == timeAt(key[len(key)-timeCell:])+length-1+s.gap {
			fn(at+1, 1)
		}
	}
}

var _ Opener = (*session)(nil)
