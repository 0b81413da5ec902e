package file

import (
	"bytes"
	"context"
	"io"
	"os"
	"sync/atomic"
	"time"

	"github.com/streamsql/streamsql/connector"
	"github.com/streamsql/streamsql/sql/delta"
	"github.com/streamsql/streamsql/sql/sqlerr"
)

const (
	chunk     = 256 << 10
	maxRecord = 4 << 20 // longer ones are dead letters
	maxBatch  = 16 << 20
	maxDead   = 64 << 10 // bytes that a dead letter keeps
)

type reader struct {
	*Source
	f     *os.File
	dec   decoder
	off   int64 // of the next record
	limit int64 // -1: none
	done  bool  // the end of a bounded file was reached

	buf     []byte
	start   int                   // where in buf the next record starts
	at      int64                 // buf's place in the file
	rows    int                   // in dec
	offsets []int64               // of the rows in dec
	long    *connector.DeadLetter // a line too long, of which the rest is to come

	trouble *atomic.Pointer[error]
}

// Trouble returns why the file cannot be read at the moment.
func (r *reader) Trouble() error {
	if e := r.trouble.Load(); e != nil {
		return *e
	}
	return nil
}

// Close closes the file.
func (r *reader) Close() error {
	if r.f == nil {
		return nil
	}
	err := r.f.Close()
	r.f = nil
	return err
}

func (r *reader) past() bool { return r.done || r.limit >= 0 && r.off >= r.limit }

func (r *reader) full(out *connector.Fetch, maxRows int) bool {
	return r.rows >= maxRows || len(out.Dead) >= maxRows || r.rows > 0 && r.dec.size() >= maxBatch
}

// Fetch returns the records that are there, and waits when there are none.
func (r *reader) Fetch(ctx context.Context, maxRows int) ([]connector.Fetch, error) {
	if maxRows < 1 || maxRows > delta.MaxRows {
		maxRows = delta.MaxRows
	}
	begin, asked := r.off, time.Now()
	out := connector.Fetch{}
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		r.decode(&out, maxRows, false)
		if r.past() || r.full(&out, maxRows) {
			break
		}
		n, final, err := r.fill()
		if final != nil {
			return nil, final
		}
		if err != nil {
			r.trouble.Store(&err)
		} else {
			r.trouble.Store(nil)
		}
		if n > 0 {
			continue
		}
		if out.AtEnd = err == nil; out.AtEnd && r.bounded {
			r.decode(&out, maxRows, true)
			r.done = r.start == len(r.buf)
			break
		}
		if r.off > begin {
			break
		}
		if err == nil && time.Since(asked) >= connector.QuietEvery {
			return []connector.Fetch{{Next: r.off, AtEnd: true}}, nil
		}
		if err := sleep(ctx, poll); err != nil {
			return nil, err
		}
	}
	if r.off == begin {
		return nil, io.EOF
	}
	out.Next = r.off
	out.AtEnd = out.AtEnd || r.past()
	if r.rows > 0 {
		out.Batch, out.Offsets = &delta.Batch{N: r.rows, Cols: r.dec.take()}, r.offsets
		r.rows, r.offsets = 0, nil
	}
	return []connector.Fetch{out}, nil
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// decode decodes the records in the buffer; with ended, nothing follows it.
func (r *reader) decode(out *connector.Fetch, maxRows int, ended bool) {
	for r.dec != nil && !r.past() && !r.full(out, maxRows) {
		b := r.buf[r.start:]
		if r.long != nil {
			n := bytes.IndexByte(b, '\n') + 1
			if n == 0 {
				r.start = len(r.buf)
			}
			if n == 0 && !ended {
				return
			}
			out.Dead = append(out.Dead, *r.long)
			r.long = nil
			r.advance(n)
			continue
		}
		if len(b) == 0 {
			return
		}
		n := r.dec.end(b)
		if n == 0 && ended {
			r.buf = append(r.buf, '\n')
			n = min(r.dec.end(r.buf[r.start:]), len(b))
			r.buf = r.buf[:len(r.buf)-1]
		}
		if n > maxRecord || n == 0 && (ended || len(b) > maxRecord) {
			// Of a CSV record whose quote does not end, the first line is the culprit.
			n = bytes.IndexByte(b, '\n') + 1
			if n == 0 && ended {
				n = len(b)
			}
			dead := r.dead(b, "the record is longer than 4 MB")
			if n > 0 && n <= maxRecord {
				dead = r.dead(b[:n], "a quote does not end")
			}
			if n == 0 {
				r.long = &dead
				r.start = len(r.buf)
				return
			}
			out.Dead = append(out.Dead, dead)
			r.advance(n)
			continue
		}
		if n == 0 {
			return
		}
		if rec := trimBreak(b[:n]); len(rec) > 0 {
			if err := r.dec.decode(rec); err != nil {
				out.Dead = append(out.Dead, r.dead(rec, err.Error()))
			} else {
				r.rows++
				r.offsets = append(r.offsets, r.off)
				r.meta()
			}
		}
		r.advance(n)
	}
}

func trimBreak(b []byte) []byte {
	b = bytes.TrimSuffix(b, []byte("\n"))
	return bytes.TrimSuffix(b, []byte("\r"))
}

func (r *reader) meta() {
	for i, c := range r.cols {
		switch c.Meta {
		case "offset":
			r.dec.vec(i).AppendInt(r.off)
		case "partition":
			r.dec.vec(i).AppendInt(0)
		}
	}
}

func (r *reader) advance(n int) {
	r.start += n
	r.off = r.at + int64(r.start)
}

func (r *reader) dead(b []byte, reason string) connector.DeadLetter {
	return connector.DeadLetter{Offset: r.off, Bytes: bytes.Clone(b[:min(len(b), maxDead)]), Reason: reason, Time: time.Now()}
}

// fill reads on. What may pass is err; final is what will not.
func (r *reader) fill() (n int, final, err error) {
	fail := func(e error) (int, error, error) {
		if r.bounded {
			return 0, e, nil
		}
		return 0, nil, e
	}
	if r.f == nil {
		ready, final, err := r.open()
		if final != nil {
			return 0, final, nil
		}
		if err != nil {
			return fail(ioError(err))
		}
		if !ready {
			return 0, nil, nil
		}
	}
	st, err := r.f.Stat()
	if err != nil {
		return fail(ioError(err))
	}
	end := r.at + int64(len(r.buf))
	if st.Size() < end {
		return fail(sqlerr.New(sqlerr.IOError, "%s has %d bytes but was read up to %d: it was cut or replaced", r.path, st.Size(), end))
	}
	if st.Size() == end {
		if now, err := os.Stat(r.path); err != nil || !os.SameFile(st, now) {
			// Another file has the name; its bytes so far are taken for the same.
			r.f.Close()
			r.f = nil
			if err != nil {
				return fail(ioError(err))
			}
		}
		return 0, nil, nil
	}
	r.buf = append(r.buf[:0], r.buf[r.start:]...)
	r.at += int64(r.start)
	r.start = 0
	have := len(r.buf)
	if cap(r.buf)-have < chunk {
		r.buf = append(make([]byte, 0, 2*cap(r.buf)+chunk), r.buf...)
	}
	n, err = r.f.ReadAt(r.buf[have:have+chunk], end)
	r.buf = r.buf[:have+n]
	if err != nil && err != io.EOF {
		return fail(ioError(err))
	}
	return n, nil, nil
}

// open opens the file and makes the decoder; not ready: its header is not whole.
func (r *reader) open() (ready bool, final, err error) {
	f, err := os.Open(r.path)
	if err != nil {
		return false, nil, err
	}
	defer func() {
		if r.f == nil {
			f.Close()
		}
	}()
	var header []byte
	if r.csv && r.header {
		head := make([]byte, chunk)
		n, err := f.ReadAt(head, 0)
		if err != nil && err != io.EOF {
			return false, nil, err
		}
		size := csvEnd(head[:n], r.sep)
		if size == 0 {
			if n == chunk {
				return false, sqlerr.New(sqlerr.InvalidText, "the header of %s does not end in its first %d bytes", r.path, n), nil
			}
			if !r.bounded || n == 0 {
				return false, nil, nil
			}
			size = n
		}
		header = trimBreak(head[:size])
		r.off = max(r.off, int64(size))
	}
	if r.dec == nil {
		if r.dec, final = r.decoder(header); final != nil {
			return false, final, nil
		}
		r.at = r.off
	}
	r.f = f
	return true, nil, nil
}
