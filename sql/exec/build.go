package exec

import (
	"fmt"

	"github.com/streamsql/streamsql/sql/delta"
	"github.com/streamsql/streamsql/sql/expr"
	"github.com/streamsql/streamsql/sql/plan"
	"github.com/streamsql/streamsql/sql/sqlerr"
	"github.com/streamsql/streamsql/state"
)

// builder is what the constructors of operators are given.
type builder struct {
	opts     Options
	d        *Dataflow
	step     *stepInfo           // of the running step; operators keep the pointer
	cur      *inst               // the one being built
	panes    map[int]*paneFusion // by node
	sessions map[int]*sessFusion // by node
}

// sub checks the number of a state table. Tables of either kind share the
// numbers: the number is what a table is found by after a restart.
func (b *builder) sub(n *plan.Node, sub int) {
	if sub < 0 || sub >= SubTables || b.cur.subs&(1<<sub) != 0 {
		panic(fmt.Sprintf("state table %d of node %d is taken or not allowed", sub, n.ID))
	}
	b.cur.subs |= 1 << sub
}

// tree returns worker's part of the state table sub of n. Keys begin with the
// key group, one byte.
func (b *builder) tree(n *plan.Node, sub, worker int) *state.Tree {
	b.sub(n, sub)
	var t *state.Tree
	if b.opts.States != nil {
		t = b.opts.States.Tree(n.ID, sub, worker)
	} else {
		t = state.NewTree()
	}
	b.cur.tables = append(b.cur.tables, t)
	return t
}

// hash is as tree.
func (b *builder) hash(n *plan.Node, sub, worker int, o state.HashOptions) *state.Hash {
	b.sub(n, sub)
	var t *state.Hash
	if b.opts.States != nil {
		t = b.opts.States.Hash(n.ID, sub, worker, o)
	} else {
		t = state.NewHash(o)
	}
	b.cur.tables = append(b.cur.tables, t)
	return t
}

// compile makes a program of x for one operator: it may keep buffers.
func (b *builder) compile(x *expr.Expr) (*expr.Program, error) {
	return expr.Compile(b.opts.Env, x)
}

// late returns the function that takes late rows of n's input, whose event
// time is column timeCol. The batch must not change afterwards.
func (b *builder) late(n *plan.Node, timeCol int) func(rows *delta.Batch, wm int64) error {
	return b.lateOf(n, 0, timeCol)
}

// lateOf is late for input in.
func (b *builder) lateOf(n *plan.Node, in, timeCol int) func(rows *delta.Batch, wm int64) error {
	fn := b.lateRows(n, in, timeCol)
	return func(rows *delta.Batch, wm int64) error { return fn(rows, nil, wm) }
}

// lateWindows is late for an operator that assigns rows to windows.
func (b *builder) lateWindows(n *plan.Node, timeCol int) func(rows *delta.Batch, windows []int32, wm int64) error {
	return b.lateRows(n, 0, timeCol)
}

func (b *builder) lateRows(n *plan.Node, in, timeCol int) func(rows *delta.Batch, windows []int32, wm int64) error {
	x, d, cols := b.cur, b.d, n.Inputs[in].Out
	if n.Inputs[in].TimeEnd && timeCol == n.Inputs[in].TimeCol() {
		if c := ownTime(n.Inputs[in]); c >= 0 {
			timeCol = c
		}
	}
	return func(rows *delta.Batch, windows []int32, wm int64) error {
		for i := range rows.N {
			x.lateRows += max(rows.Weight(i), -rows.Weight(i))
		}
		if d.opts.Late == nil {
			return nil
		}
		d.lateMu.Lock()
		defer d.lateMu.Unlock()
		return d.opts.Late(LateRows{Node: n.ID, Rows: rows, Columns: cols, TimeCol: timeCol, Watermark: wm, Windows: windows})
	}
}

// ownTime returns the column of n's output that is the rows' own time, where its
// watermark is that of the end of their window; -1: it was not carried up to here.
func ownTime(n *plan.Node) int {
	switch {
	case n.Op == plan.Window && n.Window != nil:
		return n.Window.TimeCol
	case n.Op == plan.Exchange, n.Op == plan.Map && n.Exprs == nil:
		return ownTime(n.Inputs[0])
	case n.Op == plan.Map:
		if c := ownTime(n.Inputs[0]); c >= 0 {
			return columnOf(n.Exprs, c)
		}
	}
	return -1
}

// newOperator makes worker's operator of n.
func newOperator(n *plan.Node, b *builder, worker int) (Operator, error) {
	switch n.Op {
	case plan.Scan, plan.Union:
		return &pass{n: n}, nil
	case plan.Values:
		return newValues(n, b, worker)
	case plan.Map:
		return newMap(n, b, worker)
	case plan.Exchange:
		return newExchange(n, b, worker)
	case plan.Agg:
		return newAgg(n, b, worker)
	case plan.TopN:
		return newNumbered(n, b, worker)
	case plan.Over:
		return newOver(n, b, worker)
	case plan.Join:
		return newJoin(n, b, worker)
	case plan.Distinct:
		return newDistinct(n, b, worker)
	case plan.Except:
		return newExcept(n, b, worker)
	case plan.Close:
		return newClose(n, b, worker)
	case plan.Window:
		return newWindow(n, b, worker)
	case plan.Unnest:
		return newUnnest(n, b, worker)
	case plan.Temporal:
		return newTemporal(n, b, worker)
	case plan.Every:
		return newEvery(n, b, worker)
	}
	return nil, sqlerr.New(sqlerr.FeatureNotSupported, "operator %q is not supported", string(n.Op))
}

// inputTime returns the watermark of all inputs together: the least of those
// that have a time column, NoWatermark if none has.
func inputTime(n *plan.Node, wm []int64) int64 {
	out, any := int64(0), false
	for i, in := range n.Inputs {
		if in.Time != 0 && (!any || wm[i] < out) {
			out, any = wm[i], true
		}
	}
	if !any {
		return NoWatermark
	}
	return out
}
