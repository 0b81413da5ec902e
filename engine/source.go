package engine

import (
	"context"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/streamsql/streamsql/connector"
	"github.com/streamsql/streamsql/sql/catalog"
	"github.com/streamsql/streamsql/sql/delta"
	"github.com/streamsql/streamsql/sql/exec"
	"github.com/streamsql/streamsql/sql/expr"
	"github.com/streamsql/streamsql/sql/plan"
	"github.com/streamsql/streamsql/sql/sqlerr"
)

// source is a declared source: one reader for all jobs that read it, its
// positions and its watermark. It belongs to the loop.
type source struct {
	obj  *catalog.Object
	conn connector.Source
	dead *relation // <source>_dead_letters

	parts map[int32]*partition // nil: it was never read
	wm    int64
	cuts  *cutLog   // nil: it has no watermark
	asked time.Time // when it was last asked where its records begin
	feed  *feed     // the live reader; nil: no job reads the source
	hold  int       // jobs that join it: nothing is cut meanwhile
	ended bool      // a bounded source was read to its end

	moved       int64 // since when wm stands, on the engine's clock
	idleTimeout int64 // µs
	stamps      []int // columns that are proctime()
	// Of the time in which every partition is idle: since when, 0 when not, and
	// where the watermark goes on from.
	allIdle, idleFrom int64
	maxDrift          int64 // µs; -1: partitions need not stay together
	group             string
	waits             int64 // for what its partitions are held

	skip *deadOffsets // see without
}

// connectorConfig is what CREATE SOURCE said, for the connector.
func connectorConfig(o *catalog.Object) connector.Config {
	c := connector.Config{Name: o.Name, Format: o.Format, Encode: o.Encode}
	if len(o.Options) > 0 {
		c.Options = maps.Clone(o.Options)
		for _, own := range engineOptions {
			delete(c.Options, own)
		}
	}
	for _, col := range o.Columns {
		if col.Generated == nil {
			c.Columns = append(c.Columns, connector.Column{Name: col.Name, Type: col.Type, Meta: col.Meta})
		}
	}
	return c
}

// engineOptions are the options of a source that are not the connector's.
var engineOptions = append([]string{optIdleTimeout, optDeadRetention, optDeadMax, optMaxDrift, optGroup}, lateDefaults...)

const (
	optIdleTimeout   = "idle_timeout"
	optDeadRetention = "dead_letter_retention"
	optDeadMax       = "dead_letter_max_bytes"
	optMaxDrift      = "max_drift"
	optGroup         = "watermark_group"

	defaultIdleTimeout = time.Minute
	defaultRetention   = 7 * 24 * time.Hour
	defaultKeptBytes   = 64 << 20
)

// durationOption reads an option such as '90 s', '15m', '7 days'.
func durationOption(o map[string]string, name string, def time.Duration) (time.Duration, error) {
	s, ok := o[name]
	if !ok {
		return def, nil
	}
	d, err := parseDuration(s)
	if err != nil || d < 0 {
		return 0, sqlerr.New(sqlerr.InvalidParameter, `option %s: "%s" is no duration`, name, s).
			WithHint("For example '30 s', '5 minutes', '7 days'.")
	}
	return d, nil
}

// sizeOption reads an option that counts bytes: '1000000', '64 MB'. The units are
// PostgreSQL's, powers of 1024.
func sizeOption(o map[string]string, name string, def int64) (int64, error) {
	s, ok := o[name]
	if !ok {
		return def, nil
	}
	num, unit := strings.TrimSpace(s), int64(1)
	for _, u := range []struct {
		name  string
		bytes int64
	}{{"kB", 1 << 10}, {"MB", 1 << 20}, {"GB", 1 << 30}, {"TB", 1 << 40}, {"B", 1}} {
		if n := len(num) - len(u.name); n > 0 && strings.EqualFold(num[n:], u.name) {
			num, unit = strings.TrimSpace(num[:n]), u.bytes
			break
		}
	}
	n, err := strconv.ParseInt(num, 10, 64)
	if err == nil && n > math.MaxInt64/unit {
		err = strconv.ErrRange
	}
	n *= unit
	if err != nil || n < 0 {
		return 0, sqlerr.New(sqlerr.InvalidParameter, `option %s: "%s" is no number of bytes`, name, s)
	}
	return n, nil
}

// newSource makes the engine's side of a source object. known: it was made in an
// earlier run.
func newSource(o *catalog.Object, known bool) (*source, error) {
	cfg := connectorConfig(o)
	cfg.Known = known
	conn, err := connector.NewSource(cfg)
	if err != nil {
		return nil, err
	}
	s := &source{obj: o, conn: conn, wm: exec.NoWatermark}
	idle, err := durationOption(o.Options, optIdleTimeout, defaultIdleTimeout)
	if err == nil {
		err = s.alignOptions()
	}
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	s.idleTimeout = idle.Microseconds()
	for i, c := range o.Columns {
		if g := c.Generated; g != nil && g.Kind == expr.Call && g.Fn == "proctime()" {
			s.stamps = append(s.stamps, i)
		}
	}
	return s, nil
}

// start starts the live reader from the stored positions.
func (s *source) start(e *Engine) {
	if s.feed != nil || s.ended {
		return
	}
	f := newFeed(e)
	if s.maxDrift >= 0 {
		f.step = s.maxDrift / driftPieces
	}
	s.feed = f
	var from connector.Positions
	if s.parts != nil {
		from = s.positions()
	}
	conv, err := newConverter(s.obj, e.currentCatalog().Env, &e.clock)
	if err != nil {
		f.finish(false, err)
		return
	}
	e.background(func() { f.run(s.conn, conv, from, nil) })
}

// halt stops the live reader; the positions stay.
func (s *source) halt() {
	if s.feed != nil {
		if s.group != "" {
			s.feed.e.tick = true // those that waited for it need not
		}
		s.feed.close()
		s.feed = nil
	}
	for _, x := range s.parts { // the next reader holds nothing
		x.held = false
	}
}

// positions returns where each partition stands.
func (s *source) positions() connector.Positions {
	out := connector.Positions{}
	for p, x := range s.parts {
		out[p] = x.next
	}
	return out
}

// ready tells whether there is something to cut.
func (s *source) ready() bool { return s.feed != nil && s.hold == 0 && s.feed.ready() }

// partition returns a partition's place, made if it is new and starts at first.
func (s *source) partition(p int32, first int64) *partition {
	if s.parts == nil {
		s.parts = map[int32]*partition{}
	}
	x := s.parts[p]
	if x == nil {
		x = &partition{first: first, next: first, marker: newMarker(s.obj.Watermark)}
		s.parts[p] = x
	}
	return x
}

// cut takes what the sources brought, about cutRows rows of each, and moves
// positions and watermarks: all of it belongs to this one step. It returns the
// most rows that it took of one source.
func (e *Engine) cut(a *attempt, rows int) (most int) {
	now := a.ctx.Now
	if e.stepsHeld() {
		return 0
	}
	var held []*source
	news := &cutNews{}
	for _, id := range slices.Sorted(maps.Keys(e.sources)) {
		s := e.sources[id]
		if s.feed == nil || s.hold > 0 {
			continue
		}
		wm := s.wm
		var allowed func(*fetched) bool
		d := e.drift(s, now)
		if d != nil {
			allowed = d.ok
		}
		items, end, err := s.feed.takeIf(rows, allowed)
		c := &change{}
		var dead []deadRow
		for _, it := range items {
			first := it.first
			if !it.started { // it came after the reader's start: it is read from its beginning
				first = 0
			}
			x := s.partition(it.part, first)
			if x.moved == 0 {
				x.moved = now
			}
			if it.started {
				continue
			}
			if it.reset != "" && it.next < x.next {
				x.first = 0 // another log has taken its place
				if s.cuts != nil {
					news.restart(s, wm)
				}
			}
			x.next = it.next
			c.add(s.stamp(it.batch, now))
			dead = append(dead, it.dead...)
			s.observe(x, &it, now)
			news.behind = news.behind || s.cuts != nil && it.rows > 0 && it.minTime < wm
			if it.reset != "" {
				e.opts.Log.Warn("the position of a source jumped", "source", s.obj.Name, "partition", it.part, "why", it.reset)
			}
		}
		if c.rows > 0 {
			a.add(id, c)
			most = max(most, c.rows)
		}
		if len(dead) > 0 && s.dead != nil {
			if d := e.keepDead(a, s, dead, now); d.rows > 0 {
				a.add(s.dead.obj.ID, d)
			}
		}
		if end {
			a.after = append(a.after, func() {
				s.ended = true
				s.halt()
			})
		}
		if err != nil {
			a.after = append(a.after, func() { e.sourceFailed(s, err) })
		}
		s.moveWatermark(now)
		if end && s.cuts != nil {
			s.wm, s.moved = math.MaxInt64, now // all that there ever was has come
		}
		if d != nil {
			if d.keep(now, len(items)) {
				held = append(held, s)
			}
		}
	}
	a.after = append(a.after, func() { e.recordCuts(news) })
	for _, s := range held { // what the step did may let them go on
		if least := min(s.slowest(), e.othersSlowest(s)); least != s.waits {
			s.waits, e.tick = least, true
		}
	}
	return most
}

// save returns a function that puts the source back where it stands, and what was
// taken of its feed.
func (s *source) save() func() {
	was, f := *s, s.feed
	was.parts = maps.Clone(s.parts)
	for p, x := range s.parts {
		c := *x
		c.marker = x.marker.clone()
		was.parts[p] = &c
	}
	if f != nil {
		f.accept()
	}
	return func() {
		hold := s.hold
		*s = was
		s.hold = hold
		if f != nil {
			f.unget()
		}
	}
}

// fitCut sets how many rows the next step takes, by how long this one was at it
// and by how many bytes it grew.
func (e *Engine) fitCut(rows int, took time.Duration, grown int64) {
	switch {
	case rows > leastRows && took > 2*stepGoal:
		e.cutRows = max(min(e.cutRows, rows)/2, leastRows)
		e.reread(2 * e.cutRows)
	case rows >= e.cutRows && took < stepGoal/2 && grown < e.stepBudget()/4:
		e.cutRows = min(2*e.cutRows, stepRows)
	}
	e.fetchRows.Store(int64(e.cutRows))
}

// sourceFailed ends the jobs that read a source which cannot be read any more.
func (e *Engine) sourceFailed(s *source, err error) {
	s.halt()
	for _, j := range e.order {
		if j.active() && j.input(s.obj.ID) != nil {
			e.fail(j, err)
		}
	}
}

// converter makes batches of the relation's columns of what a connector fetched:
// it computes generated columns, drops rows whose computing fails, and finds the
// greatest event time. It is used by one goroutine.
type converter struct {
	obj    *catalog.Object
	clock  *clock
	fields []int // the relation's columns that the connector fills
	gens   []generated
	time   int // the event time's column, -1: none
}

type generated struct {
	col  int
	prog *expr.Program
}

func newConverter(o *catalog.Object, env *expr.Env, c *clock) (*converter, error) {
	cv := &converter{obj: o, clock: c, time: -1}
	if o.Watermark != nil {
		cv.time = o.Watermark.Col
	}
	for i, col := range o.Columns {
		if col.Generated == nil {
			cv.fields = append(cv.fields, i)
			continue
		}
		p, err := expr.Compile(env, col.Generated)
		if err != nil {
			return nil, err
		}
		cv.gens = append(cv.gens, generated{i, p})
	}
	return cv, nil
}

// convert turns a fetch into what a step takes.
func (cv *converter) convert(f connector.Fetch) fetched {
	out := fetched{part: f.Partition, next: f.Next, atEnd: f.AtEnd, reset: f.Reset, resumes: f.Resumes, maxTime: exec.NoWatermark, minTime: math.MaxInt64}
	for _, d := range f.Dead {
		out.dead = append(out.dead, deadRow{part: f.Partition, offset: d.Offset, bytes: d.Bytes, reason: d.Reason})
	}
	if f.Batch == nil || f.Batch.N == 0 {
		return out
	}
	b := &delta.Batch{N: f.Batch.N, W: f.Batch.W, Cols: make([]*delta.Vec, len(cv.obj.Columns))}
	for i, c := range cv.fields {
		b.Cols[c] = f.Batch.Cols[i]
	}
	out.offsets = f.Offsets
	b = cv.compute(b, f, &out)
	if b != nil && b.N > 0 {
		out.batch, out.rows = b, b.N
		if cv.time >= 0 {
			out.maxTime, out.minTime = latest(b.Cols[cv.time], b.W), earliest(b.Cols[cv.time])
		}
	}
	return out
}

// compute fills the generated columns; rows that fail become dead letters.
func (cv *converter) compute(b *delta.Batch, f connector.Fetch, out *fetched) *delta.Batch {
	if len(cv.gens) == 0 {
		return b
	}
	ctx := &expr.Context{Now: cv.clock.now(), User: "streamsql", Database: "streamsql"}
	row := make([]int32, b.N) // of the fetch
	for i := range row {
		row[i] = int32(i)
	}
next:
	for b.N > 0 {
		cols := slices.Clone(b.Cols)
		in := &delta.Batch{N: b.N, Cols: cols}
		for _, g := range cv.gens {
			// A generated column stands on declared ones alone; the others are
			// there with no rows of their own.
			v, err := g.prog.Eval(ctx, in)
			if err == nil {
				cols[g.col] = cloneVec(v, cv.obj.Columns[g.col])
				continue
			}
			bad, ok := failedRow(err, b.N)
			if !ok {
				out.dead = append(out.dead, deadRow{part: f.Partition, offset: f.Next - 1, reason: sqlerr.From(err).Message})
				return nil
			}
			out.dead = append(out.dead, deadRow{
				part: f.Partition, offset: f.Offset(int(row[bad])),
				bytes:  []byte(fieldsText(b, bad)),
				reason: `column "` + cv.obj.Columns[g.col].Name + `": ` + sqlerr.From(err).Message,
			})
			keep := make([]int32, 0, b.N-1)
			for i := range b.N {
				if i != bad {
					keep = append(keep, int32(i))
				}
			}
			row = slices.Delete(row, bad, bad+1)
			nb := &delta.Batch{N: len(keep), Cols: make([]*delta.Vec, len(b.Cols))}
			for _, c := range cv.fields {
				nb.Cols[c] = b.Cols[c].Gather(keep)
			}
			b = nb
			continue next
		}
		if b.N < f.Batch.N {
			out.offsets = make([]int64, b.N)
			for i := range out.offsets {
				out.offsets[i] = f.Offset(int(row[i]))
			}
		}
		return &delta.Batch{N: b.N, Cols: cols}
	}
	return nil
}

// readSource is the bounded read behind SELECT … FROM source: from the source's
// start to its end at the time of the call, computed columns included, until
// fn returns an error.
func (e *Engine) readSource(ctx context.Context, n *plan.Node, fn func(b *delta.Batch) error) error {
	o := e.currentCatalog().ByID(n.Relation)
	if o == nil || o.Kind != catalog.Source {
		return sqlerr.New(sqlerr.UndefinedTable, "a source of the statement was dropped")
	}
	conn, err := connector.NewSource(connectorConfig(o))
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	return e.readBounded(ctx, o, conn, func(b *delta.Batch) error { return fn(project(b, n.Columns)) })
}
