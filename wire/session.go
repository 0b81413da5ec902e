package wire

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"runtime/debug"
	"sync"

	"github.com/jackc/pgproto3/v2"

	"github.com/streamsql/streamsql/sql/sqlerr"
	"github.com/streamsql/streamsql/sql/types"
)

var (
	errShutdown = sqlerr.New(sqlerr.AdminShutdown, "terminating connection due to administrator command")
	errGone     = errors.New("wire: the client is gone")
	errEnd      = errors.New("wire: the client ended the session")
)

// fatal is an error that ends the session.
type fatal struct{ e *sqlerr.Error }

func (f fatal) Error() string { return f.e.Message }
func (f fatal) Unwrap() error { return f.e }

// session is one client's connection after the startup packet.
type session struct {
	srv         *Server
	conn        net.Conn
	w           *writer
	pid, secret uint32

	ctx  context.Context // of the session; its cause says why it ends
	kill context.CancelCauseFunc

	in   chan message  // from the reader; closed when the client terminated
	done chan struct{} // closed when nobody takes from in any more
	read chan struct{} // closed when the reader has returned

	mu     sync.Mutex // guards the two below
	cmd    context.Context
	cancel context.CancelCauseFunc

	sess   Session
	format func(dst []byte, t types.Type, d types.Datum) []byte
	parse  func(t types.Type, s string) (types.Datum, error)

	stmts    *Statements
	portals  map[string]*portal
	skip     bool // until Sync, after an error
	failed   bool // an error was reported since the last end of a transaction
	reported map[string]string
	row      []byte

	// Where error positions count from: offset bytes into the client's text.
	whole  string
	offset int
}

// serve runs the session to its end.
func (s *session) serve(st *startup) {
	go s.readAll()
	err := s.guard(func() error {
		if err := s.start(st); err != nil {
			return err
		}
		return s.loop()
	})
	s.kill(errGone)
	// Locks and snapshots go before a last message that the client may be slow to take.
	s.guard(func() error { s.closePortals(); return nil })
	s.guard(func() error {
		if s.sess != nil {
			s.sess.Close()
		}
		return nil
	})
	close(s.done)
	var f fatal
	if errors.As(err, &f) {
		s.w.send(errorResponse("FATAL", f.e, 0))
	}
	if s.w.flush() == nil && f.e != nil {
		linger(s.conn)
	}
	s.conn.Close()
	<-s.read
}

// guard turns a panic into a fatal error of this session alone.
func (s *session) guard(f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			s.panicked(p)
			err = fatal{sqlerr.New(sqlerr.Internal, "internal error: %v", p)}
		}
	}()
	return f()
}

func (s *session) panicked(p any) {
	s.srv.cfg.Logger.Error("panic in a session", "pid", s.pid, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
	if s.srv.onPanic != nil {
		s.srv.onPanic(p)
	}
}

// readAll reads ahead by one message, so that a client's end is seen while a
// command runs.
func (s *session) readAll() {
	defer close(s.read)
	r := bufio.NewReaderSize(s.conn, 8<<10)
	for {
		m := readMessage(r, s.srv.cfg.MaxMessage)
		var e *sqlerr.Error
		if m.err != nil && !errors.As(m.err, &e) {
			s.kill(errGone)
			return
		}
		if m.typ == 'X' {
			close(s.in)
			r.Discard(1) // fails when the client has closed; nothing else may follow
			s.kill(errGone)
			return
		}
		select {
		case s.in <- m:
		case <-s.done:
			return
		}
		if m.err != nil {
			return
		}
	}
}

// next waits for a message.
func (s *session) next() (message, error) {
	drain := s.srv.drain
	if s.cmd != nil { // between the messages of one command
		drain = nil
	}
	select {
	case m, ok := <-s.in:
		if !ok {
			return m, errEnd
		}
		var e *sqlerr.Error
		if errors.As(m.err, &e) {
			return m, fatal{e}
		}
		return m, m.err
	case <-drain:
		return message{}, fatal{errShutdown}
	case <-s.ctx.Done():
		return message{}, s.ending()
	}
}

// ending is the error of a session whose context has ended.
func (s *session) ending() error {
	cause := context.Cause(s.ctx)
	if e, ok := cause.(*sqlerr.Error); ok {
		return fatal{e}
	}
	return cause
}

func (s *session) loop() error {
	for {
		m, err := s.next()
		if err != nil {
			return err
		}
		if s.skip && m.typ != 'S' || m.typ == 'c' || m.typ == 'd' || m.typ == 'f' {
			continue // COPY data is what a client may still send when COPY has failed
		}
		s.begin()
		if m.typ == 'F' {
			if err := s.report(sqlerr.New(sqlerr.FeatureNotSupported, "fastpath function calls are not supported")); err != nil {
				return err
			}
			if err := s.ready(); err != nil {
				return err
			}
			continue
		}
		msg, err := decode(m, s.panicked)
		if err != nil {
			return fatal{sqlerr.From(err)}
		}
		if err := s.handle(msg); err != nil {
			return err
		}
	}
}

// handle answers one message. Its error ends the session.
func (s *session) handle(msg pgproto3.FrontendMessage) error {
	s.whole, s.offset = "", 0
	var err error
	switch msg := msg.(type) {
	case *pgproto3.Query:
		if err := s.simple(msg.String); err != nil {
			if err := s.report(err); err != nil {
				return err
			}
		}
		return s.ready()
	case *pgproto3.Sync:
		s.skip = false
		return s.ready()
	case *pgproto3.Flush:
		return s.w.flush()
	case *pgproto3.Parse:
		err = s.prepare(msg)
	case *pgproto3.Bind:
		err = s.bind(msg)
	case *pgproto3.Describe:
		err = s.describe(msg)
	case *pgproto3.Execute:
		err = s.execute(msg)
	case *pgproto3.Close:
		err = s.closeNamed(msg)
	}
	if err != nil {
		s.skip = true
		return s.report(err)
	}
	return nil
}

// begin opens the command that lasts until the next ReadyForQuery.
func (s *session) begin() {
	if s.cmd != nil {
		return
	}
	ctx, cancel := context.WithCancelCause(s.ctx)
	s.mu.Lock()
	s.cmd, s.cancel = ctx, cancel
	s.mu.Unlock()
}

func (s *session) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cancel != nil {
		s.cancel(nil)
	}
	s.cmd, s.cancel = nil, nil
}

// cancelCommand is called by another connection; it does nothing between commands.
func (s *session) cancelCommand(cause error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cancel != nil {
		s.cancel(cause)
	}
}
