package checkpoint

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"github.com/cockroachdb/pebble/vfs"

	"github.com/streamsql/streamsql/sql/sqlerr"
)

const (
	logMagic      = "SSQLWAL\n"
	logVersion    = 1
	headerSize    = 24 // bytes
	recordHead    = 16 // bytes before a record's payload
	tmpSuffix     = ".tmp"
	codeDamaged   = "XX001" // data_corrupted
	codeTooLarge  = "54000" // program_limit_exceeded
	maxPayload    = 1 << 30 // bytes
	defaultSeg    = 64 << 20
	defaultBuffer = 8 << 20
)

var (
	castagnoli  = crc32.MakeTable(crc32.Castagnoli)
	segmentName = regexp.MustCompile(`^[0-9a-f]{16}\.log$`)
)

// LogOptions are the settings of a Log; the zero value is the default of each.
type LogOptions struct {
	// SegmentBytes is the size, in bytes, a segment is not to exceed; a segment
	// holding a single larger record does. 0 means 64 MiB.
	SegmentBytes int64
	// BufferBytes is how many bytes of unsynced records Append holds in memory
	// before it syncs by itself. 0 means 8 MiB.
	BufferBytes int
}

type segment struct {
	base uint64 // sequence number of its first record
	path string
}

// Log is a write-ahead log of opaque records. Its methods are safe for
// concurrent use. Every error is a *sqlerr.Error: 53100 when the disk is full,
// 58030 for another failure of the file system, XX001 for damage, 55000 for a
// closed log.
//
// The first failed write or fsync poisons the log: it is never retried, and
// every later Append, Sync, Truncate and Close returns that first error.
type Log struct {
	fs   vfs.FS
	dir  string
	opts LogOptions

	// files is held shared while segments are read, exclusively while they are removed.
	files sync.RWMutex

	mu      sync.Mutex
	idle    sync.Cond // signalled when busy becomes false; uses mu
	busy    bool      // one goroutine owns file, size, dirty and written
	buf     []byte    // encoded records not yet handed to the owner
	spare   []byte
	next    uint64 // the next sequence number to give out
	durable uint64 // the last one fsynced
	err     error  // the first failure, or that the log is closed
	closed  bool
	segs    []segment // ascending; the last is open for appending

	// Owned by whoever set busy.
	file    vfs.File
	size    int64  // bytes in file
	dirty   bool   // file has unsynced bytes
	written uint64 // the next sequence number to go into file
}

// OpenLog opens the log in dir, creating the directory (not its parents) and
// the log when there is none. It reads and checks every segment, one at a time
// in memory, and makes everything Replay will give durable. A torn tail of the
// last segment is cut off; damage elsewhere, a gap between segments or a newer
// format version is refused (XX001; 0A000 for the version). A full disk is
// 53100, another file-system failure 58030.
func OpenLog(fs vfs.FS, dir string, opts LogOptions) (*Log, error) {
	if opts.SegmentBytes <= 0 {
		opts.SegmentBytes = defaultSeg
	}
	if opts.BufferBytes <= 0 {
		opts.BufferBytes = defaultBuffer
	}
	l := &Log{fs: fs, dir: dir, opts: opts}
	l.idle.L = &l.mu
	if err := fs.MkdirAll(dir, 0o700); err != nil {
		return nil, ioError("create directory", dir, err)
	}
	// Also when the directory was there: the run that made it may have crashed before this.
	if err := syncDir(l.fs, fs.PathDir(dir)); err != nil {
		return nil, err
	}
	names, err := fs.List(dir)
	if err != nil {
		return nil, ioError("list directory", dir, err)
	}
	slices.Sort(names)
	for _, name := range names {
		path := fs.PathJoin(dir, name)
		if segmentName.MatchString(strings.TrimSuffix(name, tmpSuffix)) && strings.HasSuffix(name, tmpSuffix) {
			if err := fs.Remove(path); err != nil {
				return nil, ioError("remove", path, err)
			}
		}
		if segmentName.MatchString(name) {
			base, err := strconv.ParseUint(name[:16], 16, 64)
			if err != nil || base == 0 {
				return nil, sqlerr.New(codeDamaged, "log segment %s has an impossible name", path)
			}
			l.segs = append(l.segs, segment{base, path})
		}
	}
	l.next = 1
	var tail []byte // the valid records of the last segment
	for i, s := range l.segs {
		if i == 0 {
			l.next = s.base
		}
		if s.base != l.next {
			return nil, sqlerr.New(codeDamaged, "log segment %s begins at sequence number %d, expected %d: a segment is missing or was cut short", s.path, s.base, l.next)
		}
		last := i == len(l.segs)-1
		data, err := l.readFile(s.path)
		if err != nil {
			return nil, err
		}
		if last && len(data) < headerSize {
			if err := checkVersion(s.path, data); err != nil {
				return nil, err
			}
			break
		}
		if err := checkHeader(s, data); err != nil {
			return nil, err
		}
		off := headerSize
		for off < len(data) {
			payload, ok := parseRecord(data[off:], l.next)
			if !ok {
				if !last || validAfter(data, off, l.next) {
					return nil, damaged(s.path, off, l.next)
				}
				break
			}
			off += recordHead + len(payload)
			l.next++
		}
		if last {
			tail = data[headerSize:off]
		}
	}
	base := l.next
	if n := len(l.segs); n > 0 {
		base = l.segs[n-1].base
		l.segs = l.segs[:n-1]
	}
	if err := l.begin(base, tail); err != nil {
		return nil, err
	}
	l.written, l.durable = l.next, l.next-1
	return l, nil
}

// Append adds a record and returns its sequence number, one more than that of
// the record before. The record is durable, and may be acknowledged, only when
// a Sync begun after Append has returned nil. payload is copied; it may be empty
// and have at most 1 GiB (54000, which leaves the log usable). On a poisoned
// log it returns the first error.
func (l *Log) Append(payload []byte) (seq uint64, err error) {
	if len(payload) > maxPayload {
		return 0, sqlerr.New(codeTooLarge, "log record of %d bytes exceeds the limit of %d bytes", len(payload), maxPayload)
	}
	l.mu.Lock()
	for l.err == nil && len(l.buf) > 0 && len(l.buf)+recordHead+len(payload) > l.opts.BufferBytes {
		l.mu.Unlock()
		if err := l.Sync(); err != nil {
			return 0, err
		}
		l.mu.Lock()
	}
	defer l.mu.Unlock()
	if l.err != nil {
		return 0, l.err
	}
	seq = l.next
	l.next++
	l.buf = appendRecord(l.buf, seq, payload)
	return seq, nil
}

// Sync makes every record appended before the call durable. Concurrent callers
// share one fsync. On a poisoned log it returns the first error; 53100 and
// 58030 say that this very call found it.
func (l *Log) Sync() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		return l.err
	}
	target := l.next - 1
	for l.durable < target {
		if l.err != nil {
			return l.err
		}
		if l.busy {
			l.idle.Wait()
			continue
		}
		l.busy = true
		batch, upTo := l.buf, l.next-1
		l.buf, l.spare = l.spare[:0], nil
		l.mu.Unlock()
		err := l.write(batch)
		l.mu.Lock()
		if err == nil {
			l.durable = upTo
		}
		if cap(batch) <= 2*l.opts.BufferBytes {
			l.spare = batch[:0]
		}
		l.release(err)
	}
	return nil
}

// Replay calls fn with every durable record whose sequence number is at least
// from, in order: those of the time of the call, beginning with the oldest that
// Truncate has left (see FirstSeq). payload is valid only during the call. An
// error of fn ends the replay and is returned as it is; others are 58030 or
// XX001 naming file and offset. Replay also works on a poisoned log. fn may
// call Append and Sync, but not Truncate.
func (l *Log) Replay(from uint64, fn func(seq uint64, payload []byte) error) error {
	l.files.RLock()
	defer l.files.RUnlock()
	l.mu.Lock()
	segs, durable := slices.Clone(l.segs), l.durable
	l.mu.Unlock()
	for i, s := range segs {
		end := durable + 1 // one past the segment's last record
		if i+1 < len(segs) {
			end = min(end, segs[i+1].base)
		}
		if end <= from || end <= s.base {
			continue
		}
		data, err := l.readFile(s.path)
		if err != nil {
			return err
		}
		if err := checkHeader(s, data); err != nil {
			return err
		}
		off := headerSize
		for seq := s.base; seq < end; seq++ {
			payload, ok := parseRecord(data[off:], seq)
			if !ok {
				return damaged(s.path, off, seq)
			}
			off += recordHead + len(payload)
			if seq < from {
				continue
			}
			if err := fn(seq, payload); err != nil {
				return err
			}
		}
	}
	return nil
}

// Truncate removes every segment all of whose records have a sequence number
// of at most upTo, oldest first; it waits for running Replays. An upTo beyond
// the last record means the last; records appended but not yet synced that it
// covers are synced first. The next sequence number stays recorded when no
// record is left. A file that cannot be removed is 58030 and leaves the log
// usable; any other failure poisons it.
func (l *Log) Truncate(upTo uint64) error {
	l.mu.Lock()
	pending := l.durable < upTo
	l.mu.Unlock()
	if pending {
		if err := l.Sync(); err != nil {
			return err
		}
	}
	l.files.Lock()
	defer l.files.Unlock()
	l.mu.Lock()
	for l.busy {
		l.idle.Wait()
	}
	if l.err != nil {
		defer l.mu.Unlock()
		return l.err
	}
	l.busy = true
	rotate := l.durable <= upTo && l.durable >= l.segs[len(l.segs)-1].base
	l.mu.Unlock()

	var fatal, err error
	if rotate {
		fatal = l.rotate()
	}
	for fatal == nil && err == nil && len(l.segs) > 1 && l.segs[1].base-1 <= upTo {
		path := l.segs[0].path
		if e := l.fs.Remove(path); e != nil {
			err = ioError("remove", path, e)
			break
		}
		l.mu.Lock()
		l.segs = slices.Clone(l.segs[1:])
		l.mu.Unlock()
		// One by one, so that no crash can leave a gap.
		fatal = syncDir(l.fs, l.dir)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.release(fatal)
	if fatal != nil {
		return l.err
	}
	return err
}

// FirstSeq returns the sequence number of the oldest record in the log; that
// of the next record when the log has none.
func (l *Log) FirstSeq() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.segs[0].base
}

// NextSeq returns the sequence number the next Append will get.
func (l *Log) NextSeq() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.next
}

// Close syncs what was appended and closes the log; later calls of Append, Sync
// and Truncate are 55000. On a poisoned log it returns the first error, having
// released the file nevertheless. A second Close does nothing.
func (l *Log) Close() error {
	l.mu.Lock()
	closed := l.closed
	l.closed = true
	l.mu.Unlock()
	if closed {
		return nil
	}
	err := l.Sync()
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.busy {
		l.idle.Wait()
	}
	if l.err == nil {
		l.err = sqlerr.New(sqlerr.ObjectNotInState, "log %s is closed", l.dir)
		if len(l.buf) > 0 { // appended while closing: never acknowledged
			l.buf = nil
		}
	}
	if l.file != nil {
		if e := l.file.Close(); e != nil && err == nil {
			err = ioError("close", l.dir, e)
		}
		l.file = nil
	}
	return err
}

// release gives the files up; an err poisons the log. l.mu is held.
func (l *Log) release(err error) {
	if err != nil && l.err == nil {
		l.err = err
	}
	l.busy = false
	l.idle.Broadcast()
}

// write puts the encoded records of batch into the segments and fsyncs them.
// The caller owns the files.
func (l *Log) write(batch []byte) error {
	for len(batch) > 0 {
		n, count := 0, uint64(0)
		for n < len(batch) {
			rec := recordHead + int(binary.LittleEndian.Uint32(batch[n:]))
			full := l.size+int64(n+rec) > l.opts.SegmentBytes
			if full && (n > 0 || l.size > headerSize) {
				break
			}
			n += rec
			count++
		}
		if n == 0 {
			if err := l.rotate(); err != nil {
				return err
			}
			continue
		}
		if err := writeAll(l.file, l.last(), batch[:n]); err != nil {
			return err
		}
		l.size += int64(n)
		l.dirty = true
		l.written += count
		batch = batch[n:]
	}
	return l.syncFile()
}

func (l *Log) last() string { return l.segs[len(l.segs)-1].path }

// syncFile fsyncs the last segment if it has unsynced bytes.
func (l *Log) syncFile() error {
	if !l.dirty {
		return nil
	}
	if err := l.file.Sync(); err != nil {
		return ioError("sync", l.last(), err)
	}
	l.dirty = false
	return nil
}

// rotate begins a new segment once the last one is durable.
func (l *Log) rotate() error {
	if err := l.syncFile(); err != nil {
		return err
	}
	if err := l.file.Close(); err != nil {
		l.file = nil
		return ioError("close", l.last(), err)
	}
	l.file = nil
	return l.begin(l.written, nil)
}

// begin makes the segment whose first record is base, holding the encoded
// records body, durable under its name, replacing a file of that name, and
// opens it for appending.
func (l *Log) begin(base uint64, body []byte) (err error) {
	path := l.fs.PathJoin(l.dir, fmt.Sprintf("%016x.log", base))
	tmp := path + tmpSuffix
	f, err := l.fs.Create(tmp)
	if err != nil {
		return ioError("create", tmp, err)
	}
	defer func() {
		if err != nil {
			f.Close() // the first error is the one to report
		}
	}()
	if err := writeAll(f, tmp, append(encodeHeader(base), body...)); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return ioError("sync", tmp, err)
	}
	if err := l.fs.Rename(tmp, path); err != nil {
		return ioError("rename", tmp, err)
	}
	if err := syncDir(l.fs, l.dir); err != nil {
		return err
	}
	l.file, l.size, l.dirty = f, int64(headerSize+len(body)), false
	l.mu.Lock()
	l.segs = append(slices.Clone(l.segs), segment{base, path})
	l.mu.Unlock()
	return nil
}

func syncDir(fs vfs.FS, dir string) error {
	d, err := fs.OpenDir(dir)
	if err != nil {
		return ioError("open directory", dir, err)
	}
	err = d.Sync()
	if e := d.Close(); err == nil {
		err = e
	}
	if err != nil {
		return ioError("sync directory", dir, err)
	}
	return nil
}

func (l *Log) readFile(path string) ([]byte, error) {
	f, err := l.fs.Open(path)
	if err != nil {
		return nil, ioError("open", path, err)
	}
	defer f.Close()
	data, err := io.ReadAll(f)
	if err != nil {
		return nil, ioError("read", path, err)
	}
	return data, nil
}

func writeAll(f vfs.File, path string, b []byte) error {
	n, err := f.Write(b)
	if err == nil && n != len(b) {
		err = io.ErrShortWrite
	}
	if err != nil {
		return ioError("write", path, err)
	}
	return nil
}

func encodeHeader(base uint64) []byte {
	h := append(make([]byte, 0, headerSize), logMagic...)
	h = binary.LittleEndian.AppendUint32(h, logVersion)
	h = binary.LittleEndian.AppendUint64(h, base)
	return binary.LittleEndian.AppendUint32(h, crc32.Checksum(h, castagnoli))
}

// checkVersion refuses a newer format; it looks at nothing else of a header.
func checkVersion(path string, data []byte) error {
	if len(data) < 12 || string(data[:8]) != logMagic {
		return nil
	}
	if v := binary.LittleEndian.Uint32(data[8:]); v > logVersion {
		return sqlerr.New(sqlerr.FeatureNotSupported, "log segment %s has format version %d; this program reads versions up to %d", path, v, logVersion).
			WithHint("Use the program version that wrote it, or a newer one.")
	}
	return nil
}

func checkHeader(s segment, data []byte) error {
	if err := checkVersion(s.path, data); err != nil {
		return err
	}
	if len(data) < headerSize || string(data[:headerSize]) != string(encodeHeader(s.base)) {
		return sqlerr.New(codeDamaged, "log segment %s is damaged at offset 0: bad header", s.path)
	}
	return nil
}

func appendRecord(b []byte, seq uint64, payload []byte) []byte {
	start := len(b)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(payload)))
	b = append(b, 0, 0, 0, 0)
	b = binary.LittleEndian.AppendUint64(b, seq)
	b = append(b, payload...)
	binary.LittleEndian.PutUint32(b[start+4:], recordSum(b[start:]))
	return b
}

func recordSum(rec []byte) uint32 {
	return crc32.Update(crc32.Checksum(rec[:4], castagnoli), castagnoli, rec[8:])
}

// parseRecord gives the payload of the record at the beginning of b, if it is
// whole, undamaged and has the sequence number seq.
func parseRecord(b []byte, seq uint64) (payload []byte, ok bool) {
	if len(b) < recordHead {
		return nil, false
	}
	n := binary.LittleEndian.Uint32(b)
	if n > maxPayload || int(n) > len(b)-recordHead || binary.LittleEndian.Uint64(b[8:]) != seq {
		return nil, false
	}
	end := recordHead + int(n)
	if recordSum(b[:end]) != binary.LittleEndian.Uint32(b[4:]) {
		return nil, false
	}
	return b[recordHead:end:end], true
}

// validAfter says whether a valid record begins at any byte behind off, where
// that of sequence number seq should be.
func validAfter(data []byte, off int, seq uint64) bool {
	for o := off + 1; o+recordHead <= len(data); o++ {
		s := binary.LittleEndian.Uint64(data[o+8:])
		if s < seq || s-seq > uint64(len(data)/recordHead) {
			continue
		}
		if _, ok := parseRecord(data[o:], s); ok {
			return true
		}
	}
	return false
}

func damaged(path string, off int, seq uint64) error {
	return sqlerr.New(codeDamaged, "log segment %s is damaged at offset %d: bad record where sequence number %d was expected", path, off, seq)
}

// ioError is err, of the named operation on path, as a *sqlerr.Error.
func ioError(op, path string, err error) error {
	code := sqlerr.IOError
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		code = sqlerr.DiskFull
	}
	return sqlerr.New(code, "could not %s %s: %v", op, path, err)
}
