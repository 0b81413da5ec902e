package exec

import (
	"bytes"
	"math/bits"

	"github.com/streamsql/streamsql/sql/expr"
)

// merger is an acc whose state over some rows and that over others make the state
// over both.
type merger interface {
	acc
	// merge adds the state of an entry, its words src and the accumulator's part s
	// of its tail, to dst and d. It returns d, or what takes its place; s and d
	// are not changed.
	merge(dst, src []uint64, d, s []byte) []byte
}

var (
	_ merger = (*countAcc)(nil)
	_ merger = (*rowsAcc)(nil)
	_ merger = (*boolAcc)(nil)
	_ merger = (*intSumAcc)(nil)
	_ merger = (*intervalAcc)(nil)
	_ merger = (*numSumAcc)(nil)
	_ merger = (*floatSumAcc)(nil)
	_ merger = (*fixedExtreme)(nil)
	_ merger = (*extreme)(nil)
	_ merger = (*varAcc)(nil)
)

// merges tells whether a call's states can be merged.
func merges(fn *expr.AggFunc, distinct bool) bool {
	if distinct {
		return false
	}
	switch fn.Kind {
	case expr.AggCountStar, expr.AggCount, expr.AggSumInt, expr.AggSumBig, expr.AggAvgInt, expr.AggSumNum, expr.AggAvgNum,
		expr.AggSumFloat, expr.AggAvgFloat, expr.AggSumIntv, expr.AggAvgIntv, expr.AggBoolAnd, expr.AggBoolOr, expr.AggVar,
		expr.AggMin, expr.AggMax, expr.AggAnyValue, expr.AggFirst, expr.AggLast:
		return true
	}
	return false
}

func (a *countAcc) merge(dst, src []uint64, d, _ []byte) []byte {
	dst[a.at] += src[a.at]
	return d
}

// merge does nothing: the entry's own count is added by who merges entries.
func (a *rowsAcc) merge(_, _ []uint64, d, _ []byte) []byte { return d }

func (a *boolAcc) merge(dst, src []uint64, d, _ []byte) []byte {
	dst[a.at] += src[a.at]
	dst[a.at+1] += src[a.at+1]
	return d
}

// add128 adds a 128-bit integer in two words.
func add128(dst, src []uint64) {
	var c uint64
	dst[0], c = bits.Add64(dst[0], src[0], 0)
	dst[1] += src[1] + c
}

func (a *intSumAcc) merge(dst, src []uint64, d, _ []byte) []byte {
	dst[a.at] += src[a.at]
	add128(dst[a.at+1:a.at+3], src[a.at+1:a.at+3])
	return d
}

func (a *intervalAcc) merge(dst, src []uint64, d, _ []byte) []byte {
	dst[a.at] += src[a.at]
	add128(dst[a.at+1:a.at+3], src[a.at+1:a.at+3])
	dst[a.at+3] += src[a.at+3]
	dst[a.at+4] += src[a.at+4]
	return d
}

func (a *numSumAcc) merge(dst, src []uint64, d, s []byte) []byte {
	w, v := dst[a.at:a.at+4], src[a.at:a.at+4]
	defer func() { w[0] += v[0] }()
	switch {
	case v[1] == 0:
		return d
	case w[1] == 0:
		copy(w[1:], v[1:])
		return s
	case w[1] == v[1] && w[1]&wide == 0:
		sum := [2]uint64{w[2], w[3]}
		add128(sum[:], v[2:])
		if sum[1]+1<<61 < 1<<62 {
			w[2], w[3] = sum[0], sum[1]
			return d
		}
	}
	var x scaledSum
	for _, p := range []struct {
		w []uint64
		b []byte
	}{{w, d}, {v, s}} {
		if p.w[1]&wide == 0 {
			x.add(big128(p.w[2], p.w[3]), int(p.w[1])-1, int64(p.w[0]))
			continue
		}
		var y scaledSum
		y.decode(p.b)
		x.merge(&y)
	}
	w[1], w[2], w[3] = wide, 0, 0
	return x.encode(nil)
}

func (s *scaledSum) merge(o *scaledSum) {
	for i, n := range o.special {
		s.special[i] += n
	}
	for _, p := range o.parts {
		s.add(p.sum, p.scale, p.n)
	}
}

func (a *floatSumAcc) merge(dst, src []uint64, d, s []byte) []byte {
	w, v := dst[a.at:a.at+5], src[a.at:a.at+5]
	w[0] += v[0]
	switch {
	case v[1] == 0:
		return d
	case w[1] == 0:
		copy(w[1:], v[1:])
		return s
	case (w[1]|v[1])&wide == 0:
		x, y := [4]uint64(w[1:]), [4]uint64(v[1:])
		if alignWindows(&x, &y) {
			var c uint64
			w[1] = x[0]
			w[2], c = bits.Add64(x[1], y[1], 0)
			w[3], c = bits.Add64(x[2], y[2], c)
			w[4], _ = bits.Add64(x[3], y[3], c)
			return d
		}
	}
	var x dyadic
	for _, p := range []struct {
		w []uint64
		b []byte
	}{{w, d}, {v, s}} {
		if p.w[1]&wide == 0 {
			x.add(windowInt(p.w), int(p.w[1])-windowBias)
			continue
		}
		var y dyadic
		y.decode(p.b)
		x.merge(&y)
	}
	w[1], w[2], w[3], w[4] = wide, 0, 0, 0
	return x.encode(nil)
}

// alignWindows gives two windows, the exponent and 192 bits each, one exponent.
// It returns false if their sum might not fit.
func alignWindows(x, y *[4]uint64) bool {
	if x[0] < y[0] {
		x, y = y, x
	}
	if k := x[0] - y[0]; k != 0 {
		if k > 61 || x[3]+1<<(62-k) >= 1<<(63-k) {
			return false
		}
		x[3] = x[3]<<k | x[2]>>(64-k)
		x[2] = x[2]<<k | x[1]>>(64-k)
		x[1] <<= k
		x[0] = y[0]
	}
	return x[3]+1<<62 < 1<<63 && y[3]+1<<62 < 1<<63
}

func (d *dyadic) merge(o *dyadic) {
	for i, n := range o.special {
		d.special[i] += n
	}
	d.add(&o.m, o.e)
}

func (a *fixedExtreme) merge(dst, src []uint64, d, _ []byte) []byte {
	w, v := dst[a.at:a.at+2], src[a.at:a.at+2]
	if v[0] != 0 && (w[0] == 0 || v[1] < w[1]) {
		w[0], w[1] = v[0], v[1]
	}
	return d
}

func (a *extreme) merge(_, _ []uint64, d, s []byte) []byte {
	if len(s) == 0 || len(d) == 0 {
		return append(d[:len(d):len(d)], s...)
	}
	if c := bytes.Compare(s, d); c < 0 && !a.max || c > 0 && a.max {
		return s
	}
	return d
}

func (a *varAcc) merge(dst, src []uint64, d, s []byte) []byte {
	dst[a.at] += src[a.at]
	if len(d) == 0 {
		return s
	}
	if len(s) == 0 {
		return d
	}
	var x, y moments
	a.decode(&x, d)
	a.decode(&y, s)
	x.x.merge(&y.x)
	x.xx.merge(&y.xx)
	x.nx.merge(&y.nx)
	x.nxx.merge(&y.nxx)
	return a.encode(&x, nil)
}
