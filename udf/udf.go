package udf

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"

	"github.com/streamsql/streamsql/sql/delta"
	"github.com/streamsql/streamsql/sql/sqlerr"
	"github.com/streamsql/streamsql/sql/types"
)

// Registry maps symbols to Go functions. It is safe for concurrent use.
type Registry struct {
	mu  sync.RWMutex
	fns map[string]any // reflect.Value of a function, or aggregate
}

// Default is the registry that RegisterScalar and RegisterAggregate write to.
var Default = &Registry{}

// RegisterScalar registers fn, a Go function, under symbol in Default. It
// panics on what cannot be a scalar function, as it is called from init.
func RegisterScalar(symbol string, fn any) {
	if err := Default.Scalar(symbol, fn); err != nil {
		panic(err)
	}
}

// RegisterAggregate registers an aggregate in Default; see Registry.Aggregate.
func RegisterAggregate(symbol string, newState any) {
	if err := Default.Aggregate(symbol, newState); err != nil {
		panic(err)
	}
}

func (r *Registry) add(symbol string, fn any) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, ok := r.fns[symbol]; ok {
		return fmt.Errorf("udf: symbol %s is registered twice", symbol)
	}
	if r.fns == nil {
		r.fns = map[string]any{}
	}
	r.fns[symbol] = fn
	return nil
}

// Scalar registers fn under symbol: a function of any number of parameters that
// returns one result, or one result and an error. See the package comment for
// the types.
func (r *Registry) Scalar(symbol string, fn any) error {
	v := reflect.ValueOf(fn)
	if v.Kind() != reflect.Func || v.IsNil() {
		return fmt.Errorf("udf: %s is not a function", symbol)
	}
	if err := checkSignature(v.Type(), 0, 1); err != nil {
		return fmt.Errorf("udf: %s: %w", symbol, err)
	}
	return r.add(symbol, v)
}

// checkSignature holds a function's parameters, from the one numbered from on,
// and its results results, to the types that SQL knows.
func checkSignature(t reflect.Type, from, results int) error {
	if t.IsVariadic() {
		return fmt.Errorf("a variadic function cannot be bound")
	}
	for i := from; i < t.NumIn(); i++ {
		if ids, _ := sqlTypes(t.In(i)); len(ids) == 0 {
			return fmt.Errorf("parameter %d: no SQL type for %s", i-from+1, t.In(i))
		}
	}
	n := t.NumOut()
	if n == results+1 && t.Out(results) == errType {
		n--
	}
	if n != results {
		return fmt.Errorf("it must return %d values and perhaps an error", results)
	}
	if results == 1 {
		if ids, _ := sqlTypes(t.Out(0)); len(ids) == 0 {
			return fmt.Errorf("no SQL type for the result %s", t.Out(0))
		}
	}
	return nil
}

func (r *Registry) find(symbol string) (any, error) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if fn, ok := r.fns[symbol]; ok {
		return fn, nil
	}
	e := sqlerr.New(sqlerr.UndefinedFunction, "no Go function is registered as %q", symbol)
	known := slices.Sorted(maps.Keys(r.fns))
	for _, k := range known {
		if strings.EqualFold(k, symbol) {
			return nil, e.WithHint("Perhaps you meant %q.", k)
		}
	}
	if len(known) == 0 {
		return nil, e.WithHint("This binary has no Go functions linked in.")
	}
	return nil, e.WithHint("Registered are: %s.", strings.Join(known, ", "))
}

// IsAggregate tells whether symbol is registered as an aggregate. CREATE FUNCTION
// serves both, as the symbol tells which of them it is.
func (r *Registry) IsAggregate(symbol string) bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	_, ok := r.fns[symbol].(aggregate)
	return ok
}

// mismatch is the error of a declaration that the Go signature does not fit.
func mismatch(symbol, what string, t types.Type, g reflect.Type) error {
	ids, _ := sqlTypes(g)
	names := make([]string, len(ids))
	for i, id := range ids {
		names[i] = id.String()
	}
	return sqlerr.New("42P13", "%s of %s is %s in Go, which cannot be %s", what, symbol, g, t).
		WithHint("Declare it as %s.", strings.Join(names, " or "))
}

// CallError is a failed call: the row of the batch and what the function said.
type CallError struct {
	Row int
	Err *sqlerr.Error
}

func (e *CallError) Error() string { return e.Err.Error() }

// Unwrap gives the error with its SQLSTATE, 38000.
func (e *CallError) Unwrap() error { return e.Err }

// BoundScalar is a scalar function bound to SQL types. It may be called from
// several goroutines at once if the Go function may.
type BoundScalar struct {
	symbol string
	fn     reflect.Value
	params []types.Type
	result types.Type
	strict bool
	// StrictOnNull tells for each parameter that NULL there means the result
	// NULL without a call.
	StrictOnNull []bool
}

// BindScalar binds symbol as the function of params that returns result. Errors:
// 42883 for a symbol that is not there, 42P13 for types that do not fit.
func (r *Registry) BindScalar(symbol string, params []types.Type, result types.Type, strict bool) (*BoundScalar, error) {
	fn, err := r.find(symbol)
	if err != nil {
		return nil, err
	}
	v, ok := fn.(reflect.Value)
	if !ok {
		return nil, sqlerr.New(sqlerr.WrongObjectType, "%s is an aggregate", symbol)
	}
	b := &BoundScalar{symbol: symbol, fn: v, params: params, result: result, strict: strict}
	if b.StrictOnNull, err = checkParams(symbol, v.Type(), 0, params, strict); err != nil {
		return nil, err
	}
	if g := v.Type().Out(0); !fits(result, g) {
		return nil, mismatch(symbol, "the result", result, g)
	}
	return b, nil
}

func checkParams(symbol string, t reflect.Type, from int, params []types.Type, strict bool) ([]bool, error) {
	if n := t.NumIn() - from; n != len(params) {
		return nil, sqlerr.New("42P13", "%s takes %d arguments in Go, %d were declared", symbol, n, len(params))
	}
	skip := make([]bool, len(params))
	for i, p := range params {
		g := t.In(from + i)
		if !fits(p, g) {
			return nil, mismatch(symbol, fmt.Sprintf("argument %d", i+1), p, g)
		}
		_, nullable := sqlTypes(g)
		skip[i] = strict || !nullable
	}
	return skip, nil
}

// Call evaluates the function over n rows of args. The first failing row ends
// it with a *CallError. stop, when not nil, is asked every few rows whether to go
// on; its error ends it too.
func (b *BoundScalar) Call(args []*delta.Vec, n int, stop func() error) (out *delta.Vec, err error) {
	out = delta.NewVec(b.result, n)
	c := newCaller(b.fn, 0, b.params)
	get := getter(b.result, b.fn.Type().Out(0))
rows:
	for i := range n {
		for a, v := range args {
			if b.StrictOnNull[a] && v.Null(i) {
				out.AppendNull()
				continue rows
			}
		}
		if stop != nil && i&15 == 0 {
			if err := stop(); err != nil {
				return nil, err
			}
		}
		res, err := c.call(b.symbol, args, i)
		if err != nil {
			return nil, err
		}
		d, err := get(res[0])
		if err != nil {
			return nil, failure(b.symbol, i, err)
		}
		out.AppendDatum(d)
	}
	return out, nil
}

func failure(symbol string, row int, err any) *CallError {
	return &CallError{Row: row, Err: sqlerr.New(sqlerr.ExternalRoutineFailed, "function %s failed: %v", symbol, err)}
}

// caller holds what the calls of one function in a batch share.
type caller struct {
	fn  reflect.Value
	in  []reflect.Value
	set []func(reflect.Value, types.Datum) error
	off int // parameters before the SQL arguments: a method's receiver
}

func newCaller(fn reflect.Value, off int, params []types.Type) *caller {
	t := fn.Type()
	c := &caller{fn: fn, off: off, in: make([]reflect.Value, t.NumIn())}
	for i, p := range params {
		c.in[off+i] = reflect.New(t.In(off + i)).Elem()
		c.set = append(c.set, setter(p, t.In(off+i)))
	}
	return c
}

// call calls the function with row i of args and turns an error or a panic into
// a *CallError.
func (c *caller) call(symbol string, args []*delta.Vec, i int) (res []reflect.Value, err error) {
	defer func() {
		if p := recover(); p != nil {
			res, err = nil, failure(symbol, i, fmt.Sprintf("panic: %v", p))
		}
	}()
	for a, v := range args {
		if err := c.set[a](c.in[c.off+a], v.Datum(i)); err != nil {
			return nil, failure(symbol, i, err)
		}
	}
	res = c.fn.Call(c.in)
	if k := len(res) - 1; k >= 0 && c.fn.Type().Out(k) == errType {
		if e, _ := res[k].Interface().(error); e != nil {
			return nil, failure(symbol, i, e)
		}
	}
	return res, nil
}
