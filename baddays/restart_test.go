package baddays

import (
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/streamsql/streamsql/connector/kafka/broker"
	"github.com/streamsql/streamsql/engine"
)

// TestRestartWithoutBroker: a server that starts while the broker is away waits
// for it; its views stand where they stood and go on when it is back.
func TestRestartWithoutBroker(t *testing.T) {
	data, dir := t.TempDir(), t.TempDir()
	b, err := broker.Start("127.0.0.1:0", data, broker.Topic{Name: "t", Partitions: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Run("before", func(t *testing.T) {
		w := start(t, engine.Options{Dir: dir})
		w.source("src", "t", b.Addr())
		w.exec("CREATE MATERIALIZED VIEW v AS SELECT count(*) AS n FROM src")
		send(t, b.Addr(), "t", `{"n":1}`, `{"n":2}`)
		w.eventually("SELECT n FROM v", "2\n")
	})
	b.Close()
	w := start(t, engine.Options{Dir: dir})
	w.eventually("SELECT trouble <> '' FROM streamsql.source_positions WHERE source = 'src'", "t\n")
	if got := w.rows("SELECT n, (SELECT state FROM streamsql.jobs) FROM v"); got != "2|RUNNING\n" {
		t.Fatalf("without the broker: %s", got)
	}
	w.goesOn()
	b2, err := broker.Start(b.Addr(), data)
	if err != nil {
		t.Fatal(err)
	}
	defer b2.Close()
	send(t, b2.Addr(), "t", `{"n":3}`)
	w.eventually("SELECT n FROM v", "3\n")
}

// TestRecreatedTopic: a topic that was deleted and created again while the server
// was down is not taken for the old one, however many records it has.
func TestRecreatedTopic(t *testing.T) {
	b := startBroker(t, "t")
	dir := t.TempDir()
	t.Run("before", func(t *testing.T) {
		w := start(t, engine.Options{Dir: dir})
		w.source("src", "t", b.Addr())
		w.exec("CREATE MATERIALIZED VIEW v AS SELECT count(*) AS n FROM src")
		send(t, b.Addr(), "t", `{"n":1}`, `{"n":2}`)
		w.eventually("SELECT n FROM v", "2\n")
	})
	if err := b.Cluster().DeleteTopic("t"); err != nil {
		t.Fatal(err)
	}
	if err := b.Cluster().CreateTopic("t", 1, nil); err != nil {
		t.Fatal(err)
	}
	send(t, b.Addr(), "t", `{"n":3}`, `{"n":4}`, `{"n":5}`)
	w := start(t, engine.Options{Dir: dir})
	w.eventually("SELECT state FROM streamsql.jobs", "FAILED\n")
	if got := w.rows("SELECT message FROM streamsql.job_errors"); !strings.Contains(got, "created again") {
		t.Errorf("the reason is %s", got)
	}
	if got := w.rows("SELECT n FROM v"); got != "2\n" {
		t.Errorf("the view has %s", got)
	}
	w.goesOn()
}

// TestExpiredHistory: a view that is made when the source's first records have
// expired gets those that are there, and its client is told.
func TestExpiredHistory(t *testing.T) {
	b := startBroker(t, "t")
	w := start(t, engine.Options{})
	w.source("src", "t", b.Addr())
	w.exec("CREATE MATERIALIZED VIEW v AS SELECT count(*) AS n, min(n) AS lo FROM src")
	send(t, b.Addr(), "t", `{"n":1}`, `{"n":2}`, `{"n":3}`, `{"n":4}`)
	w.eventually("SELECT n, lo FROM v", "4|1\n")
	if err := b.Cluster().DeleteRecords("t", 0, 2); err != nil {
		t.Fatal(err)
	}
	told := ""
	cfg, err := pgx.ParseConfig("postgres://" + w.addr + "/streamsql?sslmode=disable")
	if err != nil {
		t.Fatal(err)
	}
	cfg.OnNotice = func(_ *pgconn.PgConn, n *pgconn.Notice) { told += n.Message + "\n" }
	if w.conn, err = pgx.ConnectConfig(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	defer w.conn.Close(t.Context())
	w.exec("CREATE MATERIALIZED VIEW late AS SELECT count(*) AS n, min(n) AS lo FROM src")
	if got := w.rows("SELECT n, lo FROM late"); got != "2|3\n" {
		t.Errorf("the view has %s", got)
	}
	if !strings.Contains(told, "partition 0 begins at 2") {
		t.Errorf("the client was told %q", told)
	}
	send(t, b.Addr(), "t", `{"n":5}`)
	w.eventually("SELECT v.n, late.n FROM v, late", "5|3\n")
}
