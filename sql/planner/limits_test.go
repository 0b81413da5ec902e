package planner

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/streamsql/streamsql/sql/ast"
	"github.com/streamsql/streamsql/sql/parser"
)

// TestDeep plans statements nested as deep as the parser lets them through, and
// long ones.
func TestDeep(t *testing.T) {
	cat := testCatalog(t)
	for _, c := range []struct {
		name string
		make func(n int) string
		n    int
	}{
		{"subqueries in FROM", func(n int) string {
			return strings.Repeat("select a from (", n) + "select a from t" + strings.Repeat(") s", n)
		}, 500},
		{"computed subqueries in FROM", func(n int) string {
			return strings.Repeat("select a + a as a from (", n) + "select a from t" + strings.Repeat(") s where a > 3", n)
		}, 200},
		{"scalar subqueries", func(n int) string {
			return strings.Repeat("select (", n) + "select max(a) from t" + strings.Repeat(")", n)
		}, 500},
		{"correlated subqueries", func(n int) string {
			s := "select t0.a from t t0 where "
			for i := 1; i <= n; i++ {
				s += fmt.Sprintf("exists (select 1 from t t%d where t%d.a = t%d.b and ", i, i, i-1)
			}
			return s + "true" + strings.Repeat(")", n)
		}, 200},
		{"subqueries correlated over all levels", func(n int) string {
			s := "select t0.a from t t0 where "
			for i := 1; i <= n; i++ {
				s += fmt.Sprintf("exists (select 1 from t t%d where t%d.a = t0.b and ", i, i)
			}
			return s + "true" + strings.Repeat(")", n)
		}, 100},
		{"parentheses", func(n int) string {
			return "select " + strings.Repeat("(1 + ", n) + "a" + strings.Repeat(")", n) + " from t"
		}, 900},
		{"case", func(n int) string {
			return "select " + strings.Repeat("case when a > 1 then ", n) + "b" + strings.Repeat(" end", n) + " from t"
		}, 300},
		{"a sum", func(n int) string { return "select a" + strings.Repeat(" + a", n) + " from t" }, 900},
		{"and", func(n int) string { return "select a from t where a > 0" + strings.Repeat(" and b > 1", n) }, 900},
		{"or", func(n int) string { return "select a from t where a > 0" + strings.Repeat(" or b > 1", n) }, 900},
		{"in", func(n int) string { return "select a from t where a in (0" + strings.Repeat(", 1", n) + ")" }, 5000},
		{"union", func(n int) string { return "select a from t" + strings.Repeat(" union all select b from t", n) }, 500},
		{"values", func(n int) string { return "insert into t (a) values (1)" + strings.Repeat(", (2)", n) }, 5000},
		{"joins of one table", func(n int) string {
			s := "select t0.a from t t0"
			for i := 1; i <= n; i++ {
				s += fmt.Sprintf(" join t t%d on t%d.a = t%d.b", i, i, i-1)
			}
			return s
		}, 63},
		{"a product in a bad order", func(n int) string {
			s, w := "select * from t t0", " where t0.a = 1"
			for i := 1; i <= n; i++ {
				s += fmt.Sprintf(", t t%d", i)
				w += fmt.Sprintf(" and t%d.b = t%d.a", i, n-i)
			}
			return s + w
		}, 63},
		{"left joins", func(n int) string {
			s := "select t0.a from t t0"
			for i := 1; i <= n; i++ {
				s += fmt.Sprintf(" left join t t%d on t%d.a = t%d.b", i, i, i-1)
			}
			return s
		}, 63},
	} {
		stmts, err := parser.Parse(c.make(c.n))
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		start := time.Now()
		got := describePlan(cat, stmts[0])
		if strings.Contains(got, "ERROR") {
			t.Errorf("%s: %.300s", c.name, got[strings.Index(got, "ERROR"):])
		}
		d := time.Since(start)
		t.Logf("%s: %v", c.name, d)
		if d > time.Minute {
			t.Errorf("%s: took %v", c.name, d)
		}
	}
}

// doubling is WITH queries that each read the one before twice.
func doubling() string {
	s := ""
	for i := 1; i <= 30; i++ {
		s += fmt.Sprintf(", x%d as (select l.a from x%d l join x%d r on l.a = r.a)", i, i-1, i-1)
	}
	return s
}

// TestTooComplex wants an error, and soon, of what would multiply without end.
func TestTooComplex(t *testing.T) {
	cat := testCatalog(t)
	for _, text := range []string{
		"select " + strings.Repeat("b in (select ", 30) + "b" + strings.Repeat("::int from t)", 30) + " from t",
		"with x0 as (select a from t)" + doubling() + " select count(*) from x30",
		"select a from t where " + strings.Repeat("b not in (select b from u where a = 1 or ", 30) + "true" + strings.Repeat(")", 30),
	} {
		stmts, err := parser.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		got := describePlan(cat, stmts[0])
		if !strings.HasPrefix(got, "ERROR 54001") {
			t.Errorf("%.60s…: %.500s", text, got)
		}
		if d := time.Since(start); d > time.Minute {
			t.Errorf("%.60s…: took %v", text, d)
		}
	}
}

func BenchmarkPlan(b *testing.B) {
	cat := testCatalog(b)
	for _, c := range [][2]string{
		{"point", "select b, c from t where a = $1"},
		{"insert", "insert into t (a, b) values ($1, $2)"},
		{"group", "select b, count(*), sum(a) from t where c = 'x' group by b order by 2 desc limit 10"},
		{"join", "select t.c, u.k from t join u on t.a = u.a where u.b > 3"},
		{"correlated", "select a, (select max(k) from u where u.a = t.a) from t"},
	} {
		b.Run(c[0], func(b *testing.B) {
			stmts, err := parser.Parse(c[1])
			if err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				p := testPlanner(cat)
				switch s := stmts[0].(type) {
				case *ast.Query:
					_, err = p.Select(s)
				case *ast.Insert:
					_, err = p.Insert(s)
				}
				if err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
