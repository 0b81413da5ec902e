// Package server serves an engine: over the PostgreSQL protocol, and its health
// and metrics over HTTP.
package server
