package server

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/streamsql/streamsql/engine"
	"github.com/streamsql/streamsql/sql/types"
)

// handler answers /healthz and /metrics.
func handler(e *engine.Engine) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		select {
		case <-e.Lost():
			http.Error(w, fmt.Sprintf("the engine cannot go on: %v", e.Err()), http.StatusServiceUnavailable)
		default:
			io.WriteString(w, "ok\n")
		}
	})
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), 10*time.Second)
		defer cancel()
		var b strings.Builder
		if err := metrics(ctx, e, &b); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "text/plain; version=0.0.4")
		io.WriteString(w, b.String())
	})
	return mux
}

// metric is a column of a system relation as Prometheus sees it.
type metric struct {
	name, kind, help string
	column           int // of the query's result
}

// families are the queries behind /metrics: the first columns are labels.
var families = []struct {
	query   string
	labels  []string
	metrics []metric
}{
	{`SELECT name, kind, state, rows, state_bytes, rows_in, rows_out, step_seconds, epoch, extract(epoch FROM watermark)::float8 FROM streamsql.jobs`,
		[]string{"job", "kind", "state"}, []metric{
			{"job_rows", "gauge", "Rows that the relation holds.", 3},
			{"job_state_bytes", "gauge", "Bytes of state held.", 4},
			{"job_rows_in_total", "counter", "Rows that came in.", 5},
			{"job_rows_out_total", "counter", "Rows that went out.", 6},
			{"job_step_seconds_total", "counter", "Time spent in steps.", 7},
			{"job_epoch", "gauge", "The last epoch that the job shows.", 8},
			{"job_watermark_seconds", "gauge", "The watermark, in seconds since 1970.", 9},
		}},
	{`SELECT job, node::text, operator, rows_in, rows_out, seconds, state_rows, state_bytes, late_rows, late_dropped FROM streamsql.operators`,
		[]string{"job", "node", "operator"}, []metric{
			{"operator_rows_in_total", "counter", "Rows that came in.", 3},
			{"operator_rows_out_total", "counter", "Rows that went out.", 4},
			{"operator_seconds_total", "counter", "Time spent in the operator itself.", 5},
			{"operator_state_rows", "gauge", "Rows of state held.", 6},
			{"operator_state_bytes", "gauge", "Bytes of state held.", 7},
			{"operator_late_rows_total", "counter", "Rows that came behind the watermark.", 8},
			{"operator_late_dropped_total", "counter", "Rows that came behind the watermark and were not kept.", 9},
		}},
	{`SELECT source, partition::text, next_offset, extract(epoch FROM watermark)::float8, (trouble IS NOT NULL)::int4,
		extract(epoch FROM partition_watermark)::float8, idle::int4, held::int4 FROM streamsql.source_positions`,
		[]string{"source", "partition"}, []metric{
			{"source_next_offset", "gauge", "The offset of the next record to read.", 2},
			{"source_watermark_seconds", "gauge", "The watermark, in seconds since 1970.", 3},
			{"source_trouble", "gauge", "1 while something keeps the source from reading.", 4},
			{"partition_watermark_seconds", "gauge", "The partition's own watermark, in seconds since 1970.", 5},
			{"partition_idle", "gauge", "1 while the partition has nothing for so long that it does not hold the watermark back.", 6},
			{"partition_held", "gauge", "1 while the partition waits for slower ones.", 7},
		}},
}

func metrics(ctx context.Context, e *engine.Engine, b *strings.Builder) error {
	s, err := e.NewSession("metrics", "", map[string]string{"application_name": "metrics"})
	if err != nil {
		return err
	}
	defer s.Close()
	for _, f := range families {
		a, err := s.Exec(ctx, f.query)
		if err != nil {
			return err
		}
		for _, m := range f.metrics {
			fmt.Fprintf(b, "# HELP streamsql_%s %s\n# TYPE streamsql_%s %s\n", m.name, m.help, m.name, m.kind)
			for _, row := range a.Rows {
				if row[m.column].Null {
					continue
				}
				fmt.Fprintf(b, "streamsql_%s{", m.name)
				for i, l := range f.labels {
					if i > 0 {
						b.WriteByte(',')
					}
					fmt.Fprintf(b, "%s=\"%s\"", l, escape.Replace(string(row[i].S)))
				}
				fmt.Fprintf(b, "} %s\n", types.FormatText(nil, a.Columns[m.column].Type, row[m.column]))
			}
		}
	}
	return nil
}

var escape = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`)
