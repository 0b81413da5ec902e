package engine

import (
	"context"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/streamsql/streamsql/sql/ast"
	"github.com/streamsql/streamsql/sql/catalog"
	"github.com/streamsql/streamsql/sql/expr"
	"github.com/streamsql/streamsql/sql/parser"
	"github.com/streamsql/streamsql/sql/plan"
	"github.com/streamsql/streamsql/sql/planner"
	"github.com/streamsql/streamsql/sql/sqlerr"
	"github.com/streamsql/streamsql/sql/types"
)

// Column describes a result column.
type Column struct {
	Name  string
	Type  types.Type
	Table uint64 // 0: not a table's own column
	Attr  int16
}

// Statement is one parsed statement. Offsets in AST count from the start of Text.
type Statement struct {
	Text   string
	Offset int // of Text in the text that was parsed
	AST    ast.Statement

	cached *cachedPlan // where its plan is kept; nil: nowhere
}

// Hooks are what a session asks of the server that owns it. Any may be nil.
type Hooks struct {
	// Deallocate forgets a prepared statement, and tells whether there was one.
	Deallocate    func(name string) bool
	DeallocateAll func()
}

// Session is one client's. Its methods, and those of what it returns, are called
// by one goroutine at a time.
type Session struct {
	Hooks Hooks
	// Implicit says that statements outside a transaction block make one
	// transaction until Sync, as on PostgreSQL's wire. Without it each commits by
	// itself.
	Implicit bool

	eng      *Engine
	user     string
	database string
	started  int64
	settings settings
	tx       transaction
	cache    *planCache
	virtual  virtualCache
	activity *activity
	closed   bool
}

// NewSession opens a session. params are startup parameters or settings: 22023
// for a value that cannot be, 42704 for a name that nobody knows.
func (e *Engine) NewSession(user, database string, params map[string]string) (*Session, error) {
	if user == "" {
		user = "streamsql"
	}
	if database == "" {
		database = user
	}
	s := &Session{eng: e, user: user, database: database, started: e.now(), cache: newPlanCache(256)}
	s.settings.now = map[string]string{"session_authorization": user}
	for _, k := range slices.Sorted(mapKeys(params)) {
		switch strings.ToLower(k) {
		case "user", "database", "options", "replication":
			continue
		case "streamsql.clock": // the engine's, not the session's
			return nil, sqlerr.New(sqlerr.InvalidParameter, `parameter "%s" cannot be set at the start of a session`, k)
		}
		if _, err := s.settings.set(k, params[k]); err != nil {
			return nil, err
		}
	}
	s.settings.reset = s.settings.now
	s.activity = sessions.add(s)
	return s, nil
}

func mapKeys(m map[string]string) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

// SetPID tells the process id that the client was given.
func (s *Session) SetPID(pid uint32) { s.activity.pid.Store(int64(pid)) }

// Close ends the session: an open transaction is rolled back.
func (s *Session) Close() {
	if s.closed {
		return
	}
	s.closed = true
	s.tx.drop()
	sessions.remove(s.activity)
}

// Setting returns a parameter's value; false when there is none of that name.
func (s *Session) Setting(name string) (string, bool) {
	if strings.EqualFold(name, "transaction_read_only") && s.tx.readOnly {
		return "on", true
	}
	return s.settings.get(name)
}

// Parse splits and parses a text. Positions of its errors count from the text's
// start; those of later errors from the start of the statement's own text.
func (s *Session) Parse(sql string) ([]*Statement, error) {
	if st := s.cache.parsed(sql); st != nil {
		return []*Statement{st}, nil
	}
	trees, err := parser.Parse(sql)
	if err != nil || len(trees) == 0 {
		return nil, err
	}
	toks, err := parser.Lex(sql)
	if err != nil {
		return nil, err
	}
	ranges := parser.Split(sql, toks)
	if len(ranges) != len(trees) {
		return nil, sqlerr.New(sqlerr.Internal, "%d statements in %d parts", len(trees), len(ranges))
	}
	out := make([]*Statement, len(trees))
	for i, r := range ranges {
		text, tree := sql[r[0]:r[1]], trees[i]
		if r[0] > 0 { // again, for offsets of its own
			one, err := parser.Parse(text)
			if err != nil || len(one) != 1 {
				return nil, sqlerr.New(sqlerr.Internal, "statement %d does not parse by itself: %v", i+1, err)
			}
			tree = one[0]
		}
		out[i] = &Statement{Text: text, Offset: r[0], AST: tree}
	}
	if len(out) == 1 {
		s.cache.keepParsed(sql, out[0])
	}
	return out, nil
}

func parseViewText(text string) (*ast.Query, error) {
	trees, err := parser.Parse(text)
	if err != nil {
		return nil, err
	}
	if len(trees) == 1 {
		if q, ok := trees[0].(*ast.Query); ok {
			return q, nil
		}
	}
	return nil, sqlerr.New(sqlerr.Internal, "a view's text is not a query: %s", text)
}

// path is the schemas in which unqualified names are looked for.
func (s *Session) path() []string {
	v, _ := s.settings.get("search_path")
	names, _ := splitPath(v)
	var out []string
	if !slices.Contains(names, catalog.PgCatalog) {
		out = append(out, catalog.PgCatalog)
	}
	for _, n := range names {
		if n == "$user" {
			n = s.user
		}
		if schemaOID(n) != 0 && !slices.Contains(out, n) {
			out = append(out, n)
		}
	}
	return out
}

// exprContext is what the functions of one statement know.
func (s *Session) exprContext(cat *catalog.Catalog) *expr.Context {
	set, now := s.settings, s.eng.now()
	if s.tx.block {
		now = s.tx.now
	}
	ro := s.tx.readOnly
	c := &expr.Context{Now: now, User: s.user, Database: s.database, Random: rand.Float64}
	c.Setting = func(name string) (string, bool) {
		if ro && strings.EqualFold(name, "transaction_read_only") {
			return "on", true
		}
		return set.get(name)
	}
	f := &catalogFuncs{cat: cat, eng: s.eng, path: s.path(), user: s.user, database: s.database, session: s.activity}
	c.Catalog = f.call
	return c
}

func (s *Session) planner(cat *catalog.Catalog, params []types.Type) *planner.Planner {
	return &planner.Planner{Catalog: cat, Path: s.path(), Params: slices.Clone(params),
		Context: s.exprContext(cat), ParseView: parseViewText}
}

// Prepared is a statement with its types resolved.
type Prepared struct {
	s        *Session
	st       *Statement
	declared []types.Type
	params   []types.Type
	cols     []Column
	planned  *planned // of a query or a write
}

// planned is a plan and the catalog that it was made with.
type planned struct {
	cat   *catalog.Catalog
	query *plan.Query
	write *plan.Write
	cols  []Column
}

// Params returns the types of $1 ….
func (p *Prepared) Params() []types.Type { return p.params }

// Columns returns the result's columns; nil: the statement returns no rows.
func (p *Prepared) Columns() []Column { return p.cols }

var errAborted = sqlerr.New("25P02", "current transaction is aborted, commands ignored until end of transaction block")

// endsTransaction tells what may run in a failed transaction.
func endsTransaction(st ast.Statement) bool {
	switch st.(type) {
	case *ast.Commit, *ast.Rollback:
		return true
	}
	return false
}

// Prepare resolves a statement. params may be shorter than the parameters;
// types.Unknown stands for one to infer.
func (s *Session) Prepare(ctx context.Context, st *Statement, params []types.Type) (*Prepared, error) {
	if s.tx.failed && !endsTransaction(st.AST) {
		return nil, errAborted
	}
	p := &Prepared{s: s, st: st, declared: params}
	switch a := st.AST.(type) {
	case *ast.Query, *ast.Insert, *ast.Update, *ast.Delete:
		pl, err := s.plan(st, params)
		if err != nil {
			return nil, err
		}
		p.planned, p.cols = pl, pl.cols
		if pl.query != nil {
			p.params = pl.query.Params
		} else {
			p.params = pl.write.Params
		}
		if i := slices.IndexFunc(p.params, func(t types.Type) bool { return t.ID == types.Unknown }); i >= 0 {
			p.params = slices.Clone(p.params)
			for i := range p.params {
				if p.params[i].ID == types.Unknown { // used where any type is right
					p.params[i] = types.Of(types.Text)
				}
			}
		}
	case *ast.Explain, *ast.ExplainWatermark:
		p.cols = []Column{{Name: "QUERY PLAN", Type: types.Of(types.Text)}}
	case *ast.Show:
		cols, err := s.showColumns(a)
		if err != nil {
			return nil, err
		}
		p.cols = cols
	}
	return p, nil
}

// plan plans a query or a write, or finds it in the cache.
func (s *Session) plan(st *Statement, params []types.Type) (*planned, error) {
	cat := s.eng.currentCatalog()
	if pl := s.cache.plan(st, cat, params, s.settings); pl != nil {
		return pl, nil
	}
	p := s.planner(cat, params)
	pl := &planned{cat: cat}
	var err error
	switch a := st.AST.(type) {
	case *ast.Query:
		if pl.query, err = p.Select(a); err == nil {
			pl.cols = queryColumns(cat, pl.query)
		}
	case *ast.Insert:
		pl.write, err = p.Insert(a)
	case *ast.Update:
		pl.write, err = p.Update(a)
	case *ast.Delete:
		pl.write, err = p.Delete(a)
	}
	if err != nil {
		return nil, err
	}
	if pl.write != nil && pl.write.Returning != nil {
		pl.cols = make([]Column, len(pl.write.Columns))
		for i, c := range pl.write.Columns {
			pl.cols[i] = Column{Name: c.Name, Type: c.Type}
		}
	}
	s.cache.keepPlan(st, params, s.settings, pl)
	return pl, nil
}

// fresh returns the plan, made again if the catalog is another one by now.
func (p *Prepared) fresh() (*planned, error) {
	if p.planned.cat == p.s.eng.currentCatalog() {
		return p.planned, nil
	}
	pl, err := p.s.plan(p.st, p.params)
	if err != nil {
		return nil, err
	}
	same := slices.EqualFunc(p.cols, pl.cols, func(a, b Column) bool { return a.Name == b.Name && a.Type == b.Type })
	if !same {
		return nil, sqlerr.New(sqlerr.FeatureNotSupported, "cached plan must not change result type")
	}
	p.planned = pl
	return pl, nil
}

// Execute starts the statement. One that writes has written when Execute
// returns, unless its transaction is still open.
func (p *Prepared) Execute(ctx context.Context, args []types.Datum) (*Rows, error) {
	s := p.s
	if s.tx.failed && !endsTransaction(p.st.AST) {
		return nil, errAborted
	}
	if len(args) != len(p.params) {
		return nil, sqlerr.New("08P01", "%d parameters for a statement that takes %d", len(args), len(p.params))
	}
	s.activity.begin(p.st.Text)
	ctx, cancel := s.limit(ctx)
	r, err := p.execute(ctx, args)
	cancel()
	if err != nil {
		if c := context.Cause(ctx); c != nil && ctx.Err() != nil {
			err = timeoutOr(c, err)
		}
		s.activity.end()
		return nil, err
	}
	return r, nil
}

func (p *Prepared) execute(ctx context.Context, args []types.Datum) (*Rows, error) {
	switch p.st.AST.(type) {
	case *ast.Query:
		pl, err := p.fresh()
		if err != nil {
			return nil, err
		}
		return p.s.runQuery(ctx, pl, args)
	case *ast.Insert, *ast.Update, *ast.Delete:
		pl, err := p.fresh()
		if err != nil {
			return nil, err
		}
		return p.s.runWrite(ctx, pl, args)
	}
	return p.s.runUtility(ctx, p.st)
}

var errTimeout = sqlerr.New(sqlerr.QueryCanceled, "canceling statement due to statement timeout")

// timeoutOr gives the cause of a cancelled context if that is an error to report.
func timeoutOr(cause, err error) error {
	if cause == errTimeout {
		return cause
	}
	return err
}

// limit applies statement_timeout.
func (s *Session) limit(ctx context.Context) (context.Context, context.CancelFunc) {
	d := s.timeout()
	if d == 0 {
		return ctx, func() {}
	}
	return context.WithTimeoutCause(ctx, d, errTimeout)
}

func (s *Session) timeout() time.Duration {
	v, ok := s.settings.now["statement_timeout"]
	if !ok || v == "0" {
		return 0
	}
	d, _ := time.ParseDuration(v + "ms")
	return d
}

// processStart is when this process began, for pg_postmaster_start_time.
var processStart = time.Now().UnixMicro()

// activity is what pg_stat_activity shows of a session.
type activity struct {
	id      int64
	pid     atomic.Int64 // as the client knows it
	s       *Session
	query   atomic.Pointer[string]
	since   atomic.Int64 // µs
	running atomic.Bool
	app     atomic.Pointer[string] // application_name
}

func (a *activity) begin(text string) {
	a.query.Store(&text)
	a.since.Store(time.Now().UnixMicro())
	a.running.Store(true)
}

func (a *activity) end() { a.running.Store(false) }

// Exec runs a text to its end and returns the last statement's rows: the way of
// those who embed the engine. Each statement commits by itself outside a
// transaction block.
func (s *Session) Exec(ctx context.Context, sql string) (*Answer, error) {
	stmts, err := s.Parse(sql)
	if err != nil {
		return nil, err
	}
	a := &Answer{}
	for _, st := range stmts {
		if a, err = s.execOne(ctx, st); err != nil {
			s.Fail()
			if e := sqlerr.From(err); e.Pos > 0 && st.Offset > 0 {
				moved := *e
				moved.Pos += st.Offset
				err = &moved
			}
			return nil, err
		}
	}
	if err := s.Sync(ctx); err != nil {
		return nil, err
	}
	return a, nil
}

// Answer is the whole answer to a statement.
type Answer struct {
	Columns []Column // nil: it returns no rows
	Rows    [][]types.Datum
	Tag     string
	Notices []Notice
}

func (s *Session) execOne(ctx context.Context, st *Statement) (*Answer, error) {
	p, err := s.Prepare(ctx, st, nil)
	if err != nil {
		return nil, err
	}
	if len(p.params) > 0 {
		return nil, sqlerr.New("42P02", "there is no parameter $1")
	}
	r, err := p.Execute(ctx, nil)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	a := &Answer{Columns: p.cols}
	for {
		more, err := r.Next(ctx)
		a.Notices = append(a.Notices, r.Notices()...)
		if err != nil {
			return nil, err
		}
		if !more {
			a.Tag = r.Tag()
			return a, nil
		}
		row := slices.Clone(r.Row())
		for i := range row {
			row[i].S = slices.Clone(row[i].S)
		}
		a.Rows = append(a.Rows, row)
	}
}
