package expr

import (
	"sync"

	"github.com/streamsql/streamsql/sql/delta"
	"github.com/streamsql/streamsql/sql/types"
)

// relabels tells whether a cast leaves every value as it is.
func relabels(from, to types.Type) bool {
	if from.ID == to.ID && from.Elem == to.Elem {
		switch {
		case to.Mod == 0 || from.Mod == to.Mod:
			return true
		case to.ID == types.Varchar:
			return from.Mod != 0 && from.Mod < to.Mod
		}
		return false
	}
	if to.Mod != 0 {
		return false
	}
	switch from.ID {
	case types.Bool:
		return to.ID == types.Int4
	case types.Int2:
		return to.ID == types.Int4 || to.ID == types.Int8
	case types.Int4:
		return to.ID == types.Int8
	case types.OID, types.Regclass, types.Regtype:
		return to.ID == types.OID || to.ID == types.Int8 || from.ID == types.OID && isOID(to)
	case types.Float4:
		return to.ID == types.Float8
	case types.Text, types.Varchar:
		return to.ID == types.Text || to.ID == types.Varchar || to.ID == types.Bpchar
	case types.Name, types.Char, types.Unknown:
		return to.ID == types.Text || to.ID == types.Varchar || to.ID == types.Bpchar && from.ID != types.Unknown
	case types.JSONB:
		return to.ID == types.JSON
	case types.Array:
		return to.ID == types.Array && relabels(types.Of(from.Elem), types.Of(to.Elem))
	}
	return false
}

type castKey struct {
	from, to types.Type
	explicit bool
}

var castCache sync.Map // castKey → *Func

// castFunc returns the function that casts from to to, or nil.
func castFunc(from, to types.Type, explicit bool) *Func {
	k := castKey{from, to, explicit}
	if f, ok := castCache.Load(k); ok {
		return f.(*Func)
	}
	f := makeCast(from, to, explicit)
	if f != nil {
		f.Name, f.Args, f.Ret = "cast", []types.Type{from}, to
	}
	castCache.Store(k, f)
	return f
}

// safe and failing casts.
func safe(eval func(*Batch) error) *Func  { return &Func{Eval: eval} }
func fails(eval func(*Batch) error) *Func { return &Func{Eval: eval, MayFail: true} }

func makeCast(from, to types.Type, explicit bool) *Func {
	if relabels(from, to) {
		return safe(func(c *Batch) error { *c.Out = *c.Args[0].V; return nil })
	}
	var f *Func
	switch {
	case castNeeds(from, to) == never:
		return nil
	case from.ID == types.Array && to.ID == types.Array:
		return castArray(from, to, explicit)
	case isString(to) || to.ID == types.Char:
		f = castToText(from, to, explicit)
	case isString(from) || from.ID == types.Unknown:
		f = castFromText(from, to, explicit)
	case isNumber(from) && isNumber(to):
		f = castNumber(from, to)
	case isTime(from) || isTime(to):
		f = castTime(from, to)
	default:
		f = castOther(from, to)
	}
	return f
}

// applyMod brings a value to the modifier of its type.
func applyMod(d types.Datum, t types.Type, explicit bool) (types.Datum, error) {
	if t.Mod == 0 || d.Null {
		return d, nil
	}
	switch t.ID {
	case types.Numeric:
		b, err := types.NumericApply(nil, t, d.S)
		return types.Datum{S: b}, err
	case types.Varchar, types.Bpchar:
		s := d.S
		if explicit {
			s = cutRunes(s, int(t.Mod))
		}
		return types.ParseText(t, string(s))
	case types.Time, types.Timestamp, types.Timestamptz:
		return types.Datum{I: roundMicros(d.I, int(t.Mod)-1)}, nil
	case types.Array:
		var out []byte
		for _, e := range types.Elems(d.S, t.Elem) {
			v, err := applyMod(e, types.Type{ID: t.Elem, Mod: t.Mod}, explicit)
			if err != nil {
				return d, err
			}
			out = types.AppendElem(out, t.Elem, v)
		}
		return types.Datum{S: out}, nil
	}
	return d, nil
}

// cutRunes returns the first n characters.
func cutRunes(b []byte, n int) []byte {
	for i := range string(b) {
		if n == 0 {
			return b[:i]
		}
		n--
	}
	return b
}

func roundMicros(us int64, digits int) int64 {
	if digits < 0 || digits >= 6 || types.Infinite(us) {
		return us
	}
	unit := int64(1)
	for range 6 - digits {
		unit *= 10
	}
	q, r := us/unit, us%unit
	switch {
	case 2*r >= unit:
		q++
	case 2*r <= -unit:
		q--
	}
	return q * unit
}

// withMod makes a function apply the modifier of to behind f.
func withMod(f func(c *Batch, i int) (types.Datum, error), to types.Type, explicit bool) *Func {
	if to.Mod == 0 {
		return fails(datums(f))
	}
	return fails(datums(func(c *Batch, i int) (types.Datum, error) {
		d, err := f(c, i)
		if err != nil {
			return d, err
		}
		return applyMod(d, to, explicit)
	}))
}

// castArray casts the elements of all rows as one column.
func castArray(from, to types.Type, explicit bool) *Func {
	inFrom, inTo := types.Of(from.Elem), types.Type{ID: to.Elem, Mod: to.Mod}
	inner := castFunc(inFrom, inTo, explicit)
	if inner == nil {
		return nil
	}
	return &Func{Vol: inner.Vol, MayFail: inner.MayFail, Eval: func(c *Batch) error {
		elems := delta.NewVec(inFrom, c.N)
		var ends, owner []int32
		for i := range c.N {
			if !c.Skip(i) {
				for _, d := range types.Elems(c.Bytes(0, i), from.Elem) {
					elems.AppendDatum(d)
					owner = append(owner, int32(i))
				}
			}
			ends = append(ends, int32(elems.N))
		}
		cast := elems
		if elems.N > 0 {
			n := &callNode{f: inner, t: inTo, args: []node{&colNode{}}, b: Batch{Args: make([]Arg, 1)}}
			a, err := n.eval(c.Ctx, &delta.Batch{N: elems.N, Cols: []*delta.Vec{elems}})
			if err != nil {
				e := asEvalError(err).(*EvalError)
				return rowError(int(owner[e.Row]), e.Err)
			}
			cast = a.V
		}
		k := int32(0)
		for _, end := range ends {
			for ; k < end; k++ {
				c.Out.Buf = types.AppendElem(c.Out.Buf, to.Elem, cast.Datum(int(k)))
			}
			c.Out.Off = append(c.Out.Off, int32(len(c.Out.Buf)))
		}
		return nil
	}}
}
