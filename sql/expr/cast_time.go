package expr

import (
	"time"

	"github.com/streamsql/streamsql/sql/sqlerr"
	"github.com/streamsql/streamsql/sql/types"
)

func isTime(t types.Type) bool { return category(t) == 'D' || t.ID == types.Interval }

func errTimestampRange() error {
	return sqlerr.New(sqlerr.DatetimeOverflow, "timestamp out of range")
}

// mapTime casts integers to integers with f, then applies to's precision.
func mapTime(to types.Type, stable bool, f func(x int64, z *time.Location) (int64, error)) *Func {
	fn := fails(func(c *Batch) error {
		z := c.Ctx.zone()
		for i, x := range c.Args[0].V.I[:c.N] {
			if c.Skip(i) {
				continue
			}
			v, err := f(x, z)
			if err != nil {
				return rowError(i, err)
			}
			if to.Mod != 0 {
				v = roundMicros(v, int(to.Mod)-1)
			}
			c.Out.I[i] = v
		}
		return nil
	})
	if stable {
		fn.Vol = Stable
	}
	return fn
}

func castTime(from, to types.Type) *Func {
	type pair struct{ from, to types.ID }
	same := func(x int64, _ *time.Location) (int64, error) { return x, nil }
	switch (pair{from.ID, to.ID}) {
	case pair{types.Timestamp, types.Timestamp}, pair{types.Timestamptz, types.Timestamptz}, pair{types.Time, types.Time}:
		return mapTime(to, false, same)
	case pair{types.Timestamp, types.Timestamptz}:
		return mapTime(to, true, func(x int64, z *time.Location) (int64, error) { return fromLocal(x, z), nil })
	case pair{types.Timestamptz, types.Timestamp}:
		return mapTime(to, true, func(x int64, z *time.Location) (int64, error) { return toLocal(x, z), nil })
	case pair{types.Date, types.Timestamp}:
		return mapTime(to, false, func(x int64, _ *time.Location) (int64, error) { return dateTimestamp(x) })
	case pair{types.Date, types.Timestamptz}:
		return mapTime(to, true, func(x int64, z *time.Location) (int64, error) {
			us, err := dateTimestamp(x)
			return fromLocal(us, z), err
		})
	case pair{types.Timestamp, types.Date}:
		return mapTime(to, false, func(x int64, _ *time.Location) (int64, error) { return types.TimestampDate(x), nil })
	case pair{types.Timestamptz, types.Date}:
		return mapTime(to, true, func(x int64, z *time.Location) (int64, error) { return types.TimestampDate(toLocal(x, z)), nil })
	case pair{types.Timestamp, types.Time}:
		return nullInfinite(to, func(x int64, _ *time.Location) int64 { return x - floorDiv(x, usPerDay)*usPerDay })
	case pair{types.Timestamptz, types.Time}:
		f := nullInfinite(to, func(x int64, z *time.Location) int64 {
			x = toLocal(x, z)
			return x - floorDiv(x, usPerDay)*usPerDay
		})
		f.Vol = Stable
		return f
	case pair{types.Time, types.Interval}:
		return safe(bytesOf(func(c *Batch, i int, dst []byte) ([]byte, error) {
			return append(dst, types.IntervalOf(c.Int(0, i), 0, 0)...), nil
		}))
	case pair{types.Interval, types.Time}:
		return safe(ints(func(c *Batch, i int) (int64, error) {
			us, _, _ := types.IntervalParts(c.Bytes(0, i))
			return us - floorDiv(us, usPerDay)*usPerDay, nil
		}))
	}
	return nil
}

// nullInfinite gives the time of day, NULL of an infinite timestamp.
func nullInfinite(to types.Type, f func(x int64, z *time.Location) int64) *Func {
	return safe(datums(func(c *Batch, i int) (types.Datum, error) {
		x := c.Int(0, i)
		if types.Infinite(x) {
			return types.NullDatum, nil
		}
		return types.Datum{I: roundMicros(f(x, c.Ctx.zone()), int(to.Mod)-1)}, nil
	}))
}

func dateTimestamp(days int64) (int64, error) {
	us, ok := types.DateTimestamp(days)
	if !ok {
		return 0, sqlerr.New(sqlerr.DatetimeOverflow, "date out of range for timestamp")
	}
	return us, nil
}
