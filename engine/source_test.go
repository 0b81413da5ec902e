package engine

import (
	"math/rand"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/vfs"

	"github.com/streamsql/streamsql/sql/catalog"
	"github.com/streamsql/streamsql/sql/delta"
	"github.com/streamsql/streamsql/sql/plan"
	"github.com/streamsql/streamsql/sql/types"
)

func (e *Engine) testSource(t *testing.T, name, topic string) *catalog.Object {
	t.Helper()
	o := &catalog.Object{
		Schema: "public", Name: name, Kind: catalog.Source, Columns: cols("a", "b"), AppendOnly: true,
		Options: map[string]string{"connector": "fake", "topic": topic},
	}
	s, err := newSource(o, false)
	must(t, err)
	must(t, e.do(bg, func() { e.addSource(s) }))
	must(t, e.checkpointNow(bg))
	return o
}

// testCopy makes SELECT * FROM rel.
func (e *Engine) testCopy(t *testing.T, name string, rel uint64) *catalog.Object {
	t.Helper()
	o := &catalog.Object{
		Schema: "public", Name: name, Kind: catalog.MatView, Columns: cols("a", "b"), Depends: []uint64{rel},
		Plan: &plan.Node{ID: 1, Op: plan.Scan, Relation: rel, Columns: []int{0, 1}, Out: planCols("a", "b")},
	}
	x := &ddlRun{e: e, ctx: bg, cat: e.currentCatalog()}
	must(t, x.install(o, nil))
	for _, f := range x.after {
		must(t, f())
	}
	must(t, e.checkpointNow(bg))
	return o
}

// settle waits until the sources have delivered what the topic holds.
func (e *Engine) settle(t *testing.T, src uint64, topic *fakeTopic) {
	t.Helper()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); {
		ps, err := e.positions(bg)
		must(t, err)
		got := map[int32]int64{}
		for _, p := range ps {
			if p.Source == src {
				got[p.Partition] = p.Offset
			}
		}
		topic.mu.Lock()
		same := len(got) == len(topic.parts)
		for p, rs := range topic.parts {
			same = same && got[p] == int64(len(rs))
		}
		topic.mu.Unlock()
		if same {
			return
		}
		time.Sleep(time.Millisecond)
	}
	t.Fatal("the source does not settle")
}

func TestSourceBackfillWhileLive(t *testing.T) {
	topic := newFakeTopic(t.Name(), 3)
	e := open(t, Options{})
	src := e.testSource(t, "s", t.Name())
	r := rand.New(rand.NewSource(1))
	feed := func(n int) {
		for range n {
			topic.put(int32(r.Intn(3)), int64(r.Intn(50)), int64(r.Intn(5)))
		}
	}
	feed(3000)
	v := e.testCopy(t, "v", src.ID)
	e.settle(t, src.ID, topic)
	stop, done := make(chan bool), make(chan bool)
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			default:
				feed(20)
				time.Sleep(100 * time.Microsecond)
			}
		}
	}()
	w := e.testCopy(t, "w", src.ID)
	x := e.testView(t, "x", w.ID)
	close(stop)
	<-done
	e.settle(t, src.ID, topic)
	want := e.testRows(t, v.ID, 2)
	if n := strings.Count(want, "("); n < 3000 {
		t.Fatalf("%d rows", n)
	}
	if got := e.testRows(t, w.ID, 2); got != want {
		t.Fatal("the view made later differs")
	}
	if n := strings.Count(e.testRows(t, x.ID, 1), "("); n != 50 {
		t.Fatalf("%d rows", n)
	}
}

func TestDeadLetters(t *testing.T) {
	topic := newFakeTopic(t.Name(), 1)
	e := open(t, Options{})
	must(t, e.setClock(true))
	src := e.testSource(t, "s", t.Name())
	v := e.testCopy(t, "v", src.ID)
	topic.put(0, 1, 1)
	topic.putBad(0, "{")
	topic.put(0, 2, 2)
	e.settle(t, src.ID, topic)
	expect(t, e.testRows(t, v.ID, 2), "(1, 1) (2, 2)")
	dead := e.currentCatalog().Lookup([]string{"public", "s_dead_letters"}, nil)
	expect(t, e.testRows(t, dead.ID, 4), `(0, 1, \x7b, bad record)`)
	// After the retention it is gone.
	now, _ := e.clock.read()
	must(t, e.advanceClock(bg, now+8*24*time.Hour.Microseconds()))
	topic.putBad(0, "}")
	e.settle(t, src.ID, topic)
	expect(t, e.testRows(t, dead.ID, 4), `(0, 3, \x7d, bad record)`)
}

// TestSourceRestart crashes the engine at random moments: at the end a view holds
// every record once.
func TestSourceRestart(t *testing.T) {
	topic := newFakeTopic(t.Name(), 2)
	fs := vfs.NewStrictMem()
	r := rand.New(rand.NewSource(2))
	var src, v, w *catalog.Object
	n := 0
	for run := range 12 {
		fs.SetIgnoreSyncs(false)
		e, err := Open(bg, Options{Dir: "data", FS: fs, CheckpointInterval: 5 * time.Millisecond})
		must(t, err)
		if run == 0 {
			src = e.testSource(t, "s", t.Name())
			v = e.testCopy(t, "v", src.ID)
			w = e.testView(t, "w", v.ID)
		}
		for range 5 + r.Intn(20) {
			for range 30 {
				topic.put(int32(n%2), int64(n), 7)
				n++
			}
			time.Sleep(time.Duration(r.Intn(1000)) * time.Microsecond)
		}
		if run == 5 || run == 11 {
			e.settle(t, src.ID, topic)
			if got := strings.Count(e.testRows(t, v.ID, 2), "("); got != n {
				t.Fatalf("run %d: %d rows, not %d", run, got, n)
			}
			if got := strings.Count(e.testRows(t, w.ID, 1), "("); got != n {
				t.Fatalf("run %d: %d rows, not %d", run, got, n)
			}
		}
		fs.SetIgnoreSyncs(true)
		_ = e.Close()
		fs.ResetToSyncedState()
	}
}

func TestFailureHasABoundary(t *testing.T) {
	e := open(t, Options{})
	tab := e.testTable(t, "t")
	other := e.testCopy(t, "other", tab.ID)
	base := e.testCopy(t, "base", tab.ID)
	stale := e.testView(t, "stale", base.ID)
	must(t, e.testInsert(tab.ID, [2]int64{1, 1}))
	// A view that holds less than it is told to take back fails alone.
	must(t, e.do(bg, func() {
		rel := e.relations[base.ID]
		rel.begin()
		rel.main.tree.Add(appendRow(nil, oneRow(1, 1), 0, rel.main.order), -1)
		rel.commit()
	}))
	w := &plan.Write{Kind: plan.Delete, Table: tab.ID, Root: &plan.Node{ID: 1, Op: plan.Scan, Relation: tab.ID, Columns: []int{0, 1}, Out: planCols("a", "b")}}
	res, err := e.write(bg, []*boundWrite{{Write: w, Context: e.stepContext()}})
	must(t, err)
	if res[0].Count != 1 {
		t.Fatal(res[0].Count)
	}
	expect(t, e.testRows(t, other.ID, 2), "")
	states := map[string]JobState{}
	infos, err := e.jobs(bg)
	must(t, err)
	for _, j := range infos {
		states[j.Name] = j.State
	}
	if states["base"] != Failed || states["stale"] != Stale || states["other"] != Running {
		t.Fatal(states)
	}
	expect(t, e.testRows(t, stale.ID, 1), "(1)")
	p, err := e.pin(bg, []uint64{stale.ID})
	must(t, err)
	p.release()
	if len(p.Notices) != 1 || p.Notices[0].Severity != "WARNING" {
		t.Fatal(p.Notices)
	}
	fs, err := e.failures(bg)
	must(t, err)
	if len(fs) != 1 || fs[0].Code != "XX000" {
		t.Fatal(fs)
	}
	must(t, e.testInsert(tab.ID, [2]int64{2, 2}))
	done := make(chan error, 1)
	must(t, e.do(bg, func() {
		must(t, e.restart(e.jobsByID[base.ID], nil))
		must(t, e.restart(e.jobsByID[stale.ID], nil))
		e.jobsByID[stale.ID].fill.waiters = append(e.jobsByID[stale.ID].fill.waiters, done)
	}))
	must(t, <-done)
	expect(t, e.testRows(t, base.ID, 2), "(2, 2)")
	expect(t, e.testRows(t, stale.ID, 1), "(2)")
	must(t, e.testInsert(tab.ID, [2]int64{3, 3}))
	expect(t, e.testRows(t, stale.ID, 1), "(2) (3)")
}

func oneRow(vals ...int64) *delta.Batch {
	b := &delta.Batch{N: 1}
	for _, x := range vals {
		v := delta.NewVec(types.Of(types.Int8), 1)
		v.AppendInt(x)
		b.Cols = append(b.Cols, v)
	}
	return b
}
