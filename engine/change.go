package engine

import (
	"bytes"
	"hash/maphash"

	"github.com/streamsql/streamsql/sql/delta"
	"github.com/streamsql/streamsql/sql/exec"
	"github.com/streamsql/streamsql/sql/types"
)

// change is the change of one relation in one step.
type change struct {
	batches []*delta.Batch
	rows    int
	over    bool // a sum of weights left the range of 64 bits
}

func (c *change) add(b *delta.Batch) {
	if b == nil || b.N == 0 {
		return
	}
	c.batches = append(c.batches, b)
	c.rows += b.N
}

// insertOnly tells whether no row has another weight than one.
func (c *change) insertOnly() bool {
	for _, b := range c.batches {
		if b.W == nil {
			continue
		}
		for _, w := range b.W {
			if w != 1 {
				return false
			}
		}
	}
	return true
}

// cell is row i of v; its bytes alias the column.
func cell(v *delta.Vec, i int) types.Datum {
	if v.Null(i) {
		return types.NullDatum
	}
	switch v.T.Phys() {
	case types.PhysInt:
		return types.Datum{I: v.I[i]}
	case types.PhysFloat:
		return types.Datum{F: v.F[i]}
	}
	return types.Datum{S: v.Bytes(i)}
}

// appendRow appends the encoding of a whole row, its columns in the given order.
func appendRow(dst []byte, b *delta.Batch, i int, order []int) []byte {
	for _, c := range order {
		dst = exec.AppendCell(dst, b.Cols[c], i, false)
	}
	return dst
}

var rowSeed = maphash.MakeSeed()

// consolidate returns c with equal rows summed and without rows of weight zero.
// Rows are equal when their stored representations are.
func (c *change) consolidate() *change {
	if c.rows < 2 || c.insertOnly() {
		return c
	}
	order := make([]int, len(c.batches[0].Cols))
	for i := range order {
		order[i] = i
	}
	size := 16
	for size < c.rows*2 {
		size *= 2
	}
	// slots hold one more than the number of a row; rows are numbered over all
	// batches, and the first of equal ones keeps the sum.
	slots := make([]uint32, size)
	var arena []byte
	ends := make([]int, 0, c.rows)
	sum := make([]int64, c.rows)
	at := func(r int) []byte {
		s := 0
		if r > 0 {
			s = ends[r-1]
		}
		return arena[s:ends[r]]
	}
	n, over := 0, false
	for _, b := range c.batches {
		for i := range b.N {
			start := len(arena)
			arena = appendRow(arena, b, i, order)
			ends = append(ends, len(arena))
			key := arena[start:]
			w := b.Weight(i)
			for h := maphash.Bytes(rowSeed, key); ; h++ {
				s := &slots[h&uint64(size-1)]
				if *s == 0 {
					*s = uint32(n + 1)
					sum[n] = w
					break
				}
				if first := int(*s) - 1; bytes.Equal(at(first), key) {
					was := sum[first]
					sum[first] += w
					over = over || (was^sum[first])&(w^sum[first]) < 0
					break
				}
			}
			n++
		}
	}
	out := &change{over: over}
	n = 0
	for _, b := range c.batches {
		var sel []int32
		var ws []int64
		for i := range b.N {
			if w := sum[n]; w != 0 {
				sel, ws = append(sel, int32(i)), append(ws, w)
			}
			n++
		}
		if len(sel) == 0 {
			continue
		}
		g := &delta.Batch{N: b.N, Cols: b.Cols}
		if len(sel) < b.N {
			g = g.Gather(sel)
		}
		g.W = ws
		out.add(g)
	}
	return out
}

// project returns the columns cols of b.
func project(b *delta.Batch, cols []int) *delta.Batch {
	out := &delta.Batch{N: b.N, W: b.W, Cols: make([]*delta.Vec, len(cols))}
	for i, c := range cols {
		out.Cols[i] = b.Cols[c]
	}
	return out
}
