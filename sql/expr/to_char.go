package expr

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/streamsql/streamsql/sql/sqlerr"
	"github.com/streamsql/streamsql/sql/types"
)

// dtToken is a piece of a date/time format: a keyword with its modifiers, or text.
type dtToken struct {
	key  string // as it was written; "" for text
	word string // key in upper case
	text string
	fm   bool
	th   string // TH or th

}

// dtKeys are the keywords, longer ones before their prefixes.
var dtKeys = []string{
	"A.D.", "B.C.", "A.M.", "P.M.", "SSSSS", "SSSS", "MONTH", "Y,YYY", "IYYY", "YYYY", "HH24", "HH12", "IDDD",
	"FF1", "FF2", "FF3", "FF4", "FF5", "FF6", "TZH", "TZM", "MON", "DAY", "DDD", "IYY", "YYY",
	"AD", "BC", "AM", "PM", "CC", "DD", "DY", "HH", "ID", "IW", "IY", "MI", "MM", "MS", "OF", "RM", "SS", "TZ", "US", "WW", "YY",
	"D", "I", "J", "Q", "W", "Y",
}

func dateFormat(c *Batch, f []byte) []dtToken {
	if v, ok := c.cache[string(f)].([]dtToken); ok {
		return v
	}
	toks, _ := cached(c, string(f), func() ([]dtToken, error) { return scanDateFormat(string(f)), nil })
	return toks
}

func scanDateFormat(f string) []dtToken {
	var out []dtToken
	text := func(s string) {
		if n := len(out); n > 0 && out[n-1].key == "" {
			out[n-1].text += s
			return
		}
		out = append(out, dtToken{text: s})
	}
	for i := 0; i < len(f); {
		if f[i] == '"' {
			for i++; i < len(f) && f[i] != '"'; i++ {
				if f[i] == '\\' && i+1 < len(f) {
					i++
				}
				text(f[i : i+1])
			}
			i++
			continue
		}
		if f[i] == '\\' && i+1 < len(f) && f[i+1] == '"' {
			text(`"`)
			i += 2
			continue
		}
		fm, j := false, i
		for {
			if p := strings.ToUpper(f[j:min(j+2, len(f))]); p == "FM" || p == "TM" || p == "FX" {
				fm = fm || p == "FM"
				j += 2
				continue
			}
			break
		}
		found := false
		for _, k := range dtKeys {
			if len(f)-j >= len(k) && strings.EqualFold(f[j:j+len(k)], k) {
				t := dtToken{key: f[j : j+len(k)], word: k, fm: fm}
				j += len(k)
				if p := f[j:min(j+2, len(f))]; p == "TH" || p == "th" {
					t.th = p
					j += 2
				}
				out = append(out, t)
				i, found = j, true
				break
			}
		}
		if !found {
			if j > i {
				i = j // modifiers of nothing
				continue
			}
			text(f[i : i+1])
			i++
		}
	}
	return out
}

var monthNames = []string{"January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"}
var dayNames = []string{"Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"}
var romanMonths = []string{"I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X", "XI", "XII"}

// caseLike gives s the case in which a keyword was written: MONTH, Month, month.
func caseLike(s, key string) string {
	switch {
	case key == strings.ToUpper(key):
		return strings.ToUpper(s)
	case key[0] >= 'a' && key[0] <= 'z':
		return strings.ToLower(s)
	}
	return s
}

func ordinal(n int64, th string) string {
	s := "th"
	if n < 0 {
		n = -n
	}
	if n%100 < 11 || n%100 > 13 {
		switch n % 10 {
		case 1:
			s = "st"
		case 2:
			s = "nd"
		case 3:
			s = "rd"
		}
	}
	if th == "TH" {
		return strings.ToUpper(s)
	}
	return s
}

// dtParts is what a format prints: of a timestamp, or of an interval.
type dtParts struct {
	y, mon, d, h, mi, s int64
	us                  int64
	days                int64 // since 1970
	interval            bool
	zone                string
	offset              int64 // seconds east
}

func appendDateFormat(dst []byte, toks []dtToken, p dtParts) ([]byte, error) {
	for _, t := range toks {
		if t.key == "" {
			dst = append(dst, t.text...)
			continue
		}
		num := func(n int64, width int) {
			if t.fm {
				width = 0
			}
			dst = appendPadded(dst, n, width)
			if t.th != "" {
				dst = append(dst, ordinal(n, t.th)...)
			}
		}
		name := func(s string, width int) {
			s = caseLike(s, t.key)
			if !t.fm && width > 0 {
				s = fmt.Sprintf("%-*s", width, s)
			}
			dst = append(dst, s...)
		}
		if p.interval {
			switch t.word {
			case "AD", "BC", "A.D.", "B.C.", "DAY", "DY", "D", "ID", "TZ", "TZH", "TZM", "OF":
				return nil, sqlerr.New(sqlerr.InvalidDatetime, "invalid format specification for an interval value").
					WithHint("Intervals are not tied to specific calendar dates.")
			case "MONTH", "MON", "RM":
				if p.mon == 0 {
					continue
				}
			}
		}
		year := p.y
		if !p.interval && year <= 0 {
			year = 1 - year
		}
		var isoYear, isoWeek int64
		if t.word[0] == 'I' {
			iy, iw := types.ISOWeek(p.days)
			isoYear, isoWeek = int64(iy), int64(iw)
		}
		dow := int64(types.Weekday(p.days))
		h12 := p.h % 12
		if h12 == 0 {
			h12 = 12
		}
		switch t.word {
		case "HH", "HH12":
			num(h12, 2)
		case "HH24":
			num(p.h, 2)
		case "MI":
			num(p.mi, 2)
		case "SS":
			num(p.s, 2)
		case "MS":
			num(p.us/1000, 3)
		case "US":
			num(p.us, 6)
		case "FF1", "FF2", "FF3", "FF4", "FF5", "FF6":
			n := int(t.word[2] - '0')
			num(p.us/[]int64{1, 100_000, 10_000, 1000, 100, 10, 1}[n], n)
		case "SSSS", "SSSSS":
			num(p.h*3600+p.mi*60+p.s, 0)
		case "AM", "PM", "A.M.", "P.M.":
			s := "AM"
			if p.h%24 >= 12 {
				s = "PM"
			}
			if t.word[1] == '.' {
				s = s[:1] + "." + s[1:] + "."
			}
			if t.key[0] >= 'a' {
				s = strings.ToLower(s)
			}
			dst = append(dst, s...)
		case "AD", "BC", "A.D.", "B.C.":
			s := "AD"
			if p.y <= 0 {
				s = "BC"
			}
			if t.word[1] == '.' {
				s = s[:1] + "." + s[1:] + "."
			}
			if t.key[0] >= 'a' {
				s = strings.ToLower(s)
			}
			dst = append(dst, s...)
		case "Y,YYY":
			dst = fmt.Appendf(dst, "%d,%03d", year/1000, year%1000)
		case "YYYY":
			num(year, 4)
		case "YYY":
			num(year%1000, 3)
		case "YY":
			num(year%100, 2)
		case "Y":
			num(year%10, 1)
		case "IYYY":
			num(isoYear, 4)
		case "IYY":
			num(isoYear%1000, 3)
		case "IY":
			num(isoYear%100, 2)
		case "I":
			num(isoYear%10, 1)
		case "CC":
			if p.interval {
				num(p.y/100, 2)
			} else {
				num(eraOf(int(p.y), 100), 2)
			}
		case "Q":
			if p.mon > 0 {
				num((p.mon-1)/3+1, 1)
			}
		case "MM":
			num(p.mon, 2)
		case "MONTH":
			name(monthNames[(p.mon+11)%12], 9)
		case "MON":
			name(monthNames[(p.mon+11)%12][:3], 0)
		case "RM":
			name(romanMonths[(p.mon+11)%12], 4)
		case "WW":
			num((int64(types.YearDay(p.days))-1)/7+1, 2)
		case "IW":
			num(isoWeek, 2)
		case "W":
			num((p.d-1)/7+1, 1)
		case "DAY":
			name(dayNames[dow], 9)
		case "DY":
			name(dayNames[dow][:3], 0)
		case "DDD":
			if p.interval {
				num(p.y*360+p.mon*30+p.d, 3)
			} else {
				num(int64(types.YearDay(p.days)), 3)
			}
		case "IDDD":
			num((isoWeek-1)*7+(dow+6)%7+1, 3)
		case "DD":
			num(p.d, 2)
		case "D":
			num(dow+1, 1)
		case "ID":
			num((dow+6)%7+1, 1)
		case "J":
			num(p.days+2_440_588, 0)
		case "TZ":
			dst = append(dst, caseLike(p.zone, t.key)...)
		case "TZH":
			dst = append(dst, sign(p.offset))
			dst = fmt.Appendf(dst, "%02d", abs64(p.offset)/3600)
		case "TZM":
			dst = fmt.Appendf(dst, "%02d", abs64(p.offset)/60%60)
		case "OF":
			dst = append(dst, sign(p.offset))
			dst = fmt.Appendf(dst, "%02d", abs64(p.offset)/3600)
			if m := abs64(p.offset) / 60 % 60; m != 0 {
				dst = fmt.Appendf(dst, ":%02d", m)
			}
		}
	}
	return dst, nil
}

// appendPadded prints n with zeros in front up to width digits.
func appendPadded(dst []byte, n int64, width int) []byte {
	if n < 0 {
		dst, n = append(dst, '-'), -n
	}
	var buf [20]byte
	s := strconv.AppendInt(buf[:0], n, 10)
	for range width - len(s) {
		dst = append(dst, '0')
	}
	return append(dst, s...)
}

func sign(n int64) byte {
	if n < 0 {
		return '-'
	}
	return '+'
}

func abs64(n int64) int64 { return max(n, -n) }

func timestampParts(us int64, z *time.Location) dtParts {
	local := toLocal(us, z)
	c := types.CivilOf(local)
	p := dtParts{y: int64(c.Year), mon: int64(c.Month), d: int64(c.Day), h: int64(c.Hour), mi: int64(c.Minute),
		s: int64(c.Second), us: int64(c.Micros), days: floorDiv(local, usPerDay), offset: (local - us) / usPerSecond}
	return p
}

func init() {
	const ts, tz, iv, txt = types.Timestamp, types.Timestamptz, types.Interval, types.Text
	toChar := func(t types.ID, vol Volatility, parts func(c *Batch, i int) (dtParts, bool)) {
		register(&Func{Name: "to_char", Args: typs(t, txt), Ret: types.Of(txt), Vol: vol, MayFail: true, Eval: datums(func(c *Batch, i int) (types.Datum, error) {
			p, ok := parts(c, i)
			if !ok || len(c.Bytes(1, i)) == 0 {
				return types.NullDatum, nil
			}
			b, err := appendDateFormat(make([]byte, 0, 32), dateFormat(c, c.Bytes(1, i)), p)
			return types.Datum{S: b}, err
		})})
	}
	toChar(ts, Immutable, func(c *Batch, i int) (dtParts, bool) {
		us := c.Int(0, i)
		return timestampParts(us, time.UTC), !types.Infinite(us)
	})
	toChar(tz, Stable, func(c *Batch, i int) (dtParts, bool) {
		us, z := c.Int(0, i), c.Ctx.zone()
		p := timestampParts(us, z)
		p.zone, _ = time.UnixMicro(us).In(z).Zone()
		return p, !types.Infinite(us)
	})
	toChar(iv, Immutable, func(c *Batch, i int) (dtParts, bool) {
		us, days, months := types.IntervalParts(c.Bytes(0, i))
		return dtParts{interval: true, y: int64(months / 12), mon: int64(months % 12), d: int64(days), h: us / usPerHour,
			mi: us / usPerMinute % 60, s: us / usPerSecond % 60, us: us % usPerSecond}, true
	})
	register(&Func{Name: "to_timestamp", Args: typs(txt, txt), Ret: types.Of(tz), Vol: Stable, MayFail: true, Eval: ints(func(c *Batch, i int) (int64, error) {
		us, zoned, err := parseDateFormat(c, string(c.Bytes(0, i)), c.Bytes(1, i))
		if err != nil || zoned {
			return us, err
		}
		return fromLocal(us, c.Ctx.zone()), nil
	})}, &Func{Name: "to_date", Args: typs(txt, txt), Ret: types.Of(types.Date), MayFail: true, Eval: ints(func(c *Batch, i int) (int64, error) {
		us, _, err := parseDateFormat(c, string(c.Bytes(0, i)), c.Bytes(1, i))
		return floorDiv(us, usPerDay), err
	})})
}
