package exec

import (
	"github.com/streamsql/streamsql/sql/delta"
	"github.com/streamsql/streamsql/sql/plan"
	"github.com/streamsql/streamsql/sql/types"
)

// newCols makes empty columns with room for n rows.
func newCols(cols []plan.Column, n int) []*delta.Vec {
	out := make([]*delta.Vec, len(cols))
	for i, c := range cols {
		out[i] = delta.NewVec(c.Type, n)
	}
	return out
}

// sliceVec returns rows from to to of v, sharing its memory. from is a multiple
// of 64 if v has NULLs.
func sliceVec(v *delta.Vec, from, to int) *delta.Vec {
	o := &delta.Vec{T: v.T, N: to - from}
	if v.Nulls != nil {
		o.Nulls = v.Nulls[from>>6 : (to+63)>>6]
	}
	switch v.T.Phys() {
	case types.PhysInt:
		o.I = v.I[from:to]
	case types.PhysFloat:
		o.F = v.F[from:to]
	default:
		o.Off, o.Buf = v.Off[from:to+1], v.Buf
	}
	return o
}

// sliceBatch is as sliceVec.
func sliceBatch(b *delta.Batch, from, to int) *delta.Batch {
	o := &delta.Batch{N: to - from, Cols: make([]*delta.Vec, len(b.Cols))}
	for c, v := range b.Cols {
		o.Cols[c] = sliceVec(v, from, to)
	}
	if b.W != nil {
		o.W = b.W[from:to]
	}
	return o
}

// batchBytes is the memory of a batch, about.
func batchBytes(b *delta.Batch) int64 {
	n := 8 * len(b.W)
	for _, v := range b.Cols {
		n += 64 + 8*len(v.I) + 8*len(v.F) + 4*len(v.Off)
		if len(v.Off) > 0 {
			n += int(v.Off[len(v.Off)-1] - v.Off[0])
		}
	}
	return int64(n)
}

// rowsOut collects rows with their weights and emits them in batches. What a
// step that failed has left in it is dropped.
type rowsOut struct {
	cols []plan.Column
	step *stepInfo
	seq  uint64 // of the step that b is of
	b    *delta.Batch
	ones bool // all weights so far are 1
}

// maxBuf bounds the bytes of a column of a collected batch: offsets have 32 bits,
// and a batch should stay in the cache.
const maxBuf = 8 << 20

// row returns the columns to append the next row of weight w to; then done.
func (o *rowsOut) row(w int64) []*delta.Vec {
	if o.b == nil || o.seq != o.step.seq {
		o.seq = o.step.seq
		o.b = &delta.Batch{Cols: newCols(o.cols, 64)}
		o.ones = true
	}
	o.b.N++
	o.b.W = append(o.b.W, w)
	o.ones = o.ones && w == 1
	return o.b.Cols
}

// done emits if the batch is full.
func (o *rowsOut) done(out Emit) error {
	if o.b.N >= delta.MaxRows {
		return o.flush(out)
	}
	for _, v := range o.b.Cols {
		if len(v.Buf) > maxBuf {
			return o.flush(out)
		}
	}
	return nil
}

// flush emits what is there.
func (o *rowsOut) flush(out Emit) error {
	b := o.b
	if o.b = nil; b == nil || o.seq != o.step.seq {
		return nil
	}
	if o.ones {
		b.W = nil
	}
	return out(b)
}
func gather(b *delta.Batch, sel []int32) *delta.Batch { return b.Gather(sel) }

// textOf appends the columns of b of variable length to dst.
func textOf(dst []*delta.Vec, b *delta.Batch) []*delta.Vec {
	dst = dst[:0]
	for _, v := range b.Cols {
		if v.T.Phys() == types.PhysBytes {
			dst = append(dst, v)
		}
	}
	return dst
}

// textBytes is the length of row i in columns of variable length: what
// multiplies rows has to bound the bytes of a batch as well as its rows.
func textBytes(cols []*delta.Vec, i int32) int {
	n := 0
	for _, v := range cols {
		n += int(v.Off[i+1] - v.Off[i])
	}
	return n
}
