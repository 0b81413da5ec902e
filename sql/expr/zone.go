package expr

import (
	"strings"
	"sync"
	"time"
	_ "time/tzdata" // zones are known wherever the binary runs

	"github.com/streamsql/streamsql/sql/sqlerr"
	"github.com/streamsql/streamsql/sql/types"
)

const (
	usPerSecond = int64(1_000_000)
	usPerMinute = 60 * usPerSecond
	usPerHour   = 3600 * usPerSecond
	usPerDay    = 86_400 * usPerSecond
)

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

var zones sync.Map // name → *time.Location

// zone is the session's time zone.
func (ctx *Context) zone() *time.Location {
	if ctx == nil || ctx.Setting == nil {
		return time.UTC
	}
	name, ok := ctx.Setting("timezone")
	if !ok || name == "" || name == "UTC" {
		return time.UTC
	}
	z, err := loadZone(name)
	if err != nil {
		return time.UTC
	}
	return z
}

// zoneAbbrevs are the abbreviations of PostgreSQL's default set that are used most.
var zoneAbbrevs = map[string]int{
	"UTC": 0, "GMT": 0, "Z": 0, "ZULU": 0, "UT": 0, "WET": 0, "WEST": 1, "BST": 1, "CET": 1, "CEST": 2,
	"MET": 1, "MEST": 2, "EET": 2, "EEST": 3, "MSK": 3, "EST": -5, "EDT": -4, "CST": -6, "CDT": -5,
	"MST": -7, "MDT": -6, "PST": -8, "PDT": -7, "AKST": -9, "AKDT": -8, "HST": -10, "JST": 9, "KST": 9,
}

// loadZone finds a zone by its IANA name, an abbreviation, or an offset (+02:00,
// in PostgreSQL's ISO sense east is positive for a zone given by number).
func loadZone(name string) (*time.Location, error) {
	if z, ok := zones.Load(name); ok {
		return z.(*time.Location), nil
	}
	z, err := findZone(strings.TrimSpace(name))
	if err != nil {
		return nil, err
	}
	zones.Store(name, z)
	return z, nil
}

func findZone(name string) (*time.Location, error) {
	bad := sqlerr.New(sqlerr.InvalidParameter, "time zone \"%s\" not recognized", name)
	if name == "" || strings.EqualFold(name, "local") {
		return nil, bad
	}
	if h, ok := zoneAbbrevs[strings.ToUpper(name)]; ok {
		if h == 0 {
			return time.UTC, nil
		}
		return time.FixedZone(strings.ToUpper(name), h*3600), nil
	}
	if c := name[0]; c == '+' || c == '-' || c >= '0' && c <= '9' {
		// POSIX: positive is west of Greenwich.
		digits := strings.TrimLeft(name, "+-")
		d, err := types.ParseText(types.Of(types.Timestamptz), "2000-01-01 00:00:00+"+digits)
		if err != nil {
			return nil, bad
		}
		east := int((d.I - 946_684_800*usPerSecond) / usPerSecond)
		if c == '-' {
			east = -east
		}
		return time.FixedZone(name, east), nil
	}
	if z, err := time.LoadLocation(name); err == nil {
		return z, nil
	}
	// PostgreSQL ignores case.
	var parts []string
	for _, w := range strings.Split(strings.ToLower(name), "/") {
		parts = append(parts, titleWords(w))
	}
	if z, err := time.LoadLocation(strings.Join(parts, "/")); err == nil {
		return z, nil
	}
	return nil, bad
}

func titleWords(s string) string {
	b := []byte(s)
	up := true
	for i, c := range b {
		if up && c >= 'a' && c <= 'z' {
			b[i] = c - 32
		}
		up = c == '_' || c == '-'
	}
	return string(b)
}

func isUTC(z *time.Location) bool { return z == time.UTC }

// toLocal gives the wall clock of a moment in z, fromLocal the inverse. A wall
// clock that comes twice is taken as standard time, one that never comes as if
// the clock had not been set yet, as PostgreSQL does.
func toLocal(us int64, z *time.Location) int64 {
	if isUTC(z) || types.Infinite(us) {
		return us
	}
	_, off := time.UnixMicro(us).In(z).Zone()
	return us + int64(off)*usPerSecond
}

func fromLocal(us int64, z *time.Location) int64 {
	if isUTC(z) || types.Infinite(us) {
		return us
	}
	_, before := time.UnixMicro(us - usPerDay).In(z).Zone()
	_, after := time.UnixMicro(us + usPerDay).In(z).Zone()
	a, b := us-int64(before)*usPerSecond, us-int64(after)*usPerSecond
	okA, okB := toLocal(a, z) == us, toLocal(b, z) == us
	switch {
	case okA && okB:
		return max(a, b)
	case okB:
		return b
	}
	return a
}

// appendTimestamptz prints a moment in a zone.
func appendTimestamptz(dst []byte, us int64, z *time.Location) []byte {
	if isUTC(z) || types.Infinite(us) {
		return types.FormatText(dst, types.Of(types.Timestamptz), types.Datum{I: us})
	}
	local := toLocal(us, z)
	dst = types.FormatText(dst, types.Of(types.Timestamp), types.Datum{I: local})
	bc := ""
	if b, ok := strings.CutSuffix(string(dst), " BC"); ok {
		dst, bc = dst[:len(b)], " BC"
	}
	dst = appendOffset(dst, (local-us)/usPerSecond)
	return append(dst, bc...)
}

// appendOffset prints +02, -03:30, +05:53:28.
func appendOffset(dst []byte, sec int64) []byte {
	sign := byte('+')
	if sec < 0 {
		sign, sec = '-', -sec
	}
	two := func(n int64) { dst = append(dst, byte('0'+n/10), byte('0'+n%10)) }
	dst = append(dst, sign)
	two(sec / 3600)
	if sec%3600 != 0 {
		dst = append(dst, ':')
		two(sec / 60 % 60)
	}
	if sec%60 != 0 {
		dst = append(dst, ':')
		two(sec % 60)
	}
	return dst
}
