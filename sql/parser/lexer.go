package parser

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/streamsql/streamsql/sql/sqlerr"
)

// Kind is the kind of a token.
type Kind uint8

// The kinds of a token.
const (
	EOF         Kind = iota
	Ident            // a word; Val is folded
	QuotedIdent      // "x"
	String           // any quoted or dollar-quoted string; Val is its value
	Bits             // B'101' and X'1F'; Val is b101 or x1F
	Int              // digits alone
	Num              // any other number
	Param            // $1; Val is the number
	Op               // an operator; != comes as <>
	Symbol           // ( ) [ ] , ; : . :: .. := =>
)

// Token is a lexical unit of the text.
type Token struct {
	Kind     Kind
	cat      category // of an Ident
	unicode  bool     // U&'…' and U&"…": Val still holds the escapes
	Pos, End int      // byte offsets
	Val      string
}

const maxName = 63 // bytes; PostgreSQL cuts longer names

type lexer struct {
	text string
	i    int
	toks []Token
}

// Lex splits the text into tokens; the last is an EOF. It knows PostgreSQL's
// rules with standard_conforming_strings on.
func Lex(text string) ([]Token, error) {
	toks, err := lex(text)
	if err != nil {
		return nil, err
	}
	return toks, nil
}

// lex is Lex that with an error still returns the tokens before it. PostgreSQL
// lexes as it parses, and reports what is wrong with those first.
func lex(text string) ([]Token, error) {
	if err := checkText(text); err != nil {
		return nil, err
	}
	l := &lexer{text: text, toks: make([]Token, 0, len(text)/4+2)}
	err := l.all()
	l.toks = append(l.toks, Token{Kind: EOF, Pos: len(text), End: len(text)})
	if e := l.unicode(); err == nil {
		err = e
	}
	return l.toks, err
}

// all lexes up to the end or an error.
func (l *lexer) all() error {
	for {
		if err := l.space(); err != nil {
			return err
		}
		if l.i == len(l.text) {
			return nil
		}
		t, err := l.next()
		if err != nil {
			return err
		}
		l.toks = append(l.toks, t)
	}
}

// Split returns the text's statements as byte ranges without their semicolons;
// empty ones are left out.
func Split(text string, toks []Token) [][2]int {
	var out [][2]int
	start := -1
	for _, t := range toks {
		switch {
		case t.Kind == EOF || t.Kind == Symbol && t.Val == ";":
			if start >= 0 {
				out = append(out, [2]int{start, len(strings.TrimRight(text[:t.Pos], " \t\r\n\f"))})
			}
			start = -1
		case start < 0:
			start = t.Pos
		}
	}
	return out
}

// checkText refuses what no text may hold.
func checkText(text string) error {
	for i := 0; i < len(text); {
		if c := text[i]; c < utf8.RuneSelf {
			if c == 0 {
				return sqlerr.New(sqlerr.CharacterNotInRep, `invalid byte sequence for encoding "UTF8": 0x00`).At(i)
			}
			i++
			continue
		}
		r, n := utf8.DecodeRuneInString(text[i:])
		if r == utf8.RuneError && n == 1 {
			return sqlerr.New(sqlerr.CharacterNotInRep, `invalid byte sequence for encoding "UTF8": % #x`, text[i:min(i+lead(text[i]), len(text))]).At(i)
		}
		i += n
	}
	return nil
}

// lead returns the length of the character that its first byte promises.
func lead(c byte) int {
	switch {
	case c >= 0xf0 && c < 0xf8:
		return 4
	case c >= 0xe0 && c < 0xf0:
		return 3
	case c >= 0xc0 && c < 0xe0:
		return 2
	}
	return 1
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' }
func isDigit(c byte) bool { return c >= '0' && c <= '9' }
func isStart(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_' || c >= utf8.RuneSelf
}
func isCont(c byte) bool { return isStart(c) || isDigit(c) || c == '$' }
func isOp(c byte) bool   { return strings.IndexByte("~!@#^&|`?+-*/%<>=", c) >= 0 }

// at returns the byte n further on, 0 beyond the end.
func (l *lexer) at(n int) byte {
	if l.i+n < len(l.text) {
		return l.text[l.i+n]
	}
	return 0
}

// space skips white space and comments.
func (l *lexer) space() error {
	for l.i < len(l.text) {
		switch c := l.text[l.i]; {
		case isSpace(c):
			l.i++
		case c == '-' && l.at(1) == '-':
			for l.i < len(l.text) && l.text[l.i] != '\n' && l.text[l.i] != '\r' {
				l.i++
			}
		case c == '/' && l.at(1) == '*':
			if err := l.comment(); err != nil {
				return err
			}
		default:
			return nil
		}
	}
	return nil
}

// comment skips a block comment; they nest.
func (l *lexer) comment() error {
	start, depth := l.i, 0
	for l.i < len(l.text) {
		switch {
		case l.text[l.i] == '/' && l.at(1) == '*':
			depth++
			l.i += 2
		case l.text[l.i] == '*' && l.at(1) == '/':
			depth--
			l.i += 2
			if depth == 0 {
				return nil
			}
		default:
			l.i++
		}
	}
	return l.errorAt(start, "unterminated /* comment")
}

// errorAt is an error about the text from start to where the lexer stands.
func (l *lexer) errorAt(start int, msg string) error {
	return sqlerr.New(sqlerr.Syntax, `%s at or near "%s"`, msg, l.text[start:l.i]).At(start)
}

func (l *lexer) token(k Kind, start int, val string) Token {
	return Token{Kind: k, Pos: start, End: l.i, Val: val}
}

func (l *lexer) next() (Token, error) {
	start, c := l.i, l.text[l.i]
	switch {
	case isStart(c):
		if l.prefixed(c) {
			return l.prefixedString(c)
		}
		return l.word(), nil
	case isDigit(c) || c == '.' && isDigit(l.at(1)):
		return l.number()
	case c == '\'':
		v, err := l.quoted(start, "unterminated quoted string")
		return l.token(String, start, v), err
	case c == '"':
		return l.quotedIdent(start)
	case c == '$':
		return l.dollar()
	case isOp(c):
		return l.operator()
	}
	n := 1
	switch {
	case c == ':' && (l.at(1) == ':' || l.at(1) == '='), c == '.' && l.at(1) == '.':
		n = 2
	case strings.IndexByte("()[],;:.", c) < 0:
		_, n = utf8.DecodeRuneInString(l.text[l.i:])
		l.i += n
		return Token{}, l.errorAt(start, "syntax error")
	}
	l.i += n
	return l.token(Symbol, start, l.text[start:l.i]), nil
}

func (l *lexer) word() Token {
	start := l.i
	upper := false
	for l.i < len(l.text) && isCont(l.text[l.i]) {
		upper = upper || l.text[l.i] >= 'A' && l.text[l.i] <= 'Z'
		l.i++
	}
	val := l.text[start:l.i]
	if upper {
		val = lowerASCII(val)
	}
	t := l.token(Ident, start, cut(val))
	t.cat = keywords[val]
	return t
}

func lowerASCII(s string) string {
	b := []byte(s)
	for i, c := range b {
		if c >= 'A' && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}

// cut shortens a name to PostgreSQL's limit, between characters.
func cut(s string) string {
	if len(s) <= maxName {
		return s
	}
	n := maxName
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

func (l *lexer) digits() bool {
	start := l.i
	for isDigit(l.at(0)) {
		l.i++
	}
	return l.i > start
}

func (l *lexer) number() (Token, error) {
	start, kind := l.i, Int
	l.digits()
	if l.at(0) == '.' && l.at(1) != '.' {
		kind = Num
		l.i++
		l.digits()
	}
	if c := l.at(0); c == 'e' || c == 'E' {
		mark := l.i
		l.i++
		if s := l.at(0); s == '+' || s == '-' {
			l.i++
		}
		if l.digits() {
			kind = Num
		} else {
			if l.i == mark+1 && l.i < len(l.text) && isStart(l.text[l.i]) {
				l.i = mark + 1
			}
			return Token{}, l.errorAt(start, "trailing junk after numeric literal")
		}
	}
	if c := l.at(0); isStart(c) {
		_, n := utf8.DecodeRuneInString(l.text[l.i:])
		l.i += n
		return Token{}, l.errorAt(start, "trailing junk after numeric literal")
	}
	return l.token(kind, start, l.text[start:l.i]), nil
}

// dollar reads $1 and $tag$…$tag$.
func (l *lexer) dollar() (Token, error) {
	start := l.i
	l.i++
	if l.digits() {
		if isStart(l.at(0)) {
			_, n := utf8.DecodeRuneInString(l.text[l.i:])
			l.i += n
			return Token{}, l.errorAt(start, "trailing junk after parameter")
		}
		if _, err := strconv.ParseInt(l.text[start+1:l.i], 10, 32); err != nil {
			return Token{}, l.errorAt(start, "parameter number too large")
		}
		return l.token(Param, start, l.text[start+1:l.i]), nil
	}
	for isCont(l.at(0)) && l.at(0) != '$' {
		l.i++
	}
	if l.at(0) != '$' {
		l.i = start + 1
		return Token{}, l.errorAt(start, "syntax error")
	}
	l.i++
	tag := l.text[start:l.i]
	n := strings.Index(l.text[l.i:], tag)
	if n < 0 {
		l.i = len(l.text)
		return Token{}, l.errorAt(start, "unterminated dollar-quoted string")
	}
	val := l.text[l.i : l.i+n]
	l.i += n + len(tag)
	return l.token(String, start, val), nil
}

// operator reads the longest operator: one that ends before a comment, and does
// not end in + or - unless it holds a character that the standard's do not.
func (l *lexer) operator() (Token, error) {
	start := l.i
	for l.i < len(l.text) && isOp(l.text[l.i]) {
		two := l.text[l.i:min(l.i+2, len(l.text))]
		if l.i > start && (two == "/*" || two == "--") {
			break
		}
		l.i++
	}
	if !strings.ContainsAny(l.text[start:l.i], "~!@#^&|`?%") {
		for l.i > start+1 && (l.text[l.i-1] == '+' || l.text[l.i-1] == '-') {
			l.i--
		}
	}
	val := l.text[start:l.i]
	switch {
	case val == "=>":
		return l.token(Symbol, start, val), nil
	case val == "!=":
		val = "<>"
	case len(val) > maxName:
		return Token{}, l.errorAt(start, "operator too long")
	}
	return l.token(Op, start, val), nil
}
