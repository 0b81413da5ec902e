package baddays

import (
	"strings"
	"testing"
	"time"

	"github.com/streamsql/streamsql/connector/kafka/broker"
	"github.com/streamsql/streamsql/engine"
)

func TestBrokenRecord(t *testing.T) {
	b := startBroker(t, "t")
	w := start(t, engine.Options{})
	w.source("src", "t", b.Addr())
	w.exec("CREATE MATERIALIZED VIEW v AS SELECT count(*) AS n, sum(n) AS s FROM src")
	send(t, b.Addr(), "t", `{"n":1,"s":"a"}`, `{"n":`, `{"n":"no number","s":"b"}`, `{"n":2,"s":"c"}`)
	w.eventually("SELECT n, s FROM v", "2|3\n")
	got := w.rows(`SELECT partition, "offset", convert_from(bytes, 'UTF8') FROM src_dead_letters ORDER BY "offset"`)
	if want := "0|1|{\"n\":\n0|2|{\"n\":\"no number\",\"s\":\"b\"}\n"; got != want {
		t.Errorf("dead letters\n%swanted\n%s", got, want)
	}
	for _, reason := range strings.Split(strings.TrimSpace(w.rows("SELECT reason FROM src_dead_letters")), "\n") {
		if len(reason) < 10 {
			t.Errorf("a dead letter's reason is %q", reason)
		}
	}
	send(t, b.Addr(), "t", `{"n":10}`)
	w.eventually("SELECT n, s FROM v", "3|13\n")
	w.goesOn()
}

func TestHugeRecord(t *testing.T) {
	if testing.Short() {
		t.Skip("needs a gigabyte")
	}
	b := startBroker(t, "t")
	w := start(t, engine.Options{})
	w.source("src", "t", b.Addr())
	w.exec("CREATE MATERIALIZED VIEW v AS SELECT count(*) AS n FROM src")
	send(t, b.Addr(), "t", `{"n":1}`, `{"n":2,"s":"`+strings.Repeat("x", 100<<20)+`"}`, `{"n":3}`)
	w.eventually("SELECT n FROM v", "2\n")
	w.eventually(`SELECT "offset", reason LIKE '%scan.max.record.bytes%', length(bytes) < 1000000 FROM src_dead_letters`, "1|t|t\n")
	w.goesOn()
}

func TestUnknownTopic(t *testing.T) {
	b := startBroker(t, "t")
	w := start(t, engine.Options{})
	w.fails(`CREATE SOURCE src (n INT) WITH (connector = 'kafka', topic = 'nosuch', properties.bootstrap.server = '`+b.Addr()+`')`,
		"42704", "nosuch")
	// Without that check the topic may come later; until then it is trouble that shows.
	w.source("src", "later", b.Addr(), ", check.topic = 'false'")
	w.exec("CREATE MATERIALIZED VIEW v AS SELECT count(*) AS n FROM src")
	w.eventually("SELECT trouble LIKE '%later%' FROM streamsql.source_positions WHERE source = 'src'", "t\n")
	w.goesOn()
	if err := b.Cluster().CreateTopic("later", 1, nil); err != nil {
		t.Fatal(err)
	}
	send(t, b.Addr(), "later", `{"n":1}`)
	w.eventually("SELECT n FROM v", "1\n")
}

func TestBrokerGone(t *testing.T) {
	away := 10 * time.Second
	if testing.Short() {
		away = 2 * time.Second
	}
	dir := t.TempDir()
	b, err := broker.Start("127.0.0.1:0", dir, broker.Topic{Name: "t", Partitions: 1})
	if err != nil {
		t.Fatal(err)
	}
	w := start(t, engine.Options{})
	w.source("src", "t", b.Addr())
	w.exec("CREATE MATERIALIZED VIEW v AS SELECT count(*) AS n FROM src")
	send(t, b.Addr(), "t", `{"n":1}`, `{"n":2}`)
	w.eventually("SELECT n FROM v", "2\n")
	b.Close()
	gone := time.Now()
	w.eventually("SELECT trouble IS NOT NULL AND trouble <> '' FROM streamsql.source_positions WHERE source = 'src'", "t\n")
	w.goesOn()
	w.eventually("SELECT state FROM streamsql.jobs WHERE name = 'v'", "RUNNING\n")
	time.Sleep(away - time.Since(gone))
	b2, err := broker.Start(b.Addr(), dir)
	if err != nil {
		t.Fatal(err)
	}
	defer b2.Close()
	send(t, b2.Addr(), "t", `{"n":3}`)
	w.eventually("SELECT n FROM v", "3\n")
	w.eventually("SELECT coalesce(trouble, '') FROM streamsql.source_positions WHERE source = 'src'", "\n")
}

// TestMendedDefinition: a source was declared too strictly; the records that it
// refused come in after all, once.
func TestMendedDefinition(t *testing.T) {
	b := startBroker(t, "t")
	w := start(t, engine.Options{})
	w.source("src", "t", b.Addr(), ", on_missing_field = 'error'")
	w.exec("CREATE MATERIALIZED VIEW v AS SELECT count(*) AS n, sum(n) AS s FROM src")
	send(t, b.Addr(), "t", `{"n":1,"s":"a"}`, `{"n":2}`, `{"n":4}`, `{"s":"b"`, `{"n":8,"s":"c"}`)
	w.eventually("SELECT n, s FROM v", "2|9\n")
	w.eventually("SELECT count(*) FROM src_dead_letters", "3\n")
	w.exec("ALTER SOURCE src SET (on_missing_field = 'null')")
	w.exec("CREATE MATERIALIZED VIEW v2 AS SELECT count(*) AS n, sum(n) AS s FROM src")
	if got := w.rows("SELECT n, s FROM v2"); got != "2|9\n" {
		t.Errorf("a view made before the replay: %s", got)
	}
	w.exec("REPLAY DEAD LETTERS FROM src")
	w.exec("CREATE MATERIALIZED VIEW v3 AS SELECT count(*) AS n, sum(n) AS s FROM src")
	for _, v := range []string{"v", "v2", "v3"} {
		if got := w.rows("SELECT n, s FROM " + v); got != "4|15\n" {
			t.Errorf("%s: %s", v, got)
		}
	}
	if got := w.rows(`SELECT "offset" FROM src_dead_letters`); got != "3\n" {
		t.Errorf("dead letters left: %s", got)
	}
	w.fails("ALTER SOURCE src SET (topic = 'other')", "22023", "topic")
	send(t, b.Addr(), "t", `{"n":16}`)
	w.eventually("SELECT v.n, v.s, v2.s, v3.s FROM v, v2, v3", "5|31|31|31\n")
	w.goesOn()
}

// TestMissingColumn: the records have a field that the source was not told of.
func TestMissingColumn(t *testing.T) {
	b := startBroker(t, "t")
	w := start(t, engine.Options{})
	w.source("src", "t", b.Addr(), ", on_unknown_field = 'error'")
	w.exec("CREATE MATERIALIZED VIEW v AS SELECT count(*) AS n, sum(n) AS s FROM src")
	send(t, b.Addr(), "t", `{"n":1,"s":"a"}`, `{"n":2,"s":"b","price":9.50}`, `{"n":4,"price":"?"}`)
	w.eventually("SELECT n, s FROM v", "1|1\n")
	w.eventually("SELECT count(*) FROM src_dead_letters", "2\n")
	w.fails("ALTER SOURCE src ADD COLUMN n INT", "42701", "already exists")
	w.fails("ALTER SOURCE src ADD COLUMN price INT NOT NULL", "0A000", "nullable")
	w.exec("CREATE VIEW plain AS SELECT *, 1 AS one FROM src")
	w.fails("ALTER SOURCE src ADD COLUMN price NUMERIC(10, 2)", "2BP01", "plain")
	w.exec("DROP VIEW plain")
	w.exec("ALTER SOURCE src ADD COLUMN price NUMERIC(10, 2)")
	w.exec("CREATE MATERIALIZED VIEW p AS SELECT n, price FROM src")
	send(t, b.Addr(), "t", `{"n":8,"price":1.25}`)
	w.eventually("SELECT n, s FROM v", "2|9\n")
	w.exec("REPLAY DEAD LETTERS FROM src")
	w.eventually("SELECT n, s FROM v", "3|11\n")
	if got := w.rows("SELECT n, price FROM p ORDER BY n"); got != "1|NULL\n2|9.50\n8|1.25\n" {
		t.Error(got)
	}
	if got := w.rows(`SELECT "offset", reason LIKE '%price%' FROM src_dead_letters`); got != "2|t\n" {
		t.Error(got)
	}
	w.goesOn()
}
