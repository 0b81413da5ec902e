package exec

import (
	"github.com/streamsql/streamsql/sql/delta"
)

// joinBatch is a join that runs once: it holds its inputs until they are whole,
// keeps the smaller one by key and probes it with the other. It emits nothing
// that it would have to take back.
type joinBatch struct {
	*join
	held [2][]*delta.Batch
	rows [2]int
	mem  int64
	seen []bool // by entry of the side that is kept: it has a match
}

var (
	_ Operator = (*joinBatch)(nil)
	_ Holder   = (*joinBatch)(nil)
)

func (j *joinBatch) Apply(in int, b *delta.Batch, _ Emit) error {
	j.held[in] = append(j.held[in], b)
	j.rows[in] += b.N
	j.mem += batchBytes(b)
	return nil
}

func (j *joinBatch) Held() int64 { return j.mem + int64(len(j.seen)) }

func (j *joinBatch) Finish(out Emit) error {
	kept := 0
	if j.rows[1] < j.rows[0] {
		kept = 1
	}
	for _, phase := range []struct {
		in int
		do func(in int, b *delta.Batch, out Emit) error
	}{{kept, j.keep}, {1 - kept, j.probe}} {
		for k, b := range j.held[phase.in] {
			if err := j.w.check(); err != nil {
				return err
			}
			if err := phase.do(phase.in, b, out); err != nil {
				return err
			}
			j.mem -= batchBytes(b)
			j.held[phase.in][k] = nil
		}
	}
	if j.side[kept].lonely {
		return j.rest(kept, out)
	}
	return nil
}

// keep stores a batch of side in.
func (j *joinBatch) keep(in int, b *delta.Batch, out Emit) error {
	x := &j.side[in]
	x.encode(b, x.store.keep, &j.time)
	if err := j.nullKeys(in, b, out); err != nil {
		return err
	}
	x.own = x.store.h.Lookup(x.keys.Buf, x.keys.Off, true, x.own[:0])
	j.groups.build(x.own)
	for _, g := range j.groups.list {
		x.store.begin(g.id, x.keys.At(int(g.first)), j.groups.weight(g, x.at, b))
		for k := g.first; k >= 0 && x.store.keep; k = j.groups.next[k] {
			x.store.add(x.rows.At(int(k)), b.Weight(int(x.at[k])))
		}
		x.store.end()
	}
	return nil
}

// probe joins a batch of side in with what is kept of the other.
func (j *joinBatch) probe(in int, b *delta.Batch, out Emit) error {
	x, o := &j.side[in], &j.side[1-in]
	x.encode(b, false, &j.time)
	if err := j.nullKeys(in, b, out); err != nil {
		return err
	}
	j.pairs.begin(j.join, in, b)
	j.matches = resized(j.matches, b.N)
	x.other = o.store.h.Lookup(x.keys.Buf, x.keys.Off, false, x.other[:0])
	it := &j.it
	for k, id := range x.other {
		if id < 0 {
			continue
		}
		i := x.at[k]
		if j.residual == nil {
			j.matches[i] = o.store.weight(id)
			j.see(id)
		}
		if !x.pairs && j.residual == nil {
			continue
		}
		key := x.keys.At(k)
		for it.start(o.store, id, key); it.next(); {
			if err := j.pairs.add(i, b.Weight(int(i)), key, it, out); err != nil {
				return err
			}
		}
	}
	if err := j.pairs.flush(out); err != nil {
		return err
	}
	if !x.lonely {
		return nil
	}
	j.sel = j.sel[:0]
	for _, i := range x.at {
		if (j.matches[i] > 0) == x.semi {
			j.sel = append(j.sel, i)
		}
	}
	if len(j.sel) == 0 {
		return nil
	}
	return j.emitWide(in, gather(b, j.sel), out)
}

// see marks an entry as having a match.
func (j *joinBatch) see(id int32) {
	for int(id) >= len(j.seen) {
		j.seen = append(j.seen, make([]bool, int(id)+1-len(j.seen)+len(j.seen)/2)...)
	}
	j.seen[id] = true
}

// rest emits the rows of the side that was kept by whether they have a match.
func (j *joinBatch) rest(kept int, out Emit) error {
	x := &j.side[kept]
	var err error
	x.store.h.Each(func(id int32) bool {
		key := x.store.h.Key(id)
		matched := int(id) < len(j.seen) && j.seen[id]
		if j.residual == nil && matched != x.semi {
			return true
		}
		for j.it.start(x.store, id, key); j.it.next(); {
			if j.residual != nil {
				j.key = append(append(j.key[:0], key...), j.it.row...)
				if (x.match.Get(j.key) > 0) != x.semi {
					continue
				}
			}
			if err = j.lonelyRow(kept, j.it.row, j.it.w, out); err != nil {
				return false
			}
		}
		return true
	})
	if err != nil {
		return err
	}
	return j.out.flush(out)
}
