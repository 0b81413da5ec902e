package kafka

import (
	stdjson "encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/streamsql/streamsql/connector"
	"github.com/streamsql/streamsql/sql/types"
)

func TestMetaValues(t *testing.T) {
	r := &kgo.Record{
		Key: []byte("42"), Timestamp: time.UnixMilli(1500), Partition: 3, Offset: 77,
		Headers: []kgo.RecordHeader{{Key: "a", Value: []byte("old")}, {Key: "b", Value: []byte{0xff, 1}}, {Key: "n"},
			{Key: "a", Value: []byte("n\"ew")}},
	}
	for _, c := range []struct {
		meta string
		typ  types.ID
		want string
	}{
		{"key", types.Text, "42"},
		{"key", types.Bytea, `\x3432`},
		{"key", types.Int8, "42"},
		{"timestamp", types.Timestamptz, "1970-01-01 00:00:01.5+00"},
		{"timestamp", types.Timestamp, "1970-01-01 00:00:01.5"},
		{"timestamp", types.Int8, "1500"},
		{"partition", types.Int4, "3"},
		{"offset", types.Int8, "77"},
		{"header:a", types.Text, `n"ew`},
		{"header:b", types.Bytea, `\xff01`},
		{"header:b", types.Text, "error: no UTF-8"},
		{"header:a", types.Int4, "error: invalid input syntax"},
		{"header:n", types.Text, "NULL"},
		{"header:none", types.Text, "NULL"},
		{"headers", types.JSONB, `[{"key": "a", "value": "old"}, {"key": "b", "value": "\\xff01"}, ` +
			`{"key": "n", "value": null}, {"key": "a", "value": "n\"ew"}]`},
	} {
		m, err := metaOf(0, connector.Column{Name: "c", Type: types.Of(c.typ), Meta: c.meta})
		if err != nil {
			t.Errorf("%s as %v: %v", c.meta, c.typ, err)
			continue
		}
		d, err := m.value(r)
		got := "NULL"
		switch {
		case err != nil:
			got = "error: " + err.Error()
			if strings.HasPrefix(c.want, "error: ") && strings.Contains(got, c.want[7:]) {
				continue
			}
		case !d.Null:
			got = string(types.FormatText(nil, m.typ, d))
		}
		if got != c.want {
			t.Errorf("%s as %s: %s, not %s", c.meta, m.typ, got, c.want)
		}
	}
	// The headers are in jsonb's normal form already.
	var v any
	if err := stdjson.Unmarshal(headers(r.Headers), &v); err != nil {
		t.Fatal(err)
	}
	if norm := types.AppendJSONB(nil, v); string(norm) != string(headers(r.Headers)) {
		t.Errorf("headers are %s, in normal form %s", headers(r.Headers), norm)
	}
}

func TestMetaTypes(t *testing.T) {
	for _, c := range []struct {
		meta string
		typ  types.Type
	}{
		{"key", types.ArrayOf(types.Text)}, {"timestamp", types.Of(types.Text)}, {"timestamp", types.Type{ID: types.Timestamptz, Mod: 1}},
		{"partition", types.Of(types.Int2)}, {"offset", types.Of(types.Int4)}, {"headers", types.Of(types.Bytea)}, {"topic", types.Of(types.Text)},
	} {
		if _, err := metaOf(0, connector.Column{Name: "c", Type: c.typ, Meta: c.meta}); err == nil {
			t.Errorf("%s is taken as %s", c.meta, c.typ)
		}
	}
}

func TestMetaTimestampRange(t *testing.T) {
	m := meta{kind: metaTimestamp, typ: types.Of(types.Timestamptz)}
	for ms, want := range map[int64]string{-1: "null", 0: "ok", 1 << 60: "error", -1 << 60: "error", types.MaxTimestamp / 1000: "ok"} {
		d, err := m.value(&kgo.Record{Timestamp: time.UnixMilli(ms)})
		got := "ok"
		switch {
		case err != nil:
			got = "error"
		case d.Null:
			got = "null"
		}
		if got != want {
			t.Errorf("%d ms: %s, not %s", ms, got, want)
		}
	}
}
