package expr

import (
	"strings"

	"github.com/streamsql/streamsql/sql/types"
)

// category returns pg_type.typcategory.
func category(t types.Type) byte {
	switch t.ID {
	case types.Bool:
		return 'B'
	case types.Int2, types.Int4, types.Int8, types.Float4, types.Float8, types.Numeric,
		types.OID, types.Regclass, types.Regtype:
		return 'N'
	case types.Text, types.Varchar, types.Bpchar, types.Name:
		return 'S'
	case types.Char:
		return 'Z'
	case types.Date, types.Time, types.Timestamp, types.Timestamptz:
		return 'D'
	case types.Interval:
		return 'T'
	case types.Array:
		return 'A'
	case types.Unknown:
		return 'X'
	case types.Record, types.Void, Any, AnyElement, AnyArray:
		return 'P'
	}
	return 'U'
}

// preferred returns pg_type.typispreferred.
func preferred(t types.Type) bool {
	switch t.ID {
	case types.Bool, types.Float8, types.OID, types.Text, types.Timestamptz, types.Interval:
		return true
	}
	return false
}

func isString(t types.Type) bool { return category(t) == 'S' }

// typesByName maps format_type's names, and PostgreSQL's internal ones, to types.
var typesByName = func() map[string]types.Type {
	m := map[string]types.Type{
		"any": types.Of(Any), "anyelement": types.Of(AnyElement), "anyarray": types.Of(AnyArray),
		"bool": types.Of(types.Bool), "int2": types.Of(types.Int2), "int4": types.Of(types.Int4),
		"int8": types.Of(types.Int8), "int": types.Of(types.Int4), "float4": types.Of(types.Float4),
		"float8": types.Of(types.Float8), "float": types.Of(types.Float8), "decimal": types.Of(types.Numeric),
		"varchar": types.Of(types.Varchar), "bpchar": types.Of(types.Bpchar), "char": types.Of(types.Bpchar),
		"timestamp": types.Of(types.Timestamp), "timestamptz": types.Of(types.Timestamptz), "time": types.Of(types.Time),
	}
	for id := types.Unknown; id <= types.Void; id++ {
		if id != types.Array {
			m[types.Of(id).String()] = types.Of(id)
		}
	}
	return m
}()

// TypeNamed finds a type by the name that format_type prints or that PostgreSQL
// uses inside (int4, timestamptz), without modifiers; name[] is an array.
func TypeNamed(name string) (types.Type, bool) {
	name = strings.TrimSpace(name)
	if elem, ok := strings.CutSuffix(name, "[]"); ok {
		t, ok := TypeNamed(elem)
		if !ok || t.ID == types.Array || t.ID >= Any {
			return types.Type{}, false
		}
		return types.ArrayOf(t.ID), true
	}
	if elem, ok := strings.CutPrefix(name, "_"); ok {
		return TypeNamed(elem + "[]")
	}
	t, ok := typesByName[strings.ToLower(name)]
	return t, ok
}
