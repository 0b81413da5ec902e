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
//
// Options, each with nexmark. before it:
//
//	table.type                 Person, Auction, Bid
//	event.num                  events of all types; without it there is no end
//	events.per.second          how fast they come; or
//	min.event.gap.in.ns        100000 without an end, else 0: as fast as they are read
//	split.num                  1
//	max.chunk.size             rows of a fetch
//	seed, base.time            0, 2015-07-15 00:00:00
//	first.event.rate           events a second of event time: 10000
//	out.of.order.group.size    1
//	active.people, in.flight.auctions                  1000, 100
//	hot.auction.ratio, hot.bidder.ratio, hot.seller.ratio  2, 4, 4
//	avg.person.byte.size, avg.auction.byte.size, avg.bid.byte.size  200, 500, 100
package nexmark
