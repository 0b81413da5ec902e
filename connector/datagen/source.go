package datagen

import (
	"context"
	"io"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/streamsql/streamsql/connector"
	"github.com/streamsql/streamsql/sql/delta"
	"github.com/streamsql/streamsql/sql/sqlerr"
)

func init() { connector.RegisterSource("datagen", New) }

const endless = math.MaxInt64 / 2

// Source makes up rows.
type Source struct {
	fields []*field
	rows   int64         // endless
	ends   bool          // by number-of-rows or by a sequence's end
	gap    time.Duration // between rows; 0: as fast as they are read
}

// New makes the source that cfg asks for.
func New(cfg connector.Config) (connector.Source, error) {
	s := &Source{rows: endless}
	seed, rate := int64(0), -1.0
	own := map[string]opts{}
	for k, v := range cfg.Options {
		switch rest, isField := strings.CutPrefix(k, "fields."); {
		case isField:
			dot := strings.LastIndexByte(rest, '.')
			if dot < 1 {
				return nil, invalid(`option "%s": fields.COLUMN.NAME is the form`, k)
			}
			c, ok := find(cfg.Columns, rest[:dot])
			if !ok {
				return nil, sqlerr.New(sqlerr.UndefinedColumn, `option "%s": there is no column "%s"`, k, rest[:dot])
			}
			if own[c] == nil {
				own[c] = opts{}
			}
			own[c][rest[dot+1:]] = v
		case k == "rows-per-second":
			n, err := strconv.ParseFloat(v, 64)
			if err != nil || !(n >= 1e-3 && n <= 1e9) {
				return nil, invalid(`option %s: "%s" is no number from 0.001 to 1e9`, k, v)
			}
			rate = n
		case k == "number-of-rows":
			n, err := strconv.ParseInt(v, 10, 64)
			if err != nil || n < 0 || n > endless {
				return nil, invalid(`option %s: "%s" is no number from 0`, k, v)
			}
			s.rows, s.ends = n, true
		case k == "seed":
			n, err := strconv.ParseInt(v, 10, 64)
			if err != nil {
				return nil, invalid(`option %s: "%s" is no number`, k, v)
			}
			seed = n
		case k != "connector" && !cfg.Known:
			return nil, invalid(`unknown option "%s"`, k).
				WithHint("Known options: rows-per-second, number-of-rows, seed, and fields.COLUMN.kind, start, end, step, min, max, length, null-rate, seed.")
		}
	}
	for _, c := range cfg.Columns {
		if own[c.Name] == nil {
			own[c.Name] = opts{}
		}
		f, err := newField(c, seed, own[c.Name])
		if err != nil {
			return nil, err
		}
		if f.sequence {
			s.rows = min(s.rows, f.rows)
			s.ends = s.ends || f.ends
		}
		s.fields = append(s.fields, f)
	}
	if rate < 0 && !s.ends {
		rate = 10
	}
	if rate > 0 {
		s.gap = time.Duration(float64(time.Second) / rate)
	}
	return s, nil
}

func find(cols []connector.Column, name string) (string, bool) {
	folded := ""
	for _, c := range cols {
		if c.Name == name {
			return name, true
		}
		if folded == "" && strings.EqualFold(c.Name, name) {
			folded = c.Name
		}
	}
	return folded, folded != ""
}

// Start returns row 0 of the only partition.
func (s *Source) Start(context.Context) (connector.Positions, error) {
	return connector.Positions{0: 0}, nil
}

// End returns where a source with an end ends.
func (s *Source) End(context.Context) (connector.Positions, error) {
	if !s.ends {
		return nil, sqlerr.New(sqlerr.ObjectNotInState, "the generator has no end").
			WithHint("Set the option number-of-rows, or the end of a sequence.")
	}
	return connector.Positions{0: s.rows}, nil
}

// Close does nothing: a source holds nothing.
func (s *Source) Close() error { return nil }

type reader struct {
	*Source
	fields []field // with buffers of its own
	next   int64
	limit  int64
	from   int64
	start  time.Time
	last   time.Time
	hints  []int
}

// Open starts a reader.
func (s *Source) Open(_ context.Context, from, until connector.Positions) (connector.Reader, error) {
	r := &reader{Source: s, next: min(from[0], s.rows), limit: s.rows, start: time.Now(), hints: make([]int, len(s.fields))}
	for _, ps := range []connector.Positions{from, until} {
		for p, n := range ps {
			if p != 0 || n < 0 {
				return nil, invalid("datagen has no partition %d with an offset %d", p, n)
			}
		}
	}
	if until != nil {
		r.limit = min(r.limit, until[0])
	}
	r.from = r.next
	for _, f := range s.fields {
		r.fields = append(r.fields, *f)
	}
	return r, nil
}

// OpenHistory implements connector.History: rows that came before are there, and
// are not waited for.
func (s *Source) OpenHistory(ctx context.Context, from, until connector.Positions) (connector.Reader, error) {
	c := *s
	c.gap = 0
	return c.Open(ctx, from, until)
}

// settle is how long a reader lets rows gather: single ones cost as much.
const settle = 5 * time.Millisecond

// Fetch returns the next rows.
func (r *reader) Fetch(ctx context.Context, maxRows int) ([]connector.Fetch, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if r.next >= r.limit {
		return nil, io.EOF
	}
	upTo := r.limit
	if r.gap > 0 {
		due := r.start.Add(time.Duration(r.next-r.from) * r.gap)
		if s := r.last.Add(settle); due.Before(s) {
			due = s
		}
		if wait := time.Until(due); wait > connector.QuietEvery {
			if err := sleep(ctx, connector.QuietEvery); err != nil {
				return nil, err
			}
			return []connector.Fetch{{Next: r.next, AtEnd: true}}, nil
		}
		if err := sleep(ctx, time.Until(due)); err != nil {
			return nil, err
		}
		r.last = time.Now()
		upTo = min(upTo, max(r.from+int64(r.last.Sub(r.start)/r.gap)+1, r.next+1))
	}
	if maxRows < 1 || maxRows > delta.MaxRows {
		maxRows = delta.MaxRows
	}
	n := int(min(upTo-r.next, int64(maxRows)))
	// Long text is cut into smaller batches.
	size := 0
	for i := range r.fields {
		size += r.fields[i].length
	}
	if size > 0 {
		n = min(n, max(1, (16<<20)/size))
	}
	b := &delta.Batch{N: n, Cols: make([]*delta.Vec, len(r.fields))}
	for i := range r.fields {
		f := &r.fields[i]
		v := delta.NewVec(f.typ, n)
		if v.Off != nil {
			v.Buf = make([]byte, 0, r.hints[i]*n+64)
		}
		for k := range int64(n) {
			f.append(v, r.next+k)
		}
		r.hints[i] = len(v.Buf)/n + 1
		b.Cols[i] = v
	}
	r.next += int64(n)
	return []connector.Fetch{{Batch: b, Next: r.next, AtEnd: r.next >= upTo}}, nil
}

func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// Trouble returns nil: nothing can keep a generator from generating.
func (r *reader) Trouble() error { return nil }

// Close does nothing.
func (r *reader) Close() error { return nil }
