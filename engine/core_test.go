package engine

import (
	"context"
	"fmt"
	"math/rand"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/vfs"

	_ "github.com/streamsql/streamsql/connector/file"
	"github.com/streamsql/streamsql/sql/sqlerr"
	"github.com/streamsql/streamsql/udf"
)

// These tests drive the core with SQL.

func session(t *testing.T, o Options) *Session {
	t.Helper()
	return another(t, open(t, o))
}

// fails runs a text that must fail and checks the error's parts that are given.
func fails(t *testing.T, s *Session, sql, code string, parts ...string) {
	t.Helper()
	_, err := s.Exec(bg, sql)
	if err == nil {
		t.Errorf("%s: no error", sql)
		return
	}
	e := sqlerr.From(err)
	all := e.Message + "\n" + e.Detail + "\n" + e.Hint
	for _, p := range parts {
		if !strings.Contains(all, p) {
			t.Errorf("%s\ngot  %s\nwant %s", sql, all, p)
		}
	}
	if e.Code != code {
		t.Errorf("%s: code %s, want %s (%s)", sql, e.Code, code, all)
	}
}

// notices runs a text and returns its notices.
func notices(t *testing.T, s *Session, sql string) string {
	t.Helper()
	a, err := s.Exec(bg, sql)
	if err != nil {
		t.Errorf("%s: %v", sql, err)
		return ""
	}
	var out []string
	for _, n := range a.Notices {
		out = append(out, n.Severity+": "+n.Err.Message)
	}
	return strings.Join(out, "\n")
}

func TestConstraints(t *testing.T) {
	s := session(t, Options{})
	script(t, s,
		"CREATE TABLE t (id int PRIMARY KEY, name text NOT NULL, n numeric DEFAULT 1)", "CREATE TABLE",
		"CREATE UNIQUE INDEX ON t (n)", "CREATE INDEX",
		"INSERT INTO t VALUES (1, 'one', 1.0), (2, 'two', NULL), (3, 'three', NULL)", "INSERT 0 3")
	fails(t, s, "INSERT INTO t VALUES (4, NULL)", "23502", `null value in column "name" of relation "t" violates not-null constraint`, "Failing row contains (4, null, 1).")
	fails(t, s, "INSERT INTO t VALUES (5, 'x', 5), (1, 'y', 6)", "23505", `duplicate key value violates unique constraint "t_pkey"`, "Key (id)=(1) already exists.")
	fails(t, s, "INSERT INTO t VALUES (5, 'x', 1.00)", "23505", `"t_n_idx"`, "Key (n)=(1.00) already exists.")
	fails(t, s, "UPDATE t SET n = 7", "23505", `"t_n_idx"`)
	fails(t, s, "UPDATE t SET name = NULL WHERE id = 2", "23502")
	script(t, s,
		"SELECT id, n FROM t ORDER BY id", "1|1.0\n2|NULL\n3|NULL",
		"UPDATE t SET id = id + 1", "UPDATE 3",
		"SELECT id FROM t ORDER BY id", "2\n3\n4",
		"INSERT INTO t VALUES (2, 'zwei', 9), (9, 'nine', 9) ON CONFLICT (id) DO NOTHING", "INSERT 0 1",
		"INSERT INTO t VALUES (30, 'x', 9) ON CONFLICT (id) DO NOTHING", "ERROR 23505",
		"INSERT INTO t VALUES (30, 'x', 9) ON CONFLICT DO NOTHING", "INSERT 0 0",
		"INSERT INTO t VALUES (30, 'x', 9) ON CONFLICT (n) DO UPDATE SET name = excluded.name RETURNING id, name", "9|x",
		"INSERT INTO t VALUES (30, 'x', 9) ON CONFLICT (name) DO NOTHING", "ERROR 42P10",
		"INSERT INTO t VALUES (2, 'zwei', 10), (10, 'ten', 11) ON CONFLICT (id) DO UPDATE SET name = t.name || excluded.name RETURNING id, name", "2|onezwei\n10|ten",
		"INSERT INTO t VALUES (2, 'x', 10) ON CONFLICT (id) DO UPDATE SET name = 'y' WHERE t.id > 5", "INSERT 0 0",
		"DELETE FROM t WHERE id > 3 RETURNING id", "4\n9\n10",
		"SELECT id, name, n FROM t ORDER BY id", "2|onezwei|1.0\n3|two|NULL")
	fails(t, s, "INSERT INTO t VALUES (7, 'a', 70), (7, 'b', 71) ON CONFLICT (id) DO UPDATE SET name = 'c'", "21000")
	// A table without a key is a bag.
	script(t, s,
		"CREATE TABLE bag (a int)", "CREATE TABLE",
		"INSERT INTO bag VALUES (1), (1), (1), (2)", "INSERT 0 4",
		"UPDATE bag SET a = 3 WHERE a = 1", "UPDATE 3",
		"SELECT a FROM bag ORDER BY 1", "2\n3\n3\n3",
		"DELETE FROM bag USING (VALUES (3), (3)) v(x) WHERE a = x", "DELETE 3",
		"SELECT a FROM bag", "2")
}

func TestAppendOnlyTable(t *testing.T) {
	s := session(t, Options{})
	script(t, s,
		"CREATE TABLE a (k int PRIMARY KEY, v int) APPEND ONLY", "CREATE TABLE",
		"INSERT INTO a VALUES (1, 1)", "INSERT 0 1",
		"INSERT INTO a VALUES (1, 2), (2, 2) ON CONFLICT DO NOTHING", "INSERT 0 1")
	fails(t, s, "DELETE FROM a", "42809", `cannot delete from append-only table "a"`)
	fails(t, s, "UPDATE a SET v = 3", "42809", `cannot update append-only table "a"`)
	fails(t, s, "INSERT INTO a VALUES (1, 2) ON CONFLICT (k) DO UPDATE SET v = 3", "42809", `cannot update append-only table "a"`)
	script(t, s, "SELECT k, v FROM a ORDER BY k", "1|1\n2|2")
}

func TestDropAndDependence(t *testing.T) {
	s := session(t, Options{})
	script(t, s,
		"CREATE TABLE t (a int, b int)", "CREATE TABLE",
		"CREATE VIEW p AS SELECT a FROM t", "CREATE VIEW",
		"CREATE MATERIALIZED VIEW v AS SELECT a + 1 AS a FROM p", "CREATE MATERIALIZED VIEW",
		"CREATE MATERIALIZED VIEW w AS SELECT DISTINCT a FROM v", "CREATE MATERIALIZED VIEW",
		"CREATE INDEX i ON w (a)", "CREATE INDEX",
		"INSERT INTO t VALUES (1, 1), (1, 2)", "INSERT 0 2",
		"SELECT * FROM w WHERE a = 2", "2")
	fails(t, s, "DROP TABLE t", "2BP01", "cannot drop table t because other objects depend on it", "view p depends on table t",
		"materialized view w depends on materialized view v", "Use DROP ... CASCADE to drop the dependent objects too.")
	fails(t, s, "DROP VIEW v", "42809", `"v" is not a view`, "Use DROP MATERIALIZED VIEW to remove a materialized view.")
	fails(t, s, "DROP TABLE nothing", "42P01", `table "nothing" does not exist`)
	fails(t, s, "CREATE TABLE v (a int)", "42P07", `relation "v" already exists`)
	fails(t, s, "CREATE MATERIALIZED VIEW x AS SELECT * FROM streamsql.jobs", "0A000")
	if got := notices(t, s, "DROP TABLE IF EXISTS nothing"); got != `NOTICE: table "nothing" does not exist, skipping` {
		t.Error(got)
	}
	if got := notices(t, s, "CREATE TABLE IF NOT EXISTS t (x int)"); got != `NOTICE: relation "t" already exists, skipping` {
		t.Error(got)
	}
	if got := notices(t, s, "DROP TABLE t CASCADE"); got != "NOTICE: drop cascades to 3 other objects" {
		t.Error(got)
	}
	script(t, s, "SELECT relname FROM pg_class WHERE relnamespace = 2200", "",
		"CREATE TABLE t (a int)", "CREATE TABLE", "SELECT * FROM t", "")
	// Replacing a plain view, which other objects keep reading.
	script(t, s,
		"CREATE VIEW p AS SELECT a FROM t", "CREATE VIEW",
		"CREATE OR REPLACE VIEW p AS SELECT a, a + 1 AS b FROM t", "CREATE VIEW",
		"INSERT INTO t VALUES (1)", "INSERT 0 1", "SELECT * FROM p", "1|2")
	fails(t, s, "CREATE OR REPLACE VIEW p AS SELECT a AS c FROM t", "42P16")
	script(t, s, "CREATE OR REPLACE MATERIALIZED VIEW m AS SELECT 1", "CREATE MATERIALIZED VIEW")
	fails(t, s, "CREATE OR REPLACE MATERIALIZED VIEW t AS SELECT 1", "42809")
}

func TestViewThatFails(t *testing.T) {
	s := session(t, Options{})
	script(t, s,
		"CREATE TABLE t (a int, b int)", "CREATE TABLE",
		"CREATE MATERIALIZED VIEW q AS SELECT a, a / b AS q FROM t", "CREATE MATERIALIZED VIEW",
		"CREATE MATERIALIZED VIEW below AS SELECT DISTINCT q FROM q", "CREATE MATERIALIZED VIEW",
		"CREATE MATERIALIZED VIEW ok AS SELECT a FROM t", "CREATE MATERIALIZED VIEW",
		"INSERT INTO t VALUES (10, 2)", "INSERT 0 1",
		"INSERT INTO t VALUES (7, 0), (8, 4)", "INSERT 0 2",
		"SELECT * FROM q", "10|5", "SELECT * FROM below", "5", "SELECT * FROM ok ORDER BY 1", "7\n8\n10",
		"SELECT name, state FROM streamsql.jobs ORDER BY 1", "below|STALE\nok|RUNNING\nq|FAILED")
	if got := notices(t, s, "SELECT * FROM q"); !strings.HasPrefix(got, `WARNING: materialized view "q" is FAILED and stands at epoch`) {
		t.Error(got)
	}
	a, err := s.eng.failures(bg)
	must(t, err)
	if len(a) != 1 || a[0].Code != "22012" || !strings.Contains(a[0].Row, "7") {
		t.Errorf("%+v", a)
	}
	fails(t, s, "ALTER MATERIALIZED VIEW q RESUME", "22012")
	fails(t, s, "CREATE MATERIALIZED VIEW more AS SELECT * FROM q", "55000")
	script(t, s,
		"DELETE FROM t WHERE b = 0", "DELETE 1",
		"ALTER MATERIALIZED VIEW q RESUME", "ALTER MATERIALIZED VIEW",
		"SELECT * FROM q ORDER BY 1", "8|2\n10|5", "SELECT * FROM below ORDER BY 1", "2\n5",
		"INSERT INTO t VALUES (9, 3)", "INSERT 0 1", "SELECT * FROM below ORDER BY 1", "2\n3\n5",
		"ALTER MATERIALIZED VIEW q PAUSE", "ALTER MATERIALIZED VIEW",
		"INSERT INTO t VALUES (4, 1)", "INSERT 0 1", "SELECT * FROM below ORDER BY 1", "2\n3\n5",
		"SELECT name, state FROM streamsql.jobs ORDER BY 1", "below|STALE\nok|RUNNING\nq|PAUSED",
		"ALTER MATERIALIZED VIEW q RESUME", "ALTER MATERIALIZED VIEW",
		"SELECT * FROM below ORDER BY 1", "2\n3\n4\n5")
	// A view that fails while it is made is not there.
	fails(t, s, "CREATE MATERIALIZED VIEW bad AS SELECT 1 / (a - 4) AS x FROM t", "22012")
	script(t, s, "SELECT * FROM bad", "ERROR 42P01",
		"INSERT INTO t VALUES (7, 0)", "INSERT 0 1", "DROP MATERIALIZED VIEW q CASCADE", "DROP MATERIALIZED VIEW")
}

func TestGoFunctions(t *testing.T) {
	var r udf.Registry
	must(t, r.Scalar("t.Twice", func(x int64) (int64, error) {
		if x == 13 {
			return 0, fmt.Errorf("unlucky")
		}
		if x == 14 {
			panic("at the disco")
		}
		return 2 * x, nil
	}))
	must(t, r.Scalar("t.Len", func(s *string) int64 {
		if s == nil {
			return -1
		}
		return int64(len(*s))
	}))
	fs := vfs.NewMem()
	s := session(t, Options{Functions: &r, Dir: "data", FS: fs})
	script(t, s,
		"CREATE FUNCTION twice(bigint) RETURNS bigint LANGUAGE go IMMUTABLE AS 't.Twice'", "CREATE FUNCTION",
		"CREATE FUNCTION len(text) RETURNS bigint LANGUAGE go AS 't.Len'", "CREATE FUNCTION",
		"SELECT twice(4), len(NULL), len('abc'), twice(NULL)", "8|-1|3|NULL",
		"CREATE TABLE t (a bigint)", "CREATE TABLE",
		"CREATE MATERIALIZED VIEW v AS SELECT a, twice(a) AS b FROM t", "CREATE MATERIALIZED VIEW",
		"INSERT INTO t VALUES (1), (2)", "INSERT 0 2",
		"SELECT * FROM v ORDER BY 1", "1|2\n2|4")
	fails(t, s, "SELECT twice(a + 12) FROM t", "38000", "unlucky")
	fails(t, s, "SELECT twice(14)", "38000", "at the disco")
	fails(t, s, "CREATE FUNCTION twice(bigint) RETURNS bigint LANGUAGE go AS 't.Twice'", "42723")
	fails(t, s, "CREATE FUNCTION twice(text) RETURNS bigint LANGUAGE go AS 't.Twice'", "42P13")
	fails(t, s, "CREATE FUNCTION none(text) RETURNS bigint LANGUAGE go AS 't.None'", "42883")
	fails(t, s, "DROP FUNCTION twice(bigint)", "2BP01", "materialized view v depends on function twice(bigint)")
	script(t, s, "INSERT INTO t VALUES (14)", "INSERT 0 1",
		"SELECT state, error_code FROM streamsql.jobs", "FAILED|38000")
	must(t, s.eng.Close())
	// A program without the functions opens the database all the same.
	s = session(t, Options{Functions: &udf.Registry{}, Dir: "data", FS: fs})
	script(t, s, "SELECT * FROM v ORDER BY 1", "1|2\n2|4", "SELECT twice(1)", "ERROR 42883",
		"DROP FUNCTION twice(bigint) CASCADE", "DROP FUNCTION", "SELECT a FROM t ORDER BY 1", "1\n2\n14")
}

func TestClock(t *testing.T) {
	fs := vfs.NewMem()
	s := session(t, Options{Dir: "data", FS: fs})
	script(t, s,
		"ADVANCE CLOCK TO '2200-01-01'", "ERROR 55000",
		"SET streamsql.clock = 'manual'", "SET",
		"ADVANCE CLOCK TO timestamptz '2200-01-01'", "ADVANCE CLOCK",
		"SELECT now()", "2200-01-01 00:00:00+00",
		"ADVANCE CLOCK TO '2199-12-31'", "ERROR 22023",
		"ADVANCE CLOCK TO 5", "ERROR 22023",
		"CREATE TABLE t (a timestamptz DEFAULT now())", "CREATE TABLE",
		"INSERT INTO t DEFAULT VALUES", "INSERT 0 1",
		"SELECT a FROM t", "2200-01-01 00:00:00+00")
	must(t, s.eng.Close())
	s = session(t, Options{Dir: "data", FS: fs})
	script(t, s, "SELECT now()", "2200-01-01 00:00:00+00", "SELECT a FROM t", "2200-01-01 00:00:00+00")
}

// TestSinkExactlyOnce crashes at random moments: the file holds the changes of
// durable epochs, each once.
func TestSinkExactlyOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "out.jsonl")
	fs := vfs.NewStrictMem()
	r := rand.New(rand.NewSource(3))
	n := 0
	for run := range 8 {
		fs.SetIgnoreSyncs(false)
		e, err := Open(bg, Options{Dir: "data", FS: fs, CheckpointInterval: time.Duration(1+r.Intn(5)) * time.Millisecond})
		must(t, err)
		s, err := e.NewSession("u", "d", nil)
		must(t, err)
		if run == 0 {
			script(t, s, "CREATE TABLE t (a int)", "CREATE TABLE",
				"INSERT INTO t VALUES (-1)", "INSERT 0 1",
				fmt.Sprintf("CREATE SINK k FROM t WITH (connector = 'file', path = '%s')", path), "CREATE SINK")
		}
		for range 10 + r.Intn(40) {
			script(t, s, fmt.Sprintf("INSERT INTO t VALUES (%d)", n), "INSERT 0 1")
			n++
		}
		if run == 7 {
			script(t, s, "CHECKPOINT", "CHECKPOINT")
			s.Close()
			must(t, e.Close())
			break
		}
		fs.SetIgnoreSyncs(true)
		_ = e.Close()
		fs.ResetToSyncedState()
	}
	b, err := os.ReadFile(path)
	must(t, err)
	seen := map[string]int{}
	for line := range strings.Lines(string(b)) {
		seen[line]++
	}
	for i := -1; i < n; i++ {
		line := fmt.Sprintf(`{"a":%d,"__op":"insert"}`+"\n", i)
		if seen[line] != 1 {
			t.Errorf("%q is there %d times", line, seen[line])
		}
		delete(seen, line)
	}
	if len(seen) > 0 {
		t.Errorf("also there: %v", seen)
	}
}

// TestAcknowledgedWritesSurvive crashes without warning: what was acknowledged is
// there, once, and the view agrees with the table.
func TestAcknowledgedWritesSurvive(t *testing.T) {
	fs := vfs.NewStrictMem()
	r := rand.New(rand.NewSource(4))
	model := map[int]int{}
	for run := range 10 {
		fs.SetIgnoreSyncs(false)
		e, err := Open(bg, Options{Dir: "data", FS: fs, CheckpointInterval: time.Duration(1+r.Intn(20)) * time.Millisecond, Workers: 1 + run%3})
		must(t, err)
		s, err := e.NewSession("u", "d", nil)
		must(t, err)
		if run == 0 {
			script(t, s, "CREATE TABLE t (k int PRIMARY KEY, v int)", "CREATE TABLE",
				"CREATE INDEX i ON t (v)", "CREATE INDEX",
				"CREATE MATERIALIZED VIEW j AS SELECT x.k, y.k AS l FROM t x JOIN t y ON x.v = y.v", "CREATE MATERIALIZED VIEW")
		}
		check := func() {
			t.Helper()
			byV := map[int]int{}
			for _, v := range model {
				byV[v]++
			}
			pairs := 0
			for _, c := range byV {
				pairs += c * c
			}
			if got := strings.Count(ask(s, "SELECT k FROM t")+"\n", "\n"); got != max(1, len(model)) {
				t.Fatalf("run %d: %d rows, not %d", run, got, len(model))
			}
			if got := strings.Count(ask(s, "SELECT k, l FROM j")+"\n", "\n"); got != max(1, pairs) {
				t.Fatalf("run %d: %d pairs, not %d", run, got, pairs)
			}
			for k, v := range model {
				if got := ask(s, fmt.Sprintf("SELECT v FROM t WHERE k = %d", k)); got != fmt.Sprint(v) {
					t.Fatalf("run %d: key %d: %s, not %d", run, k, got, v)
				}
			}
		}
		check()
		for range 20 + r.Intn(30) {
			k, v := r.Intn(40), r.Intn(10)
			switch _, there := model[k]; {
			case !there:
				script(t, s, fmt.Sprintf("INSERT INTO t VALUES (%d, %d)", k, v), "INSERT 0 1")
				model[k] = v
			case r.Intn(2) == 0:
				script(t, s, fmt.Sprintf("UPDATE t SET v = %d WHERE k = %d", v, k), "UPDATE 1")
				model[k] = v
			default:
				script(t, s, fmt.Sprintf("DELETE FROM t WHERE k = %d", k), "DELETE 1")
				delete(model, k)
			}
		}
		check()
		fs.SetIgnoreSyncs(true)
		_ = e.Close()
		fs.ResetToSyncedState()
	}
}

func TestCancelledCreate(t *testing.T) {
	topic := newFakeTopic(t.Name(), 1)
	s := session(t, Options{})
	for i := range 100 {
		topic.put(0, int64(i), 0)
	}
	src := s.eng.testSource(t, "s", t.Name())
	script(t, s, "CREATE MATERIALIZED VIEW v AS SELECT a FROM s", "CREATE MATERIALIZED VIEW")
	s.eng.settle(t, src.ID, topic)
	// A second reader that never gets anything keeps the view from joining.
	must(t, s.eng.do(bg, func() { s.eng.sources[src.ID].parts[0].next = 1000 }))
	ctx, cancel := context.WithTimeout(bg, 50*time.Millisecond)
	defer cancel()
	if _, err := s.Exec(ctx, "CREATE MATERIALIZED VIEW w AS SELECT a FROM s"); err == nil {
		t.Fatal("no error")
	}
	script(t, s, "SELECT name FROM streamsql.jobs", "v",
		"SET streamsql.background_ddl = on", "SET",
		"CREATE MATERIALIZED VIEW w AS SELECT a FROM s", "CREATE MATERIALIZED VIEW",
		"SELECT * FROM w", "ERROR 55000",
		"SELECT name, state FROM streamsql.jobs ORDER BY 1", "v|RUNNING\nw|BACKFILLING",
		"DROP MATERIALIZED VIEW w", "DROP MATERIALIZED VIEW")
}

func TestWriteEnds(t *testing.T) {
	s := session(t, Options{StatementMemory: 8 << 20})
	script(t, s, "CREATE TABLE t (a bigint)", "CREATE TABLE", "CREATE TABLE u (a bigint)", "CREATE TABLE",
		"INSERT INTO t SELECT * FROM generate_series(1, 20000)", "INSERT 0 20000",
		"INSERT INTO u VALUES (5)", "INSERT 0 1",
		"INSERT INTO t SELECT * FROM generate_series(1, 100000000)", "ERROR 53200")
	for _, sql := range []string{
		"INSERT INTO u SELECT x.a FROM t x, t y WHERE x.a + y.a < 0",
		"DELETE FROM u USING t x, t y WHERE x.a + y.a < 0",
		"UPDATE t SET a = 0 FROM t x, t y WHERE x.a + y.a < 0",
	} {
		ctx, cancel := context.WithTimeout(bg, 50*time.Millisecond)
		start := time.Now()
		_, err := s.Exec(ctx, sql)
		cancel()
		if err == nil || sqlerr.From(err).Code != "57014" || time.Since(start) > 5*time.Second {
			t.Errorf("%s: %v after %s", sql, err, time.Since(start))
		}
	}
	script(t, s, "SELECT count(*) FROM t", "20000", "INSERT INTO u SELECT a FROM t WHERE a < 3", "INSERT 0 2",
		"BEGIN", "BEGIN", "INSERT INTO u VALUES (77)", "INSERT 0 1", "COMMIT", "COMMIT", "SELECT a FROM u ORDER BY 1", "1\n2\n5\n77")
}

// TestRestartWhileBackfilling: a view that was being made when the engine ended is
// made anew when it starts again.
func TestRestartWhileBackfilling(t *testing.T) {
	topic := newFakeTopic(t.Name(), 1)
	fs := vfs.NewMem()
	s := session(t, Options{Dir: "data", FS: fs})
	for i := range 100 {
		topic.put(0, int64(i), 0)
	}
	src := s.eng.testSource(t, "s", t.Name())
	script(t, s, "CREATE MATERIALIZED VIEW v AS SELECT a FROM s", "CREATE MATERIALIZED VIEW")
	s.eng.settle(t, src.ID, topic)
	// The view cannot be finished yet: the source says that it has been read further.
	must(t, s.eng.do(bg, func() { s.eng.sources[src.ID].parts[0].next = 300 }))
	script(t, s,
		"SET streamsql.background_ddl = on", "SET",
		"CREATE MATERIALIZED VIEW w AS SELECT a FROM s", "CREATE MATERIALIZED VIEW",
		"CREATE MATERIALIZED VIEW x AS SELECT count(*) AS n FROM w", "CREATE MATERIALIZED VIEW")
	waitFor(t, s, "SELECT backfill_done FROM streamsql.jobs WHERE name = 'w'", "100")
	script(t, s, "CHECKPOINT", "CHECKPOINT")
	must(t, s.eng.Close())
	s = session(t, Options{Dir: "data", FS: fs})
	waitFor(t, s, "SELECT name, state, backfill_done FROM streamsql.jobs WHERE name = 'w'", "w|BACKFILLING|100")
	script(t, s, "SELECT * FROM x", "ERROR 55000")
	for i := range 250 {
		topic.put(0, int64(100+i), 0)
	}
	waitFor(t, s, "SELECT name, state FROM streamsql.jobs ORDER BY name", "v|RUNNING\nw|RUNNING\nx|RUNNING")
	waitFor(t, s, "SELECT n FROM x", "350")
	script(t, s, "SELECT count(*), count(DISTINCT a) FROM w", "350|350")
}

// TestSinkLife pauses, resumes and drops sinks on one file.
func TestSinkLife(t *testing.T) {
	path := filepath.Join(t.TempDir(), "out.jsonl")
	lines := func() string {
		b, err := os.ReadFile(path)
		must(t, err)
		return strings.ReplaceAll(string(b), "\n", " ")
	}
	s := session(t, Options{Dir: "data", FS: vfs.NewMem()})
	create := fmt.Sprintf("CREATE SINK k AS SELECT a, count(*) AS n FROM t GROUP BY a WITH (connector = 'file', path = '%s')", path)
	script(t, s, "CREATE TABLE t (a int)", "CREATE TABLE", "INSERT INTO t VALUES (1)", "INSERT 0 1",
		create, "CREATE SINK",
		"INSERT INTO t VALUES (1)", "INSERT 0 1", "CHECKPOINT", "CHECKPOINT",
		"ALTER SINK k PAUSE", "ALTER SINK",
		"INSERT INTO t VALUES (2)", "INSERT 0 1", "CHECKPOINT", "CHECKPOINT",
		"SELECT state FROM streamsql.jobs", "PAUSED")
	want := `{"a":1,"n":1,"__op":"insert"} {"a":1,"n":1,"__op":"delete"} {"a":1,"n":2,"__op":"insert"} `
	for range 1000 {
		if lines() == want {
			break
		}
		time.Sleep(time.Millisecond)
	}
	expect(t, lines(), want)
	script(t, s, "ALTER SINK k RESUME", "ALTER SINK", "CHECKPOINT", "CHECKPOINT",
		"SELECT state FROM streamsql.jobs", "RUNNING",
		"DROP SINK k", "DROP SINK", create, "CREATE SINK", "DROP TABLE t", "ERROR 2BP01",
		"CREATE SINK l FROM t WITH (connector = 'nothing')", "ERROR 22023",
		"DROP TABLE t CASCADE", "DROP TABLE", "SELECT count(*) FROM streamsql.jobs", "0")
}
