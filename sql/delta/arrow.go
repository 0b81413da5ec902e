package delta

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"strconv"
	"unsafe"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/ipc"
	"github.com/apache/arrow/go/v17/arrow/memory"

	"github.com/streamsql/streamsql/sql/sqlerr"
	"github.com/streamsql/streamsql/sql/types"
)

// Keys of the metadata of an Arrow field. The SQL type stands there by
// PostgreSQL's object identifier, which means the same to every version and to
// other programs; the Arrow type alone does not tell int4 from int8.
const (
	metaOID    = "streamsql.oid"
	metaMod    = "streamsql.mod"    // absent: no modifier
	metaWeight = "streamsql.weight" // marks the column of weights
)

// WeightField is the name of the column of weights in an Arrow record.
const WeightField = "weight"

// trailerSize is that of the checksum behind an IPC stream.
const trailerSize = 4

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// codeDamaged is PostgreSQL's data_corrupted.
const codeDamaged = "XX001"

// ArrowType returns the Arrow type that has the very memory of a Vec of type t,
// so that nothing is copied or rounded either way:
//
//	timestamp, timestamptz         timestamp[us], timestamp[us, UTC]
//	time                           time64[us]
//	other PhysInt, boolean too     int64
//	PhysFloat, real too            float64
//	text kinds, json, jsonb        utf8
//	other PhysBytes                binary: as package types lays them out
//
// A numeric is binary because Arrow's decimals have one scale for a column and
// neither NaN nor infinity. Infinite timestamps are the least and the greatest
// int64.
func ArrowType(t types.Type) arrow.DataType {
	switch t.ID {
	case types.Timestamp:
		return &arrow.TimestampType{Unit: arrow.Microsecond}
	case types.Timestamptz:
		return arrow.FixedWidthTypes.Timestamp_us.(*arrow.TimestampType)
	case types.Time:
		return arrow.FixedWidthTypes.Time64us
	case types.Text, types.Varchar, types.Bpchar, types.Name, types.JSON, types.JSONB:
		return arrow.BinaryTypes.String
	}
	switch t.Phys() {
	case types.PhysInt:
		return arrow.PrimitiveTypes.Int64
	case types.PhysFloat:
		return arrow.PrimitiveTypes.Float64
	}
	return arrow.BinaryTypes.Binary
}

func arrowField(name string, t types.Type) arrow.Field {
	keys, vals := []string{metaOID}, []string{strconv.FormatUint(uint64(t.OID()), 10)}
	if t.Mod != 0 {
		keys, vals = append(keys, metaMod), append(vals, strconv.Itoa(int(t.Mod)))
	}
	return arrow.Field{Name: name, Type: ArrowType(t), Nullable: true, Metadata: arrow.NewMetadata(keys, vals)}
}

// Arrow returns the column as an Arrow array over the same memory; only the
// bitmap of a column with NULLs is made anew.
func (v *Vec) Arrow() arrow.Array {
	var valid *memory.Buffer
	nulls := 0
	if v.Nulls != nil {
		valid, nulls = validity(v.Nulls, v.N)
	}
	bufs := []*memory.Buffer{valid, nil}
	switch v.T.Phys() {
	case types.PhysInt:
		bufs[1] = memory.NewBufferBytes(arrow.Int64Traits.CastToBytes(v.I[:v.N]))
	case types.PhysFloat:
		bufs[1] = memory.NewBufferBytes(arrow.Float64Traits.CastToBytes(v.F[:v.N]))
	default:
		bufs[1] = memory.NewBufferBytes(arrow.Int32Traits.CastToBytes(v.Off[:v.N+1]))
		bufs = append(bufs, memory.NewBufferBytes(v.Buf[:v.Off[v.N]]))
	}
	return array.MakeFromData(array.NewData(ArrowType(v.T), v.N, bufs, nil, nulls, 0))
}

// validity returns the complement of nulls, whose words are Arrow's bitmap as
// long as the machine is little-endian, and the number of NULLs.
func validity(nulls []uint64, n int) (*memory.Buffer, int) {
	words := make([]uint64, (n+63)/64)
	count := 0
	for i := range words {
		words[i] = ^nulls[i]
	}
	if r := uint(n) & 63; r != 0 {
		words[len(words)-1] &= 1<<r - 1
	}
	for i := range n {
		if words[i>>6]&(1<<(uint(i)&63)) == 0 {
			count++
		}
	}
	return memory.NewBufferBytes(arrow.Uint64Traits.CastToBytes(words)), count
}

// Record returns the batch as an Arrow record over the same memory; names are
// those of the columns. Weights, where the batch has them, are a last column
// of its own.
func (b *Batch) Record(names []string) arrow.Record {
	fields := make([]arrow.Field, len(b.Cols), len(b.Cols)+1)
	cols := make([]arrow.Array, len(b.Cols), len(b.Cols)+1)
	for i, v := range b.Cols {
		fields[i], cols[i] = arrowField(names[i], v.T), v.Arrow()
	}
	if b.W != nil {
		fields = append(fields, arrow.Field{Name: WeightField, Type: arrow.PrimitiveTypes.Int64,
			Metadata: arrow.NewMetadata([]string{metaWeight}, []string{"1"})})
		w := memory.NewBufferBytes(arrow.Int64Traits.CastToBytes(b.W[:b.N]))
		cols = append(cols, array.NewInt64Data(array.NewData(arrow.PrimitiveTypes.Int64, b.N, []*memory.Buffer{nil, w}, nil, 0, 0)))
	}
	return array.NewRecord(arrow.NewSchema(fields, nil), cols, int64(b.N))
}

// FromRecord returns an Arrow record as a batch over the same memory, and the
// names of its columns. It takes what Record makes, and columns without
// this package's metadata whose Arrow type is one of those in ArrowType. Other
// Arrow types are 0A000, memory that an array cannot have XX001.
func FromRecord(r arrow.Record) (names []string, b *Batch, err error) {
	b = &Batch{N: int(r.NumRows())}
	for i, f := range r.Schema().Fields() {
		if f.Metadata.FindKey(metaWeight) >= 0 {
			w, ok := r.Column(i).(*array.Int64)
			if !ok || w.NullN() > 0 || b.W != nil {
				return nil, nil, sqlerr.New(codeDamaged, "the column of weights of an Arrow record is damaged")
			}
			b.W = fixed[int64](w)
			continue
		}
		t, err := sqlType(f)
		if err != nil {
			return nil, nil, err
		}
		v, err := fromArrow(t, r.Column(i))
		if err != nil {
			return nil, nil, err
		}
		names, b.Cols = append(names, f.Name), append(b.Cols, v)
	}
	return names, b, nil
}

// sqlType is the SQL type of an Arrow field.
func sqlType(f arrow.Field) (types.Type, error) {
	if i := f.Metadata.FindKey(metaOID); i >= 0 {
		oid, err := strconv.ParseUint(f.Metadata.Values()[i], 10, 32)
		t, ok := types.FromOID(uint32(oid))
		if err != nil || !ok {
			return t, sqlerr.New(codeDamaged, "Arrow column %q has no SQL type", f.Name)
		}
		if i := f.Metadata.FindKey(metaMod); i >= 0 {
			mod, err := strconv.ParseInt(f.Metadata.Values()[i], 10, 32)
			if err != nil {
				return t, sqlerr.New(codeDamaged, "Arrow column %q has a bad type modifier", f.Name)
			}
			t.Mod = int32(mod)
		}
		if !arrow.TypeEqual(f.Type, ArrowType(t)) {
			return t, sqlerr.New(codeDamaged, "Arrow column %q of type %s holds %s", f.Name, t, f.Type)
		}
		return t, nil
	}
	switch f.Type.ID() {
	case arrow.INT64:
		return types.Of(types.Int8), nil
	case arrow.FLOAT64:
		return types.Of(types.Float8), nil
	case arrow.STRING:
		return types.Of(types.Text), nil
	case arrow.BINARY:
		return types.Of(types.Bytea), nil
	case arrow.TIME64:
		if f.Type.(*arrow.Time64Type).Unit == arrow.Microsecond {
			return types.Of(types.Time), nil
		}
	case arrow.TIMESTAMP:
		switch t := f.Type.(*arrow.TimestampType); {
		case t.Unit != arrow.Microsecond:
		case t.TimeZone == "":
			return types.Of(types.Timestamp), nil
		default: // a zone is for display alone: the value is in UTC
			return types.Of(types.Timestamptz), nil
		}
	}
	return types.Type{}, sqlerr.New(sqlerr.FeatureNotSupported, "Arrow column %q has type %s, which has no SQL type here", f.Name, f.Type)
}

// fromArrow is a as a column of type t, whose physical form it has.
func fromArrow(t types.Type, a arrow.Array) (*Vec, error) {
	v := &Vec{T: t, N: a.Len()}
	if a.NullN() > 0 {
		v.Nulls = make([]uint64, (v.N+63)/64)
		for i := range v.N {
			if a.IsNull(i) {
				v.setNull(i)
			}
		}
	}
	switch t.Phys() {
	case types.PhysInt:
		v.I = fixed[int64](a)
	case types.PhysFloat:
		v.F = fixed[float64](a)
	default:
		d := a.Data()
		v.Off = []int32{0}
		if v.N > 0 && d.Buffers()[1] != nil {
			v.Off = arrow.Int32Traits.CastFromBytes(d.Buffers()[1].Bytes())[d.Offset() : d.Offset()+v.N+1]
		}
		if d.Buffers()[2] != nil {
			v.Buf = d.Buffers()[2].Bytes()
		}
		if err := v.rebase(); err != nil {
			return nil, err
		}
	}
	return v, nil
}

// fixed is the memory of an array of 64-bit values.
func fixed[T int64 | float64](a arrow.Array) []T {
	d := a.Data()
	if a.Len() == 0 || d.Buffers()[1] == nil {
		return make([]T, a.Len())
	}
	b := d.Buffers()[1].Bytes()
	return unsafe.Slice((*T)(unsafe.Pointer(&b[0])), len(b)/8)[d.Offset() : d.Offset()+a.Len()]
}

// rebase checks the offsets and makes them begin at 0.
func (v *Vec) rebase() error {
	first, last := v.Off[0], v.Off[len(v.Off)-1]
	if len(v.Off) != v.N+1 || first < 0 || int(last) > len(v.Buf) {
		return sqlerr.New(codeDamaged, "the offsets of an Arrow column are damaged")
	}
	for i := range v.N {
		if v.Off[i] > v.Off[i+1] {
			return sqlerr.New(codeDamaged, "the offsets of an Arrow column are damaged")
		}
	}
	v.Buf = v.Buf[first:last:last]
	if first != 0 {
		off := make([]int32, len(v.Off))
		for i, o := range v.Off {
			off[i] = o - first
		}
		v.Off = off
	}
	return nil
}

// appender is an io.Writer over a slice.
type appender struct{ b []byte }

func (a *appender) Write(p []byte) (int, error) {
	a.b = append(a.b, p...)
	return len(p), nil
}

// AppendIPC appends the batch, with its types and weights, as an Arrow IPC
// stream and, behind its end, where other programs do not look, the CRC-32C of
// it: Arrow's reader trusts every length that it reads, a damaged one could
// exhaust the memory. A type without an object identifier is 0A000.
func AppendIPC(dst []byte, names []string, b *Batch) ([]byte, error) {
	for i, v := range b.Cols {
		if t, ok := types.FromOID(v.T.OID()); !ok || t != types.Bare(v.T) {
			return nil, sqlerr.New(sqlerr.FeatureNotSupported, "column %q of type %s cannot be written as Arrow", names[i], v.T)
		}
	}
	r := b.Record(names)
	defer r.Release()
	start, out := len(dst), &appender{dst}
	w := ipc.NewWriter(out, ipc.WithSchema(r.Schema()))
	if err := w.Write(r); err != nil {
		return nil, fmt.Errorf("delta: writing Arrow: %w", err)
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("delta: writing Arrow: %w", err)
	}
	return binary.LittleEndian.AppendUint32(out.b, crc32.Checksum(out.b[start:], castagnoli)), nil
}

// DecodeIPC reads what AppendIPC wrote. The batch does not alias src. Anything else is
// XX001.
func DecodeIPC(src []byte) (names []string, b *Batch, err error) {
	defer func() { // Arrow's reader panics on what it does not expect
		if p := recover(); p != nil {
			names, b, err = nil, nil, sqlerr.New(codeDamaged, "a batch in Arrow's format is damaged: %v", p)
		}
	}()
	end := len(src) - trailerSize
	if end < 0 || binary.LittleEndian.Uint32(src[end:]) != crc32.Checksum(src[:end], castagnoli) {
		return nil, nil, sqlerr.New(codeDamaged, "a batch in Arrow's format is damaged: bad checksum")
	}
	r, err := ipc.NewReader(bytes.NewReader(src[:end]))
	if err != nil {
		return nil, nil, sqlerr.New(codeDamaged, "a batch in Arrow's format is damaged: %v", err)
	}
	defer r.Release()
	if !r.Next() {
		return nil, nil, sqlerr.New(codeDamaged, "a batch in Arrow's format is damaged: it has no record (%v)", r.Err())
	}
	// The memory is the collector's: it outlives the reader.
	names, b, err = FromRecord(r.Record())
	if err != nil {
		return nil, nil, err
	}
	if r.Next() || r.Err() != nil {
		return nil, nil, sqlerr.New(codeDamaged, "a batch in Arrow's format is damaged: more than one record (%v)", r.Err())
	}
	return names, b, nil
}
