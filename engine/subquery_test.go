package engine

import (
	"context"
	"fmt"
	"math/rand"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// Random queries with nested, correlated subqueries, against an interpreter that
// evaluates each subquery for each row, as SQL defines it.

// num is an integer or NULL; truth is 1, 0 or -1 for unknown.
type num struct {
	v    int64
	null bool
}

type (
	frame  map[string][]num // the row of each alias in scope
	scalar struct {
		sql  string
		eval func(frame) num
	}
	cond struct {
		sql  string
		eval func(frame) int
	}
	// fromPart is FROM … WHERE: the frames that it gives.
	fromPart struct {
		sql  string
		eval func(frame) []frame
	}
)

var subqueryColumns = []string{"a", "b", "c"}

type queryGen struct {
	rng    *rand.Rand
	tables map[string][][]num
	n      int // aliases so far
}

func (g *queryGen) alias() string { g.n++; return "x" + strconv.Itoa(g.n) }

func (g *queryGen) column(scope []string) scalar {
	// The nearest alias most of the time: correlation is the other third.
	al := scope[len(scope)-1]
	if g.rng.Intn(3) == 0 {
		al = scope[g.rng.Intn(len(scope))]
	}
	i := g.rng.Intn(3)
	return scalar{al + "." + subqueryColumns[i], func(f frame) num { return f[al][i] }}
}

func (g *queryGen) scalar(scope []string, depth int) scalar {
	switch k := g.rng.Intn(10); {
	case k < 6 || depth == 0:
		return g.column(scope)
	case k == 6:
		v := int64(g.rng.Intn(4))
		return scalar{strconv.FormatInt(v, 10), func(frame) num { return num{v: v} }}
	case k == 7:
		x, y := g.scalar(scope, depth-1), g.scalar(scope, depth-1)
		return scalar{"(" + x.sql + " + " + y.sql + ")", func(f frame) num {
			a, b := x.eval(f), y.eval(f)
			return num{a.v + b.v, a.null || b.null}
		}}
	}
	return g.scalarSubquery(scope, depth)
}

func (g *queryGen) scalarSubquery(scope []string, depth int) scalar {
	src, inner := g.source(scope, depth-1)
	// An aggregate of outer columns alone would be one of the outer query.
	x := g.column(inner[len(inner)-1:])
	switch g.rng.Intn(4) {
	case 0:
		return scalar{"(SELECT count(*) FROM " + src.sql + ")", func(f frame) num {
			return num{v: int64(len(src.eval(f)))}
		}}
	case 1:
		return scalar{"(SELECT max(" + x.sql + ") FROM " + src.sql + ")", func(f frame) num {
			out := num{null: true}
			for _, r := range src.eval(f) {
				if v := x.eval(r); !v.null && (out.null || v.v > out.v) {
					out = v
				}
			}
			return out
		}}
	case 2:
		return scalar{"(SELECT count(" + x.sql + ") + 1 FROM " + src.sql + " HAVING count(*) <> 2)", func(f frame) num {
			rows, n := src.eval(f), int64(0)
			for _, r := range rows {
				if !x.eval(r).null {
					n++
				}
			}
			return num{n + 1, len(rows) == 2}
		}}
	}
	return scalar{"(SELECT " + x.sql + " FROM " + src.sql + " ORDER BY 1 LIMIT 1)", func(f frame) num {
		out, any := num{null: true}, false
		for _, r := range src.eval(f) {
			v := x.eval(r)
			if !any || out.null && !v.null || !v.null && v.v < out.v {
				out, any = v, true
			}
		}
		return out
	}}
}

var comparisons = []string{"=", "<>", "<", "<=", ">", ">=", "=", "="}

func compare(op string, a, b num) int {
	if a.null || b.null {
		return -1
	}
	r := map[string]bool{"=": a.v == b.v, "<>": a.v != b.v, "<": a.v < b.v, "<=": a.v <= b.v, ">": a.v > b.v, ">=": a.v >= b.v}[op]
	if r {
		return 1
	}
	return 0
}

func negate(t int) int {
	if t < 0 {
		return t
	}
	return 1 - t
}

func (g *queryGen) cond(scope []string, depth int) cond {
	k := g.rng.Intn(14)
	if depth == 0 && k > 5 {
		k %= 6
	}
	switch k {
	case 0, 1, 2, 3:
		op := comparisons[g.rng.Intn(len(comparisons))]
		x, y := g.scalar(scope, max(depth-1, 0)), g.scalar(scope, max(depth-1, 0))
		return cond{x.sql + " " + op + " " + y.sql, func(f frame) int { return compare(op, x.eval(f), y.eval(f)) }}
	case 4:
		x := g.column(scope)
		return cond{x.sql + " IS NOT NULL", func(f frame) int {
			if x.eval(f).null {
				return 0
			}
			return 1
		}}
	case 5:
		x := g.column(scope)
		return cond{x.sql + " IN (1, 2)", func(f frame) int {
			v := x.eval(f)
			return max(compare("=", v, num{v: 1}), compare("=", v, num{v: 2}))
		}}
	case 6:
		x, y := g.cond(scope, depth-1), g.cond(scope, depth-1)
		return cond{"(" + x.sql + " OR " + y.sql + ")", func(f frame) int {
			a, b := x.eval(f), y.eval(f)
			switch {
			case a == 1 || b == 1:
				return 1
			case a < 0 || b < 0:
				return -1
			}
			return 0
		}}
	case 7:
		x := g.cond(scope, depth-1)
		return cond{"NOT (" + x.sql + ")", func(f frame) int { return negate(x.eval(f)) }}
	case 8, 9:
		src, _ := g.source(scope, depth-1)
		return cond{"EXISTS (SELECT 1 FROM " + src.sql + ")", func(f frame) int { return min(1, len(src.eval(f))) }}
	case 10:
		src, _ := g.source(scope, depth-1)
		return cond{"NOT EXISTS (SELECT 1 FROM " + src.sql + ")", func(f frame) int { return 1 - min(1, len(src.eval(f))) }}
	}
	// x IN, NOT IN, op ANY, op ALL.
	src, inner := g.source(scope, depth-1)
	x, y := g.column(scope), g.scalar(inner, 0)
	op, quant, not := "=", "ANY", false
	head := " IN ("
	switch k {
	case 12:
		head, not = " NOT IN (", true
	case 13:
		op = comparisons[g.rng.Intn(len(comparisons))]
		if g.rng.Intn(2) == 0 {
			quant = "ALL"
		}
		head = " " + op + " " + quant + " ("
	}
	return cond{x.sql + head + "SELECT " + y.sql + " FROM " + src.sql + ")", func(f frame) int {
		v := x.eval(f)
		out := 0
		if quant == "ALL" {
			out = 1
		}
		for _, r := range src.eval(f) {
			t := compare(op, v, y.eval(r))
			switch {
			case quant == "ANY" && t == 1, quant == "ALL" && t == 0:
				out = t
			case t < 0 && (quant == "ANY" && out == 0 || quant == "ALL" && out == 1):
				out = -1
			}
			if quant == "ANY" && out == 1 || quant == "ALL" && out == 0 {
				break
			}
		}
		if not {
			return negate(out)
		}
		return out
	}}
}

// base is an item of FROM: a table or a derived one.
func (g *queryGen) base(scope []string, depth int) (fromPart, string) {
	al := g.alias()
	if depth > 0 && g.rng.Intn(4) == 0 {
		sql, rows := g.derived(scope, depth-1)
		return fromPart{"(" + sql + ") AS " + al, func(f frame) []frame {
			var out []frame
			for _, r := range rows(f) {
				out = append(out, extended(f, al, r))
			}
			return out
		}}, al
	}
	tab := []string{"t", "u", "w"}[g.rng.Intn(3)]
	return fromPart{tab + " AS " + al, func(f frame) []frame { return g.rows(f, al, tab) }}, al
}

// derived is a query of the columns a, b and c over what stands outside of FROM:
// it is not lateral.
func (g *queryGen) derived(_ []string, depth int) (string, func(frame) [][]num) {
	src, inner := g.source(nil, depth)
	x, y, z := g.column(inner), g.scalar(inner, 1), g.column(inner)
	plain := func(f frame) [][]num {
		var out [][]num
		for _, r := range src.eval(frame{}) {
			out = append(out, []num{x.eval(r), y.eval(r), z.eval(r)})
		}
		return out
	}
	cols := x.sql + " AS a, " + y.sql + " AS b, " + z.sql + " AS c FROM " + src.sql
	distinct := func(rows [][]num) [][]num {
		var out [][]num
		for _, r := range rows {
			if !slices.ContainsFunc(out, func(o []num) bool { return slices.Equal(norm(o), norm(r)) }) {
				out = append(out, r)
			}
		}
		return out
	}
	switch g.rng.Intn(5) {
	case 0:
		return "SELECT DISTINCT " + cols, func(f frame) [][]num { return distinct(plain(f)) }
	case 1:
		sql := "SELECT " + x.sql + " AS a, count(*)::int AS b, max(" + z.sql + ") AS c FROM " + src.sql + " GROUP BY " + x.sql
		least := int64(g.rng.Intn(3))
		sql += fmt.Sprintf(" HAVING count(*) > %d", least)
		return sql, func(f frame) [][]num {
			var out [][]num
			for _, r := range plain(f) {
				at := slices.IndexFunc(out, func(o []num) bool { return show(o[0]) == show(r[0]) })
				if at < 0 {
					at = len(out)
					out = append(out, []num{r[0], {}, {null: true}})
				}
				o := out[at]
				o[1].v++
				if !r[2].null && (o[2].null || r[2].v > o[2].v) {
					o[2] = r[2]
				}
			}
			return slices.DeleteFunc(out, func(o []num) bool { return o[1].v <= least })
		}
	case 2:
		// A set operation with another.
		op := []string{"UNION", "UNION ALL", "EXCEPT", "EXCEPT ALL", "INTERSECT", "INTERSECT ALL"}[g.rng.Intn(6)]
		src2, inner2 := g.source(nil, 0)
		u, v, w := g.column(inner2), g.column(inner2), g.column(inner2)
		sql := "SELECT " + cols + " " + op + " SELECT " + u.sql + ", " + v.sql + ", " + w.sql + " FROM " + src2.sql
		return sql, func(f frame) [][]num {
			a := plain(f)
			var c [][]num
			for _, r := range src2.eval(frame{}) {
				c = append(c, []num{u.eval(r), v.eval(r), w.eval(r)})
			}
			return setOperation(op, a, c, distinct)
		}
	case 3:
		n := int64(1 + g.rng.Intn(2))
		sql := fmt.Sprintf("SELECT a, b, c FROM (SELECT %s AS a, %s AS b, %s AS c, row_number() OVER (PARTITION BY %s ORDER BY %s, %s, %s) AS n FROM %s) AS ranked WHERE n <= %d",
			x.sql, y.sql, z.sql, x.sql, z.sql, y.sql, x.sql, src.sql, n)
		return sql, func(f frame) [][]num {
			rows := plain(f)
			slices.SortStableFunc(rows, func(p, q []num) int {
				for _, k := range []int{0, 2, 1} {
					if c := order(p[k], q[k]); c != 0 {
						return c
					}
				}
				return 0
			})
			var out [][]num
			at := int64(0)
			for i, r := range rows {
				if i == 0 || show(rows[i-1][0]) != show(r[0]) {
					at = 0
				}
				if at++; at <= n {
					out = append(out, r)
				}
			}
			return out
		}
	}
	return "SELECT " + cols, plain
}

// order compares as ORDER BY does: NULL is last.
func order(a, b num) int {
	switch {
	case a.null && b.null:
		return 0
	case a.null:
		return 1
	case b.null:
		return -1
	}
	return int(a.v - b.v)
}

// norm makes NULLs alike.
func norm(r []num) []num {
	out := slices.Clone(r)
	for i := range out {
		if out[i].null {
			out[i].v = 0
		}
	}
	return out
}

func setOperation(op string, a, c [][]num, distinct func([][]num) [][]num) [][]num {
	op, all := strings.CutSuffix(op, " ALL")
	if op == "UNION" {
		both := append(slices.Clone(a), c...)
		if all {
			return both
		}
		return distinct(both)
	}
	count := map[string]int{}
	key := func(r []num) string { return show(r[0]) + "|" + show(r[1]) + "|" + show(r[2]) }
	for _, r := range c {
		count[key(r)]++
	}
	if !all {
		a = distinct(a)
	}
	var out [][]num
	for _, r := range a {
		in := count[key(r)] > 0
		if in && all {
			count[key(r)]--
		}
		if in == (op == "INTERSECT") {
			out = append(out, r)
		}
	}
	return out
}

// source is an item of FROM, or a join of two, under a condition.
func (g *queryGen) source(scope []string, depth int) (fromPart, []string) {
	base, al := g.base(scope, depth)
	inner := append(slices.Clone(scope), al)
	if g.rng.Intn(3) == 0 {
		one := base
		two, al2 := g.base(scope, depth)
		kind := []string{"JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN"}[g.rng.Intn(4)]
		inner = append(inner, al2)
		x, y := g.column([]string{al}), g.column([]string{al2})
		on := cond{x.sql + " = " + y.sql, func(f frame) int { return compare("=", x.eval(f), y.eval(f)) }}
		if g.rng.Intn(2) == 0 {
			more, first := g.cond([]string{al, al2}, 0), on
			on = cond{first.sql + " AND " + more.sql, func(f frame) int {
				if first.eval(f) == 1 && more.eval(f) == 1 {
					return 1
				}
				return 0
			}}
		}
		nothing := []num{{null: true}, {null: true}, {null: true}}
		base = fromPart{one.sql + " " + kind + " " + two.sql + " ON " + on.sql, func(f frame) []frame {
			var out []frame
			right := two.eval(f)
			hit := make([]bool, len(right))
			for _, l := range one.eval(f) {
				found := false
				for i, r := range right {
					if both := extended(l, al2, r[al2]); on.eval(both) == 1 {
						out, found, hit[i] = append(out, both), true, true
					}
				}
				if !found && (kind == "LEFT JOIN" || kind == "FULL JOIN") {
					out = append(out, extended(l, al2, nothing))
				}
			}
			for i, r := range right {
				if !hit[i] && (kind == "RIGHT JOIN" || kind == "FULL JOIN") {
					out = append(out, extended(extended(f, al, nothing), al2, r[al2]))
				}
			}
			return out
		}}
	}
	if depth < 0 || g.rng.Intn(6) == 0 {
		return base, inner
	}
	c := g.cond(inner, depth)
	sql := base.sql + " WHERE " + c.sql
	if g.rng.Intn(2) == 0 {
		d, c1 := g.cond(inner, 0), c
		c = cond{"", func(f frame) int {
			if c1.eval(f) == 1 && d.eval(f) == 1 {
				return 1
			}
			return 0
		}}
		sql += " AND " + d.sql
	}
	return fromPart{sql, func(f frame) []frame {
		var out []frame
		for _, r := range base.eval(f) {
			if c.eval(r) == 1 {
				out = append(out, r)
			}
		}
		return out
	}}, inner
}

func extended(f frame, al string, row []num) frame {
	n := make(frame, len(f)+1)
	for k, v := range f {
		n[k] = v
	}
	n[al] = row
	return n
}

func (g *queryGen) rows(f frame, al, tab string) []frame {
	var out []frame
	for _, r := range g.tables[tab] {
		out = append(out, extended(f, al, r))
	}
	return out
}

// query is a SELECT with two columns and the rows that it must give.
func (g *queryGen) query() (string, func() []string) {
	src, scope := g.source(nil, 2)
	x, y := g.column(scope), g.scalar(scope, 2)
	return "SELECT " + x.sql + " AS p, " + y.sql + " AS q FROM " + src.sql, func() []string {
		var out []string
		for _, f := range src.eval(frame{}) {
			out = append(out, show(x.eval(f))+"|"+show(y.eval(f)))
		}
		slices.Sort(out)
		return out
	}
}

func show(v num) string {
	if v.null {
		return "NULL"
	}
	return strconv.FormatInt(v.v, 10)
}

func sortedLines(text string) []string {
	if text == "" {
		return nil
	}
	lines := strings.Split(text, "\n")
	slices.Sort(lines)
	return lines
}

// TestSubqueries compares random queries, ad hoc and as views that stand before
// their data, with the interpreter.
func TestSubqueries(t *testing.T) {
	rounds, queries, full := 5, 20, 0
	if testing.Short() {
		rounds = 2
	}
	for round := range rounds {
		e, err := Open(context.Background(), Options{Workers: 1 + round%3})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { e.Close() })
		s := another(t, e)
		g := &queryGen{rng: rand.New(rand.NewSource(int64(round)))}
		for _, tab := range []string{"t", "u", "w"} {
			key := []string{"", " PRIMARY KEY", " NOT NULL"}[g.rng.Intn(3)]
			if got := ask(s, "CREATE TABLE "+tab+" (id int"+key+", a int, b int, c int)"); got != "CREATE TABLE" {
				t.Fatal(got)
			}
		}
		type asked struct {
			sql, view string
			want      func() []string
		}
		var all []asked
		for i := range queries {
			sql, want := g.query()
			v := fmt.Sprintf("v%d", i)
			if got := ask(s, "CREATE MATERIALIZED VIEW "+v+" AS "+sql); got != "CREATE MATERIALIZED VIEW" {
				t.Errorf("round %d: %s: %s", round, sql, got)
				continue
			}
			all = append(all, asked{sql, v, want})
		}
		g.tables = map[string][][]num{}
		ids := map[string][]int{}
		next := 0
		for step := range 3 {
			for _, tab := range []string{"t", "u", "w"} {
				for range 2 + g.rng.Intn(3) {
					row := make([]num, 3)
					vals := []string{strconv.Itoa(next)}
					for i := range row {
						row[i] = num{int64(g.rng.Intn(4)), g.rng.Intn(5) == 0}
						vals = append(vals, show(row[i]))
					}
					ids[tab] = append(ids[tab], next)
					g.tables[tab] = append(g.tables[tab], row)
					next++
					if got := ask(s, "INSERT INTO "+tab+" VALUES ("+strings.Join(vals, ", ")+")"); !strings.HasPrefix(got, "INSERT") {
						t.Fatal(got)
					}
				}
				if n := len(ids[tab]); step > 0 && n > 0 && g.rng.Intn(2) == 0 {
					k := g.rng.Intn(n)
					ask(s, fmt.Sprintf("DELETE FROM %s WHERE id = %d", tab, ids[tab][k]))
					ids[tab] = slices.Delete(ids[tab], k, k+1)
					g.tables[tab] = slices.Delete(g.tables[tab], k, k+1)
				}
			}
			for _, q := range all {
				want := q.want()
				full += len(want)
				if got := sortedLines(ask(s, q.sql)); !slices.Equal(got, want) {
					t.Errorf("round %d step %d ad hoc: %s\ngot  %v\nwant %v", round, step, q.sql, got, want)
				}
				if got := sortedLines(ask(s, "SELECT * FROM "+q.view)); !slices.Equal(got, want) {
					t.Errorf("round %d step %d view: %s\ngot  %v\nwant %v", round, step, q.sql, got, want)
				}
			}
			if t.Failed() {
				return
			}
		}
	}
	if full < 500 && !testing.Short() {
		t.Errorf("all queries together had %d rows: they test little", full)
	}
}
