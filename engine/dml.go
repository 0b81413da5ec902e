package engine

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"

	"github.com/streamsql/streamsql/sql/catalog"
	"github.com/streamsql/streamsql/sql/delta"
	"github.com/streamsql/streamsql/sql/exec"
	"github.com/streamsql/streamsql/sql/expr"
	"github.com/streamsql/streamsql/sql/plan"
	"github.com/streamsql/streamsql/sql/sqlerr"
)

// written is the answer to writes.
type written struct {
	Count     int64
	Returning *delta.Batch // nil: none was asked for
}

// boundWrite is a planned write with its parameters replaced.
type boundWrite struct {
	*plan.Write
	Context *expr.Context
	rows    []*delta.Batch // what INSERT inserts, if not nil; Root is of no use then
}

// pendingWrite is a transaction's writes on their way through the loop.
type pendingWrite struct {
	ctx     context.Context
	writes  []*boundWrite
	sources map[*plan.Node][]*delta.Batch  // what the writes read from sources
	rows    map[*boundWrite][]*delta.Batch // what INSERTs insert, where that is known before
	results []*written
	parts   []tableChange // what it did to the tables
	record  []byte        // of the log
	version uint64        // of the catalog that it saw
	failed  error         // it did nothing: the answer, once those before it stand
	err     error
	done    chan struct{}
	over    atomic.Bool
}

// tableChange is what a transaction changed in one table.
type tableChange struct {
	rel     *relation
	batches []*delta.Batch
}

// undo takes the change out of the table.
func (c *tableChange) undo() error {
	r := c.rel
	r.begin()
	var key []byte
	for i := len(c.batches) - 1; i >= 0; i-- {
		b := c.batches[i]
		for row := b.N - 1; row >= 0; row-- {
			for _, a := range r.all() {
				key = appendRow(key[:0], b, row, a.order)
				a.tree.Add(key, -b.Weight(row))
			}
		}
	}
	if err := r.err(); err != nil {
		r.rollback()
		return err
	}
	r.commit()
	return nil
}

// finish answers the writer; only the first answer counts.
func (p *pendingWrite) finish(err error) {
	if p.over.Swap(true) {
		return
	}
	if p.failed != nil {
		err = p.failed
	}
	p.err = err
	close(p.done)
}

// pendingDML is what was written since the last step.
type pendingDML struct {
	changes map[uint64]*change // what arose between the steps beside the writes
	writes  []*pendingWrite
	bytes   int64         // of rows
	seq     uint64        // of the last record in the log
	version uint64        // of the catalog that the writes saw
	stepped chan struct{} // closed when the views show the writes
}

func (d *pendingDML) pending() bool { return len(d.writes) > 0 }

// answer tells the writers.
func (d *pendingDML) answer(err error) {
	for _, w := range d.writes {
		w.finish(err)
	}
}

// write carries out writes in order, as one transaction: when it returns, the
// rows are durable and every view shows them. UPDATE and DELETE read relations as
// they stand, those before them in the transaction included; what INSERT inserts
// is worked out before, over the last finished epoch, if no write before it in
// the transaction changes what it reads. Sources are read to their end at the
// time of the call.
func (e *Engine) write(ctx context.Context, ws []*boundWrite) ([]*written, error) {
	p := &pendingWrite{
		ctx: ctx, writes: ws, done: make(chan struct{}),
		sources: map[*plan.Node][]*delta.Batch{}, rows: map[*boundWrite][]*delta.Batch{},
	}
	if err := e.readWriteSources(ctx, p); err != nil {
		return nil, err
	}
	changed := map[uint64]bool{}
	for _, w := range ws {
		if w.rows != nil {
			p.rows[w] = w.rows
		} else if w.Kind == plan.Insert {
			if err := e.workOut(p, w, changed); err != nil {
				return nil, err
			}
		}
		changed[w.Table] = true
	}
	c := &command{write: p}
	if err := e.submit(ctx, c); err != nil {
		return nil, err
	}
	if err := e.wait(ctx, c); err != nil {
		return nil, err
	}
	for ended := ctx.Done(); ; ended = nil {
		select {
		case <-p.done:
		case <-ended: // taken back, unless its step is done
			e.wish(func(w *wishes) { w.cancel[p] = true })
			defer e.wish(func(w *wishes) { delete(w.cancel, p) })
			continue
		case <-e.stopped:
			select {
			case <-p.done:
			default:
				return nil, closedError()
			}
		}
		return p.results, p.err
	}
}

// workOut runs the query of an INSERT beside the loop.
func (e *Engine) workOut(p *pendingWrite, w *boundWrite, changed map[uint64]bool) error {
	var ids []uint64
	early := true
	w.Root.Visit(func(n *plan.Node) {
		if n.Op != plan.Scan || p.sources[n] != nil {
			return
		}
		ids = append(ids, n.Relation)
		o := e.currentCatalog().ByID(n.Relation)
		// What a view before it shows depends on the writes before this one.
		early = early && o != nil && (len(changed) == 0 || o.Kind == catalog.Table && o.Owner == 0 && !changed[n.Relation])
	})
	if !early {
		return nil
	}
	var held *pin
	if len(ids) > 0 {
		var err error
		if held, err = e.pin(p.ctx, ids); err != nil {
			return err
		}
		defer held.release()
	}
	ctx := *w.Context
	rows, err := e.collect(p.ctx, p, w, &ctx, func(n *plan.Node, push exec.Emit) error { return held.scan(p.ctx, n, push) })
	p.rows[w] = rows
	return err
}

// collect runs the query of a write and keeps its rows, within the memory of one
// statement.
func (e *Engine) collect(done context.Context, p *pendingWrite, w *boundWrite, ctx *expr.Context, scan func(*plan.Node, exec.Emit) error) ([]*delta.Batch, error) {
	rows := []*delta.Batch{}
	var held int64
	err := e.runOnce(done, w.Root, ctx, func(n *plan.Node, push exec.Emit) error {
		bs, ok := p.sources[n]
		if !ok {
			return scan(n, push)
		}
		for _, b := range bs {
			if err := push(b); err != nil {
				return err
			}
		}
		return nil
	}, func(b *delta.Batch) error {
		rows = append(rows, b)
		if held += batchBytes(b); held > e.opts.StatementMemory {
			return sqlerr.New(sqlerr.OutOfMemory, "out of memory").
				WithDetail("The rows that the statement writes take more than %d bytes.", e.opts.StatementMemory).
				WithHint("Write them in several statements.")
		}
		return nil
	})
	return rows, err
}

// readWriteSources reads, before the loop is asked, what the writes take from
// sources, which may take long.
func (e *Engine) readWriteSources(ctx context.Context, p *pendingWrite) error {
	cat := e.currentCatalog()
	var held int64
	for _, w := range p.writes {
		var err error
		w.Root.Visit(func(n *plan.Node) {
			o := cat.ByID(n.Relation)
			if err != nil || n.Op != plan.Scan || o == nil || o.Kind != catalog.Source || p.sources[n] != nil {
				return
			}
			err = e.readSource(ctx, n, func(b *delta.Batch) error {
				p.sources[n] = append(p.sources[n], b)
				if held += batchBytes(b); held > e.opts.StatementMemory {
					return sqlerr.New(sqlerr.OutOfMemory, "out of memory").
						WithDetail("The rows of the source exceed the statement's %d bytes.", e.opts.StatementMemory)
				}
				return nil
			})
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// apply carries out a transaction's writes on the tables: all or none. The views
// follow in the next step, and if one of them cannot, nothing of it stays.
func (e *Engine) apply(p *pendingWrite) {
	if e.dml.pending() && (e.dml.bytes > e.stepBudget()/4 || e.readsViews(p.writes)) {
		e.step() // what was written before must show in what is read
	}
	d := e.dml
	if err := e.applyWrite(p); err != nil {
		if !d.pending() {
			p.finish(err)
			return
		}
		p.failed = err // those before it may be undone, and it would not fail then
	}
	for _, c := range p.parts {
		for _, b := range c.batches {
			d.bytes += batchBytes(b)
		}
	}
	d.writes = append(d.writes, p)
}

// applyWrite is apply without the step.
func (e *Engine) applyWrite(p *pendingWrite) (err error) {
	t := &tx{e: e, parts: map[uint64]*txPart{}}
	n := len(e.open)
	e.open = append(e.open, t)
	ctx, cancel := context.WithCancelCause(p.ctx)
	stop := context.AfterFunc(e.closing, func() { cancel(closedError()) })
	if err = e.applyAll(ctx, t, p); err == nil {
		p.record, err = e.record(t)
	}
	stop()
	cancel(nil)
	e.open = e.open[:n]
	if err != nil {
		t.rollback()
		p.results = nil
		return err
	}
	t.commit()
	for _, part := range t.ordered() {
		p.parts = append(p.parts, tableChange{part.rel, part.batches()})
		for _, b := range part.batches() {
			e.grown += b.N
			e.taken += batchBytes(b)
		}
	}
	p.version = e.version
	return nil
}

// readsViews tells whether one of the writes reads a materialized view.
func (e *Engine) readsViews(ws []*boundWrite) bool {
	found := false
	for _, w := range ws {
		w.Root.Visit(func(n *plan.Node) {
			if n.Op == plan.Scan {
				if r := e.relations[n.Relation]; r != nil && (r.obj.Kind == catalog.MatView || r.obj.Owner != 0) {
					found = true
				}
			}
		})
	}
	return found
}

func (e *Engine) applyAll(ctx context.Context, t *tx, p *pendingWrite) (err error) {
	for _, w := range p.writes {
		res, err := e.applyOne(ctx, t, p, w)
		if err != nil {
			return err
		}
		p.results = append(p.results, res)
	}
	return nil
}

// applyOne carries out one write.
func (e *Engine) applyOne(done context.Context, t *tx, p *pendingWrite, w *boundWrite) (*written, error) {
	rel := e.relations[w.Table]
	if rel == nil || rel.obj.Kind != catalog.Table {
		return nil, sqlerr.New(sqlerr.UndefinedTable, "the table of the statement was dropped")
	}
	if rel.obj.Owner != 0 {
		return nil, sqlerr.New(sqlerr.WrongObjectType, "cannot change relation %q", rel.obj.Name).
			WithDetail("The engine itself keeps it.")
	}
	ctx := *w.Context
	rows, known := p.rows[w]
	if !known {
		var err error
		if rows, err = e.collect(done, p, w, &ctx, func(n *plan.Node, push exec.Emit) error { return e.scanLive(n, &ctx, push) }); err != nil {
			return nil, err
		}
	}
	x := &writeRun{e: e, ends: done, t: t, w: w, ctx: &ctx, rel: rel, part: t.part(rel)}
	if err := x.prepare(); err != nil {
		return nil, err
	}
	for _, b := range rows {
		if err := x.check(); err != nil {
			return nil, err
		}
		var err error
		switch w.Kind {
		case plan.Insert:
			err = x.insert(b)
		case plan.Update:
			err = x.update(b)
		default:
			err = x.remove(b)
		}
		if err != nil {
			return nil, err
		}
	}
	return x.finish()
}

// runOnce runs a plan to its end over what feed pushes for each Scan.
func (e *Engine) runOnce(done context.Context, root *plan.Node, ctx *expr.Context, feed func(n *plan.Node, push exec.Emit) error, out exec.Emit) (err error) {
	df, err := exec.Build(root, exec.Options{
		Env: e.currentCatalog().Env, Workers: 1, Batch: true, Output: out, Limit: e.opts.StatementMemory, Done: done.Done(),
	})
	if err != nil {
		return err
	}
	df.Begin(ctx)
	for _, n := range df.Scans() {
		if err := feed(n, func(b *delta.Batch) error { return df.Push(n, b) }); err != nil {
			return doneIsFine(err)
		}
	}
	return doneIsFine(df.Finish())
}

func doneIsFine(err error) error {
	if errors.Is(err, exec.ErrDone) {
		return nil
	}
	return err
}

// scanLive reads a stored relation as it stands on the loop.
func (e *Engine) scanLive(n *plan.Node, ctx *expr.Context, fn func(*delta.Batch) error) error {
	r := e.relations[n.Relation]
	if r == nil {
		return sqlerr.New(sqlerr.FeatureNotSupported, "this statement cannot read a relation that is not stored")
	}
	if j := e.jobsByID[n.Relation]; j != nil && j.state == Backfilling {
		return backfillingError(j)
	}
	a, l, err := r.access(n, e.currentCatalog().Env, ctx)
	if err != nil {
		return err
	}
	return r.scan(a.tree.Cursor(), a, l, n.Columns, fn)
}

// tx is a transaction's changes of tables, not yet kept.
type tx struct {
	e     *Engine
	parts map[uint64]*txPart
}

// txPart is what a transaction changes in one table.
type txPart struct {
	rel  *relation
	b    *delta.Batch
	full []*delta.Batch
}

func (t *tx) part(r *relation) *txPart {
	p := t.parts[r.obj.ID]
	if p == nil {
		p = &txPart{rel: r}
		t.parts[r.obj.ID] = p
		r.begin()
	}
	return p
}

// ordered returns the parts by table ID.
func (t *tx) ordered() []*txPart {
	var out []*txPart
	for _, p := range t.parts {
		out = append(out, p)
	}
	slices.SortFunc(out, func(a, b *txPart) int { return int(a.rel.obj.ID) - int(b.rel.obj.ID) })
	return out
}

func (t *tx) commit() {
	for _, p := range t.parts {
		p.rel.commit()
	}
}

func (t *tx) rollback() {
	for _, p := range t.parts {
		p.rel.rollback()
	}
}

// add applies row i of b to the table, w times, and records it.
func (p *txPart) add(b *delta.Batch, i int, w int64) error {
	var buf [256]byte
	main := p.rel.main
	if _, now := main.tree.Add(appendRow(buf[:0], b, i, main.order), w); now < 0 {
		return sqlerr.New(sqlerr.Internal, "table %q does not hold a row to take back", p.rel.obj.Name)
	}
	for _, a := range p.rel.index {
		a.tree.Add(appendRow(buf[:0], b, i, a.order), w)
	}
	if p.b != nil && p.b.N == delta.MaxRows {
		p.full, p.b = append(p.full, p.b), nil
	}
	if p.b == nil {
		p.b = &delta.Batch{Cols: make([]*delta.Vec, len(p.rel.types)), W: []int64{}}
		for c, t := range p.rel.types {
			p.b.Cols[c] = delta.NewVec(t, 8)
		}
	}
	for c := range p.rel.types {
		p.b.Cols[c].AppendFrom(b.Cols[c], i)
	}
	p.b.W = append(p.b.W, w)
	p.b.N++
	return p.rel.err()
}

// bytes is the memory of what was recorded.
func (p *txPart) bytes() int64 {
	var n int64
	for _, b := range p.batches() {
		n += batchBytes(b)
	}
	return n
}

// batches returns what was recorded.
func (p *txPart) batches() []*delta.Batch {
	if p.b != nil {
		return append(p.full, p.b)
	}
	return p.full
}

func batchBytes(b *delta.Batch) int64 {
	n := int64(len(b.W) * 8)
	for _, v := range b.Cols {
		n += int64(len(v.I)*8+len(v.F)*8+len(v.Off)*4+len(v.Buf)+len(v.Nulls)*8) + 64
	}
	return n
}
