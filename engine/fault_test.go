package engine

import (
	"fmt"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/vfs"
	"github.com/cockroachdb/pebble/vfs/errorfs"
	"github.com/streamsql/streamsql/state"
)

// TestDiskFull: what was acknowledged before stays, what fails is not there, reads
// go on, and the process does too.
func TestDiskFull(t *testing.T) {
	mem := vfs.NewStrictMem()
	for round := range 4 {
		// A lost store keeps its locks until the process ends: what the disk holds
		// moves on to another.
		next := vfs.NewStrictMem()
		if round > 0 {
			if _, err := vfs.Clone(mem, next, "data", "data", vfs.CloneSync); err != nil {
				t.Fatal(err)
			}
			root, err := next.OpenDir("")
			must(t, err)
			must(t, root.Sync())
		}
		mem = next
		var full atomic.Bool
		fs := errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op, _ string) error {
			if full.Load() && op.OpKind() == errorfs.OpKindWrite {
				return syscall.ENOSPC
			}
			return nil
		}))
		e, err := Open(bg, Options{Dir: "data", FS: fs, CheckpointInterval: 3 * time.Millisecond})
		must(t, err)
		s, err := e.NewSession("u", "d", nil)
		must(t, err)
		if round == 0 {
			script(t, s, "CREATE TABLE t (a int)", "CREATE TABLE", "CREATE MATERIALIZED VIEW v AS SELECT DISTINCT a FROM t", "CREATE MATERIALIZED VIEW")
		}
		acked := strings.Count(ask(s, "SELECT a FROM t")+"\n", "\n")
		if round == 0 {
			acked = 0
		}
		if acked != round*20 {
			t.Fatalf("round %d: %d rows", round, acked)
		}
		for i := range 20 {
			script(t, s, fmt.Sprintf("INSERT INTO t VALUES (%d)", round*20+i), "INSERT 0 1")
		}
		full.Store(true)
		code := ""
		for i := range 20 {
			if got := ask(s, fmt.Sprintf("INSERT INTO t VALUES (%d)", 1000+i)); strings.HasPrefix(got, "ERROR") {
				code = got
				break
			}
			t.Fatal("a write was acknowledged by a full disk")
		}
		if code != "ERROR 53100" && code != "ERROR 58030" {
			t.Errorf("%s", code)
		}
		select {
		case <-e.Lost():
		case <-time.After(5 * time.Second):
			t.Fatal("not lost")
		}
		script(t, s, "SELECT a FROM v WHERE a < 2 ORDER BY 1", "0\n1",
			"CREATE TABLE u (a int)", code, "INSERT INTO t VALUES (5)", code, "CHECKPOINT", code)
		mem.SetIgnoreSyncs(true)
		_ = e.Close()
		mem.ResetToSyncedState()
		mem.SetIgnoreSyncs(false)
	}
}

// TestMemoryLimit: a state larger than the limit goes to disk and answers right.
func TestMemoryLimit(t *testing.T) {
	fs := vfs.NewMem()
	const limit = 2 << 20
	e, err := Open(bg, Options{Dir: "data", FS: fs, MemoryLimit: limit, StatementMemory: 64 << 20, CheckpointInterval: 20 * time.Millisecond})
	must(t, err)
	tab := e.testTable(t, "t", 0)
	v := e.testView(t, "v", tab.ID)
	most := int64(0)
	const n = 60000
	for at := 0; at < n; at += 500 {
		var rows [][2]int64
		for i := range 500 {
			rows = append(rows, [2]int64{int64((at+i)*7919%n) + 1, int64(at + i)})
		}
		must(t, e.testInsert(tab.ID, rows...))
		must(t, e.do(bg, func() { most = max(most, e.used) }))
	}
	if most < limit/2 {
		t.Fatalf("only %d bytes were used: nothing is tested", most)
	}
	must(t, e.checkpointNow(bg))
	time.Sleep(100 * time.Millisecond)
	must(t, e.do(bg, func() { e.tick = true }))
	for range 100 {
		must(t, e.do(bg, func() { most = e.used }))
		if most <= limit {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if most > limit {
		t.Errorf("%d bytes in memory, the limit is %d", most, limit)
	}
	count := func(e *Engine) {
		t.Helper()
		if got := strings.Count(e.testRows(t, v.ID, 1), "("); got != n {
			t.Errorf("%d rows, not %d", got, n)
		}
	}
	count(e)
	err = e.testInsert(tab.ID, [2]int64{77, 1})
	if err == nil || !strings.Contains(err.Error(), "duplicate key") {
		t.Error(err)
	}
	must(t, e.Close())
	e = open(t, Options{Dir: "data", FS: fs, MemoryLimit: limit, StatementMemory: 64 << 20})
	count(e)
	s := another(t, e)
	script(t, s, "DELETE FROM t WHERE a > 10", fmt.Sprintf("DELETE %d", n-10), "SELECT * FROM v ORDER BY a", "1\n2\n3\n4\n5\n6\n7\n8\n9\n10")
}

// TestMemoryLimitInMemory: without a data directory the job that grew ends.
func TestMemoryLimitInMemory(t *testing.T) {
	e := open(t, Options{MemoryLimit: 4 << 20, StatementMemory: 64 << 20})
	tab := e.testTable(t, "t")
	v := e.testView(t, "v", tab.ID)
	s := another(t, e)
	for at := 0; at < 200; at++ {
		var rows [][2]int64
		for i := range 500 {
			rows = append(rows, [2]int64{int64(at*500 + i), 0})
		}
		must(t, e.testInsert(tab.ID, rows...))
		must(t, e.do(bg, func() {}))
		infos, err := e.jobs(bg)
		must(t, err)
		if infos[0].State == Failed {
			if infos[0].ErrorCode != "53200" {
				t.Error(infos[0])
			}
			script(t, s, "SELECT a FROM v WHERE a < 2 ORDER BY 1", "0\n1")
			_ = v
			return
		}
	}
	t.Fatal("the limit was not held")
}

// TestExplodingJoin: without a data directory a step that would not fit ends its
// job alone, soon; with one it goes on in smaller pieces.
func TestExplodingJoin(t *testing.T) {
	if testing.Short() {
		t.Skip("fills the memory for seconds")
	}
	const limit = 16 << 20
	create := "CREATE MATERIALIZED VIEW v AS SELECT x.a, y.a AS b FROM t x, t y"
	s := session(t, Options{MemoryLimit: limit, StatementMemory: 64 << 20})
	script(t, s, "CREATE TABLE t (a int)", "CREATE TABLE",
		"INSERT INTO t SELECT * FROM generate_series(1, 5000)", "INSERT 0 5000")
	start := time.Now()
	fails(t, s, create, "53200", "out of memory")
	if d := time.Since(start); d > 10*time.Second {
		t.Errorf("it took %s", d)
	}
	script(t, s, "SELECT count(*) FROM streamsql.jobs", "0", "SELECT count(*) FROM t", "5000")

	s = session(t, Options{MemoryLimit: limit, StatementMemory: 64 << 20, Dir: "data", FS: vfs.NewMem()})
	script(t, s, "CREATE TABLE t (a int)", "CREATE TABLE",
		"INSERT INTO t SELECT * FROM generate_series(1, 1500)", "INSERT 0 1500")
	most := watchMemory(t, s.eng)
	script(t, s, create, "CREATE MATERIALIZED VIEW")
	must(t, s.eng.checkpointNow(bg))
	for range 100 { // a reader would hold what is to be evicted
		var used int64
		must(t, s.eng.do(bg, func() { used, s.eng.grown = s.eng.used, 1<<15 }))
		if used <= limit {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	script(t, s, "SELECT count(*), sum(a), sum(b) FROM v", "2250000|1688625000|1688625000")
	// Beside the limit there is what a step may always take.
	if got := most(); got < limit/2 || got > limit+leastBudget {
		t.Errorf("%d MiB of state at most", got>>20)
	}
}

// watchMemory looks at the state's memory, again and again, until the function that
// it returns is called, which tells the most.
func watchMemory(t *testing.T, e *Engine) func() int64 {
	done, out := make(chan bool), make(chan int64)
	go func() {
		most := int64(0)
		for {
			_ = e.do(bg, func() {
				n := int64(0)
				e.eachTable(func(_ uint32, t state.Table) { n += t.Bytes() })
				most = max(most, n)
			})
			select {
			case <-done:
				out <- most
				return
			case <-time.After(time.Millisecond):
			}
		}
	}()
	return func() int64 { close(done); return <-out }
}

// TestOldReader: a reader that holds an old epoch is cancelled when what is kept
// for it alone becomes too much.
func TestOldReader(t *testing.T) {
	s := session(t, Options{MemoryLimit: 8 << 20, StatementMemory: 64 << 20})
	script(t, s, "CREATE TABLE t (a int PRIMARY KEY, b text)", "CREATE TABLE",
		"INSERT INTO t SELECT g, repeat('x', 20) FROM generate_series(1, 40000) x(g)", "INSERT 0 40000")
	old := another(t, s.eng)
	script(t, old, "BEGIN", "BEGIN", "SELECT count(*) FROM t", "40000")
	for i := range 60 {
		script(t, s, fmt.Sprintf("UPDATE t SET b = repeat('%c', 20) WHERE a %% 40 = %d", 'a'+i%26, i%40), "UPDATE 1000")
		time.Sleep(2 * time.Millisecond)
	}
	script(t, old, "SELECT count(*) FROM t", "ERROR 72000", "ROLLBACK", "ROLLBACK", "SELECT count(*) FROM t", "40000")
}
