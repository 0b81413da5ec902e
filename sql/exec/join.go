package exec

import (
	"github.com/streamsql/streamsql/sql/delta"
	"github.com/streamsql/streamsql/sql/expr"
	"github.com/streamsql/streamsql/sql/plan"
	"github.com/streamsql/streamsql/sql/sqlerr"
	"github.com/streamsql/streamsql/sql/types"
	"github.com/streamsql/streamsql/state"
)

// join joins two inputs. The answer is a function of the two multisets of rows
// that it keeps; a change of one side emits the difference that it makes, so
// the order in which changes come does not matter:
//
//   - each pair of rows with equal keys that satisfies the residual condition
//     (not for semi and anti joins);
//   - each row of a preserved side, with NULLs for the other, while it has no
//     match;
//   - for semi and anti joins, each left row while it has, or has not, a match.
//
// Whether a row has a match is told without a residual condition by the weight
// of the other side's rows under its key, else by the weight of its matches,
// which is kept for every row of a side that needs it.
type join struct {
	n        *plan.Node
	w        *worker
	step     *stepInfo
	side     [2]joinSide
	residual *expr.Program
	batch    bool // see joinBatch
	pairs    joinPairs
	out      rowsOut
	matches  []int64 // of each row of the batch: weight of its matches
	sel      []int32
	groups   groups
	it       rowIter
	key      []byte
	time     joinTime
}

// joinSide is what is kept of an input.
type joinSide struct {
	key      []int
	cols     []plan.Column
	nullSafe bool
	pairs    bool // pairs with it are emitted
	// lonely says that rows are emitted by whether they have a match: while they
	// have one (semi), or have none; wide: with NULLs for the other side.
	lonely bool
	semi   bool
	wide   bool

	store *rowStore   // key group | AppendEq of the key → rows
	match *state.Tree // the same key, AppendRowKey of the row → weight of the row's matches; nil: not needed

	keys    Keys    // of the batch: the join keys
	rows    Keys    // and the rows
	at      []int32 // row of the batch, of each key
	own     []int32 // entry of this side's store, of each key
	other   []int32 // entry of the other side's, -1: none
	null    []int32 // rows of the batch with a NULL in their key
	keyVecs []*delta.Vec
	nulls   []*delta.Vec // columns of delta.MaxRows NULLs
}

// State tables of a join.
const (
	joinRows  = 0 // and 1
	joinTree  = 2
	joinMatch = 4
)

var _ Operator = (*join)(nil)

func newJoin(n *plan.Node, b *builder, worker int) (Operator, error) {
	if len(n.Inputs) != 2 || len(n.LeftKey) != len(n.RightKey) {
		return nil, sqlerr.New(sqlerr.Internal, "the join of node %d is malformed", n.ID)
	}
	j, err := newSides(n, b)
	if err != nil {
		return nil, err
	}
	switch {
	case n.AsOf == nil:
	case n.AsOf.Kind != "proc":
		return newJoinAsOf(j, b, worker)
	case !b.opts.Batch: // once, the rows come now
		return newJoinLookup(j, b, worker)
	}
	if n.Bounds != nil {
		return newJoinInterval(j, b, worker)
	}
	for s := range j.side {
		x := &j.side[s]
		var ts []types.Type
		for _, c := range x.key {
			ts = append(ts, x.cols[c].Type)
		}
		h := b.hash(n, joinRows+s, worker, state.HashOptions{Words: rowsWords, Inline: keyRoom(ts)})
		// Of the right side of a semi or anti join the weight is all that matters.
		if x.pairs || s == 0 || j.residual != nil {
			x.store = newRowStore(h, b.tree(n, joinTree+s, worker))
		} else {
			x.store = newRowStore(h, nil)
		}
		if x.lonely && j.residual != nil {
			x.match = b.tree(n, joinMatch+s, worker)
		}
	}
	j.initTime(b, worker)
	if b.opts.Batch {
		j.batch = true
		return &joinBatch{join: j}, nil
	}
	return j, nil
}

// newSides makes a join without its tables.
func newSides(n *plan.Node, b *builder) (*join, error) {
	j := &join{n: n, w: b.cur.w, step: b.step, out: rowsOut{cols: n.Out, step: b.step}}
	l, r := &j.side[0], &j.side[1]
	l.key, r.key = n.LeftKey, n.RightKey
	switch n.Kind {
	case plan.Inner:
	case plan.Left:
		l.lonely = true
	case plan.Right:
		r.lonely = true
	case plan.Full:
		l.lonely, r.lonely = true, true
	case plan.Semi, plan.Anti:
		l.lonely, l.semi = true, n.Kind == plan.Semi
	default:
		return nil, sqlerr.New(sqlerr.FeatureNotSupported, "join %q is not supported", string(n.Kind))
	}
	if n.Residual != nil {
		var err error
		if j.residual, err = b.compile(n.Residual); err != nil {
			return nil, err
		}
	}
	wide := n.Kind != plan.Semi && n.Kind != plan.Anti
	for s := range j.side {
		x := &j.side[s]
		x.cols = n.Inputs[s].Out
		x.nullSafe = n.NullSafe
		x.pairs, x.wide = wide, wide
	}
	return j, nil
}

// resized returns a slice of n zeros, in the memory of s if that is enough.
func resized(s []int64, n int) []int64 {
	if cap(s) < n {
		return make([]int64, n, max(n, 256))
	}
	s = s[:n]
	clear(s)
	return s
}

func nullVec(c plan.Column, n int) *delta.Vec {
	v := delta.NewVec(c.Type, n)
	for range n {
		v.AppendNull()
	}
	return v
}

func (j *join) Apply(in int, b *delta.Batch, out Emit) error {
	x, o := &j.side[in], &j.side[1-in]
	x.encode(b, x.store.keep, &j.time)
	if err := j.takeLate(in, b); err != nil {
		return err
	}
	if err := j.nullKeys(in, b, out); err != nil {
		return err
	}
	if len(x.at) == 0 {
		return nil
	}
	j.pairs.begin(j, in, b)
	x.own = x.store.h.Lookup(x.keys.Buf, x.keys.Off, true, x.own[:0])
	x.other = o.store.h.Lookup(x.keys.Buf, x.keys.Off, false, x.other[:0])
	j.groups.build(x.own)
	var err error
	if j.residual != nil {
		err = j.applyResidual(x, o, b, out)
	} else {
		for _, g := range j.groups.list {
			if err = j.applyKey(in, g, b, out); err != nil {
				break
			}
		}
		if err == nil {
			err = j.pairs.flush(out)
		}
	}
	x.store.sweep()
	if err == nil && j.groups.over {
		err = errWeight
	}
	if err != nil {
		return err
	}
	return j.out.flush(out)
}

// nullKeys emits the rows of a batch that have no match as their key is NULL.
func (j *join) nullKeys(in int, b *delta.Batch, out Emit) error {
	x := &j.side[in]
	if len(x.null) == 0 || !x.lonely || x.semi {
		return nil
	}
	return j.emitWide(in, gather(b, x.null), out)
}

// encode makes the keys of a batch, and with rows the rows' own encoding. It
// leaves rows out whose key is NULL, and late ones.
func (x *joinSide) encode(b *delta.Batch, rows bool, t *joinTime) {
	x.keys.Reset()
	x.rows.Reset()
	x.at, x.null = x.at[:0], x.null[:0]
	x.keyVecs = pick(x.keyVecs, b, x.key)
	t.sel = t.sel[:0]
	var times *delta.Vec
	if t.key >= 0 && t.closed != NoWatermark {
		times = x.keyVecs[t.key]
	}
	nullable := false
	if !x.nullSafe {
		for _, v := range x.keyVecs {
			nullable = nullable || v.Nulls != nil
		}
	}
	late := false
	if times != nil {
		for _, ts := range times.I[:b.N] {
			late = late || t.isClosed(ts)
		}
	}
	if !nullable && !late {
		x.keys.Encode(x.keyVecs, b.N)
		x.at = append(x.at, allRows[:b.N]...)
		for i := range b.N {
			if rows {
				x.rows.Buf = AppendRowKey(x.rows.Buf, b.Cols, i, nil)
			}
			x.rows.End()
		}
		return
	}
each:
	for i := range b.N {
		if nullable {
			for _, v := range x.keyVecs {
				if v.Null(i) {
					x.null = append(x.null, int32(i))
					continue each
				}
			}
		}
		if times != nil && t.isClosed(times.I[i]) {
			t.sel = append(t.sel, int32(i))
			continue
		}
		start := len(x.keys.Buf)
		x.keys.Buf = AppendRowEq(append(x.keys.Buf, 0), x.keyVecs, i)
		x.keys.Buf[start] = KeyGroup(x.keys.Buf[start+1:])
		x.keys.End()
		if rows {
			x.rows.Buf = AppendRowKey(x.rows.Buf, b.Cols, i, nil)
		}
		x.rows.End()
		x.at = append(x.at, int32(i))
	}
}

// applyKey takes the rows of a batch under one key. There is no residual
// condition.
func (j *join) applyKey(in int, g keyGroup, b *delta.Batch, out Emit) error {
	x, o := &j.side[in], &j.side[1-in]
	key, other := x.keys.At(int(g.first)), x.other[g.first]
	sum := j.groups.weight(g, x.at, b)
	before := x.store.weight(g.id)
	after := before + sum
	weight := o.store.weight(other)
	shown := o.lonely && (before > 0) != (after > 0) // the other side's lonely rows come or go
	if other >= 0 && (x.pairs || shown) {
		it := &j.it
		for it.start(o.store, other, key); it.next(); {
			if x.pairs {
				for k := g.first; k >= 0; k = j.groups.next[k] {
					i := x.at[k]
					if err := j.pairs.add(i, b.Weight(int(i)), key, it, out); err != nil {
						return err
					}
				}
			}
			if shown {
				w := it.w
				if (after > 0) != o.semi {
					w = -w
				}
				if err := j.lonelyRow(1-in, it.row, w, out); err != nil {
					return err
				}
			}
		}
	}
	settled := weight > 0 && j.n.Settled == in+1
	if settled {
		x.store.skip(g.id)
	} else {
		x.store.begin(g.id, key, sum)
	}
	for k := g.first; k >= 0; k = j.groups.next[k] {
		i := int(x.at[k])
		if x.lonely && (weight > 0) == x.semi {
			if err := j.ownRow(in, b, i, out); err != nil {
				return err
			}
		}
		if x.store.keep && !settled {
			x.store.add(x.rows.At(int(k)), b.Weight(i))
		}
	}
	if !settled {
		x.store.end()
	}
	return nil
}

// applyResidual takes a batch when there is a residual condition.
func (j *join) applyResidual(x, o *joinSide, b *delta.Batch, out Emit) error {
	j.matches = resized(j.matches, b.N)
	it := &j.it
	for _, g := range j.groups.list {
		key, other := x.keys.At(int(g.first)), x.other[g.first]
		if other < 0 {
			continue
		}
		for it.start(o.store, other, key); it.next(); {
			for k := g.first; k >= 0; k = j.groups.next[k] {
				i := x.at[k]
				if err := j.pairs.add(i, b.Weight(int(i)), key, it, out); err != nil {
					return err
				}
			}
		}
	}
	if err := j.pairs.flush(out); err != nil {
		return err
	}
	for _, g := range j.groups.list {
		key := x.keys.At(int(g.first))
		x.store.begin(g.id, key, j.groups.weight(g, x.at, b))
		for k := g.first; k >= 0; k = j.groups.next[k] {
			i := int(x.at[k])
			m := j.matches[i]
			if x.lonely && (m > 0) == x.semi {
				if err := j.ownRow(j.pairs.in, b, i, out); err != nil {
					return err
				}
			}
			row := x.rows.At(int(k))
			old, new := x.store.add(row, b.Weight(i))
			if x.match == nil || m == 0 || (old == 0) == (new == 0) {
				continue
			}
			// Rows that are not there have no count of matches.
			if old != 0 {
				m = -m
			}
			j.key = append(append(j.key[:0], key...), row...)
			x.match.Add(j.key, m)
		}
		x.store.end()
	}
	return nil
}

// ownRow emits row i of the batch of side in, with NULLs for the other if the
// join is wide.
func (j *join) ownRow(in int, b *delta.Batch, i int, out Emit) error {
	cols := j.out.row(b.Weight(i))
	at := 0
	if j.side[in].wide && in == 1 {
		at = len(j.side[0].cols)
	}
	for c, v := range b.Cols {
		cols[at+c].AppendFrom(v, i)
	}
	j.fillNulls(cols, at, len(b.Cols))
	return j.out.done(out)
}

// fillNulls appends NULL to all cols but the n from at.
func (j *join) fillNulls(cols []*delta.Vec, at, n int) {
	for c, v := range cols {
		if c < at || c >= at+n {
			v.AppendNull()
		}
	}
}

// lonelyRow emits the row of side s in its encoding.
func (j *join) lonelyRow(s int, row []byte, w int64, out Emit) error {
	cols := j.out.row(w)
	x := &j.side[s]
	at := 0
	if x.wide && s == 1 {
		at = len(j.side[0].cols)
	}
	if _, err := DecodeRow(row, nil, cols[at:at+len(x.cols)]); err != nil {
		return err
	}
	j.fillNulls(cols, at, len(x.cols))
	return j.out.done(out)
}

// emitWide emits rows of side s, with NULLs for the other if the join is wide.
func (j *join) emitWide(s int, b *delta.Batch, out Emit) error {
	if !j.side[s].wide {
		return out(b)
	}
	o := &delta.Batch{N: b.N, W: b.W}
	for t := range j.side {
		if t == s {
			o.Cols = append(o.Cols, b.Cols...)
			continue
		}
		x := &j.side[t]
		for c := len(x.nulls); c < len(x.cols); c++ {
			x.nulls = append(x.nulls, nullVec(x.cols[c], delta.MaxRows))
		}
		for _, v := range x.nulls {
			o.Cols = append(o.Cols, sliceVec(v, 0, b.N))
		}
	}
	return out(o)
}

func (j *join) Finish(Emit) error { return nil }

func (j *join) Advance(wm []int64, _ Emit) (int64, error) {
	t := inputTime(j.n, wm)
	return t, j.close(t)
}
