// Package expr holds bound expressions, the catalogue of scalar and aggregate
// functions with PostgreSQL's type resolution, and their evaluation a column
// at a time. It imports sql/sqlerr, sql/types and sql/delta; it knows neither
// syntax nor plans.
package expr
