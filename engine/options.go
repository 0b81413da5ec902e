package engine

import (
	"log/slog"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/cockroachdb/pebble/vfs"

	"github.com/streamsql/streamsql/udf"
)

// Options are the settings of an Engine; the zero value is usable.
type Options struct {
	// Dir is the data directory. The default value is "": state is in memory
	// alone and gone when the engine closes.
	Dir string
	// FS is the file system of Dir. The default value is the operating system's.
	FS vfs.FS
	// Workers is the number of workers. The default value is 1.
	Workers int
	// CheckpointInterval is the time between checkpoints. The default value is 1 s.
	CheckpointInterval time.Duration
	// MemoryLimit bounds the state held in memory, in bytes. The default value is
	// half of the machine's memory.
	MemoryLimit int64
	// StepTimeout ends what holds up everything else for so long: a statement whose
	// step takes longer is undone, a view that takes longer over the least piece
	// of its input fails, with 57014. The default value is a minute; negative: none.
	StepTimeout time.Duration
	// StatementMemory bounds what one ad-hoc statement may hold. The default value is
	// a quarter of MemoryLimit.
	StatementMemory int64
	// Functions are those that CREATE FUNCTION … LANGUAGE go can bind. The default
	// value is udf.Default.
	Functions *udf.Registry
	// Log takes what an operator should know. The default value discards it.
	Log *slog.Logger
}

// ensureDefaults returns o with its zero fields set.
func (o Options) ensureDefaults() Options {
	if o.FS == nil {
		o.FS = vfs.Default
	}
	if o.Workers < 1 {
		o.Workers = 1
	}
	if o.CheckpointInterval <= 0 {
		o.CheckpointInterval = time.Second
	}
	if o.MemoryLimit <= 0 {
		o.MemoryLimit = machineMemory() / 2
	}
	if o.StepTimeout == 0 {
		o.StepTimeout = time.Minute
	}
	if o.StatementMemory <= 0 {
		o.StatementMemory = o.MemoryLimit / 4
	}
	if o.Functions == nil {
		o.Functions = udf.Default
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o
}

// machineMemory is the machine's memory in bytes; 4 GiB where it cannot be told.
func machineMemory() int64 {
	b, err := os.ReadFile("/proc/meminfo")
	if err == nil {
		for line := range strings.Lines(string(b)) {
			f := strings.Fields(line)
			if len(f) >= 2 && f[0] == "MemTotal:" {
				if kb, err := strconv.ParseInt(f[1], 10, 64); err == nil && kb > 0 {
					return kb << 10
				}
			}
		}
	}
	return 4 << 30
}

// ProcessMemory is what a process with an engine is to keep to, in bytes, for a
// MemoryLimit (0: the default): the state, a fifth of it for the collector's
// headroom and for what is on its way, and what the process takes without any
// state. It is meant for debug.SetMemoryLimit.
func ProcessMemory(limit int64) int64 {
	const base = 48 << 20
	limit = Options{MemoryLimit: limit}.ensureDefaults().MemoryLimit
	return limit + limit/5 + base
}
