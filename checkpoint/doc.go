// Package checkpoint holds what survives a crash of the engine. Log is the
// write-ahead log of acknowledged DML: a statement is acknowledged only after
// the Sync that covers its record has returned nil. Store is the data directory:
// the state of every operator at the last checkpoint, in Pebble, with the epoch
// and what the engine keeps beside it, in one atomic commit. It holds the
// directory's lock and its format version.
//
// # The log's file format
//
// A log is a directory of segments. A segment is named by the sequence number
// of its first record as 16 lower-case hexadecimal digits, with the suffix
// ".log". All integers are little-endian; offsets and lengths are in bytes.
//
//	header (24 bytes): magic "SSQLWAL\n" | version u32 | first seq u64 | crc32c u32 of the 20 bytes before it
//	record (16 bytes + payload): length u32 | crc32c u32 | seq u64 | payload
//
// length is that of the payload alone; the checksum covers length, seq and
// payload. Sequence numbers start at 1 and have no gaps, neither within a
// segment nor between two.
//
// # Guarantees and limits
//
// A segment is begun only when every record before it has been fsynced, and it
// gets its name only when its header has been; so only the last segment can be
// torn. OpenLog cuts a torn tail off by copying what is valid to a new file
// which then takes the name of the old one. It copies an untorn last segment
// too: after a failed fsync the page cache may show bytes the disk never got.
//
// A damaged record with a valid one after it is refused, also in the part of
// the last segment that was never synced: a disk that persists the pages of one
// unfinished write out of order can thus make OpenLog refuse a log although
// nothing acknowledged was lost. A damaged last record cannot be told from a
// torn one and is cut off.
//
// The sequence number of a durable record is never given out again. That of a
// record which was appended but lost before its Sync returned may be.
//
// A directory must be open in at most one Log at a time; the package takes no
// lock of its own.
package checkpoint
