package engine

import (
	"cmp"
	"context"
	"maps"
	"math"
	"slices"

	"github.com/streamsql/streamsql/sql/exec"
	"github.com/streamsql/streamsql/sql/types"
	"github.com/streamsql/streamsql/state"
)

// StateInfo is a row of streamsql.state: what an operator holds, or a relation.
type StateInfo struct {
	Relation string
	Node     int // of the plan; -1: none, it is the relation's own rows, an index, …
	Operator string
	Keys     int64 // entries, those on disk alone included
	Memory   int64 // bytes
	Dirty    int64 // of Memory: what the next checkpoint writes
	Disk     int64 // bytes, about; -1: there is no data directory
	// Oldest is the time of the oldest entry, µs: of what waits for the watermark
	// the watermark that takes it away; exec.NoWatermark: there is none.
	Oldest  int64
	Bounded bool // it does not grow for ever; see the operator

	id  uint64 // of the relation
	ops []uint32
}

func (i *StateInfo) add(op uint32, t state.Table) {
	i.Keys += int64(t.Len())
	i.Memory += t.Bytes()
	i.Dirty += t.Dirty()
	if len(i.ops) == 0 || i.ops[len(i.ops)-1] != op {
		i.ops = append(i.ops, op)
	}
}

// stateInfos returns what everything holds, by relation and node.
func (e *Engine) stateInfos(ctx context.Context) ([]StateInfo, error) {
	var out []StateInfo
	err := e.do(ctx, func() {
		for _, id := range slices.Sorted(maps.Keys(e.relations)) {
			r := e.relations[id]
			for k, a := range r.all() {
				i := StateInfo{Relation: r.obj.Name, Node: -1, Operator: "rows", Oldest: exec.NoWatermark, Bounded: r.kept != nil, id: id}
				if k > 0 {
					i.Operator = "index " + a.obj.Name
				} else if r.kept != nil {
					i.Oldest = oldestKept(r)
				}
				i.add(a.op, a.tree)
				out = append(out, i)
			}
		}
		for id, s := range e.sources {
			if s.cuts != nil {
				i := StateInfo{Relation: s.obj.Name, Node: -1, Operator: "cuts", Oldest: exec.NoWatermark, id: id}
				i.add(s.cuts.op, s.cuts.tree)
				out = append(out, i)
			}
		}
		for _, j := range e.order {
			if j.df == nil || !j.active() { // what it held went
				continue
			}
			for _, t := range j.df.Times() {
				if !t.Stateful {
					continue
				}
				i := StateInfo{Relation: j.obj.Name, Node: t.Node, Operator: t.Name, Oldest: exec.NoWatermark, Bounded: t.Bounded, id: j.obj.ID}
				if t.Waits && t.Next != math.MaxInt64 && t.Next != math.MinInt64 {
					i.Oldest = t.Next
				}
				from := j.obj.OpBase + uint32(t.Node*exec.SubTables)
				for _, x := range j.tables.tables {
					if x.op >= from && x.op < from+exec.SubTables {
						i.add(x.op, x.Table)
					}
				}
				out = append(out, i)
			}
		}
	})
	if err != nil {
		return nil, err
	}
	for k := range out {
		i := &out[k]
		if e.store == nil {
			i.Disk = -1
			continue
		}
		for _, op := range i.ops {
			n, err := e.store.Size(op)
			if err != nil {
				return nil, err
			}
			i.Disk += n
		}
	}
	slices.SortStableFunc(out, func(a, b StateInfo) int { return cmp.Or(cmp.Compare(a.id, b.id), cmp.Compare(a.Node, b.Node)) })
	return out, nil
}

// oldestKept is when the oldest row of an internal relation came.
func oldestKept(r *relation) int64 {
	cur := r.main.tree.Cursor()
	if !cur.Seek(nil) {
		return exec.NoWatermark
	}
	t, _, err := types.DecodeKey(cur.Key(), r.types[r.main.order[0]], false)
	if err != nil || t.Null {
		return exec.NoWatermark
	}
	return t.I
}

func stateRows(v *virtualEnv) error {
	infos, err := v.eng.stateInfos(v.ctx)
	for _, i := range infos {
		row := vrow{"relation": i.Relation, "operator": i.Operator, "keys": i.Keys, "memory_bytes": i.Memory,
			"oldest": timeOr(i.Oldest), "bounded": i.Bounded}
		if i.Node >= 0 {
			row["node"] = i.Node
		}
		if i.Disk >= 0 { // there is a disk for it to go to
			row["disk_bytes"], row["dirty_bytes"] = i.Disk, i.Dirty
		}
		v.add(row)
	}
	return err
}
