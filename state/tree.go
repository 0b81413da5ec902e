package state

import (
	"slices"
	"sync/atomic"

	"github.com/streamsql/streamsql/sql/sqlerr"
)

// version is one state of a tree's pages: what a snapshot pins.
type version struct {
	root  *node
	len   int
	bytes int64
	stubs int
}

// Tree is an ordered map from byte-string keys to non-zero int64 weights, a
// B+tree: a Z-set. It must be used by one goroutine at a time; its snapshots
// are free of that rule. It is a [Table].
type Tree struct {
	version
	gen    uint64 // pages of this generation are the tree's alone
	edits  uint64 // changes so far, by which a stale cursor is told
	loads  uint64 // pages read so far: what a cursor's path may miss
	pins   atomic.Int64
	pinned int64 // bytes of the pages replaced since there was no snapshot
	kept   int64 // bytes that the last Evict could not evict, as a snapshot holds them
	scan   *Cursor

	log     changelog // since the last capture, or of the step alone
	inStep  bool
	step    position // where the step begins in log
	tracked bool     // log goes back to the last capture

	seq     uint64       // of the next capture
	durable uint64       // of the last capture that is durable
	failed  []*changelog // captures that are to be written again, oldest first
	open    *capture

	reader  Reader
	part    func(key []byte) int // see FilterBy
	err     error
	squeeze bool     // eviction lets filters go
	hashes  []uint32 // scratch of eviction
	hand    []byte   // where eviction goes on
	back    int64    // bytes read back since the last Evict
	begun   int64    // bytes when the step began, and what was read back or evicted since
}

var _ Table = (*Tree)(nil)

// NewTree returns an empty tree.
func NewTree() *Tree {
	t := &Tree{gen: 1, seq: 1}
	t.root = &node{gen: t.gen}
	t.account(t.root)
	return t
}

// account brings the tree's byte count up to date with page n. It also gives
// back the room a long key left behind when it was split off.
func (t *Tree) account(n *node) {
	if c := cap(n.arena); c > 2*pageSize && c > 2*len(n.arena) {
		n.arena = append(make([]byte, 0, len(n.arena)), n.arena...)
	}
	m := nodeSize + int64(cap(n.arena)) + 4*int64(cap(n.ends)) + 8*int64(cap(n.heads)+cap(n.ws)+cap(n.kids))
	t.bytes += m - n.mem
	n.mem = m
}

// own returns n if the tree may change it, or else a copy that it may. A stub
// is never changed.
func (t *Tree) own(n *node) *node {
	if n.gen == t.gen || n.stub {
		return n
	}
	if t.pins.Load() == 0 { // no one else can reach it any more
		t.pinned = 0
		n.gen = t.gen
		return n
	}
	c := &node{gen: t.gen, mod: n.mod, run: n.run, hot: n.hot, pre: n.pre}
	// Room for a few more entries, as a page is mostly copied to grow.
	more := len(n.ends)/8 + 1
	c.arena = append(make([]byte, 0, len(n.arena)+len(n.arena)/8+32), n.arena...)
	c.ends = append(make([]uint32, 0, len(n.ends)+more), n.ends...)
	c.heads = append(make([]uint64, 0, len(n.ends)+more), n.heads...)
	if n.isLeaf() {
		c.ws = append(make([]int64, 0, len(n.ws)+more), n.ws...)
	} else {
		c.kids = append(make([]*node, 0, len(n.kids)+more), n.kids...)
	}
	t.pinned += n.mem
	t.bytes -= n.mem
	t.account(c)
	return c
}

// takeRoot makes the root a page that the tree may change, and not a stub.
func (t *Tree) takeRoot() {
	if t.root.stub {
		t.root = &node{gen: t.gen, kids: []*node{t.root}}
		t.account(t.root)
		return
	}
	t.root = t.own(t.root)
}

// mendRoot splits a root that is too large and drops one that has no choice.
func (t *Tree) mendRoot() {
	for t.root.over() {
		r := &node{gen: t.gen, kids: []*node{t.root}}
		t.splitKid(r, 0)
		t.account(r)
		t.root = r
	}
	for !t.root.isLeaf() && !t.root.stub && len(t.root.kids) < 2 {
		t.bytes -= t.root.mem
		if len(t.root.kids) == 1 {
			t.root = t.root.kids[0]
			continue
		}
		t.root = &node{gen: t.gen}
		t.account(t.root)
	}
}

// mendKid removes child i of n if it is empty and splits it if it is too large.
func (t *Tree) mendKid(n *node, i int) {
	switch k := n.kids[i]; {
	case k.stub:
	case k.empty():
		t.bytes -= k.mem
		n.removeKid(i)
		n.mod = t.seq
	case k.over():
		t.splitKid(n, i)
		t.account(n)
	}
}

// Add adds w to the weight of key and returns the weight before and after. A
// key whose weight reaches 0 leaves the tree. Weights wrap around at 64 bits,
// so adding -w always undoes adding w, but Err then says 22003. The key is copied.
// Add panics if key is longer than [MaxKey]. When the durable state cannot be read, Add changes
// nothing and answers as if the key had been absent.
func (t *Tree) Add(key []byte, w int64) (old, new int64) {
	if len(key) > MaxKey {
		panic("state: key too long")
	}
	if w == 0 {
		old = t.Get(key)
		return old, old
	}
	old, new, ok := t.change(key, w)
	if ok && (t.inStep || t.tracked) {
		t.log.add(key, w, new)
	}
	return old, new
}

// change is Add without the changelog; ok says whether it was done.
func (t *Tree) change(key []byte, w int64) (old, new int64, ok bool) {
	t.edits++
	t.takeRoot()
	old, new, ok = t.add(t.root, key, w)
	t.mendRoot()
	if !ok {
		return 0, w, false
	}
	return old, new, true
}

// add is change under n, which the tree owns. It may leave n itself too large,
// too small or empty, for the caller to mend.
func (t *Tree) add(n *node, key []byte, w int64) (old, new int64, ok bool) {
	if n.isLeaf() {
		n.hot = true
		n.mod = t.seq
		i, ok := n.find(key)
		if !ok {
			if i == len(n.ends) {
				n.run++
			} else {
				n.run = 0
			}
			n.insertKey(i, key)
			n.ws = slices.Insert(n.ws, i, w)
			t.account(n)
			t.len++
			return 0, w, true
		}
		old, new = n.ws[i], n.ws[i]+w
		if (old^new)&(w^new) < 0 {
			t.fail(errWeight)
		}
		if new != 0 {
			n.ws[i] = new
			return old, new, true
		}
		n.removeKey(i)
		n.ws = slices.Delete(n.ws, i, i+1)
		n.run = 0
		t.len--
		return old, 0, true
	}
	i := n.child(key)
	for n.kids[i].stub {
		if !n.kids[i].holds(key) {
			i = t.beside(n, i, key)
			break
		}
		if n.kids[i].mayCut() && t.absent(n.kids[i], key) {
			i = t.cut(n, i, key)
			break
		}
		if !t.load(n, i, key, false) {
			return 0, 0, false
		}
		if len(n.kids) == 0 { // there was nothing on disk
			i = t.beside(n, 0, key)
			break
		}
		i = n.child(key)
	}
	k := t.own(n.kids[i])
	n.kids[i] = k
	old, new, ok = t.add(k, key, w)
	if ok && new == 0 && k.size() < pageLow && !k.empty() {
		if !(i > 0 && t.mergeKids(n, i-1)) && i+1 < len(n.kids) {
			t.mergeKids(n, i)
		}
		return old, new, ok
	}
	t.mendKid(n, i)
	return old, new, ok
}

// splitKid splits child i of p until no piece of it is too large: twice, when
// a long key must be set apart from neighbours on both sides.
func (t *Tree) splitKid(p *node, i int) {
	k := p.kids[i]
	if !k.over() {
		return
	}
	r := &node{gen: t.gen, mod: k.mod, hot: k.hot}
	var sep []byte
	if k.isLeaf() {
		m := k.splitPoint(1)
		if k.run >= runSplit {
			m = len(k.ends) - 1
			r.run = k.run
			// The run will likely fill this page as it did the last.
			room := min(len(k.arena), pageSize)
			r.arena = make([]byte, 0, room)
			r.ends = make([]uint32, 0, len(k.ends))
			r.heads = make([]uint64, 0, len(k.ends))
			r.ws = make([]int64, 0, len(k.ends))
		}
		r.appendKeys(k, m, len(k.ends))
		r.ws = append(r.ws, k.ws[m:]...)
		sep = separator(k.key(m-1), k.key(m))
		k.truncate(m)
		k.ws = k.ws[:m]
		k.run = 0
	} else {
		// Separator m-1 moves up, between kids[:m] and kids[m:].
		m := k.splitPoint(2)
		r.appendKeys(k, m, len(k.ends))
		r.kids = append(r.kids, k.kids[m:]...)
		sep = k.key(m - 1)
		k.truncate(m - 1)
		k.kids = slices.Delete(k.kids, m, len(k.kids))
	}
	r.index()
	t.account(k)
	t.account(r)
	p.insertKey(i, sep)
	p.kids = slices.Insert(p.kids, i+1, r)
	t.splitKid(p, i+1)
	t.splitKid(p, i)
}

// mergeKids joins children i and i+1 of p, if they fit one page well, and says
// whether it did.
func (t *Tree) mergeKids(p *node, i int) bool {
	l, r, sep := p.kids[i], p.kids[i+1], p.key(i)
	if l.stub || r.stub {
		return false
	}
	size := l.size() + r.size()
	if !l.isLeaf() {
		size += len(sep) + entrySize
	}
	if size > pageFill && (l.isLeaf() || len(l.kids)+len(r.kids) >= minSplit) {
		return false
	}
	l = t.own(l)
	p.kids[i] = l
	if l.isLeaf() {
		l.ws = append(l.ws, r.ws...)
	} else {
		l.insertKey(len(l.ends), sep)
		l.kids = append(l.kids, r.kids...)
	}
	l.appendKeys(r, 0, len(r.ends))
	l.index()
	l.run = 0
	// Between the two, keys may have left the tree that the durable state has.
	l.mod = t.seq
	l.hot = l.hot || r.hot
	t.bytes -= r.mem
	t.account(l)
	p.removeKid(i + 1)
	return true
}

// Get returns the weight of key, 0 if the tree does not hold it.
func (t *Tree) Get(key []byte) int64 {
	for n := t.root; ; {
		switch {
		case n.stub:
			if !n.holds(key) || t.absent(n, key) || !t.fault(key, key, false) {
				return 0
			}
			n = t.root
		case n.kids != nil:
			n = n.kids[n.child(key)]
		default:
			if !n.hot {
				n.hot = true
			}
			if i, ok := n.find(key); ok {
				return n.ws[i]
			}
			return 0
		}
	}
}

// Len returns the number of keys, those on disk alone included.
func (t *Tree) Len() int { return t.len }

// Bytes returns the memory of the tree's pages, spare room included, and of its
// changelog. Pages that only a snapshot still reaches are not counted: see Pinned.
func (t *Tree) Bytes() int64 {
	b := t.bytes + t.log.mem
	for _, j := range t.failed {
		b += j.mem
	}
	if t.open != nil {
		b += t.open.mem
	}
	return b
}

// Grown implements [Table].
func (t *Tree) Grown() int64 { return t.Bytes() - t.begun }

// ReadBack implements [Table].
func (t *Tree) ReadBack() int64 { return t.back }

// Pinned returns the bytes, at most, of pages that live for snapshots alone.
func (t *Tree) Pinned() int64 {
	if t.pins.Load() == 0 {
		t.pinned = 0
	}
	return t.pinned
}

// Kept returns the bytes, about, that the last Evict passed over as a snapshot
// holds them.
func (t *Tree) Kept() int64 {
	if t.pins.Load() == 0 {
		t.kept = 0
	}
	return t.kept / 4 // it went round up to four times
}

// Err is the first failure to read the durable state, or the first overflow of a
// weight, since the last Rollback, which puts right whatever a step made of it.
func (t *Tree) Err() error { return t.err }

var errWeight = sqlerr.New(sqlerr.NumericOutOfRange, "bigint out of range").
	WithDetail("A row would be there more often than a 64-bit number can say.")

// Begin starts a step.
func (t *Tree) Begin() {
	if t.inStep {
		panic("state: a step within a step")
	}
	t.inStep = true
	t.step = t.log.end()
	t.begun = t.Bytes()
}

// Commit ends the step and keeps what it changed.
func (t *Tree) Commit() {
	t.endStep()
	if !t.tracked {
		t.log.truncate(t.step)
	}
}

// Rollback ends the step and undoes what it changed, by adding the opposite of
// each weight that it added. That reads nothing: the pages are still there, or
// the keys stand outside every stub's bounds.
func (t *Tree) Rollback() {
	t.endStep()
	t.log.from(t.step, func(key []byte, w int64) { t.change(key, -w) })
	t.log.truncate(t.step)
	t.err = nil
}

func (t *Tree) endStep() {
	if !t.inStep {
		panic("state: Commit or Rollback without Begin")
	}
	t.inStep = false
}
