package json

import (
	"bytes"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/streamsql/streamsql/sql/sqlerr"
	"github.com/streamsql/streamsql/sql/types"
)

// value reads any value as type t into d.i, d.f or d.s.
func (d *Decoder) value(t types.Type) (null bool, err error) {
	c := d.peek()
	start := d.pos
	switch {
	case c == 'n':
		return true, d.scalar(c)
	case t.ID == types.JSON:
		err := d.skip()
		d.s = d.buf[start:d.pos]
		if err == nil && !utf8.Valid(d.s) {
			err = sqlerr.New(sqlerr.CharacterNotInRep, `invalid byte sequence for encoding "UTF8"`)
		}
		return false, err
	case t.ID == types.JSONB:
		d.norm, d.members = d.norm[:0], d.members[:0]
		err := d.normal()
		d.s = d.norm
		return false, err
	case c == '"':
		s, err := d.str()
		if err != nil {
			return false, err
		}
		return false, d.fromString(t, s)
	case c == '-' || c-'0' <= 9:
		n, err := d.number()
		if err != nil {
			return false, err
		}
		return false, d.fromNumber(t, n)
	case c == '[' && t.ID == types.Array:
		return false, d.array(t.Elem)
	}
	if err := d.skip(); err != nil {
		return false, err
	}
	raw := d.buf[start:d.pos]
	switch {
	case isText(t):
		if !utf8.Valid(raw) {
			return false, sqlerr.New(sqlerr.CharacterNotInRep, `invalid byte sequence for encoding "UTF8"`)
		}
		return false, d.fromString(t, raw)
	case t.ID == types.Bool && (c == 't' || c == 'f'):
		d.i = 0
		if c == 't' {
			d.i = 1
		}
		return false, nil
	}
	what := "a boolean"
	switch c {
	case '{':
		what = "an object"
	case '[':
		what = "an array"
	}
	return false, mismatch(t, what, raw)
}

func isText(t types.Type) bool {
	switch t.ID {
	case types.Text, types.Varchar, types.Bpchar, types.Name, types.Char, types.Unknown:
		return true
	}
	return false
}

func mismatch(t types.Type, what string, raw []byte) error {
	return sqlerr.New(sqlerr.DatatypeMismatch, "type %s cannot take %s: %s", types.Bare(t), what, short(raw))
}

// array reads an array's elements.
func (d *Decoder) array(elem types.ID) error {
	if d.depth++; d.depth > maxDepth {
		return d.syntax("nested too deeply")
	}
	d.arr = d.arr[:0]
	d.pos++
	more := d.peek() != ']'
	for n := 1; more; n++ {
		null, err := d.value(types.Of(elem))
		if err != nil {
			e := *sqlerr.From(err)
			e.Message = "element " + strconv.Itoa(n) + ": " + e.Message
			return &e
		}
		d.arr = types.AppendElem(d.arr, elem, types.Datum{Null: null, I: d.i, F: d.f, S: d.s})
		switch d.peek() {
		case ',':
			d.pos++
		case ']':
			more = false
		default:
			return d.unexpected("',' or ']' after an element")
		}
	}
	d.pos++
	d.depth--
	d.s = d.arr
	return nil
}

// fromString reads the text form of a value.
func (d *Decoder) fromString(t types.Type, s []byte) error {
	switch t.ID {
	case types.Text, types.Name, types.Char, types.Unknown:
		d.s = s
		return nil
	case types.Varchar:
		if t.Mod == 0 || len(s) <= int(t.Mod) {
			d.s = s
			return nil
		}
	case types.Bpchar:
		if t.Mod == 0 {
			d.s = s
			return nil
		}
	case types.Int2, types.Int4, types.Int8, types.Float4, types.Float8, types.Numeric:
		// What JSON calls a number; but "1.0" is no integer, as in SQL.
		n, end, ok := scanNumber(s, 0)
		whole := t.Phys() != types.PhysInt || !n.exp && !n.big && n.frac == 0
		if ok && end == len(s) && whole && d.fromNumber(t, n) == nil {
			return nil
		}
	case types.Timestamp, types.Timestamptz:
		if us, ok := isoTimestamp(s, t.ID == types.Timestamptz); ok {
			if unit := unitOf(t.Mod); us%unit == 0 {
				d.i = us
				return nil
			}
		}
	case types.Date:
		if len(s) == 10 {
			if days, ok := isoDate(s); ok {
				d.i = days
				return nil
			}
		}
	}
	v, err := types.ParseText(t, string(s))
	if err != nil {
		if len(s) > 64 { // the message quotes it all
			e := *sqlerr.From(err)
			e.Message = strings.ReplaceAll(e.Message, strconv.Quote(string(s)), strconv.Quote(string(short(s))))
			return &e
		}
		return err
	}
	d.i, d.f, d.s = v.I, v.F, v.S
	return nil
}

func (d *Decoder) fromNumber(t types.Type, n number) error {
	switch t.ID {
	case types.Int2:
		return d.integer(t, n, math.MinInt16, math.MaxInt16)
	case types.Int4:
		return d.integer(t, n, math.MinInt32, math.MaxInt32)
	case types.Int8:
		return d.integer(t, n, math.MinInt64, math.MaxInt64)
	case types.OID:
		return d.integer(t, n, 0, math.MaxUint32)
	case types.Float4, types.Float8:
		return d.float(t, n)
	case types.Numeric:
		if d.text = appendNumeric(d.text[:0], t, n); len(d.text) > 0 {
			d.s = d.text
			return nil
		}
		v, err := types.ParseText(t, string(n.raw))
		if err != nil {
			e := *sqlerr.From(err)
			e.Message += ": " + string(short(n.raw))
			return &e
		}
		d.s = v.S
		return nil
	}
	if isText(t) {
		return d.fromString(t, n.raw)
	}
	return mismatch(t, "a number", n.raw)
}

// integer reads a number into the range, which holds 0.
func (d *Decoder) integer(t types.Type, n number, least, most int64) error {
	mant, neg := n.mant, n.neg
	if n.exp || n.frac > 0 || n.big {
		v, ok, whole := wholeNumber(n)
		if !whole {
			return mismatch(t, "a fraction", n.raw)
		}
		if !ok || v < least || v > most {
			return outOfRange(t, n)
		}
		d.i = v
		return nil
	}
	if !neg && mant <= uint64(most) {
		d.i = int64(mant)
		return nil
	}
	if neg && mant <= uint64(-(least+1))+1 && (least < 0 || mant == 0) {
		d.i = -int64(mant)
		return nil
	}
	return outOfRange(t, n)
}

func outOfRange(t types.Type, n number) error {
	return sqlerr.New(sqlerr.NumericOutOfRange, "value %s is out of range for type %s", short(n.raw), types.Bare(t))
}

// wholeNumber reads numbers such as 1.0 and 1e3, which few producers write. The
// digits are not expanded: the exponent may be anything.
func wholeNumber(n number) (v int64, ok, whole bool) {
	raw := bytes.TrimPrefix(n.raw, []byte("-"))
	exp := 0
	if i := bytes.IndexAny(raw, "eE"); i >= 0 {
		exp, _ = strconv.Atoi(string(raw[i+1:])) // the nearest int when out of range
		exp = max(min(exp, math.MaxInt32), math.MinInt32)
		raw = raw[:i]
	}
	before, after, _ := bytes.Cut(raw, []byte("."))
	all := bytes.TrimLeft(append(bytes.Clone(before), after...), "0")
	if len(all) == 0 {
		return 0, true, true
	}
	kept := bytes.TrimRight(all, "0")
	exp += len(all) - len(kept) - len(after)
	if exp < 0 {
		return 0, false, false
	}
	if len(kept)+exp > 19 {
		return 0, false, true
	}
	text := append(kept[:len(kept):len(kept)], "0000000000000000000"[:exp]...)
	if n.neg {
		text = append([]byte("-"), text...)
	}
	v, err := strconv.ParseInt(string(text), 10, 64)
	return v, err == nil, true
}

var exactPow10 = [...]float64{1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10,
	1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22}

func (d *Decoder) float(t types.Type, n number) error {
	if t.ID == types.Float8 && !n.exp && !n.big && n.mant < 1<<53 && n.frac < len(exactPow10) {
		// Both are exact, and so the quotient is rounded once.
		if d.f = float64(n.mant) / exactPow10[n.frac]; n.neg {
			d.f = -d.f
		}
		return nil
	}
	bits := 64
	if t.ID == types.Float4 {
		bits = 32
	}
	f, err := strconv.ParseFloat(string(n.raw), bits)
	if err != nil {
		return outOfRange(t, n)
	}
	d.f = f
	return nil
}

// appendNumeric appends a short number; nothing when it takes the long way.
func appendNumeric(dst []byte, t types.Type, n number) []byte {
	if n.exp || n.big || n.frac > 18 || n.mant > math.MaxInt64 {
		return dst
	}
	mant, scale := n.mant, n.frac
	if t.Mod != 0 {
		precision, to := int(t.Mod>>16), int(t.Mod&0xFFFF)-1
		if to < scale || to > 252 || precision > 18 {
			return dst
		}
		for ; scale < to; scale++ {
			if mant >= 1e17 {
				return dst
			}
			mant *= 10
		}
		if mant >= uint64(exactPow10[precision]) {
			return dst
		}
	}
	v := int64(mant)
	if n.neg {
		v = -v
	}
	at := len(dst)
	dst = types.AppendNumericInt(dst, v)
	dst[at] = byte(scale)
	return dst
}
