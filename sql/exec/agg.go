package exec

import (
	"bytes"
	"encoding/binary"
	"slices"

	"github.com/streamsql/streamsql/sql/delta"
	"github.com/streamsql/streamsql/sql/expr"
	"github.com/streamsql/streamsql/sql/plan"
	"github.com/streamsql/streamsql/sql/sqlerr"
	"github.com/streamsql/streamsql/sql/types"
	"github.com/streamsql/streamsql/state"
)

// State tables of an agg.
const (
	aggGroups = iota // hash: key group and key → accumulators
	aggSet           // tree: key group, key, number of the call, value → weight
	aggClose         // tree: key group, time, key → 1: which groups a watermark closes
	aggFold          // tree: key group, time, key → open rows: which groups it folds
)

// agg is GROUP BY: a group is there while it has rows; without keys there is one
// group, always. What it emits is decided at Finish: for each group touched in
// the step the answer that it had is retracted and the new one inserted, if they
// differ. Old answers come from what the table's journal kept, so they are what
// was emitted.
//
// Groups are equal by SQL equality; of a key with several forms (1.0, 1.00) the
// least that is there is shown.
type agg struct {
	n          *plan.Node
	in         []plan.Column
	b          *builder
	appendOnly bool

	t   *state.Hash
	set *state.Tree // nil: no call needs one
	cur *state.Cursor

	keys    []int // input columns, those with several forms last
	formed  int   // how many of keys have one form
	keyN    int   // all keys but the window's, of an aggregate of panes
	outKeys []int // for each of keys, its output column
	calls   []*call
	accs    []acc
	slots   []slotted
	opens   bool // entries have the word of the open number

	openRows []int32
	tail     []byte
	key      []byte // buffer of the multiset's keys

	enc     Keys
	keyCols []*delta.Vec
	rows    []int32
	selBuf  []int32
	f       feed
	emitted emission

	aggTime
	panes *aggPanes    // nil: groups are not panes
	sess  *aggSessions // nil: groups are not sessions, or their rows come again
}

const (
	wordRows = 0 // rows of the group
	wordOpen = 1 // open number plus one, within a step
)

var (
	_ Operator = (*agg)(nil)
	_ Starter  = (*agg)(nil)
	_ Stepper  = (*agg)(nil)
	_ Restorer = (*agg)(nil)
)

var (
	allRows [delta.MaxRows]int32
	ones    [delta.MaxRows]int64
)

func init() {
	for i := range allRows {
		allRows[i], ones[i] = int32(i), 1
	}
}

func errUnmatched(n *plan.Node) error {
	return sqlerr.New(sqlerr.Internal, "operator %d: a row was taken back that was not there", n.ID)
}

func newAgg(n *plan.Node, b *builder, worker int) (Operator, error) {
	in := n.Inputs[0]
	a := &agg{n: n, in: in.Out, b: b, appendOnly: in.AppendOnly || b.opts.Batch}
	fused := b.panes[n.ID]
	for _, forms := range []bool{false, true} {
		for i, k := range n.Keys {
			if fused != nil && fused.winKeys[i] != paneNone {
				continue
			}
			if manyForms(in.Out[k].Type) == forms {
				a.keys = append(a.keys, k)
				a.outKeys = append(a.outKeys, i)
			}
		}
		if !forms {
			a.formed = len(a.keys)
		}
	}
	a.keyN = len(a.keys)
	if fused != nil {
		a.initPanes(fused)
	}
	if f := b.sessions[n.ID]; f != nil {
		a.initSessions(f, b)
	}
	for i := range n.Aggs {
		c := &call{AggCall: n.Aggs[i], in: true}
		fn, ok := b.opts.Env.Agg(c.Fn)
		if !ok {
			return nil, sqlerr.New(sqlerr.UndefinedFunction, "aggregate %s does not exist", c.Fn)
		}
		c.fn = fn
		switch {
		case fn.Kind == expr.AggString:
			c.strict = c.Args[:1]
		case !fn.NullIn:
			c.strict = c.Args
		}
		a.calls = append(a.calls, c)
	}
	if err := a.initTime(); err != nil {
		return nil, err
	}
	words := 1
	inline := 1
	for _, k := range a.keys {
		if in.Out[k].Type.Phys() == types.PhysBytes {
			inline += 12
		} else {
			inline += 9
		}
	}
	// The accumulators need the table and the table their size: they are made
	// without it and given it.
	for i, c := range a.calls {
		var err error
		if c.acc, err = a.newAcc(c, i); err != nil {
			return nil, err
		}
		a.accs = append(a.accs, c.acc)
	}
	if a.formed < a.keyN {
		a.accs = append(a.accs, &extreme{a: a, num: len(a.calls), enc: rowEncoding{args: a.keys[a.formed:a.keyN]}, typ: a.in})
	}
	for _, x := range a.accs {
		if s, ok := inner(x).(slotted); ok {
			a.slots = append(a.slots, s)
		}
	}
	if len(a.slots) > 0 {
		a.opens = true
		words++
	}
	needSet := false
	for i, x := range a.accs {
		if i < len(a.calls) && a.calls[i].fn.Kind == expr.AggCountStar && a.calls[i].Filter < 0 && !a.calls[i].Distinct {
			r := &rowsAcc{}
			a.accs[i], a.calls[i].acc, a.calls[i].in = r, r, false
			continue
		}
		x.place(words)
		words += x.words()
		switch x.(type) {
		case *distinctAcc, *orderedAcc:
			needSet = true
		case *fixedExtreme, *extreme:
			needSet = needSet || !a.appendOnly
		}
	}
	o := state.HashOptions{Words: words, Inline: inline}
	if a.panes != nil || a.closing && !a.final {
		o.Loaded = a.groupLoaded
		if a.panes != nil {
			o.Loaded = a.paneLoaded
		}
		for a.groups[0] < KeyGroups && GroupOwner(byte(a.groups[0]), b.opts.Workers) < worker {
			a.groups[0]++
		}
		for a.groups[1] < KeyGroups && GroupOwner(byte(a.groups[1]), b.opts.Workers) <= worker {
			a.groups[1]++
		}
	}
	a.t = b.hash(n, aggGroups, worker, o)
	if needSet {
		a.set = b.tree(n, aggSet, worker)
		a.cur = a.set.Cursor()
	}
	for _, x := range a.accs {
		if h, ok := inner(x).(interface{ table(t *state.Hash) }); ok {
			h.table(a.t)
		}
	}
	a.openTime(worker)
	if a.sess != nil {
		a.openSessions()
	}
	return a, nil
}

func (a *wordAcc) table(t *state.Hash) { a.t = t }

// inner is the accumulator within a DISTINCT.
func inner(x acc) acc {
	if d, ok := x.(*distinctAcc); ok {
		return d.acc
	}
	return x
}

// Start makes the one group of an aggregate without keys.
func (a *agg) Start(Emit) error {
	if len(a.keys) == 0 {
		a.t.Get([]byte{0}, true)
	}
	return a.t.Err()
}

// Apply adds the rows of b to their groups.
func (a *agg) Apply(_ int, b *delta.Batch, _ Emit) error {
	b, err := a.dropLate(b)
	if err != nil || b.N == 0 {
		return err
	}
	a.keyCols = pick(a.keyCols, b, a.keys)
	if len(a.keys) == 0 {
		row := a.t.Get([]byte{0}, true)
		a.rows = a.rows[:0]
		for range b.N {
			a.rows = append(a.rows, row)
		}
	} else {
		a.enc.Encode(a.keyCols, b.N)
		if a.panes != nil {
			a.groupPanes(b)
		} else if a.sess != nil {
			a.groupSessions(b)
		} else if len(a.keys) > a.formed {
			a.regroup(b)
		}
		a.rows = a.t.Lookup(a.enc.Buf, a.enc.Off, true, a.rows[:0])
	}
	if err := a.t.Err(); err != nil {
		return err
	}
	w := b.W
	if w == nil {
		w = ones[:b.N]
	}
	over := false
	for i, row := range a.rows {
		a.t.Touch(row)
		n := &a.t.Words(row)[wordRows]
		old := int64(*n)
		*n = uint64(old + w[i])
		over = over || overflows(old, w[i])
	}
	if over { // no other count of the group is larger
		return errWeight
	}
	a.f = feed{b: b, rows: a.rows, w: w, args: a.f.args}
	for _, c := range a.calls {
		if !c.in {
			continue
		}
		if cap(a.selBuf) < b.N {
			a.selBuf = make([]int32, delta.MaxRows)
		}
		if a.f.sel = c.selectRows(b, allRows[:b.N], a.selBuf); len(a.f.sel) == 0 {
			continue
		}
		a.f.args = pick(a.f.args, b, c.Args)
		if err := c.acc.apply(&a.f); err != nil {
			return err
		}
	}
	if len(a.accs) > len(a.calls) { // the keys' forms
		a.f.sel = allRows[:b.N]
		if err := a.accs[len(a.calls)].apply(&a.f); err != nil {
			return err
		}
	}
	if a.set != nil {
		return a.set.Err()
	}
	return nil
}

// regroup sets each key's group to that of the plan's order of columns: keys
// were encoded in another.
func (a *agg) regroup(b *delta.Batch) {
	cols := pick(nil, b, a.n.Keys)
	for i := range b.N {
		a.key = AppendRowEq(a.key[:0], cols, i)
		a.enc.Buf[a.enc.Off[i]] = KeyGroup(a.key)
	}
}

// prefix returns the beginning of the multiset's keys of a call and group, in a
// buffer that is used again.
func (a *agg) prefix(row int32, num int) []byte {
	a.key = append(append(a.key[:0], a.t.Key(row)...), byte(num>>8), byte(num))
	return a.key
}

// first returns what follows prefix p in the first, or last, key of the multiset
// that begins with it and has a positive weight, and the weight: -1 if a negative
// one was seen. The key is good until the tree changes.
func (a *agg) first(p []byte, last bool) ([]byte, int64) {
	neg := false
	var ok bool
	step := a.cur.Next
	if last {
		end := append([]byte(nil), p...)
		for i := len(end) - 1; i >= 0; i-- { // the key group is below 255 or what follows is
			if end[i]++; end[i] != 0 {
				break
			}
		}
		a.cur.Seek(end)
		step = a.cur.Prev
		ok = step()
	} else {
		ok = a.cur.Seek(p)
	}
	for ; ok; ok = step() {
		k := a.cur.Key()
		if !bytes.HasPrefix(k, p) {
			break
		}
		if w := a.cur.Weight(); w > 0 {
			if neg {
				w = -1
			}
			return k[len(p):], w
		}
		neg = true
	}
	if neg {
		return nil, -1
	}
	return nil, 0
}

// open decodes the slots of a touched group and returns its open number.
func (a *agg) open(row int32) (int, error) {
	w := a.t.Words(row)
	if o := w[wordOpen]; o != 0 {
		return int(o - 1), nil
	}
	o := len(a.openRows)
	a.openRows = append(a.openRows, row)
	w[wordOpen] = uint64(o) + 1
	tail := a.t.Tail(row)
	for _, s := range a.slots {
		var part []byte
		part, tail = cutPart(tail)
		if err := s.load(part); err != nil {
			return 0, err
		}
	}
	return o, nil
}

// closeSlots writes the slots of open groups back.
func (a *agg) closeSlots() error {
	for o, row := range a.openRows {
		a.tail = a.tail[:0]
		end := 0
		for _, s := range a.slots {
			at := len(a.tail)
			a.tail = append(a.tail, 0)
			var err error
			if a.tail, err = s.save(o, a.tail); err != nil {
				return err
			}
			n := len(a.tail) - at - 1
			if n < 0x80 {
				a.tail[at] = byte(n)
			} else {
				var l [binary.MaxVarintLen64]byte
				a.tail = slices.Replace(a.tail, at, at+1, l[:binary.PutUvarint(l[:], uint64(n))]...)
			}
			if n > 0 {
				end = len(a.tail)
			}
		}
		if a.tail = a.tail[:end]; !bytes.Equal(a.tail, a.t.Tail(row)) {
			a.t.SetTail(row, a.tail)
		}
		a.t.Words(row)[wordOpen] = 0
	}
	a.dropOpen()
	return a.t.Err()
}

func (a *agg) dropOpen() {
	a.openRows = a.openRows[:0]
	for _, s := range a.slots {
		s.reset()
	}
}

// Finish emits how the answers changed.
func (a *agg) Finish(out Emit) error {
	for _, x := range a.accs {
		if err := x.finish(); err != nil {
			return err
		}
	}
	if err := a.closeSlots(); err != nil {
		return err
	}
	if a.sess != nil {
		if err := a.mergeSessions(); err != nil {
			return err
		}
	}
	if a.final {
		hold := a.holdChanges
		if a.panes != nil {
			hold = a.holdPanes
		}
		if err := hold(); err != nil {
			return err
		}
		return a.t.Err()
	}
	if err := a.emitChanges(out); err != nil {
		return err
	}
	return a.t.Err()
}

// Commit ends a step.
func (a *agg) Commit() {
	a.commitTime()
	if a.panes != nil {
		a.panes.moved = false
		a.panes.idx.commit()
	}
	if a.closing {
		a.close.commit()
	}
}

// Rollback ends a step that is undone.
func (a *agg) Rollback() {
	if a.sess != nil {
		a.sess.forget()
	}
	a.dropOpen()
	for _, x := range a.accs {
		if x, ok := x.(*fixedExtreme); ok {
			x.stale = x.stale[:0]
		}
	}
	a.rollbackTime()
}

// Held returns the memory of open groups and of what closes groups, about.
func (a *agg) Held() int64 {
	held := int64(0)
	if a.panes != nil {
		held = a.panes.held + a.panes.idx.bytes
	}
	return int64(len(a.openRows))*int64(64*len(a.slots)+8) + int64(a.close.hints)*16 + held
}
