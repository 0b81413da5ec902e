package exec

import (
	"cmp"
	"encoding/binary"
	"math"

	"github.com/streamsql/streamsql/sql/delta"
	"github.com/streamsql/streamsql/sql/types"
	"github.com/streamsql/streamsql/state"
)

// joinTime closes what is behind the watermark of a join by time: two inputs
// whose times are joined with each other, such as the ends of windows. Rows of a
// closed time can find no new partner and are dropped from the state; those that
// still come are late. Whether a row is late depends on the watermark alone, not
// on when the state is swept.
type joinTime struct {
	key    int  // of the join's keys, the one that is the time; -1: none
	end    bool // it is the end of a window: closed when the watermark reaches it
	closed int64
	late   [2]func(rows *delta.Batch, wm int64) error

	sel  []int32 // late rows of the batch
	kept int     // entries that the last sweep left
	prev int64   // closed, at the last commit
	gone []int32
	rows Keys

	groups [2]int // key groups of the worker, from and to
}

// sweepMin is how many entries a join by time has at least before it is swept;
// tests lower it.
var sweepMin = 4096

func (j *join) initTime(b *builder, worker int) {
	t := &j.time
	t.key, t.closed, t.prev = -1, math.MinInt64, math.MinInt64
	l, r := j.n.Inputs[0], j.n.Inputs[1]
	if b.opts.Batch || j.n.NullSafe || l.Time == 0 || r.Time == 0 || l.TimeEnd != r.TimeEnd {
		return
	}
	for i := range j.n.LeftKey {
		if j.n.LeftKey[i] == l.TimeCol() && j.n.RightKey[i] == r.TimeCol() {
			t.key, t.end = i, l.TimeEnd
			t.groups = groupsOf(worker, b.opts.Workers)
			t.late = [2]func(*delta.Batch, int64) error{b.lateOf(j.n, 0, l.TimeCol()), b.lateOf(j.n, 1, r.TimeCol())}
			return
		}
	}
}

// groupsOf are the key groups of a worker, from and to.
func groupsOf(worker, workers int) (g [2]int) {
	for g[0] < KeyGroups && GroupOwner(byte(g[0]), workers) < worker {
		g[0]++
	}
	for g[1] < KeyGroups && GroupOwner(byte(g[1]), workers) <= worker {
		g[1]++
	}
	return g
}

// isClosed tells whether no row of time ts may come any more.
func (t *joinTime) isClosed(ts int64) bool { return ts < t.closed || t.end && ts == t.closed }

// takeLate hands out the late rows of a batch.
func (j *join) takeLate(in int, b *delta.Batch) error {
	if len(j.time.sel) == 0 {
		return nil
	}
	return j.time.late[in](gather(b, j.time.sel), j.time.closed)
}

// close moves the watermark, and sweeps the state when it has doubled since the
// last time: the work is in proportion to the rows that came.
func (j *join) close(wm int64) error {
	t := &j.time
	if t.key < 0 || wm <= t.closed {
		return nil
	}
	t.closed = wm
	n := j.side[0].store.h.Len() + j.side[1].store.h.Len()
	if n < 2*t.kept+sweepMin {
		return nil
	}
	for s := range j.side {
		if err := j.side[s].sweep(t); err != nil {
			return err
		}
	}
	t.kept = j.side[0].store.h.Len() + j.side[1].store.h.Len()
	return nil
}

// sweep drops what is closed. Entries that are on disk alone are looked for when
// they are the greater part: that reads all of them.
func (x *joinSide) sweep(t *joinTime) error {
	t.gone = t.gone[:0]
	var err error
	seen := 0
	x.store.h.Each(func(id int32) bool {
		seen++
		var ts int64
		if ts, err = x.timeOf(t, x.store.h.Key(id)); err != nil {
			return false
		}
		if t.isClosed(ts) {
			t.gone = append(t.gone, id)
		}
		return true
	})
	if err != nil {
		return err
	}
	for _, id := range t.gone {
		x.forget(t, id)
	}
	if x.store.h.Len()-(seen-len(t.gone)) <= seen+sweepMin {
		return nil
	}
	var keys Keys
	keys.Reset()
	err2 := x.store.h.EachEvicted(t.groups[0], t.groups[1], func(key []byte) {
		ts, e := x.timeOf(t, key)
		if e != nil {
			err = e
		} else if t.isClosed(ts) {
			keys.Buf = append(keys.Buf, key...)
			keys.End()
		}
	})
	if err != nil || err2 != nil {
		return cmp.Or(err, err2)
	}
	for i := range keys.Len() {
		if id := x.store.h.Get(keys.At(i), false); id >= 0 {
			x.forget(t, id)
		}
	}
	return x.store.h.Err()
}

// forget drops an entry with its rows.
func (x *joinSide) forget(t *joinTime, id int32) {
	key := x.store.h.Key(id)
	if x.store.h.Words(id)[rowsCount]&1 != 0 {
		t.drop(x.store.t, key)
	}
	if x.match != nil {
		t.drop(x.match, key)
	}
	x.store.h.Delete(id)
}

// timeOf reads the time in a join key.
func (x *joinSide) timeOf(t *joinTime, key []byte) (int64, error) {
	key = key[1:]
	for i := range t.key {
		var err error
		if key, err = types.SkipEq(key, x.cols[x.key[i]].Type); err != nil {
			return 0, err
		}
	}
	if len(key) < 9 || key[0] != cellValue {
		return 0, damagedKey(x.cols[x.key[t.key]].Type)
	}
	return int64(binary.BigEndian.Uint64(key[1:]) ^ 1<<63), nil
}

// drop removes the keys of a tree that begin with prefix.
func (t *joinTime) drop(tree *state.Tree, prefix []byte) {
	t.rows.Reset()
	var ws []int64
	tree.ScanPrefix(prefix, func(key []byte, w int64) bool {
		t.rows.Buf = append(t.rows.Buf, key...)
		t.rows.End()
		ws = append(ws, w)
		return true
	})
	for i, w := range ws {
		tree.Add(t.rows.At(i), -w)
	}
}

// Restore takes the watermark back.
func (j *join) Restore(wm []int64) {
	j.time.closed = inputTime(j.n, wm)
	j.time.prev = j.time.closed
}

// Commit and Rollback end a step.
func (j *join) Commit()   { j.time.prev = j.time.closed }
func (j *join) Rollback() { j.time.closed = j.time.prev }
