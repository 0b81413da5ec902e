// Package wire is a server of the PostgreSQL protocol, version 3: startup,
// simple and extended queries, text and binary formats, cancellation, shutdown.
// What a statement means is the business of the Backend it is given.
package wire
