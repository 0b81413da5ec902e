// Package planner turns syntax into physical plans: names and types are bound,
// subqueries decorrelated, the logical plan rewritten, and operators chosen.
// It also prints plans (EXPLAIN). It imports sql/sqlerr, sql/types, sql/ast,
// sql/expr, sql/plan and sql/catalog, and runs nothing.
package planner
