package kafka

import (
	"math"
	"slices"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/streamsql/streamsql/connector"
	"github.com/streamsql/streamsql/connector/json"
	"github.com/streamsql/streamsql/sql/delta"
	"github.com/streamsql/streamsql/sql/sqlerr"
	"github.com/streamsql/streamsql/sql/types"
)

const (
	// runBytes ends a run of records before its batch becomes unwieldy.
	runBytes = 16 << 20
	// deadBytes is what a dead letter keeps of a record that is too large.
	deadBytes = 64 << 10
)

// decoder makes rows of records. It is used by one goroutine.
type decoder struct {
	json  *json.Decoder
	metas []meta
	vals  []types.Datum
	most  int

	offsets []int64 // of the rows of the run
}

func newDecoder(cols []connector.Column, o *options) (*decoder, error) {
	d := &decoder{most: o.maxRecord}
	for i, c := range cols {
		if c.Meta == "" {
			continue
		}
		m, err := metaOf(i, c)
		if err != nil {
			return nil, err
		}
		d.metas = append(d.metas, m)
	}
	d.vals = make([]types.Datum, len(d.metas))
	var err error
	d.json, err = json.New(cols, o.json)
	return d, err
}

// run decodes consecutive records of one partition.
// next is the offset behind them. offsets are as in connector.Fetch.
func (d *decoder) run(rs []*kgo.Record, next int64) (b *delta.Batch, offsets []int64, dead []connector.DeadLetter) {
	d.offsets = d.offsets[:0]
	for _, r := range rs {
		if r.Attrs.IsControl() {
			continue
		}
		if err := d.record(r); err != nil {
			keep := r.Value
			if len(keep) > d.most && len(keep) > deadBytes {
				keep = keep[:deadBytes:deadBytes]
			}
			dead = append(dead, connector.DeadLetter{
				Offset: r.Offset, Bytes: append([]byte(nil), keep...), Reason: err.Error(), Time: r.Timestamp,
			})
			continue
		}
		d.offsets = append(d.offsets, r.Offset)
	}
	n := d.json.Len()
	if n == 0 {
		return nil, nil, dead
	}
	if d.offsets[0] != next-int64(n) { // compaction, marks of transactions, dead letters
		offsets = slices.Clone(d.offsets)
	}
	return &delta.Batch{N: n, Cols: d.json.Take()}, offsets, dead
}

func (d *decoder) record(r *kgo.Record) error {
	switch {
	case r.Value == nil:
		return sqlerr.New(sqlerr.InvalidText, "the record has no value (a tombstone)")
	case len(r.Value) > d.most && len(r.Value) > deadBytes:
		return sqlerr.New(sqlerr.TooComplex, "the record has %d bytes, more than scan.max.record.bytes (%d); the first %d are kept",
			len(r.Value), d.most, deadBytes)
	case len(r.Value) > d.most:
		return sqlerr.New(sqlerr.TooComplex, "the record has %d bytes, more than scan.max.record.bytes (%d)", len(r.Value), d.most)
	}
	for i := range d.metas {
		v, err := d.metas[i].value(r)
		if err != nil {
			return err
		}
		d.vals[i] = v
		if v := d.json.Col(d.metas[i].col); len(v.Buf)+len(d.vals[i].S) > math.MaxInt32 {
			return sqlerr.New(sqlerr.TooComplex, "a batch holds no more than 2 GB of a column")
		}
	}
	if err := d.json.Decode(r.Value); err != nil {
		return err
	}
	for i := range d.metas {
		appendMeta(d.json.Col(d.metas[i].col), d.vals[i])
	}
	return nil
}
