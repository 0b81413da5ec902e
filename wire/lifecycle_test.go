package wire

import (
	"context"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"
)

// eventually waits for a condition that another goroutine brings about.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for range 500 {
		if ok() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("it never came that %s", what)
}

// running waits until a statement hangs.
func (f *fake) running(t *testing.T) {
	t.Helper()
	eventually(t, "a statement runs", func() bool {
		f.mu.Lock()
		defer f.mu.Unlock()
		return len(f.log) > 0 && f.log[len(f.log)-1] == "hanging"
	})
}

func (f *fake) idle() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.opened == f.closed && f.rows == 0
}

func TestCancel(t *testing.T) {
	f, _, addr := serve(t, Config{})
	c := connect(t, addr)
	cancel := func(secret []byte) {
		x := dial(t, addr)
		x.send(&pgproto3.CancelRequest{ProcessID: c.pid, SecretKey: secret})
		if got := x.until(""); got != "EOF" {
			t.Errorf("a cancel request is answered: %s", got)
		}
	}
	c.send(&pgproto3.Query{String: "hang"})
	f.running(t)
	cancel([]byte{c.secret[0] ^ 1, c.secret[1], c.secret[2], c.secret[3]})
	time.Sleep(50 * time.Millisecond)
	f.running(t) // a wrong secret cancels nothing
	cancel(c.secret)
	c.expect("Columns:n/23/0 ERROR:57014 ReadyForQuery:I")

	cancel(c.secret) // between commands there is nothing to cancel
	c.query("series 1", "Columns:n/23/0 Row:1 Complete:SELECT_1 ReadyForQuery:I")

	c.send(&pgproto3.Parse{Query: "hang"}, &pgproto3.Bind{}, &pgproto3.Execute{}, &pgproto3.Sync{})
	f.running(t)
	cancel(c.secret)
	c.expect("ParseComplete BindComplete ERROR:57014 ReadyForQuery:I")

	// A statement that never looks at its context ends between two rows.
	c.send(&pgproto3.Query{String: "series 1000000000"})
	c.until("Row")
	cancel(c.secret)
	if got := c.until("ReadyForQuery"); !strings.HasSuffix(got, " ERROR:57014 ReadyForQuery:I") {
		t.Errorf("got …%s", got[max(0, len(got)-80):])
	}
}

// TestShutdownWaitsForSync holds that a command is not cut between its messages.
func TestShutdownWaitsForSync(t *testing.T) {
	_, s, addr := serve(t, Config{})
	c := connect(t, addr)
	c.send(&pgproto3.Parse{Query: "insert"}, &pgproto3.Flush{})
	c.until("ParseComplete")
	down := make(chan error, 1)
	go func() { down <- s.Shutdown(context.Background()) }()
	<-s.drain
	time.Sleep(20 * time.Millisecond)
	c.send(&pgproto3.Bind{}, &pgproto3.Execute{}, &pgproto3.Sync{})
	c.expect("BindComplete Complete:INSERT_0_1 ReadyForQuery:I")
	c.expect("FATAL:57P01 EOF")
	if err := <-down; err != nil {
		t.Errorf("Shutdown: %v", err)
	}
}

func TestRowsDoNotWaitForTheNext(t *testing.T) {
	_, _, addr := serve(t, Config{})
	c := connect(t, addr)
	c.send(&pgproto3.Query{String: "hangrow"})
	if got := c.until("Row"); got != "Columns:n/23/0 Row:1" {
		t.Errorf("got %s", got)
	}
	if got := c.until("Row"); got != "Row:2" {
		t.Errorf("got %s", got)
	}
	c.Close()
}

func TestClientGone(t *testing.T) {
	f, _, addr := serve(t, Config{})
	c := connect(t, addr)
	c.send(&pgproto3.Query{String: "hang"})
	f.running(t)
	c.Close()
	eventually(t, "the statement ended with its client", f.idle)

	// A Terminate with a statement still running comes to the same.
	c = connect(t, addr)
	c.send(&pgproto3.Query{String: "hang"}, &pgproto3.Terminate{})
	f.running(t)
	c.Close()
	eventually(t, "the statement ended with its client", f.idle)

	// One that ends the session in good order gets everything it asked for.
	c = connect(t, addr)
	c.send(&pgproto3.Query{String: "series 1"}, &pgproto3.Terminate{})
	if got := c.until(""); got != "Columns:n/23/0 Row:1 Complete:SELECT_1 ReadyForQuery:I EOF" {
		t.Errorf("got %s", got)
	}
}

func TestClientThatDoesNotRead(t *testing.T) {
	f, _, addr := serve(t, Config{WriteTimeout: 200 * time.Millisecond})
	c := connect(t, addr)
	c.send(&pgproto3.Query{String: "big 1000000"})
	eventually(t, "the statement runs", func() bool { return strings.HasSuffix(f.took(), "big") })
	eventually(t, "the session is given up", f.idle)
	c.Close()
}

func TestPanic(t *testing.T) {
	f, s, addr := serve(t, Config{})
	seen := make(chan any, 1)
	s.onPanic = func(p any) { seen <- p }
	other, c := connect(t, addr), connect(t, addr)
	c.query("panic", "FATAL:XX000 EOF")
	if p := <-seen; p != "a statement panics" {
		t.Errorf("the panic was %v", p)
	}
	other.query("series 1", "Columns:n/23/0 Row:1 Complete:SELECT_1 ReadyForQuery:I")
	other.Close()
	eventually(t, "both sessions are closed", f.idle)
}

func TestTooManyConnections(t *testing.T) {
	f, s, addr := serve(t, Config{MaxConnections: 2})
	a := connect(t, addr)
	connect(t, addr)
	start := &pgproto3.StartupMessage{ProtocolVersion: 3 << 16, Parameters: map[string]string{"user": "u"}}
	c := dial(t, addr)
	c.send(start)
	c.expect("FATAL:53300 EOF")

	// A running statement can be cancelled all the same.
	a.send(&pgproto3.Query{String: "hang"})
	f.running(t)
	dial(t, addr).send(&pgproto3.CancelRequest{ProcessID: a.pid, SecretKey: a.secret})
	a.expect("Columns:n/23/0 ERROR:57014 ReadyForQuery:I")

	a.send(&pgproto3.Terminate{})
	eventually(t, "there is room again", func() bool { s.mu.Lock(); defer s.mu.Unlock(); return len(s.sessions) == 1 })
	connect(t, addr)

	// Connections that never send a startup packet are bounded as well.
	for range 40 {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
	}
	conn := dial(t, addr)
	conn.fe.Send(start)
	conn.fe.Flush()
	if got := conn.until(""); got != "EOF" {
		t.Errorf("a connection too many: %s", got)
	}
}

func TestStartupTimeout(t *testing.T) {
	_, _, addr := serve(t, Config{StartupTimeout: 100 * time.Millisecond})
	c := dial(t, addr)
	c.raw("\x00\x00")
	if got := c.until(""); got != "EOF" {
		t.Errorf("got %s", got)
	}
	late := connect(t, addr)
	time.Sleep(200 * time.Millisecond)
	late.query("series 1", "Columns:n/23/0 Row:1 Complete:SELECT_1 ReadyForQuery:I")
}

func TestShutdown(t *testing.T) {
	f, s, addr := serve(t, Config{})
	silent, idle, block, busy := dial(t, addr), connect(t, addr), connect(t, addr), connect(t, addr)
	block.query("begin", "Complete:BEGIN ReadyForQuery:T")
	busy.send(&pgproto3.Query{String: "hang"})
	f.running(t)
	ctx, cancel := context.WithCancel(context.Background())
	down := make(chan error, 1)
	go func() { down <- s.Shutdown(ctx) }()
	idle.expect("FATAL:57P01 EOF")
	block.expect("FATAL:57P01 EOF")
	silent.expect("EOF")
	if _, err := net.Dial("tcp", addr); err == nil {
		t.Error("the port is still open")
	}
	select {
	case err := <-down:
		t.Fatalf("Shutdown did not wait for a statement: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	cancel()
	busy.expect("Columns:n/23/0 FATAL:57P01 EOF")
	if err := <-down; err != context.Canceled {
		t.Errorf("Shutdown: %v", err)
	}
}
