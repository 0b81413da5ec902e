package parser

import (
	"github.com/streamsql/streamsql/sql/ast"
)

// query is a query as read. Parentheses around it leave no trace, so that
// clauses behind them join those inside, as PostgreSQL has it.
type query struct {
	pos     int
	with    *frag
	body    *frag
	bodyPos int
	clauses
}

// clauses stand behind the body of a query.
type clauses struct {
	on     []*frag // DISTINCT ON
	order  []*frag
	limit  *frag
	offset *frag
	all    bool // LIMIT ALL
	ties   bool
	emit   ast.Emit
	every  *frag // of EMIT EVERY

	limitAt, offsetAt, tiesAt, emitAt int
}

// query reads a query: WITH, the body, and the clauses behind it.
func (p *parser) query() *query {
	p.deeper()
	defer func() { p.nest-- }()
	start := p.tok()
	var with *frag
	if p.is("with") {
		with = p.withClause()
	}
	q := p.setOps(1)
	if with != nil {
		if q.with != nil {
			panic(syntaxError(start.Pos, "multiple WITH clauses not allowed"))
		}
		q.with = with
	}
	q.pos = start.Pos
	p.clauses(q)
	return q
}

// queryFrag prints a query, without parentheses.
func (p *parser) queryFrag(q *query) *frag {
	items := q.order
	add := func(f *frag) { items = append(items[:len(items):len(items)], f) }
	if q.on != nil {
		add(p.marker(-1, "__on", q.on...))
	}
	if q.limit != nil {
		add(p.marker(-1, "__limit", q.limit))
	}
	if q.offset != nil {
		add(p.marker(-1, "__offset", q.offset))
	}
	if q.ties {
		add(p.marker(-1, "__ties"))
	}
	if q.emit != "" {
		kids := []*frag{str(-1, string(q.emit))}
		if q.every != nil {
			kids = append(kids, q.every)
		}
		add(p.marker(q.emitAt, "__emit", kids...))
	}
	// The last item bears the positions of the body and of the query.
	if q.pos == q.bodyPos {
		add(p.marker(q.bodyPos, "__at"))
	} else {
		add(p.marker(q.bodyPos, "__at", leaf(q.pos, "0")))
	}
	kids := []*frag{q.body, p.wrap(-1, " ORDER BY ", ",", "", items...)}
	if q.with != nil {
		kids = []*frag{q.with, kids[0], kids[1]}
	}
	return p.wrap(-1, "", "", "", kids...)
}

// withClause reads WITH [RECURSIVE] name AS (…), ….
func (p *parser) withClause() *frag {
	p.expect("with")
	pre := "WITH "
	if !p.peek(1).is("as") && p.accept("recursive") {
		pre = "WITH RECURSIVE "
	}
	var ctes []*frag
	p.commaList(func() { ctes = append(ctes, p.cte()) })
	return p.wrap(-1, pre, ",", " ", ctes...)
}

func (p *parser) cte() *frag {
	c := &ast.CTE{Pos: ast.Pos(p.tok().Pos), Name: p.colID()}
	if p.isSym("(") {
		c.Columns = p.colIDList()
	}
	p.expect("as")
	yes := !p.accept("not")
	if yes && p.accept("materialized") {
		c.Materialized = &yes
	} else if !yes {
		p.expect("materialized")
		c.Materialized = &yes
	}
	switch t := p.peek(1); {
	case t.is("insert"), t.is("update"), t.is("delete"):
		panic(unsupported(t.Pos, "a data-modifying statement in WITH"))
	}
	q := p.subquery()
	if p.is("search") || p.is("cycle") {
		panic(unsupported(p.tok().Pos, lowerToUpper(p.tok().Val)))
	}
	return p.wrap(-1, p.side(c)+" AS ", "", "", q)
}

// side puts a node into the side table and returns the name that stands for it.
func (p *parser) side(n ast.Node) string {
	p.sides = append(p.sides, n)
	return sideName(len(p.sides) - 1)
}

var setOps = map[string]int{"union": 1, "except": 1, "intersect": 2}

// setOps reads operands joined by set operations that bind at least as tightly
// as low. Each operand is printed in parentheses: TiDB gives long forms as a
// flat list that has lost the precedence.
func (p *parser) setOps(low int) *query {
	l := p.operand()
	for {
		t := p.tok()
		prec := setOps[t.Val]
		if t.Kind != Ident || prec == 0 || prec < low {
			return l
		}
		p.advance()
		op := " " + lowerToUpper(t.Val) + " "
		if p.accept("all") {
			op += "ALL "
		} else {
			p.accept("distinct")
		}
		r := p.setOps(prec + 1)
		body := p.wrap(-1, "(", ")"+op+"(", ")", p.queryFrag(l), p.queryFrag(r))
		l = &query{pos: l.pos, body: body, bodyPos: t.Pos}
	}
}

// operand reads SELECT, VALUES, TABLE or a query in parentheses.
func (p *parser) operand() *query {
	t := p.tok()
	switch {
	case t.isSym("("):
		p.advance()
		q := p.query()
		p.expectSym(")")
		return q
	case t.is("select"):
		return p.selectStmt()
	case t.is("values"):
		return p.values()
	case t.is("table"):
		p.advance()
		from := p.relationRef(false)
		return &query{pos: t.Pos, bodyPos: t.Pos, body: p.wrap(-1, "SELECT ", " FROM ", "", p.marker(t.Pos, "__star"), from.f)}
	}
	p.fail()
	return nil
}

// values reads VALUES (…), ….
func (p *parser) values() *query {
	t := p.advance()
	var rows []*frag
	width := -1
	p.commaList(func() {
		at := p.peek(1)
		row := p.exprList()
		if width >= 0 && len(row) != width {
			panic(syntaxError(at.Pos, "VALUES lists must all be the same length"))
		}
		width = len(row)
		rows = append(rows, p.wrap(-1, "ROW(", ",", ")", row...))
	})
	return &query{pos: t.Pos, bodyPos: t.Pos, body: p.wrap(-1, "VALUES ", ",", "", rows...)}
}

// clauses reads ORDER BY, LIMIT, OFFSET, FETCH and EMIT, the limits in any order,
// and adds them to those that q has.
func (p *parser) clauses(q *query) {
	var c clauses
	orderAt := 0
	if p.accept("order") {
		p.expect("by")
		orderAt = p.tok().Pos
		p.commaList(func() { c.order = append(c.order, p.orderItem()) })
	}
	for p.limitClause(&c) {
	}
	if p.is("for") {
		switch t := p.peek(1); {
		case t.is("update"), t.is("share"), t.is("no"), t.is("key"):
			panic(unsupported(p.tok().Pos, "FOR "+lowerToUpper(t.Val)))
		}
	}
	if t := p.tok(); p.isEmit() {
		if q.emit != "" {
			panic(syntaxError(t.Pos, "multiple EMIT clauses not allowed"))
		}
		p.advance()
		q.emitAt = t.Pos
		switch {
		case p.accept("immediately"):
			q.emit = ast.EmitImmediately
		case p.accept("every"):
			q.emit, q.every = ast.EmitEvery, p.expr()
		default:
			p.expect("on", "window", "close")
			q.emit = ast.EmitOnWindowClose
		}
	}
	if c.order != nil {
		if q.order != nil {
			panic(syntaxError(orderAt, "multiple ORDER BY clauses not allowed"))
		}
		q.order = c.order
	}
	if c.offset != nil {
		if q.offset != nil {
			panic(syntaxError(c.offsetAt, "multiple OFFSET clauses not allowed"))
		}
		q.offset = c.offset
	}
	if c.limit != nil || c.all {
		if q.limit != nil || q.all {
			panic(syntaxError(c.limitAt, "multiple LIMIT clauses not allowed"))
		}
		if c.ties && q.order == nil {
			panic(syntaxError(c.tiesAt, "WITH TIES cannot be specified without ORDER BY clause"))
		}
		q.limit, q.all, q.ties = c.limit, c.all, c.ties
	}
}

// limitClause reads LIMIT, OFFSET or FETCH when one stands here.
func (p *parser) limitClause(c *clauses) bool {
	t := p.tok()
	switch {
	case c.offset == nil && p.accept("offset"):
		c.offsetAt = p.tok().Pos
		c.offset = p.expr()
		p.acceptOneOf("row", "rows")
	case c.limit != nil || c.all:
		return false
	case p.accept("limit"):
		c.limitAt = p.tok().Pos
		if p.accept("all") {
			c.all = true
			break
		}
		c.limit = p.expr()
		if p.acceptSym(",") {
			p.expr()
			panic(syntaxError(t.Pos, "LIMIT #,# syntax is not supported").
				WithHint("Use separate LIMIT and OFFSET clauses."))
		}
	case p.accept("fetch"):
		p.fetch(c)
	default:
		return false
	}
	return true
}

// fetch reads what follows FETCH.
func (p *parser) fetch(c *clauses) {
	if _, ok := p.acceptOneOf("first", "next"); !ok {
		p.fail()
	}
	t := p.tok()
	c.limitAt = t.Pos
	switch {
	case t.is("row"), t.is("rows"):
		c.limit, c.limitAt = leaf(t.Pos, "1"), -1
	case t.isOp("+"), t.isOp("-"):
		p.advance()
		n := p.tok()
		if n.Kind != Int && n.Kind != Num {
			p.fail()
		}
		p.advance()
		c.limit = p.wrap(t.Pos, "("+t.Val+" ", "", ")", number(n))
	default:
		c.limit = p.primary()
	}
	if _, ok := p.acceptOneOf("row", "rows"); !ok {
		p.fail()
	}
	if p.accept("only") {
		return
	}
	c.tiesAt = p.tok().Pos
	p.expect("with", "ties")
	c.ties = true
}
