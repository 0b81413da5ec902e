// Package engine is the embeddable engine: Open, sessions, statements; the life
// of jobs; the step loop. One goroutine, the loop, owns the state tables, the
// dataflows and the catalog's changes; sessions reach it with commands that it
// runs between steps. It knows nothing of the wire.
package engine
