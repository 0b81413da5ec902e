package parser

import (
	"fmt"

	"github.com/streamsql/streamsql/sql/ast"
	"github.com/streamsql/streamsql/sql/sqlerr"
)

// maxNest bounds how deep parentheses, subqueries and prefix operators nest.
const maxNest = 2000

// parser walks over the tokens of one text, a statement at a time. It reports
// errors by a panic with a *sqlerr.Error, which Parse catches.
type parser struct {
	text   string
	toks   []Token
	i      int
	closed []int32 // for each token that is "(", the index of its ")"; 0: none
	starts []bool  // for each token that is "(", whether it opens a query
	nest   int
	labels int // the nesting at which a target stands, whose label may be an operator's word; -1: none

	// Of the current statement.
	sides []ast.Node // what TiDB does not see, by number
	slots []slot
}

// Parse reads the statements of a text. The offsets of its trees and errors
// count from the start of the text. An error is a *sqlerr.Error.
func Parse(text string) ([]ast.Statement, error) {
	toks, lexErr := lex(text)
	if toks == nil {
		return nil, lexErr
	}
	p := &parser{text: text, toks: toks, labels: -1}
	stmts, err := p.statements()
	if lexErr != nil {
		// What the parser says about the end is the lexer's to say.
		if e := sqlerr.From(err); e == nil || e.Code != sqlerr.Syntax || e.Pos >= sqlerr.From(lexErr).Pos {
			err = lexErr
		}
	}
	if err != nil {
		return nil, err
	}
	return stmts, nil
}

// statements reads the statements up to the end.
func (p *parser) statements() (stmts []ast.Statement, err error) {
	p.matchParens()
	defer func() {
		if r := recover(); r != nil {
			e, ok := r.(*sqlerr.Error)
			if !ok {
				e = sqlerr.New(sqlerr.Internal, "the parser failed: %s", fmt.Sprint(r))
			}
			err = e
		}
	}()
	for {
		for p.acceptSym(";") {
		}
		if p.tok().Kind == EOF {
			return stmts, nil
		}
		p.sides, p.slots = p.sides[:0], p.slots[:0]
		s := p.statement()
		if p.tok().Kind != EOF && !p.isSym(";") {
			p.fail()
		}
		p.finish()
		stmts = append(stmts, s)
	}
}

// matchParens finds for every "(" its ")", and whether a query starts at it:
// SELECT, WITH, VALUES or TABLE stand behind it, or a query in parentheses that
// goes on as queries do. Going backwards, each is decided once.
func (p *parser) matchParens() {
	p.closed = make([]int32, len(p.toks))
	p.starts = make([]bool, len(p.toks))
	var open []int32
	for i, t := range p.toks {
		if t.Kind != Symbol {
			continue
		}
		switch t.Val {
		case "(":
			open = append(open, int32(i))
		case ")":
			if n := len(open); n > 0 {
				p.closed[open[n-1]] = int32(i)
				open = open[:n-1]
			}
		case ";":
			open = open[:0]
		}
	}
	for i := len(p.toks) - 2; i >= 0; i-- {
		if t := p.toks[i]; t.Kind == Symbol && t.Val == "(" {
			p.starts[i] = p.startsQuery(i)
		}
	}
}

func (p *parser) startsQuery(i int) bool {
	t := p.toks[i+1]
	switch {
	case t.Kind == Ident:
		switch t.Val {
		case "select", "with":
			return true
		case "values":
			return p.toks[i+2].Val == "(" && p.toks[i+2].Kind == Symbol
		case "table":
			return p.toks[i+2].Kind != Symbol
		}
	case t.Kind == Symbol && t.Val == "(" && p.starts[i+1]:
		after := p.toks[p.closed[i+1]+1]
		if p.closed[i+1] == 0 {
			return true // it never closes: let the query say where it ends
		}
		switch after.Kind {
		case Symbol:
			return after.Val == ")"
		case Ident:
			switch after.Val {
			case "union", "intersect", "except", "order", "limit", "offset", "fetch", "for":
				return true
			}
		}
	}
	return false
}

func (p *parser) tok() Token { return p.toks[p.i] }

// peek returns the token n further on.
func (p *parser) peek(n int) Token { return p.toks[min(p.i+n, len(p.toks)-1)] }

func (p *parser) advance() Token {
	t := p.toks[p.i]
	if t.Kind != EOF {
		p.i++
	}
	return t
}

func (t Token) is(word string) bool   { return t.Kind == Ident && t.Val == word }
func (t Token) isSym(s string) bool   { return t.Kind == Symbol && t.Val == s }
func (t Token) isOp(s string) bool    { return t.Kind == Op && t.Val == s }
func (t Token) class() category       { return t.cat & categoryMask }
func (p *parser) is(word string) bool { return p.tok().is(word) }
func (p *parser) isSym(s string) bool { return p.tok().isSym(s) }

// isWords says whether the words stand next, in this order.
func (p *parser) isWords(words ...string) bool {
	for n, w := range words {
		if !p.peek(n).is(w) {
			return false
		}
	}
	return true
}

// accept takes the words when they stand next.
func (p *parser) accept(words ...string) bool {
	if !p.isWords(words...) {
		return false
	}
	p.i += len(words)
	return true
}

func (p *parser) acceptSym(s string) bool {
	if !p.isSym(s) {
		return false
	}
	p.i++
	return true
}

func (p *parser) expect(words ...string) {
	for _, w := range words {
		if !p.accept(w) {
			p.fail()
		}
	}
}

func (p *parser) expectSym(s string) Token {
	if !p.isSym(s) {
		p.fail()
	}
	return p.advance()
}

// acceptOneOf takes one of the words.
func (p *parser) acceptOneOf(words ...string) (string, bool) {
	for _, w := range words {
		if p.accept(w) {
			return w, true
		}
	}
	return "", false
}

// fail reports a syntax error at the current token.
func (p *parser) fail() { p.failAt(p.tok()) }

func (p *parser) failAt(t Token) { panic(syntaxErrorAt(p.text, t)) }

func (p *parser) failDepth() {
	panic(sqlerr.New(sqlerr.TooComplex, "stack depth limit exceeded").At(p.tok().Pos).
		WithDetail("Statements may nest at most %d levels deep.", maxNest))
}

// deeper counts a level of nesting; the caller counts it off with p.nest--.
func (p *parser) deeper() {
	if p.nest++; p.nest > maxNest {
		p.failDepth()
	}
}

// commaList calls f for each item of a list separated by commas.
func (p *parser) commaList(f func()) {
	f()
	for p.acceptSym(",") {
		f()
	}
}
