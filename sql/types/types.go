package types

// ID names a SQL type.
type ID uint8

// The SQL types. Unknown is an untyped literal or NULL.
const (
	Unknown ID = iota
	Bool
	Int2
	Int4
	Int8
	Float4
	Float8
	Numeric
	Text
	Varchar
	Bpchar
	Name
	Bytea
	Date        // days since 1970-01-01
	Time        // µs since midnight
	Timestamp   // µs since 1970-01-01, no zone
	Timestamptz // µs since 1970-01-01 UTC
	Interval    // 16 bytes little-endian: µs int64, days int32, months int32
	UUID        // 16 bytes
	JSON        // the text as given
	JSONB       // normalised text
	OID
	Regclass
	Regtype
	Char  // Postgres' internal "char"
	Array // of Elem
	Record
	Void
)

// Type is a SQL type. It is comparable. Build arrays with ArrayOf.
type Type struct {
	ID   ID    `json:"id"`
	Elem ID    `json:"elem,omitempty"` // of an Array
	Mod  int32 `json:"mod,omitempty"`  // 0: none. numeric: precision<<16|scale+1 ; varchar, bpchar: length ; time types: precision+1
}

// Of returns the type with the given ID and no modifier.
func Of(id ID) Type { return Type{ID: id} }

// ArrayOf returns the array type of elem.
func ArrayOf(elem ID) Type { return Type{ID: Array, Elem: elem} }

// Phys is the physical form of a column.
type Phys uint8

// Three physical forms carry all SQL types.
const (
	PhysInt   Phys = iota // []int64: bool (0, 1), integers, oid, date, time, timestamps
	PhysFloat             // []float64
	PhysBytes             // offsets + bytes: text, bytea, numeric, interval, uuid, json, arrays
)

// Phys returns the physical form of values of t.
func (t Type) Phys() Phys {
	switch t.ID {
	case Bool, Int2, Int4, Int8, Date, Time, Timestamp, Timestamptz, OID, Regclass, Regtype:
		return PhysInt
	case Float4, Float8:
		return PhysFloat
	}
	return PhysBytes
}

// Datum is one value away from hot paths: constants, the wire, the catalog, tests.
// Which of I, F and S holds the value follows from the type's Phys.
type Datum struct {
	Null bool    `json:"null,omitempty"`
	I    int64   `json:"i,omitempty"`
	F    float64 `json:"f,omitempty"`
	S    []byte  `json:"s,omitempty"`
}

// NullDatum is SQL NULL.
var NullDatum = Datum{Null: true}
