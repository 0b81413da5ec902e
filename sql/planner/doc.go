// Package planner turns syntax into physical plans. It imports sql/sqlerr,
// sql/types, sql/ast, sql/expr, sql/plan and sql/catalog, and runs nothing.
//
//   - Binding (bind, expr, call, from, select, group, query, subquery) resolves
//     names and types and builds logical relations (rel), whose columns have
//     numbers that are unique in the statement. A subquery is joined where it
//     stands, so that nothing is evaluated per row: decorrelate and domain.
//   - Rewrites on them: push moves conditions down, makes outer joins inner ones
//     and orders joins; prune drops columns and merges projections.
//   - physical makes operators of plan, with exchanges where keys meet, the column
//     that carries the watermark, and whether the output is append-only; share
//     makes one operator of equal ones.
//
// dml and columns plan writes and bind table definitions; explain prints plans.
package planner
