package state

import "bytes"

// Cursor returns a cursor before the tree's first key. A change to the tree, or
// an eviction, ends it: any later call on the cursor but Seek panics.
func (t *Tree) Cursor() *Cursor {
	return &Cursor{tree: t, root: t.root, edits: t.edits, loads: t.loads}
}

// ScanPrefix calls fn with each key that begins with prefix, in ascending
// order, until fn returns false. fn must not change the tree unless it then
// returns false, nor keep the key.
func (t *Tree) ScanPrefix(prefix []byte, fn func(key []byte, w int64) bool) {
	c := t.scan
	if c == nil { // or a scan goes on around this one
		c = t.Cursor()
	}
	t.scan = nil
	c.scanPrefix(prefix, fn)
	t.scan = c
}

func (c *Cursor) scanPrefix(prefix []byte, fn func(key []byte, w int64) bool) {
	for ok := c.Seek(prefix); ok; ok = c.Next() {
		k := c.Key()
		if !bytes.HasPrefix(k, prefix) || !fn(k, c.Weight()) {
			return
		}
	}
}

// frame is a step of a cursor's path: the child taken, or the leaf's entry.
type frame struct {
	n *node
	i int
}

// Cursor walks keys in order, either way. Besides the keys it can stand before
// the first and after the last, from where Next and Prev lead back in. When the
// durable state cannot be read, it stands there too: Err of the tree or the
// snapshot says why.
//
// Over a tree it loads the stubs that it meets into the tree. Over a snapshot it
// reads them a page at a time for itself.
type Cursor struct {
	tree  *Tree // nil over a snapshot
	snap  *Snapshot
	root  *node
	edits uint64
	loads uint64
	after bool    // where an empty path stands: after the last key, or before the first
	path  []frame // root to leaf, empty when not on a key
	stub  *node   // whose page the path's last frame is, over a snapshot
	part  page    // that page
	buf   [8]frame
}

func (c *Cursor) check() {
	if c.tree != nil && c.edits != c.tree.edits {
		panic("state: cursor used after its tree changed")
	}
}

// restart takes the tree up as it is now, with an empty path.
func (c *Cursor) restart() *node {
	if c.tree != nil {
		c.root, c.edits, c.loads = c.tree.root, c.tree.edits, c.tree.loads
	} else {
		c.snap.version() // panics after Release
	}
	c.path, c.stub = c.buf[:0], nil
	return c.root
}

// end leaves the cursor off the keys.
func (c *Cursor) end(after bool) bool {
	c.path, c.stub, c.after = c.path[:0], nil, after
	return false
}

// Seek moves to the first key >= key, or after the last key if there is none,
// and returns Valid. On a tree it also takes the tree up as it now is.
func (c *Cursor) Seek(key []byte) bool {
	n := c.restart()
	for n.kids != nil {
		i := n.child(key)
		c.path = append(c.path, frame{n, i})
		n = n.kids[i]
	}
	if n.stub {
		if !below(key, n.upper()) {
			return c.next(len(c.path) - 1)
		}
		return c.enter(n, key)
	}
	c.use(n)
	i, _ := n.find(key)
	if i < len(n.ends) {
		c.path = append(c.path, frame{n, i})
		return true
	}
	return c.next(len(c.path) - 1)
}

// use notes that a leaf was used.
func (c *Cursor) use(n *node) {
	if c.tree != nil && !n.hot {
		n.hot = true
	}
}

// enter moves to the first key >= key, where the path has led to stub s, which
// has keys above key.
func (c *Cursor) enter(s *node, key []byte) bool {
	at := key
	if bytes.Compare(at, s.lower()) < 0 {
		at = s.lower()
	}
	if c.tree != nil {
		if !c.tree.fault(s.lower(), at, false) {
			return c.end(true)
		}
		return c.Seek(at)
	}
	c.snap.version()
	p, err := s.read(c.snap.reader, at)
	if err != nil {
		c.snap.fail(err)
		return c.end(true)
	}
	i, _ := p.leaf.find(at)
	if i == len(p.leaf.ends) {
		return c.next(len(c.path) - 1)
	}
	p.lo = bytes.Clone(p.lo)
	c.stub, c.part = s, p
	c.path = append(c.path, frame{p.leaf, i})
	return true
}

// enterBack moves to the last key below the bound to, nil for none, where the path
// has led to stub s, which has keys below it.
func (c *Cursor) enterBack(s *node, to []byte) bool {
	if up := s.upper(); to == nil || up != nil && bytes.Compare(up, to) < 0 {
		to = up
	}
	if c.tree != nil {
		if !c.tree.fault(s.lower(), to, true) {
			return c.end(false)
		}
		return c.seekBefore(to)
	}
	c.snap.version()
	p, err := s.readBack(c.snap.reader, to)
	if err != nil {
		c.snap.fail(err)
		return c.end(false)
	}
	i := len(p.leaf.ends)
	if to != nil {
		i, _ = p.leaf.find(to)
	}
	if i == 0 {
		return c.prev(len(c.path) - 1)
	}
	p.hi = bytes.Clone(p.hi)
	c.stub, c.part = s, p
	c.path = append(c.path, frame{p.leaf, i - 1})
	return true
}

// seekBefore moves to the last key below the bound key, nil for none.
func (c *Cursor) seekBefore(key []byte) bool {
	n := c.restart()
	for n.kids != nil {
		i := len(n.kids) - 1
		if key != nil {
			i = n.child(key)
		}
		c.path = append(c.path, frame{n, i})
		n = n.kids[i]
	}
	if n.stub {
		if key != nil && bytes.Compare(key, n.lower()) <= 0 {
			return c.prev(len(c.path) - 1)
		}
		return c.enterBack(n, key)
	}
	c.use(n)
	i := len(n.ends)
	if key != nil {
		i, _ = n.find(key)
	}
	if i > 0 {
		c.path = append(c.path, frame{n, i - 1})
		return true
	}
	return c.prev(len(c.path) - 1)
}

// next moves to the first key behind the child that depth d of the path took.
func (c *Cursor) next(d int) bool {
	c.stub = nil
	for ; d >= 0; d-- {
		if f := &c.path[d]; f.i+1 < len(f.n.kids) {
			f.i++
			c.path = c.path[:d+1]
			return c.first(f.n.kids[f.i])
		}
	}
	return c.end(true)
}

// prev moves to the last key before the child that depth d of the path took.
func (c *Cursor) prev(d int) bool {
	c.stub = nil
	for ; d >= 0; d-- {
		if f := &c.path[d]; f.i > 0 {
			f.i--
			c.path = c.path[:d+1]
			return c.last(f.n.kids[f.i])
		}
	}
	return c.end(false)
}

// first extends the path to the first key under n, or behind it.
func (c *Cursor) first(n *node) bool {
	for n.kids != nil {
		c.path = append(c.path, frame{n, 0})
		n = n.kids[0]
	}
	if n.stub {
		return c.enter(n, n.lower())
	}
	if len(n.ws) == 0 { // the root of an empty tree
		return c.end(true)
	}
	c.use(n)
	c.path = append(c.path, frame{n, 0})
	return true
}

// last extends the path to the last key under n, or before it.
func (c *Cursor) last(n *node) bool {
	for n.kids != nil {
		c.path = append(c.path, frame{n, len(n.kids) - 1})
		n = n.kids[len(n.kids)-1]
	}
	if n.stub {
		return c.enterBack(n, nil)
	}
	if len(n.ws) == 0 {
		return c.end(false)
	}
	c.use(n)
	c.path = append(c.path, frame{n, len(n.ws) - 1})
	return true
}

// repath finds the way to the leaf under the cursor again, if pages were loaded
// into the tree since; leaves are not changed by that.
func (c *Cursor) repath() {
	if c.tree == nil || c.loads == c.tree.loads {
		return
	}
	leaf := c.path[len(c.path)-1]
	key := leaf.n.key(0)
	n := c.restart()
	for n != leaf.n {
		i := n.child(key)
		c.path = append(c.path, frame{n, i})
		n = n.kids[i]
	}
	c.path = append(c.path, leaf)
}

// Next moves to the next key, from before the first to the first, and returns
// Valid.
func (c *Cursor) Next() bool {
	c.check()
	if len(c.path) == 0 {
		if c.after {
			return false
		}
		return c.first(c.restart())
	}
	f := &c.path[len(c.path)-1]
	if f.i+1 < len(f.n.ends) {
		f.i++
		return true
	}
	if s := c.stub; s != nil && c.part.hi != nil && below(c.part.hi, s.upper()) {
		c.path = c.path[:len(c.path)-1]
		return c.enter(s, c.part.hi)
	}
	c.repath()
	return c.next(len(c.path) - 2)
}

// Prev moves to the previous key, from after the last to the last, and returns
// Valid.
func (c *Cursor) Prev() bool {
	c.check()
	if len(c.path) == 0 {
		if !c.after {
			return false
		}
		return c.last(c.restart())
	}
	f := &c.path[len(c.path)-1]
	if f.i > 0 {
		f.i--
		return true
	}
	if s := c.stub; s != nil && bytes.Compare(c.part.lo, s.lower()) > 0 {
		c.path = c.path[:len(c.path)-1]
		return c.enterBack(s, c.part.lo)
	}
	c.repath()
	return c.prev(len(c.path) - 2)
}

// Last moves to the last key and returns Valid.
func (c *Cursor) Last() bool {
	c.check()
	return c.last(c.restart())
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
