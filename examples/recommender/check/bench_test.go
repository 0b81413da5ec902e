package check

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/streamsql/streamsql/connector/kafka/broker"
	"github.com/streamsql/streamsql/engine"
	"github.com/streamsql/streamsql/examples"
	"github.com/streamsql/streamsql/examples/recommender/tastes"
)

// BenchmarkRecommender catches up with a topic of 200,000 events: from the
// embedded broker through JSON to all views. The broker's own work is in it.
func BenchmarkRecommender(b *testing.B) {
	const partitions, records = 4, 200_000
	ctx := context.Background()
	br, err := broker.Start("127.0.0.1:0", "", broker.Topic{Name: "user-events", Partitions: partitions})
	if err != nil {
		b.Fatal(err)
	}
	defer br.Close()
	p, err := broker.NewProducer(br.Addr())
	if err != nil {
		b.Fatal(err)
	}
	defer p.Close()
	s := tastes.New(tastes.Options{}).Stream(tastes.StreamOptions{})
	for i := range records {
		_, record, _ := s.Next(1.7e9+float64(i)/1000, nil)
		p.Send("user-events", int32(i%partitions), nil, record)
	}
	if err := p.Flush(ctx); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		eng, err := engine.Open(ctx, engine.Options{Dir: b.TempDir()})
		if err != nil {
			b.Fatal(err)
		}
		s, err := eng.NewSession("bench", "streamsql", nil)
		if err != nil {
			b.Fatal(err)
		}
		sql := strings.ReplaceAll(examples.Recommender, "localhost:9092", br.Addr())
		start := time.Now()
		if _, err := s.Exec(ctx, sql); err != nil {
			b.Fatal(err)
		}
		for {
			a, err := s.Exec(ctx, "SELECT coalesce(sum(next_offset), 0)::bigint FROM streamsql.source_positions")
			if err != nil {
				b.Fatal(err)
			}
			if a.Rows[0][0].I == records {
				break
			}
			time.Sleep(2 * time.Millisecond)
		}
		b.ReportMetric(records/time.Since(start).Seconds(), "events/s")
		s.Close()
		if err := eng.Close(); err != nil {
			b.Fatal(err)
		}
	}
}
