package types

import (
	"encoding/hex"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/streamsql/streamsql/sql/sqlerr"
)

// FormatText appends the text form of d, which is not NULL, as PostgreSQL 15
// prints it with its default settings: ISO dates, UTC, hexadecimal bytea, the
// shortest float that reads back the same.
func FormatText(dst []byte, t Type, d Datum) []byte {
	switch t.ID {
	case Bool:
		if d.I != 0 {
			return append(dst, 't')
		}
		return append(dst, 'f')
	case Float4:
		return appendFloat(dst, d.F, 32)
	case Float8:
		return appendFloat(dst, d.F, 64)
	case Numeric:
		return appendNumericText(dst, d.S)
	case Bytea:
		return hex.AppendEncode(append(dst, `\x`...), d.S)
	case Date:
		return appendDate(dst, d.I)
	case Time:
		return appendTimeOfDay(dst, d.I)
	case Timestamp:
		return appendTimestamp(dst, d.I, "")
	case Timestamptz:
		return appendTimestamp(dst, d.I, "+00")
	case Interval:
		return appendInterval(dst, d.S)
	case UUID:
		h := hex.EncodeToString(d.S)
		if len(h) != 32 {
			return append(dst, h...)
		}
		return append(dst, h[:8]+"-"+h[8:12]+"-"+h[12:16]+"-"+h[16:20]+"-"+h[20:]...)
	case Array:
		return appendArrayText(dst, t.Elem, d.S)
	}
	if t.Phys() == PhysInt {
		return strconv.AppendInt(dst, d.I, 10)
	}
	return append(dst, d.S...)
}

func appendFloat(dst []byte, f float64, bits int) []byte {
	switch {
	case f != f:
		return append(dst, "NaN"...)
	case math.IsInf(f, 1):
		return append(dst, "Infinity"...)
	case math.IsInf(f, -1):
		return append(dst, "-Infinity"...)
	}
	// PostgreSQL prints with an exponent outside 1e-4 … 1e15 (1e6 for real).
	limit := 1e15
	if bits == 32 {
		limit = 1e6
	}
	if a := math.Abs(f); a != 0 && (a < 1e-4 || a >= limit) {
		return strconv.AppendFloat(dst, f, 'e', -1, bits)
	}
	return strconv.AppendFloat(dst, f, 'f', -1, bits)
}

// ParseText reads the text form of a value of type t as PostgreSQL's input
// functions do. Errors: 22P02 and 22007 for what does not read, 22003 and 22008
// for what is out of range, 22001 for a string longer than its type.
func ParseText(t Type, s string) (Datum, error) {
	switch t.ID {
	case Bool:
		return parseBool(s)
	case Int2:
		return parseInt(t, s, 16)
	case Int4:
		return parseInt(t, s, 32)
	case Int8:
		return parseInt(t, s, 64)
	case OID, Regclass, Regtype:
		n, err := strconv.ParseUint(strings.TrimSpace(s), 10, 32)
		if err != nil {
			return Datum{}, numberError(t, s, err)
		}
		return Datum{I: int64(n)}, nil
	case Float4:
		return parseFloat(t, s, 32)
	case Float8:
		return parseFloat(t, s, 64)
	case Numeric:
		b, err := parseNumeric(t, s)
		return Datum{S: b}, err
	case Varchar, Bpchar:
		return parseVarchar(t, s)
	case Bytea:
		return parseBytea(s)
	case Date:
		return parseDate(s)
	case Time:
		return parseTimeOfDay(s)
	case Timestamp, Timestamptz:
		return parseTimestamp(t, s)
	case Interval:
		b, err := parseInterval(s)
		return Datum{S: b}, err
	case UUID:
		h := strings.ReplaceAll(strings.Trim(s, "{}"), "-", "")
		b, err := hex.DecodeString(h)
		if err != nil || len(b) != 16 {
			return Datum{}, invalidText(t, s)
		}
		return Datum{S: b}, nil
	case JSON, JSONB:
		return parseJSON(t, s)
	case Array:
		return parseArray(t, s)
	case Text, Name, Unknown, Char:
		return Datum{S: []byte(s)}, nil
	}
	return Datum{}, sqlerr.New(sqlerr.FeatureNotSupported, "cannot read a value of type %s", t)
}

func invalidText(t Type, s string) error {
	return sqlerr.New(sqlerr.InvalidText, "invalid input syntax for type %s: %q", Bare(t), s)
}

// Bare is t without its modifier, as messages name it.
func Bare(t Type) Type { return Type{ID: t.ID, Elem: t.Elem} }

func numberError(t Type, s string, err error) error {
	if ne, ok := err.(*strconv.NumError); ok && ne.Err == strconv.ErrRange {
		return sqlerr.New(sqlerr.NumericOutOfRange, "value %q is out of range for type %s", s, Bare(t))
	}
	return invalidText(t, s)
}

func parseInt(t Type, s string, bits int) (Datum, error) {
	n, err := strconv.ParseInt(strings.TrimSpace(s), 10, bits)
	if err != nil {
		return Datum{}, numberError(t, s, err)
	}
	return Datum{I: n}, nil
}

func parseFloat(t Type, s string, bits int) (Datum, error) {
	v := strings.TrimSpace(s)
	// Go reads 0x1p-2, 1_000 and infinit; PostgreSQL does not read all of these.
	if strings.ContainsAny(v, "_xXpP") {
		return Datum{}, invalidText(t, s)
	}
	f, err := strconv.ParseFloat(v, bits)
	if err != nil {
		if e := numberError(t, s, err); e.(*sqlerr.Error).Code == sqlerr.NumericOutOfRange {
			return Datum{}, sqlerr.New(sqlerr.NumericOutOfRange, "%q is out of range for type %s", v, Bare(t))
		}
		return Datum{}, invalidText(t, s)
	}
	return Datum{F: f}, nil
}

// parseBool takes any unique prefix of true, false, yes, no, on, off, and 1 and 0.
func parseBool(s string) (Datum, error) {
	v := strings.ToLower(strings.TrimSpace(s))
	if v != "" {
		switch {
		case strings.HasPrefix("true", v), strings.HasPrefix("yes", v), v == "on", v == "1":
			return Datum{I: 1}, nil
		case strings.HasPrefix("false", v), strings.HasPrefix("no", v), v == "of", v == "off", v == "0":
			return Datum{}, nil
		}
	}
	return Datum{}, invalidText(Of(Bool), s)
}

func parseVarchar(t Type, s string) (Datum, error) {
	n := utf8.RuneCountInString(s)
	limit := int(t.Mod)
	if limit > 0 && n > limit {
		cut := s
		for i := range s {
			if limit == 0 {
				cut = s[:i]
				break
			}
			limit--
		}
		if strings.TrimRight(s[len(cut):], " ") != "" {
			return Datum{}, sqlerr.New("22001", "value too long for type %s", t)
		}
		return Datum{S: []byte(cut)}, nil
	}
	if t.ID == Bpchar && n < limit {
		s += strings.Repeat(" ", limit-n)
	}
	return Datum{S: []byte(s)}, nil
}

func parseBytea(s string) (Datum, error) {
	if h, ok := strings.CutPrefix(s, `\x`); ok {
		b, err := hex.DecodeString(strings.Map(func(r rune) rune {
			if strings.ContainsRune(" \t\r\n", r) {
				return -1
			}
			return r
		}, h))
		if err != nil {
			return Datum{}, sqlerr.New(sqlerr.InvalidParameter, "invalid hexadecimal data")
		}
		return Datum{S: b}, nil
	}
	out := []byte{}
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' {
			out = append(out, s[i])
			continue
		}
		if i+1 < len(s) && s[i+1] == '\\' {
			out = append(out, '\\')
			i++
			continue
		}
		if i+3 < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				out = append(out, byte(n))
				i += 3
				continue
			}
		}
		return Datum{}, invalidText(Of(Bytea), s)
	}
	return Datum{S: out}, nil
}
