// Package json reads JSON records straight into columns, and writes rows as JSON.
//
// The columns direct the reading: a value is decoded as its column's type asks,
// in one pass over the bytes, and what no column names is checked and skipped.
//
//   - null is NULL in any column.
//   - A string is read as SQL reads the type's text form, so "12" fills a bigint
//     and "2015-07-15T00:00:00Z" a timestamp; a text column takes it as it is.
//   - A number fills integers (it must be whole), floats and numerics, within
//     their ranges. It never fills a date or a time: its unit would be a guess.
//   - true and false fill a boolean.
//   - An array fills an array column. json columns keep any value's text, jsonb
//     columns its normal form, and text columns the text of what is no string.
//
// Text must be UTF-8 without U+0000, as in PostgreSQL; half a surrogate pair
// becomes U+FFFD.
package json
