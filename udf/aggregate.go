package udf

import (
	"fmt"
	"reflect"

	"github.com/streamsql/streamsql/sql/delta"
	"github.com/streamsql/streamsql/sql/sqlerr"
	"github.com/streamsql/streamsql/sql/types"
)

type aggregate struct {
	make               reflect.Value // func() S
	add, retract, done reflect.Value // methods of S as functions; retract may be invalid
	codec              *stateCodec
}

// Aggregate registers an aggregate under symbol. newState is a func() S that
// makes an empty state; S has the methods
//
//	Add(args…)            with an optional error
//	Result() T            with an optional error
//	Retract(args…)        optional, with an optional error
//
// Retract takes one row back that was added, in any order. An aggregate without
// it is computed anew from the rows of its group when one of them is taken back,
// in the order that ORDER BY in its call gives; so may one with it.
//
// The state goes into checkpoints: by S's own MarshalBinary and UnmarshalBinary
// (encoding), else field by field, as all of its fields are exported and of
// types that can be stored (not functions, channels or interfaces). A state of
// neither sort is refused here. One stored by an S with other fields is refused
// when it is read back, so an S that will change needs its own form.
func (r *Registry) Aggregate(symbol string, newState any) error {
	v := reflect.ValueOf(newState)
	if v.Kind() != reflect.Func || v.IsNil() || v.Type().NumIn() != 0 || v.Type().NumOut() != 1 {
		return fmt.Errorf("udf: %s must be registered with a func() that makes its state", symbol)
	}
	s := v.Type().Out(0)
	if s.Kind() == reflect.Interface {
		return fmt.Errorf("udf: %s: the state must be of a concrete type, not %s", symbol, s)
	}
	agg := aggregate{make: v}
	method := func(name string, results int) (reflect.Value, error) {
		m, ok := s.MethodByName(name)
		if !ok {
			return reflect.Value{}, nil
		}
		if err := checkSignature(m.Type, 1, results); err != nil {
			return reflect.Value{}, fmt.Errorf("udf: %s: %s: %w", symbol, name, err)
		}
		return m.Func, nil
	}
	var err error
	if agg.add, err = method("Add", 0); err != nil {
		return err
	}
	if agg.done, err = method("Result", 1); err != nil {
		return err
	}
	if agg.retract, err = method("Retract", 0); err != nil {
		return err
	}
	switch {
	case !agg.add.IsValid() || !agg.done.IsValid():
		return fmt.Errorf("udf: %s: %s needs the methods Add and Result", symbol, s)
	case agg.done.Type().NumIn() != 1:
		return fmt.Errorf("udf: %s: Result takes no arguments", symbol)
	case agg.retract.IsValid() && !sameParams(agg.add.Type(), agg.retract.Type()):
		return fmt.Errorf("udf: %s: Retract must take what Add takes", symbol)
	}
	if agg.codec, err = newStateCodec(s); err != nil {
		return fmt.Errorf("udf: %s: the state cannot be stored: %w; export the fields or give %s MarshalBinary and UnmarshalBinary", symbol, err, s)
	}
	return r.add(symbol, agg)
}

func sameParams(a, b reflect.Type) bool {
	if a.NumIn() != b.NumIn() {
		return false
	}
	for i := range a.NumIn() {
		if a.In(i) != b.In(i) {
			return false
		}
	}
	return true
}

// BoundAggregate is an aggregate bound to SQL types.
type BoundAggregate struct {
	symbol string
	agg    aggregate
	params []types.Type
	result types.Type
	// SkipNull tells for each parameter that a row with NULL there is left out.
	SkipNull []bool
	// Retractable tells that State.Retract may be called.
	Retractable bool
}

// BindAggregate binds symbol as the aggregate of params that returns result.
// Errors as for BindScalar.
func (r *Registry) BindAggregate(symbol string, params []types.Type, result types.Type, strict bool) (*BoundAggregate, error) {
	fn, err := r.find(symbol)
	if err != nil {
		return nil, err
	}
	agg, ok := fn.(aggregate)
	if !ok {
		return nil, sqlerr.New(sqlerr.WrongObjectType, "%s is not an aggregate", symbol)
	}
	b := &BoundAggregate{symbol: symbol, agg: agg, params: params, result: result, Retractable: agg.retract.IsValid()}
	if b.SkipNull, err = checkParams(symbol, agg.add.Type(), 1, params, strict); err != nil {
		return nil, err
	}
	if g := agg.done.Type().Out(0); !fits(result, g) {
		return nil, mismatch(symbol, "the result", result, g)
	}
	return b, nil
}

// State is the state of one group. It is for one goroutine.
type State struct {
	b                  *BoundAggregate
	self               reflect.Value
	add, retract, done *caller
	get                func(reflect.Value) (types.Datum, error)
}

// New makes the state of an empty group. A panic is a *CallError.
func (b *BoundAggregate) New() (s *State, err error) {
	defer func() {
		if p := recover(); p != nil {
			s, err = nil, failure(b.symbol, 0, fmt.Sprintf("panic: %v", p))
		}
	}()
	s = b.state(b.agg.make.Call(nil)[0])
	return s, nil
}

// state makes the State around a value of S.
func (b *BoundAggregate) state(self reflect.Value) *State {
	s := &State{b: b, self: self, get: getter(b.result, b.agg.done.Type().Out(0))}
	s.add, s.done = s.method(b.agg.add, b.params), s.method(b.agg.done, nil)
	if b.Retractable {
		s.retract = s.method(b.agg.retract, b.params)
	}
	return s
}

func (s *State) method(fn reflect.Value, params []types.Type) *caller {
	c := newCaller(fn, 1, params)
	c.in[0] = s.self
	return c
}

func (s *State) skips(args []*delta.Vec, i int) bool {
	for a, v := range args {
		if s.b.SkipNull[a] && v.Null(i) {
			return true
		}
	}
	return false
}

// Add adds row i of args.
func (s *State) Add(args []*delta.Vec, i int) error {
	if s.skips(args, i) {
		return nil
	}
	_, err := s.add.call(s.b.symbol, args, i)
	return err
}

// Retract takes row i of args back, of an aggregate that is Retractable.
func (s *State) Retract(args []*delta.Vec, i int) error {
	if s.skips(args, i) {
		return nil
	}
	_, err := s.retract.call(s.b.symbol, args, i)
	return err
}

// Result returns the aggregate of the rows added and not taken back.
func (s *State) Result() (types.Datum, error) {
	res, err := s.done.call(s.b.symbol, nil, 0)
	if err != nil {
		return types.Datum{}, err
	}
	d, err := s.get(res[0])
	if err != nil {
		return types.Datum{}, failure(s.b.symbol, 0, err)
	}
	return d, nil
}

// MarshalBinary returns the state's durable form. An error or a panic of the
// state's own MarshalBinary is a *CallError.
func (s *State) MarshalBinary() (b []byte, err error) {
	defer s.contain(&err)
	if b, err = s.b.agg.codec.marshal(s.self); err != nil {
		return nil, failure(s.b.symbol, 0, err)
	}
	return b, nil
}

// UnmarshalBinary replaces the state by the one that b is the form of. Errors as
// for MarshalBinary; the state is as before then.
func (s *State) UnmarshalBinary(b []byte) (err error) {
	defer s.contain(&err)
	v := reflect.New(s.self.Type()).Elem()
	if err := s.b.agg.codec.unmarshal(b, v); err != nil {
		return failure(s.b.symbol, 0, err)
	}
	s.self = v
	s.add.in[0], s.done.in[0] = v, v
	if s.retract != nil {
		s.retract.in[0] = v
	}
	return nil
}

// Clone returns a state of its own with the same content. Errors as for
// MarshalBinary.
func (s *State) Clone() (c *State, err error) {
	b, err := s.MarshalBinary()
	if err != nil {
		return nil, err
	}
	c = s.b.state(s.self)
	return c, c.UnmarshalBinary(b)
}

func (s *State) contain(err *error) {
	if p := recover(); p != nil {
		*err = failure(s.b.symbol, 0, fmt.Sprintf("panic: %v", p))
	}
}
