package file

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/streamsql/streamsql/connector"
	"github.com/streamsql/streamsql/sql/types"
)

// withOffset are the columns of the tests: id, s and the record's offset.
var withOffset = append(pair[:2:2], connector.Column{Name: "at", Type: types.Of(types.Int8), Meta: "offset"})

func mustSource(t testing.TB, path string, options ...string) connector.Source {
	t.Helper()
	cfg := connector.Config{Name: "in", Columns: withOffset, Options: map[string]string{"connector": "file", "path": path}}
	for i := 0; i < len(options); i += 2 {
		cfg.Options[options[i]] = options[i+1]
	}
	s, err := connector.NewSource(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func fileOf(t testing.TB, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "in")
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func mustOpen(t testing.TB, s connector.Source, from, until connector.Positions) connector.Reader {
	t.Helper()
	r, err := s.Open(t.Context(), from, until)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

// show writes a fetch: rows as id:s@offset, dead letters as !reason@offset.
func show(f connector.Fetch) string {
	var out []string
	if b := f.Batch; b != nil {
		for i := range b.N {
			cell := func(k int) string {
				if v := b.Cols[k]; !v.Null(i) {
					return string(types.FormatText(nil, v.T, v.Datum(i)))
				}
				return "NULL"
			}
			out = append(out, fmt.Sprintf("%s:%s@%s", cell(0), cell(1), cell(2)))
		}
	}
	for _, d := range f.Dead {
		out = append(out, fmt.Sprintf("!%s@%d", d.Reason, d.Offset))
	}
	return strings.Join(out, " ")
}

// all reads to the end.
func all(t testing.TB, r connector.Reader, maxRows int) (string, int64) {
	t.Helper()
	var out []string
	next := int64(0)
	for {
		fs, err := r.Fetch(t.Context(), maxRows)
		if err == io.EOF {
			return strings.Join(out, " "), next
		}
		if err != nil {
			t.Fatal(err)
		}
		if fs[0].Next <= next {
			t.Fatalf("from %d to %d", next, fs[0].Next)
		}
		next = fs[0].Next
		if s := show(fs[0]); s != "" {
			out = append(out, s)
		}
	}
}

func TestBounded(t *testing.T) {
	for _, c := range []struct {
		text string
		opts []string
		want string
	}{
		{"", nil, ""},
		{"\n\r\n", nil, ""},
		{`{"id":1,"s":"a"}` + "\n\n" + `{"id":2}` + "\r\n" + `{"s":"c"}`, nil, "1:a@0 2:NULL@18 NULL:c@28"},
		{`{"id":1}` + "\n" + `{"id":` + "\n" + `{"id":2}` + "\n", nil, "1:NULL@0 2:NULL@16 !field \"id\": invalid JSON at byte 6: it ends where a value belongs@9"},
		{`{"id":"x"}` + "\n", nil, `!field "id": invalid input syntax for type bigint: "x"@0`},
		{`{"id":1,"z":1}` + "\n", []string{"unknown.field", "error"}, `!there is no column for the field "z"@0`},
		{`{"id":1}` + "\n", []string{"missing.field", "error"}, `!field "s" is missing@0`},
		{"1,a\r\n2,\n3,\"\"\n\n4,\"x,\"\"y\"\"\nz\"\n5,e", []string{"format", "csv"}, "1:a@0 2:NULL@5 3:@8 4:x,\"y\"\nz@14 5:e@28"},
		{"1\n1,2,3\nx,y\n1,a\"b\n1,\"a\"b\n7,g\n", []string{"format", "CSV"}, "7:g@25 " +
			`!the record has 1 fields, not 2@0 !the record has 3 fields, not 2@2 !field "id": invalid input syntax for type bigint: "x"@8 ` +
			`!field 2: a quote inside a field without quotes around it@12 !field 2: text after the closing quote@18`},
		{"1,\"open\n2,b\n3,c\n", []string{"format", "csv"}, "2:b@8 3:c@12 !a quote does not end@0"},
		{"s;x;ID\na;1;2\n\"ID\";;3\nb;2\n", []string{"format", "csv", "header", "true", "delimiter", ";"}, "2:a@7 3:ID@13 !the record has 2 fields, not 3@21"},
		{"id,s", []string{"format", "csv", "header", "true"}, ""},
		{"s\nonly\n", []string{"format", "csv", "header", "true"}, "NULL:only@2"},
		{"1\tx\n", []string{"format", "csv", "delimiter", `\t`}, "1:x@0"},
		{"1,\xff\n", []string{"format", "csv"}, `!field "s": invalid byte sequence for encoding "UTF8"@0`},
	} {
		s := mustSource(t, fileOf(t, c.text), append(c.opts, "bounded", "true")...)
		got, next := all(t, mustOpen(t, s, nil, nil), 4096)
		if got != c.want {
			t.Errorf("%q: %s\nwant %s", c.text, got, c.want)
		}
		end, err := s.End(t.Context())
		if err != nil || end[0] != next {
			t.Errorf("%q ends at %d, not %v (%v)", c.text, next, end, err)
		}
		// Any fetch size, and from any record on, gives the same.
		if one, _ := all(t, mustOpen(t, s, nil, end), 1); len(strings.Fields(one)) != len(strings.Fields(c.want)) {
			t.Errorf("%q one by one: %s\nwant %s", c.text, one, c.want)
		}
	}
}

func TestResume(t *testing.T) {
	var text strings.Builder
	for i := range 3000 {
		fmt.Fprintf(&text, `{"id":%d,"s":"%s"}`+"\n", i, strings.Repeat("x", i%300))
	}
	s := mustSource(t, fileOf(t, text.String()), "bounded", "true")
	want, end := all(t, mustOpen(t, s, nil, nil), 4096)
	if end != int64(text.Len()) || strings.Count(want, ":") != 3000 {
		t.Fatalf("%d rows to %d of %d", strings.Count(want, ":"), end, text.Len())
	}
	var got []string
	at := int64(0)
	for at < end { // each fetch by a reader of its own
		fs, err := mustOpen(t, s, connector.Positions{0: at}, nil).Fetch(t.Context(), 700)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, show(fs[0]))
		at = fs[0].Next
	}
	if strings.Join(got, " ") != want {
		t.Error("reading in parts gives other rows")
	}
	cut := int64(strings.Index(text.String(), `{"id":1234,`))
	a, _ := all(t, mustOpen(t, s, nil, connector.Positions{0: cut}), 4096)
	b, _ := all(t, mustOpen(t, s, connector.Positions{0: cut}, connector.Positions{0: end}), 4096)
	if a+" "+b != want || !strings.HasPrefix(b, "1234:") {
		t.Error("until is not where the read ends")
	}
}

func TestLongLines(t *testing.T) {
	long := `{"s":"` + strings.Repeat("x", maxRecord) + `"}`
	for _, tail := range []string{"\n" + `{"id":2}` + "\n", ""} {
		s := mustSource(t, fileOf(t, `{"id":1}`+"\n"+long+tail), "bounded", "true")
		want := "1:NULL@0"
		if tail != "" {
			want += fmt.Sprintf(" 2:NULL@%d", 9+len(long)+1)
		}
		got, _ := all(t, mustOpen(t, s, nil, nil), 4096)
		if got = strings.Replace(got, " !the record is longer than 4 MB@9", "", 1); got != want {
			t.Errorf("%.200s, want %s", got, want)
		}
	}
}

func TestFollows(t *testing.T) {
	path := filepath.Join(t.TempDir(), "later")
	s := mustSource(t, path)
	r := mustOpen(t, s, nil, nil)
	fetch := func(want string, end int64) {
		t.Helper()
		fs, err := r.Fetch(t.Context(), 100)
		if err != nil {
			t.Fatal(err)
		}
		if got := show(fs[0]); got != want || fs[0].Next != end || !fs[0].AtEnd {
			t.Fatalf("%s to %d (%v), want %s to %d", got, fs[0].Next, fs[0].AtEnd, want, end)
		}
	}
	write := func(text string) {
		f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
		if err != nil {
			t.Fatal(err)
		}
		f.WriteString(text)
		f.Close()
	}
	waits := func() {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 3*poll)
		defer cancel()
		if fs, err := r.Fetch(ctx, 100); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("%v %v", fs, err)
		}
	}
	waits()
	if err := r.Trouble(); err == nil || !strings.Contains(err.Error(), "no such file") {
		t.Errorf("trouble: %v", err)
	}
	write(`{"id":1}` + "\n" + `{"id"`)
	fetch("1:NULL@0", 9)
	if err := r.Trouble(); err != nil {
		t.Errorf("trouble: %v", err)
	}
	waits()
	if end, err := s.End(t.Context()); err != nil || end[0] != 9 {
		t.Errorf("end: %v %v", end, err)
	}
	go func() { time.Sleep(2 * poll); write(`:2}` + "\n") }()
	fetch("2:NULL@9", 18)
	if got, _ := all(t, mustOpen(t, s, nil, connector.Positions{0: 18}), 10); got != "1:NULL@0 2:NULL@9" {
		t.Errorf("until: %s", got)
	}
	// A new file of the same name goes on where the old one was read to.
	old := fileOf(t, `{"id":1}`+"\n"+`{"id":2}`+"\n"+`{"id":3}`+"\n")
	if err := os.Rename(old, path); err != nil {
		t.Fatal(err)
	}
	fetch("3:NULL@18", 27)
	if err := os.Truncate(path, 5); err != nil {
		t.Fatal(err)
	}
	waits()
	if err := r.Trouble(); err == nil || !strings.Contains(err.Error(), "has 5 bytes but was read up to 27") {
		t.Errorf("trouble: %v", err)
	}
}

func TestHeaderComesLater(t *testing.T) {
	path := fileOf(t, "i")
	r := mustOpen(t, mustSource(t, path, "format", "csv", "header", "true"), nil, nil)
	go func() {
		time.Sleep(2 * poll)
		os.WriteFile(path, []byte("id,s\n1,a\n"), 0o644)
	}()
	fs, err := r.Fetch(t.Context(), 10)
	if err != nil || show(fs[0]) != "1:a@5" {
		t.Errorf("%v %v", fs, err)
	}
}

func TestSourceErrors(t *testing.T) {
	path := fileOf(t, "id,t\n1,2\n")
	for _, c := range []struct {
		opts map[string]string
		want string
	}{
		{map[string]string{}, "needs the option path"},
		{map[string]string{"path": path, "format": "xml"}, `"xml" is neither`},
		{map[string]string{"path": path, "bounded": "yes"}, `option bounded: "yes"`},
		{map[string]string{"path": path, "format": "csv", "delimiter": "ab"}, `option delimiter`},
		{map[string]string{"path": path + "x", "bounded": "true"}, `no such file`},
		{map[string]string{"path": filepath.Dir(path)}, `no regular file`},
	} {
		if _, err := NewSource(connector.Config{Columns: pair, Options: c.opts}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: %v", c.opts, err)
		}
	}
	for opt, want := range map[string]string{"missing.field": `has no field "s"`, "unknown.field": `no column for the field "t"`} {
		r := mustOpen(t, mustSource(t, path, "format", "csv", "header", "true", opt, "error"), nil, nil)
		if _, err := r.Fetch(t.Context(), 1); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", opt, err)
		}
	}
}

func benchmarkFile(b *testing.B, line, format string) {
	text := strings.Repeat(line, 200_000)
	s := mustSource(b, fileOf(b, text), "bounded", "true", "format", format)
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		r := mustOpen(b, s, nil, nil)
		rows := 0
		for {
			fs, err := r.Fetch(b.Context(), 4096)
			if err == io.EOF {
				break
			}
			if err != nil {
				b.Fatal(err)
			}
			rows += fs[0].Batch.N
		}
		if rows != 200_000 {
			b.Fatal(rows)
		}
	}
}

func BenchmarkJSON(b *testing.B) {
	benchmarkFile(b, `{"id":123456,"s":"some text of a usual length","other":[1,2,3]}`+"\n", "json")
}

func BenchmarkCSV(b *testing.B) { benchmarkFile(b, "123456,some text of a usual length\n", "csv") }
