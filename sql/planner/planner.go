package planner

import (
	"github.com/streamsql/streamsql/sql/ast"
	"github.com/streamsql/streamsql/sql/catalog"
	"github.com/streamsql/streamsql/sql/expr"
	"github.com/streamsql/streamsql/sql/plan"
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
func (p *Planner) Select(q *ast.Query) (*plan.Query, error) { panic("contract") }

// View plans a query that is to be maintained: no parameters, now() only where
// it can be kept true (0A000 otherwise), LIMIT and ORDER BY … LIMIT as operators.
// deps are the objects it reads and calls; keys the output columns that identify
// a row, nil when none are known.
func (p *Planner) View(q *ast.Query, columns []string) (root *plan.Node, cols []plan.Column, deps []uint64, keys []int, err error) {
	panic("contract")
}

// Check binds a plain view's query, which stays text, and returns its columns
// and what it depends on.
func (p *Planner) Check(q *ast.Query, columns []string) (cols []plan.Column, deps []uint64, err error) {
	panic("contract")
}

// Insert, Update and Delete plan writes to tables.
func (p *Planner) Insert(s *ast.Insert) (*plan.Write, error) { panic("contract") }
func (p *Planner) Update(s *ast.Update) (*plan.Write, error) { panic("contract") }
func (p *Planner) Delete(s *ast.Delete) (*plan.Write, error) { panic("contract") }

// Columns binds the columns, key and watermark of CREATE TABLE or CREATE SOURCE
// into o.
func (p *Planner) Columns(def *ast.TableDef, o *catalog.Object) error { panic("contract") }

// Explain prints a plan as a tree, a line an operator.
func Explain(root *plan.Node, name func(relation uint64) string) []string { panic("contract") }
