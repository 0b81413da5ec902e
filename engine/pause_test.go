package engine

import (
	"testing"
	"time"

	"github.com/cockroachdb/pebble/vfs"
)

// TestPauseLasts: when PAUSE has returned, a crash does not undo it.
func TestPauseLasts(t *testing.T) {
	fs := vfs.NewStrictMem()
	o := Options{Dir: "data", FS: fs, CheckpointInterval: time.Hour}
	e, err := Open(bg, o)
	must(t, err)
	script(t, another(t, e),
		"CREATE TABLE t (a int)", "CREATE TABLE",
		"CREATE MATERIALIZED VIEW v AS SELECT count(*) AS n FROM t", "CREATE MATERIALIZED VIEW",
		"CREATE MATERIALIZED VIEW w AS SELECT n + 1 AS m FROM v", "CREATE MATERIALIZED VIEW",
		"INSERT INTO t VALUES (1)", "INSERT 0 1",
		"ALTER MATERIALIZED VIEW v PAUSE", "ALTER MATERIALIZED VIEW",
		"INSERT INTO t VALUES (2)", "INSERT 0 1")
	fs.SetIgnoreSyncs(true)
	_ = e.Close()
	fs.ResetToSyncedState()
	fs.SetIgnoreSyncs(false)
	script(t, session(t, o),
		"SELECT name, state FROM streamsql.jobs ORDER BY name", "v|PAUSED\nw|STALE",
		"SELECT count(*) FROM t", "2",
		"SELECT n FROM v", "1",
		"ALTER MATERIALIZED VIEW v RESUME", "ALTER MATERIALIZED VIEW",
		"SELECT n FROM v", "2",
		"SELECT m FROM w", "3")
}

// TestPauseWhileCreating: a view paused by another session while CREATE waits for
// its backfill stays.
func TestPauseWhileCreating(t *testing.T) {
	topic := newFakeTopic(t.Name(), 1)
	s := session(t, Options{})
	topic.put(0, 1, 0)
	src := s.eng.testSource(t, "s", t.Name())
	script(t, s, "CREATE MATERIALIZED VIEW v AS SELECT a FROM s", "CREATE MATERIALIZED VIEW")
	s.eng.settle(t, src.ID, topic)
	// A second reader that never gets anything keeps the view from joining.
	must(t, s.eng.do(bg, func() { s.eng.sources[src.ID].parts[0].next = 1000 }))
	made := make(chan string, 1)
	go func() { made <- ask(another(t, s.eng), "CREATE MATERIALIZED VIEW w AS SELECT a FROM s") }()
	waitFor(t, s, "SELECT state FROM streamsql.jobs WHERE name = 'w'", "BACKFILLING")
	script(t, s, "ALTER MATERIALIZED VIEW w PAUSE", "ALTER MATERIALIZED VIEW")
	expect(t, <-made, "CREATE MATERIALIZED VIEW")
	script(t, s, "SELECT state FROM streamsql.jobs WHERE name = 'w'", "PAUSED",
		"DROP MATERIALIZED VIEW w", "DROP MATERIALIZED VIEW")
}
