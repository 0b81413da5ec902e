package wire

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/jackc/pgproto3/v2"

	"github.com/streamsql/streamsql/sql/sqlerr"
)

const protocolViolation = "08P01"

// readStep bounds what a length that a client merely claims can allocate.
const readStep = 64 << 10

// message is one of the client's, undecoded.
type message struct {
	typ  byte
	body []byte
	err  error // instead of a message; the stream ends here
}

// readMessage reads one message of at most limit bytes. Its memory is its own.
func readMessage(r io.Reader, limit int) message {
	var head [5]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return message{err: err}
	}
	n := int64(be.Uint32(head[1:])) - 4
	if !strings.ContainsRune("BCDEFHPQSXcdf", rune(head[0])) {
		return message{err: sqlerr.New(protocolViolation, "invalid frontend message type %d", head[0])}
	}
	if n < 0 || n > int64(limit) {
		return message{err: sqlerr.New(protocolViolation, "invalid message length")}
	}
	body, err := readBody(r, int(n))
	return message{typ: head[0], body: body, err: err}
}

func readBody(r io.Reader, n int) ([]byte, error) {
	body := make([]byte, min(n, readStep))
	if _, err := io.ReadFull(r, body); err != nil {
		return nil, unexpected(err)
	}
	for len(body) < n { // the memory grows with what has come
		more := min(n-len(body), len(body))
		at := len(body)
		body = append(body, make([]byte, more)...)
		if _, err := io.ReadFull(r, body[at:]); err != nil {
			return nil, unexpected(err)
		}
	}
	return body, nil
}

func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// replay gives one message to pgproto3, which asks for its head and then its body.
type replay struct{ head, body []byte }

func (r *replay) Next(int) ([]byte, error) {
	b := r.head
	r.head, r.body = r.body, nil
	return b, nil
}

// decode decodes a message. What pgproto3 does not survive is refused before it;
// should it panic all the same, onPanic hears of it.
func decode(m message, onPanic func(any)) (msg pgproto3.FrontendMessage, err error) {
	bad := sqlerr.New(protocolViolation, "invalid message format")
	if !wellFormed(m) {
		return nil, bad
	}
	defer func() {
		if p := recover(); p != nil {
			onPanic(fmt.Sprintf("message %c: %v", m.typ, p))
			msg, err = nil, bad
		}
	}()
	head := be.AppendUint32([]byte{m.typ}, uint32(len(m.body)+4))
	if msg, err = pgproto3.NewBackend(&replay{head, m.body}, nil).Receive(); err != nil {
		return nil, bad
	}
	return msg, nil
}

// wellFormed checks what pgproto3 leaves unchecked.
func wellFormed(m message) bool {
	switch m.typ {
	case 'Q':
		return len(m.body) > 0
	case 'P':
		return bytes.Count(m.body, []byte{0}) >= 2
	case 'B':
		return wellFormedBind(m.body)
	case 'C', 'D':
		return len(m.body) >= 2 && (m.body[0] == 'S' || m.body[0] == 'P')
	}
	return true
}

// wellFormedBind walks through a Bind message: two names, the parameters' formats,
// the parameters, the results' formats.
func wellFormedBind(b []byte) bool {
	for range 2 {
		i := bytes.IndexByte(b, 0)
		if i < 0 {
			return false
		}
		b = b[i+1:]
	}
	count := func(size int) (int, bool) {
		if len(b) < 2 {
			return 0, false
		}
		n := int(be.Uint16(b))
		b = b[2:]
		return n, len(b) >= n*size
	}
	n, ok := count(2)
	if !ok {
		return false
	}
	b = b[2*n:]
	if n, ok = count(4); !ok {
		return false
	}
	for ; n > 0; n-- {
		if len(b) < 4 {
			return false
		}
		size := int32(be.Uint32(b))
		b = b[4:]
		if size < -1 || int64(size) > int64(len(b)) {
			return false
		}
		b = b[max(size, 0):]
	}
	n, ok = count(2)
	return ok && len(b) == 2*n
}
