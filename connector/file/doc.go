// Package file holds the connector file, a source and a sink, and the sinks print
// and blackhole, which keeps nothing.
//
// The source reads JSON lines or CSV (option format) from the file at path; its
// offset is the byte at which a record starts. It follows the file as it grows,
// or, with bounded = 'true', ends where the file ends. While it follows, a last
// line without a line break is not yet a record.
//
// CSV is as RFC 4180 has it; an empty field is NULL and a quoted empty one the
// empty string. Columns go by position, or with header = 'true' by name.
// missing.field = 'error' and unknown.field = 'error' refuse records that lack a
// column's field, or have one that is no column's.
//
// The sink writes JSON lines. The file holds the rows of durable epochs alone,
// and each once: rows wait in the sink's state until their epoch is released,
// and after a restart the file is cut back to what the state knows of.
package file
