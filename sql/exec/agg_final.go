package exec

// A final aggregate (EMIT ON WINDOW CLOSE) says nothing of a group until the
// watermark has closed it; then it emits its answer and forgets it.

// holdChanges keeps the index of open groups, behind the step's changes.
func (a *agg) holdChanges() error {
	e := &a.emitted
	e.dead = e.dead[:0]
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
		if (old != nil) == (rows != 0) {
			continue
		}
		if t, ok := a.timeOf(a.t.Key(row)); ok {
			w := int64(1)
			if rows == 0 {
				w = -1
			}
			a.finalIdx.add(a.t.Key(row), t, w)
		}
	}
	for _, row := range e.dead {
		a.t.Delete(row)
	}
	return a.finalIdx.tree.Err()
}

// emitClosed emits the groups that the watermark has closed, and drops them.
func (a *agg) emitClosed(out Emit) error {
	a.closed = a.closed[:0]
	err := a.finalIdx.take(a.limit(), func(key []byte) error {
		row := a.t.Get(key, false)
		if row < 0 {
			if err := a.t.Err(); err != nil {
				return err
			}
			return errUnmatched(a.n)
		}
		if a.closed = append(a.closed, row); len(a.closed) < emitChunk {
			return nil
		}
		return a.emitFinal(out)
	})
	if err != nil {
		return err
	}
	return a.emitFinal(out)
}

// emitFinal emits the groups of closed and drops them.
func (a *agg) emitFinal(out Emit) error {
	e := &a.emitted
	for rows := a.closed; len(rows) > 0; {
		e.was.clear()
		e.now.clear()
		e.rows = e.rows[:0]
		for size := 0; len(rows) > 0 && size <= maxBuf; rows = rows[1:] {
			e.rows = append(e.rows, rows[0])
			e.now.words = append(e.now.words, a.t.Words(rows[0]))
			if a.opens {
				t := a.t.Tail(rows[0])
				e.now.tails = append(e.now.tails, t)
				size += len(t)
			}
		}
		b, err := a.answers(e)
		if err != nil {
			return err
		}
		if err := out(b); err != nil {
			return err
		}
	}
	for _, row := range a.closed {
		if err := a.closeRow(row); err != nil {
			return err
		}
	}
	a.closed = a.closed[:0]
	return a.t.Err()
}

// NextClose returns the watermark at which a group is closed next.
func (a *agg) NextClose() int64 {
	if a.panes != nil {
		return a.nextWindow()
	}
	if a.final {
		return a.nextOf(&a.finalIdx)
	}
	x := &a.close
	for len(x.heap) > 0 {
		id := x.heap[0]
		if p, ok := x.at[id]; ok {
			b := &x.buckets[p]
			if b.least != never {
				if a.ends {
					return b.least
				}
				return b.least + 1
			}
			if b.n > 0 { // of groups on disk: looked for when all of the bucket is closed
				return (id + 1) << closeShift
			}
			x.drop(id, p)
		}
		x.pop()
	}
	return never
}
