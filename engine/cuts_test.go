package engine

import (
	"fmt"
	"math/rand"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/vfs"
)

// laterPairs are views that decide about late rows, each in its own way.
var laterPairs = map[string]string{
	"tumble":  "SELECT window_start, count(*) AS n, sum(b) AS b FROM TUMBLE(s, ts, INTERVAL '1 minute') GROUP BY window_start, window_end",
	"hop":     "SELECT window_start, a % 3 AS k, count(*) AS n, max(b) AS b FROM HOP(s, ts, INTERVAL '20 seconds', INTERVAL '1 minute') GROUP BY window_start, window_end, 2",
	"final":   "SELECT window_start, window_end, count(*) AS n, sum(b) AS b FROM TUMBLE(s, ts, INTERVAL '30 seconds') GROUP BY window_start, window_end EMIT ON WINDOW CLOSE",
	"session": "SELECT window_start, window_end, k, count(*) AS n FROM SESSION((SELECT b % 3 AS k, ts FROM s) PARTITION BY k, ts, INTERVAL '3 seconds') GROUP BY window_start, window_end, k",
	"allowed": "SELECT window_start, count(*) AS n FROM TUMBLE(s, ts, INTERVAL '20 seconds') GROUP BY window_start, window_end",
	"update":  "SELECT window_start, count(*) AS n FROM TUMBLE(s, ts, INTERVAL '20 seconds') GROUP BY window_start, window_end",
	"join": `SELECT x.window_start, count(*) AS n, sum(x.b + y.b) AS b
		FROM TUMBLE(s, ts, INTERVAL '20 seconds') x JOIN TUMBLE(r, ts, INTERVAL '20 seconds') y
		ON x.window_start = y.window_start AND x.window_end = y.window_end AND x.b % 5 = y.b % 5
		GROUP BY x.window_start, x.window_end`,
}

var laterWith = map[string]string{"allowed": " WITH (allowed_lateness = '7 seconds')", "update": " WITH (late = 'update')"}

// lateCols are what both must have recorded: all but the epoch and the clock's time.
const lateCols = "SELECT row, event_time, watermark, late_by, operator, windows, sum(weight) FROM %s_late GROUP BY 1, 2, 3, 4, 5, 6 ORDER BY 1, 2, 3, 4, 5, 6"

// differing are the lines that one text has more often than the other.
func differing(a, b string) string {
	n := map[string]int{}
	for _, l := range strings.Split(a, "\n") {
		n[l]++
	}
	for _, l := range strings.Split(b, "\n") {
		n[l]--
	}
	var out []string
	for l, k := range n {
		if k != 0 {
			out = append(out, fmt.Sprintf("%+d %s", k, l))
		}
	}
	slices.SortFunc(out, func(a, b string) int { return strings.Compare(a[2:], b[2:]) })
	return strings.Join(out, "\n")
}

// sameViews compares the answers and the late rows of two views.
func sameViews(t *testing.T, s *Session, name, a, b string) (rows, late int) {
	t.Helper()
	count := func(text string) int {
		if text == "" {
			return 0
		}
		return strings.Count(text, "\n") + 1
	}
	x, y := ask(s, "SELECT * FROM "+a+" ORDER BY 1, 2"), ask(s, "SELECT * FROM "+b+" ORDER BY 1, 2")
	if x != y {
		t.Errorf("%s\n%s", name, differing(x, y))
	}
	if name == "update" {
		return count(x), 0
	}
	x2, y2 := ask(s, fmt.Sprintf(lateCols, a)), ask(s, fmt.Sprintf(lateCols, b))
	if x2 != y2 {
		t.Errorf("%s: the late rows\n%s", name, differing(x2, y2))
	}
	return count(x), count(x2)
}

// TestLaterViews: views created after rows came out of order, many too late, over
// one to four partitions of which one rests, over restarts and crashes, equal those
// that were there, late rows included.
func TestLaterViews(t *testing.T) {
	late := 0
	for seed := range int64(4) {
		parts := int(seed) + 1
		t.Run(fmt.Sprint(parts), func(t *testing.T) {
			r := rand.New(rand.NewSource(seed))
			names := []string{t.Name() + "/s", t.Name() + "/r"}
			topics := []*fakeTopic{newFakeTopic(names[0], parts), newFakeTopic(names[1], 1)}
			fs := vfs.NewStrictMem()
			var s *Session
			n, at := 0, 0
			for run := range 4 {
				fs.SetIgnoreSyncs(false)
				e, err := Open(bg, Options{Dir: "data", FS: fs, CheckpointInterval: time.Duration(1+r.Intn(30)) * time.Millisecond, Workers: 1 + run%2})
				must(t, err)
				s, err = e.NewSession("u", "d", nil)
				must(t, err)
				if run == 0 {
					script(t, s, fmt.Sprintf(fakeTimes, names[0]), "CREATE SOURCE",
						strings.Replace(fmt.Sprintf(fakeTimes, names[1]), "SOURCE s", "SOURCE r", 1), "CREATE SOURCE")
					for name, q := range laterPairs {
						script(t, s, "CREATE MATERIALIZED VIEW v_"+name+laterWith[name]+" AS "+q, "CREATE MATERIALIZED VIEW")
					}
				}
				for range 40 {
					for range 1 + r.Intn(8) {
						k := r.Intn(4) / 3
						p := int32(0)
						if k == 0 {
							p = int32(r.Intn(parts))
							if run == 1 && p == 1 {
								p = 0 // it rests
							}
						}
						if r.Intn(20) == 0 {
							topics[k].putBad(p, "x")
						} else {
							topics[k].put(p, int64(max(0, at-r.Intn(30)*r.Intn(3))), int64(r.Intn(100)))
						}
						n++
						at += r.Intn(2)
					}
					time.Sleep(time.Duration(r.Intn(1500)) * time.Microsecond)
				}
				if run < 3 && r.Intn(2) == 0 {
					fs.SetIgnoreSyncs(true)
				} else {
					waitFor(t, s, "SELECT sum(next_offset) FROM streamsql.source_positions", fmt.Sprint(n))
				}
				if run == 3 {
					break
				}
				_ = e.Close()
				fs.ResetToSyncedState()
			}
			for name, q := range laterPairs {
				script(t, s, "CREATE MATERIALIZED VIEW later_"+name+laterWith[name]+" AS "+q, "CREATE MATERIALIZED VIEW")
				_, k := sameViews(t, s, name, "v_"+name, "later_"+name)
				late += k
			}
			// They go on alike.
			for range 60 {
				topics[0].put(int32(r.Intn(parts)), int64(max(0, at-r.Intn(40))), int64(r.Intn(100)))
				topics[1].put(0, int64(max(0, at-r.Intn(40))), int64(r.Intn(100)))
				n, at = n+2, at+2
			}
			waitFor(t, s, "SELECT sum(next_offset) FROM streamsql.source_positions", fmt.Sprint(n))
			for name := range laterPairs {
				sameViews(t, s, name, "v_"+name, "later_"+name)
			}
			_ = s.eng.Close()
		})
	}
	if late < 20 {
		t.Errorf("%d late rows: nothing is tested", late)
	}
}
