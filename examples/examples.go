package examples

import _ "embed"

// Recommender is recommender.sql. Its Go functions are those of package
// examples/recommender, which a program links in.
//
//go:embed recommender.sql
var Recommender string

// Windows is windows.sql: windows of event time over one stream.
//
//go:embed windows.sql
var Windows string

// Sessions is sessions.sql: sessions of users that start, go on and end.
//
//go:embed sessions.sql
var Sessions string

// Watermarks is watermarks.sql: a watermark that follows how late rows are.
//
//go:embed watermarks.sql
var Watermarks string
