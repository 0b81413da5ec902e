package wire

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"
)

// serve runs a server on a port of its own until the test ends, and checks then
// that every session and every running statement was closed.
func serve(t *testing.T, cfg Config) (*fake, *Server, string) {
	t.Helper()
	f := &fake{}
	s := New(f, cfg)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil {
			t.Errorf("shutdown: %v", err)
		}
		if err := <-served; err != ErrServerClosed {
			t.Errorf("Serve: %v", err)
		}
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.opened != f.closed || f.rows != 0 {
			t.Errorf("%d sessions opened, %d closed, %d statements left running", f.opened, f.closed, f.rows)
		}
	})
	return f, s, l.Addr().String()
}

// client speaks the protocol message by message.
type client struct {
	t *testing.T
	net.Conn
	fe *pgproto3.Frontend
	// From BackendKeyData.
	pid    uint32
	secret []byte
}

func dial(t *testing.T, addr string) *client {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	return &client{t: t, Conn: conn, fe: pgproto3.NewFrontend(conn, conn)}
}

// connect is dial and the startup.
func connect(t *testing.T, addr string) *client {
	t.Helper()
	c := dial(t, addr)
	c.send(&pgproto3.StartupMessage{ProtocolVersion: 3 << 16, Parameters: map[string]string{"user": "u"}})
	if got := c.until("ReadyForQuery"); !strings.HasSuffix(got, "BackendKeyData ReadyForQuery:I") {
		t.Fatalf("startup: %s", got)
	}
	return c
}

func (c *client) send(msgs ...pgproto3.FrontendMessage) {
	c.t.Helper()
	for _, m := range msgs {
		c.fe.Send(m)
	}
	if err := c.fe.Flush(); err != nil {
		c.t.Fatal(err)
	}
}

func (c *client) raw(b string) {
	c.t.Helper()
	if _, err := c.Write([]byte(b)); err != nil {
		c.t.Fatal(err)
	}
}

// until reads messages up to one of the named kind or the end of the connection,
// and returns them in short.
func (c *client) until(kind string) string {
	c.t.Helper()
	var out []string
	for {
		m, err := c.fe.Receive()
		if err != nil {
			if ne, ok := err.(net.Error); ok && ne.Timeout() {
				c.t.Fatalf("nothing more came after %v", out)
			}
			return strings.Join(append(out, "EOF"), " ")
		}
		if k, ok := m.(*pgproto3.BackendKeyData); ok {
			c.pid, c.secret = k.ProcessID, append([]byte(nil), k.SecretKey...)
		}
		s := short(m)
		out = append(out, s)
		if name, _, _ := strings.Cut(s, ":"); name == kind {
			return strings.Join(out, " ")
		}
	}
}

func short(m pgproto3.BackendMessage) string {
	switch m := m.(type) {
	case *pgproto3.ErrorResponse:
		s := fmt.Sprintf("%s:%s", m.Severity, m.Code)
		if m.Position != 0 {
			s += fmt.Sprintf("@%d", m.Position)
		}
		return s
	case *pgproto3.NoticeResponse:
		return fmt.Sprintf("%s:%s@%d", m.Severity, m.Code, m.Position)
	case *pgproto3.CommandComplete:
		return "Complete:" + strings.ReplaceAll(string(m.CommandTag), " ", "_")
	case *pgproto3.ReadyForQuery:
		return "ReadyForQuery:" + string(m.TxStatus)
	case *pgproto3.DataRow:
		var vals []string
		for _, v := range m.Values {
			if v == nil {
				vals = append(vals, "NULL")
				continue
			}
			vals = append(vals, string(v))
		}
		return "Row:" + strings.Join(vals, ",")
	case *pgproto3.ParameterStatus:
		return fmt.Sprintf("Status:%s=%s", m.Name, m.Value)
	case *pgproto3.RowDescription:
		var vals []string
		for _, f := range m.Fields {
			vals = append(vals, fmt.Sprintf("%s/%d/%d", f.Name, f.DataTypeOID, f.Format))
		}
		return "Columns:" + strings.Join(vals, ",")
	case *pgproto3.ParameterDescription:
		return "Params:" + strings.Trim(strings.ReplaceAll(fmt.Sprint(m.ParameterOIDs), " ", ","), "[]")
	case *pgproto3.NegotiateProtocolVersion:
		b, _ := json.Marshal(m.UnrecognizedOptions)
		return fmt.Sprintf("Negotiate:%d%s", m.NewestMinorProtocol, b)
	}
	return strings.TrimPrefix(fmt.Sprintf("%T", m), "*pgproto3.")
}

// expect compares what comes up to ReadyForQuery.
func (c *client) expect(want string) {
	c.t.Helper()
	if got := c.until("ReadyForQuery"); got != want {
		c.t.Errorf("got  %s\nwant %s", got, want)
	}
}

// query sends a simple query.
func (c *client) query(sql, want string) {
	c.t.Helper()
	c.send(&pgproto3.Query{String: sql})
	c.expect(want)
}
