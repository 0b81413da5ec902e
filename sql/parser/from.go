package parser

import "github.com/streamsql/streamsql/sql/ast"

// ref is an item of FROM as read.
type ref struct {
	f    *frag
	join *ast.Join // nil: no join
}

// fromList reads the items of FROM.
func (p *parser) fromList() []*frag {
	var out []*frag
	p.commaList(func() { out = append(out, p.tableRef().f) })
	return out
}

// tableRef reads an item of FROM and the joins behind it.
func (p *parser) tableRef() ref {
	p.deeper()
	defer func() { p.nest-- }()
	l := p.tablePrimary()
	for {
		j := &ast.Join{Pos: ast.Pos(p.tok().Pos), Kind: ast.InnerJoin}
		if p.accept("natural") {
			j.Natural = true
		}
		op := " INNER JOIN "
		if !j.Natural && p.isAsOf() {
			p.advance()
			j.AsOf = true
		}
		switch {
		case !j.Natural && !j.AsOf && p.accept("cross"):
			p.expect("join")
			j.Kind = ast.CrossJoin
			l = p.join(j, " CROSS JOIN ", l, p.tablePrimary(), nil)
			continue
		case p.is("left"), p.is("right"), p.is("full"):
			j.Kind = ast.JoinKind(p.advance().Val)
			p.accept("outer")
			p.expect("join")
			if j.AsOf && j.Kind != ast.LeftJoin {
				panic(unsupported(int(j.Pos), "ASOF "+lowerToUpper(string(j.Kind))+" JOIN"))
			}
			op = " " + lowerToUpper(string(j.Kind)) + " JOIN "
			if j.Kind == ast.FullJoin {
				op = " STRAIGHT_JOIN " // MySQL has no full join
			}
		case p.accept("inner"):
			p.expect("join")
		case p.accept("join"):
		case j.Natural, j.AsOf:
			p.fail()
		default:
			return l
		}
		if j.Natural {
			l = p.join(j, op, l, p.tablePrimary(), nil)
			continue
		}
		// The right side takes joins too: a JOIN b JOIN c ON … ON ….
		r := p.tableRef()
		var on *frag
		switch {
		case p.accept("on"):
			on = p.expr()
		case p.accept("using"):
			j.Using = p.colIDList()
			if p.is("as") {
				panic(unsupported(p.tok().Pos, "an alias of USING"))
			}
		default:
			p.fail()
		}
		l = p.join(j, op, l, r, on)
	}
}

// join prints a join in parentheses; its condition names the side's entry.
func (p *parser) join(j *ast.Join, op string, l, r ref, on *frag) ref {
	args := []*frag{leaf(-1, p.side(j))}
	if on != nil {
		args = append(args, on)
	}
	f := p.wrap(-1, "(", "", ")", l.f, p.wrap(-1, op, " ON ", "", r.f, p.marker(-1, "__join", args...)))
	return ref{f: f, join: j}
}

// tablePrimary reads an item of FROM without joins.
func (p *parser) tablePrimary() ref {
	t := p.tok()
	if t.isSym("(") {
		if p.starts[p.i] {
			return p.subqueryRef(t.Pos, false)
		}
		p.advance()
		r := p.tableRef()
		if r.join == nil || r.join.Alias.Name != "" {
			p.fail() // only joins stand in parentheses
		}
		p.expectSym(")")
		r.join.Alias = p.alias()
		return r
	}
	if p.accept("lateral") {
		if p.isSym("(") {
			return p.subqueryRef(t.Pos, true)
		}
		return p.funcRef(t.Pos, true)
	}
	if p.isWords("rows", "from") && p.peek(2).isSym("(") {
		panic(unsupported(t.Pos, "ROWS FROM"))
	}
	if t.is("table") && p.peek(1).isSym("(") || p.isFunction() {
		return p.funcRef(t.Pos, false)
	}
	if t.class() == typeFunc {
		p.advance() // a function's name: what is wrong stands behind it
		p.fail()
	}
	return p.relationRef(true)
}

// isFunction says whether a call stands here rather than a relation.
func (p *parser) isFunction() bool {
	t := p.tok()
	if t.Kind == Ident {
		switch t.Val {
		case "current_date", "current_time", "current_timestamp", "localtime", "localtimestamp", "current_role",
			"current_user", "user", "session_user", "current_catalog", "current_schema":
			return true
		}
		if t.class() == reserved {
			return false
		}
	}
	if !isLabel(t) || t.is("only") {
		return false
	}
	n := p.nameLen()
	return p.peek(n).isSym("(")
}

// relationRef reads a relation by name.
func (p *parser) relationRef(withAlias bool) ref {
	t := &ast.Table{Pos: ast.Pos(p.tok().Pos)}
	if p.accept("only") {
		if p.acceptSym("(") {
			t.Name = p.relation()
			p.expectSym(")")
		} else {
			t.Name = p.relation()
		}
	} else {
		t.Name = p.relation()
		if p.tok().isOp("*") {
			p.advance()
		}
	}
	name := p.side(t)
	if !withAlias {
		return ref{f: leaf(-1, name)}
	}
	t.Alias = p.alias()
	f := leaf(-1, name)
	if p.isWords("for", "system_time", "as", "of") {
		p.i += 4
		f = p.wrap(-1, name+" AS OF TIMESTAMP ", "", "", p.expr())
		if t.Alias.Name == "" {
			t.Alias = p.alias()
		}
	}
	if p.is("tablesample") {
		panic(unsupported(p.tok().Pos, "TABLESAMPLE"))
	}
	return ref{f: f}
}

// subqueryRef reads a query in FROM.
func (p *parser) subqueryRef(pos int, lateral bool) ref {
	s := &ast.Subquery{Pos: ast.Pos(pos), Lateral: lateral}
	q := p.subquery()
	s.Alias = p.alias()
	return ref{f: p.wrap(-1, "LATERAL ", "", " AS "+p.side(s), q)}
}

// funcRef reads a function in FROM, in TABLE (…) too.
func (p *parser) funcRef(pos int, lateral bool) ref {
	tf := &ast.TableFunc{Pos: ast.Pos(pos), Lateral: lateral}
	var call *frag
	if p.accept("table") {
		p.expectSym("(")
		call = p.tableCall()
		p.expectSym(")")
	} else {
		call = p.tableCall()
	}
	if p.accept("with", "ordinality") {
		tf.Ordinality = true
	}
	p.funcAlias(tf)
	return ref{f: p.wrap(-1, "LATERAL (SELECT ", "", ") AS "+p.side(tf), call)}
}

// tableCall reads the call itself, without FILTER and OVER.
func (p *parser) tableCall() *frag {
	if !p.isFunction() {
		p.name()
		p.fail()
	}
	if t := p.tok(); t.Kind == Ident {
		if f := p.keyword(t); f != nil {
			return f
		}
	}
	return p.plainCall()
}

// funcAlias reads the alias of a function, which may define the columns' types.
func (p *parser) funcAlias(tf *ast.TableFunc) {
	as := p.accept("as")
	if !as && !p.isAlias() {
		return
	}
	if !as || !p.isSym("(") {
		tf.Alias.Name = p.colID()
		if !p.isSym("(") {
			return
		}
		if n := p.peek(2); n.isSym(",") || n.isSym(")") {
			tf.Alias.Columns = p.colIDList()
			return
		}
	}
	p.expectSym("(")
	p.commaList(func() {
		c := &ast.ColumnDef{Pos: ast.Pos(p.tok().Pos), Name: p.colID()}
		c.Type = p.typeName()
		tf.ColumnDefs = append(tf.ColumnDefs, c)
	})
	p.expectSym(")")
}

// isAlias says whether an alias without AS stands here.
func (p *parser) isAlias() bool {
	return isColID(p.tok()) && !p.isEmit() && !p.isFormat() && !p.isAsOf()
}

// isAsOf says whether ASOF [INNER | LEFT [OUTER]] JOIN stands here. ASOF before any
// other word is a name.
func (p *parser) isAsOf() bool {
	if !p.is("asof") {
		return false
	}
	switch n := p.peek(1); n.Val {
	case "join":
		return n.Kind == Ident
	case "inner", "right", "full":
		return n.Kind == Ident && p.peek(2).is("join")
	case "left":
		return n.Kind == Ident && (p.peek(2).is("join") || p.peek(2).is("outer") && p.peek(3).is("join"))
	}
	return false
}

// isFormat says whether FORMAT x ENCODE y stands here.
func (p *parser) isFormat() bool { return p.is("format") && p.peek(2).is("encode") }

// alias reads [AS] name [(columns)] when it stands here.
func (p *parser) alias() (a ast.Alias) {
	if !p.accept("as") && !p.isAlias() {
		return a
	}
	a.Name = p.colID()
	if p.isSym("(") {
		a.Columns = p.colIDList()
	}
	return a
}
