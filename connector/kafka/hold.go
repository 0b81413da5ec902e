package kafka

import (
	"maps"
	"slices"

	"github.com/streamsql/streamsql/connector"
)

var _ connector.Holder = (*reader)(nil)

// Hold implements connector.Holder.
func (r *reader) Hold(partitions []int32) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.hold, r.holdNews = map[int32]bool{}, true
	for _, p := range partitions {
		r.hold[p] = true
	}
	if r.wake != nil {
		r.wake()
	}
}

// applyHold has the client fetch what is not held, and nothing else. held is what
// the client leaves out so far.
func (p *poller) applyHold() {
	p.mu.Lock()
	if !p.holdNews {
		p.mu.Unlock()
		return
	}
	want := maps.Clone(p.hold)
	p.holdNews = false
	p.mu.Unlock()
	var pause, resume []int32
	for id := range want {
		if !p.held[id] {
			pause = append(pause, id)
		}
	}
	for id := range p.held {
		// A partition that is read to its bound stays as it is.
		if q := p.parts[id]; !want[id] && (q == nil || q.next < q.limit) {
			resume = append(resume, id)
		}
	}
	slices.Sort(pause)
	slices.Sort(resume)
	p.held = want
	if len(pause) > 0 {
		p.cl.PauseFetchPartitions(map[string][]int32{p.o.topic: pause})
	}
	if len(resume) > 0 {
		p.cl.ResumeFetchPartitions(map[string][]int32{p.o.topic: resume})
	}
}
