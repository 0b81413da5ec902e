package exec

import (
	"math/rand"
	"testing"

	"github.com/streamsql/streamsql/sql/expr"
	"github.com/streamsql/streamsql/sql/plan"
	"github.com/streamsql/streamsql/sql/types"
)

// version is what held of a key from a time on.
type version struct {
	from int64
	row  []types.Datum // nil: nothing
}

// TestJoinVersions joins rows with a keyed table by time: each update to a later
// time leaves the version before in history, one at the same time corrects it, and
// a deletion ends it.
func TestJoinVersions(t *testing.T) {
	defer func(n int) { sweepMin = n }(sweepMin)
	sweepMin = 5
	for seed := range int64(20) {
		testJoinVersions(t, seed)
	}
}

func testJoinVersions(t *testing.T, seed int64) {
	rng := rand.New(rand.NewSource(seed))
	n := timeJoin(plan.Left, true, [2]bool{true, true})
	n.AsOf = &plan.AsOf{Kind: "event", LeftTime: 1, RightTime: 0, Versions: true}
	n.Time = 2
	p := newPipeline(t, n, &expr.Env{})
	keys := []string{"a", "b\x00", "c", "d"}
	table := map[string][]types.Datum{}
	history := map[string][]version{} // by ascending time
	left := newZset()
	wm := []int64{NoWatermark, NoWatermark}
	// put sets what holds from t on, and removes nothing behind it.
	put := func(k string, v version) {
		h := history[k]
		i := len(h)
		for i > 0 && h[i-1].from >= v.from {
			i--
		}
		if i < len(h) && h[i].from == v.from {
			h[i] = v
		} else {
			h = append(h[:i:i], append([]version{v}, h[i:]...)...)
		}
		history[k] = h
	}
	late := 0
	for step := range 80 {
		now := int64(step * 4)
		undo := rng.Intn(6) == 0
		cs := make([][]change, 2)
		next := []int64{max(wm[0], now-int64(rng.Intn(30))), max(wm[1], now-int64(rng.Intn(30)))}
		for range rng.Intn(6) {
			row := timedRow(rng, 0, now+int64(rng.Intn(30))-20)
			cs[0] = append(cs[0], change{row, 1})
			switch {
			case undo:
			case !row[1].Null && row[1].I < wm[0]:
				late++
			default:
				left.add(n.Inputs[0].Out, row, 1)
			}
		}
		for _, k := range keys {
			if rng.Intn(2) == 0 {
				continue
			}
			old := table[k]
			row := []types.Datum{intD(max(wm[1], now) + int64(rng.Intn(10))), intD(rng.Int63n(100)), textD(k)}
			switch op := rng.Intn(4); {
			case old != nil && op == 0:
				row = nil
			case old != nil && op == 1 && old[0].I >= wm[1]:
				row[0] = old[0] // a correction
			case old != nil && row[0].I <= old[0].I:
				continue
			}
			if old != nil {
				cs[1] = append(cs[1], change{old, -1})
			}
			if row != nil {
				cs[1] = append(cs[1], change{row, 1})
			}
			if undo {
				continue
			}
			if row == nil {
				delete(table, k)
				put(k, version{max(old[0].I, wm[1]), nil})
			} else {
				table[k] = row
				put(k, version{row[0].I, row})
			}
		}
		rng.Shuffle(len(cs[1]), func(i, j int) { cs[1][i], cs[1][j] = cs[1][j], cs[1][i] })
		p.stepAll(rng, cs, next, undo)
		if undo {
			continue
		}
		wm = next
		want := newZset()
		left.each(func(l []types.Datum, w int64) {
			row := []types.Datum{types.NullDatum, types.NullDatum, types.NullDatum}
			if !l[0].Null && !l[1].Null {
				for _, v := range history[string(l[0].S)] {
					if v.from > l[1].I {
						break
					}
					if row = v.row; row == nil {
						row = []types.Datum{types.NullDatum, types.NullDatum, types.NullDatum}
					}
				}
			}
			want.add(n.Out, append(append([]types.Datum{}, l...), row...), w)
		})
		if s := diff(n.Out, p.out, want); s != "" {
			t.Fatalf("seed %d, step %d:\n%s", seed, step, s)
		}
		if rng.Intn(8) == 0 {
			p.restart(1 + rng.Intn(4))
		}
	}
	got := 0
	p.late.each(func(_ []types.Datum, w int64) { got += int(max(w, -w)) })
	if got != late {
		t.Fatalf("late rows of a weight of %d, want %d", got, late)
	}
}

// TestJoinAsOfState: an hour at a constant rate leaves a state that does not grow.
func TestJoinAsOfState(t *testing.T) {
	for i := range 3 {
		versions, next := i == 1, i == 2
		n := timeJoin(plan.Left, true, [2]bool{true, true})
		n.AsOf = &plan.AsOf{Kind: "event", LeftTime: 1, RightTime: 0, Versions: versions, Next: next}
		p := newPipeline(t, n, &expr.Env{})
		rng := rand.New(rand.NewSource(1))
		last := map[string][]types.Datum{}
		var after []int
		for sec := int64(0); sec < 3600; sec += 10 {
			cs := make([][]change, 2)
			for i := range int64(100) {
				k := string(rune('a' + rng.Intn(20)))
				cs[0] = append(cs[0], change{[]types.Datum{textD(k), intD(sec*1e6 + i), intD(i)}, 1})
				if i >= 20 {
					continue
				}
				row := []types.Datum{intD(sec*1e6 + i), intD(i), textD(k)}
				if old := last[k]; old != nil && versions {
					cs[1] = append(cs[1], change{old, -1})
				}
				last[k] = row
				cs[1] = append(cs[1], change{row, 1})
			}
			p.stepAll(rng, cs, []int64{(sec - 30) * 1e6, (sec - 60) * 1e6}, false)
			if sec%600 == 590 {
				after = append(after, p.rows())
			}
		}
		if most := 2*(700+sweepMin) + 1000; after[5] > most || after[2] > most {
			t.Errorf("versions %v, next %v: entries after each ten minutes: %v, most %d", versions, next, after, most)
		}
		late := 0
		p.late.each(func([]types.Datum, int64) { late++ })
		if late > 0 {
			t.Errorf("versions %v: %d late rows", versions, late)
		}
	}
}
