package engine

import (
	"fmt"
	"math/rand"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/vfs"
)

// TestReplayDeadLetters: records that decode after ALTER SOURCE go into the views
// that are there and into those made before and after, once.
func TestReplayDeadLetters(t *testing.T) {
	topic := newFakeTopic(t.Name(), 2)
	fs := vfs.NewMem()
	s := session(t, Options{Dir: "data", FS: fs})
	script(t, s,
		fmt.Sprintf(fakeTimes, t.Name()), "CREATE SOURCE",
		"CREATE MATERIALIZED VIEW v AS SELECT count(*) AS n, sum(b) AS b FROM s", "CREATE MATERIALIZED VIEW",
		"CREATE MATERIALIZED VIEW w AS "+minutes, "CREATE MATERIALIZED VIEW",
		"CREATE MATERIALIZED VIEW letters AS SELECT count(*) AS n FROM s_dead_letters", "CREATE MATERIALIZED VIEW",
		"REPLAY DEAD LETTERS FROM s", "REPLAY DEAD LETTERS 0", "REPLAY DEAD LETTERS FROM v", "ERROR 42809", "REPLAY DEAD LETTERS FROM x", "ERROR 42P01")
	topic.put(0, 5, 1)
	topic.putBad(0, "6 2")
	topic.putBad(1, "7 4")
	topic.putBad(1, "what?")
	topic.put(0, 200, 8)
	topic.put(1, 200, 16)
	waitFor(t, s, "SELECT sum(next_offset) FROM streamsql.source_positions", "6")
	script(t, s, "SELECT n, b FROM v", "3|25", "SELECT n FROM letters", "3",
		"REPLAY DEAD LETTERS FROM s", "REPLAY DEAD LETTERS 0", "SELECT n FROM letters", "3",
		"ALTER SOURCE s SET (topic = 'other')", "ERROR 22023", "ALTER SOURCE s SET (nonsense = '1')", "ERROR 22023",
		"ALTER SOURCE s SET (idle_timeout = 'soon')", "ERROR 22023", "ALTER SOURCE v SET (mend = 'true')", "ERROR 42809",
		"ALTER MATERIALIZED VIEW v SET (mend = 'true')", "ERROR 22023",
		"ALTER SOURCE s SET (mend = 'true', idle_timeout = '90 s')", "ALTER SOURCE",
		"SELECT options->>'mend', options->>'idle_timeout' FROM streamsql.sources", "true|90 s",
		// A view made now reads the history, but for what is a dead letter yet.
		"CREATE MATERIALIZED VIEW v2 AS SELECT count(*) AS n, sum(b) AS b FROM s", "CREATE MATERIALIZED VIEW",
		"SELECT n, b FROM v2", "3|25")
	topic.put(0, 201, 32)
	topic.putBad(1, "201 64") // decodes at once
	waitFor(t, s, "SELECT n, b FROM v", "5|121")
	script(t, s, "SELECT n, b FROM v2", "5|121", "SELECT n FROM letters", "3",
		"REPLAY DEAD LETTERS FROM s", "REPLAY DEAD LETTERS 2",
		"SELECT n, b FROM v", "7|127", "SELECT n, b FROM v2", "7|127", "SELECT n FROM letters", "1",
		// They came behind the watermark.
		"SELECT sum(n) FROM w", "5", "SELECT row->>'b' FROM w_late ORDER BY 1", "2\n4",
		`SELECT "partition", "offset", convert_from(bytes, 'UTF8'), reason FROM s_dead_letters`, `1|1|what?|strconv.ParseInt: parsing "what?": invalid syntax`,
		"REPLAY DEAD LETTERS FROM s", "REPLAY DEAD LETTERS 0",
		"CREATE MATERIALIZED VIEW v3 AS SELECT count(*) AS n, sum(b) AS b FROM s", "CREATE MATERIALIZED VIEW",
		"SELECT n, b FROM v3", "7|127",
		"ALTER SOURCE s RESET (mend)", "ALTER SOURCE")
	topic.putBad(0, "202 128")
	waitFor(t, s, "SELECT n FROM letters", "2")
	must(t, s.eng.Close())
	s = session(t, Options{Dir: "data", FS: fs})
	script(t, s, "SELECT n, b FROM v", "7|127", "SELECT n, b FROM v2", "7|127", "SELECT n, b FROM v3", "7|127",
		"ALTER SOURCE s SET (mend = true)", "ALTER SOURCE", "REPLAY DEAD LETTERS FROM s", "REPLAY DEAD LETTERS 1",
		"SELECT n, b FROM v", "8|255", "SELECT n, b FROM v2", "8|255", "SELECT n, b FROM v3", "8|255",
		"REPLAY LATE FROM w", "REPLAY LATE 2", "SELECT sum(n), sum(b) FROM w", "8|255")
	// What is gone from the source stays where it is.
	script(t, s, "ALTER SOURCE s RESET (mend)", "ALTER SOURCE")
	topic.putBad(0, "203 256")
	waitFor(t, s, "SELECT n FROM letters", "2")
	topic.change(func() { topic.expired = 100 })
	script(t, s, "ALTER SOURCE s SET (mend = true)", "ALTER SOURCE", "REPLAY DEAD LETTERS FROM s", "REPLAY DEAD LETTERS 0",
		"SELECT n FROM letters", "2")
}

// TestReplayDeadLettersConserves: records that decode only after the source was
// mended, over crashes at any moment: each is a dead letter or in every view.
func TestReplayDeadLettersConserves(t *testing.T) {
	topic := newFakeTopic(t.Name(), 2)
	fs := vfs.NewStrictMem()
	r := rand.New(rand.NewSource(3))
	n, sum, replayed := 0, int64(0), 0
	for run := range 8 {
		fs.SetIgnoreSyncs(false)
		e, err := Open(bg, Options{Dir: "data", FS: fs, CheckpointInterval: 2 * time.Millisecond, Workers: 1 + run%2})
		must(t, err)
		s, err := e.NewSession("u", "d", nil)
		must(t, err)
		if run == 0 {
			script(t, s, fmt.Sprintf(fakeTimes, t.Name()), "CREATE SOURCE",
				"CREATE MATERIALIZED VIEW v0 AS SELECT count(*) AS n, sum(b) AS b FROM s", "CREATE MATERIALIZED VIEW")
		}
		s2, err := e.NewSession("u", "d", nil)
		must(t, err)
		done := make(chan struct{})
		go func() {
			defer close(done)
			for i, q := range []string{"ALTER SOURCE s SET (mend = true)", fmt.Sprintf("CREATE MATERIALIZED VIEW v%d AS SELECT count(*) AS n, sum(b) AS b FROM s", run),
				"REPLAY DEAD LETTERS FROM s", "ALTER SOURCE s RESET (mend)"} {
				time.Sleep(time.Duration((run+i)%4) * time.Millisecond)
				if a, err := s2.Exec(bg, q); err == nil && i == 2 && a.Tag != "REPLAY DEAD LETTERS 0" {
					replayed++
				}
			}
		}()
		for range 30 {
			for range 10 {
				b := r.Int63n(1000)
				if n++; r.Intn(10) == 0 {
					topic.putBad(int32(r.Intn(2)), fmt.Sprint(n, " ", b))
				} else {
					topic.put(int32(r.Intn(2)), int64(n), b)
				}
				sum += b
			}
			time.Sleep(time.Duration(r.Intn(300)) * time.Microsecond)
		}
		if run%2 == 1 {
			<-done
			waitFor(t, s, "SELECT sum(next_offset) FROM streamsql.source_positions", fmt.Sprint(n))
			for v := range run + 1 {
				if ask(s, fmt.Sprintf("SELECT count(*) FROM pg_matviews WHERE matviewname = 'v%d'", v)) == "1" {
					waitFor(t, s, fmt.Sprintf("SELECT (SELECT n FROM v%d) + (SELECT count(*) FROM s_dead_letters)", v), fmt.Sprint(n))
				}
			}
		}
		if run == 7 {
			ask(s, "ALTER SOURCE s SET (mend = true)")
			ask(s, "REPLAY DEAD LETTERS FROM s")
			script(t, s, "SELECT count(*) FROM s_dead_letters", "0")
			for v := range run + 1 {
				if got := ask(s, fmt.Sprintf("SELECT n, b FROM v%d", v)); got != "ERROR 42P01" && got != fmt.Sprint(n, "|", sum) {
					t.Errorf("v%d: %s, want %d|%d", v, got, n, sum)
				}
			}
		}
		fs.SetIgnoreSyncs(true)
		_ = e.Close()
		<-done
		fs.ResetToSyncedState()
	}
	if replayed < 2 {
		t.Errorf("%d replays: nothing is tested", replayed)
	}
}
