package expr

import (
	"math"

	"github.com/streamsql/streamsql/sql/sqlerr"
	"github.com/streamsql/streamsql/sql/types"
)

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
