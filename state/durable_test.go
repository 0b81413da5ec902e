package state

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
)

// treeDisk is a durable state in memory: sorted entries, replaced as a whole by a
// commit, so that a pinned one stays as it is. Any goroutine may read it.
type treeDisk struct {
	v     atomic.Pointer[[]treeEntry]
	reads atomic.Int64 // entries read
	fail  atomic.Bool
	pins  atomic.Int64
}

type treeEntry struct{ k, v string }

var errDisk = errors.New("the treeDisk is gone")

func (d *treeDisk) entries() []treeEntry {
	if p := d.v.Load(); p != nil {
		return *p
	}
	return nil
}

func (d *treeDisk) find(key []byte) int {
	i, _ := slices.BinarySearchFunc(d.entries(), string(key), func(e treeEntry, k string) int { return strings.Compare(e.k, k) })
	return i
}

func (d *treeDisk) Get(key []byte) ([]byte, error) {
	if d.fail.Load() {
		return nil, errDisk
	}
	d.reads.Add(1)
	if i := d.find(key); i < len(d.entries()) && d.entries()[i].k == string(key) {
		return []byte(d.entries()[i].v), nil
	}
	return nil, nil
}

func (d *treeDisk) Scan(lower, upper []byte, fn func(k, v []byte) error) error {
	var buf []byte
	for _, e := range d.entries()[d.find(lower):] {
		if upper != nil && e.k >= string(upper) {
			break
		}
		if d.fail.Load() {
			return errDisk
		}
		d.reads.Add(1)
		buf = append(buf[:0], e.k...)
		if err := fn(buf, []byte(e.v)); err != nil {
			return err
		}
		for i := range buf { // it is fn's only during the call
			buf[i] = 0xEE
		}
	}
	return nil
}

func (d *treeDisk) Pin() (Reader, func()) {
	p := &treeDisk{}
	p.v.Store(d.v.Load())
	d.pins.Add(1)
	return p, func() {
		d.pins.Add(-1)
		p.fail.Store(true)
	}
}

// backDisk is a treeDisk that also scans back.
type backDisk struct{ *treeDisk }

func (d backDisk) ScanBack(lower, upper []byte, fn func(k, v []byte) error) error {
	i := len(d.entries())
	if upper != nil {
		i = d.find(upper)
	}
	for i--; i >= 0 && d.entries()[i].k >= string(lower); i-- {
		d.reads.Add(1)
		if err := fn([]byte(d.entries()[i].k), []byte(d.entries()[i].v)); err != nil {
			return err
		}
	}
	return nil
}

func (d backDisk) Pin() (Reader, func()) {
	r, release := d.treeDisk.Pin()
	return backDisk{r.(*treeDisk)}, release
}

// commit applies a batch, whose keys ascend.
func (d *treeDisk) commit(b *batch) {
	old := d.entries()
	out := make([]treeEntry, 0, len(old)+len(b.ops))
	for i, o := range b.ops {
		if i > 0 && o.k <= b.ops[i-1].k {
			panic("writes out of order")
		}
		n := 0
		for n < len(old) && old[n].k < o.k {
			n++
		}
		out = append(out, old[:n]...)
		if old = old[n:]; len(old) > 0 && old[0].k == o.k {
			old = old[1:]
		}
		if !o.del {
			out = append(out, treeEntry{o.k, o.v})
		}
	}
	out = append(out, old...)
	d.v.Store(&out)
	b.ops = nil
}

func (d *treeDisk) weights(t *testing.T) map[string]int64 {
	t.Helper()
	m := map[string]int64{}
	for _, e := range d.entries() {
		w, err := ParseWeight([]byte(e.v))
		if err != nil {
			t.Fatal(err)
		}
		m[e.k] = w
	}
	return m
}

// check compares the treeDisk with a model.
func (d *treeDisk) check(t *testing.T, m map[string]int64) {
	t.Helper()
	if got := d.weights(t); !maps.Equal(got, m) {
		t.Fatalf("%d keys durable, want %d", len(got), len(m))
	}
}

// batch is a Writer.
type batch struct{ ops []op }

type op struct {
	k, v string
	del  bool
}

func (b *batch) Set(k, v []byte) { b.ops = append(b.ops, op{string(k), string(v), false}) }
func (b *batch) Delete(k []byte) { b.ops = append(b.ops, op{string(k), "", true}) }

func TestDurableModel(t *testing.T) {
	for seed := range uint64(8) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 7))
			space := []int{40, 3000, 20000, 400}[seed%4]
			pad := strings.Repeat("x", 3000)
			gen := func() string {
				i := rng.IntN(space)
				switch {
				case i == 0:
					return ""
				case seed >= 4 && i%50 == 0:
					return pad[:i%3000] + fmt.Sprint(i)
				}
				return fmt.Sprintf("%08d", i)
			}
			d := &treeDisk{}
			var r Reader = d
			if seed%2 == 0 {
				r = backDisk{d}
			}
			modelRun(t, rng, gen, 12000, d, r)
			if d.reads.Load() == 0 && space > 400 || d.pins.Load() != 0 {
				t.Errorf("%d reads, %d pins left", d.reads.Load(), d.pins.Load())
			}
		})
	}
}

// TestLoadLazily opens a large durable state and walks parts of it: what is read
// is about what is asked for.
func TestLoadLazily(t *testing.T) {
	d := &treeDisk{}
	var b batch
	const n = 50000
	for i := range n {
		b.Set(fmt.Appendf(nil, "%08d", i), AppendWeight(nil, int64(i+1)))
	}
	d.commit(&b)
	tr := NewTree()
	tr.Load(backDisk{d}, nil, nil, n)
	if tr.Len() != n || d.reads.Load() != 0 {
		t.Fatalf("%d keys, %d read", tr.Len(), d.reads.Load())
	}
	if w := tr.Get([]byte("00030000")); w != 30001 {
		t.Fatalf("weight %d", w)
	}
	c := tr.Cursor()
	if !c.Last() || string(c.Key()) != fmt.Sprintf("%08d", n-1) {
		t.Fatal("Last")
	}
	for range 10 {
		c.Prev()
	}
	if string(c.Key()) != fmt.Sprintf("%08d", n-11) {
		t.Fatalf("%q", c.Key())
	}
	s := tr.Snapshot()
	if w := s.Get([]byte("00000007")); w != 8 {
		t.Fatalf("weight %d", w)
	}
	sc := s.Cursor()
	sc.Seek([]byte("00010000"))
	for i := 10000; i < 10300; i++ {
		if string(sc.Key()) != fmt.Sprintf("%08d", i) || sc.Weight() != int64(i+1) {
			t.Fatalf("at %d: %q", i, sc.Key())
		}
		sc.Next()
	}
	s.Release()
	if r := d.reads.Load(); r > 2000 {
		t.Errorf("%d entries read", r)
	}
	check(t, tr)
	// Random keys until all is there; then nothing is read any more.
	rng := rand.New(rand.NewPCG(1, 1))
	for range n {
		i := rng.IntN(n)
		if w := tr.Get(fmt.Appendf(nil, "%08d", i)); w != int64(i+1) {
			t.Fatalf("key %d has weight %d", i, w)
		}
	}
	check(t, tr)
	if r := d.reads.Load(); r > 2*n {
		t.Errorf("%d entries read for %d", r, n)
	}
}

// TestReadFailure: what cannot be read is an error, changes nothing, and is over
// with the step.
func TestReadFailure(t *testing.T) {
	d := &treeDisk{}
	var b batch
	for i := range 2000 {
		b.Set(fmt.Appendf(nil, "%06d", i), AppendWeight(nil, 1))
	}
	d.commit(&b)
	tr := NewTree()
	tr.Load(d, nil, nil, 2000)
	m := d.weights(t)
	s := tr.Snapshot()
	for range 3 {
		d.fail.Store(true)
		tr.Begin()
		tr.Add([]byte("000500"), 5)
		if !errors.Is(tr.Err(), errDisk) {
			t.Fatalf("Add: %v", tr.Err())
		}
		tr.Add([]byte("000600"), -1)
		tr.Get([]byte("000700"))
		c := tr.Cursor()
		for c.Next() {
		}
		for ok := c.Last(); ok; ok = c.Prev() {
		}
		tr.Rollback()
		d.fail.Store(false)
		if tr.Err() != nil {
			t.Fatal(tr.Err())
		}
		check(t, tr)
		tr.Get([]byte("001000"))
	}
	same(t, tr, m, rand.New(rand.NewPCG(1, 1)), func() string { return "000800" })
	if s.Err() != nil {
		t.Fatal(s.Err())
	}
	s.Release()

	tr = NewTree()
	tr.Load(d, nil, nil, -1)
	d.v.Store(&[]treeEntry{{"a", "\x00"}})
	if tr.Get([]byte("a")) != 0 || tr.Err() == nil {
		t.Fatal("a damaged weight was taken")
	}
}

// TestEvictBudget keeps a tree of 4 times the budget under it.
func TestEvictBudget(t *testing.T) {
	d := &treeDisk{}
	tr := NewTree()
	tr.Load(d, nil, nil, 0)
	m := map[string]int64{}
	rng := rand.New(rand.NewPCG(1, 1))
	const budget = 1 << 20
	step := func() {
		for range 500 {
			k := fmt.Sprintf("key %09d with some more", rng.IntN(90000))
			w := rng.Int64N(4) - 1
			old, now := tr.Add([]byte(k), w)
			if old != m[k] {
				t.Fatalf("%q had weight %d, want %d", k, old, m[k])
			}
			if m[k] = now; now == 0 {
				delete(m, k)
			}
		}
		var b batch
		c := tr.Capture()
		c.Write(&b)
		d.commit(&b)
		c.Done(true)
		if over := tr.Bytes() - budget; over > 0 {
			tr.Evict(over)
		}
		if tr.Bytes() > budget {
			t.Fatalf("%d bytes, budget %d, %d keys", tr.Bytes(), budget, tr.Len())
		}
	}
	for range 300 {
		step()
	}
	check(t, tr)
	size := 0
	for k := range m {
		size += len(k) + entrySize
	}
	if size < 2*budget {
		t.Fatalf("only %d bytes of entries", size)
	}
	s := tr.Snapshot()
	for range 20 {
		step()
	}
	n := 0
	for c := s.Cursor(); c.Next(); n++ {
	}
	if n != s.Len() || s.Err() != nil {
		t.Fatalf("%d keys of %d: %v", n, s.Len(), s.Err())
	}
	s.Release()
	d.check(t, m)
	same(t, tr, m, rng, func() string { return fmt.Sprintf("key %09d", rng.IntN(60000)) })
}

// TestEvictColdest keeps what is used.
func TestEvictColdest(t *testing.T) {
	d := &treeDisk{}
	tr := NewTree()
	tr.Load(d, nil, nil, 0)
	for i := range 20000 {
		tr.Add(fmt.Appendf(nil, "%08d", i), 1)
	}
	var b batch
	c := tr.Capture()
	if tr.Evict(1<<30) != 0 {
		t.Fatal("evicted what is not durable")
	}
	c.Write(&b)
	d.commit(&b)
	c.Done(true)
	use := func() {
		for i := 5000; i < 6000; i++ {
			tr.Get(fmt.Appendf(nil, "%08d", i))
		}
	}
	use()
	tr.Evict(tr.Bytes() / 3)
	use()
	tr.Evict(tr.Bytes() / 3)
	d.reads.Store(0)
	use()
	if d.reads.Load() > 0 {
		t.Errorf("%d entries in use were evicted", d.reads.Load())
	}
	use()
	if freed := tr.Evict(1 << 30); freed < 100000 || tr.Bytes() > 3000 {
		t.Errorf("freed %d, left %d", freed, tr.Bytes())
	}
	check(t, tr)
}

// TestCaptureWithoutLoad writes the whole tree first, then changes.
func TestCaptureWithoutLoad(t *testing.T) {
	tr, d := NewTree(), &treeDisk{}
	tr.Add([]byte("a"), 1)
	c := tr.Capture()
	tr.Add([]byte("b"), 1)
	c.Done(false)
	tr.Add([]byte("c"), 1)
	for i := range 3 {
		c = tr.Capture()
		var b batch
		c.Write(&b)
		if want := []int{3, 1, 0}[i]; len(b.ops) != want {
			t.Fatalf("%d writes, want %d", len(b.ops), want)
		}
		d.commit(&b)
		c.Done(true)
		if i == 0 {
			tr.Add([]byte("a"), -1)
			tr.Add([]byte("z"), 1)
			tr.Add([]byte("z"), -1)
		}
	}
	d.check(t, map[string]int64{"b": 1, "c": 1})
}

func TestNetChanges(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 3))
	m, first := map[string]int64{}, map[string]int64{}
	var js []*changelog
	for range 3 {
		j := &changelog{}
		for range 20000 {
			k := string(bytes.Repeat([]byte{byte(rng.IntN(5))}, rng.IntN(4))) + fmt.Sprint(rng.IntN(3000))
			w := rng.Int64() >> rng.IntN(64)
			if _, ok := first[k]; !ok {
				first[k] = m[k]
			}
			m[k] += w
			j.add([]byte(k), w, m[k])
			if rng.IntN(1000) == 0 {
				p := j.end()
				for i := range rng.IntN(9000) {
					j.add([]byte("undone"), int64(i), 1)
				}
				n := 0
				j.from(p, func([]byte, int64) { n++ })
				if n != j.n-p.n {
					t.Fatalf("%d of %d entries", n, j.n-p.n)
				}
				j.truncate(p)
			}
		}
		js = append(js, j)
	}
	last := ""
	netChanges(js, true, func(key []byte, old, now int64) {
		k := string(key)
		if k <= last && last != "" {
			t.Fatalf("%q after %q", k, last)
		}
		if last = k; old != first[k] || now != m[k] {
			t.Fatalf("%q: %d to %d, want %d to %d", k, old, now, first[k], m[k])
		}
		delete(m, k)
	})
	if len(m) > 0 {
		t.Fatalf("%d keys were left out", len(m))
	}
	for _, j := range js {
		if j.free(); j.mem != 0 {
			t.Fatalf("%d bytes left", j.mem)
		}
	}
}

// TestNewKeys: keys that were never there are put into a tree that lies on disk
// without reading its pages, and asked for without a read.
func TestNewKeys(t *testing.T) {
	const n = 40000
	for _, restart := range []bool{false, true} {
		d := &treeDisk{}
		tr := NewTree()
		tr.FilterBy(func(key []byte) int { return min(len(key), 8) })
		tr.Load(d, nil, nil, 0)
		for i := range n {
			tr.Add(fmt.Appendf(nil, "%08d some more of it", 2*i), 1)
		}
		save := func() {
			var b batch
			c := tr.Capture()
			c.Write(&b)
			d.commit(&b)
			c.Done(true)
		}
		save()
		full := tr.Bytes()
		if restart {
			tr = NewTree()
			tr.Load(d, nil, nil, n)
		} else {
			tr.Evict(full - 9*n)
			if b := tr.Bytes(); b > 9*n || b < 3*n {
				t.Errorf("%d bytes for %d keys on disk", b, n)
			}
		}
		d.reads.Store(0)
		rng := rand.New(rand.NewPCG(1, 1))
		asked, denied := 0, 0
		tr.Begin()
		for i := range 2000 {
			key := fmt.Appendf(nil, "%08d and more", 2*rng.IntN(n)+1)
			if w := tr.Get(key); w > 0 != (w == 1) {
				t.Fatal(w)
			}
			if tr.Add(key, 1); i%20 == 0 {
				tr.Add(key, -1)
			}
			asked += 2
			if !restart {
				for range 10 {
					if !tr.MayHave(fmt.Appendf(nil, "%08d", 2*rng.IntN(n)+1)) {
						denied++
					}
				}
				if !tr.MayHave(fmt.Appendf(nil, "%08d", 2*rng.IntN(n))) {
					t.Fatal("a key is denied")
				}
			}
		}
		tr.Commit()
		check(t, tr)
		if r := d.reads.Load(); restart && r > 10*2*2000 || !restart && r > 2000 {
			t.Errorf("restart %v: %d entries read for %d questions", restart, r, asked)
		}
		if !restart && denied < 15000 {
			t.Errorf("only %d denied", denied)
		}
		save()
		tr.Evict(tr.Bytes() - 12*n)
		check(t, tr)
		if b := tr.Bytes(); b > 12*n {
			t.Errorf("restart %v: %d bytes after all, of %d", restart, b, full)
		}
		m := d.weights(t)
		same(t, tr, m, rng, func() string { return fmt.Sprintf("%08d", rng.IntN(2*n)) })
	}
}

// BenchmarkNewKeys adds keys that were never there to a tree that lies on disk.
func BenchmarkNewKeys(b *testing.B) {
	const n = 1 << 20
	d := &treeDisk{}
	tr := NewTree()
	tr.Load(d, nil, nil, 0)
	key := func(i int) []byte { return fmt.Appendf(nil, "%016x some more", uint64(i)*0x9e3779b97f4a7c15) }
	es := make([]treeEntry, 0, n)
	for i := range n {
		tr.Add(key(i), 1)
	}
	c := tr.Cursor()
	for c.Next() {
		es = append(es, treeEntry{string(c.Key()), "\x02"})
	}
	cp := tr.Capture()
	d.v.Store(&es)
	cp.Done(true)
	tr.Evict(tr.Bytes() - 9*n)
	b.ReportMetric(float64(tr.Bytes())/n, "B/evicted-key")
	b.ResetTimer()
	d.reads.Store(0)
	at := n
	for range b.N {
		tr.Add(key(at), 1)
		at++
	}
	b.ReportMetric(float64(d.reads.Load())/float64(b.N), "entries-read/op")
	b.ReportMetric(float64(tr.Bytes())/float64(b.N), "B/op-resident")
}
