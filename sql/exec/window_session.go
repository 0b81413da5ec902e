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

// State tables of a session.
const (
	sessRows   = iota // tree: key, time, row → weight
	sessBounds        // tree: key, start → last − start + 1
	sessClose         // tree: key group, time, key, start: when a watermark has to look at a session
)

// session appends window_start, window_end and window_time to each row: the
// rows of a key of which each is at most the gap, Size, from the next in time are
// one session, from the first's time to the last's and the gap.
//
// A step's changes are worked off at Finish, so that the answer does not depend
// on their order. Only what lies next to a changed row is looked at: sessions are
// kept by their bounds, beside the rows. The rows of a session whose bounds
// changed are emitted anew.
//
// The watermark closes a session when no row can come any more that would belong
// to it: when it has passed the last row's time and the gap (a row exactly the gap
// away still belongs). A row is late if it lies next to a closed session, or if
// it would be in a closed session of its own and lies in no open one. So a closed
// session's bounds are kept for another gap: a row that lies next to it then is
// late whatever there is.
type session struct {
	n   *plan.Node
	gap int64

	rows, bounds   *state.Tree
	cur, boundsCur *state.Cursor
	idx            timeIndex
	step           *stepInfo

	wm, before int64
	lateFn     func(rows *delta.Batch, windows []int32, wm int64) error

	// The step's changes: keys of rows, with the length of their first part.
	seq    uint64
	keys   Keys
	preLen []int32
	w      []int64
	order  keyOrder
	enc    Keys
	cols   []*delta.Vec

	region  sessRegion
	key     []byte
	gone    Keys
	out     rowsOut
	lateOut rowsOut
	agg     *aggSessions // see sessFusion; rows are not kept then
}

// span is the time of a session's first and last row.
type span struct{ from, last int64 }

// sessChange is how the weight of a row changed.
type sessChange struct {
	t        int64
	key      []byte
	old, new int64
}

// sessRegion is sessions that changes touch, in the order of time.
type sessRegion struct {
	prefix    []byte
	changes   []sessChange
	olds      []span
	news      []span
	all, temp []span
}

var (
	_ Operator = (*session)(nil)
	_ Stepper  = (*session)(nil)
	_ Restorer = (*session)(nil)
	_ Holder   = (*session)(nil)
)

// maxPending bounds the bytes of a step's changes: offsets have 32 bits.
const maxPending = 1 << 30

func newSession(n *plan.Node, b *builder, worker int) (Operator, error) {
	s := &session{n: n, gap: n.Window.Size, step: b.step, wm: NoWatermark, before: NoWatermark}
	s.rows, s.bounds = b.tree(n, sessRows, worker), b.tree(n, sessBounds, worker)
	s.cur, s.boundsCur = s.rows.Cursor(), s.bounds.Cursor()
	s.idx.init(b.tree(n, sessClose, worker))
	s.lateFn = b.lateWindows(n, n.Window.TimeCol)
	s.out = rowsOut{cols: n.Out, step: b.step}
	s.lateOut = rowsOut{cols: n.Inputs[0].Out, step: b.step}
	s.keys.Reset()
	return s, nil
}

// Apply notes the changes of b.
func (s *session) Apply(_ int, b *delta.Batch, _ Emit) error {
	if s.seq != s.step.seq {
		s.seq = s.step.seq
		s.forget()
	}
	s.cols = pick(s.cols, b, s.n.Keys)
	s.enc.Encode(s.cols, b.N)
	times := b.Cols[s.n.Window.TimeCol]
	for i, t := range times.I[:b.N] {
		if times.Null(i) || !inWindows(t, s.gap) {
			continue
		}
		prefix := s.enc.At(i)
		s.keys.Buf = appendTime(append(s.keys.Buf, prefix...), t)
		s.keys.Buf = AppendRowKey(s.keys.Buf, b.Cols, i, nil)
		if len(s.keys.Buf) > maxPending {
			return sqlerr.New(sqlerr.OutOfMemory, "out of memory").WithDetail("A step changes more than %d bytes of sessions.", maxPending)
		}
		s.keys.End()
		s.preLen = append(s.preLen, int32(len(prefix)))
		s.w = append(s.w, b.Weight(i))
	}
	return nil
}

// timeCell is the length of a time in a key.
const timeCell = 9

func appendTime(dst []byte, t int64) []byte {
	return binary.BigEndian.AppendUint64(append(dst, cellValue), uint64(t)^1<<63)
}

func timeAt(k []byte) int64 { return int64(binary.BigEndian.Uint64(k[1:]) ^ 1<<63) }

// closed tells whether the watermark has closed a session that ends with a row at t.
func (s *session) closed(t int64) bool { return t+s.gap < s.wm }

// Finish works the step's changes off.
func (s *session) Finish(out Emit) error {
	if s.seq != s.step.seq {
		return nil
	}
	order := s.order.sort(&s.keys)
	for from := 0; from < len(order); {
		k := s.keys.At(int(order[from].i))
		prefix := k[:s.preLen[order[from].i]]
		to := from + 1
		for to < len(order) && bytes.HasPrefix(s.keys.At(int(order[to].i)), prefix) {
			to++
		}
		if err := s.changeKey(prefix, order[from:to], out); err != nil {
			return err
		}
		from = to
	}
	s.forget()
	if err := s.out.flush(out); err != nil {
		return err
	}
	if err := s.lateOut.flush(s.giveLate); err != nil {
		return err
	}
	return s.err()
}

func (s *session) giveLate(b *delta.Batch) error { return s.lateFn(b, nil, s.wm) }

func (s *session) err() error {
	for _, t := range []*state.Tree{s.rows, s.bounds, s.idx.tree} {
		if err := t.Err(); err != nil {
			return err
		}
	}
	return nil
}

// changeKey makes the changes of one key.
func (s *session) changeKey(prefix []byte, order []sortKey, out Emit) error {
	r := &s.region
	r.prefix, r.changes = prefix, r.changes[:0]
	for from := 0; from < len(order); {
		k := s.keys.At(int(order[from].i))
		w := s.w[order[from].i]
		to := from + 1
		for ; to < len(order) && bytes.Equal(s.keys.At(int(order[to].i)), k); to++ {
			w += s.w[order[to].i]
		}
		from = to
		if w == 0 {
			continue
		}
		t := timeAt(k[len(prefix):])
		if t < s.wm && s.behind(prefix, t, w) {
			if err := s.late(k, w); err != nil {
				return err
			}
			continue
		}
		if s.agg != nil {
			if w < 0 {
				return errUnmatched(s.n)
			}
			r.changes = append(r.changes, sessChange{t, k, 0, w})
			continue
		}
		old, now := s.rows.Add(k, w)
		if now < 0 {
			if !s.closed(t) {
				return errUnmatched(s.n)
			}
			// The row was late when it came, or its session is closed.
			s.rows.Add(k, -now)
			if err := s.late(k, now); err != nil {
				return err
			}
			if now = 0; old == 0 {
				continue
			}
		}
		r.changes = append(r.changes, sessChange{t, k, old, now})
	}
	for all := r.changes; len(all) > 0; {
		n := s.gather(all)
		r.changes = all[:n]
		all = all[n:]
		r.rebuild(s)
		emit := s.emitRegion
		if s.agg != nil {
			emit = s.emitNew
		}
		if err := emit(out); err != nil {
			return err
		}
	}
	return nil
}

// emitNew is emitRegion of rows that only come, for an aggregate that is told
// which sessions have become which.
func (s *session) emitNew(out Emit) error {
	r := &s.region
	changes, olds := r.changes, r.olds
	for _, x := range r.news {
		for ; len(olds) > 0 && olds[0].from <= x.last; olds = olds[1:] {
			if olds[0] != x {
				s.agg.move(r.prefix, olds[0], x)
			}
		}
		shut := s.closed(x.last)
		for ; len(changes) > 0 && changes[0].t <= x.last; changes = changes[1:] {
			var err error
			if shut {
				err = s.late(changes[0].key, changes[0].new)
			} else {
				err = s.emit(changes[0].key, changes[0].new, x, out)
			}
			if err != nil {
				return err
			}
		}
	}
	s.keepBounds()
	return nil
}

// behind tells whether a change at t, behind the watermark, is late: it lies next
// to a closed session, or it is behind the watermark by more than the gap and not
// within an open session. (One that would extend an open session so far back
// might join it to a closed one that is forgotten.)
func (s *session) behind(prefix []byte, t, w int64) bool {
	c := s.boundsCur
	if s.closed(t) {
		if w < 0 {
			return false // the row may be there
		}
		s.key = appendTime(append(s.key[:0], prefix...), t+1)
		if c.Seek(s.key); !c.Prev() || !bytes.HasPrefix(c.Key(), prefix) {
			return true
		}
		last := timeAt(c.Key()[len(prefix):]) + c.Weight() - 1
		return t > last || s.closed(last)
	}
	s.key = appendTime(append(s.key[:0], prefix...), t+s.gap+1)
	for c.Seek(s.key); c.Prev() && bytes.HasPrefix(c.Key(), prefix); {
		from := timeAt(c.Key()[len(prefix):])
		if last := from + c.Weight() - 1; s.closed(last) {
			return t <= last+s.gap
		}
	}
	return false
}

// gather finds the sessions that lie next to the first changes, as many as
// concern each other, and returns their number.
func (s *session) gather(changes []sessChange) int {
	r := &s.region
	r.olds = r.olds[:0]
	hi := int64(0)
	for n, ch := range changes {
		if n > 0 && ch.t > hi+s.gap {
			return n
		}
		if n == 0 || ch.t > hi {
			hi = ch.t
		}
		known := len(r.olds)
		if known > 0 && r.olds[known-1].last >= ch.t+s.gap {
			continue // no other is near
		}
		c := s.boundsCur
		s.key = appendTime(append(s.key[:0], r.prefix...), ch.t+s.gap+1)
		for c.Seek(s.key); c.Prev() && bytes.HasPrefix(c.Key(), r.prefix); {
			from := timeAt(c.Key()[len(r.prefix):])
			o := span{from, from + c.Weight() - 1}
			if o.last < ch.t-s.gap || known > 0 && o.from <= r.olds[known-1].from {
				break
			}
			r.olds = append(r.olds, o)
		}
		slices.Reverse(r.olds[known:])
		if l := len(r.olds); l > known {
			hi = max(hi, r.olds[l-1].last)
		}
	}
	return len(changes)
}

// rebuild finds the sessions that there are now. First come those there would be
// if no row had gone, then each is cut where there is none left.
func (r *sessRegion) rebuild(s *session) {
	r.all = append(r.all[:0], r.olds...)
	for _, ch := range r.changes {
		if ch.now() {
			r.all = append(r.all, span{ch.t, ch.t})
		}
	}
	slices.SortFunc(r.all, func(a, b span) int {
		if a.from < b.from {
			return -1
		}
		return int(min(a.from-b.from, 1))
	})
	r.temp = r.temp[:0]
	for _, x := range r.all {
		if n := len(r.temp); n > 0 && x.from <= r.temp[n-1].last+s.gap {
			r.temp[n-1].last = max(r.temp[n-1].last, x.last)
			continue
		}
		r.temp = append(r.temp, x)
	}
	r.news = r.news[:0]
	at := 0
	for i, ch := range r.changes {
		if ch.now() || i > 0 && !r.changes[i-1].now() && r.changes[i-1].t == ch.t {
			continue
		}
		for at < len(r.temp) && r.temp[at].last < ch.t {
			r.news = append(r.news, r.temp[at])
			at++
		}
		if at == len(r.temp) || ch.t < r.temp[at].from {
			continue
		}
		x := &r.temp[at]
		prev, next, hasPrev, hasNext, there := s.around(r.prefix, ch.t)
		if there {
			continue
		}
		hasPrev, hasNext = hasPrev && prev >= x.from, hasNext && next <= x.last
		switch {
		case !hasPrev && !hasNext:
			at++
		case !hasPrev:
			x.from = next
		case !hasNext:
			x.last = prev
		case next-prev > s.gap:
			r.news = append(r.news, span{x.from, prev})
			x.from = next
		}
	}
	r.news = append(r.news, r.temp[at:]...)
}

func (c *sessChange) now() bool { return c.new > 0 }

// around finds the times of the rows before and after t, and whether there is
// one at t.
func (s *session) around(prefix []byte, t int64) (prev, next int64, hasPrev, hasNext, there bool) {
	c := s.cur
	s.key = appendTime(append(s.key[:0], prefix...), t)
	if c.Seek(s.key) && bytes.HasPrefix(c.Key(), prefix) {
		if next, hasNext = timeAt(c.Key()[len(prefix):]), true; next == t {
			return 0, 0, false, false, true
		}
	}
	if c.Prev() && bytes.HasPrefix(c.Key(), prefix) {
		prev, hasPrev = timeAt(c.Key()[len(prefix):]), true
	}
	return prev, next, hasPrev, hasNext, false
}

// emitRegion emits what changed and keeps the new bounds.
func (s *session) emitRegion(out Emit) error {
	r := &s.region
	changes, olds := r.changes, r.olds
	// oldOf is the session that the row at t was in; asked in the order of time.
	oldOf := func(t int64) span {
		for len(olds) > 1 && olds[0].last < t {
			olds = olds[1:]
		}
		return olds[0]
	}
	left := func(ch *sessChange) error { // a row that is gone
		return s.emit(ch.key, -ch.old, oldOf(ch.t), out)
	}
	s.gone.Reset()
	at := 0
	for _, x := range r.news {
		for len(changes) > 0 && changes[0].t < x.from {
			if err := left(&changes[0]); err != nil {
				return err
			}
			changes = changes[1:]
		}
		for at < len(r.olds) && r.olds[at].from < x.from {
			at++
		}
		if at < len(r.olds) && r.olds[at] == x { // as it was
			for ; len(changes) > 0 && changes[0].t <= x.last; changes = changes[1:] {
				if err := s.emit(changes[0].key, changes[0].new-changes[0].old, x, out); err != nil {
					return err
				}
			}
			continue
		}
		shut := s.closed(x.last)
		s.key = appendTime(append(s.key[:0], r.prefix...), x.from)
		for ok := s.cur.Seek(s.key); ok && bytes.HasPrefix(s.cur.Key(), r.prefix); ok = s.cur.Next() {
			k := s.cur.Key()
			t := timeAt(k[len(r.prefix):])
			if t > x.last {
				break
			}
			old, now := s.cur.Weight(), s.cur.Weight()
			for len(changes) > 0 {
				c := bytes.Compare(changes[0].key, k)
				if c > 0 {
					break
				}
				if c == 0 {
					old = changes[0].old
				} else if err := left(&changes[0]); err != nil {
					return err
				}
				changes = changes[1:]
			}
			if old > 0 {
				if err := s.emit(k, -old, oldOf(t), out); err != nil {
					return err
				}
			}
			if shut {
				s.gone.Buf = append(s.gone.Buf, k...)
				s.gone.End()
				if err := s.late(k, now); err != nil {
					return err
				}
			} else if err := s.emit(k, now, x, out); err != nil {
				return err
			}
		}
		for ; len(changes) > 0 && changes[0].t <= x.last; changes = changes[1:] {
			if err := left(&changes[0]); err != nil {
				return err
			}
		}
	}
	for i := range changes {
		if err := left(&changes[i]); err != nil {
			return err
		}
	}
	for i := range s.gone.Len() {
		k := s.gone.At(i)
		s.rows.Add(k, -s.rows.Get(k))
	}
	s.keepBounds()
	return nil
}

// keepBounds brings the sessions' bounds up to date.
func (s *session) keepBounds() {
	r := &s.region
	for _, o := range r.olds {
		if !slices.Contains(r.news, o) {
			s.bound(o, -1)
		}
	}
	for _, x := range r.news {
		if !s.closed(x.last) && !slices.Contains(r.olds, x) {
			s.bound(x, 1)
		}
	}
}

// bound adds or takes away a session.
func (s *session) bound(x span, w int64) {
	s.key = appendTime(append(s.key[:0], s.region.prefix...), x.from)
	s.bounds.Add(s.key, w*(x.last-x.from+1))
	s.idx.add(s.key, x.last+s.gap, w)
}

// emit emits the row of key k with its session.
func (s *session) emit(k []byte, w int64, x span, out Emit) error {
	if w == 0 {
		return nil
	}
	cols := s.out.row(w)
	n := len(s.n.Inputs[0].Out)
	if _, err := DecodeRow(k[len(s.region.prefix)+timeCell:], nil, cols[:n]); err != nil {
		return err
	}
	cols[n].AppendInt(x.from)
	cols[n+1].AppendInt(x.last + s.gap)
	cols[n+2].AppendInt(x.last + s.gap - 1)
	return s.out.done(out)
}

// late hands the row of key k out.
func (s *session) late(k []byte, w int64) error {
	if _, err := DecodeRow(k[len(s.region.prefix)+timeCell:], nil, s.lateOut.row(w)); err != nil {
		return err
	}
	return s.lateOut.done(s.giveLate)
}

func (s *session) forget() {
	s.keys.Reset()
	s.preLen, s.w = s.preLen[:0], s.w[:0]
	if cap(s.keys.Buf) > maxBuf {
		s.keys, s.preLen, s.w = Keys{}, nil, nil
		s.keys.Reset()
	}
}

// Held returns the memory of the step's changes.
func (s *session) Held() int64 { return int64(cap(s.keys.Buf)) + 32*int64(cap(s.w)) }
