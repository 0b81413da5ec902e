package json

import (
	"fmt"
	"testing"

	"github.com/streamsql/streamsql/sql/types"
)

var bidColumns = []struct {
	name string
	t    types.Type
}{
	{"auction", types.Of(types.Int8)}, {"bidder", types.Of(types.Int8)}, {"price", types.Of(types.Int8)},
	{"channel", types.Of(types.Varchar)}, {"url", types.Of(types.Varchar)},
	{"date_time", types.Type{ID: types.Timestamp, Mod: 4}}, {"extra", types.Of(types.Varchar)},
}

func bidDecoder(b testing.TB) *Decoder {
	d := mustNew(b, Options{})
	for _, c := range bidColumns {
		d.fields = append(d.fields, field{name: c.name, typ: c.t})
		d.byName[c.name] = len(d.fields) - 1
	}
	d.Take()
	return d
}

func bid(i int) []byte {
	return fmt.Appendf(nil, `{"auction":%d,"bidder":%d,"price":%d,"channel":"Google","url":"https://www.nexmark.com/abcde/fghij/klmno/item.htm?query=1","date_time":"2015-07-15 00:00:%02d.%03d","extra":"pad padding pad"}`,
		1000+i, 2000+i, i*37, i%60, i%1000)
}

func BenchmarkDecode(b *testing.B) {
	d := bidDecoder(b)
	recs, bytes := make([][]byte, 4096), 0
	for i := range recs {
		recs[i] = bid(i)
		bytes += len(recs[i])
	}
	b.SetBytes(int64(bytes / len(recs)))
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		if err := d.Decode(recs[i]); err != nil {
			b.Fatal(err)
		}
		if i++; i == len(recs) {
			d.Take()
			i = 0
		}
	}
}

// BenchmarkNested reads a record whose bulk is one jsonb column.
func BenchmarkNested(b *testing.B) {
	d := mustNew(b, Options{}, col("id", types.Of(types.Int8)), col("doc", types.Of(types.JSONB)))
	rec := []byte(`{"id":1,"doc":{"user":{"name":"Ann","tags":["a","b"],"age":33},"items":[{"sku":"x1","price":12.50,"qty":2},{"sku":"x2","price":9.99,"qty":1}],"at":"2015-07-15T00:00:00Z","ok":true}}`)
	b.SetBytes(int64(len(rec)))
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if err := d.Decode(rec); err != nil {
			b.Fatal(err)
		}
		if i%4096 == 4095 {
			d.Take()
		}
	}
}

func TestNoAllocationPerRow(t *testing.T) {
	d := bidDecoder(t)
	recs := make([][]byte, 4096)
	for i := range recs {
		recs[i] = bid(i)
	}
	round := func() {
		for _, r := range recs {
			if err := d.Decode(r); err != nil {
				t.Fatal(err)
			}
		}
		d.Take()
	}
	round()
	if n := testing.AllocsPerRun(3, round); n > 100 {
		t.Errorf("%v allocations for %d rows", n, len(recs))
	}
}
