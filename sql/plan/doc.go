// Package plan holds the physical plan: the operators' parameters, without
// code. The planner makes it, the executor builds a dataflow from it, and it
// is stored with its view, so that recovery never plans again: fields are only
// ever added.
package plan
