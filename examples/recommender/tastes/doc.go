// Package tastes makes up the events of users whose tastes are known, for the
// demonstration and the tests of examples/recommender.sql, and measures how many
// of the interactions that it held back a recommender finds.
//
// Items belong to tastes, a dozen or two items each. A user likes one or two
// tastes, and would touch some number of items: most of those tastes, the rest by
// popularity alone. A part of these is held back, drawn blindly; the events are
// on the others. All is a function of the seed.
package tastes
