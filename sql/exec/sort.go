package exec

import (
	"bytes"
	"encoding/binary"
	"slices"
)

// keyOrder sorts a batch's keys, so that a state table is walked in its own
// order and equal keys stand together.
type keyOrder struct {
	idx []sortKey
}

type sortKey struct {
	head uint64 // the first 8 bytes
	i    int32
}

// sort returns the indexes of keys' entries in the order of their bytes.
func (o *keyOrder) sort(k *Keys) []sortKey {
	n := k.Len()
	o.idx = o.idx[:0]
	sorted := true
	for i := range n {
		o.idx = append(o.idx, sortKey{keyHead(k.At(i)), int32(i)})
		if i > 0 && sorted {
			sorted = o.idx[i-1].head < o.idx[i].head
		}
	}
	if sorted {
		return o.idx
	}
	slices.SortFunc(o.idx, func(a, b sortKey) int {
		if a.head != b.head {
			if a.head < b.head {
				return -1
			}
			return 1
		}
		if c := bytes.Compare(k.At(int(a.i)), k.At(int(b.i))); c != 0 {
			return c
		}
		return int(a.i - b.i)
	})
	return o.idx
}

// keyHead is the first 8 bytes of a key as a number that orders as they do.
func keyHead(b []byte) uint64 {
	if len(b) >= 8 {
		return binary.BigEndian.Uint64(b)
	}
	var p [8]byte
	copy(p[:], b)
	return binary.BigEndian.Uint64(p[:])
}
