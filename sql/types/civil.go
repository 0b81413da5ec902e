package types

// Limits of dates and timestamps. PostgreSQL's timestamps end with the year
// 294276; µs since 1970 in an int64 end in January 294247.
const (
	MinDate      = -2_440_588    // 4714-11-24 BC
	MaxDate      = 2_145_042_905 // 5874897-12-31
	MinTimestamp = MinDate * usPerDay
	MaxTimestamp = PosInfinity - 1
)

// Infinite reports whether a date or timestamp is infinity or -infinity.
func Infinite(v int64) bool { return v == PosInfinity || v == NegInfinity }

// TimestampInRange reports whether us is infinite or a timestamp that
// PostgreSQL can hold.
func TimestampInRange(us int64) bool { return us >= MinTimestamp || us == NegInfinity }

// DaysFromCivil returns the days from 1970-01-01 to a day of the proleptic
// Gregorian calendar. The year 0 is 1 BC. The month and the day may lie outside
// their usual range.
func DaysFromCivil(y, m, d int) int64 {
	m--
	y += floorDiv(m, 12)
	m = floorMod(m, 12)
	// Years that begin in March put the leap day last.
	m -= 2
	if m < 0 {
		m += 12
		y--
	}
	era := floorDiv(y, 400)
	yoe := y - era*400
	doy := (153*m+2)/5 + d - 1
	return int64(era)*146_097 + int64(yoe*365+yoe/4-yoe/100+doy) - 719_468
}

// CivilFromDays is the inverse of DaysFromCivil.
func CivilFromDays(days int64) (y, m, d int) {
	z := int(days) + 719_468
	era := floorDiv(z, 146_097)
	doe := z - era*146_097
	yoe := (doe - doe/1460 + doe/36_524 - doe/146_096) / 365
	doy := doe - (365*yoe + yoe/4 - yoe/100)
	mp := (5*doy + 2) / 153
	y, m, d = yoe+era*400, mp+3, doy-(153*mp+2)/5+1
	if m > 12 {
		m -= 12
		y++
	}
	return y, m, d
}

// Civil is a timestamp by its parts.
type Civil struct {
	Year, Month, Day             int // the year 0 is 1 BC
	Hour, Minute, Second, Micros int
}

// CivilOf splits a finite timestamp.
func CivilOf(us int64) Civil {
	days, rest := SplitDays(us)
	var c Civil
	c.Year, c.Month, c.Day = CivilFromDays(days)
	s := int(rest / usPerSecond)
	c.Hour, c.Minute, c.Second = s/3600, s/60%60, s%60
	c.Micros = int(rest % usPerSecond)
	return c
}

// Timestamp is the inverse of CivilOf; false when PostgreSQL cannot hold it.
func (c Civil) Timestamp() (int64, bool) {
	rest := (int64(c.Hour)*3600+int64(c.Minute)*60+int64(c.Second))*usPerSecond + int64(c.Micros)
	return joinDays(DaysFromCivil(c.Year, c.Month, c.Day), rest)
}

// SplitDays splits a timestamp into days since 1970 and µs since midnight.
func SplitDays(us int64) (days, rest int64) {
	days, rest = us/usPerDay, us%usPerDay
	if rest < 0 {
		days--
		rest += usPerDay
	}
	return days, rest
}

// joinDays is the inverse of SplitDays, with any finite rest; false when out of range.
func joinDays(days, rest int64) (int64, bool) {
	d, rest := SplitDays(rest)
	if days < MinDate-1<<40 || days > 1<<40 {
		return 0, false
	}
	days += d
	const last, lastRest = MaxTimestamp / usPerDay, MaxTimestamp % usPerDay
	if days < MinDate || days > last || days == last && rest > lastRest {
		return 0, false
	}
	return days*usPerDay + rest, true
}

// DateTimestamp returns midnight of a date; false when it is out of range.
func DateTimestamp(days int64) (int64, bool) {
	if Infinite(days) {
		return days, true
	}
	return joinDays(days, 0)
}

// TimestampDate returns the date of a timestamp.
func TimestampDate(us int64) int64 {
	if Infinite(us) {
		return us
	}
	days, _ := SplitDays(us)
	return days
}

// Weekday returns 0 for Sunday to 6.
func Weekday(days int64) int { return int(((days+4)%7 + 7) % 7) }

// YearDay returns the day of the year, from 1.
func YearDay(days int64) int {
	y, _, _ := CivilFromDays(days)
	return int(days-DaysFromCivil(y, 1, 1)) + 1
}

// ISOWeek returns the ISO 8601 year and week.
func ISOWeek(days int64) (year, week int) {
	thursday := days - int64((Weekday(days)+6)%7) + 3
	year, _, _ = CivilFromDays(thursday)
	return year, int(thursday-DaysFromCivil(year, 1, 1))/7 + 1
}

// MonthDays returns the number of days of a month.
func MonthDays(y, m int) int {
	switch m {
	case 4, 6, 9, 11:
		return 30
	case 2:
		if y%4 == 0 && (y%100 != 0 || y%400 == 0) {
			return 29
		}
		return 28
	}
	return 31
}

func floorDiv(a, b int) int {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

func floorMod(a, b int) int { return a - floorDiv(a, b)*b }
