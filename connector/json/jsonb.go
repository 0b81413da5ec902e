package json

import (
	"bytes"
	"cmp"
	"slices"
	"unicode/utf8"

	"github.com/streamsql/streamsql/sql/sqlerr"
	"github.com/streamsql/streamsql/sql/types"
)

// member is a member of an object in d.norm: [at:key] is its key between quotes,
// [key:end] the rest of it.
type member struct{ at, key, end, length int }

const maxNormal = 64 << 20

// normal appends the next value to d.norm in jsonb's form, just as
// types.AppendJSONB gives it: keys by length and then bytewise, the last of
// equal ones.
func (d *Decoder) normal() error {
	switch c := d.peek(); {
	case c == '"':
		_, err := d.normalString()
		return err
	case c == '{':
		return d.normalObject()
	case c == '[':
		return d.normalArray()
	case c == '-' || c-'0' <= 9:
		n, err := d.number()
		if err != nil {
			return err
		}
		return d.normalNumber(n)
	default:
		start := d.pos
		err := d.scalar(c)
		d.norm = append(d.norm, d.buf[start:d.pos]...)
		return err
	}
}

func (d *Decoder) normalString() (length int, err error) {
	s, err := d.str()
	if err != nil {
		return 0, err
	}
	d.norm = AppendString(d.norm, s)
	return len(s), nil
}

func (d *Decoder) normalNumber(n number) error {
	zero := n.mant == 0 && !n.big
	if !n.exp && n.frac <= 252 && !(n.neg && (zero || n.big)) {
		d.norm = append(d.norm, n.raw...)
		return nil
	}
	// Each 1e100000 grows by a factor of ten thousand.
	if len(d.norm) > maxNormal+len(d.buf) {
		return sqlerr.New(sqlerr.TooComplex, "the numbers of the record are too long when written out")
	}
	t := types.Of(types.Numeric)
	v, err := types.ParseText(t, string(n.raw))
	if err != nil {
		return sqlerr.New(sqlerr.NumericOutOfRange, "value %s is out of range for type numeric", short(n.raw))
	}
	d.norm = types.FormatText(d.norm, t, v)
	return nil
}

func (d *Decoder) normalArray() error {
	if d.depth++; d.depth > maxDepth {
		return d.syntax("nested too deeply")
	}
	d.norm = append(d.norm, '[')
	d.pos++
	if d.peek() != ']' {
		for {
			if err := d.normal(); err != nil {
				return err
			}
			if d.peek() != ',' {
				break
			}
			d.pos++
			d.norm = append(d.norm, ", "...)
		}
	}
	if d.peek() != ']' {
		return d.unexpected("',' or ']' after an element")
	}
	d.pos++
	d.depth--
	d.norm = append(d.norm, ']')
	return nil
}

func (d *Decoder) normalObject() error {
	if d.depth++; d.depth > maxDepth {
		return d.syntax("nested too deeply")
	}
	d.pos++
	first, start := len(d.members), len(d.norm)
	if d.peek() != '}' {
		for {
			m := member{at: len(d.norm)}
			var err error
			if d.peek() != '"' {
				return d.unexpected("a field's name")
			}
			if m.length, err = d.normalString(); err != nil {
				return err
			}
			m.key = len(d.norm)
			if d.peek() != ':' {
				return d.unexpected("':' after a field's name")
			}
			d.pos++
			d.norm = append(d.norm, ": "...)
			if err := d.normal(); err != nil {
				return err
			}
			m.end = len(d.norm)
			d.members = append(d.members, m)
			if d.peek() != ',' {
				break
			}
			d.pos++
		}
	}
	if d.peek() != '}' {
		return d.unexpected("',' or '}' after a field")
	}
	d.pos++
	d.depth--
	own := d.members[first:]
	d.sortMembers(own)
	// The members, in order, by way of the other buffer.
	d.swap = append(d.swap[:0], '{')
	for i, m := range own {
		if i+1 < len(own) && d.compareKeys(m, own[i+1]) == 0 {
			continue
		}
		if len(d.swap) > 1 {
			d.swap = append(d.swap, ", "...)
		}
		d.swap = append(d.swap, d.norm[m.at:m.end]...)
	}
	d.norm = append(append(d.norm[:start], d.swap...), '}')
	d.members = d.members[:first]
	return nil
}

// compareKeys compares keys as written. Writing is one to one; but escapes do
// not keep the order, and so keys which have any are compared as they were.
func (d *Decoder) compareKeys(a, b member) int {
	if c := cmp.Compare(a.length, b.length); c != 0 {
		return c
	}
	x, y := d.norm[a.at+1:a.key-1], d.norm[b.at+1:b.key-1]
	if len(x) == a.length && len(y) == b.length {
		return bytes.Compare(x, y)
	}
	return bytes.Compare(unescape(nil, x), unescape(nil, y))
}

func (d *Decoder) sortMembers(own []member) {
	order := func(a, b member) int {
		return cmp.Or(d.compareKeys(a, b), cmp.Compare(a.at, b.at))
	}
	if !slices.IsSortedFunc(own, order) {
		slices.SortFunc(own, order)
	}
}

// AppendString appends s as a JSON string. Bytes that are not UTF-8 become U+FFFD.
func AppendString(dst, s []byte) []byte {
	const hexDigits = "0123456789abcdef"
	if !utf8.Valid(s) {
		s = bytes.ToValidUTF8(s, []byte("\uFFFD"))
	}
	dst = append(dst, '"')
	for {
		i := 0
		for i < len(s) && s[i] >= 0x20 && s[i] != '"' && s[i] != '\\' {
			i++
		}
		dst = append(dst, s[:i]...)
		if i == len(s) {
			return append(dst, '"')
		}
		c := s[i]
		s = s[i+1:]
		switch c {
		case '"', '\\':
		case '\b':
			c = 'b'
		case '\f':
			c = 'f'
		case '\n':
			c = 'n'
		case '\r':
			c = 'r'
		case '\t':
			c = 't'
		default:
			dst = append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
			continue
		}
		dst = append(dst, '\\', c)
	}
}
