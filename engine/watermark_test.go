package engine

import (
	"fmt"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/vfs"
)

// TestTableWatermarkReplay: after a crash the log brings the watermark of a table
// back, and decides about late rows step by step, as it was.
func TestTableWatermarkReplay(t *testing.T) {
	fs := vfs.NewStrictMem()
	o := Options{Dir: "data", FS: fs, CheckpointInterval: time.Hour}
	e, err := Open(bg, o)
	must(t, err)
	s := another(t, e)
	script(t, s,
		"CREATE TABLE t (k int, ts timestamptz, WATERMARK FOR ts AS ts - INTERVAL '10 seconds')", "CREATE TABLE",
		"CREATE MATERIALIZED VIEW v AS SELECT window_start, count(*) AS n FROM TUMBLE(t, ts, INTERVAL '1 minute') GROUP BY window_start, window_end", "CREATE MATERIALIZED VIEW",
		"INSERT INTO t VALUES (1, to_timestamp(20))", "INSERT 0 1",
		"CHECKPOINT", "CHECKPOINT",
		"INSERT INTO t VALUES (2, to_timestamp(75))", "INSERT 0 1",
		"INSERT INTO t VALUES (3, to_timestamp(30))", "INSERT 0 1", // late
		"INSERT INTO t VALUES (4, to_timestamp(90))", "INSERT 0 1")
	const state = "SELECT (SELECT watermark FROM streamsql.jobs), (SELECT string_agg(n::text, ' ' ORDER BY window_start) FROM v), (SELECT sum(weight) FROM v_late)"
	const want = "1970-01-01 00:01:20+00|1 2|1"
	expect(t, ask(s, state), want)
	for range 2 { // the second time without a log
		fs.SetIgnoreSyncs(true)
		_ = e.Close()
		fs.ResetToSyncedState()
		fs.SetIgnoreSyncs(false)
		e, err = Open(bg, o)
		must(t, err)
		s = another(t, e)
		expect(t, ask(s, state), want)
		script(t, s, "CHECKPOINT", "CHECKPOINT")
	}
	script(t, s, "INSERT INTO t VALUES (5, to_timestamp(79))", "INSERT 0 1")
	expect(t, ask(s, state), fmt.Sprintf("%s|1 3|1", "1970-01-01 00:01:20+00"))
	must(t, e.Close())
}
