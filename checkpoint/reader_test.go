package checkpoint

import (
	"errors"
	"fmt"
	"math/rand"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/vfs"

	"github.com/streamsql/streamsql/state"
)

func commit(t *testing.T, s *Store, fill func(w *Writer)) {
	t.Helper()
	_, err := s.Commit(s.Epoch()+1, nil, func(w *Writer) error { fill(w); return nil })
	must(t, err)
}

func TestReader(t *testing.T) {
	s := openStore(t, vfs.NewMem())
	commit(t, s, func(w *Writer) {
		for op := uint32(6); op <= 8; op++ {
			for i := range 10 {
				w.Table(op).Set(fmt.Appendf(nil, "%d", i), fmt.Appendf(nil, "%d.%d", op, i))
			}
		}
	})
	r := s.Reader(7).(state.BackReader)
	list := func(scan func(lo, hi []byte, fn func(k, v []byte) error) error, lo, hi []byte) (out string) {
		t.Helper()
		must(t, scan(lo, hi, func(k, v []byte) error {
			out += fmt.Sprintf("%s=%s ", k, v)
			return nil
		}))
		return out
	}
	for _, c := range []struct {
		got, want string
	}{
		{list(r.Scan, []byte("7"), nil), "7=7.7 8=7.8 9=7.9 "},
		{list(r.Scan, []byte("2"), []byte("4")), "2=7.2 3=7.3 "},
		{list(r.ScanBack, []byte("7"), nil), "9=7.9 8=7.8 7=7.7 "},
		{list(r.ScanBack, nil, []byte("2")), "1=7.1 0=7.0 "},
		{list(r.ScanBack, []byte("3"), []byte("3")), ""},
	} {
		if c.got != c.want {
			t.Errorf("%q, want %q", c.got, c.want)
		}
	}
	stop := errors.New("stop")
	if err := r.Scan(nil, nil, func(_, _ []byte) error { return stop }); err != stop {
		t.Errorf("fn's error came back as %v", err)
	}
	pin, release := r.Pin()
	commit(t, s, func(w *Writer) {
		w.DeleteAll(6)
		w.Table(7).Delete([]byte("0"))
		w.Table(7).Set([]byte("1"), []byte("new"))
	})
	for _, c := range []struct {
		r    state.Reader
		want string
	}{{pin, "7.1"}, {r, "new"}} {
		v, err := c.r.Get([]byte("1"))
		must(t, err)
		if string(v) != c.want {
			t.Errorf("%q, want %q", v, c.want)
		}
	}
	if got := list(s.Reader(6).Scan, nil, nil); got != "" {
		t.Errorf("a dropped operator has %q", got)
	}
	if v, err := r.Get([]byte("0")); v != nil || err != nil {
		t.Errorf("deleted: %q, %v", v, err)
	}
	if st := s.Stats(); st.DiskBytes == 0 {
		t.Errorf("%+v", st)
	}
	if _, err := s.Size(7); err != nil {
		t.Error(err)
	}
	commit(t, s, func(w *Writer) { w.DeleteRange(6, 7) })
	if a, b := list(s.Reader(7).Scan, nil, nil), list(s.Reader(8).Scan, nil, []byte("1")); a != "" || b != "0=8.0 " {
		t.Errorf("after a range of operators: %q, %q", a, b)
	}
	_, leaked := r.Pin() // does not keep Close from closing
	must(t, s.Close())
	release()
	release()
	leaked()
	for _, r := range []state.Reader{r, pin} {
		if _, err := r.Get([]byte("1")); code(err) != "55000" {
			t.Errorf("after Close: %v", err)
		}
		if err := r.Scan(nil, nil, nil); code(err) != "55000" {
			t.Errorf("after Close: %v", err)
		}
	}
	p, release := r.Pin()
	if _, err := p.Get(nil); code(err) != "55000" {
		t.Errorf("pinned after Close: %v", err)
	}
	release()
}

// TestTreesOnStore keeps two trees on a store through checkpoints, evictions and
// reopenings, and compares them with maps.
func TestTreesOnStore(t *testing.T) {
	mem := vfs.NewMem()
	s := openStore(t, mem)
	rng := rand.New(rand.NewSource(1))
	var trees [2]*state.Tree
	models := [2]map[string]int64{{}, {}}
	load := func() {
		for i := range trees {
			trees[i] = state.NewTree()
			trees[i].Load(s.Reader(uint32(i)), nil, nil, len(models[i]))
		}
	}
	load()
	var key []byte
	for round := range 60 {
		for range 1000 {
			i := rng.Intn(2)
			key = fmt.Appendf(key[:0], "\x00%d", rng.Intn(20000))
			w := int64(rng.Intn(4) - 1)
			old, now := trees[i].Add(key, w)
			if old != models[i][string(key)] {
				t.Fatalf("round %d: %q was %d, want %d", round, key, old, models[i][string(key)])
			}
			if models[i][string(key)] = now; now == 0 {
				delete(models[i], string(key))
			}
		}
		caps := []state.Capture{trees[0].Capture(), trees[1].Capture()}
		commit(t, s, func(w *Writer) {
			caps[0].Write(w.Table(0))
			caps[1].Write(w.Table(1))
		})
		for i, c := range caps {
			c.Done(true)
			trees[i].Evict(trees[i].Bytes() / 3)
		}
		if round%20 == 19 {
			must(t, s.Close())
			s = openStore(t, mem)
			load()
		}
	}
	for i, tr := range trees {
		n := 0
		for c := tr.Cursor(); c.Next(); n++ {
			if c.Weight() != models[i][string(c.Key())] {
				t.Fatalf("%q: %d, want %d", c.Key(), c.Weight(), models[i][string(c.Key())])
			}
		}
		back := 0
		c := tr.Cursor()
		for ok := c.Last(); ok; ok = c.Prev() {
			back++
		}
		if n != len(models[i]) || n != tr.Len() || back != n {
			t.Fatalf("%d keys, %d back, Len %d, want %d", n, back, tr.Len(), len(models[i]))
		}
		must(t, tr.Err())
	}
	must(t, s.Close())
}

// TestReadFailure: a read that fails is 58030, and the next may succeed.
func TestReadFailure(t *testing.T) {
	mem := vfs.NewMem()
	s := openStore(t, mem)
	commit(t, s, func(w *Writer) {
		for i := range 1000 {
			w.Set(1, fmt.Appendf(nil, "%04d", i), make([]byte, 1000))
		}
	})
	must(t, s.db.Flush())
	must(t, s.Close())
	var broken atomic.Bool
	fs := &faultFS{FS: mem, before: func(op, _ string) error {
		if broken.Load() && op == "read" {
			return syscall.EIO
		}
		return nil
	}}
	s, err := OpenStore("data", StoreOptions{FS: fs, CacheBytes: 1})
	must(t, err)
	broken.Store(true)
	r := s.Reader(1)
	if _, err := r.Get([]byte("0500")); code(err) != "58030" {
		t.Fatalf("Get: %v", err)
	}
	if err := r.Scan(nil, nil, func(_, _ []byte) error { return nil }); code(err) != "58030" {
		t.Fatalf("Scan: %v", err)
	}
	broken.Store(false)
	if v, err := r.Get([]byte("0500")); err != nil || len(v) != 1000 {
		t.Fatalf("%d bytes, %v", len(v), err)
	}
	must(t, s.Close())
}
