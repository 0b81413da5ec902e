package engine

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"
)

// why is the part of EXPLAIN WATERMARK above the path.
func why(s *Session, name string) string {
	text := ask(s, "EXPLAIN WATERMARK "+name)
	head, _, _ := strings.Cut(text, "\nPath:")
	return head
}

// waitWhy waits until the reasons match.
func waitWhy(t *testing.T, s *Session, name, want string) {
	t.Helper()
	re := regexp.MustCompile(want)
	got := ""
	for range 3000 {
		if got = why(s, name); re.MatchString(got) {
			return
		}
		time.Sleep(time.Millisecond)
	}
	t.Errorf("EXPLAIN WATERMARK %s\ngot  %s\nwant %s", name, got, want)
}

// TestWhyEmptyPartition: a partition that has never had a record holds the
// watermark back until it is idle, and is named.
func TestWhyEmptyPartition(t *testing.T) {
	topic := newFakeTopic(t.Name(), 2)
	s := heldSource(t, Options{}, "")
	waitWhy(t, s, "v", `(?s)^Materialized View v  no watermark yet, RUNNING, 0 rows.*source s has had no row yet`)
	topic.put(0, 100, 1)
	waitFor(t, s, "SELECT n FROM v", "1")
	quietSource(t, s, 2)
	waitWhy(t, s, "v", `source s is held back by partition 1, which has had no row since it is read, 2100-01-01 12:00:00\+00; it is idle at 2100-01-01 12:01:00\+00 \(idle_timeout 00:01:00\) if nothing comes`)
	script(t, s,
		"SELECT watermark, held_by, idle FROM streamsql.watermarks WHERE kind = 'source'", "NULL|partition 1|f",
		"SELECT partition, watermark, greatest_time, idle FROM streamsql.watermarks WHERE kind = 'partition' ORDER BY 1",
		"0|1970-01-01 00:01:30+00|1970-01-01 00:01:40+00|f\n1|NULL|NULL|f",
		"SELECT held_by FROM streamsql.watermarks WHERE kind = 'materialized view'", "source s, partition 1",
		"SELECT closes_at, away, groups FROM streamsql.windows_open", "1970-01-01 00:02:00+00|NULL|1")
	advance(t, s, 65)
	waitWhy(t, s, "v", `all partitions of source s are idle since 2100-01-01 12:01:00\+00: its watermark moves on by the time that passes`)
	script(t, s, "SELECT watermark, idle FROM streamsql.watermarks WHERE kind = 'source'", "1970-01-01 00:01:35+00|t",
		"SELECT closes_at, away, groups FROM streamsql.windows_open", "1970-01-01 00:02:00+00|00:00:25|1")
	advance(t, s, 91)
	script(t, s, "SELECT count(*) FROM streamsql.windows_open", "0")
}

// TestWhySlowPartition: the partition that stands is named, with the time since
// when, and so is what waits for it.
func TestWhySlowPartition(t *testing.T) {
	topic := newFakeTopic(t.Name(), 3)
	s := heldSource(t, Options{}, ", max_drift = '1000 s'")
	for p := range int32(3) {
		topic.put(p, 100, 1)
	}
	waitFor(t, s, sourceWatermark, "1970-01-01 00:01:30+00")
	advance(t, s, 10)
	topic.put(0, 200, 1)
	topic.put(2, 200, 1)
	waitFor(t, s, "SELECT sum(n) FROM v", "5")
	waitWhy(t, s, "v", `source s is held back by partition 1, whose watermark stands at 1970-01-01 00:01:30\+00 since 2100-01-01 12:00:00\+00`)
	topic.put(0, 2000, 1)
	waitHeld(t, s, "s", 0, true)
	waitWhy(t, s, "v", `partition 0 of source s waits for slower ones since 2100-01-01 12:00:10\+00 \(max_drift 00:16:40\)`)
	waitWhy(t, s, "s", `^Source s  watermark 1970-01-01 00:01:30\+00`)
	script(t, s, "SELECT held, since FROM streamsql.watermarks WHERE kind = 'partition' AND partition = 0", "t|2100-01-01 12:00:10+00")
	if got := ask(s, "EXPLAIN WATERMARK v"); !strings.Contains(got, "partition 1  watermark 1970-01-01 00:01:30+00, greatest time 1970-01-01 00:01:40+00, next offset 1, since 2100-01-01 12:00:00+00") {
		t.Error(got)
	}
}

// TestWhyTrouble: what keeps a source from being read is said, also through a view.
func TestWhyTrouble(t *testing.T) {
	topic := newFakeTopic(t.Name(), 1)
	s := heldSource(t, Options{}, "")
	script(t, s, "CREATE MATERIALIZED VIEW w AS SELECT sum(n) AS n FROM v WHERE n > 100", "CREATE MATERIALIZED VIEW")
	topic.outage(true)
	waitWhy(t, s, "w", `source s cannot be read: the broker is away`)
	script(t, s, "SELECT trouble FROM streamsql.watermarks WHERE kind = 'source'", "the broker is away")
	topic.outage(false)
	topic.put(0, 100, 1)
	topic.putBad(0, "{")
	waitFor(t, s, "SELECT n FROM v", "1")
	waitWhy(t, s, "w", `(?s)source s has 1 record that did not decode: s_dead_letters.*the condition at #\d+ lets none of its 1 row through`)
	script(t, s, "ALTER MATERIALIZED VIEW v PAUSE", "ALTER MATERIALIZED VIEW")
	waitWhy(t, s, "w", `view w is STALE`)
	waitWhy(t, s, "v", `(?s)view v is PAUSED.*source s is not read`)
	script(t, s, "ALTER MATERIALIZED VIEW v RESUME", "ALTER MATERIALIZED VIEW")
	topic.change(func() { topic.err = fmt.Errorf("no such luck") })
	waitWhy(t, s, "v", `view v has FAILED: no such luck`)
}

// TestIdleRunningClock: with the clock of the system an idle source's windows
// close by themselves.
func TestIdleRunningClock(t *testing.T) {
	topic := newFakeTopic(t.Name(), 1)
	s := session(t, Options{})
	script(t, s, fmt.Sprintf(`CREATE SOURCE s (a bigint, b bigint, ts timestamptz AS to_timestamp(a), WATERMARK FOR ts AS ts)
		WITH (connector = 'fake', topic = '%s', idle_timeout = '30 ms')`, t.Name()), "CREATE SOURCE",
		"CREATE MATERIALIZED VIEW v AS SELECT window_end, count(*) AS n FROM TUMBLE(s, ts, INTERVAL '100 ms') GROUP BY window_start, window_end EMIT ON WINDOW CLOSE", "CREATE MATERIALIZED VIEW")
	topic.put(0, 100, 1)
	waitFor(t, s, "SELECT window_end, n FROM v", "1970-01-01 00:01:40.1+00|1")
}
