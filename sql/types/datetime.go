package types

import (
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/streamsql/streamsql/sql/sqlerr"
)

// Infinite dates and timestamps.
const (
	PosInfinity = math.MaxInt64
	NegInfinity = math.MinInt64
)

const (
	usPerSecond = 1_000_000
	usPerDay    = 86_400 * usPerSecond
)

// appendYMD appends a date and reports whether it is before the year 1, which
// PostgreSQL writes as a year BC.
func appendYMD(dst []byte, days int64) ([]byte, bool) {
	y, m, d := CivilFromDays(days)
	bc := y <= 0
	if bc {
		y = 1 - y
	}
	if y > 9999 {
		dst = strconv.AppendInt(dst, int64(y), 10)
	} else {
		dst = append2(append2(dst, y/100), y%100)
	}
	dst = append2(append(dst, '-'), m)
	return append2(append(dst, '-'), d), bc
}

// append2 appends two digits.
func append2(dst []byte, n int) []byte { return append(dst, byte('0'+n/10), byte('0'+n%10)) }

func appendInfinity(dst []byte, v int64) ([]byte, bool) {
	switch v {
	case PosInfinity:
		return append(dst, "infinity"...), true
	case NegInfinity:
		return append(dst, "-infinity"...), true
	}
	return dst, false
}

func appendDate(dst []byte, days int64) []byte {
	if out, inf := appendInfinity(dst, days); inf {
		return out
	}
	dst, bc := appendYMD(dst, days)
	if bc {
		dst = append(dst, " BC"...)
	}
	return dst
}

func appendTimeOfDay(dst []byte, us int64) []byte {
	s := int(us / usPerSecond)
	dst = append2(dst, s/3600)
	dst = append2(append(dst, ':'), s/60%60)
	dst = append2(append(dst, ':'), s%60)
	return appendMicros(dst, us%usPerSecond)
}

// appendMicros appends a fraction of a second without its trailing zeros.
func appendMicros(dst []byte, us int64) []byte {
	if us == 0 {
		return dst
	}
	dst = append(dst, '.')
	for unit := int64(100_000); us > 0; unit /= 10 {
		dst = append(dst, byte('0'+us/unit))
		us %= unit
	}
	return dst
}

func appendTimestamp(dst []byte, us int64, zone string) []byte {
	if out, inf := appendInfinity(dst, us); inf {
		return out
	}
	days, rest := us/usPerDay, us%usPerDay
	if rest < 0 {
		days--
		rest += usPerDay
	}
	dst, bc := appendYMD(dst, days)
	dst = appendTimeOfDay(append(dst, ' '), rest)
	dst = append(dst, zone...)
	if bc {
		dst = append(dst, " BC"...)
	}
	return dst
}

func badDatetime(t Type, s string) error {
	return sqlerr.New(sqlerr.InvalidDatetime, "invalid input syntax for type %s: %q", Bare(t), s)
}

func datetimeRange(s string) error {
	return sqlerr.New(sqlerr.DatetimeOverflow, "date/time field value out of range: %q", s)
}

// scanYMD reads YYYY-MM-DD at the start of s and returns days since 1970 and
// what follows.
func scanYMD(t Type, all, s string) (int64, string, error) {
	i := strings.IndexByte(s, '-')
	if i < 1 || len(s) < i+2 {
		return 0, "", badDatetime(t, all)
	}
	j := strings.IndexByte(s[i+1:], '-')
	if j < 1 {
		return 0, "", badDatetime(t, all)
	}
	j += i + 1
	end := j + 1
	for end < len(s) && end < j+3 && s[end] >= '0' && s[end] <= '9' {
		end++
	}
	var n [3]int
	for k, part := range []string{s[:i], s[i+1 : j], s[j+1 : end]} {
		v, err := strconv.ParseUint(part, 10, 31)
		if err != nil {
			return 0, "", badDatetime(t, all)
		}
		n[k] = int(v)
	}
	y, m, d := n[0], n[1], n[2]
	rest := s[end:]
	if r, ok := strings.CutSuffix(strings.TrimRight(rest, " "), " BC"); ok {
		y, rest = 1-y, r
	}
	if y > 294_276 || m < 1 || m > 12 || d < 1 || d > 31 || n[0] == 0 {
		return 0, "", datetimeRange(all)
	}
	tm := time.Date(y, time.Month(m), d, 0, 0, 0, 0, time.UTC)
	if tm.Day() != d {
		return 0, "", datetimeRange(all)
	}
	return tm.Unix() / 86_400, rest, nil
}

// scanTime reads HH:MM[:SS[.ffffff]] at the start of s.
func scanTime(t Type, all, s string) (int64, string, error) {
	end := 0
	for end < len(s) && (s[end] >= '0' && s[end] <= '9' || s[end] == ':' || s[end] == '.') {
		end++
	}
	parts := strings.Split(s[:end], ":")
	if len(parts) < 2 || len(parts) > 3 {
		return 0, "", badDatetime(t, all)
	}
	h, err1 := strconv.ParseUint(parts[0], 10, 16)
	m, err2 := strconv.ParseUint(parts[1], 10, 16)
	sec := 0.0
	var err3 error
	if len(parts) == 3 {
		sec, err3 = strconv.ParseFloat(parts[2], 64)
	}
	if err1 != nil || err2 != nil || err3 != nil {
		return 0, "", badDatetime(t, all)
	}
	us := int64(h)*3600*usPerSecond + int64(m)*60*usPerSecond + int64(math.Round(sec*usPerSecond))
	if m > 59 || sec > 60 || us > usPerDay {
		return 0, "", datetimeRange(all)
	}
	return us, s[end:], nil
}

// scanZone reads Z, UTC, an offset such as +02, -0330 or +05:45, or the name of a
// zone in which the clock shows local, as µs east.
func scanZone(t Type, all, s string, local int64) (int64, error) {
	s = strings.TrimSpace(s)
	switch strings.ToUpper(s) {
	case "", "Z", "UTC", "GMT":
		return 0, nil
	}
	sign := int64(1)
	switch s[0] {
	case '-':
		sign = -1
	case '+':
	default:
		if c := s[0] | 0x20; c < 'a' || c > 'z' {
			return 0, badDatetime(t, all)
		}
		loc, err := LoadZone(s)
		if err != nil {
			return 0, badDatetime(t, all)
		}
		return local - FromLocal(local, loc), nil
	}
	d := strings.ReplaceAll(s[1:], ":", "")
	if len(d)%2 != 0 {
		d = "0" + d
	}
	n, err := strconv.ParseUint(d, 10, 32)
	if err != nil || len(d) == 0 || len(d) > 6 {
		return 0, badDatetime(t, all)
	}
	for range 3 - len(d)/2 {
		n *= 100
	}
	h, m, sec := int64(n/10_000), int64(n/100%100), int64(n%100)
	if h > 15 || m > 59 || sec > 59 {
		return 0, sqlerr.New("22009", "time zone displacement out of range: %q", all)
	}
	return sign * (h*3600 + m*60 + sec) * usPerSecond, nil
}

func parseInfinity(s string) (Datum, bool) {
	switch strings.ToLower(s) {
	case "infinity":
		return Datum{I: PosInfinity}, true
	case "-infinity":
		return Datum{I: NegInfinity}, true
	case "epoch":
		return Datum{}, true
	}
	return Datum{}, false
}

func parseDate(s string) (Datum, error) {
	v := strings.TrimSpace(s)
	if d, ok := parseInfinity(v); ok {
		return d, nil
	}
	days, rest, err := scanYMD(Of(Date), s, v)
	if err != nil {
		return Datum{}, err
	}
	if rest != "" { // a time of day is read, and left out
		if rest[0] != ' ' && rest[0] != 'T' {
			return Datum{}, badDatetime(Of(Date), s)
		}
		if _, _, err := scanTime(Of(Date), s, rest[1:]); err != nil {
			return Datum{}, err
		}
	}
	return Datum{I: days}, nil
}

func parseTimeOfDay(s string) (Datum, error) {
	us, rest, err := scanTime(Of(Time), s, strings.TrimSpace(s))
	if err == nil && rest != "" {
		err = badDatetime(Of(Time), s)
	}
	return Datum{I: us}, err
}

// parseTimestamp reads a timestamp; its zone counts only for timestamptz.
func parseTimestamp(t Type, s string) (Datum, error) {
	v := strings.TrimSpace(s)
	if d, ok := parseInfinity(v); ok {
		return d, nil
	}
	days, rest, err := scanYMD(t, s, v)
	if err != nil {
		return Datum{}, err
	}
	us := days * usPerDay
	if rest = strings.TrimLeft(rest, " "); rest != "" {
		var tod int64
		if tod, rest, err = scanTime(t, s, strings.TrimPrefix(rest, "T")); err != nil {
			return Datum{}, err
		}
		us += tod
		zone, err := scanZone(t, s, rest, us)
		if err != nil {
			return Datum{}, err
		}
		if t.ID == Timestamptz {
			us -= zone
		}
	}
	// From a time near either end µs wrap around: what is not within a day of the
	// date's midnight did.
	if _, ok := joinDays(days, 0); !ok || !TimestampInRange(us) || us == PosInfinity || us < days*usPerDay-2*usPerDay {
		return Datum{}, sqlerr.New(sqlerr.DatetimeOverflow, "timestamp out of range: %q", s)
	}
	if t.Mod > 0 && t.Mod < 7 {
		unit := int64(math.Pow10(7 - int(t.Mod)))
		us = int64(math.Round(float64(us)/float64(unit))) * unit
	}
	return Datum{I: us}, nil
}
