package engine

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/streamsql/streamsql/checkpoint"
	"github.com/streamsql/streamsql/sql/catalog"
	"github.com/streamsql/streamsql/sql/expr"
	"github.com/streamsql/streamsql/sql/sqlerr"
)

// Engine is a running database.
type Engine struct {
	opts  Options
	clock clock
	cat   atomic.Pointer[catalog.Catalog]

	cmds    chan *command
	wake    chan struct{} // a source has something, or a background task has ended
	stopped chan struct{} // the loop has ended
	stop    context.CancelFunc
	ctx     context.Context // ends with the engine
	tasks   sync.WaitGroup  // goroutines beside the loop

	ddlSlot chan struct{} // holds a token while no DDL runs

	pinMu sync.Mutex
	pins  []*pin // that hold an epoch, the oldest first

	lostOnce sync.Once
	lost     chan struct{}
	lostErr  atomic.Pointer[sqlerr.Error]

	wishMu  sync.Mutex
	wishes  wishes
	wished  atomic.Int32 // how many there are
	running atomic.Pointer[attempt]

	fetchRows atomic.Int64    // how many rows readers fetch at a time, at most
	closing   context.Context // ends when Close begins
	closeIt   context.CancelFunc

	// What follows belongs to the loop.

	epoch      uint64
	relations  map[uint64]*relation
	jobsByID   map[uint64]*job
	order      []*job      // by ID, which is the order of dependence
	filling    []*job      // those with a backfill
	anySink    atomic.Bool // there was a sink
	sources    map[uint64]*source
	lateEpoch  uint64 // the last step in which a row came behind its source's watermark; see cuts.go
	dml        *pendingDML
	inflight   []*pendingWrite // those of the running step
	waiters    []*waiter
	lastExpiry int64      // of internal relations, on the engine's clock
	held       []*command // writes that wait until there is memory for them
	open       []undoable // what a running step has begun, for a panic
	nextID     uint64
	nextOp     uint32
	jobErrors  []JobError
	most       time.Duration // that the part of a job may take; 0: no bound
	cutRows    int           // of each source that the next step takes
	tick       bool          // the next step runs although nothing came

	// Durability; store and log are nil in memory. See checkpoint.go.
	store          *checkpoint.Store
	log            *checkpoint.Log
	logSeq         uint64 // the last record appended
	acks           *acker
	meta           *meta  // while recovering: the checkpoint
	version        uint64 // of the catalog, counted from the start
	dirtyObjects   map[uint64]bool
	drops          [][2]uint32
	changed        bool // something is there to write
	urgent         bool // a checkpoint is to begin at once
	ck             *checkpointRun
	ckWaiters      []chan error
	lastCheckpoint time.Time
	lastEvict      time.Time
	lastMemory     time.Time     // when checkMemory last looked
	memoryTook     time.Duration // and for how long
	grown          int           // rows that went through since then
	taken          int64         // and bytes
	history        []CheckpointInfo
	used, dirty    int64 // bytes, after the last step
	unread         bool  // a job stopped: its sources may have no other reader
	lastStep       int64 // the clock of the last step
	tickRows       int   // due rows that an operator takes in a step; 0: all
	moreTicks      bool  // the last step left some

	sinkCtx   context.Context
	stopSinks context.CancelFunc
}

// undoable is what takes part in a step.
type undoable interface {
	commit()
	rollback()
}

// Open opens a database and recovers it: last checkpoint, then the log, then the
// sources from their positions.
func Open(ctx context.Context, o Options) (*Engine, error) {
	o = o.ensureDefaults()
	e := &Engine{
		opts:      o,
		cmds:      make(chan *command, 256),
		wake:      make(chan struct{}, 1),
		stopped:   make(chan struct{}),
		ddlSlot:   make(chan struct{}, 1),
		lost:      make(chan struct{}),
		relations: map[uint64]*relation{},
		jobsByID:  map[uint64]*job{},
		sources:   map[uint64]*source{},
		nextID:    catalog.FirstID,
		nextOp:    1,
		dml:       &pendingDML{},
		cutRows:   firstRows,
	}
	e.ddlSlot <- struct{}{}
	e.fetchRows.Store(firstRows)
	e.ctx, e.stop = context.WithCancel(context.Background())
	e.closing, e.closeIt = context.WithCancel(e.ctx)
	e.cat.Store(catalog.New(catalog.VirtualRelations(), &expr.Env{}))
	e.sinkCtx, e.stopSinks = context.WithCancel(context.Background())
	e.acks = newAcker(e)
	e.lastCheckpoint = time.Now()
	if err := e.recover(ctx); err != nil {
		e.stop()
		e.stopSinks()
		return nil, err
	}
	e.background(e.acks.run)
	go e.loop()
	return e, nil
}

// Close stops the loop, makes a last checkpoint and lets the data directory go.
func (e *Engine) Close() error {
	e.closeIt()
	e.wish(func(w *wishes) { w.end = true })
	var err error
	derr := e.do(context.Background(), func() { err = e.shutdown() })
	if derr != nil && sqlerr.From(derr).Code == sqlerr.AdminShutdown {
		return nil // closed before
	}
	<-e.stopped
	e.acks.finish(closedError())
	e.tasks.Wait()
	e.stopSinks()
	if cerr := e.closeStore(); err == nil {
		err = cerr
	}
	return err
}

// Lost is closed when the engine cannot go on (its data directory failed); Err
// says why. Reads still work.
func (e *Engine) Lost() <-chan struct{} { return e.lost }

// Err is why the engine cannot go on; nil while it can.
func (e *Engine) Err() error {
	if err := e.lostErr.Load(); err != nil {
		return err
	}
	return nil
}

// lose ends all writing: from now on the engine answers reads alone.
func (e *Engine) lose(err error) {
	e.lostOnce.Do(func() {
		se := sqlerr.From(err)
		e.opts.Log.Error("the engine cannot go on; reads still work", "error", se.Message, "code", se.Code, "detail", se.Detail)
		e.lostErr.Store(se)
		close(e.lost)
	})
}

// currentCatalog is the catalog of the last finished DDL.
func (e *Engine) currentCatalog() *catalog.Catalog { return e.cat.Load() }

// poke wakes the loop.
func (e *Engine) poke() {
	select {
	case e.wake <- struct{}{}:
	default:
	}
}

// background runs fn beside the loop; the engine does not close before it ends.
func (e *Engine) background(fn func()) {
	e.tasks.Add(1)
	go func() {
		defer e.tasks.Done()
		fn()
	}()
}

// Notice is a message to the client that is not an error.
type Notice struct {
	Severity string // NOTICE, WARNING
	Err      *sqlerr.Error
}

// A step takes as many rows of each source as it can work off in about stepGoal:
// larger steps do less work per row, but keep readers and writers waiting.
const (
	stepRows  = 1 << 16 // at most
	leastRows = 64
	firstRows = 1 << 14
	stepGoal  = 500 * time.Millisecond
)

// idleWait is the longest that the loop sleeps when nothing is timed.
const idleWait = time.Minute
