package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/streamsql/streamsql/engine"
	"github.com/streamsql/streamsql/wire"
)

// DefaultListen is the address of a server that is given none.
const DefaultListen = "127.0.0.1:5433"

// Options are the settings of Serve; the zero value is usable.
type Options struct {
	// Listen is the PostgreSQL protocol's address. The default value is
	// DefaultListen.
	Listen string
	// HTTP is the address of /healthz and /metrics. The default value is "": none.
	HTTP string
	// Insecure allows addresses other than loopback: whoever reaches them can do
	// everything, as there is no authentication.
	Insecure bool
	// Grace is how long running commands may go on at the end. The default value
	// is 5 s.
	Grace time.Duration
	// MaxConnections bounds the clients. The default value is the wire's.
	MaxConnections int
	// Log takes what an operator should know. The default value discards it.
	Log *slog.Logger
	// Ready is called when the server listens. httpAddr is nil without HTTP.
	Ready func(addr, httpAddr net.Addr)
}

// Serve serves e until ctx ends; then no new client is taken, running commands
// get their grace, and sessions are told 57P01. The result is nil, or why it
// could not listen or go on. Closing e is the caller's.
func Serve(ctx context.Context, e *engine.Engine, o Options) error {
	if o.Listen == "" {
		o.Listen = DefaultListen
	}
	if o.Grace <= 0 {
		o.Grace = 5 * time.Second
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	l, err := listen(o.Listen, o.Insecure)
	if err != nil {
		return err
	}
	defer l.Close()
	var hl net.Listener
	var httpAddr net.Addr
	if o.HTTP != "" {
		if hl, err = listen(o.HTTP, o.Insecure); err != nil {
			return err
		}
		defer hl.Close()
		httpAddr = hl.Addr()
	}
	srv := wire.New(Backend(e), wire.Config{Logger: o.Log, MaxConnections: o.MaxConnections})
	failed := make(chan error, 2)
	go func() { failed <- srv.Serve(l) }()
	if hl != nil {
		hs := &http.Server{Handler: handler(e), ReadHeaderTimeout: 10 * time.Second}
		go func() { failed <- hs.Serve(hl) }()
		defer hs.Close()
	}
	if o.Ready != nil {
		o.Ready(l.Addr(), httpAddr)
	}
	select {
	case <-ctx.Done():
		err = nil
	case err = <-failed:
	case <-e.Lost():
		err = fmt.Errorf("the engine cannot go on: %w", e.Err())
	}
	grace, cancel := context.WithTimeout(context.Background(), o.Grace)
	defer cancel()
	if down := srv.Shutdown(grace); down != nil && !errors.Is(down, context.DeadlineExceeded) {
		o.Log.Warn("shutdown", "error", down)
	}
	return err
}

// listen refuses what would open the database to the network unasked.
func listen(addr string, insecure bool) (net.Listener, error) {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, fmt.Errorf("listen on %q: %w", addr, err)
	}
	if !insecure && !loopback(host) {
		return nil, fmt.Errorf("listen on %q: there is no authentication yet, so anyone who reaches this address could do everything; "+
			"listen on 127.0.0.1, or say --insecure-listen if the network is your own", addr)
	}
	return net.Listen("tcp", addr)
}

func loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}
