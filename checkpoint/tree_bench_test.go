package checkpoint

import (
	"fmt"
	"testing"

	"github.com/streamsql/streamsql/state"
)

// BenchmarkNewKeys adds keys that were never there to a tree whose state is on
// disk: in this process's time (evicted), or as a restart finds it.
func BenchmarkNewKeys(b *testing.B) {
	const n, op = 1 << 20, 7
	key := func(i int) []byte {
		return fmt.Appendf(nil, "%016x and a row's other columns", uint64(i)*0x9e3779b97f4a7c15)
	}
	for _, restart := range []bool{false, true} {
		b.Run(fmt.Sprintf("restart=%v", restart), func(b *testing.B) {
			s, err := OpenStore(b.TempDir(), StoreOptions{CacheBytes: 8 << 20, MemTableBytes: 4 << 20})
			if err != nil {
				b.Fatal(err)
			}
			defer s.Close()
			tr := state.NewTree()
			tr.Load(s.Reader(op), nil, nil, 0)
			epoch := uint64(0)
			save := func() {
				c := tr.Capture()
				epoch++
				if _, err := s.Commit(epoch, nil, func(w *Writer) error { c.Write(w.Table(op)); return nil }); err != nil {
					b.Fatal(err)
				}
				c.Done(true)
			}
			for i := range n {
				if tr.Add(key(i), 1); i%100000 == 0 {
					save()
				}
			}
			save()
			if restart {
				tr = state.NewTree()
				tr.Load(s.Reader(op), nil, nil, n)
			} else {
				tr.Evict(tr.Bytes() - 10*n)
			}
			before := tr.Bytes()
			b.ResetTimer()
			for i := range b.N {
				tr.Add(key(n+i), 1)
			}
			b.StopTimer()
			if err := tr.Err(); err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64(before)/n, "B/key-evicted")
			b.ReportMetric(float64(tr.Bytes()-before)/float64(b.N), "B/op-resident")
		})
	}
}
