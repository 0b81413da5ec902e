package json

import (
	"bytes"
	"encoding/binary"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/streamsql/streamsql/sql/sqlerr"
)

// peek skips white space and returns the next byte; 0 at the end.
func (d *Decoder) peek() byte {
	for d.pos < len(d.buf) {
		c := d.buf[d.pos]
		if c > ' ' || c != ' ' && c != '\n' && c != '\t' && c != '\r' {
			return c
		}
		d.pos++
	}
	return 0
}

func (d *Decoder) syntax(what string) error {
	return sqlerr.New(sqlerr.InvalidText, "invalid JSON at byte %d: %s", d.pos, what)
}

func (d *Decoder) unexpected(wanted string) error {
	if d.pos >= len(d.buf) {
		return d.syntax("it ends where " + wanted + " belongs")
	}
	r, n := utf8.DecodeRune(d.buf[d.pos:])
	if r == utf8.RuneError && n < 2 {
		return d.syntax(wanted + " belongs here")
	}
	return d.syntax("there is " + string(r) + " where " + wanted + " belongs")
}

// span reads a string from its opening quote past its closing one, and tells
// whether it has escapes and bytes beyond ASCII.
func (d *Decoder) span() (escaped, high bool, err error) {
	const (
		ones  = 0x0101010101010101
		highs = 0x8080808080808080
	)
	p, b := d.pos+1, d.buf
	var seen uint64
	for {
		// Eight bytes at a time: the high bit of each that is a quote, a
		// backslash, a control character, or beyond ASCII (looked at below).
		for p+8 <= len(b) {
			w := binary.LittleEndian.Uint64(b[p:])
			q := w ^ ones*'"'
			s := w ^ ones*'\\'
			if ((q-ones)&^q|(s-ones)&^s|(w-ones*0x20)&^w)&highs != 0 {
				break
			}
			seen |= w
			p += 8
		}
		for stop := p + 8; p < len(b) && p < stop; p++ {
			c := b[p]
			if c == '"' {
				d.pos = p + 1
				return escaped, seen&highs != 0, nil
			}
			if c < 0x20 {
				d.pos = p
				return false, false, d.syntax("a control character in a string")
			}
			seen |= uint64(c)
			if c != '\\' {
				continue
			}
			escaped = true
			n := escape(b[p+1:])
			if n == 0 {
				d.pos = p
				return false, false, d.syntax("a bad escape in a string")
			}
			p += n
			stop = p + 8
		}
		if p >= len(b) {
			d.pos = len(b)
			return false, false, d.syntax("a string does not end")
		}
	}
}

// escape returns the length of the escape after a backslash; 0: none.
func escape(b []byte) int {
	if len(b) == 0 {
		return 0
	}
	switch b[0] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 1
	case 'u':
		if len(b) >= 5 && hex4(b[1:]) >= 0 {
			return 5
		}
	}
	return 0
}

func hex4(b []byte) rune {
	var r rune
	for _, c := range b[:4] {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		case c >= 'A' && c <= 'F':
			c -= 'A' - 10
		default:
			return -1
		}
		r = r<<4 | rune(c)
	}
	return r
}

// str reads a string. The result aliases the record, or the scratch buffer when
// the string has escapes.
func (d *Decoder) str() ([]byte, error) {
	start := d.pos
	escaped, high, err := d.span()
	if err != nil {
		return nil, err
	}
	s := d.buf[start+1 : d.pos-1]
	if high && !utf8.Valid(s) {
		return nil, sqlerr.New(sqlerr.CharacterNotInRep, "invalid byte sequence for encoding \"UTF8\" in the string at byte %d", start)
	}
	if !escaped {
		return s, nil
	}
	d.text = unescape(d.text[:0], s)
	if bytes.IndexByte(d.text, 0) >= 0 {
		return nil, sqlerr.New(sqlerr.CharacterNotInRep, `\u0000 cannot be converted to text`)
	}
	return d.text, nil
}

// unescape appends s, whose escapes are good.
func unescape(dst, s []byte) []byte {
	for {
		i := bytes.IndexByte(s, '\\')
		if i < 0 {
			return append(dst, s...)
		}
		dst = append(dst, s[:i]...)
		c := s[i+1]
		s = s[i+2:]
		switch c {
		case 'b':
			c = '\b'
		case 'f':
			c = '\f'
		case 'n':
			c = '\n'
		case 'r':
			c = '\r'
		case 't':
			c = '\t'
		case 'u':
			r := hex4(s)
			s = s[4:]
			if utf16.IsSurrogate(r) {
				pair := rune(utf8.RuneError)
				if len(s) >= 6 && s[0] == '\\' && s[1] == 'u' {
					pair = utf16.DecodeRune(r, hex4(s[2:]))
				}
				if r = pair; pair != utf8.RuneError {
					s = s[6:]
				}
			}
			dst = utf8.AppendRune(dst, r)
			continue
		}
		dst = append(dst, c)
	}
}

// number is a number as scanned.
type number struct {
	raw  []byte
	mant uint64 // the digits, unless big
	frac int    // how many of them follow the point
	neg  bool
	exp  bool // it has an exponent
	big  bool // more than 19 significant digits
}

// number reads a number. Its first byte is '-' or a digit.
func (d *Decoder) number() (number, error) {
	n, end, ok := scanNumber(d.buf, d.pos)
	d.pos = end
	if !ok {
		return n, d.syntax("a bad number")
	}
	return n, nil
}

// scanNumber reads the number at b[p] and returns where it ends, or goes wrong.
func scanNumber(b []byte, p int) (n number, end int, ok bool) {
	start := p
	if p < len(b) && b[p] == '-' {
		n.neg = true
		p++
	}
	first := p
	for p < len(b) && b[p]-'0' <= 9 {
		n.mant = n.mant*10 + uint64(b[p]-'0')
		p++
	}
	digits := p - first
	if digits == 0 || digits > 1 && b[first] == '0' {
		return n, p, false
	}
	if p < len(b) && b[p] == '.' {
		p++
		point := p
		for p < len(b) && b[p]-'0' <= 9 {
			n.mant = n.mant*10 + uint64(b[p]-'0')
			p++
		}
		n.frac = p - point
		digits += n.frac
		if n.frac == 0 {
			return n, p, false
		}
	}
	n.big = digits > 19
	if p < len(b) && b[p]|0x20 == 'e' {
		n.exp = true
		p++
		if p < len(b) && (b[p] == '+' || b[p] == '-') {
			p++
		}
		exp := p
		for p < len(b) && b[p]-'0' <= 9 {
			p++
		}
		if p == exp {
			return n, p, false
		}
	}
	n.raw = b[start:p]
	return n, p, true
}

// skip reads any value, and checks no more than its syntax.
func (d *Decoder) skip() error {
	switch c := d.peek(); c {
	case '"':
		_, _, err := d.span()
		return err
	case '{', '[':
		return d.skipNested(c)
	default:
		return d.scalar(c)
	}
}

func (d *Decoder) scalar(c byte) error {
	word := ""
	switch c {
	case 't':
		word = "true"
	case 'f':
		word = "false"
	case 'n':
		word = "null"
	default:
		if c == '-' || c-'0' <= 9 {
			_, err := d.number()
			return err
		}
		return d.unexpected("a value")
	}
	if rest := d.buf[d.pos:]; len(rest) < len(word) || string(rest[:len(word)]) != word {
		return d.unexpected("a value")
	}
	d.pos += len(word)
	return nil
}

func (d *Decoder) skipNested(open byte) error {
	if d.depth++; d.depth > maxDepth {
		return d.syntax("nested too deeply")
	}
	d.pos++
	end := open + 2 // ']' follows '[', and '}' '{', two on
	if d.peek() == end {
		d.pos++
		d.depth--
		return nil
	}
	for {
		if open == '{' {
			if d.peek() != '"' {
				return d.unexpected("a field's name")
			}
			if _, _, err := d.span(); err != nil {
				return err
			}
			if d.peek() != ':' {
				return d.unexpected("':' after a field's name")
			}
			d.pos++
		}
		if err := d.skip(); err != nil {
			return err
		}
		switch d.peek() {
		case ',':
			d.pos++
		case end:
			d.pos++
			d.depth--
			return nil
		default:
			return d.unexpected("',' or the end of an object or array")
		}
	}
}
