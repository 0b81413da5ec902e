package examples

import _ "embed"

// Recommender is recommender.sql. Its Go functions are those of package
// examples/recommender, which a program links in.
//
//go:embed recommender.sql
var Recommender string
