package engine

import (
	"fmt"
	"math/rand"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/vfs"
)

// TestJoinsInTimeSurvive has two engines carry out the same statements, one of
// which crashes now and then and comes back with other workers: joins that depend
// on watermarks, on what came before and on the moment a row came say the same.
func TestJoinsInTimeSurvive(t *testing.T) {
	plain := session(t, Options{})
	fs := vfs.NewStrictMem()
	r := rand.New(rand.NewSource(3))
	views := map[string]string{
		"v_interval": "SELECT l.id, r.k, r.v FROM l FULL JOIN r ON l.k = r.k AND l.ts BETWEEN r.ts - INTERVAL '5 seconds' AND r.ts + INTERVAL '3 seconds'",
		"v_anti":     "SELECT l.id FROM l WHERE NOT EXISTS (SELECT * FROM r WHERE l.k = r.k AND r.ts >= l.ts AND r.ts < l.ts + INTERVAL '7 seconds')",
		"v_asof":     "SELECT l.id, h.v FROM l ASOF LEFT JOIN h ON l.k = h.k AND l.ts >= h.ts",
		"v_next":     "SELECT l.id, h.v FROM l ASOF LEFT JOIN h ON l.k = h.k AND l.ts < h.ts",
		"v_event":    "SELECT l.id, r.v FROM l LEFT JOIN r FOR SYSTEM_TIME AS OF l.ts ON l.k = r.k",
		"v_lookup":   "SELECT l.id, r.v FROM l LEFT JOIN r FOR SYSTEM_TIME AS OF PROCTIME() ON l.k = r.k",
		"v_window": "SELECT a.id, b.v FROM TUMBLE(l, ts, INTERVAL '10 seconds') a LEFT JOIN TUMBLE(h, ts, INTERVAL '10 seconds') b " +
			"ON a.k = b.k AND a.window_start = b.window_start AND a.window_end = b.window_end",
		"v_final": "SELECT l.id, h.v FROM l ASOF LEFT JOIN h ON l.k = h.k AND l.ts >= h.ts EMIT ON WINDOW CLOSE",
	}
	setup := []string{
		"CREATE TABLE l (id int PRIMARY KEY, k int, ts timestamptz, WATERMARK FOR ts AS ts - INTERVAL '4 seconds')", "CREATE TABLE",
		"CREATE TABLE r (k int PRIMARY KEY, v int, ts timestamptz, WATERMARK FOR ts AS ts - INTERVAL '4 seconds')", "CREATE TABLE",
		"CREATE TABLE h (k int, v int, ts timestamptz, WATERMARK FOR ts AS ts - INTERVAL '4 seconds') APPEND ONLY", "CREATE TABLE"}
	for name, q := range views {
		setup = append(setup, "CREATE MATERIALIZED VIEW "+name+" AS "+q, "CREATE MATERIALIZED VIEW")
	}
	script(t, plain, setup...)
	now, ids := 0, 0
	for run := range 8 {
		fs.SetIgnoreSyncs(false)
		e, err := Open(bg, Options{Dir: "data", FS: fs, CheckpointInterval: time.Duration(1+r.Intn(20)) * time.Millisecond, Workers: 1 + run%3})
		must(t, err)
		s := another(t, e)
		if run == 0 {
			script(t, s, setup...)
		}
		check := func() {
			t.Helper()
			for name := range views {
				for _, rel := range []string{name, name + "_late"} {
					q := "SELECT * FROM " + rel + " ORDER BY 1, 2, 3"
					switch {
					case rel != name:
						q = "SELECT row, watermark, weight FROM " + rel + " ORDER BY row::text, watermark, weight"
					case name == "v_anti":
						q = "SELECT * FROM v_anti ORDER BY 1"
					case name != "v_interval":
						q = "SELECT * FROM " + rel + " ORDER BY 1, 2"
					}
					if got, want := ask(s, q), ask(plain, q); got != want {
						t.Fatalf("run %d, %s:\n%s\nwithout crashes:\n%s", run, rel, got, want)
					}
				}
			}
		}
		check()
		for range 30 {
			now++
			at := func() string { return fmt.Sprintf("to_timestamp(%d)", now-r.Intn(8)) }
			var sql string
			switch r.Intn(6) {
			case 0, 1:
				var rows []string
				for range 1 + r.Intn(4) {
					ids++
					rows = append(rows, fmt.Sprintf("(%d, %d, %s)", ids, r.Intn(4), at()))
				}
				sql = "INSERT INTO l VALUES " + strings.Join(rows, ", ")
			case 2:
				sql = fmt.Sprintf("INSERT INTO h VALUES (%d, %d, %s), (%d, %d, %s)", r.Intn(4), now, at(), r.Intn(4), -now, at())
			case 3:
				sql = fmt.Sprintf("INSERT INTO r VALUES (%d, %d, %s) ON CONFLICT (k) DO UPDATE SET v = excluded.v, ts = excluded.ts", r.Intn(4), now, at())
			case 4:
				sql = fmt.Sprintf("DELETE FROM r WHERE k = %d", r.Intn(4))
			case 5:
				sql = fmt.Sprintf("DELETE FROM l WHERE id = %d", max(1, ids-r.Intn(6)))
			}
			a, err := plain.Exec(bg, sql)
			must(t, err)
			b, err := s.Exec(bg, sql)
			must(t, err)
			if a.Tag != b.Tag {
				t.Fatalf("%s: %s, without crashes %s", sql, b.Tag, a.Tag)
			}
		}
		check()
		fs.SetIgnoreSyncs(true)
		_ = e.Close()
		fs.ResetToSyncedState()
	}
	for _, name := range []string{"v_interval", "v_asof", "v_event", "v_window"} {
		if got := ask(plain, "SELECT count(*) > 0 FROM "+name+"_late"); got != "t" {
			t.Errorf("%s: no late row", name)
		}
	}
}
