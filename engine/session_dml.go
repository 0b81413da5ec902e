package engine

import (
	"context"
	"fmt"
	"strings"

	"github.com/streamsql/streamsql/sql/catalog"
	"github.com/streamsql/streamsql/sql/delta"
	"github.com/streamsql/streamsql/sql/plan"
	"github.com/streamsql/streamsql/sql/sqlerr"
	"github.com/streamsql/streamsql/sql/types"
)

// runWrite carries out an INSERT, UPDATE or DELETE, or holds it back until its
// transaction ends.
func (s *Session) runWrite(ctx context.Context, pl *planned, args []types.Datum) (*Rows, error) {
	w := pl.write
	if ro, _ := s.Setting("default_transaction_read_only"); s.tx.readOnly || !s.tx.block && ro == "on" {
		return nil, sqlerr.New("25006", "cannot execute %s in a read-only transaction", strings.ToUpper(string(w.Kind)))
	}
	w, err := bindWrite(w, args)
	if err != nil {
		return nil, err
	}
	ec := s.exprContext(pl.cat)
	if w.Root, err = s.inlineVirtual(ctx, pl.cat, w.Root); err != nil {
		return nil, err
	}
	bw := &boundWrite{Write: w, Context: ec}
	n, known := valuesCount(w.Root)
	known = known && w.Kind == plan.Insert && w.Returning == nil && (w.Conflict == "" || w.Conflict == "update" && w.ConflictCond == nil)
	if !s.tx.block && !(s.Implicit && known) {
		if err := s.flush(ctx); err != nil {
			return nil, err
		}
		res, err := s.eng.write(ctx, []*boundWrite{bw})
		if err != nil {
			return nil, err
		}
		return writeRows(w, res[0]), nil
	}
	var own *written
	switch {
	case s.tx.block && w.Kind == plan.Insert && w.Conflict == "":
		if own, err = s.insertOwn(ctx, pl.cat, bw); err != nil {
			return nil, err
		}
		n = own.Count
	case s.tx.block && !known:
		if n, err = s.foresee(ctx, pl.cat, bw); err != nil {
			return nil, err
		}
	}
	if s.tx.rows += n; s.tx.rows > maxBuffered {
		return nil, sqlerr.New(sqlerr.OutOfMemory, "the transaction writes more than %d rows", maxBuffered).
			WithHint("Commit more often.")
	}
	s.tx.writes = append(s.tx.writes, bw)
	if own != nil {
		return writeRows(w, own), nil
	}
	if s.tx.touched == nil {
		s.tx.touched = map[uint64]bool{}
	}
	s.tx.touched[w.Table] = true
	return &Rows{tag: writeTag(w.Kind, n)}, nil
}

// foresee tells how many rows a write of a block will change, as its tag has to
// say so before it is carried out.
func (s *Session) foresee(ctx context.Context, cat *catalog.Catalog, w *boundWrite) (int64, error) {
	if w.Returning != nil {
		return 0, sqlerr.New(sqlerr.FeatureNotSupported, "RETURNING is not supported in a transaction block").
			WithHint("Rows are written at COMMIT. Run the statement by itself.")
	}
	if w.Conflict != "" {
		return 0, sqlerr.New(sqlerr.FeatureNotSupported, "this form of ON CONFLICT is not supported in a transaction block").
			WithHint("Rows are written at COMMIT. Run the statement by itself.")
	}
	if w.Kind != plan.Insert && s.tx.touched[w.Table] {
		return 0, s.pending(w.Table, "changed by "+strings.ToUpper(string(w.Kind)))
	}
	var n int64
	err := s.runPlan(ctx, cat, w.Root, w.Context, func(b *delta.Batch) error {
		for i := range b.N {
			n += b.Weight(i)
		}
		return nil
	})
	return n, err
}

// valuesCount tells how many rows a plan gives that has constant rows alone.
func valuesCount(n *plan.Node) (int64, bool) {
	switch {
	case n.Op == plan.Values:
		return int64(len(n.Rows) + len(n.Cells)), true
	case n.Op == plan.Exchange, n.Op == plan.Map && n.Filter == nil:
		return valuesCount(n.Inputs[0])
	}
	return 0, false
}

func writeTag(k plan.WriteKind, n int64) string {
	if k == plan.Insert {
		return fmt.Sprintf("INSERT 0 %d", n)
	}
	return fmt.Sprintf("%s %d", strings.ToUpper(string(k)), n)
}

func writeRows(w *plan.Write, res *written) *Rows {
	r := &Rows{tag: writeTag(w.Kind, res.Count)}
	if res.Returning != nil {
		r.batch = res.Returning
		r.row = make([]types.Datum, len(w.Columns))
	}
	return r
}
