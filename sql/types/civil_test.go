package types

import (
	"testing"
	"time"
)

func TestCivil(t *testing.T) {
	for days := int64(MinDate); days < 6_000_000; days += 13 {
		tm := time.Unix(days*86_400, 0).UTC()
		y, m, d := CivilFromDays(days)
		if y != tm.Year() || m != int(tm.Month()) || d != tm.Day() {
			t.Fatalf("day %d is %d-%d-%d, want %s", days, y, m, d, tm)
		}
		if back := DaysFromCivil(y, m, d); back != days {
			t.Fatalf("%d-%d-%d is day %d, want %d", y, m, d, back, days)
		}
		iy, iw := tm.ISOWeek()
		gy, gw := ISOWeek(days)
		if gy != iy || gw != iw || Weekday(days) != int(tm.Weekday()) || YearDay(days) != tm.YearDay() {
			t.Fatalf("day %d: week %d-%d, weekday %d, day of year %d, want %d-%d, %d, %d", days,
				gy, gw, Weekday(days), YearDay(days), iy, iw, tm.Weekday(), tm.YearDay())
		}
	}
	for _, c := range []struct {
		y, m, d int
		days    int64
	}{
		{1970, 1, 1, 0}, {-4713, 11, 24, MinDate}, {5_874_897, 12, 31, MaxDate},
		{2024, 14, 1, 20_120}, {2024, 0, 31, 19_722}, {2024, -11, 1, 19_358},
	} {
		if got := DaysFromCivil(c.y, c.m, c.d); got != c.days {
			t.Errorf("%d-%d-%d is day %d, want %d", c.y, c.m, c.d, got, c.days)
		}
	}
}

func TestCivilTimestamp(t *testing.T) {
	for _, us := range []int64{0, -1, 1, MinTimestamp, MaxTimestamp, 1_705_312_800_123_456, -86_400_000_001} {
		c := CivilOf(us)
		if got, ok := c.Timestamp(); !ok || got != us {
			t.Errorf("%d is %+v, which is %d, %v", us, c, got, ok)
		}
	}
	for _, c := range []Civil{
		{Year: -4713, Month: 11, Day: 23, Hour: 23}, {Year: 294_247, Month: 1, Day: 11}, {Year: 5_000_000, Month: 1, Day: 1},
	} {
		if us, ok := c.Timestamp(); ok {
			t.Errorf("%+v is %d, want none", c, us)
		}
	}
}

func BenchmarkCivilOf(b *testing.B) {
	us := int64(1_705_312_800_123_456)
	n := 0
	for b.Loop() {
		n += CivilOf(us).Day
		us += 86_400_000_001
	}
	_ = n
}
