package json

import (
	"bytes"
	"math"

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
		truncate(f.vec, d.rows)
	}
	if how == exact {
		f.exact = d.rows + 1
	}
	null, err := d.value(f.typ)
	if err != nil {
		return inField(f.name, err)
	}
	switch {
	case null:
		f.vec.AppendNull()
	case f.vec.I != nil || f.typ.Phys() == types.PhysInt:
		f.vec.AppendInt(d.i)
	case f.typ.Phys() == types.PhysFloat:
		f.vec.AppendFloat(d.f)
	default:
		if len(f.vec.Buf)+len(d.s) > math.MaxInt32 {
			return inField(f.name, sqlerr.New(sqlerr.TooComplex, "a batch holds no more than 2 GB of a column"))
		}
		f.vec.AppendBytes(d.s)
	}
	return nil
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
