package expr

import (
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/streamsql/streamsql/sql/sqlerr"
	"github.com/streamsql/streamsql/sql/types"
)

// cached returns what make gives for key, kept between evaluations of a call.
func cached[T any](c *Batch, key string, make func() (T, error)) (T, error) {
	if v, ok := c.cache[key]; ok {
		return v.(T), nil
	}
	v, err := make()
	if err != nil {
		return v, err
	}
	if c.cache == nil || len(c.cache) >= 256 { // patterns from a column: do not keep them all
		c.cache = map[string]any{}
	}
	c.cache[key] = v
	return v, nil
}

// regex compiles a PostgreSQL ARE with its flags, kept for the call.
func (c *Batch) regex(pattern, flags string) (*regexp.Regexp, error) {
	return cached(c, "re:"+flags+"\x00"+pattern, func() (*regexp.Regexp, error) { return compileRegex(pattern, flags) })
}

// compileRegex translates PostgreSQL's advanced regular expressions to Go's: the
// constraint escapes, the embedded options, and the newline rules differ.
// Backreferences and lookaround have no translation.
func compileRegex(pattern, flags string) (*regexp.Regexp, error) {
	fold, newline, dotNL, lit, expanded := false, false, true, false, false
	option := func(f rune) bool {
		switch f {
		case 'i':
			fold = true
		case 'c':
			fold = false
		case 'n', 'm':
			newline, dotNL = true, false
		case 's':
			newline, dotNL = false, true
		case 'p':
			newline, dotNL = false, false
		case 'w':
			newline, dotNL = true, true
		case 'q':
			lit = true
		case 'x':
			expanded = true
		case 't':
			expanded = false
		case 'e', 'b', 'g':
		default:
			return false
		}
		return true
	}
	for _, f := range flags {
		if !option(f) {
			return nil, sqlerr.New(sqlerr.InvalidParameter, "invalid regular expression option: \"%c\"", f)
		}
	}
	p := pattern
	if rest, ok := strings.CutPrefix(p, "***="); ok {
		p, lit = rest, true
	} else {
		p = strings.TrimPrefix(p, "***:")
		if strings.HasPrefix(p, "(?") && len(p) > 2 && p[2] >= 'a' && p[2] <= 'z' {
			if end := strings.IndexByte(p, ')'); end > 0 {
				for _, f := range p[2:end] {
					if !option(f) {
						return nil, badRegex("invalid embedded option")
					}
				}
				p = p[end+1:]
			}
		}
	}
	prefix := "(?"
	if fold {
		prefix += "i"
	}
	if newline {
		prefix += "m"
	}
	if dotNL {
		prefix += "s"
	}
	prefix += ")"
	if prefix == "(?)" {
		prefix = ""
	}
	if lit {
		return regexp.Compile(prefix + regexp.QuoteMeta(p))
	}
	q, err := translateARE(p, expanded, newline)
	if err != nil {
		return nil, err
	}
	re, err := regexp.Compile(prefix + q)
	if err != nil {
		msg := strings.TrimPrefix(err.Error(), "error parsing regexp: ")
		switch {
		case strings.HasPrefix(msg, "missing closing )"), strings.HasPrefix(msg, "unexpected )"):
			msg = "parentheses () not balanced"
		case strings.HasPrefix(msg, "missing closing ]"):
			msg = "brackets [] not balanced"
		case strings.HasPrefix(msg, "missing argument to repetition"), strings.HasPrefix(msg, "invalid nested repetition"):
			msg = "quantifier operand invalid"
		case strings.HasPrefix(msg, "invalid repeat count"):
			msg = "invalid repetition count(s)"
		case strings.HasPrefix(msg, "invalid character class range"):
			msg = "invalid character range"
		}
		return nil, badRegex(msg)
	}
	return re, nil
}

func badRegex(msg string) error {
	return sqlerr.New("2201B", "invalid regular expression: %s", msg)
}

func translateARE(p string, expanded, newline bool) (string, error) {
	var b strings.Builder
	for i := 0; i < len(p); i++ {
		switch c := p[i]; c {
		case '\\':
			i++
			if i == len(p) {
				return "", badRegex("invalid escape \\ sequence")
			}
			switch e := p[i]; e {
			case 'm':
				b.WriteString(`\b`) // Go has no one-sided word boundary: beside a letter it is the same
			case 'M', 'y':
				b.WriteString(`\b`)
			case 'Y':
				b.WriteString(`\B`)
			case 'A':
				b.WriteString(`\A`)
			case 'Z':
				b.WriteString(`\z`)
			case 'B':
				b.WriteString(`\\`)
			case 'e':
				b.WriteString(`\x1b`)
			case 'u', 'U':
				n := map[byte]int{'u': 4, 'U': 8}[e]
				if i+n >= len(p) {
					return "", badRegex("invalid escape \\ sequence")
				}
				b.WriteString(`\x{` + p[i+1:i+1+n] + `}`)
				i += n
			case '1', '2', '3', '4', '5', '6', '7', '8', '9':
				return "", sqlerr.New(sqlerr.FeatureNotSupported, "backreferences in regular expressions are not supported")
			case 'b':
				b.WriteString(`\x08`)
			case 'd', 'D', 's', 'S', 'w', 'W', 'n', 'r', 't', 'f', 'v', 'a', 'x':
				b.WriteByte('\\')
				b.WriteByte(e)
			default:
				r, n := utf8.DecodeRuneInString(p[i:])
				b.WriteString(regexp.QuoteMeta(string(r)))
				i += n - 1
			}
		case '[':
			n, err := bracket(&b, p[i:], newline)
			if err != nil {
				return "", err
			}
			i += n - 1
		case '(':
			switch {
			case strings.HasPrefix(p[i:], "(?:"):
				b.WriteString("(?:")
				i += 2
			case strings.HasPrefix(p[i:], "(?="), strings.HasPrefix(p[i:], "(?!"), strings.HasPrefix(p[i:], "(?<"):
				return "", sqlerr.New(sqlerr.FeatureNotSupported, "lookaround in regular expressions is not supported")
			case strings.HasPrefix(p[i:], "(?#"):
				end := strings.IndexByte(p[i:], ')')
				if end < 0 {
					return "", badRegex("parentheses () not balanced")
				}
				i += end
			default:
				b.WriteByte('(')
			}
		case '$':
			if newline {
				b.WriteByte('$')
			} else {
				b.WriteString(`\z`)
			}
		case ' ', '\t', '\n':
			if !expanded {
				b.WriteByte(c)
			}
		case '#':
			if expanded {
				if end := strings.IndexByte(p[i:], '\n'); end >= 0 {
					i += end
				} else {
					i = len(p)
				}
				continue
			}
			b.WriteByte(c)
		default:
			b.WriteByte(c)
		}
	}
	return b.String(), nil
}

// bracket translates a bracket expression and returns its length.
func bracket(b *strings.Builder, p string, newline bool) (int, error) {
	for word, out := range map[string]string{"[[:<:]]": `\b`, "[[:>:]]": `\b`} {
		if strings.HasPrefix(p, word) {
			b.WriteString(out)
			return len(word), nil
		}
	}
	b.WriteByte('[')
	i := 1
	negated := i < len(p) && p[i] == '^'
	if negated {
		b.WriteByte('^')
		i++
		if newline {
			b.WriteString(`\n`)
		}
	}
	first := true
	for ; i < len(p); i++ {
		switch c := p[i]; {
		case c == ']' && !first:
			b.WriteByte(']')
			return i + 1, nil
		case c == '[' && i+1 < len(p) && (p[i+1] == ':' || p[i+1] == '.' || p[i+1] == '='):
			end := strings.Index(p[i+2:], string(p[i+1])+"]")
			if end < 0 {
				return 0, badRegex("brackets [] not balanced")
			}
			name := p[i+2 : i+2+end]
			if p[i+1] == ':' {
				b.WriteString("[:" + name + ":]")
			} else {
				b.WriteString(regexp.QuoteMeta(name))
			}
			i += end + 3
		case c == ']' || c == '[':
			b.WriteByte('\\')
			b.WriteByte(c)
		case c == '\\' && i+1 < len(p):
			i++
			switch e := p[i]; e {
			case 'd', 'D', 's', 'S', 'w', 'W', 'n', 'r', 't', 'f', 'v', 'a', 'x':
				b.WriteByte('\\')
				b.WriteByte(e)
			default:
				b.WriteString(regexp.QuoteMeta(string(e)))
			}
		default:
			b.WriteByte(c)
		}
		first = false
	}
	return 0, badRegex("brackets [] not balanced")
}

// similarPattern turns a SIMILAR TO pattern into a regular expression.
func similarPattern(p string, esc rune, hasEsc bool) string {
	var b strings.Builder
	b.WriteString("^(?:")
	inClass, escaped := false, false
	for _, r := range p {
		switch {
		case escaped:
			b.WriteString(regexp.QuoteMeta(string(r)))
			escaped = false
		case hasEsc && r == esc:
			escaped = true
		case inClass:
			if r == '\\' {
				b.WriteByte('\\')
			}
			b.WriteRune(r)
			inClass = r != ']'
		case r == '[':
			b.WriteRune(r)
			inClass = true
		case r == '%':
			b.WriteString(".*")
		case r == '_':
			b.WriteByte('.')
		case r == '(':
			b.WriteString("(?:")
		case r == '\\' || r == '.' || r == '^' || r == '$':
			b.WriteByte('\\')
			b.WriteRune(r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteString(")$")
	return b.String()
}

// replacement is a replacement text with \1, \& and \\ taken apart.
type replacement struct {
	text  []string
	group []int // behind text[i]; -1: none
}

func parseReplacement(s string) replacement {
	if strings.IndexByte(s, '\\') < 0 {
		return replacement{text: []string{s}, group: []int{-1}}
	}
	var out replacement
	var b strings.Builder
	emit := func(g int) {
		out.text, out.group = append(out.text, b.String()), append(out.group, g)
		b.Reset()
	}
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' || i+1 == len(s) {
			b.WriteByte(s[i])
			continue
		}
		i++
		switch c := s[i]; {
		case c >= '1' && c <= '9':
			emit(int(c - '0'))
		case c == '&':
			emit(0)
		case c == '\\':
			b.WriteByte('\\')
		default:
			b.WriteByte('\\')
			b.WriteByte(c)
		}
	}
	emit(-1)
	return out
}

func (r replacement) append(dst, s []byte, m []int) []byte {
	for k, t := range r.text {
		dst = append(dst, t...)
		if g := r.group[k]; g >= 0 && 2*g+1 < len(m) && m[2*g] >= 0 {
			dst = append(dst, s[m[2*g]:m[2*g+1]]...)
		}
	}
	return dst
}

// regexReplace replaces the nth match from start on (n 0: all of them).
func regexReplace(re *regexp.Regexp, dst, s []byte, with string, start, n int) []byte {
	rep := parseReplacement(with)
	dst = append(dst, s[:start]...)
	at, count := start, 0
	if n == 1 && start == 0 {
		m := re.FindSubmatchIndex(s)
		if m == nil {
			return append(dst, s...)
		}
		return append(rep.append(append(dst, s[:m[0]]...), s, m), s[m[1]:]...)
	}
	for _, m := range matches(re, s, start) {
		count++
		if n > 0 && count != n {
			continue
		}
		dst = append(dst, s[at:m[0]]...)
		dst = rep.append(dst, s, m)
		at = m[1]
		if n > 0 {
			break
		}
	}
	return append(dst, s[at:]...)
}

// matches returns all matches that begin at start or behind it, with ^ meaning
// the start of the whole string.
func matches(re *regexp.Regexp, s []byte, start int) [][]int {
	all := re.FindAllSubmatchIndex(s, -1)
	if start == 0 {
		return all
	}
	var out [][]int
	for _, m := range re.FindAllSubmatchIndex(s[start:], -1) {
		for i := range m {
			if m[i] >= 0 {
				m[i] += start
			}
		}
		out = append(out, m)
	}
	return out
}

// matchArray gives a match's groups as text[], or the whole when it has none.
func matchArray(s []byte, m []int) []byte {
	var out []byte
	if len(m) == 2 {
		return types.AppendElem(nil, types.Text, types.Datum{S: s[m[0]:m[1]]})
	}
	for g := 2; g < len(m); g += 2 {
		d := types.NullDatum
		if m[g] >= 0 {
			d = types.Datum{S: s[m[g]:m[g+1]]}
		}
		out = types.AppendElem(out, types.Text, d)
	}
	return out
}

// splitRegex calls fn with what stands between matches. Empty matches at the
// ends and next to a match do not split.
func splitRegex(re *regexp.Regexp, s []byte, fn func([]byte) bool) {
	at := 0
	for _, m := range re.FindAllIndex(s, -1) {
		if m[1] == m[0] && (m[0] == at && at == 0 || m[0] >= len(s)) {
			continue
		}
		if !fn(s[at:m[0]]) {
			return
		}
		at = m[1]
	}
	fn(s[at:])
}
