// Package bench measures the engine as a user has it, from SQL to sink: Nexmark's
// queries beside hand-written Go loops over the same rows. Its figures stand in
// docs/benchmarks.md. There is nothing here but tests and benchmarks.
package bench
