package planner

import (
	"slices"

	"github.com/streamsql/streamsql/sql/ast"
	"github.com/streamsql/streamsql/sql/catalog"
	"github.com/streamsql/streamsql/sql/expr"
	"github.com/streamsql/streamsql/sql/plan"
	"github.com/streamsql/streamsql/sql/sqlerr"
	"github.com/streamsql/streamsql/sql/types"
)

// Planner plans the statements of one session against one catalog. It is used
// once, for one statement.
type Planner struct {
	Catalog *catalog.Catalog
	Path    []string      // search_path
	Params  []types.Type  // declared types of $1 …; types.Unknown: to infer. Grows as parameters are found
	Context *expr.Context // for constant folding of what is immutable; stable functions are left
	// ParseView parses the text of a view's query.
	ParseView func(text string) (*ast.Query, error)
}

// Select plans an ad-hoc query.
func (p *Planner) Select(q *ast.Query) (out *plan.Query, err error) {
	defer catch(&err)
	b := p.binder()
	b.emitter = q
	o := b.query(q, nil)
	b.inPlan(o.r)
	ids := make([]int, 0, len(o.cols)+len(o.sort))
	for _, c := range o.cols {
		ids = append(ids, c.id)
	}
	visible := len(ids)
	for _, s := range o.sort {
		if !slices.Contains(ids, s.col) {
			ids = append(ids, s.col)
		}
	}
	root := b.root(o.r, ids, true)
	res := &plan.Query{Root: root, Limit: o.limit, Offset: o.skip, Ties: o.ties}
	res.Columns = make([]plan.Column, visible)
	for i, c := range o.cols {
		root.Out[i].Name = c.name
		res.Columns[i] = root.Out[i]
	}
	for _, s := range o.sort {
		res.Sort = append(res.Sort, plan.Order{Col: slices.Index(ids, s.col), Desc: s.desc, NullsFirst: s.nullsFirst})
	}
	res.Params = b.paramTypes()
	return res, nil
}

// inPlan checks that nothing of an outer query is left.
func (b *binder) inPlan(r *rel) {
	if !r.outer().empty() {
		panic(internal("column %d is of no relation", r.outer().list()[0]))
	}
}

// root rewrites a relation and makes it physical, with exactly the columns ids.
func (b *binder) root(r *rel, ids []int, adhoc bool) *plan.Node {
	return b.rooted(b.push(r, nil), ids, adhoc)
}

// rooted is root of what is rewritten already.
func (b *binder) rooted(r *rel, ids []int, adhoc bool) *plan.Node {
	p := b.pick(r, ids)
	r = b.prune(p, setOf(ids))
	y := &physical{b: b, ad: adhoc}
	root := y.arranged(r, ids)
	if b.view && b.emitter != nil {
		root = y.emitted(root, b.emitter)
	}
	n := b.share(root.n)
	numberNodes(n)
	if b.view {
		b.checkClock(n)
	}
	return n
}

// rootWindows are the columns ids of a view's relation that bound windows.
func (b *binder) rootWindows(r *rel, ids []int) []plan.WindowCols {
	var out []plan.WindowCols
	for _, w := range b.winCols(r) {
		n, ok := w.renamed(func(c int) int { return slices.Index(ids, c) })
		if ok {
			out = append(out, plan.WindowCols{Start: n.start, End: n.end, Time: n.time, Size: n.size, Session: n.session, Keys: n.keys})
		}
	}
	return out
}

// View plans a query that is to be maintained: no parameters, now() only where
// it can be kept true (0A000 otherwise), LIMIT and ORDER BY … LIMIT as operators.
// deps are the objects it reads and calls; keys the output columns that identify
// a row, nil when none are known.
func (p *Planner) View(q *ast.Query, columns []string) (root *plan.Node, cols []plan.Column, deps []uint64, keys []int, err error) {
	defer catch(&err)
	b := p.binder()
	b.view, b.emitter = true, q
	root, cols, keys = b.kept(q, columns, false)
	return root, cols, b.deps, keys, nil
}

// TableAs plans the query of CREATE TABLE AS, which runs once: no parameters, and
// now() is the statement's.
func (p *Planner) TableAs(q *ast.Query, columns []string) (root *plan.Node, cols []plan.Column, err error) {
	defer catch(&err)
	b := p.binder()
	b.plain = true
	root, cols, _ = b.kept(q, columns, true)
	if len(b.params) > 0 {
		panic(unsupported(b.params[0].Pos, "a parameter in CREATE TABLE AS"))
	}
	return root, cols, nil
}

// kept plans a query whose rows are kept under names of their own.
func (b *binder) kept(q *ast.Query, columns []string, once bool) (root *plan.Node, cols []plan.Column, keys []int) {
	o := b.query(q, nil)
	checkColumns(len(o.cols), q.Offset())
	r := b.closed(o)
	b.inPlan(r)
	ids := make([]int, len(o.cols))
	seen := map[int]bool{}
	for i, c := range o.cols {
		ids[i] = c.id
		seen[c.id] = true
	}
	if len(seen) < len(ids) {
		// A column twice: each is one of its own.
		r, ids = b.apart(r, ids)
	}
	names := b.outputNames(o, columns, q.Offset())
	r = b.push(r, nil)
	if k, ok := b.uniqueKey(r); ok && len(k) > 0 {
		for _, c := range k {
			i := slices.Index(ids, c)
			if i < 0 {
				keys = nil
				break
			}
			keys = append(keys, i)
		}
	}
	windows := b.rootWindows(r, ids)
	root = b.rooted(r, ids, once)
	root.Windows = windows
	for i, n := range names {
		root.Out[i].Name = n
	}
	return root, slices.Clone(root.Out), keys
}

// apart gives a column that is there twice a second number.
func (b *binder) apart(r *rel, ids []int) (*rel, []int) {
	out := slices.Clone(ids)
	exprs := b.colsOf(ids)
	seen := map[int]bool{}
	for i, c := range out {
		if seen[c] {
			out[i] = b.copyCol(c)
		}
		seen[out[i]] = true
	}
	return project(r, out, exprs), out
}

// outputNames are the names of a view's columns.
func (b *binder) outputNames(o *output, columns []string, pos int) []string {
	if len(columns) > len(o.cols) {
		panic(sqlerr.New(sqlerr.Syntax, "CREATE VIEW specifies more column names than columns").At(pos))
	}
	names := make([]string, len(o.cols))
	seen := map[string]bool{}
	for i, c := range o.cols {
		names[i] = c.name
		if i < len(columns) {
			names[i] = columns[i]
		}
		if seen[names[i]] {
			panic(sqlerr.New(sqlerr.DuplicateColumn, `column "%s" specified more than once`, names[i]).At(pos))
		}
		seen[names[i]] = true
	}
	return names
}

// Check binds a plain view's query, which stays text, and returns its columns
// and what it depends on.
func (p *Planner) Check(q *ast.Query, columns []string) (cols []plan.Column, deps []uint64, err error) {
	defer catch(&err)
	b := p.binder()
	b.plain = true
	o := b.query(q, nil)
	if len(b.params) > 0 {
		panic(sqlerr.New("42P02", "there is no parameter $1").At(b.params[0].Pos))
	}
	names := b.outputNames(o, columns, q.Offset())
	for i, c := range o.cols {
		cols = append(cols, plan.Column{Name: names[i], Type: b.cols[c.id].typ})
	}
	return cols, b.deps, nil
}
