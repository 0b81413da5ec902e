package expr

import (
	"time"

	"github.com/streamsql/streamsql/sql/delta"
	"github.com/streamsql/streamsql/sql/types"
)

// Env is the functions that a statement can name: the built-in catalogue and,
// before it, the user's own. An Env is immutable once in use.
type Env struct {
	Funcs map[string][]*Func    // user-defined scalar functions, by name
	Aggs  map[string][]*AggFunc // user-defined aggregates, by name

	zone *time.Location // in which literals are read; nil: UTC
}

// In returns e for a statement of ctx's session: timestamps without a zone are
// read in the session's.
func (e *Env) In(ctx *Context) *Env {
	z := ctx.zone()
	if isUTC(z) {
		return e
	}
	return &Env{Funcs: e.Funcs, Aggs: e.Aggs, zone: z}
}

// InZone returns e for text that was written in the time zone name.
func (e *Env) InZone(name string) *Env {
	z, err := loadZone(name)
	if err != nil || isUTC(z) {
		z = nil
	}
	return &Env{Funcs: e.Funcs, Aggs: e.Aggs, zone: z}
}

// AggKind names how an aggregate is computed; package exec implements each.
type AggKind string

// The kinds of aggregate.
const (
	AggCountStar AggKind = "count_star" // rows
	AggCount     AggKind = "count"      // rows whose arguments are not NULL
	AggSumInt    AggKind = "sum_int"    // of int2, int4: bigint
	AggSumBig    AggKind = "sum_big"    // of bigint: numeric
	AggSumNum    AggKind = "sum_num"    // of numeric
	AggSumFloat  AggKind = "sum_float"  // of real, double precision: exactly rounded
	AggSumIntv   AggKind = "sum_interval"
	AggAvgInt    AggKind = "avg_int" // of integers: numeric
	AggAvgNum    AggKind = "avg_num"
	AggAvgFloat  AggKind = "avg_float"
	AggAvgIntv   AggKind = "avg_interval"
	AggMin       AggKind = "min"
	AggMax       AggKind = "max"
	AggBoolAnd   AggKind = "bool_and"
	AggBoolOr    AggKind = "bool_or"
	AggVar       AggKind = "var" // var_samp, var_pop, stddev_samp, stddev_pop: told apart by Name
	AggString    AggKind = "string_agg"
	AggArray     AggKind = "array_agg"
	AggFirst     AggKind = "first_value" // first_value(x ORDER BY …) and last_value
	AggLast      AggKind = "last_value"
	AggSingle    AggKind = "single_value" // of a scalar subquery: 21000 if there are two rows at the end of a step
	AggAnyValue  AggKind = "any_value"
	AggUser      AggKind = "user"
)

// AggFunc is one overload of an aggregate.
type AggFunc struct {
	Name     string
	Args     []types.Type
	Ret      types.Type
	Variadic bool
	Kind     AggKind
	// NullIn says that rows with a NULL argument count too (array_agg, first_value).
	NullIn bool
	// New makes the state of an empty group, of a user's aggregate.
	New         func() (AggState, error)
	Retractable bool // of a user's aggregate: Retract may be called
}

// Key names the overload in stored plans.
func (f *AggFunc) Key() string {
	return (&Func{Name: f.Name, Args: f.Args, Variadic: f.Variadic}).Key()
}

// AggState is the state of one group of a user's aggregate.
type AggState interface {
	Add(args []*delta.Vec, i int) error
	Retract(args []*delta.Vec, i int) error
	Result() (types.Datum, error)
	// MarshalBinary and UnmarshalBinary carry the state through a checkpoint.
	MarshalBinary() ([]byte, error)
	UnmarshalBinary(b []byte) error
}

// CastContext tells where a cast stands, as pg_cast's castcontext.
type CastContext uint8

// The contexts of a cast, each allowing what the one before allows.
const (
	Implicit   CastContext = iota
	Assignment             // INSERT, UPDATE
	Explicit               // CAST, ::
)
