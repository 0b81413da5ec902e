package engine

import (
	"fmt"
	"slices"
	"strings"

	"github.com/streamsql/streamsql/sql/catalog"
	"github.com/streamsql/streamsql/sql/types"
)

// systemRows makes the relations of the schema streamsql.
var systemRows = map[string]func(*virtualEnv) error{
	"streamsql.watermarks":   watermarkRows,
	"streamsql.windows_open": openRows,
	"streamsql.late_rows":    lateCountRows,
	"streamsql.state":        stateRows,
	"streamsql.jobs": func(v *virtualEnv) error {
		infos, err := v.eng.jobs(v.ctx)
		for _, j := range infos {
			schema := catalog.Public
			if o := v.cat.ByID(j.ID); o != nil {
				schema = o.Schema
			}
			total := any(j.BackfillTotal)
			if j.BackfillTotal < 0 {
				total = nil
			}
			v.add(vrow{"id": j.ID, "schema": schema, "name": j.Name, "kind": string(j.Kind), "state": string(j.State),
				"epoch": j.Epoch, "rows": j.Rows, "state_bytes": j.StateBytes, "rows_in": j.RowsIn, "rows_out": j.RowsOut,
				"step_seconds": float64(j.StepNanos) / 1e9, "backfill_done": j.BackfillDone, "backfill_total": total,
				"progress": j.progress(), "watermark": timeOr(j.Watermark), "error_code": textOr(j.ErrorCode), "error": textOr(j.Error),
				"late": string(j.Late), "allowed_lateness": types.IntervalOf(j.AllowedLateness, 0, 0), "state_unbounded": j.Late == lateUpdate,
				"restarts": j.Restarts, "next_restart": timeOr(j.NextRestart)})
		}
		return err
	},
	"streamsql.job_errors": func(v *virtualEnv) error {
		infos, err := v.eng.failures(v.ctx)
		for _, f := range infos {
			v.add(vrow{"job_id": f.Job, "job": f.Name, "epoch": f.Epoch, "time": timeOr(f.Time), "code": f.Code,
				"message": f.Message, "detail": textOr(f.Detail), "row": textOr(f.Row)})
		}
		return err
	},
	"streamsql.operators": func(v *virtualEnv) error {
		infos, err := v.eng.operators(v.ctx)
		for _, o := range infos {
			v.add(vrow{"job_id": o.Job, "job": o.JobName, "node": o.Node, "operator": o.Name, "rows_in": o.RowsIn,
				"rows_out": o.RowsOut, "batches": o.Batches, "seconds": float64(o.Nanos) / 1e9, "state_rows": o.StateRows,
				"state_bytes": o.StateBytes, "watermark": timeOr(o.Watermark), "late_rows": o.LateRows, "late_dropped": o.LateDropped})
		}
		return err
	},
	"streamsql.source_positions": func(v *virtualEnv) error {
		var infos []PositionInfo
		var err error
		if v.pin != nil {
			infos = v.pin.positions()
		} else {
			infos, err = v.eng.positions(v.ctx)
		}
		for _, p := range infos {
			row := vrow{"source_id": p.Source, "source": p.Name, "epoch": p.Epoch,
				"watermark": timeOr(p.Watermark), "trouble": textOr(p.Trouble)}
			if p.Partition >= 0 {
				row["partition"], row["next_offset"] = p.Partition, p.Offset
				row["partition_watermark"], row["idle"], row["held"] = markOr(p.Mark), p.Idle, p.Held
			}
			v.add(row)
		}
		return err
	},
	"streamsql.checkpoints": func(v *virtualEnv) error {
		infos, err := v.eng.checkpoints(v.ctx)
		for _, c := range infos {
			v.add(vrow{"epoch": c.Epoch, "started": timeOr(c.Started), "duration_ms": float64(c.Duration) / 1e3,
				"pause_ms": float64(c.Pause) / 1e3, "bytes": c.Bytes, "error": textOr(c.Error)})
		}
		return err
	},
	"streamsql.sources": func(v *virtualEnv) error {
		for _, o := range v.cat.All() {
			if o.Kind != catalog.Source {
				continue
			}
			r := connected(o)
			if w := o.Watermark; w != nil {
				r["watermark_column"] = o.Columns[w.Col].Name
				switch {
				case w.Adaptive != nil:
					a := w.Adaptive
					r["watermark_strategy"] = fmt.Sprintf("adaptive: %v times the mean delay of the last %d, at least %s", a.Factor, a.N, span(a.Min))
				case w.Ascending:
					r["watermark_strategy"] = "ascending"
				default:
					r["watermark_strategy"] = "bounded"
					r["watermark_delay"] = types.IntervalOf(w.Delay, 0, 0)
				}
			}
			v.add(r)
		}
		return nil
	},
	"streamsql.sinks": func(v *virtualEnv) error {
		for _, o := range v.cat.All() {
			if o.Kind == catalog.Sink {
				v.add(connected(o))
			}
		}
		return nil
	},
	"streamsql.functions": func(v *virtualEnv) error {
		for _, o := range v.cat.All() {
			if o.Kind == catalog.Function {
				v.add(vrow{"name": o.Name, "arguments": functionArgs(o), "returns": o.Returns.String(), "language": o.Language,
					"symbol": o.Symbol, "volatility": o.Volatile, "strict": o.Strict, "aggregate": o.Aggregate})
			}
		}
		return nil
	},
	"streamsql.settings": func(v *virtualEnv) error {
		for _, d := range settingDefs {
			value, _ := v.s.Setting(d.name)
			v.add(vrow{"name": d.name, "setting": value, "description": d.about})
		}
		return nil
	},
}

// connected is a row of a source or sink; secrets stay out of it.
func connected(o *catalog.Object) vrow {
	shown := map[string]any{}
	for k, v := range o.Options {
		if secret(k) {
			v = "********"
		}
		shown[k] = v
	}
	return vrow{"id": o.ID, "schema": o.Schema, "name": o.Name, "connector": textOr(o.Options["connector"]),
		"format": textOr(o.Format), "encode": textOr(o.Encode), "options": types.AppendJSONB([]byte{}, shown)}
}

// secret tells the options whose values are not shown.
func secret(option string) bool {
	option = strings.ToLower(option)
	return slices.ContainsFunc([]string{"password", "secret", "token", "private", "jaas"}, func(w string) bool {
		return strings.Contains(option, w)
	})
}
