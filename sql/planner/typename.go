package planner

import (
	"strings"

	"github.com/streamsql/streamsql/sql/ast"
	"github.com/streamsql/streamsql/sql/sqlerr"
	"github.com/streamsql/streamsql/sql/types"
)

// typeNames are Postgres' names of the types, and common ones of other systems.
var typeNames = map[string]types.Type{
	"bool": types.Of(types.Bool), "boolean": types.Of(types.Bool),
	"int2": types.Of(types.Int2), "smallint": types.Of(types.Int2),
	"int4": types.Of(types.Int4), "int": types.Of(types.Int4), "integer": types.Of(types.Int4),
	"int8": types.Of(types.Int8), "bigint": types.Of(types.Int8),
	"float4": types.Of(types.Float4), "real": types.Of(types.Float4),
	"float8": types.Of(types.Float8), "double": types.Of(types.Float8),
	"numeric": types.Of(types.Numeric), "decimal": types.Of(types.Numeric),
	"text": types.Of(types.Text), "string": types.Of(types.Text),
	"varchar": types.Of(types.Varchar), "bpchar": types.Of(types.Bpchar),
	"name": types.Of(types.Name), "bytea": types.Of(types.Bytea),
	"date": types.Of(types.Date), "time": types.Of(types.Time),
	"timestamp": types.Of(types.Timestamp), "timestamptz": types.Of(types.Timestamptz),
	"interval": types.Of(types.Interval), "uuid": types.Of(types.UUID),
	"json": types.Of(types.JSON), "jsonb": types.Of(types.JSONB),
	"oid": types.Of(types.OID), "regclass": types.Of(types.Regclass), "regtype": types.Of(types.Regtype),
	"char": types.Of(types.Char), "unknown": types.Of(types.Text), "void": types.Of(types.Void),
	"record": types.Of(types.Record),
	// Kinds of object identifier that the engine has no objects for.
	"regproc": types.Of(types.Text), "regprocedure": types.Of(types.Text), "regnamespace": types.Of(types.OID),
	"regrole": types.Of(types.OID), "regoper": types.Of(types.OID), "xid": types.Of(types.OID),
	"int2vector": types.ArrayOf(types.Int2), "oidvector": types.ArrayOf(types.OID),
	"aclitem": types.Of(types.Text), "pg_node_tree": types.Of(types.Text), "cstring": types.Of(types.Text),
}

// unsupportedTypes exist in Postgres and not here.
var unsupportedTypes = map[string]bool{
	"timetz": true, "money": true, "bit": true, "varbit": true, "inet": true, "cidr": true, "macaddr": true,
	"xml": true, "point": true, "line": true, "box": true, "path": true, "polygon": true, "circle": true,
	"tsvector": true, "tsquery": true, "int4range": true, "int8range": true, "numrange": true,
	"tsrange": true, "tstzrange": true, "daterange": true,
}

// Type resolves the name of a type; 42704 when there is none.
func Type(t *ast.TypeName) (types.Type, error) {
	name := t.Parts[len(t.Parts)-1]
	fail := func(code, format string, args ...any) (types.Type, error) {
		return types.Type{}, sqlerr.New(code, format, args...).At(t.Offset())
	}
	if len(t.Parts) > 2 || len(t.Parts) == 2 && t.Parts[0] != "pg_catalog" && t.Parts[0] != "public" {
		return fail(sqlerr.UndefinedObject, `type "%s" does not exist`, strings.Join(t.Parts, "."))
	}
	dims := t.Dims
	typ, ok := typeNames[name]
	if !ok && strings.HasPrefix(name, "_") {
		if typ, ok = typeNames[name[1:]]; ok {
			dims++
		}
	}
	if !ok {
		if unsupportedTypes[name] {
			return fail(sqlerr.FeatureNotSupported, `type "%s" is not supported`, name)
		}
		return fail(sqlerr.UndefinedObject, `type "%s" does not exist`, strings.Join(t.Parts, "."))
	}
	mod, err := typeMod(typ, t)
	if err != nil {
		return types.Type{}, err
	}
	typ.Mod = mod
	switch {
	case dims == 0:
		return typ, nil
	case typ.ID == types.Array || types.ArrayOf(typ.ID).OID() == 0:
		return fail(sqlerr.UndefinedObject, `type "%s[]" does not exist`, name)
	}
	return types.ArrayOf(typ.ID), nil
}

// typeMod checks the modifiers in parentheses and encodes them.
func typeMod(typ types.Type, t *ast.TypeName) (int32, error) {
	m := t.Mods
	bad := func(format string, args ...any) (int32, error) {
		return 0, sqlerr.New(sqlerr.InvalidParameter, format, args...).At(t.Offset())
	}
	if len(m) == 0 {
		return 0, nil
	}
	switch typ.ID {
	case types.Numeric:
		if len(m) > 2 {
			return bad("invalid NUMERIC type modifier")
		}
		if m[0] < 1 || m[0] > 1000 {
			return bad("NUMERIC precision %d must be between 1 and 1000", m[0])
		}
		scale := int32(0)
		if len(m) == 2 {
			scale = m[1]
		}
		if scale < 0 || scale > m[0] {
			return bad("NUMERIC scale %d must be between 0 and precision %d", scale, m[0])
		}
		return m[0]<<16 | (scale + 1), nil
	case types.Varchar, types.Bpchar:
		kind := "varchar"
		if typ.ID == types.Bpchar {
			kind = "char"
		}
		switch {
		case len(m) > 1:
			return bad("invalid type modifier")
		case m[0] < 1:
			return bad("length for type %s must be at least 1", kind)
		case m[0] > 10485760:
			return bad("length for type %s cannot exceed 10485760", kind)
		}
		return m[0], nil
	case types.Time, types.Timestamp, types.Timestamptz:
		if len(m) > 1 || m[0] < 0 {
			return bad("invalid type modifier")
		}
		if m[0] >= 6 {
			return 0, nil // the precision that they have anyway
		}
		return m[0] + 1, nil
	case types.Interval:
		if m[0] >= 6 {
			return 0, nil
		}
		return 0, sqlerr.New(sqlerr.FeatureNotSupported, "an interval with a precision is not supported").At(t.Offset())
	}
	return 0, sqlerr.New(sqlerr.Syntax, `type modifier is not allowed for type "%s"`, t.Parts[len(t.Parts)-1]).At(t.Offset())
}

func (b *binder) typeOf(t *ast.TypeName) types.Type {
	typ, err := Type(t)
	must(err, t.Offset())
	return typ
}
