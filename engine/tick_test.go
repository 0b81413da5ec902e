package engine

import (
	"fmt"
	"math"
	"math/rand"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/vfs"
)

// clocked are views that follow the clock, and their queries.
var clocked = [][2]string{
	{"hour", "SELECT k, ts, v FROM t WHERE ts > now() - INTERVAL '1 hour'"},
	{"lasting", "SELECT k, v FROM t WHERE now() BETWEEN ts AND ts + v * INTERVAL '1 minute'"},
	{"later", "SELECT k FROM t WHERE now() >= ts + INTERVAL '10 minutes' AND v > 3"},
	{"either", "SELECT k FROM t WHERE ts > now() + INTERVAL '5 minutes' OR now() > ts + INTERVAL '20 minutes' OR v = 1"},
	{"month", "SELECT k FROM t WHERE ts <= now() - INTERVAL '1 month'"},
	{"days", "SELECT ts::date AS day, count(*) AS n, sum(v) AS v FROM t GROUP BY 1 HAVING ts::date >= current_date - 1"},
	{"joined", "SELECT t.k, u.k AS uk FROM t JOIN t AS u ON t.v = u.v WHERE t.ts > now() - INTERVAL '30 minutes' AND u.ts <= now()"},
}

func same(t *testing.T, s *Session, what, view, query string) {
	t.Helper()
	sorted := func(sql string) string { return ask(s, "SELECT * FROM ("+sql+") AS x ORDER BY 1, 2") }
	if !strings.Contains(query, ",") || strings.HasPrefix(query, "SELECT k FROM") {
		sorted = func(sql string) string { return ask(s, "SELECT * FROM ("+sql+") AS x ORDER BY 1") }
	}
	if got, want := sorted("SELECT * FROM "+view), sorted(query); got != want {
		t.Fatalf("%s: view %s\ngot  %q\nwant %q\nat %s", what, view, got, want, ask(s, "SELECT now()"))
	}
}

func run1(t *testing.T, s *Session, sql string) {
	t.Helper()
	_, err := s.Exec(bg, sql)
	must(t, err)
}

// TestClockedViews: after every statement and every move of the clock a view is
// its query's answer, also over crashes in the middle and with other numbers of
// workers.
func TestClockedViews(t *testing.T) {
	fs := vfs.NewStrictMem()
	r := rand.New(rand.NewSource(11))
	rows, steps := 0, 60
	for run := range 5 {
		fs.SetIgnoreSyncs(false)
		e, err := Open(bg, Options{Dir: "data", FS: fs, CheckpointInterval: time.Hour, Workers: 1 + run%3})
		must(t, err)
		s, err := e.NewSession("u", "d", nil)
		must(t, err)
		if run == 0 {
			script(t, s, "SET streamsql.clock = 'manual'", "SET", "ADVANCE CLOCK TO '2101-02-26 22:00:00+00'", "ADVANCE CLOCK",
				"CREATE TABLE t (k INT, ts TIMESTAMPTZ, v INT)", "CREATE TABLE")
			for _, v := range clocked {
				script(t, s, "CREATE MATERIALIZED VIEW "+v[0]+" AS "+v[1], "CREATE MATERIALIZED VIEW")
			}
			script(t, s, "CREATE MATERIALIZED VIEW paced AS SELECT v, count(*) AS n FROM t WHERE ts > now() - INTERVAL '1 hour' GROUP BY v EMIT EVERY INTERVAL '10 minutes'",
				"CREATE MATERIALIZED VIEW", "CHECKPOINT", "CHECKPOINT")
		}
		all := func(what string) {
			t.Helper()
			for _, v := range clocked {
				same(t, s, what, v[0], v[1])
			}
		}
		all(fmt.Sprintf("run %d", run))
		for i := range steps {
			what := fmt.Sprintf("run %d, step %d", run, i)
			switch r.Intn(7) {
			case 0, 1, 2:
				rows++
				script(t, s, fmt.Sprintf("INSERT INTO t VALUES (%d, now() + %d * INTERVAL '1 minute', %d), (%d, now() - INTERVAL '%d hours', %d)",
					rows, r.Intn(90)-60, r.Intn(6), rows, r.Intn(40), r.Intn(6)), "INSERT 0 2")
			case 3:
				run1(t, s, fmt.Sprintf("DELETE FROM t WHERE k = %d", 1+r.Intn(rows+1)))
			case 4:
				run1(t, s, fmt.Sprintf("UPDATE t SET ts = ts + INTERVAL '%d minutes', v = (v + 1) %% 6 WHERE k = %d", r.Intn(60), 1+r.Intn(rows+1)))
			case 5:
				script(t, s, fmt.Sprintf("ADVANCE CLOCK TO now() + %d * INTERVAL '1 minute'", r.Intn(15)), "ADVANCE CLOCK")
			case 6:
				if r.Intn(4) == 0 {
					script(t, s, fmt.Sprintf("ADVANCE CLOCK TO now() + %d * INTERVAL '1 hour'", r.Intn(30)), "ADVANCE CLOCK")
				} else {
					script(t, s, "CHECKPOINT", "CHECKPOINT")
				}
			}
			all(what)
		}
		script(t, s, "ADVANCE CLOCK TO date_trunc('hour', now()) + INTERVAL '1 hour'", "ADVANCE CLOCK")
		same(t, s, "paced", "paced", "SELECT v, count(*) AS n FROM t WHERE ts > now() - INTERVAL '1 hour' GROUP BY v")
		if run == 3 { // a month later
			script(t, s, "ADVANCE CLOCK TO now() + INTERVAL '29 days'", "ADVANCE CLOCK", "CHECKPOINT", "CHECKPOINT")
			all("a month later")
		}
		if run%2 == 0 { // the plug is pulled
			fs.SetIgnoreSyncs(true)
			_ = e.Close()
			fs.ResetToSyncedState()
		} else {
			must(t, e.Close())
		}
	}
}

// TestTicksByThemselves: the system's clock makes the steps that are due, and none
// else.
func TestTicksByThemselves(t *testing.T) {
	s := session(t, Options{})
	script(t, s, "CREATE TABLE t (k INT, ts TIMESTAMPTZ)", "CREATE TABLE",
		"CREATE MATERIALIZED VIEW v AS SELECT k FROM t WHERE ts > now() - INTERVAL '100 milliseconds'", "CREATE MATERIALIZED VIEW",
		"CREATE MATERIALIZED VIEW later AS SELECT k FROM t WHERE now() > ts + INTERVAL '150 milliseconds'", "CREATE MATERIALIZED VIEW",
		"CREATE MATERIALIZED VIEW e AS SELECT count(*) AS n FROM t EMIT EVERY INTERVAL '200 milliseconds'", "CREATE MATERIALIZED VIEW",
		"INSERT INTO t VALUES (1, now())", "INSERT 0 1")
	waitFor(t, s, "SELECT count(*) FROM v", "0")
	waitFor(t, s, "SELECT count(*) FROM later", "1")
	waitFor(t, s, "SELECT n FROM e", "1")
	epoch := func() (n uint64) {
		must(t, s.eng.do(bg, func() { n = s.eng.epoch }))
		return n
	}
	was := epoch()
	time.Sleep(60 * time.Millisecond)
	if is := epoch(); is != was {
		t.Errorf("%d steps without anything to do", is-was)
	}
}

// TestOnlyLivingJobsTick: a job that does not go on asks for no step.
func TestOnlyLivingJobsTick(t *testing.T) {
	s := session(t, Options{})
	script(t, s, "SET streamsql.clock = 'manual'", "SET", "ADVANCE CLOCK TO '2100-01-01'", "ADVANCE CLOCK",
		"CREATE TABLE t (k INT, ts TIMESTAMPTZ)", "CREATE TABLE",
		"CREATE MATERIALIZED VIEW v AS SELECT 10 / k AS x FROM t WHERE ts > now() - INTERVAL '1 hour'", "CREATE MATERIALIZED VIEW",
		"CREATE MATERIALIZED VIEW w AS SELECT k FROM t WHERE ts > now() - INTERVAL '1 hour'", "CREATE MATERIALIZED VIEW",
		"INSERT INTO t VALUES (5, now())", "INSERT 0 1")
	next := func() (due int64) {
		must(t, s.eng.do(bg, func() { due = s.eng.nextTick() }))
		return due
	}
	if next() == math.MaxInt64 {
		t.Fatal("nothing is due")
	}
	script(t, s, "INSERT INTO t VALUES (0, now())", "INSERT 0 1", "SELECT state FROM streamsql.jobs WHERE name = 'v'", "FAILED",
		"ALTER MATERIALIZED VIEW w PAUSE", "ALTER MATERIALIZED VIEW")
	if next() != math.MaxInt64 {
		t.Error("a job that stands asks for a step")
	}
	script(t, s, "ADVANCE CLOCK TO '2100-01-02'", "ADVANCE CLOCK", "SELECT k FROM w ORDER BY k", "0\n5",
		"ALTER MATERIALIZED VIEW w RESUME", "ALTER MATERIALIZED VIEW")
	waitFor(t, s, "SELECT state FROM streamsql.jobs WHERE name = 'w'", "RUNNING")
	script(t, s, "SELECT count(*) FROM w", "0")
}

// TestTemporalStateIsFlat: at a constant rate the state does not grow.
func TestTemporalStateIsFlat(t *testing.T) {
	s := session(t, Options{})
	script(t, s, "SET streamsql.clock = 'manual'", "SET", "ADVANCE CLOCK TO '2100-01-01'", "ADVANCE CLOCK",
		"CREATE TABLE t (k INT, ts TIMESTAMPTZ)", "CREATE TABLE",
		"CREATE MATERIALIZED VIEW v AS SELECT k % 7 AS k, count(*) AS n FROM t WHERE ts > now() - INTERVAL '1 minute' AND ts <= now() GROUP BY 1", "CREATE MATERIALIZED VIEW")
	for i := range 60 {
		script(t, s, fmt.Sprintf("ADVANCE CLOCK TO TIMESTAMPTZ '2100-01-01 00:00:00+00' + %d * INTERVAL '10 seconds'", i), "ADVANCE CLOCK",
			"INSERT INTO t SELECT g, now() + g * INTERVAL '1 second' FROM generate_series(1, 10) g", "INSERT 0 10")
		if i < 10 {
			continue
		}
		// Of each second of the minute that was and of the ten seconds that come, one row.
		if got := ask(s, "SELECT sum(state_rows) FROM streamsql.operators WHERE job = 'v' AND operator LIKE 'Temporal%'"); got != "69" && got != "70" {
			t.Fatalf("after %d rounds %s rows are kept", i, got)
		}
	}
}

const fakeProc = `CREATE SOURCE s (a bigint, b bigint, ts timestamptz AS to_timestamp(a), p timestamptz AS proctime(), WATERMARK FOR ts AS ts - INTERVAL '10 seconds')
	WITH (connector = 'fake', topic = '%s', idle_timeout = '60 s')`

// TestProcessingTime: windows of the clock over a source, a view above them that
// follows it too, over restarts; a view made later stamps what it reads with its
// own time.
func TestProcessingTime(t *testing.T) {
	topic := newFakeTopic(t.Name(), 2)
	fs := vfs.NewMem()
	s := session(t, Options{Dir: "data", FS: fs, Workers: 2})
	counts := "SELECT b, count(*) AS n, window_start, window_end FROM TUMBLE(s, p, INTERVAL '10 seconds') GROUP BY b, window_start, window_end"
	script(t, s, "SET streamsql.clock = 'manual'", "SET", "ADVANCE CLOCK TO '2100-01-01'", "ADVANCE CLOCK",
		fmt.Sprintf(fakeProc, t.Name()), "CREATE SOURCE",
		"CREATE MATERIALIZED VIEW q12 AS "+counts, "CREATE MATERIALIZED VIEW",
		"CREATE MATERIALIZED VIEW final AS "+counts+" EMIT ON WINDOW CLOSE", "CREATE MATERIALIZED VIEW",
		"CREATE MATERIALIZED VIEW above AS SELECT window_end, sum(n) AS n FROM q12 GROUP BY window_end EMIT ON WINDOW CLOSE", "CREATE MATERIALIZED VIEW",
		"CREATE MATERIALIZED VIEW stamps AS SELECT a, p, ts FROM s", "CREATE MATERIALIZED VIEW")
	topic.put(0, 1000, 1)
	topic.put(0, 10, 2) // its event time does not matter
	topic.put(1, 5, 1)
	waitFor(t, s, "SELECT sum(n) FROM q12", "3")
	script(t, s, "SELECT b, n, window_start FROM q12 ORDER BY b", "1|2|2100-01-01 00:00:00+00\n2|1|2100-01-01 00:00:00+00",
		"SELECT DISTINCT p FROM stamps", "2100-01-01 00:00:00+00",
		"ADVANCE CLOCK TO '2100-01-01 00:00:05'", "ADVANCE CLOCK", "SELECT count(*) FROM final", "0")
	must(t, s.eng.Close())
	s = session(t, Options{Dir: "data", FS: fs})
	topic.put(1, 0, 3)
	waitFor(t, s, "SELECT sum(n) FROM q12", "4")
	script(t, s, "SELECT count(*) FROM final", "0", "SELECT count(*) FROM above", "0",
		"ADVANCE CLOCK TO '2100-01-01 00:00:10'", "ADVANCE CLOCK",
		"SELECT b, n FROM final ORDER BY b", "1|2\n2|1\n3|1", "SELECT n FROM above", "4",
		"SELECT sum(late_rows) FROM streamsql.operators WHERE job <> 'stamps'", "0",
		// It reads the source again, now.
		"CREATE MATERIALIZED VIEW later AS "+counts+" EMIT ON WINDOW CLOSE", "CREATE MATERIALIZED VIEW",
		"SELECT count(*) FROM later", "0")
	topic.put(0, 0, 1)
	waitFor(t, s, "SELECT sum(n) FROM q12", "5")
	must(t, s.eng.Close())
	s = session(t, Options{Dir: "data", FS: fs, Workers: 3})
	script(t, s, "ADVANCE CLOCK TO '2100-01-01 00:01:00'", "ADVANCE CLOCK",
		"SELECT sum(n), min(window_start), max(window_start) FROM later", "5|2100-01-01 00:00:10+00|2100-01-01 00:00:10+00",
		"SELECT sum(n) FROM final", "5", "SELECT sum(n) FROM above", "5",
		"SELECT sum(state_rows) FROM streamsql.operators WHERE job IN ('q12', 'final', 'above', 'later')", "0",
		"SELECT sum(late_rows) FROM streamsql.operators WHERE job <> 'stamps'", "0")
	var due int64
	must(t, s.eng.do(bg, func() { due = s.eng.nextTick() }))
	if due != math.MaxInt64 {
		t.Errorf("something is due at %d, but no window is open", due)
	}
}

// TestProcessingTimeByItself: the system's clock closes a window without input.
func TestProcessingTimeByItself(t *testing.T) {
	s := session(t, Options{})
	script(t, s, "CREATE TABLE t (k INT)", "CREATE TABLE",
		"CREATE MATERIALIZED VIEW v AS SELECT count(*) AS n, window_end FROM TUMBLE((SELECT k, proctime() AS p FROM t), p, INTERVAL '50 milliseconds') GROUP BY window_start, window_end EMIT ON WINDOW CLOSE", "CREATE MATERIALIZED VIEW",
		"CREATE MATERIALIZED VIEW w AS SELECT count(*) AS n FROM SESSION((SELECT k, proctime() AS p FROM t), p, INTERVAL '50 milliseconds') GROUP BY window_start, window_end EMIT ON WINDOW CLOSE", "CREATE MATERIALIZED VIEW",
		"INSERT INTO t VALUES (1), (2)", "INSERT 0 2")
	waitFor(t, s, "SELECT n, window_end <= now() FROM v", "2|t")
	waitFor(t, s, "SELECT n FROM w", "2")
}

// TestProcessingTimeCrash: rows that come again from the log have the time that
// they had.
func TestProcessingTimeCrash(t *testing.T) {
	fs := vfs.NewStrictMem()
	e, err := Open(bg, Options{Dir: "data", FS: fs, CheckpointInterval: time.Hour})
	must(t, err)
	s, err := e.NewSession("u", "d", nil)
	must(t, err)
	q := "SELECT window_start, count(*) AS n FROM TUMBLE((SELECT k, proctime() AS p FROM t), p, INTERVAL '10 seconds') GROUP BY window_start, window_end"
	script(t, s, "SET streamsql.clock = 'manual'", "SET", "ADVANCE CLOCK TO '2100-01-01'", "ADVANCE CLOCK",
		"CREATE TABLE t (k INT)", "CREATE TABLE",
		"CREATE MATERIALIZED VIEW v AS "+q+" EMIT ON WINDOW CLOSE", "CREATE MATERIALIZED VIEW",
		"CREATE MATERIALIZED VIEW w AS "+q, "CREATE MATERIALIZED VIEW", "CHECKPOINT", "CHECKPOINT")
	for i := range 6 {
		script(t, s, fmt.Sprintf("ADVANCE CLOCK TO TIMESTAMPTZ '2100-01-01' + %d * INTERVAL '4 seconds'", i), "ADVANCE CLOCK",
			fmt.Sprintf("INSERT INTO t VALUES (%d)", i), "INSERT 0 1")
	}
	script(t, s, "DELETE FROM t WHERE k = 1", "DELETE 1", "DELETE FROM t WHERE k = 3", "DELETE 1")
	v, w, late := ask(s, "SELECT * FROM v ORDER BY 1"), ask(s, "SELECT * FROM w ORDER BY 1"), ask(s, "SELECT sum(weight) FROM w_late")
	if late != "-2" {
		t.Errorf("late: %s", late)
	}
	fs.SetIgnoreSyncs(true)
	_ = e.Close()
	fs.ResetToSyncedState()
	fs.SetIgnoreSyncs(false)
	s = session(t, Options{Dir: "data", FS: fs})
	script(t, s, "SELECT * FROM v ORDER BY 1", v, "SELECT * FROM w ORDER BY 1", w, "SELECT sum(weight) FROM w_late", late,
		"SELECT now()", "2100-01-01 00:00:20+00")
}

// TestTicksInPieces: what falls due at one moment may be more than a step has
// memory for.
func TestTicksInPieces(t *testing.T) {
	for _, big := range []bool{false, true} {
		if big && testing.Short() {
			return
		}
		s := session(t, Options{Dir: "data", FS: vfs.NewMem(), MemoryLimit: 16 << 20})
		script(t, s, "SET streamsql.clock = 'manual'", "SET", "ADVANCE CLOCK TO '2100-01-01'", "ADVANCE CLOCK",
			"CREATE TABLE t (k INT, day DATE, s TEXT)", "CREATE TABLE",
			"CREATE MATERIALIZED VIEW v AS SELECT k, s FROM t WHERE day >= current_date", "CREATE MATERIALIZED VIEW",
			"CREATE MATERIALIZED VIEW n AS SELECT count(*) AS n FROM v", "CREATE MATERIALIZED VIEW")
		each, times, width := 5000, 3, 10
		if big {
			each, times, width = 150, 20, 15_000
		}
		for i := range times {
			script(t, s, fmt.Sprintf("INSERT INTO t SELECT g + %d, '2100-01-01', repeat('x', %d) || g FROM generate_series(1, %d) g", i*each, width, each), fmt.Sprintf("INSERT 0 %d", each))
		}
		var was uint64
		must(t, s.eng.do(bg, func() {
			if was = s.eng.epoch; !big {
				s.eng.tickRows = leastTicks
			}
		}))
		script(t, s, "SELECT n FROM n", fmt.Sprint(each*times), "ADVANCE CLOCK TO '2100-01-02'", "ADVANCE CLOCK",
			"SELECT n FROM n", "0", "SELECT count(*) FROM v", "0",
			"SELECT name, state FROM streamsql.jobs ORDER BY 1", "n|RUNNING\nv|RUNNING")
		must(t, s.eng.do(bg, func() {
			if s.eng.tickRows != 0 || s.eng.moreTicks {
				t.Error("the bound stays")
			}
			if n := s.eng.epoch - was; n < 4 {
				t.Errorf("only %d steps", n)
			}
		}))
	}
}

// conditions makes random conditions with the clock over t (k, ts, at, day, v, lasts).
type conditions struct{ *rand.Rand }

func (r conditions) pick(s ...string) string { return s[r.Intn(len(s))] }

func (r conditions) length() string {
	return r.pick("INTERVAL '1 hour'", "INTERVAL '90 minutes'", "INTERVAL '1 day'", "INTERVAL '-2 hours'", "INTERVAL '2 days 3 hours'", "INTERVAL '1 hour' * 3", "INTERVAL '1 month'", "INTERVAL '1 month 1 day -1 hour'", "INTERVAL '-1 month'")
}

func (r conditions) short() string {
	return r.pick("INTERVAL '1 hour'", "INTERVAL '90 minutes'", "INTERVAL '1 day'", "INTERVAL '-2 hours'", "INTERVAL '2 days 3 hours'")
}

func (r conditions) clock() string {
	switch r.Intn(10) {
	case 0, 1:
		return "now()"
	case 8:
		local := "(now() AT TIME ZONE '" + r.pick("Europe/Berlin", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "+05:30") + "')"
		return r.pick(local, local+"::date", local+" - INTERVAL '1 day'", "date_trunc('"+r.pick("hour", "day", "month")+"', "+local+")")
	case 2:
		return "now() " + r.pick("+", "-") + " " + r.length()
	case 3:
		return "date_trunc('" + r.pick("hour", "day", "week", "month", "quarter", "minute") + "', now())"
	case 4:
		return "date_trunc('" + r.pick("hour", "day", "week", "month") + "', now() - " + r.length() + ")"
	case 5:
		return "date_trunc('" + r.pick("hour", "day", "week", "month") + "', current_timestamp) + " + r.short()
	case 6:
		return r.pick("localtimestamp", "now()::timestamp", "current_date::timestamp", "now()::date", "current_date - 2", "1 + current_date")
	case 7:
		return r.pick("current_date", "now()::date", "date_trunc('month', now())", "date_trunc('day', now())") + " - " + r.length()
	}
	return r.pick("now() - lasts", "now() + v * INTERVAL '1 hour'", "now() - INTERVAL '1 hour' + INTERVAL '1 day'")
}

func (r conditions) row() string {
	return r.pick("ts", "ts", "at", "day", "ts + INTERVAL '1 hour'", "at - INTERVAL '1 month'", "ts + lasts", "day + v", "TIMESTAMPTZ '2101-03-01 00:00+00'", "greatest(ts, at)", "date_trunc('day', ts)")
}

func (r conditions) atom() string {
	op := r.pick("<", "<=", ">", ">=", "<", "<=", ">", ">=", "=", "<>", "IS DISTINCT FROM", "IS NOT DISTINCT FROM")
	switch r.Intn(6) {
	case 0:
		return r.row() + " BETWEEN " + r.clock() + " AND " + r.clock()
	case 1:
		return "now() - " + r.pick("ts", "at", "ts + lasts") + " " + op + " " + r.short()
	case 2:
		return r.row() + " " + op + " " + r.clock()
	}
	return r.clock() + " " + op + " " + r.row()
}

func (r conditions) condition(depth int) string {
	if depth == 0 || r.Intn(3) == 0 {
		if r.Intn(6) == 0 {
			return r.pick("v > 2", "k % 3 = 0", "ts IS NULL")
		}
		return r.atom()
	}
	a, b := r.condition(depth-1), r.condition(depth-1)
	switch r.Intn(6) {
	case 0, 1:
		return "(" + a + " OR " + b + ")"
	case 2:
		return "NOT (" + a + ")"
	case 3:
		return "(" + a + ") IS NOT TRUE"
	case 4:
		return "CASE WHEN v > 2 THEN " + a + " ELSE " + b + " END"
	}
	return "(" + a + " AND " + b + ")"
}

// TestTemporalConditions: views with random conditions are their queries' answers
// while the clock goes over ends of days and months, and stops at the very moments
// that their conditions name.
func TestTemporalConditions(t *testing.T) {
	for i, start := range []string{"2101-01-27 20:00:00+00", "2101-03-25 20:00:00+00", "2101-10-29 20:00:00+00"} {
		testConditions(t, conditions{rand.New(rand.NewSource(int64(3 + i)))}, start)
	}
}

func testConditions(t *testing.T, r conditions, start string) {
	t.Helper()
	s := session(t, Options{})
	script(t, s, "SET streamsql.clock = 'manual'", "SET", "ADVANCE CLOCK TO '"+start+"'", "ADVANCE CLOCK",
		"CREATE TABLE t (k INT, ts TIMESTAMPTZ, at TIMESTAMP, day DATE, v INT, lasts INTERVAL)", "CREATE TABLE")
	var views [][2]string
	refused := 0
	for i := range 60 {
		q := "SELECT k FROM t WHERE " + r.condition(1+i%3)
		name := fmt.Sprintf("v%d", i)
		if _, err := s.Exec(bg, "CREATE MATERIALIZED VIEW "+name+" AS "+q); err != nil {
			if !strings.Contains(err.Error(), "is only supported in conditions") {
				t.Fatalf("%s: %v", q, err)
			}
			refused++
			continue
		}
		views = append(views, [2]string{name, q})
	}
	if refused > 20 {
		t.Errorf("%d of 60 were refused", refused)
	}
	k := 0
	for i := range 30 {
		k++
		time := func() string {
			return fmt.Sprintf("date_trunc('hour', now()) + INTERVAL '%d days %d hours'", r.Intn(70)-40, r.Intn(30)-15)
		}
		run1(t, s, fmt.Sprintf("INSERT INTO t VALUES (%d, %s, %s, (%s)::date, %d, INTERVAL '%d hours'), (%d, NULL, %s, NULL, 3, '1 month')",
			k, time(), time(), time(), r.Intn(5), r.Intn(30), k, time()))
		switch r.Intn(4) {
		case 0:
			run1(t, s, fmt.Sprintf("DELETE FROM t WHERE k = %d", 1+r.Intn(k)))
		case 1:
			run1(t, s, fmt.Sprintf("UPDATE t SET ts = %s, v = %d WHERE k = %d", time(), r.Intn(5), 1+r.Intn(k)))
		}
		run1(t, s, "ADVANCE CLOCK TO "+r.pick("now()", "date_trunc('hour', now()) + INTERVAL '1 hour'", "date_trunc('day', now()) + INTERVAL '1 day'",
			"date_trunc('hour', now()) + INTERVAL '5 hours'", "now() + INTERVAL '00:00:00.000001'", "now() + INTERVAL '17 hours 1 second'", "now() + INTERVAL '3 days'"))
		for _, v := range views {
			same(t, s, fmt.Sprintf("step %d, %s", i, v[1]), v[0], v[1])
		}
	}
}

// TestProcessingTimeConservation: a row is in one window of the clock, or taken
// back of a closed one, over crashes and numbers of workers.
func TestProcessingTimeConservation(t *testing.T) {
	fs := vfs.NewStrictMem()
	r := rand.New(rand.NewSource(9))
	rows := "(SELECT k, v, proctime() AS p FROM t)"
	windows := [][2]string{
		{"tumble", "SELECT window_start, window_end, count(*) AS n, sum(v) AS v FROM TUMBLE(" + rows + ", p, INTERVAL '10 seconds') GROUP BY window_start, window_end"},
		{"session", "SELECT v AS g, window_start, window_end, count(*) AS n FROM SESSION((SELECT v, proctime() AS p FROM t) PARTITION BY v, p, INTERVAL '6 seconds') GROUP BY v, window_start, window_end"},
	}
	k := 0
	for run := range 6 {
		fs.SetIgnoreSyncs(false)
		e, err := Open(bg, Options{Dir: "data", FS: fs, CheckpointInterval: time.Hour, Workers: 1 + run%3})
		must(t, err)
		s, err := e.NewSession("u", "d", nil)
		must(t, err)
		if run == 0 {
			script(t, s, "SET streamsql.clock = 'manual'", "SET", "ADVANCE CLOCK TO '2100-01-01'", "ADVANCE CLOCK", "CREATE TABLE t (k INT, v INT)", "CREATE TABLE")
			for _, w := range windows {
				script(t, s, "CREATE MATERIALIZED VIEW "+w[0]+"_early AS "+w[1], "CREATE MATERIALIZED VIEW",
					"CREATE MATERIALIZED VIEW "+w[0]+"_final AS "+w[1]+" EMIT ON WINDOW CLOSE", "CREATE MATERIALIZED VIEW")
			}
			script(t, s, "CHECKPOINT", "CHECKPOINT")
		}
		sum := func(view string) string {
			return ask(s, fmt.Sprintf("SELECT (SELECT coalesce(sum(n), 0) FROM %s) + (SELECT coalesce(sum(weight), 0) FROM %s_late)", view, view))
		}
		for i := range 60 {
			switch r.Intn(6) {
			case 0, 1, 2:
				k++
				run1(t, s, fmt.Sprintf("INSERT INTO t SELECT %d, g FROM generate_series(0, %d) g", k, r.Intn(4)))
			case 3:
				run1(t, s, fmt.Sprintf("DELETE FROM t WHERE k = %d", max(1, k-r.Intn(8))))
			case 4:
				run1(t, s, fmt.Sprintf("ADVANCE CLOCK TO now() + INTERVAL '%d milliseconds'", r.Intn(9000)))
			case 5:
				if r.Intn(3) == 0 {
					run1(t, s, "CHECKPOINT")
				}
			}
			want := ask(s, "SELECT count(*) FROM t")
			for _, w := range windows {
				if got := sum(w[0] + "_early"); got != want {
					t.Fatalf("run %d, step %d: %s: %s rows, not %s", run, i, w[0], got, want)
				}
			}
		}
		run1(t, s, "ADVANCE CLOCK TO now() + INTERVAL '1 minute'")
		for _, w := range windows {
			script(t, s, fmt.Sprintf("SELECT count(*) FROM ((SELECT * FROM %s_early EXCEPT SELECT * FROM %s_final) UNION ALL (SELECT * FROM %s_final EXCEPT SELECT * FROM %s_early)) x", w[0], w[0], w[0], w[0]), "0")
			if got, want := sum(w[0]+"_final"), ask(s, "SELECT count(*) FROM t"); got != want {
				t.Fatalf("run %d: %s_final: %s rows, not %s", run, w[0], got, want)
			}
		}
		if run%2 == 0 {
			fs.SetIgnoreSyncs(true)
			_ = e.Close()
			fs.ResetToSyncedState()
		} else {
			must(t, e.Close())
		}
	}
}
