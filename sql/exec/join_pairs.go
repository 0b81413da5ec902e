package exec

import (
	"github.com/streamsql/streamsql/sql/delta"
	"github.com/streamsql/streamsql/sql/plan"
)

// joinPairs collects pairs of a batch's rows with rows of the other side, and
// works them off in batches: condition, matches, output.
type joinPairs struct {
	j  *join
	in int
	b  *delta.Batch

	sel   []int32      // rows of b
	w     []int64      // weight of the pair
	m     []int64      // weight of the other side's row
	other []*delta.Vec // rows of the other side
	keys  Keys         // their keys, if matches are kept of them
	text  []*delta.Vec // columns of b of variable length
	bytes int
}

// begin starts a batch of input in.
func (p *joinPairs) begin(j *join, in int, b *delta.Batch) {
	p.j, p.in, p.b = j, in, b
	p.text = textOf(p.text, b)
	p.clear()
}

func (p *joinPairs) clear() {
	p.sel, p.w, p.m = p.sel[:0], p.w[:0], p.m[:0]
	p.keys.Reset()
	p.other = nil
	p.bytes = 0
}

// add adds row i of the batch, of weight w, with the row of the other side at
// which it stands, under the join key key.
func (p *joinPairs) add(i int32, w int64, key []byte, it *rowIter, out Emit) error {
	o := &p.j.side[1-p.in]
	if p.other == nil {
		p.other = newCols(o.cols, 64)
	}
	pw, err := mulWeights(w, it.w)
	if err != nil {
		return err
	}
	p.sel = append(p.sel, i)
	p.w = append(p.w, pw)
	p.m = append(p.m, it.w)
	if _, err := DecodeRow(it.row, nil, p.other); err != nil {
		return err
	}
	if o.match != nil {
		p.keys.Buf = append(append(p.keys.Buf, key...), it.row...)
		p.keys.End()
	}
	p.bytes += len(it.row) + textBytes(p.text, i)
	if len(p.sel) < delta.MaxRows && p.bytes < maxBuf {
		return nil
	}
	return p.flush(out)
}

// flush works off the pairs collected.
func (p *joinPairs) flush(out Emit) error {
	n := len(p.sel)
	if n == 0 {
		return nil
	}
	j := p.j
	// A condition may leave nothing to emit for long.
	if err := j.w.check(); err != nil {
		return err
	}
	mine := make([]*delta.Vec, len(p.b.Cols))
	for c, v := range p.b.Cols {
		mine[c] = v.Gather(p.sel)
	}
	o := &delta.Batch{N: n, Cols: make([]*delta.Vec, 0, len(mine)+len(p.other))}
	if p.in == 0 {
		o.Cols = append(append(o.Cols, mine...), p.other...)
	} else {
		o.Cols = append(append(o.Cols, p.other...), mine...)
	}
	var sel []int32
	if j.residual != nil {
		var err error
		if j.sel, err = j.residual.Filter(j.step.ctx, o, j.sel); err != nil {
			return rowError(err, j.n, o, append(append([]plan.Column{}, j.n.Inputs[0].Out...), j.n.Inputs[1].Out...))
		}
		sel = j.sel
		if err := p.count(sel, out); err != nil {
			return err
		}
	}
	pairs := j.side[p.in].pairs
	if pairs && (j.residual == nil || len(sel) > 0) {
		w := p.w
		if j.residual != nil && len(sel) < n {
			o = gather(o, sel)
			w = gatherWeights(w, sel)
		} else {
			w = append([]int64{}, w...)
		}
		if !allOnes(w) {
			o.W = w
		}
		p.clear()
		return out(o)
	}
	p.clear()
	return nil
}

// count counts the matches among the pairs sel.
func (p *joinPairs) count(sel []int32, out Emit) error {
	j := p.j
	x, o := &j.side[p.in], &j.side[1-p.in]
	if x.match != nil {
		for _, k := range sel {
			j.matches[p.sel[k]] += p.m[k]
		}
	}
	if o.match == nil {
		return nil
	}
	for _, k := range sel {
		key := p.keys.At(int(k))
		old, new := o.match.Add(key, p.b.Weight(int(p.sel[k])))
		if j.batch || (old > 0) == (new > 0) {
			continue
		}
		w := p.m[k]
		if (new > 0) != o.semi {
			w = -w
		}
		cols := j.out.row(w)
		at := 0
		if o.wide && p.in == 0 {
			at = len(j.side[0].cols)
		}
		for c, v := range p.other {
			cols[at+c].AppendFrom(v, int(k))
		}
		j.fillNulls(cols, at, len(o.cols))
		if err := j.out.done(out); err != nil {
			return err
		}
	}
	return nil
}

func allOnes(w []int64) bool {
	for _, x := range w {
		if x != 1 {
			return false
		}
	}
	return true
}
