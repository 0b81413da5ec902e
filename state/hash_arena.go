package state

import (
	"encoding/binary"
	"math/bits"
)

const (
	arenaBits  = 18 // a chunk is 256 KiB
	arenaChunk = 1 << arenaBits
	unitBits   = 3 // blocks begin at multiples of 8 bytes
	chunkShift = arenaBits - unitBits
	blockHead  = 4 // the length, little-endian, before the bytes
)

// arena holds byte strings in large chunks without pointers. A block is named by
// its position in units of 8 bytes, so 32 GiB can be named; 0 names no block.
// Freed blocks are kept in a list per size class, linked through the blocks.
type arena struct {
	chunks [][]byte
	spare  []uint32         // chunks given back
	cur    uint32           // the chunk that is being filled
	next   uint32           // where in it, in bytes
	free   [sizeClasses]ref // heads
	used   int64            // bytes in blocks that are not free
	held   int64            // bytes in chunks
}

type ref = uint32

// Size classes: multiples of 8 up to 128, above that four to each power of two.
const sizeClasses = 16 + 4*(arenaBits-7) + 1

// class returns the size class that holds n bytes, and its size.
func class(n int) (int, int) {
	if n <= 128 {
		c := (n + 7) >> 3
		return c, c << 3
	}
	p := bits.Len(uint(n-1)) - 1 // 2^p < n <= 2^(p+1)
	step := 1 << (p - 2)
	q := (n - 1<<p + step - 1) / step // 1..4
	return 16 + 4*(p-7) + q, 1<<p + q*step
}

// put stores b in a block of its own. It returns 0 if the arena is full.
func (a *arena) put(b []byte) ref {
	r := a.alloc(len(b))
	if r != 0 {
		copy(a.get(r), b)
	}
	return r
}

// alloc returns a block for n bytes.
func (a *arena) alloc(n int) ref {
	if n+blockHead > arenaChunk {
		return a.big(n)
	}
	c, size := class(n + blockHead)
	a.used += int64(size)
	r := a.free[c]
	if r != 0 {
		a.free[c] = binary.LittleEndian.Uint32(a.at(r)[4:])
	} else {
		for len(a.chunks) == 0 || int(a.next)+size > len(a.chunks[a.cur]) {
			// What is left of the chunk is lost: less than this block.
			if !a.grow(size, false) {
				a.used -= int64(size)
				return 0
			}
		}
		r = a.cur<<chunkShift | a.next>>unitBits
		a.next += uint32(size)
	}
	binary.LittleEndian.PutUint32(a.at(r), uint32(n))
	return r
}

// grow begins a new chunk for a block of size bytes, alone in it or not. The
// first chunks are small, so that a small table is.
func (a *arena) grow(size int, alone bool) bool {
	i := uint32(len(a.chunks))
	switch n := len(a.spare); {
	case n > 0:
		i = a.spare[n-1]
		a.spare = a.spare[:n-1]
	case i >= 1<<(32-chunkShift):
		return false
	default:
		a.chunks = append(a.chunks, nil)
	}
	a.cur, a.next = i, 0
	switch {
	case i == 0: // its first unit is left out, so that no block is named 0
		size, a.next = arenaChunk>>8, 1<<unitBits
	case alone:
	case i < 4:
		size = max(size, arenaChunk>>(2*(4-i)))
	default:
		size = arenaChunk
	}
	a.chunks[i] = make([]byte, size)
	a.held += int64(size)
	return true
}

// big gives a block a chunk of its own.
func (a *arena) big(n int) ref {
	if len(a.chunks) == 0 {
		a.grow(0, false)
	}
	cur, next := a.cur, a.next
	size := (n + blockHead + 7) &^ 7
	if !a.grow(size, true) {
		return 0
	}
	r := a.cur << chunkShift
	a.cur, a.next = cur, next
	a.used += int64(size)
	binary.LittleEndian.PutUint32(a.at(r), uint32(n))
	return r
}

// at returns the block's memory, the head included, up to the chunk's end.
func (a *arena) at(r ref) []byte {
	return a.chunks[r>>chunkShift][r<<unitBits&(arenaChunk-1):]
}

// get returns the bytes of block r; none for 0.
func (a *arena) get(r ref) []byte {
	if r == 0 {
		return nil
	}
	b := a.at(r)
	n := binary.LittleEndian.Uint32(b)
	return b[blockHead : blockHead+n : blockHead+n]
}

// set stores b in place of block r, in it if the size class is the same.
func (a *arena) set(r ref, b []byte) ref {
	if r != 0 && len(b)+blockHead <= arenaChunk {
		old := len(a.get(r))
		c0, _ := class(old + blockHead)
		c1, _ := class(len(b) + blockHead)
		if old+blockHead <= arenaChunk && c0 == c1 {
			m := a.at(r)
			binary.LittleEndian.PutUint32(m, uint32(len(b)))
			copy(m[blockHead:], b)
			return r
		}
	}
	n := a.put(b) // before the old is freed: b may be part of it
	a.release(r)
	return n
}

// release frees block r.
func (a *arena) release(r ref) {
	if r == 0 {
		return
	}
	m := a.at(r)
	n := int(binary.LittleEndian.Uint32(m))
	if n+blockHead > arenaChunk {
		i := r >> chunkShift
		size := int64(len(a.chunks[i]))
		a.used -= size
		a.held -= size
		a.chunks[i] = nil
		a.spare = append(a.spare, i)
		return
	}
	c, size := class(n + blockHead)
	a.used -= int64(size)
	binary.LittleEndian.PutUint32(m[4:], a.free[c])
	a.free[c] = r
}

// blockSize is what block r takes of the arena.
func (a *arena) blockSize(r ref) int64 {
	if r == 0 {
		return 0
	}
	n := int(binary.LittleEndian.Uint32(a.at(r)))
	if n+blockHead > arenaChunk {
		return int64(n + blockHead)
	}
	_, size := class(n + blockHead)
	return int64(size)
}
