package engine

import (
	"fmt"
	"math/rand"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/vfs"
)

const fakeTimes = `CREATE SOURCE s (a bigint, b bigint, ts timestamptz AS to_timestamp(a), WATERMARK FOR ts AS ts - INTERVAL '10 seconds')
	WITH (connector = 'fake', topic = '%s', idle_timeout = '60 s')`

// waitFor asks until the answer is what it should be.
func waitFor(t *testing.T, s *Session, sql, want string) {
	t.Helper()
	got := ""
	for range 3000 {
		if got = ask(s, sql); got == want {
			return
		}
		time.Sleep(time.Millisecond)
	}
	t.Errorf("%s\ngot  %q\nwant %q", sql, got, want)
}

const minutes = `SELECT window_start, count(*) AS n, sum(b) AS b FROM TUMBLE(s, ts, INTERVAL '1 minute') GROUP BY window_start, window_end`

func TestLateRows(t *testing.T) {
	topic := newFakeTopic(t.Name(), 1)
	fs := vfs.NewMem()
	s := session(t, Options{Dir: "data", FS: fs})
	script(t, s,
		fmt.Sprintf(fakeTimes, t.Name()), "CREATE SOURCE",
		"CREATE MATERIALIZED VIEW v AS "+minutes, "CREATE MATERIALIZED VIEW",
		"CREATE MATERIALIZED VIEW late AS SELECT count(*) AS n FROM v_late", "CREATE MATERIALIZED VIEW")
	topic.put(0, 5, 1)
	topic.put(0, 65, 2)
	waitFor(t, s, "SELECT sum(n) FROM v", "2")
	topic.put(0, 30, 3) // the watermark stands at 55: not late
	waitFor(t, s, "SELECT n, b FROM v ORDER BY window_start", "2|4\n1|2")
	topic.put(0, 71, 4) // closes the first minute
	waitFor(t, s, "SELECT n, b FROM v ORDER BY window_start", "2|4\n2|6")
	topic.put(0, 40, 5) // late
	topic.put(0, 62, 6)
	waitFor(t, s, "SELECT n, b FROM v ORDER BY window_start", "2|4\n3|12")
	script(t, s,
		// Its window ended at 1:00, but its time is its own.
		"SELECT row->>'b', event_time, watermark, late_by, weight FROM v_late", "5|1970-01-01 00:00:40+00|1970-01-01 00:01:01+00|00:00:21|1",
		"SELECT n FROM late", "1",
		"SELECT watermark FROM streamsql.jobs WHERE name = 'v'", "1970-01-01 00:01:01+00",
		"DROP TABLE v_late", "ERROR 2BP01", "DELETE FROM v_late", "ERROR 42809", "CHECKPOINT", "CHECKPOINT")
	// All of it is there after a restart, and the watermark too.
	must(t, s.eng.Close())
	s = session(t, Options{Dir: "data", FS: fs})
	topic.put(0, 41, 7)
	topic.put(0, 63, 8)
	waitFor(t, s, "SELECT n, b FROM v ORDER BY window_start", "2|4\n4|20")
	script(t, s, "SELECT row->>'b' FROM v_late ORDER BY 1", "5\n7", "SELECT n FROM late", "2",
		"DROP MATERIALIZED VIEW v CASCADE", "DROP MATERIALIZED VIEW", "SELECT * FROM v_late", "ERROR 42P01")
}

// TestConservation: every row is in a window or in the late relation, once; over
// crashes too.
func TestConservation(t *testing.T) {
	topic := newFakeTopic(t.Name(), 3)
	fs := vfs.NewStrictMem()
	r := rand.New(rand.NewSource(5))
	n, at := 0, 0
	var s *Session
	for run := range 6 {
		fs.SetIgnoreSyncs(false)
		e, err := Open(bg, Options{Dir: "data", FS: fs, CheckpointInterval: 3 * time.Millisecond, Workers: 1 + run%2})
		must(t, err)
		s, err = e.NewSession("u", "d", nil)
		must(t, err)
		if run == 0 {
			script(t, s, fmt.Sprintf(fakeTimes, t.Name()), "CREATE SOURCE",
				"CREATE MATERIALIZED VIEW v AS "+minutes, "CREATE MATERIALIZED VIEW")
		}
		for range 40 {
			for range 10 {
				topic.put(int32(r.Intn(3)), int64(max(0, at-r.Intn(60))), 1)
				n++
				at += r.Intn(3)
			}
			time.Sleep(time.Duration(r.Intn(300)) * time.Microsecond)
		}
		if run == 3 {
			script(t, s, "CREATE MATERIALIZED VIEW w AS "+minutes, "CREATE MATERIALIZED VIEW")
		}
		waitFor(t, s, "SELECT sum(next_offset) FROM streamsql.source_positions", fmt.Sprint(n))
		for _, v := range []string{"v", "w"} {
			if v == "w" && run < 3 {
				continue
			}
			waitFor(t, s, fmt.Sprintf("SELECT (SELECT coalesce(sum(n), 0) FROM %s) + (SELECT coalesce(sum(weight), 0) FROM %s_late)", v, v), fmt.Sprint(n))
		}
		late := ask(s, "SELECT count(*) FROM v_late")
		if run == 5 && late == "0" {
			t.Error("no row was late: nothing is tested")
		}
		fs.SetIgnoreSyncs(true)
		_ = e.Close()
		fs.ResetToSyncedState()
	}
}

// TestIdlePartition: a partition without rows holds the watermark back until it
// has been idle for the timeout, on the engine's clock.
func TestIdlePartition(t *testing.T) {
	topic := newFakeTopic(t.Name(), 2)
	s := session(t, Options{})
	script(t, s, "SET streamsql.clock = 'manual'", "SET", "ADVANCE CLOCK TO '2100-01-01'", "ADVANCE CLOCK",
		fmt.Sprintf(fakeTimes, t.Name()), "CREATE SOURCE",
		"CREATE MATERIALIZED VIEW v AS "+minutes, "CREATE MATERIALIZED VIEW")
	topic.put(0, 100, 1)
	waitFor(t, s, "SELECT n FROM v", "1")
	watermark := "SELECT DISTINCT watermark FROM streamsql.source_positions"
	script(t, s, watermark, "NULL", "ADVANCE CLOCK TO '2100-01-01 00:00:59'", "ADVANCE CLOCK", watermark, "NULL",
		"ADVANCE CLOCK TO '2100-01-01 00:01:00'", "ADVANCE CLOCK", watermark, "1970-01-01 00:01:30+00")
	topic.put(1, 50, 1) // it comes back: the watermark does not go back
	waitFor(t, s, "SELECT count(*) FROM v_late", "1")
	script(t, s, watermark, "1970-01-01 00:01:30+00")
	if got := ask(s, "SELECT name, state FROM streamsql.jobs"); !strings.HasPrefix(got, "v|RUNNING") {
		t.Error(got)
	}
}
