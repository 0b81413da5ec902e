package expr

import (
	"bytes"

	"github.com/streamsql/streamsql/sql/types"
)

func init() {
	registerSet(&setFunc{f: Func{Name: "pg_options_to_table", Args: []types.Type{types.ArrayOf(types.Text)}},
		cols: typs(types.Text, types.Text), names: []string{"option_name", "option_value"},
		rows: func(_ *Context, args []types.Datum, _ []types.Type) Rows {
			return func(yield func([]types.Datum, error) bool) {
				for _, d := range types.Elems(args[0].S, types.Text) {
					name, value, ok := bytes.Cut(d.S, []byte("="))
					if !yield([]types.Datum{{S: name}, {S: value, Null: !ok}}, nil) {
						return
					}
				}
			}
		}})
}
