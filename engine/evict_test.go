package engine

import (
	"fmt"
	"math/rand"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/vfs"
)

// TestEvictInStep has all clean state evicted in the middle of steps, between the
// batches, and compares the views with their queries; some steps are undone.
func TestEvictInStep(t *testing.T) {
	if testing.Short() {
		t.Skip("fills the memory for seconds")
	}
	relieveAll = true
	defer func() { relieveAll = false }()
	for _, workers := range []int{1, 2} {
		fs := vfs.NewMem()
		o := Options{Dir: "data", FS: fs, MemoryLimit: 256 << 20, StatementMemory: 128 << 20, CheckpointInterval: 5 * time.Millisecond, Workers: workers}
		e, err := Open(bg, o)
		must(t, err)
		s := another(t, e)
		queries := []string{
			"SELECT k, count(*) AS n, sum(x) AS s, min(x) AS lo, max(s) AS hi, count(DISTINCT x %% 7) AS d FROM t GROUP BY k",
			"SELECT t.k, t.x, u.y FROM t JOIN u ON t.k = u.k AND t.x % 50 = u.y % 50",
			"SELECT u.k, u.y, t.x FROM u LEFT JOIN t ON t.k = u.k AND t.x = u.y",
			"SELECT DISTINCT k, s FROM t",
			"SELECT k, y FROM u WHERE EXISTS (SELECT 1 FROM t WHERE t.k = u.k AND t.x > 20000)",
			"SELECT k, x, s FROM (SELECT k, x, s, row_number() OVER (PARTITION BY k ORDER BY x DESC, s) AS r FROM t) z WHERE r <= 3",
			"SELECT string_agg(s, ',' ORDER BY x, s) AS l, k FROM t WHERE k < 40 GROUP BY k",
			"SELECT a.k, a.n + b.n AS n FROM (SELECT k, count(*) AS n FROM t GROUP BY k) a JOIN (SELECT k, count(*) AS n FROM u GROUP BY k) b ON a.k = b.k",
			"SELECT k, 100 / (x + 1) AS q FROM t",
		}
		script(t, s, "CREATE TABLE t (id int PRIMARY KEY, k int, x int, s text)", "CREATE TABLE", "CREATE TABLE u (k int, y int)", "CREATE TABLE")
		for i, q := range queries {
			queries[i] = strings.ReplaceAll(q, "%%", "%")
			script(t, s, fmt.Sprintf("CREATE MATERIALIZED VIEW v%d AS %s", i, queries[i]), "CREATE MATERIALIZED VIEW")
		}
		rng := rand.New(rand.NewSource(int64(workers)))
		id := 0
		for round := range 8 {
			n := 300 + rng.Intn(9000)
			sql := []string{
				// A few keys have many rows: they move to trees.
				fmt.Sprintf("INSERT INTO t SELECT g, CASE WHEN g %% 3 = 0 THEN g %% 5 ELSE g * 7919 %% 3000 END, g * 31 %% 30011, repeat('s', g %% 13) FROM generate_series(%d, %d) x(g)", id, id+n-1),
				fmt.Sprintf("INSERT INTO u SELECT g * 31 %% 3100, g %% 997 FROM generate_series(%d, %d) x(g)", id, id+n/8),
				fmt.Sprintf("UPDATE t SET x = x + 1, k = (k + 1) %% 3000 WHERE id %% 17 = %d", rng.Intn(17)),
				fmt.Sprintf("DELETE FROM t WHERE id %% 11 = %d", rng.Intn(11)),
				fmt.Sprintf("DELETE FROM u WHERE y %% 13 = %d", rng.Intn(13)),
				fmt.Sprintf("INSERT INTO t SELECT g, g %% 3000, CASE g WHEN %d THEN -1 ELSE g END, 'z' FROM generate_series(%d, %d) x(g)", 2000000000-rng.Intn(2), 1999994999, 2000000000),
			}
			id += n
			which := []int{0, 0, 1, 2, 3, 4, 5}[rng.Intn(7)]
			if round == 0 {
				which = 0
			}
			if got := ask(s, sql[which]); strings.HasPrefix(got, "ERROR") {
				t.Fatalf("%s: %s", sql[which], got)
			}
			if which == 5 { // v8 has failed, if a division by zero came
				script(t, s, "DELETE FROM t WHERE id >= 1000000000", "DELETE 5002")
				if got := ask(s, "ALTER MATERIALIZED VIEW v8 RESUME"); got != "ALTER MATERIALIZED VIEW" {
					t.Fatal(got)
				}
			}
			time.Sleep(10 * time.Millisecond)
			for i, q := range queries {
				got, want := sorted(ask(s, fmt.Sprintf("SELECT * FROM v%d", i))), sorted(ask(s, q))
				if got != want {
					t.Fatalf("round %d, workers %d, after %s: v%d has %d bytes, want %d", round, workers, sql[which], i, len(got), len(want))
				}
			}
		}
		must(t, e.Close())
	}
}
