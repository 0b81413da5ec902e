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
