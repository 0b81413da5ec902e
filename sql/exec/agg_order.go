package exec

import (
	"encoding/binary"
	"math"

	"github.com/streamsql/streamsql/sql/delta"
	"github.com/streamsql/streamsql/sql/plan"
	"github.com/streamsql/streamsql/sql/types"
)

// appendOrder appends the encoding of row i that sorts as the ORDER BY os.
func appendOrder(dst []byte, b *delta.Batch, i int, os []plan.Order) []byte {
	for _, o := range os {
		v := b.Cols[o.Col]
		// AppendCell sorts NULLs last, and first if descending.
		if o.NullsFirst != o.Desc {
			null := byte(2)
			if o.NullsFirst {
				null = 0
			}
			if v.Null(i) {
				dst = append(dst, null)
				continue
			}
			dst = append(dst, 1)
		}
		dst = AppendCell(dst, v, i, o.Desc)
	}
	return dst
}

// rowEncoding encodes rows so that they sort by order, then by all args, and the
// args can be read back.
type rowEncoding struct {
	order []plan.Order
	args  []int
}

func (e *rowEncoding) append(dst []byte, b *delta.Batch, i int) []byte {
	if len(e.order) > 0 {
		dst = appendOrder(dst, b, i, e.order)
	}
	start := len(dst)
	for _, c := range e.args {
		dst = appendCell(dst, b.Cols[c], i)
	}
	if len(e.order) > 0 {
		// At the end, where it does not disturb the order.
		dst = binary.LittleEndian.AppendUint32(dst, uint32(len(dst)-start))
	}
	return dst
}

// argsOf returns the args' part of an encoded row.
func (e *rowEncoding) argsOf(key []byte) []byte {
	if len(e.order) == 0 || len(key) < 4 {
		return key
	}
	end := len(key) - 4
	n := int(binary.LittleEndian.Uint32(key[end:]))
	return key[max(0, end-n):end]
}

// The form of an answer that is kept: 0 for NULL, else 1 and the value.

func appendAnswer(dst []byte, t types.Type, d types.Datum) []byte {
	if d.Null {
		return append(dst, 0)
	}
	dst = append(dst, 1)
	switch t.Phys() {
	case types.PhysInt:
		return binary.LittleEndian.AppendUint64(dst, uint64(d.I))
	case types.PhysFloat:
		return binary.LittleEndian.AppendUint64(dst, math.Float64bits(d.F))
	}
	return append(dst, d.S...)
}

func answerTo(out *delta.Vec, b []byte) {
	if len(b) == 0 || b[0] == 0 {
		out.AppendNull()
		return
	}
	b = b[1:]
	switch p := out.T.Phys(); {
	case p == types.PhysBytes:
		out.AppendBytes(b)
	case len(b) < 8:
		out.AppendNull()
	case p == types.PhysInt:
		out.AppendInt(int64(binary.LittleEndian.Uint64(b)))
	default:
		out.AppendFloat(math.Float64frombits(binary.LittleEndian.Uint64(b)))
	}
}
