// Package eventtime holds the tests that event time is right as a whole: queries
// over windows, by rows that come out of order, over partitions of which one
// stops, and too late, against a plain computation of the same.
package eventtime
