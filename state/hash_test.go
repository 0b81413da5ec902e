package state

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/streamsql/streamsql/sql/sqlerr"
)

// hashDisk is a durable state in memory.
type hashDisk struct {
	m    map[string][]byte
	gets int
	fail error
}

func (d *hashDisk) Set(k, v []byte) { d.m[string(k)] = slices.Clone(v) }
func (d *hashDisk) Delete(k []byte) { delete(d.m, string(k)) }
func (d *hashDisk) Get(k []byte) ([]byte, error) {
	d.gets++
	return d.m[string(k)], d.fail
}
func (d *hashDisk) Scan(lo, hi []byte, fn func(k, v []byte) error) error {
	for _, k := range slices.Sorted(maps.Keys(d.m)) {
		if k < string(lo) || hi != nil && k >= string(hi) {
			continue
		}
		if err := fn([]byte(k), d.m[k]); err != nil {
			return err
		}
	}
	return nil
}
func (d *hashDisk) Pin() (Reader, func()) { return d, func() {} }

type modelEntry struct {
	words [3]uint64
	tail  string
}

// checkHash compares the table with the model, by looking every key up.
func checkHash(t *testing.T, h *Hash, model map[string]modelEntry, keys []string) {
	t.Helper()
	if h.Len() != len(model) {
		t.Fatalf("Len is %d, want %d", h.Len(), len(model))
	}
	var buf []byte
	off := []int32{0}
	for _, k := range keys {
		buf = append(buf, k...)
		off = append(off, int32(len(buf)))
	}
	for i, row := range h.Lookup(buf, off, false, nil) {
		m, ok := model[keys[i]]
		if ok != (row >= 0) {
			t.Fatalf("key %q: row %d, in the model: %v", keys[i], row, ok)
		}
		if !ok {
			continue
		}
		if !slices.Equal(h.Words(row), m.words[:]) || string(h.Tail(row)) != m.tail || string(h.Key(row)) != keys[i] {
			t.Fatalf("key %q: %v %q %q, want %v", keys[i], h.Words(row), h.Tail(row), h.Key(row), m)
		}
	}
	if h.Err() != nil {
		t.Fatal(h.Err())
	}
}

func hashKeys(n int) []string {
	rng := rand.New(rand.NewPCG(7, 7))
	var keys []string
	for i := range n {
		k := fmt.Sprintf("%c%d", byte(rng.IntN(256)), i)
		switch i % 5 {
		case 0:
			k += string(bytes.Repeat([]byte{'x'}, rng.IntN(300)))
		case 1:
			k = k[:1] + string(binary.BigEndian.AppendUint64(nil, uint64(i)))
		}
		keys = append(keys, k)
	}
	return append(keys, "", "\x00", string(bytes.Repeat([]byte{1}, 600_000)))
}

// TestHashModel does random work in steps that stay or are undone, between
// captures that become durable or not, evictions and reloads.
func TestHashModel(t *testing.T) {
	for seed := range uint64(6) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 1))
			keys := hashKeys([]int{20, 300, 3000}[seed%3])
			opts := HashOptions{Words: 3, Inline: []int{0, 9, 31}[seed%3]}
			h := NewHash(opts)
			d := &hashDisk{m: map[string][]byte{}}
			h.SetReader(d)
			model := map[string]modelEntry{}
			var open Capture
			evicted := false
			for step := range 120 {
				before := maps.Clone(model)
				h.Begin()
				for range rng.IntN(len(keys)) {
					k := keys[rng.IntN(len(keys))]
					if rng.IntN(3) == 0 {
						if row := h.Get([]byte(k), false); row >= 0 {
							h.Delete(row)
							if h.Live(row) {
								t.Fatal("deleted row lives")
							}
							delete(model, k)
						}
						continue
					}
					row := h.Get([]byte(k), true)
					h.Touch(row)
					m := model[k]
					w := rng.IntN(3)
					m.words[w] += rng.Uint64() >> rng.IntN(64)
					h.Words(row)[w] = m.words[w]
					if rng.IntN(2) == 0 {
						n := rng.IntN(40)
						if rng.IntN(50) == 0 {
							n = rng.IntN(400_000)
						}
						m.tail = string(bytes.Repeat([]byte{byte(rng.IntN(256))}, n))
						h.SetTail(row, []byte(m.tail))
					}
					model[k] = m
				}
				for i := range h.Touched() {
					row, old := h.TouchedRow(i)
					m, ok := before[string(h.Key(row))]
					if ok != (old != nil) || ok && (!slices.Equal(old, m.words[:]) || string(h.OldTail(i)) != m.tail) {
						t.Fatalf("touched row was %v, want %v %v", old, ok, m)
					}
				}
				if rng.IntN(3) == 0 {
					h.Rollback()
					model = before
				} else {
					h.Commit()
				}
				switch rng.IntN(4) {
				case 0:
					if open == nil {
						open = h.Capture()
					}
				case 1:
					if open != nil {
						ok := rng.IntN(3) > 0
						w := &hashDisk{m: map[string][]byte{}}
						if ok {
							w = d
						}
						open.Write(w)
						open.Done(ok)
						open = nil
					}
				case 2:
					evicted = h.Evict(rng.Int64N(h.Bytes()+1)) > 0 || evicted
				}
				if step%5 == 0 {
					checkHash(t, h, model, keys)
				}
				if step%40 == 39 {
					if open != nil {
						open.Done(false)
						open = nil
					}
					c := h.Capture()
					c.Write(d)
					c.Done(true)
					if len(d.m) != len(model) {
						t.Fatalf("%d durable, want %d", len(d.m), len(model))
					}
					if n := h.Dirty(); n != 0 {
						t.Fatalf("%d dirty after a capture", n)
					}
					h = NewHash(opts)
					h.SetReader(d)
					if err := h.Load(d, 0, 256, int64(step%2)*20_000); err != nil {
						t.Fatal(err)
					}
					checkHash(t, h, model, keys)
				}
			}
			if !evicted {
				t.Error("nothing was ever evicted")
			}
			n := 0
			h.Evict(1 << 40)
			checkHash(t, h, model, keys)
			h.Each(func(row int32) bool { n++; return true })
			if n != len(model) {
				t.Errorf("Each gave %d rows, want %d", n, len(model))
			}
		})
	}
}

// TestHashLoadRange loads a range of key groups.
func TestHashLoadRange(t *testing.T) {
	d := &hashDisk{m: map[string][]byte{}}
	h := NewHash(HashOptions{Words: 1})
	h.Begin()
	for i := range 256 {
		h.Words(h.Get([]byte{byte(i), 1}, true))[0] = uint64(i)
	}
	h.Commit()
	c := h.Capture()
	c.Write(d)
	c.Done(true)
	for _, r := range [][2]int{{0, 256}, {0, 128}, {128, 256}, {7, 8}} {
		h := NewHash(HashOptions{Words: 1})
		if err := h.Load(d, r[0], r[1], 0); err != nil {
			t.Fatal(err)
		}
		for i := range 256 {
			row := h.Get([]byte{byte(i), 1}, false)
			if (row >= 0) != (i >= r[0] && i < r[1]) || row >= 0 && h.Words(row)[0] != uint64(i) {
				t.Errorf("range %v: group %d: row %d", r, i, row)
			}
		}
	}
}

// TestHashEvictedMisses: keys that never existed cost no read, and a read that
// fails is told.
func TestHashEvictedMisses(t *testing.T) {
	d := &hashDisk{m: map[string][]byte{}}
	h := NewHash(HashOptions{Words: 1})
	h.SetReader(d)
	h.Begin()
	const n = 20_000
	for i := range n {
		h.Words(h.Get(fmt.Appendf(nil, "k%d", i), true))[0] = 1
	}
	h.Commit()
	if h.Evict(1<<40) != 0 {
		t.Error("dirty entries were evicted")
	}
	c := h.Capture()
	c.Write(d)
	if h.Evict(1<<40) != 0 {
		t.Error("entries that are not durable were evicted")
	}
	c.Done(true)
	h.Capture().Done(true) // frees the buffers
	full := h.Bytes()
	freed := h.Evict(full / 4)
	if freed < full/4 || freed > full/3 || h.Bytes() > full-freed {
		t.Errorf("%d of %d bytes evicted, %d left", freed, full, h.Bytes())
	}
	h.Evict(1 << 40)
	if h.Len() != n || len(h.chunks) > 1 {
		t.Errorf("%d entries, %d chunks left", h.Len(), len(h.chunks))
	}
	for i := range n {
		if h.Get(fmt.Appendf(nil, "m%d", i), false) >= 0 {
			t.Fatal("found a key that never was")
		}
	}
	if d.gets > 10 {
		t.Errorf("%d reads for keys that never were", d.gets)
	}
	d.fail = errors.New("broken disk")
	h.Get([]byte("k1"), false)
	if h.Err() != d.fail {
		t.Errorf("Err is %v", h.Err())
	}
}

func TestArenaClasses(t *testing.T) {
	prev, prevSize := 0, 0
	for n := 1; n <= arenaChunk; n++ {
		c, size := class(n)
		if size < n || size%8 != 0 || c < prev || c > prev && prevSize >= size || c >= sizeClasses || c == prev && n > 1 && size != prevSize {
			t.Fatalf("class(%d) is %d, %d after %d, %d", n, c, size, prev, prevSize)
		}
		prev, prevSize = c, size
	}
}

func BenchmarkHash(b *testing.B) {
	for _, n := range []int{10_000, 100_000, 1_000_000, 5_000_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			h := NewHash(HashOptions{Words: 3, Inline: 15})
			rng := rand.New(rand.NewPCG(1, 2))
			const batch = 4096
			buf := make([]byte, 0, batch*10)
			off := make([]int32, 0, batch+1)
			var rows []int32
			fill := func(next func() uint64) {
				buf, off = buf[:0], append(off[:0], 0)
				for range batch {
					k := next()
					buf = append(buf, byte(k*0x9e3779b97f4a7c15>>56), 1)
					buf = binary.BigEndian.AppendUint64(buf, k)
					off = append(off, int32(len(buf)))
				}
			}
			add := func() {
				rows = h.Lookup(buf, off, true, rows[:0])
				for _, r := range rows {
					h.Touch(r)
				}
				for _, r := range rows {
					w := h.Words(r)
					w[0]++
					w[1] += uint64(r)
					w[2] = max(w[2], uint64(r))
				}
			}
			for i := 0; i < n; i += batch {
				h.Begin()
				k := uint64(i)
				fill(func() uint64 { k++; return k })
				add()
				h.Commit()
			}
			const sets = 64
			bufs := make([][]byte, sets)
			for i := range bufs {
				fill(func() uint64 { return 1 + rng.Uint64N(uint64(n)) })
				bufs[i] = slices.Clone(buf)
			}
			b.ResetTimer()
			h.Begin()
			for i := 0; i < b.N; i += batch {
				if i/batch%16 == 0 {
					h.Commit()
					h.Begin()
				}
				buf = bufs[i/batch%sets]
				add()
			}
			h.Commit()
			b.ReportMetric(float64(h.Bytes())/float64(h.Len()), "B/key")
		})
	}
}

func BenchmarkHashCapture(b *testing.B) {
	h := NewHash(HashOptions{Words: 3, Inline: 15})
	const n = 1_000_000
	for range b.N {
		b.StopTimer()
		h.Begin()
		for i := range n {
			h.Touch(h.Get(binary.BigEndian.AppendUint64([]byte{1}, uint64(i)), true))
		}
		h.Commit()
		b.StartTimer()
		c := h.Capture()
		b.StopTimer()
		c.Done(true)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/row")
}

// TestHashErr: a failure is over with the step that it was in, as a tree's is.
func TestHashErr(t *testing.T) {
	h := NewHash(HashOptions{Words: 1})
	want := errors.New("no")
	h.Begin()
	row := h.Get([]byte("a"), true)
	h.Words(row)[0] = 1
	h.Fail(want)
	h.Fail(errors.New("another"))
	if h.Err() != want {
		t.Fatal(h.Err())
	}
	h.Rollback()
	if h.Err() != nil || h.Len() != 0 {
		t.Fatal(h.Err(), h.Len())
	}
	h.Begin()
	h.Get([]byte("a"), true)
	h.Commit()
	if h.Err() != nil || h.Len() != 1 {
		t.Fatal(h.Err(), h.Len())
	}
}

// TestTreeWeightOverflow: a weight that leaves its range fails the step and is
// what it was after it.
func TestTreeWeightOverflow(t *testing.T) {
	tr := NewTree()
	tr.Add([]byte("a"), 1<<62)
	for _, w := range []int64{1 << 62, 1<<63 - 1} {
		tr.Begin()
		tr.Add([]byte("b"), 5)
		if tr.Err() != nil {
			t.Fatal(tr.Err())
		}
		tr.Add([]byte("a"), w)
		if e := tr.Err(); e == nil || sqlerr.From(e).Code != "22003" {
			t.Fatal(e)
		}
		tr.Rollback()
		if tr.Err() != nil || tr.Get([]byte("a")) != 1<<62 || tr.Len() != 1 {
			t.Fatal(tr.Err(), tr.Get([]byte("a")))
		}
	}
}
