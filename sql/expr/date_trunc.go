package expr

import (
	"strings"
	"time"

	"github.com/streamsql/streamsql/sql/sqlerr"
	"github.com/streamsql/streamsql/sql/types"
)

// timeUnits are the fields of date_trunc and extract, with their other spellings.
var timeUnits = map[string]string{
	"microseconds": "microseconds", "microsecond": "microseconds", "us": "microseconds", "usec": "microseconds", "usecs": "microseconds", "useconds": "microseconds", "usecond": "microseconds",
	"milliseconds": "milliseconds", "millisecond": "milliseconds", "ms": "milliseconds", "msec": "milliseconds", "msecs": "milliseconds", "mseconds": "milliseconds",
	"second": "second", "seconds": "second", "s": "second", "sec": "second", "secs": "second",
	"minute": "minute", "minutes": "minute", "m": "minute", "min": "minute", "mins": "minute",
	"hour": "hour", "hours": "hour", "h": "hour", "hr": "hour", "hrs": "hour",
	"day": "day", "days": "day", "d": "day", "week": "week", "weeks": "week", "w": "week",
	"month": "month", "months": "month", "mon": "month", "mons": "month", "quarter": "quarter", "qtr": "quarter",
	"year": "year", "years": "year", "y": "year", "yr": "year", "yrs": "year",
	"decade": "decade", "decades": "decade", "dec": "decade", "decs": "decade",
	"century": "century", "centuries": "century", "cent": "century", "c": "century",
	"millennium": "millennium", "millennia": "millennium", "mil": "millennium", "mils": "millennium",
	"dow": "dow", "isodow": "isodow", "doy": "doy", "isoyear": "isoyear", "epoch": "epoch", "julian": "julian",
	"timezone": "timezone", "timezone_hour": "timezone_hour", "timezone_minute": "timezone_minute",
}

func errUnit(unit string, t types.Type, known bool) error {
	if known {
		return sqlerr.New(sqlerr.FeatureNotSupported, "unit \"%s\" not supported for type %s", unit, t)
	}
	return sqlerr.New(sqlerr.InvalidParameter, "unit \"%s\" not recognized for type %s", unit, t)
}

func unitOf(b []byte) (string, bool) {
	u, ok := timeUnits[lowerASCII(string(b))]
	return u, ok
}

// fixedUnits are those whose length is always the same, in µs.
var fixedUnits = map[string]int64{
	"microseconds": 1, "milliseconds": 1000, "second": usPerSecond, "minute": usPerMinute, "hour": usPerHour, "day": usPerDay,
}

// truncLocal is date_trunc of a finite timestamp.
func truncLocal(us int64, unit string) (int64, bool) {
	if f, ok := fixedUnits[unit]; ok {
		return floorDiv(us, f) * f, true
	}
	days := floorDiv(us, usPerDay)
	if unit == "week" {
		return (days - int64((types.Weekday(days)+6)%7)) * usPerDay, true
	}
	y, m, _ := types.CivilFromDays(days)
	// Centuries and millennia begin with the year 1.
	ending := func(n int) int {
		if y > 0 {
			return (y-1)/n*n + 1
		}
		return int(floorDiv(int64(y-1), int64(n)))*n + 1
	}
	switch unit {
	case "month":
	case "quarter":
		m = (m-1)/3*3 + 1
	case "year":
		m = 1
	case "decade":
		y, m = int(floorDiv(int64(y), 10))*10, 1
	case "century":
		y, m = ending(100), 1
	case "millennium":
		y, m = ending(1000), 1
	default:
		return 0, false
	}
	return types.DaysFromCivil(y, m, 1) * usPerDay, true
}

// dateTrunc truncates in the wall clock of z.
func dateTrunc(us int64, unit []byte, t types.Type, z *time.Location) (int64, error) {
	u, known := unitOf(unit)
	if !known {
		return 0, errUnit(strings.ToLower(string(unit)), t, false)
	}
	if types.Infinite(us) {
		return us, nil
	}
	local, ok := truncLocal(toLocal(us, z), u)
	if !ok {
		return 0, errUnit(u, t, true)
	}
	if !types.TimestampInRange(local) {
		return 0, errTimestampRange()
	}
	return fromLocal(local, z), nil
}

// truncColumn is date_trunc(unit, ts) with a loop for constant units.
func truncColumn(c *Batch, t types.Type, z *time.Location) error {
	out := c.Out.I[:c.N]
	a := c.Args[1]
	if c.Args[0].Mask == 0 && a.Mask != 0 && isUTC(z) {
		u, _ := unitOf(c.Args[0].V.Bytes(0))
		if f := fixedUnits[u]; f > 0 {
			inf := int64(0)
			for i, x := range a.V.I[:len(out)] {
				q := x % f
				q += f & (q >> 63)
				out[i] = x - q
				inf |= b2i(x == types.PosInfinity) | b2i(x <= types.MinTimestamp)
			}
			if inf == 0 {
				return nil
			}
		}
	}
	for i := range out {
		if c.Skip(i) {
			continue
		}
		x, err := dateTrunc(c.Int(1, i), c.Bytes(0, i), t, z)
		if err != nil {
			return rowError(i, err)
		}
		out[i] = x
	}
	return nil
}
