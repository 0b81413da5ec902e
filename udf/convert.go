package udf

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/streamsql/streamsql/sql/types"
)

var (
	timeType  = reflect.TypeFor[time.Time]()
	bytesType = reflect.TypeFor[[]byte]()
	errType   = reflect.TypeFor[error]()
)

// sqlTypes returns the SQL types that a Go type stands for, the first being its
// natural one, and whether it can hold NULL. No types: it stands for none.
func sqlTypes(t reflect.Type) (ids []types.Type, nullable bool) {
	if t.Kind() == reflect.Pointer {
		ids, _ = sqlTypes(t.Elem())
		return ids, true
	}
	var out []types.ID
	switch {
	case t == timeType:
		out = []types.ID{types.Timestamptz, types.Timestamp}
	case t == bytesType:
		out = []types.ID{types.Bytea}
	}
	if out == nil {
		switch t.Kind() {
		case reflect.Bool:
			out = []types.ID{types.Bool}
		case reflect.Int16:
			out = []types.ID{types.Int2}
		case reflect.Int32:
			out = []types.ID{types.Int4}
		case reflect.Int64, reflect.Int:
			out = []types.ID{types.Int8}
		case reflect.Float32:
			out = []types.ID{types.Float4}
		case reflect.Float64:
			out = []types.ID{types.Float8}
		case reflect.String:
			out = []types.ID{types.Text, types.Varchar, types.JSON, types.JSONB}
		case reflect.Slice:
			elems, _ := sqlTypes(t.Elem())
			for _, e := range elems {
				if e.ID != types.Array {
					ids = append(ids, types.ArrayOf(e.ID))
				}
			}
			return ids, false
		}
	}
	for _, id := range out {
		ids = append(ids, types.Of(id))
	}
	return ids, false
}

// fits tells whether a value of SQL type t can be given as, or taken from, go.
func fits(t types.Type, g reflect.Type) bool {
	ids, _ := sqlTypes(g)
	return slices.Contains(ids, types.Bare(t))
}

// setter returns what stores a value of SQL type t into a Go variable of type
// g. It is made once a call, so that the types are not looked at for each row.
func setter(t types.Type, g reflect.Type) func(reflect.Value, types.Datum) error {
	if g.Kind() == reflect.Pointer {
		set := setter(t, g.Elem())
		return func(v reflect.Value, d types.Datum) error {
			if d.Null {
				v.SetZero()
				return nil
			}
			p := reflect.New(g.Elem()) // a new one each time: the function may keep it
			v.Set(p)
			return set(p.Elem(), d)
		}
	}
	switch {
	case g == timeType:
		return func(v reflect.Value, d types.Datum) error {
			v.Set(reflect.ValueOf(time.UnixMicro(d.I).UTC()))
			return nil
		}
	case g == bytesType:
		return func(v reflect.Value, d types.Datum) error { v.SetBytes(slices.Clone(d.S)); return nil }
	}
	switch g.Kind() {
	case reflect.Bool:
		return func(v reflect.Value, d types.Datum) error { v.SetBool(d.I != 0); return nil }
	case reflect.Float32, reflect.Float64:
		return func(v reflect.Value, d types.Datum) error { v.SetFloat(d.F); return nil }
	case reflect.String:
		return func(v reflect.Value, d types.Datum) error { v.SetString(string(d.S)); return nil }
	case reflect.Slice:
		elem := types.Of(t.Elem)
		set := setter(elem, g.Elem())
		return func(v reflect.Value, d types.Datum) error {
			elems := types.Elems(d.S, t.Elem)
			s := reflect.MakeSlice(g, len(elems), len(elems))
			for i, e := range elems {
				if e.Null && g.Elem().Kind() != reflect.Pointer {
					return fmt.Errorf("element %d of the array is NULL, which %s cannot hold", i+1, g.Elem())
				}
				if err := set(s.Index(i), e); err != nil {
					return err
				}
			}
			v.Set(s)
			return nil
		}
	}
	return func(v reflect.Value, d types.Datum) error { v.SetInt(d.I); return nil }
}

// getter returns what reads a Go value of type g as SQL type t.
func getter(t types.Type, g reflect.Type) func(reflect.Value) (types.Datum, error) {
	if g.Kind() == reflect.Pointer {
		get := getter(t, g.Elem())
		return func(v reflect.Value) (types.Datum, error) {
			if v.IsNil() {
				return types.NullDatum, nil
			}
			return get(v.Elem())
		}
	}
	switch {
	case g == timeType:
		return func(v reflect.Value) (types.Datum, error) {
			return types.Datum{I: v.Interface().(time.Time).UnixMicro()}, nil
		}
	case g == bytesType:
		return func(v reflect.Value) (types.Datum, error) { return types.Datum{S: v.Bytes()}, nil }
	}
	switch g.Kind() {
	case reflect.Bool:
		return func(v reflect.Value) (types.Datum, error) {
			if v.Bool() {
				return types.Datum{I: 1}, nil
			}
			return types.Datum{}, nil
		}
	case reflect.Float32, reflect.Float64:
		return func(v reflect.Value) (types.Datum, error) { return types.Datum{F: v.Float()}, nil }
	case reflect.String:
		return func(v reflect.Value) (types.Datum, error) {
			s := v.String()
			if !utf8.ValidString(s) || strings.IndexByte(s, 0) >= 0 {
				return types.Datum{}, fmt.Errorf("the result %q is not text: it has a byte 0 or is not UTF-8", s)
			}
			return types.ParseText(t, s) // checks and normalises json
		}
	case reflect.Slice:
		get := getter(types.Of(t.Elem), g.Elem())
		return func(v reflect.Value) (types.Datum, error) {
			out := []byte{}
			for i := range v.Len() {
				d, err := get(v.Index(i))
				if err != nil {
					return types.Datum{}, err
				}
				out = types.AppendElem(out, t.Elem, d)
			}
			return types.Datum{S: out}, nil
		}
	}
	return func(v reflect.Value) (types.Datum, error) { return types.Datum{I: v.Int()}, nil }
}
