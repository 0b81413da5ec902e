package kafka

import (
	"math"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/streamsql/streamsql/connector"
	"github.com/streamsql/streamsql/connector/json"
	"github.com/streamsql/streamsql/sql/sqlerr"
)

type startMode uint8

const (
	earliest startMode = iota
	latest
	byTimestamp
	byOffset
)

// policy says what to do about a position that is no more.
type policy uint8

const (
	failPolicy policy = iota
	earliestPolicy
	latestPolicy
)

type options struct {
	topic   string
	brokers []string
	mode    startMode
	hasMode bool
	millis  int64
	offsets connector.Positions
	group   string
	client  string

	uncommitted bool
	json        json.Options
	outOfRange  policy
	recreated   policy
	topicID     string
	check       bool

	maxRecord   int
	maxResponse int32 // a response of a broker
	maxBatch    int   // a batch of records, unpacked
	fetchBytes  int32
	partBytes   int32
	discovery   time.Duration
	commit      time.Duration

	security
}

func invalid(format string, args ...any) *sqlerr.Error {
	return sqlerr.New(sqlerr.InvalidParameter, format, args...)
}

type setting struct {
	names []string // the first is the one that messages use
	set   func(o *options, v string) error
}

func text(names []string, to func(*options) *string) setting {
	return setting{names, func(o *options, v string) error { *to(o) = v; return nil }}
}

func choice[T any](names []string, to func(*options) *T, values map[string]T) setting {
	return setting{names, func(o *options, v string) error {
		x, ok := values[strings.ToLower(v)]
		if !ok {
			known := make([]string, 0, len(values))
			for k := range values {
				known = append(known, "'"+k+"'")
			}
			sort.Strings(known)
			return invalid(`option %s: "%s" is none of %s`, names[0], v, strings.Join(known, ", "))
		}
		*to(o) = x
		return nil
	}}
}

func number[T int | int32 | int64](names []string, to func(*options) *T, least, most T) setting {
	return setting{names, func(o *options, v string) error {
		n, err := strconv.ParseInt(v, 10, 64)
		if err != nil || n < int64(least) || n > int64(most) {
			return invalid(`option %s: "%s" is no whole number from %d to %d`, names[0], v, least, most)
		}
		*to(o) = T(n)
		return nil
	}}
}

// duration takes Go's form (10s, 500ms), Flink's with a space (10 s), and a bare
// number of milliseconds.
func duration(names []string, to func(*options) *time.Duration, least time.Duration) setting {
	return setting{names, func(o *options, v string) error {
		s := strings.ReplaceAll(v, " ", "")
		if _, err := strconv.Atoi(s); err == nil {
			s += "ms"
		}
		d, err := time.ParseDuration(strings.TrimSuffix(s, "in"))
		if err != nil || d < least {
			return invalid(`option %s: "%s" is no duration from %s`, names[0], v, least)
		}
		*to(o) = d
		return nil
	}}
}

var settings = append([]setting{
	text([]string{"topic"}, func(o *options) *string { return &o.topic }),
	{[]string{"properties.bootstrap.server", "properties.bootstrap.servers"}, setBrokers},
	{[]string{"scan.startup.mode"}, setMode},
	number([]string{"scan.startup.timestamp.millis", "scan.startup.timestamp-millis"},
		func(o *options) *int64 { return &o.millis }, 0, math.MaxInt64),
	{[]string{"scan.startup.specific-offsets"}, setOffsets},
	text([]string{"properties.group.id"}, func(o *options) *string { return &o.group }),
	text([]string{"properties.client.id"}, func(o *options) *string { return &o.client }),
	choice([]string{"properties.isolation.level"}, func(o *options) *bool { return &o.uncommitted },
		map[string]bool{"read_committed": false, "read_uncommitted": true}),
	choice([]string{"on_missing_field", "missing.field"}, func(o *options) *bool { return &o.json.MissingIsError },
		map[string]bool{"null": false, "error": true}),
	choice([]string{"on_unknown_field", "unknown.field"}, func(o *options) *bool { return &o.json.UnknownIsError },
		map[string]bool{"ignore": false, "error": true}),
	choice([]string{"on_offset_out_of_range", "properties.auto.offset.reset"}, func(o *options) *policy { return &o.outOfRange },
		map[string]policy{"fail": failPolicy, "none": failPolicy, "earliest": earliestPolicy, "latest": latestPolicy}),
	choice([]string{"on_topic_recreated"}, func(o *options) *policy { return &o.recreated },
		map[string]policy{"fail": failPolicy, "earliest": earliestPolicy}),
	text([]string{"topic.id"}, func(o *options) *string { return &o.topicID }),
	choice([]string{"check.topic"}, func(o *options) *bool { return &o.check },
		map[string]bool{"true": true, "false": false}),
	number([]string{"scan.max.record.bytes"}, func(o *options) *int { return &o.maxRecord }, 1, 1<<30),
	number([]string{"properties.receive.message.max.bytes"}, func(o *options) *int32 { return &o.maxResponse }, 1<<20, math.MaxInt32),
	number([]string{"scan.max.batch.bytes"}, func(o *options) *int { return &o.maxBatch }, 1<<20, math.MaxInt32),
	number([]string{"properties.fetch.max.bytes"}, func(o *options) *int32 { return &o.fetchBytes }, 1, math.MaxInt32),
	number([]string{"properties.max.partition.fetch.bytes", "properties.fetch.message.max.bytes"},
		func(o *options) *int32 { return &o.partBytes }, 1, math.MaxInt32),
	duration([]string{"properties.topic.metadata.refresh.interval.ms", "scan.topic-partition-discovery.interval",
		"properties.metadata.max.age.ms"}, func(o *options) *time.Duration { return &o.discovery }, 100*time.Millisecond),
	duration([]string{"properties.auto.commit.interval.ms"}, func(o *options) *time.Duration { return &o.commit }, 10*time.Millisecond),
	// Formats are the config's; Flink also writes them here.
	choice([]string{"format", "value.format"}, func(*options) *struct{} { return &struct{}{} }, map[string]struct{}{"json": {}}),
}, securitySettings...)

func parseOptions(given map[string]string) (*options, error) {
	o := &options{
		client: "streamsql", check: true,
		maxRecord: 64 << 20, maxResponse: 256 << 20, maxBatch: 512 << 20,
		fetchBytes: 16 << 20, partBytes: 1 << 20,
		discovery: 10 * time.Second, commit: 5 * time.Second,
	}
	known := map[string]bool{"connector": true}
	for _, s := range settings {
		var by string
		for _, n := range s.names {
			known[n] = true
			v, ok := given[n]
			switch {
			case !ok:
				continue
			case by != "" && given[by] != v:
				return nil, invalid("the options %s and %s are the same and differ", by, n)
			}
			by = n
			if err := s.set(o, v); err != nil {
				return nil, err
			}
		}
	}
	for n := range given {
		// The others are refused when the source is made.
		if fam, _, _ := strings.Cut(n, "."); !known[n] && (fam == "properties" || fam == "scan" || strings.HasPrefix(n, "topic")) {
			return nil, unknownOption(n)
		}
	}
	return o, o.complete(given)
}

// optionNames are all names of options.
func optionNames() (out []string) {
	for _, s := range settings {
		out = append(out, s.names...)
	}
	return out
}

func unknownOption(n string) error {
	names := make([]string, 0, len(settings))
	for _, s := range settings {
		names = append(names, s.names[0])
	}
	sort.Strings(names)
	return invalid(`unknown option "%s"`, n).WithHint("Known options: %s.", strings.Join(names, ", "))
}

// complete checks what one option alone does not tell.
func (o *options) complete(given map[string]string) error {
	if o.topic == "" {
		return invalid("a kafka source needs the option topic")
	}
	if len(o.brokers) == 0 {
		return invalid("a kafka source needs the option properties.bootstrap.server").
			WithHint("It is a list of host:port, separated by commas.")
	}
	hasMillis := given["scan.startup.timestamp.millis"] != "" || given["scan.startup.timestamp-millis"] != ""
	if hasMillis && !o.hasMode {
		o.mode = byTimestamp
	}
	switch {
	case o.mode == byTimestamp && !hasMillis:
		return invalid("scan.startup.mode 'timestamp' needs the option scan.startup.timestamp.millis")
	case o.mode != byTimestamp && hasMillis:
		return invalid("scan.startup.timestamp.millis needs scan.startup.mode 'timestamp'")
	case o.mode == byOffset && o.offsets == nil:
		return invalid("scan.startup.mode 'specific-offsets' needs the option scan.startup.specific-offsets")
	}
	o.maxRecord = min(o.maxRecord, o.maxBatch)
	o.partBytes = min(o.partBytes, o.maxResponse)
	o.fetchBytes = min(o.fetchBytes, o.maxResponse)
	return o.security.complete()
}

// fixed are the options that say which records there are, and what their offsets
// are; the offset of a dead letter must go on to mean the same records.
var fixed = []string{
	"topic", "topic.id", "scan.startup.mode", "scan.startup.timestamp.millis", "scan.startup.timestamp-millis",
	"scan.startup.specific-offsets", "properties.isolation.level", "scan.max.batch.bytes", "format", "value.format",
}

// alterable tells whether an option may change in the life of a source.
func alterable(name string) bool {
	return slices.Contains(optionNames(), name) && !slices.Contains(fixed, name)
}
