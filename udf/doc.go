// Package udf holds user-defined functions written in Go: scalar functions and
// aggregates registered under a symbol, with ordinary Go types, which SQL binds
// with CREATE FUNCTION … LANGUAGE go AS 'symbol'. Types are checked then, against
// the Go signature.
//
// # Types
//
//	boolean                     bool
//	smallint, integer, bigint   int16, int32, int64 (also int for bigint)
//	real, double precision      float32, float64
//	text, varchar, json, jsonb  string
//	bytea                       []byte
//	timestamp, timestamptz      time.Time (UTC)
//	any of them, nullable       a pointer: nil is NULL
//	an array of them            a slice; NULL elements need pointers
//
// A function may return an error beside its result. One that fails or panics
// fails the job that called it, with the row, and nothing else. What Go cannot
// contain is not contained: a stack overflow, exhausted memory, an endless loop.
//
// # NULL
//
// A parameter that is not a pointer cannot hold NULL: the function is then not
// called and the result is NULL, whether STRICT was said or not.
//
// # State
//
// The states of aggregates are part of every checkpoint; see Registry.Aggregate
// for what a state may be.
package udf
