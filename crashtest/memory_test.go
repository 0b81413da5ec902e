package crashtest

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// processMemory is the resident memory of a process now and at its highest, MiB.
func processMemory(t *testing.T, pid int) (now, most int) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Skip("the memory of a process is not to be had here")
	}
	for line := range strings.Lines(string(b)) {
		f := strings.Fields(line)
		if len(f) < 2 {
			continue
		}
		kb, _ := strconv.Atoi(f[1])
		switch f[0] {
		case "VmRSS:":
			now = kb >> 10
		case "VmHWM:":
			most = kb >> 10
		}
	}
	return now, most
}

// TestLargerThanMemory keeps an aggregate and a join whose state is several times
// --memory, and holds the process to its limit: --memory, a fifth of it, and what
// a process takes anyway. STREAMSQL_MEMORY sets --memory in MiB and the rows, for
// measuring.
func TestLargerThanMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes long")
	}
	const base = 128 // MiB
	limit, n := 32, 150_000
	if s := os.Getenv("STREAMSQL_MEMORY"); s != "" {
		if _, err := fmt.Sscan(s, &limit, &n); err != nil {
			t.Fatal(err)
		}
	}
	s := newServer(t)
	cmd := exec.Command(s.bin, "serve", "--listen", s.addr, "--data", s.dir, "--memory", fmt.Sprintf("%dMiB", limit))
	cmd.Stdout, cmd.Stderr = logWriter{s}, logWriter{s}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	s.cmd = cmd
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	conn, err := s.connect(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	_, empty := processMemory(t, cmd.Process.Pid)
	ask := func(sql string) string {
		t.Helper()
		out, err := rows(ctx, conn, sql, "null")
		if err != nil {
			t.Fatalf("%s: %v\n%s", sql, err, s.said())
		}
		var lines []string
		for _, r := range out {
			lines = append(lines, strings.Join(r, "|"))
		}
		return strings.Join(lines, "\n")
	}
	// Keys come in no order, so that state that was evicted is asked for again.
	ask(fmt.Sprintf(`
		CREATE SOURCE facts (n bigint) WITH (connector = 'datagen', 'fields.n.kind' = 'sequence', 'fields.n.start' = '0', 'fields.n.end' = '%d');
		CREATE SOURCE more (n bigint) WITH (connector = 'datagen', 'fields.n.kind' = 'sequence', 'fields.n.start' = '0', 'fields.n.end' = '%d')`, n-1, n-1))
	start := time.Now()
	ask(fmt.Sprintf(`
		CREATE MATERIALIZED VIEW agg AS SELECT n * 7919 %% %d AS k, count(*) AS c, sum(n) AS s, max(n) AS m FROM facts GROUP BY 1;
		CREATE MATERIALIZED VIEW joined AS SELECT a.n AS a, b.n AS b, 'some text to fill the row' AS x FROM facts a JOIN more b ON a.n = b.n * 7919 %% %d`, n/2, n))
	for {
		got := ask("SELECT sum(rows_in) FROM streamsql.jobs")
		if v, _ := strconv.Atoi(strings.Split(got, ".")[0]); v >= 3*n {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	took := time.Since(start)
	if got, want := ask("SELECT count(*), sum(c), sum(s) FROM agg"), fmt.Sprintf("%d|%d|%d", n/2, n, n*(n-1)/2); got != want {
		t.Errorf("aggregate: %s, want %s", got, want)
	}
	if got, want := ask("SELECT count(*), count(DISTINCT a % 1000) FROM joined"), fmt.Sprintf("%d|1000", n); got != want {
		t.Errorf("join: %s, want %s", got, want)
	}
	_, most := processMemory(t, cmd.Process.Pid)
	t.Logf("--memory %dMiB, %d rows each: %d MiB resident at most, %d MiB when empty; %d MiB on disk; %s, %.0f rows/s",
		limit, n, most, empty, diskUse(t, s.dir)>>20, took.Round(time.Second), float64(3*n)/took.Seconds())
	if most > limit+limit/5+base {
		t.Errorf("the process took %d MiB, it may take %d", most, limit+limit/5+base)
	}
}

func diskUse(t *testing.T, dir string) (n int64) {
	err := filepath.Walk(dir, func(_ string, i os.FileInfo, err error) error {
		if err == nil && !i.IsDir() {
			n += i.Size()
		}
		return nil
	})
	if err != nil {
		t.Log(err)
	}
	return n
}
