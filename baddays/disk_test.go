package baddays

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/vfs"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/streamsql/streamsql/engine"
)

// fullDisk is a file system that can run full.
type fullDisk struct {
	vfs.FS
	full *atomic.Bool
}

type fullFile struct {
	vfs.File
	full *atomic.Bool
}

func (f fullDisk) Create(name string) (vfs.File, error) {
	if f.full.Load() {
		return nil, syscall.ENOSPC
	}
	file, err := f.FS.Create(name)
	return fullFile{file, f.full}, err
}

func (f fullDisk) ReuseForWrite(from, to string) (vfs.File, error) {
	if f.full.Load() {
		return nil, syscall.ENOSPC
	}
	file, err := f.FS.ReuseForWrite(from, to)
	return fullFile{file, f.full}, err
}

func (f fullDisk) MkdirAll(dir string, perm os.FileMode) error {
	if f.full.Load() {
		return syscall.ENOSPC
	}
	return f.FS.MkdirAll(dir, perm)
}

func (f fullFile) Write(p []byte) (int, error) {
	if f.full.Load() {
		return 0, syscall.ENOSPC
	}
	return f.File.Write(p)
}

// TestFullDisk: no write is acknowledged that is not there later; what can be
// read is; and with room again a restart has everything acknowledged.
func TestFullDisk(t *testing.T) {
	var full atomic.Bool
	mem := vfs.NewMem()
	fs := fullDisk{mem, &full}
	w := start(t, engine.Options{Dir: "data", FS: fs, CheckpointInterval: 50 * time.Millisecond})
	w.exec("CREATE TABLE t (x INT)")
	w.exec("CREATE MATERIALIZED VIEW v AS SELECT count(*) AS n, sum(x) AS s FROM t")
	acked := 0
	for i := range 50 {
		w.exec(fmt.Sprintf("INSERT INTO t VALUES (%d)", i))
		acked++
	}
	full.Store(true)
	var failed error
	for range 100 {
		if _, failed = w.conn.Exec(t.Context(), "INSERT INTO t VALUES (1000)"); failed != nil {
			break
		}
		t.Fatal("an INSERT was acknowledged on a full disk")
	}
	var pe *pgconn.PgError
	if errors.As(failed, &pe) && pe.Code != "53100" {
		t.Errorf("the error is %s %q", pe.Code, pe.Message)
	}
	if pe != nil && !strings.Contains(strings.ToLower(pe.Message+pe.Detail), "space") && !strings.Contains(strings.ToLower(pe.Message), "full") {
		t.Errorf("the error does not say that the disk is full: %q %q", pe.Message, pe.Detail)
	}
	_ = w.e.Close()
	full.Store(false)

	again := start(t, engine.Options{Dir: "data", FS: fs})
	// The row of the refused INSERT may not be there.
	if got := again.rows("SELECT n, s FROM v"); got != "50|1225\n" {
		t.Errorf("after the restart: %s", got)
	}
	if acked != 50 {
		t.Errorf("%d acknowledged", acked)
	}
	again.goesOn()
}
