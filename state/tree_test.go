package state

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sort"
	"strings"
	"sync"
	"testing"
)

// check walks the tree's pages and fails on any broken invariant.
func check(t *testing.T, tr *Tree) {
	t.Helper()
	var count, stubs int
	var mem int64
	filters := map[*filter]int{}
	depth := -1
	var walk func(n *node, lo, hi []byte, d int, gen uint64)
	walk = func(n *node, lo, hi []byte, d int, gen uint64) {
		if n.gen > gen {
			t.Fatalf("page of generation %d under %d", n.gen, gen)
		}
		mem += n.mem
		if int(n.start(len(n.ends))) != len(n.arena) {
			t.Fatalf("arena of %d bytes, keys end at %d", len(n.arena), n.start(len(n.ends)))
		}
		if cap(n.arena) > 2*pageSize && cap(n.arena) > 4*len(n.arena)+4*pageSize {
			t.Fatalf("arena of %d bytes holds on to %d", len(n.arena), cap(n.arena))
		}
		if n.stub {
			if n.kids != nil || n.ws != nil || len(n.ends) != 2 {
				t.Fatal("a stub with entries")
			}
		} else if n.over() {
			t.Fatalf("page of %d bytes, %d keys not split", n.size(), len(n.ends))
		}
		for i := range n.ends {
			k := n.key(i)
			if n.inf {
				break
			}
			if i > 0 && bytes.Compare(n.key(i-1), k) >= 0 {
				t.Fatalf("keys out of order: %q, %q", n.key(i-1), k)
			}
			if n.stub {
				continue
			}
			if lo != nil && bytes.Compare(k, lo) < 0 || hi != nil && bytes.Compare(k, hi) >= 0 {
				t.Fatalf("key %q outside [%q, %q)", k, lo, hi)
			}
		}
		if n.stub {
			stubs++
			if n.filter != nil {
				filters[n.filter]++
			}
			if lo != nil && bytes.Compare(n.lower(), lo) < 0 || hi != nil && (n.inf || bytes.Compare(n.upper(), hi) > 0) {
				t.Fatalf("stub [%q, %q) outside [%q, %q)", n.lower(), n.upper(), lo, hi)
			}
			if depth < 0 {
				depth = d
			}
			if d != depth {
				t.Fatalf("stub at depth %d of %d", d, depth)
			}
			return
		}
		if len(n.heads) != len(n.ends) {
			t.Fatalf("%d heads of %d keys", len(n.heads), len(n.ends))
		}
		for i := range n.ends {
			if k := n.key(i); len(k) < n.pre || !bytes.Equal(k[:n.pre], n.arena[:n.pre]) || n.heads[i] != head(k, n.pre) {
				t.Fatalf("head %x of %q behind %d", n.heads[i], k, n.pre)
			}
		}
		if n.isLeaf() {
			if depth < 0 {
				depth = d
			}
			if d != depth || len(n.ws) != len(n.ends) || slices.Contains(n.ws, 0) || len(n.ws) == 0 && d > 0 {
				t.Fatalf("leaf at depth %d of %d: %d keys, weights %v", d, depth, len(n.ends), n.ws)
			}
			count += len(n.ws)
			return
		}
		if len(n.ends) != len(n.kids)-1 || d == 0 && len(n.kids) < 2 {
			t.Fatalf("inner page at depth %d: %d separators, %d children", d, len(n.ends), len(n.kids))
		}
		for i, k := range n.kids {
			l, h := lo, hi
			if i > 0 {
				l = n.key(i - 1)
			}
			if i < len(n.ends) {
				h = n.key(i)
			}
			walk(k, l, h, d+1, n.gen)
		}
	}
	walk(tr.root, nil, nil, 0, tr.gen)
	for f, n := range filters {
		if mem += f.mem(); f.refs != n {
			t.Fatalf("%d stubs have a filter, it says %d", n, f.refs)
		}
	}
	if (stubs == 0 && count != tr.Len()) || count > tr.Len() || mem != tr.bytes || stubs != tr.stubs {
		t.Fatalf("counted %d keys in %d bytes and %d stubs, tree says %d in %d and %d", count, mem, stubs, tr.Len(), tr.bytes, tr.stubs)
	}
}

type reader interface {
	Get([]byte) int64
	Len() int
	Cursor() *Cursor
	ScanPrefix([]byte, func([]byte, int64) bool)
}

// same compares r with a map: both directions, each key's weight, and walks
// from random seeks.
func same(t *testing.T, r reader, m map[string]int64, rng *rand.Rand, gen func() string) {
	t.Helper()
	keys := slices.Sorted(maps.Keys(m))
	if r.Len() != len(keys) {
		t.Fatalf("%d keys, want %d", r.Len(), len(keys))
	}
	at := func(c *Cursor, i int) {
		t.Helper()
		if ok := i >= 0 && i < len(keys); c.Valid() != ok {
			t.Fatalf("valid %v at %d of %d", c.Valid(), i, len(keys))
		} else if ok && (string(c.Key()) != keys[i] || c.Weight() != m[keys[i]]) {
			t.Fatalf("at %d: %q %d, want %q %d", i, c.Key(), c.Weight(), keys[i], m[keys[i]])
		}
	}
	c := r.Cursor()
	for i := range keys {
		c.Next()
		at(c, i)
	}
	c.Next()
	at(c, len(keys))
	for i := len(keys) - 1; i >= 0; i-- {
		c.Prev()
		at(c, i)
	}
	c.Prev()
	at(c, -1)
	c.Last()
	at(c, len(keys)-1)
	for range 20 {
		k := gen()
		if r.Get([]byte(k)) != m[k] {
			t.Fatalf("Get %q: %d, want %d", k, r.Get([]byte(k)), m[k])
		}
		i := sort.SearchStrings(keys, k)
		c.Seek([]byte(k))
		at(c, i)
		for range rng.IntN(60) {
			if rng.IntN(2) == 0 {
				c.Next()
				i = min(i+1, len(keys))
			} else {
				c.Prev()
				i = max(i-1, -1)
			}
			at(c, i)
		}
		p := k[:rng.IntN(min(len(k), 3)+1)]
		var want, got []string
		for _, s := range keys {
			if strings.HasPrefix(s, p) {
				want = append(want, s)
			}
		}
		r.ScanPrefix([]byte(p), func(key []byte, w int64) bool {
			if w != m[string(key)] {
				t.Fatalf("scan of %q: %q has weight %d", p, key, w)
			}
			got = append(got, string(key))
			return true
		})
		if !slices.Equal(got, want) {
			t.Fatalf("scan of %q: %d keys, want %d", p, len(got), len(want))
		}
	}
}

func TestTreeModel(t *testing.T) {
	for seed := range uint64(8) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { model(t, seed) })
	}
}

func model(t *testing.T, seed uint64) {
	rng := rand.New(rand.NewPCG(seed, 1))
	space := []int{40, 3000, 20000, 400}[seed%4]
	long := seed >= 4 // many long keys with long common prefixes
	pad := strings.Repeat("x", 6000)
	gen := func() string {
		i := rng.IntN(space)
		switch {
		case i == 0:
			return ""
		case i%97 == 0:
			return pad[:i%6000] + fmt.Sprint(i)
		case long && i%5 == 0:
			return pad[:1000+i%3000] + fmt.Sprint(i)
		case i%3 == 0:
			return fmt.Sprintf("%08d", i)
		}
		return fmt.Sprint(i)
	}
	modelRun(t, rng, gen, 15000, nil, nil)
}

// modelRun applies random operations to a tree and to a map. With a treeDisk the tree
// is durable: it is captured, evicted and loaded anew.
func modelRun(t *testing.T, rng *rand.Rand, gen func() string, steps int, d *treeDisk, src Reader) {
	tr, m := NewTree(), map[string]int64{}
	type pinned struct {
		s *Snapshot
		m map[string]int64
	}
	var snaps []pinned
	var before map[string]int64 // as the step began, nil outside
	var open Capture
	var captured map[string]int64 // the model at the open capture
	var b batch
	release := func(i int) {
		same(t, snaps[i].s, snaps[i].m, rng, gen)
		if err := snaps[i].s.Err(); err != nil {
			t.Fatal(err)
		}
		snaps[i].s.Release()
		snaps = slices.Delete(snaps, i, i+1)
	}
	part := func(key []byte) int { return min(len(key), 6) }
	if rng.IntN(2) == 0 {
		part = nil
	}
	tr.FilterBy(part)
	if d != nil {
		tr.Load(src, nil, nil, 0)
	}
	grow := true
	for step := range steps {
		if rng.IntN(3000) == 0 {
			grow = !grow
		}
		k := gen()
		w := rng.Int64N(5) - 2
		if !grow || rng.IntN(3) == 0 {
			// Aim at a present key, to remove it.
			if c := tr.Cursor(); c.Seek([]byte(k)) {
				k = string(c.Key())
			}
			w = -m[k]
		}
		old, now := tr.Add([]byte(k), w)
		if old != m[k] || now != old+w {
			t.Fatalf("Add %q %d: %d to %d, want from %d", k, w, old, now, m[k])
		}
		if m[k] = now; now == 0 {
			delete(m, k)
		}
		switch r := rng.IntN(600); {
		case r < 4 && len(snaps) < 6:
			snaps = append(snaps, pinned{tr.Snapshot(), maps.Clone(m)})
		case r < 7 && len(snaps) > 0:
			release(rng.IntN(len(snaps)))
		case r < 15 && before == nil:
			tr.Begin()
			before = maps.Clone(m)
		case r < 24 && before != nil:
			if rng.IntN(2) == 0 {
				tr.Commit()
			} else {
				tr.Rollback()
				m = before
				check(t, tr)
			}
			before = nil
		case r < 40:
			check(t, tr)
		case r < 44 && part != nil:
			p := []byte(gen())
			p = p[:part(p)]
			for k := range m {
				if strings.HasPrefix(k, string(p)) && part([]byte(k)) == len(p) && !tr.MayHave(p) {
					t.Fatalf("the tree denies %q, it has %q", p, k)
				}
			}
		case d == nil || before != nil && r >= 46:
		case r < 46:
			if freed, was := tr.Evict(int64(rng.IntN(60000))), tr.Bytes(); freed < 0 || was < 0 {
				t.Fatalf("freed %d of %d", freed, was)
			}
			check(t, tr)
		case r < 52 && open == nil:
			open, captured = tr.Capture(), maps.Clone(m)
		case r < 54 && open != nil && b.ops == nil:
			open.Write(&b)
		case r < 62 && open != nil:
			if b.ops == nil {
				open.Write(&b)
			}
			durable := rng.IntN(3) > 0
			if durable {
				d.commit(&b)
				d.check(t, captured)
			}
			b.ops = nil
			open.Done(durable)
			open = nil
		case r == 599 && open == nil: // a crash
			m = d.weights(t)
			n := len(m)
			if rng.IntN(2) == 0 {
				n = -1
			}
			for len(snaps) > 0 {
				release(0)
			}
			tr = NewTree()
			tr.FilterBy(part)
			tr.Load(src, nil, nil, n)
		}
		if step%1500 == 0 {
			same(t, tr, m, rng, gen)
			check(t, tr)
		}
	}
	if before != nil {
		tr.Rollback()
		m = before
		check(t, tr)
	}
	same(t, tr, m, rng, gen)
	for k, w := range m {
		tr.Add([]byte(k), -w)
		if rng.IntN(20) == 0 {
			check(t, tr)
		}
	}
	check(t, tr)
	same(t, tr, nil, rng, gen)
	if !tr.root.isLeaf() && tr.stubs == 0 {
		t.Error("an empty tree kept inner pages")
	}
	for len(snaps) > 0 {
		s := snaps[0].s
		release(0)
		s.Release()
	}
	if tr.Snapshots() != 0 {
		t.Errorf("%d snapshots left", tr.Snapshots())
	}
	if d != nil && open == nil {
		c := tr.Capture()
		c.Write(&b)
		d.commit(&b)
		d.check(t, nil)
		c.Done(true)
		if tr.Dirty() != 0 {
			t.Errorf("%d bytes dirty after a capture", tr.Dirty())
		}
	}
	if err := tr.Err(); err != nil {
		t.Error(err)
	}
}

// TestTreeFill holds the tree to its pages' fill: ascending keys should pack
// leaves, and removals should give memory back.
func TestTreeFill(t *testing.T) {
	tr := NewTree()
	var k [8]byte
	const n = 100000
	for i := range uint64(n) {
		tr.Add(binary.BigEndian.AppendUint64(k[:0], i), 1)
	}
	check(t, tr)
	full := tr.Bytes()
	if per := full / n; per > 39 {
		t.Errorf("%d bytes a key, of 20 bytes payload", per)
	}
	for i := range uint64(n) {
		if i%50 != 0 {
			tr.Add(binary.BigEndian.AppendUint64(k[:0], i), -1)
		}
	}
	check(t, tr)
	if tr.Bytes() > full/10 {
		t.Errorf("%d of %d bytes left with 1 key of 50", tr.Bytes(), full)
	}
}

// TestTreeOwnKey adds parts of keys that lie in the page being changed.
func TestTreeOwnKey(t *testing.T) {
	tr := NewTree()
	m := map[string]int64{}
	add := func(k []byte) {
		m[string(k)]++
		tr.Add(k, 1)
	}
	for _, s := range []string{"b", "hello, dear reader", "z"} {
		add([]byte(s))
	}
	c := tr.Cursor()
	for i := 17; i > 0; i-- {
		c.Seek([]byte("hello, dear reader"))
		add(c.Key()[:i])
	}
	same(t, tr, m, rand.New(rand.NewPCG(1, 1)), func() string { return "hello" })
}

// TestTreeLongKey puts a long key at each place among short ones: a page of
// its own must be cut out of the middle of theirs.
func TestTreeLongKey(t *testing.T) {
	pad := strings.Repeat("x", 3*pageSize)
	for at := range 101 {
		tr := NewTree()
		for i := range 100 {
			tr.Add(fmt.Appendf(nil, "%03d", i), 1)
		}
		long := fmt.Appendf(nil, "%03d%s", at-1, pad)
		tr.Add(long, 1)
		check(t, tr)
		tr.Add(long, -1)
		check(t, tr)
		if tr.Len() != 100 || tr.Bytes() > 2*pageSize {
			t.Fatalf("%d keys in %d bytes left", tr.Len(), tr.Bytes())
		}
	}
}

func TestTreeMisuse(t *testing.T) {
	tr := NewTree()
	tr.Add([]byte("a"), 1)
	c := tr.Cursor()
	c.Next()
	tr.Add([]byte("b"), 1)
	s := tr.Snapshot()
	s.Release()
	for name, f := range map[string]func(){
		"stale cursor":      func() { c.Next() },
		"released snapshot": func() { s.Get(nil) },
		"commit":            tr.Commit,
		"rollback":          tr.Rollback,
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			f()
		}()
	}
	if !c.Seek([]byte("b")) || string(c.Key()) != "b" {
		t.Error("Seek did not take up the changed tree")
	}
}

// TestTreeRace has readers sum snapshots, and captures written, while the writer
// goes on. The writer keeps the sum of weights at 0 whenever it takes one.
func TestTreeRace(t *testing.T) {
	tr, d := NewTree(), &treeDisk{}
	tr.Load(d, nil, nil, 0)
	var open Capture
	written := make(chan struct{}, 1)
	ch := make(chan *Snapshot, 4)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for s := range ch {
				var sum int64
				n := 0
				for c := s.Cursor(); c.Next(); n++ {
					sum += c.Weight()
					if n%64 == 0 && s.Get(c.Key()) != c.Weight() {
						t.Errorf("Get %q is not the cursor's weight", c.Key())
					}
				}
				if sum != 0 || n != s.Len() {
					t.Errorf("sum %d over %d keys of %d", sum, n, s.Len())
				}
				s.Release()
			}
		})
	}
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range 20000 {
		if i%50 == 0 {
			tr.Begin()
		}
		w := rng.Int64N(3) + 1
		tr.Add(fmt.Appendf(nil, "%d", rng.IntN(5000)), w)
		tr.Add(fmt.Appendf(nil, "%d", rng.IntN(5000)), -w)
		if i%100 == 20 {
			ch <- tr.Snapshot()
		}
		if i%50 == 49 {
			if i%4 == 1 {
				tr.Rollback()
			} else {
				tr.Commit()
			}
			tr.Evict(3000)
		}
		if i%200 == 199 && open == nil {
			open = tr.Capture()
			go func(c Capture) {
				var b batch
				c.Write(&b)
				d.commit(&b)
				written <- struct{}{}
			}(open)
		}
		if open != nil && i%50 == 49 {
			select {
			case <-written:
				open.Done(true)
				open = nil
			default:
			}
		}
	}
	close(ch)
	wg.Wait()
	check(t, tr)
	if tr.Snapshots() != 0 {
		t.Errorf("%d snapshots left", tr.Snapshots())
	}
}
