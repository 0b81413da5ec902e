package kafka

import (
	"context"
	"testing"
	"time"

	"github.com/streamsql/streamsql/connector"
	"github.com/streamsql/streamsql/connector/kafka/broker"
)

// TestHold: a partition that is held is not read, the others are; let go, it goes
// on where it stood.
func TestHold(t *testing.T) {
	b := startBroker(t, broker.Topic{Name: "t", Partitions: 2})
	p := producer(t, b)
	send(t, p, 0, 0, 3)
	g := open(t, source(t, config(b, rowCols)), nil, nil)
	g.rowsUntil(3)
	g.until("both ends", func() bool { return g.atEnd[0] && g.atEnd[1] })
	h := g.r.(connector.Holder)
	h.Hold([]int32{0})
	send(t, p, 1, 0, 5)
	g.rowsUntil(8)
	send(t, p, 0, 3, 6)
	ctx, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond)
	defer cancel()
	for ctx.Err() == nil {
		fs, err := g.r.Fetch(ctx, 100)
		if err != nil {
			break
		}
		for _, f := range fs {
			if g.take(f); f.Partition == 0 && f.Next > 3 {
				t.Fatal("it was read while it was held")
			}
		}
	}
	h.Hold(nil)
	g.rowsUntil(11)
	g.want(map[int32][]int64{0: ints(0, 6), 1: ints(0, 5)})
}
