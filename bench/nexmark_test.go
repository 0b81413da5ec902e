package bench

import (
	"context"
	"fmt"
	"io"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/streamsql/streamsql/connector"
	_ "github.com/streamsql/streamsql/connector/file"
	"github.com/streamsql/streamsql/connector/nexmark"
	"github.com/streamsql/streamsql/engine"
	"github.com/streamsql/streamsql/sql/delta"
	"github.com/streamsql/streamsql/sql/types"
)

// ready serves the generator's rows from memory, so that a benchmark measures
// the engine and not the generator. All readers share the batches.
type ready struct {
	fetches []connector.Fetch
	end     int64
}

var (
	readyMu sync.Mutex
	readyBy = map[string]*ready{} // by table type
)

// events is how many of all kinds a source has: people and auctions are rare, so
// theirs have more.
func events(kind string) int {
	if kind == "Bid" {
		return 2_000_000
	}
	return 10_000_000
}

func init() {
	connector.RegisterSource("nexmark-ready", func(cfg connector.Config) (connector.Source, error) {
		readyMu.Lock()
		defer readyMu.Unlock()
		kind := cfg.Options["nexmark.table.type"]
		if r := readyBy[kind]; r != nil {
			return r, nil
		}
		opts := map[string]string{"connector": "nexmark", "nexmark.table.type": kind, "nexmark.event.num": fmt.Sprint(events(kind))}
		src, err := nexmark.New(connector.Config{Name: cfg.Name, Options: opts, Columns: cfg.Columns})
		if err != nil {
			return nil, err
		}
		rd, err := src.Open(context.Background(), nil, nil)
		if err != nil {
			return nil, err
		}
		r := &ready{}
		for {
			fs, err := rd.Fetch(context.Background(), delta.MaxRows)
			for _, f := range fs {
				r.fetches = append(r.fetches, f)
				r.end = f.Next
			}
			if err == io.EOF {
				break
			} else if err != nil {
				return nil, err
			}
		}
		readyBy[kind] = r
		return r, nil
	})
}

func (r *ready) Start(context.Context) (connector.Positions, error) {
	return connector.Positions{0: 0}, nil
}
func (r *ready) End(context.Context) (connector.Positions, error) {
	return connector.Positions{0: r.end}, nil
}
func (r *ready) Close() error { return nil }
func (r *ready) Open(_ context.Context, from, _ connector.Positions) (connector.Reader, error) {
	rr := &readyReader{r: r}
	for rr.i < len(r.fetches) && r.fetches[rr.i].Next <= from[0] {
		rr.i++
	}
	return rr, nil
}

type readyReader struct {
	r *ready
	i int
}

func (r *readyReader) Fetch(context.Context, int) ([]connector.Fetch, error) {
	if r.i == len(r.r.fetches) {
		return nil, io.EOF
	}
	r.i++
	return r.r.fetches[r.i-1 : r.i], nil
}
func (r *readyReader) Trouble() error { return nil }
func (r *readyReader) Close() error   { return nil }

var sources = []string{
	`CREATE SOURCE person (id BIGINT, name VARCHAR, email_address VARCHAR, credit_card VARCHAR, city VARCHAR, state VARCHAR,
	   date_time TIMESTAMP, extra VARCHAR, WATERMARK FOR date_time AS date_time - INTERVAL '4 seconds')
	   WITH (connector = 'nexmark-ready', nexmark.table.type = 'Person')`,
	`CREATE SOURCE auction (id BIGINT, item_name VARCHAR, description VARCHAR, initial_bid BIGINT, reserve BIGINT,
	   date_time TIMESTAMP, expires TIMESTAMP, seller BIGINT, category BIGINT, extra VARCHAR,
	   WATERMARK FOR date_time AS date_time - INTERVAL '4 seconds')
	   WITH (connector = 'nexmark-ready', nexmark.table.type = 'Auction')`,
	`CREATE SOURCE bid (auction BIGINT, bidder BIGINT, price BIGINT, channel VARCHAR, url VARCHAR,
	   date_time TIMESTAMP, extra VARCHAR, WATERMARK FOR date_time AS date_time - INTERVAL '4 seconds')
	   WITH (connector = 'nexmark-ready', nexmark.table.type = 'Bid')`,
}

type query struct {
	name string
	sql  string
	// loop is the same by hand: it gets the batches of the sources in their
	// order and returns the rows that it would put out.
	loop  func(tables map[string][]*delta.Batch) int
	reads []string
}

var queries = []query{
	{"q0", `SELECT auction, bidder, price, channel, url, date_time, extra FROM bid`, loopQ0, []string{"bid"}},
	{"q1", `SELECT auction, bidder, 0.908 * price AS price, date_time, extra FROM bid`, loopQ1, []string{"bid"}},
	{"q3", `SELECT p.name, p.city, p.state, a.id FROM auction a JOIN person p ON a.seller = p.id
	  WHERE a.category = 10 AND p.state IN ('OR', 'ID', 'CA')`, loopQ3, []string{"auction", "person"}},
	{"q5", `SELECT ab.auction, ab.num, ab.window_start, ab.window_end FROM
	    (SELECT auction, count(*) AS num, window_start, window_end
	       FROM HOP(bid, date_time, INTERVAL '2 seconds', INTERVAL '10 seconds') GROUP BY auction, window_start, window_end) ab
	    JOIN (SELECT max(num) AS maxn, window_start, window_end FROM
	           (SELECT count(*) AS num, window_start, window_end
	              FROM HOP(bid, date_time, INTERVAL '2 seconds', INTERVAL '10 seconds') GROUP BY auction, window_start, window_end) c
	          GROUP BY window_start, window_end) mb
	    ON ab.window_start = mb.window_start AND ab.window_end = mb.window_end AND ab.num >= mb.maxn`, loopQ5, []string{"bid"}},
	{"q8", `SELECT p.id, p.name, p.window_start FROM
	    (SELECT id, name, window_start, window_end FROM TUMBLE(person, date_time, INTERVAL '10 seconds') GROUP BY id, name, window_start, window_end) p
	    JOIN (SELECT seller, window_start, window_end FROM TUMBLE(auction, date_time, INTERVAL '10 seconds') GROUP BY seller, window_start, window_end) a
	    ON p.id = a.seller AND p.window_start = a.window_start AND p.window_end = a.window_end`, loopQ8, []string{"person", "auction"}},
}

func exec(tb testing.TB, s *engine.Session, sql string) [][]types.Datum {
	tb.Helper()
	ctx := context.Background()
	sts, err := s.Parse(sql)
	if err != nil {
		tb.Fatalf("%s: %v", sql, err)
	}
	var out [][]types.Datum
	for _, st := range sts {
		p, err := s.Prepare(ctx, st, nil)
		if err != nil {
			tb.Fatalf("%s: %v", sql, err)
		}
		rows, err := p.Execute(ctx, nil)
		if err != nil {
			tb.Fatalf("%s: %v", sql, err)
		}
		for {
			ok, err := rows.Next(ctx)
			if err != nil {
				tb.Fatalf("%s: %v", sql, err)
			}
			if !ok {
				break
			}
			out = append(out, append([]types.Datum{}, rows.Row()...))
		}
		rows.Close()
	}
	return out
}

// BenchmarkNexmark runs each query over its sources' events from memory into the sink blackhole, with a data directory and
// checkpoints every second; "loop" is the hand-written program.
func BenchmarkNexmark(b *testing.B) {
	for _, q := range queries {
		b.Run(q.name+"/engine", func(b *testing.B) {
			for range b.N {
				b.StopTimer()
				e, err := engine.Open(context.Background(), engine.Options{Dir: b.TempDir()})
				if err != nil {
					b.Fatal(err)
				}
				s, err := e.NewSession("bench", "bench", nil)
				if err != nil {
					b.Fatal(err)
				}
				for _, src := range sources {
					exec(b, s, src)
				}
				rows := 0
				for _, t := range q.reads {
					rows += countRows(batches(b, t))
				}
				runtime.GC()
				b.StartTimer()
				start, cpu := time.Now(), cpuTime()
				exec(b, s, "CREATE SINK out AS "+q.sql+" WITH (connector = 'blackhole')")
				for {
					done := exec(b, s, fmt.Sprintf("SELECT count(*) FROM streamsql.source_positions WHERE next_offset >= %d", events(kinds[q.reads[0]])-50))
					if done[0][0].I == int64(len(q.reads)) {
						break
					}
					time.Sleep(time.Millisecond)
				}
				took, cpu := time.Since(start), cpuTime()-cpu
				b.StopTimer()
				b.ReportMetric(float64(rows)/took.Seconds()/1e6, "Mrows/s")
				b.ReportMetric(float64(rows)/cpu.Seconds()/1e6, "Mrows/cpu-s")
				s.Close()
				if err := e.Close(); err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
			}
		})
		b.Run(q.name+"/loop", func(b *testing.B) {
			tables := map[string][]*delta.Batch{}
			rows := 0
			for _, t := range q.reads {
				tables[t] = batches(b, t)
				rows += countRows(tables[t])
			}
			b.ResetTimer()
			out := 0
			for range b.N {
				out = q.loop(tables)
			}
			b.ReportMetric(float64(rows)*float64(b.N)/b.Elapsed().Seconds()/1e6, "Mrows/s")
			b.ReportMetric(float64(out), "out")
		})
	}
}

// cpuTime is the process's CPU time, checkpoints and collections included: on a
// shared machine it says more than the clock.
func cpuTime() time.Duration {
	var r syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &r) != nil {
		return 0
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

var kinds = map[string]string{"person": "Person", "auction": "Auction", "bid": "Bid"}

func batches(tb testing.TB, table string) []*delta.Batch {
	tb.Helper()
	cols, err := nexmark.Columns(kinds[table])
	if err != nil {
		tb.Fatal(err)
	}
	src, err := connector.NewSource(connector.Config{Name: table, Columns: cols,
		Options: map[string]string{"connector": "nexmark-ready", "nexmark.table.type": kinds[table]}})
	if err != nil {
		tb.Fatal(err)
	}
	var out []*delta.Batch
	for _, f := range src.(*ready).fetches {
		if f.Batch != nil {
			out = append(out, f.Batch)
		}
	}
	return out
}

func countRows(bs []*delta.Batch) (n int) {
	for _, b := range bs {
		n += b.N
	}
	return n
}
