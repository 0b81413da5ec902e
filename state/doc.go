// Package state holds the tables a running query keeps between steps.
//
// Its base is [Tree], an ordered map from encoded keys to int64 weights: a
// Z-set. Joins, materialized views, top-N and multisets are all kept as such
// trees, with what tells them apart encoded in the key. [Hash] keeps
// accumulators. Both are a [Table]: they undo a step, write what changed to a
// durable state beneath, and let go of what is clean when memory runs out.
//
// A tree is written by one goroutine. It is copy-on-write: [Tree.Snapshot] pins
// the current root in constant time, and a page that a live snapshot can reach
// is copied before it is changed; any number of goroutines may read the snapshot
// while the writer goes on. Without snapshots no page is copied.
//
// A tree's changes are listed in a journal: keys, the weights added and those
// that they made. A step is undone by adding the opposite; a capture takes the
// list away and has it sorted and written elsewhere, so it neither copies nor
// pins a page. The durable form of an entry is the key and its weight as a
// zigzag varint.
//
// A leaf that the durable state has as it is can be evicted: a stub with its
// range of keys stands in its place and is read back when it is asked for. A
// tree loaded after a restart is one such stub, read a page at a time.
package state
