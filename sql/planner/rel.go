package planner

import (
	"math/bits"

	"github.com/streamsql/streamsql/sql/catalog"
	"github.com/streamsql/streamsql/sql/expr"
	"github.com/streamsql/streamsql/sql/plan"
	"github.com/streamsql/streamsql/sql/sqlerr"
	"github.com/streamsql/streamsql/sql/types"
)

// op names a logical operator.
type op uint8

const (
	opScan     op = iota
	opValues      // rows
	opFilter      // conds
	opProject     // exprs, parallel to out
	opJoin        // kind, conds
	opAgg         // keys, aggs
	opDistinct    //
	opUnion       // cols: the columns of each input, parallel to out
	opSetOp       // cols, set, all
	opTopN        // keys, order, limit …
	opOver        // keys, order, aggs
	opWindow      // win
	opUnnest      // setFn(exprs)
	opAsOf        // kind inner or left, conds: equalities, asof
)

// rel is a logical operator. Columns are named by numbers that are unique in the
// statement: a Col expression's Index is such a number, wherever it stands, until
// physical.go turns it into a position. A number that no input produces is a
// column of an outer query: the relation is correlated.
//
// Relations are not changed while names are bound, so what is known of them can
// be kept; the rewrites behind that change them in place.
type rel struct {
	op  op
	in  []*rel
	out []int

	obj    *catalog.Object // scan
	attrs  []int           // scan: the object's column of each output column
	lookup []*expr.Expr    // scan: values of the first columns of index
	index  []int           // scan: attributes

	rows  [][]*expr.Expr // values
	conds []*expr.Expr   // filter, join
	exprs []*expr.Expr   // project; unnest: the arguments
	kind  plan.JoinKind
	keys  []int // agg, top-n, over; window: of a session
	aggs  []aggCall
	cols  [][]int

	order  []sortKey
	limit  int64 // -1: none
	offset int64
	ties   bool
	rank   string // the last of out, when not ""

	set  string
	all  bool
	win  plan.WindowSpec // TimeCol is a column number
	setF string
	ord  bool
	made []int // window, unnest: the columns that it adds
	asof *asOf

	free  set
	known bool // free is valid
}

// isSession tells whether r is a window whose rows depend on each other.
func (r *rel) isSession() bool { return r.op == opWindow && r.win.Kind == "session" }

// added are the columns that r adds to those of its input.
func (r *rel) added() []int {
	switch r.op {
	case opWindow, opUnnest:
		return r.made
	case opTopN:
		if r.rank != "" {
			return r.out[len(r.out)-1:]
		}
	case opOver:
		ids := make([]int, len(r.aggs))
		for i := range r.aggs {
			ids[i] = r.aggs[i].id
		}
		return ids
	}
	return nil
}

type aggCall struct {
	id       int // of the column that holds it
	fn       string
	kind     expr.AggKind
	args     []int
	filter   int // -1: none
	distinct bool
	order    []sortKey
	typ      types.Type
	frame    *plan.Frame
}

type sortKey struct {
	col        int
	desc       bool
	nullsFirst bool
}

// set is a set of column numbers.
type set []uint64

func (s set) has(i int) bool { return i>>6 < len(s) && s[i>>6]&(1<<(uint(i)&63)) != 0 }

func (s *set) add(i int) {
	for i>>6 >= len(*s) {
		*s = append(*s, 0)
	}
	(*s)[i>>6] |= 1 << (uint(i) & 63)
}

func (s *set) addAll(ids []int) {
	for _, i := range ids {
		s.add(i)
	}
}

func (s *set) or(t set) {
	for len(*s) < len(t) {
		*s = append(*s, 0)
	}
	for i, w := range t {
		(*s)[i] |= w
	}
}

func (s set) del(i int) {
	if s.has(i) {
		s[i>>6] &^= 1 << (uint(i) & 63)
	}
}

func (s set) clone() set { return append(set(nil), s...) }

func (s set) empty() bool {
	for _, w := range s {
		if w != 0 {
			return false
		}
	}
	return true
}

func (s set) meets(t set) bool {
	for i := range min(len(s), len(t)) {
		if s[i]&t[i] != 0 {
			return true
		}
	}
	return false
}

// within tells whether all of s is in t.
func (s set) within(t set) bool {
	for i, w := range s {
		if i < len(t) {
			w &^= t[i]
		}
		if w != 0 {
			return false
		}
	}
	return true
}

func (s set) and(t set) set {
	out := make(set, min(len(s), len(t)))
	for i := range out {
		out[i] = s[i] & t[i]
	}
	return out
}

// list gives the members in ascending order.
func (s set) list() []int {
	var out []int
	for i, w := range s {
		for ; w != 0; w &= w - 1 {
			out = append(out, i<<6+bits.TrailingZeros64(w))
		}
	}
	return out
}

func setOf(ids []int) set {
	var s set
	s.addAll(ids)
	return s
}

// addRefs adds the columns that x names.
func addRefs(s *set, x *expr.Expr) {
	if x == nil {
		return
	}
	if x.Kind == expr.Col {
		s.add(x.Index)
		return
	}
	for _, a := range x.Args {
		addRefs(s, a)
	}
}

func refs(xs ...*expr.Expr) set {
	var s set
	for _, x := range xs {
		addRefs(&s, x)
	}
	return s
}

// refersTo tells whether x names a column of s.
func refersTo(x *expr.Expr, s set) bool {
	if x.Kind == expr.Col {
		return s.has(x.Index)
	}
	for _, a := range x.Args {
		if refersTo(a, s) {
			return true
		}
	}
	return false
}

// uses adds the columns that r itself names, not those its inputs do.
func (r *rel) uses(s *set) {
	for _, c := range r.conds {
		addRefs(s, c)
	}
	for _, x := range r.exprs {
		addRefs(s, x)
	}
	for _, x := range r.lookup {
		addRefs(s, x)
	}
	for _, row := range r.rows {
		for _, x := range row {
			addRefs(s, x)
		}
	}
	s.addAll(r.keys)
	for _, k := range r.order {
		s.add(k.col)
	}
	for i := range r.aggs {
		r.aggs[i].uses(s)
	}
	for _, c := range r.cols {
		s.addAll(c)
	}
	if r.op == opWindow {
		s.add(r.win.TimeCol)
	}
	if r.op == opAsOf && r.asof.left >= 0 {
		s.add(r.asof.left)
		s.add(r.asof.right)
	}
}

func (a *aggCall) uses(s *set) {
	s.addAll(a.args)
	if a.filter >= 0 {
		s.add(a.filter)
	}
	for _, k := range a.order {
		s.add(k.col)
	}
}

// outer returns the columns of outer queries that r names.
func (r *rel) outer() set {
	if r.known {
		return r.free
	}
	var s set
	r.uses(&s)
	for _, in := range r.in {
		for _, c := range in.out {
			s.del(c)
		}
	}
	for _, in := range r.in {
		s.or(in.outer())
	}
	r.free, r.known = s, true
	return s
}

// mapExpr returns x with its columns renamed; x itself when none is.
func mapExpr(x *expr.Expr, m map[int]int) *expr.Expr {
	if x == nil || len(m) == 0 {
		return x
	}
	return rewrite(x, func(c *expr.Expr) *expr.Expr {
		if c.Kind == expr.Col {
			if n, ok := m[c.Index]; ok {
				d := *c
				d.Index = n
				return &d
			}
		}
		return nil
	})
}

// rewrite returns x with each subexpression for which f returns one replaced,
// outermost first. Nothing is changed in place.
func rewrite(x *expr.Expr, f func(*expr.Expr) *expr.Expr) *expr.Expr {
	if y := f(x); y != nil {
		return y
	}
	var args []*expr.Expr
	for i, a := range x.Args {
		if y := rewrite(a, f); y != a {
			if args == nil {
				args = append([]*expr.Expr(nil), x.Args...)
			}
			args[i] = y
		}
	}
	if args == nil {
		return x
	}
	y := *x
	y.Args = args
	return &y
}

func mapExprs(xs []*expr.Expr, m map[int]int) []*expr.Expr {
	if xs == nil {
		return nil
	}
	out := make([]*expr.Expr, len(xs))
	for i, x := range xs {
		out[i] = mapExpr(x, m)
	}
	return out
}

func mapIDs(ids []int, m map[int]int) []int {
	if ids == nil {
		return nil
	}
	out := make([]int, len(ids))
	for i, c := range ids {
		out[i] = mapID(c, m)
	}
	return out
}

func mapID(c int, m map[int]int) int {
	if n, ok := m[c]; ok {
		return n
	}
	return c
}

func mapOrder(ks []sortKey, m map[int]int) []sortKey {
	out := append([]sortKey(nil), ks...)
	for i := range out {
		out[i].col = mapID(out[i].col, m)
	}
	return out
}

// renamed returns a copy of r, without its inputs and output, with the columns
// that it names replaced by m.
func (r *rel) renamed(m map[int]int) *rel {
	n := *r
	n.known, n.free = false, nil
	n.conds = mapExprs(r.conds, m)
	n.exprs = mapExprs(r.exprs, m)
	n.lookup = mapExprs(r.lookup, m)
	if r.rows != nil {
		n.rows = make([][]*expr.Expr, len(r.rows))
		for i, row := range r.rows {
			n.rows[i] = mapExprs(row, m)
		}
	}
	n.keys = mapIDs(r.keys, m)
	n.order = mapOrder(r.order, m)
	n.aggs = append([]aggCall(nil), r.aggs...)
	for i := range n.aggs {
		a := &n.aggs[i]
		a.args, a.order = mapIDs(a.args, m), mapOrder(a.order, m)
		if a.filter >= 0 {
			a.filter = mapID(a.filter, m)
		}
	}
	if r.cols != nil {
		n.cols = make([][]int, len(r.cols))
		for i, c := range r.cols {
			n.cols[i] = mapIDs(c, m)
		}
	}
	if r.op == opWindow {
		n.win.TimeCol = mapID(r.win.TimeCol, m)
	}
	if r.op == opAsOf {
		a := *r.asof
		a.left, a.right = mapID(a.left, m), mapID(a.right, m)
		n.asof = &a
	}
	return &n
}

// maxCloned bounds the operators that subqueries multiply.
const maxCloned = 20_000

// clone copies a relation under new column numbers, which it enters into m.
func (b *binder) clone(r *rel, m map[int]int) *rel {
	if b.cloned++; b.cloned > maxCloned {
		panic(sqlerr.New(sqlerr.TooComplex, "the statement's subqueries are nested too deep").
			WithHint("A subquery under NOT, OR or in a SELECT list that names columns around it is computed several times."))
	}
	in := make([]*rel, len(r.in))
	for i, x := range r.in {
		in[i] = b.clone(x, m)
	}
	n := r.renamed(m)
	n.in = in
	n.out = make([]int, len(r.out))
	for i, c := range r.out {
		d, ok := m[c]
		if !ok {
			d = b.copyCol(c)
			m[c] = d
		}
		n.out[i] = d
	}
	for i := range n.aggs {
		n.aggs[i].id = mapID(n.aggs[i].id, m)
	}
	n.made = mapIDs(r.made, m)
	return n
}
