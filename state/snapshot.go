package state

import "sync/atomic"

// Snapshot is a tree as it was at one moment. Any number of goroutines may
// read it, also while the tree is written. Reading it after Release panics, and
// so do its cursors.
type Snapshot struct {
	v      atomic.Pointer[version]
	pins   *atomic.Int64
	reader Reader // pinned, if there are stubs
	unpin  func()
	err    atomic.Pointer[error]
}

// Snapshot pins the tree as it is, in constant time. Like any call on the tree
// it belongs to the writer's goroutine; the snapshot may be handed to others.
func (t *Tree) Snapshot() *Snapshot {
	t.gen++
	t.pins.Add(1)
	s := &Snapshot{pins: &t.pins}
	if t.stubs > 0 {
		s.reader, s.unpin = t.reader.Pin()
	}
	v := t.version
	s.v.Store(&v)
	return s
}

// Snapshots returns how many snapshots have not been released.
func (t *Tree) Snapshots() int { return int(t.pins.Load()) }

func (s *Snapshot) version() *version {
	v := s.v.Load()
	if v == nil {
		panic("state: snapshot read after Release")
	}
	return v
}

// Release lets go of the pages the snapshot pins. A second call does nothing.
// No read may be under way.
func (s *Snapshot) Release() {
	if s.v.Swap(nil) != nil {
		if s.unpin != nil {
			s.unpin()
		}
		s.pins.Add(-1)
	}
}

func (s *Snapshot) fail(err error) { s.err.CompareAndSwap(nil, &err) }

// Err is the first failure to read the durable state, nil if there was none: a
// walk that met it ended early, a Get answered 0.
func (s *Snapshot) Err() error {
	if p := s.err.Load(); p != nil {
		return *p
	}
	return nil
}

// Get returns the weight of key, 0 if the snapshot does not hold it.
func (s *Snapshot) Get(key []byte) int64 {
	n := s.version().root
	for n.kids != nil {
		n = n.kids[n.child(key)]
	}
	if n.stub {
		return s.getDurable(n, key)
	}
	if i, ok := n.find(key); ok {
		return n.ws[i]
	}
	return 0
}

func (s *Snapshot) getDurable(stub *node, key []byte) int64 {
	if !stub.holds(key) {
		return 0
	}
	v, err := s.reader.Get(key)
	if err != nil {
		s.fail(err)
		return 0
	}
	if v == nil {
		return 0
	}
	w, err := ParseWeight(v)
	if err != nil {
		s.fail(err)
	}
	return w
}

// Len returns the number of keys.
func (s *Snapshot) Len() int { return s.version().len }

// Bytes returns the memory of the snapshot's pages, those it shares with the
// tree included.
func (s *Snapshot) Bytes() int64 { return s.version().bytes }

// Cursor returns a cursor before the snapshot's first key.
func (s *Snapshot) Cursor() *Cursor { return &Cursor{snap: s, root: s.version().root} }

// ScanPrefix calls fn with each key that begins with prefix, in ascending
// order, until fn returns false. fn must not change the key.
func (s *Snapshot) ScanPrefix(prefix []byte, fn func(key []byte, w int64) bool) {
	s.Cursor().scanPrefix(prefix, fn)
}
