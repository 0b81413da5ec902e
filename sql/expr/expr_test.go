package expr

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/streamsql/streamsql/sql/delta"
	"github.com/streamsql/streamsql/sql/sqlerr"
	"github.com/streamsql/streamsql/sql/types"
)

// testContext stands at 2024-02-29 12:34:56.789 UTC.
func testContext() *Context {
	return &Context{Now: 1_709_210_096_789_000, User: "alice", Database: "streamsql",
		Random: func() float64 { return 0.25 },
		Setting: func(name string) (string, bool) {
			v, ok := map[string]string{"timezone": "UTC", "search_path": "public"}[name]
			return v, ok
		}}
}

// evalText gives an expression's value as text, with its type in front.
func evalText(ctx *Context, src string) (string, error) {
	e := (&Env{}).In(ctx)
	x, err := readExpr(e, src)
	if err != nil {
		return "", err
	}
	if x.Type.ID == types.Unknown {
		if x, err = e.Cast(x, types.Of(types.Text), Implicit); err != nil {
			return "", err
		}
	}
	d, err := EvalConst(e, x, ctx)
	if err != nil {
		return "", err
	}
	// Folding must agree with evaluation, and a batch of rows with a single one.
	if f := Fold(e, x, ctx); f.Kind == Const && show(ctx, f.Type, f.Value) != show(ctx, x.Type, d) {
		return "", fmt.Errorf("folded to %s, evaluates to %s", show(ctx, f.Type, f.Value), show(ctx, x.Type, d))
	}
	p, err := Compile(e, x)
	if err != nil {
		return "", err
	}
	for range 2 {
		v, err := p.Eval(ctx, &delta.Batch{N: 3})
		if err != nil {
			return "", err
		}
		if v.N != 3 || VolatilityOf(e, x) != Volatile && show(ctx, x.Type, v.Datum(2)) != show(ctx, x.Type, d) {
			return "", fmt.Errorf("row 2 of %d is %s, want %s", v.N, show(ctx, x.Type, v.Datum(2)), show(ctx, x.Type, d))
		}
	}
	return x.Type.String() + " " + show(ctx, x.Type, d), nil
}

func show(ctx *Context, t types.Type, d types.Datum) string {
	if d.Null {
		return "NULL"
	}
	b, err := textOf(ctx, nil, t, d)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// TestExpressions reads testdata/*.txt: lines "expression → type value", or
// "expression ! SQLSTATE part of the message".
func TestExpressions(t *testing.T) {
	files, err := os.ReadDir("testdata")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		t.Run(strings.TrimSuffix(f.Name(), ".txt"), func(t *testing.T) {
			data, err := os.ReadFile("testdata/" + f.Name())
			if err != nil {
				t.Fatal(err)
			}
			for n, line := range strings.Split(string(data), "\n") {
				if line == "" || line[0] == '#' {
					continue
				}
				if src, want, ok := strings.Cut(line, " → "); ok {
					got, err := evalText(testContext(), src)
					if err != nil {
						t.Errorf("line %d: %s: %v", n+1, src, err)
					} else if got != want {
						t.Errorf("line %d: %s\n got %s\nwant %s", n+1, src, got, want)
					}
					continue
				}
				src, want, ok := strings.Cut(line, " ! ")
				if !ok {
					t.Fatalf("line %d: %s", n+1, line)
				}
				got, err := evalText(testContext(), src)
				var se *sqlerr.Error
				code, msg, _ := strings.Cut(want, " ")
				switch {
				case err == nil:
					t.Errorf("line %d: %s gives %s, want error %s", n+1, src, got, want)
				case !errors.As(err, &se) || se.Code != code || !strings.Contains(se.Message, msg):
					t.Errorf("line %d: %s: %v (%s), want %s", n+1, src, err, sqlerr.From(err).Code, want)
				}
			}
		})
	}
}
