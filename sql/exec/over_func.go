package exec

import (
	"math"
	"sort"
	"strings"

	"github.com/streamsql/streamsql/sql/delta"
	"github.com/streamsql/streamsql/sql/plan"
	"github.com/streamsql/streamsql/sql/sqlerr"
)

// windowFunc is a window function that is not an aggregate.
type windowFunc struct {
	call *plan.AggCall
	name string
}

var windowFuncs = map[string]bool{
	"row_number": true, "rank": true, "dense_rank": true, "percent_rank": true, "cume_dist": true, "ntile": true,
	"lag": true, "lead": true, "first_value": true, "last_value": true, "nth_value": true,
}

// addFunc makes the function of a call.
func (o *over) addFunc(c *plan.AggCall, b *builder, worker int) error {
	name, _, agg := strings.Cut(c.Fn, "(")
	if !agg || windowFuncs[name] && b.opts.Env.Aggs[name] == nil {
		if !windowFuncs[name] {
			return sqlerr.New(sqlerr.FeatureNotSupported, "window function %s is not supported", c.Fn)
		}
		o.funcs = append(o.funcs, &windowFunc{call: c, name: name})
		return nil
	}
	at := len(o.funcs)
	o.funcs = append(o.funcs, nil)
	for _, s := range o.sums {
		if sameFrame(s.frame, c.Frame) {
			s.at = append(s.at, at)
			s.calls = append(s.calls, *c)
			return s.build(o.n, b, worker)
		}
	}
	s := &frameAggs{frame: c.Frame, at: []int{at}, calls: []plan.AggCall{*c}}
	o.sums = append(o.sums, s)
	return s.build(o.n, b, worker)
}

func sameFrame(a, b *plan.Frame) bool {
	same := func(x, y *int64) bool { return x == nil && y == nil || x != nil && y != nil && *x == *y }
	if a == nil || b == nil {
		return a == b
	}
	return a.Unit == b.Unit && same(a.Start, b.Start) && same(a.End, b.End)
}

// eval appends the function's values for all rows of p to out.
func (f *windowFunc) eval(n *plan.Node, p *partition, out *delta.Vec) error {
	rows := p.b.N
	arg := func(a int) *delta.Vec { return p.b.Cols[f.call.Args[a]] }
	for i := p.skip; i < rows; i++ {
		switch f.name {
		case "row_number":
			out.AppendInt(p.dropped + int64(i) + 1)
		case "rank":
			out.AppendInt(p.dropped + int64(p.first[i]) + 1)
		case "dense_rank":
			out.AppendInt(p.droppedGroups + int64(p.group[i]) + 1)
		case "percent_rank":
			if rows == 1 {
				out.AppendFloat(0)
			} else {
				out.AppendFloat(float64(p.first[i]) / float64(rows-1))
			}
		case "cume_dist":
			out.AppendFloat(float64(p.end[i]) / float64(rows))
		case "ntile":
			// PostgreSQL takes the argument at the partition's first row.
			if arg(0).Null(0) {
				out.AppendNull()
				continue
			}
			k := arg(0).I[0]
			if k <= 0 {
				return sqlerr.New("22014", "argument of ntile must be greater than zero")
			}
			size, rest := int64(rows)/k, int64(rows)%k // the first rest buckets have one more
			if at := int64(i); at < rest*(size+1) {
				out.AppendInt(at/(size+1) + 1)
			} else {
				out.AppendInt(rest + (at-rest*(size+1))/max(size, 1) + 1)
			}
		case "lag", "lead":
			by := int64(1)
			if len(f.call.Args) > 1 {
				if arg(1).Null(i) {
					out.AppendNull()
					continue
				}
				by = arg(1).I[i]
			}
			if f.name == "lag" {
				by = -by
			}
			switch j := int64(i) + by; {
			case j >= 0 && j < int64(rows):
				out.AppendFrom(arg(0), int(j))
			case len(f.call.Args) > 2:
				out.AppendFrom(arg(2), i)
			default:
				out.AppendNull()
			}
		case "first_value", "last_value", "nth_value":
			from, to := frameOf(f.call.Frame, n, p, i)
			if fr := f.call.Frame; f.name == "first_value" && (fr == nil || fr.Start == nil) && p.firstRow != nil {
				out.AppendFrom(p.firstRow[f.call.Args[0]], 0)
				continue
			}
			j := from
			switch f.name {
			case "last_value":
				j = to - 1
			case "nth_value":
				if arg(1).Null(i) {
					out.AppendNull()
					continue
				}
				k := arg(1).I[i]
				if k <= 0 {
					return sqlerr.New("22016", "argument of nth_value must be greater than zero")
				}
				if k > int64(rows) {
					k = int64(rows) + 1
				}
				j = from + int(k) - 1
			}
			if j >= from && j < to {
				out.AppendFrom(arg(0), j)
			} else {
				out.AppendNull()
			}
		}
	}
	return nil
}

func addClamped(x, y int64) int64 {
	s := x + y
	switch {
	case y > 0 && s < x:
		return math.MaxInt64
	case y < 0 && s > x:
		return math.MinInt64
	}
	return s
}

func clampRow(x int64, n int) int { return int(min(max(x, 0), int64(n))) }

// frameOf returns the rows from to to-1 of row i's frame. Neither goes back as i
// grows.
func frameOf(f *plan.Frame, n *plan.Node, p *partition, i int) (from, to int) {
	rows := p.b.N
	if f == nil {
		return 0, int(p.end[i])
	}
	from, to = 0, rows
	switch f.Unit {
	case "rows":
		if f.Start != nil {
			from = clampRow(addClamped(int64(i), *f.Start), rows)
		}
		if f.End != nil {
			to = clampRow(addClamped(addClamped(int64(i), *f.End), 1), rows)
		}
	case "groups":
		last := int64(len(p.groups) - 1)
		g := int64(p.group[i])
		if f.Start != nil {
			from = int(p.groups[min(max(addClamped(g, *f.Start), 0), last)])
		}
		if f.End != nil {
			to = int(p.groups[min(max(addClamped(addClamped(g, *f.End), 1), 0), last)])
		}
	default: // range
		if f.Start != nil {
			from = int(p.first[i])
			if *f.Start != 0 {
				from = rangeBound(n, p, i, *f.Start, false)
			}
		}
		if f.End != nil {
			to = int(p.end[i])
			if *f.End != 0 {
				to = rangeBound(n, p, i, *f.End, true)
			}
		}
	}
	return from, max(from, to)
}

// rangeBound returns the first row whose value is at least by away from row i's,
// or with behind further away. NULLs are away from NULLs alone by nothing.
func rangeBound(n *plan.Node, p *partition, i int, by int64, behind bool) int {
	o := n.Order[0]
	v := p.b.Cols[o.Col]
	if v.Null(i) {
		if behind {
			return int(p.end[i])
		}
		return int(p.first[i])
	}
	// The rows that are not NULL: NULLs are one group of peers, at either end.
	lo, hi := 0, p.b.N
	if v.Null(0) {
		lo = int(p.end[0])
	}
	if v.Null(hi - 1) {
		hi = int(p.first[hi-1])
	}
	value := func(j int) int64 {
		if o.Desc {
			return ^v.I[j] // reverses the order
		}
		return v.I[j]
	}
	limit := addClamped(value(i), by)
	return lo + sort.Search(hi-lo, func(j int) bool {
		if behind {
			return value(lo+j) > limit
		}
		return value(lo+j) >= limit
	})
}

// frameAggs is the aggregates with one frame: an aggregate without keys in tables
// of its own, to which rows are added that enter the frame, and from which those
// are taken back that leave it.
type frameAggs struct {
	frame *plan.Frame
	at    []int // places among the functions
	calls []plan.AggCall
	a     *agg
	idx   []int32
}

func (s *frameAggs) build(n *plan.Node, b *builder, worker int) error {
	in := *n.Inputs[0]
	in.AppendOnly, in.Time = onlyEnter(s.frame), 0
	node := &plan.Node{ID: n.ID, Op: plan.Agg, Inputs: []*plan.Node{&in}}
	for _, c := range s.calls {
		c.Order = n.Order // for those that depend on it
		node.Aggs = append(node.Aggs, c)
		node.Out = append(node.Out, plan.Column{Type: c.Type})
	}
	own := &builder{opts: Options{Env: b.opts.Env, Workers: 1}, d: b.d, step: b.step, cur: &inst{}}
	op, err := newAgg(node, own, worker)
	if err != nil {
		return err
	}
	s.a = op.(*agg)
	return nil
}

func (s *frameAggs) begin() {
	s.a.t.Begin()
	if s.a.set != nil {
		s.a.set.Begin()
	}
}

// clear empties the tables.
func (s *frameAggs) clear() {
	s.a.Rollback()
	s.a.t.Rollback()
	if s.a.set != nil {
		s.a.set.Rollback()
	}
}

// eval appends the aggregates' values for the rows of p that are shown. folded
// begins with their state over the rows before, if they have one; what follows
// it is returned.
func (s *frameAggs) eval(n *plan.Node, p *partition, vals []*delta.Vec, folded []byte) ([]byte, error) {
	outs := make([]*delta.Vec, len(s.at))
	for k, at := range s.at {
		outs[k] = vals[at]
	}
	s.begin()
	defer s.clear()
	lo, hi := 0, 0 // the rows that are in
	if len(folded) > 0 && (s.frame == nil || s.frame.Start == nil) {
		folded = s.seed(folded)
		hi = p.skip
	}
	for i := p.skip; i < p.b.N; i++ {
		from, to := frameOf(s.frame, n, p, i)
		if i > p.skip && from == lo && to == hi {
			for _, v := range outs {
				v.AppendFrom(v, v.N-1)
			}
			continue
		}
		if err := s.feed(p, lo, min(from, hi), -1); err != nil {
			return nil, err
		}
		lo = from
		hi = max(hi, lo)
		if err := s.feed(p, hi, to, 1); err != nil {
			return nil, err
		}
		hi = max(hi, to)
		if err := s.a.current(outs); err != nil {
			return nil, err
		}
	}
	return folded, nil
}

// feed adds rows from to to-1 with weight w.
func (s *frameAggs) feed(p *partition, from, to int, w int64) error {
	for from < to {
		n := min(to-from, delta.MaxRows)
		s.idx = s.idx[:0]
		for i := range n {
			s.idx = append(s.idx, int32(from+i))
		}
		b := p.b.Gather(s.idx)
		if w != 1 {
			b.W = make([]int64, n)
			for i := range b.W {
				b.W[i] = w
			}
		}
		if err := s.a.Apply(0, b, nil); err != nil {
			return err
		}
		from += n
	}
	return nil
}

// current appends the answers of an aggregate without keys as they are now.
func (a *agg) current(outs []*delta.Vec) error {
	row := a.t.Get([]byte{0}, true)
	a.t.Touch(row)
	for _, x := range a.accs {
		if err := x.finish(); err != nil {
			return err
		}
	}
	if err := a.closeSlots(); err != nil {
		return err
	}
	e := entrySet{words: [][]uint64{a.t.Words(row)}, tails: [][]byte{a.t.Tail(row)}}
	slot := 0
	for i, x := range a.accs {
		if _, ok := inner(x).(slotted); ok {
			e.cut(slot)
			slot++
		}
		if err := x.results(&e, outs[i]); err != nil {
			return err
		}
	}
	return nil
}
