package engine

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/vfs"

	"github.com/streamsql/streamsql/sql/catalog"
	"github.com/streamsql/streamsql/sql/delta"
	"github.com/streamsql/streamsql/sql/plan"
	"github.com/streamsql/streamsql/sql/types"
)

// These tests drive the core with plans made by hand.

var bg = context.Background()

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func open(t *testing.T, o Options) *Engine {
	t.Helper()
	e, err := Open(bg, o)
	must(t, err)
	t.Cleanup(func() { _ = e.Close() })
	return e
}

func cols(names ...string) (out []catalog.Column) {
	for _, n := range names {
		out = append(out, catalog.Column{Name: n, Type: types.Of(types.Int8)})
	}
	return out
}

func planCols(names ...string) (out []plan.Column) {
	for _, n := range names {
		out = append(out, plan.Column{Name: n, Type: types.Of(types.Int8)})
	}
	return out
}

func (e *Engine) testTable(t *testing.T, name string, pk ...int) *catalog.Object {
	t.Helper()
	o := &catalog.Object{Schema: "public", Name: name, Kind: catalog.Table, Columns: cols("a", "b"), PrimaryKey: pk}
	must(t, e.do(bg, func() { e.addTable(o) }))
	must(t, e.checkpointNow(bg))
	return o
}

// testView makes SELECT DISTINCT a FROM rel.
func (e *Engine) testView(t *testing.T, name string, rel uint64) *catalog.Object {
	t.Helper()
	scan := &plan.Node{ID: 1, Op: plan.Scan, Relation: rel, Columns: []int{0}, Out: planCols("a")}
	o := &catalog.Object{
		Schema: "public", Name: name, Kind: catalog.MatView, Columns: cols("a"), Depends: []uint64{rel},
		Plan: &plan.Node{ID: 2, Op: plan.Distinct, Inputs: []*plan.Node{scan}, Out: planCols("a")},
	}
	x := &ddlRun{e: e, ctx: bg, cat: e.currentCatalog()}
	must(t, x.install(o, nil))
	for _, f := range x.after {
		must(t, f())
	}
	must(t, e.checkpointNow(bg))
	return o
}

func (e *Engine) testInsert(table uint64, rows ...[2]int64) error {
	n := &plan.Node{ID: 1, Op: plan.Values, Out: planCols("a", "b")}
	for _, r := range rows {
		n.Rows = append(n.Rows, []types.Datum{{I: r[0]}, {I: r[1]}})
	}
	_, err := e.write(bg, []*boundWrite{{Write: &plan.Write{Kind: plan.Insert, Table: table, Root: n}, Context: e.stepContext()}})
	return err
}

func (e *Engine) testRows(t *testing.T, id uint64, ncols int) string {
	t.Helper()
	p, err := e.pin(bg, []uint64{id})
	must(t, err)
	defer p.release()
	n := &plan.Node{Op: plan.Scan, Relation: id}
	for c := range ncols {
		n.Columns = append(n.Columns, c)
	}
	var out []string
	must(t, p.scan(bg, n, func(b *delta.Batch) error {
		for i := range b.N {
			out = append(out, rowText(b, i))
		}
		return nil
	}))
	slices.Sort(out)
	return strings.Join(out, " ")
}

func expect(t *testing.T, got, want string) {
	t.Helper()
	if got != want {
		t.Fatalf("got %s, want %s", got, want)
	}
}

func TestTableAndView(t *testing.T) {
	e := open(t, Options{})
	tab := e.testTable(t, "t")
	must(t, e.testInsert(tab.ID, [2]int64{1, 2}, [2]int64{1, 3}))
	v := e.testView(t, "v", tab.ID)
	w := e.testView(t, "w", v.ID)
	expect(t, e.testRows(t, v.ID, 1), "(1)")
	must(t, e.testInsert(tab.ID, [2]int64{5, 2}, [2]int64{1, 3}))
	expect(t, e.testRows(t, tab.ID, 2), "(1, 2) (1, 3) (1, 3) (5, 2)")
	expect(t, e.testRows(t, v.ID, 1), "(1) (5)")
	expect(t, e.testRows(t, w.ID, 1), "(1) (5)")
}

func TestRestart(t *testing.T) {
	fs := vfs.NewMem()
	var tab, v *catalog.Object
	want := ""
	for run := range 4 {
		e, err := Open(bg, Options{Dir: "data", FS: fs, Workers: 1 + run%2})
		must(t, err)
		if run == 0 {
			tab = e.testTable(t, "t", 0)
			v = e.testView(t, "v", tab.ID)
		}
		expect(t, e.testRows(t, v.ID, 1), want)
		for i := range 50 {
			must(t, e.testInsert(tab.ID, [2]int64{int64(run*100 + i), 1}))
			if i == 20 {
				must(t, e.checkpointNow(bg))
			}
		}
		err = e.testInsert(tab.ID, [2]int64{999, 1}, [2]int64{int64(run * 100), 1})
		if err == nil || !strings.Contains(err.Error(), `duplicate key value violates unique constraint "t_pkey"`) {
			t.Fatal(err)
		}
		var rows []string
		for r := range run + 1 {
			for i := range 50 {
				rows = append(rows, fmt.Sprintf("(%d)", r*100+i))
			}
		}
		slices.Sort(rows)
		want = strings.Join(rows, " ")
		expect(t, e.testRows(t, v.ID, 1), want)
		if run%2 == 0 {
			must(t, e.Close())
		} else {
			// As after a crash: nothing more is written.
			clone := fs
			_ = clone
			e.stop()
			<-e.stopped
			e.acks.finish(closedError())
			_ = e.closeStore()
		}
	}
}
