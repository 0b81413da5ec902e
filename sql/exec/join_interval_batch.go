package exec

import (
	"github.com/streamsql/streamsql/sql/delta"
)

// joinIntervalBatch is an interval join that runs once, as joinBatch does.
type joinIntervalBatch struct {
	*joinInterval
	held [2][]*delta.Batch
	rows [2]int
	mem  int64
}

var (
	_ Operator = (*joinIntervalBatch)(nil)
	_ Holder   = (*joinIntervalBatch)(nil)
)

func (j *joinIntervalBatch) Apply(in int, b *delta.Batch, _ Emit) error {
	j.held[in] = append(j.held[in], b)
	j.rows[in] += b.N
	j.mem += batchBytes(b)
	return nil
}

func (j *joinIntervalBatch) Held() int64 { return j.mem }

func (j *joinIntervalBatch) Finish(out Emit) error {
	kept := 0
	if j.rows[1] < j.rows[0] {
		kept = 1
	}
	for _, in := range []int{kept, 1 - kept} {
		for k, b := range j.held[in] {
			if err := j.w.check(); err != nil {
				return err
			}
			if err := j.encode(in, b); err != nil {
				return err
			}
			if err := j.nullKeys(in, b, out); err != nil {
				return err
			}
			if in == kept {
				for i := range j.side[in].at {
					j.keep(in, b, i)
				}
			} else if err := j.probeAll(in, b, out); err != nil {
				return err
			}
			j.mem -= batchBytes(b)
			j.held[in][k] = nil
		}
	}
	if err := j.rest(kept, out); err != nil {
		return err
	}
	return j.out.flush(out)
}

// probeAll joins a batch of side in with what is kept of the other.
func (j *joinIntervalBatch) probeAll(in int, b *delta.Batch, out Emit) error {
	x := &j.side[in]
	j.pairs.begin(j.join, in, b)
	j.matches = resized(j.matches, b.N)
	times := b.Cols[j.sides[in].time].I
	for k, i := range x.at {
		if err := j.probe(in, j.sides[in].eq.At(k), times[i], i, b.Weight(int(i)), out); err != nil {
			return err
		}
	}
	if err := j.pairs.flush(out); err != nil || !x.lonely {
		return err
	}
	for _, i := range x.at {
		if (j.matches[i] > 0) == x.semi {
			if err := j.ownRow(in, b, int(i), out); err != nil {
				return err
			}
		}
	}
	return nil
}

// rest emits the rows of the side that was kept by whether they have a match.
func (j *joinIntervalBatch) rest(kept int, out Emit) error {
	x := &j.side[kept]
	if !x.lonely {
		return nil
	}
	cur := j.sides[kept].cur
	for ok := cur.Seek(nil); ok; ok = cur.Next() {
		key := cur.Key()
		if (x.match.Get(key) > 0) != x.semi {
			continue
		}
		row, err := x.afterKey(key[1+bucketLen:])
		if err != nil {
			return err
		}
		if err := j.lonelyRow(kept, row[8:], cur.Weight(), out); err != nil {
			return err
		}
	}
	return nil
}
