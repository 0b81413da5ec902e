package udf

import (
	"encoding/binary"
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/streamsql/streamsql/sql/delta"
	"github.com/streamsql/streamsql/sql/types"
)

type everything struct {
	B    bool
	I    int8
	U    uint64
	F    float64
	F4   float32
	S    string
	P, Q *float64
	L    []string
	E, N []int
	A    [3]int16
	M    map[string][]int64
	W    map[int]struct{}
	T    time.Time
	TP   *time.Time
	Tree *node
}

type node struct {
	V           int
	Left, Right *node
}

func (e *everything) Add(int64) {}
func (e *everything) Result() string {
	return e.S
}

func TestStateForm(t *testing.T) {
	zero, tm := 0.0, time.Date(2024, 5, 6, 7, 8, 9, 10, time.UTC)
	full := everything{
		B: true, I: -128, U: math.MaxUint64, F: math.Inf(-1), F4: 1.5, S: "a\xff\x00é",
		P: &zero, L: []string{"", "x"}, E: []int{}, A: [3]int16{1, 0, -1},
		M: map[string][]int64{"b": {1}, "a": nil, "": {}}, W: map[int]struct{}{},
		T: tm, TP: &tm, Tree: &node{V: 1, Left: &node{V: 2}},
	}
	c, err := newStateCodec(reflect.TypeFor[*everything]())
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range []*everything{{}, &full, nil} {
		b, err := c.marshal(reflect.ValueOf(e))
		if err != nil {
			t.Fatal(err)
		}
		for range 5 {
			if again, _ := c.marshal(reflect.ValueOf(e)); string(again) != string(b) {
				t.Fatal("equal states have different forms")
			}
		}
		var got *everything
		if err := c.unmarshal(b, reflect.ValueOf(&got).Elem()); err != nil || !reflect.DeepEqual(got, e) {
			t.Errorf("%+v came back as %+v, %v", e, got, err)
		}
		for n := range b { // a form that is cut never passes for a state, nor panics
			var cut *everything
			if err := c.unmarshal(b[:n], reflect.ValueOf(&cut).Elem()); err == nil {
				t.Errorf("%d of %d bytes were taken", n, len(b))
			}
		}
	}
	nan, _ := newStateCodec(reflect.TypeFor[float64]())
	b, _ := nan.marshal(reflect.ValueOf(math.NaN()))
	f := 0.0
	if err := nan.unmarshal(b, reflect.ValueOf(&f).Elem()); err != nil || f == f {
		t.Errorf("NaN came back as %v, %v", f, err)
	}
	other, _ := newStateCodec(reflect.TypeFor[int64]())
	if err := other.unmarshal(b, reflect.New(reflect.TypeFor[int64]()).Elem()); err == nil || !strings.Contains(err.Error(), "not those") {
		t.Errorf("another type read the state: %v", err)
	}
}

type closed struct{ n int64 }

func (c *closed) Add(v int64)   { c.n += v }
func (c *closed) Result() int64 { return c.n }

type function struct{ F func() }

func (f *function) Add(int64)     {}
func (f *function) Result() int64 { return 0 }

type half struct{ N int }

func (h *half) Add(int64)                      {}
func (h *half) Result() int64                  { return 0 }
func (h *half) MarshalBinary() ([]byte, error) { return nil, nil }

func TestStatesThatCannotBeStored(t *testing.T) {
	var r Registry
	for text, newState := range map[string]any{
		"*udf.closed.n is not exported":            func() *closed { return nil },
		"*udf.function.F: a func() cannot be":      func() *function { return nil },
		"has MarshalBinary and no UnmarshalBinary": func() *half { return nil },
	} {
		if err := r.Aggregate("x", newState); err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("%v, want %q", err, text)
		}
	}
}

// own has a form of its own for a field that is not exported; a negative sum
// has none, and a sum of 13 panics.
type own struct{ sum int64 }

func (o *own) Add(v int64)     { o.sum += v }
func (o *own) Retract(v int64) { o.sum -= v }
func (o *own) Result() int64   { return o.sum }
func (o *own) MarshalBinary() ([]byte, error) {
	if o.sum < 0 {
		return nil, errors.New("negative")
	}
	if o.sum == 13 {
		panic("unlucky")
	}
	return binary.AppendUvarint(nil, uint64(o.sum)), nil
}
func (o *own) UnmarshalBinary(b []byte) error {
	n, k := binary.Uvarint(b)
	if k != len(b) {
		return errors.New("not a number")
	}
	o.sum = int64(n)
	return nil
}

type words map[string]int

func (w words) Add(s string)  { w[s]++ }
func (w words) Result() int64 { return int64(len(w)) }

func TestStateSurvives(t *testing.T) {
	var r Registry
	if err := errors.Join(
		r.Aggregate("total", func() *total { return &total{} }),
		r.Aggregate("own", func() *own { return &own{} }),
		r.Aggregate("words", func() words { return words{} }),
	); err != nil {
		t.Fatal(err)
	}
	for _, symbol := range []string{"total", "own", "words"} {
		in := of(types.Int8)
		if symbol == "words" {
			in = of(types.Text)
		}
		b, err := r.BindAggregate(symbol, []types.Type{in}, of(types.Int8), false)
		if err != nil {
			t.Fatal(err)
		}
		args := []*delta.Vec{vec(t, in, "5", "7", "8")}
		a, _ := b.New()
		if err := errors.Join(a.Add(args, 0), a.Add(args, 1)); err != nil {
			t.Fatal(err)
		}
		c, err := a.Clone()
		if err != nil {
			t.Fatal(err)
		}
		form, err := a.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		d, _ := b.New()
		if err := d.UnmarshalBinary(form); err != nil {
			t.Fatal(err)
		}
		want, _ := a.Result()
		// What one of them takes, the others do not see.
		if err := errors.Join(c.Add(args, 2), d.Add(args, 2)); err != nil {
			t.Fatal(err)
		}
		again, _ := a.Result()
		more, _ := c.Result()
		read, _ := d.Result()
		if again.I != want.I || more.I == want.I || more.I != read.I {
			t.Errorf("%s: %d, then %d; clone %d, read %d", symbol, want.I, again.I, more.I, read.I)
		}
		if b.Retractable {
			if err := d.Retract(args, 2); err != nil {
				t.Fatal(err)
			}
			if back, _ := d.Result(); back.I != want.I {
				t.Errorf("%s: %d after the retraction, want %d", symbol, back.I, want.I)
			}
		}
		if err := d.UnmarshalBinary([]byte{1, 2, 3, 4, 5}); err == nil {
			t.Errorf("%s took a form that is none", symbol)
		}
	}
	b, err := r.BindAggregate("own", []types.Type{of(types.Int8)}, of(types.Int8), false)
	if err != nil {
		t.Fatal(err)
	}
	for v, text := range map[string]string{"-1": "negative", "13": "panic: unlucky"} {
		s, _ := b.New()
		if err := s.Add([]*delta.Vec{vec(t, of(types.Int8), v)}, 0); err != nil {
			t.Fatal(err)
		}
		_, err := s.MarshalBinary()
		wantCode(t, err, "38000", text)
		_, err = s.Clone()
		wantCode(t, err, "38000", text)
	}
}

func BenchmarkClone(b *testing.B) {
	var r Registry
	if err := r.Aggregate("total", func() *total { return &total{} }); err != nil {
		b.Fatal(err)
	}
	bound, err := r.BindAggregate("total", []types.Type{of(types.Int8)}, of(types.Int8), false)
	if err != nil {
		b.Fatal(err)
	}
	s, _ := bound.New()
	for b.Loop() {
		if _, err := s.Clone(); err != nil {
			b.Fatal(err)
		}
	}
}
