package wire

import (
	"net"
	"sync"
	"time"

	"github.com/jackc/pgproto3/v2"
)

const (
	writeBuffer = 32 << 10
	// lateFlush is how long rows may wait in the buffer while the next ones are awaited.
	lateFlush = 20 * time.Millisecond
)

// writer buffers messages. Every write to the connection has a deadline, so that
// a client that stops reading is given up. The first error stays.
type writer struct {
	mu      sync.Mutex
	conn    net.Conn
	timeout time.Duration
	buf     []byte
	err     error
	timer   *time.Timer
	armed   bool
}

func newWriter(conn net.Conn, timeout time.Duration) *writer {
	return &writer{conn: conn, timeout: timeout}
}

// send encodes a message into the buffer.
func (w *writer) send(msg pgproto3.BackendMessage) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil {
		return w.err
	}
	buf, err := msg.Encode(w.buf)
	if err != nil {
		return err
	}
	w.buf = buf
	return w.spill()
}

// raw appends an encoded message to the buffer; with later it leaves soon.
func (w *writer) raw(b []byte, later bool) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil {
		return w.err
	}
	w.buf = append(w.buf, b...)
	if later {
		w.arm()
	}
	return w.spill()
}

func (w *writer) spill() error {
	if len(w.buf) < writeBuffer {
		return nil
	}
	return w.write()
}

func (w *writer) flush() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.armed {
		w.timer.Stop()
		w.armed = false
	}
	return w.write()
}

// flushLater sees to it that what is in the buffer leaves soon.
func (w *writer) flushLater() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.arm()
}

func (w *writer) arm() {
	if w.armed || len(w.buf) == 0 {
		return
	}
	w.armed = true
	if w.timer == nil {
		w.timer = time.AfterFunc(lateFlush, func() {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.armed = false
			w.write() // the error stays for the next caller
		})
		return
	}
	w.timer.Reset(lateFlush)
}

func (w *writer) write() error {
	if w.err != nil || len(w.buf) == 0 {
		return w.err
	}
	if w.timeout > 0 {
		w.conn.SetWriteDeadline(time.Now().Add(w.timeout))
	}
	_, w.err = w.conn.Write(w.buf)
	if cap(w.buf) > 8*writeBuffer {
		w.buf = nil // one huge row must not keep its memory
	}
	w.buf = w.buf[:0]
	return w.err
}

// failed returns the error that has ended the connection, if any.
func (w *writer) failed() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}
