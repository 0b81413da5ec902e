// Package parser turns PostgreSQL's SQL into the tree of sql/ast.
//
// Statement heads, DDL and utility statements are parsed by hand. Queries and
// expressions are lexed by PostgreSQL's rules and parsed by its precedence, and
// printed in an encoding that has only one reading in the grammar of TiDB's
// parser; what that makes of it is raised to the tree, with the offsets of the
// user's text. No TiDB type leaves the package, and no name is resolved here.
package parser
