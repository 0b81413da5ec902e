package wire

import (
	"bytes"
	"math"
	"strconv"
	"strings"

	"github.com/streamsql/streamsql/sql/sqlerr"
	"github.com/streamsql/streamsql/sql/types"
)

// Signs of a binary numeric.
const (
	numericNeg    = 0x4000
	numericNaN    = 0xC000
	numericPosInf = 0xD000
	numericNegInf = 0xF000
)

// appendNumeric appends groups of four decimal digits: how many, the weight of
// the first, the sign, the digits after the point, the groups. No group at either
// end is 0.
func appendNumeric(dst []byte, d types.Datum) ([]byte, error) {
	special := func(sign uint16) ([]byte, error) {
		return append(be.AppendUint16(append(dst, 0, 0, 0, 0), sign), 0, 0), nil
	}
	if len(d.S) == 1 {
		switch d.S[0] {
		case types.NumericNaN:
			return special(numericNaN)
		case types.NumericPosInf:
			return special(numericPosInf)
		case types.NumericNegInf:
			return special(numericNegInf)
		}
	}
	var buf [64]byte
	text, neg := bytes.CutPrefix(types.FormatText(buf[:0], types.Of(types.Numeric), d), []byte("-"))
	whole, frac, _ := bytes.Cut(text, []byte("."))
	scale := len(frac)
	// The groups are aligned at the point.
	digit := func(i int) uint16 { // i digits right of the point; below 0 left of it
		switch {
		case i < 0 && len(whole)+i >= 0:
			return uint16(whole[len(whole)+i] - '0')
		case i >= 0 && i < scale:
			return uint16(frac[i] - '0')
		}
		return 0
	}
	first, end := -(len(whole)+3)/4, (scale+3)/4
	group := func(g int) uint16 {
		return digit(4*g)*1000 + digit(4*g+1)*100 + digit(4*g+2)*10 + digit(4*g+3)
	}
	for first < end && group(first) == 0 {
		first++
	}
	for first < end && group(end-1) == 0 {
		end--
	}
	n := end - first
	if n == 0 {
		first, neg = -1, false
	}
	if -first > math.MaxInt16 {
		return nil, sqlerr.New(sqlerr.NumericOutOfRange, "value overflows numeric format")
	}
	sign := uint16(0)
	if neg {
		sign = numericNeg
	}
	dst = be.AppendUint16(dst, uint16(n))
	dst = be.AppendUint16(dst, uint16(-first-1))
	dst = be.AppendUint16(dst, sign)
	dst = be.AppendUint16(dst, uint16(scale))
	for g := first; g < first+n; g++ {
		dst = be.AppendUint16(dst, group(g))
	}
	return dst, nil
}

// decodeNumeric reads what appendNumeric writes, by way of the text form.
func decodeNumeric(t types.Type, b []byte) (types.Datum, error) {
	if len(b) < 8 || len(b) != 8+2*int(be.Uint16(b)) {
		return types.Datum{}, badBinary(t)
	}
	weight, sign, scale := int(int16(be.Uint16(b[2:]))), be.Uint16(b[4:]), int(be.Uint16(b[6:]))
	var text strings.Builder
	switch sign {
	case numericNaN:
		return types.Datum{S: []byte{types.NumericNaN}}, nil
	case numericPosInf:
		return types.Datum{S: []byte{types.NumericPosInf}}, nil
	case numericNegInf:
		return types.Datum{S: []byte{types.NumericNegInf}}, nil
	case numericNeg:
		text.WriteByte('-')
	case 0:
	default:
		return types.Datum{}, badBinary(t)
	}
	groups := b[8:]
	for i := 0; i < len(groups); i += 2 {
		if be.Uint16(groups[i:]) > 9999 {
			return types.Datum{}, badBinary(t)
		}
	}
	if scale > 0x3FFF {
		return types.Datum{}, badBinary(t)
	}
	// group gives the group whose weight is w.
	group := func(w int) string {
		i := 2 * (weight - w)
		if i < 0 || i >= len(groups) {
			return "0000"
		}
		return strconv.Itoa(10_000 + int(be.Uint16(groups[i:])))[1:]
	}
	text.WriteByte('0')
	if len(groups) > 0 {
		for w := weight; w >= 0; w-- {
			text.WriteString(group(w))
		}
	}
	text.WriteByte('.')
	for w, left := -1, scale; left > 0; w, left = w-1, left-4 {
		text.WriteString(group(w)[:min(left, 4)])
	}
	return types.ParseText(t, text.String())
}
