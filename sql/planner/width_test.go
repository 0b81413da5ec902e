package planner

import (
	"strings"
	"testing"

	"github.com/streamsql/streamsql/sql/ast"
	"github.com/streamsql/streamsql/sql/parser"
	"github.com/streamsql/streamsql/sql/sqlerr"
)

// TestWidth: what PostgreSQL's clients cannot take is refused.
func TestWidth(t *testing.T) {
	ones := func(n int) string { return "SELECT " + strings.TrimSuffix(strings.Repeat("1,", n), ",") }
	for _, c := range []struct{ sql, code string }{
		{ones(1664), ""},
		{ones(1665), "54011"},
		{"SELECT * FROM (" + ones(1000) + ") a, (" + ones(1000) + ") b", "54011"},
	} {
		ss, err := parser.Parse(c.sql)
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		if _, err := testPlanner(testCatalog(t)).Select(ss[0].(*ast.Query)); err != nil {
			got = sqlerr.From(err).Code
		}
		if got != c.code {
			t.Errorf("%.20s… of %d bytes: %q, want %q", c.sql, len(c.sql), got, c.code)
		}
	}
}
