package engine

import (
	"context"
	"fmt"
	"slices"

	"github.com/streamsql/streamsql/connector"
	"github.com/streamsql/streamsql/sql/ast"
	"github.com/streamsql/streamsql/sql/catalog"
	"github.com/streamsql/streamsql/sql/delta"
	"github.com/streamsql/streamsql/sql/sqlerr"
	"github.com/streamsql/streamsql/sql/types"
)

// REPLAY DEAD LETTERS: records that did not decode are read once more, from where
// they came from, and decoded as the source is defined now. Those that decode
// leave <source>_dead_letters and go into the views as rows of one step.
//
// A record is among the dead letters or in every view that reads the source,
// never both: a backfill reads the history as the source is defined now, so it
// passes over records that are still among the dead letters.

// deadLetter is a row of <source>_dead_letters.
type deadLetter struct {
	part   int32
	offset int64
	bytes  []byte
	reason string
	time   int64
	weight int64
}

type recordAt struct {
	part   int32
	offset int64
}

// replayDead is REPLAY DEAD LETTERS FROM.
func (x *ddlRun) replayDead(s *ast.Replay) (string, error) {
	o, err := x.cat.Relation(s.Name.Parts, x.d.Path, s.Name.Offset())
	if err != nil {
		return "", err
	}
	if o.Kind != catalog.Source {
		return "", sqlerr.New(sqlerr.WrongObjectType, `"%s" is not a source`, o.Name).At(s.Name.Offset())
	}
	var letters []deadLetter
	err = x.onLoop(func() error {
		src := x.e.sources[o.ID]
		if src == nil {
			return sqlerr.New(sqlerr.UndefinedTable, `"%s" does not exist`, o.Name)
		}
		if err := x.e.settled(src); err != nil {
			return err
		}
		letters, err = readLetters(src.dead, nil)
		return err
	})
	if err != nil || len(letters) == 0 {
		return "REPLAY DEAD LETTERS 0", err
	}
	again, err := x.e.readAgain(x.ctx, o, letters)
	if err != nil {
		return "", err
	}
	rows, left := 0, 0
	err = x.onLoop(func() (err error) {
		rows, left, err = x.e.takeAgain(o, again)
		return err
	})
	if err != nil {
		return "", err
	}
	if left > 0 {
		x.d.notice("00000", "%d records of source %q still do not decode, or are no longer there", left, o.Name)
	}
	return fmt.Sprintf("REPLAY DEAD LETTERS %d", rows), nil
}

// readLetters returns the dead letters for which want is true; nil: all.
func readLetters(r *relation, want func(time int64) bool) ([]deadLetter, error) {
	rr := newRowReader(r, r.main, []int{0, 1, 2, 3, 4})
	var out []deadLetter
	cur := r.main.tree.Cursor()
	for ok := cur.Seek(nil); ok; ok = cur.Next() {
		if want != nil {
			t, _, err := types.DecodeKey(cur.Key(), r.types[r.main.order[0]], false)
			if err != nil {
				return nil, err
			}
			if !want(t.I) { // they are in the order of time
				break
			}
		}
		if err := rr.add(cur.Key()); err != nil {
			return nil, err
		}
		b := rr.take()
		l := deadLetter{part: int32(b.Cols[0].I[0]), offset: b.Cols[1].I[0], time: b.Cols[4].I[0], weight: cur.Weight()}
		if !b.Cols[2].Null(0) {
			l.bytes = b.Cols[2].Bytes(0)
		}
		l.reason = string(b.Cols[3].Bytes(0))
		out = append(out, l)
	}
	return out, r.err()
}

// decoded are records that were read again.
type decoded struct {
	batches []fetched           // rows of dead letters alone, offsets set
	has     map[recordAt]bool   // in batches
	dead    map[recordAt]string // those that do not decode, with the reason
}

// readerGap is how far apart two records may be that one reader reads.
const readerGap = 1 << 12

// readAgain reads the records of dead letters.
func (e *Engine) readAgain(ctx context.Context, o *catalog.Object, letters []deadLetter) (*decoded, error) {
	cfg := connectorConfig(o)
	cfg.Known = true
	conn, err := connector.NewSource(cfg)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }()
	cv, err := newConverter(o, e.currentCatalog().Env, &e.clock)
	if err != nil {
		return nil, err
	}
	rest := map[int32][]int64{}
	for _, l := range letters {
		rest[l.part] = append(rest[l.part], l.offset)
	}
	for p := range rest {
		slices.Sort(rest[p])
		rest[p] = slices.Compact(rest[p])
	}
	d := &decoded{has: map[recordAt]bool{}, dead: map[recordAt]string{}}
	var held int64
	for len(rest) > 0 {
		from, until, want := connector.Positions{}, connector.Positions{}, map[recordAt]bool{}
		for p, offs := range rest {
			n := 1
			for n < len(offs) && offs[n]-offs[n-1] <= readerGap {
				n++
			}
			for _, at := range offs[:n] {
				want[recordAt{p, at}] = true
			}
			from[p], until[p] = offs[0], offs[n-1]+1
			if rest[p] = offs[n:]; n == len(offs) {
				delete(rest, p)
			}
		}
		err := readRange(ctx, historyOf(conn), cv, from, until, func(f *fetched) error {
			for _, l := range f.dead {
				if at := (recordAt{f.part, l.offset}); want[at] {
					d.dead[at] = l.reason
				}
			}
			if f.batch == nil {
				return nil
			}
			var sel []int32
			var offsets []int64
			for i := range f.batch.N {
				if at := (recordAt{f.part, f.offset(i)}); want[at] && !d.has[at] {
					d.has[at] = true
					sel, offsets = append(sel, int32(i)), append(offsets, at.offset)
				}
			}
			if len(sel) == 0 {
				return nil
			}
			b := f.batch.Gather(sel)
			if held += batchBytes(b); held > e.opts.StatementMemory {
				return sqlerr.New(sqlerr.OutOfMemory, "out of memory").
					WithDetail("The dead letters of the source exceed the statement's %d bytes.", e.opts.StatementMemory)
			}
			again := fetched{part: f.part, batch: b, rows: b.N, offsets: offsets, maxTime: f.maxTime}
			if cv.time >= 0 {
				again.maxTime = latest(b.Cols[cv.time], b.W)
			}
			d.batches = append(d.batches, again)
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return d, nil
}

// takeAgain takes the dead letters that decode now out of their relation and has
// a step carry them into the views, on the loop. It returns how many these are,
// and how many are left.
func (e *Engine) takeAgain(o *catalog.Object, d *decoded) (rows, left int, err error) {
	src := e.sources[o.ID]
	if src == nil || src.obj != o {
		return 0, 0, sqlerr.New(sqlerr.ObjectNotInState, "source %q was changed meanwhile", o.Name).WithHint("Try again.")
	}
	if err := e.settled(src); err != nil {
		return 0, 0, err
	}
	letters, err := readLetters(src.dead, nil)
	if err != nil {
		return 0, 0, err
	}
	there := map[recordAt]bool{}
	dc := &change{}
	b := newBatchOf(src.dead.obj)
	put := func(l *deadLetter, reason string, w int64) {
		b.Cols[0].AppendInt(int64(l.part))
		b.Cols[1].AppendInt(l.offset)
		if l.bytes == nil {
			b.Cols[2].AppendNull()
		} else {
			b.Cols[2].AppendBytes(l.bytes)
		}
		b.Cols[3].AppendBytes([]byte(reason))
		b.Cols[4].AppendInt(l.time)
		b.W = append(b.W, w)
		if b.N++; b.N == delta.MaxRows {
			dc.add(b)
			b = newBatchOf(src.dead.obj)
		}
	}
	for i := range letters {
		l := &letters[i]
		at := recordAt{l.part, l.offset}
		reason, dead := d.dead[at]
		switch {
		case d.has[at]:
			put(l, l.reason, -l.weight)
			there[at] = true
		case dead && reason != l.reason:
			put(l, l.reason, -l.weight)
			put(l, reason, l.weight)
			left++
		default:
			left++
		}
	}
	dc.add(b)
	if dc.rows == 0 {
		return 0, left, nil
	}
	src.dead.begin()
	if err := src.dead.apply(dc); err != nil {
		src.dead.rollback()
		return 0, 0, err
	}
	src.dead.commit()
	src.dead.kept.bytes = 0
	src.dead.countKept()
	src.skip = nil
	c := &change{}
	now := e.clock.now()
	for i := range d.batches {
		f := &d.batches[i]
		var sel []int32
		for k, off := range f.offsets { // one may have expired meanwhile
			if there[recordAt{f.part, off}] {
				sel = append(sel, int32(k))
			}
		}
		if len(sel) < f.batch.N {
			f.batch = f.batch.Gather(sel)
		}
		rows += len(sel)
		c.add(src.stamp(f.batch, now))
		if p := src.parts[f.part]; p != nil && f.batch.N > 0 {
			src.observe(p, f, now) // for the watermark at the end of the step
		}
	}
	e.pending(src.dead.obj.ID, dc)
	if c.rows > 0 {
		e.pending(o.ID, c)
	}
	e.change(nil, nil, nil) // the statement waits for a checkpoint that has it
	e.step()
	return rows, left, nil
}

// deadOffsets are records that were among the dead letters when the source was
// last altered, and still are.
type deadOffsets struct {
	of  *catalog.Object
	gen int
	at  map[recordAt]bool
}

// without takes the rows out of what a backfill has read that are still among
// the dead letters: the views that were there have not seen them either.
func (s *source) without(f fetched) (fetched, error) {
	if s.obj.Altered == 0 || f.batch == nil || s.dead == nil {
		return f, nil
	}
	if s.skip == nil || s.skip.of != s.obj || s.skip.gen != s.dead.kept.gone {
		letters, err := readLetters(s.dead, func(t int64) bool { return t <= s.obj.Altered })
		if err != nil {
			return f, err
		}
		s.skip = &deadOffsets{s.obj, s.dead.kept.gone, map[recordAt]bool{}}
		for _, l := range letters {
			s.skip.at[recordAt{l.part, l.offset}] = true
		}
	}
	if len(s.skip.at) == 0 {
		return f, nil
	}
	var keep []int32
	var offsets []int64
	for i := range f.batch.N {
		if off := f.offset(i); !s.skip.at[recordAt{f.part, off}] {
			keep, offsets = append(keep, int32(i)), append(offsets, off)
		}
	}
	if len(keep) < f.batch.N {
		f.batch, f.rows, f.offsets = f.batch.Gather(keep), len(keep), offsets
		if f.rows == 0 {
			f.batch = nil
		}
	}
	return f, nil
}
