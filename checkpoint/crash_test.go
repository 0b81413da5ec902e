package checkpoint

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/vfs"

	"github.com/streamsql/streamsql/sql/sqlerr"
	"github.com/streamsql/streamsql/state"
)

// node is a small engine: writes go into the log and a tree, checkpoints put the
// tree and the log's position into the store and cut the log off. Write n adds
// key n, and 1 to the weight of a key shared by every seventh.
type node struct {
	store *Store
	log   *Log
	tree  *state.Tree
	n     uint64 // writes in tree
}

func record(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }

func (e *node) apply(n uint64) error {
	e.tree.Begin()
	e.tree.Add(record(n), 1)
	e.tree.Add([]byte{1, byte(n % 7)}, 1)
	if err := e.tree.Err(); err != nil {
		e.tree.Rollback()
		return err
	}
	e.tree.Commit()
	e.n = n
	return nil
}

// recoverNode opens the store and the log, and brings the tree to the log's end.
func recoverNode(fs vfs.FS) (*node, error) {
	e := &node{tree: state.NewTree()}
	if err := e.recover(fs); err != nil {
		_ = e.close() // the first error is the one to report
		return nil, err
	}
	return e, nil
}

func (e *node) recover(fs vfs.FS) (err error) {
	if e.store, err = OpenStore("data", StoreOptions{FS: fs, MemTableBytes: 4 << 10}); err != nil {
		return err
	}
	if e.log, err = OpenLog(fs, "data/wal", LogOptions{SegmentBytes: 200}); err != nil {
		return err
	}
	keys := 0
	if meta := e.store.Meta(); len(meta) == 16 {
		e.n = binary.BigEndian.Uint64(meta)
		keys = int(binary.BigEndian.Uint64(meta[8:]))
	}
	e.tree.Load(e.store.Reader(3), nil, nil, keys)
	if first := e.log.FirstSeq(); first > e.n+1 {
		return fmt.Errorf("the log begins at %d, the checkpoint ends with %d", first, e.n)
	}
	err = e.log.Replay(e.n+1, func(seq uint64, payload []byte) error {
		if n := binary.BigEndian.Uint64(payload); n != seq || n != e.n+1 {
			return fmt.Errorf("record %d holds write %d, expected %d", seq, n, e.n+1)
		}
		return e.apply(seq)
	})
	return err
}

func (e *node) write() error {
	seq, err := e.log.Append(record(e.n + 1))
	if err != nil {
		return err
	}
	if seq != e.n+1 {
		return fmt.Errorf("write %d got sequence number %d", e.n+1, seq)
	}
	if err := e.log.Sync(); err != nil {
		return err
	}
	return e.apply(seq)
}

func (e *node) checkpoint() error {
	c := e.tree.Capture()
	meta := binary.BigEndian.AppendUint64(record(e.n), uint64(e.tree.Len()))
	_, err := e.store.Commit(e.store.Epoch()+1, meta, func(w *Writer) error {
		c.Write(w.Table(3))
		return nil
	})
	c.Done(err == nil)
	if err != nil {
		return err
	}
	e.tree.Evict(1 << 20)
	return e.log.Truncate(e.n)
}

func (e *node) close() error {
	var err error
	if e.log != nil {
		err = e.log.Close()
	}
	if e.store != nil {
		err = errors.Join(err, e.store.Close())
	}
	return err
}

// check compares the tree with the writes 1 to n.
func (e *node) check(t *testing.T) {
	t.Helper()
	shared := map[byte]int64{}
	for n := uint64(1); n <= e.n; n++ {
		if w := e.tree.Get(record(n)); w != 1 {
			t.Fatalf("write %d of %d is there %d times", n, e.n, w)
		}
		shared[byte(n%7)]++
	}
	for k, want := range shared {
		if w := e.tree.Get([]byte{1, k}); w != want {
			t.Fatalf("shared key %d: %d, want %d", k, w, want)
		}
	}
	if got, want := e.tree.Len(), int(e.n)+len(shared); got != want {
		t.Fatalf("%d keys, want %d", got, want)
	}
	must(t, e.tree.Err())
}

// life runs a node through writes, checkpoints and reopenings. It counts the writes
// that were acknowledged, and those that were tried, until crashed says so.
type life struct {
	lives        int
	acked, tried uint64
	crashed      func() bool
}

func (l *life) run(fs vfs.FS) error {
	for range l.lives {
		e, err := recoverNode(fs)
		if err != nil {
			return err
		}
		err = l.live(e)
		if err := errors.Join(err, e.close()); err != nil {
			return err
		}
	}
	return nil
}

func (l *life) live(e *node) error {
	for i := range 12 {
		if !l.crashed() {
			l.tried = e.n + 1
		}
		if err := e.write(); err != nil {
			return err
		}
		if !l.crashed() {
			l.acked = e.n
		}
		if i%4 == 2 {
			if err := e.checkpoint(); err != nil {
				return err
			}
		}
	}
	return nil
}

// check recovers and compares, and that the node still works.
func (l *life) check(t *testing.T, fs vfs.FS) {
	t.Helper()
	e, err := recoverNode(fs)
	must(t, err)
	if e.n < l.acked || e.n > l.tried {
		t.Fatalf("recovered %d writes; %d were acknowledged, %d tried", e.n, l.acked, l.tried)
	}
	e.check(t)
	must(t, e.write())
	must(t, e.checkpoint())
	must(t, e.write())
	e.check(t)
	must(t, e.close())
}

// TestPairCrashAfterEachCall loses every unsynced byte after each call of store
// and log that reaches the file system.
func TestPairCrashAfterEachCall(t *testing.T) {
	for n := int64(1); ; n++ {
		mem := vfs.NewStrictMem()
		var calls atomic.Int64
		fs := &faultFS{FS: mem, after: func(string, string) {
			if calls.Add(1) == n {
				mem.SetIgnoreSyncs(true)
			}
		}}
		l := &life{lives: 3, crashed: func() bool { return calls.Load() >= n }}
		must(t, l.run(fs))
		mem.ResetToSyncedState()
		mem.SetIgnoreSyncs(false)
		l.check(t, mem)
		if calls.Load() < n {
			if n < 300 {
				t.Fatalf("only %d calls reached the file system", calls.Load())
			}
			return
		}
	}
}

// TestPairFaultAtEachCall lets each call fail, once or from then on, with a full disk
// or an error of the device: the node says so or goes on, and recovers.
func TestPairFaultAtEachCall(t *testing.T) {
	for _, c := range []struct {
		err   error
		code  string
		stays bool
	}{
		{syscall.ENOSPC, sqlerr.DiskFull, true},
		{syscall.EIO, sqlerr.IOError, false},
		{syscall.EIO, sqlerr.IOError, true},
	} {
		failed := 0
		for n := int64(1); ; n++ {
			mem := vfs.NewMem()
			var calls atomic.Int64
			var what atomic.Value
			fs := &faultFS{FS: mem, before: func(op, name string) error {
				k := calls.Add(1)
				if c.err == syscall.ENOSPC && op != "write" && op != "create" && op != "preallocate" {
					return nil // a full disk still reads, syncs and removes
				}
				if k == n || c.stays && k > n {
					what.CompareAndSwap(nil, op+" "+name)
					return c.err
				}
				return nil
			}}
			l := &life{lives: 2, crashed: func() bool { return false }}
			done := make(chan error, 1)
			go func() { done <- l.run(fs) }()
			var err error
			select {
			case err = <-done:
			case <-time.After(20 * time.Second):
				t.Fatalf("%v at call %d (%v): it hangs", c.err, n, what.Load())
			}
			if err != nil {
				failed++
				if got := code(err); got != c.code {
					t.Fatalf("%v at call %d (%v): %s %v", c.err, n, what.Load(), got, err)
				}
			}
			// A lost store keeps its locks: the files as another process would find them.
			next := vfs.NewMem()
			if _, err := mem.Stat("data"); err == nil {
				_, err := vfs.Clone(mem, next, "data", "data", vfs.CloneSkip(func(n string) bool { return strings.HasSuffix(n, "LOCK") }))
				must(t, err)
			}
			if !t.Run(fmt.Sprintf("%v %v", c.err, what.Load()), func(t *testing.T) { l.check(t, next) }) {
				t.Fatalf("%v at call %d (%v)", c.err, n, what.Load())
			}
			if calls.Load() < n {
				if failed < 50 {
					t.Fatalf("only %d of %d calls made it fail", failed, n)
				}
				break
			}
		}
	}
}
