package baddays

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/streamsql/streamsql/connector/kafka/broker"
	"github.com/streamsql/streamsql/engine"
)

// TestPausedTopic: a topic of which one partition has stopped. The view says who
// holds it back; the time in which the broker is away does not count as idle; then
// its open windows close, and nothing is late.
func TestPausedTopic(t *testing.T) {
	dir := t.TempDir()
	b, err := broker.Start("127.0.0.1:0", dir, broker.Topic{Name: "t", Partitions: 2})
	if err != nil {
		t.Fatal(err)
	}
	w := start(t, engine.Options{})
	w.exec("SET streamsql.clock = 'manual'")
	w.exec("ADVANCE CLOCK TO '2100-01-01 00:00:00+00'")
	w.exec(fmt.Sprintf(`CREATE SOURCE src (at TIMESTAMPTZ, WATERMARK FOR at AS at - INTERVAL '10 seconds')
		WITH (connector = 'kafka', topic = 't', properties.bootstrap.server = '%s', idle_timeout = '60 s') FORMAT PLAIN ENCODE JSON`, b.Addr()))
	w.exec(`CREATE MATERIALIZED VIEW v AS SELECT window_end, count(*) AS n FROM TUMBLE(src, at, INTERVAL '1 minute')
		GROUP BY window_start, window_end EMIT ON WINDOW CLOSE`)
	sendTo := func(addr string, part int, times ...string) {
		p, err := broker.NewProducer(addr)
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		for _, at := range times {
			p.Send("t", int32(part), nil, []byte(`{"at":"2024-01-01 `+at+`+00"}`))
		}
		if err := p.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	sendTo(b.Addr(), 0, "00:00:10", "00:01:05")
	w.eventually("SELECT greatest_time::text FROM streamsql.watermarks WHERE kind = 'partition' ORDER BY partition", "2024-01-01 00:01:05+00\nNULL\n")
	says := func(want string) {
		t.Helper()
		got := ""
		for range 200 {
			if got = w.rows("EXPLAIN WATERMARK v"); strings.Contains(got, want) {
				return
			}
			time.Sleep(5 * time.Millisecond)
		}
		t.Fatalf("EXPLAIN WATERMARK\n%s\ndoes not say %s", got, want)
	}
	says("source src is held back by partition 1, which has had no row since it is read, 2100-01-01 00:00:00+00")
	sendTo(b.Addr(), 1, "00:00:20")
	w.eventually("SELECT watermark::text FROM streamsql.watermarks WHERE kind = 'source'", "2024-01-01 00:00:10+00\n")
	says("source src is held back by partition 1, whose watermark stands at 2024-01-01 00:00:10+00 since 2100-01-01 00:00:00+00")
	says("2 groups wait in")

	b.Close()
	w.eventually("SELECT trouble IS NOT NULL FROM streamsql.watermarks WHERE kind = 'source'", "t\n")
	w.exec("ADVANCE CLOCK TO '2100-01-01 01:00:00+00'")
	if got := w.rows("SELECT watermark::text, idle FROM streamsql.watermarks WHERE kind = 'source'"); got != "2024-01-01 00:00:10+00|f\n" {
		t.Fatalf("while the broker is away: %s", got)
	}
	says("source src cannot be read: ")
	b2, err := broker.Start(b.Addr(), dir)
	if err != nil {
		t.Fatal(err)
	}
	defer b2.Close()
	sendTo(b2.Addr(), 1, "00:00:30") // written before anything has closed
	w.eventually("SELECT next_offset FROM streamsql.source_positions WHERE partition = 1", "2\n")
	w.eventually("SELECT coalesce(trouble, '') FROM streamsql.source_positions WHERE partition = 1", "\n")
	// Both partitions are known to have nothing, as of the clock's hour.
	for range 2000 {
		if strings.Count(w.rows("EXPLAIN WATERMARK v"), ", nothing at its end since 2100-01-01 01:00:00+00") == 2 {
			break
		}
		time.Sleep(5 * time.Millisecond)
	}
	w.exec("ADVANCE CLOCK TO '2100-01-01 01:00:59+00'")
	if got := w.rows("SELECT count(*) FROM v"); got != "0\n" {
		t.Fatalf("before the timeout: %s windows", got)
	}
	w.exec("ADVANCE CLOCK TO '2100-01-01 01:01:10+00'")
	says("all partitions of source src are idle since 2100-01-01 01:01:00+00")
	if got := w.rows("SELECT window_end::text, n FROM v"); got != "2024-01-01 00:01:00+00|3\n" {
		t.Fatalf("after the timeout: %s", got)
	}
	if got := w.rows("SELECT count(*) FROM v_late"); got != "0\n" {
		t.Fatalf("late rows: %s", got)
	}
}
