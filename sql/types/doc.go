// Package types defines the SQL types, their physical form in memory, their
// text and binary forms on the Postgres wire, comparison and the
// order-preserving key encoding. It imports only sqlerr.
package types
