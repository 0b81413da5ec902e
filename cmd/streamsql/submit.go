package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/streamsql/streamsql/sql/sqlerr"
)

// submit runs a file of statements on a server, one by one. Backfills are shown
// as they go on.
func submit(ctx context.Context, args []string, out io.Writer) error {
	fs := flags("submit", out)
	file := fs.String("f", "", "the `file`; - is the standard input")
	url := fs.String("url", "postgres://streamsql@127.0.0.1:5433/streamsql", "the server")
	every := fs.Duration("progress", time.Second, "time between reports of a backfill's progress")
	if err := parse(fs, args); err != nil {
		return err
	}
	if *file == "" || fs.NArg() > 0 {
		return usageError{errors.New("it needs -f FILE and nothing else")}
	}
	var text []byte
	var err error
	if *file == "-" {
		text, err = io.ReadAll(os.Stdin)
	} else {
		text, err = os.ReadFile(*file)
	}
	if err != nil {
		return err
	}
	stmts, err := splitFile(*file, string(text))
	if err != nil {
		return err
	}
	line := 0
	cfg, err := pgconn.ParseConfig(*url)
	if err != nil {
		return usageError{err}
	}
	cfg.OnNotice = func(_ *pgconn.PgConn, n *pgconn.Notice) {
		fmt.Fprintf(out, "%s:%d: %s: %s\n", *file, line, n.Severity, n.Message)
	}
	c, err := pgconn.ConnectConfig(ctx, cfg)
	if err != nil {
		return err
	}
	defer c.Close(context.Background())
	watch, err := pgconn.Connect(ctx, *url)
	if err != nil {
		return err
	}
	defer watch.Close(context.Background())
	for _, st := range stmts {
		line = st.line
		done := make(chan struct{})
		reported := make(chan struct{})
		go func() {
			defer close(reported)
			report(ctx, watch, *every, done, func(s string) { fmt.Fprintf(out, "%s:%d: %s\n", *file, st.line, s) })
		}()
		res, err := c.Exec(ctx, st.text).ReadAll()
		close(done)
		<-reported
		if err != nil {
			var pe *pgconn.PgError
			if errors.As(err, &pe) {
				err = &sqlerr.Error{Code: pe.Code, Message: pe.Message, Detail: pe.Detail, Hint: pe.Hint, Pos: bytePos(st.text, int(pe.Position))}
			}
			return fileError(*file, string(text), st, err)
		}
		tag := ""
		if len(res) > 0 {
			tag = res[len(res)-1].CommandTag.String()
		}
		fmt.Fprintf(out, "%s:%d: %s\n", *file, st.line, tag)
		for _, r := range res {
			for _, row := range r.Rows {
				for i, v := range row {
					if i > 0 {
						fmt.Fprint(out, " | ")
					}
					if v == nil {
						v = []byte("NULL")
					}
					fmt.Fprintf(out, "%s", v)
				}
				fmt.Fprintln(out)
			}
		}
	}
	return nil
}

// bytePos turns a position in characters, as the protocol has it, into bytes.
func bytePos(text string, pos int) int {
	n := 0
	for i := range text {
		if n++; n == pos {
			return i + 1
		}
	}
	return min(pos, len(text)+1)
}

// report shows the backfills that run, until done is closed.
func report(ctx context.Context, c *pgconn.PgConn, every time.Duration, done <-chan struct{}, say func(string)) {
	t := time.NewTicker(max(every, 10*time.Millisecond))
	defer t.Stop()
	for {
		select {
		case <-done:
			return
		case <-ctx.Done():
			return
		case <-t.C:
		}
		res, err := c.Exec(ctx, "SELECT name, backfill_done, backfill_total, progress FROM streamsql.jobs WHERE state = 'BACKFILLING' ORDER BY id").ReadAll()
		if err != nil || len(res) == 0 {
			continue
		}
		for _, row := range res[0].Rows {
			s := fmt.Sprintf("%s: %s rows read", row[0], row[1])
			if row[2] != nil {
				s += fmt.Sprintf(" of %s", row[2])
			}
			say(s)
		}
	}
}
