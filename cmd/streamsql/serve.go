package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/streamsql/streamsql/engine"
	"github.com/streamsql/streamsql/server"
)

const (
	defaultData = "streamsql-data"
	inMemory    = "memory" // --data memory
)

// serve runs the server until ctx ends.
func serve(ctx context.Context, args []string, out io.Writer) error {
	fs := flags("serve", out)
	listen := fs.String("listen", server.DefaultListen, "`HOST:PORT` of the PostgreSQL protocol")
	httpAddr := fs.String("http", "", "`HOST:PORT` of /healthz and /metrics (default: none)")
	clients := fs.Int("max-connections", 100, "`number` of clients at the same time")
	insecure := fs.Bool("insecure-listen", false, "allow addresses that are not loopback; there is no authentication")
	dir := fs.String("data", defaultData, "data `directory`; memory: everything is gone at the end")
	workers := fs.Int("workers", 1, "`number` of workers")
	memory := fs.String("memory", "", "bound of the state held in memory, as 512MiB or 2GiB (default: half of the machine's)")
	interval := fs.Duration("checkpoint-interval", time.Second, "time between checkpoints")
	stepTimeout := fs.Duration("step-timeout", time.Minute, "how long a statement's step, or a view over the least piece of its input, may hold up everything else; 0: no bound")
	file := fs.String("f", "", "`file` of statements to run at the start")
	if err := parse(fs, args); err != nil {
		return err
	}
	if fs.NArg() > 0 {
		return usageError{fmt.Errorf("unexpected argument %q", fs.Arg(0))}
	}
	limit, err := parseSize(*memory)
	if err != nil {
		return usageError{fmt.Errorf("-memory: %w", err)}
	}
	if *stepTimeout == 0 {
		*stepTimeout = -1
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	if *dir == inMemory {
		*dir = ""
		fmt.Fprintln(out, "everything is in memory and gone at the end")
	} else {
		fmt.Fprintf(out, "data in %s\n", *dir)
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(engine.ProcessMemory(limit))
	}
	eng, err := engine.Open(ctx, engine.Options{Dir: *dir, Workers: *workers, CheckpointInterval: *interval, MemoryLimit: limit, StepTimeout: *stepTimeout, Log: log})
	if err != nil {
		return err
	}
	err = serveEngine(ctx, eng, *file, out, server.Options{Listen: *listen, HTTP: *httpAddr, Insecure: *insecure, MaxConnections: *clients, Log: log})
	if cerr := eng.Close(); err == nil {
		err = cerr
	}
	return err
}

// serveEngine runs a file of statements, then serves. The file runs beside the
// server: a backfill may take its time.
func serveEngine(ctx context.Context, eng *engine.Engine, file string, out io.Writer, o server.Options) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ran := make(chan error, 1)
	ran <- nil
	if file != "" {
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		<-ran
		go func() {
			err := runFile(ctx, eng, file, string(text), out)
			if err != nil {
				cancel()
			}
			ran <- err
		}()
	}
	o.Ready = func(addr, httpAddr net.Addr) {
		host, port, _ := net.SplitHostPort(addr.String())
		fmt.Fprintf(out, "listening on %s: psql -h %s -p %s\n", addr, host, port)
		if httpAddr != nil {
			fmt.Fprintf(out, "http://%s/healthz http://%s/metrics\n", httpAddr, httpAddr)
		}
	}
	err := server.Serve(ctx, eng, o)
	cancel()
	if ferr := <-ran; err == nil && ferr != nil && context.Cause(ctx) != ferr && !isCanceled(ferr) {
		err = ferr
	}
	return err
}

// runFile runs a file of statements in this process. What is there already, as
// after a restart, is left as it is: objects, and rows by their primary key.
func runFile(ctx context.Context, eng *engine.Engine, name, text string, out io.Writer) error {
	s, err := eng.NewSession("streamsql", "streamsql", nil)
	if err != nil {
		return err
	}
	defer s.Close()
	stmts, err := splitFile(name, text)
	if err != nil {
		return err
	}
	for _, st := range stmts {
		a, err := s.Exec(ctx, st.text)
		if err != nil {
			if isDuplicate(err) {
				fmt.Fprintf(out, "%s:%d: is there already: %s\n", name, st.line, firstLine(st.text))
				continue
			}
			return fileError(name, text, st, err)
		}
		for _, n := range a.Notices {
			fmt.Fprintf(out, "%s:%d: %s: %s\n", name, st.line, n.Severity, n.Err.Message)
		}
	}
	return nil
}

// parseSize reads bytes with a unit: 512MiB, 2GiB, 1000000.
func parseSize(s string) (int64, error) {
	if s == "" {
		return 0, nil
	}
	units := []struct {
		name string
		n    int64
	}{{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"TiB", 1 << 40}, {"KB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"TB", 1e12}, {"B", 1}}
	num, unit := s, int64(1)
	for _, u := range units {
		if rest, ok := strings.CutSuffix(s, u.name); ok {
			num, unit = rest, u.n
			break
		}
	}
	f, err := strconv.ParseFloat(strings.TrimSpace(num), 64)
	if err != nil || f <= 0 || f*float64(unit) > 1<<62 {
		return 0, fmt.Errorf("%q is not a size such as 512MiB or 2GiB", s)
	}
	return int64(f * float64(unit)), nil
}
