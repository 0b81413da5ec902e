package expr

import (
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/streamsql/streamsql/sql/sqlerr"
	"github.com/streamsql/streamsql/sql/types"
)

func init() {
	const (
		date, tod, ts, tz, iv, txt = types.Date, types.Time, types.Timestamp, types.Timestamptz, types.Interval, types.Text
		i4, f8, num                = types.Int4, types.Float8, types.Numeric
	)
	clock := func(name string, ret types.ID, vol Volatility, f func(*Context) int64) {
		eval := ints(func(c *Batch, _ int) (int64, error) {
			if c.Ctx == nil {
				return 0, sqlerr.New(sqlerr.FeatureNotSupported, "%s cannot be called here", name)
			}
			return f(c.Ctx), nil
		})
		register(&Func{Name: name, Ret: types.Of(ret), Vol: vol, Eval: eval})
	}
	for _, n := range []string{"now", "current_timestamp", "transaction_timestamp", "statement_timestamp"} {
		clock(n, tz, Stable, func(c *Context) int64 { return c.Now })
	}
	// When the row is handled, for windows over processing time.
	clock("proctime", tz, Volatile, func(c *Context) int64 { return c.Now })
	clock("clock_timestamp", tz, Volatile, func(c *Context) int64 { return c.Now })
	clock("localtimestamp", ts, Stable, func(c *Context) int64 { return toLocal(c.Now, c.zone()) })
	clock("current_date", date, Stable, func(c *Context) int64 { return floorDiv(toLocal(c.Now, c.zone()), usPerDay) })
	clock("localtime", tod, Stable, func(c *Context) int64 {
		us := toLocal(c.Now, c.zone())
		return us - floorDiv(us, usPerDay)*usPerDay
	})
	for name, ret := range map[string]types.ID{"current_timestamp": tz, "localtimestamp": ts, "localtime": tod} {
		base := byKey[name+"()"]
		register(&Func{Name: name, Args: typs(i4), Ret: types.Of(ret), Vol: Stable, Eval: func(c *Batch) error {
			if err := base.Eval(c); err != nil {
				return err
			}
			for i := range c.Out.I[:c.N] {
				c.Out.I[i] = roundMicros(c.Out.I[i], int(c.Int(0, i)))
			}
			return nil
		}})
	}
	register(&Func{Name: "timeofday", Ret: types.Of(txt), Vol: Volatile, Eval: bytesOf(func(c *Batch, _ int, dst []byte) ([]byte, error) {
		if c.Ctx == nil {
			return dst, nil
		}
		return time.UnixMicro(c.Ctx.Now).In(c.Ctx.zone()).AppendFormat(dst, "Mon Jan 02 15:04:05.000000 2006 MST"), nil
	})})

	register(&Func{Name: "date_trunc", Args: typs(txt, ts), Ret: types.Of(ts), MayFail: true, Eval: func(c *Batch) error {
		return truncColumn(c, types.Of(ts), time.UTC)
	}}, &Func{Name: "date_trunc", Args: typs(txt, tz), Ret: types.Of(tz), MayFail: true, Vol: Stable, Eval: func(c *Batch) error {
		return truncColumn(c, types.Of(tz), c.Ctx.zone())
	}}, &Func{Name: "date_trunc", Args: typs(txt, tz, txt), Ret: types.Of(tz), MayFail: true, Eval: ints(func(c *Batch, i int) (int64, error) {
		z, err := loadZone(string(c.Bytes(2, i)))
		if err != nil {
			return 0, err
		}
		return dateTrunc(c.Int(1, i), c.Bytes(0, i), types.Of(tz), z)
	})})
	textErr("date_trunc", iv, func(c *Batch, i int, dst []byte) ([]byte, error) {
		u, known := unitOf(c.Bytes(0, i))
		if !known {
			return nil, errUnit(strings.ToLower(string(c.Bytes(0, i))), types.Of(iv), false)
		}
		us, days, months := types.IntervalParts(c.Bytes(1, i))
		switch f, fixed := fixedUnits[u]; {
		case u == "day":
			us = 0
		case fixed:
			us = us / f * f
		default:
			n := map[string]int32{"month": 1, "quarter": 3, "year": 12, "decade": 120, "century": 1200, "millennium": 12_000}[u]
			if n == 0 {
				return nil, errUnit(u, types.Of(iv), true)
			}
			us, days, months = 0, 0, months/n*n
		}
		return append(dst, types.IntervalOf(us, days, months)...), nil
	}, txt, iv)

	for _, t := range []types.ID{ts, tz, date, tod, iv} {
		typ := types.Of(t)
		vol := Immutable
		if t == tz {
			vol = Stable
		}
		register(&Func{Name: "extract", Args: typs(txt, t), Ret: types.Of(num), MayFail: true, Vol: vol, Eval: func(c *Batch) error {
			return extractFields(c, typ, func(i int, f field) {
				c.Out.Buf = f.numeric(c.Out.Buf)
				c.Out.Off = append(c.Out.Off, int32(len(c.Out.Buf)))
			}, func(int) { c.Out.Off = append(c.Out.Off, int32(len(c.Out.Buf))) })
		}}, &Func{Name: "date_part", Args: typs(txt, t), Ret: types.Of(f8), MayFail: true, Vol: vol, Eval: func(c *Batch) error {
			return extractFields(c, typ, func(i int, f field) { c.Out.F[i] = f.float() }, func(i int) { c.Out.F[i] = 0 })
		}})
	}

	register(&Func{Name: "to_timestamp", Args: typs(f8), Ret: types.Of(tz), MayFail: true, Eval: func(c *Batch) error {
		out := c.Out.I[:c.N]
		for i, s := range c.Args[0].V.F[:c.N] {
			if s > -2e11 && s < 9.2e12 {
				out[i] = int64(math.RoundToEven(s * 1e6))
				if types.TimestampInRange(out[i]) {
					continue
				}
			}
			if c.Skip(i) {
				continue
			}
			switch {
			case math.IsInf(s, 1):
				out[i] = types.PosInfinity
			case math.IsInf(s, -1):
				out[i] = types.NegInfinity
			case s != s:
				return rowError(i, sqlerr.New(sqlerr.DatetimeOverflow, "timestamp cannot be NaN"))
			default:
				return rowError(i, sqlerr.New(sqlerr.DatetimeOverflow, "timestamp out of range: \"%s\"", strconv.FormatFloat(s, 'g', -1, 64)))
			}
		}
		return nil
	}})

	age := func(t types.ID, stable bool) {
		vol := Immutable
		if stable {
			vol = Stable
		}
		local := func(c *Batch, us int64) int64 {
			if t == tz {
				return toLocal(us, c.Ctx.zone())
			}
			return us
		}
		register(&Func{Name: "age", Args: typs(t, t), Ret: types.Of(iv), Vol: vol, MayFail: true, Eval: bytesOf(func(c *Batch, i int, dst []byte) ([]byte, error) {
			return ageOf(dst, local(c, c.Int(0, i)), local(c, c.Int(1, i)))
		})}, &Func{Name: "age", Args: typs(t), Ret: types.Of(iv), Vol: Stable, MayFail: true, Eval: bytesOf(func(c *Batch, i int, dst []byte) ([]byte, error) {
			today := int64(0)
			if c.Ctx != nil {
				today = floorDiv(toLocal(c.Ctx.Now, c.Ctx.zone()), usPerDay) * usPerDay
			}
			return ageOf(dst, today, local(c, c.Int(0, i)))
		})})
	}
	age(ts, false)
	age(tz, true)

	intErr := func(name string, ret types.ID, f func(c *Batch, i int) (int64, error), args ...types.ID) {
		register(&Func{Name: name, Args: typs(args...), Ret: types.Of(ret), MayFail: true, Eval: ints(f)})
	}
	intErr("make_date", date, func(c *Batch, i int) (int64, error) { return makeDate(c.Int(0, i), c.Int(1, i), c.Int(2, i)) }, i4, i4, i4)
	intErr("make_time", tod, func(c *Batch, i int) (int64, error) { return makeTime(c.Int(0, i), c.Int(1, i), c.Float(2, i)) }, i4, i4, f8)
	makeTS := func(c *Batch, i int) (int64, error) {
		d, err := makeDate(c.Int(0, i), c.Int(1, i), c.Int(2, i))
		if err != nil {
			return 0, err
		}
		t, err := makeTime(c.Int(3, i), c.Int(4, i), c.Float(5, i))
		if err != nil {
			return 0, err
		}
		us, err := dateTimestamp(d)
		if err != nil || !types.TimestampInRange(us+t) {
			return 0, errTimestampRange()
		}
		return us + t, nil
	}
	intErr("make_timestamp", ts, makeTS, i4, i4, i4, i4, i4, f8)
	register(&Func{Name: "make_timestamptz", Args: typs(i4, i4, i4, i4, i4, f8), Ret: types.Of(tz), MayFail: true, Vol: Stable, Eval: ints(func(c *Batch, i int) (int64, error) {
		us, err := makeTS(c, i)
		return fromLocal(us, c.Ctx.zone()), err
	})})
	intErr("make_timestamptz", tz, func(c *Batch, i int) (int64, error) {
		us, err := makeTS(c, i)
		if err != nil {
			return 0, err
		}
		z, err := loadZone(string(c.Bytes(6, i)))
		if err != nil {
			return 0, err
		}
		return fromLocal(us, z), nil
	}, i4, i4, i4, i4, i4, f8, txt)
	full := []types.ID{i4, i4, i4, i4, i4, i4, f8} // years, months, weeks, days, hours, mins, secs
	for n := 0; n <= len(full); n++ {
		textErr("make_interval", iv, makeInterval, full[:n]...)
	}

	textErr("justify_hours", iv, func(c *Batch, i int, dst []byte) ([]byte, error) { return justify(dst, c.Bytes(0, i), true, false) }, iv)
	textErr("justify_days", iv, func(c *Batch, i int, dst []byte) ([]byte, error) { return justify(dst, c.Bytes(0, i), false, true) }, iv)
	textErr("justify_interval", iv, func(c *Batch, i int, dst []byte) ([]byte, error) { return justify(dst, c.Bytes(0, i), true, true) }, iv)

	// x AT TIME ZONE zone.
	zoned := func(from, to types.ID, shift func(us int64, z *time.Location) int64) {
		f := func(us int64, z *time.Location) (int64, error) {
			v := shift(us, z)
			// Behind the end of time µs wrap around.
			if !types.Infinite(us) && (types.Infinite(v) || !types.TimestampInRange(v) || us > 0 && v < -2*usPerDay) {
				return 0, sqlerr.New(sqlerr.DatetimeOverflow, "timestamp out of range")
			}
			return v, nil
		}
		intErr("timezone", to, func(c *Batch, i int) (int64, error) {
			z, err := loadZone(string(c.Bytes(0, i)))
			if err != nil {
				return 0, err
			}
			return f(c.Int(1, i), z)
		}, txt, from)
		intErr("timezone", to, func(c *Batch, i int) (int64, error) {
			us, days, months := types.IntervalParts(c.Bytes(0, i))
			if days != 0 || months != 0 {
				return 0, sqlerr.New(sqlerr.InvalidParameter, "interval time zone \"%s\" must not include months or days", types.FormatText(nil, types.Of(iv), c.Datum(0, i)))
			}
			return f(c.Int(1, i), time.FixedZone("", int(us/usPerSecond)))
		}, iv, from)
	}
	zoned(ts, tz, fromLocal)
	zoned(tz, ts, toLocal)

	for _, t := range []types.ID{ts, tz} {
		intErr("date_bin", t, func(c *Batch, i int) (int64, error) {
			us, days, months := types.IntervalParts(c.Bytes(0, i))
			src, origin := c.Int(1, i), c.Int(2, i)
			if types.Infinite(src) {
				return src, nil
			}
			if months != 0 {
				return 0, sqlerr.New(sqlerr.FeatureNotSupported, "timestamps cannot be binned into intervals containing months or years")
			}
			stride, ok := mul64(int64(days), usPerDay)
			if stride, ok = sum64(stride, us, ok); !ok || stride <= 0 {
				return 0, sqlerr.New(sqlerr.DatetimeOverflow, "stride must be greater than zero")
			}
			if types.Infinite(origin) {
				return 0, sqlerr.New(sqlerr.DatetimeOverflow, "origin out of range")
			}
			return origin + floorDiv(src-origin, stride)*stride, nil
		}, iv, t, t)
	}
	for _, t := range []types.ID{date, ts, tz} {
		register(&Func{Name: "isfinite", Args: typs(t), Ret: boolType, Eval: bools(func(c *Batch, i int) (bool, error) { return !types.Infinite(c.Int(0, i)), nil })})
	}
	register(&Func{Name: "isfinite", Args: typs(iv), Ret: boolType, Eval: bools(func(*Batch, int) (bool, error) { return true, nil })})
}
