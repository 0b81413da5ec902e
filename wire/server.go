package wire

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/streamsql/streamsql/sql/sqlerr"
)

// ErrServerClosed is what Serve returns after Shutdown.
var ErrServerClosed = errors.New("wire: server closed")

// Config has the server's settings; a zero value stands for the default.
type Config struct {
	ServerVersion  string        // default "15.0 (streamsql)"
	MaxConnections int           // default 100
	MaxMessage     int           // bytes of one message from a client; default 64 MiB
	StartupTimeout time.Duration // for the startup to be over; default 1 min
	WriteTimeout   time.Duration // for the client to take what one write sends; default 1 min
	Logger         *slog.Logger  // default: none
}

// Server serves a Backend to PostgreSQL clients.
type Server struct {
	backend Backend
	cfg     Config

	mu        sync.Mutex
	closing   bool
	drain     chan struct{} // closed when closing
	listeners map[net.Listener]struct{}
	conns     map[net.Conn]struct{} // all that are open
	starting  map[net.Conn]struct{} // those without a session
	sessions  map[uint32]*session
	lastPID   uint32
	wg        sync.WaitGroup

	onPanic func(any) // for tests
}

// New returns a server that does not listen yet.
func New(b Backend, cfg Config) *Server {
	if cfg.ServerVersion == "" {
		cfg.ServerVersion = "15.0 (streamsql)"
	}
	if cfg.MaxConnections <= 0 {
		cfg.MaxConnections = 100
	}
	if cfg.MaxMessage <= 0 {
		cfg.MaxMessage = 64 << 20
	}
	if cfg.StartupTimeout <= 0 {
		cfg.StartupTimeout = time.Minute
	}
	if cfg.WriteTimeout <= 0 {
		cfg.WriteTimeout = time.Minute
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return &Server{
		backend: b, cfg: cfg, drain: make(chan struct{}), listeners: map[net.Listener]struct{}{},
		conns: map[net.Conn]struct{}{}, starting: map[net.Conn]struct{}{}, sessions: map[uint32]*session{},
	}
}

// Serve accepts clients until Shutdown, which closes l.
func (s *Server) Serve(l net.Listener) error {
	s.mu.Lock()
	if s.closing {
		s.mu.Unlock()
		l.Close()
		return ErrServerClosed
	}
	s.listeners[l] = struct{}{}
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		delete(s.listeners, l)
		s.mu.Unlock()
	}()
	for delay := time.Duration(0); ; {
		conn, err := l.Accept()
		if err == nil {
			delay = 0
			if s.open(conn) {
				go s.serve(conn)
			} else {
				conn.Close()
			}
			continue
		}
		if errors.Is(err, net.ErrClosed) || errors.Is(err, io.EOF) {
			select {
			case <-s.drain:
				return ErrServerClosed
			default:
				return err
			}
		}
		// Such as too many open files: it passes.
		delay = min(max(2*delay, 5*time.Millisecond), time.Second)
		s.cfg.Logger.Warn("accept", "error", err, "retry", delay)
		select {
		case <-time.After(delay):
		case <-s.drain:
			return ErrServerClosed
		}
	}
}

// open takes a connection in. Those above the limit still get to hear so, or to
// cancel, but they are bounded as well.
func (s *Server) open(conn net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing || len(s.conns) >= 2*s.cfg.MaxConnections+16 {
		return false
	}
	s.conns[conn], s.starting[conn] = struct{}{}, struct{}{}
	s.wg.Add(1)
	return true
}

// serve is one connection's life.
func (s *Server) serve(conn net.Conn) {
	defer func() {
		conn.Close()
		s.mu.Lock()
		delete(s.conns, conn)
		delete(s.starting, conn)
		s.mu.Unlock()
		s.wg.Done()
	}()
	deadline := time.Now().Add(s.cfg.StartupTimeout)
	conn.SetDeadline(deadline)
	st, err := readStartup(conn)
	if err != nil {
		s.refuse(conn, err)
		return
	}
	if st.cancel {
		s.cancel(st.pid, st.secret)
		return
	}
	ss, err := s.newSession(conn)
	if err != nil {
		s.refuse(conn, err)
		return
	}
	defer s.forget(ss)
	conn.SetDeadline(time.Time{})
	ss.serve(st)
}

// refuse ends a connection that has no session.
func (s *Server) refuse(conn net.Conn, err error) {
	var e *sqlerr.Error
	if !errors.As(err, &e) {
		return
	}
	w := newWriter(conn, s.cfg.WriteTimeout)
	if w.send(errorResponse("FATAL", e, 0)) == nil && w.flush() == nil {
		linger(conn)
	}
}

// linger lets the client read the last message: closing a connection with unread
// input would take it away.
func linger(conn net.Conn) {
	c, ok := conn.(interface{ CloseWrite() error })
	if !ok || c.CloseWrite() != nil {
		return
	}
	conn.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
	io.Copy(io.Discard, io.LimitReader(conn, 1<<20))
}

func (s *Server) newSession(conn net.Conn) (*session, error) {
	var secret [4]byte
	rand.Read(secret[:])
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		return nil, sqlerr.New("57P03", "the database system is shutting down")
	}
	if len(s.sessions) >= s.cfg.MaxConnections {
		return nil, sqlerr.New("53300", "sorry, too many clients already")
	}
	for s.lastPID = s.lastPID%(1<<30) + 1; s.sessions[s.lastPID] != nil; {
		s.lastPID = s.lastPID%(1<<30) + 1
	}
	ss := &session{
		srv: s, conn: conn, w: newWriter(conn, s.cfg.WriteTimeout), pid: s.lastPID, secret: be.Uint32(secret[:]),
		in: make(chan message), done: make(chan struct{}), read: make(chan struct{}),
		stmts: newStatements(), portals: map[string]*portal{}, reported: map[string]string{},
	}
	ss.ctx, ss.kill = context.WithCancelCause(context.Background())
	s.sessions[ss.pid] = ss
	delete(s.starting, conn)
	return ss, nil
}

func (s *Server) forget(ss *session) {
	ss.kill(nil)
	s.mu.Lock()
	delete(s.sessions, ss.pid)
	s.mu.Unlock()
}

// cancel ends the running command of the session that has the secret.
func (s *Server) cancel(pid, secret uint32) {
	s.mu.Lock()
	ss := s.sessions[pid]
	s.mu.Unlock()
	if ss != nil && ss.secret == secret {
		ss.cancelCommand(sqlerr.New(sqlerr.QueryCanceled, "canceling statement due to user request"))
	}
}

// Shutdown stops listening and tells the sessions with 57P01, each as soon as it
// runs no command. When ctx ends first, running commands are cancelled, and
// connections that last even so are cut; the result is then ctx's error.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	if !s.closing {
		s.closing = true
		close(s.drain)
	}
	for l := range s.listeners {
		l.Close()
	}
	for conn := range s.starting {
		conn.Close()
	}
	s.mu.Unlock()
	gone := make(chan struct{})
	go func() {
		s.wg.Wait()
		close(gone)
	}()
	select {
	case <-gone:
		return nil
	case <-ctx.Done():
	}
	s.each(func(ss *session) { ss.kill(errShutdown) })
	select {
	case <-gone:
	case <-time.After(time.Second):
		s.each(func(ss *session) { ss.conn.Close() })
	}
	return ctx.Err()
}

func (s *Server) each(f func(*session)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, ss := range s.sessions {
		f(ss)
	}
}
