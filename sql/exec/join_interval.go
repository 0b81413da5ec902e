package exec

import (
	"bytes"
	"encoding/binary"
	"math"

	"github.com/streamsql/streamsql/sql/delta"
	"github.com/streamsql/streamsql/sql/sqlerr"
	"github.com/streamsql/streamsql/state"
)

// joinInterval is a join whose condition binds the times of a pair to each
// other (plan.TimeBounds). The rows of either side lie by key and time, so that
// a row meets those within its bounds alone. A row is dropped when the other
// input's watermark has passed all partners that it could have; then also a row
// that comes behind its own input's watermark might have lost partners: it is
// late. The condition itself is evaluated in full.
//
// Rows lie in buckets of time as wide as the bounds: a probe looks into two, and
// what is dropped lies together, so that dropping reads nothing else.
type joinInterval struct {
	*join
	sides [2]intervalSide
	lo    [2]int64 // a row of side s at time t has its partners between t + lo[s]
	hi    [2]int64 // and t + hi[s]; math.MinInt64, math.MaxInt64: no bound
	width int64    // of a bucket; 0: one bucket
	wm    [2]int64 // no row of the side comes below it but late ones; NoWatermark: none
	prev  [2]int64 // at the last commit
	kept  [2]int   // rows that the last sweep left
	late  []int32
	gone  Keys
	goneW []int64
}

// intervalSide is what is kept of an input: key group, bucket, AppendEq of the
// key, time, AppendRowKey of the row.
type intervalSide struct {
	rows *state.Tree
	cur  *state.Cursor
	time int // column
	wmIn bool
	end  bool // the time is the end of a window: what is at the watermark is closed
	eq   Keys // of the active rows of the batch: key group and AppendEq of the key
}

const bucketLen = 8

var (
	_ Operator = (*joinInterval)(nil)
	_ Stepper  = (*joinInterval)(nil)
	_ Restorer = (*joinInterval)(nil)
)

func newJoinInterval(j *join, b *builder, worker int) (Operator, error) {
	n, t := j.n, j.n.Bounds
	if j.residual == nil || t.Lo > t.Hi || t.Left >= len(n.Inputs[0].Out) || t.Right >= len(n.Inputs[1].Out) {
		return nil, sqlerr.New(sqlerr.Internal, "the interval join of node %d is malformed", n.ID)
	}
	x := &joinInterval{join: j}
	x.time.key = -1
	x.lo = [2]int64{negated(t.Hi), t.Lo}
	x.hi = [2]int64{negated(t.Lo), t.Hi}
	if t.Lo != math.MinInt64 && t.Hi != math.MaxInt64 {
		if w := t.Hi - t.Lo; w >= 0 && w < 1<<61 {
			x.width = max(w+1, 1_000_000)
		}
	}
	for s, col := range []int{t.Left, t.Right} {
		y, in := &x.sides[s], n.Inputs[s]
		y.time = col
		y.wmIn, y.end = in.TimeCol() == col && !b.opts.Batch, in.TimeEnd
		y.rows = b.tree(n, joinTree+s, worker)
		y.cur = y.rows.Cursor()
		if j.side[s].lonely {
			j.side[s].match = b.tree(n, joinMatch+s, worker)
		}
		x.wm[s], x.prev[s] = NoWatermark, NoWatermark
		if y.wmIn {
			x.join.time.late[s] = b.lateOf(n, s, col)
		}
	}
	if b.opts.Batch {
		x.batch = true
		return &joinIntervalBatch{joinInterval: x}, nil
	}
	return x, nil
}

func negated(v int64) int64 {
	switch v {
	case math.MinInt64:
		return math.MaxInt64
	case math.MaxInt64:
		return math.MinInt64
	}
	return -v
}

// plus adds a bound to a time. Infinite times stay what they are; so do bounds.
func plus(t, d int64) int64 {
	switch {
	case d == math.MinInt64 || d == math.MaxInt64:
		return d
	case t == math.MinInt64 || t == math.MaxInt64:
		return t
	}
	return addClamped(t, d)
}

func (j *joinInterval) bucket(t int64) int64 {
	if j.width == 0 {
		return 0
	}
	q := t / j.width
	if t%j.width < 0 {
		q--
	}
	return q
}

// isLate tells whether a row of side s at time t may have lost partners.
func (j *joinInterval) isLate(s int, t int64) bool {
	return t < j.wm[s] && j.lo[s] != math.MinInt64
}

// bound returns the time below which rows of side s can have no partner to come.
func (j *joinInterval) bound(s int) int64 {
	o := 1 - s
	if j.wm[o] == NoWatermark || j.hi[s] == math.MaxInt64 {
		return math.MinInt64
	}
	// t + hi[s] < wm[o]
	return plus(j.wm[o], -j.hi[s])
}

func timeKey(dst []byte, t int64) []byte { return binary.BigEndian.AppendUint64(dst, uint64(t)^1<<63) }

func keyTime(b []byte) int64 { return int64(binary.BigEndian.Uint64(b) ^ 1<<63) }

func (j *joinInterval) Apply(in int, b *delta.Batch, out Emit) error {
	x, y := &j.side[in], &j.sides[in]
	if err := j.encode(in, b); err != nil {
		return err
	}
	if err := j.nullKeys(in, b, out); err != nil {
		return err
	}
	if len(x.at) == 0 {
		return nil
	}
	j.pairs.begin(j.join, in, b)
	j.matches = resized(j.matches, b.N)
	times := b.Cols[y.time].I
	for k, i := range x.at {
		if err := j.probe(in, y.eq.At(k), times[i], i, b.Weight(int(i)), out); err != nil {
			return err
		}
	}
	if err := j.pairs.flush(out); err != nil {
		return err
	}
	if err := j.sides[1-in].rows.Err(); err != nil {
		return err
	}
	bound := j.bound(in)
	for k, i := range x.at {
		m := j.matches[i]
		if x.lonely && (m > 0) == x.semi {
			if err := j.ownRow(in, b, int(i), out); err != nil {
				return err
			}
		}
		if times[i] < bound {
			continue
		}
		old, new := j.keep(in, b, k)
		if x.match == nil || m == 0 || (old == 0) == (new == 0) {
			continue
		}
		// Rows that are not there have no count of matches.
		if old != 0 {
			m = -m
		}
		x.match.Add(j.key, m)
	}
	return j.out.flush(out)
}

// keep adds the row of the k-th key of a batch to those of side in. Its key is
// then j.key.
func (j *joinInterval) keep(in int, b *delta.Batch, k int) (old, new int64) {
	y, i := &j.sides[in], int(j.side[in].at[k])
	eq, t := y.eq.At(k), b.Cols[y.time].I[i]
	j.key = timeKey(append(j.prefix(eq, j.bucket(t)), eq[1:]...), t)
	j.key = AppendRowKey(j.key, b.Cols, i, nil)
	return y.rows.Add(j.key, b.Weight(i))
}

// prefix begins a key.
func (j *joinInterval) prefix(eq []byte, bucket int64) []byte {
	return timeKey(append(j.key[:0], eq[0]), bucket)
}

// encode makes the keys of a batch. It leaves rows out whose key or time is NULL,
// and hands out late ones.
func (j *joinInterval) encode(in int, b *delta.Batch) error {
	x, y := &j.side[in], &j.sides[in]
	y.eq.Reset()
	x.at, x.null, j.late = x.at[:0], x.null[:0], j.late[:0]
	x.keyVecs = pick(x.keyVecs, b, x.key)
	times := b.Cols[y.time]
	nullable := false
	if !x.nullSafe {
		for _, v := range x.keyVecs {
			nullable = nullable || v.Nulls != nil
		}
	}
	check := y.wmIn && j.wm[in] != NoWatermark
each:
	for i := range b.N {
		if times.Null(i) {
			x.null = append(x.null, int32(i))
			continue
		}
		if check && j.isLate(in, times.I[i]) {
			j.late = append(j.late, int32(i))
			continue
		}
		if nullable {
			for _, v := range x.keyVecs {
				if v.Null(i) {
					x.null = append(x.null, int32(i))
					continue each
				}
			}
		}
		start := len(y.eq.Buf)
		y.eq.Buf = AppendRowEq(append(y.eq.Buf, 0), x.keyVecs, i)
		y.eq.Buf[start] = KeyGroup(y.eq.Buf[start+1:])
		y.eq.End()
		x.at = append(x.at, int32(i))
	}
	if len(j.late) == 0 {
		return nil
	}
	return j.join.time.late[in](gather(b, j.late), j.wm[in])
}

// probe pairs row i of a batch of side in, of time t and weight w, with the rows
// of the other side within its bounds.
func (j *joinInterval) probe(in int, eq []byte, t int64, i int32, w int64, out Emit) error {
	lo, hi := plus(t, j.lo[in]), plus(t, j.hi[in])
	cur := j.sides[1-in].cur
	last := j.bucket(hi)
	for bucket := j.bucket(lo); ; bucket++ {
		j.key = append(j.prefix(eq, bucket), eq[1:]...)
		n := len(j.key)
		j.key = timeKey(j.key, lo)
		head := j.key[:n]
		for ok := cur.Seek(j.key); ok; ok = cur.Next() {
			k := cur.Key()
			if !bytes.HasPrefix(k, head) || keyTime(k[n:]) > hi {
				break
			}
			j.it.row, j.it.w = k[n+8:], cur.Weight()
			if err := j.pairs.add(i, w, k[:n+8], &j.it, out); err != nil {
				return err
			}
		}
		if bucket >= last {
			return nil
		}
	}
}

func (j *joinInterval) Advance(wm []int64, _ Emit) (int64, error) {
	j.take(wm)
	for s := range j.sides {
		if err := j.sweep(s); err != nil {
			return 0, err
		}
	}
	return j.outputTime(wm), nil
}

// take takes the watermarks of the inputs.
func (j *joinInterval) take(wm []int64) {
	for s := range j.sides {
		y := &j.sides[s]
		if !y.wmIn || wm[s] == NoWatermark {
			continue
		}
		w := wm[s]
		if y.end && w < math.MaxInt64 {
			w++ // what is at the watermark is closed
		}
		j.wm[s] = max(j.wm[s], w)
	}
}

// outputTime is the watermark of the output's time column. If that is the time of
// either side: new pairs have a new row on one side, and on the other one that is
// within its bounds.
func (j *joinInterval) outputTime(wm []int64) int64 {
	s, col := 0, j.n.TimeCol()
	if col < 0 {
		return NoWatermark
	}
	if j.side[0].wide && col >= len(j.side[0].cols) {
		s, col = 1, col-len(j.side[0].cols)
	}
	if !j.sides[0].wmIn || !j.sides[1].wmIn || col != j.sides[s].time {
		return inputTime(j.n, wm)
	}
	if j.wm[0] == NoWatermark || j.wm[1] == NoWatermark {
		return NoWatermark
	}
	return min(j.wm[s], plus(j.wm[1-s], j.lo[1-s]))
}

// sweep drops what has no partners to come, when the rows have grown by a quarter
// since the last time (by their number without buckets, as all of them are read
// then): the work is in proportion to the rows that came.
func (j *joinInterval) sweep(s int) error {
	y := &j.sides[s]
	n := y.rows.Len()
	grown := max(j.kept[s], sweepMin)
	if j.width != 0 {
		grown /= 4
	}
	bound := j.bound(s)
	if bound == math.MinInt64 || n < j.kept[s]+grown {
		return nil
	}
	if err := j.dropBelow(y.rows, s, bound); err != nil {
		return err
	}
	if m := j.side[s].match; m != nil {
		if err := j.dropBelow(m, s, bound); err != nil {
			return err
		}
	}
	j.kept[s] = y.rows.Len()
	return nil
}

// dropBelow removes the keys of a tree of side s whose time is below bound: all
// in buckets before bound's, or, when there is one bucket, those that are.
func (j *joinInterval) dropBelow(tree *state.Tree, s int, bound int64) error {
	first := j.bucket(bound)
	cur := tree.Cursor()
	const some = 4096
	seek := []byte{0}
	for {
		j.gone.Reset()
		j.goneW = j.goneW[:0]
		ok := cur.Seek(seek)
		for ok && len(j.goneW) < some {
			k := cur.Key()
			if len(k) < 1+bucketLen+8 {
				return damagedKey(j.side[s].cols[j.sides[s].time].Type)
			}
			drop := keyTime(k[1:]) < first
			if j.width == 0 {
				t, err := j.side[s].timeAfterKey(k[1+bucketLen:])
				if err != nil {
					return err
				}
				drop = t < bound
			} else if !drop {
				// The next key group.
				g := k[0]
				if g == KeyGroups-1 {
					ok = false
					break
				}
				ok = cur.Seek([]byte{g + 1})
				continue
			}
			if drop {
				j.gone.Buf = append(j.gone.Buf, k...)
				j.gone.End()
				j.goneW = append(j.goneW, cur.Weight())
			}
			ok = cur.Next()
		}
		if ok {
			seek = append(seek[:0], cur.Key()...)
		}
		for i, w := range j.goneW {
			tree.Add(j.gone.At(i), -w)
		}
		if err := tree.Err(); err != nil || !ok {
			return err
		}
	}
}

// Restore takes the watermarks back.
func (j *joinInterval) Restore(wm []int64) {
	j.take(wm)
	j.prev = j.wm
}

// Commit and Rollback end a step.
func (j *joinInterval) Commit()   { j.prev = j.wm }
func (j *joinInterval) Rollback() { j.wm = j.prev }
