package engine

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/vfs"

	"github.com/streamsql/streamsql/connector"
	"github.com/streamsql/streamsql/sql/delta"
)

// heldSink does not come to release anything while held is set.
type heldSink struct{}

var (
	held     atomic.Bool
	released atomic.Uint64
)

func (heldSink) Write(context.Context, uint64, *delta.Batch) error { return nil }
func (heldSink) Release(_ context.Context, epoch uint64) error {
	if !held.Load() {
		released.Store(epoch)
	}
	return nil
}
func (heldSink) State() []byte { return []byte{1} }
func (heldSink) Close() error  { return nil }

// TestSinkReleasedAfterRestart: rows of a durable epoch that a crash kept from
// being released are released at the start, not with the next change, and also
// when the sink stands still.
func TestSinkReleasedAfterRestart(t *testing.T) {
	connector.RegisterSink("held", func(connector.Config, []byte) (connector.Sink, error) { return heldSink{}, nil })
	for _, last := range []string{"CHECKPOINT", "ALTER SINK k PAUSE"} {
		released.Store(0)
		held.Store(true)
		fs := vfs.NewMem()
		e, err := Open(bg, Options{Dir: "data", FS: fs})
		must(t, err)
		s := another(t, e)
		script(t, s, "CREATE TABLE t (a int)", "CREATE TABLE",
			"CREATE SINK k FROM t WITH (connector = 'held')", "CREATE SINK",
			"INSERT INTO t VALUES (1)", "INSERT 0 1")
		if got := ask(s, last); got != "CHECKPOINT" && got != "ALTER SINK" {
			t.Fatalf("%s: %s", last, got)
		}
		must(t, e.Close())
		held.Store(false)
		e = open(t, Options{Dir: "data", FS: fs})
		for range 2000 {
			if released.Load() > 0 {
				break
			}
			time.Sleep(time.Millisecond)
		}
		if got := released.Load(); got == 0 || got > e.store.Epoch() {
			t.Errorf("%s: released up to %d; the checkpoint is of epoch %d", last, got, e.store.Epoch())
		}
	}
}

// TestSinkInMemory: without a data directory an epoch is released when it is done.
func TestSinkInMemory(t *testing.T) {
	connector.RegisterSink("held-memory", func(connector.Config, []byte) (connector.Sink, error) { return heldSink{}, nil })
	released.Store(0)
	held.Store(false)
	s := session(t, Options{})
	script(t, s, "CREATE TABLE t (a int)", "CREATE TABLE",
		"INSERT INTO t VALUES (1)", "INSERT 0 1",
		"CREATE SINK k FROM t WITH (connector = 'held-memory')", "CREATE SINK")
	for last := uint64(0); last < 3; {
		for i := 0; released.Load() <= last; i++ {
			if i == 2000 {
				t.Fatalf("epoch %d was released last", released.Load())
			}
			time.Sleep(time.Millisecond)
		}
		last = released.Load()
		script(t, s, "INSERT INTO t VALUES (2)", "INSERT 0 1")
	}
}
