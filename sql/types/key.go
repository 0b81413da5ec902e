package types

import (
	"bytes"
	"encoding/binary"
	"math"

	"github.com/streamsql/streamsql/sql/sqlerr"
)

// Leading bytes of an encoded value. NULL sorts after every value, as
// PostgreSQL's ascending order has it.
const (
	keyValue = 0x01
	keyNull  = 0x02
)

// AppendKey appends the order-preserving encoding of d, a value of type t:
// bytes compare as SQL's ORDER BY compares, NULLs last, and no encoding is a
// prefix of another of the same type. With desc every byte is inverted, which
// reverses the order. DecodeKey gives the very same Datum back, except that -0
// becomes 0 and every NaN the same NaN.
//
// Strings are escaped as in FoundationDB's tuple layer: 00 becomes 00 FF, and
// 00 01 ends the string. Intervals and numerics have encodings of their own.
func AppendKey(dst []byte, t Type, d Datum, desc bool) []byte {
	start := len(dst)
	if d.Null {
		dst = append(dst, keyNull)
	} else {
		dst = append(dst, keyValue)
		switch t.Phys() {
		case PhysInt:
			dst = binary.BigEndian.AppendUint64(dst, uint64(d.I)^(1<<63))
		case PhysFloat:
			dst = binary.BigEndian.AppendUint64(dst, floatKey(d.F))
		default:
			dst = appendKeyBytes(dst, t, d.S)
		}
	}
	if desc {
		invert(dst[start:])
	}
	return dst
}

func appendKeyBytes(dst []byte, t Type, b []byte) []byte {
	switch t.ID {
	case Numeric:
		dst = appendNumericOrder(dst, b)
	case Interval:
		dst = appendIntervalOrder(dst, b)
	}
	for {
		i := bytes.IndexByte(b, 0)
		if i < 0 {
			break
		}
		dst = append(append(dst, b[:i]...), 0, 0xFF)
		b = b[i+1:]
	}
	return append(append(dst, b...), 0, 1)
}

// floatKey maps floats to integers that order alike: NaN is the greatest, as
// in PostgreSQL.
func floatKey(f float64) uint64 {
	switch {
	case f != f:
		return math.MaxUint64
	case f == 0:
		f = 0 // -0 equals 0
	}
	u := math.Float64bits(f)
	if u>>63 != 0 {
		return ^u
	}
	return u | 1<<63
}

// DecodeKey reads one value that AppendKey wrote and returns what follows it.
// Bytes that AppendKey cannot have written are XX001.
func DecodeKey(src []byte, t Type, desc bool) (Datum, []byte, error) {
	var flip byte
	if desc {
		flip = 0xFF
	}
	if len(src) == 0 {
		return Datum{}, nil, damagedKey(t)
	}
	switch src[0] ^ flip {
	case keyNull:
		return NullDatum, src[1:], nil
	case keyValue:
	default:
		return Datum{}, nil, damagedKey(t)
	}
	src = src[1:]
	if p := t.Phys(); p != PhysBytes {
		if len(src) < 8 {
			return Datum{}, nil, damagedKey(t)
		}
		u := binary.BigEndian.Uint64(src)
		if desc {
			u = ^u
		}
		if p == PhysInt {
			return Datum{I: int64(u ^ 1<<63)}, src[8:], nil
		}
		switch {
		case u == math.MaxUint64:
			return Datum{F: math.NaN()}, src[8:], nil
		case u>>63 != 0:
			u &^= 1 << 63
		default:
			u = ^u
		}
		return Datum{F: math.Float64frombits(u)}, src[8:], nil
	}
	n, ok := 0, true
	switch t.ID {
	case Numeric:
		n, ok = numericOrderLen(src, flip)
	case Interval:
		n, ok = intervalOrderLen, len(src) >= intervalOrderLen
	}
	if !ok {
		return Datum{}, nil, damagedKey(t)
	}
	src = src[n:]
	out := []byte{}
	for i := 0; i+1 < len(src); i++ {
		c := src[i] ^ flip
		if c != 0 {
			out = append(out, c)
			continue
		}
		i++
		switch src[i] ^ flip {
		case 0xFF:
			out = append(out, 0)
		case 1:
			return Datum{S: out}, src[i+1:], nil
		default:
			return Datum{}, nil, damagedKey(t)
		}
	}
	return Datum{}, nil, damagedKey(t)
}

func damagedKey(t Type) error { return sqlerr.New("XX001", "damaged key of type %s", t) }

func invert(b []byte) {
	for i := range b {
		b[i] = ^b[i]
	}
}
