package main

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/streamsql/streamsql/connector/kafka/broker"
	"github.com/streamsql/streamsql/examples/recommender/tastes"
)

// feed writes a stream's events to the topic at a steady rate.
type feed struct {
	p      *broker.Producer
	sent   atomic.Int64
	cancel context.CancelFunc
	done   sync.WaitGroup
	err    error // read after done
}

func startFeed(addr, topic string, s *tastes.Stream, rate int) (*feed, error) {
	p, err := broker.NewProducer(addr)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	f := &feed{p: p, cancel: cancel}
	f.done.Add(1)
	go func() {
		defer f.done.Done()
		f.err = f.run(ctx, topic, s, rate)
	}()
	return f, nil
}

// run sends what is due every 10 ms. After a stall it does not make up for more
// than a second.
func (f *feed) run(ctx context.Context, topic string, s *tastes.Stream, rate int) error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	start, due := time.Now(), int64(0)
	for {
		select {
		case <-ctx.Done():
			flush, cancel := context.WithTimeout(context.Background(), 5*time.Second)
			defer cancel()
			return f.p.Flush(flush)
		case <-tick.C:
		}
		now := time.Now()
		upto := int64(now.Sub(start).Seconds() * float64(rate))
		due = max(due, upto-int64(rate))
		for ; due < upto; due++ {
			e, record, _ := s.Next(float64(now.UnixMicro())/1e6, nil)
			f.p.Send(topic, broker.AnyPartition, []byte(e.UserID), record)
			f.sent.Add(1)
		}
	}
}

func (f *feed) stop() error {
	f.cancel()
	f.done.Wait()
	f.p.Close()
	return f.err
}
