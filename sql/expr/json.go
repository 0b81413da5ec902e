package expr

import (
	"bytes"
	"encoding/json"
	"math"
	"strconv"
	"strings"

	"github.com/streamsql/streamsql/sql/sqlerr"
	"github.com/streamsql/streamsql/sql/types"
)

// A json text in memory is valid, so that what follows may skip through it.

func skipSpace(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\n' || b[i] == '\t' || b[i] == '\r') {
		i++
	}
	return i
}

// stringEnd returns the end of the string that begins at i, behind its quote.
func stringEnd(b []byte, i int) int {
	for i++; i < len(b); i++ {
		switch b[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return len(b)
}

// valueEnd returns the end of the value that begins at i.
func valueEnd(b []byte, i int) int {
	if i >= len(b) {
		return len(b)
	}
	switch b[i] {
	case '"':
		return stringEnd(b, i)
	case '{', '[':
		depth := 0
		for i < len(b) {
			switch b[i] {
			case '"':
				i = stringEnd(b, i)
				continue
			case '{', '[':
				depth++
			case '}', ']':
				if depth--; depth == 0 {
					return i + 1
				}
			}
			i++
		}
		return len(b)
	}
	for i < len(b) && b[i] != ',' && b[i] != '}' && b[i] != ']' && b[i] > ' ' {
		i++
	}
	return i
}

// eachField calls fn with the keys, quotes included, and values of an object.
func eachField(b []byte, fn func(key, val []byte) bool) {
	i := skipSpace(b, 0)
	if i >= len(b) || b[i] != '{' {
		return
	}
	for i = skipSpace(b, i+1); i < len(b) && b[i] == '"'; {
		end := stringEnd(b, i)
		key := b[i:end]
		i = skipSpace(b, end)
		i = skipSpace(b, i+1) // the colon
		end = valueEnd(b, i)
		if !fn(key, b[i:end]) {
			return
		}
		if i = skipSpace(b, end); i < len(b) && b[i] == ',' {
			i = skipSpace(b, i+1)
		}
	}
}

// eachElem calls fn with the elements of an array.
func eachElem(b []byte, fn func(val []byte) bool) {
	i := skipSpace(b, 0)
	if i >= len(b) || b[i] != '[' {
		return
	}
	for i = skipSpace(b, i+1); i < len(b) && b[i] != ']'; {
		end := valueEnd(b, i)
		if !fn(b[i:end]) {
			return
		}
		if i = skipSpace(b, end); i < len(b) && b[i] == ',' {
			i = skipSpace(b, i+1)
		}
	}
}

// jsonString gives the text of a quoted string.
func jsonString(q []byte) []byte {
	if len(q) < 2 {
		return q
	}
	if bytes.IndexByte(q, '\\') < 0 {
		return q[1 : len(q)-1]
	}
	var s string
	if json.Unmarshal(q, &s) != nil {
		return q[1 : len(q)-1]
	}
	return []byte(s)
}

func keyIs(q, key []byte) bool {
	if len(q)-2 == len(key) && bytes.Equal(q[1:len(q)-1], key) {
		return bytes.IndexByte(key, '\\') < 0
	}
	return bytes.IndexByte(q, '\\') >= 0 && bytes.Equal(jsonString(q), key)
}

// jsonField returns the value of a key; of equal keys the last one.
func jsonField(b, key []byte) []byte {
	var out []byte
	eachField(b, func(k, v []byte) bool {
		if keyIs(k, key) {
			out = v
		}
		return true
	})
	return out
}

// jsonElem returns element n, from the end when it is negative.
func jsonElem(b []byte, n int64) []byte {
	if n < 0 {
		count := int64(0)
		eachElem(b, func([]byte) bool { count++; return true })
		if n += count; n < 0 {
			return nil
		}
	}
	var out []byte
	eachElem(b, func(v []byte) bool {
		if n == 0 {
			out = v
		}
		n--
		return n >= 0
	})
	return out
}

// jsonStep goes down by one element of a path.
func jsonStep(b []byte, step []byte) []byte {
	switch jsonKind(b) {
	case "object":
		return jsonField(b, step)
	case "array":
		if n, err := strconv.ParseInt(strings.TrimSpace(string(step)), 10, 32); err == nil {
			return jsonElem(b, n)
		}
	}
	return nil
}

// jsonText is what ->> gives of a value: strings without quotes, null as NULL.
func jsonText(v []byte) types.Datum {
	if v == nil || jsonKind(v) == "null" {
		return types.NullDatum
	}
	if v[0] == '"' {
		return types.Datum{S: jsonString(v)}
	}
	return types.Datum{S: v}
}

func jsonValue(v []byte) types.Datum {
	if v == nil {
		return types.NullDatum
	}
	return types.Datum{S: v}
}

// decodeJSON gives a value as encoding/json does, numbers kept as text.
func decodeJSON(b []byte) (any, error) {
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		return nil, sqlerr.New(sqlerr.InvalidText, "invalid input syntax for type json")
	}
	return v, nil
}

func appendJSONString(dst []byte, s string) []byte {
	return types.AppendJSONB(dst, s)
}

// appendJSON appends a SQL value as json (to_json).
func appendJSON(ctx *Context, dst []byte, t types.Type, d types.Datum) ([]byte, error) {
	if d.Null {
		return append(dst, "null"...), nil
	}
	switch t.ID {
	case types.Bool:
		return strconv.AppendBool(dst, d.I != 0), nil
	case types.Int2, types.Int4, types.Int8:
		return strconv.AppendInt(dst, d.I, 10), nil
	case types.Float4, types.Float8:
		if math.IsNaN(d.F) || math.IsInf(d.F, 0) {
			return append(types.FormatText(append(dst, '"'), t, d), '"'), nil
		}
		return types.FormatText(dst, t, d), nil
	case types.Numeric:
		if numericNaN(d.S) || numericInf(d.S) != 0 {
			return append(types.FormatText(append(dst, '"'), t, d), '"'), nil
		}
		return types.FormatText(dst, t, d), nil
	case types.JSON, types.JSONB:
		return append(dst, d.S...), nil
	case types.Timestamp, types.Timestamptz:
		return appendISOTime(append(dst, '"'), t, d.I, ctx), nil
	case types.Array:
		dst = append(dst, '[')
		for i, e := range types.Elems(d.S, t.Elem) {
			if i > 0 {
				dst = append(dst, ',')
			}
			var err error
			if dst, err = appendJSON(ctx, dst, types.Of(t.Elem), e); err != nil {
				return nil, err
			}
		}
		return append(dst, ']'), nil
	}
	s, err := textOf(ctx, nil, t, d)
	return appendJSONString(dst, string(s)), err
}

// appendISOTime appends a timestamp as XML and json have it, with a T and a
// whole offset, and the closing quote.
func appendISOTime(dst []byte, t types.Type, us int64, ctx *Context) []byte {
	start := len(dst)
	if t.ID == types.Timestamptz {
		dst = appendTimestamptz(dst, us, ctx.zone())
	} else {
		dst = types.FormatText(dst, t, types.Datum{I: us})
	}
	if i := bytes.IndexByte(dst[start:], ' '); i > 0 {
		dst[start+i] = 'T'
		if n := len(dst); t.ID == types.Timestamptz && (dst[n-3] == '+' || dst[n-3] == '-') {
			dst = append(dst, ":00"...)
		}
	}
	return append(dst, '"')
}

// jsonContains is @>: the structure of b is found in a.
func jsonContains(a, b any) bool {
	switch b := b.(type) {
	case map[string]any:
		m, ok := a.(map[string]any)
		if !ok {
			return false
		}
		for k, v := range b {
			w, ok := m[k]
			if !ok || !jsonContains(w, v) {
				return false
			}
		}
		return true
	case []any:
		s, ok := a.([]any)
		if !ok {
			return false
		}
		for _, v := range b {
			found := false
			for _, w := range s {
				if found = jsonContains(w, v); found {
					break
				}
			}
			if !found {
				return false
			}
		}
		return true
	}
	return jsonEqual(a, b)
}

func jsonEqual(a, b any) bool {
	return bytes.Equal(types.AppendJSONB(nil, a), types.AppendJSONB(nil, b)) || numbersEqual(a, b)
}

func numbersEqual(a, b any) bool {
	x, okX := a.(json.Number)
	y, okY := b.(json.Number)
	if !okX || !okY {
		return false
	}
	p, err1 := types.ParseText(types.Of(types.Numeric), x.String())
	q, err2 := types.ParseText(types.Of(types.Numeric), y.String())
	return err1 == nil && err2 == nil && types.NumericCmp(p.S, q.S) == 0
}

// jsonSet puts val at path (jsonb_set, jsonb_insert, #-). op: "set", "insert",
// "delete". create adds what is missing at the path's end.
func jsonSet(v any, path []types.Datum, val any, op string, create, after bool) (any, error) {
	if len(path) == 0 {
		return v, nil
	}
	if path[0].Null {
		return nil, sqlerr.New("22004", "path element at position 1 is null")
	}
	key := string(path[0].S)
	last := len(path) == 1
	switch v := v.(type) {
	case map[string]any:
		old, ok := v[key]
		switch {
		case !last:
			if !ok {
				return v, nil
			}
			w, err := jsonSet(old, path[1:], val, op, create, after)
			if err != nil {
				return nil, err
			}
			v[key] = w
		case op == "delete":
			delete(v, key)
		case op == "insert" && ok:
			return nil, sqlerr.New(sqlerr.InvalidParameter, "cannot replace existing key").
				WithHint("Try using the function jsonb_set to replace key value.")
		case ok || create:
			v[key] = val
		}
		return v, nil
	case []any:
		n, err := strconv.Atoi(strings.TrimSpace(key))
		if err != nil {
			return nil, sqlerr.New(sqlerr.InvalidText, "path element at position 1 is not an integer: \"%s\"", key)
		}
		before := false
		if n < 0 {
			if n += len(v); n < 0 {
				n, before = 0, true
			}
		}
		in := n < len(v) && !before
		switch {
		case !last:
			if !in {
				return v, nil
			}
			w, err := jsonSet(v[n], path[1:], val, op, create, after)
			if err != nil {
				return nil, err
			}
			v[n] = w
			return v, nil
		case op == "delete":
			if in {
				v = append(v[:n:n], v[n+1:]...)
			}
			return v, nil
		case op == "set" && in:
			v[n] = val
			return v, nil
		case !create:
			return v, nil
		case before:
			return append([]any{val}, v...), nil
		case n >= len(v):
			return append(v, val), nil
		}
		if after {
			n++
		}
		return append(v[:n:n], append([]any{val}, v[n:]...)...), nil
	}
	return v, nil
}

func stripNulls(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k, w := range v {
			if w == nil {
				delete(v, k)
			} else {
				v[k] = stripNulls(w)
			}
		}
	case []any:
		for i := range v {
			v[i] = stripNulls(v[i])
		}
	}
	return v
}

// prettyJSON is jsonb_pretty: four blanks a level.
func prettyJSON(dst, b []byte) []byte {
	var out bytes.Buffer
	if json.Indent(&out, b, "", "    ") != nil {
		return append(dst, b...)
	}
	s := out.String()
	s = strings.ReplaceAll(s, "{}", "{\n}")
	return append(dst, s...)
}
