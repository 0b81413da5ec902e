package state

// Table is what all state tables have in common for their owner, who steps,
// captures and evicts them. All methods belong to the writer's goroutine.
type Table interface {
	// Begin starts a step that can be undone; Commit keeps what it changed,
	// Rollback undoes it. Steps do not nest.
	Begin()
	Commit()
	Rollback()
	Len() int     // keys, those on disk alone included
	Bytes() int64 // memory
	// Grown is by how much the memory has grown in the running step, or in the last
	// one: what was read back, and can be evicted again, does not count.
	Grown() int64
	Dirty() int64 // bytes, about, that the next Capture will have to write
	// ReadBack is how many bytes were read back since the last Evict.
	ReadBack() int64
	// Capture pins, between two steps, what changed since the last Capture. It
	// is cheap; the writing happens elsewhere, while steps go on.
	Capture() Capture
	// Evict drops clean entries from memory, coldest first, until about n bytes
	// are free, and returns the bytes freed. Without a Reader it frees none. It may
	// be called within a step: what the step has changed is dirty, and stays.
	Evict(n int64) int64
	// Err is the first failure to read the durable state, nil if none. What the
	// table answered since is not to be trusted: the step must fail. Rollback puts
	// that right, and may forget the failure.
	Err() error
}

// Capture is what changed in a table between two captures. At most one capture
// of a table is open at a time.
type Capture interface {
	// Write hands the changes to w; any goroutine may call it, once.
	Write(w Writer)
	// Done says whether what was written is durable. If it is not, the next
	// capture has it again. It belongs to the table's goroutine.
	Done(durable bool)
}

// Writer takes the durable form of a table.
type Writer interface {
	Set(key, value []byte)
	Delete(key []byte)
}

// Reader reads the durable state beneath a table, as of the last durable
// capture.
type Reader interface {
	Get(key []byte) ([]byte, error) // nil: not there
	// Scan calls fn with the entries in [lower, upper), nil: no bound, in order,
	// until fn returns an error, which it returns. Key and value are fn's only
	// during the call.
	Scan(lower, upper []byte, fn func(key, value []byte) error) error
	// Pin returns a Reader that stays at this moment; it is to be released.
	Pin() (Reader, func())
}
