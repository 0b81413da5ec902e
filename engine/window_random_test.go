package engine

import (
	"fmt"
	"math/rand"
	"slices"
	"strings"
	"testing"
)

// windowQueries makes queries over windows of the table e at random.
type windowQueries struct {
	r      *rand.Rand
	append bool // rows are only added
	once   bool // a row is in one window
}

func (g *windowQueries) pick(xs ...string) string { return xs[g.r.Intn(len(xs))] }

// rel is a relation with time columns. Columns of a window are there under their
// names, where it has them.
type windowRel struct {
	sql  string
	cols []string // all are unique
	time []string // those of cols that a window can be over
}

func (w windowRel) has(c string) bool { return slices.Contains(w.cols, c) }

// base is a window over the table, or over what was made of a window.
func (g *windowQueries) base(depth int) windowRel {
	in, cols, ts := "e", []string{"id", "k", "j", "v", "ts"}, "ts"
	switch {
	case depth > 0 && g.r.Intn(2) == 0:
		sub := g.query(depth - 1)
		if len(sub.time) > 0 && sub.has("v") && sub.has("k") {
			ts = g.pick(sub.time...)
			in, cols = "("+sub.sql+")", sub.cols
		}
	case g.r.Intn(4) == 0:
		in, cols = "(SELECT k, v, ts FROM e WHERE v <> 3)", []string{"k", "v", "ts"}
	case g.append && !g.once && g.r.Intn(3) == 0:
		in, cols = "(SELECT id, k, (sum(v) OVER (PARTITION BY k ORDER BY ts, id ROWS BETWEEN "+g.pick("2", "UNBOUNDED")+" PRECEDING AND CURRENT ROW))::bigint AS v, ts FROM e)", []string{"id", "k", "v", "ts"}
	case g.r.Intn(5) == 0:
		in, cols = "(SELECT e.id, e.k, e.j, names.n AS v, e.ts FROM e JOIN names ON e.k = names.k)", []string{"id", "k", "j", "v", "ts"}
	}
	off := ""
	if g.r.Intn(4) == 0 {
		off = ", INTERVAL '7 seconds'"
	}
	fn := ""
	kind := g.r.Intn(5)
	if g.once && (kind == 2 || kind == 3) {
		kind = 0
	}
	switch kind {
	case 0, 1:
		fn = fmt.Sprintf("TUMBLE(%s, %s, INTERVAL '%s'%s)", in, ts, g.pick("10 seconds", "1 minute"), off)
	case 2:
		fn = fmt.Sprintf("HOP(%s, %s, INTERVAL '20 seconds', INTERVAL '1 minute'%s)", in, ts, off)
	case 3:
		fn = fmt.Sprintf("CUMULATE(%s, %s, INTERVAL '20 seconds', INTERVAL '1 minute'%s)", in, ts, off)
	default:
		fn = fmt.Sprintf("SESSION(%s%s, %s, INTERVAL '%s')", in, g.pick("", " PARTITION BY k", " PARTITION BY k, v"), ts, g.pick("3 seconds", "15 seconds"))
	}
	cols = slices.DeleteFunc(slices.Clone(cols), func(c string) bool { return strings.HasPrefix(c, "window_") })
	out := windowRel{sql: fn, cols: append(cols, "window_start", "window_end", "window_time"), time: []string{"window_end", "window_time"}}
	if strings.HasPrefix(fn, "TUMBLE") {
		out.time = append(out.time, "window_start")
	}
	return out
}

// times are the columns among keep that w has as times.
func (w windowRel) times(keep []string) []string {
	var out []string
	for _, c := range w.time {
		if slices.Contains(keep, c) {
			out = append(out, c)
		}
	}
	return out
}

// some are some of the columns xs, in their order.
func (g *windowQueries) some(xs ...string) []string {
	var out []string
	for _, x := range xs {
		if g.r.Intn(2) == 0 {
			out = append(out, x)
		}
	}
	return out
}

// bounds are columns of the window, one at least.
func (g *windowQueries) bounds() []string {
	out := g.some("window_start", "window_end", "window_time")
	if len(out) == 0 {
		out = append(out, g.pick("window_start", "window_end", "window_end", "window_time"))
	}
	return out
}

// query is something made of a window.
func (g *windowQueries) query(depth int) windowRel {
	w := g.base(depth)
	where := g.pick("", "", " WHERE v > 1", " WHERE k <> 'b'")
	switch g.r.Intn(8) {
	case 7: // a window's end may be NULL in some sets
		bound := g.pick("window_start", "window_end", "window_time")
		sets := "(k, " + bound + "), (" + bound + ", v)"
		if !g.once { // a set without the window takes rows that are late elsewhere
			sets = g.pick(sets, "("+bound+", v), (k)", "("+bound+"), (k, v, "+bound+")")
		}
		return windowRel{sql: fmt.Sprintf("SELECT k, %s, v, count(*) AS n FROM %s w%s GROUP BY GROUPING SETS (%s)",
			bound, w.sql, where, sets), cols: []string{"k", bound, "v", "n"}}
	case 6: // both inputs have what is needed to close, and the union may not
		show := append([]string{"k"}, g.some("window_end", "window_time")...)
		part := func(where string) string {
			if g.r.Intn(3) == 0 {
				return fmt.Sprintf("SELECT %s, v FROM (SELECT *, row_number() OVER (PARTITION BY window_start, window_end ORDER BY v) AS rn FROM %s w) WHERE rn = 1", strings.Join(show, ", "), w.sql)
			}
			return fmt.Sprintf("SELECT %s, count(*) AS v FROM %s w WHERE %s GROUP BY k, window_start, window_end, window_time", strings.Join(show, ", "), w.sql, where)
		}
		return windowRel{sql: part("v > 1") + " UNION ALL " + part("v <= 2"), cols: append(slices.Clone(show), "v"), time: w.times(show)}
	case 0, 1: // groups; not all keys are shown
		keys := g.some("k", "v")
		show := append(slices.Clone(keys), g.bounds()...)
		keys = append(slices.Clone(show), g.some("window_end")...)
		slices.Sort(keys)
		keys = slices.Compact(keys)
		agg := g.pick("count(*)", "sum(v)", "count(DISTINCT k)", "max(v) - min(v)", "string_agg(k, ',' ORDER BY k, v)")
		cols := slices.Clone(show)
		name := "n"
		if !slices.Contains(cols, "v") {
			agg, name = g.pick("count(*)", "sum(v)::bigint", "max(v)"), "v"
		}
		having := g.pick("", "", " HAVING count(*) > 1")
		sql := fmt.Sprintf("SELECT %s, %s AS %s FROM %s w%s GROUP BY %s%s", strings.Join(show, ", "), agg, name, w.sql, where, strings.Join(keys, ", "), having)
		cols = append(cols, name)
		return windowRel{sql: sql, cols: cols, time: w.times(show)}
	case 2:
		show := append(g.some("k", "v"), g.bounds()...)
		return windowRel{sql: fmt.Sprintf("SELECT DISTINCT %s FROM %s w%s", strings.Join(show, ", "), w.sql, where), cols: show, time: w.times(show)}
	case 3:
		part := append(g.some("k"), g.bounds()...)
		show := append([]string{"k", "v"}, g.bounds()...)
		fn := g.pick("row_number", "row_number", "rank")
		sql := fmt.Sprintf("SELECT %s FROM (SELECT *, %s() OVER (PARTITION BY %s ORDER BY v %s) AS rn FROM %s w%s) WHERE rn <= %d",
			strings.Join(show, ", "), fn, strings.Join(part, ", "), g.pick("", "DESC"), w.sql, where, 1+g.r.Intn(2))
		return windowRel{sql: sql, cols: show, time: w.times(intersect(show, part))}
	case 4:
		part := append(g.some("k"), g.bounds()...)
		show := append([]string{"k", "v"}, g.bounds()...)
		sql := fmt.Sprintf("SELECT %s, sum(v) OVER (PARTITION BY %s ORDER BY v)::bigint AS n FROM %s w%s", strings.Join(show, ", "), strings.Join(part, ", "), w.sql, where)
		return windowRel{sql: sql, cols: append(show, "n"), time: w.times(intersect(show, part))}
	default:
		if strings.HasPrefix(w.sql, "SESSION") {
			return g.query(depth) // sessions of two relations rarely have the same bounds
		}
		left := fmt.Sprintf("SELECT k, window_start, window_end, count(*) AS v FROM %s w%s GROUP BY k, window_start, window_end", w.sql, where)
		right := fmt.Sprintf("SELECT k, window_start, window_end, sum(v)::bigint AS s FROM %s w WHERE v > 2 GROUP BY k, window_start, window_end", w.sql)
		kind := g.pick("JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN")
		on := g.pick("a.window_start = b.window_start AND a.window_end = b.window_end", "a.window_end = b.window_end", "a.window_end = b.window_end AND a.window_start = b.window_start")
		if strings.HasPrefix(w.sql, "TUMBLE") && g.r.Intn(2) == 0 {
			on = "a.window_start = b.window_start"
		}
		sql := fmt.Sprintf("SELECT COALESCE(a.k, b.k) AS k, COALESCE(a.window_end, b.window_end) AS window_end, COALESCE(a.v, 0) AS v, b.s FROM (%s) a %s (%s) b ON a.k = b.k AND %s",
			left, kind, right, on)
		return windowRel{sql: sql, cols: []string{"k", "window_end", "v", "s"}, time: []string{"window_end"}}
	}
}

func intersect(a, b []string) []string {
	return slices.DeleteFunc(slices.Clone(a), func(x string) bool { return !slices.Contains(b, x) })
}

// TestWindowQueries: whatever is asked of windows, rows within the bound of the
// watermark are in the answer, in any order and with changes, none of them is
// late, and EMIT ON WINDOW CLOSE says the same in the end.
func TestWindowQueries(t *testing.T) {
	rounds := 6
	if testing.Short() {
		rounds = 2
	}
	for seed := range rounds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { windowRound(t, int64(seed)) })
	}
}

func windowRound(t *testing.T, seed int64) {
	r := rand.New(rand.NewSource(seed))
	g := &windowQueries{r: r, append: r.Intn(3) == 0}
	kind := ""
	if g.append {
		kind = " APPEND ONLY"
	}
	e := open(t, Options{Workers: 1 + int(seed)%3})
	s := another(t, e)
	script(t, s,
		"CREATE TABLE e (id int PRIMARY KEY, k text, j int, v bigint, ts timestamptz, WATERMARK FOR ts AS ts - INTERVAL '10 seconds')"+kind, "CREATE TABLE",
		"CREATE TABLE names (k text PRIMARY KEY, n bigint)", "CREATE TABLE",
		"INSERT INTO names VALUES ('a', 1), ('b', 2), ('c', 5)", "INSERT 0 3")
	type view struct {
		name, sql string
		closes    bool
	}
	var views []view
	for i := 0; len(views) < 24 && i < 200; i++ {
		q := g.query(1 + r.Intn(2))
		v := view{name: fmt.Sprintf("v%d", i), sql: q.sql}
		if got := ask(s, fmt.Sprintf("CREATE MATERIALIZED VIEW %s AS %s", v.name, v.sql)); got != "CREATE MATERIALIZED VIEW" {
			t.Fatalf("%s: %s", got, v.sql)
		}
		views = append(views, v)
		// Not all queries can be final: those can whose times are known.
		final := view{name: v.name + "_final", sql: q.sql, closes: true}
		got := ask(s, fmt.Sprintf("CREATE MATERIALIZED VIEW %s AS %s EMIT ON WINDOW CLOSE", final.name, v.sql))
		switch {
		case got == "CREATE MATERIALIZED VIEW":
			views = append(views, final)
		case got != "ERROR 42P20" || len(q.time) > 0:
			t.Fatalf("EMIT ON WINDOW CLOSE: %s: %s", got, v.sql)
		}
	}
	compare := func(v view) {
		t.Helper()
		diff := ask(s, fmt.Sprintf("SELECT count(*) FROM ((TABLE %s EXCEPT ALL (%s)) UNION ALL ((%s) EXCEPT ALL TABLE %s)) d", v.name, v.sql, v.sql, v.name))
		if diff != "0" {
			plan := ask(s, "EXPLAIN CREATE MATERIALIZED VIEW x AS "+v.sql)
			t.Fatalf("%s %s: %s rows differ\n%s\nview:\n%s\nquery:\n%s\nlate:\n%s\n%s", v.name, v.sql, diff, plan,
				ask(s, "SELECT * FROM "+v.name), ask(s, v.sql), ask(s, "SELECT * FROM "+v.name+"_late"), ask(s, "SELECT * FROM e"))
		}
	}
	late := func(v view) {
		t.Helper()
		if n := ask(s, "SELECT count(*) FROM "+v.name+"_late"); n != "0" && n != "ERROR 42P01" {
			t.Fatalf("%s: %s late rows\n%s\n%s\n%s\n%s", v.name, n, v.sql, ask(s, "EXPLAIN CREATE MATERIALIZED VIEW x AS "+v.sql),
				ask(s, "SELECT * FROM "+v.name+"_late"), ask(s, "SELECT * FROM e"))
		}
	}
	id, now, greatest := 0, 0, 0
	times := map[int]int{}
	at := func(sec int) string { return fmt.Sprintf("to_timestamp(%d)", 1_700_000_000+sec) }
	for range 25 {
		var rows []string
		for range 1 + r.Intn(8) {
			now += r.Intn(6)
			ts := max(0, now-r.Intn(11))
			if greatest-10 > ts {
				ts = greatest - 10
			}
			id++
			times[id] = ts
			rows = append(rows, fmt.Sprintf("(%d, '%s', %d, %d, %s)", id, g.pick("a", "b", "c"), r.Intn(2), r.Intn(5), at(ts)))
			// The rows of one statement are judged by the watermark before it.
			now = max(now, ts)
		}
		if got := ask(s, "INSERT INTO e VALUES "+strings.Join(rows, ", ")); !strings.HasPrefix(got, "INSERT") {
			t.Fatal(got)
		}
		for _, ts := range times {
			greatest = max(greatest, ts)
		}
		// Changes of rows that are not behind the watermark.
		var open []string
		for i, ts := range times {
			if ts >= greatest-10 {
				open = append(open, fmt.Sprint(i))
			}
		}
		slices.Sort(open)
		if len(open) > 0 && !g.append {
			i := open[r.Intn(len(open))]
			switch r.Intn(4) {
			case 0:
				ask(s, "DELETE FROM e WHERE id = "+i)
			case 1:
				ask(s, fmt.Sprintf("UPDATE e SET v = %d, k = '%s' WHERE id = %s", r.Intn(5), g.pick("a", "b"), i))
			}
		}
		for _, v := range views {
			if !v.closes {
				compare(v)
			}
			late(v)
		}
	}
	// A row far ahead closes all, and goes again.
	far := at(greatest + 100_000)
	script(t, s, fmt.Sprintf("INSERT INTO e VALUES (0, 'a', 1, 1, %s)", far), "INSERT 0 1")
	if g.append {
		return // the last row's own windows stay open
	}
	script(t, s, "DELETE FROM e WHERE id = 0", "DELETE 1")
	for _, v := range views {
		compare(v)
		late(v)
	}
}

// TestWindowQueriesLate: with rows beyond the bound, each view is what its query
// says of the rows that the view has not recorded as late.
func TestWindowQueriesLate(t *testing.T) {
	rounds := 8
	if testing.Short() {
		rounds = 2
	}
	for seed := range rounds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { lateRound(t, int64(seed)) })
	}
}

func lateRound(t *testing.T, seed int64) {
	r := rand.New(rand.NewSource(seed))
	g := &windowQueries{r: r, append: true, once: true}
	s := another(t, open(t, Options{Workers: 1 + int(seed)%3}))
	script(t, s,
		"CREATE TABLE e (id int PRIMARY KEY, k text, j int, v bigint, ts timestamptz, WATERMARK FOR ts AS ts - INTERVAL '10 seconds') APPEND ONLY", "CREATE TABLE",
		"CREATE TABLE names (k text PRIMARY KEY, n bigint)", "CREATE TABLE",
		"INSERT INTO names VALUES ('a', 1), ('b', 2), ('c', 5)", "INSERT 0 3")
	var views []string
	for i := range 24 {
		q := g.query(r.Intn(2)).sql
		if got := ask(s, fmt.Sprintf("CREATE MATERIALIZED VIEW v%d AS %s", i, q)); got != "CREATE MATERIALIZED VIEW" {
			t.Fatalf("%s: %s", got, q)
		}
		views = append(views, q)
	}
	id, now := 0, 30
	for range 20 {
		var rows []string
		for range 1 + r.Intn(6) {
			now += r.Intn(8)
			id++
			rows = append(rows, fmt.Sprintf("(%d, '%s', %d, %d, to_timestamp(%d.%06d))", id, g.pick("a", "b", "c"), r.Intn(2), r.Intn(5), 1_700_000_000+now-r.Intn(30), id)) // a time tells the row
		}
		if got := ask(s, "INSERT INTO e VALUES "+strings.Join(rows, ", ")); !strings.HasPrefix(got, "INSERT") {
			t.Fatal(got)
		}
	}
	total := 0
	for i, q := range views {
		name := fmt.Sprintf("v%d", i)
		script(t, s, "SELECT state FROM streamsql.jobs WHERE name = '"+name+"'", "RUNNING")
		late := "SELECT (row->>'ts')::timestamptz FROM " + name + "_late"
		if n := ask(s, "SELECT count(*) FROM ("+late+") l"); n == "ERROR 42P01" {
			continue // nothing closes
		} else if n != "0" {
			total++
		}
		if n := ask(s, "SELECT count(*) FROM "+name+"_late WHERE row->>'ts' IS NULL"); n != "0" {
			continue // they are of a window over windows: nothing closes before
		}
		rest := "WITH e2 AS (SELECT * FROM e WHERE ts NOT IN (" + late + ")) " + strings.NewReplacer("FROM e ", "FROM e2 AS e ", "FROM e)", "FROM e2 AS e)", "(e,", "(e2,", "(e PARTITION", "(e2 PARTITION").Replace(q)
		diff := ask(s, fmt.Sprintf("SELECT count(*) FROM ((TABLE %s EXCEPT ALL (%s)) UNION ALL ((%s) EXCEPT ALL TABLE %s)) d", name, rest, rest, name))
		if diff != "0" {
			t.Errorf("%s: %s rows differ\n%s\nview:\n%s\nquery:\n%s\nlate:\n%s", rest, diff, ask(s, "EXPLAIN CREATE MATERIALIZED VIEW x AS "+q),
				ask(s, "SELECT * FROM "+name), ask(s, rest), ask(s, "SELECT * FROM "+name+"_late"))
		}
	}
	if total == 0 {
		t.Error("nothing was late")
	}
}
