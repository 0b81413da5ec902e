package kafka

import (
	"context"
	"encoding/hex"
	"fmt"
	"maps"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streamsql/streamsql/connector"
	"github.com/streamsql/streamsql/sql/sqlerr"
)

const (
	// A bounded read waits for a round when nothing is left to fetch.
	roundTime        = time.Second
	boundedRoundTime = 200 * time.Millisecond
	failedRoundTime  = 250 * time.Millisecond
	// roundLimit is how long the brokers may take to answer.
	roundLimit = 3 * time.Second
	// kickPause keeps a partition that fails at once from asking without end.
	kickPause = 100 * time.Millisecond
)

// watcher asks from time to time where the topic ends, whether it has new
// partitions and whether it is still the same topic.
type watcher struct {
	*reader
	id      string // of the topic that is read
	now     string // as of the last look
	gone    bool   // the positions are of a topic that is no more
	parts   kadm.PartitionDetails
	known   map[int32]bool // the poller has them
	initial map[int32]bool // was there when the source was first read
	looked  time.Time      // at the topic
	saved   time.Time      // the group's positions
	wrote   connector.Positions
	before  connector.Positions // where the partitions stood a round ago
}

func (w *watcher) loop() {
	w.known = map[int32]bool{}
	w.id = w.o.topicID
	for {
		kicked := false
		pause := roundTime
		if w.until != nil {
			pause = boundedRoundTime
		}
		err := w.round()
		if w.ctx.Err() == nil {
			w.watched(err)
		}
		if err != nil {
			pause = failedRoundTime
		}
		t := time.NewTimer(pause)
		select {
		case <-w.ctx.Done():
			t.Stop()
			w.save(true)
			return
		case <-w.kick:
			kicked = true
			w.looked = time.Time{}
		case <-t.C:
		}
		t.Stop()
		w.save(false)
		if kicked {
			select {
			case <-time.After(kickPause):
			case <-w.ctx.Done():
			}
		}
	}
}

func (w *watcher) round() error {
	ctx, cancel := context.WithTimeout(w.ctx, roundLimit)
	defer cancel()
	var n news
	if time.Since(w.looked) >= w.o.discovery {
		t, err := w.topic(ctx)
		if err != nil {
			return err
		}
		w.looked, w.parts = time.Now(), t.Partitions
		if err := w.identify(&n, t.ID); err != nil {
			w.tell(news{err: err})
			return err
		}
	}
	err := w.findNew(ctx, &n)
	if n.recreated != "" && err != nil {
		w.looked = time.Time{} // once more, as a whole: the poller will forget what it knew
		return err
	}
	ends, eerr := w.list(ctx, last)
	if n.ends = ends; err == nil {
		err = eerr
	}
	w.findStuck(ctx, &n)
	if n.recreated != "" {
		clear(w.known)
		w.gone = true
	}
	for id := range n.starts {
		w.known[id] = true
	}
	w.id = w.now
	w.tell(n)
	return err
}

func errRecreated(topic string) error {
	return sqlerr.New(sqlerr.ObjectNotInState, `kafka topic "%s" was deleted and created again: the positions are those of another topic`, topic).
		WithHint("Set on_topic_recreated to 'earliest' to read the new topic from its start, or create the source anew.")
}

// identify tells whether the topic is the one that was read before.
func (w *watcher) identify(n *news, id kadm.TopicID) error {
	if id == (kadm.TopicID{}) {
		return nil
	}
	w.now = hex.EncodeToString(id[:])
	again := w.id != "" && w.id != w.now
	for _, ps := range []connector.Positions{w.from, w.until} {
		for p := range ps {
			if _, ok := w.parts[p]; !ok && !w.gone {
				again = true // Kafka takes no partition from a topic
			}
		}
	}
	switch {
	case !again:
	case w.o.recreated == failPolicy:
		return errRecreated(w.o.topic)
	default:
		n.recreated = fmt.Sprintf(`topic "%s" was deleted and created again; going on at the new one's start`, w.o.topic)
	}
	return nil
}

// findNew finds where new partitions start, and, when a position was lost, the
// first offsets.
func (w *watcher) findNew(ctx context.Context, n *news) error {
	again := n.recreated != ""
	if w.initial == nil && len(w.parts) > 0 {
		w.initial = map[int32]bool{}
		for p := range w.parts {
			// With positions, a partition that they lack came later.
			w.initial[p] = len(w.from) == 0
		}
	}
	// How a partition that is not read yet starts: where a position says, where
	// the options say, or at its first record.
	fresh := map[int32]listing{}
	asked := map[listing]connector.Positions{given: w.from}
	for p := range w.parts {
		if w.known[p] && !again {
			continue
		}
		how := first
		if _, ok := w.from[p]; ok && !again && !w.gone {
			how = given
		} else if w.initial[p] && !again && !w.gone {
			how = started
		}
		fresh[p] = how
		if _, ok := asked[how]; !ok {
			asked[how] = nil
		}
	}
	w.mu.Lock()
	for _, q := range w.reader.parts {
		if q.lost {
			asked[first] = nil
		}
	}
	w.mu.Unlock()
	var err error
	for _, how := range []listing{first, started} {
		if _, ok := asked[how]; ok {
			l, lerr := w.list(ctx, how)
			if asked[how] = l; lerr != nil {
				err = lerr
			}
		}
	}
	n.first, n.starts = asked[first], connector.Positions{}
	for p, how := range fresh {
		if at, ok := asked[how][p]; ok {
			n.starts[p] = at
		} else if again && err == nil {
			err = sqlerr.New(codeConnection, `kafka topic "%s", partition %d: its start is not known yet`, w.o.topic, p)
		}
	}
	return err
}

// tell hands news to the poller, together with what it has not taken yet.
func (w *watcher) tell(n news) {
	w.mu.Lock()
	defer w.mu.Unlock()
	old := &w.reader.news
	if w.hasNews && old.err != nil {
		return
	}
	if w.hasNews && n.recreated == "" {
		if n.recreated = old.recreated; len(old.starts) > 0 {
			maps.Copy(old.starts, n.starts)
			n.starts = old.starts
		}
	}
	w.reader.news, w.hasNews = n, true
	if w.wake != nil {
		w.wake()
	}
}

// save commits the positions to the group, for others to see.
func (w *watcher) save(final bool) {
	if w.o.group == "" || w.until != nil || !final && time.Since(w.saved) < w.o.commit {
		return
	}
	w.saved = time.Now()
	w.mu.Lock()
	at := w.release
	if at == nil {
		at = w.given
	}
	at = at.Clone()
	w.mu.Unlock()
	if len(at) == 0 || maps.Equal(at, w.wrote) {
		return
	}
	cl, err := w.admin()
	if err != nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(w.ctx), time.Second)
	defer cancel()
	os := kadm.Offsets{}
	for p, off := range at {
		os.Add(kadm.Offset{Topic: w.o.topic, Partition: p, At: off, LeaderEpoch: -1})
	}
	// Nothing depends on it, and the next one says the same.
	if kadm.NewClient(cl).CommitAllOffsets(ctx, w.o.group, os) == nil {
		w.wrote = at
	}
}

// findStuck looks at partitions that stand still before their end: what is left
// may hold nothing to read (compacted away, or aborted), and then franz-go moves
// past it without a word.
func (w *watcher) findStuck(ctx context.Context, n *news) {
	now := connector.Positions{}
	w.mu.Lock()
	for p, q := range w.reader.parts {
		if end, ok := n.ends[p]; ok && w.wake != nil && !q.lost && !w.hold[p] && q.next < end && q.next < q.limit {
			now[p] = q.next
		}
	}
	w.mu.Unlock()
	n.skipped, n.seen = connector.Positions{}, now
	for p, at := range now {
		if was, ok := w.before[p]; ok && was == at {
			if next, ok := w.probe(ctx, p, at); ok {
				n.skipped[p] = next
			}
		}
	}
	w.before = now
}

// probe fetches once, and returns the offset after what holds no records.
func (w *watcher) probe(ctx context.Context, p int32, at int64) (int64, bool) {
	d, ok := w.parts[p]
	cl, err := w.admin()
	if !ok || err != nil {
		return 0, false
	}
	id, err := hex.DecodeString(w.id)
	if err != nil {
		return 0, false
	}
	iso, level := kgo.ReadCommitted(), int8(1)
	if w.o.uncommitted {
		iso, level = kgo.ReadUncommitted(), 0
	}
	fp := kmsg.NewFetchRequestTopicPartition()
	fp.Partition, fp.FetchOffset, fp.PartitionMaxBytes = p, at, w.o.partBytes
	ft := kmsg.NewFetchRequestTopic()
	ft.Topic, ft.Partitions = w.o.topic, []kmsg.FetchRequestTopicPartition{fp}
	copy(ft.TopicID[:], id)
	req := kmsg.NewPtrFetchRequest()
	req.IsolationLevel, req.MaxBytes, req.MinBytes, req.MaxWaitMillis = level, w.o.partBytes, 1, 100
	req.Topics = []kmsg.FetchRequestTopic{ft}
	kresp, err := cl.Broker(int(d.Leader)).RetriableRequest(ctx, req)
	if err != nil {
		return 0, false
	}
	for _, t := range kresp.(*kmsg.FetchResponse).Topics {
		for i := range t.Partitions {
			if t.Partitions[i].Partition != p {
				continue
			}
			f, next := kgo.ProcessFetchPartition(kgo.ProcessFetchPartitionOpts{
				KeepControlRecords: true, Offset: at, IsolationLevel: iso, Topic: w.o.topic, Partition: p,
			}, &t.Partitions[i], kgo.DefaultDecompressor(), nil)
			return next, f.Err == nil && len(f.Records) == 0 && next > at
		}
	}
	return 0, false
}
