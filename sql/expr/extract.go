package expr

import (
	"math"
	"strings"

	"github.com/streamsql/streamsql/sql/types"
)

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
