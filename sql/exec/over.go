package exec

import (
	"bytes"
	"encoding/binary"
	"slices"

	"github.com/streamsql/streamsql/sql/delta"
	"github.com/streamsql/streamsql/sql/plan"
	"github.com/streamsql/streamsql/sql/sqlerr"
	"github.com/streamsql/streamsql/state"
)

// over is window functions: every row of the input with their values behind it.
// The rows are in a tree by partition and order, ties by the whole row. Of each
// partition that a step touches all values are computed before the first change
// and at Finish, and the difference is emitted.
type over struct {
	n     *plan.Node
	set   *state.Tree
	cur   *state.Cursor
	funcs []*windowFunc
	sums  []*frameAggs

	parts   map[string]int32 // touched partitions
	touched []overPart
	was     overList
	now     overList
	enc     Keys
	keyCols []*delta.Vec
	key     []byte
	out     rowsOut
	groupTime
	time overTime
}

type overPart struct {
	prefix   string
	from, to int32 // its entries in was
	partTime
}

// overList is output rows: each the input row as the tree has it, then its
// values, sorted by both.
type overList struct {
	buf     []byte
	entries []overEntry
}

type overEntry struct{ off, mid, end int }

func (l *overList) clear()                    { l.buf, l.entries = l.buf[:0], l.entries[:0] }
func (l *overList) bytes(e *overEntry) []byte { return l.buf[e.off:e.end] }

var (
	_ Operator = (*over)(nil)
	_ Stepper  = (*over)(nil)
	_ Restorer = (*over)(nil)
)

func newOver(n *plan.Node, b *builder, worker int) (Operator, error) {
	o, err := overOf(n, b, worker)
	if err != nil {
		return nil, err
	}
	return o.open(n, b, worker), nil
}

// newNumbered is newTopN, or, of all rows with their number, window functions if
// those can bound their state.
func newNumbered(n *plan.Node, b *builder, worker int) (Operator, error) {
	if n.Rank != "" && n.Limit < 0 && n.Offset == 0 {
		as := *n
		as.Op, as.Aggs = plan.Over, []plan.AggCall{{Fn: n.Rank, Filter: -1, Type: n.Out[len(n.Out)-1].Type}}
		o, err := overOf(&as, b, worker)
		if err != nil {
			return nil, err
		}
		if o.time.on {
			return o.open(&as, b, worker), nil
		}
	}
	return newTopN(n, b, worker)
}

// overOf makes an over without its tables.
func overOf(n *plan.Node, b *builder, worker int) (*over, error) {
	o := &over{n: n, parts: map[string]int32{}}
	o.out.cols, o.out.step = n.Out, b.step
	for i := range n.Aggs {
		if err := o.addFunc(&n.Aggs[i], b, worker); err != nil {
			return nil, err
		}
	}
	o.initTime(n, b, n.Keys)
	o.initOverTime(n, b)
	return o, nil
}

func (o *over) open(n *plan.Node, b *builder, worker int) *over {
	o.set = b.tree(n, 0, worker)
	o.cur = o.set.Cursor()
	o.openTime(n, b, 1, worker)
	o.openOverTime(n, b, worker)
	return o
}

// Apply adds the rows of b to their partitions.
func (o *over) Apply(_ int, b *delta.Batch, _ Emit) error {
	b, err := o.dropLate(b)
	if err != nil || b.N == 0 {
		return err
	}
	o.keyCols = pick(o.keyCols, b, o.n.Keys)
	if len(o.n.Keys) > 0 {
		o.enc.Encode(o.keyCols, b.N)
	}
	global := [1]byte{}
	for i := range b.N {
		prefix := global[:]
		if len(o.n.Keys) > 0 {
			prefix = o.enc.At(i)
		}
		if err := o.touch(prefix, b, i); err != nil {
			return err
		}
		k := append(o.key[:0], prefix...)
		k = appendOrder(k, b, i, o.n.Order)
		start := len(k)
		for _, v := range b.Cols {
			k = appendCell(k, v, i)
		}
		o.key = binary.LittleEndian.AppendUint32(k, uint32(len(k)-start))
		o.set.Add(o.key, b.Weight(i))
	}
	return o.set.Err()
}

// touch notes that the partition of row i changes.
func (o *over) touch(prefix []byte, b *delta.Batch, i int) error {
	if _, ok := o.parts[string(prefix)]; ok {
		return nil
	}
	p := overPart{prefix: string(prefix), from: int32(len(o.was.entries))}
	p.partTime = o.partTime(o.cur, prefix, b, i)
	if _, err := o.compute(p.prefix, &o.was); err != nil {
		return err
	}
	p.to = int32(len(o.was.entries))
	o.parts[p.prefix] = int32(len(o.touched))
	o.touched = append(o.touched, p)
	return nil
}

// partition is a partition's rows, in order.
type partition struct {
	b    *delta.Batch
	keys [][]byte // what the tree has of each row, without the partition
	// peers are equal in the order: the first and the one behind the last, and
	// their number among the groups of peers
	first, end, group []int32
	groups            []int32 // the first row of each group of peers, and the number of rows

	// Where state is bounded: what was before the rows, see overTime.
	skip                   int   // rows that are final, and not shown any more
	dropped, droppedGroups int64 // rows and groups of peers before
	firstRow               []*delta.Vec
	folded                 []byte // states over what was dropped and the final rows
}

// maxPartition bounds the bytes of a partition's column: offsets have 32 bits, and
// a value may have 1 GiB.
const maxPartition = 1 << 29

// load reads a partition.
func (o *over) load(prefix string) (*partition, error) {
	p := &partition{b: &delta.Batch{Cols: newCols(o.n.Inputs[0].Out, 64)}}
	var buf []byte
	var off []int
	for ok := o.cur.Seek([]byte(prefix)); ok; ok = o.cur.Next() {
		k := o.cur.Key()
		if len(k) < len(prefix) || string(k[:len(prefix)]) != prefix {
			break
		}
		w := o.cur.Weight()
		if w < 0 {
			return nil, errUnmatched(o.n)
		}
		k = k[len(prefix):]
		for range w {
			if _, err := DecodeRow(rowOf(k), nil, p.b.Cols); err != nil {
				return nil, err
			}
			off = append(off, len(buf), len(buf)+len(k))
			p.b.N++
		}
		for _, v := range p.b.Cols {
			if len(v.Buf) > maxPartition {
				return nil, sqlerr.New(sqlerr.OutOfMemory, "out of memory").WithDetail("A partition of window functions holds more than %d bytes.", maxPartition)
			}
		}
		buf = append(buf, k...)
	}
	for i := 0; i < len(off); i += 2 {
		p.keys = append(p.keys, buf[off[i]:off[i+1]])
	}
	p.first = make([]int32, p.b.N)
	p.end = make([]int32, p.b.N)
	p.group = make([]int32, p.b.N)
	for i := range p.keys {
		if i == 0 || !bytes.Equal(orderOf(p.keys[i]), orderOf(p.keys[i-1])) {
			p.groups = append(p.groups, int32(i))
		}
		p.group[i] = int32(len(p.groups) - 1)
		p.first[i] = p.groups[p.group[i]]
	}
	p.groups = append(p.groups, int32(p.b.N))
	for i := range p.end {
		p.end[i] = p.groups[p.group[i]+1]
	}
	return p, o.set.Err()
}

// compute appends the output rows of a partition to l.
func (o *over) compute(prefix string, l *overList) (*partition, error) {
	p, err := o.load(prefix)
	if err != nil || p.b.N == 0 {
		return p, err
	}
	if o.time.on {
		limit := int64(NoWatermark)
		if o.wm != NoWatermark {
			limit = o.limit()
		}
		if err := o.past(prefix, p, limit); err != nil {
			return p, err
		}
	}
	vals := newCols(o.n.Out[len(p.b.Cols):], p.b.N)
	for i, f := range o.funcs {
		if f != nil {
			if err := f.eval(o.n, p, vals[i]); err != nil {
				return p, err
			}
		}
	}
	folded := p.folded
	for _, s := range o.sums {
		if folded, err = s.eval(o.n, p, vals, folded); err != nil {
			return p, err
		}
	}
	at := len(l.entries)
	for i, k := range p.keys[p.skip:] {
		e := overEntry{off: len(l.buf)}
		l.buf = append(l.buf, k...)
		e.mid = len(l.buf)
		for _, v := range vals {
			l.buf = appendCell(l.buf, v, i)
		}
		e.end = len(l.buf)
		l.entries = append(l.entries, e)
	}
	slices.SortFunc(l.entries[at:], func(a, b overEntry) int { return bytes.Compare(l.bytes(&a), l.bytes(&b)) })
	return p, nil
}

// Finish emits how the rows of touched partitions changed.
func (o *over) Finish(out Emit) error {
	for i := range o.touched {
		t := &o.touched[i]
		o.now.clear()
		p, err := o.compute(t.prefix, &o.now)
		if err != nil {
			return err
		}
		if o.time.on {
			if err := o.changed(t.prefix, p); err != nil {
				return err
			}
		}
		o.partChanged(o.cur, t.prefix, &t.partTime)
		was, now := o.was.entries[t.from:t.to], o.now.entries
		for len(was) > 0 || len(now) > 0 {
			c := 1
			if len(now) == 0 {
				c = -1
			} else if len(was) > 0 {
				c = bytes.Compare(o.was.bytes(&was[0]), o.now.bytes(&now[0]))
			}
			var err error
			switch {
			case c < 0:
				err = o.emit(&o.was, &was[0], -1, out)
				was = was[1:]
			case c > 0:
				err = o.emit(&o.now, &now[0], 1, out)
				now = now[1:]
			default:
				was, now = was[1:], now[1:]
			}
			if err != nil {
				return err
			}
		}
	}
	o.forget()
	return o.out.flush(out)
}

func (o *over) emit(l *overList, e *overEntry, w int64, out Emit) error {
	cols := o.out.row(w)
	n := len(cols) - len(o.n.Aggs)
	if _, err := DecodeRow(rowOf(l.buf[e.off:e.mid]), nil, cols[:n]); err != nil {
		return err
	}
	if _, err := DecodeRow(l.buf[e.mid:e.end], nil, cols[n:]); err != nil {
		return err
	}
	return o.out.done(out)
}

func (o *over) forget() {
	clear(o.parts)
	clear(o.touched)
	o.touched = o.touched[:0]
	o.was.clear()
	o.now.clear()
}

// Advance drops the partitions that the watermark has closed.
func (o *over) Advance(wm []int64, _ Emit) (int64, error) {
	w := inputTime(o.n, wm)
	if o.time.on && w > o.wm {
		return w, o.advanceTime(w)
	}
	return o.advanceParts(w, o.set, o.cur)
}

// Commit and Rollback end a step.
func (o *over) Commit() { o.forget(); o.commitTime() }
func (o *over) Rollback() {
	o.forget()
	o.out.b = nil
	o.rollbackTime()
}

// Restore takes the watermark up after a restart.
func (o *over) Restore(wm []int64) { o.restoreTime(inputTime(o.n, wm)) }

// Held returns the memory of what the step remembers.
func (o *over) Held() int64 {
	return int64(cap(o.was.buf)+cap(o.now.buf)) + int64(len(o.was.entries)+len(o.now.entries))*24
}

// NextClose returns the watermark at which a partition is closed next.
func (o *over) NextClose() int64 { return o.nextPart() }
