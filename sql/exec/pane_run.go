package exec

// paneRun is the panes of a group that are in its next window, added up so that a
// window costs a few merges however many panes it has: in two stacks (after the
// folklore queue of two stacks; Tangwongsan, Hirzel, Schneider, "Low-latency
// sliding-window aggregation in worst-case constant time", 2017). It is made from
// the panes in the state, and made again when one of them changes.
type paneRun struct {
	// front, the earliest pane last, has each pane merged with all in front that are
	// later; back has the later panes as they are, and sum all of them merged.
	front, back paneList
	sum         paneList // none or one
	wait        paneList // panes that are to come in
	prefix      string   // the group's key without the pane
}

// paneList is panes: their starts, words and parts of tails, end to end.
type paneList struct {
	start []int64
	words []uint64
	slots [][]byte
}

// paneState merges the entries of an aggregate.
type paneState struct {
	width, slots int
	accs         []merger
	slotOf       []int // by acc: its part of the tail, or -1
}

// init takes the aggregate's accumulators, which can all be merged.
func (s *paneState) init(a *agg) {
	s.width = 1
	if a.opens {
		s.width++
	}
	for _, x := range a.accs {
		s.width += x.words()
		slot := -1
		if _, ok := x.(slotted); ok {
			slot = s.slots
			s.slots++
		}
		s.accs, s.slotOf = append(s.accs, x.(merger)), append(s.slotOf, slot)
	}
}

func (l *paneList) len() int { return len(l.start) }

func (l *paneList) clear() {
	clear(l.slots)
	l.start, l.words, l.slots = l.start[:0], l.words[:0], l.slots[:0]
}

func (l *paneList) append(o *paneList) {
	l.start, l.words, l.slots = append(l.start, o.start...), append(l.words, o.words...), append(l.slots, o.slots...)
}

func (l *paneList) push(s *paneState, start int64, words []uint64, slots [][]byte) {
	l.start = append(l.start, start)
	l.words = append(l.words, words[:s.width]...)
	l.slots = append(l.slots, slots...)
}

func (l *paneList) at(s *paneState, i int) ([]uint64, [][]byte) {
	return l.words[i*s.width : (i+1)*s.width], l.slots[i*s.slots : (i+1)*s.slots]
}

func (l *paneList) pop(s *paneState) {
	n := l.len() - 1
	clear(l.slots[n*s.slots:])
	l.start, l.words, l.slots = l.start[:n], l.words[:n*s.width], l.slots[:n*s.slots]
}

// merge adds a state to another.
func (s *paneState) merge(dst []uint64, dSlots [][]byte, src []uint64, sSlots [][]byte) {
	dst[wordRows] += src[wordRows]
	for i, a := range s.accs {
		if k := s.slotOf[i]; k >= 0 {
			dSlots[k] = a.merge(dst, src, dSlots[k], sSlots[k])
			continue
		}
		a.merge(dst, src, nil, nil)
	}
}

// add adds the pane behind the last.
func (r *paneRun) add(s *paneState, start int64, words []uint64, slots [][]byte) {
	r.back.push(s, start, words, slots)
	if r.sum.len() == 0 {
		r.sum.push(s, start, words, slots)
		return
	}
	w, p := r.sum.at(s, 0)
	s.merge(w, p, words, slots)
}

// drop drops the panes before from.
func (r *paneRun) drop(s *paneState, from int64) {
	for {
		if n := r.front.len(); n > 0 {
			if r.front.start[n-1] >= from {
				return
			}
			r.front.pop(s)
			continue
		}
		n := r.back.len()
		if n == 0 || r.back.start[0] >= from {
			return
		}
		if r.back.start[n-1] >= from {
			for i := n - 1; i >= 0; i-- {
				w, p := r.back.at(s, i)
				r.front.push(s, r.back.start[i], w, p)
				if i < n-1 {
					later, lp := r.front.at(s, n-2-i)
					mine, mp := r.front.at(s, n-1-i)
					s.merge(mine, mp, later, lp)
				}
			}
		}
		r.back.clear()
		r.sum.clear()
	}
}

func (r *paneRun) clear() {
	r.front.clear()
	r.back.clear()
	r.sum.clear()
}

// empty tells whether no pane is in.
func (r *paneRun) empty() bool { return r.front.len() == 0 && r.back.len() == 0 }

// total appends all panes merged to out.
func (r *paneRun) total(s *paneState, end int64, out *paneList) {
	n := r.front.len()
	if n == 0 {
		w, p := r.sum.at(s, 0)
		out.push(s, end, w, p)
		return
	}
	w, p := r.front.at(s, n-1)
	out.push(s, end, w, p)
	if r.sum.len() > 0 {
		w, p = out.at(s, out.len()-1)
		sw, sp := r.sum.at(s, 0)
		s.merge(w, p, sw, sp)
	}
}

// bytes is the memory of a run, about.
func (r *paneRun) bytes() int64 {
	n := int64(200)
	for _, l := range []*paneList{&r.front, &r.back, &r.sum} {
		n += int64(8*cap(l.start) + 8*cap(l.words) + 24*cap(l.slots))
	}
	return n
}
