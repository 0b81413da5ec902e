// Package state holds the tables a running query keeps between steps.
//
// Its base is [Tree], an ordered map from encoded keys to int64 weights: a
// Z-set. Joins, materialized views, top-N and multisets are all kept as such
// trees, with what tells them apart encoded in the key.
//
// A tree is written by one goroutine. It is copy-on-write: [Tree.Snapshot]
// and [Tree.Mark] pin the current root in constant time, and a page that a pin
// can reach is copied before it is changed. A snapshot may therefore be read
// by any number of goroutines while the writer goes on, and a failed step is
// undone by putting the marked root back.
package state
