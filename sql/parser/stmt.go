package parser

import "github.com/streamsql/streamsql/sql/ast"

// statement reads one statement.
func (p *parser) statement() ast.Statement {
	return p.selectStatement()
}

// selectStatement reads a query as a statement.
func (p *parser) selectStatement() ast.Statement {
	q := &ast.Query{}
	p.slotQuery(p.queryFrag(p.query()), func(r *ast.Query) { *q = *r })
	return q
}
