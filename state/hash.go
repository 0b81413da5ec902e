package state

// HashOptions are the settings of a Hash.
type HashOptions struct {
	// Words is the number of 64-bit words of an entry.
	Words int
}

// Hash is a table from byte-string keys to fixed-width entries of 64-bit words,
// each with an optional variable-length tail: open addressing on the key's
// hash, entries and keys in slabs without pointers. It serves accumulators.
type Hash struct{}
