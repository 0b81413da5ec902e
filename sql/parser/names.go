package parser

import "github.com/streamsql/streamsql/sql/ast"

// isColID says whether a token may name a column, a table or an alias.
func isColID(t Token) bool {
	return t.Kind == QuotedIdent || t.Kind == Ident && t.class() <= colName
}

// isTypeFunc says whether a token may name a type or a function.
func isTypeFunc(t Token) bool {
	return t.Kind == QuotedIdent || t.Kind == Ident && (t.class() == plain || t.class() == typeFunc)
}

// isLabel says whether a token may stand behind AS or a dot.
func isLabel(t Token) bool { return t.Kind == QuotedIdent || t.Kind == Ident }

// isBareLabel says whether a token may be a column's label without AS.
func (p *parser) isBareLabel() bool {
	t := p.tok()
	return t.Kind == QuotedIdent || t.Kind == Ident && t.cat&asLabel == 0 && !p.isEmit() && !p.isFormat()
}

// isEmit says whether an EMIT clause stands here; EMIT alone is a name.
func (p *parser) isEmit() bool {
	if !p.is("emit") {
		return false
	}
	switch n := p.peek(1); n.Val {
	case "immediately":
		return n.Kind == Ident
	case "on":
		return n.Kind == Ident && p.peek(2).is("window")
	case "every":
		return n.Kind == Ident && (p.peek(2).is("interval") || p.peek(2).Kind == String)
	}
	return false
}

func (p *parser) colID() string {
	if !isColID(p.tok()) {
		p.fail()
	}
	return p.advance().Val
}

func (p *parser) label() string {
	if !isLabel(p.tok()) {
		p.fail()
	}
	return p.advance().Val
}

// name reads a qualified name.
func (p *parser) name() ast.Name {
	n := ast.Name{Pos: ast.Pos(p.tok().Pos)}
	n.Parts = append(n.Parts, p.colID())
	for p.acceptSym(".") {
		n.Parts = append(n.Parts, p.label())
	}
	return n
}

// nameLen returns how many tokens the qualified name here has.
func (p *parser) nameLen() int {
	n := 1
	for p.peek(n).isSym(".") && isLabel(p.peek(n+1)) {
		n += 2
	}
	return n
}

// relation reads the name of a relation: at most catalog.schema.name.
func (p *parser) relation() ast.Name {
	n := p.name()
	if len(n.Parts) > 3 {
		panic(syntaxError(int(n.Pos), "improper qualified name (too many dotted names): %s", n))
	}
	return n
}

// colIDList reads (a, b).
func (p *parser) colIDList() []string {
	var out []string
	p.expectSym("(")
	p.commaList(func() { out = append(out, p.colID()) })
	p.expectSym(")")
	return out
}
