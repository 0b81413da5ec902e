package engine

import (
	"cmp"
	"slices"

	"github.com/streamsql/streamsql/sql/exec"
	"github.com/streamsql/streamsql/state"
)

// jobStates are the state tables of a job's dataflow: exec.States.
type jobStates struct {
	base    uint32
	e       *Engine
	restore *meta // the checkpoint to restore from; nil: the job is new
	tables  []*opTable
	failed  error // the durable state could not be read
}

// opTable is one worker's part of a state table.
type opTable struct {
	op     uint32
	worker int
	state.Table
}

var _ exec.States = (*jobStates)(nil)

// Tree implements exec.States.
func (s *jobStates) Tree(node, sub, worker int) *state.Tree {
	t := state.NewTree()
	op := s.add(node, sub, worker, t)
	if s.e.store != nil {
		lo, hi := groups(worker, s.e.opts.Workers)
		n := 0
		if s.restore != nil {
			n = -1
			if k := s.restore.Keys[op]; len(k) == s.e.opts.Workers {
				n = k[worker]
			}
		}
		var upper []byte
		if hi < exec.KeyGroups {
			upper = []byte{byte(hi)}
		}
		t.Load(s.e.store.Reader(op), []byte{byte(lo)}, upper, n)
	}
	return t
}

// groups are the key groups of a worker: from lo up to hi, hi not included.
func groups(worker, workers int) (lo, hi int) {
	up := func(w int) int { return (w*exec.KeyGroups + workers - 1) / workers }
	return up(worker), up(worker + 1)
}

// Hash implements exec.States.
func (s *jobStates) Hash(node, sub, worker int, o state.HashOptions) *state.Hash {
	t := state.NewHash(o)
	op := s.add(node, sub, worker, t)
	if s.e.store != nil {
		r := s.e.store.Reader(op)
		t.SetReader(r)
		if s.restore != nil {
			lo, hi := groups(worker, s.e.opts.Workers)
			if err := t.Load(r, lo, hi, s.e.opts.MemoryLimit/2); err != nil && s.failed == nil {
				s.failed = err
			}
		}
	}
	return t
}

func (s *jobStates) add(node, sub, worker int, t state.Table) uint32 {
	op := s.base + uint32(node*exec.SubTables+sub)
	s.tables = append(s.tables, &opTable{op: op, worker: worker, Table: t})
	slices.SortStableFunc(s.tables, func(a, b *opTable) int {
		return cmp.Or(cmp.Compare(a.op, b.op), cmp.Compare(a.worker, b.worker))
	})
	return op
}

func (s *jobStates) begin() {
	for _, t := range s.tables {
		t.Begin()
	}
}

func (s *jobStates) commit() {
	for _, t := range s.tables {
		t.Commit()
	}
}

func (s *jobStates) rollback() {
	for _, t := range s.tables {
		t.Rollback()
	}
}

// err is the first failure of a table to read its durable state.
func (s *jobStates) err() error {
	for _, t := range s.tables {
		if err := t.Err(); err != nil {
			return err
		}
	}
	return nil
}

// grown is by how much the tables have grown in the running step.
func (s *jobStates) grown() int64 {
	var n int64
	for _, t := range s.tables {
		n += t.Grown()
	}
	return n
}

func (s *jobStates) bytes() int64 {
	var n int64
	for _, t := range s.tables {
		n += t.Bytes()
	}
	return n
}
