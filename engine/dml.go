package engine

import (
	"context"
	"errors"
	"slices"

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
}

// pendingWrite is a transaction's writes on their way through the loop.
type pendingWrite struct {
	writes  []*boundWrite
	sources map[*plan.Node][]*delta.Batch // what the writes read from sources
	results []*written
	err     error
	done    chan struct{}
}

func (p *pendingWrite) finish(err error) {
	p.err = err
	close(p.done)
}

// pendingDML is what was written since the last step.
type pendingDML struct {
	changes map[uint64]*change
	writes  []*pendingWrite
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
// rows are durable and every view shows them. A write reads stored relations as
// they stand, those before it in the transaction included, and sources to their
// end at the time of the call.
func (e *Engine) write(ctx context.Context, ws []*boundWrite) ([]*written, error) {
	p := &pendingWrite{writes: ws, done: make(chan struct{}), sources: map[*plan.Node][]*delta.Batch{}}
	if err := e.readWriteSources(ctx, p); err != nil {
		return nil, err
	}
	c := &command{write: p}
	if err := e.submit(ctx, c); err != nil {
		return nil, err
	}
	if err := e.wait(ctx, c); err != nil {
		return nil, err
	}
	// It cannot be taken back any more: whatever ctx says, the answer is near.
	select {
	case <-p.done:
	case <-e.stopped:
		select {
		case <-p.done:
		default:
			return nil, closedError()
		}
	}
	return p.results, p.err
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
// follow in the next step.
func (e *Engine) apply(p *pendingWrite) {
	if e.dml.pending() && e.readsViews(p.writes) {
		e.step() // what was written before must show in what is read
	}
	t := &tx{e: e, parts: map[uint64]*txPart{}}
	e.open = append(e.open, t)
	err := e.applyAll(t, p)
	if err == nil {
		err = e.logWrites(t)
	}
	e.open = e.open[:0]
	if err != nil {
		t.rollback()
		p.finish(err)
		return
	}
	t.commit()
	d := e.dml
	if d.changes == nil {
		d.changes = map[uint64]*change{}
	}
	for _, part := range t.ordered() {
		c := d.changes[part.rel.obj.ID]
		if c == nil {
			c = &change{}
			d.changes[part.rel.obj.ID] = c
		}
		for _, b := range part.batches() {
			e.grown += b.N
			c.add(b)
		}
	}
	d.writes = append(d.writes, p)
	d.version = e.version
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

func (e *Engine) applyAll(t *tx, p *pendingWrite) (err error) {
	for _, w := range p.writes {
		res, err := e.applyOne(t, p, w)
		if err != nil {
			return err
		}
		p.results = append(p.results, res)
	}
	return nil
}

// applyOne carries out one write.
func (e *Engine) applyOne(t *tx, p *pendingWrite, w *boundWrite) (*written, error) {
	rel := e.relations[w.Table]
	if rel == nil || rel.obj.Kind != catalog.Table {
		return nil, sqlerr.New(sqlerr.UndefinedTable, "the table of the statement was dropped")
	}
	if rel.obj.Owner != 0 {
		return nil, sqlerr.New(sqlerr.WrongObjectType, "cannot change relation %q", rel.obj.Name).
			WithDetail("The engine itself keeps it.")
	}
	ctx := *w.Context
	var rows []*delta.Batch
	err := e.runOnce(w.Root, &ctx, func(n *plan.Node, push exec.Emit) error {
		if bs, ok := p.sources[n]; ok {
			for _, b := range bs {
				if err := push(b); err != nil {
					return err
				}
			}
			return nil
		}
		return e.scanLive(n, &ctx, push)
	}, func(b *delta.Batch) error { rows = append(rows, b); return nil })
	if err != nil {
		return nil, err
	}
	x := &writeRun{e: e, t: t, w: w, ctx: &ctx, rel: rel, part: t.part(rel)}
	if err := x.prepare(); err != nil {
		return nil, err
	}
	for _, b := range rows {
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
func (e *Engine) runOnce(root *plan.Node, ctx *expr.Context, feed func(n *plan.Node, push exec.Emit) error, out exec.Emit) (err error) {
	df, err := exec.Build(root, exec.Options{
		Env: e.currentCatalog().Env, Workers: 1, Batch: true, Output: out, Limit: e.opts.StatementMemory,
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

// add applies a row, columns from..from+n of b, to the table and records it.
func (p *txPart) add(b *delta.Batch, i int, w int64) error {
	var buf [256]byte
	for k, a := range p.rel.all() {
		key := appendRow(buf[:0], b, i, a.order)
		if _, now := a.tree.Add(key, w); now < 0 && k == 0 {
			return sqlerr.New(sqlerr.Internal, "table %q does not hold a row to take back", p.rel.obj.Name)
		}
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
