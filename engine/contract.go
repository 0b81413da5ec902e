package engine

import (
	"context"
	"log/slog"
	"time"

	"github.com/cockroachdb/pebble/vfs"

	"github.com/streamsql/streamsql/sql/ast"
	"github.com/streamsql/streamsql/sql/catalog"
	"github.com/streamsql/streamsql/sql/delta"
	"github.com/streamsql/streamsql/sql/expr"
	"github.com/streamsql/streamsql/sql/plan"
	"github.com/streamsql/streamsql/sql/sqlerr"
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
	// StatementMemory bounds what one ad-hoc statement may hold. The default value is
	// a quarter of MemoryLimit.
	StatementMemory int64
	// Functions are those that CREATE FUNCTION … LANGUAGE go can bind. The default
	// value is udf.Default.
	Functions *udf.Registry
	// Log takes what an operator should know. The default value discards it.
	Log *slog.Logger
}

// Engine is a running database.
type Engine struct{}

// Open opens a database and recovers it: last checkpoint, then the log, then the
// sources from their positions.
func Open(ctx context.Context, o Options) (*Engine, error) { panic("contract") }

// Close stops the loop, makes a last checkpoint and lets the data directory go.
func (e *Engine) Close() error { panic("contract") }

// Lost is closed when the engine cannot go on (its data directory failed); Err
// says why. Reads still work.
func (e *Engine) Lost() <-chan struct{} { panic("contract") }
func (e *Engine) Err() error            { panic("contract") }

// Notice is a message to the client that is not an error.
type Notice struct {
	Severity string // NOTICE, WARNING
	Err      *sqlerr.Error
}

// ---- what the core gives to sessions ----

// currentCatalog is the catalog of the last finished DDL.
func (e *Engine) currentCatalog() *catalog.Catalog { panic("contract") }

// now is the engine's clock, µs since 1970: the system's, or the held one.
func (e *Engine) now() int64 { panic("contract") }

// pin holds stored relations at one finished epoch.
type pin struct {
	Epoch   uint64
	Notices []Notice // e.g. a view that stands at an older epoch (FAILED, STALE, PAUSED)
	// fields are the implementation's
}

// pin takes hold of relations, between two steps. 55000 for a view that is
// still BACKFILLING (with its progress in the detail).
func (e *Engine) pin(ctx context.Context, ids []uint64) (*pin, error) { panic("contract") }

// scan calls fn with the pinned rows of a Scan node's relation, as insert-only
// batches (weights above 1 as so many rows) of the node's columns.
// A Scan with Lookup reads the range of the index or key alone.
func (p *pin) scan(ctx context.Context, n *plan.Node, fn func(b *delta.Batch) error) error {
	panic("contract")
}

func (p *pin) release() { panic("contract") }

// readSource is the bounded read behind SELECT … FROM source: from the source's
// start to its end at the time of the call, computed columns included, until
// fn returns an error.
func (e *Engine) readSource(ctx context.Context, n *plan.Node, fn func(b *delta.Batch) error) error {
	panic("contract")
}

// written is the answer to writes.
type written struct {
	Count     int64
	Returning *delta.Batch // nil: none was asked for
}

// write carries out writes in order, as one transaction: when it returns, the
// rows are durable and every view shows them. bind gives the parameters' values.
// Virtual relations that a write reads are given by virtual.
func (e *Engine) write(ctx context.Context, ws []*boundWrite) ([]*written, error) { panic("contract") }

// boundWrite is a planned write with its parameters replaced.
type boundWrite struct {
	*plan.Write
	Context *expr.Context
}

// ddlContext is the session's part of a DDL statement.
type ddlContext struct {
	Path       []string
	Text       string // the statement's own
	Background bool   // streamsql.background_ddl: CREATE MATERIALIZED VIEW does not wait for its backfill
	Notify     func(Notice)
}

// ddl carries out CREATE, DROP, ALTER (jobs, system), CHECKPOINT and ADVANCE
// CLOCK, and returns the command tag. When it returns, the change is durable.
func (e *Engine) ddl(ctx context.Context, s ast.Statement, d ddlContext) (tag string, err error) {
	panic("contract")
}

// setClock holds the clock where it stands (manual) or lets it run.
func (e *Engine) setClock(manual bool) error { panic("contract") }

// ---- what the virtual tables show ----

// JobState is the state of a job's life.
type JobState string

// The states of a job.
const (
	Created     JobState = "CREATED"
	Backfilling JobState = "BACKFILLING"
	Running     JobState = "RUNNING"
	Paused      JobState = "PAUSED"
	Stale       JobState = "STALE"
	Failed      JobState = "FAILED"
	Finished    JobState = "FINISHED"
)

// JobInfo is a row of streamsql.jobs.
type JobInfo struct {
	ID            uint64
	Name          string
	Kind          catalog.Kind
	State         JobState
	Epoch         uint64 // the last one that it shows
	Rows          int64  // of the view
	StateBytes    int64
	RowsIn        int64
	RowsOut       int64
	StepNanos     int64  // spent in its steps so far
	BackfillDone  int64  // rows (relations) or records (sources) read
	BackfillTotal int64  // -1: unknown
	Watermark     int64  // exec.NoWatermark: none
	Error         string // why it FAILED
	ErrorCode     string
	ErrorRow      string // the row, as text
	ErrorTime     int64
}

// OperatorInfo is a row of streamsql.operators.
type OperatorInfo struct {
	Job        uint64
	JobName    string
	Node       int
	Name       string
	RowsIn     int64
	RowsOut    int64
	Batches    int64
	Nanos      int64
	StateRows  int64
	StateBytes int64
	Watermark  int64
	LateRows   int64
}

// PositionInfo is a row of streamsql.source_positions: what every view has seen
// at Epoch.
type PositionInfo struct {
	Source    uint64
	Name      string
	Partition int32
	Offset    int64 // of the next record
	Epoch     uint64
	Watermark int64
	Trouble   string // what keeps the source from reading; "": nothing
}

// CheckpointInfo is a row of streamsql.checkpoints.
type CheckpointInfo struct {
	Epoch    uint64
	Started  int64
	Duration int64 // µs
	Pause    int64 // µs that the loop stood still
	Bytes    int64
	Error    string
}

func (e *Engine) jobs(ctx context.Context) ([]JobInfo, error)               { panic("contract") }
func (e *Engine) operators(ctx context.Context) ([]OperatorInfo, error)     { panic("contract") }
func (e *Engine) positions(ctx context.Context) ([]PositionInfo, error)     { panic("contract") }
func (e *Engine) checkpoints(ctx context.Context) ([]CheckpointInfo, error) { panic("contract") }
