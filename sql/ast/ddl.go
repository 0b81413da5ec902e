package ast

// ColumnDef is a column of CREATE TABLE or CREATE SOURCE.
type ColumnDef struct {
	Pos
	Name       string
	Type       *TypeName // nil: a generated column without one
	NotNull    bool
	PrimaryKey bool
	Default    Expr
	Generated  Expr // AS expr, GENERATED ALWAYS AS (expr) STORED
}

// Watermark is WATERMARK FOR column AS expr: the column alone, column - interval,
// or adaptive_watermark(column, factor, n, minimum).
type Watermark struct {
	Pos
	Column string
	Expr   Expr
}

// Include is a metadata column of a source: INCLUDE KEY [type] AS k, INCLUDE HEADER 'h' AS h.
type Include struct {
	Pos
	Field string // key, timestamp, partition, offset, header, payload
	Inner string // of a header: its name
	Type  *TypeName
	As    string // "": the connector's name
}

// Option is name = value of a WITH clause, or of EXPLAIN.
type Option struct {
	Pos
	Name  string   // dotted names are joined
	Value *Literal // nil: none. A bare word comes as a string
}

// Format is FORMAT plain ENCODE json (options).
type Format struct {
	Pos
	Format  string
	Encode  string
	Options []*Option
}

// TableDef is what CREATE TABLE and CREATE SOURCE share.
type TableDef struct {
	Name        Name
	IfNotExists bool
	Columns     []*ColumnDef
	PrimaryKey  []string // of PRIMARY KEY (…) as a table constraint
	Watermark   *Watermark
	Includes    []*Include
	AppendOnly  bool
	Options     []*Option
	Format      *Format
}

// CreateTable is CREATE TABLE; with Query CREATE TABLE AS.
type CreateTable struct {
	Pos
	TableDef
	ColumnNames []string // of CREATE TABLE t (a, b) AS
	Query       *Query
	Text        string // of the query
}

// CreateSource is CREATE SOURCE.
type CreateSource struct {
	Pos
	TableDef
}

// CreateView is CREATE [OR REPLACE] [MATERIALIZED] VIEW.
type CreateView struct {
	Pos
	Name         Name
	OrReplace    bool
	Materialized bool
	IfNotExists  bool
	Columns      []string
	Options      []*Option
	Query        *Query
	Text         string // of the query, as the user wrote it
}

// CreateSink is CREATE SINK name FROM relation or AS query.
type CreateSink struct {
	Pos
	Name        Name
	IfNotExists bool
	Into        *Name // a table of the engine; nil: the connector of the options
	From        *Name
	Query       *Query
	Text        string // of the query
	Options     []*Option
	Format      *Format
}

// CreateIndex is CREATE INDEX.
type CreateIndex struct {
	Pos
	Name        Name // no parts: the engine names it
	IfNotExists bool
	Unique      bool
	Table       Name
	Items       []*OrderItem
	Include     []string
}

// CreateFunction is CREATE FUNCTION.
type CreateFunction struct {
	Pos
	Name       Name
	OrReplace  bool
	Args       []*FuncArg
	Returns    *TypeName
	Language   string
	As         []string // AS 'x' or AS 'x', 'y'
	Strict     bool     // STRICT, RETURNS NULL ON NULL INPUT
	Volatility Volatility
}

// FuncArg is a declared argument of a function.
type FuncArg struct {
	Pos
	Name string // "": none
	Type *TypeName
}

// Volatility is IMMUTABLE, STABLE or VOLATILE.
type Volatility string

// The volatilities; one not said is volatile.
const (
	VolatilityDefault Volatility = ""
	Immutable         Volatility = "immutable"
	Stable            Volatility = "stable"
	Volatile          Volatility = "volatile"
)

// ObjectKind is a kind of object that DDL names.
type ObjectKind string

// The kinds of object.
const (
	KindTable            ObjectKind = "table"
	KindSource           ObjectKind = "source"
	KindView             ObjectKind = "view"
	KindMaterializedView ObjectKind = "materialized view"
	KindSink             ObjectKind = "sink"
	KindIndex            ObjectKind = "index"
	KindFunction         ObjectKind = "function"
)

// Drop is DROP of one kind of object.
type Drop struct {
	Pos
	Kind     ObjectKind
	Names    []Name
	Args     [][]*FuncArg // of functions, by name; a nil entry: no list was written
	IfExists bool
	Cascade  bool
}

// Alter is ALTER kind name PAUSE, RESUME or RETRY.
type Alter struct {
	Pos
	Kind   ObjectKind
	Name   Name
	Action AlterAction
	// Options are those of SET (…); of RESET (…), without values.
	Options []*Option
	Column  *ColumnDef // of ADD COLUMN
}

// AlterAction is what ALTER does to a job, or to the options of a source.
type AlterAction string

// What ALTER does.
const (
	Pause  AlterAction = "pause"
	Resume AlterAction = "resume"
	Retry  AlterAction = "retry"

	SetOptions   AlterAction = "set"
	ResetOptions AlterAction = "reset"
	AddColumn    AlterAction = "add column"
)

func (*CreateTable) statement()    {}
func (*CreateSource) statement()   {}
func (*CreateView) statement()     {}
func (*CreateSink) statement()     {}
func (*CreateIndex) statement()    {}
func (*CreateFunction) statement() {}
func (*Drop) statement()           {}
func (*Alter) statement()          {}
