package expr

import (
	"math/bits"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/streamsql/streamsql/sql/sqlerr"
	"github.com/streamsql/streamsql/sql/types"
)

func init() {
	const txt, by, i4, i8 = types.Text, types.Bytea, types.Int4, types.Int8
	for _, want := range []bool{true, false} {
		name := map[bool]string{true: "num_nulls", false: "num_nonnulls"}[want]
		register(&Func{Name: name, Args: typs(Any), Ret: types.Of(i4), Variadic: true, NotNull: true, Eval: ints(func(c *Batch, i int) (int64, error) {
			n := int64(0)
			for a := range c.Args {
				n += b2i(c.Null(a, i) == want)
			}
			return n, nil
		})})
	}
	for n := 1; n <= 2; n++ {
		register(&Func{Name: "parse_ident", Args: []types.Type{types.Of(txt), boolType}[:n], Ret: types.ArrayOf(txt), MayFail: true, Eval: datums(func(c *Batch, i int) (types.Datum, error) {
			parts, err := parseIdent(string(c.Bytes(0, i)), len(c.Args) < 2 || c.Int(1, i) != 0)
			out := []byte{}
			for _, p := range parts {
				out = types.AppendElem(out, txt, types.Datum{S: []byte(p)})
			}
			return types.Datum{S: out}, err
		})})
	}
	index := func(c *Batch, i int) (int64, error) {
		n := c.Int(1, i)
		if l := int64(len(c.Bytes(0, i))); n < 0 || n >= l {
			return 0, sqlerr.New("2202E", "index %d out of valid range, 0..%d", n, l-1)
		}
		return n, nil
	}
	register(&Func{Name: "get_byte", Args: typs(by, i4), Ret: types.Of(i4), MayFail: true, Eval: ints(func(c *Batch, i int) (int64, error) {
		n, err := index(c, i)
		if err != nil {
			return 0, err
		}
		return int64(c.Bytes(0, i)[n]), nil
	})})
	textErr("set_byte", by, func(c *Batch, i int, dst []byte) ([]byte, error) {
		n, err := index(c, i)
		if err != nil {
			return nil, err
		}
		dst = append(dst, c.Bytes(0, i)...)
		dst[len(dst)-len(c.Bytes(0, i))+int(n)] = byte(c.Int(2, i))
		return dst, nil
	}, by, i4, i4)
	register(&Func{Name: "bit_count", Args: typs(by), Ret: types.Of(i8), Eval: ints(func(c *Batch, i int) (int64, error) {
		n := 0
		for _, b := range c.Bytes(0, i) {
			n += bits.OnesCount8(b)
		}
		return int64(n), nil
	})})
	textErr("unistr", txt, func(c *Batch, i int, dst []byte) ([]byte, error) { return unistr(dst, string(c.Bytes(0, i))) }, txt)

	// (a, b) OVERLAPS (c, d): half-open, a single moment overlaps what holds it.
	overlaps := func(t types.ID, vol Volatility, second types.ID, end func(c *Batch, at, i int) (int64, error)) {
		register(&Func{Name: "overlaps", Args: typs(t, second, t, second), Ret: boolType, Vol: vol, MayFail: true, Eval: bools(func(c *Batch, i int) (bool, error) {
			a, x := c.Int(0, i), c.Int(2, i)
			b, err := end(c, 1, i)
			if err != nil {
				return false, err
			}
			y, err := end(c, 3, i)
			if err != nil {
				return false, err
			}
			a, b, x, y = min(a, b), max(a, b), min(x, y), max(x, y)
			switch {
			case a > x:
				return a < y, nil
			case a < x:
				return x < b, nil
			}
			return true, nil
		})})
	}
	plain := func(c *Batch, at, i int) (int64, error) { return c.Int(at, i), nil }
	for _, t := range []types.ID{types.Timestamp, types.Timestamptz, types.Time} {
		overlaps(t, Immutable, t, plain)
	}
	for _, t := range []types.ID{types.Timestamp, types.Timestamptz} {
		vol := Immutable
		if t == types.Timestamptz {
			vol = Stable
		}
		overlaps(t, vol, types.Interval, func(c *Batch, at, i int) (int64, error) {
			return addInterval(c.Int(at-1, i), c.Bytes(at, i), 1, t == types.Timestamptz, c.Ctx)
		})
	}
}

// parseIdent splits a qualified name and takes its quotes off.
func parseIdent(s string, strict bool) ([]string, error) {
	bad := func(detail string) error {
		e := sqlerr.New(sqlerr.InvalidParameter, "string is not a valid identifier: \"%s\"", s)
		if detail != "" {
			e = e.WithDetail("%s", detail)
		}
		return e
	}
	var out []string
	rest := strings.TrimLeft(s, " \t\n")
	for {
		switch {
		case strings.HasPrefix(rest, `"`):
			var b strings.Builder
			for rest = rest[1:]; ; {
				i := strings.IndexByte(rest, '"')
				if i < 0 {
					return nil, bad("String has unclosed double quotes.")
				}
				b.WriteString(rest[:i])
				rest = rest[i+1:]
				if !strings.HasPrefix(rest, `"`) {
					break
				}
				b.WriteByte('"')
				rest = rest[1:]
			}
			if b.Len() == 0 {
				return nil, bad("Quoted identifier must not be empty.")
			}
			out = append(out, b.String())
		default:
			n := 0
			for n < len(rest) {
				c := rest[n]
				if !(c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= 0x80 || n > 0 && (c == '$' || c >= '0' && c <= '9')) {
					break
				}
				n++
			}
			if n == 0 {
				switch {
				case len(out) > 0:
					return nil, bad("No valid identifier after \".\".")
				case strings.HasPrefix(rest, "."):
					return nil, bad("No valid identifier before \".\".")
				}
				return nil, bad("")
			}
			out = append(out, lowerASCII(rest[:n]))
			rest = rest[n:]
		}
		rest = strings.TrimLeft(rest, " \t\n")
		if !strings.HasPrefix(rest, ".") {
			break
		}
		rest = strings.TrimLeft(rest[1:], " \t\n")
	}
	if strict && rest != "" {
		return nil, bad("")
	}
	return out, nil
}

// unistr reads \XXXX, \+XXXXXX, \uXXXX and \UXXXXXXXX.
func unistr(dst []byte, s string) ([]byte, error) {
	bad := sqlerr.New("42601", "invalid Unicode escape").WithHint(`Unicode escapes must be \XXXX, \+XXXXXX, \uXXXX, or \UXXXXXXXX.`)
	for len(s) > 0 {
		if s[0] != '\\' {
			dst, s = append(dst, s[0]), s[1:]
			continue
		}
		if strings.HasPrefix(s, `\\`) {
			dst, s = append(dst, '\\'), s[2:]
			continue
		}
		skip, n := 1, 4
		switch {
		case strings.HasPrefix(s, `\+`):
			skip, n = 2, 6
		case strings.HasPrefix(s, `\u`):
			skip = 2
		case strings.HasPrefix(s, `\U`):
			skip, n = 2, 8
		}
		if len(s) < skip+n {
			return nil, bad
		}
		v, err := strconv.ParseUint(s[skip:skip+n], 16, 32)
		if err != nil || v == 0 || v > utf8.MaxRune || !utf8.ValidRune(rune(v)) {
			return nil, bad
		}
		dst, s = utf8.AppendRune(dst, rune(v)), s[skip+n:]
	}
	return dst, nil
}
