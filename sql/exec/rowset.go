package exec

import (
	"bytes"

	"github.com/streamsql/streamsql/sql/delta"
	"github.com/streamsql/streamsql/sql/plan"
	"github.com/streamsql/streamsql/sql/types"
	"github.com/streamsql/streamsql/state"
)

// rowSet encodes the rows of a batch for a table of rows: key group, AppendEq
// of all columns and, if there are types of which equal values can differ
// (1.0 and 1.00), AppendKey of all columns behind it.
type rowSet struct {
	keys  Keys
	eqLen []int32 // of each key: how much of it equal rows share
	order keyOrder
	plain bool // AppendEq is AppendKey for all columns
	cols  []plan.Column
}

func newRowSet(cols []plan.Column) rowSet {
	s := rowSet{cols: cols, plain: true}
	for _, c := range cols {
		s.plain = s.plain && plainType(c.Type)
	}
	return s
}

// plainType tells whether equal values of t are the same value.
func plainType(t types.Type) bool { return t.ID != types.Numeric && t.ID != types.Interval }

// encode makes the keys of b and returns their order.
func (s *rowSet) encode(b *delta.Batch) []sortKey {
	s.keys.Reset()
	s.eqLen = s.eqLen[:0]
	for i := range b.N {
		start := len(s.keys.Buf)
		s.keys.Buf = AppendRowEq(append(s.keys.Buf, 0), b.Cols, i)
		s.keys.Buf[start] = KeyGroup(s.keys.Buf[start+1:])
		s.eqLen = append(s.eqLen, int32(len(s.keys.Buf)-start))
		if !s.plain {
			s.keys.Buf = AppendRowKey(s.keys.Buf, b.Cols, i, nil)
		}
		s.keys.End()
	}
	return s.order.sort(&s.keys)
}

// eq returns the part of key i that equal rows share.
func (s *rowSet) eq(i int32) []byte {
	k := s.keys.At(int(i))
	return k[:s.eqLen[i]:s.eqLen[i]]
}

// row appends the row of a key of the set, whose shared part has eqLen bytes,
// to cols.
func (s *rowSet) row(key []byte, eqLen int, cols []*delta.Vec) error {
	if s.plain {
		key = key[1:]
	} else {
		key = key[eqLen:]
	}
	_, err := DecodeRow(key, nil, cols)
	return err
}

// run returns the end of the run of equal keys that starts at order[from], and
// their weights' sum.
func (s *rowSet) run(b *delta.Batch, order []sortKey, from int) (to int, w int64) {
	k := s.keys.At(int(order[from].i))
	for to = from; to < len(order); to++ {
		if to > from && (order[to].head != order[from].head || !bytes.Equal(s.keys.At(int(order[to].i)), k)) {
			break
		}
		w += b.Weight(int(order[to].i))
	}
	return to, w
}

// touched is the set of keys that a run saw, in order.
type touched struct{ t *state.Tree }

func newTouched() *touched { return &touched{state.NewTree()} }

func (t *touched) add(key []byte) {
	if t.t.Get(key) == 0 {
		t.t.Add(key, 1)
	}
}

func (t *touched) each(fn func(key []byte) error) error {
	var err error
	t.t.ScanPrefix(nil, func(key []byte, _ int64) bool {
		err = fn(key)
		return err == nil
	})
	return err
}

func (t *touched) bytes() int64 {
	if t == nil {
		return 0
	}
	return t.t.Bytes()
}
