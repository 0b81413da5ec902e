package exec

import (
	"encoding/binary"
	"math"

	"github.com/streamsql/streamsql/sql/delta"
	"github.com/streamsql/streamsql/sql/plan"
	"github.com/streamsql/streamsql/state"
)

// dueQueue is rows that wait for the clock, in the order of their times: a tree
// of key group, time, a byte of the operator's, row → weight. A worker keeps its
// rows under its first key group, whatever they are: nobody looks for one of
// them, and one group is one queue. Other groups hold rows only after the number
// of workers has changed.
type dueQueue struct {
	t     *state.Tree
	cur   *state.Cursor
	group byte
	key   []byte
	next  int64 // the least time, if known
	known bool
}

// dueHead is the length of a key before the row.
const dueHead = 1 + 8 + 1

func newDueQueue(b *builder, n *plan.Node, worker int) *dueQueue {
	q := &dueQueue{t: b.tree(n, 0, worker)}
	for GroupOwner(q.group, b.opts.Workers) != worker {
		q.group++
	}
	q.cur = q.t.Cursor()
	return q
}

// add adds w times row i of cols.
func (q *dueQueue) add(at int64, flag byte, cols []*delta.Vec, i int, w int64) {
	k := binary.BigEndian.AppendUint64(append(q.key[:0], q.group), uint64(at)^1<<63)
	q.key = AppendRowKey(append(k, flag), cols, i, nil)
	if _, is := q.t.Add(q.key, w); is == 0 {
		q.known = false
	} else if q.known {
		q.next = min(q.next, at)
	}
}

// due returns the least time in the queue; math.MaxInt64: it is empty.
func (q *dueQueue) due() int64 {
	if q.known {
		return q.next
	}
	q.next = math.MaxInt64
	seek := []byte{0}
	for q.cur.Seek(seek) {
		k := q.cur.Key()
		if len(k) >= dueHead {
			q.next = min(q.next, dueTime(k))
		}
		if k[0] == math.MaxUint8 {
			break
		}
		seek[0] = k[0] + 1
	}
	q.known = q.t.Err() == nil
	return q.next
}

func dueTime(key []byte) int64 { return int64(binary.BigEndian.Uint64(key[1:]) ^ 1<<63) }

// dueRows are rows taken from the queue.
type dueRows struct {
	b     *delta.Batch // with weights
	flags []byte
	keys  Keys
}

// take removes the next rows, at most delta.MaxRows, whose time is not above
// now; false: there is none.
func (q *dueQueue) take(now int64, cols []plan.Column, r *dueRows) (bool, error) {
	if q.due() > now {
		return false, q.t.Err()
	}
	r.b = &delta.Batch{Cols: newCols(cols, 64)}
	r.flags = r.flags[:0]
	r.keys.Reset()
	size := 0
	seek := []byte{0}
	for full := false; !full && q.cur.Seek(seek); {
		group := q.cur.Key()[0]
		for {
			k := q.cur.Key()
			if len(k) < dueHead || k[0] != group || dueTime(k) > now {
				break
			}
			if _, err := DecodeRow(k[dueHead:], nil, r.b.Cols); err != nil {
				return false, err
			}
			r.b.N++
			r.b.W = append(r.b.W, q.cur.Weight())
			r.flags = append(r.flags, k[dueHead-1])
			r.keys.Buf = append(r.keys.Buf, k...)
			r.keys.End()
			if size += len(k); r.b.N == delta.MaxRows || size > maxBuf {
				full = true
				break
			}
			if !q.cur.Next() {
				break
			}
		}
		if group == math.MaxUint8 {
			break
		}
		seek[0] = group + 1
	}
	for i := range r.b.N {
		q.t.Add(r.keys.At(i), -r.b.W[i])
	}
	q.known = false
	return r.b.N > 0, q.t.Err()
}

// rollback forgets what was read of a step that is undone.
func (q *dueQueue) rollback() { q.known = false }
