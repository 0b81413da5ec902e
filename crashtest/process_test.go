package crashtest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/streamsql/streamsql/connector/kafka/broker"
)

// brokerDir, when set, makes this binary the broker with its data there.
const brokerDir = "CRASHTEST_BROKER_DIR"

const (
	topic      = "user-events"
	partitions = 3
)

func TestMain(m *testing.M) {
	dir := os.Getenv(brokerDir)
	if dir == "" {
		os.Exit(m.Run())
	}
	b, err := broker.Options{Sync: true}.Start("127.0.0.1:0", dir, broker.Topic{Name: topic, Partitions: partitions})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(b.Addr())
	_, _ = io.Copy(io.Discard, os.Stdin) // until the test ends, however it ends
	b.Close()
}

// startBroker starts the broker's process and returns its address.
func startBroker(t *testing.T) string {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), brokerDir+"="+t.TempDir())
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stdin.Close()
		_ = cmd.Wait()
	})
	addr, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatal("the broker did not start")
	}
	return strings.TrimSpace(addr)
}

// build builds the binary.
func build(t *testing.T) string {
	t.Helper()
	bin := filepath.Join(t.TempDir(), "streamsql")
	out, err := exec.Command("go", "build", "-o", bin, "github.com/streamsql/streamsql/cmd/streamsql").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return bin
}

// server is the process that is killed.
type server struct {
	bin, dir, addr string

	starts int

	mu  sync.Mutex
	cmd *exec.Cmd
	log strings.Builder // what the last process said
}

func newServer(t *testing.T) *server {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	s := &server{bin: build(t), dir: filepath.Join(t.TempDir(), "data"), addr: l.Addr().String()}
	t.Cleanup(s.kill)
	return s
}

type logWriter struct{ s *server }

func (w logWriter) Write(b []byte) (int, error) {
	w.s.mu.Lock()
	defer w.s.mu.Unlock()
	return w.s.log.Write(b)
}

func (s *server) said() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.log.String()
}

// start starts the process; it may not answer yet. It has one worker, the next
// one two, then three, so that the state is moved between them too; and every
// second one so little memory that most of it stays on disk.
func (s *server) start() error {
	s.mu.Lock()
	s.log.Reset()
	s.mu.Unlock()
	args := []string{"serve", "--listen", s.addr, "--data", s.dir, "--workers", strconv.Itoa(s.starts%3 + 1)}
	if s.starts%2 == 1 {
		args = append(args, "--memory", "1MiB")
	}
	s.starts++
	cmd := exec.Command(s.bin, args...)
	cmd.Stdout, cmd.Stderr = logWriter{s}, logWriter{s}
	if err := cmd.Start(); err != nil {
		return err
	}
	s.cmd = cmd
	return nil
}

// kill ends the process with SIGKILL.
func (s *server) kill() {
	if s.cmd != nil {
		_ = s.cmd.Process.Kill()
		_ = s.cmd.Wait()
		s.cmd = nil
	}
}

// connect waits until the server takes a connection.
func (s *server) connect(ctx context.Context) (*pgconn.PgConn, error) {
	var last error
	for {
		try, cancel := context.WithTimeout(ctx, 5*time.Second)
		conn, err := pgconn.Connect(try, "postgres://crash@"+s.addr+"/streamsql?sslmode=disable")
		cancel()
		if err == nil {
			return conn, nil
		}
		if ctx.Err() == nil {
			last = err
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(ctx.Err(), last)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// rows runs statements by the simple protocol and returns the last one's rows.
func rows(ctx context.Context, conn *pgconn.PgConn, sql, null string) ([][]string, error) {
	results, err := conn.Exec(ctx, sql).ReadAll()
	if err != nil {
		return nil, err
	}
	if len(results) == 0 {
		return nil, nil
	}
	var out [][]string
	for _, r := range results[len(results)-1].Rows {
		row := make([]string, len(r))
		for i, cell := range r {
			if row[i] = string(cell); cell == nil {
				row[i] = null
			}
		}
		out = append(out, row)
	}
	return out, nil
}
