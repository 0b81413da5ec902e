package types

import (
	"encoding/binary"
	"math/big"
	"slices"

	"github.com/streamsql/streamsql/sql/sqlerr"
)

// A numeric's bytes: one for the scale 0..252 (or one of the three below), then
// the coefficient as minimal little-endian two's complement. Zero has none.
const (
	NumericNaN    = 253
	NumericPosInf = 254
	NumericNegInf = 255
)

// Classes of a numeric in its order encoding. NaN is the greatest, as in PostgreSQL.
const (
	numNegInf = iota + 1
	numNeg
	numZero
	numPos
	numPosInf
	numNaN
)

// numericCoefficient reads the coefficient of b, which is not empty.
func numericCoefficient(b []byte) *big.Int {
	be := slices.Clone(b[1:])
	slices.Reverse(be)
	x := new(big.Int).SetBytes(be)
	if len(be) > 0 && be[0]&0x80 != 0 {
		x.Sub(x, new(big.Int).Lsh(big.NewInt(1), uint(8*len(be))))
	}
	return x
}

// appendNumericOrder appends a prefix-free encoding that depends on b's value
// alone, not on its scale: class, then for finite values the decimal exponent
// and the digits, each plus one, ended by zero; inverted below zero.
func appendNumericOrder(dst, b []byte) []byte {
	if len(b) == 0 {
		return append(dst, numZero)
	}
	switch b[0] {
	case NumericNaN:
		return append(dst, numNaN)
	case NumericPosInf:
		return append(dst, numPosInf)
	case NumericNegInf:
		return append(dst, numNegInf)
	}
	x := numericCoefficient(b)
	sign := x.Sign()
	if sign == 0 {
		return append(dst, numZero)
	}
	digits := x.Abs(x).Append(nil, 10)
	exp := len(digits) - int(b[0])
	for digits[len(digits)-1] == '0' {
		digits = digits[:len(digits)-1]
	}
	class := byte(numPos)
	if sign < 0 {
		class = numNeg
	}
	dst = append(dst, class)
	start := len(dst)
	dst = binary.BigEndian.AppendUint32(dst, uint32(exp)^1<<31)
	for _, c := range digits {
		dst = append(dst, c-'0'+1)
	}
	dst = append(dst, 0)
	if sign < 0 {
		invert(dst[start:])
	}
	return dst
}

// numericOrderLen returns the length of the order encoding at the start of src.
func numericOrderLen(src []byte, flip byte) (int, bool) {
	if len(src) == 0 {
		return 0, false
	}
	end := flip
	switch src[0] ^ flip {
	case numNegInf, numZero, numPosInf, numNaN:
		return 1, true
	case numNeg:
		end = ^flip
	case numPos:
	default:
		return 0, false
	}
	for i := 5; i < len(src); i++ {
		if src[i] == end {
			return i + 1, true
		}
	}
	return 0, false
}

const intervalOrderLen = 16

// appendIntervalOrder appends the interval's length, with PostgreSQL's month of
// 30 days and day of 24 hours, as a 128-bit integer.
func appendIntervalOrder(dst, b []byte) []byte {
	var p [16]byte
	copy(p[:], b)
	us := int64(binary.LittleEndian.Uint64(p[:8]))
	days := int64(int32(binary.LittleEndian.Uint32(p[8:12])))
	days += 30 * int64(int32(binary.LittleEndian.Uint32(p[12:])))
	const usPerDay = 24 * 60 * 60 * 1_000_000
	days += us / usPerDay
	us %= usPerDay
	if us < 0 {
		us += usPerDay
		days--
	}
	dst = binary.BigEndian.AppendUint64(dst, uint64(days)^1<<63)
	return binary.BigEndian.AppendUint64(dst, uint64(us))
}

// AppendEq appends an encoding that is equal for values equal by SQL: as
// AppendKey, but for numerics and intervals it leaves the representation out
// (1.0 and 1.00 encode alike), so it cannot be decoded.
func AppendEq(dst []byte, t Type, d Datum) []byte {
	if !d.Null {
		switch t.ID {
		case Numeric:
			return appendNumericOrder(append(dst, keyValue), d.S)
		case Interval:
			return appendIntervalOrder(append(dst, keyValue), d.S)
		}
	}
	return AppendKey(dst, t, d, false)
}

// SkipEq returns what follows the value that AppendEq encoded at the start of
// src. Bytes that AppendEq cannot have written are XX001.
func SkipEq(src []byte, t Type) ([]byte, error) {
	if len(src) > 0 && src[0] == keyValue {
		switch t.ID {
		case Numeric:
			if n, ok := numericOrderLen(src[1:], 0); ok {
				return src[1+n:], nil
			}
			return nil, sqlerr.New("XX001", "damaged key of type %s", t)
		case Interval:
			if len(src) > intervalOrderLen {
				return src[1+intervalOrderLen:], nil
			}
			return nil, sqlerr.New("XX001", "damaged key of type %s", t)
		}
	}
	_, rest, err := DecodeKey(src, t, false)
	return rest, err
}
