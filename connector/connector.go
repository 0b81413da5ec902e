package connector

import (
	"context"
	"maps"
	"slices"
	"sort"
	"sync"
	"time"

	"github.com/streamsql/streamsql/sql/delta"
	"github.com/streamsql/streamsql/sql/sqlerr"
	"github.com/streamsql/streamsql/sql/types"
)

// Column is a column that a source fills.
type Column struct {
	Name string     `json:"name"`
	Type types.Type `json:"type"`
	// Meta is the metadata it carries: key, timestamp, partition, offset, headers,
	// or header:NAME. Empty: a field of the record.
	Meta string `json:"meta,omitempty"`
}

// Config is what CREATE SOURCE or CREATE SINK says. It is stored in the catalog.
type Config struct {
	Name    string            `json:"name"` // of the relation
	Options map[string]string `json:"options"`
	Columns []Column          `json:"columns"`
	// Format and Encode are of FORMAT … ENCODE …, in lower case; empty: the
	// connector's default (plain json).
	Format string `json:"format,omitempty"`
	Encode string `json:"encode,omitempty"`
	// Retracts says, for a sink, that its relation takes rows back.
	Retracts bool `json:"retracts,omitempty"`
	// Known says that the source was made in an earlier run: whether what it reads
	// is there was asked then, and a restart does not depend on it.
	Known bool `json:"-"`
}

// UnknownOption returns the first option, in the order of names, that is none of
// those known; "" when there is none, and for a source of an earlier run, which
// shall open whatever its options are.
func (c *Config) UnknownOption(known ...string) string {
	if c.Known {
		return ""
	}
	for _, n := range slices.Sorted(maps.Keys(c.Options)) {
		if n != "connector" && !slices.Contains(known, n) {
			return n
		}
	}
	return ""
}

// Positions tells, for each partition, the offset of the next record to read.
// What an offset counts is the connector's choice; it never decreases.
type Positions map[int32]int64

// Clone returns a copy.
func (p Positions) Clone() Positions {
	out := make(Positions, len(p))
	for k, v := range p {
		out[k] = v
	}
	return out
}

// DeadLetter is a record that did not decode.
type DeadLetter struct {
	Offset int64
	Bytes  []byte
	Reason string
	Time   time.Time // the record's own, else when it was read
}

// Fetch is a run of consecutive records of one partition.
type Fetch struct {
	Partition int32
	Batch     *delta.Batch // rows in the order of their offsets; at most delta.MaxRows; may be nil
	// Offsets are those of the batch's rows, ascending; nil: the rows are the last
	// records before Next, one after the other.
	Offsets []int64
	Dead    []DeadLetter
	Next    int64 // the offset after the last record of this fetch, decoded or not
	// AtEnd says that nothing more was there when this was fetched. A reader says
	// so again, with no rows, about every QuietEvery for as long as it finds
	// nothing there; it says nothing while it cannot know (an outage).
	AtEnd bool
	Reset string // not empty: the position jumped, and why (a line for the log)
	// Resumes is, with Reset in a bounded read, the first offset that is there: it
	// may lie beyond the bound, where Next is. 0: it is Next.
	Resumes int64
}

// Offset is the offset of row i of the batch.
func (f *Fetch) Offset(i int) int64 {
	if f.Offsets != nil {
		return f.Offsets[i]
	}
	return f.Next - int64(f.Batch.N) + int64(i)
}

// QuietEvery is how often a reader says that a partition still has nothing.
const QuietEvery = time.Second

// Source is a declared source. It is safe for concurrent use.
type Source interface {
	// Open starts a reader. from says where each partition starts; partitions
	// that it does not name start where the options say. until, when not nil,
	// bounds the read: Fetch returns io.EOF after every partition that it names
	// reached its offset, and reads no other partition.
	Open(ctx context.Context, from, until Positions) (Reader, error)
	// Start returns the positions that the options ask to start from, and End
	// those after the last record that is there now.
	Start(ctx context.Context) (Positions, error)
	End(ctx context.Context) (Positions, error)
	Close() error
}

// History is a Source whose old records expire.
type History interface {
	// OpenHistory is Open for a read of what was read before: where records are
	// gone it starts at the first that are there, whatever the options say, and
	// says so in Fetch.Reset.
	OpenHistory(ctx context.Context, from, until Positions) (Reader, error)
}

// Alterable is a Source with options that do not say which records there are, but
// how they are read and decoded.
type Alterable interface {
	// Alterable tells whether ALTER SOURCE may change an option.
	Alterable(option string) bool
}

// Expiring is a Source that can tell which records are still there.
type Expiring interface {
	// First returns the position of the first record of each partition.
	First(ctx context.Context) (Positions, error)
}

// Pinned is a Source that knows what it reads by more than the options say.
type Pinned interface {
	// Pin returns options that are to be stored beside the given ones, so that
	// a later run notices when it is something else that bears the name.
	Pin() map[string]string
}

// Reader reads a source. It is used by one goroutine.
type Reader interface {
	// Fetch waits for records and returns what has come, about maxRows at most.
	// It retries by itself what may pass (a broker that is away); an error is
	// final, except ctx's and io.EOF, which ends a bounded read or a bounded source.
	Fetch(ctx context.Context, maxRows int) ([]Fetch, error)
	// Trouble returns what keeps the reader from reading at the moment; nil: nothing.
	// It may be called from any goroutine.
	Trouble() error
	Close() error
}

// Holder is a Reader that can leave partitions unread for a while.
type Holder interface {
	// Hold names the partitions of which nothing more is wanted for now, in place
	// of those named before. What was fetched of them may still come. It may be
	// called from any goroutine.
	Hold(partitions []int32)
}

// Sink takes the changes of a relation, epoch by epoch. It is used by one goroutine.
type Sink interface {
	// Write takes the consolidated change of one epoch. Rows arrive again after
	// a restart when their epoch was not durable.
	Write(ctx context.Context, epoch uint64, b *delta.Batch) error
	// Release says that all epochs up to this one are durable: rows of later
	// epochs must not be visible to others yet, when the sink is exactly-once.
	Release(ctx context.Context, epoch uint64) error
	// State is what the sink needs to go on after a restart, as of the last
	// Write; it is stored with the checkpoint and handed to its factory.
	State() []byte
	Close() error
}

// SourceFactory checks a config and makes the source. It must not wait for the
// outside world longer than a few seconds.
type SourceFactory func(cfg Config) (Source, error)

// SinkFactory makes a sink; state is what State returned at the checkpoint that
// the engine restarts from, nil at first.
type SinkFactory func(cfg Config, state []byte) (Sink, error)

var (
	mu      sync.RWMutex
	sources = map[string]SourceFactory{}
	sinks   = map[string]SinkFactory{}
)

// RegisterSource makes a connector known. It panics when the name is taken.
func RegisterSource(name string, f SourceFactory) {
	mu.Lock()
	defer mu.Unlock()
	if sources[name] != nil {
		panic("connector: source " + name + " is registered twice")
	}
	sources[name] = f
}

// RegisterSink makes a sink known. It panics when the name is taken.
func RegisterSink(name string, f SinkFactory) {
	mu.Lock()
	defer mu.Unlock()
	if sinks[name] != nil {
		panic("connector: sink " + name + " is registered twice")
	}
	sinks[name] = f
}

// NewSource makes the source that the option connector names. Unknown names are
// error 22023 with the known ones as a hint.
func NewSource(cfg Config) (Source, error) {
	mu.RLock()
	f := sources[cfg.Options["connector"]]
	mu.RUnlock()
	if f == nil {
		return nil, unknown("source", cfg, sources)
	}
	return f(cfg)
}

// NewSink makes the sink that the option connector names.
func NewSink(cfg Config, state []byte) (Sink, error) {
	mu.RLock()
	f := sinks[cfg.Options["connector"]]
	mu.RUnlock()
	if f == nil {
		return nil, unknown("sink", cfg, sinks)
	}
	return f(cfg, state)
}

func unknown[F any](what string, cfg Config, known map[string]F) error {
	mu.RLock()
	defer mu.RUnlock()
	names := make([]string, 0, len(known))
	for n := range known {
		names = append(names, n)
	}
	sort.Strings(names)
	list := ""
	for i, n := range names {
		if i > 0 {
			list += ", "
		}
		list += "'" + n + "'"
	}
	if cfg.Options["connector"] == "" {
		return sqlerr.New(sqlerr.InvalidParameter, "a %s needs the option connector", what).
			WithHint("Known connectors: %s.", list)
	}
	return sqlerr.New(sqlerr.InvalidParameter, `unknown %s connector "%s"`, what, cfg.Options["connector"]).
		WithHint("Known connectors: %s.", list)
}
