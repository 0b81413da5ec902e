package exec

import (
	"encoding/binary"
	"math"

	"github.com/streamsql/streamsql/sql/delta"
	"github.com/streamsql/streamsql/sql/expr"
	"github.com/streamsql/streamsql/sql/plan"
	"github.com/streamsql/streamsql/sql/sqlerr"
	"github.com/streamsql/streamsql/state"
)

// groupTime is what a keyed operator does with the watermark of its input. If a
// key is the time column, the watermark closes groups: their state goes, their
// answers stay. A row that comes behind the watermark, as it was when the step
// began, is late: it goes to Options.Late and nowhere else.
type groupTime struct {
	wm, wmBefore int64
	timeCol      int // of the input; -1: the watermark does nothing
	closing      bool
	ends         bool // the time column is a window's end
	indexed      bool // closeIdx is kept
	keyAt        int  // closing: the time column's place in keys
	closeIdx     timeIndex
	lateFn       func(rows *delta.Batch, wm int64) error
	late         []int32
}

// aggTime is groupTime, and folding: if a user's aggregate is ordered by the time
// column and the input only grows, the watermark folds rows into the aggregate's
// state. Rows behind it are late for all of the node's aggregates.
type aggTime struct {
	groupTime
	close   closeIndex
	groups  [2]int // key groups of the worker, from and to
	folding bool
	foldIdx timeIndex

	final    bool // answers are emitted when the watermark closes them
	finalIdx timeIndex
	closed   []int32 // rows of the groups that are
}

// timeIndex is a tree of key group, time, rest of the group's key, with for each
// key group a lower bound of the times in it.
type timeIndex struct {
	tree  *state.Tree
	cur   *state.Cursor
	least [KeyGroups]int64
	key   []byte
}

func (x *timeIndex) init(t *state.Tree) {
	x.tree, x.cur = t, t.Cursor()
	x.forget()
}

// forget makes the bounds hold for any contents.
func (x *timeIndex) forget() {
	for i := range x.least {
		x.least[i] = math.MinInt64
	}
}

const timeKeyLen = 1 + 9

// add adds w to group key's entry at time t.
func (x *timeIndex) add(key []byte, t, w int64) {
	k := append(x.key[:0], key[0], cellValue)
	k = binary.BigEndian.AppendUint64(k, uint64(t)^1<<63)
	k = append(k, key[1:]...)
	x.key = k
	x.tree.Add(k, w)
	if t < x.least[key[0]] {
		x.least[key[0]] = t
	}
}

// take removes the entries before limit and calls fn with the key of each.
func (x *timeIndex) take(limit int64, fn func(key []byte) error) error {
	return x.takeAll(limit, func(key []byte, _, _ int64) error { return fn(key) })
}

// takeAll is take, with the times and the weights of the entries. fn may add
// entries that are not before limit.
func (x *timeIndex) takeAll(limit int64, fn func(key []byte, t, w int64) error) error {
	var took Keys
	var ws []int64
	var key []byte
	for g := range x.least {
		if x.least[g] >= limit {
			continue
		}
		took.Reset()
		ws = ws[:0]
		x.least[g] = math.MaxInt64
		for ok := x.cur.Seek([]byte{byte(g)}); ok; ok = x.cur.Next() {
			k := x.cur.Key()
			if len(k) < timeKeyLen || k[0] != byte(g) {
				break
			}
			if t := int64(binary.BigEndian.Uint64(k[2:]) ^ 1<<63); t >= limit {
				x.least[g] = t
				break
			}
			took.Buf = append(took.Buf, k...)
			took.End()
			ws = append(ws, x.cur.Weight())
		}
		for i, w := range ws {
			k := took.At(i)
			x.tree.Add(k, -w)
			key = append(append(key[:0], k[0]), k[timeKeyLen:]...)
			if err := fn(key, int64(binary.BigEndian.Uint64(k[2:])^1<<63), w); err != nil {
				return err
			}
		}
	}
	return x.tree.Err()
}

// next returns a watermark that takes nothing before it: what is just behind the
// least time.
func (x *timeIndex) next() int64 {
	least := int64(math.MaxInt64)
	for g := range x.least {
		if x.least[g] >= least {
			continue
		}
		x.least[g] = math.MaxInt64
		if x.cur.Seek([]byte{byte(g)}) {
			if k := x.cur.Key(); len(k) >= timeKeyLen && k[0] == byte(g) {
				x.least[g] = int64(binary.BigEndian.Uint64(k[2:]) ^ 1<<63)
			}
		}
		least = min(least, x.least[g])
	}
	if least == math.MaxInt64 {
		return least
	}
	return least + 1
}

// initTime finds out what the watermark is for, with the input columns of the
// operator's keys.
func (g *groupTime) initTime(n *plan.Node, b *builder, keys []int) {
	in := n.Inputs[0]
	g.wm, g.wmBefore = NoWatermark, NoWatermark
	g.timeCol = -1
	t := in.TimeCol()
	if t < 0 || b.opts.Batch {
		return
	}
	g.ends = in.TimeEnd
	for i, k := range keys {
		if k == t {
			g.closing, g.keyAt = true, i
			g.timeCol = t
		}
	}
}

func (a *agg) initTime() error {
	a.groupTime.initTime(a.n, a.b, a.keys)
	a.final = a.n.Final && !a.b.opts.Batch
	if a.panes != nil { // the window hands out what is late
		a.closing, a.timeCol = false, -1
		return nil
	}
	if a.final && !a.closing {
		return sqlerr.New(sqlerr.Internal, "operator %d: the watermark closes no group of a final aggregate", a.n.ID)
	}
	if a.closing {
		a.close.init()
	}
	for _, c := range a.calls {
		a.folding = a.folding || a.folds(c)
	}
	if a.folding {
		a.timeCol = a.n.Inputs[0].TimeCol()
	}
	return nil
}

// folds tells whether the watermark folds a call's rows into a closed state.
func (a *agg) folds(c *call) bool {
	return !a.b.opts.Batch && folds(a.n.Inputs[0], c.fn, &c.AggCall)
}

func folds(in *plan.Node, fn *expr.AggFunc, c *plan.AggCall) bool {
	if !in.AppendOnly || in.TimeCol() < 0 || fn.Kind != expr.AggUser || c.Distinct || len(c.Order) == 0 {
		return false
	}
	o := c.Order[0]
	return o.Col == in.TimeCol() && !o.Desc && !o.NullsFirst
}

// Folds tells whether an Agg has a user's aggregate into which the watermark
// folds rows for good.
func Folds(env *expr.Env, n *plan.Node) bool {
	for i := range n.Aggs {
		if fn, ok := env.Agg(n.Aggs[i].Fn); ok && folds(n.Inputs[0], fn, &n.Aggs[i]) {
			return true
		}
	}
	return false
}

func (g *groupTime) openTime(n *plan.Node, b *builder, sub, worker int) {
	if g.closing {
		g.indexed = true
		g.closeIdx.init(b.tree(n, sub, worker))
	}
	if g.timeCol >= 0 {
		g.lateFn = b.late(n, g.timeCol)
	}
}

func (a *agg) openTime(worker int) {
	if a.timeCol >= 0 {
		a.lateFn = a.b.late(a.n, a.timeCol)
	}
	if a.folding {
		a.foldIdx.init(a.b.tree(a.n, aggFold, worker))
	}
	if a.panes != nil {
		a.openPanes()
	} else if a.final {
		a.finalIdx.init(a.b.tree(a.n, aggClose, worker))
	}
}

// limit is the time before which all is closed.
func (g *groupTime) limit() int64 {
	if g.ends && g.wm != math.MaxInt64 {
		return g.wm + 1
	}
	return g.wm
}

// dropLate returns b without its late rows.
func (g *groupTime) dropLate(b *delta.Batch) (*delta.Batch, error) {
	if g.timeCol < 0 || g.wm == NoWatermark {
		return b, nil
	}
	v, limit := b.Cols[g.timeCol], g.limit()
	g.late = g.late[:0]
	for i, t := range v.I[:b.N] {
		if t < limit && !v.Null(i) {
			g.late = append(g.late, int32(i))
		}
	}
	if len(g.late) == 0 {
		return b, nil
	}
	if err := g.lateFn(b.Gather(g.late), g.wm); err != nil {
		return nil, err
	}
	keep := make([]int32, 0, b.N-len(g.late))
	l := 0
	for i := range int32(b.N) {
		if l < len(g.late) && g.late[l] == i {
			l++
			continue
		}
		keep = append(keep, i)
	}
	return b.Gather(keep), nil
}

func (g *groupTime) commitTime() { g.wmBefore = g.wm }

func (g *groupTime) rollbackTime() {
	g.wm = g.wmBefore
	g.forgetTime()
}

func (g *groupTime) forgetTime() {
	if g.indexed {
		g.closeIdx.forget()
	}
}

func (g *groupTime) restoreTime(wm int64) {
	g.wm, g.wmBefore = wm, wm
	g.forgetTime()
}

// partTime is what a partition of rows in a tree needs to be closed.
type partTime struct {
	there    bool // when the step began
	time     int64
	timeless bool // its time is NULL: it is never closed
}

// partTime describes the partition of row i, before its first change in a step.
func (g *groupTime) partTime(cur *state.Cursor, prefix []byte, b *delta.Batch, i int) partTime {
	if !g.closing {
		return partTime{}
	}
	v := b.Cols[g.timeCol]
	return partTime{there: hasPrefix(cur, string(prefix)), time: v.I[i], timeless: v.Null(i)}
}

// partChanged keeps the index of partitions, behind the step's changes.
func (g *groupTime) partChanged(cur *state.Cursor, prefix string, p *partTime) {
	if !g.closing || p.timeless {
		return
	}
	switch there := hasPrefix(cur, prefix); {
	case there && !p.there:
		g.closeIdx.add([]byte(prefix), p.time, 1)
	case p.there && !there:
		g.closeIdx.add([]byte(prefix), p.time, -1)
	}
}

// advanceParts drops the partitions of set that the watermark has closed.
func (g *groupTime) advanceParts(wm int64, set *state.Tree, cur *state.Cursor) (int64, error) {
	if wm <= g.wm || !g.closing {
		return wm, nil
	}
	g.wm = wm
	return wm, g.closeIdx.take(g.limit(), func(key []byte) error {
		dropPrefix(set, cur, key)
		return set.Err()
	})
}

func hasPrefix(cur *state.Cursor, prefix string) bool {
	if !cur.Seek([]byte(prefix)) {
		return false
	}
	k := cur.Key()
	return len(k) >= len(prefix) && string(k[:len(prefix)]) == prefix
}

// dropPrefix removes all keys of a tree that begin with prefix.
func dropPrefix(t *state.Tree, cur *state.Cursor, prefix []byte) {
	var ks Keys
	var ws []int64
	ks.Reset()
	for ok := cur.Seek(prefix); ok; ok = cur.Next() {
		k := cur.Key()
		if len(k) < len(prefix) || string(k[:len(prefix)]) != string(prefix) {
			break
		}
		ks.Buf = append(ks.Buf, k...)
		ks.End()
		ws = append(ws, cur.Weight())
	}
	for i, w := range ws {
		t.Add(ks.At(i), -w)
	}
}

// foldAdd notes an open row of a group.
func (a *agg) foldAdd(row int32, b *delta.Batch, i int, w int64) {
	if v := b.Cols[a.timeCol]; !v.Null(i) {
		a.foldIdx.add(a.t.Key(row), v.I[i], w)
	}
}

// Advance closes and folds what the watermark has passed.
func (a *agg) Advance(wm []int64, out Emit) (int64, error) {
	w := inputTime(a.n, wm)
	if w <= a.wm || a.timeCol < 0 && a.panes == nil {
		return w, nil
	}
	was := a.wm
	a.wm = w
	if a.panes != nil {
		if err := a.emitWindows(was, w, out); err != nil {
			return w, err
		}
		return w, a.t.Err()
	}
	if a.folding {
		if err := a.foldIdx.take(a.limit(), a.foldGroup); err != nil {
			return w, err
		}
		if err := a.closeSlots(); err != nil {
			return w, err
		}
	}
	if a.final {
		if err := a.emitClosed(out); err != nil {
			return w, err
		}
	} else if a.closing {
		if err := a.closeBefore(a.limit()); err != nil {
			return w, err
		}
	}
	return w, a.t.Err()
}

// foldGroup folds the closed rows of a group into the states of its calls.
func (a *agg) foldGroup(key []byte) error {
	row := a.t.Get(key, false)
	if row < 0 {
		return a.t.Err()
	}
	a.t.Touch(row)
	o, err := a.open(row)
	if err != nil {
		return err
	}
	for _, c := range a.calls {
		if x, ok := c.acc.(*orderedAcc); ok && x.fold {
			if err := x.foldRows(o, row, a.limit()); err != nil {
				return err
			}
		}
	}
	return nil
}

// foldRows moves the rows of a group before limit into its closed state.
func (a *orderedAcc) foldRows(o int, row int32, limit int64) error {
	x := &a.open[o]
	var st expr.AggState
	var took Keys
	var ws []int64
	took.Reset()
	p := a.a.prefix(row, a.num)
	n := len(p)
	for ok := a.a.cur.Seek(p); ok; ok = a.a.cur.Next() {
		k := a.a.cur.Key()
		if len(k) < n+9 || string(k[:n]) != string(p) || k[n] != cellValue {
			break
		}
		if int64(binary.BigEndian.Uint64(k[n+1:])^1<<63) >= limit {
			break
		}
		if st == nil {
			var err error
			if st, err = a.state(x.closed); err != nil {
				return err
			}
		}
		if err := a.decode(a.enc.argsOf(k[n:])); err != nil {
			return err
		}
		for range a.a.cur.Weight() {
			if err := st.Add(a.args, 0); err != nil {
				return a.a.rowErr(err, a.args, a.cols)
			}
		}
		took.Buf = append(took.Buf, k...)
		took.End()
		ws = append(ws, a.a.cur.Weight())
	}
	if st == nil {
		return nil
	}
	for i, w := range ws {
		a.a.set.Add(took.At(i), -w)
	}
	b, err := st.MarshalBinary()
	if err != nil {
		return err
	}
	x.closed = append(x.closed[:0], b...)
	return a.a.set.Err()
}

func (a *agg) rollbackTime() {
	a.groupTime.rollbackTime()
	if a.closing {
		a.close.rollback()
	}
	if a.folding {
		a.foldIdx.forget()
	}
	if a.panes != nil {
		if a.panes.idx.rollback(); a.panes.moved {
			a.dropRuns()
		}
	} else if a.final {
		a.finalIdx.forget()
	}
}

// Restore takes the watermark up after a restart.
func (a *agg) Restore(wm []int64) {
	a.restoreTime(inputTime(a.n, wm))
	if a.folding {
		a.foldIdx.forget()
	}
	if a.panes != nil {
		a.dropRuns()
	} else if a.final {
		a.finalIdx.forget()
	}
}

// rowErr gives an error of an aggregate its row.
func (a *agg) rowErr(err error, args []*delta.Vec, cols []plan.Column) error {
	return rowError(&expr.EvalError{Err: err}, a.n, &delta.Batch{N: 1, Cols: args}, cols)
}

// nextPart is NextClose of an operator with partitions.
func (g *groupTime) nextPart() int64 {
	if !g.indexed {
		return never
	}
	return g.nextOf(&g.closeIdx)
}
