package sqllogictest

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/streamsql/streamsql/sql/sqlerr"
	"github.com/streamsql/streamsql/sql/types"
)

// DB is the database under test: one engine, any number of connections.
type DB interface {
	Connect(ctx context.Context) (Conn, error)
}

// Conn runs one statement at a time.
type Conn interface {
	Exec(ctx context.Context, sql string) (*Result, error)
	Close()
}

// Result is what a statement returned.
type Result struct {
	Types []types.Type // nil: no rows are returned
	Rows  [][]types.Datum
	Count int // rows affected by DML
}

// Engine is the name that skipif and onlyif know this engine by.
const Engine = "postgresql"

// Mode says how queries are run.
type Mode string

// The modes; see the package comment.
const (
	Batch Mode = "batch"
	View  Mode = "view"
)

// Summary counts the records of a run.
type Summary struct{ Passed, Failed, Skipped int }

func (s Summary) String() string {
	return fmt.Sprintf("%d passed, %d failed, %d skipped", s.Passed, s.Failed, s.Skipped)
}

// Options of a run.
type Options struct {
	Mode     Mode
	Engine   string    // the name that skipif and onlyif mean; "": Engine
	Log      io.Writer // gets a paragraph for each failure
	MaxFails int       // stop after that many; 0: never
}

type tracked struct{ name, query string }

type runner struct {
	ctx       context.Context
	db        DB
	opts      Options
	conns     map[string]Conn
	conn      string
	threshold int
	labels    map[string]string
	views     []tracked       // views the file created
	early     map[*Record]int // views the runner created, by their query
	nviews    int
	dropped   int // of nviews
	check     bool
	noViews   bool // queries are not made views
	sum       Summary
}

// Run runs records and reports what passed. The error is one of the run itself:
// a connection that could not be opened, or ctx done.
func Run(ctx context.Context, db DB, records []*Record, opts Options) (Summary, error) {
	if opts.Log == nil {
		opts.Log = io.Discard
	}
	if opts.Engine == "" {
		opts.Engine = Engine
	}
	r := &runner{ctx: ctx, db: db, opts: opts, conns: map[string]Conn{}, conn: "default",
		threshold: 8, labels: map[string]string{}, early: map[*Record]int{}, check: true}
	defer func() {
		for _, c := range r.conns {
			c.Close()
		}
	}()
	for i, rec := range records {
		if err := ctx.Err(); err != nil {
			return r.sum, err
		}
		if !rec.Applies(opts.Engine) {
			r.sum.Skipped++
			continue
		}
		if rec.Kind == Halt {
			r.sum.Skipped += len(records) - i - 1
			break
		}
		if opts.Mode == View {
			if err := r.prepare(rec, records[i:]); err != nil {
				return r.sum, err
			}
		}
		if err := r.record(rec); err != nil {
			r.sum.Failed++
			fmt.Fprintf(opts.Log, "%s:%d: %v\n%s\n\n", rec.File, rec.Line, err, rec.SQL)
			if opts.MaxFails > 0 && r.sum.Failed >= opts.MaxFails {
				return r.sum, nil
			}
		}
	}
	return r.sum, nil
}

func (r *runner) exec(sql string) (*Result, error) {
	c := r.conns[r.conn]
	if c == nil {
		var err error
		if c, err = r.db.Connect(r.ctx); err != nil {
			return nil, err
		}
		r.conns[r.conn] = c
	}
	return c.Exec(r.ctx, sql)
}

func (r *runner) record(rec *Record) error {
	switch rec.Kind {
	case Connection:
		r.conn = rec.Name
		return nil
	case HashThreshold:
		r.threshold = rec.N
		return nil
	case Control:
		switch rec.Name {
		case "check":
			r.check = rec.Value != "off"
		case "views":
			r.noViews = rec.Value == "off"
		}
		return nil
	case Subtest:
		return nil
	case Statement:
		if strings.EqualFold(firstWord(rec.SQL), "DROP") {
			r.dropViews() // what the file drops must not have our views depend on it
		}
		res, err := r.exec(rec.SQL)
		if err := expect(rec, err); err != nil {
			return err
		}
		if rec.Wants.Count >= 0 && res.Count != rec.Wants.Count {
			return fmt.Errorf("%d rows affected, want %d", res.Count, rec.Wants.Count)
		}
		if err == nil {
			r.track(rec.SQL)
		}
		if r.check {
			for _, v := range r.views {
				if err := r.compareView("SELECT * FROM "+v.name, v.query); err != nil {
					return fmt.Errorf("after this statement view %s is wrong: %w", v.name, err)
				}
			}
		}
	case Query:
		res, err := r.exec(rec.SQL)
		if e := expect(rec, err); e != nil || rec.Wants.Error {
			if e == nil {
				r.sum.Passed++
			}
			return e
		}
		err = r.compare(rec, res)
		for n := 0; n < rec.Retry && err != nil; n++ {
			time.Sleep(rec.Backoff)
			if res, err = r.exec(rec.SQL); err == nil {
				err = r.compare(rec, res)
			}
		}
		if err != nil {
			return err
		}
		if r.opts.Mode == View && !r.noViews && isQuery(rec.SQL) {
			n, ok := r.early[rec]
			if !ok {
				if err := r.createView(rec); err != nil {
					return fmt.Errorf("as a view: %w", err)
				}
				n = r.early[rec]
			}
			if err := r.compareRows(fmt.Sprintf("SELECT * FROM slt_view_%d", n), res); err != nil {
				return fmt.Errorf("as a view: %w", err)
			}
		}
	}
	r.sum.Passed++
	return nil
}

// prepare makes the views of the queries that come before data changes, and
// drops those made so far before something is dropped that they may read.
func (r *runner) prepare(rec *Record, rest []*Record) error {
	switch {
	case isDML(rec.SQL):
		return r.createViews(rest)
	case rec.Kind == Statement && strings.EqualFold(firstWord(rec.SQL), "DROP"):
		for _, n := range r.early {
			if _, err := r.exec(fmt.Sprintf("DROP MATERIALIZED VIEW slt_view_%d", n)); err != nil {
				return fmt.Errorf("%s:%d: %w", rec.File, rec.Line, err)
			}
		}
		clear(r.early)
	}
	return nil
}

func isDML(sql string) bool {
	w := strings.ToUpper(firstWord(sql))
	return w == "INSERT" || w == "UPDATE" || w == "DELETE"
}

// isQuery tells whether a query record is one whose answer a view can hold, not
// SHOW, EXPLAIN or a change with RETURNING.
func isQuery(sql string) bool {
	switch strings.ToUpper(firstWord(sql)) {
	case "INSERT", "UPDATE", "DELETE", "SHOW", "EXPLAIN":
		return false
	}
	return true
}

// dropViews drops the views of the queries so far.
func (r *runner) dropViews() {
	for ; r.dropped < r.nviews; r.dropped++ {
		_, _ = r.exec(fmt.Sprintf("DROP MATERIALIZED VIEW slt_view_%d", r.dropped))
	}
}

func firstWord(sql string) string {
	if f := strings.Fields(sql); len(f) > 0 {
		return f[0]
	}
	return ""
}

// createViews makes a view of every query that comes, as far as its tables
// exist by now; the others are made where they stand.
func (r *runner) createViews(rest []*Record) error {
	off := r.noViews
	for _, rec := range rest {
		if rec.Kind == Control && rec.Name == "views" {
			off = rec.Value == "off"
		}
		if off {
			continue
		}
		if rec.Kind == Statement && !isDML(rec.SQL) {
			return nil // later tables, drops, settings: what follows may mean something else
		}
		if _, done := r.early[rec]; done {
			return nil
		}
		if rec.Kind == Query && isQuery(rec.SQL) && !rec.Wants.Error && rec.Applies(r.opts.Engine) {
			if err := r.createView(rec); err != nil && sqlerr.From(err).Code != sqlerr.UndefinedTable {
				continue // reported when the query's turn comes
			}
		}
	}
	return r.ctx.Err()
}

func (r *runner) createView(rec *Record) error {
	cols := make([]string, len(rec.Types))
	for i := range cols {
		cols[i] = fmt.Sprintf("c%d", i+1)
	}
	n := r.nviews
	_, err := r.exec(fmt.Sprintf("CREATE MATERIALIZED VIEW slt_view_%d (%s) AS %s", n, strings.Join(cols, ", "), rec.SQL))
	if err == nil {
		r.nviews++
		r.early[rec] = n
	}
	return err
}

var (
	createMV = regexp.MustCompile(`(?is)^\s*CREATE\s+(?:OR\s+REPLACE\s+)?MATERIALIZED\s+VIEW\s+(?:IF\s+NOT\s+EXISTS\s+)?("[^"]+"|[\w.]+)\s*(?:\([^)]*\)\s*)?(WITH\s*\([^)]*\)\s*)?AS\s+(.*)$`)
	dropMV   = regexp.MustCompile(`(?is)^\s*DROP\s+MATERIALIZED\s+VIEW\s+(?:IF\s+EXISTS\s+)?("[^"]+"|[\w.]+)`)
)

// track remembers the views that the file creates. A view WITH options may
// differ from the batch answer by design and is left out.
func (r *runner) track(sql string) {
	if m := createMV.FindStringSubmatch(sql); m != nil {
		r.views = slices.DeleteFunc(r.views, func(v tracked) bool { return v.name == m[1] })
		if m[2] == "" && !strings.Contains(strings.ToUpper(m[3]), "EMIT ON WINDOW CLOSE") {
			r.views = append(r.views, tracked{m[1], strings.TrimRight(m[3], "; \n")})
		}
	} else if strings.EqualFold(firstWord(sql), "DROP") {
		if m := dropMV.FindStringSubmatch(sql); m != nil && !strings.Contains(strings.ToUpper(sql), "CASCADE") {
			r.views = slices.DeleteFunc(r.views, func(v tracked) bool { return v.name == m[1] })
		} else { // whatever went with it is tracked no more
			r.views = slices.DeleteFunc(r.views, func(v tracked) bool {
				_, err := r.exec("SELECT * FROM " + v.name + " LIMIT 0")
				return err != nil && sqlerr.From(err).Code == sqlerr.UndefinedTable
			})
		}
	}
}

func (r *runner) compareView(viewSQL, query string) error {
	want, err := r.exec(query)
	if err != nil {
		return fmt.Errorf("the batch query: %w", err)
	}
	return r.compareRows(viewSQL, want)
}

// compareRows compares two answers as multisets of rows, exactly.
func (r *runner) compareRows(viewSQL string, want *Result) error {
	got, err := r.exec(viewSQL)
	if err != nil {
		return err
	}
	g, w := exactRows(got), exactRows(want)
	if !slices.Equal(g, w) {
		return fmt.Errorf("the view holds\n  %s\nthe batch answer is\n  %s", strings.Join(g, "\n  "), strings.Join(w, "\n  "))
	}
	return nil
}

func exactRows(res *Result) []string {
	out := make([]string, len(res.Rows))
	for i, row := range res.Rows {
		var b []byte
		for c, d := range row {
			if c > 0 {
				b = append(b, '|')
			}
			if d.Null {
				b = append(b, "NULL"...)
			} else {
				b = types.FormatText(b, res.Types[c], d)
			}
		}
		out[i] = string(b)
	}
	slices.Sort(out)
	return out
}

// expect compares a statement's end with what the record wants.
func expect(rec *Record, err error) error {
	switch {
	case err == nil && rec.Wants.Error:
		return errors.New("it succeeded, an error was expected")
	case err != nil && !rec.Wants.Error:
		return fmt.Errorf("%s: %w", sqlerr.From(err).Code, err)
	case err == nil:
		return nil
	}
	if s := rec.Wants.State; s != "" && sqlerr.From(err).Code != s {
		return fmt.Errorf("SQLSTATE %s (%v), want %s", sqlerr.From(err).Code, err, s)
	}
	if p := rec.Wants.Match; p != "" {
		re, bad := regexp.Compile(p)
		if bad != nil {
			return bad
		}
		if !re.MatchString(err.Error()) {
			return fmt.Errorf("error %q does not match %q", err, p)
		}
	}
	return nil
}

func (r *runner) compare(rec *Record, res *Result) error {
	if len(rec.Types) != len(res.Types) {
		return fmt.Errorf("%d columns, want %d", len(res.Types), len(rec.Types))
	}
	rows := make([][]string, len(res.Rows))
	for i, row := range res.Rows {
		rows[i] = make([]string, len(row))
		for c, d := range row {
			rows[i][c] = render(rec.Types[c], res.Types[c], d)
		}
	}
	if rec.Sort == "rowsort" {
		slices.SortFunc(rows, slices.Compare)
	}
	var values []string
	for _, row := range rows {
		values = append(values, row...)
	}
	if rec.Sort == "valuesort" {
		slices.Sort(values)
	}
	h := md5.New()
	for _, v := range values {
		io.WriteString(h, v+"\n")
	}
	sum := hex.EncodeToString(h.Sum(nil))
	if rec.Label != "" {
		if first, ok := r.labels[rec.Label]; ok && first != sum {
			return fmt.Errorf("label %s: the answer differs from an earlier one", rec.Label)
		}
		r.labels[rec.Label] = sum
	}
	if !rec.HasCheck {
		if len(values) > 0 {
			return fmt.Errorf("%d values, want none", len(values))
		}
		return nil
	}
	if len(rec.Result) == 1 && strings.Contains(rec.Result[0], " values hashing to ") {
		if got := fmt.Sprintf("%d values hashing to %s", len(values), sum); got != rec.Result[0] {
			return fmt.Errorf("got %s, want %s\n%s", got, rec.Result[0], strings.Join(values, "\n"))
		}
		return nil
	}
	got, want := values, rec.Result
	if len(rec.Result) != len(values) && len(rec.Result) == len(rows) && rec.Sort != "valuesort" {
		got, want = make([]string, len(rows)), make([]string, len(rows))
		for i := range rows {
			got[i] = strings.Join(strings.Fields(strings.Join(rows[i], " ")), " ")
			want[i] = strings.Join(strings.Fields(rec.Result[i]), " ")
		}
		if rec.Sort == "rowsort" { // whole rows were written in any order
			slices.Sort(got)
			slices.Sort(want)
		}
	}
	if !slices.Equal(got, want) {
		return fmt.Errorf("got\n  %s\nwant\n  %s", strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
	return nil
}

// render prints one value as the record's type letter wants it.
func render(letter byte, t types.Type, d types.Datum) string {
	if d.Null {
		return "NULL"
	}
	s := string(types.FormatText(nil, t, d))
	switch letter {
	case 'I':
		switch t.ID {
		case types.Bool:
			return strconv.FormatInt(d.I, 10)
		case types.Float4, types.Float8:
			return strconv.FormatInt(int64(d.F), 10)
		case types.Numeric:
			s, _, _ = strings.Cut(s, ".")
			if s == "-0" {
				s = "0"
			}
		}
		return s
	case 'R':
		if f, err := strconv.ParseFloat(s, 64); err == nil {
			return strconv.FormatFloat(f, 'f', 3, 64)
		}
		return s
	case '?':
		if s == "" {
			return "(empty)"
		}
		return s
	}
	if s == "" {
		return "(empty)"
	}
	b := []byte(s)
	for i, c := range b {
		if c < ' ' || c > '~' {
			b[i] = '@'
		}
	}
	return string(b)
}
