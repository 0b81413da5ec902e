package expr

import (
	"strings"
	"time"

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

func loadZone(name string) (*time.Location, error) { return types.LoadZone(name) }

func isUTC(z *time.Location) bool { return z == time.UTC }

func toLocal(us int64, z *time.Location) int64 { return types.ToLocal(us, z) }

func fromLocal(us int64, z *time.Location) int64 { return types.FromLocal(us, z) }

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
