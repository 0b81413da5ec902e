package eventtime

import (
	"context"
	"io"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/streamsql/streamsql/connector"
	"github.com/streamsql/streamsql/sql/delta"
)

// event is one of Nexmark's, with the columns that the tests read.
type event struct {
	id     int64
	kind   string // person, auction, bid
	ts     int64  // event time, µs
	who    int64  // of a person the id, of an auction the seller, of a bid the bidder
	item   int64  // of an auction the id, of a bid the auction
	price  int64  // of a bid
	clock  int64  // the processing time at which it was read, µs
	name   string // of a person
	part   int32
	number int64 // its offset
}

// topic is a log in partitions of events of one kind, of which the test lets the
// engine read more and more.
type topic struct {
	mu    sync.Mutex
	parts [][]event
	open  []int64 // how much of each partition is there
	ended bool
	pace  time.Duration // between fetches
	more  chan struct{} // closed at a change
}

var (
	topicsMu sync.Mutex
	topics   = map[string]*topic{}
)

func newTopic(name string, parts int) *topic {
	t := &topic{parts: make([][]event, parts), open: make([]int64, parts), more: make(chan struct{})}
	topicsMu.Lock()
	defer topicsMu.Unlock()
	topics[name] = t
	return t
}

func (t *topic) change(fn func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	fn()
	close(t.more)
	t.more = make(chan struct{})
}

// release makes all that was put there.
func (t *topic) release() {
	t.change(func() {
		for p := range t.parts {
			t.open[p] = int64(len(t.parts[p]))
		}
	})
}

func (t *topic) put(e event) {
	e.number = int64(len(t.parts[e.part]))
	t.parts[e.part] = append(t.parts[e.part], e)
}

func (t *topic) positions() connector.Positions {
	t.mu.Lock()
	defer t.mu.Unlock()
	out := connector.Positions{}
	for p, n := range t.open {
		out[int32(p)] = n
	}
	return out
}

func init() {
	connector.RegisterSource("topic", func(cfg connector.Config) (connector.Source, error) {
		topicsMu.Lock()
		defer topicsMu.Unlock()
		return &topicSource{topics[cfg.Options["topic"]], cfg}, nil
	})
}

type topicSource struct {
	t   *topic
	cfg connector.Config
}

func (s *topicSource) Start(context.Context) (connector.Positions, error) {
	out := s.t.positions()
	for p := range out {
		out[p] = 0
	}
	return out, nil
}
func (s *topicSource) End(context.Context) (connector.Positions, error) {
	return s.t.positions(), nil
}
func (s *topicSource) Close() error { return nil }
func (s *topicSource) Open(_ context.Context, from, until connector.Positions) (connector.Reader, error) {
	return &topicReader{s: s, at: from.Clone(), until: until}, nil
}

type topicReader struct {
	s     *topicSource
	at    connector.Positions
	until connector.Positions
	turn  int32
}

func (r *topicReader) Trouble() error { return nil }
func (r *topicReader) Close() error   { return nil }

// Fetch returns a run of one partition, of odd length, the partitions in turns.
func (r *topicReader) Fetch(ctx context.Context, maxRows int) ([]connector.Fetch, error) {
	for {
		t := r.s.t
		t.mu.Lock()
		more, ended := t.more, t.ended
		var out []connector.Fetch
		left := false
		for range t.parts {
			p := r.turn
			r.turn = (r.turn + 1) % int32(len(t.parts))
			end := t.open[p]
			if r.until != nil {
				until, ok := r.until[p]
				if !ok {
					continue
				}
				end = min(end, until)
				left = left || r.at[p] < until
			}
			if n := min(end, r.at[p]+min(int64(maxRows), 200+37*int64(p))); n > r.at[p] {
				out = append(out, r.s.fetch(t.parts[p], p, r.at[p], n, n == t.open[p]))
				r.at[p] = n
				break
			}
			left = left || r.until == nil && r.at[p] < t.open[p]
		}
		if len(out) == 0 && r.until == nil {
			for p := range t.parts {
				out = append(out, connector.Fetch{Partition: int32(p), Next: r.at[int32(p)], AtEnd: true})
			}
		}
		t.mu.Unlock()
		if len(out) > 0 && out[0].Batch != nil {
			time.Sleep(t.pace)
			return out, nil
		}
		if !left && (ended || r.until != nil) {
			return nil, io.EOF
		}
		select {
		case <-more:
		case <-time.After(20 * time.Millisecond):
			if out != nil {
				return out, nil
			}
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (s *topicSource) fetch(part []event, p int32, from, to int64, atEnd bool) connector.Fetch {
	b := &delta.Batch{N: int(to - from)}
	f := connector.Fetch{Partition: p, Batch: b, Next: to, AtEnd: atEnd}
	for _, c := range s.cfg.Columns {
		v := delta.NewVec(c.Type, b.N)
		for i := range part[from:to] {
			e := &part[from+int64(i)]
			switch c.Name {
			case "eid":
				v.AppendInt(e.id)
			case "date_time":
				v.AppendInt(e.ts)
			case "who":
				v.AppendInt(e.who)
			case "item":
				v.AppendInt(e.item)
			case "price":
				v.AppendInt(e.price)
			case "name":
				v.AppendBytes([]byte(e.name))
			}
		}
		b.Cols = append(b.Cols, v)
	}
	for n := from; n < to; n++ {
		f.Offsets = append(f.Offsets, n)
	}
	return f
}

// TestTopic: what the tests stand on. All of a topic is read, once.
func TestTopic(t *testing.T) {
	to := newTopic("self", 2)
	for i := range 1000 {
		to.put(event{id: int64(i), part: int32(i % 2)})
	}
	s := &topicSource{t: to, cfg: connector.Config{Columns: []connector.Column{{Name: "eid", Type: int8}}}}
	to.release()
	to.ended = true
	r, err := s.Open(context.Background(), connector.Positions{0: 0, 1: 10}, nil)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]int{}
	for {
		fs, err := r.Fetch(context.Background(), 4096)
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range fs {
			for i := range f.Batch.N {
				seen[strconv.FormatInt(f.Batch.Cols[0].I[i], 10)]++
			}
		}
	}
	if len(seen) != 990 {
		t.Errorf("%d events, want 990", len(seen))
	}
}
