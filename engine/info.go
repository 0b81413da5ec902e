package engine

import (
	"context"
	"maps"
	"slices"

	"github.com/streamsql/streamsql/sql/catalog"
)

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
	Late          latePolicy // what becomes of rows behind the watermark
	// AllowedLateness is how much longer the job waits than its inputs, µs.
	AllowedLateness int64
	Restarts        int   // that its restart policy has made since it last ran for long
	NextRestart     int64 // µs of the clock; 0: none is planned
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
	// LateRows came behind the watermark, in all runs; LateDropped of them were not
	// kept, by the policy or the cap on their rate.
	LateRows    int64
	LateDropped int64
}

// PositionInfo is a row of streamsql.source_positions: what every view has seen
// at Epoch.
type PositionInfo struct {
	Source    uint64
	Name      string
	Partition int32 // -1: none is known yet
	Offset    int64 // of the next record
	Epoch     uint64
	Watermark int64
	Trouble   string // what keeps the source from reading; "": nothing
	Mark      int64  // the partition's own watermark; exec.NoWatermark: none
	Idle      bool   // it does not hold the watermark back
	Held      bool   // it waits for others: max_drift
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

// JobError is an entry of streamsql.job_errors.
type JobError struct {
	Job     uint64
	Name    string
	Epoch   uint64 // of the step that failed
	Time    int64  // µs since 1970
	Code    string
	Message string
	Detail  string
	Row     string
}

// jobs returns the jobs by ID, as of the last finished epoch.
func (e *Engine) jobs(ctx context.Context) ([]JobInfo, error) {
	var out []JobInfo
	err := e.do(ctx, func() {
		for _, j := range e.order {
			out = append(out, e.jobInfo(j))
		}
	})
	return out, err
}

func (e *Engine) jobInfo(j *job) JobInfo {
	i := JobInfo{
		ID: j.obj.ID, Name: j.obj.Name, Kind: j.obj.Kind, State: j.state, Epoch: e.epoch,
		StateBytes: j.tables.bytes(), RowsIn: j.rowsIn, RowsOut: j.rowsOut, StepNanos: j.nanos, Watermark: j.reached(),
		Late: j.rules.policy, AllowedLateness: j.rules.allowed, Restarts: j.restarts.made, NextRestart: j.restarts.at,
	}
	if j.state == Running && e.finished(j) {
		i.State = Finished
	}
	if !j.active() {
		i.Epoch = j.epoch
	}
	if j.rel != nil {
		i.Rows = int64(j.rel.main.tree.Len())
		for _, a := range j.rel.all() {
			i.StateBytes += a.tree.Bytes()
		}
	}
	if j.state == Backfilling {
		i.BackfillDone, i.BackfillTotal = j.progress()
	}
	if j.state == Failed && j.err != nil {
		i.Error, i.ErrorCode, i.ErrorRow, i.ErrorTime = j.err.Message, j.err.Code, j.errRow, j.errTime
	}
	return i
}

// finished tells whether nothing can change a job's answer any more: it reads
// bounded sources alone, and all are read.
func (e *Engine) finished(j *job) bool {
	for _, in := range j.inputs {
		s := e.sources[in.relation]
		up := e.jobsByID[in.relation]
		if (s == nil || !s.ended) && (up == nil || !e.finished(up)) {
			return false
		}
	}
	return len(j.inputs) > 0
}

// operators returns what each operator of each job did so far.
func (e *Engine) operators(ctx context.Context) ([]OperatorInfo, error) {
	var out []OperatorInfo
	err := e.do(ctx, func() {
		for _, j := range e.order {
			if j.df == nil { // it has stood still since the start
				continue
			}
			for _, s := range j.df.Stats() {
				out = append(out, OperatorInfo{
					Job: j.obj.ID, JobName: j.obj.Name, Node: s.Node, Name: s.Name,
					RowsIn: s.RowsIn, RowsOut: s.RowsOut, Batches: s.Batches, Nanos: s.Nanos,
					StateRows: s.StateRows, StateBytes: s.StateBytes, Watermark: s.Watermark,
					LateRows: j.lateOps[s.Node].Rows, LateDropped: j.lateOps[s.Node].Dropped,
				})
			}
		}
	})
	return out, err
}

// positions returns where the sources stand, as of the last finished epoch.
func (e *Engine) positions(ctx context.Context) ([]PositionInfo, error) {
	var out []PositionInfo
	err := e.do(ctx, func() { out = e.positionInfos() })
	return out, err
}

func (e *Engine) positionInfos() []PositionInfo {
	var out []PositionInfo
	for _, id := range slices.Sorted(maps.Keys(e.sources)) {
		s := e.sources[id]
		trouble := ""
		if s.feed != nil {
			trouble = s.feed.troubleText()
		}
		if len(s.parts) == 0 && trouble != "" {
			out = append(out, PositionInfo{Source: id, Name: s.obj.Name, Partition: -1, Epoch: e.epoch, Watermark: s.wm, Trouble: trouble})
		}
		for _, p := range slices.Sorted(maps.Keys(s.parts)) {
			out = append(out, PositionInfo{
				Source: id, Name: s.obj.Name, Partition: p, Offset: s.parts[p].next,
				Epoch: e.epoch, Watermark: s.wm, Trouble: trouble,
				Mark: s.parts[p].marker.mark, Idle: s.parts[p].idle, Held: s.parts[p].held,
			})
		}
	}
	return out
}

// checkpoints returns the last checkpoints, the oldest first.
func (e *Engine) checkpoints(ctx context.Context) ([]CheckpointInfo, error) {
	var out []CheckpointInfo
	err := e.do(ctx, func() { out = slices.Clone(e.history) })
	return out, err
}

// failures returns what streamsql.job_errors shows, the oldest first.
func (e *Engine) failures(ctx context.Context) ([]JobError, error) {
	var out []JobError
	err := e.do(ctx, func() { out = slices.Clone(e.jobErrors) })
	return out, err
}
