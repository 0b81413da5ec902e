package engine

import (
	"context"
	"fmt"
	"testing"

	"github.com/streamsql/streamsql/sql/types"
)

// BenchmarkStatements: the cost of small statements, parsing and planning
// included where the text is new each time.
func BenchmarkStatements(b *testing.B) {
	e, err := Open(context.Background(), Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer e.Close()
	s, err := e.NewSession("u", "d", nil)
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	ctx := context.Background()
	run := func(b *testing.B, sql string) {
		if _, err := s.Exec(ctx, sql); err != nil {
			b.Fatalf("%s: %v", sql, err)
		}
	}
	for _, sql := range []string{"CREATE TABLE t (a INT PRIMARY KEY, b TEXT, c FLOAT8)",
		"INSERT INTO t SELECT g, 'row ' || g, g / 7.0 FROM generate_series(1, 100000) x(g)",
		"CREATE MATERIALIZED VIEW v AS SELECT a % 100 AS k, count(*) AS n, sum(c) AS s FROM t GROUP BY a % 100"} {
		run(&testing.B{}, sql)
	}
	for _, c := range []struct {
		name string
		sql  func(i int) string
	}{
		{"select-1", func(int) string { return "SELECT 1" }},
		{"point", func(i int) string { return fmt.Sprintf("SELECT * FROM t WHERE a = %d", i%100000) }},
		{"view", func(int) string { return "SELECT * FROM v ORDER BY n DESC, k LIMIT 10" }},
		{"scan-100k", func(int) string { return "SELECT count(*), sum(c) FROM t WHERE a > 500" }},
		{"insert", func(i int) string { return fmt.Sprintf("INSERT INTO t VALUES (%d, 'x', 1)", 1_000_000+i) }},
		{"create-drop-view", func(i int) string {
			return fmt.Sprintf("CREATE MATERIALIZED VIEW w%d AS SELECT k, n FROM v WHERE k < %d; DROP MATERIALIZED VIEW w%d", i, i, i)
		}},
		{"pg_class", func(int) string {
			return "SELECT c.relname, n.nspname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relname = 't'"
		}},
	} {
		n := 0
		b.Run(c.name, func(b *testing.B) {
			for range b.N {
				n++
				run(b, c.sql(n))
			}
		})
	}
	b.Run("point-prepared", func(b *testing.B) {
		st, err := s.Parse("SELECT * FROM t WHERE a = $1")
		if err != nil {
			b.Fatal(err)
		}
		p, err := s.Prepare(ctx, st[0], nil)
		if err != nil {
			b.Fatal(err)
		}
		for i := range b.N {
			r, err := p.Execute(ctx, []types.Datum{{I: int64(i%100000) + 1}})
			if err != nil {
				b.Fatal(err)
			}
			if ok, err := r.Next(ctx); !ok || err != nil {
				b.Fatal(ok, err)
			}
			r.Close()
		}
	})
}
