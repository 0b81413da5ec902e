package exec

import (
	"bytes"
	"encoding/binary"
	"math"

	"github.com/streamsql/streamsql/sql/delta"
	"github.com/streamsql/streamsql/sql/plan"
	"github.com/streamsql/streamsql/sql/sqlerr"
)

// fixedExtreme is min and max of integers and floats: a word of flags, and the
// answer in a form that compares as an unsigned integer. Where rows can be taken
// back, all values are in the node's multiset.
type fixedExtreme struct {
	wordAcc
	a     *agg
	num   int
	max   bool
	float bool
	stale []int32 // entries whose answer was taken back
}

const (
	extremeThere = 1
	extremeStale = 2
)

func (a *fixedExtreme) words() int { return 2 }

// order maps values to unsigned integers; with max, the greatest is the least.
func (a *fixedExtreme) order(v *delta.Vec, i int32) uint64 {
	var u uint64
	if a.float {
		u = orderFloat(v.F[i])
	} else {
		u = uint64(v.I[i]) ^ 1<<63
	}
	if a.max {
		return ^u
	}
	return u
}

func orderFloat(f float64) uint64 {
	switch {
	case f != f:
		return math.MaxUint64
	case f == 0:
		return 1 << 63 // -0 equals 0
	}
	u := math.Float64bits(f)
	if u>>63 != 0 {
		return ^u
	}
	return u | 1<<63
}

func (a *fixedExtreme) value(u uint64) uint64 {
	if a.max {
		return ^u
	}
	return u
}

func (a *fixedExtreme) apply(f *feed) error {
	v := f.args[0]
	if a.a.appendOnly {
		for _, i := range f.sel {
			w := a.a.t.Words(f.rows[i])[a.at : a.at+2]
			if u := a.order(v, i); w[0] == 0 || u < w[1] {
				w[0], w[1] = extremeThere, u
			}
		}
		return nil
	}
	for _, i := range f.sel {
		row := f.rows[i]
		u := a.order(v, i)
		k := binary.BigEndian.AppendUint64(a.a.prefix(row, a.num), u)
		a.a.key = k
		old, now := a.a.set.Add(k, f.w[i])
		w := a.a.t.Words(row)[a.at : a.at+2]
		switch {
		case old <= 0 && now > 0:
			if w[0]&extremeThere == 0 || u < w[1] {
				w[0], w[1] = w[0]|extremeThere, u
			}
		case old > 0 && now <= 0 && w[0]&extremeThere != 0 && u == w[1]:
			if w[0]&extremeStale == 0 {
				w[0] |= extremeStale
				a.stale = append(a.stale, row)
			}
		}
	}
	return nil
}

// finish looks up what the answer is now where it was taken back.
func (a *fixedExtreme) finish() error {
	for _, row := range a.stale {
		w := a.a.t.Words(row)[a.at : a.at+2]
		if w[0]&extremeStale == 0 {
			continue
		}
		w[0], w[1] = 0, 0
		k, n := a.a.first(a.a.prefix(row, a.num), false)
		if n < 0 {
			return errUnmatched(a.a.n)
		}
		if len(k) >= 8 {
			w[0], w[1] = extremeThere, binary.BigEndian.Uint64(k)
		}
	}
	a.stale = a.stale[:0]
	if a.a.set != nil {
		return a.a.set.Err()
	}
	return nil
}

func (a *fixedExtreme) results(gs *entrySet, out *delta.Vec) error {
	for _, w := range gs.words {
		u := a.value(w[a.at+1])
		switch {
		case w[a.at] == 0:
			out.AppendNull()
		case !a.float:
			out.AppendInt(int64(u ^ 1<<63))
		case u == math.MaxUint64:
			out.AppendFloat(math.NaN())
		case u>>63 != 0:
			out.AppendFloat(math.Float64frombits(u &^ (1 << 63)))
		default:
			out.AppendFloat(math.Float64frombits(^u))
		}
	}
	return nil
}

// extreme is the first or last row of a group in an order: min and max of
// strings, first_value and last_value, single_value, and the representation
// in which a group's key is shown. The slot keeps the encoded row.
type extreme struct {
	wordAcc
	a      *agg
	num    int
	max    bool
	single bool
	enc    rowEncoding
	typ    []plan.Column // of the input
	open   []openExtreme
}

type openExtreme struct {
	key   []byte // none: no row
	row   int32
	stale bool
}

func (a *extreme) words() int {
	if a.single {
		return 1
	}
	return 0
}

func (a *extreme) apply(f *feed) error {
	for _, i := range f.sel {
		row, n := f.rows[i], f.w[i]
		if a.single {
			a.a.t.Words(row)[a.at] += uint64(n)
		}
		o, err := a.a.open(row)
		if err != nil {
			return err
		}
		x := &a.open[o]
		x.row = row
		p := a.a.prefix(row, a.num)
		k := a.enc.append(p, f.b, int(i))
		a.a.key = k
		old, now := int64(0), n
		if !a.a.appendOnly {
			old, now = a.a.set.Add(k, n)
		}
		k = k[len(p):]
		switch {
		case old <= 0 && now > 0:
			c := -1
			if len(x.key) > 0 {
				c = bytes.Compare(k, x.key)
			}
			if c < 0 && (!a.max || len(x.key) == 0) || c > 0 && a.max {
				x.key = append(x.key[:0], k...)
			}
		case old > 0 && now <= 0 && bytes.Equal(k, x.key):
			x.stale = true
		}
	}
	return nil
}

func (a *extreme) finish() error {
	for i := range a.open {
		x := &a.open[i]
		if x.stale {
			x.stale = false
			k, n := a.a.first(a.a.prefix(x.row, a.num), a.max)
			if n < 0 {
				return errUnmatched(a.a.n)
			}
			x.key = append(x.key[:0], k...)
		}
		if a.single && x.row >= 0 && int64(a.a.t.Words(x.row)[a.at]) > 1 {
			return sqlerr.New(sqlerr.CardinalityViolation, "more than one row returned by a subquery used as an expression")
		}
	}
	if a.a.set != nil {
		return a.a.set.Err()
	}
	return nil
}

func (a *extreme) results(gs *entrySet, out *delta.Vec) error {
	for _, s := range gs.slot {
		if len(s) == 0 {
			out.AppendNull()
			continue
		}
		if _, err := DecodeCell(a.enc.argsOf(s), out, false); err != nil {
			return err
		}
	}
	return nil
}

func (a *extreme) load(b []byte) error {
	if n := len(a.open); n < cap(a.open) { // the key's memory is used again
		a.open = a.open[:n+1]
	} else {
		a.open = append(a.open, openExtreme{})
	}
	x := &a.open[len(a.open)-1]
	x.key, x.row, x.stale = append(x.key[:0], b...), -1, false
	return nil
}

func (a *extreme) save(i int, dst []byte) ([]byte, error) { return append(dst, a.open[i].key...), nil }
func (a *extreme) reset()                                 { a.open = a.open[:0] }
