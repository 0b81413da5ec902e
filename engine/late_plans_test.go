package engine

import (
	"fmt"
	"math/rand"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/vfs"
)

// latePlans are views over tables l and r of every kind that closes something.
var latePlans = map[string]string{
	"top":       "SELECT window_end, k, v FROM (SELECT *, row_number() OVER (PARTITION BY window_start, window_end ORDER BY v DESC, k) AS n FROM TUMBLE(l, ts, INTERVAL '10 seconds')) x WHERE n <= 2",
	"running":   "SELECT window_end, k, sum(v) OVER (PARTITION BY window_start, window_end ORDER BY ts, k) AS s FROM TUMBLE(l, ts, INTERVAL '10 seconds')",
	"seen":      "SELECT DISTINCT v, window_start, window_end FROM TUMBLE(l, ts, INTERVAL '10 seconds')",
	"most":      "SELECT window_end, max(n) AS n FROM (SELECT v, window_start, window_end, count(*) AS n FROM TUMBLE(l, ts, INTERVAL '10 seconds') GROUP BY 1, 2, 3) x GROUP BY window_start, window_end",
	"joined":    "SELECT a.k AS ak, b.k AS bk, a.window_end FROM TUMBLE(l, ts, INTERVAL '10 seconds') a JOIN TUMBLE(r, ts, INTERVAL '10 seconds') b ON a.window_start = b.window_start AND a.window_end = b.window_end AND a.v = b.v",
	"outer_j":   "SELECT a.v, a.n, b.n AS m, a.window_end FROM (SELECT v, window_start, window_end, count(*) AS n FROM TUMBLE(l, ts, INTERVAL '10 seconds') GROUP BY 1, 2, 3) a LEFT JOIN (SELECT v, window_start, window_end, count(*) AS n FROM TUMBLE(r, ts, INTERVAL '10 seconds') GROUP BY 1, 2, 3) b ON a.window_start = b.window_start AND a.window_end = b.window_end AND a.v = b.v",
	"near":      "SELECT a.k AS ak, b.k AS bk, a.ts FROM l a JOIN r b ON a.v = b.v AND b.ts BETWEEN a.ts - INTERVAL '3 seconds' AND a.ts + INTERVAL '2 seconds'",
	"near_left": "SELECT a.k AS ak, b.k AS bk, a.ts FROM l a LEFT JOIN r b ON a.v = b.v AND b.ts BETWEEN a.ts AND a.ts + INTERVAL '2 seconds'",
	"by_time":   "SELECT ts, count(*) AS n, min(v) AS lo FROM l GROUP BY ts",
	"unioned":   "SELECT window_end, count(*) AS n FROM TUMBLE((SELECT ts, v FROM l UNION ALL SELECT ts, v FROM r), ts, INTERVAL '10 seconds') GROUP BY window_start, window_end",
	"before":    "SELECT a.k, b.k AS bk FROM l a ASOF LEFT JOIN r b ON a.v = b.v AND a.ts >= b.ts",
	"session_j": "SELECT v, window_start, window_end, count(*) AS n, max(k) AS k FROM SESSION(l PARTITION BY v, ts, INTERVAL '3 seconds') GROUP BY 1, 2, 3",
	"twice":     "SELECT window_end, sum(n) AS n FROM TUMBLE((SELECT window_time AS at, count(*) AS n FROM TUMBLE(l, ts, INTERVAL '5 seconds') GROUP BY window_start, window_end, window_time), at, INTERVAL '10 seconds') GROUP BY window_start, window_end",
}

// TestLatePlans: a view that late rows update is its query at any time; any other
// is once its late rows were replayed; whatever it is made of.
func TestLatePlans(t *testing.T) {
	for seed := range int64(2) {
		r := rand.New(rand.NewSource(seed))
		s := session(t, Options{Dir: "data", FS: vfs.NewMem(), Workers: 1 + int(seed)%2, CheckpointInterval: 20 * time.Millisecond})
		for _, table := range []string{"l", "r"} {
			script(t, s, "CREATE TABLE "+table+" (k int PRIMARY KEY, ts timestamptz, v int, WATERMARK FOR ts AS ts - INTERVAL '3 seconds')", "CREATE TABLE")
		}
		for name, q := range latePlans {
			script(t, s, "CREATE MATERIALIZED VIEW "+name+" AS "+q, "CREATE MATERIALIZED VIEW",
				"CREATE MATERIALIZED VIEW "+name+"_u WITH (late = 'update') AS "+q, "CREATE MATERIALIZED VIEW",
				"CREATE MATERIALIZED VIEW "+name+"_n AS SELECT count(*) AS n FROM "+name, "CREATE MATERIALIZED VIEW")
		}
		at, next, late := 100, 0, map[string]bool{}
		equal := func(view, q string) {
			t.Helper()
			d := fmt.Sprintf("SELECT count(*) FROM ((TABLE %[1]s EXCEPT ALL (%[2]s)) UNION ALL ((%[2]s) EXCEPT ALL TABLE %[1]s)) x", view, q)
			if got := ask(s, d); got != "0" {
				t.Errorf("seed %d: %s is off by %s rows\n%s", seed, view, got, ask(s, "EXPLAIN CREATE MATERIALIZED VIEW x AS "+q))
			}
		}
		for round := range 4 {
			for range 15 {
				table := []string{"l", "r"}[r.Intn(2)]
				switch r.Intn(5) {
				case 0:
					ask(s, fmt.Sprintf("DELETE FROM %s WHERE k %% 7 = %d AND ts > to_timestamp(%d)", table, r.Intn(7), at-r.Intn(30)))
				case 1:
					ask(s, fmt.Sprintf("UPDATE %s SET ts = ts + INTERVAL '%d seconds', v = v + 1 WHERE k %% 11 = %d", table, r.Intn(5)-2, r.Intn(11)))
				default:
					q := ""
					for range 1 + r.Intn(12) {
						q += fmt.Sprintf(", (%d, to_timestamp(%d), %d)", next, at-r.Intn(15), r.Intn(3))
						next++
						at += r.Intn(2)
					}
					ask(s, "INSERT INTO "+table+" VALUES "+q[2:])
				}
			}
			for name, q := range latePlans {
				equal(name+"_u", q)
				n := ask(s, "SELECT count(*) FROM "+name+"_late")
				late[name] = late[name] || n != "0" && n[0] != 'E'
				if round%2 == 0 {
					continue
				}
				if got := ask(s, "REPLAY LATE FROM "+name); got[0] == 'E' {
					t.Fatalf("%s: %s", name, got)
				}
				equal(name, q)
				script(t, s, "SELECT n - (SELECT count(*) FROM "+name+") FROM "+name+"_n", "0")
			}
		}
		for name := range latePlans {
			if !late[name] && name != "before" {
				t.Errorf("seed %d: nothing was late in %s", seed, name)
			}
		}
	}
}
