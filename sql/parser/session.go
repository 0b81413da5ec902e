package parser

import (
	"strings"

	"github.com/streamsql/streamsql/sql/ast"
)

// set reads SET.
func (p *parser) set() ast.Statement {
	pos := ast.Pos(p.advance().Pos)
	if p.isWords("session", "characteristics") {
		p.i += 2
		p.expect("as", "transaction")
		return p.setTransaction(pos, true)
	}
	s := &ast.Set{Pos: pos}
	if n := p.peek(1); !n.isOp("=") && !n.is("to") && !n.isSym(".") {
		if p.accept("local") {
			s.Local = true
		} else {
			p.accept("session")
		}
	}
	t := p.tok()
	switch {
	case p.accept("transaction"):
		if p.is("snapshot") {
			panic(unsupported(p.tok().Pos, "SET TRANSACTION SNAPSHOT"))
		}
		return p.setTransaction(pos, false)
	case t.is("constraints"), t.is("xml"):
		panic(unsupported(t.Pos, "SET "+lowerToUpper(t.Val)))
	case p.accept("time", "zone"):
		s.Name = "timezone"
		p.zone(s)
	case p.accept("names"):
		s.Name = "client_encoding"
		if p.tok().Kind == String || isLabel(p.tok()) && !p.is("default") {
			p.settingValue(s)
		} else {
			p.accept("default")
		}
	case t.is("schema") && p.peek(1).Kind == String:
		p.advance()
		s.Name = "search_path"
		p.settingValue(s)
	case t.is("role") && !p.peek(1).isOp("=") && !p.peek(1).is("to"):
		p.advance()
		s.Name = "role"
		p.settingValue(s)
	case p.accept("authorization"):
		s.Name = "session_authorization"
		if !p.accept("default") {
			p.settingValue(s)
		}
	default:
		p.setting(s)
	}
	return s
}

func (p *parser) setTransaction(pos ast.Pos, session bool) ast.Statement {
	at := p.tok()
	m := p.transactionModes()
	if m == (ast.TransactionModes{}) {
		p.failAt(at)
	}
	return &ast.SetTransaction{Pos: pos, Session: session, Modes: m}
}

// setting reads name TO value, ….
func (p *parser) setting(s *ast.Set) {
	s.Name = p.settingName()
	switch t := p.tok(); {
	case t.isOp("="), t.is("to"):
		p.advance()
	case t.is("from"):
		panic(unsupported(t.Pos, "SET FROM CURRENT"))
	default:
		p.fail()
	}
	if !p.accept("default") {
		p.commaList(func() { p.settingValue(s) })
	}
}

// settingName reads a, or a.b.
func (p *parser) settingName() string {
	parts := []string{p.colID()}
	for p.acceptSym(".") {
		parts = append(parts, p.colID())
	}
	return strings.Join(parts, ".")
}

// settingValue reads one value: a constant or a bare word, which is a string.
func (p *parser) settingValue(s *ast.Set) {
	t := p.tok()
	if t.Kind == Ident && t.class() == reserved && !t.is("true") && !t.is("false") && !t.is("on") {
		p.fail()
	}
	v := p.optionValue()
	if v.Kind == ast.BoolLiteral {
		v.Kind = ast.StringLiteral
	}
	s.Values = append(s.Values, v)
}

// zone reads the value of SET TIME ZONE.
func (p *parser) zone(s *ast.Set) {
	switch t := p.tok(); {
	case p.accept("local"), p.accept("default"):
	case t.is("interval"):
		panic(unsupported(t.Pos, "SET TIME ZONE INTERVAL"))
	default:
		p.settingValue(s)
	}
}

func (p *parser) reset() ast.Statement {
	r := &ast.Reset{Pos: ast.Pos(p.advance().Pos)}
	switch {
	case p.accept("all"):
		r.Name = "all"
	case p.accept("time", "zone"):
		r.Name = "timezone"
	case p.accept("transaction", "isolation", "level"):
		r.Name = "transaction_isolation"
	case p.accept("session", "authorization"):
		r.Name = "session_authorization"
	default:
		r.Name = p.settingName()
	}
	return r
}

// showPlurals are the kinds of object that SHOW lists.
var showPlurals = [][]string{
	{"materialized", "views"}, {"tables"}, {"sources"}, {"views"}, {"sinks"}, {"indexes"}, {"functions"},
	{"columns"}, {"jobs"},
}

// show reads SHOW setting, SHOW objects [FROM name] and SHOW CREATE kind name.
func (p *parser) show() ast.Statement {
	s := &ast.Show{Pos: ast.Pos(p.advance().Pos)}
	object := func() {
		n := p.relation()
		s.Object = &n
	}
	if p.accept("create") {
		t := p.tok()
		k, ok := p.objectKind()
		if !ok {
			p.failAt(t)
		}
		s.Name = "create " + string(k)
		object()
		return s
	}
	for _, words := range showPlurals {
		if p.accept(words...) {
			s.Name = strings.Join(words, " ")
			if _, ok := p.acceptOneOf("from", "in"); ok {
				object()
			}
			return s
		}
	}
	switch {
	case p.accept("all"):
		s.Name = "all"
	case p.accept("time", "zone"):
		s.Name = "timezone"
	case p.accept("transaction", "isolation", "level"):
		s.Name = "transaction_isolation"
	case p.accept("session", "authorization"):
		s.Name = "session_authorization"
	default:
		s.Name = p.settingName()
	}
	return s
}
