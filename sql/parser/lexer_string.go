package parser

import (
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/streamsql/streamsql/sql/sqlerr"
)

// prefixed says whether the word starting here is the prefix of a string.
func (l *lexer) prefixed(c byte) bool {
	switch c {
	case 'e', 'E', 'b', 'B', 'x', 'X', 'n', 'N':
		return l.at(1) == '\''
	case 'u', 'U':
		return l.at(1) == '&' && (l.at(2) == '\'' || l.at(2) == '"')
	}
	return false
}

func (l *lexer) prefixedString(c byte) (Token, error) {
	start := l.i
	l.i++
	switch c {
	case 'e', 'E':
		v, err := l.escaped(start)
		return l.token(String, start, v), err
	case 'b', 'B':
		return l.bits(start, "b", "01", "unterminated bit string literal", "binary digit")
	case 'x', 'X':
		return l.bits(start, "x", "0123456789abcdefABCDEF", "unterminated hexadecimal string literal", "hexadecimal digit")
	case 'n', 'N':
		v, err := l.quoted(start, "unterminated quoted string")
		return l.token(String, start, v), err
	}
	l.i++ // U&
	var t Token
	var err error
	if l.at(0) == '"' {
		t, err = l.quotedIdent(start)
	} else {
		var v string
		v, err = l.quoted(start, "unterminated quoted string")
		t = l.token(String, start, v)
	}
	t.unicode = true
	return t, err
}

// quoted reads '…', and what continues it behind a line break.
func (l *lexer) quoted(start int, unterminated string) (string, error) {
	var b strings.Builder
	for {
		l.i++ // the quote
		from := l.i
		n := strings.IndexByte(l.text[l.i:], '\'')
		if n < 0 {
			l.i = len(l.text)
			return "", l.errorAt(start, unterminated)
		}
		l.i += n + 1
		part := l.text[from : l.i-1]
		switch {
		case l.at(0) == '\'':
			b.WriteString(part)
			b.WriteByte('\'')
		case l.continued():
			b.WriteString(part)
		case b.Len() == 0:
			return part, nil
		default:
			b.WriteString(part)
			return b.String(), nil
		}
	}
}

// continued moves to the next quote when only white space with a line break, and
// comments to the end of a line, lie between.
func (l *lexer) continued() bool {
	line := false
	for i := l.i; i < len(l.text); i++ {
		switch c := l.text[i]; {
		case c == '\n' || c == '\r':
			line = true
		case isSpace(c):
		case c == '-' && strings.HasPrefix(l.text[i:], "--"):
			n := strings.IndexAny(l.text[i:], "\r\n")
			if n < 0 {
				return false
			}
			i += n - 1
		case c == '\'' && line:
			l.i = i
			return true
		default:
			return false
		}
	}
	return false
}

func (l *lexer) bits(start int, prefix, digits, unterminated, what string) (Token, error) {
	v, err := l.quoted(start, unterminated)
	if err != nil {
		return Token{}, err
	}
	for _, r := range v {
		if !strings.ContainsRune(digits, r) {
			return Token{}, sqlerr.New("22P02", `"%c" is not a valid %s`, r, what).At(start)
		}
	}
	return l.token(Bits, start, prefix+v), nil
}

// quotedIdent reads "…".
func (l *lexer) quotedIdent(start int) (Token, error) {
	var b strings.Builder
	for {
		l.i++
		n := strings.IndexByte(l.text[l.i:], '"')
		if n < 0 {
			l.i = len(l.text)
			return Token{}, l.errorAt(start, "unterminated quoted identifier")
		}
		b.WriteString(l.text[l.i : l.i+n])
		l.i += n + 1
		if l.at(0) != '"' {
			break
		}
		b.WriteByte('"')
	}
	if b.Len() == 0 {
		return Token{}, l.errorAt(start, "zero-length delimited identifier")
	}
	return l.token(QuotedIdent, start, cut(b.String())), nil
}

var simpleEscapes = map[byte]byte{'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t', 'v': '\v'}

// escaped reads E'…'.
func (l *lexer) escaped(start int) (string, error) {
	var b []byte
	checked := false // whether an escape may have made what is not text
	for l.i++; ; {
		switch c := l.at(0); {
		case l.i >= len(l.text):
			return "", l.errorAt(start, "unterminated quoted string")
		case c == '\'' && l.at(1) == '\'':
			b = append(b, '\'')
			l.i += 2
		case c == '\'':
			l.i++
			if l.continued() {
				l.i++
				continue
			}
			if checked {
				if err := checkText(string(b)); err != nil {
					e := sqlerr.From(err)
					e.Pos = 0
					return "", e.At(start)
				}
			}
			return string(b), nil
		case c == '\\':
			var err error
			if b, err = l.escape(b, start); err != nil {
				return "", err
			}
			checked = true
		default:
			b = append(b, c)
			l.i++
		}
	}
}

// escape reads a backslash and what belongs to it.
func (l *lexer) escape(b []byte, start int) ([]byte, error) {
	from := l.i
	l.i++
	c := l.at(0)
	l.i++
	if s, ok := simpleEscapes[c]; ok {
		return append(b, s), nil
	}
	switch {
	case l.i > len(l.text):
		l.i = len(l.text)
		return nil, l.errorAt(start, "unterminated quoted string")
	case c >= '0' && c <= '7':
		l.i--
		n := l.run(3, "01234567")
		v, _ := strconv.ParseUint(n, 8, 16)
		return append(b, byte(v)), nil
	case c == 'x':
		n := l.run(2, hexDigits)
		if n == "" {
			return append(b, 'x'), nil
		}
		v, _ := strconv.ParseUint(n, 16, 16)
		return append(b, byte(v)), nil
	case c == 'u' || c == 'U':
		r, err := l.codePoint(c, from)
		if err != nil {
			return nil, err
		}
		if utf16.IsSurrogate(r) {
			if l.at(0) != '\\' || l.at(1) != 'u' && l.at(1) != 'U' {
				return nil, invalidSurrogate(l.i)
			}
			next := l.i
			l.i += 2
			second, err := l.codePoint(l.text[next+1], next)
			if err != nil {
				return nil, err
			}
			if r = utf16.DecodeRune(r, second); r == utf8.RuneError {
				return nil, invalidSurrogate(next)
			}
		}
		return utf8.AppendRune(b, r), nil
	}
	return append(b, c), nil
}

const hexDigits = "0123456789abcdefABCDEF"

// run reads at most n of the characters.
func (l *lexer) run(n int, chars string) string {
	from := l.i
	for l.i < len(l.text) && l.i < from+n && strings.IndexByte(chars, l.text[l.i]) >= 0 {
		l.i++
	}
	return l.text[from:l.i]
}

func (l *lexer) codePoint(c byte, from int) (rune, error) {
	n := 4
	if c == 'U' {
		n = 8
	}
	digits := l.run(n, hexDigits)
	v, err := strconv.ParseUint(digits, 16, 32)
	if len(digits) < n || err != nil {
		return 0, sqlerr.New("22025", "invalid Unicode escape").At(from).
			WithHint(`Unicode escapes must be \uXXXX or \UXXXXXXXX.`)
	}
	if v == 0 || v > utf8.MaxRune {
		return 0, sqlerr.New(sqlerr.Syntax, "invalid Unicode escape value").At(from)
	}
	return rune(v), nil
}

func invalidSurrogate(at int) error {
	return sqlerr.New(sqlerr.Syntax, "invalid Unicode surrogate pair").At(at)
}

// unicode resolves the escapes of U& tokens, and takes away their UESCAPE 'c'.
func (l *lexer) unicode() error {
	out := l.toks[:0]
	for i := 0; i < len(l.toks); i++ {
		t := l.toks[i]
		if t.unicode {
			esc := byte('\\')
			if n := l.toks[i+1]; n.Kind == Ident && n.Val == "uescape" {
				s := l.toks[i+2]
				if s.Kind != String {
					return syntaxErrorAt(l.text, s)
				}
				if len(s.Val) != 1 || strings.ContainsAny(s.Val, hexDigits+"+'\" \t\n\r\f") {
					return sqlerr.New(sqlerr.Syntax, `invalid Unicode escape character at or near "%s"`, l.text[s.Pos:s.End]).At(s.Pos)
				}
				esc, t.End = s.Val[0], s.End
				i += 2
			}
			v, err := unescape(t.Val, esc, t.Pos+len("U&'"))
			if err != nil {
				l.toks = append(out, l.toks[len(l.toks)-1])
				return err
			}
			t.Val, t.unicode = v, false
		}
		out = append(out, t)
	}
	l.toks = out
	return nil
}

// unescape resolves \XXXX and \+XXXXXX, where esc stands for the backslash.
func unescape(s string, esc byte, pos int) (string, error) {
	var b []byte
	for i := 0; i < len(s); {
		if s[i] != esc {
			b = append(b, s[i])
			i++
			continue
		}
		if strings.HasPrefix(s[i+1:], string(esc)) {
			b = append(b, esc)
			i += 2
			continue
		}
		r, n, err := unicodeEscape(s[i+1:], pos+i)
		if err != nil {
			return "", err
		}
		i += 1 + n
		if utf16.IsSurrogate(r) {
			if i >= len(s) || s[i] != esc {
				return "", invalidSurrogate(pos + i)
			}
			second, n, err := unicodeEscape(s[i+1:], pos+i)
			if err != nil {
				return "", err
			}
			i += 1 + n
			if r = utf16.DecodeRune(r, second); r == utf8.RuneError {
				return "", invalidSurrogate(pos + i)
			}
		}
		b = utf8.AppendRune(b, r)
	}
	return string(b), nil
}

// unicodeEscape reads XXXX or +XXXXXX and returns its length.
func unicodeEscape(s string, pos int) (rune, int, error) {
	from, to := 0, 4
	if strings.HasPrefix(s, "+") {
		from, to = 1, 7
	}
	if len(s) >= to {
		v, err := strconv.ParseUint(s[from:to], 16, 32)
		switch {
		case err != nil:
		case v == 0 || v > utf8.MaxRune:
			return 0, 0, sqlerr.New(sqlerr.Syntax, "invalid Unicode escape value").At(pos)
		default:
			return rune(v), to, nil
		}
	}
	return 0, 0, sqlerr.New(sqlerr.Syntax, "invalid Unicode escape").At(pos).
		WithHint(`Unicode escapes must be \XXXX or \+XXXXXX.`)
}
