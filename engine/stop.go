package engine

import (
	"time"

	"github.com/streamsql/streamsql/sql/sqlerr"
)

// stop is why a step, or one job's part of it, ends early.
type stop struct {
	kind  stopKind
	job   *job          // that ran
	write *pendingWrite // stopWrite
	err   *sqlerr.Error
}

type stopKind int

const (
	stopMemory stopKind = iota // the job's part has outgrown the memory
	stopSlow                   // it takes long, and could be made smaller
	stopJob                    // the job is to be dropped or paused
	stopWrite                  // a client takes its statement back
	stopAll                    // the engine ends
	stopLog                    // the log does not take the step's writes
)

func (s *stop) Error() string { return s.err.Error() }
func (s *stop) Unwrap() error { return s.err }

// wishes are what clients want of a step that may be running. They are looked at
// in the middle of it, by any worker.
type wishes struct {
	halt   map[uint64]int // jobs to end, by object
	cancel map[*pendingWrite]bool
	end    bool
}

// wish changes what is wanted.
func (e *Engine) wish(fn func(w *wishes)) {
	e.wishMu.Lock()
	defer e.wishMu.Unlock()
	if e.wishes.halt == nil {
		e.wishes.halt, e.wishes.cancel = map[uint64]int{}, map[*pendingWrite]bool{}
	}
	fn(&e.wishes)
	n := len(e.wishes.halt) + len(e.wishes.cancel)
	if e.wishes.end {
		n++
	}
	e.wished.Store(int32(n))
}

// haltAfter is how long a command waits for the loop before it ends the running
// step of the jobs that it is about.
const haltAfter = 200 * time.Millisecond

// haltSoon has the steps of jobs end if the loop does not come to the command that
// follows; done is to be called when it did.
func (e *Engine) haltSoon(ids ...uint64) (done func()) {
	halted := make(chan bool, 1)
	t := time.AfterFunc(haltAfter, func() {
		e.wish(func(w *wishes) {
			for _, id := range ids {
				w.halt[id]++
			}
		})
		halted <- true
	})
	return func() {
		if t.Stop() {
			return
		}
		<-halted
		e.wish(func(w *wishes) {
			for _, id := range ids {
				if w.halt[id]--; w.halt[id] == 0 {
					delete(w.halt, id)
				}
			}
		})
	}
}

// stopNow tells whether the part that job j does is to end at once.
func (e *Engine) stopNow(j *job) *stop {
	if e.wished.Load() == 0 {
		return nil
	}
	e.wishMu.Lock()
	defer e.wishMu.Unlock()
	w := &e.wishes
	if w.halt[j.obj.ID] > 0 {
		return &stop{kind: stopJob, job: j, err: sqlerr.New(sqlerr.QueryCanceled, "%s %q was stopped in the middle of a step", j.obj.Kind, j.obj.Name)}
	}
	a := e.running.Load()
	// What arose between two steps has no one to bring it again.
	if w.end && (a == nil || len(a.in.pending) == 0) {
		return &stop{kind: stopAll, job: j, err: closedError().(*sqlerr.Error)}
	}
	if a == nil {
		return nil
	}
	for _, p := range a.in.writes {
		if w.cancel[p] {
			return &stop{kind: stopWrite, job: j, write: p, err: sqlerr.From(ctxError(p.ctx))}
		}
	}
	return nil
}
