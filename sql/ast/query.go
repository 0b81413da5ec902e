package ast

// Query is a SELECT, VALUES or set operation with the clauses that stand around it.
// It is a statement, and the inside of every subquery.
type Query struct {
	Pos
	With     *With
	Body     QueryBody
	OrderBy  []*OrderItem
	Limit    Expr // nil: none (LIMIT ALL too)
	Skip     Expr // OFFSET
	WithTies bool // FETCH FIRST n ROWS WITH TIES
	Emit     Emit
	EmitPos  Pos  // of EMIT
	Interval Expr // of EMIT EVERY
}

// Emit says when a view shows its answer.
type Emit string

// When a view shows its answer.
const (
	EmitDefault       Emit = ""
	EmitOnWindowClose Emit = "on window close"
	EmitImmediately   Emit = "immediately"
	EmitEvery         Emit = "every" // Interval
)

// With is a WITH clause.
type With struct {
	Pos
	Recursive bool
	CTEs      []*CTE
}

// CTE is one query of a WITH clause.
type CTE struct {
	Pos
	Name         string
	Columns      []string
	Materialized *bool // nil: not said
	Query        *Query
}

// Select is a SELECT without WITH, ORDER BY and LIMIT, which belong to Query.
type Select struct {
	Pos
	Distinct   bool
	DistinctOn []Expr
	Targets    []*Target
	From       []TableRef // separated by commas
	Where      Expr
	GroupBy    []Expr // may hold *GroupingSet
	Having     Expr
	Windows    []*Window
}

// Target is an output column of a SELECT or RETURNING.
type Target struct {
	Pos
	Expr  Expr
	Alias string // "": none
}

// Values is VALUES (…), (…); every row has the same length.
type Values struct {
	Pos
	Rows [][]Expr
}

// SetOp is a set operation.
type SetOp struct {
	Pos
	Op    SetOpKind
	All   bool
	Left  QueryBody
	Right QueryBody
}

// SetOpKind is UNION, INTERSECT or EXCEPT.
type SetOpKind string

// The set operations.
const (
	Union     SetOpKind = "union"
	Intersect SetOpKind = "intersect"
	Except    SetOpKind = "except"
)

// OrderItem is a sort key.
type OrderItem struct {
	Pos
	Expr  Expr
	Desc  bool
	Nulls NullsOrder
}

// NullsOrder says where NULLs sort.
type NullsOrder string

// Where NULLs sort. By default last, with DESC first.
const (
	NullsDefault NullsOrder = ""
	NullsFirst   NullsOrder = "first"
	NullsLast    NullsOrder = "last"
)

// Window is OVER w (Name alone), OVER (…), or an item of a WINDOW clause.
type Window struct {
	Pos
	Name        string // in a WINDOW clause the name defined; after OVER the window referred to
	Base        string // the window that this one starts from: OVER (w ORDER BY x)
	PartitionBy []Expr
	OrderBy     []*OrderItem
	Frame       *Frame
}

// Frame is the frame clause of a window.
type Frame struct {
	Pos
	Mode    FrameMode
	Start   FrameBound
	End     FrameBound
	Exclude FrameExclude
}

// FrameMode is the unit of a frame.
type FrameMode string

// The units of a frame.
const (
	FrameRows   FrameMode = "rows"
	FrameRange  FrameMode = "range"
	FrameGroups FrameMode = "groups"
)

// FrameBound is one end of a frame.
type FrameBound struct {
	Kind   BoundKind
	Offset Expr // of Preceding and Following
}

// BoundKind is the kind of one end of a frame.
type BoundKind string

// The kinds of an end of a frame, in the order in which they may follow each other.
const (
	UnboundedPreceding BoundKind = "unbounded preceding"
	Preceding          BoundKind = "preceding"
	CurrentRow         BoundKind = "current row"
	Following          BoundKind = "following"
	UnboundedFollowing BoundKind = "unbounded following"
)

// FrameExclude is what a frame leaves out.
type FrameExclude string

// What a frame leaves out.
const (
	ExcludeNone       FrameExclude = ""
	ExcludeCurrentRow FrameExclude = "current row"
	ExcludeGroup      FrameExclude = "group"
	ExcludeTies       FrameExclude = "ties"
)

func (*Query) statement()  {}
func (*Query) queryBody()  {}
func (*Select) queryBody() {}
func (*Values) queryBody() {}
func (*SetOp) queryBody()  {}
