package engine

import (
	"fmt"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/vfs"

	"github.com/streamsql/streamsql/state"
)

// TestDropLeavesNothing makes and drops objects of each kind, many times: no
// goroutine, no reader, no pin and no table outlives them.
func TestDropLeavesNothing(t *testing.T) {
	topic := newFakeTopic(t.Name(), 2)
	for i := range 50 {
		topic.put(int32(i%2), int64(i), 0)
	}
	e := open(t, Options{Dir: "data", FS: vfs.NewMem()})
	s := another(t, e)
	dir := t.TempDir()
	count := func() (n [6]int) {
		must(t, e.do(bg, func() {
			n = [6]int{len(e.relations), len(e.jobsByID), len(e.order), len(e.sources), len(e.filling), 0}
		}))
		e.pinMu.Lock()
		n[5] = len(e.pins)
		e.pinMu.Unlock()
		return n
	}
	script(t, s, "CREATE TABLE t (a int PRIMARY KEY, b int)", "CREATE TABLE",
		"INSERT INTO t SELECT i, i % 10 FROM generate_series(1, 1000) i", "INSERT 0 1000")
	before, tables, goroutines := count(), 0, 0
	for i := range 12 {
		src := e.testSource(t, "s", t.Name())
		script(t, s,
			"CREATE MATERIALIZED VIEW v AS SELECT a, count(*) AS n FROM s GROUP BY a", "CREATE MATERIALIZED VIEW",
			"CREATE MATERIALIZED VIEW w AS SELECT v.n, t.b FROM v JOIN t ON t.b = v.a", "CREATE MATERIALIZED VIEW",
			fmt.Sprintf("CREATE SINK k FROM w WITH (connector = 'file', path = '%s')", filepath.Join(dir, "out")), "CREATE SINK",
			"CREATE INDEX i ON v (n)", "CREATE INDEX")
		e.settle(t, src.ID, topic)
		script(t, s, "SELECT count(*) FROM v", "50", "ALTER MATERIALIZED VIEW v PAUSE", "ALTER MATERIALIZED VIEW",
			"ALTER MATERIALIZED VIEW v RESUME", "ALTER MATERIALIZED VIEW",
			"SELECT 1/(n-1) FROM v", "ERROR 22012",
			"DROP SINK k", "DROP SINK", "DROP MATERIALIZED VIEW v CASCADE", "DROP MATERIALIZED VIEW",
			"DROP SOURCE s", "DROP SOURCE", "CHECKPOINT", "CHECKPOINT")
		if got := count(); got != before {
			t.Fatalf("round %d: relations, jobs, order, sources, backfills, pins are %v, not %v", i, got, before)
		}
		if i == 2 {
			must(t, e.do(bg, func() { e.eachTable(func(uint32, state.Table) { tables++ }) }))
			goroutines = runtime.NumGoroutine()
		}
	}
	now := 0
	must(t, e.do(bg, func() { e.eachTable(func(uint32, state.Table) { now++ }) }))
	expect(t, fmt.Sprint(now), fmt.Sprint(tables))
	for range 1000 {
		if runtime.NumGoroutine() <= goroutines+2 {
			return
		}
		time.Sleep(time.Millisecond)
	}
	t.Errorf("%d goroutines, %d after the first rounds", runtime.NumGoroutine(), goroutines)
}
