package types

import (
	"encoding/binary"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/streamsql/streamsql/sql/sqlerr"
)

// IntervalOf returns the bytes of an interval.
func IntervalOf(us int64, days, months int32) []byte {
	b := binary.LittleEndian.AppendUint64(make([]byte, 0, 16), uint64(us))
	b = binary.LittleEndian.AppendUint32(b, uint32(days))
	return binary.LittleEndian.AppendUint32(b, uint32(months))
}

// IntervalParts is the inverse of IntervalOf.
func IntervalParts(b []byte) (us int64, days, months int32) {
	var p [16]byte
	copy(p[:], b)
	return int64(binary.LittleEndian.Uint64(p[:8])),
		int32(binary.LittleEndian.Uint32(p[8:12])), int32(binary.LittleEndian.Uint32(p[12:]))
}

// appendInterval prints as IntervalStyle postgres: 1 year 2 mons -3 days +04:05:06.
func appendInterval(dst, b []byte) []byte {
	us, days, months := IntervalParts(b)
	first, negative := true, false
	field := func(n int64, unit string) {
		if n == 0 {
			return
		}
		if !first {
			dst = append(dst, ' ')
			if negative && n > 0 {
				dst = append(dst, '+')
			}
		}
		if n != 1 {
			unit += "s"
		}
		dst = fmt.Appendf(dst, "%d %s", n, unit)
		first, negative = false, n < 0
	}
	field(int64(months/12), "year")
	field(int64(months%12), "mon")
	field(int64(days), "day")
	if us == 0 && !first {
		return dst
	}
	if !first {
		dst = append(dst, ' ')
		if negative && us > 0 {
			dst = append(dst, '+')
		}
	}
	u := uint64(us)
	if us < 0 {
		dst = append(dst, '-')
		u = -u
	}
	s := u / usPerSecond
	dst = fmt.Appendf(dst, "%02d:%02d:%02d", s/3600, s/60%60, s%60)
	return appendMicros(dst, int64(u%usPerSecond))
}

type intervalUnit struct {
	months float64
	days   float64
	us     float64
}

var intervalUnits = map[string]intervalUnit{
	"microsecond": {us: 1}, "us": {us: 1}, "usec": {us: 1},
	"millisecond": {us: 1e3}, "ms": {us: 1e3}, "msec": {us: 1e3},
	"second": {us: 1e6}, "sec": {us: 1e6}, "s": {us: 1e6},
	"minute": {us: 60e6}, "min": {us: 60e6}, "m": {us: 60e6},
	"hour": {us: 3600e6}, "hr": {us: 3600e6}, "h": {us: 3600e6},
	"day": {days: 1}, "d": {days: 1},
	"week": {days: 7}, "w": {days: 7},
	"month": {months: 1}, "mon": {months: 1},
	"year": {months: 12}, "yr": {months: 12}, "y": {months: 12},
	"decade": {months: 120}, "century": {months: 1200},
}

// parseInterval reads PostgreSQL's verbose form, '1 day 02:03:04.5', '5 min',
// '-1 year 2 mons ago', a bare number of seconds, and ISO 8601's P1Y2M3DT4H5M6S.
func parseInterval(s string) ([]byte, error) {
	bad := sqlerr.New(sqlerr.InvalidDatetime, "invalid input syntax for type interval: %q", s)
	var months, days, us float64
	add := func(n float64, u intervalUnit) {
		// A fraction of a month falls to days of a month of 30, one of a day to hours.
		m := n * u.months
		whole := math.Trunc(m)
		months += whole
		d := n*u.days + (m-whole)*30
		whole = math.Trunc(math.Round(d*1e9) / 1e9)
		days += whole
		us += n*u.us + (d-whole)*usPerDay
	}
	words := strings.Fields(strings.ToLower(s))
	ago := len(words) > 0 && words[len(words)-1] == "ago"
	if ago {
		words = words[:len(words)-1]
	}
	if len(words) == 0 {
		return nil, bad
	}
	if words[0][0] == 'p' {
		if len(words) > 1 || !scanISOInterval(words[0][1:], add) {
			return nil, bad
		}
		words = nil
	}
	for i := 0; i < len(words); i++ {
		w := words[i]
		if w == "@" {
			continue
		}
		if strings.Contains(w, ":") {
			sign := 1.0
			if w[0] == '-' {
				sign = -1
			}
			v, rest, err := scanTimeSpan(strings.TrimLeft(w, "+-"))
			if err != nil || rest != "" {
				return nil, bad
			}
			us += sign * v
			continue
		}
		num := len(w) - len(strings.TrimLeft(w, "+-.0123456789"))
		unit := w[num:]
		n, err := strconv.ParseFloat(w[:num], 64)
		if err != nil {
			return nil, bad
		}
		if unit == "" {
			if i+1 < len(words) && !strings.ContainsAny(words[i+1], ":0123456789") {
				i++
				unit = words[i]
			} else if i+1 < len(words) && strings.Contains(words[i+1], ":") {
				unit = "day" // 1 02:03:04
			} else {
				unit = "second"
			}
		}
		u, ok := intervalUnits[unit]
		if !ok {
			if unit == "centuries" {
				u, ok = intervalUnits["century"], true
			} else {
				u, ok = intervalUnits[strings.TrimSuffix(unit, "s")]
			}
		}
		if !ok {
			return nil, bad
		}
		add(n, u)
	}
	if ago {
		months, days, us = -months, -days, -us
	}
	if math.Abs(months) > math.MaxInt32 || math.Abs(days) > math.MaxInt32 || math.Abs(us) >= math.MaxInt64 {
		return nil, sqlerr.New(sqlerr.DatetimeOverflow, "interval field value out of range: %q", s)
	}
	return IntervalOf(int64(math.Round(us)), int32(days), int32(months)), nil
}

// scanISOInterval reads ISO 8601's form with designators, what stands after its P.
func scanISOInterval(s string, add func(float64, intervalUnit)) bool {
	units := map[byte]string{'y': "year", 'm': "month", 'w': "week", 'd': "day"}
	any, time := false, false
	for s != "" {
		if s[0] == 't' {
			if time {
				return false
			}
			s, time, any = s[1:], true, false
			units = map[byte]string{'h': "hour", 'm': "minute", 's': "second"}
			continue
		}
		num := len(s) - len(strings.TrimLeft(s, "+-.0123456789"))
		n, err := strconv.ParseFloat(s[:num], 64)
		if err != nil || num == len(s) || units[s[num]] == "" {
			return false
		}
		add(n, intervalUnits[units[s[num]]])
		s, any = s[num+1:], true
	}
	return any
}

// scanTimeSpan reads HH:MM[:SS[.f]] with any number of hours, in µs.
func scanTimeSpan(s string) (float64, string, error) {
	h, rest, _ := strings.Cut(s, ":")
	m, sec, _ := strings.Cut(rest, ":")
	if sec == "" {
		sec = "0"
	}
	total := 0.0
	for i, part := range []string{h, m, sec} {
		n, err := strconv.ParseFloat(part, 64)
		if err != nil || n < 0 || i > 0 && n >= 60 {
			return 0, "", sqlerr.New(sqlerr.InvalidDatetime, "invalid time span")
		}
		total += n * []float64{3600e6, 60e6, 1e6}[i]
	}
	return total, "", nil
}
