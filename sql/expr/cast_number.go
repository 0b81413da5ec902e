package expr

import (
	"math"

	"github.com/streamsql/streamsql/sql/sqlerr"
	"github.com/streamsql/streamsql/sql/types"
)

func isInt(t types.Type) bool {
	return t.ID == types.Int2 || t.ID == types.Int4 || t.ID == types.Int8
}

func isOID(t types.Type) bool {
	return t.ID == types.OID || t.ID == types.Regclass || t.ID == types.Regtype
}

func isNumber(t types.Type) bool {
	return isInt(t) || isOID(t) || t.ID == types.Float4 || t.ID == types.Float8 || t.ID == types.Numeric
}

// rangeOf returns the range of an integer type.
func rangeOf(t types.Type) intRange { return intRanges[t.ID-types.Int2] }

func castNumber(from, to types.Type) *Func {
	intIn := from.Phys() == types.PhysInt
	floatIn := from.Phys() == types.PhysFloat
	switch {
	case intIn && isInt(to):
		if isOID(from) { // to integer: the same 32 bits
			return safe(ints(func(c *Batch, i int) (int64, error) { return int64(int32(c.Int(0, i))), nil }))
		}
		r := rangeOf(to)
		return fails(func(c *Batch) error {
			out := c.Out.I[:c.N]
			copy(out, c.Args[0].V.I)
			if r.anyOutside(out) >= 0 {
				return nil
			}
			return c.firstBad(func(i int) bool { return out[i] < r.lo || out[i] > r.hi }, r.overflow)
		})
	case intIn && isOID(to):
		return fails(ints(func(c *Batch, i int) (int64, error) {
			x := c.Int(0, i)
			if from.ID != types.Int8 {
				return int64(uint32(x)), nil
			}
			if x < 0 || x > math.MaxUint32 {
				return 0, sqlerr.New(sqlerr.NumericOutOfRange, "OID out of range")
			}
			return x, nil
		}))
	case intIn && to.ID == types.Float8:
		return safe(func(c *Batch) error {
			out := c.Out.F[:c.N]
			for i, x := range c.Args[0].V.I[:c.N] {
				out[i] = float64(x)
			}
			return nil
		})
	case intIn && to.ID == types.Float4:
		return safe(func(c *Batch) error {
			out := c.Out.F[:c.N]
			for i, x := range c.Args[0].V.I[:c.N] {
				out[i] = float64(float32(x))
			}
			return nil
		})
	case intIn && to.ID == types.Numeric:
		if to.Mod == 0 {
			return safe(bytesOf(func(c *Batch, i int, dst []byte) ([]byte, error) {
				return types.AppendNumericInt(dst, c.Int(0, i)), nil
			}))
		}
		return fails(bytesOf(func(c *Batch, i int, dst []byte) ([]byte, error) {
			return types.NumericApply(dst, to, types.AppendNumericInt(nil, c.Int(0, i)))
		}))
	case floatIn && isInt(to):
		r := rangeOf(to)
		lo, hi := float64(r.lo), -float64(r.lo)
		return fails(func(c *Batch) error {
			out := c.Out.I[:c.N]
			bad := false
			for i, x := range c.Args[0].V.F[:c.N] {
				f := math.RoundToEven(x)
				if !(f >= lo && f < hi) {
					bad = true
					f = 0
				}
				out[i] = int64(f)
			}
			if !bad {
				return nil
			}
			return c.firstBad(func(i int) bool {
				f := math.RoundToEven(c.Float(0, i))
				return !(f >= lo && f < hi)
			}, r.overflow)
		})
	case floatIn && to.ID == types.Float4:
		return fails(floats(func(c *Batch, i int) (float64, error) { return toReal(c.Float(0, i)) }))
	case floatIn && to.ID == types.Numeric:
		bits := 64
		if from.ID == types.Float4 {
			bits = 32
		}
		return fails(bytesOf(func(c *Batch, i int, dst []byte) ([]byte, error) {
			f := c.Float(0, i)
			switch {
			case math.IsInf(f, 1):
				dst = append(dst, types.NumericPosInf)
			case math.IsInf(f, -1):
				dst = append(dst, types.NumericNegInf)
			case to.Mod == 0:
				dst = types.NumericFromFloat(dst, f, bits)
			default:
				return types.NumericApply(dst, to, types.NumericFromFloat(nil, f, bits))
			}
			return dst, nil
		}))
	case from.ID == types.Numeric && isInt(to):
		r := rangeOf(to)
		return fails(ints(func(c *Batch, i int) (int64, error) { return numericToInt(c.Bytes(0, i), r) }))
	case from.ID == types.Numeric && to.Phys() == types.PhysFloat:
		if to.ID == types.Float8 {
			return fails(floats(func(c *Batch, i int) (float64, error) {
				b := c.Bytes(0, i)
				f := types.NumericFloat(b)
				if math.IsInf(f, 0) && len(b) > 1 {
					return 0, sqlerr.New(sqlerr.NumericOutOfRange, "%q is out of range for type double precision", types.FormatText(nil, from, types.Datum{S: b}))
				}
				return f, nil
			}))
		}
		return fails(floats(func(c *Batch, i int) (float64, error) { return toReal(types.NumericFloat(c.Bytes(0, i))) }))
	case from.ID == types.Numeric && to.ID == types.Numeric:
		return fails(bytesOf(func(c *Batch, i int, dst []byte) ([]byte, error) {
			return types.NumericApply(dst, to, c.Bytes(0, i))
		}))
	}
	return nil
}

func toReal(f float64) (float64, error) {
	g := float64(float32(f))
	switch {
	case math.IsInf(g, 0) && !math.IsInf(f, 0):
		return 0, sqlerr.New(sqlerr.NumericOutOfRange, "value out of range: overflow")
	case g == 0 && f != 0:
		return 0, sqlerr.New(sqlerr.NumericOutOfRange, "value out of range: underflow")
	}
	return g, nil
}

func numericToInt(b []byte, r intRange) (int64, error) {
	if len(b) > 0 && b[0] >= types.NumericNaN {
		what := "infinity"
		if b[0] == types.NumericNaN {
			what = "NaN"
		}
		return 0, sqlerr.New(sqlerr.FeatureNotSupported, "cannot convert %s to %s", what, types.Of(r.id))
	}
	n, ok := types.NumericInt(b)
	if !ok || n < r.lo || n > r.hi {
		return 0, r.overflow()
	}
	return n, nil
}

func castOther(from, to types.Type) *Func {
	switch {
	case from.ID == types.Int4 && to.ID == types.Bool:
		return safe(ints(func(c *Batch, i int) (int64, error) { return b2i(c.Int(0, i) != 0), nil }))
	case from.ID == types.Char && to.ID == types.Int4:
		return safe(ints(func(c *Batch, i int) (int64, error) {
			b := c.Bytes(0, i)
			if len(b) == 0 {
				return 0, nil
			}
			return int64(int8(b[0])), nil
		}))
	case from.ID == types.JSON && to.ID == types.JSONB:
		return fails(datums(func(c *Batch, i int) (types.Datum, error) { return types.ParseText(to, string(c.Bytes(0, i))) }))
	case from.ID == types.JSONB:
		return fails(datums(func(c *Batch, i int) (types.Datum, error) { return jsonbScalar(c.Bytes(0, i), to) }))
	}
	return nil
}

// jsonbScalar casts a jsonb number or boolean.
func jsonbScalar(b []byte, to types.Type) (types.Datum, error) {
	kind := jsonKind(b)
	want := "number"
	if to.ID == types.Bool {
		want = "boolean"
	}
	if kind != want {
		what := map[string]string{"object": "object", "array": "array", "string": "string", "number": "numeric", "boolean": "boolean", "null": "null"}[kind]
		return types.Datum{}, sqlerr.New(sqlerr.InvalidParameter, "cannot cast jsonb %s to type %s", what, types.Bare(to))
	}
	if to.ID == types.Bool {
		return types.Datum{I: b2i(b[0] == 't')}, nil
	}
	d, err := types.ParseText(types.Of(types.Numeric), string(b))
	switch {
	case err != nil || to.ID == types.Numeric && to.Mod == 0:
		return d, err
	case to.ID == types.Numeric:
		return applyMod(d, to, true)
	case isInt(to):
		n, err := numericToInt(d.S, rangeOf(to))
		return types.Datum{I: n}, err
	case to.ID == types.Float4:
		f, err := toReal(types.NumericFloat(d.S))
		return types.Datum{F: f}, err
	}
	return types.Datum{F: types.NumericFloat(d.S)}, nil
}

// jsonKind is jsonb_typeof of a json text.
func jsonKind(b []byte) string {
	for len(b) > 0 && (b[0] == ' ' || b[0] == '\t' || b[0] == '\n' || b[0] == '\r') {
		b = b[1:]
	}
	if len(b) == 0 {
		return "null"
	}
	switch b[0] {
	case '{':
		return "object"
	case '[':
		return "array"
	case '"':
		return "string"
	case 't', 'f':
		return "boolean"
	case 'n':
		return "null"
	}
	return "number"
}
