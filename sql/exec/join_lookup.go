package exec

import (
	"bytes"
	"encoding/binary"

	"github.com/streamsql/streamsql/sql/delta"
	"github.com/streamsql/streamsql/sql/plan"
	"github.com/streamsql/streamsql/sql/sqlerr"
	"github.com/streamsql/streamsql/sql/types"
	"github.com/streamsql/streamsql/state"
)

// joinLookup joins a left row with the right rows of its key as they stand when it
// comes: at the end of its step. What it was joined with stays; changes of the
// right side concern later rows alone. If left rows can be taken back, what each
// was joined with is kept, and taken back with it, the latest of equal rows first.
type joinLookup struct {
	*join
	keeps bool

	seq     uint64 // of the step that what waits is of
	batches []*delta.Batch
	bytes   int64
	keys    Keys // left rows that wait, if outputs are kept: key group, AppendEq of the key, AppendRowKey of the row
	weights []int64
	heads   []int32
	order   keyOrder

	// Kept outputs: the left row's key, a number, then madeCopies, whose weight is
	// how often the row came then; or madeRow and a right row, with its weight.
	made  *state.Tree
	cur   *state.Cursor
	ids   []int32
	one   Keys
	gone  Keys
	goneW []int64
}

const (
	madeCopies = 0
	madeRow    = 1
	madeTree   = 6 // number of the state table
)

var (
	_ Operator = (*joinLookup)(nil)
	_ Stepper  = (*joinLookup)(nil)
	_ Holder   = (*joinLookup)(nil)
	_ waiter   = (*joinLookup)(nil)
)

func newJoinLookup(j *join, b *builder, worker int) (Operator, error) {
	n := j.n
	if n.Kind != plan.Inner && n.Kind != plan.Left || n.Residual != nil {
		return nil, sqlerr.New(sqlerr.Internal, "the join of node %d is malformed", n.ID)
	}
	x := &joinLookup{join: j, keeps: !n.Inputs[0].AppendOnly}
	x.time.key = -1
	x.keys.Reset()
	r := &x.side[1]
	var ts []types.Type
	for _, c := range r.key {
		ts = append(ts, r.cols[c].Type)
	}
	h := b.hash(n, joinRows+1, worker, state.HashOptions{Words: rowsWords, Inline: keyRoom(ts)})
	r.store = newRowStore(h, b.tree(n, joinTree+1, worker))
	if x.keeps {
		x.made = b.tree(n, madeTree, worker)
		x.cur = x.made.Cursor()
	}
	return x, nil
}

func (j *joinLookup) waiting() int64 { return j.bytes + int64(len(j.keys.Buf)) }

func (j *joinLookup) Held() int64 { return j.bytes + int64(cap(j.keys.Buf)) }

func (j *joinLookup) Apply(in int, b *delta.Batch, out Emit) error {
	if j.seq != j.step.seq {
		j.forget()
		j.seq = j.step.seq
	}
	x := &j.side[in]
	if in == 1 {
		x.encode(b, true, &j.time)
		x.own = x.store.h.Lookup(x.keys.Buf, x.keys.Off, true, x.own[:0])
		j.groups.build(x.own)
		for _, g := range j.groups.list {
			x.store.begin(g.id, x.keys.At(int(g.first)), j.groups.weight(g, x.at, b))
			for k := g.first; k >= 0; k = j.groups.next[k] {
				x.store.add(x.rows.At(int(k)), b.Weight(int(x.at[k])))
			}
			x.store.end()
		}
		x.store.sweep()
		if j.groups.over {
			return errWeight
		}
		return nil
	}
	if !j.keeps {
		j.batches = append(j.batches, b)
		j.bytes += batchBytes(b)
		return nil
	}
	x.encode(b, false, &j.time)
	if err := j.nullKeys(0, b, out); err != nil {
		return err
	}
	for k, i := range x.at {
		key := x.keys.At(k)
		j.keys.Buf = AppendRowKey(append(j.keys.Buf, key...), b.Cols, int(i), nil)
		j.keys.End()
		j.heads = append(j.heads, int32(len(key)))
		j.weights = append(j.weights, b.Weight(int(i)))
	}
	return nil
}

func (j *joinLookup) Finish(out Emit) error {
	if j.seq != j.step.seq {
		return nil
	}
	for _, b := range j.batches {
		if err := j.lookup(b, out); err != nil {
			return err
		}
	}
	if j.keeps {
		if err := j.applyKept(out); err != nil {
			return err
		}
	}
	j.forget()
	return j.out.flush(out)
}

// forget drops what waits.
func (j *joinLookup) forget() {
	clear(j.batches)
	j.batches, j.bytes = j.batches[:0], 0
	j.keys.Reset()
	j.weights, j.heads = j.weights[:0], j.heads[:0]
	if cap(j.keys.Buf) > asOfBytes {
		j.keys.Buf = nil
	}
}

// lookup joins a batch of rows that are never taken back.
func (j *joinLookup) lookup(b *delta.Batch, out Emit) error {
	if err := j.w.check(); err != nil {
		return err
	}
	x, o := &j.side[0], &j.side[1]
	x.encode(b, false, &j.time)
	if err := j.nullKeys(0, b, out); err != nil {
		return err
	}
	j.pairs.begin(j.join, 0, b)
	x.other = o.store.h.Lookup(x.keys.Buf, x.keys.Off, false, x.other[:0])
	for k, id := range x.other {
		i := x.at[k]
		if o.store.weight(id) <= 0 {
			if x.lonely {
				if err := j.ownRow(0, b, int(i), out); err != nil {
					return err
				}
			}
			continue
		}
		for j.it.start(o.store, id, x.keys.At(k)); j.it.next(); {
			if err := j.pairs.add(i, b.Weight(int(i)), nil, &j.it, out); err != nil {
				return err
			}
		}
	}
	return j.pairs.flush(out)
}

// applyKept nets the left rows of the step, and joins those that came, or takes
// back what those that went were joined with.
func (j *joinLookup) applyKept(out Emit) error {
	idx := j.order.sort(&j.keys)
	for from := 0; from < len(idx); {
		i := int(idx[from].i)
		key := j.keys.At(i)
		w, to := int64(0), from
		for ; to < len(idx) && bytes.Equal(j.keys.At(int(idx[to].i)), key); to++ {
			if overflows(w, j.weights[idx[to].i]) {
				return errWeight
			}
			w += j.weights[idx[to].i]
		}
		from = to
		var err error
		switch {
		case w > 0:
			err = j.come(key, int(j.heads[i]), w, out)
		case w < 0:
			err = j.leave(key, int(j.heads[i]), -w, out)
		}
		if err != nil {
			return err
		}
	}
	return j.made.Err()
}

// latest returns the number under which the row key came last, -1: it is not there.
func (j *joinLookup) latest(key []byte) int64 {
	j.key = binary.BigEndian.AppendUint64(append(j.key[:0], key...), ^uint64(0))
	j.cur.Seek(j.key)
	if !j.cur.Prev() {
		return -1
	}
	k := j.cur.Key()
	if len(k) < len(key)+9 || !bytes.HasPrefix(k, key) {
		return -1
	}
	return int64(binary.BigEndian.Uint64(k[len(key):]))
}

// come joins a row that came w times.
func (j *joinLookup) come(key []byte, head int, w int64, out Emit) error {
	n := j.latest(key) + 1
	j.key = append(binary.BigEndian.AppendUint64(append(j.key[:0], key...), uint64(n)), madeCopies)
	j.made.Add(j.key, w)
	j.key[len(j.key)-1] = madeRow
	prefix := len(j.key)
	o := &j.side[1]
	j.one.Reset()
	j.one.Buf = append(j.one.Buf, key[:head]...)
	j.one.End()
	j.ids = o.store.h.Lookup(j.one.Buf, j.one.Off, false, j.ids[:0])
	found := false
	if id := j.ids[0]; o.store.weight(id) > 0 {
		found = true
		for j.it.start(o.store, id, j.one.At(0)); j.it.next(); {
			j.key = append(j.key[:prefix], j.it.row...)
			j.made.Add(j.key, j.it.w)
			rw, err := mulWeights(w, j.it.w)
			if err != nil {
				return err
			}
			if err := j.emit(key[head:], j.it.row, rw, out); err != nil {
				return err
			}
		}
	}
	if !found && j.side[0].lonely {
		return j.lonelyRow(0, key[head:], w, out)
	}
	return nil
}

// leave takes back what w copies of a row were joined with.
func (j *joinLookup) leave(key []byte, head int, w int64, out Emit) error {
	for w > 0 {
		n := j.latest(key)
		if n < 0 {
			return sqlerr.New(sqlerr.Internal, "a row was taken back that was not there").
				WithDetail("Operator %d, %s.", j.n.ID, opName(j.n))
		}
		j.key = binary.BigEndian.AppendUint64(append(j.key[:0], key...), uint64(n))
		prefix := len(j.key) + 1
		j.gone.Reset()
		j.goneW = j.goneW[:0]
		for ok := j.cur.Seek(j.key); ok; ok = j.cur.Next() {
			k := j.cur.Key()
			if !bytes.HasPrefix(k, j.key) {
				break
			}
			j.gone.Buf = append(j.gone.Buf, k...)
			j.gone.End()
			j.goneW = append(j.goneW, j.cur.Weight())
		}
		// The copies stand first.
		take := min(w, j.goneW[0])
		all := take == j.goneW[0]
		w -= take
		for i, rw := range j.goneW {
			k := j.gone.At(i)
			if i > 0 {
				if err := j.emit(key[head:], k[prefix:], -take*rw, out); err != nil {
					return err
				}
			}
			switch {
			case all:
				j.made.Add(k, -rw)
			case i == 0:
				j.made.Add(k, -take)
			}
		}
		if len(j.goneW) == 1 && j.side[0].lonely {
			if err := j.lonelyRow(0, key[head:], -take, out); err != nil {
				return err
			}
		}
	}
	return nil
}

// emit emits a left row with a right one.
func (j *joinLookup) emit(left, right []byte, w int64, out Emit) error {
	cols := j.out.row(w)
	n := len(j.side[0].cols)
	if _, err := DecodeRow(left, nil, cols[:n]); err != nil {
		return err
	}
	if _, err := DecodeRow(right, nil, cols[n:]); err != nil {
		return err
	}
	return j.out.done(out)
}

func (j *joinLookup) Advance(wm []int64, _ Emit) (int64, error) {
	if j.n.Time == 0 {
		return NoWatermark, nil
	}
	return wm[0], nil
}

// Commit and Rollback end a step.
func (j *joinLookup) Commit()   { j.forget() }
func (j *joinLookup) Rollback() { j.forget() }
