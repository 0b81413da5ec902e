package expr

import (
	"math"

	"github.com/streamsql/streamsql/sql/sqlerr"
)

// checkFloats finds results that overflowed, as float_overflow_error of
// PostgreSQL: infinite although no argument is; and rounds to real. underflow
// also refuses a zero that no zero argument explains.
func checkFloats(c *Batch, real, underflow bool) error {
	out := c.Out.F[:c.N]
	sum := 0.0
	for i, f := range out {
		if real {
			f = float64(float32(f))
			out[i] = f
		}
		sum += f - f // 0 unless infinite or NaN
	}
	if sum == 0 && !underflow {
		return nil
	}
	for i, f := range out {
		if c.Skip(i) {
			continue
		}
		if math.IsInf(f, 0) && !math.IsInf(c.Float(0, i), 0) && !math.IsInf(c.Float(1, i), 0) {
			return rowError(i, sqlerr.New(sqlerr.NumericOutOfRange, "value out of range: overflow"))
		}
		if underflow && f == 0 && c.Float(0, i) != 0 && c.Float(1, i) != 0 && !math.IsInf(c.Float(1, i), 0) {
			return rowError(i, sqlerr.New(sqlerr.NumericOutOfRange, "value out of range: underflow"))
		}
	}
	return nil
}

func addFloats(c *Batch, real bool) error {
	a, b := c.Args[0], c.Args[1]
	if a.Mask == 0 {
		a, b = b, a
	}
	out := c.Out.F[:c.N]
	switch {
	case a.Mask != 0 && b.Mask == 0:
		x, k := a.V.F[:len(out)], b.V.F[0]
		for i := range out {
			out[i] = x[i] + k
		}
	default:
		x, y := a.V.F, b.V.F
		for i := range out {
			out[i] = x[i&a.Mask] + y[i&b.Mask]
		}
	}
	return checkFloats(c, real, false)
}

func subFloats(c *Batch, real bool) error {
	a, b := c.Args[0], c.Args[1]
	out := c.Out.F[:c.N]
	x, y := a.V.F, b.V.F
	for i := range out {
		out[i] = x[i&a.Mask] - y[i&b.Mask]
	}
	return checkFloats(c, real, false)
}

func mulFloats(c *Batch, real bool) error {
	a, b := c.Args[0], c.Args[1]
	if a.Mask == 0 {
		a, b = b, a
	}
	out := c.Out.F[:c.N]
	zero := false
	if a.Mask != 0 && b.Mask == 0 {
		x, k := a.V.F[:len(out)], b.V.F[0]
		for i := range out {
			f := x[i] * k
			zero = zero || f == 0
			out[i] = f
		}
	} else {
		x, y := a.V.F, b.V.F
		for i := range out {
			f := x[i&a.Mask] * y[i&b.Mask]
			zero = zero || f == 0
			out[i] = f
		}
	}
	return checkFloats(c, real, zero)
}

func divFloats(c *Batch, real bool) error {
	a, b := c.Args[0], c.Args[1]
	out := c.Out.F[:c.N]
	x, y := a.V.F, b.V.F
	zero, byZero := false, false
	for i := range out {
		p, q := x[i&a.Mask], y[i&b.Mask]
		f := p / q
		zero = zero || f == 0
		byZero = byZero || q == 0
		out[i] = f
	}
	err := checkFloats(c, real, zero)
	if !byZero {
		return err
	}
	// Of an overflow and a division by zero the first row's counts.
	ee, _ := err.(*EvalError)
	for i := range out {
		if ee != nil && i > ee.Row {
			break
		}
		if y[i&b.Mask] == 0 && x[i&a.Mask] == x[i&a.Mask] && !c.Skip(i) {
			return rowError(i, errDivZero())
		}
	}
	return err
}
