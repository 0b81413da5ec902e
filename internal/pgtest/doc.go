// Package pgtest starts a PostgreSQL 15 for tests that hold this project to it.
package pgtest
