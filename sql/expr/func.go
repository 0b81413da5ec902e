package expr

import (
	"strings"

	"github.com/streamsql/streamsql/sql/delta"
	"github.com/streamsql/streamsql/sql/sqlerr"
	"github.com/streamsql/streamsql/sql/types"
)

// Volatility tells when a function may be evaluated ahead of time.
type Volatility uint8

// The volatilities, as PostgreSQL defines them.
const (
	Immutable Volatility = iota // same arguments, same result, always
	Stable                      // the same within one statement
	Volatile                    // evaluated for each row
)

// Pseudo-types of catalogue entries. They never are the type of an expression.
const (
	Any        types.ID = 200 + iota // any type, each argument on its own
	AnyElement                       // one type for all such arguments
	AnyArray                         // an array of AnyElement
)

// Func is one overload of a function or operator.
type Func struct {
	Name     string
	Args     []types.Type
	Ret      types.Type
	Variadic bool // the last argument may come again
	NotNull  bool // called with NULL arguments too; otherwise NULL in, NULL out
	Vol      Volatility
	MayFail  bool // may return an error for some argument
	// Eval fills c.Out with c.N rows. For a strict function the rows with NULL
	// arguments are set NULL behind it; Eval must not fail for them (c.Skip).
	Eval func(c *Batch) error

	key string // Key's, of what is registered
}

// Key names the overload in stored plans.
func (f *Func) Key() string {
	if f.key != "" {
		return f.key
	}
	var b strings.Builder
	b.WriteString(f.Name + "(")
	for i, a := range f.Args {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(typeName(a))
	}
	if f.Variadic {
		b.WriteString("...")
	}
	return b.String() + ")"
}

func typeName(t types.Type) string {
	switch t.ID {
	case Any:
		return "any"
	case AnyElement:
		return "anyelement"
	case AnyArray:
		return "anyarray"
	}
	return types.Bare(t).String()
}

// Context is what functions know beside their arguments. It holds still during
// a statement or a step.
type Context struct {
	Now      int64 // µs since 1970-01-01 UTC
	User     string
	Database string
	Random   func() float64
	// Setting returns a session parameter; nil: none is known.
	Setting func(name string) (string, bool)
	// Catalog answers the functions that look into it (pg_get_viewdef and such).
	Catalog func(fn string, args []types.Datum) (types.Datum, error)
	// Stop, when not nil, tells a function that takes long whether to give up, and
	// with which error.
	Stop func() error
}

// Arg is an argument: a column of N rows, or a constant in a column of one.
type Arg struct {
	V    *delta.Vec
	Mask int // -1, or 0 for a constant: row i is V's row i&Mask
}

// Batch is one evaluation of a function over a batch.
type Batch struct {
	Ctx  *Context
	N    int
	Args []Arg
	Out  *delta.Vec

	nulls []uint64       // rows with a NULL argument
	cache map[string]any // what the call keeps between evaluations, e.g. compiled patterns
}

// Skip tells whether row i has a NULL argument.
func (c *Batch) Skip(i int) bool {
	return c.nulls != nil && c.nulls[i>>6]&(1<<(uint(i)&63)) != 0
}

// Null tells whether argument a is NULL in row i.
func (c *Batch) Null(a, i int) bool { return c.Args[a].V.Null(i & c.Args[a].Mask) }

// Int returns argument a of row i.
func (c *Batch) Int(a, i int) int64 { return c.Args[a].V.I[i&c.Args[a].Mask] }

// Float returns argument a of row i.
func (c *Batch) Float(a, i int) float64 { return c.Args[a].V.F[i&c.Args[a].Mask] }

// Bytes returns argument a of row i. It aliases the column.
func (c *Batch) Bytes(a, i int) []byte { return c.Args[a].V.Bytes(i & c.Args[a].Mask) }

// Datum returns argument a of row i.
func (c *Batch) Datum(a, i int) types.Datum { return c.Args[a].V.Datum(i & c.Args[a].Mask) }

// ref is Datum without a copy of the bytes.
func (c *Batch) ref(a, i int) types.Datum {
	v := c.Args[a].V
	i &= c.Args[a].Mask
	if v.Null(i) {
		return types.NullDatum
	}
	switch v.T.Phys() {
	case types.PhysInt:
		return types.Datum{I: v.I[i]}
	case types.PhysFloat:
		return types.Datum{F: v.F[i]}
	}
	return types.Datum{S: v.Bytes(i)}
}

// EvalError is an error of one row.
type EvalError struct {
	Row int // of the batch that was evaluated
	Err error
}

func (e *EvalError) Error() string { return e.Err.Error() }

// Unwrap returns the error itself.
func (e *EvalError) Unwrap() error { return e.Err }

func rowError(i int, err error) error { return &EvalError{Row: i, Err: copyErr(err)} }

var (
	byName = map[string][]*Func{}
	byKey  = map[string]*Func{}
)

// register adds overloads to the catalogue.
func register(fs ...*Func) {
	for _, f := range fs {
		k := f.Key()
		if byKey[k] != nil {
			panic("expr: " + k + " is registered twice")
		}
		f.key = k
		byKey[k] = f
		byName[f.Name] = append(byName[f.Name], f)
	}
}

// Names returns the names of the functions in the catalogue, operators too.
func Names() []string {
	var out []string
	for n := range byName {
		out = append(out, n)
	}
	return out
}

// Overloads returns the overloads of a name.
func Overloads(name string) []*Func { return byName[name] }

// typs makes an argument list.
func typs(ids ...types.ID) []types.Type {
	out := make([]types.Type, len(ids))
	for i, id := range ids {
		out[i] = types.Of(id)
	}
	return out
}

// Row-at-a-time helpers for what no hot path calls. f is called for rows
// without NULL arguments only.

func ints(f func(c *Batch, i int) (int64, error)) func(*Batch) error {
	return func(c *Batch) error {
		out := c.Out.I[:c.N]
		for i := range out {
			if c.Skip(i) {
				out[i] = 0
				continue
			}
			v, err := f(c, i)
			if err != nil {
				return rowError(i, err)
			}
			out[i] = v
		}
		return nil
	}
}

func bools(f func(c *Batch, i int) (bool, error)) func(*Batch) error {
	return ints(func(c *Batch, i int) (int64, error) {
		b, err := f(c, i)
		return b2i(b), err
	})
}

func floats(f func(c *Batch, i int) (float64, error)) func(*Batch) error {
	return func(c *Batch) error {
		out := c.Out.F[:c.N]
		for i := range out {
			if c.Skip(i) {
				out[i] = 0
				continue
			}
			v, err := f(c, i)
			if err != nil {
				return rowError(i, err)
			}
			out[i] = v
		}
		return nil
	}
}

// bytesOf has f append its result to dst.
func bytesOf(f func(c *Batch, i int, dst []byte) ([]byte, error)) func(*Batch) error {
	return func(c *Batch) error {
		for i := range c.N {
			if !c.Skip(i) {
				b, err := f(c, i, c.Out.Buf)
				if err != nil {
					return rowError(i, err)
				}
				c.Out.Buf = b
				if len(b) > maxColumn {
					return rowError(i, errTooMuch())
				}
			}
			c.Out.Off = append(c.Out.Off, int32(len(c.Out.Buf)))
		}
		return nil
	}
}

// maxColumn bounds the bytes of a column of a batch: offsets are 32 bits.
const maxColumn = 1<<30 - 1

func errTooMuch() error {
	return sqlerr.New(sqlerr.OutOfMemory, "out of memory").
		WithDetail("The values of one expression take more than 1 GB for %d rows.", delta.MaxRows)
}

// datums has f give any value, NULL included.
func datums(f func(c *Batch, i int) (types.Datum, error)) func(*Batch) error {
	return func(c *Batch) error {
		o := delta.NewVec(c.Out.T, c.N)
		for i := range c.N {
			d := types.NullDatum
			if !c.Skip(i) {
				var err error
				if d, err = f(c, i); err != nil {
					return rowError(i, err)
				}
			}
			o.AppendDatum(d)
			if len(o.Buf) > maxColumn {
				return rowError(i, errTooMuch())
			}
		}
		*c.Out = *o
		return nil
	}
}

func b2i(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

func outOfRange(t string) error {
	return sqlerr.New(sqlerr.NumericOutOfRange, "%s out of range", t)
}
