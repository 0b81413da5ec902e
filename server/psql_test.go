package server

import (
	"context"
	"net"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
)

// objects is what the tests of the catalog look at.
var objects = []string{
	`CREATE TABLE t (id BIGINT PRIMARY KEY, name TEXT NOT NULL DEFAULT 'x', price NUMERIC(10,2), ts TIMESTAMPTZ)`,
	`CREATE INDEX t_name ON t (name)`,
	`CREATE VIEW v AS SELECT id, name FROM t WHERE id > 1`,
	`CREATE MATERIALIZED VIEW mv AS SELECT name, count(*) AS n FROM t GROUP BY name`,
	`CREATE SOURCE s (a BIGINT, b TEXT) WITH (connector = 'datagen', 'number-of-rows' = '10')`,
	`INSERT INTO t VALUES (1, 'a', 1.5, '2024-01-01'), (2, 'b', 2, NULL)`,
}

// later is what psql sends that is not supported yet, and says so.
var later = regexp.MustCompile(`(?is)^\s*(DECLARE|FETCH|CLOSE|COPY)\b`)

// TestPsqlStatements runs all that psql 15 sends for its commands. The
// identifiers in them are those of a PostgreSQL with like objects.
func TestPsqlStatements(t *testing.T) {
	_, addr, _ := start(t, Options{})
	c := connect(t, addr)
	execAll(t, c.PgConn(), objects...)
	file, err := os.ReadFile("testdata/psql_statements.sql")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for i, sql := range strings.Split(string(file), "-- ----\n") {
		_, err := c.PgConn().Exec(context.Background(), sql).ReadAll()
		if later.MatchString(sql) || strings.Contains(sql, "1/0") {
			if err == nil {
				t.Errorf("statement %d ran", i)
			}
			continue
		}
		if err != nil {
			t.Errorf("statement %d: %v\n%s", i, err, sql)
		}
		n++
	}
	if n < 40 {
		t.Errorf("only %d statements", n)
	}
}

// execAll runs statements one by one by the simple protocol.
func execAll(t *testing.T, c *pgconn.PgConn, sqls ...string) {
	t.Helper()
	for _, sql := range sqls {
		if _, err := c.Exec(context.Background(), sql).ReadAll(); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
}

// TestPsql looks at what psql itself prints.
func TestPsql(t *testing.T) {
	psql, err := exec.LookPath("psql")
	if err != nil {
		t.Skip("psql is not installed")
	}
	_, addr, _ := start(t, Options{})
	execAll(t, connect(t, addr).PgConn(), objects...)
	host, port, _ := net.SplitHostPort(addr)
	run := func(args ...string) string {
		cmd := exec.Command(psql, append([]string{"-X", "-h", host, "-p", port, "-U", "u", "-d", "d", "-v", "VERBOSITY=verbose"}, args...)...)
		cmd.Env = append(os.Environ(), "PGCLIENTENCODING=UTF8", "PAGER=cat")
		out, _ := cmd.CombinedOutput()
		return string(out)
	}
	for _, c := range []struct {
		cmd  string
		want []string // regular expressions, each to match the output
	}{
		{`\d`, []string{`public \| mv +\| materialized view \| u`, `public \| s +\| foreign table +\| u`, `public \| t +\| table +\| u`, `public \| v +\| view +\| u`}},
		{`\dt`, []string{`public \| s_dead_letters +\| table \| u`, `public \| t +\| table \| u`, `\(2 rows\)`}},
		{`\dm`, []string{`public \| mv +\| materialized view \| u`, `\(1 row\)`}},
		{`\dv`, []string{`public \| v +\| view \| u`, `\(1 row\)`}},
		{`\di`, []string{`public \| t_name +\| index \| u +\| t`, `public \| t_pkey +\| index \| u +\| t`}},
		{`\dt+`, []string{`public \| t +\| table \| u +\| permanent +\| heap +\| [0-9]+`}},
		{`\d t`, []string{`Table "public.t"`, `id +\| bigint +\| +\| not null \|`, `name +\| text +\| +\| not null \| 'x'`,
			`price +\| numeric\(10,2\)`, `ts +\| timestamp with time zone`, `"t_pkey" PRIMARY KEY, btree \(id\)`, `"t_name" btree \(name\)`}},
		{`\d+ t`, []string{`Table "public.t"`, `name +\| text +\| +\| not null \| 'x'`}},
		{`\d v`, []string{`View "public.v"`, `id +\| bigint`, `name +\| text`}},
		{`\d+ v`, []string{`View definition:`, `SELECT id, name FROM t WHERE id > 1`}},
		{`\d mv`, []string{`Materialized view "public.mv"`, `name +\| text`, `n +\| bigint`}},
		{`\d s`, []string{`Foreign table "public.s"`, `a +\| bigint`, `Server: streamsql`}},
		{`\d t_name`, []string{`Index "public.t_name"`, `name +\| text`, `btree, for table "public.t"`}},
		{`\l`, []string{`d +\| u +\| UTF8`}},
		{`\dn`, []string{`public +\| u`}},
		{`\du`, []string{`u +\| Superuser`}},
		{`\df`, []string{`\(0 rows\)`}},
		{`\dT`, []string{`List of data types`}},
		{`\sv v`, []string{`CREATE OR REPLACE VIEW public.v AS`, `SELECT id, name`}},
		{`\conninfo`, []string{`connected to database "d" as user "u"`}},
		{`SELECT * FROM t ORDER BY id`, []string{`1 \| a +\| +1.50 \| 2024-01-01 00:00:00\+00`, `2 \| b`, `\(2 rows\)`}},
		{`SELECT 1 + FROM t`, []string{`ERROR:  42601: syntax error at or near "FROM"\nLINE 1: SELECT 1 \+ FROM t\n {19}\^`}},
		{`SELECT nosuch FROM t`, []string{`ERROR:  42703: column "nosuch" does not exist\nLINE 1: SELECT nosuch FROM t\n {15}\^`}},
		{`SELECT 'mv'::regclass, 'mv'::regclass::oid > 16383 AS b`, []string{`mv +\| t`}},
		{`EXPLAIN SELECT * FROM t`, []string{`QUERY PLAN`}},
		{`SHOW MATERIALIZED VIEWS`, []string{`mv +\| RUNNING +\| +2`}},
		{`SELECT id, name, state, progress FROM streamsql.jobs WHERE name = 'mv'`, []string{`mv +\| RUNNING +\| +1`}},
	} {
		out := run("-c", c.cmd)
		for _, w := range c.want {
			if !regexp.MustCompile(w).MatchString(out) {
				t.Errorf("%s: %q is not in\n%s", c.cmd, w, out)
			}
		}
	}
}
