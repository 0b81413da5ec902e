// Package delta holds rows in motion: columns in Arrow's memory layout and a
// weight per row. They wrap as Arrow records without a copy, and travel as Arrow
// IPC to the write-ahead log and to other programs.
package delta
