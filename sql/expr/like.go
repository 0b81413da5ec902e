package expr

import (
	"bytes"
	"unicode/utf8"

	"github.com/streamsql/streamsql/sql/sqlerr"
	"github.com/streamsql/streamsql/sql/types"
)

// likeKind is the shape of a LIKE pattern; most are a literal with % at its ends.
type likeKind uint8

const (
	likeGeneral likeKind = iota
	likeExact
	likePrefix
	likeSuffix
	likeContains
)

// likePattern is a compiled LIKE pattern with \ as the escape.
type likePattern struct {
	kind likeKind
	lit  []byte // of the simple kinds
	toks []likeTok
	fold bool
	raw  bool // bytea: _ is a byte
}

// likeTok is a literal, one any-character (n > 0 of them), or %.
type likeTok struct {
	lit  []byte
	any  int
	many bool
}

func compileLike(pattern []byte, fold, raw bool) (*likePattern, error) {
	p := &likePattern{fold: fold, raw: raw}
	if fold {
		pattern = bytes.ToLower(pattern)
	}
	var lit []byte
	flush := func() {
		if len(lit) > 0 {
			p.toks = append(p.toks, likeTok{lit: lit})
			lit = nil
		}
	}
	for i := 0; i < len(pattern); i++ {
		switch c := pattern[i]; c {
		case '\\':
			if i++; i == len(pattern) {
				return nil, sqlerr.New("22025", "LIKE pattern must not end with escape character")
			}
			lit = append(lit, pattern[i])
		case '%':
			flush()
			if n := len(p.toks); n == 0 || !p.toks[n-1].many {
				p.toks = append(p.toks, likeTok{many: true})
			}
		case '_':
			flush()
			p.toks = append(p.toks, likeTok{any: 1})
		default:
			lit = append(lit, c)
		}
	}
	flush()
	t := p.toks
	switch {
	case len(t) == 0:
		p.kind = likeExact
	case len(t) == 1 && t[0].lit != nil:
		p.kind, p.lit = likeExact, t[0].lit
	case len(t) == 2 && t[0].lit != nil && t[1].many:
		p.kind, p.lit = likePrefix, t[0].lit
	case len(t) == 2 && t[0].many && t[1].lit != nil:
		p.kind, p.lit = likeSuffix, t[1].lit
	case len(t) == 3 && t[0].many && t[1].lit != nil && t[2].many:
		p.kind, p.lit = likeContains, t[1].lit
	}
	return p, nil
}

func (p *likePattern) match(s []byte) bool {
	if p.fold {
		s = bytes.ToLower(s)
	}
	switch p.kind {
	case likeExact:
		return bytes.Equal(s, p.lit)
	case likePrefix:
		return bytes.HasPrefix(s, p.lit)
	case likeSuffix:
		return bytes.HasSuffix(s, p.lit)
	case likeContains:
		return bytes.Contains(s, p.lit)
	}
	// Greedy with one point to come back to: the last %.
	t, at := 0, 0
	backT, backAt := -1, 0
	for {
		if t < len(p.toks) {
			switch k := p.toks[t]; {
			case k.many:
				backT, backAt = t, at
				t++
				continue
			case k.any > 0:
				if at < len(s) {
					at += p.width(s[at:])
					t++
					continue
				}
			case bytes.HasPrefix(s[at:], k.lit):
				at += len(k.lit)
				t++
				continue
			}
		} else if at == len(s) {
			return true
		}
		if backT < 0 || backAt >= len(s) {
			return false
		}
		backAt += p.width(s[backAt:])
		t, at = backT+1, backAt
	}
}

func (p *likePattern) width(s []byte) int {
	if p.raw || s[0] < utf8.RuneSelf {
		return 1
	}
	_, n := utf8.DecodeRune(s)
	return n
}

// likeEscape rewrites a pattern to have \ as its escape.
func likeEscape(dst, p, esc []byte) ([]byte, error) {
	if utf8.RuneCount(esc) > 1 {
		return nil, sqlerr.New("22019", "invalid escape string").WithHint("Escape string must be empty or one character.")
	}
	if len(esc) == 0 { // no escape at all
		for _, c := range p {
			if c == '\\' {
				dst = append(dst, '\\')
			}
			dst = append(dst, c)
		}
		return dst, nil
	}
	for len(p) > 0 {
		switch {
		case bytes.HasPrefix(p, esc):
			p = p[len(esc):]
			dst = append(dst, '\\')
			if len(p) > 0 {
				_, n := utf8.DecodeRune(p)
				dst, p = append(dst, p[:n]...), p[n:]
			}
			continue
		case p[0] == '\\':
			dst = append(dst, '\\')
		}
		dst, p = append(dst, p[0]), p[1:]
	}
	return dst, nil
}

func init() {
	like := func(name string, fold, not bool, a, b types.ID) {
		register(&Func{Name: name, Args: typs(a, b), Ret: boolType, MayFail: true, Eval: func(c *Batch) error {
			var p *likePattern
			var err error
			for i := range c.Out.I[:c.N] {
				if c.Skip(i) {
					continue
				}
				if p == nil || c.Args[1].Mask != 0 {
					pat := c.Bytes(1, i)
					if p, err = cached(c, string(pat), func() (*likePattern, error) { return compileLike(pat, fold, a == types.Bytea) }); err != nil {
						return rowError(i, err)
					}
				}
				c.Out.I[i] = b2i(p.match(c.Bytes(0, i)) != not)
			}
			return nil
		}})
	}
	for _, t := range []types.ID{types.Text, types.Bpchar, types.Name} {
		like("~~", false, false, t, types.Text)
		like("!~~", false, true, t, types.Text)
		like("~~*", true, false, t, types.Text)
		like("!~~*", true, true, t, types.Text)
	}
	like("~~", false, false, types.Bytea, types.Bytea)
	like("!~~", false, true, types.Bytea, types.Bytea)
	for _, t := range []types.ID{types.Text, types.Bytea} {
		textErr("like_escape", t, func(c *Batch, i int, dst []byte) ([]byte, error) {
			return likeEscape(dst, c.Bytes(0, i), c.Bytes(1, i))
		}, t, t)
	}
}
