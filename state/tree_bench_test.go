package state

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"
)

const benchKeys = 1_000_000

// benchInsert builds trees of 1M 16-byte keys, with a mark every step
// insertions if step > 0, and reports the time of one insertion.
func benchInsert(b *testing.B, step int, key func(i uint64) uint64) {
	b.ReportAllocs()
	var buf [16]byte
	var size int64
	for b.Loop() {
		t := NewTree()
		for i := range uint64(benchKeys) {
			if step > 0 && int(i)%step == 0 {
				t.Begin()
			}
			binary.BigEndian.PutUint64(buf[:], key(i))
			t.Add(buf[:], 1)
			if step > 0 && int(i)%step == step-1 {
				t.Commit()
			}
		}
		size = t.Bytes()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/benchKeys, "ns/key")
	b.ReportMetric(float64(size)/benchKeys, "B/key")
}

// scatter is a bijection on 64 bits, so the keys are distinct.
func scatter(i uint64) uint64 {
	i *= 0x9e3779b97f4a7c15
	i ^= i >> 32
	return i * 0xd6e8feb86659fd93
}

func BenchmarkInsertAscending1M(b *testing.B) {
	benchInsert(b, 0, func(i uint64) uint64 { return i })
}

func BenchmarkInsertRandom1M(b *testing.B) { benchInsert(b, 0, scatter) }

// BenchmarkInsertRandomSteps1M pays for copies: a step of 1000 random keys
// copies most of the leaves it touches.
func BenchmarkInsertRandomSteps1M(b *testing.B) { benchInsert(b, 1000, scatter) }

// BenchmarkTree40 adds and probes 40-byte keys as a join or a view has them: a key
// group, an encoded integer and a tail. The tree is durable, in steps of 4096.
func BenchmarkTree40(b *testing.B) {
	key := func(buf []byte, k uint64) []byte {
		h := scatter(k)
		buf = append(buf[:0], byte(h>>8), 1, 0x80)
		buf = binary.BigEndian.AppendUint64(buf, k)[:11]
		buf = binary.BigEndian.AppendUint64(append(buf, 2, 3), h)
		return append(buf, "0123456789abcdefghi"...)
	}
	for _, c := range []struct {
		name string
		id   func(i uint64) uint64
	}{
		{"random", func(i uint64) uint64 { return scatter(i) % (1 << 40) }},
		{"ascending", func(i uint64) uint64 { return i }},
	} {
		b.Run("add/"+c.name, func(b *testing.B) {
			var buf []byte
			for b.Loop() {
				t := NewTree()
				t.Load(&treeDisk{}, nil, nil, 0)
				for i := range uint64(benchKeys) {
					if i%4096 == 0 {
						t.Begin()
					}
					buf = key(buf, c.id(i))
					t.Add(buf, 1)
					if i%4096 == 4095 {
						t.Commit()
					}
				}
				b.ReportMetric(float64(t.Bytes())/benchKeys, "B/key")
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/benchKeys, "ns/key")
		})
		t := NewTree()
		var buf []byte
		for i := range uint64(benchKeys) {
			buf = key(buf, c.id(i))
			t.Add(buf, 1)
		}
		b.Run("update/"+c.name, func(b *testing.B) {
			for b.Loop() {
				buf = key(buf, c.id(rand.Uint64N(benchKeys)))
				t.Add(buf, 1)
			}
		})
		b.Run("probe/"+c.name, func(b *testing.B) {
			n := 0
			for b.Loop() {
				buf = key(buf, c.id(rand.Uint64N(benchKeys)))
				t.ScanPrefix(buf[:11], func([]byte, int64) bool { n++; return true })
			}
			if n == 0 {
				b.Fatal("nothing found")
			}
		})
	}
}

// BenchmarkCapture1M writes the changes of 1M random keys.
func BenchmarkCapture1M(b *testing.B) {
	t := NewTree()
	t.Load(&treeDisk{}, nil, nil, 0)
	var buf [24]byte
	for b.Loop() {
		b.StopTimer()
		for i := range uint64(benchKeys) {
			h := scatter(i)
			buf[0] = byte(h >> 3)
			binary.BigEndian.PutUint64(buf[8:], h)
			t.Add(buf[:], 1)
		}
		c := t.Capture()
		b.StartTimer()
		c.Write(discard{})
		c.Done(true)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/benchKeys, "ns/key")
}

type discard struct{}

func (discard) Set(_, _ []byte) {}
func (discard) Delete(_ []byte) {}

func BenchmarkGetRandom1M(b *testing.B) {
	t := NewTree()
	var buf [16]byte
	for i := range uint64(benchKeys) {
		binary.BigEndian.PutUint64(buf[:], scatter(i))
		t.Add(buf[:], 1)
	}
	for b.Loop() {
		binary.BigEndian.PutUint64(buf[:], scatter(rand.Uint64N(benchKeys)))
		if t.Get(buf[:]) != 1 {
			b.Fatal("lost a key")
		}
	}
}

func BenchmarkScan1M(b *testing.B) {
	t := NewTree()
	var buf [16]byte
	for i := range uint64(benchKeys) {
		binary.BigEndian.PutUint64(buf[:], scatter(i))
		t.Add(buf[:], 1)
	}
	for b.Loop() {
		n := 0
		for c := t.Cursor(); c.Next(); {
			n++
		}
		if n != benchKeys {
			b.Fatal("lost a key")
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/benchKeys, "ns/key")
}
