package expr

import (
	"fmt"
	"strings"

	"github.com/streamsql/streamsql/sql/sqlerr"
	"github.com/streamsql/streamsql/sql/types"
)

// reader reads and binds SQL expressions for the tests, which so need no parser
// and no planner. It panics with an error.
type reader struct {
	env  *Env
	src  string
	toks []token
	i    int
	cols []testCol
}

type testCol struct {
	name string
	t    types.Type
}

type token struct {
	kind byte // n number, s string, w word, o operator, p parameter
	text string
	pos  int
}

func readExpr(e *Env, src string, cols ...testCol) (x *Expr, err error) {
	defer func() {
		if r := recover(); r != nil {
			var ok bool
			if err, ok = r.(error); !ok {
				panic(r)
			}
		}
	}()
	r := &reader{env: e, src: src, cols: cols}
	r.scan()
	x = r.expr(0)
	if r.i < len(r.toks) {
		panic(fmt.Errorf("%q: what is %q?", src, r.toks[r.i].text))
	}
	return x, nil
}

func (r *reader) scan() {
	s := r.src
	word := func(c byte) bool { return c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= 0x80 }
	digit := func(c byte) bool { return c >= '0' && c <= '9' }
	for i := 0; i < len(s); {
		start := i
		switch c := s[i]; {
		case c == ' ' || c == '\n':
			i++
			continue
		case c == '\'':
			var b strings.Builder
			for i++; ; i++ {
				if s[i] == '\'' {
					if i+1 < len(s) && s[i+1] == '\'' {
						i++
					} else {
						break
					}
				}
				b.WriteByte(s[i])
			}
			i++
			r.toks = append(r.toks, token{'s', b.String(), start})
		case digit(c) || c == '.' && i+1 < len(s) && digit(s[i+1]):
			for i < len(s) && (digit(s[i]) || s[i] == '.' || s[i] == 'e' || (s[i] == '-' || s[i] == '+') && s[i-1] == 'e') {
				i++
			}
			r.toks = append(r.toks, token{'n', s[start:i], start})
		case word(c):
			for i < len(s) && (word(s[i]) || digit(s[i])) {
				i++
			}
			r.toks = append(r.toks, token{'w', strings.ToLower(s[start:i]), start})
		case c == '"':
			i = start + 2 + strings.IndexByte(s[start+1:], '"')
			r.toks = append(r.toks, token{'w', s[start:i], start})
		case strings.IndexByte("()[],", c) >= 0:
			i++
			r.toks = append(r.toks, token{'o', s[start:i], start})
		case c == ':' && i+1 < len(s) && s[i+1] == ':':
			i += 2
			r.toks = append(r.toks, token{'o', "::", start})
		case c == ':':
			i++
			r.toks = append(r.toks, token{'o', ":", start})
		default:
			for i < len(s) && strings.IndexByte("+-*/<>=~!@#%^&|?", s[i]) >= 0 {
				i++
			}
			for i > start+1 && (s[i-1] == '-' || s[i-1] == '+') && !strings.ContainsAny(s[start:i], "~!@#%^&|?") {
				i--
			}
			if i == start {
				panic(fmt.Errorf("%q: character %q", s, c))
			}
			r.toks = append(r.toks, token{'o', s[start:i], start})
		}
	}
}

func (r *reader) peek() token {
	if r.i < len(r.toks) {
		return r.toks[r.i]
	}
	return token{}
}

func (r *reader) accept(text string) bool {
	if t := r.peek(); t.text == text && t.kind != 's' && t.kind != 0 {
		r.i++
		return true
	}
	return false
}

func (r *reader) expect(text string) {
	if !r.accept(text) {
		panic(fmt.Errorf("%q: want %q, got %q", r.src, text, r.peek().text))
	}
}

func must(x *Expr, err error) *Expr {
	if err != nil {
		panic(err)
	}
	return x
}

func (r *reader) call(name string, pos int, args ...*Expr) *Expr {
	return must(r.env.Call(name, args, pos))
}

func (r *reader) boolean(x *Expr) *Expr { return must(r.env.Cast(x, boolType, Implicit)) }

func precedence(t token) int {
	if t.kind == 'w' {
		switch t.text {
		case "or":
			return 1
		case "and":
			return 2
		case "is":
			return 4
		case "in", "like", "ilike", "not", "between", "similar":
			return 6
		}
		return 0
	}
	if t.kind != 'o' {
		return 0
	}
	switch t.text {
	case "(", ")", "]", ",", ":":
		return 0
	case "<", ">", "=", "<=", ">=", "<>", "!=":
		return 5
	case "+", "-":
		return 8
	case "*", "/", "%":
		return 9
	case "^":
		return 10
	case "[":
		return 13
	case "::":
		return 14
	}
	return 7
}

func (r *reader) expr(min int) *Expr {
	x := r.prefix()
	for {
		t := r.peek()
		p := precedence(t)
		if p == 0 || p <= min {
			return x
		}
		r.i++
		x = r.infix(x, t, p)
	}
}

func (r *reader) infix(x *Expr, t token, p int) *Expr {
	switch t.text {
	case "or", "and":
		kind := map[string]Kind{"or": Or, "and": And}[t.text]
		return &Expr{Kind: kind, Type: boolType, Args: []*Expr{r.boolean(x), r.boolean(r.expr(p))}, Pos: t.pos}
	case "is":
		not := r.accept("not")
		if r.accept("distinct") {
			r.expect("from")
			name := "is distinct from"
			if not {
				name = "is not distinct from"
			}
			return r.call(name, t.pos, x, r.expr(p))
		}
		r.expect("null")
		if x.Type.ID == types.Unknown {
			x = must(r.env.Cast(x, types.Of(types.Text), Implicit))
		}
		return r.negate(not, &Expr{Kind: Null, Type: boolType, Args: []*Expr{x}, Pos: t.pos})
	case "not", "in", "like", "ilike", "similar":
		not := t.text == "not"
		if not {
			t = r.peek()
			r.i++
		}
		switch t.text {
		case "like", "ilike":
			op := map[string]string{"like": "~~", "ilike": "~~*"}[t.text]
			if not {
				op = "!" + op
			}
			y := r.expr(p)
			if r.accept("escape") {
				y = r.call("like_escape", t.pos, y, r.expr(p))
			}
			return r.call(op, t.pos, x, y)
		case "similar":
			r.expect("to")
			return r.negate(not, r.call("~", t.pos, x, r.call("similar_to_escape", t.pos, r.expr(p))))
		}
		r.expect("(")
		args := append([]*Expr{x}, r.list(")")...)
		c, err := r.env.Common(args, "IN")
		if err != nil {
			panic(err)
		}
		for i := range args {
			args[i] = must(r.env.Cast(args[i], c, Implicit))
		}
		return r.negate(not, &Expr{Kind: In, Type: boolType, Args: args, Pos: t.pos})
	case "[":
		var lo *Expr
		if r.peek().text != ":" {
			lo = r.expr(0)
		} else {
			lo = r.num("1", t.pos)
		}
		if r.accept(":") {
			hi := r.expr(0)
			r.expect("]")
			return r.call("slice", t.pos, x, lo, hi)
		}
		r.expect("]")
		return r.call("subscript", t.pos, x, lo)
	case "::":
		return must(r.env.Cast(x, r.typ(), Explicit))
	}
	if r.accept("any") || r.accept("all") {
		kind := r.toks[r.i-1].text
		r.expect("(")
		y := r.expr(0)
		r.expect(")")
		return r.call(kind+"("+t.text+")", t.pos, x, y)
	}
	return r.call(t.text, t.pos, x, r.expr(p))
}

func (r *reader) negate(not bool, x *Expr) *Expr {
	if !not {
		return x
	}
	return &Expr{Kind: Not, Type: boolType, Args: []*Expr{x}, Pos: x.Pos}
}

func (r *reader) list(end string) []*Expr {
	var out []*Expr
	for !r.accept(end) {
		if len(out) > 0 {
			r.expect(",")
		}
		out = append(out, r.expr(0))
	}
	return out
}

func (r *reader) typ() types.Type {
	t := r.peek()
	r.i++
	name := strings.Trim(t.text, "")
	switch {
	case name == "double":
		r.expect("precision")
	case name == "character" && r.accept("varying"):
		name = "varchar"
	}
	typ, ok := TypeNamed(name)
	if !ok {
		panic(sqlerr.New(sqlerr.UndefinedObject, "type %q does not exist", name))
	}
	if r.accept("(") {
		var n [2]int
		fmt.Sscan(r.peek().text, &n[0])
		r.i++
		two := r.accept(",")
		if two {
			fmt.Sscan(r.peek().text, &n[1])
			r.i++
		}
		r.expect(")")
		switch typ.ID {
		case types.Numeric:
			typ.Mod = int32(n[0]<<16 | n[1] + 1)
		case types.Varchar, types.Bpchar:
			typ.Mod = int32(n[0])
		default:
			typ.Mod = int32(n[0] + 1)
		}
	}
	if r.accept("[") {
		r.expect("]")
		typ = types.ArrayOf(typ.ID)
	}
	return typ
}

func (r *reader) num(s string, pos int) *Expr {
	for _, t := range []types.ID{types.Int4, types.Int8, types.Numeric} {
		if d, err := types.ParseText(types.Of(t), s); err == nil {
			return &Expr{Kind: Const, Type: types.Of(t), Value: d, Pos: pos}
		}
	}
	panic(fmt.Errorf("number %q", s))
}

func (r *reader) prefix() *Expr {
	t := r.peek()
	r.i++
	switch t.kind {
	case 'n':
		return r.num(t.text, t.pos)
	case 's':
		return &Expr{Kind: Const, Type: types.Of(types.Unknown), Value: types.Datum{S: []byte(t.text)}, Pos: t.pos}
	case 'o':
		if t.text == "(" {
			x := r.expr(0)
			r.expect(")")
			return x
		}
		p := 7
		if t.text == "-" || t.text == "+" {
			p = 11
			if n := r.peek(); n.kind == 'n' && t.text == "-" && n.pos == t.pos+1 {
				r.i++
				return r.num("-"+n.text, t.pos)
			}
		}
		return r.call(t.text, t.pos, r.expr(p))
	case 'w':
		return r.word(t)
	}
	panic(fmt.Errorf("%q: unexpected end", r.src))
}

func (r *reader) word(t token) *Expr {
	switch t.text {
	case "null":
		return &Expr{Kind: Const, Type: types.Of(types.Unknown), Value: types.NullDatum, Pos: t.pos}
	case "true", "false":
		return &Expr{Kind: Const, Type: boolType, Value: types.Datum{I: b2i(t.text == "true")}, Pos: t.pos}
	case "not":
		return r.negate(true, r.boolean(r.expr(3)))
	case "case":
		return r.caseExpr(t)
	}
	if t.text == "array" && r.accept("[") {
		return r.call("array", t.pos, r.list("]")...)
	}
	if r.accept("(") {
		return r.call(t.text, t.pos, r.list(")")...)
	}
	if r.peek().kind == 's' { // date '…'
		typ, ok := TypeNamed(t.text)
		if ok {
			return must(r.env.Cast(r.prefix(), typ, Explicit))
		}
	}
	for i, c := range r.cols {
		if c.name == t.text {
			return &Expr{Kind: Col, Index: i, Type: c.t, Pos: t.pos}
		}
	}
	panic(fmt.Errorf("%q: no column %q", r.src, t.text))
}

func (r *reader) caseExpr(t token) *Expr {
	x := &Expr{Kind: Case, Pos: t.pos}
	for r.accept("when") {
		c := r.boolean(r.expr(0))
		r.expect("then")
		x.Args = append(x.Args, c, r.expr(0))
	}
	if r.accept("else") {
		x.Args = append(x.Args, r.expr(0))
	} else {
		x.Args = append(x.Args, &Expr{Kind: Const, Value: types.NullDatum, Pos: t.pos})
	}
	r.expect("end")
	vals := []*Expr{x.Args[len(x.Args)-1]}
	for i := 1; i < len(x.Args); i += 2 {
		vals = append(vals, x.Args[i])
	}
	c, err := r.env.Common(vals, "CASE")
	if err != nil {
		panic(err)
	}
	x.Type = c
	for i := range x.Args {
		if i%2 == 1 || i == len(x.Args)-1 {
			x.Args[i] = must(r.env.Cast(x.Args[i], c, Implicit))
		}
	}
	return x
}
