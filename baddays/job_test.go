package baddays

import (
	"fmt"
	"strings"
	"testing"

	"github.com/streamsql/streamsql/engine"
	"github.com/streamsql/streamsql/udf"
)

func TestPanickingFunction(t *testing.T) {
	reg := &udf.Registry{}
	if err := reg.Scalar("bad.Reciprocal", func(x int64) int64 {
		if x == 0 {
			panic("zero has no reciprocal")
		}
		return 100 / x
	}); err != nil {
		t.Fatal(err)
	}
	w := start(t, engine.Options{Functions: reg})
	w.exec("CREATE FUNCTION reciprocal(bigint) RETURNS bigint LANGUAGE go IMMUTABLE AS 'bad.Reciprocal'")
	w.exec("CREATE TABLE t (id INT PRIMARY KEY, x BIGINT)")
	w.exec("CREATE MATERIALIZED VIEW good AS SELECT count(*) AS n FROM t")
	w.exec("CREATE MATERIALIZED VIEW bad AS SELECT id, reciprocal(x) AS r FROM t")
	w.exec("CREATE MATERIALIZED VIEW on_bad AS SELECT sum(r) AS s FROM bad")
	w.exec("INSERT INTO t VALUES (1, 4), (2, 5)")
	if got := w.rows("SELECT s FROM on_bad"); got != "45\n" {
		t.Fatalf("before: %s", got)
	}
	// The write that it fails on is a good one: it is kept, and other views show it.
	w.exec("INSERT INTO t VALUES (3, 0)")
	if got := w.rows("SELECT n FROM good"); got != "3\n" {
		t.Errorf("the other view: %s", got)
	}
	if got := w.rows("SELECT name, state FROM streamsql.jobs WHERE kind = 'materialized view' ORDER BY name"); got != "bad|FAILED\ngood|RUNNING\non_bad|STALE\n" {
		t.Errorf("jobs:\n%s", got)
	}
	got := w.rows("SELECT message, row FROM streamsql.job_errors WHERE job = 'bad'")
	if !strings.Contains(got, "zero has no reciprocal") || !strings.Contains(got, "3") {
		t.Errorf("job_errors: %s", got)
	}
	// It shows where it stood, and says so.
	if got := w.rows("SELECT id, r FROM bad ORDER BY id"); got != "1|25\n2|20\n" {
		t.Errorf("the failed view:\n%s", got)
	}
	w.fails("SELECT reciprocal(0)", "38000", "zero has no reciprocal")
	w.goesOn()
	// Mended, it comes back.
	w.exec("DELETE FROM t WHERE id = 3")
	w.exec("ALTER MATERIALIZED VIEW bad RESUME")
	w.exec("INSERT INTO t VALUES (4, 50)")
	w.eventually("SELECT r FROM bad ORDER BY r", "2\n20\n25\n")
	w.eventually("SELECT s FROM on_bad", "47\n")
	// A failed view can be dropped.
	w.exec("INSERT INTO t VALUES (5, 0)")
	w.eventually("SELECT state FROM streamsql.jobs WHERE name = 'bad'", "FAILED\n")
	w.exec("DROP MATERIALIZED VIEW bad CASCADE")
	w.goesOn()
}

func TestFailingExpression(t *testing.T) {
	w := start(t, engine.Options{})
	w.exec("CREATE TABLE t (x INT)")
	w.exec("CREATE MATERIALIZED VIEW v AS SELECT 10 / x AS y FROM t")
	w.exec("INSERT INTO t VALUES (5)")
	w.exec("INSERT INTO t VALUES (0)")
	w.eventually("SELECT state, error LIKE '%division by zero%' FROM streamsql.jobs WHERE name = 'v'", "FAILED|t\n")
	w.goesOn()
	w.exec("DROP MATERIALIZED VIEW v")
}

// TestExplodingJoin: each row meets each, far beyond the memory there is.
func TestExplodingJoin(t *testing.T) {
	w := start(t, engine.Options{MemoryLimit: 64 << 20, StatementMemory: 16 << 20})
	w.exec("CREATE TABLE t (x INT, s TEXT)")
	w.exec("INSERT INTO t SELECT i, repeat('x', 50) FROM generate_series(1, 5000) AS g(i)")
	// Flowing on it needs no memory; kept it does.
	if got := w.rows("SELECT count(*) FROM t a, t b"); got != "25000000\n" {
		t.Errorf("count: %s", got)
	}
	w.fails("SELECT DISTINCT a.s, b.s, a.x, b.x FROM t a, t b ORDER BY 1", "53200", "memory")
	_, err := w.conn.Exec(t.Context(), "CREATE MATERIALIZED VIEW v AS SELECT a.x AS ax, b.x AS bx, a.s AS s1, b.s AS s2 FROM t a, t b")
	if err != nil {
		w.isError(err, "53200", "memory")
	} else {
		w.eventually("SELECT state, error LIKE '%memory%' FROM streamsql.jobs WHERE name = 'v'", "FAILED|t\n")
	}
	w.goesOn()
	w.exec("DROP MATERIALIZED VIEW IF EXISTS v")
	w.goesOn()
}

// TestStateExplodes: a join of joins holds far more than it puts out, which is
// one row.
func TestStateExplodes(t *testing.T) {
	w := start(t, engine.Options{MemoryLimit: 64 << 20})
	w.exec("CREATE TABLE t (x INT)")
	w.exec("INSERT INTO t SELECT i FROM generate_series(1, 50) AS g(i)")
	_, err := w.conn.Exec(t.Context(), `CREATE MATERIALIZED VIEW v AS SELECT count(*), sum(a.x + b.x + c.x + d.x + e.x + f.x)
	  FROM t a, t b, t c, t d, t e, t f`)
	w.isError(err, "53200", "memory")
	w.goesOn()
}

func TestDeepNesting(t *testing.T) {
	w := start(t, engine.Options{})
	const n = 10_000
	w.fails(strings.Repeat("SELECT (", n)+"1"+strings.Repeat(")", n), "54001", "")
	w.fails("SELECT "+strings.Repeat("(", n)+"1"+strings.Repeat(")", n), "54001", "")
	w.fails("SELECT 1"+strings.Repeat(" FROM (SELECT 1", n)+strings.Repeat(") x", n), "54001", "")
	if got := w.rows("SELECT " + strings.Repeat("1 + ", 900) + "1"); got != fmt.Sprintf("%d\n", 901) {
		t.Errorf("a long sum: %s", got)
	}
	w.goesOn()
}
