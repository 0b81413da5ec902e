package eventtime

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/streamsql/streamsql/engine"
)

// childDir names, in the process that is killed, the data directory; childGroup
// the number of events in a group, and whether rows are too late.
const (
	childDir  = "STREAMSQL_EVENTTIME_DIR"
	childLoad = "STREAMSQL_EVENTTIME_LOAD"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		child(dir, os.Getenv(childLoad))
	}
	os.Exit(m.Run())
}

// killLoads are what is read while the server is killed.
var killLoads = map[string]struct {
	group int
	late  bool
}{"in bounds": {50, false}, "late": {5000, true}}

// killTopics fills the topics, which are the same in every process; release lets
// them be read.
func killTopics(load string) (events []event, release func(), err error) {
	l := killLoads[load]
	if events, err = nexmarkEvents(l.group, l.late); err != nil {
		return nil, nil, err
	}
	kinds := map[string]*topic{}
	for _, kind := range []string{"person", "auction", "bid"} {
		kinds[kind] = newTopic("kill-"+kind, 4)
		kinds[kind].pace = 15 * time.Millisecond
	}
	for i := range events {
		e := &events[i]
		e.part = int32(e.id / 7 % 4)
		kinds[e.kind].put(*e)
	}
	return events, func() {
		for _, k := range kinds {
			k.release()
			k.change(func() { k.ended = true })
		}
	}, nil
}

// killViews are those of the views that a process that is killed has: processing
// time is another after each start.
func killViews() []view {
	var out []view
	for _, v := range views {
		if v.name != "q12" {
			out = append(out, v)
		}
	}
	return out
}

// child reads the topics until it is killed.
func child(dir, load string) {
	fail := func(err error) {
		if err != nil {
			fmt.Println("failed:", err)
			os.Exit(1)
		}
	}
	_, release, err := killTopics(load)
	fail(err)
	e, err := engine.Open(context.Background(), engine.Options{Dir: dir, CheckpointInterval: 30 * time.Millisecond})
	fail(err)
	s, err := e.NewSession("test", "test", nil)
	fail(err)
	exec := func(sql string) {
		_, err := s.Exec(context.Background(), sql)
		fail(err)
	}
	if a, err := s.Exec(context.Background(), `SELECT 1 FROM pg_class WHERE relname = 'ready'`); err != nil || len(a.Rows) == 0 {
		fail(err)
		for _, kind := range []string{"person", "auction", "bid"} {
			exec(sourceSQL(kind, "kill-"+kind))
		}
		for _, v := range killViews() {
			exec(`CREATE MATERIALIZED VIEW ` + v.name + ` AS ` + v.sql)
			exec(`CREATE MATERIALIZED VIEW ` + v.name + `_final AS ` + v.sql + ` EMIT ON WINDOW CLOSE`)
		}
		exec(`CREATE TABLE ready (x int)`)
	}
	fmt.Println("ready")
	release()
	select {}
}

// TestKill: a server that is killed with -9 again and again in the middle of its
// windows ends with the answers of one that was not.
func TestKill(t *testing.T) {
	if testing.Short() {
		t.Skip("starts and kills processes for several seconds")
	}
	for load := range killLoads {
		t.Run(load, func(t *testing.T) {
			dir := t.TempDir()
			r := rand.New(rand.NewPCG(7, 11))
			kills := 0
			for kills < 6 {
				cmd := exec.Command(os.Args[0], "-test.run=^$")
				cmd.Env = append(os.Environ(), childDir+"="+dir, childLoad+"="+load)
				out, err := cmd.StdoutPipe()
				if err != nil {
					t.Fatal(err)
				}
				cmd.Stderr = os.Stderr
				if err := cmd.Start(); err != nil {
					t.Fatal(err)
				}
				line, _ := bufio.NewReader(out).ReadString('\n')
				if strings.TrimSpace(line) == "ready" {
					time.Sleep(time.Duration(20+r.IntN(250)) * time.Millisecond)
				}
				_ = cmd.Process.Kill()
				_ = cmd.Wait()
				if strings.TrimSpace(line) != "ready" {
					t.Fatalf("the server says %q", line)
				}
				kills++
			}
			events, release, err := killTopics(load)
			if err != nil {
				t.Fatal(err)
			}
			c := connect(t, engine.Options{Dir: dir})
			n := 0
			if _, err := fmt.Sscan(c.exec(`SELECT sum(next_offset) FROM streamsql.source_positions`)[0], &n); err != nil || n == len(events) {
				t.Errorf("after the last kill %d of %d events had been read: %v", n, len(events), err)
			}
			release()
			c.until(`SELECT count(*) FROM streamsql.jobs WHERE state <> 'FINISHED'`, "0")
			for _, v := range killViews() {
				missed := c.check(v.name, v, events)
				c.check(v.name+"_final", v, events)
				if !killLoads[load].late && len(missed) > 0 {
					t.Errorf("%s: %d rows late, all came in time", v.name, len(missed))
				}
				if d := differ(c.exec(`SELECT * FROM `+v.name+`_final`), c.exec(`SELECT * FROM `+v.name)); d != "" {
					t.Errorf("%s: EMIT ON WINDOW CLOSE and early results: %s", v.name, d)
				}
			}
		})
	}
}
