package parser

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/streamsql/streamsql/sql/ast"
	"github.com/streamsql/streamsql/sql/sqlerr"
)

var rewrite = flag.Bool("rewrite", false, "rewrite the golden files")

// parsed gives the trees of a text, or its error with a caret below the place.
func parsed(text string) string {
	stmts, err := Parse(text)
	if err != nil {
		return failure(text, err)
	}
	var out []string
	for _, s := range stmts {
		out = append(out, ast.Dump(s))
	}
	return strings.Join(out, "\n")
}

func failure(text string, err error) string {
	e := sqlerr.From(err)
	s := fmt.Sprintf("ERROR %s: %s", e.Code, e.Message)
	if e.Pos > 0 {
		line := text[strings.LastIndex(text[:min(e.Pos-1, len(text))], "\n")+1:]
		col := len(text) - len(line)
		line, _, _ = strings.Cut(line, "\n")
		s += fmt.Sprintf("\n%s\n%s^", line, strings.Repeat(" ", e.Pos-1-col))
	}
	if e.Detail != "" {
		s += "\nDETAIL: " + e.Detail
	}
	if e.Hint != "" {
		s += "\nHINT: " + e.Hint
	}
	return s
}

// goldenTexts returns the statements of the golden files.
func goldenTexts(t testing.TB) []string {
	files, err := filepath.Glob("testdata/*.golden")
	if err != nil || len(files) == 0 {
		t.Fatalf("no golden files: %v", err)
	}
	var out []string
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for block := range strings.SplitSeq(strings.TrimSpace(string(b)), "\n\n") {
			text, _, _ := strings.Cut(block, "\n----")
			out = append(out, text)
		}
	}
	return out
}

// TestGolden holds the trees of testdata/*.golden: a statement, a line of dashes,
// what it gives, an empty line. With -rewrite it writes what it finds.
func TestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/*.golden")
	if err != nil || len(files) == 0 {
		t.Fatalf("no golden files: %v", err)
	}
	for _, f := range files {
		t.Run(strings.TrimSuffix(filepath.Base(f), ".golden"), func(t *testing.T) {
			b, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			var out strings.Builder
			for block := range strings.SplitSeq(strings.TrimSpace(string(b)), "\n\n") {
				text, want, _ := strings.Cut(block, "\n----")
				got := parsed(text)
				fmt.Fprintf(&out, "%s\n----\n%s\n\n", text, got)
				if want = strings.TrimPrefix(want, "\n"); got != want && !*rewrite {
					t.Errorf("%s\ngot\n%s\nwant\n%s", text, got, want)
				}
			}
			if *rewrite {
				if err := os.WriteFile(f, []byte(out.String()), 0o644); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}
