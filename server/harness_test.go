package server

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	_ "github.com/streamsql/streamsql/connector/datagen"
	"github.com/streamsql/streamsql/engine"
)

// start serves a fresh engine and returns its address.
func start(t *testing.T, o Options) (*engine.Engine, string, string) {
	t.Helper()
	eng, err := engine.Open(context.Background(), engine.Options{})
	if err != nil {
		t.Fatal(err)
	}
	ready := make(chan [2]string, 1)
	o.Listen = "127.0.0.1:0"
	o.Ready = func(a, h net.Addr) {
		both := [2]string{a.String()}
		if h != nil {
			both[1] = h.String()
		}
		ready <- both
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- Serve(ctx, eng, o) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Serve: %v", err)
		}
		if err := eng.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	select {
	case a := <-ready:
		return eng, a[0], a[1]
	case err := <-ended:
		ended <- err
		t.Fatalf("Serve: %v", err)
	case <-time.After(10 * time.Second):
		t.Fatal("the server does not get ready")
	}
	return nil, "", ""
}

func connect(t *testing.T, addr string) *pgx.Conn {
	t.Helper()
	c, err := pgx.Connect(context.Background(), "postgres://u@"+addr+"/d?sslmode=disable")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(context.Background()) })
	return c
}
