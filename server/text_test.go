package server

import (
	"testing"
	"time"

	"github.com/streamsql/streamsql/sql/types"
)

func TestZonedText(t *testing.T) {
	tz := types.Of(types.Timestamptz)
	for _, c := range []struct{ zone, in, out string }{
		{"Europe/Berlin", "2024-07-01 12:00:00", "2024-07-01 12:00:00+02"},
		{"Europe/Berlin", "2024-01-01 12:00:00", "2024-01-01 12:00:00+01"},
		{"Europe/Berlin", "2024-01-01 12:00:00+00", "2024-01-01 13:00:00+01"},
		{"Europe/Berlin", "2024-01-01T12:00:00Z", "2024-01-01 13:00:00+01"},
		{"Europe/Berlin", "2024-01-01 12:00:00 UTC", "2024-01-01 13:00:00+01"},
		{"Europe/Berlin", "2024-07-01", "2024-07-01 00:00:00+02"},
		{"Asia/Kolkata", "2024-07-01 00:00:00", "2024-07-01 00:00:00+05:30"},
		{"America/New_York", "2024-03-10 12:00:00.25", "2024-03-10 12:00:00.25-04"},
		{"Europe/Berlin", "infinity", "infinity"},
	} {
		zone, err := time.LoadLocation(c.zone)
		if err != nil {
			t.Skipf("no time zones here: %v", err)
		}
		d, err := parseZoned(tz, c.in, zone)
		if err != nil {
			t.Errorf("%s: %v", c.in, err)
			continue
		}
		got := string(types.FormatText(nil, tz, d))
		if !types.Infinite(d.I) {
			got = string(appendZoned(nil, tz, d.I, zone))
		}
		if got != c.out {
			t.Errorf("%s in %s: %s, want %s", c.in, c.zone, got, c.out)
		}
	}
}

func TestListenIsLocal(t *testing.T) {
	for addr, ok := range map[string]bool{"127.0.0.1:0": true, "localhost:0": true, "[::1]:0": true, "0.0.0.0:0": false, ":0": false, "192.0.2.1:0": false, "x": false} {
		l, err := listen(addr, false)
		if err == nil {
			l.Close()
		}
		if ok && err != nil && addr != "[::1]:0" || !ok && err == nil {
			t.Errorf("%s: %v", addr, err)
		}
	}
}
