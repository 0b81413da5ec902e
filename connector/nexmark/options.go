package nexmark

import (
	"math"
	"sort"
	"strconv"
	"strings"

	"github.com/streamsql/streamsql/connector"
	"github.com/streamsql/streamsql/sql/delta"
	"github.com/streamsql/streamsql/sql/sqlerr"
	"github.com/streamsql/streamsql/sql/types"
)

func init() { connector.RegisterSource("nexmark", New) }

const endless = math.MaxInt64 / 2

// defaultGap is the time between events, in ns, of a source without an end.
const defaultGap = 100_000

// Source is the events of one kind, or all.
type Source struct {
	gen    generator
	all    bool
	kind   kind
	cols   []column
	events int64 // the number of the event after the last; endless
	splits int64
	gap    int64 // between events, in ns; 0: as fast as they are read
	chunk  int   // the most rows of a fetch
}

// column is a column that was asked for.
type column struct {
	typ types.Type
	field
	meta string
}

// intOptions are the options with a number, by name, and the least they may be.
func (s *Source) intOptions() map[string]struct {
	to    *int64
	least int64
} {
	type o = struct {
		to    *int64
		least int64
	}
	g := &s.gen
	return map[string]o{
		"nexmark.event.num":               {&s.events, 0},
		"nexmark.split.num":               {&s.splits, 1},
		"nexmark.min.event.gap.in.ns":     {&s.gap, 0},
		"nexmark.first.event.rate":        {&g.rate, 1},
		"nexmark.out.of.order.group.size": {&g.group, 1},
		"nexmark.active.people":           {&g.active, 1},
		"nexmark.in.flight.auctions":      {&g.inFlight, 1},
		"nexmark.hot.auction.ratio":       {&g.hotAuction, 1},
		"nexmark.hot.bidder.ratio":        {&g.hotBidder, 1},
		"nexmark.hot.seller.ratio":        {&g.hotSeller, 1},
		"nexmark.avg.person.byte.size":    {&g.personBytes, 0},
		"nexmark.avg.auction.byte.size":   {&g.auctionBytes, 0},
		"nexmark.avg.bid.byte.size":       {&g.bidBytes, 0},
		"nexmark.seed":                    {&g.seed, math.MinInt64},
	}
}

func invalid(format string, args ...any) *sqlerr.Error {
	return sqlerr.New(sqlerr.InvalidParameter, format, args...)
}

// New makes the source that cfg asks for.
func New(cfg connector.Config) (connector.Source, error) {
	base, _ := types.ParseText(types.Of(types.Timestamp), "2015-07-15 00:00:00")
	s := &Source{events: endless, splits: 1, gap: -1, chunk: delta.MaxRows, gen: generator{
		base: base.I, rate: 10_000, group: 1, active: 1000, inFlight: 100,
		hotAuction: 2, hotBidder: 4, hotSeller: 4, personBytes: 200, auctionBytes: 500, bidBytes: 100,
	}}
	ints := s.intOptions()
	paced := false
	for k, v := range cfg.Options {
		if o, ok := ints[k]; ok {
			n, err := strconv.ParseInt(v, 10, 64)
			if err != nil || n < o.least || n > endless {
				return nil, invalid(`option %s: "%s" is no number from %d`, k, v, o.least)
			}
			*o.to = n
			continue
		}
		switch k {
		case "nexmark.table.type":
		case "nexmark.events.per.second":
			paced = true
		case "nexmark.max.chunk.size":
			n, err := strconv.Atoi(v)
			if err != nil || n < 1 {
				return nil, invalid(`option %s: "%s" is no number from 1`, k, v)
			}
			s.chunk = min(n, delta.MaxRows)
		case "nexmark.base.time":
			t, err := types.ParseText(types.Of(types.Timestamp), v)
			if err != nil {
				return nil, invalid(`option %s: %v`, k, err)
			}
			s.gen.base = t.I
		default:
			if k != "connector" && !cfg.Known {
				return nil, unknownOption(k, ints)
			}
		}
	}
	if err := s.pace(paced, cfg.Options["nexmark.events.per.second"]); err != nil {
		return nil, err
	}
	if s.gen.group%953 == 0 || s.gen.group > math.MaxInt32 {
		return nil, invalid("option nexmark.out.of.order.group.size: it must be below 2^31 and no multiple of 953")
	}
	if s.splits > 1024 {
		return nil, invalid("option nexmark.split.num: at most 1024")
	}
	if s.gap > 1e12 || s.gen.rate > 1e9 || s.gen.base > 1<<60 || s.gen.base < -1<<60 {
		return nil, invalid("nexmark.min.event.gap.in.ns is 1e12 at most, nexmark.first.event.rate 1e9, and nexmark.base.time finite")
	}
	for _, n := range []int64{s.gen.personBytes, s.gen.auctionBytes, s.gen.bidBytes} {
		if n > 100_000 {
			return nil, invalid("an average event takes 100000 bytes at most")
		}
	}
	switch t := cfg.Options["nexmark.table.type"]; strings.ToLower(t) {
	case "person":
		s.kind = person
	case "auction":
		s.kind = auction
	case "bid":
		s.kind = bid
	case "":
		s.all = true
	default:
		return nil, invalid(`option nexmark.table.type: "%s" is none of 'Person', 'Auction', 'Bid'`, t)
	}
	if err := s.bind(cfg.Columns); err != nil {
		return nil, err
	}
	return s, nil
}

// pace decides how fast events come. A source with an end is for a measurement,
// and comes as fast as it is read; one without would flood the engine.
func (s *Source) pace(paced bool, perSecond string) error {
	switch {
	case paced && s.gap >= 0:
		return invalid("nexmark.events.per.second and nexmark.min.event.gap.in.ns exclude each other")
	case paced:
		n, err := strconv.ParseFloat(perSecond, 64)
		if err != nil || !(n >= 1e-3 && n <= 1e9) {
			return invalid(`option nexmark.events.per.second: "%s" is no number from 0.001 to 1e9`, perSecond)
		}
		s.gap = int64(1e9 / n)
	case s.gap < 0 && s.events == endless:
		s.gap = defaultGap
	case s.gap < 0:
		s.gap = 0
	}
	return nil
}

func unknownOption[T any](k string, ints map[string]T) error {
	known := []string{"nexmark.table.type", "nexmark.events.per.second", "nexmark.max.chunk.size", "nexmark.base.time"}
	for n := range ints {
		known = append(known, n)
	}
	sort.Strings(known)
	return invalid(`unknown option "%s"`, k).WithHint("Known options: %s.", strings.Join(known, ", "))
}

// bind finds what fills each column.
func (s *Source) bind(cols []connector.Column) error {
	for _, c := range cols {
		if c.Meta != "" {
			want := map[string]types.ID{"partition": types.Int4, "offset": types.Int8, "timestamp": types.Timestamp}
			id, ok := want[c.Meta]
			if !ok {
				return invalid(`column "%s": nexmark has no metadata %s`, c.Name, c.Meta)
			}
			if !fits(id, c.Type) {
				return mistyped(c, id)
			}
			s.cols = append(s.cols, column{typ: c.Type, meta: c.Meta})
			continue
		}
		f := s.field(c.Name)
		if f == nil {
			names := []string{}
			for _, k := range s.columns() {
				names = append(names, k.Name)
			}
			return sqlerr.New(sqlerr.UndefinedColumn, `nexmark has no field "%s" in these events`, c.Name).
				WithHint("Fields: %s.", strings.Join(names, ", "))
		}
		if !fits(f.typ, c.Type) {
			return mistyped(c, f.typ)
		}
		s.cols = append(s.cols, column{typ: c.Type, field: *f})
	}
	return nil
}

func mistyped(c connector.Column, want types.ID) error {
	return sqlerr.New(sqlerr.DatatypeMismatch, `column "%s" is of type %s, but nexmark has %s`, c.Name, c.Type, types.Of(want))
}

// fits tells whether a column of type t holds what a field of type id gives.
func fits(id types.ID, t types.Type) bool {
	switch id {
	case types.Int4, types.Int8:
		return t.ID == types.Int8 || t.ID == id
	case types.Timestamp:
		return (t.ID == types.Timestamp || t.ID == types.Timestamptz) && (t.Mod == 0 || t.Mod >= 4)
	}
	return t.ID == types.Text || t.ID == types.Varchar && t.Mod == 0
}

func (s *Source) field(name string) *field {
	for i := range fields {
		if f := &fields[i]; strings.EqualFold(f.name, name) && s.has(f) {
			return f
		}
	}
	return nil
}

func (s *Source) has(f *field) bool {
	return s.all || f.name != "event_type" && (f.ints[s.kind] != nil || f.text[s.kind] != nil)
}

func (s *Source) columns() []connector.Column {
	var out []connector.Column
	for i := range fields {
		if f := &fields[i]; s.has(f) {
			t := types.Of(f.typ)
			if t.ID == types.Timestamp {
				t.Mod = 4
			}
			out = append(out, connector.Column{Name: f.name, Type: t})
		}
	}
	return out
}

// Columns are the columns that a table type has: Person, Auction, Bid, or
// nothing for the events of all three.
func Columns(table string) ([]connector.Column, error) {
	s, err := New(connector.Config{Options: map[string]string{"nexmark.table.type": table}})
	if err != nil {
		return nil, err
	}
	return s.(*Source).columns(), nil
}
