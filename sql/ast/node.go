package ast

import (
	"strconv"
	"strings"
)

// Pos is the 0-based byte offset in the user's text at which an error about the
// node points: for an operator the operator, for all else the first byte.
// Every node embeds one.
type Pos int

// Offset returns the byte offset.
func (p Pos) Offset() int { return int(p) }

// Node is any part of a statement.
type Node interface{ Offset() int }

// Statement is a whole statement.
type Statement interface {
	Node
	statement()
}

// Expr is a value expression.
type Expr interface {
	Node
	expr()
}

// TableRef is an item of a FROM list.
type TableRef interface {
	Node
	tableRef()
}

// QueryBody is what a query computes before its ORDER BY: a *Select, a *Values,
// a *SetOp, or a *Query in parentheses that has clauses of its own.
type QueryBody interface {
	Node
	queryBody()
}

// Name is an optionally qualified name of an object, outermost part first.
type Name struct {
	Pos
	Parts []string
}

// Base returns the last part, the name of the object itself.
func (n Name) Base() string {
	if len(n.Parts) == 0 {
		return ""
	}
	return n.Parts[len(n.Parts)-1]
}

// String returns the parts joined with dots, unquoted, for messages.
func (n Name) String() string { return strings.Join(n.Parts, ".") }

// TypeName is a type as written. The names of the SQL standard are given in
// Postgres' short form: integer is int4, character varying is varchar,
// character is bpchar, timestamp with time zone is timestamptz.
type TypeName struct {
	Pos
	Parts  []string // qualified name
	Mods   []int32  // numeric(10,2), varchar(10), timestamp(3)
	Fields string   // of an interval: "minute", "day to second"
	Dims   int      // text[][] has 2
}

// String returns the type as it could be written.
func (t *TypeName) String() string {
	var b strings.Builder
	b.WriteString(strings.Join(t.Parts, "."))
	if t.Fields != "" {
		b.WriteString(" " + t.Fields)
	}
	for i, m := range t.Mods {
		if i == 0 {
			b.WriteByte('(')
		} else {
			b.WriteByte(',')
		}
		b.WriteString(strconv.Itoa(int(m)))
	}
	if len(t.Mods) > 0 {
		b.WriteByte(')')
	}
	b.WriteString(strings.Repeat("[]", t.Dims))
	return b.String()
}
