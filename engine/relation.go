package engine

import (
	"bytes"

	"github.com/streamsql/streamsql/sql/catalog"
	"github.com/streamsql/streamsql/sql/delta"
	"github.com/streamsql/streamsql/sql/exec"
	"github.com/streamsql/streamsql/sql/plan"
	"github.com/streamsql/streamsql/sql/sqlerr"
	"github.com/streamsql/streamsql/sql/types"
	"github.com/streamsql/streamsql/state"
)

// relation is the rows of a table or a materialized view at the last finished
// epoch (of a table: with the writes of the running step), in one arrangement
// by its key and one more for each index.
type relation struct {
	obj   *catalog.Object
	types []types.Type
	main  *arrangement
	index []*arrangement
	kept  *kept // of an internal relation
	// marker is the watermark of a table that declares one; nil: none.
	marker *marker
	moved  int64      // since when that stands, on the engine's clock
	rest   *tableRest // nil: its watermark moves with rows alone
}

// arrangement is a relation's rows ordered by some of its columns: a key is the
// encoding of the columns in order, which are all of them, the weight how often
// the row is there.
type arrangement struct {
	obj   *catalog.Object // the relation, or the index
	order []int
	keys  int // that many of order are what the arrangement is by
	op    uint32
	tree  *state.Tree
	// parted: what the tree keeps of evicted rows are their first keys columns, which
	// no two rows share.
	parted bool
}

// part has the tree tell evicted rows apart by their key alone, so that asking for
// a key that is not there costs no read.
func (a *arrangement) part(ts []types.Type) {
	keys := a.order[:a.keys]
	for _, c := range keys {
		if t := ts[c].ID; t == types.Numeric || t == types.Interval { // equal values have several encodings
			return
		}
	}
	if a.parted = a.keys > 0; !a.parted {
		return
	}
	a.tree.FilterBy(func(key []byte) int {
		rest := key
		for _, c := range keys {
			var err error
			if rest, err = exec.SkipCell(rest, ts[c]); err != nil {
				return len(key)
			}
		}
		return len(key) - len(rest)
	})
}

// relOp is the state operator of a relation's own rows; those of a view's plan
// lie below it.
func relOp(o *catalog.Object) uint32 { return o.OpBase + opsOf(o.Plan) }

// opsOf is the number of state operators that a plan takes.
func opsOf(root *plan.Node) uint32 {
	if root == nil {
		return 0
	}
	last := 0
	root.Visit(func(n *plan.Node) { last = max(last, n.ID) })
	return uint32(last+1) * exec.SubTables
}

// allOps is the number of state operators of an object.
func allOps(o *catalog.Object) uint32 { return opsOf(o.Plan) + 1 }

func newRelation(o *catalog.Object) *relation {
	r := &relation{obj: o}
	for _, c := range o.Columns {
		r.types = append(r.types, c.Type)
	}
	keys := o.PrimaryKey
	if t := o.Column(timeColumn); o.Owner != 0 && t >= 0 {
		keys = []int{t} // not a key: the order in which rows expire
	}
	r.main = newArrangement(o, keys, len(o.Columns))
	if len(o.PrimaryKey) > 0 {
		r.main.part(r.types)
	}
	if o.Kind == catalog.Table && o.Watermark != nil {
		r.marker = newMarker(o.Watermark)
		if d, err := durationOption(o.Options, optIdleTimeout, -1); err == nil && d >= 0 {
			r.rest = &tableRest{timeout: d.Microseconds()}
		}
	}
	return r
}

func newArrangement(o *catalog.Object, keys []int, columns int) *arrangement {
	a := &arrangement{obj: o, keys: len(keys), op: relOp(o), tree: state.NewTree()}
	a.order = append(a.order, keys...)
	seen := make([]bool, columns)
	for _, k := range keys {
		seen[k] = true
	}
	for c := range columns {
		if !seen[c] {
			a.order = append(a.order, c)
		}
	}
	return a
}

// all returns the relation's arrangements.
func (r *relation) all() []*arrangement {
	return append([]*arrangement{r.main}, r.index...)
}

// begin, commit and rollback are one undoable change of all arrangements.
func (r *relation) begin() {
	r.main.tree.Begin()
	for _, a := range r.index {
		a.tree.Begin()
	}
}

func (r *relation) commit() {
	r.main.tree.Commit()
	for _, a := range r.index {
		a.tree.Commit()
	}
}

func (r *relation) rollback() {
	r.main.tree.Rollback()
	for _, a := range r.index {
		a.tree.Rollback()
	}
}

// grown is by how many bytes the arrangements have grown in the running step.
func (r *relation) grown() int64 {
	n := r.main.tree.Grown()
	for _, a := range r.index {
		n += a.tree.Grown()
	}
	return n
}

// apply adds a consolidated change. A row whose weight would become negative is
// XX000: then the change must be rolled back.
func (r *relation) apply(c *change) error {
	var key []byte
	for _, b := range c.batches {
		for i := range b.N {
			key = appendRow(key[:0], b, i, r.main.order)
			if len(key) > state.MaxKey {
				return sqlerr.New("54000", "a row of relation %q is too large", r.obj.Name)
			}
			w := b.Weight(i)
			if _, now := r.main.tree.Add(key, w); now < 0 {
				return sqlerr.New(sqlerr.Internal, "%s %q takes back a row that it does not hold", r.obj.Kind, r.obj.Name).
					WithDetail("Row: %s", rowText(b, i))
			}
			for _, a := range r.index {
				key = appendRow(key[:0], b, i, a.order)
				a.tree.Add(key, w)
			}
		}
	}
	return r.err()
}

// err is the first failure of an arrangement to read its durable state.
func (r *relation) err() error {
	if err := r.main.tree.Err(); err != nil {
		return err
	}
	for _, a := range r.index {
		if err := a.tree.Err(); err != nil {
			return err
		}
	}
	return nil
}

// rowText is a row as messages show it: (1, abc, null).
func rowText(b *delta.Batch, i int) string {
	out := []byte{'('}
	for c, v := range b.Cols {
		if c > 0 {
			out = append(out, ", "...)
		}
		if v.Null(i) {
			out = append(out, "null"...)
			continue
		}
		out = types.FormatText(out, v.T, cell(v, i))
		if len(out) > 4096 {
			return string(bytes.ToValidUTF8(out[:4096], nil)) + " …)"
		}
	}
	return string(append(out, ')'))
}

// rowReader decodes keys of an arrangement into batches of some columns.
type rowReader struct {
	types []types.Type
	order []int
	cols  []int
	vecs  []*delta.Vec // by relation column; nil: not wanted
	n     int
	last  int // the last of order that is wanted
}

func newRowReader(r *relation, a *arrangement, cols []int) *rowReader {
	rr := &rowReader{types: r.types, order: a.order, cols: cols}
	wanted := make([]bool, len(r.types))
	for _, c := range cols {
		wanted[c] = true
	}
	rr.last = -1
	for i, c := range a.order {
		if wanted[c] {
			rr.last = i
		}
	}
	return rr
}

// add appends the row of a key.
func (rr *rowReader) add(key []byte) (err error) {
	if rr.vecs == nil {
		rr.vecs = make([]*delta.Vec, len(rr.types))
		for _, c := range rr.cols {
			rr.vecs[c] = delta.NewVec(rr.types[c], 64)
		}
	}
	for _, c := range rr.order[:rr.last+1] {
		if v := rr.vecs[c]; v != nil {
			key, err = exec.DecodeCell(key, v, false)
		} else {
			key, err = exec.SkipCell(key, rr.types[c])
		}
		if err != nil {
			return err
		}
	}
	rr.n++
	return nil
}

// take returns the batch so far, nil if it has no row, and begins a new one.
func (rr *rowReader) take() *delta.Batch {
	if rr.n == 0 {
		return nil
	}
	b := &delta.Batch{N: rr.n, Cols: make([]*delta.Vec, len(rr.cols))}
	for i, c := range rr.cols {
		b.Cols[i] = rr.vecs[c]
	}
	rr.vecs, rr.n = nil, 0
	return b
}

// cursor is what a Tree and its Snapshot have in common.
type cursor interface {
	Seek(key []byte) bool
	Next() bool
	Valid() bool
	Key() []byte
	Weight() int64
}

// lookup is the range of an arrangement that has given values in the first of
// its columns.
type lookup struct {
	prefix []byte
	// rest are the values that the prefix cannot hold: those behind a type whose
	// equal values have several encodings.
	rest  []types.Datum
	first int // rest[0] is the value of order[first]
	none  bool
}

// newLookup makes the lookup of vals, values of the first columns of order.
func newLookup(ts []types.Type, order []int, vals []types.Datum) lookup {
	var l lookup
	for i, v := range vals {
		if v.Null {
			return lookup{none: true}
		}
		t := ts[order[i]]
		l.prefix = types.AppendEq(l.prefix, t, v)
		if t.ID == types.Numeric || t.ID == types.Interval {
			l.first, l.rest = i+1, vals[i+1:]
			return l
		}
	}
	l.first = len(vals)
	return l
}

// match tells whether the key of a row has the values that the prefix lacks.
func (l *lookup) match(ts []types.Type, order []int, key []byte) (bool, error) {
	if len(l.rest) == 0 {
		return true, nil
	}
	for i, c := range order[:l.first+len(l.rest)] {
		if i < l.first {
			var err error
			if key, err = exec.SkipCell(key, ts[c]); err != nil {
				return false, err
			}
			continue
		}
		d, rest, err := types.DecodeKey(key, ts[c], false)
		if err != nil {
			return false, err
		}
		v := l.rest[i-l.first]
		if d.Null || !bytes.Equal(types.AppendEq(nil, ts[c], v), types.AppendEq(nil, ts[c], d)) {
			return false, nil
		}
		key = rest
	}
	return true, nil
}

// find returns an arrangement whose first columns are those given, the main one
// if it will do.
func (r *relation) find(cols []int) *arrangement {
	for _, a := range r.all() {
		if len(cols) > len(a.order) {
			continue
		}
		ok := true
		for i, c := range cols {
			ok = ok && a.order[i] == c
		}
		if ok {
			return a
		}
	}
	return nil
}

// scan calls fn with the rows of a cursor over arrangement a, the columns cols,
// as insert-only batches.
func (r *relation) scan(cur cursor, a *arrangement, l lookup, cols []int, fn func(*delta.Batch) error) error {
	if l.none {
		return nil
	}
	rr := newRowReader(r, a, cols)
	for ok := cur.Seek(l.prefix); ok; ok = cur.Next() {
		key := cur.Key()
		if !bytes.HasPrefix(key, l.prefix) {
			break
		}
		if ok, err := l.match(r.types, a.order, key); err != nil {
			return err
		} else if !ok {
			continue
		}
		for range cur.Weight() {
			if err := rr.add(key); err != nil {
				return err
			}
			if rr.n == delta.MaxRows {
				if err := fn(rr.take()); err != nil {
					return err
				}
			}
		}
	}
	if b := rr.take(); b != nil {
		return fn(b)
	}
	return nil
}
