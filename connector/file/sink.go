package file

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"os"
	"path/filepath"
	"sync"

	"github.com/streamsql/streamsql/connector"
	"github.com/streamsql/streamsql/connector/json"
	"github.com/streamsql/streamsql/sql/delta"
	"github.com/streamsql/streamsql/sql/sqlerr"
)

func init() { connector.RegisterSink("file", NewSink) }

// epochRows are the lines of an epoch that is not yet released.
type epochRows struct {
	epoch uint64
	lines []byte
}

// sink writes JSON lines, each epoch once.
type sink struct {
	path    string
	rows    rows
	f       *os.File
	off     int64 // where the released rows end
	pending []epochRows
	fresh   bool // nothing was written since the state was read
}

// rows writes rows as JSON.
type rows struct {
	keys     [][]byte
	retracts bool
}

func newRows(cfg connector.Config) (rows, error) {
	r := rows{retracts: cfg.Retracts}
	var names []string
	for _, c := range cfg.Columns {
		if c.Name == opKey {
			return r, invalid(`a column of a sink cannot be named "%s"`, opKey)
		}
		names = append(names, c.Name)
	}
	r.keys = json.Keys(names)
	return r, nil
}

const opKey = "__op"

// each calls f for each row that leaves and then for each that comes, as often
// as its weight says: who applies them in order never has a row twice.
func each(b *delta.Batch, f func(i int, leaves bool)) {
	for i := range b.N {
		for w := b.Weight(i); w < 0; w++ {
			f(i, true)
		}
	}
	for i := range b.N {
		for w := b.Weight(i); w > 0; w-- {
			f(i, false)
		}
	}
}

func (r *rows) check(b *delta.Batch) error {
	if len(r.keys) != len(b.Cols) {
		return sqlerr.New(sqlerr.Internal, "the sink has %d columns, but its rows have %d", len(r.keys), len(b.Cols))
	}
	return nil
}

// line appends row i as a line.
func (r *rows) line(dst []byte, b *delta.Batch, i int, leaves bool) []byte {
	dst = json.AppendRow(dst, r.keys, b.Cols, i)
	// A row that leaves is never written like one that comes.
	if r.retracts || leaves {
		dst = dst[:len(dst)-1]
		if len(r.keys) > 0 {
			dst = append(dst, ',')
		}
		if leaves {
			dst = append(dst, `"__op":"delete"}`...)
		} else {
			dst = append(dst, `"__op":"insert"}`...)
		}
	}
	return append(dst, '\n')
}

var (
	openMu sync.Mutex
	opened = map[string]bool{}
)

// NewSink makes the sink that cfg asks for; state is what an earlier one stored.
func NewSink(cfg connector.Config, state []byte) (connector.Sink, error) {
	path := cfg.Options["path"]
	if path == "" {
		return nil, invalid("the connector file needs the option path")
	}
	if n := cfg.UnknownOption("path", "format"); n != "" && state == nil {
		return nil, invalid(`unknown option "%s"`, n).WithHint("Known options: path, format.")
	}
	if f := format(cfg); f != "json" && f != "jsonl" {
		return nil, invalid(`option format: "%s": the sink file writes 'json' only`, f)
	}
	r, err := newRows(cfg)
	if err != nil {
		return nil, err
	}
	if path, err = filepath.Abs(path); err != nil {
		return nil, ioError(err)
	}
	openMu.Lock()
	defer openMu.Unlock()
	if opened[path] {
		return nil, sqlerr.New(sqlerr.ObjectNotInState, "another sink writes to %s", path)
	}
	s := &sink{path: path, rows: r}
	if err := s.open(state); err != nil {
		if s.f != nil {
			s.f.Close()
		}
		return nil, err
	}
	opened[path] = true
	return s, nil
}

func (s *sink) open(state []byte) error {
	if st, err := os.Stat(s.path); err == nil && !st.Mode().IsRegular() {
		return invalid(`"%s" is no regular file`, s.path)
	}
	var err error
	if s.f, err = os.OpenFile(s.path, os.O_RDWR|os.O_CREATE, 0o644); err != nil {
		return ioError(err)
	}
	if dir, err := os.Open(filepath.Dir(s.path)); err == nil {
		dir.Sync() // the file's name must last as its rows do
		dir.Close()
	}
	st, err := s.f.Stat()
	if err != nil {
		return ioError(err)
	}
	if state == nil {
		s.off = st.Size() // what others wrote stays
		return nil
	}
	if s.off, s.pending, err = decodeState(state); err != nil {
		return err
	}
	s.fresh = true
	if st.Size() < s.off {
		return sqlerr.New(sqlerr.IOError, "%s has %d bytes, but %d were written to it", s.path, st.Size(), s.off).
			WithHint("Put the file back, or drop the sink and create it again.")
	}
	// Epochs released after the state was stored are in the file already, whole,
	// and stay there: readers may have seen them.
	for len(s.pending) > 0 {
		lines := s.pending[0].lines
		there := make([]byte, len(lines))
		if n, err := s.f.ReadAt(there, s.off); n < len(lines) && err != nil && err != io.EOF {
			return ioError(err)
		} else if n < len(lines) || !bytes.Equal(there, lines) {
			break
		}
		s.off += int64(len(lines))
		s.pending = s.pending[1:]
	}
	if err := s.f.Truncate(s.off); err != nil {
		return ioError(err)
	}
	if err := s.f.Sync(); err != nil {
		return ioError(err)
	}
	return nil
}

// Write keeps the rows of an epoch until it is released.
func (s *sink) Write(_ context.Context, epoch uint64, b *delta.Batch) error {
	if err := s.rows.check(b); err != nil {
		return err
	}
	n := len(s.pending)
	// An epoch of the state that was not durable comes again, and others with it.
	for ; s.fresh && n > 0 && s.pending[n-1].epoch >= epoch; n-- {
		s.pending = s.pending[:n-1]
	}
	s.fresh = false
	if n == 0 || s.pending[n-1].epoch != epoch {
		s.pending = append(s.pending, epochRows{epoch: epoch})
		n++
	}
	last := &s.pending[n-1]
	each(b, func(i int, leaves bool) { last.lines = s.rows.line(last.lines, b, i, leaves) })
	return nil
}

// Release appends the rows of the epochs up to this one to the file.
func (s *sink) Release(_ context.Context, epoch uint64) error {
	n := 0
	var out []byte
	for n < len(s.pending) && s.pending[n].epoch <= epoch {
		out = append(out, s.pending[n].lines...)
		n++
	}
	if len(out) > 0 {
		// A failed write is repeated over itself by the next release.
		if _, err := s.f.WriteAt(out, s.off); err != nil {
			s.f.Truncate(s.off)
			return ioError(err)
		}
		if err := s.f.Sync(); err != nil {
			return ioError(err)
		}
	}
	s.off += int64(len(out))
	s.pending = append([]epochRows(nil), s.pending[n:]...)
	return nil
}

// Close closes the file. Rows which were not released are in the state.
func (s *sink) Close() error {
	openMu.Lock()
	delete(opened, s.path)
	openMu.Unlock()
	return s.f.Close()
}

const stateVersion = 1

// State is the version, the offset, and the epochs with their lines.
func (s *sink) State() []byte {
	size := 32
	for _, p := range s.pending {
		size += len(p.lines) + 20
	}
	out := append(make([]byte, 0, size), stateVersion)
	out = binary.AppendUvarint(out, uint64(s.off))
	for _, p := range s.pending {
		out = binary.AppendUvarint(out, p.epoch)
		out = binary.AppendUvarint(out, uint64(len(p.lines)))
		out = append(out, p.lines...)
	}
	return out
}

func decodeState(b []byte) (off int64, pending []epochRows, err error) {
	bad := sqlerr.New("XX001", "the state of the sink file is damaged")
	if len(b) == 0 || b[0] != stateVersion {
		return 0, nil, bad
	}
	b = b[1:]
	number := func() uint64 {
		n, w := binary.Uvarint(b)
		if w <= 0 {
			err, b = bad, nil
			return 0
		}
		b = b[w:]
		return n
	}
	off = int64(number())
	for len(b) > 0 && err == nil {
		p := epochRows{epoch: number()}
		n := number()
		if err != nil || n > uint64(len(b)) {
			return 0, nil, bad
		}
		p.lines = bytes.Clone(b[:n])
		b = b[n:]
		pending = append(pending, p)
	}
	if off < 0 {
		return 0, nil, bad
	}
	return off, pending, err
}
