package parser

// call reads a function call with FILTER, WITHIN GROUP and OVER.
func (p *parser) call() *frag {
	f, distinct, variadic, ordered := p.callArgs()
	if t := p.tok(); p.accept("within") {
		p.expect("group")
		switch {
		case ordered:
			panic(syntaxError(t.Pos, "cannot use multiple ORDER BY clauses with WITHIN GROUP"))
		case distinct:
			panic(syntaxError(t.Pos, "cannot use DISTINCT with WITHIN GROUP"))
		case variadic:
			panic(syntaxError(t.Pos, "cannot use VARIADIC with WITHIN GROUP"))
		}
		p.expectSym("(")
		p.expect("order", "by")
		kids := append([]*frag{f}, p.callOrder()...)
		p.expectSym(")")
		f = p.marker(int(f.pos), "__within_group", kids...)
	}
	if p.accept("filter") {
		p.expectSym("(")
		p.expect("where")
		f = p.marker(int(f.pos), "__filter", f, p.expr())
		p.expectSym(")")
	}
	if p.is("over") {
		f = p.over(f)
	}
	return f
}

// plainCall reads name(args).
func (p *parser) plainCall() *frag {
	f, _, _, _ := p.callArgs()
	return f
}

// callArgs reads name(args); the second to fourth results say what MySQL's calls
// do not have and further clauses must not join.
func (p *parser) callArgs() (f *frag, distinct, variadic, ordered bool) {
	t := p.tok()
	parts := []string{p.label()}
	for p.acceptSym(".") {
		parts = append(parts, p.label())
	}
	p.functionName(t, parts)
	p.expectSym("(")
	var args []*frag
	switch {
	case p.isSym(")"):
	case p.tok().isOp("*"):
		p.advance()
		args = append(args, p.marker(-1, "__star"))
	default:
		if p.accept("distinct") {
			distinct = true
			args = append(args, p.marker(-1, "__distinct"))
		} else {
			p.accept("all")
		}
		for more := true; more; more = !variadic && p.acceptSym(",") {
			var arg *frag
			arg, variadic = p.arg()
			args = append(args, arg)
			if p.isPartition() {
				break
			}
		}
		if p.isPartition() {
			args = p.partitioned(args)
		}
		if p.accept("order") {
			p.expect("by")
			ordered = true
			args = append(args, p.callOrder()...)
		}
	}
	p.expectSym(")")
	for i := range parts {
		parts[i] = quoteName(parts[i])
	}
	name := parts[0]
	if len(parts) == 2 {
		name += "." + parts[1]
	}
	return p.wrap(t.Pos, name+"(", ",", ")", args...), distinct, variadic, ordered
}

// arg reads an argument of a call.
func (p *parser) arg() (f *frag, variadic bool) {
	t := p.tok()
	if p.accept("variadic") {
		f, _ = p.arg()
		return p.marker(t.Pos, "__variadic", f), true
	}
	if p.isArgName() {
		p.i += 2
		f, _ = p.argValue()
		return p.marker(t.Pos, "__named", str(-1, t.Val), f), false
	}
	return p.argValue()
}

// isArgName says whether the name of an argument stands here. OFFSET, which is
// reserved, names one of a window.
func (p *parser) isArgName() bool {
	t, n := p.tok(), p.peek(1)
	return (isTypeFunc(t) || t.is("offset")) && (n.isSym("=>") || n.isSym(":="))
}

// argValue reads TABLE t, DESCRIPTOR (…) or an expression.
func (p *parser) argValue() (*frag, bool) {
	t := p.tok()
	switch {
	case t.is("table") && p.starts[p.i+1]: // TABLE (SELECT …)
		p.advance()
		return p.subquery(), false
	case t.is("table"):
		p.advance()
		paren := p.acceptSym("(")
		n := p.relation()
		if paren {
			p.expectSym(")")
		}
		return p.marker(t.Pos, "__table", namesAt(int(n.Pos), n.Parts)...), false
	case t.is("descriptor") && p.peek(1).isSym("("):
		p.advance()
		return p.marker(t.Pos, "__descriptor", strs(p.colIDList())...), false
	}
	return p.expr(), false
}

func (p *parser) isPartition() bool { return p.isWords("partition", "by") }

// partitioned reads PARTITION BY keys behind the last of args, and the arguments
// behind the keys. Keys without parentheses end where a time column can begin:
// before DESCRIPTOR or a named argument, else before the last two.
func (p *parser) partitioned(args []*frag) []*frag {
	p.i += 2
	n := len(args) - 1
	var keys, rest []*frag
	fixed := false // where the keys end is known
	if p.isSym("(") && !p.starts[p.i] {
		keys, fixed = p.exprList(), true
	} else {
		keys = []*frag{p.expr()}
	}
	for p.acceptSym(",") {
		t := p.tok()
		if !fixed && (t.is("descriptor") && p.peek(1).isSym("(") || p.isArgName()) {
			keys, rest, fixed = append(keys, rest...), nil, true
		}
		f, variadic := p.arg()
		if variadic {
			p.failAt(t)
		}
		rest = append(rest, f)
	}
	if k := len(rest) - 2; !fixed && k > 0 {
		keys, rest = append(keys, rest[:k]...), rest[k:]
	}
	data := args[n]
	if data.pre == "`__named`(" {
		named := *data
		named.kids = []*frag{data.kids[0], p.marker(int(data.kids[1].pos), "__partitioned", append([]*frag{data.kids[1]}, keys...)...)}
		data = &named
	} else {
		data = p.marker(int(data.pos), "__partitioned", append([]*frag{data}, keys...)...)
	}
	return append(append(args[:n:n], data), rest...)
}

// callOrder reads the keys of an ORDER BY inside a call, where MySQL has none.
func (p *parser) callOrder() []*frag {
	var out []*frag
	p.commaList(func() {
		f := p.orderItem()
		how := ""
		if f.post == " DESC" {
			f, how = f.kids[0], "desc"
		}
		out = append(out, p.marker(-1, "__order", str(-1, how), f))
	})
	return out
}

// specialCall reads what starts with a word that is a column's name unless its
// grammar follows; nil when it is one.
func (p *parser) specialCall(t Token) *frag {
	if !p.peek(1).isSym("(") {
		return nil
	}
	switch t.Val {
	case "exists":
		p.advance()
		return p.wrap(t.Pos, "EXISTS ", "", "", p.subquery())
	case "coalesce", "greatest", "least", "grouping":
		p.advance()
		return p.builtin(t, t.Val, p.exprList()...)
	case "nullif":
		p.i += 2
		a := p.expr()
		p.expectSym(",")
		b := p.expr()
		p.expectSym(")")
		return p.builtin(t, "nullif", a, b)
	case "row":
		p.advance()
		var items []*frag
		if p.peek(1).isSym(")") {
			p.i += 2
		} else {
			items = p.exprList()
		}
		return p.marker(t.Pos, "__row", items...)
	case "extract":
		return p.extract(t)
	case "position":
		p.i += 2
		a := p.restricted()
		p.expect("in")
		b := p.restricted()
		p.expectSym(")")
		return p.builtin(t, "position", b, a)
	case "substring":
		return p.substring(t)
	case "overlay":
		return p.overlay(t)
	case "trim":
		return p.trim(t)
	case "normalize":
		p.i += 2
		args := []*frag{p.expr()}
		if p.acceptSym(",") {
			at := p.tok().Pos
			form, ok := p.acceptOneOf("nfc", "nfd", "nfkc", "nfkd")
			if !ok {
				p.fail()
			}
			args = append(args, str(at, lowerToUpper(form)))
		}
		p.expectSym(")")
		return p.builtin(t, "normalize", args...)
	case "treat", "xmlconcat", "xmlelement", "xmlexists", "xmlforest", "xmlparse", "xmlpi", "xmlroot",
		"xmlserialize", "xmlattributes", "xmlnamespaces", "xmltable":
		panic(unsupported(t.Pos, lowerToUpper(t.Val)))
	}
	return nil
}

// builtin prints a special form as a plain call.
func (p *parser) builtin(t Token, name string, args ...*frag) *frag {
	return p.wrap(t.Pos, quoteName(name)+"(", ",", ")", args...)
}

// extract reads EXTRACT (field FROM x).
func (p *parser) extract(t Token) *frag {
	p.i += 2
	f := p.tok()
	if f.Kind != String && f.Kind != QuotedIdent && (f.Kind != Ident || f.class() != plain) {
		p.fail()
	}
	p.advance()
	p.expect("from")
	x := p.expr()
	p.expectSym(")")
	return p.marker(t.Pos, "__extract", str(f.Pos, f.Val), x)
}

// substring reads SUBSTRING (a FROM b FOR c) and its kin.
func (p *parser) substring(t Token) *frag {
	p.i += 2
	if p.acceptSym(")") {
		return p.builtin(t, "substring")
	}
	a, _ := p.arg()
	args := []*frag{a}
	switch {
	case p.accept("similar"):
		b := p.expr()
		p.expect("escape")
		args = append(args, b, p.expr())
	case p.accept("from"):
		args = append(args, p.expr())
		if p.accept("for") {
			args = append(args, p.expr())
		}
	case p.accept("for"):
		n := p.expr()
		from := leaf(-1, "1")
		if p.accept("from") {
			from = p.expr()
		}
		args = append(args, from, n)
	default:
		args = append(args, p.moreArgs()...)
	}
	p.expectSym(")")
	return p.builtin(t, "substring", args...)
}

// moreArgs reads the arguments behind the first one.
func (p *parser) moreArgs() []*frag {
	var out []*frag
	for p.acceptSym(",") {
		f, _ := p.arg()
		out = append(out, f)
	}
	return out
}

// overlay reads OVERLAY (a PLACING b FROM c FOR d).
func (p *parser) overlay(t Token) *frag {
	p.i += 2
	if p.acceptSym(")") {
		return p.builtin(t, "overlay")
	}
	a, _ := p.arg()
	args := []*frag{a}
	if p.accept("placing") {
		args = append(args, p.expr())
		p.expect("from")
		args = append(args, p.expr())
		if p.accept("for") {
			args = append(args, p.expr())
		}
	} else {
		args = append(args, p.moreArgs()...)
	}
	p.expectSym(")")
	return p.builtin(t, "overlay", args...)
}

// trim reads TRIM ([BOTH | LEADING | TRAILING] [chars] FROM x, …).
func (p *parser) trim(t Token) *frag {
	p.i += 2
	name := "btrim"
	switch {
	case p.accept("leading"):
		name = "ltrim"
	case p.accept("trailing"):
		name = "rtrim"
	default:
		p.accept("both")
	}
	var args []*frag
	list := func() { p.commaList(func() { args = append(args, p.expr()) }) }
	if p.accept("from") {
		list()
	} else {
		x := p.expr()
		if p.accept("from") {
			list()
			args = append(args, x)
		} else {
			args = append([]*frag{x}, p.moreArgs()...)
		}
	}
	p.expectSym(")")
	return p.builtin(t, name, args...)
}
