package kafka

import (
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/streamsql/streamsql/connector"
	"github.com/streamsql/streamsql/connector/kafka/broker"
	"github.com/streamsql/streamsql/sql/delta"
	"github.com/streamsql/streamsql/sql/types"
)

// BenchmarkRead reads bids of about 190 bytes through the embedded broker into
// columns; one operation is one record, and the broker's work is part of it.
func BenchmarkRead(b *testing.B) {
	cols := []connector.Column{
		{Name: "auction", Type: types.Of(types.Int8)}, {Name: "bidder", Type: types.Of(types.Int8)},
		{Name: "price", Type: types.Of(types.Int8)}, {Name: "channel", Type: types.Of(types.Text)},
		{Name: "url", Type: types.Of(types.Text)}, {Name: "dateTime", Type: types.Of(types.Timestamp)},
		{Name: "extra", Type: types.Of(types.Text)},
	}
	withMeta := append(cols[:len(cols):len(cols)], connector.Column{Name: "at", Type: types.Of(types.Timestamptz), Meta: "timestamp"},
		connector.Column{Name: "off", Type: types.Of(types.Int8), Meta: "offset"})
	for _, c := range []struct {
		name  string
		parts int
		codec kgo.CompressionCodec
		cols  []connector.Column
	}{
		{"1 partition", 1, kgo.NoCompression(), cols},
		{"4 partitions", 4, kgo.NoCompression(), cols},
		{"4 partitions, lz4", 4, kgo.Lz4Compression(), cols},
		{"4 partitions, metadata", 4, kgo.NoCompression(), withMeta},
		{"4 partitions, two columns", 4, kgo.NoCompression(), cols[:2]},
	} {
		b.Run(c.name, func(b *testing.B) {
			const chunk = 500_000
			br := startBroker(b, broker.Topic{Name: "t", Partitions: c.parts})
			p := producer(b, br, kgo.ProducerBatchCompression(c.codec))
			for i := range chunk {
				p.Send("t", int32(i%c.parts), nil, fmt.Appendf(nil, `{"auction":%d,"bidder":%d,"price":%d,"channel":"channel-%d",`+
					`"url":"https://www.nexmark.com/abc_%d/item.htm?query=1","dateTime":"2015-07-15 00:00:%02d.%03d","extra":"%040d"}`,
					1000+i%500, 2000+i%1000, 100+i, i%10000, i, i/1000%60, i%1000, i))
			}
			if err := p.Flush(b.Context()); err != nil {
				b.Fatal(err)
			}
			s := source(b, config(br, c.cols))
			end, err := s.End(b.Context())
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			b.ResetTimer()
			for left := b.N; left > 0; {
				until := end
				if left < chunk {
					until = connector.Positions{}
					for part := range end {
						until[part] = int64((left-1)/c.parts + 1)
					}
				}
				r, err := s.Open(b.Context(), nil, until)
				if err != nil {
					b.Fatal(err)
				}
				rows := 0
				for {
					fs, err := r.Fetch(b.Context(), delta.MaxRows)
					if errors.Is(err, io.EOF) {
						break
					}
					if err != nil {
						b.Fatal(err)
					}
					for _, f := range fs {
						if f.Batch != nil {
							rows += f.Batch.N
						}
					}
				}
				r.Close()
				if rows < min(left, chunk) {
					b.Fatalf("%d rows instead of %d", rows, min(left, chunk))
				}
				left -= rows
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "records/s")
		})
	}
}
