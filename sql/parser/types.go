package parser

import (
	"strconv"
	"strings"

	"github.com/streamsql/streamsql/sql/ast"
	"github.com/streamsql/streamsql/sql/sqlerr"
)

// simpleTypes are the one-word types of the standard and Postgres' names for them.
var simpleTypes = map[string]string{
	"int": "int4", "integer": "int4", "smallint": "int2", "bigint": "int8",
	"real": "float4", "boolean": "bool",
}

// typeName reads a type.
func (p *parser) typeName() *ast.TypeName {
	if p.is("setof") {
		panic(unsupported(p.tok().Pos, "SETOF"))
	}
	t := p.simpleType()
	if t.Parts[0] == "interval" && len(t.Parts) == 1 && t.Mods == nil {
		p.intervalFields(t)
	}
	for {
		switch {
		case p.acceptSym("["):
			if p.tok().Kind == Int {
				p.advance()
			}
			p.expectSym("]")
			t.Dims++
			continue
		case t.Dims == 0 && p.accept("array"):
			t.Dims++
			if p.acceptSym("[") {
				if p.tok().Kind != Int {
					p.fail()
				}
				p.advance()
				p.expectSym("]")
			}
		}
		return t
	}
}

// simpleType reads a type without array bounds and interval fields.
func (p *parser) simpleType() *ast.TypeName {
	first := p.tok()
	t := &ast.TypeName{Pos: ast.Pos(first.Pos)}
	if first.Kind == Ident {
		if p.keywordType(first, t) {
			return t
		}
	}
	if !isTypeFunc(first) {
		p.fail()
	}
	t.Parts = append(t.Parts, p.advance().Val)
	for p.acceptSym(".") {
		t.Parts = append(t.Parts, p.label())
	}
	t.Mods = p.typeMods()
	return t
}

// keywordType reads a type that the grammar knows by its words.
func (p *parser) keywordType(first Token, t *ast.TypeName) bool {
	p.advance()
	switch first.Val {
	case "decimal", "dec", "numeric":
		t.Parts, t.Mods = []string{"numeric"}, p.typeMods()
	case "int", "integer", "smallint", "bigint", "real", "boolean":
		t.Parts = []string{simpleTypes[first.Val]}
	case "double":
		if !p.accept("precision") {
			p.i--
			return false
		}
		t.Parts = []string{"float8"}
	case "float":
		t.Parts = []string{p.floatType()}
	case "bit":
		t.Parts = []string{"bit"}
		if p.accept("varying") {
			t.Parts[0] = "varbit"
		}
		t.Mods = p.lengthOf(t.Parts[0] == "bit")
	case "national":
		if !p.is("character") && !p.is("char") {
			p.fail()
		}
		p.advance()
		p.characterType(t)
	case "character", "char", "nchar":
		p.characterType(t)
	case "varchar":
		t.Parts, t.Mods = []string{"varchar"}, p.lengthOf(false)
	case "time", "timestamp":
		t.Mods = p.lengthOf(false)
		t.Parts = []string{first.Val}
		switch {
		case p.accept("with", "time"):
			p.expect("zone")
			t.Parts[0] += "tz"
		case p.accept("without", "time"):
			p.expect("zone")
		}
	case "interval":
		t.Parts, t.Mods = []string{"interval"}, p.lengthOf(false)
	default:
		p.i--
		return false
	}
	return true
}

func (p *parser) characterType(t *ast.TypeName) {
	t.Parts = []string{"bpchar"}
	if p.accept("varying") {
		t.Parts[0] = "varchar"
	}
	t.Mods = p.lengthOf(t.Parts[0] == "bpchar")
}

func (p *parser) floatType() string {
	if !p.acceptSym("(") {
		return "float8"
	}
	at := p.tok()
	n := p.int32()
	p.expectSym(")")
	switch {
	case n < 1:
		panic(sqlerr.New(sqlerr.InvalidParameter, "precision for type float must be at least 1 bit").At(at.Pos))
	case n <= 24:
		return "float4"
	case n <= 53:
		return "float8"
	}
	panic(sqlerr.New(sqlerr.InvalidParameter, "precision for type float must be less than 54 bits").At(at.Pos))
}

// lengthOf reads (n); without one the length is 1 or not given.
func (p *parser) lengthOf(one bool) []int32 {
	if p.isSym("(") {
		p.advance()
		n := p.int32()
		p.expectSym(")")
		return []int32{n}
	}
	if one {
		return []int32{1}
	}
	return nil
}

// typeMods reads (n, …) when it stands here.
func (p *parser) typeMods() []int32 {
	if !p.acceptSym("(") {
		return nil
	}
	var mods []int32
	p.commaList(func() {
		sign := int32(1)
		if p.tok().isOp("-") {
			p.advance()
			sign = -1
		}
		mods = append(mods, sign*p.int32())
	})
	p.expectSym(")")
	return mods
}

func (p *parser) int32() int32 {
	t := p.tok()
	if t.Kind != Int {
		p.fail()
	}
	n, err := strconv.ParseInt(t.Val, 10, 32)
	if err != nil {
		p.fail() // to PostgreSQL's lexer it is no integer
	}
	p.advance()
	return int32(n)
}

// intervalTo lists the fields that may follow TO.
var intervalTo = map[string][]string{
	"year": {"month"}, "month": nil,
	"day": {"hour", "minute", "second"}, "hour": {"minute", "second"}, "minute": {"second"}, "second": nil,
}

// intervalFields reads MINUTE, DAY TO SECOND(3) and the like when they stand here.
func (p *parser) intervalFields(t *ast.TypeName) {
	first := p.tok()
	field := first.Val
	ends, ok := intervalTo[field]
	if !ok && p.labels != p.nest {
		// INTERVAL '5' MINUTES, as Flink takes it, where the word is no label.
		field = strings.TrimSuffix(field, "s")
		ends, ok = intervalTo[field]
	}
	if first.Kind != Ident || !ok {
		return
	}
	p.advance()
	t.Fields = field
	last := field
	if p.accept("to") {
		if last, ok = p.acceptOneOf(ends...); !ok {
			p.fail()
		}
		t.Fields += " to " + last
	}
	if last == "second" {
		t.Mods = p.lengthOf(false)
	}
}

// typedLiteral reads type 'text' when it stands here.
func (p *parser) typedLiteral() (*frag, bool) {
	first := p.tok()
	start := p.i
	var t *ast.TypeName
	switch {
	case p.peek(1).isSym(".") && isLabel(p.peek(2)) || first.class() != colName && !first.is("double"):
		n := p.nameLen()
		end := n
		if p.peek(n).isSym("(") && p.closed[p.i+n] > 0 { // timestamptz(3) '…'
			end = int(p.closed[p.i+n]) + 1 - p.i
		}
		if p.peek(end).Kind != String || n == 1 && !isTypeFunc(first) || !isTypeFunc(first) && !isColID(first) {
			return nil, false
		}
		t = &ast.TypeName{Pos: ast.Pos(first.Pos), Parts: []string{p.label()}}
		for p.acceptSym(".") {
			t.Parts = append(t.Parts, p.label())
		}
		t.Mods = p.typeMods()
	default:
		if !p.maybeType() {
			if isTypeWord(first.Val) && p.peek(1).isSym("(") {
				p.simpleType()
				p.fail() // what stands here is the start of a typed literal
			}
			return nil, false
		}
		t = p.simpleType()
	}
	if p.tok().Kind != String {
		p.i = start
		return nil, false
	}
	s := p.advance()
	if len(t.Parts) == 1 && t.Parts[0] == "interval" && first.Kind == Ident && t.Mods == nil {
		p.intervalFields(t)
	}
	return p.marker(first.Pos, "__typed", str(s.Pos, s.Val), p.typeArg(t)), true
}

// isTypeWord says whether a word starts a type of the grammar's own.
func isTypeWord(w string) bool {
	switch w {
	case "int", "integer", "smallint", "bigint", "real", "boolean", "decimal", "dec", "numeric", "national",
		"double", "float", "bit", "character", "char", "nchar", "varchar", "time", "timestamp", "interval":
		return true
	}
	return false
}

// maybeType says whether the words here can be a type of the grammar's followed
// by a string: nothing that fails stands in between.
func (p *parser) maybeType() bool {
	n := 1
	if !isTypeWord(p.tok().Val) {
		return false
	}
	if p.is("national") {
		n++
	}
	if p.peek(n).is("precision") || p.peek(n).is("varying") {
		n++
	}
	if p.peek(n).isSym("(") {
		c := p.closed[min(p.i+n, len(p.toks)-1)]
		if c == 0 {
			return false
		}
		n = int(c) - p.i + 1
	}
	if (p.peek(n).is("with") || p.peek(n).is("without")) && p.peek(n+1).is("time") {
		n += 3
	}
	return p.peek(n).Kind == String
}

// typeArg is a type in the encoded text; the mark there carries the node.
func (p *parser) typeArg(t *ast.TypeName) *frag {
	f := str(int(t.Pos), t.String())
	f.typ = t
	return f
}
