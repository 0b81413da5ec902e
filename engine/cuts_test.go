package engine

import (
	"fmt"
	"maps"
	"math/rand"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/vfs"

	"github.com/streamsql/streamsql/connector"
	"github.com/streamsql/streamsql/state"
)

// laterPairs are views that decide about late rows, each in its own way.
var laterPairs = map[string]string{
	"tumble":  "SELECT window_start, count(*) AS n, sum(b) AS b FROM TUMBLE(s, ts, INTERVAL '1 minute') GROUP BY window_start, window_end",
	"hop":     "SELECT window_start, a % 3 AS k, count(*) AS n, max(b) AS b FROM HOP(s, ts, INTERVAL '20 seconds', INTERVAL '1 minute') GROUP BY window_start, window_end, 2",
	"final":   "SELECT window_start, window_end, count(*) AS n, sum(b) AS b FROM TUMBLE(s, ts, INTERVAL '30 seconds') GROUP BY window_start, window_end EMIT ON WINDOW CLOSE",
	"session": "SELECT window_start, window_end, k, count(*) AS n FROM SESSION((SELECT b % 3 AS k, ts FROM s) PARTITION BY k, ts, INTERVAL '3 seconds') GROUP BY window_start, window_end, k",
	"allowed": "SELECT window_start, count(*) AS n FROM TUMBLE(s, ts, INTERVAL '20 seconds') GROUP BY window_start, window_end",
	"update":  "SELECT window_start, count(*) AS n FROM TUMBLE(s, ts, INTERVAL '20 seconds') GROUP BY window_start, window_end",
	"table": `SELECT window_start, count(*) AS n, sum(id) AS ids FROM TUMBLE((SELECT ts, id FROM s JOIN t ON s.b = t.b), ts, INTERVAL '20 seconds')
		GROUP BY window_start, window_end`,
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
						strings.Replace(fmt.Sprintf(fakeTimes, names[1]), "SOURCE s", "SOURCE r", 1), "CREATE SOURCE",
						"CREATE TABLE t (id int PRIMARY KEY, b int)", "CREATE TABLE",
						"INSERT INTO t SELECT i, CASE WHEN i % 200 = 0 THEN i / 200 ELSE -i END FROM generate_series(1, 20000) i", "INSERT 0 20000")
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

// steps puts records one by one, each a step of its own.
func steps(t *testing.T, s *Session, topic *fakeTopic, n *int, at ...int64) {
	t.Helper()
	for _, a := range at {
		topic.put(0, a, 1)
		*n++
		waitFor(t, s, "SELECT sum(next_offset) FROM streamsql.source_positions", fmt.Sprint(*n))
	}
}

// TestResumeDecides: a view that is computed anew decides again about late rows,
// and has each once, also when a crash has it begin again.
func TestResumeDecides(t *testing.T) {
	topic := newFakeTopic(t.Name(), 1)
	fs := vfs.NewStrictMem()
	o := Options{Dir: "data", FS: fs, CheckpointInterval: time.Hour}
	e, err := Open(bg, o)
	must(t, err)
	s := another(t, e)
	script(t, s, fmt.Sprintf(fakeTimes, t.Name()), "CREATE SOURCE",
		"CREATE MATERIALIZED VIEW v AS "+minutes, "CREATE MATERIALIZED VIEW",
		"CREATE MATERIALIZED VIEW w AS "+minutes, "CREATE MATERIALIZED VIEW",
		"CREATE MATERIALIZED VIEW late AS SELECT count(*) AS n FROM v_late", "CREATE MATERIALIZED VIEW")
	n := 0
	steps(t, s, topic, &n, 5, 65, 135, 30, 31)
	script(t, s, "SELECT sum(n) FROM v", "3", "SELECT n FROM late", "2",
		"ALTER MATERIALIZED VIEW v PAUSE", "ALTER MATERIALIZED VIEW")
	steps(t, s, topic, &n, 32)
	script(t, s, "SELECT count(*) FROM v_late", "2", "SELECT count(*) FROM w_late", "3",
		"ALTER MATERIALIZED VIEW v RESUME", "ALTER MATERIALIZED VIEW",
		"SELECT count(*) FROM v_late", "3", "SELECT n FROM late", "3",
		"SELECT sum(late_rows) FROM streamsql.operators WHERE job = 'v'", "3",
		"ALTER MATERIALIZED VIEW v PAUSE", "ALTER MATERIALIZED VIEW")
	sameViews(t, s, "resumed", "v", "w")
	topic.change(func() { topic.stalled = true })
	script(t, s, "SET streamsql.background_ddl = on", "SET",
		"ALTER MATERIALIZED VIEW v RESUME", "ALTER MATERIALIZED VIEW", "CHECKPOINT", "CHECKPOINT")
	fs.SetIgnoreSyncs(true)
	_ = e.Close()
	fs.ResetToSyncedState()
	fs.SetIgnoreSyncs(false)
	topic.change(func() { topic.stalled = false })
	s = session(t, o)
	waitFor(t, s, "SELECT state FROM streamsql.jobs WHERE name = 'v'", "RUNNING")
	steps(t, s, topic, &n, 33)
	script(t, s, "SELECT n FROM late", "4")
	sameViews(t, s, "recovered", "v", "w")
}

// TestHistoryGone: what there is of the history is judged by the watermark that
// held there, and the client is told where each partition begins.
func TestHistoryGone(t *testing.T) {
	topic := newFakeTopic(t.Name(), 2)
	s := session(t, Options{})
	script(t, s, fmt.Sprintf(fakeTimes, t.Name()), "CREATE SOURCE",
		"CREATE MATERIALIZED VIEW v AS "+minutes, "CREATE MATERIALIZED VIEW")
	topic.put(1, 1000, 1) // the second partition is ahead
	waitFor(t, s, "SELECT sum(next_offset) FROM streamsql.source_positions", "1")
	n := 0
	put := func(at ...int64) {
		for _, a := range at {
			topic.put(0, a, 1)
			n++
			waitFor(t, s, "SELECT sum(next_offset) FROM streamsql.source_positions", fmt.Sprint(n+1))
		}
	}
	put(5, 65, 135, 30, 136, 31, 137, 32, 33, 140)
	cuts := func() (k int) {
		must(t, s.eng.do(bg, func() {
			for _, src := range s.eng.sources {
				k = src.cuts.tree.Len()
			}
		}))
		return k
	}
	before := cuts()
	for range 7 {
		topic.put(1, 1001, 1)
	}
	waitFor(t, s, "SELECT sum(next_offset) FROM streamsql.source_positions", "18")
	topic.change(func() { topic.expired = 7 })
	a, err := s.Exec(bg, "CREATE MATERIALIZED VIEW w AS "+minutes)
	must(t, err)
	var told []string
	for _, x := range a.Notices {
		told = append(told, x.Err.Message)
	}
	slices.Sort(told)
	want := []string{
		`source "s": history is gone: partition 0 begins at 7`,
		`source "s": history is gone: partition 1 begins at 7`,
	}
	if !slices.Equal(told, want) {
		t.Errorf("got %q", told)
	}
	script(t, s, "SELECT sum(n) FROM w", "2", "SELECT row->>'a' FROM w_late ORDER BY 1", "32\n33",
		"SELECT DISTINCT watermark FROM w_late", "1970-01-01 00:02:07+00")
	if k := cuts(); k >= before {
		t.Errorf("%d entries of %d are left", k, before)
	}
	script(t, s, "CREATE MATERIALIZED VIEW x AS "+minutes, "CREATE MATERIALIZED VIEW")
	sameViews(t, s, "what is left", "w", "x")
}

// TestCutLog: what the record of cuts holds after random steps is what the steps
// were, and it forgets what lies before the history that is there.
func TestCutLog(t *testing.T) {
	r := rand.New(rand.NewSource(1))
	for range 50 {
		l := &cutLog{tree: state.NewTree()}
		var want []*sourceCut
		at := connector.Positions{}
		for epoch := uint64(1); epoch < 60; epoch++ {
			for p := range int32(3) {
				if n := r.Intn(3); n > 0 {
					at[p] += int64(n)
				}
			}
			c := &sourceCut{epoch: epoch, wm: int64(r.Intn(1000)) - 500, at: at.Clone()}
			replace := len(want) > 0 && r.Intn(3) == 0
			must(t, l.add(c, replace))
			if replace {
				want = want[:len(want)-1]
			}
			want = append(want, c)
		}
		first := connector.Positions{0: int64(r.Intn(60)), 1: int64(r.Intn(60)), 2: int64(r.Intn(60))}
		must(t, l.forget(first))
		for len(want) > 1 && want[1].within(first) {
			want = want[1:]
		}
		for epoch := uint64(0); ; {
			c, err := l.next(epoch)
			must(t, err)
			if c == nil {
				break
			}
			if len(want) == 0 || c.epoch != want[0].epoch || c.wm != want[0].wm || !maps.Equal(c.at, want[0].at) {
				t.Fatalf("got %v, want %v", c, want)
			}
			epoch, want = c.epoch, want[1:]
		}
		if len(want) > 0 {
			t.Fatalf("%v is missing", want[0])
		}
		must(t, l.restart(70, 5))
		c, err := l.next(0)
		must(t, err)
		if c == nil || c.epoch != 70 || c.wm != 5 || len(c.at) > 0 || l.tree.Len() != 1 {
			t.Fatalf("another log begins with %v", c)
		}
	}
	for _, b := range [][]byte{nil, make([]byte, 15), append(make([]byte, 16), 0x80), append(make([]byte, 16), 1)} {
		if readCut(b) != nil {
			t.Errorf("%v is no entry", b)
		}
	}
}

// TestTrimCuts: a long record is cut off where the source's records begin.
func TestTrimCuts(t *testing.T) {
	topic := newFakeTopic(t.Name(), 1)
	s := session(t, Options{})
	script(t, s, fmt.Sprintf(fakeTimes, t.Name()), "CREATE SOURCE",
		"CREATE MATERIALIZED VIEW v AS "+minutes, "CREATE MATERIALIZED VIEW")
	n := 0
	steps(t, s, topic, &n, 0)
	var left int
	must(t, s.eng.do(bg, func() {
		for _, src := range s.eng.sources {
			for i := range manyCuts + 5 {
				must(t, src.cuts.add(&sourceCut{epoch: uint64(10000 + i), wm: int64(i), at: connector.Positions{0: int64(i)}}, false))
			}
			src.wm = src.cuts.last.wm
		}
		topic.change(func() { topic.expired = 1000 })
	}))
	for range 2000 {
		must(t, s.eng.do(bg, func() {
			for _, src := range s.eng.sources {
				left = src.cuts.tree.Len()
			}
		}))
		if left < manyCuts {
			break
		}
		time.Sleep(time.Millisecond)
	}
	if left != 5 {
		t.Errorf("%d entries are left", left)
	}
}

// TestLaterAfterIdle: the watermark that time moved while nothing came, and the
// end of a source, are history too, over a restart.
func TestLaterAfterIdle(t *testing.T) {
	topic := newFakeTopic(t.Name(), 2)
	o := Options{Dir: "data", FS: vfs.NewMem()}
	s := heldSource(t, o, "")
	n := 0
	put := func(part int32, at int64) {
		t.Helper()
		topic.put(part, at, 1)
		n++
		waitFor(t, s, "SELECT sum(next_offset) FROM streamsql.source_positions", fmt.Sprint(n))
	}
	put(0, 50)
	put(1, 55)
	for seconds := 30; seconds <= 180; seconds += 30 {
		quietSource(t, s, 2)
		advance(t, s, seconds)
	}
	if wm := ask(s, sourceWatermark); wm <= "1970-01-01 00:01:00+00" {
		t.Fatalf("the watermark stands at %s", wm)
	}
	put(0, 56) // late by the time that passed
	put(1, 400)
	put(0, 410)
	put(0, 57)
	script(t, s, "SELECT count(*) FROM v_late", "2",
		"CREATE MATERIALIZED VIEW w AS "+minutes, "CREATE MATERIALIZED VIEW")
	sameViews(t, s, "idle", "v", "w")
	topic.change(func() { topic.ended = true })
	waitFor(t, s, sourceWatermark, "infinity")
	script(t, s, "CREATE MATERIALIZED VIEW x AS "+minutes+" EMIT ON WINDOW CLOSE", "CREATE MATERIALIZED VIEW",
		"SELECT state FROM streamsql.jobs WHERE name = 'x'", "FINISHED")
	sameViews(t, s, "ended", "v", "x")
	must(t, s.eng.Close())
	s = session(t, o)
	script(t, s, sourceWatermark, "infinity", "SELECT DISTINCT state FROM streamsql.jobs", "FINISHED",
		"CREATE MATERIALIZED VIEW y AS "+minutes, "CREATE MATERIALIZED VIEW",
		"SELECT DISTINCT state FROM streamsql.jobs", "FINISHED")
	sameViews(t, s, "ended before", "v", "y")
}
