package engine

import (
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/vfs"

	"github.com/streamsql/streamsql/sql/sqlerr"
)

// killedData makes a data directory as kill -9 leaves it.
func killedData(t *testing.T) *vfs.MemFS {
	t.Helper()
	fs := vfs.NewStrictMem()
	e, err := Open(bg, Options{Dir: "data", FS: fs})
	must(t, err)
	s := another(t, e)
	script(t, s, "CREATE TABLE t (a int, s text)", "CREATE TABLE")
	for i := range 4 {
		script(t, s, fmt.Sprintf("INSERT INTO t SELECT i, repeat('x', i %% 50) FROM generate_series(%d, %d) i", i*500+1, i*500+500), "INSERT 0 500",
			"CHECKPOINT", "CHECKPOINT")
	}
	fs.SetIgnoreSyncs(true)
	_ = e.Close()
	fs.ResetToSyncedState()
	fs.SetIgnoreSyncs(false)
	return fs
}

// refused opens the data directory, which must not be possible.
func refused(t *testing.T, fs vfs.FS, parts ...string) {
	t.Helper()
	e, err := Open(bg, Options{Dir: "data", FS: fs})
	if err == nil {
		_ = e.Close()
		t.Fatal("the damaged directory was opened")
	}
	if c := sqlerr.From(err).Code; c != "XX001" {
		t.Errorf("code %s: %v", c, err)
	}
	for _, p := range parts {
		if !strings.Contains(err.Error(), p) {
			t.Errorf("%v: does not say %s", err, p)
		}
	}
}

// TestDamagedState damages the middle of the file with the latest checkpoints,
// which Pebble takes for the end of what was written.
func TestDamagedState(t *testing.T) {
	fs := killedData(t)
	names, err := fs.List("data/state")
	must(t, err)
	path, size := "", int64(0)
	for _, n := range names {
		if st, err := fs.Stat("data/state/" + n); err == nil && strings.HasSuffix(n, ".log") && st.Size() > size {
			path, size = "data/state/"+n, st.Size()
		}
	}
	f, err := fs.Open(path)
	must(t, err)
	b, err := io.ReadAll(f)
	must(t, err)
	must(t, f.Close())
	for i := range 8 {
		b[len(b)/2+i] ^= 0x5a
	}
	f, err = fs.Create(path)
	must(t, err)
	_, err = f.Write(b)
	must(t, err)
	must(t, f.Close())
	refused(t, fs, "data/state")
}

// TestLostLog removes the log: writes that come would be numbered anew and be
// passed over at the next recovery.
func TestLostLog(t *testing.T) {
	fs := killedData(t)
	must(t, fs.RemoveAll("data/log"))
	refused(t, fs, "data/log")
}

// slowLogFS holds back the syncs of the log.
type slowLogFS struct {
	vfs.FS
	gate chan struct{} // nil: open
}

type slowLogFile struct {
	vfs.File
	fs *slowLogFS
}

func (f *slowLogFS) Create(n string) (vfs.File, error) {
	file, err := f.FS.Create(n)
	if err == nil && strings.HasPrefix(n, "data/log/") {
		file = slowLogFile{file, f}
	}
	return file, err
}

func (f slowLogFile) Sync() error {
	if f.fs.gate != nil {
		<-f.fs.gate
	}
	return f.File.Sync()
}

// TestCheckpointBehindLog crashes while the log's sync is slow and a checkpoint
// is due: no later write may be lost because the checkpoint came first.
func TestCheckpointBehindLog(t *testing.T) {
	mem := vfs.NewStrictMem()
	fs := &slowLogFS{FS: mem}
	e, err := Open(bg, Options{Dir: "data", FS: fs, CheckpointInterval: time.Millisecond})
	must(t, err)
	script(t, another(t, e), "CREATE TABLE t (a int)", "CREATE TABLE", "INSERT INTO t VALUES (1)", "INSERT 0 1", "CHECKPOINT", "CHECKPOINT")
	at := e.store.Epoch()
	gate := make(chan struct{})
	must(t, e.do(bg, func() { fs.gate = gate }))
	wrote := make(chan string, 1)
	go func() { wrote <- ask(another(t, e), "INSERT INTO t VALUES (2)") }()
	for range 100 { // it is not to come
		if e.store.Epoch() > at {
			break
		}
		time.Sleep(time.Millisecond)
	}
	mem.SetIgnoreSyncs(true)
	close(gate)
	<-wrote
	_ = e.Close()
	mem.ResetToSyncedState()

	for _, want := range []string{"", "3"} { // what later runs wrote
		mem.SetIgnoreSyncs(false)
		e, err = Open(bg, Options{Dir: "data", FS: mem, CheckpointInterval: time.Hour})
		must(t, err)
		s := another(t, e)
		expect(t, ask(s, "SELECT a FROM t WHERE a > 2"), want)
		script(t, s, "INSERT INTO t VALUES (3)", "INSERT 0 1")
		mem.SetIgnoreSyncs(true)
		_ = e.Close()
		mem.ResetToSyncedState()
	}
}
