package catalog

import (
	_ "embed"
	"strconv"
	"strings"
	"sync"

	"github.com/streamsql/streamsql/sql/types"
)

// virtualText has a line for each virtual relation: schema, name, OID, and its
// columns. Those of pg_catalog and information_schema are PostgreSQL 15's, all
// of them, as clients select x.*; types that this engine does not have are given
// as the nearest one (regproc as text, int2vector as smallint[]).
//
//go:embed virtual.txt
var virtualText string

// VirtualRelations returns the relations of pg_catalog, information_schema and
// streamsql. They are the same at each call.
var VirtualRelations = sync.OnceValue(func() []*Object {
	var out []*Object
	for line := range strings.Lines(virtualText) {
		f := strings.Fields(line)
		id, err := strconv.ParseUint(f[2], 10, 32)
		if err != nil {
			panic("catalog: " + line)
		}
		o := &Object{ID: id, Schema: f[0], Name: f[1], Kind: Virtual}
		for _, c := range strings.Split(f[3], ",") {
			name, typ, _ := strings.Cut(c, ":")
			o.Columns = append(o.Columns, Column{Name: name, Type: virtualType(typ)})
		}
		out = append(out, o)
	}
	return out
})

var virtualTypes = map[string]types.ID{
	"bool": types.Bool, "int2": types.Int2, "int4": types.Int4, "int8": types.Int8,
	"float4": types.Float4, "float8": types.Float8, "text": types.Text, "varchar": types.Varchar,
	"name": types.Name, "char": types.Char, "oid": types.OID, "timestamptz": types.Timestamptz,
	"interval": types.Interval, "bytea": types.Bytea, "regtype": types.Regtype, "jsonb": types.JSONB,
}

func virtualType(s string) types.Type {
	elem, array := strings.CutSuffix(s, "[]")
	id, ok := virtualTypes[elem]
	if !ok {
		panic("catalog: no type " + s)
	}
	if array {
		return types.ArrayOf(id)
	}
	return types.Of(id)
}
