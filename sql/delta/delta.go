package delta

import "github.com/streamsql/streamsql/sql/types"

// MaxRows is the most rows a batch holds: 16k rows leave the cache.
const MaxRows = 4096

// Vec is a column. Its slices have Arrow's layout (64-bit integers, 64-bit
// floats, or int32 offsets and bytes), so that Arrow() wraps it without a copy.
// A Vec that is reachable from a Batch is never changed again.
type Vec struct {
	T     types.Type
	N     int
	Nulls []uint64 // bit set: NULL. nil: no NULLs. (Arrow's validity is the complement.)
	I     []int64
	F     []float64
	Off   []int32 // N+1 offsets into Buf
	Buf   []byte
}

// Batch is a change of a relation: N rows with a weight each.
type Batch struct {
	Cols []*Vec
	N    int
	W    []int64 // nil: every weight is +1 (insert-only)
}

// Null tells whether row i is NULL.
func (v *Vec) Null(i int) bool {
	return v.Nulls != nil && v.Nulls[i>>6]&(1<<(uint(i)&63)) != 0
}

// Bytes returns row i of a PhysBytes column. It aliases the column.
func (v *Vec) Bytes(i int) []byte { return v.Buf[v.Off[i]:v.Off[i+1]] }

// Weight returns the weight of row i.
func (b *Batch) Weight(i int) int64 {
	if b.W == nil {
		return 1
	}
	return b.W[i]
}

// NewVec returns an empty column of type t with room for n rows.
func NewVec(t types.Type, n int) *Vec {
	v := &Vec{T: t}
	switch t.Phys() {
	case types.PhysInt:
		v.I = make([]int64, 0, n)
	case types.PhysFloat:
		v.F = make([]float64, 0, n)
	default:
		v.Off = append(make([]int32, 0, n+1), 0)
	}
	return v
}

func (v *Vec) setNull(i int) {
	w := i >> 6
	for len(v.Nulls) <= w {
		v.Nulls = append(v.Nulls, 0)
	}
	v.Nulls[w] |= 1 << (uint(i) & 63)
}

func (v *Vec) grown() {
	if v.Nulls != nil && len(v.Nulls)*64 <= v.N {
		v.Nulls = append(v.Nulls, 0)
	}
	v.N++
}

// AppendNull appends NULL.
func (v *Vec) AppendNull() {
	v.setNull(v.N)
	switch v.T.Phys() {
	case types.PhysInt:
		v.I = append(v.I, 0)
	case types.PhysFloat:
		v.F = append(v.F, 0)
	default:
		v.Off = append(v.Off, int32(len(v.Buf)))
	}
	v.grown()
}

// AppendInt appends to a PhysInt column.
func (v *Vec) AppendInt(x int64) { v.I = append(v.I, x); v.grown() }

// AppendFloat appends to a PhysFloat column.
func (v *Vec) AppendFloat(x float64) { v.F = append(v.F, x); v.grown() }

// AppendBytes appends to a PhysBytes column; b is copied.
func (v *Vec) AppendBytes(b []byte) {
	v.Buf = append(v.Buf, b...)
	v.Off = append(v.Off, int32(len(v.Buf)))
	v.grown()
}

// AppendFrom appends row i of src, which has the same physical form.
func (v *Vec) AppendFrom(src *Vec, i int) {
	if src.Null(i) {
		v.AppendNull()
		return
	}
	switch v.T.Phys() {
	case types.PhysInt:
		v.AppendInt(src.I[i])
	case types.PhysFloat:
		v.AppendFloat(src.F[i])
	default:
		v.AppendBytes(src.Bytes(i))
	}
}

// AppendDatum appends d.
func (v *Vec) AppendDatum(d types.Datum) {
	if d.Null {
		v.AppendNull()
		return
	}
	switch v.T.Phys() {
	case types.PhysInt:
		v.AppendInt(d.I)
	case types.PhysFloat:
		v.AppendFloat(d.F)
	default:
		v.AppendBytes(d.S)
	}
}

// Datum returns row i as a Datum whose bytes are a copy.
func (v *Vec) Datum(i int) types.Datum {
	if v.Null(i) {
		return types.NullDatum
	}
	switch v.T.Phys() {
	case types.PhysInt:
		return types.Datum{I: v.I[i]}
	case types.PhysFloat:
		return types.Datum{F: v.F[i]}
	}
	return types.Datum{S: append([]byte{}, v.Bytes(i)...)}
}
