package exec

import (
	"bytes"
	"encoding/binary"

	"github.com/streamsql/streamsql/sql/delta"
	"github.com/streamsql/streamsql/sql/plan"
	"github.com/streamsql/streamsql/sql/sqlerr"
	"github.com/streamsql/streamsql/state"
)

// topN keeps, of each partition, the rows from Offset+1 to Offset+Limit in an
// order; ties break by the whole row. All rows are in a tree in that order. Of
// each partition that a step touches the visible rows are remembered before, and
// compared with those at Finish.
//
// Where rows only come, those that can never be visible are not kept.
type topN struct {
	n       *plan.Node
	set     *state.Tree
	cur     *state.Cursor
	order   []plan.Order
	from    int64 // positions, or ranks, from+1 to to are visible
	to      int64 // -1: to the end
	ties    bool
	rank    rankKind
	bounded bool // at most to rows of a partition are kept
	prune   bool // what is not visible is dropped at Finish

	parts   map[string]int32 // touched partitions
	touched []topPart
	was     topList
	now     topList
	enc     Keys
	keyCols []*delta.Vec
	key     []byte
	drop    Keys
	out     rowsOut
	groupTime
}

type rankKind int

const (
	rankNone rankKind = iota
	rankRow
	rankRank
	rankDense
)

type topPart struct {
	prefix   string
	from, to int32 // its entries in was
	count    int64 // bounded: rows kept
	bound    []byte
	partTime
}

// topList is visible rows, in order.
type topList struct {
	buf     []byte
	entries []topEntry
}

type topEntry struct {
	off, end int // of the encoded row, without its partition, in buf
	n        int64
	rank     int64
}

func (l *topList) clear() { l.buf, l.entries = l.buf[:0], l.entries[:0] }

func (l *topList) key(e *topEntry) []byte { return l.buf[e.off:e.end] }

var (
	_ Operator = (*topN)(nil)
	_ Stepper  = (*topN)(nil)
	_ Restorer = (*topN)(nil)
)

func newTopN(n *plan.Node, b *builder, worker int) (Operator, error) {
	t := &topN{n: n, order: n.Order, from: n.Offset, to: -1, ties: n.Ties, parts: map[string]int32{}}
	t.out.cols, t.out.step = n.Out, b.step
	if n.Limit >= 0 {
		t.to = n.Offset + n.Limit
		if t.to < 0 { // beyond 2^63
			t.to = -1
		}
	}
	switch n.Rank {
	case "":
	case "row_number":
		t.rank = rankRow
	case "rank":
		t.rank = rankRank
	case "dense_rank":
		t.rank = rankDense
	default:
		return nil, sqlerr.New(sqlerr.FeatureNotSupported, "rank %q is not supported", n.Rank)
	}
	grows := (n.Inputs[0].AppendOnly || b.opts.Batch) && t.to >= 0
	t.bounded = grows && !t.ties && t.rank <= rankRow
	t.prune = grows && !t.bounded
	t.initTime(n, b, n.Keys)
	t.set = b.tree(n, 0, worker)
	t.cur = t.set.Cursor()
	t.openTime(n, b, 1, worker)
	return t, nil
}

// Apply adds the rows of b to their partitions.
func (t *topN) Apply(_ int, b *delta.Batch, _ Emit) error {
	b, err := t.dropLate(b)
	if err != nil || b.N == 0 {
		return err
	}
	t.keyCols = pick(t.keyCols, b, t.n.Keys)
	if len(t.n.Keys) > 0 {
		t.enc.Encode(t.keyCols, b.N)
	}
	global := [1]byte{}
	for i := range b.N {
		prefix := global[:]
		if len(t.n.Keys) > 0 {
			prefix = t.enc.At(i)
		}
		p, err := t.touch(prefix, b, i)
		if err != nil {
			return err
		}
		k := append(t.key[:0], prefix...)
		k = appendOrder(k, b, i, t.order)
		start := len(k)
		for _, v := range b.Cols {
			k = appendCell(k, v, i)
		}
		k = binary.LittleEndian.AppendUint32(k, uint32(len(k)-start))
		t.key = k
		w := b.Weight(i)
		if t.bounded {
			t.addBounded(p, k, w)
			continue
		}
		t.set.Add(k, w)
	}
	return t.set.Err()
}

// touch notes that the partition of row i changes.
func (t *topN) touch(prefix []byte, b *delta.Batch, i int) (*topPart, error) {
	if i, ok := t.parts[string(prefix)]; ok {
		return &t.touched[i], nil
	}
	p := topPart{prefix: string(prefix), from: int32(len(t.was.entries))}
	p.partTime = t.partTime(t.cur, prefix, b, i)
	if err := t.visible(p.prefix, &t.was); err != nil {
		return nil, err
	}
	p.to = int32(len(t.was.entries))
	if t.bounded {
		for ok := t.cur.Seek(prefix); ok && bytes.HasPrefix(t.cur.Key(), prefix); ok = t.cur.Next() {
			p.count += t.cur.Weight()
			p.bound = append(p.bound[:0], t.cur.Key()...)
		}
	}
	t.parts[p.prefix] = int32(len(t.touched))
	t.touched = append(t.touched, p)
	return &t.touched[len(t.touched)-1], t.set.Err()
}

// addBounded adds a row unless to rows before it are there already, and drops
// what it drives out.
func (t *topN) addBounded(p *topPart, k []byte, w int64) {
	if p.count >= t.to && bytes.Compare(k, p.bound) >= 0 {
		return
	}
	t.set.Add(k, w)
	if p.count += w; len(p.bound) == 0 || bytes.Compare(k, p.bound) > 0 {
		p.bound = append(p.bound[:0], k...)
	}
	for p.count > t.to {
		// The greatest goes, if enough are left without it.
		n := t.set.Get(p.bound)
		if p.count-n < t.to {
			t.set.Add(p.bound, -(p.count - t.to))
			p.count = t.to
			return
		}
		t.set.Add(p.bound, -n)
		if p.count -= n; p.count == 0 {
			p.bound = p.bound[:0]
			return
		}
		t.cur.Seek(p.bound)
		if t.cur.Prev() {
			p.bound = append(p.bound[:0], t.cur.Key()...)
		}
	}
}

// visible appends the visible rows of a partition to l.
func (t *topN) visible(prefix string, l *topList) error {
	var pos, rank, dense int64 // rows before; rank and dense rank of the peers
	var peers []byte           // their order
	last := int64(-1)          // with ties: the rank up to which rows are visible
	for ok := t.cur.Seek([]byte(prefix)); ok; ok = t.cur.Next() {
		k := t.cur.Key()
		if len(k) < len(prefix) || string(k[:len(prefix)]) != prefix {
			break
		}
		k = k[len(prefix):]
		n := t.cur.Weight()
		if n < 0 {
			return errUnmatched(t.n)
		}
		if o := orderOf(k); dense == 0 || !bytes.Equal(o, peers) {
			peers = append(peers[:0], o...)
			rank = pos + 1
			dense++
		}
		at := pos
		pos += n
		var show, r int64
		switch t.rank {
		case rankNone, rankRow:
			lo, hi := max(at, t.from), pos
			if t.to >= 0 {
				hi = min(pos, t.to)
			}
			if t.ties && last < 0 && t.to >= 0 && pos >= t.to && t.to > t.from {
				last = rank
			}
			if t.ties && rank == last {
				hi = pos
			}
			show, r = hi-lo, lo+1
		case rankRank:
			show, r = n, rank
		case rankDense:
			show, r = n, dense
		}
		if t.rank >= rankRank && (r <= t.from || t.to >= 0 && r > t.to) {
			show = 0
		}
		if show > 0 {
			e := topEntry{off: len(l.buf), n: show}
			l.buf = append(l.buf, k...)
			e.end = len(l.buf)
			switch t.rank {
			case rankNone:
				l.entries = append(l.entries, e)
			case rankRow:
				for e.n = 1; show > 0; show-- {
					e.rank = r
					r++
					l.entries = append(l.entries, e)
				}
			default:
				e.rank = r
				l.entries = append(l.entries, e)
			}
		} else if t.to >= 0 && at >= t.to && (t.rank < rankRank || r > t.to) {
			break
		}
	}
	return t.set.Err()
}

// rowOf returns the row's cells in an encoded row, orderOf what is before them.
func rowOf(k []byte) []byte {
	end := len(k) - 4
	return k[end-int(binary.LittleEndian.Uint32(k[end:])) : end]
}

func orderOf(k []byte) []byte {
	end := len(k) - 4
	return k[:end-int(binary.LittleEndian.Uint32(k[end:]))]
}

// Finish emits how the visible rows changed.
func (t *topN) Finish(out Emit) error {
	for i := range t.touched {
		p := &t.touched[i]
		t.now.clear()
		if err := t.visible(p.prefix, &t.now); err != nil {
			return err
		}
		if err := t.diff(t.was.entries[p.from:p.to], out); err != nil {
			return err
		}
		t.partChanged(t.cur, p.prefix, &p.partTime)
		if t.prune {
			if err := t.pruneRest(p.prefix); err != nil {
				return err
			}
		}
	}
	t.forget()
	if t.out.b == nil {
		return t.set.Err()
	}
	return t.out.flush(out)
}

// diff emits the difference of the rows was, in t.was, and those in t.now. Both
// are in order.
func (t *topN) diff(was []topEntry, out Emit) error {
	now := t.now.entries
	for len(was) > 0 || len(now) > 0 {
		c := 0
		switch {
		case len(was) == 0:
			c = 1
		case len(now) == 0:
			c = -1
		default:
			c = bytes.Compare(t.was.key(&was[0]), t.now.key(&now[0]))
			if c == 0 && was[0].rank != now[0].rank {
				c = 1
				if was[0].rank < now[0].rank {
					c = -1
				}
			}
		}
		var k []byte
		var rank, w int64
		if c <= 0 {
			k, rank, w = t.was.key(&was[0]), was[0].rank, -was[0].n
			was = was[1:]
		}
		if c >= 0 {
			k, rank, w = t.now.key(&now[0]), now[0].rank, w+now[0].n
			now = now[1:]
		}
		if w == 0 {
			continue
		}
		cols := t.out.row(w)
		rows := cols
		if t.rank != rankNone {
			rows = cols[:len(cols)-1]
			cols[len(cols)-1].AppendInt(rank)
		}
		if _, err := DecodeRow(rowOf(k), nil, rows); err != nil {
			return err
		}
		if err := t.out.done(out); err != nil {
			return err
		}
	}
	return nil
}

// pruneRest drops the rows of a partition behind the last that is visible: in
// front of them none will ever go away.
func (t *topN) pruneRest(prefix string) error {
	if len(t.now.entries) == 0 {
		return nil
	}
	last := append([]byte(prefix), t.now.key(&t.now.entries[len(t.now.entries)-1])...)
	t.drop.Reset()
	ok := t.cur.Seek(last)
	for ok = ok && t.cur.Next(); ok; ok = t.cur.Next() {
		k := t.cur.Key()
		if len(k) < len(prefix) || string(k[:len(prefix)]) != prefix {
			break
		}
		t.drop.Buf = append(t.drop.Buf, k...)
		t.drop.End()
	}
	for i := range t.drop.Len() {
		k := t.drop.At(i)
		t.set.Add(k, -t.set.Get(k))
	}
	return t.set.Err()
}

// forget lets the step's partitions go.
func (t *topN) forget() {
	clear(t.parts)
	clear(t.touched)
	t.touched = t.touched[:0]
	t.was.clear()
}

// Advance drops the partitions that the watermark has closed.
func (t *topN) Advance(wm []int64, _ Emit) (int64, error) {
	return t.advanceParts(inputTime(t.n, wm), t.set, t.cur)
}

// Commit and Rollback end a step.
func (t *topN) Commit() { t.forget(); t.commitTime() }
func (t *topN) Rollback() {
	t.forget()
	t.out.b = nil
	t.rollbackTime()
}

// Restore takes the watermark up after a restart.
func (t *topN) Restore(wm []int64) { t.restoreTime(inputTime(t.n, wm)) }

// Held returns the memory of what the step remembers.
func (t *topN) Held() int64 {
	return int64(cap(t.was.buf)) + int64(len(t.was.entries))*32 + int64(len(t.touched))*100
}

// NextClose returns the watermark at which a partition is closed next.
func (t *topN) NextClose() int64 { return t.nextPart() }
