package exec

import (
	"bytes"
	"math"
	"math/rand"
	"testing"

	"github.com/streamsql/streamsql/sql/delta"
	"github.com/streamsql/streamsql/sql/types"
)

// randomVec makes a column of type id with NULLs.
func randomVec(rng *rand.Rand, id types.ID, n int) *delta.Vec {
	v := delta.NewVec(types.Of(id), n)
	for range n {
		switch {
		case rng.Intn(5) == 0:
			v.AppendNull()
		case v.T.Phys() == types.PhysInt:
			v.AppendInt(rng.Int63() - rng.Int63())
		case v.T.Phys() == types.PhysFloat:
			v.AppendFloat([]float64{0, 1.5, -2, math.Inf(1), math.Inf(-1), math.NaN(), rng.NormFloat64()}[rng.Intn(7)])
		case id == types.Numeric:
			d, err := types.ParseText(v.T, []string{"0", "1.0", "1.00", "-12.5", "NaN", "1e30"}[rng.Intn(6)])
			if err != nil {
				panic(err)
			}
			v.AppendBytes(d.S)
		case id == types.Interval:
			v.AppendBytes(types.IntervalOf(rng.Int63n(1000), int32(rng.Intn(40)), int32(rng.Intn(3))))
		default:
			b := make([]byte, rng.Intn(6))
			for i := range b {
				b[i] = []byte{0, 1, 0xff, 'a'}[rng.Intn(4)]
			}
			v.AppendBytes(b)
		}
	}
	return v
}

var keyTypes = []types.ID{types.Int8, types.Bool, types.Timestamptz, types.Float8, types.Text, types.Bytea, types.Numeric, types.Interval}

// TestCells compares the encoding of columns with types' own, and reads it back.
func TestCells(t *testing.T) {
	rng := rand.New(rand.NewSource(1))
	for _, id := range keyTypes {
		v := randomVec(rng, id, 300)
		for _, desc := range []bool{false, true} {
			back := delta.NewVec(v.T, 0)
			for i := range v.N {
				d := v.Datum(i)
				got, want := AppendCell([]byte("x"), v, i, desc), types.AppendKey([]byte("x"), v.T, d, desc)
				if !bytes.Equal(got, want) {
					t.Fatalf("%s %+v: %x, want %x", v.T, d, got, want)
				}
				if got, want := AppendCellEq(nil, v, i), types.AppendEq(nil, v.T, d); !bytes.Equal(got, want) {
					t.Fatalf("%s %+v: %x, want %x", v.T, d, got, want)
				}
				rest, err := DecodeCell(append(got[1:], "rest"...), back, desc)
				if err != nil || string(rest) != "rest" {
					t.Fatalf("%s %+v: rest %q, %v", v.T, d, rest, err)
				}
				g := back.Datum(i)
				if g.Null != d.Null || g.I != d.I || !bytes.Equal(g.S, d.S) || g.F != d.F && d.F == d.F {
					t.Fatalf("%s %+v came back as %+v", v.T, d, g)
				}
				if !desc {
					if rest, err := SkipCell(append(got[1:], "rest"...), v.T); err != nil || string(rest) != "rest" {
						t.Fatalf("%s %+v: skipped to %q, %v", v.T, d, rest, err)
					}
				}
				// Damaged bytes are an error or another value, never a panic.
				for cut := range len(got) - 1 {
					scratch := delta.NewVec(v.T, 0)
					if _, err := DecodeCell(got[1:1+cut], scratch, desc); err == nil && cut < len(got)-1 {
						t.Fatalf("%s %+v: no error for the first %d bytes", v.T, d, cut)
					}
				}
			}
		}
	}
}

// TestKeys compares a batch's keys with those made row by row, and wants all
// key groups to be used about alike.
func TestKeys(t *testing.T) {
	rng := rand.New(rand.NewSource(1))
	for _, ids := range [][]types.ID{{types.Int8}, {types.Text}, {types.Int8, types.Numeric, types.Text}, {types.Int4, types.Int8, types.Timestamptz}, {}} {
		var cols []*delta.Vec
		const n = 20_000
		for _, id := range ids {
			v := randomVec(rng, id, n)
			if len(ids) == 1 && id == types.Int8 {
				v.Nulls = nil
				for i := range v.I {
					v.I[i] = int64(i)
				}
			}
			if ids[0] == types.Int4 {
				v.Nulls = nil
			}
			cols = append(cols, v)
		}
		var k Keys
		k.Encode(cols, n)
		used := map[byte]int{}
		for i := range n {
			eq := AppendRowEq(nil, cols, i)
			want := append([]byte{KeyGroup(eq)}, eq...)
			if !bytes.Equal(k.At(i), want) {
				t.Fatalf("row %d: %x, want %x", i, k.At(i), want)
			}
			used[want[0]]++
		}
		if len(ids) == 1 && ids[0] == types.Int8 {
			for g := range KeyGroups {
				if c := used[byte(g)]; c < n/KeyGroups/2 || c > 2*n/KeyGroups {
					t.Fatalf("key group %d has %d of %d keys", g, c, n)
				}
			}
		}
		if len(ids) == 0 && used[0] != n {
			t.Fatal("the key of no columns is not in group 0")
		}
	}
	for _, workers := range []int{1, 2, 3, 256} {
		last := 0
		for g := range KeyGroups {
			o := GroupOwner(byte(g), workers)
			if o < last || o > last+1 || o >= workers {
				t.Fatalf("group %d of %d workers: %d", g, workers, o)
			}
			last = o
		}
		if last != workers-1 {
			t.Fatalf("%d workers: the last is %d", workers, last)
		}
	}
}

// TestKeyGroupStable holds key groups where stored state has them.
func TestKeyGroupStable(t *testing.T) {
	for s, want := range map[string]byte{"": 0, "a": 162, "streamsql": 78, "a longer key of more than sixteen bytes": 14} {
		if got := KeyGroup([]byte(s)); got != want {
			t.Errorf("KeyGroup(%q) = %d, stored state has %d", s, got, want)
		}
	}
}
