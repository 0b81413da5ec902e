package exec

import (
	"errors"

	"github.com/streamsql/streamsql/sql/delta"
	"github.com/streamsql/streamsql/sql/expr"
	"github.com/streamsql/streamsql/sql/plan"
	"github.com/streamsql/streamsql/sql/sqlerr"
	"github.com/streamsql/streamsql/sql/types"
)

// RowError is an error of one row; errors.As finds it, and the *sqlerr.Error
// in it, whose Detail shows the row.
type RowError struct {
	Err  *sqlerr.Error
	Node int
	Row  string // (column=value, …), of the operator's input
}

func (e *RowError) Error() string { return e.Err.Error() }

// Unwrap returns the error itself.
func (e *RowError) Unwrap() error { return e.Err }

// rowError gives an error of evaluating over b, whose columns are named cols,
// its row. Other errors stay as they are.
func rowError(err error, n *plan.Node, b *delta.Batch, cols []plan.Column) error {
	var ev *expr.EvalError
	if !errors.As(err, &ev) {
		return err
	}
	e := *sqlerr.From(ev.Err)
	row := ""
	if ev.Row >= 0 && ev.Row < b.N {
		row = formatRow(b, ev.Row, cols)
		if e.Detail != "" {
			e.Detail += " "
		}
		e.Detail += "Row: " + row
	}
	return &RowError{Err: &e, Node: n.ID, Row: row}
}

// rowText bounds the text of a value, and of a row, in messages.
const (
	valueText = 200
	rowText   = 2000
)

// formatRow prints row i of b.
func formatRow(b *delta.Batch, i int, cols []plan.Column) string {
	out := []byte{'('}
	var buf []byte
	for c, v := range b.Cols {
		if c > 0 {
			out = append(out, ", "...)
		}
		if c < len(cols) && cols[c].Name != "" {
			out = append(append(out, cols[c].Name...), '=')
		}
		d := v.Datum(i)
		if d.Null {
			out = append(out, "NULL"...)
			continue
		}
		buf = types.FormatText(buf[:0], v.T, d)
		if len(buf) > valueText {
			buf = append(buf[:valueText], "…"...)
		}
		out = append(out, buf...)
		if len(out) > rowText {
			return string(append(out, ", …)"...))
		}
	}
	return string(append(out, ')'))
}
