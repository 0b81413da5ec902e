package sqllogictest

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/streamsql/streamsql/sql/sqlerr"
	"github.com/streamsql/streamsql/sql/types"
)

// fakeDB answers from a table of texts; what it does not know is a syntax error.
type fakeDB struct {
	answers map[string]*Result
	log     []string
}

func (f *fakeDB) Connect(context.Context) (Conn, error) { return f, nil }
func (f *fakeDB) Close()                                {}
func (f *fakeDB) Exec(_ context.Context, sql string) (*Result, error) {
	f.log = append(f.log, sql)
	if r, ok := f.answers[sql]; ok {
		return r, nil
	}
	if sql == "missing" {
		return nil, sqlerr.New(sqlerr.UndefinedTable, `relation "missing" does not exist`)
	}
	if strings.HasPrefix(sql, "CREATE") || strings.HasPrefix(sql, "INSERT") {
		return &Result{Count: 1}, nil
	}
	return nil, sqlerr.New(sqlerr.Syntax, "syntax error")
}

func ints(rows ...[]int64) *Result {
	r := &Result{}
	for _, row := range rows {
		out := make([]types.Datum, len(row))
		for i, v := range row {
			out[i] = types.Datum{I: v}
		}
		r.Rows = append(r.Rows, out)
	}
	for range rows[0] {
		r.Types = append(r.Types, types.Of(types.Int8))
	}
	return r
}

func newFake() *fakeDB {
	text := &Result{Types: []types.Type{types.Of(types.Text)},
		Rows: [][]types.Datum{{{S: []byte("a\tb")}}, {{S: []byte{}}}, {types.NullDatum}}}
	real := &Result{Types: []types.Type{types.Of(types.Numeric)}, Rows: [][]types.Datum{{{S: []byte{1, 25}}}}}
	nine := ints([]int64{1, 2, 3}, []int64{4, 5, 6}, []int64{7, 8, 9})
	return &fakeDB{answers: map[string]*Result{
		"two": ints([]int64{3, 4}, []int64{1, 2}), "nine": nine, "text": text, "real": real,
	}}
}

func runText(t *testing.T, db *fakeDB, mode Mode, text string) (Summary, string) {
	t.Helper()
	recs, err := Parse("test.slt", text)
	if err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	sum, err := Run(context.Background(), db, recs, Options{Mode: mode, Log: &log})
	if err != nil {
		t.Fatal(err)
	}
	return sum, log.String()
}

// Each text is one record; ok says whether the runner must let it pass.
func TestRecords(t *testing.T) {
	for _, c := range []struct {
		text string
		ok   bool
	}{
		{"statement ok\nCREATE x", true},
		{"statement ok\nbroken", false},
		{"statement error\nbroken", true},
		{"statement error\nCREATE x", false},
		{"statement error (42601)\nbroken", true},
		{"statement error (42P01)\nbroken", false},
		{"statement error ^relation .* does not exist$\nmissing", true},
		{"statement error column\nmissing", false},
		{"statement count 1\nINSERT", true},
		{"statement count 2\nINSERT", false},
		{"query II nosort\ntwo\n----\n3\n4\n1\n2", true},
		{"query II nosort\ntwo\n----\n1\n2\n3\n4", false},
		{"query II rowsort\ntwo\n----\n1\n2\n3\n4", true},
		{"query II valuesort\ntwo\n----\n1\n2\n3\n4", true},
		{"query II\ntwo\n----\n3  4\n1 2", true},
		{"query II\ntwo\n----\n3  4", false},
		{"query I\ntwo\n----\n3  4\n1 2", false},
		{"query II rowsort\ntwo\n----\n3 4\n1 2", true},
		{"query II\ntwo", false},
		{"query III\nnine\n----\n9 values hashing to 2a39e2f44ea0233e2bb4b7c1c6b2c2e9", false},
		{"query T\ntext\n----\na@b\n(empty)\nNULL", true},
		{"query R\nreal\n----\n2.500", true},
		{"query I\nreal\n----\n2", true},
		{"query ?\nreal\n----\n2.5", true},
		{"query error\nbroken", true},
		{"query error\ntwo", false},
	} {
		sum, log := runText(t, newFake(), Batch, c.text+"\n")
		if want := (Summary{Passed: 1}); c.ok && sum != want || !c.ok && sum.Failed != 1 {
			t.Errorf("%q: %s, should pass: %v\n%s", c.text, sum, c.ok, log)
		}
	}
}

// TestHash: the hash is md5 of "1\n2\n…9\n", as md5sum prints it.
func TestHash(t *testing.T) {
	const right = "22e400a2ddbb013acf2a5852d6ab69fc"
	sum, log := runText(t, newFake(), Batch, "query III rowsort\nnine\n----\n9 values hashing to "+right+"\n")
	if sum.Passed != 1 {
		t.Fatalf("%s\n%s", sum, log)
	}
}

func TestSkipAndHalt(t *testing.T) {
	sum, _ := runText(t, newFake(), Batch, "skipif postgresql # a comment\nstatement ok\nbroken\n\nonlyif mysql\nstatement ok\nbroken\n\n"+
		"onlyif postgresql\nstatement ok\nCREATE\n\nonlyif mysql\nhalt\n\nhalt\n\nstatement ok\nbroken\n")
	if want := (Summary{Passed: 1, Skipped: 4}); sum != want {
		t.Fatalf("%s, want %s", sum, want)
	}
}

func TestLabels(t *testing.T) {
	sum, log := runText(t, newFake(), Batch, "query II nosort x\ntwo\n----\n3 4\n1 2\n\nquery I nosort x\nreal\n----\n2\n")
	if sum.Failed != 1 || !strings.Contains(log, "label x") {
		t.Fatalf("%s\n%s", sum, log)
	}
}

// TestViewMode: views come before the data, and a view that holds something
// else than the batch answer fails its query.
func TestViewMode(t *testing.T) {
	db := newFake()
	db.answers["SELECT * FROM slt_view_0"] = ints([]int64{1, 2}, []int64{3, 4})
	text := "statement ok\nCREATE TABLE t\n\nstatement ok\nINSERT\n\nquery II rowsort\ntwo\n----\n1 2\n3 4\n"
	if sum, log := runText(t, db, View, text); sum.Passed != 3 {
		t.Fatalf("%s\n%s", sum, log)
	}
	want := []string{"CREATE TABLE t", "CREATE MATERIALIZED VIEW slt_view_0 (c1, c2) AS two", "INSERT", "two", "SELECT * FROM slt_view_0"}
	if strings.Join(db.log, ";") != strings.Join(want, ";") {
		t.Fatalf("ran %q", db.log)
	}
	db.log = nil
	off := "statement ok\nINSERT\n\ncontrol views off\n\nquery II rowsort\ntwo\n----\n1 2\n3 4\n"
	if sum, log := runText(t, db, View, off); sum.Passed != 2 || strings.Join(db.log, ";") != "INSERT;two" {
		t.Fatalf("%s, ran %q\n%s", sum, db.log, log)
	}
	db.answers["SELECT * FROM slt_view_0"] = ints([]int64{1, 2}, []int64{3, 5})
	if sum, _ := runText(t, db, View, text); sum.Failed != 1 {
		t.Fatalf("a wrong view passed: %s", sum)
	}
}

// TestTrackedViews: a view that the file creates is compared after each statement.
func TestTrackedViews(t *testing.T) {
	db := newFake()
	db.answers["SELECT * FROM v"] = ints([]int64{1, 2}, []int64{3, 4})
	text := "statement ok\nCREATE MATERIALIZED VIEW v AS two\n\nstatement ok\nINSERT\n"
	if sum, log := runText(t, db, Batch, text); sum.Passed != 2 {
		t.Fatalf("%s\n%s", sum, log)
	}
	db.answers["SELECT * FROM v"] = ints([]int64{1, 2})
	if sum, _ := runText(t, db, Batch, text); sum.Failed != 2 {
		t.Fatalf("a wrong view passed: %s", sum)
	}
	if sum, _ := runText(t, db, Batch, "control check off\n\n"+text); sum.Passed != 2 {
		t.Fatalf("check off: %s", sum)
	}
}

func TestParseErrors(t *testing.T) {
	for _, text := range []string{"nonsense\n", "statement maybe\nx\n", "statement ok\n\n", "control what\n", "hash-threshold x\n", "include none*\n"} {
		if _, err := Parse("f", text); err == nil || !strings.HasPrefix(err.Error(), "f:1: ") {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestInclude(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"a.slt": "include b*.slt\n\nstatement ok\nlast\n", "b1.slt": "statement ok\none\n", "b2.slt": "statement ok\ntwo\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	recs, err := ParseFile(filepath.Join(dir, "a.slt"))
	if err != nil || len(recs) != 3 || recs[0].SQL != "one" || recs[2].SQL != "last" {
		t.Fatalf("%+v, %v", recs, err)
	}
}
