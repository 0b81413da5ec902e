package parser

import (
	"strings"
	"testing"
	"time"

	"github.com/streamsql/streamsql/sql/ast"
	"github.com/streamsql/streamsql/sql/sqlerr"
)

// TestDepth holds that nesting has a limit and that no text takes long.
func TestDepth(t *testing.T) {
	rep := strings.Repeat
	for name, text := range map[string]string{
		"parentheses": "select " + rep("(", 10000) + "1" + rep(")", 10000),
		"unclosed":    "select " + rep("(", 100000),
		"queries":     rep("(", 10000) + "select 1" + rep(")", 10000),
		"unclosed q":  rep("(", 100000) + "select 1",
		"subqueries":  rep("select (", 10000) + "1" + rep(")", 10000),
		"from":        rep("select * from (", 10000) + "select 1" + rep(") t", 10000),
		"joins":       "select * from " + rep("(a join ", 10000) + "b" + rep(" on true)", 10000),
		"right joins": "select * from " + rep("a join ", 10000) + "b" + rep(" on true", 10000),
		"minus":       "select " + rep("- ", 10000) + "1",
		"not":         "select " + rep("not ", 10000) + "true",
		"calls":       "select " + rep("f(", 10000) + "1" + rep(")", 10000),
		"case":        "select " + rep("case when ", 10000) + "1" + rep(" then 1 end", 10000),
		"arrays":      "select array" + rep("[", 10000) + "1" + rep("]", 10000),
		"subscripts":  "select a" + rep("[a", 10000) + rep("]", 10000),
		"sets":        "select 1 group by " + rep("grouping sets (", 10000) + "1" + rep(")", 10000),
		"chain":       "select 1" + rep(" + 1", 20000),
		"casts":       "select 1" + rep("::int", 20000),
		"unions":      "select 1" + rep(" union select 1", 20000),
		"joins left":  "select * from t" + rep(" cross join t", 20000),
		"with":        rep("with x as (", 10000) + "select 1" + rep(") select 1", 10000),
		"explain":     rep("explain ", 10000) + "select 1",
	} {
		start := time.Now()
		_, err := Parse(text)
		e := sqlerr.From(err)
		want := sqlerr.TooComplex
		if name == "explain" {
			want = sqlerr.Syntax
		}
		if e == nil || e.Code != want {
			t.Errorf("%s: %+v", name, e)
		}
		if d := time.Since(start); d > 5*time.Second {
			t.Errorf("%s took %v", name, d)
		}
	}
	for name, text := range map[string]string{
		"parentheses": "select " + rep("(", 1900) + "1" + rep(")", 1900),
		"chain":       "select 1" + rep(" and true", 9000),
		"unions":      "select 1" + rep(" union all select 1", 2000),
		"list":        "select 1" + rep(", 1", 20000),
		"rows":        "insert into t values (1, 'x')" + rep(", (1, 'x')", 20000),
		"tables":      "select * from t" + rep(", t", 5000),
		"in":          "select a in (1" + rep(", 1", 20000) + ")",
		"number":      "select " + rep("9", 10000) + ", 1e400, -0." + rep("1", 10000),
		"statements":  rep("select 1;", 2000),
	} {
		start := time.Now()
		if _, err := Parse(text); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if d := time.Since(start); d > 5*time.Second {
			t.Errorf("%s took %v", name, d)
		}
	}
}

// TestNumbers holds that no digit of a number is lost.
func TestNumbers(t *testing.T) {
	digits := strings.Repeat("1234567890", 20)
	for _, c := range []struct{ text, want string }{
		{digits, `(Literal@7 Kind="num" Text="` + digits + `")`},
		{"-9223372036854775808", `(Literal@7 Kind="int" Text="-9223372036854775808")`},
		{"9223372036854775808", `(Literal@7 Kind="num" Text="9223372036854775808")`},
		{"- -5", `(Literal@7 Kind="int" Text="5")`},
		{"-(5)", `(Literal@7 Kind="int" Text="-5")`},
		{"-1.50", `(Literal@7 Kind="num" Text="-1.50")`},
		{"1e400", `(Literal@7 Kind="num" Text="1e400")`},
		{"007", `(Literal@7 Kind="int" Text="7")`},
		{"-1::int", `(Unary@7 Op="-" X=(Cast@9 X=(Literal@8 Kind="int" Text="1") Type=(TypeName@11 Parts=["int4"])))`},
	} {
		stmts, err := Parse("select " + c.text)
		if err != nil {
			t.Errorf("%s: %v", c.text, err)
			continue
		}
		got := ast.Dump(stmts[0].(*ast.Query).Body.(*ast.Select).Targets[0].Expr)
		if got = strings.Join(strings.Fields(got), " "); got != c.want {
			t.Errorf("%s gives %s", c.text, got)
		}
	}
}

// TestConcurrent runs the pooled parsers side by side.
func TestConcurrent(t *testing.T) {
	const text = "select a, sum(b) filter (where c) over (order by d) from t join u using (a) where a = $1"
	want := parsed(text)
	done := make(chan string)
	for range 8 {
		go func() {
			got := ""
			for range 100 {
				if got = parsed(text); got != want {
					break
				}
			}
			done <- got
		}()
	}
	for range 8 {
		if got := <-done; got != want {
			t.Errorf("got %s", got)
		}
	}
}

// FuzzParse holds that no text makes the parser panic, and that an error points
// into the text.
func FuzzParse(f *testing.F) {
	for _, text := range goldenTexts(f) {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		stmts, err := Parse(text)
		if err != nil {
			e := sqlerr.From(err)
			if e.Code == sqlerr.Internal || e.Pos < 0 || e.Pos > len(text)+1 {
				t.Fatalf("%q: %+v", text, e)
			}
			return
		}
		ast.Dump(stmts)
	})
}

func BenchmarkParse(b *testing.B) {
	const text = "SELECT a.id, count(*) AS n, sum(b.price * 1.1) FROM auctions a JOIN bids b ON a.id = b.auction " +
		"WHERE b.price > 100 AND a.category IN (1, 2, 3) GROUP BY a.id HAVING count(*) > 5 ORDER BY n DESC LIMIT 10"
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		if _, err := Parse(text); err != nil {
			b.Fatal(err)
		}
	}
}
