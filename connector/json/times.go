package json

import "math"

const usPerDay = 86_400_000_000

// unitOf is the least step, in µs, of a time type with this modifier.
func unitOf(mod int32) int64 {
	if mod > 0 && mod < 7 {
		return int64(math.Pow10(7 - int(mod)))
	}
	return 1
}

func digits(s []byte) int64 {
	var v int64
	for _, c := range s {
		if c -= '0'; c > 9 {
			return -1
		}
		v = v*10 + int64(c)
	}
	return v
}

// isoDate reads YYYY-MM-DD at the start of s as days since 1970.
func isoDate(s []byte) (int64, bool) {
	if len(s) < 10 || s[4] != '-' || s[7] != '-' {
		return 0, false
	}
	y, m, d := digits(s[:4]), digits(s[5:7]), digits(s[8:10])
	if y < 1 || m < 1 || m > 12 || d < 1 || d > 28 && d > daysIn(y, m) {
		return 0, false
	}
	// Years begin in March, so that the leap day is the last one.
	if m < 3 {
		y--
		m += 12
	}
	return 365*y + y/4 - y/100 + y/400 + (153*(m-3)+2)/5 + d - 719_469, true
}

func daysIn(y, m int64) int64 {
	switch m {
	case 2:
		if y%4 == 0 && (y%100 != 0 || y%400 == 0) {
			return 29
		}
		return 28
	case 4, 6, 9, 11:
		return 30
	}
	return 31
}

// isoTimestamp reads YYYY-MM-DDTHH:MM:SS[.ffffff][Z|±HH:MM]. Whatever else a
// timestamp may look like is left to the general reader.
func isoTimestamp(s []byte, zoned bool) (int64, bool) {
	days, ok := isoDate(s)
	if !ok || len(s) < 19 || s[10] != 'T' && s[10] != ' ' || s[13] != ':' || s[16] != ':' {
		return 0, false
	}
	h, m, sec := digits(s[11:13]), digits(s[14:16]), digits(s[17:19])
	if h < 0 || h > 23 || m < 0 || m > 59 || sec < 0 || sec > 59 {
		return 0, false
	}
	us := days*usPerDay + ((h*60+m)*60+sec)*1_000_000
	rest := s[19:]
	if len(rest) > 0 && rest[0] == '.' {
		n := 1
		unit := int64(100_000)
		for ; n < len(rest) && rest[n]-'0' <= 9; n++ {
			us += int64(rest[n]-'0') * unit
			unit /= 10
		}
		if n < 2 || n > 7 {
			return 0, false
		}
		rest = rest[n:]
	}
	switch {
	case len(rest) == 0 || len(rest) == 1 && rest[0] == 'Z':
		return us, true
	case len(rest) == 6 && rest[3] == ':' && (rest[0] == '+' || rest[0] == '-'):
		zh, zm := digits(rest[1:3]), digits(rest[4:6])
		if zh < 0 || zh > 15 || zm < 0 || zm > 59 {
			return 0, false
		}
		if east := (zh*60 + zm) * 60_000_000; zoned && rest[0] == '-' {
			us += east
		} else if zoned {
			us -= east
		}
		return us, true
	}
	return 0, false
}
