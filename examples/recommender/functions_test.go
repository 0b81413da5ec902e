package recommender

import (
	"math"
	"testing"

	"github.com/streamsql/streamsql/sql/delta"
	"github.com/streamsql/streamsql/sql/types"
	"github.com/streamsql/streamsql/udf"
)

func TestTables(t *testing.T) {
	for typ, want := range map[string][2]float64{
		"view": {0.1, 1}, "click": {0.3, 2}, "like": {0.5, 3}, "purchase": {1, 5}, "wishlist": {0.1, 1}, "": {0.1, 1},
	} {
		if got := [2]float64{EventWeight(typ), Rating(typ)}; got != want {
			t.Errorf("%q: %v, want %v", typ, got, want)
		}
	}
}

// TestFolds folds through the registry, as the engine does, with a checkpoint
// behind every row.
func TestFolds(t *testing.T) {
	f8 := types.Of(types.Float8)
	col := func(vals ...float64) *delta.Vec {
		v := delta.NewVec(f8, len(vals))
		for _, x := range vals {
			v.AppendDatum(types.Datum{F: x})
		}
		return v
	}
	for _, c := range []struct {
		symbol string
		args   []*delta.Vec
		want   float64
	}{
		{"recommender.EMA", []*delta.Vec{col(1, 0.5), col(0.1, 0.1)}, 0.9*0.1 + 0.05},
		{"recommender.EMA", []*delta.Vec{col(0.5, 1), col(0.1, 0.1)}, 0.9*0.05 + 0.1},
		{"recommender.FoldRating", []*delta.Vec{col(1, 5, 2)}, ((0.5+5)/2 + 2) / 2},
	} {
		b, err := udf.Default.BindAggregate(c.symbol, []types.Type{f8, f8}[:len(c.args)], f8, true)
		if err != nil {
			t.Fatal(err)
		}
		if b.Retractable {
			t.Errorf("%s depends on the order of its rows and cannot take one back", c.symbol)
		}
		s, err := b.New()
		if err != nil {
			t.Fatal(err)
		}
		for i := range c.args[0].N {
			if err := s.Add(c.args, i); err != nil {
				t.Fatal(err)
			}
			if s, err = s.Clone(); err != nil {
				t.Fatal(err)
			}
		}
		if d, err := s.Result(); err != nil || math.Abs(d.F-c.want) > 1e-15 {
			t.Errorf("%s: %v, %v, want %v", c.symbol, d.F, err, c.want)
		}
		if err := s.UnmarshalBinary([]byte("x")); err == nil {
			t.Errorf("%s took a form that is none", c.symbol)
		}
	}
	if err := (&EMA{}).Add(1, 1.5); err == nil {
		t.Error("a share of 1.5 was taken")
	}
}
