package state

import (
	"bytes"
	"encoding/binary"
	"errors"

	"github.com/streamsql/streamsql/sql/sqlerr"
)

// A stub is a page whose entries are in the durable state alone: exactly those
// with keys in [lower, upper). These bounds are its own, and tighter than those
// that the separators above it give, for a key that left the tree beside it may
// still stand in the durable state. Its arena is the two bounds, end to end.
//
// A stub never changes. What descends into it inside its bounds first reads one
// page of it.

func newStub(gen uint64, lo, hi []byte, inf, whole bool) *node {
	s := &node{gen: gen, stub: true, inf: inf, whole: whole}
	s.arena = append(append(make([]byte, 0, len(lo)+len(hi)), lo...), hi...)
	s.ends = []uint32{uint32(len(lo)), uint32(len(lo) + len(hi))}
	return s
}

func (n *node) lower() []byte { return n.key(0) }

// upper is nil for no bound.
func (n *node) upper() []byte {
	if n.inf {
		return nil
	}
	return n.key(1)
}

// below says whether key is under an upper bound, nil for none.
func below(key, bound []byte) bool { return bound == nil || bytes.Compare(key, bound) < 0 }

// holds says whether key is inside the stub's bounds.
func (n *node) holds(key []byte) bool {
	return bytes.Compare(key, n.lower()) >= 0 && below(key, n.upper())
}

// AppendWeight appends the durable form of a weight, a zigzag varint.
func AppendWeight(dst []byte, w int64) []byte { return binary.AppendVarint(dst, w) }

// ParseWeight reads what AppendWeight wrote. XX001 for anything else.
func ParseWeight(b []byte) (int64, error) {
	w, n := binary.Varint(b)
	if n <= 0 || n != len(b) || w == 0 {
		return 0, sqlerr.New("XX001", "a weight in the durable state is damaged: %x", b)
	}
	return w, nil
}

// page is a part of a stub that was read: its entries, all in [lo, hi).
type page struct {
	leaf   *node
	lo, hi []byte
}

var errPage = errors.New("state: the page is full")

// read reads a page of stub s, from key at (inside its bounds) on; or all of it,
// if s was one page.
func (n *node) read(r Reader, at []byte) (page, error) {
	p := page{leaf: &node{}, lo: at, hi: n.upper()}
	if n.whole {
		p.lo = n.lower()
	}
	l := p.leaf
	err := r.Scan(p.lo, p.hi, func(key, value []byte) error {
		if !n.whole && len(l.ws) > 0 && l.size()+len(key)+entrySize > pageFill {
			p.hi = bytes.Clone(key)
			return errPage
		}
		return l.append(key, value)
	})
	if err != nil && !errors.Is(err, errPage) {
		return page{}, err
	}
	l.index()
	return p, nil
}

// readBack is read of the page that ends at the bound to, nil for none.
func (n *node) readBack(r Reader, to []byte) (page, error) {
	if n.whole {
		return n.read(r, n.lower())
	}
	p := page{leaf: &node{}, lo: n.lower(), hi: to}
	l := p.leaf
	b, ok := r.(BackReader)
	if !ok { // all of it, keeping the last page
		err := r.Scan(p.lo, to, func(key, value []byte) error {
			if len(l.ws) > 0 && l.size()+len(key)+entrySize > pageFill {
				l.truncate(0)
				l.ws = l.ws[:0]
				p.lo = bytes.Clone(key)
			}
			return l.append(key, value)
		})
		l.index()
		return p, err
	}
	var back node
	err := b.ScanBack(p.lo, to, func(key, value []byte) error {
		if len(back.ws) > 0 && back.size()+len(key)+entrySize > pageFill {
			return errPage
		}
		return back.append(key, value)
	})
	if err != nil && !errors.Is(err, errPage) {
		return page{}, err
	}
	for i := len(back.ws) - 1; i >= 0; i-- {
		l.appendKeys(&back, i, i+1)
		l.ws = append(l.ws, back.ws[i])
	}
	l.index()
	if err != nil {
		p.lo = bytes.Clone(l.key(0))
	}
	return p, nil
}

// append adds a durable entry behind the others of the leaf.
func (n *node) append(key, value []byte) error {
	w, err := ParseWeight(value)
	if err != nil {
		return err
	}
	n.arena = append(n.arena, key...)
	n.ends = append(n.ends, uint32(len(n.arena)))
	n.ws = append(n.ws, w)
	return nil
}

// BackReader is a Reader that also scans in descending order. A tree uses it
// where it can; else a walk back through entries on disk reads all before them.
type BackReader interface {
	Reader
	// ScanBack is Scan from the last entry to the first.
	ScanBack(lower, upper []byte, fn func(key, value []byte) error) error
}

// Load attaches the durable state r to an empty tree: its entries in
// [lo, hi), hi nil for no bound. They are read when they are asked for. n is
// their number; -1 has them counted, which reads them all.
func (t *Tree) Load(r Reader, lo, hi []byte, n int) {
	if t.len != 0 || t.reader != nil {
		panic("state: Load into a tree in use")
	}
	t.reader, t.tracked = r, true
	t.log.free()
	if n < 0 {
		n = 0
		if err := r.Scan(lo, hi, func(_, _ []byte) error { n++; return nil }); err != nil {
			t.fail(err)
			return
		}
	}
	if n == 0 {
		return
	}
	t.edits++
	t.bytes -= t.root.mem
	t.root = newStub(t.gen, lo, hi, hi == nil, false)
	t.addStub(t.root)
	t.len = n
}

func (t *Tree) fail(err error) {
	if t.err == nil {
		t.err = err
	}
}

// load replaces stub i of n, which the tree owns, by a page of it from at on, or
// with back by the page that ends at at (nil: the stub's end), and stubs for
// what is left. It says whether it could.
func (t *Tree) load(n *node, i int, at []byte, back bool) bool {
	s := n.kids[i]
	var p page
	var err error
	if back {
		p, err = s.readBack(t.reader, at)
	} else {
		p, err = s.read(t.reader, at)
	}
	if err != nil {
		t.fail(err)
		return false
	}
	t.loads++
	was := t.bytes
	defer func() {
		t.begun += t.bytes - was
		t.back += t.bytes - was
	}()
	var parts []*node
	var seps [][]byte
	rest := func(lo, hi []byte, inf bool) *node {
		r := newStub(t.gen, lo, hi, inf, false)
		r.filter, r.cuts = s.filter, s.cuts
		return r
	}
	if bytes.Compare(s.lower(), p.lo) < 0 {
		parts = append(parts, rest(s.lower(), p.lo, false))
	}
	if len(p.leaf.ws) > 0 {
		p.leaf.gen, p.leaf.hot = t.gen, true
		parts, seps = append(parts, p.leaf), append(seps, p.lo)
	}
	if p.hi != nil && (s.inf || bytes.Compare(p.hi, s.upper()) < 0) {
		parts = append(parts, rest(p.hi, s.key(1), s.inf))
		seps = append(seps, p.hi)
	}
	for _, part := range parts { // before s goes: they share its filter
		if part.stub {
			t.addStub(part)
		} else {
			t.account(part)
		}
	}
	t.dropStub(s)
	if len(parts) == 0 {
		n.removeKid(i)
		return true
	}
	// seps holds one for each part but a stub at the left.
	if !parts[0].stub || len(seps) == len(parts) {
		seps = seps[1:]
	}
	for k, part := range parts {
		if k == 0 {
			n.kids[i] = part
			continue
		}
		n.insertKey(i+k-1, seps[k-1])
		n.kids = append(n.kids, nil)
		copy(n.kids[i+k+1:], n.kids[i+k:])
		n.kids[i+k] = part
	}
	t.account(n)
	return true
}

// fault loads from the stub on the path of key, as load does, and says whether
// it could.
func (t *Tree) fault(key, at []byte, back bool) bool {
	t.takeRoot()
	ok := t.faultUnder(t.root, key, at, back)
	t.mendRoot()
	return ok
}

func (t *Tree) faultUnder(n *node, key, at []byte, back bool) bool {
	i := n.child(key)
	if n.kids[i].stub {
		return t.load(n, i, at, back)
	}
	k := t.own(n.kids[i])
	n.kids[i] = k
	ok := t.faultUnder(k, key, at, back)
	t.mendKid(n, i)
	return ok
}

// beside puts an empty leaf for key next to stub i of n, whose bounds do not
// hold it, and returns the leaf's index.
func (t *Tree) beside(n *node, i int, key []byte) int {
	l := &node{gen: t.gen}
	t.account(l)
	if len(n.kids) == 0 {
		n.kids = append(n.kids, l)
		return 0
	}
	s := n.kids[i]
	sep := s.upper()
	at := i + 1
	if bytes.Compare(key, s.lower()) < 0 {
		sep, at = s.lower(), i
	}
	n.insertKey(i, sep)
	n.kids = append(n.kids, nil)
	copy(n.kids[at+1:], n.kids[at:])
	n.kids[at] = l
	return at
}
