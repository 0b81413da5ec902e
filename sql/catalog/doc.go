// Package catalog holds what a database declares: tables, sources, views, sinks,
// indexes and functions, and the virtual relations (pg_catalog,
// information_schema, streamsql) that show them and the engine to SQL. A Catalog
// is immutable; DDL makes a new one. It imports sql/sqlerr, sql/types, sql/expr
// and sql/plan; it runs nothing.
package catalog
