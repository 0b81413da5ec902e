// Package nexmark is the connector nexmark: the events of the Nexmark benchmark,
// an online auction of people, auctions and bids.
//
// Event n is a function of n and the seed alone, so that any read of the same
// offsets sees the same rows, whichever columns it asks for. The option
// nexmark.table.type ('Person', 'Auction' or 'Bid') picks the events of a source;
// without it a source has all of them, in the columns of all three and
// event_type (0, 1, 2), NULL where an event has no such field.
//
// Offsets are event numbers, of all types. Splits take whole runs of 50 events in
// turn, each with all types, and so the union of the splits is the same rows at
// any number of them.
package nexmark
