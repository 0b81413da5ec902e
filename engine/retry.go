package engine

import (
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/streamsql/streamsql/sql/ast"
	"github.com/streamsql/streamsql/sql/catalog"
	"github.com/streamsql/streamsql/sql/sqlerr"
)

// A job that failed is made anew, as ALTER … RETRY does it, when its restart policy
// says so: after a delay that stays the same or grows, and so many times. A job
// that ran for a while begins to count anew.

// The options of a view or a sink about restarts.
const (
	optRestart           = "restart"
	optRestartDelay      = "restart_delay"
	optRestartAttempts   = "restart_attempts"
	optRestartMaxDelay   = "restart_max_delay"
	optRestartMultiplier = "restart_multiplier"
	optRestartReset      = "restart_reset"
)

var restartOptions = []string{optRestart, optRestartDelay, optRestartAttempts, optRestartMaxDelay, optRestartMultiplier, optRestartReset}

// restartKind is the value of the option restart.
type restartKind string

const (
	restartNone        restartKind = "none"
	restartFixed       restartKind = "fixed_delay"
	restartExponential restartKind = "exponential"
)

// restartRules are the options, read. Times are µs.
type restartRules struct {
	kind     restartKind
	delay    int64
	max      int64 // of an exponential delay
	factor   float64
	attempts int   // -1: no bound
	reset    int64 // a job that ran so long has made no attempts
}

// readRestart reads the options of a job; the defaults are Flink's, but that
// nothing restarts by itself, and three attempts at a fixed delay.
func readRestart(o map[string]string) (*restartRules, error) {
	r := &restartRules{kind: restartNone, factor: 1.5, attempts: -1}
	switch k := restartKind(strings.ReplaceAll(strings.ToLower(o[optRestart]), "-", "_")); k {
	case "":
		for _, name := range restartOptions {
			if _, ok := o[name]; ok {
				return nil, sqlerr.New(sqlerr.InvalidParameter, "option %s needs the option restart", name).
					WithHint("WITH (restart = 'fixed_delay' | 'exponential', …).")
			}
		}
	case restartNone, restartExponential:
		r.kind = k
	case restartFixed:
		r.kind, r.attempts = k, 3
	default:
		return nil, sqlerr.New(sqlerr.InvalidParameter, `option restart: "%s" is none of 'none', 'fixed_delay', 'exponential'`, o[optRestart])
	}
	for _, d := range []struct {
		name string
		to   *int64
		def  time.Duration
	}{{optRestartDelay, &r.delay, time.Second}, {optRestartMaxDelay, &r.max, time.Minute}, {optRestartReset, &r.reset, time.Hour}} {
		v, err := durationOption(o, d.name, d.def)
		if err != nil {
			return nil, err
		}
		*d.to = v.Microseconds()
	}
	if s, ok := o[optRestartAttempts]; ok {
		n, err := strconv.Atoi(s)
		if err != nil || n < 0 {
			return nil, sqlerr.New(sqlerr.InvalidParameter, `option %s: "%s" is no number of attempts`, optRestartAttempts, s)
		}
		r.attempts = n
	}
	if s, ok := o[optRestartMultiplier]; ok {
		f, err := strconv.ParseFloat(s, 64)
		if err != nil || !(f >= 1) || f > 1000 {
			return nil, sqlerr.New(sqlerr.InvalidParameter, `option %s: "%s" is no number from 1 to 1000`, optRestartMultiplier, s)
		}
		r.factor = f
	}
	return r, nil
}

// wait is the delay before an attempt, the first being 0.
func (r *restartRules) wait(n int) int64 {
	if r.kind != restartExponential {
		return r.delay
	}
	d := float64(r.delay) * math.Pow(r.factor, float64(n))
	if !(d < float64(r.max)) {
		return max(r.max, r.delay)
	}
	return int64(d)
}

// restarts is what becomes of a job that fails. It goes on in the job that takes
// its place.
type restarts struct {
	rules *restartRules
	made  int   // attempts
	at    int64 // of the next one, µs of the clock; 0: none is to be made
	since int64 // of the last one; 0: none was
}

// rulesOfRestart sets the rules by the job's options, which were checked.
func (j *job) rulesOfRestart() {
	var err error
	if j.restarts.rules, err = readRestart(j.obj.Options); err != nil {
		j.restarts.rules = &restartRules{kind: restartNone}
	}
}

// planRestart decides whether and when a job that has just failed is made anew.
func (e *Engine) planRestart(j *job) {
	r := &j.restarts
	r.at = 0
	if r.rules == nil || r.rules.kind == restartNone || j.replays != nil {
		return
	}
	now := e.clock.now()
	if r.since != 0 && now-r.since >= r.rules.reset {
		r.made = 0
	}
	if r.rules.attempts >= 0 && r.made >= r.rules.attempts {
		e.opts.Log.Warn("a job is not restarted any more", "job", j.obj.Name, "attempts", r.made)
		return
	}
	r.at = now + max(1, r.rules.wait(r.made))
	e.opts.Log.Info("a job will be restarted", "job", j.obj.Name, "attempt", r.made+1, "in", time.Duration(r.at-now)*time.Microsecond)
}

// nextRestart is when the next job is to be made anew; math.MaxInt64: none.
func (e *Engine) nextRestart() int64 {
	t := int64(math.MaxInt64)
	for _, j := range e.order {
		if j.restarts.at != 0 {
			t = min(t, j.restarts.at)
		}
	}
	return t
}

// untilRestart is how long the clock runs until then.
func (e *Engine) untilRestart() (time.Duration, bool) {
	now, manual := e.clock.read()
	at := e.nextRestart()
	if manual || at == math.MaxInt64 {
		return 0, false
	}
	return time.Duration(min(at-now, time.Hour.Microseconds())) * time.Microsecond, true
}

// restartDue begins to make those jobs anew whose time has come. What that may
// have to wait for is waited for beside the loop.
func (e *Engine) restartDue() {
	now := e.clock.now()
	for _, j := range e.order {
		r := &j.restarts
		if r.at == 0 || r.at > now {
			continue
		}
		if r.at = 0; j.state != Failed && j.state != Stale {
			continue
		}
		if e.readable(j.obj.Plan) != nil { // what it reads stands still: that is no attempt
			r.at = now + max(1, r.rules.wait(r.made))
			continue
		}
		r.made, r.since = r.made+1, now
		kind := ast.KindMaterializedView
		if j.obj.Kind == catalog.Sink {
			kind = ast.KindSink
		}
		id := j.obj.ID
		alter := &ast.Alter{Kind: kind, Name: ast.Name{Parts: []string{j.obj.Schema, j.obj.Name}}, Action: ast.Retry}
		e.background(func() {
			_, err := e.ddl(e.ctx, alter, ddlContext{Background: true, restart: true})
			if err == nil {
				return
			}
			_ = e.do(e.ctx, func() { // it could not even begin
				if j := e.jobsByID[id]; j != nil && (j.state == Failed || j.state == Stale) && j.restarts.at == 0 {
					e.noteError(j, sqlerr.From(err), "")
					e.planRestart(j)
				}
			})
		})
	}
}
