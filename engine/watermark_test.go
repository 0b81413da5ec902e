package engine

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/vfs"

	"github.com/streamsql/streamsql/sql/catalog"
	"github.com/streamsql/streamsql/sql/delta"
	"github.com/streamsql/streamsql/sql/types"
)

// TestTableWatermarkReplay: after a crash the log brings the watermark of a table
// back, and decides about late rows step by step, as it was.
func TestTableWatermarkReplay(t *testing.T) {
	fs := vfs.NewStrictMem()
	o := Options{Dir: "data", FS: fs, CheckpointInterval: time.Hour}
	e, err := Open(bg, o)
	must(t, err)
	s := another(t, e)
	script(t, s,
		"CREATE TABLE t (k int, ts timestamptz, WATERMARK FOR ts AS ts - INTERVAL '10 seconds')", "CREATE TABLE",
		"CREATE MATERIALIZED VIEW v AS SELECT window_start, count(*) AS n FROM TUMBLE(t, ts, INTERVAL '1 minute') GROUP BY window_start, window_end", "CREATE MATERIALIZED VIEW",
		"INSERT INTO t VALUES (1, to_timestamp(20))", "INSERT 0 1",
		"CHECKPOINT", "CHECKPOINT",
		"INSERT INTO t VALUES (2, to_timestamp(75))", "INSERT 0 1",
		"INSERT INTO t VALUES (3, to_timestamp(30))", "INSERT 0 1", // late
		"INSERT INTO t VALUES (4, to_timestamp(90))", "INSERT 0 1")
	const state = "SELECT (SELECT watermark FROM streamsql.jobs), (SELECT string_agg(n::text, ' ' ORDER BY window_start) FROM v), (SELECT sum(weight) FROM v_late)"
	const want = "1970-01-01 00:01:20+00|1 2|1"
	expect(t, ask(s, state), want)
	for range 2 { // the second time without a log
		fs.SetIgnoreSyncs(true)
		_ = e.Close()
		fs.ResetToSyncedState()
		fs.SetIgnoreSyncs(false)
		e, err = Open(bg, o)
		must(t, err)
		s = another(t, e)
		expect(t, ask(s, state), want)
		script(t, s, "CHECKPOINT", "CHECKPOINT")
	}
	script(t, s, "INSERT INTO t VALUES (5, to_timestamp(79))", "INSERT 0 1")
	expect(t, ask(s, state), fmt.Sprintf("%s|1 3|1", "1970-01-01 00:01:20+00"))
	must(t, e.Close())
}

// TestMarker compares the strategies with plain ones, row by row, with rows in
// batches of any size and over checkpoints.
func TestMarker(t *testing.T) {
	for _, w := range []*catalog.Watermark{
		{Delay: 50},
		{Ascending: true},
		{Adaptive: &catalog.Adaptive{Factor: 1.5, N: 1, Min: 3}},
		{Adaptive: &catalog.Adaptive{Factor: 1.5, N: 100, Min: 60}},
		{Adaptive: &catalog.Adaptive{Factor: 0.5, N: maxDelays, Min: 0}},
	} {
		r := rand.New(rand.NewSource(3))
		m := newMarker(w)
		greatest, mark := int64(-1<<63), int64(-1<<63)
		var delays []int64
		at := int64(1000)
		for range 300 {
			v := delta.NewVec(types.Of(types.Timestamptz), 8)
			for range r.Intn(20) {
				at += int64(r.Intn(10))
				x := at - int64(r.Intn(80))
				v.AppendInt(x)
				greatest = max(greatest, x)
				delays = append(delays, greatest-x)
				switch {
				case w.Ascending:
					mark = greatest + 1
				case w.Adaptive == nil:
					mark = greatest - w.Delay
				default:
					last := delays[max(0, len(delays)-w.Adaptive.N):]
					sum := int64(0)
					for _, d := range last {
						sum += d
					}
					lag := int64(math.Ceil(float64(sum) / float64(len(last)) * w.Adaptive.Factor))
					mark = max(mark, greatest-max(lag, w.Adaptive.Min))
				}
			}
			m.observe(w, v, nil)
			if m.mark != mark || m.max != greatest {
				t.Fatalf("%+v: %d of %d, not %d of %d", w, m.mark, m.max, mark, greatest)
			}
			b, err := json.Marshal(m.meta())
			must(t, err)
			var x markerMeta
			must(t, json.Unmarshal(b, &x))
			m = newMarker(w)
			m.restore(&x)
		}
	}
}

// TestMarkerEdges: times at the ends of the type and many rows neither overflow
// nor take much memory.
func TestMarkerEdges(t *testing.T) {
	w := &catalog.Watermark{Adaptive: &catalog.Adaptive{Factor: 1e300, N: 1_000_000, Min: 1}}
	m := newMarker(w)
	if len(m.delays.Sums) > maxDelays {
		t.Fatal(len(m.delays.Sums))
	}
	v := delta.NewVec(types.Of(types.Timestamptz), 8)
	for _, x := range []int64{math.MaxInt64 - 1, math.MinInt64 + 1, math.MaxInt64, math.MinInt64, 0} {
		v.AppendInt(x)
	}
	for range 3000 {
		m.observe(w, v, nil)
	}
	if m.max != math.MaxInt64-1 || m.delays.sum < 0 || m.mark > m.max {
		t.Fatal(m.max, m.mark, m.delays.sum)
	}
	if got := minus(math.MinInt64+5, 10); got != math.MinInt64+1 {
		t.Fatal(got)
	}
	if got := minus(math.MaxInt64-1, -10); got != math.MaxInt64-1 {
		t.Fatal(got)
	}
}

// TestHeldClockOverCrash: a held clock does not go back, and what was written by
// it stays as it was, when the last checkpoint is older.
func TestHeldClockOverCrash(t *testing.T) {
	fs := vfs.NewStrictMem()
	o := Options{Dir: "data", FS: fs, CheckpointInterval: time.Hour}
	e, err := Open(bg, o)
	must(t, err)
	s := another(t, e)
	script(t, s, "SET streamsql.clock = 'manual'", "SET", "ADVANCE CLOCK TO '2100-01-01'", "ADVANCE CLOCK",
		"CREATE TABLE t (k int, at timestamptz DEFAULT now(), WATERMARK FOR at AS at)", "CREATE TABLE",
		"CHECKPOINT", "CHECKPOINT", "ADVANCE CLOCK TO '2100-01-02'", "ADVANCE CLOCK", "INSERT INTO t VALUES (1)", "INSERT 0 1")
	fs.SetIgnoreSyncs(true)
	_ = e.Close()
	fs.ResetToSyncedState()
	fs.SetIgnoreSyncs(false)
	script(t, session(t, o), "SELECT at, at = now() FROM t", "2100-01-02 00:00:00+00|t",
		"SELECT watermark FROM streamsql.watermarks WHERE kind = 'table'", "2100-01-02 00:00:00.000001+00",
		"ADVANCE CLOCK TO '2100-01-01 12:00'", "ERROR 22023")
}
