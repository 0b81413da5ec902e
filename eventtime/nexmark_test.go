package eventtime

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/streamsql/streamsql/connector"
	"github.com/streamsql/streamsql/connector/nexmark"
	"github.com/streamsql/streamsql/engine"
	"github.com/streamsql/streamsql/sql/types"
)

var int8 = types.Of(types.Int8)

// eventCount is 50 a second of event time: ten minutes.
const eventCount = 30_000

func generate(t *testing.T, group int) []event {
	t.Helper()
	events, err := nexmarkEvents(group, true)
	if err != nil {
		t.Fatal(err)
	}
	return events
}

// nexmarkEvents returns Nexmark's events in the order in which they come, groups
// of group events each in an order of their own. With late, two of 89 are 70 s
// old.
func nexmarkEvents(group int, late bool) ([]event, error) {
	var out []event
	byID := map[int64]int{}
	for _, kind := range []string{"person", "auction", "bid"} {
		cols := map[string][]string{
			"person": {"id", "name", "date_time"}, "auction": {"seller", "id", "date_time"}, "bid": {"bidder", "auction", "price", "date_time"},
		}[kind]
		cfg := connector.Config{Options: map[string]string{"connector": "nexmark", "nexmark.table.type": strings.ToUpper(kind[:1]) + kind[1:],
			"nexmark.event.num": strconv.Itoa(eventCount), "nexmark.first.event.rate": "50", "nexmark.out.of.order.group.size": strconv.Itoa(group)}}
		for _, c := range cols {
			typ := int8
			if c == "name" {
				typ = types.Of(types.Varchar)
			} else if c == "date_time" {
				typ = types.Of(types.Timestamp)
			}
			cfg.Columns = append(cfg.Columns, connector.Column{Name: c, Type: typ})
		}
		cfg.Columns = append(cfg.Columns, connector.Column{Name: "offset", Type: int8, Meta: "offset"})
		src, err := nexmark.New(cfg)
		if err != nil {
			return nil, err
		}
		r, err := src.Open(context.Background(), nil, nil)
		if err != nil {
			return nil, err
		}
		for {
			fs, err := r.Fetch(context.Background(), 4096)
			for _, f := range fs {
				if f.Batch == nil {
					continue
				}
				c := f.Batch.Cols
				for i := range f.Batch.N {
					e := event{kind: kind, id: c[len(c)-1].I[i], ts: c[len(c)-2].I[i], who: c[0].I[i]}
					switch kind {
					case "person":
						e.name = strings.ReplaceAll(string(c[1].Bytes(i)), " ", "_")
					case "auction":
						e.item = c[1].I[i]
					case "bid":
						e.item, e.price = c[1].I[i], c[2].I[i]
					}
					if late && e.id%89 < 2 {
						e.ts -= 70 * second
					}
					byID[e.id] = len(out)
					out = append(out, e)
				}
			}
			if err == io.EOF {
				break
			}
			if err != nil {
				return nil, err
			}
		}
	}
	if len(byID) != eventCount {
		return nil, fmt.Errorf("%d events, want %d", len(byID), eventCount)
	}
	ordered := make([]event, 0, len(out))
	for id := range int64(eventCount) {
		ordered = append(ordered, out[byID[id]])
	}
	return ordered, nil
}

// view is one that stands twice: as it speaks by itself, and with EMIT ON WINDOW
// CLOSE.
type view struct {
	name  string
	sql   string
	plain func(*input) []string
	// windows of an event of these kinds, for the sum over the windows and the late rows
	size, slide int64
	kinds       []string
}

var views = []view{
	{"one_minute", stats("TUMBLE(bid, date_time, INTERVAL '1 minute')"), plainStats(60*second, 60*second), 60, 60, []string{"bid"}},
	{"five_minute", stats("TUMBLE(bid, date_time, INTERVAL '5 minutes')"), plainStats(300*second, 300*second), 300, 300, []string{"bid"}},
	{"sliding", stats("HOP(bid, date_time, INTERVAL '30 seconds', INTERVAL '1 minute')"), plainStats(60*second, 30*second), 60, 30, []string{"bid"}},
	{"q5", `SELECT ab.item, ab.num, ab.window_start FROM
	    (SELECT item, count(*) AS num, window_start, window_end
	       FROM HOP(bid, date_time, INTERVAL '2 seconds', INTERVAL '10 seconds') GROUP BY item, window_start, window_end) ab
	    JOIN (SELECT max(num) AS maxn, window_start, window_end FROM
	           (SELECT count(*) AS num, window_start, window_end
	              FROM HOP(bid, date_time, INTERVAL '2 seconds', INTERVAL '10 seconds') GROUP BY item, window_start, window_end) c
	          GROUP BY window_start, window_end) mb
	    ON ab.window_start = mb.window_start AND ab.window_end = mb.window_end AND ab.num = mb.maxn`, plainQ5, 10, 2, []string{"bid"}},
	{"q7", `SELECT b.eid, b.item, b.price, b.who, b.date_time FROM
	    TUMBLE(bid, date_time, INTERVAL '10 seconds') b
	    JOIN (SELECT max(price) AS price, window_start, window_end
	            FROM TUMBLE(bid, date_time, INTERVAL '10 seconds') GROUP BY window_start, window_end) m
	    ON b.price = m.price AND b.window_start = m.window_start AND b.window_end = m.window_end`, plainQ7, 10, 10, []string{"bid"}},
	{"q8", `SELECT p.who, p.name, p.window_start FROM
	    (SELECT who, name, window_start, window_end FROM TUMBLE(person, date_time, INTERVAL '10 seconds') GROUP BY who, name, window_start, window_end) p
	    JOIN (SELECT who, window_start, window_end FROM TUMBLE(auction, date_time, INTERVAL '10 seconds') GROUP BY who, window_start, window_end) a
	    ON p.who = a.who AND p.window_start = a.window_start AND p.window_end = a.window_end`, plainQ8, 10, 10, []string{"person", "auction"}},
	{"q11", `SELECT who, count(*) AS n, window_start, window_end
	    FROM SESSION(bid PARTITION BY who, date_time, INTERVAL '10 seconds') GROUP BY who, window_start, window_end`, plainQ11, 10, 10, []string{"bid"}},
	{"q12", `SELECT who, count(*) AS n, window_start AT TIME ZONE 'UTC'
	    FROM TUMBLE(bid, proctime(), INTERVAL '10 seconds') GROUP BY who, window_start, window_end`, plainQ12, 10, 10, []string{"bid"}},
	{"window_join", `SELECT a.eid AS auction, b.eid AS bid FROM
	    TUMBLE(auction, date_time, INTERVAL '10 seconds') a JOIN TUMBLE(bid, date_time, INTERVAL '10 seconds') b
	    ON a.item = b.item AND a.window_start = b.window_start AND a.window_end = b.window_end`, plainWindowJoin, 10, 10, []string{"auction", "bid"}},
}

func stats(window string) string {
	return `SELECT window_start, window_end, count(*) AS n, sum(price) AS s, min(price) AS lo, max(price) AS hi FROM ` + window + ` GROUP BY window_start, window_end`
}

type client struct {
	t *testing.T
	s *engine.Session
}

func connect(t *testing.T, o engine.Options) *client {
	t.Helper()
	e, err := engine.Open(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close() })
	s, err := e.NewSession("test", "test", nil)
	if err != nil {
		t.Fatal(err)
	}
	return &client{t, s}
}

// exec returns the rows as text, a blank between the columns.
func (c *client) exec(sql string) []string {
	c.t.Helper()
	a, err := c.s.Exec(context.Background(), sql)
	if err != nil {
		c.t.Fatalf("%s: %v", sql, err)
	}
	var out []string
	for _, r := range a.Rows {
		var cells []string
		for i, d := range r {
			if d.Null {
				cells = append(cells, "NULL")
				continue
			}
			cells = append(cells, string(types.FormatText(nil, a.Columns[i].Type, d)))
		}
		out = append(out, strings.Join(cells, " "))
	}
	return out
}

// until waits for a query's answer.
func (c *client) until(sql, want string) {
	c.t.Helper()
	var got string
	for end := time.Now().Add(60 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if got = strings.Join(c.exec(sql), "\n"); got == want {
			return
		}
	}
	c.t.Fatalf("%s\nanswers %s, want %s\n%s", sql, got, want, strings.Join(c.exec(`SELECT name, state, error FROM streamsql.jobs WHERE state <> 'RUNNING'`), "\n"))
}

func sourceSQL(kind, topic string) string {
	cols := map[string]string{"person": ", name text", "auction": ", item bigint", "bid": ", item bigint, price bigint"}[kind]
	return `CREATE SOURCE ` + kind + ` (eid bigint, date_time timestamp, who bigint` + cols + `,
		  WATERMARK FOR date_time AS date_time - INTERVAL '4 seconds')
		  WITH (connector = 'topic', topic = '` + topic + `', idle_timeout = '5 seconds')`
}

const phases = 6

// TestWindows: each row is in a window or in the late relation, once; the views
// are the plain computation over the rows that were not late; and at the end
// those that spoke early say what those say that waited.
func TestWindows(t *testing.T) {
	for _, group := range []int{1, 50, 5000} {
		for _, workers := range []int{1, 3} {
			if workers > 1 && (testing.Short() || group != 50) {
				continue
			}
			t.Run(fmt.Sprintf("groups of %d, %d workers", group, workers), func(t *testing.T) { testWindows(t, group, workers) })
		}
	}
}

func testWindows(t *testing.T, group, workers int) {
	events := generate(t, group)
	c := connect(t, engine.Options{Workers: workers})
	start := int64(1_800_000_000) * second
	c.exec(`SET streamsql.clock = 'manual'`)
	c.exec(fmt.Sprintf(`ADVANCE CLOCK TO to_timestamp(%d)`, start/second+1e6))
	start += 1e6 * second
	kinds := map[string]*topic{}
	for _, kind := range []string{"person", "auction", "bid"} {
		name := fmt.Sprintf("%s-%d-%d", kind, group, workers)
		kinds[kind] = newTopic(name, 4)
		c.exec(sourceSQL(kind, name))
	}
	for _, v := range views {
		c.exec(`CREATE MATERIALIZED VIEW ` + v.name + ` AS ` + v.sql)
		c.exec(`CREATE MATERIALIZED VIEW ` + v.name + `_final AS ` + v.sql + ` EMIT ON WINDOW CLOSE`)
	}
	for phase := range phases {
		clock := start + int64(phase)*6*second
		c.exec(fmt.Sprintf(`ADVANCE CLOCK TO to_timestamp(%d)`, clock/second))
		from, to := len(events)*phase/phases, len(events)*(phase+1)/phases
		for i := from; i < to; i++ {
			e := &events[i]
			e.clock = clock
			e.part = int32(e.id / 7 % 4)
			if phase >= phases/2 { // the last partition has stopped
				e.part = int32(e.id / 7 % 3)
			}
			kinds[e.kind].put(*e)
		}
		total := 0
		for _, k := range kinds {
			k.release()
			for _, p := range k.parts {
				total += len(p)
			}
		}
		c.until(`SELECT sum(next_offset) FROM streamsql.source_positions`, strconv.Itoa(total))
		for _, v := range views {
			c.check(v.name, v, events[:to])
		}
	}
	for _, k := range kinds {
		k.change(func() { k.ended = true })
	}
	c.until(`SELECT count(*) FROM streamsql.jobs WHERE state <> 'FINISHED'`, "0")
	c.exec(fmt.Sprintf(`ADVANCE CLOCK TO to_timestamp(%d)`, start/second+3600))
	for _, v := range views {
		c.check(v.name, v, events)
		late := c.check(v.name+"_final", v, events)
		// Both had the same watermarks, so the same rows were too late.
		if d := differ(c.exec(`SELECT * FROM `+v.name+`_final`), c.exec(`SELECT * FROM `+v.name)); d != "" {
			t.Errorf("%s: EMIT ON WINDOW CLOSE and early results: %s", v.name, d)
		}
		if v.name != "q12" && v.name != "five_minute" && len(late) == 0 {
			t.Errorf("%s: no row was late: the test is too kind", v.name)
		}
	}
}

// check compares a view with the plain computation over what was not late, and
// returns what was, with the number of windows missed.
func (c *client) check(name string, v view, events []event) map[int64]int {
	c.t.Helper()
	in := &input{events: events, missed: map[int64]int{}}
	var late []lateRow
	c.exec(`BEGIN`) // one epoch
	got := c.exec(`SELECT * FROM ` + name)
	if v.name != "q12" {
		for _, r := range c.exec(`SELECT coalesce(row->>'eid', '-1'), coalesce(windows, 1), weight, extract(epoch FROM watermark) * 1000000 FROM ` + name + `_late`) {
			var id int64
			var windows, weight int
			var watermark float64
			if _, err := fmt.Sscan(r, &id, &windows, &weight, &watermark); err != nil {
				c.t.Fatal(err)
			}
			if id < 0 {
				c.t.Errorf("%s: a late row without its columns", name)
				continue
			}
			in.missed[id] += windows * weight
			late = append(late, lateRow{id, windows, int64(watermark)})
		}
	}
	c.exec(`COMMIT`)
	if d := differ(got, v.plain(in)); d != "" {
		c.t.Errorf("%s: %s", name, d)
	}
	per := int(v.size / v.slide)
	for id, n := range in.missed {
		if n < 1 || n > per {
			c.t.Errorf("%s: event %d missed %d windows of %d", name, id, n, per)
		}
	}
	at := map[int64]int64{}
	for _, e := range events {
		at[e.id] = e.ts
	}
	for _, l := range late { // none that was in time
		ends := windowsOf(at[l.id], v.size*second, v.slide*second)[min(l.windows, per)-1] + v.size*second
		if v.name != "q11" && ends > l.watermark {
			c.t.Errorf("%s: event %d at %s is late by the watermark %s", name, l.id, stamp(at[l.id]), stamp(l.watermark))
			break
		}
	}
	return in.missed
}

type lateRow struct {
	id        int64
	windows   int
	watermark int64
}
