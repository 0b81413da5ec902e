package engine

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
)

// BenchmarkInsert inserts single rows, each durable when it returns, from one
// session and from sixteen.
func BenchmarkInsert(b *testing.B) {
	for _, clients := range []int{1, 16} {
		for _, where := range []string{"memory", "disk"} {
			b.Run(fmt.Sprintf("%s/%d", where, clients), func(b *testing.B) {
				o := Options{}
				if where == "disk" {
					o.Dir = b.TempDir()
				}
				e, err := Open(bg, o)
				if err != nil {
					b.Fatal(err)
				}
				defer func() { _ = e.Close() }()
				s, _ := e.NewSession("u", "d", nil)
				for _, sql := range []string{
					"CREATE TABLE t (a bigint PRIMARY KEY, b text)",
					"CREATE MATERIALIZED VIEW v AS SELECT b, count(*) AS n FROM t GROUP BY b",
				} {
					if _, err := s.Exec(bg, sql); err != nil {
						b.Fatal(err)
					}
				}
				var n atomic.Int64
				var wg sync.WaitGroup
				b.ResetTimer()
				for range clients {
					wg.Add(1)
					go func() {
						defer wg.Done()
						s, _ := e.NewSession("u", "d", nil)
						defer s.Close()
						for {
							i := n.Add(1)
							if i > int64(b.N) {
								return
							}
							if _, err := s.Exec(bg, fmt.Sprintf("INSERT INTO t VALUES (%d, 'x%d')", i, i%100)); err != nil {
								b.Error(err)
								return
							}
						}
					}()
				}
				wg.Wait()
			})
		}
	}
}
