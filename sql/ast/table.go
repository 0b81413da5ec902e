package ast

// Alias is AS name (columns) behind an item of FROM.
type Alias struct {
	Name    string // "": none
	Columns []string
}

// Table is a relation by name.
type Table struct {
	Pos
	Name  Name
	Alias Alias
	AsOf  Expr // FOR SYSTEM_TIME AS OF
}

// Subquery is a query in FROM.
type Subquery struct {
	Pos
	Lateral bool
	Query   *Query
	Alias   Alias
}

// TableFunc is a function in FROM: tumble(bid, ts, …), generate_series(1, 10),
// unnest(a), and Flink's TABLE(TUMBLE(TABLE bid, DESCRIPTOR(ts), …)).
// The relation that a window function reads is its first argument: a *ColumnRef
// as yet unresolved, a *TableArg, or a *ScalarSubquery; of a session a *Partitioned around it.
type TableFunc struct {
	Pos
	Lateral    bool
	Call       *Call
	Ordinality bool
	Alias      Alias
	ColumnDefs []*ColumnDef // AS x(a int, b text): names and types
}

// Join is a join written with JOIN.
type Join struct {
	Pos
	Kind    JoinKind
	AsOf    bool // ASOF: with the last right row that is not later; inner or left
	Natural bool
	Using   []string
	On      Expr
	Left    TableRef
	Right   TableRef
	Alias   Alias // (a JOIN b …) AS j
}

// JoinKind is the kind of a join.
type JoinKind string

// The kinds of a join.
const (
	InnerJoin JoinKind = "inner"
	CrossJoin JoinKind = "cross"
	LeftJoin  JoinKind = "left"
	RightJoin JoinKind = "right"
	FullJoin  JoinKind = "full"
)

func (*Table) tableRef()     {}
func (*Subquery) tableRef()  {}
func (*TableFunc) tableRef() {}
func (*Join) tableRef()      {}
