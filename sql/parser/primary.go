package parser

import (
	"math"
	"strconv"
	"strings"
)

// primary reads an operand with its subscripts and fields: PostgreSQL's c_expr.
func (p *parser) primary() *frag {
	t := p.tok()
	switch t.Kind {
	case Int, Num:
		p.advance()
		return number(t)
	case String:
		p.advance()
		return str(t.Pos, t.Val)
	case Bits:
		p.advance()
		return p.marker(t.Pos, "__bit", str(-1, t.Val))
	case Param:
		p.advance()
		return p.indirection(p.marker(t.Pos, "__param", leaf(-1, t.Val)), t.Pos)
	case Symbol:
		if t.Val == "(" {
			return p.parenthesis()
		}
	case QuotedIdent:
		return p.named()
	case Ident:
		if f := p.keyword(t); f != nil {
			return f
		}
		return p.named()
	}
	p.fail()
	return nil
}

// number encodes a number: small integers as they are, all else as text.
func number(t Token) *frag {
	if t.Kind == Int {
		if n, err := strconv.ParseUint(t.Val, 10, 64); err == nil && n <= math.MaxInt64 {
			f := leaf(t.Pos, strconv.FormatUint(n, 10))
			f.bare = true
			return f
		}
	}
	return &frag{pre: "`__num`('", post: t.Val + "')", pos: int32(t.Pos), depth: 1}
}

// parenthesis reads what starts with "(": a query, a row, or an expression.
func (p *parser) parenthesis() *frag {
	t := p.tok()
	if p.starts[p.i] {
		return p.indirection(p.subquery(), t.Pos)
	}
	list := p.exprList()
	if len(list) > 1 {
		return p.marker(t.Pos, "__row", list...)
	}
	return p.indirection(list[0], t.Pos)
}

// indirection reads the subscripts and fields behind an operand.
func (p *parser) indirection(x *frag, pos int) *frag {
	for {
		switch {
		case p.isSym("["):
			x = p.subscript(x)
		case p.acceptSym("."):
			if p.tok().isOp("*") {
				p.advance()
				return p.marker(pos, "__field", x)
			}
			x = p.marker(pos, "__field", x, str(-1, p.label()))
		default:
			return x
		}
	}
}

func (p *parser) subscript(x *frag) *frag {
	t := p.expectSym("[")
	none := p.marker(-1, "__none")
	lo, hi := none, none
	if !p.isSym(":") {
		lo = p.expr()
		if p.acceptSym("]") {
			return p.marker(t.Pos, "__index", x, lo)
		}
	}
	p.expectSym(":")
	if !p.isSym("]") {
		hi = p.expr()
	}
	p.expectSym("]")
	return p.marker(t.Pos, "__slice", x, lo, hi)
}

// named reads what starts with a name: a typed literal, a call or a column.
func (p *parser) named() *frag {
	t := p.tok()
	if f, ok := p.typedLiteral(); ok {
		return f
	}
	if t.Kind == Ident && t.class() == reserved {
		p.fail()
	}
	n := p.nameLen()
	if p.peek(n).isSym("(") && (n > 1 || isTypeFunc(t)) {
		return p.call()
	}
	if !isColID(t) {
		if p.i++; n > 1 {
			p.i += n - 1
		}
		p.fail()
	}
	return p.column()
}

// column reads a column reference; t.* comes as a star.
func (p *parser) column() *frag {
	t := p.tok()
	parts := []string{p.colID()}
	for p.isSym(".") {
		if p.peek(1).isOp("*") {
			p.i += 2
			return p.marker(t.Pos, "__star", strs(parts)...)
		}
		p.advance()
		parts = append(parts, p.label())
	}
	var f *frag
	switch len(parts) {
	case 1:
		f = leaf(t.Pos, quoteName(parts[0]))
	case 2, 3:
		for i := range parts {
			parts[i] = quoteName(parts[i])
		}
		f = leaf(t.Pos, strings.Join(parts, "."))
	case 4:
		f = p.marker(t.Pos, "__column", strs(parts)...)
	default:
		panic(syntaxError(t.Pos, "improper qualified name (too many dotted names): %s", strings.Join(parts, ".")))
	}
	if p.isSym("[") {
		return p.indirection(f, t.Pos)
	}
	return f
}

// keyword reads what starts with a word of the grammar; nil when t is a name.
func (p *parser) keyword(t Token) *frag {
	switch t.class() {
	case plain:
		return nil
	case colName:
		return p.specialCall(t)
	case typeFunc:
		if t.Val == "current_schema" && !p.peek(1).isSym("(") || t.Val == "collation" && p.peek(1).is("for") {
			return p.sqlValue(t)
		}
		return nil
	}
	switch t.Val {
	case "true", "false", "null":
		p.advance()
		return leaf(t.Pos, lowerToUpper(t.Val))
	case "default":
		p.advance()
		return p.marker(t.Pos, "__default")
	case "case":
		return p.caseExpr()
	case "array":
		return p.array()
	case "cast":
		return p.cast()
	case "current_date", "current_time", "current_timestamp", "localtime", "localtimestamp",
		"current_role", "current_user", "user", "session_user", "current_catalog":
		return p.sqlValue(t)
	}
	return nil
}

func (p *parser) cast() *frag {
	t := p.advance()
	p.expectSym("(")
	x := p.expr()
	p.expect("as")
	typ := p.typeName()
	p.expectSym(")")
	return p.marker(t.Pos, "__cast", x, p.typeArg(typ))
}

func (p *parser) caseExpr() *frag {
	t := p.advance()
	var kids []*frag
	if !p.is("when") {
		kids = append(kids, p.expr())
	}
	if !p.is("when") {
		p.fail()
	}
	for p.is("when") {
		at := p.advance().Pos
		cond := p.expr()
		p.expect("then")
		kids = append(kids, p.wrap(at, "WHEN ", " THEN ", "", cond, p.expr()))
	}
	if p.accept("else") {
		kids = append(kids, p.wrap(-1, "ELSE ", "", "", p.expr()))
	}
	p.expect("end")
	return p.wrap(t.Pos, "CASE ", " ", " END", kids...)
}

// array reads ARRAY[…] and ARRAY(query).
func (p *parser) array() *frag {
	t := p.advance()
	if p.isSym("(") {
		return p.marker(t.Pos, "__array_query", p.subquery())
	}
	return p.arrayItems(t.Pos)
}

func (p *parser) arrayItems(pos int) *frag {
	p.deeper()
	p.expectSym("[")
	var items []*frag
	switch {
	case p.isSym("["):
		p.commaList(func() { items = append(items, p.arrayItems(p.tok().Pos)) })
	case !p.isSym("]"):
		p.commaList(func() { items = append(items, p.expr()) })
	}
	p.expectSym("]")
	p.nest--
	return p.marker(pos, "__array", items...)
}

// sqlValue reads CURRENT_DATE and its kin, which have no parentheses.
func (p *parser) sqlValue(t Token) *frag {
	p.advance()
	if t.Val == "collation" {
		p.advance()
		p.expectSym("(")
		x := p.expr()
		p.expectSym(")")
		return p.wrap(t.Pos, "`pg_collation_for`(", "", ")", x)
	}
	args := []*frag{str(-1, t.Val)}
	switch t.Val {
	case "current_time", "current_timestamp", "localtime", "localtimestamp":
		if p.acceptSym("(") {
			args = append(args, leaf(p.tok().Pos, strconv.Itoa(int(p.int32()))))
			p.expectSym(")")
		}
	}
	return p.marker(t.Pos, "__keyword", args...)
}
