package parser

import (
	"strings"

	"github.com/streamsql/streamsql/sql/ast"
	"github.com/streamsql/streamsql/sql/sqlerr"
)

// create reads CREATE.
func (p *parser) create() ast.Statement {
	start := p.advance()
	pos := ast.Pos(start.Pos)
	replace := p.accept("or", "replace")
	t := p.tok()
	switch {
	case p.accept("materialized", "view"):
		v := &ast.CreateView{Pos: pos, Materialized: true, OrReplace: replace, IfNotExists: p.ifNotExists()}
		p.view(v)
		return v
	case p.accept("view"):
		v := &ast.CreateView{Pos: pos, OrReplace: replace, IfNotExists: p.ifNotExists()}
		p.view(v)
		return v
	case p.accept("function"):
		f := &ast.CreateFunction{Pos: pos, OrReplace: replace}
		p.function(f)
		return f
	case replace:
		p.notOne(t, otherObjects, "CREATE OR REPLACE")
	case p.accept("table"):
		return p.createTable(pos)
	case p.accept("source"):
		s := &ast.CreateSource{Pos: pos}
		s.IfNotExists = p.ifNotExists()
		s.Name = p.relation()
		if p.isSym("(") {
			p.tableItems(&s.TableDef)
		}
		p.tableClauses(&s.TableDef)
		return s
	case p.accept("sink"):
		return p.createSink(pos)
	case t.is("index"), p.accept("unique") && p.is("index"):
		p.expect("index")
		return p.createIndex(pos, t.is("unique"))
	}
	p.notOne(t, otherObjects, "CREATE")
	return nil
}

// otherObjects are what PostgreSQL's CREATE, DROP and ALTER know besides.
var otherObjects = wordSet(`
	access aggregate cast collation connection conversion database default domain event extension
	foreign global group language large local operator or owned policy procedural procedure
	publication recursive role routine rule schema sequence server statistics subscription system
	tablespace temp temporary text transform trigger trusted type unlogged user`)

// tableActions are what PostgreSQL's ALTER does to an object.
var tableActions = wordSet(`
	add alter attach cluster depends detach disable drop enable inherit no owner rename replica
	reset set validate`)

func wordSet(words string) map[string]bool {
	m := map[string]bool{}
	for _, w := range strings.Fields(words) {
		m[w] = true
	}
	return m
}

// notOne refuses what PostgreSQL knows and the engine does not have; any other
// word is an error of syntax.
func (p *parser) notOne(t Token, known map[string]bool, what string) {
	if t.Kind != Ident || !known[t.Val] {
		p.failAt(t)
	}
	panic(unsupported(t.Pos, what+" "+lowerToUpper(t.Val)))
}

func (p *parser) ifNotExists() bool { return p.accept("if", "not", "exists") }
func (p *parser) ifExists() bool    { return p.accept("if", "exists") }

// queryText reads a query that is kept as the user wrote it, too.
func (p *parser) queryText(set func(*ast.Query)) string {
	from := p.tok()
	if !p.isQuery() {
		p.fail()
	}
	p.slotQuery(p.queryFrag(p.query()), set)
	return p.text[from.Pos:p.toks[p.i-1].End]
}

// isQuery says whether a query starts here.
func (p *parser) isQuery() bool {
	t := p.tok()
	return t.is("select") || t.is("values") || t.is("with") || t.is("table") || t.isSym("(") && p.starts[p.i]
}

func (p *parser) view(v *ast.CreateView) {
	v.Name = p.relation()
	if p.isSym("(") {
		v.Columns = p.colIDList()
	}
	if p.accept("with") {
		v.Options = p.options()
	}
	p.expect("as")
	v.Text = p.queryText(func(q *ast.Query) { v.Query = q })
	p.withData()
	if p.is("with") {
		panic(unsupported(p.tok().Pos, "WITH CHECK OPTION"))
	}
}

// withData reads WITH DATA; without is not supported.
func (p *parser) withData() {
	if t := p.tok(); p.accept("with", "no", "data") {
		panic(unsupported(t.Pos, "WITH NO DATA"))
	}
	p.accept("with", "data")
}

func (p *parser) createTable(pos ast.Pos) ast.Statement {
	t := &ast.CreateTable{Pos: pos}
	t.IfNotExists = p.ifNotExists()
	t.Name = p.relation()
	items := p.isSym("(")
	switch {
	case items && (p.peek(2).isSym(",") || p.peek(2).isSym(")")):
		t.ColumnNames = p.colIDList()
		items = false
	case items:
		p.tableItems(&t.TableDef)
	case p.is("of"), p.is("partition"):
		panic(unsupported(p.tok().Pos, "CREATE TABLE "+lowerToUpper(p.tok().Val)))
	}
	p.tableClauses(&t.TableDef)
	if !items {
		p.expect("as")
		t.Text = p.queryText(func(q *ast.Query) { t.Query = q })
		p.withData()
	}
	return t
}

// tableItems reads the columns and constraints of a table or source.
func (p *parser) tableItems(d *ast.TableDef) {
	p.expectSym("(")
	if p.acceptSym(")") {
		return
	}
	p.commaList(func() { p.tableItem(d) })
	p.expectSym(")")
}

func (p *parser) tableItem(d *ast.TableDef) {
	t := p.tok()
	switch {
	case p.isWords("watermark", "for"):
		p.i += 2
		w := &ast.Watermark{Pos: ast.Pos(t.Pos), Column: p.colID()}
		p.expect("as")
		p.slotExpr(p.expr(), func(x ast.Expr) { w.Expr = x })
		if d.Watermark != nil {
			panic(syntaxError(t.Pos, "multiple watermarks are not allowed"))
		}
		d.Watermark = w
		return
	case p.accept("constraint"):
		p.colID()
		if c := p.tok(); !c.is("primary") && !c.is("unique") && !c.is("check") && !c.is("foreign") {
			p.fail()
		}
	}
	switch t := p.tok(); {
	case t.is("primary"):
		p.expect("primary", "key")
		names := p.colIDList()
		if d.PrimaryKey != nil {
			panic(sqlerr.New("42P16", `multiple primary keys for table "%s" are not allowed`, d.Name.Base()).At(t.Pos))
		}
		d.PrimaryKey = names
		p.accept("not", "enforced") // Flink's
	case t.is("unique"), t.is("check"), t.is("foreign"), t.is("like"):
		panic(unsupported(t.Pos, lowerToUpper(t.Val)))
	default:
		p.columnDef(d)
	}
}

// columnDef reads a column with its constraints.
func (p *parser) columnDef(d *ast.TableDef) {
	c := &ast.ColumnDef{Pos: ast.Pos(p.tok().Pos), Name: p.colID()}
	d.Columns = append(d.Columns, c)
	if !p.is("as") && !p.isWords("generated", "always") {
		c.Type = p.typeName()
	}
	for p.constraint(c) {
	}
}

// constraint reads a constraint of a column when one stands here.
func (p *parser) constraint(c *ast.ColumnDef) bool {
	if p.accept("constraint") {
		p.colID()
	}
	t := p.tok()
	switch {
	case p.accept("not", "null"):
		c.NotNull = true
	case p.accept("null"):
		if c.NotNull {
			panic(syntaxError(t.Pos, `conflicting NULL/NOT NULL declarations for column "%s"`, c.Name))
		}
	case p.accept("primary", "key"):
		c.PrimaryKey = true
	case p.accept("default"):
		p.slotExpr(p.restricted(), func(x ast.Expr) { c.Default = x })
	case p.accept("as"):
		p.slotExpr(p.expr(), func(x ast.Expr) { c.Generated = x })
	case p.isWords("generated", "always", "as"):
		p.i += 3
		if p.is("identity") {
			panic(unsupported(p.tok().Pos, "an identity column"))
		}
		if !p.isSym("(") {
			p.fail()
		}
		p.slotExpr(p.exprList()[0], func(x ast.Expr) { c.Generated = x })
		p.accept("stored")
	case t.is("unique"), t.is("check"), t.is("references"), t.is("collate"), t.is("generated"), t.is("storage"), t.is("compression"):
		panic(unsupported(t.Pos, lowerToUpper(t.Val)))
	default:
		return false
	}
	return true
}
