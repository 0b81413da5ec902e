package expr

import (
	"strings"

	"github.com/streamsql/streamsql/sql/sqlerr"
	"github.com/streamsql/streamsql/sql/types"
)

func init() {
	const txt, i4, js, jb = types.Text, types.Int4, types.JSON, types.JSONB
	texts := types.ArrayOf(txt)
	fn := func(name string, args []types.Type, ret types.Type, fails bool, f func(c *Batch, i int) (types.Datum, error)) {
		register(&Func{Name: name, Args: args, Ret: ret, MayFail: fails, Eval: datums(f)})
	}
	path := func(c *Batch, i int) []byte {
		b := c.Bytes(0, i)
		for _, d := range c.elems(1, i) {
			if d.Null {
				return nil
			}
			if b = jsonStep(b, d.S); b == nil {
				return nil
			}
		}
		return b
	}
	for _, t := range []types.ID{js, jb} {
		typ := types.Of(t)
		kind := "json"
		if t == jb {
			kind = "jsonb"
		}
		field := func(c *Batch, i int) []byte { return jsonField(c.Bytes(0, i), c.Bytes(1, i)) }
		elem := func(c *Batch, i int) []byte { return jsonElem(c.Bytes(0, i), c.Int(1, i)) }
		pair := func(args []types.Type, op, opText string, get func(c *Batch, i int) []byte) {
			fn(op, args, typ, false, func(c *Batch, i int) (types.Datum, error) { return jsonValue(get(c, i)), nil })
			fn(opText, args, types.Of(txt), false, func(c *Batch, i int) (types.Datum, error) { return jsonText(get(c, i)), nil })
		}
		pair(typs(t, txt), "->", "->>", field)
		pair(typs(t, i4), "->", "->>", elem)
		pair([]types.Type{typ, texts}, "#>", "#>>", path)
		steps := func(c *Batch, i int) []byte {
			b := c.Bytes(0, i)
			for a := 1; a < len(c.Args) && b != nil; a++ {
				b = jsonStep(b, c.Bytes(a, i))
			}
			return b
		}
		register(
			&Func{Name: kind + "_extract_path", Args: typs(t, txt), Ret: typ, Variadic: true,
				Eval: datums(func(c *Batch, i int) (types.Datum, error) { return jsonValue(steps(c, i)), nil })},
			&Func{Name: kind + "_extract_path_text", Args: typs(t, txt), Ret: types.Of(txt), Variadic: true,
				Eval: datums(func(c *Batch, i int) (types.Datum, error) { return jsonText(steps(c, i)), nil })})
		textFn(kind+"_typeof", txt, func(c *Batch, i int, dst []byte) []byte { return append(dst, jsonKind(c.Bytes(0, i))...) }, t)
		register(&Func{Name: kind + "_array_length", Args: typs(t), Ret: types.Of(i4), MayFail: true, Eval: ints(func(c *Batch, i int) (int64, error) {
			b := c.Bytes(0, i)
			switch jsonKind(b) {
			case "array":
			case "object":
				return 0, sqlerr.New(sqlerr.InvalidParameter, "cannot get array length of a non-array")
			default:
				return 0, sqlerr.New(sqlerr.InvalidParameter, "cannot get array length of a scalar")
			}
			n := int64(0)
			eachElem(b, func([]byte) bool { n++; return true })
			return n, nil
		})})
		fn(kind+"_strip_nulls", typs(t), typ, true, func(c *Batch, i int) (types.Datum, error) {
			v, err := decodeJSON(c.Bytes(0, i))
			if err != nil {
				return types.Datum{}, err
			}
			return types.Datum{S: types.AppendJSONB(nil, stripNulls(v))}, nil
		})
		jsonSets(kind, t)
		jsonBuilders(kind, t)
	}

	two := func(f func(a, b any) (types.Datum, error)) func(c *Batch, i int) (types.Datum, error) {
		return func(c *Batch, i int) (types.Datum, error) {
			a, err := decodeJSON(c.Bytes(0, i))
			if err != nil {
				return types.Datum{}, err
			}
			b, err := decodeJSON(c.Bytes(1, i))
			if err != nil {
				return types.Datum{}, err
			}
			return f(a, b)
		}
	}
	top := func(a, b any) bool {
		// An array holds a scalar that is one of its elements.
		if s, ok := a.([]any); ok {
			switch b.(type) {
			case []any, map[string]any:
			default:
				return jsonContains(s, []any{b})
			}
		}
		return jsonContains(a, b)
	}
	fn("@>", typs(jb, jb), boolType, false, two(func(a, b any) (types.Datum, error) { return types.Datum{I: b2i(top(a, b))}, nil }))
	fn("<@", typs(jb, jb), boolType, false, two(func(a, b any) (types.Datum, error) { return types.Datum{I: b2i(top(b, a))}, nil }))
	fn("||", typs(jb, jb), types.Of(jb), true, two(func(a, b any) (types.Datum, error) {
		x, okX := a.(map[string]any)
		y, okY := b.(map[string]any)
		if okX && okY {
			for k, v := range y {
				x[k] = v
			}
			return types.Datum{S: types.AppendJSONB(nil, x)}, nil
		}
		list := func(v any) []any {
			if s, ok := v.([]any); ok {
				return s
			}
			return []any{v}
		}
		return types.Datum{S: types.AppendJSONB(nil, append(list(a), list(b)...))}, nil
	}))
	has := func(b, key []byte) bool {
		if jsonField(b, key) != nil {
			return true
		}
		found := false
		eachElem(b, func(v []byte) bool {
			found = v[0] == '"' && keyIs(v, key)
			return !found
		})
		return found || jsonKind(b) == "string" && keyIs(b, key)
	}
	exists := func(name string, all bool) {
		register(&Func{Name: name, Args: []types.Type{types.Of(jb), texts}, Ret: boolType, Eval: bools(func(c *Batch, i int) (bool, error) {
			for _, d := range c.elems(1, i) {
				if !d.Null && has(c.Bytes(0, i), d.S) != all {
					return !all, nil
				}
			}
			return all, nil
		})})
	}
	register(&Func{Name: "?", Args: typs(jb, txt), Ret: boolType, Eval: bools(func(c *Batch, i int) (bool, error) { return has(c.Bytes(0, i), c.Bytes(1, i)), nil })})
	exists("?|", false)
	exists("?&", true)

	edit := func(name string, args []types.Type, f func(c *Batch, i int, v any) (any, error)) {
		fn(name, args, types.Of(jb), true, func(c *Batch, i int) (types.Datum, error) {
			v, err := decodeJSON(c.Bytes(0, i))
			if err != nil {
				return types.Datum{}, err
			}
			if v, err = f(c, i, v); err != nil {
				return types.Datum{}, err
			}
			return types.Datum{S: types.AppendJSONB(nil, v)}, nil
		})
	}
	without := func(v any, keys ...string) (any, error) {
		switch v := v.(type) {
		case map[string]any:
			for _, k := range keys {
				delete(v, k)
			}
			return v, nil
		case []any:
			var out []any
			for _, e := range v {
				s, ok := e.(string)
				drop := false
				for _, k := range keys {
					drop = drop || ok && s == k
				}
				if !drop {
					out = append(out, e)
				}
			}
			return out, nil
		}
		return nil, sqlerr.New(sqlerr.InvalidParameter, "cannot delete from scalar")
	}
	edit("-", typs(jb, txt), func(c *Batch, i int, v any) (any, error) { return without(v, string(c.Bytes(1, i))) })
	edit("-", []types.Type{types.Of(jb), texts}, func(c *Batch, i int, v any) (any, error) {
		var keys []string
		for _, d := range c.elems(1, i) {
			if !d.Null {
				keys = append(keys, string(d.S))
			}
		}
		return without(v, keys...)
	})
	edit("-", typs(jb, i4), func(c *Batch, i int, v any) (any, error) {
		s, ok := v.([]any)
		if !ok {
			if _, obj := v.(map[string]any); obj {
				return nil, sqlerr.New(sqlerr.InvalidParameter, "cannot delete from object using integer index")
			}
			return nil, sqlerr.New(sqlerr.InvalidParameter, "cannot delete from scalar")
		}
		n := c.Int(1, i)
		if n < 0 {
			n += int64(len(s))
		}
		if n >= 0 && n < int64(len(s)) {
			s = append(s[:n:n], s[n+1:]...)
		}
		return s, nil
	})
	edit("#-", []types.Type{types.Of(jb), texts}, func(c *Batch, i int, v any) (any, error) {
		return jsonSet(v, c.elems(1, i), nil, "delete", false, false)
	})
	for n := 3; n <= 4; n++ {
		edit("jsonb_set", []types.Type{types.Of(jb), texts, types.Of(jb), boolType}[:n], func(c *Batch, i int, v any) (any, error) {
			val, err := decodeJSON(c.Bytes(2, i))
			if err != nil {
				return nil, err
			}
			return jsonSet(v, c.elems(1, i), val, "set", len(c.Args) < 4 || c.Int(3, i) != 0, false)
		})
		edit("jsonb_insert", []types.Type{types.Of(jb), texts, types.Of(jb), boolType}[:n], func(c *Batch, i int, v any) (any, error) {
			val, err := decodeJSON(c.Bytes(2, i))
			if err != nil {
				return nil, err
			}
			return jsonSet(v, c.elems(1, i), val, "insert", true, len(c.Args) > 3 && c.Int(3, i) != 0)
		})
	}
	textFn("jsonb_pretty", txt, func(c *Batch, i int, dst []byte) []byte { return prettyJSON(dst, c.Bytes(0, i)) }, jb)
}

// jsonBuilders registers to_json and the functions that build objects and arrays.
// json keeps the text as PostgreSQL writes it, jsonb is normalised.
func jsonBuilders(kind string, t types.ID) {
	finish := func(b []byte, err error) (types.Datum, error) {
		if err != nil || t == types.JSON {
			return types.Datum{S: b}, err
		}
		return types.ParseText(types.Of(types.JSONB), string(b))
	}
	reg := func(name string, variadic, notNull bool, f func(c *Batch, i int) (types.Datum, error), args ...types.ID) {
		register(&Func{Name: name, Args: typs(args...), Ret: types.Of(t), Variadic: variadic, NotNull: notNull, Vol: Stable, MayFail: true, Eval: datums(f)})
	}
	arg := func(c *Batch, a, i int, dst []byte) ([]byte, error) {
		at := c.Args[a].V.T
		return appendJSON(c.Ctx, dst, at, c.ref(a, i))
	}
	reg("to_"+kind, false, false, func(c *Batch, i int) (types.Datum, error) { return finish(arg(c, 0, i, nil)) }, Any)
	if t == types.JSON {
		reg("array_to_json", false, false, func(c *Batch, i int) (types.Datum, error) { return finish(arg(c, 0, i, nil)) }, AnyArray)
	}
	array := func(c *Batch, i int) (types.Datum, error) {
		b := []byte{'['}
		for a := range c.Args {
			if a > 0 {
				b = append(b, ", "...)
			}
			var err error
			if b, err = arg(c, a, i, b); err != nil {
				return types.Datum{}, err
			}
		}
		return finish(append(b, ']'), nil)
	}
	object := func(c *Batch, i int) (types.Datum, error) {
		if len(c.Args)%2 != 0 {
			return types.Datum{}, sqlerr.New(sqlerr.InvalidParameter, "argument list must have even number of elements").
				WithHint("The arguments of %s_build_object() must consist of alternating keys and values.", kind)
		}
		b := []byte{'{'}
		for a := 0; a < len(c.Args); a += 2 {
			if a > 0 {
				b = append(b, ", "...)
			}
			if c.Null(a, i) {
				return types.Datum{}, sqlerr.New(sqlerr.InvalidParameter, "argument %d cannot be null", a+1).WithHint("Object keys should be text.")
			}
			key, err := outText(c, a, i, nil)
			if err != nil {
				return types.Datum{}, err
			}
			b = append(appendJSONString(b, string(key)), " : "...)
			if b, err = arg(c, a+1, i, b); err != nil {
				return types.Datum{}, err
			}
		}
		return finish(append(b, '}'), nil)
	}
	for _, variadic := range []bool{false, true} {
		var args []types.ID
		if variadic {
			args = []types.ID{Any}
		}
		reg(kind+"_build_array", variadic, true, array, args...)
		reg(kind+"_build_object", variadic, true, object, args...)
	}
	register(&Func{Name: kind + "_object", Args: []types.Type{types.ArrayOf(types.Text)}, Ret: types.Of(t), MayFail: true, Eval: datums(func(c *Batch, i int) (types.Datum, error) {
		ds := c.elems(0, i)
		if len(ds)%2 != 0 {
			return types.Datum{}, sqlerr.New("2202E", "array must have even number of elements")
		}
		var parts []string
		for k := 0; k < len(ds); k += 2 {
			if ds[k].Null {
				return types.Datum{}, sqlerr.New("22004", "null value not allowed for object key")
			}
			v := []byte("null")
			if !ds[k+1].Null {
				v = appendJSONString(nil, string(ds[k+1].S))
			}
			parts = append(parts, string(appendJSONString(nil, string(ds[k].S)))+" : "+string(v))
		}
		return finish([]byte("{"+strings.Join(parts, ", ")+"}"), nil)
	})})
}

// jsonSets registers the set-returning functions.
func jsonSets(kind string, t types.ID) {
	want := func(b []byte, what, fn string) error {
		k := jsonKind(b)
		switch {
		case k == what:
			return nil
		case what == "object" && k == "array":
			return sqlerr.New(sqlerr.InvalidParameter, "cannot call %s on an array", fn)
		case what == "object":
			return sqlerr.New(sqlerr.InvalidParameter, "cannot call %s on a scalar", fn)
		case k == "object":
			return sqlerr.New(sqlerr.InvalidParameter, "cannot extract elements from an object")
		}
		return sqlerr.New(sqlerr.InvalidParameter, "cannot extract elements from a scalar")
	}
	elems := func(name string, col types.ID, get func([]byte) types.Datum) {
		registerSet(&setFunc{f: Func{Name: name, Args: typs(t)}, cols: typs(col), names: []string{"value"}, rows: func(_ *Context, args []types.Datum, _ []types.Type) Rows {
			if err := want(args[0].S, "array", name); err != nil {
				return setError(err)
			}
			return func(yield func([]types.Datum, error) bool) {
				eachElem(args[0].S, func(v []byte) bool { return yield([]types.Datum{get(v)}, nil) })
			}
		}})
	}
	elems(kind+"_array_elements", t, jsonValue)
	elems(kind+"_array_elements_text", types.Text, jsonText)
	each := func(name string, col types.ID, get func([]byte) types.Datum) {
		registerSet(&setFunc{f: Func{Name: name, Args: typs(t)}, cols: typs(types.Text, col), names: []string{"key", "value"}, rows: func(_ *Context, args []types.Datum, _ []types.Type) Rows {
			if err := want(args[0].S, "object", name); err != nil {
				return setError(err)
			}
			return func(yield func([]types.Datum, error) bool) {
				eachField(args[0].S, func(k, v []byte) bool { return yield([]types.Datum{{S: jsonString(k)}, get(v)}, nil) })
			}
		}})
	}
	each(kind+"_each", t, jsonValue)
	each(kind+"_each_text", types.Text, jsonText)
	name := kind + "_object_keys"
	registerSet(&setFunc{f: Func{Name: name, Args: typs(t)}, cols: typs(types.Text), rows: func(_ *Context, args []types.Datum, _ []types.Type) Rows {
		if err := want(args[0].S, "object", name); err != nil {
			return setError(err)
		}
		return func(yield func([]types.Datum, error) bool) {
			eachField(args[0].S, func(k, _ []byte) bool { return yield([]types.Datum{{S: jsonString(k)}}, nil) })
		}
	}})
}
