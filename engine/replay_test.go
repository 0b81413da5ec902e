package engine

import (
	"context"
	"fmt"
	"maps"
	"math/rand"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/vfs"

	"github.com/streamsql/streamsql/sql/sqlerr"
)

// TestReplayLate: late rows are taken in, those who read the view see it as one
// change, and what they were late for holds from then on.
func TestReplayLate(t *testing.T) {
	topic := newFakeTopic(t.Name(), 1)
	fs := vfs.NewMem()
	s := session(t, Options{Dir: "data", FS: fs})
	script(t, s,
		fmt.Sprintf(fakeTimes, t.Name()), "CREATE SOURCE",
		"CREATE MATERIALIZED VIEW v AS "+minutes, "CREATE MATERIALIZED VIEW",
		"CREATE INDEX i ON v (n)", "CREATE INDEX",
		"CREATE MATERIALIZED VIEW total AS SELECT sum(n) AS n, sum(b) AS b FROM v", "CREATE MATERIALIZED VIEW",
		"CREATE MATERIALIZED VIEW late AS SELECT coalesce(sum(weight), 0) AS n FROM v_late", "CREATE MATERIALIZED VIEW",
		"REPLAY LATE FROM v", "REPLAY LATE 0",
		"REPLAY LATE FROM nothing", "ERROR 42P01", "REPLAY LATE FROM v_late", "ERROR 42809", "REPLAY LATE FROM s", "ERROR 42809")
	for i, at := range []int64{5, 65, 30, 135, 31, 32, 70, 136} {
		topic.put(0, at, 1<<i)
		waitFor(t, s, "SELECT sum(next_offset) FROM streamsql.source_positions", fmt.Sprint(i+1))
	}
	before := "2|5\n1|2\n2|136"
	after := "4|53\n2|66\n2|136"
	script(t, s,
		"SELECT n, b FROM v ORDER BY window_start", before, "SELECT * FROM total", "5|143", "SELECT * FROM late", "3",
		"REPLAY LATE FROM v", "REPLAY LATE 3",
		"SELECT n, b FROM v ORDER BY window_start", after, "SELECT b FROM v WHERE n = 4", "53",
		"SELECT * FROM total", "8|255", "SELECT * FROM late", "0", "SELECT count(*) FROM v_late", "0",
		"REPLAY LATE FROM v", "REPLAY LATE 0",
		"SELECT name, state FROM streamsql.jobs ORDER BY id", "v|RUNNING\ntotal|RUNNING\nlate|RUNNING",
		"SELECT late_rows FROM streamsql.operators WHERE job = 'v' AND late_rows > 0", "3")
	topic.put(0, 33, 256) // the first minute is closed again
	topic.put(0, 137, 512)
	waitFor(t, s, "SELECT n FROM late", "1")
	script(t, s, "SELECT n, b FROM v ORDER BY window_start", "4|53\n2|66\n3|648", "CHECKPOINT", "CHECKPOINT")
	must(t, s.eng.Close())
	s = session(t, Options{Dir: "data", FS: fs})
	script(t, s,
		"SELECT n, b FROM v ORDER BY window_start", "4|53\n2|66\n3|648", "SELECT b FROM v WHERE n = 4", "53",
		"SELECT * FROM total", "9|767", "SELECT * FROM late", "1",
		"REPLAY LATE FROM v", "REPLAY LATE 1",
		"SELECT n, b FROM v ORDER BY window_start", "5|309\n2|66\n3|648", "SELECT * FROM total", "10|1023", "SELECT * FROM late", "0",
		"DROP MATERIALIZED VIEW v CASCADE", "DROP MATERIALIZED VIEW")
	n := 0
	must(t, s.eng.do(bg, func() { n = len(s.eng.order) + len(s.eng.jobsByID) + len(s.eng.filling) }))
	if n != 0 {
		t.Errorf("%d jobs are left", n)
	}
}

// TestReplayReaders: while late rows come and are replayed, every reader sees the
// view and those above it at one moment, a transaction at its own.
func TestReplayReaders(t *testing.T) {
	s := session(t, Options{Dir: "data", FS: vfs.NewMem(), CheckpointInterval: 5 * time.Millisecond})
	script(t, s, "CREATE TABLE t (k int, ts timestamptz, WATERMARK FOR ts AS ts)", "CREATE TABLE",
		"CREATE MATERIALIZED VIEW v AS SELECT k, window_end, count(*) AS n FROM TUMBLE(t, ts, INTERVAL '1 second') GROUP BY k, window_start, window_end", "CREATE MATERIALIZED VIEW",
		"CREATE MATERIALIZED VIEW total AS SELECT sum(n) AS n FROM v", "CREATE MATERIALIZED VIEW",
		"CREATE MATERIALIZED VIEW late AS SELECT coalesce(sum(weight), 0) AS n FROM v_late", "CREATE MATERIALIZED VIEW",
		"INSERT INTO t SELECT g, to_timestamp(g) FROM generate_series(1, 3000) g", "INSERT 0 3000")
	stop, done := make(chan struct{}), make(chan string, 1)
	reader := another(t, s.eng)
	go func() {
		n := 0
		for {
			select {
			case <-stop:
				done <- fmt.Sprint(n > 3)
				return
			default:
			}
			if got := ask(reader, "SELECT (SELECT sum(n) FROM v) - (SELECT n FROM total), (SELECT coalesce(sum(weight), 0) FROM v_late) - (SELECT n FROM late), (SELECT count(*) FROM t) - (SELECT n FROM total) - (SELECT n FROM late)"); got != "0|0|0" {
				done <- got
				return
			}
			n++
		}
	}()
	block := another(t, s.eng)
	script(t, block, "BEGIN", "BEGIN", "SELECT n FROM total", "3000")
	for i := range 5 {
		ask(s, fmt.Sprintf("INSERT INTO t SELECT g, to_timestamp(g) FROM generate_series(%d, %d) g", 10*i, 10*i+9))
		if got := ask(s, "REPLAY LATE FROM v"); got != "REPLAY LATE 10" {
			t.Error(got)
		}
	}
	close(stop)
	if got := <-done; got != "true" {
		t.Errorf("a reader saw %s", got)
	}
	script(t, block, "SELECT n FROM total", "3000", "SELECT sum(n) FROM v", "3000", "COMMIT", "COMMIT", "SELECT n FROM total", "3050")
}

// TestReplayDropped: what the cap on the rate or the policy did not keep is taken in too.
func TestReplayDropped(t *testing.T) {
	topic := newFakeTopic(t.Name(), 1)
	s := session(t, Options{})
	script(t, s, fmt.Sprintf(fakeTimes, t.Name()), "CREATE SOURCE",
		"CREATE MATERIALIZED VIEW v WITH (late = 'drop') AS "+minutes, "CREATE MATERIALIZED VIEW")
	for i, at := range []int64{5, 135, 6} {
		topic.put(0, at, 1)
		waitFor(t, s, "SELECT sum(next_offset) FROM streamsql.source_positions", fmt.Sprint(i+1))
	}
	script(t, s, "SELECT sum(n) FROM v", "2", "REPLAY LATE FROM v", "REPLAY LATE 0", "SELECT sum(n) FROM v", "3")
}

// TestReplayEnds: a replay that cannot be, or is not wanted any more, leaves the
// view as it is.
func TestReplayEnds(t *testing.T) {
	for i, end := range []string{"ALTER MATERIALIZED VIEW v PAUSE", "DROP MATERIALIZED VIEW v CASCADE", ""} {
		name := fmt.Sprint(t.Name(), i)
		topic := newFakeTopic(name, 1)
		s := session(t, Options{Dir: "data", FS: vfs.NewMem()})
		script(t, s, fmt.Sprintf(fakeTimes, name), "CREATE SOURCE",
			"CREATE MATERIALIZED VIEW v AS "+minutes, "CREATE MATERIALIZED VIEW",
			"CREATE MATERIALIZED VIEW w AS SELECT max(n) AS n FROM v", "CREATE MATERIALIZED VIEW")
		for i, at := range []int64{5, 135, 6} {
			topic.put(0, at, 1)
			waitFor(t, s, "SELECT sum(next_offset) FROM streamsql.source_positions", fmt.Sprint(i+1))
		}
		left := []string{"SELECT sum(n) FROM v", "2", "SELECT count(*) FROM v_late", "1"}
		topic.change(func() { topic.expired = 1 })
		script(t, s, append([]string{"REPLAY LATE FROM v", "ERROR 55000",
			"SELECT name, state FROM streamsql.jobs ORDER BY id", "v|RUNNING\nw|RUNNING"}, left...)...)
		topic.change(func() { topic.expired, topic.stalled = 0, true })
		done := make(chan string, 1)
		s2, err := s.eng.NewSession("u", "d", nil)
		must(t, err)
		ctx, cancel := context.WithCancel(bg)
		go func() {
			_, err := s2.Exec(ctx, "REPLAY LATE FROM v")
			done <- sqlerr.From(err).Code
		}()
		waitFor(t, s, "SELECT count(*) FROM streamsql.jobs WHERE name = 'v (replay)' AND state = 'BACKFILLING'", "1")
		script(t, s, append([]string{"REPLAY LATE FROM v", "ERROR 55000"}, left...)...)
		want := "55000"
		if end == "" {
			cancel()
			want = "57014"
		} else if got := ask(s, end); !strings.HasPrefix(end, got) {
			t.Error(got)
		}
		if got := <-done; got != want {
			t.Errorf("%s: %s", end, got)
		}
		cancel()
		topic.change(func() { topic.stalled = false })
		if end == "" {
			script(t, s, append(left, "REPLAY LATE FROM v", "REPLAY LATE 1", "SELECT sum(n) FROM v", "3")...)
		}
		if i == 0 {
			script(t, s, left...)
		}
		jobs := map[int]string{0: "v|PAUSED\nw|STALE", 1: "", 2: "v|RUNNING\nw|RUNNING"}
		script(t, s, "SELECT name, state FROM streamsql.jobs ORDER BY id", jobs[i])
	}
}

// TestReplayConserves: rows out of order, many too late, and replays, over crashes
// at any moment: each row is in its windows or with the late rows, once; and when
// all are replayed the view is what the whole input says.
func TestReplayConserves(t *testing.T) {
	topic := newFakeTopic(t.Name(), 2)
	fs := vfs.NewStrictMem()
	r := rand.New(rand.NewSource(11))
	n, at, replayed := 0, 0, 0
	want := map[int64]int{} // rows by the end of their window
	var s *Session
	for run := range 8 {
		fs.SetIgnoreSyncs(false)
		e, err := Open(bg, Options{Dir: "data", FS: fs, CheckpointInterval: 2 * time.Millisecond, Workers: 1 + run%2})
		must(t, err)
		s, err = e.NewSession("u", "d", nil)
		must(t, err)
		if run == 0 {
			script(t, s, fmt.Sprintf(fakeTimes, t.Name()), "CREATE SOURCE",
				"CREATE MATERIALIZED VIEW v AS "+minutes, "CREATE MATERIALIZED VIEW",
				"CREATE MATERIALIZED VIEW total AS SELECT sum(n) AS n FROM v", "CREATE MATERIALIZED VIEW",
				"CREATE MATERIALIZED VIEW hops AS SELECT window_start, window_end, count(*) AS n FROM HOP(s, ts, INTERVAL '20 seconds', INTERVAL '1 minute') GROUP BY 1, 2", "CREATE MATERIALIZED VIEW")
		}
		s2, err := e.NewSession("u", "d", nil)
		must(t, err)
		done := make(chan struct{})
		go func() {
			defer close(done)
			for i := range 3 {
				time.Sleep(time.Duration(run*i%5) * time.Millisecond)
				a, err := s2.Exec(bg, "REPLAY LATE FROM v")
				if err == nil && a.Tag != "REPLAY LATE 0" {
					replayed++
				} else if err != nil && sqlerr.From(err).Code != sqlerr.AdminShutdown {
					t.Error(err)
				}
			}
		}()
		for range 30 {
			for range 10 {
				ts := int64(max(0, at-r.Intn(80)))
				topic.put(int32(r.Intn(2)), ts, 1)
				want[ts/60*60+60]++
				n++
				at += r.Intn(3)
			}
			time.Sleep(time.Duration(r.Intn(400)) * time.Microsecond)
		}
		if run%2 == 0 {
			<-done
			waitFor(t, s, "SELECT sum(next_offset) FROM streamsql.source_positions", fmt.Sprint(n))
			waitFor(t, s, "SELECT (SELECT sum(n) FROM v) + (SELECT coalesce(sum(weight), 0) FROM v_late)", fmt.Sprint(n))
			waitFor(t, s, "SELECT (SELECT sum(n) FROM hops) + (SELECT coalesce(sum(weight * windows), 0) FROM hops_late)", fmt.Sprint(3*n))
			waitFor(t, s, "SELECT (SELECT n FROM total) - (SELECT sum(n) FROM v)", "0")
		}
		if run == 7 {
			<-done
			waitFor(t, s, "SELECT sum(next_offset) FROM streamsql.source_positions", fmt.Sprint(n))
			script(t, s, "SELECT count(*) > 0 FROM hops_late", "t")
			ask(s, "REPLAY LATE FROM v")
			got := map[int64]int{}
			for _, l := range strings.Split(ask(s, "SELECT extract(epoch FROM window_start)::bigint + 60, n FROM v"), "\n") {
				var end int64
				var c int
				fmt.Sscanf(l, "%d|%d", &end, &c)
				got[end] = c
			}
			if !maps.Equal(got, want) {
				t.Errorf("got %v\nwant %v", got, want)
			}
			script(t, s, "SELECT count(*) FROM v_late", "0", "SELECT n FROM total", fmt.Sprint(n))
		}
		fs.SetIgnoreSyncs(true)
		_ = e.Close()
		<-done
		fs.ResetToSyncedState()
	}
	if replayed < 3 {
		t.Errorf("%d replays: nothing is tested", replayed)
	}
}
