package state

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"math/rand/v2"
	"slices"
	"sync"
)

// Chunks of a changelog double from the least to the most.
const (
	chunkMin = 512
	chunkMax = 256 << 10
)

var chunks = sync.Pool{New: func() any { return (*[chunkMax]byte)(make([]byte, chunkMax)) }}

// changelog lists the changes of a tree in their order: the key, the weight added
// and the weight that it made. A step is undone by it, and a capture writes it.
// Entries lie end to end in chunks, without pointers, and span none.
type changelog struct {
	full [][]byte
	cur  []byte
	n    int
	size int64 // bytes of the entries in full
	mem  int64
}

// position is a place in a changelog.
type position struct{ chunk, off, n int }

func (j *changelog) end() position { return position{len(j.full), len(j.cur), j.n} }

// bytes is the size of the entries.
func (j *changelog) bytes() int64 { return j.size + int64(len(j.cur)) }

func (j *changelog) add(key []byte, w, now int64) {
	if need := len(key) + 3*binary.MaxVarintLen64; cap(j.cur)-len(j.cur) < need {
		j.grow(need)
	}
	b := binary.AppendUvarint(j.cur, uint64(len(key)))
	b = append(b, key...)
	b = binary.AppendVarint(b, w)
	j.cur = binary.AppendVarint(b, now)
	j.n++
}

func (j *changelog) grow(need int) {
	size := max(chunkMin, min(2*cap(j.cur), chunkMax))
	if len(j.cur) > 0 {
		j.full = append(j.full, j.cur)
		j.size += int64(len(j.cur))
	} else {
		j.drop(j.cur)
	}
	switch {
	case need > size:
		j.cur = make([]byte, 0, need)
	case size == chunkMax:
		j.cur = chunks.Get().(*[chunkMax]byte)[:0]
	default:
		j.cur = make([]byte, 0, size)
	}
	j.mem += int64(cap(j.cur))
}

// drop gives a chunk back.
func (j *changelog) drop(c []byte) {
	j.mem -= int64(cap(c))
	if cap(c) == chunkMax {
		chunks.Put((*[chunkMax]byte)(c[:chunkMax]))
	}
}

// truncate forgets what came after p.
func (j *changelog) truncate(p position) {
	if len(j.full) > p.chunk {
		j.drop(j.cur)
		for len(j.full) > p.chunk {
			last := len(j.full) - 1
			j.cur, j.full = j.full[last], j.full[:last]
			j.size -= int64(len(j.cur))
			if last > p.chunk {
				j.drop(j.cur)
			}
		}
	}
	j.cur, j.n = j.cur[:p.off], p.n
}

// free gives all memory back.
func (j *changelog) free() {
	for _, c := range j.full {
		j.drop(c)
	}
	j.drop(j.cur)
	*j = changelog{}
}

// from calls fn with the changes behind p.
func (j *changelog) from(p position, fn func(key []byte, w int64)) {
	for c := p.chunk; c <= len(j.full); c++ {
		b := j.cur
		if c < len(j.full) {
			b = j.full[c]
		}
		for off := p.off; off < len(b); {
			key, w, _, size := entry(b[off:])
			fn(key, w)
			off += size
		}
		p.off = 0
	}
}

// entry decodes the change at the beginning of b, and its size there.
func entry(b []byte) (key []byte, w, now int64, size int) {
	l, at := uint64(b[0]), 1
	if l >= 0x80 {
		l, at = binary.Uvarint(b)
	}
	key = b[at : at+int(l) : at+int(l)]
	at += int(l)
	w, k := binary.Varint(b[at:])
	at += k
	now, k = binary.Varint(b[at:])
	return key, w, now, at + k
}

// change is a key of a changelog with its weight before and after: where the key
// is, and eight bytes of it, see sorter, or its hash.
type change struct {
	head     uint64
	chunk    uint32
	off      uint32
	old, now int64
}

// sorter puts changes of different keys into the order of the keys. It is a radix
// sort of eight bytes a level: changes are sorted by the eight bytes behind the
// prefix that they share, then each run that these leave equal by those behind
// its own. So keys are decoded twice a level and not at each comparison.
type sorter struct {
	bufs    [][]byte
	changes []change
	slots   []uint32 // one more than the place in changes; 0: empty
	seed    uint64
}

func (s *sorter) key(c *change) []byte {
	b := s.bufs[c.chunk][c.off:]
	if n := int(b[0]); n < 0x80 {
		return b[1 : 1+n : 1+n]
	}
	key, _, _, _ := entry(b)
	return key
}

// smallRun is the length up to which comparing whole keys is faster.
const smallRun = 12

// sort sorts a run whose keys share their first depth bytes.
func (s *sorter) sort(run []change, depth int) {
	if len(run) <= smallRun {
		slices.SortFunc(run, s.compare)
		return
	}
	first := s.key(&run[0])
	shared, least := len(first), len(first)
	for i := range run[1:] {
		k := s.key(&run[i+1])
		least = min(least, len(k))
		shared = min(shared, len(k))
		for i := depth; i < shared; i++ {
			if k[i] != first[i] {
				shared = i
			}
		}
	}
	if shared == least { // one that begins all others
		slices.SortFunc(run, s.compare)
		return
	}
	for i := range run {
		run[i].head = head(s.key(&run[i]), shared)
	}
	slices.SortFunc(run, func(x, y change) int {
		if x.head < y.head {
			return -1
		}
		if x.head > y.head {
			return 1
		}
		return 0
	})
	for i := 0; i < len(run); {
		j := i + 1
		for j < len(run) && run[j].head == run[i].head {
			j++
		}
		if j > i+1 {
			s.sort(run[i:j], shared)
		}
		i = j
	}
}

func (s *sorter) compare(x, y change) int { return bytes.Compare(s.key(&x), s.key(&y)) }

// place is where an entry of a changelog is.
type place struct{ chunk, off uint32 }

// net makes changes of entries, which are in the order of their time: one for
// each key, and none, unless same is set, for a key whose weight is what it was.
func (s *sorter) net(entries []place, same bool) {
	size := 1 << bits.Len(uint(2*len(entries)))
	if cap(s.slots) < size {
		s.slots = make([]uint32, size)
	}
	s.slots = s.slots[:size]
	clear(s.slots)
	s.changes = s.changes[:0]
	mask := uint32(size - 1)
	for _, e := range entries {
		key, w, now, _ := entry(s.bufs[e.chunk][e.off:])
		x := hashBytes(s.seed, key)
		for p := x & mask; ; p = (p + 1) & mask {
			i := s.slots[p]
			if i == 0 {
				s.changes = append(s.changes, change{head: uint64(x), chunk: e.chunk, off: e.off, old: now - w, now: now})
				s.slots[p] = uint32(len(s.changes))
				break
			}
			if c := &s.changes[i-1]; c.head == uint64(x) && bytes.Equal(s.key(c), key) {
				c.now = now
				break
			}
		}
	}
	if !same {
		s.changes = slices.DeleteFunc(s.changes, func(c change) bool { return c.old == c.now })
	}
}

// netChanges calls fn once for each key in the changelogs, in order, with its weight
// before the first change and after the last; if same is not set, not for keys
// that came and went, or went and came back.
func netChanges(js []*changelog, same bool, fn func(key []byte, old, now int64)) {
	s := &sorter{seed: rand.Uint64()}
	n := 0
	for _, j := range js {
		s.bufs = append(append(s.bufs, j.full...), j.cur)
		n += j.n
	}
	// First by the first byte, the key group: a part of the work at a time.
	var start [258]int
	each := func(fn func(b int, e place)) {
		for i, buf := range s.bufs {
			for off := 0; off < len(buf); {
				key, _, _, size := entry(buf[off:])
				b := 0
				if len(key) > 0 {
					b = int(key[0]) + 1
				}
				fn(b, place{uint32(i), uint32(off)})
				off += size
			}
		}
	}
	each(func(b int, _ place) { start[b+1]++ })
	for b := range 257 {
		start[b+1] += start[b]
	}
	entries := make([]place, n)
	next := start
	each(func(b int, e place) {
		entries[next[b]] = e
		next[b]++
	})
	for b := range 257 {
		if start[b] == start[b+1] {
			continue
		}
		s.net(entries[start[b]:start[b+1]], same)
		s.sort(s.changes, min(b, 1))
		for i := range s.changes {
			c := &s.changes[i]
			fn(s.key(c), c.old, c.now)
		}
	}
}
