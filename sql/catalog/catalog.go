package catalog

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/streamsql/streamsql/sql/expr"
	"github.com/streamsql/streamsql/sql/plan"
	"github.com/streamsql/streamsql/sql/sqlerr"
	"github.com/streamsql/streamsql/sql/types"
)

// Kind tells what an Object is.
type Kind string

// The kinds of object.
const (
	Table    Kind = "table"
	Source   Kind = "source"
	View     Kind = "view" // expanded where it is named
	MatView  Kind = "materialized view"
	Sink     Kind = "sink"
	Index    Kind = "index"
	Function Kind = "function"
	Virtual  Kind = "virtual table" // rows made when it is read; never stored in the catalog's durable form
)

// The schemas.
const (
	Public      = "public"
	PgCatalog   = "pg_catalog"
	Information = "information_schema"
	System      = "streamsql"
)

// FirstID is the first identifier of a user's object; Postgres' own are below.
const FirstID = 16384

// Column is a column of a relation.
type Column struct {
	Name    string     `json:"name"`
	Type    types.Type `json:"type"`
	NotNull bool       `json:"not_null,omitempty"`
	// Default and Generated are bound expressions: Default over no columns,
	// Generated over the relation's. The texts are as the user wrote them.
	Default       *expr.Expr `json:"default,omitempty"`
	DefaultText   string     `json:"default_text,omitempty"`
	Generated     *expr.Expr `json:"generated,omitempty"`
	GeneratedText string     `json:"generated_text,omitempty"`
	Meta          string     `json:"meta,omitempty"` // of a source: see connector.Column
}

// Watermark is WATERMARK FOR column AS column - delay.
type Watermark struct {
	Col   int   `json:"col"`
	Delay int64 `json:"delay"` // µs
	// Ascending says that times rise strictly: a row that is not above the
	// greatest before it is late.
	Ascending bool      `json:"ascending,omitempty"`
	Adaptive  *Adaptive `json:"adaptive,omitempty"` // Delay does not count
}

// Adaptive is adaptive_watermark(column, factor, n, minimum): the watermark lags
// the greatest time by factor × the mean delay of the last N rows, but by Min
// at least. The delay of a row is how far it is behind the greatest time before it.
type Adaptive struct {
	Factor float64 `json:"factor"`
	N      int     `json:"n"`
	Min    int64   `json:"min"` // µs
}

// Object is anything that has a name. It is immutable once in a catalog, and
// written to the data directory as JSON, so fields are only ever added.
type Object struct {
	ID     uint64 `json:"id"`
	Schema string `json:"schema"`
	Name   string `json:"name"`
	Kind   Kind   `json:"kind"`
	SQL    string `json:"sql,omitempty"` // the statement that made it, or a view's query in Query
	Query  string `json:"query,omitempty"`
	Zone   string `json:"zone,omitempty"` // of a view: TimeZone when it was made, in which its literals are read

	Columns    []Column   `json:"columns,omitempty"`
	PrimaryKey []int      `json:"primary_key,omitempty"`
	Watermark  *Watermark `json:"watermark,omitempty"`
	AppendOnly bool       `json:"append_only,omitempty"`
	// Internal relations (dead letters, late rows) belong to Owner and go with it.
	Owner uint64 `json:"owner,omitempty"`

	// Of sources and sinks.
	Options map[string]string `json:"options,omitempty"`
	Format  string            `json:"format,omitempty"`
	Encode  string            `json:"encode,omitempty"`
	// Altered is when ALTER last changed how a source decodes, µs on the engine's
	// clock; 0: never.
	Altered int64 `json:"altered,omitempty"`

	// Of materialized views and sinks: the plan, and the first of the state
	// operators that belong to it (see engine).
	Plan   *plan.Node `json:"plan,omitempty"`
	OpBase uint32     `json:"op_base,omitempty"`
	// Time is the column of a view that carries its watermark, plus one.
	Time    int  `json:"time,omitempty"`
	TimeEnd bool `json:"time_end,omitempty"`
	// Depends are the objects that this one reads or calls.
	Depends []uint64 `json:"depends,omitempty"`

	// Of an index.
	On      uint64 `json:"on,omitempty"`
	Keys    []int  `json:"keys,omitempty"`
	Unique  bool   `json:"unique,omitempty"`
	Include []int  `json:"include,omitempty"`

	// Of a function.
	Args      []types.Type `json:"args,omitempty"`
	ArgNames  []string     `json:"arg_names,omitempty"`
	Returns   types.Type   `json:"returns,omitzero"`
	Language  string       `json:"language,omitempty"`
	Symbol    string       `json:"symbol,omitempty"`
	Strict    bool         `json:"strict,omitempty"`
	Volatile  string       `json:"volatile,omitempty"` // immutable, stable, volatile
	Aggregate bool         `json:"aggregate,omitempty"`
}

// Stored tells whether the relation has rows of its own in the engine.
func (o *Object) Stored() bool { return o.Kind == Table || o.Kind == MatView }

// IsRelation tells whether the object can stand in FROM.
func (o *Object) IsRelation() bool {
	switch o.Kind {
	case Table, Source, View, MatView, Virtual:
		return true
	}
	return false
}

// Column returns the position of the column called name, or -1.
func (o *Object) Column(name string) int {
	return slices.IndexFunc(o.Columns, func(c Column) bool { return c.Name == name })
}

// Catalog is the objects at one moment. It is immutable.
type Catalog struct {
	base layer
	over layer     // hides what base has; nil there: dropped
	Env  *expr.Env // the built-in functions and those that CREATE FUNCTION bound
}

// layer is a part of a catalog. Two of them make a change cost about the root of
// the catalog's size.
type layer struct {
	objects map[uint64]*Object
	names   map[string]*Object // schema.name of relations, sinks and indexes: they share a name space
}

func newLayer() layer { return layer{map[uint64]*Object{}, map[string]*Object{}} }

// New returns a catalog of the virtual relations given.
func New(virtual []*Object, env *expr.Env) *Catalog {
	c := &Catalog{base: newLayer(), over: newLayer(), Env: env}
	for _, o := range virtual {
		c.put(o)
	}
	return c
}

func (c *Catalog) named(name string) *Object {
	if o, ok := c.over.names[name]; ok {
		return o
	}
	return c.base.names[name]
}

// each calls fn for every object, in no order.
func (c *Catalog) each(fn func(o *Object)) {
	for id, o := range c.base.objects {
		if _, hidden := c.over.objects[id]; !hidden {
			fn(o)
		}
	}
	for _, o := range c.over.objects {
		if o != nil {
			fn(o)
		}
	}
}

func (c *Catalog) put(o *Object) {
	c.over.objects[o.ID] = o
	if o.Kind != Function {
		c.over.names[o.Schema+"."+o.Name] = o
	}
}

func (c *Catalog) drop(id uint64) {
	o := c.ByID(id)
	if o == nil {
		return
	}
	c.over.objects[id] = nil
	if k := o.Schema + "." + o.Name; c.named(k) == o {
		c.over.names[k] = nil
	}
}

// Change returns a catalog in which drop is gone and put is there. env, when not
// nil, replaces Env.
func (c *Catalog) Change(put []*Object, drop []uint64, env *expr.Env) *Catalog {
	n := &Catalog{base: c.base, over: layer{maps.Clone(c.over.objects), maps.Clone(c.over.names)}, Env: c.Env}
	if env != nil {
		n.Env = env
	}
	for _, id := range drop {
		n.drop(id)
	}
	for _, o := range put {
		n.drop(o.ID)
		n.put(o)
	}
	if k := len(n.over.objects); k > 32 && k*k > len(n.base.objects) {
		n.base = layer{merged(n.base.objects, n.over.objects), merged(n.base.names, n.over.names)}
		n.over = newLayer()
	}
	return n
}

func merged[K comparable](base, over map[K]*Object) map[K]*Object {
	out := maps.Clone(base)
	for k, o := range over {
		if o == nil {
			delete(out, k)
		} else {
			out[k] = o
		}
	}
	return out
}

// ByID returns an object, or nil.
func (c *Catalog) ByID(id uint64) *Object {
	if o, ok := c.over.objects[id]; ok {
		return o
	}
	return c.base.objects[id]
}

// Lookup finds a relation, sink or index by its name's parts: name, schema.name
// or database.schema.name. An unqualified name is looked for in path. nil: there
// is none.
func (c *Catalog) Lookup(parts, path []string) *Object {
	switch len(parts) {
	case 0:
		return nil
	case 1:
		for _, s := range path {
			if o := c.named(s + "." + parts[0]); o != nil {
				return o
			}
		}
		return nil
	}
	return c.named(parts[len(parts)-2] + "." + parts[len(parts)-1])
}

// Relation is Lookup of what can stand in FROM; 42P01 with a hint when there is
// none, 42809 when it is a sink or an index.
func (c *Catalog) Relation(parts, path []string, pos int) (*Object, error) {
	o := c.Lookup(parts, path)
	name := strings.Join(parts, ".")
	if o == nil {
		e := sqlerr.New(sqlerr.UndefinedTable, `relation "%s" does not exist`, name).At(pos)
		if near := c.similar(parts[len(parts)-1]); near != "" {
			e = e.WithHint(`Perhaps you meant "%s".`, near)
		}
		return nil, e
	}
	if !o.IsRelation() {
		return nil, sqlerr.New(sqlerr.WrongObjectType, `"%s" is a %s: it cannot be read`, name, o.Kind).At(pos)
	}
	return o, nil
}

// similar returns the user's relation whose name differs least, if by little.
func (c *Catalog) similar(name string) string {
	best, bestD := "", 3
	c.each(func(o *Object) {
		if o.Schema != Public || !o.IsRelation() {
			return
		}
		if d := Distance(name, o.Name); d < bestD || d == bestD && best != "" && o.Name < best {
			best, bestD = o.Name, d
		}
	})
	if bestD*2 >= len(name) {
		return ""
	}
	return best
}

// Distance is Levenshtein's between two names, in bytes; 3 stands for anything
// more than 2.
func Distance(a, b string) int {
	if d := len(a) - len(b); d > 2 || d < -2 {
		return 3
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		prev := row[0]
		row[0] = i + 1
		for j := range len(b) {
			d := prev
			if a[i] != b[j] {
				d = min(prev, row[j], row[j+1]) + 1
			}
			prev, row[j+1] = row[j+1], d
		}
	}
	return row[len(b)]
}

// All returns every object by ascending ID.
func (c *Catalog) All() []*Object {
	out := make([]*Object, 0, len(c.base.objects)+len(c.over.objects))
	c.each(func(o *Object) { out = append(out, o) })
	slices.SortFunc(out, func(a, b *Object) int { return cmp.Compare(a.ID, b.ID) })
	return out
}

// Dependants returns the objects that depend on id directly, by ascending ID;
// internal relations of id are not among them.
func (c *Catalog) Dependants(id uint64) []*Object {
	var out []*Object
	c.each(func(o *Object) {
		if slices.Contains(o.Depends, id) || o.Kind == Index && o.On == id {
			out = append(out, o)
		}
	})
	slices.SortFunc(out, func(a, b *Object) int { return int(a.ID) - int(b.ID) })
	return out
}
