package kafka

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/streamsql/streamsql/connector"
	"github.com/streamsql/streamsql/connector/kafka/broker"
	"github.com/streamsql/streamsql/sql/sqlerr"
	"github.com/streamsql/streamsql/sql/types"
)

func TestStartModes(t *testing.T) {
	for _, c := range []struct {
		opts  []string
		start connector.Positions
		rows  []int64
	}{
		{nil, connector.Positions{0: 0, 1: 0}, ints(0, 11)},
		{[]string{"scan.startup.mode", "earliest-offset"}, connector.Positions{0: 0, 1: 0}, ints(0, 11)},
		{[]string{"scan.startup.mode", "latest"}, connector.Positions{0: 10, 1: 0}, ints(10, 11)},
		{[]string{"scan.startup.timestamp.millis", "1007"}, connector.Positions{0: 7, 1: 0}, ints(7, 11)},
		{[]string{"scan.startup.mode", "timestamp", "scan.startup.timestamp-millis", "5000"}, connector.Positions{0: 10, 1: 0}, ints(10, 11)},
		{[]string{"scan.startup.mode", "specific-offsets", "scan.startup.specific-offsets", "partition:0,offset:4"},
			connector.Positions{0: 4, 1: 0}, ints(4, 11)},
	} {
		t.Run(strings.Join(c.opts, ","), func(t *testing.T) {
			b := startBroker(t, broker.Topic{Name: "t", Partitions: 2})
			p := producer(t, b)
			for i := range 10 {
				p.SendRecord(&kgo.Record{Topic: "t", Timestamp: time.UnixMilli(1000 + int64(i)), Value: fmt.Appendf(nil, `{"n":%d}`, i)})
				if err := p.Flush(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			s := source(t, config(b, rowCols, c.opts...))
			start, err := s.Start(t.Context())
			if err != nil || !maps.Equal(start, c.start) {
				t.Errorf("the start is %v (%v), not %v", start, err, c.start)
			}
			g := open(t, s, nil, nil)
			// The positions are known before there is a record.
			g.until("the starts", func() bool { return len(g.next) == 2 && (g.atEnd[0] || len(c.rows) > 1) })
			if slices.Equal(c.rows, ints(10, 11)) && g.next[0] != 10 {
				t.Errorf("reading starts at %v", g.next)
			}
			send(t, p, 0, 10, 11)
			g.rowsUntil(len(c.rows))
			g.want(map[int32][]int64{0: c.rows})
		})
	}
}

func TestMetadataColumns(t *testing.T) {
	b := startBroker(t, broker.Topic{Name: "t", Partitions: 2})
	p := producer(t, b)
	cols := append(slices.Clone(rowCols),
		connector.Column{Name: "k", Type: types.Of(types.Text), Meta: "key"},
		connector.Column{Name: "at", Type: types.Of(types.Timestamptz), Meta: "timestamp"},
		connector.Column{Name: "h", Type: types.Of(types.Text), Meta: "header:h"},
		connector.Column{Name: "hs", Type: types.Of(types.JSONB), Meta: "headers"},
	)
	p.SendRecord(&kgo.Record{Topic: "t", Partition: 1, Key: []byte("k1"), Value: []byte(`{"n":1,"k":"the field"}`), Timestamp: time.UnixMilli(1500),
		Headers: []kgo.RecordHeader{{Key: "h", Value: []byte("x")}}})
	p.SendRecord(&kgo.Record{Topic: "t", Partition: 1, Value: []byte(`{"n":2}`), Timestamp: time.UnixMilli(2500)})
	p.SendRecord(&kgo.Record{Topic: "t", Partition: 1, Key: []byte{0xff}, Value: []byte(`{"n":3}`)})
	if err := p.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	g := open(t, source(t, config(b, cols)), nil, nil)
	var lines []string
	for len(lines)+len(g.dead) < 3 {
		fs, err := g.r.Fetch(t.Context(), 100)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range fs {
			g.take(f)
			for i := 0; f.Batch != nil && i < f.Batch.N; i++ {
				var l []string
				for _, v := range f.Batch.Cols {
					s := "NULL"
					if !v.Null(i) {
						s = string(types.FormatText(nil, v.T, v.Datum(i)))
					}
					l = append(l, s)
				}
				lines = append(lines, strings.Join(l, "|"))
			}
		}
	}
	want := []string{
		`1|1|0|k1|1970-01-01 00:00:01.5+00|x|[{"key": "h", "value": "x"}]`,
		`2|1|1|NULL|1970-01-01 00:00:02.5+00|NULL|[]`,
	}
	if !slices.Equal(lines, want) {
		t.Errorf("rows\n%s\nwanted\n%s", strings.Join(lines, "\n"), strings.Join(want, "\n"))
	}
	if len(g.dead) != 1 || g.dead[0].Offset != 2 || !strings.Contains(g.dead[0].Reason, `"k"`) {
		t.Errorf("dead letters: %+v", g.dead)
	}
}

func TestDeadLetters(t *testing.T) {
	b := startBroker(t, broker.Topic{Name: "t", Partitions: 1})
	p := producer(t, b)
	values := []string{`{"n":0}`, `{"n":`, `{"n":2}`, `{"n":"x"}`, `{"other":1}`, `{"n":5,"more":1}`, strings.Repeat(" ", 200_000) + `{"n":6}`, `{"n":8}`}
	for i, v := range values {
		p.SendRecord(&kgo.Record{Topic: "t", Value: []byte(v), Timestamp: time.UnixMilli(int64(1000 + i))})
		if i == 6 {
			p.SendRecord(&kgo.Record{Topic: "t"})
		}
	}
	if err := p.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		opts []string
		dead []int64
		rows int
	}{
		{nil, []int64{1, 3, 7}, 6},
		{[]string{"on_missing_field", "error", "on_unknown_field", "error"}, []int64{1, 3, 4, 5, 7}, 4},
		{[]string{"scan.max.record.bytes", "100000"}, []int64{1, 3, 6, 7}, 5},
	} {
		g := open(t, source(t, config(b, rowCols, c.opts...)), nil, nil)
		g.until("all records", func() bool { return g.next[0] == 9 })
		var at []int64
		for _, d := range g.dead {
			at = append(at, d.Offset)
			if d.Reason == "" {
				t.Errorf("%v: no reason at %d", c.opts, d.Offset)
			}
		}
		if !slices.Equal(at, c.dead) || g.count() != c.rows {
			t.Errorf("%v: dead letters at %v, not %v; %d rows, not %d", c.opts, at, c.dead, g.count(), c.rows)
		}
		if d := g.dead[0]; string(d.Bytes) != values[1] || !d.Time.Equal(time.UnixMilli(1001)) {
			t.Errorf("%v: the first dead letter is %q of %v", c.opts, d.Bytes, d.Time)
		}
		if len(c.opts) == 2 && (len(g.dead[2].Bytes) != deadBytes || !strings.Contains(g.dead[2].Reason, "200007 bytes")) {
			t.Errorf("the large record's dead letter has %d bytes and says %s", len(g.dead[2].Bytes), g.dead[2].Reason)
		}
	}
}

func TestCreate(t *testing.T) {
	b := startBroker(t, broker.Topic{Name: "t", Partitions: 1})
	b2 := startBroker(t)
	b2.Close()
	for name, c := range map[string]struct {
		cfg        connector.Config
		code, text string
	}{
		"unknown topic":  {config(b, rowCols, "topic", "nope"), sqlerr.UndefinedObject, `no topic "nope"`},
		"no broker":      {config(b2, rowCols), codeConnection, "connection refused"},
		"upsert":         {connector.Config{Options: config(b, nil).Options, Format: "upsert"}, sqlerr.FeatureNotSupported, "upsert"},
		"avro":           {connector.Config{Options: config(b, nil).Options, Encode: "avro"}, sqlerr.FeatureNotSupported, "avro"},
		"unknown option": {config(b, rowCols, "scan.startup.mod", "latest"), sqlerr.InvalidParameter, "scan.startup.mod"},
		"bad meta":       {config(b, []connector.Column{{Name: "x", Type: types.Of(types.Text), Meta: "offset"}}), sqlerr.DatatypeMismatch, `"x"`},
	} {
		begin := time.Now()
		_, err := connector.NewSource(c.cfg)
		e := sqlerr.From(err)
		if err == nil || e.Code != c.code || !strings.Contains(e.Message, c.text) {
			t.Errorf("%s: %v", name, err)
		}
		if name == "unknown topic" && e.Hint == "" {
			t.Error("an unknown topic comes without a hint")
		}
		if d := time.Since(begin); d > 5*time.Second {
			t.Errorf("%s took %v", name, d)
		}
	}
	// A restart does not depend on the broker.
	s := source(t, config(b2, rowCols, "check.topic", "false"))
	g := open(t, s, connector.Positions{0: 1}, nil)
	ctx := t.Context()
	go g.r.Fetch(ctx, 1)
	for range 100 {
		if g.r.Trouble() != nil {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Error("no trouble without a broker")
}
