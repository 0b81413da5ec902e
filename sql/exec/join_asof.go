package exec

import (
	"bytes"
	"math"
	"slices"

	"github.com/streamsql/streamsql/sql/delta"
	"github.com/streamsql/streamsql/sql/plan"
	"github.com/streamsql/streamsql/sql/sqlerr"
	"github.com/streamsql/streamsql/sql/types"
	"github.com/streamsql/streamsql/state"
)

// joinAsOf joins each left row with the one right row of its key that holds at
// its time: the last whose time is not above (plan.AsOf: or below, or the first
// not below) the left one's; of several at that time the last by the order of all
// columns. A right row counts once however often it is there.
//
// Both sides lie by key and time. A step's changes of the right side are taken
// together at its end: between two right rows next to each other hold the same
// row, so the left rows in such a span that the changes concern are read once.
// Then come the step's left rows.
//
// With a watermark on the right side, a left row at which no right row can come or
// go any more is settled, and dropped; a right row behind the watermark is late.
// With one on the left side too, right rows go that others have superseded for
// whatever left row may come; then also left rows behind it are late. Where it is
// the first row not below, a left row is settled when it has one that cannot go.
type joinAsOf struct {
	*join
	left, right asOfSide
	strict      bool
	next        bool
	versions    bool
	wm          [2]int64
	prev        [2]int64
	timed       [2]bool // the watermark of the input means something here
	ends        [2]bool
	late        []int32
	sweptAt     int // left rows that the last sweep left

	seq     uint64 // of the step that what waits is of
	batches []*delta.Batch
	rows    int
	bytes   int64
	over    bool // a sum of weights left the range
	keys    Keys // changes of the right side that wait, as in its tree
	weights []int64
	heads   []int32 // of each, the bytes of key group and join key
	changes []asOfChange
	order   keyOrder
	old     []byte // the row that held in the span, and the one that does
	new     []byte
	has     [2]bool
	seek    []byte
	foundAt int64 // place of the row that before returned
	gone    Keys
	goneW   []int64
	lateOut rowsOut
}

// asOfSide is what is kept of an input: key group, AppendEq of the key, time,
// AppendRowKey of the row. Of a right side of versions the weight tells whether
// the version holds (1) or from its time on none does (2).
type asOfSide struct {
	tree *state.Tree
	cur  *state.Cursor
	time int // column
}

// asOfChange is a right row that came or went, or became or ceased to be the end
// of one.
type asOfChange struct {
	key      []byte
	old, new int64 // weights, not below zero
}

const (
	versionHolds = 1
	versionEnds  = 2
)

// What waits for the end of a step is worked off earlier beyond these.
const (
	asOfRows  = 1 << 16
	asOfBytes = 16 << 20
)

var (
	_ Operator = (*joinAsOf)(nil)
	_ Stepper  = (*joinAsOf)(nil)
	_ Restorer = (*joinAsOf)(nil)
	_ Holder   = (*joinAsOf)(nil)
	_ waiter   = (*joinAsOf)(nil)
)

func newJoinAsOf(j *join, b *builder, worker int) (Operator, error) {
	n, a := j.n, j.n.AsOf
	if n.Kind != plan.Inner && n.Kind != plan.Left || n.Residual != nil ||
		a.LeftTime < 0 || a.LeftTime >= len(n.Inputs[0].Out) || a.RightTime < 0 || a.RightTime >= len(n.Inputs[1].Out) {
		return nil, sqlerr.New(sqlerr.Internal, "the join of node %d is malformed", n.ID)
	}
	x := &joinAsOf{join: j, strict: a.Strict, next: a.Next, versions: a.Versions && !b.opts.Batch}
	x.batch = b.opts.Batch
	x.time.key = -1
	x.lateOut = rowsOut{cols: n.Inputs[1].Out, step: b.step}
	x.keys.Reset()
	for s, side := range []*asOfSide{&x.left, &x.right} {
		side.time = []int{a.LeftTime, a.RightTime}[s]
		side.tree = b.tree(n, joinTree+s, worker)
		side.cur = side.tree.Cursor()
		x.wm[s], x.prev[s] = NoWatermark, NoWatermark
		in := n.Inputs[s]
		x.timed[s] = in.TimeCol() == side.time && !b.opts.Batch
		x.ends[s] = in.TimeEnd
		if x.timed[s] {
			x.join.time.late[s] = b.lateOf(n, s, side.time)
		}
	}
	return x, nil
}

// place brings a time into the order of the trees.
func (j *joinAsOf) place(t int64) int64 {
	if j.next {
		return ^t
	}
	return t
}

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

func (j *joinAsOf) waiting() int64 { return j.bytes + int64(len(j.keys.Buf)) }

func (j *joinAsOf) Held() int64 { return j.bytes + int64(cap(j.keys.Buf)) }

func (j *joinAsOf) Apply(in int, b *delta.Batch, out Emit) error {
	if j.seq != j.step.seq {
		j.forget()
		j.seq = j.step.seq
	}
	x := &j.side[in]
	times := b.Cols[[]int{j.left.time, j.right.time}[in]]
	if err := j.encode(in, b, times); err != nil {
		return err
	}
	if in == 0 {
		if err := j.nullKeys(0, b, out); err != nil || len(x.at) == 0 {
			return err
		}
		if len(x.at) < b.N {
			b = gather(b, x.at)
		}
		j.batches = append(j.batches, b)
		j.rows += b.N
		j.bytes += batchBytes(b)
	}
	if j.batch {
		if in == 1 {
			for k := range j.heads {
				j.right.tree.Add(j.keys.At(k), j.weights[k])
			}
			j.clearRight()
		}
		return nil
	}
	if j.rows < asOfRows && j.bytes < asOfBytes && len(j.keys.Buf) < asOfBytes {
		return nil
	}
	// What holds is a function of both sides as they are: it may be brought up to
	// date at any moment. Versions are told apart by what a whole step does.
	if !j.versions {
		if err := j.applyRight(out); err != nil {
			return err
		}
	}
	return j.applyLeft(out)
}

// encode finds the rows of a batch that are neither late nor, with a NULL in key
// or time, without a match; of the right side it has their keys wait.
func (j *joinAsOf) encode(in int, b *delta.Batch, times *delta.Vec) error {
	x := &j.side[in]
	x.at, x.null, j.late = x.at[:0], x.null[:0], j.late[:0]
	x.keyVecs = pick(x.keyVecs, b, x.key)
each:
	for i := range b.N {
		if times.Null(i) {
			x.null = append(x.null, int32(i))
			continue
		}
		if j.isLate(in, times.I[i]) && !(in == 1 && j.versions) {
			j.late = append(j.late, int32(i))
			continue
		}
		for _, v := range x.keyVecs {
			if v.Null(i) {
				x.null = append(x.null, int32(i))
				continue each
			}
		}
		x.at = append(x.at, int32(i))
		if in == 1 {
			head := j.keys.begin(x.keyVecs, i)
			j.keys.Buf = timeKey(j.keys.Buf, j.place(times.I[i]))
			j.keys.Buf = AppendRowKey(j.keys.Buf, b.Cols, i, nil)
			j.keys.End()
			j.heads = append(j.heads, int32(head))
			j.weights = append(j.weights, b.Weight(i))
		}
	}
	if len(j.late) == 0 {
		return nil
	}
	return j.join.time.late[in](gather(b, j.late), j.wm[in])
}

// begin starts a key with the key group and AppendEq of row i of cols, and returns
// their length.
func (k *Keys) begin(cols []*delta.Vec, i int) int {
	start := len(k.Buf)
	k.Buf = AppendRowEq(append(k.Buf, 0), cols, i)
	k.Buf[start] = KeyGroup(k.Buf[start+1:])
	return len(k.Buf) - start
}

func (j *joinAsOf) Finish(out Emit) error {
	if j.seq == j.step.seq {
		if err := j.applyRight(out); err != nil {
			return err
		}
		if err := j.applyLeft(out); err != nil {
			return err
		}
	}
	j.forget()
	return nil
}

// forget drops what waits.
func (j *joinAsOf) forget() {
	j.clearRight()
	clear(j.batches)
	j.batches, j.rows, j.bytes = j.batches[:0], 0, 0
	if cap(j.keys.Buf) > asOfBytes {
		j.keys.Buf = nil
	}
}

func (j *joinAsOf) clearRight() {
	j.keys.Reset()
	j.weights, j.heads, j.changes = j.weights[:0], j.heads[:0], j.changes[:0]
}

// applyRight takes the changes of the right side that wait, and corrects the left
// rows that they concern.
func (j *joinAsOf) applyRight(out Emit) error {
	idx := j.order.sort(&j.keys)
	j.changes = j.changes[:0]
	for from := 0; from < len(idx); {
		to := from + 1
		head := j.headOf(idx[from].i)
		for to < len(idx) && bytes.HasPrefix(j.keys.At(int(idx[to].i)), head) {
			to++
		}
		first := len(j.changes)
		if j.versions {
			if err := j.takeVersions(idx[from:to]); err != nil {
				return err
			}
		} else {
			j.takeRows(idx[from:to])
		}
		if first < len(j.changes) {
			if j.left.tree.Len() > 0 {
				if err := j.correct(head, j.changes[first:], out); err != nil {
					return err
				}
			}
			if err := j.supersede(head); err != nil {
				return err
			}
		}
		from = to
	}
	j.clearRight()
	if j.over {
		j.over = false
		return errWeight
	}
	if err := j.right.tree.Err(); err != nil {
		return err
	}
	if err := j.left.tree.Err(); err != nil {
		return err
	}
	if j.versions {
		if err := j.lateOut.flush(func(b *delta.Batch) error { return j.join.time.late[1](b, j.wm[1]) }); err != nil {
			return err
		}
	}
	return j.out.flush(out)
}

func (j *joinAsOf) headOf(i int32) []byte {
	k := j.keys.At(int(i))
	return k[:j.heads[i]:j.heads[i]]
}

// run returns the end of the run of equal keys at idx[from] and their weight.
func (j *joinAsOf) run(idx []sortKey, from int) (to int, w int64) {
	k := j.keys.At(int(idx[from].i))
	for to = from; to < len(idx) && bytes.Equal(j.keys.At(int(idx[to].i)), k); to++ {
		if overflows(w, j.weights[idx[to].i]) {
			j.over = true
		}
		w += j.weights[idx[to].i]
	}
	return to, w
}

// takeRows puts changes of one key into the tree.
func (j *joinAsOf) takeRows(idx []sortKey) {
	for from := 0; from < len(idx); {
		to, w := j.run(idx, from)
		if w != 0 {
			i := idx[from].i
			old, new := j.right.tree.Add(j.keys.At(int(i)), w)
			j.change(i, min(max(old, 0), versionHolds), min(max(new, 0), versionHolds))
		}
		from = to
	}
}

func (j *joinAsOf) change(i int32, old, new int64) {
	if old != new {
		j.changes = append(j.changes, asOfChange{j.keys.At(int(i)), old, new})
	}
}

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

// applyLeft joins the left rows that wait, and keeps those that are not settled.
func (j *joinAsOf) applyLeft(out Emit) error {
	x := &j.side[0]
	n := len(x.cols)
	settled := j.settled()
	for _, b := range j.batches {
		if err := j.w.check(); err != nil {
			return err
		}
		x.keyVecs = pick(x.keyVecs, b, x.key)
		times := b.Cols[j.left.time].I
		for i := range b.N {
			x.keys.Reset()
			head := x.keys.begin(x.keyVecs, i)
			t := j.place(times[i])
			row, w := j.holding(x.keys.Buf[:head], t)
			if w == versionHolds || x.lonely {
				cols := j.out.row(b.Weight(i))
				for c, v := range b.Cols {
					cols[c].AppendFrom(v, i)
				}
				if err := j.withRight(cols[n:], row, w == versionHolds, out); err != nil {
					return err
				}
			}
			if j.batch || !j.next && times[i] < settled || j.next && w > 0 && j.place(j.foundAt) < settled {
				continue
			}
			x.keys.Buf = AppendRowKey(timeKey(x.keys.Buf, t), b.Cols, i, nil)
			j.left.tree.Add(x.keys.Buf, b.Weight(i))
		}
	}
	clear(j.batches)
	j.batches, j.rows, j.bytes = j.batches[:0], 0, 0
	if err := j.right.tree.Err(); err != nil {
		return err
	}
	return j.out.flush(out)
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
