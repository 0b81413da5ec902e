package json

import (
	"github.com/streamsql/streamsql/connector"
	"github.com/streamsql/streamsql/sql/delta"
	"github.com/streamsql/streamsql/sql/sqlerr"
	"github.com/streamsql/streamsql/sql/types"
)

// maxDepth is encoding/json's limit on nesting.
const maxDepth = 10_000

// maxShape is how many keys of a record are remembered for the next one.
const maxShape = 512

// Options say what a record may lack and what it may have beyond the columns.
type Options struct {
	MissingIsError bool // a column without a field: an error instead of NULL
	UnknownIsError bool // a field without a column: an error instead of nothing
}

type field struct {
	name  string
	typ   types.Type
	vec   *delta.Vec
	meta  bool
	exact int // the row, plus one, that a key of the very same name filled
	hint  int // bytes that the last batch needed
}

// shape remembers what a key resolved to at its place in the last record:
// records of a stream mostly look alike.
type shape struct {
	key []byte
	to  int // the column, or -1
	how match
}

type match uint8

const (
	unknown match = iota
	folded
	exact
)

// Decoder decodes records into columns. It is used by one goroutine.
type Decoder struct {
	fields []field
	byName map[string]int
	opts   Options
	rows   int
	shapes []shape

	buf   []byte
	pos   int
	depth int

	// The value read last: its bytes alias the record or the scratch buffers.
	i int64
	f float64
	s []byte

	text    []byte // unescaped text
	arr     []byte // an array's elements
	norm    []byte // jsonb
	swap    []byte
	members []member
}

// New returns a decoder for the columns. Columns that carry metadata are left to
// the caller, who appends to Col(i) after each record.
func New(cols []connector.Column, opts Options) (*Decoder, error) {
	d := &Decoder{opts: opts, byName: make(map[string]int, len(cols))}
	for i, c := range cols {
		if !readable(c.Type) {
			return nil, sqlerr.New(sqlerr.FeatureNotSupported,
				`column "%s": JSON cannot be read as type %s`, c.Name, c.Type)
		}
		d.fields = append(d.fields, field{name: c.Name, typ: c.Type, meta: c.Meta != ""})
		if c.Meta == "" {
			d.byName[c.Name] = i
		}
	}
	d.Take()
	return d, nil
}

func readable(t types.Type) bool {
	switch t.ID {
	case types.Record, types.Void, types.Regclass, types.Regtype:
		return false
	case types.Array:
		return t.Elem != types.Array && readable(types.Of(t.Elem))
	}
	return true
}

// Len returns the number of rows decoded since the last Take.
func (d *Decoder) Len() int { return d.rows }

// Size returns about how many bytes they take. A caller takes the rows well
// before it reaches 2 GB, which no column can hold.
func (d *Decoder) Size() int {
	n := 0
	for i := range d.fields {
		n += len(d.fields[i].vec.Buf) + 8*d.rows
	}
	return n
}

// Col returns column i as decoded so far.
func (d *Decoder) Col(i int) *delta.Vec { return d.fields[i].vec }

// Take returns the columns and starts new ones.
func (d *Decoder) Take() []*delta.Vec {
	out := make([]*delta.Vec, len(d.fields))
	for i := range d.fields {
		f := &d.fields[i]
		out[i] = f.vec
		if f.vec != nil {
			f.hint = len(f.vec.Buf)
		}
		f.vec = delta.NewVec(f.typ, d.rows)
		if f.hint > 0 {
			f.vec.Buf = make([]byte, 0, f.hint+f.hint/8)
		}
		f.exact = 0
	}
	d.rows = 0
	return out
}

// Decode appends the record's row. After an error the columns are as before it.
func (d *Decoder) Decode(rec []byte) error {
	d.buf, d.pos, d.depth = rec, 0, 0
	err := d.record()
	if err == nil {
		for i := range d.fields {
			f := &d.fields[i]
			if f.meta || f.vec.N > d.rows {
				continue
			}
			if d.opts.MissingIsError {
				err = sqlerr.New(sqlerr.NotNullViolation, `field "%s" is missing`, f.name)
				break
			}
			f.vec.AppendNull()
		}
	}
	d.buf, d.s = nil, nil
	if err != nil {
		for i := range d.fields {
			if f := &d.fields[i]; !f.meta {
				Truncate(f.vec, d.rows)
				f.exact = 0
			}
		}
		return err
	}
	d.rows++
	return nil
}

// Truncate takes rows n and later off v, which is still being built.
func Truncate(v *delta.Vec, n int) {
	if v.N <= n {
		return
	}
	v.N = n
	switch v.T.Phys() {
	case types.PhysInt:
		v.I = v.I[:n]
	case types.PhysFloat:
		v.F = v.F[:n]
	default:
		v.Off = v.Off[:n+1]
		v.Buf = v.Buf[:v.Off[n]]
	}
	if v.Nulls == nil {
		return
	}
	v.Nulls = v.Nulls[:(n+63)/64]
	if n&63 != 0 {
		v.Nulls[n>>6] &= 1<<(uint(n)&63) - 1
	}
	for _, w := range v.Nulls {
		if w != 0 {
			return
		}
	}
	v.Nulls = nil
}

func (d *Decoder) record() error {
	if c := d.peek(); c != '{' {
		if d.pos == len(d.buf) {
			return d.syntax("empty record")
		}
		if err := d.skip(); err != nil {
			return err
		}
		return d.syntax("the record is no JSON object")
	}
	d.pos++
	d.depth = 1
	if d.peek() == '}' {
		d.pos++
		return d.end()
	}
	for k := 0; ; k++ {
		to, how, err := d.key(k)
		if err != nil {
			return err
		}
		if d.peek() != ':' {
			return d.unexpected("':' after a field's name")
		}
		d.pos++
		if err := d.fill(to, how); err != nil {
			return err
		}
		switch d.peek() {
		case ',':
			d.pos++
		case '}':
			d.pos++
			return d.end()
		default:
			return d.unexpected("',' or '}' after a field")
		}
	}
}

func (d *Decoder) end() error {
	if d.peek(); d.pos < len(d.buf) {
		return d.unexpected("the end of the record")
	}
	return nil
}
