package exec

import (
	"github.com/streamsql/streamsql/sql/delta"
	"github.com/streamsql/streamsql/sql/sqlerr"
	"github.com/streamsql/streamsql/state"
)

// mapKeep is a map whose expressions may give another value when they are
// evaluated again. It keeps what it made of every row, and when the row is taken
// back it takes that back.
type mapKeep struct {
	*mapOp
	store *rowStore // key group | AppendRowKey of the input row → keptOut, AppendRowKey of the output row
	keys  Keys
	one   Keys
	ids   []int32
	sel   []int32 // rows inserted, each as often as it comes
	minus []int32 // rows taken back
	text  []*delta.Vec
	row   []byte
	out   rowsOut
	it    rowIter
	takes []taken
	arena []byte

	// Rows taken back before they came: by another worker or earlier in the step.
	early   Keys
	earlier []int64
}

// taken is a kept output that is taken back.
type taken struct {
	from, to int // of the arena
	w        int64
}

// The first byte of a kept output.
const (
	keptNone = 0 // the filter dropped the row
	keptOut  = 1
)

var (
	_ Operator = (*mapKeep)(nil)
	_ Stepper  = (*mapKeep)(nil)
)

func newMapKeep(m *mapOp, b *builder, worker int) *mapKeep {
	h := b.hash(m.n, 0, worker, state.HashOptions{Words: rowsWords})
	k := &mapKeep{mapOp: m, store: newRowStore(h, b.tree(m.n, 1, worker)), out: rowsOut{cols: m.n.Out, step: m.step}}
	k.early.Reset()
	return k
}

func (m *mapKeep) Apply(_ int, b *delta.Batch, out Emit) error {
	m.sel, m.minus = m.sel[:0], m.minus[:0]
	m.text = textOf(m.text, b)
	size := 0
	for i := range b.N {
		w := b.Weight(i)
		if w < 0 {
			m.minus = append(m.minus, int32(i))
		}
		// Each copy of a row is evaluated by itself.
		for ; w > 0; w-- {
			size += textBytes(m.text, int32(i))
			if m.sel = append(m.sel, int32(i)); len(m.sel) == delta.MaxRows || size > maxBuf {
				size = 0
				if err := m.insert(b, out); err != nil {
					return err
				}
			}
		}
	}
	if err := m.insert(b, out); err != nil {
		return err
	}
	if len(m.minus) == 0 {
		return nil
	}
	g := gather(b, m.minus)
	m.encode(g)
	for i := range g.N {
		if err := m.take(m.keys.At(i), -g.W[i], false, out); err != nil {
			return err
		}
	}
	m.store.sweep()
	return m.out.flush(out)
}

// encode makes the keys of a batch's rows.
func (m *mapKeep) encode(b *delta.Batch) {
	m.keys.Reset()
	for i := range b.N {
		m.row = AppendRowEq(m.row[:0], b.Cols, i)
		m.keys.Buf = AppendRowKey(append(m.keys.Buf, KeyGroup(m.row)), b.Cols, i, nil)
		m.keys.End()
	}
}

// insert evaluates the rows of b in sel and keeps what comes out.
func (m *mapKeep) insert(b *delta.Batch, out Emit) error {
	if len(m.sel) == 0 {
		return nil
	}
	in := gather(b, m.sel)
	in.W = nil
	m.sel = m.sel[:0]
	o, sel, err := m.project(in)
	if err != nil {
		return err
	}
	m.encode(in)
	m.ids = m.store.h.Lookup(m.keys.Buf, m.keys.Off, true, m.ids[:0])
	k := 0
	for i, id := range m.ids {
		m.row = append(m.row[:0], keptNone)
		if o != nil && (sel == nil || k < len(sel) && int(sel[k]) == i) {
			m.row[0] = keptOut
			m.row = AppendRowKey(m.row, o.Cols, k, nil)
			k++
		}
		m.store.begin(id, m.keys.At(i), 1)
		m.store.add(m.row, 1)
		m.store.end()
	}
	if o == nil {
		return nil
	}
	return out(o)
}

// take takes back w times what was made of the row whose key is key. What is
// not there yet is put off, and with last an error.
func (m *mapKeep) take(key []byte, w int64, last bool, out Emit) error {
	m.one.Reset()
	m.one.Buf = append(m.one.Buf, key...)
	m.one.End()
	m.ids = m.store.h.Lookup(m.one.Buf, m.one.Off, false, m.ids[:0])
	id := m.ids[0]
	m.takes, m.arena = m.takes[:0], m.arena[:0]
	left := w
	if id >= 0 {
		for m.it.start(m.store, id, m.one.At(0)); left > 0 && m.it.next(); {
			n := min(left, m.it.w)
			from := len(m.arena)
			m.arena = append(m.arena, m.it.row...)
			m.takes = append(m.takes, taken{from, len(m.arena), n})
			left -= n
		}
	}
	if len(m.takes) > 0 {
		m.store.begin(id, m.one.At(0), left-w)
		for _, t := range m.takes {
			m.store.add(m.arena[t.from:t.to], -t.w)
		}
		m.store.end()
	}
	for _, t := range m.takes {
		row := m.arena[t.from:t.to]
		if row[0] == keptNone {
			continue
		}
		if _, err := DecodeRow(row[1:], nil, m.out.row(-t.w)); err != nil {
			return err
		}
		if err := m.out.done(out); err != nil {
			return err
		}
	}
	if left == 0 {
		return nil
	}
	if last {
		return sqlerr.New(sqlerr.Internal, "a row was taken back that was not there").
			WithDetail("Operator %d, %s.", m.n.ID, opName(m.n))
	}
	m.early.Buf = append(m.early.Buf, key...)
	m.early.End()
	m.earlier = append(m.earlier, left)
	return nil
}

func (m *mapKeep) Finish(out Emit) error {
	for i, w := range m.earlier {
		if err := m.take(m.early.At(i), w, true, out); err != nil {
			return err
		}
	}
	m.forget()
	m.store.sweep()
	return m.out.flush(out)
}

func (m *mapKeep) forget() {
	m.early.Reset()
	m.earlier = m.earlier[:0]
}

// Commit and Rollback end a step.
func (m *mapKeep) Commit()   { m.forget() }
func (m *mapKeep) Rollback() { m.forget() }
