package delta

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"math/rand"
	"reflect"
	"testing"
	"unsafe"

	"github.com/apache/arrow/go/v17/arrow"

	"github.com/streamsql/streamsql/sql/sqlerr"
	"github.com/streamsql/streamsql/sql/types"
)

// everyType lists each SQL type that can be a column's, arrays and modifiers
// included.
func everyType() []types.Type {
	var ts []types.Type
	for id := types.Unknown; id <= types.Void; id++ {
		if id == types.Array {
			continue
		}
		ts = append(ts, types.Of(id))
		if a := types.ArrayOf(id); a.OID() != 0 {
			ts = append(ts, a)
		}
	}
	for _, id := range []types.ID{types.Numeric, types.Varchar, types.Bpchar, types.Timestamp, types.Timestamptz, types.Time} {
		ts = append(ts, types.Type{ID: id, Mod: 7<<16 | 4})
	}
	return ts
}

func randomVec(rng *rand.Rand, t types.Type, n int, nulls bool) *Vec {
	v := NewVec(t, 0)
	for range n {
		switch k := rng.Intn(6); {
		case nulls && k == 0:
			v.AppendNull()
		case t.Phys() == types.PhysInt:
			v.AppendInt([]int64{rng.Int63(), -rng.Int63(), math.MaxInt64, math.MinInt64, 0, 1}[k])
		case t.Phys() == types.PhysFloat:
			v.AppendFloat([]float64{rng.NormFloat64(), math.Inf(1), math.NaN(), math.Copysign(0, -1), 5e-324, 1}[k])
		default:
			b := make([]byte, rng.Intn(20))
			rng.Read(b)
			v.AppendBytes(b)
		}
	}
	return v
}

// randomBatch has a column of every type, with n rows.
func randomBatch(rng *rand.Rand, n int, weights, nulls bool) ([]string, *Batch) {
	b := &Batch{N: n}
	var names []string
	for i, t := range everyType() {
		names = append(names, fmt.Sprintf("c%d %s", i, t))
		b.Cols = append(b.Cols, randomVec(rng, t, n, nulls))
	}
	if weights {
		b.W = make([]int64, n)
		for i := range b.W {
			b.W[i] = rng.Int63n(5) - 2
		}
	}
	return names, b
}

func sameBatch(t *testing.T, got, want *Batch) {
	t.Helper()
	if got.N != want.N || len(got.Cols) != len(want.Cols) || (got.W == nil) != (want.W == nil) {
		t.Fatalf("%d rows of %d columns, want %d of %d", got.N, len(got.Cols), want.N, len(want.Cols))
	}
	for i := range want.N {
		if got.Weight(i) != want.Weight(i) {
			t.Fatalf("weight of row %d: %d, want %d", i, got.Weight(i), want.Weight(i))
		}
	}
	for c, w := range want.Cols {
		g := got.Cols[c]
		if g.T != w.T || g.N != w.N {
			t.Fatalf("column %d: %d of %v, want %d of %v", c, g.N, g.T, w.N, w.T)
		}
		for i := range w.N {
			a, b := g.Datum(i), w.Datum(i)
			if math.Float64bits(a.F) != math.Float64bits(b.F) {
				t.Fatalf("column %d (%v), row %d: %v, want %v", c, w.T, i, a.F, b.F)
			}
			a.F, b.F = 0, 0
			if !reflect.DeepEqual(a, b) {
				t.Fatalf("column %d (%v), row %d: %+v, want %+v", c, w.T, i, a, b)
			}
		}
	}
}

func TestArrowRoundTrip(t *testing.T) {
	rng := rand.New(rand.NewSource(1))
	for _, n := range []int{0, 1, 63, 64, 65, 300} {
		for k := range 4 {
			names, b := randomBatch(rng, n, k&1 == 0, k&2 == 0)
			enc, err := AppendIPC([]byte("before"), names, b)
			if err != nil {
				t.Fatal(err)
			}
			if string(enc[:6]) != "before" {
				t.Fatal("dst was not kept")
			}
			gotNames, got, err := DecodeIPC(enc[6:])
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(gotNames, names) {
				t.Fatalf("%q, want %q", gotNames, names)
			}
			sameBatch(t, got, b)

			r := b.Record(names)
			_, got, err = FromRecord(r)
			if err != nil {
				t.Fatal(err)
			}
			sameBatch(t, got, b)
			if n > 2 { // a slice of a record has offsets
				_, got, err = FromRecord(r.NewSlice(1, int64(n-1)))
				if err != nil {
					t.Fatal(err)
				}
				sel := make([]int32, n-2)
				for i := range sel {
					sel[i] = int32(i + 1)
				}
				sameBatch(t, got, b.Gather(sel))
			}
		}
	}
	enc, err := AppendIPC(nil, nil, &Batch{N: 5})
	if err != nil {
		t.Fatal(err)
	}
	if _, b, err := DecodeIPC(enc); err != nil || b.N != 5 || len(b.Cols) != 0 {
		t.Fatalf("a batch without columns: %v, %v", b, err)
	}
}

// TestArrowZeroCopy holds Record and FromRecord to the memory of the columns.
func TestArrowZeroCopy(t *testing.T) {
	names, b := randomBatch(rand.New(rand.NewSource(2)), 100, true, false)
	_, got, err := FromRecord(b.Record(names))
	if err != nil {
		t.Fatal(err)
	}
	for c, v := range b.Cols {
		g := got.Cols[c]
		if unsafe.SliceData(g.I) != unsafe.SliceData(v.I) || unsafe.SliceData(g.F) != unsafe.SliceData(v.F) ||
			unsafe.SliceData(g.Off) != unsafe.SliceData(v.Off) || unsafe.SliceData(g.Buf) != unsafe.SliceData(v.Buf) {
			t.Errorf("a column of type %v was copied", v.T)
		}
	}
	if &got.W[0] != &b.W[0] {
		t.Error("the weights were copied")
	}
}

// TestArrowDamage changes bytes of an encoded batch: always an error.
func TestArrowDamage(t *testing.T) {
	rng := rand.New(rand.NewSource(3))
	names, b := randomBatch(rng, 20, true, true)
	enc, err := AppendIPC(nil, names, b)
	if err != nil {
		t.Fatal(err)
	}
	try := func(src []byte) {
		t.Helper()
		var e *sqlerr.Error
		if _, _, err := DecodeIPC(src); !errors.As(err, &e) || e.Code != codeDamaged {
			t.Fatalf("%v", err)
		}
	}
	for range 1500 {
		c := append([]byte(nil), enc...)
		for range 1 + rng.Intn(3) {
			c[rng.Intn(len(c))] ^= byte(1 + rng.Intn(255))
		}
		if bytes.Equal(c, enc) {
			continue
		}
		try(c)
	}
	for n := 0; n < len(enc); n += 97 {
		try(enc[:n:n])
	}
}

// TestArrowForeign takes records of other programs, which have no metadata.
func TestArrowForeign(t *testing.T) {
	field := func(dt arrow.DataType) arrow.Field { return arrow.Field{Name: "x", Type: dt} }
	for _, c := range []struct {
		dt   arrow.DataType
		want types.ID
	}{
		{arrow.PrimitiveTypes.Int64, types.Int8},
		{arrow.PrimitiveTypes.Float64, types.Float8},
		{arrow.BinaryTypes.String, types.Text},
		{arrow.BinaryTypes.Binary, types.Bytea},
		{arrow.FixedWidthTypes.Time64us, types.Time},
		{&arrow.TimestampType{Unit: arrow.Microsecond}, types.Timestamp},
		{&arrow.TimestampType{Unit: arrow.Microsecond, TimeZone: "Europe/Berlin"}, types.Timestamptz},
	} {
		if got, err := sqlType(field(c.dt)); err != nil || got != types.Of(c.want) {
			t.Errorf("%s: %v, %v", c.dt, got, err)
		}
	}
	for _, dt := range []arrow.DataType{arrow.PrimitiveTypes.Int32, arrow.FixedWidthTypes.Boolean, arrow.FixedWidthTypes.Timestamp_ns} {
		var e *sqlerr.Error
		if _, err := sqlType(field(dt)); !errors.As(err, &e) || e.Code != sqlerr.FeatureNotSupported {
			t.Errorf("%s: %v", dt, err)
		}
	}
}

func BenchmarkRecord(b *testing.B) {
	names, batch := []string{}, &Batch{N: MaxRows}
	for i := range 7 {
		names = append(names, fmt.Sprint("c", i))
		batch.Cols = append(batch.Cols, randomVec(rand.New(rand.NewSource(1)), types.Of(types.Int8), MaxRows, false))
	}
	b.Run("wrap", func(b *testing.B) {
		for b.Loop() {
			batch.Record(names)
		}
	})
	b.Run("ipc one row", func(b *testing.B) {
		one := batch.Gather([]int32{0})
		var buf []byte
		for b.Loop() {
			buf, _ = AppendIPC(buf[:0], names, one)
		}
		b.ReportMetric(float64(len(buf)), "B/row")
	})
	b.Run("ipc batch", func(b *testing.B) {
		var buf []byte
		for b.Loop() {
			buf, _ = AppendIPC(buf[:0], names, batch)
		}
	})
}
