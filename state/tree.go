package state

import (
	"bytes"
	"slices"
	"sync/atomic"
	"unsafe"
)

const (
	// pageSize is the payload at which a page is split. Only a leaf with a
	// single entry, or an inner page with fewer than minSplit children, may
	// be larger.
	pageSize = 4096
	// pageLow is the payload under which a page that lost an entry tries to
	// merge with a sibling, and pageFill the most a merged page may hold:
	// the gap between pageFill and pageSize keeps one key that comes and
	// goes from merging and splitting the same pages again and again.
	pageLow  = pageSize / 4
	pageFill = pageSize * 3 / 4
	// minSplit is the least number of children an inner page is split at,
	// so that each half has at least two and the tree's height stays
	// logarithmic however long the separators are.
	minSplit = 4
	// runSplit is how many insertions in a row must have landed at the end
	// of a leaf for it to be split at its end, as ascending keys want,
	// rather than in the middle.
	runSplit = 3
	// MaxKey is the longest key a tree takes. Offsets in a page are 32 bits
	// wide, and a page may hold two such keys for a moment before a split.
	MaxKey = 1 << 30

	entrySize = 4 + 8 // an offset, and a weight or a child
	nodeSize  = int64(unsafe.Sizeof(node{}))
)

// node is a page: a leaf if kids is nil. A leaf holds keys and their weights;
// an inner node with n children holds n-1 separators, where every key under
// kids[i] is < separator i and every key under kids[i+1] is >= it.
//
// The keys (or separators) are laid end to end in arena, ends[i] being where
// the i-th stops: the contents of a leaf hold no pointers for the garbage
// collector to follow.
type node struct {
	gen   uint64 // the tree generation that made the page, and may change it
	mem   int64  // what the page adds to Tree.bytes
	run   int    // insertions in a row at the end of the leaf
	arena []byte
	ends  []uint32
	ws    []int64
	kids  []*node
}

func (n *node) isLeaf() bool { return n.kids == nil }

// start is where key i begins in the arena; i may be len(ends).
func (n *node) start(i int) uint32 {
	if i == 0 {
		return 0
	}
	return n.ends[i-1]
}

// key returns key i. Its capacity is cut so that an append cannot write into
// the next key.
func (n *node) key(i int) []byte {
	e := n.ends[i]
	return n.arena[n.start(i):e:e]
}

// size is the page's payload, which decides splits and merges.
func (n *node) size() int { return len(n.arena) + entrySize*len(n.ends) }

// over says whether the page must be split.
func (n *node) over() bool {
	if n.size() <= pageSize {
		return false
	}
	if n.isLeaf() {
		return len(n.ends) > 1
	}
	return len(n.kids) >= minSplit
}

// empty says whether the page has nothing left to hold.
func (n *node) empty() bool {
	if n.isLeaf() {
		return len(n.ends) == 0
	}
	return len(n.kids) == 0
}

// find returns the first index whose key is >= key, and whether it is equal.
func (n *node) find(key []byte) (int, bool) {
	lo, hi := 0, len(n.ends)
	for lo < hi {
		m := int(uint(lo+hi) >> 1)
		switch c := bytes.Compare(n.key(m), key); {
		case c < 0:
			lo = m + 1
		case c > 0:
			hi = m
		default:
			return m, true
		}
	}
	return lo, false
}

// child returns the index of the child whose range holds key.
func (n *node) child(key []byte) int {
	i, eq := n.find(key)
	if eq {
		i++
	}
	return i
}

// insertKey puts key into the arena as the i-th.
func (n *node) insertKey(i int, key []byte) {
	// The key may be a part of this very arena (a cursor's Key, shortened),
	// which is about to move.
	var buf [64]byte
	k := append(buf[:0], key...)
	s, old, w := int(n.start(i)), len(n.arena), len(k)
	n.arena = append(n.arena, k...)
	copy(n.arena[s+w:], n.arena[s:old])
	copy(n.arena[s:], k)
	n.ends = append(n.ends, 0)
	copy(n.ends[i+1:], n.ends[i:])
	n.ends[i] = uint32(s)
	for j := i; j < len(n.ends); j++ {
		n.ends[j] += uint32(w)
	}
}

// removeKey takes the i-th key out of the arena.
func (n *node) removeKey(i int) {
	s, e := n.start(i), n.ends[i]
	n.arena = append(n.arena[:s], n.arena[e:]...)
	n.ends = append(n.ends[:i], n.ends[i+1:]...)
	for j := i; j < len(n.ends); j++ {
		n.ends[j] -= e - s
	}
}

// appendKeys adds keys from..to of o after those of n.
func (n *node) appendKeys(o *node, from, to int) {
	base, s := uint32(len(n.arena)), o.start(from)
	n.arena = append(n.arena, o.arena[s:o.start(to)]...)
	for _, e := range o.ends[from:to] {
		n.ends = append(n.ends, base+e-s)
	}
}

// truncate keeps the first i keys.
func (n *node) truncate(i int) {
	n.arena = n.arena[:n.start(i)]
	n.ends = n.ends[:i]
}

// removeKid drops child i and the separator beside it; the range of a
// neighbour grows over the gap.
func (n *node) removeKid(i int) {
	n.kids = slices.Delete(n.kids, i, i+1)
	if len(n.ends) > 0 {
		n.removeKey(max(i-1, 0))
	}
}

// get returns the weight of key under n, 0 if it is absent.
func (n *node) get(key []byte) int64 {
	for !n.isLeaf() {
		n = n.kids[n.child(key)]
	}
	if i, ok := n.find(key); ok {
		return n.ws[i]
	}
	return 0
}

// version is one state of a tree: what a snapshot or a mark pins.
type version struct {
	root  *node
	len   int
	bytes int64
}

// Tree is an ordered map from byte-string keys to non-zero int64 weights, a
// copy-on-write B+tree. It must be used by one goroutine at a time; its
// snapshots are free of that rule.
type Tree struct {
	version
	gen   uint64 // pages of this generation are the tree's alone
	edits uint64 // changes so far, by which a stale cursor is told
	marks []version
	pins  atomic.Int64
}

// NewTree returns an empty tree.
func NewTree() *Tree {
	t := &Tree{gen: 1}
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
	m := nodeSize + int64(cap(n.arena)) + 4*int64(cap(n.ends)) + 8*int64(cap(n.ws)) + 8*int64(cap(n.kids))
	t.bytes += m - n.mem
	n.mem = m
}

// own returns n if the tree may change it, or else a copy that it may.
func (t *Tree) own(n *node) *node {
	if n.gen == t.gen {
		return n
	}
	c := &node{gen: t.gen, run: n.run}
	// Room for a few more entries, as a page is mostly copied to grow.
	more := len(n.ends)/8 + 1
	c.arena = append(make([]byte, 0, len(n.arena)+len(n.arena)/8+32), n.arena...)
	c.ends = append(make([]uint32, 0, len(n.ends)+more), n.ends...)
	if n.isLeaf() {
		c.ws = append(make([]int64, 0, len(n.ws)+more), n.ws...)
	} else {
		c.kids = append(make([]*node, 0, len(n.kids)+more), n.kids...)
	}
	t.bytes -= n.mem
	t.account(c)
	return c
}

// Add adds w to the weight of key and returns the weight before and after. A
// key whose weight reaches 0 leaves the tree. Weights wrap around at 64 bits,
// so adding -w always undoes adding w. The key is copied. Add panics if key is
// longer than [MaxKey].
func (t *Tree) Add(key []byte, w int64) (old, new int64) {
	if len(key) > MaxKey {
		panic("state: key too long")
	}
	if w == 0 {
		old = t.Get(key)
		return old, old
	}
	t.edits++
	t.root = t.own(t.root)
	old, new = t.add(t.root, key, w)
	for t.root.over() {
		r := &node{gen: t.gen, kids: []*node{t.root}}
		t.splitKid(r, 0)
		t.account(r)
		t.root = r
	}
	for !t.root.isLeaf() && len(t.root.kids) < 2 {
		t.bytes -= t.root.mem
		if len(t.root.kids) == 1 {
			t.root = t.root.kids[0]
			continue
		}
		t.root = &node{gen: t.gen}
		t.account(t.root)
	}
	return old, new
}

// add is Add under n, which the tree owns. It may leave n itself too large,
// too small or empty, for the caller to mend.
func (t *Tree) add(n *node, key []byte, w int64) (old, new int64) {
	if n.isLeaf() {
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
			return 0, w
		}
		old, new = n.ws[i], n.ws[i]+w
		if new != 0 {
			n.ws[i] = new
			return old, new
		}
		n.removeKey(i)
		n.ws = slices.Delete(n.ws, i, i+1)
		n.run = 0
		t.len--
		return old, 0
	}
	i := n.child(key)
	k := t.own(n.kids[i])
	n.kids[i] = k
	old, new = t.add(k, key, w)
	switch {
	case k.empty():
		t.bytes -= k.mem
		n.removeKid(i)
	case k.over():
		t.splitKid(n, i)
		t.account(n)
	case new == 0 && k.size() < pageLow:
		if !(i > 0 && t.mergeKids(n, i-1)) && i+1 < len(n.kids) {
			t.mergeKids(n, i)
		}
	}
	return old, new
}

// splitKid splits child i of p until no piece of it is too large: twice, when
// a long key must be set apart from neighbours on both sides.
func (t *Tree) splitKid(p *node, i int) {
	k := p.kids[i]
	if !k.over() {
		return
	}
	r := &node{gen: t.gen}
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
	t.account(k)
	t.account(r)
	p.insertKey(i, sep)
	p.kids = slices.Insert(p.kids, i+1, r)
	t.splitKid(p, i+1)
	t.splitKid(p, i)
}

// splitPoint returns the index that best halves the page's payload and leaves
// at least least entries (children, of an inner page) on either side.
func (n *node) splitPoint(least int) int {
	last := max(len(n.ws), len(n.kids)) - least
	best, bestD := least, int(^uint(0)>>1)
	total := n.size()
	for m := least; m <= last; m++ {
		d := 2*(int(n.start(m))+entrySize*m) - total
		if d < 0 {
			d = -d
		}
		if d < bestD {
			best, bestD = m, d
		}
	}
	return best
}

// separator returns the shortest prefix of b that is > a, given a < b.
func separator(a, b []byte) []byte {
	i := 0
	for i < len(a) && a[i] == b[i] {
		i++
	}
	return b[:i+1]
}

// mergeKids joins children i and i+1 of p, if they fit one page well, and says
// whether it did.
func (t *Tree) mergeKids(p *node, i int) bool {
	l, r, sep := p.kids[i], p.kids[i+1], p.key(i)
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
	l.run = 0
	t.bytes -= r.mem
	t.account(l)
	p.removeKid(i + 1)
	return true
}

// Get returns the weight of key, 0 if the tree does not hold it.
func (t *Tree) Get(key []byte) int64 { return t.root.get(key) }

// Len returns the number of keys.
func (t *Tree) Len() int { return t.len }

// Bytes returns the memory of the tree's pages, spare room included. Pages
// that only a snapshot or a mark still reaches are not counted.
func (t *Tree) Bytes() int64 { return t.bytes }

// Snapshot pins the tree as it is, in constant time. Like any call on the tree
// it belongs to the writer's goroutine; the snapshot may be handed to others.
func (t *Tree) Snapshot() *Snapshot {
	t.gen++
	t.pins.Add(1)
	s := &Snapshot{pins: &t.pins}
	v := t.version
	s.v.Store(&v)
	return s
}

// Snapshots returns how many snapshots have not been released.
func (t *Tree) Snapshots() int { return int(t.pins.Load()) }

// Mark starts a step that can be undone. Marks nest: each is ended by one
// Commit or Rollback, the latest first.
func (t *Tree) Mark() {
	t.gen++
	t.marks = append(t.marks, t.version)
}

// Rollback puts the tree back as it was at the latest mark, and drops the
// mark. It panics if there is none.
func (t *Tree) Rollback() {
	v := t.popMark()
	// The generation is not put back: pages of the mark may be pinned by
	// an outer mark or a snapshot, and so stay read-only.
	t.version = v
	t.edits++
}

// Commit keeps the changes since the latest mark, and drops the mark. It
// panics if there is none.
func (t *Tree) Commit() { t.popMark() }

func (t *Tree) popMark() version {
	if len(t.marks) == 0 {
		panic("state: Commit or Rollback without Mark")
	}
	last := len(t.marks) - 1
	v := t.marks[last]
	t.marks[last] = version{}
	t.marks = t.marks[:last]
	return v
}

// Cursor returns a cursor before the tree's first key. A change to the tree
// ends it: any later call on the cursor but Seek panics.
func (t *Tree) Cursor() *Cursor { return &Cursor{tree: t, root: t.root, edits: t.edits} }

// ScanPrefix calls fn with each key that begins with prefix, in ascending
// order, until fn returns false. fn must not change the tree unless it then
// returns false, nor keep the key.
func (t *Tree) ScanPrefix(prefix []byte, fn func(key []byte, w int64) bool) {
	scanPrefix(t.Cursor(), prefix, fn)
}

func scanPrefix(c *Cursor, prefix []byte, fn func(key []byte, w int64) bool) {
	for ok := c.Seek(prefix); ok; ok = c.Next() {
		k := c.Key()
		if !bytes.HasPrefix(k, prefix) || !fn(k, c.Weight()) {
			return
		}
	}
}

// Snapshot is a tree as it was at one moment. Any number of goroutines may
// read it, also while the tree is written. Reading it after Release panics.
type Snapshot struct {
	v    atomic.Pointer[version]
	pins *atomic.Int64
}

func (s *Snapshot) version() *version {
	v := s.v.Load()
	if v == nil {
		panic("state: snapshot read after Release")
	}
	return v
}

// Release lets go of the pages the snapshot pins. A second call does nothing.
func (s *Snapshot) Release() {
	if s.v.Swap(nil) != nil {
		s.pins.Add(-1)
	}
}

// Get returns the weight of key, 0 if the snapshot does not hold it.
func (s *Snapshot) Get(key []byte) int64 { return s.version().root.get(key) }

// Len returns the number of keys.
func (s *Snapshot) Len() int { return s.version().len }

// Bytes returns the memory of the snapshot's pages, those it shares with the
// tree included.
func (s *Snapshot) Bytes() int64 { return s.version().bytes }

// Cursor returns a cursor before the snapshot's first key. The cursor, and the
// keys it returns, stay good after Release.
func (s *Snapshot) Cursor() *Cursor { return &Cursor{root: s.version().root} }

// ScanPrefix calls fn with each key that begins with prefix, in ascending
// order, until fn returns false. fn must not change the key.
func (s *Snapshot) ScanPrefix(prefix []byte, fn func(key []byte, w int64) bool) {
	scanPrefix(s.Cursor(), prefix, fn)
}

// frame is a step of a cursor's path: the child taken, or the leaf's entry.
type frame struct {
	n *node
	i int
}

// Cursor walks keys in order, either way. Besides the keys it can stand before
// the first and after the last, from where Next and Prev lead back in.
type Cursor struct {
	tree  *Tree // nil over a snapshot
	root  *node
	edits uint64
	after bool    // where an empty path stands: after the last key, or before the first
	path  []frame // root to leaf, empty when not on a key
	buf   [8]frame
}

func (c *Cursor) check() {
	if c.tree != nil && c.edits != c.tree.edits {
		panic("state: cursor used after its tree changed")
	}
}

// Seek moves to the first key >= key, or after the last key if there is none,
// and returns Valid. On a tree it also takes the tree up as it now is.
func (c *Cursor) Seek(key []byte) bool {
	if c.tree != nil {
		c.root, c.edits = c.tree.root, c.tree.edits
	}
	c.path = c.buf[:0]
	n := c.root
	for !n.isLeaf() {
		i := n.child(key)
		c.path = append(c.path, frame{n, i})
		n = n.kids[i]
	}
	i, _ := n.find(key)
	c.path = append(c.path, frame{n, i})
	if i < len(n.ends) {
		return true
	}
	return c.forward()
}

// forward moves from past the end of a leaf to the next leaf's first key.
func (c *Cursor) forward() bool {
	for d := len(c.path) - 2; d >= 0; d-- {
		if f := &c.path[d]; f.i+1 < len(f.n.kids) {
			f.i++
			c.path = c.path[:d+1]
			return c.descend(f.n.kids[f.i], false)
		}
	}
	c.path, c.after = c.path[:0], true
	return false
}

// backward moves from before the start of a leaf to the previous leaf's last
// key.
func (c *Cursor) backward() bool {
	for d := len(c.path) - 2; d >= 0; d-- {
		if f := &c.path[d]; f.i > 0 {
			f.i--
			c.path = c.path[:d+1]
			return c.descend(f.n.kids[f.i], true)
		}
	}
	c.path, c.after = c.path[:0], false
	return false
}

// descend extends the path to the first key under n, or the last.
func (c *Cursor) descend(n *node, last bool) bool {
	for {
		i := 0
		if last {
			i = max(len(n.ws), len(n.kids)) - 1
		}
		if n.isLeaf() {
			if len(n.ws) == 0 { // the root of an empty tree
				c.after = !last
				return false
			}
			c.path = append(c.path, frame{n, i})
			return true
		}
		c.path = append(c.path, frame{n, i})
		n = n.kids[i]
	}
}

// Next moves to the next key, from before the first to the first, and returns
// Valid.
func (c *Cursor) Next() bool {
	c.check()
	if len(c.path) == 0 {
		if c.after {
			return false
		}
		c.path = c.buf[:0]
		return c.descend(c.root, false)
	}
	f := &c.path[len(c.path)-1]
	if f.i++; f.i < len(f.n.ends) {
		return true
	}
	return c.forward()
}

// Prev moves to the previous key, from after the last to the last, and returns
// Valid.
func (c *Cursor) Prev() bool {
	c.check()
	if len(c.path) == 0 {
		if !c.after {
			return false
		}
		c.path = c.buf[:0]
		return c.descend(c.root, true)
	}
	f := &c.path[len(c.path)-1]
	if f.i--; f.i >= 0 {
		return true
	}
	return c.backward()
}

// Last moves to the last key and returns Valid.
func (c *Cursor) Last() bool {
	c.check()
	c.path, c.after = c.buf[:0], true
	return c.Prev()
}

// Valid says whether the cursor is on a key.
func (c *Cursor) Valid() bool {
	c.check()
	return len(c.path) > 0
}

// Key returns the key the cursor is on, and panics if there is none. It is a
// view into the page: not to be changed, and over a tree good only until the
// tree changes.
func (c *Cursor) Key() []byte {
	c.check()
	f := c.path[len(c.path)-1]
	return f.n.key(f.i)
}

// Weight returns the weight of the key the cursor is on, and panics if there is
// none.
func (c *Cursor) Weight() int64 {
	c.check()
	f := c.path[len(c.path)-1]
	return f.n.ws[f.i]
}
