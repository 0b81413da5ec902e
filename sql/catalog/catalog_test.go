package catalog

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
)

// TestChange holds catalogs to plain maps; every one stays as it was made.
func TestChange(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	type version struct {
		c     *Catalog
		model map[uint64]*Object
	}
	check := func(v version) {
		t.Helper()
		want := slices.SortedFunc(maps.Values(v.model), func(a, b *Object) int { return int(a.ID) - int(b.ID) })
		if got := v.c.All(); !slices.Equal(got, want) {
			t.Fatalf("%d objects, want %d", len(got), len(want))
		}
		for id := range uint64(60) {
			if v.c.ByID(id) != v.model[id] {
				t.Fatalf("object %d is %v, want %v", id, v.c.ByID(id), v.model[id])
			}
		}
		names := map[string]*Object{}
		for _, o := range v.model {
			if o.Kind != Function {
				names[o.Name] = o
			}
		}
		for i := range 40 {
			n := fmt.Sprint("n", i)
			if got := v.c.Lookup([]string{n}, []string{Public}); got != names[n] {
				t.Fatalf("%s is %v, want %v", n, got, names[n])
			}
		}
	}
	vs := []version{{New(nil, nil), map[uint64]*Object{}}}
	for range 400 {
		last := vs[len(vs)-1]
		model := maps.Clone(last.model)
		var drop []uint64
		for range rnd.IntN(3) {
			id := uint64(rnd.IntN(60))
			drop = append(drop, id)
			delete(model, id)
		}
		used := map[string]bool{}
		for _, o := range model {
			used[o.Name] = o.Kind != Function || used[o.Name]
		}
		var put []*Object
		for range rnd.IntN(4) {
			o := &Object{ID: uint64(rnd.IntN(60)), Schema: Public, Name: fmt.Sprint("n", rnd.IntN(40)), Kind: Table}
			if rnd.IntN(4) == 0 {
				o.Kind = Function
			}
			if used[o.Name] && o.Kind != Function {
				continue
			}
			used[o.Name] = used[o.Name] || o.Kind != Function
			put = append(put, o)
			model[o.ID] = o
		}
		vs = append(vs, version{last.c.Change(put, drop, nil), model})
		check(vs[len(vs)-1])
	}
	for _, v := range vs {
		check(v)
	}
}
