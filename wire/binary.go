package wire

import (
	"encoding/binary"
	"math"
	"unicode/utf8"

	"github.com/streamsql/streamsql/sql/sqlerr"
	"github.com/streamsql/streamsql/sql/types"
)

// PostgreSQL counts dates and times from 2000-01-01.
const (
	epochDays   = 10_957
	epochMicros = epochDays * 86_400_000_000

	// 4713-11-24 BC, the first day of both, and the day after 5874897-12-31.
	minDays = -2_440_588
	endDays = 2_145_042_906

	invalidBinary = "22P03"
)

var be = binary.BigEndian

// AppendBinary appends the binary form of d, a value of type t that is not NULL.
func AppendBinary(dst []byte, t types.Type, d types.Datum) ([]byte, error) {
	switch t.ID {
	case types.Bool:
		return append(dst, byte(d.I&1)), nil
	case types.Int2:
		return be.AppendUint16(dst, uint16(d.I)), nil
	case types.Int4, types.OID, types.Regclass, types.Regtype:
		return be.AppendUint32(dst, uint32(d.I)), nil
	case types.Int8, types.Time:
		return be.AppendUint64(dst, uint64(d.I)), nil
	case types.Float4:
		return be.AppendUint32(dst, math.Float32bits(float32(d.F))), nil
	case types.Float8:
		return be.AppendUint64(dst, math.Float64bits(d.F)), nil
	case types.Numeric:
		return appendNumeric(dst, d)
	case types.Date:
		switch n := d.I - epochDays; {
		case d.I == types.PosInfinity:
			return be.AppendUint32(dst, math.MaxInt32), nil
		case d.I == types.NegInfinity:
			return be.AppendUint32(dst, 1<<31), nil
		case n > math.MinInt32 && n < math.MaxInt32:
			return be.AppendUint32(dst, uint32(n)), nil
		}
		return nil, outOfRange(t)
	case types.Timestamp, types.Timestamptz:
		n := d.I
		if n != types.PosInfinity && n != types.NegInfinity {
			if n < types.NegInfinity+epochMicros+1 {
				return nil, outOfRange(t)
			}
			n -= epochMicros
		}
		return be.AppendUint64(dst, uint64(n)), nil
	case types.Interval:
		us, days, months := types.IntervalParts(d.S)
		dst = be.AppendUint64(dst, uint64(us))
		return be.AppendUint32(be.AppendUint32(dst, uint32(days)), uint32(months)), nil
	case types.JSONB:
		return append(append(dst, 1), d.S...), nil
	case types.Char:
		if len(d.S) == 0 { // the byte 0, which has no text
			return append(dst, 0), nil
		}
		return append(dst, d.S[0]), nil
	case types.Text, types.Varchar, types.Bpchar, types.Name, types.Unknown, types.JSON, types.Bytea, types.UUID, types.Void:
		return append(dst, d.S...), nil
	case types.Array:
		return appendArray(dst, t, d)
	}
	return nil, sqlerr.New(sqlerr.UndefinedFunction, "no binary output function available for type %s", types.Bare(t))
}

func appendArray(dst []byte, t types.Type, d types.Datum) ([]byte, error) {
	elems, elem := types.Elems(d.S, t.Elem), types.Of(t.Elem)
	if len(elems) == 0 {
		return be.AppendUint32(append(dst, 0, 0, 0, 0, 0, 0, 0, 0), elem.OID()), nil
	}
	dst = append(dst, 0, 0, 0, 1, 0, 0, 0, 0)
	flags := len(dst) - 1
	dst = be.AppendUint32(dst, elem.OID())
	dst = append(be.AppendUint32(dst, uint32(len(elems))), 0, 0, 0, 1)
	for _, e := range elems {
		if e.Null {
			dst[flags] = 1
			dst = be.AppendUint32(dst, math.MaxUint32)
			continue
		}
		at := len(dst)
		var err error
		if dst, err = AppendBinary(append(dst, 0, 0, 0, 0), elem, e); err != nil {
			return nil, err
		}
		be.PutUint32(dst[at:], uint32(len(dst)-at-4))
	}
	return dst, nil
}

func outOfRange(t types.Type) error {
	return sqlerr.New(sqlerr.DatetimeOverflow, "%s out of range", types.Bare(t))
}

// sizes are the lengths of the binary forms that have one length.
var sizes = map[types.ID]int{
	types.Bool: 1, types.Int2: 2, types.Int4: 4, types.Int8: 8, types.OID: 4, types.Regclass: 4, types.Regtype: 4,
	types.Float4: 4, types.Float8: 8, types.Date: 4, types.Time: 8, types.Timestamp: 8, types.Timestamptz: 8,
	types.Interval: 16, types.UUID: 16, types.Char: 1,
}

// DecodeBinary reads the binary form of a value of type t. Strings alias b.
// Errors: 22P03 for what cannot be one, 22021 for text that is not UTF-8, 22008
// for dates and times out of range, and those of types.ParseText.
func DecodeBinary(t types.Type, b []byte) (types.Datum, error) {
	if n, fixed := sizes[t.ID]; fixed && len(b) != n {
		return types.Datum{}, badBinary(t)
	}
	switch t.ID {
	case types.Bool:
		if b[0] != 0 {
			return types.Datum{I: 1}, nil
		}
		return types.Datum{}, nil
	case types.Int2:
		return types.Datum{I: int64(int16(be.Uint16(b)))}, nil
	case types.Int4:
		return types.Datum{I: int64(int32(be.Uint32(b)))}, nil
	case types.OID, types.Regclass, types.Regtype:
		return types.Datum{I: int64(be.Uint32(b))}, nil
	case types.Int8:
		return types.Datum{I: int64(be.Uint64(b))}, nil
	case types.Float4:
		return types.Datum{F: float64(math.Float32frombits(be.Uint32(b)))}, nil
	case types.Float8:
		return types.Datum{F: math.Float64frombits(be.Uint64(b))}, nil
	case types.Numeric:
		return decodeNumeric(t, b)
	case types.Date:
		switch n := int32(be.Uint32(b)); {
		case n == math.MaxInt32:
			return types.Datum{I: types.PosInfinity}, nil
		case n == math.MinInt32:
			return types.Datum{I: types.NegInfinity}, nil
		case int64(n)+epochDays < minDays || int64(n)+epochDays >= endDays:
			return types.Datum{}, outOfRange(t)
		default:
			return types.Datum{I: int64(n) + epochDays}, nil
		}
	case types.Time:
		if n := int64(be.Uint64(b)); n >= 0 && n <= 86_400_000_000 {
			return types.Datum{I: n}, nil
		}
		return types.Datum{}, outOfRange(t)
	case types.Timestamp, types.Timestamptz:
		n := int64(be.Uint64(b))
		if n == types.PosInfinity || n == types.NegInfinity {
			return types.Datum{I: n}, nil
		}
		if n >= types.PosInfinity-epochMicros || n < minDays*86_400_000_000-epochMicros {
			return types.Datum{}, outOfRange(t)
		}
		return types.Datum{I: n + epochMicros}, nil
	case types.Interval:
		return types.Datum{S: types.IntervalOf(int64(be.Uint64(b)), int32(be.Uint32(b[8:])), int32(be.Uint32(b[12:])))}, nil
	case types.UUID, types.Bytea:
		return types.Datum{S: b}, nil
	case types.Char:
		if b[0] == 0 {
			return types.Datum{S: []byte{}}, nil
		}
		return types.Datum{S: b}, nil
	case types.JSONB:
		if len(b) == 0 || b[0] != 1 {
			return types.Datum{}, badBinary(t)
		}
		return textDatum(t, b[1:], types.ParseText)
	case types.Text, types.Varchar, types.Bpchar, types.Name, types.Unknown, types.JSON:
		return textDatum(t, b, types.ParseText)
	case types.Array:
		return decodeArray(t, b)
	}
	return types.Datum{}, sqlerr.New(sqlerr.UndefinedFunction, "no binary input function available for type %s", types.Bare(t))
}

func badBinary(t types.Type) error {
	return sqlerr.New(invalidBinary, "incorrect binary data format for type %s", types.Bare(t))
}

func textDatum(t types.Type, b []byte, parse func(types.Type, string) (types.Datum, error)) (types.Datum, error) {
	if err := checkUTF8(b); err != nil {
		return types.Datum{}, err
	}
	return parse(t, string(b))
}

// checkUTF8 refuses what a text cannot hold: 22021.
func checkUTF8(b []byte) error {
	for i := 0; i < len(b); {
		if b[i] > 0 && b[i] < utf8.RuneSelf {
			i++
			continue
		}
		r, n := utf8.DecodeRune(b[i:])
		if r == 0 || r == utf8.RuneError && n <= 1 {
			return sqlerr.New(sqlerr.CharacterNotInRep, `invalid byte sequence for encoding "UTF8": 0x%02x`, b[i])
		}
		i += n
	}
	return nil
}
