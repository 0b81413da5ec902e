package ast

import "testing"

func TestDump(t *testing.T) {
	yes := true
	q := &Query{
		Pos: 3,
		With: &With{Pos: 1, CTEs: []*CTE{
			{Pos: 2, Name: "x", Materialized: &yes, Query: &Query{Body: &Values{Rows: [][]Expr{{&Default{Pos: 9}}}}}},
		}},
		Body: &Select{
			Targets: []*Target{{Expr: &ColumnRef{Parts: []string{"t", "a"}, Star: true}}},
			From:    []TableRef{&Table{Pos: 20, Name: Name{Pos: 20, Parts: []string{"s", "t"}}}},
		},
	}
	const want = `(Query@3
  With=(With@1
    CTEs=[(CTE@2 Name="x" Materialized=true Query=(Query@0 Body=(Values@0 Rows=[[(Default@9)]])))])
  Body=(Select@0
    Targets=[(Target@0 Expr=(ColumnRef@0 Parts=["t" "a"] Star))]
    From=[(Table@20 Name=(Name@20 Parts=["s" "t"]))]))`
	if got := Dump(q); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if got := Dump(nil); got != "nil" {
		t.Errorf("nil is %s", got)
	}
}

func TestNames(t *testing.T) {
	for _, c := range []struct {
		typ  TypeName
		want string
	}{
		{TypeName{Parts: []string{"pg_catalog", "numeric"}, Mods: []int32{10, 2}}, "pg_catalog.numeric(10,2)"},
		{TypeName{Parts: []string{"text"}, Dims: 2}, "text[][]"},
		{TypeName{Parts: []string{"interval"}, Fields: "day to second", Mods: []int32{3}}, "interval day to second(3)"},
	} {
		if got := c.typ.String(); got != c.want {
			t.Errorf("got %s, want %s", got, c.want)
		}
	}
	n := Name{Pos: 4, Parts: []string{"a", "b"}}
	if n.Base() != "b" || n.String() != "a.b" || n.Offset() != 4 || (Name{}).Base() != "" {
		t.Errorf("name %v: base %q, string %q, offset %d", n, n.Base(), n.String(), n.Offset())
	}
}
