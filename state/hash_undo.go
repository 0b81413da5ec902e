package state

import (
	"slices"

	"github.com/streamsql/streamsql/sql/sqlerr"
)

var _ Table = (*Hash)(nil)

var errHashFull = sqlerr.New(sqlerr.OutOfMemory, "out of memory").WithDetail("a state table is full")

func (h *Hash) fail(err error) {
	if h.err == nil {
		h.err = err
	}
}

// Err is the first failure since the last Rollback, which puts right whatever a
// step made of it; nil if none.
func (h *Hash) Err() error { return h.err }

// preimages is what a step changed: for each touched row what it was.
type preimages struct {
	step    uint32
	inStep  bool
	jrows   []int32
	jpre    []uint64 // head and words of the rows that were there, in order
	jat     []int32  // per touched row where in jpre, in entries; -1: it is new
	fresh   []int32  // rows with a tail made in this step
	dead    []ref    // blocks to free if the step stays
	deleted []int32
	live0   int   // live at the start of the step
	back    int64 // bytes read back since the last Evict
	begun   int64 // bytes then, and what was read back or evicted since
}

// Begin starts a step.
func (h *Hash) Begin() {
	h.step++
	if h.step == 0 { // after 2^32 steps: old stamps must not look like new ones
		for row := range h.rows {
			h.entry(row)[0] &^= 1<<32 - 1
		}
		h.step = 1
	}
	h.inStep, h.live0 = true, h.live
	h.clearJournal()
	h.begun = h.Bytes()
}

// Grown implements [Table].
func (h *Hash) Grown() int64 { return h.Bytes() - h.begun }

// ReadBack implements [Table].
func (h *Hash) ReadBack() int64 { return h.back }

// Fail makes err the table's failure, if it has none: its owner's step fails.
func (h *Hash) Fail(err error) { h.fail(err) }

func (h *Hash) clearJournal() {
	h.jrows, h.jat, h.jpre = h.jrows[:0], h.jat[:0], h.jpre[:0]
	h.fresh, h.dead, h.deleted = h.fresh[:0], h.dead[:0], h.deleted[:0]
}

// Touch must be called before a row is changed. It returns whether it was the
// first time in this step.
func (h *Hash) Touch(row int32) bool {
	e := h.entry(row)
	if uint32(e[0]) == h.step {
		return false
	}
	h.touch(row, e)
	return true
}

func (h *Hash) touch(row int32, e []uint64) {
	if !h.inStep {
		panic("state: a Hash changed outside of a step")
	}
	h.jrows = append(h.jrows, row)
	n := len(h.jpre)
	size := headWords + h.words
	h.jat = append(h.jat, int32(n/size))
	if n+size > cap(h.jpre) {
		h.jpre = slices.Grow(h.jpre, max(size, n/4))
	}
	p := h.jpre[n : n+size]
	h.jpre = h.jpre[:n+size]
	p[0], p[1] = e[0], e[1]
	p = p[headWords:]
	for i, w := range e[headWords+h.inline:] { // short: a call of memmove costs more
		if i < len(p) {
			p[i] = w
		}
	}
	e[0] = e[0]&^(1<<32-1) | uint64(h.step)
	h.setDirty(row, e)
}

func (h *Hash) touchNew(row int32, e []uint64) {
	if !h.inStep {
		panic("state: a Hash changed outside of a step")
	}
	h.jrows = append(h.jrows, row)
	h.jat = append(h.jat, -1)
	e[0] |= uint64(h.step)
	h.setDirty(row, e)
}

func (h *Hash) setDirty(row int32, e []uint64) {
	if e[1]&flagDirty == 0 {
		e[1] |= flagDirty
		h.dirtyBits[row>>6] |= 1 << (row & 63)
		h.dirtyRows++
	}
}

func (h *Hash) setClean(row int32, e []uint64) {
	if e[1]&flagDirty != 0 {
		e[1] &^= flagDirty
		h.dirtyBits[row>>6] &^= 1 << (row & 63)
		h.dirtyRows--
	}
}

// Delete removes a row. It is an entry no more, but its row is not given to
// another key before the end of the step.
func (h *Hash) Delete(row int32) {
	h.Touch(row)
	h.SetTail(row, nil)
	h.entry(row)[1] &^= flagLive
	h.deleted = append(h.deleted, row)
	h.live--
}

// revive makes a deleted row, whose key is still in its slot, a new entry.
func (h *Hash) revive(row int32, e []uint64) {
	h.Touch(row)
	clear(e[headWords+h.inline:])
	e[1] |= flagLive
	h.live++
}

// Touched returns how many rows were touched in this step.
func (h *Hash) Touched() int { return len(h.jrows) }

// TouchedRow returns the i-th row touched in this step, and the words that it had
// when the step began: nil if it was not there. A row may have been deleted
// since: see Live.
func (h *Hash) TouchedRow(i int) (row int32, old []uint64) {
	row = h.jrows[i]
	if p := h.pre(i); p != nil && p[1]&flagLive != 0 {
		old = p[headWords:]
	}
	return row, old
}

// OldTail returns the tail of the i-th touched row as it was when the step began.
func (h *Hash) OldTail(i int) []byte {
	if p := h.pre(i); p != nil && p[1]&flagLive != 0 {
		return h.ar.get(ref(p[1] >> 32))
	}
	return nil
}

func (h *Hash) pre(i int) []uint64 {
	at := int(h.jat[i])
	if at < 0 {
		return nil
	}
	n := headWords + h.words
	return h.jpre[at*n : (at+1)*n : (at+1)*n]
}

// Live tells whether the row is an entry: not one that was deleted.
func (h *Hash) Live(row int32) bool { return h.entry(row)[1]&flagLive != 0 }

// Commit keeps what the step changed.
func (h *Hash) Commit() {
	for _, r := range h.dead {
		h.ar.release(r)
	}
	for _, row := range h.fresh {
		h.entry(row)[1] &^= flagFreshTail
	}
	for _, row := range h.deleted {
		// What the durable state may have stays, to be deleted there. A row may
		// stand in the list twice.
		e := h.entry(row)
		if e[1]&(flagLive|flagPersisted) == 0 && e[1]&flagDirty != 0 {
			h.drop(row)
		}
	}
	h.inStep = false
	h.clearJournal()
}

// Rollback undoes the step.
func (h *Hash) Rollback() {
	for i, row := range h.jrows {
		p := h.pre(i)
		if p == nil {
			h.drop(row)
			continue
		}
		e := h.entry(row)
		if e[1]&flagFreshTail != 0 {
			h.ar.release(ref(e[1] >> 32))
		}
		h.setClean(row, e)
		e[0], e[1] = p[0], p[1]&^flagDirty
		copy(e[headWords+h.inline:], p[headWords:])
		if p[1]&flagDirty != 0 {
			h.setDirty(row, e)
		}
	}
	h.live = h.live0
	h.inStep = false
	h.err = nil
	h.clearJournal()
}
