package parser

import "github.com/streamsql/streamsql/sql/ast"

// insert reads INSERT.
func (p *parser) insert(with *ast.With) ast.Statement {
	s := &ast.Insert{Pos: ast.Pos(p.advance().Pos), With: with}
	p.expect("into")
	t := p.tok()
	s.Table = &ast.Table{Pos: ast.Pos(t.Pos), Name: p.relation()}
	if p.accept("as") {
		s.Table.Alias.Name = p.colID()
	}
	if p.isSym("(") && !p.starts[p.i] {
		s.Columns = p.targetColumns()
	}
	if t := p.tok(); t.is("overriding") {
		panic(unsupported(t.Pos, "OVERRIDING"))
	}
	switch {
	case s.Columns == nil && p.accept("default", "values"):
	case p.isQuery(), p.isSym("("):
		p.slotQuery(p.queryFrag(p.query()), func(q *ast.Query) { s.Query = q })
	default:
		p.fail()
	}
	if p.isWords("on", "conflict") {
		s.OnConflict = p.onConflict()
	}
	s.Returning = p.returning()
	return s
}

// targetColumns reads (a, b), the columns that are assigned to.
func (p *parser) targetColumns() []string {
	var out []string
	p.expectSym("(")
	p.commaList(func() { out = append(out, p.targetColumn()) })
	p.expectSym(")")
	return out
}

func (p *parser) targetColumn() string {
	c := p.colID()
	if t := p.tok(); t.isSym(".") || t.isSym("[") {
		panic(unsupported(t.Pos, "assignment to a part of a column"))
	}
	return c
}

// onConflict reads ON CONFLICT (columns) DO NOTHING or DO UPDATE.
func (p *parser) onConflict() *ast.OnConflict {
	t := p.tok()
	c := &ast.OnConflict{Pos: ast.Pos(t.Pos)}
	p.expect("on", "conflict")
	switch at := p.tok(); {
	case at.isSym("("):
		p.advance()
		p.commaList(func() {
			if t := p.tok(); t.isSym("(") || p.isFunction() {
				panic(unsupported(t.Pos, "ON CONFLICT with an expression"))
			}
			c.Columns = append(c.Columns, p.colID())
		})
		p.expectSym(")")
		if at := p.tok(); at.is("where") {
			panic(unsupported(at.Pos, "ON CONFLICT with WHERE"))
		}
	case at.is("on"):
		panic(unsupported(at.Pos, "ON CONFLICT ON CONSTRAINT"))
	}
	p.expect("do")
	if p.accept("nothing") {
		return c
	}
	p.expect("update", "set")
	if c.Columns == nil {
		panic(syntaxError(t.Pos, "ON CONFLICT DO UPDATE requires inference specification or constraint name").
			WithHint("For example, ON CONFLICT (column_name)."))
	}
	c.Set = p.assignments()
	p.where(&c.Where)
	return c
}

// assignments reads a = x, (b, c) = y.
func (p *parser) assignments() []*ast.Assign {
	var out []*ast.Assign
	p.commaList(func() {
		a := &ast.Assign{Pos: ast.Pos(p.tok().Pos)}
		if p.isSym("(") {
			a.Columns = p.targetColumns()
		} else {
			a.Columns = []string{p.targetColumn()}
		}
		if !p.tok().isOp("=") {
			p.fail()
		}
		p.advance()
		p.slotExpr(p.expr(), func(x ast.Expr) { a.Value = x })
		out = append(out, a)
	})
	return out
}

// where reads WHERE when it stands here.
func (p *parser) where(dst *ast.Expr) {
	if !p.accept("where") {
		return
	}
	if t := p.tok(); p.isWords("current", "of") {
		panic(unsupported(t.Pos, "WHERE CURRENT OF"))
	}
	p.slotExpr(p.expr(), func(x ast.Expr) { *dst = x })
}

// returning reads RETURNING when it stands here.
func (p *parser) returning() []*ast.Target {
	if !p.accept("returning") {
		return nil
	}
	var out []*ast.Target
	p.commaList(func() {
		t := &ast.Target{Pos: ast.Pos(p.tok().Pos)}
		var f *frag
		f, t.Alias = p.target()
		p.slotExpr(f, func(x ast.Expr) { t.Expr = x })
		out = append(out, t)
	})
	return out
}

// changed reads the table of UPDATE or DELETE; stop is the word that starts the
// next clause and is no alias.
func (p *parser) changed(stop string) *ast.Table {
	t := &ast.Table{Pos: ast.Pos(p.tok().Pos)}
	paren := p.accept("only") && p.acceptSym("(")
	t.Name = p.relation()
	if paren {
		p.expectSym(")")
	} else if p.tok().isOp("*") {
		p.advance()
	}
	if p.accept("as") || isColID(p.tok()) && !p.is(stop) {
		t.Alias.Name = p.colID()
	}
	return t
}

// otherTables reads the items of FROM or USING.
func (p *parser) otherTables(set func([]ast.TableRef)) {
	t := p.advance()
	q := &query{pos: t.Pos, bodyPos: t.Pos}
	from := p.wrap(-1, "", ",", "", p.fromList()...)
	q.body = p.wrap(-1, "SELECT ", " FROM ", "", p.marker(-1, "__none"), from)
	p.slotQuery(p.queryFrag(q), func(q *ast.Query) { set(q.Body.(*ast.Select).From) })
}

func (p *parser) update(with *ast.With) ast.Statement {
	s := &ast.Update{Pos: ast.Pos(p.advance().Pos), With: with}
	s.Table = p.changed("set")
	p.expect("set")
	s.Set = p.assignments()
	if p.is("from") {
		p.otherTables(func(from []ast.TableRef) { s.From = from })
	}
	p.where(&s.Where)
	s.Returning = p.returning()
	return s
}

func (p *parser) delete(with *ast.With) ast.Statement {
	s := &ast.Delete{Pos: ast.Pos(p.advance().Pos), With: with}
	p.expect("from")
	s.Table = p.changed("using")
	if p.is("using") {
		p.otherTables(func(using []ast.TableRef) { s.Using = using })
	}
	p.where(&s.Where)
	s.Returning = p.returning()
	return s
}
