package sqllogictest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/streamsql/streamsql/sql/sqlerr"
	"github.com/streamsql/streamsql/sql/types"
)

// startPostgres starts a PostgreSQL of its own and returns its address.
func startPostgres(t *testing.T) string {
	t.Helper()
	found, _ := filepath.Glob("/usr/lib/postgresql/15/bin/initdb")
	if len(found) == 0 {
		t.Skip("no PostgreSQL 15 (initdb) on this machine")
	}
	bin := filepath.Dir(found[0])
	dir, err := os.MkdirTemp("", "pg")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	// PostgreSQL does not run as root.
	var as *syscall.SysProcAttr
	if os.Getuid() == 0 {
		u, err := user.Lookup("postgres")
		if err != nil {
			t.Skip("PostgreSQL does not run as root, and there is no user postgres")
		}
		uid, _ := strconv.Atoi(u.Uid)
		gid, _ := strconv.Atoi(u.Gid)
		if err := os.Chown(dir, uid, gid); err != nil {
			t.Fatal(err)
		}
		as = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
	}
	command := func(name string, args ...string) *exec.Cmd {
		c := exec.Command(filepath.Join(bin, name), args...)
		c.SysProcAttr, c.Dir = as, dir
		return c
	}
	data := filepath.Join(dir, "data")
	if out, err := command("initdb", "-D", data, "-A", "trust", "-U", "postgres", "-E", "UTF8", "--locale=C").CombinedOutput(); err != nil {
		t.Fatalf("initdb: %v\n%s", err, out)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	l.Close()
	var out bytes.Buffer
	pg := command("postgres", "-D", data, "-p", strconv.Itoa(port), "-k", dir, "-h", "127.0.0.1", "-c", "fsync=off", "-c", "timezone=UTC")
	pg.Stdout, pg.Stderr = &out, &out
	if err := pg.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = pg.Process.Signal(syscall.SIGQUIT)
		_ = pg.Wait()
	})
	addr := fmt.Sprintf("postgres://postgres@127.0.0.1:%d/", port)
	for range 100 {
		c, err := pgx.Connect(context.Background(), addr+"postgres")
		if err == nil {
			c.Close(context.Background())
			return addr
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Fatalf("PostgreSQL does not come up:\n%s", out.String())
	return ""
}

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
	addr := startPostgres(t)
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
