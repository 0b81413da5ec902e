// Package plain computes the views of examples/recommender.sql from a list of
// events, with maps and loops and nothing of the engine. Tests hold the engine's
// answers to it.
package plain
