// Package check reads the views of examples/recommender.sql at one epoch,
// together with the positions of the source and what came too late, and holds
// them to the plain computation over exactly those events.
package check
