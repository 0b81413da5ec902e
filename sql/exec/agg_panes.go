package exec

import (
	"maps"
	"slices"

	"github.com/streamsql/streamsql/sql/delta"
)

// aggPanes is a final aggregate over the panes of windows: see paneFusion. Its
// groups are by the other keys and the pane's start.
type aggPanes struct {
	fuse *paneFusion
	grid paneGrid
	idx  paneIndex

	paneState
	// runs has the groups that the next window has rows of, by their keys without
	// the pane, and list has them in order. They are made of the panes in the state:
	// of those that come in as the watermark moves, and of all when cold.
	runs  map[string]*paneRun
	list  []*paneRun
	cold  bool
	moved bool            // in this step
	dirty map[string]bool // groups of which a pane changed that is in a run, or would be
	held  int64

	other []int // the keys that are not of the window, in the plan's order
	parts [][]byte
	todo  Keys    // panes to take in
	start []int64 // of todo
	rows  []int32
	out   paneList
	keys  Keys // of out
	slots [][][]byte
}

// initPanes prepares the aggregate for panes: the window is the last of its keys.
func (a *agg) initPanes(f *paneFusion) {
	a.panes = &aggPanes{fuse: f, grid: gridOf(f.window.Window)}
	for i, k := range a.n.Keys {
		if f.winKeys[i] == paneNone {
			a.panes.other = append(a.panes.other, k)
		}
	}
	for i, kind := range f.winKeys {
		if kind != paneNone {
			a.keys, a.outKeys = append(a.keys, a.n.Keys[i]), append(a.outKeys, i)
			break
		}
	}
	a.panes.idx.init(a.panes.grid.slide)
	a.dropRuns()
}

// paneLoaded notes a pane of the durable state.
func (a *agg) paneLoaded(key []byte, _ int32) { a.panes.idx.load(a.startOf(key), key) }

func (a *agg) openPanes() {
	p := a.panes
	p.paneState.init(a)
	p.slots = make([][][]byte, p.paneState.slots)
	p.keys.Reset()
}

// groupPanes gives the keys of b the key group of what is not the window's.
func (a *agg) groupPanes(b *delta.Batch) {
	if a.keyN > a.formed {
		cols := pick(nil, b, a.panes.other)
		for i := range b.N {
			a.key = AppendRowEq(a.key[:0], cols, i)
			a.enc.Buf[a.enc.Off[i]] = KeyGroup(a.key)
		}
		return
	}
	for i := range b.N {
		k := a.enc.At(i)
		k[0] = KeyGroup(k[1 : len(k)-timeCell])
	}
}

// cellAt is by how much the time in a group's key is behind its pane's start.
func (a *agg) cellAt() int64 {
	switch a.panes.fuse.winKeys[a.outKeys[a.keyN]] {
	case 1:
		return a.panes.grid.slide
	case 2:
		return a.panes.grid.slide - 1
	}
	return 0
}

// startOf returns the start of a group's pane.
func (a *agg) startOf(key []byte) int64 { return timeAt(key[len(key)-timeCell:]) - a.cellAt() }

// holdPanes keeps the index of panes, behind the step's changes.
func (a *agg) holdPanes() error {
	e, p := &a.emitted, a.panes
	if p.idx.lost {
		if err := a.findPanes(); err != nil {
			return err
		}
	}
	e.dead = e.dead[:0]
	taken := int64(NoWatermark) // panes that start before are in runs
	if a.wm != NoWatermark {
		taken = p.grid.ended(a.wm)
	}
	for i, n := 0, a.t.Touched(); i < n; i++ {
		if i&127 == 0 {
			a.t.Prefetch(i, min(i+128, n))
		}
		row, old := a.t.TouchedRow(i)
		rows := int64(a.t.Words(row)[wordRows])
		if rows < 0 {
			return errUnmatched(a.n)
		}
		if rows == 0 {
			e.dead = append(e.dead, row)
		}
		key := a.t.Key(row)
		start := a.startOf(key)
		if (old != nil) != (rows != 0) {
			p.idx.change(start, key, rows != 0)
		}
		if start < taken {
			p.dirty[string(key[:len(key)-timeCell])] = true
		}
	}
	for _, row := range e.dead {
		a.t.Delete(row)
	}
	for _, u := range p.idx.grown {
		p.idx.pack(u.b, a.t)
	}
	return a.t.Err()
}

// dropRuns has the runs made anew.
func (a *agg) dropRuns() {
	p := a.panes
	p.runs, p.list, p.dirty = map[string]*paneRun{}, nil, map[string]bool{}
	p.cold, p.moved, p.held = true, false, 0
	p.out.clear()
	p.keys.Reset()
	for s := range p.slots {
		p.slots[s] = p.slots[s][:0]
	}
}

// emitWindows emits the windows that end after the watermark was, and not after it
// is, and drops the panes that are in no other.
func (a *agg) emitWindows(was, is int64, out Emit) error {
	p := a.panes
	taken, lo, hi := int64(NoWatermark), int64(NoWatermark), p.grid.ended(is)
	if was != NoWatermark {
		taken = p.grid.ended(was)
		if lo = taken + p.grid.slide; lo > hi {
			return nil
		}
	}
	p.moved = true
	if p.cold && lo != NoWatermark {
		taken = p.grid.from(lo)
	}
	if err := a.takeFresh(taken, hi); err != nil {
		return err
	}
	if !p.cold {
		if err := a.mendRuns(lo); err != nil {
			return err
		}
	}
	p.cold = false
	clear(p.dirty)
	keep := p.list[:0]
	p.held = 0
	for _, r := range p.list {
		if err := a.emitRun(r, lo, hi, out); err != nil {
			return err
		}
		if r.empty() {
			delete(p.runs, r.prefix)
			continue
		}
		keep = append(keep, r)
		p.held += r.bytes()
	}
	clear(p.list[len(keep):])
	p.list = keep
	if err := a.flushWindows(out); err != nil {
		return err
	}
	return a.dropPanes(p.grid.from(hi + p.grid.slide))
}

// takeFresh gives the runs the panes that start in [from, to).
func (a *agg) takeFresh(from, to int64) error {
	p := a.panes
	p.todo.Reset()
	p.start = p.start[:0]
	var err error
	for _, b := range p.idx.between(from, to) {
		b.each(func(key []byte) {
			p.todo.Buf = append(p.todo.Buf, key...)
			p.todo.End()
			p.start = append(p.start, b.start)
			if err == nil && (p.todo.Len() >= delta.MaxRows || len(p.todo.Buf) > maxBuf) {
				err = a.takePanes()
			}
		})
	}
	if err != nil {
		return err
	}
	return a.takePanes()
}

// takePanes gives the runs the panes in todo, as far as they are there.
func (a *agg) takePanes() error {
	p := a.panes
	p.rows = a.t.Lookup(p.todo.Buf, p.todo.Off, false, p.rows[:0])
	if err := a.t.Err(); err != nil {
		return err
	}
	for i, row := range p.rows {
		if row < 0 {
			continue
		}
		k := p.todo.At(i)
		prefix := k[:len(k)-timeCell]
		r := p.runs[string(prefix)]
		if r == nil {
			r = &paneRun{prefix: string(prefix)}
			p.runs[r.prefix] = r
			p.list = append(p.list, r)
		}
		if n := r.wait.len(); n == 0 || r.wait.start[n-1] != p.start[i] {
			a.takePane(r, row, p.start[i])
		}
	}
	p.todo.Reset()
	p.start = p.start[:0]
	return nil
}

// takePane lets a pane wait for a run's next windows.
func (a *agg) takePane(r *paneRun, row int32, start int64) {
	p := a.panes
	p.parts = p.parts[:0]
	if p.paneState.slots > 0 {
		tail := append([]byte(nil), a.t.Tail(row)...)
		for range p.paneState.slots {
			var part []byte
			part, tail = cutPart(tail)
			p.parts = append(p.parts, part)
		}
	}
	r.wait.push(&p.paneState, start, a.t.Words(row), p.parts)
}

// mendRuns makes the runs of dirty groups anew for the window that ends at lo:
// their panes are asked for one by one.
func (a *agg) mendRuns(lo int64) error {
	p := a.panes
	var key []byte
	for _, prefix := range slices.Sorted(maps.Keys(p.dirty)) {
		r := p.runs[prefix]
		if r == nil {
			r = &paneRun{prefix: prefix}
			p.runs[prefix] = r
			p.list = append(p.list, r)
		}
		later := r.wait
		r.wait = paneList{}
		r.clear()
		for start := p.grid.from(lo); start < lo-p.grid.slide; start += p.grid.slide {
			key = appendTime(append(key[:0], prefix...), start+a.cellAt())
			if row := a.t.Get(key, false); row >= 0 {
				a.takePane(r, row, start)
			}
		}
		if err := a.t.Err(); err != nil {
			return err
		}
		r.wait.append(&later)
	}
	return nil
}

// emitRun emits the windows of one group that end between lo and hi.
func (a *agg) emitRun(r *paneRun, lo, hi int64, out Emit) error {
	p := a.panes
	slide := p.grid.slide
	next, n := 0, r.wait.len()
	for e := lo; ; e += slide {
		if next < n && r.empty() {
			e = max(e, r.wait.start[next]+slide)
		}
		if e > hi {
			break
		}
		for ; next < n && r.wait.start[next]+slide <= e; next++ {
			w, slots := r.wait.at(&p.paneState, next)
			r.add(&p.paneState, r.wait.start[next], w, slots)
		}
		if r.drop(&p.paneState, p.grid.from(e)); r.empty() {
			if next == n {
				break
			}
			continue
		}
		r.total(&p.paneState, e, &p.out)
		p.keys.Buf = append(p.keys.Buf, r.prefix...)
		p.keys.End()
		if p.out.len() >= delta.MaxRows || len(p.keys.Buf) > maxBuf {
			if err := a.flushWindows(out); err != nil {
				return err
			}
		}
	}
	r.wait.clear()
	r.drop(&p.paneState, p.grid.from(hi+slide))
	return nil
}

// dropPanes drops the panes before from.
func (a *agg) dropPanes(from int64) error {
	p := a.panes
	for _, b := range p.idx.before(from) {
		p.todo.Reset()
		p.todo.Buf = append(p.todo.Buf, b.buf...)
		p.todo.Off = append(p.todo.Off, b.off...)
		p.rows = a.t.Lookup(p.todo.Buf, p.todo.Off, false, p.rows[:0])
		if err := a.t.Err(); err != nil {
			return err
		}
		for _, row := range p.rows {
			if row >= 0 && a.t.Live(row) { // a key may be there twice
				if err := a.closeRow(row); err != nil {
					return err
				}
			}
		}
		p.idx.remove(b)
	}
	p.todo.Reset()
	return a.t.Err()
}

// findPanes makes the index anew.
func (a *agg) findPanes() error {
	p := a.panes
	p.idx = paneIndex{}
	p.idx.init(p.grid.slide)
	a.t.Each(func(row int32) bool {
		a.paneLoaded(a.t.Key(row), row)
		return true
	})
	return a.t.EachEvicted(a.groups[0], a.groups[1], func(key []byte) { a.paneLoaded(key, -1) })
}

// flushWindows emits the windows in out.
func (a *agg) flushWindows(out Emit) error {
	p := a.panes
	n := p.out.len()
	if n == 0 {
		return nil
	}
	b := &delta.Batch{N: n, Cols: newCols(a.n.Out, n)}
	gs := &entrySet{}
	for i := range n {
		w, slots := p.out.at(&p.paneState, i)
		gs.words = append(gs.words, w)
		for s, part := range slots {
			p.slots[s] = append(p.slots[s], part)
		}
		k := p.keys.At(i)[1:]
		for _, c := range a.outKeys[:a.formed] {
			var err error
			if k, err = DecodeCell(k, b.Cols[c], false); err != nil {
				return err
			}
		}
	}
	for c, kind := range p.fuse.winKeys {
		for _, e := range p.out.start {
			switch kind {
			case 0:
				b.Cols[c].AppendInt(p.grid.from(e))
			case 1:
				b.Cols[c].AppendInt(e)
			case 2:
				b.Cols[c].AppendInt(e - 1)
			}
		}
	}
	for i, x := range a.accs {
		if s := p.slotOf[i]; s >= 0 {
			gs.slot = p.slots[s]
		}
		if i < len(a.calls) {
			if err := x.results(gs, b.Cols[len(a.n.Keys)+i]); err != nil {
				return err
			}
			continue
		}
		if err := a.formColumns(gs, b.Cols); err != nil {
			return err
		}
	}
	for s := range p.slots {
		clear(p.slots[s])
		p.slots[s] = p.slots[s][:0]
	}
	p.out.clear()
	p.keys.Reset()
	return out(b)
}

// nextWindow returns the watermark at which a window is closed next.
func (a *agg) nextWindow() int64 {
	if a.wm == NoWatermark || len(a.panes.idx.at) == 0 {
		return never
	}
	return a.panes.grid.ended(max(a.wm, a.panes.idx.least)) + a.panes.grid.slide
}
