package ast

// ColumnRef is a column, t.c, s.t.c; or with Star *, t.*, s.t.*.
type ColumnRef struct {
	Pos
	Parts []string // without the star
	Star  bool
}

// Literal is a constant whose type the context decides or its text shows.
type Literal struct {
	Pos
	Kind LiteralKind
	Text string // a number's sign included; "true" or "false"; "" for NULL
}

// LiteralKind is the kind of a literal.
type LiteralKind string

// The kinds of a literal.
const (
	IntLiteral    LiteralKind = "int"    // fits 64 bits
	NumLiteral    LiteralKind = "num"    // any other number
	StringLiteral LiteralKind = "string" // its type is unknown
	BitLiteral    LiteralKind = "bit"    // b101 or x1F
	BoolLiteral   LiteralKind = "bool"
	NullLiteral   LiteralKind = "null"
)

// TypedLiteral is timestamp '2024-01-01' or interval '5' minute.
type TypedLiteral struct {
	Pos
	Type *TypeName
	Text string
}

// Param is $1.
type Param struct {
	Pos
	N int
}

// Unary is a prefix operator, NOT too.
type Unary struct {
	Pos
	Op     string
	Schema string // OPERATOR(pg_catalog.-)
	X      Expr
}

// Binary is an infix operator; AND and OR too. != is given as <>.
type Binary struct {
	Pos
	Op     string
	Schema string // OPERATOR(pg_catalog.~)
	L, R   Expr
}

// Cast is x::t and CAST(x AS t).
type Cast struct {
	Pos
	X    Expr
	Type *TypeName
}

// Call is a call of a function, aggregate or window function. The standard's
// special forms come as plain calls with Postgres' arguments: substring(a, 2, 3),
// position(b, a), btrim(a, x), overlay(a, b, 2); so do coalesce, nullif, greatest, least.
type Call struct {
	Pos
	Name        Name
	Args        []Expr // may hold *NamedArg, *TableArg, *Partitioned and *Descriptor
	Keyword     bool   // written without parentheses: CURRENT_DATE
	Star        bool   // count(*)
	Distinct    bool
	Variadic    bool         // the last argument is VARIADIC
	OrderBy     []*OrderItem // inside the call, or of WITHIN GROUP
	WithinGroup bool
	Filter      Expr
	Over        *Window
}

// NamedArg is name => value in a call.
type NamedArg struct {
	Pos
	Name string
	X    Expr
}

// TableArg is TABLE t in the arguments of a table function.
type TableArg struct {
	Pos
	Name Name
}

// Partitioned is relation PARTITION BY keys in the arguments of a table function.
// Data is what names the relation: a *ColumnRef as yet unresolved, a *TableArg or
// a *ScalarSubquery.
type Partitioned struct {
	Pos
	Data Expr
	Keys []Expr
}

// Descriptor is DESCRIPTOR(c, …) in the arguments of a table function.
type Descriptor struct {
	Pos
	Columns []string
}

// Case is both forms of CASE; Operand is nil in the searched form.
type Case struct {
	Pos
	Operand Expr
	Whens   []*When
	Else    Expr // nil: none
}

// When is WHEN cond THEN result.
type When struct {
	Pos
	Cond, Result Expr
}

// In is x [NOT] IN (list) or (query).
type In struct {
	Pos
	X     Expr
	Not   bool
	List  []Expr
	Query *Query // nil: a list
}

// Exists is EXISTS (query).
type Exists struct {
	Pos
	Query *Query
}

// ScalarSubquery is (query) as a value.
type ScalarSubquery struct {
	Pos
	Query *Query
}

// ArraySubquery is ARRAY(query).
type ArraySubquery struct {
	Pos
	Query *Query
}

// Quantified is x op ANY|ALL (array or query). LIKE and its kin come as the
// operators ~~, !~~, ~~* and !~~*.
type Quantified struct {
	Pos
	Op     string
	Schema string
	All    bool
	X      Expr
	Array  Expr   // nil: a query
	Query  *Query // nil: an array
}

// Between is x [NOT] BETWEEN [SYMMETRIC] lo AND hi.
type Between struct {
	Pos
	X, Lo, Hi Expr
	Not       bool
	Symmetric bool
}

// IsNull is x IS [NOT] NULL.
type IsNull struct {
	Pos
	X   Expr
	Not bool
}

// IsBool is x IS [NOT] TRUE, FALSE or UNKNOWN.
type IsBool struct {
	Pos
	X    Expr
	Not  bool
	Want Truth
}

// Truth is what IsBool tests for.
type Truth string

// What IsBool tests for.
const (
	True    Truth = "true"
	False   Truth = "false"
	Unknown Truth = "unknown"
)

// IsDistinct is l IS [NOT] DISTINCT FROM r.
type IsDistinct struct {
	Pos
	L, R Expr
	Not  bool
}

// Like is x [NOT] LIKE, ILIKE or SIMILAR TO pattern [ESCAPE e].
type Like struct {
	Pos
	Kind    LikeKind
	Not     bool
	X       Expr
	Pattern Expr
	Escape  Expr // nil: not said
}

// LikeKind is the kind of a pattern match.
type LikeKind string

// The kinds of a pattern match.
const (
	LikeCase  LikeKind = "like"
	ILike     LikeKind = "ilike"
	SimilarTo LikeKind = "similar to"
)

// Row is (a, b) or ROW(…).
type Row struct {
	Pos
	Items []Expr
}

// Array is ARRAY[…]; the inner lists of a nested one are Arrays too.
type Array struct {
	Pos
	Items []Expr
}

// Index is x[i], or with Slice x[lo:hi] (Lo and Hi may be nil then).
type Index struct {
	Pos
	X      Expr
	Lo, Hi Expr // Lo is the index
	Slice  bool
}

// Field is (x).name, or with Star (x).*.
type Field struct {
	Pos
	X    Expr
	Name string
	Star bool
}

// AtTimeZone is x AT TIME ZONE zone.
type AtTimeZone struct {
	Pos
	X, Zone Expr
}

// Extract is EXTRACT(field FROM x).
type Extract struct {
	Pos
	Field string
	X     Expr
}

// Collate is x COLLATE name.
type Collate struct {
	Pos
	X    Expr
	Name Name
}

// Default is DEFAULT in VALUES or SET.
type Default struct{ Pos }

// GroupingSet is GROUPING SETS (…), ROLLUP (…) or CUBE (…) in a GROUP BY. An item
// of several expressions is a *Row; the empty set is a *Row without items.
type GroupingSet struct {
	Pos
	Kind  GroupingKind
	Items []Expr
}

// GroupingKind is the kind of a GroupingSet.
type GroupingKind string

// The kinds of a GroupingSet.
const (
	GroupingSets GroupingKind = "grouping sets"
	Rollup       GroupingKind = "rollup"
	Cube         GroupingKind = "cube"
)

func (*ColumnRef) expr()      {}
func (*Literal) expr()        {}
func (*TypedLiteral) expr()   {}
func (*Param) expr()          {}
func (*Unary) expr()          {}
func (*Binary) expr()         {}
func (*Cast) expr()           {}
func (*Call) expr()           {}
func (*NamedArg) expr()       {}
func (*TableArg) expr()       {}
func (*Partitioned) expr()    {}
func (*Descriptor) expr()     {}
func (*Case) expr()           {}
func (*In) expr()             {}
func (*Exists) expr()         {}
func (*ScalarSubquery) expr() {}
func (*ArraySubquery) expr()  {}
func (*Quantified) expr()     {}
func (*Between) expr()        {}
func (*IsNull) expr()         {}
func (*IsBool) expr()         {}
func (*IsDistinct) expr()     {}
func (*Like) expr()           {}
func (*Row) expr()            {}
func (*Array) expr()          {}
func (*Index) expr()          {}
func (*Field) expr()          {}
func (*AtTimeZone) expr()     {}
func (*Extract) expr()        {}
func (*Collate) expr()        {}
func (*Default) expr()        {}
func (*GroupingSet) expr()    {}
