// Package sqlerr holds the one error type that reaches a client: SQLSTATE,
// message, detail, hint and position. It imports nothing of the project.
package sqlerr
