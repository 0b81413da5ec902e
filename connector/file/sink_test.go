package file

import (
	"bytes"
	"fmt"
	"math/rand"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/streamsql/streamsql/connector"
	"github.com/streamsql/streamsql/sql/delta"
	"github.com/streamsql/streamsql/sql/types"
)

var pair = []connector.Column{{Name: "id", Type: types.Of(types.Int8)}, {Name: "s", Type: types.Of(types.Text)}}

func sinkConfig(path string, retracts bool) connector.Config {
	return connector.Config{Name: "out", Columns: pair, Retracts: retracts, Options: map[string]string{"connector": "file", "path": path}}
}

func batch(ids []int64, weights []int64) *delta.Batch {
	b := &delta.Batch{N: len(ids), W: weights, Cols: []*delta.Vec{delta.NewVec(pair[0].Type, 0), delta.NewVec(pair[1].Type, 0)}}
	for _, id := range ids {
		b.Cols[0].AppendInt(id)
		b.Cols[1].AppendBytes(fmt.Appendf(nil, "v%d", id))
	}
	return b
}

func contents(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func mustSink(t *testing.T, cfg connector.Config, state []byte) connector.Sink {
	t.Helper()
	s, err := connector.NewSink(cfg, state)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSinkLines(t *testing.T) {
	for retracts, want := range map[bool]string{
		false: `{"id":2,"s":"v2","__op":"delete"}|{"id":2,"s":"v2","__op":"delete"}|{"id":1,"s":"v1"}|{"id":3,"s":"v3"}|{"id":3,"s":"v3"}|`,
		true: `{"id":2,"s":"v2","__op":"delete"}|{"id":2,"s":"v2","__op":"delete"}|{"id":1,"s":"v1","__op":"insert"}|` +
			`{"id":3,"s":"v3","__op":"insert"}|{"id":3,"s":"v3","__op":"insert"}|`,
	} {
		path := filepath.Join(t.TempDir(), "out.jsonl")
		s := mustSink(t, sinkConfig(path, retracts), nil)
		if err := s.Write(t.Context(), 1, batch([]int64{1, 2, 3, 4}, []int64{1, -2, 2, 0})); err != nil {
			t.Fatal(err)
		}
		if err := s.Release(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
		if got := strings.ReplaceAll(contents(t, path), "\n", "|"); got != want {
			t.Errorf("retracts %v: %s\nwant %s", retracts, got, want)
		}
		s.Close()
	}
}

func TestSinkReleases(t *testing.T) {
	path := filepath.Join(t.TempDir(), "out.jsonl")
	if err := os.WriteFile(path, []byte("before\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	s := mustSink(t, sinkConfig(path, false), nil)
	defer s.Close()
	for e := uint64(1); e <= 3; e++ {
		// An epoch may come in several batches.
		s.Write(t.Context(), e, batch([]int64{int64(e)}, nil))
		s.Write(t.Context(), e, batch([]int64{int64(e) * 10}, nil))
	}
	if got := contents(t, path); got != "before\n" {
		t.Errorf("before a release: %q", got)
	}
	s.Release(t.Context(), 2)
	if got := strings.Count(contents(t, path), "\n"); got != 5 {
		t.Errorf("after the release of two epochs: %d lines", got)
	}
	s.Release(t.Context(), 2)
	s.Release(t.Context(), 5)
	if got := strings.Count(contents(t, path), "\n"); got != 7 {
		t.Errorf("after all: %d lines", got)
	}
	if _, err := connector.NewSink(sinkConfig(path, false), nil); err == nil {
		t.Error("two sinks write to a file")
	}
}

// TestSinkCrashes plays an engine that crashes anywhere: the file has each row of
// the durable epochs once, and loses none that it had.
func TestSinkCrashes(t *testing.T) {
	rnd := rand.New(rand.NewSource(1))
	for round := range 100 {
		path := filepath.Join(t.TempDir(), fmt.Sprint(round))
		cfg := sinkConfig(path, false)
		var state []byte // of the durable checkpoint
		epoch := uint64(0)
		lines := map[uint64]string{}
		released := uint64(0)
		upTo := func(e uint64) string {
			out := ""
			for i := uint64(1); i <= e; i++ {
				out += lines[i]
			}
			return out
		}
		s := mustSink(t, cfg, nil)
		for step := 0; step < 30; step++ {
			live := epoch
			for n := rnd.Intn(4); n > 0; n-- {
				live++
				ids := make([]int64, rnd.Intn(3))
				text := ""
				for i := range ids {
					ids[i] = rnd.Int63n(1000)
					text += fmt.Sprintf(`{"id":%d,"s":"v%d"}`+"\n", ids[i], ids[i])
				}
				lines[live] = text
				if err := s.Write(t.Context(), live, batch(ids, nil)); err != nil {
					t.Fatal(err)
				}
			}
			if rnd.Intn(3) > 0 { // a checkpoint
				epoch, state = live, s.State()
				if rnd.Intn(8) == 0 { // and an epoch that came while it was stored
					epoch = max(released, live-min(live, 1))
				}
			}
			if rnd.Intn(2) == 0 && released < epoch {
				released = epoch
				if err := s.Release(t.Context(), epoch); err != nil {
					t.Fatal(err)
				}
			}
			if got := contents(t, path); got != upTo(released) {
				t.Fatalf("round %d: the file is\n%swant\n%s", round, got, upTo(released))
			}
			if epoch != live || rnd.Intn(3) == 0 {
				// A crash, perhaps in the middle of a release.
				s.Close()
				if f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0); err == nil && state != nil {
					rest := strings.TrimPrefix(upTo(epoch), upTo(released))
					f.WriteString(rest[:rnd.Intn(len(rest)+1)])
					if rnd.Intn(4) == 0 {
						f.WriteString(`{"id":`)
					}
					f.Close()
				}
				s = mustSink(t, cfg, state)
				got := contents(t, path)
				if !strings.HasPrefix(got, upTo(released)) || !strings.HasPrefix(upTo(epoch), got) {
					t.Fatalf("round %d: after a crash the file is\n%snot from\n%sto\n%s", round, got, upTo(released), upTo(epoch))
				}
				if err := s.Release(t.Context(), epoch); err != nil {
					t.Fatal(err)
				}
				released = epoch
				if got := contents(t, path); got != upTo(released) {
					t.Fatalf("round %d: after a restart the file is\n%swant\n%s", round, got, upTo(released))
				}
			}
		}
		s.Close()
	}
}

func TestSinkState(t *testing.T) {
	path := filepath.Join(t.TempDir(), "out")
	s := mustSink(t, sinkConfig(path, false), nil)
	s.Write(t.Context(), 7, batch([]int64{1, 2}, nil))
	state := s.State()
	s.Release(t.Context(), 7)
	late := s.State()
	s.Close()
	for i := range state {
		if _, _, err := decodeState(state[:i]); err == nil && i != 2 {
			t.Errorf("%d bytes of %d are a state", i, len(state))
		}
	}
	if err := os.Truncate(path, 3); err != nil {
		t.Fatal(err)
	}
	if _, err := connector.NewSink(sinkConfig(path, false), late); err == nil || !strings.Contains(err.Error(), "has 3 bytes, but 36 were written") {
		t.Errorf("a file that was cut: %v", err)
	}
	mustSink(t, sinkConfig(path, false), state).Close()
}

func TestSinkErrors(t *testing.T) {
	dir := t.TempDir()
	for _, c := range []struct{ path, format, column, want string }{
		{"", "", "a", "needs the option path"},
		{dir, "", "a", "no regular file"},
		{filepath.Join(dir, "no", "x"), "", "a", "no such file"},
		{filepath.Join(dir, "x"), "csv", "a", "writes 'json' only"},
		{filepath.Join(dir, "x"), "", "__op", "cannot be named"},
	} {
		_, err := connector.NewSink(connector.Config{Columns: []connector.Column{{Name: c.column, Type: types.Of(types.Int8)}},
			Options: map[string]string{"connector": "file", "path": c.path, "format": c.format}}, nil)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q %q: %v", c.path, c.format, err)
		}
	}
}

func TestPrint(t *testing.T) {
	var out bytes.Buffer
	stdout = &out
	defer func() { stdout = os.Stdout }()
	s := mustSink(t, connector.Config{Name: "dbg", Columns: pair, Retracts: true, Options: map[string]string{"connector": "print"}}, nil)
	if err := s.Write(t.Context(), 1, batch([]int64{1, 2}, []int64{1, -1})); err != nil {
		t.Fatal(err)
	}
	if got, want := out.String(), "dbg> - {\"id\":2,\"s\":\"v2\"}\ndbg> + {\"id\":1,\"s\":\"v1\"}\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if err := s.Write(t.Context(), 1, &delta.Batch{}); err == nil {
		t.Error("rows of other columns are taken")
	}
}
