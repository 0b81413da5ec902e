// Package exec holds the operators over deltas and builds a dataflow from a
// physical plan: the one executor, of views and of ad-hoc queries alike. A
// dataflow is driven step by step by its owner; it starts no source, reads no
// catalog and writes no file. It imports sql/sqlerr, sql/types, sql/delta,
// sql/expr, sql/plan and state.
package exec
