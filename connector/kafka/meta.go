package kafka

import (
	"bytes"
	"encoding/hex"
	"strings"
	"unicode/utf8"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/streamsql/streamsql/connector"
	"github.com/streamsql/streamsql/connector/json"
	"github.com/streamsql/streamsql/sql/delta"
	"github.com/streamsql/streamsql/sql/sqlerr"
	"github.com/streamsql/streamsql/sql/types"
)

type metaKind uint8

const (
	metaKey metaKind = iota
	metaTimestamp
	metaMillis // the timestamp as Kafka has it
	metaPartition
	metaOffset
	metaHeaders
	metaHeader
)

// meta is a column that the record's surroundings fill.
type meta struct {
	col  int
	name string // of the column
	typ  types.Type
	kind metaKind
	head string // the header's name
}

const headerPrefix = "header:"

func metaOf(i int, c connector.Column) (meta, error) {
	m := meta{col: i, name: c.Name, typ: c.Type}
	ok, want := true, ""
	switch id := c.Type.ID; {
	case c.Meta == "key":
		m.kind = metaKey
		ok, want = fromBytes(c.Type), "bytea, text or another scalar type"
	case c.Meta == "timestamp" && id == types.Int8:
		m.kind = metaMillis
	case c.Meta == "timestamp":
		m.kind = metaTimestamp
		ok = (id == types.Timestamp || id == types.Timestamptz) && (c.Type.Mod == 0 || c.Type.Mod >= 4)
		want = "timestamptz, timestamp or bigint"
	case c.Meta == "partition":
		m.kind = metaPartition
		ok, want = id == types.Int4 || id == types.Int8, "integer or bigint"
	case c.Meta == "offset":
		m.kind = metaOffset
		ok, want = id == types.Int8, "bigint"
	case c.Meta == "headers":
		m.kind = metaHeaders
		ok, want = id == types.JSONB || id == types.JSON || id == types.Text, "jsonb, json or text"
	case strings.HasPrefix(c.Meta, headerPrefix):
		m.kind, m.head = metaHeader, c.Meta[len(headerPrefix):]
		ok, want = fromBytes(c.Type), "bytea, text or another scalar type"
	default:
		return m, invalid(`column "%s": kafka has no metadata %s`, c.Name, c.Meta).
			WithHint("There are key, timestamp, partition, offset, headers, and header 'name'.")
	}
	if !ok {
		return m, sqlerr.New(sqlerr.DatatypeMismatch, `column "%s" is of type %s, but the metadata %s is for %s`,
			c.Name, c.Type, c.Meta, want)
	}
	return m, nil
}

func fromBytes(t types.Type) bool {
	switch t.ID {
	case types.Array, types.Record, types.Void, types.Unknown, types.Regclass, types.Regtype:
		return false
	}
	return true
}

// value returns what the column holds for r. Its bytes may alias r.
func (m *meta) value(r *kgo.Record) (types.Datum, error) {
	switch m.kind {
	case metaKey:
		return m.parse(r.Key)
	case metaMillis, metaTimestamp:
		ms := r.Timestamp.UnixMilli()
		switch {
		case ms == -1: // Kafka's mark of a record without a timestamp
			return types.NullDatum, nil
		case m.kind == metaMillis:
			return types.Datum{I: ms}, nil
		case ms < types.MinTimestamp/1000 || ms > types.MaxTimestamp/1000:
			return types.Datum{}, sqlerr.New(sqlerr.DatetimeOverflow, `column "%s": timestamp out of range: %d ms`, m.name, ms)
		}
		return types.Datum{I: ms * 1000}, nil
	case metaPartition:
		return types.Datum{I: int64(r.Partition)}, nil
	case metaOffset:
		return types.Datum{I: r.Offset}, nil
	case metaHeaders:
		return types.Datum{S: headers(r.Headers)}, nil
	}
	// Of several headers of a name the last counts, as in Kafka's own client.
	for i := len(r.Headers) - 1; i >= 0; i-- {
		if r.Headers[i].Key == m.head {
			return m.parse(r.Headers[i].Value)
		}
	}
	return types.NullDatum, nil
}

func (m *meta) parse(b []byte) (types.Datum, error) {
	switch {
	case b == nil:
		return types.NullDatum, nil
	case m.typ.ID == types.Bytea:
		return types.Datum{S: b}, nil
	case !utf8.Valid(b) || bytes.IndexByte(b, 0) >= 0:
		return types.Datum{}, sqlerr.New(sqlerr.CharacterNotInRep, `column "%s": the bytes are no UTF-8 text`, m.name).
			WithHint("Declare the column as bytea.")
	case m.typ.ID == types.Text || m.typ.ID == types.Varchar && m.typ.Mod == 0:
		return types.Datum{S: b}, nil
	}
	d, err := types.ParseText(m.typ, string(b))
	if err != nil {
		e := *sqlerr.From(err)
		e.Message = `column "` + m.name + `": ` + e.Message
		return d, &e
	}
	return d, nil
}

// headers gives all headers in their order, in jsonb's normal form. Values that
// are no text are written as bytea is, \x….
func headers(hs []kgo.RecordHeader) []byte {
	out := []byte{'['}
	for i, h := range hs {
		if i > 0 {
			out = append(out, ", "...)
		}
		out = append(out, `{"key": `...)
		out = json.AppendString(out, bytes.ReplaceAll([]byte(h.Key), []byte{0}, nil))
		out = append(out, `, "value": `...)
		switch {
		case h.Value == nil:
			out = append(out, "null"...)
		case utf8.Valid(h.Value) && bytes.IndexByte(h.Value, 0) < 0:
			out = json.AppendString(out, h.Value)
		default:
			out = append(out, `"\\x`...)
			out = append(hex.AppendEncode(out, h.Value), '"')
		}
		out = append(out, '}')
	}
	return append(out, ']')
}

func appendMeta(v *delta.Vec, d types.Datum) {
	switch {
	case d.Null:
		v.AppendNull()
	case v.T.Phys() == types.PhysInt:
		v.AppendInt(d.I)
	default:
		v.AppendDatum(d)
	}
}
