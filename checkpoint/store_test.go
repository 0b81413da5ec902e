package checkpoint

import (
	"fmt"
	"maps"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/vfs"
)

func openStore(t *testing.T, fs vfs.FS) *Store {
	t.Helper()
	s, err := OpenStore("data", StoreOptions{FS: fs})
	must(t, err)
	return s
}

// content reads the whole state of operators 1 to 3 as "op/key" → value.
func content(t *testing.T, s *Store) map[string]string {
	t.Helper()
	out := map[string]string{}
	for op := uint32(1); op <= 3; op++ {
		must(t, s.Scan(op, nil, nil, func(k, v []byte) error {
			out[fmt.Sprintf("%d/%s", op, k)] = string(v)
			return nil
		}))
	}
	return out
}

// storeScript commits epochs 1 to 6, with a reopening in the middle, and keeps
// the state that belongs to each.
type storeScript struct {
	states  []map[string]string // by epoch
	acked   uint64              // the last that was durable for certain
	crashed func() bool         // what is acknowledged from then on does not count
}

func (c *storeScript) run(fs vfs.FS) error {
	c.states = []map[string]string{{}}
	var s *Store
	for epoch := uint64(1); epoch <= 6; epoch++ {
		if epoch == 1 || epoch == 4 {
			if s != nil {
				if err := s.Close(); err != nil {
					return err
				}
			}
			var err error
			if s, err = OpenStore("data", StoreOptions{FS: fs}); err != nil {
				return err
			}
		}
		state := maps.Clone(c.states[len(c.states)-1])
		c.states = append(c.states, state)
		_, err := s.Commit(epoch, fmt.Appendf(nil, "meta %d", epoch), func(w *Writer) error {
			for k := range 20 {
				key := fmt.Sprintf("k%d", k)
				w.Set(uint32(1+k%2), []byte(key), fmt.Appendf(nil, "%d", epoch))
				state[fmt.Sprintf("%d/%s", 1+k%2, key)] = fmt.Sprint(epoch)
			}
			w.Delete(1, fmt.Appendf(nil, "k%d", 2*epoch))
			delete(state, fmt.Sprintf("1/k%d", 2*epoch))
			if epoch == 5 {
				w.DeleteAll(2)
				maps.DeleteFunc(state, func(k, _ string) bool { return strings.HasPrefix(k, "2/") })
			}
			return nil
		})
		if err != nil {
			_ = s.Close()
			return err
		}
		if !c.crashed() {
			c.acked = epoch
		}
	}
	return s.Close()
}

func (c *storeScript) check(t *testing.T, fs vfs.FS) {
	t.Helper()
	s := openStore(t, fs)
	defer func() { must(t, s.Close()) }()
	e := s.Epoch()
	if e < c.acked || e >= uint64(max(1, len(c.states))) {
		t.Fatalf("recovered epoch %d; %d was acknowledged, %d tried", e, c.acked, len(c.states)-1)
	}
	want, meta := map[string]string{}, ""
	if e > 0 {
		want, meta = c.states[e], fmt.Sprintf("meta %d", e)
	}
	if got := content(t, s); !maps.Equal(got, want) || string(s.Meta()) != meta {
		t.Fatalf("epoch %d: meta %q, state\n%v\nwant\n%v", e, s.Meta(), got, want)
	}
}

// TestStoreCrashAfterEachCall loses every unsynced byte after each call of the
// script that reaches the file system, and recovers.
func TestStoreCrashAfterEachCall(t *testing.T) {
	for n := int64(0); ; n++ {
		mem := vfs.NewStrictMem()
		var calls atomic.Int64
		fs := &faultFS{FS: mem, after: func(string, string) {
			if calls.Add(1) == n {
				mem.SetIgnoreSyncs(true)
			}
		}}
		mem.SetIgnoreSyncs(n == 0)
		c := storeScript{crashed: func() bool { return calls.Load() >= n }}
		must(t, c.run(fs))
		mem.ResetToSyncedState()
		mem.SetIgnoreSyncs(false)
		c.check(t, mem)
		if calls.Load() < n {
			if n < 50 {
				t.Fatalf("only %d calls reached the file system", calls.Load())
			}
			return
		}
	}
}

func TestStoreRefusals(t *testing.T) {
	dir := t.TempDir()
	s, err := OpenStore(dir, StoreOptions{})
	must(t, err)
	if _, err := OpenStore(dir, StoreOptions{}); code(err) != "55006" {
		t.Fatalf("a second owner: %v", err)
	}
	if _, err := s.Commit(0, nil, func(*Writer) error { return nil }); code(err) != "XX000" {
		t.Fatalf("an epoch that goes back: %v", err)
	}
	must(t, s.Close())

	mem := vfs.NewMem()
	must(t, openStore(t, mem).Close())
	write(t, mem, "data/FORMAT", []byte(formatPrefix+"2\n"))
	if _, err := OpenStore("data", StoreOptions{FS: mem}); code(err) != "0A000" || !strings.Contains(err.Error(), "has format 2") {
		t.Fatalf("a newer format: %v", err)
	}
	write(t, mem, "data/FORMAT", []byte("something else\n"))
	if _, err := OpenStore("data", StoreOptions{FS: mem}); code(err) != codeDamaged {
		t.Fatalf("no format: %v", err)
	}
}

// TestStoreFailedFill leaves nothing of a checkpoint whose writes could not be made.
func TestStoreFailedFill(t *testing.T) {
	s := openStore(t, vfs.NewMem())
	_, err := s.Commit(1, nil, func(w *Writer) error {
		w.Set(1, []byte("k"), []byte("v"))
		return syscall.EIO
	})
	if err == nil || s.Epoch() != 0 || len(content(t, s)) != 0 {
		t.Fatalf("%v, epoch %d", err, s.Epoch())
	}
	must(t, s.Close())
}

// TestStoreFullDisk: a full disk is an error, not the end of the process, and
// the last checkpoint is there when there is room again.
func TestStoreFullDisk(t *testing.T) {
	mem := vfs.NewMem()
	var full atomic.Bool
	fs := &faultFS{FS: mem, before: func(op, name string) error {
		if full.Load() && op == "write" {
			return syscall.ENOSPC
		}
		return nil
	}}
	s := openStore(t, fs)
	commit := func(epoch uint64) error {
		_, err := s.Commit(epoch, nil, func(w *Writer) error {
			w.Set(1, []byte("k"), fmt.Append(nil, epoch))
			return nil
		})
		return err
	}
	must(t, commit(1))
	full.Store(true)
	if err := commit(2); code(err) != "53100" {
		t.Fatalf("on a full disk: %v", err)
	}
	if _, err := s.Get(1, []byte("k")); err == nil {
		t.Fatal("a lost store still answers")
	}
	full.Store(false)
	if err := s.Close(); code(err) != "53100" {
		t.Fatalf("closing a lost store: %v", err)
	}
	// The files as another process would find them: a lost store keeps its locks.
	next := vfs.NewMem()
	_, err := vfs.Clone(mem, next, "data", "data", vfs.CloneSkip(func(n string) bool { return strings.HasSuffix(n, "LOCK") }))
	must(t, err)
	s = openStore(t, next)
	got := content(t, s)["1/k"]
	if want := fmt.Sprint(s.Epoch()); got != want {
		t.Fatalf("epoch %s holds %s", want, got)
	}
	must(t, s.Close())
}

func TestStoreScanAndGet(t *testing.T) {
	s := openStore(t, vfs.NewMem())
	n, err := s.Commit(7, []byte("m"), func(w *Writer) error {
		for _, k := range []string{"", "a", "b", "c"} {
			w.Set(2, []byte(k), []byte("v"+k))
		}
		w.Set(1, []byte{0xFF, 0xFF}, []byte("other"))
		w.Set(3, nil, []byte("other"))
		return nil
	})
	must(t, err)
	if n <= 0 || s.Epoch() != 7 || string(s.Meta()) != "m" {
		t.Fatalf("%d bytes, epoch %d, meta %q", n, s.Epoch(), s.Meta())
	}
	var got []string
	must(t, s.Scan(2, []byte("a"), []byte("c"), func(k, v []byte) error {
		got = append(got, string(k)+"="+string(v))
		return nil
	}))
	if strings.Join(got, " ") != "a=va b=vb" {
		t.Fatalf("%q", got)
	}
	v, err := s.Get(2, nil)
	must(t, err)
	if string(v) != "v" {
		t.Fatalf("%q", v)
	}
	if v, err = s.Get(2, []byte("zz")); v != nil || err != nil {
		t.Fatalf("%q, %v", v, err)
	}
	must(t, s.Close())
}
