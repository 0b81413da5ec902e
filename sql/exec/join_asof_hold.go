package exec

import (
	"bytes"
	"math"

	"github.com/streamsql/streamsql/sql/delta"
)

// correct goes through the left rows of one key for which another right row holds
// after changes, which are in order and in the tree.
func (j *joinAsOf) correct(head []byte, changes []asOfChange, out Emit) error {
	n := len(head)
	for i := 0; i < len(changes); i++ {
		// Before the first change holds what held before.
		row, w := j.before(head, changes[i].key)
		j.hold(0, row, w)
		j.hold(1, row, w)
		for {
			c := &changes[i]
			if c.old != 0 {
				j.hold(0, c.key[n+8:], c.old)
			}
			if c.new != 0 {
				j.hold(1, c.key[n+8:], c.new)
			}
			// The span ends at the next right row, there before or now.
			end := j.after(head, c.key)
			more := i+1 < len(changes) && (end == nil || bytes.Compare(changes[i+1].key, end) <= 0)
			if more {
				end = changes[i+1].key
			}
			if j.has[0] != j.has[1] || !bytes.Equal(j.old, j.new) {
				if err := j.span(head, c.key, end, out); err != nil {
					return err
				}
			}
			if !more {
				break
			}
			i++
		}
	}
	return nil
}

// hold keeps the row that holds before (0) or after (1) the changes.
func (j *joinAsOf) hold(which int, row []byte, w int64) {
	dst := &j.old
	if which == 1 {
		dst = &j.new
	}
	*dst = (*dst)[:0]
	if j.has[which] = w == versionHolds; j.has[which] {
		*dst = append(*dst, row...)
	}
}

// weightOf is the weight of a right row as what holds goes: of plain rows one.
func (j *joinAsOf) weightOf(w int64) int64 {
	if !j.versions {
		return min(max(w, 0), versionHolds)
	}
	return w
}

// before returns the last right row of a key before key, with its weight, 0: none.
func (j *joinAsOf) before(head, key []byte) ([]byte, int64) {
	cur := j.right.cur
	cur.Seek(key)
	for cur.Prev() {
		k := cur.Key()
		if !bytes.HasPrefix(k, head) {
			break
		}
		if w := j.weightOf(cur.Weight()); w > 0 {
			j.foundAt = keyTime(k[len(head):])
			return k[len(head)+8:], w
		}
	}
	return nil, 0
}

// after returns the next right row's key after key, nil: none of that join key.
func (j *joinAsOf) after(head, key []byte) []byte {
	cur := j.right.cur
	for ok := cur.Seek(key); ok; ok = cur.Next() {
		k := cur.Key()
		if !bytes.HasPrefix(k, head) {
			break
		}
		if cur.Weight() > 0 && !bytes.Equal(k, key) {
			return k
		}
	}
	return nil
}

// span corrects the left rows between the right rows from and to; nil: the end.
func (j *joinAsOf) span(head, from, to []byte, out Emit) error {
	n := len(head)
	first := keyTime(from[n:])
	last := int64(math.MaxInt64) // inclusive
	if to != nil {
		last = keyTime(to[n:])
		if !j.strict {
			if last == math.MinInt64 {
				return nil
			}
			last--
		}
	}
	if j.strict {
		if first == math.MaxInt64 {
			return nil
		}
		first++
	}
	j.seek = timeKey(append(j.seek[:0], head...), first)
	for ok := j.left.cur.Seek(j.seek); ok; ok = j.left.cur.Next() {
		k := j.left.cur.Key()
		if !bytes.HasPrefix(k, head) || keyTime(k[n:]) > last {
			break
		}
		row, w := k[n+8:], j.left.cur.Weight()
		if err := j.pair(row, j.old, j.has[0], -w, out); err != nil {
			return err
		}
		if err := j.pair(row, j.new, j.has[1], w, out); err != nil {
			return err
		}
	}
	return nil
}

// pair emits a left row, encoded, with a right one.
func (j *joinAsOf) pair(row, right []byte, has bool, w int64, out Emit) error {
	if !has && !j.side[0].lonely {
		return nil
	}
	cols := j.out.row(w)
	n := len(j.side[0].cols)
	if _, err := DecodeRow(row, nil, cols[:n]); err != nil {
		return err
	}
	return j.withRight(cols[n:], right, has, out)
}

func (j *joinAsOf) withRight(cols []*delta.Vec, right []byte, has bool, out Emit) error {
	if !has {
		for _, v := range cols {
			v.AppendNull()
		}
	} else if _, err := DecodeRow(right, nil, cols); err != nil {
		return err
	}
	return j.out.done(out)
}

// holding returns the right row that holds at place t of a key.
func (j *joinAsOf) holding(head []byte, t int64) ([]byte, int64) {
	j.seek = append(j.seek[:0], head...)
	switch {
	case j.strict:
		j.seek = timeKey(j.seek, t)
	case t < math.MaxInt64:
		j.seek = timeKey(j.seek, t+1)
	default:
		// Behind all of the key: no key begins with nine bytes of ones.
		j.seek = append(timeKey(j.seek, t), 0xFF)
	}
	return j.before(head, j.seek)
}
