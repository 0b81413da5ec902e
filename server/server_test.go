package server

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/streamsql/streamsql/engine"
)

func TestHTTP(t *testing.T) {
	_, addr, web := start(t, Options{HTTP: "127.0.0.1:0"})
	execAll(t, connect(t, addr).PgConn(), "CREATE TABLE t (a INT)", "CREATE MATERIALIZED VIEW v AS SELECT a, count(*) AS n FROM t GROUP BY a",
		"INSERT INTO t VALUES (1), (1), (2)")
	get := func(path string) (int, string) {
		r, err := http.Get("http://" + web + path)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Body.Close()
		b, _ := io.ReadAll(r.Body)
		return r.StatusCode, string(b)
	}
	if code, body := get("/healthz"); code != 200 || body != "ok\n" {
		t.Errorf("/healthz: %d %s", code, body)
	}
	code, body := get("/metrics")
	for _, w := range []string{`(?m)^streamsql_job_rows\{job="v",kind="materialized view",state="RUNNING"\} 2$`, `(?m)^# TYPE streamsql_operator_rows_in_total counter$`} {
		if code != 200 || !regexp.MustCompile(w).MatchString(body) {
			t.Errorf("/metrics: %d, %s is not in\n%s", code, w, body)
		}
	}
	if code, _ := get("/nosuch"); code != 404 {
		t.Errorf("/nosuch: %d", code)
	}
}

// TestShutdown: sessions are told 57P01, and a running query gets its grace.
func TestShutdown(t *testing.T) {
	eng, err := engine.Open(context.Background(), engine.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer eng.Close()
	ctx, cancel := context.WithCancel(context.Background())
	ready, ended := make(chan string, 1), make(chan error, 1)
	go func() {
		ended <- Serve(ctx, eng, Options{Listen: "127.0.0.1:0", Grace: 300 * time.Millisecond, Ready: func(a, _ net.Addr) { ready <- a.String() }})
	}()
	addr := <-ready
	idle, busy := connect(t, addr), connect(t, addr)
	running := make(chan error, 1)
	go func() {
		_, err := busy.Exec(context.Background(), "SELECT count(*) FROM generate_series(1, 1000000) a, generate_series(1, 1000000) b")
		running <- err
	}()
	time.Sleep(50 * time.Millisecond)
	cancel()
	select {
	case err := <-ended:
		if err != nil {
			t.Errorf("Serve: %v", err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("the server does not end")
	}
	wantState(t, <-running, "57P01")
	_, err = idle.Exec(context.Background(), "SELECT 1")
	wantState(t, err, "57P01")
}

func wantState(t *testing.T, err error, code string) {
	t.Helper()
	var pe *pgconn.PgError
	if !errors.As(err, &pe) || pe.Code != code {
		t.Errorf("the error is %v, want %s", err, code)
	}
}

// TestClients: what drivers do with types, parameters, batches and transactions.
func TestClients(t *testing.T) {
	_, addr, _ := start(t, Options{})
	c, ctx := connect(t, addr), context.Background()
	execAll(t, c.PgConn(), "CREATE TABLE t (a INT PRIMARY KEY, b TEXT, n NUMERIC(10,2), ts TIMESTAMPTZ)")
	when := time.Date(2024, 5, 6, 7, 8, 9, 123456000, time.UTC)
	tag, err := c.Exec(ctx, "INSERT INTO t VALUES ($1, $2, $3, $4)", 1, "one", "1.50", when)
	if err != nil || tag.String() != "INSERT 0 1" {
		t.Fatalf("%s, %v", tag, err)
	}
	var b string
	var ts time.Time
	var n float64
	if err := c.QueryRow(ctx, "SELECT b, ts, n FROM t WHERE a = $1", 1).Scan(&b, &ts, &n); err != nil || b != "one" || !ts.Equal(when) || n != 1.5 {
		t.Errorf("%s %v %v %v", b, ts, n, err)
	}
	// A pipelined batch is one transaction.
	batch := &pgx.Batch{}
	for i := 2; i < 1000; i++ {
		batch.Queue("INSERT INTO t (a, b) VALUES ($1, $2)", i, "x")
	}
	if err := c.SendBatch(ctx, batch).Close(); err != nil {
		t.Fatal(err)
	}
	batch = &pgx.Batch{}
	batch.Queue("INSERT INTO t (a) VALUES (1000)")
	batch.Queue("INSERT INTO t (a) VALUES (1)")
	wantState(t, c.SendBatch(ctx, batch).Close(), "23505")
	count := func(want int) {
		t.Helper()
		var got int
		if err := c.QueryRow(ctx, "SELECT count(*) FROM t").Scan(&got); err != nil || got != want {
			t.Errorf("%d rows, want %d: %v", got, want, err)
		}
	}
	count(999)
	tx, err := c.Begin(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(ctx, "INSERT INTO t (a) VALUES ($1)", 1000); err != nil {
		t.Fatal(err)
	}
	if err := tx.Rollback(ctx); err != nil {
		t.Fatal(err)
	}
	count(999)
	// A parameter of the statement changes what the client is told.
	execAll(t, c.PgConn(), "SET timezone = 'Europe/Berlin'")
	if z := c.PgConn().ParameterStatus("TimeZone"); z != "Europe/Berlin" {
		t.Errorf("TimeZone is %q", z)
	}
	res, err := c.PgConn().Exec(ctx, "SELECT ts FROM t WHERE a = 1").ReadAll()
	if err != nil || string(res[0].Rows[0][0]) != "2024-05-06 09:08:09.123456+02" {
		t.Errorf("%v, %v", res, err)
	}
	_, err = c.Exec(ctx, "SELECT a, nosuch FROM t")
	var pe *pgconn.PgError
	if !errors.As(err, &pe) || pe.Code != "42703" || pe.Position != 11 {
		t.Errorf("%+v", err)
	}
	if _, err := pgconn.Connect(ctx, "postgres://u@"+addr+"/d?sslmode=disable&client_encoding=latin1"); err == nil || !strings.Contains(err.Error(), "22023") {
		t.Errorf("a wrong startup parameter: %v", err)
	}
}
