package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// lockedBuffer is written to by a command that runs.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// startServe runs serve until stop is called, which returns the exit code.
func startServe(t *testing.T, args ...string) (addr string, out *lockedBuffer, stop func() int) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	out = &lockedBuffer{}
	code := make(chan int, 1)
	go func() { code <- run(ctx, append([]string{"serve", "-listen", "127.0.0.1:0"}, args...), out, out) }()
	listening := regexp.MustCompile(`listening on (\S+):`)
	for range 500 {
		if m := listening.FindStringSubmatch(out.String()); m != nil {
			return strings.TrimSuffix(m[1], ":"), out, func() int { cancel(); return <-code }
		}
		time.Sleep(10 * time.Millisecond)
	}
	cancel()
	t.Fatalf("serve does not listen:\n%s", out.String())
	return
}

func ask(t *testing.T, addr, sql string) string {
	t.Helper()
	ctx := context.Background()
	c, err := pgconn.Connect(ctx, "postgres://u@"+addr+"/d?sslmode=disable")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(ctx)
	res, err := c.Exec(ctx, sql).ReadAll()
	if err != nil {
		return err.Error()
	}
	var lines []string
	for _, row := range res[len(res)-1].Rows {
		lines = append(lines, string(bytes.Join(row, []byte("|"))))
	}
	return strings.Join(lines, "\n")
}

// TestServeAndSubmit: a server with a data directory, a file of statements sent
// to it, the end by a signal's context, and the rows there again afterwards.
func TestServeAndSubmit(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		p := filepath.Join(dir, name)
		if err := os.WriteFile(p, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return p
	}
	first := write("first.sql", "CREATE TABLE t (a INT PRIMARY KEY, b TEXT);\nINSERT INTO t VALUES (0, 'first');\n")
	data := filepath.Join(dir, "data")
	addr, out, stop := startServe(t, "-data", data, "-f", first, "-checkpoint-interval", "10ms")
	url := "postgres://u@" + addr + "/d?sslmode=disable"

	good := write("good.sql", "-- rows\nINSERT INTO t VALUES (1, 'x'), (2, 'y');\n\nCREATE MATERIALIZED VIEW v AS\n  SELECT count(*) AS n FROM t;\nSELECT n, NULL FROM v;\n")
	for i := 0; ask(t, addr, "SELECT count(*) FROM t") != "1" && i < 300; i++ { // the file runs beside the server
		time.Sleep(10 * time.Millisecond)
	}
	var said bytes.Buffer
	if code := run(context.Background(), []string{"submit", "-f", good, "-url", url}, &said, &said); code != 0 {
		t.Fatalf("submit: %d\n%s", code, said.String())
	}
	if want := good + ":2: INSERT 0 2\n" + good + ":4: CREATE MATERIALIZED VIEW\n" + good + ":6: SELECT 1\n3 | NULL\n"; said.String() != want {
		t.Errorf("submit said\n%s\nwant\n%s", said.String(), want)
	}
	bad := write("bad.sql", "SELECT 1;\nSELECT\n  'ä', nosuch FROM t;\nSELECT 2;\n")
	said.Reset()
	if code := run(context.Background(), []string{"submit", "-f", bad, "-url", url}, &said, &said); code != 1 ||
		!strings.Contains(said.String(), bad+":3:8: ERROR 42703: column \"nosuch\" does not exist\n  'ä', nosuch FROM t;\n       ^") || strings.Contains(said.String(), ":4:") {
		t.Errorf("submit of a bad file: %d\n%s", code, said.String())
	}
	if code := stop(); code != 0 {
		t.Fatalf("serve ended with %d\n%s", code, out.String())
	}

	addr, out, stop = startServe(t, "-data", data, "-f", first)
	if got := ask(t, addr, "SELECT n FROM v"); got != "3" {
		t.Errorf("after the restart the view says %q", got)
	}
	for i := 0; !strings.Contains(out.String(), first+":2: is there already") && i < 300; i++ {
		time.Sleep(10 * time.Millisecond)
	}
	if code := stop(); code != 0 || !strings.Contains(out.String(), "is there already") {
		t.Errorf("serve ended with %d\n%s", code, out.String())
	}

	broken := write("broken.sql", "SELECT 1;\nCREATE VIEW w AS SELECT nosuch;\n")
	said.Reset()
	if code := run(context.Background(), []string{"serve", "-listen", "127.0.0.1:0", "-data", "memory", "-f", broken}, &said, &said); code != 1 ||
		!strings.Contains(said.String(), broken+":2:25: ERROR 42703") {
		t.Errorf("serve with a broken file: %d\n%s", code, said.String())
	}
}

func TestSLT(t *testing.T) {
	p := filepath.Join(t.TempDir(), "a.slt")
	text := "statement ok\nCREATE TABLE t (a INT)\n\nstatement ok\nINSERT INTO t VALUES (1), (2)\n\nquery I rowsort\nSELECT a FROM t\n----\n1\n2\n"
	if err := os.WriteFile(p, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, mode := range []string{"batch", "view"} {
		var out bytes.Buffer
		if code := run(context.Background(), []string{"slt", "--mode", mode, p}, &out, &out); code != 0 || !strings.HasSuffix(out.String(), "3 passed, 0 failed, 0 skipped\n") {
			t.Errorf("%s: %d\n%s", mode, code, out.String())
		}
	}
	if err := os.WriteFile(p, []byte(text+"\nquery I\nSELECT 3\n----\n4\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if code := run(context.Background(), []string{"slt", p}, &out, &out); code != 1 || !strings.Contains(out.String(), "3 passed, 1 failed, 0 skipped\n") {
		t.Errorf("a failing file: %d\n%s", code, out.String())
	}
}
