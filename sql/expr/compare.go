package expr

import (
	"bytes"
	"cmp"

	"github.com/streamsql/streamsql/sql/types"
)

type cmpOp uint8

const (
	opEq cmpOp = iota
	opNe
	opLt
	opLe
	opGt
	opGe
)

var cmpNames = [...]string{opEq: "=", opNe: "<>", opLt: "<", opLe: "<=", opGt: ">", opGe: ">="}

// flip is the operator with its sides exchanged.
func (o cmpOp) flip() cmpOp {
	return [...]cmpOp{opEq: opEq, opNe: opNe, opLt: opGt, opLe: opGe, opGt: opLt, opGe: opLe}[o]
}

// holds tells whether the operator is true of a comparison's outcome.
func (o cmpOp) holds(c int) bool {
	switch o {
	case opEq:
		return c == 0
	case opNe:
		return c != 0
	case opLt:
		return c < 0
	case opLe:
		return c <= 0
	case opGt:
		return c > 0
	}
	return c >= 0
}

// comparable types. The others reach these by implicit casts: varchar goes to
// text, date beside timestamp to timestamp, regclass and regtype to oid (operators
// of their own would take text and integers, which cast to regclass).
var comparableTypes = []types.ID{
	types.Bool, types.Int2, types.Int4, types.Int8, types.Float4, types.Float8, types.Numeric,
	types.Text, types.Bpchar, types.Name, types.Char, types.Bytea, types.Date, types.Time,
	types.Timestamp, types.Timestamptz, types.Interval, types.UUID, types.JSONB, types.OID,
}

func init() {
	pair := func(a, b types.Type) {
		for op := opEq; op <= opGe; op++ {
			registerCmp(op, []types.Type{a, b}, cmpEval(op, a))
		}
		registerDistinct([]types.Type{a, b}, cmpEval(opEq, a))
	}
	for _, t := range comparableTypes {
		pair(types.Of(t), types.Of(t))
	}
	pair(types.Of(types.Float4), types.Of(types.Float8))
	pair(types.Of(types.Float8), types.Of(types.Float4))
	pair(types.Of(AnyArray), types.Of(AnyArray))
}

func registerCmp(op cmpOp, args []types.Type, eval func(*Batch) error) {
	register(&Func{Name: cmpNames[op], Args: args, Ret: boolType, Eval: eval})
	if op == opNe {
		register(&Func{Name: "!=", Args: args, Ret: boolType, Eval: eval})
	}
}

// registerDistinct adds IS [NOT] DISTINCT FROM, by way of =.
func registerDistinct(args []types.Type, eq func(*Batch) error) {
	eval := func(not bool) func(*Batch) error {
		return func(c *Batch) error {
			// For = the rows with a NULL are skipped.
			for i := range c.N {
				if c.Null(0, i) || c.Null(1, i) {
					if c.nulls == nil {
						c.nulls = make([]uint64, words(c.N))
					}
					c.nulls[i>>6] |= 1 << (uint(i) & 63)
				}
			}
			nulls := c.nulls
			if err := eq(c); err != nil {
				return err
			}
			c.nulls = nil
			for i := range c.Out.I[:c.N] {
				same := c.Out.I[i] != 0
				if nulls != nil && nulls[i>>6]&(1<<(uint(i)&63)) != 0 {
					same = c.Null(0, i) && c.Null(1, i)
				}
				c.Out.I[i] = b2i(same == not)
			}
			return nil
		}
	}
	register(&Func{Name: "is distinct from", Args: args, Ret: boolType, NotNull: true, Eval: eval(false)},
		&Func{Name: "is not distinct from", Args: args, Ret: boolType, NotNull: true, Eval: eval(true)})
}

// cmpEval compares two columns whose types share a physical form and an order.
func cmpEval(op cmpOp, t types.Type) func(*Batch) error {
	switch {
	case t.ID == AnyArray:
		return bools(func(c *Batch, i int) (bool, error) {
			return op.holds(Compare(c.Args[0].V.T, c.ref(0, i), c.ref(1, i))), nil
		})
	case t.Phys() == types.PhysInt:
		return func(c *Batch) error { cmpInts(c, op); return nil }
	case t.Phys() == types.PhysFloat:
		return func(c *Batch) error { cmpFloats(c, op); return nil }
	case plainEq(t) && op <= opNe:
		return func(c *Batch) error { eqBytes(c, b2i(op == opEq)); return nil }
	}
	compare := bytesCmp(t)
	return func(c *Batch) error {
		for i := range c.Out.I[:c.N] {
			if !c.Skip(i) {
				c.Out.I[i] = b2i(op.holds(compare(c.Bytes(0, i), c.Bytes(1, i))))
			}
		}
		return nil
	}
}

func bytesCmp(t types.Type) func(a, b []byte) int {
	switch t.ID {
	case types.Numeric:
		return types.NumericCmp
	case types.Bpchar:
		return func(a, b []byte) int { return bytes.Compare(trimBlanks(a), trimBlanks(b)) }
	case types.Interval:
		return func(a, b []byte) int { return cmpInterval(a, b) }
	}
	return bytes.Compare
}

func trimBlanks(b []byte) []byte {
	for len(b) > 0 && b[len(b)-1] == ' ' {
		b = b[:len(b)-1]
	}
	return b
}

// cmpInterval compares by length, a month being 30 days.
func cmpInterval(a, b []byte) int {
	ha, la := intervalSpan(a)
	hb, lb := intervalSpan(b)
	return cmp.Or(cmp.Compare(ha, hb), cmp.Compare(la, lb))
}

// intervalSpan returns an interval's length as days and the µs of a day.
func intervalSpan(b []byte) (days, us int64) {
	us, d, m := types.IntervalParts(b)
	days = int64(m)*30 + int64(d) + us/usPerDay
	if us %= usPerDay; us < 0 {
		days--
		us += usPerDay
	}
	return days, us
}

// Compare orders two values of type t that are not NULL as ORDER BY does.
func Compare(t types.Type, a, b types.Datum) int {
	switch t.Phys() {
	case types.PhysInt:
		return cmp.Compare(a.I, b.I)
	case types.PhysFloat:
		return cmpFloat(a.F, b.F)
	}
	if t.ID != types.Array {
		return bytesCmp(t)(a.S, b.S)
	}
	x, y := types.Elems(a.S, t.Elem), types.Elems(b.S, t.Elem)
	for i := range min(len(x), len(y)) {
		switch {
		case x[i].Null && y[i].Null:
			continue
		case x[i].Null:
			return 1
		case y[i].Null:
			return -1
		}
		if c := Compare(types.Of(t.Elem), x[i], y[i]); c != 0 {
			return c
		}
	}
	return cmp.Compare(len(x), len(y))
}

// cmpFloat has NaN equal to itself and above all else.
func cmpFloat(a, b float64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	case a == b:
		return 0
	case a == a:
		return -1
	case b == b:
		return 1
	}
	return 0
}

func cmpInts(c *Batch, op cmpOp) {
	a, b := c.Args[0], c.Args[1]
	if a.Mask == 0 {
		a, b, op = b, a, op.flip()
	}
	out := c.Out.I[:c.N]
	if b.Mask == 0 {
		cmpConst(out, a.V.I, b.V.I[0], op)
		return
	}
	x, y := a.V.I[:len(out)], b.V.I[:len(out)]
	switch op {
	case opEq:
		for i := range out {
			out[i] = b2i(x[i] == y[i])
		}
	case opNe:
		for i := range out {
			out[i] = b2i(x[i] != y[i])
		}
	case opLt:
		for i := range out {
			out[i] = b2i(x[i] < y[i])
		}
	case opLe:
		for i := range out {
			out[i] = b2i(x[i] <= y[i])
		}
	case opGt:
		for i := range out {
			out[i] = b2i(x[i] > y[i])
		}
	case opGe:
		for i := range out {
			out[i] = b2i(x[i] >= y[i])
		}
	}
}

// cmpConst compares a column with a constant that is not NaN. The negated forms
// make NaN the greatest.
func cmpConst[T int64 | float64](out []int64, x []T, k T, op cmpOp) {
	x = x[:len(out)]
	switch op {
	case opEq:
		for i := range out {
			out[i] = b2i(x[i] == k)
		}
	case opNe:
		for i := range out {
			out[i] = b2i(x[i] != k)
		}
	case opLt:
		for i := range out {
			out[i] = b2i(x[i] < k)
		}
	case opLe:
		for i := range out {
			out[i] = b2i(x[i] <= k)
		}
	case opGt:
		for i := range out {
			out[i] = b2i(x[i] <= k) ^ 1
		}
	case opGe:
		for i := range out {
			out[i] = b2i(x[i] < k) ^ 1
		}
	}
}

func cmpFloats(c *Batch, op cmpOp) {
	a, b := c.Args[0], c.Args[1]
	if a.Mask == 0 {
		a, b, op = b, a, op.flip()
	}
	out := c.Out.I[:c.N]
	if b.Mask == 0 && b.V.F[0] == b.V.F[0] {
		cmpConst(out, a.V.F, b.V.F[0], op)
		return
	}
	x, y := a.V.F, b.V.F
	for i := range out {
		out[i] = b2i(op.holds(cmpFloat(x[i&a.Mask], y[i&b.Mask])))
	}
}

// eqBytes sets yes where the bytes are equal.
func eqBytes(c *Batch, yes int64) {
	a, b := c.Args[0], c.Args[1]
	if a.Mask == 0 {
		a, b = b, a
	}
	out := c.Out.I[:c.N]
	off, buf := a.V.Off, a.V.Buf
	if b.Mask == 0 {
		k := b.V.Bytes(0)
		for i := range out {
			lo, hi := off[i&a.Mask], off[i&a.Mask+1]
			out[i] = b2i(int(hi-lo) == len(k) && string(buf[lo:hi]) == string(k)) ^ 1 ^ yes
		}
		return
	}
	for i := range out {
		out[i] = b2i(string(buf[off[i]:off[i+1]]) == string(b.V.Buf[b.V.Off[i]:b.V.Off[i+1]])) ^ 1 ^ yes
	}
}
