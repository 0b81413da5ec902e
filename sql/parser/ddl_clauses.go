package parser

import (
	"strings"

	"github.com/streamsql/streamsql/sql/ast"
)

// tableClauses reads what stands behind the columns, in any order.
func (p *parser) tableClauses(d *ast.TableDef) {
	for {
		t := p.tok()
		switch {
		case p.accept("append", "only"):
			d.AppendOnly = true
		case p.accept("include"):
			d.Includes = append(d.Includes, p.include())
		case t.is("with") && p.peek(1).isSym("("):
			p.once(t, d.Options != nil)
			p.advance()
			d.Options = p.options()
		case p.isFormat():
			p.once(t, d.Format != nil)
			d.Format = p.format()
		case t.is("inherits"), t.is("partition"), t.is("tablespace"), t.is("on"), t.is("using"), t.is("without"):
			panic(unsupported(t.Pos, lowerToUpper(t.Val)+" of a table"))
		default:
			return
		}
	}
}

// once refuses a clause that was there before.
func (p *parser) once(t Token, there bool) {
	if there {
		panic(syntaxError(t.Pos, "multiple %s clauses are not allowed", lowerToUpper(t.Val)))
	}
}

// include reads field ['inner'] [type] [AS name].
func (p *parser) include() *ast.Include {
	t := p.tok()
	inc := &ast.Include{Pos: ast.Pos(t.Pos)}
	switch inc.Field = p.label(); inc.Field {
	case "key", "timestamp", "partition", "offset", "header", "payload":
	default:
		panic(syntaxError(t.Pos, `unknown metadata field "%s"`, inc.Field).
			WithHint("The fields are key, timestamp, partition, offset, header and payload."))
	}
	if inc.Field == "header" && p.tok().Kind == String {
		inc.Inner = p.advance().Val
	}
	if (isTypeFunc(p.tok()) || p.tok().class() == colName) && p.tok().Kind != EOF && !p.isClause() {
		inc.Type = p.typeName()
	}
	if p.accept("as") {
		inc.As = p.colID()
	}
	return inc
}

// isClause says whether a further clause of a table stands here.
func (p *parser) isClause() bool {
	return p.is("include") || p.isWords("append", "only") || p.isFormat()
}

// options reads (name = value, …).
func (p *parser) options() []*ast.Option {
	out := []*ast.Option{}
	p.expectSym("(")
	if p.acceptSym(")") {
		return out
	}
	p.commaList(func() {
		o := &ast.Option{Pos: ast.Pos(p.tok().Pos), Name: p.optionName()}
		if p.tok().isOp("=") {
			p.advance()
			o.Value = p.optionValue()
		} else if !p.isSym(",") && !p.isSym(")") {
			o.Value = p.optionValue()
		}
		out = append(out, o)
	})
	p.expectSym(")")
	return out
}

// optionName reads a, a.b or 'a.b'.
func (p *parser) optionName() string {
	if p.tok().Kind == String {
		return p.advance().Val
	}
	parts := []string{p.label()}
	for p.acceptSym(".") {
		parts = append(parts, p.label())
	}
	return strings.Join(parts, ".")
}

// optionValue reads a constant or a bare word.
func (p *parser) optionValue() *ast.Literal {
	t := p.tok()
	l := &ast.Literal{Pos: ast.Pos(t.Pos), Kind: ast.StringLiteral}
	switch {
	case t.isOp("-") || t.isOp("+"):
		p.advance()
		n := p.tok()
		if n.Kind != Int && n.Kind != Num {
			p.fail()
		}
		p.advance()
		text := n.Val
		if t.Val == "-" {
			text = negated(text)
		}
		return numberOf(text, l.Pos)
	case t.Kind == Int || t.Kind == Num:
		p.advance()
		return numberOf(t.Val, l.Pos)
	case t.Kind == String:
		p.advance()
		l.Text = t.Val
	case t.is("true") || t.is("false"):
		p.advance()
		l.Kind, l.Text = ast.BoolLiteral, t.Val
	case t.is("null"):
		p.advance()
		l.Kind = ast.NullLiteral
	default:
		l.Text = p.label()
	}
	return l
}

// format reads FORMAT x ENCODE y [(options)].
func (p *parser) format() *ast.Format {
	f := &ast.Format{Pos: ast.Pos(p.tok().Pos)}
	p.expect("format")
	f.Format = p.label()
	p.expect("encode")
	f.Encode = p.label()
	if p.isSym("(") {
		f.Options = p.options()
	}
	return f
}

func (p *parser) createSink(pos ast.Pos) ast.Statement {
	s := &ast.CreateSink{Pos: pos, IfNotExists: p.ifNotExists(), Name: p.relation()}
	if p.accept("into") {
		n := p.relation()
		s.Into = &n
	}
	if p.accept("from") {
		n := p.relation()
		s.From = &n
	} else {
		p.expect("as")
		s.Text = p.queryText(func(q *ast.Query) { s.Query = q })
	}
	for {
		t := p.tok()
		switch {
		case p.accept("with"):
			p.once(t, s.Options != nil)
			s.Options = p.options()
		case p.isFormat():
			p.once(t, s.Format != nil)
			s.Format = p.format()
		default:
			return s
		}
	}
}

func (p *parser) createIndex(pos ast.Pos, unique bool) ast.Statement {
	x := &ast.CreateIndex{Pos: pos, Unique: unique}
	p.accept("concurrently")
	x.IfNotExists = p.ifNotExists()
	if x.IfNotExists || !p.is("on") {
		x.Name = p.relation()
	}
	p.expect("on")
	p.accept("only")
	x.Table = p.relation()
	if t := p.tok(); p.accept("using") {
		if m := p.colID(); m != "btree" {
			panic(unsupported(t.Pos, "an index of kind "+m))
		}
	}
	p.expectSym("(")
	p.commaList(func() { x.Items = append(x.Items, p.indexItem()) })
	p.expectSym(")")
	if p.accept("include") {
		x.Include = p.colIDList()
	}
	if t := p.tok(); t.is("with") || t.is("where") || t.is("tablespace") || t.is("nulls") {
		panic(unsupported(t.Pos, lowerToUpper(t.Val)+" of an index"))
	}
	return x
}

// indexItem reads a column, a call or an expression in parentheses.
func (p *parser) indexItem() *ast.OrderItem {
	t := p.tok()
	o := &ast.OrderItem{Pos: ast.Pos(t.Pos)}
	var f *frag
	switch {
	case t.isSym("("):
		f = p.parenthesis()
	case p.isFunction():
		f = p.tableCall()
	default:
		p.colID()
		f = leaf(t.Pos, quoteName(t.Val))
	}
	p.slotExpr(f, func(x ast.Expr) { o.Expr = x })
	if t := p.tok(); t.is("collate") || isLabel(t) && !t.is("asc") && !t.is("desc") && !t.is("nulls") {
		panic(unsupported(t.Pos, "a collation or operator class of an index"))
	}
	if p.accept("desc") {
		o.Desc = true
	} else {
		p.accept("asc")
	}
	if p.accept("nulls") {
		w, ok := p.acceptOneOf("first", "last")
		if !ok {
			p.fail()
		}
		o.Nulls = ast.NullsOrder(w)
	}
	return o
}
