package state

import (
	"math/rand/v2"
	"slices"
	"unsafe"
)

// filter knows which keys cannot be among those of a stub: of each key it holds 24
// bits of its hash, sorted. A key that never was is taken for one that was once in
// 2^24/n times. What it holds does not change; the parts of a stub share it.
type filter struct {
	hashes []byte // three bytes each
	refs   int    // stubs of the tree (not of snapshots) that have it
	cuts   int    // how often these were cut
}

const (
	// mostHashes bounds the keys under one filter: its stub may come to be cut, and
	// of the pieces none can do with less.
	mostHashes = 384
	filterSize = int64(unsafe.Sizeof(filter{}))
)

var filterSeed = rand.Uint64()

// newFilter makes a filter of hashes, which it sorts.
func newFilter(hs []uint32) *filter {
	slices.Sort(hs)
	hs = slices.Compact(hs)
	f := &filter{hashes: make([]byte, 0, 3*len(hs))}
	for _, h := range hs {
		f.hashes = append(f.hashes, byte(h>>16), byte(h>>8), byte(h))
	}
	return f
}

func (f *filter) len() int { return len(f.hashes) / 3 }

func (f *filter) mem() int64 { return filterSize + int64(len(f.hashes)) }

func (f *filter) at(i int) uint32 {
	b := f.hashes[3*i : 3*i+3]
	return uint32(b[0])<<16 | uint32(b[1])<<8 | uint32(b[2])
}

// has tells whether a key with hash h may be there.
func (f *filter) has(h uint32) bool {
	lo, hi := 0, f.len()
	for lo < hi {
		m := int(uint(lo+hi) >> 1)
		if x := f.at(m); x == h {
			return true
		} else if x < h {
			lo = m + 1
		} else {
			hi = m
		}
	}
	return false
}

// appendHashes appends the hashes that f holds.
func (f *filter) appendHashes(hs []uint32) []uint32 {
	for i := range f.len() {
		hs = append(hs, f.at(i))
	}
	return hs
}

// FilterBy has the tree tell keys apart by the part that fn returns the length of:
// then MayHave can answer for whole parts. It is to be called before the first
// eviction. fn nil, the default: by the whole key.
func (t *Tree) FilterBy(fn func(key []byte) int) { t.part = fn }

// keyHash is what a filter holds of a key.
func (t *Tree) keyHash(key []byte) uint32 {
	if t.part != nil {
		key = key[:t.part(key)]
	}
	return hashBytes(filterSeed, key) >> 8
}

// appendHashes appends the hashes of a leaf's keys.
func (t *Tree) appendHashes(hs []uint32, l *node) []uint32 {
	for i := range l.ends {
		hs = append(hs, t.keyHash(l.key(i)))
	}
	return hs
}

// addStub and dropStub keep the account of a stub.
func (t *Tree) addStub(s *node) {
	t.account(s)
	t.stubs++
	if f := s.filter; f != nil {
		if f.refs == 0 {
			t.bytes += f.mem()
		}
		f.refs++
	}
}

func (t *Tree) dropStub(s *node) {
	t.bytes -= s.mem
	t.stubs--
	if f := s.filter; f != nil {
		if f.refs--; f.refs == 0 {
			t.bytes -= f.mem()
		}
	}
}

// absent tells, without reading a page, that the durable state has no entry for
// key, which is inside the bounds of stub s; false: it may have one.
func (t *Tree) absent(s *node, key []byte) bool {
	if s.filter != nil {
		return !s.filter.has(t.keyHash(key))
	}
	// After a restart: Pebble's own filters mostly spare the read.
	v, err := t.reader.Get(key)
	if err != nil {
		t.fail(err)
	}
	return err == nil && v == nil
}

// mayCut tells whether stub s may be cut once more: where many keys come close to
// each other, pages are better than pieces of one key.
func (n *node) mayCut() bool {
	const deepest = 40 // keys in random order do not get there, those in a row do
	return n.cuts < deepest && (n.filter == nil || n.filter.cuts < n.filter.len()/8+4)
}

// cut puts an empty leaf for key, which stub i of n is known not to have, into the
// middle of the stub, and returns the leaf's index.
func (t *Tree) cut(n *node, i int, key []byte) int {
	s := n.kids[i]
	part := func(lo, hi []byte, inf bool) *node {
		p := newStub(t.gen, lo, hi, inf, s.whole)
		p.filter, p.cuts = s.filter, s.cuts+1
		return p
	}
	next := append(append(make([]byte, 0, len(key)+1), key...), 0)
	l := &node{gen: t.gen}
	at := i
	if string(s.lower()) < string(key) {
		left := part(s.lower(), key, false)
		t.addStub(left)
		n.kids[i] = left
		n.insertKey(i, key)
		n.kids = slices.Insert(n.kids, i+1, l)
		at++
	} else {
		n.kids[i] = l
	}
	t.account(l)
	if below(next, s.upper()) {
		right := part(next, s.key(1), s.inf)
		t.addStub(right)
		n.insertKey(at, next)
		n.kids = slices.Insert(n.kids, at+1, right)
	}
	if s.filter != nil {
		s.filter.cuts++
	}
	t.dropStub(s)
	t.account(n)
	return at
}

// MayHave tells, without reading a page, whether there may be a key that begins
// with prefix; prefix is to be what FilterBy's function cuts off.
func (t *Tree) MayHave(prefix []byte) bool {
	return t.mayHave(t.root, prefix, hashBytes(filterSeed, prefix)>>8)
}

func (t *Tree) mayHave(n *node, prefix []byte, h uint32) bool {
	if n.stub {
		// Does [prefix, what follows all that begin with it) meet the stub?
		lo := n.lower()
		if !below(prefix, n.upper()) || string(lo) > string(prefix) && !hasPrefix(lo, prefix) {
			return false
		}
		return n.filter == nil || n.filter.has(h)
	}
	if n.kids == nil {
		i, _ := n.find(prefix)
		return i < len(n.ends) && hasPrefix(n.key(i), prefix)
	}
	for i := n.child(prefix); i < len(n.kids); i++ {
		if t.mayHave(n.kids[i], prefix, h) {
			return true
		}
		if i < len(n.ends) && !hasPrefix(n.key(i), prefix) { // what follows begins behind
			return false
		}
	}
	return false
}

func hasPrefix(b, prefix []byte) bool {
	return len(b) >= len(prefix) && string(b[:len(prefix)]) == string(prefix)
}
