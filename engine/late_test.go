package engine

import (
	"fmt"
	"math/rand"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/vfs"
)

// lateViews count the rows of table t by windows, each row being in so many.
var lateViews = []struct {
	name, query string
	windows     int
}{
	{"tumbling", "SELECT window_start, window_end, count(*) AS n FROM TUMBLE(t, ts, INTERVAL '10 seconds') GROUP BY 1, 2", 1},
	{"keyed", "SELECT v, window_end, count(*) AS n FROM TUMBLE(t, ts, INTERVAL '10 seconds', INTERVAL '3 seconds') GROUP BY v, window_start, window_end", 1},
	{"hopping", "SELECT window_start, window_end, count(*) AS n FROM HOP(t, ts, INTERVAL '3 seconds', INTERVAL '12 seconds') GROUP BY 1, 2", 4},
	{"cumulating", "SELECT window_start, window_end, count(*) AS n FROM CUMULATE(t, ts, INTERVAL '5 seconds', INTERVAL '10 seconds') GROUP BY 1, 2", 0},
	{"sessions", "SELECT v, window_start, window_end, count(*) AS n FROM SESSION(t PARTITION BY v, ts, INTERVAL '4 seconds') GROUP BY 1, 2, 3", 1},
	{"half", "SELECT window_start, window_end, count(*) AS n FROM HOP(t, ts, INTERVAL '3 seconds', INTERVAL '12 seconds') WHERE extract(epoch FROM window_end)::int % 2 = 0 GROUP BY 1, 2", 2},
	{"filtered", "SELECT window_start, window_end, count(*) AS n FROM TUMBLE(t, ts, INTERVAL '10 seconds') WHERE window_start < TIMESTAMPTZ '2200-01-01' GROUP BY 1, 2", 1},
}

// TestLateConserves: whatever is written, taken back and changed, in order or far
// too late: the rows in the windows and those beside them are the table's. Over
// crashes too.
func TestLateConserves(t *testing.T) {
	for seed := range int64(3) {
		fs := vfs.NewStrictMem()
		r := rand.New(rand.NewSource(seed))
		at, next := 100, 0
		late := map[string]bool{}
		for run := range 4 {
			fs.SetIgnoreSyncs(false)
			e, err := Open(bg, Options{Dir: "data", FS: fs, CheckpointInterval: time.Duration(1+r.Intn(40)) * time.Millisecond, Workers: 1 + run%2})
			must(t, err)
			s, err := e.NewSession("u", "d", nil)
			must(t, err)
			if run == 0 {
				script(t, s, "CREATE TABLE t (k int PRIMARY KEY, ts timestamptz, v int, WATERMARK FOR ts AS ts - INTERVAL '8 seconds')", "CREATE TABLE")
				for _, v := range lateViews {
					script(t, s, "CREATE MATERIALIZED VIEW "+v.name+" AS "+v.query, "CREATE MATERIALIZED VIEW")
				}
				script(t, s, "CREATE MATERIALIZED VIEW updated WITH (late = 'update') AS "+lateViews[2].query, "CREATE MATERIALIZED VIEW",
					"CREATE MATERIALIZED VIEW patient WITH (allowed_lateness = '1 hour') AS "+lateViews[0].query, "CREATE MATERIALIZED VIEW")
			}
			for range 25 {
				switch r.Intn(4) {
				case 0:
					ask(s, fmt.Sprintf("DELETE FROM t WHERE k %% 7 = %d AND ts > to_timestamp(%d)", r.Intn(7), at-r.Intn(30)))
				case 1:
					ask(s, fmt.Sprintf("UPDATE t SET ts = ts + INTERVAL '%d seconds', v = v + 1 WHERE k %% 11 = %d", r.Intn(5)-2, r.Intn(11)))
				default:
					q := "INSERT INTO t VALUES "
					for i := range 1 + r.Intn(20) {
						if i > 0 {
							q += ", "
						}
						q += fmt.Sprintf("(%d, to_timestamp(%d.%d), %d)", next, at-r.Intn(20), r.Intn(10), r.Intn(3))
						next++
						at += r.Intn(3)
					}
					ask(s, q)
				}
			}
			rows := ask(s, "SELECT count(*) FROM t")
			for _, v := range lateViews {
				want := fmt.Sprintf("SELECT %d * count(*) FROM t", v.windows)
				if v.windows == 0 {
					want = "SELECT sum(CASE WHEN extract(epoch FROM ts)::numeric % 10 < 5 THEN 2 ELSE 1 END) FROM t"
				}
				got := fmt.Sprintf("SELECT (SELECT coalesce(sum(n), 0) FROM %[1]s) + (SELECT coalesce(sum(weight * windows), 0) FROM %[1]s_late) - (%[2]s)", v.name, want)
				if d := ask(s, got); d != "0" {
					t.Errorf("seed %d, run %d: %s: off by %s of %s rows", seed, run, v.name, d, rows)
				}
				late[v.name] = late[v.name] || ask(s, "SELECT count(*) FROM "+v.name+"_late") != "0"
			}
			// Where nothing is late the view is what its query says.
			for v, q := range map[string]string{"updated": lateViews[2].query, "patient": lateViews[0].query} {
				script(t, s, fmt.Sprintf("SELECT count(*) FROM ((TABLE %[1]s EXCEPT ALL %[2]s) UNION ALL (%[2]s EXCEPT ALL TABLE %[1]s)) x", v, "("+q+")"), "0")
			}
			script(t, s, "SELECT count(*) FROM patient_late", "0")
			if run == 3 { // and where something was, it is so once it has been taken in
				for _, v := range lateViews {
					ask(s, "REPLAY LATE FROM "+v.name)
					script(t, s, fmt.Sprintf("SELECT (SELECT count(*) FROM %[1]s_late) + count(*) FROM ((TABLE %[1]s EXCEPT ALL %[2]s) UNION ALL (%[2]s EXCEPT ALL TABLE %[1]s)) x", v.name, "("+v.query+")"), "0")
				}
			}
			fs.SetIgnoreSyncs(true)
			_ = e.Close()
			fs.ResetToSyncedState()
		}
		for _, v := range lateViews {
			if !late[v.name] {
				t.Errorf("seed %d: no row of %s was late: nothing is tested", seed, v.name)
			}
		}
	}
}

// TestStateRows: streamsql.state says what is on disk, and forgets what is dropped.
func TestStateRows(t *testing.T) {
	s := session(t, Options{Dir: "data", FS: vfs.NewMem(), Workers: 2})
	script(t, s, "CREATE TABLE t (k int PRIMARY KEY, v int)", "CREATE TABLE",
		"CREATE MATERIALIZED VIEW v AS SELECT v, min(k) AS k FROM t GROUP BY v", "CREATE MATERIALIZED VIEW",
		"INSERT INTO t SELECT g, g % 100 FROM generate_series(1, 20000) g", "INSERT 0 20000",
		"SELECT bool_or(dirty_bytes > 0) FROM streamsql.state", "t", "CHECKPOINT", "CHECKPOINT", "CHECKPOINT", "CHECKPOINT",
		"SELECT sum(dirty_bytes) FROM streamsql.state", "0",
		"SELECT relation, operator, node IS NULL, keys, bounded FROM streamsql.state ORDER BY 1, 2",
		"t|rows|t|20000|f\nv|Aggregate|f|20100|f\nv|rows|t|100|f", // groups, and the values of min
		"SELECT bool_and(disk_bytes >= 0) FROM streamsql.state", "t",
		"ALTER MATERIALIZED VIEW v PAUSE", "ALTER MATERIALIZED VIEW",
		"SELECT relation, operator FROM streamsql.state ORDER BY 1, 2", "t|rows\nv|rows",
		"DROP TABLE t CASCADE", "DROP TABLE", "SELECT * FROM streamsql.state", "")
}
