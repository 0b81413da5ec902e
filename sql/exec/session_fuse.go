package exec

import (
	"encoding/binary"
	"slices"

	"github.com/streamsql/streamsql/sql/delta"
	"github.com/streamsql/streamsql/sql/expr"
	"github.com/streamsql/streamsql/sql/plan"
	"github.com/streamsql/streamsql/sql/types"
)

// sessFusion is a session window over rows that only come, of which nothing but an
// aggregate by session is made. The window then keeps the bounds of sessions
// alone, hands out each row once, with its session as it is now, and tells the
// aggregate which sessions have become which; the aggregate merges their states.
// A row at a session's end costs as much as any other, however long the session
// is. Both are with one worker: the exchange between them goes by the columns
// that the sessions are partitioned by.
type sessFusion struct {
	window    *plan.Node
	exchanges map[int][]int // node → where it has the columns of the partition
	parts     []int         // where the aggregate's input has them
	keys      []int         // of the aggregate: the place in parts, or sessFrom …
}

// What an aggregate's key is that is not one of the partition.
const (
	sessFrom = -1 - iota
	sessEnd
	sessTime
)

// Where a column comes from that is not one of the window's output as it stands.
const (
	fromRow    = -1 // computed, without the window's own columns
	fromWindow = -2 // with them
)

// findSessions finds the fusions of a plan, by the nodes that take part.
func (b *builder) findSessions() {
	b.sessions = map[int]*sessFusion{}
	if b.opts.Batch {
		return
	}
	for _, n := range b.d.nodes {
		if n.Op != plan.Agg {
			continue
		}
		if f := b.fuseSession(n); f != nil {
			b.sessions[f.window.ID], b.sessions[n.ID] = f, f
			for id := range f.exchanges {
				b.sessions[id] = f
			}
		}
	}
}

func (b *builder) fuseSession(agg *plan.Node) *sessFusion {
	var chain []*plan.Node
	n := agg.Inputs[0]
	for ; n.Op == plan.Map || n.Op == plan.Exchange; n = n.Inputs[0] {
		if len(b.readers(n)) != 1 || n.Keep {
			return nil
		}
		chain = append(chain, n)
	}
	if n.Op != plan.Window || n.Window.Kind != "session" || len(b.readers(n)) != 1 || !n.Inputs[0].AppendOnly {
		return nil
	}
	f := &sessFusion{window: n, exchanges: map[int][]int{}}
	own := len(n.Inputs[0].Out)
	origin := make([]int, len(n.Out))
	for c := range origin {
		origin[c] = c
	}
	reads := func(x *expr.Expr) bool { // any of the window's own columns
		return slices.ContainsFunc(expr.Columns(x), func(c int) bool { return origin[c] >= own || origin[c] == fromWindow })
	}
	// parts are where the columns of the partition are, nil if one is missing.
	parts := func() []int {
		at := []int{}
		for _, k := range n.Keys {
			i := slices.Index(origin, k)
			if i < 0 {
				return nil
			}
			at = append(at, i)
		}
		return at
	}
	for _, m := range slices.Backward(chain) {
		if m.Op == plan.Exchange {
			if f.exchanges[m.ID] = parts(); f.exchanges[m.ID] == nil {
				return nil
			}
			continue
		}
		if m.Filter != nil && reads(m.Filter) {
			return nil
		}
		if m.Exprs == nil {
			continue
		}
		up := make([]int, len(m.Exprs))
		for c, x := range m.Exprs {
			switch {
			case x.Kind == expr.Col:
				up[c] = origin[x.Index]
			case reads(x):
				up[c] = fromWindow
			default:
				up[c] = fromRow
			}
		}
		origin = up
	}
	if f.parts = parts(); f.parts == nil {
		return nil
	}
	seen, bounds := make([]bool, len(n.Keys)), [3]bool{}
	for _, k := range agg.Keys {
		switch o := origin[k]; {
		case o >= own:
			bounds[o-own] = true
			f.keys = append(f.keys, sessFrom-(o-own))
		default:
			i := slices.Index(n.Keys, o)
			if i < 0 {
				return nil
			}
			seen[i] = true
			f.keys = append(f.keys, i)
		}
	}
	// Sessions and groups must be the same: a session is known by either bound.
	if slices.Contains(seen, false) || bounds == [3]bool{} {
		return nil
	}
	for i := range agg.Aggs {
		c := &agg.Aggs[i]
		if fn, ok := b.opts.Env.Agg(c.Fn); !ok || !merges(fn, c.Distinct) {
			return nil
		}
		for _, k := range c.Reads() {
			if o := origin[k]; o >= own || o == fromWindow {
				return nil
			}
		}
	}
	return f
}

// aggSessions is what an aggregate keeps of a fusion with a session window.
type aggSessions struct {
	fuse  *sessFusion
	cols  []plan.Column // of the partition
	moved []sessMove    // of this step
	keys  Keys          // their partitions' keys
	cells [][]byte
	from  []byte
	to    []byte
	paneState
}

// sessMove says that a session has become, or is now part of, another.
type sessMove struct{ old, new span }

// initSessions joins an aggregate and the window of its worker.
func (a *agg) initSessions(f *sessFusion, b *builder) {
	s := &aggSessions{fuse: f}
	for _, k := range f.window.Keys {
		s.cols = append(s.cols, f.window.Out[k])
	}
	s.keys.Reset()
	a.sess, a.appendOnly = s, true
	b.cur.w.insts[b.d.at[f.window.ID]].op.(*session).agg = s
}

// openSessions is done when the accumulators are there.
func (a *agg) openSessions() { a.sess.paneState.init(a) }

// groupSessions gives the keys of the batch the key group of the partition.
func (a *agg) groupSessions(b *delta.Batch) {
	cols := pick(nil, b, a.sess.fuse.parts)
	for i := range b.N {
		a.key = AppendRowEq(a.key[:0], cols, i)
		a.enc.Buf[a.enc.Off[i]] = KeyGroup(a.key)
	}
}

// move notes that a session has changed its bounds.
func (s *aggSessions) move(prefix []byte, old, new span) {
	s.moved = append(s.moved, sessMove{old, new})
	s.keys.Buf = append(s.keys.Buf, prefix...)
	s.keys.End()
}

func (s *aggSessions) forget() {
	s.moved = s.moved[:0]
	s.keys.Reset()
}

// mergeSessions merges the states of sessions that have become others.
func (a *agg) mergeSessions() error {
	s := a.sess
	gap := s.fuse.window.Window.Size
	var err error
	for i, m := range s.moved {
		prefix := s.keys.At(i)
		if s.from, err = a.sessionKey(s.from, prefix, m.old, gap); err != nil {
			return err
		}
		if s.to, err = a.sessionKey(s.to, prefix, m.new, gap); err != nil {
			return err
		}
		if string(s.from) == string(s.to) { // the keys hold the bound that stayed
			continue
		}
		src := a.t.Get(s.from, false)
		if src < 0 { // a filter left no row of it
			continue
		}
		dst := a.t.Get(s.to, true)
		a.t.Touch(src)
		a.t.Touch(dst)
		dp, sp := cutParts(nil, a.t.Tail(dst), s.slots), cutParts(nil, a.t.Tail(src), s.slots)
		s.merge(a.t.Words(dst), dp, a.t.Words(src), sp)
		if s.slots > 0 {
			a.tail = joinParts(a.tail[:0], dp)
			a.t.SetTail(dst, a.tail)
			a.t.SetTail(src, nil)
		}
		clear(a.t.Words(src))
	}
	s.forget()
	return a.t.Err()
}

// sessionKey appends the key that a session has in the aggregate's table.
func (a *agg) sessionKey(dst, prefix []byte, x span, gap int64) ([]byte, error) {
	s := a.sess
	s.cells = s.cells[:0]
	rest := prefix[1:]
	for _, c := range s.cols {
		next, err := types.SkipEq(rest, c.Type)
		if err != nil {
			return nil, err
		}
		s.cells = append(s.cells, rest[:len(rest)-len(next)])
		rest = next
	}
	dst = append(dst[:0], prefix[0])
	for _, o := range a.outKeys {
		switch k := s.fuse.keys[o]; k {
		case sessFrom:
			dst = appendTime(dst, x.from)
		case sessEnd:
			dst = appendTime(dst, x.last+gap)
		case sessTime:
			dst = appendTime(dst, x.last+gap-1)
		default:
			dst = append(dst, s.cells[k]...)
		}
	}
	return dst, nil
}

// cutParts appends the n parts of a tail.
func cutParts(dst [][]byte, tail []byte, n int) [][]byte {
	for range n {
		var part []byte
		part, tail = cutPart(tail)
		dst = append(dst, part)
	}
	return dst
}

// joinParts appends a tail of parts: what closeSlots makes.
func joinParts(dst []byte, parts [][]byte) []byte {
	end := len(dst)
	for _, p := range parts {
		dst = append(binary.AppendUvarint(dst, uint64(len(p))), p...)
		if len(p) > 0 {
			end = len(dst)
		}
	}
	return dst[:end]
}
