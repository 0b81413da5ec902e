// Package delta holds rows in motion: columns in Arrow's memory layout and a
// weight per row. It imports only sql/types and Arrow.
package delta
