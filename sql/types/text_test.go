package types

import (
	"errors"
	"math"
	"math/big"
	"math/rand"
	"strings"
	"testing"

	"github.com/streamsql/streamsql/sql/sqlerr"
)

// The expected texts are PostgreSQL 15's.
func TestText(t *testing.T) {
	numeric42 := Type{ID: Numeric, Mod: 4<<16 | 3}
	for _, c := range []struct {
		typ      Type
		in, want string
	}{
		{Of(Bool), " TRUE ", "t"}, {Of(Bool), "y", "t"}, {Of(Bool), "off", "f"},
		{Of(Int2), "-32768", "-32768"}, {Of(Int4), " 42 ", "42"}, {Of(Int8), "+7", "7"},
		{Of(Float8), "0.1", "0.1"}, {Of(Float8), "1e20", "1e+20"}, {Of(Float8), "-inf", "-Infinity"},
		{Of(Float8), "123456789012345", "123456789012345"}, {Of(Float8), "1e15", "1e+15"},
		{Of(Float8), "0.00001", "1e-05"}, {Of(Float8), "nan", "NaN"}, {Of(Float4), "0.1", "0.1"},
		{Of(Float4), "1234567", "1.234567e+06"},
		{Of(Numeric), "1.00", "1.00"}, {Of(Numeric), "-.5", "-0.5"}, {Of(Numeric), "1e3", "1000"},
		{Of(Numeric), "12e-3", "0.012"}, {Of(Numeric), "1.", "1"}, {Of(Numeric), "128", "128"},
		{Of(Numeric), "-128", "-128"}, {Of(Numeric), "-129", "-129"}, {Of(Numeric), "-0", "0"},
		{Of(Numeric), "99999999999999999999999.5", "99999999999999999999999.5"},
		{numeric42, "1.005", "1.01"}, {numeric42, "-1.005", "-1.01"}, {numeric42, "99.99", "99.99"},
		{Of(Text), "it's", "it's"}, {Type{ID: Varchar, Mod: 2}, "aé  ", "aé"},
		{Type{ID: Bpchar, Mod: 3}, "a", "a  "},
		{Of(Bytea), `\xDEad`, `\xdead`}, {Of(Bytea), `a\\\001`, `\x615c01`},
		{Of(Date), "2024-02-29", "2024-02-29"}, {Of(Date), "0044-03-15 BC", "0044-03-15 BC"},
		{Of(Date), "infinity", "infinity"}, {Of(Date), "1969-12-31", "1969-12-31"},
		{Of(Time), "04:05:06.789", "04:05:06.789"}, {Of(Time), "24:00", "24:00:00"},
		{Of(Timestamp), "2024-01-02 03:04:05.000600", "2024-01-02 03:04:05.0006"},
		{Of(Timestamp), "2024-01-02T03:04:05Z", "2024-01-02 03:04:05"},
		{Of(Timestamp), "1969-12-31 23:59:59.5", "1969-12-31 23:59:59.5"},
		{Of(Timestamptz), "2024-01-02 03:04:05+02", "2024-01-02 01:04:05+00"},
		{Of(Timestamptz), "2024-01-02 03:04:05-03:30", "2024-01-02 06:34:05+00"},
		{Of(Timestamptz), "2024-01-02", "2024-01-02 00:00:00+00"},
		{Type{ID: Timestamp, Mod: 4}, "2024-01-02 03:04:05.1236", "2024-01-02 03:04:05.124"},
		{Of(Interval), "1 day 02:03:04.5", "1 day 02:03:04.5"}, {Of(Interval), "5 min", "00:05:00"},
		{Of(Interval), "14 months", "1 year 2 mons"}, {Of(Interval), "-1 year -2 days", "-1 years -2 days"},
		{Of(Interval), "1.5 days", "1 day 12:00:00"}, {Of(Interval), "3 hours ago", "-03:00:00"},
		{Of(Interval), "0", "00:00:00"}, {Of(Interval), "-1 day +02:00", "-1 days +02:00:00"},
		{Of(UUID), "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"},
		{Of(JSON), ` {"b":1}`, ` {"b":1}`},
		{Of(JSONB), `{"bb":1,"a":[1.50,null,"x\n"],"a":2,"a":[1.50,true]}`, `{"a": [1.50, true], "bb": 1}`},
		{ArrayOf(Int4), "{1, NULL,3}", "{1,NULL,3}"}, {ArrayOf(Text), `{}`, `{}`},
		{ArrayOf(Text), `{a b ,"c,d","","null",null,"\"\\"}`, `{"a b","c,d","","null",NULL,"\"\\"}`},
		{ArrayOf(Numeric), "{1.0}", "{1.0}"},
	} {
		d, err := ParseText(c.typ, c.in)
		if err != nil {
			t.Errorf("%s %q: %v", c.typ, c.in, err)
			continue
		}
		if got := string(FormatText(nil, c.typ, d)); got != c.want {
			t.Errorf("%s %q prints as %q, want %q", c.typ, c.in, got, c.want)
		}
	}
}

func TestTextErrors(t *testing.T) {
	for _, c := range []struct {
		typ           Type
		in, code, msg string
	}{
		{Of(Int4), "x", "22P02", `invalid input syntax for type integer: "x"`},
		{Of(Int4), "2147483648", "22003", `value "2147483648" is out of range for type integer`},
		{Of(Int4), "1_000", "22P02", ""},
		{Of(Float8), "1e400", "22003", `"1e400" is out of range for type double precision`},
		{Of(Float8), "0x10", "22P02", ""},
		{Of(Bool), "tr ue", "22P02", ""}, {Of(Bool), "", "22P02", ""},
		{Of(Numeric), "1.2.3", "22P02", ""}, {Of(Numeric), "--1", "22P02", ""}, {Of(Numeric), ".", "22P02", ""},
		{Type{ID: Numeric, Mod: 4<<16 | 3}, "100", "22003", "numeric field overflow"},
		{Type{ID: Varchar, Mod: 2}, "abc", "22001", "value too long for type character varying(2)"},
		{Of(Date), "2023-02-29", "22008", `date/time field value out of range: "2023-02-29"`},
		{Of(Date), "yesterdayish", "22007", `invalid input syntax for type date: "yesterdayish"`},
		{Of(Timestamp), "2024-01-01 25:00", "22008", ""}, {Of(Timestamptz), "2024-01-01 10:00 Mars", "22007", ""},
		{Of(Interval), "1 fortnight", "22007", ""}, {Of(Interval), "", "22007", ""},
		{Of(UUID), "123", "22P02", ""}, {Of(JSON), "{", "22P02", ""}, {Of(JSONB), "1 2", "22P02", ""},
		{ArrayOf(Int4), "{1", "22P02", ""}, {ArrayOf(Int4), "{1,}", "22P02", ""},
		{ArrayOf(Int4), "{{1}}", "0A000", ""}, {ArrayOf(Int4), "{a}", "22P02", ""},
	} {
		_, err := ParseText(c.typ, c.in)
		var e *sqlerr.Error
		if !errors.As(err, &e) || e.Code != c.code || c.msg != "" && e.Message != c.msg {
			t.Errorf("%s %q: %v, want %s %s", c.typ, c.in, err, c.code, c.msg)
		}
	}
}

func TestNumericBytes(t *testing.T) {
	r := rand.New(rand.NewSource(3))
	for range 10_000 {
		x := new(big.Int).Rand(r, new(big.Int).Lsh(big.NewInt(1), uint(1+r.Intn(200))))
		if r.Intn(2) == 0 {
			x.Neg(x)
		}
		b := NumericOf(x, 3)
		if got := numericCoefficient(b); got.Cmp(x) != 0 || b[0] != 3 {
			t.Fatalf("%s came back as %s", x, got)
		}
		if want := min(len(b), x.BitLen()/8+2); len(b) != want {
			t.Fatalf("%s takes %d bytes, want %d", x, len(b), want)
		}
	}
}

func TestFloatTextRoundTrip(t *testing.T) {
	r := rand.New(rand.NewSource(4))
	for range 10_000 {
		f := math.Float64frombits(r.Uint64())
		d, err := ParseText(Of(Float8), string(FormatText(nil, Of(Float8), Datum{F: f})))
		if err != nil || compareFloat(d.F, f) != 0 {
			t.Fatalf("%v came back as %v, %v", f, d.F, err)
		}
	}
}

// FuzzParseText: no text makes a type's reader panic, and what was read prints
// and reads back as the same text.
func FuzzParseText(f *testing.F) {
	for _, s := range []string{"1.5", "{a,\"b\"}", "2024-01-01 10:00+02", "1 day ago", "{\"a\":[1]}", `\x00`, "::", "-"} {
		f.Add(s)
	}
	all := []Type{Of(Bool), Of(Int4), Of(Float8), Of(Numeric), Of(Bytea), Of(Date), Of(Time), Of(Timestamp),
		Of(Timestamptz), Of(Interval), Of(UUID), Of(JSONB), ArrayOf(Text), {ID: Varchar, Mod: 3}, {ID: Numeric, Mod: 5<<16 | 3}}
	f.Fuzz(func(t *testing.T, s string) {
		if len(s) > 200 || strings.ContainsAny(s, "eE") && len(s) > 20 {
			return // a numeric such as 1e99999 has that many digits
		}
		for _, typ := range all {
			d, err := ParseText(typ, s)
			if err != nil {
				continue
			}
			text := string(FormatText(nil, typ, d))
			again, err := ParseText(typ, text)
			if err != nil {
				t.Fatalf("%s: %q prints as %q, which does not read: %v", typ, s, text, err)
			}
			if second := string(FormatText(nil, typ, again)); second != text {
				t.Fatalf("%s: %q, then %q", typ, text, second)
			}
		}
	})
}
