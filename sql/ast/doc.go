// Package ast is the syntax tree of one SQL statement, as sql/parser builds it
// and the planner reads it. Nodes hold what the user wrote, not what it means:
// names are folded but not resolved, types are names, literals are text.
// Every node knows its byte offset in the user's text. Nothing here parses,
// binds or evaluates.
package ast
