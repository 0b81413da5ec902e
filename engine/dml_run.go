package engine

import (
	"bytes"
	"context"
	"slices"
	"strings"

	"github.com/streamsql/streamsql/sql/catalog"
	"github.com/streamsql/streamsql/sql/delta"
	"github.com/streamsql/streamsql/sql/expr"
	"github.com/streamsql/streamsql/sql/plan"
	"github.com/streamsql/streamsql/sql/sqlerr"
	"github.com/streamsql/streamsql/sql/types"
)

// writeRun carries out one write: constraints, conflicts, RETURNING.
type writeRun struct {
	e    *Engine
	ends context.Context // when the statement is to end
	t    *tx
	w    *boundWrite
	ctx  *expr.Context
	rel  *relation
	part *txPart

	unique []*arrangement // the primary key first
	set    []*expr.Program
	cond   *expr.Program
	done   map[string]bool // rows that ON CONFLICT DO UPDATE has written
	seen   map[string]bool // keys of rows that UPDATE … FROM and DELETE … USING have met
	count  int64
	out    []*delta.Batch // rows for RETURNING
	added  []*delta.Batch // UPDATE: the new rows, put in when all old ones are gone
}

// check tells whether the statement is to end: as it was cancelled, or as it has
// come to take more memory than a step may.
func (x *writeRun) check() error {
	if x.ends.Err() != nil {
		return ctxError(x.ends)
	}
	n := int64(0)
	for _, p := range x.t.parts {
		n += p.bytes() + p.rel.grown()
	}
	if most := x.e.stepBudget(); n > most {
		return sqlerr.New(sqlerr.OutOfMemory, "out of memory").
			WithDetail("What the statement changes came to %d bytes; a step may take %d.", n, most).
			WithHint("Write in several statements, or raise --memory.")
	}
	return nil
}

func (x *writeRun) prepare() error {
	if len(x.rel.obj.PrimaryKey) > 0 {
		x.unique = append(x.unique, x.rel.main)
	}
	for _, a := range x.rel.index {
		if a.obj.Unique {
			x.unique = append(x.unique, a)
		}
	}
	// The key that ON CONFLICT is about decides before the others are looked at.
	slices.SortStableFunc(x.unique, func(a, b *arrangement) int {
		switch ka, kb := x.aboutKey(a), x.aboutKey(b); {
		case ka && !kb:
			return -1
		case kb && !ka:
			return 1
		}
		return 0
	})
	env := x.e.currentCatalog().Env
	compile := func(list []*expr.Expr) (out []*expr.Program, err error) {
		for _, s := range list {
			p, err := expr.Compile(env, s)
			if err != nil {
				return nil, err
			}
			out = append(out, p)
		}
		return out, nil
	}
	var err error
	if x.set, err = compile(x.w.ConflictSet); err != nil {
		return err
	}
	if x.w.ConflictCond != nil {
		x.cond, err = expr.Compile(env, x.w.ConflictCond)
	}
	return err
}

// insert adds the rows of b.
func (x *writeRun) insert(b *delta.Batch) error {
	for i := range b.N {
		for range b.Weight(i) {
			if err := x.insertRow(b, i); err != nil {
				return err
			}
		}
	}
	return nil
}

func (x *writeRun) insertRow(b *delta.Batch, i int) error {
	if err := notNull(x.rel.obj, b, i); err != nil {
		return err
	}
	for _, a := range x.unique {
		old, err := x.conflict(a, b, i)
		if err != nil {
			return err
		}
		if old == nil {
			continue
		}
		if x.aboutKey(a) {
			switch x.w.Conflict {
			case "nothing":
				return nil
			case "update":
				return x.conflictUpdate(old, b, i)
			}
		}
		return x.violation(a, b, i)
	}
	return x.put(b, i)
}

// aboutKey tells whether ON CONFLICT is about the key of a unique arrangement.
func (x *writeRun) aboutKey(a *arrangement) bool {
	if x.w.ConflictKeys == nil {
		return true
	}
	key := slices.Clone(a.order[:a.keys])
	slices.Sort(key)
	return slices.Equal(key, x.w.ConflictKeys)
}

// put adds a row that was checked and counts it.
func (x *writeRun) put(b *delta.Batch, i int) error {
	if err := x.part.add(b, i, 1); err != nil {
		return err
	}
	if x.w.Conflict == "update" {
		x.touched(b, i)
	}
	x.returned(b, i)
	return nil
}

func (x *writeRun) returned(b *delta.Batch, i int) {
	x.count++
	if x.w.Returning != nil {
		x.out = append(x.out, b.Gather([]int32{int32(i)}))
	}
}

func (x *writeRun) touched(b *delta.Batch, i int) {
	if x.done == nil {
		x.done = map[string]bool{}
	}
	x.done[string(appendRow(nil, b, i, x.rel.main.order))] = true
}

// notNull checks the row's NOT NULL columns, those of the primary key included.
func notNull(o *catalog.Object, b *delta.Batch, i int) error {
	for c, col := range o.Columns {
		if !b.Cols[c].Null(i) || !col.NotNull && !slices.Contains(o.PrimaryKey, c) {
			continue
		}
		return sqlerr.New(sqlerr.NotNullViolation, `null value in column "%s" of relation "%s" violates not-null constraint`, col.Name, o.Name).
			WithDetail("Failing row contains %s.", rowText(&delta.Batch{N: b.N, Cols: b.Cols[:len(o.Columns)]}, i))
	}
	return nil
}

// conflict returns the row that holds the key of row i in a unique arrangement,
// as a batch of one row; nil when there is none.
func (x *writeRun) conflict(a *arrangement, b *delta.Batch, i int) (*delta.Batch, error) {
	vals := make([]types.Datum, a.keys)
	for k, c := range a.order[:a.keys] {
		vals[k] = cell(b.Cols[c], i)
	}
	l := newLookup(x.rel.types, a.order, vals)
	if l.none { // NULLs are distinct
		return nil, nil
	}
	if a.parted && !a.tree.MayHave(l.prefix) {
		return nil, nil
	}
	cur := a.tree.Cursor()
	for ok := cur.Seek(l.prefix); ok && bytes.HasPrefix(cur.Key(), l.prefix); ok = cur.Next() {
		if m, err := l.match(x.rel.types, a.order, cur.Key()); err != nil {
			return nil, err
		} else if !m {
			continue
		}
		cols := make([]int, len(x.rel.types))
		for c := range cols {
			cols[c] = c
		}
		rr := newRowReader(x.rel, a, cols)
		if err := rr.add(cur.Key()); err != nil {
			return nil, err
		}
		return rr.take(), nil
	}
	return nil, a.tree.Err()
}

// violation is the error of a key that is there already.
func (x *writeRun) violation(a *arrangement, b *delta.Batch, i int) error {
	name := a.obj.Name
	if a == x.rel.main {
		name = x.rel.obj.Name + "_pkey"
	}
	var cols, vals []string
	for _, c := range a.order[:a.keys] {
		cols = append(cols, x.rel.obj.Columns[c].Name)
		if b.Cols[c].Null(i) {
			vals = append(vals, "null")
		} else {
			vals = append(vals, string(types.FormatText(nil, b.Cols[c].T, cell(b.Cols[c], i))))
		}
	}
	return sqlerr.New(sqlerr.UniqueViolation, `duplicate key value violates unique constraint "%s"`, name).
		WithDetail("Key (%s)=(%s) already exists.", strings.Join(cols, ", "), strings.Join(vals, ", "))
}

// conflictUpdate is ON CONFLICT DO UPDATE of the row old by the new row i of b.
func (x *writeRun) conflictUpdate(old, b *delta.Batch, i int) error {
	if x.done[string(appendRow(nil, old, 0, x.rel.main.order))] {
		return sqlerr.New(sqlerr.CardinalityViolation, "ON CONFLICT DO UPDATE command cannot affect row a second time").
			WithHint("Ensure that no rows proposed for insertion within the same command have duplicate constrained values.")
	}
	row := b.Gather([]int32{int32(i)})
	both := &delta.Batch{N: 1, Cols: append(append([]*delta.Vec{}, old.Cols...), row.Cols...)}
	if x.cond != nil {
		v, err := x.cond.Eval(x.ctx, both)
		if err != nil {
			return evalError(err)
		}
		if v.Null(0) || v.I[0] == 0 {
			return nil
		}
	}
	upd := &delta.Batch{N: 1, Cols: make([]*delta.Vec, len(x.set))}
	for c, p := range x.set {
		v, err := p.Eval(x.ctx, both)
		if err != nil {
			return evalError(err)
		}
		upd.Cols[c] = v.Gather([]int32{0}) // the program keeps its buffers
		upd.Cols[c].T = x.rel.types[c]
	}
	if err := notNull(x.rel.obj, upd, 0); err != nil {
		return err
	}
	if err := x.part.add(old, 0, -1); err != nil {
		return err
	}
	if err := x.checkUnique(upd, 0); err != nil {
		return err
	}
	return x.put(upd, 0)
}

func (x *writeRun) checkUnique(b *delta.Batch, i int) error {
	for _, a := range x.unique {
		old, err := x.conflict(a, b, i)
		if err != nil {
			return err
		}
		if old != nil {
			return x.violation(a, b, i)
		}
	}
	return nil
}

// take removes one row of the table, if it is still there: a row that several
// rows of FROM or USING name is changed once.
func (x *writeRun) take(b *delta.Batch, i int) (bool, error) {
	key := appendRow(nil, b, i, x.rel.main.order)
	if len(x.rel.obj.PrimaryKey) > 0 {
		if x.seen == nil {
			x.seen = map[string]bool{}
		}
		if x.seen[string(key)] {
			return false, nil
		}
		x.seen[string(key)] = true
	}
	if x.rel.main.tree.Get(key) <= 0 {
		return false, x.rel.main.tree.Err()
	}
	return true, x.part.add(b, i, -1)
}

// remove deletes the rows of b.
func (x *writeRun) remove(b *delta.Batch) error {
	for i := range b.N {
		for range b.Weight(i) {
			ok, err := x.take(b, i)
			if err != nil {
				return err
			}
			if ok {
				x.returned(b, i)
			}
		}
	}
	return nil
}

// update takes the old rows of b; the new ones are put in at the end, so that
// keys may move among them.
func (x *writeRun) update(b *delta.Batch) error {
	n := len(x.rel.types)
	was := &delta.Batch{N: b.N, Cols: b.Cols[:n]}
	will := &delta.Batch{N: b.N, Cols: b.Cols[n:]} // with what RETURNING shows of FROM
	var sel []int32
	for i := range b.N {
		for range b.Weight(i) {
			ok, err := x.take(was, i)
			if err != nil {
				return err
			}
			if ok {
				if err := notNull(x.rel.obj, will, i); err != nil {
					return err
				}
				sel = append(sel, int32(i))
			}
		}
	}
	x.added = append(x.added, will.Gather(sel))
	return nil
}

// finish puts in what UPDATE holds back and evaluates RETURNING.
func (x *writeRun) finish() (*written, error) {
	for _, b := range x.added {
		if err := x.check(); err != nil {
			return nil, err
		}
		for i := range b.N {
			if err := x.checkUnique(b, i); err != nil {
				return nil, err
			}
			if err := x.put(b, i); err != nil {
				return nil, err
			}
		}
	}
	res := &written{Count: x.count}
	if x.w.Returning == nil {
		return res, nil
	}
	var err error
	res.Returning, err = evalRows(x.e.currentCatalog().Env, x.w.Returning, x.ctx, x.out)
	return res, err
}

// evalError unwraps the error of a row.
func evalError(err error) error { return sqlerr.From(err) }

// access returns the arrangement and range that a Scan node asks for.
func (r *relation) access(n *plan.Node, env *expr.Env, ctx *expr.Context) (*arrangement, lookup, error) {
	if len(n.Lookup) == 0 || len(n.Index) < len(n.Lookup) {
		return r.main, lookup{}, nil
	}
	a := r.find(n.Index[:len(n.Lookup)])
	if a == nil {
		return nil, lookup{}, sqlerr.New(sqlerr.ObjectNotInState, "the index that the statement was planned with was dropped").
			WithHint("Run the statement again.")
	}
	var vals []types.Datum
	for _, x := range n.Lookup {
		v, err := expr.EvalConst(env, x, ctx)
		if err != nil {
			return nil, lookup{}, err
		}
		vals = append(vals, v)
	}
	return a, newLookup(r.types, a.order, vals), nil
}
