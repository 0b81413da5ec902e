package expr

import (
	"github.com/streamsql/streamsql/sql/delta"
	"github.com/streamsql/streamsql/sql/types"
)

// quantifiedFunc makes x op ANY (array), or ALL, of op.
func quantifiedFunc(f *Func, key string, all bool) *Func {
	right := f.Args[1]
	arg := types.ArrayOf(right.ID)
	if right.ID >= Any {
		arg = types.Of(AnyArray)
	}
	return &Func{Name: key, Args: []types.Type{f.Args[0], arg}, Ret: boolType, NotNull: true, Vol: f.Vol, MayFail: f.MayFail,
		Eval: func(c *Batch) error { return evalQuantified(c, f, all) }}
}

// evalQuantified runs op over all pairs of a row and an element at once.
func evalQuantified(c *Batch, f *Func, all bool) error {
	elem := types.Of(c.Args[1].V.T.Elem)
	left := delta.NewVec(c.Args[0].V.T, c.N)
	right := delta.NewVec(elem, c.N)
	var owner []int32
	o := delta.NewVec(boolType, c.N)
	res := make([]int8, c.N) // 1: decided, 2: some NULL, 3: NULL
	for i := range c.N {
		if c.Null(1, i) {
			res[i] = 3
			continue
		}
		for _, d := range types.Elems(c.Bytes(1, i), elem.ID) {
			left.AppendFrom(c.Args[0].V, i&c.Args[0].Mask)
			right.AppendDatum(d)
			owner = append(owner, int32(i))
		}
	}
	if len(owner) > 0 {
		n := &callNode{f: f, t: boolType, args: []node{&colNode{index: 0}, &colNode{index: 1}},
			null: Arg{V: constVec(boolType, types.NullDatum)}, b: Batch{Args: make([]Arg, 2), cache: c.cache}}
		a, err := n.eval(c.Ctx, &delta.Batch{N: len(owner), Cols: []*delta.Vec{left, right}})
		if err != nil {
			e := asEvalError(err).(*EvalError)
			return rowError(int(owner[e.Row]), e.Err)
		}
		for k, i := range owner {
			switch j := k & a.Mask; {
			case a.V.Null(j):
				res[i] |= 2
			case (a.V.I[j] != 0) != all:
				res[i] |= 1
			}
		}
	}
	for i := range c.N {
		switch {
		case res[i] == 3 && c.Null(1, i):
			o.AppendNull()
		case res[i]&1 != 0:
			o.AppendInt(b2i(!all))
		case res[i]&2 != 0:
			o.AppendNull()
		default:
			o.AppendInt(b2i(all))
		}
	}
	*c.Out = *o
	return nil
}

// nullifFunc makes nullif of an equality.
func nullifFunc(eq *Func) *Func {
	ret := eq.Args[0]
	return &Func{Name: "nullif", Args: eq.Args, Ret: ret, NotNull: true, Eval: func(c *Batch) error {
		n := &callNode{f: eq, t: boolType, args: []node{&argNode{c.Args[0]}, &argNode{c.Args[1]}},
			null: Arg{V: constVec(boolType, types.NullDatum)}, b: Batch{Args: make([]Arg, 2)}}
		a, err := n.eval(c.Ctx, &delta.Batch{N: c.N})
		if err != nil {
			return err
		}
		o := delta.NewVec(c.Out.T, c.N)
		for i := range c.N {
			if j := i & a.Mask; a.V.I[j] != 0 && !a.V.Null(j) {
				o.AppendNull()
			} else {
				o.AppendFrom(c.Args[0].V, i&c.Args[0].Mask)
			}
		}
		*c.Out = *o
		return nil
	}}
}

// argNode hands on a column.
type argNode struct{ a Arg }

func (n *argNode) eval(*Context, *delta.Batch) (Arg, error) { return n.a, nil }
