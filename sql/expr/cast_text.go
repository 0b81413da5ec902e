package expr

import (
	"strconv"
	"strings"

	"github.com/streamsql/streamsql/sql/sqlerr"
	"github.com/streamsql/streamsql/sql/types"
)

// nameLen is the most bytes of a name.
const nameLen = 63

// textOf appends the text form of a value, as the type's output function gives it.
func textOf(ctx *Context, dst []byte, t types.Type, d types.Datum) ([]byte, error) {
	switch t.ID {
	case types.Timestamptz:
		return appendTimestamptz(dst, d.I, ctx.zone()), nil
	case types.Regtype:
		if d.I == 0 {
			return append(dst, '-'), nil
		}
		if rt, ok := types.FromOID(uint32(d.I)); ok {
			return append(dst, rt.String()...), nil
		}
		return strconv.AppendInt(dst, d.I, 10), nil
	case types.Regclass:
		if d.I == 0 {
			return append(dst, '-'), nil
		}
		if ctx != nil && ctx.Catalog != nil {
			v, err := ctx.Catalog("regclassout", []types.Datum{d})
			if err != nil {
				return nil, err
			}
			if !v.Null {
				return append(dst, v.S...), nil
			}
		}
		return strconv.AppendInt(dst, d.I, 10), nil
	}
	return types.FormatText(dst, t, d), nil
}

func castToText(from, to types.Type, explicit bool) *Func {
	var f *Func
	cut := to.Mod != 0 || to.ID == types.Name || to.ID == types.Char
	one := func(c *Batch, i int, dst []byte) ([]byte, error) {
		switch from.ID {
		case types.Bool:
			return strconv.AppendBool(dst, c.Int(0, i) != 0), nil
		case types.Int2, types.Int4, types.Int8, types.OID:
			if to.ID == types.Char {
				return append(dst, byte(c.Int(0, i))), nil
			}
			return strconv.AppendInt(dst, c.Int(0, i), 10), nil
		case types.Bpchar:
			if to.ID == types.Bpchar {
				return append(dst, c.Bytes(0, i)...), nil
			}
			return append(dst, trimBlanks(c.Bytes(0, i))...), nil
		case types.Text, types.Varchar, types.Name, types.Unknown, types.Char, types.JSON, types.JSONB:
			return append(dst, c.Bytes(0, i)...), nil
		}
		return textOf(c.Ctx, dst, from, c.ref(0, i))
	}
	if !cut {
		f = safe(bytesOf(one))
	} else {
		f = fails(bytesOf(func(c *Batch, i int, dst []byte) ([]byte, error) {
			start := len(dst)
			dst, err := one(c, i, dst)
			if err != nil {
				return nil, err
			}
			switch to.ID {
			case types.Name:
				return dst[:min(len(dst), start+nameLen)], nil
			case types.Char:
				return dst[:min(len(dst), start+1)], nil
			}
			d, err := applyMod(types.Datum{S: dst[start:]}, to, explicit)
			return append(dst[:start], d.S...), err
		}))
	}
	if from.ID == types.Timestamptz || from.ID == types.Regclass {
		f.Vol = Stable
		f.MayFail = f.MayFail || from.ID == types.Regclass
	}
	return f
}

func castFromText(from, to types.Type, explicit bool) *Func {
	f := withMod(func(c *Batch, i int) (types.Datum, error) {
		b := c.Bytes(0, i)
		if from.ID == types.Bpchar {
			b = trimBlanks(b)
		}
		return parseText(c.Ctx, types.Bare(to), string(b))
	}, to, explicit)
	switch to.ID {
	case types.Date, types.Time, types.Timestamp, types.Timestamptz, types.Regclass:
		// 'now', 'today', the session's zone, the search path.
		f.Vol = Stable
	case types.Int8, types.Int4, types.Int2:
		r := intRanges[to.ID-types.Int2]
		f = fails(ints(func(c *Batch, i int) (int64, error) {
			b := c.Bytes(0, i)
			if n, ok := shortInt(b); ok && n >= r.lo && n <= r.hi {
				return n, nil
			}
			d, err := types.ParseText(to, string(trimBlanks(b)))
			return d.I, err
		}))
	case types.Float8, types.Float4:
		f = fails(floats(func(c *Batch, i int) (float64, error) {
			d, err := types.ParseText(to, string(c.Bytes(0, i)))
			return d.F, err
		}))
	}
	return f
}

// shortInt reads plain digits.
func shortInt(b []byte) (int64, bool) {
	if len(b) == 0 || len(b) > 18 {
		return 0, false
	}
	neg := b[0] == '-'
	if neg {
		b = b[1:]
	}
	n := int64(0)
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int64(c-'0')
	}
	if neg {
		n = -n
	}
	return n, len(b) > 0
}

// parseText reads a value as the type's input function does within a session.
func parseText(ctx *Context, t types.Type, s string) (types.Datum, error) {
	switch t.ID {
	case types.Date, types.Time, types.Timestamp, types.Timestamptz:
		if d, ok := clockWord(ctx, t, s); ok {
			return d, nil
		}
		d, err := types.ParseText(t, s)
		if err == nil && t.ID == types.Timestamptz && !types.Infinite(d.I) {
			if z := ctx.zone(); !isUTC(z) && !hasZone(s) {
				d.I = fromLocal(d.I, z)
			}
		}
		return d, err
	case types.Regtype:
		if n, err := strconv.ParseUint(strings.TrimSpace(s), 10, 32); err == nil {
			return types.Datum{I: int64(n)}, nil
		}
		if s == "-" {
			return types.Datum{}, nil
		}
		rt, ok := TypeNamed(strings.TrimPrefix(s, "pg_catalog."))
		if !ok {
			return types.Datum{}, sqlerr.New(sqlerr.UndefinedObject, "type \"%s\" does not exist", s)
		}
		return types.Datum{I: int64(rt.OID())}, nil
	case types.Regclass:
		if n, err := strconv.ParseUint(strings.TrimSpace(s), 10, 32); err == nil {
			return types.Datum{I: int64(n)}, nil
		}
		if s == "-" {
			return types.Datum{}, nil
		}
		if ctx == nil || ctx.Catalog == nil {
			return types.Datum{}, sqlerr.New(sqlerr.FeatureNotSupported, "regclass cannot be read here")
		}
		d, err := ctx.Catalog("regclassin", []types.Datum{{S: []byte(s)}})
		if err == nil && d.Null {
			err = sqlerr.New(sqlerr.UndefinedTable, "relation \"%s\" does not exist", s)
		}
		return d, err
	}
	return types.ParseText(t, s)
}

// clockWord reads now, today, tomorrow and yesterday.
func clockWord(ctx *Context, t types.Type, s string) (types.Datum, bool) {
	if ctx == nil || len(s) < 3 {
		return types.Datum{}, false
	}
	local := toLocal(ctx.Now, ctx.zone())
	day := floorDiv(local, usPerDay)
	switch strings.ToLower(strings.TrimSpace(s)) {
	case "now":
		switch t.ID {
		case types.Timestamptz:
			return types.Datum{I: ctx.Now}, true
		case types.Timestamp:
			return types.Datum{I: local}, true
		case types.Time:
			return types.Datum{I: local - day*usPerDay}, true
		}
		return types.Datum{I: day}, true
	case "today":
	case "tomorrow":
		day++
	case "yesterday":
		day--
	default:
		return types.Datum{}, false
	}
	switch t.ID {
	case types.Date:
		return types.Datum{I: day}, true
	case types.Timestamp:
		return types.Datum{I: day * usPerDay}, true
	case types.Timestamptz:
		return types.Datum{I: fromLocal(day*usPerDay, ctx.zone())}, true
	}
	return types.Datum{}, false
}

// hasZone tells whether the text of a timestamp names its zone.
func hasZone(s string) bool {
	i := strings.IndexByte(s, ':')
	return i >= 0 && strings.ContainsAny(strings.TrimSuffix(strings.TrimSpace(s[i:]), " BC"), "+-abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
}
