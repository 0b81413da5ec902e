package parser

import "github.com/streamsql/streamsql/sql/ast"

// function reads CREATE FUNCTION behind its first words.
func (p *parser) function(f *ast.CreateFunction) {
	t := p.tok()
	f.Name = p.name()
	p.functionName(t, f.Name.Parts)
	f.Args = p.funcArgs()
	if p.accept("returns") {
		if t := p.tok(); t.is("table") || t.is("setof") {
			panic(unsupported(t.Pos, "a function that returns a set"))
		}
		f.Returns = p.typeName()
	}
	for p.funcOption(f) {
	}
}

// funcOption reads an option of CREATE FUNCTION when one stands here.
func (p *parser) funcOption(f *ast.CreateFunction) bool {
	t := p.tok()
	switch {
	case p.accept("language"):
		if p.tok().Kind == String {
			f.Language = p.advance().Val
		} else {
			f.Language = p.label()
		}
	case p.accept("as"):
		p.once(t, f.As != nil)
		p.commaList(func() {
			if p.tok().Kind != String {
				p.fail()
			}
			f.As = append(f.As, p.advance().Val)
		})
	case p.accept("strict"), p.accept("returns", "null", "on", "null", "input"):
		f.Strict = true
	case p.accept("called", "on", "null", "input"):
		f.Strict = false
	case t.is("immutable"), t.is("stable"), t.is("volatile"):
		f.Volatility = ast.Volatility(p.advance().Val)
	case p.accept("leakproof"), p.accept("not", "leakproof"):
	case p.accept("parallel"):
		p.label()
	case p.accept("cost"), p.accept("rows"):
		p.optionValue()
	case t.is("window"), t.is("security"), t.is("external"), t.is("set"), t.is("support"), t.is("transform"),
		t.is("return"), t.is("begin"):
		panic(unsupported(t.Pos, lowerToUpper(t.Val)+" of a function"))
	default:
		return false
	}
	return true
}

// funcArgs reads ([name] type, …).
func (p *parser) funcArgs() []*ast.FuncArg {
	out := []*ast.FuncArg{}
	p.expectSym("(")
	if p.acceptSym(")") {
		return out
	}
	p.commaList(func() {
		if t := p.tok(); t.is("out") || t.is("inout") || t.is("variadic") {
			panic(unsupported(t.Pos, "an argument that is "+lowerToUpper(t.Val)))
		}
		p.accept("in")
		a := &ast.FuncArg{Pos: ast.Pos(p.tok().Pos)}
		if n := p.peek(1); isTypeFunc(p.tok()) && isLabel(n) && !n.is("default") && !n.is("array") &&
			!p.isWords("double", "precision") {
			a.Name = p.label()
		}
		a.Type = p.typeName()
		if t := p.tok(); t.is("default") || t.isOp("=") {
			panic(unsupported(t.Pos, "the default of an argument"))
		}
		out = append(out, a)
	})
	p.expectSym(")")
	return out
}

// objectKind reads the kind of an object when one stands here.
func (p *parser) objectKind() (ast.ObjectKind, bool) {
	if p.accept("materialized", "view") {
		return ast.KindMaterializedView, true
	}
	w, ok := p.acceptOneOf("table", "source", "view", "sink", "index", "function")
	return ast.ObjectKind(w), ok
}

func (p *parser) drop() ast.Statement {
	d := &ast.Drop{Pos: ast.Pos(p.advance().Pos)}
	t := p.tok()
	var ok bool
	if d.Kind, ok = p.objectKind(); !ok {
		p.notOne(t, otherObjects, "DROP")
	}
	p.accept("concurrently")
	d.IfExists = p.ifExists()
	p.commaList(func() {
		if d.Kind != ast.KindFunction {
			d.Names = append(d.Names, p.relation())
			return
		}
		t := p.tok()
		n := p.name()
		p.functionName(t, n.Parts)
		d.Names = append(d.Names, n)
		var args []*ast.FuncArg
		if p.isSym("(") {
			args = p.funcArgs()
		}
		d.Args = append(d.Args, args)
	})
	if !p.accept("restrict") {
		d.Cascade = p.accept("cascade")
	}
	return d
}

// alter reads ALTER kind name PAUSE, RESUME or RETRY, SET (…) or RESET (…), and of
// a source ADD COLUMN.
func (p *parser) alter() ast.Statement {
	a := &ast.Alter{Pos: ast.Pos(p.advance().Pos)}
	t := p.tok()
	var ok bool
	if a.Kind, ok = p.objectKind(); !ok {
		p.notOne(t, otherObjects, "ALTER")
	}
	p.ifExists()
	a.Name = p.relation()
	t = p.tok()
	if a.Kind == ast.KindSource && p.accept("add") {
		p.accept("column")
		var d ast.TableDef
		p.columnDef(&d)
		a.Action, a.Column = ast.AddColumn, d.Columns[0]
		return a
	}
	w, ok := p.acceptOneOf("pause", "resume", "retry")
	if !ok && p.peek(1).isSym("(") {
		if w, ok = p.acceptOneOf("set", "reset"); ok {
			a.Options = p.options()
		}
	}
	if !ok {
		p.notOne(t, tableActions, "ALTER "+lowerToUpper(string(a.Kind))+" …")
	}
	a.Action = ast.AlterAction(w)
	return a
}
