package expr

import (
	"github.com/streamsql/streamsql/sql/sqlerr"
	"github.com/streamsql/streamsql/sql/types"
)

// elems returns argument a, an array, of row i.
func (c *Batch) elems(a, i int) []types.Datum {
	return types.Elems(c.Bytes(a, i), c.Args[a].V.T.Elem)
}

func arrayOf(elem types.ID, ds []types.Datum) types.Datum {
	out := []byte{}
	for _, d := range ds {
		out = types.AppendElem(out, elem, d)
	}
	return types.Datum{S: out}
}

// sameElem is equality in which NULL equals NULL.
func sameElem(t types.Type, a, b types.Datum) bool {
	if a.Null || b.Null {
		return a.Null && b.Null
	}
	return Compare(t, a, b) == 0
}

// contains tells whether each element of b equals one of a; NULLs equal nothing.
func arrayContains(t types.Type, a, b []types.Datum) bool {
	for _, y := range b {
		if y.Null || !anyEqual(t, a, y) {
			return false
		}
	}
	return true
}

func anyEqual(t types.Type, a []types.Datum, y types.Datum) bool {
	for _, x := range a {
		if !x.Null && Compare(t, x, y) == 0 {
			return true
		}
	}
	return false
}

func init() {
	const i4, txt = types.Int4, types.Text
	arr, el := AnyArray, AnyElement
	fn := func(name string, ret types.ID, notNull bool, f func(c *Batch, i int) (types.Datum, error), args ...types.ID) {
		register(&Func{Name: name, Args: typs(args...), Ret: types.Of(ret), NotNull: notNull, Eval: datums(f)})
	}
	fn("subscript", el, false, func(c *Batch, i int) (types.Datum, error) {
		ds, k := c.elems(0, i), c.Int(1, i)
		if k < 1 || k > int64(len(ds)) {
			return types.NullDatum, nil
		}
		return ds[k-1], nil
	}, arr, i4)
	fn("slice", arr, false, func(c *Batch, i int) (types.Datum, error) {
		ds := c.elems(0, i)
		lo, hi := max(c.Int(1, i), 1), min(c.Int(2, i), int64(len(ds)))
		if lo > hi {
			return types.Datum{S: []byte{}}, nil
		}
		return arrayOf(c.Out.T.Elem, ds[lo-1:hi]), nil
	}, arr, i4, i4)
	length := func(c *Batch, i int) (types.Datum, error) {
		n := len(c.elems(0, i))
		if n == 0 || c.Int(1, i) != 1 {
			return types.NullDatum, nil
		}
		return types.Datum{I: int64(n)}, nil
	}
	fn("array_length", i4, false, length, arr, i4)
	fn("array_upper", i4, false, length, arr, i4)
	fn("array_lower", i4, false, func(c *Batch, i int) (types.Datum, error) {
		if len(c.Bytes(0, i)) == 0 || c.Int(1, i) != 1 {
			return types.NullDatum, nil
		}
		return types.Datum{I: 1}, nil
	}, arr, i4)
	fn("array_ndims", i4, false, func(c *Batch, i int) (types.Datum, error) {
		if len(c.Bytes(0, i)) == 0 {
			return types.NullDatum, nil
		}
		return types.Datum{I: 1}, nil
	}, arr)
	fn("array_dims", txt, false, func(c *Batch, i int) (types.Datum, error) {
		n := len(c.elems(0, i))
		if n == 0 {
			return types.NullDatum, nil
		}
		b := types.FormatText([]byte("[1:"), types.Of(types.Int8), types.Datum{I: int64(n)})
		return types.Datum{S: append(b, ']')}, nil
	}, arr)
	intFn("cardinality", func(c *Batch, i int) int64 { return int64(len(c.elems(0, i))) }, arr)
	// NULL arrays are taken to be empty.
	all := func(c *Batch, a, i int) []types.Datum {
		if c.Null(a, i) {
			return nil
		}
		return c.elems(a, i)
	}
	for _, n := range []string{"array_append", "||"} {
		fn(n, arr, true, func(c *Batch, i int) (types.Datum, error) {
			return arrayOf(c.Out.T.Elem, append(all(c, 0, i), c.Datum(1, i))), nil
		}, arr, el)
	}
	for _, n := range []string{"array_prepend", "||"} {
		fn(n, arr, true, func(c *Batch, i int) (types.Datum, error) {
			return arrayOf(c.Out.T.Elem, append([]types.Datum{c.Datum(0, i)}, all(c, 1, i)...)), nil
		}, el, arr)
	}
	for _, n := range []string{"array_cat", "||"} {
		fn(n, arr, true, func(c *Batch, i int) (types.Datum, error) {
			if c.Null(0, i) && c.Null(1, i) {
				return types.NullDatum, nil
			}
			return arrayOf(c.Out.T.Elem, append(all(c, 0, i), all(c, 1, i)...)), nil
		}, arr, arr)
	}
	position := func(c *Batch, i int) (types.Datum, error) {
		if c.Null(0, i) {
			return types.NullDatum, nil
		}
		from := int64(1)
		if len(c.Args) > 2 {
			if c.Null(2, i) {
				return types.Datum{}, sqlerr.New("22004", "initial position must not be null")
			}
			from = max(c.Int(2, i), 1)
		}
		ds, y := c.elems(0, i), c.Datum(1, i)
		t := types.Of(c.Args[0].V.T.Elem)
		for k := from; k <= int64(len(ds)); k++ {
			if sameElem(t, ds[k-1], y) {
				return types.Datum{I: k}, nil
			}
		}
		return types.NullDatum, nil
	}
	fn("array_position", i4, true, position, arr, el)
	register(&Func{Name: "array_position", Args: typs(arr, el, i4), Ret: types.Of(i4), NotNull: true, MayFail: true, Eval: datums(position)},
		&Func{Name: "array_positions", Args: typs(arr, el), Ret: types.ArrayOf(i4), NotNull: true, Eval: datums(func(c *Batch, i int) (types.Datum, error) {
			if c.Null(0, i) {
				return types.NullDatum, nil
			}
			out := []byte{}
			for k, d := range c.elems(0, i) {
				if sameElem(types.Of(c.Args[0].V.T.Elem), d, c.Datum(1, i)) {
					out = types.AppendElem(out, i4, types.Datum{I: int64(k + 1)})
				}
			}
			return types.Datum{S: out}, nil
		})})
	fn("array_remove", arr, true, func(c *Batch, i int) (types.Datum, error) {
		if c.Null(0, i) {
			return types.NullDatum, nil
		}
		y, t := c.Datum(1, i), types.Of(c.Out.T.Elem)
		var kept []types.Datum
		for _, d := range c.elems(0, i) {
			if !sameElem(t, d, y) {
				kept = append(kept, d)
			}
		}
		return arrayOf(t.ID, kept), nil
	}, arr, el)
	fn("array_replace", arr, true, func(c *Batch, i int) (types.Datum, error) {
		if c.Null(0, i) {
			return types.NullDatum, nil
		}
		ds, t := c.elems(0, i), types.Of(c.Out.T.Elem)
		for k, d := range ds {
			if sameElem(t, d, c.Datum(1, i)) {
				ds[k] = c.Datum(2, i)
			}
		}
		return arrayOf(t.ID, ds), nil
	}, arr, el, el)
	fn("trim_array", arr, false, func(c *Batch, i int) (types.Datum, error) {
		ds, n := c.elems(0, i), c.Int(1, i)
		if n < 0 || n > int64(len(ds)) {
			return types.Datum{}, sqlerr.New("2202E", "number of elements to trim must be between 0 and %d", len(ds))
		}
		return arrayOf(c.Out.T.Elem, ds[:int64(len(ds))-n]), nil
	}, arr, i4)
	byKey["trim_array(anyarray,integer)"].MayFail = true
	for n := 2; n <= 3; n++ {
		register(&Func{Name: "array_to_string", Args: typs(arr, txt, txt)[:n], Ret: types.Of(txt), NotNull: true, Vol: Stable, Eval: datums(func(c *Batch, i int) (types.Datum, error) {
			if c.Null(0, i) || c.Null(1, i) {
				return types.NullDatum, nil
			}
			t := types.Of(c.Args[0].V.T.Elem)
			out, first := []byte{}, true
			for _, d := range c.elems(0, i) {
				if d.Null && (len(c.Args) < 3 || c.Null(2, i)) {
					continue
				}
				if !first {
					out = append(out, c.Bytes(1, i)...)
				}
				first = false
				if d.Null {
					out = append(out, c.Bytes(2, i)...)
					continue
				}
				var err error
				if out, err = textOf(c.Ctx, out, t, d); err != nil {
					return types.Datum{}, err
				}
			}
			return types.Datum{S: out}, nil
		})})
	}
	pred := func(name string, f func(t types.Type, a, b []types.Datum) bool) {
		register(&Func{Name: name, Args: typs(arr, arr), Ret: boolType, Eval: bools(func(c *Batch, i int) (bool, error) {
			return f(types.Of(c.Args[0].V.T.Elem), c.elems(0, i), c.elems(1, i)), nil
		})})
	}
	pred("@>", arrayContains)
	pred("<@", func(t types.Type, a, b []types.Datum) bool { return arrayContains(t, b, a) })
	pred("&&", func(t types.Type, a, b []types.Datum) bool {
		for _, y := range b {
			if !y.Null && anyEqual(t, a, y) {
				return true
			}
		}
		return false
	})
}
