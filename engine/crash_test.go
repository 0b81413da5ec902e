package engine

import (
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/vfs"
	"github.com/cockroachdb/pebble/vfs/errorfs"
)

// TestCrashAtEveryCall loses every unsynced byte after the nth call of the file
// system, for many n: what was acknowledged before is there once, and the views
// agree with their tables.
func TestCrashAtEveryCall(t *testing.T) {
	tried := 0
	for n := int32(1); ; n += 1 + n/12 {
		if !crashAt(t, n) {
			break
		}
		tried++
		if t.Failed() {
			t.Fatalf("crash after call %d", n)
		}
	}
	if tried < 20 {
		t.Fatalf("%d crashes", tried)
	}
}

// crashAt runs a script that crashes after the nth call; false: it has fewer.
func crashAt(t *testing.T, n int32) bool {
	mem := vfs.NewStrictMem()
	var calls atomic.Int32
	var crashed atomic.Bool
	fs := errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op, _ string) error {
		if op.OpKind() == errorfs.OpKindWrite && calls.Add(1) == n {
			mem.SetIgnoreSyncs(true)
			crashed.Store(true)
		}
		return nil
	}))
	tables, acked := map[string]bool{}, map[string][]int{}
	run := func() error {
		e, err := Open(bg, Options{Dir: "data", FS: fs, CheckpointInterval: time.Millisecond})
		if err != nil {
			return err
		}
		defer func() { _ = e.Close() }()
		s, err := e.NewSession("u", "d", nil)
		if err != nil {
			return err
		}
		for k := range 3 {
			name := fmt.Sprintf("t%d", k)
			for _, sql := range []string{
				"CREATE TABLE " + name + " (a int)",
				fmt.Sprintf("CREATE MATERIALIZED VIEW v%d AS SELECT DISTINCT a FROM %s", k, name),
			} {
				if _, err := s.Exec(bg, sql); err != nil {
					return err
				}
			}
			if !crashed.Load() {
				tables[name] = true
			}
			for i := range 12 {
				if _, err := s.Exec(bg, fmt.Sprintf("INSERT INTO %s VALUES (%d)", name, i)); err != nil {
					return err
				}
				if !crashed.Load() {
					acked[name] = append(acked[name], i)
				}
				if i == 5 {
					if _, err := s.Exec(bg, "CHECKPOINT"); err != nil {
						return err
					}
				}
			}
		}
		return nil
	}
	err := run()
	if !crashed.Load() {
		must(t, err)
		return false
	}
	mem.ResetToSyncedState()
	mem.SetIgnoreSyncs(false)
	e, err := Open(bg, Options{Dir: "data", FS: mem})
	must(t, err)
	defer func() { _ = e.Close() }()
	s := another(t, e)
	for k := range 3 {
		name := fmt.Sprintf("t%d", k)
		got := ask(s, "SELECT a FROM "+name+" ORDER BY a")
		if !tables[name] && got == "ERROR 42P01" {
			continue
		}
		rows := strings.Fields(got)
		if len(slices.Compact(slices.Clone(rows))) != len(rows) {
			t.Errorf("%s: rows twice: %v", name, rows)
		}
		for _, a := range acked[name] {
			if !slices.Contains(rows, fmt.Sprint(a)) {
				t.Errorf("%s: row %d was acknowledged and is lost: %v", name, a, rows)
			}
		}
		if v := ask(s, fmt.Sprintf("SELECT a FROM v%d ORDER BY a", k)); v != got && v != "ERROR 42P01" && v != "ERROR 55000" {
			t.Errorf("%s has %s, its view %s", name, got, v)
		}
	}
	return true
}
