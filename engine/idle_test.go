package engine

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/vfs"
)

const sourceWatermark = "SELECT DISTINCT watermark FROM streamsql.source_positions"

// held opens a session whose clock stands at noon, with a source and a view.
func heldSource(t *testing.T, o Options, with string) *Session {
	t.Helper()
	s := session(t, o)
	script(t, s, "SET streamsql.clock = 'manual'", "SET", "ADVANCE CLOCK TO '2100-01-01 12:00'", "ADVANCE CLOCK")
	heldDDL(t, s, with)
	return s
}

func heldDDL(t *testing.T, s *Session, with string) {
	t.Helper()
	ddl := fmt.Sprintf(fakeTimes, t.Name())
	script(t, s, strings.Replace(ddl, "idle_timeout = '60 s'", "idle_timeout = '60 s'"+with, 1), "CREATE SOURCE",
		"CREATE MATERIALIZED VIEW v AS "+minutes, "CREATE MATERIALIZED VIEW")
}

// advance moves the clock to so many seconds after noon.
func advance(t *testing.T, s *Session, seconds int) {
	t.Helper()
	at := time.Date(2100, 1, 1, 12, 0, seconds, 0, time.UTC)
	script(t, s, "ADVANCE CLOCK TO '"+at.Format("2006-01-02 15:04:05")+"'", "ADVANCE CLOCK")
}

// quietSource waits until the engine knows that every partition has nothing.
func quietSource(t *testing.T, s *Session, parts int) {
	t.Helper()
	for range 3000 {
		n := 0
		must(t, s.eng.do(bg, func() {
			for _, src := range s.eng.sources {
				for p := range src.parts {
					if _, _, ok := src.feed.quietOf(p, s.eng.now()); ok {
						n++
					}
				}
			}
		}))
		if n == parts {
			return
		}
		time.Sleep(time.Millisecond)
	}
	t.Fatal("the partitions do not come to rest")
}

// TestIdleTopic: when nothing comes any more, the watermark goes on by the time
// that passes, and open windows close.
func TestIdleTopic(t *testing.T) {
	topic := newFakeTopic(t.Name(), 2)
	s := heldSource(t, Options{}, "")
	topic.put(0, 100, 1)
	topic.put(1, 70, 1)
	waitFor(t, s, sourceWatermark, "1970-01-01 00:01:00+00")
	quietSource(t, s, 2)
	advance(t, s, 59)
	script(t, s, sourceWatermark, "1970-01-01 00:01:00+00")
	advance(t, s, 60) // partition 0 leads
	script(t, s, sourceWatermark, "1970-01-01 00:01:30+00")
	advance(t, s, 75)
	script(t, s, sourceWatermark, "1970-01-01 00:01:45+00")
	topic.put(1, 80, 1)
	waitFor(t, s, "SELECT n FROM v WHERE window_start = to_timestamp(60)", "3")
	// What came ends the idleness; the watermark neither goes on nor back.
	advance(t, s, 120)
	script(t, s, sourceWatermark, "1970-01-01 00:01:45+00")
	quietSource(t, s, 2)
	advance(t, s, 300) // idle at 135 or at 180 (noted at 120): both are idle by 180
	got := ask(s, sourceWatermark)
	if got != "1970-01-01 00:04:30+00" && got != "1970-01-01 00:03:45+00" {
		t.Error(got)
	}
	topic.put(0, 90, 1) // its minute has closed at last
	waitFor(t, s, "SELECT count(*) FROM v_late", "1")
}

// TestIdleSteps: however the clock moves, the watermark is the same.
func TestIdleSteps(t *testing.T) {
	topic := newFakeTopic(t.Name(), 1)
	topic.put(0, 100, 1)
	var want string
	for i, steps := range [][]int{{60, 61, 100, 399, 400}, {400}} {
		s := heldSource(t, Options{}, "")
		waitFor(t, s, sourceWatermark, "1970-01-01 00:01:30+00")
		quietSource(t, s, 1)
		for _, at := range steps {
			advance(t, s, at)
		}
		if got := ask(s, sourceWatermark); i == 0 {
			want = got
		} else if got != want || got != "1970-01-01 00:07:10+00" {
			t.Errorf("%s, %s", got, want)
		}
	}
}

// TestReplayPause: a pause amid old records, whose times go on as the clock did,
// makes none of them late.
func TestReplayPause(t *testing.T) {
	topic := newFakeTopic(t.Name(), 1)
	s := heldSource(t, Options{}, "")
	at := 0
	for round := range 5 {
		for range 20 {
			at += 7
			topic.put(0, int64(at-at%3), 1)
		}
		waitFor(t, s, "SELECT sum(n) FROM v", fmt.Sprint(20*(round+1)))
		quietSource(t, s, 1)
		now, err := time.Parse("2006-01-02 15:04:05+00", ask(s, "SELECT now()"))
		must(t, err)
		pause := 600
		advance(t, s, int(now.Sub(time.Date(2100, 1, 1, 12, 0, 0, 0, time.UTC)).Seconds())+pause)
		at += pause - pause%7
	}
	script(t, s, "SELECT count(*) FROM v_late", "0")
}

// TestOutageIsNotIdle: while the broker is away no time counts, neither before a
// partition is idle nor when all are.
func TestOutageIsNotIdle(t *testing.T) {
	topic := newFakeTopic(t.Name(), 2)
	s := heldSource(t, Options{}, "")
	topic.put(0, 100, 1)
	topic.put(1, 70, 1)
	waitFor(t, s, sourceWatermark, "1970-01-01 00:01:00+00")
	quietSource(t, s, 2)
	advance(t, s, 30)
	topic.outage(true)
	advance(t, s, 3600)
	script(t, s, sourceWatermark, "1970-01-01 00:01:00+00")
	topic.outage(false)
	quietSource(t, s, 2)
	advance(t, s, 3659)
	script(t, s, sourceWatermark, "1970-01-01 00:01:00+00")
	advance(t, s, 3660)
	script(t, s, sourceWatermark, "1970-01-01 00:01:30+00")
	advance(t, s, 3670)
	script(t, s, sourceWatermark, "1970-01-01 00:01:40+00")
	topic.outage(true)
	advance(t, s, 9000)
	script(t, s, sourceWatermark, "1970-01-01 00:01:40+00")
	topic.put(1, 95, 1) // it came during the outage: not late
	topic.outage(false)
	waitFor(t, s, "SELECT sum(n) FROM v", "3")
	script(t, s, "SELECT count(*) FROM v_late", "0")
}

// TestRestartIsNotIdle: the time between two runs does not count.
func TestRestartIsNotIdle(t *testing.T) {
	topic := newFakeTopic(t.Name(), 1)
	o := Options{Dir: "data", FS: vfs.NewMem()}
	s := heldSource(t, o, "")
	topic.put(0, 100, 1)
	waitFor(t, s, sourceWatermark, "1970-01-01 00:01:30+00")
	quietSource(t, s, 1)
	advance(t, s, 70)
	script(t, s, sourceWatermark, "1970-01-01 00:01:40+00")
	must(t, s.eng.Close())
	s = session(t, o)
	script(t, s, sourceWatermark, "1970-01-01 00:01:40+00")
	quietSource(t, s, 1)
	advance(t, s, 129)
	script(t, s, sourceWatermark, "1970-01-01 00:01:40+00")
	advance(t, s, 131)
	script(t, s, sourceWatermark, "1970-01-01 00:01:41+00")
}

// TestPauseIsNotIdle: a source that nobody reads is not idle.
func TestPauseIsNotIdle(t *testing.T) {
	topic := newFakeTopic(t.Name(), 1)
	s := heldSource(t, Options{}, "")
	topic.put(0, 100, 1)
	waitFor(t, s, sourceWatermark, "1970-01-01 00:01:30+00")
	quietSource(t, s, 1)
	script(t, s, "ALTER MATERIALIZED VIEW v PAUSE", "ALTER MATERIALIZED VIEW")
	advance(t, s, 3600)
	script(t, s, sourceWatermark, "1970-01-01 00:01:30+00", "ALTER MATERIALIZED VIEW v RESUME", "ALTER MATERIALIZED VIEW")
	quietSource(t, s, 1)
	advance(t, s, 3659)
	script(t, s, sourceWatermark, "1970-01-01 00:01:30+00")
	advance(t, s, 3661)
	script(t, s, sourceWatermark, "1970-01-01 00:01:31+00")
}

// TestBackpressureIsNotIdle: of a reader that waits until what it read is taken
// nobody knows whether a partition has nothing.
func TestBackpressureIsNotIdle(t *testing.T) {
	e := open(t, Options{})
	must(t, e.setClock(true))
	f := newFeed(e)
	defer f.close()
	now := e.now()
	end := fetched{part: 1, next: 5, atEnd: true}
	must(t, f.put(end))
	f.take(10)
	must(t, f.put(end))
	if since, until, ok := f.quietOf(1, now+50); !ok || since != now || until != now+50 {
		t.Fatal(since, until, ok)
	}
	// The reader has not been heard for long: what it said last counts.
	f.part(1).heard = time.Now().Add(-2 * silence)
	if since, until, ok := f.quietOf(1, now+50); !ok || since != now || until != now {
		t.Fatal(since, until, ok)
	}
	// It speaks again: the count starts anew.
	must(t, e.advanceClock(bg, now+100))
	must(t, f.put(end))
	if since, _, ok := f.quietOf(1, now+150); !ok || since != now+100 {
		t.Fatal(since, ok)
	}
	// Rows that nobody has taken yet.
	must(t, f.put(fetched{part: 1, next: 6, rows: 1, atEnd: true}))
	must(t, f.put(fetched{part: 1, next: 6, atEnd: true}))
	if _, _, ok := f.quietOf(1, now+150); ok {
		t.Fatal("it has rows")
	}
	f.take(10)
	if since, _, ok := f.quietOf(1, now+150); !ok || since != now+100 {
		t.Fatal(since, ok)
	}
}

// TestIdleHistory: a view made later decides about late rows as an older one did,
// also where the watermark moved by the time that passed, or stood still while a
// partition was held.
func TestIdleHistory(t *testing.T) {
	topic := newFakeTopic(t.Name(), 2)
	s := heldSource(t, Options{}, ", max_drift = '1000 s'")
	topic.put(0, 100, 1)
	topic.put(1, 70, 1)
	waitFor(t, s, sourceWatermark, "1970-01-01 00:01:00+00")
	quietSource(t, s, 2)
	advance(t, s, 100) // 130 s by then: two minutes are closed
	script(t, s, sourceWatermark, "1970-01-01 00:02:10+00")
	topic.put(1, 75, 1) // late
	topic.put(1, 125, 1)
	waitFor(t, s, "SELECT count(*) FROM v_late", "1")
	waitFor(t, s, "SELECT sum(n) FROM v", "3")
	quietSource(t, s, 2)
	advance(t, s, 300)
	script(t, s, sourceWatermark, "1970-01-01 00:04:30+00")
	topic.put(0, 110, 1) // late
	topic.put(0, 300, 1)
	topic.put(0, 4000, 1)
	waitFor(t, s, "SELECT count(*) FROM v_late", "2")
	all := "SELECT string_agg(window_start || ' ' || n || ' ' || b, ', ' ORDER BY window_start), (SELECT string_agg(event_time || ' ' || watermark, ', ' ORDER BY event_time) FROM %s_late) FROM %s"
	waitFor(t, s, "SELECT sum(n) FROM v", "5")
	script(t, s, "CREATE MATERIALIZED VIEW w AS "+minutes, "CREATE MATERIALIZED VIEW")
	if v, w := ask(s, fmt.Sprintf(all, "v", "v")), ask(s, fmt.Sprintf(all, "w", "w")); v != w {
		t.Errorf("the older view has %s\nthe later one %s", v, w)
	}
}
