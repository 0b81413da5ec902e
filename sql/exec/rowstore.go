package exec

import (
	"bytes"
	"encoding/binary"
	"math"

	"github.com/streamsql/streamsql/sql/delta"
	"github.com/streamsql/streamsql/sql/sqlerr"
	"github.com/streamsql/streamsql/sql/types"
	"github.com/streamsql/streamsql/state"
)

// rowStore keeps weighted rows by key. The few rows of an ordinary key lie in
// the tail of the key's entry in a hash table; those of a key with many are in a
// tree of their own, so that a change costs the same however many there are.
//
// An entry's tail is a sequence of rows: uvarint of the length, AppendRowKey's
// encoding, varint of the weight. The tree's keys are the entry's key and the
// row.
type rowStore struct {
	h    *state.Hash
	t    *state.Tree
	cur  *state.Cursor
	keep bool // rows are kept, not their weight alone

	// The entry being changed.
	id      int32
	key     []byte
	buf     []byte // its tail as it will be
	rows    uint64
	spilled bool
	changed bool
	scratch []byte

	gone []int32 // entries that may be empty at the end of the batch
}

// Words of an entry.
const (
	rowsWeight = iota // of all rows under the key
	rowsCount         // distinct rows << 1 | 1 if they are in the tree
	rowsWords
)

// spillTail is the length of a tail, in bytes, beyond which its rows move to
// the tree; tests lower it.
var spillTail = 1 << 10

func newRowStore(h *state.Hash, t *state.Tree) *rowStore {
	s := &rowStore{h: h, t: t, keep: t != nil}
	if t != nil {
		s.cur = t.Cursor()
	}
	return s
}

// keyRoom returns the bytes of a key of columns of these types, 0 if it has no
// fixed length.
func keyRoom(ts []types.Type) int {
	n := 1
	for _, t := range ts {
		if t.Phys() == types.PhysBytes {
			return 0
		}
		n += 9
	}
	return n
}

// weight returns the weight of all rows of entry id; -1 is no entry.
func (s *rowStore) weight(id int32) int64 {
	if id < 0 {
		return 0
	}
	return int64(s.h.Words(id)[rowsWeight])
}

// begin starts changing entry id, whose weight changes by sum and whose key is
// key; then add for each row, and end.
func (s *rowStore) begin(id int32, key []byte, sum int64) {
	s.h.Touch(id)
	w := s.h.Words(id)
	old := int64(w[rowsWeight])
	w[rowsWeight] = uint64(old + sum)
	if overflows(old, sum) {
		s.h.Fail(errWeight)
	}
	s.id, s.key, s.changed = id, key, false
	s.rows, s.spilled = w[rowsCount]>>1, w[rowsCount]&1 != 0
	if s.keep && !s.spilled {
		s.buf = append(s.buf[:0], s.h.Tail(id)...)
	}
	if w[rowsWeight] == 0 {
		s.gone = append(s.gone, id)
	}
}

// skip leaves entry id as it is: if it was made for nothing, sweep deletes it.
func (s *rowStore) skip(id int32) { s.gone = append(s.gone, id) }

// add adds w to a row's weight and returns the weight before and after.
func (s *rowStore) add(row []byte, w int64) (old, new int64) {
	if w == 0 {
		return 0, 0
	}
	if s.spilled {
		s.scratch = append(append(s.scratch[:0], s.key...), row...)
		old, new = s.t.Add(s.scratch, w)
	} else {
		s.changed = true
		old, new = s.addTail(row, w)
	}
	if old == 0 {
		s.rows++
	}
	if new == 0 {
		s.rows--
	}
	return old, new
}

func (s *rowStore) addTail(row []byte, w int64) (old, new int64) {
	b := s.buf
	for p := 0; p < len(b); {
		n, from := int(b[p]), p+1
		if n >= 0x80 {
			u, k := binary.Uvarint(b[p:])
			n, from = int(u), p+k
		}
		old, k := binary.Varint(b[from+n:])
		end := from + n + k
		if n != len(row) || !bytes.Equal(b[from:from+n], row) {
			p = end
			continue
		}
		new = old + w
		if overflows(old, w) {
			s.h.Fail(errWeight)
		}
		var v [binary.MaxVarintLen64]byte
		if m := binary.PutVarint(v[:], new); new != 0 && m == k {
			copy(b[from+n:], v[:m])
			return old, new
		}
		s.buf = append(b[:p], b[end:]...)
		if new != 0 {
			s.append(row, new)
		}
		return old, new
	}
	s.append(row, w)
	return 0, w
}

func (s *rowStore) append(row []byte, w int64) {
	s.buf = binary.AppendUvarint(s.buf, uint64(len(row)))
	s.buf = append(s.buf, row...)
	s.buf = binary.AppendVarint(s.buf, w)
}

// end ends the change of an entry.
func (s *rowStore) end() {
	if !s.keep {
		return
	}
	if s.changed {
		if len(s.buf) > spillTail && s.rows > 1 {
			s.spill()
		}
		s.h.SetTail(s.id, s.buf)
	}
	if s.rows == 0 {
		s.spilled = false
	}
	c := s.rows << 1
	if s.spilled {
		c |= 1
	}
	s.h.Words(s.id)[rowsCount] = c
}

// spill moves the rows of the tail into the tree.
func (s *rowStore) spill() {
	var it rowIter
	it.tail = s.buf
	for it.next() {
		s.scratch = append(append(s.scratch[:0], s.key...), it.row...)
		s.t.Add(s.scratch, it.w)
	}
	s.buf = s.buf[:0]
	s.spilled = true
}

// sweep deletes the entries that were left empty.
func (s *rowStore) sweep() {
	for _, id := range s.gone {
		if w := s.h.Words(id); w[rowsWeight] == 0 && w[rowsCount] == 0 && s.h.Live(id) {
			s.h.Delete(id)
		}
	}
	s.gone = s.gone[:0]
}

// rowIter goes through the rows of an entry. The store must not change
// meanwhile.
type rowIter struct {
	row []byte // AppendRowKey's encoding
	w   int64

	tail    []byte
	cur     *state.Cursor // nil: in the tail
	t       *state.Tree
	key     []byte
	at      []byte
	started bool
}

// keepRead is how many bytes of a key's rows are kept in memory when they are read
// back: a key may have more than fit.
const keepRead = 4 << 20

// start sets the iterator before the first row of entry id, whose key is key.
func (it *rowIter) start(s *rowStore, id int32, key []byte) {
	*it = rowIter{at: it.at}
	if s.h.Words(id)[rowsCount]&1 != 0 {
		it.cur, it.t, it.key = s.cur, s.t, key
		return
	}
	it.tail = s.h.Tail(id)
}

// next moves to the next row and tells whether there is one.
func (it *rowIter) next() bool {
	if it.cur != nil {
		ok := false
		if it.started {
			if back := it.t.ReadBack(); back > keepRead {
				it.at = append(it.at[:0], it.cur.Key()...)
				it.t.Evict(back)
				it.cur.Seek(it.at)
			}
			ok = it.cur.Next()
		} else {
			it.started = true
			ok = it.cur.Seek(it.key)
		}
		if !ok {
			return false
		}
		k := it.cur.Key()
		if !bytes.HasPrefix(k, it.key) {
			return false
		}
		it.row, it.w = k[len(it.key):], it.cur.Weight()
		return true
	}
	b := it.tail
	if len(b) == 0 {
		return false
	}
	n, from := int(b[0]), 1
	if n >= 0x80 {
		u, k := binary.Uvarint(b)
		n, from = int(u), k
	}
	it.row = b[from : from+n : from+n]
	b = b[from+n:]
	if b[0] < 0x80 {
		it.w = int64(b[0]>>1) ^ -int64(b[0]&1)
		it.tail = b[1:]
		return true
	}
	w, k := binary.Varint(b)
	it.w, it.tail = w, b[k:]
	return true
}

// groups sorts the entries of a batch of keys out by their id.
type groups struct {
	list  []keyGroup
	next  []int32 // of each key: the next of its group, -1: none
	slots []uint32
	over  bool // a sum of weights was out of range
}

// keyGroup is the keys of a batch with one id.
type keyGroup struct {
	id, first, last int32
}

// build groups ids.
func (g *groups) build(ids []int32) {
	n := 16
	for n < 2*len(ids) {
		n *= 2
	}
	if cap(g.slots) < n {
		g.slots = make([]uint32, n)
	}
	g.slots = g.slots[:n]
	clear(g.slots)
	g.list, g.next, g.over = g.list[:0], g.next[:0], false
	mask := uint32(n - 1)
	for i, id := range ids {
		g.next = append(g.next, -1)
		for p := uint32(id) * 0x9e3779b1 >> 8 & mask; ; p = (p + 1) & mask {
			k := g.slots[p]
			if k == 0 {
				g.slots[p] = uint32(len(g.list) + 1)
				g.list = append(g.list, keyGroup{id, int32(i), int32(i)})
				break
			}
			if e := &g.list[k-1]; e.id == id {
				g.next[e.last] = int32(i)
				e.last = int32(i)
				break
			}
		}
	}
}

// weight returns the weight of a group's rows; at is the row of b of each key.
func (g *groups) weight(k keyGroup, at []int32, b *delta.Batch) int64 {
	w := int64(0)
	for i := k.first; i >= 0; i = g.next[i] {
		x := b.Weight(int(at[i]))
		g.over = g.over || overflows(w, x)
		w += x
	}
	return w
}

var errWeight = sqlerr.New(sqlerr.NumericOutOfRange, "bigint out of range").
	WithDetail("A row would be there more often than a 64-bit number can say.")

// overflows tells whether a sum of weights leaves the range.
func overflows(a, b int64) bool { return (a^(a+b))&(b^(a+b)) < 0 }

// mulWeights is the weight of a pair of rows.
func mulWeights(a, b int64) (int64, error) {
	p := a * b
	if int64(int32(a)) == a && int64(int32(b)) == b {
		return p, nil
	}
	if a != 0 && (p/a != b || a == -1 && b == math.MinInt64) {
		return 0, errWeight
	}
	return p, nil
}
