package expr

import (
	"math"
	"time"

	"github.com/streamsql/streamsql/sql/types"
)

// The functions behind temporal filters: they say when a function of the clock
// reaches a value. They never fail; what is out of range is infinite. Stored plans
// call them. Like the steps of a view they know UTC alone.
func init() {
	tz := types.Timestamptz
	// clock_shift(t, us) is t + us.
	register(&Func{Name: "clock_shift", Args: typs(tz, types.Int8), Ret: types.Of(tz), Eval: ints(func(c *Batch, i int) (int64, error) {
		return shiftClock(c.Int(0, i), c.Int(1, i)), nil
	})})
	// clock_ceil(t, unit) is the first beginning of a unit that is not before t:
	// date_trunc(unit, now()) >= t from then on.
	register(&Func{Name: "clock_ceil", Args: typs(tz, types.Text), Ret: types.Of(tz), Eval: ints(func(c *Batch, i int) (int64, error) {
		u, _ := unitOf(c.Bytes(1, i))
		return ceilClock(c.Int(0, i), u), nil
	})})
	// clock_undo(t, iv) is, where months have their lengths in the way, the next time
	// after now() at which now() + iv >= t may change; otherwise it is t - iv.
	register(&Func{Name: "clock_undo", Args: typs(tz, types.Interval), Ret: types.Of(tz), Vol: Stable, Eval: ints(func(c *Batch, i int) (int64, error) {
		now := int64(math.MinInt64)
		if c.Ctx != nil {
			now = c.Ctx.Now
		}
		us, days, months := types.IntervalParts(c.Bytes(1, i))
		return undoClock(c.Int(0, i), us, days, months, now), nil
	})})
	// clock_zone(t, zone) is the next time after now() at which now() AT TIME ZONE zone
	// >= t may change; t is a local time.
	register(&Func{Name: "clock_zone", Args: typs(tz, types.Text), Ret: types.Of(tz), Vol: Stable, Eval: ints(func(c *Batch, i int) (int64, error) {
		t := c.Int(0, i)
		z, err := loadZone(string(c.Bytes(1, i)))
		if err != nil || types.Infinite(t) || c.Ctx == nil {
			return t, nil // the condition itself has the error
		}
		return localClock(t, z, c.Ctx.Now), nil
	})})
	// clock_months(t, iv) is t less the months of iv.
	register(&Func{Name: "clock_months", Args: typs(tz, types.Interval), Ret: types.Of(tz), Eval: ints(func(c *Batch, i int) (int64, error) {
		_, _, months := types.IntervalParts(c.Bytes(1, i))
		if t := c.Int(0, i); types.Infinite(t) {
			return t, nil
		}
		return addMonths(c.Int(0, i), -int64(months)), nil
	})})
}

func shiftClock(t, us int64) int64 {
	if types.Infinite(t) {
		return t
	}
	s, ok := sum64(t, us, true)
	switch {
	case ok && s >= types.MinTimestamp && s <= types.MaxTimestamp:
		return s
	case us > 0:
		return types.PosInfinity
	}
	return types.NegInfinity
}

// unitMonths are the lengths of the units that have months.
var unitMonths = map[string]int64{"month": 1, "quarter": 3, "year": 12, "decade": 120, "century": 1200, "millennium": 12_000}

// TruncUnit tells whether date_trunc knows a unit, and whether it is a month or
// more.
func TruncUnit(name string) (months, ok bool) {
	u, _ := unitOf([]byte(name))
	_, months = unitMonths[u]
	_, fixed := fixedUnits[u]
	return months, months || fixed || u == "week"
}

func ceilClock(t int64, unit string) int64 {
	if types.Infinite(t) {
		return t
	}
	b, ok := truncLocal(t, unit)
	switch {
	case !ok:
		return types.PosInfinity
	case b == t:
		return t
	case unitMonths[unit] > 0:
		return addMonths(b, unitMonths[unit])
	case unit == "week":
		return shiftClock(b, 7*usPerDay)
	}
	return shiftClock(b, fixedUnits[unit])
}

// addMonths moves t by months, to the month's last day at most.
func addMonths(t, months int64) int64 {
	c := types.CivilOf(t)
	m := int64(c.Year)*12 + int64(c.Month-1) + months
	c.Year, c.Month = int(floorDiv(m, 12)), int(m-floorDiv(m, 12)*12)+1
	c.Day = min(c.Day, types.MonthDays(c.Year, c.Month))
	if s, ok := c.Timestamp(); ok && types.TimestampInRange(s) {
		return s
	}
	if months > 0 {
		return types.PosInfinity
	}
	return types.NegInfinity
}

// undoClock: what adds months maps several days to the last of a month, and goes
// back at the midnights between them. So x + iv passes t at one of some times on
// the days that follow t - iv.
func undoClock(t, us int64, days, months int32, now int64) int64 {
	if us != math.MinInt64 {
		us = -us
	}
	t = shiftClock(shiftClock(t, us), -int64(days)*usPerDay)
	if months == 0 || types.Infinite(t) {
		return t
	}
	t = addMonths(t, -int64(months))
	if types.Infinite(t) || types.CivilOf(t).Day < 28 {
		return t
	}
	midnight := floorDiv(t, usPerDay) * usPerDay
	best := int64(types.PosInfinity)
	for d := range int64(5) {
		for _, x := range []int64{shiftClock(t, d*usPerDay), shiftClock(midnight, d*usPerDay)} {
			if x > now && x < best {
				best = x
			}
		}
	}
	return best
}

// localClock: a local time comes at one of the offsets that its zone has around it,
// and goes back or is passed over where the offset changes.
func localClock(t int64, z *time.Location, now int64) int64 {
	best := int64(types.PosInfinity)
	see := func(x int64) {
		if x > now && x < best {
			best = x
		}
	}
	for at := shiftClock(t, -2*usPerDay); ; {
		if types.Infinite(at) {
			return best
		}
		_, off := time.UnixMicro(at).In(z).Zone()
		see(shiftClock(t, -int64(off)*usPerSecond))
		_, end := time.UnixMicro(at).In(z).ZoneBounds()
		if end.IsZero() || end.UnixMicro() > shiftClock(t, 2*usPerDay) {
			return best
		}
		at = end.UnixMicro()
		see(at)
	}
}
