package json

import (
	"bytes"
	"math"
	"strconv"

	"github.com/streamsql/streamsql/sql/delta"
	"github.com/streamsql/streamsql/sql/types"
)

// Keys returns the members' names as AppendRow writes them: quoted, with the colon.
func Keys(names []string) [][]byte {
	out := make([][]byte, len(names))
	for i, n := range names {
		out[i] = append(AppendString(nil, []byte(n)), ':')
	}
	return out
}

// AppendRow appends row i as an object on one line. The columns beyond the keys
// are left out.
func AppendRow(dst []byte, keys [][]byte, cols []*delta.Vec, i int) []byte {
	dst = append(dst, '{')
	for c, k := range keys {
		if c > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, k...)
		dst = AppendValue(dst, cols[c], i)
	}
	return append(dst, '}')
}

// AppendValue appends row i of v as PostgreSQL's to_json gives it: numbers,
// booleans, arrays and JSON as themselves, all else as strings, with a T in
// timestamps. What no JSON number can be (NaN, Infinity) is a string.
func AppendValue(dst []byte, v *delta.Vec, i int) []byte {
	if v.Null(i) {
		return append(dst, "null"...)
	}
	switch v.T.Phys() {
	case types.PhysInt:
		return appendDatum(dst, v.T, types.Datum{I: v.I[i]})
	case types.PhysFloat:
		return appendDatum(dst, v.T, types.Datum{F: v.F[i]})
	}
	return appendDatum(dst, v.T, types.Datum{S: v.Bytes(i)})
}

func appendDatum(dst []byte, t types.Type, d types.Datum) []byte {
	switch t.ID {
	case types.Bool:
		return strconv.AppendBool(dst, d.I != 0)
	case types.Int2, types.Int4, types.Int8, types.OID:
		return strconv.AppendInt(dst, d.I, 10)
	case types.Float4, types.Float8:
		if !math.IsNaN(d.F) && !math.IsInf(d.F, 0) {
			return types.FormatText(dst, t, d)
		}
	case types.Numeric:
		if len(d.S) == 0 || d.S[0] < types.NumericNaN {
			return types.FormatText(dst, t, d)
		}
	case types.Text, types.Varchar, types.Bpchar, types.Name, types.Char, types.Unknown:
		return AppendString(dst, d.S)
	case types.JSON, types.JSONB:
		// A line break can only be between tokens.
		at := len(dst)
		dst = append(dst, d.S...)
		for ; at < len(dst); at++ {
			if dst[at] == '\n' || dst[at] == '\r' {
				dst[at] = ' '
			}
		}
		return dst
	case types.Array:
		dst = append(dst, '[')
		for i, e := range types.Elems(d.S, t.Elem) {
			if i > 0 {
				dst = append(dst, ',')
			}
			if e.Null {
				dst = append(dst, "null"...)
				continue
			}
			dst = appendDatum(dst, types.Of(t.Elem), e)
		}
		return append(dst, ']')
	}
	at := len(dst) + 1
	dst = types.FormatText(append(dst, '"'), t, d)
	switch t.ID {
	case types.Timestamptz:
		if bytes.HasSuffix(dst, []byte("+00")) {
			dst = append(dst, ":00"...)
		}
		fallthrough
	case types.Timestamp:
		if sp := bytes.IndexByte(dst[at:], ' '); sp >= 0 {
			dst[at+sp] = 'T'
		}
	case types.Interval, types.Date, types.Time, types.UUID, types.Numeric, types.Float4, types.Float8:
	default:
		// Any other text form may need escapes.
		return AppendString(dst[:at-1], bytes.Clone(dst[at:]))
	}
	return append(dst, '"')
}
