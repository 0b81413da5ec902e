package engine

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"strconv"

	"github.com/streamsql/streamsql/sql/catalog"
	"github.com/streamsql/streamsql/sql/delta"
	"github.com/streamsql/streamsql/sql/exec"
	"github.com/streamsql/streamsql/sql/expr"
	"github.com/streamsql/streamsql/sql/plan"
	"github.com/streamsql/streamsql/sql/sqlerr"
	"github.com/streamsql/streamsql/sql/types"
)

// queryInput is what a query's dataflow is fed from.
type queryInput struct {
	scan    *plan.Node
	kind    catalog.Kind
	batches []*delta.Batch // of a virtual relation; of a table what the block has inserted
}

// queryRun is a query under way, its inputs held.
type queryRun struct {
	s      *Session
	cat    *catalog.Catalog
	root   *plan.Node
	ec     *expr.Context
	ins    []queryInput
	pin    *sharedPin // nil: nothing is pinned
	source bool       // it reads a source, which may have no end in sight
	stats  []exec.OpStats
}

// open takes hold of what a plan reads.
func (s *Session) open(ctx context.Context, cat *catalog.Catalog, root *plan.Node, ec *expr.Context) (*queryRun, error) {
	q := &queryRun{s: s, cat: cat, root: root, ec: ec}
	var stored []uint64
	atEpoch := false // a virtual relation shows the pinned epoch
	seen := map[*plan.Node]bool{}
	gone := false
	root.Visit(func(n *plan.Node) {
		if n.Op != plan.Scan || seen[n] {
			return
		}
		seen[n] = true
		o := cat.ByID(n.Relation)
		if o == nil {
			gone = true
			return
		}
		q.ins = append(q.ins, queryInput{scan: n, kind: o.Kind})
		switch o.Kind {
		case catalog.Virtual:
			atEpoch = atEpoch || positional(o)
		case catalog.Source:
			q.source = true
		default:
			if !slices.Contains(stored, o.ID) {
				stored = append(stored, o.ID)
			}
		}
	})
	if gone {
		return nil, sqlerr.New(sqlerr.UndefinedTable, "a relation that the query reads does not exist any more")
	}
	var err error
	if len(stored) > 0 || atEpoch {
		if q.pin, err = s.pinFor(ctx, stored); err != nil {
			return nil, err
		}
	}
	for i := range q.ins {
		in := &q.ins[i]
		if in.kind == catalog.Table {
			if in.batches, err = s.ownRows(q.pin.pin, in.scan); err != nil {
				q.close()
				return nil, err
			}
		}
		if in.kind != catalog.Virtual {
			continue
		}
		var at *pin
		if q.pin != nil {
			at = q.pin.pin
		}
		if in.batches, err = s.virtualBatches(ctx, cat, cat.ByID(in.scan.Relation), in.scan.Columns, at); err != nil {
			q.close()
			return nil, err
		}
	}
	return q, nil
}

// positional tells the virtual relations whose rows belong to the pinned epoch.
func positional(o *catalog.Object) bool {
	return o.Schema == catalog.System && o.Name == "source_positions"
}

// close lets go of what the query held; only the session's goroutine calls it.
func (q *queryRun) close() {
	if q.pin != nil {
		q.pin.release()
		q.pin = nil
	}
}

// run runs the plan once over its inputs. out gets insert-only batches, and may
// return exec.ErrDone. ctx ends it with the context's cause.
func (q *queryRun) run(ctx context.Context, out func(*delta.Batch) error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			q.s.eng.opts.Log.Error("panic in a query", "panic", fmt.Sprint(r), "stack", string(debug.Stack()))
			err = sqlerr.New(sqlerr.Internal, "internal error: %v", r)
		}
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		if errors.Is(err, exec.ErrDone) {
			err = nil
		}
	}()
	d, err := exec.Build(q.root, exec.Options{
		Env: q.cat.Env, Workers: 1, Batch: true, Limit: q.s.eng.opts.StatementMemory, Done: ctx.Done(),
		Output: func(b *delta.Batch) error {
			if err := ctx.Err(); err != nil {
				return err
			}
			return out(b)
		},
	})
	if err != nil {
		return err
	}
	d.Begin(q.ec)
	for _, in := range q.ins {
		push := func(b *delta.Batch) error {
			if err := ctx.Err(); err != nil {
				return err
			}
			return d.Push(in.scan, b)
		}
		switch in.kind {
		case catalog.Source:
			err = q.s.eng.readSource(ctx, in.scan, push)
		case catalog.Virtual:
		default:
			err = q.pin.scan(ctx, in.scan, push)
		}
		for _, b := range in.batches {
			if err != nil {
				break
			}
			err = push(b)
		}
		if err != nil {
			return err
		}
	}
	if err := d.Finish(); err != nil {
		return err
	}
	q.stats = d.Stats()
	return nil
}

// runPlan runs a plan to its end in the caller's goroutine.
func (s *Session) runPlan(ctx context.Context, cat *catalog.Catalog, root *plan.Node, ec *expr.Context, out func(*delta.Batch) error) error {
	q, err := s.open(ctx, cat, root, ec)
	if err != nil {
		return err
	}
	defer q.close()
	return q.run(ctx, out)
}

// runQuery starts a SELECT. Its dataflow runs in a goroutine of its own, some
// batches ahead of the client.
func (s *Session) runQuery(ctx context.Context, pl *planned, args []types.Datum) (*Rows, error) {
	if err := s.flush(ctx); err != nil {
		return nil, err
	}
	q := pl.query
	ec := s.exprContext(pl.cat)
	limit, offset, err := bounds(pl.cat.Env, q, ec, args)
	if err != nil {
		return nil, err
	}
	run, err := s.open(ctx, pl.cat, bindNode(q.Root, args), ec)
	if err != nil {
		return nil, err
	}
	r := &Rows{s: s, run: run, visible: len(q.Columns), row: make([]types.Datum, len(q.Columns)), selects: true}
	if run.pin != nil {
		r.notices = append(r.notices, run.pin.Notices...)
	}
	// The query outlives this call's context, but not the statement's time.
	limited, free := s.limit(context.Background())
	own, cancel := context.WithCancelCause(limited)
	r.stop = func(cause error) {
		cancel(cause)
		free()
	}
	r.ch, r.done = make(chan *delta.Batch, 4), make(chan struct{})
	send := func(b *delta.Batch) error {
		select {
		case r.ch <- b:
			return nil
		case <-own.Done():
			return context.Cause(own)
		}
	}
	go func() {
		defer close(r.done)
		defer close(r.ch)
		switch {
		case limit == 0:
		case len(q.Sort) == 0 && (limit < 0 || run.source):
			r.err = run.run(own, cut(limit, offset, send))
		default:
			// Without ORDER BY a LIMIT takes the first rows in the order of all
			// columns, as a view with that LIMIT does.
			sorter := newSorter(q, limit, offset, s.eng.opts.StatementMemory)
			if r.err = run.run(own, sorter.add); r.err == nil {
				r.err = sorter.emit(send)
			}
		}
	}()
	return r, nil
}

// bounds evaluates LIMIT and OFFSET; a limit of -1 is none.
func bounds(env *expr.Env, q *plan.Query, ec *expr.Context, args []types.Datum) (limit, offset int64, err error) {
	get := func(x *expr.Expr, none int64, code, clause string) (int64, error) {
		if x == nil {
			return none, nil
		}
		d, err := expr.EvalConst(env, bindExpr(x, args), ec)
		if err != nil || d.Null {
			return none, err
		}
		if d.I < 0 {
			return 0, sqlerr.New(code, "%s must not be negative", clause)
		}
		return d.I, nil
	}
	if limit, err = get(q.Limit, -1, "2201W", "LIMIT"); err != nil {
		return 0, 0, err
	}
	offset, err = get(q.Offset, 0, "2201X", "OFFSET")
	return limit, offset, err
}

// cut passes on rows offset+1 … offset+limit; a limit of -1 is none.
func cut(limit, offset int64, next func(*delta.Batch) error) func(*delta.Batch) error {
	if limit < 0 && offset == 0 {
		return next
	}
	return func(b *delta.Batch) error {
		var sel []int32
		for i := range b.N {
			for range b.Weight(i) {
				switch {
				case offset > 0:
					offset--
				case limit != 0:
					sel = append(sel, int32(i))
					limit--
				}
			}
		}
		if len(sel) > 0 {
			out := b.Gather(sel)
			out.W = nil
			if err := next(out); err != nil {
				return err
			}
		}
		if limit == 0 {
			return exec.ErrDone
		}
		return nil
	}
}

// Rows is a running statement. It is closed exactly once, done or not.
type Rows struct {
	s       *Session
	tag     string
	notices []Notice
	row     []types.Datum
	n       int64 // rows given

	batch  *delta.Batch // being given
	i      int          // the next row of it
	again  int64        // how often row i-1 comes again
	static [][]types.Datum

	// Of a query.
	selects bool
	visible int
	run     *queryRun
	ch      chan *delta.Batch
	done    chan struct{}
	stop    func(cause error)
	err     error // valid when ch is closed
}

func (r *Rows) notice(severity string, e *sqlerr.Error) {
	r.notices = append(r.notices, Notice{Severity: severity, Err: e})
}

// Next moves to the next row; false at the end.
func (r *Rows) Next(ctx context.Context) (bool, error) {
	if len(r.static) > 0 {
		r.row, r.static = r.static[0], r.static[1:]
		r.n++
		return true, nil
	}
	if r.again > 0 {
		r.again--
		r.n++
		return true, nil
	}
	for {
		if r.batch != nil {
			for r.i < r.batch.N {
				i := r.i
				r.i++
				w := r.batch.Weight(i)
				if w <= 0 {
					if w < 0 {
						return false, sqlerr.New(sqlerr.Internal, "a query took back a row")
					}
					continue
				}
				for c := range r.row {
					r.row[c] = cellOf(r.batch.Cols[c], i)
				}
				r.again = w - 1
				r.n++
				return true, nil
			}
			r.batch = nil
		}
		if r.ch == nil {
			return false, nil
		}
		select {
		case b, ok := <-r.ch:
			if !ok {
				r.ch = nil
				if r.err != nil {
					return false, r.err
				}
				return false, nil
			}
			r.batch, r.i = b, 0
		case <-ctx.Done():
			err := context.Cause(ctx)
			r.stop(err)
			return false, err
		}
	}
}

// cellOf is Vec.Datum without a copy.
func cellOf(v *delta.Vec, i int) types.Datum {
	if v.Null(i) {
		return types.NullDatum
	}
	switch v.T.Phys() {
	case types.PhysInt:
		return types.Datum{I: v.I[i]}
	case types.PhysFloat:
		return types.Datum{F: v.F[i]}
	}
	return types.Datum{S: v.Bytes(i)}
}

// Row returns the row, one value per column, valid until the next call of Next.
func (r *Rows) Row() []types.Datum { return r.row }

// Tag returns the command tag once Next gave false.
func (r *Rows) Tag() string {
	if r.selects {
		return "SELECT " + strconv.FormatInt(r.n, 10)
	}
	return r.tag
}

// Notices returns those that came since the last call.
func (r *Rows) Notices() []Notice {
	n := r.notices
	r.notices = nil
	return n
}

// Close ends the statement, and lets go of what it held.
func (r *Rows) Close() {
	if r.stop != nil {
		r.stop(context.Canceled)
		<-r.done
		r.stop = nil
	}
	if r.run != nil {
		r.run.close()
		r.run = nil
	}
	if r.s != nil {
		r.s.activity.end()
	}
}
