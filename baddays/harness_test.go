package baddays

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/twmb/franz-go/pkg/kgo"

	_ "github.com/streamsql/streamsql/connector/file"
	_ "github.com/streamsql/streamsql/connector/kafka"
	"github.com/streamsql/streamsql/connector/kafka/broker"
	"github.com/streamsql/streamsql/engine"
	"github.com/streamsql/streamsql/server"
)

// world is a server and its clients.
type world struct {
	t    *testing.T
	e    *engine.Engine
	addr string
	conn *pgx.Conn
}

func start(t *testing.T, o engine.Options) *world {
	t.Helper()
	e, err := engine.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ready := make(chan net.Addr, 1)
	done := make(chan error, 1)
	go func() {
		done <- server.Serve(ctx, e, server.Options{Listen: "127.0.0.1:0", Grace: time.Second,
			Ready: func(a, _ net.Addr) { ready <- a }})
	}()
	w := &world{t: t, e: e}
	select {
	case a := <-ready:
		w.addr = a.String()
	case err := <-done:
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stop()
		<-done
		_ = e.Close()
	})
	w.conn = w.connect()
	return w
}

func (w *world) connect() *pgx.Conn {
	w.t.Helper()
	c, err := pgx.Connect(context.Background(), "postgres://"+w.addr+"/streamsql?sslmode=disable")
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { c.Close(context.Background()) })
	return c
}

func (w *world) exec(sql string, args ...any) {
	w.t.Helper()
	if _, err := w.conn.Exec(w.t.Context(), sql, args...); err != nil {
		w.t.Fatalf("%s: %v", sql, err)
	}
}

// rows returns the answer as text, a row a line.
func (w *world) rows(sql string) string {
	w.t.Helper()
	out, err := w.tryRows(sql)
	if err != nil {
		w.t.Fatalf("%s: %v", sql, err)
	}
	return out
}

func (w *world) tryRows(sql string) (string, error) {
	m := w.conn.PgConn().Exec(w.t.Context(), sql)
	all, err := m.ReadAll()
	if err != nil {
		return "", err
	}
	var b strings.Builder
	for _, r := range all {
		for _, row := range r.Rows {
			for i, v := range row {
				if i > 0 {
					b.WriteByte('|')
				}
				if v == nil {
					b.WriteString("NULL")
				}
				b.Write(v)
			}
			b.WriteByte('\n')
		}
	}
	return b.String(), nil
}

// eventually waits until the answer is as wanted.
func (w *world) eventually(sql, want string) {
	w.t.Helper()
	var got string
	var err error
	for range 600 {
		if got, err = w.tryRows(sql); err == nil && got == want {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	w.t.Fatalf("%s\nnever gave\n%s\nbut at last\n%s(error %v)", sql, want, got, err)
}

// fails wants an error with this SQLSTATE whose message or detail holds text.
func (w *world) fails(sql, code, text string) *pgconn.PgError {
	w.t.Helper()
	_, err := w.conn.Exec(w.t.Context(), sql)
	return w.isError(err, code, text)
}

func (w *world) isError(err error, code, text string) *pgconn.PgError {
	w.t.Helper()
	var pe *pgconn.PgError
	if !errors.As(err, &pe) {
		w.t.Fatalf("an error %s was expected, not %v", code, err)
	}
	if pe.Code != code || !strings.Contains(pe.Message+"\n"+pe.Detail+"\n"+pe.Hint, text) {
		w.t.Fatalf("the error is %s %q (detail %q, hint %q), wanted %s with %q", pe.Code, pe.Message, pe.Detail, pe.Hint, code, text)
	}
	return pe
}

// goesOn makes sure that the rest of the world does: another table, its view and
// a new client.
func (w *world) goesOn() {
	w.t.Helper()
	w.exec("CREATE TABLE IF NOT EXISTS still_here (x INT)")
	w.exec("CREATE MATERIALIZED VIEW IF NOT EXISTS still_true AS SELECT count(*) AS n FROM still_here")
	before := w.rows("SELECT n FROM still_true")
	w.exec("INSERT INTO still_here VALUES (1)")
	if after := w.rows("SELECT n FROM still_true"); after == before {
		w.t.Fatalf("the rest does not go on: %s rows before and after an INSERT", strings.TrimSpace(after))
	}
	c := w.connect()
	var one int
	if err := c.QueryRow(w.t.Context(), "SELECT 1").Scan(&one); err != nil || one != 1 {
		w.t.Fatalf("a new client gets %d, %v", one, err)
	}
}

func startBroker(t *testing.T, topics ...string) *broker.Broker {
	t.Helper()
	var ts []broker.Topic
	for _, n := range topics {
		ts = append(ts, broker.Topic{Name: n, Partitions: 1, Configs: map[string]string{"max.message.bytes": "200000000"}})
	}
	b, err := broker.Options{Configs: map[string]string{"message.max.bytes": "200000000"}}.Start("127.0.0.1:0", t.TempDir(), ts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	return b
}

func send(t *testing.T, addr, topic string, values ...string) {
	t.Helper()
	p, err := broker.NewProducer(addr, kgo.ProducerBatchMaxBytes(200<<20), kgo.BrokerMaxWriteBytes(256<<20), kgo.ProducerBatchCompression(kgo.NoCompression()))
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	for _, v := range values {
		p.Send(topic, 0, nil, []byte(v))
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := p.Flush(ctx); err != nil {
		t.Fatal(err)
	}
}

func (w *world) source(name, topic, addr string, more ...string) {
	w.t.Helper()
	w.exec(fmt.Sprintf(`CREATE SOURCE %s (n INT, s TEXT) WITH (connector = 'kafka', topic = '%s', properties.bootstrap.server = '%s'%s) FORMAT PLAIN ENCODE JSON`,
		name, topic, addr, strings.Join(more, "")))
}
