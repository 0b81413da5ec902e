package catalog

import "testing"

// TestVirtualRelations: names and identifiers are their own, and none reaches
// into the users' range.
func TestVirtualRelations(t *testing.T) {
	ids, names := map[uint64]bool{}, map[string]bool{}
	for _, o := range VirtualRelations() {
		n := o.Schema + "." + o.Name
		if ids[o.ID] || names[n] || o.ID >= FirstID || len(o.Columns) == 0 {
			t.Errorf("%s %d is there twice, or wrong", n, o.ID)
		}
		ids[o.ID], names[n] = true, true
		seen := map[string]bool{}
		for _, c := range o.Columns {
			if seen[c.Name] {
				t.Errorf("%s.%s is there twice", n, c.Name)
			}
			seen[c.Name] = true
		}
	}
	c := New(VirtualRelations(), nil)
	o := c.Lookup([]string{"pg_class"}, []string{Public, PgCatalog})
	if o == nil || o.ID != 1259 || len(o.Columns) != 33 {
		t.Errorf("pg_class is %+v", o)
	}
}
