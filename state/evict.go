package state

import "bytes"

// Evict replaces leaves that the durable state has as they are by stubs, until
// about n bytes are free, and returns the bytes freed. It goes round the tree as
// a clock's hand does, and passes over a leaf that was used since it last came
// by. Pages that a snapshot holds stay. Cursors over the tree end.
func (t *Tree) Evict(n int64) int64 {
	if t.reader == nil || n <= 0 {
		return 0
	}
	before := t.bytes
	defer func() { t.begun += t.bytes - before }()
	if t.root.isLeaf() {
		if len(t.root.ws) > 0 && t.root.mod <= t.durable && (t.root.gen == t.gen || t.pins.Load() == 0) {
			t.edits++
			t.root = t.stubOf(t.root)
		}
		return before - t.bytes
	}
	t.edits++
	t.kept = 0
	// Twice round, for the first may find every leaf used, and from the middle.
	for range 3 {
		t.root = t.sweep(t.root, t.hand, before-n)
		if t.bytes <= before-n {
			break
		}
		t.hand = nil
	}
	t.mendRoot()
	return max(0, before-t.bytes) // a page copied for a snapshot's sake has more room
}

// sweep evicts under n, from the key from (nil: the first) on, until the tree has
// no more than want bytes. It returns n or, where it had to be copied, its copy.
func (t *Tree) sweep(n *node, from []byte, want int64) *node {
	i := 0
	if from != nil {
		i = n.child(from)
	}
	for ; i < len(n.kids) && t.bytes > want; i++ {
		k := n.kids[i]
		c := k
		switch {
		case k.stub:
		case k.kids != nil:
			c = t.sweep(k, from, want)
		case k.hot:
			k.hot = false
		case k.gen < t.gen && t.pins.Load() > 0: // a snapshot would hold it all the same
			t.kept += k.mem
		case k.mod <= t.durable:
			t.hand = append(t.hand[:0], k.key(len(k.ends)-1)...)
			c = t.stubOf(k)
		}
		if c != k || c.gen > n.gen { // or changed in place, where no snapshot is left
			n = t.own(n)
			n.kids[i] = c
		}
		from = nil
	}
	return t.fold(n)
}

// fold makes the children of n one stub, where they are stubs or clean leaves too
// small for one of their own, and no key has left the tree between them that the
// durable state may still have. The tree's height stays as it is, and so does n.
func (t *Tree) fold(n *node) *node {
	last := len(n.kids) - 1
	if last < 1 || n.mod > t.durable {
		return n
	}
	for _, k := range n.kids {
		if k.kids != nil || !k.stub && (k.hot || k.mod > t.durable || k.size() > pageLow) {
			return n
		}
	}
	n = t.own(n)
	lo, hi, inf := n.kids[0].key(0), []byte(nil), false
	if k := n.kids[last]; k.stub {
		hi, inf = k.upper(), k.inf
	} else {
		hi = append(bytes.Clone(k.key(len(k.ends)-1)), 0)
	}
	s := newStub(t.gen, lo, hi, inf, false)
	t.stubs++
	for _, k := range n.kids {
		t.bytes -= k.mem
		if k.stub {
			t.stubs--
		}
	}
	t.bytes -= n.mem
	*n = node{gen: n.gen, mod: n.mod, kids: []*node{s}}
	t.account(n)
	t.account(s)
	return n
}

// stubOf returns the stub for a clean leaf, or the leaf if that is no larger.
func (t *Tree) stubOf(l *node) *node {
	last := l.key(len(l.ends) - 1)
	if nodeSize+int64(len(l.key(0))+len(last)+1+2*4) >= l.mem {
		return l
	}
	s := newStub(t.gen, l.key(0), append(bytes.Clone(last), 0), false, true)
	t.bytes -= l.mem
	t.account(s)
	t.stubs++
	if t.pins.Load() > 0 {
		t.pinned += l.mem
	}
	return s
}
