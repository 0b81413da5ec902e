package examples

import (
	"testing"

	"github.com/streamsql/streamsql/sql/ast"
	"github.com/streamsql/streamsql/sql/parser"
)

func TestRecommenderParses(t *testing.T) {
	stmts, err := parser.Parse(Recommender)
	if err != nil {
		t.Fatal(err)
	}
	views := map[string]bool{}
	for _, s := range stmts {
		if v, ok := s.(*ast.CreateView); ok && v.Materialized {
			views[v.Name.Parts[0]] = true
		}
	}
	for _, v := range []string{"user_interests", "user_patterns", "user_profiles", "ratings", "item_similarity",
		"user_similarity", "item_recommendations", "user_recommendations", "recommendations"} {
		if !views[v] {
			t.Errorf("there is no view %s", v)
		}
	}
}
