package parser

import "github.com/streamsql/streamsql/sql/ast"

// noTable is what a SELECT without FROM reads in the encoded text, whose other
// clauses would stand in another order there.
const noTable = "#"

// selectStmt reads SELECT up to its WINDOW clause.
func (p *parser) selectStmt() *query {
	t := p.advance()
	q := &query{pos: t.Pos, bodyPos: t.Pos}
	pre := "SELECT "
	switch {
	case p.accept("distinct"):
		if p.accept("on") {
			q.on = p.exprList()
		} else {
			pre = "SELECT DISTINCT "
		}
		if endsTargets(p.tok()) {
			p.fail()
		}
	default:
		p.accept("all")
	}
	kids := []*frag{p.wrap(-1, "", ",", "", p.targets()...)}
	if p.is("into") {
		panic(unsupported(p.tok().Pos, "SELECT INTO"))
	}
	from := leaf(-1, " FROM `"+noTable+"`")
	if p.accept("from") {
		from = p.wrap(-1, " FROM ", ",", "", p.fromList()...)
	}
	kids = append(kids, from)
	clause := func(pre string, f ...*frag) { kids = append(kids, p.wrap(-1, pre, ",", "", f...)) }
	if p.accept("where") {
		clause(" WHERE ", p.expr())
	}
	if p.is("group") {
		clause(" GROUP BY ", p.groupBy()...)
	}
	if p.accept("having") {
		clause(" HAVING ", p.expr())
	}
	if p.accept("window") {
		var defs []*frag
		p.commaList(func() { defs = append(defs, p.windowDef()) })
		clause(" WINDOW ", defs...)
	}
	q.body = p.wrap(-1, pre, "", "", kids...)
	return q
}

// endsTargets says whether a token starts the clause behind the targets of a
// SELECT, or ends it.
func endsTargets(t Token) bool {
	switch t.Kind {
	case EOF:
		return true
	case Symbol:
		return t.Val == ")" || t.Val == ";"
	case Ident:
		switch t.Val {
		case "from", "where", "group", "having", "window", "union", "intersect", "except",
			"order", "limit", "offset", "fetch", "into", "for", "on", "returning", "with":
			return true
		}
	}
	return false
}

func (p *parser) targets() []*frag {
	if endsTargets(p.tok()) {
		return []*frag{p.marker(-1, "__none")}
	}
	var out []*frag
	p.commaList(func() {
		x, label := p.target()
		if label != "" {
			x = p.wrap(-1, "", "", " AS "+quoteName(label), x)
		}
		out = append(out, x)
	})
	return out
}

// target reads an expression and its label.
func (p *parser) target() (x *frag, label string) {
	if t := p.tok(); t.isOp("*") {
		p.advance()
		return p.marker(t.Pos, "__star"), ""
	}
	outer := p.labels
	p.labels = p.nest
	x = p.expr()
	p.labels = outer
	switch {
	case p.accept("as"):
		label = p.label()
	case p.isBareLabel():
		label = p.label()
	}
	return x, label
}

// groupBy reads GROUP BY.
func (p *parser) groupBy() []*frag {
	p.expect("group", "by")
	if p.is("distinct") {
		panic(unsupported(p.tok().Pos, "GROUP BY DISTINCT"))
	}
	p.accept("all")
	var out []*frag
	p.commaList(func() { out = append(out, p.noPosition(p.groupItem())) })
	return out
}

// groupItem reads an expression, the empty set, or several sets.
func (p *parser) groupItem() *frag {
	t := p.tok()
	kind := ast.GroupingKind("")
	switch {
	case t.isSym("(") && p.peek(1).isSym(")"):
		p.i += 2
		return p.marker(t.Pos, "__row")
	case p.isWords("grouping", "sets") && p.peek(2).isSym("("):
		p.i += 2
		kind = ast.GroupingSets
	case t.is("rollup") && p.peek(1).isSym("("), t.is("cube") && p.peek(1).isSym("("):
		p.advance()
		kind = ast.GroupingKind(t.Val)
	default:
		return p.expr()
	}
	p.deeper()
	defer func() { p.nest-- }()
	items := []*frag{str(-1, string(kind))}
	p.expectSym("(")
	p.commaList(func() {
		if kind == ast.GroupingSets {
			items = append(items, p.groupItem())
		} else {
			items = append(items, p.expr())
		}
	})
	p.expectSym(")")
	return p.marker(t.Pos, "__grouping", items...)
}

// noPosition keeps MySQL from reading an integer as the number of a column.
func (p *parser) noPosition(f *frag) *frag {
	if f.bare {
		return p.wrap(int(f.pos), "(", "", ")", f)
	}
	return f
}

// orderItem reads a sort key.
func (p *parser) orderItem() *frag {
	x := p.noPosition(p.expr())
	desc := ""
	switch {
	case p.accept("using"):
		t := p.tok()
		if t.Kind != Op && !p.isOperator() {
			p.fail()
		}
		switch p.operatorName() {
		case "<", "pg_catalog.<":
		case ">", "pg_catalog.>":
			desc = " DESC"
		default:
			panic(unsupported(t.Pos, "ORDER BY USING with this operator"))
		}
	case p.accept("desc"):
		desc = " DESC"
	default:
		p.accept("asc")
	}
	if p.is("nulls") && (p.peek(1).is("first") || p.peek(1).is("last")) {
		x = p.marker(-1, "__nulls", str(-1, p.peek(1).Val), x)
		p.i += 2
	}
	if desc != "" {
		x = p.wrap(-1, "", "", desc, x)
	}
	return x
}
