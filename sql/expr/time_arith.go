package expr

import (
	"math"

	"github.com/streamsql/streamsql/sql/sqlerr"
	"github.com/streamsql/streamsql/sql/types"
)

// addInterval adds sign × an interval to a timestamp: months first (cut to the
// month's end), then days, then time. With zoned, months and days move the
// session's wall clock.
func addInterval(ts int64, iv []byte, sign int64, zoned bool, ctx *Context) (int64, error) {
	if types.Infinite(ts) {
		return ts, nil
	}
	us, days, months := types.IntervalParts(iv)
	if days != 0 || months != 0 {
		if zoned {
			ts = toLocal(ts, ctx.zone())
		}
		if months != 0 {
			c := types.CivilOf(ts)
			m := int64(c.Year)*12 + int64(c.Month-1) + sign*int64(months)
			c.Year, c.Month = int(floorDiv(m, 12)), int(m-floorDiv(m, 12)*12)+1
			c.Day = min(c.Day, types.MonthDays(c.Year, c.Month))
			var ok bool
			if ts, ok = c.Timestamp(); !ok {
				return 0, errTimestampRange()
			}
		}
		d, ok := mul64(sign*int64(days), usPerDay)
		if ts, ok = sum64(ts, d, ok); !ok || !types.TimestampInRange(ts) {
			return 0, errTimestampRange()
		}
		if zoned {
			ts = fromLocal(ts, ctx.zone())
		}
	}
	u, ok := mul64(sign, us)
	if ts, ok = sum64(ts, u, ok); !ok || !types.TimestampInRange(ts) || types.Infinite(ts) {
		return 0, errTimestampRange()
	}
	return ts, nil
}

// sum64 adds; false on overflow, or when ok was false already.
func sum64(a, b int64, ok bool) (int64, bool) {
	s := a + b
	return s, ok && (a^s)&(b^s) >= 0
}

func errIntervalRange() error {
	return sqlerr.New(sqlerr.DatetimeOverflow, "interval out of range")
}

// intervalSum gives a + sign × b.
func intervalSum(a, b []byte, sign int64) ([]byte, error) {
	ua, da, ma := types.IntervalParts(a)
	ub, db, mb := types.IntervalParts(b)
	p, ok := mul64(sign, ub)
	us, ok := sum64(ua, p, ok)
	days, months := int64(da)+sign*int64(db), int64(ma)+sign*int64(mb)
	if !ok || int64(int32(days)) != days || int64(int32(months)) != months {
		return nil, errIntervalRange()
	}
	return types.IntervalOf(us, int32(days), int32(months)), nil
}

// intervalScale gives iv × f; what is left of a month goes to days, of a day to
// time (interval_mul of PostgreSQL).
func intervalScale(iv []byte, f float64) ([]byte, error) {
	us, days, months := types.IntervalParts(iv)
	m, d := float64(months)*f, float64(days)*f
	if !(math.Abs(m) <= math.MaxInt32) || !(math.Abs(d) <= math.MaxInt32) {
		return nil, errIntervalRange()
	}
	return intervalFrom(m, d, float64(us)*f)
}

// intervalFrom spreads fractions downwards.
func intervalFrom(m, d, us float64) ([]byte, error) {
	months, days := math.Trunc(m), math.Trunc(d)
	restDays := roundTo6((m - months) * 30)
	sec := roundTo6((d - days + restDays - math.Trunc(restDays)) * 86_400)
	days += math.Trunc(restDays)
	if math.Abs(sec) >= 86_400 {
		days += math.Trunc(sec / 86_400)
		sec -= math.Trunc(sec/86_400) * 86_400
	}
	us = math.RoundToEven(us + sec*1e6)
	if math.IsNaN(us) || math.Abs(us) >= math.MaxInt64 || math.Abs(days) > math.MaxInt32 || math.Abs(months) > math.MaxInt32 {
		return nil, errIntervalRange()
	}
	return types.IntervalOf(int64(us), int32(days), int32(months)), nil
}

func roundTo6(f float64) float64 { return math.RoundToEven(f*1e6) / 1e6 }

// timestampDiff gives a - b in days and time.
func timestampDiff(a, b int64) ([]byte, error) {
	if types.Infinite(a) || types.Infinite(b) {
		return nil, sqlerr.New(sqlerr.DatetimeOverflow, "cannot subtract infinite timestamps")
	}
	d, ok := sum64(a, -b, true)
	if !ok {
		return nil, errIntervalRange()
	}
	return types.IntervalOf(d%usPerDay, int32(d/usPerDay), 0), nil
}

func init() {
	const (
		date, tod, ts, tz, iv = types.Date, types.Time, types.Timestamp, types.Timestamptz, types.Interval
		i4, f8                = types.Int4, types.Float8
	)
	op := func(name string, a, b, ret types.ID, vol Volatility, eval func(*Batch) error) {
		register(&Func{Name: name, Args: typs(a, b), Ret: types.Of(ret), MayFail: true, Vol: vol, Eval: eval})
	}
	both := func(a, b, ret types.ID, vol Volatility, eval func(c *Batch, i, x, y int) (int64, error)) {
		op("+", a, b, ret, vol, ints(func(c *Batch, i int) (int64, error) { return eval(c, i, 0, 1) }))
		op("+", b, a, ret, vol, ints(func(c *Batch, i int) (int64, error) { return eval(c, i, 1, 0) }))
	}
	dateRange := func(d int64) (int64, error) {
		if d < types.MinDate || d > types.MaxDate {
			return 0, sqlerr.New(sqlerr.DatetimeOverflow, "date out of range")
		}
		return d, nil
	}
	both(date, i4, date, Immutable, func(c *Batch, i, x, y int) (int64, error) {
		if d := c.Int(x, i); types.Infinite(d) {
			return d, nil
		}
		return dateRange(c.Int(x, i) + c.Int(y, i))
	})
	op("-", date, i4, date, Immutable, ints(func(c *Batch, i int) (int64, error) {
		if d := c.Int(0, i); types.Infinite(d) {
			return d, nil
		}
		return dateRange(c.Int(0, i) - c.Int(1, i))
	}))
	op("-", date, date, i4, Immutable, ints(func(c *Batch, i int) (int64, error) {
		a, b := c.Int(0, i), c.Int(1, i)
		if types.Infinite(a) || types.Infinite(b) {
			return 0, sqlerr.New(sqlerr.DatetimeOverflow, "cannot subtract infinite dates")
		}
		return a - b, nil
	}))
	both(date, iv, ts, Immutable, func(c *Batch, i, x, y int) (int64, error) {
		us, err := dateTimestamp(c.Int(x, i))
		if err != nil {
			return 0, err
		}
		return addInterval(us, c.Bytes(y, i), 1, false, c.Ctx)
	})
	op("-", date, iv, ts, Immutable, ints(func(c *Batch, i int) (int64, error) {
		us, err := dateTimestamp(c.Int(0, i))
		if err != nil {
			return 0, err
		}
		return addInterval(us, c.Bytes(1, i), -1, false, c.Ctx)
	}))
	both(date, tod, ts, Immutable, func(c *Batch, i, x, y int) (int64, error) {
		us, err := dateTimestamp(c.Int(x, i))
		if err != nil || types.Infinite(us) {
			return us, err
		}
		return us + c.Int(y, i), nil
	})
	for _, t := range []types.ID{ts, tz} {
		vol := Immutable
		if t == tz {
			vol = Stable
		}
		op("+", t, iv, t, vol, func(c *Batch) error { return moveTimestamps(c, 1, 0, 1, t == tz) })
		op("+", iv, t, t, vol, func(c *Batch) error { return moveTimestamps(c, 1, 1, 0, t == tz) })
		op("-", t, iv, t, vol, func(c *Batch) error { return moveTimestamps(c, -1, 0, 1, t == tz) })
		op("-", t, t, iv, Immutable, bytesOf(func(c *Batch, i int, dst []byte) ([]byte, error) {
			b, err := timestampDiff(c.Int(0, i), c.Int(1, i))
			return append(dst, b...), err
		}))
	}
	wrap := func(us int64) int64 { return us - floorDiv(us, usPerDay)*usPerDay }
	both(tod, iv, tod, Immutable, func(c *Batch, i, x, y int) (int64, error) {
		us, _, _ := types.IntervalParts(c.Bytes(y, i))
		return wrap(c.Int(x, i) + wrap(us)), nil
	})
	op("-", tod, iv, tod, Immutable, ints(func(c *Batch, i int) (int64, error) {
		us, _, _ := types.IntervalParts(c.Bytes(1, i))
		return wrap(c.Int(0, i) - wrap(us)), nil
	}))
	op("-", tod, tod, iv, Immutable, bytesOf(func(c *Batch, i int, dst []byte) ([]byte, error) {
		return append(dst, types.IntervalOf(c.Int(0, i)-c.Int(1, i), 0, 0)...), nil
	}))
	ivOp := func(name string, a, b types.ID, f func(c *Batch, i int) ([]byte, error)) {
		op(name, a, b, iv, Immutable, bytesOf(func(c *Batch, i int, dst []byte) ([]byte, error) {
			b, err := f(c, i)
			return append(dst, b...), err
		}))
	}
	ivOp("+", iv, iv, func(c *Batch, i int) ([]byte, error) { return intervalSum(c.Bytes(0, i), c.Bytes(1, i), 1) })
	ivOp("-", iv, iv, func(c *Batch, i int) ([]byte, error) { return intervalSum(c.Bytes(0, i), c.Bytes(1, i), -1) })
	ivOp("*", iv, f8, func(c *Batch, i int) ([]byte, error) { return intervalScale(c.Bytes(0, i), c.Float(1, i)) })
	ivOp("*", f8, iv, func(c *Batch, i int) ([]byte, error) { return intervalScale(c.Bytes(1, i), c.Float(0, i)) })
	ivOp("/", iv, f8, func(c *Batch, i int) ([]byte, error) {
		f := c.Float(1, i)
		if f == 0 {
			return nil, errDivZero()
		}
		us, d, m := types.IntervalParts(c.Bytes(0, i))
		return intervalFrom(float64(m)/f, float64(d)/f, float64(us)/f)
	})
	register(&Func{Name: "-", Args: typs(iv), Ret: types.Of(iv), MayFail: true, Eval: bytesOf(func(c *Batch, i int, dst []byte) ([]byte, error) {
		b, err := intervalSum(types.IntervalOf(0, 0, 0), c.Bytes(0, i), -1)
		return append(dst, b...), err
	})})
}

// moveTimestamps adds sign × intervals, argument v, to timestamps, argument t. A
// constant of time alone is a plain addition.
func moveTimestamps(c *Batch, sign int64, t, v int, zoned bool) error {
	out := c.Out.I[:c.N]
	a, b := c.Args[t], c.Args[v]
	if b.Mask == 0 && a.Mask != 0 {
		us, days, months := types.IntervalParts(b.V.Bytes(0))
		us *= sign
		if (!zoned || isUTC(c.Ctx.zone())) && days > -1_000_000 && days < 1_000_000 {
			us, days = us+sign*int64(days)*usPerDay, 0
		}
		if days == 0 && months == 0 && us > -1e17 && us < 1e17 {
			const far = int64(8e18) // no sum of such values overflows; rarer ones go the slow way
			var bad int64
			for i, x := range a.V.I[:len(out)] {
				bad |= (x + far) | (far - x)
				out[i] = x + us
			}
			if bad >= 0 && inTimestampRange(out) {
				return nil
			}
		}
	}
	for i := range out {
		if c.Skip(i) {
			continue
		}
		x, err := addInterval(c.Int(t, i), c.Bytes(v, i), sign, zoned, c.Ctx)
		if err != nil {
			return rowError(i, err)
		}
		out[i] = x
	}
	return nil
}

func inTimestampRange(xs []int64) bool {
	var bad int64
	for _, x := range xs {
		bad |= x - int64(types.MinTimestamp)
	}
	return bad >= 0
}
