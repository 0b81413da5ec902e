package kafka

import (
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/streamsql/streamsql/connector"
)

// apply takes in what the watcher told.
func (p *poller) apply(n *news) error {
	if n.err != nil {
		return n.err
	}
	if n.recreated != "" {
		if err := p.startOver(); err != nil {
			return err
		}
	}
	p.add(n.starts, n.recreated)
	for _, id := range slices.Sorted(maps.Keys(p.parts)) {
		q := p.parts[id]
		end, hasEnd := n.ends[id]
		if q.lost {
			if at, ok := n.first[id]; ok && hasEnd {
				if err := p.recover(id, q, at, end); err != nil {
					return err
				}
			}
			continue
		}
		if at, ok := n.skipped[id]; ok && q.next == n.seen[id] && q.next < q.limit {
			p.move(q, min(at, q.limit))
			p.emit(id, q, hasEnd && q.next >= end, "")
			p.pause(id, q)
		} else if hasEnd && q.next >= end {
			p.emit(id, q, true, "")
		}
	}
	return nil
}

// add begins to read partitions.
func (p *poller) add(starts connector.Positions, reset string) {
	fetch := map[int32]kgo.Offset{}
	for _, id := range slices.Sorted(maps.Keys(starts)) {
		q := &part{next: starts[id], limit: math.MaxInt64}
		if p.until != nil {
			limit, ok := p.until[id]
			if !ok {
				continue
			}
			q.limit = limit
		}
		_, given := p.from[id]
		q.fresh = !given || reset != ""
		p.mu.Lock()
		p.parts[id] = q
		p.mu.Unlock()
		if q.next < q.limit {
			fetch[id] = kgo.NewOffset().At(q.next)
		}
		// The engine learns where a partition starts before there is a record:
		// a restart would otherwise start elsewhere.
		if q.fresh {
			p.emit(id, q, false, reset)
		}
	}
	if len(fetch) > 0 {
		p.cl.AddConsumePartitions(map[string]map[int32]kgo.Offset{p.o.topic: fetch})
	}
}

// startOver forgets all about a topic that is no more.
func (p *poller) startOver() error {
	if p.until != nil {
		// The bounds were of the old topic's offsets.
		return errRecreated(p.o.topic)
	}
	p.cl.Close()
	p.mu.Lock()
	clear(p.parts)
	p.holdNews = p.hold != nil
	p.mu.Unlock()
	p.held = nil
	return p.connect()
}

// recover goes on after a position was lost, as the policy says.
func (p *poller) recover(id int32, q *part, first, end int64) error {
	if q.next >= first && q.next <= end {
		// It is there: a replica was behind.
		p.move(q, q.next)
		p.seek(id, q.next)
		return nil
	}
	why := fmt.Sprintf(`topic "%s", partition %d: there is no offset %d; the records that there are have offsets from %d to before %d`,
		p.o.topic, id, q.next, first, end)
	to := first
	switch {
	case q.fresh && q.next < first:
		// It expired between two requests, and nobody had read up to it.
	case p.outOfRange == failPolicy:
		return lostPosition("%s", why)
	case p.outOfRange == latestPolicy:
		to = end
	}
	p.move(q, min(to, q.limit))
	p.seek(id, to)
	p.push(&run{Fetch: connector.Fetch{
		Partition: id, Next: q.next, AtEnd: q.next >= end, Resumes: to, Reset: fmt.Sprintf("%s; going on at %d", why, to),
	}})
	p.pause(id, q)
	return nil
}
