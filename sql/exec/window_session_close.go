package exec

import "bytes"

// Advance closes what the watermark has passed. The output's watermark is one
// µs behind: a session whose end it has just reached can still grow.
func (s *session) Advance(wm []int64, _ Emit) (int64, error) {
	t := inputTime(s.n, wm)
	if s.n.Clock {
		t = s.step.ctx.Now + 1 // of a later step, no row has the same time
	}
	if t == NoWatermark {
		return t, nil
	}
	if t > s.wm {
		s.wm = t
		if err := s.idx.takeAll(t, s.close); err != nil {
			return t - 1, err
		}
	}
	return t - 1, s.err()
}

// close drops the rows of a session that is closed, and at last its bounds.
func (s *session) close(key []byte, at, _ int64) error {
	n := len(key) - timeCell
	prefix := key[:n]
	length := s.bounds.Get(key)
	if length == 0 {
		return s.bounds.Err()
	}
	last := timeAt(key[n:]) + length - 1
	if at == last+s.gap {
		s.dropRows(prefix, key, last)
	}
	if until := last + 2*s.gap; until >= s.wm {
		s.idx.add(key, until, 1)
		return nil
	}
	s.bounds.Add(key, -length)
	return nil
}

// dropRows drops the rows of a key from a time to another.
func (s *session) dropRows(prefix, from []byte, last int64) {
	s.gone.Reset()
	for ok := s.cur.Seek(from); ok && bytes.HasPrefix(s.cur.Key(), prefix); ok = s.cur.Next() {
		k := s.cur.Key()
		if timeAt(k[len(prefix):]) > last {
			break
		}
		s.gone.Buf = append(s.gone.Buf, k...)
		s.gone.End()
	}
	for i := range s.gone.Len() {
		k := s.gone.At(i)
		s.rows.Add(k, -s.rows.Get(k))
	}
}

// Commit and Rollback end a step.
func (s *session) Commit() { s.before = s.wm }
func (s *session) Rollback() {
	s.wm = s.before
	s.forget()
	s.out.b, s.lateOut.b = nil, nil
	s.idx.forget()
}

// Restore takes the watermark up after a restart.
func (s *session) Restore(wm []int64) {
	if s.wm = NoWatermark; !s.n.Clock {
		s.wm = inputTime(s.n, wm)
	}
	s.before = s.wm
	s.idx.forget()
}

// NextClose returns the watermark at which a session is closed next, or its
// bounds are not needed any more.
func (s *session) NextClose() int64 {
	t := s.idx.next()
	if s.n.Clock && t != never {
		t--
	}
	return t
}
