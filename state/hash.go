package state

import (
	"encoding/binary"
	"math/bits"
	"math/rand/v2"
	"unsafe"
)

// HashOptions are the settings of a Hash.
type HashOptions struct {
	// Words is the number of 64-bit words of an entry.
	Words int
	// Inline is the length of keys, in bytes, up to which a key lies within its
	// entry. The default value is 15.
	Inline int
	// Loaded is called by Load with each key, and its row, -1 if the entry stays on
	// disk. The key is Loaded's only during the call.
	Loaded func(key []byte, row int32)
}

// Hash is a table from byte-string keys to fixed-width entries of 64-bit words,
// each with an optional variable-length tail: open addressing on the key's
// hash, entries and keys in slabs without pointers. It serves accumulators.
//
// An entry is named by its row, an int32 that stays the same until the entry is
// deleted and the step committed, or the entry is evicted. A step begins with
// Begin; before an entry is changed in it, Touch must be called, which keeps
// what it was. Slices that a Hash returns are good until the next Lookup,
// SetTail or end of a step.
//
// Slots hold the key's 32-bit hash and the row (Lookup in groups, so that the
// misses of the cache overlap). Large tables are cut into 256 segments, which
// grow one at a time and at different loads: no step pays for all of it.
type Hash struct {
	segs      []segment
	segBits   uint
	seed      uint64
	slotBytes int64

	words, inline, stride int // in words; inline words come behind the head
	chunks                [][]uint64
	rows                  int32   // rows ever used: the next new one
	freeRows              []int32 // rows to use again
	live                  int     // entries in memory
	evicted               int     // entries on disk alone
	hand                  int32   // where the next eviction goes on
	ar                    arena

	dirtyBits []uint64
	dirtyRows int
	dirtyMem  int64 // tails and keys of dirty rows, about

	preimages
	cap captureBuf

	reader Reader
	loaded func(key []byte, row int32)
	err    error
	hs     [probeGroup]uint32
	sink   uint64 // takes what is read ahead
}

type segment struct {
	slots []uint64 // 0: empty; else hash<<32 | row+firstRow, or | evictedMark
	shift uint8
	n     int
	limit int
}

const (
	evictedMark = 1
	firstRow    = 2

	probeGroup  = 64
	firstSlots  = 16
	splitSlots  = 1 << 16 // a segment that would grow beyond is cut into 256
	rowChunk    = 1024
	firstRows   = 16
	minPrefetch = 1 << 14 // slots under which a table is in the cache anyway
)

// An entry's head: word 0 is hash<<32 | the step that last touched it, word 1 is
// the tail's block<<32 | flags. The key follows: its length in the first byte of
// word 2 and its bytes, or longKey and in the upper half of the word its block.
const (
	headWords = 2
	longKey   = 255

	flagLive      = 1 << iota // not deleted
	flagDirty                 // changed since the last capture
	flagPersisted             // the durable state may have it
	flagCapturing             // in the open capture
	flagFreshTail             // the tail's block was made in this step
)

// NewHash returns an empty table.
func NewHash(o HashOptions) *Hash {
	in := o.Inline
	if in <= 0 {
		in = 15
	}
	in = min(in, 120)
	h := &Hash{loaded: o.Loaded, words: o.Words, inline: (in + 8) / 8, seed: rand.Uint64()}
	h.stride = headWords + h.inline + h.words
	h.segs = []segment{newSegment(firstSlots, 0)}
	h.slotBytes = firstSlots * 8
	h.step = 1
	return h
}

func newSegment(slots, i int) segment {
	s := segment{slots: make([]uint64, slots), shift: uint8(32 - bits.TrailingZeros(uint(slots)))}
	// Loads from 1/2 to 5/8, so that segments do not all grow at once.
	s.limit = slots/2 + slots/8*(i&255^0xff)/255
	return s
}

const (
	mix0 = 0xa0761d6478bd642f
	mix1 = 0xe7037ed1a0b428db
)

func mum(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	return hi ^ lo
}

func (h *Hash) hash(b []byte) uint32 { return hashBytes(h.seed, b) }

// hashBytes is in the manner of wyhash (Wang Yi, 2019).
func hashBytes(s uint64, b []byte) uint32 {
	n := len(b)
	var x, y uint64
	for len(b) > 16 {
		s = mum(binary.LittleEndian.Uint64(b)^mix1, binary.LittleEndian.Uint64(b[8:])^s)
		b = b[16:]
	}
	switch {
	case len(b) >= 8:
		x, y = binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint64(b[len(b)-8:])
	case len(b) >= 4:
		x, y = uint64(binary.LittleEndian.Uint32(b)), uint64(binary.LittleEndian.Uint32(b[len(b)-4:]))
	case len(b) > 0:
		x = uint64(b[0])<<16 | uint64(b[len(b)/2])<<8 | uint64(b[len(b)-1])
	}
	return uint32(mum(mix0^uint64(n), mum(x^mix1, y^s)) >> 32)
}

// place returns the segment of a hash and its home slot.
func (h *Hash) place(hash uint32) (*segment, uint32) {
	s := &h.segs[hash>>(32-h.segBits)]
	return s, hash << h.segBits >> s.shift
}

// entry returns the whole of a row.
func (h *Hash) entry(row int32) []uint64 {
	c := h.chunks[row>>10]
	o := int(row&(rowChunk-1)) * h.stride
	return c[o : o+h.stride : o+h.stride]
}

// Words returns the words of a row. To change them, Touch the row before.
func (h *Hash) Words(row int32) []uint64 {
	c := h.chunks[row>>10]
	o := int(row&(rowChunk-1)+1) * h.stride
	return c[o-h.words : o : o]
}

// keyOf returns the key in an entry.
func (h *Hash) keyOf(e []uint64) []byte {
	w := e[headWords]
	if n := w & 0xff; n != longKey {
		b := unsafe.Slice((*byte)(unsafe.Pointer(&e[headWords])), h.inline*8)
		return b[1 : 1+n : 1+n]
	}
	return h.ar.get(ref(w >> 32))
}

// Prefetch reads what TouchedRow, Key and Words of the i-th to the j-1st touched
// row will read, so that the misses overlap.
func (h *Hash) Prefetch(i, j int) {
	var sum uint64
	for _, row := range h.jrows[i:j] {
		c := h.chunks[row>>10]
		o := int(row&(rowChunk-1)) * h.stride
		sum += c[o] + c[o+h.stride-1]
	}
	h.sink = sum
}

// Key returns the key of a row.
func (h *Hash) Key(row int32) []byte { return h.keyOf(h.entry(row)) }

// Tail returns the tail of a row; none: nil.
func (h *Hash) Tail(row int32) []byte { return h.ar.get(ref(h.entry(row)[1] >> 32)) }

// SetTail gives a touched row another tail, which is copied; none: no tail.
func (h *Hash) SetTail(row int32, tail []byte) {
	e := h.entry(row)
	old := ref(e[1] >> 32)
	var r ref
	switch {
	case len(tail) == 0:
		if e[1]&flagFreshTail != 0 {
			h.ar.release(old)
		} else if old != 0 {
			h.dead = append(h.dead, old)
		}
	case e[1]&flagFreshTail != 0:
		r = h.ar.set(old, tail)
	default:
		if r = h.ar.put(tail); old != 0 {
			h.dead = append(h.dead, old)
		}
		h.fresh = append(h.fresh, row)
	}
	if r == 0 && len(tail) > 0 {
		h.fail(errHashFull)
	}
	e[1] = uint64(r)<<32 | e[1]&(1<<32-1)&^flagFreshTail
	if r != 0 {
		e[1] |= flagFreshTail
	}
	h.dirtyMem += int64(len(tail))
}

// Lookup finds the rows of keys, which lie end to end in buf: key i is
// buf[off[i]:off[i+1]]. It appends them to rows and returns that: -1 for a key
// that is not there, or with insert the row of a new entry, touched and with all
// words zero. With insert it must be called within a step.
func (h *Hash) Lookup(buf []byte, off []int32, insert bool, rows []int32) []int32 {
	for len(off) > 1 {
		n := min(len(off)-1, probeGroup)
		hs := h.hs[:n]
		for i := range hs {
			hs[i] = h.hash(buf[off[i]:off[i+1]])
		}
		if len(h.segs) > 1 || len(h.segs[0].slots) >= minPrefetch {
			h.prefetch(hs)
		}
		for i, x := range hs {
			rows = append(rows, h.find(buf[off[i]:off[i+1]], x, insert))
		}
		off = off[n:]
	}
	return rows
}

// Get is Lookup of one key.
func (h *Hash) Get(key []byte, insert bool) int32 { return h.find(key, h.hash(key), insert) }

// prefetch reads the slots and entries that a group of hashes leads to. Its reads
// do not depend on each other, so that their misses overlap.
func (h *Hash) prefetch(hs []uint32) {
	var slot [probeGroup]uint64
	for i, x := range hs {
		s, p := h.place(x)
		slot[i] = s.slots[p]
	}
	var sum uint64
	for i, x := range hs {
		v := slot[i]
		if uint32(v>>32) == x && uint32(v) >= firstRow {
			row := int32(uint32(v) - firstRow)
			c := h.chunks[row>>10]
			o := int(row&(rowChunk-1)) * h.stride
			sum += c[o] + c[o+h.stride-1] // the entry may lie in two lines
		}
	}
	h.sink = sum
}

func (h *Hash) find(key []byte, x uint32, insert bool) int32 {
	s, p := h.place(x)
	mask := uint32(len(s.slots) - 1)
	asked := false
	for {
		v := s.slots[p]
		if v == 0 {
			break
		}
		if uint32(v>>32) == x {
			if m := uint32(v); m != evictedMark {
				row := int32(m - firstRow)
				e := h.entry(row)
				if string(h.keyOf(e)) == string(key) {
					if e[1]&flagLive == 0 {
						if !insert {
							return -1
						}
						h.revive(row, e)
					}
					return row
				}
			} else if !asked {
				asked = true // one read answers for all marks of this hash
				if row := h.readBack(s, p, key, x); row >= 0 {
					return row
				}
			}
		}
		p = (p + 1) & mask
	}
	if !insert {
		return -1
	}
	row := h.newRow(key, x)
	if row < 0 {
		return 0 // the step fails: any row will do
	}
	h.live++
	h.insertSlot(x, uint64(x)<<32|uint64(uint32(row)+firstRow))
	e := h.entry(row)
	e[1] = flagLive
	h.touchNew(row, e)
	return row
}

// newRow makes an entry with all words zero that no slot leads to yet; -1 if the
// table is full.
func (h *Hash) newRow(key []byte, x uint32) int32 {
	var long ref
	if len(key) > h.inline*8-1 {
		if long = h.ar.put(key); long == 0 {
			h.fail(errHashFull)
			key = nil
		}
	}
	var row int32
	if n := len(h.freeRows); n > 0 {
		row = h.freeRows[n-1]
		h.freeRows = h.freeRows[:n-1]
	} else {
		if h.rows >= 1<<31-1 {
			h.fail(errHashFull)
			return -1
		}
		row = h.rows
		h.rows++
		h.room(row)
	}
	e := h.entry(row)
	clear(e)
	e[0] = uint64(x) << 32
	if long != 0 {
		e[headWords] = longKey | uint64(long)<<32
	} else {
		b := unsafe.Slice((*byte)(unsafe.Pointer(&e[headWords])), h.inline*8)
		b[0] = byte(len(key))
		copy(b[1:], key)
	}
	return row
}

// room makes the chunk of a row. The first chunk grows by doubling, so that a
// small table is small.
func (h *Hash) room(row int32) {
	i := int(row >> 10)
	if i == len(h.chunks) {
		n := rowChunk
		if i == 0 {
			n = firstRows
		}
		h.chunks = append(h.chunks, make([]uint64, n*h.stride))
	}
	if o := int(row&(rowChunk-1)+1) * h.stride; o > len(h.chunks[i]) {
		c := make([]uint64, 2*len(h.chunks[i]))
		copy(c, h.chunks[i])
		h.chunks[i] = c
	}
	for int(row>>6) >= len(h.dirtyBits) {
		h.dirtyBits = append(h.dirtyBits, 0)
	}
}

func (h *Hash) insertSlot(x uint32, v uint64) {
	s, p := h.place(x)
	if s.n >= s.limit {
		h.grow(s)
		s, p = h.place(x)
	}
	s.n++
	mask := uint32(len(s.slots) - 1)
	for s.slots[p] != 0 {
		p = (p + 1) & mask
	}
	s.slots[p] = v
}

// grow doubles a segment, or cuts the only one into 256.
func (h *Hash) grow(s *segment) {
	old := s.slots
	if h.segBits == 0 && 2*len(old) > splitSlots {
		h.segBits = 8
		h.segs = make([]segment, 256)
		for i := range h.segs {
			h.segs[i] = newSegment(2*len(old)/256, i)
		}
		h.slotBytes += int64(len(old)) * 8
	} else {
		i := 0
		if h.segBits > 0 {
			for _, v := range old {
				if v != 0 {
					i = int(v >> 56)
					break
				}
			}
		}
		*s = newSegment(2*len(old), i)
		h.slotBytes += int64(len(old)) * 8
	}
	for _, v := range old {
		if v == 0 {
			continue
		}
		s, p := h.place(uint32(v >> 32))
		if s.n >= len(s.slots)*7/8 { // uneven hashes: as good as never
			h.grow(s)
			s, p = h.place(uint32(v >> 32))
		}
		mask := uint32(len(s.slots) - 1)
		for s.slots[p] != 0 {
			p = (p + 1) & mask
		}
		s.slots[p] = v
		s.n++
	}
}

// slotOf returns the segment and slot that hold v.
func (h *Hash) slotOf(v uint64) (*segment, uint32) {
	s, p := h.place(uint32(v >> 32))
	mask := uint32(len(s.slots) - 1)
	for s.slots[p] != v {
		p = (p + 1) & mask
	}
	return s, p
}

// removeSlot empties slot p and shifts back what probed over it (Knuth, volume 3,
// algorithm 6.4R).
func (h *Hash) removeSlot(s *segment, p uint32) {
	mask := uint32(len(s.slots) - 1)
	s.n--
	q := p
	for {
		q = (q + 1) & mask
		v := s.slots[q]
		if v == 0 {
			break
		}
		home := uint32(v>>32) << h.segBits >> s.shift
		if (q-home)&mask >= (q-p)&mask {
			s.slots[p] = v
			p = q
		}
	}
	s.slots[p] = 0
}

// drop takes a row out of the table.
func (h *Hash) drop(row int32) {
	e := h.entry(row)
	s, p := h.slotOf(e[0]&^(1<<32-1) | uint64(uint32(row)+firstRow))
	h.removeSlot(s, p)
	h.freeRow(row, e)
}

// freeRow gives the memory of a row, which no slot leads to, to be used again.
func (h *Hash) freeRow(row int32, e []uint64) {
	h.ar.release(ref(e[1] >> 32))
	if e[headWords]&0xff == longKey {
		h.ar.release(ref(e[headWords] >> 32))
	}
	h.setClean(row, e)
	e[1] = 0
	h.freeRows = append(h.freeRows, row)
}

// Len returns the number of entries, those on disk alone included.
func (h *Hash) Len() int { return h.live + h.evicted }

// Bytes returns the memory in use: entries, tails, slots, and what can be undone.
func (h *Hash) Bytes() int64 {
	n := int64(int(h.rows)-len(h.freeRows))*int64(h.stride*8) + h.ar.used
	n += int64(len(h.jrows))*8 + int64(len(h.jpre))*8
	return n + h.slotBytes + h.cap.mem()
}

// Has tells whether there is an entry in a row, which may be any number that was
// a row once.
func (h *Hash) Has(row int32) bool { return row < h.rows && h.Live(row) }

// Each calls fn with the row of every entry in memory until it returns false. fn
// must not insert.
func (h *Hash) Each(fn func(row int32) bool) {
	for row := range h.rows {
		if h.entry(row)[1]&flagLive != 0 && !fn(row) {
			return
		}
	}
}
