package check

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	_ "github.com/streamsql/streamsql/connector/kafka"
	"github.com/streamsql/streamsql/connector/kafka/broker"
	"github.com/streamsql/streamsql/engine"
	"github.com/streamsql/streamsql/examples"
	"github.com/streamsql/streamsql/examples/recommender/plain"
	"github.com/streamsql/streamsql/examples/recommender/tastes"
	"github.com/streamsql/streamsql/sql/types"
)

// sessionQuery is an engine's session as a Query.
func sessionQuery(s *engine.Session) Query {
	return func(ctx context.Context, sql string) ([][]string, error) {
		a, err := s.Exec(ctx, sql)
		if err != nil {
			return nil, err
		}
		out := make([][]string, len(a.Rows))
		for i, r := range a.Rows {
			out[i] = make([]string, len(r))
			for c, v := range r {
				out[i][c] = Null
				if !v.Null {
					out[i][c] = string(types.FormatText(nil, a.Columns[c].Type, v))
				}
			}
		}
		return out, nil
	}
}

// TestTenEpochs: a fixed log goes through a broker; at ten epochs on its way,
// each read with its positions, every view is the plain computation over exactly
// those events. The log is out of order within the watermark's bound, and has
// some events that come too late and some records that are none.
func TestTenEpochs(t *testing.T) {
	t.Run("in memory", func(t *testing.T) { tenEpochs(t, engine.Options{Workers: 2}) })
	t.Run("mostly on disk", func(t *testing.T) {
		if testing.Short() {
			t.Skip("takes ten seconds")
		}
		tenEpochs(t, engine.Options{Dir: t.TempDir(), MemoryLimit: 4 << 20, StatementMemory: 256 << 20})
	})
}

func tenEpochs(t *testing.T, o engine.Options) {
	const partitions, records, epochs = 3, 12_000, 10
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	b, err := broker.Start("127.0.0.1:0", "", broker.Topic{Name: "user-events", Partitions: partitions})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	eng, err := engine.Open(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	defer eng.Close()
	s, err := eng.NewSession("test", "streamsql", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := s.Exec(ctx, strings.ReplaceAll(examples.Recommender, "localhost:9092", b.Addr())); err != nil {
		t.Fatal(err)
	}
	p, err := broker.NewProducer(b.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()

	world := tastes.New(tastes.Options{Seed: 5})
	stream := world.Stream(tastes.StreamOptions{Seed: 5, TooLate: 0.003, Broken: 0.002})
	log := NewLog(partitions)
	values := make([][]byte, records)
	for i := range values {
		e, record, ok := stream.Next(1.7e9+float64(i)/50, nil)
		values[i] = record
		log.Add(i%partitions, e, ok)
	}
	produced := make(chan error, 1)
	go func() {
		for i, v := range values {
			p.Send("user-events", int32(i%partitions), nil, v)
			if i%50 == 49 {
				time.Sleep(20 * time.Millisecond)
			}
		}
		produced <- p.Flush(ctx)
	}()

	query := sessionQuery(s)
	seen := map[string]bool{}
	var last *Moment
	for done := false; !done || len(seen) < epochs || last.Events < int(log.Records())*9/10; {
		m, err := Epoch(ctx, query, log, tastes.Categories())
		if err != nil {
			t.Fatal(err)
		}
		if last == nil || m.Events > last.Events {
			seen[m.Epoch] = true
			t.Logf("epoch %s: %d events, %d late, %d recommendations", m.Epoch, m.Events, m.Late, m.Rows["recommendations"])
		}
		last = m
		select {
		case err := <-produced:
			if err != nil {
				t.Fatal(err)
			}
			done = true
			produced <- nil
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			t.Fatal(errors.New("the engine does not get on"))
		}
	}
	// The rest of the log, and what the whole is worth.
	for {
		m, err := Epoch(ctx, query, log, tastes.Categories())
		if err != nil {
			t.Fatal(err)
		}
		sum := int64(0)
		for _, off := range m.Positions {
			sum += off
		}
		if last = m; sum == log.Records() {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	if len(seen) < epochs || last.Late == 0 || last.Rows["user_similarity"] == 0 {
		t.Errorf("%d epochs, %d late, %v: the test tested too little", len(seen), last.Late, last.Rows)
	}
	rows, err := query(ctx, "SELECT user_id, item_id FROM recommendations ORDER BY user_id, score DESC, item_id")
	if err != nil {
		t.Fatal(err)
	}
	lists := map[string][]string{}
	for _, r := range rows {
		lists[r[0]] = append(lists[r[0]], r[1])
	}
	var events []plain.Event
	for k := range last.Answers.Ratings {
		events = append(events, plain.Event{UserID: k.A, ItemID: k.B})
	}
	got, base := world.HitRate(lists), world.HitRate(world.MostPopular(events))
	t.Logf("hit rate %.3f, most popular %.3f: %.1f times", got, base, got/base)
	if got < 3*base || base == 0 {
		t.Errorf("the recommender finds %.3f of what was held out, a most-popular list %.3f", got, base)
	}
}
