package exec

import (
	"bytes"
	"encoding/binary"

	"github.com/streamsql/streamsql/sql/delta"
	"github.com/streamsql/streamsql/sql/types"
)

// emission is the buffers of emitChanges.
type emission struct {
	was, now   entrySet
	rows       []int32 // parallel to was, then now
	old, new   []int32 // where pairs of old and new answers stand in both
	dead, born []int32
	idx        []int32
}

// emitChunk is the number of touched groups that are worked off together: their
// old and new answers are one batch.
const emitChunk = delta.MaxRows / 2

// emitChanges retracts the old answers of touched groups and inserts the new.
func (a *agg) emitChanges(out Emit) error {
	n := a.t.Touched()
	for from := 0; from < n; {
		to := min(n, from+emitChunk)
		if a.opens {
			// Columns must stay well under 2 GiB, and should stay in the cache.
			size := 0
			for i := from; i < to; i++ {
				row, _ := a.t.TouchedRow(i)
				if size += len(a.t.OldTail(i)) + len(a.t.Tail(row)); size > maxBuf {
					to = i + 1
				}
			}
		}
		if err := a.emitRange(from, to, out); err != nil {
			return err
		}
		from = to
	}
	return nil
}

func (a *agg) emitRange(from, to int, out Emit) error {
	e := &a.emitted
	e.was.clear()
	e.now.clear()
	e.rows, e.old, e.new, e.dead = e.rows[:0], e.old[:0], e.new[:0], e.dead[:0]
	var nowRows []int32
	nowRows, e.born = e.born[:0], nil
	always := len(a.keys) == 0
	for i := from; i < to; i++ {
		if i&127 == 0 {
			a.t.Prefetch(i, min(i+128, to))
		}
		row, old := a.t.TouchedRow(i)
		words := a.t.Words(row)
		there := always
		if n := int64(words[wordRows]); n != 0 {
			if n < 0 {
				return errUnmatched(a.n)
			}
			there = true
		}
		var wasTail, nowTail []byte
		if a.opens {
			if old != nil {
				wasTail = a.t.OldTail(i)
			}
			nowTail = a.t.Tail(row)
		}
		if old != nil && there && sameWords(old, words) && bytes.Equal(wasTail, nowTail) {
			continue
		}
		if old != nil {
			if there {
				e.old = append(e.old, int32(len(e.was.words)))
				e.new = append(e.new, int32(len(e.now.words)))
			}
			e.was.words = append(e.was.words, old)
			if a.opens {
				e.was.tails = append(e.was.tails, wasTail)
			}
			e.rows = append(e.rows, row)
		}
		if there {
			e.now.words = append(e.now.words, words)
			if a.opens {
				e.now.tails = append(e.now.tails, nowTail)
			}
			nowRows = append(nowRows, row)
		} else {
			e.dead = append(e.dead, row)
		}
		a.groupChanged(row, old != nil, there)
	}
	wasN := len(e.was.words)
	e.rows = append(e.rows, nowRows...)
	e.born = nowRows
	// With no aggregates, a group that stays changes nothing but its form.
	same := len(a.calls) == 0 && a.formed == len(a.keys) && len(e.old) == wasN && wasN == len(nowRows)
	if len(e.rows) > 0 && !same {
		b, err := a.answers(e)
		if err != nil {
			return err
		}
		if b = e.differing(b, wasN); b.N > 0 {
			if err := out(b); err != nil {
				return err
			}
		}
	}
	for _, row := range e.dead {
		a.t.Delete(row)
	}
	return nil
}

func sameWords(a, b []uint64) bool {
	for i, w := range a {
		if i >= len(b) || b[i] != w {
			return false
		}
	}
	return true
}

// answers makes the rows of the old groups and, behind them, of the new.
func (a *agg) answers(e *emission) (*delta.Batch, error) {
	n := len(e.rows)
	b := &delta.Batch{N: n, Cols: newCols(a.n.Out, n)}
	if err := a.keyColumns(b.Cols, e.rows); err != nil {
		return nil, err
	}
	slot := 0
	for i, x := range a.accs {
		_, hasSlot := inner(x).(slotted)
		if hasSlot {
			e.was.cut(slot)
			e.now.cut(slot)
			slot++
		}
		if i == len(a.calls) {
			for _, gs := range []*entrySet{&e.was, &e.now} {
				if err := a.formColumns(gs, b.Cols); err != nil {
					return nil, err
				}
			}
			continue
		}
		v := b.Cols[len(a.n.Keys)+i]
		if err := x.results(&e.was, v); err != nil {
			return nil, err
		}
		if err := x.results(&e.now, v); err != nil {
			return nil, err
		}
	}
	return b, nil
}

// formColumns decodes the forms of the keys that have several.
func (a *agg) formColumns(gs *entrySet, cols []*delta.Vec) error {
	for _, s := range gs.slot {
		for _, k := range a.outKeys[a.formed:a.keyN] {
			var err error
			if s, err = DecodeCell(s, cols[k], false); err != nil {
				return err
			}
		}
	}
	return nil
}

// keyColumns decodes the keys that have one form.
func (a *agg) keyColumns(cols []*delta.Vec, rows []int32) error {
	if a.formed == 1 && cols[a.outKeys[0]].T.Phys() == types.PhysInt {
		v := cols[a.outKeys[0]]
		for _, row := range rows {
			if k := a.t.Key(row); len(k) >= 10 && k[1] == cellValue {
				v.AppendInt(int64(binary.BigEndian.Uint64(k[2:]) ^ 1<<63))
			} else {
				v.AppendNull()
			}
		}
		return nil
	}
	for _, row := range rows {
		k := a.t.Key(row)[1:]
		for _, c := range a.outKeys[:a.formed] {
			var err error
			if k, err = DecodeCell(k, cols[c], false); err != nil {
				return err
			}
		}
	}
	return nil
}

// differing gives b, whose first was rows are retracted, its weights, and leaves
// out pairs of old and new rows that are the same.
func (e *emission) differing(b *delta.Batch, was int) *delta.Batch {
	b.W = make([]int64, b.N)
	for i := range b.W {
		b.W[i] = 1
		if i < was {
			b.W[i] = -1
		}
	}
	same := 0
	for p, o := range e.old {
		n := int32(was) + e.new[p]
		if sameRow(b, int(o), int(n)) {
			b.W[o], b.W[n] = 0, 0
			same++
		}
	}
	if same == 0 {
		if was == 0 {
			b.W = nil
		}
		return b
	}
	e.idx = e.idx[:0]
	for i, w := range b.W {
		if w != 0 {
			e.idx = append(e.idx, int32(i))
		}
	}
	return b.Gather(e.idx)
}

// sameRow tells whether rows i and j are the same, byte for byte.
func sameRow(b *delta.Batch, i, j int) bool {
	for c := len(b.Cols) - 1; c >= 0; c-- { // keys last: they mostly are
		v := b.Cols[c]
		if v.Null(i) || v.Null(j) {
			if v.Null(i) != v.Null(j) {
				return false
			}
			continue
		}
		switch v.T.Phys() {
		case types.PhysInt:
			if v.I[i] != v.I[j] {
				return false
			}
		case types.PhysFloat:
			if v.F[i] != v.F[j] && (v.F[i] == v.F[i] || v.F[j] == v.F[j]) {
				return false
			}
		default:
			if !bytes.Equal(v.Bytes(i), v.Bytes(j)) {
				return false
			}
		}
	}
	return true
}

func (g *entrySet) clear() {
	clear(g.words)
	clear(g.tails)
	clear(g.slot)
	g.words, g.tails, g.slot = g.words[:0], g.tails[:0], g.slot[:0]
}

// cut makes slot the part number n of each tail.
func (g *entrySet) cut(n int) {
	g.slot = g.slot[:0]
	for _, t := range g.tails {
		var part []byte
		for range n + 1 {
			part, t = cutPart(t)
		}
		g.slot = append(g.slot, part)
	}
}
