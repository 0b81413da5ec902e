package baddays

import (
	"fmt"
	"math/rand"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/streamsql/streamsql/connector/kafka/broker"
	"github.com/streamsql/streamsql/engine"
)

// TestLaterView: a view created after the records of four partitions came out of
// order, many too late, with gaps in the offsets and broken records, has the
// answer and the late rows of one that was there.
func TestLaterView(t *testing.T) {
	b, err := broker.Start("127.0.0.1:0", "", broker.Topic{Name: "t", Partitions: 4})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	p, err := broker.NewProducer(b.Addr(), kgo.TransactionalID("later"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	w := start(t, engine.Options{Dir: t.TempDir()})
	w.exec(`CREATE SOURCE src (n BIGINT, ms BIGINT, ts TIMESTAMPTZ AS to_timestamp(ms / 1000.0), WATERMARK FOR ts AS ts - INTERVAL '100 milliseconds')
		WITH (connector = 'kafka', topic = 't', properties.bootstrap.server = '` + b.Addr() + `') FORMAT PLAIN ENCODE JSON`)
	const query = `SELECT window_start, n % 4 AS part, count(*) AS n, sum(n) AS s, max(ms) AS m
		FROM TUMBLE(src, ts, INTERVAL '1 second') GROUP BY window_start, window_end, 2`
	w.exec("CREATE MATERIALIZED VIEW v AS " + query)
	r := rand.New(rand.NewSource(3))
	rows := 0
	for txn := range 100 {
		if err := p.Client().BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		end := kgo.TryCommit
		if txn%10 == 9 {
			end = kgo.TryAbort
		}
		for i := range 1500 {
			part := r.Intn(4)
			if r.Intn(4) > 0 {
				part = 0 // it has most
			}
			at := txn*1500 + i
			if r.Intn(200) == 0 {
				at -= r.Intn(5000)
			}
			value := fmt.Appendf(nil, `{"n":%d,"ms":%d}`, rows*4+part, max(0, at))
			if r.Intn(100) == 0 {
				value = []byte("{")
			} else if end == kgo.TryCommit {
				rows++
			}
			p.Send("t", int32(part), nil, value)
		}
		if err := p.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := p.Client().EndTransaction(t.Context(), end); err != nil {
			t.Fatal(err)
		}
	}
	sum := "SELECT coalesce(sum(n), 0) + (SELECT coalesce(sum(weight), 0) FROM %s_late) FROM %s"
	w.eventually(fmt.Sprintf(sum, "v", "v"), fmt.Sprintln(rows))

	if late := w.rows("SELECT count(*) FROM v_late"); len(late) < 4 {
		t.Errorf("%s late rows: nothing is tested", strings.TrimSpace(late))
	}
	for _, name := range []string{"x", "y"} {
		w.exec("CREATE MATERIALIZED VIEW " + name + " AS " + query)
		if got := w.rows(fmt.Sprintf(sum, name, name)); got != fmt.Sprintln(rows) {
			t.Errorf("%s has %s rows of %d", name, strings.TrimSpace(got), rows)
		}
		for _, q := range []string{"SELECT * FROM %s", "SELECT row, event_time, watermark, late_by, operator, windows, sum(weight) FROM %s_late GROUP BY 1, 2, 3, 4, 5, 6"} {
			was, now := fmt.Sprintf(q, "v"), fmt.Sprintf(q, name)
			diff := w.rows("(" + was + " EXCEPT ALL " + now + ") UNION ALL (" + now + " EXCEPT ALL " + was + ")")
			if n := strings.Count(diff, "\n"); n > 0 {
				t.Errorf("%s: %d rows differ\n%.1000s", now, n, diff)
			}
		}
	}
}
