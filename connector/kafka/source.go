package kafka

import (
	"context"
	"encoding/hex"
	"errors"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/streamsql/streamsql/connector"
	"github.com/streamsql/streamsql/sql/sqlerr"
)

var (
	_ connector.History = (*Source)(nil)
	_ connector.Pinned  = (*Source)(nil)
)

func init() { connector.RegisterSource("kafka", New) }

// checkTime is how long New waits for the brokers.
const checkTime = 4 * time.Second

// Source is a topic.
type Source struct {
	o    *options
	cols []connector.Column
	conn conn
	// found is the topic's identity when New looked; empty: it did not, or there is none.
	found string

	mu     sync.Mutex
	client *kgo.Client // for all but fetching
	closed bool
}

// New makes the source that cfg asks for. It looks whether the topic is there,
// unless check.topic is false or the source is known: a restart must not depend
// on a broker.
func New(cfg connector.Config) (connector.Source, error) {
	if f := cfg.Format; f != "" && f != "plain" {
		return nil, sqlerr.New(sqlerr.FeatureNotSupported, "a kafka source cannot read FORMAT %s", f).
			WithHint("Use FORMAT PLAIN ENCODE JSON.")
	}
	if e := cfg.Encode; e != "" && e != "json" {
		return nil, sqlerr.New(sqlerr.FeatureNotSupported, "a kafka source cannot read ENCODE %s", e).
			WithHint("Use FORMAT PLAIN ENCODE JSON.")
	}
	o, err := parseOptions(cfg.Options)
	if err != nil {
		return nil, err
	}
	if n := cfg.UnknownOption(optionNames()...); n != "" {
		return nil, unknownOption(n)
	}
	if _, err := newDecoder(cfg.Columns, o); err != nil {
		return nil, err
	}
	s := &Source{o: o, cols: cfg.Columns}
	if !o.check || cfg.Known {
		return s, nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), checkTime)
	defer cancel()
	if s.found, err = s.TopicID(ctx); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// Pin implements connector.Pinned. Under the policy to go on with a topic that
// was created again there is nothing to notice.
func (s *Source) Pin() map[string]string {
	if s.found == "" || s.o.topicID != "" || s.o.recreated != failPolicy {
		return nil
	}
	return map[string]string{"topic.id": s.found}
}

func (s *Source) clientOptions(c *conn) []kgo.Opt {
	return append([]kgo.Opt{
		kgo.SeedBrokers(s.o.brokers...),
		kgo.ClientID(s.o.client),
		kgo.WithHooks(c),
		kgo.MetadataMinAge(min(s.o.discovery/2, time.Second)),
		kgo.MetadataMaxAge(max(s.o.discovery, time.Second)),
		kgo.RetryBackoffFn(func(n int) time.Duration { return min(100*time.Millisecond<<min(n, 5), time.Second) }),
		kgo.DialTimeout(5 * time.Second),
		kgo.BrokerMaxReadBytes(s.o.maxResponse),
		kgo.FetchMaxBytes(s.o.fetchBytes),
		kgo.DisableClientMetrics(),
	}, s.o.security.client()...)
}

// admin returns the client that asks for everything but records.
func (s *Source) admin() (*kgo.Client, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, sqlerr.New(sqlerr.ObjectNotInState, "the source is closed")
	}
	if s.client == nil {
		cl, err := kgo.NewClient(s.clientOptions(&s.conn)...)
		if err != nil {
			return nil, invalid("kafka: %v", err)
		}
		s.client = cl
	}
	return s.client, nil
}

// topic asks for the topic's partitions and identity.
func (s *Source) topic(ctx context.Context) (kadm.TopicDetail, error) {
	cl, err := s.admin()
	if err != nil {
		return kadm.TopicDetail{}, err
	}
	m, err := kadm.NewClient(cl).Metadata(ctx, s.o.topic)
	if err != nil {
		return kadm.TopicDetail{}, s.conn.explain(err)
	}
	t, ok := m.Topics[s.o.topic]
	switch {
	case !ok || errors.Is(t.Err, kerr.UnknownTopicOrPartition):
		return t, sqlerr.New(sqlerr.UndefinedObject, `kafka has no topic "%s"`, s.o.topic).
			WithHint("Create the topic first, or check its name and properties.bootstrap.server.")
	case errors.Is(t.Err, kerr.InvalidTopicException):
		return t, invalid(`"%s" cannot be the name of a kafka topic`, s.o.topic)
	case t.Err != nil:
		return t, sqlerr.New(codeConnection, `kafka topic "%s": %v`, s.o.topic, t.Err)
	case len(t.Partitions) == 0:
		return t, sqlerr.New(codeConnection, `kafka topic "%s" has no partitions yet`, s.o.topic)
	}
	return t, nil
}

// TopicID returns the identity of the topic, which a topic of the same name that
// is created later does not have. Given back as the option topic.id, readers
// notice that the topic was created again while none was open. It is empty where
// brokers have none (Kafka before 2.8).
func (s *Source) TopicID(ctx context.Context) (string, error) {
	t, err := s.topic(ctx)
	if err != nil || t.ID == (kadm.TopicID{}) {
		return "", err
	}
	return hex.EncodeToString(t.ID[:]), nil
}

type listing int

const (
	first listing = iota
	last          // as far as the isolation level lets read
	started
	given // not to be asked for
)

// list asks for offsets of all partitions. With an error, it returns those of
// the partitions that have one.
func (s *Source) list(ctx context.Context, what listing) (connector.Positions, error) {
	cl, err := s.admin()
	if err != nil {
		return nil, err
	}
	adm := kadm.NewClient(cl)
	if what == started {
		switch s.o.mode {
		case latest:
			what = last
		case earliest:
			what = first
		case byOffset:
			out, err := s.list(ctx, first)
			for p, off := range s.o.offsets {
				if _, ok := out[p]; ok {
					out[p] = off
				}
			}
			return out, err
		}
	}
	var ls kadm.ListedOffsets
	switch {
	case what == started:
		ls, err = adm.ListOffsetsAfterMilli(ctx, s.o.millis, s.o.topic)
	case what == first:
		ls, err = adm.ListStartOffsets(ctx, s.o.topic)
	case s.o.uncommitted:
		ls, err = adm.ListEndOffsets(ctx, s.o.topic)
	default:
		ls, err = adm.ListCommittedOffsets(ctx, s.o.topic)
	}
	out := connector.Positions{}
	ls.Each(func(l kadm.ListedOffset) {
		switch {
		case l.Err == nil:
			out[l.Partition] = l.Offset
		case err == nil:
			err = l.Err
		}
	})
	if errors.Is(err, kerr.UnknownTopicOrPartition) {
		if _, terr := s.topic(ctx); terr != nil {
			return nil, terr
		}
	}
	return out, s.conn.explain(err)
}

// all is list without partial answers.
func (s *Source) all(ctx context.Context, what listing) (connector.Positions, error) {
	out, err := s.list(ctx, what)
	if err != nil {
		return nil, err
	}
	return out, nil
}

// Start returns the positions that the options ask to start from.
func (s *Source) Start(ctx context.Context) (connector.Positions, error) {
	return s.all(ctx, started)
}

// First implements connector.Expiring.
func (s *Source) First(ctx context.Context) (connector.Positions, error) {
	return s.all(ctx, first)
}

// End returns the positions after the last records that may be read.
func (s *Source) End(ctx context.Context) (connector.Positions, error) {
	return s.all(ctx, last)
}

// Close ends the connections. Readers are to be closed before.
func (s *Source) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	if s.client != nil {
		s.client.Close()
		s.client = nil
	}
	return nil
}

// Alterable makes Source a connector.Alterable.
func (s *Source) Alterable(option string) bool { return alterable(option) }
