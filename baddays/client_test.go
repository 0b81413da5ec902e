package baddays

import (
	"context"
	"io"
	"math/rand"
	"net"
	"testing"
	"time"

	"github.com/streamsql/streamsql/engine"
)

func TestRandomBytes(t *testing.T) {
	w := start(t, engine.Options{})
	rng := rand.New(rand.NewSource(7))
	for range 200 {
		c, err := net.Dial("tcp", w.addr)
		if err != nil {
			t.Fatal(err)
		}
		junk := make([]byte, rng.Intn(4096))
		rng.Read(junk)
		_ = c.SetDeadline(time.Now().Add(2 * time.Second))
		_, _ = c.Write(junk)
		if tc, ok := c.(*net.TCPConn); ok {
			_ = tc.CloseWrite()
		}
		_, _ = io.Copy(io.Discard, c)
		c.Close()
	}
	w.goesOn()
}

// TestClientThatStopsReading: its rows wait for it, nobody else does.
func TestClientThatStopsReading(t *testing.T) {
	w := start(t, engine.Options{})
	w.exec("CREATE TABLE t (x INT, s TEXT)")
	w.exec("INSERT INTO t SELECT i, repeat('y', 100) FROM generate_series(1, 50000) AS g(i)")
	lazy := w.connect()
	// 50 MB that nobody takes.
	rows, err := lazy.Query(context.Background(), "SELECT a.s, a.x FROM t a, (VALUES (1), (2), (3), (4), (5), (6), (7), (8), (9), (10)) b")
	if err != nil {
		t.Fatal(err)
	}
	if !rows.Next() {
		t.Fatalf("no row came: %v", rows.Err())
	}
	for range 5 {
		w.goesOn()
		time.Sleep(50 * time.Millisecond)
	}
	if c, err := net.Dial("tcp", w.addr); err != nil {
		t.Fatal(err)
	} else {
		c.Close()
	}
	_ = lazy.PgConn().Conn().Close()
	w.goesOn()
}
