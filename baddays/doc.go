// Package baddays holds tests of what goes wrong: a server with an embedded broker
// and clients of their own, and one misfortune each. The error must be clear, and
// everything else must go on. There is nothing here but tests.
package baddays
