package json

import (
	"bytes"
	"encoding/json"
	"math/big"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/streamsql/streamsql/connector"
	"github.com/streamsql/streamsql/sql/types"
)

// FuzzDecode holds the decoder to encoding/json: both take the same records, and
// find the same in them.
func FuzzDecode(f *testing.F) {
	for _, s := range []string{
		`{"i":1,"f":2.5,"s":"x","b":true,"j":{"b":[1,null],"a":"\u00e9"}}`,
		`{"i":-9223372036854775808,"f":-1e-7,"s":"\ud83d\ude00\n","b":null,"j":-0.50}`,
		`{"i":1e3,"i":2}`, `{"I":5,"i":6,"z":[[],{"q":{}}]}`, `[]`, `{`, ``, `{"a":1}x`, `{"j":{"a":1,"aa":2,"a":3}}`,
		`{"s":"\ud800\ud800\udc00"}`, `{"f":1e400}`, `{"f":12345678901234567890123}`, `{"long key with spaces":"\\"}`,
		`{"j":{"\\a":1,"bc":2,"\"":3,"a\\":4}}`, ` { "b" : tru } `,
	} {
		f.Add([]byte(s))
	}
	cols := []connector.Column{col("i", types.Of(types.Int8)), col("f", types.Of(types.Float8)),
		col("s", types.Of(types.Text)), col("b", types.Of(types.Bool)), col("j", types.Of(types.JSONB))}
	loose := mustNew(f, Options{}, col("no such field, surely", types.Of(types.Int8)))
	d := mustNew(f, Options{}, cols...)
	f.Fuzz(func(t *testing.T, rec []byte) {
		valid := json.Valid(rec) && bytes.HasPrefix(bytes.TrimLeft(rec, " \t\r\n"), []byte("{"))
		text := utf8.Valid(rec) && !bytes.Contains(rec, []byte(`\u0000`))
		if bytes.Contains(bytes.ToLower(rec), []byte("surely")) {
			return
		}
		loose.Take()
		err := loose.Decode(rec)
		if err == nil != valid && text {
			t.Fatalf("%q: %v, encoding/json: %v", rec, err, valid)
		}
		d.Take()
		err = d.Decode(rec)
		if err == nil && !valid {
			t.Fatalf("%q is taken, but encoding/json does not", rec)
		}
		if !valid || !text {
			return
		}
		raw, unique := members(t, rec)
		all := true
		for i, c := range cols {
			want, ok := expect(c.Type, raw[c.Name])
			all = all && ok
			if err != nil || !ok {
				continue
			}
			if got := rowText(d, i); got != want {
				t.Fatalf("%q: %s is %q, want %q", rec, c.Name, got, want)
			}
		}
		if unique && all != (err == nil) {
			t.Fatalf("%q: %v, but by encoding/json %v", rec, err, all)
		}
	})
}

func rowText(d *Decoder, i int) string {
	if v := d.Col(i); !v.Null(0) {
		return string(types.FormatText(nil, v.T, v.Datum(0)))
	}
	return "NULL"
}

// members is the raw value of each column's field, and whether no column has two.
func members(t *testing.T, rec []byte) (map[string]json.RawMessage, bool) {
	dec := json.NewDecoder(bytes.NewReader(rec))
	if _, err := dec.Token(); err != nil {
		t.Fatal(err)
	}
	out, folds, unique := map[string]json.RawMessage{}, map[string]json.RawMessage{}, true
	for dec.More() {
		k, err := dec.Token()
		var v json.RawMessage
		if err == nil {
			err = dec.Decode(&v)
		}
		if err != nil {
			t.Fatalf("%q: %v", rec, err)
		}
		for _, name := range []string{"i", "f", "s", "b", "j"} {
			if !strings.EqualFold(name, k.(string)) {
				continue
			}
			unique = unique && out[name] == nil && folds[name] == nil
			if k == name {
				out[name] = v
			} else {
				folds[name] = v
			}
		}
	}
	for name, v := range folds {
		if out[name] == nil {
			out[name] = v
		}
	}
	return out, unique
}

func expect(t types.Type, raw json.RawMessage) (string, bool) {
	if raw == nil || string(raw) == "null" {
		return "NULL", true
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	var v any
	if dec.Decode(&v) != nil {
		return "", false
	}
	switch x := v.(type) {
	case json.Number:
		switch t.ID {
		case types.Int8:
			if n, err := x.Int64(); err == nil {
				return strconv.FormatInt(n, 10), true
			}
			// big.Rat would write a large exponent out.
			mant, exp, _ := strings.Cut(strings.ToLower(string(x)), "e")
			if !strings.ContainsAny(mant, "123456789") {
				return "0", true
			}
			if e, err := strconv.Atoi("0" + strings.TrimLeft(exp, "+-0")); err != nil || e > 1000 {
				return "", false
			}
			if r, ok := new(big.Rat).SetString(string(x)); ok && r.IsInt() && r.Num().IsInt64() {
				return r.Num().String(), true
			}
			return "", false
		case types.Float8:
			n, err := x.Float64()
			return string(types.FormatText(nil, t, types.Datum{F: n})), err == nil
		case types.Text:
			return string(raw), true
		case types.Bool:
			return "", false
		}
	case string:
		if t.ID == types.JSONB {
			break
		}
		d, err := types.ParseText(t, x)
		if err != nil {
			return "", false
		}
		return string(types.FormatText(nil, t, d)), true
	case bool:
		if t.ID == types.Bool {
			return string(raw[:1]), true
		}
	}
	switch t.ID {
	case types.Text:
		return string(raw), true
	case types.JSONB:
		return string(types.AppendJSONB(nil, v)), true
	}
	return "", false
}

func FuzzTimestamp(f *testing.F) {
	for _, s := range []string{"2015-07-15T00:00:00Z", "2000-02-29 23:59:59.123456+05:30", "0001-01-01 00:00:00", "9999-12-31T24:00:00", "1969-12-31 23:59:59.9", "1900-02-29T00:00:00", "2015-07-15T00:00:00.5-11:59"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, zoned := range []types.ID{types.Timestamp, types.Timestamptz} {
			got, ok := isoTimestamp([]byte(s), zoned == types.Timestamptz)
			if !ok {
				continue
			}
			if want, err := types.ParseText(types.Of(zoned), s); err != nil || want.I != got {
				t.Errorf("%s %q: %d, want %d (%v)", types.Of(zoned), s, got, want.I, err)
			}
		}
		if got, ok := isoDate([]byte(s)); ok {
			if want, err := types.ParseText(types.Of(types.Date), s[:10]); err != nil || want.I != got {
				t.Errorf("date %q: %d, want %d (%v)", s, got, want.I, err)
			}
		}
	})
}
