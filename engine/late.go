package engine

import (
	"maps"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/streamsql/streamsql/sql/ast"
	"github.com/streamsql/streamsql/sql/catalog"
	"github.com/streamsql/streamsql/sql/delta"
	"github.com/streamsql/streamsql/sql/exec"
	"github.com/streamsql/streamsql/sql/expr"
	"github.com/streamsql/streamsql/sql/plan"
	"github.com/streamsql/streamsql/sql/sqlerr"
	"github.com/streamsql/streamsql/sql/types"
)

// What a view does about rows that come behind its watermark: they are kept
// beside it, or dropped, or the view never closes anything and nothing is late.
// A view says it in its options; what it does not say, its sources say.

// The options of a view or a sink about late rows, which a source has as the
// defaults of what reads it.
const (
	optLate          = "late"
	optLateRetention = "late_retention"
	optLateMaxSize   = "late_max_size"
	optLateMaxRate   = "late_max_rate"

	optAllowedLateness = "allowed_lateness" // not of a source
)

var lateDefaults = []string{optLate, optLateRetention, optLateMaxSize, optLateMaxRate}

// latePolicy is the value of the option late.
type latePolicy string

const (
	lateKeep   latePolicy = "keep"
	lateUpdate latePolicy = "update"
	lateDrop   latePolicy = "drop"
)

// lateRules are the options, read.
type lateRules struct {
	policy  latePolicy
	kept    *kept
	rate    lateRate
	allowed int64 // µs that the watermark of the inputs is held back
}

func readLate(o map[string]string) (*lateRules, error) {
	r := &lateRules{policy: lateKeep}
	switch p := latePolicy(strings.ToLower(o[optLate])); p {
	case "":
	case lateKeep, lateUpdate, lateDrop:
		r.policy = p
	default:
		return nil, sqlerr.New(sqlerr.InvalidParameter, `option %s: "%s" is none of 'keep', 'update', 'drop'`, optLate, o[optLate])
	}
	age, err := durationOption(o, optLateRetention, defaultRetention)
	if err != nil {
		return nil, err
	}
	size, err := sizeOption(o, optLateMaxSize, defaultKeptBytes)
	if err != nil {
		return nil, err
	}
	r.kept = &kept{age: age.Microseconds(), max: size}
	if r.rate, err = rateOption(o, optLateMaxRate); err != nil {
		return nil, err
	}
	allowed, err := durationOption(o, optAllowedLateness, 0)
	if err != nil {
		return nil, err
	}
	r.allowed = allowed.Microseconds()
	return r, nil
}

// lateOptions completes the options of what plan root is for by those of the
// sources that it reads.
func lateOptions(cat *catalog.Catalog, root *plan.Node, own map[string]string) (map[string]string, error) {
	out := maps.Clone(own)
	if out == nil {
		out = map[string]string{}
	}
	from := map[string]string{}
	var err error
	root.Visit(func(n *plan.Node) {
		o := cat.ByID(n.Relation)
		if n.Op != plan.Scan || o == nil || o.Kind != catalog.Source {
			return
		}
		for _, name := range lateDefaults {
			v, ok := o.Options[name]
			if _, said := own[name]; said || !ok {
				continue
			}
			if have, twice := from[name]; twice && out[name] != v {
				err = sqlerr.New(sqlerr.InvalidParameter, "sources %q and %q have different options %s", have, o.Name, name).
					WithHint("Say it for what reads both: WITH (%s = '%s').", name, v)
			}
			from[name], out[name] = o.Name, v
		}
	})
	return out, err
}

// neverClose takes the watermark out of a plan that is to be updated by late
// rows: what has no time is never closed. The root keeps it for those who read
// the view.
func neverClose(root *plan.Node, env *expr.Env) error {
	var err error
	root.Visit(func(n *plan.Node) {
		what := ""
		switch {
		case n.Op == plan.Close || n.Final:
			what = "EMIT ON WINDOW CLOSE"
		case n.Op == plan.Agg && exec.Folds(env, n):
			what = "an aggregate that folds its rows in the order of event time"
		case n.AsOf != nil && n.AsOf.Kind == "event":
			what = "FOR SYSTEM_TIME AS OF an event time"
		}
		if what != "" && err == nil {
			err = sqlerr.New(sqlerr.FeatureNotSupported, "late = 'update' cannot be had with %s", what).
				WithDetail("What was emitted or folded when the watermark passed is final.").
				WithHint("Use late = 'keep', with allowed_lateness for rows that are to be waited for.")
		}
	})
	if err != nil {
		return err
	}
	root.Visit(func(n *plan.Node) {
		if n != root {
			n.Time, n.TimeEnd = 0, false
		}
	})
	return nil
}

// lateText is what EXPLAIN says about the late rows of a view with plan root,
// beyond what is so by default; it does to the plan what the view does.
func lateText(cat *catalog.Catalog, root *plan.Node, list []*ast.Option) (string, error) {
	opts, err := options(list, nil)
	if err != nil {
		return "", err
	}
	if opts, err = lateOptions(cat, root, opts); err != nil {
		return "", err
	}
	r, err := readLate(opts)
	if err != nil {
		return "", err
	}
	text := ""
	if r.allowed > 0 {
		text += ", allowed lateness " + time.Duration(r.allowed*1000).String()
	}
	switch r.policy {
	case lateDrop:
		text += ", late rows are dropped"
	case lateUpdate:
		if hasLate(root) {
			text += ", late rows update closed windows: the state is unbounded"
		}
		err = neverClose(root, cat.Env)
	}
	return strings.Replace(text, ",", " ", 1), err
}

// lateRate bounds how many late rows are kept: a bucket of as many as may come in
// its time, which fills as time goes by.
type lateRate struct {
	set   bool
	rows  float64
	per   float64 // µs
	have  float64
	since int64
}

// rateOption reads '100', '100/s', '100/min', '100 per hour'; without a unit the
// rate is per second.
func rateOption(o map[string]string, name string) (lateRate, error) {
	s, ok := o[name]
	if !ok {
		return lateRate{}, nil
	}
	num, unit, _ := strings.Cut(strings.Replace(s, " per ", "/", 1), "/")
	n, err := strconv.ParseFloat(strings.TrimSpace(num), 64)
	per := time.Duration(0)
	switch strings.ToLower(strings.TrimSpace(unit)) {
	case "", "s", "sec", "second":
		per = time.Second
	case "m", "min", "minute":
		per = time.Minute
	case "h", "hour":
		per = time.Hour
	}
	if err != nil || per == 0 || !(n >= 0 && n < math.MaxInt64) {
		return lateRate{}, sqlerr.New(sqlerr.InvalidParameter, `option %s: "%s" is no rate`, name, s).
			WithHint("For example '100' or '100/s', rows per second, or '5000/min'.")
	}
	return lateRate{set: true, rows: n, per: float64(per.Microseconds()), have: n, since: math.MinInt64}, nil
}

// take tells how many of n rows may be kept.
func (r *lateRate) take(n int, now int64) int {
	if !r.set {
		return n
	}
	if r.since != math.MinInt64 && now > r.since {
		r.have = min(r.rows, r.have+r.rows*float64(now-r.since)/r.per)
	}
	r.since = max(r.since, now)
	k := min(n, int(r.have))
	r.have -= float64(k)
	return k
}

// lateObject is the catalog's entry of <view>_late.
func lateObject(view *catalog.Object) *catalog.Object {
	return &catalog.Object{
		Schema: view.Schema, Name: view.Name + "_late", Kind: catalog.Table, Owner: view.ID,
		Columns: []catalog.Column{
			{Name: "row", Type: types.Of(types.JSONB)},
			{Name: "event_time", Type: types.Of(types.Timestamptz)},
			{Name: "watermark", Type: types.Of(types.Timestamptz)},
			{Name: "late_by", Type: types.Of(types.Interval)},
			{Name: "operator", Type: types.Of(types.Int4)},
			{Name: "weight", Type: types.Of(types.Int8)},
			{Name: "epoch", Type: types.Of(types.Int8)},
			{Name: timeColumn, Type: types.Of(types.Timestamptz)},
			{Name: "windows", Type: types.Of(types.Int4)},
		},
	}
}

// hasLate tells whether rows can come too late for a plan.
func hasLate(root *plan.Node) bool {
	late := false
	root.Visit(func(n *plan.Node) {
		switch n.Op {
		case plan.Scan, plan.Values, plan.Map, plan.Union, plan.Exchange, plan.Unnest, plan.Temporal, plan.Every:
		case plan.Window:
			late = late || n.Window != nil && n.Window.Kind == "session" && n.Inputs[0].Time > 0
		default:
			for _, in := range n.Inputs {
				late = late || in.Time > 0
			}
		}
	})
	return late
}

// LateCount is what an operator did with late rows.
type LateCount struct {
	Rows    int64 `json:"rows"`              // that came, by weight
	Dropped int64 `json:"dropped,omitempty"` // of these not kept, by the policy or the cap on the rate
	// When the engine took the first and the last of them, µs; 0: unknown.
	First int64 `json:"first,omitempty"`
	Last  int64 `json:"last,omitempty"`
}

// plus is both together.
func (c LateCount) plus(x LateCount) LateCount {
	out := LateCount{Rows: c.Rows + x.Rows, Dropped: c.Dropped + x.Dropped, First: c.First, Last: max(c.Last, x.Last)}
	if out.First == 0 || x.First != 0 && x.First < out.First {
		out.First = x.First
	}
	return out
}

// keepLate adds the late rows of a job's step to its relation, in that step.
// count is called when the step is committed.
func (e *Engine) keepLate(j *job, now int64) (c *change, count func(), err error) {
	if len(j.lateRows) == 0 {
		return nil, func() {}, nil
	}
	counts := map[int]LateCount{}
	rate := j.rules.rate
	c = &change{}
	var b *delta.Batch
	if j.late != nil {
		b = newBatchOf(j.late.obj)
	}
	for _, l := range j.lateRows {
		n := 0
		if j.late != nil && j.rules.policy != lateDrop {
			if n = l.Rows.N; j.state != Backfilling { // there the rows of years come at once
				n = rate.take(n, now)
			}
		}
		x := counts[l.Node]
		for i := range l.Rows.N {
			w := l.Rows.Weight(i)
			x.Rows += max(w, -w)
			if i >= n {
				x.Dropped += max(w, -w)
				continue
			}
			appendLate(b, l, i, int64(e.epoch+1), now)
			if b.N == delta.MaxRows {
				c.add(b)
				b = newBatchOf(j.late.obj)
			}
		}
		counts[l.Node] = x
	}
	count = func() {
		j.rules.rate = rate
		for n, x := range counts {
			x.First, x.Last = now, now
			j.lateOps[n] = j.lateOps[n].plus(x)
			j.missed += x.Rows
		}
	}
	if j.late == nil {
		return nil, count, nil
	}
	c.add(b)
	return c, count, j.late.keep(c, now)
}

// appendLate makes late row i a row of <view>_late.
func appendLate(b *delta.Batch, l exec.LateRows, i int, epoch, now int64) {
	b.Cols[0].AppendBytes(rowJSON(l.Columns, l.Rows, i))
	b.Cols[2].AppendInt(l.Watermark)
	if l.TimeCol >= 0 && !l.Rows.Cols[l.TimeCol].Null(i) {
		event := l.Rows.Cols[l.TimeCol].I[i]
		b.Cols[1].AppendInt(event)
		b.Cols[3].AppendBytes(types.IntervalOf(minus(l.Watermark, event), 0, 0))
	} else {
		b.Cols[1].AppendNull()
		b.Cols[3].AppendNull()
	}
	b.Cols[4].AppendInt(int64(l.Node))
	b.Cols[5].AppendInt(l.Rows.Weight(i))
	b.Cols[6].AppendInt(epoch)
	b.Cols[7].AppendInt(now)
	windows := int64(1)
	if l.Windows != nil {
		windows = int64(l.Windows[i])
	}
	if len(b.Cols) > 8 { // a data directory may be older than the column
		b.Cols[8].AppendInt(windows)
	}
	b.N++
}
