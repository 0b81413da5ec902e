package planner

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/streamsql/streamsql/sql/ast"
	"github.com/streamsql/streamsql/sql/catalog"
	"github.com/streamsql/streamsql/sql/expr"
	"github.com/streamsql/streamsql/sql/parser"
	"github.com/streamsql/streamsql/sql/plan"
	"github.com/streamsql/streamsql/sql/sqlerr"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// schema is the fixed catalog of the tests.
const schema = `
create table t (a int primary key, b int, c text, d numeric(10,2), ts timestamptz);
create table u (a int not null, b int, c varchar(10), k bigint);
create table w (x int, y int, z text default 'z', g int generated always as (x + 1) stored);
create table t1 (a int, b int, c int, d int, e int);
create source bid (auction bigint, bidder bigint, price bigint, channel text, date_time timestamp,
  watermark for date_time as date_time - interval '4 seconds') with (connector = 'nexmark');
create source auction (id bigint, seller bigint, category int, date_time timestamp,
  watermark for date_time as date_time) with (connector = 'nexmark');
create view v as select a, b + 1 as b1, c from t where b > 0;
create table arr (id int primary key, xs int[], n text[]);
create table cat (id bigint primary key, name text) append only;
create table et (id int primary key, k int, v int, ts timestamptz, watermark for ts as ts - interval '5 seconds');
create source ev (k int, j text, v bigint, ts timestamptz, p as proctime(),
  watermark for ts as ts - interval '5 seconds') with (connector = 'kafka');
create source raw (k int, v bigint, ts timestamptz, p as proctime()) with (connector = 'kafka');
create materialized view minutes as select k, window_start, window_end, window_time, count(*) as n
  from tumble(ev, ts, interval '1 minute') group by k, window_start, window_end, window_time;
create materialized view starts as select k, window_start, count(*) as n
  from tumble(ev, ts, interval '1 minute') group by k, window_start;
create materialized view clocked as select k, window_start, window_end, count(*) as n
  from tumble(raw, proctime(), interval '1 minute') group by k, window_start, window_end;
`

func testCatalog(t testing.TB) *catalog.Catalog {
	t.Helper()
	cat := catalog.New(catalog.VirtualRelations(), &expr.Env{})
	stmts, err := parser.Parse(schema)
	if err != nil {
		t.Fatal(err)
	}
	for i, s := range stmts {
		o := &catalog.Object{ID: uint64(catalog.FirstID + i), Schema: catalog.Public}
		p := testPlanner(cat)
		switch s := s.(type) {
		case *ast.CreateTable:
			o.Name, o.Kind = s.Name.Base(), catalog.Table
			err = p.Columns(&s.TableDef, o)
		case *ast.CreateSource:
			o.Name, o.Kind = s.Name.Base(), catalog.Source
			err = p.Columns(&s.TableDef, o)
		case *ast.CreateView:
			o.Name, o.Kind, o.Query = s.Name.Base(), catalog.View, s.Text
			var cols []plan.Column
			if s.Materialized {
				o.Kind = catalog.MatView
				o.Plan, cols, o.Depends, _, err = p.View(s.Query, s.Columns)
				if err == nil {
					o.Time, o.TimeEnd = o.Plan.Time, o.Plan.TimeEnd
				}
			} else {
				cols, o.Depends, err = p.Check(s.Query, s.Columns)
			}
			for _, c := range cols {
				o.Columns = append(o.Columns, catalog.Column{Name: c.Name, Type: c.Type})
			}
		}
		if err != nil {
			t.Fatal(err)
		}
		cat = cat.Change([]*catalog.Object{o}, nil, nil)
	}
	return cat
}

func testPlanner(cat *catalog.Catalog) *Planner {
	return &Planner{Catalog: cat, Path: []string{catalog.PgCatalog, catalog.Public}, Context: &expr.Context{},
		ParseView: func(text string) (*ast.Query, error) {
			s, err := parser.Parse(text)
			if err != nil {
				return nil, err
			}
			return s[0].(*ast.Query), nil
		}}
}

// describePlan plans a statement and prints all that is known of the plan.
func describePlan(cat *catalog.Catalog, s ast.Statement) string {
	var b strings.Builder
	name := func(id uint64) string { return cat.ByID(id).Name }
	tree := func(n *plan.Node) {
		for _, l := range Explain(n, name) {
			b.WriteString(l + "\n")
		}
	}
	columns := func(cols []plan.Column) string {
		var s []string
		for _, c := range cols {
			s = append(s, c.Name+" "+c.Type.String())
		}
		return strings.Join(s, ", ")
	}
	p := testPlanner(cat)
	var err error
	switch s := s.(type) {
	case *ast.Query:
		var q *plan.Query
		if q, err = p.Select(s); err == nil {
			fmt.Fprintf(&b, "columns: %s\n", columns(q.Columns))
			if len(q.Sort) > 0 {
				fmt.Fprintf(&b, "sort: %v\n", q.Sort)
			}
			if len(q.Params) > 0 {
				fmt.Fprintf(&b, "params: %v\n", q.Params)
			}
			err = check(q.Root)
			tree(q.Root)
		}
	case *ast.CreateView:
		var root *plan.Node
		var cols []plan.Column
		var keys []int
		if root, cols, _, keys, err = p.View(s.Query, s.Columns); err == nil {
			fmt.Fprintf(&b, "view columns: %s keys: %v\n", columns(cols), keys)
			err = check(root)
			tree(root)
		}
	case *ast.Insert, *ast.Update, *ast.Delete:
		var w *plan.Write
		switch s := s.(type) {
		case *ast.Insert:
			w, err = p.Insert(s)
		case *ast.Update:
			w, err = p.Update(s)
		case *ast.Delete:
			w, err = p.Delete(s)
		}
		if err == nil {
			fmt.Fprintf(&b, "%s conflict=%q\n", w.Kind, w.Conflict)
			col := func(i int) string { return fmt.Sprintf("#%d", i) }
			for _, x := range w.ConflictSet {
				fmt.Fprintf(&b, "set: %s\n", expr.String(x, col))
			}
			for _, x := range w.Returning {
				fmt.Fprintf(&b, "returning: %s\n", expr.String(x, col))
			}
			err = check(w.Root)
			tree(w.Root)
		}
	case *ast.CreateTable:
		o := &catalog.Object{Name: s.Name.Base(), Kind: catalog.Table}
		if err = p.Columns(&s.TableDef, o); err == nil {
			for _, c := range o.Columns {
				fmt.Fprintf(&b, "%s %s notnull=%v default=%q generated=%q meta=%q\n", c.Name, c.Type, c.NotNull, c.DefaultText, c.GeneratedText, c.Meta)
			}
			fmt.Fprintf(&b, "key %v watermark %v\n", o.PrimaryKey, o.Watermark)
		}
	case *ast.CreateSource:
		o := &catalog.Object{Name: s.Name.Base(), Kind: catalog.Source}
		if err = p.Columns(&s.TableDef, o); err == nil {
			for _, c := range o.Columns {
				fmt.Fprintf(&b, "%s %s notnull=%v default=%q generated=%q meta=%q\n", c.Name, c.Type, c.NotNull, c.DefaultText, c.GeneratedText, c.Meta)
			}
			fmt.Fprintf(&b, "key %v watermark %v\n", o.PrimaryKey, o.Watermark)
		}
	default:
		return fmt.Sprintf("%T is not planned\n", s)
	}
	if err != nil {
		e := sqlerr.From(err)
		fmt.Fprintf(&b, "ERROR %s at %d: %s\n", e.Code, e.Pos, e.Message)
		if e.Detail != "" {
			fmt.Fprintf(&b, "detail: %s\n", e.Detail)
		}
		if e.Hint != "" {
			fmt.Fprintf(&b, "hint: %s\n", e.Hint)
		}
	}
	return b.String()
}

// check holds a plan to what every plan must be.
func check(root *plan.Node) (err error) {
	id := 0
	bad := func(n *plan.Node, format string, args ...any) {
		if err == nil {
			err = fmt.Errorf("node %d (%s): %s", n.ID, n.Op, fmt.Sprintf(format, args...))
		}
	}
	seen := map[*plan.Node]bool{}
	root.Visit(func(n *plan.Node) {
		if seen[n] {
			return
		}
		seen[n] = true
		id++
		if n.ID != id {
			bad(n, "numbered %d, not %d", n.ID, id)
		}
		var in []plan.Column
		for _, i := range n.Inputs {
			in = append(in, i.Out...)
		}
		var exprOK func(x *expr.Expr)
		exprOK = func(x *expr.Expr) {
			if x == nil {
				return
			}
			if x.Kind == expr.Col {
				switch {
				case x.Index < 0 || x.Index >= len(in):
					bad(n, "column %d of %d", x.Index, len(in))
				case x.Type.ID != in[x.Index].Type.ID:
					bad(n, "column %d is %s, not %s", x.Index, in[x.Index].Type, x.Type)
				}
			}
			if x.Type.ID == 0 && x.Kind != expr.Const {
				bad(n, "%s has no type", x.Kind)
			}
			for _, a := range x.Args {
				exprOK(a)
			}
		}
		exprOK(n.Filter)
		exprOK(n.Residual)
		for i, x := range n.Exprs {
			exprOK(x)
			if n.Op == plan.Map && x.Type.ID != n.Out[i].Type.ID {
				bad(n, "output %d is %s, not %s", i, n.Out[i].Type, x.Type)
			}
		}
		if n.Op == plan.Map && n.Exprs != nil && len(n.Exprs) != len(n.Out) {
			bad(n, "%d expressions, %d columns", len(n.Exprs), len(n.Out))
		}
		width := len(n.Out)
		switch n.Op {
		case plan.Join:
			width = len(in)
			if n.Kind == plan.Semi || n.Kind == plan.Anti {
				width = len(n.Inputs[0].Out)
			}
			for i := range n.LeftKey {
				l, r := n.Inputs[0].Out[n.LeftKey[i]].Type, n.Inputs[1].Out[n.RightKey[i]].Type
				if keyClass(l) != keyClass(r) {
					bad(n, "keys of %s and %s", l, r)
				}
			}
		case plan.Agg:
			width = len(n.Keys) + len(n.Aggs)
		case plan.Union, plan.Except:
			for _, i := range n.Inputs {
				if len(i.Out) != len(n.Out) {
					bad(n, "an input has %d columns, not %d", len(i.Out), len(n.Out))
				}
			}
		case plan.TopN:
			width = len(in)
			if n.Rank != "" {
				width++
			}
		case plan.Over:
			width = len(in) + len(n.Aggs)
		case plan.Window:
			width = len(in) + 3
		case plan.Distinct, plan.Exchange:
			width = len(in)
		case plan.Scan:
			width = len(n.Columns)
		case plan.Values:
			for _, r := range n.Rows {
				width = len(r)
			}
			for _, r := range n.Cells {
				width = len(r)
			}
		}
		if width != len(n.Out) {
			bad(n, "%d columns, not %d", len(n.Out), width)
		}
		if n.Op == plan.Window && n.Window.Kind != "session" && len(n.Keys) > 0 {
			bad(n, "a window with keys")
		}
		if n.Final && (n.Op != plan.Agg || !n.TimeEnd || !n.AppendOnly) {
			bad(n, "final")
		}
		if n.Op == plan.Close && (n.Time == 0 || !n.AppendOnly || n.Inputs[0].TimeCol() != n.TimeCol()) {
			bad(n, "no time to close by")
		}
		if n.Time > len(n.Out) {
			bad(n, "time is column %d of %d", n.Time, len(n.Out))
		}
	})
	return err
}

// TestGolden plans the statements of testdata/*.sql, a statement a line (a line
// that begins with two spaces goes on), and compares with the file beside it.
func TestGolden(t *testing.T) {
	files, _ := filepath.Glob("testdata/*.sql")
	if len(files) == 0 {
		t.Fatal("no test data")
	}
	cat := testCatalog(t)
	for _, f := range files {
		data, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		var out strings.Builder
		for _, text := range strings.Split(strings.ReplaceAll(string(data), "\n  ", "\v  "), "\n") {
			text = strings.ReplaceAll(text, "\v", "\n")
			if strings.TrimSpace(text) == "" || strings.HasPrefix(text, "--") {
				continue
			}
			out.WriteString("> " + text + "\n")
			stmts, err := parser.Parse(text)
			if err != nil {
				out.WriteString("PARSE ERROR " + err.Error() + "\n\n")
				continue
			}
			got := describePlan(cat, stmts[0])
			if strings.Contains(got, "ERROR XX000") {
				t.Errorf("%s\n%s", text, got)
			}
			out.WriteString(got + "\n")
		}
		golden := strings.TrimSuffix(f, ".sql") + ".golden"
		if *update {
			if err := os.WriteFile(golden, []byte(out.String()), 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if out.String() != string(want) {
			t.Errorf("%s differs: run with -update and look at the change\n%s", golden, firstDifference(out.String(), string(want)))
		}
	}
}

func firstDifference(got, want string) string {
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range g {
		if i >= len(w) || g[i] != w[i] {
			from := max(0, i-5)
			line := "(end)"
			if i < len(w) {
				line = w[i]
			}
			return strings.Join(g[from:i], "\n") + "\ngot  " + g[i] + "\nwant " + line
		}
	}
	return "the output ends early"
}
