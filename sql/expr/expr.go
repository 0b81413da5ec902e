package expr

import "github.com/streamsql/streamsql/sql/types"

// Kind tells what an Expr is.
type Kind string

// The kinds of expression. Everything with ordinary call semantics (arguments
// evaluated, function strict or not) is a Call, operators included.
const (
	Col   Kind = "col"   // input column Index
	Const Kind = "const" // Value
	Param Kind = "param" // statement parameter Index; replaced by a Const before compiling
	Call  Kind = "call"  // Fn(Args...)
	Cast  Kind = "cast"  // Args[0] to Type; Explicit tells CAST from an assignment
	And   Kind = "and"   // three-valued; evaluation may stop early
	Or    Kind = "or"
	Not   Kind = "not"
	Case  Kind = "case"     // Args: condition, value, …, else value (always present); only the taken branch is evaluated
	Coal  Kind = "coalesce" // first argument that is not NULL; later ones are evaluated only where needed
	In    Kind = "in"       // Args[0] = any of Args[1:], three-valued
	Null  Kind = "isnull"   // Args[0] IS NULL
)

// Expr is a bound, typed expression over the columns of one input. It is
// written to stored plans as JSON, so fields are only ever added.
type Expr struct {
	Kind     Kind        `json:"k"`
	Type     types.Type  `json:"t"`
	Index    int         `json:"i,omitempty"`
	Value    types.Datum `json:"v,omitzero"`
	Fn       string      `json:"fn,omitempty"` // key of a function overload in the catalogue, e.g. "+(bigint,bigint)"
	Args     []*Expr     `json:"a,omitempty"`
	Explicit bool        `json:"x,omitempty"`
	Pos      int         `json:"-"` // byte offset in the user's text; -1 when unknown
}
