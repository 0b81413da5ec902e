package exec

import (
	"bytes"

	"github.com/streamsql/streamsql/sql/delta"
	"github.com/streamsql/streamsql/sql/plan"
	"github.com/streamsql/streamsql/sql/sqlerr"
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
