// Package datagen is the connector datagen: rows made up as the columns and
// options say. A value is a function of the seed, the column's name and the row's
// number alone; the number is the offset.
//
// Options: rows-per-second, number-of-rows and seed; for a column c
//
//	fields.c.kind       random (default) or sequence
//	fields.c.min, max   of random numbers, dates and times; both included
//	fields.c.start, end of a sequence; it ends with the first sequence's end
//	fields.c.step       of a sequence: a number, or an interval for timestamps
//	fields.c.length     of random text and bytea
//	fields.c.null-rate  0 to 1
//	fields.c.seed       instead of the source's
//
// A source with an end comes as fast as it is read, unless rows-per-second says
// otherwise; one without, at 10 rows a second.
package datagen
