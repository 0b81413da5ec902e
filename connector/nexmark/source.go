package nexmark

import (
	"context"
	"io"
	"math"
	"slices"
	"time"

	"github.com/streamsql/streamsql/connector"
	"github.com/streamsql/streamsql/sql/delta"
	"github.com/streamsql/streamsql/sql/sqlerr"
	"github.com/streamsql/streamsql/sql/types"
)

// Start returns the first event of each split.
func (s *Source) Start(context.Context) (connector.Positions, error) {
	out := connector.Positions{}
	for p := range s.splits {
		out[int32(p)] = s.first(p, 0)
	}
	return out, nil
}

// End returns where a source with an end ends.
func (s *Source) End(context.Context) (connector.Positions, error) {
	if s.events == endless {
		return nil, sqlerr.New(sqlerr.ObjectNotInState, "the generator has no end").
			WithHint("Set the option nexmark.event.num.")
	}
	out := connector.Positions{}
	for p := range s.splits {
		out[int32(p)] = s.events
	}
	return out, nil
}

// Close does nothing: a source holds nothing.
func (s *Source) Close() error { return nil }

// first returns the first event from n on that is of split p.
func (s *Source) first(p, n int64) int64 {
	epoch := n / perEpoch
	if skip := (p - epoch%s.splits + s.splits) % s.splits; skip > 0 {
		n = (epoch + skip) * perEpoch
	}
	return min(n, s.events)
}

type split struct{ id, next, limit int64 }

type reader struct {
	*Source
	parts []split
	ids   []int64
	hints []int
	rows  [3][]int32 // of each kind, when there are several
	of    [3][delta.MaxRows / 64]uint64
	from  int64 // the event at which the clock started
	start time.Time
	last  time.Time
}

// Open starts a reader.
func (s *Source) Open(_ context.Context, from, until connector.Positions) (connector.Reader, error) {
	for _, ps := range []connector.Positions{from, until} {
		for p, n := range ps {
			if int64(p) >= s.splits || p < 0 || n < 0 {
				return nil, sqlerr.New(sqlerr.InvalidParameter, "there is no split %d with an offset %d", p, n).
					WithHint("nexmark.split.num must stay as it was.")
			}
		}
	}
	r := &reader{Source: s, start: time.Now(), from: math.MaxInt64, hints: make([]int, len(s.cols))}
	for p := range s.splits {
		limit := s.events
		if until != nil {
			n, ok := until[int32(p)]
			if !ok {
				continue
			}
			limit = min(limit, n)
		}
		next := s.first(p, from[int32(p)])
		r.parts = append(r.parts, split{p, next, limit})
		r.from = min(r.from, next)
	}
	return r, nil
}

// OpenHistory implements connector.History: events that came before are there, and
// are not waited for.
func (s *Source) OpenHistory(ctx context.Context, from, until connector.Positions) (connector.Reader, error) {
	c := *s
	c.gap = 0
	return c.Open(ctx, from, until)
}

// settle is how long a reader lets events gather: single ones cost as much.
const settle = 5 * time.Millisecond

// available returns the number of the event after those that came by now.
func (r *reader) available(now time.Time) int64 {
	if r.gap == 0 {
		return endless
	}
	return r.from + now.Sub(r.start).Nanoseconds()/r.gap + 1
}

// Fetch returns the next events of the split that is furthest behind.
func (r *reader) Fetch(ctx context.Context, maxRows int) ([]connector.Fetch, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	var p *split
	for i := range r.parts {
		if q := &r.parts[i]; q.next < q.limit && (p == nil || q.next < p.next) {
			p = q
		}
	}
	if p == nil {
		return nil, io.EOF
	}
	upTo := int64(endless)
	if r.gap > 0 {
		due := r.start.Add(time.Duration((p.next - r.from) * r.gap))
		if s := r.last.Add(settle); due.Before(s) {
			due = s
		}
		if err := sleep(ctx, time.Until(due)); err != nil {
			return nil, err
		}
		r.last = time.Now()
		upTo = max(r.available(r.last), p.next+1)
	}
	if maxRows < 1 || maxRows > r.chunk {
		maxRows = r.chunk
	}
	r.collect(p, min(upTo, p.limit), maxRows)
	f := connector.Fetch{Partition: int32(p.id), Next: min(p.next, p.limit), AtEnd: p.next >= min(upTo, p.limit)}
	if n := len(r.ids); n > 0 {
		if r.ids[0] != f.Next-int64(n) {
			f.Offsets = slices.Clone(r.ids)
		}
		f.Batch = r.batch(p.id)
	}
	return []connector.Fetch{f}, nil
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

// collect gathers into r.ids the numbers of the events to return.
func (r *reader) collect(p *split, limit int64, maxRows int) {
	r.ids = r.ids[:0]
	skip := (r.splits - 1) * perEpoch
	for p.next < limit && len(r.ids) < maxRows {
		if n := p.next; r.all || kindOf(r.gen.id(n)) == r.kind {
			r.ids = append(r.ids, n)
		}
		if p.next++; skip > 0 && p.next%perEpoch == 0 {
			p.next += skip
		}
	}
}

func (r *reader) batch(part int64) *delta.Batch {
	b := &delta.Batch{N: len(r.ids), Cols: make([]*delta.Vec, len(r.cols))}
	for i := range r.cols {
		c := &r.cols[i]
		if c.meta == "offset" || c.meta == "partition" {
			v := delta.NewVec(c.typ, len(r.ids))
			for _, n := range r.ids {
				if c.meta == "partition" {
					n = part
				}
				v.AppendInt(n)
			}
			b.Cols[i] = v
		}
	}
	if r.gen.group > 1 {
		for i, n := range r.ids {
			r.ids[i] = r.gen.id(n)
		}
	}
	if r.all {
		r.sortKinds()
	}
	for i := range r.cols {
		c := &r.cols[i]
		switch {
		case b.Cols[i] != nil:
		case c.meta == "timestamp":
			b.Cols[i] = r.ints(c.typ, dateTime)
		case r.all:
			b.Cols[i] = r.mixed(c, &r.hints[i])
		case c.ints[r.kind] != nil:
			b.Cols[i] = r.ints(c.typ, c.ints[r.kind])
		default:
			b.Cols[i] = r.texts(c.typ, c.text[r.kind], &r.hints[i])
		}
	}
	return b
}

func (r *reader) ints(t types.Type, f intFn) *delta.Vec {
	v := delta.NewVec(t, len(r.ids))
	for _, id := range r.ids {
		v.I = append(v.I, f(&r.gen, id))
	}
	v.N = len(r.ids)
	return v
}

func (r *reader) texts(t types.Type, f textFn, hint *int) *delta.Vec {
	v := delta.NewVec(t, len(r.ids))
	v.Buf = make([]byte, 0, *hint*len(r.ids)+64)
	for _, id := range r.ids {
		v.Buf = f(&r.gen, v.Buf, id)
		v.Off = append(v.Off, int32(len(v.Buf)))
	}
	v.N = len(r.ids)
	*hint = len(v.Buf)/len(r.ids) + 1
	return v
}

// sortKinds notes which rows are of which kind.
func (r *reader) sortKinds() {
	for k := range r.rows {
		r.rows[k] = r.rows[k][:0]
		clear(r.of[k][:])
	}
	for i, id := range r.ids {
		k := kindOf(id)
		r.rows[k] = append(r.rows[k], int32(i))
		r.of[k][i>>6] |= 1 << (uint(i) & 63)
	}
}

// mixed fills a column of a source with events of all kinds.
func (r *reader) mixed(c *column, hint *int) *delta.Vec {
	n := len(r.ids)
	v := &delta.Vec{T: c.typ, N: n}
	for k := range c.ints {
		if c.ints[k] != nil || c.text[k] != nil {
			continue
		}
		if v.Nulls == nil {
			v.Nulls = make([]uint64, (n+63)/64)
		}
		for i := range v.Nulls {
			v.Nulls[i] |= r.of[k][i]
		}
	}
	if c.typ.Phys() == types.PhysInt {
		v.I = make([]int64, n)
		for k, f := range c.ints {
			if f != nil {
				for _, i := range r.rows[k] {
					v.I[i] = f(&r.gen, r.ids[i])
				}
			}
		}
		return v
	}
	v.Off = make([]int32, n+1)
	v.Buf = make([]byte, 0, *hint*n+64)
	for i, id := range r.ids {
		if f := c.text[kindOf(id)]; f != nil {
			v.Buf = f(&r.gen, v.Buf, id)
		}
		v.Off[i+1] = int32(len(v.Buf))
	}
	*hint = len(v.Buf)/n + 1
	return v
}

// Trouble returns nil: nothing can keep a generator from generating.
func (r *reader) Trouble() error { return nil }

// Close does nothing.
func (r *reader) Close() error { return nil }
