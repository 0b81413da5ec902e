package engine

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/streamsql/streamsql/sql/sqlerr"
	"github.com/streamsql/streamsql/sql/types"
)

// newSession opens a database in memory and a session of it.
func newSession(t *testing.T) *Session {
	t.Helper()
	e, err := Open(context.Background(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return another(t, e)
}

func another(t *testing.T, e *Engine) *Session {
	t.Helper()
	s, err := e.NewSession("u", "d", nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// ask runs a text and returns the rows as text: columns by |, rows by newlines;
// of what returns no rows the tag; of an error its SQLSTATE.
func ask(s *Session, sql string) string {
	a, err := s.Exec(context.Background(), sql)
	if err != nil {
		return "ERROR " + sqlerr.From(err).Code
	}
	if a.Columns == nil {
		return a.Tag
	}
	var lines []string
	for _, row := range a.Rows {
		var f []string
		for i, d := range row {
			if d.Null {
				f = append(f, "NULL")
			} else {
				f = append(f, string(types.FormatText(nil, a.Columns[i].Type, d)))
			}
		}
		lines = append(lines, strings.Join(f, "|"))
	}
	return strings.Join(lines, "\n")
}

// script runs pairs of a text and its answer.
func script(t *testing.T, s *Session, pairs ...string) {
	t.Helper()
	for i := 0; i < len(pairs); i += 2 {
		if got := ask(s, pairs[i]); got != pairs[i+1] {
			t.Errorf("%s\ngot  %q\nwant %q", pairs[i], got, pairs[i+1])
		}
	}
}

func TestSessionStatements(t *testing.T) {
	s := newSession(t)
	script(t, s,
		"", "",
		"SELECT 1", "1",
		"VALUES (2, 'b'), (1, 'a')", "2|b\n1|a",
		"VALUES (2, 'b'), (1, 'a') ORDER BY 1", "1|a\n2|b",
		"CREATE TABLE t (a INT PRIMARY KEY, b TEXT)", "CREATE TABLE",
		"INSERT INTO t VALUES (1, 'x'), (2, 'y')", "INSERT 0 2",
		"INSERT INTO t VALUES (3, 'z') RETURNING b, a + 1", "z|4",
		"SELECT * FROM t ORDER BY a DESC", "3|z\n2|y\n1|x",
		"SELECT * FROM t ORDER BY a LIMIT 1 OFFSET 1", "2|y",
		"SELECT * FROM t LIMIT 0", "",
		"SELECT * FROM t LIMIT -1", "ERROR 2201W",
		"SELECT * FROM t OFFSET -1", "ERROR 2201X",
		"UPDATE t SET b = 'w' WHERE a > 1", "UPDATE 2",
		"DELETE FROM t WHERE a = 3", "DELETE 1",
		"CREATE MATERIALIZED VIEW v AS SELECT b, count(*) AS n FROM t GROUP BY b", "CREATE MATERIALIZED VIEW",
		"SELECT * FROM v ORDER BY b", "w|1\nx|1",
		"INSERT INTO t VALUES (4, 'x'); SELECT * FROM v ORDER BY b", "w|1\nx|2",
		"SELECT nosuch FROM t", "ERROR 42703",
		"SELECT 1; SELEC 2", "ERROR 42601",
		"SHOW TABLES", "t",
		"SHOW timezone", "UTC",
		"SET timezone = 'Europe/Berlin'", "SET",
		"SHOW timezone", "Europe/Berlin",
		"SELECT extract(epoch FROM TIMESTAMPTZ '2024-01-01 00:00:00')", "1704063600.000000",
		"RESET timezone", "RESET",
		"SHOW timezone", "UTC",
		"SELECT extract(epoch FROM TIMESTAMPTZ '2024-01-01 00:00:00')", "1704067200.000000",
		"SET nosuch = 1", "ERROR 42704",
		"SHOW nosuch", "ERROR 42704",
		"SELECT current_setting('application_name')", "",
		"SHOW COLUMNS FROM t", "a|integer|NO|NULL|PRIMARY KEY\nb|text|YES|NULL|NULL",
		"SHOW CREATE TABLE t", "t|CREATE TABLE t (a INT PRIMARY KEY, b TEXT)",
		"SHOW CREATE VIEW t", "ERROR 42809",
		"DISCARD ALL", "DISCARD ALL",
		"DEALLOCATE x", "ERROR 26000",
		"DEALLOCATE ALL", "DEALLOCATE ALL",
		"SELECT 1 WHERE false", "",
		"DROP TABLE t", "ERROR 2BP01",
		"DROP TABLE t CASCADE", "DROP TABLE",
	)
}

func TestSessionTransactions(t *testing.T) {
	s := newSession(t)
	other := another(t, s.eng)
	script(t, s,
		"CREATE TABLE t (a INT PRIMARY KEY)", "CREATE TABLE",
		"CREATE TABLE u (a INT)", "CREATE TABLE",
		"BEGIN", "BEGIN",
		"SELECT count(*) FROM t", "0")
	script(t, other, "INSERT INTO t VALUES (100)", "INSERT 0 1")
	script(t, s,
		"SELECT count(*) FROM t", "0", // the epoch of the block's first query
		"INSERT INTO t VALUES (1)", "INSERT 0 1",
		"INSERT INTO t VALUES (2), (3)", "INSERT 0 2")
	script(t, other, "SELECT count(*) FROM t", "1")
	script(t, s,
		"INSERT INTO u SELECT 1 FROM generate_series(1, 3)", "INSERT 0 3",
		"COMMIT", "COMMIT",
		"SELECT count(*) FROM t", "4",
		"SELECT count(*) FROM u", "3",

		"BEGIN", "BEGIN",
		"INSERT INTO t VALUES (9)", "INSERT 0 1",
		"ROLLBACK", "ROLLBACK",
		"SELECT count(*) FROM t", "4",

		"BEGIN", "BEGIN",
		"DELETE FROM t WHERE a < 3", "DELETE 2",
		"SELECT * FROM t", "ERROR 0A000",
		"SELECT 1", "ERROR 25P02",
		"COMMIT", "ROLLBACK",
		"SELECT count(*) FROM t", "4",

		// All or none: the second write fails at COMMIT.
		"BEGIN", "BEGIN",
		"INSERT INTO u VALUES (7)", "INSERT 0 1",
		"INSERT INTO t VALUES (1)", "INSERT 0 1",
		"COMMIT", "ERROR 23505",
		"SELECT count(*) FROM u", "3",

		"BEGIN", "BEGIN",
		"DELETE FROM t RETURNING a", "ERROR 0A000",
		"ROLLBACK", "ROLLBACK",
		"BEGIN", "BEGIN",
		"INSERT INTO t VALUES (50)", "INSERT 0 1",
		"CREATE TABLE w (a INT)", "ERROR 0A000",
		"ROLLBACK", "ROLLBACK",
		"BEGIN READ ONLY", "BEGIN",
		"INSERT INTO t VALUES (50)", "ERROR 25006",
		"ROLLBACK", "ROLLBACK",
		"COMMIT", "COMMIT",
	)
	if s.TxStatus() != 'I' {
		t.Errorf("status %c", s.TxStatus())
	}
}

// TestTransactionOwnRows: a block reads the rows that it has inserted itself.
func TestTransactionOwnRows(t *testing.T) {
	s := newSession(t)
	other := another(t, s.eng)
	script(t, s,
		"CREATE TABLE t (a INT PRIMARY KEY, b TEXT NOT NULL DEFAULT 'd', r FLOAT8 DEFAULT random(), g INT GENERATED ALWAYS AS (a * 2) STORED)", "CREATE TABLE",
		"CREATE INDEX t_b ON t (b)", "CREATE INDEX",
		"CREATE TABLE n (x NUMERIC, y INT)", "CREATE TABLE",
		"CREATE INDEX n_x ON n (x, y)", "CREATE INDEX",
		"CREATE MATERIALIZED VIEW v AS SELECT count(*) AS n FROM t", "CREATE MATERIALIZED VIEW",
		"INSERT INTO t (a) VALUES (1)", "INSERT 0 1",
		"BEGIN", "BEGIN",
		"INSERT INTO t (a) VALUES (2), (3) RETURNING a, b, g, a + 10 AS more", "2|d|4|12\n3|d|6|13",
		"INSERT INTO t (a, b) SELECT a + 10, 'x' FROM t RETURNING a", "11\n12\n13",
		"SELECT a, b FROM t ORDER BY a", "1|d\n2|d\n3|d\n11|x\n12|x\n13|x",
		"SELECT b FROM t WHERE a = 12", "x",
		"SELECT a FROM t WHERE b = 'x' ORDER BY a", "11\n12\n13",
		"SELECT a FROM t WHERE a = NULL", "",
		"SELECT x.a, y.a FROM t x JOIN t y ON y.a = x.a + 10 ORDER BY 1", "1|11\n2|12\n3|13",
		"INSERT INTO n VALUES (1.50, 1), (1.5, 2), (2, 3)", "INSERT 0 3",
		"SELECT y FROM n WHERE x = 1.5 ORDER BY y", "1\n2",
		"SELECT y FROM n WHERE x = 1.500 AND y = 2", "2",
		"SELECT n FROM v", "1",
		"INSERT INTO n SELECT r, 0 FROM t WHERE a = 2", "INSERT 0 1",
	)
	script(t, other, "SELECT count(*) FROM t", "1")
	script(t, s,
		"UPDATE t SET b = 'y' WHERE a IN (1, 11, 12)", "UPDATE 3",
		"SELECT a FROM t", "ERROR 0A000",
		"ROLLBACK", "ROLLBACK",
		"SELECT count(*) FROM t", "1",

		"BEGIN", "BEGIN",
		"INSERT INTO t (a) VALUES (2) RETURNING a", "2",
		"INSERT INTO n SELECT r, 0 FROM t WHERE a = 2", "INSERT 0 1",
		"UPDATE t SET b = 'y' WHERE a <= 2", "UPDATE 2",
		"COMMIT", "COMMIT",
		"SELECT a, b FROM t ORDER BY a", "1|y\n2|y",
		"SELECT count(*) FROM n JOIN t ON abs(t.r - n.x::float8) < 1e-12", "1", // the random number that was read is the one written
		"SELECT n FROM v", "2",

		"BEGIN", "BEGIN",
		"INSERT INTO t (a, b) VALUES (5, NULL)", "ERROR 23502",
		"ROLLBACK", "ROLLBACK",
		"BEGIN", "BEGIN",
		"INSERT INTO t (a) VALUES (1) RETURNING a", "1",
		"COMMIT", "ERROR 23505",
	)
}

// TestImplicitTransaction: on the wire, what runs until Sync is written at once.
func TestImplicitTransaction(t *testing.T) {
	s := newSession(t)
	s.Implicit = true
	script(t, s,
		"CREATE TABLE t (a INT PRIMARY KEY)", "CREATE TABLE",
		"INSERT INTO t VALUES (1); INSERT INTO t VALUES (2)", "INSERT 0 1",
		"INSERT INTO t VALUES (3); INSERT INTO t VALUES (1)", "ERROR 23505",
		"SELECT * FROM t ORDER BY a", "1\n2",
		"INSERT INTO t VALUES (4); SELECT * FROM t ORDER BY a", "1\n2\n4",
		"INSERT INTO t VALUES (5); SELECT 1/0", "ERROR 22012",
	)
}

func TestPreparedStatements(t *testing.T) {
	s := newSession(t)
	ctx := context.Background()
	script(t, s, "CREATE TABLE t (a INT, b TEXT)", "CREATE TABLE")
	prepare := func(sql string, params ...types.Type) *Prepared {
		st, err := s.Parse(sql)
		if err != nil {
			t.Fatal(err)
		}
		p, err := s.Prepare(ctx, st[0], params)
		if err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
		return p
	}
	run := func(p *Prepared, args ...types.Datum) string {
		r, err := p.Execute(ctx, args)
		if err != nil {
			return "ERROR " + sqlerr.From(err).Code
		}
		defer r.Close()
		out := ""
		for {
			more, err := r.Next(ctx)
			if err != nil {
				return "ERROR " + sqlerr.From(err).Code
			}
			if !more {
				return out + r.Tag()
			}
			for i, d := range r.Row() {
				out += string(types.FormatText(nil, p.Columns()[i].Type, d)) + " "
			}
		}
	}
	ins := prepare("INSERT INTO t VALUES ($1, $2)")
	if got := fmt.Sprint(ins.Params()); got != fmt.Sprint([]types.Type{types.Of(types.Int4), types.Of(types.Text)}) {
		t.Errorf("parameters %s", got)
	}
	sel := prepare("SELECT a, b FROM t WHERE a >= $1 ORDER BY a LIMIT $2")
	if c := sel.Columns(); len(c) != 2 || c[0].Table < 16384 || c[0].Attr != 1 || c[1].Attr != 2 {
		t.Errorf("columns %+v", c)
	}
	for i := range 3 {
		if got := run(ins, types.Datum{I: int64(i)}, types.Datum{S: []byte{byte('a' + i)}}); got != "INSERT 0 1" {
			t.Errorf("insert: %s", got)
		}
	}
	if got := run(sel, types.Datum{I: 1}, types.Datum{I: 5}); got != "1 b 2 c SELECT 2" {
		t.Errorf("select: %s", got)
	}
	if got := run(sel, types.Datum{I: 1}, types.NullDatum); got != "1 b 2 c SELECT 2" {
		t.Errorf("LIMIT NULL: %s", got)
	}
	if got := run(sel, types.Datum{I: 1}, types.Datum{I: -1}); got != "ERROR 2201W" {
		t.Errorf("LIMIT -1: %s", got)
	}
	script(t, s, "CREATE TABLE other (x INT)", "CREATE TABLE")
	if got := run(sel, types.Datum{I: 2}, types.Datum{I: 5}); got != "2 c SELECT 1" {
		t.Errorf("after another catalog: %s", got)
	}
	script(t, s, "DROP TABLE t", "DROP TABLE", "CREATE TABLE t (a INT, b INT)", "CREATE TABLE")
	if got := run(sel, types.Datum{I: 2}, types.Datum{I: 5}); got != "ERROR 0A000" {
		t.Errorf("after another table: %s", got)
	}
	script(t, s, "DROP TABLE t", "DROP TABLE")
	if got := run(sel, types.Datum{I: 2}, types.Datum{I: 5}); got != "ERROR 42P01" {
		t.Errorf("without the table: %s", got)
	}
}

// TestQueryEnds: a result that nobody reads to its end is let go, and a
// cancelled one ends with the cause.
func TestQueryEnds(t *testing.T) {
	s := newSession(t)
	st, err := s.Parse("SELECT a.g, b.g FROM generate_series(1, 100000) a(g), generate_series(1, 100000) b(g)")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	p, err := s.Prepare(ctx, st[0], nil)
	if err != nil {
		t.Fatal(err)
	}
	r, err := p.Execute(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	if ok, err := r.Next(ctx); !ok || err != nil {
		t.Fatalf("the first row: %v, %v", ok, err)
	}
	r.Close()

	r, err = p.Execute(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	cause := errors.New("the user has had enough")
	time.AfterFunc(20*time.Millisecond, func() { cancel(cause) })
	for {
		var ok bool
		if ok, err = r.Next(ctx); err != nil || !ok {
			break
		}
	}
	r.Close()
	if !errors.Is(err, cause) {
		t.Errorf("the cancelled query: %v", err)
	}
	script(t, s, "SET statement_timeout = 50", "SET",
		"SELECT count(*) FROM generate_series(1, 100000) a(g), generate_series(1, 1000000) b(g)", "ERROR 57014",
		"SELECT a.g, b.g FROM generate_series(1, 100000) a(g), generate_series(1, 100000) b(g) ORDER BY 1, 2", "ERROR 57014",
		"SET statement_timeout = 0", "SET",
		"SELECT 1", "1")
}

func TestStatementMemory(t *testing.T) {
	e, err := Open(context.Background(), Options{StatementMemory: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	s := another(t, e)
	script(t, s,
		"SELECT g FROM generate_series(1, 300000) t(g) ORDER BY g DESC", "ERROR 53200",
		"SELECT g FROM generate_series(1, 300000) t(g) ORDER BY g DESC LIMIT 2", "300000\n299999",
		"SELECT count(*) FROM generate_series(1, 300000) t(g)", "300000",
		"SELECT count(DISTINCT g) FROM generate_series(1, 300000) t(g)", "ERROR 53200")
}

// TestVirtualRelations reads every one of them whole: each row's columns are
// those of the relation.
func TestVirtualRelations(t *testing.T) {
	s := newSession(t)
	script(t, s,
		"CREATE TABLE t (a INT PRIMARY KEY, b TEXT DEFAULT 'x')", "CREATE TABLE",
		"CREATE INDEX i ON t (b)", "CREATE INDEX",
		"CREATE VIEW w AS SELECT a FROM t", "CREATE VIEW",
		"CREATE MATERIALIZED VIEW v AS SELECT b, count(*) AS n FROM t GROUP BY b", "CREATE MATERIALIZED VIEW",
		"INSERT INTO t VALUES (1)", "INSERT 0 1")
	rows := map[string]int{}
	for _, o := range s.eng.currentCatalog().All() {
		if o.ID >= 16384 {
			continue
		}
		a, err := s.Exec(context.Background(), "SELECT x.* FROM "+o.Schema+"."+o.Name+" x")
		if err != nil {
			t.Errorf("%s.%s: %v", o.Schema, o.Name, err)
			continue
		}
		rows[o.Name] = len(a.Rows)
	}
	for _, n := range []string{"pg_class", "pg_attribute", "pg_type", "pg_index", "pg_constraint", "pg_attrdef", "pg_proc", "pg_namespace",
		"pg_settings", "pg_stat_activity", "pg_tables", "pg_matviews", "columns", "tables", "jobs", "settings"} {
		if rows[n] == 0 {
			t.Errorf("%s is empty", n)
		}
	}
	script(t, s,
		"SELECT relname, relkind FROM pg_class WHERE relnamespace = 2200 ORDER BY 1", "i|i\nt|r\nt_pkey|i\nv|m\nw|v",
		"SELECT attname, atttypid, attnotnull FROM pg_attribute WHERE attrelid = 't'::regclass ORDER BY attnum", "a|23|t\nb|25|f",
		"SELECT column_name, data_type, is_nullable, column_default FROM information_schema.columns WHERE table_name = 't' ORDER BY ordinal_position",
		"a|integer|NO|NULL\nb|text|YES|'x'",
		"SELECT name, state, rows FROM streamsql.jobs WHERE name = 'v'", "v|RUNNING|1",
		"CREATE TABLE names (n TEXT)", "CREATE TABLE",
		"INSERT INTO names SELECT relname FROM pg_class WHERE relname = 't'", "INSERT 0 1",
		"SELECT * FROM names", "t",
		"CREATE MATERIALIZED VIEW bad AS SELECT relname FROM pg_class", "ERROR 0A000",
		"INSERT INTO pg_class (relname) VALUES ('x')", "ERROR 42809",
	)
}

func TestExplain(t *testing.T) {
	s := newSession(t)
	script(t, s, "CREATE TABLE t (a INT, b INT)", "CREATE TABLE", "INSERT INTO t VALUES (1, 2), (3, 4)", "INSERT 0 2")
	for sql, want := range map[string]string{
		"EXPLAIN SELECT a FROM t WHERE b > 1 ORDER BY a DESC LIMIT 3":             "Limit\n-> Sort  key: a DESC\n  -> ",
		"EXPLAIN INSERT INTO t SELECT b, a FROM t":                                "Insert t\n",
		"EXPLAIN CREATE MATERIALIZED VIEW v AS SELECT count(*) FROM t GROUP BY a": "Materialized View v\n",
		"EXPLAIN ANALYZE SELECT count(*) FROM t":                                  "",
	} {
		got := ask(s, sql)
		if !strings.HasPrefix(got, want) || len(got) <= len(want) {
			t.Errorf("%s\n%s", sql, got)
		}
	}
	if got := ask(s, "EXPLAIN ANALYZE SELECT count(*) FROM t"); !strings.Contains(got, "rows in 2") || !strings.Contains(got, "Rows: 1") {
		t.Errorf("EXPLAIN ANALYZE:\n%s", got)
	}
	script(t, s, "EXPLAIN (FORMAT json) SELECT 1", "ERROR 0A000", "EXPLAIN ANALYZE DELETE FROM t", "ERROR 0A000",
		"SELECT count(*) FROM t", "2", "EXPLAIN SELECT nosuch FROM t", "ERROR 42703")
}
