package engine

import (
	"fmt"
	"math/rand"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/vfs"
	"github.com/cockroachdb/pebble/vfs/errorfs"

	"github.com/streamsql/streamsql/sql/sqlerr"
)

// callFS calls after behind each call that changes the file system.
type callFS struct {
	vfs.FS
	after func()
}

type callFile struct {
	vfs.File
	fs *callFS
}

func (f *callFS) file(file vfs.File, err error) (vfs.File, error) {
	f.after()
	if err != nil {
		return nil, err
	}
	return callFile{file, f}, nil
}

func (f *callFS) Create(n string) (vfs.File, error)  { return f.file(f.FS.Create(n)) }
func (f *callFS) OpenDir(n string) (vfs.File, error) { return f.file(f.FS.OpenDir(n)) }
func (f *callFS) ReuseForWrite(a, b string) (vfs.File, error) {
	return f.file(f.FS.ReuseForWrite(a, b))
}
func (f *callFS) Rename(a, b string) error { defer f.after(); return f.FS.Rename(a, b) }
func (f *callFS) Link(a, b string) error   { defer f.after(); return f.FS.Link(a, b) }
func (f *callFS) Remove(n string) error    { defer f.after(); return f.FS.Remove(n) }
func (f *callFS) MkdirAll(n string, p os.FileMode) error {
	defer f.after()
	return f.FS.MkdirAll(n, p)
}
func (f callFile) Write(b []byte) (int, error) { defer f.fs.after(); return f.File.Write(b) }
func (f callFile) Sync() error                 { defer f.fs.after(); return f.File.Sync() }
func (f callFile) SyncData() error             { defer f.fs.after(); return f.File.SyncData() }

// crashViews are views by name, with their queries.
var crashViews = [][2]string{
	{"per_group", "SELECT g, count(*) AS n, sum(v) AS s, min(v) AS lo, max(v) AS hi FROM items GROUP BY g"},
	{"named", "SELECT i.id, i.v, n.name FROM items i LEFT JOIN names n ON n.g = i.g"},
	{"values_seen", "SELECT DISTINCT v FROM items"},
	{"best", "SELECT id, g, v FROM (SELECT id, g, v, row_number() OVER (PARTITION BY g ORDER BY v DESC, id) AS r FROM items) x WHERE r <= 2"},
	{"by_name", "SELECT name, count(*) AS n FROM named GROUP BY name"},
}

// crashModel is the content of the tables, as text: column by column.
type crashModel struct {
	items map[int][2]int
	names map[int]string
	ddl   int // statements of DDL done
}

func (m *crashModel) clone() *crashModel {
	c := &crashModel{map[int][2]int{}, map[int]string{}, m.ddl}
	for k, v := range m.items {
		c.items[k] = v
	}
	for k, v := range m.names {
		c.names[k] = v
	}
	return c
}

func (m *crashModel) tables() (items, names string) {
	var a, b []string
	for id, x := range m.items {
		a = append(a, fmt.Sprintf("%d|%d|%d", id, x[0], x[1]))
	}
	for g, n := range m.names {
		b = append(b, fmt.Sprintf("%d|%s", g, n))
	}
	slices.Sort(a)
	slices.Sort(b)
	return strings.Join(a, "\n"), strings.Join(b, "\n")
}

// crashStep is a statement and what it does to the model.
type crashStep struct {
	sql string
	do  func(m *crashModel)
}

// crashScript makes the tables and the views, and changes the rows.
func crashScript(seed int64) (steps []crashStep) {
	rng := rand.New(rand.NewSource(seed))
	add := func(sql string, do func(m *crashModel)) { steps = append(steps, crashStep{sql, do}) }
	ddl := func(sql string) { add(sql, func(m *crashModel) { m.ddl++ }) }
	checkpoint := func() { add("CHECKPOINT", func(*crashModel) {}) }
	ddl("CREATE TABLE items (id int PRIMARY KEY, g int NOT NULL, v int NOT NULL)")
	ddl("CREATE TABLE names (g int PRIMARY KEY, name text)")
	views := crashViews
	id := 0
	for round := range 24 {
		switch r := rng.Intn(6); {
		case round < 3 || r < 2:
			var rows []string
			in := map[int][2]int{}
			for range 1 + rng.Intn(4) {
				id++
				in[id] = [2]int{rng.Intn(4), rng.Intn(6)}
				rows = append(rows, fmt.Sprintf("(%d, %d, %d)", id, in[id][0], in[id][1]))
			}
			add("INSERT INTO items VALUES "+strings.Join(rows, ", "), func(m *crashModel) {
				for k, x := range in {
					m.items[k] = x
				}
			})
		case r == 2:
			g, v := rng.Intn(4), rng.Intn(3)
			add(fmt.Sprintf("UPDATE items SET v = v + %d WHERE g = %d", v, g), func(m *crashModel) {
				for k, x := range m.items {
					if x[0] == g {
						m.items[k] = [2]int{g, x[1] + v}
					}
				}
			})
		case r == 3:
			k := rng.Intn(5)
			add(fmt.Sprintf("DELETE FROM items WHERE id %% 5 = %d", k), func(m *crashModel) {
				for id := range m.items {
					if id%5 == k {
						delete(m.items, id)
					}
				}
			})
		default:
			g, name := rng.Intn(4), fmt.Sprintf("name %d", rng.Intn(3))
			add(fmt.Sprintf("DELETE FROM names WHERE g = %d", g), func(m *crashModel) { delete(m.names, g) })
			add(fmt.Sprintf("INSERT INTO names VALUES (%d, '%s')", g, name), func(m *crashModel) { m.names[g] = name })
		}
		if round%3 == 1 && len(views) > 0 {
			ddl("CREATE MATERIALIZED VIEW " + views[0][0] + " AS " + views[0][1])
			views = views[1:]
		}
		if round%5 == 4 {
			checkpoint()
		}
	}
	return steps
}

func sorted(text string) string {
	lines := strings.Split(text, "\n")
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// checkCrash compares the tables with one of the models, and each view that this one
// has with its batch answer.
func checkCrash(t *testing.T, s *Session, models ...*crashModel) {
	t.Helper()
	var items, names string
	for _, m := range models {
		if m.ddl > 0 {
			items = sorted(ask(s, "SELECT id, g, v FROM items"))
		}
		if m.ddl > 1 {
			names = sorted(ask(s, "SELECT g, name FROM names"))
		}
		if a, b := m.tables(); a != items || b != names {
			continue
		}
		views := max(0, m.ddl-2)
		if last := models[len(models)-1]; last.ddl > m.ddl {
			views = max(0, last.ddl-2) // it may be there or not
		}
		for i, v := range crashViews[:views] {
			got := sorted(ask(s, "SELECT * FROM "+v[0]))
			if got == "ERROR 42P01" && i >= m.ddl-2 {
				continue
			}
			if want := sorted(ask(s, v[1])); got != want {
				t.Errorf("view %s:\n%s\nwant\n%s", v[0], got, want)
			}
		}
		return
	}
	a, b := models[0].tables()
	t.Errorf("the tables hold\n%s\n%s\nwhat was acknowledged is\n%s\n%s", items, names, a, b)
}

// TestCrashViewsAtEachCall loses every unsynced byte after a call of the engine
// that reaches the file system, for every few of them, and recovers: every
// acknowledged statement is there once, and views equal their batch answers.
func TestCrashViewsAtEachCall(t *testing.T) {
	stride := int64(1)
	if testing.Short() {
		stride = 40
	}
	for n := int64(1); ; n += stride {
		mem := vfs.NewStrictMem()
		var calls atomic.Int64
		fs := &callFS{FS: mem, after: func() {
			if calls.Add(1) == n {
				mem.SetIgnoreSyncs(true)
			}
		}}
		opts := Options{Dir: "data", FS: fs, Workers: 1 + int(n%2), CheckpointInterval: time.Hour, StatementMemory: 64 << 20}
		if n%3 == 0 { // everything clean is evicted
			opts.MemoryLimit = 8 << 10
		}
		e, err := Open(bg, opts)
		must(t, err)
		s, err := e.NewSession("u", "d", nil)
		must(t, err)
		acked := &crashModel{items: map[int][2]int{}, names: map[int]string{}}
		next := acked
		steps := crashScript(n)
		crashed := false
		for _, st := range steps {
			m := acked.clone()
			st.do(m)
			if got := ask(s, st.sql); strings.HasPrefix(got, "ERROR") {
				t.Fatalf("%s: %s", st.sql, got)
			}
			if crashed = calls.Load() >= n; crashed {
				next = m // it may be there or not
				break
			}
			acked, next = m, m
		}
		s.Close()
		must(t, e.Close())
		crashed = crashed || calls.Load() >= n
		mem.ResetToSyncedState()
		mem.SetIgnoreSyncs(false)
		if !t.Run(fmt.Sprint(n), func(t *testing.T) {
			opts.FS = mem
			opts.Workers = 1 + int(n/2%2)
			e, err := Open(bg, opts)
			must(t, err)
			s, err := e.NewSession("u", "d", nil)
			must(t, err)
			checkCrash(t, s, acked, next)
			// It works on, through one more checkpoint and restart.
			var after *crashModel
			if acked.ddl > 0 {
				after = acked.clone()
				if got := ask(s, "INSERT INTO items VALUES (1000, 1, 1)"); got != "INSERT 0 1" {
					t.Fatal(got)
				}
				after.items[1000] = [2]int{1, 1}
				other := next.clone()
				other.items[1000] = [2]int{1, 1}
				if got := ask(s, "CHECKPOINT"); got != "CHECKPOINT" {
					t.Fatal(got)
				}
				s.Close()
				must(t, e.Close())
				e, err = Open(bg, opts)
				must(t, err)
				s, err = e.NewSession("u", "d", nil)
				must(t, err)
				checkCrash(t, s, after, other)
			}
			s.Close()
			must(t, e.Close())
		}) {
			return
		}
		if !crashed {
			if n < 200 {
				t.Fatalf("only %d calls reached the file system", calls.Load())
			}
			t.Logf("%d calls", calls.Load())
			return
		}
	}
}

// TestFaultViewsAtEachCall lets a call fail, or all from then on: the statement
// that meets it says so or goes on, nothing hangs, and what was acknowledged is
// there after a restart.
func TestFaultViewsAtEachCall(t *testing.T) {
	for _, c := range []struct {
		err    error
		stays  bool
		stride int64
	}{{syscall.ENOSPC, true, 2}, {syscall.EIO, false, 1}, {syscall.EIO, true, 3}} {
		if testing.Short() {
			c.stride *= 20
		}
		failed := 0
		for n := int64(1); ; n += c.stride {
			mem := vfs.NewMem()
			var calls atomic.Int64
			fs := errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op, path string) error {
				if op.OpKind() != errorfs.OpKindWrite {
					return nil
				}
				if k := calls.Add(1); k == n || c.stays && k > n {
					return &os.PathError{Op: "write", Path: path, Err: c.err}
				}
				return nil
			}))
			acked := &crashModel{items: map[int][2]int{}, names: map[int]string{}}
			next := acked
			done := make(chan string, 1)
			go func() {
				e, err := Open(bg, Options{Dir: "data", FS: fs, CheckpointInterval: time.Hour})
				if err != nil {
					done <- "ERROR " + sqlerr.From(err).Code
					return
				}
				s, err := e.NewSession("u", "d", nil)
				if err != nil {
					done <- err.Error()
					return
				}
				for _, st := range crashScript(n) {
					m := acked.clone()
					st.do(m)
					next = m
					if got := ask(s, st.sql); strings.HasPrefix(got, "ERROR") {
						s.Close()
						_ = e.Close()
						done <- got
						return
					}
					acked = m
				}
				s.Close()
				_ = e.Close()
				done <- ""
			}()
			select {
			case got := <-done:
				switch got {
				case "":
				case "ERROR 53100", "ERROR 58030":
					failed++
				default:
					t.Fatalf("%v at call %d: %s", c.err, n, got)
				}
			case <-time.After(30 * time.Second):
				t.Fatalf("%v at call %d: it hangs", c.err, n)
			}
			if !t.Run(fmt.Sprintf("%v %v %d", c.err, c.stays, n), func(t *testing.T) {
				// The files as another process finds them: a lost store keeps its locks.
				again := vfs.NewMem()
				if _, err := mem.Stat("data"); err == nil {
					_, err := vfs.Clone(mem, again, "data", "data", vfs.CloneSkip(func(n string) bool { return strings.HasSuffix(n, "LOCK") }))
					must(t, err)
				}
				e, err := Open(bg, Options{Dir: "data", FS: again})
				must(t, err)
				s, err := e.NewSession("u", "d", nil)
				must(t, err)
				checkCrash(t, s, acked, next)
				s.Close()
				must(t, e.Close())
			}) {
				return
			}
			if calls.Load() < n {
				if failed < 5 && !testing.Short() {
					t.Fatalf("%v: only %d calls made it fail", c.err, failed)
				}
				break
			}
		}
	}
}
