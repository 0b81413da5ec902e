package wire

import (
	"bytes"
	"encoding/hex"
	"errors"
	"testing"

	"github.com/jackc/pgx/v5/pgtype"

	"github.com/streamsql/streamsql/sql/sqlerr"
	"github.com/streamsql/streamsql/sql/types"
)

var (
	tBool, tInt2, tInt4, tInt8   = types.Of(types.Bool), types.Of(types.Int2), types.Of(types.Int4), types.Of(types.Int8)
	tFloat4, tFloat8, tNumeric   = types.Of(types.Float4), types.Of(types.Float8), types.Of(types.Numeric)
	tText, tBytea, tJSON, tJSONB = types.Of(types.Text), types.Of(types.Bytea), types.Of(types.JSON), types.Of(types.JSONB)
	tDate, tTime, tTimestamp     = types.Of(types.Date), types.Of(types.Time), types.Of(types.Timestamp)
	tTimestamptz, tInterval      = types.Of(types.Timestamptz), types.Of(types.Interval)
	tUUID, tOID, tChar           = types.Of(types.UUID), types.Of(types.OID), types.Of(types.Char)
)

// binaryForms pairs text forms with the bytes that PostgreSQL sends for them.
var binaryForms = []struct {
	t         types.Type
	text, hex string
}{
	{tBool, "t", "01"}, {tBool, "f", "00"},
	{tInt2, "-2", "fffe"}, {tInt4, "66051", "00010203"}, {tInt8, "-1", "ffffffffffffffff"},
	{tOID, "4294967295", "ffffffff"},
	{tFloat4, "1.5", "3fc00000"}, {tFloat8, "-0.1", "bfb999999999999a"}, {tFloat8, "Infinity", "7ff0000000000000"},
	{tNumeric, "2.50", "0002000000000002" + "00021388"},
	{tNumeric, "0", "0000000000000000"}, {tNumeric, "0.000", "0000000000000003"},
	{tNumeric, "-12345678.9", "0003000140000001" + "04d2162e2328"},
	{tNumeric, "10000", "0001000100000000" + "0001"},
	{tNumeric, "0.0001", "0001ffff00000004" + "0001"},
	{tNumeric, "0.00001", "0001fffe00000005" + "03e8"},
	{tNumeric, "100000000.00001", "0005000200000005" + "00010000000000" + "0003e8"},
	{tNumeric, "NaN", "00000000c0000000"}, {tNumeric, "Infinity", "00000000d0000000"}, {tNumeric, "-Infinity", "00000000f0000000"},
	{tText, "a ü", "6120c3bc"}, {tText, "", ""}, {types.Of(types.Varchar), "x", "78"}, {types.Of(types.Name), "n", "6e"},
	{tChar, "r", "72"}, {tChar, "", "00"},
	{tBytea, `\x00ff`, "00ff"},
	{tDate, "2000-01-01", "00000000"}, {tDate, "1999-12-31", "ffffffff"}, {tDate, "infinity", "7fffffff"}, {tDate, "-infinity", "80000000"},
	{tTime, "00:00:00.000001", "0000000000000001"}, {tTime, "24:00:00", "000000141dd76000"},
	{tTimestamp, "2000-01-01 00:00:01", "00000000000f4240"}, {tTimestamp, "-infinity", "8000000000000000"},
	{tTimestamptz, "1999-12-31 23:59:59.999999+00", "ffffffffffffffff"}, {tTimestamptz, "infinity", "7fffffffffffffff"},
	{tInterval, "1 mon 2 days 00:00:03", "00000000002dc6c0" + "00000002" + "00000001"},
	{tUUID, "00112233-4455-6677-8899-aabbccddeeff", "00112233445566778899aabbccddeeff"},
	{tJSON, `{"a":1}`, hex.EncodeToString([]byte(`{"a":1}`))},
	{tJSONB, `{"a": 1}`, "01" + hex.EncodeToString([]byte(`{"a": 1}`))},
	{types.ArrayOf(types.Int4), "{}", "00000000" + "00000000" + "00000017"},
	{types.ArrayOf(types.Int4), "{1,NULL,3}", "00000001" + "00000001" + "00000017" + "00000003" + "00000001" + "00000004" + "00000001" + "ffffffff" + "00000004" + "00000003"},
	{types.ArrayOf(types.Text), `{"",ab}`, "00000001" + "00000000" + "00000019" + "00000002" + "00000001" + "00000000" + "00000002" + "6162"},
}

func TestBinaryForms(t *testing.T) {
	pg := pgtype.NewMap()
	for _, c := range binaryForms {
		d, err := types.ParseText(c.t, c.text)
		if err != nil {
			t.Fatalf("%s %s: %v", c.t, c.text, err)
		}
		want, err := hex.DecodeString(c.hex)
		if err != nil {
			t.Fatalf("%s %s: %v", c.t, c.text, err)
		}
		got, err := AppendBinary([]byte("head"), c.t, d)
		if err != nil || !bytes.Equal(got, append([]byte("head"), want...)) {
			t.Errorf("%s %s is %x (%v), want %x", c.t, c.text, got, err, want)
		}
		back, err := DecodeBinary(c.t, want)
		if err != nil {
			t.Errorf("%s %s: %x: %v", c.t, c.text, want, err)
			continue
		}
		if got := types.FormatText(nil, c.t, back); string(got) != c.text {
			t.Errorf("%s: %x reads as %s, want %s", c.t, want, got, c.text)
		}
		// pgx reads the bytes as a value, and writes that value as the same bytes.
		pt, ok := pg.TypeForOID(c.t.OID())
		if !ok || c.t.ID == types.Char || c.t.ID == types.JSON || c.t.ID == types.JSONB {
			continue
		}
		v, err := pt.Codec.DecodeValue(pg, c.t.OID(), 1, want)
		if err != nil {
			t.Errorf("%s %s: pgx does not read %x: %v", c.t, c.text, want, err)
			continue
		}
		if _, inf := v.(pgtype.InfinityModifier); inf || c.text == "{}" {
			continue // pgx has no one form for these
		}
		if again, err := pg.Encode(c.t.OID(), 1, v, nil); err != nil || !bytes.Equal(again, want) && c.t.ID != types.Numeric {
			t.Errorf("%s %s: pgx writes %x (%v), want %x", c.t, c.text, again, err, want)
		}
	}
}

// TestBinaryNumeric goes through lengths and scales on both sides of the groups of four.
func TestBinaryNumeric(t *testing.T) {
	pg := pgtype.NewMap()
	digits := "9070050003000020000100000060000000123456789"
	for n := 1; n <= len(digits); n++ {
		for scale := 0; scale <= n+9; scale++ {
			text := digits[:n]
			for len(text) <= scale {
				text = "0" + text
			}
			text = text[:len(text)-scale] + "." + text[len(text)-scale:]
			if scale == 0 {
				text = text[:len(text)-1]
			}
			for _, text := range []string{text, "-" + text} {
				d, err := types.ParseText(tNumeric, text)
				if err != nil {
					t.Fatal(err)
				}
				b, err := AppendBinary(nil, tNumeric, d)
				if err != nil {
					t.Fatal(err)
				}
				back, err := DecodeBinary(tNumeric, b)
				if err != nil || string(types.FormatText(nil, tNumeric, back)) != text {
					t.Fatalf("%s: %x reads as %s (%v)", text, b, types.FormatText(nil, tNumeric, back), err)
				}
				var v, want pgtype.Numeric
				if err := pg.Scan(pgtype.NumericOID, 1, b, &v); err != nil {
					t.Fatalf("%s: %x: %v", text, b, err)
				}
				if err := want.Scan(text); err != nil {
					t.Fatal(err)
				}
				x, _ := v.Float64Value()
				y, _ := want.Float64Value()
				if x != y {
					t.Fatalf("%s: pgx reads %x as %v", text, b, x)
				}
				if len(b) > 8 && (be.Uint16(b[8:]) == 0 || be.Uint16(b[len(b)-2:]) == 0) {
					t.Fatalf("%s: %x has a group 0 at an end", text, b)
				}
			}
		}
	}
}

func TestBinaryRefused(t *testing.T) {
	intArray := types.ArrayOf(types.Int4)
	for _, c := range []struct {
		t         types.Type
		hex, code string
	}{
		{tBool, "", "22P03"}, {tInt4, "000102", "22P03"}, {tInt8, "00", "22P03"}, {tUUID, "00", "22P03"},
		{tNumeric, "00", "22P03"},
		{tNumeric, "0001000000000000", "22P03"},          // a group is missing
		{tNumeric, "0001000000000000" + "2710", "22P03"}, // a group of 10000
		{tNumeric, "0000000011110000", "22P03"},          // an unknown sign
		{tNumeric, "0000000000004000", "22P03"},          // a scale of 16384
		{tText, "c3", "22021"}, {tText, "6100", "22021"}, {tText, "eda080", "22021"},
		{tDate, "7ffffffe", "22008"}, {tTime, "ffffffffffffffff", "22008"}, {tTimestamp, "7ffffffffffffffe", "22008"},
		{tTimestamptz, "8000000000000001", "22008"},
		{tJSONB, "02" + "31", "22P03"}, {tJSONB, "01" + "7b", "22P02"}, {tJSON, "7b", "22P02"},
		{intArray, "00000001", "22P03"},
		{intArray, "00000000" + "00000000" + "00000019", "42804"},
		{intArray, "00000002" + "00000000" + "00000017", "0A000"},
		{intArray, "ffffffff" + "00000000" + "00000017", "22P03"},
		{intArray, "00000001" + "00000000" + "00000017" + "7fffffff" + "00000001", "22P03"},
		{intArray, "00000001" + "00000000" + "00000017" + "00000001" + "00000001" + "fffffffe", "22P03"},
		{intArray, "00000001" + "00000000" + "00000017" + "00000001" + "00000000" + "ffffffff", "0A000"},
		{intArray, "00000000" + "00000000" + "00000017" + "00", "22P03"},
		{types.Of(types.Record), "00000000", "42883"},
	} {
		b, err := hex.DecodeString(c.hex)
		if err != nil {
			t.Fatal(err)
		}
		d, err := DecodeBinary(c.t, b)
		var e *sqlerr.Error
		if !errors.As(err, &e) || e.Code != c.code {
			t.Errorf("%s %s: %+v, %v, want %s", c.t, c.hex, d, err, c.code)
		}
	}
}

func FuzzDecodeBinary(f *testing.F) {
	for _, c := range binaryForms {
		b, _ := hex.DecodeString(c.hex)
		f.Add(c.t.OID(), b)
	}
	f.Fuzz(func(t *testing.T, oid uint32, b []byte) {
		typ, ok := types.FromOID(oid)
		if !ok {
			return
		}
		d, err := DecodeBinary(typ, b)
		if err != nil {
			return
		}
		again, err := AppendBinary(nil, typ, d)
		if err != nil {
			t.Fatalf("%s: %x was read, but is not written: %v", typ, b, err)
		}
		back, err := DecodeBinary(typ, again)
		if err != nil {
			t.Fatalf("%s: %x: %v", typ, again, err)
		}
		if x, y := types.FormatText(nil, typ, d), types.FormatText(nil, typ, back); !bytes.Equal(x, y) {
			t.Fatalf("%s: %s became %s", typ, x, y)
		}
	})
}
