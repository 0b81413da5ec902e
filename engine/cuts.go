package engine

import (
	"context"
	"encoding/binary"
	"maps"
	"slices"
	"time"

	"github.com/streamsql/streamsql/connector"
	"github.com/streamsql/streamsql/sql/exec"
	"github.com/streamsql/streamsql/sql/sqlerr"
	"github.com/streamsql/streamsql/state"
)

// Which rows are late depends on where the source was cut into steps. A source
// with a watermark therefore remembers its cuts: at the end of a step, where each
// partition stood and which watermark held from then on. A view that is created
// later is led through its history along them, and decides as one did that was
// there.
//
// Only steps after which some watermark moved have an entry. The last one gives way
// to the next when no row came behind the watermark that its step began with, in
// any step since the entry before it. That changes no decision: the rows of these
// steps are now judged by an earlier watermark, but stood before the later one
// already, so neither finds them late; and no late row is left to notice whether
// something was closed some steps sooner.
//
// A join closes by the least of its watermarks, so what is late of one source
// depends on the cuts of others. Hence "no row" is of all sources, and an entry is
// made for every source of which something was taken since its last one, whoever's
// watermark moved. So a late row lies before the first entry that anyone had at or
// after its step, and behind all earlier ones: whoever takes the entries of several
// sources in the order of their epochs judges it as its step did.

// sourceCut is where a step left a source.
type sourceCut struct {
	epoch uint64
	wm    int64 // holds from the end of the step on
	at    connector.Positions
}

// cutLog is the cuts of a source. It is state like a table's, under the operator
// of the source's own, and as durable.
type cutLog struct {
	op   uint32
	tree *state.Tree
	last *sourceCut // nil: none
	prev uint64     // the epoch of the entry before
}

// newCuts begins or, in a recovery, brings back the record of a source.
func (e *Engine) newCuts(s *source) {
	if s.obj.Watermark == nil {
		return
	}
	a := &arrangement{obj: s.obj, op: relOp(s.obj), tree: state.NewTree()}
	e.attach(a)
	s.cuts = &cutLog{op: a.op, tree: a.tree}
	if cur := a.tree.Cursor(); cur.Last() {
		s.cuts.last = readCut(cur.Key())
	}
}

// key is the entry: the epoch and the watermark in eight bytes each, then the
// partitions with their positions.
func (c *sourceCut) key() []byte {
	b := binary.BigEndian.AppendUint64(make([]byte, 0, 16+8*len(c.at)), c.epoch)
	b = binary.BigEndian.AppendUint64(b, uint64(c.wm))
	for _, p := range slices.Sorted(maps.Keys(c.at)) {
		b = binary.AppendUvarint(b, uint64(p))
		b = binary.AppendUvarint(b, uint64(c.at[p]))
	}
	return b
}

// readCut is the inverse of key; nil: b is none.
func readCut(b []byte) *sourceCut {
	if len(b) < 16 {
		return nil
	}
	c := &sourceCut{epoch: binary.BigEndian.Uint64(b), wm: int64(binary.BigEndian.Uint64(b[8:])), at: connector.Positions{}}
	for b = b[16:]; len(b) > 0; {
		p, n := binary.Uvarint(b)
		at, m := binary.Uvarint(b[max(n, 0):])
		if n <= 0 || m <= 0 {
			return nil
		}
		c.at[int32(p)] = int64(at)
		b = b[n+m:]
	}
	return c
}

// change makes changes of the record.
func (l *cutLog) change(fn func()) error {
	l.tree.Begin()
	fn()
	l.tree.Commit()
	return l.tree.Err()
}

// add makes c the last entry, in the place of the one before or behind it.
func (l *cutLog) add(c *sourceCut, replace bool) error {
	err := l.change(func() {
		if l.last != nil && (replace || l.last.epoch == c.epoch) {
			l.tree.Add(l.last.key(), -1)
		} else if l.last != nil {
			l.prev = l.last.epoch
		}
		l.tree.Add(c.key(), 1)
	})
	l.last = c
	return err
}

// next is the first entry after an epoch; nil: there is none.
func (l *cutLog) next(epoch uint64) (*sourceCut, error) {
	if l.last == nil || l.last.epoch <= epoch {
		return nil, nil
	}
	cur := l.tree.Cursor()
	if !cur.Seek(binary.BigEndian.AppendUint64(nil, epoch+1)) {
		return nil, l.tree.Err()
	}
	c := readCut(cur.Key())
	if c == nil {
		return nil, sqlerr.New("XX001", "an entry of the watermarks of the past does not decode")
	}
	return c, nil
}

// forget drops the entries that lie wholly before first, where the history that is
// there begins, but for the last of them: it tells the watermark at that place.
func (l *cutLog) forget(first connector.Positions) error {
	var gone [][]byte
	cur := l.tree.Cursor()
	for ok := cur.Seek(nil); ok; ok = cur.Next() {
		c := readCut(cur.Key())
		if c == nil || !c.within(first) {
			break
		}
		gone = append(gone, slices.Clone(cur.Key()))
	}
	if len(gone) < 2 {
		return l.tree.Err()
	}
	return l.change(func() {
		for _, k := range gone[:len(gone)-1] {
			l.tree.Add(k, -1)
		}
	})
}

// forgetCuts drops what a source remembers of records that are gone, unless a
// backfill other than by is on its way along it.
func (e *Engine) forgetCuts(s *source, first connector.Positions, by *input) {
	if s.cuts == nil {
		return
	}
	for _, j := range e.filling {
		if in := j.input(s.obj.ID); in != nil && in != by {
			return
		}
	}
	if err := s.cuts.forget(first); err != nil {
		e.lose(err)
	}
	e.changed = true
}

// A record of so many entries is looked after, every so often.
const (
	manyCuts    = 1000
	forgetEvery = 10 * time.Minute
)

// trimCuts has sources asked where their records begin, beside the loop.
func (e *Engine) trimCuts() {
	for _, s := range e.sources {
		x, ok := s.conn.(connector.Expiring)
		if !ok || s.cuts == nil || s.cuts.tree.Len() < manyCuts || time.Since(s.asked) < forgetEvery {
			continue
		}
		s.asked = time.Now()
		e.background(func() {
			ctx, cancel := context.WithTimeout(e.ctx, time.Minute)
			defer cancel()
			first, err := x.First(ctx)
			if err != nil {
				return // it will be asked again
			}
			_ = e.do(ctx, func() {
				if e.sources[s.obj.ID] == s && e.Err() == nil {
					e.forgetCuts(s, first, nil)
				}
			})
		})
	}
}

// within tells whether the cut lies at or before some positions.
func (c *sourceCut) within(at connector.Positions) bool {
	for p, n := range c.at {
		if n > at[p] {
			return false
		}
	}
	return true
}

// restart begins the record of a source anew whose log another has replaced.
// What was read of the old one still holds the watermark up.
func (l *cutLog) restart(epoch uint64, wm int64) error {
	err := l.change(func() {
		var all [][]byte
		cur := l.tree.Cursor()
		for ok := cur.Seek(nil); ok; ok = cur.Next() {
			all = append(all, slices.Clone(cur.Key()))
		}
		for _, k := range all {
			l.tree.Add(k, -1)
		}
	})
	l.last, l.prev = nil, 0
	if err == nil && wm != exec.NoWatermark {
		err = l.add(&sourceCut{epoch: epoch, wm: wm}, false)
	}
	return err
}

// cutNews is what a step has to say to the record.
type cutNews struct {
	behind bool              // a row came behind its source's watermark
	anew   map[*source]int64 // another log took the place of the source's; the watermark before
}

// restart says that another log took the place of a source's, whose watermark was
// wm before.
func (n *cutNews) restart(s *source, wm int64) {
	if n.anew == nil {
		n.anew = map[*source]int64{}
	}
	n.anew[s] = wm
}

// recordCuts remembers where the step, which stands now, left the sources.
func (e *Engine) recordCuts(n *cutNews) {
	epoch := e.epoch + 1
	for s, wm := range n.anew {
		if err := s.cuts.restart(e.epoch, wm); err != nil {
			e.lose(err)
		}
		n.behind = true // the entry stays
	}
	if n.behind {
		e.lateEpoch = epoch
	}
	moved := false
	for _, s := range e.sources {
		moved = moved || s.cuts != nil && s.wm != s.cuts.wm()
	}
	if !moved {
		return
	}
	for _, s := range e.sources {
		if s.cuts == nil || s.wm == exec.NoWatermark {
			continue
		}
		at, last := s.positions(), s.cuts.last
		if last != nil && last.wm == s.wm && maps.Equal(last.at, at) {
			continue
		}
		if err := s.cuts.add(&sourceCut{epoch: epoch, wm: s.wm, at: at}, last != nil && e.lateEpoch <= s.cuts.prev); err != nil {
			e.lose(err)
		}
		e.grown++
	}
}

func (l *cutLog) wm() int64 {
	if l.last == nil {
		return exec.NoWatermark
	}
	return l.last.wm
}
