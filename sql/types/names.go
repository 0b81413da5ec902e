package types

import "fmt"

type typeInfo struct {
	name       string
	oid, array uint32
}

// PostgreSQL's names and OIDs (pg_type of PostgreSQL 15).
var infos = [...]typeInfo{
	Unknown:     {"unknown", 705, 0},
	Bool:        {"boolean", 16, 1000},
	Int2:        {"smallint", 21, 1005},
	Int4:        {"integer", 23, 1007},
	Int8:        {"bigint", 20, 1016},
	Float4:      {"real", 700, 1021},
	Float8:      {"double precision", 701, 1022},
	Numeric:     {"numeric", 1700, 1231},
	Text:        {"text", 25, 1009},
	Varchar:     {"character varying", 1043, 1015},
	Bpchar:      {"character", 1042, 1014},
	Name:        {"name", 19, 1003},
	Bytea:       {"bytea", 17, 1001},
	Date:        {"date", 1082, 1182},
	Time:        {"time without time zone", 1083, 1183},
	Timestamp:   {"timestamp without time zone", 1114, 1115},
	Timestamptz: {"timestamp with time zone", 1184, 1185},
	Interval:    {"interval", 1186, 1187},
	UUID:        {"uuid", 2950, 2951},
	JSON:        {"json", 114, 199},
	JSONB:       {"jsonb", 3802, 3807},
	OID:         {"oid", 26, 1028},
	Regclass:    {"regclass", 2205, 2210},
	Regtype:     {"regtype", 2206, 2211},
	Char:        {`"char"`, 18, 1002},
	Array:       {"anyarray", 2277, 0},
	Record:      {"record", 2249, 2287},
	Void:        {"void", 2278, 0},
}

// OID returns the type's object identifier in PostgreSQL.
func (t Type) OID() uint32 {
	if t.ID == Array {
		return infos[t.Elem].array
	}
	return infos[t.ID].oid
}

// FromOID returns the type with PostgreSQL's identifier oid.
func FromOID(oid uint32) (Type, bool) {
	for id, in := range infos {
		switch {
		case oid == 0 || ID(id) == Array:
		case oid == in.oid:
			return Of(ID(id)), true
		case oid == in.array:
			return ArrayOf(ID(id)), true
		}
	}
	return Type{}, false
}

// String returns the type's name as format_type prints it.
func (t Type) String() string {
	switch {
	case t.ID == Array:
		return infos[t.Elem].name + "[]"
	case t.Mod == 0:
		return infos[t.ID].name
	}
	switch t.ID {
	case Numeric:
		return fmt.Sprintf("numeric(%d,%d)", t.Mod>>16, t.Mod&0xFFFF-1)
	case Time, Timestamp, Timestamptz:
		name := infos[t.ID].name
		for i := range name {
			if name[i] == ' ' {
				return fmt.Sprintf("%s(%d)%s", name[:i], t.Mod-1, name[i:])
			}
		}
	}
	return fmt.Sprintf("%s(%d)", infos[t.ID].name, t.Mod)
}
