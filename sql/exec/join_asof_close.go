package exec

import (
	"bytes"
	"math"

	"github.com/streamsql/streamsql/sql/types"
)

// isLate tells whether what a row of input in at time t is joined with may have
// been dropped.
func (j *joinAsOf) isLate(in int, t int64) bool {
	return j.timed[in] && t < j.wm[in] && (in == 1 || j.timed[1])
}

// settled is the time below which no right row's change concerns a left row; with
// the next row, below which a right row cannot go.
func (j *joinAsOf) settled() int64 {
	if !j.timed[1] || j.wm[1] == NoWatermark {
		return math.MinInt64
	}
	if j.strict && !j.next {
		return plus(j.wm[1], 1)
	}
	return j.wm[1]
}

// supersede drops the right rows of a key that hold for no left row any more.
func (j *joinAsOf) supersede(head []byte) error {
	if j.next || !j.timed[0] || !j.timed[1] || j.wm[0] == NoWatermark || j.wm[1] == NoWatermark {
		return nil
	}
	// The last row that cannot go, and that any left row to come is not before, stays.
	last := min(j.wm[0], j.wm[1]-1)
	if j.strict {
		last = min(j.wm[0]-1, j.wm[1]-1)
	}
	j.gone.Reset()
	j.goneW = j.goneW[:0]
	n := len(head)
	holds := 0 // of gone, those before the last that holds
	for ok := j.right.cur.Seek(head); ok; ok = j.right.cur.Next() {
		k := j.right.cur.Key()
		if !bytes.HasPrefix(k, head) || keyTime(k[n:]) > last {
			break
		}
		if j.right.cur.Weight() > 0 {
			holds = len(j.goneW)
		}
		j.gone.Buf = append(j.gone.Buf, k...)
		j.gone.End()
		j.goneW = append(j.goneW, j.right.cur.Weight())
	}
	for i, w := range j.goneW[:holds] {
		j.right.tree.Add(j.gone.At(i), -w)
	}
	return j.right.tree.Err()
}

func (j *joinAsOf) Advance(wm []int64, _ Emit) (int64, error) {
	j.take(wm)
	if err := j.sweep(); err != nil {
		return 0, err
	}
	if !j.timed[0] || !j.timed[1] {
		return inputTime(j.n, wm), nil
	}
	if j.wm[0] == NoWatermark || j.wm[1] == NoWatermark {
		return NoWatermark, nil
	}
	t := min(j.wm[0], j.wm[1])
	if j.n.TimeEnd {
		t--
	}
	return t, nil
}

func (j *joinAsOf) take(wm []int64) {
	for s := range j.wm {
		w := wm[s]
		if !j.timed[s] || w == NoWatermark {
			continue
		}
		if j.ends[s] && w < math.MaxInt64 {
			w++ // what is at the watermark is closed
		}
		j.wm[s] = max(j.wm[s], w)
	}
}

// sweep drops what is settled, when the rows have doubled since the last time.
func (j *joinAsOf) sweep() error {
	settled := j.settled()
	n := j.left.tree.Len()
	if j.next {
		n += j.right.tree.Len()
	}
	if settled == math.MinInt64 || n < 2*j.sweptAt+sweepMin {
		return nil
	}
	x := &j.side[0]
	if !j.next {
		err := j.drop(&j.left, func(k []byte) (bool, error) {
			t, err := x.timeAfterKey(k[1:])
			return t < settled, err
		})
		j.sweptAt = j.left.tree.Len()
		return err
	}
	// A left row that has its next row, one that cannot go, is settled. Then no
	// right row is needed that none to come can be before.
	var head []byte
	found, last := false, int64(0)
	err := j.drop(&j.left, func(k []byte) (bool, error) {
		rest, err := x.afterKey(k[1:])
		if err != nil {
			return false, err
		}
		if mine := k[:len(k)-len(rest)]; !bytes.Equal(head, mine) {
			head = append(head[:0], mine...)
			last, found = j.lastBelow(head, settled)
		}
		t := j.place(keyTime(rest))
		return found && (t < last || t == last && !j.strict), nil
	})
	if err == nil && j.timed[0] && j.wm[0] != NoWatermark {
		bound := min(j.wm[0], settled)
		r := &j.side[1]
		err = j.drop(&j.right, func(k []byte) (bool, error) {
			t, err := r.timeAfterKey(k[1:])
			return j.place(t) < bound, err
		})
	}
	j.sweptAt = j.left.tree.Len() + j.right.tree.Len()
	return err
}

// lastBelow is the greatest time of a key's right rows below limit. Their places
// are in descending order of time.
func (j *joinAsOf) lastBelow(head []byte, limit int64) (int64, bool) {
	cur := j.right.cur
	for ok := cur.Seek(timeKey(append(j.seek[:0], head...), j.place(limit-1))); ok; ok = cur.Next() {
		k := cur.Key()
		if !bytes.HasPrefix(k, head) {
			break
		}
		if cur.Weight() > 0 {
			return j.place(keyTime(k[len(head):])), true
		}
	}
	return 0, false
}

// drop removes the rows of a side for which done.
func (j *joinAsOf) drop(s *asOfSide, done func(key []byte) (bool, error)) error {
	const some = 4096
	seek := []byte{0}
	for {
		j.gone.Reset()
		j.goneW = j.goneW[:0]
		ok := s.cur.Seek(seek)
		for ; ok && len(j.goneW) < some; ok = s.cur.Next() {
			k := s.cur.Key()
			is, err := done(k)
			if err != nil {
				return err
			}
			if is {
				j.gone.Buf = append(j.gone.Buf, k...)
				j.gone.End()
				j.goneW = append(j.goneW, s.cur.Weight())
			}
		}
		if ok {
			seek = append(seek[:0], s.cur.Key()...)
		}
		for i, w := range j.goneW {
			s.tree.Add(j.gone.At(i), -w)
		}
		if err := s.tree.Err(); err != nil || !ok {
			return err
		}
	}
}

// afterKey skips a join key in AppendEq's encoding; a time follows.
func (x *joinSide) afterKey(key []byte) ([]byte, error) {
	for _, c := range x.key {
		var err error
		if key, err = types.SkipEq(key, x.cols[c].Type); err != nil {
			return nil, err
		}
	}
	if len(key) < 8 {
		return nil, damagedKey(types.Of(types.Timestamptz))
	}
	return key, nil
}

func (x *joinSide) timeAfterKey(key []byte) (int64, error) {
	key, err := x.afterKey(key)
	if err != nil {
		return 0, err
	}
	return keyTime(key), nil
}

// Restore takes the watermarks back.
func (j *joinAsOf) Restore(wm []int64) {
	j.take(wm)
	j.prev = j.wm
	// What is there is not read for a sweep until as much has come.
	j.sweptAt = j.left.tree.Len()
	if j.next {
		j.sweptAt += j.right.tree.Len()
	}
}

// Commit and Rollback end a step.
func (j *joinAsOf) Commit() { j.prev = j.wm }

func (j *joinAsOf) Rollback() {
	j.wm = j.prev
	j.forget()
}
