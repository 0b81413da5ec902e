package types

import (
	"strings"
	"sync"
	"time"
	_ "time/tzdata" // zones are known wherever the binary runs

	"github.com/streamsql/streamsql/sql/sqlerr"
)

var zones sync.Map // name → *time.Location

// zoneAbbrevs are the abbreviations of PostgreSQL's default set that are used most.
var zoneAbbrevs = map[string]int{
	"UTC": 0, "GMT": 0, "Z": 0, "ZULU": 0, "UT": 0, "WET": 0, "WEST": 1, "BST": 1, "CET": 1, "CEST": 2,
	"MET": 1, "MEST": 2, "EET": 2, "EEST": 3, "MSK": 3, "EST": -5, "EDT": -4, "CST": -6, "CDT": -5,
	"MST": -7, "MDT": -6, "PST": -8, "PDT": -7, "AKST": -9, "AKDT": -8, "HST": -10, "JST": 9, "KST": 9,
}

// LoadZone finds a zone by its IANA name, an abbreviation, or an offset (+02:00,
// in PostgreSQL's ISO sense east is positive for a zone given by number).
func LoadZone(name string) (*time.Location, error) {
	name = strings.TrimSpace(name)
	if z, ok := zones.Load(name); ok {
		return z.(*time.Location), nil
	}
	z, err := findZone(name)
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
		d, err := ParseText(Of(Timestamptz), "2000-01-01 00:00:00+"+digits)
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

// ToLocal gives the wall clock of a moment in z, FromLocal the inverse. A wall
// clock that comes twice is taken as standard time, one that never comes as if
// the clock had not been set yet, as PostgreSQL does.
func ToLocal(us int64, z *time.Location) int64 {
	if z == time.UTC || Infinite(us) {
		return us
	}
	_, off := time.UnixMicro(us).In(z).Zone()
	return us + int64(off)*usPerSecond
}

func FromLocal(us int64, z *time.Location) int64 {
	if z == time.UTC || Infinite(us) {
		return us
	}
	_, before := time.UnixMicro(us - usPerDay).In(z).Zone()
	_, after := time.UnixMicro(us + usPerDay).In(z).Zone()
	a, b := us-int64(before)*usPerSecond, us-int64(after)*usPerSecond
	okA, okB := ToLocal(a, z) == us, ToLocal(b, z) == us
	switch {
	case okA && okB:
		return max(a, b)
	case okB:
		return b
	}
	return a
}
