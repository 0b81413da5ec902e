package engine

import (
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/streamsql/streamsql/sql/exec"
	"github.com/streamsql/streamsql/sql/plan"
	"github.com/streamsql/streamsql/sql/types"
)

// markOr is a watermark, or NULL where there is none.
func markOr(us int64) any {
	if us == exec.NoWatermark {
		return nil
	}
	return us
}

// watermarkRows makes streamsql.watermarks: each partition, source, table with a
// watermark, operator and view.
func watermarkRows(v *virtualEnv) error {
	r, err := v.eng.timeReport(v.ctx, func(uint64) bool { return false })
	if err != nil {
		return err
	}
	for _, id := range slices.Sorted(maps.Keys(r.sources)) {
		s := r.sources[id]
		if !s.marked {
			continue
		}
		for _, p := range s.parts {
			since := p.moved
			if p.held {
				since = p.heldSince
			}
			v.add(vrow{"kind": "partition", "relation": s.name, "partition": p.part, "watermark": markOr(p.mark),
				"greatest_time": markOr(p.max), "since": timeOr(since), "idle": p.idle, "held": p.held})
		}
		row := vrow{"kind": "source", "relation": s.name, "watermark": markOr(s.wm), "since": timeOr(s.moved),
			"idle": s.allIdle != 0, "trouble": textOr(s.trouble)}
		if len(s.heldBy) > 0 {
			row["held_by"] = partNames(s.heldBy)
		}
		v.add(row)
	}
	for _, id := range slices.Sorted(maps.Keys(r.tables)) {
		t := r.tables[id]
		v.add(vrow{"kind": "table", "relation": t.name, "watermark": markOr(t.mark), "greatest_time": markOr(t.max),
			"since": timeOr(t.moved), "idle": t.restFrom != 0 && t.restFrom <= r.now})
	}
	for _, j := range r.jobs {
		for i := range j.ops {
			o := &j.ops[i]
			row := vrow{"kind": "operator", "relation": j.name, "node": o.Node, "operator": o.Name, "watermark": markOr(o.Watermark),
				"input_watermark": markOr(o.In), "rows_in": o.RowsIn, "rows_out": o.RowsOut, "held_by": textOr(r.heldBy(j, o))}
			if o.Waits {
				row["waiting"] = o.Waiting
			}
			if o.Next != math.MaxInt64 {
				row["next_close"] = o.Next
			}
			v.add(row)
		}
		row := vrow{"kind": string(j.kind), "relation": j.name, "watermark": markOr(j.wm)}
		if node, id := r.leaf(j); node != 0 {
			_, since := r.mark(id)
			row["since"], row["held_by"] = timeOr(since), textOr(r.holder(id))
		}
		if o := j.next(); o != nil {
			row["next_close"] = o.Next
		}
		v.add(row)
	}
	return nil
}

// heldBy names the input that holds an operator's watermark back.
func (r *timeReport) heldBy(j *jobTime, o *exec.OpTime) string {
	if id, ok := j.inputs[o.Node]; ok {
		if o.Plan.Time == 0 {
			return ""
		}
		return r.holder(id)
	}
	held, least := "", int64(math.MaxInt64)
	for _, n := range o.Inputs {
		in := j.op(n)
		if in == nil || in.Plan.Time == 0 || held != "" && in.Watermark >= least {
			continue
		}
		held, least = fmt.Sprintf("#%d %s", in.Node, in.Name), in.Watermark
	}
	return held
}

// holder names what holds a relation's watermark back, down to the partition.
func (r *timeReport) holder(id uint64) string {
	for range 1000 {
		if s := r.sources[id]; s != nil {
			if len(s.heldBy) == 0 {
				return "source " + s.name
			}
			return "source " + s.name + ", " + partNames(s.heldBy)
		}
		if t := r.tables[id]; t != nil {
			return "table " + t.name
		}
		j := r.job(id)
		if j == nil {
			return ""
		}
		if _, id = r.leaf(j); id == 0 {
			return ""
		}
	}
	return ""
}

// next is the operator of a job that closes something next; nil: nothing waits.
func (j *jobTime) next() *exec.OpTime {
	var best *exec.OpTime
	for i := range j.ops {
		if o := &j.ops[i]; o.Next != math.MaxInt64 && (best == nil || o.Next < best.Next) {
			best = o
		}
	}
	return best
}

// openRows makes streamsql.windows_open.
func openRows(v *virtualEnv) error {
	r, err := v.eng.timeReport(v.ctx, func(uint64) bool { return true })
	if err != nil {
		return err
	}
	for _, j := range r.jobs {
		for _, w := range j.windows {
			o := j.op(w.node)
			row := vrow{"relation": j.name, "node": w.node, "operator": o.Name, "closes_at": w.at, "groups": w.n}
			if o.In != exec.NoWatermark {
				row["away"] = types.IntervalOf(minus(w.at, o.In), 0, 0)
			}
			if size := windowSize(o.Plan); size > 0 {
				row["window_start"] = minus(w.at, size)
			}
			v.add(row)
		}
	}
	return nil
}

// windowSize is the length of the windows by whose ends a node closes; 0: it
// closes by something else, or they are not of one length.
func windowSize(n *plan.Node) int64 {
	for len(n.Inputs) == 1 && n.Inputs[0].TimeEnd {
		if n = n.Inputs[0]; n.Op == plan.Window {
			if k := n.Window.Kind; k == "tumble" || k == "hop" {
				return n.Window.Size
			}
			return 0
		}
	}
	return 0
}

// lateCountRows makes streamsql.late_rows.
func lateCountRows(v *virtualEnv) error {
	r, err := v.eng.timeReport(v.ctx, func(uint64) bool { return false })
	if err != nil {
		return err
	}
	for _, j := range r.jobs {
		for _, n := range slices.Sorted(maps.Keys(j.lateOps)) {
			l := j.lateOps[n]
			row := vrow{"relation": j.name, "node": n, "rows": l.Rows, "not_kept": l.Dropped, "expired": j.expired,
				"first": timeOr(l.First), "last": timeOr(l.Last), "kept_in": textOr(j.lateName)}
			if o := j.op(n); o != nil {
				row["operator"] = o.Name
			}
			v.add(row)
		}
	}
	return nil
}
