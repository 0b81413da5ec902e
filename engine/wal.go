package engine

import (
	"encoding/binary"
	"slices"
	"sync"

	"github.com/streamsql/streamsql/sql/catalog"
	"github.com/streamsql/streamsql/sql/delta"
	"github.com/streamsql/streamsql/sql/sqlerr"
)

// A record of the log is one transaction: a version byte, the epoch of its step
// and the clock (u64 each; not in version 1), then for each batch of rows the
// table (u64), the length (u32) and the batch with its weights as Arrow IPC. The
// rows are physical: defaults, now() and random() are evaluated.
const recordVersion = 2

const recordHead = 1 + 8 + 8

// record makes the record of a transaction; nil: there is nothing to log. Its head
// is filled in by logAll.
func (e *Engine) record(t *tx) ([]byte, error) {
	if e.log == nil {
		return nil, nil
	}
	rec := make([]byte, recordHead, 256)
	rec[0] = recordVersion
	for _, p := range t.ordered() {
		var names []string
		for _, c := range p.rel.obj.Columns {
			names = append(names, c.Name)
		}
		for _, b := range p.batches() {
			at := len(rec)
			rec = append(rec, make([]byte, 12)...)
			var err error
			if rec, err = delta.AppendIPC(rec, names, b); err != nil {
				return nil, err
			}
			binary.LittleEndian.PutUint64(rec[at:], p.rel.obj.ID)
			binary.LittleEndian.PutUint32(rec[at+8:], uint32(len(rec)-at-12))
		}
	}
	if len(rec) == recordHead {
		return nil, nil
	}
	return rec, nil
}

// logAll appends the transactions of a step that can stand to the log. They are
// durable when acked.
func (e *Engine) logAll(a *attempt) error {
	for _, p := range a.in.writes {
		if p.record == nil {
			continue
		}
		binary.LittleEndian.PutUint64(p.record[1:], e.epoch+1)
		binary.LittleEndian.PutUint64(p.record[9:], uint64(a.ctx.Now))
		seq, err := e.log.Append(p.record)
		if err != nil {
			if sqlerr.From(err).Code != "54000" { // too large a record harms nothing but itself
				e.lose(err)
			}
			return err
		}
		e.logSeq, a.seq = seq, seq
		p.record = nil
	}
	return nil
}

// recordStep returns the epoch of a record's step and the clock; 0: the record
// does not tell.
func recordStep(rec []byte) (epoch uint64, clock int64) {
	if len(rec) < recordHead || rec[0] != recordVersion {
		return 0, 0
	}
	return binary.LittleEndian.Uint64(rec[1:]), int64(binary.LittleEndian.Uint64(rec[9:]))
}

// decodeRecord calls fn with the batches of a record.
func decodeRecord(rec []byte, fn func(table uint64, b *delta.Batch) error) error {
	bad := sqlerr.New("XX001", "a record of the write-ahead log does not decode")
	head := recordHead
	switch {
	case len(rec) > 0 && rec[0] == 1:
		head = 1
	case len(rec) < recordHead || rec[0] != recordVersion:
		return bad
	}
	for rec = rec[head:]; len(rec) > 0; {
		if len(rec) < 12 {
			return bad
		}
		id, n := binary.LittleEndian.Uint64(rec), int(binary.LittleEndian.Uint32(rec[8:]))
		rec = rec[12:]
		if n > len(rec) {
			return bad
		}
		_, b, err := delta.DecodeIPC(rec[:n])
		if err != nil {
			return err
		}
		if err := fn(id, b); err != nil {
			return err
		}
		rec = rec[n:]
	}
	return nil
}

// acker answers writers when their records and the catalog that they saw are
// durable and their step is done. It syncs the log beside the step; writers that
// come meanwhile share the next sync.
type acker struct {
	e *Engine

	mu      sync.Mutex
	cond    *sync.Cond
	queue   []*pendingDML
	end     bool
	durable uint64 // version of the catalog
	dead    error
}

func newAcker(e *Engine) *acker {
	a := &acker{e: e}
	a.cond = sync.NewCond(&a.mu)
	return a
}

// put takes the writers of a step that begins.
func (a *acker) put(d *pendingDML) {
	a.mu.Lock()
	a.queue = append(a.queue, d)
	a.mu.Unlock()
	a.cond.Broadcast()
}

// finish ends the goroutine; those who still wait get err.
func (a *acker) finish(err error) {
	a.mu.Lock()
	a.end = true
	if a.dead == nil {
		a.dead = err
	}
	a.mu.Unlock()
	a.cond.Broadcast()
}

// setDurable notes the version of the catalog that a checkpoint holds.
func (e *Engine) setDurable(version uint64) {
	e.acks.mu.Lock()
	e.acks.durable = max(e.acks.durable, version)
	e.acks.mu.Unlock()
	e.acks.cond.Broadcast()
}

// durableVersion is the last version of the catalog that a checkpoint holds.
func (e *Engine) durableVersion() uint64 {
	e.acks.mu.Lock()
	defer e.acks.mu.Unlock()
	return e.acks.durable
}

func (a *acker) run() {
	for {
		a.mu.Lock()
		for len(a.queue) == 0 && !a.end {
			a.cond.Wait()
		}
		ds := a.queue
		a.queue = nil
		a.mu.Unlock()
		if ds == nil {
			return
		}
		var err error
		if a.e.log != nil && ds[len(ds)-1].seq+maxSeq(ds) > 0 {
			if err = a.e.log.Sync(); err != nil {
				a.e.lose(err)
				a.e.poke()
			}
		}
		for _, d := range ds {
			d.answer(a.await(d, err))
		}
	}
}

func maxSeq(ds []*pendingDML) (n uint64) {
	for _, d := range ds {
		n = max(n, d.seq)
	}
	return n
}

// await waits for the end of the step and for the catalog.
func (a *acker) await(d *pendingDML, err error) error {
	if err != nil {
		return err
	}
	select {
	case <-d.stepped:
	case <-a.e.lost:
		return a.e.Err()
	}
	if a.e.store == nil {
		return nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for a.durable < d.version && a.dead == nil && a.e.Err() == nil {
		a.cond.Wait()
	}
	switch {
	case a.durable >= d.version:
		return nil
	case a.e.Err() != nil:
		return a.e.Err()
	}
	return a.dead
}

// replay brings the rows of the log above the checkpoint into the tables and,
// step by step, into the views. Where a table has a watermark, or a view follows
// the clock, the steps are those that there were, at their times: which rows are
// late is what it was.
func (e *Engine) replay(from uint64) error {
	rows, marked, last := 0, false, uint64(0)
	_, manual := e.clock.read()
	defer func() { e.clock.restore(0, manual) }()
	timed := slices.ContainsFunc(e.order, func(j *job) bool { return j.active() && j.df.Timed() })
	err := e.log.Replay(from+1, func(seq uint64, rec []byte) error {
		epoch, clock := recordStep(rec)
		if marked && epoch != last {
			rows, marked = 0, false
			e.step()
		}
		if clock != 0 && epoch != last {
			if timed {
				e.ticksBefore(clock)
			}
			e.clock.restore(clock, true) // each step at its own time
		}
		last = epoch
		e.logSeq = seq
		err := decodeRecord(rec, func(id uint64, b *delta.Batch) error {
			r := e.relations[id]
			if r == nil || r.obj.Kind != catalog.Table {
				return nil // dropped since
			}
			c := &change{}
			c.add(b)
			r.begin()
			if err := r.apply(c); err != nil {
				r.rollback()
				return err
			}
			r.commit()
			e.pending(id, c)
			rows += b.N
			marked = marked || timed || r.marker != nil
			return nil
		})
		if err != nil {
			return err
		}
		if rows >= stepRows && !marked {
			rows = 0
			e.step()
		}
		return nil
	})
	if err == nil && rows > 0 {
		e.step()
	}
	return err
}
