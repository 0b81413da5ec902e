package delta

// Gather returns the rows of v named by sel, in its order.
func (v *Vec) Gather(sel []int32) *Vec {
	out := NewVec(v.T, len(sel))
	if v.Nulls != nil {
		out.gatherNulls(v.Nulls, sel)
	}
	switch {
	case v.I != nil:
		out.I = out.I[:len(sel)]
		for k, i := range sel {
			out.I[k] = v.I[i]
		}
	case v.F != nil:
		out.F = out.F[:len(sel)]
		for k, i := range sel {
			out.F[k] = v.F[i]
		}
	default:
		n := 0
		for _, i := range sel {
			n += int(v.Off[i+1] - v.Off[i])
		}
		out.Buf = make([]byte, 0, n)
		for _, i := range sel {
			out.Buf = append(out.Buf, v.Buf[v.Off[i]:v.Off[i+1]]...)
			out.Off = append(out.Off, int32(len(out.Buf)))
		}
	}
	out.N = len(sel)
	return out
}

// gatherNulls sets the NULLs of the rows sel; none: nil.
func (v *Vec) gatherNulls(nulls []uint64, sel []int32) {
	any := uint64(0)
	out := make([]uint64, (len(sel)+63)>>6)
	for k, i := range sel {
		b := nulls[i>>6] >> (uint(i) & 63) & 1
		out[k>>6] |= b << (uint(k) & 63)
		any |= b
	}
	if any != 0 {
		v.Nulls = out
	}
}

// Gather returns the rows of b named by sel, in its order.
func (b *Batch) Gather(sel []int32) *Batch {
	out := &Batch{N: len(sel), Cols: make([]*Vec, len(b.Cols))}
	for c, v := range b.Cols {
		out.Cols[c] = v.Gather(sel)
	}
	if b.W != nil {
		out.W = make([]int64, len(sel))
		for k, i := range sel {
			out.W[k] = b.W[i]
		}
	}
	return out
}
