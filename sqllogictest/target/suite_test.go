package target

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	_ "github.com/streamsql/streamsql/connector/datagen"
	_ "github.com/streamsql/streamsql/connector/file"
	_ "github.com/streamsql/streamsql/connector/kafka"
	_ "github.com/streamsql/streamsql/connector/nexmark"
	"github.com/streamsql/streamsql/engine"
	_ "github.com/streamsql/streamsql/examples/recommender" // functions.slt binds its functions
	"github.com/streamsql/streamsql/server"
	"github.com/streamsql/streamsql/sqllogictest"
)

// TestSuite runs the project's own files, with one worker and with three, each
// query as it is and as a view.
func TestSuite(t *testing.T) {
	runAll(t, suite(t), []int{1, 3}, false)
}

// TestSuiteOverTheWire runs them by the PostgreSQL protocol.
func TestSuiteOverTheWire(t *testing.T) {
	for _, f := range suite(t) {
		t.Run(filepath.Base(f), func(t *testing.T) {
			eng := open(t, 1)
			ctx, cancel := context.WithCancel(context.Background())
			ready, ended := make(chan string, 1), make(chan error, 1)
			go func() {
				ended <- server.Serve(ctx, eng, server.Options{Listen: "127.0.0.1:0", Ready: func(a, _ net.Addr) { ready <- a.String() }})
			}()
			defer func() {
				cancel()
				if err := <-ended; err != nil {
					t.Errorf("Serve: %v", err)
				}
			}()
			run(t, Wire("postgres://slt@"+<-ready+"/slt?sslmode=disable"), f, sqllogictest.Batch)
		})
	}
}

// corpus is where the part of SQLite's corpus is that is kept beside the tree.
const corpus = "../../../shared/slt/sqlite"

// TestCorpus runs it, if it is there.
func TestCorpus(t *testing.T) {
	if _, err := os.Stat(corpus); err != nil {
		t.Skip("the corpus is not here")
	}
	files := []string{"select1"}
	if !testing.Short() {
		files = append(files, "select2", "select3", "random/aggregates/slt_good_0", "random/expr/slt_good_0",
			"random/groupby/slt_good_0", "random/select/slt_good_0")
	}
	for i, f := range files {
		files[i] = filepath.Join(corpus, f+".test")
	}
	runAll(t, files, []int{1}, true)
}

func suite(t *testing.T) []string {
	files, err := filepath.Glob("../*.slt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no files: %v", err)
	}
	return files
}

func runAll(t *testing.T, files []string, workers []int, parallel bool) {
	for _, f := range files {
		for _, w := range workers {
			for _, mode := range []sqllogictest.Mode{sqllogictest.Batch, sqllogictest.View} {
				name := strings.ReplaceAll(strings.TrimLeft(strings.TrimPrefix(f, corpus), "./"), "/", "_")
				t.Run(fmt.Sprintf("%s_%d_%s", name, w, mode), func(t *testing.T) {
					if parallel {
						t.Parallel()
					}
					run(t, Engine{open(t, w)}, f, mode)
				})
			}
		}
	}
}

func open(t *testing.T, workers int) *engine.Engine {
	t.Helper()
	eng, err := engine.Open(context.Background(), engine.Options{Workers: workers})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := eng.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return eng
}

func run(t *testing.T, db sqllogictest.DB, file string, mode sqllogictest.Mode) {
	t.Helper()
	records, err := sqllogictest.ParseFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	sum, err := sqllogictest.Run(context.Background(), db, records, sqllogictest.Options{Mode: mode, Log: &log, MaxFails: 10})
	if err != nil {
		t.Fatal(err)
	}
	if sum.Failed > 0 || sum.Passed == 0 {
		t.Errorf("%s\n%s", sum, log.String())
	}
}
