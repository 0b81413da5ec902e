package kafka

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/streamsql/streamsql/connector"
	"github.com/streamsql/streamsql/sql/delta"
)

// Three kinds of goroutines stand behind a reader: one polls records and cuts
// them into runs, some decode runs, and one watches the topic (ends, new
// partitions, another identity) and tells the first. The runs come out in the
// order in which they were polled.
type reader struct {
	*Source
	from, until connector.Positions
	outOfRange  policy
	cancel      context.CancelFunc
	ctx         context.Context
	start       sync.Once
	wg          sync.WaitGroup
	rows        atomic.Int64 // of a run, at most
	conn        conn         // of the fetching client
	troubles

	queue chan *run
	work  chan *run
	head  *run  // taken off the queue, but not handed out yet
	err   error // final

	kick chan struct{} // wakes the watcher

	// Between the poller and the watcher.
	mu      sync.Mutex
	news    news
	hasNews bool
	wake    context.CancelFunc // ends the poll that waits; nil: none does
	parts   map[int32]*part    // written by the poller
	given   connector.Positions
	release connector.Positions // overrides given

	hold     map[int32]bool // partitions to leave unread
	holdNews bool           // the poller has not looked yet
}

// run is consecutive records of one partition on their way.
type run struct {
	connector.Fetch
	records []*kgo.Record
	done    chan struct{} // nil: there is nothing to decode
	err     error         // final
}

// Open starts a reader. It does not wait for a broker.
func (s *Source) Open(_ context.Context, from, until connector.Positions) (connector.Reader, error) {
	for _, ps := range []connector.Positions{from, until} {
		for p, off := range ps {
			if p < 0 || off < 0 {
				return nil, invalid("kafka has no partition %d with an offset %d", p, off)
			}
		}
	}
	if _, err := s.admin(); err != nil {
		return nil, err
	}
	workers := min(runtime.GOMAXPROCS(0), 8)
	r := &reader{
		Source: s, from: from.Clone(), outOfRange: s.o.outOfRange, kick: make(chan struct{}, 1),
		queue: make(chan *run, 2*workers), work: make(chan *run, 2*workers+1),
		parts: map[int32]*part{}, given: connector.Positions{},
	}
	if until != nil {
		r.until = until.Clone()
	}
	r.ctx, r.cancel = context.WithCancel(context.Background())
	return r, nil
}

// OpenHistory implements connector.History.
func (s *Source) OpenHistory(ctx context.Context, from, until connector.Positions) (connector.Reader, error) {
	r, err := s.Open(ctx, from, until)
	if err == nil {
		r.(*reader).outOfRange = earliestPolicy
	}
	return r, err
}

// begin starts the goroutines. It is the first Fetch that knows how long runs are.
func (r *reader) begin() {
	p, err := newPoller(r)
	if err != nil {
		r.err = err
		return
	}
	for range cap(r.queue) / 2 {
		d, err := newDecoder(r.cols, r.o)
		if err != nil {
			r.err = err
			return
		}
		r.wg.Go(func() { r.decode(d) })
	}
	r.wg.Go(p.loop)
	r.wg.Go((&watcher{reader: r}).loop)
}

func (r *reader) decode(d *decoder) {
	for {
		select {
		case <-r.ctx.Done():
			return
		case j := <-r.work:
			j.Batch, j.Offsets, j.Dead = d.run(j.records, j.Next)
			j.records = nil
			close(j.done)
		}
	}
}

// Fetch waits for records and returns what is decoded.
func (r *reader) Fetch(ctx context.Context, maxRows int) ([]connector.Fetch, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	r.rows.Store(int64(max(1, min(maxRows, delta.MaxRows))))
	r.start.Do(r.begin)
	if r.err != nil {
		return nil, r.err
	}
	var out []connector.Fetch
	for rows := 0; rows < max(maxRows, 1); {
		j, err := r.next(ctx, len(out) > 0)
		if err != nil {
			return nil, err
		}
		if j == nil {
			break
		}
		if j.err != nil {
			if r.err = j.err; len(out) == 0 {
				return nil, r.err
			}
			break
		}
		out = append(out, j.Fetch)
		if j.Batch != nil {
			rows += j.Batch.N
		}
		rows += len(j.Dead)
	}
	r.mu.Lock()
	for _, f := range out {
		r.given[f.Partition] = f.Next
	}
	r.mu.Unlock()
	return out, nil
}

// next takes a decoded run off the queue; nil: none is ready, and enough is there
// to return without it.
func (r *reader) next(ctx context.Context, enough bool) (*run, error) {
	if r.head == nil {
		if enough {
			select {
			case r.head = <-r.queue:
			default:
				return nil, nil
			}
		} else {
			select {
			case r.head = <-r.queue:
			case <-ctx.Done():
				return nil, ctx.Err()
			case <-r.ctx.Done():
				return nil, errClosed
			}
		}
	}
	j := r.head
	if j.done != nil {
		if enough {
			select {
			case <-j.done:
			default:
				return nil, nil
			}
		}
		select {
		case <-j.done:
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-r.ctx.Done():
			return nil, errClosed
		}
	}
	r.head = nil
	return j, nil
}

// Trouble returns what keeps the reader from reading.
func (r *reader) Trouble() error {
	if err := r.troubles.get(); err != nil {
		return err
	}
	return r.conn.trouble()
}

// Release says which positions the group may show as consumed. Without a call
// it shows those that Fetch returned.
func (r *reader) Release(p connector.Positions) {
	r.mu.Lock()
	r.release = p.Clone()
	r.mu.Unlock()
}

// Close ends the reading.
func (r *reader) Close() error {
	r.start.Do(func() {})
	r.cancel()
	r.wg.Wait()
	return nil
}
