// Package exec holds the operators over deltas and builds a dataflow from a
// physical plan: the one executor, of views and of ad-hoc queries alike. A
// dataflow is driven step by step by its owner; it starts no source, reads no
// catalog and writes no file. It imports sql/sqlerr, sql/types, sql/delta,
// sql/expr, sql/plan and state.
//
// Operators push: what one emits goes straight into the next, in batches of
// bounded size. At the end of a step each node, inputs first, finishes and then
// takes its watermark. Every operator emits the difference that a change makes
// to a function of the multisets of rows it has seen, so neither the order of
// changes within a step nor the worker that brings them matters; a weight may be
// below zero on the way, not at the end.
//
// With several workers each has an instance of every operator. The plan is cut
// into levels at its exchanges; the workers run a level side by side and swap
// rows between two. Keyed state begins with the key group, the hash of the key
// that the exchange beneath goes by.
//
// In Batch mode a dataflow runs once over insert-only inputs and takes no row
// back: operators that might have to (outer joins, EXCEPT, DISTINCT over
// numerics, aggregates) answer at Finish.
package exec
