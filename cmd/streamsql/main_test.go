package main

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"github.com/streamsql/streamsql/sql/sqlerr"
)

func TestParseSize(t *testing.T) {
	for s, want := range map[string]int64{"": 0, "1024": 1024, "2GiB": 2 << 30, "1.5MiB": 3 << 19, "10 KB": 10_000, "-1": -1, "x": -1, "GiB": -1, "1e30GiB": -1} {
		got, err := parseSize(s)
		if want < 0 && err == nil || want >= 0 && (err != nil || got != want) {
			t.Errorf("%q: %d, %v", s, got, err)
		}
	}
}

func TestCommandLine(t *testing.T) {
	for _, c := range []struct {
		args string
		code int
		out  string // in either stream
	}{
		{"", 0, "usage: streamsql COMMAND"},
		{"help", 0, "serve"},
		{"nosuch", 2, `there is no command "nosuch"`},
		{"version", 0, "streamsql "},
		{"serve -h", 0, "checkpoint-interval"},
		{"serve -nosuch", 2, "usage: streamsql serve"},
		{"serve extra", 2, "unexpected argument"},
		{"serve -memory lots", 2, "is not a size"},
		{"serve -data memory -listen 0.0.0.0:0", 1, "--insecure-listen"},
		{"serve -data memory -listen 127.0.0.1:0 -f nosuch.sql", 1, "nosuch.sql"},
		{"submit", 2, "needs -f"},
		{"slt", 2, "needs files"},
		{"slt --mode odd x", 2, "no mode"},
		{"slt nosuch.slt", 1, "nosuch.slt"},
	} {
		var out, errs bytes.Buffer
		code := run(context.Background(), strings.Fields(c.args), &out, &errs)
		if text := out.String() + errs.String(); code != c.code || !strings.Contains(text, c.out) {
			t.Errorf("%q: exit code %d, want %d\n%s", c.args, code, c.code, text)
		}
	}
}

func TestFileErrors(t *testing.T) {
	text := "-- first\nSELECT 1;\n\n  SELECT\n\tnosuch\nFROM t;\n"
	stmts, err := splitFile("f.sql", text)
	if err != nil || len(stmts) != 2 || stmts[0].line != 2 || stmts[1].line != 4 {
		t.Fatalf("%+v, %v", stmts, err)
	}
	pos := strings.Index(stmts[1].text, "nosuch")
	got := fileError("f.sql", text, stmts[1], sqlerr.New("42703", "no column").At(pos).WithHint("look again")).Error()
	if want := "f.sql:5:2: ERROR 42703: no column\n\tnosuch\n\t^\nHINT: look again"; got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	_, err = splitFile("g.sql", "SELECT 1;\nSELEC 2;")
	if err == nil || !strings.HasPrefix(err.Error(), "g.sql:2:1: ERROR 42601: ") {
		t.Errorf("%v", err)
	}
	if n := bytePos("äb", 2); n != 3 {
		t.Errorf("the second character is at byte %d", n)
	}
}
