package exec

import (
	"bytes"

	"github.com/streamsql/streamsql/sql/delta"
	"github.com/streamsql/streamsql/sql/expr"
	"github.com/streamsql/streamsql/sql/plan"
	"github.com/streamsql/streamsql/sql/sqlerr"
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
	step     *stepInfo
	side     [2]joinSide
	residual *expr.Program
	pairs    joinPairs
	out      rowsOut
	matches  []int64 // of each row of the batch: weight of its matches
	sel      []int32
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

	rows  *state.Tree // key group | AppendEq of the key | AppendKey of the row → weight; nil: not needed
	count *state.Tree // key group | AppendEq of the key → weight of the rows; nil: not needed
	match *state.Tree // as rows → weight of the row's matches; nil: not needed
	cur   *state.Cursor

	keys    Keys // of the batch: key and row
	keyLen  []int32
	at      []int32 // row of the batch, of each key
	order   keyOrder
	null    []int32 // rows of the batch with a NULL in their key
	keyVecs []*delta.Vec
	nulls   []*delta.Vec // columns of delta.MaxRows NULLs
}

// State tables of a join.
const (
	joinRows  = 0 // and 1
	joinCount = 2
	joinMatch = 4
)

var _ Operator = (*join)(nil)

func newJoin(n *plan.Node, b *builder, worker int) (Operator, error) {
	if len(n.Inputs) != 2 || len(n.LeftKey) != len(n.RightKey) {
		return nil, sqlerr.New(sqlerr.Internal, "the join of node %d is malformed", n.ID)
	}
	j := &join{n: n, step: b.step, out: rowsOut{cols: n.Out}}
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
	wide := n.Kind != plan.Semi && n.Kind != plan.Anti
	var err error
	if n.Residual != nil {
		if j.residual, err = b.compile(n.Residual); err != nil {
			return nil, err
		}
	}
	for s := range j.side {
		x, o := &j.side[s], &j.side[1-s]
		x.cols = n.Inputs[s].Out
		x.nullSafe = n.NullSafe
		x.pairs, x.wide = wide, wide
		if wide || s == 0 || j.residual != nil {
			x.rows = b.tree(n, joinRows+s, worker)
			x.cur = x.rows.Cursor()
		}
		if o.lonely && j.residual == nil {
			x.count = b.tree(n, joinCount+s, worker)
		}
		if x.lonely && j.residual != nil {
			x.match = b.tree(n, joinMatch+s, worker)
		}
		if x.wide {
			for _, c := range x.cols {
				x.nulls = append(x.nulls, nullVec(c, delta.MaxRows))
			}
		}
	}
	return j, nil
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
	x.encode(b)
	if len(x.null) > 0 && x.lonely && !x.semi {
		if err := j.emitWide(in, gather(b, x.null), out); err != nil {
			return err
		}
	}
	if len(x.at) == 0 {
		return nil
	}
	j.pairs.begin(j, in, b)
	order := x.order.sort(&x.keys)
	if j.residual != nil {
		return j.applyResidual(x, o, order, b, out)
	}
	for from := 0; from < len(order); {
		key := x.keyOf(order[from].i)
		to, sum := from, int64(0)
		for ; to < len(order) && bytes.Equal(x.keyOf(order[to].i), key); to++ {
			sum += b.Weight(int(x.at[order[to].i]))
		}
		if err := j.applyKey(in, key, order[from:to], sum, b, out); err != nil {
			return err
		}
		from = to
	}
	if err := j.pairs.flush(out); err != nil {
		return err
	}
	return j.out.flush(out)
}

// encode makes the keys of a batch.
func (x *joinSide) encode(b *delta.Batch) {
	x.keys.Reset()
	x.keyLen, x.at, x.null = x.keyLen[:0], x.at[:0], x.null[:0]
	x.keyVecs = pick(x.keyVecs, b, x.key)
	nullable := false
	if !x.nullSafe {
		for _, v := range x.keyVecs {
			nullable = nullable || v.Nulls != nil
		}
	}
rows:
	for i := range b.N {
		if nullable {
			for _, v := range x.keyVecs {
				if v.Null(i) {
					x.null = append(x.null, int32(i))
					continue rows
				}
			}
		}
		start := len(x.keys.Buf)
		x.keys.Buf = AppendRowEq(append(x.keys.Buf, 0), x.keyVecs, i)
		x.keys.Buf[start] = KeyGroup(x.keys.Buf[start+1:])
		x.keyLen = append(x.keyLen, int32(len(x.keys.Buf)-start))
		if x.rows != nil {
			x.keys.Buf = AppendRowKey(x.keys.Buf, b.Cols, i, nil)
		}
		x.keys.End()
		x.at = append(x.at, int32(i))
	}
}

// keyOf returns the key part of entry i of keys.
func (x *joinSide) keyOf(i int32) []byte {
	k := x.keys.At(int(i))
	return k[:x.keyLen[i]:x.keyLen[i]]
}

// applyKey takes the rows of a batch under one key; sum is their weight. There
// is no residual condition.
func (j *join) applyKey(in int, key []byte, rows []sortKey, sum int64, b *delta.Batch, out Emit) error {
	x, o := &j.side[in], &j.side[1-in]
	var before, after int64
	if x.count != nil {
		before, after = x.count.Add(key, sum)
	}
	shown := o.lonely && (before > 0) != (after > 0) // the other side's lonely rows come or go
	var weight int64                                 // of the other side's rows
	if x.pairs || shown {
		for ok := o.cur.Seek(key); ok; ok = o.cur.Next() {
			k := o.cur.Key()
			if !bytes.HasPrefix(k, key) {
				break
			}
			m := o.cur.Weight()
			weight += m
			if x.pairs {
				for _, r := range rows {
					i := x.at[r.i]
					if err := j.pairs.add(i, b.Weight(int(i)), k, len(key), m, out); err != nil {
						return err
					}
				}
			}
			if shown {
				w := m
				if (after > 0) != o.semi {
					w = -m
				}
				if err := j.lonelyRow(1-in, k[len(key):], w, out); err != nil {
					return err
				}
			}
		}
	} else if o.count != nil {
		weight = o.count.Get(key)
	}
	for _, r := range rows {
		i := int(x.at[r.i])
		if x.lonely && (weight > 0) == x.semi {
			if err := j.ownRow(in, b, i, out); err != nil {
				return err
			}
		}
		if x.rows != nil {
			x.rows.Add(x.keys.At(int(r.i)), b.Weight(i))
		}
	}
	return nil
}

// applyResidual takes a batch when there is a residual condition.
func (j *join) applyResidual(x, o *joinSide, order []sortKey, b *delta.Batch, out Emit) error {
	if cap(j.matches) < b.N {
		j.matches = make([]int64, max(b.N, 256))
	}
	j.matches = j.matches[:b.N]
	clear(j.matches)
	for from := 0; from < len(order); {
		key := x.keyOf(order[from].i)
		to := from + 1
		for to < len(order) && bytes.Equal(x.keyOf(order[to].i), key) {
			to++
		}
		for ok := o.cur.Seek(key); ok; ok = o.cur.Next() {
			k := o.cur.Key()
			if !bytes.HasPrefix(k, key) {
				break
			}
			m := o.cur.Weight()
			for _, r := range order[from:to] {
				i := x.at[r.i]
				if err := j.pairs.add(i, b.Weight(int(i)), k, len(key), m, out); err != nil {
					return err
				}
			}
		}
		from = to
	}
	if err := j.pairs.flush(out); err != nil {
		return err
	}
	for _, r := range order {
		i := int(x.at[r.i])
		k := x.keys.At(int(r.i))
		w, m := b.Weight(i), j.matches[i]
		if x.lonely && (m > 0) == x.semi {
			if err := j.ownRow(j.pairs.in, b, i, out); err != nil {
				return err
			}
		}
		old, new := x.rows.Add(k, w)
		if x.match == nil {
			continue
		}
		// Rows that are not there have no count of matches.
		switch {
		case old == 0 && new != 0:
			x.match.Add(k, m)
		case old != 0 && new == 0:
			x.match.Add(k, -m)
		}
	}
	return j.out.flush(out)
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
		for _, v := range j.side[t].nulls {
			o.Cols = append(o.Cols, sliceVec(v, 0, b.N))
		}
	}
	return out(o)
}

func (j *join) Finish(Emit) error { return nil }

func (j *join) Advance(wm []int64, _ Emit) (int64, error) { return inputTime(j.n, wm), nil }
