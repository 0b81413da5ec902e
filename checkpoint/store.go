package checkpoint

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/cockroachdb/pebble"
	"github.com/cockroachdb/pebble/bloom"
	"github.com/cockroachdb/pebble/vfs"

	"github.com/streamsql/streamsql/sql/sqlerr"
	"github.com/streamsql/streamsql/state"
)

// FormatVersion is the version of the data directory's layout that this code
// writes, and the newest that it reads.
const FormatVersion = 1

const (
	formatFile   = "FORMAT"
	lockFile     = "LOCK"
	stateDir     = "state"
	formatPrefix = "streamsql data directory, format "
)

// Spaces of the key-value store: the first byte of every key.
const (
	spaceMeta  = 0x01 // one key: the last checkpoint's epoch and meta
	spaceState = 0x02 // operator id, then the state table's own key
)

var metaKey = []byte{spaceMeta}

// StoreOptions configure a Store. The zero value is usable.
type StoreOptions struct {
	// FS is the file system. The default value is the operating system's.
	FS vfs.FS
	// CacheBytes bounds the cache of blocks read from disk. The default value
	// is 64 MiB.
	CacheBytes int64
	// MemTableBytes is the size at which Pebble writes its memory table out.
	// The default value is 64 MiB.
	MemTableBytes uint64
}

func (o StoreOptions) ensureDefaults() StoreOptions {
	if o.FS == nil {
		o.FS = vfs.Default
	}
	if o.CacheBytes == 0 {
		o.CacheBytes = 64 << 20
	}
	if o.MemTableBytes == 0 {
		o.MemTableBytes = 64 << 20
	}
	return o
}

// Store is the durable side of a data directory: the state of every operator
// at the last checkpoint, with what belongs to it (epoch, source positions,
// catalog: the caller's meta) in the same atomic commit. One process owns a
// directory at a time. Reads may run beside one Commit.
type Store struct {
	db    *pebble.DB
	lock  io.Closer
	epoch atomic.Uint64
	meta  atomic.Pointer[[]byte]
	fatal atomic.Pointer[sqlerr.Error] // set once: the store is lost to this process
	lost  chan struct{}                // closed then

	failures atomic.Int32 // of Pebble's background work, in a row

	mu   sync.Mutex
	pins map[*pebble.Snapshot]struct{} // to be closed before the database is
}

// OpenStore opens the data directory dir, made if it is not there. Errors:
// 55006 when another process has it, 58030 or 53100 from the file system,
// XX001 for damage, 0A000 for a directory written by a newer version.
func OpenStore(dir string, opts StoreOptions) (*Store, error) {
	opts = opts.ensureDefaults()
	fs := opts.FS
	if err := makeDir(fs, dir); err != nil {
		return nil, err
	}
	lock, err := fs.Lock(fs.PathJoin(dir, lockFile))
	var errno syscall.Errno
	var pathErr *os.PathError
	if errors.As(err, &pathErr) || errors.As(err, &errno) && errno != syscall.EAGAIN && errno != syscall.EACCES {
		return nil, ioError("lock", dir, err)
	}
	if err != nil {
		return nil, sqlerr.New("55006", "data directory %s is in use by another process", dir).
			WithDetail("%v", err).WithHint("Stop the other server, or give this one a directory of its own with --data.")
	}
	s := &Store{lock: lock, lost: make(chan struct{}), pins: map[*pebble.Snapshot]struct{}{}}
	if err := s.open(dir, opts); err != nil {
		_ = lock.Close()
		return nil, err
	}
	return s, nil
}

func (s *Store) open(dir string, opts StoreOptions) error {
	if err := makeDir(opts.FS, opts.FS.PathJoin(dir, stateDir)); err != nil {
		return err
	}
	if err := checkFormat(opts.FS, dir); err != nil {
		return err
	}
	cache := pebble.NewCache(opts.CacheBytes)
	defer cache.Unref()
	level := pebble.LevelOptions{FilterPolicy: bloom.FilterPolicy(10), FilterType: pebble.TableFilter}
	po := &pebble.Options{
		FS:                    opts.FS,
		Cache:                 cache,
		MemTableSize:          opts.MemTableBytes,
		FormatMajorVersion:    pebble.FormatNewest,
		L0CompactionThreshold: 16, // a checkpoint a second makes many small tables
		L0StopWritesThreshold: 64,
		Levels:                []pebble.LevelOptions{level},
		Logger:                pebbleLog{s},
		EventListener: &pebble.EventListener{
			BackgroundError: s.backgroundError,
			FlushEnd:        func(i pebble.FlushInfo) { s.backgroundDone(i.Err) },
			CompactionEnd:   func(i pebble.CompactionInfo) { s.backgroundDone(i.Err) },
		},
	}
	var db *pebble.DB
	err := s.guard(func() (err error) {
		db, err = pebble.Open(opts.FS.PathJoin(dir, stateDir), po)
		return err
	})
	if err != nil {
		return pebbleError("open", err)
	}
	v, closer, err := db.Get(metaKey)
	switch {
	case errors.Is(err, pebble.ErrNotFound):
		v = make([]byte, 8)
	case err != nil:
		_ = s.guard(db.Close) // Pebble's background work may have failed too
		return pebbleError("read", err)
	default:
		v = bytes.Clone(v)
		_ = closer.Close()
	}
	if len(v) < 8 {
		_ = s.guard(db.Close)
		return sqlerr.New(codeDamaged, "the last checkpoint's record is damaged: %d bytes", len(v))
	}
	s.db = db
	s.epoch.Store(binary.LittleEndian.Uint64(v))
	meta := v[8:]
	s.meta.Store(&meta)
	return nil
}

// makeDir makes dir and the directories above it that are missing, so that
// they survive a crash.
func makeDir(fs vfs.FS, dir string) error {
	if _, err := fs.Stat(dir); err == nil {
		return nil
	}
	parent := fs.PathDir(dir)
	if parent != dir {
		if err := makeDir(fs, parent); err != nil {
			return err
		}
	}
	if err := fs.MkdirAll(dir, 0o755); err != nil {
		return ioError("create", dir, err)
	}
	return syncDir(fs, parent)
}

// checkFormat reads the format file, or writes it into a new directory.
func checkFormat(fs vfs.FS, dir string) error {
	path := fs.PathJoin(dir, formatFile)
	f, err := fs.Open(path)
	if err == nil {
		b, err := io.ReadAll(f)
		_ = f.Close()
		if err != nil {
			return ioError("read", path, err)
		}
		text, ok := strings.CutPrefix(strings.TrimSpace(string(b)), formatPrefix)
		n, err := strconv.Atoi(text)
		if !ok || err != nil {
			return sqlerr.New(codeDamaged, "%s does not name a format: %q", path, b)
		}
		if n > FormatVersion {
			return sqlerr.New(sqlerr.FeatureNotSupported, "data directory %s has format %d, this version reads up to %d", dir, n, FormatVersion).
				WithHint("Run the version of streamsql that wrote it, or a newer one.")
		}
		return nil
	}
	if !errors.Is(err, os.ErrNotExist) {
		return ioError("open", path, err)
	}
	// A name of its own until it is whole and on disk.
	tmp := path + ".tmp"
	if f, err = fs.Create(tmp); err != nil {
		return ioError("create", tmp, err)
	}
	_, err = fmt.Fprintf(f, "%s%d\n", formatPrefix, FormatVersion)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = fs.Rename(tmp, path)
	}
	if err == nil {
		err = syncDir(fs, dir)
	}
	if err != nil {
		return ioError("write", path, err)
	}
	return nil
}

// pebbleLog drops Pebble's own log; errors come back from its calls.
type pebbleLog struct{ s *Store }

func (pebbleLog) Infof(string, ...any)  {}
func (pebbleLog) Errorf(string, ...any) {}

// Fatalf is what Pebble calls where it cannot go on, such as a write to its log
// that failed, and must not return. It ends the calling goroutine alone: the
// store refuses everything from then on, the process lives.
func (l pebbleLog) Fatalf(format string, args ...any) {
	err := fmt.Errorf(format, args...)
	for _, a := range args {
		if cause, ok := a.(error); ok {
			err = cause // keeps the system's error code
		}
	}
	l.s.lose(err)
	runtime.Goexit()
}

// lose gives the store up for this process.
func (s *Store) lose(err error) {
	if s.fatal.CompareAndSwap(nil, pebbleError("write", err)) {
		close(s.lost)
	}
}

// maxFailures is how often in a row Pebble's flushes and compactions may fail. It
// tries again at once and for ever, while commits wait: on a full disk the
// store is better lost with a clear error.
const maxFailures = 16

func (s *Store) backgroundError(err error) {
	if s.failures.Add(1) >= maxFailures {
		s.lose(err)
		runtime.Goexit() // or it would go round and round
	}
}

func (s *Store) backgroundDone(err error) {
	if err == nil {
		s.failures.Store(0)
	}
}

// guard runs fn on a goroutine of its own, which Fatalf may end, and returns
// the error that ended it. Pebble also panics, where a file of its own log cannot
// be made: it holds locks then, and the store is lost as well.
func (s *Store) guard(fn func() error) error {
	if e := s.fatal.Load(); e != nil {
		return e
	}
	done := make(chan error, 1)
	go func() {
		defer close(done)
		defer func() {
			if p := recover(); p != nil {
				err, ok := p.(error)
				if !ok {
					err = fmt.Errorf("%v", p)
				}
				s.lose(err)
			}
		}()
		done <- fn()
	}()
	select {
	case err, ok := <-done:
		if e := s.fatal.Load(); e != nil {
			return e
		}
		if !ok {
			return sqlerr.New(sqlerr.Internal, "the state store's call did not return")
		}
		return err
	case <-s.lost: // fn may wait forever for the goroutine that Fatalf ended
		return s.fatal.Load()
	}
}

// Epoch returns the epoch of the last checkpoint, 0 before the first.
func (s *Store) Epoch() uint64 { return s.epoch.Load() }

// Meta returns what the last checkpoint's caller stored beside the state.
func (s *Store) Meta() []byte { return *s.meta.Load() }

func stateKey(dst []byte, op uint32, key []byte) []byte {
	return append(binary.BigEndian.AppendUint32(append(dst, spaceState), op), key...)
}

// opEnd is the first key after those of operator op.
func opEnd(op uint32) []byte {
	if op == math.MaxUint32 {
		return []byte{spaceState + 1}
	}
	return stateKey(nil, op+1, nil)
}

// Writer collects the writes of one checkpoint. Writes to one key apply in order.
type Writer struct {
	b   *pebble.Batch
	buf []byte
	err error
}

// Set stores a state entry of operator op.
func (w *Writer) Set(op uint32, key, value []byte) {
	w.buf = stateKey(w.buf[:0], op, key)
	w.err = errors.Join(w.err, w.b.Set(w.buf, value, nil))
}

// Delete removes a state entry of operator op.
func (w *Writer) Delete(op uint32, key []byte) {
	w.buf = stateKey(w.buf[:0], op, key)
	w.err = errors.Join(w.err, w.b.Delete(w.buf, nil))
}

// Table returns a writer for the state of operator op.
func (w *Writer) Table(op uint32) state.Writer { return tableWriter{w, op} }

type tableWriter struct {
	w  *Writer
	op uint32
}

func (t tableWriter) Set(key, value []byte) { t.w.Set(t.op, key, value) }
func (t tableWriter) Delete(key []byte)     { t.w.Delete(t.op, key) }

// DeleteAll removes the whole state of operator op.
func (w *Writer) DeleteAll(op uint32) { w.DeleteRange(op, op) }

// DeleteRange removes the whole state of the operators from first to last.
func (w *Writer) DeleteRange(first, last uint32) {
	w.err = errors.Join(w.err, w.b.DeleteRange(stateKey(nil, first, nil), opEnd(last), nil))
}

// Commit makes the writes that fill makes, the epoch and meta durable in one
// atomic step: after a crash either all of them are there, or none. It returns
// the bytes handed to Pebble. epoch must be above the last one.
func (s *Store) Commit(epoch uint64, meta []byte, fill func(*Writer) error) (int64, error) {
	if last := s.Epoch(); epoch <= last {
		return 0, sqlerr.New(sqlerr.Internal, "checkpoint of epoch %d after that of epoch %d", epoch, last)
	}
	w := &Writer{b: s.db.NewBatch()}
	if err := fill(w); err != nil {
		return 0, errors.Join(err, w.b.Close())
	}
	v := append(binary.LittleEndian.AppendUint64(nil, epoch), meta...)
	if err := errors.Join(w.err, w.b.Set(metaKey, v, nil)); err != nil {
		return 0, pebbleError("collect", err)
	}
	n := int64(w.b.Len())
	if err := s.guard(func() error { return w.b.Commit(pebble.Sync) }); err != nil {
		return 0, pebbleError("commit", err)
	}
	kept := v[8:]
	s.meta.Store(&kept)
	s.epoch.Store(epoch)
	return n, w.b.Close()
}

// Close releases the directory. What was committed is durable already. Of a store
// that a failed write has lost it returns that error; it keeps Pebble's own
// lock until the process ends.
func (s *Store) Close() error {
	if e := s.fatal.Load(); e != nil { // Pebble may hold locks that nobody releases
		_ = s.lock.Close()
		return e
	}
	err := s.guard(func() error {
		s.mu.Lock()
		for p := range s.pins {
			_ = p.Close()
		}
		s.pins = nil
		s.mu.Unlock()
		return s.db.Close()
	})
	if err := errors.Join(err, s.lock.Close()); err != nil {
		return pebbleError("close", err)
	}
	return nil
}

// pebbleError is err, of the named operation on the state store, as a *sqlerr.Error.
func pebbleError(op string, err error) *sqlerr.Error {
	var known *sqlerr.Error
	if errors.As(err, &known) {
		return known
	}
	e := sqlerr.From(ioError(op, "the state store", err))
	if errors.Is(err, pebble.ErrCorruption) {
		e.Code = codeDamaged
	}
	return e
}
