// Package streamsql_test holds the checks that concern the whole tree.
package streamsql_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/streamsql/streamsql/"

// allowed lists, for each package, the packages of this project that its code
// (tests included) may import. Imports run one way, from doors to ground.
var allowed = map[string][]string{
	"sql/sqlerr":   {},
	"sql/types":    {"sql/sqlerr"},
	"sql/delta":    {"sql/sqlerr", "sql/types"},
	"sql/expr":     {"sql/sqlerr", "sql/types", "sql/delta"},
	"sql/plan":     {"sql/expr", "sql/types"},
	"sql/ast":      {"sql/types"},
	"sql/parser":   {"sql/sqlerr", "sql/ast"},
	"sql/catalog":  {"sql/sqlerr", "sql/types", "sql/expr", "sql/plan"},
	"sql/planner":  {"sql/sqlerr", "sql/types", "sql/ast", "sql/parser", "sql/expr", "sql/plan", "sql/catalog"},
	"sql/exec":     {"sql/sqlerr", "sql/types", "sql/delta", "sql/expr", "sql/plan", "state"},
	"engine":       {"sql/sqlerr", "sql/types", "sql/delta", "sql/expr", "sql/plan", "sql/ast", "sql/parser", "sql/catalog", "sql/planner", "sql/exec", "state", "checkpoint", "connector", "connector/file", "udf"},
	"baddays":      {"connector/file", "connector/kafka", "connector/kafka/broker", "engine", "server", "udf"},
	"eventtime":    {"connector", "connector/file", "connector/kafka", "connector/kafka/broker", "connector/nexmark", "engine", "examples", "sql/delta", "sql/types"},
	"bench":        {"connector", "connector/file", "connector/nexmark", "engine", "sql/delta", "sql/types"},
	"server":       {"connector/datagen", "engine", "sql/sqlerr", "sql/types", "wire"},
	"sqllogictest": {"sql/sqlerr", "sql/types", "internal/pgtest"},
	"state":        {"sql/sqlerr"},
	"checkpoint":   {"sql/sqlerr", "state"},
	"connector":    {"sql/sqlerr", "sql/types", "sql/delta"},
	"udf":          {"sql/sqlerr", "sql/types", "sql/delta"},
	"wire":         {"sql/sqlerr", "sql/types"},

	"connector/json":    {"connector", "sql/sqlerr", "sql/types", "sql/delta"},
	"connector/nexmark": {"connector", "sql/sqlerr", "sql/types", "sql/delta"},
	"connector/datagen": {"connector", "sql/sqlerr", "sql/types", "sql/delta"},
	"connector/file":    {"connector", "connector/json", "sql/sqlerr", "sql/types", "sql/delta"},
	"connector/kafka":   {"connector", "connector/json", "connector/kafka/broker", "sql/sqlerr", "sql/types", "sql/delta"},

	"connector/kafka/broker": {},

	"crashtest":           {"connector/kafka/broker", "examples", "examples/recommender/check", "examples/recommender/tastes"},
	"internal/pgtest":     {},
	"sqllogictest/target": {"connector/datagen", "connector/file", "connector/kafka", "connector/nexmark", "examples/recommender", "engine", "server", "sql/sqlerr", "sql/types", "sqllogictest"},
	"cmd/streamsql": {"connector/datagen", "connector/file", "connector/kafka", "connector/nexmark", "engine", "server",
		"sql/parser", "sql/sqlerr", "sql/types", "sqllogictest", "sqllogictest/target",
		"connector/kafka/broker", "examples", "examples/recommender", "examples/recommender/plain", "examples/recommender/tastes"},

	"examples":                   {"sql/parser", "sql/ast"},
	"examples/recommender":       {"udf", "sql/types", "sql/delta"},
	"examples/recommender/plain": {"examples/recommender"},
	"examples/recommender/check": {"examples", "examples/recommender/plain", "examples/recommender/tastes", "internal/pgtest",
		"engine", "connector/kafka", "connector/kafka/broker", "sql/types"},
	"examples/recommender/tastes": {"examples/recommender/plain"},
}

// TestImportDirections holds every import to the list, and the list to the tree.
func TestImportDirections(t *testing.T) {
	seen := map[string]bool{}
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && strings.HasPrefix(d.Name(), ".") && path != "." {
			return filepath.SkipDir
		}
		if d.IsDir() || filepath.Ext(path) != ".go" || filepath.Dir(path) == "." {
			return nil
		}
		pkg := filepath.ToSlash(filepath.Dir(path))
		ok, known := allowed[pkg]
		if !known {
			t.Errorf("%s: the package is not in the list of allowed imports", pkg)
		}
		seen[pkg] = true
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		for _, imp := range f.Imports {
			name, err := strconv.Unquote(imp.Path.Value)
			if err != nil {
				return err
			}
			if dep, own := strings.CutPrefix(name, module); own && !slices.Contains(ok, dep) {
				t.Errorf("%s imports %s", path, dep)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for pkg := range seen {
		if _, err := os.Stat(filepath.Join(pkg, "doc.go")); err != nil {
			t.Errorf("%s has no doc.go", pkg)
		}
	}
	for _, pkg := range []string{"sql/sqlerr", "sql/types", "sql/delta"} {
		if !seen[pkg] {
			t.Errorf("%s was not found: is the test looking in the right place?", pkg)
		}
	}
}
