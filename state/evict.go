package state

import (
	"bytes"
	"slices"
)

// Evict replaces leaves that the durable state has as they are by stubs, until
// about n bytes are free, and returns the bytes freed. It goes round the tree as
// a clock's hand does, and passes over a leaf that was used since it last came
// by. Pages that a snapshot holds stay. Cursors over the tree end.
func (t *Tree) Evict(n int64) int64 {
	if t.reader == nil || n <= 0 {
		return 0
	}
	before := t.bytes
	t.back = 0
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
	// Twice round, for the first may find every leaf used, and from the middle. Then
	// the filters have to go.
	for round := range 4 {
		t.squeeze = round == 3
		t.root = t.sweep(t.root, t.hand, before-n)
		if t.bytes <= before-n {
			break
		}
		t.hand = nil
	}
	t.squeeze = false
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

// fold makes one stub of children of n in a row that are stubs, or clean leaves too
// small for one of their own, where no key has left the tree between them that the
// durable state may still have. The tree's height stays as it is, and so does n.
func (t *Tree) fold(n *node) *node {
	if n.mod > t.durable {
		return n
	}
	for i := 0; i < len(n.kids)-1; i++ {
		hs := t.hashes[:0]
		j, known := i, 0 // 1: the stubs have filters, -1: they have none
		for ; j < len(n.kids); j++ {
			k := n.kids[j]
			if !k.stub {
				if k.kids != nil || len(k.ends) == 0 || k.hot || k.mod > t.durable || k.size() > pageLow {
					break
				}
				if known >= 0 && len(hs)+len(k.ends) > mostHashes && !t.squeeze {
					break
				}
				hs = t.appendHashes(hs, k)
				continue
			}
			is := 1
			if k.filter == nil || t.squeeze {
				is = -1
			}
			if known == -is || is == 1 && len(hs)+k.filter.len() > mostHashes {
				break
			}
			// Parts of one stub share a filter.
			if known = is; is == 1 && (j == i || !sameFilter(n.kids[i:j], k.filter)) {
				hs = k.filter.appendHashes(hs)
			}
		}
		t.hashes = hs
		if j-i < 2 || known >= 0 && !t.squeeze && !foldPays(n.kids[i:j], len(hs)) {
			continue
		}
		n = t.own(n)
		t.foldRun(n, i, j, known >= 0 && !t.squeeze, hs)
	}
	return n
}

// sameFilter tells whether one of the pages has filter f.
func sameFilter(kids []*node, f *filter) bool {
	for i := len(kids) - 1; i >= 0; i-- {
		if kids[i].filter == f {
			return true
		}
	}
	return false
}

// foldPays tells whether one stub with a filter of so many hashes takes less than
// the pages: a part of the stubs that share a filter does not let it go.
func foldPays(kids []*node, hashes int) bool {
	freed := int64(0)
	for i, k := range kids {
		freed += k.mem
		if f := k.filter; f != nil && !sameFilter(kids[:i], f) {
			n := 0
			for _, o := range kids[i:] {
				if o.filter == f {
					n++
				}
			}
			if n == f.refs {
				freed += f.mem()
			}
		}
	}
	return freed > nodeSize+64+filterSize+3*int64(hashes)
}

// foldRun makes one stub of the children i to j-1 of n.
func (t *Tree) foldRun(n *node, i, j int, filtered bool, hs []uint32) {
	lo, hi, inf := n.kids[i].key(0), []byte(nil), false
	if k := n.kids[j-1]; k.stub {
		hi, inf = k.key(1), k.inf
	} else {
		hi = append(bytes.Clone(k.key(len(k.ends)-1)), 0)
	}
	s := newStub(t.gen, lo, hi, inf, false)
	if filtered {
		s.filter = newFilter(hs)
	}
	t.addStub(s)
	for _, k := range n.kids[i:j] {
		if k.stub {
			t.dropStub(k)
		} else {
			t.bytes -= k.mem
		}
	}
	n.kids[i] = s
	n.kids = slices.Delete(n.kids, i+1, j)
	for range j - i - 1 {
		n.removeKey(i)
	}
	if len(n.kids) < cap(n.kids)/4 {
		n.kids = append(make([]*node, 0, len(n.kids)), n.kids...)
		n.arena = append(make([]byte, 0, len(n.arena)), n.arena...)
		n.ends = append(make([]uint32, 0, len(n.ends)), n.ends...)
		n.heads = append(make([]uint64, 0, len(n.heads)), n.heads...)
	}
	t.account(n)
}

// stubOf returns the stub for a clean leaf, or the leaf if that is no larger.
func (t *Tree) stubOf(l *node) *node {
	last := l.key(len(l.ends) - 1)
	if nodeSize+filterSize+int64(len(l.key(0))+len(last)+1+2*4+3*len(l.ends)) >= l.mem {
		return l
	}
	s := newStub(t.gen, l.key(0), append(bytes.Clone(last), 0), false, true)
	t.hashes = t.appendHashes(t.hashes[:0], l)
	s.filter = newFilter(t.hashes)
	t.bytes -= l.mem
	t.addStub(s)
	if t.pins.Load() > 0 {
		t.pinned += l.mem
	}
	return s
}
