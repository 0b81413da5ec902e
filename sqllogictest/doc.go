// Package sqllogictest reads and runs SQLite's sqllogictest files, with the
// extensions of sqllogictest-rs that serve here, against any database that
// satisfies DB.
//
// # Records
//
// Records are separated by blank lines; a line that begins with # is a comment.
//
//	statement ok | error [regexp] | error (SQLSTATE) | count N
//	query <types> [nosort|rowsort|valuesort] [label]     the SQL, ----, the result
//	query … retry N backoff DURATION                     asked again, while the answer is another
//	query error [regexp] | query error (SQLSTATE)
//	skipif NAME, onlyif NAME      for the next record; they stack
//	hash-threshold N, halt, subtest NAME, include GLOB, connection NAME
//	control sortmode MODE         the default order of queries that name none
//	control check on|off          off: views are not compared after each statement
//	control views on|off          off: queries that follow are no views in mode view
//
// A result has one value a line, or one row a line; more values than the
// threshold (8) may stand as "N values hashing to MD5". Types: T text, I integer
// (%d), R real (%.3f), ? as the server prints it. NULL prints as NULL, the empty
// string as (empty), control and non-ASCII bytes as @ (in T).
//
// # Modes
//
// In mode batch every query is run where it stands. In mode view every query is
// also a materialized view, created before the file's data where its tables
// exist by then, and the view must hold the batch answer where the query stands.
// In both modes the materialized views that the file itself creates are compared
// with the batch answer of their definition after every statement.
package sqllogictest
