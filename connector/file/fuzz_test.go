package file

import (
	"encoding/csv"
	"fmt"
	"strings"
	"testing"
)

// FuzzCSV holds the records to encoding/csv: what it takes is taken alike, and
// what it refuses is refused somewhere.
func FuzzCSV(f *testing.F) {
	for _, s := range []string{"a,b\nc\n", `"a""b",c` + "\n", "\"x\ny\",\n\n,", "a\"b\n", "\"a\"b\n", "\"", ",\"\""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if strings.ContainsAny(s, "\r") || strings.HasSuffix(s, "\n") {
			return // encoding/csv changes line breaks
		}
		ref := csv.NewReader(strings.NewReader(s))
		ref.FieldsPerRecord = -1
		want, wantErr := ref.ReadAll()
		var got [][]string
		var gotErr error
		for rest := []byte(s + "\n"); len(rest) > 0; {
			n := csvEnd(rest, ',')
			if n == 0 {
				gotErr = fmt.Errorf("no end")
				break
			}
			if rec := rest[:n-1]; len(rec) > 0 {
				fields, _, err := csvSplit(nil, nil, rec, ',')
				if err != nil {
					gotErr = err
					break
				}
				row := []string{}
				for _, f := range fields {
					row = append(row, string(f.b))
				}
				got = append(got, row)
			}
			rest = rest[n:]
		}
		if (gotErr == nil) != (wantErr == nil) || gotErr == nil && fmt.Sprint(len(got), got) != fmt.Sprint(len(want), want) {
			t.Fatalf("%q: %q %v, encoding/csv: %q %v", s, got, gotErr, want, wantErr)
		}
	})
}
