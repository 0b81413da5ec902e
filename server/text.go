package server

import (
	"time"

	"github.com/streamsql/streamsql/sql/types"
)

// FormatText implements wire.TextCodec: timestamps in the session's time zone,
// regclass and regtype by name.
func (s *session) FormatText(dst []byte, t types.Type, d types.Datum) []byte {
	switch t.ID {
	case types.Timestamptz:
		if zone := s.zone(); zone != nil && !types.Infinite(d.I) {
			return appendZoned(dst, t, d.I, zone)
		}
	case types.Regclass, types.Regtype:
		return append(dst, s.RegName(t, d.I)...)
	}
	return types.FormatText(dst, t, d)
}

// ParseText implements wire.TextCodec. A timestamp without a zone is the
// session's local time.
func (s *session) ParseText(t types.Type, text string) (types.Datum, error) {
	if t.ID == types.Timestamptz {
		if zone := s.zone(); zone != nil {
			return parseZoned(t, text, zone)
		}
	}
	return types.ParseText(t, text)
}

// zone is the session's time zone; nil: UTC.
func (s *session) zone() *time.Location {
	name, _ := s.Setting("TimeZone")
	if name == "UTC" || name == "" {
		return nil
	}
	l, err := time.LoadLocation(name)
	if err != nil {
		return nil
	}
	return l
}

// offset is a zone's at a moment, in seconds east of UTC.
func offset(zone *time.Location, us int64) int {
	_, off := time.UnixMicro(us).In(zone).Zone()
	return off
}

func appendZoned(dst []byte, t types.Type, us int64, zone *time.Location) []byte {
	off := offset(zone, us)
	local := types.FormatText(nil, types.Type{ID: types.Timestamp, Mod: t.Mod}, types.Datum{I: us + int64(off)*1e6})
	bc := ""
	if n := len(local); n > 3 && string(local[n-3:]) == " BC" {
		local, bc = local[:n-3], " BC"
	}
	dst = append(dst, local...)
	sign := byte('+')
	if off < 0 {
		sign, off = '-', -off
	}
	dst = append(dst, sign, byte('0'+off/36000), byte('0'+off/3600%10))
	if m := off / 60 % 60; m != 0 || off%60 != 0 {
		dst = append(dst, ':', byte('0'+m/10), byte('0'+m%10))
		if sec := off % 60; sec != 0 {
			dst = append(dst, ':', byte('0'+sec/10), byte('0'+sec%10))
		}
	}
	return append(dst, bc...)
}

// parseZoned reads a timestamptz. Whether the text names a zone shows in that
// reading it without one gives the same or not: ParseText of timestamp ignores
// a zone, that of timestamptz applies it.
func parseZoned(t types.Type, text string, zone *time.Location) (types.Datum, error) {
	d, err := types.ParseText(t, text)
	if err != nil || d.Null || types.Infinite(d.I) {
		return d, err
	}
	if hasZone(text) {
		return d, nil
	}
	// d is the local time taken as UTC; the offset is that of the moment meant.
	guess := d.I - int64(offset(zone, d.I))*1e6
	return types.Datum{I: d.I - int64(offset(zone, guess))*1e6}, nil
}

// hasZone tells whether a timestamp's text names its zone: a sign behind the
// time, or letters at the end that are no era.
func hasZone(text string) bool {
	colon := false
	for i, c := range text {
		switch {
		case c == ':':
			colon = true
		case colon && (c == '+' || c == '-'):
			return true
		case colon && (c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'):
			rest := text[i:]
			if len(rest) >= 2 {
				switch up := upper2(rest); up {
				case "BC", "AD", "AM", "PM":
					continue
				}
			}
			if i > 0 && isLetter(text[i-1]) { // the end of one of them
				continue
			}
			return true
		}
	}
	return false
}

func isLetter(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' }

func upper2(s string) string {
	b := []byte{s[0], s[1]}
	for i := range b {
		if b[i] >= 'a' {
			b[i] -= 32
		}
	}
	return string(b)
}
