package engine

import (
	"context"
	"fmt"
	"strings"

	"github.com/streamsql/streamsql/sql/catalog"
	"github.com/streamsql/streamsql/sql/delta"
	"github.com/streamsql/streamsql/sql/exec"
	"github.com/streamsql/streamsql/sql/plan"
	"github.com/streamsql/streamsql/sql/sqlerr"
	"github.com/streamsql/streamsql/sql/types"
)

// vrow is a row of a virtual relation by its columns' names. What is left out is
// NULL; in pg_catalog, where columns seldom are, the type's zero.
type vrow map[string]any

// virtualEnv is what makes the rows of virtual relations.
type virtualEnv struct {
	ctx context.Context
	s   *Session
	eng *Engine
	cat *catalog.Catalog
	pin *pin // nil: nothing is pinned
	add func(vrow)
}

// virtualRows makes the rows of each relation that has any. Relations without
// an entry are empty: there are no triggers, policies, publications and such.
var virtualRows map[string]func(*virtualEnv) error

// lasting are the relations that follow from the catalog alone.
var lasting = map[string]bool{}

func init() {
	virtualRows = map[string]func(*virtualEnv) error{}
	for _, part := range []map[string]func(*virtualEnv) error{pgCatalogRows, informationRows} {
		for name, fn := range part {
			virtualRows[name] = fn
			lasting[name] = true
		}
	}
	for _, part := range []map[string]func(*virtualEnv) error{systemRows, pgLiveRows} {
		for name, fn := range part {
			virtualRows[name] = fn
		}
	}
}

// virtualCache keeps the rows of lasting relations for one catalog.
type virtualCache struct {
	cat     *catalog.Catalog
	batches map[uint64][]*delta.Batch
}

// virtualBatches returns the rows of a virtual relation, its columns cols.
func (s *Session) virtualBatches(ctx context.Context, cat *catalog.Catalog, o *catalog.Object, cols []int, at *pin) ([]*delta.Batch, error) {
	name := o.Schema + "." + o.Name
	if s.virtual.cat != cat {
		s.virtual = virtualCache{cat: cat, batches: map[uint64][]*delta.Batch{}}
	}
	all, ok := s.virtual.batches[o.ID]
	if !ok {
		var err error
		if all, err = s.makeVirtual(ctx, cat, o, at); err != nil {
			return nil, err
		}
		if lasting[name] {
			s.virtual.batches[o.ID] = all
		}
	}
	out := make([]*delta.Batch, len(all))
	for i, b := range all {
		c := &delta.Batch{N: b.N, Cols: make([]*delta.Vec, len(cols))}
		for k, col := range cols {
			c.Cols[k] = b.Cols[col]
		}
		out[i] = c
	}
	return out, nil
}

func (s *Session) makeVirtual(ctx context.Context, cat *catalog.Catalog, o *catalog.Object, at *pin) ([]*delta.Batch, error) {
	var out []*delta.Batch
	zeros := o.Schema == catalog.PgCatalog
	var bad error
	env := &virtualEnv{ctx: ctx, s: s, eng: s.eng, cat: cat, pin: at}
	env.add = func(r vrow) {
		if len(out) == 0 || out[len(out)-1].N == delta.MaxRows {
			b := &delta.Batch{}
			for _, c := range o.Columns {
				b.Cols = append(b.Cols, delta.NewVec(c.Type, 16))
			}
			out = append(out, b)
		}
		b := out[len(out)-1]
		b.N++
		used := 0
		for i, c := range o.Columns {
			v, ok := r[c.Name]
			if ok {
				used++
			} else if zeros {
				v = zeroOf(c.Type)
			}
			b.Cols[i].AppendDatum(toDatum(c.Type, v))
		}
		if used != len(r) && bad == nil {
			bad = sqlerr.New(sqlerr.Internal, "a row of %s has columns that the relation does not have: %v", o.Name, r)
		}
	}
	if fn := virtualRows[o.Schema+"."+o.Name]; fn != nil {
		if err := fn(env); err != nil {
			return nil, err
		}
	}
	return out, bad
}

// zeroOf is what stands in a column of pg_catalog that has nothing to say.
func zeroOf(t types.Type) any {
	switch t.ID {
	case types.Bool:
		return false
	case types.Int2, types.Int4, types.Int8, types.OID:
		return 0
	case types.Float4, types.Float8:
		return 0.0
	case types.Name, types.Char:
		return ""
	}
	return nil
}

// toDatum makes a value of type t of a Go value.
func toDatum(t types.Type, v any) types.Datum {
	switch v := v.(type) {
	case nil:
		return types.NullDatum
	case types.Datum:
		return v
	case bool:
		if v {
			return types.Datum{I: 1}
		}
		return types.Datum{}
	case int:
		return types.Datum{I: int64(v)}
	case int64:
		return types.Datum{I: v}
	case uint64:
		return types.Datum{I: int64(v)}
	case uint32:
		return types.Datum{I: int64(v)}
	case int32:
		return types.Datum{I: int64(v)}
	case float64:
		return types.Datum{F: v}
	case string:
		return types.Datum{S: []byte(v)}
	case []byte:
		return types.Datum{S: v}
	case []string:
		b := []byte{}
		for _, x := range v {
			b = types.AppendElem(b, t.Elem, types.Datum{S: []byte(x)})
		}
		return types.Datum{S: b}
	case []int:
		b := []byte{}
		for _, x := range v {
			b = types.AppendElem(b, t.Elem, types.Datum{I: int64(x)})
		}
		return types.Datum{S: b}
	}
	panic(fmt.Sprintf("engine: a %T cannot stand in a column of type %s", v, t))
}

// timeOr is a timestamp, or NULL for one that is not there.
func timeOr(us int64) any {
	if us == exec.NoWatermark || us == 0 {
		return nil
	}
	return us
}

// textOr is a text, or NULL for the empty one.
func textOr(s string) any {
	if s == "" {
		return nil
	}
	return s
}

// inlineVirtual puts the rows of virtual relations into a plan that the engine's
// core runs, which knows stored relations alone.
func (s *Session) inlineVirtual(ctx context.Context, cat *catalog.Catalog, root *plan.Node) (*plan.Node, error) {
	any := false
	root.Visit(func(n *plan.Node) {
		if n.Op == plan.Scan {
			if o := cat.ByID(n.Relation); o != nil && o.Kind == catalog.Virtual {
				any = true
			}
		}
	})
	if !any {
		return root, nil
	}
	var bad error
	out := mapNodes(root, func(n *plan.Node) *plan.Node {
		if n.Op != plan.Scan || bad != nil {
			return n
		}
		o := cat.ByID(n.Relation)
		if o == nil || o.Kind != catalog.Virtual {
			return n
		}
		if positional(o) {
			bad = sqlerr.New(sqlerr.FeatureNotSupported, "%s cannot be read by a statement that writes", strings.Join([]string{o.Schema, o.Name}, "."))
			return n
		}
		batches, err := s.virtualBatches(ctx, cat, o, n.Columns, nil)
		if err != nil {
			bad = err
			return n
		}
		v := &plan.Node{ID: n.ID, Op: plan.Values, Out: n.Out, AppendOnly: true}
		for _, b := range batches {
			for i := range b.N {
				row := make([]types.Datum, len(b.Cols))
				for c, vec := range b.Cols {
					row[c] = vec.Datum(i)
				}
				v.Rows = append(v.Rows, row)
			}
		}
		return v
	})
	return out, bad
}
