package engine

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/vfs"
)

// TestReplayAtEachCall loses every unsynced byte after a call of the engine that
// reaches the file system, for every one of them, while late rows and dead letters
// are replayed: each row is in one place alone, for the view and for those who
// read it, and what was acknowledged has happened.
func TestReplayAtEachCall(t *testing.T) {
	stride := int64(3)
	if testing.Short() {
		stride = 20
	}
	for n := int64(1); ; n += stride {
		name := fmt.Sprint(t.Name(), n)
		topic := newFakeTopic(name, 1)
		for i, at := range []int64{5, 65, 140, 7, 8, 66, 141} {
			topic.put(0, at, 1<<i)
		}
		topic.putBad(0, "142 1000")
		topic.putBad(0, "9 10000")
		mem := vfs.NewStrictMem()
		var calls atomic.Int64
		fs := &callFS{FS: mem, after: func() {
			if calls.Add(1) == n {
				mem.SetIgnoreSyncs(true)
			}
		}}
		opts := Options{Dir: "data", FS: fs, Workers: 1 + int(n%2), CheckpointInterval: time.Hour}
		s := another(t, open(t, opts))
		steps := []string{
			"CREATE TABLE t (k int, ts timestamptz, WATERMARK FOR ts AS ts)",
			"CREATE MATERIALIZED VIEW tv AS SELECT window_end, count(*) AS n FROM TUMBLE(t, ts, INTERVAL '1 minute') GROUP BY window_start, window_end",
			"CREATE MATERIALIZED VIEW total AS SELECT sum(n) AS n FROM tv",
			"INSERT INTO t VALUES (1, to_timestamp(1)), (2, to_timestamp(200))",
			"INSERT INTO t VALUES (3, to_timestamp(2)), (4, to_timestamp(3)), (5, to_timestamp(201))",
			fmt.Sprintf(fakeTimes, name),
			"CREATE MATERIALIZED VIEW v AS SELECT count(*) AS n, sum(b) AS b FROM s",
			"REPLAY LATE FROM tv",
			"INSERT INTO t VALUES (6, to_timestamp(4))",
			"ALTER SOURCE s SET (mend = 'true')",
			"REPLAY DEAD LETTERS FROM s",
			"REPLAY LATE FROM tv",
		}
		acked := 0
		for _, q := range steps {
			if got := ask(s, q); strings.HasPrefix(got, "ERROR") {
				t.Fatalf("%s: %s", q, got)
			}
			if calls.Load() >= n {
				break
			}
			if acked++; acked == 7 {
				waitFor(t, s, "SELECT n FROM v", "7")
				waitFor(t, s, "SELECT count(*) FROM s_dead_letters", "2")
			}
		}
		must(t, s.eng.Close())
		crashed := calls.Load() >= n
		mem.ResetToSyncedState()
		mem.SetIgnoreSyncs(false)
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			opts.FS = mem
			s := another(t, open(t, opts))
			if acked >= 4 {
				rows := map[int]string{4: "2", 5: "5", 9: "6"}
				if want := rows[acked]; want != "" && ask(s, "SELECT count(*) FROM t") < want {
					t.Errorf("after %d statements: %s rows", acked, ask(s, "SELECT count(*) FROM t"))
				}
				script(t, s, "SELECT (SELECT sum(n) FROM tv) + (SELECT coalesce(sum(weight), 0) FROM tv_late) - (SELECT count(*) FROM t)", "0",
					"SELECT (SELECT sum(n) FROM tv) - (SELECT n FROM total)", "0")
			}
			if acked >= 7 {
				waitFor(t, s, "SELECT (SELECT n FROM v) + (SELECT count(*) FROM s_dead_letters)", "9")
				got := ask(s, "SELECT n, b FROM v")
				if got != "7|127" && got != "9|11127" {
					t.Errorf("v: %s", got)
				}
				if acked >= 11 && got != "9|11127" {
					t.Errorf("after a replay that was acknowledged v is %s", got)
				}
			}
			late := ask(s, "SELECT count(*) FROM tv_late")
			if acked == 8 && late == "2" || acked == 12 && late != "0" {
				t.Errorf("after a replay that was acknowledged %s rows are late", late)
			}
			if acked >= 5 {
				ask(s, "REPLAY LATE FROM tv")
				script(t, s, "SELECT count(*) FROM tv_late", "0", "SELECT (SELECT n FROM total) - (SELECT count(*) FROM t)", "0")
			}
			must(t, s.eng.Close())
		})
		if !crashed || t.Failed() {
			break
		}
	}
}
