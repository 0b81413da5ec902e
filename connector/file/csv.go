package file

import (
	"bytes"
	"strconv"

	"github.com/streamsql/streamsql/connector/json"
	"github.com/streamsql/streamsql/sql/delta"
	"github.com/streamsql/streamsql/sql/sqlerr"
)

// csvEnd returns the length of the first record of b, its line break included;
// 0 when it does not end in b.
func csvEnd(b []byte, sep byte) int {
	for i := 0; i < len(b); {
		if b[i] == '"' {
			for i++; ; i += 2 {
				q := bytes.IndexByte(b[i:], '"')
				if q < 0 {
					return 0
				}
				if i += q; i+1 >= len(b) || b[i+1] != '"' {
					break
				}
			}
			i++
		}
		for i < len(b) && b[i] != sep && b[i] != '\n' {
			i++
		}
		if i == len(b) {
			return 0
		}
		if i++; b[i-1] == '\n' {
			return i
		}
	}
	return 0
}

type csvField struct {
	b      []byte
	quoted bool
}

// csvSplit splits a record without its line break. Fields alias it, or buf.
func csvSplit(out []csvField, buf, rec []byte, sep byte) ([]csvField, []byte, error) {
	out, buf = out[:0], buf[:0]
	for {
		if len(rec) == 0 || rec[0] != '"' {
			end := bytes.IndexByte(rec, sep)
			last := end < 0
			if last {
				end = len(rec)
			}
			if bytes.IndexByte(rec[:end], '"') >= 0 {
				return nil, buf, sqlerr.New(sqlerr.InvalidText, "field %d: a quote inside a field without quotes around it", len(out)+1)
			}
			out = append(out, csvField{b: rec[:end]})
			if last {
				return out, buf, nil
			}
			rec = rec[end+1:]
			continue
		}
		start, doubled := 1, false
		end := 1
		for {
			q := bytes.IndexByte(rec[end:], '"')
			if q < 0 {
				return nil, buf, sqlerr.New(sqlerr.InvalidText, "field %d: a quote does not end", len(out)+1)
			}
			if end += q; end+1 < len(rec) && rec[end+1] == '"' {
				doubled = true
				end += 2
				continue
			}
			break
		}
		val := rec[start:end]
		if doubled {
			at := len(buf)
			for i := 0; i < len(val); i++ {
				if buf = append(buf, val[i]); val[i] == '"' {
					i++
				}
			}
			val = buf[at:len(buf):len(buf)]
		}
		out = append(out, csvField{b: val, quoted: true})
		rec = rec[end+1:]
		if len(rec) == 0 {
			return out, buf, nil
		}
		if rec[0] != sep {
			return nil, buf, sqlerr.New(sqlerr.InvalidText, "field %d: text after the closing quote", len(out))
		}
		rec = rec[1:]
	}
}

// csvDecoder decodes CSV records into columns.
type csvDecoder struct {
	sep    byte
	names  []string // of the columns
	fields []int    // per column the field's index: -1: none
	meta   []bool
	want   int // fields of a record
	exact  bool
	vecs   []*delta.Vec
	rows   int
	split  []csvField
	buf    []byte
}

func (d *csvDecoder) end(b []byte) int { return csvEnd(b, d.sep) }

func (d *csvDecoder) decode(rec []byte) (err error) {
	if d.split, d.buf, err = csvSplit(d.split, d.buf, rec, d.sep); err != nil {
		return err
	}
	if n := len(d.split); n < d.want || n > d.want && d.exact {
		return sqlerr.New(sqlerr.InvalidText, "the record has %d fields, not %d", n, d.want)
	}
	for i, v := range d.vecs {
		if d.meta[i] {
			continue
		}
		f := csvField{}
		if d.fields[i] >= 0 {
			f = d.split[d.fields[i]]
		}
		if len(f.b) == 0 && !f.quoted {
			v.AppendNull()
			continue
		}
		if err := json.AppendText(v, f.b); err != nil {
			for k := range d.vecs[:i] {
				if !d.meta[k] {
					json.Truncate(d.vecs[k], d.rows)
				}
			}
			e := *sqlerr.From(err)
			e.Message = "field " + strconv.Quote(d.names[i]) + ": " + e.Message
			return &e
		}
	}
	d.rows++
	return nil
}

func (d *csvDecoder) vec(i int) *delta.Vec { return d.vecs[i] }

func (d *csvDecoder) size() int {
	n := 0
	for _, v := range d.vecs {
		n += len(v.Buf) + 8*d.rows
	}
	return n
}

func (d *csvDecoder) take() []*delta.Vec {
	out := d.vecs
	d.vecs = make([]*delta.Vec, len(out))
	for i, v := range out {
		d.vecs[i] = delta.NewVec(v.T, d.rows)
	}
	d.rows = 0
	return out
}

// jsonDecoder is the JSON decoder, for lines.
type jsonDecoder struct{ *json.Decoder }

func (d jsonDecoder) end(b []byte) int        { return bytes.IndexByte(b, '\n') + 1 }
func (d jsonDecoder) decode(rec []byte) error { return d.Decode(rec) }
func (d jsonDecoder) vec(i int) *delta.Vec    { return d.Col(i) }
func (d jsonDecoder) size() int               { return d.Size() }
func (d jsonDecoder) take() []*delta.Vec      { return d.Take() }
