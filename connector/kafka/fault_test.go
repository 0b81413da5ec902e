package kafka

import (
	"context"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streamsql/streamsql/connector"
	"github.com/streamsql/streamsql/connector/kafka/broker"
	"github.com/streamsql/streamsql/sql/sqlerr"
)

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for range 500 {
		if ok() {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Fatalf("never: %s", what)
}

// TestBrokerRestart: a broker that goes away is trouble, not an error, and no
// partition counts as read to its end meanwhile.
func TestBrokerRestart(t *testing.T) {
	dir := t.TempDir()
	b, err := broker.Start("127.0.0.1:0", dir, broker.Topic{Name: "t", Partitions: 2})
	if err != nil {
		t.Fatal(err)
	}
	send(t, producer(t, b), 0, 0, 10)
	g := open(t, source(t, config(b, rowCols)), nil, nil)
	g.rowsUntil(10)
	b.Close()
	away, stop := context.WithTimeout(t.Context(), 1500*time.Millisecond)
	defer stop()
	closed := time.Now()
	for {
		fs, err := g.r.Fetch(away, 100)
		if away.Err() != nil {
			break
		}
		if err != nil {
			t.Fatalf("without a broker: %v", err)
		}
		for _, f := range fs {
			if g.take(f); f.AtEnd && time.Since(closed) > time.Second {
				t.Fatal("a partition is at its end without a broker")
			}
		}
	}
	if err := g.r.Trouble(); err == nil || !strings.Contains(err.Error(), b.Addr()) {
		t.Fatalf("the trouble is %v", err)
	}
	b2, err := broker.Start(b.Addr(), dir)
	if err != nil {
		t.Fatal(err)
	}
	defer b2.Close()
	send(t, producer(t, b2), 0, 10, 20)
	g.rowsUntil(20)
	g.want(map[int32][]int64{0: ints(0, 20)})
	eventually(t, "the trouble ends", func() bool { return g.r.Trouble() == nil })
}

func TestNewPartitions(t *testing.T) {
	b := startBroker(t, broker.Topic{Name: "t", Partitions: 1})
	p := producer(t, b, kgo.MetadataMinAge(50*time.Millisecond))
	send(t, p, 0, 0, 3)
	// A new partition is read from its first record, whatever the mode.
	g := open(t, source(t, config(b, rowCols, "scan.startup.mode", "latest")), nil, nil)
	g.until("the end", func() bool { return g.atEnd[0] })
	if _, err := kadm.NewClient(p.Client()).CreatePartitions(t.Context(), 1, "t"); err != nil {
		t.Fatal(err)
	}
	q := producer(t, b)
	send(t, q, 1, 0, 5)
	send(t, q, 0, 3, 4)
	g.rowsUntil(6)
	g.want(map[int32][]int64{0: ints(3, 4), 1: ints(0, 5)})
}

func TestTransactions(t *testing.T) {
	b := startBroker(t, broker.Topic{Name: "t", Partitions: 1})
	p := producer(t, b, kgo.TransactionalID("x"))
	n := 0
	txn := func(end kgo.TransactionEndTry) {
		t.Helper()
		if err := p.Client().BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		send(t, p, 0, n, n+3)
		n += 3
		if err := p.Client().EndTransaction(t.Context(), end); err != nil {
			t.Fatal(err)
		}
	}
	txn(kgo.TryCommit)
	txn(kgo.TryAbort)
	txn(kgo.TryCommit)
	txn(kgo.TryAbort)
	s := source(t, config(b, rowCols))
	end, err := s.End(t.Context())
	if err != nil || end[0] != 16 { // four of three records and a mark
		t.Fatalf("the end is %v, %v", end, err)
	}
	rows := append(ints(0, 3), ints(6, 9)...)
	g := open(t, s, nil, end) // it ends with an aborted transaction
	g.eof()
	g.want(map[int32][]int64{0: rows})
	g = open(t, s, nil, connector.Positions{0: 14}) // within the aborted one
	g.eof()
	g.want(map[int32][]int64{0: rows})
	g = open(t, source(t, config(b, rowCols, "properties.isolation.level", "read_uncommitted")), nil, end)
	g.eof()
	g.want(map[int32][]int64{0: ints(0, 12)})

	// What is open is not there yet, and the partition is at its end before it.
	if err := p.Client().BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	send(t, p, 0, 12, 14)
	g = open(t, s, nil, nil)
	g.until("the stable end", func() bool { return g.atEnd[0] })
	g.want(map[int32][]int64{0: rows})
	if err := p.Client().EndTransaction(t.Context(), kgo.TryCommit); err != nil {
		t.Fatal(err)
	}
	g.rowsUntil(8)
}

// TestExpired: the position's records are gone.
func TestExpired(t *testing.T) {
	for _, c := range []struct {
		policy string
		from   connector.Positions
		rows   []int64
		resets int
	}{
		{"earliest", connector.Positions{0: 3}, ints(6, 11), 1},
		{"latest", connector.Positions{0: 3}, ints(10, 11), 1},
		{"earliest", connector.Positions{0: 30}, ints(6, 11), 1},
		{"earliest", connector.Positions{0: 6}, ints(6, 11), 0},
		{"fail", connector.Positions{0: 3}, nil, 0},
		{"fail", connector.Positions{0: 30}, nil, 0},
		{"fail", nil, ints(6, 11), 0},
	} {
		t.Run(fmt.Sprint(c.policy, c.from), func(t *testing.T) {
			b := startBroker(t, broker.Topic{Name: "t", Partitions: 1})
			p := producer(t, b)
			send(t, p, 0, 0, 10)
			if err := b.Cluster().DeleteRecords("t", 0, 6); err != nil {
				t.Fatal(err)
			}
			g := open(t, source(t, config(b, rowCols, "on_offset_out_of_range", c.policy)), c.from, nil)
			if c.rows == nil {
				g.fails(sqlerr.ObjectNotInState, fmt.Sprintf("there is no offset %d", c.from[0]))
				return
			}
			g.until("the end", func() bool { return g.atEnd[0] })
			send(t, p, 0, 10, 11)
			g.rowsUntil(len(c.rows))
			g.want(map[int32][]int64{0: c.rows})
			if len(g.resets) != c.resets {
				t.Errorf("resets: %q", g.resets)
			}
		})
	}
}

// TestExpiredBound: all before the bound is gone.
func TestExpiredBound(t *testing.T) {
	b := startBroker(t, broker.Topic{Name: "t", Partitions: 1})
	p := producer(t, b)
	send(t, p, 0, 0, 10)
	s := source(t, config(b, rowCols, "on_offset_out_of_range", "earliest"))
	if err := b.Cluster().DeleteRecords("t", 0, 10); err != nil {
		t.Fatal(err)
	}
	g := open(t, s, connector.Positions{0: 2}, connector.Positions{0: 8})
	g.eof()
	if g.count() != 0 || len(g.resets) != 1 || g.next[0] != 8 {
		t.Fatalf("%d rows, resets %q, next %v", g.count(), g.resets, g.next)
	}
}

// TestCompactedTail: offsets without records before the bound.
func TestCompactedTail(t *testing.T) {
	b := startBroker(t, broker.Topic{Name: "t", Partitions: 1, Configs: map[string]string{"cleanup.policy": "compact"}})
	p := producer(t, b)
	for i := range 10 {
		p.Send("t", 0, []byte("k"), fmt.Appendf(nil, `{"n":%d}`, i))
		if err := p.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	b.Cluster().Compact()
	g := open(t, source(t, config(b, rowCols)), nil, connector.Positions{0: 7})
	g.eof()
	if g.count() != 0 {
		t.Fatalf("offsets %v", g.offsets)
	}
}

// TestEmptyBatch: a batch that compaction emptied is the last before the bound.
// franz-go reads past it and tells nobody.
func TestEmptyBatch(t *testing.T) {
	b := startBroker(t, broker.Topic{Name: "t", Partitions: 1})
	send(t, producer(t, b), 0, 0, 15)
	empty := kmsg.RecordBatch{FirstOffset: 10, LastOffsetDelta: 4, Magic: 2, PartitionLeaderEpoch: 0, ProducerID: -1, ProducerEpoch: -1, FirstSequence: -1}
	raw := empty.AppendTo(nil)
	binary.BigEndian.PutUint32(raw[8:], uint32(len(raw)-12))
	binary.BigEndian.PutUint32(raw[17:], crc32.Checksum(raw[21:], crc32.MakeTable(crc32.Castagnoli)))
	cl := b.Cluster()
	cl.ControlKey(int16(kmsg.Fetch), func(r kmsg.Request) (kmsg.Response, error, bool) {
		cl.KeepControl()
		req := r.(*kmsg.FetchRequest)
		if len(req.Topics) == 0 || req.Topics[0].Partitions[0].FetchOffset >= 15 {
			return nil, nil, false
		}
		resp := req.ResponseKind().(*kmsg.FetchResponse)
		p := kmsg.NewFetchResponseTopicPartition()
		p.HighWatermark, p.LastStableOffset, p.LogStartOffset, p.RecordBatches = 15, 15, 0, raw
		rt := kmsg.NewFetchResponseTopic()
		rt.Topic, rt.TopicID, rt.Partitions = req.Topics[0].Topic, req.Topics[0].TopicID, []kmsg.FetchResponseTopicPartition{p}
		resp.Topics = []kmsg.FetchResponseTopic{rt}
		return resp, nil, true
	})
	s := source(t, config(b, rowCols))
	g := open(t, s, connector.Positions{0: 10}, connector.Positions{0: 13})
	g.eof()
	if g.count() != 0 || g.next[0] != 13 {
		t.Fatalf("%d rows, next %v", g.count(), g.next)
	}
	g = open(t, s, connector.Positions{0: 10}, nil)
	g.until("the end", func() bool { return g.atEnd[0] && g.next[0] == 15 })
}

func TestRecreated(t *testing.T) {
	for _, policy := range []string{"earliest", "fail"} {
		b := startBroker(t, broker.Topic{Name: "t", Partitions: 2})
		send(t, producer(t, b), 0, 0, 10)
		s := source(t, config(b, rowCols, "on_topic_recreated", policy))
		id, err := s.(*Source).TopicID(t.Context())
		if err != nil || len(id) != 32 {
			t.Fatalf("the topic's identity is %q, %v", id, err)
		}
		g := open(t, s, nil, nil)
		g.rowsUntil(10)
		if err := b.Cluster().DeleteTopic("t"); err != nil {
			t.Fatal(err)
		}
		away, stop := context.WithTimeout(t.Context(), 10*time.Second)
		for g.r.Trouble() == nil && away.Err() == nil {
			short, cancel := context.WithTimeout(away, 50*time.Millisecond)
			if _, err := g.r.Fetch(short, 10); err != nil && short.Err() == nil {
				t.Fatalf("a deleted topic may come back: %v", err)
			}
			cancel()
		}
		stop()
		if err := g.r.Trouble(); err == nil {
			t.Fatal("a deleted topic is no trouble")
		}
		if err := b.Cluster().CreateTopic("t", 1, nil); err != nil {
			t.Fatal(err)
		}
		send(t, producer(t, b), 0, 100, 103)
		if policy == "fail" {
			g.fails(sqlerr.ObjectNotInState, "created again")
		} else {
			g.rowsUntil(13)
			g.want(map[int32][]int64{0: append(ints(0, 10), ints(100, 103)...)})
			if len(g.resets) != 1 || g.next[0] != 3 {
				t.Errorf("resets %q, next %v", g.resets, g.next)
			}
		}
		// A reader that was not there when it happened knows by the identity, or
		// by a partition that is missing.
		for _, o := range []open1{{[]string{"topic.id", id}, connector.Positions{0: 1}}, {nil, connector.Positions{0: 1, 1: 0}}} {
			g := open(t, source(t, config(b, rowCols, append(o.opts, "on_topic_recreated", policy)...)), o.from, nil)
			if policy == "fail" {
				g.fails(sqlerr.ObjectNotInState, "created again")
				continue
			}
			g.rowsUntil(3)
			g.want(map[int32][]int64{0: ints(100, 103)})
		}
	}
}

type open1 struct {
	opts []string
	from connector.Positions
}
