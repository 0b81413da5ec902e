package json

import (
	"bytes"
	"math"
	"unicode/utf8"

	"github.com/streamsql/streamsql/sql/delta"
	"github.com/streamsql/streamsql/sql/sqlerr"
	"github.com/streamsql/streamsql/sql/types"
)

// key reads the record's k-th key and returns its column.
func (d *Decoder) key(k int) (int, match, error) {
	if d.peek() != '"' {
		return 0, 0, d.unexpected("a field's name")
	}
	if k < len(d.shapes) {
		s := &d.shapes[k]
		p := d.pos + 1
		if e := p + len(s.key); e < len(d.buf) && d.buf[e] == '"' && bytes.Equal(d.buf[p:e], s.key) {
			d.pos = e + 1
			return s.to, s.how, nil
		}
	}
	start := d.pos + 1
	name, err := d.str()
	if err != nil {
		return 0, 0, err
	}
	to, how := d.lookup(name)
	if how == unknown && d.opts.UnknownIsError {
		return 0, 0, sqlerr.New(sqlerr.UndefinedColumn, `there is no column for the field "%s"`, short(name))
	}
	// A key with escapes is not worth remembering.
	if plain := len(name) == d.pos-1-start; plain && k <= len(d.shapes) && k < maxShape {
		if k == len(d.shapes) {
			d.shapes = append(d.shapes, shape{})
		}
		s := &d.shapes[k]
		s.key, s.to, s.how = append(s.key[:0], name...), to, how
	}
	return to, how, nil
}

func (d *Decoder) lookup(name []byte) (int, match) {
	if i, ok := d.byName[string(name)]; ok {
		return i, exact
	}
	for i := range d.fields {
		if f := &d.fields[i]; !f.meta && foldEqual(f.name, name) {
			return i, folded
		}
	}
	return -1, unknown
}

func foldEqual(a string, b []byte) bool {
	if len(a) != len(b) {
		// Only other letters than ASCII's may fold to another length.
		return bytes.EqualFold([]byte(a), b)
	}
	for i := 0; i < len(a); i++ {
		x, y := a[i], b[i]
		if x|y >= 0x80 {
			return bytes.EqualFold([]byte(a), b)
		}
		if x != y && (x|0x20 != y|0x20 || x|0x20 < 'a' || x|0x20 > 'z') {
			return false
		}
	}
	return true
}

// fill reads a field's value into its column. Of several fields for one column
// the last counts, but one of the very same name before others.
func (d *Decoder) fill(to int, how match) error {
	if how == unknown {
		return d.skip()
	}
	f := &d.fields[to]
	if f.vec.N > d.rows {
		if how == folded && f.exact == d.rows+1 {
			return d.skip()
		}
		Truncate(f.vec, d.rows)
	}
	if how == exact {
		f.exact = d.rows + 1
	}
	null, err := d.value(f.typ)
	if err != nil {
		return inField(f.name, err)
	}
	if null {
		f.vec.AppendNull()
		return nil
	}
	if err := d.into(f.vec); err != nil {
		return inField(f.name, err)
	}
	return nil
}

// into appends the value read last.
func (d *Decoder) into(v *delta.Vec) error {
	switch v.T.Phys() {
	case types.PhysInt:
		v.AppendInt(d.i)
	case types.PhysFloat:
		v.AppendFloat(d.f)
	default:
		if len(v.Buf)+len(d.s) > math.MaxInt32 {
			return sqlerr.New(sqlerr.TooComplex, "a batch holds no more than 2 GB of a column")
		}
		v.AppendBytes(d.s)
	}
	return nil
}

// AppendText appends a value given as its type's text form, as other encodings
// than JSON have it. Where it reads what the types package reads, it is quicker.
func AppendText(v *delta.Vec, s []byte) error {
	if !utf8.Valid(s) || bytes.IndexByte(s, 0) >= 0 {
		return sqlerr.New(sqlerr.CharacterNotInRep, `invalid byte sequence for encoding "UTF8"`)
	}
	var d Decoder
	if err := d.fromString(v.T, s); err != nil {
		return err
	}
	return d.into(v)
}

func inField(name string, err error) error {
	e := *sqlerr.From(err)
	e.Message = `field "` + name + `": ` + e.Message
	return &e
}

// short is b as a message quotes it.
func short(b []byte) []byte {
	const most = 64
	if len(b) <= most {
		return b
	}
	return append(bytes.ToValidUTF8(b[:most:most], nil), "…"...)
}
