package checkpoint

import (
	"errors"
	"sync"

	"github.com/cockroachdb/pebble"

	"github.com/streamsql/streamsql/sql/sqlerr"
	"github.com/streamsql/streamsql/state"
)

// reader reads the state of one operator. It is a state.BackReader.
type reader struct {
	s  *Store
	op uint32
	db pebble.Reader
}

// Reader returns a reader of operator op's state at the last checkpoint. Any
// number of goroutines may use it. Its errors are 58030, and XX001 for damage;
// 55000 after Close. It goes on reading from a store that is lost: what the last
// checkpoint has of keys that the failed one was not to change is right.
func (s *Store) Reader(op uint32) state.Reader { return &reader{s, op, s.db} }

var _ state.BackReader = (*reader)(nil)

// Get returns an entry, nil when there is none.
func (r *reader) Get(key []byte) (value []byte, err error) {
	defer closed(&err)
	var buf [128]byte
	v, closer, err := r.db.Get(stateKey(buf[:0], r.op, key))
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, pebbleError("read", err)
	}
	value = append(make([]byte, 0, len(v)), v...)
	if err := closer.Close(); err != nil {
		return nil, pebbleError("read", err)
	}
	return value, nil
}

// Scan calls fn with the entries whose keys are at least lower and less than
// upper (nil: no bound), in the order of their bytes, until fn returns an
// error. Key and value are fn's only during the call.
func (r *reader) Scan(lower, upper []byte, fn func(key, value []byte) error) error {
	return r.walk(lower, upper, (*pebble.Iterator).First, (*pebble.Iterator).Next, fn)
}

// ScanBack is Scan from the last entry to the first.
func (r *reader) ScanBack(lower, upper []byte, fn func(key, value []byte) error) error {
	return r.walk(lower, upper, (*pebble.Iterator).Last, (*pebble.Iterator).Prev, fn)
}

func (r *reader) walk(lower, upper []byte, first, next func(*pebble.Iterator) bool, fn func(key, value []byte) error) (err error) {
	defer closed(&err)
	o := pebble.IterOptions{LowerBound: stateKey(nil, r.op, lower), UpperBound: opEnd(r.op)}
	if upper != nil {
		o.UpperBound = stateKey(nil, r.op, upper)
	}
	it, err := r.db.NewIter(&o)
	if err != nil {
		return pebbleError("read", err)
	}
	for ok := first(it); ok; ok = next(it) {
		if err := fn(it.Key()[5:], it.Value()); err != nil {
			_ = it.Close()
			return err
		}
	}
	if err := errors.Join(it.Error(), it.Close()); err != nil {
		return pebbleError("read", err)
	}
	return nil
}

// closed turns the panic of a database that was closed meanwhile into an error.
func closed(err *error) {
	p := recover()
	if p == nil {
		return
	}
	if e, ok := p.(error); !ok || !errors.Is(e, pebble.ErrClosed) {
		panic(p)
	}
	*err = sqlerr.New(sqlerr.ObjectNotInState, "the data directory is closed")
}

// Pin returns a reader that stays at the last checkpoint of now.
func (r *reader) Pin() (state.Reader, func()) {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	// Of a closed store reads say so; a lost one changes no more, and Pebble may hold
	// the lock that a snapshot takes.
	if r.s.pins == nil || r.s.fatal.Load() != nil {
		return r, func() {}
	}
	snap := r.s.db.NewSnapshot()
	r.s.pins[snap] = struct{}{}
	return &reader{r.s, r.op, snap}, sync.OnceFunc(func() {
		r.s.mu.Lock()
		defer r.s.mu.Unlock()
		if _, ok := r.s.pins[snap]; ok { // else Close was first
			delete(r.s.pins, snap)
			_ = snap.Close()
		}
	})
}

// Stats are figures of a store.
type Stats struct {
	DiskBytes   int64 // of all its files but the log of DML
	Tables      int64 // files of sorted entries
	CacheHits   int64
	CacheMisses int64
	Compactions int64 // so far
	Compacting  int64 // bytes that compactions under way read
}

// Stats returns the store's figures. They are zero for a lost store.
func (s *Store) Stats() (st Stats) {
	if s.fatal.Load() != nil {
		return st
	}
	var err error // a store that was closed has no figures
	defer closed(&err)
	m := s.db.Metrics()
	total := m.Total()
	return Stats{
		DiskBytes:   int64(m.DiskSpaceUsage()),
		Tables:      total.NumFiles,
		CacheHits:   m.BlockCache.Hits,
		CacheMisses: m.BlockCache.Misses,
		Compactions: m.Compact.Count,
		Compacting:  m.Compact.InProgressBytes,
	}
}

// Size returns the bytes, about, that the state of operator op takes on disk; what
// was not yet written out of Pebble's memory table is not in it.
func (s *Store) Size(op uint32) (n int64, err error) {
	if e := s.fatal.Load(); e != nil {
		return 0, e
	}
	defer closed(&err)
	size, err := s.db.EstimateDiskUsage(stateKey(nil, op, nil), opEnd(op))
	if err != nil {
		return 0, pebbleError("measure", err)
	}
	return int64(size), nil
}

// Get returns a state entry of operator op, or nil when there is none.
// A lost store refuses.
func (s *Store) Get(op uint32, key []byte) ([]byte, error) {
	if e := s.fatal.Load(); e != nil {
		return nil, e
	}
	return s.Reader(op).Get(key)
}

// Scan calls fn with the state entries of operator op, as a Reader's Scan does.
// A lost store refuses.
func (s *Store) Scan(op uint32, lower, upper []byte, fn func(key, value []byte) error) error {
	if e := s.fatal.Load(); e != nil {
		return e
	}
	return s.Reader(op).Scan(lower, upper, fn)
}
