package state

import (
	"encoding/binary"
	"math/bits"
	"slices"

	"github.com/streamsql/streamsql/sql/sqlerr"
)

// The durable form of an entry: its key, and as value each word as a zigzag
// varint, then the tail.

func appendEntry(dst []byte, words []uint64, tail []byte) []byte {
	for _, w := range words {
		dst = binary.AppendVarint(dst, int64(w))
	}
	return append(dst, tail...)
}

// setEntry fills a row, which is not touched, from its durable form.
func (h *Hash) setEntry(row int32, value []byte) {
	e := h.entry(row)
	for i := range h.words {
		v, n := binary.Varint(value)
		if n <= 0 {
			h.fail(sqlerr.New("XX001", "damaged entry of a state table"))
			return
		}
		e[headWords+h.inline+i] = uint64(v)
		value = value[n:]
	}
	if len(value) > 0 {
		r := h.ar.put(value)
		if r == 0 {
			h.fail(errHashFull)
		}
		e[1] |= uint64(r) << 32
	}
}

// captureBuf holds the copies of the rows of the open capture, in chunks that
// are used again by the next.
type captureBuf struct {
	h     *Hash
	rows  []int32
	data  [][]uint64 // entries: the low half of word 0 is the tail's length, the high half of a long key's word the key's
	bytes [][]byte   // long keys and tails, in order; each whole in its chunk
	open  bool
}

const (
	captureWords = 1 << 17
	captureBytes = 1 << 20
)

// Capture copies what changed since the last capture aside.
func (h *Hash) Capture() Capture {
	c := &h.cap
	if c.open {
		panic("state: a capture of the table is open")
	}
	c.h, c.open, c.rows = h, true, c.rows[:0]
	c.rows = slices.Grow(c.rows, h.dirtyRows)
	per := captureWords / h.stride * h.stride
	nd, nb := 0, 0
	var d []uint64
	var b []byte
	room := func(n int) {
		if len(b)+n <= cap(b) && b != nil {
			return
		}
		if b != nil {
			c.bytes[nb] = b
			nb++
		}
		if nb == len(c.bytes) {
			c.bytes = append(c.bytes, nil)
		}
		if cap(c.bytes[nb]) < n {
			c.bytes[nb] = make([]byte, 0, max(n, captureBytes))
		}
		b = c.bytes[nb][:0]
	}
	for i, set := range h.dirtyBits {
		for set != 0 {
			row := int32(i<<6 + bits.TrailingZeros64(set))
			set &= set - 1
			e := h.entry(row)
			e[1] = e[1]&^flagDirty | flagPersisted | flagCapturing
			if len(d) == cap(d) {
				if d != nil {
					c.data[nd] = d
					nd++
				}
				if nd == len(c.data) {
					c.data = append(c.data, make([]uint64, 0, per))
				}
				d = c.data[nd][:0]
			}
			at := len(d)
			d = append(d, e...)
			c.rows = append(c.rows, row)
			if e[headWords]&0xff == longKey {
				k := h.ar.get(ref(e[headWords] >> 32))
				room(len(k))
				b = append(b, k...)
				d[at+headWords] = longKey | uint64(len(k))<<32
			}
			d[at] &^= 1<<32 - 1
			if t := ref(e[1] >> 32); t != 0 {
				k := h.ar.get(t)
				room(len(k))
				b = append(b, k...)
				d[at] |= uint64(len(k))
			}
		}
		h.dirtyBits[i] = 0
	}
	if d != nil {
		c.data[nd] = d
		nd++
	}
	if b != nil {
		c.bytes[nb] = b
		nb++
	}
	// Chunks that this capture had no use for are given back.
	clear(c.data[nd:])
	clear(c.bytes[nb:])
	c.data, c.bytes = c.data[:nd], c.bytes[:nb]
	h.dirtyRows, h.dirtyMem = 0, 0
	return c
}

// Write hands the changes to w.
func (c *captureBuf) Write(w Writer) {
	h := c.h
	var val []byte
	nb, pos := 0, 0
	take := func(n int) []byte {
		if pos+n > len(c.bytes[nb]) {
			nb, pos = nb+1, 0
		}
		b := c.bytes[nb][pos : pos+n]
		pos += n
		return b
	}
	for _, d := range c.data {
		for ; len(d) > 0; d = d[h.stride:] {
			e := d[:h.stride]
			var key, tail []byte
			if e[headWords]&0xff == longKey {
				key = take(int(e[headWords] >> 32))
			} else {
				key = h.keyOf(e)
			}
			if e[1]>>32 != 0 {
				tail = take(int(uint32(e[0])))
			}
			if e[1]&flagLive == 0 {
				w.Delete(key)
				continue
			}
			val = appendEntry(val[:0], e[headWords+h.inline:], tail)
			w.Set(key, val)
		}
	}
}

// Done ends the capture.
func (c *captureBuf) Done(durable bool) {
	h := c.h
	for _, row := range c.rows {
		e := h.entry(row)
		e[1] &^= flagCapturing
		if !durable {
			h.setDirty(row, e)
		} else if e[1]&(flagLive|flagDirty) == 0 {
			h.drop(row) // deleted, on disk too
		}
	}
	c.rows = c.rows[:0]
	c.open = false
}

// bytes is the memory of the buffers.
func (c *captureBuf) mem() (n int64) {
	for _, d := range c.data {
		n += int64(cap(d)) * 8
	}
	for _, b := range c.bytes {
		n += int64(cap(b))
	}
	return n + int64(cap(c.rows))*4
}

// Dirty returns about how many bytes the next Capture will have to write.
func (h *Hash) Dirty() int64 { return int64(h.dirtyRows)*int64(h.stride*8) + h.dirtyMem }

// SetReader gives the table the durable state beneath it, without which nothing
// is evicted.
func (h *Hash) SetReader(r Reader) { h.reader = r }

// Load fills an empty table with the key groups lo to hi-1 of the durable state:
// entries, until memory bytes are in use (0: no bound), and of the others, which
// are read when they are asked for, a mark.
func (h *Hash) Load(r Reader, lo, hi int, memory int64) error {
	var lower, upper []byte
	if lo > 0 {
		lower = []byte{byte(lo)}
	}
	if hi < 256 {
		upper = []byte{byte(hi)}
	}
	err := r.Scan(lower, upper, func(key, value []byte) error {
		x := h.hash(key)
		if memory > 0 && h.reader != nil && h.live&255 == 0 && h.Bytes() > memory {
			h.insertSlot(x, uint64(x)<<32|evictedMark)
			h.evicted++
			if h.loaded != nil {
				h.loaded(key, -1)
			}
			return nil
		}
		if row := h.load(key, x, value); h.loaded != nil && h.err == nil {
			h.loaded(key, row)
		}
		return h.err
	})
	if err == nil {
		err = h.err
	}
	return err
}

func (h *Hash) load(key []byte, x uint32, value []byte) int32 {
	row := h.newRow(key, x)
	if row < 0 {
		return 0
	}
	h.entry(row)[1] = flagLive | flagPersisted
	h.setEntry(row, value)
	h.insertSlot(x, uint64(x)<<32|uint64(uint32(row)+firstRow))
	h.live++
	return row
}

// EachEvicted calls fn with the keys in the key groups lo to hi-1 of entries that
// are on disk alone, and of a few others: it reads the whole durable state. fn
// must not use the table; the key is its only during the call.
func (h *Hash) EachEvicted(lo, hi int, fn func(key []byte)) error {
	if h.reader == nil || h.evicted == 0 || lo >= hi {
		return nil
	}
	var upper []byte
	if hi < 256 {
		upper = []byte{byte(hi)}
	}
	return h.reader.Scan([]byte{byte(lo)}, upper, func(key, _ []byte) error {
		x := h.hash(key)
		s, p := h.place(x)
		mask := uint32(len(s.slots) - 1)
		for ; s.slots[p] != 0; p = (p + 1) & mask {
			if s.slots[p] == uint64(x)<<32|evictedMark {
				fn(key)
				break
			}
		}
		return nil
	})
}

// readBack looks on disk for a key whose hash an evicted mark in slot p has. It
// returns -1 if the mark is another key's.
func (h *Hash) readBack(s *segment, p uint32, key []byte, x uint32) int32 {
	if h.reader == nil {
		h.fail(sqlerr.New(sqlerr.Internal, "an evicted entry cannot be read back"))
		return -1
	}
	value, err := h.reader.Get(key)
	if err != nil {
		h.fail(err)
		return -1
	}
	if value == nil {
		return -1
	}
	// The key may be in memory too, behind the mark in the probe order: the mark is
	// another's then.
	mask := uint32(len(s.slots) - 1)
	for q := p; s.slots[q] != 0; q = (q + 1) & mask {
		if v := s.slots[q]; uint32(v>>32) == x && uint32(v) >= firstRow {
			if string(h.Key(int32(uint32(v)-firstRow))) == string(key) {
				return -1
			}
		}
	}
	row := h.newRow(key, x)
	if row < 0 {
		return -1
	}
	h.entry(row)[1] = flagLive | flagPersisted
	h.entry(row)[0] |= uint64(h.step - 1) // not cold
	h.setEntry(row, value)
	s.slots[p] = uint64(x)<<32 | uint64(uint32(row)+firstRow)
	h.live++
	h.live0++
	h.evicted--
	size := h.rowBytes(h.entry(row))
	h.begun += size
	h.back += size
	return row
}

// rowBytes is the memory of a row, its key and its tail.
func (h *Hash) rowBytes(e []uint64) int64 {
	n := int64(h.stride*8) + h.ar.blockSize(ref(e[1]>>32))
	if e[headWords]&0xff == longKey {
		n += h.ar.blockSize(ref(e[headWords] >> 32))
	}
	return n
}

// Evict drops clean entries, about those first that were touched longest ago. It
// goes on where the last call ended.
func (h *Hash) Evict(n int64) int64 {
	if h.reader == nil || n <= 0 {
		return 0
	}
	h.back = 0
	const pinned = flagDirty | flagCapturing
	// A sample of the stamps tells how far back to go.
	var ages []uint32
	count := 0
	hop := max(1, h.rows/4096)
	for row := int32(0); row < h.rows; row += hop {
		if e := h.entry(row); e[1]&(flagLive|pinned) == flagLive {
			ages = append(ages, h.step-uint32(e[0]))
			count += int(hop)
		}
	}
	if len(ages) == 0 {
		return 0
	}
	slices.Sort(ages)
	before := h.Bytes()
	each := max(1, before/int64(h.live+1))
	q := len(ages) - 1 - int(min(n/each, int64(count))*int64(len(ages)-1)/int64(count))
	var freed int64
	for _, least := range []uint32{ages[q], ages[len(ages)/2], 0} {
		for left := h.rows; left > 0 && freed < n; left-- {
			row := h.hand
			if h.hand++; h.hand >= h.rows {
				h.hand = 0
			}
			if row >= h.rows {
				continue
			}
			e := h.entry(row)
			if e[1]&(flagLive|pinned) != flagLive || h.step-uint32(e[0]) < least {
				continue
			}
			size := h.rowBytes(e)
			freed += size
			h.begun -= size
			s, p := h.slotOf(e[0]&^(1<<32-1) | uint64(uint32(row)+firstRow))
			s.slots[p] = s.slots[p]&^(1<<32-1) | evictedMark
			h.freeRow(row, e)
			h.live--
			h.live0--
			h.evicted++
		}
		if freed >= n {
			break
		}
	}
	if !h.inStep { // the step knows its rows by number
		h.compact()
	}
	return freed
}

// compact gives memory back that evictions left scattered: the rows of the last
// chunks move to free ones before them, and the arena is written anew when half
// of it is free.
func (h *Hash) compact() {
	if !h.cap.open && len(h.freeRows) > rowChunk && len(h.freeRows) > int(h.rows)/8 {
		keep := h.rows - int32(len(h.freeRows))
		free := h.freeRows[:0]
		for _, row := range h.freeRows {
			if row < keep {
				free = append(free, row)
			}
		}
		for row := keep; row < h.rows; row++ {
			e := h.entry(row)
			if e[1] == 0 {
				continue // a free row: its flags are gone
			}
			to := free[len(free)-1]
			free = free[:len(free)-1]
			s, p := h.slotOf(e[0]&^(1<<32-1) | uint64(uint32(row)+firstRow))
			s.slots[p] = e[0]&^(1<<32-1) | uint64(uint32(to)+firstRow)
			dirty := e[1]&flagDirty != 0
			h.setClean(row, e)
			copy(h.entry(to), e)
			if dirty {
				h.setDirty(to, h.entry(to))
			}
			e[1] = 0
		}
		h.freeRows = free
		h.rows = keep
		n := max(1, int(keep+rowChunk-1)>>10)
		clear(h.chunks[n:])
		h.chunks = h.chunks[:n]
	}
	if h.ar.held > 4*arenaChunk && h.ar.used < h.ar.held/2 {
		var ar arena
		for row := range h.rows {
			e := h.entry(row)
			if e[1] == 0 {
				continue
			}
			if e[headWords]&0xff == longKey {
				e[headWords] = longKey | uint64(ar.put(h.ar.get(ref(e[headWords]>>32))))<<32
			}
			if t := ref(e[1] >> 32); t != 0 {
				e[1] = e[1]&(1<<32-1) | uint64(ar.put(h.ar.get(t)))<<32
			}
		}
		h.ar = ar
	}
}
