// Package target gives sqllogictest its databases: an engine in this process, and
// any server of the PostgreSQL protocol.
package target
