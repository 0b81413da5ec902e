package check

import (
	"fmt"
	"sync"

	"github.com/streamsql/streamsql/examples/recommender/plain"
)

// Log is what was written to the topic, by partition in the order of offsets. It
// is safe for concurrent use; a record must be in it before it is in the topic.
type Log struct {
	mu      sync.Mutex
	parts   [][]plain.Event
	broken  map[[2]int64]bool // partition and offset of records that are no events
	records int64
}

// NewLog makes the log of a topic with so many partitions.
func NewLog(partitions int) *Log {
	return &Log{parts: make([][]plain.Event, partitions), broken: map[[2]int64]bool{}}
}

// Add adds the record that follows in a partition; ok is false for one that is no
// event.
func (l *Log) Add(partition int, e plain.Event, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e.Partition, e.Offset = int32(partition), int64(len(l.parts[partition]))
	if !ok {
		l.broken[[2]int64{int64(partition), e.Offset}] = true
	}
	l.parts[partition] = append(l.parts[partition], e)
	l.records++
}

// Records is the number of records so far.
func (l *Log) Records() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.records
}

// upto returns the events below the positions, and how many records were none.
func (l *Log) upto(positions map[int32]int64) (events []plain.Event, broken int, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for p, upto := range positions {
		if int(p) >= len(l.parts) || upto > int64(len(l.parts[p])) {
			return nil, 0, fmt.Errorf("the engine stands at %d of partition %d, where nothing was written yet", upto, p)
		}
		for _, e := range l.parts[p][:upto] {
			if l.broken[[2]int64{int64(p), e.Offset}] {
				broken++
			} else {
				events = append(events, e)
			}
		}
	}
	return events, broken, nil
}
