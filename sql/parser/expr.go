package parser

import "github.com/streamsql/streamsql/sql/sqlerr"

// PostgreSQL's precedences, lowest first.
const (
	precOr = iota + 1
	precAnd
	precNot
	precIs
	precCompare
	precLike // BETWEEN, IN, LIKE and its kin
	precOp   // any other operator
	precAdd
	precMul
	precPow
	precAt
	precCollate
	precMinus
	precCast
)

// expr reads an expression.
func (p *parser) expr() *frag { return p.operators(precOr, false) }

// exprOf reads an operand of an operator with the given precedence.
func (p *parser) exprOf(prec int) *frag { return p.operators(prec, false) }

// restricted reads PostgreSQL's b_expr: no AND, OR, NOT, IN, LIKE, BETWEEN, IS NULL.
func (p *parser) restricted() *frag { return p.operators(precOr, true) }

// operators reads an operand and the operators behind it that bind at least as
// tightly as low.
func (p *parser) operators(low int, restricted bool) *frag {
	x := p.prefix(restricted)
	for {
		y, prec := p.infix(x, low, restricted)
		if y == nil {
			return x
		}
		x = y
		if prec > 0 && p.infixPrec(restricted) == prec {
			p.fail() // such operators do not chain: a < b < c
		}
	}
}

func (p *parser) prefix(restricted bool) *frag {
	p.deeper()
	defer func() { p.nest-- }()
	t := p.tok()
	switch {
	case t.Kind == Op && (t.Val == "-" || t.Val == "+"):
		p.advance()
		x := p.operators(precMinus, restricted)
		return p.wrap(t.Pos, "("+t.Val+" ", "", ")", x)
	case t.Kind == Op && !isPlainOp(t.Val), p.isOperator():
		name := p.operatorName()
		return p.marker(t.Pos, "__op", str(-1, name), p.operators(precOp+1, restricted))
	case t.is("not") && !restricted:
		p.advance()
		return p.wrap(t.Pos, "(NOT ", "", ")", p.operators(precNot, false))
	}
	return p.primary()
}

// isPlainOp says whether an operator has a precedence of its own.
func isPlainOp(op string) bool {
	switch op {
	case "+", "-", "*", "/", "%", "^", "<", ">", "=", "<=", ">=", "<>":
		return true
	}
	return false
}

func (p *parser) isOperator() bool { return p.is("operator") && p.peek(1).isSym("(") }

// operatorName reads an operator, or OPERATOR(schema.op), which it gives as schema.op.
func (p *parser) operatorName() string {
	if !p.isOperator() {
		return p.advance().Val
	}
	p.i += 2
	schema := ""
	for p.tok().Kind != Op {
		schema += p.colID() + "."
		p.expectSym(".")
	}
	name := schema + p.advance().Val
	p.expectSym(")")
	return name
}

// infixPrec returns the precedence of the operator that stands here, 0 for none.
func (p *parser) infixPrec(restricted bool) int {
	t := p.tok()
	switch t.Kind {
	case Symbol:
		if t.Val == "::" {
			return precCast
		}
	case Op:
		switch t.Val {
		case "+", "-":
			return precAdd
		case "*", "/", "%":
			return precMul
		case "^":
			return precPow
		case "<", ">", "=", "<=", ">=", "<>":
			return precCompare
		}
		return precOp
	case Ident:
		return p.wordPrec(t.Val, restricted)
	}
	return 0
}

// isOperatorLabel says whether the word here, though an operator's, is the label
// of a target: SELECT a is, b like.
func (p *parser) isOperatorLabel() bool {
	t := p.tok()
	if t.Kind != Ident || p.nest != p.labels || t.cat&asLabel != 0 {
		return false
	}
	n := p.peek(1)
	return n.isSym(",") || endsTargets(n)
}

func (p *parser) wordPrec(word string, restricted bool) int {
	switch word {
	case "operator":
		if p.isOperator() {
			return precOp
		}
	case "is":
		return precIs
	}
	if restricted {
		return 0
	}
	switch word {
	case "or":
		return precOr
	case "and":
		return precAnd
	case "isnull", "notnull":
		return precIs
	case "between", "in", "like", "ilike", "similar":
		return precLike
	case "not":
		if n := p.peek(1); n.Kind == Ident {
			switch n.Val {
			case "between", "in", "like", "ilike", "similar":
				return precLike
			}
		}
	case "collate":
		return precCollate
	case "at":
		if p.peek(1).is("time") && p.peek(2).is("zone") {
			return precAt
		}
	case "overlaps":
		return precOp
	}
	return 0
}

// infix reads the operator that stands here and its right side. It returns nil
// when none binds tightly enough, and the precedence when it does not chain.
func (p *parser) infix(x *frag, low int, restricted bool) (*frag, int) {
	prec := p.infixPrec(restricted)
	if prec == 0 || prec < low || p.isOperatorLabel() {
		return nil, 0
	}
	t := p.tok()
	switch prec {
	case precOr, precAnd:
		p.advance()
		op := " OR "
		if prec == precAnd {
			op = " AND "
		}
		return p.wrap(t.Pos, "(", op, ")", x, p.exprOf(prec+1)), 0
	case precIs:
		return p.is_(x, restricted)
	case precCompare, precAdd, precMul:
		p.advance()
		if q := p.quantified(x, t, t.Val, restricted); q != nil {
			return q, 0
		}
		y := p.operators(prec+1, restricted)
		chain := 0
		if prec == precCompare {
			chain = prec
		}
		return p.wrap(t.Pos, "(", " "+t.Val+" ", ")", x, y), chain
	case precLike:
		return p.like(x)
	case precOp, precPow:
		if t.is("overlaps") {
			panic(unsupported(t.Pos, "OVERLAPS"))
		}
		name := p.operatorName()
		if q := p.quantified(x, t, name, restricted); q != nil {
			return q, 0
		}
		return p.marker(t.Pos, "__op", str(-1, name), x, p.operators(prec+1, restricted)), 0
	case precAt:
		p.i += 3
		return p.marker(t.Pos, "__op", str(-1, "at time zone"), x, p.exprOf(precAt+1)), 0
	case precCollate:
		p.advance()
		n := p.name()
		return p.marker(t.Pos, "__collate", append([]*frag{x}, namesAt(int(n.Pos), n.Parts)...)...), 0
	}
	p.advance() // ::
	return p.marker(t.Pos, "__cast", x, p.typeArg(p.typeName())), 0
}

// namesAt are the parts of a name, the first with its offset.
func namesAt(pos int, parts []string) []*frag {
	out := strs(parts)
	out[0].pos = int32(pos)
	return out
}

// quantified reads ANY (…), SOME (…) or ALL (…) behind an operator.
func (p *parser) quantified(x *frag, op Token, name string, restricted bool) *frag {
	if restricted || !p.is("any") && !p.is("some") && !p.is("all") {
		return nil
	}
	kind := "any"
	if p.advance().Val == "all" {
		kind = "all"
	}
	if !p.isSym("(") {
		p.fail()
	}
	if p.starts[p.i] {
		return p.marker(op.Pos, "__quant", str(-1, name), str(-1, kind+" query"), x, p.subquery())
	}
	p.advance()
	arr := p.expr()
	p.expectSym(")")
	return p.marker(op.Pos, "__quant", str(-1, name), str(-1, kind), x, arr)
}

// is_ reads IS …, ISNULL and NOTNULL.
func (p *parser) is_(x *frag, restricted bool) (*frag, int) {
	t := p.advance()
	switch t.Val {
	case "isnull":
		return p.wrap(t.Pos, "(", "", " IS NULL)", x), 0
	case "notnull":
		return p.wrap(t.Pos, "(", "", " IS NOT NULL)", x), 0
	}
	not, marked := "", "is "
	if p.accept("not") {
		not, marked = "NOT ", "is not "
	}
	switch {
	case p.accept("distinct"):
		p.expect("from")
		y := p.operators(precIs+1, restricted)
		return p.marker(t.Pos, "__op", str(-1, marked+"distinct from"), x, y), precIs
	case restricted:
		p.fail()
	case p.accept("null"):
		return p.wrap(t.Pos, "(", "", " IS "+not+"NULL)", x), 0
	case p.accept("true"):
		return p.wrap(t.Pos, "(", "", " IS "+not+"TRUE)", x), 0
	case p.accept("false"):
		return p.wrap(t.Pos, "(", "", " IS "+not+"FALSE)", x), 0
	case p.accept("unknown"):
		return p.marker(t.Pos, "__op", str(-1, marked+"unknown"), x), 0
	case p.is("document"), p.is("normalized"), p.is("nfc"), p.is("nfd"), p.is("nfkc"), p.is("nfkd"), p.is("json"):
		panic(unsupported(t.Pos, "IS "+lowerToUpper(p.tok().Val)))
	}
	p.fail()
	return nil, 0
}

// like reads [NOT] IN, BETWEEN, LIKE, ILIKE and SIMILAR TO.
func (p *parser) like(x *frag) (*frag, int) {
	t := p.tok()
	not, marked := "", ""
	if p.accept("not") {
		not, marked = " NOT", "not "
	}
	word := p.advance().Val
	switch word {
	case "in":
		return p.in(x, t, not), 0
	case "between":
		symmetric := p.accept("symmetric")
		if !symmetric {
			p.accept("asymmetric")
		}
		lo := p.restricted()
		p.expect("and")
		hi := p.exprOf(precLike + 1)
		if symmetric {
			return p.marker(t.Pos, "__op", str(-1, marked+"between symmetric"), x, lo, hi), precLike
		}
		return p.wrap(t.Pos, "(", "", ")", x, p.wrap(-1, not+" BETWEEN ", " AND ", "", lo, hi)), precLike
	case "similar":
		p.expect("to")
		word = "similar to"
	default:
		op := "~~"
		if word == "ilike" {
			op = "~~*"
		}
		if not != "" {
			op = "!" + op
		}
		if q := p.quantified(x, t, op, false); q != nil {
			return q, 0
		}
	}
	args := []*frag{str(-1, marked+word), x, p.exprOf(precLike + 1)}
	if p.accept("escape") {
		args = append(args, p.exprOf(precLike+1))
	}
	return p.marker(t.Pos, "__op", args...), precLike
}

func (p *parser) in(x *frag, t Token, not string) *frag {
	if !p.isSym("(") {
		p.fail()
	}
	if p.starts[p.i] {
		return p.wrap(t.Pos, "(", not+" IN ", ")", x, p.subquery())
	}
	list := p.wrap(-1, "(", ", ", ")", p.exprList()...)
	return p.wrap(t.Pos, "(", not+" IN ", ")", x, list)
}

// exprList reads (a, b).
func (p *parser) exprList() []*frag {
	var out []*frag
	p.expectSym("(")
	p.commaList(func() { out = append(out, p.expr()) })
	p.expectSym(")")
	return out
}

// subquery reads a query in parentheses.
func (p *parser) subquery() *frag {
	t := p.tok()
	p.expectSym("(")
	q := p.query()
	p.expectSym(")")
	return p.wrap(t.Pos, "(", "", ")", p.queryFrag(q))
}

func lowerToUpper(s string) string {
	b := []byte(s)
	for i, c := range b {
		if c >= 'a' && c <= 'z' {
			b[i] = c - 'a' + 'A'
		}
	}
	return string(b)
}

// functionName refuses what the encoding keeps for itself.
func (p *parser) functionName(t Token, parts []string) {
	switch {
	case len(parts) == 1 && len(parts[0]) > 2 && parts[0][:2] == "__":
		panic(sqlerr.New("42939", `function name "%s" is reserved`, parts[0]).At(t.Pos).
			WithDetail(`The prefix "__" is the parser's own.`))
	case len(parts) > 2:
		panic(unsupported(t.Pos, "a function's name of more than two parts"))
	}
}
