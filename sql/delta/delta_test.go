package delta

import (
	"math/rand"
	"testing"

	"github.com/streamsql/streamsql/sql/types"
)

// TestGather compares Gather with reading the same rows one by one, over every
// physical form, with and without NULLs.
func TestGather(t *testing.T) {
	rng := rand.New(rand.NewSource(1))
	for _, id := range []types.ID{types.Int8, types.Float8, types.Text} {
		for _, nulls := range []bool{false, true} {
			v := NewVec(types.Of(id), 0)
			for i := 0; i < 300; i++ {
				switch {
				case nulls && rng.Intn(3) == 0:
					v.AppendNull()
				case id == types.Int8:
					v.AppendInt(rng.Int63())
				case id == types.Float8:
					v.AppendFloat(rng.Float64())
				default:
					v.AppendBytes(make([]byte, rng.Intn(5)))
				}
			}
			sel := make([]int32, 500)
			for i := range sel {
				sel[i] = int32(rng.Intn(v.N))
			}
			b := (&Batch{N: v.N, Cols: []*Vec{v}}).Gather(sel)
			if b.N != len(sel) || b.Cols[0].N != len(sel) {
				t.Fatalf("%d rows, want %d", b.N, len(sel))
			}
			for k, i := range sel {
				g, w := b.Cols[0].Datum(k), v.Datum(int(i))
				if g.Null != w.Null || g.I != w.I || g.F != w.F || string(g.S) != string(w.S) {
					t.Fatalf("row %d: %+v, want %+v", k, g, w)
				}
			}
		}
	}
}

func TestGatherWeights(t *testing.T) {
	v := NewVec(types.Of(types.Int8), 0)
	v.AppendInt(1)
	v.AppendInt(2)
	b := (&Batch{N: 2, Cols: []*Vec{v}, W: []int64{1, -1}}).Gather([]int32{1, 0})
	if b.Weight(0) != -1 || b.Weight(1) != 1 {
		t.Fatalf("weights %v", b.W)
	}
	if b.W = nil; b.Weight(1) != 1 {
		t.Fatal("no weights must mean +1")
	}
}
