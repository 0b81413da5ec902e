package engine

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/vfs"

	"github.com/streamsql/streamsql/sql/sqlerr"
)

// TestReplaceView: a view over a source with late rows is replaced: it, its late
// rows and those who read either are as if it had always been the new one, also
// after a crash; an attempt that does not come to its end changes nothing.
func TestReplaceView(t *testing.T) {
	topic := newFakeTopic(t.Name(), 1)
	fs := vfs.NewStrictMem()
	o := Options{Dir: "data", FS: fs, CheckpointInterval: time.Hour}
	e, err := Open(bg, o)
	must(t, err)
	s := another(t, e)
	const (
		half = `SELECT window_start, count(*) AS n, sum(b) AS b FROM TUMBLE(s, ts, INTERVAL '30 seconds') GROUP BY window_start, window_end`
		all  = `SELECT window_start, count(*) AS n, sum(b) AS b FROM TUMBLE(s, ts, INTERVAL '2 minutes') GROUP BY window_start, window_end`
	)
	script(t, s, fmt.Sprintf(fakeTimes, t.Name()), "CREATE SOURCE",
		"CREATE MATERIALIZED VIEW v AS "+minutes, "CREATE MATERIALIZED VIEW",
		"CREATE INDEX i ON v (n)", "CREATE INDEX",
		"CREATE MATERIALIZED VIEW total AS SELECT sum(n) AS n, sum(b) AS b FROM v", "CREATE MATERIALIZED VIEW",
		"CREATE MATERIALIZED VIEW late AS SELECT coalesce(sum(weight), 0) AS n FROM v_late", "CREATE MATERIALIZED VIEW",
		"CREATE MATERIALIZED VIEW half AS "+half, "CREATE MATERIALIZED VIEW",
		"CREATE MATERIALIZED VIEW whole AS "+all, "CREATE MATERIALIZED VIEW")
	n := 0
	steps(t, s, topic, &n, 5, 65, 30, 45, 135, 31, 32, 125, 70, 136)
	like := func(name string) {
		t.Helper()
		sameViews(t, s, "replaced", "v", name)
		script(t, s, "SELECT n FROM total", ask(s, "SELECT sum(n) FROM "+name),
			"SELECT n FROM late", ask(s, "SELECT coalesce(sum(weight), 0) FROM "+name+"_late"),
			"SELECT count(*) FROM v WHERE n = 2", ask(s, "SELECT count(*) FROM "+name+" WHERE n = 2"))
	}
	script(t, s, "SELECT n FROM late", "3",
		"CREATE OR REPLACE MATERIALIZED VIEW v AS "+half, "CREATE MATERIALIZED VIEW")
	like("half")
	steps(t, s, topic, &n, 137, 33, 138)
	like("half")

	// It does not come to its end.
	topic.change(func() { topic.stalled = true })
	ctx, cancel := context.WithCancel(bg)
	done := make(chan string, 1)
	s2 := another(t, e)
	go func() {
		_, err := s2.Exec(ctx, "CREATE OR REPLACE MATERIALIZED VIEW v AS "+all)
		done <- sqlerr.From(err).Code
	}()
	waitFor(t, s, "SELECT state FROM streamsql.jobs WHERE name = 'v (new)'", "BACKFILLING")
	script(t, s, "CREATE OR REPLACE MATERIALIZED VIEW v AS "+all, "ERROR 55000", "REPLAY LATE FROM v", "ERROR 55000")
	like("half")
	cancel()
	if got := <-done; got != "57014" {
		t.Error(got)
	}
	script(t, s, "SELECT count(*) FROM streamsql.jobs WHERE name LIKE '%new%'", "0")
	go func() { _, _ = s2.Exec(bg, "CREATE OR REPLACE MATERIALIZED VIEW v AS "+all) }()
	waitFor(t, s, "SELECT state FROM streamsql.jobs WHERE name = 'v (new)'", "BACKFILLING")
	script(t, s, "CHECKPOINT", "CHECKPOINT")
	fs.SetIgnoreSyncs(true)
	_ = e.Close()
	fs.ResetToSyncedState()
	fs.SetIgnoreSyncs(false)
	topic.change(func() { topic.stalled = false })
	e, err = Open(bg, o)
	must(t, err)
	s = another(t, e)
	script(t, s, "SELECT count(*) FROM streamsql.jobs WHERE name LIKE '%new%'", "0")
	steps(t, s, topic, &n, 34)
	like("half")

	// It has returned: a crash does not undo it.
	script(t, s, "CREATE OR REPLACE MATERIALIZED VIEW v AS "+all, "CREATE MATERIALIZED VIEW")
	like("whole")
	fs.SetIgnoreSyncs(true)
	_ = e.Close()
	fs.ResetToSyncedState()
	fs.SetIgnoreSyncs(false)
	s = session(t, o)
	like("whole")
	steps(t, s, topic, &n, 300, 35, 301)
	like("whole")

	// To a query without late rows and back.
	script(t, s, "DROP MATERIALIZED VIEW total, late", "DROP MATERIALIZED VIEW",
		"CREATE OR REPLACE MATERIALIZED VIEW v AS SELECT a AS window_start, count(*) AS n, b FROM s GROUP BY a, b", "ERROR 42P16", // the index
		"DROP INDEX i", "DROP INDEX",
		"CREATE OR REPLACE MATERIALIZED VIEW v AS SELECT count(*) AS n FROM s", "CREATE MATERIALIZED VIEW",
		"SELECT n FROM v", fmt.Sprint(n), "SELECT count(*) FROM v_late", "0",
		"CREATE OR REPLACE MATERIALIZED VIEW v AS "+minutes, "CREATE MATERIALIZED VIEW",
		"CREATE MATERIALIZED VIEW w AS "+minutes, "CREATE MATERIALIZED VIEW")
	sameViews(t, s, "back", "v", "w")
	script(t, s, "DROP SOURCE s CASCADE", "DROP SOURCE")
	left := 0
	must(t, s.eng.do(bg, func() { left = len(s.eng.order) + len(s.eng.jobsByID) + len(s.eng.relations) + len(s.eng.sources) }))
	if left != 0 {
		t.Errorf("%d things are left", left)
	}
}

// TestReplaceInputDropped: what a replacement under way reads is dropped.
func TestReplaceInputDropped(t *testing.T) {
	topic := newFakeTopic(t.Name(), 1)
	s := session(t, Options{})
	script(t, s, fmt.Sprintf(fakeTimes, t.Name()), "CREATE SOURCE",
		"CREATE TABLE t (a int)", "CREATE TABLE", "INSERT INTO t VALUES (7)", "INSERT 0 1",
		"CREATE MATERIALIZED VIEW v AS SELECT a FROM t", "CREATE MATERIALIZED VIEW",
		"CREATE MATERIALIZED VIEW w AS SELECT a FROM s", "CREATE MATERIALIZED VIEW")
	n := 0
	steps(t, s, topic, &n, 5)
	topic.change(func() { topic.stalled = true })
	s2 := another(t, s.eng)
	done := make(chan string, 1)
	go func() { done <- ask(s2, "CREATE OR REPLACE MATERIALIZED VIEW v AS SELECT a::int AS a FROM s") }()
	waitFor(t, s, "SELECT state FROM streamsql.jobs WHERE name = 'v (new)'", "BACKFILLING")
	script(t, s, "DROP SOURCE s CASCADE", "DROP SOURCE")
	if got := <-done; got != "ERROR 55000" {
		t.Error(got)
	}
	script(t, s, "SELECT a FROM v", "7", "SELECT name FROM streamsql.jobs", "v")
}

// TestReplaceLive: while rows come in, a view is replaced again and again; whoever
// reads it agrees with it in every epoch.
func TestReplaceLive(t *testing.T) {
	topic := newFakeTopic(t.Name(), 2)
	s := session(t, Options{Dir: "data", FS: vfs.NewMem(), Workers: 2, CheckpointInterval: 5 * time.Millisecond})
	script(t, s, fmt.Sprintf(fakeTimes, t.Name()), "CREATE SOURCE",
		"CREATE MATERIALIZED VIEW v AS "+minutes, "CREATE MATERIALIZED VIEW",
		"CREATE MATERIALIZED VIEW total AS SELECT sum(n) AS n, sum(b) AS b FROM v", "CREATE MATERIALIZED VIEW",
		"CREATE MATERIALIZED VIEW late AS SELECT sum(weight) AS n FROM v_late", "CREATE MATERIALIZED VIEW")
	n := 0
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			case <-time.After(200 * time.Microsecond):
			}
			for range 5 {
				topic.put(int32(n%2), int64(max(0, n/4-n*7%40)), int64(n))
				n++
			}
		}
	}()
	s2 := another(t, s.eng)
	same := func() {
		t.Helper()
		script(t, s2, "SELECT (SELECT coalesce(sum(n), 0) FROM v) - coalesce((SELECT n FROM total), 0), (SELECT coalesce(sum(b), 0) FROM v) - coalesce((SELECT b FROM total), 0), (SELECT coalesce(sum(weight), 0) FROM v_late) - coalesce((SELECT n FROM late), 0)", "0|0|0")
	}
	for i := range 12 {
		done := make(chan string, 1)
		q := fmt.Sprintf("SELECT window_start, count(*) AS n, sum(b) AS b FROM TUMBLE(s, ts, INTERVAL '%d seconds') GROUP BY window_start, window_end", 10+5*i)
		go func() { done <- ask(s, "CREATE OR REPLACE MATERIALIZED VIEW v AS "+q) }()
		for got := ""; got == ""; {
			same()
			select {
			case got = <-done:
				if got != "CREATE MATERIALIZED VIEW" {
					t.Error(got)
				}
			default:
			}
		}
		script(t, s, "CREATE MATERIALIZED VIEW w AS "+q, "CREATE MATERIALIZED VIEW")
		script(t, s, "SELECT (SELECT sum(n) FROM v) - (SELECT sum(n) FROM w)", "0",
			"SELECT (SELECT coalesce(sum(weight), 0) FROM v_late) - (SELECT coalesce(sum(weight), 0) FROM w_late)", "0",
			"DROP MATERIALIZED VIEW w", "DROP MATERIALIZED VIEW")
	}
	close(stop)
	<-stopped
	waitFor(t, s, "SELECT sum(next_offset) FROM streamsql.source_positions", fmt.Sprint(n))
	same()
	if ask(s, "SELECT count(*) FROM v_late") == "0" {
		t.Error("no row was late: nothing is tested")
	}
}
