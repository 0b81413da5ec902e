package kafka

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/streamsql/streamsql/connector"
	"github.com/streamsql/streamsql/sql/sqlerr"
)

var errClosed = sqlerr.New(sqlerr.ObjectNotInState, "the reader is closed")

// part is where the poller stands in a partition.
type part struct {
	next  int64
	limit int64 // math.MaxInt64: none
	fresh bool  // nothing was read, and no position given: it cannot be lost
	lost  bool  // the broker does not have the position any more
}

// news is what the watcher found out.
type news struct {
	starts    connector.Positions // of partitions that are new
	first     connector.Positions // of all, when a position was lost
	ends      connector.Positions
	skipped   connector.Positions // partition: nothing to read before this
	seen      connector.Positions // where the partition stood when skipped was found
	recreated string              // not empty: the topic is another now; a line for the log
	err       error               // final
}

// poller polls records and cuts them into runs.
type poller struct {
	*reader
	cl   *kgo.Client
	held map[int32]bool // by the client
}

func newPoller(r *reader) (*poller, error) {
	p := &poller{reader: r}
	return p, p.connect()
}

func (p *poller) connect() error {
	iso := kgo.ReadCommitted()
	if p.o.uncommitted {
		iso = kgo.ReadUncommitted()
	}
	cl, err := kgo.NewClient(append(p.clientOptions(&p.conn),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{}),
		kgo.ConsumeResetOffset(kgo.NoResetOffset()),
		kgo.FetchIsolationLevel(iso),
		// Without the marks of transactions the position would stay before them.
		kgo.KeepControlRecords(),
		kgo.FetchMaxPartitionBytes(p.o.partBytes),
		kgo.FetchMaxWait(time.Second),
		kgo.MaxDecompressBatchBytes(p.o.maxBatch),
	)...)
	if err != nil {
		return invalid("kafka: %v", err)
	}
	p.cl = cl
	return nil
}

func (p *poller) loop() {
	defer func() { p.cl.Close() }()
	for p.ctx.Err() == nil {
		p.applyHold()
		n, ctx, stop := p.takeNews()
		if n != nil {
			if err := p.apply(n); err != nil {
				p.fail(err)
				return
			}
			continue
		}
		if p.until != nil && p.finished() {
			p.fail(io.EOF)
			return
		}
		fs := p.cl.PollFetches(ctx)
		stop()
		err := p.errors(fs)
		fs.EachPartition(func(t kgo.FetchTopicPartition) {
			if err == nil && len(t.Records) > 0 {
				p.records(&t.FetchPartition)
			}
		})
		if err != nil {
			p.fail(err)
			return
		}
	}
}

// takeNews returns what the watcher told, or else a context for a poll, which
// the watcher ends when it has something to tell.
func (p *poller) takeNews() (*news, context.Context, func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.hasNews {
		n := p.news
		p.news, p.hasNews = news{}, false
		return &n, nil, nil
	}
	if p.holdNews {
		return &news{}, nil, nil
	}
	ctx, cancel := context.WithCancel(p.ctx)
	p.wake = cancel
	return nil, ctx, func() {
		p.mu.Lock()
		p.wake = nil
		p.mu.Unlock()
		cancel()
	}
}

func (p *poller) finished() bool {
	for id, limit := range p.until {
		if q := p.parts[id]; limit > 0 && (q == nil || q.next < q.limit) {
			return false
		}
	}
	return true
}

func (p *poller) push(j *run) {
	if j.records != nil {
		j.done = make(chan struct{})
	}
	select {
	case p.queue <- j:
	case <-p.ctx.Done():
		return
	}
	if j.done != nil {
		p.work <- j // it has room for all that the queue has
	}
}

func (p *poller) fail(err error) { p.push(&run{err: err}) }

// move notes a position.
func (p *poller) move(q *part, next int64) {
	p.mu.Lock()
	q.next, q.fresh, q.lost = next, false, false
	p.mu.Unlock()
}

func (p *poller) emit(id int32, q *part, atEnd bool, reset string) {
	p.push(&run{Fetch: connector.Fetch{Partition: id, Next: q.next, AtEnd: atEnd, Reset: reset}})
}

// records cuts what came of a partition into runs.
func (p *poller) records(f *kgo.FetchPartition) {
	q := p.parts[f.Partition]
	if q == nil {
		return
	}
	end := f.LastStableOffset
	if p.o.uncommitted || end < 0 {
		end = f.HighWatermark
	}
	rs := f.Records
	i, _ := slices.BinarySearchFunc(rs, q.next, func(r *kgo.Record, at int64) int { return int(r.Offset - at) })
	rs = rs[i:]
	for len(rs) > 0 && q.next < q.limit && p.ctx.Err() == nil {
		n, size, most := 0, 0, int(p.rows.Load())
		for n < len(rs) && n < most && size < runBytes && rs[n].Offset < q.limit {
			size += len(rs[n].Value) + len(rs[n].Key)
			n++
		}
		j := &run{records: rs[:n:n]}
		next := q.limit
		if n > 0 && (n == len(rs) || rs[n].Offset < q.limit) {
			next = rs[n-1].Offset + 1
		}
		p.move(q, next)
		rs = rs[n:]
		j.Partition, j.Next, j.AtEnd = f.Partition, next, len(rs) == 0 && next >= end
		p.push(j)
	}
	p.pause(f.Partition, q)
}

// pause ends the fetching of a partition that is read to its bound.
func (p *poller) pause(id int32, q *part) {
	if q.next >= q.limit {
		p.cl.PauseFetchPartitions(map[string][]int32{p.o.topic: {id}})
	}
}

// errors looks at what a poll complains about. An error of its own is final.
func (p *poller) errors(fs kgo.Fetches) error {
	var final, passing error
	fs.EachError(func(_ string, id int32, err error) {
		q := p.parts[id]
		var answer *kerr.Error
		var lost *kgo.ErrDataLoss
		var large *kgo.ErrDecompressTooLarge
		switch {
		case errors.Is(err, context.Canceled), errors.Is(err, kgo.ErrClientClosed):
		case errors.Is(err, kerr.OffsetOutOfRange) && q != nil:
			p.mu.Lock()
			q.lost = true
			p.mu.Unlock()
			p.kickWatcher()
		case errors.Is(err, kerr.UnknownTopicID):
			p.kickWatcher()
			passing = sqlerr.New(codeConnection, `kafka topic "%s" was deleted`, p.o.topic)
		case errors.As(err, &lost) && q != nil:
			why := fmt.Sprintf(`topic "%s", partition %d: the brokers lost the records from offset %d to %d`,
				p.o.topic, id, lost.ResetTo, lost.ConsumedTo)
			if p.outOfRange == failPolicy {
				final = lostPosition("%s", why)
				return
			}
			p.move(q, lost.ResetTo)
			p.emit(id, q, false, why)
		case errors.As(err, &large) && q != nil:
			p.skipBatch(id, q, large)
		case errors.As(err, &answer) || id < 0:
			if strings.Contains(err.Error(), "BrokerMaxReadBytes") {
				final = sqlerr.New(sqlerr.TooComplex, `kafka topic "%s": a response has more bytes than properties.receive.message.max.bytes (%d)`,
					p.o.topic, p.o.maxResponse).WithHint("Raise the option, or lower properties.fetch.max.bytes.")
				return
			}
			passing = p.conn.explain(err)
		default:
			final = sqlerr.New(sqlerr.IOError, `kafka topic "%s", partition %d: %v`, p.o.topic, id, err)
		}
	})
	if final == nil && passing != nil {
		p.polled(passing)
		// Refused requests come back at once.
		select {
		case <-time.After(500 * time.Millisecond):
		case <-p.ctx.Done():
		}
	} else if fs.NumRecords() > 0 {
		p.polled(nil)
	}
	return final
}

func (p *poller) kickWatcher() {
	select {
	case p.kick <- struct{}{}:
	default:
	}
}

func lostPosition(format string, args ...any) error {
	return sqlerr.New(sqlerr.ObjectNotInState, format, args...).
		WithHint("Set on_offset_out_of_range to 'earliest' or 'latest' to go on without what is gone, or create the source anew.")
}

// skipBatch goes past a batch that is too large to unpack.
func (p *poller) skipBatch(id int32, q *part, e *kgo.ErrDecompressTooLarge) {
	f := connector.Fetch{Partition: id, Dead: []connector.DeadLetter{{
		Offset: max(e.Offset, q.next), Time: time.Now(),
		Reason: fmt.Sprintf("the records from offset %d to %d are one batch of more bytes than scan.max.batch.bytes (%d)",
			e.Offset, e.NextOffset-1, p.o.maxBatch),
	}}}
	p.move(q, min(e.NextOffset, q.limit))
	p.seek(id, e.NextOffset)
	f.Next = q.next
	p.push(&run{Fetch: f})
	p.pause(id, q)
}

// seek makes the client fetch from another offset.
func (p *poller) seek(id int32, to int64) {
	p.cl.RemoveConsumePartitions(map[string][]int32{p.o.topic: {id}})
	p.cl.AddConsumePartitions(map[string]map[int32]kgo.Offset{p.o.topic: {id: kgo.NewOffset().At(to)}})
}
