package json

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/streamsql/streamsql/connector"
	"github.com/streamsql/streamsql/sql/delta"
	"github.com/streamsql/streamsql/sql/types"
)

func numeric(precision, scale int) types.Type {
	return types.Type{ID: types.Numeric, Mod: int32(precision<<16 | scale + 1)}
}

func mustNew(t testing.TB, opts Options, cols ...connector.Column) *Decoder {
	t.Helper()
	d, err := New(cols, opts)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func col(name string, t types.Type) connector.Column { return connector.Column{Name: name, Type: t} }

// text is row i of v as psql shows it.
func text(v *delta.Vec, i int) string {
	if v.Null(i) {
		return "NULL"
	}
	return string(types.FormatText(nil, v.T, v.Datum(i)))
}

func TestValues(t *testing.T) {
	ts3 := types.Type{ID: types.Timestamp, Mod: 4}
	for _, c := range []struct {
		t        types.Type
		in, want string // an error when it starts with !
	}{
		{types.Of(types.Int2), `32767`, "32767"},
		{types.Of(types.Int2), `-32768`, "-32768"},
		{types.Of(types.Int2), `32768`, `!field "c": value 32768 is out of range for type smallint`},
		{types.Of(types.Int2), `-32769`, "!out of range"},
		{types.Of(types.Int4), `2147483648`, "!out of range"},
		{types.Of(types.Int8), `9223372036854775807`, "9223372036854775807"},
		{types.Of(types.Int8), `-9223372036854775808`, "-9223372036854775808"},
		{types.Of(types.Int8), `9223372036854775808`, "!out of range"},
		{types.Of(types.Int8), `-9223372036854775809`, "!out of range"},
		{types.Of(types.Int8), `18446744073709551616`, "!out of range"},
		{types.Of(types.Int8), `100000000000000000000000`, "!out of range"},
		{types.Of(types.OID), `4294967295`, "4294967295"},
		{types.Of(types.OID), `-0`, "0"},
		{types.Of(types.OID), `-1`, "!out of range"},
		{types.Of(types.Int4), `1.0`, "1"},
		{types.Of(types.Int4), `-12.5e1`, "-125"},
		{types.Of(types.Int4), `1200e-2`, "12"},
		{types.Of(types.Int4), `0e99999999999`, "0"},
		{types.Of(types.Int4), `1e99999999999`, "!out of range"},
		{types.Of(types.Int4), `1e-99999999999`, "!fraction: 1e-99999999999"},
		{types.Of(types.Int4), `1.5`, `!field "c": type integer cannot take a fraction: 1.5`},
		{types.Of(types.Int4), `"42"`, "42"},
		{types.Of(types.Int4), `"x"`, `!field "c": invalid input syntax for type integer: "x"`},
		{types.Of(types.Int4), `true`, "!type integer cannot take a boolean: true"},
		{types.Of(types.Int4), `{}`, "!cannot take an object: {}"},
		{types.Of(types.Float8), `0.1`, "0.1"},
		{types.Of(types.Float8), `-0`, "-0"},
		{types.Of(types.Float8), `9007199254740993`, "9.007199254740992e+15"},
		{types.Of(types.Float8), `1.7976931348623157e308`, "1.7976931348623157e+308"},
		{types.Of(types.Float8), `1e309`, "!out of range for type double precision"},
		{types.Of(types.Float4), `0.1`, "0.1"},
		{types.Of(types.Float4), `1e39`, "!out of range for type real"},
		{types.Of(types.Float8), `"NaN"`, "NaN"},
		{types.Of(types.Numeric), `-1.50`, "-1.50"},
		{types.Of(types.Numeric), `-128`, "-128"},
		{types.Of(types.Numeric), `1e3`, "1000"},
		{types.Of(types.Numeric), `123456789012345678901234567890.5`, "123456789012345678901234567890.5"},
		{types.Of(types.Numeric), `1e999999`, "!overflows numeric format: 1e999999"},
		{numeric(5, 2), `123.4`, "123.40"},
		{numeric(5, 2), `-999.99`, "-999.99"},
		{numeric(5, 2), `1.005`, "1.01"},
		{numeric(5, 2), `1000`, "!numeric field overflow"},
		{numeric(38, 10), `123456789012345678`, "123456789012345678.0000000000"},
		{types.Of(types.Bool), `true`, "t"},
		{types.Of(types.Bool), `false`, "f"},
		{types.Of(types.Bool), `1`, "!type boolean cannot take a number: 1"},
		{types.Of(types.Text), `"a\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00b"`, "a\"\\/\b\f\n\r\té😀b"},
		{types.Of(types.Text), `"\ud83dx"`, "\uFFFDx"},
		{types.Of(types.Text), `"\ud83d\ud83d\ude00"`, "\uFFFD😀"},
		{types.Of(types.Text), `"a\u0000"`, `!\u0000 cannot be converted to text`},
		{types.Of(types.Text), "\"a\xff\"", `!invalid byte sequence for encoding "UTF8"`},
		{types.Of(types.Text), "\"a\x01\"", `!invalid JSON at byte 7: a control character in a string`},
		{types.Of(types.Text), `"\x"`, "!a bad escape"},
		{types.Of(types.Text), `-1.50`, "-1.50"},
		{types.Of(types.Text), `{"a": [1]}`, `{"a": [1]}`},
		{types.Of(types.Text), `true`, "true"},
		{types.Type{ID: types.Varchar, Mod: 3}, `"äöü"`, "äöü"},
		{types.Type{ID: types.Varchar, Mod: 3}, `"abcd"`, "!value too long"},
		{types.Type{ID: types.Bpchar, Mod: 3}, `"a"`, "a  "},
		{types.Of(types.Bytea), `"\\x00ff"`, `\x00ff`},
		{types.Of(types.Date), `"2024-02-29"`, "2024-02-29"},
		{types.Of(types.Date), `"2023-02-29"`, "!out of range"},
		{types.Of(types.Date), `1`, "!type date cannot take a number: 1"},
		{types.Of(types.Time), `"12:30:01.5"`, "12:30:01.5"},
		{types.Of(types.Timestamp), `"2015-07-15T00:00:01.25Z"`, "2015-07-15 00:00:01.25"},
		{types.Of(types.Timestamp), `"1999-12-31 23:59:59.999999"`, "1999-12-31 23:59:59.999999"},
		{ts3, `"2015-07-15 00:00:00.1236"`, "2015-07-15 00:00:00.124"},
		{types.Of(types.Timestamp), `1436918400000`, "!type timestamp without time zone cannot take a number"},
		{types.Of(types.Timestamp), `"now-ish"`, "!invalid input syntax"},
		{types.Of(types.Timestamptz), `"2015-07-15T00:00:00+05:30"`, "2015-07-14 18:30:00+00"},
		{types.Of(types.Timestamptz), `"2015-07-15T00:00:00-0100"`, "2015-07-15 01:00:00+00"},
		{types.Of(types.Interval), `"1 day 02:00:00"`, "1 day 02:00:00"},
		{types.Of(types.UUID), `"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"`, "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"},
		{types.Of(types.JSONB), `{"a":["\u0000"]}`, `!\u0000 cannot be converted to text`},
		{types.Of(types.JSONB), `{"a\u0000":1}`, `!\u0000 cannot be converted to text`},
		{types.Of(types.JSONB), `{"a":"\\u0000"}`, `{"a": "\\u0000"}`},
		{types.Of(types.JSON), ` {"b" :1, "a":"\u0000"} `, `{"b" :1, "a":"\u0000"}`},
		{types.Of(types.JSONB), ` {"bb":1, "a" : [true,null,{}, []],"bb":-0.0} `, `{"a": [true, null, {}, []], "bb": 0.0}`},
		{types.Of(types.JSONB), `"x\u0041"`, `"xA"`},
		{types.Of(types.JSONB), `{"a":1e3}`, `{"a": 1000}`},
		{types.Of(types.JSONB), `{"a" 1}`, "!there is 1 where ':' after a field's name belongs"},
		{types.ArrayOf(types.Int4), `[1, null,-3]`, "{1,NULL,-3}"},
		{types.ArrayOf(types.Int4), `[]`, "{}"},
		{types.ArrayOf(types.Int4), `[1,"x"]`, `!field "c": element 2: invalid input syntax`},
		{types.ArrayOf(types.Text), `["a\n","b"]`, "{\"a\n\",b}"},
		{types.ArrayOf(types.JSONB), `[{"b":1,"a":2},3]`, `{"{\"a\": 2, \"b\": 1}",3}`},
	} {
		d := mustNew(t, Options{}, col("c", c.t))
		err := d.Decode([]byte(`{"c":` + c.in + `}`))
		want, fails := strings.CutPrefix(c.want, "!")
		if fails {
			if err == nil {
				t.Errorf("%s %s: no error", c.t, c.in)
			} else if !strings.Contains(err.Error(), want) {
				t.Errorf("%s %s: error %q, want %q", c.t, c.in, err, want)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s %s: %v", c.t, c.in, err)
			continue
		}
		if got := text(d.Take()[0], 0); got != want {
			t.Errorf("%s %s: %q, want %q", c.t, c.in, got, want)
		}
		if err := d.Decode([]byte(`{"c":null}`)); err != nil || !d.Col(0).Null(0) {
			t.Errorf("%s null: %v, %v", c.t, err, d.Col(0))
		}
	}
}

func TestRecords(t *testing.T) {
	strict := Options{MissingIsError: true, UnknownIsError: true}
	for _, c := range []struct {
		opts     Options
		in, want string
	}{
		{Options{}, `{"a":1,"B":"x"}`, "1 x"},
		{Options{}, " {\t\"B\" :\r\n \"x\" , \"a\" : 1 } \n", "1 x"},
		{Options{}, `{}`, "NULL NULL"},
		{Options{}, `{"z":[{"a":5}],"a":1}`, "1 NULL"},
		{Options{}, `{"a":1,"a":2}`, "2 NULL"},
		{Options{}, `{"a":1,"a":null}`, "NULL NULL"},
		{Options{}, `{"a":null,"a":3}`, "3 NULL"},
		{Options{}, `{"A":1,"b":"x"}`, "1 x"},
		{Options{}, `{"A":1,"a":2}`, "2 NULL"},
		{Options{}, `{"a":2,"A":1}`, "2 NULL"},
		{Options{}, `{"\u0061":7}`, "7 NULL"},
		{strict, `{"a":1,"b":null}`, "1 NULL"},
		{strict, `{"a":1}`, `!field "B" is missing`},
		{strict, `{"a":1,"B":"x","z":0}`, `!there is no column for the field "z"`},
		{Options{}, ``, "!empty record"},
		{Options{}, ` `, "!empty record"},
		{Options{}, `null`, "!the record is no JSON object"},
		{Options{}, `[1]`, "!the record is no JSON object"},
		{Options{}, `{"a":1}{`, "!there is { where the end of the record belongs"},
		{Options{}, `{"a":1`, "!it ends where ',' or '}'"},
		{Options{}, `{"a":1,}`, "!there is } where a field's name belongs"},
		{Options{}, `{"a":01}`, "!a bad number"},
		{Options{}, `{"a":tru}`, "!there is t where a value belongs"},
		{Options{}, `{"z":"`, "!a string does not end"},
		{Options{}, `{"z":` + strings.Repeat("[", 10_000), "!nested too deeply"},
		{Options{}, `{"z":` + strings.Repeat("[", 9_999) + strings.Repeat("]", 9_999) + `}`, "NULL NULL"},
	} {
		d := mustNew(t, c.opts, col("a", types.Of(types.Int4)), col("B", types.Of(types.Text)))
		for range 2 { // the second time with the keys known
			err := d.Decode([]byte(c.in))
			if want, fails := strings.CutPrefix(c.want, "!"); fails {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("%.40s: error %v, want %q", c.in, err, want)
				}
				continue
			}
			if err != nil {
				t.Errorf("%.40s: %v", c.in, err)
				continue
			}
			v := d.Take()
			if got := text(v[0], 0) + " " + text(v[1], 0); got != c.want {
				t.Errorf("%.40s: %s, want %s", c.in, got, c.want)
			}
		}
	}
}

func TestShapesChange(t *testing.T) {
	d := mustNew(t, Options{}, col("a", types.Of(types.Int4)), col("ab", types.Of(types.Int4)))
	for i, rec := range []string{`{"a":1,"ab":2}`, `{"ab":2,"a":1}`, `{"x":0,"a":1,"ab":2}`, `{"a":1,"ab":2}`, `{"AB":2,"A":1}`} {
		if err := d.Decode([]byte(rec)); err != nil {
			t.Fatal(err)
		}
		if d.Col(0).I[i] != 1 || d.Col(1).I[i] != 2 {
			t.Errorf("%s: %d %d", rec, d.Col(0).I[i], d.Col(1).I[i])
		}
	}
}

func TestFailureLeavesNoTrace(t *testing.T) {
	d := mustNew(t, Options{}, col("i", types.Of(types.Int8)), col("f", types.Of(types.Float8)),
		col("s", types.Of(types.Text)), col("last", types.Of(types.Int2)))
	var clones [][]*delta.Vec
	good := func(i int) {
		rec := fmt.Sprintf(`{"i":%d,"f":%d.5,"s":"s%d","last":1}`, i, i, i)
		if i%5 == 3 {
			rec = `{"s":"only"}`
		}
		if err := d.Decode([]byte(rec)); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 200 {
		for _, bad := range []string{
			`{"i":1,"f":2,"s":"abc","last":99999}`,
			`{"i":null,"f":null,"s":null,"last":"x"}`,
			`{"i":1,"s":"abc"`,
		} {
			before := deepCopy(d)
			if d.Decode([]byte(bad)) == nil {
				t.Fatalf("%s: no error", bad)
			}
			if after := deepCopy(d); !reflect.DeepEqual(before, after) {
				t.Fatalf("row %d, %s: the columns changed\n%v\n%v", i, bad, before, after)
			}
		}
		good(i)
	}
	clones = append(clones, d.Take())
	for i := range 200 {
		good(i)
	}
	if again := d.Take(); !reflect.DeepEqual(normal(clones[0]), normal(again)) {
		t.Errorf("rows after failures differ from rows without")
	}
}

func normal(vs []*delta.Vec) []string {
	var out []string
	for _, v := range vs {
		for i := range v.N {
			out = append(out, text(v, i))
		}
		out = append(out, fmt.Sprint(len(v.I), len(v.F), v.Off, string(v.Buf), v.Nulls))
	}
	return out
}

func deepCopy(d *Decoder) []delta.Vec {
	var out []delta.Vec
	for i := range d.fields {
		v := *d.Col(i)
		v.Nulls = append([]uint64(nil), v.Nulls...)
		v.I = append([]int64(nil), v.I...)
		v.F = append([]float64(nil), v.F...)
		v.Off = append([]int32(nil), v.Off...)
		v.Buf = append([]byte(nil), v.Buf...)
		out = append(out, v)
	}
	return out
}

func TestMetadataIsLeftAlone(t *testing.T) {
	d := mustNew(t, Options{MissingIsError: true},
		connector.Column{Name: "k", Type: types.Of(types.Text), Meta: "key"}, col("a", types.Of(types.Int4)))
	if err := d.Decode([]byte(`{"a":1,"k":"no"}`)); err != nil {
		t.Fatal(err)
	}
	d.Col(0).AppendBytes([]byte("yes"))
	if d.Decode([]byte(`{"a":"x"}`)) == nil {
		t.Fatal("no error")
	}
	if v := d.Take(); v[0].N != 1 || text(v[0], 0) != "yes" || v[1].N != 1 {
		t.Errorf("%v %v", v[0], v[1])
	}
}

func TestUnreadableTypes(t *testing.T) {
	if _, err := New([]connector.Column{col("r", types.Of(types.Record))}, Options{}); err == nil ||
		!strings.Contains(err.Error(), `column "r"`) {
		t.Errorf("%v", err)
	}
}

func TestAppendText(t *testing.T) {
	for _, c := range []struct {
		t        types.Type
		in, want string
	}{
		{types.Of(types.Int4), "-12", "-12"},
		{types.Of(types.Int4), " 007 ", "7"},
		{types.Of(types.Int4), "1.0", "!invalid input syntax for type integer"},
		{types.Of(types.Int2), "40000", `!value "40000" is out of range`},
		{types.Of(types.Float8), "1e3", "1000"},
		{types.Of(types.Float8), "-inf", "-Infinity"},
		{types.Of(types.Numeric), "1.50", "1.50"},
		{numeric(4, 1), "1.25", "1.3"},
		{types.Of(types.Bool), "yes", "t"},
		{types.Of(types.JSONB), `{"b":1,"a":2}`, `{"a": 2, "b": 1}`},
		{types.Of(types.Text), "", ""},
		{types.Of(types.Text), "\xff", "!invalid byte sequence"},
		{types.Of(types.Text), "a\x00", "!invalid byte sequence"},
	} {
		v := delta.NewVec(c.t, 1)
		err := AppendText(v, []byte(c.in))
		if want, fails := strings.CutPrefix(c.want, "!"); fails {
			if err == nil || !strings.Contains(err.Error(), want) || v.N != 0 {
				t.Errorf("%s %q: %v, %d values", c.t, c.in, err, v.N)
			}
		} else if err != nil || text(v, 0) != c.want {
			t.Errorf("%s %q: %v", c.t, c.in, err)
		}
	}
}
