package engine

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/vfs"

	"github.com/streamsql/streamsql/sql/sqlerr"
	"github.com/streamsql/streamsql/udf"
)

// TestStatementTooLarge: a statement that would blow up a view is refused and
// leaves nothing behind; those in the same step go on, the view too.
func TestStatementTooLarge(t *testing.T) {
	if testing.Short() {
		t.Skip("fills the memory for seconds")
	}
	for _, o := range []Options{{}, {Dir: "data", FS: vfs.NewMem()}, {Dir: "data", FS: vfs.NewMem(), Workers: 3}} {
		t.Run(fmt.Sprintf("dir %q, workers %d", o.Dir, o.Workers), func(t *testing.T) {
			o.MemoryLimit, o.StatementMemory = 128<<20, 64<<20
			e, err := Open(bg, o)
			must(t, err)
			s := another(t, e)
			script(t, s, "CREATE TABLE t (k int, x int, s text)", "CREATE TABLE",
				"CREATE TABLE u (k int, y int)", "CREATE TABLE",
				"INSERT INTO u SELECT 1, g FROM generate_series(1, 5000) x(g)", "INSERT 0 5000",
				"INSERT INTO u VALUES (2, 1)", "INSERT 0 1",
				"CREATE MATERIALIZED VIEW v AS SELECT t.x, u.y, t.s FROM t, u WHERE t.k = u.k", "CREATE MATERIALIZED VIEW",
				"CREATE MATERIALIZED VIEW w AS SELECT count(*) AS n FROM v", "CREATE MATERIALIZED VIEW",
				"INSERT INTO t SELECT 2, g, 'some text' FROM generate_series(1, 3000) x(g)", "INSERT 0 3000")
			state := func(s *Session) {
				t.Helper()
				script(t, s, "SELECT count(*), sum(k) FROM t", "3000|6000", "SELECT n FROM w", "3000",
					"SELECT count(DISTINCT x) FROM v", "3000", "SELECT DISTINCT state FROM streamsql.jobs", "RUNNING",
					"SELECT count(*) FROM streamsql.job_errors", "0")
			}
			fails(t, s, "UPDATE t SET k = 1", "53200", "out of memory")
			state(s)
			fails(t, s, "INSERT INTO t SELECT 1, g, 'other text' FROM generate_series(1, 4000) x(g)", "53200", "out of memory")
			state(s)

			// Many in one step: one is too large.
			var wrong atomic.Int32
			gate := make(chan bool)
			go e.do(bg, func() { <-gate })
			time.Sleep(10 * time.Millisecond)
			done := make(chan bool)
			for i := range 5 {
				x := another(t, e)
				go func() {
					sql, want := fmt.Sprintf("INSERT INTO t VALUES (2, %d, 'one')", 10000+i), "INSERT 0 1"
					if i == 2 {
						sql, want = "UPDATE t SET k = 1 WHERE x <= 3000", "ERROR 53200"
					}
					if got := ask(x, sql); got != want {
						t.Errorf("%s: %s", sql, got)
						wrong.Add(1)
					}
					done <- true
				}()
			}
			time.Sleep(50 * time.Millisecond)
			close(gate)
			for range 5 {
				<-done
			}
			script(t, s, "SELECT count(*), sum(k) FROM t", "3004|6008", "SELECT n FROM w", "3004",
				"DELETE FROM t WHERE x >= 10000", "DELETE 4")
			state(s)
			must(t, e.Close())
			if o.Dir != "" {
				state(session(t, o))
			}
		})
	}
}

// TestSourceStepTooLarge: steps of a source that would outgrow the memory are made
// again with fewer rows, down to one; a row that does not fit by itself ends the
// job.
func TestSourceStepTooLarge(t *testing.T) {
	if testing.Short() {
		t.Skip("fills the memory for seconds")
	}
	for _, workers := range []int{1, 3} {
		topic := newFakeTopic(t.Name(), 2)
		e := open(t, Options{Dir: "data", FS: vfs.NewMem(), MemoryLimit: 64 << 20, StatementMemory: 32 << 20, Workers: workers})
		src := e.testSource(t, "s", t.Name())
		s := another(t, e)
		script(t, s, "CREATE TABLE u (a int, y int)", "CREATE TABLE",
			"INSERT INTO u SELECT 1, g FROM generate_series(1, 2000) x(g)", "INSERT 0 2000",
			"CREATE MATERIALIZED VIEW v AS SELECT s.a, s.b, u.y, repeat('x', 40) AS x FROM s, u WHERE s.a = u.a", "CREATE MATERIALIZED VIEW",
			"CREATE MATERIALIZED VIEW n AS SELECT count(*) AS n, sum(b) AS b FROM s", "CREATE MATERIALIZED VIEW")
		const n = 600 // 1,200,000 rows in v: some 100 MB
		topic.change(func() {
			for i := range n {
				p := int32(i % 2)
				topic.parts[p] = append(topic.parts[p], fakeRecord{vals: []int64{1, int64(i)}})
				if i == 300 {
					topic.parts[p] = append(topic.parts[p], fakeRecord{bad: "bad"})
				}
			}
		})
		most := watchMemory(t, e)
		e.settle(t, src.ID, topic)
		if got := most(); got > 96<<20 {
			t.Errorf("%d MiB of state at most", got>>20)
		}
		script(t, s, "SELECT n, b FROM n", "600|179700", "SELECT count(*) FROM s_dead_letters", "1",
			"SELECT state FROM streamsql.jobs WHERE name = 'v'", "RUNNING",
			"SELECT count(*), sum(b) FROM v WHERE y = 77", "600|179700")
	}
}

var spinning atomic.Int32 // rows that the function spin has worked on

// TestStopStep: a job that burns the processor is ended by what concerns it, within
// a second, and what waited for it goes on.
func TestStopStep(t *testing.T) {
	var r udf.Registry
	must(t, r.Scalar("spin", func(x int64) int64 {
		if x > 0 {
			spinning.Add(1)
			time.Sleep(20 * time.Millisecond)
		}
		return x
	}))
	for _, workers := range []int{1, 3} {
		o := Options{Functions: &r, Dir: "data", FS: vfs.NewMem(), Workers: workers, MemoryLimit: 1 << 30}
		e, err := Open(bg, o)
		must(t, err)
		s := another(t, e)
		// The second is an endless join that puts nothing out.
		views := []string{
			"CREATE MATERIALIZED VIEW v AS SELECT a, spin(a) AS b FROM t",
			"CREATE MATERIALIZED VIEW v AS SELECT count(*) AS b FROM t, big x, big y, big z WHERE t.a > 0 AND x.g + y.g + z.g + t.a < 0",
		}
		script(t, s, "CREATE TABLE t (a bigint)", "CREATE TABLE", "CREATE TABLE big (g int)", "CREATE TABLE",
			"INSERT INTO big SELECT * FROM generate_series(1, 3000)", "INSERT 0 3000",
			"CREATE FUNCTION spin(bigint) RETURNS bigint IMMUTABLE LANGUAGE go AS 'spin'", "CREATE FUNCTION",
			"CREATE MATERIALIZED VIEW other AS SELECT count(*) AS n FROM t", "CREATE MATERIALIZED VIEW")
		soon := func(what string, fn func()) {
			t.Helper()
			start := time.Now()
			fn()
			if d := time.Since(start); d > 10*time.Second { // by itself it would take minutes
				t.Errorf("%s took %s", what, d)
			}
		}
		busy := func() { time.Sleep(100 * time.Millisecond) }
		for i, view := range views {
			if i == 0 && workers > 1 {
				continue
			}
			name := func(what string) string { return fmt.Sprintf("%s, view %d, %d workers", what, i, workers) }
			script(t, s, view, "CREATE MATERIALIZED VIEW")
			// A statement is cancelled: nothing of it stays.
			ctx, cancel := context.WithCancel(bg)
			answer := make(chan error, 1)
			write := another(t, e)
			insert := func(ctx context.Context) {
				_, err := write.Exec(ctx, "INSERT INTO t SELECT * FROM generate_series(1, 4000)")
				answer <- err
			}
			go insert(ctx)
			busy()
			soon(name("cancel"), func() { cancel(); err = <-answer })
			if err == nil || sqlerr.From(err).Code != "57014" {
				t.Errorf("%s: %v", name("cancel"), err)
			}
			script(t, s, "SELECT count(*) FROM t", "0", "SELECT n FROM other", "0", "SELECT DISTINCT state FROM streamsql.jobs", "RUNNING")
			// The view is paused: the statement stands, the others have it.
			go insert(bg)
			busy()
			soon(name("PAUSE"), func() {
				script(t, s, "ALTER MATERIALIZED VIEW v PAUSE", "ALTER MATERIALIZED VIEW")
				must(t, <-answer)
			})
			script(t, s, "SELECT n FROM other", "4000", "SELECT state FROM streamsql.jobs WHERE name = 'v'", "PAUSED")
			// It is dropped while it is made anew, and cancelled while it is made.
			script(t, another(t, e), "SET streamsql.background_ddl = on", "SET", "ALTER MATERIALIZED VIEW v RESUME", "ALTER MATERIALIZED VIEW")
			busy()
			soon(name("DROP"), func() { script(t, s, "DROP MATERIALIZED VIEW v", "DROP MATERIALIZED VIEW") })
			ctx, cancel = context.WithCancel(bg)
			go func() {
				_, err := write.Exec(ctx, view)
				answer <- err
			}()
			busy()
			soon(name("cancelled CREATE"), func() { cancel(); err = <-answer })
			if err == nil || sqlerr.From(err).Code != "57014" {
				t.Errorf("%s: %v", name("CREATE"), err)
			}
			script(t, s, "SELECT name, state FROM streamsql.jobs", "other|RUNNING", "DELETE FROM t", "DELETE 4000", "SELECT n FROM other", "0")
		}
		// The engine ends in the middle of a step.
		script(t, s, views[0], "CREATE MATERIALIZED VIEW")
		answer := make(chan error, 1)
		go func() {
			_, err := another(t, e).Exec(bg, "INSERT INTO t SELECT * FROM generate_series(1, 4000)")
			answer <- err
		}()
		busy()
		soon("Close", func() { must(t, e.Close()); err = <-answer })
		if err == nil || sqlerr.From(err).Code != "57P01" {
			t.Errorf("Close: %v", err)
		}
		s = session(t, o)
		script(t, s, "SELECT count(*) FROM t", "0", "SELECT n FROM other", "0", "SELECT DISTINCT state FROM streamsql.jobs", "RUNNING",
			"INSERT INTO t VALUES (-1)", "INSERT 0 1", "SELECT b FROM v", "-1")
	}
	if spinning.Load() == 0 {
		t.Error("nothing was tested")
	}
}

// TestCancelOnLoop: what runs on the loop in one piece is ended by its client.
func TestCancelOnLoop(t *testing.T) {
	s := session(t, Options{})
	script(t, s, "CREATE TABLE t (a int, b int)", "CREATE TABLE",
		"INSERT INTO t SELECT g, 0 FROM generate_series(1, 3000) x(g)", "INSERT 0 3000")
	for _, sql := range []string{
		"UPDATE t SET b = (SELECT count(*) FROM t x, t y, t z WHERE x.a + y.a + z.a < t.a)",
		"DELETE FROM t USING t x, t y, t z WHERE x.a + y.a + z.a + t.a < 0",
	} {
		ctx, cancel := context.WithTimeout(bg, 200*time.Millisecond)
		start := time.Now()
		_, err := s.Exec(ctx, sql)
		cancel()
		if err == nil || sqlerr.From(err).Code != "57014" {
			t.Errorf("%s: %v", sql, err)
		}
		if d := time.Since(start); d > 10*time.Second {
			t.Errorf("%s: %s", sql, d)
		}
	}
	script(t, s, "SELECT count(*), sum(b) FROM t", "3000|0")
}

// TestWeightOverflow: a join of a row with itself, so often that the number of the
// answer's rows is beyond 64 bits, is an error and not a wrong answer.
func TestWeightOverflow(t *testing.T) {
	s := session(t, Options{})
	script(t, s, "CREATE TABLE t (a int)", "CREATE TABLE", "INSERT INTO t SELECT 1 FROM generate_series(1, 14)", "INSERT 0 14")
	views := []string{
		"SELECT DISTINCT 1 AS one FROM t" + strings.Repeat(", t t%d", 18),
		"SELECT t.a FROM t" + strings.Repeat(", t t%d", 18),
		"SELECT count(*) AS n FROM t" + strings.Repeat(", t t%d", 18),
	}
	for i, q := range views {
		n := 0
		for strings.Contains(q, "%d") {
			n++
			q = strings.Replace(q, "%d", fmt.Sprint(n), 1)
		}
		got := ask(s, fmt.Sprintf("CREATE MATERIALIZED VIEW v%d AS %s", i, q))
		if got != "ERROR 22003" {
			t.Errorf("%s: %s", q, got)
		}
	}
	// A view that is there fails, and nothing else.
	script(t, s, "DELETE FROM t", "DELETE 14")
	q := "SELECT count(*) AS n FROM t"
	for i := range 18 {
		q += fmt.Sprintf(", t t%d", i)
	}
	script(t, s, "CREATE MATERIALIZED VIEW v AS "+q, "CREATE MATERIALIZED VIEW", "CREATE MATERIALIZED VIEW n AS SELECT count(*) AS n FROM t", "CREATE MATERIALIZED VIEW",
		"INSERT INTO t VALUES (1), (1)", "INSERT 0 2", "SELECT n FROM v", "524288",
		"INSERT INTO t SELECT 1 FROM generate_series(1, 12)", "INSERT 0 12",
		"SELECT state FROM streamsql.jobs ORDER BY name", "RUNNING\nFAILED", "SELECT DISTINCT code FROM streamsql.job_errors", "22003", "SELECT n FROM n", "14")
}

// TestHighWater: much dirty state makes a checkpoint come early, and what makes
// more of it wait.
func TestHighWater(t *testing.T) {
	if testing.Short() {
		t.Skip("fills the memory for seconds")
	}
	const limit = 64 << 20
	e := open(t, Options{Dir: "data", FS: vfs.NewMem(), MemoryLimit: limit, StatementMemory: 32 << 20, CheckpointInterval: time.Hour})
	s := another(t, e)
	script(t, s, "CREATE TABLE t (a int, b text)", "CREATE TABLE",
		"CREATE MATERIALIZED VIEW v AS SELECT a, count(*) AS n, max(b) AS b FROM t GROUP BY a", "CREATE MATERIALIZED VIEW")
	checkpoints := func() (n int) {
		must(t, e.do(bg, func() { n = len(e.history) }))
		return n
	}
	time.Sleep(20 * time.Millisecond)
	before := checkpoints()
	most := watchMemory(t, e)
	done := make(chan string)
	const writers, each, rows = 4, 12, 8000
	for w := range writers {
		x := another(t, e)
		go func() {
			for i := range each {
				from := (w*each + i) * rows
				sql := fmt.Sprintf("INSERT INTO t SELECT g, repeat('x', 60) FROM generate_series(%d, %d) x(g)", from, from+rows-1)
				if got := ask(x, sql); got != fmt.Sprintf("INSERT 0 %d", rows) {
					done <- got
					return
				}
			}
			done <- ""
		}()
	}
	for range writers {
		if got := <-done; got != "" {
			t.Error(got)
		}
	}
	t.Logf("%d checkpoints", checkpoints()-before)
	if n := checkpoints() - before; n < 2 {
		t.Errorf("%d checkpoints", n)
	}
	got := most()
	t.Logf("%d MiB of state at most", got>>20)
	if got < limit/2 || got > limit+limit/2 {
		t.Errorf("%d MiB of state at most", got>>20)
	}
	var total int64 = writers * each * rows
	script(t, s, "SELECT count(*), sum(n), sum(length(b)) FROM v", fmt.Sprintf("%d|%d|%d", total, total, 60*total))
}

// TestHotKey: the rows of one join key need not fit the memory.
func TestHotKey(t *testing.T) {
	const limit = 16 << 20
	e := open(t, Options{Dir: "data", FS: vfs.NewMem(), MemoryLimit: limit, StatementMemory: 32 << 20, CheckpointInterval: 10 * time.Millisecond})
	s := another(t, e)
	script(t, s, "CREATE TABLE t (k int, x int, b text)", "CREATE TABLE", "CREATE TABLE u (k int)", "CREATE TABLE",
		"CREATE MATERIALIZED VIEW v AS SELECT count(*) AS n, sum(t.x) AS x, sum(length(t.b)) AS b FROM t JOIN u ON t.k = u.k", "CREATE MATERIALIZED VIEW")
	const n, rows = 16, 10000 // more than 24 MB for one key
	for i := range n {
		script(t, s, fmt.Sprintf("INSERT INTO t SELECT 1, g, repeat('y', 100) FROM generate_series(%d, %d) x(g)", i*rows, (i+1)*rows-1), fmt.Sprintf("INSERT 0 %d", rows))
	}
	script(t, s, "CHECKPOINT", "CHECKPOINT", "INSERT INTO u VALUES (1)", "INSERT 0 1")
	var bytes, held int64
	must(t, e.do(bg, func() {
		for _, x := range e.order[0].tables.tables {
			bytes += x.Bytes()
		}
		for _, r := range e.relations {
			held += r.main.tree.Bytes()
		}
	}))
	if bytes+held > limit {
		t.Errorf("%d MiB of operators, %d MiB of tables", bytes>>20, held>>20)
	}
	total := int64(n * rows)
	script(t, s, "SELECT n, x, b FROM v", fmt.Sprintf("%d|%d|%d", total, total*(total-1)/2, 100*total),
		"INSERT INTO u VALUES (1)", "INSERT 0 1", "DELETE FROM t WHERE x % 40 = 0", fmt.Sprintf("DELETE %d", total/40),
		"SELECT n FROM v", fmt.Sprint(2*(total-total/40)))
}

// TestStepTimeout: what holds up everything else for too long ends: a view that
// cannot take the least piece of its input, a statement that a view makes endless.
func TestStepTimeout(t *testing.T) {
	for _, dir := range []string{"", "data"} {
		s := session(t, Options{Dir: dir, FS: vfs.NewMem(), StepTimeout: 300 * time.Millisecond})
		const endless = " AS SELECT count(*) AS b FROM t, big x, big y, big z WHERE t.a > 0 AND x.g + y.g + z.g + t.a < 0"
		script(t, s, "CREATE TABLE t (a bigint)", "CREATE TABLE", "CREATE TABLE big (g int)", "CREATE TABLE",
			"INSERT INTO big SELECT * FROM generate_series(1, 3000)", "INSERT 0 3000",
			"CREATE MATERIALIZED VIEW v"+endless, "CREATE MATERIALIZED VIEW",
			"CREATE MATERIALIZED VIEW n AS SELECT count(*) AS n FROM t", "CREATE MATERIALIZED VIEW",
			"INSERT INTO t VALUES (1)", "ERROR 57014",
			"SELECT * FROM n", "0", "SELECT * FROM v", "0",
			"INSERT INTO t VALUES (-1)", "INSERT 0 1",
			"DROP MATERIALIZED VIEW v", "DROP MATERIALIZED VIEW",
			"INSERT INTO t VALUES (1)", "INSERT 0 1",
			"CREATE MATERIALIZED VIEW v"+endless, "ERROR 57014",
			"SELECT * FROM n", "2")
	}
}
