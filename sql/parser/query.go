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
			panic(syntaxError(q.pos, "multiple WITH clauses not allowed"))
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
		add(p.marker(-1, "__emit", str(-1, string(q.emit))))
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
	if p.accept("recursive") {
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
	yes := !p.isWords("not", "materialized")
	if !yes {
		p.advance()
	}
	if p.accept("materialized") {
		c.Materialized = &yes
	}
	if !p.isSym("(") {
		p.fail()
	}
	if !p.starts[p.i] {
		switch t := p.peek(1); {
		case t.is("insert"), t.is("update"), t.is("delete"):
			panic(unsupported(t.Pos, "a data-modifying statement in WITH"))
		}
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

// clauses reads ORDER BY, LIMIT, OFFSET, FETCH and EMIT, the limits in any order.
func (p *parser) clauses(q *query) {
	if p.is("order") {
		p.advance()
		p.expect("by")
		if q.order != nil {
			panic(syntaxError(p.tok().Pos, "multiple ORDER BY clauses not allowed"))
		}
		p.commaList(func() { q.order = append(q.order, p.orderItem()) })
	}
	for p.limitClause(q) {
	}
	if p.is("for") {
		switch t := p.peek(1); {
		case t.is("update"), t.is("share"), t.is("no"), t.is("key"):
			panic(unsupported(p.tok().Pos, "FOR "+lowerToUpper(t.Val)))
		}
	}
	if p.isEmit() {
		if q.emit != "" {
			panic(syntaxError(p.tok().Pos, "multiple EMIT clauses not allowed"))
		}
		p.advance()
		if p.accept("immediately") {
			q.emit = ast.EmitImmediately
			return
		}
		p.expect("on", "window", "close")
		q.emit = ast.EmitOnWindowClose
	}
}

// limitClause reads LIMIT, OFFSET or FETCH when one stands here.
func (p *parser) limitClause(q *query) bool {
	t := p.tok()
	switch {
	case p.accept("offset"):
		at := p.tok()
		if q.offset != nil {
			panic(syntaxError(at.Pos, "multiple OFFSET clauses not allowed"))
		}
		q.offset = p.expr()
		if !p.accept("rows") {
			p.accept("row")
		}
	case p.accept("limit"):
		p.oneLimit(q)
		if p.accept("all") {
			q.all = true
			break
		}
		q.limit = p.expr()
		if p.isSym(",") {
			panic(syntaxError(t.Pos, "LIMIT #,# syntax is not supported").
				WithHint("Use separate LIMIT and OFFSET clauses."))
		}
	case p.accept("fetch"):
		p.fetch(q)
	default:
		return false
	}
	return true
}

func (p *parser) oneLimit(q *query) {
	if q.limit != nil || q.all {
		panic(syntaxError(p.tok().Pos, "multiple LIMIT clauses not allowed"))
	}
}

// fetch reads what follows FETCH.
func (p *parser) fetch(q *query) {
	if _, ok := p.acceptOneOf("first", "next"); !ok {
		p.fail()
	}
	p.oneLimit(q)
	if p.is("row") || p.is("rows") {
		q.limit = leaf(p.tok().Pos, "1")
	} else {
		q.limit = p.prefix(false)
	}
	if _, ok := p.acceptOneOf("row", "rows"); !ok {
		p.fail()
	}
	if p.accept("only") {
		return
	}
	at := p.tok()
	p.expect("with", "ties")
	if q.order == nil {
		panic(syntaxError(at.Pos, "WITH TIES cannot be specified without ORDER BY clause"))
	}
	q.ties = true
}
