package exec

import (
	"bytes"
	"encoding/binary"
	"math"
	"math/bits"
	"slices"

	"github.com/streamsql/streamsql/sql/delta"
	"github.com/streamsql/streamsql/sql/sqlerr"
	"github.com/streamsql/streamsql/sql/types"
)

// KeyGroups is the number of key groups: state is kept, and moved between
// workers, by key group.
const KeyGroups = 256

// KeyGroup returns the key group of a key in AppendEq's encoding. It is stored
// with all keyed state: it never changes. The key of no columns is in group 0.
func KeyGroup(eq []byte) byte {
	if len(eq) == 0 {
		return 0
	}
	return byte(hashKey(eq))
}

// GroupOwner returns which of n workers owns key group g.
func GroupOwner(g byte, n int) int { return int(g) * n / KeyGroups }

const (
	hashP0 = 0xa0761d6478bd642f
	hashP1 = 0xe7037ed1a0b428db
	hashP2 = 0x8ebc6af09c88c6e3
)

func mum(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	return hi ^ lo
}

// hashKey hashes in the manner of wyhash: 16 bytes a multiplication.
func hashKey(b []byte) uint64 {
	h := uint64(len(b)) ^ hashP0
	for len(b) >= 16 {
		h = mum(binary.LittleEndian.Uint64(b)^hashP1, binary.LittleEndian.Uint64(b[8:])^h)
		b = b[16:]
	}
	var x, y uint64
	if len(b) >= 8 {
		x = binary.LittleEndian.Uint64(b)
		y = binary.LittleEndian.Uint64(b[len(b)-8:])
	} else {
		for i, c := range b {
			x |= uint64(c) << (8 * i)
		}
	}
	return mum(mum(x^hashP2, y^h), hashP1)
}

// Leading bytes of an encoded value, as in types.AppendKey.
const (
	cellValue = 0x01
	cellNull  = 0x02
)

// AppendCell appends types.AppendKey's encoding of row i of v.
func AppendCell(dst []byte, v *delta.Vec, i int, desc bool) []byte {
	start := len(dst)
	dst = appendCell(dst, v, i)
	if desc {
		for k := start; k < len(dst); k++ {
			dst[k] = ^dst[k]
		}
	}
	return dst
}

func appendCell(dst []byte, v *delta.Vec, i int) []byte {
	if v.Null(i) {
		return append(dst, cellNull)
	}
	switch v.T.Phys() {
	case types.PhysInt:
		return binary.BigEndian.AppendUint64(append(dst, cellValue), uint64(v.I[i])^(1<<63))
	case types.PhysFloat:
		return types.AppendKey(dst, v.T, types.Datum{F: v.F[i]}, false)
	}
	if v.T.ID == types.Numeric || v.T.ID == types.Interval {
		return types.AppendKey(dst, v.T, types.Datum{S: v.Bytes(i)}, false)
	}
	b := v.Bytes(i)
	dst = append(dst, cellValue)
	for {
		z := bytes.IndexByte(b, 0)
		if z < 0 {
			break
		}
		dst = append(append(dst, b[:z]...), 0, 0xFF)
		b = b[z+1:]
	}
	return append(append(dst, b...), 0, 1)
}

// AppendCellEq appends types.AppendEq's encoding of row i of v.
func AppendCellEq(dst []byte, v *delta.Vec, i int) []byte {
	if v.T.ID == types.Numeric || v.T.ID == types.Interval {
		if !v.Null(i) {
			return types.AppendEq(dst, v.T, types.Datum{S: v.Bytes(i)})
		}
	}
	return appendCell(dst, v, i)
}

// AppendRowKey appends AppendCell's encoding of row i of all cols; desc may be
// nil. DecodeRow gives the row back.
func AppendRowKey(dst []byte, cols []*delta.Vec, i int, desc []bool) []byte {
	if desc == nil {
		for _, v := range cols {
			dst = appendCell(dst, v, i)
		}
		return dst
	}
	for c, v := range cols {
		dst = AppendCell(dst, v, i, desc[c])
	}
	return dst
}

// AppendRowEq appends AppendCellEq's encoding of row i of all cols.
func AppendRowEq(dst []byte, cols []*delta.Vec, i int) []byte {
	for _, v := range cols {
		dst = AppendCellEq(dst, v, i)
	}
	return dst
}

// DecodeRow appends the row that AppendRowKey encoded at the start of src to
// the columns out, and returns what follows it; desc may be nil. Columns may
// have got a value already when it fails.
func DecodeRow(src []byte, desc []bool, out []*delta.Vec) ([]byte, error) {
	var err error
	for c, v := range out {
		if src, err = DecodeCell(src, v, desc != nil && desc[c]); err != nil {
			return nil, err
		}
	}
	return src, nil
}

// DecodeCell appends to v the value that AppendCell encoded at the start of
// src, and returns what follows it.
func DecodeCell(src []byte, v *delta.Vec, desc bool) ([]byte, error) {
	if desc || len(src) == 0 || v.T.ID == types.Numeric || v.T.ID == types.Interval {
		d, rest, err := types.DecodeKey(src, v.T, desc)
		if err == nil {
			v.AppendDatum(d)
		}
		return rest, err
	}
	if src[0] == cellNull {
		v.AppendNull()
		return src[1:], nil
	}
	if src[0] != cellValue {
		return nil, damagedKey(v.T)
	}
	src = src[1:]
	phys := v.T.Phys()
	if phys != types.PhysBytes {
		if len(src) < 8 {
			return nil, damagedKey(v.T)
		}
		u := binary.BigEndian.Uint64(src)
		src = src[8:]
		switch {
		case phys == types.PhysInt:
			v.AppendInt(int64(u ^ 1<<63))
		case u == math.MaxUint64:
			v.AppendFloat(math.NaN())
		case u>>63 != 0:
			v.AppendFloat(math.Float64frombits(u &^ (1 << 63)))
		default:
			v.AppendFloat(math.Float64frombits(^u))
		}
		return src, nil
	}
	z := bytes.IndexByte(src, 0)
	if z < 0 || z+1 >= len(src) {
		return nil, damagedKey(v.T)
	}
	if src[z+1] == 1 {
		v.AppendBytes(src[:z])
		return src[z+2:], nil
	}
	var b []byte
	for {
		b = append(b, src[:z]...)
		mark := src[z+1]
		src = src[z+2:]
		if mark == 1 {
			v.AppendBytes(b)
			return src, nil
		}
		if mark != 0xFF {
			return nil, damagedKey(v.T)
		}
		b = append(b, 0)
		if z = bytes.IndexByte(src, 0); z < 0 || z+1 >= len(src) {
			return nil, damagedKey(v.T)
		}
	}
}

// SkipCell returns what follows the value that AppendCell encoded, ascending,
// at the start of src.
func SkipCell(src []byte, t types.Type) ([]byte, error) {
	if len(src) == 0 {
		return nil, damagedKey(t)
	}
	if src[0] == cellNull {
		return src[1:], nil
	}
	if t.Phys() != types.PhysBytes {
		if len(src) < 9 {
			return nil, damagedKey(t)
		}
		return src[9:], nil
	}
	if t.ID == types.Numeric || t.ID == types.Interval {
		_, rest, err := types.DecodeKey(src, t, false)
		return rest, err
	}
	src = src[1:]
	for {
		z := bytes.IndexByte(src, 0)
		if z < 0 || z+1 >= len(src) {
			return nil, damagedKey(t)
		}
		mark := src[z+1]
		src = src[z+2:]
		if mark == 1 {
			return src, nil
		}
	}
}

func damagedKey(t types.Type) error {
	return sqlerr.New("XX001", "damaged key of type %s", t)
}

// Keys is a batch's keys, end to end: key i is Buf[Off[i]:Off[i+1]].
type Keys struct {
	Buf []byte
	Off []int32
}

// At returns key i, which aliases Buf; its capacity is cut.
func (k *Keys) At(i int) []byte { return k.Buf[k.Off[i]:k.Off[i+1]:k.Off[i+1]] }

// Len returns the number of keys.
func (k *Keys) Len() int { return len(k.Off) - 1 }

// Reset empties k.
func (k *Keys) Reset() {
	k.Buf = k.Buf[:0]
	k.Off = append(k.Off[:0], 0)
}

// End ends the key that was being appended to Buf.
func (k *Keys) End() { k.Off = append(k.Off, int32(len(k.Buf))) }

// Encode makes the keys of all n rows of cols: the key group, one byte, and
// AppendRowEq's encoding.
func (k *Keys) Encode(cols []*delta.Vec, n int) {
	k.Reset()
	ints := len(cols) > 0
	for _, v := range cols {
		ints = ints && v.T.Phys() == types.PhysInt && v.Nulls == nil
	}
	if ints {
		k.encodeInts(cols, n)
		return
	}
	for i := range n {
		start := len(k.Buf)
		k.Buf = AppendRowEq(append(k.Buf, 0), cols, i)
		k.Buf[start] = KeyGroup(k.Buf[start+1:])
		k.End()
	}
}

// encodeInts is Encode of columns of integers without NULLs: a column at a time.
func (k *Keys) encodeInts(cols []*delta.Vec, n int) {
	w := 1 + 9*len(cols)
	if cap(k.Buf) < w*n {
		k.Buf = make([]byte, 0, w*n+w*n/4)
	}
	b := k.Buf[:w*n]
	for c, v := range cols {
		at := b[min(1+9*c, len(b)):]
		for i, x := range v.I[:n] {
			cell := at[w*i : w*i+9 : w*i+9]
			cell[0] = cellValue
			binary.BigEndian.PutUint64(cell[1:], uint64(x)^(1<<63))
		}
	}
	k.Off = slices.Grow(k.Off, n)
	for i := range n {
		key := b[w*i : w*i+w : w*i+w]
		key[0] = KeyGroup(key[1:])
		k.Off = append(k.Off, int32(w*i+w))
	}
	k.Buf = b
}

// pick returns the columns of b at the given positions.
func pick(dst []*delta.Vec, b *delta.Batch, at []int) []*delta.Vec {
	dst = dst[:0]
	for _, c := range at {
		dst = append(dst, b.Cols[c])
	}
	return dst
}
