package eventtime

import (
	"fmt"
	"testing"

	_ "github.com/streamsql/streamsql/connector/file"
	"github.com/streamsql/streamsql/engine"
)

// TestFlatState: by rows at a constant rate for an hour of event time, the state of
// what ends in time does not grow.
func TestFlatState(t *testing.T) {
	c := connect(t, engine.Options{})
	c.exec(`SET streamsql.clock = 'manual'`)
	const start = 1_800_000_000
	c.exec(fmt.Sprintf(`ADVANCE CLOCK TO to_timestamp(%d)`, start))
	to, other := newTopic("flat", 2), newTopic("flat-other", 2)
	c.exec(sourceSQL("bid", "flat"))
	c.exec(sourceSQL("auction", "flat-other"))
	queries := map[string]string{
		"window_agg":   `SELECT who, window_start, count(*) AS n, count(DISTINCT price) AS d, max(price) AS m FROM TUMBLE(bid, date_time, INTERVAL '1 minute') GROUP BY who, window_start, window_end`,
		"hop_agg":      `SELECT who, window_start, count(*) FROM HOP(bid, date_time, INTERVAL '10 seconds', INTERVAL '1 minute') GROUP BY who, window_start, window_end`,
		"session":      `SELECT who, window_start, window_end, count(*) FROM SESSION(bid PARTITION BY who, date_time, INTERVAL '20 seconds') GROUP BY who, window_start, window_end`,
		"session_rows": `SELECT eid, who, window_start, window_end FROM SESSION(bid PARTITION BY who, date_time, INTERVAL '20 seconds')`,
		"interval_join": `SELECT a.eid, b.eid AS bid FROM auction a JOIN bid b ON a.item = b.item
		   AND b.date_time BETWEEN a.date_time AND a.date_time + INTERVAL '1 minute'`,
		"window_join": `SELECT a.eid, b.eid AS bid FROM TUMBLE(auction, date_time, INTERVAL '1 minute') a
		   JOIN TUMBLE(bid, date_time, INTERVAL '1 minute') b ON a.item = b.item AND a.window_end = b.window_end`,
		"over":     `SELECT eid, sum(price) OVER (PARTITION BY who ORDER BY date_time RANGE BETWEEN INTERVAL '1 minute' PRECEDING AND CURRENT ROW) AS s FROM bid`,
		"running":  `SELECT eid, count(*) OVER (PARTITION BY who ORDER BY date_time) AS n, lag(price) OVER (PARTITION BY who ORDER BY date_time) AS before FROM bid`,
		"dedup":    `SELECT eid, who, window_end FROM (SELECT *, row_number() OVER (PARTITION BY window_start, window_end, who ORDER BY date_time) AS n FROM TUMBLE(bid, date_time, INTERVAL '1 minute')) x WHERE n = 1`,
		"distinct": `SELECT DISTINCT who, window_start, window_end FROM TUMBLE(bid, date_time, INTERVAL '1 minute')`,
		"top":      `SELECT eid, price, window_end FROM (SELECT *, row_number() OVER (PARTITION BY window_start, window_end ORDER BY price DESC) AS n FROM TUMBLE(bid, date_time, INTERVAL '1 minute')) x WHERE n <= 3`,
		"temporal": `SELECT eid, price FROM bid WHERE date_time AT TIME ZONE 'UTC' > now() - INTERVAL '2 minutes'`,
	}
	for name, sql := range queries {
		c.exec(`CREATE SINK s_` + name + ` AS ` + sql + ` WITH (connector = 'blackhole')`)
	}
	id, n := int64(0), 0
	state := map[string][]float64{}
	for minute := range 60 {
		for i := range 300 { // five a second
			ts := (start+int64(minute)*60)*second + int64(i)*second/5
			e := event{id: id, part: int32(i / 4 % 2), ts: ts - id*7919%3*second, who: id * 31 % 97, item: id * 17 % 53, price: id * 7919 % 1009}
			if id++; i%4 == 3 {
				other.put(e)
			} else {
				to.put(e)
			}
			n++
		}
		to.release()
		other.release()
		c.until(`SELECT sum(next_offset) FROM streamsql.source_positions`, fmt.Sprint(n))
		if minute%20 == 19 {
			for _, r := range c.exec(`SELECT job, sum(state_rows), sum(state_bytes) FROM streamsql.operators GROUP BY job`) {
				var job string
				var rows, bytes float64
				if _, err := fmt.Sscan(r, &job, &rows, &bytes); err != nil {
					t.Fatal(err)
				}
				state[job] = append(state[job], rows, bytes)
			}
		}
		c.exec(fmt.Sprintf(`ADVANCE CLOCK TO to_timestamp(%d)`, start+(minute+1)*60))
	}
	for name := range queries {
		s := state["s_"+name]
		if len(s) != 6 {
			t.Fatalf("%s: figures %v", name, s)
		}
		if s[0] == 0 {
			t.Errorf("%s holds no rows: the test sees nothing", name)
		}
		rows, bytes := 200.0, 64.0*1024
		if name == "interval_join" { // what is closed is swept out when it pays, every few thousand rows
			rows, bytes = 4500, 1<<20
		}
		if name == "over" { // a minute's rows and partitions more or less, by where the watermark stands
			rows = 600
		}
		if s[4] > 1.3*s[0]+rows || s[5] > 1.5*s[1]+bytes {
			t.Errorf("%s: rows and bytes after 20, 40 and 60 minutes: %.0f", name, s)
		}
		t.Logf("%s: %.0f", name, s)
	}
}
