package exec

import (
	"bytes"
	"math"
	"slices"

	"github.com/streamsql/streamsql/sql/delta"
)

// takeVersions puts changes of one key into the tree, of a right side that has
// but the last version of it. A version that a later one takes the place of held
// until then, and stays; one at the same time or before corrects it. A version
// that goes and has no successor ends: at its beginning, or if that is behind the
// watermark, at the watermark.
func (j *joinAsOf) takeVersions(idx []sortKey) error {
	last, came := int64(math.MinInt64), false
	first, moved := len(j.changes), false
	for from := 0; from < len(idx); {
		to, w := j.run(idx, from)
		if w > 0 {
			last, came = j.timeAt(idx[from].i), true
		}
		from = to
	}
	closed := int64(math.MinInt64)
	if j.timed[1] && j.wm[1] != NoWatermark {
		closed = j.wm[1]
	}
	for from := 0; from < len(idx); {
		to, w := j.run(idx, from)
		i := idx[from].i
		t := j.timeAt(i)
		key := j.keys.At(int(i))
		switch {
		case w == 0, w < 0 && came && t < last:
		case w > 0 && t < closed, w < 0 && came && t < closed:
			head := int(j.heads[i])
			cols := j.lateOut.row(min(max(w, -1), 1))
			if _, err := DecodeRow(key[head+8:], nil, cols); err != nil {
				return err
			}
			if err := j.lateOut.done(func(b *delta.Batch) error { return j.join.time.late[1](b, j.wm[1]) }); err != nil {
				return err
			}
		case w > 0:
			// Another at this time, such as an end at the watermark, held for no row.
			for _, k := range j.others(key, int(j.heads[i])+8) {
				j.set(k, 0)
				moved = true
			}
			j.set(key, versionHolds)
		case came:
			j.set(key, 0)
		case t < closed:
			head := int(j.heads[i])
			k := append(timeKey(append([]byte{}, key[:head]...), j.place(closed)), key[head+8:]...)
			j.set(k, versionEnds)
			moved = true
		default:
			j.set(key, versionEnds)
		}
		from = to
	}
	if moved {
		slices.SortFunc(j.changes[first:], func(a, b asOfChange) int { return bytes.Compare(a.key, b.key) })
	}
	return nil
}

// others are the keys that share the first n bytes of key.
func (j *joinAsOf) others(key []byte, n int) [][]byte {
	var out [][]byte
	for ok := j.right.cur.Seek(key[:n]); ok; ok = j.right.cur.Next() {
		k := j.right.cur.Key()
		if !bytes.HasPrefix(k, key[:n]) {
			break
		}
		if !bytes.Equal(k, key) {
			out = append(out, bytes.Clone(k))
		}
	}
	return out
}

// set gives a version a weight.
func (j *joinAsOf) set(key []byte, w int64) {
	old := j.right.tree.Get(key)
	if old == w {
		return
	}
	j.right.tree.Add(key, w-old)
	j.changes = append(j.changes, asOfChange{key, old, w})
}

// timeAt is the time of a change that waits.
func (j *joinAsOf) timeAt(i int32) int64 {
	return j.place(keyTime(j.keys.At(int(i))[j.heads[i]:]))
}
