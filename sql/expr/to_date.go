package expr

import (
	"strconv"
	"strings"

	"github.com/streamsql/streamsql/sql/sqlerr"
	"github.com/streamsql/streamsql/sql/types"
)

// dtReader reads a text along a format.
type dtReader struct {
	s   string
	src string
}

func (r *dtReader) bad(key, detail string, args ...any) error {
	return sqlerr.New(sqlerr.InvalidDatetime, "invalid value \"%s\" for \"%s\"", r.s, key).WithDetail(detail, args...)
}

// number reads up to width digits, or as many as there are with width 0.
func (r *dtReader) number(t dtToken, width int) (int64, error) {
	r.s = strings.TrimLeft(r.s, " \t\n")
	n := 0
	if n < len(r.s) && (r.s[n] == '-' || r.s[n] == '+') {
		n++
	}
	start := n
	for n < len(r.s) && (width == 0 || n-start < width) && r.s[n] >= '0' && r.s[n] <= '9' {
		n++
	}
	if n == start {
		return 0, r.bad(t.word, "Value must be an integer.")
	}
	v, err := strconv.ParseInt(r.s[:n], 10, 32)
	if err != nil {
		return 0, sqlerr.New(sqlerr.InvalidDatetime, "value for \"%s\" in source string is out of range", t.word)
	}
	r.s = r.s[n:]
	if t.th != "" && len(r.s) >= 2 {
		r.s = r.s[2:]
	}
	return v, nil
}

// oneOf reads one of names, or of their first short letters.
func (r *dtReader) oneOf(t dtToken, names []string, short int) (int64, error) {
	r.s = strings.TrimLeft(r.s, " ")
	best, length := -1, 0
	for i, n := range names {
		if short > 0 {
			n = n[:short]
		}
		if len(r.s) >= len(n) && strings.EqualFold(r.s[:len(n)], n) && len(n) > length {
			best, length = i, len(n)
		}
	}
	if best < 0 {
		return 0, r.bad(t.word, "The given value did not match any of the allowed values for this field.")
	}
	r.s = r.s[length:]
	return int64(best), nil
}

func isSeparator(c byte) bool {
	return c > ' ' && c < 0x7F && !(c >= '0' && c <= '9') && !(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z')
}

// parseDateFormat reads a text along a format. zoned says that the text named
// its zone, so that the result is UTC.
func parseDateFormat(c *Batch, s string, format []byte) (us int64, zoned bool, err error) {
	toks := dateFormat(c, format)
	r := &dtReader{s: s, src: s}
	var y, mon, d, h, mi, sec, frac = int64(0), int64(1), int64(1), int64(0), int64(0), int64(0), int64(0)
	var doy, julian, isoWeek, isoDay, secs int64 = 0, -1, 0, 0, -1
	haveYear, iso, pm, am, bc, h12, cc := false, false, false, false, false, false, int64(0)
	var tzSign, tzH, tzM int64 = 1, 0, 0
	for k, t := range toks {
		if err != nil {
			return 0, false, err
		}
		if t.key == "" {
			for j := 0; j < len(t.text) && r.s != ""; j++ {
				f := t.text[j]
				switch {
				case f == ' ' || isSeparator(f):
					// A separator skips blanks and one separator of the text.
					r.s = strings.TrimLeft(r.s, " ")
					if r.s != "" && isSeparator(r.s[0]) && !((r.s[0] == '-' || r.s[0] == '+') && f == ' ') {
						r.s = r.s[1:]
					}
				default:
					r.s = r.s[1:]
				}
			}
			continue
		}
		r.s = strings.TrimLeft(r.s, " ")
		if r.s == "" {
			break
		}
		// A number goes on to the next non-digit, unless another number follows at once.
		width := func(n int) int {
			if k+1 < len(toks) && toks[k+1].key != "" {
				return n
			}
			if t.fm {
				return 0
			}
			return n
		}
		switch t.word {
		case "HH", "HH12":
			h, err = r.number(t, width(2))
			h12 = true
			if err == nil && (h < 1 || h > 12) {
				return 0, false, sqlerr.New(sqlerr.InvalidDatetime, "hour \"%d\" is invalid for the 12-hour clock", h).
					WithHint("Use the 24-hour clock, or give an hour between 1 and 12.")
			}
		case "HH24":
			h, err = r.number(t, width(2))
		case "MI":
			mi, err = r.number(t, width(2))
		case "SS":
			sec, err = r.number(t, width(2))
		case "MS", "US", "FF1", "FF2", "FF3", "FF4", "FF5", "FF6":
			n := map[string]int{"MS": 3, "US": 6}[t.word]
			if n == 0 {
				n = int(t.word[2] - '0')
			}
			before := len(r.s)
			frac, err = r.number(t, n)
			for range 6 - (before - len(r.s)) {
				frac *= 10
			}
		case "SSSS", "SSSSS":
			secs, err = r.number(t, width(5))
		case "AM", "PM", "A.M.", "P.M.":
			var v int64
			v, err = r.oneOf(t, []string{"am", "pm", "a.m.", "p.m."}, 0)
			am, pm = v%2 == 0, v%2 == 1
		case "AD", "BC", "A.D.", "B.C.":
			var v int64
			v, err = r.oneOf(t, []string{"ad", "bc", "a.d.", "b.c."}, 0)
			bc = v%2 == 1
		case "Y,YYY":
			var a, b int64
			if a, err = r.number(t, 0); err == nil {
				r.s = strings.TrimPrefix(r.s, ",")
				b, err = r.number(t, 3)
			}
			y, haveYear = a*1000+b, true
		case "YYYY", "IYYY":
			n := 4
			if k+1 == len(toks) || toks[k+1].key == "" {
				n = 0
			}
			y, err = r.number(t, n)
			haveYear, iso = true, t.word[0] == 'I'
		case "YYY", "YY", "Y", "IYY", "IY", "I":
			n := strings.Count(t.word, "Y") + int(b2i(t.word[0] == 'I'))
			before := len(r.s)
			y, err = r.number(t, width(n))
			if used := before - len(r.s); used <= 3 && used > 0 {
				// Adjusted to be nearest to 2020 (adjust_partial_year_to_2020).
				switch {
				case y < 70:
					y += 2000
				case y < 100:
					y += 1900
				case y < 520:
					y += 2000
				case y < 1000:
					y += 1000
				}
			}
			haveYear, iso = true, t.word[0] == 'I'
		case "CC":
			cc, err = r.number(t, width(2))
		case "Q":
			_, err = r.number(t, width(1))
		case "MM":
			mon, err = r.number(t, width(2))
		case "MONTH":
			mon, err = r.oneOf(t, monthNames, 0)
			mon++
		case "MON":
			mon, err = r.oneOf(t, monthNames, 3)
			mon++
		case "RM":
			mon, err = r.oneOf(t, romanMonths, 0)
			mon++
		case "DAY":
			_, err = r.oneOf(t, dayNames, 0)
		case "DY":
			_, err = r.oneOf(t, dayNames, 3)
		case "DDD":
			doy, err = r.number(t, width(3))
		case "DD":
			d, err = r.number(t, width(2))
		case "IW":
			isoWeek, err = r.number(t, width(2))
			iso = true
		case "WW":
			var w int64
			w, err = r.number(t, width(2))
			doy = (w-1)*7 + 1
		case "W":
			var w int64
			w, err = r.number(t, width(1))
			d = (w-1)*7 + 1
		case "D", "ID":
			isoDay, err = r.number(t, width(1))
		case "J":
			julian, err = r.number(t, 0)
		case "TZH":
			if r.s[0] == '-' || r.s[0] == '+' {
				if r.s[0] == '-' {
					tzSign = -1
				}
				r.s = r.s[1:]
			}
			tzH, err = r.number(t, 2)
			zoned = true
		case "TZM":
			tzM, err = r.number(t, 2)
			zoned = true
		case "TZ", "OF", "IDDD":
			return 0, false, sqlerr.New(sqlerr.FeatureNotSupported, "formatting field \"%s\" is only supported in to_char", t.word)
		}
	}
	if err != nil {
		return 0, false, err
	}
	if secs >= 0 {
		h, mi, sec = secs/3600, secs/60%60, secs%60
	}
	if h12 || pm || am {
		if pm && h < 12 {
			h += 12
		} else if !pm && h12 && h == 12 {
			h = 0
		}
	}
	if cc > 0 && !haveYear {
		y, haveYear = (cc-1)*100+1, true
	}
	if bc && y > 0 {
		y = 1 - y
	}
	if !haveYear {
		y = 0 // 1 BC, as PostgreSQL has it
	}
	out := sqlerr.New(sqlerr.DatetimeOverflow, "date/time field value out of range: \"%s\"", s)
	if h > 24 || mi > 59 || sec > 59 || h < 0 || mi < 0 || sec < 0 || y > 294_276 || y < -4713 {
		return 0, false, out
	}
	var days int64
	switch {
	case julian >= 0:
		days = julian - 2_440_588
	case iso && isoWeek > 0:
		jan4 := types.DaysFromCivil(int(y), 1, 4)
		monday := jan4 - int64((types.Weekday(jan4)+6)%7)
		days = monday + (isoWeek-1)*7 + max(isoDay, 1) - 1
	case doy > 0:
		if doy > 366 {
			return 0, false, out
		}
		days = types.DaysFromCivil(int(y), 1, 1) + doy - 1
	default:
		if mon < 1 || mon > 12 || d < 1 || d > int64(types.MonthDays(int(y), int(mon))) {
			return 0, false, out
		}
		days = types.DaysFromCivil(int(y), int(mon), int(d))
	}
	us, ok := types.DateTimestamp(days)
	if !ok {
		return 0, false, out
	}
	us += h*usPerHour + mi*usPerMinute + sec*usPerSecond + frac
	if zoned {
		us -= tzSign * (tzH*3600 + tzM*60) * usPerSecond
	}
	return us, zoned, nil
}
