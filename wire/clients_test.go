package wire

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"math/big"
	"reflect"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/lib/pq"
)

func pgxConnect(t *testing.T, addr, more string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(context.Background(), "postgres://u@"+addr+"/d?"+more)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(context.Background()) })
	return conn
}

// TestPgxValues sends a value of every type through pgx and back, in both formats.
func TestPgxValues(t *testing.T) {
	_, _, addr := serve(t, Config{})
	at := time.Date(2024, 2, 29, 12, 34, 56, 789_000, time.UTC)
	uuid := [16]byte{1, 2, 3, 15: 255}
	conn := pgxConnect(t, addr, "")
	for _, format := range []int16{pgx.TextFormatCode, pgx.BinaryFormatCode} {
		for _, c := range []struct {
			typ  string
			in   any
			want any // nil: in
		}{
			{"boolean", true, nil}, {"smallint", int16(-3), nil}, {"integer", int32(1 << 30), nil}, {"bigint", int64(-1 << 62), nil},
			{"real", float32(1.5), nil}, {"doubleprecision", 0.1, nil},
			{"numeric", pgtype.Numeric{Int: big.NewInt(-1234567), Exp: -3, Valid: true}, nil},
			{"text", "a'ü\n", nil}, {"charactervarying", "", nil}, {"name", "n", nil},
			{"bytea", []byte{0, 255, '\\'}, nil},
			{"date", time.Date(1969, 7, 20, 0, 0, 0, 0, time.UTC), nil},
			{"timewithouttimezone", pgtype.Time{Microseconds: 86_399_999_999, Valid: true}, nil},
			{"timestampwithouttimezone", at, nil}, {"timestampwithtimezone", at, nil},
			{"timestampwithtimezone", pgtype.NegativeInfinity, nil},
			{"interval", pgtype.Interval{Microseconds: -5, Days: 40, Months: -14, Valid: true}, nil},
			{"uuid", uuid, nil}, {"oid", uint32(4294967295), nil},
			{"json", map[string]any{"a": []any{1.0, nil}}, nil}, {"jsonb", map[string]any{"a": []any{1.0, "x"}}, nil},
			{"integer[]", []int32{1, -2}, []any{int32(1), int32(-2)}}, {"text[]", []string{"", "a b", `"`}, []any{"", "a b", `"`}},
			{"timestampwithtimezone[]", []time.Time{at}, []any{at}}, {"bytea[]", [][]byte{{1}}, []any{[]byte{1}}},
			{"integer", nil, nil},
		} {
			if inf, ok := c.in.(pgtype.InfinityModifier); ok {
				c.in, c.want = pgtype.Timestamptz{InfinityModifier: inf, Valid: true}, inf
			}
			if c.want == nil {
				c.want = c.in
			}
			rows, err := conn.Query(context.Background(), "echo "+c.typ, pgx.QueryResultFormats{format}, c.in)
			if err != nil {
				t.Fatalf("format %d: %s: %v", format, c.typ, err)
			}
			var got any
			for rows.Next() {
				vals, err := rows.Values()
				if err != nil {
					t.Fatalf("format %d: %s: %v", format, c.typ, err)
				}
				got = vals[0]
			}
			if err := rows.Err(); err != nil {
				t.Errorf("format %d: %s: %v", format, c.typ, err)
				continue
			}
			if g, ok := got.(time.Time); ok {
				got = g.UTC()
			}
			if l, ok := got.([]any); ok && len(l) > 0 {
				if g, ok := l[0].(time.Time); ok {
					l[0] = g.UTC()
				}
			}
			if !reflect.DeepEqual(got, c.want) {
				t.Errorf("format %d: %s: %#v came back as %#v", format, c.typ, c.in, got)
			}
		}
	}
}

func TestPgx(t *testing.T) {
	f, _, addr := serve(t, Config{})
	ctx := context.Background()
	conn := pgxConnect(t, addr, "application_name=it")
	if f.infos[0].User != "u" || f.infos[0].Database != "d" || f.infos[0].Params["application_name"] != "it" {
		t.Errorf("the session was told %+v", f.infos[0])
	}
	if err := conn.Ping(ctx); err != nil {
		t.Fatal(err)
	}
	for range 3 { // from the second on from the statement cache
		tag, err := conn.Exec(ctx, "series 100000")
		if err != nil || tag.String() != "SELECT 100000" {
			t.Fatalf("%v, %v", tag, err)
		}
	}
	var pgErr *pgconn.PgError
	if _, err := conn.Exec(ctx, "fail"); !errors.As(err, &pgErr) || pgErr.Code != "22012" || pgErr.Message != "division by zero" ||
		pgErr.Detail != "a detail" || pgErr.Hint != "a hint" || pgErr.Severity != "ERROR" || pgErr.Position != 3 {
		t.Errorf("the error is %#v", pgErr)
	}

	// A batch is one implicit transaction.
	f.took()
	b := &pgx.Batch{}
	b.Queue("insert")
	b.Queue("echo integer", 7)
	b.Queue("fail")
	b.Queue("insert")
	res := conn.SendBatch(ctx, b)
	if _, err := res.Exec(); err != nil {
		t.Error(err)
	}
	var n int
	if err := res.QueryRow().Scan(&n); err != nil || n != 7 {
		t.Errorf("%d, %v", n, err)
	}
	_, err := res.Exec()
	wantCode(t, err, "22012")
	res.Close()

	tx, err := conn.Begin(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if conn.PgConn().TxStatus() != 'T' {
		t.Error("no transaction began")
	}
	_, err = tx.Exec(ctx, "fail")
	wantCode(t, err, "22012")
	_, err = tx.Exec(ctx, "insert")
	wantCode(t, err, "25P02")
	if err := tx.Rollback(ctx); err != nil || conn.PgConn().TxStatus() != 'I' {
		t.Errorf("rollback: %v", err)
	}

	_, err = conn.CopyFrom(ctx, pgx.Identifier{"t"}, nil, pgx.CopyFromRows(nil))
	if err == nil {
		t.Error("COPY was taken")
	}
	_, err = conn.PgConn().CopyTo(ctx, io.Discard, "copy t to stdout")
	wantCode(t, err, "0A000")

	// A context that ends cancels the statement on the server.
	short, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
	defer cancel()
	if _, err := conn.Exec(short, "hang"); err == nil {
		t.Error("a statement that hangs came to an end")
	}
	eventually(t, "the statement ended with its context", f.idle)
}

func TestPq(t *testing.T) {
	f, _, addr := serve(t, Config{})
	db, err := sql.Open("postgres", "postgres://u@"+addr+"/d?sslmode=disable")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.Ping(); err != nil {
		t.Fatal(err)
	}
	var a sql.NullString
	var b []byte
	var c time.Time
	var d []sql.NullInt64
	at := time.Date(2024, 2, 29, 12, 34, 56, 789_000, time.UTC)
	err = db.QueryRow("echo text bytea timestampwithtimezone bigint[]", nil, []byte{0, 200}, at, pq.Array([]int64{1, -2})).
		Scan(&a, &b, &c, pq.Array(&d))
	if err != nil || a.Valid || string(b) != "\x00\xc8" || !c.Equal(at) || fmt.Sprint(d) != "[{1 true} {-2 true}]" {
		t.Errorf("%v %v %v %v, %v", a, b, c, d, err)
	}
	if res, err := db.Exec("insert"); err != nil {
		t.Error(err)
	} else if n, _ := res.RowsAffected(); n != 1 {
		t.Errorf("%d rows inserted", n)
	}
	st, err := db.Prepare("echo integer")
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	for i := range 3 {
		var n int
		if err := st.QueryRow(i).Scan(&n); err != nil || n != i {
			t.Errorf("%d came back as %d, %v", i, n, err)
		}
	}
	_, err = st.Exec("x")
	wantCode(t, err, "22P02")
	_, err = db.Exec("insert; fail")
	var pqErr *pq.Error
	if !errors.As(err, &pqErr) || pqErr.Code != "22012" || pqErr.Position != "11" {
		t.Errorf("the error is %#v", err)
	}
	short, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	f.took()
	if _, err := db.QueryContext(short, "hangrow"); err == nil {
		f.running(t)
	}
	<-short.Done()
	eventually(t, "the statement was cancelled", func() bool { f.mu.Lock(); defer f.mu.Unlock(); return f.rows == 0 })
}
