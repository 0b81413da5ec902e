package exec

import (
	"maps"
	"slices"

	"github.com/streamsql/streamsql/state"
)

// paneIndex finds the panes of an aggregate by their start. It is kept in memory
// alone: a new pane costs an append. A key may stand in it twice, or for a pane
// that is gone: who reads it asks the table.
type paneIndex struct {
	at    map[int64]*paneBucket
	slide int64
	bytes int64
	least int64 // no pane starts before
	// What the step did. With lost, it cannot be undone: the index is made anew from
	// the table.
	grown   []paneUndo
	removed []*paneBucket
	packed  bool
	lost    bool
}

// paneBucket is the keys of one pane, end to end.
type paneBucket struct {
	start int64
	buf   []byte
	off   []int32 // where each key ends
	live  int     // panes that are there
	step  bool    // in grown
}

type paneUndo struct {
	b       *paneBucket
	n, live int
}

// panePack is how many keys of nothing a bucket may have; tests lower it.
var panePack = 1024

func (x *paneIndex) init(slide int64) {
	x.at, x.slide, x.least = map[int64]*paneBucket{}, slide, never
}

func (x *paneIndex) bucket(start int64) *paneBucket {
	b := x.at[start]
	if b == nil {
		b = &paneBucket{start: start}
		x.at[start] = b
		x.least = min(x.least, start)
	}
	return b
}

func (b *paneBucket) add(key []byte) {
	b.buf = append(b.buf, key...)
	b.off = append(b.off, int32(len(b.buf)))
	b.live++
}

func (b *paneBucket) cut(n int) {
	b.off = b.off[:n]
	if b.buf = b.buf[:0]; n > 0 {
		b.buf = b.buf[:b.off[n-1]]
	}
}

// each calls fn with the keys.
func (b *paneBucket) each(fn func(key []byte)) {
	from := int32(0)
	for _, to := range b.off {
		fn(b.buf[from:to:to])
		from = to
	}
}

// load notes a pane of the durable state.
func (x *paneIndex) load(start int64, key []byte) {
	x.bucket(start).add(key)
	x.bytes += int64(len(key)) + 4
}

// change notes that a pane has come or is gone.
func (x *paneIndex) change(start int64, key []byte, is bool) *paneBucket {
	b := x.bucket(start)
	if !b.step {
		b.step = true
		x.grown = append(x.grown, paneUndo{b, len(b.off), b.live})
	}
	if is {
		b.add(key)
		x.bytes += int64(len(key)) + 4
	} else {
		b.live--
	}
	return b
}

// pack drops a bucket's keys of panes that are gone, if there are many.
func (x *paneIndex) pack(b *paneBucket, t *state.Hash) {
	if len(b.off) <= 2*max(b.live, 0)+panePack {
		return
	}
	x.packed = true
	old, seen := *b, map[string]bool{}
	b.buf, b.off = nil, nil
	old.each(func(key []byte) {
		if !seen[string(key)] && t.Get(key, false) >= 0 {
			seen[string(key)] = true
			b.add(key)
		}
	})
	b.live = len(b.off)
	x.bytes -= int64(len(old.buf)-len(b.buf)) + 4*int64(len(old.off)-len(b.off))
}

// between returns the buckets of [from, to), the earliest first.
func (x *paneIndex) between(from, to int64) []*paneBucket {
	var out []*paneBucket
	if from != NoWatermark && (to-from)/x.slide <= int64(len(x.at)) {
		for s := from; s < to; s += x.slide {
			if b := x.at[s]; b != nil {
				out = append(out, b)
			}
		}
		return out
	}
	for _, s := range slices.Sorted(maps.Keys(x.at)) {
		if s >= from && s < to {
			out = append(out, x.at[s])
		}
	}
	return out
}

// before returns the buckets before to.
func (x *paneIndex) before(to int64) []*paneBucket {
	if x.least >= to {
		return nil
	}
	out := x.between(x.least, to)
	x.least = to
	return out
}

// remove takes a bucket out.
func (x *paneIndex) remove(b *paneBucket) {
	delete(x.at, b.start)
	x.bytes -= int64(len(b.buf)) + 4*int64(len(b.off))
	x.removed = append(x.removed, b)
}

func (x *paneIndex) commit() {
	for _, u := range x.grown {
		if u.b.step = false; len(u.b.off) == 0 && x.at[u.b.start] == u.b {
			delete(x.at, u.b.start)
		}
	}
	clear(x.removed)
	x.grown, x.removed, x.packed = x.grown[:0], x.removed[:0], false
}

func (x *paneIndex) rollback() {
	for _, b := range x.removed {
		x.at[b.start] = b
		x.least = min(x.least, b.start)
		x.bytes += int64(len(b.buf)) + 4*int64(len(b.off))
	}
	for _, u := range x.grown {
		if u.b.step = false; x.packed {
			continue
		}
		x.bytes -= int64(len(u.b.buf)) + 4*int64(len(u.b.off)-u.n)
		u.b.cut(u.n)
		x.bytes += int64(len(u.b.buf))
		if u.b.live = u.live; u.n == 0 {
			delete(x.at, u.b.start)
		}
	}
	x.lost = x.lost || x.packed
	clear(x.removed)
	x.grown, x.removed, x.packed = x.grown[:0], x.removed[:0], false
}
