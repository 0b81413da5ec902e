package state

import (
	"bytes"
	"encoding/binary"
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
	l, at := binary.Uvarint(b)
	key = b[at : at+int(l) : at+int(l)]
	at += int(l)
	w, k := binary.Varint(b[at:])
	at += k
	now, k = binary.Varint(b[at:])
	return key, w, now, at + k
}

// change is an entry in the order of keys: eight bytes of the key, by which
// most comparisons are settled, and where the entry is.
type change struct {
	head  uint64
	chunk uint32
	off   uint32
}

// netChanges calls fn once for each key in the journals, in order, with its weight
// before the first change and after the last.
func netChanges(js []*changelog, fn func(key []byte, old, now int64)) {
	var bufs [][]byte
	n := 0
	for _, j := range js {
		bufs = append(append(bufs, j.full...), j.cur)
		n += j.n
	}
	// Keys begin with a key group and then are much alike: within a first byte,
	// the eight bytes begin where keys begin to differ.
	var count [257]int
	var common [257][]byte
	each := func(fn func(b int, key []byte, c change)) {
		for i, buf := range bufs {
			for off := 0; off < len(buf); {
				key, _, _, size := entry(buf[off:])
				b := 0
				if len(key) > 0 {
					b = int(key[0]) + 1
				}
				fn(b, key, change{chunk: uint32(i), off: uint32(off)})
				off += size
			}
		}
	}
	each(func(b int, key []byte, _ change) {
		if count[b]++; count[b] == 1 {
			common[b] = key
			return
		}
		p := common[b]
		i := 0
		for i < min(len(p), len(key)) && p[i] == key[i] {
			i++
		}
		common[b] = p[:i]
	})
	var start [258]int
	for b, c := range count {
		start[b+1] = start[b] + c
	}
	changes := make([]change, n)
	next := start
	each(func(b int, key []byte, c change) {
		var head [8]byte
		copy(head[:], key[len(common[b]):])
		c.head = binary.BigEndian.Uint64(head[:])
		changes[next[b]] = c
		next[b]++
	})
	for b := range count {
		slices.SortFunc(changes[start[b]:start[b+1]], func(x, y change) int {
			if x.head != y.head {
				if x.head < y.head {
					return -1
				}
				return 1
			}
			k, _, _, _ := entry(bufs[x.chunk][x.off:])
			l, _, _, _ := entry(bufs[y.chunk][y.off:])
			if c := bytes.Compare(k, l); c != 0 {
				return c
			}
			if x.chunk != y.chunk {
				return int(x.chunk) - int(y.chunk)
			}
			return int(x.off) - int(y.off)
		})
	}
	var key []byte
	var old, last int64
	for i, c := range changes {
		k, w, now, _ := entry(bufs[c.chunk][c.off:])
		if i == 0 || !bytes.Equal(k, key) {
			if i > 0 {
				fn(key, old, last)
			}
			key, old = k, now-w
		}
		last = now
	}
	if len(changes) > 0 {
		fn(key, old, last)
	}
}
