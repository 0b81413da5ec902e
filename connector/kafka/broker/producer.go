package broker

import (
	"context"
	"strings"
	"sync"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Producer writes records, many at a time. It is safe for concurrent use.
type Producer struct {
	cl *kgo.Client

	mu  sync.Mutex
	err error
}

// NewProducer connects to the broker at addr, a list of host:port by commas.
// More options than the address are franz-go's.
func NewProducer(addr string, opts ...kgo.Opt) (*Producer, error) {
	cl, err := kgo.NewClient(append([]kgo.Opt{
		kgo.SeedBrokers(strings.Split(addr, ",")...),
		kgo.RecordPartitioner(anyOrGiven{kgo.StickyKeyPartitioner(nil)}),
		kgo.MaxBufferedRecords(200_000),
	}, opts...)...)
	if err != nil {
		return nil, err
	}
	return &Producer{cl: cl}, nil
}

// AnyPartition leaves the partition to the key, or, without one, to chance.
const AnyPartition = -1

// Send queues a record; it waits only when very many are queued. The slices
// must stay as they are until Flush returned.
func (p *Producer) Send(topic string, partition int32, key, value []byte) {
	p.SendRecord(&kgo.Record{Topic: topic, Partition: partition, Key: key, Value: value})
}

// SendRecord queues a record with all that Kafka's records have.
func (p *Producer) SendRecord(r *kgo.Record) {
	p.cl.Produce(context.Background(), r, func(_ *kgo.Record, err error) {
		if err != nil {
			p.mu.Lock()
			if p.err == nil {
				p.err = err
			}
			p.mu.Unlock()
		}
	})
}

// Flush waits for all queued records, and returns the first error since the
// last Flush.
func (p *Producer) Flush(ctx context.Context) error {
	if err := p.cl.Flush(ctx); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	err := p.err
	p.err = nil
	return err
}

// Produce sends values without keys, spread over the partitions, and waits.
func (p *Producer) Produce(ctx context.Context, topic string, values ...[]byte) error {
	for _, v := range values {
		p.Send(topic, AnyPartition, nil, v)
	}
	return p.Flush(ctx)
}

// Client is the client below, for transactions.
func (p *Producer) Client() *kgo.Client { return p.cl }

// Close drops what is queued.
func (p *Producer) Close() { p.cl.Close() }

// anyOrGiven takes a record's partition as it is, unless it is AnyPartition.
type anyOrGiven struct{ kgo.Partitioner }

func (a anyOrGiven) ForTopic(t string) kgo.TopicPartitioner {
	return &topicPartitioner{a.Partitioner.ForTopic(t)}
}

type topicPartitioner struct{ kgo.TopicPartitioner }

func (t *topicPartitioner) RequiresConsistency(r *kgo.Record) bool {
	return r.Partition != AnyPartition || t.TopicPartitioner.RequiresConsistency(r)
}

// OnNewBatch keeps the sticky partitioner sticking.
func (t *topicPartitioner) OnNewBatch() {
	if n, ok := t.TopicPartitioner.(kgo.TopicPartitionerOnNewBatch); ok {
		n.OnNewBatch()
	}
}

func (t *topicPartitioner) Partition(r *kgo.Record, n int) int {
	if r.Partition != AnyPartition {
		return int(r.Partition)
	}
	return t.TopicPartitioner.Partition(r, n)
}
