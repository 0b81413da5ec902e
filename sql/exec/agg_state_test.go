package exec

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand"
	"slices"
	"testing"

	"github.com/streamsql/streamsql/sql/delta"
	"github.com/streamsql/streamsql/sql/expr"
	"github.com/streamsql/streamsql/sql/plan"
	"github.com/streamsql/streamsql/sql/sqlerr"
	"github.com/streamsql/streamsql/sql/types"
	"github.com/streamsql/streamsql/state"
)

// store is durable state in memory, one map a table.
type store struct {
	tables map[string]map[string][]byte
}

type storeTable struct{ m map[string][]byte }

func (s storeTable) Set(k, v []byte)              { s.m[string(k)] = slices.Clone(v) }
func (s storeTable) Delete(k []byte)              { delete(s.m, string(k)) }
func (s storeTable) Get(k []byte) ([]byte, error) { return s.m[string(k)], nil }
func (s storeTable) Pin() (state.Reader, func())  { return s, func() {} }
func (s storeTable) Scan(lo, hi []byte, fn func(k, v []byte) error) error {
	for _, k := range slices.Sorted(maps.Keys(s.m)) {
		if k < string(lo) || hi != nil && k >= string(hi) {
			continue
		}
		if err := fn([]byte(k), s.m[k]); err != nil {
			return err
		}
	}
	return nil
}

// durable makes state tables over a store, which it steps and captures.
type durable struct {
	s       *store
	workers int
	tables  map[string][]state.Table
}

func (d *durable) table(node, sub, worker int, make func(t storeTable, lo, hi int) state.Table) {
	name := fmt.Sprint(node, "/", sub)
	if d.s.tables[name] == nil {
		d.s.tables[name] = map[string][]byte{}
	}
	lo, hi := 256, 0
	for g := range KeyGroups {
		if GroupOwner(byte(g), d.workers) == worker {
			lo, hi = min(lo, g), g+1
		}
	}
	d.tables[name] = append(d.tables[name], make(storeTable{d.s.tables[name]}, lo, hi))
}

func (d *durable) Tree(node, sub, worker int) *state.Tree {
	t := state.NewTree()
	d.table(node, sub, worker, func(s storeTable, lo, hi int) state.Table {
		var upper []byte
		if hi < 256 {
			upper = []byte{byte(hi)}
		}
		t.Load(s, []byte{byte(lo)}, upper, -1)
		return t
	})
	return t
}

func (d *durable) Hash(node, sub, worker int, o state.HashOptions) *state.Hash {
	h := state.NewHash(o)
	d.table(node, sub, worker, func(s storeTable, lo, hi int) state.Table {
		h.SetReader(s)
		if err := h.Load(s, lo, hi, 0); err != nil {
			panic(err)
		}
		return h
	})
	return h
}

func (d *durable) each(fn func(t state.Table)) {
	for _, name := range slices.Sorted(maps.Keys(d.tables)) {
		for _, t := range d.tables[name] {
			fn(t)
		}
	}
}

// checkpoint writes all tables to the store.
func (d *durable) checkpoint() {
	for name, ts := range d.tables {
		for _, t := range ts {
			c := t.Capture()
			c.Write(storeTable{d.s.tables[name]})
			c.Done(true)
		}
	}
}

// pipeline is a dataflow over a durable store, with what came out of it.
type pipeline struct {
	t       *testing.T
	root    *plan.Node
	env     *expr.Env
	d       *Dataflow
	states  *durable
	out     *zset
	late    *zset // of the operator's input
	pending []func()
}

func newPipeline(t *testing.T, root *plan.Node, env *expr.Env) *pipeline {
	p := &pipeline{t: t, root: root, env: env, out: newZset(), late: newZset()}
	p.open(&store{map[string]map[string][]byte{}}, 2, nil)
	return p
}

func (p *pipeline) open(s *store, workers int, wm map[int]int64) {
	p.t.Helper()
	p.states = &durable{s: s, workers: workers, tables: map[string][]state.Table{}}
	var err error
	p.d, err = Build(p.root, Options{Env: p.env, Workers: workers, States: p.states, Output: func(b *delta.Batch) error {
		p.pending = append(p.pending, func() { p.out.addBatch(p.root.Out, b) })
		return nil
	}, Late: func(l LateRows) error {
		p.pending = append(p.pending, func() { p.late.addBatch(l.Columns, l.Rows) })
		return nil
	}})
	if err != nil {
		p.t.Fatal(err)
	}
	if wm != nil {
		p.d.Restore(wm)
	}
}

// restart opens the dataflow anew over what is durable, with other workers.
func (p *pipeline) restart(workers int) {
	p.states.checkpoint()
	p.open(p.states.s, workers, p.d.Watermarks())
}

// step runs one step, and undoes it if undo is set.
func (p *pipeline) step(rng *rand.Rand, cs []change, wm int64, undo bool) error {
	p.d.Begin(&expr.Context{})
	p.states.each(func(t state.Table) { t.Begin() })
	p.pending = nil
	scan := p.d.Scans()[0]
	err := error(nil)
	for _, b := range batches(rng, scan.Out, cs) {
		if err = p.d.Push(scan, b); err != nil {
			break
		}
	}
	if wm != NoWatermark {
		p.d.Advance(scan, wm)
	}
	if err == nil {
		err = p.d.Finish()
	}
	p.states.each(func(t state.Table) {
		if err == nil {
			err = t.Err()
		}
	})
	if err != nil || undo {
		p.states.each(func(t state.Table) { t.Rollback() })
		p.d.Rollback()
		return err
	}
	p.states.each(func(t state.Table) { t.Commit() })
	p.d.Commit()
	for _, fn := range p.pending {
		fn()
	}
	return nil
}

// rows counts what the tables hold.
func (p *pipeline) rows() (n int) {
	p.states.each(func(t state.Table) { n += t.Len() })
	return n
}

// joined is a user's aggregate that writes its arguments one behind the other:
// it depends on their order, and cannot take them back.
type joined struct {
	S string
}

func (j *joined) Add(args []*delta.Vec, i int) error {
	if args[0].Null(i) {
		return nil
	}
	if args[0].I[i] == 13 {
		return errors.New("unlucky")
	}
	j.S += fmt.Sprint(args[0].I[i], " ")
	return nil
}
func (j *joined) Retract([]*delta.Vec, int) error { return errors.New("joined cannot retract") }
func (j *joined) Result() (types.Datum, error)    { return textD(j.S), nil }
func (j *joined) MarshalBinary() ([]byte, error)  { return json.Marshal(j) }
func (j *joined) UnmarshalBinary(b []byte) error  { return json.Unmarshal(b, j) }

// summed is a user's aggregate that can take rows back.
type summed struct{ n int64 }

func (s *summed) Add(args []*delta.Vec, i int) error {
	if !args[0].Null(i) {
		s.n += args[0].I[i]
	}
	return nil
}
func (s *summed) Retract(args []*delta.Vec, i int) error {
	if !args[0].Null(i) {
		s.n -= args[0].I[i]
	}
	return nil
}
func (s *summed) Result() (types.Datum, error)   { return intD(s.n), nil }
func (s *summed) MarshalBinary() ([]byte, error) { return binary.AppendVarint(nil, s.n), nil }
func (s *summed) UnmarshalBinary(b []byte) error { s.n, _ = binary.Varint(b); return nil }

var userEnv = &expr.Env{Aggs: map[string][]*expr.AggFunc{
	"joined": {{Name: "joined", Args: []types.Type{types.Of(types.Int4)}, Ret: types.Of(types.Text), Kind: expr.AggUser, NullIn: true,
		New: func() (expr.AggState, error) { return &joined{}, nil }}},
	"summed": {{Name: "summed", Args: []types.Type{types.Of(types.Int4)}, Ret: types.Of(types.Int8), Kind: expr.AggUser, NullIn: true, Retractable: true,
		New: func() (expr.AggState, error) { return &summed{}, nil }}},
}}

var eventInput = []plan.Column{column("k", types.Int8), column("x", types.Int4), column("ts", types.Timestamptz)}

// userModel computes the aggregates of eventInput by k: joined in the order of
// ts, x, summed, count and max(ts).
func userModel(n *plan.Node, in *zset) *zset {
	groups := map[int64][][]types.Datum{}
	in.each(func(row []types.Datum, w int64) {
		for range w {
			groups[row[0].I] = append(groups[row[0].I], row)
		}
	})
	out := newZset()
	for k, rs := range groups {
		slices.SortStableFunc(rs, func(a, b []types.Datum) int {
			return bytes.Compare(orderKeyOf(eventInput, a, []plan.Order{{Col: 2}, {Col: 1}}), orderKeyOf(eventInput, b, []plan.Order{{Col: 2}, {Col: 1}}))
		})
		s, sum, most := "", int64(0), types.NullDatum
		for _, r := range rs {
			if !r[1].Null {
				s += fmt.Sprint(r[1].I, " ")
				sum += r[1].I
			}
			if !r[2].Null && (most.Null || r[2].I > most.I) {
				most = r[2]
			}
		}
		out.add(n.Out, []types.Datum{intD(k), textD(s), intD(sum), intD(int64(len(rs))), most}, 1)
	}
	return out
}

func userNode(in *plan.Node) *plan.Node {
	return aggNode(in, []int{0}, orderBy(aggCall("joined(integer)", types.Text, 1), plan.Order{Col: 2}), aggCall("summed(integer)", types.Int8, 1),
		aggCall("count()", types.Int8), aggCall("max(timestamp with time zone)", types.Timestamptz, 2))
}

func TestAggUser(t *testing.T) {
	n := userNode(scanOf(1, eventInput...))
	for seed := range int64(4) {
		rng := rand.New(rand.NewSource(seed))
		p := newPipeline(t, n, userEnv)
		in := newZset()
		for step := range 25 {
			var cs []change
			for range rng.Intn(15) {
				cs = append(cs, change{[]types.Datum{intD(rng.Int63n(4)), maybeNull(rng, intD(rng.Int63n(10))), maybeNull(rng, intD(rng.Int63n(9)))}, 1})
			}
			in.each(func(row []types.Datum, w int64) {
				if rng.Intn(5) == 0 {
					cs = append(cs, change{row, -w})
				}
			})
			undo := rng.Intn(4) == 0
			if err := p.step(rng, cs, NoWatermark, undo); err != nil {
				t.Fatal(err)
			}
			if !undo {
				for _, c := range cs {
					in.add(eventInput, c.row, c.w)
				}
			}
			if rng.Intn(5) == 0 {
				p.restart(1 + rng.Intn(4))
			}
			if s := diff(n.Out, p.out, userModel(n, in)); s != "" {
				t.Fatalf("seed %d, step %d:\n%s", seed, step, s)
			}
		}
	}
}

// TestAggUserError: the error of a user's function shows the row, and the step
// can be undone.
func TestAggUserError(t *testing.T) {
	n := userNode(scanOf(1, eventInput...))
	p := newPipeline(t, n, userEnv)
	rng := rand.New(rand.NewSource(1))
	row := func(x int64) change { return change{[]types.Datum{intD(1), intD(x), intD(x)}, 1} }
	if err := p.step(rng, []change{row(1), row(2)}, NoWatermark, false); err != nil {
		t.Fatal(err)
	}
	err := p.step(rng, []change{row(3), row(13)}, NoWatermark, false)
	var re *RowError
	if !errors.As(err, &re) || re.Row != "(x=13)" || re.Node != 3 {
		t.Fatalf("%v %+v", err, re)
	}
	if err := p.step(rng, []change{row(4)}, NoWatermark, false); err != nil {
		t.Fatal(err)
	}
	p.out.each(func(row []types.Datum, w int64) {
		if string(row[1].S) != "1 2 4 " || w != 1 {
			t.Errorf("%q × %d", row[1].S, w)
		}
	})
}

// TestAggFold: an ordered aggregate closed by the watermark keeps no row that the
// watermark has passed, and what comes behind it is late for all aggregates of
// the node.
func TestAggFold(t *testing.T) {
	in := scanOf(1, eventInput...)
	in.AppendOnly, in.Time = true, 3
	n := userNode(in)
	for seed := range int64(6) {
		rng := rand.New(rand.NewSource(seed))
		p := newPipeline(t, n, userEnv)
		all, late := newZset(), newZset()
		wm, open := int64(NoWatermark), 0
		for step := range 30 {
			var cs []change
			now := int64(step * 3)
			for range rng.Intn(12) {
				ts := maybeNull(rng, intD(now+rng.Int63n(12)-5))
				if seed%2 == 0 {
					ts = intD(now + rng.Int63n(12) - 5)
				}
				cs = append(cs, change{[]types.Datum{intD(rng.Int63n(4)), maybeNull(rng, intD(rng.Int63n(10))), ts}, 1})
			}
			next := max(wm, now-rng.Int63n(5))
			undo := rng.Intn(4) == 0
			if err := p.step(rng, cs, next, undo); err != nil {
				t.Fatal(err)
			}
			if !undo {
				for _, c := range cs {
					if !c.row[2].Null && c.row[2].I < wm {
						late.add(eventInput, c.row, 1)
					} else {
						all.add(eventInput, c.row, 1)
					}
				}
				wm = next
			}
			if rng.Intn(6) == 0 {
				p.restart(1 + rng.Intn(4))
			}
			if s := diff(n.Out, p.out, userModel(n, all)); s != "" {
				t.Fatalf("seed %d, step %d:\n%s", seed, step, s)
			}
			if s := diff(eventInput, p.late, late); s != "" {
				t.Fatalf("seed %d, step %d: late:\n%s", seed, step, s)
			}
			open = 0
			all.each(func(row []types.Datum, w int64) {
				if row[2].Null || row[2].I >= wm {
					open++
				}
			})
			if got := p.rows(); got > 4+2*open {
				t.Fatalf("seed %d, step %d: %d entries of state for %d open rows", seed, step, got, open)
			}
		}
		if len(late.w) == 0 {
			t.Error("nothing was late")
		}
	}
}

// TestAggClose: the watermark closes groups; their answers stay, their state
// goes, and their rows are late, retractions too.
func TestAggClose(t *testing.T) {
	for _, shift := range []int{0, 1, closeShift} {
		t.Run(fmt.Sprint(shift), func(t *testing.T) {
			defer func(s, p int) { closeShift, closePrune = s, p }(closeShift, closePrune)
			closeShift, closePrune = shift, 2
			testAggClose(t, shift < 2)
		})
	}
}

// testAggClose evicts groups, of which what is closed goes when the bucket of its
// time is over: buckets must be short.
func testAggClose(t *testing.T, evict bool) {
	for _, end := range []bool{false, true} {
		in := scanOf(1, eventInput...)
		in.Time, in.TimeEnd = 3, end
		keys := []int{0, 2}
		n := aggNode(in, keys, aggCall("count()", types.Int8), aggCall("max(integer)", types.Int4, 1), distinctly(aggCall("count(any)", types.Int8, 1)))
		n.Time, n.TimeEnd = 2, end
		for seed := range int64(6) {
			rng := rand.New(rand.NewSource(seed))
			c := newClosing(t, n, in)
			for step := range 30 {
				var cs []change
				now := int64(step)
				for range rng.Intn(12) {
					cs = append(cs, change{[]types.Datum{intD(rng.Int63n(3)), maybeNull(rng, intD(rng.Int63n(10))), maybeNull(rng, intD(now+rng.Int63n(5)-2))}, 1})
				}
				c.all.each(func(row []types.Datum, w int64) {
					if rng.Intn(6) == 0 {
						cs = append(cs, change{row, -1})
					}
				})
				c.step(rng, cs, now)
				switch rng.Intn(6) {
				case 0:
					c.p.restart(1 + rng.Intn(4))
				case 1, 2:
					if evict {
						c.p.states.checkpoint()
						c.p.states.each(func(t state.Table) { t.Evict(1 << 30) })
					}
				}
				if s := diff(n.Out, c.p.out, closeModel(n, c.all)); s != "" {
					t.Fatalf("end %v, seed %d, step %d:\n%s", end, seed, step, s)
				}
				if s := diff(eventInput, c.p.late, c.late); s != "" {
					t.Fatalf("end %v, seed %d, step %d: late:\n%s", end, seed, step, s)
				}
				open := c.open()
				if got := c.p.rows(); got > 4*open && !(evict && got <= 8*open+8) {
					t.Fatalf("end %v, seed %d, step %d: %d entries of state for %d open rows", end, seed, step, got, open)
				}
			}
			if c.p.d.Watermark() != c.wm {
				t.Errorf("watermark %d, want %d", c.p.d.Watermark(), c.wm)
			}
		}
	}
}

func closeModel(n *plan.Node, in *zset) *zset {
	type group struct {
		n    int64
		most types.Datum
		seen map[int64]bool
		key  []types.Datum
	}
	groups := map[string]*group{}
	in.each(func(row []types.Datum, w int64) {
		k := fmt.Sprint(row[0], row[2])
		g := groups[k]
		if g == nil {
			g = &group{most: types.NullDatum, seen: map[int64]bool{}, key: []types.Datum{row[0], row[2]}}
			groups[k] = g
		}
		g.n += w
		if !row[1].Null {
			g.seen[row[1].I] = true
			if g.most.Null || row[1].I > g.most.I {
				g.most = row[1]
			}
		}
	})
	out := newZset()
	for _, g := range groups {
		out.add(n.Out, append(g.key, intD(g.n), g.most, intD(int64(len(g.seen)))), 1)
	}
	return out
}

// TestPartitionClose: the watermark closes partitions, as it does groups.
func TestPartitionClose(t *testing.T) {
	for _, n := range []plan.Node{
		{Limit: 2, Order: []plan.Order{{Col: 1, Desc: true}}, Keys: []int{2, 0}},
		{Limit: 2, Offset: 1, Order: []plan.Order{{Col: 1}}, Rank: "rank", Keys: []int{2}},
		{Limit: -1, Order: []plan.Order{{Col: 1}}, Rank: "dense_rank", Keys: []int{2}, Op: plan.Over},
	} {
		in := scanOf(1, eventInput...)
		in.Time, in.TimeEnd = 3, n.Rank == ""
		x := exchangeOf(2, in, n.Keys...)
		x.Time, x.TimeEnd = in.Time, in.TimeEnd
		n.ID, n.Inputs, n.Out = 3, []*plan.Node{x}, eventInput
		if n.Op == "" {
			n.Op = plan.TopN
		} else {
			n.Aggs = []plan.AggCall{aggCall("dense_rank", types.Int8)}
		}
		n.Time, n.TimeEnd = in.Time, in.TimeEnd
		if n.Rank != "" {
			n.Out = append(slices.Clone(eventInput), column("r", types.Int8))
		}
		for seed := range int64(6) {
			rng := rand.New(rand.NewSource(seed))
			c := newClosing(t, &n, in)
			for step := range 30 {
				var cs []change
				now := int64(step)
				for range rng.Intn(12) {
					cs = append(cs, change{[]types.Datum{intD(rng.Int63n(2)), maybeNull(rng, intD(rng.Int63n(10))), maybeNull(rng, intD(now+rng.Int63n(5)-2))}, 1})
				}
				c.all.each(func(row []types.Datum, w int64) {
					if rng.Intn(6) == 0 {
						cs = append(cs, change{row, -1})
					}
				})
				c.step(rng, cs, now)
				if rng.Intn(6) == 0 {
					c.p.restart(1 + rng.Intn(4))
				}
				if s := diff(n.Out, c.p.out, topModel(&n)([]*zset{c.all})); s != "" {
					t.Fatalf("seed %d, step %d:\n%s", seed, step, s)
				}
				if s := diff(eventInput, c.p.late, c.late); s != "" {
					t.Fatalf("seed %d, step %d: late:\n%s", seed, step, s)
				}
				open := c.open()
				if got := c.p.rows(); got > 2*open {
					t.Fatalf("seed %d, step %d: %d entries of state for %d open rows", seed, step, got, open)
				}
			}
		}
	}
}

// TestAggDurable goes on after restarts with every kind of accumulator.
func TestAggDurable(t *testing.T) {
	for name, calls := range aggTrials {
		n := aggNode(scanOf(1, aggInput...), []int{4, 0}, calls...)
		rng := rand.New(rand.NewSource(3))
		p := newPipeline(t, n, &expr.Env{})
		in := newZset()
		for step := range 20 {
			var cs []change
			for range rng.Intn(15) {
				cs = append(cs, change{aggRow(rng, 0), 1})
			}
			in.each(func(row []types.Datum, w int64) {
				if rng.Intn(5) == 0 {
					cs = append(cs, change{row, -w})
				}
			})
			undo := rng.Intn(4) == 0
			if err := p.step(rng, cs, NoWatermark, undo); err != nil {
				t.Fatal(err)
			}
			if !undo {
				for _, c := range cs {
					in.add(aggInput, c.row, c.w)
				}
			}
			switch rng.Intn(6) {
			case 0:
				p.restart(1 + rng.Intn(4))
			case 1:
				p.states.checkpoint()
				p.states.each(func(t state.Table) { t.Evict(1 << 30) })
			}
			if s := diff(n.Out, p.out, aggModel(n)([]*zset{in})); s != "" {
				t.Fatalf("%s, step %d:\n%s", name, step, s)
			}
		}
	}
}

// TestAggSingle: a scalar subquery's second row is an error at the end of a step,
// not within it.
func TestAggSingle(t *testing.T) {
	n := aggNode(scanOf(1, eventInput...), nil, aggCall("single_value(anyelement)", types.Int4, 1))
	p := newPipeline(t, n, &expr.Env{})
	rng := rand.New(rand.NewSource(1))
	row := func(x types.Datum, w int64) change { return change{[]types.Datum{intD(1), x, intD(1)}, w} }
	value := func() (d types.Datum) {
		n := 0
		p.out.each(func(r []types.Datum, w int64) { d = r[0]; n += int(w) })
		if n != 1 {
			t.Fatalf("%d rows", n)
		}
		return d
	}
	must := func(want types.Datum, cs ...change) {
		t.Helper()
		if err := p.step(rng, cs, NoWatermark, false); err != nil {
			t.Fatal(err)
		}
		if d := value(); d.Null != want.Null || d.I != want.I {
			t.Fatalf("%v, want %v", d, want)
		}
	}
	must(types.NullDatum)
	must(intD(5), row(intD(5), 1))
	must(intD(7), row(intD(7), 1), row(intD(5), -1))
	err := p.step(rng, []change{row(intD(8), 1)}, NoWatermark, false)
	if sqlerr.From(err) == nil || sqlerr.From(err).Code != sqlerr.CardinalityViolation {
		t.Fatal(err)
	}
	must(types.NullDatum, row(intD(7), -1), row(types.NullDatum, 1))
	must(types.NullDatum, row(types.NullDatum, -1))
}

// TestAggUnmatched: taking back what was not there is an internal error.
func TestAggUnmatched(t *testing.T) {
	n := aggNode(scanOf(1, eventInput...), []int{0}, aggCall("count()", types.Int8))
	p := newPipeline(t, n, &expr.Env{})
	err := p.step(rand.New(rand.NewSource(1)), []change{{[]types.Datum{intD(1), intD(1), intD(1)}, -1}}, NoWatermark, false)
	if e := sqlerr.From(err); e == nil || e.Code != sqlerr.Internal {
		t.Fatal(err)
	}
}

// TestAggOverflow is decided at the end of a step: a sum that passes the limit
// and comes back is no error.
func TestAggOverflow(t *testing.T) {
	cols := []plan.Column{column("f", types.Float8)}
	n := aggNode(scanOf(1, cols...), nil, aggCall("sum(double precision)", types.Float8, 0))
	p := newPipeline(t, n, &expr.Env{})
	rng := rand.New(rand.NewSource(1))
	f := func(x float64, w int64) change { return change{[]types.Datum{{F: x}}, w} }
	if err := p.step(rng, []change{f(1e308, 1), f(1.5e308, 1), f(-1.2e308, 1), f(1, 1)}, NoWatermark, false); err != nil {
		t.Fatal(err)
	}
	err := p.step(rng, []change{f(1.2e308, 2)}, NoWatermark, false)
	if e := sqlerr.From(err); e == nil || e.Code != sqlerr.NumericOutOfRange {
		t.Fatal(err)
	}
	if err := p.step(rng, []change{f(1e308, -1), f(1.5e308, -1), f(-1.2e308, -1)}, NoWatermark, false); err != nil {
		t.Fatal(err)
	}
	p.out.each(func(r []types.Datum, w int64) {
		if r[0].F != 1 || w != 1 {
			t.Errorf("%v × %d", r[0].F, w)
		}
	})
}

// TestAggLongAnswers: batches of long answers are cut.
func TestAggLongAnswers(t *testing.T) {
	cols := []plan.Column{column("k", types.Int8), column("s", types.Text), column("d", types.Text)}
	in := scanOf(1, cols...)
	n := &plan.Node{ID: 3, Op: plan.Agg, Inputs: []*plan.Node{in}, Keys: []int{0}, Aggs: []plan.AggCall{aggCall("string_agg(text,text)", types.Text, 1, 2)},
		Out: []plan.Column{cols[0], cols[1]}}
	rows, most := 0, 0
	d, err := Build(n, Options{Env: &expr.Env{}, Output: func(b *delta.Batch) error {
		rows += b.N
		most = max(most, len(b.Cols[1].Buf))
		return nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	d.Begin(nil)
	long := bytes.Repeat([]byte("x"), 100_000)
	for range 3 {
		b := &delta.Batch{N: 100, Cols: newCols(cols, 100)}
		for k := range b.N {
			b.Cols[0].AppendInt(int64(k))
			b.Cols[1].AppendBytes(long)
			b.Cols[2].AppendNull()
		}
		if err := d.Push(in, b); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.Finish(); err != nil {
		t.Fatal(err)
	}
	d.Commit()
	if rows != 100 || most > maxBuf+400_000 {
		t.Errorf("%d rows, %d bytes in a column", rows, most)
	}
}
