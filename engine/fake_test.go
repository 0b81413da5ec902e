package engine

import (
	"context"
	"errors"
	"io"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/streamsql/streamsql/connector"
	"github.com/streamsql/streamsql/sql/delta"
	"github.com/streamsql/streamsql/sql/sqlerr"
)

// fakeTopic is a log of records in partitions, which tests append to. It stands
// outside the engine, as a broker does: it survives the engine's end.
type fakeTopic struct {
	mu    sync.Mutex
	parts map[int32][]fakeRecord
	more  chan struct{} // closed when something is appended
	ended bool
	err   error // what readers fail with
	down  bool  // an outage: readers have trouble, and nothing comes
	downs int   // outages so far

	expired int64 // the records of each partition before this offset are gone
	stalled bool  // bounded reads find nothing for the time being
}

type fakeRecord struct {
	vals []int64
	bad  string // not empty: it does not decode
}

var (
	fakeMu     sync.Mutex
	fakeTopics = map[string]*fakeTopic{}
)

func newFakeTopic(name string, parts int) *fakeTopic {
	t := &fakeTopic{parts: map[int32][]fakeRecord{}, more: make(chan struct{})}
	for p := range parts {
		t.parts[int32(p)] = nil
	}
	fakeMu.Lock()
	fakeTopics[name] = t
	fakeMu.Unlock()
	return t
}

func (t *fakeTopic) change(fn func()) {
	t.mu.Lock()
	fn()
	close(t.more)
	t.more = make(chan struct{})
	t.mu.Unlock()
}

func (t *fakeTopic) put(part int32, vals ...int64) {
	t.change(func() { t.parts[part] = append(t.parts[part], fakeRecord{vals: vals}) })
}

func (t *fakeTopic) putBad(part int32, text string) {
	t.change(func() { t.parts[part] = append(t.parts[part], fakeRecord{bad: text}) })
}

func init() {
	connector.RegisterSource("fake", func(cfg connector.Config) (connector.Source, error) {
		fakeMu.Lock()
		defer fakeMu.Unlock()
		t := fakeTopics[cfg.Options["topic"]]
		if t == nil {
			return nil, sqlerr.New(sqlerr.InvalidParameter, "no such topic")
		}
		return &fakeSource{t, cfg}, nil
	})
}

type fakeSource struct {
	t   *fakeTopic
	cfg connector.Config
}

func (s *fakeSource) Start(context.Context) (connector.Positions, error) {
	s.t.mu.Lock()
	defer s.t.mu.Unlock()
	out := connector.Positions{}
	for p := range s.t.parts {
		out[p] = 0
	}
	return out, nil
}

func (s *fakeSource) End(context.Context) (connector.Positions, error) {
	s.t.mu.Lock()
	defer s.t.mu.Unlock()
	out := connector.Positions{}
	for p, rs := range s.t.parts {
		out[p] = int64(len(rs))
	}
	return out, nil
}

func (s *fakeSource) Close() error { return nil }

func (s *fakeSource) Open(_ context.Context, from, until connector.Positions) (connector.Reader, error) {
	return &fakeReader{s: s, at: from.Clone(), until: until, quiet: map[int32]bool{}}, nil
}

// Alterable makes the source a connector.Alterable: with the option mend records
// of numbers decode although they are bad.
func (s *fakeSource) Alterable(option string) bool { return option == "mend" }

func (s *fakeSource) mends() bool { return s.cfg.Options["mend"] == "true" }

// First makes the source a connector.Expiring.
func (s *fakeSource) First(context.Context) (connector.Positions, error) {
	s.t.mu.Lock()
	defer s.t.mu.Unlock()
	out := connector.Positions{}
	for p := range s.t.parts {
		out[p] = s.t.expired
	}
	return out, nil
}

// OpenHistory makes the source a connector.History.
func (s *fakeSource) OpenHistory(ctx context.Context, from, until connector.Positions) (connector.Reader, error) {
	return s.Open(ctx, from, until)
}

type fakeReader struct {
	s     *fakeSource
	at    connector.Positions
	until connector.Positions
	quiet map[int32]bool
	hold  map[int32]bool
	downs int
}

func (t *fakeTopic) outage(on bool) {
	t.change(func() {
		if t.down = on; on {
			t.downs++
		}
	})
}

func (r *fakeReader) Close() error { return nil }

func (r *fakeReader) Trouble() error {
	r.s.t.mu.Lock()
	defer r.s.t.mu.Unlock()
	if r.s.t.down {
		return errors.New("the broker is away")
	}
	return nil
}

func (r *fakeReader) Hold(parts []int32) {
	r.s.t.change(func() {
		r.hold = map[int32]bool{}
		for _, p := range parts {
			r.hold[p] = true
		}
	})
}

func (r *fakeReader) Fetch(ctx context.Context, maxRows int) ([]connector.Fetch, error) {
	for {
		t := r.s.t
		t.mu.Lock()
		more := t.more
		if t.err != nil {
			defer t.mu.Unlock()
			return nil, t.err
		}
		var out []connector.Fetch
		done := true
		if r.downs != t.downs {
			r.downs = t.downs
			clear(r.quiet)
		}
		for p, rs := range t.parts {
			if r.until == nil && (t.down || r.hold[p] && r.at[p] < int64(len(rs))) {
				continue
			}
			if r.until != nil {
				if _, ok := r.until[p]; !ok {
					continue
				}
			}
			if r.until != nil && t.stalled {
				done = false
				continue
			}
			if at := r.at[p]; at < t.expired {
				r.at[p] = t.expired
				out = append(out, connector.Fetch{Partition: p, Next: t.expired, Reset: "records have expired"})
			}
			end := int64(len(rs))
			if r.until != nil {
				end = min(end, r.until[p])
			}
			if r.at[p] >= end {
				if r.until != nil && r.at[p] < r.until[p] {
					done = false
				}
				if r.until == nil && !r.quiet[p] {
					r.quiet[p] = true
					out = append(out, connector.Fetch{Partition: p, Next: r.at[p], AtEnd: true})
				}
				continue
			}
			r.quiet[p] = false
			n := min(end, r.at[p]+int64(maxRows))
			f := connector.Fetch{Partition: p, Batch: &delta.Batch{}}
			for _, c := range r.s.cfg.Columns {
				f.Batch.Cols = append(f.Batch.Cols, delta.NewVec(c.Type, 8))
			}
		records:
			for at := r.at[p]; at < n; at++ {
				rec := rs[at]
				if rec.bad != "" && r.s.mends() {
					rec.vals = nil
					for _, v := range strings.Fields(rec.bad) {
						n, err := strconv.ParseInt(v, 10, 64)
						if err != nil {
							f.Dead = append(f.Dead, connector.DeadLetter{Offset: at, Bytes: []byte(rec.bad), Reason: err.Error(), Time: time.Now()})
							continue records
						}
						rec.vals = append(rec.vals, n)
					}
				} else if rec.bad != "" {
					f.Dead = append(f.Dead, connector.DeadLetter{Offset: at, Bytes: []byte(rec.bad), Reason: "bad record", Time: time.Now()})
					continue
				}
				for c, col := range r.s.cfg.Columns {
					switch {
					case col.Meta == "partition":
						f.Batch.Cols[c].AppendInt(int64(p))
					case col.Meta == "offset":
						f.Batch.Cols[c].AppendInt(at)
					default:
						f.Batch.Cols[c].AppendInt(rec.vals[c])
					}
				}
				f.Batch.N++
				f.Offsets = append(f.Offsets, at)
			}
			r.at[p] = n
			f.Next = n
			f.AtEnd = n == int64(len(rs))
			done = done && (r.until == nil || n >= r.until[p])
			out = append(out, f)
		}
		ended := t.ended
		t.mu.Unlock()
		if len(out) > 0 {
			return out, nil
		}
		if r.until != nil && done || ended {
			return nil, io.EOF
		}
		select {
		case <-more:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}
