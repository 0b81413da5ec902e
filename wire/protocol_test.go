package wire

import (
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgproto3"
)

func TestStartup(t *testing.T) {
	f, _, addr := serve(t, Config{})
	const greeting = "AuthenticationOk Status:application_name=app Status:client_encoding=UTF8 Status:DateStyle=ISO, MDY " +
		"Status:default_transaction_read_only=off Status:in_hot_standby=off Status:integer_datetimes=on Status:IntervalStyle=postgres " +
		"Status:is_superuser=on Status:server_encoding=UTF8 Status:server_version=15.0 (streamsql) Status:session_authorization=u " +
		"Status:standard_conforming_strings=on Status:TimeZone=UTC BackendKeyData ReadyForQuery:I"
	ssl, gss := "\x00\x00\x00\x08\x04\xd2\x16\x2f", "\x00\x00\x00\x08\x04\xd2\x16\x30"
	const user = "user\x00u\x00"
	app := user + "application_name\x00app\x00"
	for _, c := range []struct{ name, before, version, params, want string }{
		{"plain", "", "\x00\x03\x00\x00", app, greeting},
		{"ssl, then gss", ssl + gss, "\x00\x03\x00\x00", app, greeting},
		{"a minor version", "", "\x00\x03\x00\x02", app + "_pq_.x\x00y\x00", `Negotiate:196608["_pq_.x"] ` + greeting},
		{"an older version", "", "\x00\x02\x00\x00", app, "FATAL:0A000 EOF"},
		{"no user", "", "\x00\x03\x00\x00", "database\x00d\x00", "FATAL:28000 EOF"},
		{"refused by the backend", "", "\x00\x03\x00\x00", app + "database\x00nowhere\x00", "FATAL:3D000 EOF"},
		{"another encoding", "", "\x00\x03\x00\x00", app + "client_encoding\x00LATIN1\x00", "FATAL:22023 EOF"},
		{"replication", "", "\x00\x03\x00\x00", app + "replication\x00database\x00", "FATAL:0A000 EOF"},
		{"half a pair", "", "\x00\x03\x00\x00", app + "x\x00", "FATAL:08P01 EOF"},
		{"options", "", "\x00\x03\x00\x00", app + `options` + "\x00" + `-c a=1 -cb=x\ y --c-d=3 -c application_name=z` + "\x00", greeting},
		{"options take no user", "", "\x00\x03\x00\x00", app + "options\x00-c user=root\x00", "FATAL:42704 EOF"},
	} {
		cl := dial(t, addr)
		packet := c.version + c.params + "\x00"
		cl.raw(c.before)
		for range len(c.before) / 8 {
			var b [1]byte
			if _, err := cl.Read(b[:]); err != nil || b[0] != 'N' {
				t.Fatalf("%s: encryption is answered %q, %v", c.name, b, err)
			}
		}
		cl.raw(string(be.AppendUint32(nil, uint32(len(packet)+4))) + packet)
		if got := cl.until("ReadyForQuery"); got != c.want {
			t.Errorf("%s:\ngot  %s\nwant %s", c.name, got, c.want)
		}
	}
	last := f.infos[len(f.infos)-1]
	if last.Database != "u" || last.Params["a"] != "1" || last.Params["b"] != "x y" || last.Params["c_d"] != "3" || last.Params["user"] != "" {
		t.Errorf("the backend was told %+v", last)
	}
	dial(t, addr).Close() // a health check
	twice, b := dial(t, addr), make([]byte, 1)
	twice.raw(ssl + ssl)
	twice.Read(b)
	if got := twice.until(""); b[0] != 'N' || got != "FATAL:08P01 EOF" {
		t.Errorf("encryption is answered %q, asked for again %s", b, got)
	}
	long := dial(t, addr)
	long.raw("\x00\x00\x27\x15")
	if got := long.until(""); got != "FATAL:08P01 EOF" {
		t.Errorf("a startup packet of 10001 bytes: %s", got)
	}
}

func TestSimpleQuery(t *testing.T) {
	f, _, addr := serve(t, Config{})
	c := connect(t, addr)
	f.took()
	c.query("series 2", "Columns:n/23/0 Row:1 Row:2 Complete:SELECT_2 ReadyForQuery:I")
	c.query("", "EmptyQueryResponse ReadyForQuery:I")
	c.query(" ; -- ping", "EmptyQueryResponse ReadyForQuery:I")
	c.query("numeric", "Columns:x/1700/0 Row:12.50 Complete:SELECT_1 ReadyForQuery:I")
	f.took()

	// The statements of one text are one implicit transaction, ended before the
	// last is reported as done.
	c.query("insert; insert", "Complete:INSERT_0_1 Complete:INSERT_0_1 ReadyForQuery:I")
	if got := f.took(); !strings.HasPrefix(got, "insert insert sync") {
		t.Errorf("the session heard: %s", got)
	}
	c.query("insert; fail; insert", "Complete:INSERT_0_1 ERROR:22012@11 ReadyForQuery:I")
	if got := f.took(); got != "insert fail fail sync" {
		t.Errorf("the session heard: %s", got)
	}
	c.query("badsync", "ERROR:40001 ReadyForQuery:I")
	if got := f.took(); got != "badsync fail sync" {
		t.Errorf("the session heard: %s", got)
	}
	// A syntax error anywhere keeps the first statement from running.
	c.query("insert; \u00fc%%", "ERROR:42601@10 ReadyForQuery:I")
	if got := f.took(); got != "fail sync" {
		t.Errorf("the session heard: %s", got)
	}
	// Positions count characters of the whole text.
	c.query("insert; nöx", "Complete:INSERT_0_1 ERROR:42P01@11 ReadyForQuery:I")
	c.query("insert\xff", "ERROR:22021 ReadyForQuery:I")
	c.query("echo integer", "ERROR:42P02 ReadyForQuery:I")
	c.query("notice", "WARNING:25001@1 Complete:NOTICE ReadyForQuery:I")
	c.query("oddrow", "Columns:/705/0,/705/0 ERROR:XX000 ReadyForQuery:I")

	c.query("echo", "ERROR:XX000 ReadyForQuery:I") // a row, but no columns

	c.query("begin", "Complete:BEGIN ReadyForQuery:T")
	c.query("fail", "ERROR:22012@3 ReadyForQuery:E")
	c.query("insert", "ERROR:25P02 ReadyForQuery:E")
	c.query("rollback", "Complete:ROLLBACK ReadyForQuery:I")

	c.query("set Europe/Rome", "Complete:SET Status:TimeZone=Europe/Rome ReadyForQuery:I")
	c.query("set Europe/Rome", "Complete:SET ReadyForQuery:I")
}

func TestCopyAndFunctionCall(t *testing.T) {
	_, _, addr := serve(t, Config{})
	c := connect(t, addr)
	for _, sql := range []string{"COPY t FROM stdin", " /* a /* b */ c */ -- d\n copy(select 1) to stdout", "insert; copy t to stdout"} {
		c.send(&pgproto3.Query{String: sql})
		c.expect("ERROR:0A000 ReadyForQuery:I")
	}
	c.query("copycat", "ERROR:42P01@7 ReadyForQuery:I")
	// Data that a client sent on before it saw the error is passed over.
	c.send(&pgproto3.CopyData{Data: []byte("1\n")}, &pgproto3.CopyDone{}, &pgproto3.CopyFail{Message: "x"})
	c.query("series 1", "Columns:n/23/0 Row:1 Complete:SELECT_1 ReadyForQuery:I")
	c.raw("F\x00\x00\x00\x06\x00\x01")
	c.expect("ERROR:0A000 ReadyForQuery:I")
}

func TestMalformed(t *testing.T) {
	_, s, addr := serve(t, Config{MaxMessage: 1 << 10})
	s.onPanic = func(p any) { t.Errorf("panic: %v", p) }
	for name, b := range map[string]string{
		"an unknown type":               "?\x00\x00\x00\x04",
		"a length below 4":              "Q\x00\x00\x00\x03",
		"a length above the limit":      "Q\x00\x00\x04\x05",
		"a negative length":             "Q\xff\xff\xff\xff",
		"a query without its end":       "Q\x00\x00\x00\x05x",
		"a query of nothing":            "Q\x00\x00\x00\x04",
		"a parameter of length -2":      "B\x00\x00\x00\x10\x00\x00\x00\x00\x00\x01\xff\xff\xff\xfe\x00\x00",
		"a parameter beyond the end":    "B\x00\x00\x00\x10\x00\x00\x00\x00\x00\x01\x00\x00\x00\x03\x00\x00",
		"describe of an unknown object": "D\x00\x00\x00\x06X\x00",
		"a sync with a body":            "S\x00\x00\x00\x05\x00",
	} {
		c := connect(t, addr)
		c.raw(b)
		if got := c.until(""); got != "FATAL:08P01 EOF" {
			t.Errorf("%s: %s", name, got)
		}
	}
	c := connect(t, addr)
	c.query("insert "+strings.Repeat(" ", 1012), "Complete:INSERT_0_1 ReadyForQuery:I") // of 1024 bytes
}
