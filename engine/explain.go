package engine

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/streamsql/streamsql/sql/ast"
	"github.com/streamsql/streamsql/sql/catalog"
	"github.com/streamsql/streamsql/sql/delta"
	"github.com/streamsql/streamsql/sql/exec"
	"github.com/streamsql/streamsql/sql/plan"
	"github.com/streamsql/streamsql/sql/planner"
	"github.com/streamsql/streamsql/sql/sqlerr"
	"github.com/streamsql/streamsql/sql/types"
)

// runExplain shows the plan of a statement; with ANALYZE, of a query alone, it
// runs it and shows what each operator did.
func (s *Session) runExplain(ctx context.Context, st *Statement, a *ast.Explain) (*Rows, error) {
	analyze := false
	for _, o := range a.Options {
		switch o.Name {
		case "analyze":
			analyze = o.Value == nil
			if o.Value != nil {
				analyze, _ = parseBool(o.Value.Text)
			}
		case "verbose", "costs", "settings", "buffers", "wal", "timing", "summary":
		case "format":
			if o.Value == nil || !strings.EqualFold(o.Value.Text, "text") {
				return nil, sqlerr.New(sqlerr.FeatureNotSupported, "EXPLAIN is only supported with FORMAT TEXT").At(o.Offset())
			}
		default:
			return nil, sqlerr.New(sqlerr.Syntax, `unrecognized EXPLAIN option "%s"`, o.Name).At(o.Offset())
		}
	}
	if err := s.flush(ctx); err != nil {
		return nil, err
	}
	cat := s.eng.currentCatalog()
	name := func(id uint64) string {
		o := cat.ByID(id)
		switch {
		case o == nil:
			return fmt.Sprint(id)
		case o.Schema == catalog.Public:
			return o.Name
		}
		return o.Schema + "." + o.Name
	}
	p := s.planner(cat, nil)
	var lines []string
	var root *plan.Node
	switch x := a.Stmt.(type) {
	case *ast.Query:
		q, err := p.Select(x)
		if err != nil {
			return nil, err
		}
		root = q.Root
		lines = indent(planner.Explain(root, name), shownFirst(q))
	case *ast.Insert, *ast.Update, *ast.Delete:
		w, err := planWrite(p, a.Stmt)
		if err != nil {
			return nil, err
		}
		kind := strings.ToUpper(string(w.Kind[:1])) + string(w.Kind[1:])
		lines = indent(planner.Explain(w.Root, name), []string{kind + " " + name(w.Table)})
	case *ast.CreateView:
		if !x.Materialized {
			return nil, sqlerr.New(sqlerr.FeatureNotSupported, "a plain view has no plan: EXPLAIN a query of it").At(x.Offset())
		}
		n, _, _, _, err := p.View(x.Query, x.Columns)
		if err != nil {
			return nil, err
		}
		about, err := lateText(cat, n, x.Options)
		if err != nil {
			return nil, err
		}
		lines = indent(planner.Explain(n, name), []string{"Materialized View " + x.Name.Base() + about})
	case *ast.CreateSink:
		if x.Query == nil {
			return nil, sqlerr.New(sqlerr.FeatureNotSupported, "a sink from a relation has no plan of its own").At(x.Offset())
		}
		n, _, _, _, err := p.View(x.Query, nil)
		if err != nil {
			return nil, err
		}
		lines = indent(planner.Explain(n, name), []string{"Sink " + x.Name.Base()})
	default:
		return nil, sqlerr.New(sqlerr.FeatureNotSupported, "EXPLAIN of this statement is not supported").At(a.Stmt.Offset())
	}
	if analyze {
		if _, ok := a.Stmt.(*ast.Query); !ok {
			return nil, sqlerr.New(sqlerr.FeatureNotSupported, "EXPLAIN ANALYZE is only supported for a query").At(a.Offset()).
				WithHint("streamsql.operators shows what the operators of a view do.")
		}
		more, err := s.analyze(ctx, cat, root)
		if err != nil {
			return nil, err
		}
		lines = append(lines, more...)
	}
	return textRows("EXPLAIN", lines), nil
}

func planWrite(p *planner.Planner, st ast.Statement) (*plan.Write, error) {
	switch a := st.(type) {
	case *ast.Insert:
		return p.Insert(a)
	case *ast.Update:
		return p.Update(a)
	}
	return p.Delete(st.(*ast.Delete))
}

// shownFirst prints what is done to a query's rows before they are shown.
func shownFirst(q *plan.Query) []string {
	var out []string
	if q.Limit != nil || q.Offset != nil {
		var l []string
		if q.Limit != nil {
			l = append(l, "Limit")
		}
		if q.Offset != nil {
			l = append(l, "Offset")
		}
		out = append(out, strings.Join(l, ", "))
	}
	if len(q.Sort) > 0 {
		keys := make([]string, len(q.Sort))
		for i, o := range q.Sort {
			keys[i] = fmt.Sprintf("$%d", o.Col+1)
			if o.Col < len(q.Root.Out) && q.Root.Out[o.Col].Name != "" {
				keys[i] = q.Root.Out[o.Col].Name
			}
			if o.Desc {
				keys[i] += " DESC"
			}
			if o.NullsFirst != o.Desc {
				keys[i] += map[bool]string{true: " NULLS FIRST", false: " NULLS LAST"}[o.NullsFirst]
			}
		}
		out = append(out, "Sort  key: "+strings.Join(keys, ", "))
	}
	return out
}

// indent puts a plan's lines beneath the heads, each of which is beneath the one
// before.
func indent(lines, heads []string) []string {
	under := func(depth int, s string) string {
		if depth == 0 {
			return s
		}
		return strings.Repeat("  ", depth-1) + "-> " + s
	}
	var out []string
	for i, h := range heads {
		out = append(out, under(i, h))
	}
	for i, l := range lines {
		if i == 0 {
			out = append(out, under(len(heads), l))
		} else {
			out = append(out, strings.Repeat("  ", len(heads))+l)
		}
	}
	return out
}

// analyze runs a query and prints what its operators did.
func (s *Session) analyze(ctx context.Context, cat *catalog.Catalog, root *plan.Node) ([]string, error) {
	q, err := s.open(ctx, cat, root, s.exprContext(cat))
	if err != nil {
		return nil, err
	}
	defer q.close()
	var rows int64
	start := time.Now()
	err = q.run(ctx, func(b *delta.Batch) error {
		for i := range b.N {
			rows += b.Weight(i)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	took := time.Since(start)
	slices.SortFunc(q.stats, func(a, b exec.OpStats) int { return b.Node - a.Node })
	out := []string{""}
	for _, o := range q.stats {
		out = append(out, fmt.Sprintf("Operator %d %s: rows in %d, rows out %d, batches %d, time %.3f ms, state %d rows, %d bytes",
			o.Node, o.Name, o.RowsIn, o.RowsOut, o.Batches, float64(o.Nanos)/1e6, o.StateRows, o.StateBytes))
	}
	return append(out, fmt.Sprintf("Rows: %d", rows), fmt.Sprintf("Execution Time: %.3f ms", float64(took)/1e6)), nil
}

// textRows is a result of one text column.
func textRows(tag string, lines []string) *Rows {
	r := &Rows{tag: tag}
	for _, l := range lines {
		r.static = append(r.static, []types.Datum{{S: []byte(l)}})
	}
	return r
}
