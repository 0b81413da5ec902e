package crashtest

import (
	"context"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/streamsql/streamsql/connector/kafka/broker"
	"github.com/streamsql/streamsql/examples"
	"github.com/streamsql/streamsql/examples/recommender/check"
	"github.com/streamsql/streamsql/examples/recommender/tastes"
)

// producer writes users' events to the topic and to the log.
type producer struct {
	p   *broker.Producer
	s   *tastes.Stream
	log *check.Log
	n   atomic.Int64
}

func (p *producer) run(ctx context.Context, perSecond int) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return p.p.Flush(context.Background())
		case <-tick.C:
		}
		now := float64(time.Now().UnixMicro()) / 1e6
		for range max(perSecond/50, 1) {
			part := int(p.n.Load() % partitions)
			e, record, ok := p.s.Next(now, nil)
			p.log.Add(part, e, ok)
			p.p.Send(topic, int32(part), nil, record)
			p.n.Add(1)
		}
	}
}

func kills(t *testing.T) int {
	n := 5
	if v := os.Getenv("STREAMSQL_KILLS"); v != "" {
		var err error
		if n, err = strconv.Atoi(v); err != nil || n < 1 {
			t.Fatalf("STREAMSQL_KILLS is %q", v)
		}
	}
	return n
}

func TestKill(t *testing.T) {
	if testing.Short() {
		t.Skip("takes half a minute")
	}
	const seed = 1
	ctx, cancel := context.WithTimeout(context.Background(), time.Duration(kills(t))*10*time.Second+2*time.Minute)
	defer cancel()
	addr := startBroker(t)
	s := newServer(t)
	fail := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("%v\nthe server said: %s", err, s.said())
		}
	}
	fail(s.start())
	conn, err := s.connect(ctx)
	fail(err)
	_, err = rows(ctx, conn, strings.ReplaceAll(examples.Recommender, "localhost:9092", addr), "")
	fail(err)
	_, err = rows(ctx, conn, tables, "")
	fail(err)
	conn.Close(ctx)

	p, err := broker.NewProducer(addr)
	fail(err)
	defer p.Close()
	prod := &producer{p: p, log: check.NewLog(partitions),
		s: tastes.New(tastes.Options{Seed: seed, Users: 80, Items: 200, Tastes: 10}).Stream(tastes.StreamOptions{Seed: seed, TooLate: 0.002, Broken: 0.002})}
	ws := []*writer{newWriter(1, seed), newWriter(2, seed), newWriter(3, seed)}

	load, stop := context.WithCancel(ctx)
	defer stop()
	var producing sync.WaitGroup
	var produceErr error
	producing.Go(func() { produceErr = prod.run(load, 300) })

	rnd := rand.New(rand.NewPCG(seed, 9))
	for k := range kills(t) {
		// Sometimes before it answers, mostly under load, at times behind several
		// checkpoints.
		life := time.Duration(rnd.Int64N(int64(1500 * time.Millisecond)))
		if rnd.IntN(5) == 0 {
			life += time.Second
		}
		run, end := context.WithCancel(ctx)
		timer := time.AfterFunc(life, func() {
			s.kill()
			end()
		})
		answered, err := writers(run, s, ws)
		early := timer.Stop()
		if !early {
			<-run.Done()
		}
		end()
		fail(err)
		if early {
			t.Fatalf("all connections broke before the kill; the server said: %s", s.said())
		}
		t.Logf("kill %d after %v, first answer after %v: %d events, %s", k+1, life.Round(time.Millisecond), answered.Round(time.Millisecond), prod.n.Load(), progress(ws))
		fail(s.start())
		if k%10 == 9 {
			conn, err := s.connect(ctx)
			fail(err)
			m, err := moment(ctx, conn, prod.log)
			fail(err)
			t.Logf("epoch %s: %d events, all is right", m.Epoch, m.Events)
			conn.Close(ctx)
		}
	}

	// The server lives; the load ends, and everything must be there.
	conn, err = s.connect(ctx)
	fail(err)
	defer conn.Close(context.Background())
	stop()
	producing.Wait()
	fail(produceErr)
	for {
		at, err := rows(ctx, conn, "SELECT coalesce(sum(next_offset), 0) FROM streamsql.source_positions WHERE source = 'user_events'", "")
		fail(err)
		if at[0][0] == strconv.FormatInt(prod.log.Records(), 10) {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	fail(verify(ctx, conn, ws))
	m, err := moment(ctx, conn, prod.log)
	fail(err)
	t.Logf("epoch %s: %d events, %d of them late, %v", m.Epoch, m.Events, m.Late, m.Rows)
	if m.Rows["recommendations"] == 0 || ws[0].acked == 0 {
		t.Error("the test tested nothing")
	}
}

// moment holds the recommender's views to the plain computation.
func moment(ctx context.Context, conn *pgconn.PgConn, log *check.Log) (*check.Moment, error) {
	query := func(ctx context.Context, sql string) ([][]string, error) { return rows(ctx, conn, sql, check.Null) }
	return check.Epoch(ctx, query, log, tastes.Categories())
}

func progress(ws []*writer) string {
	acked, settled := 0, 0
	for _, w := range ws {
		acked += w.acked
		settled += w.settled
	}
	return strconv.Itoa(acked) + " acknowledged, " + strconv.Itoa(settled) + " found out later"
}
