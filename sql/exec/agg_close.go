package exec

import (
	"encoding/binary"
	"math"
	"slices"
)

// closeIndex finds the groups that a watermark closes. It is kept in memory
// alone and costs an append for a new group: buckets of neighbouring times, each
// with the number of its groups, which is exact, and hints, rows of the table
// where they were. A hint is checked against the row before it is believed: a row
// may have been given to another group, moved or evicted since. Groups that are
// counted but that no hint led to are missing; they are looked for in the whole
// table, when there are enough of them to pay for that: nothing asks for a group
// behind the watermark, so that it does not matter when its state goes.
type closeIndex struct {
	at      map[int64]int32 // a time's high bits → where in buckets
	buckets []closeBucket
	free    []int32 // of buckets
	heap    []int64 // keys of at, the least first; some may be gone
	hints   int     // in all buckets, about
	missing int64

	last   int64 // the bucket used last; its place is lastAt
	lastAt int32 // -1: none

	// What the step did.
	taken         []closeHint
	moved         []closeMove
	missingBefore int64
}

type closeBucket struct {
	n     int64 // groups, those on disk alone included
	least int64 // of the hints' times
	hints []closeHint
}

type closeHint struct {
	t   int64
	row int32
}

// closeMove is how the number of groups of a bucket changed.
type closeMove struct{ id, n int64 }

// closeShift makes a bucket of 2^17 µs, an eighth of a second; closePrune is how
// many hints of nothing a bucket may have. Tests change them.
var closeShift, closePrune = 17, 1024

func (x *closeIndex) init() { x.at, x.lastAt = map[int64]int32{}, -1 }

// bucket returns the bucket of a time's high bits; it is good until the next call.
func (x *closeIndex) bucket(id int64) *closeBucket {
	if x.lastAt >= 0 && x.last == id {
		return &x.buckets[x.lastAt]
	}
	p, ok := x.at[id]
	if !ok {
		if n := len(x.free); n > 0 {
			p = x.free[n-1]
			x.free = x.free[:n-1]
		} else {
			p = int32(len(x.buckets))
			x.buckets = append(x.buckets, closeBucket{})
		}
		x.buckets[p].n, x.buckets[p].least = 0, math.MaxInt64
		x.at[id] = p
		x.push(id)
	}
	x.last, x.lastAt = id, p
	return &x.buckets[p]
}

// count adds n to the groups of time t, in a step.
func (x *closeIndex) count(id, n int64) {
	x.bucket(id).n += n
	if l := len(x.moved); l > 0 && x.moved[l-1].id == id {
		x.moved[l-1].n += n
		return
	}
	x.moved = append(x.moved, closeMove{id, n})
}

func (x *closeIndex) hint(t int64, row int32) *closeBucket {
	b := x.bucket(t >> closeShift)
	b.hints = append(b.hints, closeHint{t, row})
	b.least = min(b.least, t)
	x.hints++
	return b
}

// load notes a group of the durable state; row -1: it is not in memory.
func (x *closeIndex) load(t int64, row int32) {
	x.bucket(t>>closeShift).n++
	if row >= 0 {
		x.hint(t, row)
	}
}

// take removes what is before limit; closed drops the group in a row if it has
// the time t, and tells whether it had.
func (x *closeIndex) take(limit int64, closed func(row int32, t int64) (bool, error)) error {
	for len(x.heap) > 0 {
		id := x.heap[0]
		p, ok := x.at[id]
		if !ok {
			x.pop()
			continue
		}
		whole := id < limit>>closeShift
		b := &x.buckets[p]
		if !whole && b.least >= limit {
			return nil
		}
		keep, least, n := b.hints[:0], int64(math.MaxInt64), int64(0)
		for _, h := range b.hints {
			if h.t >= limit {
				keep = append(keep, h)
				least = min(least, h.t)
				continue
			}
			x.taken = append(x.taken, h)
			yes, err := closed(h.row, h.t)
			if err != nil {
				return err // the step is undone with what taken has, or the job fails
			}
			if yes {
				n++
			}
		}
		x.hints -= len(b.hints) - len(keep)
		b.hints, b.least = keep, least
		x.count(id, -n)
		if !whole {
			return nil
		}
		b = x.bucket(id)
		x.missing += b.n
		x.count(id, -b.n)
		x.drop(id, p)
		x.pop()
	}
	return nil
}

// drop lets the bucket of id, at p, go.
func (x *closeIndex) drop(id int64, p int32) {
	x.free = append(x.free, p)
	delete(x.at, id)
	x.lastAt = -1
}

func (x *closeIndex) commit() {
	x.moved = x.moved[:0]
	if cap(x.taken) > 1<<16 {
		x.taken = nil
	}
	x.taken = x.taken[:0]
	x.missingBefore = x.missing
}

func (x *closeIndex) rollback() {
	for _, m := range x.moved {
		x.bucket(m.id).n -= m.n
	}
	for _, h := range x.taken {
		x.hint(h.t, h.row)
	}
	x.moved, x.taken = x.moved[:0], x.taken[:0]
	x.missing = x.missingBefore
}

func (x *closeIndex) push(id int64) {
	h := append(x.heap, id)
	for i := len(h) - 1; i > 0; {
		up := (i - 1) / 2
		if h[up] <= h[i] {
			break
		}
		h[up], h[i] = h[i], h[up]
		i = up
	}
	x.heap = h
}

func (x *closeIndex) pop() {
	h := x.heap
	n := len(h) - 1
	h[0] = h[n]
	h = h[:n]
	for i := 0; ; {
		c := 2*i + 1
		if c >= n {
			break
		}
		if c+1 < n && h[c+1] < h[c] {
			c++
		}
		if h[i] <= h[c] {
			break
		}
		h[i], h[c] = h[c], h[i]
		i = c
	}
	x.heap = h
}

// timeOf reads the time in a group's key; none: the group is never closed.
func (a *agg) timeOf(key []byte) (int64, bool) {
	k := key[1:]
	for _, c := range a.keys[:a.keyAt] {
		var err error
		if k, err = SkipCell(k, a.in[c].Type); err != nil {
			return 0, false
		}
	}
	if len(k) < 9 || k[0] != cellValue {
		return 0, false
	}
	return int64(binary.BigEndian.Uint64(k[1:]) ^ 1<<63), true
}

// groupLoaded notes a group of the durable state.
func (a *agg) groupLoaded(key []byte, row int32) {
	if t, ok := a.timeOf(key); ok {
		a.close.load(t, row)
	}
}

// groupChanged notes groups that came or went.
func (a *agg) groupChanged(row int32, was, is bool) {
	if !a.closing || was == is {
		return
	}
	t, ok := a.timeOf(a.t.Key(row))
	if !ok {
		return
	}
	x := &a.close
	if was {
		x.count(t>>closeShift, -1)
		return
	}
	x.count(t>>closeShift, 1)
	if b := x.hint(t, row); len(b.hints) > 2*int(max(b.n, 0))+closePrune {
		a.pruneHints(b)
	}
}

// pruneHints drops the hints of groups that are gone: a group that comes and goes
// leaves one each time.
func (a *agg) pruneHints(b *closeBucket) {
	before := len(b.hints)
	b.hints = slices.DeleteFunc(b.hints, func(h closeHint) bool { return !a.rowHas(h.row, h.t) })
	slices.SortFunc(b.hints, func(p, q closeHint) int { return int(p.row) - int(q.row) })
	b.hints = slices.Compact(b.hints)
	a.close.hints -= before - len(b.hints)
}

// rowHas tells whether there is a group in a row, and of time t.
func (a *agg) rowHas(row int32, t int64) bool {
	if !a.t.Has(row) {
		return false
	}
	is, ok := a.timeOf(a.t.Key(row))
	return ok && is == t
}

// closeBefore drops the groups before limit.
func (a *agg) closeBefore(limit int64) error {
	x := &a.close
	err := x.take(limit, func(row int32, t int64) (bool, error) {
		if !a.rowHas(row, t) {
			return false, nil
		}
		return true, a.closeRow(row)
	})
	if err != nil || x.missing <= 0 || x.missing*16 < int64(a.t.Len()) {
		return err
	}
	return a.closeMissing(limit)
}

// closeMissing looks for the groups before limit in the whole table.
func (a *agg) closeMissing(limit int64) error {
	x := &a.close
	found := func(row int32, t int64) error {
		if _, ok := x.at[t>>closeShift]; ok {
			x.count(t>>closeShift, -1)
		} else {
			x.missing--
		}
		return a.closeRow(row)
	}
	var rows []int32
	a.t.Each(func(row int32) bool {
		if t, ok := a.timeOf(a.t.Key(row)); ok && t < limit {
			rows = append(rows, row)
		}
		return true
	})
	for _, row := range rows {
		t, _ := a.timeOf(a.t.Key(row))
		if err := found(row, t); err != nil {
			return err
		}
	}
	if x.missing > 0 {
		var ks Keys
		ks.Reset()
		err := a.t.EachEvicted(a.groups[0], a.groups[1], func(key []byte) {
			if t, ok := a.timeOf(key); ok && t < limit {
				ks.Buf = append(ks.Buf, key...)
				ks.End()
			}
		})
		if err != nil {
			return err
		}
		for i := range ks.Len() {
			if row := a.t.Get(ks.At(i), false); row >= 0 {
				t, _ := a.timeOf(ks.At(i))
				if err := found(row, t); err != nil {
					return err
				}
			}
			if err := a.t.Err(); err != nil {
				return err
			}
		}
	}
	x.missing = 0
	return nil
}

// closeRow drops the state of a group.
func (a *agg) closeRow(row int32) error {
	if a.set != nil {
		dropPrefix(a.set, a.cur, a.t.Key(row))
		if err := a.set.Err(); err != nil {
			return err
		}
	}
	a.t.Delete(row)
	return nil
}
