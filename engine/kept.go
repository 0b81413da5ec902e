package engine

import (
	"encoding/json"
	"math"
	"time"

	"github.com/streamsql/streamsql/sql/catalog"
	"github.com/streamsql/streamsql/sql/delta"
	"github.com/streamsql/streamsql/sql/plan"
	"github.com/streamsql/streamsql/sql/types"
)

// Internal relations hold what did not go into an answer: the records of a
// source that did not decode, the rows of a view that came too late. They
// belong to their owner, are read like tables, and are bounded: by age and by
// bytes, the oldest going first.

// kept is the retention of an internal relation.
type kept struct {
	age     int64 // µs
	max     int64 // bytes of keys
	bytes   int64
	dropped int64 // rows dropped before their age, since the engine started
	gone    int   // counts the times that rows went
	oldest  int64 // no row came before, µs; 0: unknown, MaxInt64: there is none
}

func newKept(options map[string]string) (*kept, error) {
	age, err := durationOption(options, optDeadRetention, defaultRetention)
	if err != nil {
		return nil, err
	}
	max, err := sizeOption(options, optDeadMax, defaultKeptBytes)
	if err != nil {
		return nil, err
	}
	return &kept{age: age.Microseconds(), max: max}, nil
}

// keptOf is the retention of internal relation o, by its owner's options, which
// were checked when that was made.
func keptOf(o *catalog.Object, owner map[string]string) *kept {
	if o.Column("late_by") >= 0 {
		if r, err := readLate(owner); err == nil {
			return r.kept
		}
	} else if k, err := newKept(owner); err == nil {
		return k
	}
	return &kept{age: defaultRetention.Microseconds(), max: defaultKeptBytes}
}

// count sets the bytes after a restart.
func (r *relation) countKept() {
	cur := r.main.tree.Cursor()
	for ok := cur.Next(); ok; ok = cur.Next() {
		r.kept.bytes += int64(len(cur.Key())) * cur.Weight()
	}
}

const timeColumn = "time" // when the engine took the row: what retention counts from

// deadObject is the catalog's entry of <source>_dead_letters.
func deadObject(src *catalog.Object) *catalog.Object {
	return &catalog.Object{
		Schema: src.Schema, Name: src.Name + "_dead_letters", Kind: catalog.Table, Owner: src.ID, AppendOnly: false,
		Columns: []catalog.Column{
			{Name: "partition", Type: types.Of(types.Int4)},
			{Name: "offset", Type: types.Of(types.Int8)},
			{Name: "bytes", Type: types.Of(types.Bytea)},
			{Name: "reason", Type: types.Of(types.Text)},
			{Name: timeColumn, Type: types.Of(types.Timestamptz)},
		},
	}
}

func newBatchOf(o *catalog.Object) *delta.Batch {
	b := &delta.Batch{}
	for _, c := range o.Columns {
		b.Cols = append(b.Cols, delta.NewVec(c.Type, 8))
	}
	return b
}

// keepDead adds dead letters to a source's relation.
func (e *Engine) keepDead(a *attempt, s *source, rows []deadRow, now int64) *change {
	c := &change{}
	b := newBatchOf(s.dead.obj)
	for _, d := range rows {
		b.Cols[0].AppendInt(int64(d.part))
		b.Cols[1].AppendInt(d.offset)
		b.Cols[2].AppendBytes(d.bytes)
		b.Cols[3].AppendBytes([]byte(d.reason))
		b.Cols[4].AppendInt(now)
		if b.N++; b.N == delta.MaxRows {
			c.add(b)
			b = newBatchOf(s.dead.obj)
		}
	}
	c.add(b)
	a.join(s.dead)
	if err := s.dead.keep(c, now); err != nil {
		e.opts.Log.Error("dead letters could not be kept", "source", s.obj.Name, "rows", len(rows), "error", err)
		a.leave(s.dead)
		return &change{}
	}
	return c
}

// keep adds rows to an internal relation and drops what is too old or too much;
// c then has the rows dropped too.
func (r *relation) keep(c *change, now int64) error {
	for _, b := range c.batches {
		var key []byte
		for i := range b.N {
			key = appendRow(key[:0], b, i, r.main.order)
			r.kept.bytes += int64(len(key))
		}
	}
	if err := r.apply(c); err != nil {
		return err
	}
	r.kept.oldest = min(r.kept.oldest, now)
	gone, err := r.expire(now)
	if err != nil {
		return err
	}
	if gone.rows > 0 {
		r.kept.gone++
		for _, b := range gone.batches {
			c.add(b)
		}
		*c = *c.consolidate()
	}
	return nil
}

// expiryEvery is how often rows that have become too old are looked for, where no
// new ones come.
const expiryEvery = time.Second

// expireKept takes out of the internal relations what has become too old; those
// who read them learn of it in the next step.
func (e *Engine) expireKept() {
	now := e.clock.now()
	if now-e.lastExpiry < expiryEvery.Microseconds() {
		return
	}
	e.lastExpiry = now
	for _, r := range e.relations {
		if r.kept == nil || e.dml.changes[r.obj.ID] != nil {
			continue
		}
		if r.kept.oldest >= now-r.kept.age {
			continue
		}
		before := *r.kept
		r.begin()
		gone, err := r.expire(now)
		if err != nil {
			r.rollback()
			*r.kept = before
			e.opts.Log.Error("old rows could not be dropped", "relation", r.obj.Name, "error", err)
			continue
		}
		r.commit()
		if gone.rows > 0 {
			r.kept.gone++
			e.pending(r.obj.ID, gone)
		}
	}
}

// untilExpiry is when expireKept has to look next.
func (e *Engine) untilExpiry() (time.Duration, bool) {
	if _, manual := e.clock.read(); manual {
		return 0, false // ADVANCE CLOCK steps
	}
	d, ok := int64(math.MaxInt64), false
	now := e.clock.now()
	for _, r := range e.relations {
		if r.kept == nil {
			continue
		}
		if t := r.kept.oldest; t < math.MaxInt64 {
			d, ok = min(d, t+r.kept.age-now), true
		}
	}
	return max(time.Duration(d)*time.Microsecond, expiryEvery), ok
}

// expire takes out the rows that are too old or too much.
func (r *relation) expire(now int64) (*change, error) {
	if r.kept.bytes <= r.kept.max && r.kept.oldest >= now-r.kept.age {
		return &change{}, nil
	}
	all := make([]int, len(r.types))
	for i := range all {
		all[i] = i
	}
	rr := newRowReader(r, r.main, all)
	c := &change{}
	var ws []int64
	flush := func() error {
		b := rr.take()
		if b == nil {
			return nil
		}
		b.W, ws = ws, nil
		c.add(b)
		return r.apply(&change{batches: []*delta.Batch{b}, rows: b.N})
	}
	cur := r.main.tree.Cursor()
	bytes, oldest := r.kept.bytes, int64(math.MaxInt64)
	for ok := cur.Seek(nil); ok; ok = cur.Next() {
		key := cur.Key()
		if bytes <= r.kept.max {
			t, _, err := types.DecodeKey(key, r.types[r.main.order[0]], false)
			if err != nil {
				return nil, err
			}
			if t.I >= now-r.kept.age {
				oldest = t.I
				break
			}
		} else {
			r.kept.dropped += cur.Weight()
		}
		bytes -= int64(len(key)) * cur.Weight()
		if err := rr.add(key); err != nil {
			return nil, err
		}
		if ws = append(ws, -cur.Weight()); rr.n == delta.MaxRows {
			next := append([]byte(nil), key...)
			if err := flush(); err != nil {
				return nil, err
			}
			cur.Seek(next) // the key itself is gone: this stands on what follows
			if !cur.Valid() {
				break
			}
			cur.Prev()
		}
	}
	r.kept.bytes, r.kept.oldest = bytes, oldest
	return c, flush()
}

// rowJSON is a row as jsonb, by column names.
func rowJSON(cols []plan.Column, b *delta.Batch, i int) []byte {
	m := make(map[string]any, len(b.Cols))
	for c, v := range b.Cols {
		if c >= len(cols) {
			break
		}
		m[cols[c].Name] = jsonValue(v, i)
	}
	return types.AppendJSONB(nil, m)
}

func jsonValue(v *delta.Vec, i int) any {
	if v.Null(i) {
		return nil
	}
	switch v.T.ID {
	case types.Bool:
		return v.I[i] != 0
	case types.Int2, types.Int4, types.Int8, types.OID:
		return json.Number(types.FormatText(nil, v.T, cell(v, i)))
	case types.Float4, types.Float8:
		if f := v.F[i]; !math.IsNaN(f) && !math.IsInf(f, 0) {
			return json.Number(types.FormatText(nil, v.T, cell(v, i)))
		}
	case types.Numeric:
		if b := v.Bytes(i); len(b) > 0 && b[0] < types.NumericNaN {
			return json.Number(types.FormatText(nil, v.T, cell(v, i)))
		}
	}
	return string(types.FormatText(nil, v.T, cell(v, i)))
}
