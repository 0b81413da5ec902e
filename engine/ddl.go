package engine

import (
	"context"
	"strings"

	"github.com/streamsql/streamsql/sql/ast"
	"github.com/streamsql/streamsql/sql/catalog"
	"github.com/streamsql/streamsql/sql/delta"
	"github.com/streamsql/streamsql/sql/exec"
	"github.com/streamsql/streamsql/sql/expr"
	"github.com/streamsql/streamsql/sql/parser"
	"github.com/streamsql/streamsql/sql/plan"
	"github.com/streamsql/streamsql/sql/planner"
	"github.com/streamsql/streamsql/sql/sqlerr"
	"github.com/streamsql/streamsql/sql/types"
)

// ddlContext is the session's part of a DDL statement.
type ddlContext struct {
	Path       []string
	Text       string // the statement's own
	restart    bool   // of a job, by its policy
	Background bool   // streamsql.background_ddl: CREATE MATERIALIZED VIEW does not wait for its backfill
	Notify     func(Notice)
	Context    *expr.Context // of the session: literals are read in its time zone; nil: UTC
}

// notice tells the client something that is not an error.
func (d ddlContext) notice(code, format string, args ...any) {
	if d.Notify != nil {
		d.Notify(Notice{Severity: "NOTICE", Err: sqlerr.New(code, format, args...)})
	}
}

// ddl carries out CREATE, DROP, ALTER (jobs, system), CHECKPOINT, WAIT and
// ADVANCE CLOCK, and returns the command tag. When it returns, the change is durable.
func (e *Engine) ddl(ctx context.Context, s ast.Statement, d ddlContext) (tag string, err error) {
	switch s := s.(type) {
	case *ast.Checkpoint:
		return "CHECKPOINT", e.checkpointNow(ctx)
	case *ast.Wait:
		return "WAIT", e.await(ctx)
	case *ast.AdvanceClock:
		return "ADVANCE CLOCK", e.advanceTo(ctx, s, d)
	}
	if err := e.Err(); err != nil {
		return "", err
	}
	select {
	case <-e.ddlSlot:
	case <-ctx.Done():
		return "", ctxError(ctx)
	case <-e.stopped:
		return "", closedError()
	}
	x := &ddlRun{e: e, ctx: ctx, d: d, cat: e.currentCatalog()}
	func() {
		defer func() { e.ddlSlot <- struct{}{} }()
		tag, err = x.dispatch(s)
	}()
	if err != nil {
		return "", err
	}
	for _, wait := range x.after {
		if err := wait(); err != nil {
			return "", err
		}
	}
	if err := e.durable(ctx, x.version); err != nil {
		return "", err
	}
	if x.tag != "" {
		tag = x.tag
	}
	return tag, nil
}

// ddlRun is one DDL statement under way. Only one runs at a time, up to its
// change of the catalog.
type ddlRun struct {
	e     *Engine
	ctx   context.Context
	d     ddlContext
	cat   *catalog.Catalog
	after []func() error // to do when others may go on

	version uint64 // of the catalog, after the statement's change
	tag     string // of the command, if it is known at its end alone
}

func (x *ddlRun) dispatch(s ast.Statement) (string, error) {
	switch s := s.(type) {
	case *ast.CreateTable:
		if s.Query != nil {
			return x.createTableAs(s)
		}
		return "CREATE TABLE", x.createTable(s)
	case *ast.CreateSource:
		return "CREATE SOURCE", x.createSource(s)
	case *ast.CreateView:
		if s.Materialized {
			return "CREATE MATERIALIZED VIEW", x.createMatView(s)
		}
		return "CREATE VIEW", x.createView(s)
	case *ast.CreateSink:
		return "CREATE SINK", x.createSink(s)
	case *ast.CreateIndex:
		return "CREATE INDEX", x.createIndex(s)
	case *ast.CreateFunction:
		return "CREATE FUNCTION", x.createFunction(s)
	case *ast.Drop:
		return "DROP " + strings.ToUpper(string(s.Kind)), x.drop(s)
	case *ast.Replay:
		return x.replay(s)
	case *ast.Alter:
		return "ALTER " + strings.ToUpper(string(s.Kind)), x.alter(s)
	}
	return "", sqlerr.New(sqlerr.FeatureNotSupported, "this statement is not supported yet").At(s.Offset())
}

// planner makes a planner for one query of the statement.
func (x *ddlRun) planner() *planner.Planner {
	return &planner.Planner{Catalog: x.cat, Path: x.d.Path, Context: x.context(), ParseView: parseView}
}

// context is what the statement's own expressions know.
func (x *ddlRun) context() *expr.Context {
	if x.d.Context != nil {
		return x.d.Context
	}
	return x.e.stepContext()
}

// zone is the session's time zone.
func (x *ddlRun) zone() string {
	if set := x.context().Setting; set != nil {
		if z, ok := set("timezone"); ok {
			return z
		}
	}
	return "UTC"
}

// parseView parses the text of a view's query.
func parseView(text string) (*ast.Query, error) {
	ss, err := parser.Parse(text)
	if err != nil {
		return nil, err
	}
	if len(ss) == 1 {
		if q, ok := ss[0].(*ast.Query); ok {
			return q, nil
		}
	}
	return nil, sqlerr.New(sqlerr.Internal, "the stored text of a view is no query")
}

// name resolves the name of an object to make. exists: there is one already, and
// the statement said IF NOT EXISTS.
func (x *ddlRun) name(n ast.Name, ifNotExists bool) (schema, name string, exists bool, err error) {
	schema, name = catalog.Public, n.Base()
	if len(n.Parts) > 1 {
		schema = n.Parts[len(n.Parts)-2]
	}
	switch schema {
	case catalog.Public:
	case catalog.PgCatalog, catalog.Information, catalog.System:
		return "", "", false, sqlerr.New("42501", `permission denied to create "%s.%s"`, schema, name).
			WithDetail("System schemas are not to be changed.").At(n.Offset())
	default:
		return "", "", false, sqlerr.New("3F000", `schema "%s" does not exist`, schema).At(n.Offset())
	}
	if x.cat.Lookup([]string{schema, name}, nil) == nil {
		return schema, name, false, nil
	}
	if ifNotExists {
		x.d.notice(sqlerr.DuplicateTable, `relation "%s" already exists, skipping`, name)
		return schema, name, true, nil
	}
	return "", "", false, sqlerr.New(sqlerr.DuplicateTable, `relation "%s" already exists`, name).At(n.Offset())
}

// onLoop runs fn on the loop, unless the engine is lost.
func (x *ddlRun) onLoop(fn func() error) error {
	var err error
	derr := x.e.do(x.ctx, func() {
		if err = x.e.Err(); err == nil {
			err = fn()
			x.version = x.e.version
		}
	})
	if derr != nil {
		return derr
	}
	return err
}

// assign gives an object its identifier and its state operators.
func (e *Engine) assign(o *catalog.Object) {
	if o.ID == 0 {
		o.ID = e.nextID
		e.nextID++
	}
	o.OpBase = e.nextOp
	e.nextOp += allOps(o)
}

// change makes a new catalog current. put and drop are those of catalog.Change.
func (e *Engine) change(put []*catalog.Object, drop []uint64, env *expr.Env) {
	e.cat.Store(e.currentCatalog().Change(put, drop, env))
	e.version++
	if e.dirtyObjects == nil {
		e.dirtyObjects = map[uint64]bool{}
	}
	for _, o := range put {
		e.dirtyObjects[o.ID] = true
	}
	for _, id := range drop {
		e.dirtyObjects[id] = true
	}
	e.changed, e.urgent = true, true
}

// advanceTo evaluates ADVANCE CLOCK's expression and moves the clock.
func (e *Engine) advanceTo(ctx context.Context, s *ast.AdvanceClock, d ddlContext) error {
	q := &ast.Query{Pos: s.Pos, Body: &ast.Select{Pos: s.Pos, Targets: []*ast.Target{{Pos: s.Pos, Expr: s.To}}}}
	ectx := e.stepContext()
	p := &planner.Planner{Catalog: e.currentCatalog(), Path: d.Path, Context: ectx, ParseView: parseView}
	pq, err := p.Select(q)
	if err != nil {
		return err
	}
	var v types.Datum
	t := pq.Columns[0].Type
	n := 0
	err = e.runOnce(ctx, pq.Root, ectx, func(*plan.Node, exec.Emit) error {
		return sqlerr.New(sqlerr.FeatureNotSupported, "ADVANCE CLOCK TO takes no query")
	}, func(b *delta.Batch) error {
		v, n = b.Cols[0].Datum(b.N-1), n+b.N
		return nil
	})
	if err != nil {
		return err
	}
	bad := sqlerr.New(sqlerr.InvalidParameter, "ADVANCE CLOCK TO needs a timestamp with time zone").At(s.To.Offset())
	if n != 1 || v.Null {
		return bad
	}
	switch t.ID {
	case types.Timestamptz, types.Timestamp:
	case types.Text, types.Unknown, types.Varchar:
		if v, err = types.ParseText(types.Of(types.Timestamptz), string(v.S)); err != nil {
			return err
		}
	default:
		return bad
	}
	if types.Infinite(v.I) {
		return bad
	}
	return e.advanceClock(ctx, v.I)
}

// options makes a map of a WITH clause.
func options(list []*ast.Option, into map[string]string) (map[string]string, error) {
	if into == nil {
		into = map[string]string{}
	}
	for _, o := range list {
		if _, twice := into[o.Name]; twice {
			return nil, sqlerr.New(sqlerr.Syntax, `option "%s" is given twice`, o.Name).At(o.Offset())
		}
		v := "true"
		if o.Value != nil {
			v = o.Value.Text
		}
		into[o.Name] = v
	}
	return into, nil
}
