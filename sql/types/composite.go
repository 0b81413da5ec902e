package types

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/json"
	"math"
	"slices"
	"strings"

	"github.com/streamsql/streamsql/sql/sqlerr"
)

// AppendElem appends one element to an array's bytes: a uvarint of the length
// plus one (0: NULL), then the value, integers and floats as 8 bytes
// little-endian. An array has one dimension, its lower bound is 1, and the empty
// array has no bytes.
func AppendElem(dst []byte, elem ID, d Datum) []byte {
	if d.Null {
		return append(dst, 0)
	}
	switch Of(elem).Phys() {
	case PhysInt:
		return binary.LittleEndian.AppendUint64(append(dst, 9), uint64(d.I))
	case PhysFloat:
		return binary.LittleEndian.AppendUint64(append(dst, 9), math.Float64bits(d.F))
	}
	return append(binary.AppendUvarint(dst, uint64(len(d.S))+1), d.S...)
}

// Elems returns the elements of an array's bytes; strings alias b. Bytes that
// AppendElem cannot have written end the list.
func Elems(b []byte, elem ID) []Datum {
	var out []Datum
	for len(b) > 0 {
		n, w := binary.Uvarint(b)
		if w <= 0 || n > 0 && uint64(len(b)-w) < n-1 {
			return out
		}
		b = b[w:]
		if n == 0 {
			out = append(out, NullDatum)
			continue
		}
		v := b[:n-1]
		b = b[n-1:]
		switch p := Of(elem).Phys(); {
		case p == PhysBytes:
			out = append(out, Datum{S: v})
		case len(v) != 8:
			return out
		case p == PhysInt:
			out = append(out, Datum{I: int64(binary.LittleEndian.Uint64(v))})
		default:
			out = append(out, Datum{F: math.Float64frombits(binary.LittleEndian.Uint64(v))})
		}
	}
	return out
}

func appendArrayText(dst []byte, elem ID, b []byte) []byte {
	dst = append(dst, '{')
	for i, d := range Elems(b, elem) {
		if i > 0 {
			dst = append(dst, ',')
		}
		if d.Null {
			dst = append(dst, "NULL"...)
			continue
		}
		s := FormatText(nil, Of(elem), d)
		if len(s) > 0 && !bytes.ContainsAny(s, "{}\",\\ \t\n\r\v\f") && !strings.EqualFold(string(s), "null") {
			dst = append(dst, s...)
			continue
		}
		dst = append(dst, '"')
		for _, c := range s {
			if c == '"' || c == '\\' {
				dst = append(dst, '\\')
			}
			dst = append(dst, c)
		}
		dst = append(dst, '"')
	}
	return append(dst, '}')
}

// parseArray reads {a,"b c",NULL}.
func parseArray(t Type, s string) (Datum, error) {
	bad := sqlerr.New(sqlerr.InvalidText, "malformed array literal: %q", s)
	v := strings.TrimSpace(s)
	if len(v) < 2 || v[0] != '{' || v[len(v)-1] != '}' {
		return Datum{}, bad
	}
	v = v[1 : len(v)-1]
	out := []byte{}
	for i := 0; strings.TrimSpace(v) != ""; {
		var word []byte
		quoted, closed, end := false, false, 0
	scan:
		for ; i < len(v); i++ {
			switch c := v[i]; {
			case c == '\\':
				if i++; i == len(v) {
					return Datum{}, bad
				}
				word = append(word, v[i])
				end = len(word)
			case c == '"':
				if closed || !quoted && end > 0 {
					return Datum{}, bad
				}
				closed, quoted = quoted, true
				end = len(word)
			case quoted && !closed:
				word = append(word, c)
				end = len(word)
			case c == ',':
				break scan
			case c == '{' || c == '}':
				if c == '{' {
					return Datum{}, sqlerr.New(sqlerr.FeatureNotSupported, "arrays of more than one dimension are not supported")
				}
				return Datum{}, bad
			case c == ' ' || c == '\t' || c == '\n':
				if end > 0 && !quoted {
					word = append(word, c)
				}
			case closed:
				return Datum{}, bad
			default:
				word = append(word, c)
				end = len(word)
			}
		}
		word = word[:end]
		switch {
		case quoted && !closed, !quoted && len(word) == 0:
			return Datum{}, bad
		case !quoted && strings.EqualFold(string(word), "null"):
			out = AppendElem(out, t.Elem, NullDatum)
		default:
			d, err := ParseText(Of(t.Elem), string(word))
			if err != nil {
				return Datum{}, err
			}
			out = AppendElem(out, t.Elem, d)
		}
		if i == len(v) {
			break
		}
		if i++; i == len(v) {
			return Datum{}, bad
		}
	}
	return Datum{S: out}, nil
}

// parseJSON checks a JSON text; jsonb is brought to PostgreSQL's form: keys by
// length and then bytewise, the last of equal keys, one space after : and ,.
func parseJSON(t Type, s string) (Datum, error) {
	dec := json.NewDecoder(strings.NewReader(s))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil || dec.More() || !json.Valid([]byte(s)) {
		bad := sqlerr.New(sqlerr.InvalidText, "invalid input syntax for type json")
		if err != nil {
			return Datum{}, bad.WithDetail("%v", err)
		}
		return Datum{}, bad.WithDetail("Something stands behind the value.")
	}
	if t.ID == JSON {
		return Datum{S: []byte(s)}, nil
	}
	if strings.Contains(s, `\u0000`) && holdsNUL(v) {
		return Datum{}, sqlerr.New("22P05", "unsupported Unicode escape sequence").WithDetail(`\u0000 cannot be converted to text.`)
	}
	return Datum{S: AppendJSONB(nil, v)}, nil
}

// holdsNUL tells whether a string of a JSON value has a character that text has not.
func holdsNUL(v any) bool {
	switch v := v.(type) {
	case string:
		return strings.IndexByte(v, 0) >= 0
	case []any:
		return slices.ContainsFunc(v, holdsNUL)
	case map[string]any:
		for k, e := range v {
			if holdsNUL(k) || holdsNUL(e) {
				return true
			}
		}
	}
	return false
}

// AppendJSONB appends the jsonb text of a value as encoding/json decodes it
// with UseNumber.
func AppendJSONB(dst []byte, v any) []byte {
	switch v := v.(type) {
	case map[string]any:
		keys := make([]string, 0, len(v))
		for k := range v {
			keys = append(keys, k)
		}
		slices.SortFunc(keys, func(a, b string) int {
			return cmp.Or(cmp.Compare(len(a), len(b)), strings.Compare(a, b))
		})
		dst = append(dst, '{')
		for i, k := range keys {
			if i > 0 {
				dst = append(dst, ", "...)
			}
			dst = append(appendJSONString(dst, k), ": "...)
			dst = AppendJSONB(dst, v[k])
		}
		return append(dst, '}')
	case []any:
		dst = append(dst, '[')
		for i, e := range v {
			if i > 0 {
				dst = append(dst, ", "...)
			}
			dst = AppendJSONB(dst, e)
		}
		return append(dst, ']')
	case string:
		return appendJSONString(dst, v)
	case json.Number:
		if b, err := parseNumeric(Of(Numeric), v.String()); err == nil {
			return appendNumericText(dst, b)
		}
		return append(dst, v.String()...)
	case bool:
		if v {
			return append(dst, "true"...)
		}
		return append(dst, "false"...)
	}
	return append(dst, "null"...)
}

func appendJSONString(dst []byte, s string) []byte {
	const hexDigits = "0123456789abcdef"
	dst = append(dst, '"')
	for i := 0; i < len(s); i++ {
		switch c := s[i]; c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\b':
			dst = append(dst, `\b`...)
		case '\f':
			dst = append(dst, `\f`...)
		case '\n':
			dst = append(dst, `\n`...)
		case '\r':
			dst = append(dst, `\r`...)
		case '\t':
			dst = append(dst, `\t`...)
		default:
			if c < 0x20 {
				dst = append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
			} else {
				dst = append(dst, c)
			}
		}
	}
	return append(dst, '"')
}
