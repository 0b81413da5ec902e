package exec

import (
	"bytes"
	"encoding/binary"
	"math"
	"sort"

	"github.com/streamsql/streamsql/sql/expr"
	"github.com/streamsql/streamsql/sql/plan"
	"github.com/streamsql/streamsql/state"
)

// overTime bounds the state of window functions that look back in event time: the
// order begins with the input's time column, no row behind the watermark is taken
// back, and no frame reaches beyond its row's peers. Then the answer of a row that the watermark has
// passed is final. Of those rows only what a later frame can still reach is kept;
// of the others their number, and for frames without a beginning the states of
// aggregates. A row behind the watermark is late.
type overTime struct {
	on   bool
	meta *state.Hash // key → words overRows …; tail: first row, states

	rows, groups int64 // that frames reach back, of what comes next
	reach        int64 // µs that they reach back; -1: not by time
	counts       bool  // of rows dropped are needed
	first        bool  // the first row of a partition is needed
	folds        []*frameAggs
}

// Words of a partition's entry.
const (
	overRows   = iota // rows dropped
	overGroups        // groups of peers dropped
	overIndex         // the partition's time in closeIdx
	overNoted         // 1: it has one
	overFirst         // length of the first row in the tail, plus one; 0: none
	overWords
)

// initOverTime finds out whether the state can be bounded.
func (o *over) initOverTime(n *plan.Node, b *builder) {
	in, t := n.Inputs[0], &o.time
	t.reach = -1
	if b.opts.Batch || o.closing || !in.Settles() || in.TimeCol() < 0 || len(n.Order) == 0 {
		return
	}
	if k := n.Order[0]; k.Col != in.TimeCol() || k.Desc || k.NullsFirst {
		return
	}
	for _, f := range o.funcs {
		if f != nil && !t.function(n, f) {
			return
		}
	}
	for _, s := range o.sums {
		if !t.frame(s.frame) {
			return
		}
		if s.frame == nil || s.frame.Start == nil {
			if s.a.set != nil { // it needs all values
				return
			}
			t.folds = append(t.folds, s)
			t.counts = true
		}
	}
	t.on = true
	o.timeCol, o.ends = in.TimeCol(), in.TimeEnd
}

// onlyEnter tells whether rows only enter a frame as its row goes on, up to the
// row's peers.
func onlyEnter(f *plan.Frame) bool {
	return f == nil || f.Start == nil && f.End != nil && *f.End == 0
}

// function notes what a function needs; false: more than can be bounded.
func (t *overTime) function(n *plan.Node, f *windowFunc) bool {
	switch f.name {
	case "row_number", "rank", "dense_rank":
		t.counts = true
	case "lag":
		by := int64(1)
		if len(f.call.Args) > 1 {
			var ok bool
			if by, ok = constantOf(n.Inputs[0], f.call.Args[1]); !ok || by < 0 {
				return false
			}
		}
		t.rows = max(t.rows, by)
	case "first_value", "last_value":
		if !t.frame(f.call.Frame) {
			return false
		}
		if fr := f.call.Frame; fr == nil || fr.Start == nil {
			t.first, t.counts = true, true
		}
	default:
		return false
	}
	return true
}

// frame is as function.
func (t *overTime) frame(f *plan.Frame) bool {
	switch {
	case f == nil:
		return true
	case f.End == nil || *f.End > 0:
		return false
	case f.Start == nil:
		return *f.End == 0
	}
	back := -*f.Start
	if back < 0 || back == math.MinInt64 {
		return false
	}
	switch f.Unit {
	case "rows":
		t.rows = max(t.rows, back)
	case "groups":
		t.groups = max(t.groups, back)
	default:
		t.reach = max(t.reach, back)
	}
	return true
}

// constantOf returns the value of a column that is an integer constant.
func constantOf(n *plan.Node, c int) (int64, bool) {
	for {
		switch {
		case n.Op == plan.Exchange:
			n = n.Inputs[0]
		case n.Op == plan.Map && n.Exprs == nil:
			n = n.Inputs[0]
		case n.Op == plan.Map && n.Exprs[c].Kind == expr.Col:
			n, c = n.Inputs[0], n.Exprs[c].Index
		case n.Op == plan.Map && n.Exprs[c].Kind == expr.Const && !n.Exprs[c].Value.Null:
			return n.Exprs[c].Value.I, true
		default:
			return 0, false
		}
	}
}

func (o *over) openOverTime(n *plan.Node, b *builder, worker int) {
	if o.time.on {
		o.indexed = true
		o.closeIdx.init(b.tree(n, 1, worker))
		o.time.meta = b.hash(n, 2, worker, state.HashOptions{Words: overWords})
	}
}

// entry returns what is kept of a partition beside its rows, nil if there is none.
func (o *over) entry(prefix []byte) ([]uint64, []byte) {
	row := o.time.meta.Get(prefix, false)
	if row < 0 {
		return nil, nil
	}
	return o.time.meta.Words(row), o.time.meta.Tail(row)
}

// past gives a partition what was before its rows: those before limit are final.
func (o *over) past(prefix string, p *partition, limit int64) error {
	t := &o.time
	p.skip = o.before(p, limit)
	w, tail := o.entry([]byte(prefix))
	if w == nil {
		return t.meta.Err()
	}
	p.dropped, p.droppedGroups = int64(w[overRows]), int64(w[overGroups])
	tail = append([]byte(nil), tail...)
	if n := w[overFirst]; n > 0 {
		row := tail[:n-1]
		tail = tail[n-1:]
		p.firstRow = newCols(o.n.Inputs[0].Out, 1)
		if _, err := DecodeRow(row, nil, p.firstRow); err != nil {
			return err
		}
	}
	p.folded = tail
	return nil
}

// before returns how many rows of p are before limit.
func (o *over) before(p *partition, limit int64) int {
	v := p.b.Cols[o.timeCol]
	return sort.Search(p.b.N, func(i int) bool { return v.Null(i) || v.I[i] >= limit })
}

// seed gives an aggregate the state of the rows that are folded: the words, then
// the tail.
func (s *frameAggs) seed(b []byte) []byte {
	row := s.a.t.Get([]byte{0}, true)
	s.a.t.Touch(row)
	w := s.a.t.Words(row)
	if len(b) < 8*len(w) {
		return nil
	}
	for i := range w {
		w[i] = binary.LittleEndian.Uint64(b[8*i:])
	}
	part, rest := cutPart(b[8*len(w):])
	s.a.t.SetTail(row, part)
	return rest
}

// state appends the aggregate's state, for seed.
func (s *frameAggs) state(dst []byte) ([]byte, error) {
	row := s.a.t.Get([]byte{0}, true)
	s.a.t.Touch(row)
	for _, x := range s.a.accs {
		if err := x.finish(); err != nil {
			return nil, err
		}
	}
	if err := s.a.closeSlots(); err != nil {
		return nil, err
	}
	for _, w := range s.a.t.Words(row) {
		dst = binary.LittleEndian.AppendUint64(dst, w)
	}
	tail := s.a.t.Tail(row)
	return append(binary.AppendUvarint(dst, uint64(len(tail))), tail...), nil
}

// advanceTime makes the rows that the watermark has passed final.
func (o *over) advanceTime(wm int64) error {
	was := o.limit()
	if o.wm == NoWatermark {
		was = NoWatermark
	}
	o.wm = wm
	limit := o.limit()
	return o.closeIdx.take(limit, func(key []byte) error { return o.settle(string(key), was, limit) })
}

// settle folds the rows of a partition from was to limit, and drops those that no
// frame can reach.
func (o *over) settle(prefix string, was, limit int64) error {
	t := &o.time
	p, err := o.load(prefix)
	if err != nil {
		return err
	}
	if err := o.past(prefix, p, was); err != nil {
		return err
	}
	id := t.meta.Get([]byte(prefix), true)
	t.meta.Touch(id)
	t.meta.Words(id)[overNoted] = 0 // take has removed it
	from, to := p.skip, o.before(p, limit)
	if from < to {
		if err := o.fold(id, p, from, to); err != nil {
			return err
		}
	}
	drop := t.unreached(o, p, to, limit)
	for i := 0; i < drop; i++ {
		if i > 0 && bytes.Equal(p.keys[i], p.keys[i-1]) {
			continue
		}
		k := append([]byte(prefix), p.keys[i]...)
		o.set.Add(k, -o.set.Get(k))
	}
	w := t.meta.Words(id)
	w[overRows] += uint64(drop)
	if drop > 0 {
		w[overGroups] += uint64(p.group[drop-1]) + 1
	}
	o.note(prefix, p, to, drop, id)
	if err := t.meta.Err(); err != nil {
		return err
	}
	return o.set.Err()
}

// fold adds rows from to to-1 of a partition to the states that are kept.
func (o *over) fold(id int32, p *partition, from, to int) error {
	t := &o.time
	var tail []byte
	first := uint64(0)
	if t.first {
		if p.firstRow != nil {
			tail = AppendRowKey(tail, p.firstRow, 0, nil)
		} else {
			tail = AppendRowKey(tail, p.b.Cols, 0, nil)
		}
		first = uint64(len(tail)) + 1
	}
	rest := p.folded
	for _, s := range t.folds {
		err := func() (err error) {
			s.begin()
			defer s.clear()
			if len(rest) > 0 {
				rest = s.seed(rest)
			}
			if err := s.feed(p, from, to, 1); err != nil {
				return err
			}
			tail, err = s.state(tail)
			return err
		}()
		if err != nil {
			return err
		}
	}
	t.meta.Words(id)[overFirst] = first
	t.meta.SetTail(id, tail)
	return nil
}

// unreached returns how many of the first n rows, which are final, no frame of a
// row at limit or later reaches: whole groups of peers.
func (t *overTime) unreached(o *over, p *partition, n int, limit int64) int {
	keep := max(0, int64(n)-t.rows)
	if t.groups > 0 && n > 0 {
		g := int64(p.group[n-1]) + 1 - t.groups
		keep = min(keep, int64(p.groups[max(g, 0)]))
	}
	if t.reach >= 0 {
		keep = min(keep, int64(o.before(p, addClamped(limit, -t.reach))))
	}
	if keep < int64(n) {
		keep = int64(p.first[keep])
	}
	return int(keep)
}

// note keeps the index of a partition, whose rows before open are final and the
// first drop of them dropped: when a row becomes final next, or can be dropped. A
// partition of which nothing is left is forgotten.
func (o *over) note(prefix string, p *partition, open, drop int, id int32) {
	t := &o.time
	v := p.b.Cols[o.timeCol]
	next, is := int64(0), false
	switch {
	case open < p.b.N && !v.Null(open):
		next, is = v.I[open], true
	case drop < open && t.reach >= 0 && t.rows == 0 && t.groups == 0:
		next, is = addClamped(v.I[drop], t.reach), true
	}
	w := t.meta.Words(id)
	if w[overNoted] == 0 || !is || int64(w[overIndex]) != next {
		if w[overNoted] != 0 {
			o.closeIdx.add([]byte(prefix), int64(w[overIndex]), -1)
		}
		if w[overNoted] = 0; is {
			w[overIndex], w[overNoted] = uint64(next), 1
			o.closeIdx.add([]byte(prefix), next, 1)
		}
	}
	if !is && drop == p.b.N && !t.counts {
		t.meta.Delete(id)
	}
}

// changed keeps the index of a partition that a step has touched.
func (o *over) changed(prefix string, p *partition) error {
	id := o.time.meta.Get([]byte(prefix), true)
	o.time.meta.Touch(id)
	o.note(prefix, p, p.skip, 0, id)
	return o.time.meta.Err()
}
