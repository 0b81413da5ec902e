package udf

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/streamsql/streamsql/sql/delta"
	"github.com/streamsql/streamsql/sql/sqlerr"
	"github.com/streamsql/streamsql/sql/types"
)

func vec(t *testing.T, typ types.Type, texts ...string) *delta.Vec {
	t.Helper()
	v := delta.NewVec(typ, len(texts))
	for _, s := range texts {
		if s == "NULL" {
			v.AppendNull()
			continue
		}
		d, err := types.ParseText(typ, s)
		if err != nil {
			t.Fatal(err)
		}
		v.AppendDatum(d)
	}
	return v
}

func texts(v *delta.Vec) string {
	out := make([]string, v.N)
	for i := range out {
		out[i] = "NULL"
		if !v.Null(i) {
			out[i] = string(types.FormatText(nil, v.T, v.Datum(i)))
		}
	}
	return strings.Join(out, " ")
}

func of(id types.ID) types.Type { return types.Of(id) }

// wantCode checks an error's SQLSTATE, message and hint.
func wantCode(t *testing.T, err error, code, text string) {
	t.Helper()
	e := sqlerr.From(err)
	if err == nil || e.Code != code || !strings.Contains(e.Message+" "+e.Hint, text) {
		t.Errorf("%v, want %s with %q", err, code, text)
	}
}

func TestScalarTypes(t *testing.T) {
	var r Registry
	for symbol, fn := range map[string]any{
		"bool":  func(b bool) bool { return !b },
		"int2":  func(a int16) int32 { return int32(a) * 2 },
		"int":   func(a, b int) int { return a - b },
		"f4":    func(f float32) float64 { return float64(f) / 2 },
		"text":  strings.ToUpper,
		"bytes": func(b []byte) []byte { return append(b, 0xFF) },
		"time":  func(tm time.Time) time.Time { return tm.Add(time.Hour) },
		"null": func(s *string) *int64 {
			if s == nil {
				n := int64(-1)
				return &n
			}
			return nil
		},
		"sum": func(a []int64) (n int64) {
			for _, v := range a {
				n += v
			}
			return n
		},
		"split": func(s string) []string { return strings.Split(s, ",") },
		"json":  func(s string) string { return s },
	} {
		if err := r.Scalar(symbol, fn); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		symbol string
		result types.Type
		args   []*delta.Vec
		want   string
	}{
		{"bool", of(types.Bool), []*delta.Vec{vec(t, of(types.Bool), "t", "NULL", "f")}, "f NULL t"},
		{"int2", of(types.Int4), []*delta.Vec{vec(t, of(types.Int2), "-3")}, "-6"},
		{"int", of(types.Int8), []*delta.Vec{vec(t, of(types.Int8), "5", "NULL"), vec(t, of(types.Int8), "7", "7")}, "-2 NULL"},
		{"f4", of(types.Float8), []*delta.Vec{vec(t, of(types.Float4), "1.5")}, "0.75"},
		{"text", of(types.Text), []*delta.Vec{vec(t, types.Type{ID: types.Varchar, Mod: 5}, "ab", "")}, "AB "},
		{"bytes", of(types.Bytea), []*delta.Vec{vec(t, of(types.Bytea), `\x01`)}, `\x01ff`},
		{"time", of(types.Timestamptz), []*delta.Vec{vec(t, of(types.Timestamptz), "2024-01-01")}, "2024-01-01 01:00:00+00"},
		{"null", of(types.Int8), []*delta.Vec{vec(t, of(types.Text), "x", "NULL")}, "NULL -1"},
		{"sum", of(types.Int8), []*delta.Vec{vec(t, types.ArrayOf(types.Int8), "{1,2}", "{}")}, "3 0"},
		{"split", types.ArrayOf(types.Text), []*delta.Vec{vec(t, of(types.Text), "a,b")}, "{a,b}"},
		{"json", of(types.JSONB), []*delta.Vec{vec(t, of(types.Text), `{"b":1,"a":2}`)}, `{"a": 2, "b": 1}`},
	} {
		params := make([]types.Type, len(c.args))
		for i, a := range c.args {
			params[i] = a.T
		}
		b, err := r.BindScalar(c.symbol, params, c.result, false)
		if err != nil {
			t.Errorf("%s: %v", c.symbol, err)
			continue
		}
		out, err := b.Call(c.args, c.args[0].N, nil)
		if err != nil || texts(out) != c.want {
			t.Errorf("%s: %s, %v, want %s", c.symbol, texts(out), err, c.want)
		}
	}
}

func TestStrict(t *testing.T) {
	var r Registry
	if err := r.Scalar("f", func(*int64) int64 { return 1 }); err != nil {
		t.Fatal(err)
	}
	for _, strict := range []bool{false, true} {
		b, err := r.BindScalar("f", []types.Type{of(types.Int8)}, of(types.Int8), strict)
		if err != nil {
			t.Fatal(err)
		}
		out, err := b.Call([]*delta.Vec{vec(t, of(types.Int8), "NULL")}, 1, nil)
		if want := map[bool]string{false: "1", true: "NULL"}[strict]; err != nil || texts(out) != want {
			t.Errorf("strict %v: %s, %v", strict, texts(out), err)
		}
	}
}

// TestFailures: an error and a panic name their row and leave the function usable.
func TestFailures(t *testing.T) {
	var r Registry
	if err := errors.Join(
		r.Scalar("err", func(a int64) (int64, error) {
			if a == 0 {
				return 0, errors.New("no zero")
			}
			return 10 / a, nil
		}),
		r.Scalar("panic", func(a int64) int64 { return 10 / a }),
		r.Scalar("text", func(int64) string { return "\xff" }),
		r.Scalar("array", func([]int64) int64 { return 0 }),
	); err != nil {
		t.Fatal(err)
	}
	i8 := []types.Type{of(types.Int8)}
	for symbol, text := range map[string]string{"err": "no zero", "panic": "panic: runtime error: integer divide by zero"} {
		b, err := r.BindScalar(symbol, i8, of(types.Int8), false)
		if err != nil {
			t.Fatal(err)
		}
		_, err = b.Call([]*delta.Vec{vec(t, of(types.Int8), "1", "2", "0", "0")}, 4, nil)
		var ce *CallError
		if !errors.As(err, &ce) || ce.Row != 2 {
			t.Errorf("%s: %v, want row 2", symbol, err)
		}
		wantCode(t, err, "38000", text)
		if out, err := b.Call([]*delta.Vec{vec(t, of(types.Int8), "5")}, 1, nil); err != nil || texts(out) != "2" {
			t.Errorf("%s: afterwards %v", symbol, err)
		}
	}
	b, err := r.BindScalar("text", i8, of(types.Text), false)
	if err != nil {
		t.Fatal(err)
	}
	_, err = b.Call([]*delta.Vec{vec(t, of(types.Int8), "1")}, 1, nil)
	wantCode(t, err, "38000", "not UTF-8")
	if b, err = r.BindScalar("array", []types.Type{types.ArrayOf(types.Int8)}, of(types.Int8), false); err != nil {
		t.Fatal(err)
	}
	_, err = b.Call([]*delta.Vec{vec(t, types.ArrayOf(types.Int8), "{1,NULL}")}, 1, nil)
	wantCode(t, err, "38000", "element 2 of the array is NULL")
}

func TestBindErrors(t *testing.T) {
	var r Registry
	if err := errors.Join(r.Scalar("pkg.Fn", func(int64) float64 { return 0 }), r.Aggregate("pkg.Agg", func() *median { return &median{} })); err != nil {
		t.Fatal(err)
	}
	bind := func(symbol string, result types.ID, params ...types.ID) error {
		ts := make([]types.Type, len(params))
		for i, p := range params {
			ts[i] = of(p)
		}
		_, err := r.BindScalar(symbol, ts, of(result), false)
		return err
	}
	wantCode(t, bind("pkg.fn", types.Float8, types.Int8), "42883", `Perhaps you meant "pkg.Fn"`)
	wantCode(t, bind("other", types.Float8), "42883", "Registered are: pkg.Agg, pkg.Fn.")
	wantCode(t, bind("pkg.Fn", types.Float8), "42P13", "takes 1 arguments in Go, 0 were declared")
	wantCode(t, bind("pkg.Fn", types.Float8, types.Int4), "42P13", "Declare it as bigint.")
	wantCode(t, bind("pkg.Fn", types.Numeric, types.Int8), "42P13", "the result of pkg.Fn is float64")
	wantCode(t, bind("pkg.Agg", types.Float8, types.Int8), "42809", "is an aggregate")
	_, err := r.BindAggregate("pkg.Fn", nil, of(types.Int8), false)
	wantCode(t, err, "42809", "is not an aggregate")
	if !r.IsAggregate("pkg.Agg") || r.IsAggregate("pkg.Fn") || r.IsAggregate("nothing") {
		t.Error("IsAggregate")
	}
}

func TestRegisterErrors(t *testing.T) {
	var r Registry
	for name, err := range map[string]error{
		"not a function": r.Scalar("x", 5),
		"variadic":       r.Scalar("x", func(...int64) int64 { return 0 }),
		"no SQL type":    r.Scalar("x", func(chan int) int64 { return 0 }),
		"must return":    r.Scalar("x", func() {}),
		"func() that":    r.Aggregate("x", 5),
		"Add and Result": r.Aggregate("x", func() *strings.Reader { return nil }),
	} {
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%v, want %q", err, name)
		}
	}
	if err := r.Scalar("twice", strings.ToUpper); err != nil {
		t.Fatal(err)
	}
	if err := r.Scalar("twice", strings.ToUpper); err == nil {
		t.Error("a symbol was registered twice")
	}
}

// median is an aggregate that cannot take rows back, total one that can.
type median struct{ Vals []float64 }

func (m *median) Add(v float64) error {
	if v < 0 {
		return errors.New("negative")
	}
	m.Vals = append(m.Vals, v)
	return nil
}

func (m *median) Result() *float64 {
	if len(m.Vals) == 0 {
		return nil
	}
	return &m.Vals[len(m.Vals)/2]
}

type total struct{ N int64 }

func (s *total) Add(v int64)     { s.N += v }
func (s *total) Retract(v int64) { s.N -= v }
func (s *total) Result() int64   { return s.N }

func TestAggregates(t *testing.T) {
	var r Registry
	if err := errors.Join(r.Aggregate("median", func() *median { return &median{} }), r.Aggregate("total", func() *total { return &total{} })); err != nil {
		t.Fatal(err)
	}
	b, err := r.BindAggregate("median", []types.Type{of(types.Float8)}, of(types.Float8), false)
	if err != nil || b.Retractable {
		t.Fatalf("%+v, %v", b, err)
	}
	s, err := b.New()
	if err != nil {
		t.Fatal(err)
	}
	if d, err := s.Result(); err != nil || !d.Null {
		t.Fatalf("an empty group: %+v, %v", d, err)
	}
	args := []*delta.Vec{vec(t, of(types.Float8), "1", "NULL", "2", "3", "-1")}
	for i := range 4 {
		if err := s.Add(args, i); err != nil {
			t.Fatal(err)
		}
	}
	if d, err := s.Result(); err != nil || d.F != 2 {
		t.Fatalf("%+v, %v", d, err)
	}
	wantCode(t, s.Add(args, 4), "38000", "negative")

	if b, err = r.BindAggregate("total", []types.Type{of(types.Int8)}, of(types.Int8), false); err != nil || !b.Retractable {
		t.Fatalf("%+v, %v", b, err)
	}
	if s, err = b.New(); err != nil {
		t.Fatal(err)
	}
	args = []*delta.Vec{vec(t, of(types.Int8), "5", "7")}
	if err := errors.Join(s.Add(args, 0), s.Add(args, 1), s.Retract(args, 0)); err != nil {
		t.Fatal(err)
	}
	if d, err := s.Result(); err != nil || d.I != 7 {
		t.Fatalf("%+v, %v", d, err)
	}
}

func BenchmarkScalarCall(b *testing.B) {
	var r Registry
	if err := r.Scalar("f", func(s string) float64 { return float64(len(s)) }); err != nil {
		b.Fatal(err)
	}
	bound, err := r.BindScalar("f", []types.Type{of(types.Text)}, of(types.Float8), true)
	if err != nil {
		b.Fatal(err)
	}
	v := delta.NewVec(of(types.Text), delta.MaxRows)
	for range delta.MaxRows {
		v.AppendBytes([]byte("purchase"))
	}
	for b.Loop() {
		if _, err := bound.Call([]*delta.Vec{v}, v.N, nil); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/delta.MaxRows, "ns/row")
}
