package eventtime

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	_ "github.com/streamsql/streamsql/connector/kafka"
	"github.com/streamsql/streamsql/connector/kafka/broker"
	"github.com/streamsql/streamsql/engine"
	"github.com/streamsql/streamsql/examples"
)

// example is one of the SQL files at a broker of the test's own, with the clock
// held.
type example struct {
	*client
	p     *broker.Producer
	topic string
	sent  int
	now   float64 // s
}

const exampleClock = 1_800_000_000 // s

func startExample(t *testing.T, file, topic string, partitions int) *example {
	t.Helper()
	b, err := broker.Start("127.0.0.1:0", "", broker.Topic{Name: topic, Partitions: partitions})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	p, err := broker.NewProducer(b.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	x := &example{client: connect(t, engine.Options{}), p: p, topic: topic}
	x.exec(`SET streamsql.clock = 'manual'`)
	x.clock(exampleClock)
	x.exec(strings.ReplaceAll(file, "localhost:9092", b.Addr()))
	return x
}

func (x *example) clock(s float64) {
	x.now = s
	x.exec(fmt.Sprintf(`ADVANCE CLOCK TO to_timestamp(%f)`, s))
}

// send puts a record and remembers that it has to arrive.
func (x *example) send(partition int32, record string) {
	x.p.Send(x.topic, partition, nil, []byte(record))
	x.sent++
}

// arrive waits until the views have what was sent.
func (x *example) arrive() {
	x.t.Helper()
	if err := x.p.Flush(context.Background()); err != nil {
		x.t.Fatal(err)
	}
	x.until(`SELECT sum(next_offset) FROM streamsql.source_positions`, fmt.Sprint(x.sent))
}

// TestWindowsExample: the guide's three windows.
func TestWindowsExample(t *testing.T) {
	x := startExample(t, examples.Windows, "readings", 4)
	r := rand.New(rand.NewPCG(1, 2))
	in := &input{missed: map[int64]int{}}
	t0 := int64(1_700_000_000)
	for i := range int64(4000) {
		// A reading every 250 ms, up to eight seconds out of order.
		ts := t0*second + i*second/4 - r.Int64N(8)*second
		value := r.Int64N(1000)
		in.events = append(in.events, event{id: i, kind: "bid", ts: ts, price: value})
		x.send(int32(i%4), fmt.Sprintf(`{"sensor":"s%d","value":%d,"timestamp":%d.%06d}`, i%5, value, ts/second, ts%second))
		if i%500 == 499 {
			x.arrive()
		}
	}
	for _, v := range []struct {
		name        string
		size, slide int64
	}{{"one_minute", 60, 60}, {"five_minute", 300, 300}, {"sliding", 60, 30}} {
		if n := x.exec(`SELECT count(*) FROM ` + v.name + `_late`); n[0] != "0" {
			t.Errorf("%s: %s rows late, none was", v.name, n[0])
		}
		got := x.exec(`SELECT window_start::timestamp, window_end::timestamp, count, sum, min, max FROM ` + v.name)
		if d := differ(got, plainStats(v.size*second, v.slide*second)(in)); d != "" {
			t.Errorf("%s: %s", v.name, d)
		}
	}
	early := x.exec(`SELECT * FROM one_minute ORDER BY 1`)
	final := x.exec(`SELECT * FROM one_minute_final ORDER BY 1`)
	if len(final) == 0 || len(final) >= len(early) || differ(final, early[:len(final)]) != "" {
		t.Errorf("closed while input goes on: %q of %q", final, early)
	}
	// Input stops: the last windows close when event time goes on with the clock.
	x.untilMoving(`SELECT count(*) FROM one_minute_final`, fmt.Sprint(len(early)))
	if d := differ(x.exec(`SELECT * FROM one_minute_final`), early); d != "" {
		t.Errorf("one_minute_final: %s", d)
	}
	// A reading that is too late is kept, and the final windows stay as they are.
	x.send(0, fmt.Sprintf(`{"sensor":"s","value":1,"timestamp":%d}`, t0))
	x.arrive()
	if got := x.exec(`SELECT row->>'sensor', windows FROM one_minute_late`); !slices.Equal(got, []string{"s 1"}) {
		t.Errorf("one_minute_late: %q", got)
	}
	if d := differ(x.exec(`SELECT * FROM one_minute_final`), early); d != "" {
		t.Errorf("one_minute_final after a late row: %s", d)
	}
}

// untilMoving waits for a query's answer while the clock goes on, a second at a time.
func (x *example) untilMoving(sql, want string) {
	x.t.Helper()
	// The clock is held, but the broker says in its own time that there is no more.
	for range 3600 {
		if x.exec(`SELECT bool_and(idle) FROM streamsql.watermarks WHERE kind = 'partition'`)[0] == "t" {
			break
		}
		x.clock(x.now + 1)
		time.Sleep(20 * time.Millisecond)
	}
	got := ""
	for range 3600 {
		x.clock(x.now + 1)
		if got = strings.Join(x.exec(sql), "\n"); got == want {
			return
		}
	}
	x.t.Fatalf("%s\nanswers %s, want %s\n%s", sql, got, want, strings.Join(x.exec(`SELECT * FROM streamsql.watermarks WHERE kind <> 'operator'`), "\n"))
}

// TestSessionsExample: sessions start, go on and end, on time although input stops.
func TestSessionsExample(t *testing.T) {
	x := startExample(t, examples.Sessions, "user-events", 2)
	t0 := int64(1_700_000_000)
	minute := int64(60)
	send := func(user string, at int64) {
		part := int32(0)
		if user == "b" {
			part = 1
		}
		x.send(part, fmt.Sprintf(`{"user_id":%q,"event_type":"view","timestamp":%d}`, user, at))
	}
	// Of a: one session with exactly 30 minutes of silence in it, and another one
	// after 30 minutes and a second. Of b: one that is still on.
	send("a", t0)
	send("a", t0+30*minute)
	send("a", t0+60*minute+1)
	send("b", t0+59*minute)
	send("b", t0+60*minute+5)
	x.arrive()
	a1, a2 := fmt.Sprintf("session_%d000", t0), fmt.Sprintf("session_%d000", t0+60*minute+1)
	b1 := fmt.Sprintf("session_%d000", t0+59*minute)
	log := func() []string {
		return x.exec(fmt.Sprintf(`SELECT extract(epoch FROM at)::bigint - %d, user_id, session_id, what FROM session_log ORDER BY at, user_id, what`, t0))
	}
	want := []string{
		"0 a " + a1 + " session started", "1800 a " + a1 + " activity", "3540 b " + b1 + " session started",
		"3601 a " + a2 + " session started", "3605 b " + b1 + " activity",
	}
	if got := log(); !slices.Equal(got, want) {
		t.Errorf("the log: %q\nwant %q", got, want)
	}
	if got, want := x.exec(`SELECT user_id, session_id, events FROM sessions ORDER BY 1, 2`), []string{"a " + a1 + " 2", "a " + a2 + " 1", "b " + b1 + " 2"}; !slices.Equal(got, want) {
		t.Errorf("sessions: %q, want %q", got, want)
	}
	// Input stops. Half an hour later (and the delay of the watermark) all have ended.
	x.untilMoving(`SELECT count(*) FROM sessions_ended`, "1")
	if got := x.exec(`SELECT session_id FROM sessions_ended`); got[0] != a1 {
		t.Errorf("%s ended first, want %s", got[0], a1)
	}
	x.untilMoving(`SELECT count(*) FROM sessions_ended`, "3")
	want = append(want[:3:3], "3600 a "+a1+" session ended", want[3], want[4],
		"5401 a "+a2+" session ended", "5405 b "+b1+" session ended")
	if got := log(); !slices.Equal(got, want) {
		t.Errorf("the log at the end: %q\nwant %q", got, want)
	}
	// They ended on time: the clock is not hours further than half an hour.
	if got := x.exec(fmt.Sprintf(`SELECT now() < to_timestamp(%d)`, exampleClock+35*60)); got[0] != "t" {
		t.Errorf("the sessions ended late: %s", x.exec(`SELECT now()`))
	}
}

// TestWatermarksExample: the watermark follows the delays that were seen.
func TestWatermarksExample(t *testing.T) {
	x := startExample(t, examples.Watermarks, "telemetry", 1)
	t0 := int64(1_700_000_000)
	delays := []int64{}
	high, mark := int64(0), int64(0)
	for i := range int64(600) {
		ts := t0 + i
		if i >= 200 && i%2 == 1 {
			ts -= 150 // every other row is two and a half minutes behind
		}
		x.send(0, fmt.Sprintf(`{"device":"d%d","value":1,"timestamp":%d}`, i%3, ts))
		delay := int64(0)
		if high > 0 {
			delay = max(high-ts, 0)
		}
		high = max(high, ts)
		delays = append(delays, delay)
		last := delays[max(0, len(delays)-100):]
		sum := int64(0)
		for _, d := range last {
			sum += d
		}
		lag := max(int64(float64(sum)/float64(len(last))*1.5*1e6), 60*second)
		mark = max(mark, high*second-lag)
		if i%20 == 19 {
			x.arrive()
		}
	}
	x.arrive()
	x.until(`SELECT extract(epoch FROM max(watermark))::bigint FROM streamsql.source_positions`, fmt.Sprint(mark/second))
	n := x.exec(`SELECT count(*) FROM per_device`)
	late := x.exec(`SELECT sum(rows) FROM too_late`)
	if n[0] == "0" || late[0] == "NULL" || late[0] == "0" {
		t.Errorf("%s windows, %s late rows", n[0], late[0])
	}
	// Each row is in a window that was or will be closed, or in the late relation.
	x.untilMoving(fmt.Sprintf(`SELECT coalesce((SELECT sum(count) FROM per_device), 0) + (SELECT count(*) FROM per_device_late) = %d`, x.sent), "t")
}
