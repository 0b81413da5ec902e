package engine

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/vfs"

	"github.com/streamsql/streamsql/connector"
	"github.com/streamsql/streamsql/sql/delta"
	"github.com/streamsql/streamsql/udf"
)

const clockAt = "ADVANCE CLOCK TO TIMESTAMPTZ '2100-01-01 00:00:00+00' + INTERVAL '%s'"

// TestRestartPolicy: a view that fails is made anew after a delay, so many times;
// the others go on meanwhile.
func TestRestartPolicy(t *testing.T) {
	fs := vfs.NewMem()
	s := session(t, Options{Dir: "data", FS: fs})
	view := "CREATE MATERIALIZED VIEW %s WITH (restart = '%s', restart_delay = '10 s'%s) AS SELECT k, 100 / k AS v FROM t"
	jobs := "SELECT name, state, restarts, next_restart - TIMESTAMPTZ '2100-01-01' FROM streamsql.jobs WHERE name <> 'other' ORDER BY 1"
	script(t, s, "SET streamsql.clock = 'manual'", "SET", "ADVANCE CLOCK TO '2100-01-01'", "ADVANCE CLOCK",
		"CREATE TABLE t (k INT)", "CREATE TABLE",
		fmt.Sprintf(view, "a", "fixed_delay", ", restart_attempts = '2'"), "CREATE MATERIALIZED VIEW",
		fmt.Sprintf(view, "b", "exponential", ", restart_multiplier = '2', restart_max_delay = '35 s'"), "CREATE MATERIALIZED VIEW",
		fmt.Sprintf(view, "c", "none", ""), "CREATE MATERIALIZED VIEW",
		"CREATE MATERIALIZED VIEW above AS SELECT count(*) AS n FROM a", "CREATE MATERIALIZED VIEW",
		"CREATE MATERIALIZED VIEW other AS SELECT count(*) AS n FROM t", "CREATE MATERIALIZED VIEW",
		"INSERT INTO t VALUES (1), (0), (5)", "INSERT 0 3",
		jobs, "a|FAILED|0|00:00:10\nabove|STALE|0|NULL\nb|FAILED|0|00:00:10\nc|FAILED|0|NULL",
		"SELECT n FROM other", "3")
	// The row is still there.
	script(t, s, fmt.Sprintf(clockAt, "10 seconds"), "ADVANCE CLOCK")
	waitFor(t, s, jobs, "a|FAILED|1|00:00:20\nabove|STALE|0|NULL\nb|FAILED|1|00:00:30\nc|FAILED|0|NULL")
	script(t, s, fmt.Sprintf(clockAt, "20 seconds"), "ADVANCE CLOCK")
	waitFor(t, s, jobs, "a|FAILED|2|NULL\nabove|STALE|0|NULL\nb|FAILED|1|00:00:30\nc|FAILED|0|NULL")
	script(t, s, fmt.Sprintf(clockAt, "30 seconds"), "ADVANCE CLOCK")
	waitFor(t, s, jobs, "a|FAILED|2|NULL\nabove|STALE|0|NULL\nb|FAILED|2|00:01:05\nc|FAILED|0|NULL")
	script(t, s, "SELECT job, count(*), min(code) FROM streamsql.job_errors GROUP BY job ORDER BY 1", "a|3|22012\nb|3|22012\nc|1|22012",
		"DELETE FROM t WHERE k = 0", "DELETE 1",
		fmt.Sprintf(clockAt, "65 seconds"), "ADVANCE CLOCK")
	waitFor(t, s, jobs, "a|FAILED|2|NULL\nabove|STALE|0|NULL\nb|RUNNING|3|NULL\nc|FAILED|0|NULL")
	script(t, s, "SELECT k, v FROM b ORDER BY k", "1|100\n5|20", "SELECT n FROM other", "2",
		// The statement counts anew.
		"ALTER MATERIALIZED VIEW a RETRY", "ALTER MATERIALIZED VIEW", "SELECT k, v FROM a ORDER BY k", "1|100\n5|20")
	waitFor(t, s, jobs, "a|RUNNING|0|NULL\nabove|RUNNING|0|NULL\nb|RUNNING|3|NULL\nc|FAILED|0|NULL")
	script(t, s, "SELECT n FROM above", "2",
		// So does a job that ran for an hour.
		fmt.Sprintf(clockAt, "2 hours"), "ADVANCE CLOCK", "INSERT INTO t VALUES (0)", "INSERT 0 1",
		jobs, "a|FAILED|0|02:00:10\nabove|STALE|0|NULL\nb|FAILED|0|02:00:10\nc|FAILED|0|NULL",
		"ALTER MATERIALIZED VIEW b RESET (restart, restart_delay, restart_multiplier, restart_max_delay)", "ALTER MATERIALIZED VIEW",
		jobs, "a|FAILED|0|02:00:10\nabove|STALE|0|NULL\nb|FAILED|0|NULL\nc|FAILED|0|NULL")
	// A restart of the server counts as none, and does not forget.
	must(t, s.eng.Close())
	s = session(t, Options{Dir: "data", FS: fs})
	script(t, s, jobs, "a|FAILED|0|02:00:10\nabove|STALE|0|NULL\nb|FAILED|0|NULL\nc|FAILED|0|NULL",
		"DELETE FROM t WHERE k = 0", "DELETE 1", fmt.Sprintf(clockAt, "2 hours 10 seconds"), "ADVANCE CLOCK")
	waitFor(t, s, jobs, "a|RUNNING|1|NULL\nabove|RUNNING|0|NULL\nb|FAILED|0|NULL\nc|FAILED|0|NULL")
	script(t, s, "SELECT k, v FROM a ORDER BY k", "1|100\n5|20", "SELECT n FROM above", "2",
		"DROP MATERIALIZED VIEW c", "DROP MATERIALIZED VIEW")
	for _, o := range []string{"restart = 'always'", "restart_delay = '1 s'", "restart = 'fixed_delay', restart_attempts = 'x'",
		"restart = 'exponential', restart_multiplier = '0.5'", "restart = 'fixed_delay', restart_delay = 'soon'"} {
		fails(t, s, "CREATE MATERIALIZED VIEW x WITH ("+o+") AS SELECT 1", "22023", "restart")
	}
}

// moodySink refuses until it is told not to.
type moodySink struct{ connector.Sink }

var sinkRefuses, sinkRows atomic.Int64

func (moodySink) Write(_ context.Context, _ uint64, b *delta.Batch) error {
	if sinkRefuses.Load() > 0 {
		return errors.New("the sink is in no mood")
	}
	sinkRows.Add(int64(b.N))
	return nil
}
func (moodySink) Release(context.Context, uint64) error { return nil }
func (moodySink) State() []byte                         { return nil }
func (moodySink) Close() error                          { return nil }

// TestRestartSink: a sink that refuses is tried again, also where it cannot even be
// opened; views go on.
func TestRestartSink(t *testing.T) {
	connector.RegisterSink("moody", func(connector.Config, []byte) (connector.Sink, error) {
		if sinkRefuses.Load() > 1 {
			return nil, errors.New("nobody answers")
		}
		return moodySink{}, nil
	})
	s := session(t, Options{})
	state := "SELECT state FROM streamsql.jobs WHERE name = 'k'"
	script(t, s, "SET streamsql.clock = 'manual'", "SET", "ADVANCE CLOCK TO '2100-01-01'", "ADVANCE CLOCK",
		"CREATE TABLE t (a INT)", "CREATE TABLE", "CREATE MATERIALIZED VIEW v AS SELECT 10 / a AS a FROM t", "CREATE MATERIALIZED VIEW",
		"CREATE SINK k FROM v WITH (connector = 'moody', restart = 'exponential', restart_delay = '1 s')", "CREATE SINK")
	sinkRefuses.Store(2)
	script(t, s, "INSERT INTO t VALUES (1), (2)", "INSERT 0 2")
	waitFor(t, s, state, "FAILED")
	script(t, s, "INSERT INTO t VALUES (3)", "INSERT 0 1", "SELECT count(*) FROM v", "3", fmt.Sprintf(clockAt, "1 second"), "ADVANCE CLOCK")
	waitFor(t, s, "SELECT count(*) FROM streamsql.job_errors WHERE message LIKE '%nobody answers%'", "1")
	sinkRefuses.Store(0)
	script(t, s, fmt.Sprintf(clockAt, "1 minute"), "ADVANCE CLOCK")
	waitFor(t, s, state, "RUNNING")
	for range 2000 {
		if sinkRows.Load() == 3 {
			break
		}
		time.Sleep(time.Millisecond)
	}
	if got := sinkRows.Load(); got != 3 {
		t.Errorf("the sink got %d rows", got)
	}
	// It goes on again with the view that it reads.
	script(t, s, "INSERT INTO t VALUES (0)", "INSERT 0 1", state, "STALE", "DELETE FROM t WHERE a = 0", "DELETE 1",
		fmt.Sprintf(clockAt, "5 minutes"), "ADVANCE CLOCK", state, "STALE", "ALTER MATERIALIZED VIEW v RETRY", "ALTER MATERIALIZED VIEW",
		fmt.Sprintf(clockAt, "10 minutes"), "ADVANCE CLOCK")
	waitFor(t, s, state, "RUNNING")
}

// TestRetryAfterReplacedFunction: a view whose function fails stands with the row
// and the error; the others' epochs go on; with the function mended RETRY catches
// up to the right answer.
func TestRetryAfterReplacedFunction(t *testing.T) {
	double := func(bad int64) func(int64) (int64, error) {
		return func(x int64) (int64, error) {
			if x == bad {
				return 0, fmt.Errorf("no %d for me", x)
			}
			return 2 * x, nil
		}
	}
	udf.RegisterScalar("retry_test.Fussy", double(13))
	udf.RegisterScalar("retry_test.Mended", double(-1))
	s := session(t, Options{})
	script(t, s, "CREATE TABLE t (k BIGINT)", "CREATE TABLE",
		"CREATE FUNCTION twice(BIGINT) RETURNS BIGINT LANGUAGE go AS 'retry_test.Fussy'", "CREATE FUNCTION",
		"CREATE MATERIALIZED VIEW v AS SELECT k, twice(k) AS d FROM t", "CREATE MATERIALIZED VIEW",
		"CREATE MATERIALIZED VIEW n AS SELECT count(*) AS n FROM t", "CREATE MATERIALIZED VIEW")
	for i := range 20 {
		script(t, s, fmt.Sprintf("INSERT INTO t VALUES (%d)", i), "INSERT 0 1")
	}
	script(t, s, "SELECT n FROM n", "20", "SELECT state FROM streamsql.jobs ORDER BY name", "RUNNING\nFAILED")
	if got := ask(s, "SELECT message, row FROM streamsql.job_errors"); !strings.Contains(got, "no 13 for me") || !strings.Contains(got, "k=13") {
		t.Error(got)
	}
	script(t, s, "CREATE OR REPLACE FUNCTION twice(BIGINT) RETURNS BIGINT LANGUAGE go AS 'retry_test.Mended'", "CREATE FUNCTION",
		"ALTER MATERIALIZED VIEW v RETRY", "ALTER MATERIALIZED VIEW",
		"SELECT count(*), sum(d) FROM v", "20|380", "INSERT INTO t VALUES (13)", "INSERT 0 1", "SELECT count(*), sum(d) FROM v", "21|406")
}
