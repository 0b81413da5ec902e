package engine

import (
	"testing"
	"time"
)

// waitHeld waits until the engine holds a partition, or lets it go.
func waitHeld(t *testing.T, s *Session, source string, part int32, want bool) {
	t.Helper()
	for range 3000 {
		held := !want
		must(t, s.eng.do(bg, func() {
			for _, src := range s.eng.sources {
				if x := src.parts[part]; x != nil && src.obj.Name == source {
					held = x.held
				}
			}
		}))
		if held == want {
			return
		}
		time.Sleep(time.Millisecond)
	}
	t.Fatalf("partition %d of %s: held is not %v", part, source, want)
}

// TestMaxDrift: a partition is not read further ahead of the slowest than that,
// and goes on when the slowest does or is idle.
func TestMaxDrift(t *testing.T) {
	topic := newFakeTopic(t.Name(), 2)
	s := heldSource(t, Options{}, ", max_drift = '100 s'")
	rows := "SELECT sum(n) FROM v"
	topic.put(0, 0, 1)
	waitFor(t, s, rows, "1") // it is the slowest
	topic.put(0, 1, 1)
	waitHeld(t, s, "s", 0, true) // partition 1 has nothing yet
	topic.put(1, 10, 1)
	waitFor(t, s, rows, "3")
	topic.put(0, 110, 1)
	waitFor(t, s, rows, "4")
	topic.put(0, 111, 1)
	topic.put(0, 5, 1) // behind it: it waits too
	waitHeld(t, s, "s", 0, true)
	quietSource(t, s, 1)
	script(t, s, rows, "4")
	topic.put(1, 11, 1)
	waitFor(t, s, rows, "7")
	waitHeld(t, s, "s", 0, false)
	// The slowest steps aside; the other never was idle meanwhile.
	topic.put(0, 1000, 1)
	waitHeld(t, s, "s", 0, true)
	quietSource(t, s, 1)
	advance(t, s, 59)
	script(t, s, rows, "7", sourceWatermark, "1970-01-01 00:00:01+00")
	advance(t, s, 60)
	waitFor(t, s, rows, "8")
	waitFor(t, s, sourceWatermark, "1970-01-01 00:16:30+00")
	// The slowest may jump as far as it likes.
	topic.put(1, 5000, 1)
	waitFor(t, s, rows, "9")
	topic.put(0, 4950, 1)
	waitFor(t, s, rows, "10")
	script(t, s, "SELECT count(*) FROM v_late", "0")
}

// groupSession has the sources fast and slow, a minute apart at most, and the view
// v of both.
func groupSession(t *testing.T) *Session {
	t.Helper()
	s := session(t, Options{})
	script(t, s, "SET streamsql.clock = 'manual'", "SET")
	for _, n := range []string{"fast", "slow"} {
		script(t, s, "CREATE SOURCE "+n+" (a bigint, b bigint, ts timestamptz AS to_timestamp(a), WATERMARK FOR ts AS ts) WITH (connector = 'fake', topic = '"+
			t.Name()+n+"', max_drift = '1 minute', watermark_group = 'g')", "CREATE SOURCE")
	}
	script(t, s, "CREATE MATERIALIZED VIEW v AS SELECT a FROM fast UNION ALL SELECT a FROM slow", "CREATE MATERIALIZED VIEW")
	return s
}

// TestWatermarkGroup: sources of one group stay together.
func TestWatermarkGroup(t *testing.T) {
	fast, slow := newFakeTopic(t.Name()+"fast", 1), newFakeTopic(t.Name()+"slow", 1)
	s := groupSession(t)
	rows := "SELECT count(*) FROM v"
	slow.put(0, 1, 1)
	waitFor(t, s, rows, "1")
	fast.put(0, 61, 1)
	waitFor(t, s, rows, "2")
	fast.put(0, 62, 1)
	waitHeld(t, s, "fast", 0, true)
	script(t, s, rows, "2")
	slow.put(0, 500, 1)
	waitHeld(t, s, "slow", 0, false)
	waitFor(t, s, rows, "4")
	slow.put(0, 501, 1)
	waitHeld(t, s, "slow", 0, true)
	fast.put(0, 490, 1)
	waitFor(t, s, rows, "6")
	// One that has ended, or that nobody reads any more, holds nothing up.
	fast.put(0, 505, 1)
	waitFor(t, s, rows, "7")
	fast.put(0, 600, 1)
	waitHeld(t, s, "fast", 0, true)
	slow.change(func() { slow.ended = true })
	waitFor(t, s, rows, "8")
	waitHeld(t, s, "fast", 0, false)
}

// TestGroupMemberGoes: what waited for a source goes on when nobody reads that any
// more.
func TestGroupMemberGoes(t *testing.T) {
	fast := newFakeTopic(t.Name()+"fast", 1)
	slow := newFakeTopic(t.Name()+"slow", 1)
	s := session(t, Options{})
	script(t, s, "SET streamsql.clock = 'manual'", "SET")
	for _, n := range []string{"fast", "slow"} {
		script(t, s, "CREATE SOURCE "+n+" (a bigint, b bigint, ts timestamptz AS to_timestamp(a), WATERMARK FOR ts AS ts) WITH (connector = 'fake', topic = '"+
			t.Name()+n+"', max_drift = '1 minute', watermark_group = 'g')", "CREATE SOURCE")
		script(t, s, "CREATE MATERIALIZED VIEW v"+n+" AS SELECT a FROM "+n, "CREATE MATERIALIZED VIEW")
	}
	slow.put(0, 1, 1)
	waitFor(t, s, "SELECT count(*) FROM vslow", "1")
	fast.put(0, 50, 1)
	waitFor(t, s, "SELECT count(*) FROM vfast", "1")
	fast.put(0, 100, 1)
	waitHeld(t, s, "fast", 0, true)
	script(t, s, "ALTER MATERIALIZED VIEW vslow PAUSE", "ALTER MATERIALIZED VIEW")
	waitFor(t, s, "SELECT count(*) FROM vfast", "2")
}

// TestHeldReaderGoesOn: a queue full of what must wait does not keep the reader
// from what it waits for.
func TestHeldReaderGoesOn(t *testing.T) {
	topic := newFakeTopic(t.Name(), 2)
	s := heldSource(t, Options{}, ", max_drift = '100 s'")
	topic.put(1, 1, 1)
	topic.put(0, 2, 1)
	waitFor(t, s, "SELECT sum(n) FROM v", "2")
	must(t, s.eng.do(bg, func() {
		for _, src := range s.eng.sources {
			src.feed.mu.Lock()
			src.feed.max = 1 // any row fills it
			src.feed.mu.Unlock()
		}
	}))
	topic.put(0, 1000, 1)
	waitHeld(t, s, "s", 0, true)
	topic.put(1, 950, 1)
	waitFor(t, s, "SELECT sum(n) FROM v", "4")
}

// TestDriftPieces: the slowest partition, too, goes on a piece of max_drift at a
// time; nothing of what was fetched is lost or comes twice.
func TestDriftPieces(t *testing.T) {
	topic := newFakeTopic(t.Name(), 2)
	topic.change(func() {
		for i := range int64(2000) {
			topic.parts[0] = append(topic.parts[0], fakeRecord{vals: []int64{i, 1}})
			if i%50 == 0 {
				topic.parts[0] = append(topic.parts[0], fakeRecord{bad: "no record"})
			}
		}
		topic.parts[1] = []fakeRecord{{vals: []int64{0, 1}}, {vals: []int64{300, 1}}}
	})
	s := heldSource(t, Options{}, ", max_drift = '80 s'")
	waitHeld(t, s, "s", 0, true)
	// Partition 1 stands at 300: the other one is no further than 380.
	waitFor(t, s, "SELECT max(partition_watermark) FROM streamsql.source_positions WHERE partition = 1", "1970-01-01 00:04:50+00")
	waitFor(t, s, "SELECT partition_watermark > '1970-01-01 00:05:30+00' AND partition_watermark <= '1970-01-01 00:06:10+00' FROM streamsql.source_positions WHERE partition = 0", "t")
	topic.put(1, 5000, 1)
	waitFor(t, s, "SELECT sum(n) FROM v", "2003")
	waitFor(t, s, "SELECT count(*) FROM s_dead_letters", "40")
	script(t, s, "SELECT count(*) FROM v_late", "0", "SELECT next_offset FROM streamsql.source_positions WHERE partition = 0", "2040")
}

// TestGroupStart: sources of a group keep together from their first records on,
// whichever of them is heard of first.
func TestGroupStart(t *testing.T) {
	fast, slow := newFakeTopic(t.Name()+"fast", 1), newFakeTopic(t.Name()+"slow", 1)
	for i := range int64(1000) {
		fast.put(0, i, 1)
	}
	slow.put(0, 0, 1)
	slow.put(0, 100, 1)
	s := groupSession(t)
	waitHeld(t, s, "fast", 0, true)
	waitFor(t, s, "SELECT max(a) BETWEEN 150 AND 160 FROM v", "t")
	slow.put(0, 5000, 1)
	waitFor(t, s, "SELECT count(*) FROM v", "1003")
}
