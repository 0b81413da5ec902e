package server

import (
	"context"
	"net"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/streamsql/streamsql/engine"
)

// TestNodePostgres runs testdata/client.js, a session of node-postgres.
func TestNodePostgres(t *testing.T) {
	node, err := exec.LookPath("node")
	if err != nil {
		t.Skip("no node on this machine")
	}
	if err := exec.Command(node, "-e", "require('pg')").Run(); err != nil {
		t.Skip("node has no module pg (npm install pg, and NODE_PATH)")
	}
	e, err := engine.Open(t.Context(), engine.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	ctx, stop := context.WithCancel(t.Context())
	ready, done := make(chan net.Addr, 1), make(chan error, 1)
	go func() {
		done <- Serve(ctx, e, Options{Listen: "127.0.0.1:0", Ready: func(a, _ net.Addr) { ready <- a }})
	}()
	defer func() { stop(); <-done }()
	_, port, _ := net.SplitHostPort((<-ready).String())
	limit, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	out, err := exec.CommandContext(limit, node, "testdata/client.js", port).CombinedOutput()
	if err != nil || strings.TrimSpace(string(out)) != "ok" {
		t.Errorf("%v\n%s", err, out)
	}
}
