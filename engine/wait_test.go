package engine

import (
	"context"
	"strconv"
	"testing"
	"time"

	"github.com/streamsql/streamsql/sql/sqlerr"
)

// TestWait: what a source holds when WAIT is called is in the views when it
// returns, without the source's end; and what cannot come can be given up.
func TestWait(t *testing.T) {
	topic := newFakeTopic("wait", 2)
	s := session(t, Options{})
	script(t, s, "WAIT", "WAIT",
		"CREATE SOURCE f (v bigint) WITH (connector = 'fake', topic = 'wait')", "CREATE SOURCE",
		"CREATE MATERIALIZED VIEW n AS SELECT count(*) FROM f", "CREATE MATERIALIZED VIEW")
	for i := range 5 {
		for j := range 3000 {
			topic.put(int32(j%2), int64(j))
		}
		script(t, s, "WAIT", "WAIT")
		if got := ask(s, "SELECT * FROM n"); got != strconv.Itoa(3000*(i+1)) {
			t.Fatalf("%s rows after WAIT, want %d", got, 3000*(i+1))
		}
	}
	topic.outage(true)
	topic.put(0, 1)
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if _, err := s.Exec(ctx, "WAIT"); sqlerr.From(err) == nil {
		t.Errorf("WAIT in an outage: %v", err)
	}
	script(t, s, "SELECT 1", "1")
}
