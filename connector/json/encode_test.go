package json

import (
	"encoding/json"
	"testing"

	"github.com/streamsql/streamsql/sql/delta"
	"github.com/streamsql/streamsql/sql/types"
)

func TestAppendRow(t *testing.T) {
	var names []string
	var cols []*delta.Vec
	add := func(name string, ty types.Type, in string) {
		v := delta.NewVec(ty, 1)
		if d, err := types.ParseText(ty, in); err != nil {
			t.Fatal(err)
		} else {
			v.AppendDatum(d)
		}
		names, cols = append(names, name), append(cols, v)
	}
	add(`a "b"`, types.Of(types.Int8), "-5")
	add("bool", types.Of(types.Bool), "t")
	add("f", types.Of(types.Float8), "1.5e300")
	add("nan", types.Of(types.Float8), "NaN")
	add("n", types.Of(types.Numeric), "1.50")
	add("inf", types.Of(types.Numeric), "-Infinity")
	add("s", types.Of(types.Text), "a\"\\\n\x02é")
	add("ts", types.Of(types.Timestamp), "2015-07-15 00:00:00.5")
	add("tz", types.Of(types.Timestamptz), "2015-07-15 02:00:00+02")
	add("d", types.Of(types.Date), "2015-07-15")
	add("iv", types.Of(types.Interval), "1 day")
	add("by", types.Of(types.Bytea), `\x01`)
	add("js", types.Of(types.JSON), "{\"a\"\n: 1}")
	add("ar", types.ArrayOf(types.Text), `{x,NULL,"y\"z"}`)
	add("nil", types.Of(types.Text), "")
	cols[len(cols)-1] = delta.NewVec(types.Of(types.Text), 1)
	cols[len(cols)-1].AppendNull()
	const want = `{"a \"b\"":-5,"bool":true,"f":1.5e+300,"nan":"NaN","n":1.50,"inf":"-Infinity",` +
		`"s":"a\"\\\n\u0002é","ts":"2015-07-15T00:00:00.5","tz":"2015-07-15T00:00:00+00:00","d":"2015-07-15",` +
		`"iv":"1 day","by":"\\x01","js":{"a" : 1},"ar":["x",null,"y\"z"],"nil":null}`
	got := AppendRow(nil, Keys(names), cols, 0)
	if string(got) != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if !json.Valid(got) {
		t.Error("not valid")
	}
}
