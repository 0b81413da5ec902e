package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/streamsql/streamsql/connector/kafka/broker"
	"github.com/streamsql/streamsql/engine"
	"github.com/streamsql/streamsql/examples"
	_ "github.com/streamsql/streamsql/examples/recommender" // its Go functions
	"github.com/streamsql/streamsql/examples/recommender/plain"
	"github.com/streamsql/streamsql/examples/recommender/tastes"
	"github.com/streamsql/streamsql/server"
	"github.com/streamsql/streamsql/sql/types"
)

// demo is the whole of the demonstration.
type demo struct {
	out     io.Writer
	redraw  bool // on a terminal: draw over the last picture
	rate    int
	addr    net.Addr // that psql connects to
	started time.Time

	world   *tastes.World
	feed    *feed
	session *engine.Session

	last      time.Time
	lastCount int64
}

func init() {
	register(command{"demo", "[flags]", "run the recommender on an embedded Kafka broker and made-up users", runDemo})
}

// runDemo ends with ctx, or after --for.
func runDemo(ctx context.Context, args []string, out io.Writer) (err error) {
	fs := flags("demo", out)
	runFor := fs.Duration("for", 0, "how long to run (default: until interrupted)")
	listen := fs.String("listen", server.DefaultListen, "`HOST:PORT` of the PostgreSQL protocol")
	rate := fs.Int("rate", 1000, "`events` a second")
	seed := fs.Uint64("seed", 1, "of the users and their events")
	if err := parse(fs, args); err != nil {
		return err
	}
	switch {
	case fs.NArg() > 0:
		return usageError{fmt.Errorf("unexpected argument %q", fs.Arg(0))}
	case *rate < 1 || *rate > 1_000_000:
		return usageError{errors.New("-rate must be from 1 to 1000000")}
	}
	if *runFor > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, *runFor)
		defer cancel()
	}
	d := &demo{out: out, redraw: isTerminal(out), rate: *rate, world: tastes.New(tastes.Options{Seed: *seed})}

	const topic, partitions = "user-events", 4
	b, err := broker.Start("127.0.0.1:0", "", broker.Topic{Name: topic, Partitions: partitions})
	if err != nil {
		return err
	}
	defer b.Close()
	// What ctx's end stops, it stops in order: the engine last.
	lasting := context.WithoutCancel(ctx)
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	eng, err := engine.Open(lasting, engine.Options{Log: log})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, eng.Close()) }()
	stop, err := d.serve(lasting, eng, *listen, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop()) }()

	fmt.Fprintf(out, "Kafka on %s, SQL on %s: creating the views of examples/recommender.sql\n", b.Addr(), d.addr)
	sql := strings.ReplaceAll(examples.Recommender, "localhost:9092", b.Addr())
	if err := runFile(ctx, eng, "examples/recommender.sql", sql, out); err != nil {
		if ctx.Err() != nil {
			return nil // interrupted
		}
		return err
	}
	if d.session, err = eng.NewSession("demo", "streamsql", nil); err != nil {
		return err
	}
	defer d.session.Close()
	if d.feed, err = startFeed(b.Addr(), topic, d.world.Stream(tastes.StreamOptions{Seed: *seed, TooLate: 0.0005, Broken: 0.0005}), *rate); err != nil {
		return err
	}
	d.started = time.Now()
	err = d.show(ctx)
	if stopped := d.feed.stop(); err == nil {
		err = stopped
	}
	if err == nil {
		err = d.summary()
	}
	return err
}

// serve serves the engine at the address, or at another port when that is taken.
// The function that it returns ends it.
func (d *demo) serve(ctx context.Context, eng *engine.Engine, listen string, log *slog.Logger) (stop func() error, err error) {
	ctx, cancel := context.WithCancel(ctx)
	try := func(listen string) (chan error, error) {
		ready, served := make(chan net.Addr, 1), make(chan error, 1)
		go func() {
			served <- server.Serve(ctx, eng, server.Options{Listen: listen, Grace: 2 * time.Second, Log: log,
				Ready: func(addr, _ net.Addr) { ready <- addr }})
		}()
		select {
		case d.addr = <-ready:
			return served, nil
		case err := <-served:
			return nil, err
		}
	}
	served, err := try(listen)
	if errors.Is(err, syscall.EADDRINUSE) {
		fmt.Fprintf(d.out, "%s is taken: SQL is served on another port.\n", listen)
		served, err = try("127.0.0.1:0")
	}
	if err != nil {
		cancel()
		return nil, err
	}
	return func() error {
		cancel()
		return <-served
	}, nil
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok || os.Getenv("TERM") == "" || os.Getenv("TERM") == "dumb" {
		return false
	}
	st, err := f.Stat()
	return err == nil && st.Mode()&os.ModeCharDevice != 0 && st.Mode()&os.ModeDevice != 0 && f.Name() != os.DevNull
}

// rows runs one statement and returns its rows as text.
func (d *demo) rows(ctx context.Context, sql string) ([][]string, error) {
	a, err := d.session.Exec(ctx, sql)
	if err != nil {
		return nil, err
	}
	out := make([][]string, len(a.Rows))
	for i, r := range a.Rows {
		out[i] = make([]string, len(r))
		for c, v := range r {
			if !v.Null {
				out[i][c] = string(types.FormatText(nil, a.Columns[c].Type, v))
			}
		}
	}
	return out, nil
}

// summary is the last word: what was done, and how many of the interactions that
// were held back the recommender finds.
func (d *demo) summary() error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	// What was produced is to be in the views.
	for {
		s, err := d.state(ctx)
		if err != nil {
			return err
		}
		if s.read >= s.produced {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	if err := d.draw(ctx); err != nil {
		return err
	}
	rows, err := d.rows(ctx, "SELECT user_id, item_id FROM recommendations ORDER BY user_id, score DESC, item_id")
	if err != nil {
		return err
	}
	lists := map[string][]string{}
	for _, r := range rows {
		lists[r[0]] = append(lists[r[0]], r[1])
	}
	touched, err := d.rows(ctx, "SELECT user_id, item_id FROM ratings")
	if err != nil {
		return err
	}
	var events []plain.Event
	for _, r := range touched {
		events = append(events, plain.Event{UserID: r[0], ItemID: r[1]})
	}
	found, popular := d.world.HitRate(lists), d.world.HitRate(d.world.MostPopular(events))
	secs := time.Since(d.started).Seconds()
	fmt.Fprintf(d.out, "\n%s events in %.0f s, %s recommendations for %d users.\n", thousands(d.feed.sent.Load()), secs, thousands(int64(len(rows))), len(lists))
	fmt.Fprintf(d.out, "Of what the users would like and have not touched, the first 10 items found %.1f %%; a list of the most popular ones %.1f %%", 100*found, 100*popular)
	if popular > 0 {
		fmt.Fprintf(d.out, ": %.1f times as many", found/popular)
	}
	fmt.Fprintln(d.out, ".")
	return nil
}
