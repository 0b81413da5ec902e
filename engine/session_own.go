package engine

import (
	"bytes"
	"context"

	"github.com/streamsql/streamsql/sql/catalog"
	"github.com/streamsql/streamsql/sql/delta"
	"github.com/streamsql/streamsql/sql/expr"
	"github.com/streamsql/streamsql/sql/plan"
	"github.com/streamsql/streamsql/sql/sqlerr"
	"github.com/streamsql/streamsql/sql/types"
)

// insertOwn works out the rows of a plain INSERT of a block: the block's queries
// of the table see them, RETURNING shows them, and COMMIT writes exactly them.
// Whether their keys are free is known at COMMIT.
func (s *Session) insertOwn(ctx context.Context, cat *catalog.Catalog, w *boundWrite) (*written, error) {
	o := cat.ByID(w.Table)
	if o == nil {
		return nil, sqlerr.New(sqlerr.UndefinedTable, "the table of the statement was dropped")
	}
	rows := []*delta.Batch{}
	res := &written{}
	held := s.tx.held
	err := s.runPlan(ctx, cat, w.Root, w.Context, func(b *delta.Batch) error {
		b = onceEach(b)
		for i := range b.N {
			if err := notNull(o, b, i); err != nil {
				return err
			}
		}
		if held += batchBytes(b); held > s.eng.opts.StatementMemory {
			return sqlerr.New(sqlerr.OutOfMemory, "out of memory").
				WithDetail("The rows that the transaction inserts take more than %d bytes.", s.eng.opts.StatementMemory).
				WithHint("Commit more often.")
		}
		rows = append(rows, b)
		res.Count += int64(b.N)
		return nil
	})
	if err != nil {
		return nil, err
	}
	if w.Returning != nil {
		if res.Returning, err = evalRows(cat.Env, w.Returning, w.Context, rows); err != nil {
			return nil, err
		}
	}
	done := *w.Write
	done.Returning, done.Root = nil, &plan.Node{Op: plan.Values, Out: w.Root.Out, AppendOnly: true}
	w.Write, w.rows, s.tx.held = &done, rows, held
	return res, nil
}

// onceEach turns weights into as many rows.
func onceEach(b *delta.Batch) *delta.Batch {
	if b.W == nil {
		return b
	}
	var sel []int32
	for i := range b.N {
		for range b.W[i] {
			sel = append(sel, int32(i))
		}
	}
	out := b.Gather(sel)
	out.W = nil
	return out
}

// evalRows computes expressions over rows.
func evalRows(env *expr.Env, xs []*expr.Expr, ctx *expr.Context, rows []*delta.Batch) (*delta.Batch, error) {
	out := &delta.Batch{Cols: make([]*delta.Vec, len(xs))}
	for _, b := range rows {
		out.N += b.N
	}
	for c, x := range xs {
		p, err := expr.Compile(env, x)
		if err != nil {
			return nil, err
		}
		out.Cols[c] = delta.NewVec(p.Type(), out.N)
		for _, b := range rows {
			v, err := p.Eval(ctx, b)
			if err != nil {
				return nil, evalError(err)
			}
			for i := range b.N {
				out.Cols[c].AppendFrom(v, i)
			}
		}
	}
	return out, nil
}

// ownRows returns what the block has inserted into the relation of a Scan node, as
// the scan would give it.
func (s *Session) ownRows(p *pin, n *plan.Node) ([]*delta.Batch, error) {
	h := p.relations[n.Relation]
	if h == nil || !s.tx.block {
		return nil, nil
	}
	var out []*delta.Batch
	for _, w := range s.tx.writes {
		if w.Table != n.Relation || len(w.rows) == 0 {
			continue
		}
		a, l, err := h.rel.access(n, p.env, p.ctx)
		if err != nil {
			return nil, err
		}
		for _, b := range w.rows {
			if b, err = l.among(h.rel.types, a.order, b); err != nil {
				return nil, err
			}
			if b.N == 0 {
				continue
			}
			view := &delta.Batch{N: b.N, Cols: make([]*delta.Vec, len(n.Columns))}
			for i, c := range n.Columns {
				v := *b.Cols[c]
				v.T = h.rel.types[c]
				view.Cols[i] = &v
			}
			out = append(out, view)
		}
	}
	return out, nil
}

// among returns the rows of b that a lookup by the first columns of order finds.
func (l *lookup) among(ts []types.Type, order []int, b *delta.Batch) (*delta.Batch, error) {
	if l.none {
		return &delta.Batch{}, nil
	}
	if len(l.prefix) == 0 {
		return b, nil
	}
	var sel []int32
	var key []byte
	for i := range b.N {
		key = appendRow(key[:0], b, i, order)
		if !bytes.HasPrefix(key, l.prefix) {
			continue
		}
		ok, err := l.match(ts, order, key)
		if err != nil {
			return nil, err
		}
		if ok {
			sel = append(sel, int32(i))
		}
	}
	return b.Gather(sel), nil
}
