package expr

import (
	"math"
	"strconv"
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

// field is a value of extract: an integer part in units of 10^-scale, or a float
// (infinity), or nothing.
type field struct {
	n     int64
	scale int
	inf   int
	null  bool
}

func (f field) numeric(dst []byte) []byte {
	switch {
	case f.inf > 0:
		return append(dst, types.NumericPosInf)
	case f.inf < 0:
		return append(dst, types.NumericNegInf)
	}
	b := types.AppendNumericInt(dst, f.n)
	b[len(dst)] = byte(f.scale)
	return b
}

func (f field) float() float64 {
	if f.inf != 0 {
		return math.Inf(f.inf)
	}
	return float64(f.n) / math.Pow10(f.scale)
}

// timestampField is extract from a timestamp whose wall clock is local, offset
// seconds east of UTC. kind names the type.
func timestampField(us, local int64, unit string, t types.Type) (field, bool) {
	if types.Infinite(us) {
		sign := 1
		if us < 0 {
			sign = -1
		}
		switch unit {
		case "microseconds", "milliseconds", "second", "minute", "hour", "day", "month", "quarter", "week", "dow", "isodow", "doy":
			return field{null: true}, true
		case "timezone", "timezone_hour", "timezone_minute":
			return field{null: true}, t.ID == types.Timestamptz
		}
		return field{inf: sign}, true
	}
	days := floorDiv(local, usPerDay)
	tod := local - days*usPerDay
	switch unit {
	case "epoch":
		return field{n: us, scale: 6}, true
	case "microseconds":
		return field{n: tod % usPerMinute}, true
	case "milliseconds":
		return field{n: tod % usPerMinute, scale: 3}, true
	case "second":
		return field{n: tod % usPerMinute, scale: 6}, true
	case "minute":
		return field{n: tod / usPerMinute % 60}, true
	case "hour":
		return field{n: tod / usPerHour}, true
	}
	y, m, d := types.CivilFromDays(days)
	bc := y
	if y <= 0 {
		bc = y - 1 // there is no year 0
	}
	switch unit {
	case "day":
		return field{n: int64(d)}, true
	case "month":
		return field{n: int64(m)}, true
	case "quarter":
		return field{n: int64((m-1)/3 + 1)}, true
	case "week":
		_, w := types.ISOWeek(days)
		return field{n: int64(w)}, true
	case "year":
		return field{n: int64(bc)}, true
	case "isoyear":
		iso, _ := types.ISOWeek(days)
		if iso <= 0 {
			iso--
		}
		return field{n: int64(iso)}, true
	case "decade":
		return field{n: floorDiv(int64(y), 10)}, true
	case "century":
		return field{n: eraOf(y, 100)}, true
	case "millennium":
		return field{n: eraOf(y, 1000)}, true
	case "dow":
		return field{n: int64(types.Weekday(days))}, true
	case "isodow":
		return field{n: int64((types.Weekday(days)+6)%7 + 1)}, true
	case "doy":
		return field{n: int64(types.YearDay(days))}, true
	case "julian":
		if tod == 0 {
			return field{n: days + 2_440_588}, true
		}
		// Days with the fraction, to six digits more than µs need.
		return field{n: (days+2_440_588)*1e9 + int64(math.Round(float64(tod)/float64(usPerDay)*1e9)), scale: 9}, true
	case "timezone", "timezone_hour", "timezone_minute":
		if t.ID != types.Timestamptz {
			return field{}, false
		}
		off := (local - us) / usPerSecond
		switch unit {
		case "timezone_hour":
			return field{n: off / 3600}, true
		case "timezone_minute":
			return field{n: off / 60 % 60}, true
		}
		return field{n: off}, true
	}
	return field{}, false
}

// eraOf numbers centuries and millennia from 1, and before Christ from -1.
func eraOf(y, n int) int64 {
	if y > 0 {
		return int64((y + n - 1) / n)
	}
	return int64(-((n - 1 - (y - 1)) / n))
}

func intervalField(b []byte, unit string) (field, bool) {
	us, days, months := types.IntervalParts(b)
	years := int64(months / 12)
	switch unit {
	case "microseconds":
		return field{n: us % usPerMinute}, true
	case "milliseconds":
		return field{n: us % usPerMinute, scale: 3}, true
	case "second":
		return field{n: us % usPerMinute, scale: 6}, true
	case "minute":
		return field{n: us / usPerMinute % 60}, true
	case "hour":
		return field{n: us / usPerHour}, true
	case "day":
		return field{n: int64(days)}, true
	case "month":
		return field{n: int64(months % 12)}, true
	case "quarter":
		return field{n: int64(months%12/3 + 1)}, true
	case "year":
		return field{n: years}, true
	case "decade":
		return field{n: years / 10}, true
	case "century":
		return field{n: years / 100}, true
	case "millennium":
		return field{n: years / 1000}, true
	case "epoch":
		// A year is 365.25 days, a month 30.
		secs := (years*1461/4*86_400 + years*1461%4*21_600) + int64(months%12)*30*86_400 + int64(days)*86_400
		return field{n: secs*usPerSecond + us, scale: 6}, true
	}
	return field{}, false
}

func timeField(us int64, unit string) (field, bool) {
	switch unit {
	case "microseconds", "milliseconds", "second", "minute", "hour":
		return timestampField(us, us, unit, types.Of(types.Timestamp))
	case "epoch":
		return field{n: us, scale: 6}, true
	}
	return field{}, false
}

// dateField has no time of day.
func dateField(days int64, unit string) (field, bool) {
	switch unit {
	case "microseconds", "milliseconds", "second", "minute", "hour", "timezone", "timezone_hour", "timezone_minute":
		return field{}, false
	}
	if types.Infinite(days) {
		return timestampField(days, days, unit, types.Of(types.Timestamp))
	}
	if unit == "epoch" {
		return field{n: days * 86_400}, true
	}
	us := days * usPerDay
	return timestampField(us, us, unit, types.Of(types.Timestamp))
}

// extractFields calls put with the field of each row, or none where there is
// none. The unit is read once when it is a constant.
func extractFields(c *Batch, t types.Type, put func(i int, f field), none func(i int)) error {
	var unit string
	known := false
	z := c.Ctx.zone()
	for i := range c.N {
		if c.Skip(i) {
			none(i)
			continue
		}
		if !known || c.Args[0].Mask != 0 {
			if unit, known = unitOf(c.Bytes(0, i)); !known {
				return rowError(i, errUnit(strings.ToLower(string(c.Bytes(0, i))), t, false))
			}
		}
		var f field
		var ok bool
		switch t.ID {
		case types.Timestamp:
			f, ok = timestampField(c.Int(1, i), c.Int(1, i), unit, t)
		case types.Timestamptz:
			f, ok = timestampField(c.Int(1, i), toLocal(c.Int(1, i), z), unit, t)
		case types.Date:
			f, ok = dateField(c.Int(1, i), unit)
		case types.Time:
			f, ok = timeField(c.Int(1, i), unit)
		default:
			f, ok = intervalField(c.Bytes(1, i), unit)
		}
		switch {
		case !ok:
			return rowError(i, errUnit(unit, t, true))
		case f.null:
			if c.Out.Nulls == nil {
				c.Out.Nulls = make([]uint64, words(c.N))
			}
			c.Out.Nulls[i>>6] |= 1 << (uint(i) & 63)
			none(i)
		default:
			put(i, f)
		}
	}
	return nil
}

func init() {
	const (
		date, tod, ts, tz, iv, txt = types.Date, types.Time, types.Timestamp, types.Timestamptz, types.Interval, types.Text
		i4, f8, num                = types.Int4, types.Float8, types.Numeric
	)
	clock := func(name string, ret types.ID, vol Volatility, f func(*Context) int64) {
		eval := ints(func(c *Batch, _ int) (int64, error) {
			if c.Ctx == nil {
				return 0, sqlerr.New(sqlerr.FeatureNotSupported, "%s cannot be called here", name)
			}
			return f(c.Ctx), nil
		})
		register(&Func{Name: name, Ret: types.Of(ret), Vol: vol, Eval: eval})
	}
	for _, n := range []string{"now", "current_timestamp", "transaction_timestamp", "statement_timestamp"} {
		clock(n, tz, Stable, func(c *Context) int64 { return c.Now })
	}
	clock("clock_timestamp", tz, Volatile, func(c *Context) int64 { return c.Now })
	clock("localtimestamp", ts, Stable, func(c *Context) int64 { return toLocal(c.Now, c.zone()) })
	clock("current_date", date, Stable, func(c *Context) int64 { return floorDiv(toLocal(c.Now, c.zone()), usPerDay) })
	clock("localtime", tod, Stable, func(c *Context) int64 {
		us := toLocal(c.Now, c.zone())
		return us - floorDiv(us, usPerDay)*usPerDay
	})
	for name, ret := range map[string]types.ID{"current_timestamp": tz, "localtimestamp": ts, "localtime": tod} {
		base := byKey[name+"()"]
		register(&Func{Name: name, Args: typs(i4), Ret: types.Of(ret), Vol: Stable, Eval: func(c *Batch) error {
			if err := base.Eval(c); err != nil {
				return err
			}
			for i := range c.Out.I[:c.N] {
				c.Out.I[i] = roundMicros(c.Out.I[i], int(c.Int(0, i)))
			}
			return nil
		}})
	}
	register(&Func{Name: "timeofday", Ret: types.Of(txt), Vol: Volatile, Eval: bytesOf(func(c *Batch, _ int, dst []byte) ([]byte, error) {
		if c.Ctx == nil {
			return dst, nil
		}
		return time.UnixMicro(c.Ctx.Now).In(c.Ctx.zone()).AppendFormat(dst, "Mon Jan 02 15:04:05.000000 2006 MST"), nil
	})})

	register(&Func{Name: "date_trunc", Args: typs(txt, ts), Ret: types.Of(ts), MayFail: true, Eval: func(c *Batch) error {
		return truncColumn(c, types.Of(ts), time.UTC)
	}}, &Func{Name: "date_trunc", Args: typs(txt, tz), Ret: types.Of(tz), MayFail: true, Vol: Stable, Eval: func(c *Batch) error {
		return truncColumn(c, types.Of(tz), c.Ctx.zone())
	}}, &Func{Name: "date_trunc", Args: typs(txt, tz, txt), Ret: types.Of(tz), MayFail: true, Eval: ints(func(c *Batch, i int) (int64, error) {
		z, err := loadZone(string(c.Bytes(2, i)))
		if err != nil {
			return 0, err
		}
		return dateTrunc(c.Int(1, i), c.Bytes(0, i), types.Of(tz), z)
	})})
	textErr("date_trunc", iv, func(c *Batch, i int, dst []byte) ([]byte, error) {
		u, known := unitOf(c.Bytes(0, i))
		if !known {
			return nil, errUnit(strings.ToLower(string(c.Bytes(0, i))), types.Of(iv), false)
		}
		us, days, months := types.IntervalParts(c.Bytes(1, i))
		switch f, fixed := fixedUnits[u]; {
		case u == "day":
			us = 0
		case fixed:
			us = us / f * f
		default:
			n := map[string]int32{"month": 1, "quarter": 3, "year": 12, "decade": 120, "century": 1200, "millennium": 12_000}[u]
			if n == 0 {
				return nil, errUnit(u, types.Of(iv), true)
			}
			us, days, months = 0, 0, months/n*n
		}
		return append(dst, types.IntervalOf(us, days, months)...), nil
	}, txt, iv)

	for _, t := range []types.ID{ts, tz, date, tod, iv} {
		typ := types.Of(t)
		vol := Immutable
		if t == tz {
			vol = Stable
		}
		register(&Func{Name: "extract", Args: typs(txt, t), Ret: types.Of(num), MayFail: true, Vol: vol, Eval: func(c *Batch) error {
			return extractFields(c, typ, func(i int, f field) {
				c.Out.Buf = f.numeric(c.Out.Buf)
				c.Out.Off = append(c.Out.Off, int32(len(c.Out.Buf)))
			}, func(int) { c.Out.Off = append(c.Out.Off, int32(len(c.Out.Buf))) })
		}}, &Func{Name: "date_part", Args: typs(txt, t), Ret: types.Of(f8), MayFail: true, Vol: vol, Eval: func(c *Batch) error {
			return extractFields(c, typ, func(i int, f field) { c.Out.F[i] = f.float() }, func(i int) { c.Out.F[i] = 0 })
		}})
	}

	register(&Func{Name: "to_timestamp", Args: typs(f8), Ret: types.Of(tz), MayFail: true, Eval: func(c *Batch) error {
		out := c.Out.I[:c.N]
		for i, s := range c.Args[0].V.F[:c.N] {
			if s > -2e11 && s < 9.2e12 {
				out[i] = int64(math.RoundToEven(s * 1e6))
				if types.TimestampInRange(out[i]) {
					continue
				}
			}
			if c.Skip(i) {
				continue
			}
			switch {
			case math.IsInf(s, 1):
				out[i] = types.PosInfinity
			case math.IsInf(s, -1):
				out[i] = types.NegInfinity
			case s != s:
				return rowError(i, sqlerr.New(sqlerr.DatetimeOverflow, "timestamp cannot be NaN"))
			default:
				return rowError(i, sqlerr.New(sqlerr.DatetimeOverflow, "timestamp out of range: \"%s\"", strconv.FormatFloat(s, 'g', -1, 64)))
			}
		}
		return nil
	}})

	age := func(t types.ID, stable bool) {
		vol := Immutable
		if stable {
			vol = Stable
		}
		local := func(c *Batch, us int64) int64 {
			if t == tz {
				return toLocal(us, c.Ctx.zone())
			}
			return us
		}
		register(&Func{Name: "age", Args: typs(t, t), Ret: types.Of(iv), Vol: vol, MayFail: true, Eval: bytesOf(func(c *Batch, i int, dst []byte) ([]byte, error) {
			return ageOf(dst, local(c, c.Int(0, i)), local(c, c.Int(1, i)))
		})}, &Func{Name: "age", Args: typs(t), Ret: types.Of(iv), Vol: Stable, MayFail: true, Eval: bytesOf(func(c *Batch, i int, dst []byte) ([]byte, error) {
			today := int64(0)
			if c.Ctx != nil {
				today = floorDiv(toLocal(c.Ctx.Now, c.Ctx.zone()), usPerDay) * usPerDay
			}
			return ageOf(dst, today, local(c, c.Int(0, i)))
		})})
	}
	age(ts, false)
	age(tz, true)

	intErr := func(name string, ret types.ID, f func(c *Batch, i int) (int64, error), args ...types.ID) {
		register(&Func{Name: name, Args: typs(args...), Ret: types.Of(ret), MayFail: true, Eval: ints(f)})
	}
	intErr("make_date", date, func(c *Batch, i int) (int64, error) { return makeDate(c.Int(0, i), c.Int(1, i), c.Int(2, i)) }, i4, i4, i4)
	intErr("make_time", tod, func(c *Batch, i int) (int64, error) { return makeTime(c.Int(0, i), c.Int(1, i), c.Float(2, i)) }, i4, i4, f8)
	makeTS := func(c *Batch, i int) (int64, error) {
		d, err := makeDate(c.Int(0, i), c.Int(1, i), c.Int(2, i))
		if err != nil {
			return 0, err
		}
		t, err := makeTime(c.Int(3, i), c.Int(4, i), c.Float(5, i))
		if err != nil {
			return 0, err
		}
		us, err := dateTimestamp(d)
		if err != nil || !types.TimestampInRange(us+t) {
			return 0, errTimestampRange()
		}
		return us + t, nil
	}
	intErr("make_timestamp", ts, makeTS, i4, i4, i4, i4, i4, f8)
	register(&Func{Name: "make_timestamptz", Args: typs(i4, i4, i4, i4, i4, f8), Ret: types.Of(tz), MayFail: true, Vol: Stable, Eval: ints(func(c *Batch, i int) (int64, error) {
		us, err := makeTS(c, i)
		return fromLocal(us, c.Ctx.zone()), err
	})})
	intErr("make_timestamptz", tz, func(c *Batch, i int) (int64, error) {
		us, err := makeTS(c, i)
		if err != nil {
			return 0, err
		}
		z, err := loadZone(string(c.Bytes(6, i)))
		if err != nil {
			return 0, err
		}
		return fromLocal(us, z), nil
	}, i4, i4, i4, i4, i4, f8, txt)
	full := []types.ID{i4, i4, i4, i4, i4, i4, f8} // years, months, weeks, days, hours, mins, secs
	for n := 0; n <= len(full); n++ {
		textErr("make_interval", iv, makeInterval, full[:n]...)
	}

	textErr("justify_hours", iv, func(c *Batch, i int, dst []byte) ([]byte, error) { return justify(dst, c.Bytes(0, i), true, false) }, iv)
	textErr("justify_days", iv, func(c *Batch, i int, dst []byte) ([]byte, error) { return justify(dst, c.Bytes(0, i), false, true) }, iv)
	textErr("justify_interval", iv, func(c *Batch, i int, dst []byte) ([]byte, error) { return justify(dst, c.Bytes(0, i), true, true) }, iv)

	// x AT TIME ZONE zone.
	zoned := func(from, to types.ID, f func(us int64, z *time.Location) int64) {
		intErr("timezone", to, func(c *Batch, i int) (int64, error) {
			z, err := loadZone(string(c.Bytes(0, i)))
			if err != nil {
				return 0, err
			}
			return f(c.Int(1, i), z), nil
		}, txt, from)
		intErr("timezone", to, func(c *Batch, i int) (int64, error) {
			us, days, months := types.IntervalParts(c.Bytes(0, i))
			if days != 0 || months != 0 {
				return 0, sqlerr.New(sqlerr.InvalidParameter, "interval time zone \"%s\" must not include months or days", types.FormatText(nil, types.Of(iv), c.Datum(0, i)))
			}
			return f(c.Int(1, i), time.FixedZone("", int(us/usPerSecond))), nil
		}, iv, from)
	}
	zoned(ts, tz, fromLocal)
	zoned(tz, ts, toLocal)

	for _, t := range []types.ID{ts, tz} {
		intErr("date_bin", t, func(c *Batch, i int) (int64, error) {
			us, days, months := types.IntervalParts(c.Bytes(0, i))
			src, origin := c.Int(1, i), c.Int(2, i)
			if types.Infinite(src) {
				return src, nil
			}
			if months != 0 {
				return 0, sqlerr.New(sqlerr.FeatureNotSupported, "timestamps cannot be binned into intervals containing months or years")
			}
			stride, ok := mul64(int64(days), usPerDay)
			if stride, ok = sum64(stride, us, ok); !ok || stride <= 0 {
				return 0, sqlerr.New(sqlerr.DatetimeOverflow, "stride must be greater than zero")
			}
			if types.Infinite(origin) {
				return 0, sqlerr.New(sqlerr.DatetimeOverflow, "origin out of range")
			}
			return origin + floorDiv(src-origin, stride)*stride, nil
		}, iv, t, t)
	}
	for _, t := range []types.ID{date, ts, tz} {
		register(&Func{Name: "isfinite", Args: typs(t), Ret: boolType, Eval: bools(func(c *Batch, i int) (bool, error) { return !types.Infinite(c.Int(0, i)), nil })})
	}
	register(&Func{Name: "isfinite", Args: typs(iv), Ret: boolType, Eval: bools(func(*Batch, int) (bool, error) { return true, nil })})
}

func makeDate(y, m, d int64) (int64, error) {
	bad := func() (int64, error) {
		return 0, sqlerr.New(sqlerr.DatetimeOverflow, "date field value out of range: %d-%02d-%02d", y, m, d)
	}
	year := y
	if y < 0 {
		year = y + 1
	}
	if y == 0 || m < 1 || m > 12 || d < 1 || year > 5_874_897 || year < -4713 || d > int64(types.MonthDays(int(year), int(m))) {
		return bad()
	}
	days := types.DaysFromCivil(int(year), int(m), int(d))
	if days < types.MinDate || days > types.MaxDate {
		return bad()
	}
	return days, nil
}

func makeTime(h, m int64, s float64) (int64, error) {
	us := h*usPerHour + m*usPerMinute + int64(math.RoundToEven(s*1e6))
	if h < 0 || m < 0 || m > 59 || !(s >= 0 && s <= 60) || h > 24 || us > usPerDay {
		return 0, sqlerr.New(sqlerr.DatetimeOverflow, "time field value out of range: %d:%02d:%02g", h, m, s)
	}
	return us, nil
}

func makeInterval(c *Batch, i int, dst []byte) ([]byte, error) {
	var v [6]int64
	secs := 0.0
	for a := range c.Args {
		if a == 6 {
			secs = c.Float(a, i)
		} else {
			v[a] = c.Int(a, i)
		}
	}
	months, days := v[0]*12+v[1], v[2]*7+v[3]
	us := float64(v[4])*3600e6 + float64(v[5])*60e6 + math.RoundToEven(secs*1e6)
	if months != int64(int32(months)) || days != int64(int32(days)) || !(math.Abs(us) < math.MaxInt64) {
		return nil, errIntervalRange()
	}
	return append(dst, types.IntervalOf(v[4]*usPerHour+v[5]*usPerMinute+int64(math.RoundToEven(secs*1e6)), int32(days), int32(months))...), nil
}

// justify moves whole days out of the time and whole months out of the days,
// and makes the signs agree.
func justify(dst, b []byte, hours, days bool) ([]byte, error) {
	us, d32, m32 := types.IntervalParts(b)
	d, m := int64(d32), int64(m32)
	if hours {
		d += us / usPerDay
		us %= usPerDay
	}
	if days {
		m += d / 30
		d %= 30
	}
	if hours && days {
		if m > 0 && (d < 0 || d == 0 && us < 0) {
			d, m = d+30, m-1
		} else if m < 0 && (d > 0 || d == 0 && us > 0) {
			d, m = d-30, m+1
		}
	} else if days {
		if m > 0 && d < 0 {
			d, m = d+30, m-1
		} else if m < 0 && d > 0 {
			d, m = d-30, m+1
		}
	}
	if hours {
		if d > 0 && us < 0 {
			us, d = us+usPerDay, d-1
		} else if d < 0 && us > 0 {
			us, d = us-usPerDay, d+1
		}
	}
	if d != int64(int32(d)) || m != int64(int32(m)) {
		return nil, errIntervalRange()
	}
	return append(dst, types.IntervalOf(us, int32(d), int32(m))...), nil
}

// ageOf subtracts field by field, borrowing days from the month of the earlier
// time (timestamp_age of PostgreSQL).
func ageOf(dst []byte, a, b int64) ([]byte, error) {
	if types.Infinite(a) || types.Infinite(b) {
		return nil, errTimestampRange()
	}
	sign := 1
	if a < b {
		a, b, sign = b, a, -1
	}
	p, q := types.CivilOf(a), types.CivilOf(b)
	tod := func(c types.Civil) int64 {
		return int64(c.Hour)*usPerHour + int64(c.Minute)*usPerMinute + int64(c.Second)*usPerSecond + int64(c.Micros)
	}
	us, days := tod(p)-tod(q), p.Day-q.Day
	months := (p.Year-q.Year)*12 + p.Month - q.Month
	if us < 0 {
		us, days = us+usPerDay, days-1
	}
	for days < 0 {
		days, months = days+types.MonthDays(q.Year, q.Month), months-1
	}
	return append(dst, types.IntervalOf(int64(sign)*us, int32(sign*days), int32(sign*months))...), nil
}
