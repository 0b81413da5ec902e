package state

import (
	"bytes"
	"encoding/binary"
	"slices"
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

	entrySize = 4 + 8 + 8 // an offset, a head, and a weight or a child
	nodeSize  = int64(unsafe.Sizeof(node{}))
)

// node is a page: a leaf if kids is nil. A leaf holds keys and their weights;
// an inner node with n children holds n-1 separators, where every key under
// kids[i] is < separator i and every key under kids[i+1] is >= it.
//
// The keys (or separators) are laid end to end in arena, ends[i] being where
// the i-th stops: the contents of a leaf hold no pointers for the garbage
// collector to follow.
//
// A stub stands where a leaf would: see stub.go.
type node struct {
	gen   uint64 // the tree generation that made the page, and may change it
	mem   int64  // what the page adds to Tree.bytes
	mod   uint64 // the capture that is to have the leaf's last change, or the last loss of a child
	run   int32  // insertions in a row at the end of the leaf
	stub  bool
	whole bool // a stub that was one leaf
	inf   bool // a stub without an upper bound
	hot   bool // a leaf used since eviction last passed by
	pre   int  // the length of a common prefix of the keys
	arena []byte
	ends  []uint32
	heads []uint64 // eight bytes of each key behind pre, by which most searches are settled
	ws    []int64
	kids  []*node

	filter *filter // of a stub; nil: nothing is known of its keys
	cuts   uint8   // how often the stub was cut
}

func (n *node) isLeaf() bool { return n.kids == nil && !n.stub }

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
	if n.stub || n.size() <= pageSize {
		return false
	}
	if n.isLeaf() {
		return len(n.ends) > 1
	}
	return len(n.kids) >= minSplit
}

// empty says whether the page has nothing left to hold.
func (n *node) empty() bool {
	return len(n.ends) == 0 && len(n.kids) == 0
}

// head is the eight bytes of key behind its first pre, zeroes behind its end. Heads
// compare as their keys do, but may be equal where keys are not.
func head(key []byte, pre int) uint64 {
	if len(key) >= pre+8 {
		return binary.BigEndian.Uint64(key[pre:])
	}
	var b [8]byte
	copy(b[:], key[min(pre, len(key)):])
	return binary.BigEndian.Uint64(b[:])
}

// common is the length of the longest common prefix.
func common(a, b []byte) int {
	n := min(len(a), len(b))
	for i := range n {
		if a[i] != b[i] {
			return i
		}
	}
	return n
}

// index computes the page's heads anew.
func (n *node) index() {
	n.pre = 0
	if k := len(n.ends); k > 0 {
		n.pre = common(n.key(0), n.key(k-1))
	}
	n.rehead()
}

func (n *node) rehead() {
	n.heads = slices.Grow(n.heads[:0], len(n.ends))
	for i := range n.ends {
		n.heads = append(n.heads, head(n.key(i), n.pre))
	}
}

// find returns the first index whose key is >= key, and whether it is equal.
func (n *node) find(key []byte) (int, bool) {
	pre := n.pre
	if len(n.ends) == 0 {
		return 0, false
	}
	if pre > 0 {
		k := key
		if len(k) > pre {
			k = k[:pre]
		}
		// The page's keys begin with the first pre bytes of the arena.
		switch c := bytes.Compare(k, n.arena[:pre]); {
		case c < 0:
			return 0, false
		case c > 0:
			return len(n.ends), false
		}
	}
	h := head(key, pre)
	lo, c := 0, len(n.heads)
	for c > 1 {
		half := c >> 1
		if n.heads[lo+half-1] < h {
			lo += half
		}
		c -= half
	}
	if n.heads[lo] != h {
		if n.heads[lo] < h {
			lo++
		}
		return lo, false
	}
	hi := lo + 1
	for hi < len(n.heads) && n.heads[hi] == h {
		hi++
	}
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
	if len(n.ends) == 1 {
		n.pre = w
		n.heads = append(n.heads[:0], 0)
		return
	}
	// The other keys, of which one is a neighbour, still begin alike.
	other := n.key(max(i-1, 0))
	if i == 0 {
		other = n.key(1)
	}
	k = n.key(i)
	if p := common(k, other[:n.pre]); p < n.pre {
		n.pre = p
		n.rehead()
		return
	}
	n.heads = append(n.heads, 0)
	copy(n.heads[i+1:], n.heads[i:])
	n.heads[i] = head(k, n.pre)
}

// removeKey takes the i-th key out of the arena.
func (n *node) removeKey(i int) {
	s, e := n.start(i), n.ends[i]
	n.arena = append(n.arena[:s], n.arena[e:]...)
	n.ends = append(n.ends[:i], n.ends[i+1:]...)
	n.heads = append(n.heads[:i], n.heads[i+1:]...)
	for j := i; j < len(n.ends); j++ {
		n.ends[j] -= e - s
	}
}

// appendKeys adds keys from..to of o after those of n, which then is to be
// indexed.
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
	n.index()
}

// removeKid drops child i and the separator beside it; the range of a
// neighbour grows over the gap.
func (n *node) removeKid(i int) {
	n.kids = slices.Delete(n.kids, i, i+1)
	if len(n.ends) > 0 {
		n.removeKey(max(i-1, 0))
	}
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
