package sqllogictest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/streamsql/streamsql/internal/pgtest"
	"github.com/streamsql/streamsql/sql/sqlerr"
	"github.com/streamsql/streamsql/sql/types"
)

// realPostgres is PostgreSQL as a DB. Its materialized views are refreshed after
// each change, so that they say what ours say by themselves.
type realPostgres struct{ addr string }

type realConn struct {
	c     *pgx.Conn
	views []string
}

func (p realPostgres) Connect(ctx context.Context) (Conn, error) {
	c, err := pgx.Connect(ctx, p.addr)
	return &realConn{c: c}, err
}

func (c *realConn) Close() { c.c.Close(context.Background()) }

var createsView = regexp.MustCompile(`(?is)^\s*CREATE\s+MATERIALIZED\s+VIEW\s+(\w+)`)

func (c *realConn) Exec(ctx context.Context, sql string) (*Result, error) {
	res := &Result{}
	m := c.c.PgConn().Exec(ctx, sql)
	for m.NextResult() {
		rr := m.ResultReader()
		res = &Result{}
		for _, f := range rr.FieldDescriptions() {
			t, ok := types.FromOID(f.DataTypeOID)
			if !ok {
				t = types.Of(types.Text)
			}
			res.Types = append(res.Types, t)
		}
		for rr.NextRow() {
			row := make([]types.Datum, len(res.Types))
			for i, v := range rr.Values() {
				var err error
				if v == nil {
					row[i] = types.NullDatum
				} else if row[i], err = types.ParseText(res.Types[i], string(v)); err != nil {
					return nil, err
				}
			}
			res.Rows = append(res.Rows, row)
		}
		tag, err := rr.Close()
		if err != nil {
			break
		}
		res.Count = int(tag.RowsAffected())
	}
	if err := m.Close(); err != nil {
		var pe *pgconn.PgError
		if errors.As(err, &pe) {
			return nil, sqlerr.New(pe.Code, "%s", pe.Message)
		}
		return nil, err
	}
	if m := createsView.FindStringSubmatch(sql); m != nil {
		c.views = append(c.views, m[1])
	}
	if isDML(sql) {
		for _, v := range c.views {
			_, _ = c.c.Exec(ctx, "REFRESH MATERIALIZED VIEW "+v) // it may be dropped by now
		}
	}
	return res, nil
}

// TestAgainstPostgres runs the suite against PostgreSQL itself: what the files
// expect of the SQL that both speak is what PostgreSQL answers. Files that begin
// with "# streamsql only" are about what it does not have.
func TestAgainstPostgres(t *testing.T) {
	addr := pgtest.Start(t)
	files, err := filepath.Glob("*.slt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no files: %v", err)
	}
	for i, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(string(text), "# streamsql only") {
			continue
		}
		t.Run(f, func(t *testing.T) {
			records, err := ParseFile(f)
			if err != nil {
				t.Fatal(err)
			}
			ctx := t.Context()
			admin, err := pgx.Connect(ctx, addr+"postgres")
			if err != nil {
				t.Fatal(err)
			}
			defer admin.Close(ctx)
			if _, err := admin.Exec(ctx, fmt.Sprintf("CREATE DATABASE slt%d", i)); err != nil {
				t.Fatal(err)
			}
			var log bytes.Buffer
			off := &Record{Kind: Control, Name: "check", Value: "off"}
			sum, err := Run(ctx, realPostgres{fmt.Sprintf("%sslt%d", addr, i)}, append([]*Record{off}, records...),
				Options{Mode: Batch, Engine: "postgres", Log: &log})
			if err != nil {
				t.Fatal(err)
			}
			if sum.Failed > 0 {
				t.Errorf("%s\n%s", sum, log.String())
			}
		})
	}
}
